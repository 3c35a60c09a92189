package gitstore

import (
	"cmp"
	"context"
	"maps"
	"strings"
)

// fork takes a new identity where the hub shows this clone's log at a commit that neither
// leads to ours nor follows it, nor is it ours before it was truncated: the directory of this
// clone was copied, and both have written since. What this one wrote since goes to a log of
// its own; the old one is the other's. Where the two have nothing in common the hub's was made
// by somebody else, and is not believed: "" is returned, and the next push puts it right. The
// caller holds the lock.
func (s *Store) fork(ctx context.Context, there OID) (string, error) {
	v, err := s.look(ctx)
	if err != nil {
		return "", err
	}
	sn := v.sn
	own := sn.logs[sn.own]
	theirs, err := s.load(there)
	if err != nil {
		return "", err
	}
	is, files, err := s.ownStands(ctx, sn, theirs)
	if err != nil || is != isForked {
		return "", err
	}
	_, trailers, err := s.newest(own.OID)
	if err != nil {
		return "", err
	}
	tx := &Tx{base: sn, replica: NewID(s.opt.Rand), paths: map[string]bool{}}
	if err := sn.Read(ctx, files, func(f File) error {
		if f.Path == headerFile {
			return nil
		}
		return tx.Create(f.Path, f.Data)
	}); err != nil {
		return "", err
	}
	info := CommitInfo{Subject: "take a new identity: a copy of this clone has the log " + sn.own, Author: "git-agentmail"}
	info.Trailers = numberedTrailers(trailers)
	s.ownKey(own.Header.Key) // what an earlier one of these left half done
	if tx.public, err = s.makeKey(keyNext, tx.replica); err == nil {
		err = syncDir(s.repo.dir())
	}
	if err != nil {
		return "", err
	}
	t, err := s.write(ctx, tx, s.skipCI(ctx, info))
	if err != nil {
		return "", err
	}
	// Whoever is killed here does it all again, under another identity yet: the same files are
	// in two logs then, which is no harm. Later on the next exchange does the rest.
	if err := s.saveReplica(tx.replica); err != nil {
		return "", s.repo.writeError("save this clone's identity", err)
	}
	s.settleKey()
	if theirs.Header.Base.Epoch > own.Header.Base.Epoch {
		if err := s.stepping(map[string]step{sn.own: {own, theirs}}); err != nil {
			return "", err
		}
	}
	if err := s.leave(ctx, sn.own, there); err != nil {
		return "", err
	}
	after := &Snapshot{store: s, own: tx.replica, logs: maps.Clone(sn.logs)}
	if after.logs[sn.own], err = s.load(there); err != nil {
		return "", err
	}
	after.logs[tx.replica] = t
	s.opt.AfterCommit(sn, after, tx.created)
	return tx.replica, nil
}

// What becomes of a log that does not lead on from what this clone has of it.
const (
	refused = iota
	taken   // instead of what this clone has; of the own log: this clone takes another identity
	passed  // it is not wanted any more, and nobody's fault
)

// judge looks at a log that others show, and that does not lead on from what this clone has of it.
// Either somebody has tampered with it, or a clone was copied and two have written to it. Then
// one of them goes by another identity once they have met, what it wrote is in the log of that
// too, and the old log is the other's. But they may have met through another remote, and this
// clone may have heard first of what is the other's no more. So a log is taken that lacks
// nothing but what other logs hold. Where that is so of either, for both go by others
// now, it is no matter which one is taken, as long as all take the same. sn has what
// came in this exchange as well.
func (s *Store) judge(ctx context.Context, sn *Snapshot, there *tip) (int, error) {
	replica := there.Header.Replica
	have, err := sn.list(ctx, replica, "", nil)
	if err != nil {
		return refused, err
	}
	theirs, err := (&Snapshot{store: s, logs: map[string]*tip{replica: there}}).list(ctx, replica, "", nil)
	if err != nil {
		return refused, err
	}
	lost, news := without(have, theirs), without(theirs, have)
	lostHeld, err := sn.heldElsewhere(ctx, replica, lost)
	if err != nil {
		return refused, err
	}
	newsHeld, err := sn.heldElsewhere(ctx, replica, news)
	later := cmp.Or(cmp.Compare(len(theirs), len(have)), strings.Compare(there.OID, sn.logs[replica].OID)) > 0
	switch {
	case err != nil:
		return refused, err
	case replica == sn.own && (len(news) == 0 || !newsHeld):
		return taken, nil
	case replica == sn.own:
		return passed, nil
	case len(news) == 0 && (len(lost) == 0 || !lostHeld):
		return refused, nil
	case lostHeld && (!newsHeld || later):
		return taken, nil
	case newsHeld:
		return passed, nil
	}
	return refused, nil
}

// without returns those of files that are not among others, the header apart.
func without(files, others []File) (rest []File) {
	there := map[fileAt]bool{}
	for _, f := range others {
		there[fileAt{f.Path, f.OID}] = true
	}
	for _, f := range files {
		if f.Path != headerFile && !there[fileAt{f.Path, f.OID}] {
			rest = append(rest, f)
		}
	}
	return rest
}

// heldElsewhere reports whether files of a log are all in other logs too.
func (sn *Snapshot) heldElsewhere(ctx context.Context, replica string, files []File) (bool, error) {
	var roots []dirAt
	for other, t := range sn.logs {
		for name, oid := range t.Tree {
			if other != replica && name != headerFile {
				roots = append(roots, dirAt{name + "/", oid})
			}
		}
	}
	found := map[fileAt]bool{}
	if err := sn.held(ctx, roots, files, found); err != nil {
		return false, err
	}
	for _, f := range files {
		if !found[fileAt{f.Path, f.OID}] {
			return false, nil
		}
	}
	return true, nil
}

// leave moves a log that this clone left to where others have it. The ref goes first: until
// that is remembered too, it counts as set back. The caller holds the lock.
func (s *Store) leave(ctx context.Context, replica string, there OID) error {
	v, err := s.look(ctx)
	if err != nil {
		return err
	}
	theirs, err := s.load(there)
	if err != nil {
		return err
	}
	now := v.sn.logs[replica].OID
	if at, set := v.back[replica]; set {
		now = at
	}
	if now != there {
		if err := s.moveRef(ctx, replica, there, now, "left", s.opt.LockWait); err != nil {
			return err
		}
	}
	v.sn.logs[replica] = theirs
	if err := s.remember(v.sn); err != nil {
		return s.repo.writeError("write down the tips of the logs", err)
	}
	return nil
}
