package guard

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/git-agentmail/git-agentmail/mail"
)

// parser holds one source text and how to read it.
type parser struct {
	src  string
	fold bool
}

// fail reports a fault at a byte offset of the source. hint may be empty.
func (p *parser) fail(offset int, hint, format string, args ...any) error {
	const shown = 80 // bytes of a pattern in a message
	quoted := p.src
	if len(quoted) > shown {
		quoted = quoted[:shown] + "..."
	}
	args = append([]any{quoted, offset}, args...)
	e := mail.Errorf(mail.Invalid, "pattern %q: offset %d: "+format, args...)
	e.With("pattern", p.src).With("offset", offset)
	if hint != "" {
		e.Hint("%s", hint)
	}
	return e
}

func compile(src string, fold bool) (*compiled, error) {
	p := &parser{src: src, fold: fold}
	if err := p.checkText(); err != nil {
		return nil, err
	}
	if Virtual(src) {
		if strings.HasSuffix(src, "://") {
			return nil, p.fail(0, "", "names nothing after '://'")
		}
		return &compiled{text: src, virtual: true}, nil
	}
	c := &compiled{text: canonical(src), fold: fold}
	if err := p.checkHead(c.text); err != nil {
		return nil, err
	}
	if err := p.checkEscapes(); err != nil {
		return nil, err
	}
	variants, err := p.expandBraces()
	if err != nil {
		return nil, err
	}
	c.alts = make([]alternative, 0, len(variants))
	for i := range variants {
		if err := p.addAlternatives(c, &variants[i]); err != nil {
			return nil, err
		}
	}
	c.prefix = c.alts[0].prefix
	for _, a := range c.alts[1:] {
		c.prefix = commonSegments(c.prefix, a.prefix)
	}
	return c, nil
}

// checkText refuses what no pattern may be, virtual or not.
func (p *parser) checkText() error {
	s := p.src
	switch {
	case s == "":
		return p.fail(0, `use "/" for the whole repository`, "empty pattern")
	case len(s) > MaxBytes:
		p.src = s[:MaxBytes] // do not carry megabytes around in an error
		return p.fail(0, "", "longer than %d bytes", MaxBytes)
	case !utf8.ValidString(s):
		i := 0
		for ; i < len(s); i++ {
			r, n := next(s[i:])
			if r == bad {
				break
			}
			i += n - 1
		}
		return p.fail(i, "", "not valid UTF-8")
	}
	if i := strings.IndexByte(s, 0); i >= 0 {
		return p.fail(i, "", "NUL byte")
	}
	if t := strings.TrimSpace(s); t != s {
		hint := ""
		if t != "" {
			hint = "use \"" + t + "\""
		}
		return p.fail(0, hint, "leading or trailing white space")
	}
	return nil
}

