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
	Key       string `json:"key,omitempty"` // public half of the clone's; "" in a log that began before there were any
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

// outdated tells damage from a log that was truncated while it was read.
func (sn *Snapshot) outdated(err error) error {
	if KindOf(err) != Damaged {
		return err
	}
	known, rerr := sn.store.repo.readTips()
	for replica, t := range sn.logs {
		if k := known[replica]; rerr == nil && k != nil && k.Header.Base.Epoch > t.Header.Base.Epoch {
			return errf(Locked, "the log %s was truncated while it was read; nothing is wrong, do it again", replica)
		}
	}
	return err
}

// ListLog is List for one log.
func (sn *Snapshot) ListLog(ctx context.Context, replica, prefix string, want func(dir string) bool) ([]File, error) {
	if sn.logs[replica] == nil {
		return nil, nil
	}
	files, err := sn.list(ctx, replica, prefix, want)
	slices.SortStableFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files, err
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

func (sn *Snapshot) list(ctx context.Context, replica, prefix string, want func(string) bool) (files []File, err error) {
	defer func() { err = sn.outdated(err) }()
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
	return sn.outdated(sn.store.objects.each(oids, func(i int, ob object) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if ob.kind != "blob" {
			return errf(Damaged, "%s is a %s, a file was expected", files[i].Path, ob.kind)
		}
		f := files[i]
		f.Data = ob.data
		return fn(f)
	}))
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
			return File{}, false, sn.outdated(err)
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
	files, lost, err := sn.addedTo(ctx, old, false)
	if err != nil || len(lost) > 0 {
		return nil, false, err
	}
	return files, true, nil
}

// News is what came to the logs after a version.
type News struct {
	// Files are the names of the files, in order of path. What stands in several logs
	// is here once, and not at all if one of them held it before.
	Files []File
	// Lost are the logs that do not lead on from the version: they were set back, or truncated
	// long ago. What came to them cannot be told, and nothing of theirs is in Files.
	Lost []string
	// Passed are the logs whose commits of the version are gone since they were truncated.
	// What came to them is told by the numbers of their records, and not in Files.
	Passed map[string]Passed
	// From is the version that was asked about, but with the lost logs where they are
	// now: from there all logs lead on.
	From Version
	// Next is what to ask about next. In it a log that is gone has the place that it had,
	// for it may come back, as after the next fetch.
	Next Version
}

// Since returns what came after base, log by log: one that is gone or was set back does
// not hide what came to the others. A log that base does not name is new as a whole.
func (sn *Snapshot) Since(ctx context.Context, base Version) (n News, err error) {
	old, ok := base.logs()
	if !ok {
		return n, errf(Damaged, "%q does not say what logs held", base)
	}
	files, lost, err := sn.addedTo(ctx, old, true)
	if err != nil {
		return n, err
	}
	broken := lost // of which nothing can be told by their trees
	if len(lost) > 0 {
		broken = slices.Clone(lost)
		passed := sn.store.readPassed()
		lost = slices.DeleteFunc(lost, func(replica string) bool {
			p, ok := passed[replica][old[replica]]
			if ok && n.Passed == nil {
				n.Passed = map[string]Passed{}
			}
			if ok {
				n.Passed[replica] = p
			}
			return ok
		})
	}
	from, next := map[string]*tip{}, maps.Clone(sn.logs)
	for replica, oid := range old {
		from[replica] = &tip{OID: oid}
		if next[replica] == nil {
			next[replica] = from[replica]
		}
	}
	for _, replica := range lost {
		from[replica] = sn.logs[replica]
	}
	n.Lost, n.From, n.Next = lost, makeVersion(from), makeVersion(next)
	n.Files, err = sn.once(ctx, files, old, broken)
	return n, err
}

