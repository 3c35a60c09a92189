package mcp

import (
	"context"

	"github.com/git-agentmail/git-agentmail/mailbox"
)

var searchTools = []tool{
	{
		name: "search_messages", cluster: "search", is: reads, lean: "query limit",
		about: "Search subjects and texts of all messages, the best first", hint: "find message full text",
		params: []param{
			projectKey,
			{name: "query", required: true, about: `Words, "phrases", begin*, AND OR NOT, subject:x`},
			{name: "limit", kind: integer, def: 20},
			format,
		},
		run: searchMessages,
	},
	{
		name: "search_mailbox", cluster: "search", is: reads,
		about: "Search messages, with their text and how well each fits",
		params: []param{
			projectKey,
			{name: "query", required: true, about: "As in search_messages"},
			as("requesting_agent"),
			{name: "agent_filter", about: "Only what this agent sent or received"},
			{name: "limit", kind: integer, def: 20},
			{name: "include_bodies", kind: boolean, def: true},
		},
		run: searchMailbox,
	},
}

// found is a list in the form that searches have in the text, too.
type found[T any] struct {
	Result []T `json:"result"`
}

func searchMessages(ctx context.Context, c *call) (any, error) {
	b, who, err := c.actor(ctx, "")
	if err != nil {
		return nil, err
	}
	page, err := c.page("limit")
	if err != nil {
		return nil, err
	}
	hits, err := b.Search(ctx, who, mailbox.SearchQuery{Query: c.text("query"), Rank: true, Page: page})
	return found[mailbox.SearchHit]{hits}, err
}

func searchMailbox(ctx context.Context, c *call) (any, error) {
	b, who, err := c.actor(ctx, "requesting_agent")
	if err != nil {
		return nil, err
	}
	page, err := c.page("limit")
	if err != nil {
		return nil, err
	}
	hits, err := b.SearchMailbox(ctx, who, mailbox.SearchQuery{Query: c.text("query"), With: c.text("agent_filter"), Page: page}, c.boolean("include_bodies"))
	return found[mailbox.MailboxHit]{hits}, err
}
