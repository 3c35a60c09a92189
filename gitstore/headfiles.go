package gitstore

import (
	"bytes"
	"cmp"
	"compress/zlib"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// headFiles answers HeadCommit where that needs no git: a commit that was just made
// lies there as files of their own, one for each object, and often so does what it
// was made from. A post-commit hook asks this of every commit, and reading six files
// takes a tenth of the time of a process. ok is false for whatever is out of the
// ordinary, and git is asked: packed objects, a merge, a root commit, refs that
// replace objects, grafts, a shallow clone, and whatever git itself does not write.
func (r *Repo) headFiles() (c Commit, ok bool) {
	if !r.plain() {
		return c, false
	}
	head, ok := r.looseHead()
	if !ok {
		return c, false
	}
	l := loose{dir: r.Objects, left: looseLimit}
	now, parent := l.commit(head)
	before, _ := l.commit(parent)
	c = Commit{OID: head}
	c.Changed = l.diff(nil, "", before, now, func(_ string, oid OID) []treeEntry { return l.tree(oid) })
	return c, l.err == nil
}

// plain reports whether an object is what its name says, to git as well.
func (r *Repo) plain() bool {
	for _, kv := range r.given {
		switch name, _, _ := strings.Cut(kv, "="); name {
		case "GIT_OBJECT_DIRECTORY", "GIT_GRAFT_FILE", "GIT_SHALLOW_FILE", "GIT_REPLACE_REF_BASE", "GIT_NAMESPACE":
			return false
		}
	}
	for _, name := range []string{"refs/replace", "info/grafts", "shallow"} {
		if _, err := os.Lstat(filepath.Join(r.CommonDir, filepath.FromSlash(name))); !errors.Is(err, os.ErrNotExist) {
			return false
		}
	}
	packed, err := os.ReadFile(filepath.Join(r.CommonDir, "packed-refs"))
	return (err == nil || errors.Is(err, os.ErrNotExist)) && !bytes.Contains(packed, []byte(" refs/replace/"))
}

// looseHead returns the commit that HEAD names, itself or by a branch with a file of
// its own.
func (r *Repo) looseHead() (OID, bool) {
	data, err := os.ReadFile(filepath.Join(r.GitDir, "HEAD"))
	oid := strings.TrimSpace(string(data))
	if branch, symbolic := strings.CutPrefix(oid, "ref: "); symbolic {
		if !strings.HasPrefix(branch, "refs/heads/") {
			return "", false
		}
		data, err = os.ReadFile(filepath.Join(r.CommonDir, filepath.FromSlash(branch)))
		oid = strings.TrimSpace(string(data))
	}
	return oid, err == nil && isOID(oid)
}

// loose reads objects that are files of their own. The first failure stays in err, and
// after it everything is empty.
type loose struct {
	dir    string
	packed *objects // is asked for the others, if not nil
	err    error
	left   int // bytes that may still be read
	z      io.ReadCloser
}

// looseLimit is from how many bytes of objects on git is quicker, where to open a file
// counts as much as to read some more.
const (
	looseLimit = 64 << 10
	openCosts  = 1500
)

var errOddObject = errors.New("gitstore: not an object as git writes them, or more than is worth it")

func (l *loose) read(oid OID, kind string) []byte {
	if l.err == nil && !isOID(oid) {
		l.err = errOddObject
	}
	if l.err != nil {
		return nil
	}
	data, err := l.inflate(filepath.Join(l.dir, oid[:2], oid[2:]))
	head, body, ok := bytes.Cut(data, []byte{0})
	switch {
	case l.packed != nil && errors.Is(err, fs.ErrNotExist):
		body, err = l.packed.one(oid, kind)
	case err == nil && (!ok || string(head) != kind+" "+strconv.Itoa(len(body))):
		err = errOddObject
	}
	if l.left -= len(body) + openCosts; l.left < 0 {
		err = errOddObject
	}
	if l.err = err; err != nil {
		return nil
	}
	return body
}

func (l *loose) inflate(name string) ([]byte, error) {
	st, err := os.Stat(name)
	if err == nil && st.Size() > int64(l.left) {
		err = errOddObject
	}
	if err != nil {
		return nil, err
	}
	file, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	packed := bytes.NewReader(file)
	if l.z == nil {
		l.z, err = zlib.NewReader(packed)
	} else {
		err = l.z.(zlib.Resetter).Reset(packed, nil)
	}
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(l.z, int64(l.left)+1))
	if err == nil && packed.Len() > 0 {
		err = errOddObject // something behind it, or it goes on
	}
	return data, err
}

