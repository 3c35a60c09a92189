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

// TestCursorsLost: where the place is of no use, or cannot be kept, what is unread is
// shown; a log that does not lead on from it goes on from now. Either is said, once.
func TestCursorsLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	dir := filepath.Join(w.dir, ".git", "agentmail", "cursors")
	file := filepath.Join(dir, "wait-"+green.ID)
	var notes []string
	look := func() (got []string) {
		t.Helper()
		got, notes = w.looks(green)
		return got
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
	var unread []string
	for _, tt := range []struct {
		what, data, note string
		all              bool // that is unread
	}{
		{"damaged", "rubbish", "how far its reader had come; all unread mail is shown", true},
		{"empty", "", "how far its reader had come; all unread mail is shown", true},
		{"half", string(whole[:len(whole)-5]), "how far its reader had come; all unread mail is shown", true},
		{"a log that is gone as well", strings.Replace(string(whole), "end\n", "log 0000000000 "+oid+"\nend\n", 1), "", true},
		{"a commit that is gone", strings.Replace(string(whole), oid, strings.Repeat("1", 40), 1), "log " + replica + " does not lead on", false},
		{"set back", strings.Replace(string(whole), oid, w.in("rev-parse", "HEAD"), 1), "there it goes on from now", false},
	} {
		unread = append(unread, "unseen "+tt.what)
		w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "unseen " + tt.what})
		want := []string{}
		if tt.all {
			want = unread
		}
		replace(tt.data)
		if got := look(); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", tt.what, got, want)
		}
		noted(tt.what, tt.note)
		w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: tt.what})
		if got := look(); !slices.Equal(got, []string{tt.what}) {
			t.Errorf("after %s: %q", tt.what, got)
		}
		noted("after "+tt.what, "")
		unread = append(unread, tt.what)
	}
	// Nothing can be written: whoever waits is served all the same.
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	w.write(".git/agentmail/cursors", "a file where the directory belongs")
	for range 2 {
		if got := look(); !slices.Equal(got, unread) {
			t.Errorf("without a place: %q, want %q", got, unread)
		}
		if len(notes) != 2 || !strings.Contains(notes[0], "all unread mail is shown") || !strings.Contains(notes[1], "until it is read") {
			t.Errorf("without a place: noted %q", notes)
		}
	}
	for _, row := range w.inbox(green) {
		if _, err := w.box.Read(w.ctx, green, []string{row.ID}); err != nil {
			t.Fatal(err)
		}
	}
	if got := look(); len(got) != 0 {
		t.Errorf("without a place, all is read: %q", got)
	}
	// No more than a page.
	for i := range DefaultLimit + 2 {
		w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: fmt.Sprint(i)})
	}
	if got := look(); len(got) != DefaultLimit || got[0] != "2" {
		t.Errorf("without a place, many: %q", got)
	}
	if len(notes) != 3 || !strings.Contains(notes[1], "older unread mail") {
		t.Errorf("without a place, many: noted %q", notes)
	}
}

// looks calls Wait once in another process, as it were, and returns the subjects and
// what was noted.
func (w *world) looks(who Actor) (got, notes []string) {
	w.t.Helper()
	box, err := Open(w.ctx, Options{Dir: w.dir, Environ: w.env, Now: func() time.Time { return w.at }, Report: func(s string) { notes = append(notes, s) }})
	if err != nil {
		w.t.Error(err)
		return nil, nil
	}
	defer box.Close()
	calls := 0
	if err := box.Wait(w.ctx, who, 0, func(rows []InboxRow) error {
		got = subjects(rows)
		calls++
		return nil
	}); err != nil || calls != 1 {
		w.t.Errorf("wait: %v, %d calls", err, calls)
	}
	return got, notes
}

// TestWaitWithoutMailbox: a clone that has fetched mail and written none keeps no place.
func TestWaitWithoutMailbox(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	c := &world{t: t, dir: filepath.Join(t.TempDir(), "c"), env: w.env, at: w.at, ctx: w.ctx}
	w.git("clone", "-q", w.dir, c.dir)
	for _, s := range []string{"one", "two"} {
		w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: s})
		c.fetch(w)
	}
	for range 2 {
		got, notes := c.looks(green)
		if !slices.Equal(got, []string{"one", "two"}) || len(notes) != 1 || !strings.Contains(notes[0], "until it is read") {
			t.Errorf("%q, noted %q", got, notes)
		}
	}
	if _, err := os.Stat(filepath.Join(c.dir, ".git", "agentmail")); err == nil {
		t.Error("a mailbox was made")
	}
}

