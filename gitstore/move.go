package gitstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// moveRef moves a log's ref from old to oid (zeroOID: create it) and makes the
// move durable, see [move.finish].
func (s *Store) moveRef(ctx context.Context, replica string, oid, old OID, why string, wait time.Duration) error {
	m := s.startMove(ctx, why)
	m.aim(replica, oid, old)
	return m.finish(wait)
}

// move is a git that was started to move a log's ref and waits for the word: it starts
// while its writer waits for the lock, or beside a pack's way to the disk. git is
// the one writer that holds its own lock protocol (see doc/ARCHITECTURE.md, "Why
// refs move through git").
type move struct {
	s        *Store
	replica  string
	oid, old OID
	args     []string
	env      []string

	cmd     *exec.Cmd
	stdin   io.WriteCloser
	stdout  strings.Builder
	stderr  strings.Builder
	mark    *os.File
	claimed bool  // the mark is locked
	err     error // it could not be started
}

// startMove starts a git; the caller need not hold the lock yet. why is for the reflog.
func (s *Store) startMove(ctx context.Context, why string) *move {
	name, email := s.ident(ctx)
	m := &move{s: s,
		args: append(ownConfig[:len(ownConfig):len(ownConfig)],
			"-c", "core.fsync=reference", "-c", "core.fsyncMethod=fsync",
			"update-ref", "--create-reflog", "-m", why, "--stdin"),
		env: append(s.repo.env[:len(s.repo.env):len(s.repo.env)], "GIT_COMMITTER_NAME="+name, "GIT_COMMITTER_EMAIL="+email)}
	m.start()
	return m
}

// aim says what is to be moved. The caller holds the lock.
func (m *move) aim(replica string, oid, old OID) {
	m.replica, m.oid, m.old = replica, oid, old
	m.claim()
}

func (m *move) claim() { m.claimed = m.mark != nil && m.s.claim(m.mark) }

func (m *move) ref() string { return logRef(m.replica) }

func (m *move) start() {
	m.mark, m.claimed = m.s.moving(), false
	m.stdout.Reset()
	m.stderr.Reset()
	m.cmd = exec.Command("git", m.args...)
	m.cmd.Dir, m.cmd.Env, m.cmd.Stdout, m.cmd.Stderr = m.s.repo.CommonDir, m.env, &m.stdout, &m.stderr
	if m.mark != nil {
		m.cmd.ExtraFiles = []*os.File{m.mark}
	}
	if m.stdin, m.err = m.cmd.StdinPipe(); m.err == nil {
		m.err = m.cmd.Start()
	}
}

// end gives git its orders, none to call it off, and waits for it. They are
// written in one piece, and done only if the last of them is there: should this
// process be killed, git moves the ref as a whole or not at all.
func (m *move) end(orders string) error {
	err := m.err
	if err == nil {
		if orders != "" && m.claimed {
			note(m.mark, m.ref(), m.oid)
		}
		io.WriteString(m.stdin, orders) // should git not get them, it does not say that it is done
		m.stdin.Close()
		err = m.cmd.Wait()
	}
	if m.mark != nil {
		if m.claimed && (m.cmd.ProcessState == nil || m.cmd.ProcessState.Exited()) {
			m.mark.Truncate(0) // nothing is under way any more, and git was not killed
		}
		m.mark.Close()
	}
	var ee *exec.ExitError
	if errors.As(err, &ee) {
		return &gitError{"update-ref", ee.ExitCode(), m.stderr.String()}
	}
	if err != nil {
		return startError("update-ref", err)
	}
	if orders != "" && !strings.Contains(m.stdout.String(), "commit: ok") {
		return errf(GitFailed, "git update-ref ended without a word about %s", m.ref())
	}
	return nil
}

// cancel ends git without a move.
func (m *move) cancel() { m.end("") }

// finish has the ref moved and makes the move durable. It waits up to wait for
// git's own lock on the ref, and returns errLost when the ref is not at the old
// value. git's exit text is never parsed; what happened is read from the ref.
func (m *move) finish(wait time.Duration) error {
	s, file := m.s, filepath.Join(m.s.repo.CommonDir, filepath.FromSlash(m.ref()))
	// Directories that git is about to make need their names synced as well.
	sync := []string{filepath.Dir(file)}
	for dir := filepath.Dir(file); len(dir) > len(s.repo.CommonDir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); err == nil {
			break
		}
		sync = append(sync, filepath.Dir(dir))
	}
	deadline := time.Now().Add(wait)
	for {
		err := m.end(fmt.Sprintf("start\nupdate %s %s %s\ncommit\n", m.ref(), m.oid, m.old))
		if err == nil {
			break
		}
		tips, rerr := s.repo.logTips()
		if rerr != nil {
			return rerr
		}
		now := orElse(tips[m.replica], zeroOID)
		if now == m.oid {
			break // moved, although git said otherwise
		}
		if now != m.old {
			return errLost
		}
		cleared, path, age := s.clearRefLock(m.ref())
		switch {
		case cleared:
		case path == "":
			return s.refError(m.ref(), err)
		case time.Now().After(deadline):
			return errf(Locked, "git's lock file %q (%s old) is in the way; gave up after %s, nothing was written",
				path, age.Round(time.Second), wait).hint("ls -l %s", path)
		default:
			time.Sleep(20 * time.Millisecond)
		}
		m.start()
		m.claim()
	}
	for _, dir := range sync {
		if err := syncDir(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			return s.repo.writeError("make the write durable", err)
		}
	}
	return nil
}

// refError finds out why git could not move ref, by trying to write where git
// writes: the loose ref and its log.
func (s *Store) refError(ref string, err error) error {
	perr := probe(filepath.Dir(s.refLock(ref)))
	if perr == nil {
		log := filepath.Join(s.repo.CommonDir, "logs", filepath.FromSlash(ref))
		f, oerr := os.OpenFile(log, os.O_WRONLY|os.O_APPEND, 0)
		switch {
		case oerr == nil:
			f.Close()
		case errors.Is(oerr, os.ErrNotExist):
			perr = probe(filepath.Dir(log))
		default:
			perr = oerr
		}
	}
	if perr != nil {
		return s.repo.writeError("move "+ref, perr)
	}
	return errf(GitFailed, "move %s: %w", ref, err)
}

// probe writes a file in dir, or the nearest directory above that exists, and
// removes it. git takes no notice of such a name among its refs.
func probe(dir string) error {
	f, err := os.CreateTemp(dir, ".agentmail-*")
	if errors.Is(err, os.ErrNotExist) && dir != filepath.Dir(dir) {
		return probe(filepath.Dir(dir))
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(zeroOID + "\n")
	f.Close()
	os.Remove(f.Name())
	return err
}
