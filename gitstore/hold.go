package gitstore

import (
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

// Hold takes a kernel lock on a cache file for as long as this process lives,
// or until release is called. Others ask with [Repo.Held] whether the process
// that wrote the file is still there.
func (s *Store) Hold(name string) (release func(), err error) {
	path := s.repo.CachePath(name)
	if err := s.repo.sharing().mkdir(filepath.Dir(path)); err != nil {
		return nil, s.repo.writeError("mark "+name, err)
	}
	fl := flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o666))
	ok, err := fl.TryLock()
	if err != nil {
		return nil, s.repo.writeError("mark "+name, err)
	}
	s.repo.sharing().apply(path) // others ask by it whether we live
	if !ok {
		return nil, errf(Locked, "%q is held by another process", path)
	}
	return func() { fl.Unlock() }, nil
}

// Held reports whether a living process holds the cache file.
func (r *Repo) Held(name string) bool { return r.heldFile(r.CachePath(name)) }

func (r *Repo) heldFile(path string) bool {
	if _, err := os.Stat(path); err != nil {
		return false
	}
	fl := flock.New(path, flock.SetFlag(os.O_RDONLY))
	ok, err := fl.TryLock()
	if ok {
		fl.Unlock()
	}
	return err == nil && !ok
}
