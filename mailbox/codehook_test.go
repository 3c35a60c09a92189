package mailbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/git-agentmail/git-agentmail/mail"
)

func TestGuardInstall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hook := filepath.Join(w.dir, ".git", "hooks", "pre-commit")
	if r, err := w.box.GuardUninstall(w.ctx); err != nil || r.Removed || r.Changes == nil {
		t.Errorf("nothing is there: %+v, %v", r, err)
	}
	for range 2 {
		r, err := w.box.GuardInstall(w.ctx, "/bin/true")
		if err != nil || r.Hook != hook || len(r.Changes) < 5 {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	data, err := os.ReadFile(hook)
	if err != nil || !strings.Contains(string(data), "/bin/true") {
		t.Errorf("%s, %v", data, err)
	}
	for _, want := range []bool{true, false} {
		if r, err := w.box.GuardUninstall(w.ctx); err != nil || r.Removed != want {
			t.Errorf("removed should be %v: %+v, %v", want, r, err)
		}
	}
	if _, err := os.Stat(hook); !os.IsNotExist(err) {
		t.Errorf("the hook is still there: %v", err)
	}
	// A hook that cannot be ours is left alone, and the answer names none.
	foreign := "#!/usr/bin/env python3\nprint()\n"
	if err := os.MkdirAll(filepath.Dir(hook), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(hook, []byte(foreign), 0o755); err != nil {
		t.Fatal(err)
	}
	if r, err := w.box.GuardInstall(w.ctx, "/bin/true"); err != nil || r.Hook != "" || r.Changes[0].Action != "refuse" || r.Changes[0].Note == "" {
		t.Errorf("%+v, %v", r, err)
	}
	if data, _ := os.ReadFile(hook); string(data) != foreign {
		t.Errorf("%s", data)
	}
	// From a linked worktree the hooks are the same; a host has another one.
	linked, _ := w.worktree("side")
	if err := os.Remove(hook); err != nil {
		t.Fatal(err)
	}
	if r, err := linked.GuardInstall(w.ctx, "/bin/true"); err != nil || r.Hook != hook {
		t.Errorf("%+v, %v", r, err)
	}
	host := filepath.Join(t.TempDir(), "host.git")
	w.git("init", "-q", "--bare", "--template=", host)
	if r, err := w.open(host).GuardInstall(w.ctx, "/bin/true"); err != nil || r.Hook != filepath.Join(host, "hooks", "pre-receive") {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestOpenCode(t *testing.T) {
	t.Parallel()
	w, other := newWorld(t), newWorld(t)
	p := NewProjects(Options{Dir: w.dir, Environ: w.env})
	t.Cleanup(p.Close)
	for _, key := range []string{"", w.dir, filepath.Join(w.dir, "src", "auth")} {
		b, release, err := p.OpenCode(w.ctx, key, filepath.Join(w.dir, "src"))
		if err != nil || b.Project().ID != w.box.Project().ID {
			t.Fatalf("%q: %v", key, err)
		}
		release()
	}
	for _, tt := range []struct {
		key, path string
		code      mail.Code
	}{
		{"", "src", mail.Invalid}, {"", "", mail.Invalid}, {other.dir, w.dir, mail.Invalid}, {"nowhere", w.dir, mail.NotFound},
	} {
		_, _, err := p.OpenCode(w.ctx, tt.key, tt.path)
		wantCode(t, err, tt.code)
	}
	if _, _, err := p.OpenCode(w.ctx, "", t.TempDir()); err == nil {
		t.Error("no repository there")
	}
}
