package mcp

import (
	"context"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/git-agentmail/git-agentmail/mailbox"
)

var messagingTools = []tool{
	{
		name: "send_message", cluster: "messaging", is: adds,
		about: "Send a message to other agents of this repository, or reply to one",
		lean:  "to subject body_md thread_id importance ack_required reply_to", hint: "mail message tell ask notify agents",
		params: []param{
			projectKey, as("sender_name"),
			{name: "to", kind: texts, about: "Agent names"},
			{name: "subject"},
			{name: "body_md", required: true, about: "Markdown"},
			{name: "reply_to", kind: id, about: "Message that this answers: then no to and subject"},
			{name: "cc", kind: texts}, {name: "bcc", kind: texts},
			{name: "attachment_paths", kind: texts, about: "Files, relative to the work tree"},
			{name: "convert_images", kind: boolean, about: "Add copies as WebP"},
			{name: "importance", def: "normal", enum: []string{"low", "normal", "high", "urgent"}},
			{name: "ack_required", kind: boolean, def: false},
			{name: "thread_id", about: "Thread to write in, such as a ticket"},
			{name: "broadcast", kind: boolean, def: false, about: "To everybody; to is []"},
			{name: "topic"},
			{name: "auto_contact_if_blocked", kind: boolean},
			{name: "sender_token", about: "From registration; proves who sends"},
			format,
		},
		run: sendMessage,
	},
	{
		name: "reply_message", cluster: "messaging", is: adds,
		about: "Reply to a message, in its thread and to its sender",
		params: []param{
			projectKey,
			{name: "message_id", kind: id, required: true},
			as("sender_name"),
			{name: "body_md", required: true, about: "Markdown"},
			{name: "to", kind: texts, about: "Instead of its sender"},
			{name: "cc", kind: texts}, {name: "bcc", kind: texts},
			{name: "subject_prefix", def: "Re:"},
			format,
		},
		run: replyMessage,
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
	{
		name: "fetch_topic", cluster: "messaging", is: reads,
		about: "List everybody's messages on a topic, the newest first",
		params: []param{
			projectKey,
			{name: "topic_name", required: true},
			{name: "limit", kind: integer, def: 50},
			{name: "include_bodies", kind: boolean, def: true},
			{name: "since_ts", about: "ISO time; only newer ones"},
			format,
		},
		run: fetchTopic,
	},
	{
		name: "read_message", cluster: "messaging", is: settles, lean: "message_id acknowledge",
		about: "Read one message with its text, and mark it as read", hint: "open show message body acknowledge",
		params: []param{
			projectKey, as("agent_name"),
			{name: "message_id", kind: id, required: true},
			{name: "mark_read", kind: boolean, def: true},
			{name: "acknowledge", kind: boolean, def: false},
			format,
		},
		run: readMessage,
	},
	{
		name: "mark_message_read", cluster: "messaging", is: settles,
		about: "Mark a message as read by you; the first time stays",
		params: []param{
			projectKey, as("agent_name"),
			{name: "message_id", kind: id, required: true},
			format,
		},
		run: markMessageRead,
	},
	{
		name: "acknowledge_message", cluster: "messaging", is: settles, lean: "message_id", hint: "confirm receipt ack",
		about: "Acknowledge a message, which also marks it as read",
		params: []param{
			projectKey, as("agent_name"),
			{name: "message_id", kind: id, required: true},
			format,
		},
		run: acknowledgeMessage,
	},
}

func sendMessage(ctx context.Context, c *call) (any, error) {
	b, who, err := c.actor(ctx, "sender_name")
	if err != nil {
		return nil, err
	}
	if c.given("reply_to") {
		if c.boolean("broadcast") {
			return nil, mail.Errorf(mail.Invalid, "%s: broadcast and reply_to do not go together", c.tool.name).With("argument", "broadcast").Hint("leave reply_to out, and name the thread by thread_id")
		}
		r, err := b.Reply(ctx, who, c.text("reply_to"), mailbox.ReplyDraft{To: c.texts("to"), CC: c.texts("cc"), BCC: c.texts("bcc"), Body: c.text("body_md"),
			Paths: c.texts("attachment_paths"), WebP: maybe[bool](c, "convert_images"), SenderToken: c.text("sender_token")})
		if c.lean {
			r.Message, r.Deliveries = mailbox.Message{ID: r.ID, ThreadID: r.ThreadID}, withoutBodies(r.Deliveries)
		}
		return r, err
	}
	if err := c.tool.need(c.args, "to", "subject"); err != nil {
		return nil, err
	}
	r, err := c.server.projects.Send(ctx, b, who, mailbox.Draft{
		To: c.texts("to"), CC: c.texts("cc"), BCC: c.texts("bcc"),
		Subject: c.text("subject"), Body: c.text("body_md"), Thread: c.text("thread_id"), Topic: c.text("topic"),
		Importance: c.text("importance"), AckRequired: c.boolean("ack_required"), Broadcast: c.boolean("broadcast"),
		Paths: c.texts("attachment_paths"), WebP: maybe[bool](c, "convert_images"),
		Handshake: c.boolean("auto_contact_if_blocked"), SenderToken: c.text("sender_token"),
	})
	if c.lean {
		r.Deliveries = withoutBodies(r.Deliveries)
	}
	return r, err
}

// withoutBodies spares a model what it has just written.
func withoutBodies(list []mailbox.Delivery) []mailbox.Delivery {
	for i := range list {
		list[i].Payload.BodyMD = nil
	}
	return list
}

func replyMessage(ctx context.Context, c *call) (any, error) {
	b, who, err := c.actor(ctx, "sender_name")
	if err != nil {
		return nil, err
	}
	return b.Reply(ctx, who, c.text("message_id"), mailbox.ReplyDraft{
		To: c.texts("to"), CC: c.texts("cc"), BCC: c.texts("bcc"), Body: c.text("body_md"), SubjectPrefix: c.text("subject_prefix"),
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
	page, err := c.page("limit")
	if err != nil {
		return nil, err
	}
	b.Unsignal(who)
	return b.Inbox(ctx, who, mailbox.InboxQuery{
		Urgent: c.boolean("urgent_only"), Bodies: c.boolean("include_bodies"), Since: since, Topic: c.text("topic"), Page: page,
	})
}

func fetchTopic(ctx context.Context, c *call) (any, error) {
	b, who, err := c.actor(ctx, "")
	if err != nil {
		return nil, err
	}
	since, err := c.time("since_ts")
	if err != nil {
		return nil, err
	}
	return b.Topic(ctx, who, mailbox.TopicQuery{
		Topic: c.text("topic_name"), Since: since, Bodies: c.boolean("include_bodies"), Page: mailbox.Page{N: c.integer("limit")},
	})
}

func readMessage(ctx context.Context, c *call) (any, error) {
	b, who, err := c.actor(ctx, "agent_name")
	if err != nil {
		return nil, err
	}
	return b.ReadMessage(ctx, who, c.text("message_id"), c.boolean("mark_read"), c.boolean("acknowledge"))
}

func markMessageRead(ctx context.Context, c *call) (any, error) {
	b, who, err := c.actor(ctx, "agent_name")
	if err != nil {
		return nil, err
	}
	return one(b.Read(ctx, who, []string{c.text("message_id")}))
}

func acknowledgeMessage(ctx context.Context, c *call) (any, error) {
	b, who, err := c.actor(ctx, "agent_name")
	if err != nil {
		return nil, err
	}
	return one(b.Ack(ctx, who, []string{c.text("message_id")}))
}

// maybe returns an argument where not given is another thing than any value.
func maybe[T any](c *call, name string) *T {
	if !c.given(name) {
		return nil
	}
	v := get[T](c, name)
	return &v
}

// one returns the answer about the one thing that was asked about.
func one[T any](list []T, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return list[0], nil
}
