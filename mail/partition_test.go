package mail

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What follows is a team of clones whose logs are torn, relayed, shortened, copied and forged.
// What a clone writes, its clock, the codec and the fold are the real ones. Which log it
// believes (accept, fork) is a model: the rules themselves work on commits, in gitstore, and
// are tested there through git.

// partitionSeeds is how many runs there are: `make soak` makes a hundred times as many, and
// `make bench-sync` says how many it wants.
func partitionSeeds() int64 {
	if n, err := strconv.ParseInt(os.Getenv("AGENTMAIL_SEEDS"), 10, 64); err == nil {
		return n
	}
	if os.Getenv("AGENTMAIL_SOAK") != "" {
		return 200_000
	}
	return seeds
}

// entry is a record as it lies in a log, and as a clone has read it.
type entry struct {
	path string
	data []byte
	key  string // whose key signed it
	rec  Record
}

// version is a log as somebody has it.
type version struct {
	base  string // the first commit, of which each truncation makes another
	epoch int
	upto  int64
	gone  map[string]bool // paths of what truncations took away: a number will not do, for a copy gives the same to others
	key   string          // whose key signed the last truncation
	list  []entry
	first int // so many of them are in the first commit, so that nobody has fewer
}

func (v version) newest() (seq int64, data []byte) {
	if len(v.list) > 0 {
		last := v.list[len(v.list)-1]
		return max(v.upto, last.rec.Head().Seq), last.data
	}
	return v.upto, nil
}

func (v version) prefix(n int) version {
	v.list = slices.Clip(v.list[:max(n, v.first)])
	return v
}

// leads reports whether a log goes on from where another ends.
func (v version) leads(from version) bool {
	return v.base == from.base && len(v.list) >= len(from.list) &&
		slices.EqualFunc(v.list[:len(from.list)], from.list, func(a, b entry) bool { return bytes.Equal(a.data, b.data) })
}

// without returns what v holds and o lacks, apart from what o's truncation took away.
func (v version) without(o version) (list []entry) {
	there := map[string][]byte{}
	for _, e := range o.list {
		there[e.path] = e.data
	}
	for _, e := range v.list {
		if data, ok := there[e.path]; ok && bytes.Equal(data, e.data) || o.gone[e.path] {
			continue
		}
		list = append(list, e)
	}
	return list
}

// passing reports whether a truncation may take a record away.
func passing(r Record) bool {
	switch r.(type) {
	case *Message, *Receipt:
		return true
	}
	return false
}

// later is any fixed order between two logs of one name.
func (v version) later(o version) bool {
	seq, data := v.newest()
	oseq, odata := o.newest()
	return cmp.Or(cmp.Compare(v.epoch, o.epoch), cmp.Compare(seq, oseq), cmp.Compare(v.upto, o.upto), bytes.Compare(data, odata)) > 0
}

// site is a clone: a node with what it holds of all logs.
type site struct {
	*node
	team *team
	key  string
	logs map[string]version
	seen map[string]bool // ids of all records that it ever held
	gone map[string]bool // and log and id of those that it holds no more
}

type team struct {
	*network
	sites    []*site
	signed   bool
	copies   bool              // clones are copied in this run
	cuts     bool              // logs are truncated
	keys     map[string]string // of each log
	wrote    map[string]bool   // ids of acknowledged records
	cut      map[string]bool   // ids of those that their owner took away
	unread   map[string]bool   // message and agent, of a receipt that its owner took away
	forged   map[string]bool   // ids
	doubtful map[string]bool   // logs that more than one writes to
}

func newTeam(t testing.TB, seed int64) *team {
	w := &team{network: newNetwork(t, seed), keys: map[string]string{}, wrote: map[string]bool{}, cut: map[string]bool{},
		unread: map[string]bool{}, forged: map[string]bool{}, doubtful: map[string]bool{}}
	w.signed, w.copies, w.cuts = w.rnd.Intn(2) == 0, w.rnd.Intn(2) == 0, w.rnd.Intn(3) > 0
	for _, n := range w.nodes {
		if w.rnd.Intn(2) == 0 && n.skew < 48*time.Hour {
			n.skew = 0 // so that stamps meet
		}
		w.sites = append(w.sites, &site{node: n, team: w, key: n.id, logs: map[string]version{}, seen: map[string]bool{}, gone: map[string]bool{}})
		w.keys[n.id] = n.id
	}
	return w
}

