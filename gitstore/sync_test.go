//go:build unix

package gitstore

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// hubOf makes a bare repository that clones exchange logs through.
func hubOf(t *testing.T, env []string) string {
	t.Helper()
	hub := filepath.Join(t.TempDir(), "hub.git")
	git(t, env, "", "init", "-q", "--bare", hub)
	return hub
}

func exchange(t *testing.T, s *Store, hub string) SyncResult {
	t.Helper()
	r, err := s.Sync(context.Background(), hub)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// allRefs names the refs of a repository.
func allRefs(t *testing.T, env []string, dir string) string {
	t.Helper()
	return git(t, env, dir, "for-each-ref", "--format=%(refname) %(objectname)")
}

func version(t *testing.T, s *Store) Version {
	t.Helper()
	sn, err := s.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return sn.Version()
}

// TestSync: three clones come to the same contents, a second time nothing is written
// anywhere, and no process of git is started but the one that fetches and those that
// read refs.
func TestSync(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	hub := hubOf(t, env)
	var stores []*Store
	var dirs []string
	for i := range 3 {
		dir := newRepo(t, env)
		s := open(t, env, dir, Options{})
		fill(t, s, i*10, 3)
		stores, dirs = append(stores, s), append(dirs, dir)
	}
	for range 2 {
		for _, s := range stores {
			exchange(t, s, hub)
		}
	}
	want := version(t, stores[0])
	for i, s := range stores {
		if got := version(t, s); got != want {
			t.Errorf("clone %d holds %s, the first %s", i, got, want)
		}
		before, there := allRefs(t, env, dirs[i]), allRefs(t, env, hub)
		r := exchange(t, s, hub)
		if len(r.Fetched) > 0 || r.Pushed > 0 || len(r.Restored) > 0 || len(r.Refused) > 0 {
			t.Errorf("clone %d: with nothing new it did %+v", i, r)
		}
		if allRefs(t, env, dirs[i]) != before || allRefs(t, env, hub) != there {
			t.Errorf("clone %d: with nothing new refs moved", i)
		}
		sound(t, env, dirs[i])
	}
	sound(t, env, hub)
}

// TestSyncRewritten: a log that was set back, or written anew, on the hub is not believed,
// whoever did it; what was there stays, and its owner's next sync puts it right.
func TestSyncRewritten(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	hub := hubOf(t, env)
	one, two := newRepo(t, env), newRepo(t, env)
	a, b := open(t, env, one, Options{}), open(t, env, two, Options{})
	fill(t, a, 0, 3)
	exchange(t, a, hub)
	exchange(t, b, hub)
	own, err := a.repo.replica()
	if err != nil {
		t.Fatal(err)
	}
	ref := logRef(own)
	was := version(t, b)

	git(t, env, hub, "update-ref", ref, git(t, env, hub, "rev-parse", ref+"~2")) // set back
	if r := exchange(t, b, hub); len(r.Refused)+len(r.Fetched) > 0 || version(t, b) != was {
		t.Errorf("a log that was set back: %+v", r)
	}
	if r := exchange(t, a, hub); r.Pushed != 1 {
		t.Errorf("the owner pushed %d commits", r.Pushed)
	}

	tree := git(t, env, hub, "rev-parse", ref+"^{tree}")
	anew := user(t, env, hub, "commit-tree", tree, "-m", "anew")
	git(t, env, hub, "update-ref", ref, anew)
	r := exchange(t, b, hub)
	if len(r.Refused) != 1 || r.Refused[0].Replica != own || !strings.Contains(r.Refused[0].Why, "anew") || version(t, b) != was {
		t.Errorf("a log that was written anew: %+v", r)
	}
	exchange(t, a, hub)
	if r := exchange(t, b, hub); len(r.Refused) > 0 || git(t, env, hub, "rev-parse", ref) == anew {
		t.Errorf("after its owner came by: %+v", r)
	}
	sound(t, env, two)
}

// copied makes a clone and a copy of its directory. Both have written since, and the first
// has told the hub.
func copied(t *testing.T, env []string, hub string) (a, b *Store, two string) {
	t.Helper()
	one := newRepo(t, env)
	a = open(t, env, one, Options{})
	fill(t, a, 0, 2)
	exchange(t, a, hub)
	two = filepath.Join(t.TempDir(), "copy")
	command(t, "cp", "-a", one, two)
	put(t, a, "by/a", "1")
	exchange(t, a, hub)
	b = open(t, env, two, Options{})
	put(t, b, "by/b", "1")
	return a, b, two
}

// TestSyncCopied: a clone is copied with its directory, and both write. The one that comes
// second to the hub takes a new identity; nothing is lost, and both go on.
func TestSyncCopied(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	hub := hubOf(t, env)
	a, b, two := copied(t, env, hub)
	other := open(t, env, newRepo(t, env), Options{})
	put(t, b, "by/b2", "2")
	exchange(t, other, hub)
	was, _ := b.repo.replica()
	r := exchange(t, b, hub)
	now, _ := b.repo.replica()
	if r.Forked == "" || r.Forked != now || now == was || r.Pushed != 1 || len(r.Refused) > 0 {
		t.Errorf("%+v, identity %s after %s", r, now, was)
	}
	put(t, b, "by/b3", "3")
	put(t, a, "by/a2", "2")
	for range 2 {
		for _, s := range []*Store{a, b, other} {
			if r := exchange(t, s, hub); r.Forked != "" || len(r.Refused) > 0 {
				t.Errorf("%+v", r)
			}
		}
	}
	for _, s := range []*Store{a, b, other} {
		if x, y := version(t, s), version(t, a); x != y {
			t.Errorf("they hold %s and %s", x, y)
		}
		sn, err := s.Snapshot(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		paths := map[string]int{}
		if err := sn.Walk(context.Background(), "by/", func(f File) error { paths[f.Path]++; return nil }); err != nil {
			t.Fatal(err)
		}
		if want := map[string]int{"by/a": 1, "by/a2": 1, "by/b": 1, "by/b2": 1, "by/b3": 1}; !maps.Equal(paths, want) {
			t.Errorf("%v", paths)
		}
	}
	sound(t, env, two)
}

// TestSyncCopiedBeside: the two halves of a copied clone keep their log at two places of one hub.
// Who has heard of one half takes the other's when the first goes by another identity, although
// what that has left behind still stands there.
func TestSyncCopiedBeside(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	hub := hubOf(t, env)
	one, three := newRepo(t, env), newRepo(t, env)
	a, c := open(t, env, one, Options{}), open(t, env, three, Options{})
	put(t, a, "m/0", "x")
	exchange(t, a, hub)
	exchange(t, c, hub)
	two := filepath.Join(t.TempDir(), "two")
	command(t, "cp", "-a", one, two)
	b := open(t, env, two, Options{RefPrefix: "s-"})
	put(t, a, "m/a", "a")
	put(t, b, "m/b", "b")
	exchange(t, a, hubOf(t, env)) // which signs
	own, tip, _ := tipOf(t, a)
	exchange(t, b, hub)
	c = open(t, env, three, Options{}) // a new process looks among all branches
	exchange(t, c, hub)
	git(t, env, one, "push", "-q", hub, tip+":"+logRef(own)) // a had fetched before b pushed
	if r := exchange(t, b, hub); r.Forked == "" {
		t.Errorf("%+v", r)
	}
	for i := range 2 {
		put(t, a, fmt.Sprint("m/a", i), "a")
		exchange(t, a, hub)
		exchange(t, b, hub)
		exchange(t, c, hub)
	}
	if r := exchange(t, c, hub); len(r.Refused) > 0 {
		t.Errorf("%+v", r)
	}
	holds(t, env, three, []string{"m/0", "m/a", "m/b", "m/a0", "m/a1"})
}

// TestSyncCopiedApart: the two halves of a copied clone use two hubs, and other clones have heard
// of one half each, before they meet. Until then none gives up what it has. Both take new identities then, and still everybody comes
// to hold the same, and nothing is lost.
func TestSyncCopiedApart(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	hub, far := hubOf(t, env), hubOf(t, env)
	a, b, two := copied(t, env, hub)
	old, _ := a.repo.replica()
	exchange(t, b, far)
	c, d := open(t, env, newRepo(t, env), Options{}), open(t, env, newRepo(t, env), Options{})
	exchange(t, c, hub)
	exchange(t, d, far)
	put(t, c, "by/c", "1")
	put(t, d, "by/d", "1")
	if r := exchange(t, c, far); len(r.Refused) != 1 || r.Refused[0].Replica != old { // what it lacks is nowhere else yet
		t.Errorf("%+v", r)
	}
	if r := exchange(t, a, far); r.Forked == "" {
		t.Errorf("%+v", r)
	}
	if r := exchange(t, b, hub); r.Forked == "" {
		t.Errorf("%+v", r)
	}
	all := []*Store{a, b, c, d}
	for range 4 {
		for _, s := range all {
			exchange(t, s, hub)
			exchange(t, s, far)
		}
	}
	for _, s := range all {
		if x, y := version(t, s), version(t, a); x != y {
			t.Errorf("they hold %s and %s", x, y)
		}
		for _, h := range []string{hub, far} {
			if r := exchange(t, s, h); len(r.Fetched)+r.Pushed+len(r.Refused) > 0 || r.Forked != "" {
				t.Errorf("with nothing new: %+v", r)
			}
		}
		sn, err := s.Snapshot(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		paths := map[string]bool{}
		if err := sn.Walk(context.Background(), "by/", func(f File) error { paths[f.Path] = true; return nil }); err != nil {
			t.Fatal(err)
		}
		if want := map[string]bool{"by/a": true, "by/b": true, "by/c": true, "by/d": true}; !maps.Equal(paths, want) || sn.logs[old] == nil {
			t.Errorf("%v, %v", paths, sn.logs)
		}
	}
	sound(t, env, two)
}

// TestSyncRestored: a clone that was put back from a backup goes on from what the hub has of
// its log.
func TestSyncRestored(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	hub := hubOf(t, env)
	one := newRepo(t, env)
	a := open(t, env, one, Options{})
	fill(t, a, 0, 2)
	backup := filepath.Join(t.TempDir(), "backup")
	command(t, "cp", "-a", one, backup)
	put(t, a, "later", "1")
	exchange(t, a, hub)
	b := open(t, env, backup, Options{})
	if r := exchange(t, b, hub); r.Forked != "" || len(r.Fetched) != 1 || version(t, b) != version(t, a) {
		t.Errorf("%+v", r)
	}
	put(t, b, "on", "1")
	if r := exchange(t, b, hub); r.Pushed != 1 {
		t.Errorf("%+v", r)
	}
}

// TestSyncForeign: what no clone of ours wrote is passed over, and stops nobody.
func TestSyncForeign(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	hub := hubOf(t, env)
	s := open(t, env, newRepo(t, env), Options{})
	fill(t, s, 0, 2)
	exchange(t, s, hub)
	commit := func(header string) OID {
		work := filepath.Join(t.TempDir(), "w")
		git(t, env, "", "init", "-q", work)
		if header != "" {
			writeFile(t, filepath.Join(work, headerFile), header)
		}
		writeFile(t, filepath.Join(work, "m", "x"), "x")
		git(t, env, work, "add", "-A")
		user(t, env, work, "commit", "-q", "-m", "x")
		git(t, env, work, "push", "-q", hub, "+HEAD:refs/tmp/x")
		return git(t, env, work, "rev-parse", "HEAD")
	}
	for name, header := range map[string]string{
		"0000000000": "",
		"0000000001": "{",
		"0000000002": `{"format":1,"replica":"0000000009","created":"","base":{}}`,
		"0000000003": `{"format":99,"replica":"0000000003","created":"","base":{}}`,
	} {
		git(t, env, hub, "update-ref", logPrefix+name, commit(header))
	}
	git(t, env, hub, "update-ref", logPrefix+"not-a-replica", commit(""))
	git(t, env, hub, "update-ref", logPrefix+"0000000004", git(t, env, hub, "hash-object", "-w", "--stdin"))
	was := version(t, s)
	r := exchange(t, s, hub)
	if len(r.Refused) != 5 || len(r.Fetched) > 0 || version(t, s) != was {
		t.Errorf("%+v", r)
	}
	put(t, s, "after", "1")
	if r := exchange(t, s, hub); r.Pushed != 1 {
		t.Errorf("%+v", r)
	}
}

// TestSyncBranches: a hub that takes nothing outside of branches gets branches, and
// readers find the logs of both kinds.
func TestSyncBranches(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	hub := hubOf(t, env)
	a := open(t, env, newRepo(t, env), Options{})
	fill(t, a, 0, 1)
	exchange(t, a, hub)
	writeFile(t, filepath.Join(hub, "hooks", "update"), "#!/bin/sh\ncase $1 in refs/heads/*) ;; *) exit 1 ;; esac\n")
	if err := os.Chmod(filepath.Join(hub, "hooks", "update"), 0o755); err != nil {
		t.Fatal(err)
	}
	b := open(t, env, newRepo(t, env), Options{})
	fill(t, b, 10, 1)
	for i := range 2 {
		if r := exchange(t, b, hub); !r.Branches || r.Pushed != 1 {
			t.Errorf("sync %d: %+v", i, r)
		}
		put(t, b, fmt.Sprint("more ", i), "x")
	}
	exchange(t, b, hub)
	exchange(t, a, hub)
	if x, y := version(t, a), version(t, b); x != y {
		t.Errorf("they hold %s and %s", x, y)
	}
	// Where it had taken a log before, a refusal passes: it is no reason to write a second.
	put(t, a, "late", "1")
	if _, err := a.Sync(context.Background(), hub); KindOf(err) != Unreachable {
		t.Errorf("a hub that refuses what it took before: %v", err)
	}
	if list, err := a.Remotes(context.Background()); err != nil || len(list) != 1 || list[0].Failed == "" || list[0].Ahead != 1 {
		t.Errorf("%+v, %v", list, err)
	}
}
