package mailbox

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/git-agentmail/git-agentmail/mail"
)

func (s shop) sends(who Actor, d Draft) SendResult {
	s.t.Helper()
	r, err := s.p.Send(s.ctx, s.box, who, d)
	if err != nil {
		s.t.Fatalf("%+v: %v", d, err)
	}
	return r
}

// arrived lists what is in an inbox of the other project, oldest first, as from: subject.
func (s shop) arrived(name string) []string {
	s.t.Helper()
	var list []string
	for _, r := range s.there.inbox(s.there.as(name)) {
		list = append(list, r.From+": "+r.Subject)
	}
	slices.Reverse(list)
	return list
}

// TestSendAbroad: mail to another project is stored there, from an agent of the sender's
// name, which is introduced once.
func TestSendAbroad(t *testing.T) {
	s := newShop(t)
	red := s.agent("RedFox") // only here
	s.agent("OnlyHere")
	there := s.there.box.Project()
	r := s.sends(red, Draft{To: []string{"BlueLake", "project:" + there.Slug + "#GreenCastle"}, CC: []string{"BlueLake@" + s.there.dir}, Subject: "hello", Body: "text"})
	if r.Count != 2 || len(r.Deliveries) != 2 || len(r.Warnings) != 0 || r.Deliveries[0].Project != s.dir || r.Deliveries[1].Project != s.there.dir {
		t.Fatalf("%+v", r)
	}
	if m := r.Deliveries[0].Payload; fmt.Sprint(m.To, m.CC) != "[BlueLake] []" || m.FromProject != "" {
		t.Errorf("here %+v", m)
	}
	if m := r.Deliveries[1].Payload; fmt.Sprint(m.To, m.CC) != "[GreenCastle] [BlueLake]" || m.From != "RedFox" || m.ProjectID != there.ID ||
		m.FromProject != s.dir || m.FromProjectSlug != slug(s.dir) || m.FromAddress != "project:"+slug(s.dir)+"#RedFox" {
		t.Errorf("there %+v", m)
	}
	if got := s.arrived("GreenCastle"); fmt.Sprint(got) != "[RedFox: Contact request from RedFox RedFox: hello]" {
		t.Errorf("arrived %q", got)
	}
	rows := s.there.inbox(s.there.as("GreenCastle"))
	if intro := rows[1]; !intro.AckRequired || !strings.Contains(*intro.BodyMD, s.dir) {
		t.Errorf("introduced by %+v", intro)
	}
	visitor, err := s.there.box.Whois(s.ctx, "RedFox", 0)
	if err != nil || visitor.Program != "test" || !strings.Contains(visitor.TaskDescription, s.dir) {
		t.Errorf("%+v, %v", visitor, err)
	}
	// The second time nobody is introduced or registered, and the bare name is enough.
	one := s.sends(red, Draft{To: []string{"GreenCastle@" + there.ID}, Subject: "again", Body: "text"})
	if one.Count != 1 || one.Deliveries[0].Payload.SenderID != r.Deliveries[1].Payload.SenderID {
		t.Errorf("%+v", one)
	}
	s.there.agent("OnlyThere")
	s.sends(red, Draft{To: []string{"OnlyThere@" + there.Slug}, Subject: "first", Body: "text"})
	bare := s.sends(red, Draft{To: []string{"onlythere", "OnlyHere"}, Subject: "bare", Body: "text"})
	if bare.Count != 2 || fmt.Sprint(s.arrived("OnlyThere")) != "[RedFox: Contact request from RedFox RedFox: first RedFox: bare]" {
		t.Errorf("%+v, %q", bare, s.arrived("OnlyThere"))
	}
	if got := s.arrived("GreenCastle"); len(got) != 3 {
		t.Errorf("arrived %q", got)
	}
	// Who bears the name there is the sender there.
	s.sends(s.as("BlueLake"), Draft{To: []string{"GreenCastle@" + there.Slug}, Subject: "from blue", Body: "text"})
	if got := s.arrived("GreenCastle"); got[len(got)-1] != "BlueLake: from blue" {
		t.Errorf("arrived %q", got)
	}
	if rows, err := s.there.box.Agents(s.ctx, Page{}); err != nil || len(rows) != 4 {
		t.Errorf("%+v, %v", rows, err)
	}
	// The own project by its name is no other one.
	if r := s.sends(red, Draft{To: []string{"BlueLake@" + slug(s.dir)}, Subject: "home", Body: "x"}); r.Count != 1 || r.Deliveries[0].Project != s.dir || r.Deliveries[0].Payload.FromProject != "" {
		t.Errorf("%+v", r)
	}
	// A person writes as the person there.
	s.sends(s.person(), Draft{To: []string{"OnlyThere@" + there.Slug}, Subject: "by hand", Body: "x"})
	if got := s.arrived("OnlyThere"); got[len(got)-1] != "HumanOverseer: by hand" {
		t.Errorf("arrived %q", got)
	}
	// A retry is the same message.
	d := Draft{To: []string{"BlueLake", "GreenCastle@" + there.Slug}, Subject: "once", Body: "x", IdempotencyKey: "k"}
	a, b := s.sends(red, d), s.sends(red, d)
	if a.Count != 2 || a.Deliveries[0].Payload.ID != b.Deliveries[0].Payload.ID || a.Deliveries[1].Payload.ID != b.Deliveries[1].Payload.ID {
		t.Errorf("%+v, %+v", a, b)
	}
}

