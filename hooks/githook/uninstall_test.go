package githook

import (
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What users and other tools do to the files between install and uninstall.
func TestEditedSince(t *testing.T) {
	const old = "#!/bin/sh\necho old\n"
	begin, end := shipped[0].begin, shipped[0].end
	for _, tt := range []struct {
		name   string
		before string // "-": no hook
		edit   func(installed string) string
		after  string // "-": no hook
		action Action
		note   string
	}{
		{"lines appended to ours", "-", func(s string) string { return s + "echo mine\n" },
			shebang + "echo mine\n", Remove, "added to it since stays"},
		{"our first line taken out", "-", func(s string) string { return strings.TrimPrefix(s, shebang) },
			"-", Delete, ""},
		{"our final newline taken out", "-", func(s string) string { return strings.TrimSuffix(s, "\n") },
			"-", Delete, ""},
		{"edited after the block", old, func(s string) string { return strings.Replace(s, "old", "new", 1) },
			"#!/bin/sh\necho new\n", Remove, "edited since"},
		{"edited before the block", old, func(s string) string { return strings.Replace(s, shebang, shebang+"set -e\n", 1) },
			"#!/bin/sh\nset -e\necho old\n", Remove, "edited since"},
		{"edited in the block", old, func(s string) string { return strings.Replace(s, "exit", "return", 1) },
			old, Remove, ""},
		{"spaces after the markers", old, func(s string) string { return strings.Replace(s, end, end+" \t\r", 1) },
			old, Remove, ""},
		{"block twice", old, func(s string) string { return s + strings.TrimPrefix(strings.TrimSuffix(s, "echo old\n"), shebang) },
			old, Remove, ""},
		{"all else deleted", old, func(s string) string { return s[strings.Index(s, begin) : strings.Index(s, end)+len(end)+1] },
			"", Remove, "edited since"},
		{"another language now", old, func(s string) string { return strings.Replace(s, "/bin/sh", "/usr/bin/python3", 1) },
			"#!/usr/bin/python3\necho old\n", Remove, "edited since"},
		{"last marker deleted", old, func(s string) string { return strings.Replace(s, end, "", 1) },
			"same", Refuse, "without the last"},
		{"first marker deleted", old, func(s string) string { return strings.Replace(s, begin, "# ", 1) },
			"same", Refuse, "without the first"},
		{"replaced", old, func(s string) string { return "#!/bin/sh\necho other\n" }, "same", "", ""},
		{"deleted", old, nil, "-", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRepo(t)
			file := r.hook("pre-commit")
			if tt.before != "-" {
				r.write(file, tt.before, 0o750)
			}
			r.install()
			want := tt.after
			if tt.edit == nil {
				os.Remove(file)
			} else {
				edited := tt.edit(r.read(file))
				r.write(file, edited, 0o750)
				if want == "same" {
					want = edited
				}
			}
			got := Change{}
			for _, c := range r.uninstall() {
				if c.Event == "pre-commit" {
					got = c
				}
			}
			if got.Action != tt.action || !strings.Contains(got.Note, tt.note) || (got.Note != "") != (tt.note != "") {
				t.Errorf("got %s %q, want %s %q", got.Action, got.Note, tt.action, tt.note)
			}
			if !isFile(file) {
				same(t, "hook", "-", want)
				return
			}
			same(t, "hook", r.read(file), want)
			same(t, "mode", mode(t, file), "-rwxr-x---")
		})
	}
}

// A hook that was moved away and linked to is not ours to write any more.
func TestLinkedSince(t *testing.T) {
	r := newRepo(t)
	r.install()
	file, target := r.hook("pre-commit"), filepath.Join(r.dir, "hook")
	if err := os.Rename(file, target); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, file); err != nil {
		t.Fatal(err)
	}
	want := r.read(target)
	if c := of(t, r.uninstall(), "pre-commit"); c.Action != Refuse || !strings.Contains(c.Note, "symbolic link") {
		t.Errorf("got %+v", c)
	}
	same(t, "target", r.read(target), want)
	if got, _ := os.Readlink(file); got != target {
		t.Errorf("the link leads to %q", got)
	}
}

func TestInstallAgainRepairs(t *testing.T) {
	r := newRepo(t)
	r.write(r.hook("pre-commit"), "#!/bin/sh\necho old\n", 0o755)
	before := tree(t, r.site.HooksDir)
	r.install()
	want := tree(t, r.site.HooksDir)

	// One deleted, one broken within the block, one with the block twice, one
	// with the block of another event.
	os.Remove(r.hook("post-merge"))
	r.write(r.hook("pre-commit"), strings.Replace(r.read(r.hook("pre-commit")), "hook pre-commit", "hook pre-comit", 1), 0o755)
	r.write(r.hook("pre-push"), r.read(r.hook("pre-push"))+strings.TrimPrefix(r.read(r.hook("pre-push")), shebang), 0o755)
	r.write(r.hook("pre-merge-commit"), strings.ReplaceAll(r.read(r.hook("pre-merge-commit")), "pre-merge-commit", "pre-commit"), 0o755)
	for _, s := range Status(r.site).Events {
		wantState := map[string]State{"post-merge": Missing, "pre-commit": Outdated, "pre-merge-commit": Outdated}[s.Event]
		if wantState == "" {
			wantState = Active
		}
		if s.State != wantState {
			t.Errorf("%s: state %s, want %s", s.Event, s.State, wantState)
		}
	}
	same(t, "install", actions(r.install()), "pre-commit replace, pre-merge-commit replace, pre-push replace, post-commit keep, post-merge create")
	same(t, "hooks", tree(t, r.site.HooksDir), want)
	r.uninstall()
	same(t, "hooks after uninstall", tree(t, r.site.HooksDir), before)
}

