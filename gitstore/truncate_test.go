//go:build unix

package gitstore

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// cut truncates a store's own log: what begins with one of the prefixes goes.
func cut(t testing.TB, s *Store, before time.Time, prefixes ...string) (Header, []string) {
	t.Helper()
	h, _, waiting, err := s.Truncate(context.Background(), func(sn *Snapshot) (Cut, error) {
		files, err := sn.ListLog(context.Background(), sn.Own(), "", nil)
		c := Cut{Before: before, Subject: "truncate", Upto: 1}
		for _, f := range files {
			if slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(f.Path, p) }) {
				c.Drop = append(c.Drop, f.Path)
			}
		}
		return c, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return h, waiting
}

// has reports whether an object is in the object database.
func has(env []string, dir, oid string) bool {
	cmd := exec.Command("git", "cat-file", "-e", oid)
	cmd.Dir, cmd.Env = dir, env
	return cmd.Run() == nil
}

// blobOf names the object with some contents.
func blobOf(t testing.TB, env []string, dir, data string) string {
	t.Helper()
	cmd := exec.Command("git", "hash-object", "--stdin")
	cmd.Dir, cmd.Env, cmd.Stdin = dir, env, strings.NewReader(data)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func lacking(m map[string]string, prefixes ...string) map[string]string {
	m = maps.Clone(m)
	maps.DeleteFunc(m, func(path, _ string) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(path, p) })
	})
	return m
}

// TestTruncate: what was to go is gone, its bytes with it, what stays is as it was, and the
// next write goes on from there.
func TestTruncate(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	s := open(t, env, dir, Options{})
	want := fill(t, s, 0, 2*MaxPacks)
	put(t, s, "a/secret", "these bytes go")
	own, _ := s.repo.replica()
	old := git(t, env, dir, "rev-parse", logRef(own))
	before := git(t, env, dir, "ls-tree", "-r", old)
	h, waiting := cut(t, s, time.Unix(1_000_000, 0), "a/", "m/01/", "m/02/7")
	if h.Base != (Base{1, 1}) || len(waiting) > 0 || h.Created == "" || h.Replica != own {
		t.Errorf("%+v, waiting for %q", h, waiting)
	}
	want = lacking(want, "a/", "m/01/", "m/02/7")
	if got := contents(t, env, dir); !maps.Equal(got, want) {
		t.Errorf("it holds %v, want %v", got, want)
	}
	for _, line := range strings.Split(git(t, env, dir, "ls-tree", "-r", logRef(own)), "\n") {
		if !strings.Contains(before, line) && !strings.HasSuffix(line, headerFile) {
			t.Errorf("%s was not there before", line)
		}
	}
	if n := git(t, env, dir, "rev-list", "--count", logRef(own)); n != "1" {
		t.Errorf("%s commits", n)
	}
	msg := git(t, env, dir, "log", "-1", "--format=%B", logRef(own))
	if !strings.Contains(msg, "Agentmail-Seq: 1\n") || !strings.Contains(msg, "Truncated: 1970-01-12T13:46:40Z "+old) {
		t.Errorf("the commit says %q", msg)
	}
	for _, oid := range []string{old, blobOf(t, env, dir, "these bytes go"), blobOf(t, env, dir, "7")} {
		if has(env, dir, oid) {
			t.Errorf("the object %s is still there", oid)
		}
	}
	sound(t, env, dir)
	noStrays(t, dir)
	put(t, s, "after/1", "x")
	put(t, open(t, env, dir, Options{}), "after/2", "x")
	want["after/1"], want["after/2"] = "x", "x"
	if got := contents(t, env, dir); !maps.Equal(got, want) {
		t.Errorf("after it is written to it holds %v", got)
	}
	// Again, and with nothing to go.
	if h, _ := cut(t, s, time.Unix(0, 0), "after/1"); h.Base.Epoch != 2 {
		t.Errorf("%+v", h)
	}
	if msg := git(t, env, dir, "log", "-1", "--format=%B", logRef(own)); !strings.Contains(msg, "Truncated: 1970-01-12") {
		t.Errorf("the time shrank: %q", msg)
	}
	tip := git(t, env, dir, "rev-parse", logRef(own))
	if _, done, _, err := s.Truncate(context.Background(), func(*Snapshot) (Cut, error) { return Cut{}, nil }); done || err != nil || git(t, env, dir, "rev-parse", logRef(own)) != tip {
		t.Errorf("with nothing to go: %v, %v", done, err)
	}
	sound(t, env, dir)
	noStrays(t, dir)
}

