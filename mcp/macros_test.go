package mcp

import (
	"strings"
	"testing"
)

func TestMacroStartSession(t *testing.T) {
	t.Parallel()
	dir, blue, _ := two(t)
	blue.call("file_reservation_paths", map[string]any{"paths": "src/**"}, nil)
	blue.call("send_message", map[string]any{"to": "GreenCastle", "subject": "Hello", "body_md": "I hold src."}, nil)
	env := environ(t)
	c := connect(t, options(t, t.TempDir(), env, Full))
	type session struct {
		Project      struct{ ID, Slug string }
		Agent        struct{ Name string }
		Reservations reserved `json:"file_reservations"`
		Inbox        []map[string]any
	}
	var s session
	c.call("macro_start_session", map[string]any{"human_key": dir, "program": "codex", "model": "gpt-5", "agent_name": "GreenCastle",
		"file_reservation_paths": []string{"src/auth/**", "doc/**"}, "inbox_limit": 5}, &s)
	if s.Agent.Name != "GreenCastle" || s.Project.ID == "" || len(s.Reservations.Granted) != 1 || s.Reservations.Granted[0].Reason != "macro-session" ||
		len(s.Reservations.Conflicts) != 1 || len(s.Inbox) != 1 || s.Inbox[0]["subject"] != "Hello" || s.Inbox[0]["body_md"] != nil {
		t.Errorf("%+v", s)
	}
	// The session is GreenCastle's, in the project that was named.
	var released struct{ Released int }
	if c.call("release_file_reservations", map[string]any{"project_key": dir}, &released); released.Released != 1 {
		t.Errorf("%+v", released)
	}
	// Without a name somebody new begins; an empty list reserves nothing.
	for _, none := range []any{nil, []string{}} {
		s = session{}
		blue.call("macro_start_session", map[string]any{"program": "p", "model": "m", "file_reservation_paths": none}, &s)
		if s.Agent.Name == "" || s.Agent.Name == "BlueLake" || s.Reservations.Granted == nil || len(s.Reservations.Granted) != 0 || s.Inbox == nil {
			t.Errorf("%+v", s)
		}
	}
	for typ, args := range map[string]map[string]any{
		"INVALID_LIMIT":       {"program": "p", "model": "m", "inbox_limit": 0},
		"EMPTY_PROGRAM":       {"program": "", "model": "m"},
		"INVALID_ARGUMENT":    {"program": "p", "model": "m", "file_reservation_paths": "../x"},
		"CONFIGURATION_ERROR": {"program": "p", "model": "m", "agent_name": "YOUR_AGENT_NAME"},
	} {
		if e := blue.fails("macro_start_session", args); e.Type != typ {
			t.Errorf("%v: %+v", args, e)
		}
	}
}

func TestMacroPrepareThread(t *testing.T) {
	t.Parallel()
	_, blue, green := two(t)
	blue.call("send_message", map[string]any{"to": "GreenCastle", "subject": "Plan", "body_md": "- [ ] write it", "thread_id": "FEAT-1"}, nil)
	type prepared struct {
		Agent  struct{ Name, Program string }
		Thread struct {
			ID       string `json:"thread_id"`
			Total    int    `json:"total_messages"`
			Examples []struct{ Subject, From string }
			Summary  map[string]any
		}
		Inbox []map[string]any
	}
	var p prepared
	green.call("macro_prepare_thread", map[string]any{"thread_id": "FEAT-1", "include_inbox_bodies": true}, &p)
	if p.Agent.Name != "GreenCastle" || p.Agent.Program != "codex" || p.Thread.ID != "FEAT-1" || p.Thread.Total != 1 || len(p.Thread.Examples) != 1 ||
		p.Thread.Examples[0].From != "BlueLake" || len(p.Inbox) != 1 || p.Inbox[0]["body_md"] == nil {
		t.Errorf("%+v", p)
	}
	p = prepared{}
	green.call("macro_prepare_thread", map[string]any{"thread_id": "FEAT-1", "include_examples": false, "program": "codex-cli", "model": "gpt-6"}, &p)
	if p.Agent.Name != "GreenCastle" || p.Agent.Program != "codex-cli" || len(p.Thread.Examples) != 0 || p.Inbox[0]["body_md"] != nil {
		t.Errorf("%+v", p)
	}
	// A session without an agent registers one, unless only one that is there will do.
	env := environ(t)
	fresh := connect(t, options(t, repository(t, env), env, Full))
	if e := fresh.fails("macro_prepare_thread", map[string]any{"thread_id": "FEAT-1", "register_if_missing": false}); e.Data["code"] != "no_agent" {
		t.Errorf("%+v", e)
	}
	if e := fresh.fails("macro_prepare_thread", map[string]any{"thread_id": "FEAT-1", "register_if_missing": false, "agent_name": "RedFox"}); e.Type != "NOT_FOUND" {
		t.Errorf("%+v", e)
	}
	p = prepared{}
	fresh.call("macro_prepare_thread", map[string]any{"thread_id": "FEAT-1", "program": "p", "model": "m", "agent_name": "RedFox"}, &p)
	if p.Agent.Name != "RedFox" || p.Thread.ID != "FEAT-1" || p.Thread.Total != 0 {
		t.Errorf("%+v", p)
	}
	if e := fresh.fails("macro_prepare_thread", map[string]any{"thread_id": "a b"}); e.Type != "INVALID_THREAD_ID" {
		t.Errorf("%+v", e)
	}
}

