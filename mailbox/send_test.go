package mailbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

func TestSendUnknownRecipients(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	w.agent("GreenCastle")
	w.agent("RedFox")
	_, err := w.box.Send(w.ctx, blue, Draft{To: []string{"GreenCastel", "BlueLake"}, CC: []string{"RedFix"}, BCC: []string{"Zzyzx9", "Bob@other", "project:web#Ann"}, Subject: "x"})
	e := mustCode(t, err, mail.NotFound, "RECIPIENT_NOT_FOUND")
	for _, name := range []string{"GreenCastel", "RedFix", "Zzyzx9", "not found", "nothing was sent"} {
		if !strings.Contains(e.Message, name) {
			t.Errorf("the message does not say %q: %s", name, e.Message)
		}
	}
	if got := fmt.Sprint(e.Details["unknown_local"]); got != "[GreenCastel RedFix Zzyzx9]" {
		t.Errorf("unknown_local: %s", got)
	}
	if got := fmt.Sprint(e.Details["unknown_external"]); got != "map[other:[Bob] web:[Ann]]" {
		t.Errorf("unknown_external: %s", got)
	}
	// Each one's nearest names are told.
	all := strings.Join(e.Hints, "\n") + fmt.Sprint(e.Details["suggestions"])
	if !strings.Contains(all, "GreenCastle") || !strings.Contains(all, "RedFox") {
		t.Errorf("nearest names: %s", all)
	}
	if e.Details["hint"] == nil || e.Details["suggested_tool_calls"] == nil {
		t.Errorf("details: %v", e.Details)
	}
	if rows := w.inbox(w.as("RedFox")); len(rows) != 0 || len(w.inbox(blue)) != 0 {
		t.Error("something was sent")
	}
}

func TestSendMistakes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	for _, tt := range []struct{ to, typ string }{
		{"all", "BROADCAST_ATTEMPT"}, {"*", "BROADCAST_ATTEMPT"}, {"@everyone", "BROADCAST_ATTEMPT"},
		{"claude", "PROGRAM_NAME_AS_AGENT"}, {"gpt-5", "MODEL_NAME_AS_AGENT"}, {"a@b.example", "EMAIL_AS_AGENT"},
		{"ReviewBot", "DESCRIPTIVE_NAME"}, {"bobby", "UNIX_USERNAME_AS_AGENT"}, {"Nobody1", "RECIPIENT_NOT_FOUND"},
	} {
		_, err := w.box.Send(w.ctx, blue, Draft{To: []string{tt.to}, Subject: "x"})
		if e := mustCode(t, err, mail.NotFound, tt.typ); !strings.Contains(e.Message, "not found") {
			t.Errorf("%q: %s", tt.to, e.Message)
		}
	}
	_, err := w.box.Send(w.ctx, blue, Draft{To: []string{"Nobody1", "all"}, Subject: "x"})
	if e := wantCode(t, err, mail.NotFound); !strings.Contains(strings.Join(e.Hints, " "), "--broadcast") {
		t.Errorf("a word for everybody among others: %q", e.Hints)
	}
}

