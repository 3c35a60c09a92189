//go:build unix

package gitstore

import (
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// TestHeadFiles commits random changes of a random tree. What is read from the files of the
// objects is what git says, and where it is not read, git has a reason to be asked.
func TestHeadFiles(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	env := testEnv(t)
	dir := newRepo(t, env)
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	sub := filepath.Join(dir, "..", "sub")
	user(t, env, filepath.Dir(dir), "init", "-q", sub)
	var modules []OID
	for i := range 2 {
		user(t, env, sub, "commit", "-q", "--allow-empty", "-m", fmt.Sprint(i))
		modules = append(modules, git(t, env, sub, "rev-parse", "HEAD"))
	}
	repo := find(t, env, dir)
	read, commits := 0, 40 // at random, and others in the next run
	if soak() {
		commits = 1000
	}
	for i := range commits {
		for range 1 + r.IntN(6) {
			if r.IntN(8) == 0 {
				git(t, env, dir, "update-index", "--add", "--cacheinfo", "160000,"+modules[r.IntN(2)]+",module")
			} else {
				scramble(r, dir)
			}
		}
		git(t, env, dir, "-c", "core.safecrlf=false", "add", "-A", "--", ".", ":(exclude)module")
		user(t, env, dir, "commit", "-q", "--allow-empty", "-m", fmt.Sprint(i))
		if i == 20 {
			git(t, env, dir, "checkout", "-q", "--detach")
		}
		want, err := repo.askHead(ctx)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := repo.headFiles()
		if ok {
			read++
		}
		if ok && !reflect.DeepEqual(got, want) {
			t.Fatalf("seed %d, commit %d: read %+v, git says %+v", seed, i, got, want)
		}
		if !ok && i > 0 && len(want.Changed) < 10 && !t.Failed() {
			t.Errorf("seed %d, commit %d: git was asked for %+v", seed, i, want)
		}
	}
	if read < commits/2 {
		t.Errorf("only %d of %d commits were read", read, commits)
	}

	asked := func(what string) {
		t.Helper()
		if c, ok := repo.headFiles(); ok {
			t.Errorf("%s: git was not asked: %+v", what, c)
		}
	}
	commit := func() {
		t.Helper()
		user(t, env, dir, "commit", "-q", "--allow-empty", "-m", "x")
		if _, ok := repo.headFiles(); !ok {
			t.Fatal("not read")
		}
	}
	commit()
	git(t, env, dir, "replace", "HEAD", "HEAD~3")
	asked("a replaced commit")
	git(t, env, dir, "pack-refs", "--all")
	asked("a replaced commit, packed")
	git(t, env, dir, "replace", "-d", "HEAD")
	os.RemoveAll(filepath.Join(dir, ".git", "refs", "replace"))
	commit()
	tip := git(t, env, dir, "rev-parse", "HEAD")
	for _, name := range []string{"info/grafts", "shallow"} {
		file := filepath.Join(dir, ".git", name)
		writeFile(t, file, tip+"\n")
		asked(name)
		os.Remove(file)
	}
	git(t, env, dir, "checkout", "-q", "-b", "side", "HEAD~1")
	user(t, env, dir, "commit", "-q", "--allow-empty", "-m", "side")
	git(t, env, dir, "checkout", "-q", "-")
	user(t, env, dir, "merge", "-q", "--no-ff", "-s", "ours", "-m", "merge", "side")
	asked("a merge")
	commit()
	for i := range 60 {
		writeFile(t, filepath.Join(dir, fmt.Sprint("many", i), "file"), "x")
	}
	git(t, env, dir, "add", "-A")
	user(t, env, dir, "commit", "-q", "-m", "many")
	asked("more objects than are worth it")
	commit()
	// What git does not write, it reads in its own way.
	raw := func(kind, data string) OID {
		t.Helper()
		file := filepath.Join(t.TempDir(), "raw")
		writeFile(t, file, data)
		return git(t, env, dir, "hash-object", "-w", "-t", kind, "--literally", file)
	}
	blob, _ := hex.DecodeString(raw("blob", "x"))
	empty, _ := hex.DecodeString(emptyTree)
	entry := func(name string) string { return "100644 " + name + "\x00" + string(blob) }
	who := "author U <u@example.com> 1700000000 +0000\ncommitter U <u@example.com> 1700000000 +0000\n\nx\n"
	good, other, back := raw("tree", entry("a")), raw("tree", entry("b")), git(t, env, dir, "rev-parse", "HEAD")
	tip = raw("commit", "tree "+other+"\nparent "+back+"\n"+who)
	for what, odd := range map[string]string{
		"a name twice":            raw("commit", "tree "+raw("tree", entry("a")+entry("a"))+"\nparent "+tip+"\n"+who),
		"both file and directory": raw("commit", "tree "+raw("tree", entry("a")+entry("a-")+"40000 a\x00"+string(empty))+"\nparent "+tip+"\n"+who),
		"a bad order":             raw("commit", "tree "+raw("tree", entry("b")+entry("a"))+"\nparent "+tip+"\n"+who),
		"a second tree":           raw("commit", "tree "+good+"\ntree "+other+"\nparent "+tip+"\n"+who),
		"a late parent":           raw("commit", "tree "+good+"\n"+who[:42]+"parent "+tip+"\n"+who[42:]),
		"no name":                 raw("commit", "tree "+raw("tree", entry(""))+"\nparent "+tip+"\n"+who),
		"no tree":                 raw("commit", "parent "+tip+"\n"+who),
		"too wide to read":        raw("commit", "tree "+raw("tree", wide(string(blob)))+"\nparent "+tip+"\n"+who),
		"too long to read":        raw("commit", "tree "+good+"\nparent "+tip+"\n"+who+strings.Repeat("long ", looseLimit)),
	} {
		writeFile(t, filepath.Join(dir, ".git", "HEAD"), odd+"\n")
		asked(what)
	}
	writeFile(t, filepath.Join(dir, ".git", "HEAD"), raw("commit", "tree "+good+"\nparent "+tip+"\n"+who)+"\n")
	if c, ok := repo.headFiles(); !ok || !slices.Equal(show(c.Changed), []string{"A a", "D b"}) {
		t.Errorf("of what git writes like that: %+v, %v", c, ok)
	}
	writeFile(t, filepath.Join(dir, ".git", "HEAD"), back+"\n")
	commit()
	object := filepath.Join(dir, ".git", "objects", git(t, env, dir, "rev-parse", "HEAD")[:2], git(t, env, dir, "rev-parse", "HEAD")[2:])
	data, err := os.ReadFile(object)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", string(data[:len(data)/2]), strings.Repeat("x", len(data)), string(data) + "x"} {
		os.Chmod(object, 0o666)
		writeFile(t, object, bad)
		asked("a broken commit")
	}
	writeFile(t, object, string(data))
	commit()
	git(t, env, dir, "checkout", "-q", "-B", "packed")
	git(t, env, dir, "pack-refs", "--all")
	asked("a packed branch")
	commit()
	git(t, env, dir, "repack", "-q", "-a", "-d")
	asked("packed objects")
}

