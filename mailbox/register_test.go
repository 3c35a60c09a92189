package mailbox

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

func TestRegisterNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, tt := range []struct {
		asked, want string // want "" for a generated one
		told        bool   // requested_name
	}{
		{"BlueLake", "BlueLake", false},
		{"Green-Castle", "GreenCastle", true},
		{" Red Fox ", "RedFox", true},
		{"", "", false},
		{"1st", "", true}, {"X", "", true}, {"é", "", true}, {strings.Repeat("A", 65), "", true},
		{"claude", "", true}, {"gpt-5", "", true}, {"bob@example.com", "", true}, {"all", "", true}, {"BackendAgent", "", true}, {"bobb", "", true},
		{"HumanOverseer", "", true}, {"humanoverseer", "", true},
	} {
		a, err := w.box.Register(w.ctx, RegisterRequest{Name: tt.asked, Program: "p", Model: "m"})
		if err != nil {
			t.Fatalf("Register(%q): %v", tt.asked, err)
		}
		if tt.want != "" && a.Name != tt.want || tt.want == "" && (a.Name == tt.asked || !mail.ValidName(a.Name)) {
			t.Errorf("Register(%q) gives %q", tt.asked, a.Name)
		}
		if (a.RequestedName != "") != tt.told || tt.told && a.RequestedName != tt.asked {
			t.Errorf("Register(%q): requested_name is %q", tt.asked, a.RequestedName)
		}
		if got, err := w.box.As(w.ctx, a.Name); err != nil || got.ID != a.ID || got.Kind != IsAgent {
			t.Errorf("the name %q in the answer leads to %+v, %v", a.Name, got, err)
		}
	}
}

func TestRegisterRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, tt := range []struct {
		name string
		req  RegisterRequest
		code mail.Code
		typ  string
	}{
		{"no program", RegisterRequest{Program: " ", Model: "m"}, mail.Invalid, "EMPTY_PROGRAM"},
		{"no model", RegisterRequest{Program: "p", Model: "\t"}, mail.Invalid, "EMPTY_MODEL"},
		{"placeholder", RegisterRequest{Name: "YOUR_AGENT_NAME", Program: "p", Model: "m"}, mail.Invalid, "CONFIGURATION_ERROR"},
		{"other placeholder", RegisterRequest{Name: "x<project>y", Program: "p", Model: "m"}, mail.Invalid, "CONFIGURATION_ERROR"},
		{"adopt nobody", RegisterRequest{Adopt: true, Program: "p", Model: "m"}, mail.Invalid, "INVALID_ARGUMENT"},
		{"adopt a stranger", RegisterRequest{Name: "Nobody1", Adopt: true, Program: "p", Model: "m"}, mail.NotFound, "NOT_FOUND"},
		{"a task that no record can hold", RegisterRequest{Program: "p", Model: "m", Task: strings.Repeat("x", mail.MaxEvent)}, mail.Invalid, "INVALID_ARGUMENT"},
	} {
		_, err := w.box.Register(w.ctx, tt.req)
		if e := mustCode(t, err, tt.code, tt.typ); tt.typ == "CONFIGURATION_ERROR" && (e.Details["detected_placeholder"] == nil || e.Details["fix_hint"] == nil) {
			t.Errorf("%s: details %v", tt.name, e.Details)
		}
	}
	if got, err := w.box.Agents(w.ctx, Page{}); err != nil || len(got) != 0 {
		t.Errorf("agents after nothing but refusals: %+v, %v", got, err)
	}
	// Nobody becomes the person, not even in the person's own clone.
	w.agent("BlueLake")
	w.send(w.person(), "BlueLake")
	for _, name := range []string{mail.HumanOverseer, w.person().ID} {
		_, err := w.box.Register(w.ctx, RegisterRequest{Name: name, Program: "p", Model: "m", Adopt: true})
		wantCode(t, err, mail.Denied)
		if a, err := w.box.Register(w.ctx, RegisterRequest{Name: name, Program: "p", Model: "m"}); err != nil || a.ID == w.person().ID || a.Name == mail.HumanOverseer {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
	}
}

