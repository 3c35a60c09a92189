package mcp

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/git-agentmail/git-agentmail/mailbox"
)

// call is one call of a tool, its arguments checked.
type call struct {
	server  *Server
	tool    *tool
	args    map[string]any
	session *session
	header  http.Header // of the request, over HTTP
	lean    bool        // the answer is read by a model that was shown the lean tools

	box     *mailbox.Box   // that the call was about, once known
	release func()         // gives it back when the call is over
	who     *mailbox.Actor // that acted, once known
}

// check holds arguments against the tool's parameters and returns them in their own
// types: string, []string, int, float64, bool, map[string]any. null means not given.
func (t *tool) check(given map[string]any) (map[string]any, error) {
	args := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		p := t.param(name)
		if p == nil {
			return nil, t.unknownArgument(name)
		}
		if given[name] == nil {
			continue
		}
		v, ok := p.value(given[name])
		if !ok {
			return nil, mail.Errorf(mail.Invalid, "%s: %s wants %s, not %s", t.name, name, p.wants(), shorten(given[name])).
				Typed("TYPE_ERROR").With("argument", name).Hint("%s", t.example())
		}
		if s, isText := v.(string); isText && p.enum != nil && !slices.Contains(p.enum, strings.ToLower(s)) {
			return nil, mail.Errorf(mail.Invalid, "%s: %s is one of %s, not %s", t.name, name, strings.Join(p.enum, ", "), shorten(s)).
				Typed("INVALID_ARGUMENT").With("argument", name).Hint("%s", t.example())
		}
		args[name] = v
	}
	var required []string
	for _, p := range t.params {
		if p.required {
			required = append(required, p.name)
		}
	}
	return args, t.need(args, required...)
}

// need returns an error for the first parameter that is not given.
func (t *tool) need(args map[string]any, names ...string) error {
	for _, name := range names {
		if args[name] == nil {
			return mail.Errorf(mail.Invalid, "%s needs %s, %s", t.name, name, t.param(name).wants()).
				Typed("MISSING_FIELD").With("argument", name).Hint("%s", t.example())
		}
	}
	return nil
}

func (t *tool) unknownArgument(name string) error {
	known := make([]string, len(t.params))
	for i, p := range t.params {
		known[i] = p.name
	}
	e := mail.Errorf(mail.Invalid, "%s has no parameter %s", t.name, shorten(name)).Typed("TYPE_ERROR").With("argument", name).With("parameters", known)
	if near := mail.Nearest(name, known); len(near) > 0 {
		e.Hint("did you mean %s?", near[0])
	}
	return e.Hint("%s", t.example())
}

// value returns v as what the parameter is, if it can be that.
func (p *param) value(v any) (any, bool) {
	switch p.kind {
	case text:
		s, ok := v.(string)
		return s, ok
	case id:
		return asID(v)
	case texts, ids:
		one := func(v any) (any, bool) { s, ok := v.(string); return s, ok }
		if p.kind == ids {
			one = asID
		}
		list, ok := v.([]any)
		if !ok {
			list = []any{v}
		}
		out := make([]string, len(list))
		for i, v := range list {
			s, ok := one(v)
			if !ok {
				return nil, false
			}
			out[i] = s.(string)
		}
		return out, true
	case integer:
		f, ok := v.(float64)
		return int(f), ok && f == math.Trunc(f) && math.Abs(f) <= math.MaxInt32
	case number:
		f, ok := v.(float64)
		return f, ok
	case boolean:
		b, ok := v.(bool)
		return b, ok
	default:
		m, ok := v.(map[string]any)
		return m, ok
	}
}

// asID accepts what older prompts took ids for: numbers.
func asID(v any) (any, bool) {
	if f, ok := v.(float64); ok && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return strconv.FormatInt(int64(f), 10), true
	}
	s, ok := v.(string)
	return s, ok
}

func (p *param) wants() string {
	return map[kind]string{
		text: "a text", id: "an id, as text", texts: "a list of texts", ids: "a list of ids", integer: "a whole number",
		number: "a number", boolean: "true or false", object: "an object",
	}[p.kind]
}

// example is a call that is right, of what must be given.
func (t *tool) example() string {
	args := map[string]any{}
	for _, p := range t.params {
		if p.required {
			args[p.name] = p.example()
		}
	}
	data, _ := json.Marshal(args)
	return t.name + " " + string(data)
}

