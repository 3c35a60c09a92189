//go:build unix

package gitstore

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestTruncateMoved: a log that moved to another place on a hub, where the first stays behind, is
// truncated. Who knows it follows, and who is new does not get what is gone.
func TestTruncateMoved(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	hub := hubOf(t, env)
	one, two, three := newRepo(t, env), newRepo(t, env), newRepo(t, env)
	a, b := open(t, env, one, Options{}), open(t, env, two, Options{})
	want := fill(t, a, 0, 30)
	exchange(t, a, hub)
	exchange(t, b, hub)
	a.Close()
	a = open(t, env, one, Options{RefPrefix: "claude/"})
	put(t, a, "by/moved", "x")
	if r := exchange(t, a, hub); r.Pushed != 1 || !strings.HasPrefix(r.Place, "refs/heads/claude/") {
		t.Fatalf("%+v", r)
	}
	gone := blobOf(t, env, one, "12")
	cut(t, a, time.Unix(0, 0), "m/02")
	put(t, a, "by/later", "x")
	b.Close()
	b = open(t, env, two, Options{}) // a new process looks for new places
	c := open(t, env, three, Options{})
	for _, s := range []*Store{a, b, c} {
		exchange(t, s, hub)
	}
	seenBy(t, a, b, c)
	want = lacking(want, "m/02")
	for _, dir := range []string{one, two, three} {
		if got := lacking(contents(t, env, dir), "by/"); !maps.Equal(got, want) {
			t.Errorf("%s holds %v", dir, got)
		}
		sound(t, env, dir)
	}
	for _, s := range []*Store{a, b, c} {
		if r := exchange(t, s, hub); len(r.Fetched)+r.Pushed+len(r.Refused)+len(r.Restored) > 0 {
			t.Errorf("with nothing new: %+v", r)
		}
	}
	// Who has had the bytes is rid of them when what stayed behind is gone from the hub.
	git(t, env, "", "-C", hub, "update-ref", "-d", logRef(idOf(t, a)))
	for _, s := range []*Store{a, b} {
		exchange(t, s, hub)
	}
	for _, dir := range []string{one, two} {
		if has(env, dir, gone) {
			t.Errorf("%s still has the bytes", dir)
		}
	}
}

// TestTruncateBranch: a truncation waits for every place of a log at a hub.
func TestTruncateBranch(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	hub := hubOf(t, env)
	one, two := newRepo(t, env), newRepo(t, env)
	a, b := open(t, env, one, Options{RefPrefix: "claude/s-1-"}), open(t, env, two, Options{})
	fill(t, a, 0, 30)
	exchange(t, a, hub)
	exchange(t, b, hub)
	gone := blobOf(t, env, one, "12")
	if _, waiting := cut(t, a, time.Unix(0, 0), "m/02"); !slices.Equal(waiting, []string{hub}) {
		t.Errorf("it waits for %q", waiting)
	}
	exchange(t, a, hub)
	exchange(t, b, hub)
	for _, dir := range []string{one, two} {
		if has(env, dir, gone) {
			t.Errorf("%s still has the bytes", dir)
		}
		if _, err := os.Stat(filepath.Join(dir, ".git", "agentmail", shedFile)); err == nil {
			t.Error("something is still to be done")
		}
	}
}

// TestTruncateArchived: a log comes back from an archive, is truncated, and goes into another.
// The later one counts, and when the two become one the earlier is gone.
func TestTruncateArchived(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	for range 3 { // which of the two is looked at first is chance
		hub := hubOf(t, env)
		one := newRepo(t, env)
		a := open(t, env, one, Options{})
		s := open(t, env, newRepo(t, env), Options{})
		put(t, s, "x", "x")
		fill(t, a, 0, 30)
		own := idOf(t, a)
		archive := func() {
			t.Helper()
			exchange(t, a, hub)
			exchange(t, s, hub)
			at := git(t, env, "", "-C", hub, "rev-parse", logRef(own))
			spec, err := s.makeArchive(context.Background(), map[string]OID{own: at}, logRef(own), nil)
			if err == nil {
				err = s.repo.replace(context.Background(), hub, spec, []dropSpec{{logRef(own), at}})
			}
			if err != nil {
				t.Fatal(err)
			}
			exchange(t, s, hub)
		}
		archive()
		exchange(t, a, hub)
		gone := blobOf(t, env, one, "12")
		if _, waiting := cut(t, a, time.Unix(0, 0), "m/02"); !slices.Equal(waiting, []string{hub}) {
			t.Errorf("it waits for %q", waiting)
		}
		archive()
		fresh := open(t, env, newRepo(t, env), Options{})
		exchange(t, fresh, hub)
		exchange(t, a, hub)
		seenBy(t, a, fresh, s)
		refs, err := s.imageRefs(hub)
		if err != nil {
			t.Fatal(err)
		}
		archives, _, err := s.archivesIn(refs)
		if err != nil || len(archives) != 2 {
			t.Fatal(archives, err)
		}
		all := map[string]OID{}
		for _, ref := range slices.Sorted(maps.Keys(archives)) {
			if !s.fold(all, archives[ref], refs, nil) {
				t.Error("two epochs of a log cannot be in one archive")
			}
		}
		if want := git(t, env, one, "rev-parse", logRef(own)); all[own] != want {
			t.Errorf("together they hold %q, not %q", all[own], want)
		}
		if !has(env, one, gone) {
			t.Error("an archive needs what is gone")
		}
		late := time.Now().Add(2 * retireGapQuiet)
		s.Close()
		s = open(t, env, s.repo.Dir, Options{Now: func() time.Time { return late }})
		exchange(t, s, hub)
		if n := strings.Count(git(t, env, "", "-C", hub, "for-each-ref", archivePrefix), "refs/"); n != 1 {
			t.Errorf("the hub has %d archives", n)
		}
		exchange(t, a, hub)
		exchange(t, a, hub)
		if has(env, one, gone) {
			t.Error("nothing needs it, and it is there")
		}
		seenBy(t, a, s)
	}
}

// TestForeignBeside: what somebody puts where a log of that name would be stops neither its
// owner, who pushes elsewhere, nor readers.
func TestForeignBeside(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	for _, name := range []string{"no log", "another's log"} {
		hub := hubOf(t, env)
		a := open(t, env, newRepo(t, env), Options{RefPrefix: "claude/"})
		b := open(t, env, newRepo(t, env), Options{})
		put(t, a, "first", "x")
		put(t, b, "theirs", "x")
		exchange(t, a, hub)
		exchange(t, b, hub)
		from, what := b.repo.Dir, logRef(idOf(t, b))
		if name == "no log" {
			from, what = newRepo(t, env), "HEAD"
			user(t, env, from, "commit", "-q", "--allow-empty", "-m", "none")
		}
		git(t, env, from, "push", "-q", hub, what+":"+logRef(idOf(t, a)))
		put(t, a, "second", "x")
		if r := exchange(t, a, hub); r.Pushed != 1 {
			t.Errorf("%s: the owner %+v", name, r)
		}
		exchange(t, b, hub)
		exchange(t, a, hub)
		seenBy(t, a, b)
	}
}
