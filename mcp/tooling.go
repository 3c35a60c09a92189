package mcp

import (
	"context"
	"slices"
	"time"
)

var toolingResources = []resource{
	{tool: tool{
		name: "resource://tooling/directory", about: "The tools by cluster, and the order in which they are used",
		params: []param{format}, run: toolDirectory,
	}},
	{tool: tool{
		name: "resource://tooling/schemas", about: "Required and optional parameters of each tool",
		params: []param{format}, run: toolSchemas,
	}},
	{tool: tool{
		name: "resource://tooling/metrics", about: "How often each tool was called since the server started, and how often in vain",
		params: []param{format}, run: toolMetrics,
	}},
	{tool: tool{
		name: "resource://tooling/locks", about: "Lock files that could be stale: there are none, the kernel keeps the locks",
		params: []param{format}, run: toolLocks,
	}},
	{arg: "agent", tool: tool{
		name: "resource://tooling/capabilities", about: "What an agent may do",
		params: []param{{name: "agent", required: true}, inProject, format}, run: toolCapabilities,
	}},
	{arg: "window_seconds", tool: tool{
		name: "resource://tooling/recent", about: "The calls of the last seconds",
		params: []param{{name: "window_seconds", kind: integer, required: true}, agentArg, inProject, format}, run: toolRecent,
	}},
}

// clusterPurpose says what each group of tools is for, in the order that they are shown.
var clusterPurpose = [][2]string{
	{"infrastructure", "Find the mailbox and see that it works"},
	{"identity", "Say who you are, see who others are"},
	{"messaging", "Write and read messages"},
	{"contact", "Say who may write to you"},
	{"file_reservations", "Keep others off the files you work on"},
	{"search", "Find and sum up what was said"},
	{"workflow_macros", "Several steps in one call"},
	{"build_slots", "Take turns with long jobs"},
	{"product_bus", "Work across several repositories"},
}

type directoryTool struct {
	Name                 string        `json:"name"`
	Summary              string        `json:"summary"`
	UseWhen              string        `json:"use_when"`
	Related              []string      `json:"related"`
	ExpectedFrequency    string        `json:"expected_frequency"`
	RequiredCapabilities []string      `json:"required_capabilities"`
	UsageExamples        []toolExample `json:"usage_examples"`
	Capabilities         []string      `json:"capabilities"`
	Complexity           string        `json:"complexity"`
}

type toolExample struct {
	Hint   string `json:"hint"`
	Sample string `json:"sample"`
}

type toolCluster struct {
	Name    string          `json:"name"`
	Purpose string          `json:"purpose"`
	Tools   []directoryTool `json:"tools"`
}

type playbook struct {
	Workflow string   `json:"workflow"`
	Sequence []string `json:"sequence"`
}

var playbooks = []playbook{
	{"Begin a session", []string{"register_agent", "fetch_inbox", "file_reservation_paths"}},
	{"Change files", []string{"file_reservation_paths", "send_message", "release_file_reservations"}},
	{"Answer mail", []string{"fetch_inbox", "read_message", "reply_message", "acknowledge_message"}},
	{"Catch up with a thread", []string{"search_messages", "summarize_thread"}},
}

var outputFormats = map[string]any{
	"default": "json", "tool_param": "format", "resource_query": "format", "values": []string{"json", "toon"},
	"toon_envelope": map[string]any{"format": "toon", "data": "text", "meta": map[string]string{"requested": "toon"}},
}

func (t *tool) complexity() string {
	switch n := len(t.params); {
	case n <= 4:
		return "low"
	case n <= 9:
		return "medium"
	}
	return "high"
}

func toolDirectory(_ context.Context, c *call) (any, error) {
	clusters := []toolCluster{}
	for _, p := range clusterPurpose {
		cl := toolCluster{Name: p[0], Purpose: p[1], Tools: []directoryTool{}}
		var names []string
		for _, t := range c.server.tools {
			if t.cluster == p[0] && c.server.listed[t.name] {
				names = append(names, t.name)
			}
		}
		for _, name := range names {
			t := c.server.byName[name]
			frequency := "now and then"
			if t.lean != "" {
				frequency = "often"
			}
			cl.Tools = append(cl.Tools, directoryTool{
				Name: name, Summary: t.about, UseWhen: t.hint, ExpectedFrequency: frequency, Complexity: t.complexity(),
				Related:              slices.DeleteFunc(slices.Clone(names), func(s string) bool { return s == name }),
				RequiredCapabilities: []string{}, Capabilities: []string{t.cluster},
				UsageExamples: []toolExample{{Hint: t.about, Sample: t.example()}},
			})
		}
		if len(cl.Tools) > 0 {
			clusters = append(clusters, cl)
		}
	}
	return map[string]any{
		"generated_at": c.server.iso(), "metrics_uri": "resource://tooling/metrics", "output_formats": outputFormats,
		"clusters": clusters, "playbooks": playbooks,
	}, nil
}

func toolSchemas(_ context.Context, c *call) (any, error) {
	type shape struct {
		Required []string          `json:"required"`
		Optional []string          `json:"optional"`
		Shapes   map[string]string `json:"shapes"`
		Aliases  map[string]string `json:"aliases"`
	}
	tools := map[string]shape{}
	for _, t := range c.server.tools {
		s := shape{[]string{}, []string{}, map[string]string{}, map[string]string{}}
		for _, p := range t.params {
			if p.required {
				s.Required = append(s.Required, p.name)
			} else {
				s.Optional = append(s.Optional, p.name)
			}
			s.Shapes[p.name] = p.wants()
		}
		tools[t.name] = s
	}
	return map[string]any{"generated_at": c.server.iso(), "global_optional": []string{"format"}, "output_formats": outputFormats, "tools": tools}, nil
}

func toolMetrics(_ context.Context, c *call) (any, error) {
	type metric struct {
		Name         string   `json:"name"`
		Calls        int      `json:"calls"`
		Errors       int      `json:"errors"`
		Cluster      string   `json:"cluster"`
		Capabilities []string `json:"capabilities"`
		Complexity   string   `json:"complexity"`
	}
	list := []metric{}
	for _, t := range c.server.tools {
		calls, errors := c.server.stats.of(t.name)
		list = append(list, metric{t.name, calls, errors, t.cluster, []string{t.cluster}, t.complexity()})
	}
	return map[string]any{"generated_at": c.server.iso(), "health_level": "green", "tools": list}, nil
}

func toolLocks(context.Context, *call) (any, error) {
	return map[string]any{"locks": []any{}, "summary": map[string]int{"total": 0, "active": 0, "stale": 0, "metadata_missing": 0}}, nil
}

func toolCapabilities(_ context.Context, c *call) (any, error) {
	all := []string{}
	for _, p := range clusterPurpose {
		all = append(all, p[0])
	}
	var project any
	if p := c.text("project"); p != "" {
		project = p
	}
	return map[string]any{"generated_at": c.server.iso(), "agent": c.text("agent"), "project": project, "capabilities": all}, nil
}

func toolRecent(_ context.Context, c *call) (any, error) {
	window := c.integer("window_seconds")
	list := c.server.stats.since(c.server.now().Add(-time.Duration(window) * time.Second))
	list = slices.DeleteFunc(list, func(r recentCall) bool {
		return c.text("agent") != "" && c.text("agent") != r.Agent || c.text("project") != "" && c.text("project") != r.Project
	})
	return map[string]any{"generated_at": c.server.iso(), "window_seconds": window, "count": len(list), "entries": list}, nil
}

func (s *Server) iso() string { return s.now().UTC().Format(isoTime) }
