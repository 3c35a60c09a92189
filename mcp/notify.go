package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"
)

// notify tells the client something about a call before the call is answered. The library
// would give it to others to send: it could come after the answer, or on another stream of
// that client, or be dropped.
func (s *Server) notify(ctx context.Context, method string, params map[string]any) {
	data, err := json.Marshal(mcp.JSONRPCNotification{JSONRPC: mcp.JSONRPC_VERSION,
		Notification: mcp.Notification{Method: method, Params: mcp.NotificationParams{AdditionalFields: params}}})
	if err != nil {
		s.opt.Log.Printf("%s: %v", method, err)
		return
	}
	s.say(ctx, data)
}

// say sends a message before the answer to the call, and reports whether it could.
func (s *Server) say(ctx context.Context, data []byte) bool {
	if answer, ok := ctx.Value(streamKey{}).(*stream); ok {
		return answer.event(data)
	}
	if s.said == nil {
		return false
	}
	_, err := s.said.Write(append(data, '\n'))
	return err == nil
}

type streamKey struct{}

// stream is the answer to a POST. It is one JSON value, until something has to be said
// before it: then it is a stream of events, of which it is the last.
type stream struct {
	w http.ResponseWriter

	header http.Header // as the library sets it, before it is sent

	mu      sync.Mutex
	started bool
	ended   bool
	events  bool // what is sent is events
	value   bool // what the library writes is one JSON value
}

// streaming makes w a stream in the context of the request.
func streaming(w http.ResponseWriter, r *http.Request) (*stream, *http.Request) {
	s := &stream{w: w, header: http.Header{}}
	return s, r.WithContext(context.WithValue(r.Context(), streamKey{}, s))
}

// Header is the library's: two of its goroutines set it, one at a time.
func (s *stream) Header() http.Header { return s.header }

// WriteHeader begins the answer, unless an event has.
func (s *stream) WriteHeader(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kind := s.header.Get("Content-Type")
	s.value = kind != eventStream
	if !s.started {
		s.started, s.events = true, kind == eventStream
		maps.Copy(s.w.Header(), s.header)
		s.w.WriteHeader(status)
	}
}

const eventStream = "text/event-stream"

// Write sends what the library says: whole events, or the one value.
func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.started = true
	if s.events && s.value {
		return len(p), s.send(p)
	}
	return s.w.Write(p)
}

// event sends a message before the answer, and reports whether it could.
func (s *stream) event(data []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.started && !s.events {
		return false
	}
	if !s.started {
		s.started, s.events = true, true
		s.w.Header().Set("Content-Type", eventStream)
		s.w.Header().Set("Cache-Control", "no-cache")
		s.w.WriteHeader(http.StatusOK)
	}
	err := s.send(data)
	s.flush()
	return err == nil
}

func (s *stream) send(data []byte) error {
	_, err := s.w.Write(append(append([]byte("event: message\ndata: "), bytes.TrimSpace(data)...), "\n\n"...))
	return err
}

// Flush lets the library stream.
func (s *stream) Flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flush()
}

func (s *stream) flush() {
	if f, ok := s.w.(http.Flusher); ok {
		f.Flush()
	}
}

// end is called when the request is over.
func (s *stream) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
}
