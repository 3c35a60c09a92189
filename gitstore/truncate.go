package gitstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// Cut says what an owner takes out of its own log.
type Cut struct {
	Drop    []string  // paths of files; nothing is no truncation
	Upto    int64     // the greatest number of a record among them
	Before  time.Time // what is not older goes for other reasons than its age
	Subject string    // of the commit
}

// SeqTrailer is the trailer with the greatest number of a record up to a commit.
const SeqTrailer = "Agentmail-Seq"

// cutTrailer, in the first commit of a log that was truncated, says up to when, and at which
// commit it ended before. A copy of this clone's directory, which still has that, is told by it.
const cutTrailer = "Truncated"

// Truncate writes this clone's log anew without the files that choose names: as one commit
// without a parent, whose tree is the old one without them, in the next epoch. What stays
// has the place and the bytes that it had. choose is given what there is then, and may be
// called more than once. The returned header is of the log as it is afterwards; done is false
// where nothing was to go.
//
// The bytes leave the object database when no remote's image shows the old log any more:
// waiting names those that do, whose next exchange ends that. What an earlier truncation has
// left goes too.
func (s *Store) Truncate(ctx context.Context, choose func(*Snapshot) (Cut, error)) (h Header, done bool, waiting []string, err error) {
	h, done, err = s.truncateLocked(ctx, choose)
	if err != nil {
		return h, done, nil, err
	}
	if waiting, err = s.Shed(ctx); err != nil { // the next one does it
		s.opt.Report("could not remove what a truncation has left: " + err.Error())
	}
	return h, done, waiting, nil
}

func (s *Store) truncateLocked(ctx context.Context, choose func(*Snapshot) (Cut, error)) (h Header, done bool, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	l, err := s.acquire(ctx, s.opt.LockWait, true)
	if err != nil {
		return h, false, err
	}
	defer l.release()
	limit, stop := context.WithTimeout(ctx, s.opt.LockWait)
	defer stop()
	for {
		v, err := s.look(ctx)
		if err == nil {
			err = s.restore(ctx, v.sn, v.back, s.opt.LockWait)
		}
		if err != nil {
			return h, false, err
		}
		if v.sn.logs[v.sn.own] == nil {
			return h, false, nil
		}
		cut, err := choose(v.sn)
		if err != nil || len(cut.Drop) == 0 {
			return v.sn.logs[v.sn.own].Header, false, err
		}
		t, err := s.truncate(ctx, v.sn, cut)
		switch {
		case err == nil:
			return t.Header, true, nil
		case !errors.Is(err, errLost):
			return h, false, err
		case limit.Err() != nil:
			return h, false, errf(Locked, "other programs keep moving %s; gave up after %s, nothing was truncated", logRef(v.sn.own), s.opt.LockWait)
		}
	}
}

func (s *Store) truncate(ctx context.Context, sn *Snapshot, cut Cut) (*tip, error) {
	own := sn.logs[sn.own]
	tree, trailers, err := s.newest(own.OID)
	if err != nil {
		return nil, err
	}
	n := &newObjects{replaced: []OID{own.OID, tree}}
	list, err := s.cutTree(n, tree, cut.Drop)
	if err != nil {
		return nil, err
	}
	blob, header, err := s.nextEpoch(own, cut.Upto)
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(e treeEntry) bool { return e.name == headerFile })
	list = append(list, treeEntry{name: headerFile, oid: n.add(plumbing.BlobObject, blob), mode: modeBlob})
	t := &tip{Tree: make(map[string]OID, len(list)), Header: header}
	for _, e := range list {
		t.Tree[e.name] = e.oid
	}
	info := CommitInfo{Subject: cut.Subject, Author: "git-agentmail", Trailers: numberedTrailers(trailers)}
	was, err := s.root(ctx, own.OID)
	if err != nil {
		return nil, err
	}
	before, _ := cutOf(was)
	if cut.Before.After(before) {
		before = cut.Before
	}
	info.Trailers = append(info.Trailers, [2]string{cutTrailer, before.UTC().Format(time.RFC3339) + " " + own.OID})
	t.OID = n.add(plumbing.CommitObject, s.encodeCommit(ctx, n.add(plumbing.TreeObject, encodeTree(list)), zeroOID, []CommitInfo{info}))

	pack, err := s.writePack(n)
	if err != nil {
		return nil, err
	}
	// What is to be done behind it is noted first: whoever is killed has it done by the next.
	if err := s.stepping(map[string]step{sn.own: {own, t}}); err != nil {
		return nil, err
	}
	if err := s.moveRef(ctx, sn.own, t.OID, own.OID, "truncated", s.opt.LockWait); err != nil {
		return nil, err
	}
	after := &Snapshot{store: s, own: sn.own, logs: maps.Clone(sn.logs)}
	after.logs[sn.own] = t
	if err := s.remember(after); err != nil {
		s.opt.Report("could not write down the tips of the logs: " + err.Error())
	}
	s.keepRecent(n, pack)
	return t, nil
}

