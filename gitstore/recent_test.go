//go:build unix

package gitstore

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestRecent: who writes after another finds what it has to read in a cache file, and
// starts no git for it; whatever becomes of that file, the log is the same.
func TestRecent(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	trace := filepath.Join(t.TempDir(), "trace")
	traced := append(env[:len(env):len(env)], "GIT_TRACE="+trace)
	read := func() bool { // whether objects were read by git since the last call
		data, _ := os.ReadFile(trace)
		os.Remove(trace)
		return strings.Contains(string(data), "cat-file")
	}
	want := map[string]string{}
	n := 0
	write := func(path string) {
		t.Helper()
		n++
		want[path] = fmt.Sprint("text ", n)
		s := open(t, traced, dir, Options{})
		put(t, s, path, want[path])
		s.Close()
	}
	// Who says so beforehand finds what the last one asked for besides.
	besides := func() {
		t.Helper()
		s := open(t, traced, dir, Options{})
		defer s.Close()
		s.Recall()
		sn, err := s.Snapshot(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		files, err := sn.List(context.Background(), "contacts/a/", nil)
		if err == nil {
			err = sn.Read(context.Background(), files, func(f File) error { return nil })
		}
		if err != nil || len(files) != 1 {
			t.Fatalf("%v, %v", files, err)
		}
		n++
		path := fmt.Sprint("mail/2026/besides-", n)
		want[path] = "x"
		put(t, s, path, "x")
	}
	file := filepath.Join(dir, ".git", cacheName, recentFile)
	write("mail/2026/a")
	read()
	paths := []string{"mail/2026/b", "mail/2026/c", "mail/2027/a", "leases/x/y/z", "mail/2026/d", "leases/x/y/w"}
	for i := range MaxPacks { // packs are merged meanwhile
		paths = append(paths, fmt.Sprint("mail/2026/many-", i))
	}
	for i, path := range paths {
		write(path)
		if read() {
			t.Errorf("write %d, %s: git was asked for objects", i, path)
		}
	}
	write("contacts/a/b")
	os.Remove(file)
	besides()
	read()
	besides()
	if read() {
		t.Error("git was asked for what the writer before had asked for")
	}
	newest := func() (kept string) {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	old := newest()
	write("mail/2026/e")
	for what, spoil := range map[string]string{
		"gone": "", "cut": newest()[:len(newest())/2], "older": old, "nonsense": "x\n",
		"another version":  strings.Replace(newest(), "newest 1", "newest 9", 1),
		"a flipped byte":   newest()[:len(newest())-1] + "!",
		"a pack not there": recentMagic + strings.Repeat("a", 40) + "\n" + newest()[strings.IndexByte(newest(), '\n')+1:],
	} {
		writeFile(t, file, spoil)
		if spoil == "" {
			os.Remove(file)
		}
		write("mail/2026/" + strings.ReplaceAll(what, " ", "-"))
		if read(); len(newest()) == 0 {
			t.Errorf("%s: nothing is kept any more", what)
		}
	}
	// Another program adds to the log by hand, and the cache does not know of it.
	ref := git(t, env, dir, "for-each-ref", "--format=%(refname)", refRoot)
	user(t, env, dir, "update-ref", ref, user(t, env, dir, "commit-tree", "-p", ref, "-m", "by hand", ref+"^{tree}"))
	write("mail/2026/after")
	if got := contents(t, env, dir); !maps.Equal(got, want) {
		t.Errorf("read %q, want %q", got, want)
	}
	sound(t, env, dir)
	// Too much to keep is not kept.
	s := open(t, env, dir, Options{})
	if _, err := s.Update(context.Background(), func(tx *Tx) (CommitInfo, error) {
		for i := range recentLimit / 60 {
			if err := tx.Create(fmt.Sprintf("mail/wide/%032d", i), []byte("x")); err != nil {
				return CommitInfo{}, err
			}
		}
		return CommitInfo{Author: "A", Subject: "wide"}, nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("more is kept than is worth it")
	}
	put(t, s, "mail/wide/one", "x")
}

// TestRecentTogether: writers in one process do not disturb each other's memory.
func TestRecentTogether(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	s := open(t, env, newRepo(t, env), Options{})
	defer s.Close()
	put(t, s, "contacts/a/b", "x")
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 5 {
				s.Recall()
				if sn, err := s.Snapshot(context.Background()); err != nil {
					t.Error(err)
				} else if files, err := sn.List(context.Background(), "contacts/a/", nil); err != nil {
					t.Error(err)
				} else if err := sn.Read(context.Background(), files, func(File) error { return nil }); err != nil {
					t.Error(err)
				}
				put(t, s, fmt.Sprintf("mail/2026/%d-%d", i, n), "x")
			}
		})
	}
	all.Wait()
}
