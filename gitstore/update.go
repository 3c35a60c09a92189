package gitstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/go-git/go-git/v5/plumbing"
)

// committerDate is the committer date of every commit: 2000-01-01. Commits of
// ours that are newer than the user's would make their `git fetch` offer them
// all to the server (10,200 haves and 120 ms instead of 16 and 16). The author
// date carries the time.
const committerDate = 946684800

// CommitInfo is what a transaction says about itself in `git log`.
type CommitInfo struct {
	Subject  string // one line for people
	Author   string // a name; the e-mail is the user's
	Trailers [][2]string
}

// Tx is the right to write: having one means holding the lock.
type Tx struct {
	base    *Snapshot
	replica string
	created []File
	paths   map[string]bool // of created; false for the directories they are in
	trailer map[string]string
}

// Snapshot returns the newest contents, without what this commit adds.
func (tx *Tx) Snapshot() *Snapshot { return tx.base }

// Replica returns the id of the log that is written to.
func (tx *Tx) Replica() string { return tx.replica }

// Created returns what this commit adds so far. Other transactions of this
// process may share the commit: theirs are among them.
func (tx *Tx) Created() []File { return tx.created }

// Trailer returns the newest value of a trailer in this clone's own log, "" if
// there is none.
func (tx *Tx) Trailer(key string) string { return tx.trailer[key] }

// Create adds a file. Nothing changes or removes one; a path that exists in
// this clone's log is an error of kind Duplicate.
func (tx *Tx) Create(path string, data []byte) error {
	if err := checkPath(path); err != nil {
		return err
	}
	if file, ok := tx.paths[path]; ok && file {
		return errf(Duplicate, "the file %q is written twice in one transaction", path)
	} else if ok {
		return errf(Duplicate, "%q is written as a file and as a directory", path)
	}
	for dir := range parents(path) {
		if tx.paths[dir] {
			return errf(Duplicate, "%q is written as a file and as a directory", dir)
		}
	}
	tx.add(File{Replica: tx.replica, Path: path, Data: data})
	return nil
}

func (tx *Tx) add(f File) {
	for dir := range parents(f.Path) {
		tx.paths[dir] = false
	}
	tx.paths[f.Path] = true
	tx.created = append(tx.created, f)
}

// undo takes back all but the first n files.
func (tx *Tx) undo(n int) {
	keep := tx.created[:n]
	tx.created, tx.paths = nil, map[string]bool{}
	for _, f := range keep {
		tx.add(f)
	}
}

// parents yields the directories that a path lies in.
func parents(path string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i, c := range path {
			if c == '/' && !yield(path[:i]) {
				return
			}
		}
	}
}

// checkPath keeps out what a tree cannot hold, or git's fsck refuses in one: a
// hub with receive.fsckObjects would not take the log. What some file systems
// take for .git goes with the rest: whatever begins like it, and invisible
// characters.
func checkPath(path string) error {
	for part := range strings.SplitSeq(path, "/") {
		low := strings.ToLower(part)
		if part == "" || part == "." || part == ".." || strings.HasPrefix(low, ".git") || strings.HasPrefix(low, "git~") {
			return errf(GitFailed, "%q is not a path a log can hold", path)
		}
	}
	odd := func(r rune) bool { return r < ' ' || r == 0x7f || unicode.Is(unicode.Cf, r) }
	if strings.ContainsAny(path, "\\:") || strings.ContainsFunc(path, odd) || path == headerFile {
		return errf(GitFailed, "%q is not a path a log can hold", path)
	}
	return nil
}

// op is one caller of Update.
type op struct {
	fn      func(*Tx) (CommitInfo, error)
	until   time.Time    // when it stops waiting for the lock
	state   atomic.Int32 // 0 waiting, 1 taken by a commit, 2 given up by its caller
	done    chan struct{}
	version Version
	err     error
}

