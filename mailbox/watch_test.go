package mailbox

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

func TestWatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	w.send(blue, "GreenCastle") // before the watch begins
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	var mu sync.Mutex
	seen := map[string][]string{}
	var done sync.WaitGroup
	watch := func(name string, who Actor) {
		box := w.open(w.dir)
		done.Go(func() {
			if err := box.Watch(ctx, who, func(e Event) error {
				mu.Lock()
				defer mu.Unlock()
				seen[name] = append(seen[name], e.Kind+" "+e.Agent)
				return nil
			}); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	has := func(name, event string) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			return slices.Contains(seen[name], event)
		}
	}
	watch("green", green)
	watch("person", w.person())
	// Until both are awake: reservations are told to everybody.
	for i := 0; !has("green", "reserve BlueLake")() || !has("person", "reserve BlueLake")(); i++ {
		if i == 100 {
			t.Fatalf("nothing is told: %v", seen)
		}
		w.hold(blue, "src/**")
		w.box.Release(w.ctx, blue, LeaseFilter{})
		time.Sleep(20 * time.Millisecond)
	}
	w.send(blue, "GreenCastle")
	w.send(green, "BlueLake")
	w.deliver(blue, Draft{To: []string{"BlueLake"}, BCC: []string{"GreenCastle"}, Subject: "blind"})
	if _, err := w.box.SetContactPolicy(w.ctx, blue, mail.PolicyOpen); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the person sees all", has("person", "profile BlueLake"))
	eventually(t, "the agent sees its mail", func() bool {
		mu.Lock()
		defer mu.Unlock()
		n := 0
		for _, e := range seen["green"] {
			if e == "message BlueLake" {
				n++
			}
		}
		return n == 2
	})
	cancel()
	done.Wait()
	if slices.Contains(seen["green"], "message GreenCastle") || slices.Contains(seen["green"], "profile BlueLake") {
		t.Errorf("the agent is told what is not its own: %v", seen["green"])
	}
	stop := errors.New("enough")
	done.Go(func() {
		err := w.open(w.dir).Watch(w.ctx, green, func(Event) error { return stop })
		if !errors.Is(err, stop) {
			t.Errorf("the caller's error comes back as %v", err)
		}
	})
	ended := make(chan bool)
	go func() { done.Wait(); close(ended) }()
	for range 100 {
		w.send(blue, "GreenCastle")
		select {
		case <-ended:
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Error("it does not end with the caller's error")
}

// waits calls Wait in another process, as it were, and returns what it hands over.
func (w *world) waits(who Actor, limit time.Duration) []InboxRow {
	w.t.Helper()
	var got []InboxRow
	err := w.open(w.dir).Wait(w.ctx, who, limit, func(rows []InboxRow) error {
		got = rows
		return nil
	})
	if err != nil || got == nil {
		w.t.Fatalf("wait: %+v, %v", got, err)
	}
	return got
}

// expect calls Wait, which must not have to wait, and compares the subjects.
func (w *world) expect(what string, who Actor, want ...string) {
	w.t.Helper()
	if got := subjects(w.waits(who, 0)); !slices.Equal(got, want) {
		w.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// TestWait waits for what comes while it waits.
func TestWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	w.send(blue, "GreenCastle") // before the first: does not count
	if rows := w.waits(green, 100*time.Millisecond); len(rows) != 0 {
		t.Errorf("nothing came: %+v", rows)
	}
	for _, tt := range []struct {
		name string
		who  Actor
		d    Draft
	}{
		{"to", green, Draft{To: []string{"GreenCastle"}, Subject: "a"}},
		{"blind copy", green, Draft{To: []string{"BlueLake"}, BCC: []string{"GreenCastle"}, Subject: "b"}},
		{"to the person", w.person(), Draft{To: []string{mail.HumanOverseer}, Subject: "c"}},
	} {
		if tt.who.Kind == IsPerson {
			w.send(w.person(), "BlueLake") // makes the person known; Wait is told of nobody yet
		}
		w.expect(tt.name+": nothing yet", tt.who)
		got := make(chan []InboxRow, 1)
		box := w.open(w.dir)
		go func() {
			var all []InboxRow
			if err := box.Wait(w.ctx, tt.who, time.Minute, func(rows []InboxRow) error {
				all = append(all, rows...)
				return nil
			}); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			got <- all
		}()
		w.send(green, "BlueLake") // for others: wakes nobody
		w.deliver(blue, tt.d)
		if rows := <-got; len(rows) != 1 || rows[0].Subject != tt.d.Subject {
			t.Errorf("%s: %+v", tt.name, rows)
		}
	}
	nothing := func([]InboxRow) error { return nil }
	if err := w.box.Wait(w.ctx, Actor{Kind: IsUnidentified}, 0, nothing); mail.CodeOf(err) != mail.NoAgent {
		t.Errorf("nobody waits: %v", err)
	}
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	if err := w.box.Wait(ctx, green, time.Minute, nothing); mail.CodeOf(err) != mail.Cancelled {
		t.Errorf("interrupted: %v", err)
	}
}

// TestWaitGoesOn waits again and again, with what happens between.
func TestWaitGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	to := func(subject string) string {
		return w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: subject})
	}
	to("before the first")
	w.expect("the first", green)
	to("one")
	w.expect("the next", green, "one")
	w.expect("not again", green)
	to("two")
	w.hold(blue, "src/**")
	to("three")
	w.expect("in the order of the log", green, "two", "three")
	read, acked := to("read"), to("acked")
	to("unread")
	if _, err := w.box.Read(w.ctx, green, []string{read}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.box.Ack(w.ctx, green, []string{acked}); err != nil {
		t.Fatal(err)
	}
	w.expect("what was read", green, "unread")
	both := w.deliver(blue, Draft{To: []string{"GreenCastle", "BlueLake"}, Subject: "both"})
	if _, err := w.box.Read(w.ctx, blue, []string{both}); err != nil {
		t.Fatal(err)
	}
	w.expect("what another has read", green, "both")
	w.expect("of another", blue)
	w.deliver(green, Draft{To: []string{"BlueLake"}, Subject: "to blue"})
	w.expect("each has a place", green)
	w.expect("each has a place", blue, "to blue")

	// What could not be handed over comes again.
	to("lost")
	failed := errors.New("the pipe is broken")
	if err := w.box.Wait(w.ctx, green, 0, func([]InboxRow) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("the caller's error comes back as %v", err)
	}
	w.expect("after a failure", green, "lost")

	// From another clone.
	c := w.clone()
	red := c.agent("RedRiver")
	c.deliver(red, Draft{To: []string{"GreenCastle"}, Subject: "from afar"})
	w.fetch(c)
	w.expect("fetched", green, "from afar")
	w.expect("fetched, again", green)

	// From a linked worktree, whose clone is this one.
	box, dir := w.worktree("tree")
	to("for the worktree")
	here := *w
	here.box, here.dir = box, dir
	here.expect("in a worktree", green, "for the worktree")
	w.expect("in the main one", green)
	w.in("pack-refs", "--all")
	w.expect("after pack-refs", green)
	to("last")
	w.in("gc", "-q", "--prune=now")
	w.expect("after gc", green, "last")
}

// TestCursorsLost: where the place is of no use, or cannot be kept, it goes on from now
// and says so, once.
func TestCursorsLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	dir := filepath.Join(w.dir, ".git", "agentmail", "cursors")
	file := filepath.Join(dir, "wait-"+green.ID)
	var notes []string
	look := func() []string {
		t.Helper()
		notes = nil
		box, err := Open(w.ctx, Options{Dir: w.dir, Environ: w.env, Now: func() time.Time { return w.at }, Report: func(s string) { notes = append(notes, s) }})
		if err != nil {
			t.Fatal(err)
		}
		defer box.Close()
		var got []InboxRow
		if err := box.Wait(w.ctx, green, 0, func(rows []InboxRow) error { got = rows; return nil }); err != nil {
			t.Fatal(err)
		}
		return subjects(got)
	}
	noted := func(what, want string) {
		t.Helper()
		if n := len(notes); want == "" && n > 0 || want != "" && (n != 1 || !strings.Contains(notes[0], want)) {
			t.Errorf("%s: noted %q, want %q", what, notes, want)
		}
	}
	look()
	noted("the first", "")
	replace := func(data string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(data), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, tip, _ := strings.Cut(string(whole), "log ")
	tip, _, _ = strings.Cut(tip, "\n")
	replica, oid, _ := strings.Cut(tip, " ")
	for _, tt := range []struct{ what, data, note string }{
		{"damaged", "rubbish", "how far its reader had come"},
		{"empty", "", "how far its reader had come"},
		{"a log that is gone", strings.Replace(string(whole), replica, "0000000000", 1), "it goes on from now"},
		{"a commit that is gone", strings.Replace(string(whole), oid, strings.Repeat("1", 40), 1), "it goes on from now"},
		{"set back", strings.Replace(string(whole), oid, w.in("rev-parse", "HEAD"), 1), "it goes on from now"},
	} {
		w.send(blue, "GreenCastle")
		replace(tt.data)
		if got := look(); len(got) != 0 {
			t.Errorf("%s: %q", tt.what, got)
		}
		noted(tt.what, tt.note)
		w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: tt.what})
		if got := look(); !slices.Equal(got, []string{tt.what}) {
			t.Errorf("after %s: %q", tt.what, got)
		}
		noted("after "+tt.what, "")
	}
	// Nothing can be written: whoever waits is served all the same.
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	w.write(".git/agentmail/cursors", "a file where the directory belongs")
	if got := look(); len(got) != 0 {
		t.Errorf("without a place: %q", got)
	}
	if len(notes) != 2 || !strings.Contains(notes[0], "it goes on from now") || !strings.Contains(notes[1], "may be shown again") {
		t.Errorf("without a place: noted %q", notes)
	}
}

