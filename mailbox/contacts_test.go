package mailbox

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

// TestContactPolicies: every policy under every state of acquaintance. The rules
// are asked in the contract's order; the first that applies decides.
func TestContactPolicies(t *testing.T) {
	t.Parallel()
	const (
		sent    = "" // let through
		blocked = "CONTACT_BLOCKED"
		needed  = "CONTACT_REQUIRED"
	)
	type world2 struct {
		*world
		blue, green Actor
	}
	link := func(status string, ttl time.Duration) func(w world2) {
		return func(w world2) {
			if _, err := w.box.RequestContact(w.ctx, w.blue, w.green.Name, "", 0); err != nil {
				w.t.Fatal(err)
			}
			if status == mail.LinkPending {
				return
			}
			if _, err := w.box.RespondContact(w.ctx, w.green, w.blue.Name, status == mail.LinkApproved, ttl); err != nil {
				w.t.Fatal(err)
			}
			w.pass(25 * time.Hour) // the request itself was mail
		}
	}
	nothing := func(world2) {}
	mailed := func(w world2) {
		w.set("agentmail.contacts", "off")
		w.send(w.green, w.blue.Name)
		w.in("config", "--local", "--unset", "agentmail.contacts")
		w.box = w.open(w.dir)
	}
	for _, tt := range []struct {
		name  string
		given func(world2)
		// what becomes of a letter to open, auto, contacts_only and block_all, as
		// things are and with agentmail.contacts = strict
		lax, strict [4]string
	}{
		{"strangers", nothing, [4]string{sent, sent, sent, blocked}, [4]string{sent, needed, needed, blocked}},
		{"mail within a day", mailed, [4]string{sent, sent, sent, blocked}, [4]string{sent, sent, needed, blocked}},
		{"mail before that", func(w world2) { mailed(w); w.pass(25 * time.Hour) }, [4]string{sent, sent, sent, blocked}, [4]string{sent, needed, needed, blocked}},
		{"approved", link(mail.LinkApproved, 0), [4]string{sent, sent, sent, blocked}, [4]string{sent, sent, sent, blocked}},
		{"approved, run out", link(mail.LinkApproved, time.Hour), [4]string{sent, sent, sent, blocked}, [4]string{sent, needed, needed, blocked}},
		{"denied", link(mail.LinkBlocked, 0), [4]string{sent, blocked, blocked, blocked}, [4]string{sent, blocked, blocked, blocked}},
		{"denied, with mail within a day", func(w world2) { mailed(w); link(mail.LinkBlocked, 0)(w) }, [4]string{sent, blocked, blocked, blocked}, [4]string{sent, blocked, blocked, blocked}},
		{"asked, not answered", func(w world2) { link(mail.LinkPending, 0)(w); w.pass(25 * time.Hour) }, [4]string{sent, sent, sent, blocked}, [4]string{sent, needed, needed, blocked}},
		{"overlapping reservations", func(w world2) {
			for who, pattern := range map[Actor]string{w.blue: w.blue.Name + "/**", w.green: w.blue.Name + "/a*"} {
				if _, err := w.box.Reserve(w.ctx, who, ReserveRequest{Patterns: []string{pattern}, Shared: true}); err != nil {
					w.t.Fatal(err)
				}
			}
		}, [4]string{}, [4]string{}},
		{"reservations that do not overlap", func(w world2) { w.hold(w.blue, w.blue.Name+"/**"); w.hold(w.green, w.green.Name+"/**") },
			[4]string{sent, sent, sent, blocked}, [4]string{sent, needed, needed, blocked}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := world2{world: newWorld(t)}
			for i, policy := range []string{mail.PolicyOpen, mail.PolicyAuto, mail.PolicyContactsOnly, mail.PolicyBlockAll} {
				w.set("agentmail.contacts", "lax")
				w.blue, w.green = w.agent(fmt.Sprintf("BlueLake%d", i)), w.agent(fmt.Sprintf("GreenCastle%d", i))
				tt.given(w)
				if _, err := w.box.SetContactPolicy(w.ctx, w.green, policy); err != nil {
					t.Fatal(err)
				}
				before := len(w.inbox(w.green))
				for _, mode := range []string{"strict", "lax"} {
					want := tt.lax[i]
					if mode == "strict" {
						want = tt.strict[i]
					}
					w.set("agentmail.contacts", mode)
					_, err := w.box.Send(w.ctx, w.blue, Draft{To: []string{w.green.Name}, Subject: "x"})
					got := ""
					if err != nil {
						e := wantCode(t, err, mail.Denied)
						got = e.Type
						if !strings.Contains(e.Message, w.green.Name) || e.Details["recipients_blocked"] == nil ||
							got == needed && (e.Details["remedies"] == nil || e.Details["suggested_tool_calls"] == nil || e.Details["auto_contact_attempted"] == nil) {
							t.Errorf("%s, %s: %+v", policy, mode, e)
						}
					}
					if got != want {
						t.Errorf("%s, %s: %q, want %q", policy, mode, got, want)
					}
					if err == nil {
						before++
					}
					if n := len(w.inbox(w.green)); n != before {
						t.Errorf("%s, %s: %d letters in the inbox, want %d", policy, mode, n, before)
					}
					if err == nil {
						break // the letter itself has made them acquainted
					}
				}
			}
		})
	}
}

