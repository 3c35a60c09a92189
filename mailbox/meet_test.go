package mailbox

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

// strongHere reports whether a reservation is held in a clone, and strong.
func (w *world) strongHere(id string) bool {
	w.t.Helper()
	list, err := w.box.Reservations(w.ctx, Actor{Kind: IsPerson}, ReservationQuery{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, l := range list {
		if l.ID == id {
			return true
		}
	}
	return false
}

// TestStrongElsewhere: an older reservation that comes by another way than from the remote that
// keeps the table does not take the place of a strong one, for there it would lose.
func TestStrongElsewhere(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"bundle", "remote", "remote, there first"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			hub, other := hubFor(t), hubFor(t)
			one := newWorld(t)
			two := one.clone()
			two.in("config", "agentmail.strongRemote", hub) // or nobody knows which of two it is
			a, b := one.agent("BlueLake"), two.agent("GreenCastle")
			one.sync(hub)
			two.sync(hub)
			one.sync(hub)
			weak := two.hold(b, "src/**")[0]
			one.pass(time.Minute)
			two.pass(time.Minute)
			r, err := one.box.Reserve(one.ctx, a, ReserveRequest{Patterns: []string{"src/a.go"}, Strong: true})
			if err != nil || len(r.Granted) != 1 || r.Granted[0].Token == 0 {
				t.Fatalf("%+v, %v", r, err)
			}
			strong := r.Granted[0].ID
			if way == "bundle" {
				file := filepath.Join(t.TempDir(), "carried")
				for _, w := range []*world{two, one} {
					if _, err := w.box.SyncBundle(w.ctx, file); err != nil {
						t.Fatal(err)
					}
				}
			} else {
				if way != "remote" {
					one.sync(other)
				}
				two.sync(other)
				one.sync(other)
			}
			if !one.strongHere(strong) {
				t.Error("the strong one was lost to an older one of which the table knows nothing")
			}
			two.sync(hub)
			one.sync(hub)
			if !one.strongHere(strong) || !two.strongHere(strong) || one.strongHere(weak) || two.strongHere(weak) {
				t.Errorf("strong: %v, %v; weak: %v, %v", one.strongHere(strong), two.strongHere(strong), one.strongHere(weak), two.strongHere(weak))
			}
		})
	}
}

// TestStrongCopied: a clone that finds out in the course of a push that it is the copy of another
// does not push under what that holds, and says so.
func TestStrongCopied(t *testing.T) {
	t.Parallel()
	hub := hubFor(t)
	one := newWorld(t)
	a := one.agent("BlueLake")
	one.sync(hub)
	r, err := one.box.Reserve(one.ctx, a, ReserveRequest{Patterns: []string{"src/**"}, Strong: true})
	if err != nil || len(r.Granted) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	dir := t.TempDir()
	if out, err := exec.Command("cp", "-a", one.dir+"/.", dir).CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
	two := *one
	two.dir = dir
	two.box = two.open(dir)
	one.send(a, "BlueLake")
	one.sync(hub)
	two.send(a, "BlueLake")
	var said strings.Builder
	_, err = two.box.Push(two.ctx, a, PushRequest{Remote: hub, Refspecs: []string{"HEAD:refs/heads/main"}, Stderr: &said})
	if mail.CodeOf(err) != mail.Denied || !strings.Contains(err.Error(), "new identity") {
		t.Errorf("%v", err)
	}
	if refs := refsOf(one, hub); strings.Contains(refs, "refs/heads/main") {
		t.Errorf("it was pushed: %s", refs)
	}
	if _, err := one.box.Push(one.ctx, a, PushRequest{Remote: hub, Refspecs: []string{"HEAD:refs/heads/main"}, Stderr: &said}); err != nil {
		t.Errorf("the other half: %v, %s", err, said.String())
	}
}
