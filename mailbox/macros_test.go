package mailbox

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

func profile(name string) RegisterRequest {
	return RegisterRequest{Name: name, Program: "codex", Model: "gpt-5"}
}

func TestStartSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	id := w.send(blue, "GreenCastle")
	w.hold(blue, "src/**")
	s, err := w.box.StartSession(w.ctx, SessionRequest{Agent: profile("greencastle"),
		Reserve: ReserveRequest{Patterns: []string{"src/auth/**", "doc/**"}, Partial: true}})
	if err != nil || s.Agent.ID != green.ID || s.Agent.Program != "codex" || s.Project.Project != w.box.Project() {
		t.Fatalf("%+v, %v", s, err)
	}
	if r := s.Reservations; len(r.Granted) != 1 || r.Granted[0].PathPattern != "doc/**" || !r.Granted[0].Exclusive || len(r.Conflicts) != 1 {
		t.Errorf("%+v", r)
	}
	if len(s.Inbox) != 1 || s.Inbox[0].ID != id || s.Inbox[0].BodyMD != nil || !s.Inbox[0].ReadTS.Time().IsZero() {
		t.Errorf("%+v", s.Inbox)
	}
	// Without a name somebody new begins, without patterns nothing is reserved.
	s, err = w.box.StartSession(w.ctx, SessionRequest{Agent: profile("")})
	if err != nil || s.Agent.ID == blue.ID || s.Agent.ID == green.ID || s.Agent.Name == "" {
		t.Fatalf("%+v, %v", s, err)
	}
	data, err := json.Marshal(s)
	if err != nil || !strings.Contains(string(data), `"file_reservations":{"granted":[],"conflicts":[]},"inbox":[]`) {
		t.Errorf("%s, %v", data, err)
	}
}

