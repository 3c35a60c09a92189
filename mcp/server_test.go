package mcp

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
)

// TestSession: two agents in one repository, each through a server of its own.
func TestSession(t *testing.T) {
	env := environ(t)
	dir := repository(t, env)
	blue, green := connect(t, options(t, dir, env, Lean)), connect(t, options(t, dir, env, Lean))
	blue.call("register_agent", map[string]any{"name": "BlueLake", "program": "claude-code", "model": "opus"}, nil)
	green.call("register_agent", map[string]any{"name": "GreenCastle", "program": "codex", "model": "gpt-5"}, nil)
	blue.call("send_message", map[string]any{"to": "GreenCastle", "subject": "Hello", "body_md": "I hold src/auth.", "thread_id": nil}, nil)
	var inbox []struct{ From, Subject string }
	green.call("fetch_inbox", nil, &inbox)
	if len(inbox) != 1 || inbox[0].From != "BlueLake" || inbox[0].Subject != "Hello" {
		t.Errorf("got %+v", inbox)
	}
}

// TestAnywhere: hello and the list of tools come without a repository.
func TestAnywhere(t *testing.T) {
	c := connect(t, options(t, t.TempDir(), environ(t), Lean))
	var list struct{ Tools []struct{ Name string } }
	if err := json.Unmarshal(c.request("tools/list", nil).Result, &list); err != nil || len(list.Tools) == 0 {
		t.Errorf("%v, %d tools", err, len(list.Tools))
	}
	if e := c.fails("fetch_inbox", nil); e.Data["code"] != "no_repo" {
		t.Errorf("got %+v", e)
	}
}

// TestArguments: what is wrong with arguments is said, with the name and an example.
func TestArguments(t *testing.T) {
	c := connect(t, options(t, t.TempDir(), environ(t), Full))
	for _, tc := range []struct {
		args          map[string]any
		typ, argument string
	}{
		{map[string]any{"to": []string{"A"}, "subject": "s"}, "MISSING_FIELD", "body_md"},
		{map[string]any{"to": []any{1}, "subject": "s", "body_md": "b"}, "TYPE_ERROR", "to"},
		{map[string]any{"to": "A", "subject": "s", "body_md": "b", "ack_required": "yes"}, "TYPE_ERROR", "ack_required"},
		{map[string]any{"to": "A", "subject": "s", "body_md": "b", "importanse": "high"}, "TYPE_ERROR", "importanse"},
		{map[string]any{"to": "A", "subject": "s", "body_md": "b", "importance": "huge"}, "INVALID_ARGUMENT", "importance"},
	} {
		if e := c.fails("send_message", tc.args); e.Type != tc.typ || e.Data["argument"] != tc.argument || e.Data["hint"] == nil {
			t.Errorf("%v: got %+v", tc.args, e)
		}
	}
}

// TestNobody: who has not registered is told by which tool.
func TestNobody(t *testing.T) {
	env := environ(t)
	c := connect(t, options(t, repository(t, env), env, Lean))
	if e := c.fails("send_message", map[string]any{"to": "A", "subject": "s", "body_md": "b"}); e.Data["code"] != "no_agent" || e.Data["hint"] != "register_agent {}" {
		t.Errorf("got %+v", e)
	}
	c.call("register_agent", map[string]any{}, nil)
	c.call("fetch_inbox", nil, nil)
}

// TestFault: a fault of ours is the answer to the call that met it, and to no other.
func TestFault(t *testing.T) {
	s := New(options(t, t.TempDir(), environ(t), Lean))
	defer s.Close()
	broken := tool{name: "resource://broken", run: func(context.Context, *call) (any, error) { panic("broken") }}
	s.resources = append(s.resources, &resource{tool: broken})
	res, err := s.handle(&broken)(t.Context(), mcp.CallToolRequest{})
	if err != nil || !res.IsError {
		t.Errorf("%+v, %v", res, err)
	}
	_, err = s.read(t.Context(), mcp.ReadResourceRequest{Params: mcp.ReadResourceParams{Arguments: map[string]any{"uri": broken.name}}})
	if err == nil || !strings.Contains(err.Error(), "[internal]") || !strings.Contains(err.Error(), "doctor") {
		t.Errorf("%v", err)
	}
	if _, err = s.prompt(prompt{tool: broken})(t.Context(), mcp.GetPromptRequest{}); err == nil || !strings.Contains(err.Error(), "[internal]") {
		t.Errorf("%v", err)
	}
}
