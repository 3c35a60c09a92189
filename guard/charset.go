package guard

import "unicode/utf8"

// A name is compared symbol by symbol. A symbol is a code point, or bad for any
// byte that is not part of valid UTF-8: git's paths are bytes, and "?" must
// cover such a byte, while no character that can be written in a pattern does.
const bad rune = utf8.MaxRune + 1

// badByte is never part of valid UTF-8, whatever stands next to it.
const badByte = 0xFF

// span is an inclusive range of symbols.
type span struct{ lo, hi rune }

// charset is a set of symbols: spans in ascending order, apart from each other.
type charset []span

// anySymbol is what "?" and "*" cover: everything but "/". NUL is in it, though
// no name has one, to leave no input on which two matchers differ; pick never
// chooses it.
var anySymbol = charset{{0, '/' - 1}, {'/' + 1, 0xD7FF}, {0xE000, bad}}

// next returns the first symbol of the non-empty s and its width in bytes.
func next(s string) (r rune, n int) {
	if c := s[0]; c < utf8.RuneSelf {
		return rune(c), 1
	}
	r, n = utf8.DecodeRuneInString(s)
	if r == utf8.RuneError && n == 1 {
		return bad, 1
	}
	return r, n
}

// appendSymbol is the inverse of next.
func appendSymbol(b []byte, r rune) []byte {
	if r == bad {
		return append(b, badByte)
	}
	return utf8.AppendRune(b, r)
}

// has reports whether r is in s.
func (s charset) has(r rune) bool {
	for len(s) > 8 { // halve long sets, then look at the rest in turn
		mid := len(s) / 2
		if r < s[mid].lo {
			s = s[:mid]
		} else {
			s = s[mid:]
		}
	}
	for _, sp := range s {
		if r <= sp.hi {
			return r >= sp.lo
		}
	}
	return false
}

// only reports whether r is the one member of s.
func (s charset) only(r rune) bool { return len(s) == 1 && s[0] == span{r, r} }

// meets reports whether s and t have a member in common.
func (s charset) meets(t charset) bool {
	for len(s) > 0 && len(t) > 0 {
		switch {
		case s[0].hi < t[0].lo:
			s = s[1:]
		case t[0].hi < s[0].lo:
			t = t[1:]
		default:
			return true
		}
	}
	return false
}

// pick chooses a common member of s and t for a witness, one that is pleasant
// to read if there is one. With noDot it does not choose "."; with folded it
// chooses only a symbol that folding leaves alone, as no other occurs in a
// folded path.
func pick(s, t charset, noDot, folded bool) (r rune, ok bool) {
	good := func(r rune) bool {
		return !(noDot && r == '.') && (!folded || foldRune(r) == r)
	}
	if len(t) == 1 && t[0].lo == t[0].hi {
		s, t = t, s
	}
	if len(s) == 1 && s[0].lo == s[0].hi {
		r = s[0].lo
		return r, good(r) && t.has(r)
	}
	if s.has('x') && t.has('x') {
		return 'x', true
	}
	for _, readable := range [...]span{{'a', 'z'}, {'0', '9'}, {'!', bad}, {1, ' '}} {
		if r, ok := lowest(s, t, readable, good); ok {
			return r, true
		}
	}
	return 0, false
}

// lowest returns the lowest common member of s and t within sp that is good.
func lowest(s, t charset, sp span, good func(rune) bool) (rune, bool) {
	for len(s) > 0 && len(t) > 0 {
		lo, hi := max(s[0].lo, t[0].lo, sp.lo), min(s[0].hi, t[0].hi, sp.hi)
		for r := lo; r <= hi; r++ {
			if good(r) {
				return r, true
			}
		}
		if s[0].hi < t[0].hi {
			s = s[1:]
		} else {
			t = t[1:]
		}
	}
	return 0, false
}

// complement returns the symbols that are not in s. It always has bad, since no
// class that can be written has.
func (s charset) complement() charset {
	var out charset
	for _, a := range anySymbol {
		lo := a.lo
		for _, sp := range s {
			if sp.hi < lo || sp.lo > a.hi {
				continue
			}
			if sp.lo > lo {
				out = append(out, span{lo, sp.lo - 1})
			}
			lo = sp.hi + 1
		}
		if lo <= a.hi {
			out = append(out, span{lo, a.hi})
		}
	}
	return out
}
