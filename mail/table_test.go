package mail

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"
)

// A pattern of these tests is a set of letters: two cross where they share one, as patterns
// do that have a path in common. Of kind tree it has all that are capital besides.
func lettersCross(a, b *Lease) bool {
	whole := func(l *Lease) string {
		if l.Kind == "tree" {
			return l.Pattern + strings.ToUpper(l.Pattern)
		}
		return l.Pattern
	}
	return strings.ContainsAny(whole(a), whole(b))
}

// tablePeer is a clone with a log of its own, and a clock.
type tablePeer struct {
	name   string
	agents []string
	log    []*LeaseEvent
	seen   map[string]int // how much of each log it knows
	leases Leases         // by that
	tokens map[string]int64
	skew   time.Duration
}

func newTablePeer(name string) *tablePeer {
	return &tablePeer{name: name, seen: map[string]int{}, leases: Leases{}, tokens: map[string]int64{}}
}

// hear takes over what o has written up to its nth.
func (p *tablePeer) hear(o *tablePeer, n int) {
	for ; p.seen[o.name] < n; p.seen[o.name]++ {
		p.leases.Apply(o.name, o.log[p.seen[o.name]])
	}
}

func (p *tablePeer) write(now time.Time, op string, l Lease) {
	n := int64(len(p.log) + 1)
	p.log = append(p.log, &LeaseEvent{Header: Header{V: 1, ID: fmt.Sprintf("%010d", n), Seq: n, HLC: Stamp{now.UnixMilli(), n}, At: At(now), By: l.Holder}, Op: op, Leases: []Lease{l}})
	p.hear(p, int(n))
}

