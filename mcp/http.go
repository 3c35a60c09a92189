package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

const (
	readHeaders = 10 * time.Second // for the headers of a request
	readBody    = 30 * time.Second // for its body
	idle        = 2 * time.Minute  // of a connection between requests

	// transportIdle is how long the library keeps what it has for a session that is silent.
	transportIdle = 10 * time.Minute
)

// front is what every request over HTTP passes before the library sees it: the library
// reads bodies of any size, takes any Origin, and cancels what others asked for.
type front struct {
	*access
	server   *Server
	sessions *sessions
	limit    *limit                       // of requests by one caller; nil is none
	requests *slog.Logger                 // tells of every request; nil is nobody
	stateful *server.StreamableHTTPServer // for clients that said hello, and have a session
	bare     *server.StreamableHTTPServer // for everybody else
	mux      *http.ServeMux
	ending   atomic.Bool
	streams  context.Context // ends when the streams shall
}

// HTTP serves every client that finds addr, until ctx ends. What was asked before then is
// answered.
func (s *Server) HTTP(ctx context.Context, addr string) error {
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return mail.Errorf(mail.Invalid, "%q is not an address: %w", addr, err).Hint("git agentmail serve --http 127.0.0.1:8765")
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return mail.Errorf(mail.Denied, "nothing can listen there: %w", err).Hint("git agentmail serve --http 127.0.0.1:0")
	}
	return s.Serve(ctx, ln)
}

// Serve is HTTP on a listener, which it closes.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	streams, cut := context.WithCancel(context.Background())
	defer cut()
	f, err := s.front(streams)
	if err != nil {
		ln.Close()
		return err
	}
	if f.token == "" && !loopback(ln.Addr().String()) {
		ln.Close()
		return mail.Errorf(mail.Denied, "everybody who reaches %s could read and write this mail: no token is set", ln.Addr()).
			Hint("HTTP_BEARER_TOKEN=SECRET git agentmail serve --http %s", ln.Addr())
	}
	srv := &http.Server{Handler: f, ReadHeaderTimeout: readHeaders, IdleTimeout: idle, MaxHeaderBytes: 64 << 10, ErrorLog: s.opt.Log}
	if addr, ok := ln.Addr().(*net.TCPAddr); ok {
		s.addr.Store(addr)
	}
	s.opt.Log.Printf("serving http://%s/mcp/", ln.Addr())
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(ln) }()
	defer f.stateful.Shutdown(context.Background())
	select {
	case err := <-failed:
		return mail.Errorf(mail.Internal, "the server stopped: %w", err)
	case <-ctx.Done():
	}
	f.ending.Store(true)
	cut()
	s.asking.end()
	end, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := srv.Shutdown(end); err != nil {
		s.opt.Log.Printf("requests were cut off: %v", err)
		srv.Close()
	}
	return nil
}

// front makes the handler of all requests. Its streams end with the given context.
func (s *Server) front(streams context.Context) (*front, error) {
	f := &front{server: s, sessions: newSessions(time.Now), streams: streams, mux: http.NewServeMux()}
	var err error
	if f.access, err = newAccess(s.opt.Getenv); err != nil {
		return nil, err
	}
	if f.limit, err = newLimit(s.opt.Getenv, time.Now); err != nil {
		return nil, err
	}
	f.requests = requestLog(s.opt.Getenv, s.opt.Log.Writer())
	library := server.WithStreamableHTTPLogger(slog.New(slog.NewTextHandler(s.opt.Log.Writer(), &slog.HandlerOptions{Level: slog.LevelError})))
	f.stateful = server.NewStreamableHTTPServer(s.mcp, library, server.WithSessionIdManager(f.sessions), server.WithEventStore(newEvents()),
		server.WithSessionIdleTTL(transportIdle), server.WithHeartbeatInterval(transportIdle/4))
	f.bare = server.NewStreamableHTTPServer(s.mcp, library, server.WithStateLess(true))
	s.http = f.sessions

	for _, path := range []string{"/mcp", "/mcp/{$}", "/api", "/api/{$}"} {
		f.mux.HandleFunc(path, f.endpoint)
	}
	f.mux.HandleFunc("GET /health/liveness", func(w http.ResponseWriter, _ *http.Request) { tell(w, http.StatusOK, "status", "alive") })
	f.mux.HandleFunc("GET /health/readiness", func(w http.ResponseWriter, _ *http.Request) {
		if f.ending.Load() {
			tell(w, http.StatusServiceUnavailable, "status", "ending")
			return
		}
		tell(w, http.StatusOK, "status", "ready")
	})
	f.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { tell(w, http.StatusNotFound, "detail", "Not Found") })
	return f, nil
}

