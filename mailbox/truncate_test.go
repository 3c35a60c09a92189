package mailbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/mail"
)

const days = 24 * time.Hour

// truncate does it and returns the answer.
func (w *world) truncate(r TruncateRequest) TruncateResult {
	w.t.Helper()
	out, err := w.box.Truncate(w.ctx, r)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// bytesOf reports whether a text is in any object of a repository.
func (w *world) bytesOf(text string) bool {
	w.t.Helper()
	list := w.in("cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype)")
	for line := range strings.Lines(list) {
		oid, kind, _ := strings.Cut(strings.TrimSpace(line), " ")
		if kind != "tree" && strings.Contains(w.in("cat-file", kind, oid), text) {
			return true
		}
	}
	return false
}

// ours lists the files of the own log, by top directory.
func (w *world) ours() map[string]int {
	w.t.Helper()
	sn, err := w.box.snapshot(w.ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	files, err := sn.ListLog(w.ctx, sn.Own(), "", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	n := map[string]int{}
	for _, f := range files {
		top, _, _ := strings.Cut(f.Path, "/")
		n[top]++
	}
	return n
}

// TestTruncate: what is old goes with all that belongs to it, what is redacted goes at any
// age, and nothing else; each kind of record by its own rule.
func TestTruncate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	file := func(text string) []AttachFile { return []AttachFile{{"a.txt", []byte(text)}} }
	old := w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "old", Body: "old words", Thread: "T-1", Attach: file("old bytes"), IdempotencyKey: "k1"})
	first := w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "first", Body: "x", Attach: file("shared bytes")})
	read := w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "read", Body: "x"})
	if _, err := w.box.Read(w.ctx, green, []string{read}); err != nil {
		t.Fatal(err)
	}
	w.hold(blue, "over/**")
	if _, err := w.box.Release(w.ctx, blue, LeaseFilter{}); err != nil {
		t.Fatal(err)
	}
	long, err := w.box.Reserve(w.ctx, green, ReserveRequest{Patterns: []string{"held/**"}, TTL: 30 * days})
	if err != nil {
		t.Fatal(err)
	}
	w.slot(blue, "build", SlotRequest{})
	w.pass(20 * days)
	if _, err := w.box.Renew(w.ctx, green, LeaseFilter{}, 20*days); err != nil {
		t.Fatal(err)
	}
	w.pass(25 * days)
	reply, err := w.box.Reply(w.ctx, green, first, ReplyDraft{Body: "answer"})
	if err != nil {
		t.Fatal(err)
	}
	again := w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "again", Thread: "T-1", Body: "x", Attach: file("shared bytes")})
	hidden := w.deliver(w.agent("RedFox"), Draft{To: []string{"GreenCastle"}, Subject: "hidden", Body: "hidden words", Thread: "T-1", Attach: file("hidden bytes"), IdempotencyKey: "k2"})
	if _, err := w.box.DeleteAgent(w.ctx, w.person(), "RedFox"); err != nil {
		t.Fatal(err)
	}
	before := w.ours()

	want := TruncateResult{Status: "dry_run", CutoffDate: TS(w.at.Add(-40 * days)), Messages: 4, Redacted: 1, Unread: 2, Receipts: 1, Reservations: 2, Events: 1, Attachments: 2, Waiting: []string{}}
	got := w.truncate(TruncateRequest{Older: 40 * days, DryRun: true})
	if want.Bytes = got.Bytes; fmt.Sprint(got) != fmt.Sprint(want) || got.Bytes < 1000 || fmt.Sprint(w.ours()) != fmt.Sprint(before) {
		t.Errorf("a dry run: %+v", got)
	}
	got = w.truncate(TruncateRequest{Older: 40 * days})
	if want.Status, want.Epoch = "truncated", 1; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	after := w.ours()
	for top, n := range map[string]int{"mail": -4, "attachments": -2, "receipts": -1, "leases": -2, "events": -1, "keys": -1} {
		if after[top] != before[top]+n {
			t.Errorf("%s: %d files, %d before", top, after[top], before[top])
		}
	}
	for _, top := range []string{"agents", "contacts", "products", "redactions", "agentmail.json"} {
		if after[top] != before[top] {
			t.Errorf("%s: %d files, %d before", top, after[top], before[top])
		}
	}
	for _, text := range []string{"old words", "old bytes", "hidden words", "hidden bytes", "| hidden"} {
		if w.bytesOf(text) {
			t.Errorf("%q is still there", text)
		}
	}
	if !w.bytesOf("shared bytes") {
		t.Error("the bytes that a younger message shares are gone")
	}
	for _, id := range []string{old, hidden, read, first} {
		_, err := w.box.Show(w.ctx, green, id)
		if e := wantCode(t, err, mail.NotFound); !strings.Contains(e.Message, "truncated") {
			t.Errorf("%q", e.Message)
		}
	}
	if data, err := w.box.Attachment(w.ctx, green, again, "a.txt"); err != nil || string(data) != "shared bytes" {
		t.Errorf("%q, %v", data, err)
	}
	// The thread of a message that went goes by its name still.
	for key, id := range map[string]string{"T-1": again, first: reply.ID} {
		if th, err := w.box.Thread(w.ctx, green, key, Page{}); err != nil || len(th.Messages) != 1 || th.Messages[0].ID != id {
			t.Errorf("thread %s: %+v, %v", key, th, err)
		}
	}
	if held := w.live(green, ReservationQuery{}); len(held) != 1 || held[0].ID != long.Granted[0].ID {
		t.Errorf("held: %+v", held)
	}
	// The key of an old message may be used again; that of a redacted one would send it again.
	if id := w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "old", Body: "old words", Thread: "T-1", Attach: file("old bytes"), IdempotencyKey: "k1"}); id == old {
		t.Error("the same id")
	}
	if _, err := w.box.Verify(w.ctx, nil); err != nil {
		t.Error(err)
	}
	if r := w.truncate(TruncateRequest{Older: 40 * days}); r.Status != "nothing" || r.Epoch != 1 {
		t.Errorf("again: %+v", r)
	}
	if s := w.in("fsck", "--strict", "--no-dangling"); s != "" {
		t.Error(s)
	}
	sn, err := w.box.snapshot(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if seq, _ := sn.Trailer(sn.Own(), trailerSeq); sn.Header(sn.Own()).Base.Upto < 5 || seq == "" || seq == "0" {
		t.Errorf("%+v, numbered up to %s", sn.Header(sn.Own()), seq)
	}
}

