package guard

import (
	"strconv"
	"strings"
)

// Kind says what a reservation whose pattern ends without a wildcard names in
// the work tree. It is resolved when the reservation is made and stored with
// it. For other patterns it makes no difference.
type Kind string

// The kinds. Any other value is taken as Unknown.
const (
	File    Kind = "file"    // a tracked or existing path that is not a directory
	Tree    Kind = "tree"    // a tracked or existing directory
	Unknown Kind = "unknown" // nothing there yet
)

// KindIn resolves the kind of p from the paths of tracked files: Tree if one of
// them is beneath what p names, File if one is named itself. For a pattern that
// names neither, or that has a wildcard at its end, it returns Unknown; the
// caller may then look at [Pattern.Literal] in the work tree.
func (p Pattern) KindIn(paths []string) Kind {
	kind := Unknown
	if !p.LiteralEnd() {
		return kind
	}
	own := p.AsFile()
	for _, path := range paths {
		if !p.Match(path) {
			continue
		}
		if !own.Match(path) {
			return Tree
		}
		kind = File
	}
	return kind
}

// ClashResult says how two reservations stand to each other.
type ClashResult struct {
	Witness string // a path that both claim
	Overlap bool   // they touch at all
	Implied bool   // only if a path that does not exist yet becomes a directory: a warning
}

// Conflict reports whether the reservations exclude each other.
func (r ClashResult) Conflict() bool { return r.Overlap && !r.Implied }

// Clash applies the kinds of two reservations to the overlap of their patterns.
//
// By its form alone "main.go" covers "main.go/_test.go" and so overlaps
// "**/*_test.go". A reservation of kind File does not descend, and one of kind
// Unknown descends only to warn: an overlap that there is only through its
// descent is Implied.
//
// It is a conflict all the same if the other pattern needs a directory where
// this one may become a file: "src/api" and "src/api/v1/**" exclude each other
// whichever of the two "src/api" is going to be, and so do "docs" and
// "docs/**". See [Pattern.DirFile].
func Clash(a Pattern, ak Kind, b Pattern, bk Kind) ClashResult {
	if ak == File {
		a = a.AsFile()
	}
	if bk == File {
		b = b.AsFile()
	}
	witness, ok := a.Overlap(b)
	if ok {
		sureA, sureB := a, b
		if ak != Tree {
			sureA = a.AsFile()
		}
		if bk != Tree {
			sureB = b.AsFile()
		}
		if _, sure := sureA.Overlap(sureB); sure {
			return ClashResult{Witness: witness, Overlap: true}
		}
	}
	if ak != Tree {
		if path, nested := nests(a, b); nested {
			return conflictAt(witness, path)
		}
	}
	if bk != Tree {
		if path, nested := nests(b, a); nested {
			return conflictAt(witness, path)
		}
	}
	return ClashResult{Witness: witness, Overlap: ok, Implied: ok}
}

// conflictAt prefers the path that both patterns match to the one that would
// have to be a file and a directory.
func conflictAt(witness, path string) ClashResult {
	if witness == "" {
		witness = path
	}
	return ClashResult{Witness: witness, Overlap: true}
}

// nests reports whether a, taken as a file, names a path that b needs as a
// directory.
func nests(a, b Pattern) (path string, ok bool) {
	if a.c == nil || b.c == nil || a.c.virtual || b.c.virtual {
		return "", false
	}
	if a.c.fold != b.c.fold {
		a, b = a.Fold(), b.Fold()
	}
	a = a.AsFile()
	for i := range b.c.alts {
		prefix := b.c.alts[i].prefix
		for end := 0; end < len(prefix); {
			end = segmentEnd(prefix, end)
			if path = prefix[:end]; b.DirFile(path) && a.names(path) {
				return path, true
			}
			end++
		}
	}
	return "", false
}

// names reports whether an alternative of p without a wildcard at its end names
// exactly this path.
func (p Pattern) names(path string) bool {
	for i := range p.c.alts {
		a := &p.c.alts[i]
		if a.descent && a.match(a.elems[:len(a.elems)-1], path) {
			return true
		}
	}
	return false
}

// Warnings returns remarks for whoever reserves the pattern, where its meaning
// may not be the one that was meant. Each is one line.
func (p Pattern) Warnings() []string {
	if p.c == nil || p.c.virtual {
		return nil
	}
	var warnings []string
	broad, rootOnly := false, false
	for i := range p.c.alts {
		elems := p.c.alts[i].elems
		wild := true
		for k := range elems {
			wild = wild && elems[k].op >= opAny
		}
		broad = broad || wild
		rootOnly = rootOnly || len(elems) == 1 && elems[0].op == opGlob
	}
	text := p.c.text
	if broad {
		warnings = append(warnings, strconv.Quote(text)+" is very broad: it names no file or directory")
	}
	if p.c.innerStars {
		warnings = append(warnings, `"**" inside a longer name means "*" and stays in one directory; only "**" between slashes crosses directories`)
	}
	if rootOnly && !strings.Contains(text, "/") {
		warnings = append(warnings, strconv.Quote(text)+" covers only files at the repository root; did you mean "+strconv.Quote("**/"+text)+"?")
	}
	return warnings
}
