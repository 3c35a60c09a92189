package mailbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

// hubFor makes a bare repository that worlds exchange mail through.
func hubFor(t *testing.T) string {
	t.Helper()
	hub := filepath.Join(t.TempDir(), "hub.git")
	if out, err := exec.Command("git", "init", "-q", "--bare", hub).CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	return hub
}

func (w *world) sync(hub string) SyncResult {
	w.t.Helper()
	list, err := w.box.Sync(w.ctx, hub)
	if err != nil || len(list) != 1 {
		w.t.Fatal(list, err)
	}
	return list[0]
}

// TestSyncApart: two clones register one name, reserve the same files and answer in one
// thread while they are apart. Afterwards both show the same, nobody's mail goes to the
// namesake, and both are told.
func TestSyncApart(t *testing.T) {
	t.Parallel()
	hub := hubFor(t)
	one := newWorld(t)
	two := one.clone()
	first := one.agent("BlueLake")
	start := one.send(first, "BlueLake")
	one.sync(hub)
	two.at = two.at.Add(time.Minute)
	namesake := two.agent("BlueLake")
	second := two.agent("GreenCastle")
	names := two.sync(hub).Notices
	reserve := func(w *world, who Actor, pattern string) {
		t.Helper()
		if _, err := w.box.Reserve(w.ctx, who, ReserveRequest{Patterns: []string{pattern}}); err != nil {
			t.Fatal(err)
		}
	}
	reserve(one, first, "src/auth/**")
	reserve(two, second, "src/**/token.go")
	answer := func(w *world, who Actor, text string) string {
		t.Helper()
		r, err := w.box.Reply(w.ctx, who, start, ReplyDraft{Body: text})
		if err != nil {
			t.Fatal(err)
		}
		return r.Deliveries[0].Payload.ID
	}
	answer(one, first, "from the first")
	answer(two, second, "from the second")

	here := one.sync(hub).Notices
	there := two.sync(hub).Notices
	here = append(here, one.sync(hub).Notices...)
	if said := strings.Join(there, "\n"); !strings.Contains(said, `GreenCastle lost the reservation "src/**/token.go" to BlueLake: theirs is older`) {
		t.Errorf("of the reservations was said: %q", said)
	}
	for _, who := range []struct {
		w *world
		a Actor
	}{{one, first}, {two, second}} {
		rows, err := who.w.box.Inbox(who.w.ctx, who.a, InboxQuery{})
		if err != nil || !slices.ContainsFunc(rows, func(m InboxRow) bool { return strings.Contains(m.Subject, "Lost src/**/token.go") }) {
			t.Errorf("%s was not told by mail: %+v, %v", who.a.Name, rows, err)
		}
	}
	for _, list := range [][]string{names, here} {
		if said := strings.Join(list, "\n"); strings.Count(said, `registered the name "BlueLake"`) != 1 || !strings.Contains(said, "BlueLake~"+namesake.ID[:2]) {
			t.Errorf("of the names was said: %q", said)
		}
	}
	show := func(w *world) string {
		t.Helper()
		thread, err := w.box.Thread(w.ctx, Actor{Kind: IsPerson}, start, Page{})
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, m := range thread.Messages {
			b.WriteString(m.From + " to " + strings.Join(m.To, ",") + ": " + m.Subject + "\n")
		}
		list, err := w.box.Reservations(w.ctx, Actor{Kind: IsPerson}, ReservationQuery{})
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range list {
			b.WriteString(l.Agent + " " + l.PathPattern + "\n")
		}
		return b.String()
	}
	if a, b := show(one), show(two); a != b || !strings.Contains(a, "GreenCastle to BlueLake:") {
		t.Errorf("one shows\n%s\ntwo shows\n%s", a, b)
	}
	if rows, err := two.box.Inbox(two.ctx, namesake, InboxQuery{}); err != nil || len(rows) > 0 {
		t.Errorf("the namesake got %v, %v", rows, err)
	}
}

