//go:build unix

package gitstore

import (
	"context"
	"io"
	"testing"
)

// fenceFor is a clone that may push under a fence, and the table of its remote.
func fenceFor(t *testing.T) (env []string, s *Store, dir, hub string, table *Table) {
	t.Helper()
	env = testEnv(t)
	hub, dir = hubOf(t, env), newRepo(t, env)
	git(t, env, dir, "checkout", "-q", "-B", "main")
	user(t, env, dir, "commit", "-q", "--allow-empty", "-m", "first")
	git(t, env, dir, "remote", "add", "origin", hub)
	git(t, env, dir, "push", "-q", "-u", "origin", "main")
	s = open(t, env, dir, Options{})
	put(t, s, "x", "x")
	if _, err := s.SyncTable(context.Background(), "origin", func(_ context.Context, at *Table) (*TableChange, error) {
		table = at
		return &TableChange{Files: map[string][]byte{"table.json": []byte("1")}, Subject: "first"}, nil
	}); err != nil {
		t.Fatal(err)
	}
	return env, s, dir, hub, table
}

// TestPushFencedLease: what was pushed by somebody else after the look is not overwritten with
// --force-with-lease, and is with --force, as with git push.
func TestPushFencedLease(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		push Push
		over bool
	}{
		{"lease", Push{Options: []string{"--force-with-lease"}}, false},
		{"force", Push{Choice: []string{"--force"}}, true},
		{"both", Push{Options: []string{"--force-with-lease"}, Choice: []string{"--force"}}, true},
		{"plus", Push{Options: []string{"--force-with-lease"}, Refspecs: []string{"+main"}}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			env, s, dir, hub, table := fenceFor(t)
			user(t, env, dir, "commit", "-q", "--amend", "--allow-empty", "-m", "again")
			c.push.Remote, c.push.Stderr = "origin", io.Discard
			plan, err := s.repo.PlanPush(context.Background(), c.push)
			if err != nil || len(plan) != 1 || plan[0].Flag != "+" {
				t.Fatal(plan, err)
			}
			other := newRepo(t, env)
			git(t, env, other, "fetch", "-q", hub, "main")
			user(t, env, other, "checkout", "-q", "FETCH_HEAD")
			user(t, env, other, "commit", "-q", "--allow-empty", "-m", "theirs")
			git(t, env, other, "push", "-q", hub, "HEAD:main")
			theirs := git(t, env, other, "rev-parse", "HEAD")

			done, moved, err := s.PushFenced(context.Background(), c.push, plan, table, TableChange{Files: map[string][]byte{"table.json": []byte("2")}, Subject: "second"})
			if err != nil || moved != c.over {
				t.Errorf("moved %v, %+v, %v", moved, done, err)
			}
			if over := git(t, env, "", "-C", hub, "rev-parse", "main") != theirs; over != c.over {
				t.Errorf("overwritten: %v", over)
			}
		})
	}
}

// TestTableBefore: that a table was written anew is told until the answer to it stands at the
// hub, also where somebody else was faster.
func TestTableBefore(t *testing.T) {
	t.Parallel()
	env, s, dir, hub, _ := fenceFor(t)
	ctx := context.Background()
	forge := func(parent ...string) string {
		t.Helper()
		args := []string{"commit-tree", "-m", "theirs", git(t, env, dir, "rev-parse", "HEAD^{tree}")}
		if len(parent) > 0 {
			args = append(args, "-p", parent[0])
		}
		oid := git(t, env, dir, append([]string{"-c", "user.name=x", "-c", "user.email=x@y"}, args...)...)
		git(t, env, dir, "push", "-q", "-f", hub, oid+":"+tableRef)
		return oid
	}
	first := forge()
	told, tries := 0, 0
	for {
		r, err := s.SyncTable(ctx, "origin", func(ctx context.Context, at *Table) (*TableChange, error) {
			if before, err := at.Before(ctx); err != nil {
				t.Error(err)
			} else if before != nil {
				told++
			}
			if tries++; tries == 1 {
				forge(first) // somebody goes on from the forged one meanwhile
			}
			return &TableChange{Files: map[string][]byte{"table.json": []byte("2")}, Subject: "second"}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if !r.Contended {
			break
		}
	}
	if tries != 2 || told != 2 {
		t.Errorf("told %d times in %d tries", told, tries)
	}
}
