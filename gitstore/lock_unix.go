//go:build unix

package gitstore

import (
	"io"
	"os"
	"strings"
	"syscall"
)

// moving takes the right to move refs of ours: a kernel lock that the git which
// moves one inherits, so that a lock file which git left can be told from one that
// is in use, for it ends when both we and that git are gone. The note in it, see
// [note], says which ref is being moved and to where. One that is there although
// nobody holds the lock was written by somebody who was killed; what their git left
// is cleared away here. (gofrs/flock does not give away its descriptor, hence the
// call.)
func (s *Store) moving() *os.File {
	name := s.repo.dir("moving")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil // then only a lock file's age counts
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close() // an orphan of ours is still at work; the ref's own lock decides
		return nil
	}
	s.repo.sharing().apply(name)
	text, err := io.ReadAll(f)
	if was, oid, ok := strings.Cut(strings.TrimSpace(string(text)), " "); err == nil && ok {
		s.clearKilled(was, oid)
	}
	if err := f.Truncate(0); err != nil {
		f.Close()
		return nil
	}
	return f
}

// note writes down, just before git gets its orders, what it is about to do.
func note(mark *os.File, ref string, to OID) {
	if mark != nil {
		mark.WriteAt([]byte(ref+" "+to+"\n"), 0)
	}
}
