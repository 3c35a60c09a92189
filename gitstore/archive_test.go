//go:build unix

package gitstore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/internal/hub"
)

// deadClones makes clones that wrote and synced once, long ago: a hub that has their logs, and
// their directories.
func deadClones(t *testing.T, env []string, ephemeral bool) (hub string, dirs []string) {
	t.Helper()
	const n = 20
	root := t.TempDir()
	copySeed(t, fmt.Sprint("dead ", ephemeral), root, func(root string) {
		hub := filepath.Join(root, "hub.git")
		git(t, env, "", "init", "-q", "--bare", hub)
		for i := range n {
			dir := filepath.Join(root, fmt.Sprint(i))
			copyTree(t, newRepo(t, env), dir)
			s := open(t, env, dir, Options{Ephemeral: ephemeral, Now: func() time.Time { return time.Now().Add(-idleAfter - time.Hour) }})
			put(t, s, fmt.Sprint("dead/", i), "x")
			if i == 0 {
				put(t, s, "dead/second", "x")
			}
			exchange(t, s, hub)
			s.Close()
		}
	})
	for i := range n {
		dirs = append(dirs, filepath.Join(root, fmt.Sprint(i)))
	}
	return filepath.Join(root, "hub.git"), dirs
}

// deadHub is such a hub that can fail.
func deadHub(t *testing.T, env []string) (h *hub.Hub, dirs []string) {
	t.Helper()
	h = hub.New(t)
	from, dirs := deadClones(t, env, false)
	h.Git("fetch", "-q", from, "+refs/*:refs/*")
	return h, dirs
}

func refsOf(refs map[string]string, prefix string) (list []string) {
	for ref := range refs {
		if strings.HasPrefix(ref, prefix) {
			list = append(list, ref)
		}
	}
	slices.Sort(list)
	return list
}

func idOf(t *testing.T, s *Store) string {
	t.Helper()
	id, err := s.repo.replica()
	if err != nil || id == "" {
		t.Fatal(id, err)
	}
	return id
}

// seenBy checks that clones hold the same as the first.
func seenBy(t *testing.T, first *Store, others ...*Store) {
	t.Helper()
	for i, s := range others {
		if x, y := version(t, s), version(t, first); x != y {
			t.Errorf("clone %d holds %s, the first %s", i, x, y)
		}
	}
}

// TestArchive: the logs of twenty clones that nobody uses any more become one ref. A fresh
// clone sees all mail, no clone brings the refs back, and whose clone comes back goes on.
func TestArchive(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	for name, prefix := range map[string]string{"refs of our own": "refs/", "branches only": "refs/heads/"} {
		t.Run(name, func(t *testing.T) {
			h, dirs := deadHub(t, env)
			if prefix != "refs/" {
				for ref, oid := range h.Refs() {
					h.Git("update-ref", headsPrefix+replicaOf(ref), oid)
					h.Git("update-ref", "-d", ref)
				}
				h.Accept(prefix)
			}
			old := open(t, env, newRepo(t, env), Options{})
			exchange(t, old, h.FileURL) // it has seen their refs, and has no log itself
			witness := open(t, env, newRepo(t, env), Options{})
			put(t, witness, "witness", "x")
			if r := exchange(t, witness, h.FileURL); r.Retired != 20 {
				t.Errorf("%+v", r)
			}
			var dead []*Store
			for _, dir := range dirs {
				dead = append(dead, open(t, env, dir, Options{}))
			}
			if n := len(h.Refs()); n != 2 {
				t.Fatalf("the hub has %d refs, %v", n, h.Refs())
			}
			sound(t, env, h.Dir)
			for range 2 {
				fresh := open(t, env, newRepo(t, env), Options{})
				if r := exchange(t, fresh, h.FileURL); len(r.Fetched) != 21 || len(r.Refused) > 0 {
					t.Errorf("%+v", r)
				}
				seenBy(t, witness, fresh)
				sound(t, env, fresh.repo.Dir)
				if list, err := fresh.Remotes(context.Background()); err != nil || list[0].Archived != 20 {
					t.Errorf("%+v, %v", list, err)
				}
			}
			for _, s := range append(dead[3:6:6], witness, old) {
				before := h.Refs()
				r := exchange(t, s, h.FileURL)
				if r.Pushed > 0 || len(r.Restored)+len(r.Refused) > 0 || len(h.Refs()) != len(before) {
					t.Errorf("%+v, %v", r, h.Refs())
				}
				seenBy(t, witness, s)
			}

			// One comes back, and a copy of another's clone that is behind.
			put(t, dead[0], "back", "x")
			if r := exchange(t, dead[0], h.FileURL); r.Pushed != 1 {
				t.Errorf("%+v", r)
			}
			if n := len(h.Refs()); n != 3 {
				t.Errorf("the hub has %v", h.Refs())
			}
			fresh := open(t, env, newRepo(t, env), Options{})
			exchange(t, fresh, h.FileURL)
			exchange(t, witness, h.FileURL)
			seenBy(t, dead[0], fresh, witness)
		})
	}
}

