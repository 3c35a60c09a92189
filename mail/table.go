package mail

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// tableVersions is how long the chain of a table's versions grows before it is let go. A clone
// that comes new fetches them all.
const tableVersions = 1000

// tableMost is the greatest number in a table. Without a limit one hostile version could leave
// no token for the next.
const tableMost = 1 << 53

// tableTidy is how long after its end a reservation stays in a table that somebody changes.
const tableTidy = time.Hour

// Table is a version of the table in which clones keep their strong reservations, at a remote
// that they all know. Two that cross each other are never both live in one version.
type Table struct {
	Token   int64 // the greatest that was ever given; each grant has one of its own
	Epoch   int64 // how often the versions before were let go
	Version int64 // of this epoch
	Held    map[string]*Grant

	other map[string][]byte // files of a newer version, kept
}

// Grant is one reservation in a table.
type Grant struct {
	Lease
	Replica string `json:"replica"`
	Token   int64  `json:"token"`
	At      Time   `json:"at"` // of the grant, or of its newest renewal

	raw []byte // as it was read, with keys that only a newer version knows
}

type tableHead struct {
	V       int   `json:"v"`
	Token   int64 `json:"token"`
	Epoch   int64 `json:"epoch"`
	Version int64 `json:"version"`
}

const (
	tableFile  = "table.json"
	grantsDir  = "lease/"
	grantsTail = ".json"
)

// DecodeTable reads the files of a table. What it cannot read is an error of code corrupt, or
// format: who does not know what is held must not take it for free.
func DecodeTable(files map[string][]byte) (*Table, error) {
	t := &Table{Held: map[string]*Grant{}, other: map[string][]byte{}}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		data := files[name]
		id, isGrant := strings.CutPrefix(name, grantsDir)
		switch {
		case name == tableFile:
			var h tableHead
			if err := json.Unmarshal(data, &h); err != nil || h.V < 1 || !counts(h.Token, h.Epoch, h.Version) {
				return nil, Errorf(Corrupt, "the table of strong reservations is damaged: %s cannot be read", name)
			}
			if h.V > Version {
				return nil, Errorf(Format, "the table of strong reservations was written by a newer version: it is of version %d, and %d is the most that this one reads", h.V, Version)
			}
			t.Token, t.Epoch, t.Version = h.Token, h.Epoch, h.Version
		case isGrant:
			g := &Grant{raw: data}
			if err := json.Unmarshal(data, g); err != nil || g.ID+grantsTail != id || g.check() != nil || g.Token < 1 || !counts(g.Token) {
				return nil, Errorf(Corrupt, "the table of strong reservations is damaged: %s cannot be read", name)
			}
			t.Held[g.ID] = g
		default:
			t.other[name] = data
		}
	}
	if len(files) > 0 && files[tableFile] == nil {
		return nil, Errorf(Corrupt, "the table of strong reservations is damaged: it has no %s", tableFile)
	}
	for _, g := range t.Held {
		t.Token = max(t.Token, g.Token)
	}
	return t, nil
}

// counts reports whether these can be numbers in a table.
func counts(list ...int64) bool {
	return !slices.ContainsFunc(list, func(n int64) bool { return n < 0 || n > tableMost })
}

func (g *Grant) check() error {
	return (&LeaseEvent{Op: LeaseNew, Leases: []Lease{g.Lease}}).check()
}

// Files writes the table.
func (t *Table) Files() (map[string][]byte, error) {
	files := map[string][]byte{}
	maps.Copy(files, t.other)
	head, err := marshal(tableHead{Version, t.Token, t.Epoch, t.Version})
	if err != nil {
		return nil, err
	}
	files[tableFile] = append(head, '\n')
	for id, g := range t.Held {
		data := g.raw
		if data == nil {
			if data, err = marshal(g); err != nil {
				return nil, err
			}
			data = append(data, '\n')
		}
		files[grantsDir+id+grantsTail] = data
	}
	return files, nil
}

// Ends returns when the grant ends unless it is renewed.
func (g *Grant) Ends() Time { return g.At + Time(g.TTL*1000) }

// Live reports whether others have to respect the grant at now. The rules are those of
// LeaseState.Live for leases of another replica; a wrong clock costs waiting time or a
// holder its lease, never more: whoever was replaced can push nothing under it.
func (g *Grant) Live(now time.Time) bool {
	return g.At <= At(now.Add(MaxSkew)) && now.Before(g.Ends().Time().Add(SkewGrace))
}

// Settling is what a clone brings to a table.
type Settling struct {
	Own    string // its replica
	Leases Leases // of all logs, those that have ended included as far as they are in the table
	Tokens map[string]int64
	Now    time.Time
	Floor  int64 // a token that is known to have been given

	// Of these reservations all are granted or none.
	Together map[string]bool
	// Crosses reports whether two patterns have a path in common.
	Crosses func(a, b *Lease) bool
}

