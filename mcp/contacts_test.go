package mcp

import "testing"

func TestContactTools(t *testing.T) {
	env := environ(t)
	dir, elsewhere := repository(t, env), repository(t, env)
	blue, green := connect(t, options(t, dir, env, Full)), connect(t, options(t, dir, env, Full))
	blue.call("register_agent", map[string]any{"name": "BlueLake"}, nil)
	green.call("register_agent", map[string]any{"name": "GreenCastle"}, nil)
	var r map[string]any
	blue.call("request_contact", map[string]any{"to_agent": "GreenCastle", "reason": "we share src", "to_project": dir, "ttl_seconds": 0}, &r)
	if r["from"] != "BlueLake" || r["to"] != "GreenCastle" || r["status"] != "pending" || r["from_project"] != dir || r["to_project"] != dir || r["expires_ts"] == nil || r["notification_message"] == nil {
		t.Errorf("%v", r)
	}
	var links []map[string]any
	blue.call("list_contacts", nil, &links)
	if len(links) != 1 || links[0]["to"] != "GreenCastle" || links[0]["to_project"] != dir || links[0]["status"] != "pending" || links[0]["reason"] != "we share src" || links[0]["updated_ts"] == nil || links[0]["expires_ts"] == nil {
		t.Errorf("%v", links)
	}
	green.call("respond_contact", map[string]any{"from_agent": "BlueLake", "accept": true}, &r)
	if r["approved"] != true || r["from"] != "BlueLake" || r["to"] != "GreenCastle" || r["updated"] != 1.0 || r["expires_ts"] == nil {
		t.Errorf("%v", r)
	}
	green.call("set_contact_policy", map[string]any{"policy": "whatever"}, &r)
	if r["agent"] != "GreenCastle" || r["policy"] != "auto" {
		t.Errorf("%v", r)
	}

	// Who is missing is registered, unless that is not wanted.
	if e := blue.fails("request_contact", map[string]any{"to_agent": "RedFox", "register_if_missing": false}); e.Type != "NOT_FOUND" {
		t.Errorf("%+v", e)
	}
	blue.call("request_contact", map[string]any{"to_agent": "RedFox", "model": "opus"}, nil)
	var red registered
	if blue.call("whois", map[string]any{"agent_name": "RedFox"}, &red); red.Program != "unknown" || red.Model != "opus" {
		t.Errorf("%+v", red)
	}
	if e := blue.fails("request_contact", map[string]any{"to_agent": "gpt-5"}); e.Type != "MODEL_NAME_AS_AGENT" {
		t.Errorf("%+v", e)
	}
	if e := blue.fails("request_contact", map[string]any{"to_agent": "BlueLake"}); e.Type != "INVALID_ARGUMENT" {
		t.Errorf("%+v", e)
	}
	// In another project it is an agent of the same name that asks.
	var abroad struct {
		From, To    string
		FromProject string `json:"from_project"`
		ToProject   string `json:"to_project"`
	}
	blue.call("request_contact", map[string]any{"to_agent": "GreenCastle", "to_project": elsewhere}, &abroad)
	if abroad.From != "BlueLake" || abroad.FromProject == abroad.ToProject || abroad.ToProject != elsewhere {
		t.Errorf("%+v", abroad)
	}
	var rows []struct{ From string }
	if blue.call("fetch_inbox", map[string]any{"project_key": elsewhere, "agent_name": "GreenCastle"}, &rows); len(rows) != 1 || rows[0].From != "BlueLake" {
		t.Errorf("%+v", rows)
	}
	if e := green.fails("respond_contact", map[string]any{"from_agent": "BlueLake"}); e.Type != "MISSING_FIELD" {
		t.Errorf("%+v", e)
	}
}
