//go:build unix

package gitstore

import (
	"bytes"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

// TestStagedFiles changes an index at random, and now and then what HEAD is. What is read
// from the files is what git says.
func TestStagedFiles(t *testing.T) {
	t.Parallel()
	steps := 200
	if soak() {
		steps = 5000
	}
	env := testEnv(t)
	dir := newRepo(t, env)
	git(t, env, dir, "config", "gc.auto", "0")
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	repo := find(t, env, dir)
	run := func(stdin string, args ...string) string {
		cmd := exec.Command("git", args...)
		cmd.Dir, cmd.Env, cmd.Stdin = dir, env, strings.NewReader(stdin)
		out, _ := cmd.Output() // much of it is refused, which changes nothing
		return strings.TrimSpace(string(out))
	}
	var blobs []OID
	for i := range 3 {
		blobs = append(blobs, run(fmt.Sprint(i), "hash-object", "-w", "--stdin"))
	}
	heads := []OID{git(t, env, dir, "rev-parse", "HEAD")}
	modes := []string{"100644", "100644", "100755", "120000", "160000"}
	step := func() string {
		switch kind := r.IntN(16); kind {
		case 0:
			path := randomPath(r)
			writeFile(t, filepath.Join(dir, path), "x")
			run("", "add", "-N", "--", path)
			os.RemoveAll(filepath.Join(dir, strings.SplitAfter(path, "/")[0]))
			return "intend to add"
		case 1, 2:
			flag := []string{"--skip-worktree", "--assume-unchanged", "--chmod=+x", "--chmod=-x"}[r.IntN(4)]
			names := strings.Split(run("", "ls-files", "-z"), "\x00")
			run("", "update-index", flag, "--", names[r.IntN(len(names))])
			return flag
		case 3:
			run("", "read-tree", heads[r.IntN(len(heads))])
			return "read another tree"
		case 4:
			run("", "read-tree", "--prefix="+randomPath(r)+"/", heads[r.IntN(len(heads))])
			return "read a tree below"
		case 5:
			run("", "read-tree", "-m", heads[r.IntN(len(heads))], "HEAD")
			return "read two trees"
		case 6:
			if r.IntN(8) == 0 {
				run("", "read-tree", "--empty")
			}
			return "empty"
		case 7, 8, 9:
			if tree := run("", "write-tree"); kind == 7 && tree != "" {
				commit := user(t, env, dir, "commit-tree", tree, "-p", "HEAD", "-m", "x")
				git(t, env, dir, "update-ref", "HEAD", commit)
				heads = append(heads, commit)
				return "commit"
			}
			return "write"
		}
		var lines strings.Builder
		for range 1 + r.IntN(6) {
			mode := modes[r.IntN(len(modes))]
			if r.IntN(3) == 0 {
				mode = "0"
			}
			fmt.Fprintf(&lines, "%s %s\t%s\x00", mode, blobs[r.IntN(len(blobs))], randomPath(r))
		}
		run(lines.String(), "update-index", "-z", "--index-info")
		return "set and remove"
	}
	read := 0
	for i := range steps {
		what := step()
		want, err := repo.askStaged(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := repo.stagedFiles()
		switch {
		case ok && !reflect.DeepEqual(got, want):
			t.Fatalf("seed %d, step %d (%s): read %q, git says %q", seed, i, what, got, want)
		case ok:
			read++
		}
	}
	// Git is asked where a tree is not worth it, and sometimes for a while after two trees were
	// read, which leaves notes about directories that are gone.
	if read < steps*3/4 {
		t.Errorf("only %d of %d were read", read, steps)
	}
}

// TestStagedInHook commits in every way that has an index of its own, and asks in the hook.
func TestStagedInHook(t *testing.T) {
	t.Parallel()
	exe, err := childExe()
	if err != nil {
		t.Fatal(err)
	}
	commits := 24
	if soak() {
		commits = 300
	}
	for _, linked := range []bool{false, true} {
		t.Run(fmt.Sprintf("linked %v", linked), func(t *testing.T) {
			t.Parallel()
			env := append(testEnv(t), "EDITOR=true", childArgs+"={}")
			dir := newRepo(t, env)
			git(t, env, dir, "config", "gc.auto", "0")
			said := filepath.Join(t.TempDir(), "said")
			hook := filepath.Join(dir, ".git", "hooks", "pre-commit")
			writeFile(t, hook, "#!/bin/sh\n"+childMode+"=staged exec '"+exe+"' >'"+said+"'\n")
			os.Chmod(hook, 0o755)
			if linked {
				work := filepath.Join(t.TempDir(), "wt")
				git(t, env, dir, "worktree", "add", "-q", "-b", "side", work)
				dir = work
			}
			seed := rand.Uint64()
			r := rand.New(rand.NewPCG(seed, 0))
			read := 0
			for i := range commits {
				for range 1 + r.IntN(6) {
					scramble(r, dir)
				}
				args := [][]string{{}, {"-a"}, {"--amend"}, {"--only", "."}, {"--include", "."}, {"--interactive"}, {"-p"}}[r.IntN(7)]
				in := dir
				if st, err := os.Stat(filepath.Join(dir, "a")); err == nil && st.IsDir() && r.IntN(2) == 0 {
					in = filepath.Join(dir, "a")
				}
				if r.IntN(2) == 0 {
					git(t, env, in, "add", "-A", ".")
				}
				cmd := exec.Command("git", append([]string{"-c", "user.name=U", "-c", "user.email=u@example.com", "commit", "-q", "--allow-empty", "-m", "x"}, args...)...)
				cmd.Dir, cmd.Env, cmd.Stdin = in, env, strings.NewReader(strings.Repeat("y\n", 50))
				if len(args) > 0 && args[0] == "--interactive" {
					cmd.Stdin = strings.NewReader("u\n*\n\nq\n") // stage all that is known
				}
				os.Remove(said)
				out, err := cmd.CombinedOutput()
				data, serr := os.ReadFile(said)
				if serr != nil { // nothing that the command line names is there
					if err == nil {
						t.Fatalf("seed %d, commit %d (%q): the hook did not run: %s", seed, i, args, out)
					}
					continue
				}
				f := strings.Split(string(data), "\n")
				switch {
				case len(f) != 4:
					t.Fatalf("seed %d, commit %d (%q): the hook said %q", seed, i, args, data)
				case f[0] != "true":
					t.Errorf("seed %d, commit %d (%q): git was asked for %s", seed, i, args, f[2])
				case f[1] != f[2]:
					t.Fatalf("seed %d, commit %d (%q): read %s, git says %s", seed, i, args, f[1], f[2])
				case f[1] != "[]":
					read++
				}
			}
			if read < commits/3 {
				t.Errorf("only %d of %d commits were read and changed something", read, commits)
			}
		})
	}
}

// TestStagedIsAsked makes what is out of the ordinary. git is asked, and the next ordinary
// index is read again.
func TestStagedIsAsked(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	origin := newRepo(t, env)
	for _, name := range []string{"a/1", "b/c/2", "d/3", "top"} {
		writeFile(t, filepath.Join(origin, name), name)
	}
	git(t, env, origin, "add", "-A")
	user(t, env, origin, "commit", "-q", "-m", "base")
	dir := filepath.Join(t.TempDir(), "clone")
	git(t, env, "", "clone", "-q", "--no-local", origin, dir)
	repo := find(t, env, dir)
	ask := func(what string, ok bool) {
		t.Helper()
		got, read := repo.stagedFiles()
		want, err := repo.askStaged(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if read != ok || read && !reflect.DeepEqual(got, want) {
			t.Errorf("%s: read %v, want %v: %q; git says %q", what, read, ok, got, want)
		}
	}
	n := 0
	stage := func(name string) {
		t.Helper()
		n++
		writeFile(t, filepath.Join(dir, name), fmt.Sprint(n))
		git(t, env, dir, "add", "-A")
	}
	commit := func() { t.Helper(); user(t, env, dir, "commit", "-q", "-m", "x") }
	stage("a/1")
	git(t, env, dir, "write-tree") // as git does before it asks the hook
	ask("a commit in a pack", false)
	commit()
	stage("a/1")
	git(t, env, dir, "write-tree")
	ask("where a commit was made since, the rest in a pack", true)
	stage("b/c/2")
	git(t, env, dir, "write-tree")
	ask("a directory in a pack", false)
	commit()
	stage("b/c/2")
	git(t, env, dir, "write-tree")
	ask("all trees are noted", true)

	index := filepath.Join(dir, ".git", "index")
	for _, set := range [][]string{{"--index-version=4", "--index-version=2"}, {"--split-index", "--no-split-index"}} {
		git(t, env, dir, "update-index", set[0])
		ask(set[0], false)
		git(t, env, dir, "update-index", set[1])
		ask(set[1], true)
	}
	git(t, env, dir, "update-index", "--untracked-cache", "--force-untracked-cache")
	git(t, env, dir, "status")
	ask("an extension that may be passed over", true)
	git(t, env, dir, "replace", "-f", "HEAD", "HEAD~1")
	ask("a replaced commit", false)
	git(t, env, dir, "replace", "-d", "HEAD")
	os.RemoveAll(filepath.Join(dir, ".git", "refs", "replace"))
	ask("nothing replaced", true)
	whole, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	blob := git(t, env, dir, "rev-parse", "HEAD:a/1")
	add := func(lines string) {
		t.Helper()
		cmd := exec.Command("git", "update-index", "--index-info")
		cmd.Dir, cmd.Env, cmd.Stdin = dir, env, strings.NewReader(lines)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatal(err, string(out))
		}
	}
	add("100644 " + blob + " 1\tx\n100644 " + blob + " 2\tx\n")
	if _, ok := repo.stagedFiles(); ok {
		t.Error("a conflict was read")
	}
	writeFile(t, index, string(whole))
	ask("no conflict", true)
	os.Remove(index)
	ask("no index", false)
	writeFile(t, index, string(whole))
	var many strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&many, "100644 %s\tmany/%d/%040d\n", blob, i%300, i)
	}
	add(many.String())
	ask("a large index", true)
	writeFile(t, index, string(whole))

	sub := filepath.Join(dir, "b")
	for from, ok := range map[string]bool{dir: true, sub: false} { // a path of a hook is relative to the top
		elsewhere := find(t, append(env, "GIT_INDEX_FILE=.git/index"), from)
		if _, read := elsewhere.stagedFiles(); read != ok {
			t.Errorf("a relative index seen from %s: read %v, want %v", from, read, ok)
		}
	}
	user(t, env, dir, "stash", "-q")
	git(t, env, dir, "checkout", "-q", "-b", "side", "HEAD~1")
	writeFile(t, filepath.Join(dir, "side"), "side")
	git(t, env, dir, "add", "side")
	commit()
	git(t, env, dir, "checkout", "-q", "-")
	user(t, env, dir, "merge", "-q", "--no-commit", "--no-ff", "side")
	list, err := repo.Staged(context.Background(), nil)
	if err != nil || len(list) > 0 {
		t.Errorf("a merge, of which all is carried: %q, %v", list, err)
	}
	user(t, env, dir, "commit", "-q", "-m", "merged")
	git(t, env, dir, "repack", "-q", "-a", "-d")
	writeFile(t, index, string(whole))
	ask("a small index, and all is packed", false)
	add(many.String())
	ask("a large index, and all is packed", true)
}