// cutTree returns a tree without some files, by their paths in it; the new trees below it
// are added to n. A directory that nothing is left of is gone.
func (s *Store) cutTree(n *newObjects, oid OID, drop []string) ([]treeEntry, error) {
	list, err := s.tree(oid)
	if err != nil {
		return nil, err
	}
	files, below := map[string]bool{}, map[string][]string{}
	for _, name := range drop {
		if dir, rest, nested := strings.Cut(name, "/"); nested {
			below[dir] = append(below[dir], rest)
		} else {
			files[name] = true
		}
	}
	var kept []treeEntry
	for _, e := range list {
		switch {
		case e.dir && below[e.name] != nil:
			sub, err := s.cutTree(n, e.oid, below[e.name])
			if err != nil {
				return nil, err
			}
			if len(sub) == 0 {
				continue
			}
			n.replaced = append(n.replaced, e.oid)
			e.oid = n.add(plumbing.TreeObject, encodeTree(sub))
		case !e.dir && files[e.name]:
			continue
		}
		kept = append(kept, e)
	}
	return kept, nil
}

// nextEpoch returns the header of a log after a truncation. What a newer version has put
// into it stays.
func (s *Store) nextEpoch(own *tip, upto int64) ([]byte, Header, error) {
	data, err := s.objects.one(own.Tree[headerFile], "blob")
	if err != nil {
		return nil, Header{}, err
	}
	var h Header
	all := map[string]json.RawMessage{}
	if err := errors.Join(json.Unmarshal(data, &h), json.Unmarshal(data, &all)); err != nil {
		return nil, h, errf(Damaged, "%s of log %s does not decode: %w", headerFile, own.OID, err)
	}
	h.Base.Epoch++
	h.Base.Upto = max(h.Base.Upto, upto)
	if h, err = s.keyed(h); err != nil {
		return nil, h, err
	}
	known, err := json.Marshal(h)
	if err != nil {
		return nil, h, err
	}
	mine := map[string]json.RawMessage{}
	if err := json.Unmarshal(known, &mine); err != nil {
		return nil, h, err
	}
	known = known[:len(known)-1]
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if _, ok := mine[key]; !ok {
			name, _ := json.Marshal(key)
			known = fmt.Appendf(known, ",%s:%s", name, all[key])
		}
	}
	return append(known, "}\n"...), h, nil
}

// root returns the first commit of a log.
func (s *Store) root(ctx context.Context, oid OID) (commit, error) {
	out, err := s.repo.own(ctx, nil, "rev-list", "--max-parents=0", oid)
	if err != nil {
		return commit{}, gitFailure("look for the first commit of a log", err)
	}
	first, _, _ := strings.Cut(string(out), "\n")
	data, err := s.objects.one(first, "commit")
	return parseCommit(data), err
}

// cutOf returns what the first commit of a log says of its truncation.
func cutOf(first commit) (before time.Time, was OID) {
	text, was, _ := strings.Cut(first.trailers()[cutTrailer], " ")
	before, err := time.Parse(time.RFC3339, text)
	if err != nil || !isOID(was) {
		return time.Unix(0, 0).UTC(), ""
	}
	return before, was
}

func seqOf(trailers map[string]string) int64 {
	n, _ := strconv.ParseInt(trailers[SeqTrailer], 10, 64)
	return n
}

// truncated reports whether a log that does not go on from what was accepted of it is what
// its owner made of that: in a later epoch, and not less in number. Anything else is a log
// that was set back, or that somebody else has written.
func (s *Store) truncated(known, now *tip) (bool, error) {
	a, b := known.Header.Base, now.Header.Base
	if now.Header.Replica != known.Header.Replica || b.Epoch <= a.Epoch || b.Upto < a.Upto {
		return false, nil
	}
	_, was, err := s.newest(known.OID)
	if err != nil {
		return false, err
	}
	_, is, err := s.newest(now.OID)
	return seqOf(is) >= seqOf(was), err
}
