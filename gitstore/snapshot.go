package gitstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// FormatVersion is the format of the logs this package writes, and the newest
// it reads.
const FormatVersion = 1

const headerFile = "agentmail.json"

// Header is agentmail.json at the root of a log: who wrote it and in which
// format. It is the one file that a truncation by the log's owner rewrites.
type Header struct {
	Format    int    `json:"format"`
	Replica   string `json:"replica"`
	Created   string `json:"created"`
	Ephemeral bool   `json:"ephemeral,omitempty"` // a CI clone; retires after a day
	Base      Base   `json:"base"`
}

// Base says where a log begins after truncations by its owner: events with a
// seq up to Upto are gone on purpose.
type Base struct {
	Epoch int   `json:"epoch"`
	Upto  int64 `json:"upto"`
}

// Version names the contents of a snapshot: the tip of every log.
type Version string

func makeVersion(logs map[string]*tip) Version {
	var b strings.Builder
	for i, replica := range slices.Sorted(maps.Keys(logs)) {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%s=%s", replica, logs[replica].OID)
	}
	return Version(b.String())
}

// logs returns the tips that v names; ok is false if it is no version of ours.
func (v Version) logs() (tips map[string]OID, ok bool) {
	tips = map[string]OID{}
	for f := range strings.FieldsSeq(string(v)) {
		replica, oid, _ := strings.Cut(f, "=")
		if !isReplica(replica) || !isOID(oid) {
			return nil, false
		}
		tips[replica] = oid
	}
	return tips, true
}

// File is one file of a log. Data is nil where only names were asked for.
type File struct {
	Replica string // whose log it is in
	Path    string
	OID     OID
	Data    []byte
}

// Snapshot is the contents of all logs at one moment. It takes no lock, sees no
// later write, and is safe for use by several goroutines.
type Snapshot struct {
	store *Store
	own   string // this clone's replica, "" before its first write
	logs  map[string]*tip
}

// Version returns the name of what this snapshot holds; "" is an empty store.
func (sn *Snapshot) Version() Version { return makeVersion(sn.logs) }

// Own returns this clone's replica id, or "" before its first write.
func (sn *Snapshot) Own() string { return sn.own }

// Replicas returns the ids of all logs in order.
func (sn *Snapshot) Replicas() []string { return slices.Sorted(maps.Keys(sn.logs)) }

// Header returns the header of one log.
func (sn *Snapshot) Header(replica string) Header {
	if t := sn.logs[replica]; t != nil {
		return t.Header
	}
	return Header{}
}

// Stamp names the contents of the given top directories in all logs: while it
// stays the same, nothing in them has changed. Caches are kept by it.
func (sn *Snapshot) Stamp(dirs ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "own=%s", sn.own)
	for _, replica := range sn.Replicas() {
		for _, dir := range dirs {
			if oid := sn.logs[replica].Tree[dir]; oid != "" {
				fmt.Fprintf(&b, " %s/%s=%s", replica, dir, oid)
			}
		}
	}
	return b.String()
}

// load reads what a tip says about itself: top directories and header.
func (s *Store) load(oid OID) (*tip, error) {
	data, err := s.objects.one(oid, "commit")
	if err != nil {
		return nil, err
	}
	return s.loadTree(oid, parseCommit(data).tree)
}

func (s *Store) loadTree(oid, tree OID) (*tip, error) {
	list, err := s.tree(tree)
	if err != nil {
		return nil, err
	}
	t := &tip{OID: oid, Tree: make(map[string]OID, len(list))}
	for _, e := range list {
		t.Tree[e.name] = e.oid
	}
	head, ok := t.Tree[headerFile]
	if !ok {
		return nil, errf(Damaged, "log %s has no %s", oid, headerFile)
	}
	data, err := s.objects.one(head, "blob")
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &t.Header); err != nil {
		return nil, errf(Damaged, "%s of log %s does not decode: %w", headerFile, oid, err)
	}
	return t, nil
}

