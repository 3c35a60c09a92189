//go:build unix

package gitstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// lived makes a repository with a linked worktree, and a store in it that was
// used for long. before is the tree as it was without us.
func lived(t *testing.T, env []string) (s *Store, root, dir string, before map[string]string) {
	t.Helper()
	root = t.TempDir()
	dir = filepath.Join(root, "r")
	copyUsers := func(root string) {
		copySeed(t, "users", root, func(root string) {
			dir := filepath.Join(root, "r")
			git(t, env, "", "init", "-q", "-b", "main", dir)
			writeFile(t, filepath.Join(dir, "a"), "a")
			user(t, env, dir, "add", ".")
			user(t, env, dir, "commit", "-q", "-m", "one")
			user(t, env, dir, "worktree", "add", "-q", filepath.Join(root, "wt"))
			// A pack that the user keeps, and one that is no business of ours.
			user(t, env, dir, "repack", "-q", "-d")
			packs, _ := filepath.Glob(filepath.Join(dir, ".git", "objects", "pack", "*.pack"))
			writeFile(t, strings.TrimSuffix(packs[0], ".pack")+".keep", "mine\n")
		})
		relink(t, root)
	}
	copyUsers(root)
	before = treeHash(t, root)
	copySeed(t, "lived", root, func(root string) {
		copyUsers(root)
		live(t, env, filepath.Join(root, "r"))
	})
	relink(t, root)
	return open(t, env, dir, Options{LockWait: time.Second}), root, dir, before
}

// relink makes the linked worktree of a copy its own, which git does by path.
func relink(t *testing.T, root string) {
	t.Helper()
	wt, admin := filepath.Join(root, "wt", ".git"), filepath.Join(root, "r", ".git", "worktrees", "wt")
	writeFile(t, wt, "gitdir: "+admin+"\n")
	writeFile(t, filepath.Join(admin, "gitdir"), wt+"\n")
}

// live uses a store in dir for long.
func live(t *testing.T, env []string, dir string) {
	t.Helper()
	s := open(t, env, dir, Options{LockWait: time.Second})
	defer s.Close()
	if err := s.SetUp("init.json", []byte("{}")); err != nil {
		t.Fatal(err)
	}
	fill(t, s, 0, MaxPacks+5)
	s.WriteCache("leases.json", []byte("{}"))
	if err := errors.Join(s.SaveCursor("wait-0000000000", ""), s.CursorDone("wait-0000000000", "mail/x")); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, ".git", AgentFile), "agent\n")
	writeFile(t, filepath.Join(dir, ".git", "worktrees", "wt", AgentFile), "agent\n")
	ref := git(t, env, dir, "for-each-ref", "--format=%(refname)", refRoot)
	git(t, env, dir, "update-ref", logPrefix+"0000000000", ref)
	git(t, env, dir, "update-ref", refRoot+"meta/x", ref)
}

// TestPurge takes everything out again, also after the user has deleted parts by
// hand. What is left is byte for byte what was there before.
func TestPurge(t *testing.T) {
	pack := func(ext string) string { return "objects/pack/*" + ext }
	for _, c := range []struct {
		name   string
		delete []string // patterns of what the user deletes before
		do     func(t *testing.T, env []string, dir string)
	}{
		{name: "untouched"},
		{name: "directory", delete: []string{"agentmail"}},
		{name: "lock", delete: []string{"agentmail/lock"}},
		{name: "identity", delete: []string{"agentmail/replica"}},
		{name: "identity and tips", delete: []string{"agentmail/replica", "agentmail/tips"}},
		{name: "tips", delete: []string{"agentmail/tips"}},
		{name: "manifest", delete: []string{"agentmail/manifest"}},
		{name: "cursors", delete: []string{"agentmail/cursors"}},
		{name: "cache", delete: []string{"agentmail-cache"}},
		{name: "refs", delete: []string{"refs/agentmail"}},
		{name: "refs and reflogs", delete: []string{"refs/agentmail", "logs/refs/agentmail"}},
		{name: "refs and directory", delete: []string{"refs/agentmail", "agentmail"}},
		{name: "reflogs", delete: []string{"logs/refs/agentmail"}},
		{name: "packs", delete: []string{pack(".pack")}},
		{name: "indexes", delete: []string{pack(".idx")}},
		{name: "agent files", delete: []string{AgentFile, "worktrees/*/" + AgentFile}},
		{name: "all but the packs", delete: []string{"agentmail", "agentmail-cache", "refs/agentmail", "logs/refs/agentmail", AgentFile}},
		{name: "refs by git", do: func(t *testing.T, env []string, dir string) {
			for ref := range strings.SplitSeq(git(t, env, dir, "for-each-ref", "--format=%(refname)", refRoot), "\n") {
				git(t, env, dir, "update-ref", "-d", ref)
			}
		}},
		{name: "empty ref", do: func(t *testing.T, env []string, dir string) {
			writeFile(t, filepath.Join(dir, ".git", "refs", "agentmail", "log", "0000000000"), "")
		}},
		{name: "bad identity", do: func(t *testing.T, env []string, dir string) {
			writeFile(t, filepath.Join(dir, ".git", "agentmail", "replica"), "x")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			env := testEnv(t)
			s, root, dir, before := lived(t, env)
			for _, pattern := range c.delete {
				names, err := filepath.Glob(filepath.Join(dir, ".git", filepath.FromSlash(pattern)))
				if err != nil || len(names) == 0 {
					t.Fatalf("nothing to delete at %s", pattern)
				}
				for _, name := range names {
					rel, _ := filepath.Rel(root, name)
					if _, users := before[rel]; !users {
						os.RemoveAll(name)
					}
				}
			}
			if c.do != nil {
				c.do(t, env, dir)
			}
			for range 2 { // the second time there is nothing to do
				if err := s.Purge(context.Background(), false); err != nil {
					t.Fatal(err)
				}
				sameTree(t, "after purge", before, treeHash(t, root))
			}
			sound(t, env, dir)
			if ok, err := s.Exists(); ok || err != nil {
				t.Errorf("Exists after purge = %v, %v", ok, err)
			}
			put(t, s, "again", "1") // and it works anew
		})
	}
}

