package clients

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// step is what the model does in its turn: it calls a tool, whose name ends in this.
type step struct {
	tool string
	args map[string]any
	text string // instead of args, for a tool whose input is a bare text
}

// model plays a language model on loopback, in the protocols of four vendors: it calls
// one tool after the other, whatever it is told, and then says that it is done.
type model struct {
	t     *testing.T
	url   string
	steps []step

	mu      sync.Mutex
	results []string // what the tools answered, as the client gave it to the model
	tools   []string // what the client offered last
	seen    []string // requests, for when a test fails
}

func newModel(t *testing.T, steps ...step) *model {
	m := &model{t: t, steps: steps}
	srv := httptest.NewServer(m)
	t.Cleanup(srv.Close)
	m.url = srv.URL
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		t.Logf("tools offered: %q", m.tools)
		for _, s := range m.seen {
			t.Logf("the model was asked: %s", s)
		}
	})
	return m
}

type object = map[string]any

func (m *model) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var req object
	json.Unmarshal(body, &req)
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.seen) < 40 {
		m.seen = append(m.seen, fmt.Sprintf("%s %s %.300s ... %s", r.Method, r.URL, body, body[max(0, len(body)-700):]))
	}
	path := r.URL.Path
	switch {
	case strings.HasSuffix(path, "/count_tokens"):
		reply(w, object{"input_tokens": 100})
	case strings.HasSuffix(path, "/v1/messages"):
		m.anthropic(w, req)
	case strings.HasSuffix(path, "/responses"):
		m.responses(w, req)
	case strings.HasSuffix(path, "/chat/completions"):
		m.chat(w, req)
	case strings.HasSuffix(path, ":countTokens"):
		reply(w, object{"totalTokens": 100})
	case strings.HasSuffix(path, ":streamGenerateContent"), strings.HasSuffix(path, ":generateContent"):
		m.gemini(w, req, strings.HasSuffix(path, ":streamGenerateContent"))
	default:
		http.Error(w, `{"error":{"message":"nothing here"}}`, http.StatusNotFound)
	}
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v)
}

// next returns the step after as many results, and the client's own name of its tool;
// nil at the end, and where the client offers no tools: it wants a title or the like.
func (m *model) next(results, tools []string) (s *step, name string) {
	if len(tools) == 0 {
		return nil, ""
	}
	m.tools = tools
	if len(results) > len(m.results) {
		m.results = results
	}
	if len(results) >= len(m.steps) {
		return nil, ""
	}
	s = &m.steps[len(results)]
	for _, t := range tools {
		if t == s.tool || strings.HasSuffix(t, "_"+s.tool) || strings.HasSuffix(t, "-"+s.tool) {
			return s, t
		}
	}
	return s, "mcp__agentmail__" + s.tool // a client may have put it off
}

// events writes a stream of server-sent events.
func events(w http.ResponseWriter, list ...object) {
	w.Header().Set("Content-Type", "text/event-stream")
	for _, e := range list {
		data, _ := json.Marshal(e)
		if kind, ok := e["type"].(string); ok {
			fmt.Fprintf(w, "event: %s\n", kind)
		}
		fmt.Fprintf(w, "data: %s\n\n", data)
	}
}

// list returns the objects in a list.
func list(v any) (out []object) {
	all, _ := v.([]any)
	for _, e := range all {
		if o, ok := e.(object); ok {
			out = append(out, o)
		}
	}
	return out
}

func text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	data, _ := json.Marshal(v)
	return string(data)
}

func (m *model) anthropic(w http.ResponseWriter, req object) {
	var results, tools []string
	for _, msg := range list(req["messages"]) {
		for _, c := range list(msg["content"]) {
			if c["type"] == "tool_result" {
				results = append(results, text(c["content"]))
			}
		}
	}
	for _, t := range list(req["tools"]) {
		tools = append(tools, text(t["name"]))
	}
	s, name := m.next(results, tools)
	content, stop := object{"type": "text", "text": "done"}, "end_turn"
	start, delta := object{"type": "text", "text": ""}, object{"type": "text_delta", "text": "done"}
	if s != nil {
		id := fmt.Sprintf("toolu_%d", len(results))
		content, stop = object{"type": "tool_use", "id": id, "name": name, "input": s.args}, "tool_use"
		start, delta = object{"type": "tool_use", "id": id, "name": name, "input": object{}}, object{"type": "input_json_delta", "partial_json": text(s.args)}
	}
	msg := object{"id": fmt.Sprintf("msg_%d", len(results)), "type": "message", "role": "assistant", "model": req["model"], "content": []any{}, "stop_reason": nil,
		"stop_sequence": nil, "usage": object{"input_tokens": 10, "output_tokens": 1}}
	if req["stream"] != true {
		msg["content"], msg["stop_reason"] = []any{content}, stop
		reply(w, msg)
		return
	}
	events(w,
		object{"type": "message_start", "message": msg},
		object{"type": "content_block_start", "index": 0, "content_block": start},
		object{"type": "content_block_delta", "index": 0, "delta": delta},
		object{"type": "content_block_stop", "index": 0},
		object{"type": "message_delta", "delta": object{"stop_reason": stop, "stop_sequence": nil}, "usage": object{"output_tokens": 5}},
		object{"type": "message_stop"})
}

