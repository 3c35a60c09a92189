// Package gitstore keeps write-once files in a git repository beside its
// branches.
//
// # What it stores
//
// Each clone (a replica) writes a log of its own: a chain of commits on
// refs/agentmail/log/<replica> whose tree only ever grows. A [Snapshot] is the
// union of all logs in the repository, so merging logs needs no merge. The
// package knows nothing of what the files mean.
//
// # How it writes
//
// [Store.Update] is the only way to write: it takes a lock, runs the caller's
// function on the newest snapshot, puts blobs, trees and commit into the object
// database as one kept pack, and moves the ref with `git update-ref` and the old
// value. When it returns, the files survive a power cut. The user's index, HEAD,
// branches and work tree are never touched.
//
// # Compatibility
//
// It is the only package that runs git or touches refs. git 2.36 or newer is
// needed; repositories with sha256 objects or reftable refs are refused. The
// format of the logs is described in doc/FORMAT.md.
package gitstore

import (
	"compress/zlib"
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"sync"
	"time"
)

// Options are what a Store takes from outside. The zero value works.
type Options struct {
	Now  func() time.Time
	Rand func([]byte) // fills with random bytes; nil means crypto/rand
	// Who is shown to a writer that finds the lock taken.
	Who string
	// LockWait bounds the wait for the lock and for git's own ref lock; 0 means
	// DefaultLockWait.
	LockWait time.Duration
	// Ephemeral marks a clone that will be thrown away (CI).
	Ephemeral bool
	// RefPrefix comes before agentmail.refPrefix; see [Store.RefPrefix].
	RefPrefix string
	// Lives says that the process goes on after a write: nobody waits for the packs that
	// are merged then but Close.
	Lives bool
	// Trust says which logs of others are believed; nil is the zero Trust. It is asked with
	// each exchange, and its error ends that.
	Trust func(context.Context) (Trust, error)
	// AfterCommit runs under the lock after each commit, which added created to
	// before and made after.
	AfterCommit func(before, after *Snapshot, created []File)
	// Report receives notes about something that was put right, or could not be. Several
	// goroutines may call it.
	Report func(string)
}

// Store reads and writes the logs of one repository. It is safe for use by
// several goroutines, and by several processes at once.
type Store struct {
	repo    *Repo
	opt     Options
	objects objects

	wide sync.Map // when all branches of a remote were last looked at

	archiveLock sync.Mutex
	archives    map[OID]map[string]OID // what is in them, by commit; nil before it was read

	mu      sync.Mutex
	queue   []*op // waiting for the next commit
	leading bool  // a goroutine is committing

	writing  sync.Mutex // of who waits for the lock to write a commit, or holds it
	recalled recalled
	merging  sync.WaitGroup // merges of packs that this process does

	// Of whoever holds the lock.
	deflate *zlib.Writer
	ready   *move // a git that was started for the next commit
}

// Open returns the store of the repository. It reads nothing and makes nothing.
func Open(repo *Repo, opt Options) *Store {
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Rand == nil {
		opt.Rand = cryptoRand
	}
	if opt.LockWait == 0 {
		opt.LockWait = DefaultLockWait
	}
	if opt.Report == nil {
		opt.Report = func(string) {}
	}
	if opt.AfterCommit == nil {
		opt.AfterCommit = func(_, _ *Snapshot, _ []File) {}
	}
	s := &Store{repo: repo, opt: opt}
	s.objects.repo = repo
	return s
}

// Repo returns the repository the store is in.
func (s *Store) Repo() *Repo { return s.repo }

// Close waits for the packs that are being merged and ends the git process that reads
// objects. The store stays usable.
func (s *Store) Close() {
	s.merging.Wait()
	s.objects.close()
}

// Exists reports whether this repository was ever set up for, or received,
// mail: it costs two look-ups and no git process.
func (s *Store) Exists() (bool, error) {
	if _, err := os.Stat(s.repo.dir()); err == nil {
		return true, nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return false, errf(ReadOnly, "look for the mailbox: %w", err)
	}
	tips, err := s.repo.logTips()
	return len(tips) > 0, err
}

// Snapshot pins the present contents. A ref of ours that vanished or was set
// back since it was last accepted is restored first; where it cannot be, the
// snapshot still shows what was accepted. How far a fetched log goes is written down,
// if nobody holds the lock.
func (s *Store) Snapshot(ctx context.Context) (*Snapshot, error) {
	v, err := s.look(ctx)
	if err != nil || len(v.back) == 0 && !v.news {
		return v.sn, err
	}
	wait := restoreWait
	if len(v.back) == 0 {
		wait = noteWait
	}
	// Best effort: a reader without the right to write, or one beside a writer,
	// goes on with the accepted state in memory.
	if l, err := s.acquire(ctx, wait, false); err == nil {
		s.restore(ctx, v.sn, v.back, restoreWait)
		s.note(v)
		l.release()
	}
	return v.sn, nil
}

// restoreWait bounds what restoring a ref may cost somebody who only reads, noteWait what
// writing down the tips may: a writer does that as well.
const (
	restoreWait = 100 * time.Millisecond
	noteWait    = 0
)

// view is what the refs say beside what was last accepted.
type view struct {
	sn    *Snapshot
	back  map[string]OID  // refs that have to be restored, with their present value
	known map[string]*tip // as last accepted
	news  bool            // a log is new or has grown, by a fetch
}

