package guard

import "strings"

// scratch is memory for the products of two glob segments, kept for the length
// of one Overlap so that a hostile pair does not allocate again and again.
type scratch struct {
	now, next []bool
	dist      []int16
}

// namesMeet reports whether two glob segments have a name in common. Names are
// never "", "." or "..".
func (w *scratch) namesMeet(g, h *globSegment, folded bool) bool {
	if !strings.HasPrefix(g.pre, h.pre) && !strings.HasPrefix(h.pre, g.pre) {
		return false
	}
	if !strings.HasSuffix(g.suf, h.suf) && !strings.HasSuffix(h.suf, g.suf) {
		return false
	}
	if g.star && h.star {
		return true // the longer ends with anything between them
	}
	if !w.tokensMeet(g.toks, h.toks) {
		return false
	}
	if g.dots&h.dots == 0 {
		return true
	}
	// What they have in common may be just "." and "..".
	_, ok := w.commonName(g.toks, h.toks, folded)
	return ok
}

// tokensMeet reports whether some string matches both. Row i of the product is
// the set of positions in b that can be reached together with position i in a;
// no step leads back to an earlier row or, within a row, to the left.
func (w *scratch) tokensMeet(a, b []token) bool {
	now, next := w.rows(len(b) + 1)
	now[0] = true
	for i := 0; ; i++ {
		eats := i < len(a) && a[i].star
		for j := range b {
			if now[j] && (eats || b[j].star) {
				now[j+1] = true
			}
		}
		if i == len(a) {
			return now[len(b)]
		}
		clear(next)
		any := false
		for j, reached := range now {
			if !reached {
				continue
			}
			switch {
			case eats, j < len(b) && b[j].star:
				next[j] = true
			case j < len(b) && a[i].set.meets(b[j].set):
				next[j+1] = true
			default:
				continue
			}
			any = true
		}
		if !any {
			return false
		}
		now, next = next, now
	}
}

// rows returns two cleared rows of n.
func (w *scratch) rows(n int) (now, next []bool) {
	if cap(w.now) < n {
		size := max(n, 64)
		w.now, w.next = make([]bool, size), make([]bool, size)
	}
	now, next = w.now[:n], w.next[:n]
	clear(now)
	return now, next
}

// The product that looks for a name also keeps track of what was read so far,
// since "", "." and ".." are no names.
const (
	readNothing = iota
	readDot
	readDots
	readName // the end may come
	layers
)

// afterSymbol returns what was read after one symbol more.
func afterSymbol(layer int, dot bool) int {
	if dot && layer < readDots {
		return layer + 1
	}
	return readName
}

// nameProduct is the product of two glob segments and of what was read.
type nameProduct struct {
	a, b   []token
	folded bool
	first  int     // the layer to start in
	dist   []int16 // symbols missing to the end, by state
}

func (p *nameProduct) state(layer, i, j int) int {
	return ((layer-p.first)*(len(p.a)+1)+i)*(len(p.b)+1) + j
}

// commonName returns the shortest name that both match, and of those the least
// in the order of pick.
func (w *scratch) commonName(a, b []token, folded bool) (string, bool) {
	p := nameProduct{a: a, b: b, folded: folded, first: readName}
	// Without the layers first: it is rare that this gives no name.
	name, ok := p.solve(w)
	if !ok || name != "" && name != "." && name != ".." {
		return name, ok
	}
	p.first = readNothing
	return p.solve(w)
}

func (p *nameProduct) solve(w *scratch) (string, bool) {
	n := (layers - p.first) * (len(p.a) + 1) * (len(p.b) + 1)
	if cap(w.dist) < n {
		w.dist = make([]int16, n)
	}
	p.dist = w.dist[:n]
	// Every step leads to a later layer, or to a later position in one.
	for layer := readName; layer >= p.first; layer-- {
		for i := len(p.a); i >= 0; i-- {
			for j := len(p.b); j >= 0; j-- {
				p.dist[p.state(layer, i, j)] = p.distance(layer, i, j)
			}
		}
	}
	if p.dist[0] >= never {
		return "", false
	}
	return p.walk(), true
}