func (m *model) responses(w http.ResponseWriter, req object) {
	var results, tools []string
	within := map[string]string{} // of which group of tools a tool is
	custom := map[string]bool{}
	for _, item := range list(req["input"]) {
		switch item["type"] {
		case "function_call_output", "custom_tool_call_output":
			results = append(results, text(item["output"]))
		}
	}
	for _, t := range list(req["tools"]) {
		name, ok := t["name"].(string)
		if !ok { // a tool of the vendor's, such as the one that searches for others
			continue
		}
		if t["type"] == "namespace" {
			for _, inner := range list(t["tools"]) {
				tools = append(tools, text(inner["name"]))
				within[text(inner["name"])] = name
			}
			continue
		}
		tools = append(tools, name)
		custom[name] = t["type"] == "custom"
	}
	s, name := m.next(results, tools)
	item := object{"type": "message", "role": "assistant", "id": "msg_1", "content": []any{object{"type": "output_text", "text": "done"}}}
	id := fmt.Sprintf("call_%d", len(results))
	switch {
	case s == nil:
	case custom[name]:
		item = object{"type": "custom_tool_call", "id": "c" + id, "call_id": id, "name": name, "input": s.text}
	default:
		if s.args == nil {
			s.args = object{"input": s.text}
		}
		item = object{"type": "function_call", "id": "f" + id, "call_id": id, "name": name, "arguments": text(s.args)}
		if space, ok := within[name]; ok {
			item["namespace"] = space
		} else if !slices.Contains(tools, name) {
			item["name"], item["namespace"] = s.tool, "mcp__agentmail"
		}
	}
	response := object{"id": "resp_" + id, "object": "response", "status": "in_progress", "output": []any{}}
	done := object{"id": "resp_" + id, "object": "response", "status": "completed", "output": []any{item},
		"usage": object{"input_tokens": 10, "output_tokens": 5, "total_tokens": 15, "input_tokens_details": object{"cached_tokens": 0}, "output_tokens_details": object{"reasoning_tokens": 0}}}
	events(w,
		object{"type": "response.created", "response": response},
		object{"type": "response.output_item.added", "output_index": 0, "item": item},
		object{"type": "response.output_item.done", "output_index": 0, "item": item},
		object{"type": "response.completed", "response": done})
}

func (m *model) chat(w http.ResponseWriter, req object) {
	var results, tools []string
	for _, msg := range list(req["messages"]) {
		if msg["role"] == "tool" {
			results = append(results, text(msg["content"]))
		}
	}
	for _, t := range list(req["tools"]) {
		f, _ := t["function"].(object)
		tools = append(tools, text(f["name"]))
	}
	s, name := m.next(results, tools)
	delta, stop := object{"role": "assistant", "content": "done"}, "stop"
	if s != nil {
		delta, stop = object{"role": "assistant", "tool_calls": []any{object{"index": 0, "id": fmt.Sprintf("call_%d", len(results)), "type": "function",
			"function": object{"name": name, "arguments": text(s.args)}}}}, "tool_calls"
	}
	chunk := func(delta object, stop any) object {
		return object{"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": req["model"],
			"choices": []any{object{"index": 0, "delta": delta, "finish_reason": stop}}}
	}
	last := chunk(object{}, stop)
	last["usage"] = object{"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
	events(w, chunk(delta, nil), last)
	io.WriteString(w, "data: [DONE]\n\n")
}

func (m *model) gemini(w http.ResponseWriter, req object, stream bool) {
	var results, tools []string
	for _, c := range list(req["contents"]) {
		for _, p := range list(c["parts"]) {
			if r, ok := p["functionResponse"].(object); ok {
				results = append(results, text(r["response"]))
			}
		}
	}
	for _, t := range list(req["tools"]) {
		for _, f := range list(t["functionDeclarations"]) {
			tools = append(tools, text(f["name"]))
		}
	}
	s, name := m.next(results, tools)
	part := object{"text": "done"}
	if config, _ := req["generationConfig"].(object); config["responseMimeType"] == "application/json" {
		// Which model to use, and whether it is done: no turn of ours.
		s, part = nil, object{"text": `{"reasoning":"","model_choice":"flash","complexity_reasoning":"","complexity_score":1}`}
	}
	if s != nil {
		part = object{"functionCall": object{"name": name, "args": s.args}}
	}
	answer := object{"candidates": []any{object{"index": 0, "finishReason": "STOP", "content": object{"role": "model", "parts": []any{part}}}},
		"usageMetadata": object{"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}}
	if !stream {
		reply(w, answer)
		return
	}
	events(w, answer)
}

// result returns what the model was told of its n-th call.
func (m *model) result(n int) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n >= len(m.results) {
		return "nothing"
	}
	return m.results[n]
}
