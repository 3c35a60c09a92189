package guard

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"
)

// class is a bracket expression.
type class struct {
	neg bool
	pos charset // what stands between the brackets, without the negation
}

// set returns the symbols that c matches. "/" may be in it, which does no harm
// because no name has one.
func (c class) set() charset {
	if c.neg {
		return c.pos.complement()
	}
	return c.pos
}

// posixClasses are the named classes, in ASCII as git has them.
var posixClasses = map[string]charset{
	"alnum":  {{'0', '9'}, {'A', 'Z'}, {'a', 'z'}},
	"alpha":  {{'A', 'Z'}, {'a', 'z'}},
	"blank":  {{'\t', '\t'}, {' ', ' '}},
	"cntrl":  {{1, 31}, {127, 127}},
	"digit":  {{'0', '9'}},
	"graph":  {{'!', '~'}},
	"lower":  {{'a', 'z'}},
	"print":  {{' ', '~'}},
	"punct":  {{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}},
	"space":  {{'\t', '\r'}, {' ', ' '}},
	"upper":  {{'A', 'Z'}},
	"xdigit": {{'0', '9'}, {'A', 'F'}, {'a', 'f'}},
}

// parseClass reads the bracket expression that starts at v.text[start]. It
// returns the offset after the closing bracket.
//
// As in git: "]" right after the opening (and a negation) is a member, "-" at
// either end is a member, "\" escapes, "[:name:]" is a named class and "[:"
// without ":]" is two members.
func (p *parser) parseClass(v *variant, start int) (c class, end int, err error) {
	text := v.text
	fail := func(hint, format string, args ...any) (class, int, error) {
		return class{}, 0, p.fail(v.offset(start), hint, format, args...)
	}
	i := start + 1
	if i < len(text) && (text[i] == '!' || text[i] == '^') {
		c.neg = true
		i++
	}
	first := i
	slash := false
	for ; ; first = -1 {
		if i >= len(text) {
			return fail(`write \[ for a literal '['`, "unclosed '['")
		}
		if text[i] == ']' && i != first {
			break
		}
		if text[i] == '[' && strings.HasPrefix(text[i:], "[:") {
			name, n := posixName(text[i+2:])
			if n > 0 {
				set, ok := posixClasses[name]
				if !ok {
					return fail("", "unknown class [:%s:]", name)
				}
				c.pos = append(c.pos, set...)
				i += 2 + n
				continue
			}
		}
		lo, n := member(text[i:])
		i += n
		hi := lo
		if i+1 < len(text) && text[i] == '-' && text[i+1] != ']' {
			hi, n = member(text[i+1:])
			i += 1 + n
		}
		slash = slash || lo == '/' || hi == '/'
		if lo > hi {
			return fail("", "reversed range %c-%c", lo, hi)
		}
		c.pos = append(c.pos, span{lo, hi})
	}
	if slash {
		return fail("", "'/' inside [...]")
	}
	c.pos = normalize(c.pos)
	return c, i + 1, nil
}

// member returns the first member in s, with an escape resolved, and its width.
func member(s string) (rune, int) {
	if s[0] == '\\' {
		return rune(s[1]), 2 // checkEscapes allows only ASCII after a backslash
	}
	return utf8.DecodeRuneInString(s)
}

// posixName returns the name in s, which follows "[:", and how far it and ":]"
// reach; n is 0 if there is no ":]".
func posixName(s string) (name string, n int) {
	i := strings.IndexByte(s, ']')
	if i < 1 || s[i-1] != ':' {
		return "", 0
	}
	return s[:i-1], i + 1
}

// normalize sorts the spans of s and joins those that touch.
func normalize(s charset) charset {
	if len(s) < 2 {
		return s
	}
	slices.SortFunc(s, func(a, b span) int { return cmp.Compare(a.lo, b.lo) })
	out := s[:1]
	for _, sp := range s[1:] {
		if last := &out[len(out)-1]; sp.lo <= last.hi+1 {
			last.hi = max(last.hi, sp.hi)
		} else {
			out = append(out, sp)
		}
	}
	return out
}
