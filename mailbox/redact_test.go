package mailbox

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

// everything asks all that shows messages, and returns the answers as one text.
func (w *world) everything(who Actor, id, thread string) string {
	w.t.Helper()
	var s sheet
	show, err := w.box.Show(w.ctx, who, id)
	s.add("show", show, err)
	in, err := w.box.Inbox(w.ctx, who, InboxQuery{Bodies: true})
	s.add("inbox", in, err)
	out, err := w.box.Outbox(w.ctx, who, Page{}, true)
	s.add("outbox", out, err)
	th, err := w.box.Thread(w.ctx, who, thread, Page{})
	s.add("thread", th, err)
	byID, err := w.box.Thread(w.ctx, who, id, Page{})
	s.add("thread by id", byID, err)
	hits, err := w.box.Search(w.ctx, who, SearchQuery{Query: "secret"})
	s.add("search", hits, err)
	log, err := w.box.Log(w.ctx, who, LogQuery{})
	s.add("log", log, err)
	log, err = w.box.Log(w.ctx, who, LogQuery{Path: "src/secret.go"})
	s.add("log of a path", log, err)
	for _, name := range []string{"BlueLake", "GreenCastle"} {
		whois, err := w.box.Whois(w.ctx, name, 20)
		s.add("whois", whois, err)
	}
	commits, err := w.box.CommitsOf(w.ctx, []string{id})
	s.add("commits", commits, err)
	st, err := w.box.Status(w.ctx, who)
	s.add("status", st, err)
	nudge, err := w.box.Nudge(w.ctx, who)
	s.add("nudge", nudge, err)
	file, err := w.box.Attachment(w.ctx, who, id, "secret.txt")
	s.add("attachment", string(file), err)
	err = w.box.Wait(w.ctx, who, 0, func(rows []InboxRow) error { s.add("wait", rows, nil); return nil })
	s.add("wait", nil, err)
	return s.String()
}

var secret = Draft{To: []string{"GreenCastle"}, Subject: "secret one", Body: "secret words about src/secret.go", Thread: "T-1", Topic: "secret",
	Importance: "urgent", AckRequired: true, Attach: []AttachFile{{"secret.txt", []byte("secret bytes")}}, IdempotencyKey: "k"}

// said reports whether something that the secret said, or was called by, is in a text.
func said(text string) bool {
	return strings.Contains(strings.ReplaceAll(text, "src/secret.go\": ", ""), "secret")
}

