package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/git-agentmail/git-agentmail/mailbox"
)

// strong are the rows of `make bench-sync` about strong reservations, and about what is killed.
var strong = []row{
	{"32 clones reserve what crosses, 15 of 100 are killed: winners of a round", "exactly 1 in the hub's history; ≤ 1 claimed; tokens go up; 0 errors", contended},
	{"`git agentmail reserve --strong` that nobody contends, over file", "≤ 60 ms where git alone takes 22, as when it was set: 2.7x", uncontended},
	{"the same over HTTP, 100 ms a request", "≤ 1 fetch and 1 push", overHTTP},
	{"8 clones that pause for longer than their reservation lasts: pushes accepted after a later grant", "0", func(b *bench) (result, error) { return replaced(b, true) }},
	{"the same where the reservation is checked and then pushed by git", "", func(b *bench) (result, error) { return replaced(b, false) }},
	{"a clone's directory is copied, both write", "found at the first sync; 0 lost; 1 new id; 1 notice", copiedClone},
	{"clones killed at random moments", "0 acknowledged lost; 0 stuck; all hold the same", killedClones},
}

const tableRef = "refs/agentmail/locks"

// kill ends a program with SIGKILL, and, if all, what it has started as well, over file:// the
// server half too. Else that goes on as an orphan.
func kill(pid int, all bool) {
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
	var tree func(int)
	tree = func(pid int) {
		if p, err := os.FindProcess(pid); err == nil {
			p.Kill()
		}
		for _, id := range below[pid] {
			if all {
				tree(id)
			}
		}
	}
	tree(pid)
}

// killedAfter runs a command that is killed after a while, unless that is 0 or it ends before.
func killedAfter(cmd *exec.Cmd, after time.Duration) (out string, killed bool, err error) {
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		return "", false, err
	}
	if after > 0 {
		timer := time.AfterFunc(after, func() { kill(cmd.Process.Pid, rand.IntN(2) == 0) })
		defer timer.Stop()
	}
	err = cmd.Wait()
	if cmd.ProcessState.ExitCode() < 0 {
		return "", true, nil
	}
	if err != nil {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), false, err
}

// settles exchanges what is left, as a clone does that was started again. What a killed git has left is
// in the way for five seconds.
func (b *bench) settles(dir string) (err error) {
	for limit := time.Now().Add(15 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		if _, err = timed(b.cmd(dir, b.program, "sync", "-q")); err == nil || time.Now().After(limit) {
			return err
		}
	}
}

// unlock removes what a killed server half has left at the hub, as its keeper would.
func unlock(hub string) (n int) {
	filepath.WalkDir(filepath.Join(hub, "refs"), func(path string, _ os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".lock") && os.Remove(path) == nil {
			n++
		}
		return nil
	})
	return n
}

// grants reads a version of the table at the hub.
func (b *bench) grants(hub, at string) (*mail.Table, error) {
	names, err := b.git(hub, "ls-tree", "-r", "--name-only", at)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for name := range strings.FieldsSeq(names) {
		data, err := b.git(hub, "show", at+":"+name)
		if err != nil {
			return nil, err
		}
		files[name] = []byte(data)
	}
	return mail.DecodeTable(files)
}

// contest is what many clones did that wanted what crosses.
type contest struct {
	*bench
	t    *team
	who  map[string]int // clones by agent
	long time.Duration  // a clone that is to be killed lives for less

	before *mail.Table // as the last round has left it
	tip    string

	rounds, wrong, twice, killed, adopted, errs, locks int

	first error
	took  series // until a winner knows it
}

// contended plays it with several teams: the longer the history, the longer the rounds.
func contended(b *bench) (result, error) {
	n, teams, each := pick(b, 32, 6), pick(b, 5, 1), pick(b, 40, 4)
	c := &contest{bench: b}
	for range teams {
		t, err := b.team(n)
		if err != nil {
			return result{}, err
		}
		t.close()
		c.t, c.who, c.long, c.before, c.tip = t, map[string]int{}, time.Second, &mail.Table{}, ""
		for i, a := range t.agents {
			c.who[a.ID] = i
		}
		for range each {
			if err := c.round(); err != nil {
				return result{}, err
			}
		}
		fmt.Fprintln(os.Stderr, c.text())
	}
	return judge(c.text(), [2]float64{float64(c.wrong + c.twice + c.errs), 0}), nil
}

