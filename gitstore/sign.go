package gitstore

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Each clone has a key, the public half of which stands in its log's header. Whoever pushes
// the log signs its newest commit first, by a commit on top that changes no file: so one
// signature covers, through the chain of commits, all that was written until then.
const (
	keyFile  = "id_ed25519"
	keyNext  = "id_ed25519.new" // of a new identity that is being taken
	signWord = "sync: sign "    // what the subject of such a commit begins with
)

// makeKey makes a key for the log of a replica and returns the public half. The caller, who
// holds the lock, syncs the directory before the log says that it is there.
func (s *Store) makeKey(name, replica string) (string, error) {
	seed := make([]byte, ed25519.SeedSize)
	s.opt.Rand(seed)
	key := ed25519.NewKeyFromSeed(seed)
	if err := s.repo.sharing().writeSecret(s.repo.dir("tmp"), s.repo.dir(name), formatPrivate(key, "git-agentmail "+replica)); err != nil {
		return "", s.repo.writeError("save this clone's key", err)
	}
	return formatKey(key.Public().(ed25519.PublicKey)), nil
}

// keyed gives a header that is written anew, as by a truncation, its key: the one it has, and
// to a log that began without one a new one. This is the only way in which a log can gain
// one.
func (s *Store) keyed(h Header) (Header, error) {
	if h.Key != "" {
		return h, nil
	}
	var err error
	if h.Key, err = s.makeKey(keyFile, h.Replica); err == nil {
		err = syncDir(s.repo.dir())
	}
	return h, err
}

