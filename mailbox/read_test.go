package mailbox

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

func TestReadAndAck(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	a := w.send(blue, "GreenCastle")
	b := w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "b", AckRequired: true})
	commits := func() string { return w.in("rev-list", "--count", "--glob=refs/agentmail/log/*") }
	first, err := w.box.Read(w.ctx, green, []string{a[:4], b, a})
	if err != nil || len(first) != 3 || !first[0].Read || first[0].MessageID != a || first[2] != first[0] {
		t.Fatalf("%+v, %v", first, err)
	}
	n := commits()
	w.pass(time.Hour)
	again, err := w.box.Read(w.ctx, green, []string{a, b})
	if err != nil || again[0] != first[0] || again[1] != first[1] || commits() != n {
		t.Errorf("read again: %+v, %v, %s commits, want %s", again, err, commits(), n)
	}
	acked, err := w.box.Ack(w.ctx, green, []string{b})
	if err != nil || !acked[0].Acknowledged || acked[0].ReadAt != first[1].ReadAt || acked[0].AcknowledgedAt.Time().Sub(w.at).Abs() > time.Second {
		t.Errorf("%+v, %v", acked, err)
	}
	w.pass(time.Hour)
	n = commits()
	// Another Box, as another process has it.
	if again, err := w.open(w.dir).Ack(w.ctx, green, []string{b}); err != nil || again[0] != acked[0] || commits() != n {
		t.Errorf("acknowledged again: %+v, %v", again, err)
	}
	// To acknowledge is also to read.
	c := w.send(blue, "GreenCastle")
	if r, err := w.box.Ack(w.ctx, green, []string{c}); err != nil || r[0].ReadAt != r[0].AcknowledgedAt {
		t.Errorf("%+v, %v", r, err)
	}
	if in, err := w.box.Inbox(w.ctx, green, InboxQuery{Unread: true}); err != nil || len(in) != 0 {
		t.Errorf("unread: %v, %v", subjects(in), err)
	}
	// Not a recipient; unknown; nothing named. Nothing of the rest is written.
	d := w.send(blue, "GreenCastle")
	for _, ids := range [][]string{{d, a, "zzzzzzzzzz"}, {d, "zz"}, {}, nil} {
		if _, err := w.box.Ack(w.ctx, green, ids); err == nil {
			t.Errorf("Ack(%q) is no error", ids)
		}
	}
	_, err = w.box.Ack(w.ctx, blue, []string{d})
	wantCode(t, err, mail.NotFound)
	_, err = w.box.Read(w.ctx, w.person(), []string{d})
	wantCode(t, err, mail.NotFound)
	if in, err := w.box.Inbox(w.ctx, green, InboxQuery{Unread: true}); err != nil || len(in) != 1 || in[0].ID != d {
		t.Errorf("unread: %v, %v", subjects(in), err)
	}
}

func TestInboxFilters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	to := []string{"GreenCastle"}
	start := w.at
	var ids []string
	for _, d := range []Draft{
		{To: to, Subject: "low", Importance: mail.Low},
		{To: to, Subject: "normal", Topic: "Build"},
		{To: to, Subject: "high", Importance: mail.High, AckRequired: true},
		{To: to, Subject: "urgent", Importance: mail.Urgent, AckRequired: true, Topic: "build"},
		{CC: to, Subject: "copy"},
		{BCC: to, Subject: "blind"},
	} {
		w.pass(time.Minute)
		ids = append(ids, w.deliver(blue, d))
	}
	w.send(green, "BlueLake") // not for green
	if _, err := w.box.Ack(w.ctx, green, []string{ids[2]}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.box.Read(w.ctx, green, []string{ids[5]}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		q    InboxQuery
		want []string
	}{
		{"all, newest first", InboxQuery{}, []string{"blind", "copy", "urgent", "high", "normal", "low"}},
		{"unread", InboxQuery{Unread: true}, []string{"copy", "urgent", "normal", "low"}},
		{"urgent means high too", InboxQuery{Urgent: true}, []string{"urgent", "high"}},
		{"to be acknowledged", InboxQuery{AckRequired: true}, []string{"urgent"}},
		{"topic without case", InboxQuery{Topic: "BUILD"}, []string{"urgent", "normal"}},
		{"strictly newer", InboxQuery{Since: start.Add(4 * time.Minute).Truncate(time.Millisecond)}, []string{"blind", "copy"}},
		{"a little before", InboxQuery{Since: start.Add(4*time.Minute - 2*time.Millisecond)}, []string{"blind", "copy", "urgent"}},
		{"two", InboxQuery{Page: Page{N: 2}}, []string{"blind", "copy"}},
		{"more than there are", InboxQuery{Page: Page{N: 5000}}, []string{"blind", "copy", "urgent", "high", "normal", "low"}},
		{"after a message", InboxQuery{Page: Page{Before: ids[3][:5], N: 2}}, []string{"high", "normal"}},
		{"after the last", InboxQuery{Page: Page{Before: ids[0]}}, nil},
		{"unread, after one that is read", InboxQuery{Unread: true, Page: Page{Before: ids[5]}}, []string{"copy", "urgent", "normal", "low"}},
		{"all at once", InboxQuery{Unread: true, Urgent: true, Topic: "build", AckRequired: true}, []string{"urgent"}},
	} {
		got, err := w.box.Inbox(w.ctx, green, tt.q)
		if err != nil || !slices.Equal(subjects(got), tt.want) {
			t.Errorf("%s: %v, %v; want %v", tt.name, subjects(got), err, tt.want)
		}
		for _, r := range got {
			if r.BodyMD != nil {
				t.Errorf("%s: a body was not asked for", tt.name)
			}
		}
	}
	_, err := w.box.Inbox(w.ctx, green, InboxQuery{Page: Page{N: -1}})
	mustCode(t, err, mail.Invalid, "INVALID_LIMIT")
	_, err = w.box.Inbox(w.ctx, green, InboxQuery{Page: Page{Before: "zzzzzzzzzz"}})
	wantCode(t, err, mail.NotFound)
	_, err = w.box.Inbox(w.ctx, green, InboxQuery{Page: Page{Before: "zz"}})
	wantCode(t, err, mail.Invalid)
	// A person who has never written has an empty inbox, an unidentified agent none.
	if in := w.inbox(w.person()); len(in) != 0 {
		t.Errorf("%+v", in)
	}
	_, err = w.box.Inbox(w.ctx, Actor{Kind: IsUnidentified}, InboxQuery{})
	wantCode(t, err, mail.NoAgent)
}

