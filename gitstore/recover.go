package gitstore

import (
	"bytes"
	"context"
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
	packs, err := s.ourPacks(false)
	if err != nil || len(packs) == 0 {
		return nil, err
	}
	var ids bytes.Buffer
	for _, p := range packs {
		list, err := s.packed(ctx, p)
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

// packed returns the names of the objects in a pack.
func (s *Store) packed(ctx context.Context, p packFile) ([]OID, error) {
	idx, err := os.ReadFile(p.base + ".idx")
	if err != nil {
		return nil, s.repo.writeError("read a pack's index", err)
	}
	out, err := s.repo.own(ctx, idx, "show-index")
	if err != nil {
		return nil, gitFailure("read a pack's index", err)
	}
	var oids []OID
	for line := range strings.SplitSeq(string(out), "\n") {
		if f := strings.Fields(line); len(f) >= 2 {
			oids = append(oids, f[1])
		}
	}
	return oids, nil
}
