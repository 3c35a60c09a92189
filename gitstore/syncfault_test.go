//go:build unix

package gitstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/internal/hub"
)

// TestSyncFaults: two clones write and exchange logs through a network that cuts, refuses and
// lies at every turn. Nothing that one acknowledged is lost, no branch of the user moves,
// and once the network is well both hold the same.
func TestSyncFaults(t *testing.T) {
	t.Parallel()
	rounds := 25
	if soak() {
		rounds = 1000
	}
	env := testEnv(t)
	h := hub.New(t)
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	var stores []*Store
	var dirs []string
	for i := range 2 {
		dir := newRepo(t, env)
		s := open(t, env, dir, Options{})
		put(t, s, fmt.Sprintf("first/%d", i), "x")
		stores, dirs = append(stores, s), append(dirs, dir)
	}
	branches := func() (list []string) {
		for _, dir := range dirs {
			list = append(list, git(t, env, dir, "for-each-ref", "refs/heads", "refs/remotes", "refs/tags"))
		}
		return list
	}
	before := strings.Join(branches(), "\n")
	failed := 0
	for round := range rounds {
		i := r.IntN(2)
		put(t, stores[i], fmt.Sprintf("r/%d", round), strings.Repeat("text ", r.IntN(2000)))
		var n hub.Network
		what := ""
		switch r.IntN(7) {
		case 0:
			n.FromClient, what = 1+r.Int64N(3000), "cut from the client"
		case 1:
			n.ToClient, what = 1+r.Int64N(3000), "cut to the client"
		case 2:
			n.Down, what = true, "down"
		case 3:
			n.Answers, what = []hub.Answer{{Status: []int{403, 500, 429}[r.IntN(3)]}}, "refuses"
		case 4:
			n.Answers, what = []hub.Answer{{Status: 200, Body: hub.Garbage}}, "garbage"
		case 5:
			n.Answers, what = []hub.Answer{{Status: 200, Header: map[string]string{"Content-Type": "text/html"}, Body: "<p>Log in"}}, "a page"
		case 6:
			n.Delay, what = 20*time.Millisecond, "slow"
		}
		h.Set(n)
		if _, err := stores[i].Sync(context.Background(), h.URL); err != nil {
			if failed++; KindOf(err) != Unreachable {
				t.Fatalf("seed %d, round %d (%s): %v", seed, round, what, err)
			}
		}
	}
	h.Set(hub.Network{})
	for range 2 {
		for _, s := range stores {
			exchange(t, s, h.URL)
		}
	}
	if failed < rounds/4 {
		t.Errorf("seed %d: only %d of %d exchanges failed", seed, failed, rounds)
	}
	if now := strings.Join(branches(), "\n"); now != before {
		t.Errorf("seed %d: branches were\n%s\nand are\n%s", seed, before, now)
	}
	for i, s := range stores {
		if x, y := version(t, s), version(t, stores[0]); x != y {
			t.Errorf("seed %d: they hold %s and %s", seed, x, y)
		}
		sn, err := s.Snapshot(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		files, err := sn.List(context.Background(), "r/", nil)
		if err != nil || len(files) != rounds {
			t.Errorf("seed %d: clone %d holds %d of %d, %v", seed, i, len(files), rounds, err)
		}
		if list := git(t, env, h.Dir, "for-each-ref", "--format=%(refname)", "refs/agentmail", "refs/heads"); strings.Count(list, logPrefix) != 2 || strings.Contains(list, headsPrefix) {
			t.Errorf("seed %d: the hub has %s", seed, list)
		}
		sound(t, env, dirs[i])
	}
	sound(t, env, h.Dir)
}

// TestSyncSandbox: what lies between answers 403 to a push of anything but branches, as the
// sandboxes of coding agents do.
func TestSyncSandbox(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	h := hub.New(t)
	h.Set(hub.Network{Answers: []hub.Answer{{Status: 403, To: func(r hub.Request) bool {
		for _, ref := range r.Refs {
			if !strings.HasPrefix(ref, "refs/heads/") {
				return true
			}
		}
		return false
	}}}})
	s := open(t, env, newRepo(t, env), Options{})
	fill(t, s, 0, 2)
	if r := exchange(t, s, h.URL); !r.Branches || r.Pushed != 2 {
		t.Errorf("%+v", r)
	}
}

// TestSyncServerKilled kills the half of a push that runs on the hub, at each of its steps.
func TestSyncServerKilled(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	h := hub.New(t)
	s := open(t, env, newRepo(t, env), Options{})
	put(t, s, "first", "x")
	exchange(t, s, h.URL)
	for i, at := range []hub.Moment{hub.BeforeRefs, hub.RefsLocked, hub.RefsMoved} {
		put(t, s, fmt.Sprint("m/", i), "x")
		h.KillAt(at)
		if _, err := s.Sync(context.Background(), h.URL); err != nil && KindOf(err) != Unreachable {
			t.Fatalf("killed at %v: %v", at, err)
		}
		own, _ := s.repo.replica()
		lock := filepath.Join(h.Dir, filepath.FromSlash(logRef(own))) + ".lock"
		if err := os.Remove(lock); err == nil != (at == hub.RefsLocked) && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("killed at %v: the lock: %v", at, err)
		}
		exchange(t, s, h.URL)
		if list, err := s.Remotes(context.Background()); err != nil || list[0].Ahead > 0 || list[0].Failed != "" {
			t.Errorf("killed at %v, afterwards: %+v, %v", at, list, err)
		}
	}
	sound(t, env, h.Dir)
}

// TestSyncSilent: a hub that was reached and says nothing any more, as after a cable was pulled or
// a router forgot the connection, is given up, and so is the lock that other exchanges wait for.
func TestSyncSilent(t *testing.T) {
	t.Parallel()
	env := append(testEnv(t), "GIT_HTTP_LOW_SPEED_TIME=2") // we wait longer; the user's word counts
	h := hub.New(t)
	way := h.Way("127.0.0.1:0")
	s := open(t, env, newRepo(t, env), Options{})
	put(t, s, "first", "x")
	exchange(t, s, way.URL)
	way.Set(hub.Silent)
	ctx, stop := context.WithTimeout(context.Background(), 30*time.Second)
	defer stop()
	if _, err := s.Sync(ctx, way.URL); ctx.Err() != nil || KindOf(err) != Unreachable {
		t.Errorf("through silence: %v, %v", err, ctx.Err())
	}
	way.Set(hub.Open)
	put(t, s, "second", "x")
	if r := exchange(t, s, way.URL); r.Pushed == 0 {
		t.Errorf("afterwards: %+v", r)
	}
}
