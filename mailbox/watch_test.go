package mailbox

import (
	"context"
	"errors"
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

func TestWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	w.send(blue, "GreenCastle") // before: does not count
	ctx, cancel := context.WithTimeout(w.ctx, 300*time.Millisecond)
	defer cancel()
	rows, err := w.open(w.dir).Wait(ctx, green)
	if err != nil || rows == nil || len(rows) != 0 {
		t.Errorf("nothing came: %+v, %v", rows, err)
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
		got := make(chan []InboxRow, 1)
		box := w.open(w.dir)
		go func() {
			ctx, cancel := context.WithTimeout(w.ctx, 20*time.Second)
			defer cancel()
			rows, err := box.Wait(ctx, tt.who)
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			got <- rows
		}()
		for sent := false; ; sent = true {
			select {
			case rows := <-got:
				if !sent || len(rows) == 0 || rows[0].Subject != tt.d.Subject {
					t.Errorf("%s: %+v", tt.name, rows)
				}
			case <-time.After(100 * time.Millisecond):
				w.send(green, "BlueLake") // for others: wakes nobody
				w.deliver(blue, tt.d)
				continue
			}
			break
		}
	}
	if _, err := w.box.Wait(w.ctx, Actor{Kind: IsUnidentified}); mail.CodeOf(err) != mail.NoAgent {
		t.Errorf("nobody waits: %v", err)
	}
	ctx, cancel = context.WithCancel(w.ctx)
	cancel()
	if _, err := w.box.Wait(ctx, green); mail.CodeOf(err) != mail.Cancelled {
		t.Errorf("interrupted: %v", err)
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