func TestSendInvalid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	me := []string{"BlueLake"}
	for _, tt := range []struct {
		name string
		d    Draft
		typ  string
	}{
		{"nobody", Draft{Subject: "x"}, "INVALID_ARGUMENT"},
		{"blank names", Draft{To: []string{" ", ""}, Subject: "x"}, "INVALID_ARGUMENT"},
		{"thread", Draft{To: me, Thread: "no good"}, "INVALID_THREAD_ID"},
		{"thread begins wrong", Draft{To: me, Thread: "-x"}, "INVALID_THREAD_ID"},
		{"long thread", Draft{To: me, Thread: strings.Repeat("x", 129)}, "INVALID_THREAD_ID"},
		{"topic", Draft{To: me, Topic: "a b"}, "INVALID_TOPIC"},
		{"long topic", Draft{To: me, Topic: strings.Repeat("x", 65)}, "INVALID_TOPIC"},
		{"importance", Draft{To: me, Importance: "huge"}, "INVALID_ARGUMENT"},
		{"placeholder", Draft{To: []string{"YOUR_AGENT_NAME"}}, "CONFIGURATION_ERROR"},
		{"body not text", Draft{To: me, Body: "\xff"}, "INVALID_ARGUMENT"},
		{"subject not text", Draft{To: me, Subject: "\xff"}, "INVALID_ARGUMENT"},
		{"long body", Draft{To: me, Body: strings.Repeat("x", mail.MaxBody+1)}, "INVALID_ARGUMENT"},
		{"broadcast with names", Draft{To: me, Broadcast: true}, "INVALID_ARGUMENT"},
		{"key not text", Draft{To: me, IdempotencyKey: "\xff"}, "INVALID_ARGUMENT"},
		{"long key", Draft{To: me, IdempotencyKey: strings.Repeat("k", 2<<20)}, "INVALID_ARGUMENT"},
		{"large attachment", Draft{To: me, Attach: []AttachFile{{"a.bin", make([]byte, mail.MaxAttachment+1)}}}, "INVALID_ARGUMENT"},
		{"attachment without a name", Draft{To: me, Attach: []AttachFile{{"dir/..", nil}}}, "INVALID_ARGUMENT"},
		{"attachment with a long name", Draft{To: me, Attach: []AttachFile{{strings.Repeat("n", 2<<20), nil}}}, "INVALID_ARGUMENT"},
		{"attachment with no text for a name", Draft{To: me, Attach: []AttachFile{{"\xff", nil}}}, "INVALID_ARGUMENT"},
	} {
		_, err := w.box.Send(w.ctx, blue, tt.d)
		if mail.CodeOf(err) != mail.Invalid || mail.AsError(err).Type != tt.typ {
			t.Errorf("%s: %v [%s], want %s", tt.name, err, mail.AsError(err).Type, tt.typ)
		}
	}
	if in := w.inbox(blue); len(in) != 0 {
		t.Errorf("sent: %+v", in)
	}
}

func TestSendIsDelivered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green, red, grey := w.agent("BlueLake"), w.agent("GreenCastle"), w.agent("RedFox"), w.agent("GreyOwl")
	long := strings.Repeat("ü", MaxSubject+5)
	r, err := w.box.Send(w.ctx, blue, Draft{To: []string{"greencastle", "GREENCASTLE", " BlueLake "}, CC: []string{"RedFox", "GreenCastle"}, BCC: []string{"GreyOwl"},
		Subject: "  " + long + "\n", Body: "---\r\n# hi\n\x00", Thread: " ", Importance: " URGENT ", Topic: " t_1 "})
	if err != nil || r.Count != 1 || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "200") {
		t.Fatalf("%+v, %v", r, err)
	}
	m := r.Deliveries[0].Payload
	if m.Subject != strings.Repeat("ü", MaxSubject) || *m.BodyMD != "---\r\n# hi\n\x00" || m.Importance != mail.Urgent || m.ThreadID != nil || *m.Topic != "t_1" {
		t.Errorf("stored as %+v", m)
	}
	if !slices.Equal(m.To, []string{"GreenCastle", "BlueLake"}) || !slices.Equal(m.CC, []string{"RedFox"}) || !slices.Equal(m.BCC, []string{"GreyOwl"}) {
		t.Errorf("to %v, cc %v, bcc %v", m.To, m.CC, m.BCC)
	}
	for _, tt := range []struct {
		who  Actor
		kind string
	}{{green, "to"}, {blue, "to"}, {red, "cc"}, {grey, "bcc"}} {
		in := w.inbox(tt.who)
		if len(in) != 1 || in[0].Kind != tt.kind {
			t.Errorf("inbox of %s: %+v", tt.who.Name, in)
		}
	}
	// Who was sent a blind copy is told to nobody but the sender.
	for _, who := range []Actor{green, red, w.person()} {
		secrets := []any{}
		show, err := w.box.Show(w.ctx, who, m.ID)
		if err != nil {
			t.Fatal(err)
		}
		thread, err := w.box.Thread(w.ctx, who, m.ID, Page{})
		if err != nil {
			t.Fatal(err)
		}
		log, err := w.box.Log(w.ctx, who, LogQuery{})
		if err != nil {
			t.Fatal(err)
		}
		st, err := w.box.Status(w.ctx, who)
		if err != nil {
			t.Fatal(err)
		}
		in, err := w.box.Inbox(w.ctx, who, InboxQuery{Bodies: true})
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, show, thread, in, st.Unacked, st.Urgent)
		for _, e := range log {
			if e.Kind == "message" {
				secrets = append(secrets, e)
			}
		}
		if text, err := json.Marshal(secrets); err != nil || strings.Contains(string(text), "GreyOwl") || strings.Contains(string(text), grey.ID) {
			t.Errorf("%s learns of the blind copy: %s, %v", who.Name, text, err)
		}
	}
	if own, err := w.box.Show(w.ctx, blue, m.ID); err != nil || !slices.Equal(own.BCC, []string{"GreyOwl"}) {
		t.Errorf("the sender sees bcc %v, %v", own.BCC, err)
	}
	if st, err := w.box.Status(w.ctx, grey); err != nil || len(st.Urgent) != 4 {
		t.Errorf("the recipient of a blind copy sees %+v, %v", st.Urgent, err)
	}
}

