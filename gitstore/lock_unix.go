//go:build unix

package gitstore

import (
	"io"
	"os"
	"strings"
	"syscall"
)

// moving opens the file of the right to move refs of ours: a kernel lock that the git
// which moves one shares, for it inherits the descriptor. So a lock file which git left can
// be told from one that is in use: the lock ends when both we and that git are gone. The
// note in it, see [note], says which ref is being moved and to where.
func (s *Store) moving() *os.File {
	f, err := os.OpenFile(s.repo.dir("moving"), os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil // then only a lock file's age counts
	}
	return f
}

// claim takes the lock. A note that is there although nobody held it was written by
// somebody who was killed; what their git left is cleared away here. It fails where an
// orphan of ours is still at work, and then the ref's own lock decides. (gofrs/flock does
// not give away its descriptor, hence the call.)
func (s *Store) claim(f *os.File) bool {
	name := s.repo.dir("moving")
	is, err := f.Stat()
	now, nerr := os.Stat(name)
	if err != nil || nerr != nil || !os.SameFile(is, now) { // an uninstall came between
		return false
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return false
	}
	s.repo.sharing().apply(name)
	text, err := io.ReadAll(f)
	if was, oid, ok := strings.Cut(strings.TrimSpace(string(text)), " "); err == nil && ok {
		s.clearKilled(was, oid)
	}
	return f.Truncate(0) == nil
}

// note writes down, just before git gets its orders, what it is about to do.
func note(mark *os.File, ref string, to OID) {
	if mark != nil {
		mark.WriteAt([]byte(ref+" "+to+"\n"), 0)
	}
}