func (c *contest) text() string {
	text := fmt.Sprintf("%d of %d rounds with another number; %d with two claims; %d errors; %d killed, of whom %d had won and found it; %d locks of killed server halves; the winner knew it after %s",
		c.wrong, c.rounds, c.twice, c.errs, c.killed, c.adopted, c.locks, ms(c.took.wall()))
	if c.first != nil {
		text += "; " + oneLine(c.first.Error())
	}
	return text
}

func (c *contest) failed(err error) {
	c.errs++
	c.first = errors.Join(c.first, err)
}

// rivals all cross each other: they match src/a.go.
var rivals = []string{"src/**", "src/a.go", "**/a.go", "src/*", "src/?.go", "src/**/*.go", "src/[a-c].go", "src/", "**"}

func (c *contest) round() error {
	var mu sync.Mutex
	var all sync.WaitGroup
	var again []int // who does not know how it ended
	claims := map[string]int64{}
	dead := map[int]bool{}
	begin := time.Now()
	for i := range c.t.dirs {
		all.Go(func() {
			after := time.Duration(0)
			if rand.IntN(100) < 15 {
				after = 1 + rand.N(c.long)
			}
			out, died, err := killedAfter(c.cmd(c.t.dirs[i], c.program, "reserve", "--json", "--strong", "--as", c.t.agents[i].Name, rivals[rand.IntN(len(rivals))]), after)
			var r mailbox.ReserveResult
			mu.Lock()
			defer mu.Unlock()
			var ee *exec.ExitError
			switch {
			case died:
				c.killed++
				dead[i] = true
				again = append(again, i)
			case errors.As(err, &ee) && ee.ExitCode() == mail.Conflict.Exit():
			case err != nil || json.Unmarshal([]byte(out), &r) != nil || len(r.Granted) != 1:
				c.failed(err)
			case r.Granted[0].Token == 0: // not strong yet: a server half that was killed was in the way
				again = append(again, i)
			default:
				claims[r.Granted[0].ID] = r.Granted[0].Token
				c.took = append(c.took, sample{wall: time.Since(begin)})
			}
		})
	}
	all.Wait()
	c.rounds++
	c.long = max(time.Since(begin)/2, 100*time.Millisecond)
	c.locks += unlock(c.t.hub)
	if len(claims) > 1 {
		c.twice++
	}
	for _, i := range again { // at once, for what a killed git left is in the way for five seconds
		all.Go(func() {
			if err := c.settles(c.t.dirs[i]); err != nil {
				mu.Lock()
				defer mu.Unlock()
				c.failed(err)
			}
		})
	}
	all.Wait()
	granted, err := c.history(claims)
	if err != nil {
		return err
	}
	if granted != 1 || len(claims) > 0 { // somebody claims what was never granted
		c.wrong++
	}
	for _, g := range c.before.Held {
		i := c.who[g.Holder]
		if dead[i] {
			c.adopted++
		}
		if _, err := timed(c.cmd(c.t.dirs[i], c.program, "release", "-q", "--all", "--as", c.t.agents[i].Name)); err != nil {
			c.failed(err)
		}
	}
	if c.tip, err = c.git(c.t.hub, "rev-parse", tableRef); err != nil {
		return err
	}
	if c.before, err = c.grants(c.t.hub, c.tip); err != nil {
		return err
	}
	if len(c.before.Held) > 0 { // nobody knows of it
		c.wrong++
	}
	return nil
}

// history goes through what became of the table in a round, and returns how many were granted
// something. Those take what they claim from claims.
func (c *contest) history(claims map[string]int64) (granted int, err error) {
	spec := []string{"rev-list", "--reverse", tableRef}
	if c.tip != "" {
		spec = append(spec, "^"+c.tip)
	}
	versions, err := c.git(c.t.hub, spec...)
	if err != nil {
		return 0, err
	}
	for oid := range strings.FieldsSeq(versions) {
		table, err := c.grants(c.t.hub, oid)
		if err != nil {
			return 0, err
		}
		if len(table.Held) > 1 || table.Token < c.before.Token {
			c.wrong++
		}
		for id, g := range table.Held {
			if c.before.Held[id] != nil {
				continue
			}
			if granted++; g.Token <= c.before.Token || claims[id] != 0 && claims[id] != g.Token {
				c.wrong++
			}
			delete(claims, id)
		}
		c.before = table
	}
	return granted, nil
}

func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return s[:min(len(s), 300)]
}

