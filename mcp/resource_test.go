package mcp

import (
	"encoding/json"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// read reads a resource that must be there.
func (c *client) read(uri string, v any) {
	c.t.Helper()
	r := c.request("resources/read", map[string]any{"uri": uri})
	if r.Error != nil {
		c.t.Fatalf("%s: %s", uri, r.Error.Message)
	}
	var res struct {
		Contents []struct{ URI, MimeType, Text string }
	}
	if err := json.Unmarshal(r.Result, &res); err != nil || len(res.Contents) != 1 {
		c.t.Fatalf("%s: %v: %s", uri, err, r.Result)
	}
	if got := res.Contents[0]; got.URI != uri || got.MimeType != "application/json" {
		c.t.Errorf("%s: got %+v", uri, got)
	}
	if err := json.Unmarshal([]byte(res.Contents[0].Text), v); err != nil {
		c.t.Fatalf("%s: %v in %s", uri, err, res.Contents[0].Text)
	}
}

type messages struct {
	Project, Agent string
	Count          int
	Messages       []struct {
		ID, Subject string
		Body        *string `json:"body_md"`
		Age         int     `json:"age_seconds"`
	}
}

// TestResources: what was said and reserved, read by address.
func TestResources(t *testing.T) {
	env := environ(t)
	dir := repository(t, env)
	clock := time.Now().Add(-3 * time.Hour)
	opt := options(t, dir, env, Full)
	opt.Mailbox.Now = func() time.Time { return clock }
	c := connect(t, opt)
	for _, name := range []string{"BlueLake", "GreenCastle"} {
		c.call("register_agent", map[string]any{"name": name, "program": "p", "model": "m"}, nil)
	}
	send := func(subject, importance string, ack bool) string {
		t.Helper()
		clock = clock.Add(time.Minute)
		var sent struct {
			Deliveries []struct{ Payload struct{ ID string } }
		}
		c.call("send_message", map[string]any{"sender_name": "BlueLake", "to": "GreenCastle", "subject": subject, "body_md": "words",
			"thread_id": "FEAT-1", "importance": importance, "ack_required": ack}, &sent)
		return sent.Deliveries[0].Payload.ID
	}
	first := send("first", "normal", true)
	clock = clock.Add(2 * time.Hour)
	send("second", "urgent", true)
	send("third", "normal", false)

	project := "project=" + url.QueryEscape(dir)
	for _, tc := range []struct {
		uri      string
		subjects string
		bodies   bool
	}{
		{"resource://inbox/GreenCastle?" + project + "&limit=20", "third second first", false},
		{"resource://inbox/GreenCastle?include_bodies=true&" + project, "third second first", true},
		{"resource://inbox/greencastle", "third second first", false},
		{"resource://inbox/GreenCastle%3F" + url.QueryEscape("limit=1&"+project), "third", false},
		{"resource://inbox/GreenCastle?urgent_only=1", "second", false},
		{"resource://inbox/BlueLake?" + project, "", false},
		{"resource://outbox/BlueLake?limit=2", "third second", false},
		{"resource://mailbox/GreenCastle", "third second first", true},
		{"resource://views/urgent-unread/GreenCastle", "second", false},
		{"resource://views/ack-required/GreenCastle", "second first", false},
		{"resource://views/acks-stale/GreenCastle?ttl_seconds=3600", "first", false},
		{"resource://views/ack-overdue/GreenCastle?ttl_minutes=0", "first second", false},
		{"resource://views/ack-overdue/GreenCastle", "first", false},
		{"resource://thread/FEAT-1?" + project + "&include_bodies=true", "first second third", true},
		{"resource://thread/FEAT-1", "first second third", false},
	} {
		var m messages
		c.read(tc.uri, &m)
		var subjects []string
		for _, row := range m.Messages {
			subjects = append(subjects, row.Subject)
			if (row.Body != nil) != tc.bodies {
				t.Errorf("%s: bodies: %v", tc.uri, row.Body != nil)
			}
		}
		if got := strings.Join(subjects, " "); got != tc.subjects || m.Project != dir {
			t.Errorf("%s: got %s, %s", tc.uri, got, m.Project)
		}
		if !strings.HasPrefix(tc.uri, "resource://thread") && m.Count != len(m.Messages) {
			t.Errorf("%s: %d counted, %d listed", tc.uri, m.Count, len(m.Messages))
		}
	}

	var one struct{ Subject, Body string }
	c.read("resource://message/"+first[:6]+"?"+project, &one)
	if one.Subject != "first" {
		t.Errorf("got %+v", one)
	}
	var who struct {
		Project struct{ Slug string }
		Agents  []struct {
			Name   string
			Unread int `json:"unread_count"`
		}
	}
	c.read("resource://agents/"+dir, &who)
	if len(who.Agents) != 2 || who.Agents[1].Unread != 3 {
		t.Errorf("got %+v", who)
	}
	var toon struct{ Format, Data string }
	c.read("resource://inbox/GreenCastle?format=toon", &toon)
	if toon.Format != "toon" || !strings.Contains(toon.Data, "messages[3]:") {
		t.Errorf("got %+v", toon)
	}
}

// TestResourceErrors: an address that leads nowhere, or whose query is not understood.
func TestResourceErrors(t *testing.T) {
	env := environ(t)
	c := connect(t, options(t, repository(t, env), env, Full))
	for uri, want := range map[string]string{
		"resource://inbx/A":                "did you mean resource://inbox/",
		"resource://inbox/Nobody":          "not found",
		"resource://message/aaaaaaaaaa":    "not found",
		"resource://message":               "needs message_id",
		"resource://inbox/A?limit=many":    "limit wants a whole number",
		"resource://inbox/A?colour=red":    "no parameter",
		"resource://inbox/A?limit=0":       "not found",
		"resource://tooling/recent/soon":   "window_seconds wants a whole number",
		"resource://":                      "not found",
		"resource://inbox/A?format=yaml":   "json or toon",
		"resource://thread/FEAT-9?limit=1": "no parameter",
	} {
		r := c.request("resources/read", map[string]any{"uri": uri})
		if r.Error == nil || !strings.Contains(r.Error.Message, want) {
			t.Errorf("%s: got %+v %s", uri, r.Error, r.Result)
		}
	}
}

// TestTooling: what the server says of itself.
func TestTooling(t *testing.T) {
	c := connect(t, options(t, t.TempDir(), environ(t), Full))
	c.call("health_check", nil, nil)
	c.fails("fetch_inbox", nil)
	var recent struct {
		Count   int
		Entries []struct{ Tool, Cluster string }
	}
	c.read("resource://tooling/recent/60", &recent)
	if recent.Count != 2 || recent.Entries[0].Tool != "health_check" || recent.Entries[1].Cluster != "messaging" {
		t.Errorf("got %+v", recent)
	}
	var metrics struct {
		Tools []struct {
			Name          string
			Calls, Errors int
		}
	}
	c.read("resource://tooling/metrics", &metrics)
	for _, m := range metrics.Tools {
		if m.Name == "fetch_inbox" && (m.Calls != 1 || m.Errors != 1) || m.Name == "health_check" && (m.Calls != 1 || m.Errors != 0) {
			t.Errorf("got %+v", m)
		}
	}
	var dir struct {
		Clusters []struct {
			Name  string
			Tools []struct {
				Name     string
				Examples []struct{ Sample string } `json:"usage_examples"`
			}
		}
	}
	c.read("resource://tooling/directory", &dir)
	n := 0
	for _, cl := range dir.Clusters {
		n += len(cl.Tools)
	}
	if n != len(c.listed()) {
		t.Errorf("%d tools in clusters, %d listed", n, len(c.listed()))
	}
}

// TestResourceLists: every address of the contract is listed as it is there.
func TestResourceLists(t *testing.T) {
	c := connect(t, options(t, t.TempDir(), environ(t), Lean))
	var templates struct {
		ResourceTemplates []struct {
			URI string `json:"uriTemplate"`
		}
	}
	var plain struct{ Resources []struct{ URI string } }
	if err := json.Unmarshal(c.request("resources/templates/list", nil).Result, &templates); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(c.request("resources/list", nil).Result, &plain); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range templates.ResourceTemplates {
		got = append(got, r.URI)
	}
	for _, r := range plain.Resources {
		got = append(got, r.URI)
	}
	if slices.Contains(got, scheme+"_") {
		t.Error("what reads them is listed")
	}
	for _, want := range contractResources(t) {
		if !slices.Contains(got, want) {
			t.Errorf("%s is not listed", want)
		}
	}
}

// contractResources are the addresses of the contract.
func contractResources(t *testing.T) (list []string) {
	t.Helper()
	data, err := os.ReadFile("../testdata/mcp/tools.json")
	var c struct {
		Resources []struct {
			URI string `json:"uri_template"`
		}
	}
	if err != nil || json.Unmarshal(data, &c) != nil || len(c.Resources) < 20 {
		t.Fatalf("%d resources, %v", len(c.Resources), err)
	}
	for _, r := range c.Resources {
		list = append(list, r.URI)
	}
	return list
}
