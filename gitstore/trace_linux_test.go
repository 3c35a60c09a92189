package gitstore

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// sysCall is one finished system call: it began at line from of the trace and
// ended at line to.
type sysCall struct {
	from, to int
	name     string
	args     string
	ok       bool
}

var (
	traceLine  = regexp.MustCompile(`^(\d+) +(.*)$`)
	unfinished = regexp.MustCompile(`^(\w+)\((.*) <unfinished \.\.\.>$`)
	resumed    = regexp.MustCompile(`^<\.\.\. (\w+) resumed>(.*)\) += (-?\d+)`)
	whole      = regexp.MustCompile(`^(\w+)\((.*)\) += (-?\d+)`)
)

// parseTrace reads what `strace -f` wrote.
func parseTrace(text string) []sysCall {
	var calls []sysCall
	open := map[string]sysCall{}
	for i, line := range strings.Split(text, "\n") {
		m := traceLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		pid, rest := m[1], m[2]
		if u := unfinished.FindStringSubmatch(rest); u != nil {
			open[pid] = sysCall{from: i, name: u[1], args: u[2]}
		} else if r := resumed.FindStringSubmatch(rest); r != nil {
			c := open[pid]
			delete(open, pid)
			c.to, c.args, c.ok = i, c.args+r[2], !strings.HasPrefix(r[3], "-")
			calls = append(calls, c)
		} else if w := whole.FindStringSubmatch(rest); w != nil {
			calls = append(calls, sysCall{i, i, w[1], w[2], !strings.HasPrefix(w[3], "-")})
		}
	}
	return calls
}

// TestOrderOfSystemCalls traces writers and checks what must reach the disk
// before what.
func TestOrderOfSystemCalls(t *testing.T) {
	t.Parallel()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed: the order of system calls was not checked")
	}
	if out, err := exec.Command(strace, "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		t.Skipf("strace may not trace here: the order of system calls was not checked: %s", out)
	}
	env := testEnv(t)
	dir := newRepo(t, env)
	trace := filepath.Join(t.TempDir(), "trace")
	p := spawn(t, env, "write", childConfig{Dir: dir, Prefix: "w", Count: 3}, func(cmd *exec.Cmd) {
		cmd.Args = append([]string{strace, "-f", "-y", "-s", "300", "-o", trace,
			"-e", "trace=fsync,fdatasync,sync,syncfs,?rename,renameat,renameat2,execve,write", cmd.Path}, cmd.Args[1:]...)
		cmd.Path = strace
	})
	select {
	case <-p.done:
	case <-time.After(time.Minute):
		t.Fatal("the traced child did not end")
	}
	if out := p.output(); p.err != nil || len(out) != 3 {
		t.Fatalf("the traced child: %v, %q", p.err, out)
	}
	data, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	calls := parseTrace(string(data))
	acks := []int{-1}
	for _, c := range calls {
		if c.name == "write" && strings.HasPrefix(c.args, "1<") && strings.Contains(c.args, `"pairs/w/`) {
			acks = append(acks, c.from)
		}
	}
	if len(acks) != 4 {
		t.Fatalf("%d acknowledgements in the trace:\n%s", len(acks)-1, data)
	}
	for i := 1; i < len(acks); i++ {
		t.Run(fmt.Sprintf("write %d", i), func(t *testing.T) {
			var part []sysCall
			for _, c := range calls {
				if c.from > acks[i-1] && c.to < acks[i] && c.ok {
					part = append(part, c)
				}
			}
			checkOrder(t, part, dir, i == 1)
			if t.Failed() {
				for _, c := range part {
					t.Logf("%d-%d %s(%s)", c.from, c.to, c.name, c.args)
				}
			}
		})
	}
}

// checkOrder looks at the calls of one write.
func checkOrder(t *testing.T, calls []sysCall, dir string, first bool) {
	gitDir := filepath.Join(dir, ".git")
	syncs := 0
	// find returns the one call of those names whose arguments contain all parts.
	find := func(names string, parts ...string) sysCall {
		t.Helper()
		var found []sysCall
	next:
		for _, c := range calls {
			if !strings.Contains(" "+names+" ", " "+c.name+" ") {
				continue
			}
			for _, part := range parts {
				if !strings.Contains(c.args, part) {
					continue next
				}
			}
			found = append(found, c)
		}
		if len(found) != 1 {
			t.Fatalf("%d calls of %s with %q, want one", len(found), names, parts)
		}
		return found[0]
	}
	const rename = "rename renameat renameat2"
	pack := "<" + filepath.Join(gitDir, "objects", "pack") + ">"
	logs := filepath.Join(gitDir, filepath.FromSlash(logPrefix))
	type step struct {
		what string
		call sysCall
	}
	// The pack goes to the disk beside its index, but before any name is given.
	if a, b := (step{"the pack is synced", find("fsync", ".pack>")}), (step{"the note is renamed", find(rename, ".keep")}); a.call.to >= b.call.from {
		t.Errorf("%s (line %d) only after %s (line %d)", a.what, a.call.to, b.what, b.call.from)
	}
	steps := []step{
		{"the index is synced", find("fsync", ".idx>")},
		{"the note is renamed", find(rename, ".keep")},
		{"the pack is renamed", find(rename, ".pack")},
		{"the index is renamed", find(rename, ".idx")},
		{"the directory of packs is synced", find("fsync", pack)},
		{"git update-ref gets its orders", find("write", `"start\nupdate refs/`)},
		{"the ref's lock is synced", find("fsync", logs, ".lock>")},
		{"the ref's lock is renamed", find(rename, logPrefix, ".lock")},
		{"the ref's directory is synced", find("fsync", "<"+logs+">")},
	}
	for i := 1; i < len(steps); i++ {
		if a, b := steps[i-1], steps[i]; a.call.to >= b.call.from {
			t.Errorf("%s (line %d) only after %s (line %d)", a.what, a.call.to, b.what, b.call.from)
		}
	}
	for _, c := range calls {
		switch c.name {
		case "fsync", "fdatasync", "sync", "syncfs":
			syncs++
		}
	}
	if first { // directories that were made need their names synced as well
		for _, d := range []string{"refs/agentmail", "refs"} {
			find("fsync", "<"+filepath.Join(gitDir, filepath.FromSlash(d))+">")
		}
	} else if syncs != 5 {
		t.Errorf("%d syncs in a write, want 5", syncs)
	}
}

// TestFilesPerCommit counts what a commit leaves among the user's objects.
func TestFilesPerCommit(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	s := open(t, env, dir, Options{})
	count := func() (packs, all int) {
		filepath.WalkDir(filepath.Join(dir, ".git", "objects"), func(path string, d os.DirEntry, err error) error {
			if !d.IsDir() {
				all++
				if filepath.Base(filepath.Dir(path)) == "pack" {
					packs++
				}
			}
			return err
		})
		return packs, all
	}
	packs, all := count()
	for i := range 5 {
		put(t, s, fmt.Sprintf("m/%d", i), "x")
		p, a := count()
		if p-packs != 3 || a-all != 3 {
			t.Errorf("commit %d left %d files in objects/pack and %d in all, want 3", i, p-packs, a-all)
		}
		packs, all = p, a
	}
}
