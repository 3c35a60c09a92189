//go:build unix

package gitstore

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestCursor saves and reads, and looks at what others may have done to the file.
func TestCursor(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	s := open(t, env, dir, Options{})
	if err := s.SaveCursor("x", ""); err != nil {
		t.Error(err)
	}
	if ok, err := s.Exists(); ok || err != nil {
		t.Errorf("a cursor made a mailbox: %v, %v", ok, err)
	}
	v := put(t, s, "a", "1")
	if _, ok, err := s.Cursor("x"); ok || err != nil {
		t.Errorf("nothing was saved: %v, %v", ok, err)
	}
	if err := s.CursorDone("x", "early"); err != nil {
		t.Error(err)
	}
	file := filepath.Join(dir, ".git", "agentmail", "cursors", "x")
	is := func(what string, version Version, done ...string) {
		t.Helper()
		c, ok, err := open(t, env, dir, Options{}).Cursor("x")
		if err != nil || !ok || c.Version != version || !slices.Equal(slices.Sorted(maps.Keys(c.Done)), done) {
			t.Errorf("%s: %+v, %v, %v", what, c, ok, err)
		}
	}
	for _, version := range []Version{"", v, Version("0123456789=" + strings.Repeat("a", 40) + " " + string(v))} {
		if err := s.SaveCursor("x", version); err != nil {
			t.Fatal(err)
		}
		is("saved", version)
	}
	if err := s.SaveCursor("x", v); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"mail/1", "a b\nlog c\"d", ""} {
		if err := s.CursorDone("x", what); err != nil {
			t.Fatal(err)
		}
	}
	is("three done", v, "", "a b\nlog c\"d", "mail/1")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	end := strings.Index(string(whole), "end\n") + len("end\n")
	for n := range whole { // a power cut can take the end of what was only added
		if err := os.WriteFile(file, whole[:n], 0o666); err != nil {
			t.Fatal(err)
		}
		c, ok, err := s.Cursor("x")
		if n < end && (ok || KindOf(err) != Damaged) || n >= end && (!ok || err != nil || c.Version != v || len(c.Done) > 2) {
			t.Errorf("%d bytes of %d: %+v, %v, %v", n, len(whole), c, ok, err)
		}
	}
	if err := os.WriteFile(file, slices.Concat(whole[:len(whole)-2], []byte("done \"torn\"\ndone \"later\"\n")), 0o666); err != nil {
		t.Fatal(err)
	}
	is("a line in the middle is torn", v, "a b\nlog c\"d", "later", "mail/1")
	if err := s.SaveCursor("x", v); err != nil {
		t.Fatal(err)
	}
	is("saved again", v)
	// What the killed leave goes after a while.
	left := filepath.Join(filepath.Dir(file), tempPrefix+"left")
	young := left + "young"
	writeFile(t, left, "x")
	writeFile(t, young, "x")
	old := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(left, old, old); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveCursor("x", v); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); err == nil {
		t.Error("what was left is still there")
	}
	if _, err := os.Stat(young); err != nil {
		t.Errorf("what may be under way: %v", err)
	}
	if err := s.Purge(context.Background(), true); err != nil {
		t.Fatal(err)
	}
	is("the mail was kept", v)
}

// TestCursorReadOnly: it fails with an error that says why, and does no harm.
func TestCursorReadOnly(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	dir := p.repo(t, 1)
	for _, before := range []string{"none", "there is one"} {
		p.must(t, dir, "chmod", "-R", "a-w", ".git/agentmail")
		c := p.spawn(t, "cursor", childConfig{Dir: dir, Prefix: "x"})
		<-c.done
		if got := strings.Join(c.output(), " "); !strings.HasPrefix(got, "kind="+string(ReadOnly)) {
			t.Errorf("%s: it said %q", before, got)
		}
		p.must(t, dir, "chmod", "-R", "u+w", ".git/agentmail")
		p.spawn(t, "cursor", childConfig{Dir: dir, Prefix: "x"}).wait(t, time.Minute)
	}
}

// TestPurgeBesideCursors uninstalls while readers save how far they have come.
func TestPurgeBesideCursors(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	before := treeHash(t, dir)
	for range 20 {
		s := open(t, env, dir, Options{})
		v := put(t, s, "a", "1")
		stop := make(chan struct{})
		var readers sync.WaitGroup
		for _, name := range []string{"x", "y"} {
			r := open(t, env, dir, Options{})
			readers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					// It may fail when all goes at that moment; what counts is what is left.
					r.SaveCursor(name, v)
					r.CursorDone(name, "a")
				}
			})
		}
		err := s.Purge(context.Background(), false)
		close(stop)
		readers.Wait()
		if err != nil {
			t.Fatal(err)
		}
		sameTree(t, "after the purge", before, treeHash(t, dir))
		s.Close()
	}
}