// ownKey returns the private half of the own log's key.
func (s *Store) ownKey(public string) (ed25519.PrivateKey, error) {
	for _, name := range []string{keyFile, keyNext} {
		data, err := os.ReadFile(s.repo.dir(name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, errf(ReadOnly, "read %q: %w", s.repo.dir(name), err)
		}
		key, ok := parsePrivate(data)
		if !ok || formatKey(key.Public().(ed25519.PublicKey)) != public {
			continue
		}
		if name == keyNext { // whoever took the identity was killed before the last step
			s.settleKey()
		}
		return key, nil
	}
	return nil, errf(Damaged, "%q is not the key of this clone's log any more, and without it no other clone believes what is written here; delete %q and this clone takes a new identity and key, with which what it has not sent yet stays here alone",
		s.repo.dir(keyFile), s.repo.dir(replicaFile)).hint("rm %s", s.repo.dir(replicaFile))
}

// settleKey gives the key of a new identity its place. Should it not succeed, it is found
// where it is.
func (s *Store) settleKey() {
	os.Rename(s.repo.dir(keyNext), s.repo.dir(keyFile))
}

// signTries is how often the log may move below a signature.
const signTries = 100

// signed returns the own log with a signature at its end, for who is about to hand it on: as
// it is if it has one, or if the log has no key.
func (s *Store) signed(ctx context.Context, own *tip) (*tip, error) {
	if own.Header.Key == "" {
		return own, nil
	}
	if data, err := s.objects.one(own.OID, "commit"); err != nil || signerOf(data) == own.Header.Key {
		return own, err
	}
	key, err := s.ownKey(own.Header.Key)
	if err != nil {
		return nil, err
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	l, err := s.acquire(ctx, s.opt.LockWait, true)
	if err != nil {
		return nil, err
	}
	defer l.release()
	s.freshen()
	for range signTries {
		v, err := s.look(ctx)
		if err == nil {
			err = s.restore(ctx, v.sn, v.back, s.opt.LockWait)
		}
		if err != nil {
			return nil, err
		}
		if now := v.sn.logs[v.sn.own]; now == nil || now.Header.Key != own.Header.Key {
			return own, nil // it is another clone's by now, and what was asked for stands
		}
		t, err := s.sign(ctx, v.sn, key)
		if !errors.Is(err, errLost) {
			return t, err
		}
	}
	return nil, errf(Locked, "other programs keep moving this clone's log; it was not signed, and nothing was sent")
}

// sign puts the signature on. The commit is a function of the one below it and of the key: two
// copies of a clone, or a clone and its backup, that sign the same log make the same
// commit, and are no two logs for that.
func (s *Store) sign(ctx context.Context, sn *Snapshot, key ed25519.PrivateKey) (*tip, error) {
	own := sn.logs[sn.own]
	data, err := s.objects.one(own.OID, "commit")
	if err != nil {
		return nil, err
	}
	if signerOf(data) == own.Header.Key {
		return own, nil // somebody came first
	}
	what, err := s.unsigned(own)
	if err != nil {
		return nil, err
	}
	tx := &Tx{base: sn, replica: sn.own, paths: map[string]bool{}, sign: key}
	info := CommitInfo{Subject: signWord + what, Author: "git-agentmail", at: authorTime(data)}
	if tx.root, tx.trailer, err = s.newest(own.OID); err != nil {
		return nil, err
	}
	info.Trailers = numberedTrailers(tx.trailer)
	if below := parseCommit(data).trailers()[ciTrailer]; below != "" {
		info.Trailers = append(info.Trailers, [2]string{ciTrailer, below})
	}
	t, err := s.write(ctx, tx, []CommitInfo{info})
	if err != nil {
		return nil, err
	}
	after := &Snapshot{store: s, own: sn.own, logs: make(map[string]*tip, len(sn.logs))}
	for replica, t := range sn.logs {
		after.logs[replica] = t
	}
	after.logs[sn.own] = t
	// Nobody is told of it by AfterCommit: what is kept by a log's contents stays right.
	if err := s.remember(after); err != nil {
		s.opt.Report("could not write down the tips of the logs: " + err.Error())
	}
	return t, nil
}

// unsigned says in words how much of a log no signature covers yet.
func (s *Store) unsigned(t *tip) (string, error) {
	at, n := t.OID, 0
	for ; n < stepsBack; n++ {
		data, err := s.objects.one(at, "commit")
		if err != nil {
			return "", err
		}
		if signerOf(data) == t.Header.Key {
			break
		}
		parents := parseCommit(data).parents
		if len(parents) != 1 {
			n++
			break
		}
		at = parents[0]
	}
	switch {
	case n == 1:
		return "1 commit", nil
	case n >= stepsBack:
		return "all commits until here", nil
	}
	return fmt.Sprintf("%d commits", n), nil
}

// authorTime returns the author's date of a commit object, 0 if it cannot be read.
func authorTime(data []byte) int64 {
	for line := range strings.SplitSeq(string(data), "\n") {
		if line == "" {
			break
		}
		if f := strings.Fields(line); len(f) > 2 && f[0] == "author" {
			n, _ := strconv.ParseInt(f[len(f)-2], 10, 64)
			return n
		}
	}
	return 0
}

// numberedTrailers returns those trailers that count on through a log.
func numberedTrailers(m map[string]string) (list [][2]string) {
	for key, value := range m {
		if numbered(key) {
			list = append(list, [2]string{key, value})
		}
	}
	slices.SortFunc(list, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return list
}

// signedBack is how many commits a stranger can put on a log before what lies below them is
// not looked for any more.
const signedBack = 1000

// lastSigned returns the newest commit after one that is signed with a key, going back from
// another, "" if there is none. Both are of one log.
func (s *Store) lastSigned(after, from OID, key string) (OID, error) {
	at := from
	for range signedBack {
		if at == after {
			break
		}
		data, err := s.objects.one(at, "commit")
		if err != nil {
			return "", err
		}
		if signerOf(data) == key {
			return at, nil
		}
		parents := parseCommit(data).parents
		if len(parents) != 1 {
			break
		}
		at = parents[0]
	}
	return "", nil
}

// writeSecret is write, durably but for the name, of a file that nobody may read who could
// not write the mailbox as well.
func (sh sharing) writeSecret(tmp, name string, data []byte) (err error) {
	if err := sh.mkdir(tmp); err != nil {
		return err
	}
	f, err := createTemp(tmp, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	err = errors.Join(err, syncFile(f))
	if err == nil && sh.bits != 0 {
		err = os.Chmod(f.Name(), sh.Mode(0o600)&0o770)
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	return err
}
