package mcp

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
)

// tool is one verb as clients see it.
type tool struct {
	name    string
	cluster string // of the contract: infrastructure, identity, messaging, …
	about   string // one sentence that starts with the verb, at most 120 characters
	lean    string // the parameters that the lean profile lists; "-" for none, "" for a tool that it hides
	hint    string // words by which a client that searches for tools finds this one
	is      effect
	params  []param
	run     func(context.Context, *call) (any, error)
}

// effect is what a tool does to the world, for a client that asks its user first.
type effect int

const (
	reads     effect = iota // changes nothing
	adds                    // adds to the mailbox; twice is two
	settles                 // changes the mailbox; twice is once
	destroys                // takes something away from others
	unknowing               // does whatever another tool does
)

// param is one parameter of a tool.
type param struct {
	name     string
	kind     kind
	required bool
	def      any      // what it is if it is not given, for the schema; nil is none
	enum     []string // the only values of a text
	about    string
}

// kind is the type of a parameter.
type kind int

const (
	text    kind = iota
	texts        // a list; a single text is a list of one
	id           // a text; a number is taken for its digits
	ids          // a list of them
	integer      // a whole number
	number       // any number
	boolean      //
	object       // anything in braces
)

// The parameters that many tools have.
var (
	projectKey = param{name: "project_key", about: "Repository: a path in it, its slug or its id. Default: where the server runs"}
	format     = param{name: "format", about: "json or toon"}
)

// as is a parameter that says who acts. It may be left out once the session says so.
func as(name string) param {
	return param{name: name, about: "Your agent name. Default: whom this session registered"}
}

func (t *tool) param(name string) *param {
	for i := range t.params {
		if t.params[i].name == name {
			return &t.params[i]
		}
	}
	return nil
}

// shown returns the parameters that a profile lists.
func (t *tool) shown(p Profile) []param {
	if p != Lean {
		return t.params
	}
	names := strings.Fields(t.lean)
	var list []param
	for _, p := range t.params {
		if slices.Contains(names, p.name) {
			list = append(list, p)
		}
	}
	return list
}

// describe makes what tools/list shows. Schemas have no union types, which some
// clients refuse: a parameter that may be null is one that may be left out.
func (t *tool) describe(p Profile) mcp.Tool {
	properties := map[string]any{}
	required := []string{}
	for _, p := range t.shown(p) {
		properties[p.name] = p.schema()
		if p.required {
			required = append(required, p.name)
		}
	}
	schema := map[string]any{"type": "object", "properties": properties}
	if len(required) > 0 {
		schema["required"] = required
	}
	raw, err := json.Marshal(schema)
	if err != nil {
		panic(err) // a default in a table that JSON has no word for
	}
	d := mcp.NewToolWithRawSchema(t.name, t.about, raw)
	d.Annotations = t.is.annotations()
	meta := map[string]any{}
	if p == Lean && (t.name == "fetch_inbox" || t.name == "file_reservation_paths") {
		meta["anthropic/alwaysLoad"] = true
	} else if t.hint != "" {
		meta["anthropic/searchHint"] = t.hint
	}
	if len(meta) > 0 {
		d.Meta = &mcp.Meta{AdditionalFields: meta}
	}
	return d
}

func (p param) schema() map[string]any {
	s := map[string]any{}
	switch p.kind {
	case text, id:
		s["type"] = "string"
	case texts, ids:
		s["type"], s["items"] = "array", map[string]any{"type": "string"}
	case integer:
		s["type"] = "integer"
	case number:
		s["type"] = "number"
	case boolean:
		s["type"] = "boolean"
	case object:
		s["type"] = "object"
	}
	if p.about != "" {
		s["description"] = p.about
	}
	if p.def != nil {
		s["default"] = p.def
	}
	if p.enum != nil {
		s["enum"] = p.enum
	}
	return s
}

func (e effect) annotations() mcp.ToolAnnotation {
	yes := func(b bool) *bool { return &b }
	return mcp.ToolAnnotation{
		ReadOnlyHint:    yes(e == reads),
		DestructiveHint: yes(e == destroys || e == unknowing),
		IdempotentHint:  yes(e == reads || e == settles),
		OpenWorldHint:   yes(false),
	}
}
