package mailbox

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/git-agentmail/git-agentmail/mail"
)

// server is another process that keeps a session record.
type server struct {
	t   testing.TB
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// serve starts a process that keeps a session record from the directory dir.
func (w *world) serve(dir string, s Session) *server {
	w.t.Helper()
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command(self, "session")
	cmd.Dir, cmd.Env, cmd.Stderr = dir, w.env, os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	sv := &server{w.t, cmd, in, bufio.NewReader(out)}
	w.t.Cleanup(sv.kill)
	sv.save(s)
	return sv
}

func (s *server) save(v Session) {
	s.t.Helper()
	if err := json.NewEncoder(s.in).Encode(v); err != nil {
		s.t.Fatal(err)
	}
	if line, err := s.out.ReadString('\n'); err != nil || line != "kept\n" {
		s.t.Fatalf("%q, %v", line, err)
	}
}

// end lets the server end as it should; kill does not.
func (s *server) end()  { s.in.Close(); s.cmd.Wait() }
func (s *server) kill() { s.cmd.Process.Kill(); s.cmd.Wait() }

// client is the process of a coding agent as the tests see it.
func client(name string) Process {
	return Process{PID: 4242, Start: "777", Name: name, Boot: "boot", Namespace: "pid:[1]"}
}

func TestWhoOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.in("config", "--local", "user.name", "Ann Ex\xe9")
	w.box = w.open(w.dir)
	names := []string{"ByFlag", "ByVariable", "ByName", "ByKey", "ByProcess", "ByTree"}
	ids := map[string]string{}
	for _, n := range names {
		ids[n] = w.agent(n).ID
	}
	if _, err := w.box.Register(w.ctx, RegisterRequest{Name: "ByTree", Program: "p", Model: "m", Here: true}); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"AGENTMAIL_AGENT": "ByVariable", "AGENT_NAME": "ByName", "CLAUDECODE": "1"}
	who := func(c Caller) Actor {
		t.Helper()
		c.Getenv = func(n string) string { return env[n] }
		a, err := w.box.Who(w.ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	chain := func() []Process {
		return []Process{{PID: 5000, Name: "git"}, {PID: 4900, Name: "bash"}, client("claude"), {PID: 1, Name: "init"}}
	}
	if got := who(Caller{As: "byflag"}); got.Name != "ByFlag" || got.Source != "--as" {
		t.Errorf("%+v", got)
	}
	if got := who(Caller{}); got.Name != "ByVariable" {
		t.Errorf("%+v", got)
	}
	delete(env, "AGENTMAIL_AGENT")
	if got := who(Caller{}); got.Name != "ByName" {
		t.Errorf("%+v", got)
	}
	for _, other := range []string{"azure-runner", "Nobody1", mail.HumanOverseer, ""} {
		env["AGENT_NAME"] = other
		if got := who(Caller{}); got.Name != "ByTree" || got.Source != "this worktree" {
			t.Errorf("AGENT_NAME=%q: %+v", other, got)
		}
	}
	if err := os.Remove(filepath.Join(w.dir, ".git/agentmail-agent")); err != nil {
		t.Fatal(err)
	}
	byKey := w.serve(w.dir, Session{Key: "k1", Ready: true, Client: Process{PID: 7}, Agents: []string{ids["ByKey"]}})
	if got := who(Caller{Session: "k1"}); got.Name != "ByKey" {
		t.Errorf("%+v", got)
	}
	if got := who(Caller{Session: "k2"}); got.Kind != IsUnidentified {
		t.Errorf("by another key: %+v", got)
	}
	byKey.end()
	if got := who(Caller{Session: "k1"}); got.Kind != IsUnidentified {
		t.Errorf("by a key of a server that has ended: %+v", got)
	}
	byProcess := w.serve(w.dir, Session{Ready: true, Client: client("claude"), Agents: []string{ids["ByProcess"]}})
	if got := who(Caller{Ancestors: chain}); got.Name != "ByProcess" || got.Kind != IsAgent {
		t.Errorf("%+v", got)
	}
	byProcess.end()
	if got := who(Caller{Ancestors: chain}); got.Kind != IsUnidentified || !strings.Contains(got.Source, "CLAUDECODE") {
		t.Errorf("by the marker: %+v", got)
	}
	delete(env, "CLAUDECODE")
	if got := who(Caller{Ancestors: chain}); got.Kind != IsUnidentified || !strings.Contains(got.Source, "claude") {
		t.Errorf("by the client's process: %+v", got)
	}
	if got := who(Caller{Client: true}); got.Kind != IsUnidentified {
		t.Errorf("a coding agent's own hook: %+v", got)
	}
	if got := who(Caller{Ancestors: func() []Process { return []Process{{PID: 9, Name: "bash"}} }}); got.Kind != IsPerson || got.Name != "Ann Ex?" || got.ID != "" {
		t.Errorf("nobody: %+v", got)
	}
	for _, marker := range []string{"CLAUDECODE", "AI_AGENT", "GEMINI_CLI", "OPENCODE", "COPILOT_AGENT_SESSION_ID"} {
		env = map[string]string{marker: "x"}
		if got := who(Caller{}); got.Kind != IsUnidentified || got.mayWrite() == nil {
			t.Errorf("%s: %+v", marker, got)
		}
	}
}

// TestWhoNamed: a name given outright is used or is an error, never a guess.
func TestWhoNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.agent("BlueLake")
	w.send(w.person(), "BlueLake")
	person := w.person()
	if person.ID == "" {
		t.Fatal("the person is not registered")
	}
	for _, tt := range []struct {
		name string
		kind ActorKind
	}{{"bluelake", IsAgent}, {mail.HumanOverseer, IsPerson}, {"humanoverseer", IsPerson}, {person.ID, IsPerson}, {mail.HumanOverseer + "~" + person.ID[:3], IsPerson}, {"BlueLaek", IsUnidentified}, {"BlueLake~zz", IsUnidentified}} {
		for _, c := range []Caller{{As: tt.name}, {Getenv: func(n string) string { return map[string]string{"AGENTMAIL_AGENT": tt.name, "CLAUDECODE": ""}[n] }}} {
			got, err := w.box.Who(w.ctx, c)
			if err != nil || got.Kind != tt.kind {
				t.Errorf("%q: %+v, %v; want %s", tt.name, got, err, tt.kind)
			}
			if tt.kind == IsUnidentified {
				if e := mail.AsError(got.mayWrite()); e.Code != mail.NotFound || len(e.Hints) == 0 {
					t.Errorf("%q: %+v", tt.name, e)
				}
			}
		}
	}
	// A name that was given but is wrong does not fall through to the next way.
	w.box.Register(w.ctx, RegisterRequest{Name: "ByTree", Program: "p", Model: "m", Here: true})
	got, err := w.box.Who(w.ctx, Caller{Getenv: func(n string) string {
		return map[string]string{"AGENTMAIL_AGENT": "BlueLaek", "AGENT_NAME": "BlueLake"}[n]
	}})
	if err != nil || got.Kind != IsUnidentified || got.Given != "BlueLaek" {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestWorktreeAgent: the file in a worktree names its agent; one that names
// nobody, or nobody of this clone, counts for nothing.
func TestWorktreeAgent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	w.send(w.person(), "BlueLake")
	c := w.clone()
	red := c.agent("RedFox")
	w.fetch(c)
	for _, tt := range []struct {
		text string
		want string
	}{
		{blue.ID + " BlueLake\n", blue.ID}, {blue.ID, blue.ID}, {blue.ID + " SomeOtherName\n", blue.ID},
		{"", ""}, {"BlueLake\n", ""}, {"zzzzzzzzzz\n", ""}, {red.ID + " RedFox\n", ""}, {w.person().ID + " HumanOverseer\n", ""}, {"\xff\x00", ""},
	} {
		if err := os.WriteFile(filepath.Join(w.dir, ".git/agentmail-agent"), []byte(tt.text), 0o666); err != nil {
			t.Fatal(err)
		}
		got, err := w.box.Who(w.ctx, Caller{})
		if err != nil || tt.want != "" && (got.ID != tt.want || got.Kind != IsAgent) || tt.want == "" && got.Kind != IsPerson {
			t.Errorf("%q: %+v, %v", tt.text, got, err)
		}
	}
}

// TestAncestry: each condition under which a session among the ancestors does
// not name an agent.
func TestAncestry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	_, side := w.worktree("side")
	sound := func() Session {
		return Session{Ready: true, Client: client("claude"), Agents: []string{blue.ID}}
	}
	const none, unknown = "", "unidentified"
	for _, tt := range []struct {
		name    string
		records []Session
		dir     string         // where the server runs; "" is here
		seen    func() Process // the client among the ancestors
		dead    bool           // the server was killed
		want    string
	}{
		{"sound", []Session{sound()}, "", nil, false, blue.ID},
		{"no initialize yet", []Session{func() Session { s := sound(); s.Ready = false; return s }()}, "", nil, false, unknown},
		{"its server is dead", []Session{sound()}, "", nil, true, unknown},
		{"another worktree", []Session{sound()}, side, nil, false, unknown},
		{"two agents in one record", []Session{func() Session { s := sound(); s.Agents = append(s.Agents, green.ID); return s }()}, "", nil, false, unknown},
		{"two agents in two records", []Session{sound(), func() Session { s := sound(); s.Agents = []string{green.ID}; return s }()}, "", nil, false, unknown},
		{"the same agent in two records", []Session{sound(), sound()}, "", nil, false, blue.ID},
		{"a record of somebody else beside it", []Session{sound(), {Ready: true, Client: Process{PID: 99}, Agents: []string{green.ID}}}, "", nil, false, blue.ID},
		{"no agent yet", []Session{{Ready: true, Client: client("claude")}}, "", nil, false, none},
		{"another start time", []Session{sound()}, "", func() Process { p := client("claude"); p.Start = "778"; return p }, false, none},
		{"another boot", []Session{sound()}, "", func() Process { p := client("claude"); p.Boot = "other"; return p }, false, none},
		{"another namespace", []Session{sound()}, "", func() Process { p := client("claude"); p.Namespace = "pid:[2]"; return p }, false, none},
		{"another process", []Session{sound()}, "", func() Process { p := client("claude"); p.PID = 1; return p }, false, none},
		{"an editor", []Session{sound()}, "", func() Process { return client("code") }, false, unknown},
		{"a shell", []Session{sound()}, "", func() Process { return client("bash") }, false, unknown},
		{"a multiplexer", []Session{sound()}, "", func() Process { return client("tmux: server") }, false, unknown},
		{"process 1", []Session{func() Session { s := sound(); s.Client.PID = 1; return s }()}, "", func() Process { p := client("claude"); p.PID = 1; return p }, false, unknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := tt.dir
			if dir == "" {
				dir = w.dir
			}
			for _, s := range tt.records {
				sv := w.serve(dir, s)
				if tt.dead {
					sv.kill()
					defer os.RemoveAll(filepath.Join(w.dir, ".git/agentmail-cache/sessions"))
				}
				defer sv.end()
			}
			p := client("claude")
			if tt.seen != nil {
				p = tt.seen()
			}
			got, err := w.box.Who(w.ctx, Caller{Ancestors: func() []Process { return []Process{{PID: 5000, Name: "git"}, p} }})
			if err != nil {
				t.Fatal(err)
			}
			switch tt.want {
			case unknown:
				if got.Kind != IsUnidentified || strings.Contains(got.Source, "is running this") {
					t.Errorf("%+v", got)
				}
			case none: // as if there were no record: only the client's program shows
				if got.Kind != IsUnidentified || !strings.Contains(got.Source, "claude is running this") {
					t.Errorf("%+v", got)
				}
			default:
				if got.ID != tt.want || got.Kind != IsAgent {
					t.Errorf("%+v", got)
				}
			}
		})
	}
}

