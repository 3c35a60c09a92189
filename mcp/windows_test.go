package mcp

import (
	"slices"
	"testing"
)

func TestWindowTools(t *testing.T) {
	const uuid = "0d7c1a52-9f1e-4c56-8b1d-0123456789ab"
	env := environ(t)
	dir := repository(t, env)
	in := append(slices.Clone(env), "MCP_AGENT_MAIL_WINDOW_ID="+uuid)
	var a, again registered
	connect(t, options(t, dir, in, Full)).call("register_agent", map[string]any{"name": "BlueLake"}, &a)
	if a.Window != uuid || a.WindowName != "BlueLake" {
		t.Errorf("%+v", a)
	}
	c := connect(t, options(t, dir, in, Full)) // the agent's program was started again in its window
	if c.call("register_agent", nil, &again); again.ID != a.ID {
		t.Errorf("%+v", again)
	}
	var raw struct {
		Identities []map[string]any
		Count      int
	}
	c.call("list_window_identities", nil, &raw)
	if raw.Count != 1 || len(raw.Identities) != 1 {
		t.Fatalf("%+v", raw)
	}
	for _, key := range []string{"id", "window_uuid", "display_name", "created_ts", "last_active_ts", "expires_ts", "age_days"} {
		if _, ok := raw.Identities[0][key]; !ok {
			t.Errorf("no %s in %v", key, raw)
		}
	}
	var renamed, expired map[string]any
	c.call("rename_window", map[string]any{"window_uuid": uuid, "new_display_name": "RedFox"}, &renamed)
	if renamed["display_name"] != "RedFox" || renamed["old_display_name"] != "BlueLake" || renamed["window_uuid"] != uuid || renamed["id"] == nil || renamed["last_active_ts"] == nil {
		t.Errorf("%v", renamed)
	}
	c.call("expire_window", map[string]any{"window_uuid": uuid}, &expired)
	if expired["expired"] != true || expired["display_name"] != "RedFox" || expired["window_uuid"] != uuid || expired["expired_at"] == nil {
		t.Errorf("%v", expired)
	}
	for _, tc := range []struct {
		tool string
		args map[string]any
		typ  string
	}{
		{"expire_window", map[string]any{"window_uuid": uuid}, "WINDOW_NOT_FOUND"},
		{"expire_window", map[string]any{"window_uuid": "x"}, "INVALID_WINDOW_UUID"},
		{"rename_window", map[string]any{"window_uuid": uuid, "new_display_name": "!"}, "INVALID_DISPLAY_NAME"},
	} {
		if e := c.fails(tc.tool, tc.args); e.Type != tc.typ {
			t.Errorf("%s: %+v", tc.tool, e)
		}
	}
}