// TestTruncateKeeps: a receipt stays as long as somebody has the message, an attachment as
// long as a log without one of its own names it, the record of a commit as long as a
// reservation of its time is held, and the end of a reservation as long as some renewal
// would outlive it.
func TestTruncateKeeps(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	c := w.clone()
	green := c.agent("GreenCastle")
	w.deliver(blue, Draft{To: []string{"BlueLake"}, Subject: "to myself", Body: "x"})
	w.fetch(c)
	toGreen := w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "to you", Body: "x"})
	c.fetch(w)
	if _, err := c.box.Read(c.ctx, green, []string{toGreen}); err != nil {
		t.Fatal(err)
	}
	lease, err := c.box.Reserve(c.ctx, green, ReserveRequest{Patterns: []string{"x"}, TTL: 30 * days})
	if err != nil {
		t.Fatal(err)
	}
	w.fetch(c)
	if _, err := w.box.ForceRelease(w.ctx, w.person(), lease.Granted[0].ID, "", false); err != nil {
		t.Fatal(err)
	}
	// The other has not heard of it, and renews.
	c.pass(29 * days)
	if _, err := c.box.Renew(c.ctx, green, LeaseFilter{}, 29*days-time.Hour); err != nil {
		t.Fatal(err)
	}
	w.at = c.at
	w.fetch(c)
	w.pass(25 * days)
	c.at = w.at
	if r := w.truncate(TruncateRequest{Older: 40 * days}); r.Messages != 2 || r.Reservations != 0 {
		t.Errorf("%+v", r)
	}
	if r := c.truncate(TruncateRequest{Older: 40 * days}); r.Receipts != 0 {
		t.Errorf("who has the message still has lost the receipt: %+v", r)
	}
	c.fetch(w)
	if r := c.truncate(TruncateRequest{Older: 40 * days}); r.Receipts != 1 {
		t.Errorf("%+v", r)
	}
	w.fetch(c)
	if all := w.live(blue, ReservationQuery{All: true}); len(all) != 1 || all[0].Ended != "force" {
		t.Errorf("a reservation came back: %+v", all)
	}
	w.pass(40 * days)
	if r := w.truncate(TruncateRequest{Older: 40 * days}); r.Reservations != 1 {
		t.Errorf("%+v", r)
	}
}