func TestRegisterTextOfAnySort(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, err := w.box.Register(w.ctx, RegisterRequest{Name: "BlueLake", Program: "p\xff", Model: "m\xfe", Task: "do\xfdit"})
	if err != nil || a.TaskDescription != "do?it" {
		t.Fatalf("%+v, %v", a, err)
	}
	if _, err := w.box.Verify(w.ctx, nil); err != nil {
		t.Error(err)
	}
}

func TestRegisterRefreshes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, err := w.box.Register(w.ctx, RegisterRequest{Name: "BlueLake", Program: "p", Model: "m", Task: "one", Attachments: "file"})
	if err != nil {
		t.Fatal(err)
	}
	w.pass(time.Hour)
	again, err := w.box.Register(w.ctx, RegisterRequest{Name: "bluelake", Program: "p2", Model: "m2", Attachments: "nonsense"})
	if err != nil {
		t.Fatal(err)
	}
	if again.ID != first.ID || again.Name != "BlueLake" || again.Program != "p2" || again.Model != "m2" || again.TaskDescription != "one" || again.AttachmentsPolicy != "file" || again.RequestedName != "" {
		t.Errorf("refreshed: %+v", again)
	}
	if again.InceptionTS != first.InceptionTS || !again.LastActiveTS.Time().After(first.LastActiveTS.Time()) {
		t.Errorf("times: %v, %v", again.InceptionTS, again.LastActiveTS)
	}
	if rows, err := w.box.Agents(w.ctx, Page{}); err != nil || len(rows) != 1 {
		t.Errorf("agents: %+v, %v", rows, err)
	}
	if r, err := w.box.Register(w.ctx, RegisterRequest{Name: "BlueLake", Program: "p2", Model: "m2", Attachments: "inline"}); err != nil || r.AttachmentsPolicy != "inline" {
		t.Errorf("policy: %+v, %v", r, err)
	}
}

func TestRegisterAdopt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	w.send(blue, "BlueLake")
	c := w.clone()
	// The other clone cannot act as BlueLake, or take the name, until it adopts it.
	foreign, err := c.box.As(c.ctx, "BlueLake")
	if err != nil || foreign.Kind != IsUnidentified {
		t.Fatalf("%+v, %v", foreign, err)
	}
	_, err = c.box.Send(c.ctx, foreign, Draft{To: []string{"BlueLake"}, Subject: "x"})
	if e := wantCode(t, err, mail.Denied); !strings.Contains(strings.Join(e.Hints, " "), "--adopt BlueLake") {
		t.Errorf("hints: %q", e.Hints)
	}
	_, err = c.box.Register(c.ctx, RegisterRequest{Name: "BlueLake", Program: "p", Model: "m"})
	if e := wantCode(t, err, mail.Exists); !strings.Contains(strings.Join(e.Hints, " "), "--adopt BlueLake") {
		t.Errorf("hints: %q", e.Hints)
	}
	a, err := c.box.Register(c.ctx, RegisterRequest{Name: "BlueLake", Program: "p", Model: "m", Adopt: true})
	if err != nil || a.ID != blue.ID || !a.Local || a.RequestedName != "" {
		t.Fatalf("adopt: %+v, %v", a, err)
	}
	if in := c.inbox(c.as("BlueLake")); len(in) != 1 {
		t.Errorf("its mail: %+v", in)
	}
	// And the clone that had it cannot any more, once it hears of that.
	w.fetch(c)
	if got := w.as("BlueLake"); got.Kind != IsUnidentified {
		t.Errorf("the former clone still acts as it: %+v", got)
	}
}

