package githook

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// These tests let the real git run the hooks.

func TestGitRunsTheGuard(t *testing.T) {
	r := newRepo(t)
	r.install()
	if out := r.commit(); out != "" {
		t.Errorf("commit printed %q", out)
	}
	same(t, "commit", r.log(), "guard [hook] [pre-commit]\nguard [hook] [post-commit]\n")

	r.git("checkout", "-q", "-b", "side")
	r.commit()
	r.git("checkout", "-q", "main")
	r.commit()
	r.log()
	r.git("merge", "-q", "-m", "m", "side")
	same(t, "merge", r.log(), "guard [hook] [pre-merge-commit]\nguard [hook] [post-merge] [0]\n")

	r.status("pre-commit", 3)
	if out, err := r.run(r.dir, "git", "commit", "--allow-empty", "-m", "x"); err == nil {
		t.Errorf("the guard did not stop the commit: %s", out)
	}
	r.status("pre-merge-commit", 3)
	r.git("checkout", "-q", "side")
	r.git("commit", "-q", "--allow-empty", "--no-verify", "-m", "past the guard")
	if out, err := r.run(r.dir, "git", "merge", "-m", "m", "main", "--no-ff"); err == nil {
		t.Errorf("the guard did not stop the merge: %s", out)
	}
}

func TestUsersHookRunsAfterTheGuard(t *testing.T) {
	for _, head := range []string{"#!/bin/sh\n", "#!/bin/sh -eu\n", "#!/usr/bin/env bash\nset -eu\n", ""} {
		t.Run(head, func(t *testing.T) {
			r := newRepo(t)
			for _, event := range (Site{}).Events() {
				r.write(r.hook(event), head+r.note(`"user $(basename "$0") $# $*"`)+"exit 0\n", 0o755)
			}
			r.install()
			r.commit()
			same(t, "commit", r.log(), "guard [hook] [pre-commit]\nuser pre-commit 0 \nguard [hook] [post-commit]\nuser post-commit 0 \n")

			r.status("pre-commit", 3)
			if _, err := r.run(r.dir, "git", "commit", "--allow-empty", "-m", "x"); err == nil {
				t.Error("the guard did not stop the commit")
			}
			same(t, "stopped commit", r.log(), "guard [hook] [pre-commit]\n")

			// What comes after the commit is never stopped and never noisy.
			r.status("pre-commit", 0)
			r.status("post-commit", 8)
			if out := r.commit(); out != "" {
				t.Errorf("commit printed %q", out)
			}
			same(t, "commit", r.log(), "guard [hook] [pre-commit]\nuser pre-commit 0 \nguard [hook] [post-commit]\nuser post-commit 0 \n")
		})
	}
}

func TestPrePush(t *testing.T) {
	r := newRepo(t)
	remote := filepath.Join(r.base, "re mote.git")
	r.git("init", "-q", "--bare", remote)
	r.git("remote", "add", "origin", remote)
	r.commit()
	r.git("branch", "two")
	r.git("tag", "v1")
	seen := filepath.Join(r.bin, "user.stdin")
	r.write(r.hook("pre-push"), "#!/bin/sh -eu\n"+r.note(`"user [$1] [$2] $#"`)+"cat >"+shQuote(seen)+"\n", 0o755)
	r.install()

	push := func(args ...string) (guard, user string) {
		t.Helper()
		r.git(append([]string{"push", "-q"}, args...)...)
		same(t, "calls", r.log(), "guard [hook] [pre-push] ["+args[0]+"] ["+remote+"]\nuser ["+args[0]+"] ["+remote+"] 2\n")
		return r.read(filepath.Join(r.bin, "stdin.pre-push")), r.read(seen)
	}
	guard, user := push("origin", "main", "two", "v1")
	if strings.Count(user, "\n") != 3 || !strings.HasPrefix(user, "refs/heads/main ") {
		t.Errorf("the user's hook read %q", user)
	}
	same(t, "what the guard read", guard, user)

	guard, user = push("origin", "main")
	if guard != "" || user != "" {
		t.Errorf("up to date: guard read %q, user's hook %q, want nothing", guard, user)
	}
	_, user = push("origin", ":two")
	if !strings.HasPrefix(user, "(delete) 0000") || strings.Count(user, "\n") != 1 {
		t.Errorf("delete: %q", user)
	}

	os.Remove(seen)
	r.status("pre-push", 8)
	if _, err := r.run(r.dir, "git", "push", "-q", "origin", "two"); err == nil {
		t.Error("the guard did not stop the push")
	}
	same(t, "stopped push", r.log(), "guard [hook] [pre-push] [origin] ["+remote+"]\n")
	if isFile(seen) {
		t.Error("the user's hook ran")
	}
}

func TestNoBinary(t *testing.T) {
	const line = "agentmail: guard not run: git-agentmail not found\n"
	r := newRepo(t)
	remote := filepath.Join(r.base, "remote.git")
	r.git("init", "-q", "--bare", remote)
	seen := filepath.Join(r.bin, "user.stdin")
	r.write(r.hook("pre-push"), "#!/bin/sh -eu\ncat >"+shQuote(seen)+"\n", 0o755)
	r.install()

	// Not on PATH: the path of the install is used.
	r.env[0] = "PATH=" + os.Getenv("PATH")
	if out := r.commit(); out != "" {
		t.Errorf("commit printed %q", out)
	}
	same(t, "log", r.log(), "guard [hook] [pre-commit]\nguard [hook] [post-commit]\n")

	// There, but it cannot be started; the shell says so too.
	r.write(r.binary(), "#!/nowhere/sh\n", 0o755)
	if out := r.commit(); !strings.Contains(out, line) {
		t.Errorf("commit printed %q", out)
	}

	os.Remove(r.binary())
	same(t, "commit without a binary", r.commit(), line)
	same(t, "push without a binary", r.git("push", "-q", remote, "main"), line)
	if got := r.read(seen); !strings.HasPrefix(got, "refs/heads/main ") {
		t.Errorf("the user's hook read %q", got)
	}
	same(t, "log", r.log(), "")
}

func TestLinkedWorktree(t *testing.T) {
	r := newRepo(t)
	r.commit()
	linked := filepath.Join(r.base, "linked")
	r.git("worktree", "add", "-q", linked)
	r.site = r.ask(linked)
	r.install()
	if !isFile(filepath.Join(r.dir, ".git", "hooks", "pre-commit")) {
		t.Error("the hook is not in the common directory")
	}
	r.log()
	if out, err := r.run(linked, "git", "commit", "-q", "--allow-empty", "-m", "x"); err != nil {
		t.Fatal(out)
	}
	same(t, "log", r.log(), "guard [hook] [pre-commit]\nguard [hook] [post-commit]\n")
	for _, dir := range []string{r.dir, linked} {
		if s := Status(r.ask(dir)); !s.Active {
			t.Errorf("status in %q: %+v", dir, s)
		}
	}

	// One worktree gets hooks of its own.
	r.git("config", "extensions.worktreeConfig", "true")
	if out, err := r.run(linked, "git", "config", "--worktree", "core.hooksPath", "/dev/null"); err != nil {
		t.Fatal(out)
	}
	if s := Status(r.ask(r.dir)); !s.Active {
		t.Errorf("status in the main worktree: %+v", s)
	}
	s := Status(r.ask(linked))
	if s.Active || !strings.Contains(s.Cause, `core.hooksPath is "/dev/null", worktree, in "`) {
		t.Errorf("status in the linked worktree: %+v", s)
	}
}
