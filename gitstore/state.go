package gitstore

import (
	"context"
	"errors"
	"io/fs"
	"os"
)

// State returns a file of the store's own directory that no log holds: what this clone
// alone knows. It is nil if there is none.
func (s *Store) State(name string) ([]byte, error) {
	data, err := os.ReadFile(s.repo.dir(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, errf(ReadOnly, "read %q: %w", s.repo.dir(name), err)
	}
	return data, nil
}

// ChangeState replaces such a file by what change makes of it, one process at a time. It
// is not called from within a transaction, which has the same lock.
func (s *Store) ChangeState(ctx context.Context, name string, change func(old []byte) ([]byte, error)) error {
	l, err := s.acquire(ctx, s.opt.LockWait, true)
	if err != nil {
		return err
	}
	defer l.release()
	old, err := s.State(name)
	if err != nil {
		return err
	}
	data, err := change(old)
	if err != nil {
		return err
	}
	if err := s.repo.sharing().write(s.repo.dir("tmp"), s.repo.dir(name), data, true); err != nil {
		return s.repo.writeError("write "+name, err)
	}
	return nil
}
