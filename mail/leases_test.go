package mail

import (
	"math/rand"
	"testing"
	"time"
)

// event is one lease event for the tests below: minutes after t0, ttl in minutes.
type event struct {
	replica string
	op      string
	at, ttl int
	reason  string
}

var t0 = time.UnixMilli(1795237442123).UTC()

func minutes(n int) time.Time { return t0.Add(time.Duration(n) * time.Minute) }

// lease folds the events of one lease, in every order.
func lease(t testing.TB, events ...event) *LeaseState {
	t.Helper()
	var list []arrival
	for i, e := range events {
		h := head()
		h.At = At(minutes(e.at))
		h.HLC = Stamp{int64(h.At), int64(i)}
		list = append(list, arrival{e.replica, &LeaseEvent{Header: h, Op: e.op, Leases: []Lease{
			{ID: "1111111111", Holder: h.By, Pattern: "src/**", Exclusive: true, TTL: int64(60 * e.ttl), Since: At(t0), Reason: e.reason}}}})
	}
	return sameFold(t, rand.New(rand.NewSource(1)), list).Leases["1111111111"]
}

func TestLeaseEnds(t *testing.T) {
	for _, tt := range []struct {
		name   string
		events []event
		now    int // minutes
		end    int // minutes; -1 for none
		live   bool
	}{
		{"holds", []event{{repA, LeaseNew, 0, 60, ""}}, 59, 60, true},
		{"ends", []event{{repA, LeaseNew, 0, 60, ""}}, 60, 60, false},
		{"renewed", []event{{repA, LeaseNew, 0, 60, ""}, {repA, LeaseRenew, 30, 60, ""}}, 89, 90, true},
		{"a shorter renewal shortens nothing", []event{{repA, LeaseNew, 0, 60, ""}, {repA, LeaseRenew, 10, 1, ""}}, 59, 60, true},
		{"only a renewal is known", []event{{repA, LeaseRenew, 30, 60, ""}}, 89, 90, true},
		{"released", []event{{repA, LeaseNew, 0, 60, ""}, {repA, LeaseRelease, 10, 0, ""}}, 11, 60, false},
		{"an ending is final", []event{{repA, LeaseNew, 0, 60, ""}, {repB, LeaseForce, 10, 0, ""}, {repA, LeaseRenew, 20, 60, ""}}, 21, 80, false},
		{"lost", []event{{repA, LeaseNew, 0, 60, ""}, {repB, LeaseLost, 10, 0, ""}}, 11, 60, false},
		{"only an ending is known", []event{{repA, LeaseRelease, 10, 0, ""}}, 11, -1, false},
		{"from a clock within five minutes ahead", []event{{repA, LeaseNew, 5, 60, ""}}, 0, 65, true},
		{"from a clock further ahead", []event{{repA, LeaseNew, 6, 60, ""}}, 0, -1, false},
		{"renewed by a clock further ahead", []event{{repA, LeaseNew, 0, 60, ""}, {repA, LeaseRenew, 70, 60, ""}}, 59, 60, true},
		{"and that when its time has come", []event{{repA, LeaseNew, 0, 60, ""}, {repA, LeaseRenew, 70, 60, ""}}, 65, 130, true},
		{"not for ever by a clock further ahead", []event{{repA, LeaseNew, 0, 60, ""}, {repA, LeaseRenew, 5000, 60, ""}}, 61, 60, false},
	} {
		l := lease(t, tt.events...)
		end, _ := l.Expires(minutes(tt.now))
		want := minutes(tt.end)
		if tt.end < 0 {
			want = time.Time{}
		}
		if !end.Equal(want) || l.Live(minutes(tt.now), repA) != tt.live {
			t.Errorf("%s: ends %s, live %v; want %s, %v", tt.name, end, l.Live(minutes(tt.now), repA), want, tt.live)
		}
	}
}

func TestLeaseAhead(t *testing.T) {
	l := lease(t, event{repB, LeaseNew, 100, 60, ""})
	if _, ahead := l.Expires(minutes(94)); !ahead {
		t.Error("a lease issued six minutes ahead is not reported")
	}
	if _, ahead := l.Expires(minutes(95)); ahead {
		t.Error("a lease issued five minutes ahead is reported")
	}
}

