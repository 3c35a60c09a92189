package mcp

import (
	"slices"
	"strings"
)

// Profile says which tools tools/list shows. One that is not shown still answers when it is called by its name.
type Profile string

// The profiles.
const (
	Lean Profile = "lean" // ten tools with the parameters that matter, in two thousand tokens
	Core Profile = "core" // what a session needs, with all parameters
	Full Profile = "full" // everything
)

// Profiles lists them, the default first.
var Profiles = []Profile{Lean, Core, Full}

// coreTools are the fork's nine; the products and the two that reach the rest come with them.
var coreTools = []string{
	"ensure_project", "register_agent", "whois", "send_message", "reply_message", "fetch_inbox", "mark_message_read",
	"acknowledge_message", "search_messages",
}

var metaTools = []string{"list_extended_tools", "call_extended_tool"}

// tools returns the names that the profile lists. The contract's own filters, read from
// the environment, count where the profile is full.
func (p Profile) tools(all []*tool, getenv func(string) string) []string {
	var names []string
	for _, t := range all {
		switch {
		case slices.Contains(metaTools, t.name),
			p == Lean && t.lean != "",
			p == Core && (slices.Contains(coreTools, t.name) || t.cluster == "product_bus"),
			p == Full:
			names = append(names, t.name)
		}
	}
	return names
}

// hides reports whether the profile leaves a tool out.
func (s *Server) hides(name string) bool { return !s.listed[name] }

func words(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}
