//go:build unix

package mailbox

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/internal/hub"
	"github.com/git-agentmail/git-agentmail/mail"
)

// TestFenceRace: writers reserve one file in turn, pause longer than their reservation lasts, and
// push what they have changed. What moves at the hub, and in which order, is told by a hook
// there: no push is accepted of somebody after whom another was granted the file.
//
// A check before a push of git's own cannot hold that. In the soak it is tried as well, and how often it
// lets something through is only told: no test can depend on a race that is lost.
func TestFenceRace(t *testing.T) {
	t.Parallel()
	n, span, modes := 4, 5*time.Second, []bool{true}
	if soak() {
		n, span, modes = 8, 2*time.Minute, []bool{true, false}
	}
	for _, fenced := range modes {
		h := hub.New(t)
		grants, pushed, refused, late := fenceRace(t, h, n, span, fenced)
		t.Logf("fenced: %v; %d grants, %d pushes accepted, %d refused, %d accepted after a later grant", fenced, grants, pushed, refused, late)
		if fenced && (late > 0 || grants == 0) {
			t.Errorf("of %d grants and %d pushes %d were accepted after a later grant", grants, pushed, late)
		}
	}
}

// fenceRace lets n clones contend, in whose time a minute is 1.5 s: a reservation of a minute
// ends, and may be taken half a minute later.
func fenceRace(t *testing.T, h *hub.Hub, n int, span time.Duration, fenced bool) (grants, pushed, refused, late int) {
	t.Helper()
	const ttl = 1500 * time.Millisecond
	begin := time.Now()
	fast := func() time.Time { return begin.Add(time.Since(begin) * time.Duration(time.Minute/ttl)) }
	moves := filepath.Join(t.TempDir(), "moves")
	first := newWorld(t)
	first.in("push", "-q", h.FileURL, "main")
	var worlds []*world
	var actors []Actor
	for i := range n {
		w := &world{t: t, dir: filepath.Join(t.TempDir(), "w"), env: first.env, ctx: first.ctx}
		w.git("clone", "-q", "-b", "main", h.FileURL, w.dir)
		b, err := Open(w.ctx, Options{Dir: w.dir, Environ: w.env, Now: fast})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		w.box = b
		actors = append(actors, w.agent(fmt.Sprint("Agent", i)))
		w.sync("origin")
		worlds = append(worlds, w)
	}
	h.Hook("reference-transaction", `[ "$1" = committed ] || exit 0; tr '\n' ';' >>'`+moves+`.$$'; echo >>'`+moves+`.$$'; cat '`+moves+`.$$' >>'`+moves+`'; rm '`+moves+`.$$'`)
	end := time.Now().Add(span)
	var wg sync.WaitGroup
	var mu sync.Mutex
	for i, w := range worlds {
		wg.Go(func() {
			for k := 0; time.Now().Before(end); k++ {
				r, err := w.box.Reserve(w.ctx, actors[i], ReserveRequest{Patterns: []string{"README.md"}, TTL: time.Minute, Strong: true})
				if err != nil || len(r.Granted) == 0 || r.Granted[0].Token == 0 {
					if err != nil && mail.CodeOf(err) != mail.Conflict && mail.CodeOf(err) != mail.Remote {
						t.Errorf("reserve: %v", err)
						return
					}
					time.Sleep(rand.N(ttl / 2))
					continue
				}
				w.in("fetch", "-q", "origin", "main")
				w.in("reset", "-q", "--hard", "FETCH_HEAD")
				w.write("README.md", fmt.Sprint(i, k))
				w.in("commit", "-q", "-a", "-m", fmt.Sprintf("token %d", r.Granted[0].Token))
				time.Sleep(time.Duration(rand.ExpFloat64() * float64(ttl)))
				if rand.IntN(3) == 0 {
					continue // it gives up, and says nothing
				}
				ok := false
				if fenced {
					_, err := w.box.Push(w.ctx, actors[i], PushRequest{Refspecs: []string{"main"}, Stderr: new(strings.Builder)})
					if ok = err == nil; !ok && mail.CodeOf(err) != mail.Conflict && mail.CodeOf(err) != mail.Remote {
						t.Errorf("push: %v", err)
					}
				} else if w.box.Sync(w.ctx, "origin"); w.holds(actors[i], r.Granted[0].ID) {
					status, _ := w.try(w.dir, nil, "push", "-q", "--no-verify", "origin", "main")
					ok = status == 0
				}
				mu.Lock()
				if refused++; ok {
					pushed, refused = pushed+1, refused-1
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	h.Hook("reference-transaction", "")
	data, err := os.ReadFile(moves)
	if err != nil {
		t.Fatal(err)
	}
	newest := int64(0)
	seen := map[string]bool{}
	for line := range strings.Lines(string(data)) {
		var main, table string
		for move := range strings.SplitSeq(line, ";") {
			if f := strings.Fields(move); len(f) == 3 && f[2] == "refs/heads/main" {
				main = f[1]
			} else if len(f) == 3 && f[2] == tableAt {
				table = f[1]
			}
		}
		if main != "" {
			var token int64
			fmt.Sscanf(h.Git("log", "-1", "--format=%s", main), "token %d", &token)
			if token < newest {
				late++
			}
		}
		if table != "" {
			for name := range strings.FieldsSeq(h.Git("ls-tree", "-r", "--name-only", table, "lease/")) {
				if g := grantAt(t, h, table, name); !seen[g.ID] {
					seen[g.ID] = true
					newest = max(newest, g.Token)
					grants++
				}
			}
		}
	}
	return grants, pushed, refused, late
}

func (w *world) holds(who Actor, id string) bool {
	list, err := w.box.Reservations(w.ctx, who, ReservationQuery{Mine: true})
	if err != nil {
		w.t.Error(err)
	}
	for _, l := range list {
		if l.ID == id {
			return true
		}
	}
	return false
}

func grantAt(t *testing.T, h *hub.Hub, at, name string) *mail.Grant {
	t.Helper()
	table, err := mail.DecodeTable(map[string][]byte{"table.json": []byte(`{"v":1}`), name: []byte(h.Git("show", at+":"+name))})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range table.Held {
		return g
	}
	return nil
}

// TestFenceReplaced: whoever let a reservation run out pushes nothing of it while another one holds
// the files, nor afterwards, until they reserve them again.
func TestFenceReplaced(t *testing.T) {
	t.Parallel()
	h := hub.New(t)
	one, two, blue, green := pair(t, h, h.FileURL)
	if _, err := one.box.Reserve(one.ctx, blue, ReserveRequest{Patterns: []string{"src/**"}, TTL: time.Minute, Strong: true}); err != nil {
		t.Fatal(err)
	}
	one.commits("src/auth/token.go")
	one.pass(5 * time.Minute)
	two.pass(5 * time.Minute)
	two.got(green, "src/auth/*.go")
	push := func() error {
		_, err := one.box.Push(one.ctx, blue, PushRequest{Refspecs: []string{"main"}, Stderr: new(strings.Builder)})
		return err
	}
	main := h.Refs()["refs/heads/main"]
	if err := push(); mail.CodeOf(err) != mail.Conflict || !strings.Contains(err.Error(), "that others hold") {
		t.Errorf("while another one holds it: %v", err)
	}
	if _, err := two.box.Release(two.ctx, green, LeaseFilter{}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // to be told once is not enough
		if err := push(); mail.CodeOf(err) != mail.Conflict || !strings.Contains(err.Error(), `your strong reservation "src/**" ended at`) {
			t.Errorf("after that: %v", err)
		}
		one.sync("origin")
	}
	if h.Refs()["refs/heads/main"] != main {
		t.Error("the branch moved")
	}
	one.got(blue, "src/auth/**")
	if err := push(); err != nil {
		t.Errorf("reserved again: %v", err)
	}
	if _, err := one.box.Release(one.ctx, blue, LeaseFilter{}); err != nil {
		t.Fatal(err)
	}
	one.commits("src/auth/token.go")
	if err := push(); err != nil {
		t.Errorf("released, and nobody's: %v", err)
	}
	// What ran out, and nobody had since, is in nobody's way.
	if _, err := one.box.Reserve(one.ctx, blue, ReserveRequest{Patterns: []string{"README.md"}, TTL: time.Minute, Strong: true}); err != nil {
		t.Fatal(err)
	}
	one.commits("README.md")
	one.pass(5 * time.Minute)
	if err := push(); err != nil {
		t.Errorf("ran out, and nobody has had it: %v", err)
	}
}
