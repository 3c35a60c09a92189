package githook

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// repo is a real repository in a directory whose name needs quoting, with a
// git-agentmail beside it that only notes how it was called.
type repo struct {
	t    *testing.T
	base string // everything lies below
	dir  string // the work tree
	bin  string // the directory of git-agentmail
	site Site
	env  []string

	commits int // each gets a message, and so an id, of its own
}

// recorder notes its arguments in log and its standard input in stdin.EVENT,
// and ends with the status that the file status.EVENT holds.
const recorder = `#!/bin/sh
here=$(dirname "$0")
{ printf guard; for a do printf ' [%s]' "$a"; done; echo; } >>"$here/log"
cat >"$here/stdin.$2"
exit "$(cat "$here/status.$2" 2>/dev/null || echo 0)"
`

func newRepo(t *testing.T, initArgs ...string) *repo {
	t.Helper()
	base := filepath.Join(t.TempDir(), `it's a "dir"`)
	r := &repo{t: t, base: base, dir: filepath.Join(base, "w t"), bin: filepath.Join(base, "b'in")}
	r.write(r.binary(), recorder, 0o755)
	r.env = []string{
		"PATH=" + r.bin + string(os.PathListSeparator) + os.Getenv("PATH"),
		"HOME=" + base, "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@x", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@x",
	}
	if err := os.MkdirAll(r.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r.git(append([]string{"init", "-q", "-b", "main"}, initArgs...)...)
	r.site = r.ask(r.dir)
	return r
}

func (r *repo) binary() string           { return filepath.Join(r.bin, "git-agentmail") }
func (r *repo) opts() Options            { return Options{Binary: r.binary()} }
func (r *repo) hook(event string) string { return filepath.Join(r.site.HooksDir, event) }

// ask fills a Site from git, as the caller of this package does.
func (r *repo) ask(dir string, gitArgs ...string) Site {
	r.t.Helper()
	get := func(args ...string) string {
		out, _ := r.run(dir, "git", append(gitArgs, args...)...)
		return strings.TrimSuffix(out, "\n")
	}
	s := Site{
		HooksDir:  get("rev-parse", "--path-format=absolute", "--git-path", "hooks"),
		CommonDir: get("rev-parse", "--path-format=absolute", "--git-common-dir"),
		Bare:      get("rev-parse", "--is-bare-repository") == "true",
	}
	if !s.Bare {
		s.TopLevel = get("rev-parse", "--path-format=absolute", "--show-toplevel")
	}
	if f := strings.Split(get("config", "-z", "--show-scope", "--show-origin", "--get", "core.hooksPath"), "\x00"); len(f) > 2 {
		s.Scope, s.Origin, s.HooksPath = f[0], f[1], f[2]
	}
	return s
}

// run runs a command and returns both outputs together.
func (r *repo) run(dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, r.env
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

func (r *repo) git(args ...string) string {
	r.t.Helper()
	out, err := r.run(r.dir, "git", args...)
	if err != nil {
		r.t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return out
}

func (r *repo) commit() string {
	r.t.Helper()
	r.commits++
	return r.git("commit", "-q", "--allow-empty", "-m", fmt.Sprint(r.commits))
}

func (r *repo) install() []Change {
	r.t.Helper()
	return mustInstall(r.t, r.site, r.opts())
}

func mustInstall(t *testing.T, site Site, opts Options) []Change {
	t.Helper()
	list, err := Install(site, opts)
	if err != nil {
		t.Fatalf("Install: %v", err)
	}
	return list
}

func (r *repo) uninstall() []Change {
	r.t.Helper()
	list, err := Uninstall(r.site)
	if err != nil {
		r.t.Fatalf("Uninstall: %v", err)
	}
	return list
}

// write puts a file with exactly this mode, whatever the umask.
func (r *repo) write(file, data string, mode fs.FileMode) {
	r.t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(data), mode); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		r.t.Fatal(err)
	}
}

func (r *repo) read(file string) string {
	r.t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(data)
}

// status sets how the recorder ends for an event.
func (r *repo) status(event string, n int) {
	r.t.Helper()
	r.write(filepath.Join(r.bin, "status."+event), fmt.Sprint(n), 0o644)
}

// log returns and clears what recorder and hooks noted.
func (r *repo) log() string {
	file := filepath.Join(r.bin, "log")
	data, _ := os.ReadFile(file)
	os.Remove(file)
	return string(data)
}

// note is a line for a user's hook that writes to the same log.
func (r *repo) note(text string) string {
	return "echo " + text + " >>" + shQuote(filepath.Join(r.bin, "log")) + "\n"
}

// tree lists all below dir: name, mode, bytes (of a long file the sum) or link
// target.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		var data []byte
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			link, _ := os.Readlink(path)
			data = []byte(link)
		case info.Mode().IsRegular():
			data, err = os.ReadFile(path)
		}
		if len(data) > 300 {
			data = fmt.Appendf(nil, "%d bytes, %s", len(data), sum(data))
		}
		fmt.Fprintf(&b, "%s %v %q\n", strings.TrimPrefix(path, dir), info.Mode(), data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func same(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s differs\n got: %s\nwant: %s", what, got, want)
	}
}

// actions is the short form of a list of changes: "pre-commit create, ...".
func actions(list []Change) string {
	var s []string
	for _, c := range list {
		name := c.Event
		if name == "" {
			name = filepath.Base(c.File) + "/"
		}
		s = append(s, name+" "+string(c.Action))
	}
	return strings.Join(s, ", ")
}

// of returns the change of one event.
func of(t *testing.T, list []Change, event string) Change {
	t.Helper()
	for _, c := range list {
		if c.Event == event {
			return c
		}
	}
	t.Fatalf("no change for %s in %v", event, list)
	return Change{}
}

const (
	allCreate = "pre-commit create, pre-merge-commit create, pre-push create, post-commit create, post-merge create"
	allKeep   = "pre-commit keep, pre-merge-commit keep, pre-push keep, post-commit keep, post-merge keep"
	allDelete = "pre-commit delete, pre-merge-commit delete, pre-push delete, post-commit delete, post-merge delete"
)
