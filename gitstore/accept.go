package gitstore

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// stance says how a log that a hub shows stands to what this clone has of it.
type stance int

const (
	isBehind    stance = iota // ours goes on from it, or there is nothing to do about it
	isFurther                 // it goes on from ours, or is new
	isTruncated               // its owner made it of what ours is
	isOlder                   // its owner made of it what ours is, and the hub has not got that
	isForked                  // our own, which a copy of this clone's directory has written to
	isApart                   // written by somebody else, or by two; see judge
)

// verdict is what is thought of a log that a hub shows.
type verdict struct {
	is     stance
	tip    *tip   // there
	to     OID    // where ours may go, "" if it stays
	why    string // it is not believed, or not all of it
	forged bool   // for its signature
}

const rewritten = "it was written anew and does not hold what it held before"

// accept takes over from an image of a hub what this clone believes, and says of the rest why
// not. A clone's own log is nobody else's to write: it goes on only to what this clone
// has signed, or to another identity.
func (s *Store) accept(ctx context.Context, image map[string]imageRef, out *SyncResult) error {
	sn, err := s.Snapshot(ctx)
	if err != nil {
		return err
	}
	trust, err := s.trust(ctx)
	if err != nil {
		return err
	}
	moves := map[string]OID{}
	steps := map[string]step{}
	var fork OID     // of our own log, which somebody else has written to
	var apart []*tip // logs that do not lead on from what this clone has
	var left []*tip  // those of them that this clone takes all the same
	all := &Snapshot{store: s, own: sn.own, logs: maps.Clone(sn.logs)}
	for _, replica := range slices.Sorted(maps.Keys(image)) {
		v, err := s.choose(ctx, trust, sn, replica, image[replica], out)
		if err != nil {
			return err
		}
		if v.to != "" {
			moves[replica] = v.to
		}
		switch {
		case v.why != "":
			out.Refused = append(out.Refused, Refused{replica, v.why})
			out.forged = out.forged || v.forged && replica == sn.own
			continue
		case v.is == isForked, v.is == isApart:
			apart = append(apart, v.tip)
		case v.is == isTruncated, v.is == isOlder:
			steps[replica] = step{sn.logs[replica], v.tip}
		}
		if v.to != "" {
			all.logs[replica] = v.tip
		}
	}
	for _, t := range apart {
		replica := t.Header.Replica
		switch v, err := s.judge(ctx, all, t); {
		case err != nil:
			return err
		case v == refused:
			out.Refused = append(out.Refused, Refused{replica, rewritten})
		case v == taken && replica == sn.own:
			fork = t.OID
		case v == taken:
			left = append(left, t)
		}
	}
	if steps, err = s.unnoted(steps); err != nil || len(moves)+len(left)+len(steps) == 0 && fork == "" {
		return err
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	l, err := s.acquire(ctx, s.opt.LockWait, true)
	if err != nil {
		return err
	}
	defer l.release()
	if err := s.stepping(steps); err != nil {
		return err
	}
	for _, t := range left {
		if err := s.leave(ctx, t.Header.Replica, t.OID); err != nil {
			return err
		}
		out.Fetched = append(out.Fetched, t.Header.Replica)
	}
	if fork != "" {
		if out.Forked, err = s.fork(ctx, fork); err != nil {
			return err
		}
	}
	return s.moveLogs(ctx, sn, moves, out)
}

// choose appraises a log of an image. Where something else passes for it too, the one counts that
// goes on furthest from what this clone knows: somebody may have put a forged one, or an old
// one, to a place that counts before its owner's. The own log is where this clone has put it.
func (s *Store) choose(ctx context.Context, trust Trust, sn *Snapshot, replica string, there imageRef, out *SyncResult) (verdict, error) {
	first, err := s.appraise(ctx, trust, sn, replica, there.oid)
	if err != nil || len(there.others) == 0 || replica == sn.own || first.brings() {
		return first, err
	}
	var further, apart verdict
	nothing := first.why == ""
	for _, other := range there.others {
		if known := sn.logs[replica]; known != nil && !trust.Off && known.Header.Key != "" {
			if data, err := s.objects.one(other.oid, "commit"); err != nil || signerOf(data) != known.Header.Key {
				continue // to look no closer is cheap, whatever there is of it
			}
		}
		v, err := s.appraise(ctx, trust, sn, replica, other.oid)
		switch {
		case err != nil:
			return v, err
		case v.why != "":
		case v.brings():
			if further.tip == nil || s.follows(further.tip.OID, v.tip.OID) {
				further = v
			}
		case v.is == isApart && apart.tip == nil:
			apart = v
		default:
			nothing = true
		}
	}
	v := first
	switch {
	case further.tip != nil:
		v = further
	case apart.tip != nil && first.why != "":
		v = apart
	case nothing && first.why != "":
		v = verdict{}
	}
	if first.why != "" && v.why == "" {
		why, _, _ := strings.Cut(first.why, ";")
		out.Refused = append(out.Refused, Refused{replica, fmt.Sprintf("at %s stands another of that name, and its own is read from elsewhere: %s; look who can push to that remote", there.place(), why)})
	}
	return v, nil
}

// brings reports whether a log is believed and has something that this clone has not got.
func (v verdict) brings() bool {
	return v.why == "" && (v.is == isFurther || v.is == isTruncated)
}

// appraise looks at one log of an image.
func (s *Store) appraise(ctx context.Context, trust Trust, sn *Snapshot, replica string, there OID) (v verdict, err error) {
	known := sn.logs[replica]
	if known != nil {
		if known.OID == there {
			return v, nil
		}
		if behind, err := s.leadsOn(ctx, there, known.OID); err != nil {
			return v, gitFailure("compare the log "+logRef(replica)+" with the remote's", err)
		} else if behind {
			return v, nil
		}
	}
	v.tip, err = s.load(there)
	switch {
	case KindOf(err) == Damaged:
		return verdict{why: err.Error()}, nil
	case err != nil:
		return v, err
	case v.tip.Header.Replica != replica:
		v.why = fmt.Sprintf("it says that it is the log of %q", v.tip.Header.Replica)
		return v, nil
	case v.tip.Header.Format > FormatVersion:
		v.why = fmt.Sprintf("it is in format %d, this version reads up to %d", v.tip.Header.Format, FormatVersion)
		return v, nil
	}
	if v.is, err = s.stands(ctx, sn, replica, v.tip); err != nil || v.is == isOlder {
		return v, err
	}
	own := replica == sn.own
	if v.why, err = s.distrust(trust, replica, v.tip, known, own); err != nil {
		return v, err
	}
	switch v.forged = v.why != ""; {
	case v.forged && known != nil && v.is == isFurther:
		v.to, err = s.believed(trust, replica, known, there, own)
	case v.forged && v.is == isApart && !own:
		v.why = rewritten + ", and " + v.why
	case v.forged:
	case own && v.is == isApart:
		return verdict{}, nil // it has nothing in common with ours, whose next push takes its place
	case v.is == isFurther, v.is == isTruncated:
		v.to = there
	}
	return v, err
}

// stands tells how a log that ours does not go on from stands to it.
func (s *Store) stands(ctx context.Context, sn *Snapshot, replica string, there *tip) (stance, error) {
	known := sn.logs[replica]
	if known == nil {
		return isFurther, nil
	}
	forward, err := s.leadsOn(ctx, known.OID, there.OID)
	switch {
	case err != nil:
		return 0, gitFailure("compare the log "+logRef(replica)+" with the remote's", err)
	case forward:
		return isFurther, nil
	case replica == sn.own:
		is, _, err := s.ownStands(ctx, sn, there)
		return is, err
	}
	if cut, err := s.truncated(known, there); err != nil || cut {
		return isTruncated, err
	}
	if there.Header.Base.Epoch < known.Header.Base.Epoch {
		return isOlder, nil
	}
	return isApart, nil
}

// moveLogs moves logs of others, and our own where a backup was put back, to where they are
// believed. The caller holds the lock.
func (s *Store) moveLogs(ctx context.Context, sn *Snapshot, moves map[string]OID, out *SyncResult) error {
	if len(moves) == 0 {
		return nil
	}
	var orders strings.Builder
	moved := slices.Sorted(maps.Keys(moves))
	for _, replica := range moved {
		old := zeroOID
		if t := sn.logs[replica]; t != nil {
			old = t.OID
		}
		fmt.Fprintf(&orders, "update %s %s %s\n", logRef(replica), moves[replica], old)
	}
	move := func() error {
		_, err := s.repo.own(ctx, []byte(orders.String()), "-c", "core.fsync=reference", "-c", "core.fsyncMethod=fsync", "update-ref", "--stdin")
		return err
	}
	err := move()
	if err != nil {
		again := false
		for _, replica := range moved {
			stale := staleImageLock // for nobody else moves others' logs
			if replica == sn.own {
				stale = staleRefLock
			}
			cleared, _, _ := s.clearRefLockFrom(logRef(replica), stale)
			again = again || cleared
		}
		if again {
			err = move()
		}
	}
	if err != nil {
		return gitFailure("move the logs that were fetched", err)
	}
	out.Fetched = append(out.Fetched, moved...)
	return syncDir(filepath.Join(s.repo.CommonDir, filepath.FromSlash(logPrefix)))
}