// TestTruncateUnknown: what cannot be read stays, with all that it might name.
func TestTruncateUnknown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	w.deliver(blue, Draft{To: []string{"BlueLake"}, Subject: "old", Body: "x", Attach: []AttachFile{{"a", []byte("a")}}})
	if _, err := w.box.store.Update(w.ctx, func(tx *gitstore.Tx) (gitstore.CommitInfo, error) {
		return gitstore.CommitInfo{Subject: "x"}, errors.Join(
			tx.Create("mail/2020-01/01/00/zzzzzzzzzz-x.md", []byte("---\n{\n\"v\": 2\n}\n---\n\nnewer")),
			tx.Create("receipts/2020-01/01/00/zzzzzzzzzy.json", []byte("damaged")))
	}); err != nil {
		t.Fatal(err)
	}
	w.pass(60 * days)
	before := w.ours()
	r := w.truncate(TruncateRequest{Older: 30 * days})
	after := w.ours()
	if r.Messages != 1 || r.Attachments != 0 || after["mail"] != before["mail"]-1 || after["receipts"] != before["receipts"] || after["attachments"] != 1 {
		t.Errorf("%+v: %v after %v", r, after, before)
	}
}

// TestTruncateRefuses says what is wrong before anything goes.
func TestTruncateRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	w.send(blue, "BlueLake")
	w.pass(400 * days)
	for _, tt := range []struct {
		set string
		r   TruncateRequest
	}{{"", TruncateRequest{}}, {"never", TruncateRequest{}}, {"", TruncateRequest{Older: time.Hour}}, {"90", TruncateRequest{}}, {"0d", TruncateRequest{}}, {"12h", TruncateRequest{}}, {"d", TruncateRequest{}}} {
		if tt.set != "" {
			w.set("agentmail.retention", tt.set)
		}
		_, err := w.box.Truncate(w.ctx, tt.r)
		if e := wantCode(t, err, mail.Invalid); len(e.Hints) == 0 {
			t.Errorf("%+v: %v", tt, e)
		}
	}
	if n := w.ours()["mail"]; n != 1 {
		t.Errorf("%d messages", n)
	}
	// Without a mailbox there is nothing to go, and nothing is made.
	if r, err := w.nowhere().Truncate(w.ctx, TruncateRequest{Older: 30 * days}); err != nil || r.Status != "nothing" {
		t.Errorf("%+v, %v", r, err)
	}
}

// nowhere opens a repository without a mailbox.
func (w *world) nowhere() *Box {
	w.t.Helper()
	dir := filepath.Join(w.t.TempDir(), "empty")
	w.git("init", "-q", dir)
	w.t.Cleanup(func() {
		if _, err := os.Stat(filepath.Join(dir, ".git", "agentmail")); err == nil {
			w.t.Error("a mailbox was made")
		}
	})
	return w.open(dir)
}

