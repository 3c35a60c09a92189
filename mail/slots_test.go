package mail

import (
	"math/rand"
	"testing"
	"time"
)

// TestSlots: the newest event of a holder counts, and only that of a clock that can be
// right; one name in two clones is two holders.
func TestSlots(t *testing.T) {
	now := time.UnixMilli(1795237442123)
	event := func(replica, op, agent string, ms int64, at time.Time, ttl int64) arrival {
		h := head()
		h.HLC.MS, h.At, h.ID = ms, At(at), string(crockford[ms%32])+"bcdefghjk"
		return arrival{replica, &SlotEvent{Header: h, Op: op, Slot: "build", Agent: agent, Branch: "main", Exclusive: true, Since: At(now), TTL: ttl}}
	}
	for _, tt := range []struct {
		name string
		list []arrival
		live int
	}{
		{"held", []arrival{event(repA, SlotHold, "BlueLake", 1, now, 60)}, 1},
		{"over", []arrival{event(repA, SlotHold, "BlueLake", 1, now.Add(-time.Minute), 60)}, 0},
		{"renewed", []arrival{event(repA, SlotHold, "BlueLake", 1, now.Add(-time.Minute), 60), event(repA, SlotHold, "bluelake", 2, now, 60)}, 1},
		{"given back", []arrival{event(repA, SlotHold, "BlueLake", 1, now, 60), event(repA, SlotRelease, "BlueLake", 2, now, 0)}, 0},
		{"taken again", []arrival{event(repA, SlotRelease, "BlueLake", 2, now, 0), event(repA, SlotHold, "BlueLake", 3, now, 60)}, 1},
		{"by another clone", []arrival{event(repA, SlotHold, "BlueLake", 1, now, 60), event(repB, SlotRelease, "BlueLake", 2, now, 0)}, 1},
		{"two clones", []arrival{event(repA, SlotHold, "BlueLake", 1, now, 60), event(repB, SlotHold, "BlueLake", 2, now, 60)}, 2},
		{"ten years ahead", []arrival{event(repA, SlotHold, "BlueLake", 1, now.AddDate(10, 0, 0), 60)}, 0},
		{"a little ahead", []arrival{event(repA, SlotHold, "BlueLake", 1, now.Add(time.Minute), 60)}, 1},
	} {
		live := 0
		for _, s := range sameFold(t, rand.New(rand.NewSource(1)), tt.list).Slots.ByAge() {
			if s.Live(now) {
				live++
			}
		}
		if live != tt.live {
			t.Errorf("%s: %d are live, want %d", tt.name, live, tt.live)
		}
	}
	for _, bad := range []Record{
		&SlotEvent{Header: head(), Op: "steal", Slot: "s", Agent: "a"}, &SlotEvent{Header: head(), Op: SlotHold, Agent: "a"}, &SlotEvent{Header: head(), Op: SlotHold, Slot: "s"},
		&SlotEvent{Header: head(), Op: SlotHold, Slot: "s", Agent: "a", TTL: -1}, &SlotEvent{Header: head(), Op: SlotHold, Slot: "s", Agent: "a", TTL: 86401},
		&ProductLink{Header: head(), Product: "0123ABCD"}, &ProductLink{Header: head(), Product: "0123abc"}, &ProductLink{Header: head(), Product: "../0123abcd"},
	} {
		if data, err := Encode(bad); err == nil {
			t.Errorf("it is written: %s", data)
		}
	}
}
