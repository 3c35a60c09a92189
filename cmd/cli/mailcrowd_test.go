//go:build unix

package cli_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/internal/hub"
)

// TestMailCrowd: clones of one hub, each with an agent that sends, reads, acknowledges,
// reserves and releases, and with a `sync --watch`. Some are cut off for a while and come
// back; the clients, their git and the server half are killed at random. Afterwards everybody
// exchanges until nothing moves, and everything is everywhere, once.
func TestMailCrowd(t *testing.T) {
	for _, c := range []crowdPlan{
		{clones: 4, span: 5 * time.Second, pause: 150 * time.Millisecond, every: time.Second},
		{clones: 16, span: 40 * time.Second, pause: 2 * time.Second, every: 4 * time.Second},
		{clones: 64, span: 2 * time.Minute, pause: 15 * time.Second, every: 20 * time.Second},
	} {
		if c.clones > 4 && !soak() {
			continue
		}
		t.Run(fmt.Sprint(c.clones), func(t *testing.T) { newMailCrowd(t, c).play() })
	}
}

// crowdPlan says how many take part, and what two cores can bear of them.
type crowdPlan struct {
	clones int
	span   time.Duration
	pause  time.Duration // between two verbs of a clone, on average
	every  time.Duration // of sync --watch
}

type mailCrowd struct {
	crowdPlan
	t       *testing.T
	hub     *hub.Hub
	env     []string
	program string
	mark    string // in the environment of all that is started here
	clones  []*crowdClone
	serial  atomic.Int64
	end     time.Time

	mu    sync.Mutex // guards the rest
	sent  map[string]crowdMail
	acked map[string]string // agent by message
	count map[string]int    // of what happened
}

type crowdMail struct{ from, to, subject string }

// crowdClone is one clone and the agent in it.
type crowdClone struct {
	*mailCrowd
	name, dir string
	way       *hub.Way
	user      string        // what of the repository is not ours
	enter     []string      // before a command, so that it runs in a namespace, or nothing
	cable     func(up bool) // of that

	watch struct {
		sync.Mutex
		cmd    *exec.Cmd
		mark   string
		killed bool
		end    bool
	}
}

func newMailCrowd(t *testing.T, plan crowdPlan) *mailCrowd {
	home := t.TempDir()
	m := &mailCrowd{crowdPlan: plan, t: t, hub: hub.New(t), program: "git-agentmail", mark: "MAIL_CROWD=" + home,
		sent: map[string]crowdMail{}, acked: map[string]string{}, count: map[string]int{}}
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "GIT_") && !strings.HasPrefix(kv, "AGENT") {
			m.env = append(m.env, kv)
		}
	}
	config := filepath.Join(home, ".gitconfig")
	if err := os.WriteFile(config, []byte("[user]\n\tname = Ann\n\temail = ann@example.org\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	m.env = append(m.env, "HOME="+home, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+config, m.mark)
	if soak() {
		m.program = builtProgram(t)
	}
	first := filepath.Join(home, "first")
	m.git("", "init", "-q", "-b", "main", first)
	for i := range 8 {
		write(t, filepath.Join(first, fmt.Sprintf("src/part%d/a.go", i)), "package part\n")
	}
	m.git(first, "add", "-A")
	m.git(first, "commit", "-q", "-m", "one")
	m.git(first, "push", "-q", m.hub.FileURL, "main")
	for i := range plan.clones {
		c := &crowdClone{mailCrowd: m, name: fmt.Sprintf("Crowd%d", i), dir: filepath.Join(home, fmt.Sprint("clone", i))}
		address := "127.0.0.1:0"
		if os.Getenv(inNamespaces) != "" {
			address = c.host(i)
		}
		c.way = m.hub.Way(address)
		m.git("", "clone", "-q", m.hub.FileURL, c.dir)
		m.git(c.dir, "remote", "set-url", "origin", c.way.URL)
		m.git(c.dir, "branch", "other")
		write(t, filepath.Join(c.dir, "src/part0/a.go"), "package other\n")
		write(t, filepath.Join(c.dir, "src/part1/b.go"), "package part\n")
		m.git(c.dir, "add", "src/part1/b.go")
		c.user = c.users()
		m.clones = append(m.clones, c)
	}
	m.each(func(c *crowdClone) { c.must("register", c.name, "--program", "crowd", "--model", "x") })
	for range 2 {
		m.each(func(c *crowdClone) { c.must("sync") })
	}
	return m
}

// builtProgram builds git-agentmail, which starts in half the time that this test takes.
func builtProgram(t *testing.T) string {
	program := filepath.Join(t.TempDir(), "git-agentmail")
	cmd := exec.Command("go", "build", "-o", program, "../git-agentmail")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o777), os.WriteFile(name, []byte(text), 0o666)); err != nil {
		t.Fatal(err)
	}
}