// TestBlockAllOnThread: whoever is on a thread hears of it, also past block_all.
func TestBlockAllOnThread(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green, red := w.agent("BlueLake"), w.agent("GreenCastle"), w.agent("RedFox")
	id := w.deliver(green, Draft{To: []string{"BlueLake"}, CC: []string{"RedFox"}, Subject: "x"})
	w.deliver(green, Draft{To: []string{"BlueLake"}, Subject: "y", Thread: "FEAT-1"})
	for _, who := range []Actor{green, red} {
		if _, err := w.box.SetContactPolicy(w.ctx, who, mail.PolicyBlockAll); err != nil {
			t.Fatal(err)
		}
	}
	w.deliver(blue, Draft{To: []string{"GreenCastle", "RedFox"}, Subject: "by the id of the first letter", Thread: id})
	w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "by name", Thread: "FEAT-1"})
	for _, d := range []Draft{
		{To: []string{"GreenCastle"}, Subject: "no thread"}, {To: []string{"GreenCastle"}, Subject: "another", Thread: "FEAT-2"},
		{To: []string{"RedFox"}, Subject: "not on it", Thread: "FEAT-1"}, {To: []string{"GreenCastle"}, BCC: []string{"RedFox"}, Subject: "one of two", Thread: "FEAT-1"},
	} {
		_, err := w.box.Send(w.ctx, blue, d)
		if mail.AsError(err).Type != "CONTACT_BLOCKED" {
			t.Errorf("%+v: %v", d, err)
		}
	}
	// To oneself always.
	w.send(green, "GreenCastle")
}

// TestHandshake: two who never met can write at once; that leaves an approved
// link from the sender, and no letter of introduction.
func TestHandshake(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	w.send(blue, "GreenCastle")
	if in := w.inbox(green); len(in) != 1 || in[0].Subject != "hello" {
		t.Errorf("inbox %v", subjects(in))
	}
	rows, err := w.box.Contacts(w.ctx, blue, Page{})
	if err != nil || len(rows) != 1 || rows[0].To != "GreenCastle" || rows[0].Status != mail.LinkApproved || !rows[0].ExpiresTS.Time().After(w.at) {
		t.Errorf("links of the sender: %+v, %v", rows, err)
	}
	if rows, err := w.box.Contacts(w.ctx, green, Page{}); err != nil || len(rows) != 0 {
		t.Errorf("links of the recipient: %+v, %v", rows, err)
	}
	// A letter that is refused for one recipient leaves no link to another.
	red := w.agent("RedFox")
	shy := w.agent("ShyDeer")
	if _, err := w.box.SetContactPolicy(w.ctx, shy, mail.PolicyBlockAll); err != nil {
		t.Fatal(err)
	}
	_, err = w.box.Send(w.ctx, red, Draft{To: []string{"GreenCastle", "ShyDeer"}, Subject: "x"})
	wantCode(t, err, mail.Denied)
	if rows, err := w.box.Contacts(w.ctx, red, Page{}); err != nil || len(rows) != 0 {
		t.Errorf("links of who was refused: %+v, %v", rows, err)
	}
}