// TestTableSettle: clones that hear of each other late, with clocks that are wrong, settle from
// the same version of a table, and one of them is applied. In no version two reservations of
// different holders cross; tokens never go down, and each grant has one of its own; what
// nobody is in the way of is granted; files of a newer version stay.
func TestTableSettle(t *testing.T) {
	runs := 2000
	if testing.Short() {
		runs = 200
	}
	granted, refusals, taken := 0, 0, 0
	for run := range runs {
		rnd := rand.New(rand.NewSource(int64(run)))
		now := time.Unix(1_800_000_000, 0)
		var all []*tablePeer
		for i := range 2 + rnd.Intn(3) {
			p := newTablePeer([]string{repA, repB, repC, "dddddddddd"}[i])
			for k := range 1 + rnd.Intn(2) {
				p.agents = append(p.agents, fmt.Sprintf("%d%d00000000", i, k))
			}
			p.skew = time.Duration(rnd.Intn(5)-2) * []time.Duration{time.Second, SkewGrace, MaxSkew, 24 * time.Hour}[rnd.Intn(4)]
			all = append(all, p)
		}
		const strange = "later/file"
		table := &Table{Held: map[string]*Grant{}, other: map[string][]byte{strange: []byte("of a newer version")}}
		ids := 0
		for step := range 40 {
			now = now.Add(time.Duration(rnd.Intn(120)) * time.Second)
			p := pick(rnd, all)
			at := now.Add(p.skew)
			// Something happens in its log.
			var mine []*LeaseState
			for _, l := range p.leases.ByAge() {
				if l.Replica == p.name && l.Live(at, p.name) {
					mine = append(mine, l)
				}
			}
			set := Settling{Own: p.name, Now: at, Crosses: lettersCross, Tokens: p.tokens, Together: map[string]bool{}}
			switch op := rnd.Intn(6); {
			case op < 3 || len(mine) == 0:
				for range 1 + rnd.Intn(2) {
					ids++
					l := Lease{ID: fmt.Sprintf("1%09d", ids), Holder: pick(rnd, p.agents), Pattern: pick(rnd, []string{"a", "b", "ab", "bc", "cd", "A", "d"}),
						Kind: "unknown", Exclusive: rnd.Intn(4) > 0, TTL: 30 + rnd.Int63n(300), Since: At(at), Strong: rnd.Intn(8) > 0}
					p.write(at, LeaseNew, l)
					if rnd.Intn(2) == 0 {
						set.Together[l.ID] = true
					}
				}
			case op == 3: // again, perhaps of another sort
				l := pick(rnd, mine).Lease
				l.TTL, l.Exclusive = rnd.Int63n(300), l.Exclusive != (rnd.Intn(3) == 0)
				if rnd.Intn(3) == 0 {
					l.Kind = "tree"
				}
				p.write(at, LeaseRenew, l)
			case op == 4:
				p.write(at, LeaseRelease, pick(rnd, mine).Lease)
			default: // by force, whosever it is
				var any []*LeaseState
				for _, l := range p.leases.ByAge() {
					if l.Ended == "" {
						any = append(any, l)
					}
				}
				if len(any) > 0 {
					p.write(at, LeaseForce, pick(rnd, any).Lease)
				}
			}
			for _, o := range all {
				if rnd.Intn(3) == 0 {
					p.hear(o, p.seen[o.name]+rnd.Intn(len(o.log)-p.seen[o.name]+1))
				}
			}
			if rnd.Intn(10) == 0 {
				set.Floor = table.Token + rnd.Int63n(3)
			}
			set.Leases = p.leases
			wanted := slices.DeleteFunc(set.Leases.ByAge(), func(l *LeaseState) bool {
				return !l.Strong || l.Replica != p.name || !l.Live(at, p.name) || table.Held[l.ID] != nil || p.tokens[l.ID] > 0
			})
			next, refused := table.Settle(set)

			// Another one settles from the same version, and is slower.
			o := pick(rnd, all)
			other := Settling{Own: o.name, Now: now.Add(o.skew), Crosses: lettersCross, Tokens: o.tokens, Leases: o.leases}
			table.Settle(other)

			where := fmt.Sprintf("run %d, step %d", run, step)
			if next.Token < max(table.Token, set.Floor) {
				t.Fatalf("%s: the token went from %d to %d, at least %d", where, table.Token, next.Token, set.Floor)
			}
			tokens := map[int64]bool{}
			for id, g := range next.Held {
				if tokens[g.Token] {
					t.Fatalf("%s: two have the token %d", where, g.Token)
				}
				tokens[g.Token] = true
				was := table.Held[id]
				if was == nil {
					granted++
				}
				// Whoever has more than before, has it under a new token.
				if more := was == nil || g.Exclusive && !was.Exclusive || g.Kind != was.Kind; more && g.Token <= max(table.Token, set.Floor) {
					t.Fatalf("%s: %s was granted under the token %d, and %d was there before", where, id, g.Token, table.Token)
				}
				for other, h := range next.Held {
					if g.Holder != h.Holder && (g.Exclusive || h.Exclusive) && lettersCross(&g.Lease, &h.Lease) {
						t.Fatalf("%s: %s and %s cross: %+v, %+v", where, id, other, g, h)
					}
				}
			}
			for id, g := range table.Held {
				l := set.Leases[id]
				if next.Held[id] == nil && g.Live(at) && g.Replica != p.name && (l == nil || l.Ended == "") {
					t.Fatalf("%s: the live %s of %s was taken away", where, id, g.Replica)
				}
				if next.Held[id] == nil && g.Replica != p.name && (l == nil || l.Ended == "") {
					taken++
				}
			}
			for _, l := range set.Leases.ByAge() {
				if l.Strong && l.Replica == p.name && l.Live(at, p.name) && next.Held[l.ID] != nil && refused[l.ID] == nil &&
					(next.Held[l.ID].Exclusive != l.Exclusive || next.Held[l.ID].Kind != l.Kind) {
					t.Fatalf("%s: %s holds %+v and the table has %+v", where, p.name, l, next.Held[l.ID])
				}
			}
			broken := false
			for id := range refused {
				broken = broken || set.Together[id]
			}
			for _, l := range wanted {
				if g := next.Held[l.ID]; g == nil && refused[l.ID] == nil && !(broken && set.Together[l.ID]) {
					t.Fatalf("%s: %s wants %+v, and nobody is in the way", where, p.name, l)
				} else if g != nil && (refused[l.ID] != nil || broken && set.Together[l.ID]) {
					t.Fatalf("%s: %+v was granted and refused", where, l)
				}
			}
			refusals += len(refused)
			if rnd.Intn(4) == 0 {
				continue // its push was the slower one
			}
			files, err := next.Files()
			if err != nil {
				t.Fatalf("%s: %v", where, err)
			}
			if table, err = DecodeTable(files); err != nil || !table.Equal(next) {
				t.Fatalf("%s: written and read it is %+v, %v, and was %+v", where, table, err, next)
			}
			if string(files[strange]) != "of a newer version" {
				t.Fatalf("%s: a file of a newer version is gone", where)
			}
			if rnd.Intn(4) == 0 {
				continue // it was killed before it heard of that
			}
			p.tokens = map[string]int64{}
			for id, g := range table.Held {
				if g.Replica == p.name {
					p.tokens[id] = g.Token
				}
			}
			set.Tokens, set.Floor, set.Together = p.tokens, 0, nil
			for _, l := range set.Leases { // what lost
				if l.Strong && l.Replica == p.name && l.Ended == "" && (refused[l.ID] != nil || table.Held[l.ID] == nil) {
					p.write(at, LeaseLost, l.Lease)
				}
			}
			if again, _ := table.Settle(set); again != table && len(refused) == 0 {
				t.Fatalf("%s: a second time it is %+v, and was %+v", where, again, table)
			}
		}
	}
	t.Logf("%d granted, %d refused, %d taken over", granted, refusals, taken)
	if granted < runs || refusals < runs/4 || taken < runs/20 {
		t.Error("that is too few to show anything")
	}
}