// arrivals returns all that a clone holds.
func (s *site) arrivals() (list []arrival) {
	for _, replica := range slices.Sorted(maps.Keys(s.logs)) {
		for _, e := range s.logs[replica].list {
			list = append(list, arrival{replica, e.rec})
		}
	}
	return list
}

// encoded takes a record through the codec.
func (s *site) encoded(r Record) entry {
	data, err := Encode(r)
	if err != nil {
		s.net.t.Fatal(err)
	}
	return s.decoded(entry{path: r.Path(), data: data, key: s.key})
}

func (s *site) decoded(e entry) entry {
	r, err := Decode(e.path, e.data)
	if err != nil {
		s.net.t.Fatal(err)
	}
	e.rec = r
	return e
}

// write lets the clone do something, as a transaction does: its clock goes on from the newest
// stamps of all logs.
func (s *site) write(do func()) {
	for _, replica := range slices.Sorted(maps.Keys(s.logs)) {
		if list := s.logs[replica].list; replica != s.id && len(list) > 0 {
			s.clock.Adopt(list[len(list)-1].rec.Head().HLC, s.wall())
		}
	}
	from := len(s.log)
	do()
	for _, r := range s.log[from:] {
		v := s.logs[s.id]
		v.list = append(slices.Clip(v.list), s.encoded(r))
		s.logs[s.id] = v
		s.team.wrote[r.Head().ID], s.seen[r.Head().ID] = true, true
	}
}

// more does what act does not: names, contact policies, answers, receipts for several.
func (s *site) more() {
	rnd := s.net.rnd
	if len(s.agents) == 0 {
		s.addAgent()
		return
	}
	me := pick(rnd, s.agents)
	value := fmt.Sprintf("Value%d", s.net.serial)
	switch msgs := s.st.Messages(); rnd.Intn(4) {
	case 0:
		a := s.st.Agents[me]
		s.add(&AgentChange{Header: s.head(me, a.Name.Mark), Agent: me, Name: ptr(s.net.register("name "+me, value, a.Name.Value))})
	case 1:
		a := s.st.Agents[me]
		s.add(&AgentChange{Header: s.head(me, a.ContactPolicy.Mark), Agent: me, ContactPolicy: ptr(s.net.register("policy "+me, value, a.ContactPolicy.Value))})
	case 2:
		if len(msgs) > 0 {
			m := pick(rnd, msgs)
			s.add(&Message{Header: s.head(me), To: []string{m.By}, ToNames: []string{s.st.Address(m.By)}, Thread: m.ThreadKey(), ReplyTo: m.ID, Subject: "Re: " + value, Importance: High, Body: value})
		}
	case 3:
		if len(msgs) > 0 {
			s.add(&Receipt{Header: s.head(me), Read: []string{pick(rnd, msgs).ID, pick(rnd, msgs).ID}, Ack: []string{pick(rnd, msgs).ID}})
		}
	}
}

// truncate writes the own log anew, without old messages, and without the receipts of messages
// that are nowhere any more. Not while a copy of the clone writes to it as well: what one of them
// takes away, and the other never had, its readers want of the other (doc/FORMAT.md, "Copied clones").
func (s *site) truncate() {
	v := s.logs[s.id]
	copied := slices.ContainsFunc(s.team.sites, func(o *site) bool { return o != s && o.id == s.id })
	if len(v.list) == 0 || !s.team.cuts || copied {
		return
	}
	upto := pick(s.net.rnd, v.list).rec.Head().Seq
	there := map[string]bool{}
	for _, a := range s.arrivals() {
		if m, ok := a.rec.(*Message); ok && !(a.replica == s.id && m.Seq <= upto) {
			there[m.ID] = true
		}
	}
	next := version{base: s.net.id(), epoch: v.epoch + 1, upto: max(v.upto, upto), gone: map[string]bool{}, key: s.key}
	maps.Copy(next.gone, v.gone)
	for _, e := range v.list {
		drop := passing(e.rec) && e.rec.Head().Seq <= upto
		if r, ok := e.rec.(*Receipt); ok && drop {
			of := append(slices.Clone(r.Read), r.Ack...)
			if drop = !slices.ContainsFunc(of, func(id string) bool { return there[id] }); drop {
				for _, id := range of {
					s.team.unread[id+" "+r.By] = true
				}
			}
		}
		if !drop {
			next.list = append(next.list, e)
			continue
		}
		s.team.cut[e.rec.Head().ID], next.gone[e.path], s.gone[s.id+" "+e.rec.Head().ID] = true, true, true
	}
	next.first = len(next.list)
	s.logs[s.id] = next
	s.st = fold(s.arrivals())
}