// alone measures reserving that nobody contends.
func (b *bench) alone(t *team, n int) (series, error) {
	var took series
	for range n + 1 {
		s, err := timed(b.cmd(t.dirs[0], b.program, "reserve", "--strong", "-q", "--as", t.agents[0].Name, "src/**"))
		if err != nil {
			return nil, err
		}
		took = append(took, s)
		if _, err := timed(b.cmd(t.dirs[0], b.program, "release", "-q", "--all", "--as", t.agents[0].Name)); err != nil {
			return nil, err
		}
	}
	return took[1:], nil
}

func uncontended(b *bench) (result, error) {
	t, err := b.team(3)
	if err != nil {
		return result{}, err
	}
	defer t.close()
	took, err := b.alone(t, pick(b, 30, 5))
	if err != nil {
		return result{}, err
	}
	// What git takes for a fetch and a push of one commit.
	n := 0
	bare, err := b.turns(pick(b, 30, 5), func() (sample, error) {
		n++
		if err := b.gits(t.dirs[1], fmt.Sprintf("commit -q --allow-empty -m %d", n)); err != nil {
			return sample{}, err
		}
		s, err := timed(b.cmd(t.dirs[1], "git", "fetch", "-q", "origin"))
		if err != nil {
			return s, err
		}
		p, err := timed(b.cmd(t.dirs[1], "git", "push", "-q", "origin", "HEAD:refs/heads/bare"))
		return sample{s.wall + p.wall, s.cpu + p.cpu}, err
	})
	if err != nil {
		return result{}, err
	}
	return judge(fmt.Sprintf("%s, CPU %s; a fetch and a push of git's alone %s, CPU %s: %.2fx", ms(took.wall()), ms(took.cpu()), ms(bare[0].wall()), ms(bare[0].cpu()),
		float64(took.wall())/float64(bare[0].wall())),
		[2]float64{float64(took.wall()) / float64(bare[0].wall()), 60.0 / 22}), nil
}

func overHTTP(b *bench) (result, error) {
	const delay = 100 * time.Millisecond
	t, err := b.team(2)
	if err != nil {
		return result{}, err
	}
	defer t.close()
	path, err := b.git(".", "--exec-path")
	if err != nil {
		return result{}, err
	}
	if err := b.gits(t.hub, "config http.receivepack true"); err != nil {
		return result{}, err
	}
	var fetches, pushes, requests atomic.Int64
	backend := &cgi.Handler{Path: filepath.Join(path, "git-http-backend"), Env: []string{"GIT_PROJECT_ROOT=" + filepath.Dir(t.hub), "GIT_HTTP_EXPORT_ALL=1"}, InheritEnv: []string{"PATH"}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return result{}, err
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if strings.HasSuffix(r.URL.Path, "/info/refs") && r.URL.Query().Get("service") == "git-upload-pack" {
			fetches.Add(1)
		} else if strings.HasSuffix(r.URL.Path, "/info/refs") {
			pushes.Add(1)
		}
		time.Sleep(delay)
		backend.ServeHTTP(w, r)
	})}
	go srv.Serve(l)
	defer srv.Close()
	if err := b.gits(t.dirs[0], fmt.Sprintf("remote set-url origin http://%s/%s", l.Addr(), filepath.Base(t.hub))); err != nil {
		return result{}, err
	}
	n := pick(b, 5, 2)
	took, err := b.alone(t, n)
	if err != nil {
		return result{}, err
	}
	verbs := float64(2 * (n + 1)) // each release does the same
	f, p := float64(fetches.Load())/verbs, float64(pushes.Load())/verbs
	return judge(fmt.Sprintf("%.1f fetches, %.1f pushes, %.1f requests; %s", f, p, float64(requests.Load())/verbs, ms(took.wall())), [2]float64{f, 1}, [2]float64{p, 1}), nil
}

