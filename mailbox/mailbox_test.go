package mailbox

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/hooks/githook"
	"github.com/git-agentmail/git-agentmail/mail"
)

// testEnv is an environment in which no setting of the machine counts.
func testEnv(t testing.TB) []string {
	t.Helper()
	env := []string{"HOME=" + t.TempDir(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull}
	// On every git the hooks are those in the files; testdata/script/confighooks.txt
	// has the others.
	events := githook.EveryEvent()
	env = append(env, fmt.Sprint("GIT_CONFIG_COUNT=", len(events)))
	for i, event := range events {
		env = append(env, fmt.Sprintf("GIT_CONFIG_KEY_%d=hook.%s%s.enabled", i, githook.ConfigPrefix, event), fmt.Sprintf("GIT_CONFIG_VALUE_%d=false", i))
	}
	for _, name := range []string{"PATH", "TMPDIR"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	// Else each hook, where the race detector is on, would sleep for a second at its end.
	return append(env, "GORACE=atexit_sleep_ms=0")
}

// world is a repository with a mailbox and a clock that the test moves.
type world struct {
	t   testing.TB
	dir string
	env []string
	at  time.Time
	box *Box
	ctx context.Context
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, dir: filepath.Join(t.TempDir(), "r"), env: testEnv(t), at: time.Now(), ctx: context.Background()}
	w.first()
	w.box = w.open(w.dir)
	return w
}

// seed is the repository that every world begins as, made once.
var seed struct {
	sync.Mutex
	dir string
}

// first makes the repository, by copying the seed.
func (w *world) first() {
	w.t.Helper()
	seed.Lock()
	defer seed.Unlock()
	if seed.dir == "" {
		dir, err := os.MkdirTemp("", "seed")
		if err != nil {
			w.t.Fatal(err)
		}
		s := &world{t: w.t, dir: dir, env: w.env}
		s.git("init", "-q", "-b", "main", "--template=", s.dir)
		s.write("src/auth/token.go", "package auth\n")
		s.write("README.md", "hello\n")
		s.git("-C", s.dir, "add", "-A")
		s.git("-C", s.dir, "-c", "user.name=U", "-c", "user.email=u@example.com", "commit", "-q", "-m", "one")
		seed.dir = dir
	}
	if err := os.CopyFS(w.dir, os.DirFS(seed.dir)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) open(dir string) *Box {
	w.t.Helper()
	b, err := Open(w.ctx, Options{Dir: dir, Environ: w.env, Now: func() time.Time { return w.at }, Report: func(s string) { w.t.Log("note: " + s) }})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(b.Close)
	return b
}

func (w *world) git(args ...string) string {
	w.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Env = w.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (w *world) write(path, data string) {
	w.t.Helper()
	name := filepath.Join(w.dir, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(data), 0o666); err != nil {
		w.t.Fatal(err)
	}
}

// agent registers an agent and returns it as an actor.
func (w *world) agent(name string) Actor {
	w.t.Helper()
	if _, err := w.box.Register(w.ctx, RegisterRequest{Name: name, Program: "test", Model: "m"}); err != nil {
		w.t.Fatal(err)
	}
	return w.as(name)
}

func (w *world) as(name string) Actor {
	w.t.Helper()
	a, err := w.box.As(w.ctx, name)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func wantCode(t testing.TB, err error, code mail.Code) *mail.Error {
	t.Helper()
	if mail.CodeOf(err) != code {
		t.Fatalf("error %v [%s], want code %s", err, mail.CodeOf(err), code)
	}
	return mail.AsError(err)
}

func TestSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	r, err := w.box.Reserve(w.ctx, blue, ReserveRequest{Patterns: []string{"src/auth/**"}, Reason: "token refactor"})
	if err != nil || len(r.Granted) != 1 || r.Granted[0].Files != 1 {
		t.Fatalf("reserve: %+v, %v", r, err)
	}
	sent, err := w.box.Send(w.ctx, blue, Draft{To: []string{"greencastle"}, Subject: "Starting auth refactor", Thread: "FEAT-123", AckRequired: true, Body: "I hold it."})
	if err != nil || sent.Count != 1 {
		t.Fatalf("send: %+v, %v", sent, err)
	}
	id := sent.Deliveries[0].Payload.ID
	in, err := w.box.Inbox(w.ctx, green, InboxQuery{Unread: true})
	if err != nil || len(in) != 1 || in[0].ID != id || !in[0].AckRequired || in[0].From != "BlueLake" {
		t.Fatalf("inbox: %+v, %v", in, err)
	}
	if out, err := w.box.CheckPaths(w.ctx, green, []string{"src/auth/token.go", "README.md"}); mail.CodeOf(err) != mail.Conflict || len(out.Blocked) != 1 {
		t.Fatalf("check: %+v, %v", out, err)
	}
	_, err = w.box.Reserve(w.ctx, green, ReserveRequest{Patterns: []string{"src/**", "docs/**"}})
	e := wantCode(t, err, mail.Conflict)
	t.Logf("%s\n%s\n%s", e.Message, strings.Join(e.Lines, "\n"), strings.Join(e.Hints, "\n"))
	first, err := w.box.Ack(w.ctx, green, []string{id[:5]})
	if err != nil || !first[0].Acknowledged {
		t.Fatalf("ack: %+v, %v", first, err)
	}
	w.at = w.at.Add(time.Minute)
	again, err := w.box.Ack(w.ctx, green, []string{id})
	if err != nil || again[0] != first[0] {
		t.Fatalf("second ack: %+v, want %+v, %v", again, first, err)
	}
	reply, err := w.box.Reply(w.ctx, green, id, ReplyDraft{Body: "fine"})
	if err != nil || reply.Subject != "Re: Starting auth refactor" || *reply.ThreadID != "FEAT-123" || reply.To[0] != "BlueLake" || !reply.AckRequired {
		t.Fatalf("reply: %+v, %v", reply, err)
	}
	th, err := w.box.Thread(w.ctx, blue, "FEAT-123", Page{})
	if err != nil || len(th.Messages) != 2 {
		t.Fatalf("thread: %+v, %v", th, err)
	}
	rel, err := w.box.Release(w.ctx, blue, LeaseFilter{})
	if err != nil || rel.Released != 1 {
		t.Fatalf("release: %+v, %v", rel, err)
	}
	if _, err := w.box.CheckPaths(w.ctx, green, []string{"src/auth/token.go"}); err != nil {
		t.Fatalf("check after release: %v", err)
	}
	if v, err := w.box.Verify(w.ctx, nil); err != nil || v.Records == 0 {
		t.Fatalf("verify: %+v, %v", v, err)
	}
	w.git("-C", w.dir, "fsck", "--strict")
	t.Log(w.git("-C", w.dir, "log", "--glob=refs/agentmail/log/*", "--format=%an: %s%n%(trailers)"))
}

func TestUnknownRecipient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	w.agent("GreenCastle")
	_, err := w.box.Send(w.ctx, blue, Draft{To: []string{"GreenCastel"}, Subject: "x"})
	e := wantCode(t, err, mail.NotFound)
	if e.Type != "RECIPIENT_NOT_FOUND" || !strings.Contains(e.Hints[0], "GreenCastle") {
		t.Errorf("%+v", e)
	}
	_, err = w.box.Send(w.ctx, blue, Draft{To: []string{"all"}, Subject: "x"})
	if e := wantCode(t, err, mail.NotFound); e.Type != "BROADCAST_ATTEMPT" {
		t.Errorf("%+v", e)
	}
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	w.agent("GreenCastle")
	d := Draft{To: []string{"GreenCastle"}, Subject: "x", IdempotencyKey: "k1"}
	a, err := w.box.Send(w.ctx, blue, d)
	if err != nil {
		t.Fatal(err)
	}
	b, err := w.box.Send(w.ctx, blue, d)
	if err != nil || a.Deliveries[0].Payload.ID != b.Deliveries[0].Payload.ID {
		t.Fatalf("second send: %+v, %v", b, err)
	}
	d.Body = "other"
	_, err = w.box.Send(w.ctx, blue, d)
	wantCode(t, err, mail.Exists)
}