func TestPurge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	if err := w.box.Wait(w.ctx, green, 0, func([]InboxRow) error { return nil }); err != nil {
		t.Fatal(err)
	}
	id := w.deliver(blue, secret)
	c := w.clone()
	if before := w.everything(green, id, "T-1"); strings.Count(before, "secret") < 10 {
		t.Fatalf("the test asks too little: %s", before)
	}
	w.pass(40 * 24 * time.Hour)
	fresh := w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "fresh", Thread: "T-1", Body: "x"})
	for _, tt := range []struct {
		older time.Duration
		env   string
		days  int
		n     int
	}{{0, "", 180, 0}, {0, "RETENTION_MAX_AGE_DAYS=30", 30, 1}, {39 * 24 * time.Hour, "", 39, 1}, {41 * 24 * time.Hour, "RETENTION_MAX_AGE_DAYS=30", 41, 0}} {
		b := w.with(tt.env)
		r, err := b.Purge(w.ctx, green, PurgeRequest{Older: tt.older, DryRun: true})
		b.Close()
		if err != nil || r.Status != "dry_run" || r.Messages != tt.n || r.MaxAgeDays != tt.days || !r.CutoffDate.Time().Equal(w.at.Add(-time.Duration(tt.days)*24*time.Hour).Truncate(time.Millisecond)) {
			t.Errorf("%+v: %+v, %v", tt, r, err)
		}
	}
	_, err := w.box.Purge(w.ctx, green, PurgeRequest{Older: time.Hour})
	wantCode(t, err, mail.Invalid)
	_, err = w.box.Purge(w.ctx, Actor{Kind: IsUnidentified}, PurgeRequest{Older: 30 * 24 * time.Hour})
	wantCode(t, err, mail.NoAgent)
	if got := w.inbox(green); len(got) != 2 {
		t.Fatalf("a dry run purged: %v", subjects(got))
	}
	r, err := w.box.Purge(w.ctx, green, PurgeRequest{Older: 30 * 24 * time.Hour, Reason: "old"})
	if err != nil || r.Status != "purged" || r.Messages != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if r, err := w.box.Purge(w.ctx, green, PurgeRequest{Older: 30 * 24 * time.Hour}); err != nil || r.Messages != 0 {
		t.Errorf("again: %+v, %v", r, err)
	}
	check := func(w *world, who Actor, how string) {
		t.Helper()
		if after := w.everything(who, id, "T-1"); said(after) {
			t.Errorf("%s, as %s, it is still said: %s", how, who.Name, after)
		}
		m, err := w.box.Show(w.ctx, who, id[:6])
		if err != nil || !m.Redacted || m.From != "BlueLake" || m.Subject != mail.RedactedText || *m.BodyMD != mail.RedactedText || *m.ThreadID != "T-1" || m.Receipts != nil {
			t.Errorf("%s, show: %+v, %v", how, m, err)
		}
		th, err := w.box.Thread(w.ctx, who, "T-1", Page{})
		if err != nil || len(th.Messages) != 2 || !th.Messages[0].Redacted || th.Messages[1].Redacted {
			t.Errorf("%s, thread: %+v, %v", how, th, err)
		}
	}
	check(w, green, "index that grew")
	check(w, blue, "index that grew")
	if _, err := w.box.Reindex(w.ctx); err != nil {
		t.Fatal(err)
	}
	check(w, green, "new index")
	if in := w.inbox(green); len(in) != 1 || in[0].ID != fresh {
		t.Errorf("inbox: %v", subjects(in))
	}
	log, err := w.box.Log(w.ctx, green, LogQuery{Page: Page{N: 1}})
	if err != nil || log[0].Kind != "redact" || log[0].Summary != "redacts 1 message: old" || log[0].Agent != "GreenCastle" {
		t.Errorf("%+v, %v", log, err)
	}
	_, err = w.box.Reply(w.ctx, green, id, ReplyDraft{Body: "what?"})
	wantCode(t, err, mail.NotFound)
	// The key of a send that is retried answers with what is left of it.
	again, err := w.box.Send(w.ctx, blue, secret)
	if data, _ := json.Marshal(again); err != nil || again.Deliveries[0].Payload.ID != id || said(string(data)) {
		t.Errorf("%s, %v", data, err)
	}
	if _, err := w.box.Ack(w.ctx, green, []string{id}); err != nil {
		t.Errorf("acknowledging what was redacted meanwhile: %v", err)
	}
	if v, err := w.box.Verify(w.ctx, nil); err != nil || v.Unknown != 0 {
		t.Errorf("%+v, %v", v, err)
	}
	// Another clone hears of it.
	red := c.agent("RedFox")
	if m, err := c.box.Show(c.ctx, red, id); err != nil || m.Redacted {
		t.Errorf("before it hears of it: %+v, %v", m, err)
	}
	c.fetch(w)
	check(c, red, "another clone")
}

