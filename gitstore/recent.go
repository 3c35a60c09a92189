package gitstore

import (
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
)

// recent are objects that the next write will ask for: the newest commit of the own log
// and the trees on the way to where it writes. Every write makes them, so it keeps them in
// a cache file, and a writer who finds them there starts no git to read them, while others
// wait for the lock. They go by their names, which are hashes of what they hold: nothing
// wrong can be found, only nothing.
type recent map[OID]object

const (
	recentFile  = "newest"
	recentMagic = "git-agentmail newest 1 "
	// More than this is not kept: to read and to hash it would take as long as git does.
	recentLimit = 256 << 10
)

// readRecent reads the cache file. It holds only while the pack that was written with it is
// there: an object that is missing from the repository must not seem to be in it.
func (s *Store) readRecent() (known recent, pack string) {
	data, err := os.ReadFile(s.repo.CachePath(recentFile))
	if err != nil || len(data) > 2*recentLimit {
		return nil, ""
	}
	head, rest, _ := bytes.Cut(data, []byte("\n"))
	pack, ok := strings.CutPrefix(string(head), recentMagic)
	if !ok || !s.hasPack(pack) {
		return nil, ""
	}
	known = recent{}
	for len(rest) > 0 {
		head, rest, _ = bytes.Cut(rest, []byte("\n"))
		word, count, _ := strings.Cut(string(head), " ")
		n, err := strconv.Atoi(count)
		kind, kerr := plumbing.ParseObjectType(word)
		if err != nil || kerr != nil || n < 0 || n > len(rest) {
			return nil, ""
		}
		oid := plumbing.ComputeHash(kind, rest[:n]).String()
		known[oid], rest = object{oid, word, rest[:n]}, rest[n:]
	}
	return known, pack
}

// Recall is for who is about to read what a write needs: what the last one needed is read
// without git, and what has to be asked of git is kept for the next.
func (s *Store) Recall() {
	s.freshen()
	s.objects.attend()
}

// freshen brings into memory what the newest write has left. What this process has read or
// written itself it does not read again: a server writes some hundred times a second.
func (s *Store) freshen() {
	s.recalled.Lock()
	defer s.recalled.Unlock()
	if is, err := os.Stat(s.repo.CachePath(recentFile)); err == nil && s.recalled.same(is) && s.packStands(s.recalled.pack) {
		return
	}
	known, pack := s.readRecent()
	s.objects.setRecent(known)
	s.keptIs(pack)
}

// recalled says which file what is kept in memory was read from, or written to.
type recalled struct {
	sync.Mutex
	file os.FileInfo
	pack string
}

func (r *recalled) same(is os.FileInfo) bool {
	return r.file != nil && os.SameFile(is, r.file) && is.ModTime().Equal(r.file.ModTime()) && is.Size() == r.file.Size()
}

// keptIs notes that what is in memory is in the file too. Should another writer have
// replaced the file by now, what is in memory is older, and not wrong.
func (s *Store) keptIs(pack string) {
	s.recalled.file, s.recalled.pack = nil, pack
	if pack != "" {
		s.recalled.file, _ = os.Stat(s.repo.CachePath(recentFile))
	}
}

// packStands reports whether a pack that was whole before is there still.
func (s *Store) packStands(sum string) bool {
	for _, ext := range []string{".pack", ".idx"} {
		if _, err := os.Stat(filepath.Join(s.repo.Objects, "pack", "pack-"+sum+ext)); err != nil {
			return false
		}
	}
	return true
}

// hasPack reports whether a pack of ours is there and whole, by the hash in its name: who
// goes on from a commit without reading it must not go on from one that is broken.
func (s *Store) hasPack(sum string) bool {
	if !isOID(sum) {
		return false
	}
	whole := func(ext string) (hash string, ok bool) {
		data, err := os.ReadFile(filepath.Join(s.repo.Objects, "pack", "pack-"+sum+ext))
		if n := len(data) - sha1.Size; err == nil && n > 0 && n < 4*recentLimit {
			got := sha1.Sum(data[:n]) // both end with the hash of all before
			return hex.EncodeToString(got[:]), bytes.Equal(got[:], data[n:])
		}
		return "", false
	}
	hash, ok := whole(".pack")
	_, indexed := whole(".idx")
	return ok && indexed && hash == sum
}

// keepRecent makes of what was known, and of what a write has read and written, what the
// next one will ask for. pack is the hash in the name of the pack with it.
func (s *Store) keepRecent(n *newObjects, pack string) {
	known := s.objects.remembered() // other calls read and write it meanwhile
	for _, oid := range n.replaced {
		delete(known, oid)
	}
	for _, ob := range n.list {
		if ob.kind == plumbing.TreeObject || ob.kind == plumbing.CommitObject {
			oid := ob.hash.String()
			known[oid] = object{oid, ob.kind.String(), ob.data}
		}
	}
	if known.size() > recentLimit { // among it is what nobody asked for any more
		maps.DeleteFunc(known, func(oid OID, _ object) bool { return !n.known[plumbing.NewHash(oid)] })
	}
	if known.size() > recentLimit {
		known = nil
	}
	s.objects.setRecent(known)
	s.saveRecent(known, pack)
}

func (r recent) size() (n int) {
	for _, ob := range r {
		n += len(ob.data)
	}
	return n
}

// recentPack returns the hash in the name of the pack without which the cache file does not
// hold, "" if there is none.
func (s *Store) recentPack() string {
	data, err := os.ReadFile(s.repo.CachePath(recentFile))
	head, _, _ := strings.Cut(string(data), "\n")
	pack, ok := strings.CutPrefix(head, recentMagic)
	if err != nil || !ok {
		return ""
	}
	return pack
}

// saveRecent writes what the next writer will ask for, which is in a pack.
func (s *Store) saveRecent(known recent, pack string) {
	if len(known) == 0 {
		os.Remove(s.repo.CachePath(recentFile)) // should it stay, it is not wrong, only of no use
		return
	}
	data := []byte(recentMagic + pack + "\n")
	for _, ob := range known {
		data = append(fmt.Appendf(data, "%s %d\n", ob.kind, len(ob.data)), ob.data...)
	}
	s.WriteCache(recentFile, data)
	s.recalled.Lock()
	defer s.recalled.Unlock()
	s.keptIs(pack)
}
