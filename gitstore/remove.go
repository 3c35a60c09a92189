package gitstore

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// SetUp makes the store's directory and leaves data in manifest/name, so that
// the repository counts as set up before anything was written to it.
func (s *Store) SetUp(name string, data []byte) error {
	if err := s.perms().write(s.repo.dir("manifest", name), data, true); err != nil {
		return s.repo.writeError("set up the mailbox", err)
	}
	return nil
}

// Manifest returns what SetUp left under name, nil if nothing.
func (s *Store) Manifest(name string) ([]byte, error) {
	data, err := os.ReadFile(s.repo.dir("manifest", name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// Footprint lists what Purge would remove, for people: refs, packs, files.
func (s *Store) Footprint(ctx context.Context, keepMail bool) ([]string, error) {
	var list []string
	add := func(path string) {
		if _, err := os.Lstat(path); err == nil {
			list = append(list, path)
		}
	}
	if !keepMail {
		refs, err := s.ourRefs(ctx)
		if err != nil {
			return nil, err
		}
		list = append(list, refs...)
		packs, err := s.ourPacks()
		if err != nil {
			return nil, err
		}
		for _, p := range packs {
			list = append(list, p.base+".pack")
		}
		add(s.repo.dir())
	} else {
		add(s.repo.dir("manifest"))
	}
	add(s.repo.CachePath())
	trees, err := s.repo.Worktrees(ctx)
	if err != nil {
		return nil, err
	}
	for _, w := range trees {
		add(filepath.Join(w.GitDir, AgentFile))
	}
	return list, nil
}

// AgentFile, in a worktree's own git directory, names the agent that works there.
const AgentFile = "agentmail-agent"

func (s *Store) ourRefs(ctx context.Context) ([]string, error) {
	out, err := s.repo.own(ctx, nil, "for-each-ref", "--format=%(refname)", refRoot)
	if err != nil {
		return nil, gitFailure("list the refs below "+refRoot, err)
	}
	return strings.Fields(string(out)), nil
}

// Purge removes everything that this package put into the repository. With
// keepMail the refs, their objects and this clone's identity stay. What of ours
// the user's own refs or index have come to need stays as ordinary packs.
// Afterwards the git directory is as if we had never been there, apart from what
// the user's git wrote meanwhile.
func (s *Store) Purge(ctx context.Context, keepMail bool) error {
	if _, err := os.Stat(s.repo.dir()); errors.Is(err, fs.ErrNotExist) {
		if refs, err := s.ourRefs(ctx); err != nil || len(refs) == 0 {
			return errors.Join(err, os.RemoveAll(s.repo.CachePath()))
		}
	}
	l, err := s.acquire(ctx, s.opt.LockWait)
	if err != nil {
		return err
	}
	defer l.release()
	if err := os.RemoveAll(s.repo.CachePath()); err != nil {
		return s.repo.writeError("remove the cache", err)
	}
	trees, err := s.repo.Worktrees(ctx)
	if err != nil {
		return err
	}
	for _, w := range trees {
		os.Remove(filepath.Join(w.GitDir, AgentFile))
	}
	if keepMail {
		return os.RemoveAll(s.repo.dir("manifest"))
	}
	// The memory of tips goes first: a reader beside us would restore the refs.
	os.Remove(s.repo.dir("tips.json"))
	s.objects.close()
	refs, err := s.ourRefs(ctx)
	if err != nil {
		return err
	}
	var in strings.Builder
	for _, ref := range refs {
		in.WriteString("delete " + ref + "\n")
	}
	if in.Len() > 0 {
		if _, err := s.repo.own(ctx, []byte(in.String()), "update-ref", "--stdin"); err != nil {
			return gitFailure("delete the refs below "+refRoot, err)
		}
	}
	for _, dir := range []string{"logs/refs/agentmail", "refs/agentmail"} {
		if err := os.RemoveAll(filepath.Join(s.repo.CommonDir, filepath.FromSlash(dir))); err != nil {
			return s.repo.writeError("remove "+dir, err)
		}
	}
	if err := s.removePacks(ctx); err != nil {
		return err
	}
	// The lock file lies in here too; whoever waits for it finds an empty store.
	if err := os.RemoveAll(s.repo.dir()); err != nil {
		return s.repo.writeError("remove the mailbox's directory", err)
	}
	return nil
}

// removePacks removes our packs, but only takes the note from one that the user
// has come to need: git does not write an object again that it finds anywhere, so
// a file of theirs with the same content as an attachment lives in our pack.
func (s *Store) removePacks(ctx context.Context) error {
	packs, err := s.ourPacks()
	if err != nil || len(packs) == 0 {
		return err
	}
	out, err := s.repo.own(ctx, nil, "rev-list", "--objects", "--no-object-names", "--all", "--reflog", "--indexed-objects")
	if err != nil {
		return gitFailure("find out which objects the user's refs need", err)
	}
	needed := map[OID]bool{}
	for oid := range strings.FieldsSeq(string(out)) {
		needed[oid] = true
	}
	for _, p := range packs {
		idx, err := os.ReadFile(p.base + ".idx")
		if err != nil {
			return s.repo.writeError("read a pack's index", err)
		}
		list, err := s.repo.own(ctx, idx, "show-index")
		if err != nil {
			return gitFailure("read a pack's index", err)
		}
		used := false
		for line := range strings.SplitSeq(string(list), "\n") {
			if f := strings.Fields(line); len(f) >= 2 && needed[f[1]] {
				used = true
				break
			}
		}
		if used {
			err = os.Remove(p.base + ".keep")
		} else {
			err = removePack(p.base)
		}
		if err != nil {
			return s.repo.writeError("remove a pack", err)
		}
	}
	return s.mendIndexes(ctx)
}

// mendIndexes brings git's own summaries of packs and commits up to date after
// packs of ours went: without it fsck complains of what they still name.
func (s *Store) mendIndexes(ctx context.Context) error {
	if _, err := os.Stat(filepath.Join(s.repo.Objects, "pack", "multi-pack-index")); err == nil {
		if _, err := s.repo.own(ctx, nil, "multi-pack-index", "write"); err != nil {
			return gitFailure("write the multi-pack index", err)
		}
	}
	for _, name := range []string{"commit-graph", "commit-graphs"} {
		if _, err := os.Stat(filepath.Join(s.repo.Objects, "info", name)); err == nil {
			if _, err := s.repo.own(ctx, nil, "commit-graph", "write", "--reachable"); err != nil {
				return gitFailure("write the commit graph", err)
			}
			break
		}
	}
	return nil
}

// Health is what `doctor` asks of the store itself.
type Health struct {
	Packs   int
	Writing string   // who holds the lock, "" for nobody
	RefLock string   // a lock file of git's on our own log, "" for none
	Other   []string // refs below refs/agentmail that are no logs
}

// Health looks at the store without changing it.
func (s *Store) Health(ctx context.Context) (Health, error) {
	var h Health
	packs, err := s.ourPacks()
	if err != nil {
		return h, err
	}
	h.Packs = len(packs)
	if s.repo.heldFile(s.repo.dir("lock")) {
		var who holder
		readJSON(s.repo.dir("lock"), &who)
		h.Writing = orElse(who.Who, "unnamed")
	}
	own, err := s.repo.replica()
	if err != nil {
		return h, err
	}
	if lock := filepath.Join(s.repo.CommonDir, filepath.FromSlash(logRef(own))) + ".lock"; own != "" {
		if _, err := os.Stat(lock); err == nil {
			h.RefLock = lock
		}
	}
	refs, err := s.ourRefs(ctx)
	for _, ref := range refs {
		if !strings.HasPrefix(ref, logPrefix) {
			h.Other = append(h.Other, ref)
		}
	}
	return h, err
}