// TestSendAbroadRefused: an unknown name or project is told before anything is sent, and a
// policy that refuses there does not undo what was sent here.
func TestSendAbroadRefused(t *testing.T) {
	s := newShop(t)
	red := s.agent("RedFox")
	there := s.there.box.Project()
	for _, tt := range []struct {
		to       []string
		external string
	}{
		{[]string{"BlueLake", "Nobody@" + there.Slug}, "map[" + there.Slug + ":[Nobody]]"},
		{[]string{"project:nowhere#BlueLake", "GreenCastle@" + there.Slug}, "map[nowhere:[BlueLake]]"},
		{[]string{"BlueLake", "Nobody"}, "map[]"},
	} {
		_, err := s.p.Send(s.ctx, s.box, red, Draft{To: tt.to, Subject: "x", Body: "x"})
		if e := mustCode(t, err, mail.NotFound, "RECIPIENT_NOT_FOUND"); fmt.Sprint(e.Details["unknown_external"]) != tt.external {
			t.Errorf("%q: %v", tt.to, e.Details)
		}
	}
	if rows := s.inbox(s.as("BlueLake")); len(rows) != 0 || len(s.arrived("GreenCastle")) != 0 {
		t.Errorf("sent: %+v, %q", rows, s.arrived("GreenCastle"))
	}
	if _, err := s.there.box.SetContactPolicy(s.ctx, s.there.as("GreenCastle"), mail.PolicyBlockAll); err != nil {
		t.Fatal(err)
	}
	_, err := s.p.Send(s.ctx, s.box, red, Draft{To: []string{"GreenCastle@" + there.Slug}, Subject: "x", Body: "x"})
	mustCode(t, err, mail.Denied, "CONTACT_BLOCKED")
	r := s.sends(red, Draft{To: []string{"BlueLake", "GreenCastle@" + there.Slug}, Subject: "x", Body: "x"})
	if r.Count != 1 || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "GreenCastle") {
		t.Errorf("%+v", r)
	}
	// Where handshakes are off, an approved link is needed, and is asked for there.
	s.there.set("agentmail.contacts", "strict")
	d := Draft{To: []string{"BlueLake@" + there.Slug}, Subject: "strict", Body: "x"}
	_, err = s.p.Send(s.ctx, s.box, red, d)
	mustCode(t, err, mail.Denied, "CONTACT_REQUIRED")
	b, visitor, release, err := s.p.Visit(s.ctx, s.box, red, there.Slug)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if _, err := b.RequestContact(s.ctx, visitor, "BlueLake", "please", 0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.there.box.RespondContact(s.ctx, s.there.as("BlueLake"), "RedFox", true, 0); err != nil {
		t.Fatal(err)
	}
	s.sends(red, d)
	if got := s.arrived("BlueLake"); fmt.Sprint(got) != "[RedFox: Contact request from RedFox RedFox: strict]" {
		t.Errorf("arrived %q", got)
	}
	// Nobody acts for somebody without a name.
	_, err = s.p.Send(s.ctx, s.box, Actor{Kind: IsUnidentified}, d)
	wantCode(t, err, mail.NoAgent)
	_, _, _, err = s.p.Visit(s.ctx, s.box, Actor{Kind: IsUnidentified}, there.Slug)
	wantCode(t, err, mail.NoAgent)
	// What the roots shut out is not there.
	p := NewProjects(Options{Dir: s.dir, Environ: s.env, Roots: []string{s.dir}})
	defer p.Close()
	_, err = p.Send(s.ctx, s.box, red, d)
	mustCode(t, err, mail.NotFound, "RECIPIENT_NOT_FOUND")
	// A name of another clone there is not taken over: it gets a namesake.
	c := s.there.clone()
	c.agent("PinkPine")
	s.there.fetch(c)
	s.there.set("agentmail.contacts", "off")
	pink := s.agent("PinkPine")
	s.sends(pink, Draft{To: []string{"BlueLake@" + there.Slug}, Subject: "namesake", Body: "x"})
	if got := s.arrived("BlueLake"); !strings.HasPrefix(got[len(got)-1], "PinkPine~") {
		t.Errorf("arrived %q", got)
	}
}

