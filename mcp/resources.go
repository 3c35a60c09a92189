package mcp

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/mailbox"
)

// Parameters of addresses.
var (
	inProject = param{name: "project"}
	agentArg  = param{name: "agent"}
	bodiesArg = param{name: "include_bodies", kind: boolean, def: false}
	limitArg  = param{name: "limit", kind: integer, def: 20}
)

// allResources is every resource there is.
func allResources() []*resource {
	var list []*resource
	for _, r := range slices.Concat(mailResources, projectResources, toolingResources) {
		list = append(list, &r)
	}
	return list
}

var mailResources = []resource{
	{arg: "message_id", tool: tool{
		name: "resource://message", about: "One message with its body",
		params: []param{{name: "message_id", kind: id, required: true}, inProject, agentArg, format},
		run: func(ctx context.Context, c *call) (any, error) {
			b, who, err := c.reader(ctx, "agent")
			if err != nil {
				return nil, err
			}
			return b.Show(ctx, who, c.text("message_id"))
		},
	}},
	{arg: "thread_id", tool: tool{
		name: "resource://thread", about: "A thread, the oldest message first",
		params: []param{{name: "thread_id", required: true}, inProject, bodiesArg, agentArg, format},
		run: func(ctx context.Context, c *call) (any, error) {
			b, who, err := c.reader(ctx, "agent")
			if err != nil {
				return nil, err
			}
			t, err := b.Thread(ctx, who, c.text("thread_id"), mailbox.Page{})
			if err == nil && !c.boolean("include_bodies") {
				for i := range t.Messages {
					t.Messages[i].BodyMD = nil
				}
			}
			return t, err
		},
	}},
	{arg: "agent", tool: tool{
		name: "resource://inbox", about: "An agent's messages, the newest first",
		params: []param{agentArg, inProject, {name: "since_ts"}, {name: "urgent_only", kind: boolean, def: false}, bodiesArg, limitArg, format},
		run: func(ctx context.Context, c *call) (any, error) {
			since, err := c.time("since_ts")
			if err != nil {
				return nil, err
			}
			return c.inbox(ctx, mailbox.InboxQuery{Since: since, Urgent: c.boolean("urgent_only"), Bodies: c.boolean("include_bodies")})
		},
	}},
	{arg: "agent", tool: tool{
		name: "resource://outbox", about: "What an agent sent, the newest first",
		params: []param{agentArg, inProject, limitArg, bodiesArg, {name: "since_ts"}, format},
		run: func(ctx context.Context, c *call) (any, error) {
			b, who, err := c.reader(ctx, "agent")
			if err != nil {
				return nil, err
			}
			since, err := c.time("since_ts")
			if err != nil {
				return nil, err
			}
			list, err := b.Outbox(ctx, who, mailbox.Page{N: c.integer("limit")}, c.boolean("include_bodies"))
			if err != nil {
				return nil, err
			}
			if !since.IsZero() {
				list = slices.DeleteFunc(list, func(m mailbox.Message) bool { return !time.Time(m.CreatedTS).After(since) })
			}
			commits, err := commitsOf(ctx, b, list, func(m mailbox.Message) string { return m.ID })
			type row struct {
				mailbox.Message
				Commit *mailbox.MessageCommit `json:"commit"`
			}
			rows := []row{}
			for _, m := range list {
				rows = append(rows, row{m, commits[m.ID]})
			}
			return listing[row]{b.Project().HumanKey, who.Name, len(rows), rows}, err
		},
	}},
	{arg: "agent", tool: tool{
		name: "resource://mailbox", about: "An agent's messages with their bodies, and which commit brought them",
		params: []param{agentArg, inProject, limitArg, format}, run: readMailbox,
	}},
	{arg: "agent", tool: tool{
		name: "resource://mailbox-with-commits", about: "The same",
		params: []param{agentArg, inProject, limitArg, format}, run: readMailbox,
	}},
	{arg: "agent", tool: tool{
		name: "resource://views/urgent-unread", about: "An agent's unread messages of high or urgent importance",
		params: []param{agentArg, inProject, limitArg, format},
		run: func(ctx context.Context, c *call) (any, error) {
			return c.inbox(ctx, mailbox.InboxQuery{Unread: true, Urgent: true})
		},
	}},
	{arg: "agent", tool: tool{
		name: "resource://views/ack-required", about: "Messages that an agent has yet to acknowledge",
		params: []param{agentArg, inProject, limitArg, format},
		run: func(ctx context.Context, c *call) (any, error) {
			return c.inbox(ctx, mailbox.InboxQuery{AckRequired: true})
		},
	}},
	{arg: "agent", tool: tool{
		name: "resource://views/acks-stale", about: "Messages that an agent should have acknowledged by now, the oldest first",
		params: []param{agentArg, inProject, {name: "ttl_seconds", kind: integer}, limitArg, format},
		run: func(ctx context.Context, c *call) (any, error) {
			ttl := c.integer("ttl_seconds")
			if ttl == 0 {
				ttl = c.server.seconds("ACK_TTL_SECONDS", 1800)
			}
			b, who, rows, err := c.overdue(ctx, time.Duration(ttl)*time.Second)
			if err != nil {
				return nil, err
			}
			return struct {
				Project    string               `json:"project"`
				Agent      string               `json:"agent"`
				TTLSeconds int                  `json:"ttl_seconds"`
				Count      int                  `json:"count"`
				Messages   []mailbox.OverdueAck `json:"messages"`
			}{b.Project().HumanKey, who.Name, ttl, len(rows), rows}, nil
		},
	}},
	{arg: "agent", tool: tool{
		name: "resource://views/ack-overdue", about: "Messages that have waited an hour or more for an agent's acknowledgement",
		params: []param{agentArg, inProject, {name: "ttl_minutes", kind: integer, def: 60}, limitArg, format},
		run: func(ctx context.Context, c *call) (any, error) {
			b, who, rows, err := c.overdue(ctx, time.Duration(c.integer("ttl_minutes"))*time.Minute)
			if err != nil {
				return nil, err
			}
			return listing[mailbox.OverdueAck]{b.Project().HumanKey, who.Name, len(rows), rows}, nil
		},
	}},
}