// copied makes a copy of a clone with its identity, as cp -a does. Of logs that are truncated
// there is one copy: where of three that write to one log one truncates it, what the other two
// had in common is not in any other log, and nobody can tell whose the log is.
func (s *site) copied() {
	if s.team.cuts && s.team.doubtful[s.id] {
		return
	}
	n := *s.node
	n.clock = NewClock(s.clock.last)
	n.log, n.agents, n.has, n.st = slices.Clip(s.log), slices.Clip(s.agents), map[string]int{}, fold(s.arrivals())
	s.node.log, s.node.agents = slices.Clip(s.log), slices.Clip(s.agents)
	s.team.sites = append(s.team.sites, &site{node: &n, team: s.team, key: s.key, logs: maps.Clone(s.logs), seen: maps.Clone(s.seen), gone: maps.Clone(s.gone)})
	s.team.doubtful[s.id] = true
}

// believed reports whether the owner of a log has signed all of it.
func (w *team) believed(replica string, v version) bool {
	mine := func(key string) bool { return key == w.keys[replica] }
	return !w.signed || (v.epoch == 0 || mine(v.key)) && !slices.ContainsFunc(v.list, func(e entry) bool { return !mine(e.key) })
}

// accept looks at what somebody shows of a log, and takes it over if that loses nothing. It
// reports whether anything changed.
func (s *site) accept(replica string, off version) bool {
	have, known := s.logs[replica]
	if !s.team.believed(replica, off) {
		return false
	}
	switch {
	case known && (have.leads(off) || off.epoch < have.epoch): // an old one
		return false
	case !known || off.leads(have):
		s.take(replica, off)
		return true
	}
	lost, news := have.without(off), off.without(have)
	if off.epoch == have.epoch && len(news) == 0 && (len(lost) > 0 || !off.later(have)) {
		return false
	}
	// Either its owner has truncated it, and nothing is lost. Or two have written to it: where
	// one of them goes by another name since, what it wrote is in that log, and the other has
	// this one; where both do, no matter which, but all the same.
	lostElsewhere, newsElsewhere := s.elsewhere(replica, lost), s.elsewhere(replica, news)
	switch {
	case lostElsewhere && (!newsElsewhere || off.later(have)):
		s.take(replica, off)
		return true
	case newsElsewhere && off.epoch == have.epoch || replica != s.id:
		return false
	}
	s.id = s.net.id()
	s.team.keys[s.id] = s.key
	s.take(replica, off)
	for i := range lost {
		lost[i].key = s.key
	}
	s.logs[s.id] = version{gone: have.gone, list: lost, first: len(lost)}
	s.st = fold(s.arrivals())
	return true
}

// elsewhere reports whether everything in a list is in another log too, or was before that was
// truncated.
func (s *site) elsewhere(replica string, list []entry) bool {
	return !slices.ContainsFunc(list, func(e entry) bool {
		for other, v := range s.logs {
			if other != replica && (v.gone[e.path] || slices.ContainsFunc(v.list, func(o entry) bool { return o.path == e.path && bytes.Equal(o.data, e.data) })) {
				return false
			}
		}
		return true
	})
}