// commit returns the tree of a commit, and its parent if it has just one.
func (l *loose) commit(oid OID) (tree, parent OID) {
	f := strings.SplitN(string(l.read(oid, "commit")), "\n", 4)
	if l.err == nil && len(f) == 4 {
		tree, _ = strings.CutPrefix(f[0], "tree ")
		parent, _ = strings.CutPrefix(f[1], "parent ")
		if !strings.HasPrefix(f[2], "author ") {
			parent = "" // none, or several
		}
		if isOID(tree) && (strings.HasPrefix(f[1], "parent ") || strings.HasPrefix(f[1], "author ")) {
			return tree, parent
		}
	}
	l.odd()
	return "", ""
}

func (l *loose) odd() {
	if l.err == nil {
		l.err = errOddObject
	}
}

// diff adds to list what differs in a directory between two trees, in git's order. after
// says what is in a directory of the second one, given the path, with a closing slash, and
// the tree. An empty tree is one that is not there.
func (l *loose) diff(list []Changed, dir string, from, to OID, after func(dir string, tree OID) []treeEntry) []Changed {
	old, now := l.ordered(l.tree(from)), l.ordered(after(dir, to))
	if l.err != nil {
		return nil
	}
	for len(old)+len(now) > 0 {
		var a, b treeEntry // of one key, which keeps files and directories apart
		if len(now) == 0 || len(old) > 0 && old[0].key() <= now[0].key() {
			a = old[0]
		}
		if a.mode == "" || len(now) > 0 && now[0].key() == a.key() {
			b, now = now[0], now[1:]
		}
		if a.mode != "" {
			old = old[1:]
		}
		path := dir + cmp.Or(a.name, b.name)
		switch {
		case a.oid == b.oid && a.mode == b.mode:
		case a.dir || b.dir:
			list = l.diff(list, path+"/", a.oid, b.oid, after)
		case b.mode == "":
			list = append(list, Changed{path, "D"})
		case a.mode == "":
			list = append(list, Changed{path, "A"})
		case kindOf(a.mode) != kindOf(b.mode):
			list = append(list, Changed{path, "T"})
		default:
			list = append(list, Changed{path, "M"})
		}
	}
	return list
}

func (l *loose) tree(oid OID) []treeEntry {
	if oid == "" || oid == emptyTree {
		return nil
	}
	list, err := parseTree(oid, l.read(oid, "tree"))
	for _, e := range list {
		switch e.mode {
		case modeTree, modeBlob, "100755", "120000", "160000":
		default:
			err = errOddObject
		}
	}
	if l.err == nil {
		l.err = err
	}
	if l.err != nil {
		return nil
	}
	return list
}

// ordered returns what is in a directory if it is in git's order and no name is there
// twice, as a file and a directory either: those need not be neighbours.
func (l *loose) ordered(list []treeEntry) []treeEntry {
	byKey := func(e treeEntry, key string) int { return strings.Compare(e.key(), key) }
	for i, e := range list {
		_, twice := slices.BinarySearchFunc(list[:i], e.name, byKey)
		if e.name == "" || twice || i > 0 && list[i-1].key() >= e.key() {
			l.odd()
			return nil
		}
	}
	return list
}

// kindOf is a mode without its permissions: a file, a link or a submodule.
func kindOf(mode string) string { return mode[:3] }
