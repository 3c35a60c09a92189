package gitstore

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"path/filepath"
	"runtime/debug"
	"sort"
	"strconv"
	"strings"
)

// stagedFiles answers Staged without a git, from the index and from what HEAD has as
// files of their own, as headFiles does. In the index git has noted which tree a
// directory is, for all of them when it is about to commit; where HEAD has the same one
// nothing below it is looked at. What of the others is packed a git is asked for where the index
// is large, which takes it longer to read than that. ok is false for whatever is out of the
// ordinary, and git is asked: conflicts, an index that is split, sparse, compressed or not
// whole, and what headFiles leaves to git.
func (r *Repo) stagedFiles() (list []Changed, ok bool) {
	if !r.plain() {
		return nil, false
	}
	head, ok := r.looseHead()
	if !ok {
		return nil, false
	}
	data, unmap, err := r.mapIndex()
	if err != nil {
		return nil, false
	}
	defer unmap()
	l := loose{dir: r.Objects, left: looseLimit + len(data)/16}
	if len(data) > largeIndex {
		l.packed = &objects{repo: r}
		defer l.packed.close()
	}
	tree, _ := l.commit(head)
	if l.err != nil {
		return nil, false
	}
	whole := unfaulted(func() {
		var x *index
		if x, err = parseIndex(data); err == nil {
			list = l.diff(nil, "", tree, "", func(dir string, _ OID) []treeEntry { return x.list(dir) })
			err = errors.Join(l.err, x.err)
		}
	})
	return list, whole && err == nil
}

// unfaulted runs fn, which reads what is mapped, and reports whether all of it was there: git
// renames an index into place, but what another program cuts short, or a network file
// system loses, is not there any more, and would end the process.
func unfaulted(fn func()) (ok bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			if _, fault := r.(interface{ Addr() uintptr }); !fault {
				panic(r)
			}
		}
	}()
	fn()
	return true
}

// largeIndex is from how many bytes of an index on git takes longer to read it than to
// start, some four thousand files.
const largeIndex = 512 << 10

var errOddIndex = errors.New("gitstore: not an index as git writes most of them")

// mapIndex returns the file of the index of what git is about to commit.
func (r *Repo) mapIndex() (data []byte, unmap func(), err error) {
	name := filepath.Join(r.GitDir, "index")
	for _, kv := range r.given {
		if v, set := strings.CutPrefix(kv, "GIT_INDEX_FILE="); set {
			name = v // the last one counts
		}
	}
	if !filepath.IsAbs(name) {
		if r.Dir != r.TopLevel { // git would first find out where the top is
			return nil, nil, errOddIndex
		}
		name = filepath.Join(r.TopLevel, name)
	}
	return mapped(name)
}

// index is what git's index holds for a commit, gitformat-index(5). It is looked at where
// it lies: a hundred thousand files are ten megabytes, and to copy them takes longer than
// to find what is staged.
type index struct {
	data  []byte
	at    []uint32         // where the entries begin, in order of path, without those that are only intended to be added
	trees map[string]noted // by the path of a directory, with a closing slash, once what it lies in was listed
	err   error            // the first that was found wrong with an entry
}

// Of the flags of an entry, and of its further ones.
const (
	indexLength   = 0x0fff // of the path; all of the bits say that it is longer
	indexConflict = 0x3000
	indexMore     = 0x4000
	indexIntended = 0x2000 // to be added: git add -N
	indexSkip     = 0x4000 // not checked out
)

// noted is what git has noted of a directory.
type noted struct {
	files int    // below it; negative where something was staged since
	oid   []byte // of the tree, unless that is so
	dirs  int    // in it that are noted too
	below []byte // what is noted of them
}

// What an entry begins with, and where in that its mode stands and the object.
const (
	indexHeader = 12
	indexStat   = 40
	indexModeAt = 24
)

// parseIndex is strict: what git itself would not write, git reads in its own way. It
// writes no entry twice, and no empty names. The sum at the end is not looked at, nor does
// git: it would take as long as all the rest.
func parseIndex(file []byte) (*index, error) {
	number := binary.BigEndian.Uint32
	if len(file) < indexHeader+sha1.Size || len(file) > math.MaxInt32 {
		return nil, errOddIndex
	}
	data := file[:len(file)-sha1.Size]
	version, n := number(data[4:]), number(data[8:])
	if string(data[:4]) != "DIRC" || version != 2 && version != 3 || n > uint32(len(data))/indexStat {
		return nil, errOddIndex
	}
	at := indexHeader
	x := &index{data: data, at: make([]uint32, 0, n), trees: map[string]noted{}}
	var last []byte
	for range n {
		path, end, keep, ok := indexEntry(data, at, version)
		if !ok || bytes.Compare(last, path) >= 0 {
			return nil, errOddIndex
		}
		if keep {
			x.at = append(x.at, uint32(at))
		}
		last, at = path, end
	}
	data = data[at:]
	for len(data) > 0 { // extensions: a name, how long it is, and that
		if len(data) < 8 || uint64(number(data[4:])) > uint64(len(data)-8) {
			return nil, errOddIndex
		}
		name, body := string(data[:4]), data[8:][:number(data[4:])]
		data = data[8+len(body):]
		switch {
		case name == "TREE" && len(x.trees) == 0 && len(body) > 0 && body[0] == 0:
			t, rest, ok := readNote(body[1:])
			if !ok || len(rest) > 0 {
				return nil, errOddIndex
			}
			x.trees[""] = t
		case name == "TREE" || name[0] < 'A' || name[0] > 'Z':
			return nil, errOddIndex // to be understood by whoever reads on
		}
	}
	return x, nil
}

