package gitstore

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/storer"
)

// keepNote is what the .keep file of each pack of ours begins with. git leaves
// kept packs alone, so `git gc --prune=now` between the pack's arrival and the
// ref's move does no harm.
const keepNote = "git-agentmail"

// newObjects collects what one commit adds, to be written as one pack. It
// satisfies as much of storer.EncodedObjectStorer as the pack encoder asks for.
type newObjects struct {
	storer.EncodedObjectStorer
	byID  map[plumbing.Hash]plumbing.EncodedObject
	order []plumbing.Hash
}

func (n *newObjects) add(t plumbing.ObjectType, data []byte) OID {
	ob := &plumbing.MemoryObject{}
	ob.SetType(t)
	ob.Write(data)
	h := ob.Hash()
	if _, dup := n.byID[h]; !dup {
		if n.byID == nil {
			n.byID = map[plumbing.Hash]plumbing.EncodedObject{}
		}
		n.byID[h] = ob
		n.order = append(n.order, h)
	}
	return h.String()
}

// EncodedObject implements the one method that the encoder calls.
func (n *newObjects) EncodedObject(_ plumbing.ObjectType, h plumbing.Hash) (plumbing.EncodedObject, error) {
	if ob, ok := n.byID[h]; ok {
		return ob, nil
	}
	return nil, plumbing.ErrObjectNotFound
}

// writePack puts the objects into the user's object database as one kept pack,
// durably. They are not reachable before the ref moves.
func (s *Store) writePack(n *newObjects) error {
	var pack bytes.Buffer
	sum, err := packfile.NewEncoder(&pack, n, false).Encode(n.order, 0)
	if err != nil {
		return errf(GitFailed, "encode a pack: %w", err)
	}
	index := &idxfile.Writer{}
	parser, err := packfile.NewParser(packfile.NewScanner(bytes.NewReader(pack.Bytes())), index)
	if err == nil {
		_, err = parser.Parse()
	}
	if err != nil {
		return errf(GitFailed, "index a pack: %w", err)
	}
	mi, err := index.Index()
	if err != nil {
		return errf(GitFailed, "index a pack: %w", err)
	}
	var idx bytes.Buffer
	if _, err := idxfile.NewEncoder(&idx).Encode(mi); err != nil {
		return errf(GitFailed, "index a pack: %w", err)
	}

	tmp, err := s.tempDir()
	if err != nil {
		return s.repo.writeError("write a pack", err)
	}
	defer os.RemoveAll(tmp)
	base := filepath.Join(tmp, "pack-"+sum.String())
	for _, f := range []struct {
		name string
		data []byte
		sync bool
	}{
		{base + ".keep", []byte(keepNote + "\n"), false}, // its loss after a power cut costs nothing but a repack
		{base + ".pack", pack.Bytes(), true},
		{base + ".idx", idx.Bytes(), true},
	} {
		if err := s.writeObjectFile(f.name, f.data, f.sync); err != nil {
			return s.repo.writeError("write a pack", err)
		}
	}
	return s.install(base)
}

// tempDir makes a directory for packs under way; writers that were killed leave
// theirs behind, and the next one, which holds the lock, clears them away.
func (s *Store) tempDir() (string, error) {
	dir := s.repo.dir("tmp")
	p := s.perms()
	if err := p.mkdir(dir); err != nil {
		return "", err
	}
	if old, err := os.ReadDir(dir); err == nil {
		for _, e := range old {
			os.RemoveAll(filepath.Join(dir, e.Name()))
		}
	}
	return os.MkdirTemp(dir, "pack-")
}

func (s *Store) writeObjectFile(name string, data []byte, sync bool) error {
	mode := os.FileMode(0o444) // git's own packs are read-only
	if p := s.perms(); p.file != 0 {
		mode = p.file &^ 0o222
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		f.Close()
		return err
	}
	if !sync {
		return f.Close()
	}
	return syncFile(f)
}

