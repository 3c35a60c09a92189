package mcp

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// TestPrompts: each brings what it is about, bodies fenced.
func TestPrompts(t *testing.T) {
	blue, green := pair(t, Full)
	blue.call("send_message", map[string]any{"to": "GreenCastle", "subject": "Tokens", "body_md": "they expire", "thread_id": "FEAT-1", "ack_required": true}, nil)
	get := func(name string, args map[string]any) string {
		t.Helper()
		r := green.request("prompts/get", map[string]any{"name": name, "arguments": args})
		if r.Error != nil {
			return r.Error.Message
		}
		var res struct {
			Messages []struct {
				Role    string
				Content struct{ Text string }
			}
		}
		if err := json.Unmarshal(r.Result, &res); err != nil || len(res.Messages) != 1 || res.Messages[0].Role != "user" {
			t.Fatalf("%v: %s", err, r.Result)
		}
		return res.Messages[0].Content.Text
	}
	var list struct{ Prompts []struct{ Name string } }
	if err := json.Unmarshal(green.request("prompts/list", nil).Result, &list); err != nil || len(list.Prompts) != len(allPrompts) {
		t.Errorf("%v, %+v", err, list)
	}
	if s := get("mail_triage", nil); !strings.Contains(s, "Tokens") || strings.Contains(s, "they expire") {
		t.Errorf("got %s", s)
	}
	if s := get("mail_handoff", map[string]any{"to": "BlueLake", "agent": ""}); !strings.Contains(s, `"to":"BlueLake"`) || !strings.Contains(s, "Tokens") {
		t.Errorf("got %s", s)
	}
	if s := get("mail_review_thread", map[string]any{"thread_id": "FEAT-1"}); !strings.Contains(s, "they expire") || !strings.Contains(s, `"body_fence":"peer-data-`) {
		t.Errorf("got %s", s)
	}
	if s := get("mail_review_thread", nil); !strings.Contains(s, "needs thread_id") {
		t.Errorf("got %s", s)
	}
}

// TestCompletion: names of agents and threads, whatever is known.
func TestCompletion(t *testing.T) {
	blue, green := pair(t, Lean)
	blue.call("send_message", map[string]any{"to": "GreenCastle", "subject": "s", "body_md": "b", "thread_id": "FEAT-1"}, nil)
	complete := func(c *client, ref map[string]any, name, value string) []string {
		t.Helper()
		r := c.request("completion/complete", map[string]any{"ref": ref, "argument": map[string]any{"name": name, "value": value}})
		var res struct{ Completion struct{ Values []string } }
		if r.Error != nil {
			t.Fatal(r.Error.Message)
		}
		if err := json.Unmarshal(r.Result, &res); err != nil {
			t.Fatal(err)
		}
		return res.Completion.Values
	}
	prompt := map[string]any{"type": "ref/prompt", "name": "mail_review_thread"}
	inbox := map[string]any{"type": "ref/resource", "uri": "resource://inbox/{agent}{?project,since_ts,urgent_only,include_bodies,limit,format}"}
	for _, tc := range []struct {
		ref         map[string]any
		name, value string
		want        string
	}{
		{prompt, "thread_id", "fe", "FEAT-1"},
		{prompt, "thread_id", "x", ""},
		{prompt, "agent", "", "BlueLake GreenCastle"},
		{inbox, "agent", "gr", "GreenCastle"},
		{inbox, "limit", "1", ""},
	} {
		got := complete(green, tc.ref, tc.name, tc.value)
		slices.Sort(got)
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s %q: got %v", tc.name, tc.value, got)
		}
	}
	if got := complete(connect(t, options(t, t.TempDir(), environ(t), Lean)), prompt, "agent", ""); len(got) != 0 {
		t.Errorf("outside a repository: got %v", got)
	}
}