// TestTableTwoOfOneClone: two agents of one clone want what crosses, as where reservations are
// advisory. One of them gets it.
func TestTableTwoOfOneClone(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	p := newTablePeer(repA)
	for i, holder := range []string{"1111111111", "2222222222"} {
		p.write(now, LeaseNew, Lease{ID: fmt.Sprintf("%d000000000", i), Holder: holder, Pattern: "a", Exclusive: true, TTL: 60, Since: At(now) + Time(i), Strong: true})
	}
	next, refused := (&Table{Held: map[string]*Grant{}}).Settle(Settling{Own: repA, Now: now, Leases: p.leases, Crosses: lettersCross})
	if len(next.Held) != 1 || next.Held["0000000000"] == nil || refused["1000000000"] == nil {
		t.Errorf("granted: %+v, refused: %+v", next.Held, refused)
	}
}

// TestTableMoreThanBefore: a reservation that comes to keep out more than it did, is a new one.
func TestTableMoreThanBefore(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	mine := Lease{ID: "0000000000", Holder: "1111111111", Pattern: "a", Kind: "unknown", TTL: 600, Since: At(now), Strong: true}
	theirs := mine
	theirs.ID, theirs.Holder = "1000000000", "2222222222"
	for what, change := range map[string]func(mine, theirs *Lease){
		"exclusive": func(m, _ *Lease) { m.Exclusive = true },
		"a directory": func(m, o *Lease) {
			o.Pattern, o.Exclusive, m.Kind = "A", true, "tree"
		},
	} {
		for _, alone := range []bool{true, false} {
			p := newTablePeer(repA)
			p.write(now, LeaseNew, mine)
			was, other := mine, theirs
			more := mine
			change(&more, &other)
			table := &Table{Token: 2, Held: map[string]*Grant{mine.ID: {Lease: was, Replica: repA, Token: 1, At: At(now)}}}
			if !alone {
				table.Held[other.ID] = &Grant{Lease: other, Replica: repB, Token: 2, At: At(now)}
			}
			more.TTL = 300 // it ends no later than before
			p.write(now.Add(time.Second), LeaseRenew, more)
			next, refused := table.Settle(Settling{Own: repA, Now: now.Add(time.Second), Leases: p.leases, Tokens: map[string]int64{mine.ID: 1}, Crosses: lettersCross})
			g := next.Held[mine.ID]
			if alone && (g == nil || g.Exclusive != more.Exclusive || g.Kind != more.Kind || g.Token != 3 || len(refused) > 0) {
				t.Errorf("%s, nobody in the way: %+v, refused %+v", what, g, refused)
			}
			if !alone && (refused[mine.ID] == nil || g != nil && (g.Exclusive != was.Exclusive || g.Kind != was.Kind)) {
				t.Errorf("%s, somebody in the way: %+v, refused %+v", what, g, refused)
			}
		}
	}
}

