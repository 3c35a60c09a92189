package guard

import (
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// foldRune returns the one symbol that stands for r and all letters that differ
// from it only in case: the lower case letter if the lot has one in ASCII, the
// least code point otherwise.
func foldRune(r rune) rune {
	if r < utf8.RuneSelf {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}
	least := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		least = min(least, f)
	}
	if least < utf8.RuneSelf {
		return foldRune(least)
	}
	return least
}

// foldString folds s symbol by symbol; bytes that are not UTF-8 stay.
func foldString(s string) string {
	i := 0
	for i < len(s) && s[i] < utf8.RuneSelf && (s[i] < 'A' || s[i] > 'Z') {
		i++
	}
	if i == len(s) {
		return s
	}
	var sb strings.Builder
	sb.Grow(len(s))
	sb.WriteString(s[:i])
	for i < len(s) {
		r, n := next(s[i:])
		if r == bad {
			sb.WriteByte(s[i])
		} else {
			sb.WriteRune(foldRune(r))
		}
		i += n
	}
	return sb.String()
}

// foldSet returns the symbols that the members of s fold to.
func foldSet(s charset) charset {
	var out charset
	for _, sp := range s {
		lo := sp.lo
		for _, f := range foldedAway(sp) {
			if f.from > lo {
				out = append(out, span{lo, f.from - 1})
			}
			out = append(out, span{f.to, f.to})
			lo = f.from + 1
		}
		if lo <= sp.hi {
			out = append(out, span{lo, sp.hi})
		}
	}
	return normalize(out)
}

// foldPair is a symbol that folding replaces.
type foldPair struct{ from, to rune }

// foldedAway returns the symbols within sp that folding replaces, in order.
func foldedAway(sp span) []foldPair {
	all := foldPairs()
	less := func(p foldPair, r rune) int { return int(p.from - r) }
	i, _ := slices.BinarySearchFunc(all, sp.lo, less)
	j, _ := slices.BinarySearchFunc(all, sp.hi+1, less)
	return all[i:j]
}

// foldPairs lists every symbol that folding replaces. It costs some 50 µs, so
// it is made when the first class is folded; most processes fold none.
var foldPairs = sync.OnceValue(func() []foldPair {
	var all []foldPair
	for _, cr := range unicode.CaseRanges {
		for r := rune(cr.Lo); r <= rune(cr.Hi); r++ {
			if f := foldRune(r); f != r {
				all = append(all, foldPair{r, f})
			}
		}
	}
	return all
})
