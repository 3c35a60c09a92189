package mcp

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// resource is one kind of thing that clients read by its address. Reading it is a call
// whose arguments stand in the address.
type resource struct {
	tool        // name is the address up to its argument, such as resource://inbox
	arg  string // the parameter that stands in the path; "" for none
}

const scheme = "resource://"

// template is the address as RFC 6570 writes it.
func (r *resource) template() string {
	s := r.name
	if r.arg != "" {
		s += "/{" + r.arg + "}"
	}
	var query []string
	for _, p := range r.params {
		if p.name != r.arg {
			query = append(query, p.name)
		}
	}
	if len(query) > 0 {
		s += "{?" + strings.Join(query, ",") + "}"
	}
	return s
}

// addResources lets clients list and read them. The library finds a handler by matching
// templates in any order, and none where a query has its fields in another order than
// the template, so that addresses are taken apart here.
func (s *Server) addResources(hooks *server.Hooks) {
	const readAll = scheme + "_"
	for _, r := range allResources() {
		s.resources = append(s.resources, r)
		none := func(context.Context, mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) { return nil, nil }
		if t := r.template(); strings.Contains(t, "{") {
			s.mcp.AddResourceTemplate(mcp.NewResourceTemplate(t, strings.TrimPrefix(r.name, scheme),
				mcp.WithTemplateDescription(r.about), mcp.WithTemplateMIMEType("application/json")), none)
		}
		if r.arg == "" {
			s.mcp.AddResource(mcp.NewResource(r.name, strings.TrimPrefix(r.name, scheme),
				mcp.WithResourceDescription(r.about), mcp.WithMIMEType("application/json")), none)
		}
	}
	s.mcp.AddResource(mcp.NewResource(readAll, "_"), s.read)
	hooks.AddAfterListResources(func(_ context.Context, _ any, _ *mcp.ListResourcesRequest, l *mcp.ListResourcesResult) {
		kept := l.Resources[:0]
		for _, r := range l.Resources {
			if r.URI != readAll {
				kept = append(kept, r)
			}
		}
		l.Resources = kept
	})
	hooks.AddBeforeReadResource(func(_ context.Context, _ any, r *mcp.ReadResourceRequest) {
		if strings.HasPrefix(r.Params.URI, scheme) {
			r.Params.Arguments = map[string]any{"uri": r.Params.URI}
			r.Params.URI = readAll
		}
	})
}

// read answers resources/read.
func (s *Server) read(ctx context.Context, req mcp.ReadResourceRequest) (_ []mcp.ResourceContents, err error) {
	uri, _ := req.Params.Arguments["uri"].(string)
	defer func() { err = protocolError(err) }()
	defer s.catch("resources/read", &err)
	r, given, err := s.address(uri)
	if err != nil {
		return nil, err
	}
	args, err := r.check(given)
	if err != nil {
		return nil, err
	}
	c := &call{server: s, tool: &r.tool, args: args, header: req.Header, session: s.session(ctx)}
	as, err := c.encoding()
	if err != nil {
		return nil, err
	}
	defer c.close()
	v, err := r.run(ctx, c)
	if err != nil {
		return nil, err
	}
	n, err := tree(v)
	if err != nil {
		return nil, err
	}
	if s.profile == Lean {
		fence(n)
	}
	if as.format == "toon" {
		n = as.wrap(n)
	}
	return []mcp.ResourceContents{mcp.TextResourceContents{URI: uri, MIMEType: "application/json", Text: string(n.bytes())}}, nil
}

// protocolError is an error as resources/read can tell it: one text.
func protocolError(err error) error {
	if err == nil {
		return nil
	}
	e := mail.AsError(err)
	s := fmt.Sprintf("%s [%s]", e.Message, e.Code)
	if len(e.Hints) > 0 {
		s += "; " + e.Hints[0]
	}
	return fmt.Errorf("%s", s)
}

// address finds the resource that a client asks for, and the arguments in the address.
// Some clients write the query, or all of it, percent-encoded into the last element.
func (s *Server) address(uri string) (*resource, map[string]any, error) {
	rest := strings.TrimPrefix(uri, scheme)
	path, query, _ := strings.Cut(rest, "?")
	if p, err := url.PathUnescape(path); err == nil {
		path = p
	}
	if p, q, ok := strings.Cut(path, "?"); ok {
		path, query = p, strings.Trim(q+"&"+query, "&")
	}
	path = strings.TrimRight(path, "/")
	var found *resource
	arg := ""
	for i := range s.resources {
		r := s.resources[i]
		name := strings.TrimPrefix(r.name, scheme)
		switch after, ok := strings.CutPrefix(path, name+"/"); {
		case path == name && (r.arg == "" || found == nil):
			found, arg = r, ""
		case ok && r.arg != "" && after != "":
			found, arg = r, after
		}
	}
	if found == nil {
		return nil, nil, s.unknownAddress(uri)
	}
	args := map[string]any{}
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, nil, mail.Errorf(mail.Invalid, "the query of %s is not one: %w", shorten(uri), err)
	}
	for name, list := range values {
		args[name] = list[len(list)-1]
	}
	if arg != "" {
		args[found.arg] = arg
	}
	for name, v := range args {
		if p := found.param(name); p != nil {
			args[name] = p.fromText(v.(string))
		}
	}
	return found, args, nil
}

func (s *Server) unknownAddress(uri string) error {
	e := mail.Errorf(mail.NotFound, "no resource %s: not found", shorten(uri)).Typed("NOT_FOUND")
	names := map[string]string{}
	for _, r := range s.resources {
		names[r.name] = r.template()
	}
	// What stands before the argument, of one or two elements.
	part := strings.Split(strings.TrimPrefix(uri, scheme), "/")
	for n := min(2, len(part)); n > 0; n-- {
		if near := mail.Nearest(scheme+strings.Join(part[:n], "/"), slices.Sorted(maps.Keys(names))); len(near) > 0 {
			return e.Hint("did you mean %s?", names[near[0]])
		}
	}
	return e.Hint("resources/templates/list has them all")
}

// fromText returns what stands in an address as JSON would have it, or the text itself,
// which check then finds fault with.
func (p *param) fromText(s string) any {
	switch p.kind {
	case integer, number:
		if f, err := strconv.ParseFloat(s, 64); err == nil {
			return f
		}
	case boolean:
		if truthy(s) {
			return true
		}
		if s == "" || truthy(map[string]string{"0": "1", "false": "1", "f": "1", "no": "1", "n": "1"}[strings.ToLower(s)]) {
			return false
		}
	}
	return s
}
