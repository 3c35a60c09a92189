package mcp

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// web is a server over HTTP and what it wrote into its log.
type web struct {
	t   *testing.T
	url string
	s   *Server
	log *safeBuffer
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// serve starts a server that sees the given settings.
func serve(t *testing.T, dir string, env []string, settings ...string) *web {
	t.Helper()
	opt := options(t, dir, env, Full)
	opt.Getenv = func(name string) string { return lookup(settings, name) }
	return serveOptions(t, opt)
}

func serveOptions(t *testing.T, opt Options) *web {
	t.Helper()
	w := &web{t: t, log: &safeBuffer{}}
	opt.Log = log.New(w.log, "agentmail: ", 0)
	w.s = New(opt)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.url = "http://" + ln.Addr().String()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		http.DefaultClient.CloseIdleConnections()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(20 * time.Second):
			t.Error("the server does not end")
		}
		w.s.Close()
	})
	return w
}

// do makes a request with headers "Name: value".
func (w *web) do(method, path, body string, headers ...string) (status int, answer string, h http.Header) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		if name == "Host" {
			r.Host = value
		} else {
			r.Header.Add(name, value)
		}
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, string(data), resp.Header
}

const (
	asJSON  = "Content-Type: application/json"
	accepts = "Accept: application/json, text/event-stream"
	health  = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"health_check","arguments":{}}}`
)

func initialize(version string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":%q,"capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`, version)
}

// session says hello and returns the header of its session.
func (w *web) session(version string) string {
	w.t.Helper()
	status, body, h := w.do("POST", "/mcp", initialize(version), asJSON, accepts)
	var r struct {
		Result struct{ ProtocolVersion string }
	}
	if json.Unmarshal([]byte(body), &r); status != 200 || r.Result.ProtocolVersion != version || h.Get("Mcp-Session-Id") == "" {
		w.t.Fatalf("%s: %d %s", version, status, body)
	}
	return "Mcp-Session-Id: " + h.Get("Mcp-Session-Id")
}

// call calls a tool and returns its text and whether that is an error.
func (w *web) call(tool string, args map[string]any, headers ...string) (string, bool) {
	w.t.Helper()
	data, _ := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": map[string]any{"name": tool, "arguments": args}})
	status, body, _ := w.do("POST", "/mcp", string(data), append(headers, asJSON, accepts)...)
	var r struct{ Result toolResult }
	if json.Unmarshal([]byte(body), &r) != nil || status != 200 || len(r.Result.Content) != 1 {
		w.t.Fatalf("%s: %d %s", tool, status, body)
	}
	return r.Result.Content[0].Text, r.Result.IsError
}

