// Package guard decides which paths and patterns collide.
//
// It is pure: it reads no disk, git, clock or environment, so the same input
// gives the same answer on every machine.
//
// # Patterns
//
// A [Pattern] is relative to the repository root and anchored there. The
// dialect is that of git's pathspec ":(top,glob)", with braces, and with rules
// of its own where git leaves a choice:
//
//   - "*", "?" and "[...]" never match "/"; "?" and "[...]" match one code
//     point; a leading dot is not special.
//   - "**" as a whole segment is zero or more segments, as the last segment one
//     or more. Inside a longer segment it means "*".
//   - "{a,b}" is expanded before anything else; without a comma it is text.
//   - A last segment without a wildcard covers the path and everything beneath
//     it. A trailing "/" means only what is beneath.
//   - A pattern with "[...]" also matches with its brackets read as text, so
//     "app/[id]/**" protects a directory that is really called "[id]".
//   - "\" escapes punctuation.
//
// # Answers
//
// [Pattern.Match] asks about one path, [Pattern.Overlap] about two patterns
// (exactly, with a path that both match), [Clash] about two reservations, and
// [Check] about the changed paths of a commit.
//
// # Hostile patterns
//
// A pattern is written by one agent and evaluated in every commit of every
// other, so no pattern may be slow. Matching never backtracks further than the
// last star, and overlap is a product of two automata. [Compile] refuses
// patterns of more than [MaxBytes] bytes, [MaxSegments] segments or
// [MaxAlternatives] alternatives. What is left is the overlap of two patterns
// that are both at all the limits, with stars throughout: that takes seconds,
// but only whoever writes the second such pattern waits for it.
package guard

import (
	"strings"
)

// The limits of one pattern.
const (
	MaxBytes        = 1024 // length of the text
	MaxSegments     = 64   // segments of one alternative
	MaxAlternatives = 64   // alternatives after brace expansion
	MaxExpanded     = 4096 // bytes of all alternatives together
)

// Pattern is a compiled reservation pattern. It is a small value, cheap to copy
// and safe for concurrent use. The zero Pattern matches nothing.
type Pattern struct {
	c    *compiled
	file bool // descent is dropped, see AsFile
}

// compiled is what Compile makes of a text; it never changes afterwards.
type compiled struct {
	text       string // canonical
	virtual    bool   // not a path at all, see Virtual
	fold       bool   // literals and classes are folded; paths must be too
	innerStars bool   // has a "**" that means "*"
	alts       []alternative
	prefix     string // whole literal segments that every alternative starts with
}

// alternative is one way to read a pattern: one choice of every brace, with
// brackets either as classes or as text.
type alternative struct {
	elems   []segment
	descent bool   // the last element is a "**" that the descent rule added
	lits    int    // number of leading literal elements
	prefix  string // those, joined with "/"
}

// Compile parses a pattern. An error is a [*mail.Error] of code [mail.Invalid];
// its details hold the "pattern" and the byte "offset" of the fault, which is 0
// where the fault is in the pattern as a whole.
func Compile(s string) (Pattern, error) {
	c, err := compile(s, false)
	return Pattern{c: c}, err
}

// compileFold is Compile(s) followed by Fold, at the price of one.
func compileFold(s string) (Pattern, error) {
	c, err := compile(s, true)
	return Pattern{c: c}, err
}

// String returns the pattern in canonical form: without leading "/" and "./",
// with "//" and "/./" collapsed, and with "**" for the whole repository ("/" or
// "."). Braces, brackets and a trailing "/" stay as they were written.
//
// Compiling the canonical form gives a pattern of the same meaning and the same
// canonical form. Two patterns of the same meaning may still differ in it.
func (p Pattern) String() string {
	if p.c == nil {
		return ""
	}
	return p.c.text
}

// Fold returns the pattern for a repository with core.ignorecase: letters that
// differ only in case, by Unicode simple folding, are the same letter. The
// witness of an overlap is then in folded form, which is lower case in ASCII.
func (p Pattern) Fold() Pattern {
	if p.c == nil || p.c.fold {
		return p
	}
	c, err := compile(p.c.text, true)
	if err != nil {
		// The canonical form of a valid pattern is valid.
		panic("guard: fold: " + err.Error())
	}
	return Pattern{c: c, file: p.file}
}

// AsFile returns the pattern without the descent rule: a literal last segment
// then covers that path and nothing beneath it. It is for a reservation of kind
// [File]. Its String does not show the difference.
func (p Pattern) AsFile() Pattern {
	p.file = true
	return p
}

// LiteralEnd reports whether the last segment has no wildcard in any of the
// pattern's alternatives, so that the pattern covers what is beneath it if it
// names a directory, and a reservation needs a [Kind].
func (p Pattern) LiteralEnd() bool {
	if p.c == nil {
		return false
	}
	for i := range p.c.alts {
		if p.c.alts[i].descent {
			return true
		}
	}
	return false
}

// Literal returns the one path that the pattern names when it has no wildcard,
// no alternatives and no trailing slash, with escapes removed. A pattern with
// brackets is not literal, since it also has a reading as a class.
func (p Pattern) Literal() (path string, ok bool) {
	if p.c == nil || len(p.c.alts) != 1 {
		return "", false
	}
	a := &p.c.alts[0]
	if !a.descent || a.lits != len(a.elems)-1 {
		return "", false
	}
	return a.prefix, true
}

// FirstSegments returns the first segment of every alternative, for a store
// that wants to fetch only reservations that can touch given paths. It is not
// ok if an alternative starts with a wildcard and so can touch anything.
func (p Pattern) FirstSegments() (names []string, ok bool) {
	if p.c == nil || p.c.virtual {
		return nil, false
	}
	for i := range p.c.alts {
		e := p.c.alts[i].elems[0]
		if e.op != opLit {
			return nil, false
		}
		names = append(names, e.text)
	}
	return names, true
}

// schemes are the prefixes of virtual patterns.
var schemes = [...]string{"tool://", "resource://", "service://"}

// Virtual reports whether s names a tool, resource or service rather than
// files. A virtual pattern matches no path and overlaps only with an equal one.
func Virtual(s string) bool {
	for _, scheme := range schemes {
		if strings.HasPrefix(s, scheme) {
			return true
		}
	}
	return false
}

// IsVirtual reports whether the pattern was compiled from a text for which
// [Virtual] holds.
func (p Pattern) IsVirtual() bool { return p.c != nil && p.c.virtual }

// view returns the elements of a that are in force: all, or those without the
// descent.
func (p Pattern) view(a *alternative) []segment {
	if p.file && a.descent {
		return a.elems[:len(a.elems)-1]
	}
	return a.elems
}