func (m *mailCrowd) git(dir string, args ...string) string {
	m.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env = dir, m.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		m.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// each does something in all clones, four at a time.
func (m *mailCrowd) each(do func(*crowdClone)) {
	var all sync.WaitGroup
	turns := make(chan bool, 4)
	for _, c := range m.clones {
		turns <- true
		all.Go(func() {
			do(c)
			<-turns
		})
	}
	all.Wait()
}

func (m *mailCrowd) tally(what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count[what]++
}

// users is what a repository has that is not ours.
func (c *crowdClone) users() string {
	var all strings.Builder
	for _, name := range []string{"HEAD", "config", "index"} {
		data, err := os.ReadFile(filepath.Join(c.dir, ".git", name))
		if err != nil {
			c.t.Fatal(err)
		}
		all.Write(data)
	}
	for line := range strings.Lines(c.git(c.dir, "for-each-ref", "--format=%(refname) %(objectname)")) {
		if !strings.HasPrefix(line, "refs/agentmail/") {
			all.WriteString(line)
		}
	}
	all.WriteString(c.git(c.dir, "--no-optional-locks", "status", "--porcelain", "-uall"))
	return all.String()
}

// command makes one of ours that can be found with all that it starts.
func (c *crowdClone) command(args ...string) (cmd *exec.Cmd, mark string) {
	mark = fmt.Sprintf("%s/%d", c.mark, c.serial.Add(1))
	args = slices.Concat(c.enter, []string{c.program}, args)
	cmd = exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = c.dir, append(slices.Clone(c.env), mark)
	return cmd, mark
}

// kill ends a command, and perhaps its git too.
func (m *mailCrowd) kill(cmd *exec.Cmd, mark string, whole bool) {
	cmd.Process.Kill()
	if !whole {
		return
	}
	for _, pid := range marked(mark) {
		syscall.Kill(pid, syscall.SIGKILL)
	}
}

// marked finds the processes that have mark in their environment, where there is /proc.
func marked(mark string) (pids []int) {
	list, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, name := range list {
		data, err := os.ReadFile(name)
		if err != nil || !slices.Contains(strings.Split(string(data), "\x00"), mark) {
			continue
		}
		var pid int
		fmt.Sscanf(name, "/proc/%d/", &pid)
		pids = append(pids, pid)
	}
	return pids
}

// run runs one of ours. Its status is -1 if it was killed, which happens to some.
func (c *crowdClone) run(killed bool, args ...string) (out, errs string, status int) {
	cmd, mark := c.command(append(args, "--as", c.name)...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	cmd.WaitDelay = time.Second // a git that outlives it has its stderr
	if err := cmd.Start(); err != nil {
		c.t.Error(err)
		return "", "", -1
	}
	if killed {
		time.AfterFunc(time.Duration(rand.Int63n(int64(60*time.Millisecond))), func() { c.kill(cmd, mark, rand.Intn(2) == 0) })
	}
	cmd.Wait()
	if status = cmd.ProcessState.ExitCode(); status < 0 {
		c.tally("clients killed")
	}
	return o.String(), e.String(), status
}

func (c *crowdClone) must(args ...string) string {
	c.t.Helper()
	out, errs, status := c.run(false, args...)
	if status != 0 {
		c.t.Errorf("%s: %v: status %d: %s", c.name, args, status, errs)
	}
	return out
}

// ask decodes what one of ours answers in JSON.
func (c *crowdClone) ask(to any, args ...string) {
	c.t.Helper()
	if out := c.must(append(args, "--json")...); json.Unmarshal([]byte(out), to) != nil {
		c.t.Errorf("%s: %v: %s", c.name, args, out)
	}
}

// watching exchanges mail until end, with a new process whenever one was killed.
func (c *crowdClone) watching() {
	for {
		cmd, mark := c.command("sync", "--watch", "--every", c.every.String(), "-q")
		var errs bytes.Buffer
		cmd.Stderr = &errs
		cmd.WaitDelay = time.Second
		w := &c.watch
		w.Lock()
		if w.end {
			w.Unlock()
			return
		}
		w.cmd, w.mark, w.killed = cmd, mark, false
		err := cmd.Start()
		w.Unlock()
		if err != nil {
			c.t.Error(err)
			return
		}
		cmd.Wait()
		w.Lock()
		if status := cmd.ProcessState.ExitCode(); !w.killed && !(w.end && status == 130) {
			c.t.Errorf("%s: sync --watch ended with status %d: %s", c.name, status, errs.String())
		}
		w.Unlock()
	}
}

func (c *crowdClone) killWatch() {
	w := &c.watch
	w.Lock()
	defer w.Unlock()
	if w.cmd != nil && !w.killed && !w.end {
		w.killed = true
		c.kill(w.cmd, w.mark, rand.Intn(2) == 0)
		c.tally("watches killed")
	}
}

func (c *crowdClone) endWatch() {
	w := &c.watch
	w.Lock()
	defer w.Unlock()
	w.end = true
	if w.cmd != nil && w.cmd.Process != nil && !w.killed {
		w.cmd.Process.Signal(os.Interrupt)
	}
}

// rest waits for a random time, and says whether to go on. On a slow machine it takes longer
// until anything has happened.
func (m *mailCrowd) rest(mean time.Duration) bool {
	pause := min(time.Duration(rand.ExpFloat64()*float64(mean)), 4*mean)
	if left := time.Until(m.end); left > 0 {
		pause = min(pause, left)
	}
	time.Sleep(pause)
	now := time.Now()
	return now.Before(m.end) || now.Before(m.end.Add(3*m.span)) && !m.enough()
}

// enough reports whether there is something to see.
func (m *mailCrowd) enough() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.sent) > 0 && len(m.acked) > 0 && m.count["partitions"] > 0 && m.count["clients killed"] > 0 && m.count["watches killed"] > 0
}