// take has a log from now on, read by the clone itself.
func (s *site) take(replica string, v version) {
	have := s.logs[replica]
	forward := v.leads(have)
	list := slices.Clone(v.list)
	for i := range list {
		if forward && i < len(have.list) {
			list[i] = have.list[i]
			continue
		}
		list[i] = s.decoded(list[i])
		id := list[i].rec.Head().ID
		if s.gone[replica+" "+id] && !s.team.doubtful[replica] {
			s.net.t.Fatalf("%s has %s again in the log %s", s.id, id, replica)
		}
		s.seen[id] = true
		if forward {
			s.st.Apply(replica, list[i].rec)
		}
	}
	v.list = list
	s.logs[replica] = v
	if !forward {
		for _, e := range have.without(version{list: list}) {
			s.gone[replica+" "+e.rec.Head().ID] = true
		}
		s.st = fold(s.arrivals())
	}
	if replica == s.id && len(list) > 0 { // a backup, or a forger, has gone on with it
		h := list[len(list)-1].rec.Head()
		s.seq = max(s.seq, h.Seq)
		s.clock.Overwrite(h.HLC)
		s.far = s.far || h.HLC.MS > s.wall().Add(MaxSkew).UnixMilli()
	}
}

// hear takes from another clone what it holds, third clones' logs included, in any order; of
// some logs nothing or only the beginning, unless all is set. What is known comes again.
func (s *site) hear(from *site, all bool) (changed bool) {
	rnd := s.net.rnd
	was := map[string]Delivery{}
	for k, d := range s.st.Receipts {
		was[k] = *d
	}
	names := slices.Sorted(maps.Keys(from.logs))
	rnd.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for _, replica := range names {
		v := from.logs[replica]
		switch {
		case all:
		case rnd.Intn(4) == 0:
			continue
		case rnd.Intn(3) == 0:
			v = v.prefix(rnd.Intn(len(v.list) + 1))
		}
		changed = s.accept(replica, v) || changed
	}
	s.team.kept(s, was)
	return changed
}

// kept fails if a clone does not show any more what it showed before: I2, I4.
func (w *team) kept(s *site, was map[string]Delivery) {
	holds := map[string]bool{}
	for _, a := range s.arrivals() {
		id := a.rec.Head().ID
		holds[id] = true
		if w.signed && w.forged[id] {
			w.t.Fatalf("%s holds the forged record %s", s.id, id)
		}
	}
	for id := range s.seen {
		if !holds[id] && !w.forged[id] && !w.cut[id] {
			w.t.Fatalf("%s does not hold %s any more", s.id, id)
		}
	}
	for k, d := range was {
		is := s.st.Receipts[k]
		if is == nil {
			is = &Delivery{}
		}
		if !w.unread[k] && (is.Read == 0 || is.Read > d.Read || d.Ack != 0 && (is.Ack == 0 || is.Ack > d.Ack)) {
			w.t.Fatalf("at %s the receipt %s went from %+v to %+v", s.id, k, d, *is)
		}
	}
}