func TestSendUnidentified(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.agent("BlueLake")
	who := w.as("Nobody1")
	_, err := w.box.Send(w.ctx, who, Draft{To: []string{"BlueLake"}, Subject: "x"})
	wantCode(t, err, mail.NotFound)
	who, err = w.with("CLAUDECODE=1").Who(w.ctx, Caller{})
	if err != nil || who.Kind != IsUnidentified {
		t.Fatalf("%+v, %v", who, err)
	}
	_, err = w.box.Send(w.ctx, who, Draft{To: []string{"BlueLake"}, Subject: "x"})
	wantCode(t, err, mail.NoAgent)
	// A person is registered on the first letter, under the reserved name.
	person := w.person()
	id := w.send(person, "BlueLake")
	if m, err := w.box.Show(w.ctx, person, id); err != nil || m.From != mail.HumanOverseer {
		t.Errorf("from %q, %v", m.From, err)
	}
	if rows, err := w.box.Agents(w.ctx, Page{}); err != nil || len(rows) != 2 || rows[1].Person == "" {
		t.Errorf("%+v, %v", rows, err)
	}
	w.send(w.person(), "BlueLake")
	if rows, err := w.box.Agents(w.ctx, Page{}); err != nil || len(rows) != 2 {
		t.Errorf("registered twice: %+v, %v", rows, err)
	}
}

func TestBroadcast(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	r, err := w.box.Send(w.ctx, blue, Draft{Broadcast: true, Subject: "x"})
	if err != nil || r.Count != 0 || r.Deliveries == nil || len(r.Warnings) != 1 {
		t.Fatalf("nobody there: %+v, %v", r, err)
	}
	green := w.agent("GreenCastle")
	old := w.agent("OldOwl")
	w.pass(29 * 24 * time.Hour)
	red, shy := w.agent("RedFox"), w.agent("ShyDeer")
	w.send(green, "GreenCastle")
	if _, err := w.box.SetContactPolicy(w.ctx, shy, mail.PolicyBlockAll); err != nil {
		t.Fatal(err)
	}
	if _, err := w.box.SetContactPolicy(w.ctx, red, mail.PolicyContactsOnly); err != nil {
		t.Fatal(err)
	}
	w.pass(25 * time.Hour)
	d := Draft{Broadcast: true, Subject: "news", IdempotencyKey: "k"}
	r, err = w.box.Send(w.ctx, blue, d)
	if err != nil || r.Count != 1 || len(r.Warnings) != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	if to := r.Deliveries[0].Payload.To; !slices.Equal(to, []string{"GreenCastle", "RedFox"}) {
		t.Errorf("goes to %v", to)
	}
	if again, err := w.box.Send(w.ctx, blue, d); err != nil || again.Deliveries[0].Payload.ID != r.Deliveries[0].Payload.ID {
		t.Errorf("the same key again: %+v, %v", again, err)
	}
	_ = old
	// Naming somebody who takes no mail beside a broadcast is no way round that.
	_, err = w.box.Send(w.ctx, blue, Draft{Broadcast: true, CC: []string{"ShyDeer"}, Subject: "news"})
	mustCode(t, err, mail.Denied, "CONTACT_BLOCKED")
	if in := w.inbox(shy); len(in) != 0 {
		t.Errorf("inbox of who takes no mail: %v", subjects(in))
	}
}

