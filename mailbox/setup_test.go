package mailbox

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

// mine is what the user sees of the repository: index, HEAD, branches, work tree,
// hooks and configuration.
func (w *world) mine() map[string]string {
	w.t.Helper()
	got := contents(w.t, w.dir, ".git")
	for _, name := range []string{"index", "HEAD", "config", "packed-refs", "refs/heads", "refs/tags", "refs/remotes", "hooks", "ORIG_HEAD", "FETCH_HEAD", "logs/HEAD", "logs/refs/heads", "info"} {
		path := filepath.Join(w.dir, ".git", name)
		if _, err := os.Stat(path); err == nil {
			for k, v := range contents(w.t, path) {
				got[name+"/"+k] = v
			}
		}
	}
	home := ""
	for _, kv := range w.env {
		if v, ok := strings.CutPrefix(kv, "HOME="); ok {
			home = v
		}
	}
	for k, v := range contents(w.t, home) {
		got["home/"+k] = v
	}
	got["branches"] = w.in("for-each-ref", "refs/heads", "refs/tags", "refs/remotes")
	got["status"] = w.in("status", "--porcelain")
	return got
}

// TestVerbsTouchNothingOfTheUsers: before and after every verb that writes, the
// user's index, HEAD, branches, work tree, hooks and configuration are the same.
func TestVerbsTouchNothingOfTheUsers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.write("staged.txt", "x")
	w.in("add", "staged.txt")
	w.write("untracked.txt", "x")
	w.write("README.md", "changed\n")
	w.in("status", "--porcelain") // git refreshes its index now, not later
	before := w.mine()
	check := func(verb string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", verb, err)
		}
		if c := changed(before, w.mine()); len(c) != 0 {
			t.Errorf("%s changes %q", verb, c)
		}
	}
	_, err := w.box.Init(w.ctx, InitRequest{NoHooks: true})
	check("init --no-hooks", err)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	check("register", nil)
	id := w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "x", Attach: []AttachFile{{"a.txt", []byte("staged.txt content\n")}}})
	check("send", nil)
	_, err = w.box.Reply(w.ctx, green, id, ReplyDraft{Body: "x"})
	check("reply", err)
	_, err = w.box.Ack(w.ctx, green, []string{id})
	check("ack", err)
	ids := w.hold(blue, "src/**", "doc/**")
	check("reserve", nil)
	_, err = w.box.Renew(w.ctx, blue, LeaseFilter{}, time.Hour)
	check("renew", err)
	_, err = w.box.Release(w.ctx, blue, LeaseFilter{IDs: ids[:1]})
	check("release", err)
	_, err = w.box.ForceRelease(w.ctx, w.person(), ids[1], "", true)
	check("force-release", err)
	_, err = w.box.RequestContact(w.ctx, blue, "GreenCastle", "", 0)
	check("contact request", err)
	_, err = w.box.RespondContact(w.ctx, green, "BlueLake", true, 0)
	check("contact respond", err)
	_, err = w.box.SetContactPolicy(w.ctx, green, mail.PolicyOpen)
	check("contact policy", err)
	_, err = w.box.Doctor(w.ctx, blue, true, "")
	check("doctor --fix", err)
	w.hold(green, "staged.txt")
	for _, e := range []string{PreCommit, PostCommit, PrePush} {
		w.asks(w.open(w.dir), e, self(blue))
		check("hook "+e, nil)
	}
	_, err = w.box.Uninstall(w.ctx, UninstallRequest{})
	check("uninstall", err)
}