// TestTruncateKeeps: what the user's refs, index, reflogs or worktrees have come to need of
// our objects stays, whatever else goes; and git has nothing to complain of.
func TestTruncateKeeps(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	s, _, dir, _ := lived(t, env)
	own, _ := s.repo.replica()
	for i := range 6 {
		put(t, s, fmt.Sprint("files/", i), fmt.Sprint("bytes ", i))
	}
	git(t, env, dir, "update-ref", "-d", logPrefix+"0000000000")
	git(t, env, dir, "update-ref", "-d", refRoot+"meta/x")
	os.Remove(filepath.Join(dir, ".git", "agentmail", tipsFile)) // who removes a log by hand
	version(t, s)
	put(t, s, "files/6", "bytes 6")
	before := git(t, env, dir, "rev-parse", logRef(own)+"~1")
	for i, what := range []string{"committed", "staged", "stashed", "in a worktree", "unreachable"} {
		writeFile(t, filepath.Join(dir, what), fmt.Sprint("bytes ", i))
		switch what {
		case "committed":
			user(t, env, dir, "add", what)
			user(t, env, dir, "commit", "-q", "-m", what)
		case "stashed":
			user(t, env, dir, "add", what)
			user(t, env, dir, "reset", "-q", "--hard")
			writeFile(t, filepath.Join(dir, what), fmt.Sprint("bytes ", i))
			user(t, env, dir, "stash", "-q", "--include-untracked")
			writeFile(t, filepath.Join(dir, "staged"), "bytes 1")
			user(t, env, dir, "add", "staged")
		case "in a worktree":
			wt := filepath.Join(filepath.Dir(dir), "wt")
			writeFile(t, filepath.Join(wt, what), fmt.Sprint("bytes ", i))
			user(t, env, wt, "add", what)
		}
	}
	git(t, env, dir, "update-ref", "refs/heads/at-a-log", before)
	user(t, env, dir, "commit-graph", "write", "--reachable")
	git(t, env, dir, "multi-pack-index", "write")
	graph, _ := os.ReadFile(filepath.Join(dir, ".git", "objects", "info", "commit-graph"))
	old := git(t, env, dir, "rev-parse", logRef(own))
	if !graphNames(graph, map[OID]bool{old: true}) {
		t.Fatal("the graph does not name our commit: this test shows nothing")
	}
	cut(t, s, time.Unix(0, 0), "files/", "m/00")
	for i := range 4 {
		if !has(env, dir, blobOf(t, env, dir, fmt.Sprint("bytes ", i))) {
			t.Errorf("%d: bytes of the user's are gone", i)
		}
	}
	if !has(env, dir, before) {
		t.Error("the user's branch has lost its commit")
	}
	git(t, env, dir, "update-ref", "-d", "refs/heads/at-a-log")
	if has(env, dir, old) {
		t.Error("the old end of the log is still there")
	}
	put(t, s, "files/again", "x")
	cut(t, s, time.Unix(0, 0), "files/")
	if has(env, dir, before) || has(env, dir, blobOf(t, env, dir, "bytes 5")) {
		t.Error("what nobody needs any more is still there")
	}
	sound(t, env, dir)
	git(t, env, dir, "commit-graph", "verify")
}

// TestTruncateSync: a hub and other clones follow, nobody is alarmed, and the bytes go
// everywhere; a remote that has not been asked since keeps them for that long.
func TestTruncateSync(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	hub := hubOf(t, env)
	one, two := newRepo(t, env), newRepo(t, env)
	a, b := open(t, env, one, Options{}), open(t, env, two, Options{})
	want := fill(t, a, 0, 3*MaxPacks)
	for _, s := range []*Store{a, b, a, b} {
		put(t, s, fmt.Sprint("by/", time.Now().UnixNano()), "x")
		exchange(t, s, hub)
	}
	exchange(t, a, hub)
	own, _ := a.repo.replica()
	old, gone := git(t, env, one, "rev-parse", logRef(own)), blobOf(t, env, one, "12")
	_, waiting := cut(t, a, time.Unix(0, 0), "m/02")
	if !slices.Equal(waiting, []string{hub}) || !has(env, one, gone) {
		t.Errorf("before the remote has it: waiting for %q", waiting)
	}
	put(t, a, "by/later", "x")
	if r := exchange(t, a, hub); r.Pushed != 2 || len(r.Refused) > 0 || r.Forked != "" {
		t.Errorf("the owner: %+v", r)
	}
	if has(env, one, gone) || has(env, one, old) {
		t.Error("the owner still has the bytes after the exchange")
	}
	if r := exchange(t, b, hub); len(r.Fetched) != 1 || len(r.Refused) > 0 {
		t.Errorf("the other: %+v", r)
	}
	if has(env, two, gone) || has(env, two, old) {
		t.Error("the other still has the bytes after the exchange")
	}
	if x, y := version(t, a), version(t, b); x != y {
		t.Errorf("they hold %s and %s", x, y)
	}
	got := lacking(contents(t, env, two), "by/")
	if want = lacking(want, "m/02"); !maps.Equal(got, want) {
		t.Errorf("the other holds %v", got)
	}
	for _, s := range []*Store{a, b} {
		if r := exchange(t, s, hub); len(r.Fetched)+r.Pushed+len(r.Refused) > 0 {
			t.Errorf("with nothing new: %+v", r)
		}
	}
	for _, dir := range []string{one, two} {
		sound(t, env, dir)
		if _, err := os.Stat(filepath.Join(dir, ".git", "agentmail", shedFile)); err == nil {
			t.Error("something is still to be done")
		}
	}
}

