package mcp

import (
	"context"

	"github.com/git-agentmail/git-agentmail/mailbox"
)

var messagingTools = []tool{
	{
		name: "send_message", cluster: "messaging", is: adds,
		about: "Send a message to other agents of this repository",
		lean:  "to subject body_md thread_id importance ack_required", hint: "mail message tell ask notify agents",
		params: []param{
			projectKey, as("sender_name"),
			{name: "to", kind: texts, required: true, about: "Agent names"},
			{name: "subject", required: true},
			{name: "body_md", required: true, about: "Markdown"},
			{name: "cc", kind: texts}, {name: "bcc", kind: texts},
			{name: "attachment_paths", kind: texts},
			{name: "convert_images", kind: boolean},
			{name: "importance", def: "normal", enum: []string{"low", "normal", "high", "urgent"}},
			{name: "ack_required", kind: boolean, def: false},
			{name: "thread_id", about: "Thread to write in, such as a ticket"},
			{name: "broadcast", kind: boolean, def: false},
			{name: "topic"},
			{name: "auto_contact_if_blocked", kind: boolean},
			{name: "sender_token"},
			format,
		},
		run: sendMessage,
	},
	{
		name: "fetch_inbox", cluster: "messaging", is: reads,
		about: "List your messages, the newest first; nothing is marked as read",
		lean:  "limit urgent_only include_bodies since_ts",
		params: []param{
			projectKey, as("agent_name"),
			{name: "limit", kind: integer, def: 20},
			{name: "urgent_only", kind: boolean, def: false},
			{name: "include_bodies", kind: boolean, def: false},
			{name: "since_ts", about: "ISO time; only newer ones"},
			{name: "topic"},
			format,
		},
		run: fetchInbox,
	},
}

func sendMessage(ctx context.Context, c *call) (any, error) {
	b, who, err := c.actor(ctx, "sender_name")
	if err != nil {
		return nil, err
	}
	return b.Send(ctx, who, mailbox.Draft{
		To: c.texts("to"), CC: c.texts("cc"), BCC: c.texts("bcc"),
		Subject: c.text("subject"), Body: c.text("body_md"), Thread: c.text("thread_id"), Topic: c.text("topic"),
		Importance: c.text("importance"), AckRequired: c.boolean("ack_required"), Broadcast: c.boolean("broadcast"),
	})
}

func fetchInbox(ctx context.Context, c *call) (any, error) {
	b, who, err := c.actor(ctx, "agent_name")
	if err != nil {
		return nil, err
	}
	since, err := c.time("since_ts")
	if err != nil {
		return nil, err
	}
	b.Unsignal(who)
	return b.Inbox(ctx, who, mailbox.InboxQuery{
		Urgent: c.boolean("urgent_only"), Bodies: c.boolean("include_bodies"), Since: since, Topic: c.text("topic"),
		Page: mailbox.Page{N: c.integer("limit")},
	})
}
