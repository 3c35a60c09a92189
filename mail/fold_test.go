package mail

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"
)

// arrival is one record as it lies in the log of a replica.
type arrival struct {
	replica string
	rec     Record
}

// dump is everything that a state says, in one canonical text.
func dump(t testing.TB, s *State) string {
	t.Helper()
	type listed struct {
		Path, Text string
	}
	texts := func(list []Record) []listed {
		out := []listed{}
		for _, r := range list {
			if m, ok := r.(*Message); ok && m.Redacted { // which is never stored
				shown := *m
				shown.Redacted = false
				r = &shown
			}
			data, err := Encode(r)
			if err != nil {
				t.Fatalf("a record that was applied does not encode: %v", err)
			}
			out = append(out, listed{r.Path(), string(data)})
		}
		return out
	}
	d := struct {
		Directory *Directory
		Names     []string
		Leases    Leases
		Receipts  map[string]*Delivery
		Active    map[string]Time
		Commits   map[string][]listed
		Slots     []*SlotState
		Products  Products
		Bypasses  []listed
		Unknown   []listed
		Redacted  map[string]bool
		Messages  []listed
	}{s.Directory, s.Names(), s.Leases, s.Receipts, s.Active, map[string][]listed{}, s.Slots.ByAge(), s.Products, nil, nil, s.Redacted, nil}
	records := func(n int, at func(int) Record) []Record {
		var out []Record
		for i := range n {
			out = append(out, at(i))
		}
		return out
	}
	for oid, list := range s.Commits {
		d.Commits[oid] = texts(records(len(list), func(i int) Record { return list[i] }))
	}
	d.Bypasses = texts(records(len(s.Bypasses), func(i int) Record { return s.Bypasses[i] }))
	d.Unknown = texts(records(len(s.Unknown), func(i int) Record { return s.Unknown[i] }))
	msgs := s.Messages()
	d.Messages = texts(records(len(msgs), func(i int) Record { return msgs[i] }))
	data, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// differ shows where two dumps part.
func differ(got, want string) string {
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	cut := func(s string) string { return s[max(0, at-300):min(len(s), at+300)] }
	return fmt.Sprintf("at %d:\n... %s ...\nnot\n... %s ...", at, cut(got), cut(want))
}

// fold applies arrivals in the given order. Between them it asks questions, for
// an answer must not change the state.
func fold(list []arrival) *State {
	s := NewState()
	for i, a := range list {
		s.Apply(a.replica, a.rec)
		if i%7 == 3 {
			s.Messages()
			s.Names()
			s.Leases.ByAge()
			s.Slots.ByAge()
		}
	}
	return s
}

// shuffled returns list in another order, with some of it repeated.
func shuffled(rnd *rand.Rand, list []arrival) []arrival {
	out := slices.Clone(list)
	for range rnd.Intn(len(list) + 1) {
		out = append(out, list[rnd.Intn(len(list))])
	}
	rnd.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// sameFold fails if any of some orders of list means something else.
func sameFold(t testing.TB, rnd *rand.Rand, list []arrival) *State {
	t.Helper()
	first := fold(list)
	want := dump(t, first)
	for range 6 {
		order := shuffled(rnd, list)
		if got := dump(t, fold(order)); got != want {
			t.Fatalf("another order means something else %s", differ(got, want))
		}
	}
	for _, pair := range [][2]int{{0, 1}, {len(list) / 2, len(list) / 3}} { // reversed and rotated
		order := slices.Clone(list)
		slices.Reverse(order)
		order = append(order[pair[0]:], order[:pair[0]]...)
		if got := dump(t, fold(order)); got != want {
			t.Fatalf("another order means something else %s", differ(got, want))
		}
	}
	return first
}

// node is one replica that writes as a correct clone does.
type node struct {
	net    *network
	id     string
	skew   time.Duration
	clock  *Clock
	last   Stamp
	far    bool // it has overwritten a value from a wrong clock
	seq    int64
	log    []Record
	has    map[string]int // how much of each log has arrived
	st     *State
	agents []string
}

// write is one value given to a register, and the value it replaced.
type write struct{ value, saw string }

type network struct {
	t      testing.TB
	rnd    *rand.Rand
	now    time.Time
	nodes  []*node
	logs   map[string][]Record
	writes map[string][]write // by register
	serial int
}

func newNetwork(t testing.TB, seed int64) *network {
	w := &network{t: t, rnd: rand.New(rand.NewSource(seed)), now: time.UnixMilli(1795237442123), logs: map[string][]Record{}, writes: map[string][]write{}}
	for i := range 2 + w.rnd.Intn(4) {
		n := &node{net: w, id: strings.Repeat(string(crockford[10+i]), IDLength), has: map[string]int{}, st: NewState(), clock: NewClock(Stamp{})}
		switch w.rnd.Intn(8) {
		case 0, 1, 2: // right
		case 3: // in the span that is adopted
			n.skew = time.Duration(w.rnd.Int63n(int64(8*time.Minute))) - 4*time.Minute
		default:
			n.skew = time.Duration(w.rnd.Int63n(int64(48*time.Hour))) - 24*time.Hour
		}
		w.nodes = append(w.nodes, n)
	}
	if w.rnd.Intn(3) == 0 {
		w.nodes[len(w.nodes)-1].skew = 10 * 365 * 24 * time.Hour
	}
	return w
}

func (n *node) wall() time.Time { return n.net.now.Add(n.skew) }

func (w *network) id() string {
	w.serial++
	// Random in its leading characters, so that order of ids is not order of making.
	return fmt.Sprintf("%c%c", crockford[w.rnd.Intn(32)], crockford[w.rnd.Intn(32)]) + strings.Map(func(r rune) rune {
		return rune(crockford[strings.IndexRune("0123456789", r)])
	}, fmt.Sprintf("%08d", w.serial))
}

// head stamps a record over the values it replaces, as mailbox does.
func (n *node) head(by string, over ...Mark) Header {
	for _, m := range over {
		if m.Stamp.MS > n.wall().Add(MaxSkew).UnixMilli() {
			n.far = true
		}
		n.clock.Overwrite(m.Stamp)
	}
	s := n.clock.Next(n.wall())
	if s.Compare(n.last) <= 0 {
		n.net.t.Fatalf("stamp %s of %s follows %s", s, n.id, n.last)
	}
	for _, m := range over {
		if s.Compare(m.Stamp) <= 0 {
			n.net.t.Fatalf("stamp %s does not beat %s, which it replaces", s, m.Stamp)
		}
	}
	if ahead := s.MS - n.wall().UnixMilli(); !n.far && ahead > MaxSkew.Milliseconds() {
		n.net.t.Fatalf("%s stamps %d ms ahead of its own clock", n.id, ahead)
	}
	n.last = s
	n.seq++
	return Header{V: Version, ID: n.net.id(), Seq: n.seq, HLC: s, At: At(n.wall()), By: by}
}

func (n *node) add(r Record) {
	n.log = append(n.log, r)
	n.net.logs[n.id] = n.log
	n.has[n.id] = len(n.log)
	n.st.Apply(n.id, r)
}

// pull takes some of what another node has, its copies of third logs included.
func (n *node) pull(from *node, all bool) {
	before := map[string]Delivery{}
	for k, d := range n.st.Receipts {
		before[k] = *d
	}
	for replica, end := range from.has {
		start := n.has[replica]
		if replica == n.id || start >= end {
			continue
		}
		if !all {
			end = start + 1 + n.net.rnd.Intn(end-start)
		}
		for _, r := range n.net.logs[replica][start:end] {
			n.st.Apply(replica, r)
			n.clock.Adopt(r.Head().HLC, n.wall())
		}
		n.has[replica] = end
	}
	for k, was := range before {
		is := *n.st.Receipts[k]
		if is.Read == 0 || is.Read > was.Read || was.Ack != 0 && (is.Ack == 0 || is.Ack > was.Ack) {
			n.net.t.Fatalf("the receipt %s went from %+v to %+v", k, was, is)
		}
	}
}

func pick[T any](rnd *rand.Rand, list []T) T { return list[rnd.Intn(len(list))] }

// register notes a write for the check that what was seen never wins.
func (w *network) register(key, value, saw string) string {
	w.writes[key] = append(w.writes[key], write{value, saw})
	return value
}

func (n *node) act() {
	rnd := n.net.rnd
	if len(n.agents) == 0 {
		n.addAgent()
		return
	}
	me := pick(rnd, n.agents)
	known := slices.Sorted(maps.Keys(n.st.Agents))
	other := pick(rnd, known)
	value := fmt.Sprintf("value %d", n.net.serial)
	switch rnd.Intn(17) {
	case 0:
		n.addAgent()
	case 1, 2: // anybody's profile, as adoption does
		a := n.st.Agents[other]
		c := &AgentChange{Header: n.head(me, a.Task.Mark, a.Home.Mark), Agent: other}
		c.Task = ptr(n.net.register("task "+other, value, a.Task.Value))
		if rnd.Intn(3) == 0 {
			c.Home = &n.id
		}
		n.add(c)
	case 3, 4:
		c := &Contact{From: me, To: other, Status: pick(rnd, []string{LinkApproved, LinkPending, LinkBlocked})}
		var over []Mark
		saw := ""
		if l := n.st.Link(me, other); l != nil {
			over, saw = append(over, l.Mark), l.Reason
		}
		c.Reason = n.net.register("link "+me+" "+other, value, saw)
		if rnd.Intn(2) == 0 {
			c.Expires = ptr(At(n.wall().Add(time.Hour)))
		}
		c.Header = n.head(me, over...)
		n.add(c)
	case 5, 6:
		m := &Message{Header: n.head(me), FromName: n.st.Address(me), To: []string{other}, ToNames: []string{n.st.Address(other)}, Subject: value, Importance: Normal}
		n.add(m)
	case 7, 8:
		msgs := n.st.Messages()
		if len(msgs) == 0 {
			return
		}
		m := pick(rnd, msgs)
		r := &Receipt{Header: n.head(me)}
		if rnd.Intn(2) == 0 {
			r.Ack = []string{m.ID}
		} else {
			r.Read = []string{m.ID}
		}
		n.add(r)
	case 9, 10, 11:
		n.lease(me, value)
	case 12:
		n.add(&CommitSeen{Header: n.head(me), OID: strings.Repeat(pick(rnd, []string{"a", "b"}), 40), Outcome: CommitHeld, Touched: []Touched{}})
	case 13:
		n.add(&Bypass{Header: n.head(me), Event: "pre-commit", Reason: value, Touched: []Touched{}})
	case 14:
		n.add(&SlotEvent{Header: n.head(me), Op: pick(rnd, []string{SlotHold, SlotHold, SlotRelease}), Slot: pick(rnd, []string{"build", "e2e"}),
			Agent: pick(rnd, []string{"BlueLake", "bluelake", "RedFox"}), Branch: pick(rnd, []string{"", "main"}), Since: At(n.wall()), TTL: int64(rnd.Intn(7200))})
	case 15:
		var over []Mark
		saw, uid := "", pick(rnd, []string{"00000001", "00000002"})
		if p := n.st.Products[uid]; p != nil {
			over, saw = append(over, p.Name.Mark), p.Name.Value
		}
		n.add(&ProductLink{Header: n.head(me, over...), Product: uid, Name: n.net.register("product "+uid, value, saw)})
	case 16:
		msgs := n.st.Messages()
		switch {
		case rnd.Intn(4) == 0:
			n.add(&AgentChange{Header: n.head(me), Agent: other, Deleted: true})
		case len(msgs) > 0:
			n.add(&Redaction{Header: n.head(me), Messages: []string{pick(rnd, msgs).ID, pick(rnd, msgs).ID}})
		}
	}
}

func (n *node) addAgent() {
	id := n.net.id()
	name := pick(n.net.rnd, []string{"BlueLake", "bluelake", "GreenCastle", "RedFox"})
	n.add(&AgentChange{Header: n.head(id), Agent: id, Name: &name, Home: &n.id, Program: ptr("p"), Model: ptr("m")})
	n.agents = append(n.agents, id)
}

func (n *node) lease(me, value string) {
	rnd := n.net.rnd
	ids := slices.Sorted(maps.Keys(n.st.Leases))
	if len(ids) == 0 || rnd.Intn(2) == 0 {
		l := Lease{ID: n.net.id(), Holder: me, Pattern: "src/**", Kind: "tree", Exclusive: true, TTL: int64(60 + rnd.Intn(7200)), Since: At(n.wall())}
		l.Reason = n.net.register("lease "+l.ID, value, "")
		n.add(&LeaseEvent{Header: n.head(me), Op: LeaseNew, Leases: []Lease{l}})
		return
	}
	s := n.st.Leases[pick(rnd, ids)]
	l := s.Lease
	op := pick(rnd, []string{LeaseRenew, LeaseRenew, LeaseRelease, LeaseForce, LeaseLost})
	if op == LeaseRenew {
		l.TTL = int64(60 + rnd.Intn(7200))
		l.Reason = n.net.register("lease "+l.ID, value, l.Reason)
	}
	n.add(&LeaseEvent{Header: n.head(me, s.Mark), Op: op, Leases: []Lease{l}})
}

// all returns every record that was written.
func (w *network) all() []arrival {
	var list []arrival
	for _, n := range w.nodes {
		for _, r := range n.log {
			list = append(list, arrival{n.id, r})
		}
	}
	return list
}

// run plays steps, then lets everybody hear of everything.
func (w *network) run(steps int) {
	for range steps {
		w.now = w.now.Add(time.Duration(w.rnd.Int63n(int64(20 * time.Minute))))
		n := pick(w.rnd, w.nodes)
		if w.rnd.Intn(3) == 0 {
			n.pull(pick(w.rnd, w.nodes), w.rnd.Intn(2) == 0)
			continue
		}
		n.act()
	}
	for range 2 {
		for _, n := range w.nodes {
			for _, m := range w.nodes {
				n.pull(m, true)
			}
		}
	}
}

// final returns the value of a register.
func final(s *State, key string) string {
	kind, id, _ := strings.Cut(key, " ")
	switch kind {
	case "task":
		return s.Agents[id].Task.Value
	case "name":
		return s.Agents[id].Name.Value
	case "policy":
		return s.Agents[id].ContactPolicy.Value
	case "link":
		return s.Links[id].Reason
	case "product":
		return s.Products[id].Name.Value
	}
	return s.Leases[id].Reason
}

// TestConvergence: whoever has heard of everything sees the same, in whatever
// order and grouping it came (I1); nothing is missing from it, and nothing that somebody
// redacted is shown (I2); receipts
// only ever grow (I4, checked at each pull); a value written by somebody who saw
// another is never beaten by that one, whatever the clocks (I5); and the stamps
// of a clone stay by its own clock (checked at each write).
func TestConvergence(t *testing.T) {
	for seed := range int64(seeds) {
		w := newNetwork(t, seed)
		w.run(30 + w.rnd.Intn(40))
		list := w.all()
		want := dump(t, fold(list))
		for _, n := range w.nodes {
			if got := dump(t, n.st); got != want {
				t.Fatalf("seed %d: the clone %s sees something else than all together %s", seed, n.id, differ(got, want))
			}
		}
		st := fold(shuffled(w.rnd, list))
		if got := dump(t, st); got != want {
			t.Fatalf("seed %d: another order means something else %s", seed, differ(got, want))
		}
		gone := map[string]bool{} // messages and senders
		for _, a := range list {
			switch r := a.rec.(type) {
			case *Redaction:
				for _, id := range r.Messages {
					gone[id] = true
				}
			case *AgentChange:
				gone[r.Agent] = gone[r.Agent] || r.Deleted
			}
		}
		for _, a := range list {
			m, ok := a.rec.(*Message)
			if !ok {
				continue
			}
			switch got := st.Message(m.ID); {
			case gone[m.ID] || gone[m.By]:
				if got == nil || !got.Redacted || got.ID != m.ID || strings.Contains(fmt.Sprintf("%+v", got), m.Subject) {
					t.Fatalf("seed %d: message %s was redacted, and is %+v", seed, m.ID, got)
				}
			case got != m:
				t.Fatalf("seed %d: message %s is lost", seed, m.ID)
			}
		}
		for key, writes := range w.writes {
			won := final(st, key)
			if !slices.ContainsFunc(writes, func(x write) bool { return x.value == won }) {
				t.Fatalf("seed %d: %s is %q, which nobody wrote", seed, key, won)
			}
			for _, x := range writes {
				if x.saw == won {
					t.Fatalf("seed %d: %s is still %q, although %q was written over it", seed, key, won, x.value)
				}
			}
		}
	}
}
