package githook

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/git-agentmail/git-agentmail/mail"
)

func TestFresh(t *testing.T) {
	r := newRepo(t)
	before := tree(t, r.site.CommonDir)
	plan, err := Plan(r.site, r.opts())
	if err != nil {
		t.Fatal(err)
	}
	same(t, "plan", actions(plan), allCreate)
	same(t, "repository after Plan", tree(t, r.site.CommonDir), before)

	same(t, "install", actions(r.install()), allCreate)
	info, err := os.Stat(r.hook("pre-commit"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode()&0o111 == 0 {
		t.Errorf("a new hook has mode %v", info.Mode())
	}
	if s := Status(r.site); !s.Active || s.Cause != "" {
		t.Errorf("status after install: %+v", s)
	}

	installed := tree(t, r.site.CommonDir)
	same(t, "second install", actions(r.install()), allKeep)
	same(t, "repository after the second install", tree(t, r.site.CommonDir), installed)

	plan, err = PlanUninstall(r.site)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "uninstall plan", actions(plan), allDelete)
	same(t, "repository after PlanUninstall", tree(t, r.site.CommonDir), installed)
	same(t, "uninstall", actions(r.uninstall()), allDelete)
	same(t, "repository after uninstall", tree(t, r.site.CommonDir), before)
	same(t, "second uninstall", actions(r.uninstall()), "")
}

func TestPerm(t *testing.T) {
	r := newRepo(t)
	if _, err := Install(r.site, Options{Binary: r.binary(), Mode: func(m os.FileMode) os.FileMode { return m &^ 0o055 }}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(r.hook("pre-push"))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o700 {
		t.Errorf("mode %v, want 0700", info.Mode())
	}
}

func TestNoHooksDirectory(t *testing.T) {
	r := newRepo(t, "--template=")
	before := tree(t, r.site.CommonDir)
	same(t, "install", actions(r.install()), allCreate)

	// A hook that is put back later finds the directory there; the others
	// still know that it was made.
	os.Remove(r.hook("pre-commit"))
	r.install()
	same(t, "uninstall", actions(r.uninstall()), allDelete+", hooks/ delete")
	same(t, "repository after uninstall", tree(t, r.site.CommonDir), before)

	r.install()
	r.write(r.hook("commit-msg"), "#!/bin/sh\n", 0o755)
	same(t, "uninstall beside a hook of the user's", actions(r.uninstall()), allDelete)
	same(t, "what is left", tree(t, r.site.HooksDir), " "+mode(t, r.site.HooksDir)+` ""`+"\n/commit-msg -rwxr-xr-x "+`"#!/bin/sh\n"`+"\n")
}

func TestEmptyHooksDirectory(t *testing.T) {
	r := newRepo(t, "--template=")
	if err := os.Mkdir(r.site.HooksDir, 0o755); err != nil {
		t.Fatal(err)
	}
	r.install()
	same(t, "uninstall", actions(r.uninstall()), allDelete)
	same(t, "hooks", tree(t, r.site.HooksDir), " "+mode(t, r.site.HooksDir)+` ""`+"\n")
}

func mode(t *testing.T, file string) string {
	t.Helper()
	info, err := os.Lstat(file)
	if err != nil {
		t.Fatal(err)
	}
	return info.Mode().String()
}

func TestInsert(t *testing.T) {
	for _, tt := range []struct {
		name, data string
		mode       os.FileMode
		head       string // stands before the block
	}{
		{"plain", "#!/bin/sh\necho hi\n", 0o755, "#!/bin/sh\n"},
		{"mode 750, no final newline", "#!/bin/sh\necho hi", 0o750, "#!/bin/sh\n"},
		{"ends in exec", "#!/bin/bash -eu\nexec make check\n", 0o700, "#!/bin/bash -eu\n"},
		{"only a first line", "#!/bin/sh\n", 0o755, "#!/bin/sh\n"},
		{"only half a first line", "#!/bin/sh", 0o755, "#!/bin/sh\n"},
		{"env -S", "#!/usr/bin/env -S bash -euo pipefail\n:\n\n\n", 0o775, "#!/usr/bin/env -S bash -euo pipefail\n"},
		{"no first line", "echo hi\n", 0o755, ""},
		{"no first line, no newline", "echo hi", 0o755, ""},
		{"empty", "", 0o755, ""},
		{"CR and bytes in the text", "#!/bin/sh\n: \r\n\xff\xfe\n", 0o755, "#!/bin/sh\n"},
		{"sets the group", "#!/bin/sh\n:\n", 0o755 | os.ModeSetgid, "#!/bin/sh\n"},
		{"a call in a comment", "#!/bin/sh\n# git-agentmail hook pre-commit \"$@\"\n", 0o755, "#!/bin/sh\n"},
		{"a path from $0", "#!/bin/sh\nexec \"$(dirname \"$0\")/x\" \"$@\"\n", 0o755, "#!/bin/sh\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRepo(t)
			for _, event := range (Site{}).Events() {
				r.write(r.hook(event), tt.data, tt.mode)
			}
			before := tree(t, r.site.HooksDir)
			for _, c := range r.install() {
				if c.Action != Insert {
					t.Errorf("%s: action %s (%s), want insert", c.Event, c.Action, c.Note)
				}
			}
			got := r.read(r.hook("pre-push"))
			if !strings.HasPrefix(got, tt.head+"# >>> git-agentmail guard >>> pre-push v3 insert orig="+sum([]byte(tt.data))+"\n") {
				t.Errorf("the block is not at the top:\n%s", got)
			}
			if m := mode(t, r.hook("pre-push")); m != tt.mode.String() {
				t.Errorf("mode %s, want %s", m, tt.mode)
			}
			if s := Status(r.site); !s.Active {
				t.Errorf("status: %+v", s)
			}
			installed := tree(t, r.site.HooksDir)
			same(t, "second install", actions(r.install()), allKeep)
			same(t, "hooks after the second install", tree(t, r.site.HooksDir), installed)
			for _, c := range r.uninstall() {
				if c.Action != Remove || c.Note != "" {
					t.Errorf("%s: %s %q, want remove without a note", c.Event, c.Action, c.Note)
				}
			}
			same(t, "hooks after uninstall", tree(t, r.site.HooksDir), before)
		})
	}
}

func TestRefused(t *testing.T) {
	big := "#!/bin/sh\n" + strings.Repeat("#", maxHook)
	for _, tt := range []struct {
		name, data string
		mode       os.FileMode
		note, hint string // parts
	}{
		{"python", "#!/usr/bin/env python3\nprint(1)\n", 0o755, `"/usr/bin/env python3", not by a shell`, `git-agentmail hook pre-commit "$@" || exit $?`},
		{"restricted shell", "#!/bin/sh -r\n", 0o755, "with an option", "by hand"},
		{"CRLF", "#!/bin/sh\r\necho hi\r\n", 0o755, "CRLF", "by hand"},
		{"CRLF, no first line", "echo hi\r\n", 0o755, "CRLF", "by hand"},
		{"binary", "\x7fELF\x02\x01\x01\x00\x00", 0o755, "binary", "by hand"},
		{"NUL after a first line", "#!/bin/sh\nexit\n\x00", 0o755, "binary", "by hand"},
		{"byte order mark", "\xef\xbb\xbf#!/bin/sh\n", 0o755, "byte order mark", "by hand"},
		{"two languages", "#!/bin/sh\n# \\\nexec tclsh \"$0\" \"$@\"\n", 0o755, "another program", "by hand"},
		{"two languages, quoted", "#!/bin/sh\n\"exec\" \"python3\" \"-u\" \"$0\" \"$@\"\n", 0o755, "another program", "by hand"},
		{"huge", big, 0o755, "larger", "by hand"},
		{"not executable", "#!/bin/sh\necho hi\n", 0o644, "not executable", "chmod +x '"},
		{"half a block", "#!/bin/sh\n# >>> git-agentmail guard >>> pre-commit v1 insert orig=00\n:\n", 0o755, "without the last", "by hand"},
		{"the other half", "#!/bin/sh\n# <<< git-agentmail guard <<<\n", 0o755, "without the first", "by hand"},
		{"a marker that says nothing", "#!/bin/sh\n# >>> git-agentmail guard >>>\n:\n# <<< git-agentmail guard <<<\n", 0o755, "changed by hand", "by hand"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRepo(t)
			r.write(r.hook("pre-commit"), tt.data, tt.mode)
			before := tree(t, r.site.HooksDir)
			c := of(t, r.install(), "pre-commit")
			if c.Action != Refuse || !strings.Contains(c.Note, tt.note) || !strings.Contains(c.Hint, tt.hint) {
				t.Errorf("got %+v, want refuse, %q, %q", c, tt.note, tt.hint)
			}
			same(t, "the hook", r.read(r.hook("pre-commit")), tt.data)
			if s := Status(r.site); s.Active || !strings.HasPrefix(s.Cause, "pre-commit ") {
				t.Errorf("status: %+v", s)
			}
			r.uninstall()
			same(t, "hooks after uninstall", tree(t, r.site.HooksDir), before)
		})
	}
}

