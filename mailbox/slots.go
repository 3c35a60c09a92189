package mailbox

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/mail"
)

// The spans of build slots.
const (
	slotTTL    = time.Hour        // unless the request says otherwise
	slotExtend = 30 * time.Minute // by a renewal, unless it says otherwise
	slotLeast  = time.Minute
)

// maxSlotName is the greatest length of the name of a slot or its holder, in bytes.
const maxSlotName = 128

// AcquireSlot takes a build slot: a name by which agents tell each other that something
// runs of which one at a time is enough. It is always granted; who else holds it
// exclusively is listed, if it is asked for exclusively. The holder is the agent together
// with the branch; taking it again renews it. The agent need not be registered.
func (b *Box) AcquireSlot(ctx context.Context, who Actor, r SlotRequest) (SlotResult, error) {
	out := SlotResult{}
	ttl := max(cmp.Or(r.TTL, slotTTL), slotLeast)
	if ttl > mail.MaxSlotTTL {
		ttl = mail.MaxSlotTTL
		out.Warnings = append(out.Warnings, "a build slot is held for at most a day, then it must be renewed")
	}
	err := b.onSlot(ctx, who, r.Slot, func(w *slotWriter) (string, error) {
		out.Conflicts = []Slot{}
		for _, s := range w.all.ByAge() {
			if !r.Shared && s.Slot == w.slot && s.Exclusive && s.Live(w.now) && s.Key(s.Replica) != w.key {
				out.Conflicts = append(out.Conflicts, slotView(s.SlotEvent))
			}
		}
		e, err := w.hold(!r.Shared, ttl)
		if err == nil {
			out.Granted = slotView(*e)
		}
		return fmt.Sprintf("slot: %s holds %s", w.agent, w.slot), err
	})
	if err != nil {
		return SlotResult{}, err
	}
	return out, nil
}

// RenewSlot lets the holder keep a build slot: until then or for as long as it had it
// anyway, whichever is later. One that is not held is taken.
func (b *Box) RenewSlot(ctx context.Context, who Actor, slot string, extend time.Duration) (SlotRenewed, error) {
	extend = max(cmp.Or(extend, slotExtend), slotLeast)
	var out SlotRenewed
	err := b.onSlot(ctx, who, slot, func(w *slotWriter) (string, error) {
		exclusive, ttl := true, extend
		if w.mine != nil {
			exclusive = w.mine.Exclusive
			if w.mine.Live(w.now) {
				ttl = max(ttl, w.mine.Expires().Sub(w.now))
			}
		}
		e, err := w.hold(exclusive, min(ttl, mail.MaxSlotTTL))
		if err == nil {
			out = SlotRenewed{true, slotView(*e).ExpiresTS}
		}
		return fmt.Sprintf("slot: %s renews %s", w.agent, w.slot), err
	})
	return out, err
}

// ReleaseSlot gives a build slot back. What was recorded of it stays.
func (b *Box) ReleaseSlot(ctx context.Context, who Actor, slot string) (SlotReleased, error) {
	var out SlotReleased
	err := b.onSlot(ctx, who, slot, func(w *slotWriter) (string, error) {
		out = SlotReleased{ReleasedAt: TS(w.now.UTC())}
		if w.mine == nil || !w.mine.Live(w.now) {
			return "", nil
		}
		e := w.mine.SlotEvent
		e.Header, e.Op, e.TTL = w.head(w.by), mail.SlotRelease, 0
		out.Released = true
		return fmt.Sprintf("slot: %s releases %s", w.agent, w.slot), w.add(&e)
	})
	return out, err
}

// Slots lists the build slots that are held now, by anybody, the one taken first first.
func (b *Box) Slots(ctx context.Context) ([]Slot, error) {
	list := []Slot{}
	sn, err := b.snapshot(ctx)
	if err != nil {
		return list, err
	}
	all, err := b.slots(ctx, sn)
	for _, s := range all.ByAge() {
		if s.Live(b.now()) {
			list = append(list, slotView(s.SlotEvent))
		}
	}
	return list, err
}

func slotView(e mail.SlotEvent) Slot {
	end := (&mail.SlotState{SlotEvent: e}).Expires()
	return Slot{Slot: e.Slot, Agent: e.Agent, Branch: e.Branch, Exclusive: e.Exclusive, AcquiredTS: ts(e.Since), ExpiresTS: TS(end)}
}

// slots folds the events of build slots that may be live.
func (b *Box) slots(ctx context.Context, sn *gitstore.Snapshot) (mail.Slots, error) {
	all := mail.Slots{}
	since := b.now().Add(-mail.MaxSlotTTL - time.Hour)
	return all, b.walk(ctx, sn, "events/", recent("events", since), all.Apply)
}

// slotWriter is a transaction about one build slot in one holder's hands.
type slotWriter struct {
	*writer
	by          string // id of the agent who writes it down
	slot, agent string
	branch      string
	all         mail.Slots
	key         mail.SlotKey
	mine        *mail.SlotState // nil if it was never taken, or long ago
}

func (b *Box) onSlot(ctx context.Context, who Actor, slot string, fn func(*slotWriter) (string, error)) error {
	slot = strings.TrimSpace(slot)
	if slot == "" || len(slot) > maxSlotName || !utf8.ValidString(slot) || oneLine(slot) != slot {
		return mail.Errorf(mail.Invalid, "the slot %q is empty, longer than %d bytes or no single line", clip(slot, 40), maxSlotName).Hint("git agentmail slot acquire build")
	}
	agent := who.Name
	switch who.Kind {
	case IsPerson:
		agent = mail.HumanOverseer
	case IsUnidentified: // it is written down by the clone's person, in the name that was given
		agent = oneLine(who.Given)
		if agent == "" || who.err != nil && who.err.Code != mail.NotFound {
			return who.mayWrite()
		}
		if len(agent) > maxSlotName || !utf8.ValidString(agent) {
			return mail.Errorf(mail.Invalid, "the name %q is longer than %d bytes or not valid UTF-8", clip(agent, 40), maxSlotName)
		}
		who = Actor{Kind: IsPerson, Name: b.personName(ctx)}
	}
	branch := b.repo.Branch(ctx)
	return b.update(ctx, who, func(w *writer, me *mail.Agent) (string, error) {
		all, err := b.slots(ctx, w.tx.Snapshot())
		if err != nil {
			return "", err
		}
		applyCreated(w.tx.Created(), all.Apply, "events/")
		s := &slotWriter{writer: w, by: me.ID, slot: slot, agent: agent, branch: branch, all: all}
		s.key = (&mail.SlotEvent{Slot: slot, Agent: agent, Branch: branch}).Key(w.tx.Replica())
		s.mine = all[s.key]
		return fn(s)
	})
}

// hold writes that the slot is held from now on.
func (w *slotWriter) hold(exclusive bool, ttl time.Duration) (*mail.SlotEvent, error) {
	since := mail.At(w.now)
	if w.mine != nil && w.mine.Live(w.now) {
		since = w.mine.Since
	}
	e := &mail.SlotEvent{Header: w.head(w.by), Op: mail.SlotHold, Slot: w.slot, Agent: w.agent, Branch: w.branch, Exclusive: exclusive,
		Since: since, TTL: int64(math.Ceil(ttl.Seconds()))}
	return e, w.add(e)
}
