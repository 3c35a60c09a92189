package gitstore

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
)

// findLost looks in our packs for the newest commit of a replica's log. It is
// asked only for a clone that has an identity but neither a ref nor a memory of
// one: it failed, or was killed, in its first write, or something removed both.
// Then what is stored must be found again, for "not found" is not "no mail yet".
// A commit counts that another follows: the ref was there once. nil means that
// there is none; whoever writes takes a new identity then, so that no history
// begins over an old one.
func (s *Store) findLost(ctx context.Context, replica string) (*tip, error) {
	packs, err := s.ourPacks(false)
	if err != nil || len(packs) == 0 {
		return nil, err
	}
	var ids bytes.Buffer
	for _, p := range packs {
		list, err := s.packed(p)
		if err != nil {
			return nil, err
		}
		for _, oid := range list {
			ids.WriteString(oid + "\n")
		}
	}
	out, err := s.repo.own(ctx, ids.Bytes(), "cat-file", "--batch-check=%(objecttype) %(objectname)")
	if err != nil {
		return nil, gitFailure("look for the log "+logRef(replica), err)
	}
	var commits []OID
	for line := range strings.SplitSeq(string(out), "\n") {
		if oid, ok := strings.CutPrefix(line, "commit "); ok {
			commits = append(commits, oid)
		}
	}
	parent := map[OID]OID{}
	follows := map[OID]bool{} // has a commit after it
	if err := s.objects.each(commits, func(i int, ob object) error {
		for _, p := range parseCommit(ob.data).parents {
			parent[commits[i]] = p
			follows[p] = true
		}
		return nil
	}); err != nil {
		return nil, err
	}
	// A writer that lost a race, or was killed, leaves a commit that the log did
	// not go on from. The log is the longest chain.
	var best *tip
	longest := 1
	for _, oid := range commits {
		if follows[oid] {
			continue
		}
		n := 0
		for at := oid; at != ""; at = parent[at] {
			n++
		}
		if n <= longest {
			continue
		}
		t, err := s.load(oid)
		if err != nil {
			return nil, err
		}
		if t.Header.Replica == replica {
			best, longest = t, n
		}
	}
	return best, nil
}

// sized lets go-git compare the size of an index with what it says is in it
// before any memory is taken for that.
type sized struct {
	io.Reader
	file *os.File
}

func (s sized) Stat() (fs.FileInfo, error) { return s.file.Stat() }

// packed returns the names of the objects in a pack of ours.
func (s *Store) packed(p packFile) ([]OID, error) {
	f, err := os.Open(p.base + ".idx")
	if err != nil {
		return nil, s.repo.writeError("read a pack's index", err)
	}
	defer f.Close()
	index := idxfile.NewMemoryIndex()
	if err := idxfile.NewDecoder(sized{bufio.NewReader(f), f}).Decode(index); err != nil {
		return nil, errf(Damaged, "the index of the pack %q is broken: %w", p.base, err)
	}
	entries, err := index.Entries()
	if err != nil {
		return nil, errf(Damaged, "the index of the pack %q is broken: %w", p.base, err)
	}
	defer entries.Close()
	var oids []OID
	for {
		e, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return oids, nil
		}
		if err != nil {
			return nil, errf(Damaged, "the index of the pack %q is broken: %w", p.base, err)
		}
		oids = append(oids, e.Hash.String())
	}
}