// indexEntry returns the path of the entry at a place, where the next one is, and whether
// it is to be committed.
func indexEntry(data []byte, at int, version uint32) (path []byte, end int, keep, ok bool) {
	from := at + indexStat + sha1.Size + 2
	if len(data) < from+2 {
		return nil, 0, false, false
	}
	flags, more := binary.BigEndian.Uint16(data[from-2:]), uint16(0)
	if flags&indexMore != 0 {
		more = binary.BigEndian.Uint16(data[from:])
		from += 2
	}
	length := int(flags & indexLength)
	end = at + (from-at+length+8)&^7 // with one to eight zeros behind the path
	if length == 0 || length == indexLength || flags&indexConflict != 0 || len(data) < end ||
		more != 0 && version == 2 || more&^(indexIntended|indexSkip) != 0 {
		return nil, 0, false, false
	}
	return data[from : from+length], end, more&indexIntended == 0, bytes.IndexByte(data[from:end], 0) == length
}

// path returns the path of the i-th entry.
func (x *index) path(i int) []byte {
	path, _, _, _ := indexEntry(x.data, int(x.at[i]), 3)
	return path
}

// entry returns the i-th entry, under the name that it has in its directory.
func (x *index) entry(i int, name []byte) treeEntry {
	e := x.data[x.at[i]:]
	mode := indexMode(binary.BigEndian.Uint32(e[indexModeAt:]))
	if mode == "" {
		x.odd()
	}
	return treeEntry{name: string(name), oid: hex.EncodeToString(e[indexStat:][:sha1.Size]), mode: mode}
}

func (x *index) odd() {
	if x.err == nil {
		x.err = errOddIndex
	}
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

// readNote reads what git has noted of a directory and of those below it: how many files are
// below it, of how many directories in it there is a note as well, the tree unless the
// number of files is negative, and those notes, each behind a name.
func readNote(data []byte) (t noted, rest []byte, ok bool) {
	files, data, fok := bytes.Cut(data, []byte(" "))
	dirs, data, dok := bytes.Cut(data, []byte("\n"))
	if !fok || !dok {
		return t, nil, false
	}
	var ferr, derr error
	t.files, ferr = strconv.Atoi(string(files))
	t.dirs, derr = strconv.Atoi(string(dirs))
	if ferr != nil || derr != nil || t.files >= 0 && len(data) < sha1.Size {
		return t, nil, false
	}
	if t.files >= 0 {
		t.oid, data = data[:sha1.Size], data[sha1.Size:]
	}
	t.below = data
	for range t.dirs {
		if _, _, data, ok = readName(data); !ok {
			return t, nil, false
		}
	}
	return t, data, true
}

// readName reads a name and the note behind it.
func readName(data []byte) (name []byte, t noted, rest []byte, ok bool) {
	name, data, ok = bytes.Cut(data, []byte{0})
	if !ok || bytes.IndexByte(name, '/') >= 0 {
		return nil, t, nil, false
	}
	t, rest, ok = readNote(data)
	return name, t, rest, ok
}

// below returns which entries are below a directory, "" or a path with a closing slash.
func (x *index) below(dir string) (from, to int) {
	if dir == "" {
		return 0, len(x.at)
	}
	first := func(path string) int {
		return sort.Search(len(x.at), func(i int) bool { return string(x.path(i)) >= path })
	}
	return first(dir), first(dir[:len(dir)-1] + "0") // which comes after the slash
}

// list returns what is in a directory. Of a directory in it, of which git has noted no
// tree, the tree is not known.
func (x *index) list(dir string) (list []treeEntry) {
	left := 0 // of the notes that something lies below
	in := x.trees[dir]
	for range in.dirs {
		var name []byte
		var t noted
		if name, t, in.below, _ = readName(in.below); t.files > 0 {
			x.trees[dir+string(name)+"/"] = t
			left++
		}
	}
	for i, end := x.below(dir); i < end; {
		name, _, deeper := bytes.Cut(x.path(i)[len(dir):], []byte("/"))
		if len(name) == 0 {
			x.odd()
			return nil
		}
		if !deeper {
			list = append(list, x.entry(i, name))
			i++
			continue
		}
		sub := dir + string(name) + "/"
		_, next := x.below(sub)
		e := treeEntry{name: string(name), mode: modeTree, dir: true}
		if t := x.trees[sub]; t.files > 0 {
			if left--; t.files != next-i { // git would pass over as many as are noted, whichever they are
				x.odd()
			}
			e.oid = hex.EncodeToString(t.oid)
		}
		list, i = append(list, e), next
	}
	if left != 0 {
		x.odd()
	}
	return list
}
