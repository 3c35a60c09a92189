package mcp

import (
	"context"
	"slices"
	"strings"

	"github.com/git-agentmail/git-agentmail/mail"
)

var extendedTools = []tool{
	{
		name: "list_extended_tools", cluster: "infrastructure", is: reads,
		about: "List the tools that are not shown here, by category", lean: "-", hint: "more tools",
		run: listExtendedTools,
	},
	{
		name: "call_extended_tool", cluster: "infrastructure", is: unknowing,
		about: "Call a tool that is not shown here", lean: "tool_name arguments", hint: "more tools",
		params: []param{
			{name: "tool_name", required: true},
			{name: "arguments", kind: object, required: true},
		},
		run: callExtendedTool,
	},
}

type extendedTool struct {
	Name        string   `json:"name"`
	Category    string   `json:"category"`
	Description string   `json:"description"`
	Arguments   []string `json:"arguments"` // those in brackets may be left out
}

type extendedList struct {
	Total      int                 `json:"total"`
	ByCategory map[string][]string `json:"by_category"`
	Tools      []extendedTool      `json:"tools"`
}

func listExtendedTools(_ context.Context, c *call) (any, error) {
	l := extendedList{ByCategory: map[string][]string{}, Tools: []extendedTool{}}
	for _, t := range c.server.tools {
		if c.server.listed[t.name] {
			continue
		}
		args := []string{}
		for _, p := range t.params {
			if p.required {
				args = append(args, p.name)
			} else {
				args = append(args, "["+p.name+"]")
			}
		}
		l.Tools = append(l.Tools, extendedTool{t.name, t.cluster, t.about, args})
		l.ByCategory[t.cluster] = append(l.ByCategory[t.cluster], t.name)
	}
	for _, names := range l.ByCategory {
		slices.Sort(names)
	}
	slices.SortFunc(l.Tools, func(a, b extendedTool) int { return strings.Compare(a.Name, b.Name) })
	l.Total = len(l.Tools)
	return l, nil
}

func callExtendedTool(ctx context.Context, c *call) (any, error) {
	name := c.text("tool_name")
	t := c.server.byName[name]
	if t == nil || c.server.listed[name] {
		e := mail.Errorf(mail.NotFound, "Unknown extended tool: %s", name).Typed("NOT_FOUND")
		if t != nil {
			return nil, e.Hint("call %s itself: it is not hidden", name)
		}
		var hidden []string
		for _, t := range c.server.tools {
			if !c.server.listed[t.name] {
				hidden = append(hidden, t.name)
			}
		}
		if near := mail.Nearest(name, hidden); len(near) > 0 {
			e.Hint("did you mean %s?", near[0])
		}
		return nil, e.Hint("list_extended_tools {}")
	}
	inner := *c
	inner.tool = t
	var err error
	if inner.args, err = t.check(c.object("arguments")); err != nil {
		e := mail.AsError(err)
		e.Message = "Invalid arguments for " + name + ": " + e.Message
		return nil, e
	}
	as, err := inner.encoding()
	if err != nil {
		return nil, err
	}
	v, err := t.run(ctx, &inner)
	c.box, c.release, c.who = inner.box, inner.release, inner.who
	if err != nil {
		return nil, err
	}
	n, err := tree(v)
	if err == nil && as.format == "toon" {
		if c.lean {
			fence(n)
		}
		n = as.wrap(n)
	}
	if err != nil || n.kind == '{' && slices.Equal(n.keys, []string{"result"}) {
		return n, err
	}
	return &node{kind: '{', keys: []string{"result"}, values: []*node{n}}, nil
}