// TestPurgeKeepsMail removes what init made and leaves what was stored.
func TestPurgeKeepsMail(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	s, _, dir, _ := lived(t, env)
	want := contents(t, env, dir)
	if err := s.Purge(context.Background(), true); err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{"agentmail-cache", "agentmail/manifest", AgentFile, "worktrees/wt/" + AgentFile} {
		if _, err := os.Stat(filepath.Join(dir, ".git", gone)); err == nil {
			t.Errorf("%s is still there", gone)
		}
	}
	if got := contents(t, env, dir); len(got) != len(want) {
		t.Errorf("%d files, want %d", len(got), len(want))
	}
}

// TestPurgeSparesTheUser has the user's own refs, index or reflogs come to need
// an object that lies in a pack of ours: git does not write what it finds.
func TestPurgeSparesTheUser(t *testing.T) {
	const text = "the same in an attachment and in a file\n"
	for _, c := range []struct {
		name string
		do   func(t *testing.T, env []string, dir string)
		read string // what must still be there
	}{
		{"staged", func(t *testing.T, env []string, dir string) {}, ":f"},
		{"committed", func(t *testing.T, env []string, dir string) { user(t, env, dir, "commit", "-q", "-m", "f") }, "HEAD:f"},
		{"stashed", func(t *testing.T, env []string, dir string) { user(t, env, dir, "stash", "-q") }, "stash:f"},
		{"in a reflog", func(t *testing.T, env []string, dir string) {
			user(t, env, dir, "commit", "-q", "-m", "f")
			user(t, env, dir, "reset", "-q", "--hard", "HEAD~1")
		}, "HEAD@{1}:f"},
		{"tagged", func(t *testing.T, env []string, dir string) {
			git(t, env, dir, "tag", "blob", ":f")
			git(t, env, dir, "rm", "-q", "--cached", "f")
		}, "blob"},
		{"after a merge of packs", func(t *testing.T, env []string, dir string) {
			s := open(t, env, dir, Options{})
			fill(t, s, 0, MaxPacks+5)
			s.Close()
		}, ":f"},
		{"after the user's gc", func(t *testing.T, env []string, dir string) { user(t, env, dir, "gc", "-q", "--prune=now") }, ":f"},
		{"in a branch that was made of a log", func(t *testing.T, env []string, dir string) {
			ref := git(t, env, dir, "for-each-ref", "--format=%(refname)", refRoot)
			git(t, env, dir, "branch", "copy", ref)
		}, "copy:attachments/x"},
	} {
		for _, linked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, linked %v", c.name, linked), func(t *testing.T) {
				t.Parallel()
				env := testEnv(t)
				dir := newRepo(t, env)
				work := dir
				if linked {
					work = filepath.Join(t.TempDir(), "wt")
					git(t, env, dir, "worktree", "add", "-q", work)
				}
				s := open(t, env, dir, Options{})
				put(t, s, "attachments/x", text)
				writeFile(t, filepath.Join(work, "f"), text)
				git(t, env, work, "add", "f")
				if out := git(t, env, dir, "count-objects"); !strings.HasPrefix(out, "2 ") { // those of newRepo
					t.Fatalf("git has written the blob again: this test shows nothing: %s", out)
				}
				c.do(t, env, work)
				if err := s.Purge(context.Background(), false); err != nil {
					t.Fatal(err)
				}
				if got := git(t, env, work, "cat-file", "-p", c.read); got != strings.TrimSpace(text) {
					t.Errorf("%s is %q", c.read, got)
				}
				sound(t, env, dir)
				if keeps, _ := filepath.Glob(filepath.Join(dir, ".git", "objects", "pack", "*.keep")); len(keeps) > 0 {
					t.Errorf("left: %q", keeps)
				}
				git(t, env, dir, "gc", "-q", "--prune=now")
				if got := git(t, env, work, "cat-file", "-p", c.read); got != strings.TrimSpace(text) {
					t.Errorf("after gc %s is %q", c.read, got)
				}
				sound(t, env, dir)
			})
		}
	}
}