// TestProbes: what is answered, and how, without a session.
func TestProbes(t *testing.T) {
	w := serve(t, t.TempDir(), environ(t))
	for _, tc := range []struct {
		method, path, body string
		headers            []string
		status             int
		answer             string
	}{
		{"POST", "/mcp", health, []string{asJSON, accepts}, 200, `\"status\":\"ok\"`},
		{"POST", "/mcp/", health, []string{asJSON}, 200, `\"status\":\"ok\"`},
		{"POST", "/api", health, []string{asJSON, "Accept: application/json"}, 200, `\"status\":\"ok\"`},
		{"POST", "/api/", health, []string{"Content-Type: application/json; charset=utf-8", "Accept: text/html"}, 200, `\"status\":\"ok\"`},
		{"POST", "/api/", health, nil, 200, `\"status\":\"ok\"`},
		{"POST", "/mcp", health, []string{"Content-Type: text/plain"}, 400, "content type"},
		{"POST", "/mcp", `{`, []string{asJSON}, 400, "-32700"},
		{"POST", "/mcp", ``, []string{asJSON}, 400, "-32700"},
		{"POST", "/mcp", health, []string{asJSON, "Mcp-Session-Id: mcp-session-11111111-1111-4111-8111-111111111111"}, 404, ""},
		{"POST", "/mcp", health, []string{asJSON, "Mcp-Session-Id: x"}, 404, ""},
		{"GET", "/mcp", "", []string{accepts, "Mcp-Session-Id: x"}, 404, "not found"},
		{"DELETE", "/mcp", "", []string{"Mcp-Session-Id: x"}, 404, "not found"},
		{"GET", "/mcp", "", []string{accepts}, 405, ""},
		{"PUT", "/mcp", "", nil, 405, ""},
		{"POST", "/mcp", health, []string{asJSON, "Host: evil.example"}, 403, "Host"},
		{"POST", "/mcp", health, []string{asJSON, "Host: localhost"}, 200, ""},
		{"GET", "/health/liveness", "", []string{"Host: evil.example:80"}, 403, "Host"},
		{"POST", "/mcp", health, []string{asJSON, "Origin: https://evil.example"}, 403, "Origin"},
		{"POST", "/mcp", health, []string{asJSON, "Origin: null"}, 403, "Origin"},
		{"POST", "/mcp", health, []string{asJSON, "Origin: http://localhost:1"}, 403, "Origin"},
		{"POST", "/mcp", health, []string{asJSON, "Origin: " + w.url, "Origin: https://evil.example"}, 403, "Origin"},
		{"POST", "/mcp", health, []string{asJSON, "Origin: " + w.url}, 200, ""},
		{"POST", "/mcp", health, []string{asJSON, "X-Forwarded-For: 192.0.2.1"}, 401, `{"detail":"Unauthorized"}`},
		{"POST", "/mcp", strings.Repeat(" ", maxMessage) + health, []string{asJSON}, 413, "4 MB"},
		{"GET", "/.well-known/oauth-authorization-server", "", nil, 404, `{"mcp_oauth":false}`},
		{"GET", "/.well-known/oauth-authorization-server/mcp", "", nil, 404, `{"mcp_oauth":false}`},
		{"GET", "/.well-known/oauth-protected-resource/api", "", nil, 404, `{"mcp_oauth":false}`},
		{"GET", "/mcp/.well-known/openid-configuration", "", nil, 404, `{"mcp_oauth":false}`},
		{"GET", "/health/liveness", "", nil, 200, `{"status":"alive"}`},
		{"GET", "/health/readiness", "", nil, 200, `{"status":"ready"}`},
		{"OPTIONS", "/mcp", "", []string{"Access-Control-Request-Method: POST"}, 204, ""},
		{"GET", "/", "", nil, 404, `{"detail":"Not Found"}`},
		{"POST", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"fetch_inbx"}}`, []string{asJSON}, 200, "fetch_inbox"},
		{"POST", "/mcp", `[` + health + `]`, []string{asJSON}, 400, "-32700"},
	} {
		status, answer, h := w.do(tc.method, tc.path, tc.body, tc.headers...)
		if status != tc.status || !strings.Contains(answer, tc.answer) {
			t.Errorf("%s %s %.60s %q: %d %s", tc.method, tc.path, tc.body, tc.headers, status, answer)
		}
		for name := range h {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s %s: %s although nobody asked for it", tc.method, tc.path, name)
			}
		}
	}
}

// TestRevisions: every revision of the protocol is spoken on one endpoint.
func TestRevisions(t *testing.T) {
	w := serve(t, t.TempDir(), environ(t))
	for _, version := range []string{"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"} {
		session := w.session(version)
		if text, failed := w.call("health_check", nil, session, "Mcp-Protocol-Version: "+version); failed {
			t.Errorf("%s: %s", version, text)
		}
		if status, body, _ := w.do("DELETE", "/mcp", "", session); status != 200 {
			t.Errorf("%s: %d %s", version, status, body)
		}
		if status, _, _ := w.do("POST", "/mcp", health, session, asJSON, accepts); status != 404 {
			t.Errorf("%s: a session that is over answers %d", version, status)
		}
	}
	for _, tc := range []struct{ name, method, params, want string }{
		{"", "server/discover", ``, `"2026-07-28"`},
		{"health_check", "tools/call", `"name":"health_check","arguments":{},`, `\"status\":\"ok\"`},
	} {
		body := `{"jsonrpc":"2.0","id":1,"method":"` + tc.method + `","params":{` + tc.params +
			`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}`
		headers := []string{asJSON, accepts, "Mcp-Protocol-Version: 2026-07-28", "Mcp-Method: " + tc.method}
		if tc.name != "" {
			headers = append(headers, "Mcp-Name: "+tc.name)
		}
		status, answer, h := w.do("POST", "/mcp/", body, headers...)
		if status != 200 || !strings.Contains(answer, tc.want) || h.Get("Mcp-Session-Id") != "" {
			t.Errorf("%s: %d %s", tc.method, status, answer)
		}
	}
	if status, body, _ := w.do("POST", "/mcp", initialize("1999-01-01"), asJSON, accepts); status != 200 || !strings.Contains(body, `"protocolVersion":"2025-11-25"`) {
		t.Errorf("an unknown revision: %d %s", status, body)
	}
}

