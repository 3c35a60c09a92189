package mcp

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

type reserved struct {
	Granted []struct {
		ID          string
		PathPattern string `json:"path_pattern"`
		Exclusive   bool
		Reason      string
		ExpiresTS   time.Time `json:"expires_ts"`
	}
	Conflicts []struct {
		Path    string
		Holders []struct {
			Agent       string
			PathPattern string `json:"path_pattern"`
		}
	}
	Warnings []string
}

// two returns the clients of two agents in one repository.
func two(t *testing.T) (dir string, blue, green *client) {
	t.Helper()
	env := environ(t)
	dir = repository(t, env)
	blue, green = connect(t, options(t, dir, env, Full)), connect(t, options(t, dir, env, Full))
	blue.call("register_agent", map[string]any{"name": "BlueLake", "program": "claude-code", "model": "opus"}, nil)
	green.call("register_agent", map[string]any{"name": "GreenCastle", "program": "codex", "model": "gpt-5"}, nil)
	return dir, blue, green
}

func TestReservePaths(t *testing.T) {
	t.Parallel()
	dir, blue, green := two(t)
	var r reserved
	blue.call("file_reservation_paths", map[string]any{"project_key": dir, "agent_name": "BlueLake", "paths": []string{"src/auth/**"}, "ttl_seconds": 7200, "reason": "FEAT-123", "exclusive": nil}, &r)
	if len(r.Granted) != 1 || r.Granted[0].PathPattern != "src/auth/**" || !r.Granted[0].Exclusive || r.Granted[0].Reason != "FEAT-123" || len(r.Conflicts) != 0 ||
		time.Until(r.Granted[0].ExpiresTS).Round(time.Minute) != 2*time.Hour {
		t.Fatalf("%+v", r)
	}
	// A conflict is no error: it is listed, and the rest is granted. One text is a list.
	green.call("file_reservation_paths", map[string]any{"paths": []string{"src/auth/token.go", "doc/**"}, "exclusive": false}, &r)
	if len(r.Granted) != 1 || r.Granted[0].PathPattern != "doc/**" || r.Granted[0].Exclusive || len(r.Conflicts) != 1 || r.Conflicts[0].Holders[0].Agent != "BlueLake" {
		t.Errorf("%+v", r)
	}
	green.call("file_reservation_paths", map[string]any{"paths": "doc/**", "ttl_seconds": 30}, &r)
	if len(r.Granted) != 1 || !strings.Contains(strings.Join(r.Warnings, "\n"), "30s") {
		t.Errorf("%+v", r)
	}
	for _, broad := range []string{"*", "**", "."} {
		r = reserved{}
		green.call("file_reservation_paths", map[string]any{"paths": broad, "exclusive": false}, &r)
		if len(r.Warnings) == 0 {
			t.Errorf("%s: no warning: %+v", broad, r)
		}
	}
	for _, tt := range []struct {
		args      map[string]any
		typ, code string
		text      string
	}{
		{map[string]any{"paths": []string{}}, "EMPTY_PATHS", "invalid", "paths list cannot be empty"},
		{map[string]any{"paths": []string{""}}, "INVALID_ARGUMENT", "invalid", "empty"},
		{map[string]any{"paths": []string{"../x"}}, "INVALID_ARGUMENT", "invalid", "../x"},
		{map[string]any{"paths": []string{"x"}, "ttl_seconds": -1}, "INVALID_ARGUMENT", "invalid", "not positive"},
		{map[string]any{"paths": []string{"x"}, "agent_name": "NobodyHere"}, "NOT_FOUND", "not_found", "not found"},
		{map[string]any{"paths": []string{"x"}, "agent_name": "claude"}, "PROGRAM_NAME_AS_AGENT", "not_found", "not found"},
		{map[string]any{"paths": nil}, "MISSING_FIELD", "invalid", "paths"},
	} {
		if e := green.fails("file_reservation_paths", tt.args); e.Type != tt.typ || e.Data["code"] != tt.code || !strings.Contains(e.Message, tt.text) {
			t.Errorf("%v: %+v", tt.args, e)
		}
	}
}