// Settle works out the next version of the table: what has ended is taken out, what the
// clone has renewed is renewed, and what it wants and nobody holds is granted to it. refused
// says whose grants are in the way of something. It returns the table itself if there is
// nothing to do.
func (t *Table) Settle(s Settling) (next *Table, refused map[string]*Grant) {
	next = &Table{Token: t.Token, Epoch: t.Epoch, Version: t.Version, Held: maps.Clone(t.Held), other: t.other}
	changed := false
	for id, g := range t.Held {
		l := s.Leases[id]
		ended := l != nil && (l.Ended != "" || g.Replica == s.Own && l.Replica == s.Own && !l.Live(s.Now, s.Own))
		if ended || g.At <= At(s.Now) && s.Now.After(g.Ends().Time().Add(tableTidy)) {
			delete(next.Held, id)
			changed = true
		}
	}
	var wanted []*LeaseState
	for _, l := range s.Leases.ByAge() {
		if !l.Strong || l.Replica != s.Own || !l.Live(s.Now, s.Own) {
			continue
		}
		end, _ := l.Expires(s.Now)
		switch g := next.Held[l.ID]; {
		case g == nil && s.Tokens[l.ID] == 0, g != nil && !g.keepsOut(l):
			wanted = append(wanted, l)
		case g != nil && g.Ends() < At(end):
			next.Held[l.ID] = l.grant(s, g.Token, end)
			changed = true
		}
	}
	refused = map[string]*Grant{}
	before := *next
	if !next.grantAll(wanted, s, refused) { // one of Together is refused, so all of them are
		*next = before
		maps.DeleteFunc(refused, func(id string, _ *Grant) bool { return !s.Together[id] })
		wanted = slices.DeleteFunc(wanted, func(l *LeaseState) bool { return s.Together[l.ID] })
		next.grantAll(wanted, s, refused)
	}
	changed = changed || next.Token != before.Token
	if s.Floor > next.Token {
		next.Token, changed = s.Floor, true
	}
	if !changed {
		return t, refused
	}
	next.step()
	return next, refused
}

// keepsOut reports whether the grant keeps out what a lease keeps out, which may have been reserved
// again and be another one now.
func (g *Grant) keepsOut(l *LeaseState) bool {
	return g.Exclusive == l.Exclusive && g.Kind == l.Kind && g.Pattern == l.Pattern && g.Holder == l.Holder
}

// grantAll grants what nobody holds, each one after the other, for two agents of one clone may want the
// same. It reports false as soon as one of Together is refused.
func (t *Table) grantAll(wanted []*LeaseState, s Settling, refused map[string]*Grant) bool {
	t.Held = maps.Clone(t.Held)
	for _, l := range wanted {
		var over []string // in the way, and has expired
		for _, id := range slices.Sorted(maps.Keys(t.Held)) {
			g := t.Held[id]
			switch {
			case g.Holder == l.Holder || !(g.Exclusive || l.Exclusive) || !s.Crosses(&g.Lease, &l.Lease):
			case g.Live(s.Now):
				refused[l.ID] = g
			default:
				over = append(over, id)
			}
		}
		if refused[l.ID] != nil {
			if s.Together[l.ID] {
				return false
			}
			continue
		}
		for _, id := range over {
			delete(t.Held, id)
		}
		end, _ := l.Expires(s.Now)
		t.Token = max(t.Token, s.Floor) + 1
		t.Held[l.ID] = l.grant(s, t.Token, end)
	}
	return true
}

// Next returns a version of the table that says the same.
func (t *Table) Next() *Table {
	next := *t
	next.step()
	return &next
}

func (t *Table) step() {
	if t.Version++; t.Version >= tableVersions {
		t.Epoch, t.Version = t.Epoch+1, 0
	}
}

// First reports whether the versions before this one can be let go.
func (t *Table) First() bool { return t.Version == 0 && t.Epoch > 0 }

// Rewrites reports whether the table may take the place of one that it does not go on from.
func (t *Table) Rewrites(old *Table) bool { return t.Epoch > old.Epoch && t.Token >= old.Token }

func (l *LeaseState) grant(s Settling, token int64, end time.Time) *Grant {
	g := &Grant{Lease: l.Lease, Replica: s.Own, Token: token, At: At(s.Now)}
	g.TTL = int64((end.Sub(s.Now) + time.Second - 1) / time.Second)
	return g
}

// Equal reports whether two tables are the same, byte for byte.
func (t *Table) Equal(o *Table) bool {
	a, aerr := t.Files()
	b, berr := o.Files()
	return aerr == nil && berr == nil && maps.EqualFunc(a, b, bytes.Equal)
}
