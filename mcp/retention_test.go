package mcp

import (
	"testing"
	"time"
)

func TestPurgeOldMessages(t *testing.T) {
	env := environ(t)
	opt := options(t, repository(t, env), env, Full)
	now := time.Now()
	opt.Mailbox.Now = func() time.Time { return now }
	c := connect(t, opt)
	c.call("register_agent", map[string]any{"name": "BlueLake"}, nil)
	c.call("send_message", map[string]any{"to": "BlueLake", "subject": "s", "body_md": "b"}, nil)
	now = now.Add(200 * 24 * time.Hour)
	var r struct {
		Status   string
		Affected int    `json:"messages_affected"`
		Cutoff   string `json:"cutoff_date"`
		Days     int    `json:"max_age_days"`
	}
	if c.call("purge_old_messages", nil, &r); r.Status != "dry_run" || r.Affected != 1 || r.Days != 180 || r.Cutoff == "" {
		t.Errorf("%+v", r)
	}
	if c.call("purge_old_messages", map[string]any{"max_age_days": 300, "dry_run": false}, &r); r.Status != "purged" || r.Affected != 0 || r.Days != 300 {
		t.Errorf("%+v", r)
	}
	var inbox []any
	if c.call("fetch_inbox", nil, &inbox); len(inbox) != 1 {
		t.Errorf("%v", inbox)
	}
	if c.call("purge_old_messages", map[string]any{"dry_run": false}, &r); r.Status != "purged" || r.Affected != 1 {
		t.Errorf("%+v", r)
	}
	if c.call("fetch_inbox", nil, &inbox); len(inbox) != 0 {
		t.Errorf("%v", inbox)
	}
	if e := c.fails("purge_old_messages", map[string]any{"max_age_days": 0}); e.Type != "INVALID_ARGUMENT" {
		t.Errorf("%+v", e)
	}
}
