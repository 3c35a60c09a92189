package guard

import "strings"

// Overlap reports whether some path is covered by both patterns, and gives one:
// a path of as few segments as the first overlapping pair of alternatives
// allows. The answer is exact. If one of the patterns is folded, both are taken
// as folded.
func (p Pattern) Overlap(q Pattern) (witness string, ok bool) {
	if p.c == nil || q.c == nil {
		return "", false
	}
	if !compatible(p.c.prefix, q.c.prefix) && p.c.fold == q.c.fold {
		return "", false // the usual case: other directories
	}
	if p.c.virtual || q.c.virtual {
		if p.c.virtual && q.c.virtual && p.c.text == q.c.text {
			return p.c.text, true
		}
		return "", false
	}
	if p.c.fold != q.c.fold {
		p, q = p.Fold(), q.Fold()
	}
	for i := range p.c.alts {
		a := &p.c.alts[i]
		for j := range q.c.alts {
			b := &q.c.alts[j]
			if !compatible(a.prefix, b.prefix) {
				continue
			}
			// The common literal segments need no automaton.
			head, lits := a.prefix, a.lits
			if b.lits < lits {
				head, lits = b.prefix, b.lits
			}
			pr := product{a: p.view(a)[lits:], b: q.view(b)[lits:], fold: p.c.fold}
			if tail, ok := pr.solve(); ok {
				if head != "" && tail != "" {
					head += "/"
				}
				return head + tail, true
			}
		}
	}
	return "", false
}

// compatible reports whether one of two literal prefixes continues the other,
// by whole segments.
func compatible(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	return a == "" || strings.HasPrefix(b, a) && (len(a) == len(b) || b[len(a)] == '/')
}

// product is the product of two alternatives, taken as automata over segments.
// A state is a pair of positions. Both automata only ever move forward, or stay
// at a "**", so the states are in order and one backward pass computes for each
// how many segments are missing to the end.
type product struct {
	a, b []segment
	fold bool
	dist []int16 // by state; never if the end cannot be reached
	work scratch
}

const never = 1 << 14

func (p *product) state(i, j int) int { return i*(len(p.b)+1) + j }

// solve returns a path that both alternatives match.
func (p *product) solve() (string, bool) {
	var buf [128]int16
	p.dist = buf[:]
	if n := (len(p.a) + 1) * (len(p.b) + 1); n > len(buf) {
		p.dist = make([]int16, n)
	}
	for i := len(p.a); i >= 0; i-- {
		for j := len(p.b); j >= 0; j-- {
			p.dist[p.state(i, j)] = p.distance(i, j)
		}
	}
	if p.dist[0] >= never {
		return "", false
	}
	return p.witness(), true
}

// distance computes the distance of a state from those of the states after it.
func (p *product) distance(i, j int) int16 {
	if i == len(p.a) && j == len(p.b) {
		return 0
	}
	d := int16(never)
	if i < len(p.a) && p.a[i].op == opRest {
		d = min(d, p.dist[p.state(i+1, j)])
	}
	if j < len(p.b) && p.b[j].op == opRest {
		d = min(d, p.dist[p.state(i, j+1)])
	}
	if i == len(p.a) || j == len(p.b) {
		return d
	}
	ni, nj := p.after(i, j)
	if ni == i && nj == j {
		return d // both may take a segment and stay: never the shortest way
	}
	if rest := p.dist[p.state(ni, nj)]; rest+1 < d && p.common(i, j) {
		d = rest + 1
	}
	return d
}

// after returns the state after one segment.
func (p *product) after(i, j int) (ni, nj int) {
	if p.a[i].op != opRest {
		i++
	}
	if p.b[j].op != opRest {
		j++
	}
	return i, j
}

// common reports whether the elements at i and j have a name in common. They
// are not both "**".
func (p *product) common(i, j int) bool {
	x, y := &p.a[i], &p.b[j]
	if x.op > y.op { // opLit < opGlob < opAny < opRest
		x, y = y, x
	}
	switch {
	case x.op == opLit && y.op >= opAny:
		return true
	case x.op == opLit:
		return y.match(x.text)
	case x.op >= opAny:
		return true
	case y.op >= opAny:
		return x.glob.name
	}
	return p.work.namesMeet(x.glob, y.glob, p.fold)
}

// name returns the shortest and then least name that the elements at i and j
// have in common; there is one.
func (p *product) name(i, j int) string {
	x, y := &p.a[i], &p.b[j]
	if x.op > y.op {
		x, y = y, x
	}
	if x.op == opLit {
		return x.text
	}
	name, _ := p.work.commonName(x.tokens(), y.tokens(), p.fold)
	return name
}

func (s *segment) tokens() []token {
	if s.op == opGlob {
		return s.glob.toks
	}
	return starToken
}

// witness walks from the start to the end by a shortest way, choosing the least
// name at each step. It follows all states that the names chosen so far lead
// to, so the outcome does not depend on which pattern comes first. It crosses
// out the distance of each state that it lists, so that none is listed twice.
func (p *product) witness() string {
	type pos struct{ i, j int }
	add := func(list []pos, want int16, s pos) []pos {
		if d := &p.dist[p.state(s.i, s.j)]; *d == want {
			*d = never
			list = append(list, s)
		}
		return list
	}
	d := p.dist[0]
	now := add(nil, d, pos{})
	names := make([]string, 0, d)
	for ; ; d-- {
		for k := 0; k < len(now); k++ { // now grows meanwhile
			s := now[k]
			if s.i < len(p.a) && p.a[s.i].op == opRest {
				now = add(now, d, pos{s.i + 1, s.j})
			}
			if s.j < len(p.b) && p.b[s.j].op == opRest {
				now = add(now, d, pos{s.i, s.j + 1})
			}
		}
		if d == 0 {
			return strings.Join(names, "/")
		}
		var best string
		var then []pos
		for _, s := range now {
			if s.i == len(p.a) || s.j == len(p.b) {
				continue
			}
			ni, nj := p.after(s.i, s.j)
			if p.dist[p.state(ni, nj)] != d-1 || !p.common(s.i, s.j) {
				continue
			}
			name := p.name(s.i, s.j)
			switch {
			case then == nil, len(name) < len(best), len(name) == len(best) && name < best:
				best, then = name, []pos{{ni, nj}}
			case name == best:
				then = append(then, pos{ni, nj})
			}
		}
		names = append(names, best)
		now = now[:0]
		for _, s := range then {
			now = add(now, d-1, s)
		}
	}
}
