//go:build unix

package gitstore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// together runs functions as one commit: they queue up while the lock is held.
func together(t *testing.T, s *Store, fns ...func(*Tx) (CommitInfo, error)) []error {
	t.Helper()
	l, err := s.acquire(context.Background(), time.Second, true)
	if err != nil {
		t.Fatal(err)
	}
	errs := make([]error, len(fns))
	var wg sync.WaitGroup
	for i, fn := range fns {
		wg.Go(func() { _, errs[i] = s.Update(context.Background(), fn) })
		for queued := 0; queued <= i; { // in this order
			s.mu.Lock()
			queued = len(s.queue)
			s.mu.Unlock()
		}
	}
	l.release()
	wg.Wait()
	return errs
}

func create(paths ...string) func(*Tx) (CommitInfo, error) {
	return func(tx *Tx) (CommitInfo, error) {
		for _, p := range paths {
			if err := tx.Create(p, []byte("x")); err != nil {
				return CommitInfo{}, err
			}
		}
		return CommitInfo{Subject: paths[0]}, nil
	}
}

// TestSharedCommit lets transactions share a commit of which some are at fault.
// A fault is its owner's alone.
func TestSharedCommit(t *testing.T) {
	mine := errors.New("mine")
	const bad = Kind("any")
	for _, c := range []struct {
		name string
		fns  []func(*Tx) (CommitInfo, error)
		want []Kind
		has  string
	}{
		{"all well", []func(*Tx) (CommitInfo, error){create("a"), create("b", "c/d")}, []Kind{"", ""}, "a b c/d"},
		{"one is refused by its owner", []func(*Tx) (CommitInfo, error){create("a"), func(tx *Tx) (CommitInfo, error) {
			tx.Create("b", nil)
			return CommitInfo{}, mine
		}, create("b")}, []Kind{"", bad, ""}, "a b"},
		{"one names a path of another", []func(*Tx) (CommitInfo, error){create("a"), create("z", "a"), create("z")}, []Kind{"", Duplicate, ""}, "a z"},
		{"one names a path of old", []func(*Tx) (CommitInfo, error){create("a"), create("b", "old/x"), create("c")}, []Kind{"", Duplicate, ""}, "a c"},
		{"one names a path of old, one is refused by its owner", []func(*Tx) (CommitInfo, error){create("a"), create("b", "old/x"), func(tx *Tx) (CommitInfo, error) {
			return CommitInfo{}, mine
		}}, []Kind{"", Duplicate, bad}, "a"},
		{"one makes a file where a directory is", []func(*Tx) (CommitInfo, error){create("a"), create("old"), create("c")}, []Kind{"", Duplicate, ""}, "a c"},
		{"one makes a directory where a file is", []func(*Tx) (CommitInfo, error){create("a"), create("old/x/y"), create("c")}, []Kind{"", Duplicate, ""}, "a c"},
		{"one makes a file and a directory of one name", []func(*Tx) (CommitInfo, error){create("a"), create("n/a", "n"), create("c")}, []Kind{"", Duplicate, ""}, "a c"},
		{"one makes a directory and a file of one name", []func(*Tx) (CommitInfo, error){create("a"), create("n", "n/a/b"), create("c")}, []Kind{"", Duplicate, ""}, "a c"},
		{"two make a file and a directory of one name", []func(*Tx) (CommitInfo, error){create("n"), create("n/a"), create("c")}, []Kind{"", Duplicate, ""}, "c n"},
		{"bad names", []func(*Tx) (CommitInfo, error){create("../x"), create("a//b"), create("/a"), create("a/"), create(""), create(".git/x"), create("x/.GIT"),
			create("a\\b"), create("a\x00"), create("a\nb"), create(headerFile), create(".gitmodules"), create("x/GIT~1"), create(".g\u200cit/x"), create("ok")},
			slices.Concat(slices.Repeat([]Kind{bad}, 14), []Kind{""}), "ok"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			env := testEnv(t)
			dir := newRepo(t, env)
			s := open(t, env, dir, Options{})
			put(t, s, "old/x", "1")
			for i, err := range together(t, s, c.fns...) {
				if want := c.want[i]; (err == nil) != (want == "") || want != bad && KindOf(err) != want {
					t.Errorf("transaction %d: %v (%s), want %q", i, err, KindOf(err), want)
				}
			}
			var has []string
			for path := range contents(t, env, dir) {
				if path != "old/x" {
					has = append(has, path)
				}
			}
			slices.Sort(has)
			if got := strings.Join(has, " "); got != c.has {
				t.Errorf("the store has %q, want %q", got, c.has)
			}
			sound(t, env, dir)
		})
	}
}

