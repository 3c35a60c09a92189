//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// served is a running server over HTTP.
type served struct {
	t    *testing.T
	cmd  *exec.Cmd
	url  string
	done chan struct{} // closed when it has said all
}

var serving = regexp.MustCompile(`serving (http://\S+)/mcp/`)

// serveIn runs the server in dir until the test ends.
func serveIn(t *testing.T, dir string, env []string, args ...string) *served {
	t.Helper()
	cmd := program(t, dir, env, append([]string{"serve", "--http", "127.0.0.1:0"}, args...)...)
	errs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &served{t: t, cmd: cmd, done: make(chan struct{})}
	url := make(chan string, 1)
	go func() {
		defer close(s.done)
		for lines := bufio.NewScanner(errs); lines.Scan(); {
			if m := serving.FindStringSubmatch(lines.Text()); m != nil {
				url <- m[1]
				continue
			}
			t.Logf("%s", lines.Bytes())
		}
	}()
	t.Cleanup(func() { cmd.Process.Kill(); <-s.done; cmd.Wait() })
	select {
	case s.url = <-url:
	case <-s.done:
		t.Fatal("it does not serve")
	case <-time.After(time.Minute):
		t.Fatal("it does not say where it serves")
	}
	return s
}

// post sends one message and returns the answer; ok is false if there was none.
func (s *served) post(message, session string) (m spoken, id string, ok bool) {
	r, err := http.NewRequest("POST", s.url+"/mcp/", strings.NewReader(message))
	if err != nil {
		s.t.Error(err)
		return
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	if session != "" {
		r.Header.Set("Mcp-Session-Id", session)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 || json.Unmarshal(data, &m) != nil {
		return
	}
	return m, resp.Header.Get("Mcp-Session-Id"), true
}

func (s *served) session() string {
	s.t.Helper()
	message, _, _ := strings.Cut(hello, "\n")
	_, id, ok := s.post(message, "")
	if !ok || id == "" {
		s.t.Fatal("no session")
	}
	return id
}

// TestServe: agents on one server write to each other.
func TestServe(t *testing.T) {
	dir, env := repository(t)
	s := serveIn(t, dir, env, "--root", ".")
	const clients, each = 20, 5
	sessions := make([]string, clients)
	for i := range sessions {
		sessions[i] = s.session()
		m, _, ok := s.post(request(1, "register_agent", map[string]any{"name": fmt.Sprintf("Agent%02d", i), "program": "p", "model": "m"}), sessions[i])
		if !ok || !m.ok() {
			t.Fatalf("%+v", m)
		}
	}
	var all sync.WaitGroup
	for i, session := range sessions {
		all.Go(func() {
			for n := range each {
				m, _, ok := s.post(request(n, "send_message", map[string]any{"to": fmt.Sprintf("Agent%02d", (i+1)%clients), "subject": fmt.Sprint(n), "body_md": "b"}), session)
				if !ok || !m.ok() {
					t.Errorf("%d: %+v", i, m)
				}
			}
		})
	}
	all.Wait()
	for i, session := range sessions {
		m, _, ok := s.post(request(1, "fetch_inbox", nil), session)
		var list []struct{ From string }
		if !ok || !m.ok() || json.Unmarshal([]byte(m.Result.Content[0].Text), &list) != nil || len(list) != each || list[0].From != fmt.Sprintf("Agent%02d", (i+clients-1)%clients) {
			t.Errorf("%d: %+v", i, m)
		}
	}
}

// TestServeTold: a server that is told to end finishes what it does; streams do not hold
// it, and what it has answered is kept.
func TestServeTold(t *testing.T) {
	dir, env := repository(t)
	registered(t, dir, env)
	s := serveIn(t, dir, env)
	r, _ := http.NewRequest("GET", s.url+"/mcp", nil)
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Mcp-Session-Id", s.session())
	stream, err := http.DefaultClient.Do(r)
	if err != nil || stream.StatusCode != 200 {
		t.Fatal(err)
	}
	defer stream.Body.Close()

	var mu sync.Mutex
	var answered []string
	var all sync.WaitGroup
	some := make(chan struct{}, 1000)
	for c := range 10 {
		all.Go(func() {
			for i := range 50 {
				subject := fmt.Sprintf("%d-%d", c, i)
				m, _, ok := s.post(send(i, subject), "")
				if !ok {
					return // it is gone
				}
				if !m.ok() {
					t.Errorf("%+v", m)
				}
				mu.Lock()
				answered = append(answered, subject)
				mu.Unlock()
				some <- struct{}{}
			}
		})
	}
	for range 20 {
		<-some
	}
	began := time.Now()
	s.cmd.Process.Signal(syscall.SIGTERM)
	<-s.done
	if err := s.cmd.Wait(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 9*time.Second {
		t.Errorf("it took %v to end", took)
	}
	all.Wait()
	arrived := inbox(t, dir, env)
	for _, a := range answered {
		if !slices.Contains(arrived, a) {
			t.Errorf("%s was answered and is lost", a)
		}
	}
	if len(arrived) > len(answered)+10 || len(answered) == 500 {
		t.Errorf("%d were answered, %d arrived", len(answered), len(arrived))
	}
}

// TestServeNot: what cannot be served is said, with what to do.
func TestServeNot(t *testing.T) {
	dir, env := repository(t)
	taken := serveIn(t, dir, env)
	for _, tc := range []struct {
		env, addr, want string
	}{
		{"", "0.0.0.0:0", "HTTP_BEARER_TOKEN"},
		{"", strings.TrimPrefix(taken.url, "http://"), "address already in use"},
		{"", "nowhere", "is not an address"},
		{"HTTP_RATE_LIMIT_ENABLED=1 HTTP_RATE_LIMIT_PER_MINUTE=many", "127.0.0.1:0", "HTTP_RATE_LIMIT_PER_MINUTE"},
		{"HTTP_CORS_ENABLED=1", "127.0.0.1:0", "HTTP_CORS_ORIGINS"},
		{"HTTP_PORT=nothing", "", "nothing"},
	} {
		args := []string{"serve", "--http", tc.addr}
		if tc.addr == "" {
			args = args[:1]
		}
		cmd := program(t, dir, append(slices.Clone(env), strings.Fields(tc.env)...), args...)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		if err := run(t, cmd); err == nil || !strings.Contains(errs.String(), tc.want) || strings.Contains(errs.String(), "panic") {
			t.Errorf("%s %s: %v, %s", tc.env, tc.addr, err, &errs)
		}
	}
}

// TestServeLong: memory and files do not grow with requests.
func TestServeLong(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only /proc tells")
	}
	if testing.Short() {
		t.Skip("long")
	}
	dir, env := repository(t)
	registered(t, dir, env)
	s := serveIn(t, dir, env)
	session := s.session()
	use := func(n int) (files, kB int) {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for i := range n / 8 {
					message, in := request(i, "fetch_inbox", map[string]any{"agent_name": "GreenCastle"}), session
					if i%2 == 0 {
						in = ""
					}
					if m, _, ok := s.post(message, in); !ok || !m.ok() {
						t.Errorf("%+v", m)
						return
					}
				}
			})
		}
		all.Wait()
		return s.uses()
	}
	files, memory := use(400)
	if f, m := use(1600); f > files+5 || m > memory+20<<10 {
		t.Errorf("from %d files and %d kB to %d and %d", files, memory, f, m)
	}
}

// uses returns how many files the server has open, and how much memory.
func (s *served) uses() (files, kB int) {
	s.t.Helper()
	proc := fmt.Sprintf("/proc/%d/", s.cmd.Process.Pid)
	open, err := os.ReadDir(proc + "fd")
	if err != nil {
		s.t.Fatal(err)
	}
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kB, _ = strconv.Atoi(strings.Fields(rest)[0])
		}
	}
	return len(open), kB
}