// TestHTTPIdentity: who acts is said by the call, by the session, or by a header, and one
// session is not another.
func TestHTTPIdentity(t *testing.T) {
	env := environ(t)
	dir := repository(t, env)
	w := serve(t, dir, env, "AGENTMAIL_AGENT=BlueLake")
	blue, green := w.session("2025-06-18"), w.session("2025-11-25")
	for session, name := range map[string]string{blue: "BlueLake", green: "GreenCastle"} {
		if text, failed := w.call("register_agent", map[string]any{"name": name, "program": "p", "model": "m"}, session); failed {
			t.Fatal(text)
		}
	}
	mail := map[string]any{"to": "GreenCastle", "subject": "s", "body_md": "b"}
	if text, failed := w.call("send_message", mail, blue); failed || !strings.Contains(text, `"from":"BlueLake"`) {
		t.Error(text)
	}
	for _, headers := range [][]string{{green}, {"X-Agent: GreenCastle"}} {
		if text, failed := w.call("fetch_inbox", nil, headers...); failed || !strings.Contains(text, `"from":"BlueLake"`) {
			t.Errorf("%s: %s", headers, text)
		}
	}
	if text, failed := w.call("fetch_inbox", map[string]any{"agent_name": "GreenCastle"}); failed || !strings.Contains(text, `"from":"BlueLake"`) {
		t.Error(text)
	}
	for _, headers := range [][]string{nil, {w.session("2025-06-18")}} {
		if text, failed := w.call("fetch_inbox", nil, headers...); !failed || !strings.Contains(text, "no_agent") {
			t.Errorf("%s is taken for somebody: %s", headers, text)
		}
	}
}

// TestToken: with a token nobody is served without it, but this machine, if it is so wanted.
func TestToken(t *testing.T) {
	open, closed := "HTTP_ALLOW_LOCALHOST_UNAUTHENTICATED=true", "HTTP_ALLOW_LOCALHOST_UNAUTHENTICATED=false"
	token, forward := "Authorization: Bearer s3cret", "X-Forwarded-For: 192.0.2.1"
	for _, tc := range []struct {
		setting string
		headers []string
		status  int
	}{
		{open, nil, 200}, {open, []string{forward}, 401}, {open, []string{"Forwarded: for=192.0.2.1"}, 401}, {open, []string{"X-Real-IP: ::1"}, 401},
		{open, []string{forward, token}, 200}, {closed, nil, 401}, {closed, []string{token}, 200}, {closed, []string{"Authorization: bearer s3cret"}, 200},
		{closed, []string{"Authorization: Bearer s3cre"}, 401}, {closed, []string{"Authorization: Bearer "}, 401}, {closed, []string{"Authorization: s3cret"}, 401},
		{closed, []string{"Authorization: Basic s3cret"}, 401},
	} {
		w := serve(t, t.TempDir(), environ(t), "HTTP_BEARER_TOKEN=s3cret", tc.setting)
		status, body, _ := w.do("POST", "/mcp", health, append(tc.headers, asJSON)...)
		if status != tc.status || status == 401 && body != `{"detail":"Unauthorized"}` {
			t.Errorf("%s %q: %d %s", tc.setting, tc.headers, status, body)
		}
		for _, path := range []string{"/health/liveness", "/health/readiness"} {
			if status, _, _ := w.do("GET", path, "", forward); status != 200 {
				t.Errorf("%s: %d", path, status)
			}
		}
		if status, _, _ := w.do("OPTIONS", "/mcp", "", forward); status != 204 {
			t.Errorf("OPTIONS: %d", status)
		}
	}
}