// Update locks, runs fn on the newest snapshot, and commits what fn wrote. When
// it returns, that survives a power cut. fn may run more than once, and must
// have no effect but on tx. Calls that wait for each other in one process share
// a commit. ctx ends the wait, not a commit that has begun. No writes by fn
// means no commit. Errors of fn come back as they are.
func (s *Store) Update(ctx context.Context, fn func(*Tx) (CommitInfo, error)) (Version, error) {
	o := &op{fn: fn, until: time.Now().Add(s.opt.LockWait), done: make(chan struct{})}
	s.mu.Lock()
	s.queue = append(s.queue, o)
	if !s.leading {
		s.leading = true
		go s.lead()
	}
	s.mu.Unlock()
	select {
	case <-o.done:
	case <-ctx.Done():
		if o.state.CompareAndSwap(0, 2) {
			return "", ctx.Err()
		}
		<-o.done
	}
	return o.version, o.err
}

// lead commits batch after batch until nobody waits.
func (s *Store) lead() {
	for {
		l, err := s.begin()
		s.mu.Lock()
		batch := s.queue
		s.queue = nil
		if KindOf(err) == Locked { // who came later has time left
			now := time.Now()
			if i := slices.IndexFunc(batch, func(o *op) bool { return o.until.After(now) }); i >= 0 {
				batch, s.queue = batch[:i:i], slices.Clone(batch[i:])
			}
		}
		s.mu.Unlock()
		batch = slices.DeleteFunc(batch, func(o *op) bool { return !o.state.CompareAndSwap(0, 1) })
		if err == nil {
			if len(batch) > 0 {
				err = s.commit(batch)
			}
			l.release()
		}
		for _, o := range batch {
			if err != nil && o.err == nil {
				o.err = err
			}
			close(o.done)
		}
		s.mu.Lock()
		if len(s.queue) == 0 {
			s.leading = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
	}
}

// begin takes the lock for a commit, waiting no longer than the first in the
// queue may.
func (s *Store) begin() (*lock, error) {
	ctx := context.Background()
	if own, err := s.repo.replica(); err == nil && own == "" {
		if err := checkVersion(ctx); err != nil { // before the first trace of ours
			return nil, err
		}
	}
	s.mu.Lock()
	wait := time.Until(s.queue[0].until)
	s.mu.Unlock()
	return s.acquire(ctx, max(wait, 0), true)
}

// errLost means that the ref moved between the snapshot and our move.
var errLost = errors.New("gitstore: the ref moved meanwhile")

// commit runs the transactions of batch on the newest snapshot and commits what
// they wrote, again if somebody else moves the ref meanwhile. The caller holds
// the lock. An error of one transaction is its own; what is returned concerns
// all.
func (s *Store) commit(batch []*op) error {
	ctx := context.Background()
	deadline := time.Now().Add(s.opt.LockWait)
	for {
		sn, back, err := s.look(ctx)
		if err == nil {
			err = s.restore(ctx, sn, back)
		}
		if err == nil {
			err = s.tryCommit(ctx, sn, batch)
		}
		if KindOf(err) == Duplicate && len(batch) > 1 {
			// One of them names a path that exists: let each stand for itself.
			for _, o := range batch {
				o.err = s.commit([]*op{o})
			}
			return nil
		}
		if !errors.Is(err, errLost) {
			return err
		}
		if time.Now().After(deadline) {
			return errf(Locked, "other programs keep moving %s; gave up after %s, nothing was written", logRef(sn.own), s.opt.LockWait)
		}
	}
}

func (s *Store) tryCommit(ctx context.Context, sn *Snapshot, batch []*op) error {
	tx := &Tx{base: sn, replica: sn.own, paths: map[string]bool{}, trailer: map[string]string{}}
	// An identity without a log is not used: if it had one, what is written now
	// must not be taken for it.
	fresh := sn.logs[sn.own] == nil
	if fresh {
		tx.replica = NewID(s.opt.Rand)
	}
	if t := sn.logs[sn.own]; t != nil {
		var err error
		if tx.trailer, err = s.lastTrailers(t.OID); err != nil {
			return err
		}
	}
	var infos []CommitInfo
	for _, o := range batch {
		o.err = nil
		n := len(tx.created)
		info, err := o.fn(tx)
		if err != nil {
			tx.undo(n)
			o.err = err
			continue
		}
		if len(tx.created) > n {
			infos = append(infos, info)
			for _, t := range info.Trailers {
				tx.trailer[t[0]] = t[1]
			}
		}
	}
	after := sn
	if len(tx.created) > 0 {
		if fresh {
			if err := s.saveReplica(tx.replica); err != nil {
				return s.repo.writeError("save this clone's identity", err)
			}
		}
		t, err := s.write(ctx, tx, infos)
		if err != nil {
			s.mergePacks(ctx) // else a caller who tries again and again heaps them up
			return err
		}
		after = &Snapshot{store: s, own: tx.replica, logs: make(map[string]*tip, len(sn.logs)+1)}
		for replica, t := range sn.logs {
			after.logs[replica] = t
		}
		after.logs[tx.replica] = t
	}
	for _, o := range batch {
		if o.err == nil {
			o.version = after.Version()
		}
	}
	if after != sn {
		// The write is durable; what follows is only for speed and tidiness.
		if err := s.remember(after); err != nil {
			s.opt.Report("could not write tips.json: " + err.Error())
		}
		s.opt.AfterCommit(sn, after, tx.created)
		if err := s.mergePacks(ctx); err != nil {
			s.opt.Report("could not merge packs: " + err.Error())
		}
	}
	return nil
}

// lastTrailers returns the trailers of the newest commit that numbers its
// events: somebody may have put one without them on the log by hand.
func (s *Store) lastTrailers(oid OID) (map[string]string, error) {
	for {
		data, err := s.objects.one(oid, "commit")
		if err != nil {
			return nil, err
		}
		c := parseCommit(data)
		t := c.trailers()
		for key := range t {
			if numbered(key) {
				return t, nil
			}
		}
		if len(c.parents) == 0 {
			return t, nil
		}
		oid = c.parents[0]
	}
}

// Trailer returns the newest value of a trailer in a replica's log.
func (sn *Snapshot) Trailer(replica, key string) (string, error) {
	t := sn.logs[replica]
	if t == nil {
		return "", nil
	}
	m, err := sn.store.lastTrailers(t.OID)
	return m[key], err
}

// write puts the new files into the object database and moves the ref.
func (s *Store) write(ctx context.Context, tx *Tx, infos []CommitInfo) (*tip, error) {
	old := zeroOID
	var root OID
	if t := tx.base.logs[tx.replica]; t != nil {
		old = t.OID
		data, err := s.objects.one(old, "commit")
		if err != nil {
			return nil, err
		}
		root = parseCommit(data).tree
	}
	n := &newObjects{}
	files := make(map[string]OID, len(tx.created)+1)
	for _, f := range tx.created {
		files[f.Path] = n.add(plumbing.BlobObject, f.Data)
	}
	header := Header{Format: FormatVersion, Replica: tx.replica, Created: s.opt.Now().UTC().Format("2006-01-02T15:04:05Z"), Ephemeral: s.opt.Ephemeral}
	if root == "" {
		data, err := json.Marshal(header)
		if err != nil {
			return nil, err
		}
		files[headerFile] = n.add(plumbing.BlobObject, append(data, '\n'))
	} else {
		header = tx.base.logs[tx.replica].Header
	}
	top, tree, err := s.addToTree(n, root, "", files)
	if err != nil {
		return nil, err
	}
	oid := n.add(plumbing.CommitObject, s.encodeCommit(ctx, tree, old, infos))
	if err := s.writePack(n); err != nil {
		return nil, err
	}
	if err := s.moveRef(ctx, tx.replica, oid, old, subject(infos), s.opt.LockWait); err != nil {
		return nil, err
	}
	t := &tip{OID: oid, Tree: make(map[string]OID, len(top)), Header: header}
	for _, e := range top {
		t.Tree[e.name] = e.oid
	}
	return t, nil
}

// addToTree returns the tree at oid ("" for none) with files added; path is
// where it stands, for messages.
func (s *Store) addToTree(n *newObjects, oid OID, path string, files map[string]OID) ([]treeEntry, OID, error) {
	var list []treeEntry
	if oid != "" {
		var err error
		if list, err = s.tree(oid); err != nil {
			return nil, "", err
		}
	}
	at := make(map[string]int, len(list))
	for i, e := range list {
		at[e.name] = i
	}
	below := map[string]map[string]OID{}
	for name, blob := range files {
		dir, rest, nested := strings.Cut(name, "/")
		if nested {
			if below[dir] == nil {
				below[dir] = map[string]OID{}
			}
			below[dir][rest] = blob
			continue
		}
		if _, ok := at[name]; ok {
			return nil, "", errf(Duplicate, "the file %q exists already", path+name)
		}
		list = append(list, treeEntry{name: name, oid: blob, mode: modeBlob})
	}
	for dir, files := range below {
		i, ok := at[dir]
		if !ok {
			list = append(list, treeEntry{name: dir, dir: true, mode: modeTree})
			i = len(list) - 1
		} else if !list[i].dir {
			return nil, "", errf(Duplicate, "%q is a file, a directory was expected", path+dir)
		}
		_, sub, err := s.addToTree(n, list[i].oid, path+dir+"/", files)
		if err != nil {
			return nil, "", err
		}
		list[i].oid = sub
	}
	return list, n.add(plumbing.TreeObject, encodeTree(list)), nil
}

func subject(infos []CommitInfo) string {
	s := oneLine(infos[0].Subject, 100)
	if n := len(infos) - 1; n > 0 {
		s += fmt.Sprintf(" (+%d more)", n)
	}
	return s
}

// encodeCommit writes the commit object itself: `git commit` would ask for an
// e-mail address, sign, and run hooks.
func (s *Store) encodeCommit(ctx context.Context, tree, parent OID, infos []CommitInfo) []byte {
	name, email := s.ident(ctx)
	now := s.opt.Now().Unix()
	if now < 0 || now >= 1<<31 {
		now = committerDate // git's fsck, and so a careful host, refuses such dates
	}
	var b strings.Builder
	fmt.Fprintf(&b, "tree %s\n", tree)
	if parent != zeroOID {
		fmt.Fprintf(&b, "parent %s\n", parent)
	}
	fmt.Fprintf(&b, "author %s <%s> %d +0000\n", identName(infos[0].Author, name), email, now)
	fmt.Fprintf(&b, "committer %s <%s> %d +0000\n\n", name, email, committerDate)
	fmt.Fprintf(&b, "%s\n\n", subject(infos))
	if len(infos) > 1 {
		for _, in := range infos {
			fmt.Fprintf(&b, "- %s\n", oneLine(in.Subject, 100)) // a bare one might read as a trailer
		}
		b.WriteByte('\n')
	}
	seen := map[[2]string]bool{}
	last := map[string]string{}
	for _, in := range infos {
		for _, t := range in.Trailers {
			last[t[0]] = t[1]
		}
	}
	for _, in := range infos {
		for _, t := range in.Trailers {
			if numbered(t[0]) {
				t[1] = last[t[0]]
			}
			if !seen[t] && t[1] != "" {
				seen[t] = true
				fmt.Fprintf(&b, "%s: %s\n", t[0], oneLine(t[1], 200))
			}
		}
	}
	return []byte(b.String())
}

// numbered reports whether a trailer counts on through the log, so that of
// several in one commit only the last one says anything.
func numbered(key string) bool { return strings.HasPrefix(key, "Agentmail-") }

// ident returns the committer: the user as git knows them, or ourselves.
func (s *Store) ident(ctx context.Context) (name, email string) {
	n, _ := s.repo.Get(ctx, "user.name")
	e, _ := s.repo.Get(ctx, "user.email")
	email = strings.Map(func(r rune) rune {
		if r <= ' ' || r == '<' || r == '>' || r == 0x7f {
			return -1
		}
		return r
	}, e.Value)
	return identName(n.Value, "git-agentmail"), orElse(email, "git-agentmail@localhost")
}

// identName keeps what git's fsck accepts in a name everywhere.
func identName(s, def string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune(" ._~-", r):
			return r
		}
		return '-'
	}, s)
	return orElse(strings.Trim(s, " .-"), def)
}