// TestInitAndUninstall: init says first what it will do, does it, and does it
// once; uninstall leaves the git directory byte for byte as it was.
func TestInitAndUninstall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	own := "#!/bin/sh\n# the user's own\nexit 0"
	if err := os.MkdirAll(filepath.Join(w.dir, ".git/hooks"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.dir, ".git/hooks/pre-commit"), []byte(own), 0o750); err != nil {
		t.Fatal(err)
	}
	before := contents(t, w.dir)
	plan, err := w.box.Init(w.ctx, InitRequest{DryRun: true, Binary: "/bin/true"})
	files := 0 // a newer git has our hooks in its configuration as well
	for _, c := range plan.Changes {
		if filepath.Base(c.Path) != "config" {
			files++
		}
	}
	if err != nil || !plan.DryRun || files != 6 {
		t.Fatalf("%+v, %v", plan, err)
	}
	if c := changed(before, contents(t, w.dir)); len(c) != 0 {
		t.Fatalf("a dry run changes %q", c)
	}
	did, err := w.box.Init(w.ctx, InitRequest{Binary: "/bin/true"})
	if err != nil || !slices.Equal(did.Changes, plan.Changes) {
		t.Errorf("did %+v, planned %+v, %v", did.Changes, plan.Changes, err)
	}
	// All that it wrote it had said.
	said := map[string]bool{}
	for _, c := range plan.Changes {
		said[c.Path] = true
	}
	for _, name := range changed(before, contents(t, w.dir)) {
		info, err := os.Stat(filepath.Join(w.dir, name))
		if err == nil && !info.IsDir() && !said[filepath.Join(w.dir, name)] {
			t.Errorf("%s was written and not said", name)
		}
	}
	once := contents(t, w.dir)
	again, err := w.box.Init(w.ctx, InitRequest{Binary: "/bin/true"})
	if err != nil || slices.ContainsFunc(again.Changes, func(c Change) bool { return c.Action != "keep" }) {
		t.Errorf("again: %+v, %v", again, err)
	}
	if c := changed(once, contents(t, w.dir)); len(c) != 0 {
		t.Errorf("init again changes %q", c)
	}
	blue := w.agent("BlueLake")
	w.deliver(blue, Draft{To: []string{"BlueLake"}, Subject: "x", Attach: []AttachFile{{"a", []byte("x")}}})
	if _, err := w.box.Register(w.ctx, RegisterRequest{Name: "BlueLake", Program: "p", Model: "m", Here: true}); err != nil {
		t.Fatal(err)
	}
	w.hold(blue, "src/**")
	if s, err := w.box.UnpushedSummary(w.ctx); err != nil || !strings.Contains(s, "1 message and 1 agent") {
		t.Errorf("%q, %v", s, err)
	}
	used := contents(t, w.dir)
	planned, err := w.box.Uninstall(w.ctx, UninstallRequest{DryRun: true})
	if err != nil || len(planned.Changes) == 0 {
		t.Errorf("%+v, %v", planned, err)
	}
	if c := changed(used, contents(t, w.dir)); len(c) != 0 {
		t.Errorf("a dry run of uninstall changes %q", c)
	}
	if _, err := w.box.Uninstall(w.ctx, UninstallRequest{}); err != nil {
		t.Fatal(err)
	}
	if c := changed(before, contents(t, w.dir)); len(c) != 0 {
		t.Errorf("after uninstall these differ: %q", c)
	}
	// Once more is nothing; and the mailbox can begin anew.
	if _, err := w.box.Uninstall(w.ctx, UninstallRequest{}); err != nil {
		t.Error(err)
	}
	if c := changed(before, contents(t, w.dir)); len(c) != 0 {
		t.Errorf("after uninstall twice these differ: %q", c)
	}
	fresh := w.agent("BlueLake")
	if fresh.ID == blue.ID || len(w.inbox(fresh)) != 0 {
		t.Error("the old mail is back")
	}
}