// TestArchiveLimits: the logs of fewer clones, of clones that wrote lately, and of one's own
// stay where they are; those of clones that were to be thrown away go sooner.
func TestArchiveLimits(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	for _, c := range []struct {
		name      string
		n         int
		ephemeral bool
		now       time.Duration // of who looks, since they wrote
		retired   bool
	}{
		{"fifteen", minRetire - 1, false, idleAfter + 2*time.Hour, false},
		{"sixteen", minRetire, false, idleAfter + 2*time.Hour, true},
		{"not yet", minRetire, false, idleAfter - time.Hour, false},
		{"ephemeral", minRetire, true, idleEphemeral + time.Hour, true},
		{"ephemeral, not yet", minRetire, true, idleEphemeral - time.Hour, false},
		{"in future", minRetire, false, -1000 * time.Hour, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			hub, dirs := deadClones(t, env, c.ephemeral)
			for i, ref := range strings.Fields(git(t, env, hub, "for-each-ref", "--format=%(refname)")) {
				if i >= c.n {
					git(t, env, hub, "update-ref", "-d", ref)
				}
			}
			s := open(t, env, newRepo(t, env), Options{Now: func() time.Time { return time.Now().Add(c.now - idleAfter - time.Hour) }})
			put(t, s, "x", "x")
			r := exchange(t, s, hub)
			refs := strings.Count(git(t, env, hub, "for-each-ref"), "\n") + 1
			if want := map[bool]int{false: c.n + 1, true: 2}[c.retired]; refs != want || c.retired != (r.Retired == c.n) {
				t.Errorf("the hub has %d refs, %d are expected; %+v", refs, want, r)
			}
			if git(t, env, hub, "for-each-ref", logRef(idOf(t, s))) == "" {
				t.Error("its own log went")
			}
			exchange(t, open(t, env, dirs[0], Options{}), hub)
		})
	}
}

// TestArchiveQuiet: with archives at the hub an exchange with nothing new starts one git and
// writes nothing, also after one of their clones came back.
func TestArchiveQuiet(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	hub, dirs := deadClones(t, env, false)
	s := open(t, env, newRepo(t, env), Options{})
	put(t, s, "x", "x")
	if r := exchange(t, s, hub); r.Retired == 0 {
		t.Fatalf("%+v", r)
	}
	back := open(t, env, dirs[0], Options{})
	put(t, back, "back", "x")
	exchange(t, back, hub)
	exchange(t, s, hub)
	exchange(t, s, hub) // what it saw there is noted before the next fetch
	trace := filepath.Join(t.TempDir(), "trace")
	dir := s.repo.Dir
	for _, name := range []string{"the same process", "another"} {
		if name == "another" {
			s = open(t, append(slices.Clone(env), "GIT_TRACE2_EVENT="+trace), dir, Options{})
		}
		before := treeHash(t, dir)
		exchange(t, s, hub)
		after := treeHash(t, dir)
		for _, m := range []map[string]string{before, after} { // the lock says who had it
			for path := range m {
				if strings.HasSuffix(path, "/"+syncLock) || strings.HasSuffix(path, "/lock") {
					delete(m, path)
				}
			}
		}
		sameTree(t, name, before, after)
	}
	got := slices.DeleteFunc(processes(t, trace), func(line string) bool { return strings.Contains(line, `"config"`) })
	if len(got) != 1 {
		t.Errorf("%q were started", got)
	}
}

