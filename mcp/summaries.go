package mcp

import (
	"context"
	"strings"

	"github.com/git-agentmail/git-agentmail/mailbox"
)

// The parameters of summaries that a language model may word.
var (
	llmMode  = param{name: "llm_mode", kind: boolean, def: true, about: "Let a model word it, if one is configured; true, given, may ask the client's"}
	llmModel = param{name: "llm_model"}
)

var summaryTools = []tool{
	{
		name: "summarize_thread", cluster: "search", is: reads,
		about: "Summarize a thread: who, key points, open and done actions, files", hint: "summary digest thread catch up",
		params: []param{
			projectKey,
			{name: "thread_id", required: true, about: "Or several, separated by commas"},
			{name: "include_examples", kind: boolean, def: false},
			llmMode, llmModel,
			{name: "per_thread_limit", kind: integer, def: 50, about: "Read the newest so many"},
			format,
		},
		run: summarizeThread,
	},
	{
		name: "summarize_threads", cluster: "search", is: reads,
		about: "Summarize several threads, and what they say together",
		params: []param{
			projectKey,
			{name: "thread_ids", kind: ids, required: true},
			llmMode, llmModel,
			{name: "per_thread_limit", kind: integer, def: 50},
		},
		run: summarizeThreads,
	},
	{
		name: "summarize_recent", cluster: "search", is: settles,
		about: "Summarize what was said in the last hours, and keep that here", hint: "summary digest today catch up",
		params: []param{
			projectKey,
			{name: "since_hours", kind: number, def: 1.0},
			llmMode, llmModel,
			{name: "max_messages", kind: integer, def: 500},
			format,
		},
		run: summarizeRecent,
	},
	{
		name: "fetch_summary", cluster: "search", is: reads,
		about: "List summaries that summarize_recent has kept, the newest first",
		params: []param{
			projectKey,
			{name: "since_hours", kind: number, def: 24.0},
			{name: "limit", kind: integer, def: 5},
			format,
		},
		run: fetchSummary,
	},
}

// worded says in a query what the call wants of a language model. Only who asks for one
// is told that it failed.
func (c *call) worded(q mailbox.SummaryQuery) mailbox.SummaryQuery {
	q.Refine, q.Model, q.Ask, q.Quiet = c.boolean("llm_mode"), c.text("llm_model"), c.asks(c.text("llm_model")), !c.wantsModel()
	return q
}

func (c *call) summaryQuery() (mailbox.SummaryQuery, error) {
	page, err := c.page("per_thread_limit")
	return c.worded(mailbox.SummaryQuery{Messages: page.N}), err
}

func summarizeThread(ctx context.Context, c *call) (any, error) {
	b, who, err := c.actor(ctx, "")
	if err != nil {
		return nil, err
	}
	q, err := c.summaryQuery()
	if err != nil {
		return nil, err
	}
	key := strings.TrimSpace(c.text("thread_id"))
	if key == "" || strings.Contains(key, ",") {
		return b.SummarizeThreads(ctx, who, strings.FieldsFunc(key, func(r rune) bool { return r == ',' }), q)
	}
	q.Examples = c.boolean("include_examples")
	return b.SummarizeThread(ctx, who, key, q)
}

func summarizeThreads(ctx context.Context, c *call) (any, error) {
	b, who, err := c.actor(ctx, "")
	if err != nil {
		return nil, err
	}
	q, err := c.summaryQuery()
	if err != nil {
		return nil, err
	}
	return b.SummarizeThreads(ctx, who, c.texts("thread_ids"), q)
}

func summarizeRecent(ctx context.Context, c *call) (any, error) {
	b, who, err := c.actor(ctx, "")
	if err != nil {
		return nil, err
	}
	page, err := c.page("max_messages")
	if err != nil {
		return nil, err
	}
	q := c.worded(mailbox.SummaryQuery{Messages: page.N})
	return b.SummarizeRecent(ctx, who, mailbox.RecentQuery{Hours: c.number("since_hours"), Messages: q.Messages, Refine: q.Refine, Model: q.Model, Ask: q.Ask})
}

func fetchSummary(ctx context.Context, c *call) (any, error) {
	b, who, err := c.actor(ctx, "")
	if err != nil {
		return nil, err
	}
	page, err := c.page("limit")
	if err != nil {
		return nil, err
	}
	return b.Summaries(ctx, who, c.number("since_hours"), page)
}