// forge shows a clone a log of somebody else's that it has rewritten, set back, or gone on with.
// Without signatures a continuation is believed, and so is a rewritten one where nobody has the
// true one. Its owner then takes another identity, and so all come to one mind; but whoever
// believed a forger refuses a truncation for ever. So without signatures that is done once to
// each log, while it has an owner, and no log is copied or truncated.
func (s *site) forge(victim *site) {
	rnd := s.net.rnd
	replica := pick(rnd, slices.Sorted(maps.Keys(s.logs)))
	v := s.logs[replica]
	owned := slices.ContainsFunc(s.team.sites, func(o *site) bool { return o.id == replica })
	if s.key == s.team.keys[replica] || len(v.list) == 0 || !s.team.signed && (s.team.copies || s.team.cuts || s.team.doubtful[replica] || !owned) {
		return
	}
	s.team.doubtful[replica] = true
	v.list = slices.Clone(v.list)
	i := rnd.Intn(len(v.list))
	switch kind := rnd.Intn(4); {
	case kind == 0:
		v = v.prefix(i)
	case kind == 1 && s.team.signed: // a truncation
		v.base, v.epoch, v.upto, v.key, v.gone = s.net.id(), v.epoch+1, v.upto+100, s.key, map[string]bool{}
		for _, e := range v.list[:i] {
			v.gone[e.path] = true
		}
		v.list, v.first = v.list[i:], 0
	case kind == 2: // with the stamp of what is there, where two values of one mark meet
		i = len(v.list) - 1
		fallthrough
	default:
		old := v.list[i].rec
		h := Header{V: Version, ID: s.net.id(), Seq: old.Head().Seq, HLC: old.Head().HLC, At: old.Head().At, By: old.Head().By}
		var r Record = &Message{Header: h, To: []string{}, ToNames: []string{}, Subject: "forged", Importance: Low}
		for j := range v.list {
			if c, ok := v.list[j].rec.(*Contact); ok {
				h.HLC = c.HLC
				r = &Contact{Header: h, From: c.From, To: c.To, Status: pick(rnd, []string{LinkApproved, LinkPending, LinkBlocked}), Reason: c.Reason}
			}
		}
		e := s.encoded(r)
		s.team.forged[h.ID] = true
		if kind == 2 {
			v.list = append(v.list, e)
		} else {
			v.list[i] = e
		}
	}
	was := map[string]Delivery{}
	for k, d := range victim.st.Receipts {
		was[k] = *d
	}
	victim.accept(replica, v)
	s.team.kept(victim, was)
}

// fresh fails if what a clone has folded, bit by bit, is not what the set of its logs means: I1.
func (s *site) fresh() {
	want := dump(s.net.t, fold(shuffled(s.net.rnd, s.arrivals())))
	if got := dump(s.net.t, s.st); got != want {
		s.net.t.Fatalf("%s sees something else than its logs say in another order %s", s.id, differ(got, want))
	}
}

func (w *team) run(steps int) {
	for range steps {
		if w.rnd.Intn(4) > 0 { // else two write in one moment
			w.now = w.now.Add(time.Duration(w.rnd.Int63n(int64(20 * time.Minute))))
		}
		s, o := pick(w.rnd, w.sites), pick(w.rnd, w.sites)
		switch k := w.rnd.Intn(40); {
		case k < 13:
			s.write(s.act)
		case k < 18:
			s.write(s.more)
		case k < 34:
			s.hear(o, w.rnd.Intn(3) == 0)
		case k < 36:
			s.truncate()
		case k < 37 && w.copies && len(w.sites) < 7:
			s.copied()
		case k < 39 && len(s.logs) > 0:
			s.forge(o)
		default:
			s.fresh()
		}
	}
}

// meet lets everybody hear of everything until nothing changes, then once more.
func (w *team) meet() {
	again := func() (changed bool) {
		for _, s := range w.sites {
			for _, o := range w.sites {
				changed = s.hear(o, true) || changed
			}
		}
		return changed
	}
	for round := 0; again(); round++ {
		if round == 20 {
			w.t.Fatal("they do not come to an end")
		}
	}
}

// TestPartitions: whatever is torn, relayed, shortened, copied or forged, whoever has the same
// logs sees the same (I1, B16); nothing is lost but what its owner took away, and that does not come back
// (I2, I3, B10); receipts only ever grow (I4); what was written over something that was seen is
// never beaten by it, whatever the clocks (I5, B16); nothing new moves nothing (I6); nobody's
// log is believed from others, where logs are signed (I10); stamps stay by the
// writer's clock (in head).
func TestPartitions(t *testing.T) {
	t.Parallel()
	var seed int64
	defer func() {
		if t.Failed() {
			t.Logf("it was seed %d", seed)
		}
	}()
	for seed = range partitionSeeds() {
		w := newTeam(t, seed)
		w.run(40 + w.rnd.Intn(60))
		w.meet()
		w.agree()
	}
	t.Log("teams that agree:", seed+1)
}

