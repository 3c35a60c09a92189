//go:build unix

package gitstore

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestTruncatePlay: several clones write, truncate and exchange through two hubs and a bundle,
// at random, while the hubs lose logs or have older ones put back. What a clone has seen go
// does not come back to it, what was not to go stays, and in the end all hold the same, with
// not a byte of the rest.
func TestTruncatePlay(t *testing.T) {
	t.Parallel()
	games, steps := 3, 45
	if soak() {
		games, steps = 100, 120
	}
	seed := uint64(time.Now().UnixNano())
	for i := range games {
		t.Run(fmt.Sprint("seed ", seed+uint64(i)), func(t *testing.T) {
			t.Parallel()
			newTruncateGame(t, seed+uint64(i)).play(steps)
		})
	}
}

type truncateGame struct {
	*rand.Rand
	t      *testing.T
	env    []string
	hubs   []string
	bundle string
	dirs   []string
	stores []*Store
	day    int                 // of the clock that all share
	seq    []int               // by clone
	wrote  []map[string]int    // by clone: the day of each of its files
	gone   map[string]bool     // files that their owner took out
	seen   []map[string]string // by clone: what it held after its last step
	past   map[string][]string // by hub: what was once there, as "ref commit"
}

func newTruncateGame(t *testing.T, seed uint64) *truncateGame {
	g := &truncateGame{Rand: rand.New(rand.NewPCG(seed, 0)), t: t, env: testEnv(t), gone: map[string]bool{}, past: map[string][]string{}}
	g.hubs = []string{hubOf(t, g.env), hubOf(t, g.env)}
	g.bundle = filepath.Join(t.TempDir(), "mail.bundle")
	for range 3 {
		dir := newRepo(t, g.env)
		g.dirs = append(g.dirs, dir)
		g.stores = append(g.stores, open(t, g.env, dir, Options{
			Now:    func() time.Time { return time.Unix(1_800_000_000, 0).AddDate(0, 0, g.day) },
			Report: func(s string) { t.Log(s) },
		}))
		g.seq, g.wrote, g.seen = append(g.seq, 0), append(g.wrote, map[string]int{}), append(g.seen, map[string]string{})
	}
	return g
}

func (g *truncateGame) play(steps int) {
	for range steps {
		i := g.IntN(len(g.stores))
		g.step(i)
		g.check(i)
		if g.t.Failed() {
			return
		}
	}
	for range 3 {
		for i := range g.stores {
			for _, hub := range g.hubs {
				g.exchange(i, hub)
			}
			g.check(i)
		}
	}
	want := map[string]string{}
	for _, wrote := range g.wrote {
		for path := range wrote {
			if !g.gone[path] {
				want[path] = "of " + path
			}
		}
	}
	for i, dir := range g.dirs {
		if got := contents(g.t, g.env, dir); !maps.Equal(got, want) {
			g.t.Errorf("in the end clone %d holds %d files, want %d", i, len(got), len(want))
		}
		for path := range g.gone {
			if has(g.env, dir, blobOf(g.t, g.env, dir, "of "+path)) {
				g.t.Errorf("clone %d has the bytes of %s", i, path)
			}
		}
		sound(g.t, g.env, dir)
	}
}

func (g *truncateGame) step(i int) {
	s, ctx := g.stores[i], context.Background()
	switch n := g.IntN(20); {
	case n < 7:
		g.day += g.IntN(3)
		g.seq[i]++
		path := fmt.Sprintf("m/%02d/%d-%d", g.day%7, i, g.seq[i])
		if _, err := s.Update(ctx, func(tx *Tx) (CommitInfo, error) {
			return CommitInfo{Subject: path, Trailers: [][2]string{{SeqTrailer, fmt.Sprint(g.seq[i])}}}, tx.Create(path, []byte("of "+path))
		}); err != nil {
			g.t.Fatal(err)
		}
		g.wrote[i][path] = g.day
	case n < 10:
		oldest := g.day - 2 - g.IntN(8)
		var drop []string
		for path, day := range g.wrote[i] {
			if day < oldest && !g.gone[path] {
				drop = append(drop, path)
			}
		}
		if _, _, _, err := s.Truncate(ctx, func(*Snapshot) (Cut, error) {
			return Cut{Drop: drop, Upto: 1, Before: time.Unix(1_800_000_000, 0).AddDate(0, 0, oldest), Subject: "truncate"}, nil
		}); err != nil {
			g.t.Fatal(err)
		}
		for _, path := range drop {
			g.gone[path] = true
		}
	case n < 11: // the hub loses a log
		hub := g.hubs[g.IntN(2)]
		if refs := g.logs(hub); len(refs) > 0 {
			ref, _, _ := strings.Cut(refs[g.IntN(len(refs))], " ")
			git(g.t, g.env, hub, "update-ref", "-d", ref)
		}
	case n < 13: // somebody puts back what was there once
		hub := g.hubs[g.IntN(2)]
		if past := g.past[hub]; len(past) > 0 {
			ref, oid, _ := strings.Cut(past[g.IntN(len(past))], " ")
			git(g.t, g.env, hub, "update-ref", ref, oid)
		}
	case n < 15:
		if r, err := s.SyncBundle(ctx, g.bundle); err != nil || r.Forked != "" {
			g.t.Errorf("clone %d by bundle: %+v, %v", i, r, err)
		}
	default:
		g.exchange(i, g.hubs[g.IntN(2)])
	}
}

func (g *truncateGame) logs(hub string) []string {
	return strings.FieldsFunc(git(g.t, g.env, hub, "for-each-ref", "--format=%(refname) %(objectname)", logPrefix), func(r rune) bool { return r == '\n' })
}

func (g *truncateGame) exchange(i int, hub string) {
	r := exchange(g.t, g.stores[i], hub)
	if r.Forked != "" || len(r.Refused) > 0 {
		g.t.Errorf("clone %d: %+v", i, r)
	}
	for _, line := range g.logs(hub) {
		if !slices.Contains(g.past[hub], line) {
			g.past[hub] = append(g.past[hub], line)
		}
	}
}

// check compares what a clone holds with what it held.
func (g *truncateGame) check(i int) {
	got := contents(g.t, g.env, g.dirs[i])
	for path := range g.seen[i] {
		if _, still := got[path]; !still && !g.gone[path] {
			g.t.Errorf("clone %d has lost %s", i, path)
		}
	}
	for path, data := range got {
		if data != "of "+path {
			g.t.Errorf("clone %d: %s holds %q", i, path, data)
		}
		if g.gone[path] && g.wentBefore(i, path) {
			g.t.Errorf("%s has come back to clone %d", path, i)
		}
	}
	for path := range g.seen[i] {
		if _, still := got[path]; !still {
			g.seen[i][path] = "gone"
		}
	}
	for path := range got {
		g.seen[i][path] = ""
	}
	for path := range g.wrote[i] {
		if _, there := got[path]; !there && !g.gone[path] {
			g.t.Errorf("clone %d has lost its own %s", i, path)
		}
	}
}

func (g *truncateGame) wentBefore(i int, path string) bool { return g.seen[i][path] == "gone" }
