package githook

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/git-agentmail/git-agentmail/mail"
)

func TestBareRepository(t *testing.T) {
	r := newRepo(t, "--bare")
	before := tree(t, r.dir)
	// Nobody commits in it; what is pushed to it is judged there.
	if got := r.install(); len(got) != 1 || got[0].Event != "pre-receive" || got[0].Action != Create {
		t.Errorf("install: %+v", got)
	}
	if s := Status(r.site); !s.Active {
		t.Errorf("status: %+v", s)
	}
	r.uninstall()
	if s := Status(r.site); s.Active {
		t.Errorf("status: %+v", s)
	}
	same(t, "repository", tree(t, r.dir), before)

	// Its worktrees commit, and run the hooks of the bare repository.
	id := strings.TrimSpace(r.git("commit-tree", "-m", "x", strings.TrimSpace(r.git("hash-object", "-t", "tree", "-w", "/dev/null"))))
	r.git("update-ref", "refs/heads/main", id)
	linked := filepath.Join(r.base, "linked")
	r.git("worktree", "add", "-q", linked, "main")
	r.site = r.ask(linked)
	same(t, "install", actions(r.install()), allCreate)
	if out, err := r.run(linked, "git", "commit", "-q", "--allow-empty", "-m", "x"); err != nil || !strings.HasPrefix(r.log(), "guard [hook] [pre-commit]\n") {
		t.Errorf("commit: %v %s", err, out)
	}
	if s := Status(r.site); !s.Active {
		t.Errorf("status: %+v", s)
	}
}

// TestHooksPath sets core.hooksPath in every scope, with git itself, after an
// install into the repository's own directory.
func TestHooksPath(t *testing.T) {
	for _, tt := range []struct {
		scope, value string
		setup        func(r *repo) []string // git arguments that carry the setting
		err          string                 // part of the refusal
		hint         string
		own          bool // the hint, when run, makes install work
	}{
		{"global", "/h", func(r *repo) []string {
			r.write(filepath.Join(r.base, "global"), "[core]\n\thooksPath = /h\n", 0o644)
			r.env = append(r.env, "GIT_CONFIG_GLOBAL="+filepath.Join(r.base, "global"))
			return nil
		}, `core.hooksPath is "/h" in the global configuration ("`, "git config --local core.hooksPath '", true},
		{"system", "hk", func(r *repo) []string {
			r.write(filepath.Join(r.base, "system"), "[core]\n\thooksPath = hk\n", 0o644)
			r.env = append(r.env, "GIT_CONFIG_SYSTEM="+filepath.Join(r.base, "system"))
			return nil
		}, `core.hooksPath is "hk" in the system configuration ("`, "git config --local core.hooksPath '", true},
		{"command", "/h", func(r *repo) []string { return []string{"-c", "core.hooksPath=/h"} },
			"for this command only", "env -u GIT_CONFIG_PARAMETERS ", false},
		{"local", "/dev/null", func(r *repo) []string { r.git("config", "core.hooksPath", "/dev/null"); return nil },
			`outside this repository`, "git config --local --unset core.hooksPath", true},
		{"worktree", "/shared hooks", func(r *repo) []string {
			r.git("config", "extensions.worktreeConfig", "true")
			r.git("config", "--worktree", "core.hooksPath", "/shared hooks")
			return nil
		}, `core.hooksPath is "/shared hooks" (worktree, in "`, "git config --worktree --unset core.hooksPath", true},
	} {
		t.Run(tt.scope, func(t *testing.T) {
			r := newRepo(t)
			r.install()
			extra := tt.setup(r)
			r.site = r.ask(r.dir, extra...)
			if r.site.Scope != tt.scope || r.site.HooksPath != tt.value {
				t.Fatalf("git says %+v", r.site)
			}
			before := tree(t, r.base)
			_, err := Install(r.site, r.opts())
			e := mail.AsError(err)
			if e.Code != mail.Denied || !strings.Contains(e.Message, tt.err) || len(e.Hints) != 1 || !strings.Contains(e.Hints[0], tt.hint) {
				t.Errorf("got %v [%s] %q", err, e.Code, e.Hints)
			}
			same(t, "everything after the refusal", tree(t, r.base), before)
			s := Status(r.site)
			if s.Active || s.Events[0].State != Unreachable || !strings.Contains(s.Cause, "core.hooksPath is \""+tt.value+"\", "+tt.scope+", in \"") {
				t.Errorf("status: %+v", s)
			}

			if tt.own {
				_, command, ok := strings.Cut(e.Hints[0], ": ")
				if !ok {
					command = e.Hints[0]
				}
				if out, err := r.run(r.dir, "sh", "-c", command); err != nil {
					t.Fatalf("%s: %v %s", command, err, out)
				}
				now := r.ask(r.dir)
				if list, err := Install(now, r.opts()); err != nil || actions(list) != allKeep {
					t.Errorf("after the hint: %v %v", list, err)
				}
				if s := Status(now); !s.Active {
					t.Errorf("status after the hint: %+v", s)
				}
			}
			// The own directory is cleaned although git looks elsewhere.
			same(t, "uninstall", actions(r.uninstall()), allDelete)
		})
	}
}