// TestNoToken: where there is no token, an empty one is none either; and what is of this
// machine is so in every way of writing it.
func TestNoToken(t *testing.T) {
	w := serve(t, t.TempDir(), environ(t), "HTTP_BEARER_TOKEN=")
	for _, token := range []string{"Bearer", "Bearer ", "bearer  "} {
		if status, body, _ := w.do("POST", "/mcp", health, asJSON, "X-Forwarded-For: 192.0.2.1", "Authorization: "+token); status != 401 {
			t.Errorf("%q: %d %s", token, status, body)
		}
	}
	for addr, want := range map[string]bool{
		"127.0.0.1:1": true, "127.9.9.9": true, "[::1]:1": true, "::1": true, "[::ffff:127.0.0.1]:1": true, "localhost:80": true, "LOCALHOST": true,
		"0.0.0.0:1": false, "[::]:1": false, "192.0.2.1:1": false, "localhost.example": false, "127.0.0.1.example:1": false, "": false,
	} {
		if loopback(addr) != want {
			t.Errorf("%q", addr)
		}
	}
}

// TestExposed: other machines are not served without a token.
func TestExposed(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0"} {
		s := New(options(t, t.TempDir(), environ(t), Lean))
		err := s.HTTP(t.Context(), addr)
		if err == nil || !strings.Contains(err.Error(), "no token is set") {
			t.Errorf("%s: %v", addr, err)
		}
		s.Close()
	}
	for _, addr := range []string{"127.0.0.1", "localhost:http:1", "127.0.0.1:99999"} {
		s := New(options(t, t.TempDir(), environ(t), Lean))
		if err := s.HTTP(t.Context(), addr); err == nil {
			t.Errorf("%s is an address", addr)
		}
		s.Close()
	}
}

// TestRate: one caller may make so many requests.
func TestRate(t *testing.T) {
	w := serve(t, t.TempDir(), environ(t), "HTTP_RATE_LIMIT_ENABLED=1", "HTTP_RATE_LIMIT_PER_MINUTE=5")
	for i := range 6 {
		status, body, h := w.do("POST", "/mcp", health, asJSON)
		if want := map[bool]int{true: 200, false: 429}[i < 5]; status != want {
			t.Errorf("%d: %d %s", i, status, body)
		}
		if i == 5 && (body != `{"detail":"Rate limit exceeded"}` || h.Get("Retry-After") != "12") {
			t.Errorf("%s, %s", body, h.Get("Retry-After"))
		}
	}
	if status, _, _ := w.do("GET", "/health/liveness", ""); status != 200 {
		t.Errorf("health is limited: %d", status)
	}
	now := time.Unix(0, 0)
	l := &limit{perMinute: 60, now: func() time.Time { return now }, callers: map[string]*allowance{}}
	many := func(caller string) (n int) {
		for l.allows(caller) {
			n++
		}
		return n
	}
	if a, b := many("a"), many("b"); a != 60 || b != 60 {
		t.Errorf("%d and %d", a, b)
	}
	now = now.Add(10 * time.Second)
	if n := many("a"); n != 10 {
		t.Errorf("after ten seconds %d", n)
	}
	for i := range 3 * maxCallers {
		l.allows(fmt.Sprint(i))
	}
	if len(l.callers) > maxCallers {
		t.Errorf("%d callers are remembered", len(l.callers))
	}
}

// TestShare: pages of other sites may ask if they are named.
func TestShare(t *testing.T) {
	w := serve(t, t.TempDir(), environ(t), "HTTP_CORS_ENABLED=true", "HTTP_CORS_ORIGINS=https://a.example, https://b.example")
	status, _, h := w.do("OPTIONS", "/mcp", "", "Origin: https://b.example", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type")
	if status != 204 || h.Get("Access-Control-Allow-Origin") != "https://b.example" || h.Get("Access-Control-Allow-Headers") != "content-type" || h.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("%d %v", status, h)
	}
	if status, _, h := w.do("POST", "/mcp", health, asJSON, "Origin: https://a.example"); status != 200 || h.Get("Access-Control-Allow-Origin") != "https://a.example" {
		t.Errorf("%d %v", status, h)
	}
	if status, _, _ := w.do("POST", "/mcp", health, asJSON, "Origin: https://c.example"); status != 403 {
		t.Errorf("another page: %d", status)
	}
	if _, err := newAccess(func(name string) string { return map[string]string{"HTTP_CORS_ENABLED": "1"}[name] }); err == nil {
		t.Error("pages of nobody may ask")
	}
}