// TestTruncateStale: a log of before its truncation comes back to a hub, or in a bundle. Who
// knows better keeps that, and the owner's next exchange puts it right.
func TestTruncateStale(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	hub := hubOf(t, env)
	one, two, three := newRepo(t, env), newRepo(t, env), newRepo(t, env)
	a, b, stale := open(t, env, one, Options{}), open(t, env, two, Options{Report: func(m string) { t.Error(m) }}), open(t, env, three, Options{})
	fill(t, a, 0, 8)
	for _, s := range []*Store{a, b, stale} {
		exchange(t, s, hub)
	}
	own, _ := a.repo.replica()
	old := git(t, env, one, "rev-parse", logRef(own))
	bundle := filepath.Join(t.TempDir(), "old.bundle")
	if _, err := stale.SyncBundle(context.Background(), bundle); err != nil {
		t.Fatal(err)
	}
	cut(t, a, time.Unix(0, 0), "m/00")
	exchange(t, a, hub)
	exchange(t, b, hub)
	now := version(t, b)
	git(t, env, hub, "update-ref", "-d", logRef(own))
	if r := exchange(t, stale, hub); len(r.Restored) != 1 || git(t, env, hub, "rev-parse", logRef(own)) != old {
		t.Errorf("the stale clone: %+v", r)
	}
	for range 2 {
		if r := exchange(t, b, hub); len(r.Fetched) > 0 || len(r.Refused) > 0 || version(t, b) != now {
			t.Errorf("who knows better: %+v", r)
		}
	}
	if r, err := b.SyncBundle(context.Background(), bundle); err != nil || len(r.Fetched) > 0 || version(t, b) != now {
		t.Errorf("by a bundle: %+v, %v", r, err)
	}
	if r, err := stale.SyncBundle(context.Background(), bundle); err != nil || len(r.Fetched) != 1 {
		t.Errorf("the bundle holds what is newer: %+v, %v", r, err)
	}
	if r := exchange(t, a, hub); r.Pushed != 1 || r.Forked != "" {
		t.Errorf("the owner: %+v", r)
	}
	for i, s := range []*Store{a, b, stale} {
		exchange(t, s, hub)
		if version(t, s) != now {
			t.Errorf("clone %d holds %s", i, version(t, s))
		}
		if dir := []string{one, two, three}[i]; has(env, dir, old) {
			t.Errorf("clone %d has the old commits", i)
		} else {
			sound(t, env, dir)
		}
	}
	// What is no truncation, by its epoch, what it says is missing, or its numbers; who checks
	// signatures as well takes none of these.
	if _, err := a.Update(context.Background(), func(tx *Tx) (CommitInfo, error) {
		return CommitInfo{Subject: "s", Trailers: [][2]string{{SeqTrailer, "9"}}}, tx.Create("more", nil)
	}); err != nil {
		t.Fatal(err)
	}
	exchange(t, a, hub)
	exchange(t, b, hub)
	now = version(t, b)
	work := filepath.Join(t.TempDir(), "w")
	git(t, env, "", "clone", "-q", hub, work)
	git(t, env, work, "fetch", "-q", "origin", logRef(own))
	git(t, env, work, "checkout", "-q", "FETCH_HEAD")
	header := git(t, env, work, "show", "HEAD:"+headerFile)
	for _, c := range []struct {
		base, seq string
		ok        bool
	}{
		{`{"epoch":1,"upto":9}`, "10", false},
		{`{"epoch":7,"upto":0}`, "10", false},
		{`{"epoch":7,"upto":9}`, "8", false},
		{`{"epoch":7,"upto":1}`, "9", true},
	} {
		writeFile(t, filepath.Join(work, headerFile), strings.Replace(header, `{"epoch":1,"upto":1}`, c.base, 1))
		git(t, env, work, "add", "-A")
		anew := user(t, env, work, "commit-tree", git(t, env, work, "write-tree"), "-m", "anew", "-m", SeqTrailer+": "+c.seq)
		git(t, env, work, "push", "-q", "origin", "+"+anew+":"+logRef(own))
		if r := exchange(t, b, hub); len(r.Refused) != 1 || version(t, b) != now {
			t.Errorf("%+v without a signature: %+v", c, r)
		}
		b := open(t, env, two, Options{Trust: trustOff})
		r := exchange(t, b, hub)
		if c.ok != (len(r.Refused) == 0 && version(t, b) != now) {
			t.Errorf("%+v: %+v", c, r)
		}
	}
	// What was never of this clone is written over, whatever its epoch.
	writeFile(t, filepath.Join(work, headerFile), strings.Replace(header, `"created":"2`, `"created":"1`, 1))
	git(t, env, work, "add", "-A")
	git(t, env, work, "push", "-q", "origin", "+"+user(t, env, work, "commit-tree", git(t, env, work, "write-tree"), "-m", "anew")+":"+logRef(own))
	was := version(t, a)
	if r := exchange(t, a, hub); r.Forked != "" || r.Pushed == 0 || version(t, a) != was {
		t.Errorf("a log of somebody else's: %+v", r)
	}
}

