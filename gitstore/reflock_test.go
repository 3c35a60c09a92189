//go:build unix

package gitstore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestRefLock finds a lock file of git's on our own ref (T6): one that may be
// in use is left alone, for a bounded time, and one that cannot be is removed.
func TestRefLock(t *testing.T) {
	const other = "0123456789012345678901234567890123456789"
	for _, c := range []struct {
		name string
		text string        // what the lock file holds
		note string        // what agentmail/moving says, OID for text
		age  time.Duration // of the lock file
		held bool          // somebody is moving the ref
		ok   bool          // the write goes through
	}{
		{name: "fresh", text: other},
		{name: "fresh and empty"},
		{name: "59 s", text: other, age: 58 * time.Second},
		{name: "61 s", text: other, age: 61 * time.Second, ok: true},
		{name: "from the future", text: other, age: -time.Hour},
		{name: "of a killed git", text: other, note: "REF " + other, ok: true},
		{name: "of a killed git, empty", note: "REF " + other, ok: true},
		{name: "of a git at work", text: other, note: "REF " + other, held: true},
		{name: "of another git", text: strings.Repeat("a", 40), note: "REF " + other},
		{name: "beside another note", text: other, note: "refs/agentmail/log/0000000000 " + other},
		{name: "beside a bad note", text: other, note: "refs/heads/main " + other},
		{name: "beside an empty note", text: other},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			env := testEnv(t)
			dir := newRepo(t, env)
			git(t, env, dir, "config", "core.filesRefLockTimeout", "-1") // git would wait for ever
			var reports []string
			s := open(t, env, dir, Options{LockWait: 300 * time.Millisecond, Report: func(m string) { reports = append(reports, m) }})
			put(t, s, "first", "1")
			sn, err := s.Snapshot(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			lock := filepath.Join(dir, ".git", filepath.FromSlash(logRef(sn.Own()))) + ".lock"
			writeFile(t, lock, strings.TrimSuffix(c.text+"\n", "\n"))
			then := time.Now().Add(-c.age)
			if err := os.Chtimes(lock, then, then); err != nil {
				t.Fatal(err)
			}
			note := filepath.Join(dir, ".git", "agentmail", "moving")
			writeFile(t, note, strings.Replace(c.note, "REF", logRef(sn.Own()), 1)+"\n")
			if c.held {
				f, err := os.Open(note)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
					t.Fatal(err)
				}
			}
			start := time.Now()
			_, err = s.Update(context.Background(), func(tx *Tx) (CommitInfo, error) {
				return CommitInfo{Subject: "s"}, tx.Create("second", []byte("2"))
			})
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %s", took)
			}
			_, serr := os.Stat(lock)
			if c.ok {
				if err != nil || serr == nil || len(reports) != 1 || !strings.Contains(reports[0], lock) {
					t.Errorf("error %v, lock there %v, reported %q", err, serr == nil, reports)
				}
				return
			}
			if KindOf(err) != Locked || !strings.Contains(err.Error(), lock) || !strings.Contains(err.Error(), "s old)") || serr != nil {
				t.Errorf("error %v (%s), lock there %v", err, KindOf(err), serr == nil)
			}
			if got := contents(t, env, dir); len(got) != 1 {
				t.Errorf("read %q", got)
			}
			if err := os.Remove(lock); err != nil {
				t.Fatal(err)
			}
			put(t, s, "second", "2")
		})
	}
}

// TestReaderDoesNotWait sets our ref back and locks it: a reader, who would
// restore it, must not pay for that.
func TestReaderDoesNotWait(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	s := open(t, env, dir, Options{})
	for i := range 3 {
		put(t, s, fmt.Sprint(i), "x")
	}
	ref := git(t, env, dir, "for-each-ref", "--format=%(refname)", refRoot)
	git(t, env, dir, "update-ref", ref, ref+"~1")
	lock := filepath.Join(dir, ".git", filepath.FromSlash(ref)) + ".lock"
	writeFile(t, lock, "")
	start := time.Now()
	if got := contents(t, env, dir); len(got) != 3 {
		t.Errorf("read %q", got)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("a reader took %s", took)
	}
	os.Remove(lock)
	if got := contents(t, env, dir); len(got) != 3 {
		t.Errorf("read %q", got)
	}
	if n := git(t, env, dir, "rev-list", "--count", ref); n != "3" {
		t.Errorf("the ref was not restored: %s commits", n)
	}
}

// TestLockIsHeld has another process hold the mailbox's lock: each writer waits
// as long as it may and no shorter.
func TestLockIsHeld(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	const wait = 600 * time.Millisecond
	s := open(t, env, dir, Options{LockWait: wait})
	put(t, s, "first", "1")
	holder := open(t, env, dir, Options{Who: "the holder"})
	l, err := holder.acquire(context.Background(), time.Second, true)
	if err != nil {
		t.Fatal(err)
	}
	type result struct {
		err  error
		took time.Duration
	}
	update := func(ctx context.Context, path string) chan result {
		ch := make(chan result, 1)
		start := time.Now()
		go func() {
			_, err := s.Update(ctx, func(tx *Tx) (CommitInfo, error) {
				return CommitInfo{Subject: "s"}, tx.Create(path, nil)
			})
			ch <- result{err, time.Since(start)}
		}()
		return ch
	}
	early := update(context.Background(), "early")
	ctx, cancel := context.WithTimeout(context.Background(), wait/10)
	defer cancel()
	given := update(ctx, "given up")
	if r := <-given; r.err != context.DeadlineExceeded || r.took > wait/2 {
		t.Errorf("a writer whose context ended: %v after %s", r.err, r.took)
	}
	<-time.After(wait / 3)
	late := update(context.Background(), "late")
	r := <-early
	if KindOf(r.err) != Locked || r.took < wait || !strings.Contains(r.err.Error(), "the holder") || !strings.Contains(r.err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("the early writer: %v after %s", r.err, r.took)
	}
	l.release()
	if r := <-late; r.err != nil {
		t.Errorf("the late writer had time left: %v after %s", r.err, r.took)
	}
	if got := contents(t, env, dir); len(got) != 2 {
		t.Errorf("read %q", got)
	}
}