// TestForeignLeaseGrace: another replica's clock may differ, so its lease is
// left alone for 30 seconds more. Whose renewal counts last decides.
func TestForeignLeaseGrace(t *testing.T) {
	l := lease(t, event{repA, LeaseNew, 0, 60, ""})
	at := minutes(60).Add(29 * time.Second)
	if l.Live(at, repA) || !l.Live(at, repB) || l.Live(at.Add(time.Second), repB) {
		t.Errorf("29 s past the end: own %v, foreign %v; 30 s: %v", l.Live(at, repA), l.Live(at, repB), l.Live(at.Add(time.Second), repB))
	}
	l = lease(t, event{repA, LeaseNew, 0, 10, ""}, event{repB, LeaseRenew, 5, 55, ""})
	if !l.Live(at, repA) || l.Live(at, repB) {
		t.Errorf("renewed by another replica: live there %v, here %v", l.Live(at, repB), l.Live(at, repA))
	}
}

// TestLeaseSays: what a lease says of itself is what its newest beginning or
// renewal said; an ending says it only where nothing else is known.
func TestLeaseSays(t *testing.T) {
	for _, tt := range []struct {
		name   string
		events []event
		want   string
	}{
		{"the newest renewal", []event{{repA, LeaseNew, 0, 60, "old"}, {repA, LeaseRenew, 5, 60, "new"}}, "new"},
		{"not an ending", []event{{repA, LeaseNew, 0, 60, "new"}, {repB, LeaseRelease, 5, 0, "ending"}}, "new"},
		{"an ending alone", []event{{repB, LeaseRelease, 5, 0, "ending"}}, "ending"},
		{"the later of two endings", []event{{repB, LeaseRelease, 5, 0, "one"}, {repB, LeaseForce, 6, 0, "two"}}, "two"},
	} {
		if got := lease(t, tt.events...).Reason; got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	if l := lease(t, event{repA, LeaseNew, 0, 60, ""}, event{repA, LeaseForce, 9, 0, ""}, event{repA, LeaseRelease, 5, 0, ""}); l.Ended != LeaseRelease || l.EndedAt != At(minutes(5)) {
		t.Errorf("of two endings not the first counts: %s at %s", l.Ended, l.EndedAt)
	}
}

// TestTieBreaks: at one stamp the higher replica is the later writer, for
// profiles, links and leases alike.
func TestTieBreaks(t *testing.T) {
	var list []arrival
	for _, r := range []string{repA, repC, repB} {
		h := head()
		list = append(list,
			arrival{r, &AgentChange{Header: h, Agent: h.By, Task: ptr(r)}},
			arrival{r, &Contact{Header: h, From: h.By, To: "2222222222", Status: LinkApproved, Reason: r}},
			arrival{r, &LeaseEvent{Header: h, Op: LeaseNew, Leases: []Lease{{ID: "1111111111", Holder: h.By, Pattern: "a", TTL: 60, Reason: r}}}})
	}
	st := sameFold(t, rand.New(rand.NewSource(1)), list)
	by := head().By
	if a, b, c := st.Agents[by].Task.Value, st.Link(by, "2222222222").Reason, st.Leases["1111111111"].Reason; a != repC || b != repC || c != repC {
		t.Errorf("task %s, link %s, lease %s; want %s", a, b, c, repC)
	}
	if st.Agents[by].First.Replica != repA {
		t.Errorf("registered by %s, want the lowest", st.Agents[by].First.Replica)
	}
}

func TestReceipts(t *testing.T) {
	receipt := func(at Time, read, ack []string) arrival {
		h := head()
		h.At = at
		return arrival{repA, &Receipt{Header: h, Read: read, Ack: ack}}
	}
	m := []string{"2222222222"}
	for _, tt := range []struct {
		name string
		list []arrival
		want Delivery
	}{
		{"read", []arrival{receipt(5, m, nil)}, Delivery{Read: 5}},
		{"ack implies read", []arrival{receipt(5, nil, m)}, Delivery{5, 5}},
		{"the first reading stays", []arrival{receipt(5, m, nil), receipt(7, m, nil)}, Delivery{Read: 5}},
		{"the first acknowledgement stays", []arrival{receipt(9, nil, m), receipt(7, nil, m), receipt(8, nil, m)}, Delivery{7, 7}},
		{"read before acknowledged", []arrival{receipt(3, m, nil), receipt(7, nil, m)}, Delivery{3, 7}},
		{"read after acknowledged", []arrival{receipt(9, m, nil), receipt(7, nil, m)}, Delivery{7, 7}},
		{"at the beginning of time", []arrival{receipt(0, nil, m), receipt(7, nil, m)}, Delivery{1, 1}},
	} {
		st := sameFold(t, rand.New(rand.NewSource(1)), tt.list)
		if got := st.Delivery(m[0], head().By); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
		if got := st.Delivery(m[0], "3333333333"); got != (Delivery{}) {
			t.Errorf("%s: another agent has %+v", tt.name, got)
		}
	}
}
