package mailbox

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/mail"
)

// TestPartitions: clones with wrong clocks exchange their mail through hubs that lose their
// refs, are set back or forged, and through a file that is carried about; some are copied with
// their directory. What a clone has shown it goes on showing; when all have met, all show the
// same, the user's branches and configuration are what they were, and one more exchange writes
// nothing anywhere (I1, I2, I6, I10).
func TestPartitions(t *testing.T) {
	t.Parallel()
	rounds := 12
	if soak() {
		rounds = 240
	}
	for seed := range int64(rounds) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			t.Parallel()
			g := newPartitionGame(t, seed)
			g.play(24)
			g.end()
		})
	}
}

// partitionGame plays random verbs and accidents.
type partitionGame struct {
	*indexGame
	hubs   []string
	bundle string
	trace  string // a file with every git command of the clones
	anew   bool   // somebody has written a log anew on a hub
	copied bool
	user   map[*world]string
	shown  map[*world]map[string]gitstore.OID
}

func newPartitionGame(t *testing.T, seed int64) *partitionGame {
	dir := t.TempDir()
	g := &partitionGame{indexGame: &indexGame{Rand: rand.New(rand.NewSource(seed)), t: t}, bundle: filepath.Join(dir, "carried"), trace: filepath.Join(dir, "trace"),
		user: map[*world]string{}, shown: map[*world]map[string]gitstore.OID{}}
	for range 1 + g.Intn(2) {
		g.hubs = append(g.hubs, hubFor(t))
	}
	names := [][]string{{"BlueLake", "GreenCastle"}, {"RedFox", "QuietOwl"}, {"BlueLake", "PinkHill"}}
	for i := range 2 + g.Intn(2) {
		w := newWorld(t)
		w.env = append(w.env, "GIT_TRACE="+g.trace)
		w.at = w.at.Add(choose(g.indexGame, 0, 3*time.Second, 24*time.Hour, -24*time.Hour))
		if i == 1 && g.Intn(4) == 0 {
			w.at = w.at.AddDate(9, 0, 0)
		}
		w.box = w.open(w.dir)
		g.add(w, []Actor{w.agent(names[i][0]), w.agent(names[i][1])})
	}
	g.meet = func(w *world) { g.sync(w, choose(g.indexGame, g.hubs...)) }
	return g
}

func (g *partitionGame) add(w *world, agents []Actor) {
	g.clones, g.agents = append(g.clones, w), append(g.agents, agents)
	g.user[w] = g.users(w)
	g.shown[w] = map[string]gitstore.OID{}
}

// users is what a repository has that is not ours.
func (g *partitionGame) users(w *world) string {
	config, err := os.ReadFile(filepath.Join(w.dir, ".git", "config"))
	if err != nil {
		g.t.Fatal(err)
	}
	refs := slices.DeleteFunc(strings.Split(refsOf(w, w.dir), "\n"), func(s string) bool { return strings.HasPrefix(s, "refs/agentmail/") })
	return string(config) + w.in("status", "--porcelain", "-b") + strings.Join(refs, "\n")
}

func refsOf(w *world, dir string) string {
	w.t.Helper()
	return w.git("-C", dir, "for-each-ref", "--format=%(refname) %(objectname)")
}

func (g *partitionGame) sync(w *world, hub string) SyncResult {
	g.t.Helper()
	r := w.sync(hub)
	if strings.Contains(strings.Join(r.Notices, "\n"), "a copy of this clone") && !g.copied {
		g.t.Fatalf("%s was never copied: %+v", w.dir, r)
	}
	g.look(w)
	return r
}

// look fails if a clone has lost anything that it had.
func (g *partitionGame) look(w *world) {
	g.t.Helper()
	sn, err := w.box.snapshot(w.ctx)
	if err != nil {
		g.t.Fatal(err)
	}
	files, err := sn.List(w.ctx, "", notFiles)
	if err != nil {
		g.t.Fatal(err)
	}
	has := map[string]gitstore.OID{}
	for _, f := range files {
		if strings.Contains(f.Path, "/") {
			has[f.Path] = f.OID
		}
	}
	for path, oid := range g.shown[w] {
		if has[path] != oid {
			g.t.Fatalf("%s has %q of %s, and had %s", w.dir, has[path], path, oid)
		}
	}
	g.shown[w] = has
}

