package githook

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The tests below run the real hook managers, which `make coexist` installs
// into the directory that AGENTMAIL_COEXIST names. What is expected is not
// written down but done a second time, in a twin repository without us: after
// each step the same commit, merge and push leave the same marks there.

// manager is a tool that keeps hooks, as a user would work with it.
type manager struct {
	name  string
	needs []string // programs
	files map[string]string
	hand  string // the event of a hook that was written by hand before all

	install, again, uninstall []string

	want []string // marks that must be there once it is installed
}

const (
	lefthookConfig = `pre-commit:
  commands:
    mark:
      run: echo lefthook pre-commit >>"$LOG"
pre-push:
  commands:
    mark:
      use_stdin: true
      run: sed "s/^/lefthook pre-push /" >>"$LOG"
post-commit:
  commands:
    mark:
      run: echo lefthook post-commit >>"$LOG"
`
	preCommitConfig = `default_install_hook_types: [pre-commit, pre-push]
repos:
- repo: local
  hooks:
  - id: commit
    name: commit
    language: system
    entry: sh -c 'echo pre-commit pre-commit >>"$LOG"'
    stages: [commit]
    always_run: true
    pass_filenames: false
  - id: push
    name: push
    language: system
    entry: sh -c 'echo pre-commit pre-push "$PRE_COMMIT_TO_REF" >>"$LOG"'
    stages: [push]
    always_run: true
    pass_filenames: false
`
)

// managers returns the tools; husky is a script that node is given.
func managers() []manager {
	script := filepath.Join(os.Getenv("AGENTMAIL_COEXIST"), "node_modules", "husky", "bin.js")
	return []manager{{
		name: "husky", needs: []string{"node", script}, hand: "pre-push",
		files: map[string]string{
			".husky/pre-commit":  "echo husky pre-commit >>\"$LOG\"\n",
			".husky/pre-push":    "sed 's/^/husky pre-push /' >>\"$LOG\"\n",
			".husky/post-commit": "echo husky post-commit >>\"$LOG\"\n",
		},
		install:   []string{"node", script},
		again:     []string{"node", script}, // what npm install runs
		uninstall: []string{"git", "config", "--unset", "core.hooksPath"},
		want:      []string{"husky pre-commit", "husky pre-push refs/heads/main ", "husky post-commit"},
	}, {
		name: "lefthook", needs: []string{"lefthook"}, hand: "pre-push",
		files:     map[string]string{"lefthook.yml": lefthookConfig},
		install:   []string{"lefthook", "install"},
		again:     []string{"lefthook", "install", "--force"},
		uninstall: []string{"lefthook", "uninstall"},
		want:      []string{"lefthook pre-commit", "lefthook pre-push refs/heads/main ", "lefthook post-commit"},
	}, {
		name: "pre-commit", needs: []string{"pre-commit"}, hand: "pre-push",
		files:     map[string]string{".pre-commit-config.yaml": preCommitConfig},
		install:   []string{"pre-commit", "install"},
		again:     []string{"pre-commit", "install"},
		uninstall: []string{"pre-commit", "uninstall"},
		want:      []string{"hand pre-push refs/heads/main ", "pre-commit pre-commit", "pre-commit pre-push"},
	}}
}

var lfs = manager{
	name: "git-lfs", needs: []string{"git-lfs"}, hand: "pre-commit",
	files:     map[string]string{".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n"},
	install:   []string{"git", "lfs", "install", "--local"},
	again:     []string{"git", "lfs", "update"},
	uninstall: []string{"git", "lfs", "uninstall", "--local"},
	want:      []string{"hand pre-commit", "git-lfs pre-push", "git-lfs post-commit", "git-lfs post-merge", "stored "},
}

// twins are two repositories in which the same is done, but for what we do.
type twins struct {
	t *testing.T
	manager
	with, without *repo
	step          int
}