// TestRetention: sync applies it, once a day, and tells.
func TestRetention(t *testing.T) {
	t.Parallel()
	hub := hubFor(t)
	w := newWorld(t)
	blue := w.agent("BlueLake")
	w.send(blue, "BlueLake")
	w.sync(hub)
	w.pass(100 * days)
	w.sync(hub)
	if n := w.ours()["mail"]; n != 1 {
		t.Fatalf("without a retention %d messages are left", n)
	}
	w.set("agentmail.retention", "90d")
	if r := w.sync(hub); r.Pushed != 1 {
		t.Errorf("%+v", r)
	}
	if n := w.ours()["mail"]; n != 0 {
		t.Errorf("%d messages are left", n)
	}
	w.send(blue, "BlueLake")
	w.set("agentmail.retention", "1d")
	w.pass(23 * time.Hour)
	w.sync(hub)
	if w.pass(2 * time.Hour); w.ours()["mail"] != 1 {
		t.Error("twice in a day")
	}
	w.sync(hub)
	if n := w.ours()["mail"]; n != 0 {
		t.Errorf("%d messages are left", n)
	}
	w.set("agentmail.retention", "x")
	w.sync(hub) // nothing stops it
	d, err := w.box.Doctor(w.ctx, blue, false, "")
	if err != nil || !slices.ContainsFunc(d.Findings, func(f Finding) bool {
		return f.Level == "problem" && strings.Contains(f.What, `agentmail.retention is "x"`)
	}) {
		t.Errorf("%+v, %v", d, err)
	}
	w.set("agentmail.retention", "2w")
	d, err = w.box.Doctor(w.ctx, blue, false, "")
	if err != nil || !slices.ContainsFunc(d.Findings, func(f Finding) bool {
		return strings.Contains(f.What, "14 days") && strings.Contains(f.What, "epoch 2")
	}) {
		t.Errorf("%+v, %v", d, err)
	}
}

// TestTruncateWait: who waits or watches goes on, whatever of the old log is left, in this
// clone and in others.
func TestTruncateWait(t *testing.T) {
	t.Parallel()
	hub := hubFor(t)
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	send := func(subject string) {
		t.Helper()
		w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: subject, Body: "x"})
		w.pass(time.Minute)
	}
	send("ancient")
	w.pass(60 * days)
	w.waits(green, 0)
	w.beginWatch(green)
	send("first")
	w.expect("before", green, "first")
	send("second")
	w.truncate(TruncateRequest{Older: 30 * days})
	send("third")
	if w.bytesOf("ancient") {
		t.Error("nothing was truncated")
	}
	w.expect("in this clone", green, "second", "third")
	w.expect("and no more", green)
	if got := w.events(green, 3, nil); !slices.Equal(got, []string{"message to GreenCastle: first", "message to GreenCastle: second", "message to GreenCastle: third"}) {
		t.Errorf("watch: %q", got)
	}

	w.sync(hub)
	c := w.clone()
	red := c.agent("RedFox")
	c.sync(hub)
	w.sync(hub)
	c.waits(red, 0)
	w.deliver(blue, Draft{To: []string{"RedFox"}, Subject: "fourth", Body: "x"})
	w.pass(40 * days)
	c.at = w.at
	w.deliver(blue, Draft{To: []string{"RedFox"}, Subject: "fifth", Body: "x"})
	w.sync(hub)
	w.truncate(TruncateRequest{Older: 30 * days})
	w.deliver(blue, Draft{To: []string{"RedFox"}, Subject: "sixth", Body: "x"})
	w.sync(hub)
	if r := c.sync(hub); len(r.Refused) > 0 || r.Messages != 2 {
		t.Errorf("%+v", r)
	}
	c.expect("in another clone", red, "fifth", "sixth")
	c.expect("and no more", red)
}