func TestAttachments(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	data := bytes.Repeat([]byte("picture"), 1000)
	files := []AttachFile{{"dir/a.PNG", data}, {`C:\x\b.png`, data}, {"c.txt", data}, {"noext", []byte{0xff, 0}}, {"empty", nil}}
	id := w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "x", Attach: files})
	w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "y", Attach: files[:2]})
	m, err := w.box.Show(w.ctx, green, id)
	if err != nil || len(m.Attachments) != 5 {
		t.Fatalf("%+v, %v", m, err)
	}
	paths := map[string]bool{}
	for i, name := range []string{"a.PNG", "b.png", "c.txt", "noext", "empty"} {
		a := m.Attachments[i]
		paths[a.Path] = true
		got, err := w.box.Attachment(w.ctx, green, id, name)
		if a.Name != name || err != nil || !bytes.Equal(got, files[i].Data) || a.Size != int64(len(got)) {
			t.Errorf("%s: %+v, %d bytes, %v", name, a, len(got), err)
		}
	}
	// Stored by content, once for each ending of a name.
	stored := strings.Fields(w.in("ls-tree", "-r", "--name-only", strings.Fields(w.in("for-each-ref", "--format=%(objectname)", "refs/agentmail/log"))[0], "attachments/"))
	if len(paths) != 4 || len(stored) != 4 {
		t.Errorf("%d paths for 5 attachments, stored %q", len(paths), stored)
	}
	_, err = w.box.Attachment(w.ctx, green, id, "nothing")
	if e := wantCode(t, err, mail.NotFound); !strings.Contains(e.Message, `"a.PNG"`) {
		t.Error(e.Message)
	}
	if _, err := w.box.Verify(w.ctx, nil); err != nil {
		t.Error(err)
	}
}

// TestIdempotencyConcurrently: however many callers retry one send at once, in
// one process and beside it, one message is written and all get its id.
func TestIdempotencyConcurrently(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	green := w.agent("GreenCastle")
	boxes := []*Box{w.box, w.open(w.dir), w.open(w.dir)}
	ids := make([]string, 12)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			r, err := boxes[i%len(boxes)].Send(w.ctx, blue, Draft{To: []string{"GreenCastle"}, Subject: "once", IdempotencyKey: "k"})
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = r.Deliveries[0].Payload.ID
		})
	}
	wg.Wait()
	if len(slices.Compact(ids)) != 1 || len(w.inbox(green)) != 1 {
		t.Errorf("ids %v, inbox %v", ids, subjects(w.inbox(green)))
	}
	// The key is the sender's own, and names the whole request.
	if id := w.deliver(green, Draft{To: []string{"GreenCastle"}, Subject: "once", IdempotencyKey: "k"}); id == ids[0] {
		t.Error("another sender's key names the same message")
	}
	for name, d := range map[string]Draft{
		"subject": {To: []string{"GreenCastle"}, Subject: "twice"}, "importance": {To: []string{"GreenCastle"}, Subject: "once", Importance: mail.High},
		"attachment": {To: []string{"GreenCastle"}, Subject: "once", Attach: []AttachFile{{"a", nil}}}, "recipient": {To: []string{"BlueLake"}, Subject: "once"},
	} {
		d.IdempotencyKey = "k"
		_, err := w.box.Send(w.ctx, blue, d)
		if e := wantCode(t, err, mail.Exists); e.Details["message_id"] != ids[0] {
			t.Errorf("another %s: %v", name, e.Details)
		}
	}
}