func newTwins(t *testing.T, m manager) *twins {
	t.Helper()
	dir := os.Getenv("AGENTMAIL_COEXIST")
	if dir == "" {
		t.Skip("AGENTMAIL_COEXIST is not set; make coexist sets it")
	}
	for _, name := range m.needs {
		if _, err := exec.LookPath(name); err != nil && !isFile(name) && !isFile(filepath.Join(dir, "bin", name)) {
			t.Skipf("%s is not tried: %s is not installed", m.name, filepath.Base(name))
		}
	}
	t.Parallel()
	return &twins{t: t, manager: m, with: newTwin(t, m), without: newTwin(t, m)}
}

func newTwin(t *testing.T, m manager) *repo {
	r := newRepo(t, "--template=")
	// Equal dates give equal commits, so that what is read from standard input
	// can be compared. pre-commit keeps a cache below the last directory.
	path := []string{r.bin, filepath.Join(os.Getenv("AGENTMAIL_COEXIST"), "bin"), os.Getenv("PATH")}
	r.env = append(r.env, "PATH="+strings.Join(path, string(os.PathListSeparator)),
		"LOG="+filepath.Join(r.bin, "log"), "PRE_COMMIT_HOME="+filepath.Join(r.base, "cache"),
		"GIT_AUTHOR_DATE=2030-01-01T00:00:00Z", "GIT_COMMITTER_DATE=2030-01-01T00:00:00Z")
	if real, err := exec.LookPath("git-lfs"); err == nil && m.name == "git-lfs" {
		r.write(filepath.Join(r.bin, "git-lfs"), "#!/bin/sh\ncase $1 in pre-push | post-*) echo git-lfs $1 >>\"$LOG\" ;; esac\nexec "+shQuote(real)+" \"$@\"\n", 0o755)
	}
	for name, data := range m.files {
		r.write(filepath.Join(r.dir, filepath.FromSlash(name)), data, 0o644)
	}
	r.git("init", "-q", "--bare", r.remote())
	r.git("remote", "add", "origin", "file://"+r.remote())
	hand := "#!/bin/sh\necho hand " + m.hand + " >>\"$LOG\""
	if m.hand == "pre-push" {
		hand = "#!/bin/sh\nwhile read -r line; do echo \"hand pre-push $line\" >>\"$LOG\"; done"
	}
	r.write(r.hook(m.hand), hand, 0o750)
	return r
}

// remote has a plain name: this is not about how git-lfs reads a URL.
func (r *repo) remote() string { return filepath.Join(filepath.Dir(r.base), "remote.git") }