// oneLine makes s safe as one line of a commit message of at most n characters.
func oneLine(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	s = strings.TrimSpace(s)
	if r := []rune(s); len(r) > n {
		s = strings.TrimSpace(string(r[:n-3])) + "..."
	}
	return orElse(s, "-")
}

// moveRef moves a log's ref from old to oid (zeroOID: create it) and makes the
// move durable. It waits up to wait for git's own lock on the ref, and returns
// errLost when the ref is not at old. git's exit text is never parsed; what
// happened is read from the ref.
func (s *Store) moveRef(ctx context.Context, replica string, oid, old OID, why string, wait time.Duration) error {
	ref := logRef(replica)
	file := filepath.Join(s.repo.CommonDir, filepath.FromSlash(ref))
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
		err := s.updateRef(ctx, ref, oid, old, why)
		if err == nil {
			break
		}
		tips, rerr := s.repo.logTips()
		if rerr != nil {
			return rerr
		}
		now := orElse(tips[replica], zeroOID)
		if now == oid {
			break // moved, although git said otherwise
		}
		if now != old {
			return errLost
		}
		cleared, path, age := s.clearRefLock(ref)
		if cleared {
			continue
		}
		if path == "" {
			return s.refError(ref, err)
		}
		if time.Now().After(deadline) {
			return errf(Locked, "git's lock file %q (%s old) is in the way; gave up after %s, nothing was written",
				path, age.Round(time.Second), wait).hint("ls -l %s", path)
		}
		time.Sleep(20 * time.Millisecond)
	}
	for _, dir := range sync {
		if err := syncDir(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			return s.repo.writeError("make the write durable", err)
		}
	}
	return nil
}

