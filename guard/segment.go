package guard

import (
	"strings"
	"unicode/utf8"

	"github.com/gobwas/glob"
	"github.com/gobwas/glob/syntax"
)

// op is what a segment of a pattern stands for.
type op uint8

const (
	opLit  op = iota // one segment of this text
	opGlob           // one segment with wildcards
	opAny            // "*": any one segment
	opRest           // "**": any number of segments, also none
)

// segment is one element of an alternative. It is small because most are
// literal; what a wildcard needs is behind the pointer.
type segment struct {
	op   op
	text string // opLit: the name, folded if the pattern is
	glob *globSegment
}

// globSegment is a segment with wildcards that is not just "*" or "**".
type globSegment struct {
	toks []token
	key  string        // equal for equal segments, see appendKey
	pre  string        // literal text before the first wildcard
	suf  string        // literal text after the last wildcard
	star bool          // pre, one "*", suf and nothing else
	dots uint8         // bit 0: matches ".", bit 1: matches ".."
	name bool          // matches something that can be a name
	g    *glob.Pattern // for the general case, or nil: matchTokens
}

// token is one position of a glob segment: a star, or one symbol of a set.
type token struct {
	star bool
	set  charset
}

// starToken stands for "*" where an opAny segment needs tokens.
var starToken = []token{{star: true, set: anySymbol}}

// match reports whether the name is one that s stands for. It must not be
// called for opRest.
func (s *segment) match(name string) bool {
	switch s.op {
	case opLit:
		return s.text == name
	case opAny:
		return true
	}
	return s.glob.match(name)
}

func (g *globSegment) match(name string) bool {
	if len(name) < len(g.pre)+len(g.suf) || !strings.HasPrefix(name, g.pre) || !strings.HasSuffix(name, g.suf) {
		return false
	}
	if g.star {
		return true
	}
	if g.g != nil {
		return g.g.Match(name)
	}
	return matchTokens(g.toks, name)
}

// matchTokens is the whole of wildcard matching within a name. When a token
// does not fit, the last star takes one symbol more; no earlier star ever needs
// to, so the work is at most the product of the lengths.
func matchTokens(toks []token, name string) bool {
	i, pos := 0, 0
	back, backPos := -1, 0
	for pos < len(name) {
		r, n := next(name[pos:])
		switch {
		case i < len(toks) && toks[i].star:
			i++
			back, backPos = i, pos
		case i < len(toks) && toks[i].set.has(r):
			i++
			pos += n
		case back >= 0:
			_, n = next(name[backPos:])
			backPos += n
			i, pos = back, backPos
		default:
			return false
		}
	}
	for i < len(toks) && toks[i].star {
		i++
	}
	return i == len(toks)
}

// globBuilder collects the tokens of one glob segment.
type globBuilder struct {
	fold  bool
	seg   globSegment
	gob   []byte // the segment in gobwas's dialect
	ours  bool   // gobwas cannot say it: matchTokens
	lit   []byte // literal text since the last wildcard
	wild  bool   // a wildcard was seen
	stars int
	spans []span // where the sets of literals live, to allocate few times
}

func (b *globBuilder) literal(r rune) {
	if b.fold {
		r = foldRune(r)
	}
	if r < utf8.RuneSelf && syntax.IsSpecial(byte(r)) {
		b.gob = append(b.gob, '\\')
	}
	b.gob = utf8.AppendRune(b.gob, r)
	b.lit = utf8.AppendRune(b.lit, r)
	b.spans = append(b.spans, span{r, r})
	n := len(b.spans)
	b.seg.toks = append(b.seg.toks, token{set: charset(b.spans[n-1 : n : n])})
}

func (b *globBuilder) wildcard(t token, gob string) {
	if !b.wild {
		b.seg.pre = string(b.lit)
		b.wild = true
	}
	b.lit = b.lit[:0]
	b.gob = append(b.gob, gob...)
	b.seg.toks = append(b.seg.toks, t)
}

func (b *globBuilder) single() { b.wildcard(token{set: anySymbol}, "?") }

// star adds a "*", unless one was just added.
func (b *globBuilder) star() {
	if n := len(b.seg.toks); n > 0 && b.seg.toks[n-1].star {
		return
	}
	b.stars++
	b.wildcard(starToken[0], "*")
}

func (b *globBuilder) class(c class) {
	if b.fold {
		c.pos = foldSet(c.pos)
	}
	gob, ok := gobwasClass(c)
	b.ours = b.ours || !ok
	b.wildcard(token{set: c.set()}, gob)
}

// segment finishes the building. There must have been a wildcard.
func (b *globBuilder) segment() segment {
	g := &b.seg
	if len(g.toks) == 1 && g.toks[0].star {
		return segment{op: opAny}
	}
	g.suf = string(b.lit)
	g.star = b.stars == 1 && len(g.toks) == 1+utf8.RuneCountInString(g.pre)+utf8.RuneCountInString(g.suf)
	if matchTokens(g.toks, ".") {
		g.dots |= 1
	}
	if matchTokens(g.toks, "..") {
		g.dots |= 2
	}
	g.name = b.stars > 0 || len(g.toks) > 2
	for _, t := range g.toks {
		g.name = g.name || !t.set.only('.')
	}
	if b.ours {
		g.key = string(appendKey(nil, g.toks))
	} else {
		g.key = string(b.gob)
	}
	if !g.star && !b.ours && !b.fold {
		// One segment, no separators, no braces: there gobwas is quick on
		// any input, see the package comment on hostile patterns.
		if m, err := glob.Compile(string(b.gob)); err == nil {
			g.g = m
		}
	}
	return segment{op: opGlob, glob: g}
}

// gobwasClass writes c in the dialect of gobwas, which knows one range or a
// list of characters but not both. Characters that it treats specially are left
// to matchTokens, and so is U+FFFD, which it confuses with bytes that are not
// UTF-8.
func gobwasClass(c class) (string, bool) {
	b := []byte{'['}
	if c.neg {
		b = append(b, '!')
	}
	for _, sp := range c.pos {
		if special(sp.lo) || special(sp.hi) || sp.lo <= utf8.RuneError && utf8.RuneError <= sp.hi {
			return "", false
		}
		b = utf8.AppendRune(b, sp.lo)
		if sp.lo == sp.hi {
			continue
		}
		if len(c.pos) > 1 {
			return "", false
		}
		b = append(b, '-')
		b = utf8.AppendRune(b, sp.hi)
	}
	return string(append(b, ']')), true
}

func special(r rune) bool { return r < utf8.RuneSelf && strings.IndexByte(`[]!^-\`, byte(r)) >= 0 }

// appendKey writes tokens so that equal segments of different patterns have
// equal keys. The NUL keeps a key of this form apart from one in gobwas's.
func appendKey(b []byte, toks []token) []byte {
	b = append(b, 0)
	for _, t := range toks {
		if t.star {
			b = append(b, '*')
			continue
		}
		b = append(b, '[')
		for _, sp := range t.set {
			b = appendSymbol(b, sp.lo)
			b = append(b, '-')
			b = appendSymbol(b, sp.hi)
		}
		b = append(b, ']')
	}
	return b
}