// timed ends what waits for input that never comes.
func (r *repo) timed(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", `exec "$@"`, "sh"}, args...)...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = r.dir, r.env, time.Second
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (r *repo) must(args ...string) string {
	r.t.Helper()
	out, err := r.timed(args...)
	if err != nil {
		r.t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return out
}

// both does the same in both repositories.
func (w *twins) both(args ...string) {
	w.t.Helper()
	w.with.must(args...)
	w.without.must(args...)
}

func (r *repo) where() Site {
	s := r.ask(r.dir)
	s.Strict = true // one event more
	return s
}

// work commits, merges and pushes, and returns what the hooks noted.
func (r *repo) work(step int) (guard, marks []string) {
	r.t.Helper()
	r.log()
	r.write(filepath.Join(r.dir, "f.bin"), fmt.Sprint(step), 0o644)
	r.must("git", "add", ".")
	r.must("git", "commit", "-q", "-m", fmt.Sprint(step))
	// Another message than that of the commit before, and so another commit.
	side := strings.TrimSpace(r.must("git", "commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "side"))
	r.must("git", "merge", "-q", "--no-ff", "-m", "merge", side)
	r.must("git", "push", "-q", "origin", "main")
	for _, line := range strings.Split(strings.TrimSpace(r.log()), "\n") {
		if rest, ok := strings.CutPrefix(line, "guard [hook] ["); ok {
			event, _, _ := strings.Cut(rest, "]")
			guard = append(guard, event)
		} else {
			marks = append(marks, line)
		}
	}
	// What git-lfs has brought to the remote, for which it must know the refs.
	objects := 0
	filepath.WalkDir(filepath.Join(r.remote(), "lfs", "objects"), func(_ string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			objects++
		}
		return nil
	})
	return guard, append(marks, fmt.Sprintf("stored %d", objects))
}

// check holds at any time: the others' hooks do what they do without us, and
// each of ours runs, with all its input, exactly if Status says so.
func (w *twins) check(what string) (active bool) {
	w.t.Helper()
	w.step++
	_, want := w.without.work(w.step)
	active, marks := w.with.compare(what, w.step)
	same(w.t, what+": marks", strings.Join(marks, "\n"), strings.Join(want, "\n"))
	return active
}

// compare lets the hooks run and holds what happened against what Status says.
func (r *repo) compare(what string, step int) (active bool, marks []string) {
	t := r.t
	t.Helper()
	report := Status(r.where())
	was, _, _ := strings.Cut(r.must("git", "ls-remote", "origin", "refs/heads/main"), "\t")
	if was == "" {
		was = strings.Repeat("0", 40)
	}
	os.Remove(filepath.Join(r.bin, "stdin.pre-push"))
	guard, marks := r.work(step)

	var lost []string
	for _, s := range report.Events {
		ran := slices.Contains(guard, s.Event)
		if s.Event == "pre-push" && ran {
			head := strings.TrimSpace(r.git("rev-parse", "HEAD"))
			got := r.read(filepath.Join(r.bin, "stdin.pre-push"))
			ran = got == "refs/heads/main "+head+" refs/heads/main "+was+"\n"
			if !ran {
				t.Logf("%s: the guard's pre-push read %q", what, got)
			}
		}
		if ran != (s.State == Active) {
			t.Errorf("%s: %s runs: %v, status: %+v", what, s.Event, ran, s)
		}
		if !ran {
			lost = append(lost, s.Event)
		}
	}
	if report.Active != (len(lost) == 0) {
		t.Errorf("%s: active %v, lost %q", what, report.Active, lost)
	}
	if len(lost) > 0 && !strings.Contains(report.Cause, "core.hooksPath") && !strings.Contains(report.Cause, "no hooks of git-agentmail") && !strings.Contains(report.Cause, lost[0]) {
		t.Errorf("%s: the cause %q does not name %s", what, report.Cause, lost[0])
	}
	if report.Active {
		t.Logf("%s: all run", what)
	} else {
		t.Logf("%s: %d of %d lost, reported: %s", what, len(lost), len(report.Events), report.Cause)
	}
	return report.Active, marks
}

// ours installs, after which everything must run.
func (w *twins) ours(what string) {
	w.t.Helper()
	w.silently()
	if !w.check(what) {
		w.t.Errorf("%s: not active after our install: %+v", what, Status(w.with.where()))
	}
}

// silently installs where it was checked before.
func (w *twins) silently() {
	w.t.Helper()
	mustInstall(w.t, w.with.where(), w.with.opts())
}

// gone uninstalls, after which nothing may tell the twins apart.
func (w *twins) gone(what string) {
	w.t.Helper()
	if _, err := Uninstall(w.with.where()); err != nil {
		w.t.Fatal(err)
	}
	same(w.t, what+": hooks", w.with.allHooks(), w.without.allHooks())
	w.check(what)
}

// allHooks lists every place where a hook of anybody lies.
func (r *repo) allHooks() string {
	r.t.Helper()
	var s string
	for _, dir := range []string{filepath.Join(r.dir, ".git", "hooks"), filepath.Join(r.dir, ".husky")} {
		if _, err := os.Stat(dir); err == nil {
			s += dir[len(r.dir):] + "\n" + tree(r.t, dir)
		}
	}
	// The URL of the remote tells the twins apart.
	return s + r.git("config", "--local", "--get-regexp", "^core[.]")
}

func (w *twins) expect() {
	w.t.Helper()
	w.step++
	_, marks := w.without.work(w.step)
	w.with.work(w.step)
	text := strings.Join(marks, "\n")
	for _, want := range w.want {
		if !strings.Contains(text, want) {
			w.t.Fatalf("%s alone left no mark %q in\n%s", w.name, want, text)
		}
	}
}

// theyFirst is the usual order.
func (w *twins) theyFirst() {
	w.both(w.install...)
	w.expect()
	w.ours("they, we")
	w.gone("they, we, our uninstall")

	w.silently()
	w.repeat("they, we, they again")
	w.gone("they, we, they again, our uninstall")

	w.silently()
	if w.name == "git-lfs" {
		// It leaves hooks that are not exactly its own, and says it did not;
		// after us it finds them.
		w.with.must(w.uninstall...)
		if s := Status(w.with.where()); !s.Active {
			w.t.Errorf("after git lfs uninstall: %+v", s)
		}
		if _, err := Uninstall(w.with.where()); err != nil {
			w.t.Fatal(err)
		}
	}
	w.both(w.uninstall...)
	w.check("they, we, their uninstall")
	w.gone("they, we, their uninstall, ours")
}

// repeat is their second install, which git-lfs refuses beside us.
func (w *twins) repeat(what string) {
	w.t.Helper()
	if _, err := w.with.timed(w.again...); err != nil && w.name != "git-lfs" {
		w.t.Fatal(err)
	}
	w.without.must(w.again...)
	w.check(what)
}

func TestCoexist(t *testing.T) {
	for _, m := range managers() {
		t.Run(m.name+"/they first", func(t *testing.T) { newTwins(t, m).theyFirst() })
		t.Run(m.name+"/we first", func(t *testing.T) {
			w := newTwins(t, m)
			w.ours("we")
			w.both(w.install...)
			w.check("we, they")
			w.gone("we, they, our uninstall")

			w.both(w.uninstall...)
			w.silently()
			w.both(w.install...)
			w.repeat("we, they, they again")
			w.ours("we, they, they again, we again")
			w.gone("we, they, they again, we again, our uninstall")
			w.expect()

			w.both(w.uninstall...)
			w.silently()
			w.both(w.install...)
			w.both(w.uninstall...)
			w.check("we, they, their uninstall")
			w.gone("we, they, their uninstall, ours")
		})
	}
}

func TestCoexistLFS(t *testing.T) {
	t.Run("they first", func(t *testing.T) { newTwins(t, lfs).theyFirst() })
	// git-lfs touches no hook that is there, and its hooks can be added to ours.
	t.Run("we first", func(t *testing.T) {
		w := newTwins(t, lfs)
		w.ours("we")
		out, err := w.with.timed(w.install...)
		if err == nil || !strings.Contains(out, "Hook already exists: pre-push") {
			t.Fatalf("git lfs install: %v\n%s", err, out)
		}
		if s := of(t, mustInstall(t, w.with.where(), w.with.opts()), "pre-push"); s.Action != Keep {
			t.Errorf("got %+v", s)
		}
		w.step++
		if active, marks := w.with.compare("we, they refuse", w.step); !active || !slices.Contains(marks, "stored 0") {
			t.Errorf("active %v, marks %q", active, marks)
		}
		if s := Status(w.with.where()).Events[2]; !strings.Contains(s.Note, "git lfs update --manual") {
			t.Errorf("git-lfs does not push, and status has no word about it: %+v", s)
		}
		w.without.must(w.install...)
		w.without.work(w.step)

		w.with.manual()
		if s := Status(w.with.where()).Events[2]; s.State != Active || s.Note != "" {
			t.Errorf("status: %+v", s)
		}
		w.with.must("git", "lfs", "push", "--all", "origin") // what was missed
		w.check("we, they by hand")
		w.gone("we, they by hand, our uninstall")
		w.both(w.again...)
		w.expect()
		w.ours("we, they by hand, our uninstall, we again")

		w.both("git", "lfs", "update", "--force")
		w.check("we, they by force")
		w.gone("we, they by force, our uninstall")
	})
}

// manual adds to the hooks what git-lfs says.
func (r *repo) manual() {
	r.t.Helper()
	var file string
	for _, line := range strings.Split(r.must("git", "lfs", "update", "--manual"), "\n") {
		if name, ok := strings.CutPrefix(line, "Add the following to '"); ok {
			file = filepath.Join(r.dir, strings.TrimSuffix(name, "':"))
			continue
		}
		line, ok := strings.CutPrefix(line, "\t")
		old, err := os.ReadFile(file)
		if !ok || err == nil && strings.HasPrefix(line, "#!") {
			continue
		}
		r.write(file, string(old)+line+"\n", 0o755)
	}
}

// TestCoexistSync: lefthook writes its hooks anew while it runs one of them,
// when its configuration has changed.
func TestCoexistSync(t *testing.T) {
	w := newTwins(t, managers()[1])
	w.both(w.install...)
	w.ours("they, we")
	for _, r := range []*repo{w.with, w.without} {
		file := filepath.Join(r.dir, "lefthook.yml")
		r.write(file, lefthookConfig+"post-merge:\n  commands:\n    mark:\n      run: echo lefthook post-merge >>\"$LOG\"\n", 0o644)
		later := time.Now().Add(time.Hour)
		if err := os.Chtimes(file, later, later); err != nil {
			t.Fatal(err)
		}
	}
	w.step++
	guard, marks := w.with.work(w.step)
	_, want := w.without.work(w.step)
	same(t, "marks", strings.Join(marks, "\n"), strings.Join(want, "\n"))
	if !slices.Contains(guard, "pre-commit") {
		t.Errorf("the guard did not run: %q", guard)
	}
	if w.check("they, we, their configuration changed") {
		t.Error("lefthook did not write its hooks anew")
	}
	w.gone("they, we, their configuration changed, our uninstall")
}

// TestCoexistByHand: lines of the user's in the manager's own configuration
// survive what the manager does.
func TestCoexistByHand(t *testing.T) {
	var lefthookLines, deaf, preCommitLines strings.Builder
	husky := map[string]string{}
	preCommitLines.WriteString("default_install_hook_types: [pre-commit, pre-merge-commit, pre-push, post-commit, post-merge, prepare-commit-msg]\nrepos:\n- repo: local\n  hooks:\n")
	for _, event := range (Site{Strict: true}).Events() {
		line := "git-agentmail hook " + event
		husky[".husky/"+event] = line + " \"$@\"\n"
		stdin := ""
		if event == "pre-push" {
			stdin = "      use_stdin: true\n"
		}
		// What does not use the input has a terminal that nobody types at.
		one := event + ":\n  commands:\n    guard:\n      run: " + line
		fmt.Fprint(&lefthookLines, one, " {0}\n", stdin)
		fmt.Fprint(&deaf, one, " {0}\n")
		stage := strings.TrimPrefix(strings.TrimPrefix(event, "pre-"), "pare-")
		if event == "prepare-commit-msg" {
			stage = event
		}
		fmt.Fprintf(&preCommitLines, "  - {id: %s, name: guard, language: system, entry: %s, stages: [%s], always_run: true, pass_filenames: false}\n", event, line, stage)
	}
	for _, tt := range []struct {
		name  string
		tool  int
		files map[string]string
		deaf  bool // pre-push is called without its input
	}{
		{"husky", 0, husky, false},
		{"lefthook", 1, map[string]string{"lefthook.yml": lefthookConfig, "lefthook-local.yml": lefthookLines.String()}, false},
		{"lefthook without use_stdin", 1, map[string]string{"lefthook.yml": lefthookConfig, "lefthook-local.yml": deaf.String()}, true},
		{"pre-commit", 2, map[string]string{".pre-commit-config.yaml": preCommitLines.String()}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := managers()[tt.tool]
			m.files = tt.files
			r := newTwins(t, m).with
			// The guard reads no input but that of a push, and for that it waits no
			// longer than a test would.
			r.write(r.binary(), strings.Replace(recorder, "cat >", "[ $2 != pre-push ] || timeout 1 cat >>", 1), 0o755)
			for i := range 2 {
				r.must(m.install...)
				if active, _ := r.compare(fmt.Sprintf("install %d", i), i); active == tt.deaf {
					t.Errorf("active: %v", active)
				}
			}
			if tt.deaf {
				mustInstall(t, r.where(), r.opts())
				if active, _ := r.compare("we", 2); !active {
					t.Error("not active after our install")
				}
			}
		})
	}
}