// TestSendAbroadOwnThings: files are those of the project that the sender works in, and so
// is the token; neither means anything where the mail goes.
func TestSendAbroadOwnThings(t *testing.T) {
	s := newShop(t)
	red := s.agent("RedFox")
	there := s.there.box.Project()
	s.put("plan.txt", "from here")
	s.there.put("plan.txt", "from there")
	s.there.put("secret.txt", "only there")
	d := Draft{To: []string{"GreenCastle@" + there.Slug}, Subject: "s", Body: "b", Paths: []string{"plan.txt"}}
	r := s.sends(red, d)
	data, err := s.there.box.Attachment(s.ctx, s.there.as("GreenCastle"), r.Deliveries[0].Payload.ID, "plan.txt")
	if err != nil || string(data) != "from here" {
		t.Errorf("%q, %v", data, err)
	}
	d.To = []string{"BlueLake", "GreenCastle@" + there.Slug}
	if r := s.sends(red, d); r.Count != 2 || len(r.Warnings) != 0 || len(r.Deliveries[0].Payload.Attachments) != 1 || len(r.Deliveries[1].Payload.Attachments) != 1 {
		t.Errorf("%+v", r)
	}
	d.Paths = []string{"secret.txt"}
	_, err = s.p.Send(s.ctx, s.box, red, d)
	wantCode(t, err, mail.NotFound)
	d.Paths = nil

	a, err := s.box.Register(s.ctx, RegisterRequest{Name: "RedFox", Program: "p", Model: "m"})
	if err != nil {
		t.Fatal(err)
	}
	for _, to := range [][]string{{"GreenCastle@" + there.Slug}, {"BlueLake", "GreenCastle@" + there.Slug}} {
		d.To, d.SenderToken = to, a.RegistrationToken
		if r := s.sends(red, d); r.Count != len(to) || !r.VerifiedSender || len(r.Warnings) != 0 {
			t.Errorf("%q: %+v", to, r)
		}
		d.SenderToken = "wrong"
		_, err := s.p.Send(s.ctx, s.box, red, d)
		mustCode(t, err, mail.Denied, "INVALID_ARGUMENT")
	}
}