func TestRefusedKinds(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(r *repo, file string) error
		note string
	}{
		{"link to a hook", func(r *repo, file string) error {
			r.write(filepath.Join(r.dir, "mine"), "#!/bin/sh\n", 0o755)
			return os.Symlink("../../mine", file)
		}, "symbolic link"},
		{"link to nowhere", func(r *repo, file string) error { return os.Symlink("nowhere", file) }, "symbolic link"},
		{"directory", func(r *repo, file string) error { return os.Mkdir(file, 0o755) }, "not a file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRepo(t)
			if err := tt.make(r, r.hook("pre-commit")); err != nil {
				t.Fatal(err)
			}
			before, work := tree(t, r.site.HooksDir), tree(t, r.dir)
			c := of(t, r.install(), "pre-commit")
			if c.Action != Refuse || !strings.Contains(c.Note, tt.note) || !strings.Contains(c.Hint, `git-agentmail hook pre-commit "$@"`) {
				t.Errorf("got %+v", c)
			}
			r.uninstall()
			same(t, "hooks after uninstall", tree(t, r.site.HooksDir), before)
			same(t, "work tree after uninstall", tree(t, r.dir), work)
		})
	}
}

func TestNotShell(t *testing.T) {
	for _, tt := range []struct {
		line string
		ok   bool
	}{
		{"/bin/sh", true}, {" /bin/sh ", true}, {"/bin/sh -e", true}, {"/bin/bash -eu", true}, {"/bin/sh -", true},
		{"/usr/bin/env sh", true}, {"/usr/bin/env -S bash -euo pipefail", true}, {"/nix/store/x/bin/dash", true},
		{"/bin/busybox sh", true}, {`C:\git\bin\sh.exe`, true}, {"/bin/zsh -f", true}, {"/bin/bash --", true},
		{"/usr/bin/python3", false}, {"/usr/bin/env", false}, {"/usr/bin/env -i sh", false}, {"/usr/bin/env FOO=1 sh", false},
		{"/usr/bin/env nix-shell", false}, {"/bin/sh -r", false}, {"/bin/sh -c", false}, {"/bin/sh -n", false},
		{"/bin/bash -o noexec", false}, {"/bin/bash -eo", false}, {"/bin/busybox awk", false}, {"/bin/sh x", false},
		{"/bin/bash --restricted", false}, {"/usr/bin/fish", false}, {"/bin/csh", false}, {"", false}, {"/usr/bin/env -S", false},
	} {
		if why := notShell(tt.line); (why == "") != tt.ok {
			t.Errorf("#!%s: %q, want ok %v", tt.line, why, tt.ok)
		}
	}
}