// TestRunsAgain moves the ref while a transaction runs: it runs again, on what is
// there now, and leaves one set of files.
func TestRunsAgain(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	s := open(t, env, dir, Options{})
	put(t, s, "first", "1")
	ref := git(t, env, dir, "for-each-ref", "--format=%(refname)", refRoot)
	runs := 0
	v, err := s.Update(context.Background(), func(tx *Tx) (CommitInfo, error) {
		runs++
		if runs <= 2 { // somebody with nothing but git
			oid := user(t, env, dir, "commit-tree", "-m", fmt.Sprint("by hand ", runs), "-m", "Signed-off-by: P", "-p", ref, ref+"^{tree}")
			git(t, env, dir, "update-ref", ref, oid)
		}
		if got := tx.Trailer("Agentmail-Seq"); got != "1" {
			t.Errorf("run %d: the trailer is %q", runs, got)
		}
		return CommitInfo{Subject: fmt.Sprint("run ", runs)}, tx.Create("second", []byte(fmt.Sprint(runs)))
	})
	if err != nil || runs != 3 {
		t.Fatalf("%d runs, %v", runs, err)
	}
	if got := contents(t, env, dir); len(got) != 2 || got["second"] != "3" {
		t.Errorf("read %q", got)
	}
	if want := Version(strings.TrimPrefix(ref, logPrefix) + "=" + git(t, env, dir, "rev-parse", ref)); v != want {
		t.Errorf("version %s, want %s", v, want)
	}
	if log := git(t, env, dir, "log", "--format=%s", ref); log != "run 3\nby hand 2\nby hand 1\nput first" {
		t.Errorf("log: %s", log)
	}
	sound(t, env, dir)
}

// TestMovedForEver has somebody move the ref in every run: the writer gives up
// in bounded time, and leaves no heap of packs.
func TestMovedForEver(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	s := open(t, env, dir, Options{LockWait: 300 * time.Millisecond})
	put(t, s, "first", "1")
	ref := git(t, env, dir, "for-each-ref", "--format=%(refname)", refRoot)
	start := time.Now()
	_, err := s.Update(context.Background(), func(tx *Tx) (CommitInfo, error) {
		git(t, env, dir, "update-ref", ref, user(t, env, dir, "commit-tree", "-m", fmt.Sprint(time.Now()), "-p", ref, ref+"^{tree}"))
		return CommitInfo{Subject: "s"}, tx.Create("second", nil)
	})
	if KindOf(err) != Locked || time.Since(start) > 5*time.Second {
		t.Errorf("%v (%s) after %s", err, KindOf(err), time.Since(start))
	}
	if got := contents(t, env, dir); len(got) != 1 {
		t.Errorf("read %q", got)
	}
	for i := range MaxPacks + 2 { // a caller who does not give up
		lock := filepath.Join(dir, ".git", filepath.FromSlash(ref)) + ".lock"
		writeFile(t, lock, "x")
		hasty := open(t, env, dir, Options{LockWait: 40 * time.Millisecond})
		if _, err := hasty.Update(context.Background(), create(strconv.Itoa(i))); KindOf(err) != Locked {
			t.Fatalf("wrote past a lock: %v", err)
		}
		hasty.Close()
		os.Remove(lock)
	}
	packs, err := s.ourPacks(context.Background(), false)
	if err != nil || len(packs) > MaxPacks {
		t.Errorf("%d packs, %v", len(packs), err)
	}
	put(t, s, "third", "3")
	sound(t, env, dir)
}

// TestContext ends the context of a writer before, while and after it is served.
func TestContext(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	s := open(t, env, dir, Options{})
	l, err := s.acquire(context.Background(), time.Second, true)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	ran := false
	if _, err := s.Update(ctx, func(tx *Tx) (CommitInfo, error) {
		ran = true
		return CommitInfo{Subject: "s"}, tx.Create("never", nil)
	}); !errors.Is(err, context.Canceled) {
		t.Errorf("a writer whose context had ended: %v", err)
	}
	l.release()

	// Once it is served, the end of the context comes too late.
	ctx, cancel = context.WithCancel(context.Background())
	if v, err := s.Update(ctx, func(tx *Tx) (CommitInfo, error) {
		cancel()
		return CommitInfo{Subject: "s"}, tx.Create("served", nil)
	}); err != nil || v == "" {
		t.Errorf("a writer that was being served: %q, %v", v, err)
	}
	put(t, s, "after", "1")
	if got := contents(t, env, dir); ran || len(got) != 2 {
		t.Errorf("ran %v, read %q", ran, got)
	}
	sn, err := s.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sn.List(ctx, "", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("List with an ended context: %v", err)
	}
	git(t, env, dir, "update-ref", logRef(sn.Own()), logRef(sn.Own())+"~1")
	if _, err := s.Snapshot(ctx); !errors.Is(err, context.Canceled) { // it would ask git
		t.Errorf("Snapshot with an ended context: %v (%s)", err, KindOf(err))
	}
}