// working does what agents do.
func (c *crowdClone) working() {
	for n := 0; c.rest(c.pause); n++ {
		killed := rand.Intn(8) == 0
		path := fmt.Sprintf("src/part%d/**", rand.Intn(min(8, len(c.clones)/2))) // few, so that they meet
		var args []string
		verb := rand.Intn(12)
		subject := fmt.Sprintf("%s says %d", c.name, n)
		to := c.clones[rand.Intn(len(c.clones))].name
		switch {
		case verb < 5:
			args = []string{"send", "--to", to, "-s", subject, "-m", strings.Repeat("Some words. ", 1+rand.Intn(60)), "--ack", "-q"}
		case verb < 8:
			var list []struct{ ID string }
			c.ask(&list, "inbox", "--ack-required")
			if len(list) == 0 {
				continue
			}
			args = []string{"ack", list[rand.Intn(len(list))].ID}
			if verb == 5 {
				args[0] = "read"
			}
		case verb < 11:
			args = []string{"reserve", path}
		default:
			args = []string{"release", "--all"}
		}
		begin := time.Now()
		out, errs, status := c.run(killed, args...)
		if took := time.Since(begin); took > 10*time.Second {
			c.t.Errorf("%s: %s took %s", c.name, args[0], took)
		}
		if status < 0 && killed || status == 3 && args[0] == "reserve" {
			continue
		}
		if status != 0 {
			c.t.Errorf("%s: %v: status %d: %s", c.name, args, status, errs)
			continue
		}
		c.tally(args[0])
		c.mu.Lock()
		switch args[0] {
		case "send":
			c.sent[strings.TrimSpace(out)] = crowdMail{c.name, to, subject}
		case "ack":
			c.acked[args[1]] = c.name
		}
		c.mu.Unlock()
	}
}

// cutting parts some from the hub for a while, again and again: each for itself, or all at once.
func (m *mailCrowd) cutting() {
	for m.rest(m.span / 20) {
		state := []hub.State{hub.Closed, hub.Silent}[rand.Intn(2)]
		var cut []*crowdClone
		for _, c := range m.clones {
			if rand.Intn(2) == 0 {
				cut = append(cut, c)
				c.connect(state)
			}
		}
		m.tally("partitions")
		m.rest(m.span / 8)
		for _, c := range cut {
			c.connect(hub.Open)
		}
	}
}

// connect changes how a clone is connected with the hub.
func (c *crowdClone) connect(s hub.State) {
	if c.cable != nil {
		c.cable(s != hub.Silent)
	}
	if c.cable == nil || s != hub.Silent {
		c.way.Set(s)
	}
}

// killing kills whoever exchanges, and the hub.
func (m *mailCrowd) killing() {
	for m.rest(m.span / 30) {
		switch rand.Intn(6) {
		case 0:
			m.hub.KillAt([]hub.Moment{hub.BeforeRefs, hub.RefsLocked, hub.RefsMoved}[rand.Intn(3)])
			m.tally("kills of the server half, in a push")
		case 1, 2:
			for range 1000 {
				if n := m.hub.KillServer(); n > 0 {
					m.mu.Lock()
					m.count["kills of the server half, of any"] += n
					m.mu.Unlock()
					break
				}
				time.Sleep(time.Millisecond)
			}
		default:
			m.clones[rand.Intn(len(m.clones))].killWatch()
		}
	}
}

