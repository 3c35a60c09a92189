package gitstore

import (
	"bytes"
	"cmp"
	"compress/zlib"
	"context"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
)

// keepNote is what the .keep file of each pack of ours begins with. git leaves
// kept packs alone, so `git gc --prune=now` between the pack's arrival and the
// ref's move does no harm.
const keepNote = "git-agentmail"

// newObjects collects what one commit adds, to be written as one pack.
type newObjects struct {
	list  []newObject
	known map[plumbing.Hash]bool

	replaced []OID // objects of the log's tip that these take the place of
}

type newObject struct {
	hash plumbing.Hash
	kind plumbing.ObjectType
	data []byte
}

func (n *newObjects) add(kind plumbing.ObjectType, data []byte) OID {
	h := plumbing.ComputeHash(kind, data)
	if !n.known[h] {
		if n.known == nil {
			n.known = map[plumbing.Hash]bool{}
		}
		n.known[h] = true
		n.list = append(n.list, newObject{h, kind, data})
	}
	return h.String()
}

// encode returns the objects as a pack, see gitformat-pack(5), with its index and
// its checksum. Both are made in one pass: go-git's encoder does not say where an
// object went, so that for its index the pack would have to be unpacked again,
// which took as long as all the rest of it. z is reset for each object: a new one
// is most of a megabyte.
func (n *newObjects) encode(z *zlib.Writer) (pack, idx []byte, sum string, err error) {
	var b bytes.Buffer
	binary.Write(&b, binary.BigEndian, [3]uint32{0x5041434b, 2, uint32(len(n.list))}) // PACK
	index := &idxfile.Writer{}
	index.OnHeader(uint32(len(n.list)))
	for _, ob := range n.list {
		at := b.Len()
		size := len(ob.data)
		c := byte(ob.kind)<<4 | byte(size&15)
		for size >>= 4; size > 0; size >>= 7 {
			b.WriteByte(c | 0x80)
			c = byte(size & 0x7f)
		}
		b.WriteByte(c)
		z.Reset(&b)
		z.Write(ob.data)
		if err := z.Close(); err != nil {
			return nil, nil, "", err
		}
		index.Add(ob.hash, uint64(at), crc32.ChecksumIEEE(b.Bytes()[at:]))
	}
	hash := sha1.Sum(b.Bytes())
	b.Write(hash[:])
	index.OnFooter(plumbing.Hash(hash))
	mi, err := index.Index()
	if err != nil {
		return nil, nil, "", err
	}
	var ib bytes.Buffer
	_, err = idxfile.NewEncoder(&ib).Encode(mi)
	return b.Bytes(), ib.Bytes(), hex.EncodeToString(hash[:]), err
}

// newDeflate makes a compressor whose memory has been touched.
func newDeflate() *zlib.Writer {
	z, _ := zlib.NewWriterLevel(io.Discard, zlib.BestSpeed) // trees are hashes; more effort makes them no smaller
	z.Write([]byte("x"))
	z.Close()
	return z
}

// writePack puts the objects into the user's object database as one kept pack,
// durably, and returns the hash in its name. They are not reachable before the ref moves.
func (s *Store) writePack(n *newObjects) (sum string, err error) {
	if s.deflate == nil {
		s.deflate = newDeflate()
	}
	pack, idx, sum, err := n.encode(s.deflate)
	if err != nil {
		return "", errf(GitFailed, "encode a pack: %w", err)
	}
	if err := s.clearTemp(); err != nil {
		return "", s.repo.writeError("write a pack", err)
	}
	base := s.repo.dir("tmp", "pack-"+sum)
	synced := make(chan error, 1)
	go func() { synced <- s.writeObjectFile(base+".pack", pack) }() // the disk takes both at once
	err = cmp.Or(s.writeNote(base), s.writeObjectFile(base+".idx", idx), <-synced)
	if err != nil {
		s.clearTemp()
		return "", s.repo.writeError("write a pack", err)
	}
	return sum, s.install(base)
}

// clearTemp makes the directory for packs under way, and clears away what writers
// left in it that were killed. The caller holds the lock.
func (s *Store) clearTemp() error {
	dir := s.repo.dir("tmp")
	if err := s.repo.sharing().mkdir(dir); err != nil {
		return err
	}
	if err := s.finishInstalls(dir); err != nil {
		return err
	}
	old, err := os.ReadDir(dir)
	for _, e := range old {
		os.RemoveAll(filepath.Join(dir, e.Name()))
	}
	return err
}

// finishInstalls installs the packs in dir that somebody was about to install when they
// were killed: what is there of one already, git calls garbage.
func (s *Store) finishInstalls(dir string) error {
	left, err := filepath.Glob(filepath.Join(globEscape(dir), "pack-*.idx")) // the last to go
	if err != nil {
		return err
	}
	for _, idx := range left {
		base := strings.TrimSuffix(idx, ".idx")
		note, err := os.ReadFile(filepath.Join(s.repo.Objects, "pack", filepath.Base(base)+".keep"))
		if err == nil && bytes.HasPrefix(note, []byte(keepNote)) {
			s.install(base) // should it fail, a merge mends it
		}
	}
	return nil
}

