package gitstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// shedFile lists logs whose older epochs may have left objects behind, a line for each:
// "<replica> <epoch>". It is written before a log's ref moves to that epoch, and a line goes
// when the objects are gone; so whoever is killed has it done by the next exchange or truncation.
const shedFile = "shed"

// step is that a log in this clone, and the same log in another epoch, were seen.
type step struct{ from, to *tip }

// epoch is the later of the two. What the earlier one held alone goes.
func (st step) epoch() int { return max(st.from.Header.Base.Epoch, st.to.Header.Base.Epoch) }

// unnoted leaves out the steps of which nothing has to be noted any more: a remote may show an
// earlier epoch for ever.
func (s *Store) unnoted(steps map[string]step) (map[string]step, error) {
	if len(steps) == 0 {
		return nil, nil
	}
	due, err := s.readShed()
	if err != nil {
		return nil, s.repo.writeError("look what a truncation left behind", err)
	}
	maps.DeleteFunc(steps, func(replica string, st step) bool {
		return st.from.Header.Base.Epoch >= st.epoch() && due[replica] >= st.epoch()
	})
	return steps, nil
}

// stepping notes what is to be done about logs that are about to move to another epoch. The
// caller holds the lock.
func (s *Store) stepping(steps map[string]step) error {
	if len(steps) == 0 {
		return nil
	}
	due, err := s.readShed()
	if err == nil {
		err = s.notePassed(steps)
	}
	for replica, st := range steps {
		due[replica] = max(due[replica], st.epoch())
	}
	if err == nil {
		err = s.writeShed(due)
	}
	if err != nil {
		return s.repo.writeError("note what a truncation leaves behind", err)
	}
	return nil
}