// note writes down what was fetched: else every reader until the next write would ask git
// again whether the logs lead on, a process for each, and a log that was shown would be
// gone with its ref. The caller holds the lock.
func (s *Store) note(v view) {
	if !v.news {
		return
	}
	known, err := s.repo.readTips()
	// A write, or an uninstall, may have come between.
	if err != nil || !maps.EqualFunc(known, v.known, func(a, b *tip) bool { return a.OID == b.OID }) {
		return
	}
	refs, err := s.repo.logTips()
	for replica := range v.sn.logs {
		if _, there := refs[replica]; !there && v.known[replica] == nil {
			return
		}
	}
	if err == nil {
		s.remember(v.sn)
	}
}

// look reads what the refs say and compares it with what was last accepted.
func (s *Store) look(ctx context.Context) (v view, err error) {
	own, err := s.repo.replica()
	if err != nil {
		return v, err
	}
	// The tips first: a writer moves the ref and then writes the file, so in
	// this order the ref is never seen behind the file without reason.
	known, err := s.repo.readTips()
	if err != nil {
		return v, err
	}
	refs, err := s.repo.logTips()
	if err != nil {
		return v, err
	}
	sn := &Snapshot{store: s, own: own, logs: make(map[string]*tip, len(refs))}
	back := map[string]OID{}
	news := false
	for replica, oid := range refs {
		k := known[replica]
		if k != nil && k.OID == oid {
			sn.logs[replica] = k
			continue
		}
		if k != nil {
			forward, err := s.leadsOn(ctx, k.OID, oid)
			switch {
			case err == nil:
				news = news || forward
			case ctx.Err() != nil:
				return v, ctx.Err()
			case s.gone(k.OID):
				forward = true // what we remember is gone; the ref is all there is
			case s.gone(oid):
				return v, errf(Damaged, "the ref %s names the object %s, which is missing from the repository or broken", logRef(replica), oid)
			default:
				return v, gitFailure("compare the log "+logRef(replica)+" with what was last accepted", err)
			}
			if !forward {
				// It was set back, or its owner truncated it and was killed before that was noted.
				if t, err := s.load(oid); err == nil {
					forward, _ = s.truncated(k, t)
				}
				news = news || forward
			}
			if !forward {
				sn.logs[replica], back[replica] = k, oid
				continue
			}
		}
		news = news || k == nil
		t, err := s.load(oid)
		if err != nil {
			return v, wrapLog(replica, err)
		}
		sn.logs[replica] = t
	}
	for replica, k := range known {
		if _, ok := refs[replica]; !ok {
			sn.logs[replica], back[replica] = k, zeroOID
		}
	}
	if own != "" && sn.logs[own] == nil {
		t, err := s.findLost(ctx, own)
		if err != nil {
			return v, err
		}
		if t != nil {
			sn.logs[own], back[own] = t, zeroOID
		}
	}
	for replica, t := range sn.logs {
		if t.Header.Format > FormatVersion {
			return v, errf(Newer, "the log %s is in format %d, this version reads up to %d", replica, t.Header.Format, FormatVersion)
		}
	}
	return view{sn: sn, back: back, known: known, news: news}, nil
}

// stepsBack is how many commits are read in search of one before git is asked: as many as
// a few writers add while a reader looks.
const stepsBack = 64

// leadsOn reports whether a log that was at one commit has grown to another. Both must
// exist. A reader beside a writer asks this often, and the answer is a commit or two away.
func (s *Store) leadsOn(ctx context.Context, from, to OID) (bool, error) {
	at := to
	for range stepsBack {
		data, err := s.objects.one(at, "commit")
		if err != nil {
			break // git knows better what is wrong
		}
		parents := parseCommit(data).parents
		if len(parents) != 1 {
			break
		}
		if at = parents[0]; at == from {
			return true, nil
		}
	}
	return s.repo.isAncestor(ctx, from, to)
}

func wrapLog(replica string, err error) error {
	var e *Error
	if errors.As(err, &e) {
		w := *e
		w.Msg = "log " + logRef(replica) + ": " + e.Msg
		return &w
	}
	return err
}

// restore moves refs back to what sn says was last accepted. The caller holds
// the lock, and wait bounds what it waits for git's own. The error is about this
// clone's own log.
func (s *Store) restore(ctx context.Context, sn *Snapshot, back map[string]OID, wait time.Duration) error {
	if len(back) == 0 {
		return nil
	}
	// An uninstall, which removes our identity before the refs, may have come
	// between. What it removed stays removed.
	if own, err := s.repo.replica(); err != nil || own != sn.own {
		return err
	}
	var failed error
	for replica, old := range back {
		err := s.moveRef(ctx, replica, sn.logs[replica].OID, old, "restored", wait)
		if err == nil {
			s.opt.Report("restored " + logRef(replica) + ", which something had removed or set back")
		} else if replica == sn.own {
			failed = err
			if oid := sn.logs[replica].OID; s.gone(oid) {
				failed = errf(Damaged, "the log %s is gone, and so is object %s, its newest commit", logRef(replica), oid)
			}
		}
	}
	return failed
}

// remember writes down the tips of sn. The caller holds the lock.
func (s *Store) remember(sn *Snapshot) error {
	return s.repo.sharing().write(s.repo.dir("tmp"), s.repo.dir(tipsFile), formatTips(sn.logs), false)
}

// Prepare starts the git that reads objects, for who will need one and waits for something else
// before.
func (s *Store) Prepare() { s.objects.prepare() }

// MakeCache makes the directory of the caches.
func (s *Store) MakeCache() error {
	if err := s.repo.sharing().mkdir(s.repo.CachePath()); err != nil {
		return s.repo.writeError("make the directory for caches", err)
	}
	return nil
}

// WriteCache replaces a cache file; failing to is no error for anybody.
func (s *Store) WriteCache(name string, data []byte) {
	s.repo.sharing().write(s.repo.CachePath(), s.repo.CachePath(name), data, false)
}
