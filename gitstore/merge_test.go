//go:build unix

package gitstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// slowMerges has git wait in each merge until the file proceed is there, or half a minute
// is over; log has a line for each that began.
func slowMerges(t *testing.T, env []string) (log, proceed string) {
	t.Helper()
	proceed = filepath.Join(t.TempDir(), "proceed")
	log = shim(t, env, `*" pack-objects "*) echo $$ >>LOG; for i in $(seq 3000); do test -e `+proceed+` && break; sleep 0.01; done;;`)
	return log, proceed
}

// until waits for something that is about to happen.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 3000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%s: not in 30 s", what)
}

func begun(log string) int {
	data, _ := os.ReadFile(log)
	return strings.Count(string(data), "\n")
}

// countPacks returns how many packs of ours there are.
func countPacks(t testing.TB, s *Store) int {
	t.Helper()
	packs, err := s.ourPacks(context.Background(), false)
	if err != nil {
		t.Fatal(err)
	}
	return len(packs)
}

// there reports whether a file of the store's own directory exists.
func there(s *Store, elem ...string) bool {
	_, err := os.Lstat(s.repo.dir(elem...))
	return err == nil
}

// TestMergeHoldsNobodyUp: while packs are merged other processes write, and so do others
// in the process that merges. Nobody begins a second merge, and nothing is lost.
func TestMergeHoldsNobodyUp(t *testing.T) {
	env := testEnv(t)
	dir := newRepo(t, env)
	log, proceed := slowMerges(t, env)
	s := open(t, env, dir, Options{LockWait: 20 * time.Second})
	want := fill(t, s, 0, MaxPacks-1)
	merged := make(chan error, 1)
	go func() {
		_, err := s.Update(context.Background(), create("triggers"))
		merged <- err
	}()
	want["triggers"] = "x"
	until(t, "a merge", func() bool { return begun(log) > 0 })

	put(t, s, "same/process", "x")
	want["same/process"] = "x"
	const n = 2 * MaxPacks // much, so that a second merge would be due
	for _, name := range spawn(t, env, "write", childConfig{Dir: dir, Prefix: "w", Count: n}, nil).wait(t, time.Minute) {
		want[name+".a"], want[name+".b"] = name, name
	}
	select {
	case err := <-merged:
		t.Errorf("the one that merges returned before the merge: %v", err)
	default:
	}
	if got := begun(log); got != 1 || countPacks(t, s) != MaxPacks+1+n {
		t.Errorf("%d merges, %d packs", got, countPacks(t, s))
	}
	if got := contents(t, env, dir); !maps.Equal(got, want) {
		t.Errorf("while it is merged read %d files, want %d", len(got), len(want))
	}
	writeFile(t, proceed, "")
	if err := <-merged; err != nil {
		t.Error(err)
	}
	if got := countPacks(t, s); got != MaxPacks+1+n-(MaxPacks-2) { // the newest of ten was left alone
		t.Errorf("%d packs after the merge", got)
	}
	put(t, s, "last", "x")
	want["last"] = "x"
	if got := countPacks(t, s); got > MaxPacks {
		t.Errorf("%d packs", got)
	}
	if got := contents(t, env, dir); !maps.Equal(got, want) {
		t.Errorf("read %d files, want %d", len(got), len(want))
	}
	sound(t, env, dir)
	noStrays(t, dir)
}

