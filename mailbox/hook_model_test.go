package mailbox

import (
	"cmp"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/git-agentmail/git-agentmail/guard"
)

// What TestGuardProperty compares the guard with: doc/GUARD.md, written as slowly
// and plainly as it can be.

// live returns the exclusive reservations that hold now.
func (g *game) live() []*lease {
	var list []*lease
	for _, l := range g.leases {
		if l.exclusive && g.at.Before(l.end) {
			list = append(list, l)
		}
	}
	return list
}

// binding returns those that bind somebody: everybody else's.
func (g *game) binding(a actor) []*lease {
	return slices.DeleteFunc(g.live(), func(l *lease) bool { return l.holder == a.name })
}

// touches returns the paths that one of leases covers, sorted, and who holds them.
func touches(changes []change, leases []*lease) (paths []string, holders map[string]bool) {
	holders = map[string]bool{}
	for _, c := range changes {
		for _, l := range leases {
			if covers(l, c) {
				paths, holders[l.holder] = append(paths, c.path), true
			}
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths), holders
}

// covers reports whether a change is in a reservation's way: it matches, a file's
// without what would be beneath it; or a file comes where a directory must be.
func covers(l *lease, c change) bool {
	if strings.Contains(l.pattern, "://") {
		return false
	}
	if l.kind == "file" {
		if exactly(l.pattern, c.path) {
			return true
		}
	} else if matches(l.pattern, c.path) {
		return true
	}
	return !c.gone && slices.ContainsFunc(readings(l.pattern), func(p string) bool { return inTheWay(p, c.path) })
}

func matches(pattern, p string) bool {
	c, err := guard.Compile(pattern)
	if err != nil {
		panic(err)
	}
	return c.Match(p)
}

// exactly reports whether a pattern matches a path for its own sake, not because
// the path is beneath what it names: a class of one character is a wildcard, and a
// pattern that ends in a wildcard does not descend.
func exactly(pattern, p string) bool {
	return slices.ContainsFunc(readings(pattern), func(r string) bool {
		if endsPlain(r) {
			r = strings.TrimSuffix(r[:len(r)-1], `\`) + "[" + r[len(r)-1:] + "]"
		}
		return matches(r, p)
	})
}

// kindOf finds out what a pattern that ends in a plain name names now.
func (g *game) kindOf(pattern string) string {
	g.t.Helper()
	var plain []string
	for _, r := range readings(pattern) {
		if endsPlain(r) {
			plain = append(plain, r)
		}
	}
	kind := "unknown"
	for _, p := range g.tracked() {
		for _, r := range plain {
			switch {
			case exactly(r, p):
				kind = cmp.Or(strings.TrimSuffix(kind, "unknown"), "file")
			case matches(r, p):
				kind = "tree"
			}
		}
	}
	if kind != "unknown" || len(plain) == 0 || strings.ContainsAny(pattern, "*?[{") {
		return kind
	}
	st, err := os.Lstat(filepath.Join(g.dir, filepath.FromSlash(pattern)))
	switch {
	case err != nil:
		return kind
	case st.IsDir():
		return "tree"
	}
	return "file"
}

// inTheWay reports whether a file at p is where a reading needs a directory.
func inTheWay(reading, p string) bool {
	need := strings.Split(path.Clean("/" + reading)[1:], "/")
	if strings.HasSuffix(reading, "/") {
		need = append(need, "")
	}
	for i, have := range strings.Split(p, "/") {
		if i >= len(need)-1 || !isPlain(need[i]) || strings.ReplaceAll(need[i], `\`, "") != have {
			return false
		}
	}
	return true
}

// readings lists all ways to read a pattern: each choice of its braces (which are
// not nested here), and brackets as a class or as text.
func readings(pattern string) []string {
	if open, shut := strings.IndexByte(pattern, '{'), strings.IndexByte(pattern, '}'); open >= 0 {
		var list []string
		for choice := range strings.SplitSeq(pattern[open+1:shut], ",") {
			list = append(list, readings(pattern[:open]+choice+pattern[shut+1:])...)
		}
		return list
	}
	if i := strings.IndexByte(pattern, '['); i >= 0 && !strings.Contains(pattern, `\`) {
		// The same class written otherwise: its text names nothing.
		class := pattern[:i+1] + pattern[i+1:i+2] + pattern[i+1:]
		return []string{class, strings.NewReplacer("[", `\[`, "]", `\]`).Replace(pattern)}
	}
	return []string{pattern}
}

// isPlain reports whether a segment means itself.
func isPlain(segment string) bool {
	return !strings.ContainsAny(strings.NewReplacer(`\[`, "", `\]`, "").Replace(segment), "*?[")
}

func endsPlain(reading string) bool {
	return !strings.HasSuffix(reading, "/") && isPlain(path.Base(reading))
}