func (c *call) overdue(ctx context.Context, ttl time.Duration) (*mailbox.Box, mailbox.Actor, []mailbox.OverdueAck, error) {
	b, who, err := c.reader(ctx, "agent")
	if err != nil {
		return nil, who, nil, err
	}
	rows, err := b.OverdueAcks(ctx, who, ttl, c.integer("limit"))
	return b, who, rows, err
}

// seconds reads a setting of the environment.
func (s *Server) seconds(name string, def int) int {
	if n, err := strconv.Atoi(strings.TrimSpace(s.opt.Getenv(name))); err == nil && n > 0 {
		return n
	}
	return def
}

var projectResources = []resource{
	{tool: tool{
		name: "resource://config/environment", about: "How the server was started",
		params: []param{format},
		run: func(_ context.Context, c *call) (any, error) {
			type address struct {
				Host string `json:"host"`
				Port int    `json:"port"`
				Path string `json:"path"`
			}
			host, port := c.server.listens()
			return struct {
				Environment string  `json:"environment"`
				DatabaseURL string  `json:"database_url"`
				HTTP        address `json:"http"`
			}{"local", c.server.projects.Record(), address{host, port, "/mcp/"}}, nil
		},
	}},
	{tool: tool{
		name: "resource://projects", about: "The repositories that are known on this machine",
		params: []param{format},
		run:    func(ctx context.Context, c *call) (any, error) { return c.server.projects.List(ctx) },
	}},
	{arg: "slug", tool: tool{
		name: "resource://project", about: "A repository and who is there",
		params: []param{{name: "slug"}, format},
		run: func(ctx context.Context, c *call) (any, error) {
			b, err := c.open(ctx)
			if err != nil {
				return nil, err
			}
			return b.Described(ctx)
		},
	}},
	{arg: "project", tool: tool{
		name: "resource://identity", about: "Where a repository is and what it is called",
		params: []param{{name: "project"}, format},
		run: func(ctx context.Context, c *call) (any, error) {
			b, err := c.open(ctx)
			if err != nil {
				return nil, err
			}
			return b.Identity(ctx)
		},
	}},
	{tool: tool{
		name: "resource://agents", about: "Who is in all known repositories, with unread mail",
		run: func(ctx context.Context, c *call) (any, error) { return c.server.projects.Agents(ctx) },
	}},
	{arg: "project_key", tool: tool{
		name: "resource://agents", about: "Who is in a repository, with unread mail",
		params: []param{{name: "project_key", required: true}, format},
		run: func(ctx context.Context, c *call) (any, error) {
			b, err := c.open(ctx)
			if err != nil {
				return nil, err
			}
			rows, err := b.Agents(ctx, mailbox.Page{})
			p := b.Project()
			return struct {
				Project projectName        `json:"project"`
				Agents  []mailbox.AgentRow `json:"agents"`
			}{projectName{p.Slug, p.HumanKey}, rows}, err
		},
	}},
	{arg: "key", tool: tool{
		name: "resource://product", about: "A product and the repositories that belong to it",
		params: []param{{name: "key", required: true}, format},
		run: func(ctx context.Context, c *call) (any, error) {
			return c.server.projects.Product(ctx, c.text("key"))
		},
	}},
	{arg: "slug", tool: tool{
		name: "resource://file_reservations", about: "Reservations of files; those that have ended too, unless active_only",
		params: []param{{name: "slug"}, {name: "active_only", kind: boolean, def: false}, format},
		run: func(ctx context.Context, c *call) (any, error) {
			b, err := c.open(ctx)
			if err != nil {
				return nil, err
			}
			who, err := b.Who(ctx, c.server.caller(c))
			if err != nil {
				return nil, err
			}
			return b.Reservations(ctx, who, mailbox.ReservationQuery{All: !c.boolean("active_only"), Activity: true, Page: mailbox.Page{N: mailbox.MaxLimit}})
		},
	}},
}