// updateRef runs git's own ref update, the one writer that holds its lock
// protocol (see doc/ARCHITECTURE.md, "Why refs move through git").
func (s *Store) updateRef(ctx context.Context, ref string, oid, old OID, why string) error {
	mark := s.moving(ref, oid)
	name, email := s.ident(ctx)
	cmd := exec.Command("git", append(ownConfig[:len(ownConfig):len(ownConfig)],
		"-c", "core.fsync=reference", "-c", "core.fsyncMethod=fsync",
		"update-ref", "--create-reflog", "-m", why, ref, oid, old)...)
	cmd.Dir = s.repo.CommonDir
	cmd.Env = append(s.repo.env[:len(s.repo.env):len(s.repo.env)], "GIT_COMMITTER_NAME="+name, "GIT_COMMITTER_EMAIL="+email)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if mark != nil {
		cmd.ExtraFiles = []*os.File{mark}
		defer mark.Close()
	}
	err := cmd.Run()
	if mark != nil && (cmd.ProcessState == nil || cmd.ProcessState.Exited()) {
		mark.Truncate(0) // nothing is under way any more, and git was not killed
	}
	var ee *exec.ExitError
	if errors.As(err, &ee) {
		return &gitError{"update-ref", ee.ExitCode(), stderr.String()}
	}
	if err != nil {
		return errf(GitFailed, "start git update-ref: %w", err)
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