func (m *mailCrowd) play() {
	begin := time.Now()
	m.end = begin.Add(m.span)
	var works, watches sync.WaitGroup
	for _, c := range m.clones {
		works.Go(c.working)
		watches.Go(c.watching)
	}
	works.Go(m.cutting)
	works.Go(m.killing)
	works.Wait()
	for _, c := range m.clones {
		c.endWatch()
	}
	watches.Wait()
	left := m.heal()
	settled := time.Now()
	rounds := m.settle()
	m.t.Logf("%d clones: %d messages, %v in %s; %d locks left at the hub; then %d rounds of sync in %s", len(m.clones), len(m.sent), m.count,
		settled.Sub(begin).Round(time.Second), left, rounds, time.Since(settled).Round(100*time.Millisecond))
	if !m.enough() {
		m.t.Error("too little has happened")
	}
	m.compare()
	m.sound()
}

// heal does what the people who run a hub have to do after its processes were killed: no
// client can remove their locks. It also takes back a kill that no push has come to. In the
// clones, what killed gits have left counts for another's work for a minute, which is over.
func (m *mailCrowd) heal() (left int) {
	for _, hook := range []string{"pre-receive", "reference-transaction"} {
		m.hub.Hook(hook, "exit 0\n")
	}
	for m.hub.KillServer() > 0 { // or they would be of living ones
		time.Sleep(20 * time.Millisecond)
	}
	left = len(locks(m.t, filepath.Join(m.hub.Dir, "refs"), os.Remove))
	for _, c := range m.clones {
		old := time.Now().Add(-2 * time.Minute)
		locks(m.t, filepath.Join(c.dir, ".git", "refs"), func(name string) error { return os.Chtimes(name, old, old) })
	}
	return left
}

// locks finds the lock files in a directory.
func locks(t *testing.T, dir string, do func(string) error) (names []string) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(name, ".lock") {
			return err
		}
		names = append(names, name)
		return do(name)
	}); err != nil {
		t.Error(err)
	}
	return names
}

// settle lets all exchange until nothing moves any more.
func (m *mailCrowd) settle() (rounds int) {
	for rounds = 1; rounds < 12; rounds++ {
		var moved, failed atomic.Bool
		m.each(func(c *crowdClone) {
			var list []struct {
				Fetched, Pushed, Retired   int
				Restored, Refused, Notices []any
				Error                      any
			}
			c.ask(&list, "sync")
			for _, r := range list {
				if r.Error != nil || len(r.Refused) > 0 {
					c.t.Errorf("%s: a sync after all has healed: %+v", c.name, r)
					failed.Store(true)
				}
				if r.Fetched+r.Pushed+r.Retired+len(r.Restored)+len(r.Notices) > 0 {
					moved.Store(true)
				}
			}
		})
		if !moved.Load() || failed.Load() {
			return rounds
		}
	}
	m.t.Error("it still moves")
	return rounds
}

type (
	crowdTimes struct {
		ReadTS string `json:"read_ts"`
		AckTS  string `json:"ack_ts"`
	}
	crowdReceipt struct {
		Agent string
		crowdTimes
	}
	crowdRow struct {
		ID, From, Subject string
		To, CC, BCC       []string
		Receipts          []crowdReceipt
		crowdTimes
	}
)

