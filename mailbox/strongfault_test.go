//go:build unix

package mailbox

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/internal/hub"
	"github.com/git-agentmail/git-agentmail/mail"
)

const tableAt = "refs/agentmail/locks"

// pair makes two clones of a hub, an agent in each, that exchange mail with it.
func pair(t *testing.T, h *hub.Hub, url string) (one, two *world, blue, green Actor) {
	t.Helper()
	one = newWorld(t)
	two = &world{t: t, dir: filepath.Join(t.TempDir(), "two"), env: one.env, at: one.at, ctx: one.ctx}
	one.in("remote", "add", "origin", url)
	one.in("push", "-q", "origin", "main")
	two.git("clone", "-q", "-b", "main", h.FileURL, two.dir)
	two.in("remote", "set-url", "origin", url)
	one.box, two.box = one.open(one.dir), two.open(two.dir)
	blue, green = one.agent("BlueLake"), two.agent("GreenCastle")
	for range 2 {
		one.sync("origin")
		two.sync("origin")
	}
	return one, two, blue, green
}

func (w *world) strong(who Actor, patterns ...string) (ReserveResult, error) {
	w.t.Helper()
	return w.box.Reserve(w.ctx, who, ReserveRequest{Patterns: patterns, Strong: true})
}

// got reserves and wants it granted.
func (w *world) got(who Actor, patterns ...string) {
	w.t.Helper()
	r, err := w.strong(who, patterns...)
	if err != nil || len(r.Granted) != len(patterns) || r.Granted[0].Token == 0 || len(r.Conflicts) > 0 {
		w.t.Fatalf("%q: %+v, %v", patterns, r, err)
	}
}

// commits changes a file and commits that.
func (w *world) commits(path string) string {
	w.t.Helper()
	w.write(path, fmt.Sprint(rand.Int()))
	w.in("add", "-A")
	w.in("commit", "-q", "-m", "change "+path)
	return w.in("rev-parse", "HEAD")
}