// TestRequestLog: each request is a line, in which there is no secret.
func TestRequestLog(t *testing.T) {
	for _, setting := range []string{"LOG_JSON_ENABLED=true", "LOG_JSON_ENABLED="} {
		w := serve(t, t.TempDir(), environ(t), "HTTP_REQUEST_LOG_ENABLED=true", "HTTP_BEARER_TOKEN=s3cret", setting)
		w.do("POST", "/mcp?token=s3cret", health, asJSON, "Authorization: Bearer s3cret", "Cookie: c=s3cret")
		w.do("POST", "/nowhere?authorization=s3cret", "", "X-Agent: s3cret")
		http.DefaultClient.CloseIdleConnections()
		var text string
		for end := time.Now().Add(5 * time.Second); strings.Count(text, "path") < 2 && time.Now().Before(end); time.Sleep(time.Millisecond) {
			text = w.log.String()
		}
		if strings.Contains(text, "s3cret") {
			t.Errorf("a secret is told: %s", text)
		}
		lines := strings.Split(strings.TrimSpace(text), "\n")
		if len(lines) != 3 || !strings.Contains(lines[1], "health_check") || !strings.Contains(lines[2], "404") {
			t.Errorf("%q", lines)
		}
		var v map[string]any
		if err := json.Unmarshal([]byte(lines[1]), &v); (err == nil) != strings.Contains(setting, "true") {
			t.Errorf("%s: %s", setting, lines[1])
		}
	}
}

// stream reads the events of a response that does not end.
func (w *web) stream(method, body string, headers ...string) (events <-chan reply, leave func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	r, err := http.NewRequestWithContext(ctx, method, w.url+"/mcp", strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, h := range append(headers, accepts) {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	out := make(chan reply, 100)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	if resp.StatusCode != 200 {
		data, _ := io.ReadAll(resp.Body)
		w.t.Fatalf("%d %s", resp.StatusCode, data)
	}
	go func() {
		defer close(out)
		defer resp.Body.Close()
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				var m reply
				if json.Unmarshal([]byte(data), &m) == nil {
					out <- m
				}
			}
		}
	}()
	w.t.Cleanup(cancel)
	return out, cancel
}