func TestBinaryPath(t *testing.T) {
	r := newRepo(t)
	for _, bad := range []string{"", "git-agentmail", "/a\nb"} {
		if _, err := Install(r.site, Options{Binary: bad}); mail.CodeOf(err) != mail.Internal {
			t.Errorf("binary %q: %v", bad, err)
		}
	}
	// Another path is another block, in place.
	r.install()
	list, err := Install(r.site, Options{Binary: "/opt/git-agentmail"})
	if err != nil {
		t.Fatal(err)
	}
	if c := of(t, list, "pre-commit"); c.Action != Replace {
		t.Errorf("got %+v, want replace", c)
	}
	same(t, "uninstall", actions(r.uninstall()), allDelete)
}

func TestWriteFails(t *testing.T) {
	r := newRepo(t)
	edits, err := plan(r.site, r.opts(), shipped)
	if err != nil {
		t.Fatal(err)
	}
	// Somebody makes the second hook between the plan and its execution.
	r.write(r.hook("pre-merge-commit"), "#!/bin/sh\n", 0o755)
	done, err := apply(edits)
	if mail.CodeOf(err) != mail.Busy || !strings.HasSuffix(err.Error(), "; changed before it: pre-commit") {
		t.Errorf("got error %v", err)
	}
	same(t, "done", actions(done), "pre-commit create")
	same(t, "the other hook", r.read(r.hook("pre-merge-commit")), "#!/bin/sh\n")
	if list, _ := filepath.Glob(filepath.Join(r.site.CommonDir, "hooks", ".*")); len(list) > 0 {
		t.Errorf("left behind: %q", list)
	}
	for _, c := range r.install() {
		if c.Action == Refuse {
			t.Errorf("second try: %+v", c)
		}
	}
}
