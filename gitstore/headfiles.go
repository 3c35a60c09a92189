package gitstore

import (
	"bytes"
	"compress/zlib"
	"errors"
	"io"
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
	c.Changed = l.diff(nil, "", before, now)
	// As git lists them: by the bytes of the path.
	slices.SortFunc(c.Changed, func(a, b Changed) int { return strings.Compare(a.Path, b.Path) })
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
	dir  string
	err  error
	left int // bytes that may still be read
	z    io.ReadCloser
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
	if err == nil && (!ok || string(head) != kind+" "+strconv.Itoa(len(body))) {
		err = errOddObject
	}
	if l.left -= len(data) + openCosts; l.left < 0 {
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
	if l.err == nil {
		l.err = errOddObject
	}
	return "", ""
}

// diff adds to list what differs below dir, which has a closing slash. An empty tree
// is one that is not there.
func (l *loose) diff(list []Changed, dir string, before, after OID) []Changed {
	type pair struct{ before, after treeEntry }
	names := map[string]pair{}
	for _, e := range l.tree(before) {
		names[e.name] = pair{before: e}
	}
	for _, e := range l.tree(after) {
		names[e.name] = pair{names[e.name].before, e}
	}
	for name, p := range names {
		a, b := p.before, p.after
		if a.oid == b.oid && a.mode == b.mode {
			continue
		}
		path := dir + name
		if a.dir || b.dir { // what is no directory on one side has no tree there
			list = l.diff(list, path+"/", treeOf(a), treeOf(b))
		}
		isFile, wasFile := b.mode != "" && !b.dir, a.mode != "" && !a.dir
		switch {
		case wasFile && isFile && kindOf(a.mode) == kindOf(b.mode):
			list = append(list, Changed{path, "M"})
		case wasFile && isFile:
			list = append(list, Changed{path, "T"})
		case wasFile:
			list = append(list, Changed{path, "D"})
		case isFile:
			list = append(list, Changed{path, "A"})
		}
	}
	return list
}

func (l *loose) tree(oid OID) []treeEntry {
	if oid == "" || oid == emptyTree {
		return nil
	}
	list, err := parseTree(oid, l.read(oid, "tree"))
	for i, e := range list {
		switch e.mode {
		case modeTree, modeBlob, "100755", "120000", "160000":
		default:
			err = errOddObject
		}
		if e.name == "" || i > 0 && (list[i-1].key() >= e.key() || list[i-1].name == e.name) {
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

func treeOf(e treeEntry) OID {
	if e.dir {
		return e.oid
	}
	return ""
}

// kindOf is a mode without its permissions: a file, a link or a submodule.
func kindOf(mode string) string { return mode[:3] }
