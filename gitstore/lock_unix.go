//go:build unix

package gitstore

import (
	"os"
	"syscall"
)

// moving marks that a ref of ours is being moved: the note says to where, and
// the kernel lock is inherited by the git that moves it. It ends when both we
// and that git are gone, so a lock file that git left can be told from one that
// is in use. (gofrs/flock does not give away its descriptor, hence the call.)
func (s *Store) moving(to OID) (*os.File, error) {
	f, err := os.OpenFile(s.repo.dir("moving"), os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o666)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close() // an orphan of ours is still at work; the ref's own lock decides
		return nil, nil
	}
	if _, err := f.WriteString(to + "\n"); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func flockFree(name string) bool {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}