func TestUninstallKeepsMail(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.box.Init(w.ctx, InitRequest{Binary: "/bin/true"}); err != nil {
		t.Fatal(err)
	}
	blue := w.agent("BlueLake")
	id := w.send(blue, "BlueLake")
	if _, err := w.box.Uninstall(w.ctx, UninstallRequest{KeepMail: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(w.dir, ".git/hooks/pre-commit")); err == nil {
		t.Error("the hooks are still there")
	}
	if m, err := w.open(w.dir).Show(w.ctx, blue, id); err != nil || m.Subject != "hello" {
		t.Errorf("%+v, %v", m, err)
	}
}

// TestGuardNotice: one line, and only where hooks were asked for and git would
// not run them.
func TestGuardNotice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	notice := func() string { return w.open(w.dir).GuardNotice(w.ctx) }
	if got := notice(); got != "" {
		t.Errorf("nothing was set up: %q", got)
	}
	if _, err := w.box.Init(w.ctx, InitRequest{NoHooks: true}); err != nil {
		t.Fatal(err)
	}
	if got := notice(); got != "" {
		t.Errorf("no hooks were asked for: %q", got)
	}
	if _, err := w.box.Init(w.ctx, InitRequest{Binary: "/bin/true"}); err != nil {
		t.Fatal(err)
	}
	if got := notice(); got != "" {
		t.Errorf("all is well: %q", got)
	}
	g, err := w.box.HooksStatus(w.ctx)
	if err != nil || !g.Active || g.Mode != ModeBlock || len(g.Hooks) != 5 {
		t.Errorf("%+v, %v", g, err)
	}
	for name, spoil := range map[string]func(){
		"a hook was removed":             func() { os.Remove(filepath.Join(w.dir, ".git/hooks/pre-commit")) },
		"a hook cannot be run":           func() { os.Chmod(filepath.Join(w.dir, ".git/hooks/pre-push"), 0o644) },
		"hooks are looked for elsewhere": func() { w.in("config", "--local", "core.hooksPath", "elsewhere") },
	} {
		spoil()
		if got := notice(); !strings.Contains(got, "not active in this worktree") || strings.Contains(got, "\n") {
			t.Errorf("%s: %q", name, got)
		}
		w.in("config", "--local", "core.hooksPath", ".git/hooks")
		os.Chmod(filepath.Join(w.dir, ".git/hooks/pre-push"), 0o755) // whoever took that away may have meant it
		if _, err := w.open(w.dir).HooksInstall(w.ctx, false, "/bin/true"); err != nil {
			t.Fatal(err)
		}
		if got := notice(); got != "" {
			t.Fatalf("after %s and putting it right: %q", name, got)
		}
	}
	w.in("config", "--local", "agentmail.guard", "off")
	os.Remove(filepath.Join(w.dir, ".git/hooks/pre-commit"))
	if got := notice(); got != "" {
		t.Errorf("switched off on purpose: %q", got)
	}
	g, err = w.open(w.dir).HooksStatus(w.ctx)
	if err != nil || g.Active || !strings.Contains(g.Cause, "off") {
		t.Errorf("%+v, %v", g, err)
	}
}

func TestDoctor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	find := func(level, part string) bool {
		t.Helper()
		d, err := w.open(w.dir).Doctor(w.ctx, w.person(), false, "/bin/true")
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(d.Findings, func(f Finding) bool { return f.Level == level && strings.Contains(f.What, part) })
	}
	if !find("note", "not set up") {
		t.Error("a repository without mail")
	}
	if _, err := w.box.Init(w.ctx, InitRequest{Binary: "/bin/true"}); err != nil {
		t.Fatal(err)
	}
	if !find("ok", "guard: active") {
		t.Error("all is well")
	}
	blue := w.agent("BlueLake")
	os.Remove(filepath.Join(w.dir, ".git/hooks/pre-commit"))
	if !find("problem", "guard: not active") {
		t.Error("a hook is missing")
	}
	d, err := w.box.Doctor(w.ctx, blue, true, "/bin/true")
	if err != nil || !slices.Contains(d.Fixed, "put the hooks back") || len(d.Fixed) != 2 || !find("ok", "guard: active") {
		t.Errorf("%+v, %v", d, err)
	}
	// What was switched off on purpose stays off.
	w.in("config", "--local", "agentmail.guard", "off")
	os.Remove(filepath.Join(w.dir, ".git/hooks/pre-commit"))
	if d, err := w.open(w.dir).Doctor(w.ctx, blue, true, "/bin/true"); err != nil || slices.Contains(d.Fixed, "put the hooks back") {
		t.Errorf("%+v, %v", d, err)
	}
	w.in("config", "--local", "--unset", "agentmail.guard")
	for _, who := range []Actor{w.as("Nobody1"), {Kind: IsUnidentified, Source: "x"}} {
		d, err := w.box.Doctor(w.ctx, who, false, "")
		if err != nil || !slices.ContainsFunc(d.Findings, func(f Finding) bool { return f.Level == "problem" && strings.HasPrefix(f.What, "you:") }) {
			t.Errorf("%+v, %v", d, err)
		}
	}
	w.plant("leases/2026-11/21/05/zzzzzzzzzz.json", "{}", w.at)
	if !find("problem", "reservations cannot be read") {
		t.Error("a reservation that does not decode")
	}
}