// TestMacrosRefuseFirst: a macro that is refused for its arguments has done nothing.
func TestMacrosRefuseFirst(t *testing.T) {
	t.Parallel()
	w := summarizing(t)
	blue := w.agent("BlueLake")
	far := w.clone()
	far.agent("GoldPeak")
	w.fetch(far)
	count := func() int {
		t.Helper()
		list, err := w.box.Log(w.ctx, blue, LogQuery{Page: Page{N: MaxLimit}})
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	before := count()
	start := func(change func(*SessionRequest)) error {
		r := SessionRequest{Agent: profile("RedFox"), Reserve: ReserveRequest{Patterns: []string{"src/**"}, Partial: true}}
		change(&r)
		_, err := w.box.StartSession(w.ctx, r)
		return err
	}
	prepare := func(who Actor, change func(*ThreadRequest)) error {
		p := profile("RedFox")
		r := ThreadRequest{Agent: &p, Thread: "FEAT-1"}
		change(&r)
		_, err := w.box.PrepareThread(w.ctx, who, r)
		return err
	}
	shake := func(who Actor, r HandshakeRequest) error {
		_, err := w.box.ContactHandshake(w.ctx, who, r)
		return err
	}
	stranger, gold := w.called("RedFox"), w.called("GoldPeak")
	for name, tt := range map[string]struct {
		err  error
		code mail.Code
		typ  string
	}{
		"start: a pattern":        {start(func(r *SessionRequest) { r.Reserve.Patterns = []string{"src/**", "../x"} }), mail.Invalid, "INVALID_ARGUMENT"},
		"start: a time to live":   {start(func(r *SessionRequest) { r.Reserve.TTL = -1 }), mail.Invalid, "INVALID_ARGUMENT"},
		"start: a limit":          {start(func(r *SessionRequest) { r.Inbox.N = -1 }), mail.Invalid, "INVALID_LIMIT"},
		"start: no program":       {start(func(r *SessionRequest) { r.Agent.Program = "" }), mail.Invalid, "EMPTY_PROGRAM"},
		"start: another clone's":  {start(func(r *SessionRequest) { r.Agent.Name = "GoldPeak" }), mail.Exists, "NAME_TAKEN"},
		"prepare: a thread":       {prepare(stranger, func(r *ThreadRequest) { r.Thread = "a b" }), mail.Invalid, "INVALID_THREAD_ID"},
		"prepare: no thread":      {prepare(stranger, func(r *ThreadRequest) { r.Thread = " " }), mail.Invalid, "INVALID_THREAD_ID"},
		"prepare: a limit":        {prepare(stranger, func(r *ThreadRequest) { r.Inbox.N = -1 }), mail.Invalid, "INVALID_LIMIT"},
		"prepare: a bound":        {prepare(stranger, func(r *ThreadRequest) { r.Summary.Messages = -1 }), mail.Invalid, "INVALID_LIMIT"},
		"prepare: nobody":         {prepare(w.called(""), func(r *ThreadRequest) { r.Agent = nil }), mail.NoAgent, "UNHANDLED_EXCEPTION"},
		"prepare: somebody new":   {prepare(stranger, func(r *ThreadRequest) { r.Agent = nil }), mail.NotFound, "NOT_FOUND"},
		"prepare: no model":       {prepare(stranger, func(r *ThreadRequest) { r.Agent.Model = "" }), mail.Invalid, "EMPTY_MODEL"},
		"shake: somebody new":     {shake(blue, HandshakeRequest{Target: "RedFox"}), mail.NotFound, "NOT_FOUND"},
		"shake: a mistake":        {shake(blue, HandshakeRequest{Target: "claude", Missing: &RegisterRequest{}}), mail.NotFound, "PROGRAM_NAME_AS_AGENT"},
		"shake: itself":           {shake(blue, HandshakeRequest{Target: "BlueLake"}), mail.Invalid, "INVALID_ARGUMENT"},
		"shake: itself, accepted": {shake(blue, HandshakeRequest{Target: "BlueLake", Accept: true}), mail.Invalid, "INVALID_ARGUMENT"},
		"shake: by nobody known":  {shake(stranger, HandshakeRequest{Target: "BlueLake", Missing: &RegisterRequest{}}), mail.NotFound, "NOT_FOUND"},
		"shake: by another's":     {shake(gold, HandshakeRequest{Target: "BlueLake"}), mail.Denied, "CAPABILITY_DENIED"},
		"shake: nobody at all":    {shake(w.called(""), HandshakeRequest{}), mail.Invalid, "INVALID_ARGUMENT"},
	} {
		if e := mail.AsError(tt.err); tt.err == nil || e.Code != tt.code || e.Type != tt.typ {
			t.Errorf("%s: %v (%s, %s)", name, tt.err, e.Code, e.Type)
		}
	}
	if after := count(); after != before {
		t.Errorf("%d events, %d before", after, before)
	}
}

func TestPrepareThread(t *testing.T) {
	t.Parallel()
	w := summarizing(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	first := w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "plan", Body: "- [ ] write the test", Thread: "FEAT-1"})
	for i := range 4 {
		w.pass(time.Second)
		w.deliver(green, Draft{To: []string{"BlueLake"}, Subject: fmt.Sprint("more ", i), Body: "- point", Thread: "FEAT-1"})
	}
	p, err := w.box.PrepareThread(w.ctx, green, ThreadRequest{Thread: " FEAT-1 ", Summary: SummaryQuery{Examples: true}, Inbox: InboxQuery{Bodies: true}})
	if err != nil || p.Agent.Name != "GreenCastle" || p.Project != w.box.Project() {
		t.Fatalf("%+v, %v", p, err)
	}
	d := p.Thread
	if d.ThreadID != "FEAT-1" || d.TotalMessages != 5 || d.Summary.TotalMessages != 5 || d.Summary.OpenActions != 1 || !slices.Equal(d.Summary.Participants, []string{"BlueLake", "GreenCastle"}) {
		t.Errorf("%+v", d)
	}
	if len(d.Examples) != 3 || d.Examples[0].ID != first || d.Examples[0].From != "BlueLake" || d.Examples[2].Subject != "more 1" || d.Examples[0].CreatedTS.Time().IsZero() {
		t.Errorf("%+v", d.Examples)
	}
	if len(p.Inbox) != 1 || p.Inbox[0].BodyMD == nil {
		t.Errorf("%+v", p.Inbox)
	}
	// By the id of a message, without examples.
	if p, err := w.box.PrepareThread(w.ctx, green, ThreadRequest{Thread: first}); err != nil || p.Thread.ThreadID != "FEAT-1" || p.Thread.Examples == nil || len(p.Thread.Examples) != 0 {
		t.Errorf("%+v, %v", p.Thread, err)
	}
	// Nobody has written yet, and somebody new registers.
	reg := profile("RedFox")
	p, err = w.box.PrepareThread(w.ctx, w.called("RedFox"), ThreadRequest{Agent: &reg, Thread: "FEAT-2", Summary: SummaryQuery{Examples: true}})
	if err != nil || p.Agent.Name != "RedFox" || p.Agent.Program != "codex" || p.Thread.ThreadID != "FEAT-2" || p.Thread.TotalMessages != 0 {
		t.Fatalf("%+v, %v", p, err)
	}
	if data, err := json.Marshal(p.Thread); err != nil || strings.Contains(string(data), "null") || !strings.Contains(string(data), `"examples":[]`) {
		t.Errorf("%s, %v", data, err)
	}
	// An agent that says nothing of its program stays as it is.
	empty := RegisterRequest{Name: "RedFox"}
	if p, err := w.box.PrepareThread(w.ctx, w.called("RedFox"), ThreadRequest{Agent: &empty, Thread: "FEAT-1"}); err != nil || p.Agent.Program != "codex" {
		t.Errorf("%+v, %v", p.Agent, err)
	}
}