// TestMergeIsSkipped: who finds the right to merge taken goes on without, and what a living
// merge has in its directory stays.
func TestMergeIsSkipped(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	s := open(t, env, dir, Options{Report: func(msg string) { t.Errorf("reported: %s", msg) }})
	fill(t, s, 0, 1)
	l, err := s.acquireFile(context.Background(), mergeLock, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	work := s.repo.dir(mergeDir, "tmp_pack_x")
	if err := os.MkdirAll(filepath.Dir(work), 0o777); err != nil {
		t.Fatal(err)
	}
	writeFile(t, work, "half a pack")
	want := fill(t, s, 1, 2*MaxPacks)
	if got := countPacks(t, s); got != 1+2*MaxPacks {
		t.Errorf("%d packs of %d commits", got, 1+2*MaxPacks)
	}
	if _, err := os.Stat(work); err != nil {
		t.Errorf("another writer cleared away what is merged: %v", err)
	}
	l.release()
	put(t, s, "after", "x")
	want["after"] = "x"
	if got := countPacks(t, s); got > MaxPacks {
		t.Errorf("%d packs", got)
	}
	if got := contents(t, env, dir); !maps.Equal(got, want) {
		t.Errorf("read %d files, want %d", len(got), len(want))
	}
	sound(t, env, dir)
	noStrays(t, dir)
}

// TestMergeFails: no write fails for it, also not of those that share the commit.
func TestMergeFails(t *testing.T) {
	env := testEnv(t)
	dir := newRepo(t, env)
	shim(t, env, `*" pack-objects "*) exit 1;;`)
	var reports []string
	s := open(t, env, dir, Options{Report: func(msg string) { reports = append(reports, msg) }})
	fill(t, s, 0, MaxPacks-1)
	if errs := together(t, s, create("a"), create("b"), create("c")); errors.Join(errs...) != nil {
		t.Error(errs)
	}
	if len(reports) != 1 || !strings.Contains(reports[0], "merge") {
		t.Errorf("reported: %q", reports)
	}
	sound(t, env, dir)
	noStrays(t, dir)
}

// TestKilledInMerge kills a process whose git is merging: alone, so that this git goes on
// as an orphan, and with it. The next writer merges.
func TestKilledInMerge(t *testing.T) {
	for _, orphan := range []bool{false, true} {
		t.Run(fmt.Sprint("orphan ", orphan), func(t *testing.T) {
			env := testEnv(t)
			dir := newRepo(t, env)
			fill(t, open(t, env, dir, Options{}), 0, MaxPacks-1)
			plain := slices.Clone(env)
			log, proceed := slowMerges(t, env)
			p := spawn(t, env, "write", childConfig{Dir: dir, Prefix: "w", Count: 1}, nil)
			until(t, "a merge", func() bool { return begun(log) > 0 })
			p.cmd.Process.Kill()
			<-p.done
			data, _ := os.ReadFile(log)
			var pid int
			fmt.Sscan(string(data), &pid)
			if !orphan {
				syscall.Kill(pid, syscall.SIGKILL)
			}
			s := open(t, plain, dir, Options{})
			if !there(s, mergeDir) {
				t.Fatal("nothing is left of the merge: this test shows nothing")
			}
			t.Setenv("PATH", strings.SplitN(os.Getenv("PATH"), ":", 2)[1])
			put(t, s, "after", "x")
			if got := countPacks(t, s); got > MaxPacks {
				t.Errorf("%d packs", got)
			}
			writeFile(t, proceed, "")
			if orphan { // it writes where its directory was
				until(t, "the end of the orphan", func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) })
				put(t, s, "after the orphan", "x")
			}
			got := contents(t, plain, dir)
			if _, ok := got["after"]; !ok || got["pairs/w/0.a"] == "" || len(got) < MaxPacks+2 {
				t.Errorf("read %d files", len(got))
			}
			sound(t, plain, dir)
			noStrays(t, dir)
		})
	}
}