func (p *nameProduct) distance(layer, i, j int) int16 {
	if i == len(p.a) && j == len(p.b) {
		if layer == readName {
			return 0
		}
		return never
	}
	d := int16(never)
	if i < len(p.a) && p.a[i].star {
		d = min(d, p.dist[p.state(layer, i+1, j)])
	}
	if j < len(p.b) && p.b[j].star {
		d = min(d, p.dist[p.state(layer, i, j+1)])
	}
	if i == len(p.a) || j == len(p.b) {
		return d
	}
	ni, nj := p.after(i, j)
	for _, dot := range [...]bool{false, true} {
		l := afterSymbol(layer, dot)
		if dot && l == readName || l == layer && ni == i && nj == j {
			continue // no difference from another symbol; or going nowhere
		}
		if rest := p.dist[p.state(l, ni, nj)]; rest+1 < d && p.symbolExists(layer, i, j, dot) {
			d = rest + 1
		}
	}
	return d
}

// after returns the positions after one symbol.
func (p *nameProduct) after(i, j int) (ni, nj int) {
	if !p.a[i].star {
		i++
	}
	if !p.b[j].star {
		j++
	}
	return i, j
}

// symbolExists reports whether a symbol fits at i and j: "." if dot is set,
// otherwise any that is not "." where that makes a difference.
func (p *nameProduct) symbolExists(layer, i, j int, dot bool) bool {
	s, t := p.a[i].set, p.b[j].set
	switch {
	case dot:
		return s.has('.') && t.has('.')
	case layer >= readDots:
		return s.meets(t)
	}
	_, ok := pick(s, t, true, p.folded)
	return ok
}

// walk goes from the start to the end by a shortest way, choosing the least
// symbol at each step and following all states that it leads to. It crosses out
// the distance of each state that it lists, so that none is listed twice.
func (p *nameProduct) walk() string {
	type pos struct{ layer, i, j int }
	add := func(list []pos, want int16, s pos) []pos {
		if d := &p.dist[p.state(s.layer, s.i, s.j)]; *d == want {
			*d = never
			list = append(list, s)
		}
		return list
	}
	d := p.dist[0]
	now, then := add(nil, d, pos{p.first, 0, 0}), []pos(nil)
	out := make([]byte, 0, 64)
	for ; ; d-- {
		for k := 0; k < len(now); k++ { // now grows meanwhile
			s := now[k]
			if s.i < len(p.a) && p.a[s.i].star {
				now = add(now, d, pos{s.layer, s.i + 1, s.j})
			}
			if s.j < len(p.b) && p.b[s.j].star {
				now = add(now, d, pos{s.layer, s.i, s.j + 1})
			}
		}
		if d == 0 {
			return string(out)
		}
		best := rune(-1)
		for _, s := range now {
			if r, ok := p.symbol(s.layer, s.i, s.j, d-1); ok && (best < 0 || r < best) {
				best = r
			}
		}
		then = then[:0]
		for _, s := range now {
			if s.i < len(p.a) && s.j < len(p.b) && p.a[s.i].set.has(best) && p.b[s.j].set.has(best) {
				ni, nj := p.after(s.i, s.j)
				then = add(then, d-1, pos{afterSymbol(s.layer, best == '.'), ni, nj})
			}
		}
		out = appendSymbol(out, best)
		now, then = then, now
	}
}

// symbol returns the symbol to choose at a state so that want symbols are
// missing afterwards. It avoids "." where that starts a name, if it can.
func (p *nameProduct) symbol(layer, i, j int, want int16) (r rune, ok bool) {
	if i == len(p.a) || j == len(p.b) {
		return 0, false
	}
	ni, nj := p.after(i, j)
	s, t := p.a[i].set, p.b[j].set
	if p.dist[p.state(readName, ni, nj)] == want {
		if r, ok = pick(s, t, layer < readDots, p.folded); ok {
			return r, true
		}
	}
	if layer < readDots && p.dist[p.state(layer+1, ni, nj)] == want && s.has('.') && t.has('.') {
		return '.', true
	}
	return 0, false
}
