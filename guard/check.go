package guard

import (
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

// Held is one live exclusive reservation as the guard sees it. Check looks at
// ID, Pattern and Kind; the rest is for the message to the reader.
type Held struct {
	ID         string
	Pattern    string
	Kind       Kind
	Holder     string // id of the agent
	HolderName string
	Reason     string
	Since      time.Time // when it was first taken
	Expires    time.Time
	Worktree   string
	Branch     string
}

// Entry is one changed path.
type Entry struct {
	Path    string // relative to the repository root; the exact bytes, see Match
	Deleted bool   // the path goes; otherwise something that is no directory comes or changes there
}

// Block is one hold in the way of one entry.
type Block struct {
	Path    string
	Entry   int  // position in the entries
	By      Held // the hold
	DirFile bool // the entry is a file where the hold needs a directory; it does not match the pattern
}

// Check returns for each entry all the holds that cover it, in the order of the
// entries and then of the holds. It knows nothing of who is acting, or of
// modes: the caller passes only the holds of others.
//
// A hold whose pattern does not compile, because it is damaged or was written by
// a newer version, is an error of code [mail.Unchecked] that names it: an answer
// without it would claim too much. Only a hold that begins with a plain
// directory or file name in which no entry lies is left out unread.
//
// A small commit keeps only the few holds that may matter to it: reading thousands
// is cheap, room for them is not.
func Check(entries []Entry, held iter.Seq[Held], ignoreCase bool) ([]Block, error) {
	pre := newPrefilter(entries, ignoreCase)
	var kept []Held // those that may matter
	var patterns []Pattern
	for h := range held {
		if Virtual(h.Pattern) || !pre.possible(h.Pattern) {
			continue
		}
		p, err := compileCase(h.Pattern, ignoreCase)
		if err != nil {
			return nil, unreadable(h, err)
		}
		if h.Kind == File {
			p = p.AsFile()
		}
		kept, patterns = append(kept, h), append(patterns, p)
	}
	if len(patterns) == 0 {
		return nil, nil
	}
	var blocks []Block
	cursor := NewIndex(patterns).Cursor()
	dirFiles := pre.dirFiles(entries, patterns)
	for i, e := range entries {
		covered := cursor.Lookup(e.Path)
		hits := covered
		if extra := dirFiles[i]; len(extra) > 0 {
			hits = slices.Concat(covered, extra)
			slices.Sort(hits)
			hits = slices.Compact(hits)
		}
		for _, at := range hits {
			_, matches := slices.BinarySearch(covered, at)
			blocks = append(blocks, Block{Path: e.Path, Entry: i, By: kept[at], DirFile: !matches})
		}
	}
	return blocks, nil
}

// Possible returns a function that tells cheaply, from a pattern's text alone, that it
// cannot touch any of the entries; it says yes wherever it is not sure. Check asks the
// same. It is for callers who need not even decode the hold then.
func Possible(entries []Entry, ignoreCase bool) func(pattern string) bool {
	return newPrefilter(entries, ignoreCase).possible
}

func compileCase(s string, ignoreCase bool) (Pattern, error) {
	if ignoreCase {
		return compileFold(s)
	}
	return Compile(s)
}

func unreadable(h Held, err error) error {
	e := mail.Errorf(mail.Unchecked, "cannot read reservation %s: %w", h.ID, err)
	var bad *mail.Error
	if errors.As(err, &bad) {
		e.With("offset", bad.Details["offset"])
	}
	return e.With("reservation", h.ID).With("pattern", h.Pattern).With("holder", h.Holder)
}

// prefilter tells cheaply, from the text alone, that a pattern cannot touch any
// of the entries, so that a small commit does not pay for compiling thousands
// of patterns.
type prefilter struct {
	fold bool
	// at holds every entry and every directory above one, with the entries
	// that are at the very path.
	at  map[string][]int32
	buf []byte
}

func newPrefilter(entries []Entry, fold bool) *prefilter {
	f := &prefilter{fold: fold, at: make(map[string][]int32, 2*len(entries))}
	for i, e := range entries {
		path := e.Path
		if fold {
			path = foldString(path)
		}
		f.at[path] = append(f.at[path], int32(i))
		// Up from the end, until a directory that an earlier entry has added.
		for end := strings.LastIndexByte(path, '/'); end > 0; end = strings.LastIndexByte(path[:end], '/') {
			if _, ok := f.at[path[:end]]; ok {
				break
			}
			f.at[path[:end]] = nil
		}
	}
	return f
}

// plain marks the bytes that mean themselves in every pattern.
var plain = func() (t [256]bool) {
	for _, c := range []byte("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._-+@$()") {
		t[c] = true
	}
	return t
}()

// possible reports whether the pattern may match an entry, or may need an
// entry's path as a directory. It follows the leading plain segments down the
// directories of the entries, and says yes wherever it does not understand.
func (f *prefilter) possible(pattern string) bool {
	for pos, end := 0, 0; ; pos, end = end+1, end+1 {
		for end < len(pattern) && plain[pattern[end]] {
			end++
		}
		if end < len(pattern) && pattern[end] != '/' {
			return true
		}
		if name := pattern[pos:end]; name == "" || name == "." || name == ".." {
			return true
		}
		at, ok := f.lookup(pattern[:end])
		if !ok {
			return false
		}
		if len(at) > 0 || end == len(pattern) {
			return true
		}
	}
}

// lookup finds a path of plain bytes.
func (f *prefilter) lookup(path string) (at []int32, ok bool) {
	if !f.fold {
		at, ok = f.at[path]
		return at, ok
	}
	f.buf = f.buf[:0]
	for i := 0; i < len(path); i++ {
		c := path[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		f.buf = append(f.buf, c)
	}
	at, ok = f.at[string(f.buf)]
	return at, ok
}

// dirFiles returns for each entry the positions of the patterns for which it is
// a file in the way, see [Pattern.DirFile]. It walks the patterns rather than
// the entries: a pattern has few leading directories.
func (f *prefilter) dirFiles(entries []Entry, patterns []Pattern) map[int][]int {
	found := map[int][]int{}
	for at, p := range patterns {
		for i := range p.c.alts {
			prefix := p.c.alts[i].prefix
			for end := 0; end < len(prefix); end++ {
				end = segmentEnd(prefix, end)
				for _, e := range f.at[prefix[:end]] {
					if !entries[e].Deleted && p.DirFile(prefix[:end]) {
						found[int(e)] = append(found[int(e)], at)
					}
				}
			}
		}
	}
	return found
}
