package guard

import (
	"slices"
	"strings"
)

// Index answers for a path which of many patterns match it, without trying them
// one by one. It is a trie over the segments of all alternatives. An Index does
// not change and is safe for concurrent use.
type Index struct {
	plain, folded trie
}

// trie holds the nodes in one slice and the edges in one map, which is far
// cheaper to build than a map for each node.
type trie struct {
	fold  bool
	nodes []node
	edges map[edge]int32 // to the child by a literal segment, or by a glob's key
	grams map[gram][]int32
	loops int32 // number of nodes with a loop number
}

// node is what was read of some patterns so far.
type node struct {
	loop    int32        // for the child by "**", which stays for any segment: its number, from 1
	rest    int32        // the child by "**", or 0
	star    int32        // the child by "*", or 0
	glob    *globSegment // how this node is entered, if by a glob
	globs   []int32      // children by globs that have no gram
	literal bool         // has children by literal segments
	gram    bool         // has children by globs that have a gram
	exact   []int32      // patterns that match a path ending here
	under   []int32      // patterns that match every path beneath
}

// edge names a literal segment after a node. For a glob the name is "/" and the
// glob's key: no literal has a "/".
type edge struct {
	from int32
	name string
}

// gram is three bytes that every name matched by a glob after a node contains.
// Most names contain none of a node's grams, so most globs are never tried.
type gram struct {
	from  int32
	bytes [3]byte
}

// NewIndex builds an index. Lookup answers with positions in patterns. Virtual
// and zero patterns match nothing.
func NewIndex(patterns []Pattern) *Index {
	x := &Index{folded: trie{fold: true}}
	for id, p := range patterns {
		switch {
		case p.c == nil || p.c.virtual:
		case p.c.fold:
			x.folded.add(int32(id), p, len(patterns))
		default:
			x.plain.add(int32(id), p, len(patterns))
		}
	}
	return x
}

// Lookup returns the positions of the patterns that match path, in ascending
// order. Whoever looks up many paths should use a [Cursor].
func (x *Index) Lookup(path string) []int {
	return x.Cursor().Lookup(path)
}

func (t *trie) add(id int32, p Pattern, total int) {
	if t.nodes == nil {
		t.nodes = make([]node, 1, 2*total+1)
		t.edges = make(map[edge]int32, 2*total)
		t.grams = make(map[gram][]int32)
	}
	for i := range p.c.alts {
		t.insert(id, p.view(&p.c.alts[i]))
	}
}

// insert adds one alternative. A "**" at its end needs no node.
func (t *trie) insert(id int32, elems []segment) {
	exact, under := true, false
	if n := len(elems); n > 0 && elems[n-1].op == opRest {
		elems, under = elems[:n-1], true
		if n > 1 && elems[n-2].op == opAny { // at least one segment more
			elems, exact = elems[:n-2], false
		}
	}
	at := int32(0)
	for i := range elems {
		at = t.child(at, &elems[i])
	}
	if n := &t.nodes[at]; exact {
		n.exact = appendID(n.exact, id)
	}
	if n := &t.nodes[at]; under {
		n.under = appendID(n.under, id)
	}
}

// appendID appends id, unless an alternative of the same pattern just did.
func appendID(ids []int32, id int32) []int32 {
	if n := len(ids); n > 0 && ids[n-1] == id {
		return ids
	}
	return append(ids, id)
}

// child returns the child of a node by s, and makes it if need be.
func (t *trie) child(from int32, s *segment) int32 {
	switch s.op {
	case opAny:
		if t.nodes[from].star == 0 {
			t.nodes[from].star = t.newNode(node{})
		}
		return t.nodes[from].star
	case opRest:
		if t.nodes[from].rest == 0 {
			t.loops++
			t.nodes[from].rest = t.newNode(node{loop: t.loops})
		}
		return t.nodes[from].rest
	}
	e := edge{from, s.text}
	if s.op == opGlob {
		e.name = "/" + s.glob.key
	}
	to, ok := t.edges[e]
	if ok {
		return to
	}
	to = t.newNode(node{glob: s.glob})
	t.edges[e] = to
	if s.op == opLit {
		t.nodes[from].literal = true
	} else if g, ok := t.rarest(from, s.glob); ok {
		t.nodes[from].gram = true
		t.grams[g] = append(t.grams[g], to)
	} else {
		t.nodes[from].globs = append(t.nodes[from].globs, to)
	}
	return to
}

func (t *trie) newNode(n node) int32 {
	t.nodes = append(t.nodes, n)
	return int32(len(t.nodes) - 1)
}

// rarest returns the gram of g that the fewest globs of the node have so far.
func (t *trie) rarest(from int32, g *globSegment) (best gram, ok bool) {
	least := 0
	for _, lit := range g.literals() {
		for i := 0; i+3 <= len(lit); i++ {
			c := gram{from, [3]byte{lit[i], lit[i+1], lit[i+2]}}
			if n := len(t.grams[c]); !ok || n < least {
				best, least, ok = c, n, true
			}
		}
	}
	return best, ok
}