// TestKilledBetweenMerge stops a merge between any two of its steps, as a kill would. The
// next write, whatever the number of packs, puts it right.
func TestKilledBetweenMerge(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		undone []string // of the merged pack's three names, those that are not there yet
		gone   []string // of an old pack's, those that are not there any more
	}{
		{"before it", []string{".keep", ".pack", ".idx"}, nil},
		{"after the note", []string{".pack", ".idx"}, nil},
		{"after the pack", []string{".idx"}, nil},
		{"after the index", nil, nil},
		{"an old index is gone", nil, []string{".idx"}},
		{"and the pack", nil, []string{".idx", ".pack"}},
		{"and the note", nil, []string{".idx", ".pack", ".keep"}},
	} {
		for _, few := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, few %v", c.name, few), func(t *testing.T) {
				t.Parallel()
				env := testEnv(t)
				dir := newRepo(t, env)
				s := open(t, env, dir, Options{})
				n := MaxPacks - 1
				if few { // the rest of them is gone already
					n = 3
				}
				want := fill(t, s, 0, n)
				packs, err := s.ourPacks(context.Background(), false)
				if err != nil {
					t.Fatal(err)
				}
				l, err := s.acquireFile(context.Background(), mergeLock, 0, true)
				if err != nil {
					t.Fatal(err)
				}
				work := s.repo.dir(mergeDir)
				if err := errors.Join(os.Mkdir(work, 0o777), s.writeNote(filepath.Join(work, "note"))); err != nil {
					t.Fatal(err)
				}
				// The packs that go are put aside, to be brought back.
				aside := t.TempDir()
				for _, p := range packs {
					for _, ext := range []string{".keep", ".pack", ".idx"} {
						if err := os.Link(p.base+ext, filepath.Join(aside, filepath.Base(p.base)+ext)); err != nil {
							t.Fatal(err)
						}
					}
				}
				if err := (&merge{s, l, packs}).run(context.Background()); err != nil {
					t.Fatal(err)
				}
				bases, err := s.noted()
				if err != nil || len(bases) != 1 {
					t.Fatalf("%q, %v", bases, err)
				}
				if err := os.Mkdir(work, 0o777); err != nil {
					t.Fatal(err)
				}
				move := func(from, to string) {
					t.Helper()
					if err := os.Rename(from, to); err != nil {
						t.Fatal(err)
					}
				}
				for _, ext := range c.undone {
					move(bases[0]+ext, filepath.Join(work, filepath.Base(bases[0])+ext))
				}
				for i, p := range packs {
					for _, ext := range []string{".keep", ".pack", ".idx"} {
						if i > 0 && !(few && c.gone != nil) || i == 0 && !slices.Contains(c.gone, ext) {
							move(filepath.Join(aside, filepath.Base(p.base)+ext), p.base+ext)
						}
					}
				}
				s.Close()
				if got := contents(t, env, dir); !maps.Equal(got, want) {
					t.Errorf("before it is put right read %d files, want %d", len(got), len(want))
				}
				put(t, open(t, env, dir, Options{}), "after", "x")
				want["after"] = "x"
				sound(t, env, dir)
				noStrays(t, dir)
				if got := contents(t, env, dir); !maps.Equal(got, want) {
					t.Errorf("read %d files, want %d", len(got), len(want))
				}
				if got := countPacks(t, s); got > MaxPacks {
					t.Errorf("%d packs", got)
				}
				before := treeHash(t, filepath.Join(dir, ".git", "objects", "pack"))
				put(t, open(t, env, dir, Options{}), "and again", "x")
				if now := treeHash(t, filepath.Join(dir, ".git", "objects", "pack")); few && len(now) != len(before)+3 {
					t.Errorf("the next write leaves %d files, not three more than %d", len(now), len(before))
				}
			})
		}
	}
}

// TestMergesKeepUp: however many write, packs do not heap up while one of them merges.
func TestMergesKeepUp(t *testing.T) {
	t.Parallel()
	writers, writes := 10, 8 // twice what may heap up
	if soak() {
		writes = 30
	}
	env := testEnv(t)
	dir := newRepo(t, env)
	s := open(t, env, dir, Options{})
	var procs []*proc
	for i := range writers {
		procs = append(procs, spawn(t, env, "write", childConfig{Dir: dir, Prefix: fmt.Sprint(i), Count: writes, Wait: time.Minute}, nil))
	}
	most := 0
	var acked []string
	for _, p := range procs {
		for done := false; !done; {
			select {
			case <-p.done:
				done = true
			case <-time.After(10 * time.Millisecond):
			}
			most = max(most, countPacks(t, s))
		}
		acked = append(acked, p.wait(t, time.Minute)...)
	}
	t.Logf("at most %d packs", most)
	if len(acked) != writers*writes || most > 4*MaxPacks { // a merge takes as long as some commits
		t.Errorf("%d writes, at most %d packs", len(acked), most)
	}
	holds(t, env, dir, acked)
	sound(t, env, dir)
	noStrays(t, dir)
}

