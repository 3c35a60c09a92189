package gitstore

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// stagedFiles answers Staged without a git, from the index and from what HEAD has as
// files of their own, as headFiles does. In the index git has noted which tree a
// directory is, for all of them when it is about to commit; where HEAD has the same one
// nothing below it is looked at, so that may be packed. ok is false for whatever is out
// of the ordinary, and git is asked: conflicts, an index that is large, split, sparse,
// compressed or not whole, and what headFiles leaves to git.
func (r *Repo) stagedFiles() (list []Changed, ok bool) {
	if !r.plain() {
		return nil, false
	}
	head, ok := r.looseHead()
	if !ok {
		return nil, false
	}
	x, err := r.readIndex()
	if err != nil {
		return nil, false
	}
	l := loose{dir: r.Objects, left: looseLimit}
	tree, _ := l.commit(head)
	list = l.diff(nil, "", tree, "", func(dir string, _ OID) []treeEntry { return x.list(dir) })
	return list, l.err == nil
}

// indexLimit is from how many bytes of an index on git is quicker.
const indexLimit = 256 << 10

var errOddIndex = errors.New("gitstore: not an index as git writes most of them, or more than is worth it")

// readIndex reads the index of what git is about to commit.
func (r *Repo) readIndex() (*index, error) {
	name := filepath.Join(r.GitDir, "index")
	for _, kv := range r.given {
		if v, set := strings.CutPrefix(kv, "GIT_INDEX_FILE="); set {
			name = v // the last one counts
		}
	}
	if !filepath.IsAbs(name) {
		if r.Dir != r.TopLevel { // git would first find out where the top is
			return nil, errOddIndex
		}
		name = filepath.Join(r.TopLevel, name)
	}
	st, err := os.Stat(name)
	if err == nil && st.Size() > indexLimit {
		err = errOddIndex
	}
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return parseIndex(data)
}

// index is what git's index holds for a commit, gitformat-index(5).
type index struct {
	entries []indexEntry   // in order of path, without those that are only intended to be added
	trees   map[string]OID // those that git has noted, by the path with a closing slash
}

type indexEntry struct {
	path, oid []byte
	mode      string
}

// Of the flags of an entry, and of its further ones.
const (
	indexLength   = 0x0fff // of the path; all of the bits say that it is longer
	indexConflict = 0x3000
	indexMore     = 0x4000
	indexIntended = 0x2000 // to be added: git add -N
	indexSkip     = 0x4000 // not checked out
)