// agree is what must hold when all have met.
func (w *team) agree() {
	first := w.sites[0]
	list := first.arrivals()
	want := dump(w.t, fold(shuffled(w.rnd, list)))
	order := func(s *site) (ids []string) {
		for _, l := range s.st.Leases.ByAge() {
			ids = append(ids, l.ID)
		}
		return ids
	}
	for _, s := range w.sites {
		if got := dump(w.t, s.st); got != want {
			w.t.Fatalf("%s sees something else than %s %s", s.id, first.id, differ(got, want))
		}
		if a, b := order(s), order(first); !slices.Equal(a, b) {
			w.t.Fatalf("of reservations %s has first %q, %s %q", s.id, a, first.id, b)
		}
		if s.hear(first, true) {
			w.t.Fatalf("%s hears something new where nothing is", s.id)
		}
		lastSeq := int64(0)
		for i, e := range s.logs[s.id].list {
			if seq := e.rec.Head().Seq; i > 0 && (seq <= lastSeq || seq > lastSeq+1 && len(w.cut)+len(w.forged) == 0) && !w.doubtful[s.id] {
				w.t.Fatalf("in the log %s the record %d follows %d", s.id, seq, lastSeq)
			} else {
				lastSeq = seq
			}
		}
	}
	holds, gone := map[string]bool{}, map[string]bool{}
	for _, a := range list {
		holds[a.rec.Head().ID] = true
		switch r := a.rec.(type) {
		case *Redaction:
			for _, id := range r.Messages {
				gone[id] = true
			}
		case *AgentChange:
			gone[r.Agent] = gone[r.Agent] || r.Deleted
		}
		if w.cut[a.rec.Head().ID] && len(w.doubtful) == 0 {
			w.t.Fatalf("%s came back", a.rec.Head().ID)
		}
	}
	for id := range w.wrote {
		if !holds[id] && !w.cut[id] {
			w.t.Fatalf("the record %s is lost", id)
		}
	}
	for _, m := range first.st.Messages() {
		if m.Redacted != (gone[m.ID] || gone[m.By]) {
			w.t.Fatalf("message %s is redacted: %v", m.ID, m.Redacted)
		}
	}
	w.winners(first, list)
}

// winners works out by itself who is to win each register: the greatest stamp, of equal ones
// the greatest replica, of one replica's, which only damage or malice makes, the strictest link.
func (w *team) winners(s *site, list []arrival) {
	later := func(a, b Mark) bool {
		return cmp.Or(cmp.Compare(a.Stamp.MS, b.Stamp.MS), cmp.Compare(a.Stamp.N, b.Stamp.N), cmp.Compare(a.Replica, b.Replica)) > 0
	}
	type set struct {
		mark   Mark
		status string
	}
	all := map[string][]set{}
	for _, a := range list {
		m := Mark{a.rec.Head().HLC, a.replica}
		switch r := a.rec.(type) {
		case *AgentChange:
			for kind, v := range map[string]*string{"task ": r.Task, "name ": r.Name, "policy ": r.ContactPolicy} {
				if v != nil {
					all[kind+r.Agent] = append(all[kind+r.Agent], set{m, ""})
				}
			}
		case *Contact:
			key := "link " + r.From + " " + r.To
			all[key] = append(all[key], set{m, r.Status})
		}
	}
	strictness := []string{"", LinkApproved, LinkPending, LinkBlocked}
	for key, sets := range all {
		var want, got set
		for _, x := range sets {
			if later(x.mark, want.mark) || x.mark == want.mark && slices.Index(strictness, x.status) > slices.Index(strictness, want.status) {
				want = x
			}
		}
		switch kind, id, _ := strings.Cut(key, " "); kind {
		case "link":
			got = set{s.st.Links[id].Mark, s.st.Links[id].Status}
		case "task":
			got.mark = s.st.Agents[id].Task.Mark
		case "name":
			got.mark = s.st.Agents[id].Name.Mark
		case "policy":
			got.mark = s.st.Agents[id].ContactPolicy.Mark
		}
		if got != want {
			w.t.Fatalf("of %s counts %+v, not %+v", key, got, want)
		}
	}
	for key, writes := range w.writes {
		won := final(s.st, key)
		for _, x := range writes {
			if x.saw == won {
				w.t.Fatalf("%s is still %q, although %q was written over it", key, won, x.value)
			}
		}
	}
}
