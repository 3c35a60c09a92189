//go:build unix

package gitstore

import (
	"io"
	"os"
	"strings"
	"syscall"
)

// moving marks that a ref of ours is being moved: the note says which and to
// where, and the kernel lock is inherited by the git that moves it. It ends when
// both we and that git are gone, so a lock file that git left can be told from
// one that is in use. A note that is there although nobody holds the lock was
// written by somebody who was killed; what their git left is cleared away here.
// (gofrs/flock does not give away its descriptor, hence the call.)
func (s *Store) moving(ref string, to OID) *os.File {
	name := s.repo.dir("moving")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil // then only a lock file's age counts
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close() // an orphan of ours is still at work; the ref's own lock decides
		return nil
	}
	p := s.perms()
	p.apply(name, p.file)
	note, err := io.ReadAll(f)
	if was, oid, ok := strings.Cut(strings.TrimSpace(string(note)), " "); err == nil && ok {
		s.clearKilled(was, oid)
	}
	if err = f.Truncate(0); err == nil {
		_, err = f.WriteAt([]byte(ref+" "+to+"\n"), 0)
	}
	if err != nil {
		f.Close()
		return nil
	}
	return f
}
