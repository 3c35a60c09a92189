package gitstore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
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

// acquire waits up to wait for the lock.
func (s *Store) acquire(ctx context.Context, wait time.Duration, create bool) (*lock, error) {
	return s.acquireFile(ctx, "lock", wait, create)
}

// acquireFile waits for the lock on a file of the store's own directory. Waiting is a blocking call with a
// timer beside it: polling would starve writers. Without a wait it is taken at once or
// not at all. Without create it fails where there is no mailbox.
func (s *Store) acquireFile(ctx context.Context, name string, wait time.Duration, create bool) (*lock, error) {
	name = s.repo.dir(name)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for made := 0; ; made++ {
		flag := os.O_RDWR
		if create {
			flag |= os.O_CREATE
			if _, err := os.Stat(s.repo.dir()); err != nil { // else nobody need ask git how it is shared
				if err := s.repo.sharing().mkdir(s.repo.dir()); err != nil {
					return nil, s.repo.writeError("open the mailbox for writing", err)
				}
			}
		}
		fl := flock.New(name, flock.SetFlag(flag), flock.SetPermissions(0o666))
		var err error
		if wait > 0 {
			if err = s.await(ctx, fl, timer); err != nil && (ctx.Err() != nil || KindOf(err) == Locked) {
				return nil, err
			}
		} else {
			var ok bool
			if ok, err = fl.TryLock(); err == nil && !ok {
				return nil, s.busy(name)
			}
		}
		if err != nil {
			if create && made == 0 && errors.Is(err, fs.ErrNotExist) {
				continue // the directory went meanwhile
			}
			return nil, s.repo.writeError("open the mailbox for writing", err)
		}
		// An uninstall removes the file that we waited for. What we hold then is
		// no lock to anybody else.
		held, err := fl.Stat()
		now, nerr := os.Stat(name)
		if err != nil || nerr != nil || !os.SameFile(held, now) {
			fl.Unlock()
			continue
		}
		if held.Size() == 0 { // or somebody has had it before
			s.repo.sharing().apply(name)
		}
		if data, err := json.Marshal(holder{os.Getpid(), s.opt.Who, s.opt.Now().UTC()}); err == nil {
			writeHolder(name, data, held.Size())
		}
		return &lock{s.repo, fl}, nil
	}
}

// writeHolder writes into a lock file who holds it: for messages only, so that its loss is harmless,
// and for the time, see clearRefLock. It is written over in place and never made shorter, for ext4
// writes a file that was emptied to the disk when it is closed, which takes a millisecond.
func writeHolder(name string, data []byte, size int64) {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer f.Close()
	f.Write(append(data, bytes.Repeat([]byte(" "), max(0, int(size)-len(data)))...))
}

// await waits for a lock.
func (s *Store) await(ctx context.Context, fl *flock.Flock, timer *time.Timer) error {
	got := make(chan error, 1)
	go func() { got <- fl.Lock() }()
	select {
	case err := <-got:
		return err
	case <-ctx.Done():
		go release(got, fl)
		return ctx.Err()
	case <-timer.C:
		go release(got, fl)
		return s.busy(fl.Path())
	}
}

// release gives back a lock that arrives after nobody waits for it any more.
func release(got <-chan error, fl *flock.Flock) {
	if <-got == nil {
		fl.Unlock()
	}
}

func (l *lock) release() { l.fl.Unlock() }

func (s *Store) busy(name string) error {
	doing := "writing"
	switch filepath.Base(name) {
	case mergeLock:
		doing = "merging packs"
	case syncLock:
		doing = "exchanging mail with a remote"
	}
	var h holder
	if readJSON(name, &h) == nil && h.PID != 0 {
		return errf(Locked, "another process is %s (pid %d, %s, for %s); gave up after %s, nothing was written",
			doing, h.PID, orElse(h.Who, "unnamed"), s.opt.Now().Sub(h.Since).Round(time.Second), s.opt.LockWait)
	}
	return errf(Locked, "another process holds %q; gave up after %s, nothing was written", name, s.opt.LockWait)
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

// clearRefLock removes <ref>.lock if it is old, and reports whether it did. A
// younger one may belong to a git of the user's. Ages are by the clock of the
// file system, whose newest reading is when we wrote our own lock file.
func (s *Store) clearRefLock(ref string) (cleared bool, path string, age time.Duration) {
	return s.clearRefLockFrom(ref, staleRefLock)
}

// clearRefLockFrom does it from an age on.
func (s *Store) clearRefLockFrom(ref string, stale time.Duration) (cleared bool, path string, age time.Duration) {
	path = s.refLock(ref)
	st, err := os.Stat(path)
	if err != nil {
		return false, "", 0
	}
	now, err := os.Stat(s.repo.dir("lock"))
	if err != nil {
		return false, path, 0
	}
	age = max(0, now.ModTime().Sub(st.ModTime()))
	if age < stale || os.Remove(path) != nil {
		return false, path, age
	}
	s.reportCleared(path)
	return true, path, age
}

// clearKilled removes the lock file that a git left which was killed while it
// moved ref to oid for us. It is told by its contents. A git that was killed
// before it wrote them leaves an empty one; a living git has an empty one as
// well, but for an instant, so one that stays is removed.
func (s *Store) clearKilled(ref string, oid OID) {
	if !strings.HasPrefix(ref, logPrefix) {
		return
	}
	path := s.refLock(ref)
	first, err := os.Stat(path)
	for range 50 {
		data, rerr := os.ReadFile(path)
		st, serr := os.Stat(path)
		if err != nil || rerr != nil || serr != nil || !os.SameFile(first, st) || !first.ModTime().Equal(st.ModTime()) {
			return // gone, or somebody is at work
		}
		if text := strings.TrimSpace(string(data)); text == oid {
			break
		} else if text != "" {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	if os.Remove(path) == nil {
		s.reportCleared(path)
	}
}

func (s *Store) refLock(ref string) string {
	return filepath.Join(s.repo.CommonDir, filepath.FromSlash(ref)) + ".lock"
}

func (s *Store) reportCleared(path string) {
	s.opt.Report("removed " + path + ", left by a git process that was killed")
}