// compare holds all clones against each other, and against what was acknowledged to the agents.
func (m *mailCrowd) compare() {
	t, all := m.t, []string{"-n", "1000000"}
	same := func(what string, of func(*crowdClone) string) {
		var mu sync.Mutex
		seen := map[string][]string{}
		m.each(func(c *crowdClone) {
			s := of(c)
			mu.Lock()
			defer mu.Unlock()
			seen[s] = append(seen[s], c.name)
		})
		if len(seen) != 1 {
			t.Errorf("%s: the clones show %d different ones: %q", what, len(seen), slices.Collect(maps.Values(seen)))
		}
	}
	same("logs", func(c *crowdClone) string {
		return m.git(c.dir, "for-each-ref", "--format=%(refname) %(objectname)", "refs/agentmail/log", "refs/agentmail/archive")
	})
	same("events", func(c *crowdClone) string { return c.must(append(all, "log", "--json")...) })
	same("reservations", func(c *crowdClone) string { return c.must(append(all, "reservations", "--all", "--json")...) })

	// Whoever reserved what somebody else had, without knowing, has lost it.
	var held []struct {
		Agent   string
		Pattern string `json:"path_pattern"`
	}
	m.clones[0].ask(&held, append(all, "reservations")...)
	holder := map[string]string{}
	for _, l := range held {
		if a := holder[l.Pattern]; a != "" && a != l.Agent {
			t.Errorf("%s and %s both hold %s", a, l.Agent, l.Pattern)
		}
		holder[l.Pattern] = l.Agent
	}

	var mu sync.Mutex
	written, inboxes := map[string]crowdRow{}, map[string]map[string]crowdRow{}
	m.each(func(c *crowdClone) {
		var out, in []crowdRow
		c.ask(&out, append(all, "outbox")...)
		c.ask(&in, append(all, "inbox")...)
		mu.Lock()
		defer mu.Unlock()
		for _, r := range out {
			if _, twice := written[r.ID]; twice || r.From != c.name {
				t.Errorf("%s's outbox has %+v, which is not its own or is there twice", c.name, r)
			}
			written[r.ID] = r
		}
		inboxes[c.name] = map[string]crowdRow{}
		for _, r := range in {
			if _, twice := inboxes[c.name][r.ID]; twice {
				t.Errorf("%s's inbox has twice %+v", c.name, r)
			}
			inboxes[c.name][r.ID] = r
		}
	})
	subjects := map[string]bool{}
	for id, r := range written {
		if s := r.From + r.Subject; strings.Contains(r.Subject, " says ") {
			if subjects[s] {
				t.Errorf("sent once and there twice: %+v", r)
			}
			subjects[s] = true
		}
		for name, in := range inboxes {
			got, ok := in[id]
			if ok != slices.Contains(slices.Concat(r.To, r.CC, r.BCC), name) {
				t.Errorf("%+v in the inbox of %s: %v", r, name, ok)
			}
			if !ok {
				continue
			}
			receipt := crowdReceipt{Agent: name}
			for _, x := range r.Receipts {
				if x.Agent == name {
					receipt = x
				}
			}
			if (receipt != crowdReceipt{name, got.crowdTimes}) {
				t.Errorf("%s: its sender sees the receipt %+v, %s %+v", id, receipt, name, got)
			}
		}
	}
	for name, in := range inboxes {
		for id, r := range in {
			if _, ok := written[id]; !ok {
				t.Errorf("%s got %+v, which nobody has sent", name, r)
			}
		}
	}
	for id, want := range m.sent {
		if r := written[id]; r.From != want.from || r.Subject != want.subject || !slices.Equal(r.To, []string{want.to}) {
			t.Errorf("%+v was sent as %s and is now %+v", want, id, r)
		}
	}
	for id, name := range m.acked {
		if inboxes[name][id].AckTS == "" {
			t.Errorf("%s acknowledged %s, and it is not", name, id)
		}
	}
	ids := slices.Collect(maps.Keys(m.sent))
	for _, id := range ids[:min(len(ids), 256/len(m.clones))] {
		same(id, func(c *crowdClone) string {
			var x map[string]any
			c.ask(&x, "show", id)
			delete(x, "project_id") // is that of a clone's directory
			data, err := json.Marshal(x)
			if err != nil {
				t.Error(err)
			}
			return string(data)
		})
	}
}

// sound looks at what must be as it was, and at what must not be there.
func (m *mailCrowd) sound() {
	var slowest time.Duration
	m.each(func(c *crowdClone) {
		c.must("verify")
		c.git(c.dir, "fsck", "--strict", "--no-dangling")
		begin := time.Now()
		c.must("send", "--to", c.name, "-s", "afterwards", "-m", "text")
		took := time.Since(begin)
		if left := locks(c.t, filepath.Join(c.dir, ".git", "refs"), func(string) error { return nil }); len(left) > 0 {
			c.t.Errorf("%s: left behind: %q", c.name, left)
		}
		if now := c.users(); now != c.user {
			c.t.Errorf("%s: of the user's things there were\n%s\nand are\n%s", c.name, c.user, now)
		}
		m.mu.Lock()
		slowest = max(slowest, took)
		m.mu.Unlock()
	})
	m.hub.Git("fsck", "--strict", "--no-dangling")
	if slowest > 5*time.Second {
		m.t.Errorf("a send took %s", slowest)
	}
	var left []int
	for range 50 {
		if left = marked(m.mark); len(left) == 0 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	m.t.Errorf("%d processes are left", len(left))
}
