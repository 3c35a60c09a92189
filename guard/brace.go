package guard

import "strings"

// variant is a pattern text after brace expansion. It remembers where its
// pieces came from, so that a fault is reported at its place in the source.
type variant struct {
	text     string
	expanded bool    // there were braces; otherwise text is the source
	pieces   []piece // if expanded
}

// piece is a range of the source.
type piece struct{ from, to int }

// offset translates a byte offset in v.text to one in the source.
func (v *variant) offset(i int) int {
	if !v.expanded {
		return i
	}
	for _, p := range v.pieces {
		if n := p.to - p.from; i >= n {
			i -= n
			continue
		}
		return p.from + i
	}
	return 0
}

// braceSeq is what stands between braces and commas: text and groups in order.
type braceSeq []braceItem

// braceItem is a group if alts is set, a piece of text otherwise.
type braceItem struct {
	piece
	alts []braceSeq
}

// count returns the number of texts that s expands to, or more than
// MaxAlternatives if there are more.
func (s braceSeq) count() int {
	n := 1
	for _, it := range s {
		if it.alts == nil {
			continue
		}
		sum := 0
		for _, a := range it.alts {
			sum = min(sum+a.count(), MaxAlternatives+1)
		}
		n = min(n*sum, MaxAlternatives+1)
	}
	return n
}

// expand appends to each of the heads every text of s.
func (s braceSeq) expand(heads [][]piece) [][]piece {
	for _, it := range s {
		if it.alts == nil {
			for i := range heads {
				heads[i] = append(heads[i], it.piece)
			}
			continue
		}
		var next [][]piece
		for _, h := range heads {
			for _, a := range it.alts {
				next = append(next, a.expand([][]piece{append([]piece(nil), h...)})...)
			}
		}
		heads = next
	}
	return heads
}

// expandBraces returns the variants of the pattern in the order of its text.
// Braces are expanded without regard to brackets, as a shell does.
func (p *parser) expandBraces() ([]variant, error) {
	if !strings.ContainsAny(p.src, "{}") {
		return []variant{{text: p.src}}, nil
	}
	b := braceParser{p: p}
	seq, err := b.seq(0)
	if err != nil {
		return nil, err
	}
	if seq.count() > MaxAlternatives {
		return nil, p.fail(0, "", "more than %d alternatives", MaxAlternatives)
	}
	lists := seq.expand([][]piece{nil})
	vs := make([]variant, len(lists))
	total := 0
	for i, l := range lists {
		// Every alternative may be as long as the pattern: without a bound on
		// their sum two patterns of stars could take seconds to compare.
		for _, pc := range l {
			total += pc.to - pc.from
		}
		if total > MaxExpanded {
			return nil, p.fail(0, "", "more than %d bytes with its braces expanded", MaxExpanded)
		}
		var sb strings.Builder
		for _, pc := range l {
			sb.WriteString(p.src[pc.from:pc.to])
		}
		vs[i] = variant{text: sb.String(), expanded: true, pieces: l}
	}
	return vs, nil
}

// braceParser reads the source once, from left to right.
type braceParser struct {
	p   *parser
	pos int
}

// seq reads up to the "," or "}" that ends it, or to the end of the source.
func (b *braceParser) seq(depth int) (braceSeq, error) {
	var s braceSeq
	src, start := b.p.src, b.pos
	text := func() {
		if b.pos > start {
			s = append(s, braceItem{piece: piece{start, b.pos}})
		}
	}
	for b.pos < len(src) {
		switch c := src[b.pos]; {
		case c == '\\':
			b.pos += 2 // checkEscapes has seen that something follows
		case c == '{':
			text()
			group, err := b.group(depth + 1)
			if err != nil {
				return nil, err
			}
			s = append(s, group...)
			start = b.pos
		case c == '}' && depth == 0:
			return nil, b.p.fail(b.pos, `write \} for a literal '}'`, "unexpected '}'")
		case depth > 0 && (c == '}' || c == ','):
			text()
			return s, nil
		default:
			b.pos++
		}
	}
	text()
	return s, nil
}

// group reads "{...}". Without a comma the braces are text, but what is inside
// is still expanded.
func (b *braceParser) group(depth int) (braceSeq, error) {
	src, open := b.p.src, b.pos
	var alts []braceSeq
	for {
		b.pos++ // over the "{" or ","
		a, err := b.seq(depth)
		if err != nil {
			return nil, err
		}
		if b.pos >= len(src) {
			return nil, b.p.fail(open, `write \{ for a literal '{'`, "unclosed '{'")
		}
		alts = append(alts, a)
		if src[b.pos] == '}' {
			break
		}
	}
	b.pos++
	if len(alts) > 1 {
		return braceSeq{{alts: alts}}, nil
	}
	s := braceSeq{{piece: piece{open, open + 1}}}
	s = append(s, alts[0]...)
	return append(s, braceItem{piece: piece{b.pos - 1, b.pos}}), nil
}
