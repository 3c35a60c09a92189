//go:build unix

package gitstore

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// state is what a snapshot must hold: the naive model of the store.
type state struct {
	sn    *Snapshot
	files map[string]string // "replica path" to contents
}

// TestHistories writes random histories in two clones that now and then fetch
// from each other, and compares all that snapshots answer with a model.
func TestHistories(t *testing.T) {
	t.Parallel()
	rounds, steps := 4, 14
	if testing.Short() {
		rounds = 1
	}
	for range rounds {
		seed := uint64(time.Now().UnixNano())
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(seed, 0))
			env := testEnv(t)
			dirs := []string{newRepo(t, env), newRepo(t, env)}
			stores := []*Store{open(t, env, dirs[0], Options{}), open(t, env, dirs[1], Options{})}
			logs := []map[string]string{{}, {}}  // what each has written itself
			known := []map[string]string{{}, {}} // what the first and the second know
			var states []state
			for range steps {
				who := rnd.IntN(2)
				if rnd.IntN(3) == 0 {
					git(t, env, dirs[0], "fetch", "-q", dirs[1], "+refs/agentmail/*:refs/agentmail/*")
					maps.Copy(known[0], logs[1])
				} else {
					write(t, rnd, stores[who], logs[who])
					maps.Copy(known[who], logs[who])
				}
				sn, err := stores[0].Snapshot(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				states = append(states, state{sn, maps.Clone(known[0])})
			}
			for i, now := range states {
				checkReading(t, rnd, now)
				for j, base := range states {
					checkAdded(t, base, now, j <= i)
				}
				checkAdded(t, state{files: map[string]string{}}, now, true)
			}
		})
	}
}

