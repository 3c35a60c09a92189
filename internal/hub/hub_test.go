//go:build unix

package hub

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// client is a clone with a commit of its own.
type client struct {
	t   *testing.T
	dir string
	env []string
}

func newClient(t *testing.T, h *Hub) *client {
	t.Helper()
	base := t.TempDir()
	c := &client{t: t, dir: filepath.Join(base, "c"), env: []string{
		"HOME=" + base, "PATH=" + os.Getenv("PATH"), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "LC_ALL=C",
		"GIT_TERMINAL_PROMPT=0", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com"}}
	if err := os.Mkdir(c.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	c.ok("init", "-q", "-b", "main")
	c.ok("remote", "add", "http", h.URL)
	c.ok("remote", "add", "file", h.FileURL)
	c.commit(100)
	return c
}

// git runs git, which may fail, but not hang.
func (c *client) git(args ...string) (string, error) {
	ctx, stop := context.WithTimeout(c.t.Context(), time.Minute)
	defer stop()
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.WaitDelay = time.Second
	cmd.Dir, cmd.Env = c.dir, c.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (c *client) ok(args ...string) string {
	c.t.Helper()
	out, err := c.git(args...)
	if err != nil {
		c.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(out)
}

// fails wants git to fail, and to say one of the words, if there are any.
func (c *client) fails(words []string, args ...string) {
	c.t.Helper()
	out, err := c.git(args...)
	if err == nil {
		c.t.Fatalf("git %s succeeded, want a failure\n%s", strings.Join(args, " "), out)
	}
	if len(words) > 0 && !slices.ContainsFunc(words, func(w string) bool { return strings.Contains(out, w) }) {
		c.t.Fatalf("git %s says none of %q:\n%s", strings.Join(args, " "), words, out)
	}
}

// commit adds a file of size random bytes.
func (c *client) commit(size int) {
	c.t.Helper()
	data := make([]byte, size)
	rand.Read(data)
	if err := os.WriteFile(filepath.Join(c.dir, "f"), data, 0o644); err != nil {
		c.t.Fatal(err)
	}
	c.ok("add", "f")
	c.ok("commit", "-q", "-m", "a commit")
}

func (c *client) head() string { return c.ok("rev-parse", "HEAD") }

// cost is what the hub counts while f runs.
func cost(h *Hub, f func()) Counts {
	a := h.Counts()
	f()
	b := h.Counts()
	return Counts{b.Requests - a.Requests, b.Pushes - a.Pushes, b.Answered - a.Answered, b.Cuts - a.Cuts, b.FromClient - a.FromClient, b.ToClient - a.ToClient}
}

func wantRef(t *testing.T, h *Hub, name, oid string) {
	t.Helper()
	if got := h.Refs()[name]; got != oid {
		t.Errorf("at the hub %s is %q, want %q", name, got, oid)
	}
}

func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s after 20 s", what)
		}
	}
}

func fetching(r Request) bool { return r.Service == "git-upload-pack" }
func pushing(r Request) bool  { return r.Service == "git-receive-pack" }
func moving(r Request) bool   { return r.Refs != nil }

func TestNoFault(t *testing.T) {
	h := New(t)
	a := newClient(t, h)
	n := cost(h, func() { a.ok("push", "-q", "http", "main", "main:refs/x/y") })
	if n.Requests != 2 || n.Pushes != 1 || n.FromClient < 300 || n.ToClient < 300 || n.Cuts+n.Answered != 0 {
		t.Errorf("a push of two refs counts %+v", n)
	}
	wantRef(t, h, "refs/heads/main", a.head())
	wantRef(t, h, "refs/x/y", a.head())

	n = cost(h, func() { a.ok("ls-remote", "http") })
	if n.Requests != 2 || n.Pushes != 0 {
		t.Errorf("ls-remote counts %+v", n)
	}
	// More than http.postBuffer goes in chunks, after a request that only asks.
	a.commit(3 << 20)
	n = cost(h, func() { a.ok("push", "-q", "http", "main") })
	if n.Pushes != 1 || n.FromClient < 3<<20 {
		t.Errorf("a large push counts %+v", n)
	}
	wantRef(t, h, "refs/heads/main", a.head())
	n = cost(h, func() { a.ok("clone", "-q", h.URL, filepath.Join(t.TempDir(), "b")) })
	if n.ToClient < 3<<20 || n.Pushes != 0 {
		t.Errorf("a clone counts %+v", n)
	}
	n = cost(h, func() {
		a.ok("push", "-q", "file", ":refs/x/y")
		a.ok("clone", "-q", h.FileURL, filepath.Join(t.TempDir(), "b"))
	})
	if n != (Counts{}) {
		t.Errorf("file counts %+v", n)
	}
	if refs := h.Refs(); len(refs) != 1 {
		t.Errorf("after a deletion: %v", refs)
	}
	if got := len(New(t).Refs()); got != 0 {
		t.Errorf("a new hub has %d refs", got)
	}
}

func TestCutFromClient(t *testing.T) {
	h := New(t)
	c := newClient(t, h)
	c.ok("push", "-q", "http", "main")
	c.commit(4 << 10)
	all := cost(h, func() { c.ok("push", "-q", "http", "main") }).FromClient
	c.commit(4 << 10)
	for i, n := range []int64{1, all / 10, all / 2, all * 9 / 10} {
		h.Set(Network{FromClient: n})
		ref := fmt.Sprint("refs/heads/new", i)
		got := cost(h, func() { c.fails(nil, "push", "http", "main:"+ref) })
		if got.Cuts == 0 || got.FromClient > n*int64(got.Cuts) {
			t.Errorf("cut after %d bytes: %+v", n, got)
		}
		wantRef(t, h, ref, "")
		h.Set(Network{})
		c.ok("push", "-q", "http", "main:"+ref)
		wantRef(t, h, ref, c.head())
		c.commit(4 << 10)
	}
	c.commit(3 << 20) // in chunks
	h.Set(Network{FromClient: 2 << 20})
	c.fails(nil, "push", "http", "main:large")
	wantRef(t, h, "refs/heads/large", "")
	h.Git("fsck", "--strict")
}

func TestCutToClient(t *testing.T) {
	h := New(t)
	c := newClient(t, h)
	c.commit(1 << 20)
	c.ok("push", "-q", "http", "main")
	c.commit(100)
	all := cost(h, func() { c.ok("push", "-q", "http", "main") }).ToClient
	first := c.head()
	c.commit(100)
	h.Set(Network{ToClient: all / 4})
	c.fails(nil, "push", "http", "main")
	wantRef(t, h, "refs/heads/main", first)
	// The push is done, and only the last of the answer is lost.
	h.Set(Network{ToClient: all - 20})
	n := cost(h, func() { c.fails([]string{"RPC failed", "hung up", "unexpected disconnect"}, "push", "http", "main") })
	if n.Cuts != 1 || n.ToClient != all-20 {
		t.Errorf("cut after %d bytes: %+v", all-20, n)
	}
	wantRef(t, h, "refs/heads/main", c.head())

	clone := filepath.Join(t.TempDir(), "b")
	for _, at := range []int64{1, 200, 1000, 1 << 19} {
		h.Set(Network{ToClient: at})
		if n := cost(h, func() { c.fails(nil, "clone", h.URL, clone) }); n.Cuts == 0 || n.ToClient > at*int64(n.Cuts) {
			t.Errorf("cut after %d bytes: %+v", at, n)
		}
	}
	h.Set(Network{ToClient: 1 << 19, Once: true})
	n = cost(h, func() {
		c.fails(nil, "clone", h.URL, clone)
		c.ok("clone", "-q", h.URL, clone)
	})
	if n.Cuts != 1 || n.ToClient < 1<<20 {
		t.Errorf("cut once: %+v", n)
	}
}

func TestDelay(t *testing.T) {
	h := New(t)
	c := newClient(t, h)
	h.Set(Network{Delay: 100 * time.Millisecond})
	start := time.Now()
	n := cost(h, func() { c.ok("push", "-q", "http", "main") })
	if took := time.Since(start); took < time.Duration(n.Requests)*100*time.Millisecond || n.Requests < 2 {
		t.Errorf("%d requests took %v", n.Requests, took)
	}
	wantRef(t, h, "refs/heads/main", c.head())
}

func TestAnswers(t *testing.T) {
	status := func(code int) Answer { return Answer{Status: code} }
	garbage := Answer{Status: http.StatusOK, Body: Garbage}
	for _, tt := range []struct {
		name  string
		a     Answer
		words []string
	}{
		{"403", status(403), []string{"error: 403"}},
		{"500", status(500), []string{"error: 500"}},
		{"429", Answer{Status: 429, Header: map[string]string{"Retry-After": "7"}}, []string{"error: 429"}},
		{"garbage", garbage, []string{"bad line length", "invalid server response", "protocol error"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := New(t)
			c := newClient(t, h)
			c.ok("push", "-q", "http", "main")
			old := c.head()
			c.commit(100)
			for _, to := range []func(Request) bool{pushing, moving, nil} {
				a := tt.a
				a.To = to
				h.Set(Network{Answers: []Answer{a}})
				n := cost(h, func() { c.fails(tt.words, "push", "http", "main") })
				if n.Answered != 1 {
					t.Errorf("push: %+v", n)
				}
				wantRef(t, h, "refs/heads/main", old)
				if to != nil { // a fetch is none of these
					c.ok("fetch", "-q", "http")
				}
			}
			a := tt.a
			a.To, a.Times = fetching, 2
			h.Set(Network{Answers: []Answer{a}})
			for range 2 {
				c.fails(tt.words, "fetch", "http")
			}
			if n := cost(h, func() { c.ok("fetch", "http") }); n.Answered != 0 {
				t.Errorf("the third time: %+v", n)
			}
			c.ok("push", "-q", "http", "main")
			wantRef(t, h, "refs/heads/main", c.head())
		})
	}
}

func TestRetryAfterArrives(t *testing.T) {
	h := New(t)
	h.Set(Network{Answers: []Answer{{Status: 429, Header: map[string]string{"Retry-After": "7"}}}})
	r, err := http.Get(h.URL + "/info/refs?service=git-upload-pack")
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != 429 || r.Header.Get("Retry-After") != "7" {
		t.Errorf("got %s, Retry-After %q", r.Status, r.Header.Get("Retry-After"))
	}
}

// Git (2.39) believes that a repository is empty when it gets a page of
// somebody else, or no more than the first header: it takes that for the list of a plain
// file server. Who synchronises must not take an empty list for an empty hub.
func TestNothingListed(t *testing.T) {
	h := New(t)
	c := newClient(t, h)
	c.ok("push", "-q", "http", "main")
	page := Answer{Status: http.StatusOK, Body: "<html>log in</html>", Header: map[string]string{"Content-Type": "text/html"}}
	for _, n := range []Network{{ToClient: 100}, {Answers: []Answer{page}}} {
		h.Set(n)
		out, err := c.git("ls-remote", "http")
		if strings.Contains(out, "refs/heads/main") {
			t.Errorf("%+v was not met: %v\n%s", n, err, out)
		}
		t.Logf("git ls-remote: %v %q", err, out)
		c.fails(nil, "push", "http", "main:other")
	}
	if n := h.Counts(); n.Cuts == 0 || n.Answered == 0 {
		t.Errorf("%+v", n)
	}
}

// A sandbox that lets only its own branches through says 403 to a push of others.
func TestAnswerByRef(t *testing.T) {
	h := New(t)
	c := newClient(t, h)
	outside := func(r Request) bool {
		return slices.ContainsFunc(r.Refs, func(ref string) bool { return !strings.HasPrefix(ref, "refs/heads/mine/") })
	}
	h.Set(Network{Answers: []Answer{{To: outside, Status: 403}}})
	c.fails([]string{"403"}, "push", "http", "main:refs/heads/mine/a", "main:refs/x/a")
	wantRef(t, h, "refs/heads/mine/a", "")
	c.ok("push", "-q", "http", "main:refs/heads/mine/a")
	wantRef(t, h, "refs/heads/mine/a", c.head())
}

func TestLateAnswer(t *testing.T) {
	h := New(t)
	c := newClient(t, h)
	h.Set(Network{Answers: []Answer{{To: moving, Status: 504, Late: true}}})
	c.fails([]string{"504"}, "push", "http", "main")
	wantRef(t, h, "refs/heads/main", c.head())
}

func TestDown(t *testing.T) {
	h := New(t)
	c := newClient(t, h)
	for range 3 {
		h.Set(Network{Down: true})
		if n := cost(h, func() {
			c.fails([]string{"Failed to connect", "Couldn't connect", "Could not connect"}, "push", "http", "main")
		}); n != (Counts{}) {
			t.Errorf("a hub that is down counts %+v", n)
		}
		h.Set(Network{})
		c.ok("push", "-q", "http", "main")
		c.commit(10)
	}
	// Whoever is speaking to it is cut off.
	h.Set(Network{Delay: time.Hour})
	before := h.Counts().Requests
	said := make(chan error)
	go func() {
		_, err := c.git("fetch", "http")
		said <- err
	}()
	until(t, "request", func() bool { return h.Counts().Requests > before })
	h.Set(Network{Down: true})
	if err := <-said; err == nil {
		t.Error("a fetch succeeded from a hub that went down")
	}
}

func TestAccept(t *testing.T) {
	for _, remote := range []string{"http", "file"} {
		h := New(t)
		c := newClient(t, h)
		h.Accept("refs/heads/", "refs/tags/")
		out, err := c.git("push", "--porcelain", remote, "main", "main:refs/x/y")
		if err == nil || !strings.Contains(out, "*\trefs/heads/main:refs/heads/main\t") || !strings.Contains(out, "!\trefs/heads/main:refs/x/y\t[remote rejected] (hook declined)") {
			t.Errorf("%s: %v\n%s", remote, err, out)
		}
		wantRef(t, h, "refs/heads/main", c.head())
		wantRef(t, h, "refs/x/y", "")
		c.commit(10)
		c.fails([]string{"atomic"}, "push", "--atomic", remote, "main", "main:refs/x/y")
		h.Accept("")
		h.Git("config", "transfer.hideRefs", "refs/x")
		c.fails([]string{"deny updating a hidden ref"}, "push", remote, "main:refs/x/y")
		h.Git("config", "--unset", "transfer.hideRefs")
		c.ok("push", "-q", "--atomic", remote, "main", "main:refs/x/y")
		wantRef(t, h, "refs/x/y", c.head())
	}
}

func TestKillAt(t *testing.T) {
	for _, remote := range []string{"http", "file"} {
		for _, m := range []Moment{BeforeRefs, RefsLocked, RefsMoved} {
			t.Run(remote+" "+string(m), func(t *testing.T) {
				t.Parallel()
				h := New(t)
				c := newClient(t, h)
				c.ok("push", "-q", remote, "main")
				old := c.head()
				c.commit(10)
				h.KillAt(m)
				words := []string{"hung up", "unexpected disconnect"}
				if remote == "http" { // the answer breaks off, for the server is dead
					words = []string{"RPC failed"}
				}
				c.fails(words, "push", remote, "main")
				// With a branch that HEAD names git locks HEAD too.
				var locks []string
				for _, name := range []string{"HEAD.lock", "refs/heads/main.lock"} {
					if _, err := os.Stat(filepath.Join(h.Dir, name)); err == nil {
						locks = append(locks, filepath.Join(h.Dir, name))
					}
				}
				if (len(locks) == 2) != (m == RefsLocked) || len(locks) == 1 {
					t.Errorf("locks: %q", locks)
				}
				want := old
				if m == RefsMoved {
					want = c.head()
				}
				wantRef(t, h, "refs/heads/main", want)
				if m == RefsLocked { // as at a real host, until somebody cleans up
					c.fails([]string{"rejected"}, "push", remote, "main")
					for _, name := range locks {
						os.Remove(name)
					}
				}
				c.ok("push", "-q", remote, "main", "main:other") // only one push is killed
				wantRef(t, h, "refs/heads/main", c.head())
				h.Git("fsck", "--strict")
			})
		}
	}
}

func TestKillAtTearsPushOfSeveralRefs(t *testing.T) {
	for _, tt := range []struct {
		flag  string
		moved int
	}{{"--no-atomic", 1}, {"--atomic", 2}} {
		h := New(t)
		c := newClient(t, h)
		h.KillAt(RefsMoved)
		c.fails(nil, "push", tt.flag, "http", "main:a", "main:b")
		if refs := h.Refs(); len(refs) != tt.moved {
			t.Errorf("%s: %v", tt.flag, refs)
		}
	}
}

func TestKillServer(t *testing.T) {
	h := New(t)
	c := newClient(t, h)
	if n := h.KillServer(); n != 0 {
		t.Errorf("killed %d of an idle hub", n)
	}
	h.Hook("pre-receive", "echo $$ >pid.new && mv pid.new pid\nexec sleep 60\n")
	said := make(chan error)
	go func() {
		_, err := c.git("push", "http", "main")
		said <- err
	}()
	var pid int
	until(t, "running hook", func() bool {
		data, _ := os.ReadFile(filepath.Join(h.Dir, "pid"))
		pid, _ = strconv.Atoi(strings.TrimSpace(string(data)))
		return pid > 0
	})
	if n := h.KillServer(); n != 1 {
		t.Errorf("killed %d, want 1", n)
	}
	if err := <-said; err == nil {
		t.Error("the push succeeded")
	}
	until(t, "end of the hook", func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) })
	wantRef(t, h, "refs/heads/main", "")
	h.Hook("pre-receive", "exit 0\n")
	c.ok("push", "-q", "http", "main")
	wantRef(t, h, "refs/heads/main", c.head())
}

