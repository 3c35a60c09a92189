package mcp

import (
	"slices"
	"strings"
)

// Profile says which tools tools/list shows. One that is not shown still answers when it
// is called by its name.
type Profile string

// The profiles.
const (
	Lean Profile = "lean" // ten tools with the parameters that matter, in two thousand tokens
	Core Profile = "core" // what a session needs, with all parameters
	Full Profile = "full" // everything
)

// Profiles lists them, the default first.
var Profiles = []Profile{Lean, Core, Full}

// coreTools are the fork's nine; the products and the two that reach the rest are shown
// with them.
var coreTools = []string{
	"ensure_project", "register_agent", "whois", "send_message", "reply_message", "fetch_inbox", "mark_message_read",
	"acknowledge_message", "search_messages",
}

// minimalTools are the contract's smallest set.
var minimalTools = []string{"health_check", "ensure_project", "register_agent", "send_message", "fetch_inbox", "acknowledge_message"}

// profile returns the profile that counts: the one that was asked for, else what the
// environment says in the contract's words, else the lean one.
func profile(asked Profile, getenv func(string) string) Profile {
	switch mode := strings.ToLower(getenv("MCP_TOOLS_MODE")); {
	case asked != "":
		return asked
	case mode == "core":
		return Core
	case mode == "extended", truthy(getenv("TOOLS_FILTER_ENABLED")):
		return Full
	}
	return Lean
}

// shows returns what tells whether a profile lists a tool. Where none was asked for, the
// contract's filters choose among all tools.
func shows(asked Profile, getenv func(string) string) func(*tool) bool {
	switch profile(asked, getenv) {
	case Lean:
		return func(t *tool) bool { return t.lean != "" }
	case Core:
		return func(t *tool) bool {
			return slices.Contains(coreTools, t.name) || t.cluster == "product_bus" || isExtension(t)
		}
	}
	if asked == "" && truthy(getenv("TOOLS_FILTER_ENABLED")) {
		return filter(getenv)
	}
	return func(*tool) bool { return true }
}

func isExtension(t *tool) bool {
	return t.name == "list_extended_tools" || t.name == "call_extended_tool"
}

func filter(getenv func(string) string) func(*tool) bool {
	of := func(names []string, clusters ...string) func(*tool) bool {
		return func(t *tool) bool { return slices.Contains(names, t.name) || slices.Contains(clusters, t.cluster) }
	}
	switch strings.ToLower(getenv("TOOLS_FILTER_PROFILE")) {
	case "core":
		return of([]string{"health_check", "ensure_project"}, "identity", "messaging", "file_reservations", "workflow_macros")
	case "minimal":
		return of(minimalTools)
	case "messaging":
		return of([]string{"health_check", "ensure_project", "search_messages"}, "identity", "messaging", "contact")
	case "custom":
		names, clusters := commaList(getenv("TOOLS_FILTER_TOOLS")), commaList(getenv("TOOLS_FILTER_CLUSTERS"))
		if len(names)+len(clusters) == 0 {
			break
		}
		named := of(names, clusters...)
		if strings.EqualFold(getenv("TOOLS_FILTER_MODE"), "exclude") {
			return func(t *tool) bool { return !named(t) }
		}
		return named
	}
	return func(*tool) bool { return true }
}

func commaList(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

// truthy reads a switch as the contract's programs do.
func truthy(s string) bool {
	return slices.Contains([]string{"1", "true", "t", "yes", "y"}, strings.ToLower(strings.TrimSpace(s)))
}