// addedTo returns what came to each log after the tips in old, and the logs that do
// not lead on from there. With cut, one that was truncated since does.
func (sn *Snapshot) addedTo(ctx context.Context, old map[string]OID, cut bool) (files []File, lost []string, err error) {
	for _, replica := range sn.Replicas() {
		was, known := old[replica]
		var got []File
		var err error
		switch {
		case !known:
			got, err = sn.list(ctx, replica, "", nil)
		case was != sn.logs[replica].OID:
			got, err = sn.added(ctx, replica, was, false)
			if cut && errors.Is(err, errGone) && sn.store.earlier(was, sn.logs[replica]) {
				got, err = sn.added(ctx, replica, was, true)
			}
		}
		// While its old objects go, some of them may be there still.
		cutNow := cut && sn.logs[replica].Header.Base.Epoch > 0
		if known && (errors.Is(err, errGone) || KindOf(err) == Damaged && (cutNow || sn.store.gone(was))) {
			lost = append(lost, replica)
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		files = append(files, got...)
	}
	slices.SortStableFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	return files, lost, nil
}

// fileAt is what makes two files of logs the same one.
type fileAt struct {
	path string
	oid  OID
}

// once drops from files, which came after the tips in old, what is among them twice and
// what another log held by then: a log may be a copy of another.
func (sn *Snapshot) once(ctx context.Context, files []File, old map[string]OID, lost []string) ([]File, error) {
	drop := map[fileAt]bool{}
	var whole []dirAt // of the logs that are as they were
	for replica, was := range old {
		if !slices.ContainsFunc(files, func(f File) bool { return f.Replica != replica }) {
			continue // of its own files it held none
		}
		now := sn.logs[replica]
		if now != nil && now.OID == was {
			for name, oid := range now.Tree {
				whole = append(whole, dirAt{name + "/", oid})
			}
			continue
		}
		data, err := sn.store.objects.one(was, "commit")
		if err == nil {
			err = sn.held(ctx, []dirAt{{"", parseCommit(data).tree}}, files, drop)
		}
		if KindOf(err) == Damaged && (now == nil || slices.Contains(lost, replica)) {
			continue // git may have thrown it away
		}
		if err != nil {
			return nil, err
		}
	}
	if err := sn.held(ctx, whole, files, drop); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(files, func(f File) bool {
		at := fileAt{f.Path, f.OID}
		again := drop[at]
		drop[at] = true
		return again
	}), nil
}

// held puts into found which of files are below the directories.
func (sn *Snapshot) held(ctx context.Context, level []dirAt, files []File, found map[fileAt]bool) error {
	want, way := map[fileAt]bool{}, map[string]bool{"": true}
	for _, f := range files {
		want[fileAt{f.Path, f.OID}] = true
		for dir := range parents(f.Path) {
			way[dir+"/"] = true
		}
	}
	seen := map[dirAt]bool{} // logs that are copies share trees
	for len(level) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		now, oids := level[:0:0], []OID(nil)
		for _, d := range level {
			if way[d.path] && !seen[d] {
				seen[d] = true
				now, oids = append(now, d), append(oids, d.oid)
			}
		}
		level = nil
		err := sn.store.objects.each(oids, func(i int, ob object) error {
			if ob.kind != "tree" {
				return nil // a file where others have a directory
			}
			list, err := parseTree(ob.oid, ob.data)
			for _, e := range list {
				path := now[i].path + e.name
				if at := (fileAt{path, e.oid}); want[at] {
					found[at] = true
				}
				if e.dir {
					level = append(level, dirAt{path + "/", e.oid})
				}
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// gone reports whether a commit is missing or broken.
func (s *Store) gone(oid OID) bool {
	_, err := s.objects.one(oid, "commit")
	return KindOf(err) == Damaged
}

// added compares the trees of one log level by level. With cut, what is gone from it since
// is passed over.
func (sn *Snapshot) added(ctx context.Context, replica string, was OID, cut bool) ([]File, error) {
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
				case cut && e.name == headerFile && p.path == "":
				case known && o.dir != e.dir, known && !e.dir:
					return nil, errGone
				case e.dir:
					next = append(next, pair{p.path + e.name + "/", o.oid, e.oid})
				default:
					files = append(files, File{Replica: replica, Path: p.path + e.name, OID: e.oid})
				}
			}
			if len(had) > 0 && !cut {
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