func (s *Store) readShed() (map[string]int, error) {
	due := map[string]int{}
	data, err := os.ReadFile(s.repo.dir(shedFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for line := range strings.Lines(string(data)) {
		replica, n, _ := strings.Cut(strings.TrimSpace(line), " ")
		if epoch, err := strconv.Atoi(n); err == nil && isReplica(replica) {
			due[replica] = epoch
		}
	}
	return due, nil
}

func (s *Store) writeShed(due map[string]int) error {
	if len(due) == 0 {
		return os.Remove(s.repo.dir(shedFile))
	}
	var b []byte
	for replica, epoch := range due {
		b = fmt.Appendf(b, "%s %d\n", replica, epoch)
	}
	return s.repo.sharing().write(s.repo.dir("tmp"), s.repo.dir(shedFile), b, true)
}

// Shed removes the objects that truncations have left, of this clone's log and of others,
// and returns the remotes whose images still show some. Where an exchange is under way, it
// is that which does it.
func (s *Store) Shed(ctx context.Context) (waiting []string, err error) {
	if due, err := s.readShed(); err != nil || len(due) == 0 {
		return nil, err
	}
	l, err := s.acquireFile(ctx, syncLock, 0, true)
	if KindOf(err) == Locked {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer l.release()
	return s.shed(ctx)
}

// shed does it. The caller holds the lock on exchanges: git tells a remote what is here, and
// must find it here afterwards.
func (s *Store) shed(ctx context.Context) (waiting []string, err error) {
	due, err := s.readShed()
	if err != nil || len(due) == 0 {
		return nil, err
	}
	held, err := s.shown(ctx, due)
	if err != nil {
		return nil, err
	}
	sn, err := s.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	for replica, epoch := range due {
		if sn.Header(replica).Base.Epoch < epoch { // it was left to a copy of this clone, which has not truncated it
			continue
		}
		if hubs := held[replica]; len(hubs) > 0 {
			delete(due, replica)
			waiting = append(waiting, hubs...)
		}
	}
	slices.Sort(waiting)
	waiting = slices.Compact(waiting)
	if len(due) == 0 {
		return waiting, nil
	}
	m, roots, err := s.startShed(ctx, due)
	if err != nil || m == nil {
		return waiting, err
	}
	done, err := m.dropUnreachable(ctx, roots)
	if err != nil || !done {
		return waiting, err
	}
	l, err := s.acquire(ctx, s.opt.LockWait, false)
	if err != nil {
		return waiting, err
	}
	defer l.release()
	now, err := s.readShed() // a truncation may have come between
	if err == nil {
		for replica, epoch := range due {
			if now[replica] <= epoch {
				delete(now, replica)
			}
		}
		err = s.writeShed(now)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return waiting, s.repo.writeError("note that a truncation is done with", err)
	}
	return waiting, nil
}

// shedBehind does it after an exchange, which has done what it was for.
func (s *Store) shedBehind(ctx context.Context) {
	if _, err := s.shed(ctx); err != nil && ctx.Err() == nil {
		s.opt.Report("could not remove what a truncation has left: " + err.Error())
	}
}

// shown returns the remotes whose images show an earlier epoch of logs than is due, at any of
// their places or in an archive.
func (s *Store) shown(ctx context.Context, due map[string]int) (map[string][]string, error) {
	out, err := s.repo.own(ctx, nil, "for-each-ref", "--format=%(objectname) %(refname)", hubPrefix)
	if err != nil {
		return nil, gitFailure("list the refs below "+hubPrefix, err)
	}
	names := map[string]string{}
	hubs, err := s.Hubs()
	if err != nil {
		return nil, err
	}
	for _, name := range hubs {
		names[hubID(name)] = name
	}
	held := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		oid, ref, _ := strings.Cut(strings.TrimSpace(line), " ")
		id, name, _ := strings.Cut(strings.TrimPrefix(ref, hubPrefix), "/")
		there := hubRef(name)
		logs := map[string]OID{replicaOf(there): oid}
		if archiveOf(there) != "" {
			if logs, err = s.archived(oid); err != nil {
				return nil, err
			}
		}
		for replica, oid := range logs {
			if due[replica] == 0 {
				continue
			}
			t, err := s.load(oid)
			if KindOf(err) == Damaged {
				continue // no log, or nothing that could be kept
			}
			if err != nil {
				return nil, err
			}
			if t.Header.Base.Epoch < due[replica] {
				held[replica] = append(held[replica], orElse(names[id], id))
			}
		}
	}
	return held, nil
}

// startShed takes the right to merge packs, and returns it with all packs of ours and the
// ends of the logs. It is nil if somebody else merges for longer than one waits. The reflogs
// of the logs that are due go: they name what is to go.
func (s *Store) startShed(ctx context.Context, due map[string]int) (m *merge, roots []OID, err error) {
	limit, stop := context.WithTimeout(ctx, s.opt.LockWait)
	defer stop()
	for {
		l, err := s.acquire(ctx, s.opt.LockWait, true)
		if err != nil {
			return nil, nil, err
		}
		ml, err := s.acquireFile(ctx, mergeLock, 0, true)
		if KindOf(err) == Locked && limit.Err() == nil {
			l.release() // others need not wait with us
			time.Sleep(20 * time.Millisecond)
			continue
		}
		defer l.release()
		if KindOf(err) == Locked {
			return nil, nil, nil
		}
		if err != nil {
			return nil, nil, err
		}
		if m, roots, err = s.prepareShed(ctx, due, ml); err != nil {
			ml.release()
			return nil, nil, err
		}
		return m, roots, nil
	}
}

func (s *Store) prepareShed(ctx context.Context, due map[string]int, ml *lock) (*merge, []OID, error) {
	// A log whose ref is gone is put back first, not thrown away.
	v, err := s.look(ctx)
	if err == nil {
		err = s.restore(ctx, v.sn, v.back, s.opt.LockWait)
	}
	if err != nil {
		return nil, nil, err
	}
	var roots []OID
	for _, t := range v.sn.logs {
		roots = append(roots, t.OID)
	}
	for replica := range due {
		if err := s.expireReflogs(ctx, replica); err != nil {
			return nil, nil, err
		}
	}
	dir := s.repo.dir(mergeDir)
	if err := s.finishInstalls(dir); err != nil {
		return nil, nil, s.repo.writeError("merge packs", err)
	}
	packs, err := s.ourPacks(ctx, true)
	if err == nil {
		os.RemoveAll(dir)
		err = s.repo.sharing().mkdir(dir)
	}
	if err == nil {
		err = s.writeNote(filepath.Join(dir, "note"))
	}
	if err != nil {
		return nil, nil, s.repo.writeError("merge packs", err)
	}
	return &merge{s, ml, packs}, roots, nil
}

// expireReflogs empties the reflogs of a log and of its images.
func (s *Store) expireReflogs(ctx context.Context, replica string) error {
	logs, err := filepath.Glob(filepath.Join(globEscape(filepath.Join(s.repo.CommonDir, "logs")), filepath.FromSlash(hubPrefix), "*", "*", replica))
	if err != nil {
		return err
	}
	for _, name := range append(logs, filepath.Join(s.repo.CommonDir, "logs", filepath.FromSlash(logRef(replica)))) {
		rel, err := filepath.Rel(filepath.Join(s.repo.CommonDir, "logs"), name)
		if err != nil {
			return err
		}
		if _, err := os.Stat(name); err != nil {
			continue
		}
		if _, err := s.repo.own(ctx, nil, "reflog", "expire", "--expire=all", "--expire-unreachable=all", filepath.ToSlash(rel)); err != nil {
			return gitFailure("empty the reflog of "+filepath.ToSlash(rel), err)
		}
	}
	return nil
}

// dropUnreachable writes the packs anew in which there is something that nobody needs, and
// ends the right to merge. What the user's refs, reflogs or indexes have come to need stays
// with the rest. git notes it in the time of a pack when it is about to rely on what is in
// it: then that is left for another day, and done is false.
func (m *merge) dropUnreachable(ctx context.Context, roots []OID) (done bool, err error) {
	s, dir := m.s, m.s.repo.dir(mergeDir)
	defer m.lock.release()
	defer os.RemoveAll(dir)
	times, err := packTimes(m.packs)
	if err != nil {
		return false, s.repo.writeError("look at the packs", err)
	}
	needed := map[OID]bool{}
	contents := make([][]OID, len(m.packs))
	for i, p := range m.packs {
		if contents[i], err = s.packed(p); err != nil {
			return false, err
		}
		for _, oid := range contents[i] {
			needed[oid] = false
		}
	}
	// In a partial clone much is missing, and must not be fetched for this.
	out, err := s.repo.own(ctx, []byte(strings.Join(roots, "\n")+"\n"), "rev-list", "--objects", "--no-object-names", "--missing=allow-any",
		"--all", "--reflog", "--indexed-objects", "--stdin")
	if err != nil {
		return false, gitFailure("find out which objects are needed", err)
	}
	for oid := range strings.FieldsSeq(string(out)) {
		if _, ours := needed[oid]; ours {
			needed[oid] = true
		}
	}
	var old []packFile
	var names bytes.Buffer
	gone := map[OID]bool{}
	for i, p := range m.packs {
		if !slices.ContainsFunc(contents[i], func(oid OID) bool { return !needed[oid] }) {
			continue
		}
		old = append(old, p)
		for _, oid := range contents[i] {
			if needed[oid] {
				names.WriteString(oid + "\n")
			} else {
				gone[oid] = true
			}
		}
	}
	if len(old) == 0 {
		return true, nil
	}
	merged := ""
	if names.Len() > 0 {
		if merged, err = m.packInto(ctx, dir, names.Bytes()); err != nil {
			return false, err
		}
	}
	old = slices.DeleteFunc(old, func(p packFile) bool { return p.base == merged })
	if now, err := packTimes(old); err != nil || slices.ContainsFunc(old, func(p packFile) bool { return !now[p.base].Equal(times[p.base]) }) {
		return false, nil
	}
	if err := s.mendGraph(ctx, gone); err != nil {
		return false, err
	}
	if recent := "pack-" + s.recentPack(); slices.ContainsFunc(old, func(p packFile) bool { return filepath.Base(p.base) == recent }) {
		s.saveRecent(nil, "")
	}
	if err := s.dropPacks(ctx, old); err != nil {
		return false, err
	}
	s.objects.close() // a git that has a pack open would still find what is gone
	return true, nil
}

func packTimes(packs []packFile) (map[string]time.Time, error) {
	times := map[string]time.Time{}
	for _, p := range packs {
		st, err := os.Stat(p.base + ".pack")
		if err != nil {
			return nil, err
		}
		times[p.base] = st.ModTime()
	}
	return times, nil
}