// scramble makes one random change in a work tree.
func scramble(r *rand.Rand, dir string) {
	path := randomPath(r)
	full := filepath.Join(dir, path)
	for p := filepath.Dir(full); len(p) > len(dir); p = filepath.Dir(p) {
		if st, err := os.Lstat(p); err == nil && !st.IsDir() {
			os.Remove(p)
		}
	}
	kind := r.IntN(7)
	if st, err := os.Lstat(full); err == nil && (st.IsDir() || kind != 1) {
		os.RemoveAll(full)
	}
	os.MkdirAll(filepath.Dir(full), 0o777)
	switch kind {
	case 0: // deleted
	case 1:
		if os.Chmod(full, 0o777) == nil {
			return
		}
		fallthrough
	case 2:
		os.Symlink(fmt.Sprint(r.IntN(3)), full)
	default:
		os.WriteFile(full, []byte(fmt.Sprint(r.IntN(5))), 0o666)
	}
}

// randomPath is of few names, so that files and directories take each other's places.
func randomPath(r *rand.Rand) (path string) {
	names := []string{"a", "b", "a.b", "a-b", "ab", "new\nline", "\xff", "é"}
	for range 1 + r.IntN(3) {
		path = filepath.Join(path, names[r.IntN(len(names))])
	}
	return path
}

// wide is a tree of more names than are worth reading.
func wide(blob string) string {
	var b strings.Builder
	for i := range looseLimit / 30 {
		fmt.Fprintf(&b, "100644 %06d\x00%s", i, blob)
	}
	return b.String()
}
