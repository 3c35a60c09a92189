package mail

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// SlotState is a build slot in one holder's hands, by the newest event about it.
type SlotState struct {
	SlotEvent
	Replica string
}

// SlotKey tells holders apart: an agent, by its name, on a branch, in a clone. Only that
// clone writes of it.
type SlotKey struct{ Slot, Replica, Agent, Branch string }

// Slots is the fold of slot events.
type Slots map[SlotKey]*SlotState

// Key returns what the event is about, in the log of replica.
func (e *SlotEvent) Key(replica string) SlotKey {
	return SlotKey{e.Slot, replica, strings.ToLower(e.Agent), e.Branch}
}

// Apply adds a record found in the log of replica; others than slot events are passed
// over. The newest event counts, whatever the order in which they come; of equal ones,
// which only damage or malice makes, a fixed one.
func (ss Slots) Apply(replica string, r Record) {
	e, ok := r.(*SlotEvent)
	if !ok {
		return
	}
	key := e.Key(replica)
	if old := ss[key]; old == nil || order(&old.SlotEvent, e) < 0 {
		ss[key] = &SlotState{*e, replica}
	}
}

// Expires returns when the slot is free again unless it is renewed.
func (s *SlotState) Expires() time.Time { return s.At.Time().Add(time.Duration(s.TTL) * time.Second) }

// Live reports whether the slot is held at now. An event from a clock that is more than
// MaxSkew ahead does not count.
func (s *SlotState) Live(now time.Time) bool {
	return s.Op == SlotHold && s.At <= At(now.Add(MaxSkew)) && now.Before(s.Expires())
}

// ByAge returns them in the order of their taking.
func (ss Slots) ByAge() []*SlotState {
	list := make([]*SlotState, 0, len(ss))
	for _, s := range ss {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b *SlotState) int {
		return cmp.Or(cmp.Compare(a.Since, b.Since), strings.Compare(a.Slot, b.Slot), order(&a.SlotEvent, &b.SlotEvent), strings.Compare(a.Replica, b.Replica))
	})
	return list
}

// Product is a named set of repositories to which this one belongs.
type Product struct {
	UID   string
	Name  Field
	Since Time // of the first link
}

// Products is the fold of product links, by uid.
type Products map[string]*Product

// Apply adds a record found in the log of replica; others than product links are passed
// over. The last writer names the product.
func (ps Products) Apply(replica string, r Record) {
	l, ok := r.(*ProductLink)
	if !ok {
		return
	}
	p := ps[l.Product]
	if p == nil {
		p = &Product{UID: l.Product, Since: l.At}
		ps[l.Product] = p
	}
	p.Since = min(p.Since, l.At)
	p.Name.set(&l.Name, Mark{l.HLC, replica})
}