func TestUpgrade(t *testing.T) {
	const rest = "#!/bin/bash\necho mine\n"
	older := append([]layout{{0, "# >> mail >> ", "# << mail <<"}}, shipped...)
	for _, tt := range []struct {
		name, block string
		layouts     []layout
		action      Action
	}{
		{"same markers", "# >>> git-agentmail guard >>> pre-commit v0 insert orig=" + sum([]byte(rest)) + "\nold text\n# <<< git-agentmail guard <<<\n", shipped, Replace},
		{"other markers", "# >> mail >> pre-commit v0 insert orig=" + sum([]byte(rest)) + "\nold text\n# << mail <<\n", older, Replace},
		{"newer", "# >>> git-agentmail guard >>> pre-commit v99 insert later=1 orig=" + sum([]byte(rest)) + "\nnew text\n# <<< git-agentmail guard <<<\n", shipped, Keep},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRepo(t)
			// Not at the top: it stays where it is.
			r.write(r.hook("pre-commit"), rest+tt.block, 0o755)
			edits, err := plan(r.site, r.opts(), tt.layouts)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := apply(edits); err != nil {
				t.Fatal(err)
			}
			c := of(t, changes(edits), "pre-commit")
			if c.Action != tt.action {
				t.Errorf("got %+v, want %s", c, tt.action)
			}
			want := rest + tt.block
			if c.Action == Replace {
				want = rest + string(block{event: "pre-commit", orig: sum([]byte(rest))}.render(r.binary()))
			}
			same(t, "hook", r.read(r.hook("pre-commit")), want)
			if s := Status(r.site); !s.Active {
				t.Errorf("status: %+v", s)
			}
			if c := of(t, r.uninstall(), "pre-commit"); c.Action != Remove || c.Note != "" {
				t.Errorf("uninstall: %+v", c)
			}
			same(t, "hook after uninstall", r.read(r.hook("pre-commit")), rest)
		})
	}
	if last := shipped[len(shipped)-1]; last.version > Version {
		t.Errorf("markers of version %d, but the block is version %d", last.version, Version)
	}
}

func TestInterruptedInstall(t *testing.T) {
	r := newRepo(t, "--template=")
	before := tree(t, r.site.CommonDir)
	r.install()
	r.write(temporary(r.hook("pre-push"))+"123-0", "half", 0o755)
	r.uninstall()
	same(t, "repository", tree(t, r.site.CommonDir), before)
}

// hookText makes the contents of a hook from pieces that are likely to matter.
func hookText(rnd *rand.Rand) string {
	heads := []string{"#!/bin/sh\n", "#!/bin/bash -e\n", "#!/bin/sh", "#! /usr/bin/env sh\n", "", "\n", "#!/usr/bin/perl\n", "#!/bin/sh\r\n"}
	pieces := []string{"\n", "\r\n", "\n\n", " ", "exit 0", "exec x", "\xff", "\x00", "#", "é",
		shipped[0].begin, shipped[0].end, shipped[0].end + "\n", shipped[0].begin + "pre-commit v1 insert\n",
		"git-agentmail hook pre-commit", `exec x "$0"`}
	s := heads[rnd.Intn(len(heads))]
	for range rnd.Intn(8) {
		n := len(pieces)
		if rnd.Intn(4) > 0 {
			n = 7 // the tame ones
		}
		s += pieces[rnd.Intn(n)]
	}
	return s
}

func identity(t *testing.T, site Site, opts Options, text string, fileMode os.FileMode) {
	t.Helper()
	if blocks, _ := find([]byte(text), shipped); len(blocks) > 0 {
		return // installed already
	}
	file := site.HooksDir + "/pre-commit"
	if err := os.WriteFile(file, []byte(text), fileMode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, fileMode); err != nil {
		t.Fatal(err)
	}
	before := tree(t, site.HooksDir)
	first, err := Install(site, opts)
	if err != nil {
		t.Fatal(err)
	}
	installed := tree(t, site.HooksDir)
	again, err := Install(site, opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range again {
		if c.Action != Keep && c.Action != Refuse {
			t.Errorf("second install of %q: %+v", text, c)
		}
	}
	same(t, "hooks after the second install", tree(t, site.HooksDir), installed)
	if c := of(t, first, "pre-commit"); c.Action == Insert && Status(site).Events[0].State != Active {
		t.Errorf("%q: installed but %+v", text, Status(site).Events[0])
	}
	if _, err := Uninstall(site); err != nil {
		t.Fatal(err)
	}
	same(t, "hooks after uninstall", tree(t, site.HooksDir), before)
}

// TestIdentity: whatever the hook, uninstall is the inverse of install.
func TestIdentity(t *testing.T) {
	r := newRepo(t, "--template=")
	if err := os.Mkdir(r.site.HooksDir, 0o755); err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewSource(1))
	for range 80 {
		identity(t, r.site, r.opts(), hookText(rnd), []os.FileMode{0o755, 0o711, 0o640}[rnd.Intn(3)])
		if t.Failed() {
			return
		}
	}
}

func FuzzIdentity(f *testing.F) {
	for i := range 20 {
		f.Add(hookText(rand.New(rand.NewSource(int64(i)))))
	}
	f.Fuzz(func(t *testing.T, text string) {
		dir := t.TempDir()
		site := Site{CommonDir: dir, HooksDir: dir + "/hooks", TopLevel: dir + "/w"}
		if err := os.Mkdir(site.HooksDir, 0o755); err != nil {
			t.Fatal(err)
		}
		identity(t, site, Options{Binary: "/opt/git-agentmail"}, text, 0o755)
	})
}