// tableOf decodes the table at the hub.
func tableOf(t *testing.T, h *hub.Hub) *mail.Table {
	t.Helper()
	files := map[string][]byte{}
	for name := range strings.FieldsSeq(h.Git("ls-tree", "-r", "--name-only", tableAt)) {
		files[name] = []byte(h.Git("show", tableAt+":"+name))
	}
	table, err := mail.DecodeTable(files)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func moving(ref string) func(hub.Request) bool {
	return func(r hub.Request) bool { return slices.Contains(r.Refs, ref) }
}

// TestStrongLateAnswer: the hub grants, and the answer is lost. Whoever asked is told that it is
// not strong yet, has it at the next sync, and nobody else does meanwhile.
func TestStrongLateAnswer(t *testing.T) {
	t.Parallel()
	h := hub.New(t)
	one, two, blue, green := pair(t, h, h.URL)
	h.Set(hub.Network{Answers: []hub.Answer{{To: moving(tableAt), Times: 1, Late: true, Status: 502}}})
	r, err := one.strong(blue, "src/**")
	if err != nil || len(r.Granted) != 1 || r.Granted[0].Token != 0 || !strings.Contains(strings.Join(r.Warnings, "\n"), "not strong yet") {
		t.Fatalf("%+v, %v", r, err)
	}
	if r, err := two.strong(green, "src/auth/*.go"); mail.CodeOf(err) != mail.Conflict {
		t.Fatalf("%+v, %v", r, err)
	}
	one.sync("origin")
	has, err := one.box.grants()
	if err != nil || has.Tokens[r.Granted[0].ID] != 1 {
		t.Errorf("it knows of %v, %v", has.Tokens, err)
	}
}

// TestStrongLoserIsGone: who asked and did not get it is in nobody's way afterwards, although it does not
// come back.
func TestStrongLoserIsGone(t *testing.T) {
	t.Parallel()
	h := hub.New(t)
	one, two, blue, green := pair(t, h, h.FileURL)
	one.got(blue, "src/**")
	// It hears of the grant only once its own wish has gone to the hub.
	hook := "[ \"$1\" = refs/agentmail/locks ] || exit 0\nrm -f \"$0\"\nexit 1\n"
	if _, err := one.box.Release(one.ctx, blue, LeaseFilter{}); err != nil {
		t.Fatal(err)
	}
	two.sync("origin")
	h.Hook("update", hook)
	three := &world{t: t, dir: filepath.Join(t.TempDir(), "three"), env: one.env, at: one.at, ctx: one.ctx}
	three.git("clone", "-q", "-b", "main", h.FileURL, three.dir)
	three.box = three.open(three.dir)
	red := three.agent("RedRiver")
	three.sync("origin")
	random := two.box.opt.Rand
	two.box.opt.Rand = func(b []byte) {
		if len(b) == 1 && three != nil { // while it waits to try again, another one is faster
			w := three
			three = nil
			w.got(red, "src/auth/**")
		}
		random(b)
	}
	if r, err := two.strong(green, "src/auth/*.go"); mail.CodeOf(err) != mail.Conflict {
		t.Fatalf("%+v, %v", r, err)
	}
	h.Git("update-ref", "-d", tableAt) // and no table counts but the logs
	four := &world{t: t, dir: filepath.Join(t.TempDir(), "four"), env: one.env, at: one.at, ctx: one.ctx}
	four.git("clone", "-q", "-b", "main", h.FileURL, four.dir)
	four.box = four.open(four.dir)
	four.agent("GoldHill")
	four.sync("origin")
	list, err := four.box.Reservations(four.ctx, four.person(), ReservationQuery{})
	if err != nil || len(list) != 1 || list[0].Agent != "RedRiver" {
		t.Errorf("a new clone sees %+v, %v", list, err)
	}
}

// TestStrongCase: of two clones one ignores case. What differs in nothing else crosses, whoever is asked.
func TestStrongCase(t *testing.T) {
	t.Parallel()
	h := hub.New(t)
	one, two, blue, green := pair(t, h, h.FileURL)
	one.set("core.ignorecase", "true")
	two.set("core.ignorecase", "false")
	two.got(green, "SRC/**")
	if r, err := one.strong(blue, "src/auth/token.go"); mail.CodeOf(err) != mail.Conflict {
		t.Errorf("%+v, %v", r, err)
	}
	one.got(blue, "readme.md")
	if r, err := two.strong(green, "README.md"); mail.CodeOf(err) != mail.Conflict || len(r.Conflicts) != 1 || r.Conflicts[0].Holders[0].Witness == "" {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestFenceLateAnswer: the hub moves the branch, and the answer is lost. The push is not said to
// have failed; where it did fail, it is not said to have moved anything.
func TestFenceLateAnswer(t *testing.T) {
	t.Parallel()
	h := hub.New(t)
	one, _, blue, _ := pair(t, h, h.URL)
	one.got(blue, "src/**")
	oid := one.commits("src/auth/token.go")
	for what, answer := range map[string]hub.Answer{
		"lost":         {To: moving("refs/heads/main"), Times: 1, Late: true, Status: 502},
		"lost garbage": {To: moving("refs/heads/main"), Times: 1, Late: true, Status: 200, Body: hub.Garbage},
	} {
		h.Set(hub.Network{Answers: []hub.Answer{answer}})
		var said strings.Builder
		r, err := one.box.Push(one.ctx, blue, PushRequest{Refspecs: []string{"main"}, Stderr: &said})
		if err != nil || !r.Fenced || len(r.Refs) != 1 {
			t.Errorf("%s: %+v, %v\n%s", what, r, err, said.String())
		}
		if h.Refs()["refs/heads/main"] != oid {
			t.Errorf("%s: the branch did not move", what)
		}
		oid = one.commits("src/auth/token.go")
	}
	h.Set(hub.Network{Answers: []hub.Answer{{To: moving("refs/heads/main"), Times: 1, Status: 502}}})
	before := h.Refs()["refs/heads/main"]
	_, err := one.box.Push(one.ctx, blue, PushRequest{Refspecs: []string{"main"}, Stderr: new(strings.Builder)})
	if mail.CodeOf(err) != mail.Remote || !strings.Contains(err.Error(), "nothing was pushed") || h.Refs()["refs/heads/main"] != before {
		t.Errorf("refused: %v", err)
	}
}

// TestStrongFaults: a network that fails in every way while two clones reserve, release and push.
// Nobody holds what the table says is another's.
func TestStrongFaults(t *testing.T) {
	t.Parallel()
	rounds := 6
	if soak() {
		rounds = 500
	}
	h := hub.New(t)
	one, two, blue, green := pair(t, h, h.URL)
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	worlds, actors := []*world{one, two}, []Actor{blue, green}
	patterns := [][]string{{"src/**", "src/auth/token.go"}, {"src/*/token.go", "src/auth/"}}
	for round := range rounds {
		var n hub.Network
		switch rnd.IntN(6) {
		case 0:
			n.FromClient = 1 + rnd.Int64N(4000)
		case 1:
			n.ToClient = 1 + rnd.Int64N(4000)
		case 2:
			n.Answers = []hub.Answer{{Status: []int{403, 500, 429}[rnd.IntN(3)], To: func(r hub.Request) bool { return r.Refs != nil }}}
		case 3:
			n.Answers = []hub.Answer{{Status: 502, Late: true, To: func(r hub.Request) bool { return r.Refs != nil }}}
		case 4:
			n.Answers = []hub.Answer{{Status: 200, Body: hub.Garbage, To: func(r hub.Request) bool { return rnd.IntN(2) == 0 }}}
		case 5:
			h.KillAt([]hub.Moment{hub.BeforeRefs, hub.RefsMoved}[rnd.IntN(2)])
		}
		h.Set(n)
		var claims []string
		for i, w := range worlds {
			r, err := w.strong(actors[i], patterns[i][rnd.IntN(2)])
			if err != nil && mail.CodeOf(err) != mail.Conflict {
				t.Fatalf("seed %d, round %d, clone %d: %v", seed, round, i, err)
			}
			if err == nil && r.Granted[0].Token > 0 {
				claims = append(claims, r.Granted[0].ID)
			}
		}
		table := &mail.Table{}
		if h.Refs()[tableAt] != "" {
			table = tableOf(t, h)
		}
		for _, id := range claims {
			if len(claims) > 1 || table.Held[id] == nil {
				t.Fatalf("seed %d, round %d (%+v): %q were claimed, and the table has %+v", seed, round, n, claims, table.Held)
			}
		}
		h.Set(hub.Network{})
		for range 2 {
			for _, w := range worlds {
				w.sync("origin")
			}
		}
		table = tableOf(t, h)
		var holders []string
		for _, g := range table.Held {
			holders = append(holders, g.Holder)
		}
		if len(slices.Compact(holders)) > 1 {
			t.Fatalf("seed %d, round %d: in the table are %+v", seed, round, table.Held)
		}
		for i, w := range worlds {
			has, err := w.box.grants()
			if err != nil {
				t.Fatal(err)
			}
			for id, g := range table.Held {
				if g.Holder == actors[i].ID && has.Tokens[id] != g.Token {
					t.Fatalf("seed %d, round %d: clone %d knows of %v, and the table has %+v", seed, round, i, has.Tokens, g)
				}
			}
			list, err := w.box.Reservations(w.ctx, actors[i], ReservationQuery{Mine: true})
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range list {
				if table.Held[l.ID] == nil {
					t.Fatalf("seed %d, round %d: clone %d believes to hold %+v, and the table has %+v", seed, round, i, l, table.Held)
				}
			}
			if _, err := w.box.Release(w.ctx, actors[i], LeaseFilter{}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestStrongOnlyTableRefused: what lies between takes no push that has the table in it. Mail
// goes all the same, and nothing is strong.
func TestStrongOnlyTableRefused(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"the hub refuses the ref", "403 to the push"} {
		h := hub.New(t)
		one, two, blue, _ := pair(t, h, h.URL)
		if how == "403 to the push" {
			h.Set(hub.Network{Answers: []hub.Answer{{To: moving(tableAt), Status: 403}}})
		} else {
			h.Accept("refs/agentmail/log/", "refs/heads/")
		}
		r, err := one.strong(blue, "src/**")
		if err != nil || r.Granted[0].Token != 0 || !strings.Contains(strings.Join(r.Warnings, "\n"), "not strong yet") {
			t.Errorf("%s: %+v, %v", how, r, err)
		}
		one.send(blue, "GreenCastle")
		list, err := one.box.Sync(one.ctx, "origin")
		if mail.CodeOf(err) != mail.Remote || len(list) != 1 {
			t.Errorf("%s: %+v, %v", how, list, err)
		}
		if r := two.sync("origin"); r.Messages != 1 {
			t.Errorf("%s: mail did not get through: %+v", how, r)
		}
	}
}

// TestStrongGarbage: a table that is none. Nothing is granted, nothing that was is given up,
// and mail goes on, in the background too.
func TestStrongGarbage(t *testing.T) {
	t.Parallel()
	for what, harm := range map[string]func(h *hub.Hub) string{
		"another commit": func(h *hub.Hub) string { return h.Git("rev-parse", "refs/heads/main") },
		"nothing in it": func(h *hub.Hub) string {
			return h.Git("-c", "user.name=U", "-c", "user.email=u@example.com", "commit-tree", "-p", tableAt, "-m", "x", h.Git("hash-object", "-t", "tree", "-w", "/dev/null"))
		},
		"a file": func(h *hub.Hub) string { return h.Git("rev-parse", "refs/heads/main:README.md") },
		"a tag": func(h *hub.Hub) string {
			h.Git("-c", "user.name=U", "-c", "user.email=u@example.com", "tag", "-a", "-m", "x", "v1", "refs/heads/main")
			return h.Git("rev-parse", "v1")
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			h := hub.New(t)
			one, two, blue, green := pair(t, h, h.URL)
			one.got(blue, "src/**")
			bad := harm(h)
			h.Git("update-ref", tableAt, bad)
			r, err := two.strong(green, "src/auth/token.go")
			if err == nil || !strings.Contains(err.Error(), "table") {
				t.Errorf("%+v, %v", r, err)
			}
			if list, err := two.box.Reservations(two.ctx, green, ReservationQuery{Mine: true}); err != nil || len(list) > 0 {
				t.Errorf("after an error it has %+v, %v", list, err)
			}
			two.commits("src/auth/token.go")
			if _, err := two.box.Push(two.ctx, green, PushRequest{Refspecs: []string{"main"}, Stderr: new(strings.Builder)}); err == nil {
				t.Error("it pushed past it")
			}
			one.send(blue, "GreenCastle")
			list, err := one.box.Sync(one.ctx, "origin")
			if err == nil || len(list) != 1 || list[0].Error == nil || !strings.Contains(list[0].Error.Message, "table") {
				t.Errorf("%+v, %v", list, err)
			}
			list, _ = two.box.Sync(two.ctx, "origin")
			if len(list) != 1 || list[0].Messages != 1 {
				t.Errorf("mail did not get through: %+v", list)
			}
			if list, err := one.box.Reservations(one.ctx, blue, ReservationQuery{Mine: true}); err != nil || len(list) != 1 {
				t.Errorf("the holder has %+v, %v", list, err)
			}
			if h.Refs()[tableAt] != bad {
				t.Error("somebody wrote over it")
			}
			// In the background too.
			got := make(chan SyncResult, 100)
			go two.box.KeepSynced(t.Context(), "origin", 50*time.Millisecond, func(r SyncResult) { got <- r })
			one.send(blue, "GreenCastle")
			one.box.Sync(one.ctx, "origin")
			for limit := time.After(10 * time.Second); ; {
				select {
				case r := <-got:
					if r.Messages == 0 {
						continue
					}
				case <-limit:
					t.Error("mail did not get through in the background")
				}
				break
			}
		})
	}
}

// TestStrongTwoTables: clones that could not know of each other made one each. None counts.
func TestStrongTwoTables(t *testing.T) {
	t.Parallel()
	h := hub.New(t)
	one, two, blue, green := pair(t, h, h.FileURL)
	one.got(blue, "src/**")
	h.Git("update-ref", "refs/heads/agentmail/locks", tableAt)
	if _, err := two.strong(green, "README.md"); err == nil || !strings.Contains(err.Error(), "two tables") {
		t.Errorf("%v", err)
	}
	one.send(blue, "GreenCastle")
	one.box.Sync(one.ctx, "origin")
	if list, err := two.box.Sync(two.ctx, "origin"); err == nil || len(list) != 1 || list[0].Messages != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	h.Git("update-ref", "-d", "refs/heads/agentmail/locks")
	two.got(green, "README.md")
}

// TestFenceNotAtomic: a hub that cannot move several refs at once. Nothing moves, and it is said.
func TestFenceNotAtomic(t *testing.T) {
	t.Parallel()
	h := hub.New(t)
	h.Git("config", "receive.advertiseAtomic", "false")
	for _, url := range []string{h.URL, h.FileURL} {
		one, _, blue, _ := pair(t, h, url)
		before := h.Refs()
		one.commits("src/auth/token.go")
		var said strings.Builder
		_, err := one.box.Push(one.ctx, blue, PushRequest{Refspecs: []string{"main:" + fmt.Sprint("b", len(url))}, Stderr: &said})
		if mail.CodeOf(err) != mail.Remote || !strings.Contains(err.Error(), "nothing was pushed") || !strings.Contains(said.String()+err.Error(), "atomic") {
			t.Errorf("%v\n%s", err, said.String())
		}
		after := h.Refs()
		if len(after) > len(before) || after["refs/heads/main"] != before["refs/heads/main"] {
			t.Errorf("it moved: %v, before %v", after, before)
		}
		h.Git("update-ref", "-d", "refs/heads/main")
	}
}

// TestStrongStaleLock: a server that was killed has left a lock on the table. It is named, so
// that somebody can remove it; and mail goes.
func TestStrongStaleLock(t *testing.T) {
	t.Parallel()
	h := hub.New(t)
	for what, url := range map[string]string{"URL": h.FileURL, "path": h.Dir, "relative path": ""} {
		one, two, blue, _ := pair(t, h, cmp.Or(url, h.FileURL))
		if url == "" {
			rel, err := filepath.Rel(one.dir, h.Dir)
			if err != nil {
				t.Fatal(err)
			}
			one.in("remote", "set-url", "origin", rel)
			one.box = one.open(one.dir)
		}
		lock := filepath.Join(h.Dir, filepath.FromSlash(tableAt)) + ".lock"
		if err := os.WriteFile(lock, nil, 0o666); err != nil {
			t.Fatal(err)
		}
		r, err := one.strong(blue, "src/**")
		if said := fmt.Sprint(r.Warnings, err, allHints(err)); !strings.Contains(said, lock) {
			t.Errorf("%s: %s", what, said)
		}
		one.send(blue, "GreenCastle")
		if _, err := one.box.Sync(one.ctx, "origin"); !strings.Contains(fmt.Sprint(err, allHints(err)), lock) {
			t.Errorf("%s: sync: %v", what, err)
		}
		if r := two.sync("origin"); r.Messages != 1 {
			t.Errorf("%s: mail did not get through: %+v", what, r)
		}
		if err := os.Remove(lock); err != nil {
			t.Fatal(err)
		}
		one.sync("origin")
		// And in the way of a push.
		if err := os.WriteFile(lock, nil, 0o666); err != nil {
			t.Fatal(err)
		}
		one.commits("src/auth/token.go")
		_, err = one.box.Push(one.ctx, blue, PushRequest{Refspecs: []string{"main:refs/heads/" + strings.ReplaceAll(what, " ", "")}, Stderr: new(strings.Builder)})
		if mail.CodeOf(err) != mail.Remote || !strings.Contains(fmt.Sprint(err, allHints(err)), lock) {
			t.Errorf("%s: push: %v %q", what, err, allHints(err))
		}
		if err := os.Remove(lock); err != nil {
			t.Fatal(err)
		}
		if _, err := one.box.Release(one.ctx, blue, LeaseFilter{}); err != nil {
			t.Fatal(err)
		}
		h.Git("update-ref", "-d", "refs/heads/main")
	}
}

func allHints(err error) string {
	if err == nil {
		return ""
	}
	e := mail.AsError(err)
	return strings.Join(append(e.Hints, e.Lines...), "\n")
}