// TestPurgeBeforeMail: a clone that hears of the redaction first shows a tombstone once
// the message comes.
func TestPurgeBeforeMail(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.agent("GreenCastle")
	c := w.clone()
	blue := c.agent("BlueLake")
	c.fetch(w)
	id := c.deliver(blue, secret)
	d := c.clone()
	d.pass(30 * 24 * time.Hour)
	if _, err := d.box.Purge(d.ctx, d.agent("RedFox"), PurgeRequest{Older: 24 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	green := w.as("GreenCastle")
	sn, err := d.box.snapshot(d.ctx)
	if err != nil {
		t.Fatal(err)
	}
	own := "refs/agentmail/log/" + sn.Own()
	w.git("-C", w.dir, "fetch", "-q", d.dir, own+":"+own)
	w.inbox(green) // the index hears of it too
	w.fetch(c)
	if after := w.everything(green, id, "T-1"); said(after) {
		t.Errorf("it is said: %s", after)
	}
	if m, err := w.box.Show(w.ctx, green, id); err != nil || !m.Redacted {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestDeleteAgent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	id := w.deliver(blue, secret)
	w.deliver(blue, Draft{To: []string{"GreenCastle"}, CC: []string{"BlueLake"}, Subject: "two", Body: "x"})
	w.deliver(green, Draft{To: []string{"BlueLake"}, Subject: "to it", Importance: "urgent", AckRequired: true, Body: "y"})
	w.hold(blue, "src/**", "a.go")
	c := w.clone()
	_, err := c.box.DeleteAgent(c.ctx, c.agent("RedFox"), "BlueLake")
	wantCode(t, err, mail.Denied)
	_, err = w.box.DeleteAgent(w.ctx, green, "Nobody1")
	wantCode(t, err, mail.NotFound)
	w.send(w.person(), "BlueLake")
	_, err = w.box.DeleteAgent(w.ctx, green, mail.HumanOverseer)
	wantCode(t, err, mail.Denied)

	r, err := w.box.DeleteAgent(w.ctx, green, "bluelake")
	if want := (DeletedAgent{blue.ID, "BlueLake", w.box.Project().HumanKey, 5, 2, 2}); err != nil || r != want {
		t.Errorf("%+v, %v, want %+v", r, err, want)
	}
	if after := w.everything(green, id, "T-1"); said(after) {
		t.Errorf("it is still said: %s", after)
	}
	rows, err := w.box.Agents(w.ctx, Page{})
	for _, row := range rows {
		if row.ID == blue.ID || err != nil {
			t.Errorf("it is still listed: %+v, %v", row, err)
		}
	}
	if held, err := w.box.Reservations(w.ctx, green, ReservationQuery{}); err != nil || len(held) != 0 {
		t.Errorf("it still holds %+v, %v", held, err)
	}
	w.hold(green, "src/**")
	st, err := w.box.Status(w.ctx, green)
	if err != nil || st.UnackedCount != 0 || st.UrgentCount != 0 || st.Messages != 2 {
		t.Errorf("what waits: %+v, %v", st, err)
	}
	for _, name := range []string{"BlueLake", blue.ID, "BlueLake~" + blue.ID[:3]} {
		_, err = w.box.Send(w.ctx, green, Draft{To: []string{name}, Subject: "x"})
		mustCode(t, err, mail.NotFound, "RECIPIENT_NOT_FOUND")
		if _, err := w.box.Whois(w.ctx, name, 5); mail.CodeOf(err) != mail.NotFound {
			t.Errorf("whois %s: %v", name, err)
		}
		if who := w.as(name); who.Kind != IsUnidentified {
			t.Errorf("somebody acts as %s: %+v", name, who)
		}
	}
	_, err = w.box.Send(w.ctx, blue, Draft{To: []string{"GreenCastle"}, Subject: "x"}) // a session that does not know yet
	wantCode(t, err, mail.NotFound)
	// History has its name.
	log, err := w.box.Log(w.ctx, green, LogQuery{Page: Page{N: MaxLimit}})
	text := fmt.Sprintf("%+v", log)
	if err != nil || !strings.Contains(text, "BlueLake registers") || !strings.Contains(text, "deletes BlueLake") || !strings.Contains(text, "to GreenCastle: "+mail.RedactedText) {
		t.Errorf("%s, %v", text, err)
	}
	if _, err := w.box.Verify(w.ctx, nil); err != nil {
		t.Error(err)
	}
	// The name is free.
	w.pass(time.Minute)
	again := w.agent("BlueLake")
	if again.ID == blue.ID || again.Name != "BlueLake" || len(w.inbox(again)) != 0 {
		t.Errorf("%+v", again)
	}
	if who, err := w.box.Whois(w.ctx, "BlueLake", 20); err != nil || who.ID != again.ID || len(who.RecentCommits) != 1 {
		t.Errorf("%+v, %v", who, err)
	}
	w.send(green, "BlueLake")
	if in := w.inbox(again); len(in) != 1 {
		t.Errorf("%v", subjects(in))
	}
	if m, err := w.box.Show(w.ctx, green, id); err != nil || m.From != "BlueLake~"+blue.ID[:2] || !m.Redacted {
		t.Errorf("%+v, %v", m, err)
	}
	// A person may delete what another clone registered.
	c.fetch(w)
	if _, err := c.box.DeleteAgent(c.ctx, c.person(), "GreenCastle"); err != nil {
		t.Error(err)
	}
	w.fetch(c)
	if who := w.as("GreenCastle"); who.Kind != IsUnidentified {
		t.Errorf("%+v", who)
	}
}

// TestWatchRedacted: what was redacted before it was seen is told of without its words.
func TestWatchRedacted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	stop := fmt.Errorf("enough")
	done, cancel := context.WithCancel(w.ctx)
	cancel()
	if err := w.box.Watch(done, green, nil); err != nil { // from now on
		t.Fatal(err)
	}
	w.deliver(blue, secret)
	w.pass(30 * 24 * time.Hour)
	if _, err := w.box.Purge(w.ctx, blue, PurgeRequest{Older: 24 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	if err := w.box.Watch(w.ctx, green, func(e Event) error {
		if said(fmt.Sprint(e)) || e.Message == "" {
			t.Errorf("%+v", e)
		}
		return stop
	}); err != stop {
		t.Error(err)
	}
}