// TestTruncateSetBack: the ref is set back to before the truncation, or removed, or all that
// remembers it is gone. What was accepted comes back; a truncation that was killed before it
// was noted holds.
func TestTruncateSetBack(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	hub := hubOf(t, env)
	s := open(t, env, dir, Options{})
	want := lacking(fill(t, s, 0, 7), "m/01")
	own, _ := s.repo.replica()
	exchange(t, s, hub) // its image keeps the old commits
	old := git(t, env, dir, "rev-parse", logRef(own))
	tips, _ := os.ReadFile(s.repo.dir(tipsFile))
	cut(t, s, time.Unix(0, 0), "m/01")
	check := func(what string) {
		t.Helper()
		if got := contents(t, env, dir); !maps.Equal(got, want) {
			t.Errorf("%s: it holds %v", what, got)
		}
		put(t, open(t, env, dir, Options{}), "x/"+strings.ReplaceAll(what, " ", "-"), "x")
		want["x/"+strings.ReplaceAll(what, " ", "-")] = "x"
		if n := git(t, env, dir, "rev-list", "--count", logRef(own)); n == "8" {
			t.Errorf("%s: the old log goes on", what)
		}
	}
	writeFile(t, s.repo.dir(tipsFile), string(tips)) // it was killed before it wrote them
	check("killed")
	git(t, env, dir, "update-ref", logRef(own), old)
	check("set back")
	git(t, env, dir, "update-ref", "-d", logRef(own))
	check("removed")
	// Neither ref nor memory: what is in the packs is found, and of two epochs the later.
	os.Remove(s.repo.dir(tipsFile))
	git(t, env, dir, "update-ref", "-d", logRef(own))
	check("forgotten")
	sound(t, env, dir)
}

// TestTruncateForgotten: of a log that was truncated and not written to since, one commit is
// all there is to find.
func TestTruncateForgotten(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	s := open(t, env, dir, Options{})
	want := lacking(fill(t, s, 0, 7), "m/01")
	own, _ := s.repo.replica()
	cut(t, s, time.Unix(0, 0), "m/01")
	os.Remove(s.repo.dir(tipsFile))
	git(t, env, dir, "update-ref", "-d", logRef(own))
	if got := contents(t, env, dir); !maps.Equal(got, want) {
		t.Errorf("it holds %v", got)
	}
}