func (s *Store) tree(oid OID) ([]treeEntry, error) {
	data, err := s.objects.one(oid, "tree")
	if err != nil {
		return nil, err
	}
	return parseTree(oid, data)
}

// List returns the names of all files below prefix ("" for all, else a
// directory with its closing slash) in all logs, in order of path. want prunes
// directories: it is given a directory's path with closing slash and says
// whether to enter it; nil enters all.
func (sn *Snapshot) List(ctx context.Context, prefix string, want func(dir string) bool) ([]File, error) {
	var files []File
	for _, replica := range sn.Replicas() {
		got, err := sn.list(ctx, replica, prefix, want)
		if err != nil {
			return nil, err
		}
		files = append(files, got...)
	}
	slices.SortStableFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files, nil
}

type dirAt struct {
	path string
	oid  OID
}

func (sn *Snapshot) list(ctx context.Context, replica, prefix string, want func(string) bool) ([]File, error) {
	var files []File
	var level []dirAt
	keep := func(path string, e treeEntry) {
		switch {
		case !e.dir:
			if strings.HasPrefix(path, prefix) {
				files = append(files, File{Replica: replica, Path: path, OID: e.oid})
			}
		case strings.HasPrefix(path+"/", prefix) && (want == nil || want(path+"/")),
			strings.HasPrefix(prefix, path+"/"):
			level = append(level, dirAt{path + "/", e.oid})
		}
	}
	for name, oid := range sn.logs[replica].Tree {
		keep(name, treeEntry{name: name, oid: oid, dir: name != headerFile})
	}
	for len(level) > 0 { // one round trip for each level of directories
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		now := level
		level = nil
		oids := make([]OID, len(now))
		for i, d := range now {
			oids[i] = d.oid
		}
		err := sn.store.objects.each(oids, func(i int, ob object) error {
			if ob.kind != "tree" {
				if ob.kind == "blob" && len(now[i].path) > 0 { // a file at the root that is not the header
					files = append(files, File{Replica: replica, Path: strings.TrimSuffix(now[i].path, "/"), OID: ob.oid})
					return nil
				}
				return errf(Damaged, "object %s is a %s, a tree was expected", ob.oid, ob.kind)
			}
			list, err := parseTree(ob.oid, ob.data)
			if err != nil {
				return err
			}
			for _, e := range list {
				keep(now[i].path+e.name, e)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// Read calls fn with the contents of each of files, in their order.
func (sn *Snapshot) Read(ctx context.Context, files []File, fn func(File) error) error {
	oids := make([]OID, len(files))
	for i, f := range files {
		oids[i] = f.OID
	}
	return sn.store.objects.each(oids, func(i int, ob object) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if ob.kind != "blob" {
			return errf(Damaged, "%s is a %s, a file was expected", files[i].Path, ob.kind)
		}
		f := files[i]
		f.Data = ob.data
		return fn(f)
	})
}

// Get returns one file of one log by its path; ok is false if it is not there.
func (sn *Snapshot) Get(ctx context.Context, replica, path string) (f File, ok bool, err error) {
	t := sn.logs[replica]
	if t == nil {
		return File{}, false, nil
	}
	top, rest, nested := strings.Cut(path, "/")
	oid, ok := t.Tree[top]
	for ok {
		ob, err := sn.store.objects.any(oid)
		if err != nil {
			return File{}, false, err
		}
		if !nested {
			return File{Replica: replica, Path: path, OID: oid, Data: ob.data}, ob.kind == "blob", nil
		}
		if ob.kind != "tree" {
			break
		}
		list, err := parseTree(oid, ob.data)
		if err != nil {
			return File{}, false, err
		}
		var name string
		name, rest, nested = strings.Cut(rest, "/")
		i := slices.IndexFunc(list, func(e treeEntry) bool { return e.name == name && e.dir == nested })
		if ok = i >= 0; ok {
			oid = list[i].oid
		}
	}
	return File{}, false, nil
}

// Walk calls fn with every file below prefix, contents included.
func (sn *Snapshot) Walk(ctx context.Context, prefix string, fn func(File) error) error {
	files, err := sn.List(ctx, prefix, nil)
	if err != nil {
		return err
	}
	return sn.Read(ctx, files, fn)
}

// errGone means that something of the base is not there any more.
var errGone = errors.New("gitstore: a file of the base is gone or changed")

// Added returns the names of the files that came after base, comparing trees
// and entering only those that differ. ok is false when base does not lead
// here, because a log was truncated, set back or removed: start over.
func (sn *Snapshot) Added(ctx context.Context, base Version) (files []File, ok bool, err error) {
	old, ok := base.logs()
	if !ok {
		return nil, false, nil
	}
	for replica := range old {
		if sn.logs[replica] == nil {
			return nil, false, nil
		}
	}
	for _, replica := range sn.Replicas() {
		was, known := old[replica]
		if !known {
			got, err := sn.list(ctx, replica, "", nil)
			if err != nil {
				return nil, false, err
			}
			files = append(files, got...)
			continue
		}
		if was == sn.logs[replica].OID {
			continue
		}
		got, err := sn.added(ctx, replica, was)
		if errors.Is(err, errGone) || KindOf(err) == Damaged && sn.store.gone(was) {
			return nil, false, nil
		}
		if err != nil {
			return nil, false, err
		}
		files = append(files, got...)
	}
	slices.SortStableFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files, true, nil
}

// gone reports whether a commit is missing or broken.
func (s *Store) gone(oid OID) bool {
	_, err := s.objects.one(oid, "commit")
	return KindOf(err) == Damaged
}

// added compares the trees of one log level by level.
func (sn *Snapshot) added(ctx context.Context, replica string, was OID) ([]File, error) {
	before, err := sn.store.objects.one(was, "commit")
	if err != nil {
		return nil, err
	}
	after, err := sn.store.objects.one(sn.logs[replica].OID, "commit")
	if err != nil {
		return nil, err
	}
	type pair struct {
		path     string
		old, now OID // old is "" for a directory that is new
	}
	var files []File
	level := []pair{{"", parseCommit(before).tree, parseCommit(after).tree}}
	for len(level) > 0 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var oids []OID
		for _, p := range level {
			oids = append(oids, p.now)
			if p.old != "" {
				oids = append(oids, p.old)
			}
		}
		trees := make([][]treeEntry, 0, len(oids))
		err := sn.store.objects.each(oids, func(_ int, ob object) error {
			list, err := parseTree(ob.oid, ob.data)
			trees = append(trees, list)
			return err
		})
		if err != nil {
			return nil, err
		}
		var next []pair
		for _, p := range level {
			list := trees[0]
			trees = trees[1:]
			had := map[string]treeEntry{}
			if p.old != "" {
				for _, e := range trees[0] {
					had[e.name] = e
				}
				trees = trees[1:]
			}
			for _, e := range list {
				o, known := had[e.name]
				delete(had, e.name)
				switch {
				case known && o.oid == e.oid:
				case known && o.dir != e.dir, known && !e.dir:
					return nil, errGone
				case e.dir:
					next = append(next, pair{p.path + e.name + "/", o.oid, e.oid})
				default:
					files = append(files, File{Replica: replica, Path: p.path + e.name, OID: e.oid})
				}
			}
			if len(had) > 0 {
				return nil, errGone
			}
		}
		level = next
	}
	return files, nil
}

// WalkSince calls fn with every file added after base, contents included. ok is
// false, and nothing was visited, when base does not lead here: start over.
func (sn *Snapshot) WalkSince(ctx context.Context, base Version, fn func(File) error) (ok bool, err error) {
	files, ok, err := sn.Added(ctx, base)
	if err != nil || !ok {
		return ok, err
	}
	return true, sn.Read(ctx, files, fn)
}
