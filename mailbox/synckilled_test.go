package mailbox

import (
	"strings"
	"testing"
	"time"
)

// TestSyncKilledBeforeLook: who is killed after the logs have come, and before it has looked at
// them, learns of a lost reservation with the next exchange all the same.
func TestSyncKilledBeforeLook(t *testing.T) {
	t.Parallel()
	hub := hubFor(t)
	one := newWorld(t)
	two := one.clone()
	two.at = two.at.Add(time.Minute)
	first, second := one.agent("BlueLake"), two.agent("GreenCastle")
	one.sync(hub)
	two.sync(hub)
	for _, x := range []struct {
		w *world
		a Actor
	}{{one, first}, {two, second}} {
		if _, err := x.w.box.Reserve(x.w.ctx, x.a, ReserveRequest{Patterns: []string{"src/**"}}); err != nil {
			t.Fatal(err)
		}
	}
	one.sync(hub)
	if _, err := two.box.store.Sync(two.ctx, hub); err != nil { // and no more
		t.Fatal(err)
	}
	if said := strings.Join(two.sync(hub).Notices, "\n"); !strings.Contains(said, `GreenCastle lost the reservation "src/**"`) {
		t.Errorf("was said: %q", said)
	}
	if said := two.sync(hub).Notices; len(said) > 0 {
		t.Errorf("was said again: %q", said)
	}
}
