package mcp

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"github.com/git-agentmail/git-agentmail/mailbox"
)

// registered is what a registration answers.
type registered struct {
	ID, Name, Program, Model string
	Task                     string `json:"task_description"`
	Policy                   string `json:"attachments_policy"`
	Token                    string `json:"registration_token"`
	Requested                string `json:"requested_name"`
	Window                   string `json:"window_id"`
	WindowName               string `json:"window_display_name"`
	Project                  string `json:"project_id"`
	Inception                string `json:"inception_ts"`
	Active                   string `json:"last_active_ts"`
}

func TestRegisterAgent(t *testing.T) {
	env := environ(t)
	dir := repository(t, env)
	c := connect(t, options(t, dir, env, Full))
	var a registered
	c.call("register_agent", map[string]any{"name": "BlueLake", "program": "claude-code", "model": "opus", "task_description": "parser", "attachments_policy": "nonsense"}, &a)
	if a.Name != "BlueLake" || a.Program != "claude-code" || a.Model != "opus" || a.Task != "parser" || a.Policy != "auto" || a.Token == "" ||
		a.ID == "" || a.Project == "" || a.Inception == "" || a.Active == "" || a.Window != "" || a.WindowName != "" {
		t.Errorf("%+v", a)
	}
	// Again without a word: the same agent keeps what it said, and gets another token.
	var again registered
	c.call("register_agent", map[string]any{"name": "bluelake", "program": nil}, &again)
	if again.ID != a.ID || again.Program != "claude-code" || again.Model != "opus" || again.Task != "parser" || again.Token == a.Token {
		t.Errorf("%+v", again)
	}
	c.call("register_agent", nil, &again)
	if again.ID == a.ID || again.Program != "test-client" || again.Model != "unknown" {
		t.Errorf("a new one that said nothing: %+v", again)
	}
	for _, tc := range []struct {
		args map[string]any
		typ  string
	}{
		{map[string]any{"program": " ", "model": "m"}, "EMPTY_PROGRAM"},
		{map[string]any{"program": "p", "model": ""}, "EMPTY_MODEL"},
		{map[string]any{"name": "YOUR_AGENT_NAME"}, "CONFIGURATION_ERROR"},
		{map[string]any{"auto_fetch_inbox": true, "inbox_limit": 0}, "INVALID_LIMIT"},
		{map[string]any{"auto_fetch_inbox": true, "inbox_since_ts": "x"}, "INVALID_TIMESTAMP"},
	} {
		if e := c.fails("register_agent", tc.args); e.Type != tc.typ {
			t.Errorf("%v: %+v", tc.args, e)
		}
	}
	strict := connect(t, options(t, dir, append(slices.Clone(env), "AGENT_NAME_ENFORCEMENT_MODE=strict"), Full))
	if e := strict.fails("register_agent", map[string]any{"name": "gpt-5"}); e.Type != "MODEL_NAME_AS_AGENT" {
		t.Errorf("%+v", e)
	}
}

// TestModernClient says who it is with each request, and never hello.
func TestModernClient(t *testing.T) {
	env := environ(t)
	c := dial(t, options(t, repository(t, env), env, Lean))
	r := c.request("tools/call", map[string]any{"name": "register_agent", "arguments": map[string]any{}, "_meta": map[string]any{
		"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": map[string]any{},
		"io.modelcontextprotocol/clientInfo": map[string]any{"name": "modern-client", "version": "1"},
	}})
	var got struct {
		Structured registered `json:"structuredContent"`
	}
	if err := json.Unmarshal(r.Result, &got); err != nil || got.Structured.Program != "modern-client" {
		t.Errorf("%v, %s %+v", err, r.Result, r.Error)
	}
}

func TestRegisterWithInbox(t *testing.T) {
	env := environ(t)
	dir := repository(t, env)
	blue, green := connect(t, options(t, dir, env, Full)), connect(t, options(t, dir, env, Full))
	green.call("register_agent", map[string]any{"name": "GreenCastle"}, nil)
	blue.call("register_agent", map[string]any{"name": "BlueLake"}, nil)
	for _, importance := range []string{"urgent", "low"} {
		blue.call("send_message", map[string]any{"to": "GreenCastle", "subject": importance, "body_md": "text", "importance": importance}, nil)
	}
	type row struct {
		Subject string
		Body    *string `json:"body_md"`
	}
	var got struct {
		Agent registered
		Inbox []row
	}
	green.call("register_agent", map[string]any{"name": "GreenCastle", "auto_fetch_inbox": true}, &got)
	if got.Agent.Name != "GreenCastle" || len(got.Inbox) != 2 || got.Inbox[0].Subject != "low" || got.Inbox[0].Body != nil {
		t.Errorf("%+v", got)
	}
	got.Inbox = nil
	green.call("register_agent", map[string]any{"name": "GreenCastle", "auto_fetch_inbox": true, "inbox_limit": 1, "inbox_urgent_only": true, "inbox_include_bodies": true}, &got)
	if len(got.Inbox) != 1 || got.Inbox[0].Subject != "urgent" || got.Inbox[0].Body == nil || *got.Inbox[0].Body != "text" {
		t.Errorf("%+v", got)
	}
}

