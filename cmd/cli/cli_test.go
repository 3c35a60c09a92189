package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/git-agentmail/git-agentmail/mailbox"
)

// newRepository makes a repository with mail, goes there, and returns an
// environment that leads nowhere else.
func newRepository(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL=" + filepath.Join(dir, ".gitconfig")}
	cmd := exec.Command("git", "init", "-q", ".")
	cmd.Env = env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git init: %v\n%s", err, out)
	}
	if status, _, stderr := run(t, IO{Env: env}, "init", "--no-hooks"); status != 0 {
		t.Fatalf("init: status %d\n%s", status, stderr)
	}
	return env
}

func run(t *testing.T, std IO, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	if std.In == nil {
		std.In = strings.NewReader("")
	}
	if std.Out == nil {
		std.Out = &out
	}
	if std.Err = &err; std.Now == nil {
		std.Now = time.Now
	}
	status = Main(args, std)
	return status, out.String(), err.String()
}

// TestPanic: a fault of ours is said in a line; it does not stop a commit.
func TestPanic(t *testing.T) {
	std := IO{Env: newRepository(t), Now: func() time.Time { panic("boom") }}
	for _, tt := range []struct {
		name   string
		args   []string
		status int
		want   string
	}{
		{"verb", []string{"status"}, 1, "agentmail: error: fault in git-agentmail: boom [internal]\n"},
		{"pre-commit", []string{"hook", "pre-commit"}, 0, "agentmail: error: the guard could not check: fault in git-agentmail: boom [internal]\n"},
		{"post-commit", []string{"hook", "post-commit"}, 0, "guard could not check"},
		{"pre-push", []string{"hook", "pre-push", "origin", "url"}, 8, "guard could not check"},
		{"with flags", []string{"--as", "", "-q", "hook", "pre-push"}, 8, "guard could not check"},
	} {
		status, stdout, stderr := run(t, std, tt.args...)
		if status != tt.status || !strings.Contains(stderr, tt.want) || stdout != "" {
			t.Errorf("%s: status %d, stdout %q, stderr %q, want status %d and %q", tt.name, status, stdout, stderr, tt.status, tt.want)
		}
		if strings.Contains(stderr, "goroutine") {
			t.Errorf("%s: a stack trace without -v", tt.name)
		}
	}
	if _, _, stderr := run(t, std, "-v", "status"); !strings.Contains(stderr, "goroutine") {
		t.Errorf("-v status: no stack trace in %q", stderr)
	}
	_, _, stderr := run(t, std, "--json", "status")
	var v struct{ Error struct{ Code string } }
	if err := json.Unmarshal([]byte(stderr), &v); err != nil || v.Error.Code != "internal" {
		t.Errorf("--json status: stderr %q, %v", stderr, err)
	}
}

// TestInterrupted: whatever breaks because of an interrupt is reported as one.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, tt := range []struct {
		name   string
		err    error
		status int
		want   string
	}{
		{"an error like any other", errors.New("signal: interrupt"), 130, "agentmail: error: interrupted [cancelled]\n"},
		{"one that says more", mail.Errorf(mail.Cancelled, "interrupted; nothing was written"), 130, "agentmail: error: interrupted; nothing was written [cancelled]\n"},
		{"one that came before", mail.Errorf(mail.NotFound, "no such message"), 4, "agentmail: error: no such message [not_found]\n"},
		{"nothing broke", nil, 0, ""},
		{"all has been said", exitStatus(130), 130, ""},
	} {
		var stderr bytes.Buffer
		a := newApp(nil, IO{Err: &stderr})
		if status := a.finish(ctx, nil, tt.err); status != tt.status || stderr.String() != tt.want {
			t.Errorf("%s: status %d, stderr %q, want %d, %q", tt.name, status, stderr.String(), tt.status, tt.want)
		}
	}
}

// TestAmbiguousPrefix: ids that begin alike, which chance would take long to make.
func TestAmbiguousPrefix(t *testing.T) {
	env := newRepository(t)
	n := byte(0)
	ctx := context.Background()
	box, err := mailbox.Open(ctx, mailbox.Options{Environ: env, Rand: func(b []byte) {
		clear(b)
		b[len(b)-1], n = n, n+1
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	if _, err := box.Register(ctx, mailbox.RegisterRequest{Name: "BlueLake", Program: "p", Model: "m"}); err != nil {
		t.Fatal(err)
	}
	who, err := box.As(ctx, "BlueLake")
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for range 2 {
		r, err := box.Send(ctx, who, mailbox.Draft{To: []string{"BlueLake"}, Subject: "s", Body: "b"})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, r.Deliveries[0].Payload.ID)
	}
	for _, args := range [][]string{{"show"}, {"read", "--as", "BlueLake"}, {"ack", "--as", "BlueLake"}, {"reply", "--as", "BlueLake", "-m", "x"}} {
		status, _, stderr := run(t, IO{Env: env}, append(args, ids[0][:6])...)
		if status != 2 || !strings.Contains(stderr, "[invalid]") || !strings.Contains(stderr, ids[0]) || !strings.Contains(stderr, ids[1]) {
			t.Errorf("%v %s: status %d, stderr %q, want 2 and both of %v", args, ids[0][:6], status, stderr, ids)
		}
	}
	if status, stdout, stderr := run(t, IO{Env: env}, "show", ids[1]); status != 0 || !strings.Contains(stdout, ids[1]) {
		t.Errorf("show %s: status %d, stderr %q", ids[1], status, stderr)
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

// TestUnwritableAnswer: an answer that nobody gets is no success.
func TestUnwritableAnswer(t *testing.T) {
	env := newRepository(t)
	for _, args := range [][]string{{"status"}, {"status", "--json"}, {"version"}, {"help"}} {
		status, _, stderr := run(t, IO{Env: env, Out: full{}}, args...)
		if status != 1 || !strings.Contains(stderr, "the answer could not be printed: no space left") {
			t.Errorf("%v: status %d, stderr %q", args, status, stderr)
		}
	}
}

// TestJSONAsValue: a value that looks like a flag does not switch to JSON.
func TestJSONAsValue(t *testing.T) {
	env := newRepository(t)
	_, stdout, _ := run(t, IO{Env: env}, "whois", "--", "--json")
	if strings.HasPrefix(stdout, "{") {
		t.Errorf("got %q", stdout)
	}
	_, _, stderr := run(t, IO{Env: env}, "send", "-s", "--json", "--to", "Nobody", "-m", "x")
	if strings.HasPrefix(stderr, "{") {
		t.Errorf("got %q", stderr)
	}
}
