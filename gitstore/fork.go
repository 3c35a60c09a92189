package gitstore

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
)

// fork takes a new identity where the hub shows this clone's log at a commit that neither
// leads to ours nor follows it: the directory of this clone was copied, and both have
// written since. What this one wrote since goes to a log of its own; the old one is the
// other's. Where the two have nothing in common the hub's was made by somebody else, and is
// not believed: "" is returned, and the next push puts it right. The caller holds the lock.
func (s *Store) fork(ctx context.Context, there OID) (string, error) {
	v, err := s.look(ctx)
	if err != nil {
		return "", err
	}
	sn := v.sn
	own := sn.logs[sn.own]
	out, err := s.repo.own(ctx, nil, "merge-base", own.OID, there)
	base := strings.TrimSpace(string(out))
	var ge *gitError
	if errors.As(err, &ge) && ge.status == 1 {
		return "", nil
	}
	if err != nil {
		return "", gitFailure("compare this clone's log with the remote's", err)
	}
	files, err := sn.added(ctx, sn.own, base)
	if err != nil {
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
	for _, key := range slices.Sorted(maps.Keys(trailers)) {
		if numbered(key) {
			info.Trailers = append(info.Trailers, [2]string{key, trailers[key]})
		}
	}
	info.Trailers = append(info.Trailers, [2]string{leftTrailer, sn.own + " " + own.OID})
	t, err := s.write(ctx, tx, []CommitInfo{info})
	if err != nil {
		return "", err
	}
	// Whoever is killed here does it all again, under another identity yet: the same files are
	// in two logs then, which is no harm. Later on the next exchange does the rest.
	if err := s.saveReplica(tx.replica); err != nil {
		return "", s.repo.writeError("save this clone's identity", err)
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

// leftTrailer, in the first commit of a log, says whose log its clone wrote before, and up to
// which commit that was its own.
const leftTrailer = "Left"

// leftAt returns at which commit this clone left a log to others, "" if it never wrote it.
func (s *Store) leftAt(ctx context.Context, sn *Snapshot, replica string) (OID, error) {
	own := sn.logs[sn.own]
	if own == nil {
		return "", nil
	}
	out, err := s.repo.own(ctx, nil, "rev-list", "--max-parents=0", own.OID)
	if err != nil {
		return "", gitFailure("look for the first commit of "+logRef(sn.own), err)
	}
	first, _, _ := strings.Cut(string(out), "\n")
	data, err := s.objects.one(first, "commit")
	if err != nil {
		return "", err
	}
	was, oid, _ := strings.Cut(parseCommit(data).trailers()[leftTrailer], " ")
	if was != replica {
		oid = ""
	}
	return oid, nil
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