func TestHooksPathInside(t *testing.T) {
	t.Run("in the git directory", func(t *testing.T) {
		r := newRepo(t)
		r.git("config", "core.hooksPath", filepath.Join(r.dir, ".git", "my hooks"))
		r.site = r.ask(r.dir)
		r.commit()
		before := tree(t, r.site.CommonDir)
		same(t, "install", actions(r.install()), allCreate)
		if out, err := r.run(r.dir, "git", "hook", "run", "pre-commit"); err != nil || r.log() != "guard [hook] [pre-commit]\n" {
			t.Errorf("git did not run the guard: %v %s", err, out)
		}
		same(t, "uninstall", actions(r.uninstall()), allDelete+", my hooks/ delete")
		same(t, "repository", tree(t, r.site.CommonDir), before)

		r.git("config", "core.hooksPath", ".git/a/b")
		if _, err := Install(r.ask(r.dir), r.opts()); mail.CodeOf(err) != mail.Denied || !strings.Contains(mail.AsError(err).Hints[0], "mkdir -p '") {
			t.Errorf("deep: %v", err)
		}
	})

	t.Run("tracked", func(t *testing.T) {
		r := newRepo(t)
		r.write(filepath.Join(r.dir, ".githooks", "pre-commit"), "#!/bin/sh\n"+r.note("user"), 0o755)
		r.git("config", "core.hooksPath", ".githooks")
		r.site = r.ask(r.dir)
		before := tree(t, r.dir)
		list := r.install()
		for _, c := range list {
			if c.Action != Refuse || !strings.Contains(c.Note, "in the work tree") {
				t.Errorf("got %+v", c)
			}
		}
		if c := of(t, list, "post-merge"); c.Hint != `make it by hand, executable, with: git-agentmail hook post-merge "$@" || :` {
			t.Errorf("hint %q", c.Hint)
		}
		same(t, "everything", tree(t, r.dir), before)
		if s := Status(r.site); s.Active || s.Events[0].State != Unreachable {
			t.Errorf("status: %+v", s)
		}

		// Do as the hints say.
		for _, c := range list {
			_, line, _ := strings.Cut(c.Hint, ": ")
			r.write(c.File, "#!/bin/sh\n"+line+"\n"+r.note("user"), 0o755)
		}
		same(t, "install", actions(r.install()), allKeep)
		if s := Status(r.site); !s.Active {
			t.Errorf("status: %+v", s)
		}
		r.commit()
		same(t, "log", r.log(), "guard [hook] [pre-commit]\nuser\nguard [hook] [post-commit]\nuser\n")
		before = tree(t, r.dir)
		for _, c := range r.uninstall() {
			if c.Action != Refuse || !strings.Contains(c.Note, "by a line of your own") {
				t.Errorf("uninstall: %+v", c)
			}
		}
		same(t, "everything", tree(t, r.dir), before)
	})

	t.Run("in the main work tree, seen from a linked one", func(t *testing.T) {
		r := newRepo(t)
		r.commit()
		linked := filepath.Join(r.base, "linked")
		r.git("worktree", "add", "-q", linked)
		r.git("config", "core.hooksPath", filepath.Join(r.dir, "hk"))
		if c := of(t, mustInstall(t, r.ask(linked), r.opts()), "pre-commit"); c.Action != Refuse {
			t.Errorf("tracked: %+v", c)
		}
		r.write(filepath.Join(r.dir, "hk", ".gitignore"), "*\n", 0o644)
		same(t, "ignored", actions(mustInstall(t, r.ask(linked), r.opts())), allCreate)
	})

	t.Run("own directory is a link into the work tree", func(t *testing.T) {
		r := newRepo(t, "--template=")
		r.write(filepath.Join(r.dir, "hooks", "pre-commit"), "#!/bin/sh\n", 0o755)
		if err := os.Symlink("../hooks", r.site.HooksDir); err != nil {
			t.Fatal(err)
		}
		before := tree(t, r.dir)
		if c := of(t, r.install(), "pre-commit"); c.Action != Refuse {
			t.Errorf("got %+v", c)
		}
		same(t, "everything", tree(t, r.dir), before)
	})

	t.Run("own directory is a link to elsewhere", func(t *testing.T) {
		r := newRepo(t, "--template=")
		shared := filepath.Join(r.base, "shared")
		if err := os.Symlink(shared, r.site.HooksDir); err != nil {
			t.Fatal(err)
		}
		if _, err := Install(r.site, r.opts()); mail.CodeOf(err) != mail.Denied {
			t.Errorf("leads nowhere: %v", err)
		}
		r.write(filepath.Join(shared, "pre-commit"), "#!/bin/sh\n", 0o755)
		before := tree(t, r.base)
		if _, err := Install(r.site, r.opts()); mail.CodeOf(err) != mail.Denied || !strings.Contains(err.Error(), "outside this repository") {
			t.Errorf("got %v", err)
		}
		same(t, "everything", tree(t, r.base), before)
	})
}