// writeNote makes base.keep. All of them are one file with many names, which was
// synced once: an empty one, as a power cut could leave it, would keep a pack for
// ever that nobody knows for ours.
func (s *Store) writeNote(base string) error {
	name := s.repo.dir("keep")
	text, err := os.ReadFile(name)
	if err == nil && !bytes.HasPrefix(text, []byte(keepNote)) {
		err = cmp.Or(os.Remove(name), fs.ErrNotExist) // no note to go on with
	}
	if err == nil {
		err = os.Link(name, base+".keep")
	}
	if errors.Is(err, fs.ErrNotExist) {
		if err := s.writeObjectFile(name+".tmp", []byte(keepNote+"\n")); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := os.Rename(name+".tmp", name); err != nil {
			return err
		}
		err = os.Link(name, base+".keep")
	}
	if err != nil { // a file system without such links, or a file of another user's
		return s.writeObjectFile(base+".keep", []byte(keepNote+"\n"))
	}
	return nil
}

// writeObjectFile makes a file as git makes its packs, read-only, and syncs it.
func (s *Store) writeObjectFile(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o444)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		f.Close()
		return err
	}
	if err := s.repo.sharing().apply(name); err != nil {
		f.Close()
		return err
	}
	return syncFile(f)
}

// install renames base.keep, base.pack and base.idx into the object database:
// the note first, so that no gc sees the pack without it, and the index last,
// so that no git sees an index without its pack.
func (s *Store) install(base string) error {
	dir := filepath.Join(s.repo.Objects, "pack")
	if err := s.repo.sharing().mkdir(dir); err != nil {
		return s.repo.writeError("write a pack", err)
	}
	for _, ext := range []string{".keep", ".pack", ".idx"} {
		to := filepath.Join(dir, filepath.Base(base)+ext)
		err := os.Rename(base+ext, to)
		if errors.Is(err, fs.ErrNotExist) { // somebody was killed who had begun
			if _, serr := os.Stat(to); serr == nil {
				continue
			}
		}
		if err != nil {
			return s.repo.writeError("write a pack", err)
		}
	}
	if err := syncDir(dir); err != nil {
		return s.repo.writeError("write a pack", err)
	}
	return nil
}

// MaxPacks is how many packs of ours there may be before some are merged, by the process
// whose commit finds so many. While one merges, others go on and add to them.
// 20 kept packs cost the user's git 0.3 ms a command, which is more than a tenth
// of a `git log -1`; 300 cost 4 ms.
const MaxPacks = 10

type packFile struct {
	base string // path without extension
	size int64
}

// ourPacks returns the packs that this package wrote, smallest first. With mend,
// which is for who holds both locks, one without an index gets another: a writer
// was killed, or something removed it. To anybody else it may be a pack that is
// just arriving, or going.
func (s *Store) ourPacks(ctx context.Context, mend bool) ([]packFile, error) {
	bases, err := s.noted()
	if err != nil {
		return nil, err
	}
	var packs []packFile
	for _, base := range bases {
		st, err := os.Stat(base + ".pack")
		if errors.Is(err, fs.ErrNotExist) && mend {
			if _, err := os.Stat(base + ".idx"); errors.Is(err, fs.ErrNotExist) {
				os.Remove(base + ".keep")
			}
		}
		if err != nil {
			continue
		}
		_, err = os.Stat(base + ".idx")
		if errors.Is(err, fs.ErrNotExist) && mend {
			_, err = s.repo.own(ctx, nil, "index-pack", base+".pack")
		}
		if err == nil {
			packs = append(packs, packFile{base, st.Size()})
		}
	}
	slices.SortFunc(packs, func(a, b packFile) int { return cmp.Compare(a.size, b.size) })
	return packs, nil
}

// keeps returns the notes that keep packs, ours and others'.
func (s *Store) keeps() ([]string, error) {
	return filepath.Glob(filepath.Join(globEscape(s.repo.Objects), "pack", "pack-*.keep"))
}

// noted returns the packs, whole or not, that have a note of ours.
func (s *Store) noted() ([]string, error) {
	keeps, err := s.keeps()
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

func globEscape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
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
	noted, err := s.noted()
	if err != nil {
		return s.repo.writeError("read the multi-pack index", err)
	}
	// None of ours, not only without those that go: else each merge would have to
	// write again what may be the index of millions of objects.
	var stay bytes.Buffer
	for _, e := range entries {
		base, ok := strings.CutSuffix(e.Name(), ".idx")
		if ok && !slices.Contains(noted, filepath.Join(dir, base)) && !slices.ContainsFunc(packs, func(p packFile) bool { return filepath.Base(p.base) == base }) {
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
