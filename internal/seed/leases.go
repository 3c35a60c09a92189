package seed

import (
	"fmt"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

// claim is a reserved directory. Whoever wants something in it must be its
// holder, so that no two exclusive reservations overlap.
type claim struct {
	holder *agent
	count  int
}

// reserve takes one to three reservations in one directory, to be renewed and
// released later, or left to run out.
func (w *world) reserve(a *agent) {
	dir := pick(w.r, layers) + "/" + pick(w.r, areas)
	c := w.claims[dir]
	if c != nil && c.holder != a {
		return
	}
	if c == nil {
		c = &claim{holder: a}
		w.claims[dir] = c
	}
	ttl := time.Duration(1<<w.r.IntN(3)) * time.Hour
	e := &mail.LeaseEvent{Op: mail.LeaseNew, Leases: []mail.Lease{}}
	for range 1 + w.r.IntN(3) {
		pattern, kind := w.pattern(dir)
		l := mail.Lease{ID: w.id(), Holder: a.id, Pattern: pattern, Kind: kind, Exclusive: !w.chance(15), TTL: int64(ttl / time.Second),
			Since: mail.At(w.now), Branch: "main"}
		if w.chance(70) {
			l.Reason = w.t.subject()
		}
		e.Leases = append(e.Leases, l)
	}
	c.count++
	e.Header = w.head(a)
	w.emit(a.name, e)
	if w.chance(10) {
		w.later(ttl/8, func() { w.commit(a, dir, e.Leases[0]) })
	}
	w.carryOn(a, dir, e.Leases, ttl)
}

// carryOn decides how the reservations go on from now.
func (w *world) carryOn(a *agent, dir string, leases []mail.Lease, ttl time.Duration) {
	end := func() {
		if w.claims[dir].count--; w.claims[dir].count == 0 {
			delete(w.claims, dir)
		}
	}
	finish := func(by *agent, op, note string) func() {
		return func() {
			w.emit(by.name, &mail.LeaseEvent{Header: w.head(by), Op: op, Note: note, Leases: leases})
			end()
		}
	}
	switch k := w.r.IntN(100); {
	case k < 30:
		w.later(ttl/2, func() {
			w.emit(a.name, &mail.LeaseEvent{Header: w.head(a), Op: mail.LeaseRenew, Leases: leases})
			w.carryOn(a, dir, leases, ttl)
		})
	case k < 75:
		w.later(time.Duration(w.r.Int64N(int64(ttl))), finish(a, mail.LeaseRelease, ""))
	case k < 80:
		w.later(ttl*9/10, finish(pick(w.r, a.team), mail.LeaseForce, "no answer for an hour"))
	default:
		w.later(ttl, end)
	}
}

// pattern returns something to reserve in a directory, in canonical form, and
// what it names in the work tree.
func (w *world) pattern(dir string) (pattern, kind string) {
	switch k := w.r.IntN(100); {
	case k < 45:
		return dir + "/**", "unknown"
	case k < 65:
		return dir + "/" + pick(w.r, files) + pick(w.r, exts), "file"
	case k < 80:
		return dir + "/*" + pick(w.r, exts), "unknown"
	}
	return dir + "/" + pick(w.r, areas) + "/**", "unknown"
}

// commit records a commit of the user's below a reservation; one in five passed
// the guard.
func (w *world) commit(a *agent, dir string, l mail.Lease) {
	path := dir + "/" + pick(w.r, files) + ".go"
	oid := fmt.Sprintf("%016x%016x%08x", w.r.Uint64(), w.r.Uint64(), w.r.Uint32())
	touched := []mail.Touched{{Path: path, Lease: l.ID, Holder: l.Holder}}
	by, outcome := a, mail.CommitHeld
	if w.chance(20) {
		by, outcome = pick(w.r, a.team), mail.CommitBypass
		w.emit(by.name, &mail.Bypass{Header: w.head(by), Event: "pre-commit", Reason: w.t.subject(), Touched: touched})
	}
	w.emit(by.name, &mail.CommitSeen{Header: w.head(by), OID: oid, Outcome: outcome, Touched: touched})
}

// hold writes the reservations that are live now, five to an event, none of
// which overlaps another.
func (w *world) hold() {
	if w.opt.Live == 0 {
		return
	}
	if now := w.opt.Now; now.After(w.now) {
		w.now = now
	}
	for i := 0; i < w.opt.Live; {
		a := pick(w.r, w.agents)
		e := &mail.LeaseEvent{Op: mail.LeaseNew, Leases: []mail.Lease{}}
		for ; i < w.opt.Live && len(e.Leases) < 5; i++ {
			dir := pick(w.r, layers) + "/" + pick(w.r, areas)
			for w.claims[dir] != nil {
				dir = pick(w.r, layers) + "/" + pick(w.r, areas)
			}
			dir += fmt.Sprintf("/%s%d", pick(w.r, files), i)
			l := mail.Lease{ID: w.id(), Holder: a.id, Pattern: dir + "/**", Kind: "unknown", Exclusive: true, Reason: w.t.subject(),
				TTL: int64(8 * time.Hour / time.Second), Since: mail.At(w.now), Branch: "main"}
			switch i % 10 {
			case 0, 1, 2:
				l.Pattern, l.Kind = dir+".go", "file"
			case 3:
				l.Pattern = dir + "/*_test.go"
			case 4:
				l.Pattern = fmt.Sprintf("gen/*/%s%d.go", pick(w.r, files), i)
			}
			e.Leases = append(e.Leases, l)
		}
		e.Header = w.head(a)
		w.emit(a.name, e)
	}
}