// ServeHTTP looks at who asks before anything is read.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.requests != nil {
		rec := &recorder{ResponseWriter: w}
		defer func(began time.Time) { rec.log(f.requests, r, time.Since(began)) }(time.Now())
		w = rec
	}
	if why := f.strange(r); why != "" {
		tell(w, http.StatusForbidden, "detail", "Forbidden: "+why)
		return
	}
	f.share(w.Header(), r)
	switch {
	case r.Method == http.MethodOptions:
		w.Header().Set("Allow", "GET, POST, DELETE, OPTIONS")
		w.WriteHeader(http.StatusNoContent)
	case strings.Contains(r.URL.Path, "/.well-known/"):
		// Clients look for a server that hands out tokens; so answered they do without.
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, `{"mcp_oauth":false}`)
	case strings.HasPrefix(r.URL.Path, "/health/"):
		f.mux.ServeHTTP(w, r)
	case !f.authenticate(r):
		tell(w, http.StatusUnauthorized, "detail", "Unauthorized")
	case !f.limit.allows(caller(r)):
		w.Header().Set("Retry-After", f.limit.seconds())
		tell(w, http.StatusTooManyRequests, "detail", "Rate limit exceeded")
	default:
		f.mux.ServeHTTP(w, r)
	}
}

// endpoint is where clients speak the protocol.
func (f *front) endpoint(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get(server.HeaderKeySessionID)
	if modern(r) {
		id = "" // it has no sessions, and says nothing with this header
	}
	if r.Method == http.MethodPost {
		f.post(w, r, id)
		return
	}
	switch {
	case id == "":
		w.Header().Set("Allow", "POST")
		tell(w, http.StatusMethodNotAllowed, "detail", "there is nothing to hear without a session")
		return
	case !f.sessions.has(id):
		tell(w, http.StatusNotFound, "detail", "no such session: not found")
		return
	}
	if r.Method == http.MethodDelete {
		f.sessions.forget(id)
	}
	r, stop := f.untilEnd(r)
	defer stop()
	f.stateful.ServeHTTP(w, r)
}