func TestReply(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	red := w.agent("RedFox")
	id := w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "plan", Importance: mail.High, AckRequired: true, Topic: "build"})
	r, err := w.box.Reply(w.ctx, green, id[:6], ReplyDraft{Body: "ok"})
	if err != nil || r.Subject != "Re: plan" || *r.ThreadID != id || *r.ReplyTo != id || r.Importance != mail.High || !r.AckRequired || *r.Topic != "build" || !slices.Equal(r.To, []string{"BlueLake"}) {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, tt := range []struct{ prefix, of, want string }{
		{"", r.ID, "Re: plan"}, {" RE: ", r.ID, "Re: plan"}, {"Fwd:", r.ID, "Fwd: Re: plan"}, {"re:", id, "re: plan"},
	} {
		got, err := w.box.Reply(w.ctx, blue, tt.of, ReplyDraft{SubjectPrefix: tt.prefix, Body: "x"})
		if err != nil || got.Subject != tt.want || *got.ThreadID != id {
			t.Errorf("prefix %q: %q in %v, %v", tt.prefix, got.Subject, got.ThreadID, err)
		}
	}
	// To oneself, when one's own letter is answered.
	self, err := w.box.Reply(w.ctx, blue, id, ReplyDraft{Body: "and"})
	if err != nil || !slices.Equal(self.To, []string{"BlueLake"}) {
		t.Errorf("to oneself: %v, %v", self.To, err)
	}
	// A cc to somebody else, who need not have been on the thread, leaves the
	// original sender the recipient.
	other, err := w.box.Reply(w.ctx, blue, id, ReplyDraft{CC: []string{"RedFox"}, Body: "fyi"})
	if err != nil || !slices.Equal(other.To, []string{"BlueLake"}) || !slices.Equal(other.CC, []string{"RedFox"}) {
		t.Errorf("to others: %+v, %v", other, err)
	}
	if _, err := w.box.SetContactPolicy(w.ctx, red, mail.PolicyBlockAll); err != nil {
		t.Fatal(err)
	}
	if _, err := w.box.Reply(w.ctx, green, id, ReplyDraft{To: []string{"RedFox"}, Body: "fyi"}); err != nil {
		t.Errorf("a reply meets the contact policy: %v", err)
	}
	// The original is not rewritten.
	if m, err := w.box.Show(w.ctx, blue, id); err != nil || m.ThreadID != nil {
		t.Errorf("the original has the thread %v, %v", m.ThreadID, err)
	}
	long := w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: strings.Repeat("x", MaxSubject)})
	got, err := w.box.Reply(w.ctx, green, long, ReplyDraft{Body: "x"})
	if err != nil || len(got.Subject) != MaxSubject || len(got.Warnings) != 1 {
		t.Errorf("a long subject: %d characters, %v, %v", len(got.Subject), got.Warnings, err)
	}
	_, err = w.box.Reply(w.ctx, green, "zzzzz", ReplyDraft{Body: "x"})
	wantCode(t, err, mail.NotFound)
	_, err = w.box.Reply(w.ctx, green, id, ReplyDraft{To: []string{"Nobody1"}, Body: "x"})
	mustCode(t, err, mail.NotFound, "RECIPIENT_NOT_FOUND")
	key := ReplyDraft{Body: "k", IdempotencyKey: "r"}
	one, err := w.box.Reply(w.ctx, green, id, key)
	if err != nil {
		t.Fatal(err)
	}
	if two, err := w.box.Reply(w.ctx, green, id, key); err != nil || two.ID != one.ID {
		t.Errorf("the same reply again: %s, %s, %v", one.ID, two.ID, err)
	}
}