func TestReserveBriefly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	w.hold(blue, "src/**", "mine/**")
	ask := ReserveRequest{Patterns: []string{"src/auth/**", "doc/**"}, Partial: true}
	c, err := w.box.ReserveBriefly(w.ctx, green, ask, true)
	if err != nil || len(c.Reservations.Granted) != 1 || len(c.Reservations.Conflicts) != 1 || c.Released == nil || c.Released.Released != 1 || !slices.Equal(c.Released.Patterns, []string{"doc/**"}) {
		t.Errorf("%+v, %v", c, err)
	}
	if got := w.live(green, ReservationQuery{Mine: true}); len(got) != 0 {
		t.Errorf("kept: %v", patterns(got))
	}
	ask.Patterns = ask.Patterns[:1]
	if c, err := w.box.ReserveBriefly(w.ctx, green, ask, true); err != nil || c.Released == nil || c.Released.Released != 0 || c.Released.ReleasedAt.Time().IsZero() || c.Released.Patterns == nil {
		t.Errorf("nothing was free: %+v, %v", c, err)
	}
	if got := w.live(blue, ReservationQuery{Mine: true}); len(got) != 2 {
		t.Errorf("another's were released: %v", patterns(got))
	}
	ask.Patterns = []string{"doc/**"}
	if c, err := w.box.ReserveBriefly(w.ctx, green, ask, false); err != nil || c.Released != nil || len(w.live(green, ReservationQuery{Mine: true})) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	_, err = w.box.ReserveBriefly(w.ctx, green, ReserveRequest{}, true)
	mustCode(t, err, mail.Invalid, "EMPTY_PATHS")
	_, err = w.box.ReserveBriefly(w.ctx, green, ReserveRequest{Patterns: []string{"src/**"}}, true)
	wantCode(t, err, mail.Conflict)
}

