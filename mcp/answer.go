package mcp

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"reflect"
	"strings"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/mark3labs/mcp-go/mcp"
)

// answer wraps what a tool returned: one text that is compact JSON, and the same as
// structured content. A list stands in the text as it is and under "result" in the
// structured content, which must be an object.
func (c *call) answer(ctx context.Context, v any, as encoding) *mcp.CallToolResult {
	n, err := tree(v)
	if err != nil {
		return failure(err)
	}
	if c.lean {
		fence(n)
	}
	if n.kind == '{' {
		if line := c.server.notice(ctx, c); line != "" {
			n.add("notice", line)
		}
	}
	if as.format == "toon" {
		n = as.wrap(n)
	}
	text := n.bytes()
	if n.kind != '{' {
		n = &node{kind: '{', keys: []string{"result"}, values: []*node{n}}
	}
	return &mcp.CallToolResult{Content: []mcp.Content{mcp.NewTextContent(string(text))}, RawStructuredContent: n.bytes()}
}

// tree returns what a tool answers as a tree; no list at all is an empty one.
func tree(v any) (*node, error) {
	if n, ok := v.(*node); ok {
		return n, nil
	}
	if r := reflect.ValueOf(v); r.Kind() == reflect.Slice && r.IsNil() {
		return &node{kind: '['}, nil
	}
	data, err := json.Marshal(v)
	if err == nil {
		var n *node
		if n, err = parseTree(data); err == nil {
			return n, nil
		}
	}
	return nil, mail.Errorf(mail.Internal, "the answer could not be written: %w", err)
}

func (n *node) bytes() []byte {
	var w bytes.Buffer
	n.json(&w)
	return w.Bytes()
}

// fence puts a line that nobody else knows around each body, and beside it, so that what
// peers wrote cannot pass for anything else in the model's eyes.
func fence(n *node) {
	line := ""
	n.each(func(n *node) {
		if n.kind != '{' {
			return
		}
		for i, key := range n.keys {
			if v := n.values[i]; key == "body_md" && v.kind == '"' {
				if line == "" {
					line = "peer-data-" + strings.ToLower(rand.Text()[:8])
				}
				v.text = line + "\n" + v.text + "\n" + line
				n.add("body_fence", line)
				return
			}
		}
	})
}

// encoding is how a caller wants its answer written.
type encoding struct{ format, requested, source string }

// encoding reads the argument format, and where that says nothing the environment.
func (c *call) encoding() (encoding, error) {
	if c.tool.param("format") == nil {
		return encoding{"json", "json", "implicit"}, nil
	}
	for _, given := range []struct{ value, source string }{
		{c.text("format"), "param"},
		{c.server.opt.Getenv("MCP_AGENT_MAIL_OUTPUT_FORMAT"), "default"},
		{c.server.opt.Getenv("TOON_DEFAULT_FORMAT"), "default"},
	} {
		switch s := strings.ToLower(strings.TrimSpace(given.value)); s {
		case "", "auto", "default", "none", "null":
		case "json", "application/json", "text/json":
			return encoding{"json", "json", given.source}, nil
		case "toon", "application/toon", "text/toon":
			return encoding{"toon", "toon", given.source}, nil
		default:
			return encoding{}, mail.Errorf(mail.Invalid, "%s: format is json or toon, not %s", c.tool.name, shorten(given.value)).
				Typed("INVALID_ARGUMENT").With("argument", "format").Hint("leave format out for json")
		}
	}
	return encoding{"json", "json", "implicit"}, nil
}

// wrap is the contract's envelope around another notation.
func (e encoding) wrap(n *node) *node {
	meta := &node{kind: '{'}
	meta.add("requested", e.requested)
	meta.add("source", e.source)
	meta.add("encoder", "git-agentmail")
	out := &node{kind: '{'}
	out.add("format", e.format)
	out.add("data", n.toon())
	out.keys, out.values = append(out.keys, "meta"), append(out.values, meta)
	return out
}

// failure is the answer that says what went wrong. The contract's envelope, whole, is
// the text; its data holds our own code and the hints, which older hosts pass over.
func failure(err error) *mcp.CallToolResult {
	n, terr := tree(map[string]any{"error": envelope(err)})
	if terr != nil {
		n, _ = tree(map[string]any{"error": envelope(terr)})
	}
	data := n.bytes()
	return &mcp.CallToolResult{Content: []mcp.Content{mcp.NewTextContent(string(data))}, RawStructuredContent: data, IsError: true}
}

type errorEnvelope struct {
	Type        string         `json:"type"`
	Message     string         `json:"message"`
	Recoverable bool           `json:"recoverable"`
	Data        map[string]any `json:"data"`
}

func envelope(err error) errorEnvelope {
	e := mail.AsError(err)
	data := map[string]any{"code": e.Code, "retry": e.Retry}
	for k, v := range e.Details {
		data[k] = v
	}
	hints := e.Hints
	if e.Code == mail.NoAgent { // who calls tools is helped by a tool
		hints = append([]string{"register_agent {}"}, hints...)
	}
	if len(hints) > 0 {
		data["hint"], data["hints"] = hints[0], hints
	}
	if len(e.Lines) > 0 {
		data["lines"] = e.Lines
	}
	return errorEnvelope{Type: e.Type, Message: e.Message, Recoverable: e.Code != mail.Internal && e.Code != mail.Corrupt, Data: data}
}
