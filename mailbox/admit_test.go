package mailbox

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

// called is who a coding agent says it is, registered or not.
func (w *world) called(name string) Actor {
	w.t.Helper()
	a, err := w.box.Who(w.ctx, Caller{As: name, Client: true})
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

func (w *world) whois(name string) (Whois, error) { return w.box.Whois(w.ctx, name, 0) }

func TestReserveUnregistered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	ask := ReserveRequest{Patterns: []string{"src/**"}, Partial: true}
	r, who, err := w.box.ReserveUnregistered(w.ctx, w.called("GreenCastle"), ask)
	if err != nil || len(r.Granted) != 1 || who.Kind != IsAgent || who.Name != "GreenCastle" || !strings.Contains(strings.Join(r.Warnings, "\n"), `"GreenCastle"`) {
		t.Fatalf("%+v by %+v, %v", r, who, err)
	}
	if p, err := w.whois("GreenCastle"); err != nil || p.Program != "unknown" || p.Model != "unknown" || p.AttachmentsPolicy != "auto" || p.ContactPolicy != mail.PolicyAuto {
		t.Errorf("%+v, %v", p, err)
	}
	// Again it is somebody who is there; registering fills in what is unknown.
	if r, again, err := w.box.ReserveUnregistered(w.ctx, w.called("greencastle"), ask); err != nil || again.ID != who.ID || len(r.Warnings) > 0 || !r.Granted[0].Renewed {
		t.Errorf("%+v by %+v, %v", r, again, err)
	}
	if a, err := w.box.Register(w.ctx, RegisterRequest{Name: "GreenCastle", Program: "codex", Model: "gpt-5"}); err != nil || a.ID != who.ID || a.Program != "codex" {
		t.Errorf("%+v, %v", a, err)
	}
	// What others hold is listed, and who asked is registered all the same.
	if r, who, err := w.box.ReserveUnregistered(w.ctx, w.called("RedFox"), ask); err != nil || len(r.Granted) != 0 || len(r.Conflicts) != 1 || who.Name != "RedFox" {
		t.Errorf("%+v by %+v, %v", r, who, err)
	}
	// One who is known is left as he is.
	if r, who, err := w.box.ReserveUnregistered(w.ctx, blue, ReserveRequest{Patterns: []string{"doc/**"}}); err != nil || who != blue || len(r.Granted) != 1 {
		t.Errorf("%+v by %+v, %v", r, who, err)
	}
}

// TestReserveUnregisteredRefused: nobody is registered by a request that is refused, nor
// under a name that is none.
func TestReserveUnregisteredRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.agent("BlueLake")
	w.send(w.person(), "BlueLake")
	far := w.clone()
	far.agent("GoldPeak")
	w.fetch(far)
	before, err := w.box.Agents(w.ctx, Page{})
	if err != nil {
		t.Fatal(err)
	}
	good := ReserveRequest{Patterns: []string{"src/**"}}
	for _, tt := range []struct {
		name string
		r    ReserveRequest
		code mail.Code
		typ  string
	}{
		{"GreenCastle", ReserveRequest{}, mail.Invalid, "EMPTY_PATHS"},
		{"GreenCastle", ReserveRequest{Patterns: []string{"../x"}}, mail.Invalid, "INVALID_ARGUMENT"},
		{"GreenCastle", ReserveRequest{Patterns: []string{"x"}, TTL: -time.Second}, mail.Invalid, "INVALID_ARGUMENT"},
		{"claude", good, mail.NotFound, "PROGRAM_NAME_AS_AGENT"},
		{"ReviewBot", good, mail.NotFound, "DESCRIPTIVE_NAME"},
		{"a b", good, mail.NotFound, "NOT_FOUND"},
		{"YOUR_AGENT_NAME", good, mail.Invalid, "CONFIGURATION_ERROR"},
		{"HumanOverseer", good, mail.Denied, "CAPABILITY_DENIED"},
		{"GoldPeak", good, mail.Denied, "CAPABILITY_DENIED"},
		{"", good, mail.NoAgent, "UNHANDLED_EXCEPTION"},
	} {
		r, _, err := w.box.ReserveUnregistered(w.ctx, w.called(tt.name), tt.r)
		mustCode(t, err, tt.code, tt.typ)
		if len(r.Granted) > 0 || r.Granted == nil || r.Conflicts == nil {
			t.Errorf("%q: %+v", tt.name, r)
		}
	}
	after, err := w.box.Agents(w.ctx, Page{})
	if err != nil || len(after) != len(before) {
		t.Errorf("%d agents were there, now %d, %v", len(before), len(after), err)
	}
}

// TestAdmitAtOnce: whoever comes first is registered, and nobody overwrites the other.
func TestAdmitAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.agent("BlueLake")
	var all sync.WaitGroup
	for i := range 6 {
		box := w.open(w.dir)
		who := w.called("GreenCastle")
		all.Go(func() {
			if i == 3 {
				if _, err := box.Register(w.ctx, RegisterRequest{Name: "GreenCastle", Program: "codex", Model: "gpt-5"}); err != nil {
					t.Error(err)
				}
				return
			}
			if _, _, err := box.ReserveUnregistered(w.ctx, who, ReserveRequest{Patterns: []string{"src/**"}}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if list, err := w.box.Agents(w.ctx, Page{}); err != nil || len(list) != 2 || list[1].Program != "codex" {
		t.Errorf("%+v, %v", list, err)
	}
}