// TestPages: of every list that is mostly wanted whole, the pages are the whole, whatever
// their size.
func TestPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	names := []string{"BlueLake", "GreenCastle", "RedFox", "QuietOwl", "ShyDeer", "OldStone", "TallPine"}
	blue := w.agent(names[0])
	for _, name := range names[1:] {
		w.agent(name)
	}
	for _, name := range []string{"RedFox", "OldStone", "GreenCastle", "TallPine", "QuietOwl"} {
		w.pass(time.Second)
		if _, err := w.box.RequestContact(w.ctx, blue, name, "", 0); err != nil {
			t.Fatal(err)
		}
		w.deliver(blue, Draft{To: []string{"BlueLake"}, Subject: name, Thread: "FEAT-1"})
		w.deliver(blue, Draft{To: []string{"BlueLake"}, Subject: "elsewhere", Thread: "FEAT-2"})
	}
	agents := func(p Page) (list []string, err error) {
		rows, err := w.box.Agents(w.ctx, p)
		for _, r := range rows {
			list = append(list, r.Name)
		}
		return list, err
	}
	contacts := func(p Page) (list []string, err error) {
		rows, err := w.box.Contacts(w.ctx, blue, p)
		for _, r := range rows {
			list = append(list, r.To)
		}
		return list, err
	}
	thread := func(p Page) (list []string, err error) {
		v, err := w.box.Thread(w.ctx, blue, "FEAT-1", p)
		for _, m := range v.Messages {
			list = append(list, m.ID)
		}
		return list, err
	}
	for _, tt := range []struct {
		name        string
		list        func(Page) ([]string, error)
		len         int
		oldestFirst bool
	}{{"agents", agents, 7, true}, {"contacts", contacts, 5, false}, {"thread", thread, 5, true}} {
		whole, err := tt.list(Page{})
		if err != nil || len(whole) != tt.len {
			t.Errorf("%s: %q, %v", tt.name, whole, err)
			continue
		}
		for n := 1; n <= tt.len+1; n++ {
			var got []string
			for before := ""; ; {
				rows, err := tt.list(Page{N: n, Before: before})
				if err != nil || len(rows) > n {
					t.Fatalf("%s: %d rows of %d, %v", tt.name, len(rows), n, err)
				}
				if len(rows) == 0 {
					break
				}
				if tt.oldestFirst {
					got, before = append(rows, got...), rows[0]
				} else {
					got, before = append(got, rows...), rows[len(rows)-1]
				}
			}
			if !slices.Equal(got, whole) {
				t.Errorf("%s, %d at a time: %q, not %q", tt.name, n, got, whole)
			}
		}
		if _, err := tt.list(Page{N: -1}); mail.AsError(err).Type != "INVALID_LIMIT" {
			t.Errorf("%s: %v", tt.name, err)
		}
		_, err = tt.list(Page{Before: "zzzzzzzzzz"})
		if e := wantCode(t, err, mail.NotFound); !strings.Contains(e.Message, "zzzzzzzzzz") {
			t.Errorf("%s: %s", tt.name, e.Message)
		}
	}
	if rows, _ := agents(Page{}); !slices.Equal(rows, names) {
		t.Errorf("not in order of registration: %q", rows)
	}
	if rows, _ := contacts(Page{}); !slices.Equal(rows, []string{"QuietOwl", "TallPine", "GreenCastle", "OldStone", "RedFox"}) {
		t.Errorf("not the newest first: %q", rows)
	}
	// A name is compared as everywhere; who is there but no contact is no place.
	if rows, err := contacts(Page{Before: "oldstone"}); err != nil || !slices.Equal(rows, []string{"RedFox"}) {
		t.Errorf("%q, %v", rows, err)
	}
	_, err := contacts(Page{Before: "ShyDeer"})
	wantCode(t, err, mail.NotFound)
	// A message of another thread is a place in time.
	other, err := w.box.Thread(w.ctx, blue, "FEAT-2", Page{N: 1})
	if err != nil || len(other.Messages) != 1 {
		t.Fatal(other, err)
	}
	if rows, err := thread(Page{Before: other.Messages[0].ID}); err != nil || len(rows) != 5 {
		t.Errorf("%q, %v", rows, err)
	}
	// The thread of one of its messages is found on every page.
	all, _ := thread(Page{})
	if v, err := w.box.Thread(w.ctx, blue, all[0], Page{N: 1, Before: all[2]}); err != nil || v.ThreadID != "FEAT-1" || len(v.Messages) != 1 || v.Messages[0].ID != all[1] {
		t.Errorf("%+v, %v", v, err)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	for i := range DefaultLimit + 3 {
		w.deliver(blue, Draft{To: []string{"BlueLake"}, Subject: fmt.Sprint(i)})
	}
	in, err := w.box.Inbox(w.ctx, blue, InboxQuery{})
	if err != nil || len(in) != DefaultLimit {
		t.Errorf("%d rows by default, %v", len(in), err)
	}
	// Page after page shows each once.
	seen := map[string]bool{}
	before := ""
	for range 10 {
		rows, err := w.box.Outbox(w.ctx, blue, Page{N: 7, Before: before}, false)
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) == 0 {
			break
		}
		for _, m := range rows {
			if seen[m.ID] || m.BodyMD != nil {
				t.Errorf("%s comes twice, or with its body", m.ID)
			}
			seen[m.ID] = true
		}
		before = rows[len(rows)-1].ID
	}
	if len(seen) != DefaultLimit+3 {
		t.Errorf("%d messages on all pages", len(seen))
	}
	for _, n := range []int{1, 1000, 1001, 1 << 30} {
		if got, err := (Page{N: n}).limit(); err != nil || got != min(n, MaxLimit) {
			t.Errorf("limit %d is %d, %v", n, got, err)
		}
	}
}

