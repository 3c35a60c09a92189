package gitstore

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// pace keeps those who look on, and the user's git, from taking all of a small
// machine.
const pace = 200 * time.Millisecond

// TestManyProcesses has many processes write at once while the user's git packs,
// prunes and fetches, and a reader looks on.
func TestManyProcesses(t *testing.T) {
	cases := []struct{ procs, writes int }{{30, 5}, {50, 20}}
	if testing.Short() {
		cases = cases[:1]
	}
	for _, c := range cases {
		t.Run(fmt.Sprintf("%dx%d", c.procs, c.writes), func(t *testing.T) {
			env := testEnv(t)
			up := newRepo(t, env)
			dir := filepath.Join(t.TempDir(), "r")
			git(t, env, "", "clone", "-q", up, dir)

			stop := make(chan struct{})
			var users sync.WaitGroup
			rounds := 0
			users.Go(func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(pace): // leave the writers some of the processor
					}
					rounds++
					git(t, env, up, "-c", "user.name=U", "-c", "user.email=u@x", "commit", "-q", "--allow-empty", "-m", "more")
					for _, args := range [][]string{
						{"gc", "--quiet", "--prune=now"}, {"fetch", "-q"}, {"pack-refs", "--all"}, {"for-each-ref"}, {"status"}, {"log", "-1"},
					} {
						cmd := exec.Command("git", args...)
						cmd.Dir, cmd.Env = dir, env
						if out, err := cmd.CombinedOutput(); err != nil {
							t.Errorf("the user's git %s failed: %v\n%s", args[0], err, out)
						}
					}
				}
			})
			reader := spawn(t, env, "read", childConfig{Dir: dir}, nil)
			var writers []*proc
			for i := range c.procs {
				writers = append(writers, spawn(t, env, "write", childConfig{Dir: dir, Prefix: fmt.Sprintf("w%d", i), Count: c.writes, Wait: time.Minute}, nil))
			}
			var acked []string
			for _, w := range writers {
				acked = append(acked, w.wait(t, 5*time.Minute)...) // a machine that is busy with other tests is no failure
			}
			close(stop)
			users.Wait()
			reader.stdin.Close()
			t.Logf("%d rounds of the user's git, reader: %s", rounds, reader.wait(t, time.Minute))

			if want := c.procs * c.writes; len(acked) != want {
				t.Errorf("%d writes acknowledged, want %d", len(acked), want)
			}
			holds(t, env, dir, acked)
			sound(t, env, dir)
			if n := git(t, env, dir, "rev-list", "--count", "--glob="+logPrefix+"*"); n != fmt.Sprint(len(acked)) {
				t.Errorf("%s commits for %d writes by as many processes", n, len(acked))
			}
			if refs := strings.Fields(git(t, env, dir, "for-each-ref", "--format=%(refname)", refRoot)); len(refs) != 1 {
				t.Errorf("one clone has the logs %q", refs)
			}
		})
	}
}

// TestPlainGitBeside lets people move our ref with nothing but git while we do.
// What either acknowledged is there.
func TestPlainGitBeside(t *testing.T) {
	t.Parallel()
	n := 6 // for each of six, enough for packs to be merged meanwhile
	if soak() {
		n = 15
	}
	env := testEnv(t)
	dir := newRepo(t, env)
	put(t, open(t, env, dir, Options{}), "first", "1")
	var procs []*proc
	for i := range 3 {
		c := childConfig{Dir: dir, Prefix: fmt.Sprint(i), Count: n, Wait: time.Minute}
		procs = append(procs, spawn(t, env, "write", c, nil), spawn(t, env, "plain", c, nil))
	}
	acked := []string{"first"}
	for _, p := range procs {
		acked = append(acked, p.wait(t, time.Minute)...)
	}
	if want := 1 + 6*n; len(acked) != want {
		t.Errorf("%d writes acknowledged, want %d", len(acked), want)
	}
	holds(t, env, dir, acked)
	sound(t, env, dir)
}

// TestRefsAreNeverMissed packs a ref again and again while it moves: whoever
// reads refs from the files must see it at every moment.
func TestRefsAreNeverMissed(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	repo, err := Find(context.Background(), dir, env)
	if err != nil {
		t.Fatal(err)
	}
	const replica = "0000000000"
	at := map[OID]int{} // when the ref was at an object
	var tips []OID
	moves := 30 // each gives a reader two moments to miss the ref, and it looks all the time
	if soak() {
		moves = 1000
	}
	for i := range moves {
		oid := git(t, env, dir, "-c", "user.name=U", "-c", "user.email=u@x", "commit-tree", "-m", fmt.Sprint(i), "HEAD^{tree}")
		tips, at[oid] = append(tips, oid), i+1
	}
	git(t, env, dir, "update-ref", logRef(replica), tips[0])
	stop := make(chan struct{})
	var packer sync.WaitGroup
	packer.Go(func() {
		defer close(stop)
		for _, oid := range tips[1:] {
			git(t, env, dir, "update-ref", logRef(replica), oid)
			git(t, env, dir, "pack-refs", "--all", "--prune")
		}
	})
	looks, wrong, last := 0, 0, 0
	for done := false; !done; looks++ {
		select {
		case <-stop:
			done = true
		default:
		}
		got, err := repo.logTips()
		if err != nil {
			t.Error(err)
		}
		if now := at[got[replica]]; now < last {
			wrong++
		} else {
			last = now
		}
	}
	packer.Wait()
	if wrong > 0 || last != len(tips) {
		t.Errorf("of %d looks %d missed the ref or saw it go back; the last saw state %d of %d", looks, wrong, last, len(tips))
	}
}
