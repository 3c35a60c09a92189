package mcp

import (
	"context"
	"strings"

	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/mark3labs/mcp-go/server"
)

// profileParams are what an agent says of itself.
var profileParams = []param{
	{name: "program", about: "Such as claude-code. Default: what the client says"},
	{name: "model", about: "Such as opus"},
	{name: "task_description", def: ""},
	{name: "attachments_policy", def: "auto"},
}

var identityTools = []tool{
	{
		name: "register_agent", cluster: "identity", is: settles,
		about: "Register yourself, or refresh who you are; go on with the name in the answer",
		lean:  "name program model task_description", hint: "who am I, who else works here, identity",
		params: append([]param{
			projectKey,
			{name: "name", about: "Default: a memorable one"},
			{name: "force_reclaim", kind: boolean, def: false, about: "Take the name from an agent of another clone"},
			{name: "auto_fetch_inbox", kind: boolean, def: false, about: "Answer {agent, inbox}"},
			{name: "inbox_limit", kind: integer, def: 10},
			{name: "inbox_urgent_only", kind: boolean, def: false},
			{name: "inbox_since_ts"},
			{name: "inbox_include_bodies", kind: boolean, def: false},
			format,
		}, profileParams...),
		run: registerAgent,
	},
	{
		name: "create_agent_identity", cluster: "identity", is: adds,
		about: "Register a new agent, whoever there is already",
		params: append([]param{
			projectKey,
			{name: "name_hint", about: "A name, if it is free"},
			format,
		}, profileParams...),
		run: createAgentIdentity,
	},
	{
		name: "whois", cluster: "identity", is: reads,
		about: "Show one agent: what it runs, works on and did lately",
		params: []param{
			projectKey,
			{name: "agent_name", about: "Default: you"},
			{name: "include_recent_commits", kind: boolean, def: true},
			{name: "commit_limit", kind: integer, def: 5},
			format,
		},
		run: whois,
	},
	{
		name: "deregister_agent", cluster: "identity", is: settles,
		about: "Mark an agent as finished: it takes no more mail, and what it had stays",
		params: []param{
			projectKey,
			{name: "agent_name", about: "Default: you"},
			{name: "registration_token"},
		},
		run: deregisterAgent,
	},
	{
		name: "delete_agent", cluster: "identity", is: destroys,
		about:  "Delete an agent for good: what it holds is released, and what it sent is not shown any more",
		params: []param{projectKey, {name: "name", required: true}},
		run: func(ctx context.Context, c *call) (any, error) {
			b, who, err := c.asker(ctx, "name")
			if err != nil {
				return nil, err
			}
			r, err := b.DeleteAgent(ctx, who, c.text("name"))
			if err == nil {
				c.session.forget(b, r.AgentID)
			}
			return r, err
		},
	},
}

// registration is the request that profileParams make. What is not given is taken from
// the client; what is given blank is an error of the mailbox's.
func (c *call) registration(ctx context.Context) mailbox.RegisterRequest {
	r := mailbox.RegisterRequest{
		Program: c.text("program"), Model: c.text("model"), Task: c.text("task_description"),
	}
	if c.tool.param("attachments_policy") != nil {
		r.Attachments = c.text("attachments_policy")
	}
	if !c.given("program") {
		r.ElseProgram = clientName(ctx)
	}
	if !c.given("model") {
		r.ElseModel = unknown
	}
	return r
}

// unknown is the program, or model, of an agent of which nobody said.
const unknown = "unknown"

// clientName is how the client calls itself, in the request or when it said hello.
func clientName(ctx context.Context) string {
	name := ""
	if info := server.RequestProtocolInfoFromContext(ctx); info != nil && info.ClientInfo != nil {
		name = info.ClientInfo.Name
	} else if s, ok := server.ClientSessionFromContext(ctx).(server.SessionWithClientInfo); ok {
		name = s.GetClientInfo().Name
	}
	if name = strings.TrimSpace(name); name == "" {
		return unknown
	}
	return name
}

