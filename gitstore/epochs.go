package gitstore

import (
	"context"
	"errors"
	"strings"
	"time"
)

// ownStands tells how this clone's own log, as a hub shows it, stands to ours, where neither
// goes on from the other. A log that was truncated begins anew, so that a
// copy of this clone's directory is not told by a commit that both have. What is in one and
// not in the other, and too young to have been taken out, was written by one after the copy.
// What is ours of that is returned if the log is forked.
//
// A copy cannot know of all that is younger and went for another reason, such as redaction: a
// clone that was put back from a backup may take a new identity for that, which loses nothing.
func (s *Store) ownStands(ctx context.Context, sn *Snapshot, there *tip) (stance, []File, error) {
	own := sn.logs[sn.own]
	base, err := s.mergeBase(ctx, own.OID, there.OID)
	if err != nil {
		return 0, nil, err
	}
	if base != "" {
		files, err := sn.added(ctx, sn.own, base, false)
		return isForked, files, err
	}
	here, hub := own.Header.Base.Epoch, there.Header.Base.Epoch
	if there.Header.Created != own.Header.Created || here+hub == 0 {
		return isApart, nil, nil
	}
	if here > hub {
		first, err := s.root(ctx, own.OID)
		if err != nil {
			return 0, nil, err
		}
		before, was := cutOf(first)
		theirs := true // somebody else wrote to it
		if base, err = s.mergeBase(ctx, was, there.OID); err != nil {
			return 0, nil, err
		}
		if base != "" {
			theirs = base != there.OID
		} else {
			more, err := s.since(ctx, there, before, own)
			if err != nil {
				return 0, nil, err
			}
			theirs = len(more) > 0
		}
		if !theirs {
			return isOlder, nil, nil
		}
		files, err := s.since(ctx, own, time.Time{}, there)
		return isForked, files, err
	}
	first, err := s.root(ctx, there.OID)
	if err != nil {
		return 0, nil, err
	}
	before, _ := cutOf(first)
	files, err := s.since(ctx, own, before, there)
	if err != nil {
		return 0, nil, err
	}
	if len(files) == 0 { // this is a backup, or a copy that has written nothing
		if cut, err := s.truncated(own, there); err != nil || cut {
			return isTruncated, nil, err
		}
	}
	return isForked, files, nil
}

// mergeBase returns the newest commit that both go on from, "" if there is none, or one of
// them is not here.
func (s *Store) mergeBase(ctx context.Context, a, b OID) (OID, error) {
	if a == "" || s.gone(a) {
		return "", nil
	}
	out, err := s.repo.own(ctx, nil, "merge-base", a, b)
	var ge *gitError
	if errors.As(err, &ge) && ge.status == 1 {
		return "", nil
	}
	if err != nil {
		return "", gitFailure("compare this clone's log with the remote's", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// since returns the files that came to one log since some time, by the clock of its owner, and
// that another does not hold.
func (s *Store) since(ctx context.Context, log *tip, before time.Time, other *tip) ([]File, error) {
	replica := log.Header.Replica
	sn := &Snapshot{store: s, logs: map[string]*tip{replica: log}}
	files, err := sn.list(ctx, replica, "", nil)
	if err != nil {
		return nil, err
	}
	base := log.OID
	for base != "" {
		data, err := s.objects.one(base, "commit")
		if err != nil {
			return nil, err
		}
		c := parseCommit(data)
		if c.authored().Before(before) {
			if files, err = sn.added(ctx, replica, base, true); err != nil {
				return nil, err
			}
			break
		}
		if base = ""; len(c.parents) > 0 {
			base = c.parents[0]
		}
	}
	sn.logs[replica] = other
	theirs, err := sn.list(ctx, replica, "", nil)
	if err != nil {
		return nil, err
	}
	return without(files, theirs), nil
}

// earlier reports whether a commit is of an earlier epoch of a log than that.
func (s *Store) earlier(oid OID, now *tip) bool {
	if oid == "" || now == nil {
		return false
	}
	t, err := s.load(oid)
	return err == nil && t.Header.Base.Epoch < now.Header.Base.Epoch
}