// install renames base.keep, base.pack and base.idx into the object database:
// the note first, so that no gc sees the pack without it, and the index last,
// so that no git sees an index without its pack.
func (s *Store) install(base string) error {
	dir := filepath.Join(s.repo.Objects, "pack")
	if err := s.perms().mkdir(dir); err != nil {
		return s.repo.writeError("write a pack", err)
	}
	for _, ext := range []string{".keep", ".pack", ".idx"} {
		if err := os.Rename(base+ext, filepath.Join(dir, filepath.Base(base)+ext)); err != nil {
			return s.repo.writeError("write a pack", err)
		}
	}
	if err := syncDir(dir); err != nil {
		return s.repo.writeError("write a pack", err)
	}
	return nil
}

// MaxPacks is how many packs of ours there may be before a commit merges some.
// 20 kept packs cost the user's git 0.3 ms a command, which is more than a tenth
// of a `git log -1`; 300 cost 4 ms.
const MaxPacks = 10

type packFile struct {
	base string // path without extension
	size int64
}

// ourPacks returns the packs that this package wrote, smallest first. With
// clean, which is for the holder of the lock, what a killed writer left of one
// is removed; to anybody else it may be a pack that is just arriving.
func (s *Store) ourPacks(clean bool) ([]packFile, error) {
	bases, err := s.noted()
	if err != nil {
		return nil, err
	}
	var packs []packFile
	for _, base := range bases {
		st, err := os.Stat(base + ".pack")
		if _, ierr := os.Stat(base + ".idx"); err == nil && ierr == nil {
			packs = append(packs, packFile{base, st.Size()})
		} else if clean && !errors.Is(ierr, fs.ErrPermission) {
			s.removeHalf(base)
		}
	}
	slices.SortFunc(packs, func(a, b packFile) int { return cmp.Compare(a.size, b.size) })
	return packs, nil
}

// noted returns the packs, whole or not, that have a note of ours.
func (s *Store) noted() ([]string, error) {
	keeps, err := filepath.Glob(filepath.Join(globEscape(s.repo.Objects), "pack", "pack-*.keep"))
	if err != nil {
		return nil, err
	}
	var bases []string
	for _, keep := range keeps {
		if data, err := os.ReadFile(keep); err == nil && bytes.HasPrefix(data, []byte(keepNote)) {
			bases = append(bases, strings.TrimSuffix(keep, ".keep"))
		}
	}
	return bases, nil
}

// removeHalf removes a pack without an index, to which nothing can refer. It is
// put aside first, for should the lock not exclude others (across the boundary
// of a virtual machine) its index may come while we look.
func (s *Store) removeHalf(base string) {
	if _, err := os.Stat(base + ".idx"); err == nil {
		return // an index without its pack: somebody's damage, not ours to hide
	}
	aside := s.repo.dir("tmp", filepath.Base(base)+".pack")
	if s.perms().mkdir(filepath.Dir(aside)) != nil {
		return
	}
	err := os.Rename(base+".pack", aside)
	if err == nil {
		if _, err := os.Stat(base + ".idx"); err == nil {
			os.Rename(aside, base+".pack")
			return
		}
		err = os.Remove(aside)
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		os.Remove(base + ".keep")
	}
}

func globEscape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

