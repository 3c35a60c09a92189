package mcp

import (
	"context"
	"strings"

	"github.com/git-agentmail/git-agentmail/mailbox"
)

var productKey = param{name: "product_key", required: true, about: "Uid or exact name"}

var productTools = []tool{
	{
		name: "ensure_product", cluster: "product_bus", is: settles,
		about: "Find or make a product, a named set of repositories on this machine",
		hint:  "group of repositories, monorepo, multi-repo",
		params: []param{
			{name: "product_key", about: "Uid (8 to 64 hex digits) or exact name"},
			{name: "name"},
			format,
		},
		run: ensureProduct,
	},
	{
		name: "products_link", cluster: "product_bus", is: settles,
		about:  "Make a repository part of a product; safe to repeat",
		params: []param{productKey, projectKey, format},
		run:    linkProduct,
	},
	{
		name: "search_messages_product", cluster: "product_bus", is: reads,
		about:  "Search the mail of all repositories of a product, newest first",
		params: []param{productKey, {name: "query", required: true}, {name: "limit", kind: integer, def: 20}, format},
		run:    searchProduct,
	},
	{
		name: "fetch_inbox_product", cluster: "product_bus", is: reads,
		about: "List your mail in all repositories of a product, newest first",
		params: []param{
			productKey, as("agent_name"), {name: "limit", kind: integer, def: 20}, {name: "urgent_only", kind: boolean, def: false},
			{name: "include_bodies", kind: boolean, def: false}, {name: "since_ts", about: "ISO-8601; strictly newer"}, format,
		},
		run: inboxProduct,
	},
	{
		name: "summarize_thread_product", cluster: "product_bus", is: reads,
		about: "Summarize a thread over all repositories of a product",
		params: []param{
			productKey, {name: "thread_id", required: true}, {name: "include_examples", kind: boolean, def: false},
			{name: "llm_mode", kind: boolean, def: true, about: "Only true, given, asks a language model, if one is configured"}, {name: "llm_model", about: "Ignored"},
			{name: "per_thread_limit", kind: integer}, format,
		},
		run: summarizeProduct,
	},
}

func ensureProduct(ctx context.Context, c *call) (any, error) {
	return c.server.projects.EnsureProduct(ctx, c.text("product_key"), c.text("name"))
}

func linkProduct(ctx context.Context, c *call) (any, error) {
	b, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	caller := c.server.caller(c)
	if as := c.session.agent(b); as != "" {
		caller.As = as
	}
	who, err := b.Who(ctx, caller)
	if err != nil {
		return nil, err
	}
	return c.server.projects.LinkProduct(ctx, c.text("product_key"), b, who)
}

func searchProduct(ctx context.Context, c *call) (any, error) {
	page, err := c.page("limit")
	if err != nil {
		return nil, err
	}
	hits, err := c.server.projects.SearchProduct(ctx, c.text("product_key"), mailbox.SearchQuery{Query: c.text("query"), Page: page})
	if err != nil {
		return nil, err
	}
	type row struct {
		mailbox.ProductHit
		AckRequired int `json:"ack_required"` // 0 or 1, as the contract has it in searches
	}
	rows := make([]row, len(hits))
	for i, h := range hits {
		rows[i].ProductHit = h
		if h.AckRequired {
			rows[i].AckRequired = 1
		}
	}
	return map[string]any{"result": rows}, nil
}

func inboxProduct(ctx context.Context, c *call) (any, error) {
	page, err := c.page("limit")
	if err != nil {
		return nil, err
	}
	since, err := c.time("since_ts")
	if err != nil {
		return nil, err
	}
	caller := c.server.caller(c)
	if as := strings.TrimSpace(c.text("agent_name")); as != "" {
		caller.As = as
	} else if _, who, err := c.actor(ctx, "agent_name"); err == nil && who.Kind == mailbox.IsAgent {
		caller.As = who.Name // as in the project where the server runs
	}
	return c.server.projects.InboxProduct(ctx, c.text("product_key"), caller, mailbox.InboxQuery{
		Urgent: c.boolean("urgent_only"), Bodies: c.boolean("include_bodies"), Since: since, Page: page,
	})
}

func summarizeProduct(ctx context.Context, c *call) (any, error) {
	return c.server.projects.SummarizeProduct(ctx, c.text("product_key"), c.text("thread_id"), mailbox.SummaryQuery{
		Messages: c.integer("per_thread_limit"), Refine: c.wantsModel(), Ask: c.asks(""),
	}, c.boolean("include_examples"))
}
