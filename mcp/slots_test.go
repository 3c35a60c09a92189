package mcp

import "testing"

func TestSlots(t *testing.T) {
	env := environ(t)
	dir := repository(t, env)
	blue, green := connect(t, options(t, dir, env, Full)), connect(t, options(t, dir, env, Full))
	type slot struct {
		Slot, Agent, Branch string
		Exclusive           bool
		AcquiredTS          string `json:"acquired_ts"`
		ExpiresTS           string `json:"expires_ts"`
	}
	var got struct {
		Granted   slot
		Conflicts []slot
	}
	blue.call("register_agent", map[string]any{"name": "BlueLake", "program": "p", "model": "m"}, nil)
	blue.call("acquire_build_slot", map[string]any{"slot": "build"}, &got)
	if g := got.Granted; g.Slot != "build" || g.Agent != "BlueLake" || g.Branch != "main" || !g.Exclusive || g.AcquiredTS == "" || g.ExpiresTS == "" || got.Conflicts == nil || len(got.Conflicts) != 0 {
		t.Errorf("got %+v", got)
	}
	green.call("acquire_build_slot", map[string]any{"agent_name": "NotRegistered", "slot": "build", "ttl_seconds": 5}, &got)
	if got.Granted.Agent != "NotRegistered" || len(got.Conflicts) != 1 || got.Conflicts[0].Agent != "BlueLake" {
		t.Errorf("got %+v", got)
	}
	green.call("acquire_build_slot", map[string]any{"agent_name": "NotRegistered", "slot": "build", "exclusive": false}, &got)
	if got.Granted.Exclusive || len(got.Conflicts) != 0 {
		t.Errorf("got %+v", got)
	}
	var renewed struct {
		Renewed   bool
		ExpiresTS string `json:"expires_ts"`
	}
	blue.call("renew_build_slot", map[string]any{"slot": "e2e"}, &renewed)
	if !renewed.Renewed || renewed.ExpiresTS == "" {
		t.Errorf("got %+v", renewed)
	}
	var released struct {
		Released   bool
		ReleasedAt string `json:"released_at"`
	}
	for _, want := range []bool{true, false} {
		released.Released = !want
		blue.call("release_build_slot", map[string]any{"slot": "build"}, &released)
		if released.Released != want || released.ReleasedAt == "" {
			t.Errorf("got %+v", released)
		}
	}
	if e := green.fails("acquire_build_slot", map[string]any{"slot": "build"}); e.Data["code"] != "no_agent" {
		t.Errorf("got %+v", e)
	}
	if e := green.fails("acquire_build_slot", map[string]any{"agent_name": "YOUR_AGENT", "slot": "build"}); e.Type != "CONFIGURATION_ERROR" {
		t.Errorf("got %+v", e)
	}
	if e := blue.fails("release_build_slot", map[string]any{"slot": " "}); e.Type != "INVALID_ARGUMENT" {
		t.Errorf("got %+v", e)
	}
}