// TestWaitLogsGone: a log that goes takes nothing of the others with it, and one that
// comes back is not shown again.
func TestWaitLogsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	w.expect("the first", green)
	c := w.clone()
	red := c.agent("RedRiver")
	c.deliver(red, Draft{To: []string{"GreenCastle"}, Subject: "from afar"})
	w.fetch(c)
	w.expect("fetched", green, "from afar")
	sn, err := c.box.snapshot(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	theirs := "refs/agentmail/log/" + sn.Own()
	// What was seen is put back, as after fetch --prune.
	w.in("update-ref", "-d", theirs)
	w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "IMPORTANT"})
	w.expect("a log was removed", green, "IMPORTANT")
	w.in("rev-parse", "--verify", "-q", theirs)
	// Where nobody remembers it, it is gone.
	forget := func() {
		if err := os.Remove(filepath.Join(w.dir, ".git", "agentmail", "tips")); err != nil {
			t.Fatal(err)
		}
	}
	forget()
	w.in("update-ref", "-d", theirs)
	w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "IMPORTANT 2"})
	if got, notes := w.looks(green); !slices.Equal(got, []string{"IMPORTANT 2"}) || len(notes) > 0 {
		t.Errorf("a log is gone: %q, noted %q", got, notes)
	}
	w.expect("a log is gone, again", green)
	c.deliver(red, Draft{To: []string{"GreenCastle"}, Subject: "from afar 2"})
	w.fetch(c)
	w.expect("a log comes back", green, "from afar 2")
	// A log that was set back goes on from now; not so the others.
	forget()
	w.in("update-ref", theirs, theirs+"~1")
	w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "IMPORTANT 3"})
	got, notes := w.looks(green)
	if !slices.Equal(got, []string{"IMPORTANT 3"}) || len(notes) != 1 || !strings.Contains(notes[0], "log "+sn.Own()+" does not lead on") {
		t.Errorf("a log was set back: %q, noted %q", got, notes)
	}
	w.expect("a log was set back, again", green)
}

// TestWaitLostIsNoted: what comes to a log after it was found set back is not left out,
// even if it could not be handed over.
func TestWaitLostIsNoted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	w.expect("the first", green)
	file := filepath.Join(w.dir, ".git", "agentmail", "cursors", "wait-"+green.ID)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(data), "\n")
	lines[1] = lines[1][:len(lines[1])-40] + w.in("rev-parse", "HEAD")
	if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")), 0o666); err != nil {
		t.Fatal(err)
	}
	failed := errors.New("the pipe is broken")
	found, ended := make(chan bool, 1), make(chan error, 1)
	box, err := Open(w.ctx, Options{Dir: w.dir, Environ: w.env, Now: func() time.Time { return w.at }, Report: func(string) { found <- true }})
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	go func() {
		ended <- box.Wait(w.ctx, green, time.Minute, func([]InboxRow) error { return failed })
	}()
	<-found
	w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "since"})
	if err := <-ended; !errors.Is(err, failed) {
		t.Fatal(err)
	}
	w.expect("after the failure", green, "since")
}

// TestWaitCopies: a record that stands in two logs is one.
func TestWaitCopies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	w.expect("the first", green)
	sn, err := w.box.snapshot(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	double := func() { w.in("update-ref", "refs/agentmail/log/aaaaaaaaaa", "refs/agentmail/log/"+sn.Own()) }
	w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "one"})
	double()
	w.expect("both are new", green, "one")
	w.expect("both are new, again", green)
	w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "two"})
	w.expect("the own", green, "two")
	double()
	w.expect("then the copy", green)
	w.in("update-ref", "refs/agentmail/log/bbbbbbbbbb", "refs/agentmail/log/"+sn.Own())
	w.expect("another copy", green)
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

// beginWatch is the first look of an actor.
func (w *world) beginWatch(who Actor) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	if err := w.open(w.dir).Watch(ctx, who, func(e Event) error { w.t.Errorf("%+v", e); return nil }); err != nil {
		w.t.Fatal(err)
	}
}

// TestWatchGoesOn stops a watch in the middle of what one look has found.
func TestWatchGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "before the first"})
	w.beginWatch(green)
	w.beginWatch(w.person())
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