// TestSyncTwoRemotes: which of two remotes has the table, is asked of those who want something
// strong, and of nobody else.
func TestSyncTwoRemotes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	for _, name := range []string{"here", "there"} {
		w.in("remote", "add", name, hubFor(t))
		w.box = w.open(w.dir)
		w.sync(name)
	}
	w.send(blue, "BlueLake")
	if list, err := w.box.Sync(w.ctx, ""); err != nil || len(list) != 2 {
		t.Errorf("%+v, %v", list, err)
	}
	_, err := w.box.Reserve(w.ctx, blue, ReserveRequest{Patterns: []string{"src/**"}, Strong: true})
	wantCode(t, err, mail.Invalid)
	w.set("agentmail.strongRemote", "there")
	if r, err := w.box.Reserve(w.ctx, blue, ReserveRequest{Patterns: []string{"src/**"}, Strong: true}); err != nil || r.Granted[0].Token != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	// What stands somewhere says where; what was asked for elsewhere is asked for there.
	w.in("config", "--unset", "agentmail.strongRemote")
	w.box = w.open(w.dir)
	if list, err := w.box.Sync(w.ctx, ""); err != nil || len(list) != 2 {
		t.Errorf("mail was exchanged with %+v, %v", list, err)
	}
	if r, err := w.box.Reserve(w.ctx, blue, ReserveRequest{Patterns: []string{"docs/**"}, Strong: true}); err != nil || r.Granted[0].Token != 2 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestKeepSynced: what is written in one clone arrives in another that only waits, also after
// the hub was away.
func TestKeepSynced(t *testing.T) {
	t.Parallel()
	hub := hubFor(t)
	one := newWorld(t)
	two := one.clone()
	blue := one.agent("BlueLake")
	one.sync(hub)
	two.sync(hub)
	ctx, stop := context.WithCancel(t.Context())
	told := make(chan SyncResult, 100)
	ended := make(chan error, 2)
	for _, w := range []*world{one, two} {
		go func() {
			ended <- w.box.KeepSynced(ctx, hub, 100*time.Millisecond, func(r SyncResult) {
				if w == two {
					told <- r
				}
			})
		}()
	}
	await := func(want func(SyncResult) bool) {
		t.Helper()
		for limit := time.After(20 * time.Second); ; {
			select {
			case r := <-told:
				if want(r) {
					return
				}
			case <-limit:
				t.Fatal("it was not told")
			}
		}
	}
	one.send(blue, "BlueLake")
	await(func(r SyncResult) bool { return r.Messages == 1 })
	if err := os.Rename(hub, hub+".away"); err != nil {
		t.Fatal(err)
	}
	await(func(r SyncResult) bool { return r.Error != nil && r.Error.Code == mail.Remote })
	one.send(blue, "BlueLake")
	if err := os.Rename(hub+".away", hub); err != nil {
		t.Fatal(err)
	}
	await(func(r SyncResult) bool { return r.Messages == 1 })
	stop()
	for range 2 {
		if err := <-ended; mail.CodeOf(err) != mail.Cancelled {
			t.Errorf("it ended with %v", err)
		}
	}
}

// TestKeepGivesUp: who gives up, and is begun again as in a server, leaves nothing running, and
// where no remote is left there is nothing to keep on with.
func TestKeepGivesUp(t *testing.T) {
	w := newWorld(t)
	w.agent("BlueLake")
	broken := errors.New("broken")
	before := runtime.NumGoroutine()
	for range 20 {
		if err := w.box.keep(w.ctx, func() ([]string, error) { return nil, broken }, time.Second, nil); !errors.Is(err, broken) {
			t.Fatal(err)
		}
		if err := w.box.keep(w.ctx, w.box.store.Hubs, time.Second, nil); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before+5; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, there were %d", runtime.NumGoroutine(), before)
		}
	}
}

// TestKeepBesideAnother: somebody who exchanges already is no reason to give up.
func TestKeepBesideAnother(t *testing.T) {
	t.Parallel()
	hub := hubFor(t)
	w := newWorld(t)
	w.agent("BlueLake")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	told := make(chan SyncResult, 100)
	for range 3 {
		go w.box.KeepSynced(ctx, hub, 20*time.Millisecond, func(r SyncResult) { told <- r })
	}
	for limit := time.After(20 * time.Second); ; {
		select {
		case r := <-told:
			if r.Error != nil {
				t.Fatal(r.Error)
			}
			if r.Pushed > 0 {
				return
			}
		case <-limit:
			t.Fatal("nothing was exchanged")
		}
	}
}