func (g *partitionGame) play(steps int) {
	for range steps {
		i := g.Intn(len(g.clones))
		w := g.clones[i]
		hub := choose(g.indexGame, g.hubs...)
		w.pass(time.Duration(g.Intn(40)) * time.Minute)
		switch n := g.Intn(24); {
		case n < 14:
			g.step(w, choose(g.indexGame, g.agents[i]...))
			g.look(w)
		case n < 18:
			g.sync(w, hub)
		case n < 20:
			if _, err := w.box.SyncBundle(w.ctx, g.bundle); err != nil {
				g.t.Fatal(err)
			}
			g.look(w)
		case n == 20 && len(g.clones) < 4:
			g.copy(w, g.agents[i])
		default:
			g.harm(w, hub)
		}
	}
}

// copy makes a copy of a clone with its identity.
func (g *partitionGame) copy(w *world, agents []Actor) {
	g.copied = true
	c := &world{t: g.t, dir: filepath.Join(g.t.TempDir(), "copy"), env: w.env, at: w.at, ctx: w.ctx}
	if out, err := exec.Command("cp", "-a", w.dir, c.dir).CombinedOutput(); err != nil {
		g.t.Fatal(err, string(out))
	}
	c.box = c.open(c.dir)
	g.add(c, slices.Clone(agents))
}

// harm does something to a hub that no clone does.
func (g *partitionGame) harm(w *world, hub string) {
	list := strings.Fields(w.git("-C", hub, "for-each-ref", "--format=%(refname)", "refs/agentmail/log"))
	if len(list) == 0 {
		return
	}
	ref := choose(g.indexGame, list...)
	move := func(to string) { w.git("-C", hub, "update-ref", ref, to) }
	switch g.Intn(3) {
	case 0: // push --mirror of a stranger
		for _, ref := range list {
			w.git("-C", hub, "update-ref", "-d", ref)
		}
	case 1:
		if status, _ := w.try(hub, nil, "rev-parse", "--verify", "--quiet", ref+"~1"); status == 0 {
			move(w.git("-C", hub, "rev-parse", ref+"~1"))
		}
	case 2: // with the same files: who sees it first believes it, and shows the same
		g.anew = true
		move(w.git("-C", hub, "-c", "user.name=F", "-c", "user.email=f@example.com", "commit-tree", ref+"^{tree}", "-m", "anew"))
	}
}

// everything is all refs of all repositories.
func (g *partitionGame) everything() string {
	var b strings.Builder
	for _, w := range g.clones {
		b.WriteString(w.dir + "\n" + refsOf(w, w.dir) + "\n")
	}
	for _, hub := range g.hubs {
		b.WriteString(hub + "\n" + refsOf(g.clones[0], hub) + "\n")
	}
	return b.String()
}

