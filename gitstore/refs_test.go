//go:build unix

package gitstore

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"testing/quick"
)

// TestTips: what is written down of the tips is read again, whatever a log that came
// from elsewhere calls its files, and a file that was cut anywhere is not believed.
func TestTips(t *testing.T) {
	oid := strings.Repeat("ab", 20)
	round := func(names []string, created string, format, epoch int, upto int64, ephemeral bool, key string) bool {
		logs := map[string]*tip{}
		for i, replica := range []string{"w4vvf99z4q", "q3k9xd2m7a"} {
			tree := map[string]OID{headerFile: oid}
			for _, n := range names[:len(names)*i] {
				tree[n] = oid
			}
			logs[replica] = &tip{OID: oid, Tree: tree, Header: Header{Format: format, Replica: replica, Created: created, Ephemeral: ephemeral, Base: Base{epoch, upto}, Key: key}}
		}
		text := string(formatTips(logs))
		got, ok := parseTips(text)
		for i := 0; i < len(text); i += 1 + len(text)/200 {
			if _, whole := parseTips(text[:i]); whole && i < len(text)-1 {
				t.Errorf("cut after %d bytes, and believed: %q", i, text[:i])
				return false
			}
		}
		return ok && maps.EqualFunc(got, logs, func(a, b *tip) bool { return reflect.DeepEqual(a, b) })
	}
	if err := quick.Check(round, &quick.Config{MaxCount: 30}); err != nil {
		t.Error(err)
	}
	if !round([]string{"a b", "new\nline", "quote\"", "\xff\x00", "log ", "end", ""}, "2026-11-21T05:00:00Z \n", 1, 0, 0, false, "") {
		t.Error("names as bytes do not come back")
	}
	// A log that says too little of itself is looked up again; the others are not.
	text := string(formatTips(map[string]*tip{"w4vvf99z4q": {OID: oid, Tree: map[string]OID{headerFile: oid}}, "q3k9xd2m7a": {OID: oid}}))
	if got, ok := parseTips(text); !ok || len(got) != 1 || got["w4vvf99z4q"] == nil {
		t.Errorf("got %v, %v", got, ok)
	}
}

// TestFetchedLogIsAskedAboutOnce counts the processes of readers after a fetch: the first
// looks in git whether the log leads on, the others find that written down.
func TestFetchedLogIsAskedAboutOnce(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	there := open(t, env, dir, Options{})
	put(t, there, "m/1", "x")
	clone := filepath.Join(t.TempDir(), "clone")
	git(t, env, dir, "clone", "-q", dir, clone)
	fetch := func() { git(t, env, clone, "fetch", "-q", "origin", "refs/agentmail/*:refs/agentmail/*") }
	fetch()
	put(t, open(t, env, clone, Options{}), "m/own", "x")
	put(t, there, "m/2", "x")
	fetch()
	trace := filepath.Join(t.TempDir(), "trace")
	traced := append(env[:len(env):len(env)], "GIT_TRACE="+trace)
	asked := func() int {
		data, _ := os.ReadFile(trace)
		return strings.Count(string(data), "built-in: git cat-file") + strings.Count(string(data), "built-in: git merge-base")
	}
	for i := range 3 {
		s := open(t, traced, clone, Options{})
		sn, err := s.Snapshot(context.Background())
		if err != nil || len(sn.Replicas()) != 2 {
			t.Fatalf("%v, %v", sn, err)
		}
		if n := asked(); n != 1 {
			t.Fatalf("after reader %d git was asked %d times, want once", i+1, n)
		}
	}
	if got := contents(t, env, clone); len(got) != 3 {
		t.Errorf("read %q", got)
	}
}

// TestReplacedFileStaysSomebodys: who may read a file of the store may read the one that
// takes its place, whoever wrote it; and tips that cannot be read are not taken for none.
func TestReplacedFileStaysSomebodys(t *testing.T) {
	env := testEnv(t)
	dir := newRepo(t, env)
	s := open(t, env, dir, Options{})
	put(t, s, "m/1", "x")
	name := s.repo.dir(tipsFile)
	if err := os.Chmod(name, 0o640); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(name, 12345, 54321); err != nil {
			t.Fatal(err)
		}
	}
	before, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	old := syscall.Umask(0o077)
	put(t, s, "m/2", "x")
	syscall.Umask(old)
	after, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	a, b := before.Sys().(*syscall.Stat_t), after.Sys().(*syscall.Stat_t)
	if a.Ino == b.Ino || a.Mode != b.Mode || a.Uid != b.Uid || a.Gid != b.Gid {
		t.Errorf("was %v of %d, is %v of %d", before.Mode(), a.Uid, after.Mode(), b.Uid)
	}
}

// TestFetchedLogIsRestored: what a reader has shown of a log that was fetched does not go
// with the ref, even if this clone has written nothing since.
func TestFetchedLogIsRestored(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	put(t, open(t, env, dir, Options{}), "m/1", "x")
	clone := filepath.Join(t.TempDir(), "clone")
	git(t, env, dir, "clone", "-q", dir, clone)
	fetch := func() { git(t, env, clone, "fetch", "-q", "origin", "refs/agentmail/*:refs/agentmail/*") }
	ref := git(t, env, dir, "for-each-ref", "--format=%(refname)", refRoot)
	fetch()
	// Where there is no mailbox, none is made.
	if got := contents(t, env, clone); len(got) != 1 {
		t.Errorf("read %q", got)
	}
	if _, err := os.Stat(filepath.Join(clone, ".git", "agentmail")); err == nil {
		t.Error("a reader made a mailbox")
	}
	git(t, env, clone, "update-ref", "-d", ref)
	put(t, open(t, env, clone, Options{}), "m/own", "x")
	fetch()
	if got := contents(t, env, clone); len(got) != 2 {
		t.Errorf("read %q", got)
	}
	git(t, env, clone, "update-ref", "-d", ref)
	if got := contents(t, env, clone); len(got) != 2 {
		t.Errorf("after the ref is gone: %q", got)
	}
	git(t, env, clone, "rev-parse", ref)
}

// TestNoteLooksAgain: what a reader saw is not written down if it is gone by then, as
// when an uninstall came between.
func TestNoteLooksAgain(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	s := open(t, env, dir, Options{})
	put(t, s, "m/1", "x")
	own := git(t, env, dir, "for-each-ref", "--format=%(refname)", refRoot)
	git(t, env, dir, "update-ref", logPrefix+"aaaaaaaaaa", own)
	v, err := s.look(context.Background())
	if err != nil || !v.news {
		t.Fatalf("%+v, %v", v, err)
	}
	git(t, env, dir, "update-ref", "-d", logPrefix+"aaaaaaaaaa")
	l, err := s.acquire(context.Background(), DefaultLockWait, false)
	if err != nil {
		t.Fatal(err)
	}
	s.note(v)
	l.release()
	if tips, err := s.repo.readTips(); err != nil || len(tips) != 1 {
		t.Errorf("written down are %v, %v", tips, err)
	}
}