// TestTruncateCopied: the directory of a clone is copied, both write, and one or both
// truncate, in any order of exchanges. All that is young is in both in the end, under two
// identities, and nothing that was cut by its age comes back by the one that cut it.
func TestTruncateCopied(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name         string
		cutA, cutB   bool // before anybody has exchanged since
		first        string
		more         bool // the first exchanges again before the second
		bWrites      bool
		published    bool // the one that is second had published before it truncated
		wantIdentity int
	}{
		{"the original truncates and is first", true, false, "a", false, true, false, 2},
		{"and is second", true, false, "b", false, true, false, 2},
		{"the copy truncates and is second", false, true, "a", false, true, false, 2},
		{"both truncate", true, true, "a", false, true, false, 2},
		{"both, and one writes on", true, true, "b", true, true, false, 2},
		{"the copy has written nothing", true, false, "a", false, false, false, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			env := testEnv(t)
			hub := hubOf(t, env)
			one := newRepo(t, env)
			day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
			at := func(n int) Options {
				return Options{Now: func() time.Time { return day.AddDate(0, 0, n) }}
			}
			put(t, open(t, env, one, at(0)), "old/1", "1")
			put(t, open(t, env, one, at(50)), "new/1", "1")
			a := open(t, env, one, at(60))
			exchange(t, a, hub)
			two := filepath.Join(t.TempDir(), "copy")
			command(t, "cp", "-a", one, two)
			b := open(t, env, two, at(60))
			put(t, a, "by/a", "1")
			if c.bWrites {
				put(t, b, "by/b", "1")
			}
			if c.cutA {
				cut(t, a, day.AddDate(0, 0, 30), "old/")
			}
			if c.cutB {
				cut(t, b, day.AddDate(0, 0, 30), "old/")
			}
			other := open(t, env, newRepo(t, env), Options{})
			exchange(t, other, hub)
			order := []*Store{a, b}
			if c.first == "b" {
				order = []*Store{b, a}
			}
			exchange(t, order[0], hub)
			if c.more {
				put(t, order[0], "by/first", "1")
				exchange(t, order[0], hub)
			}
			exchange(t, other, hub)
			forks := 0
			for round := range 4 {
				for i, s := range append(order[1:2:2], order[0], other) {
					r := exchange(t, s, hub)
					if round+i == 0 { // should neither ever come back, it is all there
						late := newRepo(t, env)
						exchange(t, open(t, env, late, Options{}), hub)
						if got := contents(t, env, late); got["by/a"] == "" || c.bWrites && got["by/b"] == "" {
							t.Errorf("the hub has %v", got)
						}
					}
					if r.Forked != "" {
						forks++
					}
					if len(r.Refused) > 0 {
						t.Errorf("%+v", r)
					}
				}
			}
			if forks != c.wantIdentity-1 {
				t.Errorf("%d new identities", forks)
			}
			want := []string{"by/a", "new/1"}
			if c.bWrites {
				want = append(want, "by/b")
			}
			if c.more {
				want = append(want, "by/first")
			}
			slices.Sort(want)
			for i, dir := range []string{one, two} {
				got := slices.Sorted(maps.Keys(contents(t, env, dir)))
				got = slices.DeleteFunc(got, func(p string) bool { return p == "old/1" && !(c.cutA && c.cutB) })
				if !slices.Equal(got, want) {
					t.Errorf("clone %d holds %q, want %q", i, got, want)
				}
				sound(t, env, dir)
			}
			for _, s := range []*Store{b, other} {
				if x, y := version(t, s), version(t, a); x != y {
					t.Errorf("they hold %s and %s", x, y)
				}
			}
			// Both write on, and nobody takes another identity.
			put(t, a, "on/a", "1")
			put(t, b, "on/b", "1")
			for range 2 {
				for _, s := range []*Store{a, b, other} {
					if r := exchange(t, s, hub); r.Forked != "" && c.bWrites || len(r.Refused) > 0 {
						t.Errorf("%+v", r)
					}
				}
			}
		})
	}
}

// TestTruncateKilled stops it between any two of its steps, as a kill would. The mailbox is
// whole at each, and the next truncation, or exchange, does the rest.
func TestTruncateKilled(t *testing.T) {
	env := testEnv(t)
	for _, c := range []struct {
		name string
		at   string // the command of git that it does not come back from
		done bool   // the log was moved by then
	}{
		{"before the ref moves", `*" update-ref "*"--create-reflog"*`, false},
		{"before the reflog goes", `*" reflog "*`, true},
		{"before it knows what is needed", `*" rev-list --objects "*`, true},
		{"before the new pack", `*" pack-objects "*`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := newRepo(t, env)
			s := open(t, env, dir, Options{})
			all := fill(t, s, 0, 2*MaxPacks)
			own, _ := s.repo.replica()
			old := git(t, env, dir, "rev-parse", logRef(own))
			s.Close()
			slow := slices.Clone(env)
			t.Setenv("PATH", os.Getenv("PATH"))
			log := shim(t, slow, c.at+`) echo $$ >>LOG; exec sleep 30;;`)
			p := spawn(t, slow, "truncate", childConfig{Dir: dir, Prefix: "m/03"}, nil)
			until(t, "the step", func() bool { return begun(log) > 0 })
			p.cmd.Process.Kill()
			<-p.done
			data, _ := os.ReadFile(log)
			var pid int
			fmt.Sscan(string(data), &pid)
			syscall.Kill(pid, syscall.SIGKILL)
			t.Setenv("PATH", strings.SplitN(os.Getenv("PATH"), ":", 2)[1])

			want := all
			if c.done {
				want = lacking(all, "m/03")
			}
			if got := contents(t, env, dir); !maps.Equal(got, want) {
				t.Errorf("after the kill it holds %d files, want %d", len(got), len(want))
			}
			put(t, open(t, env, dir, Options{}), "next", "x")
			sound(t, env, dir)
			s = open(t, env, dir, Options{})
			if c.done {
				if _, err := s.Shed(context.Background()); err != nil {
					t.Error(err)
				}
			} else {
				cut(t, s, time.Unix(0, 0), "m/03")
			}
			want = lacking(all, "m/03")
			want["next"] = "x"
			if got := contents(t, env, dir); !maps.Equal(got, want) {
				t.Errorf("in the end it holds %d files, want %d", len(got), len(want))
			}
			if has(env, dir, old) || has(env, dir, blobOf(t, env, dir, "13")) {
				t.Error("the bytes are still there")
			}
			sound(t, env, dir)
			noStrays(t, dir)
		})
	}
}