// TestOddIndex changes bytes of an index, and cuts it off. Where it is read all the same, as
// far as git reads it that is what git says.
func TestOddIndex(t *testing.T) {
	t.Parallel()
	tries := 150
	if soak() {
		tries = 20000
	}
	env := testEnv(t)
	dir := newRepo(t, env)
	file := filepath.Join(dir, ".git", "odd")
	repo := find(t, append(env, "GIT_INDEX_FILE=.git/odd"), dir)
	for _, name := range []string{"a", "a-b", "a.b", "d/e/f", "d/e/g", "d/h", "\xff", "x/y/z"} {
		writeFile(t, filepath.Join(dir, name), name)
	}
	git(t, env, dir, "add", "-A")
	user(t, env, dir, "commit", "-q", "-m", "base")
	writeFile(t, filepath.Join(dir, "d", "h"), "changed")
	writeFile(t, filepath.Join(dir, "d", "new"), "new")
	git(t, env, dir, "add", "-A")
	git(t, env, dir, "write-tree")
	load := func() []byte {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(dir, ".git", "index"))
		if err != nil {
			t.Fatal(err)
		}
		return data[:len(data)-sha1.Size]
	}
	indexes := [][]byte{load()}
	writeFile(t, filepath.Join(dir, "intended"), "x")
	git(t, env, dir, "add", "-N", "intended")
	git(t, env, dir, "update-index", "--skip-worktree", "x/y/z")
	indexes = append(indexes, load())

	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	read, refused := 0, 0
	check := func(what string, data []byte) {
		t.Helper()
		writeFile(t, file, string(data))
		got, ok := repo.stagedFiles()
		if !ok {
			return
		}
		want, err := repo.askStaged(context.Background(), nil)
		switch {
		case err != nil:
			refused++
			t.Logf("seed %d, %s: read, and git says %v", seed, what, err)
		case !reflect.DeepEqual(got, want):
			t.Errorf("seed %d, %s: read %q, git says %q\n%s", seed, what, got, want, hex.Dump(data))
		}
		read++
	}
	sum := func(data []byte) []byte {
		is := sha1.Sum(data)
		return append(data[:len(data):len(data)], is[:]...)
	}
	for i, data := range indexes {
		if check("as it is", sum(data)); read != i+1 {
			t.Fatal("an index that nobody changed was not read")
		}
	}
	// git would pass over as many files as are noted, whichever they are.
	noted := "d\x004 1\n"
	if !strings.Contains(string(indexes[0]), noted) {
		t.Fatal("no tree is noted of d")
	}
	writeFile(t, file, string(sum([]byte(strings.Replace(string(indexes[0]), noted, "d\x003 1\n", 1)))))
	if _, ok := repo.stagedFiles(); ok {
		t.Error("the number of files below a directory was not checked")
	}
	for i := range tries {
		data := []byte(string(indexes[r.IntN(2)]))
		switch r.IntN(4) {
		case 0:
			data[r.IntN(len(data))] ^= 1 << r.IntN(8)
		case 1:
			data[r.IntN(len(data))] = byte(r.IntN(256))
		case 2:
			data = data[:r.IntN(len(data))]
		default:
			at, n := r.IntN(len(data)), r.IntN(12)
			data = append(data[:at:at], data[min(at+n, len(data)):]...)
		}
		if i%10 == 0 { // git does not look at the sum
			check(fmt.Sprint("try ", i, " without the sum"), append(data[:len(data):len(data)], make([]byte, sha1.Size)...))
		}
		check(fmt.Sprint("try ", i), sum(data))
	}
	t.Logf("%d were read, %d refused by git", read, refused)
}

// TestIndexCutShort: a program that writes an index in place, where git renames, ends no hook
// that looks at it.
func TestIndexCutShort(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "index")
	writeFile(t, name, strings.Repeat("x", 1<<20))
	data, unmap, err := mapped(name)
	if err != nil {
		t.Fatal(err)
	}
	defer unmap()
	if err := os.Truncate(name, 10); err != nil {
		t.Fatal(err)
	}
	if ok := unfaulted(func() { _ = bytes.Count(data, []byte("y")) }); ok && runtime.GOOS == "linux" {
		t.Error("what is not there was read")
	}
	if !unfaulted(func() {}) {
		t.Error("a fault where there is none")
	}
	defer func() {
		if recover() != "a bug" {
			t.Error("a panic of another kind was swallowed")
		}
	}()
	unfaulted(func() { panic("a bug") })
}
