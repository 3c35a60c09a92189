package gitstore

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

// DefaultLockWait is how long a writer waits for its turn before it gives up
// with an error of kind Locked.
const DefaultLockWait = 10 * time.Second

// lock is the right to write: a kernel lock on agentmail/lock, which ends with
// the process that holds it however that ends. The file is never deleted, for
// a second one of the same name would be a second lock.
type lock struct {
	repo *Repo
	fl   *flock.Flock
}

// holder stands in the lock file for the error message of whoever waits.
type holder struct {
	PID   int       `json:"pid"`
	Who   string    `json:"who"`
	Since time.Time `json:"since"`
}

// acquire waits up to wait for the lock. Waiting is a blocking call with a
// timer beside it: polling would starve writers.
func (s *Store) acquire(ctx context.Context, wait time.Duration) (*lock, error) {
	p := s.perms()
	if err := p.mkdir(s.repo.dir()); err != nil {
		return nil, s.repo.writeError("open the mailbox for writing", err)
	}
	name := s.repo.dir("lock")
	fl := flock.New(name, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o666))
	got := make(chan error, 1)
	go func() { got <- fl.Lock() }()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var err error
	select {
	case err = <-got:
	case <-ctx.Done():
		err = ctx.Err()
		go release(got, fl)
		return nil, err
	case <-timer.C:
		go release(got, fl)
		return nil, s.busy(name, wait)
	}
	if err != nil {
		return nil, s.repo.writeError("open the mailbox for writing", err)
	}
	p.apply(name, p.file)
	if data, err := json.Marshal(holder{os.Getpid(), s.opt.Who, s.opt.Now().UTC()}); err == nil {
		os.WriteFile(name, data, 0o666) // for messages only; its loss is harmless
	}
	return &lock{s.repo, fl}, nil
}

// release gives back a lock that arrives after nobody waits for it any more.
func release(got <-chan error, fl *flock.Flock) {
	if <-got == nil {
		fl.Unlock()
	}
}

func (l *lock) release() { l.fl.Unlock() }

func (s *Store) busy(name string, wait time.Duration) error {
	var h holder
	if readJSON(name, &h) == nil && h.PID != 0 {
		return errf(Locked, "another process is writing (pid %d, %s, for %s); gave up after %s, nothing was written",
			h.PID, orElse(h.Who, "unnamed"), s.opt.Now().Sub(h.Since).Round(time.Second), wait)
	}
	return errf(Locked, "another process holds %q; gave up after %s, nothing was written", name, wait)
}

func orElse(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

// staleRefLock is the age from which a lock file on our own log's ref is taken
// for the remains of a killed git, while we hold the lock on the mailbox.
const staleRefLock = 60 * time.Second

// clearRefLock removes <ref>.lock if whoever made it is certainly gone, and
// reports whether it did. Certain is: the note in agentmail/moving says that an
// earlier writer of ours was moving this ref, the kernel lock that its git
// inherited is free, and the lock file holds what that git would have written.
// Otherwise only age counts, for it may belong to a git of the user's.
func (s *Store) clearRefLock(ref string) (cleared bool, path string, age time.Duration) {
	path = filepath.Join(s.repo.CommonDir, filepath.FromSlash(ref)) + ".lock"
	st, err := os.Stat(path)
	if err != nil {
		return false, "", 0
	}
	age = s.opt.Now().Sub(st.ModTime())
	ours := false
	if note, err := os.ReadFile(s.repo.dir("moving")); err == nil && len(note) > 0 && flockFree(s.repo.dir("moving")) {
		data, err := os.ReadFile(path)
		text := strings.TrimSpace(string(data))
		ours = err == nil && strings.HasPrefix(strings.TrimSpace(string(note)), text)
	}
	if !ours && age < staleRefLock {
		return false, path, age
	}
	if err := os.Remove(path); err != nil {
		return false, path, age
	}
	s.opt.Report("removed " + path + ", left by a git process that was killed")
	return true, path, age
}
