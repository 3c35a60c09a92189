package mcp

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

const (
	questionPrefix = "agentmail-ask-" // of the ids of questions, by which late answers are known too
	questionsMost  = 4                // that one client has at a time: each holds up a call
	answerTokens   = 4096             // what an answer may have, and more than the longest summary needs
)

// asking are the questions to clients' models that have no answer yet. The library could
// ask too, but over HTTP only by a stream that the client may never have opened, and what
// was asked in vain would wait there and be asked later. So a question goes the way of all
// that is said of a call before its answer.
type asking struct {
	mu   sync.Mutex
	open map[string]*question // by id
	over bool                 // no answer comes any more
}

// question waits for one answer, from the client that it was put to and no other.
type question struct {
	to     *session
	answer chan response // is closed without one if none comes any more
}

// response is what a client answers.
type response struct {
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

var errEnds = errors.New("the connection ends before the model answers")

// put notes a question, or says why it is not to be asked.
func (a *asking) put(id string, to *session) (*question, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, q := range a.open {
		if q.to == to {
			n++
		}
	}
	switch {
	case a.over:
		return nil, errEnds
	case n >= questionsMost:
		return nil, errors.New("the client's model has too much to answer already")
	}
	q := &question{to: to, answer: make(chan response, 1)}
	if a.open == nil {
		a.open = map[string]*question{}
	}
	a.open[id] = q
	return q, nil
}

func (a *asking) drop(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.open, id)
}

// answered takes an answer from a client, and reports whether it is to a question of ours.
// One that comes too late or from somebody else is dropped: the library would answer it
// with an error.
func (a *asking) answered(from *session, m message, data []byte) bool {
	id, _ := m.ID.(string)
	if m.Method != "" || !strings.HasPrefix(id, questionPrefix) {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if q := a.open[id]; q != nil && q.to == from {
		var r response
		json.Unmarshal(data, &r) // what cannot be read is no answer
		q.answer <- r
		delete(a.open, id)
	}
	return true
}

// end makes everybody stop waiting: there is nobody who could still answer.
func (a *asking) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
	for id, q := range a.open {
		close(q.answer)
		delete(a.open, id)
	}
}

// connection is the session of the client itself, whichever of its own it calls for.
func (s *Server) connection(ctx context.Context) *session {
	if s.stdio != nil {
		return s.stdio
	}
	return s.session(ctx)
}

// initialized notes what a client says that it can do.
func (s *Server) initialized(ctx context.Context, _ any, r *mcp.InitializeRequest, _ *mcp.InitializeResult) {
	if to := s.connection(ctx); to != nil {
		to.mu.Lock()
		defer to.mu.Unlock()
		to.samples = r.Params.Capabilities.Sampling != nil
	}
}

// wantsModel reports whether the caller asks for a model's words, which is more than not
// to refuse them: a client's model costs its user money, or a question to answer.
func (c *call) wantsModel() bool { return c.given("llm_mode") && c.boolean("llm_mode") }

// asks returns what asks the client's own model, the one of the given name if it has it;
// nil if that is not wanted.
func (c *call) asks(name string) mail.Ask {
	if !c.wantsModel() {
		return nil
	}
	return func(ctx context.Context, instruction, data string) (text, model string, err error) {
		return c.server.ask(ctx, name, instruction, data)
	}
}

// ask has the client's model answer (sampling/createMessage), until ctx ends. It is called
// where no other model is configured, which its errors say where the client is not even
// asked.
func (s *Server) ask(ctx context.Context, hint, instruction, data string) (text, model string, err error) {
	to := s.connection(ctx)
	if to == nil || mcp.IsModernProtocol(server.RequestProtocolVersion(ctx)) {
		return "", "", errors.New("no server of a model is configured, and without a session the client's cannot be asked")
	}
	to.mu.Lock()
	samples := to.samples
	to.mu.Unlock()
	if !samples {
		return "", "", errors.New("no server of a model is configured, and the client does not offer its own (sampling)")
	}
	id := questionPrefix + rand.Text()
	q, err := s.asking.put(id, to)
	if err != nil {
		return "", "", err
	}
	defer s.asking.drop(id)
	line, err := json.Marshal(map[string]any{"jsonrpc": mcp.JSONRPC_VERSION, "id": id, "method": mcp.MethodSamplingCreateMessage, "params": sampling(hint, instruction, data)})
	if err != nil {
		return "", "", err
	}
	if !s.say(ctx, line) {
		return "", "", errors.New("the client cannot be asked anything during this call")
	}
	select {
	case r, ok := <-q.answer:
		if !ok {
			return "", "", errEnds
		}
		return r.words()
	case <-ctx.Done():
		s.notify(ctx, string(mcp.MethodNotificationCancelled), map[string]any{"requestId": id, "reason": "nobody waits any more"})
		return "", "", ctx.Err()
	}
}

// sampling asks a client's model. What is to be done stands before the data as well: a
// client may change the system prompt, or leave it out.
func sampling(hint, instruction, data string) mcp.CreateMessageParams {
	p := mcp.CreateMessageParams{
		SystemPrompt: instruction, IncludeContext: "none", MaxTokens: answerTokens,
		Messages: []mcp.SamplingMessage{{Role: mcp.RoleUser, Content: mcp.NewTextContent(instruction + "\n\n" + data)}},
	}
	if hint != "" {
		p.ModelPreferences = &mcp.ModelPreferences{Hints: []mcp.ModelHint{{Name: hint}}}
	}
	return p
}

// words returns what the model says, and its name.
func (r response) words() (text, model string, err error) {
	if r.Error != nil {
		return "", "", fmt.Errorf("the client answers with error %d: %s", r.Error.Code, r.Error.Message)
	}
	type part struct{ Type, Text string }
	var res struct {
		Content json.RawMessage // one part, or since 2025-11-25 several
		Model   string
	}
	var parts []part
	if json.Unmarshal(r.Result, &res) == nil && json.Unmarshal(res.Content, &parts) != nil {
		var one part
		json.Unmarshal(res.Content, &one)
		parts = []part{one}
	}
	for _, p := range parts {
		if p.Type == "text" {
			text += p.Text
		}
	}
	if strings.TrimSpace(text) == "" {
		return "", "", errors.New("the client's model says nothing")
	}
	if res.Model == "" {
		res.Model = "unknown"
	}
	return text, res.Model, nil
}