func (f *front) post(w http.ResponseWriter, r *http.Request, id string) {
	control := http.NewResponseController(w)
	control.SetReadDeadline(time.Now().Add(readBody))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessage))
	control.SetReadDeadline(time.Time{})
	if err != nil {
		status, why := http.StatusBadRequest, "the message could not be read"
		if large := new(http.MaxBytesError); errors.As(err, &large) {
			status, why = http.StatusRequestEntityTooLarge, tooLong
		}
		refuse(w, status, why)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if r.Header.Get("Content-Type") == "" {
		r.Header.Set("Content-Type", "application/json") // hooks in the wild say nothing
	}
	var m struct {
		message
		Params struct {
			Name string `json:"name"`
		} `json:"params"`
	}
	json.Unmarshal(body, &m) // what cannot be read is the library's to say
	if rec, ok := w.(*recorder); ok {
		rec.rpc, rec.tool = m.Method, m.Params.Name
	}
	if from := f.sessions.get(id); from != nil && f.server.asking.answered(from, m.message, body) {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	if id == "" && m.Method == string(mcp.MethodNotificationCancelled) {
		w.WriteHeader(http.StatusAccepted) // without a session it could be meant for anybody's call
		return
	}
	if slices.ContainsFunc(r.Header.Values("Accept"), takesStream) {
		answer, req := streaming(w, r)
		defer answer.end()
		w, r = answer, req
	} else {
		w = struct{ http.ResponseWriter }{w} // which cannot stream, so nothing will be
	}
	switch {
	case id != "":
		f.stateful.ServeHTTP(w, r)
	case m.Method == string(mcp.MethodInitialize):
		f.makeRoom()
		f.stateful.ServeHTTP(w, r)
	case m.Method == string(mcp.MethodSubscriptionsListen):
		r, stop := f.untilEnd(r)
		defer stop()
		f.bare.ServeHTTP(w, r)
	default:
		f.bare.ServeHTTP(w, r)
	}
}

func takesStream(accept string) bool {
	return strings.Contains(accept, eventStream) || strings.Contains(accept, "*/*")
}

// modern reports whether a request is of a protocol without sessions.
func modern(r *http.Request) bool {
	return mcp.IsModernProtocol(r.Header.Get(mcp.HeaderProtocolVersion))
}

// untilEnd makes a request that has no end by itself end with the server.
func (f *front) untilEnd(r *http.Request) (*http.Request, func()) {
	ctx, cancel := context.WithCancel(r.Context())
	stop := context.AfterFunc(f.streams, cancel)
	return r.WithContext(ctx), func() { stop(); cancel() }
}

// makeRoom ends the sessions that are too many.
func (f *front) makeRoom() {
	for _, id := range f.sessions.tooMany() {
		r, err := http.NewRequest(http.MethodDelete, "/", nil)
		if err != nil {
			return
		}
		r.Header.Set(server.HeaderKeySessionID, id)
		f.stateful.ServeHTTP(&nobody{header: http.Header{}}, r)
	}
}

// nobody is told what nobody asked.
type nobody struct{ header http.Header }

func (n *nobody) Header() http.Header         { return n.header }
func (n *nobody) Write(p []byte) (int, error) { return len(p), nil }
func (n *nobody) WriteHeader(int)             {}

// tell answers with an object of one field.
func tell(w http.ResponseWriter, status int, name, value string) {
	data, _ := json.Marshal(map[string]string{name: value})
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(data)
}

// refuse answers a message that was not understood.
func refuse(w http.ResponseWriter, status int, why string) {
	data, _ := json.Marshal(mcp.JSONRPCError{JSONRPC: mcp.JSONRPC_VERSION, Error: mcp.NewJSONRPCErrorDetails(mcp.INVALID_REQUEST, why, nil)})
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(data)
}

// recorder is a response that is told of in the log.
type recorder struct {
	http.ResponseWriter
	status, bytes int
	rpc, tool     string
	once          sync.Once
}

func (r *recorder) WriteHeader(status int) {
	r.once.Do(func() { r.status = status })
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	r.once.Do(func() { r.status = http.StatusOK })
	n, err := r.ResponseWriter.Write(p)
	r.bytes += n
	return n, err
}

// Flush lets the library stream.
func (r *recorder) Flush() {
	if f, ok := r.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

// Unwrap lets deadlines be set.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// log writes one line. Headers and the query are left out: tokens stand in them.
func (r *recorder) log(to *slog.Logger, req *http.Request, took time.Duration) {
	args := []any{"method", req.Method, "path", req.URL.Path, "status", r.status, "bytes", r.bytes,
		"ms", float64(took.Microseconds()) / 1000, "caller", caller(req)}
	for _, f := range []struct{ name, value string }{{"rpc", r.rpc}, {"tool", r.tool}} {
		if f.value != "" {
			if len(f.value) > 100 {
				f.value = f.value[:100]
			}
			args = append(args, f.name, f.value)
		}
	}
	to.Info("request", args...)
}

// requestLog writes to w, if the environment asks for a log of requests.
func requestLog(getenv func(string) string, w io.Writer) *slog.Logger {
	switch {
	case !isSet(getenv, "HTTP_REQUEST_LOG_ENABLED", false):
		return nil
	case isSet(getenv, "LOG_JSON_ENABLED", false):
		return slog.New(slog.NewJSONHandler(w, nil))
	}
	return slog.New(slog.NewTextHandler(w, nil))
}

// isSet reports whether the environment says yes.
func isSet(getenv func(string) string, name string, otherwise bool) bool {
	if s := strings.TrimSpace(getenv(name)); s != "" {
		return truthy(s)
	}
	return otherwise
}
