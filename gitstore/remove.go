package gitstore

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// SetUp makes the store's directory and leaves data in manifest/name, so that
// the repository counts as set up before anything was written to it.
func (s *Store) SetUp(name string, data []byte) error {
	if err := s.repo.sharing().write(s.repo.dir("manifest"), s.repo.dir("manifest", name), data, true); err != nil {
		return s.repo.writeError("set up the mailbox", err)
	}
	return nil
}

// Note adds a line to a file of the store's own directory that no log holds: for
// what must be kept while git lets no ref move.
func (s *Store) Note(name string, line []byte) error {
	sh, path := s.repo.sharing(), s.repo.dir(name)
	err := sh.mkdir(s.repo.dir())
	var f *os.File
	if err == nil {
		f, err = os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	}
	if err == nil {
		sh.apply(path)
		_, err = f.Write(append(line, '\n'))
		err = errors.Join(err, syncFile(f))
	}
	if err != nil {
		return s.repo.writeError("note in "+name, err)
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
		packs, err := s.ourPacks(ctx, false)
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
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == '\n' }), nil
}

// Purge removes everything that this package put into the repository. With
// keepMail the refs, their objects, this clone's identity and the cursors stay. What of
// ours the user's own refs or index have come to need stays as ordinary packs.
// Afterwards the git directory is as if we had never been there, apart from what
// the user's git wrote meanwhile. Parts that were removed by hand are no trouble.
func (s *Store) Purge(ctx context.Context, keepMail bool) error {
	refs, err := s.ourRefs(ctx)
	if err != nil {
		return err
	}
	packs, err := s.noted()
	if err != nil {
		return err
	}
	_, err = os.Stat(s.repo.dir())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s.repo.writeError("remove the mailbox's directory", err)
	}
	if err == nil || len(refs)+len(packs) > 0 {
		if !keepMail { // what an exchange brings would come after we are gone
			x, err := s.acquireFile(ctx, syncLock, s.opt.LockWait, true)
			if err != nil {
				return err
			}
			defer x.release()
		}
		l, err := s.acquire(ctx, s.opt.LockWait, true)
		if err != nil {
			return err
		}
		defer l.release()
		m, err := s.acquireFile(ctx, mergeLock, s.opt.LockWait, true) // no merge begins while we hold the other
		if err != nil {
			return err
		}
		defer m.release()
	}
	if err := os.RemoveAll(s.repo.CachePath()); err != nil {
		return s.repo.writeError("remove the cache", err)
	}
	agents, _ := filepath.Glob(filepath.Join(globEscape(s.repo.CommonDir), "worktrees", "*", AgentFile))
	for _, name := range append(agents, filepath.Join(s.repo.CommonDir, AgentFile), filepath.Join(s.repo.GitDir, AgentFile)) {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return s.repo.writeError("remove "+AgentFile, err)
		}
	}
	if keepMail {
		if err := os.RemoveAll(s.repo.dir("manifest")); err != nil {
			return s.repo.writeError("remove the manifest", err)
		}
		return nil
	}
	// Who we are and the memory of tips go first: a reader beside us would
	// restore the refs.
	for _, name := range []string{replicaFile, tipsFile} {
		if err := os.Remove(s.repo.dir(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return s.repo.writeError("remove "+name, err)
		}
	}
	s.objects.close()
	if refs, err = s.ourRefs(ctx); err != nil {
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
	// A bare repository has no reflogs but ours; these go only if they are empty.
	os.Remove(filepath.Join(s.repo.CommonDir, "logs", "refs"))
	os.Remove(filepath.Join(s.repo.CommonDir, "logs"))
	if err := s.removePacks(ctx); err != nil {
		return err
	}
	// The lock file lies in here too; whoever waits for it notices and finds an
	// empty store. A reader beside us may still save its cursor, but does not make the
	// directory again.
	for range 10 {
		if err = os.RemoveAll(s.repo.dir()); err == nil {
			break
		}
	}
	if err != nil {
		return s.repo.writeError("remove the mailbox's directory", err)
	}
	return nil
}

// removePacks removes our packs, but only takes the note from one that the user
// has come to need: git does not write an object again that it finds anywhere, so
// a file of theirs with the same content as an attachment lives in our pack.
func (s *Store) removePacks(ctx context.Context) error {
	packs, err := s.ourPacks(ctx, true)
	if err != nil {
		return err
	}
	needed := map[OID]bool{}
	if len(packs) > 0 {
		// In a partial clone much is missing, and must not be fetched for this.
		out, err := s.repo.own(ctx, nil, "rev-list", "--objects", "--no-object-names", "--missing=allow-any", "--all", "--reflog", "--indexed-objects")
		if err != nil {
			return gitFailure("find out which objects the user's refs need", err)
		}
		for oid := range strings.FieldsSeq(string(out)) {
			needed[oid] = true
		}
	}
	contents := make([][]OID, len(packs))
	for i, p := range packs {
		if contents[i], err = s.packed(p); err != nil {
			return err
		}
	}
	if err := s.forgetCopied(ctx, needed, packs, contents); err != nil {
		return err
	}
	var drop []packFile
	gone := map[OID]bool{}
	for i, p := range packs {
		list := contents[i]
		for _, oid := range list {
			gone[oid] = !needed[oid]
		}
		if !slices.ContainsFunc(list, func(oid OID) bool { return needed[oid] }) {
			drop = append(drop, p)
		} else if err := os.Remove(p.base + ".keep"); err != nil {
			return s.repo.writeError("remove a pack's note", err)
		}
	}
	if err := s.mendGraph(ctx, gone); err != nil {
		return err
	}
	if err := s.dropPacks(ctx, drop); err != nil {
		return err
	}
	// What has a note of ours still lost its pack by hand.
	left, err := s.noted()
	for _, base := range left {
		err = errors.Join(err, removePack(base))
	}
	if err != nil {
		return s.repo.writeError("remove a pack", err)
	}
	return nil
}

// forgetCopied takes from needed what the user has outside our packs as well: a
// tracked file that was attached to a message is in theirs already.
func (s *Store) forgetCopied(ctx context.Context, needed map[OID]bool, ours []packFile, contents [][]OID) error {
	shared := map[OID]bool{}
	for _, list := range contents {
		for _, oid := range list {
			if !needed[oid] {
				continue
			}
			if _, err := os.Stat(filepath.Join(s.repo.Objects, oid[:2], oid[2:])); err == nil {
				delete(needed, oid)
			} else {
				shared[oid] = true
			}
		}
	}
	if len(shared) == 0 {
		return nil
	}
	all, err := filepath.Glob(filepath.Join(globEscape(s.repo.Objects), "pack", "pack-*.idx"))
	if err != nil {
		return err
	}
	for _, idx := range all {
		base := strings.TrimSuffix(idx, ".idx")
		if slices.ContainsFunc(ours, func(p packFile) bool { return p.base == base }) {
			continue
		}
		if _, err := os.Stat(base + ".pack"); err != nil {
			continue // an index that has lost its pack
		}
		list, err := s.packed(packFile{base: base})
		if err != nil {
			return err
		}
		for _, oid := range list {
			if shared[oid] {
				delete(needed, oid)
			}
		}
	}
	return nil
}

// mendGraph writes git's commit graph again if it names a commit of gone:
// without that fsck complains.
func (s *Store) mendGraph(ctx context.Context, gone map[OID]bool) error {
	info := filepath.Join(s.repo.Objects, "info")
	chain, _ := filepath.Glob(filepath.Join(globEscape(info), "commit-graphs", "*.graph"))
	stale := func(name string) bool {
		data, err := os.ReadFile(name)
		return err == nil && graphNames(data, gone)
	}
	if !slices.ContainsFunc(append(chain, filepath.Join(info, "commit-graph")), stale) {
		return nil
	}
	args := []string{"commit-graph", "write", "--reachable"}
	if len(chain) > 0 {
		args = append(args, "--split=replace")
	}
	if _, err := s.repo.own(ctx, nil, args...); err != nil {
		return gitFailure("write the commit graph", err)
	}
	// With no commit of the user's left git writes nothing. The graph is a cache.
	if stale(filepath.Join(info, "commit-graph")) {
		os.Remove(filepath.Join(info, "commit-graph"))
	}
	if chain, _ = filepath.Glob(filepath.Join(globEscape(info), "commit-graphs", "*.graph")); slices.ContainsFunc(chain, stale) {
		os.RemoveAll(filepath.Join(info, "commit-graphs"))
	}
	return nil
}

// graphNames reports whether a commit-graph file lists one of oids. The file
// begins with a table of chunks; "OIDL" is the list of names.
func graphNames(data []byte, oids map[OID]bool) bool {
	if len(data) < 8 || string(data[:4]) != "CGPH" {
		return false
	}
	for i := range int(data[6]) {
		at := 8 + 12*i
		if len(data) < at+24 || string(data[at:at+4]) != "OIDL" {
			continue
		}
		from, to := binary.BigEndian.Uint64(data[at+4:]), binary.BigEndian.Uint64(data[at+16:])
		for to = min(to, uint64(len(data))); from+20 <= to; from += 20 {
			if oids[hex.EncodeToString(data[from:from+20])] {
				return true
			}
		}
	}
	return false
}

// Health is what `doctor` asks of the store itself.
type Health struct {
	Packs   int
	Writing string   // who holds the lock, "" for nobody
	RefLock string   // a lock file of git's on our own log, "" for none
	Other   []string // refs below refs/agentmail that this version does not make
}

// Health looks at the store without changing it.
func (s *Store) Health(ctx context.Context) (Health, error) {
	var h Health
	packs, err := s.ourPacks(ctx, false)
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
		if name, ok := strings.CutPrefix(ref, logPrefix); !strings.HasPrefix(ref, hubPrefix) && (!ok || !isReplica(name)) {
			h.Other = append(h.Other, ref)
		}
	}
	return h, err
}