// window is the terminal window of the client, where it is known: of standard input and
// output this process is the client's own.
func (c *call) window() string {
	if c.server.stdio == nil {
		return ""
	}
	return c.server.opt.Getenv("MCP_AGENT_MAIL_WINDOW_ID")
}

func registerAgent(ctx context.Context, c *call) (any, error) {
	b, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	page, err := c.page("inbox_limit")
	if err != nil {
		return nil, err
	}
	q := mailbox.InboxQuery{Urgent: c.boolean("inbox_urgent_only"), Bodies: c.boolean("inbox_include_bodies"), Page: page}
	if q.Since, err = c.time("inbox_since_ts"); err != nil {
		return nil, err
	}
	r := c.registration(ctx)
	r.Name, r.Reclaim, r.Window = c.text("name"), c.boolean("force_reclaim"), c.window()
	a, who, err := c.register(ctx, b, r)
	if err != nil {
		return nil, err
	}
	if c.lean { // whose tools have no other that says who is here
		others, err := b.Others(ctx, who)
		return struct {
			mailbox.Agent
			Others []string `json:"others"`
		}{a, others}, err
	}
	if !c.boolean("auto_fetch_inbox") {
		return a, nil
	}
	inbox, err := b.Inbox(ctx, who, q)
	if err != nil {
		return nil, err
	}
	return struct {
		Agent mailbox.Agent      `json:"agent"`
		Inbox []mailbox.InboxRow `json:"inbox"`
	}{a, inbox}, nil
}

// register registers an agent, whose session this is from then on.
func (c *call) register(ctx context.Context, b *mailbox.Box, r mailbox.RegisterRequest) (mailbox.Agent, mailbox.Actor, error) {
	a, err := b.Register(ctx, r)
	if err != nil {
		return a, mailbox.Actor{}, err
	}
	who := mailbox.Actor{Kind: mailbox.IsAgent, ID: a.ID, Name: a.Name}
	c.acts(b, who)
	return a, who, nil
}

func createAgentIdentity(ctx context.Context, c *call) (any, error) {
	b, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	r := c.registration(ctx)
	r.Name, r.New = c.text("name_hint"), true
	a, _, err := c.register(ctx, b, r)
	return a, err
}

func whois(ctx context.Context, c *call) (any, error) {
	b, name, err := c.named(ctx, "agent_name")
	if err != nil {
		return nil, err
	}
	commits := 0
	if c.boolean("include_recent_commits") {
		commits = c.integer("commit_limit")
	}
	return b.Whois(ctx, name, commits)
}

// named returns the agent that an argument names, or the one that acts.
func (c *call) named(ctx context.Context, name string) (*mailbox.Box, string, error) {
	if agent := strings.TrimSpace(c.text(name)); agent != "" {
		b, err := c.open(ctx)
		return b, agent, err
	}
	b, who, err := c.actor(ctx, name)
	return b, who.Name, err
}

func deregisterAgent(ctx context.Context, c *call) (any, error) {
	b, who, err := c.asker(ctx, "agent_name")
	if err != nil {
		return nil, err
	}
	_, name, err := c.named(ctx, "agent_name")
	if err != nil {
		return nil, err
	}
	return b.Deregister(ctx, who, name, c.text("registration_token"))
}

// asker returns who asks for something that is done to another: the agent of this session
// or, if it has none, the one that an argument names ("" for no such argument).
func (c *call) asker(ctx context.Context, name string) (*mailbox.Box, mailbox.Actor, error) {
	b, err := c.open(ctx)
	if err != nil {
		return nil, mailbox.Actor{}, err
	}
	caller := c.server.caller(c)
	if as := c.session.agent(b); as != "" {
		caller.As = as
	} else if name != "" && c.given(name) {
		caller.As = strings.TrimSpace(c.text(name))
	}
	who, err := b.Who(ctx, caller)
	c.who = &who
	return b, who, err
}
