package agenthook

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// FuzzParse looks for a payload that is not survived, or that gets an answer
// its client could not take.
func FuzzParse(f *testing.F) {
	for _, x := range fixtures(f) {
		f.Add(x.Client, x.Event, x.stdin(), reason)
	}
	f.Fuzz(func(t *testing.T, client, event string, stdin []byte, text string) {
		c, err := Parse(client, event, stdin)
		if err != nil && (len(c.Paths) > 0 || c.Shell) {
			t.Errorf("paths %q beside the error %q", c.Paths, err)
		}
		seen := map[string]bool{}
		for _, name := range c.Paths {
			if name == "" || strings.Contains(name, "\x00") || seen[name] {
				t.Errorf("the path %q is empty, impossible or there twice: %q", name, c.Paths)
			}
			seen[name] = true
		}
		if strings.Contains(c.Session+c.Dir+c.Tool, "\x00") {
			t.Errorf("NUL in %+v", c)
		}
		if len(c.Paths) > 0 && c.Kind != PreEdit && c.Kind != PostTool {
			t.Errorf("paths %q at %s", c.Paths, c.Kind)
		}
		if strings.Contains(text, `"allow"`) || strings.Contains(text, `"approve"`) || strings.Contains(text, `"type"`) {
			text = reason
		}
		checkAnswer(t, "Allow", c, c.Allow())
		checkAnswer(t, "Deny", c, c.Deny(text))
		checkAnswer(t, "Inject", c, c.Inject(text))
	})
}

func TestLargePayload(t *testing.T) {
	stdin := payload("apply_patch", map[string]any{
		"command": "*** Begin Patch\n*** Add File: a.go\n" + strings.Repeat("+\t\"x\" *** é\n", 1<<20) + "*** Delete File: b.go\n*** End Patch\n",
	})
	if len(stdin) < 10<<20 {
		t.Fatalf("only %d bytes", len(stdin))
	}
	c, err := Parse("auto", "pre-edit", stdin)
	if err != nil || fmt.Sprint(c.Paths) != "[a.go b.go]" {
		t.Errorf("paths %.100q, error %v", c.Paths, err)
	}
}

func TestDeepPayload(t *testing.T) {
	for _, x := range []struct{ name, stdin, want string }{
		{"lists", strings.Repeat("[", 1<<20), "[]"},
		{"objects", strings.Repeat(`{"tool_input":`, 1<<20), "[]"},
		{"edits", `{"tool_name":"Edit","tool_input":` + strings.Repeat(`{"file_path":"a.go","edits":[`, 2000) + strings.Repeat("]}", 2000) + "}", "[a.go]"},
		{"JSON in strings", `{"tool_name":"Edit","tool_input":"{\"edits\":\"[{\\\"file_path\\\":\\\"a.go\\\"}]\"}"}`, "[a.go]"},
	} {
		c, err := Parse("auto", "pre-edit", []byte(x.stdin))
		if got := fmt.Sprint(c.Paths); got != x.want || err != nil && x.want != "[]" {
			t.Errorf("%s: paths %s, want %s; error %.80v", x.name, got, x.want, err)
		}
	}
}

func payload(tool string, input any) []byte {
	b, err := json.Marshal(map[string]any{
		"session_id": "s", "turn_id": "1", "cwd": "/w/app", "hook_event_name": "PreToolUse",
		"tool_name": tool, "tool_input": input,
	})
	if err != nil {
		panic(err)
	}
	return b
}

func BenchmarkParse(b *testing.B) {
	for _, size := range []int{1 << 10, 100 << 10, 10 << 20} {
		stdin := payload("Write", map[string]any{"file_path": "a.go", "content": strings.Repeat("some text \"x\"\n", size/14)})
		b.Run(fmt.Sprintf("%dk", size>>10), func(b *testing.B) {
			b.SetBytes(int64(len(stdin)))
			for b.Loop() {
				c, err := Parse("auto", "pre-edit", stdin)
				if err != nil || len(c.Paths) != 1 {
					b.Fatal(c, err)
				}
			}
		})
	}
}