func TestReserveAdvisory(t *testing.T) {
	t.Parallel()
	env := environ(t)
	dir := repository(t, env)
	git(t, dir, env, "config", "agentmail.reservations", "advisory")
	c := connect(t, options(t, dir, env, Full))
	for _, name := range []string{"BlueLake", "GreenCastle"} {
		c.call("register_agent", map[string]any{"name": name, "program": "p", "model": "m"}, nil)
	}
	c.call("file_reservation_paths", map[string]any{"agent_name": "BlueLake", "paths": "src/**"}, nil)
	var r reserved
	c.call("file_reservation_paths", map[string]any{"agent_name": "GreenCastle", "paths": "src/**"}, &r)
	if len(r.Granted) != 1 || len(r.Conflicts) != 1 {
		t.Errorf("%+v", r)
	}
}

func TestCreateReservation(t *testing.T) {
	t.Parallel()
	env := environ(t)
	dir := repository(t, env)
	c := connect(t, options(t, dir, env, Full))
	var r reserved
	c.call("create_file_reservation", map[string]any{"project_key": dir, "agent_name": "RedFox", "path_pattern": "src/**"}, &r)
	if len(r.Granted) != 1 || len(r.Conflicts) != 0 || len(r.Warnings) == 0 {
		t.Errorf("%+v", r)
	}
	// It is this session's agent from then on.
	var released struct{ Released int }
	if c.call("release_file_reservations", nil, &released); released.Released != 1 {
		t.Errorf("%+v", released)
	}
	if e := c.fails("create_file_reservation", map[string]any{"agent_name": "codex", "path_pattern": "src/**"}); e.Type != "PROGRAM_NAME_AS_AGENT" {
		t.Errorf("%+v", e)
	}
	if e := c.fails("create_file_reservation", map[string]any{"agent_name": "GoldPeak", "path_pattern": ""}); e.Type != "INVALID_ARGUMENT" {
		t.Errorf("%+v", e)
	}
}

func TestReleaseAndRenew(t *testing.T) {
	t.Parallel()
	dir, blue, green := two(t)
	var r reserved
	blue.call("file_reservation_paths", map[string]any{"paths": []string{"a/**", "b/**", filepath.Join(dir, "c/**")}}, &r)
	green.call("file_reservation_paths", map[string]any{"paths": []string{"d/**"}}, nil)
	ids := map[string]string{}
	for _, g := range r.Granted {
		ids[g.PathPattern] = g.ID
	}
	var renewed struct {
		Renewed int
		Rows    []struct {
			ID  string
			Old time.Time `json:"old_expires_ts"`
			New time.Time `json:"new_expires_ts"`
		} `json:"file_reservations"`
	}
	for _, tt := range []struct {
		args map[string]any
		n    int
		by   time.Duration
	}{
		{map[string]any{"paths": []string{"a/**"}}, 1, 30 * time.Minute},
		{map[string]any{"file_reservation_ids": []string{ids["b/**"][:5]}, "extend_seconds": 5}, 1, time.Minute},
		{map[string]any{"extend_seconds": 600}, 3, 10 * time.Minute},
		{map[string]any{"paths": []string{"d/**"}}, 0, 0},
	} {
		blue.call("renew_file_reservations", tt.args, &renewed)
		if renewed.Renewed != tt.n || len(renewed.Rows) != tt.n {
			t.Errorf("%v: %+v", tt.args, renewed)
			continue
		}
		for _, row := range renewed.Rows {
			if d := row.New.Sub(row.Old).Round(10 * time.Second); d != tt.by {
				t.Errorf("%v: by %s", tt.args, d)
			}
		}
	}
	for _, list := range []string{"paths", "file_reservation_ids"} {
		for _, tool := range []string{"release_file_reservations", "renew_file_reservations"} {
			if e := blue.fails(tool, map[string]any{list: []string{}}); e.Type != "EMPTY_PATHS" {
				t.Errorf("%s: %+v", tool, e)
			}
		}
	}
	for _, tt := range []struct {
		args map[string]any
		n    int
	}{
		{map[string]any{"paths": []string{"a/**", "b/**"}, "file_reservation_ids": []string{ids["b/**"]}}, 1},
		{map[string]any{"paths": []string{"d/**"}}, 0},
		{map[string]any{"paths": []string{filepath.Join(dir, "c/**")}}, 1},
		{map[string]any{"paths": nil, "file_reservation_ids": nil}, 1},
		{nil, 0},
	} {
		var got struct {
			Released   *int
			ReleasedAt time.Time `json:"released_at"`
		}
		if blue.call("release_file_reservations", tt.args, &got); got.Released == nil || *got.Released != tt.n || got.ReleasedAt.IsZero() {
			t.Errorf("%v: %+v", tt.args, got)
		}
	}
}

