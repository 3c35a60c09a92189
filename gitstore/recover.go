package gitstore

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"strings"
)

// findLost looks in our packs for the newest commit of a replica's log. It is
// asked only for a clone that has an identity but neither a ref nor a memory of
// one: it failed, or was killed, in its first write, or something removed both.
// Then what is stored must be found again, for "not found" is not "no mail yet".
// A commit counts that another follows: the ref was there once. nil means that
// there is none; whoever writes takes a new identity then, so that no history
// begins over an old one.
func (s *Store) findLost(ctx context.Context, replica string) (*tip, error) {
	packs, err := s.ourPacks(ctx, false)
	if err != nil || len(packs) == 0 {
		return nil, err
	}
	var ids bytes.Buffer
	for _, p := range packs {
		list, err := s.packed(p)
		if errors.Is(err, fs.ErrNotExist) { // it was merged meanwhile
			return s.findLost(ctx, replica)
		}
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
	// not go on from. The log is the longest chain; where it was truncated it may be one
	// commit, which counts if no older epoch went on.
	var best *tip
	longest, newest := 0, int64(0)
	for _, oid := range commits {
		if follows[oid] {
			continue
		}
		n := 0
		for at := oid; at != ""; at = parent[at] {
			n++
		}
		t, err := s.load(oid)
		if n == 1 && KindOf(err) == Damaged {
			continue // no log
		}
		if err != nil {
			return nil, err
		}
		if t.Header.Replica != replica || n == 1 && t.Header.Base.Epoch == 0 {
			continue
		}
		_, trailers, err := s.newest(oid)
		if err != nil {
			return nil, err
		}
		seq := seqOf(trailers)
		later := best == nil || n > longest
		if best != nil && best.Header.Base.Epoch != t.Header.Base.Epoch {
			later = cmp.Or(cmp.Compare(seq, newest), cmp.Compare(t.Header.Base.Epoch, best.Header.Base.Epoch)) > 0
		}
		if later {
			best, longest, newest = t, n, seq
		}
	}
	return best, nil
}

// packed returns the names of the objects in a pack, out of its index. That is
// read here, see gitformat-pack(5), because a merge asks for ten of them, which
// would be ten processes; and go-git knows only the second of the two versions.
func (s *Store) packed(p packFile) ([]OID, error) {
	idx, err := os.ReadFile(p.base + ".idx")
	if err != nil {
		return nil, s.repo.writeError("read a pack's index", err)
	}
	// A table of 256 counts, the last of which is of all, then the names: in the
	// first version each behind four bytes, in the second all in a row.
	head, row := 0, 24
	if bytes.HasPrefix(idx, []byte("\377tOc\x00\x00\x00\x02")) {
		head, row = 8, 20
	}
	table := head + 256*4
	if len(idx) < table {
		return nil, errf(Damaged, "the index of the pack %q is broken", p.base)
	}
	n := int(binary.BigEndian.Uint32(idx[table-4:]))
	if len(idx) < table+n*row {
		return nil, errf(Damaged, "the index of the pack %q is broken", p.base)
	}
	oids := make([]OID, n)
	for i := range oids {
		end := table + (i+1)*row
		oids[i] = hex.EncodeToString(idx[end-20 : end])
	}
	return oids, nil
}
