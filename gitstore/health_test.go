//go:build unix

package gitstore

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestLookingChangesNothing has people look at the store while a pack is just
// arriving: its files come one by one, and none may be taken for rubbish.
func TestLookingChangesNothing(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	env := testEnv(t)
	dir := newRepo(t, env)
	s := open(t, env, dir, Options{Who: "somebody"})
	fill(t, s, 0, 3)
	git(t, env, dir, "update-ref", refRoot+"meta/x", "HEAD")
	base := filepath.Join(dir, ".git", "objects", "pack", "pack-"+strings.Repeat("a", 40))
	for _, ext := range []string{"", ".keep", ".pack"} {
		if ext != "" {
			data := []byte(keepNote + "\n")
			if ext == ".pack" { // a whole one, of which only the index is missing
				packs, err := s.ourPacks(ctx, false)
				if err != nil {
					t.Fatal(err)
				}
				if data, err = os.ReadFile(packs[0].base + ext); err != nil {
					t.Fatal(err)
				}
			}
			writeFile(t, base+ext, string(data))
		}
		before := treeHash(t, dir)
		h, err := s.Health(ctx)
		if err != nil || h.Packs != 3 || h.Writing != "" || h.RefLock != "" || len(h.Other) != 1 {
			t.Errorf("Health = %+v, %v", h, err)
		}
		if list, err := s.Footprint(ctx, false); err != nil || len(list) != 2+3+1+1 {
			t.Errorf("Footprint = %q, %v", list, err)
		}
		if _, err := s.Footprint(ctx, true); err != nil {
			t.Error(err)
		}
		contents(t, env, dir)
		sameTree(t, "after looking", before, treeHash(t, dir))
	}
	// The next writers, who hold the lock, know that it does not arrive any more.
	fill(t, s, 3, MaxPacks)
	sound(t, env, dir)

	l, err := s.acquire(ctx, time.Second, true)
	if err != nil {
		t.Fatal(err)
	}
	if h, err := s.Health(ctx); err != nil || h.Writing != "somebody" {
		t.Errorf("Health while somebody writes = %+v, %v", h, err)
	}
	l.release()
}

// TestHold marks a process as alive.
func TestHold(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	a, b := open(t, env, dir, Options{}), open(t, env, dir, Options{})
	if a.Repo().Held("sessions/x.lock") {
		t.Error("held before anybody held it")
	}
	release, err := a.Hold("sessions/x.lock")
	if err != nil {
		t.Fatal(err)
	}
	if !b.Repo().Held("sessions/x.lock") {
		t.Error("not held")
	}
	if _, err := b.Hold("sessions/x.lock"); KindOf(err) != Locked {
		t.Errorf("held twice: %v", err)
	}
	release()
	if b.Repo().Held("sessions/x.lock") {
		t.Error("held after it was given back")
	}
}

// TestHintsCanBePasted runs the hints in a shell: paths in them mean themselves.
func TestHintsCanBePasted(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/plain/x", "/with space", "/it's", `/a"b$c`, "/new\nline", "/é", "~", "", "/;rm", "/*"} {
		e := errf(Damaged, "x").hint("printf %%s %s", path)
		if e.Hint == "printf %s " {
			continue // nothing to name
		}
		out, err := exec.Command("sh", "-c", e.Hint).Output()
		if err != nil || string(out) != path {
			t.Errorf("%s prints %q, %v", e.Hint, out, err)
		}
	}
}

// TestDescriptors checks that a long-lived process keeps no file open.
func TestDescriptors(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("no /proc: open files were not counted")
	}
	env := testEnv(t)
	out := spawn(t, env, "descriptors", childConfig{Dir: newRepo(t, env), Prefix: "d", Count: 3 * MaxPacks}, nil).wait(t, time.Minute)
	if last := out[len(out)-1]; last != "0 more" {
		t.Errorf("%d writes and reads leave descriptors open: %s", 3*MaxPacks, last)
	}
}