func (p *param) example() any {
	switch p.kind {
	case texts, ids:
		return []string{"..."}
	case integer, number:
		return 1
	case boolean:
		return true
	case object:
		return map[string]any{}
	}
	if p.enum != nil {
		return p.enum[0]
	}
	return "..."
}

// shorten shows a value that may be anything.
func shorten(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%T", v)
	}
	if r := []rune(string(data)); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return string(data)
}

// The getters return an argument, or the default of its parameter, or the zero value.
// Asking for what the table does not have is a fault in this package.

func get[T any](c *call, name string) T {
	p := c.tool.param(name)
	if p == nil {
		panic("mcp: " + c.tool.name + " has no parameter " + name)
	}
	v, ok := c.args[name]
	if !ok {
		v = p.def
	}
	t, _ := v.(T)
	return t
}

func (c *call) text(name string) string           { return get[string](c, name) }
func (c *call) texts(name string) []string        { return get[[]string](c, name) }
func (c *call) integer(name string) int           { return get[int](c, name) }
func (c *call) number(name string) float64        { return get[float64](c, name) }
func (c *call) boolean(name string) bool          { return get[bool](c, name) }
func (c *call) object(name string) map[string]any { return get[map[string]any](c, name) }
func (c *call) given(name string) bool            { _, ok := c.args[name]; return ok }
func (c *call) seconds(name string) time.Duration {
	return time.Duration(c.integer(name)) * time.Second
}

// span is a length of time that was given or has a default: none of it is not "the
// default" here, as it is to the mailbox, which makes the least it allows of this.
func (c *call) span(name string) time.Duration { return max(c.seconds(name), time.Second) }

// page is how much of a list an argument asks for.
func (c *call) page(name string) (mailbox.Page, error) { return mailbox.NewPage(name, c.integer(name)) }

// time returns a moment, zero if none is given.
func (c *call) time(name string) (time.Time, error) {
	s := c.text(name)
	if s == "" {
		return time.Time{}, nil
	}
	return mailbox.ParseTime(s)
}

// open returns the mailbox that the call is about.
func (c *call) open(ctx context.Context) (*mailbox.Box, error) {
	if c.box == nil {
		key := ""
		for _, name := range []string{"project_key", "project", "slug"} {
			if c.tool.param(name) != nil {
				key = c.text(name)
			}
		}
		if key == "" && c.given("project_key") {
			return nil, mail.Errorf(mail.Invalid, "%s: project_key must not be empty", c.tool.name).With("argument", "project_key").Hint("%s", c.tool.example())
		}
		b, release, err := c.server.projects.Open(ctx, key)
		if err != nil {
			return nil, err
		}
		c.hold(b, release)
	}
	return c.box, nil
}

// hold makes a mailbox the one that the call is about, until it has been answered.
func (c *call) hold(b *mailbox.Box, release func()) { c.box, c.release = b, release }

// close ends the call. Nothing uses its mailbox any more.
func (c *call) close() {
	if c.release != nil {
		c.release()
	}
}

// actor returns the mailbox that the call is about and who acts in it: the agent that
// the named argument says, else the one of this session, else what the surroundings
// say. Whoever calls a tool is a coding agent, and never a person. Of a tool that has no
// such argument the name is "".
func (c *call) actor(ctx context.Context, name string) (*mailbox.Box, mailbox.Actor, error) {
	b, who, err := c.reader(ctx, name)
	if err == nil {
		c.acts(b, who)
	}
	return b, who, err
}

// reader is actor where to be named means no more than to be looked at.
func (c *call) reader(ctx context.Context, name string) (*mailbox.Box, mailbox.Actor, error) {
	b, err := c.open(ctx)
	if err != nil {
		return nil, mailbox.Actor{}, err
	}
	caller, as := c.server.caller(c), ""
	if name != "" {
		as = strings.TrimSpace(c.text(name))
	}
	if as != "" {
		caller.As = as
	} else if as := c.session.agent(b); as != "" {
		caller.As = as
	}
	who, err := b.Who(ctx, caller)
	return b, who, err
}

// acts remembers who acted, for the session and for the nudge in the answer.
func (c *call) acts(b *mailbox.Box, who mailbox.Actor) {
	c.who = &who
	if who.Kind == mailbox.IsAgent {
		c.session.use(b, who)
	}
}
