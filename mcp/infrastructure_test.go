package mcp

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestHealth(t *testing.T) {
	env := environ(t)
	dir := repository(t, env)
	c := connect(t, options(t, dir, env, Full))
	health := func() map[string]any {
		t.Helper()
		var got map[string]any
		c.call("health_check", nil, &got)
		return got
	}
	got := health()
	if got["status"] != "ok" || got["environment"] != "local" || got["database_url"] != "" || got["http_host"] != "" || got["http_port"] != 0.0 {
		t.Errorf("got %v", got)
	}
	c.call("register_agent", map[string]any{"program": "p", "model": "m"}, nil)
	if got := health(); got["database_url"] != filepath.Join(dir, ".git") {
		t.Errorf("got %v", got)
	}
}

// TestProjects: one server, several repositories, named in every way.
func TestProjects(t *testing.T) {
	env := environ(t)
	here, there := repository(t, env), repository(t, env)
	c := connect(t, options(t, here, env, Full))
	var p struct {
		ID, Slug string
		HumanKey string `json:"human_key"`
		RepoRoot string `json:"repo_root"`
		Branch   any
		Identity map[string]any
	}
	c.call("ensure_project", map[string]any{"human_key": there + "/some/where", "identity_mode": "dir"}, &p)
	if p.HumanKey != there || p.RepoRoot != there || p.Branch != "main" || p.Identity["slug"] != p.Slug || p.Identity["project_uid"] == nil {
		t.Errorf("got %+v", p)
	}
	for _, key := range []string{there, there + "/.git", p.Slug, p.ID, p.ID[:5]} {
		var a struct {
			Name      string
			ProjectID string `json:"project_id"`
		}
		c.call("register_agent", map[string]any{"project_key": key, "name": "BlueLake", "program": "p", "model": "m"}, &a)
		if a.Name != "BlueLake" || a.ProjectID != p.ID {
			t.Errorf("%q: got %+v", key, a)
		}
	}
	// The session's agent is one for each project.
	if e := c.fails("fetch_inbox", nil); e.Data["code"] != "no_agent" {
		t.Errorf("got %+v", e)
	}
	c.call("fetch_inbox", map[string]any{"project_key": p.Slug}, nil)
	for _, tc := range []struct{ tool, key, value, typ, text string }{
		{"fetch_inbox", "project_key", "", "INVALID_ARGUMENT", "empty"},
		{"fetch_inbox", "project_key", "nowhere", "NOT_FOUND", "not found"},
		{"fetch_inbox", "project_key", "YOUR_PROJECT", "CONFIGURATION_ERROR", "placeholder"},
		{"ensure_project", "human_key", "", "INVALID_ARGUMENT", "empty"},
		{"ensure_project", "human_key", "my-project", "INVALID_ARGUMENT", "absolute directory path"},
		{"ensure_project", "human_key", "/x/{PROJECT}", "CONFIGURATION_ERROR", "placeholder"},
	} {
		if e := c.fails(tc.tool, map[string]any{tc.key: tc.value}); e.Type != tc.typ || !strings.Contains(e.Message, tc.text) {
			t.Errorf("%+v: got %+v", tc, e)
		}
	}
	outside := filepath.Join(t.TempDir(), "new")
	if e := c.fails("register_agent", map[string]any{"project_key": outside, "program": "p", "model": "m"}); e.Type != "NOT_FOUND" {
		t.Errorf("got %+v", e)
	}
	c.call("ensure_project", map[string]any{"human_key": outside}, &p)
	if p.HumanKey != outside {
		t.Errorf("got %+v", p)
	}
	c.call("register_agent", map[string]any{"project_key": outside, "program": "p", "model": "m"}, nil)
}