// literals returns the runs of literal text in g.
func (g *globSegment) literals() []string {
	if g.star {
		return []string{g.pre, g.suf}
	}
	var runs []string
	var run []byte
	for _, t := range g.toks {
		if len(t.set) == 1 && t.set[0].lo == t.set[0].hi {
			run = appendSymbol(run, t.set[0].lo)
			continue
		}
		runs, run = append(runs, string(run)), run[:0]
	}
	return append(runs, string(run))
}

// Cursor looks up paths one after the other. It remembers the directory of the
// last one, so paths in git's order step through each directory once. It is for
// one goroutine.
type Cursor struct {
	plain, folded walker
	ids           []int32
}

// Cursor returns a new cursor on the index.
func (x *Index) Cursor() *Cursor {
	return &Cursor{plain: walker{t: &x.plain}, folded: walker{t: &x.folded}}
}

// Lookup is [Index.Lookup]. The result is valid after the next call too.
func (c *Cursor) Lookup(path string) []int {
	if path == "" {
		return nil
	}
	c.ids = c.plain.lookup(c.ids[:0], path)
	c.ids = c.folded.lookup(c.ids, path)
	if len(c.ids) == 0 {
		return nil
	}
	slices.Sort(c.ids)
	c.ids = slices.Compact(c.ids)
	out := make([]int, len(c.ids))
	for i, id := range c.ids {
		out[i] = int(id)
	}
	return out
}

// walker walks one trie. Each level is the state after one more directory of
// the path in dir; the first is the state at the root.
type walker struct {
	t      *trie
	dir    string // the directories of the last path, each with its "/"
	levels []level
	seen   []uint32 // by loop number: the step in which it was last entered
	step   uint32
}

type level struct {
	end    int     // the length of dir so far
	active []int32 // nodes reached
	under  []int32 // patterns that match everything from here on
}

func (w *walker) lookup(ids []int32, path string) []int32 {
	if len(w.t.nodes) == 0 {
		return ids
	}
	if w.t.fold {
		path = foldString(path)
	}
	if w.levels == nil {
		w.seen = make([]uint32, w.t.loops+1)
		root := level{}
		w.step++
		root.active = w.enter(root.active, 0)
		root.under = append(root.under, w.t.nodes[0].under...)
		w.levels = append(w.levels, root)
	}
	cut := strings.LastIndexByte(path, '/') + 1
	w.descend(path[:cut])
	last := &w.levels[len(w.levels)-1]
	ids = append(ids, last.under...)
	for _, at := range last.active {
		w.each(at, path[cut:], func(to int32) {
			ids = append(ids, w.t.nodes[to].exact...)
		})
	}
	return ids
}

// descend makes the levels those of dir, keeping what it shares with the last.
func (w *walker) descend(dir string) {
	same := 0
	for same+1 < len(w.levels) {
		if end := w.levels[same+1].end; end > len(dir) || w.dir[w.levels[same].end:end] != dir[w.levels[same].end:end] {
			break
		}
		same++
	}
	w.levels = w.levels[:same+1]
	w.dir = dir
	for pos := w.levels[same].end; pos < len(dir); {
		end := segmentEnd(dir, pos)
		w.push(dir[pos:end], end+1)
		pos = end + 1
	}
}

// push adds the level after the directory name.
func (w *walker) push(name string, end int) {
	n := len(w.levels)
	if n < cap(w.levels) {
		w.levels = w.levels[:n+1] // with the memory of an earlier level
	} else {
		w.levels = append(w.levels, level{})
	}
	from, to := &w.levels[n-1], &w.levels[n]
	to.end = end
	to.active = to.active[:0]
	to.under = append(to.under[:0], from.under...)
	w.step++
	for _, at := range from.active {
		w.each(at, name, func(child int32) {
			to.active = w.enter(to.active, child)
			to.under = append(to.under, w.t.nodes[child].under...)
		})
		if loop := w.t.nodes[at].loop; loop > 0 {
			to.active = w.enter(to.active, at)
		}
	}
}

// enter adds a node to the active ones, and its child by "**", which needs no
// segment. Only such a node can be reached twice in one step.
func (w *walker) enter(active []int32, at int32) []int32 {
	for {
		n := &w.t.nodes[at]
		if n.loop > 0 {
			if w.seen[n.loop] == w.step {
				return active
			}
			w.seen[n.loop] = w.step
		}
		active = append(active, at)
		if n.rest == 0 {
			return active
		}
		at = n.rest
	}
}

// each calls f for every child of a node by a segment of this name.
func (w *walker) each(at int32, name string, f func(child int32)) {
	t, n := w.t, &w.t.nodes[at]
	if n.literal {
		if to, ok := t.edges[edge{at, name}]; ok {
			f(to)
		}
	}
	if n.star != 0 {
		f(n.star)
	}
	for _, to := range n.globs {
		if t.nodes[to].glob.match(name) {
			f(to)
		}
	}
	if !n.gram {
		return
	}
	for i := 0; i+3 <= len(name); i++ {
		for _, to := range t.grams[gram{at, [3]byte{name[i], name[i+1], name[i+2]}}] {
			if t.nodes[to].glob.match(name) && !strings.Contains(name[:i+2], name[i:i+3]) {
				f(to) // once, even if the name has the gram twice
			}
		}
	}
}