func TestForceRelease(t *testing.T) {
	t.Parallel()
	env := environ(t)
	dir := repository(t, env)
	opt := options(t, dir, env, Full)
	late := time.Duration(0)
	opt.Mailbox.Now = func() time.Time { return time.Now().Add(late) }
	c := connect(t, opt)
	for _, name := range []string{"BlueLake", "GreenCastle"} {
		c.call("register_agent", map[string]any{"name": name, "program": "p", "model": "m"}, nil)
	}
	var r reserved
	c.call("file_reservation_paths", map[string]any{"agent_name": "BlueLake", "paths": "src/**"}, &r)
	id := r.Granted[0].ID
	e := c.fails("force_release_file_reservation", map[string]any{"agent_name": "GreenCastle", "file_reservation_id": id})
	if reasons, _ := e.Data["stale_reasons"].([]any); e.Type != "RESERVATION_ACTIVE" || len(reasons) == 0 {
		t.Errorf("%+v", e)
	}
	for _, unknown := range []any{12345, "zzzz"} {
		if e := c.fails("force_release_file_reservation", map[string]any{"agent_name": "GreenCastle", "file_reservation_id": unknown}); e.Type != "NOT_FOUND" || !strings.Contains(e.Message, "not found") {
			t.Errorf("%v: %+v", unknown, e)
		}
	}
	late = 40 * time.Minute
	for i := range 2 {
		var f struct {
			Released        int
			AlreadyReleased bool `json:"already_released"`
			Reservation     struct {
				Agent        string
				Notified     bool
				StaleReasons []string `json:"stale_reasons"`
			}
		}
		c.call("force_release_file_reservation", map[string]any{"agent_name": "GreenCastle", "file_reservation_id": id[:6], "note": "no answer"}, &f)
		if f.Released != 1-i || f.AlreadyReleased != (i == 1) || f.Reservation.Agent != "BlueLake" || f.Reservation.Notified != (i == 0) || i == 0 && len(f.Reservation.StaleReasons) == 0 {
			t.Errorf("%+v", f)
		}
	}
	var inbox []struct{ Subject string }
	c.call("fetch_inbox", map[string]any{"agent_name": "BlueLake"}, &inbox)
	if len(inbox) != 1 || inbox[0].Subject != "[file-reservations] Released stale lock on src/**" {
		t.Errorf("%+v", inbox)
	}
}

func TestGuardTools(t *testing.T) {
	t.Parallel()
	env := environ(t)
	dir, other := repository(t, env), repository(t, env)
	opt := options(t, dir, env, Full)
	opt.Binary = "/bin/true"
	c := connect(t, opt)
	var in struct{ Hook string }
	c.call("install_precommit_guard", map[string]any{"project_key": dir, "code_repo_path": dir}, &in)
	if data, err := os.ReadFile(in.Hook); !filepath.IsAbs(in.Hook) || err != nil || !strings.Contains(string(data), "git-agentmail") {
		t.Errorf("%q: %v", in.Hook, err)
	}
	for _, want := range []bool{true, false} {
		var out struct{ Removed bool }
		if c.call("uninstall_precommit_guard", map[string]any{"code_repo_path": dir}, &out); out.Removed != want {
			t.Errorf("removed %v, want %v", out.Removed, want)
		}
	}
	if e := c.fails("install_precommit_guard", map[string]any{"project_key": other, "code_repo_path": dir}); e.Type != "INVALID_ARGUMENT" || !strings.Contains(e.Message, "another repository") {
		t.Errorf("%+v", e)
	}
	if e := c.fails("install_precommit_guard", map[string]any{"code_repo_path": "src"}); e.Type != "INVALID_ARGUMENT" {
		t.Errorf("%+v", e)
	}
	if e := c.fails("install_precommit_guard", map[string]any{"code_repo_path": t.TempDir()}); e.Data["code"] != "not_found" {
		t.Errorf("%+v", e)
	}
}
