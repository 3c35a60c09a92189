package mail

import (
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"
)

// registration makes the record by which an agent comes into being.
func registration(replica, id, name string, stamp Stamp) arrival {
	return arrival{replica, &AgentChange{Header: Header{V: 1, ID: id, Seq: 1, HLC: stamp, At: Time(stamp.MS), By: id}, Agent: id, Name: &name, Home: &replica}}
}

func TestNameClash(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	st := sameFold(t, rnd, []arrival{
		registration(repC, "7qaaaaaaaa", "BlueLake", Stamp{5, 0}),
		registration(repA, "7qbbbbbbbb", "bluelake", Stamp{6, 0}),
		registration(repB, "9999999999", "BLUELAKE", Stamp{6, 1}),
		registration(repB, "3333333333", "GreenCastle", Stamp{9, 0}),
	})
	want := map[string]string{"7qaaaaaaaa": "BlueLake", "7qbbbbbbbb": "bluelake~7qb", "9999999999": "BLUELAKE~99", "3333333333": "GreenCastle"}
	for id, address := range want {
		if got := st.Address(id); got != address {
			t.Errorf("Address(%s) = %q, want %q", id, got, address)
		}
	}
	for _, tt := range []struct{ address, id string }{
		{"BlueLake", "7qaaaaaaaa"}, {"bluelake", "7qaaaaaaaa"}, {"BlueLake~7qa", "7qaaaaaaaa"}, {"BlueLake~7QB", "7qbbbbbbbb"},
		{"BlueLake~99", "9999999999"}, {"bluelake~9999999999", "9999999999"}, {"greencastle~33", "3333333333"},
		{"9999999999", "9999999999"}, // the whole id
		{"BlueLake~7q", ""},          // two
		{"BlueLake~9", ""},           // too short
		{"BlueLake~", ""}, {"BlueLake~33", ""}, {"RedFox", ""}, {"", ""}, {"~", ""}, {"~99", ""},
	} {
		got := ""
		if a := st.Lookup(tt.address); a != nil {
			got = a.ID
		}
		if got != tt.id {
			t.Errorf("Lookup(%q) = %q, want %q", tt.address, got, tt.id)
		}
	}
	// One clone may act as its own, also under the bare name of another's.
	for _, tt := range []struct{ name, replica, id string }{
		{"BlueLake", repC, "7qaaaaaaaa"}, {"BlueLake", repA, "7qbbbbbbbb"}, {"blueLAKE", repB, "9999999999"},
		{"BlueLake~7qa", repA, ""}, {"GreenCastle", repA, ""}, {"", repA, ""},
	} {
		got := ""
		if a := st.Local(tt.name, tt.replica); a != nil {
			got = a.ID
		}
		if got != tt.id {
			t.Errorf("Local(%q, %s) = %q, want %q", tt.name, tt.replica, got, tt.id)
		}
	}
	if got := st.Names(); !slices.Equal(got, []string{"BlueLake", "bluelake~7qb", "BLUELAKE~99", "GreenCastle"}) {
		t.Errorf("Names() = %v", got)
	}
}

// TestClashOrder: the earlier registration keeps the bare name; at one stamp the
// lower id, whatever the replica.
func TestClashOrder(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	for _, tt := range []struct {
		name string
		list []arrival
		want string
	}{
		{"the earlier", []arrival{registration(repA, "1111111111", "BlueLake", Stamp{7, 0}), registration(repB, "2222222222", "BlueLake", Stamp{6, 9})}, "2222222222"},
		{"the counter decides", []arrival{registration(repA, "1111111111", "BlueLake", Stamp{6, 1}), registration(repB, "2222222222", "BlueLake", Stamp{6, 0})}, "2222222222"},
		{"the lower id", []arrival{registration(repB, "1111111111", "BlueLake", Stamp{6, 0}), registration(repA, "2222222222", "BlueLake", Stamp{6, 0})}, "1111111111"},
	} {
		if got := sameFold(t, rnd, tt.list).Lookup("BlueLake"); got == nil || got.ID != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, got, tt.want)
		}
	}
	// A later refresh of the profile moves nobody in the order.
	first := registration(repA, "1111111111", "BlueLake", Stamp{5, 0})
	refresh := arrival{repA, &AgentChange{Header: Header{V: 1, ID: "4444444444", Seq: 2, HLC: Stamp{9, 0}, At: 9, By: "1111111111"}, Agent: "1111111111", Name: ptr("BlueLake")}}
	st := sameFold(t, rnd, []arrival{first, registration(repB, "2222222222", "BlueLake", Stamp{6, 0}), refresh})
	if st.Address("1111111111") != "BlueLake" {
		t.Errorf("after a refresh the first is %q", st.Address("1111111111"))
	}
}

// TestAddresses: whatever names the agents have, everybody's address is his own,
// finds him, and stays what it is when nothing about the name changes.
func TestAddresses(t *testing.T) {
	for seed := range int64(300) {
		rnd := rand.New(rand.NewSource(seed))
		var list []arrival
		for i := range 2 + rnd.Intn(12) {
			id := strings.Repeat(pick(rnd, []string{"7q", "7r", "9z"}), 4) + string(crockford[i]) + string(crockford[rnd.Intn(32)])
			name := pick(rnd, []string{"BlueLake", "bluelake", "RedFox", "", "no good", "BlueLake~7q", id, "7q7q7q7q00"})
			list = append(list, registration(pick(rnd, []string{repA, repB}), id, name, Stamp{rnd.Int63n(4), 0}))
		}
		st := sameFold(t, rnd, list)
		seen := map[string]string{}
		for id, a := range st.Agents {
			address := st.Address(id)
			if other, twice := seen[strings.ToLower(address)]; twice {
				t.Fatalf("seed %d: %s and %s are both %q", seed, id, other, address)
			}
			seen[strings.ToLower(address)] = id
			if got := st.Lookup(address); got != a {
				t.Fatalf("seed %d: Lookup(%q) = %v, want %s", seed, address, got, id)
			}
		}
		for _, a := range list { // hearing of more than that changes nothing
			st.Apply(a.replica, &AgentChange{Header: Header{V: 1, ID: "5555555555", Seq: 3, HLC: Stamp{99, 0}, By: a.rec.Head().By}, Agent: a.rec.Head().By, Task: ptr("x")})
		}
		for address, id := range seen {
			if got := strings.ToLower(st.Address(id)); got != address {
				t.Fatalf("seed %d: %s was %q and is %q", seed, id, address, got)
			}
		}
	}
}

func TestLinkApproved(t *testing.T) {
	now := time.UnixMilli(1000)
	for _, tt := range []struct {
		name string
		link *Link
		want bool
	}{
		{"none", nil, false},
		{"for ever", &Link{Status: LinkApproved}, true},
		{"until later", &Link{Status: LinkApproved, Expires: 1001}, true},
		{"until now", &Link{Status: LinkApproved, Expires: 1000}, false},
		{"pending", &Link{Status: LinkPending}, false},
		{"blocked", &Link{Status: LinkBlocked}, false},
	} {
		if got := tt.link.Approved(now); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
	// An end at the beginning of time is an end.
	c := &Contact{Header: head(), From: "1111111111", To: "2222222222", Status: LinkApproved, Expires: ptr(Time(0))}
	st := sameFold(t, rand.New(rand.NewSource(1)), []arrival{{repA, c}})
	if st.Link(c.From, c.To).Approved(now) {
		t.Error("a link that ended in 1970 is approved")
	}
}
