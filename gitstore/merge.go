package gitstore

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Packs are merged beside the writers, who would have to wait for it: under a lock of its
// own, mergeLock, and in a directory of its own, mergeDir. That is there for as long as
// the merge, so that one which is there without the lock was left by a merge that was killed.
const (
	mergeLock = "merging"
	mergeDir  = "merge"
)

// merge is the right to merge some packs: having one means holding the lock for that.
type merge struct {
	s     *Store
	lock  *lock
	packs []packFile
}

// startMerge chooses small packs to be merged into one when there are too many, and nobody
// is merging. Sizes grow geometrically, so an object is copied a logarithmic number of
// times, not once for every few commits. It also puts right what a merge has left that was
// killed. The caller holds the lock, so that no pack is just arriving, and gives it
// back before the merge runs.
func (s *Store) startMerge(ctx context.Context) (m *merge, err error) {
	dir := s.repo.dir(mergeDir)
	_, err = os.Lstat(dir)
	killed := err == nil // or at work
	// Anybody's kept packs, so that most commits need not look into the notes.
	if keeps, err := s.keeps(); err != nil || len(keeps) < MaxPacks && !killed {
		return nil, err
	}
	if packs, err := s.ourPacks(ctx, false); err != nil || len(s.due(packs)) == 0 && !killed {
		return nil, err
	}
	l, err := s.acquireFile(ctx, mergeLock, 0, true)
	if KindOf(err) == Locked {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if m == nil {
			l.release()
		}
	}()
	if err := s.finishInstalls(dir); err != nil {
		return nil, s.repo.writeError("merge packs", err)
	}
	packs, err := s.ourPacks(ctx, true)
	if err != nil {
		return nil, s.repo.writeError("merge packs", err)
	}
	os.RemoveAll(dir)
	if packs = s.due(packs); len(packs) == 0 {
		return nil, nil
	}
	if err := s.repo.sharing().mkdir(dir); err != nil {
		return nil, s.repo.writeError("merge packs", err)
	}
	// The note is made now, while nobody else makes one.
	if err := s.writeNote(filepath.Join(dir, "note")); err != nil {
		return nil, s.repo.writeError("merge packs", err)
	}
	return &merge{s, l, packs}, nil
}

// due returns those of the packs, smallest first, that should be merged, if there are too
// many: from the smallest up each that is not larger than twice what is merged so far.
// Where few are alike they wait for more: beside a large mailbox's few great packs two
// small ones would be merged with every commit. The newest is left to the next writer,
// who looks for it.
func (s *Store) due(packs []packFile) []packFile {
	if len(packs) < MaxPacks {
		return nil
	}
	all, newest := len(packs), "pack-"+s.recentPack()
	packs = slices.DeleteFunc(packs, func(p packFile) bool { return filepath.Base(p.base) == newest })
	n, sum := 0, int64(0)
	for n < len(packs) && (n == 0 || packs[n].size <= 2*sum || all-n >= 2*MaxPacks) {
		sum += packs[n].size
		n++
	}
	if n < MaxPacks/2 {
		return nil
	}
	return packs[:n]
}

// run merges the packs, and ends the right to.
func (m *merge) run(ctx context.Context) error {
	s, dir := m.s, m.s.repo.dir(mergeDir)
	defer m.lock.release()
	defer os.RemoveAll(dir)
	var names bytes.Buffer
	for _, p := range m.packs {
		list, err := s.packed(p)
		if err != nil {
			return err
		}
		for _, oid := range list {
			names.WriteString(oid + "\n")
		}
	}
	merged, err := m.packInto(ctx, dir, names.Bytes())
	if err != nil {
		return err
	}
	return s.dropPacks(ctx, slices.DeleteFunc(m.packs, func(p packFile) bool { return p.base == merged }))
}

// packInto writes the named objects into one pack of ours, and returns its path without
// extension.
func (m *merge) packInto(ctx context.Context, dir string, names []byte) (string, error) {
	s := m.s
	// git is told the objects, not the packs: --stdin-packs walks every tree of the
	// commits in them, which at 100,000 messages costs 200 ms for a few kilobytes.
	// (What stands in two packs is written once.)
	// With a directory of its own for new objects git leaves no temporary file
	// among the user's when it is killed, and no `git gc --prune=now` takes it.
	env := append(s.repo.env[:len(s.repo.env):len(s.repo.env)],
		"GIT_OBJECT_DIRECTORY="+dir, "GIT_ALTERNATE_OBJECT_DIRECTORIES="+cQuote(s.repo.Objects))
	out, err := run(ctx, s.repo.CommonDir, env, names, append(ownConfig[:len(ownConfig):len(ownConfig)],
		"-c", "core.fsync=committed", "-c", "core.fsyncMethod=fsync", "-c", "pack.indexVersion=2", "-c", "pack.writeReverseIndex=false", "-c", "pack.packSizeLimit=0", "-c", "pack.threads=1",
		"pack-objects", "--quiet", filepath.Join(dir, "pack"))...)
	if err != nil {
		return "", errf(GitFailed, "merge packs: %w", err)
	}
	base := filepath.Join(dir, "pack-"+strings.TrimSpace(string(out)))
	if err := os.Rename(filepath.Join(dir, "note.keep"), base+".keep"); err != nil {
		return "", s.repo.writeError("merge packs", err)
	}
	return filepath.Join(s.repo.Objects, "pack", filepath.Base(base)), s.install(base)
}