// events runs Watch in another process, as it were, until n events were handed over, of
// which the last one is refused if stop is set.
func (w *world) events(who Actor, n int, stop error) []string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
	defer cancel()
	var got []string
	err := w.open(w.dir).Watch(ctx, who, func(e Event) error {
		got = append(got, e.Kind+" "+e.Summary)
		if len(got) == n {
			cancel()
			return stop
		}
		return nil
	})
	if stop != nil && err != nil && !errors.Is(err, stop) {
		w.t.Fatal(err)
	}
	if len(got) < n {
		w.t.Fatalf("only %q", got)
	}
	return got
}

// TestWatchGoesOn stops a watch in the middle of what one look has found.
func TestWatchGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "before the first"})
	for _, who := range []Actor{green, w.person()} { // the first look of each
		ctx, cancel := context.WithCancel(w.ctx)
		cancel()
		if err := w.open(w.dir).Watch(ctx, who, func(e Event) error { t.Errorf("%+v", e); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []string{"a", "b", "c", "d"} {
		w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: s})
	}
	w.deliver(green, Draft{To: []string{"BlueLake"}, Subject: "of others"})
	is := func(what string, got []string, want ...string) {
		t.Helper()
		for i := range want {
			want[i] = "message to " + want[i]
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	refused := errors.New("enough")
	is("stopped at the second", w.events(green, 2, refused), "GreenCastle: a", "GreenCastle: b")
	w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "e"})
	is("stopped at the second again", w.events(green, 2, refused), "GreenCastle: b", "GreenCastle: c")
	is("the rest", w.events(green, 3, nil), "GreenCastle: c", "GreenCastle: d", "GreenCastle: e")
	w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "f"})
	is("and on", w.events(green, 1, nil), "GreenCastle: f")
	// The person has a place of their own, and sees all.
	seenByAll := slices.DeleteFunc(w.events(w.person(), 8, nil), func(s string) bool { return strings.HasPrefix(s, "contact ") })
	is("the person", seenByAll, "GreenCastle: a", "GreenCastle: b", "GreenCastle: c", "GreenCastle: d", "BlueLake: of others", "GreenCastle: e", "GreenCastle: f")

	// Two at once go each their own way, and are no trouble to a third.
	w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "g"})
	ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
	defer cancel()
	seen := make(chan string, 100)
	var both sync.WaitGroup
	for range 2 {
		box := w.open(w.dir)
		both.Go(func() {
			if err := box.Watch(ctx, green, func(e Event) error { seen <- e.Summary; return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	// One of them may begin only after the other has said that g was handed over.
	for n := 0; n < 2; {
		w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "h"})
		count := map[string]int{}
		deadline := time.After(300 * time.Millisecond)
		for done := false; !done; {
			select {
			case s := <-seen:
				count[s]++
			case <-deadline:
				done = true
			}
		}
		n = count["to GreenCastle: h"]
		if ctx.Err() != nil {
			t.Fatal("not both see it")
		}
	}
	cancel()
	both.Wait()
	w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "i"})
	is("after both", w.events(green, 1, nil), "GreenCastle: i")
	// Nobody knows whose place it would be.
	nobody := Actor{Kind: IsUnidentified}
	ctx, cancel = context.WithCancel(w.ctx)
	cancel()
	if err := w.open(w.dir).Watch(ctx, nobody, func(Event) error { return nil }); err != nil {
		t.Error(err)
	}
	list, err := os.ReadDir(filepath.Join(w.dir, ".git", "agentmail", "cursors"))
	if err != nil || len(list) != 2 {
		t.Errorf("kept are %v, %v", list, err)
	}
}