func TestMacroReservationCycle(t *testing.T) {
	t.Parallel()
	_, blue, _ := two(t)
	type cycle struct {
		Reservations reserved `json:"file_reservations"`
		Released     *struct {
			Released   int
			ReleasedAt string `json:"released_at"`
		}
	}
	for _, release := range []bool{true, false} {
		var c cycle
		blue.call("macro_file_reservation_cycle", map[string]any{"paths": []string{"a/**", "b/**"}, "auto_release": release}, &c)
		if len(c.Reservations.Granted) != 2 || c.Reservations.Granted[0].Reason != "macro-file_reservation" || (c.Released != nil) != release || release && (c.Released.Released != 2 || c.Released.ReleasedAt == "") {
			t.Errorf("%+v", c)
		}
	}
	if e := blue.fails("macro_file_reservation_cycle", map[string]any{"paths": []string{}}); e.Type != "EMPTY_PATHS" {
		t.Errorf("%+v", e)
	}
}

func TestMacroContactHandshake(t *testing.T) {
	t.Parallel()
	dir, blue, green := two(t)
	type handshake struct {
		Request  struct{ From, To, Status string }
		Response *struct{ Approved bool }
		Welcome  *struct{ Count int } `json:"welcome_message"`
	}
	var h handshake
	blue.call("macro_contact_handshake", map[string]any{"requester": "BlueLake", "target": "GreenCastle", "auto_accept": true, "to_project": dir}, &h)
	if h.Request.Status != "approved" || h.Response == nil || !h.Response.Approved || h.Welcome != nil {
		t.Errorf("%+v", h)
	}
	h = handshake{}
	blue.call("macro_contact_handshake", map[string]any{"agent_name": "BlueLake", "to_agent": "RedFox", "auto_accept": true, "welcome_subject": "Hello", "welcome_body": "Yours is doc."}, &h)
	if h.Request.To != "RedFox" || h.Request.Status != "pending" || h.Response == nil || h.Welcome == nil || h.Welcome.Count != 1 {
		t.Errorf("%+v", h)
	}
	if e := green.fails("macro_contact_handshake", map[string]any{"target": "GoldPeak", "register_if_missing": false}); e.Type != "NOT_FOUND" {
		t.Errorf("%+v", e)
	}
	if e := green.fails("macro_contact_handshake", nil); e.Type != "INVALID_ARGUMENT" || e.Data["argument"] != "target" {
		t.Errorf("%+v", e)
	}
	env := environ(t)
	if e := green.fails("macro_contact_handshake", map[string]any{"target": "BlueLake", "to_project": repository(t, env)}); e.Type != "INVALID_ARGUMENT" || !strings.Contains(e.Message, "another project") {
		t.Errorf("%+v", e)
	}
}
