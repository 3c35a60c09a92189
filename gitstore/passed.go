package gitstore

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// passedFile says what the commits were that a truncated log had and that readers of this
// clone stand at: they go on by the numbers of the records, for the commits go.
//
//	git-agentmail passed 1
//	<replica> <commit> <greatest number of a record> <seconds since 1970>
const (
	passedFile  = "passed"
	passedMagic = "git-agentmail passed 1"
)

// passedCommits is how many commits of a log are noted besides those that cursors name: a
// process that follows what happens is a few behind.
const passedCommits = 256

// Passed is where a reader stands in a log that was truncated since.
type Passed struct {
	Seq int64     // the greatest number of a record that it is through with
	At  time.Time // when that was written, by the owner's clock
}

func (s *Store) readPassed() map[string]map[OID]Passed {
	all := map[string]map[OID]Passed{}
	data, _ := os.ReadFile(s.repo.dir(passedFile)) // without it such a log counts from now on
	rest, ok := strings.CutPrefix(string(data), passedMagic+"\n")
	if !ok {
		return all
	}
	for line := range strings.Lines(rest) {
		w := strings.Fields(line)
		if len(w) != 4 || !isReplica(w[0]) || !isOID(w[1]) {
			continue
		}
		seq, err := strconv.ParseInt(w[2], 10, 64)
		at, terr := strconv.ParseInt(w[3], 10, 64)
		if err == nil && terr == nil {
			if all[w[0]] == nil {
				all[w[0]] = map[OID]Passed{}
			}
			all[w[0]][w[1]] = Passed{seq, time.Unix(at, 0)}
		}
	}
	return all
}

// notePassed adds to the file what readers may need of logs that are about to move. What no
// cursor names any more goes from it.
func (s *Store) notePassed(steps map[string]step) error {
	steps = maps.Clone(steps)
	maps.DeleteFunc(steps, func(_ string, st step) bool { return st.from.Header.Base.Epoch >= st.to.Header.Base.Epoch })
	if len(steps) == 0 {
		return nil
	}
	cursors, err := s.cursorTips()
	if err != nil {
		return err
	}
	all := s.readPassed()
	for replica, st := range steps {
		had := all[replica]
		all[replica] = map[OID]Passed{}
		for _, oid := range cursors[replica] {
			if p, ok := had[oid]; ok {
				all[replica][oid] = p
			} else if data, err := s.objects.one(oid, "commit"); err == nil {
				s.pass(all[replica], oid, parseCommit(data))
			}
		}
		at := st.from.OID
		for range passedCommits {
			data, err := s.objects.one(at, "commit")
			if err != nil {
				break
			}
			c := parseCommit(data)
			s.pass(all[replica], at, c)
			if len(c.parents) == 0 {
				break
			}
			at = c.parents[0]
		}
	}
	b := []byte(passedMagic + "\n")
	for replica, list := range all {
		for oid, p := range list {
			b = fmt.Appendf(b, "%s %s %d %d\n", replica, oid, p.Seq, p.At.Unix())
		}
	}
	return s.repo.sharing().write(s.repo.dir("tmp"), s.repo.dir(passedFile), b, true)
}

func (s *Store) pass(list map[OID]Passed, oid OID, c commit) {
	trailers := c.trailers()
	if trailers[SeqTrailer] == "" {
		_, trailers, _ = s.newest(oid)
	}
	list[oid] = Passed{seqOf(trailers), c.authored()}
}

// cursorTips returns the commits that the cursors of this clone stand at, by log.
func (s *Store) cursorTips() (map[string][]OID, error) {
	entries, err := os.ReadDir(s.repo.dir(cursorsDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	tips := map[string][]OID{}
	for _, e := range entries {
		data, err := os.ReadFile(s.repo.dir(cursorsDir, e.Name()))
		if err != nil {
			continue // its owner replaces it, or it is none of ours
		}
		if c, ok := parseCursor(string(data)); ok {
			logs, _ := c.Version.logs()
			for replica, oid := range logs {
				if !slices.Contains(tips[replica], oid) {
					tips[replica] = append(tips[replica], oid)
				}
			}
		}
	}
	return tips, nil
}