func TestCreateAgentIdentity(t *testing.T) {
	env := environ(t)
	c := connect(t, options(t, repository(t, env), env, Full))
	var first, second registered
	c.call("create_agent_identity", map[string]any{"program": "p", "model": "m", "name_hint": "BlueLake", "task_description": "x"}, &first)
	c.call("create_agent_identity", map[string]any{"program": "p", "model": "m", "name_hint": "BlueLake"}, &second)
	if first.Name != "BlueLake" || first.Token == "" || second.ID == first.ID || second.Name == "BlueLake" || second.Requested != "BlueLake" {
		t.Errorf("%+v, %+v", first, second)
	}
	if e := c.fails("create_agent_identity", map[string]any{"program": "", "model": "m"}); e.Type != "EMPTY_PROGRAM" {
		t.Errorf("%+v", e)
	}
}

func TestWhois(t *testing.T) {
	env := environ(t)
	c := connect(t, options(t, repository(t, env), env, Full))
	c.call("register_agent", map[string]any{"name": "BlueLake"}, nil)
	type profile struct {
		Name    string
		Commits []struct {
			SHA     string `json:"hexsha"`
			Summary string
			Date    string `json:"authored_ts"`
		} `json:"recent_commits"`
	}
	var p profile
	c.call("whois", map[string]any{"agent_name": "bluelake"}, &p)
	if p.Name != "BlueLake" || len(p.Commits) != 1 || len(p.Commits[0].SHA) != 40 || p.Commits[0].Summary == "" || p.Commits[0].Date == "" {
		t.Errorf("%+v", p)
	}
	c.call("whois", nil, &p)
	if p.Name != "BlueLake" {
		t.Errorf("oneself: %+v", p)
	}
	var none profile
	c.call("whois", map[string]any{"agent_name": "BlueLake", "include_recent_commits": false}, &none)
	if none.Commits == nil || len(none.Commits) != 0 {
		t.Errorf("%+v", none)
	}
	if e := c.fails("whois", map[string]any{"agent_name": "BlueLak"}); e.Type != "NOT_FOUND" || e.Data["suggestions"] == nil || e.Data["available_agents"] == nil {
		t.Errorf("%+v", e)
	}
}

func TestDeregisterAgent(t *testing.T) {
	env := environ(t)
	dir := repository(t, env)
	blue, green := connect(t, options(t, dir, env, Full)), connect(t, options(t, dir, env, Full))
	var a registered
	blue.call("register_agent", map[string]any{"name": "BlueLake", "task_description": "parser"}, &a)
	green.call("register_agent", map[string]any{"name": "GreenCastle"}, nil)
	if e := blue.fails("deregister_agent", map[string]any{"agent_name": "BlueLake", "registration_token": "x"}); e.Type != "INVALID_ARGUMENT" {
		t.Errorf("%+v", e)
	}
	var r mailbox.Deregistered
	green.call("deregister_agent", map[string]any{"agent_name": "BlueLake", "registration_token": a.Token}, &r)
	if r != (mailbox.Deregistered{Status: "deregistered", AgentName: "BlueLake", ProjectKey: dir}) {
		t.Errorf("%+v", r)
	}
	if e := green.fails("send_message", map[string]any{"to": "BlueLake", "subject": "s", "body_md": "b"}); e.Type != "CONTACT_BLOCKED" {
		t.Errorf("%+v", e)
	}
	// Who asked goes on as itself.
	green.call("deregister_agent", nil, &r)
	if r.AgentName != "GreenCastle" {
		t.Errorf("%+v", r)
	}
	// A session that has registered nobody asks for the agent that it names.
	connect(t, options(t, dir, env, Full)).call("deregister_agent", map[string]any{"agent_name": "GreenCastle"}, &r)
}

func TestDeleteAgent(t *testing.T) {
	env := environ(t)
	dir := repository(t, env)
	blue, green := connect(t, options(t, dir, env, Full)), connect(t, options(t, dir, env, Full))
	var a registered
	blue.call("register_agent", map[string]any{"name": "BlueLake"}, &a)
	green.call("register_agent", map[string]any{"name": "GreenCastle"}, nil)
	blue.call("send_message", map[string]any{"to": []string{"GreenCastle", "BlueLake"}, "subject": "secret", "body_md": "b"}, nil)
	var r map[string]any
	green.call("delete_agent", map[string]any{"name": "BlueLake"}, &r)
	want := map[string]any{"agent_id": a.ID, "agent_name": "BlueLake", "project": dir, "message_recipients_deleted": 2.0, "messages_deleted": 1.0, "file_reservations_deleted": 0.0}
	if !reflect.DeepEqual(r, want) {
		t.Errorf("got %v, want %v", r, want)
	}
	var inbox []any
	if green.call("fetch_inbox", nil, &inbox); len(inbox) != 0 {
		t.Errorf("%v", inbox)
	}
	if e := green.fails("delete_agent", map[string]any{"name": "BlueLake"}); e.Type != "NOT_FOUND" {
		t.Errorf("%+v", e)
	}
	if e := blue.fails("fetch_inbox", map[string]any{"agent_name": "BlueLake"}); e.Type != "NOT_FOUND" {
		t.Errorf("%+v", e)
	}
	// Oneself, and the session can begin again.
	green.call("delete_agent", map[string]any{"name": "GreenCastle"}, nil)
	green.call("register_agent", map[string]any{"name": "GreenCastle"}, nil)
	green.call("fetch_inbox", nil, nil)
}