func TestThread(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	id := w.send(blue, "GreenCastle")
	w.pass(time.Second)
	reply, err := w.box.Reply(w.ctx, green, id, ReplyDraft{Body: "1"})
	if err != nil {
		t.Fatal(err)
	}
	w.pass(time.Second)
	second, err := w.box.Reply(w.ctx, blue, reply.ID, ReplyDraft{Body: "2"})
	if err != nil {
		t.Fatal(err)
	}
	w.pass(time.Second)
	named := w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "n", Thread: "FEAT-1"})
	w.pass(time.Second)
	other := w.deliver(green, Draft{To: []string{"BlueLake"}, Subject: "n", Thread: "FEAT-1"})
	w.deliver(green, Draft{To: []string{"BlueLake"}, Subject: "n", Thread: "feat-1"}) // names of threads have case
	all := []string{id, reply.ID, second.ID}
	for _, tt := range []struct {
		key, thread string
		want        []string
	}{
		{id, id, all}, {id[:6], id, all}, {strings.ToUpper(id), id, all},
		{reply.ID, id, all}, {reply.ID[:6], id, all}, // a letter in the thread stands for it
		{"FEAT-1", "FEAT-1", []string{named, other}}, {named, "FEAT-1", []string{named, other}}, {other[:7], "FEAT-1", []string{named, other}},
	} {
		got, err := w.box.Thread(w.ctx, green, tt.key, Page{})
		var ids []string
		for _, m := range got.Messages {
			ids = append(ids, m.ID)
		}
		if err != nil || got.ThreadID != tt.thread || !slices.Equal(ids, tt.want) {
			t.Errorf("Thread(%s): %s %v, %v; want %s %v", tt.key, got.ThreadID, ids, err, tt.thread, tt.want)
		}
	}
	for _, key := range []string{"FEAT-2", "zzzzzzzzzz", "", "zz"} {
		_, err := w.box.Thread(w.ctx, green, key, Page{})
		if e := wantCode(t, err, mail.NotFound); !strings.Contains(e.Message, "not found") {
			t.Error(e.Message)
		}
	}
}