// mergePacks rolls small packs into one when there are too many. Sizes grow
// geometrically, so an object is copied a logarithmic number of times, not once
// for every few commits. The caller holds the lock.
func (s *Store) mergePacks(ctx context.Context) error {
	packs, err := s.ourPacks(true)
	if err != nil || len(packs) < MaxPacks {
		return err
	}
	// Merge from the smallest up, taking each pack that is not larger than twice
	// what is merged so far.
	n, sum := 0, int64(0)
	for n < len(packs) && (n < 2 || packs[n].size <= 2*sum || len(packs)-n >= MaxPacks) {
		sum += packs[n].size
		n++
	}
	tmp, err := s.tempDir()
	if err != nil {
		return s.repo.writeError("merge packs", err)
	}
	defer os.RemoveAll(tmp)
	var names bytes.Buffer
	for _, p := range packs[:n] {
		list, err := s.packed(ctx, p)
		if err != nil {
			return err
		}
		for _, oid := range list {
			names.WriteString(oid + "\n")
		}
	}
	// git is told the objects, not the packs: --stdin-packs walks every tree of the
	// commits in them, which at 100,000 messages costs 200 ms for a few kilobytes.
	// (What stands in two packs is written once.)
	// With a directory of its own for new objects git leaves no temporary file
	// among the user's when it is killed, and no `git gc --prune=now` takes it.
	env := append(s.repo.env[:len(s.repo.env):len(s.repo.env)],
		"GIT_OBJECT_DIRECTORY="+tmp, "GIT_ALTERNATE_OBJECT_DIRECTORIES="+cQuote(s.repo.Objects))
	out, err := run(ctx, s.repo.CommonDir, env, names.Bytes(), append(ownConfig[:len(ownConfig):len(ownConfig)],
		"-c", "core.fsync=committed", "-c", "core.fsyncMethod=fsync", "-c", "pack.writeReverseIndex=false", "-c", "pack.packSizeLimit=0",
		"pack-objects", "--quiet", filepath.Join(tmp, "pack"))...)
	if err != nil {
		return errf(GitFailed, "merge packs: %w", err)
	}
	base := filepath.Join(tmp, "pack-"+strings.TrimSpace(string(out)))
	if err := s.writeObjectFile(base+".keep", []byte(keepNote+"\n"), false); err != nil {
		return s.repo.writeError("merge packs", err)
	}
	if err := s.install(base); err != nil {
		return err
	}
	merged := filepath.Join(s.repo.Objects, "pack", filepath.Base(base))
	return s.dropPacks(ctx, slices.DeleteFunc(packs[:n], func(p packFile) bool { return p.base == merged }))
}

// cQuote quotes a path as git reads it in a list of object directories.
func cQuote(path string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(path) {
		if c < ' ' || c == '"' || c == '\\' || c == 0x7f {
			fmt.Fprintf(&b, "\\%03o", c)
		} else {
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// dropPacks removes packs. git's own index over several packs forgets them
// first, so that at no moment it names one that is not there.
func (s *Store) dropPacks(ctx context.Context, packs []packFile) error {
	if err := s.unlist(ctx, packs); err != nil {
		return err
	}
	for _, p := range packs {
		if err := removePack(p.base); err != nil {
			return s.repo.writeError("remove a pack", err)
		}
	}
	return nil
}

// unlist writes the multi-pack index again without packs, if it names any.
func (s *Store) unlist(ctx context.Context, packs []packFile) error {
	dir := filepath.Join(s.repo.Objects, "pack")
	name := filepath.Join(dir, "multi-pack-index")
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return s.repo.writeError("read the multi-pack index", err)
	}
	if !slices.ContainsFunc(packs, func(p packFile) bool { return bytes.Contains(data, []byte(filepath.Base(p.base)+".idx")) }) {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return s.repo.writeError("read the multi-pack index", err)
	}
	var stay bytes.Buffer
	for _, e := range entries {
		base, ok := strings.CutSuffix(e.Name(), ".idx")
		if ok && !slices.ContainsFunc(packs, func(p packFile) bool { return filepath.Base(p.base) == base }) {
			stay.WriteString(e.Name() + "\n")
		}
	}
	if stay.Len() == 0 {
		if err := os.Remove(name); err != nil { // git writes none of no packs
			return s.repo.writeError("remove the multi-pack index", err)
		}
		return nil
	}
	if _, err := s.repo.own(ctx, stay.Bytes(), "multi-pack-index", "write", "--stdin-packs"); err != nil {
		return gitFailure("write the multi-pack index", err)
	}
	return nil
}

// removePack takes the index away first: a git that has not opened the pack yet
// then looks elsewhere, and one that has keeps it open.
func removePack(base string) error {
	for _, ext := range []string{".idx", ".rev", ".pack", ".keep"} {
		if err := os.Remove(base + ext); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}