func TestRegisterClash(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.clone()
	blue := w.agent("BlueLake")
	w.pass(time.Second)
	c.at = w.at
	other := c.agent("BlueLake")
	w.fetch(c)
	c.fetch(w)
	if got := w.as("BlueLake"); got.ID != blue.ID {
		t.Errorf("in its own clone the first is %+v", got)
	}
	got := c.as("BlueLake") // to act, a name means this clone's own
	if got.ID != other.ID || !strings.HasPrefix(got.Name, "BlueLake~") {
		t.Errorf("in its own clone the second is %+v", got)
	}
	c.send(got, "BlueLake") // as an address it is the first one's
	w.fetch(c)
	if in := w.inbox(blue); len(in) != 1 || in[0].From != got.Name {
		t.Errorf("inbox of the first: %+v", in)
	}
	if _, err := c.box.Register(c.ctx, RegisterRequest{Name: "BlueLake", Program: "p", Model: "m"}); err != nil {
		t.Errorf("a refresh of the second: %v", err)
	}
	names := []string{}
	rows, err := w.box.Agents(w.ctx, Page{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		names = append(names, r.Name)
	}
	if !slices.Equal(names, []string{"BlueLake", got.Name}) {
		t.Errorf("directory: %v", names)
	}
}

func TestRegisterHere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	box, dir := w.worktree("side")
	a, err := box.Register(w.ctx, RegisterRequest{Name: "BlueLake", Program: "p", Model: "m", Here: true})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := box.Who(w.ctx, Caller{}); err != nil || got.ID != a.ID || got.Source != "this worktree" {
		t.Errorf("in the worktree: %+v, %v", got, err)
	}
	if got, err := w.box.Who(w.ctx, Caller{}); err != nil || got.Kind != IsPerson {
		t.Errorf("in the main work tree: %+v, %v", got, err)
	}
	st, err := w.box.Status(w.ctx, w.person())
	if err != nil || len(st.Worktrees) != 2 || st.Worktrees[1].Agent != "BlueLake" || st.Worktrees[1].Path != dir {
		t.Errorf("worktrees: %+v, %v", st.Worktrees, err)
	}
	data, err := os.ReadFile(filepath.Join(w.dir, ".git", "worktrees", "side", "agentmail-agent"))
	if err != nil || !strings.HasPrefix(string(data), a.ID) {
		t.Errorf("%q, %v", data, err)
	}
}

