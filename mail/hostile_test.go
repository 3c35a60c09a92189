package mail

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"
	"time"
)

const (
	repA = "aaaaaaaaaa"
	repB = "bbbbbbbbbb"
	repC = "cccccccccc"
)

// spiteful makes the kind of logs that only damage or malice makes: records
// copied to other logs, ids and stamps used again with other contents, fields
// that contradict each other.
func spiteful(rnd *rand.Rand) []arrival {
	ids := []string{"1111111111", "2222222222", "3333333333"}
	text := func() string { return pick(rnd, []string{"", "x", "y", "BlueLake", "BlueLake~11", "1111111111"}) }
	ref := func() *string {
		if rnd.Intn(3) == 0 {
			return nil
		}
		return ptr(text())
	}
	var list []arrival
	only := rnd.Intn(24) // half of the logs hold records of one kind, which meet more often
	for range 3 + rnd.Intn(20) {
		h := Header{V: 1, ID: pick(rnd, ids), Seq: 1 + rnd.Int63n(2), HLC: Stamp{rnd.Int63n(3), rnd.Int63n(2)}, At: Time(rnd.Int63n(3)), By: pick(rnd, ids)}
		kind := only
		if only > 11 {
			kind = rnd.Intn(12)
		}
		var r Record
		switch kind {
		case 0:
			r = &Message{Header: h, FromName: text(), To: []string{pick(rnd, ids)}, ToNames: []string{text()}, Subject: text(), Importance: Low, Body: text()}
		case 1, 2:
			r = &AgentChange{Header: h, Agent: pick(rnd, ids), Name: ref(), Home: ptr(pick(rnd, []string{repA, repB})), Task: ref(), Person: ref(), Deleted: rnd.Intn(4) == 0}
		case 3:
			r = &Receipt{Header: h, Read: []string{pick(rnd, ids)}, Ack: []string{pick(rnd, ids)}}
		case 4, 5:
			r = &LeaseEvent{Header: h, Op: pick(rnd, []string{LeaseNew, LeaseRenew, LeaseRelease, LeaseForce, LeaseLost}), Leases: []Lease{
				{ID: pick(rnd, ids), Holder: pick(rnd, ids), Pattern: text(), TTL: rnd.Int63n(3), Since: Time(rnd.Int63n(2)), Exclusive: rnd.Intn(2) == 0},
				{ID: pick(rnd, ids), Holder: pick(rnd, ids), Pattern: text(), TTL: rnd.Int63n(3), Reason: text()}}}
		case 6:
			c := &Contact{Header: h, From: pick(rnd, ids), To: pick(rnd, ids), Status: pick(rnd, []string{LinkApproved, LinkPending, LinkBlocked}), Reason: text()}
			if rnd.Intn(2) == 0 {
				c.Expires = ptr(Time(rnd.Int63n(3)))
			}
			r = c
		case 7:
			r = &CommitSeen{Header: h, OID: strings.Repeat("a", 40), Outcome: pick(rnd, []string{CommitHeld, CommitSlipped}), Touched: []Touched{}}
		case 8:
			if rnd.Intn(2) == 0 {
				r = &Bypass{Header: h, Event: text(), Reason: text(), Touched: []Touched{}}
				break
			}
			raw := fmt.Sprintf(`{"v":%d,"id":"%s","kind":"poll","n":%d}`, 1+rnd.Intn(2), h.ID, rnd.Intn(2))
			u, err := Decode("events/2026-11/21/05/"+pick(rnd, ids)+".json", []byte(raw))
			if err != nil {
				panic(err)
			}
			r = u
		case 9:
			r = &SlotEvent{Header: h, Op: pick(rnd, []string{SlotHold, SlotRelease}), Slot: "s" + text(), Agent: "a" + text(), Branch: text(),
				Exclusive: rnd.Intn(2) == 0, Since: Time(rnd.Int63n(2)), TTL: rnd.Int63n(3)}
		case 10:
			r = &ProductLink{Header: h, Product: pick(rnd, []string{"00000001", "00000002"}), Name: text()}
		case 11:
			r = &Redaction{Header: h, Messages: []string{pick(rnd, ids)}, Reason: text()}
		}
		list = append(list, arrival{pick(rnd, []string{repA, repB, repC}), r})
		if rnd.Intn(4) == 0 { // and the very same in another log
			list = append(list, arrival{pick(rnd, []string{repA, repB, repC}), r})
		}
	}
	return list
}

// TestHostileLogs: order and repetition make no difference to damaged or forged
// logs either, and every agent can be found by the address that is shown for it.
func TestHostileLogs(t *testing.T) {
	for seed := range int64(seeds) {
		rnd := rand.New(rand.NewSource(seed))
		list := spiteful(rnd)
		first := fold(list)
		want := dump(t, first)
		for range 3 {
			if got := dump(t, fold(shuffled(rnd, list))); got != want {
				t.Fatalf("seed %d: another order means something else %s", seed, differ(got, want))
			}
		}
		for id, a := range first.Agents {
			if got := first.Lookup(first.Address(id)); got != living(a) {
				t.Fatalf("seed %d: Lookup(%q), the address of %s (%q), finds %v", seed, first.Address(id), id, a.Name.Value, got)
			}
		}
	}
}