// TestTruncateLists: every list of an index that saw a truncation answers as a fold of what
// is left, in the clone that truncated and in the one that follows.
func TestTruncateLists(t *testing.T) {
	t.Parallel()
	rounds := 1
	if soak() {
		rounds = 40
	}
	for seed := range int64(rounds) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			t.Parallel()
			g := newIndexGame(t, seed)
			var sum TruncateResult
			for range 6 {
				i := g.Intn(2)
				w, other := g.clones[i], g.clones[1-i]
				for range 14 {
					j := g.Intn(2)
					g.clones[j].pass(time.Duration(g.Intn(60)) * time.Minute)
					g.step(g.clones[j], choose(g, g.agents[j]...))
				}
				w.at = maxTime(w.at, other.at)
				w.pass(20 * time.Hour)
				for _, c := range []*world{w, other} {
					if other.at = w.at; c == other {
						other.fetch(w)
						g.compare(other) // by then its index knew what it has lost
					}
					r := c.truncate(TruncateRequest{Older: 24 * time.Hour, Redacted: g.Intn(4) == 0})
					sum.Messages, sum.Receipts = sum.Messages+r.Messages, sum.Receipts+r.Receipts
					g.compare(c)
				}
			}
			if sum.Messages < 5 || sum.Receipts == 0 {
				t.Errorf("too little was truncated: %+v", sum)
			}
		})
	}
}

// TestTruncateSummaries: what was made of messages that went goes as well.
func TestTruncateSummaries(t *testing.T) {
	t.Parallel()
	w := summarizing(t)
	blue := w.agent("BlueLake")
	files := func() int {
		list, _ := os.ReadDir(filepath.Join(w.dir, ".git", "agentmail-cache", summariesDir))
		return len(list)
	}
	for i := range 2 {
		w.deliver(blue, Draft{To: []string{"BlueLake"}, Subject: fmt.Sprint(i), Body: "- point"})
		if _, err := w.box.SummarizeRecent(w.ctx, blue, RecentQuery{Hours: 1}); err != nil {
			t.Fatal(err)
		}
		w.pass(10 * days)
	}
	if files() != 2 {
		t.Fatalf("%d summaries", files())
	}
	w.truncate(TruncateRequest{Older: 15 * days})
	if list, err := w.box.Summaries(w.ctx, blue, 1000, Page{}); err != nil || len(list) != 1 || files() != 1 {
		t.Errorf("%d summaries, %+v, %v", files(), list, err)
	}
}

// TestTruncateBeside: while logs are truncated others list, watch and send, and notice
// nothing of it but what is gone.
func TestTruncateBeside(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	const steps, fresh = 8, 24
	for i := range steps {
		w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: fmt.Sprint("old ", i), Body: strings.Repeat("x", 1000)})
		w.pass(days)
	}
	w.pass(60 * days)
	w.beginWatch(green)
	ctx, cancel := context.WithTimeout(w.ctx, 2*time.Minute)
	defer cancel()
	seen := make(chan string, 2*fresh)
	var watching, reading, writing sync.WaitGroup
	watcher, lister, sender, owner := w.open(w.dir), w.open(w.dir), w.open(w.dir), w.open(w.dir)
	watching.Go(func() {
		if err := watcher.Watch(ctx, green, func(e Event) error { seen <- e.Summary; return nil }); err != nil {
			t.Errorf("watch: %v", err)
		}
	})
	listing, stop := context.WithCancel(ctx)
	reading.Go(func() {
		for listing.Err() == nil {
			if _, err := lister.Inbox(ctx, green, InboxQuery{Bodies: true}); err != nil {
				t.Errorf("inbox: %v", err)
			}
		}
	})
	writing.Go(func() {
		for i := range fresh {
			if _, err := sender.Send(ctx, blue, Draft{To: []string{"GreenCastle"}, Subject: fmt.Sprint("new ", i), Body: "x"}); err != nil {
				t.Errorf("send: %v", err)
			}
		}
	})
	gone := 0
	for i := range steps {
		r, err := owner.Truncate(ctx, TruncateRequest{Older: time.Duration(60+steps-1-i)*days + 12*time.Hour})
		if err != nil {
			t.Errorf("truncate: %v", err)
		}
		gone += r.Messages
	}
	writing.Wait()
	stop()
	reading.Wait()
	got := map[string]int{}
	for range fresh {
		select {
		case s := <-seen:
			got[s]++
		case <-ctx.Done():
			t.Fatalf("the watcher saw %d of %d", len(got), fresh)
		}
	}
	cancel()
	watching.Wait()
	if len(got) != fresh || len(seen) > 0 || gone != steps {
		t.Errorf("it saw %v, %d more; %d of %d went", got, len(seen), gone, steps)
	}
	if rows := w.inbox(green); len(rows) != fresh {
		t.Errorf("%d messages are left", len(rows))
	}
}