// end lets all meet until nothing moves, and compares.
func (g *partitionGame) end() {
	for round, was := 0, ""; ; round++ {
		if round == 12 {
			g.t.Fatal("they do not come to an end")
		}
		for _, w := range g.clones {
			for _, hub := range g.hubs {
				g.sync(w, hub)
			}
		}
		is := g.everything()
		if is == was {
			break
		}
		was = is
	}
	first := g.clones[0]
	tips := func(w *world, dir string) string {
		return w.git("-C", dir, "for-each-ref", "--format=%(refname) %(objectname)", "refs/agentmail/log")
	}
	state := g.state(first)
	for _, w := range g.clones {
		if got, want := tips(w, w.dir), tips(first, first.dir); got != want && !g.anew {
			g.t.Errorf("%s holds\n%s\nand %s\n%s", w.dir, got, first.dir, want)
		}
		if got := g.state(w); got != state {
			g.t.Errorf("%s and %s show: %s", w.dir, first.dir, difference(state, got))
		}
		for path := range g.shown[first] {
			if g.shown[w][path] != g.shown[first][path] {
				g.t.Errorf("%s has not got %s", w.dir, path)
			}
		}
		if got := g.users(w); got != g.user[w] {
			g.t.Errorf("%s of the user:\n%s\nwas\n%s", w.dir, got, g.user[w])
		}
		if got, want := g.answers(w.box, w), g.folded(w); got != want {
			g.t.Errorf("%s: the index: %s", w.dir, difference(want, got))
		}
	}
	for _, w := range g.clones {
		sn, err := w.box.snapshot(w.ctx)
		if err != nil {
			g.t.Fatal(err)
		}
		for _, hub := range g.hubs {
			ref := "refs/agentmail/log/" + sn.Own()
			if _, there := w.try(hub, nil, "rev-parse", ref); there != w.git("-C", w.dir, "rev-parse", ref) {
				g.t.Errorf("the hub %s has not got the log of %s", hub, w.dir)
			}
		}
	}
	was := g.everything()
	if err := os.Truncate(g.trace, 0); err != nil {
		g.t.Fatal(err)
	}
	for _, w := range g.clones {
		for _, hub := range g.hubs {
			if r := w.sync(hub); r.Fetched+r.Pushed+len(r.Restored) > 0 {
				g.t.Errorf("with nothing new %s and %s: %+v", w.dir, hub, r)
			}
		}
	}
	said, err := os.ReadFile(g.trace)
	if err != nil {
		g.t.Fatal(err)
	}
	for _, verb := range []string{"push", "update-ref", "commit-tree", "repack", "pack-objects"} {
		if bytes.Contains(said, []byte("built-in: git "+verb)) {
			g.t.Errorf("with nothing new there was a git %s", verb)
		}
	}
	if !bytes.Contains(said, []byte("built-in: git fetch")) {
		g.t.Error("the trace tells nothing")
	}
	if is := g.everything(); is != was {
		g.t.Errorf("with nothing new refs moved:\n%s\nwas\n%s", is, was)
	}
}

// state is what a clone makes of all its logs, and how these are numbered.
func (g *partitionGame) state(w *world) string {
	sn, err := w.box.snapshot(w.ctx)
	if err != nil {
		g.t.Fatal(err)
	}
	st := mail.NewState()
	logs := map[string][]mail.Record{}
	if err := w.box.walk(w.ctx, sn, "", notFiles, func(replica string, r mail.Record) {
		st.Apply(replica, r)
		logs[replica] = append(logs[replica], r)
	}); err != nil {
		g.t.Fatal(err)
	}
	for replica, list := range logs {
		g.inOrder(replica, list)
	}
	var s sheet
	for _, a := range st.List() {
		s.add("agent "+st.Address(a.ID), a, nil)
	}
	for _, l := range st.Leases.ByAge() {
		s.add("lease", l, nil)
	}
	for _, m := range st.Messages() {
		s.add("message", m, nil)
		for _, id := range m.Recipients() {
			s.add("delivered", st.Delivery(m.ID, id), nil)
		}
	}
	s.add("links", st.Links, nil)
	s.add("redacted", st.Redacted, nil)
	s.add("active", st.Active, nil)
	return s.String()
}

// inOrder fails if a log is not numbered through, or if its clock ran ahead of the clone's own
// without need: only to replace what a clock ahead has written may it go there, and stays then.
func (g *partitionGame) inOrder(replica string, list []mail.Record) {
	g.t.Helper()
	slices.SortFunc(list, func(a, b mail.Record) int { return cmp.Compare(a.Head().Seq, b.Head().Seq) })
	far := false
	for i, r := range list {
		h := r.Head()
		if h.Seq != list[0].Head().Seq+int64(i) {
			g.t.Fatalf("in the log %s the record at %d is numbered %d", replica, i, h.Seq)
		}
		if e, ok := r.(*mail.LeaseEvent); !ok || e.Op == mail.LeaseNew {
			switch r.(type) {
			case *mail.Message, *mail.Receipt, *mail.LeaseEvent, *mail.Redaction:
				if !far && h.HLC.MS > int64(h.At)+mail.MaxSkew.Milliseconds() {
					g.t.Fatalf("in the log %s a %T of %s is stamped %s", replica, r, h.At, h.HLC)
				}
			}
		}
		far = far || h.HLC.MS > int64(h.At)+mail.MaxSkew.Milliseconds()
	}
}