func TestRequestAndRespond(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	r, err := w.box.RequestContact(w.ctx, blue, "greencastle", " about\x1b the\nparser\xff ", 0)
	if err != nil || r.Status != mail.LinkPending || r.From != "BlueLake" || r.To != "GreenCastle" || r.Notification == nil {
		t.Fatalf("%+v, %v", r, err)
	}
	if got := r.ExpiresTS.Time().Sub(w.at).Round(time.Minute); got != 7*24*time.Hour {
		t.Errorf("open for %s", got)
	}
	in := w.inbox(green)
	if len(in) != 1 || in[0].Subject != "Contact request from BlueLake" || !in[0].AckRequired || in[0].Importance != mail.Normal || !strings.Contains(*in[0].BodyMD, "parser") {
		t.Fatalf("the request: %+v", in)
	}
	// Asking again while it is open extends it in silence; the least is a minute.
	again, err := w.box.RequestContact(w.ctx, blue, "GreenCastle", "", time.Second)
	if err != nil || again.Notification != nil || again.ExpiresTS.Time().Sub(w.at).Round(time.Second) != time.Minute {
		t.Errorf("%+v, %v", again, err)
	}
	w.pass(2 * time.Minute)
	if r, err := w.box.RequestContact(w.ctx, blue, "GreenCastle", "", 0); err != nil || r.Notification == nil {
		t.Errorf("after it ran out: %+v, %v", r, err)
	}
	ok, err := w.box.RespondContact(w.ctx, green, "BlueLake", true, 0)
	if err != nil || !ok.Approved || ok.Updated != 1 || ok.ExpiresTS.Time().Sub(w.at).Round(time.Hour) != 30*24*time.Hour {
		t.Errorf("%+v, %v", ok, err)
	}
	// Asked again it is open again, also when it was approved.
	if r, err := w.box.RequestContact(w.ctx, blue, "GreenCastle", "", 0); err != nil || r.Notification == nil || r.Status != mail.LinkPending {
		t.Errorf("after it was approved: %+v, %v", r, err)
	}
	no, err := w.box.RespondContact(w.ctx, green, "BlueLake", false, 0)
	if err != nil || no.Approved || no.Updated != 1 || !no.ExpiresTS.Time().IsZero() {
		t.Errorf("%+v, %v", no, err)
	}
	rows, err := w.box.Contacts(w.ctx, blue, Page{})
	if err != nil || len(rows) != 1 || rows[0].Status != mail.LinkBlocked || !rows[0].ExpiresTS.Time().IsZero() {
		t.Errorf("after no: %+v, %v", rows, err)
	}
	// No is no: asking again does not undo it, only the other one can.
	before := len(w.inbox(green))
	for range 2 { // neither now, with mail of the day between them, nor later
		_, err = w.box.RequestContact(w.ctx, blue, "GreenCastle", "please", 0)
		mustCode(t, err, mail.Denied, "CONTACT_BLOCKED")
		_, err = w.box.Send(w.ctx, blue, Draft{To: []string{"GreenCastle"}, Subject: "please"})
		mustCode(t, err, mail.Denied, "CONTACT_BLOCKED")
		w.pass(25 * time.Hour)
	}
	if n := len(w.inbox(green)); n != before {
		t.Errorf("%d letters after no", n-before)
	}
	if _, err := w.box.RespondContact(w.ctx, green, "BlueLake", true, time.Hour); err != nil {
		t.Fatal(err)
	}
	w.send(blue, "GreenCastle")
	// Denying somebody who never asked makes nothing; approving makes the link.
	if no, err := w.box.RespondContact(w.ctx, blue, "GreenCastle", false, 0); err != nil || no.Updated != 0 {
		t.Errorf("%+v, %v", no, err)
	}
	if rows, err := w.box.Contacts(w.ctx, green, Page{}); err != nil || len(rows) != 0 {
		t.Errorf("%+v, %v", rows, err)
	}
	if ok, err := w.box.RespondContact(w.ctx, blue, "GreenCastle", true, 0); err != nil || ok.Updated != 1 {
		t.Errorf("%+v, %v", ok, err)
	}
	_, err = w.box.RequestContact(w.ctx, blue, "BlueLake", "", 0)
	wantCode(t, err, mail.Invalid)
	_, err = w.box.RequestContact(w.ctx, blue, "Nobody1", "", 0)
	wantCode(t, err, mail.NotFound)
	_, err = w.box.RespondContact(w.ctx, blue, "Nobody1", true, 0)
	wantCode(t, err, mail.NotFound)
	if _, err := w.box.Verify(w.ctx, nil); err != nil {
		t.Error(err)
	}
}

func TestSetContactPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	for _, tt := range []struct{ asked, want string }{
		{" OPEN ", "open"}, {"contacts_only", "contacts_only"}, {"block_all", "block_all"}, {"whatever", "auto"}, {"", "auto"},
	} {
		r, err := w.box.SetContactPolicy(w.ctx, blue, tt.asked)
		if err != nil || r.Policy != tt.want || r.Agent != "BlueLake" {
			t.Errorf("%q: %+v, %v", tt.asked, r, err)
		}
		if who, err := w.box.Whois(w.ctx, "BlueLake", 0); err != nil || who.ContactPolicy != tt.want {
			t.Errorf("%q: %q, %v", tt.asked, who.ContactPolicy, err)
		}
	}
}
