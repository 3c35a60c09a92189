package gitstore

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
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
	Signed   bool  // it goes out at once, and needs no commit on top that signs it
	at       int64 // author's date, 0 for now
}

// Tx is the right to write: having one means holding the lock.
type Tx struct {
	base    *Snapshot
	replica string
	root    OID // of the log so far, "" before its first commit
	created []File
	paths   map[string]bool // of created; false for the directories they are in
	trailer map[string]string
	public  string             // key for the header of a log that begins
	sign    ed25519.PrivateKey // to sign the commit with, if not nil
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
// means no commit. Errors of fn come back as they are. A commit that finds too many packs
// has some merged while others write, and unless Options.Lives before its callers go on.
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
		s.writing.Lock()
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
		var todo *merge
		if err == nil {
			if len(batch) > 0 {
				s.freshen()
				err = s.commit(batch)
				// Also after a failure: else a caller who tries again and again heaps up packs.
				var merr error
				if todo, merr = s.startMerge(context.Background()); merr != nil {
					s.opt.Report("could not merge packs: " + merr.Error())
				}
			}
			l.release()
		}
		if m := s.ready; m != nil { // nothing was written
			s.ready = nil
			m.cancel()
		}
		s.writing.Unlock()
		for _, o := range batch {
			if err != nil && o.err == nil {
				o.err = err
			}
		}
		if todo != nil {
			s.merging.Go(func() {
				if err := todo.run(context.Background()); err != nil {
					s.opt.Report("could not merge packs: " + err.Error())
				}
				if !s.opt.Lives {
					finish(batch)
				}
			})
		}
		if todo == nil || s.opt.Lives {
			finish(batch)
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

// finish lets the callers of a batch go on.
func finish(batch []*op) {
	for _, o := range batch {
		close(o.done)
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
	// git starts while we wait for our turn, not while others wait for us, and only if
	// there is something to ask it.
	var starting sync.WaitGroup
	defer starting.Wait()
	if s.freshen(); !s.objects.remembers() {
		starting.Go(s.objects.prepare)
	}
	if s.deflate == nil { // to touch its memory takes longer than to compress a letter
		starting.Go(func() { s.deflate = newDeflate() })
	}
	if own, err := s.repo.replica(); err == nil && own != "" {
		starting.Go(func() { s.ready = s.startMove(ctx, moved) })
	}
	s.mu.Lock()
	wait := time.Until(s.queue[0].until)
	s.mu.Unlock()
	return s.acquire(ctx, max(wait, 0), true)
}

// moved stands in a log's reflog. Which commit it is about, and what that says, git tells.
const moved = "commit"

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
		v, err := s.look(ctx)
		if err == nil {
			err = s.restore(ctx, v.sn, v.back, s.opt.LockWait)
		}
		if err == nil {
			err = s.tryCommit(ctx, v.sn, batch)
		}
		if KindOf(err) == Duplicate && len(batch) > 1 {
			// One of them names a path that exists: let each stand for itself.
			for _, o := range batch {
				if err := s.commit([]*op{o}); err != nil {
					o.err = err // else what its own function said stands there
				}
			}
			return nil
		}
		if !errors.Is(err, errLost) {
			return err
		}
		if time.Now().After(deadline) {
			return errf(Locked, "other programs keep moving %s; gave up after %s, nothing was written", logRef(v.sn.own), s.opt.LockWait)
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
		if tx.root, tx.trailer, err = s.newest(t.OID); err != nil {
			return err
		}
	}
	var infos []CommitInfo
	signed := false
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
			signed = signed || info.Signed
			for _, t := range info.Trailers {
				tx.trailer[t[0]] = t[1]
			}
		}
	}
	after := sn
	if len(tx.created) > 0 {
		if fresh {
			var err error
			if tx.public, err = s.makeKey(keyFile, tx.replica); err != nil {
				return err
			}
			if err := s.saveReplica(tx.replica); err != nil {
				return s.repo.writeError("save this clone's identity", err)
			}
		} else if key := sn.logs[sn.own].Header.Key; signed && key != "" {
			tx.sign, _ = s.ownKey(key) // whoever pushes is told what is wrong with it
		}
		t, err := s.write(ctx, tx, s.skipCI(ctx, infos...))
		if err != nil {
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
			s.opt.Report("could not write down the tips of the logs: " + err.Error())
		}
		s.opt.AfterCommit(sn, after, tx.created)
	}
	return nil
}

// newest returns the tree of the commit at the end of a log, and the trailers of
// the newest one that numbers its events: somebody may have put one without them
// on the log by hand.
func (s *Store) newest(oid OID) (tree OID, trailers map[string]string, err error) {
	for {
		data, err := s.objects.one(oid, "commit")
		if err != nil {
			return "", nil, err
		}
		c := parseCommit(data)
		tree = orElse(tree, c.tree)
		t := c.trailers()
		for key := range t {
			if numbered(key) {
				return tree, t, nil
			}
		}
		if len(c.parents) == 0 {
			return tree, t, nil
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
	_, m, err := sn.store.newest(t.OID)
	return m[key], err
}

// write puts the new files into the object database and moves the ref.
func (s *Store) write(ctx context.Context, tx *Tx, infos []CommitInfo) (*tip, error) {
	old := zeroOID
	if t := tx.base.logs[tx.replica]; t != nil {
		old = t.OID
	}
	n := &newObjects{}
	files := make(map[string]OID, len(tx.created)+1)
	for _, f := range tx.created {
		files[f.Path] = n.add(plumbing.BlobObject, f.Data)
	}
	header := Header{Format: FormatVersion, Replica: tx.replica, Created: s.opt.Now().UTC().Format("2006-01-02T15:04:05Z"), Ephemeral: s.opt.Ephemeral, Key: tx.public}
	if tx.root == "" {
		data, err := json.Marshal(header)
		if err != nil {
			return nil, err
		}
		files[headerFile] = n.add(plumbing.BlobObject, append(data, '\n'))
	} else {
		header = tx.base.logs[tx.replica].Header
	}
	top, tree, err := s.addToTree(n, tx.root, "", files)
	if err != nil {
		return nil, err
	}
	commit := s.encodeCommit(ctx, tree, old, infos)
	if tx.sign != nil {
		commit = signCommit(commit, tx.sign)
	}
	oid := n.add(plumbing.CommitObject, commit)
	starting := make(chan *move, 1)
	go func() {
		m := s.ready
		if m == nil {
			m = s.startMove(ctx, moved)
		}
		starting <- m
	}()
	pack, err := s.writePack(n)
	move := <-starting
	s.ready = nil
	if err != nil {
		move.cancel()
		return nil, err
	}
	move.aim(tx.replica, oid, old)
	n.replaced = append(n.replaced, old)
	var keeping sync.WaitGroup
	keeping.Go(func() { s.keepRecent(n, pack) }) // should the ref not move, that is of no use and not wrong
	err = move.finish(s.opt.LockWait)
	keeping.Wait()
	if err != nil {
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
		n.replaced = append(n.replaced, oid)
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
	now := infos[0].at
	if now == 0 {
		now = s.opt.Now().Unix()
	}
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