type projectName struct {
	Slug     string `json:"slug"`
	HumanKey string `json:"human_key"`
}

// listing is a list of messages as resources wrap it.
type listing[T any] struct {
	Project  string `json:"project"`
	Agent    string `json:"agent"`
	Count    int    `json:"count"`
	Messages []T    `json:"messages"`
}

// inbox answers with a part of an agent's inbox.
func (c *call) inbox(ctx context.Context, q mailbox.InboxQuery) (any, error) {
	b, who, err := c.reader(ctx, "agent")
	if err != nil {
		return nil, err
	}
	if c.tool.param("limit") != nil {
		q.N = c.integer("limit")
	}
	rows, err := b.Inbox(ctx, who, q)
	return listing[mailbox.InboxRow]{b.Project().HumanKey, who.Name, len(rows), rows}, err
}

// readMailbox is an inbox with its bodies and the commits that brought them.
func readMailbox(ctx context.Context, c *call) (any, error) {
	b, who, err := c.reader(ctx, "agent")
	if err != nil {
		return nil, err
	}
	list, err := b.Inbox(ctx, who, mailbox.InboxQuery{Bodies: true, Page: mailbox.Page{N: c.integer("limit")}})
	if err != nil {
		return nil, err
	}
	commits, err := commitsOf(ctx, b, list, func(r mailbox.InboxRow) string { return r.ID })
	type row struct {
		mailbox.InboxRow
		Commit *mailbox.MessageCommit `json:"commit"`
	}
	rows := []row{}
	for _, r := range list {
		rows = append(rows, row{r, commits[r.ID]})
	}
	return listing[row]{b.Project().HumanKey, who.Name, len(rows), rows}, err
}

func commitsOf[T any](ctx context.Context, b *mailbox.Box, list []T, id func(T) string) (map[string]*mailbox.MessageCommit, error) {
	ids := make([]string, len(list))
	for i, v := range list {
		ids[i] = id(v)
	}
	return b.CommitsOf(ctx, ids)
}
