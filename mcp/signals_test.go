package mcp

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSignals: each delivery leaves a file for whom it names openly, which goes when the
// inbox is looked into.
func TestSignals(t *testing.T) {
	dir := t.TempDir()
	blue, green := pair(t, Full, "NOTIFICATIONS_ENABLED=true", "NOTIFICATIONS_SIGNALS_DIR="+dir)
	red := blue
	red.call("register_agent", map[string]any{"name": "RedFox", "program": "p", "model": "m"}, nil)
	blue.call("send_message", map[string]any{"sender_name": "BlueLake", "to": "GreenCastle", "bcc": "RedFox", "subject": "Hello", "body_md": "b", "importance": "high"}, nil)
	files, _ := filepath.Glob(filepath.Join(dir, "projects", "*", "agents", "*"))
	if len(files) != 1 || filepath.Base(files[0]) != "GreenCastle.signal" {
		t.Fatalf("got %v", files)
	}
	data, err := os.ReadFile(files[0])
	var s struct {
		Timestamp, Project, Agent string
		Message                   struct{ ID, From, Subject, Importance string }
	}
	if err != nil || json.Unmarshal(data, &s) != nil || s.Agent != "GreenCastle" || s.Message.From != "BlueLake" || s.Message.Subject != "Hello" ||
		s.Message.Importance != "high" || !strings.Contains(files[0], s.Project) {
		t.Errorf("%v: %s", err, data)
	}
	green.call("fetch_inbox", nil, nil)
	if _, err := os.Stat(files[0]); err == nil {
		t.Error("it is still there")
	}

	dir = t.TempDir()
	blue, _ = pair(t, Full, "NOTIFICATIONS_SIGNALS_DIR="+dir)
	blue.call("send_message", map[string]any{"to": "GreenCastle", "subject": "Hello", "body_md": "b"}, nil)
	if list, _ := os.ReadDir(dir); len(list) > 0 {
		t.Errorf("not asked for: %v", list)
	}
}