// TestDisagreement: where session key, ancestry and worktree name different
// agents, none of them is believed.
func TestDisagreement(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	key := w.serve(w.dir, Session{Key: "k", Ready: true, Client: Process{PID: 7}, Agents: []string{blue.ID}})
	process := w.serve(w.dir, Session{Ready: true, Client: client("codex"), Agents: []string{green.ID}})
	chain := func() []Process { return []Process{client("codex")} }
	here := func(id string) {
		if err := os.WriteFile(filepath.Join(w.dir, ".git/agentmail-agent"), []byte(id), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name string
		here string
		c    Caller
		want string // "" for unidentified
	}{
		{"key and process", "", Caller{Session: "k", Ancestors: chain}, ""},
		{"key and worktree", green.ID, Caller{Session: "k"}, ""},
		{"process and worktree", blue.ID, Caller{Ancestors: chain}, ""},
		{"key and worktree agree", blue.ID, Caller{Session: "k"}, blue.ID},
		{"process and worktree agree", green.ID, Caller{Ancestors: chain}, green.ID},
		{"a worktree's file that names nobody", "zzzzzzzzzz", Caller{Session: "k"}, blue.ID},
		{"a name given outright", blue.ID, Caller{As: "GreenCastle", Session: "k", Ancestors: chain}, green.ID},
	} {
		here(tt.here)
		got, err := w.box.Who(w.ctx, tt.c)
		if err != nil || got.ID != tt.want || tt.want == "" && got.Kind != IsUnidentified {
			t.Errorf("%s: %+v, %v", tt.name, got, err)
		}
	}
	// A second agent in one session makes it plural for good.
	process.save(Session{Ready: true, Client: client("codex"), Agents: []string{green.ID, blue.ID}})
	here("")
	if got, err := w.box.Who(w.ctx, Caller{Ancestors: chain}); err != nil || got.Kind != IsUnidentified || !strings.Contains(got.Source, "several") {
		t.Errorf("%+v, %v", got, err)
	}
	key.end()
	process.end()
}

func TestOpenSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	save, stop, err := w.box.OpenSession(Session{Client: client("claude")})
	if err != nil {
		t.Fatal(err)
	}
	chain := func() []Process { return []Process{client("claude")} }
	save(Session{Ready: true, Client: client("claude"), Agents: []string{blue.ID}})
	for _, box := range []*Box{w.box, w.open(w.dir)} {
		if got, err := box.Who(w.ctx, Caller{Ancestors: chain}); err != nil || got.ID != blue.ID {
			t.Errorf("%+v, %v", got, err)
		}
	}
	// Tidying up does not make a living session forget whose it is.
	if _, err := w.box.Doctor(w.ctx, blue, true, ""); err != nil {
		t.Fatal(err)
	}
	if got, err := w.box.Who(w.ctx, Caller{Ancestors: chain}); err != nil || got.ID != blue.ID {
		t.Errorf("after doctor --fix: %+v, %v", got, err)
	}
	stop()
	left, err := os.ReadDir(filepath.Join(w.dir, ".git/agentmail-cache/sessions"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	// Records that are rubbish are nobody's.
	for name, text := range map[string]string{"a.json": "", "b.json": "{}", "c.json": `{"v":2}`, "d.json": "[]", "e.txt": "x"} {
		if err := os.WriteFile(filepath.Join(w.dir, ".git/agentmail-cache/sessions", name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := w.box.Who(w.ctx, Caller{Session: "", Ancestors: func() []Process { return []Process{{PID: 3, Name: "bash"}} }}); err != nil || got.Kind != IsPerson {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestAncestorsAreReal: the ancestors of this very process.
func TestAncestorsAreReal(t *testing.T) {
	t.Parallel()
	list := Ancestors()
	if len(list) == 0 {
		t.Skip("this system does not tell")
	}
	if list[0].PID != os.Getpid() || list[0].Start == "" || list[0].Boot == "" || list[0].Namespace == "" {
		t.Errorf("%+v", list[0])
	}
	for _, p := range list {
		if p.PID <= 1 {
			t.Errorf("process %d is among them", p.PID)
		}
	}
}
