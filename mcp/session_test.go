package mcp

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/git-agentmail/git-agentmail/mailbox"
)

// TestThreads: one client may run several sessions, and says with each call which of them
// is calling. Its hooks are told the same key.
func TestThreads(t *testing.T) {
	env := environ(t)
	dir := repository(t, env)
	c := connect(t, options(t, dir, env, Lean))
	call := func(thread, tool string, args map[string]any) toolResult {
		t.Helper()
		params := map[string]any{"name": tool, "arguments": args}
		if thread != "" {
			params["_meta"] = map[string]any{"x-codex-turn-metadata": map[string]any{"session_id": thread, "turn_id": "t"}}
		}
		r := c.request("tools/call", params)
		var res toolResult
		if r.Error != nil || json.Unmarshal(r.Result, &res) != nil {
			t.Fatalf("%s: %+v", tool, r)
		}
		return res
	}
	me := map[string]any{"program": "codex", "model": "gpt-5"}
	for thread, name := range map[string]string{"one": "BlueLake", "two": "GreenCastle"} {
		me["name"] = name
		if r := call(thread, "register_agent", me); r.IsError {
			t.Fatal(r.Content[0].Text)
		}
	}
	if r := call("one", "send_message", map[string]any{"to": "GreenCastle", "subject": "s", "body_md": "b"}); r.IsError {
		t.Error(r.Content[0].Text)
	}
	var inbox []struct{ From string }
	if r := call("two", "fetch_inbox", nil); json.Unmarshal([]byte(r.Content[0].Text), &inbox) != nil || len(inbox) != 1 || inbox[0].From != "BlueLake" {
		t.Errorf("two has %s", r.Content[0].Text)
	}
	for _, thread := range []string{"three", ""} {
		if r := call(thread, "fetch_inbox", nil); !r.IsError {
			t.Errorf("%q is taken for somebody: %s", thread, r.Content[0].Text)
		}
	}

	b, err := mailbox.Open(t.Context(), mailbox.Options{Dir: dir, Environ: env})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for thread, name := range map[string]string{"one": "BlueLake", "two": "GreenCastle", "three": ""} {
		who, err := b.Who(t.Context(), mailbox.Caller{Session: thread, Client: true, Getenv: func(string) string { return "" }})
		if err != nil || who.Name != name {
			t.Errorf("the hook of %s is %+v, %v", thread, who, err)
		}
	}
}

// TestTwoAgents: a session that has acted as two agents has none by itself.
func TestTwoAgents(t *testing.T) {
	env := environ(t)
	c := connect(t, options(t, repository(t, env), env, Full))
	c.call("register_agent", map[string]any{"name": "BlueLake", "program": "p", "model": "m"}, nil)
	c.call("fetch_inbox", nil, nil)
	c.call("register_agent", map[string]any{"name": "GreenCastle", "program": "p", "model": "m"}, nil)
	if e := c.fails("fetch_inbox", nil); e.Data["code"] != "no_agent" {
		t.Errorf("%+v", e)
	}
	c.call("fetch_inbox", map[string]any{"agent_name": "BlueLake"}, nil)
}

// TestManyThreads: so many sessions of one client are remembered, and no more.
func TestManyThreads(t *testing.T) {
	var many threads
	first := &session{client: &mailbox.Session{}}
	one := many.thread(first, "0")
	for i := range 2 * maxThreads {
		many.thread(first, fmt.Sprint(i))
	}
	if len(many.byKey) != maxThreads || many.thread(first, "0") != one || many.thread(first, "another") != nil {
		t.Errorf("%d are remembered", len(many.byKey))
	}
}
