package mailbox

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

// Steps that many tests take. Each fails the test if it fails.

func (w *world) pass(d time.Duration) { w.at = w.at.Add(d) }

// send writes a plain message and returns its id.
func (w *world) send(from Actor, to ...string) string {
	w.t.Helper()
	return w.deliver(from, Draft{To: to, Subject: "hello", Body: "text"})
}

func (w *world) deliver(from Actor, d Draft) string {
	w.t.Helper()
	r, err := w.box.Send(w.ctx, from, d)
	if err != nil || r.Count != 1 {
		w.t.Fatalf("send %+v: %+v, %v", d, r, err)
	}
	return r.Deliveries[0].Payload.ID
}

// many sends n messages beside each other: most of them share a commit, which is cheaper.
func (w *world) many(from Actor, n int, draft func(i int) Draft) {
	w.t.Helper()
	const atOnce = 16
	var all sync.WaitGroup
	for first := range atOnce {
		all.Go(func() {
			for i := first; i < n; i += atOnce {
				if _, err := w.box.Send(w.ctx, from, draft(i)); err != nil {
					w.t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if w.t.Failed() {
		w.t.FailNow()
	}
}

// hold reserves patterns exclusively for an hour and returns the ids.
func (w *world) hold(who Actor, patterns ...string) []string {
	w.t.Helper()
	r, err := w.box.Reserve(w.ctx, who, ReserveRequest{Patterns: patterns})
	if err != nil || len(r.Granted) != len(patterns) {
		w.t.Fatalf("reserve %q: %+v, %v", patterns, r, err)
	}
	var ids []string
	for _, g := range r.Granted {
		ids = append(ids, g.ID)
	}
	return ids
}

func (w *world) inbox(who Actor) []InboxRow {
	w.t.Helper()
	rows, err := w.box.Inbox(w.ctx, who, InboxQuery{Bodies: true, Page: Page{N: MaxLimit}})
	if err != nil {
		w.t.Fatal(err)
	}
	return rows
}

func subjects(rows []InboxRow) []string {
	var list []string
	for _, r := range rows {
		list = append(list, r.Subject)
	}
	return list
}

// person is whoever acts when nobody else is named.
func (w *world) person() Actor {
	w.t.Helper()
	a, err := w.box.Who(w.ctx, Caller{})
	if err != nil || a.Kind != IsPerson {
		w.t.Fatalf("nobody named is %+v, %v", a, err)
	}
	return a
}

// in runs git in the main work tree.
func (w *world) in(args ...string) string {
	w.t.Helper()
	return w.git(append([]string{"-C", w.dir, "-c", "user.name=U", "-c", "user.email=u@example.com"}, args...)...)
}

// set puts a value into the repository's configuration and opens the mailbox
// afresh, for it reads the configuration once.
func (w *world) set(key, value string) {
	w.t.Helper()
	w.in("config", "--local", key, value)
	w.box = w.open(w.dir)
}

// with opens the mailbox with further environment variables.
func (w *world) with(env ...string) *Box {
	w.t.Helper()
	c := *w
	c.env = append(slices.Clone(w.env), env...)
	return c.open(w.dir)
}

// clone makes another clone of the repository, logs included, with a mailbox of
// its own that shares the clock.
func (w *world) clone() *world {
	w.t.Helper()
	c := &world{t: w.t, dir: filepath.Join(w.t.TempDir(), "c"), env: w.env, at: w.at, ctx: w.ctx}
	w.git("clone", "-q", w.dir, c.dir)
	c.fetch(w)
	c.box = c.open(c.dir)
	return c
}

// fetch brings the logs of another clone here.
func (w *world) fetch(from *world) {
	w.t.Helper()
	out := w.git("-C", from.dir, "for-each-ref", "--format=%(refname)", "refs/agentmail/log")
	own := ""
	if w.box != nil {
		sn, err := w.box.snapshot(w.ctx)
		if err != nil {
			w.t.Fatal(err)
		}
		own = sn.Own()
	}
	for ref := range strings.FieldsSeq(out) {
		if !strings.HasSuffix(ref, "/"+own) || own == "" {
			w.git("-C", w.dir, "fetch", "-q", from.dir, "+"+ref+":"+ref) // a log may have been truncated
		}
	}
}

// worktree adds a linked worktree on a new branch and opens the mailbox there.
func (w *world) worktree(name string) (*Box, string) {
	w.t.Helper()
	dir := filepath.Join(filepath.Dir(w.dir), name)
	w.in("worktree", "add", "-q", "-b", name, dir)
	return w.open(dir), dir
}

// contents maps every file below dir to a hash of mode and bytes, but for what
// skip names.
func contents(t testing.TB, dir string, skip ...string) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		if slices.Contains(skip, rel) {
			return filepath.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if d.IsDir() {
			got[rel] = info.Mode().String()
			return nil
		}
		data, err := os.ReadFile(path)
		got[rel] = fmt.Sprintf("%s %x", info.Mode(), sha256.Sum256(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// changed lists what differs between two results of contents.
func changed(before, after map[string]string) []string {
	var list []string
	for name, v := range after {
		if before[name] != v {
			list = append(list, name)
		}
	}
	for name := range before {
		if _, there := after[name]; !there {
			list = append(list, "gone: "+name)
		}
	}
	slices.Sort(list)
	return list
}

// try runs git and returns its status and what it said.
func (w *world) try(dir string, env []string, args ...string) (int, string) {
	w.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env = dir, append(slices.Clone(w.env), env...)
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		w.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(bytes.TrimSpace(out))
}

func mustCode(t testing.TB, err error, code mail.Code, typ string) *mail.Error {
	t.Helper()
	e := wantCode(t, err, code)
	if e.Type != typ {
		t.Fatalf("error %q has the type %s, want %s", e.Message, e.Type, typ)
	}
	return e
}

// until runs fn until it says it is done; a test that waits for another
// goroutine has no other way.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: not within ten seconds", what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// shell runs a command line.
func (w *world) shell(dir, line string) (int, string) {
	w.t.Helper()
	cmd := exec.Command("bash", "-c", line)
	cmd.Dir, cmd.Env = dir, w.env
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		w.t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(bytes.TrimSpace(out))
}
