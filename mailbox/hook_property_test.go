package mailbox

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

// TestGuardProperty plays random work of agents, of a person and of agents that
// nobody can name through the hooks of the real git, and compares what is
// stopped, recorded and mailed with what model says of it. A seed repeats a run.
func TestGuardProperty(t *testing.T) {
	t.Parallel()
	seeds, ops := 6, 20
	if testing.Short() {
		seeds, ops = 2, 15
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			newGame(t, int64(seed)).play(ops)
		})
	}
}

// What the games are played with: few names, so that patterns and paths meet
// often, and some of them both a file's and a directory's.
var (
	gamePaths = []string{
		"README.md", ".env", "a.go", "b.go", "Makefile", "a b.txt", "src/a.go", "src/b.go", "src/api/a.go", "src/api/v1/x.go", "src/auth/token.go",
		"lib/a.go", "lib/src/c.go", "My Docs/a b.txt", "My Docs/x.y.md", ".cfg/api/x", "app/[id]/a.go", "app/i/a.go",
		"src", "src/api", "lib", "a.go/x", "src/a.go/x", "README.md/x", "app/[id]", "My Docs",
	}
	gamePatterns = []string{
		"README.md", "/a.go", "a b.txt", "src/a.go", "./src/api/a.go", "src/api/v1/x.go", "My Docs/a b.txt", "app/[id]/a.go", "src/new.go", // a file
		"src", "src/api", "lib", "My Docs", ".cfg", "app/[id]", "new", // a directory, or nothing yet
		"src/", "src/api/", "src/**", "src/api/**", "My Docs/**", "app/[id]/**", `app/\[id\]/**`, "a.go/**",
		"*.go", "src/*", "*/a.go", "?.go", "*.md", ".*", "src/*/*.go",
		"**/*.go", "**/a.go", "**/api", "**/x", "src/**/*.go", "**/a b.txt", "**/*.md",
		"{a,b}.go", "src/{api,auth}/**", "{lib,src/api}", "**/{x,token}.go", "{README.md,Makefile}", "s{rc,RC}/b.go",
		"[ab].go", "src/[a-c]*/**", "**/[!a].go", "[A-Z]*", "lib/[[:alpha:]].go",
		"SRC/**", "readme.md", "service://port-3000",
	}
)

// lease is a reservation as the game remembers it.
type lease struct {
	holder, pattern, kind string
	exclusive             bool
	since, end            time.Time
}

// change is one path that a commit changes.
type change struct {
	path string
	gone bool
}

func (c change) String() string { return map[bool]string{true: "-", false: "+"}[c.gone] + c.path }

// actor is somebody who runs git. One who is no agent has the name "person", or
// none.
type actor struct {
	name   string
	person bool
	env    []string
}

// made is a commit of the game.
type made struct {
	changes  []change // against every parent
	when     time.Time
	recorded bool // it touched a reservation when it was made, so that it is known whose it is
	by       string
}

type game struct {
	*world
	rnd     *rand.Rand
	remote  string
	actors  []actor
	inboxes map[string]Actor
	leases  []*lease
	commits map[string]*made
	sides   []string // branches that are not merged
	n       int      // of the operation

	letters  map[string]int // expected in each inbox
	records  []string       // expected of commits
	bypasses int
	history  []string
	did      map[string]int // how often what happened, to be seen with -v
}

func newGame(t *testing.T, seed int64) *game {
	g := &game{world: newWorld(t), rnd: rand.New(rand.NewSource(seed)), commits: map[string]*made{}, inboxes: map[string]Actor{}, letters: map[string]int{}, did: map[string]int{}}
	g.at = time.Date(2026, 11, 21, 4, 30, 0, 0, time.UTC)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("the whole game:\n" + strings.Join(g.history, "\n"))
		}
	})
	for _, p := range gamePaths[:18] {
		g.put(p, g.text(), 0o666)
	}
	g.in("add", "-A")
	g.in("commit", "-q", "-m", "begin")
	g.remote = filepath.Join(filepath.Dir(g.dir), "remote.git")
	g.git("clone", "-q", "--bare", g.dir, g.remote)
	g.in("remote", "add", "origin", g.remote)
	g.in("fetch", "-q", "origin")
	g.hooked()
	for _, name := range []string{"BlueLake", "GreenCastle", "RedFox", "GoldPeak"}[:2+g.rnd.Intn(3)] {
		g.inboxes[name] = g.agent(name)
		g.actors = append(g.actors, actor{name: name, env: []string{"AGENTMAIL_AGENT=" + name}})
	}
	g.send(g.person(), "BlueLake") // so that there is a HumanOverseer
	g.inboxes["person"] = g.person()
	for who, a := range g.inboxes {
		g.letters[who] = len(g.inbox(a))
	}
	return g
}