// replaced lets clones contend for one file. Their time runs so fast that a minute, the least that
// a reservation lasts, is what the demand has for it, or what this machine needs.
func replaced(b *bench, fenced bool) (result, error) {
	const n = 8
	t, err := b.team(n)
	if err != nil {
		return result{}, err
	}
	t.close()
	took, err := b.alone(t, 3)
	if err != nil {
		return result{}, err
	}
	ttl := max(400*time.Millisecond, 2*n/2*took.wall())
	begin := time.Now()
	fast := func() time.Time { return begin.Add(time.Since(begin) * time.Duration(time.Minute/ttl)) }
	moves := filepath.Join(b.tmp, "moves")
	os.Remove(moves)
	hook := "#!/bin/sh\n[ \"$1\" = committed ] || exit 0\nl=$(tr '\\n' ';')\necho \"$l\" >>'" + moves + "'\n"
	if err := os.WriteFile(filepath.Join(t.hub, "hooks", "reference-transaction"), []byte(hook), 0o777); err != nil {
		return result{}, err
	}
	end := time.Now().Add(pick(b, 150*ttl, 15*ttl))
	var mu sync.Mutex
	var all sync.WaitGroup
	var first error
	pushed, refused := 0, 0
	for i := range n {
		box, err := mailbox.Open(b.ctx, mailbox.Options{Dir: t.dirs[i], Environ: b.env, Now: fast})
		if err != nil {
			return result{}, err
		}
		defer box.Close()
		me, dir := t.agents[i], t.dirs[i]
		turn := func(k int) error {
			r, err := box.Reserve(b.ctx, me, mailbox.ReserveRequest{Patterns: []string{"src/part0/main.go"}, TTL: time.Minute, Strong: true})
			if code := mail.CodeOf(err); err != nil && code != mail.Conflict && code != mail.Remote {
				return err
			}
			if err != nil || len(r.Granted) == 0 || r.Granted[0].Token == 0 {
				time.Sleep(rand.N(ttl / 2))
				return nil
			}
			if err := b.gits(dir, "fetch -q origin", "reset -q --hard origin/main"); err != nil {
				return err
			}
			if err := put(dir, "src/part0/main.go", fmt.Sprint("package part // ", i, k)); err != nil {
				return err
			}
			if err := b.gits(dir, fmt.Sprintf("commit -q -a -m %d", r.Granted[0].Token)); err != nil {
				return err
			}
			time.Sleep(time.Duration(rand.ExpFloat64() * float64(ttl)))
			if rand.IntN(3) == 0 {
				return nil // it gives up, and says nothing
			}
			ok := false
			if fenced {
				_, err = box.Push(b.ctx, me, mailbox.PushRequest{Refspecs: []string{"main"}, Stderr: new(strings.Builder)})
				ok = err == nil
			} else if box.Sync(b.ctx, "origin"); true {
				list, err := box.Reservations(b.ctx, me, mailbox.ReservationQuery{Mine: true})
				if err != nil {
					return err
				}
				if slices.ContainsFunc(list, func(l mailbox.Reservation) bool { return l.ID == r.Granted[0].ID }) {
					ok = b.gits(dir, "push -q --no-verify origin main") == nil
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if ok {
				pushed++
			} else {
				refused++
			}
			return nil
		}
		all.Go(func() {
			for k := 0; time.Now().Before(end); k++ {
				if err := turn(k); err != nil {
					mu.Lock()
					first = errors.Join(first, err)
					mu.Unlock()
					return
				}
			}
		})
	}
	all.Wait()
	if first != nil {
		return result{}, first
	}
	data, err := os.ReadFile(moves)
	if err != nil {
		return result{}, err
	}
	newest, grants, late, was := int64(0), 0, 0, ""
	for line := range strings.Lines(string(data)) {
		var main, table string
		for move := range strings.SplitSeq(line, ";") {
			f := strings.Fields(move)
			switch {
			case len(f) != 3 || strings.Trim(f[1], "0") == "": // as when refs are packed
			case f[2] == "refs/heads/main" && f[1] != was: // nor is that a move
				main, was = f[1], f[1]
			case f[2] == tableRef:
				table = f[1]
			}
		}
		if main != "" {
			subject, err := b.git(t.hub, "log", "-1", "--format=%s", main)
			if err != nil {
				return result{}, err
			}
			if token, _ := strconv.ParseInt(subject, 10, 64); token < newest {
				late++
			}
		}
		if table != "" {
			now, err := b.grants(t.hub, table)
			if err != nil {
				return result{}, err
			}
			if now.Token > newest {
				newest = now.Token
				grants++
			}
		}
	}
	text := fmt.Sprintf("%d; %d grants of %s, %d pushes accepted, %d refused", late, grants, ms(ttl), pushed, refused)
	if !fenced {
		return tell("%s", text), nil
	}
	return judge(text, [2]float64{float64(late), 0}), nil
}

func copiedClone(b *bench) (result, error) {
	t, err := b.team(2)
	if err != nil {
		return result{}, err
	}
	defer t.close()
	dir := b.dir("copy")
	if err := os.CopyFS(dir, os.DirFS(t.dirs[0])); err != nil {
		return result{}, err
	}
	box, err := b.open(dir)
	if err != nil {
		return result{}, err
	}
	t.boxes, t.dirs, t.agents = append(t.boxes, box), append(t.dirs, dir), append(t.agents, t.agents[0])
	const each = 5
	for i := range t.boxes {
		for k := range each {
			if err := t.send(b.ctx, i, k); err != nil {
				return result{}, err
			}
		}
	}
	notices, first := 0, -1
	for turn, i := range []int{0, 2, 1, 0, 2, 1} {
		list, err := t.boxes[i].Sync(b.ctx, "origin")
		if err != nil {
			return result{}, err
		}
		for _, s := range list[0].Notices {
			if strings.Contains(s, "a copy of this clone's directory") {
				if notices++; first < 0 {
					first = turn
				}
			}
		}
	}
	counts, err := t.counts(b.ctx)
	if err != nil {
		return result{}, err
	}
	lost := 0
	for _, c := range counts {
		lost += 3*each - c
	}
	refs, err := b.git(t.hub, "for-each-ref", "--format=%(refname)", "refs/agentmail/log")
	if err != nil {
		return result{}, err
	}
	ids := len(strings.Fields(refs)) - 2
	text := fmt.Sprintf("at sync %d of the two that shared a log; %d lost of %d; %d new id; %d notice", first+1, lost, 3*each, ids, notices)
	return judge(text, [2]float64{float64(first), 1}, [2]float64{float64(lost), 0}, [2]float64{max(float64(ids-1), float64(1-ids)), 0}, [2]float64{max(float64(notices-1), float64(1-notices)), 0}), nil
}

func killedClones(b *bench) (result, error) {
	const n = 4
	t, err := b.team(n)
	if err != nil {
		return result{}, err
	}
	t.close()
	kills := pick(b, 1000, 60)
	var mu sync.Mutex
	var all sync.WaitGroup
	acked := map[string]bool{}
	killed, stuck, failed := 0, 0, 0
	for i := range n {
		all.Go(func() {
			me := t.agents[i].Name
			for k := 0; ; k++ {
				mu.Lock()
				enough := killed >= kills || b.ctx.Err() != nil
				mu.Unlock()
				if enough {
					return
				}
				args := [][]string{{"send", "-q", "--as", me, "--to", t.agents[(i+1)%n].Name, "-s", "x", "-m", "x"}, {"sync", "-q"},
					{"reserve", "-q", "--strong", "--as", me, fmt.Sprintf("src/part%d/**", i)}, {"release", "-q", "--all", "--as", me}}[rand.IntN(4)]
				out, died, err := killedAfter(b.cmd(t.dirs[i], b.program, args...), 1+rand.N(150*time.Millisecond))
				begin := time.Now()
				id, _, after := killedAfter(b.cmd(t.dirs[i], b.program, "send", "-q", "--as", me, "--to", me, "-s", "after", "-m", "x"), 0)
				mu.Lock()
				if died {
					killed++
				} else if args[0] == "send" && err == nil {
					acked[strings.TrimSpace(out)] = true
				}
				if acked[strings.TrimSpace(id)] = true; after != nil {
					failed++
				}
				if time.Since(begin) > 5*time.Second {
					stuck++
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	delete(acked, "")
	locks := unlock(t.hub)
	for range 3 {
		for i := range n {
			if b.settles(t.dirs[i]) != nil {
				stuck++
			}
		}
	}
	differ, lost := 0, 0
	var want string
	for i := range n {
		refs, err := b.git(t.dirs[i], "for-each-ref", "--format=%(objectname) %(refname)", "refs/agentmail/log")
		if err != nil {
			return result{}, err
		}
		if want == "" {
			want = refs
		} else if refs != want {
			differ++
		}
		there := map[string]bool{}
		for line := range strings.Lines(refs) {
			oid, _, _ := strings.Cut(line, " ")
			names, err := b.git(t.dirs[i], "ls-tree", "-r", "--name-only", oid, "mail/")
			if err != nil {
				return result{}, err
			}
			for name := range strings.FieldsSeq(names) {
				id, _, _ := strings.Cut(filepath.Base(name), "-")
				there[id] = true
			}
		}
		for id := range acked {
			if !there[id] {
				lost++
			}
		}
	}
	text := fmt.Sprintf("%d kills; %d lost of %d acknowledged; %d stuck, %d failed afterwards; %d of %d clones hold something else; %d locks at the hub", killed, lost, len(acked), stuck, failed, differ, n, locks)
	return judge(text, [2]float64{float64(lost + stuck + failed + differ), 0}), nil
}
