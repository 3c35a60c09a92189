package gitstore

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// testEnv is an environment in which no setting of the machine counts.
func testEnv(t testing.TB) []string {
	t.Helper()
	home := t.TempDir()
	env := []string{"HOME=" + home, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "LC_ALL=C"}
	for _, name := range []string{"PATH", "TMPDIR"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// git runs git in dir and fails the test if it fails.
func git(t testing.TB, env []string, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env = dir, env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// newRepo makes a repository with one commit and returns its root.
func newRepo(t testing.TB, env []string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "r")
	copySeed(t, "repo", dir, func(dir string) {
		git(t, env, "", "init", "-q", "-b", "main", "--template=", dir)
		git(t, env, dir, "-c", "user.name=U", "-c", "user.email=u@example.com", "commit", "-q", "--allow-empty", "-m", "one")
	})
	return dir
}

// seeds are the directories that many tests begin with, each made once: copying is
// cheaper than starting git several times.
var seeds struct {
	sync.Mutex
	root string
	made map[string]*sync.Once
}

// copySeed copies the seed of a name to dir, over what is there; who comes first makes it.
func copySeed(t testing.TB, name, dir string, mk func(dir string)) {
	t.Helper()
	seeds.Lock()
	if seeds.root == "" {
		root, err := os.MkdirTemp("", "gitstore-seed-")
		if err != nil {
			seeds.Unlock()
			t.Fatal(err)
		}
		seeds.root, seeds.made = root, map[string]*sync.Once{}
	}
	made := seeds.made[name]
	if made == nil {
		made = &sync.Once{}
		seeds.made[name] = made
	}
	from := filepath.Join(seeds.root, name)
	seeds.Unlock()
	made.Do(func() { mk(from) })
	copyTree(t, from, dir)
}

// copyTree copies directories and files, each with its mode.
func copyTree(t testing.TB, from, to string) {
	t.Helper()
	if err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		name := filepath.Join(to, rel)
		st, err := d.Info()
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(name, st.Mode().Perm())
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		os.Remove(name) // it may be read-only
		return os.WriteFile(name, data, st.Mode().Perm())
	}); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, env []string, dir string, opt Options) *Store {
	t.Helper()
	repo, err := Find(context.Background(), dir, env)
	if err != nil {
		t.Fatal(err)
	}
	s := Open(repo, opt)
	t.Cleanup(s.Close)
	return s
}

// put commits one file.
func put(t testing.TB, s *Store, path, data string) Version {
	t.Helper()
	v, err := s.Update(context.Background(), func(tx *Tx) (CommitInfo, error) {
		return CommitInfo{Subject: "put " + path, Author: "A", Trailers: [][2]string{{"Agentmail-Seq", "1"}}}, tx.Create(path, []byte(data))
	})
	if err != nil {
		t.Fatalf("put %s: %v", path, err)
	}
	return v
}

// contents reads everything but headers from a store opened afresh.
func contents(t testing.TB, env []string, dir string) map[string]string {
	t.Helper()
	s := open(t, env, dir, Options{})
	defer s.Close()
	sn, err := s.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	if err := sn.Walk(context.Background(), "", func(f File) error {
		if f.Path != headerFile {
			got[f.Path] = string(f.Data)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestWriteAndRead(t *testing.T) {
	env := testEnv(t)
	dir := newRepo(t, env)
	s := open(t, env, dir, Options{})
	if ok, err := s.Exists(); ok || err != nil {
		t.Fatalf("Exists before the first write = %v, %v", ok, err)
	}
	v1 := put(t, s, "a/b/one.txt", "1")
	v2 := put(t, s, "a/b/two.txt", "2")
	put(t, s, "c.txt", "3")
	got := contents(t, env, dir)
	if len(got) != 3 || got["a/b/one.txt"] != "1" || got["c.txt"] != "3" {
		t.Fatalf("contents = %v", got)
	}
	sn, err := s.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	files, ok, err := sn.Added(context.Background(), v1)
	if err != nil || !ok || len(files) != 2 {
		t.Fatalf("Added(%s) = %v, %v, %v", v1, files, ok, err)
	}
	files, ok, err = sn.Added(context.Background(), v2)
	if err != nil || !ok || len(files) != 1 || files[0].Path != "c.txt" {
		t.Fatalf("Added(%s) = %v, %v, %v", v2, files, ok, err)
	}
	git(t, env, dir, "fsck", "--strict")
	if st := git(t, env, dir, "count-objects", "-v"); !strings.Contains(st, "garbage: 0") {
		t.Errorf("count-objects: %s", st)
	}
}

func TestDuplicatePath(t *testing.T) {
	env := testEnv(t)
	s := open(t, env, newRepo(t, env), Options{})
	put(t, s, "a/x", "1")
	_, err := s.Update(context.Background(), func(tx *Tx) (CommitInfo, error) {
		return CommitInfo{Subject: "again"}, tx.Create("a/x", []byte("2"))
	})
	if KindOf(err) != Duplicate {
		t.Fatalf("second write of a/x: %v", err)
	}
}

func TestGroupCommit(t *testing.T) {
	env := testEnv(t)
	dir := newRepo(t, env)
	s := open(t, env, dir, Options{})
	const n = 60
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			_, err := s.Update(context.Background(), func(tx *Tx) (CommitInfo, error) {
				if i%10 == 9 {
					return CommitInfo{}, fmt.Errorf("no %d", i)
				}
				return CommitInfo{Subject: "m"}, tx.Create(fmt.Sprintf("m/%d", i), []byte("x"))
			})
			if (err != nil) != (i%10 == 9) {
				t.Errorf("update %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if got := contents(t, env, dir); len(got) != n-n/10 {
		t.Errorf("%d files, want %d", len(got), n-n/10)
	}
	commits := git(t, env, dir, "rev-list", "--count", "--glob=refs/agentmail/log/*")
	t.Logf("%d updates in %s commits", n-n/10, commits)
	if commits == fmt.Sprint(n-n/10) {
		t.Errorf("no two updates shared a commit")
	}
}

func TestPacksAreMerged(t *testing.T) {
	env := testEnv(t)
	dir := newRepo(t, env)
	s := open(t, env, dir, Options{})
	const n = 3 * MaxPacks
	for i := range n {
		put(t, s, fmt.Sprintf("m/%02d/%d", i%7, i), fmt.Sprint(i))
	}
	packs, err := s.ourPacks(context.Background(), false)
	if err != nil {
		t.Fatal(err)
	}
	if len(packs) > MaxPacks {
		t.Errorf("%d packs after %d commits", len(packs), n)
	}
	git(t, env, dir, "fsck", "--strict")
	if got := contents(t, env, dir); len(got) != n {
		t.Errorf("%d files, want %d", len(got), n)
	}
	if st := git(t, env, dir, "count-objects", "-v"); !strings.Contains(st, "garbage: 0") {
		t.Errorf("count-objects: %s", st)
	}
}