// TestForeignBlock: another tool copied our hook to where we do not write.
func TestForeignBlock(t *testing.T) {
	r := newRepo(t)
	r.install()
	copied := r.read(r.hook("pre-commit"))
	r.git("config", "core.hooksPath", ".beads/hooks")
	r.site = r.ask(r.dir)
	r.write(r.hook("pre-commit"), copied, 0o755)
	if c := of(t, r.install(), "pre-commit"); c.Action != Keep || !strings.Contains(c.Note, "has our block, but is in the work tree") {
		t.Errorf("install: %+v", c)
	}
	list := r.uninstall()
	same(t, "uninstall", actions(list), "pre-commit refuse, "+allDelete)
	same(t, "the copy", r.read(r.hook("pre-commit")), copied)
}

func TestHooksIsAFile(t *testing.T) {
	r := newRepo(t, "--template=")
	r.write(r.site.HooksDir, "", 0o644)
	if _, err := Install(r.site, r.opts()); mail.CodeOf(err) != mail.Denied || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("install: %v", err)
	}
	same(t, "uninstall", actions(r.uninstall()), "")
	same(t, "cause", Status(r.site).Cause, "no hooks of git-agentmail in "+quoted(r.site.HooksDir))
}

func TestIgnoresItself(t *testing.T) {
	for text, want := range map[string]bool{
		"*": true, "# all\n*\r\n": true, "": false, "*.sh\n": false, "*\n!pre-commit\n": false,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, ".gitignore"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := ignoresItself(dir); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
	if ignoresItself(t.TempDir()) {
		t.Error("no .gitignore: got true")
	}
}