// TestWay cuts off one client of two, and stops what is under way without ending it.
func TestWay(t *testing.T) {
	h := New(t)
	a, b := newClient(t, h), newClient(t, h)
	ways := []*Way{h.Way("127.0.0.1:0"), h.Way("127.0.0.1:0")}
	a.ok("remote", "set-url", "http", ways[0].URL)
	b.ok("remote", "set-url", "http", ways[1].URL)
	a.ok("push", "-q", "http", "main:refs/x/a")

	ways[0].Set(Closed)
	a.fails(nil, "ls-remote", "http")
	b.ok("push", "-q", "http", "main:refs/x/b")
	ways[0].Set(Open)
	a.ok("ls-remote", "http")

	// Open connections end as well.
	h.Set(Network{Delay: time.Second})
	before := h.Counts().Requests
	done := make(chan error, 1)
	push := func() {
		_, err := a.git("push", "-q", "http", "main:refs/x/c")
		done <- err
	}
	go push()
	until(t, "request", func() bool { return h.Counts().Requests > before })
	ways[0].Set(Closed)
	if err := <-done; err == nil {
		t.Error("a push went through a way that was closed")
	}
	h.Set(Network{})

	ways[0].Set(Silent)
	go push()
	select {
	case err := <-done:
		t.Errorf("a push through silence ended: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	b.ok("ls-remote", "http")
	ways[0].Set(Open)
	if err := <-done; err != nil {
		t.Errorf("after the silence: %v", err)
	}
	wantRef(t, h, "refs/x/c", a.head())
}
