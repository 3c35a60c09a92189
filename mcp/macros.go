package mcp

import (
	"cmp"
	"context"
	"strings"

	"github.com/git-agentmail/git-agentmail/mailbox"
)

var macroTools = []tool{
	{
		name: "macro_start_session", cluster: "workflow_macros", is: adds,
		about: "Begin: register yourself, reserve files if you name some, and read your inbox",
		hint:  "begin work register reserve inbox in one call",
		params: []param{
			{name: "human_key", about: "Absolute path of the repository. Default: where the server runs"},
			{name: "program"}, {name: "model"},
			{name: "task_description", def: ""},
			{name: "agent_name", about: "Default: a memorable new one"},
			{name: "file_reservation_paths", kind: texts},
			{name: "file_reservation_reason", def: "macro-session"},
			{name: "file_reservation_ttl_seconds", kind: integer, def: 3600},
			{name: "inbox_limit", kind: integer, def: 10},
			format,
		},
		run: startSession,
	},
	{
		name: "macro_prepare_thread", cluster: "workflow_macros", is: adds,
		about: "Prepare to write in a thread: register, read its summary and your inbox",
		params: []param{
			projectKey,
			{name: "thread_id", required: true},
			{name: "program"}, {name: "model"},
			as("agent_name"),
			{name: "task_description", def: ""},
			{name: "register_if_missing", kind: boolean, def: true},
			{name: "include_examples", kind: boolean, def: true, about: "With the first messages"},
			{name: "inbox_limit", kind: integer, def: 10},
			{name: "include_inbox_bodies", kind: boolean, def: false},
			{name: "llm_mode", kind: boolean, def: true},
			{name: "llm_model"},
			format,
		},
		run: prepareThread,
	},
	{
		name: "macro_file_reservation_cycle", cluster: "workflow_macros", is: settles,
		about: "Reserve files and, with auto_release, release them at once",
		params: []param{
			projectKey, as("agent_name"),
			{name: "paths", kind: texts, required: true},
			{name: "ttl_seconds", kind: integer, def: 3600},
			{name: "exclusive", kind: boolean, def: true},
			{name: "reason", def: "macro-file_reservation"},
			{name: "auto_release", kind: boolean, def: false},
			format,
		},
		run: reservationCycle,
	},
	{
		name: "macro_contact_handshake", cluster: "workflow_macros", is: adds,
		about: "Ask an agent for contact; approve and welcome in its place if you say so",
		params: []param{
			projectKey, as("requester"),
			{name: "target"},
			{name: "reason", def: ""},
			{name: "ttl_seconds", kind: integer, def: 604800},
			{name: "auto_accept", kind: boolean, def: false},
			{name: "welcome_subject"}, {name: "welcome_body"},
			{name: "to_project"},
			{name: "agent_name", about: "Same as requester"},
			{name: "to_agent", about: "Same as target"},
			{name: "register_if_missing", kind: boolean, def: true, about: "Of the target"},
			{name: "program"}, {name: "model"}, {name: "task_description"},
			{name: "thread_id", about: "Of the welcome"},
			format,
		},
		run: contactHandshake,
	},
}

func startSession(ctx context.Context, c *call) (any, error) {
	page, err := c.page("inbox_limit")
	if err != nil {
		return nil, err
	}
	r := mailbox.SessionRequest{Agent: c.registration(ctx), Inbox: mailbox.InboxQuery{Page: page},
		Reserve: mailbox.ReserveRequest{Patterns: c.texts("file_reservation_paths"), TTL: c.seconds("file_reservation_ttl_seconds"),
			Reason: c.text("file_reservation_reason"), Partial: true}}
	r.Agent.Name, r.Agent.Window = c.text("agent_name"), c.window()
	s, b, release, err := c.server.projects.StartSession(ctx, c.text("human_key"), r)
	c.hold(b, release)
	if s.Agent.ID != "" { // registered, whatever came after
		c.acts(b, s.Agent.Actor())
	}
	return s, err
}

func prepareThread(ctx context.Context, c *call) (any, error) {
	page, err := c.page("inbox_limit")
	if err != nil {
		return nil, err
	}
	b, who, err := c.actor(ctx, "agent_name")
	if err != nil {
		return nil, err
	}
	r := mailbox.ThreadRequest{Thread: c.text("thread_id"),
		Summary: c.worded(mailbox.SummaryQuery{Examples: c.boolean("include_examples")}),
		Inbox:   mailbox.InboxQuery{Bodies: c.boolean("include_inbox_bodies"), Page: page}}
	if c.boolean("register_if_missing") {
		p := c.registration(ctx)
		p.Window = c.window()
		if p.Name = c.text("agent_name"); p.Name == "" && who.Kind == mailbox.IsAgent {
			p.Name = who.Name
		}
		r.Agent = &p
	}
	p, err := b.PrepareThread(ctx, who, r)
	if p.Agent.ID != "" {
		c.acts(b, p.Agent.Actor())
	}
	return p, err
}

func reservationCycle(ctx context.Context, c *call) (any, error) {
	b, who, err := c.actor(ctx, "agent_name")
	if err != nil {
		return nil, err
	}
	return b.ReserveBriefly(ctx, who, c.reservation(c.texts("paths")...), c.boolean("auto_release"))
}

func contactHandshake(ctx context.Context, c *call) (any, error) {
	requester := "requester"
	if strings.TrimSpace(c.text(requester)) == "" {
		requester = "agent_name"
	}
	b, who, err := c.actor(ctx, requester)
	if err != nil {
		return nil, err
	}
	r := mailbox.HandshakeRequest{Target: cmp.Or(strings.TrimSpace(c.text("target")), c.text("to_agent")), Reason: c.text("reason"), TTL: c.seconds("ttl_seconds"),
		Accept: c.boolean("auto_accept"), WelcomeSubject: c.text("welcome_subject"), WelcomeBody: c.text("welcome_body"), Thread: c.text("thread_id")}
	if c.boolean("register_if_missing") {
		p := c.registration(ctx)
		r.Missing = &p
	}
	if to := c.text("to_project"); to != "" {
		other, release, err := c.server.projects.Open(ctx, to)
		if err != nil {
			return nil, err
		}
		defer release()
		r.Project = other.Project()
	}
	return b.ContactHandshake(ctx, who, r)
}