// TestTruncateNamedElsewhere: a file stays that a message of another log names, which has no
// copy of it: that of a clone which was a copy of this one.
func TestTruncateNamedElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	id := w.deliver(blue, Draft{To: []string{"BlueLake"}, Subject: "s", Body: "x", Attach: []AttachFile{{"a", []byte("both")}, {"b", []byte("mine")}}})
	sn, err := w.box.snapshot(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	m, err := w.box.message(w.ctx, sn, id)
	if err != nil {
		t.Fatal(err)
	}
	theirs := *m
	theirs.ID, theirs.Attachments = "zzzzzzzzzz", m.Attachments[:1]
	data, err := mail.Encode(&theirs)
	if err != nil {
		t.Fatal(err)
	}
	w.plant(theirs.Path(), string(data), w.at)
	w.pass(60 * days)
	if r := w.truncate(TruncateRequest{Older: 30 * days}); r.Messages != 1 || r.Attachments != 1 {
		t.Errorf("%+v", r)
	}
	if got, err := w.box.Attachment(w.ctx, blue, "zzzzzzzzzz", "a"); err != nil || string(got) != "both" {
		t.Errorf("%q, %v", got, err)
	}
	if w.bytesOf("mine") {
		t.Error("what nobody names is still there")
	}
}

// TestTruncateMeanwhile: what was sent between the look at the log and the lock keeps its files.
func TestTruncateMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	d := Draft{To: []string{"BlueLake"}, Subject: "s", Body: "x", Attach: []AttachFile{{"a", []byte("a")}}}
	w.deliver(blue, d)
	w.pass(60 * days)
	sn, err := w.box.snapshot(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	cutoff := w.at.Add(-30 * days)
	p, err := w.box.runOut(w.ctx, sn, cutoff)
	if err != nil || len(p.drop) != 2 || p.out.Attachments != 1 {
		t.Fatalf("%+v, %v", p, err)
	}
	w.deliver(blue, d)
	now, err := w.box.snapshot(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if p, err = w.box.stillOut(w.ctx, p, sn, now, cutoff); err != nil || len(p.drop) != 1 || p.out.Attachments != 0 {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestTruncateCommits: whose a commit is, is known for as long as a reservation of its time is held.
func TestTruncateCommits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	if _, err := w.box.Reserve(w.ctx, blue, ReserveRequest{Patterns: []string{"a"}, TTL: 30 * days}); err != nil {
		t.Fatal(err)
	}
	if err := w.box.update(w.ctx, blue, func(w *writer, me *mail.Agent) (string, error) {
		return "x", w.add(&mail.CommitSeen{Header: w.head(me.ID), OID: strings.Repeat("a", 40), Outcome: mail.CommitHeld, Touched: []mail.Touched{}})
	}); err != nil {
		t.Fatal(err)
	}
	w.pass(29 * days)
	if _, err := w.box.Renew(w.ctx, blue, LeaseFilter{}, 29*days-time.Hour); err != nil {
		t.Fatal(err)
	}
	w.pass(25 * days)
	if r := w.truncate(TruncateRequest{Older: 40 * days}); r.Events != 0 {
		t.Errorf("while it is held: %+v", r)
	}
	w.pass(45 * days)
	if r := w.truncate(TruncateRequest{Older: 40 * days}); r.Events != 1 || r.Reservations != 2 {
		t.Errorf("afterwards: %+v", r)
	}
}
