package mail

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
	"time"
)

// SkewGrace is added to the end of a lease that another replica issued, for its
// clock and ours may differ.
const SkewGrace = 30 * time.Second

// Renewal is one span of a lease: from the moment it was issued or renewed to
// the end that gave it.
type Renewal struct {
	At  Time `json:"at"`
	End Time `json:"end"`
}

// LeaseState is what the events of one lease add up to.
type LeaseState struct {
	Lease
	Replica  string    `json:"replica,omitempty"` // whose log issued or last renewed it
	Mark     Mark      `json:"mark"`              // of the event that Lease was taken from
	Renewals []Renewal `json:"renewals,omitempty"`
	Ended    string    `json:"ended,omitempty"` // release, force or lost
	EndedAt  Time      `json:"ended_at,omitempty"`
	EndedBy  string    `json:"ended_by,omitempty"`
}

// Leases is the fold of reservation events.
type Leases map[string]*LeaseState

// Apply adds a record found in the log of replica; others than lease events are
// passed over. Order and repetition do not matter: endings are final, and the
// end is the latest of all renewals.
func (ls Leases) Apply(replica string, r Record) {
	e, ok := r.(*LeaseEvent)
	if !ok {
		return
	}
	m := Mark{e.HLC, replica}
	for _, l := range e.Leases {
		s := ls[l.ID]
		if s == nil {
			s = &LeaseState{}
			ls[l.ID] = s
		}
		// What an ending says of the lease counts only until something better is
		// known; of several, the later one.
		if begins := e.Op == LeaseNew || e.Op == LeaseRenew; s.ID == "" || s.better(begins, l, m) {
			s.Lease, s.Mark = l, m
			s.Replica = ""
			if begins {
				s.Replica = replica
			}
		}
		switch e.Op {
		case LeaseNew, LeaseRenew:
			s.renew(Renewal{e.At, min(e.At+Time(l.TTL*1000), maxTime)})
		default:
			if s.Ended == "" || endsBefore(e.At, e.Op, e.By, s) {
				s.Ended, s.EndedAt, s.EndedBy = e.Op, e.At, e.By
			}
		}
	}
}

func (s *LeaseState) better(begins bool, l Lease, m Mark) bool {
	if begins != (s.Replica != "") {
		return begins
	}
	if c := m.Compare(s.Mark); c != 0 {
		return c > 0
	}
	return compareLease(l, s.Lease) > 0
}

// compareLease is any fixed order, for two leases with one id and one mark,
// which only damage or malice makes.
func compareLease(a, b Lease) int {
	if reflect.DeepEqual(a, b) {
		return 0
	}
	x, _ := marshal(a)
	y, _ := marshal(b)
	return strings.Compare(string(x), string(y))
}

// endsBefore picks the earliest ending.
func endsBefore(at Time, op, by string, s *LeaseState) bool {
	return cmp.Or(cmp.Compare(at, s.EndedAt), strings.Compare(op, s.Ended), strings.Compare(by, s.EndedBy)) < 0
}

// renew adds a span and drops those that one issued no later, with an end no
// earlier, makes pointless.
func (s *LeaseState) renew(n Renewal) {
	for _, r := range s.Renewals {
		if r.At <= n.At && r.End >= n.End {
			return
		}
	}
	s.Renewals = slices.DeleteFunc(s.Renewals, func(r Renewal) bool { return n.At <= r.At && n.End >= r.End })
	i, _ := slices.BinarySearchFunc(s.Renewals, n, func(a, b Renewal) int { return cmp.Compare(a.At, b.At) })
	s.Renewals = slices.Insert(s.Renewals, i, n)
}

// Expires returns when the lease ends as it looks at now: the latest end among
// the renewals that count. A renewal issued more than MaxSkew ahead of now does
// not count; ahead reports that there was one. The time is zero if none counts.
func (s *LeaseState) Expires(now time.Time) (end time.Time, ahead bool) {
	limit := At(now.Add(MaxSkew))
	var last Time
	for _, r := range s.Renewals {
		if r.At > limit {
			ahead = true
			continue
		}
		last = max(last, r.End)
	}
	if last == 0 {
		return time.Time{}, ahead
	}
	return last.Time(), ahead
}

// Live reports whether the lease holds at now as seen from the replica own.
func (s *LeaseState) Live(now time.Time, own string) bool {
	if s.Ended != "" {
		return false
	}
	end, _ := s.Expires(now)
	if s.Replica != own {
		end = end.Add(SkewGrace)
	}
	return now.Before(end)
}

// ByAge returns the leases in order of their taking; those of one request by
// pattern.
func (ls Leases) ByAge() []*LeaseState {
	list := make([]*LeaseState, 0, len(ls))
	for _, l := range ls {
		list = append(list, l)
	}
	slices.SortFunc(list, func(a, b *LeaseState) int {
		if c := cmp.Compare(a.Since, b.Since); c != 0 {
			return c // most often; the guard sorts thousands
		}
		return cmp.Or(strings.Compare(a.Pattern, b.Pattern), strings.Compare(a.ID, b.ID))
	})
	return list
}