// TestPurgeBesideMerge: who takes everything out waits for a merge, and while it does not
// end changes nothing.
func TestPurgeBesideMerge(t *testing.T) {
	env := testEnv(t)
	dir := newRepo(t, env)
	before := treeHash(t, dir)
	log, proceed := slowMerges(t, env)
	p := spawn(t, env, "write", childConfig{Dir: dir, Prefix: "w", Count: MaxPacks}, nil)
	until(t, "a merge", func() bool { return begun(log) > 0 })
	packs, _ := filepath.Glob(filepath.Join(dir, ".git", "objects", "pack", "*"))
	hasty := open(t, env, dir, Options{LockWait: 50 * time.Millisecond})
	if err := hasty.Purge(context.Background(), false); KindOf(err) != Locked || !strings.Contains(err.Error(), "merging packs") {
		t.Errorf("Purge beside a merge: %v", err)
	}
	if now, _ := filepath.Glob(filepath.Join(dir, ".git", "objects", "pack", "*")); !slices.Equal(now, packs) || !there(hasty, replicaFile) {
		t.Error("it has begun all the same")
	}
	purged := make(chan error, 1)
	go func() { purged <- open(t, env, dir, Options{LockWait: time.Minute}).Purge(context.Background(), false) }()
	select {
	case err := <-purged:
		t.Fatalf("Purge did not wait: %v", err)
	case <-time.After(200 * time.Millisecond):
	}
	writeFile(t, proceed, "")
	if err := <-purged; err != nil {
		t.Error(err)
	}
	if out := p.wait(t, time.Minute); len(out) != MaxPacks {
		t.Errorf("%d writes", len(out))
	}
	sameTree(t, "after purge", before, treeHash(t, dir))
	sound(t, env, dir)
}

// TestPurgeAfterKilledMerge: what is left of one goes with the rest.
func TestPurgeAfterKilledMerge(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	before := treeHash(t, dir)
	s := open(t, env, dir, Options{})
	fill(t, s, 0, 3)
	base := "pack-" + strings.Repeat("a", 40)
	if err := os.Mkdir(s.repo.dir(mergeDir), 0o777); err != nil {
		t.Fatal(err)
	}
	for _, ext := range []string{".pack", ".idx"} {
		writeFile(t, s.repo.dir(mergeDir, base+ext), "x")
	}
	writeFile(t, filepath.Join(s.repo.Objects, "pack", base+".keep"), keepNote+"\n")
	if err := s.Purge(context.Background(), false); err != nil {
		t.Fatal(err)
	}
	sameTree(t, "after purge", before, treeHash(t, dir))
	if _, err := os.Lstat(s.repo.dir()); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestMergeAfterAnswer: in a process that lives on nobody waits for a merge but Close.
func TestMergeAfterAnswer(t *testing.T) {
	env := testEnv(t)
	dir := newRepo(t, env)
	log, proceed := slowMerges(t, env)
	s := open(t, env, dir, Options{Lives: true})
	want := fill(t, s, 0, MaxPacks-1)
	put(t, s, "triggers", "x")
	put(t, s, "after", "x")
	want["triggers"], want["after"] = "x", "x"
	until(t, "a merge", func() bool { return begun(log) > 0 })
	closed := make(chan bool)
	go func() { s.Close(); close(closed) }()
	select {
	case <-closed:
		t.Error("closed before the merge")
	case <-time.After(50 * time.Millisecond):
	}
	writeFile(t, proceed, "")
	<-closed
	if got := countPacks(t, s); got > MaxPacks {
		t.Errorf("%d packs", got)
	}
	if got := contents(t, env, dir); !maps.Equal(got, want) {
		t.Errorf("read %d files, want %d", len(got), len(want))
	}
	sound(t, env, dir)
}
