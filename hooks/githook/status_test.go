package githook

import (
	"os"
	"strings"
	"testing"
)

func TestStatus(t *testing.T) {
	r := newRepo(t)
	missing := Status(r.site)
	if missing.Active || missing.Cause != "no hooks of git-agentmail in "+quoted(r.site.HooksDir) {
		t.Errorf("before install: %+v", missing)
	}
	for _, s := range missing.Events {
		if s.State != Missing {
			t.Errorf("before install: %+v", s)
		}
	}

	for _, tt := range []struct {
		name  string
		edit  func(file string) // of pre-push
		state State
		note  string
	}{
		{"as installed", func(string) {}, Active, ""},
		{"deleted", func(f string) { os.Remove(f) }, Missing, "is missing"},
		{"replaced", func(f string) { r.write(f, "#!/bin/sh\n", 0o755) }, Foreign, "does not call the guard"},
		{"switched off", func(f string) { os.Chmod(f, 0o644) }, NotExecutable, "is not executable"},
		{"somebody's, switched off", func(f string) { r.write(f, "git-agentmail hook pre-push", 0o644) }, Foreign, "is not executable"},
		{"by hand", func(f string) { r.write(f, "#!/usr/bin/perl\nsystem('git-agentmail', 'hook', 'pre-push')\n", 0o755) }, Active, "called from"},
		{"commented out", func(f string) { r.write(f, strings.Replace(r.read(f), "\t"+FileRun, "\t# "+FileRun, 1), 0o755) }, Outdated, "changed by hand"},
		{"older", func(f string) { r.write(f, strings.Replace(r.read(f), " v3 ", " v2 ", 1), 0o755) }, Outdated, "older"},
		{"newer", func(f string) { r.write(f, strings.Replace(r.read(f), " v3 ", " v4 ", 1), 0o755) }, Active, "newer"},
		{"half", func(f string) { r.write(f, strings.Replace(r.read(f), shipped[0].end, "", 1), 0o755) }, Outdated, "without the last"},
		{"link to our hook", func(f string) { os.Rename(f, f+".x"); os.Symlink(f+".x", f) }, Active, ""},
		{"directory", func(f string) { os.Remove(f); os.Mkdir(f, 0o755) }, Foreign, "is not executable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r.install()
			file := r.hook("pre-push")
			tt.edit(file)
			report := Status(r.site)
			s := report.Events[2]
			if s.Event != "pre-push" || s.State != tt.state || !strings.Contains(s.Note, tt.note) {
				t.Errorf("got %+v, want %s %q", s, tt.state, tt.note)
			}
			if report.Active != (tt.state == Active) || report.Active != (report.Cause == "") {
				t.Errorf("got %+v", report)
			}
			if !report.Active && report.Cause != "pre-push "+s.Note {
				t.Errorf("cause %q", report.Cause)
			}
			os.RemoveAll(file)
			r.uninstall()
		})
	}
}

func TestStatusCause(t *testing.T) {
	r := newRepo(t)
	r.install()
	os.Remove(r.hook("pre-commit"))
	r.write(r.hook("pre-push"), "#!/bin/sh\n", 0o755)
	same(t, "cause", Status(r.site).Cause, "pre-commit is missing, and 1 more hook")
	os.Remove(r.hook("post-merge"))
	same(t, "cause", Status(r.site).Cause, "pre-commit is missing, and 2 more hooks")
}

func BenchmarkStatus(b *testing.B) {
	dir := b.TempDir()
	site := Site{CommonDir: dir, HooksDir: dir + "/hooks", TopLevel: dir + "/w"}
	if _, err := Install(site, Options{Binary: "/opt/git-agentmail"}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		Status(site)
	}
}
