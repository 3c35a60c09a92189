package mail

import (
	"cmp"
	"slices"
	"strings"
)

// Delivery is what one agent has done with one message. Times are 0 until then.
type Delivery struct {
	Read Time
	Ack  Time
}

// State is the fold of any set of records: what they mean together.
type State struct {
	*Directory
	Leases   Leases
	Receipts map[string]*Delivery // by message id + " " + agent id
	Active   map[string]Time      // newest record by each agent, own and foreign clocks alike
	Commits  map[string][]*CommitSeen
	Bypasses []*Bypass
	Slots    Slots
	Products Products
	Unknown  []*Unknown
	Redacted map[string]bool // ids of messages that redactions name

	messages map[string][]letter // copies of one id; more than one only by damage or malice
}

type letter struct {
	replica string
	msg     *Message
}

// NewState returns the fold of no records.
func NewState() *State {
	return &State{
		Directory: NewDirectory(),
		Leases:    Leases{},
		Receipts:  map[string]*Delivery{},
		Active:    map[string]Time{},
		Commits:   map[string][]*CommitSeen{},
		Slots:     Slots{},
		Products:  Products{},
		Redacted:  map[string]bool{},
		messages:  map[string][]letter{},
	}
}

// Apply adds a record found in the log of replica. It is commutative,
// associative and idempotent over (replica, record).
func (s *State) Apply(replica string, r Record) {
	h := r.Head()
	if h.By != "" {
		s.Active[h.By] = max(s.Active[h.By], h.At)
	}
	switch r := r.(type) {
	case *AgentChange, *Contact:
		s.Directory.Apply(replica, r)
	case *LeaseEvent:
		s.Leases.Apply(replica, r)
	case *Message:
		copies := s.messages[r.ID]
		if !slices.ContainsFunc(copies, func(l letter) bool { return l.replica == replica && sameMessage(l.msg, r) }) {
			s.messages[r.ID] = append(copies, letter{replica, r})
		}
	case *Receipt:
		at := max(r.At, 1) // 0 means never
		for _, id := range r.Read {
			s.delivery(id, r.By).read(at)
		}
		for _, id := range r.Ack {
			d := s.delivery(id, r.By)
			d.read(at) // ack implies read
			if d.Ack == 0 || at < d.Ack {
				d.Ack = at
			}
		}
	case *CommitSeen:
		s.Commits[r.OID] = insert(s.Commits[r.OID], r)
	case *Bypass:
		s.Bypasses = insert(s.Bypasses, r)
	case *SlotEvent:
		s.Slots.Apply(replica, r)
	case *ProductLink:
		s.Products.Apply(replica, r)
	case *Redaction:
		for _, id := range r.Messages {
			s.Redacted[id] = true
		}
	case *Unknown:
		s.Unknown = insert(s.Unknown, r)
	}
}

// order is the order of the log. Of records that share stamp and id, which only
// damage or malice makes, their place and bytes decide.
func order(a, b Record) int {
	ha, hb := a.Head(), b.Head()
	if c := cmp.Or(ha.HLC.Compare(hb.HLC), strings.Compare(ha.ID, hb.ID)); c != 0 {
		return c
	}
	return cmp.Or(strings.Compare(a.Path(), b.Path()), strings.Compare(encoding(a), encoding(b)))
}

// insert adds r where it belongs. One record found twice, or in two logs, is one.
func insert[R Record](list []R, r R) []R {
	i, there := slices.BinarySearchFunc(list, r, func(a, b R) int { return order(a, b) })
	if there {
		return list
	}
	return slices.Insert(list, i, r)
}

func (s *State) delivery(message, agent string) *Delivery {
	key := message + " " + agent
	d := s.Receipts[key]
	if d == nil {
		d = &Delivery{}
		s.Receipts[key] = d
	}
	return d
}

func (d *Delivery) read(at Time) {
	if d.Read == 0 || at < d.Read {
		d.Read = at
	}
}

// Delivery returns what agent has done with message.
func (s *State) Delivery(message, agent string) Delivery {
	if d := s.Receipts[message+" "+agent]; d != nil {
		return *d
	}
	return Delivery{}
}

// Message returns the message with this id, or nil. Of several copies that
// differ, the one in the log of the sender's home counts, else a fixed one. Of one that
// was redacted, or whose sender was deleted, it is the tombstone.
func (s *State) Message(id string) *Message {
	copies := s.messages[id]
	if len(copies) == 0 {
		return nil
	}
	best := copies[0]
	for _, l := range copies[1:] {
		if s.prefer(l, best) {
			best = l
		}
	}
	return s.Shown(best.msg)
}

// Shown returns what of a message is to be shown: itself, or its tombstone.
func (s *State) Shown(m *Message) *Message {
	if s.Redacted[m.ID] || s.Deleted(m.By) {
		return m.Tombstone()
	}
	return m
}

func (s *State) prefer(a, b letter) bool {
	home := func(l letter) bool {
		from := s.Agents[l.msg.By]
		return from != nil && from.Home.Value == l.replica
	}
	if x, y := home(a), home(b); x != y {
		return x
	}
	if c := strings.Compare(a.replica, b.replica); c != 0 {
		return c < 0
	}
	return strings.Compare(encoding(a.msg), encoding(b.msg)) < 0
}

func sameMessage(a, b *Message) bool { return a == b || encoding(a) == encoding(b) }

func encoding(r Record) string {
	data, _ := Encode(r)
	return string(data)
}

// Messages returns all messages, the newest first: by stamp, then id.
func (s *State) Messages() []*Message {
	list := make([]*Message, 0, len(s.messages))
	for id := range s.messages {
		list = append(list, s.Message(id))
	}
	slices.SortFunc(list, func(a, b *Message) int { return order(b, a) })
	return list
}

// MessageIDs yields the ids of all messages, in no order.
func (s *State) MessageIDs(yield func(string) bool) {
	for id := range s.messages {
		if !yield(id) {
			return
		}
	}
}