// TestTableDamaged: what is no table is an error, and never an empty one.
func TestTableDamaged(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	table := &Table{Token: 5, Held: map[string]*Grant{"1000000000": {Lease: Lease{ID: "1000000000", Holder: "1111111111", Pattern: "a", Exclusive: true, TTL: 60, Since: At(now), Strong: true}, Replica: repA, Token: 5, At: At(now)}}}
	good, err := table.Files()
	if err != nil {
		t.Fatal(err)
	}
	const file = "lease/1000000000.json"
	for what, harm := range map[string]func(map[string][]byte){
		"no table.json":       func(f map[string][]byte) { delete(f, tableFile) },
		"an empty table.json": func(f map[string][]byte) { f[tableFile] = nil },
		"another file alone":  func(f map[string][]byte) { clear(f); f["README"] = []byte("hello") },
		"null":                func(f map[string][]byte) { f[tableFile] = []byte("null") },
		"a list":              func(f map[string][]byte) { f[tableFile] = []byte("[]") },
		"of a newer version":  func(f map[string][]byte) { f[tableFile] = []byte(`{"v":2,"token":5}`) },
		"a negative token":    func(f map[string][]byte) { f[tableFile] = []byte(`{"v":1,"token":-1}`) },
		"a token at the end":  func(f map[string][]byte) { f[tableFile] = fmt.Appendf(nil, `{"v":1,"token":%d}`, math.MaxInt64) },
		"a negative version":  func(f map[string][]byte) { f[tableFile] = []byte(`{"v":1,"token":5,"version":-1}`) },
		"an epoch at the end": func(f map[string][]byte) {
			f[tableFile] = fmt.Appendf(nil, `{"v":1,"token":5,"epoch":%d}`, math.MaxInt64)
		},
		"an empty lease": func(f map[string][]byte) { f[file] = nil },
		"a lease of no token": func(f map[string][]byte) {
			f[file] = bytes.Replace(f[file], []byte(`"token":5`), []byte(`"token":0`), 1)
		},
		"a lease at the end": func(f map[string][]byte) {
			f[file] = bytes.Replace(f[file], []byte(`"token":5`), fmt.Appendf(nil, `"token":%d`, math.MaxInt64), 1)
		},
		"a lease of no time":   func(f map[string][]byte) { f[file] = bytes.Replace(f[file], []byte(`"at":"2`), []byte(`"at":"x`), 1) },
		"a lease elsewhere":    func(f map[string][]byte) { f["lease/2000000000.json"] = f[file] },
		"a lease without tail": func(f map[string][]byte) { f["lease/1000000000"] = f[file] },
		"half a lease":         func(f map[string][]byte) { f[file] = f[file][:len(f[file])/2] },
	} {
		files := maps.Clone(good)
		harm(files)
		want := Corrupt
		if what == "of a newer version" {
			want = Format
		}
		if got, err := DecodeTable(files); CodeOf(err) != want {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	if got, err := DecodeTable(good); err != nil || !got.Equal(table) {
		t.Errorf("the good one: %+v, %v", got, err)
	}
}

// TestTableKeepsKeys: a version that does not know a key of somebody's grant leaves it there.
func TestTableKeepsKeys(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	table := &Table{Token: 1, Held: map[string]*Grant{"1000000000": {Lease: Lease{ID: "1000000000", Holder: "1111111111", Pattern: "a", TTL: 600, Since: At(now), Strong: true}, Replica: repA, Token: 1, At: At(now)}}}
	files, err := table.Files()
	if err != nil {
		t.Fatal(err)
	}
	const file = "lease/1000000000.json"
	files[file] = bytes.Replace(files[file], []byte(`"token":1`), []byte(`"token":1,"later":{"x":1}`), 1)
	read, err := DecodeTable(files)
	if err != nil {
		t.Fatal(err)
	}
	p := newTablePeer(repB)
	p.write(now, LeaseNew, Lease{ID: "2000000000", Holder: "2222222222", Pattern: "b", TTL: 60, Since: At(now), Strong: true})
	next, _ := read.Settle(Settling{Own: repB, Now: now, Leases: p.leases, Crosses: lettersCross})
	again, err := next.Files()
	if err != nil || len(next.Held) != 2 || !bytes.Equal(again[file], files[file]) {
		t.Errorf("%s, %v", again[file], err)
	}
}

// FuzzTable: bytes of anybody's in place of a table. It is read whole or not at all, and what
// is made of it can be read again.
func FuzzTable(f *testing.F) {
	now := time.Unix(1_800_000_000, 0)
	grant := []byte(`{"id":"1000000000","holder":"1111111111","pattern":"a","kind":"","exclusive":true,"ttl":60,"since":"2027-01-15T08:00:00.000Z","strong":true,"replica":"aaaaaaaaaa","token":5,"at":"2027-01-15T08:00:00.000Z"}`)
	f.Add([]byte(`{"v":1,"token":5,"epoch":0,"version":7}`), "lease/1000000000.json", grant, "later/x", []byte("x"))
	f.Add([]byte(`{"v":1,"token":9223372036854775807,"epoch":9223372036854775807,"version":999}`), "lease/1000000000.json", bytes.Replace(grant, []byte("2027"), []byte("9999"), 2), "lease/1000000000", grant)
	f.Add([]byte(`{}`), "table.json", []byte(`null`), "lease/", []byte(``))
	f.Fuzz(func(t *testing.T, head []byte, name string, data []byte, name2 string, data2 []byte) {
		files := map[string][]byte{name: data, name2: data2, tableFile: head}
		table, err := DecodeTable(files)
		if err != nil {
			if code := CodeOf(err); code != Corrupt && code != Format {
				t.Fatalf("code %s", code)
			}
			return
		}
		for name := range files {
			if strings.HasPrefix(name, grantsDir) && table.Held[strings.TrimSuffix(strings.TrimPrefix(name, grantsDir), grantsTail)] == nil {
				t.Fatalf("%q is not among %+v", name, table.Held)
			}
		}
		p := newTablePeer(repB)
		p.write(now, LeaseNew, Lease{ID: "2000000000", Holder: "2222222222", Pattern: "a", Exclusive: true, TTL: 60, Since: At(now), Strong: true})
		next, refused := table.Settle(Settling{Own: repB, Now: now, Leases: p.leases, Crosses: func(_, _ *Lease) bool { return true }})
		if (next.Held["2000000000"] == nil) != (len(refused) > 0) {
			t.Fatalf("held: %+v, refused: %+v", next.Held, refused)
		}
		if next.Token < table.Token {
			t.Fatalf("the token went from %d to %d", table.Token, next.Token)
		}
		again, err := next.Files()
		if err != nil {
			t.Fatal(err)
		}
		if read, err := DecodeTable(again); err != nil || !read.Equal(next) {
			t.Fatalf("%+v, %v", read, err)
		}
		for name, data := range files {
			if name != tableFile && !strings.HasPrefix(name, grantsDir) && !bytes.Equal(again[name], data) {
				t.Fatalf("%q is %q, was %q", name, again[name], data)
			}
		}
	})
}