// TestSubscriptions: who subscribed is told, in both ways that there are, and who left is
// forgotten.
func TestSubscriptions(t *testing.T) {
	w := serve(t, t.TempDir(), environ(t))
	const uri = "resource://tooling/directory"
	next := func(events <-chan reply) reply {
		t.Helper()
		select {
		case m := <-events:
			return m
		case <-time.After(5 * time.Second):
			t.Fatal("nothing is told")
		}
		return reply{}
	}
	until := func(n int) {
		t.Helper()
		for end := time.Now().Add(5 * time.Second); len(w.s.watched.uris()) != n; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("subscribed are %v", w.s.watched.uris())
			}
		}
	}

	session := w.session("2025-06-18")
	if status, body, _ := w.do("POST", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"`+uri+`"}}`, asJSON, accepts, session); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	events, leave := w.stream("GET", "", session)
	w.s.watched.notify(uri)
	w.s.watched.notify("resource://another")
	if m := next(events); m.Method != "notifications/resources/updated" {
		t.Errorf("%+v", m)
	}
	leave()
	if status, _, _ := w.do("POST", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"resources/unsubscribe","params":{"uri":"`+uri+`"}}`, asJSON, accepts, session); status != 200 {
		t.Error(status)
	}
	until(0)

	events, leave = w.stream("POST", `{"jsonrpc":"2.0","id":"mine","method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":["`+uri+`"]},
		"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}`,
		asJSON, "Mcp-Protocol-Version: 2026-07-28", "Mcp-Method: subscriptions/listen")
	if m := next(events); !strings.HasSuffix(m.Method, "acknowledged") {
		t.Errorf("%+v", m)
	}
	w.s.watched.notify("resource://another")
	w.s.watched.notify(uri)
	if m := next(events); m.Method != "notifications/resources/updated" {
		t.Errorf("%+v", m)
	}
	leave()
	until(0)

	session = w.session("2025-06-18")
	w.do("POST", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"`+uri+`"}}`, asJSON, accepts, session)
	until(1)
	w.do("DELETE", "/mcp", "", session)
	until(0)
	w.s.watched.notify(uri)
}

// body is a client whom nobody reads for.
type body struct {
	server.ClientSession
	c chan mcp.JSONRPCNotification
}

func (b body) NotificationChannel() chan<- mcp.JSONRPCNotification { return b.c }

// TestDeafSubscriber: who does not listen holds nobody up, and there are not more than so many.
func TestDeafSubscriber(t *testing.T) {
	s := newSubscriptions()
	b := body{c: make(chan mcp.JSONRPCNotification, 1)}
	who := subscriber{stream: b, request: "1"}
	s.add(who, 1.0, "a", "a")
	for range 10 {
		s.notify("a")
	}
	if n := <-b.c; n.Params.Meta[mcp.MetaKeySubscriptionID] != 1.0 || n.Params.AdditionalFields["uri"] != "a" {
		t.Errorf("%+v", n)
	}
	for i := range 2 * maxSubscriptions {
		s.add(who, 1.0, fmt.Sprint(i))
	}
	if n := len(s.uris()); n != maxSubscriptions {
		t.Errorf("%d", n)
	}
	s.leave(who)
	if len(s.by) != 0 || s.n != 0 {
		t.Errorf("%d are left", s.n)
	}
}

// TestSessionsEnd: sessions are forgotten after a day of silence, and when there are too many.
func TestSessionsEnd(t *testing.T) {
	now := time.Unix(0, 0)
	s := newSessions(func() time.Time { return now })
	first := s.Generate()
	for range maxSessions - 1 {
		now = now.Add(time.Second)
		s.Generate()
	}
	if !s.has(first) {
		t.Error("the first is gone")
	}
	now = now.Add(time.Second)
	if out := s.tooMany(); len(out) != 1 || out[0] == first || len(s.byID) != maxSessions-1 {
		t.Errorf("%d are forgotten, %d left", len(out), len(s.byID))
	}
	now = now.Add(sessionLife - time.Minute)
	s.has(first)
	now = now.Add(2 * time.Minute)
	if s.Terminate(first); !s.has(first) {
		t.Error("the first was heard and is gone")
	}
	if out := s.tooMany(); len(out) == 0 || len(s.byID) > maxSessions/2 {
		t.Errorf("%d are left", len(s.byID))
	}
	s.forget(first)
	if _, err := s.Validate(first); err == nil {
		t.Error("the first is still there")
	}

	w := serve(t, t.TempDir(), environ(t))
	one := w.session("2025-06-18")
	for range maxSessions + 10 {
		w.session("2025-06-18")
	}
	if status, _, _ := w.do("POST", "/mcp", health, one, asJSON, accepts); status != 404 || len(w.s.http.byID) > maxSessions || len(w.s.watched.live) > maxSessions {
		t.Errorf("%d, %d sessions are remembered, %d by the library", status, len(w.s.http.byID), len(w.s.watched.live))
	}
}

// TestEvents: what was streamed can be sent again, some of it.
func TestEvents(t *testing.T) {
	e, ctx := newEvents(), t.Context()
	var ids []string
	for i := range 3 * maxEvents {
		id, err := e.StoreEvent(ctx, "s", fmt.Sprint(i%2), json.RawMessage(fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	var got []string
	stream, err := e.ReplayEventsAfter(ctx, "s", ids[len(ids)-6], func(_ string, m json.RawMessage) error { got = append(got, string(m)); return nil })
	if err != nil || stream != "0" || fmt.Sprint(got) != "[296 298]" {
		t.Errorf("%s %v, %v", stream, got, err)
	}
	for _, tc := range [][2]string{{"s", ids[0]}, {"other", ids[len(ids)-1]}} {
		if _, err := e.ReplayEventsAfter(ctx, tc[0], tc[1], nil); err == nil {
			t.Errorf("%s is known", tc)
		}
	}
	for range 10 {
		e.StoreEvent(ctx, "s", "0", make(json.RawMessage, maxEventBytes/3))
	}
	if n := len(e.of["s"]); n != 3 {
		t.Errorf("%d large ones are kept", n)
	}
	e.StoreEvent(ctx, "s", "0", make(json.RawMessage, maxEventBytes+1))
	if n := len(e.of["s"]); n != 0 {
		t.Errorf("%d are kept", n)
	}
	if e.PurgeSession(ctx, "s"); len(e.of) != 0 {
		t.Error("a session is left")
	}
}
