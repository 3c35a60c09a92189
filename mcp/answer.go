package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"reflect"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/mark3labs/mcp-go/mcp"
)

// answer wraps what a tool returned: one text that is compact JSON, and the same as
// structured content. A list stands in the text as it is and under "result" in the
// structured content, which must be an object.
func (c *call) answer(ctx context.Context, v any) *mcp.CallToolResult {
	data, err := compact(v)
	if err != nil {
		return failure(mail.Errorf(mail.Internal, "the answer could not be written: %w", err))
	}
	if data, err = c.dress(ctx, data); err != nil {
		return failure(err)
	}
	shown := data
	if data[0] != '{' {
		shown = append(append([]byte(`{"result":`), data...), '}')
	}
	return &mcp.CallToolResult{Content: []mcp.Content{mcp.NewTextContent(string(data))}, RawStructuredContent: shown}
}

// compact is JSON without blanks, with <, > and & as they are, and empty lists for none.
func compact(v any) ([]byte, error) {
	if r := reflect.ValueOf(v); r.Kind() == reflect.Slice && r.IsNil() {
		return []byte("[]"), nil
	}
	var w bytes.Buffer
	enc := json.NewEncoder(&w)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSpace(w.Bytes()), err
}

// failure is the answer that says what went wrong. The contract's envelope, whole, is
// the text; its data holds our own code and the hints, which older hosts pass over.
func failure(err error) *mcp.CallToolResult {
	data, _ := compact(map[string]any{"error": envelope(err)})
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
	if len(e.Hints) > 0 {
		data["hint"], data["hints"] = e.Hints[0], e.Hints
	}
	if len(e.Lines) > 0 {
		data["lines"] = e.Lines
	}
	return errorEnvelope{Type: e.Type, Message: e.Message, Recoverable: e.Code != mail.Internal && e.Code != mail.Corrupt, Data: data}
}

// dress adds to an answer what is not the verb's own.
func (c *call) dress(_ context.Context, data []byte) ([]byte, error) { return data, nil }