// TestPurgeBesideOthers purges while readers look on and writers wait. Readers
// must not bring back what goes; a writer that comes after begins anew, and what
// it acknowledges is there.
func TestPurgeBesideOthers(t *testing.T) {
	t.Parallel()
	rounds := 4 // two with writers, two without
	if soak() {
		rounds = 50
	}
	env := testEnv(t)
	dir := newRepo(t, env)
	for round := range rounds {
		fill(t, open(t, env, dir, Options{}), 0, 3)
		stop := make(chan struct{})
		var readers, writers sync.WaitGroup
		for range 2 {
			s := open(t, env, dir, Options{})
			readers.Go(func() {
				for {
					select {
					case <-stop:
						s.Close()
						return
					default:
					}
					if sn, err := s.Snapshot(context.Background()); err == nil {
						sn.List(context.Background(), "", nil) // may find that all is gone
					}
				}
			})
		}
		var acked atomic.Int32
		write := round%2 == 1
		purger := open(t, env, dir, Options{})
		l, err := purger.acquire(context.Background(), time.Second, true)
		if err != nil {
			t.Fatal(err)
		}
		if write { // these wait for a lock file that is about to go
			for i := range 4 {
				s := open(t, env, dir, Options{LockWait: 20 * time.Second})
				writers.Go(func() {
					for j := range 3 {
						path := fmt.Sprintf("new/%d-%d-%d", round, i, j)
						if _, err := s.Update(context.Background(), func(tx *Tx) (CommitInfo, error) {
							return CommitInfo{Subject: path}, tx.Create(path, nil)
						}); err != nil {
							t.Errorf("round %d: %v", round, err)
						} else {
							acked.Add(1)
						}
					}
					s.Close()
				})
			}
		}
		l.release()
		if err := purger.Purge(context.Background(), false); err != nil {
			t.Fatal(err)
		}
		writers.Wait()
		close(stop)
		readers.Wait()
		got := contents(t, env, dir)
		if !write && len(got) != 0 {
			t.Errorf("round %d: readers brought back %v", round, got)
		}
		if _, err := os.Stat(filepath.Join(dir, ".git", "agentmail")); !write && err == nil {
			t.Errorf("round %d: a reader made the directory again", round)
		}
		sound(t, env, dir)
		if err := purger.Purge(context.Background(), false); err != nil {
			t.Fatal(err)
		}
		purger.Close()
		t.Logf("round %d: %d acknowledged, %d there", round, acked.Load(), len(got))
	}
}

// TestPurgeBetweenLookAndRestore purges when a reader has just seen that a ref
// must be restored.
func TestPurgeBetweenLookAndRestore(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	env := testEnv(t)
	dir := newRepo(t, env)
	before := treeHash(t, dir)
	s := open(t, env, dir, Options{})
	fill(t, s, 0, 3)
	git(t, env, dir, "update-ref", "-d", git(t, env, dir, "for-each-ref", "--format=%(refname)", refRoot))
	v, err := s.look(ctx)
	if err != nil || len(v.back) != 1 {
		t.Fatalf("look: %v, %v", v.back, err)
	}
	if err := open(t, env, dir, Options{}).Purge(ctx, false); err != nil {
		t.Fatal(err)
	}
	if l, err := s.acquire(ctx, restoreWait, false); err == nil {
		l.release()
		t.Error("a reader took a lock where there is no mailbox")
	}
	sameTree(t, "after the reader came", before, treeHash(t, dir))
	l, err := s.acquire(ctx, time.Second, true) // as if somebody had written since
	if err != nil {
		t.Fatal(err)
	}
	if err := s.restore(ctx, v.sn, v.back, restoreWait); err != nil {
		t.Error(err)
	}
	l.release()
	if out := git(t, env, dir, "for-each-ref", refRoot); out != "" {
		t.Errorf("brought back: %s", out)
	}
}

// TestPurgeForgetsFirst looks at the moment when the refs go: nothing may be
// there any more from which a reader would restore them.
func TestPurgeForgetsFirst(t *testing.T) {
	env := testEnv(t)
	dir := newRepo(t, env)
	fill(t, open(t, env, dir, Options{}), 0, 2)
	log := shim(t, env, `*" update-ref "*"--stdin"*) ls `+filepath.Join(dir, ".git", "agentmail")+` >>LOG;;`)
	if err := open(t, env, dir, Options{}).Purge(context.Background(), false); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(log); err != nil || strings.Contains(string(data), "json") || !strings.Contains(string(data), "lock") {
		t.Errorf("when the refs went there was %q, %v", data, err)
	}
}
