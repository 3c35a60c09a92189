package guard

import "strings"

// Match reports whether the pattern covers path, which is relative to the
// repository root with "/" between its segments, as git writes it. It is
// compared byte for byte and need not be valid UTF-8.
//
// path must be clean (no leading, trailing or double "/", no "." or ".."): Match
// takes its segments as they come.
func (p Pattern) Match(path string) bool {
	if p.c == nil || p.c.virtual || path == "" {
		return false
	}
	if p.c.fold {
		path = foldString(path)
	}
	for i := range p.c.alts {
		a := &p.c.alts[i]
		if a.match(p.view(a), path) {
			return true
		}
	}
	return false
}

// match matches path against elems, which is a.elems or the front of it.
func (a *alternative) match(elems []segment, path string) bool {
	if !strings.HasPrefix(path, a.prefix) {
		return false
	}
	if a.lits > 0 {
		elems, path = elems[a.lits:], path[len(a.prefix):]
		if path == "" {
			return nullable(elems)
		}
		if path[0] != '/' {
			return false
		}
		path = path[1:]
	}
	return matchPath(elems, path)
}

// nullable reports whether elems match no segment at all.
func nullable(elems []segment) bool {
	for i := range elems {
		if elems[i].op != opRest {
			return false
		}
	}
	return true
}

// matchPath matches a path of at least one segment. It goes about "**" as
// matchTokens does about "*": only the last one ever needs to take more.
func matchPath(elems []segment, path string) bool {
	i, pos := 0, 0
	back, backPos := -1, 0
	for pos <= len(path) {
		if i < len(elems) && elems[i].op == opRest {
			i++
			if i == len(elems) {
				return true
			}
			back, backPos = i, pos
			continue
		}
		if end := segmentEnd(path, pos); i < len(elems) && elems[i].match(path[pos:end]) {
			i++
			pos = end + 1
			continue
		}
		if back < 0 {
			return false
		}
		backPos = segmentEnd(path, backPos) + 1
		i, pos = back, backPos
	}
	return nullable(elems[i:])
}

// segmentEnd returns the end of the segment of path that starts at pos.
func segmentEnd(path string, pos int) int {
	if n := strings.IndexByte(path[pos:], '/'); n >= 0 {
		return pos + n
	}
	return len(path)
}

// DirFile reports whether a file (or symbolic link, or submodule) at path would
// stand where the pattern needs a directory: a file "vendor/lib" makes
// everything that "vendor/lib/**" covers impossible. Only the leading literal
// segments of the pattern are looked at, so "**/*.go" never has the say. A path
// that the pattern matches is not reported for that.
func (p Pattern) DirFile(path string) bool {
	if p.c == nil || p.c.virtual || path == "" {
		return false
	}
	if p.c.fold {
		path = foldString(path)
	}
	for i := range p.c.alts {
		a := &p.c.alts[i]
		if !strings.HasPrefix(a.prefix, path) {
			continue
		}
		if len(path) == len(a.prefix) {
			if !nullable(p.view(a)[a.lits:]) {
				return true
			}
		} else if a.prefix[len(path)] == '/' {
			return true
		}
	}
	return false
}