// TestArchiveRace: two look for idle clones at once, beside an owner who comes back. One wins,
// and nothing is lost.
func TestArchiveRace(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	rounds := 1
	if soak() {
		rounds = 20
	}
	for round := range rounds {
		hub, dirs := deadClones(t, env, false)
		live := Options{Now: func() time.Time { return time.Now().Add(-2 * time.Hour) }} // when they were not idle yet
		dead := open(t, env, dirs[7], Options{})
		var racers []*Store
		for i := range 3 {
			s := open(t, env, newRepo(t, env), live)
			put(t, s, fmt.Sprint("racer/", i), "x")
			exchange(t, s, hub)
			racers = append(racers, open(t, env, s.repo.Dir, Options{}))
		}
		for _, s := range racers {
			put(t, s, fmt.Sprintf("late/%d/%s", round, idOf(t, s)), "x")
		}
		put(t, dead, "back", "x")
		var wg sync.WaitGroup
		for _, s := range append(racers, dead) {
			wg.Go(func() {
				if _, err := s.Sync(context.Background(), hub); err != nil && KindOf(err) != Unreachable {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for range 2 {
			for _, s := range append(racers, dead) {
				exchange(t, s, hub)
			}
		}
		fresh := open(t, env, newRepo(t, env), Options{})
		exchange(t, fresh, hub)
		seenBy(t, fresh, append(racers, dead)...)
		sn, err := fresh.Snapshot(context.Background())
		if err != nil || len(sn.logs) != 23 {
			t.Fatalf("%d logs, %v", len(sn.logs), err)
		}
		for path := range map[string]bool{"dead/second": true, "back": true} {
			if files, err := sn.List(context.Background(), path, nil); err != nil || len(files) == 0 {
				t.Errorf("%s is not there, %v", path, err)
			}
		}
		refs := git(t, env, hub, "for-each-ref", "--format=%(refname)")
		if n := strings.Count(refs, archivePrefix); n > 1 {
			t.Errorf("%d archives", n)
		}
		sound(t, env, hub)
	}
}

// TestArchiveStale: what was seen is not there any more, for one owner came back or another did
// it first. Then nothing at all moves.
func TestArchiveStale(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	hub, dirs := deadClones(t, env, false)
	var looking []*Store
	for i := range 2 {
		live := Options{Now: func() time.Time { return time.Now().Add(-2 * time.Hour) }}
		s := open(t, env, newRepo(t, env), live)
		put(t, s, fmt.Sprint("looking/", i), "x")
		exchange(t, s, hub)
		looking = append(looking, open(t, env, s.repo.Dir, Options{}))
	}
	retire := func(s *Store) int {
		t.Helper()
		r := SyncResult{Pushed: 1, Place: logRef(idOf(t, s))}
		if err := s.retire(context.Background(), hub, &hubFile{Name: hub}, &r); err != nil {
			t.Error(err)
		}
		return r.Retired
	}
	back := open(t, env, dirs[3], Options{Now: func() time.Time { return time.Now().Add(-2 * time.Hour) }})
	put(t, back, "back", "x")
	if r := exchange(t, back, hub); r.Pushed != 1 || r.Retired > 0 {
		t.Errorf("%+v", r)
	}
	before := allRefs(t, env, hub)
	if n := retire(looking[0]); n != 0 || allRefs(t, env, hub) != before {
		t.Errorf("%d were retired; the hub had\n%s\nand has\n%s", n, before, allRefs(t, env, hub))
	}
	exchange(t, looking[0], hub)
	before = allRefs(t, env, hub)
	if n := retire(looking[1]); n != 0 || allRefs(t, env, hub) != before {
		t.Errorf("%d were retired; the hub had\n%s\nand has\n%s", n, before, allRefs(t, env, hub))
	}
	exchange(t, looking[1], hub)
	exchange(t, looking[0], hub)
	fresh := open(t, env, newRepo(t, env), Options{})
	exchange(t, fresh, hub)
	seenBy(t, fresh, looking...)
}

// TestArchiveKilled: the hub is killed at each step of the push, or the reply is cut off.
// Nothing is lost, and the next does it.
func TestArchiveKilled(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	for _, at := range []hub.Moment{hub.BeforeRefs, hub.RefsLocked, hub.RefsMoved, ""} {
		t.Run(string(at), func(t *testing.T) {
			t.Parallel()
			h, _ := deadHub(t, env)
			late := time.Duration(0)
			opt := Options{Now: func() time.Time { return time.Now().Add(late) }}
			s := open(t, env, newRepo(t, env), opt)
			put(t, s, "x", "x")
			h.Accept(logPrefix) // it cannot retire them now
			exchange(t, s, h.URL)
			h.Accept("")
			late = 2 * retireGapQuiet
			if at == "" {
				h.Set(hub.Network{Answers: []hub.Answer{{Status: 500, Late: true, Times: 1, To: func(r hub.Request) bool { return len(r.Refs) > 1 }}}})
			} else {
				h.KillAt(at)
			}
			r := exchange(t, s, h.URL) // what it did not manage is no failure
			h.Set(hub.Network{})
			locks := 0
			filepath.WalkDir(filepath.Join(h.Dir, "refs"), func(path string, _ os.DirEntry, err error) error {
				if err == nil && strings.HasSuffix(path, ".lock") {
					locks++
					os.Remove(path)
				}
				return nil
			})
			os.Remove(filepath.Join(h.Dir, "packed-refs.lock"))
			if locks > 0 && at != hub.RefsLocked || r.Retired > 0 {
				t.Errorf("%d locks, %+v", locks, r)
			}
			if n := len(h.Refs()); n != 2 && n != 21 {
				t.Errorf("the hub has %d refs", n)
			}
			late *= 2
			exchange(t, s, h.URL)
			exchange(t, s, h.URL)
			if n := len(h.Refs()); n != 2 {
				t.Errorf("afterwards the hub has %d refs", n)
			}
			fresh := open(t, env, newRepo(t, env), Options{})
			if r := exchange(t, fresh, h.URL); len(r.Refused) > 0 {
				t.Errorf("%+v", r)
			}
			seenBy(t, s, fresh)
			sound(t, env, h.Dir)
			sound(t, env, s.repo.Dir)
		})
	}
}

// TestArchiveNoAtomic: a hub that cannot move refs together keeps them, and nobody hears of it.
func TestArchiveNoAtomic(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	hub, _ := deadClones(t, env, false)
	git(t, env, hub, "config", "receive.advertiseAtomic", "false")
	s := open(t, env, newRepo(t, env), Options{})
	put(t, s, "x", "x")
	if r := exchange(t, s, hub); r.Retired != 0 || r.Pushed != 1 {
		t.Errorf("%+v", r)
	}
	if list, err := s.Remotes(context.Background()); err != nil || list[0].Failed != "" {
		t.Errorf("%+v, %v", list, err)
	}
	if n := strings.Count(git(t, env, hub, "for-each-ref"), "\n"); n != 20 {
		t.Errorf("%d refs", n+1)
	}
}

// TestArchiveProtected: where branches of others cannot be deleted, the rest goes all the same.
func TestArchiveProtected(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	h, _ := deadHub(t, env)
	h.Hook("update", "case $1 in refs/heads/*) [ $3 != "+zeroOID+" ] ;; esac\n")
	for i, ref := range refsOf(h.Refs(), logPrefix) {
		if i < 3 {
			h.Git("update-ref", "refs/heads/claude/"+replicaOf(ref)+branchSuffix, ref)
			h.Git("update-ref", "-d", ref)
		}
	}
	s := open(t, env, newRepo(t, env), Options{})
	put(t, s, "x", "x")
	exchange(t, s, h.FileURL)
	refs := h.Refs()
	if len(refsOf(refs, logPrefix)) != 1 || len(refsOf(refs, archivePrefix)) != 1 || len(refsOf(refs, branchPrefix)) != 3 {
		t.Errorf("%v", refs)
	}
}

// TestArchiveWiped: a hub that lost everything gets it back from any clone, what was in an
// archive in an archive; the copy of a fresh clone, which never saw the refs of those logs, will do.
func TestArchiveWiped(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	for _, what := range []string{refRoot, archivePrefix} {
		h, _ := deadHub(t, env)
		s := open(t, env, newRepo(t, env), Options{})
		put(t, s, "x", "x")
		exchange(t, s, h.FileURL)
		fresh := open(t, env, newRepo(t, env), Options{})
		exchange(t, fresh, h.FileURL)
		was := version(t, fresh)
		if len(refsOf(h.Refs(), archivePrefix)) != 1 {
			t.Fatal(h.Refs())
		}
		for ref := range h.Refs() {
			if strings.HasPrefix(ref, what) {
				h.Git("update-ref", "-d", ref)
			}
		}
		h.Git("gc", "-q", "--prune=now")
		if r := exchange(t, fresh, h.FileURL); len(r.Restored) < 20 {
			t.Errorf("%+v", r)
		}
		if r := exchange(t, s, h.FileURL); len(r.Refused) > 0 {
			t.Errorf("%+v", r)
		}
		last := open(t, env, newRepo(t, env), Options{})
		exchange(t, last, h.FileURL)
		if x := version(t, last); x != was {
			t.Errorf("it holds %s, there was %s", x, was)
		}
		if n := len(h.Refs()); n > 5 {
			t.Errorf("%d refs", n)
		}
		sound(t, env, h.Dir)
	}
}

// TestArchiveFold: many archives become one; what came back meanwhile is not in it.
func TestArchiveFold(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	h, dirs := deadHub(t, env)
	for _, ref := range refsOf(h.Refs(), logPrefix)[maxArchives+2:] {
		h.Git("update-ref", "-d", ref)
	}
	late := time.Duration(0)
	s := open(t, env, newRepo(t, env), Options{Now: func() time.Time { return time.Now().Add(late) }})
	put(t, s, "x", "x")
	exchange(t, s, h.FileURL)
	ctx := context.Background()
	var dead []*Store
	for _, dir := range dirs {
		if d := open(t, env, dir, Options{}); h.Refs()[logRef(idOf(t, d))] != "" {
			dead = append(dead, d)
		}
	}
	// As many archives as clones, which is what janitors would have made in years.
	for _, d := range dead {
		ref := logRef(idOf(t, d))
		spec, err := s.makeArchive(ctx, map[string]OID{idOf(t, d): h.Refs()[ref]}, ref, nil)
		if err == nil {
			err = s.repo.replace(ctx, h.FileURL, spec, []dropSpec{{ref, h.Refs()[ref]}})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	put(t, dead[0], "back", "x")
	exchange(t, dead[0], h.FileURL)
	put(t, s, "again", "x")
	late = 2 * retireGapQuiet
	exchange(t, s, h.FileURL)
	archives := refsOf(h.Refs(), archivePrefix)
	if len(archives) != 1 || len(h.Refs()) != 3 {
		t.Fatalf("%v", h.Refs())
	}
	if list := h.Git("show", archives[0]+":"+archiveFile); strings.Contains(list, idOf(t, dead[0])) {
		t.Errorf("the one that came back is in it: %s", list)
	}
	exchange(t, s, h.FileURL)
	fresh := open(t, env, newRepo(t, env), Options{})
	exchange(t, fresh, h.FileURL)
	seenBy(t, s, fresh)
	if list := git(t, env, s.repo.Dir, "for-each-ref", hubPrefix+hubID(h.FileURL)+"/archive"); strings.Count(list, "\n") != 0 {
		t.Errorf("the image has %s", list)
	}
	sound(t, env, h.Dir)
	sound(t, env, s.repo.Dir)
}

// TestArchiveForeign: an archive that says what is not so stops nobody and is not believed, and
// one that this version cannot read is told of and left alone.
func TestArchiveForeign(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	h := hub.New(t)
	a, b := open(t, env, newRepo(t, env), Options{}), open(t, env, newRepo(t, env), Options{})
	for _, s := range []*Store{a, b} {
		put(t, s, "x/"+t.Name(), "1")
		exchange(t, s, h.FileURL)
	}
	exchange(t, a, h.FileURL)
	ida, idb := idOf(t, a), idOf(t, b)
	tip := h.Git("rev-parse", logRef(idb))
	forge := func(text string, parents ...string) string {
		file := filepath.Join(t.TempDir(), "f")
		writeFile(t, file, text)
		blob := h.Git("hash-object", "-w", file)
		index := "GIT_INDEX_FILE=" + filepath.Join(t.TempDir(), "index")
		git(t, append(slices.Clone(env), index), h.Dir, "update-index", "--add", "--cacheinfo", "100644,"+blob+","+archiveFile)
		args := []string{"commit-tree", "-m", "x", git(t, append(slices.Clone(env), index), h.Dir, "write-tree")}
		for _, p := range parents {
			args = append(args, "-p", p)
		}
		return user(t, env, h.Dir, args...)
	}
	missing := strings.Repeat("ab", 20)
	for i, oid := range []string{
		forge(`{"format":1,"logs":{"` + ida + `":"` + missing + `","` + idb + `":"` + missing + `"}}`),
		forge(`{"format":1,"logs":{"`+ida+`":"`+tip+`"}}`, tip),
		forge(`{"format":1,"logs":{"0000000007":"`+tip+`"}}`, tip),
		forge(`{"format":1,"logs":{"../../x":"`+tip+`"}}`, tip),
		forge(`{"format":2,"logs":{"0000000008":"`+tip+`"}}`, tip),
		forge(`[`),
		tip,
	} {
		h.Git("update-ref", fmt.Sprintf("%s000000000%d", archivePrefix, i), oid)
	}
	was := h.Refs()
	for range 2 {
		for _, s := range []*Store{a, b, open(t, env, newRepo(t, env), Options{})} {
			r := exchange(t, s, h.FileURL)
			if len(r.Refused) != 4 || r.Pushed > 0 || r.Forked != "" {
				t.Errorf("%+v", r)
			}
			if sn, err := s.Snapshot(context.Background()); err != nil || len(sn.logs) != 2 {
				t.Errorf("%d logs, %v", len(sn.logs), err)
			}
		}
	}
	put(t, a, "more", "1")
	exchange(t, a, h.FileURL)
	if len(h.Refs()) != len(was) {
		t.Errorf("there were %v, there are %v", was, h.Refs())
	}
}

// TestDropSpec: nothing is deleted from a remote but logs and archives that were seen there.
func TestDropSpec(t *testing.T) {
	oid := strings.Repeat("1", 40)
	for _, d := range []dropSpec{{"refs/heads/main", oid}, {"", oid}, {"refs/heads/agentmail/x", oid}, {"refs/agentmail/locks", oid}, {"refs/heads/agentmail/locks", oid},
		{logRef("q3k9xd2m7a"), ""}, {logRef("q3k9xd2m7a"), zeroOID}, {logPrefix + "*", oid}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v would be deleted", d)
				}
			}()
			d.refspec()
		}()
	}
	if got := (dropSpec{archivePrefix + "q3k9xd2m7a", oid}).refspec(); got != ":"+archivePrefix+"q3k9xd2m7a" {
		t.Error(got)
	}
}