// write adds a few files at random places.
func write(t *testing.T, rnd *rand.Rand, s *Store, log map[string]string) {
	t.Helper()
	added := map[string]string{}
	replica := ""
	_, err := s.Update(context.Background(), func(tx *Tx) (CommitInfo, error) {
		replica = tx.Replica()
		clear(added)
		for range 1 + rnd.IntN(4) {
			parts := []string{"top", "mail", "x"}[:1+rnd.IntN(3)]
			for i := range parts {
				parts[i] += fmt.Sprint(rnd.IntN(3))
			}
			name := strings.Join(parts, "/") + fmt.Sprintf("/f%d", rnd.IntN(1<<30))
			if rnd.IntN(8) == 0 {
				name = path.Base(name)
			}
			data := strings.Repeat("same", rnd.IntN(3)) // equal contents are common
			if err := tx.Create(name, []byte(data)); err != nil {
				return CommitInfo{}, err
			}
			added[name] = data
		}
		return CommitInfo{Subject: "random", Trailers: [][2]string{{"Agentmail-Seq", fmt.Sprint(len(log))}}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range added {
		log[replica+" "+name] = data
	}
}

func collect(m map[string]string) func(File) error {
	return func(f File) error {
		if f.Path != headerFile {
			m[f.Replica+" "+f.Path] = string(f.Data)
		}
		return nil
	}
}

func checkReading(t *testing.T, rnd *rand.Rand, now state) {
	t.Helper()
	ctx := context.Background()
	got := map[string]string{}
	if err := now.sn.Walk(ctx, "", collect(got)); err != nil || !maps.Equal(got, now.files) {
		t.Errorf("Walk: %v, %d files, want %d", err, len(got), len(now.files))
	}
	for _, prefix := range []string{"top0/", "top1/mail1/", "nothing/", "top2/mail0/x1/"} {
		list, err := now.sn.List(ctx, prefix, nil)
		if err != nil {
			t.Errorf("List %s: %v", prefix, err)
		}
		want := 0
		for name := range now.files {
			if _, p, _ := strings.Cut(name, " "); strings.HasPrefix(p, prefix) {
				want++
			}
		}
		if len(list) != want || !slices.IsSortedFunc(list, func(a, b File) int { return strings.Compare(a.Path, b.Path) }) {
			t.Errorf("List %s: %d files, want %d, in order", prefix, len(list), want)
		}
	}
	for name, data := range now.files {
		replica, p, _ := strings.Cut(name, " ")
		if rnd.IntN(10) > 0 {
			continue
		}
		if f, ok, err := now.sn.Get(ctx, replica, p); err != nil || !ok || string(f.Data) != data {
			t.Errorf("Get %s = %q, %v, %v, want %q", name, f.Data, ok, err, data)
		}
		for _, none := range []string{p + "x", p + "/x", path.Dir(p), "none/" + p} {
			if _, exists := now.files[replica+" "+none]; !exists {
				if _, ok, err := now.sn.Get(ctx, replica, none); ok || err != nil {
					t.Errorf("Get %s = %v, %v, want nothing", none, ok, err)
				}
			}
		}
	}
}

// checkAdded compares Added and WalkSince with the difference of the models.
func checkAdded(t *testing.T, base, now state, leads bool) {
	t.Helper()
	version := Version("")
	if base.sn != nil {
		version = base.sn.Version()
	}
	want := maps.Clone(now.files)
	for name := range base.files {
		if _, ok := want[name]; !ok {
			leads = false // something of the base is not here
		}
		delete(want, name)
	}
	got := map[string]string{}
	ok, err := now.sn.WalkSince(context.Background(), version, collect(got))
	switch {
	case err != nil:
		t.Errorf("WalkSince(%s): %v", version, err)
	case ok && !maps.Equal(got, want):
		t.Errorf("WalkSince(%s): %d files, want %d", version, len(got), len(want))
	case leads && !ok:
		t.Errorf("WalkSince(%s): does not lead here, but it does", version)
	case !ok && len(got) > 0:
		t.Errorf("WalkSince(%s): visited %d files of a base that does not lead here", version, len(got))
	case ok && len(base.files) > len(now.files):
		t.Errorf("WalkSince(%s): leads here, but has more", version)
	}
}

// TestOddBases asks what came after versions that never were, or are no more.
func TestOddBases(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	s := open(t, env, dir, Options{})
	old := put(t, s, "a", "1")
	v := put(t, s, "b", "2")
	sn, err := s.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	own := sn.Own()
	writeFile(t, filepath.Join(dir, "user's"), "x")
	git(t, env, dir, "add", ".")
	user(t, env, dir, "commit", "-q", "-m", "two")
	head := git(t, env, dir, "rev-parse", "HEAD")
	for _, base := range []string{
		own + "=" + strings.Repeat("0", 40), own + "=" + strings.Repeat("a", 40), own + "=" + head, // unborn, missing, a branch
		own + "=HEAD", own + "=", own + "=" + string(v)[len(own)+1:len(own)+9], own, "x", "=", // no object names
		"0000000000=" + head, string(v) + " 0000000000=" + head, // a log that is not here
		own + "=" + git(t, env, dir, "rev-parse", logRef(own)+"^{tree}"), // not a commit
	} {
		files, ok, err := sn.Added(context.Background(), Version(base))
		if ok || err != nil || files != nil {
			t.Errorf("Added(%q) = %d files, %v, %v, want start over", base, len(files), ok, err)
		}
	}
	// The owner's truncation: a log that begins anew.
	tree := strings.Split(git(t, env, dir, "ls-tree", logRef(own)), "\n")
	cmd := exec.Command("git", "hash-object", "-w", "--stdin")
	cmd.Dir, cmd.Env, cmd.Stdin = dir, env, strings.NewReader(`{"format":1,"base":{"epoch":1}}`)
	blob, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command("git", "mktree")
	cmd.Dir, cmd.Env = dir, env
	cmd.Stdin = strings.NewReader("100644 blob " + strings.TrimSpace(string(blob)) + "\t" + headerFile + "\n" + tree[len(tree)-1] + "\n")
	oid, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	cut := user(t, env, dir, "commit-tree", "-m", "cut", strings.TrimSpace(string(oid)))
	other := filepath.Join(t.TempDir(), "other")
	git(t, env, "", "clone", "-q", dir, other)
	git(t, env, other, "fetch", "-q", dir, cut+":"+logRef(own))
	so := open(t, env, other, Options{})
	sno, err := so.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for _, base := range []Version{v, old} {
		if files, ok, err := sno.Added(context.Background(), base); ok || err != nil {
			t.Errorf("Added(%q) after a truncation = %v, %v, %v, want start over", base, files, ok, err)
		}
	}
}