// checkHead refuses patterns that say in their first characters that they are
// written in another dialect. It looks at the canonical text, so that "./!x" is
// refused like "!x".
func (p *parser) checkHead(text string) error {
	switch {
	case text[0] == '!':
		return p.fail(0, `reserve what is wanted with several patterns`, `negation is not supported; write \! for a literal leading '!'`)
	case text[0] == ':' && len(text) > 1 && strings.IndexByte("(/!^", text[1]) >= 0:
		return p.fail(0, "", "git pathspec magic is not supported")
	case len(text) > 2 && isLetter(text[0]) && text[1] == ':' && (text[2] == '/' || text[2] == '\\'):
		return p.fail(0, "use a path relative to the repository root, with \"/\"", "absolute Windows path")
	}
	if r, _ := utf8.DecodeRuneInString(text); unicode.IsSpace(r) {
		return p.fail(0, "", "leading or trailing white space")
	}
	return nil
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// checkEscapes allows "\" before ASCII punctuation only. Anything else is most
// likely a separator of Windows. "\/" is refused too: "/" has no other meaning
// that could be escaped.
func (p *parser) checkEscapes() error {
	const punctuation = "!\"#$%&'()*+,-.:;<=>?@[\\]^_`{|}~"
	for i := 0; i < len(p.src); i++ {
		if p.src[i] != '\\' {
			continue
		}
		if i+1 == len(p.src) {
			return p.fail(i, `use "/" between directories`, "trailing backslash")
		}
		if i++; strings.IndexByte(punctuation, p.src[i]) < 0 {
			r, _ := utf8.DecodeRuneInString(p.src[i:])
			return p.fail(i-1, `use "/" between directories`, `'\%c' is not an escape`, r)
		}
	}
	return nil
}

// canonical cleans a text without looking at braces: each step is good in every
// alternative. Escapes and brackets need no care, as a "/" in either is an
// error.
func canonical(s string) string {
	for strings.Contains(s, "//") {
		s = strings.ReplaceAll(s, "//", "/")
	}
	for strings.Contains(s, "/./") {
		s = strings.ReplaceAll(s, "/./", "/")
	}
	if strings.HasSuffix(s, "/.") {
		s = s[:len(s)-1]
	}
	for {
		switch {
		case s == "" || s == ".":
			return "**"
		case s[0] == '/':
			s = s[1:]
		case strings.HasPrefix(s, "./"):
			s = s[2:]
		default:
			return s
		}
	}
}

// addAlternatives adds the reading of v with its brackets as classes and, if it
// has any, the reading with its brackets as text.
func (p *parser) addAlternatives(c *compiled, v *variant) error {
	r := reading{p: p, v: v}
	if err := r.read(); err != nil {
		return err
	}
	c.alts = append(c.alts, r.alternative())
	c.innerStars = c.innerStars || r.innerStars
	if r.classes {
		t := reading{p: p, v: v, plain: true}
		if err := t.read(); err != nil {
			return err
		}
		c.alts = append(c.alts, t.alternative())
	}
	return nil
}

// reading turns one variant into segments.
type reading struct {
	p     *parser
	v     *variant
	plain bool // brackets are text

	segs       []segment
	below      bool // ended in "/": only what is beneath
	classes    bool // a bracket expression was seen
	innerStars bool // a "**" inside a longer segment was seen
}

func (r *reading) read() error {
	text := r.v.text
	for i := 0; i <= len(text); {
		s, end, err := r.segment(i)
		if err != nil {
			return err
		}
		i = end + 1
		if s.op == opLit && (s.text == "" || s.text == ".") {
			r.below = true // so far; a later segment takes it back
			continue
		}
		if s.op == opLit && s.text == ".." {
			return r.p.fail(0, "patterns are relative to the repository root", "'..' is not allowed")
		}
		r.below = false
		r.segs = append(r.segs, s)
	}
	if len(r.segs) > MaxSegments {
		return r.p.fail(0, "", "more than %d segments", MaxSegments)
	}
	if len(r.segs) == 0 {
		if r.v.expanded {
			// One empty brace must not reserve the whole repository.
			return r.p.fail(0, "", "an alternative in braces is empty")
		}
		r.segs, r.below = []segment{{op: opRest}}, false
	}
	return nil
}

// segment reads one segment from offset i to its end, which is returned: the
// offset of the "/" or of the end of the text.
func (r *reading) segment(i int) (s segment, end int, err error) {
	text := r.v.text
	n := strings.IndexAny(text[i:], `/*?[\`)
	if n < 0 {
		n = len(text) - i
	}
	if i+n == len(text) || text[i+n] == '/' { // by far the most
		lit := text[i : i+n]
		if r.p.fold {
			lit = foldString(lit)
		}
		return segment{op: opLit, text: lit}, i + n, nil
	}
	b := globBuilder{fold: r.p.fold}
	start, run, double := i, 0, false
	for i < len(text) && text[i] != '/' {
		if text[i] == '*' {
			run++
			double = double || run > 1
			b.star()
			i++
			continue
		}
		run = 0
		switch text[i] {
		case '?':
			b.single()
			i++
		case '[':
			c, end, err := r.p.parseClass(r.v, i)
			if err != nil {
				return segment{}, 0, err
			}
			r.classes = true
			if !r.plain {
				b.class(c)
				i = end
				continue
			}
			for i < end {
				m, n := member(text[i:])
				b.literal(m)
				i += n
			}
		default:
			m, n := member(text[i:])
			b.literal(m)
			i += n
		}
	}
	if !b.wild {
		return segment{op: opLit, text: string(b.lit)}, i, nil
	}
	if double && strings.Trim(text[start:i], "*") == "" {
		return segment{op: opRest}, i, nil
	}
	r.innerStars = r.innerStars || double
	return b.segment(), i, nil
}

// alternative applies the rules of the last segment and puts the elements in a
// normal form.
func (r *reading) alternative() alternative {
	elems := r.segs
	last := elems[len(elems)-1].op
	if last == opRest { // one or more, in the last place
		elems = append(elems, segment{op: opAny})
	}
	a := alternative{descent: last == opLit && !r.below}
	switch {
	case r.below:
		elems = append(elems, segment{op: opAny}, segment{op: opRest})
	case a.descent:
		elems = append(elems, segment{op: opRest})
	}
	a.elems = normalizeRuns(elems)
	for a.lits < len(a.elems) && a.elems[a.lits].op == opLit {
		a.lits++
	}
	names := make([]string, a.lits)
	for i := range names {
		names[i] = a.elems[i].text
	}
	a.prefix = strings.Join(names, "/")
	return a
}

// normalizeRuns rewrites each run of "*" and "**" segments that has a "**" to
// its "*"s followed by one "**", in place. That means the same: at least as
// many segments as there were "*"s.
func normalizeRuns(elems []segment) []segment {
	out, rest := elems[:0], false
	for _, e := range elems {
		if e.op == opRest {
			rest = true
			continue
		}
		if rest && e.op != opAny {
			out = append(out, segment{op: opRest})
			rest = false
		}
		out = append(out, e)
	}
	if rest {
		out = append(out, segment{op: opRest})
	}
	return out
}

// commonSegments returns the longest run of whole segments that a and b both
// start with.
func commonSegments(a, b string) string {
	end := 0
	for i := 0; ; i++ {
		endA, endB := i == len(a) || a[i] == '/', i == len(b) || b[i] == '/'
		if endA && endB {
			end = i
		}
		if i == len(a) || i == len(b) || a[i] != b[i] {
			return a[:end]
		}
	}
}