// TestWatchSaves: while it goes on its place is noted, so that the note does not grow.
func TestWatchSaves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	var done sync.WaitGroup
	box := w.open(w.dir)
	done.Go(func() { box.Watch(ctx, green, func(Event) error { return nil }) })
	for range 2 {
		w.send(blue, "GreenCastle")
		eventually(t, "it is noted", func() bool {
			sn, err := w.box.snapshot(w.ctx)
			if err != nil {
				t.Fatal(err)
			}
			c, ok, err := w.box.store.Cursor("watch-" + green.ID)
			return ok && err == nil && c.Version == sn.Version() && len(c.Done) == 0
		})
	}
	cancel()
	done.Wait()
}

// TestWatchMakesNothing: where there is no mailbox yet there is none afterwards.
func TestWatchMakesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before := contents(t, w.dir)
	w.expect("without a mailbox", w.person())
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	if err := w.box.Watch(ctx, w.person(), func(Event) error { return nil }); err != nil {
		t.Error(err)
	}
	if list := changed(before, contents(t, w.dir)); len(list) > 0 {
		t.Errorf("changed: %q", list)
	}
}

func TestLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t).hooked()
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	id := w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "about src/auth/token.go", AckRequired: true, Body: strings.Repeat("x\n", 100)})
	w.box.Read(w.ctx, green, []string{id})
	w.box.Ack(w.ctx, green, []string{id})
	w.hold(blue, "src/auth/**")
	w.box.Renew(w.ctx, blue, LeaseFilter{}, time.Hour)
	w.write("src/auth/token.go", "x\n")
	w.does("GreenCastle", w.dir, "AGENTMAIL_BYPASS=why", "commit", "-q", "-a", "-m", "x")
	w.box.Release(w.ctx, blue, LeaseFilter{})
	w.hold(blue, "doc/**")
	w.box.ForceRelease(w.ctx, w.person(), w.live(blue, ReservationQuery{})[0].ID, "", false)
	w.box.SetContactPolicy(w.ctx, green, mail.PolicyOpen)
	w.box.RequestContact(w.ctx, green, "BlueLake", "", 0)
	w.agent("GreenCastle")
	kinds := func(q LogQuery) []string {
		t.Helper()
		q.N = MaxLimit
		list, err := w.box.Log(w.ctx, w.person(), q)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, e := range list {
			out = append(out, e.Kind)
			if e.Summary == "" || strings.Contains(e.Summary, "\n") || e.ID == "" || e.Agent == "" {
				t.Errorf("%+v", e)
			}
		}
		return out
	}
	for _, tt := range []struct {
		name string
		q    LogQuery
		want string
	}{
		{"all", LogQuery{}, "profile message contact profile force-release register reserve release commit message bypass renew reserve ack read contact message register register"},
		{"of one agent", LogQuery{Agent: "bluelake"}, "reserve release renew reserve message contact register"},
		{"of a path", LogQuery{Path: "src/auth/token.go"}, "release commit message bypass renew reserve message"},
		{"of a directory", LogQuery{Path: "src/auth/"}, "release commit message bypass renew reserve message"},
		{"of a path nobody knows", LogQuery{Path: "zzz"}, ""},
	} {
		got := kinds(tt.q)
		want := strings.Fields(tt.want)
		if tt.name != "all" && !slices.Equal(got, want) || tt.name == "all" && len(got) != len(want) {
			t.Errorf("%s: %v, want %v", tt.name, got, want)
		}
	}
	all, err := w.box.Log(w.ctx, w.person(), LogQuery{Page: Page{N: 3}})
	if err != nil || len(all) != 3 {
		t.Fatalf("%+v, %v", all, err)
	}
	rest, err := w.box.Log(w.ctx, w.person(), LogQuery{Page: Page{N: 1, Before: all[2].ID}})
	if err != nil || len(rest) != 1 || rest[0].ID == all[2].ID {
		t.Errorf("%+v, %v", rest, err)
	}
	_, err = w.box.Log(w.ctx, w.person(), LogQuery{Agent: "Nobody1"})
	wantCode(t, err, mail.NotFound)
}

func TestStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if st, err := w.box.Status(w.ctx, w.person()); err != nil || st.Agents == nil || st.Reservations == nil || st.Unacked == nil || st.Urgent == nil || len(st.Worktrees) != 1 {
		t.Errorf("without mail: %+v, %v", st, err)
	}
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	old := w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "old", AckRequired: true})
	w.pass(time.Minute)
	w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "new", AckRequired: true, Importance: mail.Urgent})
	done := w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "done", AckRequired: true, Importance: mail.High})
	if _, err := w.box.Ack(w.ctx, green, []string{done}); err != nil {
		t.Fatal(err)
	}
	w.hold(blue, "src/**")
	st, err := w.box.Status(w.ctx, green)
	if err != nil || st.Messages != 3 || !slices.Equal(subjects(st.Unacked), []string{"old", "new"}) || st.Unacked[0].ID != old || st.Unacked[0].For != "GreenCastle" ||
		!slices.Equal(subjects(st.Urgent), []string{"new"}) || len(st.Reservations) != 1 || len(st.Agents) != 2 || st.Agents[1].Unread != 2 || st.Agents[0].Reservations != 1 ||
		st.You.ID != green.ID || st.Guard.Mode != ModeBlock || st.Project.HumanKey != w.dir {
		t.Errorf("%+v, %v", st, err)
	}
}