func TestContactHandshake(t *testing.T) {
	t.Parallel()
	strict := func(t *testing.T) (*world, Actor, Actor) {
		w := newWorld(t)
		blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
		w.set("agentmail.contacts", "strict")
		return w, blue, green
	}
	// mayWrite reports whether strict rules let blue write.
	mayWrite := func(w *world, blue Actor, to string) bool {
		_, err := w.box.Send(w.ctx, blue, Draft{To: []string{to}, Subject: "s", Body: "b"})
		if err != nil && mail.AsError(err).Type != "CONTACT_REQUIRED" {
			w.t.Fatal(err)
		}
		return err == nil
	}
	t.Run("asked", func(t *testing.T) {
		w, blue, green := strict(t)
		h, err := w.box.ContactHandshake(w.ctx, blue, HandshakeRequest{Target: "greencastle", Reason: "the token refactor"})
		if err != nil || h.Request.Status != mail.LinkPending || h.Request.To != "GreenCastle" || h.Request.Notification == nil || h.Response != nil || h.Welcome != nil {
			t.Fatalf("%+v, %v", h, err)
		}
		if got := w.inbox(green); len(got) != 1 || *got[0].BodyMD != "the token refactor" || !got[0].AckRequired {
			t.Errorf("%+v", got)
		}
		data, _ := json.Marshal(h)
		if !strings.Contains(string(data), `"response":null,"welcome_message":null`) {
			t.Errorf("%s", data)
		}
	})
	t.Run("approved at once", func(t *testing.T) {
		w, blue, green := strict(t)
		h, err := w.box.ContactHandshake(w.ctx, blue, HandshakeRequest{Target: "GreenCastle", Accept: true, TTL: time.Hour})
		if err != nil || h.Request.Status != mail.LinkApproved || h.Request.Notification != nil || h.Response == nil || !h.Response.Approved ||
			h.Response.ExpiresTS.Time().Sub(w.at).Round(time.Second) != time.Hour || h.Request.FromProject == "" || h.Welcome != nil {
			t.Fatalf("%+v, %v", h, err)
		}
		if got := w.inbox(green); len(got) != 0 {
			t.Errorf("told of it: %v", subjects(got))
		}
		if !mayWrite(w, blue, "GreenCastle") { // nothing else has been mailed
			t.Error("not in contact")
		}
	})
	t.Run("approved and welcomed", func(t *testing.T) {
		w, blue, green := strict(t)
		h, err := w.box.ContactHandshake(w.ctx, blue, HandshakeRequest{Target: "GreenCastle", Accept: true, WelcomeSubject: "hello", WelcomeBody: "I hold src.", Thread: "FEAT-1"})
		if err != nil || h.Request.Status != mail.LinkPending || h.Response == nil || !h.Response.Approved || h.Response.Updated != 1 || h.Welcome == nil || h.Welcome.Count != 1 || h.WelcomeError+h.ResponseError != "" {
			t.Fatalf("%+v, %v", h, err)
		}
		if got := subjects(w.inbox(green)); !slices.Equal(got, []string{"hello", "Contact request from BlueLake"}) {
			t.Errorf("%q", got)
		}
	})
	t.Run("a welcome that fails", func(t *testing.T) {
		w, blue, _ := strict(t)
		h, err := w.box.ContactHandshake(w.ctx, blue, HandshakeRequest{Target: "GreenCastle", Accept: true, WelcomeSubject: "hello", WelcomeBody: "x", Thread: "a b"})
		if err != nil || h.Welcome != nil || !strings.Contains(h.WelcomeError, "a b") || h.Response == nil {
			t.Errorf("%+v, %v", h, err)
		}
	})
	t.Run("a target that is missing", func(t *testing.T) {
		w, blue, _ := strict(t)
		h, err := w.box.ContactHandshake(w.ctx, blue, HandshakeRequest{Target: "RedFox", Missing: &RegisterRequest{Model: "opus"}, Accept: true})
		if err != nil || h.Request.To != "RedFox" {
			t.Fatalf("%+v, %v", h, err)
		}
		if p, err := w.whois("RedFox"); err != nil || p.Program != "unknown" || p.Model != "opus" {
			t.Errorf("%+v, %v", p, err)
		}
	})
	t.Run("names left out", func(t *testing.T) {
		w, blue, _ := strict(t)
		w.hold(w.person(), "doc/**") // a person is never meant
		if h, err := w.box.ContactHandshake(w.ctx, blue, HandshakeRequest{}); err != nil || h.Request.To != "GreenCastle" {
			t.Errorf("no target: %+v, %v", h, err)
		}
		if h, err := w.box.ContactHandshake(w.ctx, w.called(""), HandshakeRequest{Target: "BlueLake"}); err != nil || h.Request.From != "GreenCastle" {
			t.Errorf("nobody asks: %+v, %v", h, err)
		}
		w.agent("RedFox")
		_, err := w.box.ContactHandshake(w.ctx, blue, HandshakeRequest{})
		if e := mustCode(t, err, mail.Invalid, "INVALID_ARGUMENT"); e.Details["argument"] != "target" {
			t.Errorf("%s %v", e.Message, e.Details)
		}
		_, err = w.box.ContactHandshake(w.ctx, w.called(""), HandshakeRequest{Target: "BlueLake"})
		if e := mustCode(t, err, mail.Invalid, "INVALID_ARGUMENT"); e.Details["argument"] != "requester" {
			t.Errorf("%s %v", e.Message, e.Details)
		}
	})
	t.Run("what was denied stays so", func(t *testing.T) {
		w, blue, green := strict(t)
		if _, err := w.box.RequestContact(w.ctx, blue, "GreenCastle", "", 0); err != nil {
			t.Fatal(err)
		}
		if _, err := w.box.RespondContact(w.ctx, green, "BlueLake", false, 0); err != nil {
			t.Fatal(err)
		}
		for _, accept := range []bool{false, true} {
			_, err := w.box.ContactHandshake(w.ctx, blue, HandshakeRequest{Target: "GreenCastle", Accept: accept})
			mustCode(t, err, mail.Denied, "CONTACT_BLOCKED")
		}
	})
	t.Run("nobody approves for others", func(t *testing.T) {
		w, blue, _ := strict(t)
		far := w.clone()
		far.agent("GoldPeak")
		w.fetch(far)
		w.hold(w.person(), "doc/**")
		for _, to := range []string{"GoldPeak", "HumanOverseer"} {
			h, err := w.box.ContactHandshake(w.ctx, blue, HandshakeRequest{Target: to, Accept: true, WelcomeSubject: "s", WelcomeBody: "b"})
			if err != nil || h.Request.Status != mail.LinkPending || h.Response != nil || h.ResponseError == "" {
				t.Errorf("%s: %+v, %v", to, h, err)
			}
			w.pass(25 * time.Hour) // the request itself was mail
			if mayWrite(w, blue, to) {
				t.Errorf("in contact with %s", to)
			}
		}
	})
}