// TestNothingWritten runs transactions that write nothing.
func TestNothingWritten(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	s := open(t, env, dir, Options{AfterCommit: func(_, _ *Snapshot, _ []File) { t.Error("AfterCommit was called") }})
	v, err := s.Update(context.Background(), func(tx *Tx) (CommitInfo, error) { return CommitInfo{}, nil })
	if v != "" || err != nil {
		t.Errorf("%q, %v", v, err)
	}
	for _, name := range []string{"agentmail/replica", "refs/agentmail"} {
		if _, err := os.Stat(filepath.Join(dir, ".git", name)); err == nil {
			t.Errorf("%s was made", name)
		}
	}
}

// TestReaderProcessDies kills the git that reads objects for us. The next read
// starts another.
func TestReaderProcessDies(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	s := open(t, env, dir, Options{})
	fill(t, s, 0, 3)
	sn, err := s.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		s.objects.mu.Lock()
		if len(s.objects.idle) > 0 && s.objects.idle[0].cmd != nil {
			s.objects.idle[0].cmd.Process.Kill()
		}
		s.objects.mu.Unlock()
		n := 0
		if err := sn.Walk(context.Background(), "m/", func(File) error { n++; return nil }); err != nil || n != 3 {
			t.Errorf("read %d files: %v", n, err)
		}
	}
	put(t, s, "after", "1")
}

// TestOddWords writes commits whose author, subject and trailers are what people
// and agents send. git's strictest check, which hubs run, must pass.
func TestOddWords(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	at := time.Now()
	s := open(t, env, dir, Options{Now: func() time.Time { return at }})
	words := []string{"", " ", "\n", "a\nb: c\n\nd", "<>", "é日本", "\xff\xfe", "a\x00b", strings.Repeat("x", 5000), "Agentmail-Seq: 999", "-n", "--", "\u202eabc", "#", "tree x", "gpgsig x"}
	for i, w := range words {
		at = time.Unix(int64(i-4)<<29, 0) // also before 1970 and after 2038
		if _, err := s.Update(context.Background(), func(tx *Tx) (CommitInfo, error) {
			if want := fmt.Sprint(i - 1); i > 0 && tx.Trailer("Agentmail-Seq") != want {
				t.Errorf("before %q the trailer is %q, want %q", w, tx.Trailer("Agentmail-Seq"), want)
			}
			return CommitInfo{Subject: w, Author: w, Trailers: [][2]string{{"Agent", w}, {"Agentmail-Seq", fmt.Sprint(i)}}}, tx.Create(fmt.Sprint(i), []byte(w))
		}); err != nil {
			t.Errorf("%q: %v", w, err)
		}
	}
	var many []func(*Tx) (CommitInfo, error)
	for i, w := range words {
		many = append(many, func(tx *Tx) (CommitInfo, error) {
			return CommitInfo{Subject: w, Author: w}, tx.Create(fmt.Sprint("many/", i), nil)
		})
	}
	for _, err := range together(t, s, many...) {
		if err != nil {
			t.Error(err)
		}
	}
	sn, err := s.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if seq, err := sn.Trailer(sn.Own(), "Agentmail-Seq"); err != nil || seq != fmt.Sprint(len(words)-1) {
		t.Errorf("the trailer at last is %q, %v", seq, err)
	}
	sound(t, env, dir)
	hub := filepath.Join(t.TempDir(), "hub")
	git(t, env, "", "init", "-q", "--bare", hub)
	git(t, env, hub, "config", "receive.fsckObjects", "true")
	git(t, env, hub, "config", "fsck.missingSpaceBeforeDate", "error")
	if out, err := exec.Command("git", "-C", dir, "push", "-q", hub, "refs/agentmail/*:refs/agentmail/*").CombinedOutput(); err != nil {
		t.Errorf("a careful hub refuses the log: %s", out)
	}
}
