package mailbox

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

func (w *world) slot(who Actor, name string, r SlotRequest) SlotResult {
	w.t.Helper()
	r.Slot = name
	got, err := w.box.AcquireSlot(w.ctx, who, r)
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

// slots are what is held, as slot/agent/branch.
func (w *world) slots(b *Box) string {
	w.t.Helper()
	list, err := b.Slots(w.ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	var names []string
	for _, s := range list {
		names = append(names, s.Slot+"/"+s.Agent+"/"+s.Branch)
	}
	return strings.Join(names, " ")
}

func TestSlots(t *testing.T) {
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	first := w.slot(blue, "build", SlotRequest{})
	if d := first.Granted.ExpiresTS.Time().Sub(w.at).Round(time.Second); d != time.Hour || len(first.Conflicts) != 0 {
		t.Errorf("%+v", first)
	}
	if got := w.slot(green, "build", SlotRequest{TTL: time.Second}); len(got.Conflicts) != 1 || got.Conflicts[0].Agent != "BlueLake" ||
		got.Granted.ExpiresTS.Time().Sub(w.at).Round(time.Second) != time.Minute {
		t.Errorf("%+v", got)
	}
	if got := w.slot(green, "e2e", SlotRequest{TTL: 72 * time.Hour}); len(got.Conflicts) != 0 || len(got.Warnings) != 1 {
		t.Errorf("%+v", got)
	}
	w.pass(30 * time.Minute) // green's build is over
	again := w.slot(blue, "build", SlotRequest{})
	if len(again.Conflicts) != 0 || again.Granted.AcquiredTS != first.Granted.AcquiredTS || !again.Granted.ExpiresTS.Time().After(first.Granted.ExpiresTS.Time()) {
		t.Errorf("%+v, then %+v", first, again)
	}
	// Shared ones mind nobody, and nobody minds them.
	if got := w.slot(green, "build", SlotRequest{Shared: true}); len(got.Conflicts) != 0 {
		t.Errorf("%+v", got)
	}
	if got := w.slot(blue, "build", SlotRequest{}); len(got.Conflicts) != 0 {
		t.Errorf("%+v", got)
	}
	// On another branch the same agent is another holder.
	_, tree := w.worktree("feature")
	other := w.open(tree)
	got, err := other.AcquireSlot(w.ctx, blue, SlotRequest{Slot: "build"})
	if err != nil || got.Granted.Branch != "feature" || len(got.Conflicts) != 1 || got.Conflicts[0].Branch != "main" {
		t.Errorf("%+v, %v", got, err)
	}
	if s := w.slots(w.box); s != "build/BlueLake/main e2e/GreenCastle/main build/GreenCastle/main build/BlueLake/feature" {
		t.Errorf("held: %s", s)
	}
	for _, want := range []bool{true, false} {
		r, err := other.ReleaseSlot(w.ctx, blue, "build")
		if err != nil || r.Released != want || r.ReleasedAt.Time().IsZero() {
			t.Errorf("%+v, %v", r, err)
		}
	}
	if s := w.slots(w.box); strings.Contains(s, "feature") || !strings.Contains(s, "build/BlueLake/main") {
		t.Errorf("held: %s", s)
	}
	// What is not held is taken by a renewal, which never shortens.
	old := w.slot(blue, "long", SlotRequest{TTL: 5 * time.Hour}).Granted.ExpiresTS
	if r, err := w.box.RenewSlot(w.ctx, blue, "long", time.Hour); err != nil || !r.Renewed || r.ExpiresTS.Time().Before(old.Time()) {
		t.Errorf("%+v, %v", r, err)
	}
	w.pass(26 * time.Hour)
	if s := w.slots(w.box); s != "" {
		t.Errorf("held: %s", s)
	}
	if r, err := w.box.RenewSlot(w.ctx, blue, "build", 0); err != nil || r.ExpiresTS.Time().Sub(w.at).Round(time.Second) != 30*time.Minute {
		t.Errorf("%+v, %v", r, err)
	}
	for _, bad := range []string{"", " ", "a\nb", strings.Repeat("x", 200), "\xff"} {
		_, err := w.box.AcquireSlot(w.ctx, blue, SlotRequest{Slot: bad})
		wantCode(t, err, mail.Invalid)
	}
	rows, err := w.box.Log(w.ctx, w.person(), LogQuery{Page: Page{N: 100}})
	kinds := map[string]int{}
	for _, e := range rows {
		kinds[e.Kind]++
	}
	if err != nil || kinds["slot-release"] != 1 || kinds["slot"] < 8 || kinds["unknown"] != 0 {
		t.Errorf("%v, %v", kinds, err)
	}
}

// TestSlotUnregistered: an agent that nobody registered can hold a slot, under the name
// that it gives; who gives none, a placeholder, or another clone's agent cannot.
func TestSlotUnregistered(t *testing.T) {
	w := newWorld(t)
	who := func(name string) Actor {
		t.Helper()
		a, err := w.box.Who(w.ctx, Caller{As: name, Client: true})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	w.slot(who("codex"), "build", SlotRequest{})
	if got := w.slot(who("RedFox"), "build", SlotRequest{}); len(got.Conflicts) != 1 || got.Conflicts[0].Agent != "codex" {
		t.Errorf("%+v", got)
	}
	if s := w.slots(w.box); s != "build/codex/main build/RedFox/main" {
		t.Errorf("held: %s", s)
	}
	if r, err := w.box.ReleaseSlot(w.ctx, who("CODEX"), "build"); err != nil || !r.Released {
		t.Errorf("%+v, %v", r, err)
	}
	for name, code := range map[string]mail.Code{"": mail.NoAgent, "YOUR_AGENT": mail.Invalid, mail.HumanOverseer: mail.Denied, strings.Repeat("x", 200): mail.Invalid} {
		_, err := w.box.AcquireSlot(w.ctx, who(name), SlotRequest{Slot: "build"})
		if mail.CodeOf(err) != code {
			t.Errorf("%q: %v", name, err)
		}
	}
	blue := w.agent("BlueLake")
	w.slot(blue, "build", SlotRequest{})
	c := w.clone()
	_, err := c.box.AcquireSlot(w.ctx, func() Actor { a, _ := c.box.As(w.ctx, "BlueLake"); return a }(), SlotRequest{Slot: "build"})
	wantCode(t, err, mail.Denied)
	// What one clone holds the other sees.
	got, err := c.box.AcquireSlot(w.ctx, c.agent("GreenCastle"), SlotRequest{Slot: "build"})
	if err != nil || len(got.Conflicts) != 2 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestSlotRace: of several that take a slot at once, all but one see another.
func TestSlotRace(t *testing.T) {
	w := newWorld(t)
	var agents []Actor
	for i := range 6 {
		agents = append(agents, w.agent(fmt.Sprint("Blue", i)))
	}
	found := make([]int, len(agents))
	var all sync.WaitGroup
	for i, who := range agents {
		all.Go(func() {
			r, err := w.open(w.dir).AcquireSlot(w.ctx, who, SlotRequest{Slot: "build"})
			if err != nil {
				t.Error(err)
			}
			found[i] = len(r.Conflicts)
		})
	}
	all.Wait()
	seen := map[int]bool{}
	for _, n := range found {
		seen[n] = true
	}
	if len(seen) != len(agents) {
		t.Errorf("conflicts: %v", found)
	}
}