// TestArchiveTold: the logs of clones that nobody uses any more become one ref. Who does it is
// told so, doctor and status count them, and a fresh clone has all mail.
func TestArchiveTold(t *testing.T) {
	t.Parallel()
	hub := hubFor(t)
	one := newWorld(t)
	for i := range 16 {
		c := one.clone()
		who := c.agent(fmt.Sprintf("Agent%d", i))
		c.send(who, who.Name)
		c.sync(hub)
	}
	one.at = one.at.Add(15 * 24 * time.Hour)
	who := one.agent("BlueLake")
	if r := one.sync(hub); r.Retired != 16 || r.Messages != 16 {
		t.Errorf("%+v", r)
	}
	d, err := one.box.Doctor(one.ctx, who, false, "")
	if err != nil || !strings.Contains(fmt.Sprint(d.Findings), "16 logs of idle clones in archives") {
		t.Errorf("%+v, %v", d, err)
	}
	if s, err := one.box.Status(one.ctx, who); err != nil || s.Remotes[0].Archived != 16 || !strings.Contains(s.Remotes[0].Place, "refs/agentmail/log/") {
		t.Errorf("%+v, %v", s.Remotes, err)
	}
	if out, err := exec.Command("git", "-C", hub, "for-each-ref").CombinedOutput(); err != nil || strings.Count(string(out), "\n") != 2 {
		t.Errorf("%v\n%s", err, out)
	}
	fresh := newWorld(t)
	if r := fresh.sync(hub); r.Messages != 16 {
		t.Errorf("%+v", r)
	}
}

// TestSyncPrefixTold: that a hub takes branches only is told once; that it takes nothing, with
// what to set.
func TestSyncPrefixTold(t *testing.T) {
	t.Parallel()
	hub := hubFor(t)
	accept := func(prefix string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(hub, "hooks", "update"), []byte("#!/bin/sh\ncase $1 in "+prefix+"*) ;; *) exit 1 ;; esac\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w := newWorld(t)
	who := w.agent("BlueLake")
	accept("nothing")
	list, err := w.box.Sync(w.ctx, hub)
	if e := mail.AsError(err); mail.CodeOf(err) != mail.Remote || !strings.Contains(strings.Join(e.Hints, "\n"), "agentmail.refPrefix") || !strings.Contains(strings.Join(e.Hints, "\n"), "--bundle") {
		t.Errorf("%+v, %v", list, e)
	}
	if s, err := w.box.Status(w.ctx, who); err != nil || len(s.Remotes) != 1 || len(s.Remotes[0].NotTaken) != 2 {
		t.Errorf("%+v, %v", s.Remotes, err)
	}
	accept("refs/heads/")
	for i := range 2 {
		r := w.sync(hub)
		if told := strings.Contains(strings.Join(r.Notices, "\n"), "takes no refs but branches"); told != (i == 0) || !r.Branches {
			t.Errorf("%d: %+v", i, r)
		}
		w.send(who, "BlueLake")
	}
}

// TestSyncLaterSeen: what was written by somebody who had seen a value stands, though the
// clock of whoever wrote that value is years ahead.
func TestSyncLaterSeen(t *testing.T) {
	t.Parallel()
	hub := hubFor(t)
	one, two := newWorld(t), newWorld(t)
	one.at = one.at.AddDate(9, 0, 0)
	blue := one.agent("BlueLake")
	if _, err := one.box.SetContactPolicy(one.ctx, blue, mail.PolicyOpen); err != nil {
		t.Fatal(err)
	}
	one.sync(hub)
	two.sync(hub)
	if _, err := two.box.Register(two.ctx, RegisterRequest{Name: "BlueLake", Program: "test", Model: "m", Adopt: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := two.box.SetContactPolicy(two.ctx, blue, mail.PolicyBlockAll); err != nil {
		t.Fatal(err)
	}
	two.sync(hub)
	one.sync(hub)
	for _, w := range []*world{one, two} {
		sn, err := w.box.snapshot(w.ctx)
		if err != nil {
			t.Fatal(err)
		}
		d, err := w.box.directory(w.ctx, sn)
		if err != nil {
			t.Fatal(err)
		}
		their, err := two.box.snapshot(two.ctx)
		if err != nil {
			t.Fatal(err)
		}
		if a := d.Agents[blue.ID]; a.Home.Value != their.Own() || a.Policy() != mail.PolicyBlockAll {
			t.Errorf("%s: home %s, policy %s", w.dir, a.Home.Value, a.Policy())
		}
	}
}