// TestTruncateKilledInDrop stops it while the old packs go.
func TestTruncateKilledInDrop(t *testing.T) {
	t.Parallel()
	for _, gone := range [][]string{nil, {".idx"}, {".idx", ".pack"}, {".idx", ".pack", ".keep"}} {
		env := testEnv(t)
		dir := newRepo(t, env)
		s := open(t, env, dir, Options{})
		want := lacking(fill(t, s, 0, MaxPacks-2), "m/03")
		own, _ := s.repo.replica()
		old := git(t, env, dir, "rev-parse", logRef(own))
		packs, err := s.ourPacks(context.Background(), false)
		if err != nil {
			t.Fatal(err)
		}
		aside := t.TempDir()
		for _, p := range packs {
			for _, ext := range []string{".keep", ".pack", ".idx"} {
				if err := os.Link(p.base+ext, filepath.Join(aside, filepath.Base(p.base)+ext)); err != nil {
					t.Fatal(err)
				}
			}
		}
		cut(t, s, time.Unix(0, 0), "m/03")
		s.Close()
		for i, p := range packs {
			for _, ext := range []string{".keep", ".pack", ".idx"} {
				if _, err := os.Stat(p.base + ext); err != nil && (i > 0 || !slices.Contains(gone, ext)) {
					if err := os.Rename(filepath.Join(aside, filepath.Base(p.base)+ext), p.base+ext); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		writeFile(t, s.repo.dir(shedFile), own+" 1\n")
		if err := os.MkdirAll(s.repo.dir(mergeDir), 0o777); err != nil {
			t.Fatal(err)
		}
		if got := contents(t, env, dir); !maps.Equal(got, want) {
			t.Errorf("%q: it holds %v", gone, got)
		}
		put(t, open(t, env, dir, Options{}), "next", "x")
		want["next"] = "x"
		if _, err := open(t, env, dir, Options{}).Shed(context.Background()); err != nil {
			t.Error(err)
		}
		if got := contents(t, env, dir); !maps.Equal(got, want) || has(env, dir, old) {
			t.Errorf("%q: in the end it holds %v, old commits %v", gone, got, has(env, dir, old))
		}
		sound(t, env, dir)
		noStrays(t, dir)
	}
}

// TestTruncateBesideWriters: other processes write, read and merge meanwhile.
func TestTruncateBesideWriters(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	s := open(t, env, dir, Options{LockWait: 30 * time.Second})
	fill(t, s, 0, 30)
	const writers, writes = 3, 12
	var procs []*proc
	for i := range writers {
		procs = append(procs, spawn(t, env, "write", childConfig{Dir: dir, Prefix: fmt.Sprint(i), Count: writes, Wait: time.Minute}, nil))
	}
	stop := make(chan struct{})
	var reading sync.WaitGroup
	for range 2 {
		reading.Go(func() {
			r := open(t, env, dir, Options{})
			for {
				select {
				case <-stop:
					return
				default:
				}
				sn, err := r.Snapshot(context.Background())
				if err == nil {
					err = sn.Walk(context.Background(), "", func(File) error { return nil })
				}
				if err != nil && KindOf(err) != Locked {
					t.Errorf("a reader: %s, %v", KindOf(err), err)
					return
				}
			}
		})
	}
	for i := range 5 {
		cut(t, s, time.Unix(0, 0), fmt.Sprintf("m/%02d", i))
	}
	var acked []string
	for _, p := range procs {
		acked = append(acked, p.wait(t, time.Minute)...)
	}
	close(stop)
	reading.Wait()
	holds(t, env, dir, acked)
	if got := contents(t, env, dir); len(got) != 2*writers*writes {
		t.Errorf("it holds %d files", len(got))
	}
	if _, err := s.Shed(context.Background()); err != nil {
		t.Error(err)
	}
	if has(env, dir, blobOf(t, env, dir, "12")) {
		t.Error("the bytes are still there")
	}
	sound(t, env, dir)
	noStrays(t, dir)
}

// TestTruncateSince: who follows what happens goes on, whether the old commits are still
// there or not; and from a place of which nobody knows anything nothing is made up.
func TestTruncateSince(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	hub := hubOf(t, env)
	s := open(t, env, dir, Options{})
	fill(t, s, 0, 6)
	exchange(t, s, hub)
	far, _ := s.Snapshot(context.Background())
	if err := s.SaveCursor("wait-0000000000", far.Version()); err != nil {
		t.Fatal(err)
	}
	put(t, s, "m/09/new", "n")
	near := version(t, s)
	put(t, s, "m/09/newer", "n")
	own, _ := s.repo.replica()
	cut(t, s, time.Unix(0, 0), "m/01")
	put(t, s, "m/09/newest", "n")
	since := func(v Version) (News, []string) {
		t.Helper()
		sn, err := s.Snapshot(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		n, err := sn.Since(context.Background(), v)
		if err != nil {
			t.Fatal(err)
		}
		var paths []string
		for _, f := range n.Files {
			paths = append(paths, f.Path)
		}
		return n, paths
	}
	if n, paths := since(far.Version()); len(n.Lost)+len(n.Passed) > 0 || !slices.Equal(paths, []string{"m/09/new", "m/09/newer", "m/09/newest"}) {
		t.Errorf("while the old commits are there: %+v", n)
	}
	exchange(t, s, hub)
	for _, v := range []Version{far.Version(), near} {
		if n, paths := since(v); len(n.Lost)+len(paths) > 0 || n.Passed[own].Seq != 1 || time.Since(n.Passed[own].At) > time.Hour {
			t.Errorf("when they are gone: %+v", n)
		}
	}
	if n, _ := since(Version(own + "=" + strings.Repeat("1", 40))); !slices.Equal(n.Lost, []string{own}) || n.Passed != nil {
		t.Errorf("from nowhere: %+v", n)
	}
	// A cursor from the first epoch is known in the third as well.
	cut(t, s, time.Unix(0, 0), "m/02")
	exchange(t, s, hub)
	if n, _ := since(far.Version()); n.Passed[own].Seq != 1 {
		t.Errorf("two truncations later: %+v", n)
	}
	sn, _ := s.Snapshot(context.Background())
	if _, ok, err := sn.Added(context.Background(), near); ok || err != nil {
		t.Errorf("a cache goes on from what is gone: %v, %v", ok, err)
	}
}

// TestTruncateRefused: git refuses a branch that was written anew where it is told to. Where
// logs are branches that is said, and costs nobody anything.
func TestTruncateRefused(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	hub := hubOf(t, env)
	git(t, env, hub, "config", "receive.denyNonFastForwards", "true")
	script(t, filepath.Join(hub, "hooks", "update"), "case $1 in refs/heads/*) ;; *) exit 1 ;; esac\n")
	dir := newRepo(t, env)
	s := open(t, env, dir, Options{})
	want := lacking(fill(t, s, 0, 5), "m/01")
	exchange(t, s, hub)
	cut(t, s, time.Unix(0, 0), "m/01")
	for range 2 {
		if _, err := s.Sync(context.Background(), hub); KindOf(err) != Unreachable || !strings.Contains(err.Error(), "receive.denyNonFastForwards") {
			t.Errorf("%v", err)
		}
	}
	if got := contents(t, env, dir); !maps.Equal(got, want) {
		t.Errorf("it holds %v", got)
	}
	git(t, env, hub, "config", "receive.denyNonFastForwards", "false")
	if r := exchange(t, s, hub); r.Pushed != 1 {
		t.Errorf("%+v", r)
	}
	sound(t, env, dir)
}

// TestTruncateFreshened: what the user's git begins to rely on while it is found out what
// nobody needs, stays; the next exchange, or truncation, does the rest.
func TestTruncateFreshened(t *testing.T) {
	env := testEnv(t)
	dir := newRepo(t, env)
	s := open(t, env, dir, Options{})
	put(t, s, "files/1", "theirs")
	put(t, s, "files/2", "ours")
	plain := slices.Clone(env)
	log, proceed := slowMerges(t, env)
	past := time.Now().Add(-time.Hour)
	packs, err := s.ourPacks(context.Background(), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packs {
		if err := os.Chtimes(p.base+".pack", past, past); err != nil {
			t.Fatal(err)
		}
	}
	put(t, s, "stays", "x")
	p := spawn(t, env, "truncate", childConfig{Dir: dir, Prefix: "files/"}, nil)
	until(t, "the new pack", func() bool { return begun(log) > 0 })
	writeFile(t, filepath.Join(dir, "a"), "theirs")
	user(t, plain, dir, "add", "a")
	writeFile(t, proceed, "")
	p.wait(t, time.Minute)
	oid := blobOf(t, plain, dir, "theirs")
	if !has(plain, dir, oid) {
		t.Fatal("the user has lost what they had just added")
	}
	if _, err := s.Shed(context.Background()); err != nil {
		t.Error(err)
	}
	if !has(plain, dir, oid) || has(plain, dir, blobOf(t, plain, dir, "ours")) {
		t.Error("the rest was not done")
	}
	if got := contents(t, plain, dir); !maps.Equal(got, map[string]string{"stays": "x"}) {
		t.Errorf("it holds %v", got)
	}
	sound(t, plain, dir)
}

// TestTruncateOutdated: who reads what was there before the truncation is not told that it
// is damaged.
func TestTruncateOutdated(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	s, other := open(t, env, dir, Options{}), open(t, env, dir, Options{})
	fill(t, s, 0, 6)
	sn, err := other.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	other.objects.close()
	cut(t, s, time.Unix(0, 0), "m/")
	if err := sn.Walk(context.Background(), "m/", func(File) error { return nil }); KindOf(err) != Locked || !strings.Contains(err.Error(), "truncated") {
		t.Errorf("%s, %v", KindOf(err), err)
	}
	if _, _, err := sn.Get(context.Background(), sn.Own(), "m/01/1"); KindOf(err) != Locked {
		t.Errorf("%s, %v", KindOf(err), err)
	}
}

// TestTruncateLeft: a clone that was killed while it took a new identity, and truncates its
// log before it exchanges again, still knows which log it has left.
func TestTruncateLeft(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	hub := hubOf(t, env)
	_, b, two := copied(t, env, hub)
	old, _ := b.repo.replica()
	oid := git(t, env, two, "rev-parse", logRef(old))
	tips, err := os.ReadFile(b.repo.dir(tipsFile))
	if err != nil {
		t.Fatal(err)
	}
	if r := exchange(t, b, hub); r.Forked == "" {
		t.Fatalf("%+v", r)
	}
	git(t, env, two, "update-ref", logRef(old), oid)
	writeFile(t, b.repo.dir(tipsFile), string(tips))
	put(t, b, "drop/1", "x")
	cut(t, b, time.Unix(0, 0), "drop/")
	if r := exchange(t, b, hub); len(r.Refused) > 0 || r.Forked != "" {
		t.Errorf("%+v", r)
	}
	if git(t, env, two, "rev-parse", logRef(old)) == oid {
		t.Error("the log that it left is still what it was")
	}
	sound(t, env, two)
}

// TestTruncateCopiedElsewhere: the copy has written to a hub that the original asks for the
// first time when nothing of its old log is left.
func TestTruncateCopiedElsewhere(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	hub, far := hubOf(t, env), hubOf(t, env)
	one := newRepo(t, env)
	day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	now := day
	opt := Options{Now: func() time.Time { return now }}
	a := open(t, env, one, opt)
	put(t, a, "old/1", "1")
	now = day.AddDate(0, 0, 50)
	put(t, a, "new/1", "1")
	two := filepath.Join(t.TempDir(), "copy")
	command(t, "cp", "-a", one, two)
	b := open(t, env, two, opt)
	backup := filepath.Join(t.TempDir(), "backup") // the same, that writes nothing
	command(t, "cp", "-a", one, backup)
	put(t, a, "by/a", "1")
	exchange(t, a, hub)
	cut(t, a, day.AddDate(0, 0, 30), "old/")
	exchange(t, a, hub)
	exchange(t, open(t, env, backup, opt), far)
	if r := exchange(t, a, far); r.Forked != "" || r.Pushed != 1 {
		t.Errorf("its own old log: %+v", r)
	}
	own, _ := a.repo.replica()
	git(t, env, far, "update-ref", "-d", logRef(own))
	put(t, b, "by/b", "1")
	exchange(t, b, far)
	if r := exchange(t, a, far); r.Forked == "" {
		t.Errorf("what its copy has written: %+v", r)
	}
	late := newRepo(t, env)
	exchange(t, open(t, env, late, Options{}), far)
	if got := contents(t, env, late); got["by/a"] == "" || got["by/b"] == "" || got["new/1"] == "" {
		t.Errorf("the hub has %v", got)
	}
	sound(t, env, one)
}