// parseIndex is strict: what git itself would not write, git reads in its own way. It
// writes no entry twice, and no empty names.
func parseIndex(data []byte) (*index, error) {
	const header, stat = 12, 40
	number := binary.BigEndian.Uint32
	if len(data) < header+sha1.Size {
		return nil, errOddIndex
	}
	data, sum := data[:len(data)-sha1.Size], data[len(data)-sha1.Size:]
	if is := sha1.Sum(data); !bytes.Equal(is[:], sum) {
		return nil, errOddIndex
	}
	version, n := number(data[4:]), number(data[8:])
	if string(data[:4]) != "DIRC" || version != 2 && version != 3 || n > uint32(len(data)) {
		return nil, errOddIndex
	}
	data = data[header:]
	x := &index{entries: make([]indexEntry, 0, n), trees: map[string]OID{}}
	var last []byte
	for range n {
		at := stat + sha1.Size + 2
		if len(data) < at+2 {
			return nil, errOddIndex
		}
		flags, more := binary.BigEndian.Uint16(data[at-2:]), uint16(0)
		if flags&indexMore != 0 {
			more = binary.BigEndian.Uint16(data[at:])
			at += 2
		}
		length := int(flags & indexLength)
		size := (at + length + 8) &^ 7 // with one to eight zeros behind the path
		e := indexEntry{oid: data[stat:][:sha1.Size], mode: indexMode(number(data[24:]))}
		if e.mode == "" || flags&indexConflict != 0 || length == indexLength || len(data) < size ||
			more != 0 && version == 2 || more&^(indexIntended|indexSkip) != 0 {
			return nil, errOddIndex
		}
		path, zeros := data[at:at+length], data[at+length:size]
		if bytes.Compare(last, path) >= 0 || path[0] == '/' || path[length-1] == '/' || bytes.Contains(path, []byte("//")) ||
			bytes.IndexByte(path, 0) >= 0 || len(bytes.Trim(zeros, "\x00")) > 0 {
			return nil, errOddIndex
		}
		if e.path = path; more&indexIntended == 0 {
			x.entries = append(x.entries, e)
		}
		last, data = path, data[size:]
	}
	for len(data) > 0 { // extensions: a name, how long it is, and that
		if len(data) < 8 || uint64(number(data[4:])) > uint64(len(data)-8) {
			return nil, errOddIndex
		}
		name, body := string(data[:4]), data[8:][:number(data[4:])]
		data = data[8+len(body):]
		switch {
		case name == "TREE" && len(x.trees) == 0 && len(body) > 0 && body[0] == 0:
			if rest, ok := x.note("", body[1:]); !ok || len(rest) > 0 {
				return nil, errOddIndex
			}
		case name == "TREE" || name[0] < 'A' || name[0] > 'Z':
			return nil, errOddIndex // to be understood by whoever reads on
		}
	}
	return x, nil
}

func indexMode(m uint32) string {
	switch m {
	case 0o100644:
		return modeBlob
	case 0o100755:
		return "100755"
	case 0o120000:
		return "120000"
	case 0o160000:
		return "160000"
	}
	return ""
}

// note reads what git has noted of a directory: how many files are below it, of how many
// directories in it there is a note as well, and the tree. The number of files is negative and no
// tree follows where something was staged since.
func (x *index) note(dir string, data []byte) (rest []byte, ok bool) {
	line, data, ok := bytes.Cut(data, []byte("\n"))
	files, dirs, two := strings.Cut(string(line), " ")
	n, ferr := strconv.Atoi(files)
	sub, derr := strconv.Atoi(dirs)
	if !ok || !two || ferr != nil || derr != nil {
		return nil, false
	}
	if n >= 0 {
		if len(data) < sha1.Size || n != len(x.below(dir)) {
			return nil, false
		}
		if n > 0 {
			x.trees[dir] = hex.EncodeToString(data[:sha1.Size])
		}
		data = data[sha1.Size:]
	}
	for range sub {
		name, more, ok := bytes.Cut(data, []byte{0})
		if !ok || bytes.IndexByte(name, '/') >= 0 {
			return nil, false
		}
		if data, ok = x.note(dir+string(name)+"/", more); !ok {
			return nil, false
		}
	}
	return data, true
}

// below returns all that is below a directory, "" or a path with a closing slash.
func (x *index) below(dir string) []indexEntry {
	if dir == "" {
		return x.entries
	}
	from := func(path string) int {
		return sort.Search(len(x.entries), func(i int) bool { return string(x.entries[i].path) >= path })
	}
	return x.entries[from(dir):from(dir[:len(dir)-1]+"0")] // which comes after the slash
}

// list returns what is in a directory. Of a directory in it, of which git has noted no
// tree, the tree is not known.
func (x *index) list(dir string) []treeEntry {
	var list []treeEntry
	for _, e := range x.below(dir) {
		name, _, deeper := strings.Cut(string(e.path[len(dir):]), "/")
		switch {
		case !deeper:
			list = append(list, treeEntry{name: name, oid: hex.EncodeToString(e.oid), mode: e.mode})
		case len(list) == 0 || list[len(list)-1].key() != name+"/":
			list = append(list, treeEntry{name: name, oid: x.trees[dir+name+"/"], mode: modeTree, dir: true})
		}
	}
	return list
}
