package mcp

import (
	"context"
	"strings"

	"github.com/git-agentmail/git-agentmail/mailbox"
)

var contactTools = []tool{
	{
		name: "request_contact", cluster: "contact", is: adds,
		about: "Ask another agent for leave to write to it",
		params: []param{
			projectKey, as("from_agent"),
			{name: "to_agent", required: true},
			{name: "to_project", about: "Its repository, if it is another"},
			{name: "reason", def: ""},
			{name: "ttl_seconds", kind: integer, def: 604800},
			{name: "register_if_missing", kind: boolean, def: true, about: "Register to_agent if nobody has that name"},
			{name: "program"}, {name: "model"}, {name: "task_description"},
			format,
		},
		run: requestContact,
	},
	{
		name: "respond_contact", cluster: "contact", is: settles,
		about: "Approve or deny another agent's request for contact",
		params: []param{
			projectKey, as("to_agent"),
			{name: "from_agent", required: true, about: "Who asked"},
			{name: "accept", kind: boolean, required: true},
			{name: "ttl_seconds", kind: integer, def: 2592000},
			{name: "from_project"},
			format,
		},
		run: respondContact,
	},
	{
		name: "list_contacts", cluster: "contact", is: reads,
		about:  "List whom you may write to, or asked for that",
		params: []param{projectKey, as("agent_name"), format},
		run: func(ctx context.Context, c *call) (any, error) {
			b, who, err := c.actor(ctx, "agent_name")
			if err != nil {
				return nil, err
			}
			return b.Contacts(ctx, who, mailbox.Page{})
		},
	},
	{
		name: "set_contact_policy", cluster: "contact", is: settles,
		about: "Choose who may write to you",
		params: []param{
			projectKey, as("agent_name"),
			{name: "policy", required: true, about: "open, auto, contacts_only or block_all"},
			format,
		},
		run: func(ctx context.Context, c *call) (any, error) {
			b, who, err := c.actor(ctx, "agent_name")
			if err != nil {
				return nil, err
			}
			return b.SetContactPolicy(ctx, who, c.text("policy"))
		},
	},
}

func requestContact(ctx context.Context, c *call) (any, error) {
	b, who, err := c.actor(ctx, "from_agent")
	if err != nil {
		return nil, err
	}
	var missing *mailbox.RegisterRequest
	if c.boolean("register_if_missing") {
		missing = &mailbox.RegisterRequest{Program: c.text("program"), Model: c.text("model"), Task: c.text("task_description")}
	}
	return c.server.projects.RequestContact(ctx, b, who, c.text("to_agent"), strings.TrimSpace(c.text("to_project")), c.text("reason"), c.span("ttl_seconds"), missing)
}

// respondContact answers in one's own project, whatever project it was asked from: who asks
// from another one does so as an agent of the same name that was made here.
func respondContact(ctx context.Context, c *call) (any, error) {
	b, who, err := c.actor(ctx, "to_agent")
	if err != nil {
		return nil, err
	}
	if key := strings.TrimSpace(c.text("from_project")); key != "" {
		_, release, err := c.server.projects.Open(ctx, key)
		if err != nil {
			return nil, err
		}
		release()
	}
	return b.RespondContact(ctx, who, c.text("from_agent"), c.boolean("accept"), c.span("ttl_seconds"))
}