func TestWhois(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	w.agent("Blue")
	w.hold(blue, "src/**")
	w.send(blue, "BlueLake")
	got, err := w.box.Whois(w.ctx, "bluelake", 10)
	if err != nil || got.Name != "BlueLake" || got.Unread != 1 || got.Reservations != 1 || len(got.RecentCommits) != 3 {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := w.box.Whois(w.ctx, "BlueLake", 0); err != nil || got.RecentCommits == nil || len(got.RecentCommits) != 0 {
		t.Errorf("without commits: %+v, %v", got, err)
	}
	if got, err := w.box.Whois(w.ctx, "Blue", 10); err != nil || len(got.RecentCommits) != 1 {
		t.Errorf("whose name begins another's: %+v, %v", got.RecentCommits, err)
	}
	_, err = w.box.Whois(w.ctx, "BlueLaek", 10)
	if e := wantCode(t, err, mail.NotFound); !strings.Contains(e.Message, "not found") || e.Details["suggestions"] == nil || e.Details["available_agents"] == nil {
		t.Errorf("%+v", e)
	}
	_, err = w.box.Whois(w.ctx, "all", 10)
	mustCode(t, err, mail.NotFound, "BROADCAST_ATTEMPT")
	_, err = w.box.Whois(w.ctx, "", 10)
	wantCode(t, err, mail.NotFound)
}

// TestNameModes: what becomes of names by AGENT_NAME_ENFORCEMENT_MODE.
func TestNameModes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	strict, auto := w.with("AGENT_NAME_ENFORCEMENT_MODE=Strict"), w.with("AGENT_NAME_ENFORCEMENT_MODE=always_auto")
	defer strict.Close()
	defer auto.Close()
	request := RegisterRequest{Program: "p", Model: "m"}
	for _, tt := range []struct{ name, typ string }{
		{"claude", "PROGRAM_NAME_AS_AGENT"}, {"gpt-5", "MODEL_NAME_AS_AGENT"}, {"a@example.org", "EMAIL_AS_AGENT"}, {"all", "BROADCAST_ATTEMPT"},
		{"BackendAgent", "DESCRIPTIVE_NAME"}, {"bobb", "UNIX_USERNAME_AS_AGENT"}, {"1st", "INVALID_AGENT_NAME"}, {"HumanOverseer", "INVALID_AGENT_NAME"},
	} {
		for _, r := range []RegisterRequest{request, {Program: "p", Model: "m", New: true}} {
			r.Name = tt.name
			_, err := strict.Register(w.ctx, r)
			mustCode(t, err, mail.Invalid, tt.typ)
		}
	}
	for _, name := range []string{"", "GreenCastle", "Red-Fox", "BlueLake"} {
		r := request
		r.Name = name
		if a, err := strict.Register(w.ctx, r); err != nil || name != "" && a.Name != mail.CleanName(name) {
			t.Errorf("strict, %q: %+v, %v", name, a, err)
		}
		if a, err := auto.Register(w.ctx, r); err != nil || a.Name == name || a.ID == blue.ID || a.RequestedName != name {
			t.Errorf("always_auto, %q: %+v, %v", name, a, err)
		}
	}
	taken := RegisterRequest{Name: "BLUELAKE", Program: "p", Model: "m", New: true}
	_, err := strict.Register(w.ctx, taken)
	mustCode(t, err, mail.Exists, "INVALID_ARGUMENT")
	if a, err := w.box.Register(w.ctx, taken); err != nil || a.ID == blue.ID || a.Name == "BlueLake" || a.RequestedName != "BLUELAKE" {
		t.Errorf("a new one by a name that is taken: %+v, %v", a, err)
	}
	free := RegisterRequest{Name: "QuietOtter", Program: "p", Model: "m", New: true}
	if a, err := w.box.Register(w.ctx, free); err != nil || a.Name != "QuietOtter" || a.RequestedName != "" {
		t.Errorf("a new one by a name that is free: %+v, %v", a, err)
	}
}

// TestRegisterElse: what is not given is taken from the surroundings for a new agent,
// and kept for an old one.
func TestRegisterElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := RegisterRequest{Name: "BlueLake", ElseProgram: "client", ElseModel: "unknown"}
	if a, err := w.box.Register(w.ctx, r); err != nil || a.Program != "client" || a.Model != "unknown" {
		t.Errorf("new: %+v, %v", a, err)
	}
	if _, err := w.box.Register(w.ctx, RegisterRequest{Name: "BlueLake", Program: "p", Model: "m"}); err != nil {
		t.Fatal(err)
	}
	if a, err := w.box.Register(w.ctx, r); err != nil || a.Program != "p" || a.Model != "m" {
		t.Errorf("refreshed: %+v, %v", a, err)
	}
	r.ElseModel = ""
	_, err := w.box.Register(w.ctx, r)
	mustCode(t, err, mail.Invalid, "EMPTY_MODEL")
}

// TestReclaim takes over what another clone has, and registers what nobody has.
func TestReclaim(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	c := w.clone()
	r := RegisterRequest{Name: "BlueLake", Program: "p", Model: "m", Reclaim: true}
	if a, err := c.box.Register(c.ctx, r); err != nil || a.ID != blue.ID || !a.Local {
		t.Errorf("%+v, %v", a, err)
	}
	r.Name = "GreenCastle"
	if a, err := c.box.Register(c.ctx, r); err != nil || a.Name != "GreenCastle" {
		t.Errorf("%+v, %v", a, err)
	}
}
