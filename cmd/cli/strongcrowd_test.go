//go:build unix

package cli_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/guard"
	"github.com/git-agentmail/git-agentmail/internal/hub"
	"github.com/git-agentmail/git-agentmail/mail"
)

// crowd are clones of one hub, an agent in each.
type crowd struct {
	t     *testing.T
	hub   *hub.Hub
	yards []*yard

	mu   sync.Mutex
	said []string // by reserve, in this round
}

func newCrowd(t *testing.T, h *hub.Hub, url string, n int) *crowd {
	t.Helper()
	c := &crowd{t: t, hub: h}
	home := t.TempDir()
	config := filepath.Join(home, ".gitconfig")
	if err := os.WriteFile(config, []byte("[user]\n\tname = Ann\n\temail = ann@example.org\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, "GIT_") || strings.HasPrefix(kv, "AGENT") })
	env = append(env, "HOME="+home, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+config)
	git := func(y *yard, args ...string) {
		t.Helper()
		if out, err := y.cmd("git", args...).CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
	first := &yard{t: t, dir: filepath.Join(home, "first"), env: env}
	git(first, "init", "-q", "-b", "main", first.dir)
	for _, name := range []string{"src/a.go", "src/b/c.go", "doc/d.md"} {
		if err := os.MkdirAll(filepath.Join(first.dir, filepath.Dir(name)), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(first.dir, name), []byte(name), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	git(first, "add", "-A")
	git(first, "commit", "-q", "-m", "one")
	git(first, "push", "-q", h.FileURL, "main")
	for i := range n {
		y := &yard{t: t, dir: filepath.Join(home, fmt.Sprint("clone", i)), env: env, program: "git-agentmail", agents: []string{fmt.Sprint("Agent", i)}}
		git(y, "clone", "-q", h.FileURL, y.dir)
		git(y, "remote", "set-url", "origin", url)
		y.must("register", "-q", y.agents[0], "--program", "test", "--model", "m")
		y.must("sync", "-q")
		c.yards = append(c.yards, y)
	}
	return c
}

// all does the same in all clones at once.
func (c *crowd) all(fn func(i int, y *yard)) {
	var wg sync.WaitGroup
	for i, y := range c.yards {
		wg.Go(func() { fn(i, y) })
	}
	wg.Wait()
}

// claims are what a clone was told it has.
type claim struct {
	ID    string `json:"id"`
	Token int64  `json:"token"`
}

// strong starts "reserve --strong", kills it with all that it started at a random moment, if it is to die,
// and returns what it was told.
func (c *crowd) strong(y *yard, pattern string, dies bool, after time.Duration) (got *claim, killed bool) {
	cmd := y.cmd("git-agentmail", "reserve", "--json", "--strong", "--as", y.agents[0], pattern)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		c.t.Error(err)
		return nil, false
	}
	if dies {
		timer := time.AfterFunc(after, func() { kill(cmd.Process.Pid) })
		defer timer.Stop()
	}
	err := cmd.Wait()
	c.mu.Lock()
	c.said = append(c.said, fmt.Sprintf("%s %s: %v %s %s", y.agents[0], pattern, err, out.String(), errs.String()))
	c.mu.Unlock()
	var r struct{ Granted []claim }
	switch {
	case cmd.ProcessState.ExitCode() < 0:
		return nil, true
	case err != nil && cmd.ProcessState.ExitCode() != mail.Conflict.Exit():
		c.t.Errorf("reserve %s: %v: %s", pattern, err, errs.String())
		return nil, false
	case err != nil:
		return nil, false
	}
	if err := json.Unmarshal([]byte(out.String()), &r); err != nil || len(r.Granted) != 1 {
		c.t.Errorf("reserve %s: %v: %s", pattern, err, out.String())
		return nil, false
	}
	return &r.Granted[0], false
}

// kill ends a program with SIGKILL, and half of the time what it has started as well, over file://
// the server half too. Else that goes on as an orphan.
func kill(pid int) {
	below := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		data, _ := os.ReadFile(name)
		_, rest, _ := strings.Cut(string(data), ") ")
		if f := strings.Fields(rest); len(f) > 1 {
			id, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			parent, _ := strconv.Atoi(f[1])
			below[parent] = append(below[parent], id)
		}
	}
	syscall.Kill(pid, syscall.SIGKILL)
	if rand.IntN(2) == 0 {
		return
	}
	var tree func(int)
	tree = func(pid int) {
		for _, id := range below[pid] {
			syscall.Kill(id, syscall.SIGKILL)
			tree(id)
		}
	}
	tree(pid)
}

// settle has all clones exchange until nothing is left to do.
func (c *crowd) settle() {
	for range 2 {
		c.all(func(_ int, y *yard) { y.sync() })
	}
}

func (y *yard) sync() {
	if _, errs, err := y.ask("sync", "-q"); err != nil {
		y.t.Errorf("sync: %v: %s", err, errs)
	}
}

// version is one state of the table at the hub.
func (c *crowd) table(at string) *mail.Table {
	c.t.Helper()
	files := map[string][]byte{}
	for name := range strings.FieldsSeq(c.hub.Git("ls-tree", "-r", "--name-only", at)) {
		files[name] = []byte(c.hub.Git("show", at+":"+name))
	}
	table, err := mail.DecodeTable(files)
	if err != nil {
		c.t.Fatal(err)
	}
	return table
}

func leasesCross(t *testing.T, a, b *mail.Lease) bool {
	p, err := guard.Compile(a.Pattern)
	q, qerr := guard.Compile(b.Pattern)
	if err != nil || qerr != nil {
		t.Fatal(err, qerr)
	}
	c := guard.Clash(p, guard.Kind(a.Kind), q, guard.Kind(b.Kind))
	return c.Overlap && !c.Implied
}

const tableRef = "refs/agentmail/locks"

// history walks all versions of the table from after on, and returns the grants in order.
func (c *crowd) history(after string) (grants []*mail.Grant, tip string) {
	c.t.Helper()
	spec := []string{"rev-list", "--reverse", tableRef}
	before := &mail.Table{}
	if after != "" {
		spec, before = append(spec, "^"+after), c.table(after)
	}
	for oid := range strings.FieldsSeq(c.hub.Git(spec...)) {
		table := c.table(oid)
		var fresh []*mail.Grant
		for id, g := range table.Held {
			if before.Held[id] == nil {
				fresh = append(fresh, g)
			}
			for other, h := range table.Held {
				if g.Holder != h.Holder && (g.Exclusive || h.Exclusive) && leasesCross(c.t, &g.Lease, &h.Lease) {
					c.t.Errorf("version %s: %s and %s are both in it: %+v, %+v", oid, id, other, g, h)
				}
			}
		}
		slices.SortFunc(fresh, func(a, b *mail.Grant) int { return int(a.Token - b.Token) })
		for i, g := range fresh {
			if g.Token <= before.Token || i > 0 && g.Token <= fresh[i-1].Token {
				c.t.Errorf("version %s: %+v was granted after the token %d", oid, g, before.Token)
			}
		}
		if table.Token < before.Token {
			c.t.Errorf("version %s: the token went from %d to %d", oid, before.Token, table.Token)
		}
		grants, before, tip = append(grants, fresh...), table, oid
	}
	return grants, tip
}

// TestStrongCrowd: all clones at once reserve what crosses, by different patterns, and some are
// killed at a random moment, with the server half where that is theirs. One wins each round,
// whoever lived and won knows it, and whoever was killed finds out.
func TestStrongCrowd(t *testing.T) {
	t.Parallel()
	// All cross each other: what src/a.go matches.
	patterns := []string{"src/**", "src/a.go", "**/a.go", "src/*", "src/?.go", "src/**/*.go", "src/[a-c].go", "src/", "**"}
	rounds, clones := 3, 6
	if soak() {
		rounds, clones = 200, 32
	}
	for _, by := range []string{"file", "http"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			h := hub.New(t)
			url := h.URL
			if by == "file" {
				url = h.FileURL
			}
			c := newCrowd(t, h, url, clones)
			c.settle()
			tip, killed, adopted, long := "", 0, 0, 500*time.Millisecond
			var took []time.Duration
			for round := range rounds {
				var mu sync.Mutex
				claims := map[string]*claim{}
				dead := map[int]bool{}
				c.said = nil
				begin := time.Now()
				c.all(func(i int, y *yard) {
					got, died := c.strong(y, patterns[rand.IntN(len(patterns))], rand.IntN(100) < 15, rand.N(long))
					mu.Lock()
					defer mu.Unlock()
					if died {
						dead[i] = true
						killed++
					}
					if got != nil && got.Token > 0 {
						claims[y.agents[0]] = got
						took = append(took, time.Since(begin))
					}
				})
				long = max(long/2, min(time.Since(begin), 4*time.Second))
				c.unlock()
				c.settle()
				grants, now := c.history(tip)
				// A winner that was killed and has not come back yet is one as well; who was in its
				// way only has to wait for its next sync.
				if len(grants) != 1 || len(claims) > 1 {
					t.Errorf("round %d: %d were granted, %d claimed: %+v\n%s\n%s", round, len(grants), len(claims), claims, strings.Join(c.said, "\n"), h.Git("log", "-p", "--format=%cI", tableRef, "--not", cmp.Or(tip, "refs/heads/main")))
				}
				for who, got := range claims {
					if len(grants) > 0 && (grants[0].ID != got.ID || grants[0].Token != got.Token) {
						t.Errorf("round %d: %s claims %+v, granted was %+v", round, who, got, grants[0])
					}
				}
				held := c.table(now).Held
				for i, y := range c.yards {
					var list []struct{ ID string }
					if err := json.Unmarshal([]byte(y.must("reservations", "--mine", "--json", "--as", y.agents[0])), &list); err != nil {
						t.Fatal(err)
					}
					for _, l := range list {
						if held[l.ID] == nil {
							t.Errorf("round %d: %s believes to hold %s, and the table has %+v", round, y.agents[0], l.ID, held)
						} else if dead[i] {
							adopted++
						}
						y.must("release", "-q", "--as", y.agents[0], l.ID)
						delete(held, l.ID)
					}
				}
				if len(held) > 0 {
					t.Errorf("round %d: nobody knows of %+v", round, held)
				}
				if tip = c.hub.Refs()[tableRef]; len(c.table(tip).Held) > 0 || t.Failed() {
					t.Fatalf("round %d: left in the table: %+v", round, c.table(tip).Held)
				}
			}
			slices.Sort(took)
			t.Logf("%d rounds of %d, %d killed, %d of them had won; the winners knew it after %v", rounds, clones, killed, adopted, took[len(took)/2])
		})
	}
}

// unlock removes what a killed server half has left at the hub, as its keeper would.
func (c *crowd) unlock() {
	filepath.WalkDir(filepath.Join(c.hub.Dir, "refs"), func(path string, _ os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".lock") {
			os.Remove(path)
		}
		return nil
	})
}
