package mcp

import (
	"context"

	"github.com/git-agentmail/git-agentmail/mailbox"
)

var identityTools = []tool{
	{
		name: "register_agent", cluster: "identity", is: settles,
		about: "Register yourself, or refresh who you are; go on with the name in the answer",
		lean:  "name program model task_description", hint: "who am I, who else works here, identity",
		params: []param{
			projectKey,
			{name: "program", about: "Such as claude-code. Default: what the client says"},
			{name: "model", about: "Such as opus"},
			{name: "name", about: "Default: a memorable one"},
			{name: "task_description", def: ""},
			{name: "attachments_policy", def: "auto"},
			format,
		},
		run: registerAgent,
	},
}

func registerAgent(ctx context.Context, c *call) (any, error) {
	b, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	a, err := b.Register(ctx, mailbox.RegisterRequest{
		Name: c.text("name"), Program: c.text("program"), Model: c.text("model"),
		Task: c.text("task_description"), Attachments: c.text("attachments_policy"),
	})
	if err != nil {
		return nil, err
	}
	c.acts(b, mailbox.Actor{Kind: mailbox.IsAgent, ID: a.ID, Name: a.Name})
	return a, nil
}