func TestShow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	id := w.send(blue, "GreenCastle")
	for _, key := range []string{id, id[:4], strings.ToUpper(id[:7])} {
		if m, err := w.box.Show(w.ctx, green, key); err != nil || m.ID != id || *m.BodyMD != "text" {
			t.Errorf("Show(%s): %+v, %v", key, m, err)
		}
	}
	for key, code := range map[string]mail.Code{"zzzzz": mail.NotFound, "abc": mail.Invalid, "": mail.Invalid, "not an id": mail.Invalid} {
		if _, err := w.box.Show(w.ctx, green, key); mail.CodeOf(err) != code {
			t.Errorf("Show(%q): %v, want %s", key, err, code)
		}
	}
	if in, err := w.box.Inbox(w.ctx, green, InboxQuery{Unread: true}); err != nil || len(in) != 1 {
		t.Errorf("showing it has read it: %+v, %v", in, err)
	}
}

// TestAmbiguousPrefix: a prefix of several is an error that lists them.
func TestAmbiguousPrefix(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := byte(0)
	box, err := Open(w.ctx, Options{Dir: w.dir, Environ: w.env, Now: func() time.Time { return w.at }, Rand: func(b []byte) {
		clear(b)
		n++
		b[len(b)-1] = n
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	w.box = box
	blue := w.agent("BlueLake")
	w.send(blue, "BlueLake")
	w.send(blue, "BlueLake")
	_, err = box.Show(w.ctx, blue, "00000")
	if e := wantCode(t, err, mail.Invalid); len(e.Details["candidates"].([]string)) != 2 {
		t.Errorf("%+v", e)
	}
	ids := w.hold(blue, "a/**", "b/**")
	_, err = box.Release(w.ctx, blue, LeaseFilter{Either: []string{ids[0][:6]}})
	wantCode(t, err, mail.Invalid)
	_, err = box.ForceRelease(w.ctx, blue, ids[0][:6], "", false)
	wantCode(t, err, mail.Invalid)
}

// TestReadingChangesNothing: verbs that read leave the repository as it is, byte
// for byte, but for the caches; also where there is no mail yet.
func TestReadingChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	git := w.dir + "/.git"
	reads := func(who Actor, id string) {
		t.Helper()
		w.box.Inbox(w.ctx, who, InboxQuery{})
		w.box.Outbox(w.ctx, who, Page{}, true)
		w.box.Show(w.ctx, who, id)
		w.box.Thread(w.ctx, who, id, Page{})
		w.box.Agents(w.ctx, Page{})
		w.box.Whois(w.ctx, "BlueLake", 5)
		w.box.Contacts(w.ctx, who, Page{})
		w.box.Reservations(w.ctx, who, ReservationQuery{All: true, Activity: true})
		w.box.CheckPaths(w.ctx, who, []string{"src/auth/token.go"})
		w.box.CheckStaged(w.ctx, who)
		w.box.Log(w.ctx, who, LogQuery{})
		w.box.Status(w.ctx, who)
		w.box.Verify(w.ctx, nil)
		w.box.Doctor(w.ctx, who, false, "")
		w.box.HooksStatus(w.ctx)
		w.box.GuardNotice(w.ctx)
		w.box.UnpushedSummary(w.ctx)
		w.box.Init(w.ctx, InitRequest{DryRun: true})
		w.box.Uninstall(w.ctx, UninstallRequest{DryRun: true})
		w.box.Attachment(w.ctx, who, id, "a")
		for _, e := range []string{PreCommit, PreMergeCommit, PostCommit, PostMerge, PrePush} {
			w.box.Hook(w.ctx, HookRequest{Event: e}, func(ctx context.Context) (Actor, error) { return w.box.Who(ctx, Caller{}) })
		}
	}
	before := contents(t, git)
	reads(w.person(), "abcde")
	if c := changed(before, contents(t, git)); len(c) != 0 {
		t.Errorf("without mail, reading changes %q", c)
	}
	blue := w.agent("BlueLake")
	id := w.deliver(blue, Draft{To: []string{"BlueLake"}, Subject: "x", Attach: []AttachFile{{"a", []byte("x")}}})
	w.hold(blue, "doc/**")
	w.box = w.open(w.dir)
	before = contents(t, git, "agentmail-cache")
	reads(blue, id)
	reads(w.person(), id)
	if c := changed(before, contents(t, git, "agentmail-cache")); len(c) != 0 {
		t.Errorf("reading changes %q", c)
	}
}