func TestCopyInHomeLogWins(t *testing.T) {
	h := head()
	agent := &AgentChange{Header: h, Agent: h.By, Name: ptr("BlueLake"), Home: ptr(repB)}
	real := &Message{Header: h, To: []string{}, ToNames: []string{}, Importance: Low, Subject: "real"}
	forged := &Message{Header: h, To: []string{}, ToNames: []string{}, Importance: Low, Subject: "forged"}
	for _, forger := range []string{repA, repC} {
		st := sameFold(t, rand.New(rand.NewSource(1)), []arrival{{repB, agent}, {repB, real}, {forger, forged}})
		if got := st.Message(h.ID).Subject; got != "real" {
			t.Errorf("a copy in the log %s wins: %q", forger, got)
		}
		if n := len(st.Messages()); n != 1 {
			t.Errorf("%d messages of one id", n)
		}
	}
}

// TestSameEventTwice: an event found in two logs, or twice, is one event; two
// contents under one id are both kept, for neither can be told to be the real one.
func TestSameEventTwice(t *testing.T) {
	h := head()
	one := &Bypass{Header: h, Event: "pre-commit", Reason: "one", Touched: []Touched{}}
	two := &Bypass{Header: h, Event: "pre-commit", Reason: "two", Touched: []Touched{}}
	seen := &CommitSeen{Header: h, OID: strings.Repeat("c", 40), Outcome: CommitHeld, Touched: []Touched{}}
	st := sameFold(t, rand.New(rand.NewSource(1)), []arrival{{repA, one}, {repA, two}, {repB, one}, {repA, seen}, {repB, seen}})
	if len(st.Bypasses) != 2 || len(st.Commits[seen.OID]) != 1 {
		t.Errorf("%d bypasses, %d records of the commit, want 2 and 1", len(st.Bypasses), len(st.Commits[seen.OID]))
	}
}

func TestEqualStampsDenyWins(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	link := func(status string, expires *Time, reason string) arrival {
		return arrival{repA, &Contact{Header: head(), From: "1111111111", To: "2222222222", Status: status, Expires: expires, Reason: reason}}
	}
	soon, late := ptr(Time(1000)), ptr(Time(2000))
	for _, tt := range []struct {
		name string
		list []arrival
		want string
	}{
		{"deny beats approval", []arrival{link(LinkApproved, nil, "yes"), link(LinkBlocked, nil, "no")}, "no"},
		{"deny beats asking", []arrival{link(LinkBlocked, nil, "no"), link(LinkPending, nil, "ask")}, "no"},
		{"asking beats approval", []arrival{link(LinkApproved, nil, "yes"), link(LinkPending, nil, "ask")}, "ask"},
		{"the sooner end", []arrival{link(LinkApproved, late, "late"), link(LinkApproved, soon, "soon")}, "soon"},
		{"an end beats none", []arrival{link(LinkApproved, nil, "never"), link(LinkApproved, late, "late")}, "late"},
	} {
		if got := sameFold(t, rnd, tt.list).Link("1111111111", "2222222222"); got.Reason != tt.want {
			t.Errorf("%s: %+v, want %q", tt.name, got, tt.want)
		}
	}
	// Unequal stamps: the later one, whatever it says.
	later := head()
	later.HLC.N++
	list := []arrival{link(LinkBlocked, nil, "no"), {repA, &Contact{Header: later, From: "1111111111", To: "2222222222", Status: LinkApproved}}}
	if got := sameFold(t, rnd, list).Link("1111111111", "2222222222"); !got.Approved(time.Now()) {
		t.Errorf("a later approval does not count: %+v", got)
	}
}

// FuzzFold feeds bytes at paths to the fold: no panic, and no order of arrival
// means anything else.
func FuzzFold(f *testing.F) {
	for i, r := range samples() {
		data, err := Encode(r)
		if err != nil {
			f.Fatal(err)
		}
		next := samples()[(i+1)%len(samples())]
		more, err := Encode(next)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(r.Path(), data, next.Path(), more, int64(i))
	}
	f.Add("events/x.json", []byte(`{"v":2,"by":7,"hlc":"?"}`), "mail/x", []byte("---\n{\n\"v\": 3\n}\n---\n\n"), int64(0))
	f.Fuzz(func(t *testing.T, path1 string, data1 []byte, path2 string, data2 []byte, seed int64) {
		rnd := rand.New(rand.NewSource(seed))
		var list []arrival
		for _, in := range []struct {
			path string
			data []byte
		}{{path1, data1}, {path2, data2}, {path1, data2}, {path2, data1}} {
			if r, err := Decode(in.path, in.data); err == nil {
				list = append(list, arrival{pick(rnd, []string{repA, repB}), r}, arrival{repA, r})
			}
		}
		if len(list) == 0 {
			return
		}
		st := sameFold(t, rnd, list)
		for _, l := range st.Leases {
			l.Expires(time.UnixMilli(0))
			l.Live(time.Now(), repA)
		}
		for id, a := range st.Agents {
			if got := st.Lookup(st.Address(id)); got != living(a) {
				t.Fatalf("Lookup(%q) finds %v", st.Address(id), got)
			}
		}
	})
}