func (g *game) say(format string, args ...any) {
	g.history = append(g.history, g.at.Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

func (g *game) one(in int) bool { return g.rnd.Intn(in) == 0 }

func oneOf[T any](g *game, list []T) T { return list[g.rnd.Intn(len(list))] }

// somebody is mostly an agent.
func (g *game) somebody() actor {
	switch g.rnd.Intn(8) {
	case 0:
		return actor{name: "person", person: true, env: []string{"X=1"}}
	case 1:
		return oneOf(g, []actor{{env: []string{"CLAUDECODE=1"}}, {env: []string{"AGENTMAIL_AGENT=Nobody1"}}})
	}
	return oneOf(g, g.actors)
}

// writer is who stands in the records: who has no name writes as the person of
// this clone.
func (a actor) writer() string {
	if a.person || a.name == "" {
		return mail.HumanOverseer
	}
	return a.name
}

func (a actor) String() string { return cmp.Or(a.name, "unidentified") }

func (g *game) play(ops int) {
	for range 6 {
		g.reserve()
	}
	for range ops {
		g.n++
		g.pass(time.Second + time.Duration(g.rnd.Int63n(int64(40*time.Second))))
		if g.one(12) {
			g.pass(time.Duration(g.rnd.Int63n(int64(time.Hour))))
		}
		switch k := g.rnd.Intn(20); {
		case k < 4:
			g.reserve()
		case k < 5:
			g.release()
		case k < 12:
			g.commit()
		case k < 13:
			g.side()
		case k < 16:
			g.merge()
		case k < 18:
			g.pick()
		default:
			g.push()
		}
		g.compare()
	}
	g.n++
	g.push()
	g.compare()
	g.t.Log(g.did)
}

// compare compares what was mailed and recorded with what the model expects.
func (g *game) compare() {
	g.t.Helper()
	for who, a := range g.inboxes {
		if in := g.inbox(a); len(in) != g.letters[who] {
			g.t.Fatalf("operation %d: %s has %d letters, want %d: %q", g.n, who, len(in), g.letters[who], subjects(in))
		}
	}
	commits, bypasses := g.seen()
	slices.Sort(g.records)
	if !slices.Equal(commits, g.records) || len(bypasses) != g.bypasses {
		g.t.Fatalf("operation %d: recorded\n%s\nwant\n%s\nand bypasses %q, want %d", g.n, strings.Join(commits, "\n"), strings.Join(g.records, "\n"), bypasses, g.bypasses)
	}
}

// Reservations.

func (g *game) reserve(patterns ...string) {
	g.t.Helper()
	if len(patterns) == 0 {
		patterns = gamePatterns
	}
	who := oneOf(g, slices.Sorted(maps.Keys(g.inboxes)))
	l := &lease{holder: who, pattern: oneOf(g, patterns), exclusive: !g.one(4), since: g.at}
	ttl := time.Duration(20+g.rnd.Intn(120)) * time.Minute
	if g.one(4) {
		ttl = time.Duration(1+g.rnd.Intn(8)) * time.Minute
	}
	l.end = g.at.Add(ttl)
	l.kind = g.kindOf(l.pattern)
	r, err := g.box.Reserve(g.ctx, g.inboxes[who], ReserveRequest{Patterns: []string{l.pattern}, TTL: ttl, Shared: !l.exclusive})
	if mail.CodeOf(err) == mail.Conflict {
		g.say("%s is refused %q", who, l.pattern)
		return
	}
	if err != nil {
		g.t.Fatalf("reserve %q: %v", l.pattern, err)
	}
	// Taking it again renews: since is when it first kept others out, and the end is
	// the latest.
	for i, old := range g.leases {
		if old.holder == who && canon(old.pattern) == canon(l.pattern) && g.at.Before(old.end) {
			if old.exclusive || !l.exclusive {
				l.since = old.since
			}
			if old.end.After(l.end) {
				l.end = old.end
			}
			g.leases = slices.Delete(g.leases, i, i+1)
			break
		}
	}
	g.leases = append(g.leases, l)
	g.say("%s reserves %q (%s, exclusive %v) for %s; renewed %v", who, l.pattern, l.kind, l.exclusive, ttl, r.Granted[0].Renewed)
}

func (g *game) release() {
	if len(g.leases) == 0 {
		return
	}
	i := g.rnd.Intn(len(g.leases))
	l := g.leases[i]
	r, err := g.box.Release(g.ctx, g.inboxes[l.holder], LeaseFilter{Patterns: []string{l.pattern}})
	if err != nil || (r.Released == 1) != g.at.Before(l.end) {
		g.t.Fatalf("release %+v: %+v, %v", l, r, err)
	}
	g.leases = slices.Delete(g.leases, i, i+1)
	g.say("%s releases %q", l.holder, l.pattern)
}

// The work tree.

func (g *game) text() string {
	var s strings.Builder
	for i := range 24 { // so that two changes of a file mostly merge
		fmt.Fprintf(&s, "line %d\n", i)
	}
	return s.String()
}

// put makes a file, whatever is in its way.
func (g *game) put(p, text string, perm os.FileMode) {
	g.t.Helper()
	name := g.clear(p)
	if err := os.WriteFile(name, []byte(text), perm); err != nil {
		g.t.Fatal(err)
	}
}

func (g *game) clear(p string) string {
	g.t.Helper()
	for end, c := range p {
		if c == '/' {
			if st, err := os.Lstat(filepath.Join(g.dir, p[:end])); err == nil && !st.IsDir() {
				os.Remove(filepath.Join(g.dir, p[:end]))
			}
		}
	}
	name := filepath.Join(g.dir, filepath.FromSlash(p))
	if err := errors.Join(os.RemoveAll(name), os.MkdirAll(filepath.Dir(name), 0o777)); err != nil {
		g.t.Fatal(err)
	}
	return name
}

// tracked lists the index.
func (g *game) tracked() []string { return g.list(g.dir, "ls-files", "-z") }

// list runs git and splits what it says at NUL.
func (g *game) list(dir string, args ...string) []string {
	g.t.Helper()
	status, out := g.try(dir, nil, args...)
	if status != 0 {
		g.t.Fatalf("git %q: %s", args, out)
	}
	if out = strings.TrimSuffix(out, "\x00"); out == "" {
		return nil
	}
	return strings.Split(out, "\x00")
}

// change edits, adds, deletes and renames a few files, and returns their names.
func (g *game) change() []string {
	g.t.Helper()
	var names []string
	there := g.tracked()
	for range 1 + g.rnd.Intn(2) {
		p := oneOf(g, gamePaths[:18])
		if len(there) > 0 && !g.one(4) {
			p = oneOf(g, there)
		}
		if live := g.live(); len(live) > 0 && g.one(2) { // what is reserved
			l := oneOf(g, live)
			if all := slices.DeleteFunc(slices.Concat(there, gamePaths[:18]), func(p string) bool { return !covers(l, change{path: p}) }); len(all) > 0 {
				p = oneOf(g, all)
			}
		}
		name := filepath.Join(g.dir, filepath.FromSlash(p))
		data, err := os.ReadFile(name)
		var what string
		switch k := g.rnd.Intn(16); {
		case err != nil, k == 0: // nothing there, or a link to nothing
			what = "write"
			g.put(p, g.text(), 0o666)
		case k < 7:
			what = "edit"
			lines := strings.SplitAfter(string(data), "\n")
			lines[g.rnd.Intn(len(lines))] = fmt.Sprintf("changed %d\n", g.n)
			st, _ := os.Stat(name)
			g.put(p, strings.Join(lines, ""), st.Mode().Perm())
		case k < 9:
			what = "delete"
			os.Remove(name)
		case k < 11:
			to := oneOf(g, gamePaths)
			what = "rename to " + to
			os.Remove(name)
			g.put(to, string(data), 0o666)
			names = append(names, to)
		case k < 12:
			what = "chmod"
			st, _ := os.Stat(name)
			os.Chmod(name, st.Mode().Perm()^0o111)
		case k < 13:
			what = "link"
			if err := os.Symlink("a.go", g.clear(p)); err != nil {
				g.t.Fatal(err)
			}
		default: // a directory becomes a file, or a file a directory
			p = oneOf(g, gamePaths[18:])
			if live := g.live(); len(live) > 0 {
				if l := oneOf(g, live); l.kind == "file" && !strings.ContainsAny(l.pattern, "*?[{") {
					p = path.Clean("/" + l.pattern)[1:] + "/x"
				}
			}
			what = "put"
			g.put(p, g.text(), 0o666)
		}
		names = append(names, p)
		g.say("  %s %q", what, p)
	}
	return names
}

func (g *game) clean() { g.in("reset", "-q", "--hard"); g.in("clean", "-q", "-f", "-d") }

// Operations.

// commit is any sort of git commit. It reports whether there is one.
func (g *game) commit() bool {
	g.t.Helper()
	a, o := g.somebody(), operation{}
	names := g.change()
	o.args = []string{"commit", "-q", "-m", fmt.Sprint("op ", g.n)}
	switch k := g.rnd.Intn(12); {
	case k < 4:
		g.in("add", "-A")
	case k < 6:
		if g.one(2) {
			g.try(g.dir, nil, "add", "-A", "--", ":(top,literal)"+names[len(names)-1]) // it may never have been there
		}
		o.args = append(o.args, "-a")
	case k < 8:
		g.in("add", "-A")
		o.args = append(o.args, "--only", "--", ":(top,literal)"+oneOf(g, names))
	case k < 10:
		g.in("add", "-A")
		if g.one(3) {
			g.in("reset", "-q") // the message alone
		}
		o.args = append(o.args, "--amend")
		o.amend = true
	default:
		g.in("add", "-A")
		o.args = append(o.args, "--no-verify")
		o.unasked = true
	}
	// What an amending commit with a bypass mails, and how often, nobody says.
	o.bypass = !o.amend && g.one(8) || o.unasked && g.one(2)
	return g.run(a, o)
}

// side makes a branch with a commit or two.
func (g *game) side() {
	g.t.Helper()
	g.clean()
	name := fmt.Sprint("side", g.n)
	g.say("git checkout -b %s", name)
	g.in("checkout", "-q", "-b", name)
	there := false
	for range 1 + g.rnd.Intn(2) {
		if g.one(4) { // by somebody in whose clone there are no hooks
			g.change()
			g.in("add", "-A")
			g.say("git commit without hooks")
			g.in("-c", "core.hooksPath=/dev/null", "commit", "-q", "--allow-empty", "-m", "unrecorded")
			there = true
		} else {
			there = g.commit() || there
		}
		g.pass(time.Second)
	}
	g.clean()
	g.in("checkout", "-q", "main")
	if !there {
		g.in("branch", "-q", "-D", name)
		return
	}
	g.sides = append(g.sides, name)
}

func (g *game) merge() {
	g.t.Helper()
	if len(g.sides) == 0 {
		g.side()
		g.commit()
	}
	if len(g.sides) == 0 {
		return
	}
	g.clean()
	i := g.rnd.Intn(len(g.sides))
	side := g.sides[i]
	g.sides = slices.Delete(g.sides, i, i+1)
	if all := g.list(g.dir, "diff", "--name-only", "-z", "HEAD..."+side); len(all) > 0 && !g.one(3) {
		g.reserve(all...) // what the merge carries
		g.pass(time.Second)
	}
	if all := g.list(g.dir, "diff", "--name-only", "-z", "--diff-filter=M", "HEAD..."+side); len(all) > 0 && g.one(2) {
		// Both sides change a file: what is carried and what is not.
		p := oneOf(g, all)
		if data, err := os.ReadFile(filepath.Join(g.dir, p)); err == nil {
			g.put(p, string(data)+fmt.Sprintln("more", g.n), 0o666)
			g.say("%q is changed here as well", p)
			g.in("-c", "core.hooksPath=/dev/null", "commit", "-q", "-a", "-m", "here as well")
		}
	}
	a := g.somebody()
	o := operation{args: []string{"merge", "-q", "--no-ff", "-m", fmt.Sprint("op ", g.n), side}, merge: true}
	switch g.rnd.Intn(6) {
	case 0:
		o.args = slices.Insert(o.args, 1, "--no-verify")
		o.unasked = true
	case 1:
		o.args[2] = "--ff"
	case 2, 3:
		o.args = slices.Insert(o.args, 1, "--no-commit")
	default:
		o.bypass = g.one(5)
	}
	head, _, _ := g.head(g.dir)
	if !slices.Contains(o.args, "--no-commit") && g.rehearse(o, head).status == 0 {
		if g.run(a, o) || !g.merging() {
			return
		}
		if g.one(2) {
			g.say("git merge --abort")
			g.in("merge", "--abort")
			return
		}
		a = g.somebody() // who goes on where another was stopped
	} else if status, out := g.try(g.dir, nil, append([]string{"-c", "user.name=U", "-c", "user.email=u@example.com", "merge", "--no-ff", "--no-commit"}, side)...); !g.merging() {
		g.say("git merge --no-commit %s: %d %s", side, status, out)
		g.clean()
		return
	}
	if g.one(2) {
		g.change()
	}
	g.in("add", "-A")
	g.say("a merge of %s is under way", side)
	o = operation{args: []string{"commit", "-q", "-m", fmt.Sprint("op ", g.n, " concludes")}, unasked: g.one(5), bypass: g.one(8)}
	if o.unasked {
		o.args = append(o.args, "--no-verify")
	}
	g.run(a, o)
	if g.merging() {
		g.say("git reset --hard")
		g.clean()
	}
}

func (g *game) merging() bool {
	_, err := os.Stat(filepath.Join(g.dir, ".git/MERGE_HEAD"))
	return err == nil
}

// pick is a cherry-pick or a revert: git asks nobody.
func (g *game) pick() {
	g.t.Helper()
	g.clean()
	what := []string{"revert", "--no-edit", "HEAD"}
	if len(g.sides) > 0 && !g.one(4) {
		what = []string{"cherry-pick", oneOf(g, g.sides)}
	} else if g.commits[g.in("rev-parse", "HEAD")] == nil {
		return // that would take everything away
	}
	g.run(g.somebody(), operation{args: what, unasked: true, bypass: g.one(6)})
	g.clean()
}

// operation is one git command that makes a commit.
type operation struct {
	args    []string
	amend   bool
	merge   bool
	unasked bool // git does not ask before
	bypass  bool
}

// rehearsal is what an operation does where nobody guards.
type rehearsal struct {
	status  int
	out     string
	tree    string
	asked   []change // what the hook before the commit is asked about
	changes []change // what the commit changes against every parent
	made    bool
}

// rehearse runs the operation in a copy without hooks and without mail.
func (g *game) rehearse(o operation, before string) (r rehearsal) {
	g.t.Helper()
	dir := filepath.Join(filepath.Dir(g.dir), "copy")
	defer os.RemoveAll(dir)
	skip := []string{".git/objects", ".git/hooks", ".git/logs", ".git/refs/agentmail", ".git/agentmail", ".git/agentmail-cache"}
	err := filepath.WalkDir(g.dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(g.dir, name)
		to := filepath.Join(dir, rel)
		switch {
		case d.IsDir() && slices.Contains(skip, rel):
			return filepath.SkipDir
		case d.IsDir():
			return os.Mkdir(to, 0o777)
		case d.Type() == fs.ModeSymlink:
			target, err := os.Readlink(name)
			return errors.Join(err, os.Symlink(target, to))
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(name)
		return errors.Join(err, os.WriteFile(to, data, st.Mode().Perm()))
	})
	info := filepath.Join(dir, ".git/objects/info")
	err = errors.Join(err, os.MkdirAll(info, 0o777), os.WriteFile(filepath.Join(info, "alternates"), []byte(filepath.Join(g.dir, ".git/objects")+"\n"), 0o666))
	if err != nil {
		g.t.Fatal(err)
	}
	r.status, r.out = g.try(dir, []string{"GIT_EDITOR=true"}, append([]string{"-c", "user.name=U", "-c", "user.email=u@example.com"}, o.args...)...)
	if r.status != 0 {
		return r
	}
	after, tree, parents := g.head(dir)
	// A fast-forward makes no commit.
	if r.made = after != before && (!o.merge || len(parents) > 1 && parents[0] == before); !r.made {
		return r
	}
	r.tree = tree
	r.changes = g.against(dir, parents, after)
	r.asked = r.changes
	if o.amend { // git says nothing of the commit that is replaced
		r.asked = g.against(dir, []string{before}, after)
	}
	return r
}

func (g *game) parents(dir, oid string) []string {
	g.t.Helper()
	return strings.Fields(g.git("-C", dir, "rev-list", "--parents", "-n1", oid))[1:]
}

// head returns HEAD, its tree and its parents.
func (g *game) head(dir string) (oid, tree string, parents []string) {
	g.t.Helper()
	f := strings.Fields(g.git("-C", dir, "show", "-s", "--format=%H %T %P"))
	return f[0], f[1], f[2:]
}

// against returns what differs from every parent.
func (g *game) against(dir string, parents []string, oid string) []change {
	g.t.Helper()
	var all []change
	for i, p := range parents {
		words := g.list(dir, "diff-tree", "-r", "-z", "--no-renames", "--name-status", p, oid)
		var here []change
		for k := 0; k < len(words); k += 2 {
			here = append(here, change{words[k+1], words[k] == "D"})
		}
		if i == 0 {
			all = here
		} else {
			all = slices.DeleteFunc(all, func(c change) bool { return !slices.Contains(here, c) })
		}
	}
	return all
}

// run runs an operation and checks who is stopped, and notes what must have been
// recorded and mailed. It reports whether there is a new commit.
func (g *game) run(a actor, o operation) bool {
	g.t.Helper()
	before, _, _ := g.head(g.dir)
	r := g.rehearse(o, before)
	if r.status != 0 {
		g.say("git %q would fail: %s", o.args, strings.ReplaceAll(r.out, "\n", " "))
		if !g.merging() {
			g.clean()
		}
		return false
	}
	want, _ := touches(r.asked, g.binding(a))
	stop := len(want) > 0 && !o.unasked && !a.person && !o.bypass
	when := g.at
	if g.one(6) {
		when = when.Add(-time.Duration(g.rnd.Int63n(int64(time.Hour))))
	}
	env := append(slices.Clone(a.env), "GIT_COMMITTER_DATE="+when.Format(time.RFC3339), fmt.Sprint("GIT_COMMITTER_NAME=U", g.n))
	if o.bypass {
		env = append(env, "AGENTMAIL_BYPASS=why")
	}
	g.say("%s: %q git %q changes %q, asked %q: must stop %v for %q", a, env, o.args, r.changes, r.asked, stop, want)
	ok, all := g.does("", g.dir, append(env, o.args...)...)
	after, tree, _ := g.head(g.dir)
	for _, v := range all {
		g.say("  told: %+v", v)
	}
	if ok == stop || stop && after != before {
		g.t.Fatalf("operation %d: passes %v, want %v", g.n, ok, !stop)
	}
	asked := 0
	for _, v := range all {
		conflict := false
		switch v.Event {
		case PreCommit, PreMergeCommit:
			asked++
			conflict = len(want) > 0 && !o.bypass // also where a person passes
			slices.Sort(v.Blocked)
			if got := slices.Compact(v.Blocked); !slices.Equal(got, want) {
				g.t.Fatalf("operation %d: blocked %q, want %q", g.n, got, want)
			}
		}
		if (v.Code == mail.Conflict) != conflict || !conflict && v.Code != "" {
			g.t.Fatalf("operation %d: %s says %s: %s", g.n, v.Event, v.Code, v.Message)
		}
	}
	if !r.made {
		return after != before
	}
	if (asked == 0) != o.unasked {
		g.t.Fatalf("operation %d: %d hooks before the commit", g.n, asked)
	}
	if stop {
		g.did["stopped "+o.args[0]]++
		return false
	}
	if tree != r.tree {
		g.t.Fatalf("operation %d: the tree is %s, want %s", g.n, tree, r.tree)
	}
	m := &made{changes: r.changes, when: when.Truncate(time.Second), by: a.name}
	g.commits[after] = m
	g.did["passed "+o.args[0]]++
	g.record(a, o, m)
	return true
}

// record notes what post-commit and post-merge must have written.
func (g *game) record(a actor, o operation, m *made) {
	paths, all := touches(m.changes, g.live())
	if len(paths) == 0 {
		return
	}
	_, holders := touches(m.changes, g.binding(a))
	outcome := mail.CommitSlipped
	switch {
	case len(holders) == 0:
		outcome = mail.CommitHeld
	case o.bypass:
		outcome = mail.CommitBypass
		g.bypasses++
	case a.person:
		outcome = mail.CommitWarned
	}
	g.did[outcome+" "+o.args[0]]++
	for h := range holders {
		g.letters[h]++
	}
	g.records = append(g.records, outcome+" "+a.writer()+" "+strings.Join(paths, ","))
	m.recorded = true
	// Excluded, for the guard does otherwise than doc/GUARD.md says: a person's commit
	// that touches their own reservation and another's as well is taken for that of an
	// agent without a name, whom the person of the clone writes for. See authors.
	if outcome != mail.CommitHeld && a.person && all[a.name] {
		m.by = "?"
	}
}

func (g *game) push() {
	g.t.Helper()
	a, bypass := g.somebody(), g.one(6)
	refs := []string{"main"}
	if len(g.sides) > 0 && g.one(2) {
		refs = append(refs, oneOf(g, g.sides))
	}
	args := append([]string{"push", "-q", "--force", "origin"}, refs...)
	list := append(append([]string{"rev-list"}, refs...), "--not")
	list = append(list, strings.Fields(g.git("-C", g.remote, "for-each-ref", "--format=%(objectname)"))...)
	var want []string
	holders := map[string]bool{}
	for oid := range strings.FieldsSeq(g.in(list...)) {
		m := g.commits[oid]
		if m == nil { // made without hooks
			m = &made{changes: g.against(g.dir, g.parents(g.dir, oid), oid), when: g.committed(oid)}
			g.commits[oid] = m
		}
		by := m.by
		if !m.recorded { // it counts as the pusher's
			by = a.name
		}
		var binding []*lease
		for _, l := range g.binding(a) {
			if l.holder != by && m.when.Unix() >= l.since.Unix() {
				binding = append(binding, l)
			}
		}
		paths, whose := touches(m.changes, binding)
		if len(paths) > 0 {
			g.say("  %s by %q at %s is in the way: %q of %q", oid[:7], by, m.when.Format(time.TimeOnly), paths, slices.Sorted(maps.Keys(whose)))
		}
		want = append(want, paths...)
		maps.Copy(holders, whose)
	}
	slices.Sort(want)
	want = slices.Compact(want)
	stop := len(want) > 0 && !a.person && !bypass
	env := slices.Clone(a.env)
	if bypass {
		env = append(env, "AGENTMAIL_BYPASS=why")
	}
	g.say("%s: %q git %q: must stop %v for %q", a, env, args, stop, want)
	ok, all := g.does("", g.dir, append(env, args...)...)
	for _, v := range all {
		g.say("  told: %+v", v)
		slices.Sort(v.Blocked)
		if got := slices.Compact(v.Blocked); !slices.Equal(got, want) {
			g.t.Fatalf("operation %d: blocked %q, want %q", g.n, got, want)
		}
		conflict := len(want) > 0 && !bypass
		if (v.Code == mail.Conflict) != conflict || !conflict && v.Code != "" {
			g.t.Fatalf("operation %d: %s says %s: %s", g.n, v.Event, v.Code, v.Message)
		}
	}
	if ok == stop || len(want) > 0 && len(all) == 0 {
		g.t.Fatalf("operation %d: passes %v, want %v", g.n, ok, !stop)
	}
	g.did[fmt.Sprintf("push, stopped %v", stop)]++
	if bypass && len(want) > 0 {
		g.bypasses++
	}
	if bypass || a.person {
		for h := range holders {
			g.letters[h]++
		}
	}
}

func (g *game) committed(oid string) time.Time {
	g.t.Helper()
	when, err := time.Parse(time.RFC3339, g.in("show", "-s", "--format=%cI", oid))
	if err != nil {
		g.t.Fatal(err)
	}
	return when
}
