package gitstore

import (
	"cmp"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Logs are exchanged with a remote, a hub, by ordinary fetch and push. What the hub has is
// fetched to refs/agentmail/hub/<hub>/, an image of it that nothing else reads; from there
// a log is accepted into refs/agentmail/log/ only if it goes on from what this clone
// accepted before. Its owner alone pushes a log, so no push is ever rejected for somebody
// else's, and nothing needs a merge.
const (
	hubPrefix   = refRoot + "hub/"
	headsPrefix = "refs/heads/agentmail/"
	remotesDir  = "remotes" // in the store's own directory: a file for each hub
	syncLock    = "syncing" // there as well: one process exchanges logs at a time
)

// syncWait is how long one exchange waits for another at least: that may be a first one.
const syncWait = time.Minute

// Refused says why a log that a hub has was not accepted.
type Refused struct {
	Replica string
	Why     string
}

// SyncResult says what an exchange with a hub did.
type SyncResult struct {
	Remote   string
	Fetched  []string  // replicas whose logs are new or have grown
	Pushed   int       // commits of this clone's own log that the hub has now and had not
	Restored []string  // replicas whose logs something had removed from the hub
	Refused  []Refused // what the hub has and is not believed
	Branches bool      // the hub refuses refs outside of branches, so logs are branches there
	Forked   string    // this clone's new identity: another clone, a copy of it, has the old one
}

// Hub is what this clone knows of a remote that it exchanges logs with.
type Hub struct {
	Name     string    // of the remote, or its URL
	Branches bool      // see SyncResult
	Last     time.Time // of the last exchange that went through
	Failed   string    // what stopped the last one, "" if nothing
	Ahead    int       // commits of the own log that it has not got
}

// hubFile is the file of a hub, apart from the time of the last exchange, which is its own.
type hubFile struct {
	Name     string   `json:"remote"`
	Branches bool     `json:"branches,omitempty"`
	Failed   string   `json:"failed,omitempty"`
	Had      []string `json:"had,omitempty"` // refs of logs that were seen there
}

// hubID is how a hub is called in refs and file names, which a URL could not be.
func hubID(name string) string {
	sum := sha1.Sum([]byte(name))
	return hex.EncodeToString(sum[:4])
}

// Hubs returns the names of the remotes that this clone exchanges logs with. It starts no git.
func (s *Store) Hubs() ([]string, error) {
	entries, err := os.ReadDir(s.repo.dir(remotesDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, errf(ReadOnly, "read %q: %w", s.repo.dir(remotesDir), err)
	}
	var names []string
	for _, e := range entries {
		var f hubFile
		if readJSON(s.repo.dir(remotesDir, e.Name()), &f) == nil && hubID(f.Name) == e.Name() { // or it is not ours
			names = append(names, f.Name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Remotes returns what this clone knows of its hubs, without asking them.
func (s *Store) Remotes(ctx context.Context) ([]Hub, error) {
	names, err := s.Hubs()
	if err != nil || len(names) == 0 {
		return nil, err
	}
	sn, err := s.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	var list []Hub
	for _, name := range names {
		var f hubFile
		file, _ := s.RemoteFile(name)
		st, err := os.Stat(file)
		if err != nil || readJSON(file, &f) != nil {
			continue // removed meanwhile
		}
		h := Hub{Name: f.Name, Branches: f.Branches, Failed: f.Failed, Last: st.ModTime()}
		image, err := s.image(f.Name)
		if err != nil {
			return nil, err
		}
		if t := sn.logs[sn.own]; t != nil {
			if h.Ahead, err = s.count(ctx, image[sn.own].oid, t.OID); err != nil {
				return nil, err
			}
		}
		list = append(list, h)
	}
	return list, nil
}

// count returns how many commits lead from one, "" for none, to another.
func (s *Store) count(ctx context.Context, from, to OID) (n int, err error) {
	if from == to {
		return 0, nil
	}
	args := []string{"rev-list", "--count", to}
	if from != "" {
		args = append(args, "^"+from)
	}
	out, err := s.repo.own(ctx, nil, args...)
	if err == nil {
		_, err = fmt.Sscan(string(out), &n)
	}
	if err != nil {
		return 0, gitFailure("count commits", err)
	}
	return n, nil
}

// RemoteFile returns the file that AddRemote makes for a remote, and whether it is there.
func (s *Store) RemoteFile(name string) (file string, known bool) {
	file = s.repo.dir(remotesDir, hubID(name))
	_, err := os.Stat(file)
	return file, err == nil
}

// AddRemote makes a remote one that logs are exchanged with. It asks it nothing.
func (s *Store) AddRemote(name string) error {
	if _, known := s.RemoteFile(name); known {
		return nil
	}
	return s.saveHub(hubFile{Name: name}, time.Time{})
}

// saveHub writes the file of a hub, if it says something else than before, and when the last
// exchange was: the time of the file, so that one with nothing new writes nothing.
func (s *Store) saveHub(f hubFile, at time.Time) error {
	name := s.repo.dir(remotesDir, hubID(f.Name))
	var was hubFile
	if readJSON(name, &was) != nil || !reflect.DeepEqual(was, f) {
		data, err := json.Marshal(f)
		if err == nil {
			err = s.repo.sharing().write(s.repo.dir(remotesDir), name, append(data, '\n'), true)
		}
		if err != nil {
			return s.repo.writeError("write down what is known of a remote", err)
		}
	}
	if at.IsZero() {
		at = time.Unix(0, 0)
	}
	return os.Chtimes(name, at, at)
}

// imageRef is a log as a hub had it at the last fetch.
type imageRef struct {
	ref string // there
	oid OID
}

// image returns the logs that a hub had at the last fetch.
func (s *Store) image(remote string) (map[string]imageRef, error) {
	root := hubPrefix + hubID(remote) + "/"
	logs := map[string]imageRef{}
	for kind, there := range map[string]string{"log/": logPrefix, "heads/": headsPrefix} {
		refs, err := s.repo.refsIn(root+kind, isReplica)
		if err != nil {
			return nil, err
		}
		for replica, oid := range refs {
			if _, twice := logs[replica]; !twice || there == logPrefix {
				logs[replica] = imageRef{there + replica, oid}
			}
		}
	}
	return logs, nil
}

// fetchFlags keep a fetch from doing more than it is told: no tags, no branches, no
// FETCH_HEAD, no maintenance of the user's repository, and nothing of the user's refspecs.
var fetchFlags = []string{"-c", "fetch.writeCommitGraph=false", "-c", "fetch.unpackLimit=1",
	"-c", "core.fsync=committed,reference", "-c", "core.fsyncMethod=fsync",
	"fetch", "--quiet", "--prune", "--no-filter", "--no-write-fetch-head", "--no-tags", "--no-auto-maintenance",
	"--no-recurse-submodules", "--refmap="}

// Sync exchanges logs with a remote: its name in the configuration, or a URL. It fetches
// what others have written, then pushes what this clone has. Whatever the remote does,
// what is in this clone stays as it is. An error of kind Unreachable says that
// the remote could not be reached, or does not take the push.
func (s *Store) Sync(ctx context.Context, remote string) (SyncResult, error) {
	out := SyncResult{Remote: remote}
	file, known := s.RemoteFile(remote)
	l, err := s.acquireFile(ctx, syncLock, max(s.opt.LockWait, syncWait), true)
	if err != nil {
		return out, err
	}
	defer l.release()
	hub := hubFile{Name: remote}
	if readJSON(file, &hub) != nil && known {
		if _, still := s.RemoteFile(remote); !still {
			return out, nil // an uninstall came between
		}
	}
	err = s.exchange(ctx, remote, &hub, &out)
	if ctx.Err() != nil {
		return out, ctx.Err()
	}
	at := s.opt.Now()
	if hub.Failed = ""; err != nil {
		hub.Failed = err.Error()
		at = time.Time{}
		if st, serr := os.Stat(file); serr == nil {
			at = st.ModTime()
		}
	}
	out.Branches = hub.Branches
	if err != nil && !known && strings.ContainsAny(remote, `/:\`) {
		return out, err // a URL or path that was never one; a name stands in the configuration
	}
	if serr := s.saveHub(hub, at); err == nil {
		err = serr
	}
	return out, err
}

// Forget ends the exchange with a remote. Nothing that came from it goes.
func (s *Store) Forget(ctx context.Context, remote string) error {
	l, err := s.acquireFile(ctx, syncLock, max(s.opt.LockWait, syncWait), true)
	if err != nil {
		return err
	}
	defer l.release()
	image, err := s.image(remote)
	if err != nil {
		return err
	}
	var drop strings.Builder
	for replica := range image {
		for _, kind := range []string{"log/", "heads/"} {
			fmt.Fprintf(&drop, "delete %s\n", hubPrefix+hubID(remote)+"/"+kind+replica)
		}
	}
	if _, err := s.repo.own(ctx, []byte(drop.String()), "update-ref", "--stdin"); err != nil {
		return gitFailure("forget the remote", err)
	}
	if file, known := s.RemoteFile(remote); known {
		return os.Remove(file)
	}
	return nil
}

func (s *Store) exchange(ctx context.Context, remote string, hub *hubFile, out *SyncResult) error {
	before, err := s.image(remote)
	if err != nil {
		return err
	}
	// The fetch forgets what is gone, and may be the last thing that we do for now.
	if was := len(hub.Had); hub.saw(before) > was {
		var last time.Time
		if st, err := os.Stat(s.repo.dir(remotesDir, hubID(remote))); err == nil {
			last = st.ModTime()
		}
		if err := s.saveHub(*hub, last); err != nil {
			return err
		}
	}
	packs, err := s.plainPacks()
	if err != nil {
		return err
	}
	root := hubPrefix + hubID(remote) + "/"
	fetch := append(fetchFlags[:len(fetchFlags):len(fetchFlags)],
		"--", remote, "+"+logPrefix+"*:"+root+"log/*", "+"+headsPrefix+"*:"+root+"heads/*")
	_, err = s.repo.transport(ctx, fetch...)
	if err != nil && s.clearLocks(root) {
		_, err = s.repo.transport(ctx, fetch...)
	}
	if err != nil && ctx.Err() == nil {
		err = cmp.Or(s.inTheWay(root), unreachable("fetch from", remote, err))
	}
	if err != nil {
		return err
	}
	image, err := s.image(remote)
	if err != nil {
		return err
	}
	if !maps.Equal(image, before) {
		if err := s.adopt(ctx, packs, before, image); err != nil {
			return err
		}
	}
	if err := s.accept(ctx, image, out); err != nil {
		return err
	}
	return s.push(ctx, remote, hub, before, image, out)
}

// clearLocks removes the lock files in an image that a killed git has left, and reports whether
// there were any. Nobody else writes there, and we hold the lock on exchanges; a git that
// lives on after its parent has them for less than a minute.
func (s *Store) clearLocks(root string) (any bool) {
	now, err := os.Stat(s.repo.dir(syncLock))
	if err != nil {
		return false
	}
	filepath.WalkDir(filepath.Join(s.repo.CommonDir, filepath.FromSlash(root)), func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && strings.HasSuffix(name, ".lock") {
			if st, err := e.Info(); err == nil && now.ModTime().Sub(st.ModTime()) >= staleRefLock && os.Remove(name) == nil {
				s.reportCleared(name)
				any = true
			}
		}
		return nil
	})
	return any
}

// inTheWay tells what keeps this clone from writing an image, nil if nothing does: then it
// is not the remote that does not answer.
func (s *Store) inTheWay(root string) error {
	for _, kind := range []string{"log", "heads"} {
		dir := filepath.Join(s.repo.CommonDir, filepath.FromSlash(root+kind))
		err := probe(dir)
		for at := strings.TrimSuffix(root+kind, "/"); errors.Is(err, syscall.ENOTDIR) && at+"/" != refRoot; at = path.Dir(at) {
			if st, serr := os.Lstat(filepath.Join(s.repo.CommonDir, filepath.FromSlash(at))); serr == nil && !st.IsDir() {
				return errf(Damaged, "the ref %s is where the directory of that name belongs", at).hint("git update-ref -d %s", at)
			}
		}
		if err != nil {
			return s.repo.writeError("write below "+root, err)
		}
	}
	return nil
}

// saw adds an image to the refs that a hub had, and returns how many those are.
func (f *hubFile) saw(image map[string]imageRef) int {
	for _, i := range image {
		if !slices.Contains(f.Had, i.ref) {
			f.Had = append(f.Had, i.ref)
		}
	}
	slices.Sort(f.Had)
	return len(f.Had)
}

// SyncBundle exchanges logs through a file that people carry: it takes in what the bundle
// holds, if the file is there, and writes it anew with all that this clone has.
func (s *Store) SyncBundle(ctx context.Context, file string) (SyncResult, error) {
	out := SyncResult{Remote: file}
	l, err := s.acquireFile(ctx, syncLock, max(s.opt.LockWait, syncWait), true)
	if err != nil {
		return out, err
	}
	defer l.release()
	if st, err := os.Stat(file); err == nil {
		if !st.Mode().IsRegular() {
			return out, errf(Unreachable, "could not read the bundle %q: it is no file", file)
		}
		if err := s.onlyLogs(ctx, file); err != nil {
			return out, err
		}
		root := hubPrefix + hubID(file) + "/"
		packs, err := s.plainPacks()
		if err != nil {
			return out, err
		}
		if _, err := s.repo.own(ctx, nil, append(fetchFlags[:len(fetchFlags):len(fetchFlags)], "--", file, "+"+logPrefix+"*:"+root+"log/*")...); err != nil {
			return out, unreachable("read the bundle", file, err)
		}
		image, err := s.image(file)
		if err == nil {
			err = s.adopt(ctx, packs, nil, image)
		}
		if err == nil {
			err = s.accept(ctx, image, &out)
		}
		var drop strings.Builder // nobody asks what a file holds
		for replica := range image {
			drop.WriteString("delete " + root + "log/" + replica + "\n")
		}
		if _, derr := s.repo.own(ctx, []byte(drop.String()), "update-ref", "--stdin"); err == nil && derr != nil {
			err = gitFailure("forget what the bundle held", derr)
		}
		if err != nil {
			return out, err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return out, errf(ReadOnly, "read the bundle %q: %w", file, err)
	}
	sn, err := s.Snapshot(ctx)
	if err != nil {
		return out, err
	}
	if len(sn.logs) == 0 {
		return out, nil
	}
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return out, unreachable("write the bundle", file, err)
	}
	f.Close()
	temp := f.Name()
	args := []string{"bundle", "create", "--quiet", temp}
	for _, replica := range sn.Replicas() {
		args = append(args, logRef(replica))
	}
	_, err = s.repo.own(ctx, nil, args...)
	if err == nil { // git has made it with the rights that the user's files have
		err = os.Rename(temp, file)
	}
	if err != nil {
		os.Remove(temp)
		return out, unreachable("write the bundle", file, err)
	}
	if t := sn.logs[sn.own]; t != nil {
		out.Pushed, err = s.count(ctx, "", t.OID)
	}
	return out, err
}

// onlyLogs refuses a bundle that holds anything but logs, for it will be written over.
func (s *Store) onlyLogs(ctx context.Context, file string) error {
	out, err := s.repo.own(ctx, nil, "bundle", "list-heads", file)
	if err != nil {
		return unreachable("read the bundle", file, err)
	}
	for line := range strings.Lines(string(out)) {
		if _, ref, _ := strings.Cut(strings.TrimSpace(line), " "); !strings.HasPrefix(ref, logPrefix) {
			return errf(Unreachable, "the bundle %q holds %s, which is no mail, and was left alone", file, ref)
		}
	}
	return nil
}

// plainPacks returns the packs that nobody keeps.
func (s *Store) plainPacks() (map[string]bool, error) {
	entries, err := os.ReadDir(filepath.Join(s.repo.Objects, "pack"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errf(ReadOnly, "look for packs: %w", err)
	}
	packs, kept := map[string]bool{}, map[string]bool{}
	for _, e := range entries { // of one name the note comes before the pack
		if base, ok := strings.CutSuffix(e.Name(), ".keep"); ok {
			kept[base] = true
		} else if base, ok := strings.CutSuffix(e.Name(), ".pack"); ok && !kept[base] {
			packs[base] = true
		}
	}
	return packs, nil
}

// adopt gives a note of ours to the pack that a fetch has left, which is told by the new tips
// in it: so it is merged with the others and goes with them, and the user's git, which
// counts packs without a note, does not pack their whole repository anew for a few letters.
// had are the packs that were there before.
func (s *Store) adopt(ctx context.Context, had map[string]bool, before, image map[string]imageRef) error {
	l, err := s.acquire(ctx, s.opt.LockWait, true)
	if err != nil {
		return err
	}
	release := sync.OnceFunc(l.release)
	defer release()
	packs, err := s.plainPacks()
	if err != nil {
		return err
	}
	for name := range packs {
		base := filepath.Join(s.repo.Objects, "pack", name)
		list, err := s.packed(packFile{base: base})
		if had[name] || err != nil { // or the user's git is just writing it, or has removed it
			continue
		}
		holds := map[OID]bool{}
		for _, oid := range list {
			holds[oid] = true
		}
		for replica, i := range image {
			if i.oid != before[replica].oid && holds[i.oid] {
				if err := s.writeNote(base); err != nil {
					return s.repo.writeError("note whose a pack is", err)
				}
				break
			}
		}
	}
	todo, err := s.startMerge(ctx)
	release()
	if err == nil && todo != nil {
		err = todo.run(ctx)
	}
	if err != nil {
		s.opt.Report("could not merge packs: " + err.Error())
	}
	return nil
}

// accept takes over from an image of a hub what goes on from what was accepted before.
func (s *Store) accept(ctx context.Context, image map[string]imageRef, out *SyncResult) error {
	sn, err := s.Snapshot(ctx)
	if err != nil {
		return err
	}
	var moves strings.Builder
	var moved []string
	var fork OID      // of our own log, which somebody else has written to
	var left []string // logs that this clone left to others, see fork
	for _, replica := range slices.Sorted(maps.Keys(image)) {
		there, known := image[replica].oid, sn.logs[replica]
		if known != nil && known.OID == there {
			continue
		}
		old := zeroOID
		if known != nil {
			old = known.OID
			if behind, err := s.leadsOn(ctx, there, old); err != nil {
				return gitFailure("compare the log "+logRef(replica)+" with the remote's", err)
			} else if behind {
				continue // it has not got all of it
			}
		}
		why := ""
		t, err := s.load(there)
		switch {
		case KindOf(err) == Damaged:
			why = err.Error()
		case err != nil:
			return err
		case t.Header.Replica != replica:
			why = fmt.Sprintf("it says that it is the log of %q", t.Header.Replica)
		case t.Header.Format > FormatVersion:
			why = fmt.Sprintf("it is in format %d, this version reads up to %d", t.Header.Format, FormatVersion)
		case known != nil:
			forward, err := s.leadsOn(ctx, old, there)
			if err != nil {
				return gitFailure("compare the log "+logRef(replica)+" with the remote's", err)
			}
			if !forward && replica == sn.own {
				fork = there
				continue
			} else if !forward {
				if was, err := s.leftAt(ctx, sn, replica); err != nil {
					return err
				} else if was == old {
					left = append(left, replica)
					continue
				}
				why = "it was written anew and does not hold what it held before"
			}
		}
		if why != "" {
			out.Refused = append(out.Refused, Refused{replica, why})
			continue
		}
		fmt.Fprintf(&moves, "update %s %s %s\n", logRef(replica), there, old)
		moved = append(moved, replica)
	}
	if len(moved)+len(left) == 0 && fork == "" {
		return nil
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	l, err := s.acquire(ctx, s.opt.LockWait, true)
	if err != nil {
		return err
	}
	defer l.release()
	for _, replica := range left {
		if err := s.leave(ctx, replica, image[replica].oid); err != nil {
			return err
		}
		out.Fetched = append(out.Fetched, replica)
	}
	if fork != "" {
		if out.Forked, err = s.fork(ctx, fork); err != nil {
			return err
		}
	}
	if len(moved) == 0 {
		return nil
	}
	move := func() error {
		_, err := s.repo.own(ctx, []byte(moves.String()), "-c", "core.fsync=reference", "-c", "core.fsyncMethod=fsync", "update-ref", "--stdin")
		return err
	}
	if err = move(); err != nil {
		again := false
		for _, replica := range moved {
			cleared, _, _ := s.clearRefLock(logRef(replica))
			again = again || cleared
		}
		if again {
			err = move()
		}
	}
	if err != nil {
		return gitFailure("move the logs that were fetched", err)
	}
	out.Fetched = append(out.Fetched, moved...)
	return syncDir(filepath.Join(s.repo.CommonDir, filepath.FromSlash(logPrefix)))
}

// fork takes a new identity where the hub shows this clone's log at a commit that neither
// leads to ours nor follows it: the directory of this clone was copied, and both have
// written since. What this one wrote since goes to a log of its own; the old one is the
// other's. Where the two have nothing in common the hub's was made by somebody else, and is
// not believed: "" is returned, and the next push puts it right. The caller holds the lock.
func (s *Store) fork(ctx context.Context, there OID) (string, error) {
	v, err := s.look(ctx)
	if err != nil {
		return "", err
	}
	sn := v.sn
	own := sn.logs[sn.own]
	out, err := s.repo.own(ctx, nil, "merge-base", own.OID, there)
	base := strings.TrimSpace(string(out))
	var ge *gitError
	if errors.As(err, &ge) && ge.status == 1 {
		return "", nil
	}
	if err != nil {
		return "", gitFailure("compare this clone's log with the remote's", err)
	}
	files, err := sn.added(ctx, sn.own, base)
	if err != nil {
		return "", err
	}
	_, trailers, err := s.newest(own.OID)
	if err != nil {
		return "", err
	}
	tx := &Tx{base: sn, replica: NewID(s.opt.Rand), paths: map[string]bool{}}
	if err := sn.Read(ctx, files, func(f File) error {
		if f.Path == headerFile {
			return nil
		}
		return tx.Create(f.Path, f.Data)
	}); err != nil {
		return "", err
	}
	info := CommitInfo{Subject: "take a new identity: a copy of this clone has the log " + sn.own, Author: "git-agentmail"}
	for _, key := range slices.Sorted(maps.Keys(trailers)) {
		if numbered(key) {
			info.Trailers = append(info.Trailers, [2]string{key, trailers[key]})
		}
	}
	info.Trailers = append(info.Trailers, [2]string{leftTrailer, sn.own + " " + own.OID})
	t, err := s.write(ctx, tx, []CommitInfo{info})
	if err != nil {
		return "", err
	}
	// Whoever is killed here does it all again, under another identity yet: the same files are
	// in two logs then, which is no harm. Later on the next exchange does the rest.
	if err := s.saveReplica(tx.replica); err != nil {
		return "", s.repo.writeError("save this clone's identity", err)
	}
	if err := s.leave(ctx, sn.own, there); err != nil {
		return "", err
	}
	after := &Snapshot{store: s, own: tx.replica, logs: maps.Clone(sn.logs)}
	if after.logs[sn.own], err = s.load(there); err != nil {
		return "", err
	}
	after.logs[tx.replica] = t
	s.opt.AfterCommit(sn, after, tx.created)
	return tx.replica, nil
}

// leftTrailer, in the first commit of a log, says whose log its clone wrote before, and up to
// which commit that was its own.
const leftTrailer = "Left"

// leftAt returns at which commit this clone left a log to others, "" if it never wrote it.
func (s *Store) leftAt(ctx context.Context, sn *Snapshot, replica string) (OID, error) {
	own := sn.logs[sn.own]
	if own == nil {
		return "", nil
	}
	out, err := s.repo.own(ctx, nil, "rev-list", "--max-parents=0", own.OID)
	if err != nil {
		return "", gitFailure("look for the first commit of "+logRef(sn.own), err)
	}
	first, _, _ := strings.Cut(string(out), "\n")
	data, err := s.objects.one(first, "commit")
	if err != nil {
		return "", err
	}
	was, oid, _ := strings.Cut(parseCommit(data).trailers()[leftTrailer], " ")
	if was != replica {
		oid = ""
	}
	return oid, nil
}

// leave moves a log that this clone left to where others have it. The ref goes first: until
// that is remembered too, it counts as set back. The caller holds the lock.
func (s *Store) leave(ctx context.Context, replica string, there OID) error {
	v, err := s.look(ctx)
	if err != nil {
		return err
	}
	theirs, err := s.load(there)
	if err != nil {
		return err
	}
	now := v.sn.logs[replica].OID
	if at, set := v.back[replica]; set {
		now = at
	}
	if now != there {
		if err := s.moveRef(ctx, replica, there, now, "left", s.opt.LockWait); err != nil {
			return err
		}
	}
	v.sn.logs[replica] = theirs
	if err := s.remember(v.sn); err != nil {
		return s.repo.writeError("write down the tips of the logs", err)
	}
	return nil
}

// push gives a hub what it has not got of the own log, and what something removed from it of
// those that it had.
func (s *Store) push(ctx context.Context, remote string, hub *hubFile, before, image map[string]imageRef, out *SyncResult) error {
	sn, err := s.Snapshot(ctx)
	if err != nil {
		return err
	}
	var specs []pushSpec
	own := sn.logs[sn.own]
	refused := slices.ContainsFunc(out.Refused, func(r Refused) bool { return r.Replica == sn.own })
	if own != nil && !refused && image[sn.own].oid != own.OID {
		specs = append(specs, pushSpec{to: image[sn.own].ref, oid: own.OID, old: image[sn.own].oid, replica: sn.own})
	}
	for _, ref := range hub.Had {
		replica := ref[strings.LastIndexByte(ref, '/')+1:]
		twice := slices.ContainsFunc(specs, func(p pushSpec) bool { return p.replica == replica })
		if _, there := image[replica]; !there && !twice && sn.logs[replica] != nil && replica != sn.own {
			specs = append(specs, pushSpec{to: ref, oid: sn.logs[replica].OID, replica: replica})
		}
	}
	if len(specs) == 0 {
		return nil
	}
	prefixes := []string{logPrefix, headsPrefix}
	if hub.Branches {
		prefixes = prefixes[1:]
	}
	var failed error
	for _, prefix := range prefixes {
		for i, p := range specs {
			if p.replica == sn.own && p.old == "" {
				specs[i].to = prefix + p.replica
			}
		}
		done, refusal := s.repo.push(ctx, remote, specs)
		for _, p := range done {
			if p.replica == sn.own {
				if out.Pushed, err = s.count(ctx, p.old, p.oid); err != nil {
					return err
				}
				hub.Branches = strings.HasPrefix(p.to, headsPrefix)
			} else {
				out.Restored = append(out.Restored, p.replica)
			}
			// The next look must not take it for something that is missing.
			kind, _ := strings.CutPrefix(p.to, refRoot)
			if strings.HasPrefix(p.to, headsPrefix) {
				kind = "heads/" + p.replica
			}
			if _, err := s.repo.own(ctx, nil, "update-ref", hubPrefix+hubID(remote)+"/"+kind, p.oid); err != nil {
				return gitFailure("write down what the remote has", err)
			}
		}
		specs = slices.DeleteFunc(specs, func(p pushSpec) bool { return slices.Contains(done, p) })
		if len(specs) == 0 {
			return nil
		}
		// Only who was never taken looks for another place. A remote that has taken our log
		// before does so again, and one that seems to have lost it may only seem so: what lies
		// between can make git believe that there are no refs, and then the lease refuses.
		failed = refusal
		if slices.Contains(hub.Had, logRef(sn.own)) || before[sn.own].oid != "" || !slices.ContainsFunc(specs, func(p pushSpec) bool { return p.replica == sn.own && p.old == "" }) {
			break
		}
	}
	return unreachable("push to", remote, failed)
}

// pushSpec moves one ref of a remote, if it is where we saw it.
type pushSpec struct {
	to      string
	oid     OID
	old     OID // "" if it was not there
	replica string
}

// refspec is the one place where a refspec for a push is made: one with nothing before its
// colon deletes.
func (p pushSpec) refspec() string {
	if !isOID(p.oid) || p.oid == zeroOID || !strings.HasPrefix(p.to, "refs/") {
		panic(fmt.Sprintf("gitstore: a push of %q to %q", p.oid, p.to))
	}
	return p.oid + ":" + p.to
}

// push moves refs of a remote, each for itself, and returns which were moved. Why others were
// not is in words of the remote, or of what lies between, that nobody can tell apart:
// who wants to know looks at the refs.
func (r *Repo) push(ctx context.Context, remote string, specs []pushSpec) (done []pushSpec, err error) {
	args := []string{"push", "--porcelain", "--no-verify", "--no-signed", "--no-follow-tags", "--recurse-submodules=no"}
	for _, p := range specs {
		args = append(args, "--force-with-lease="+p.to+":"+p.old)
	}
	args = append(args, "--", r.pushURL(ctx, remote))
	for _, p := range specs {
		args = append(args, p.refspec())
	}
	res, err := r.transport(ctx, args...)
	for line := range strings.Lines(string(res)) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", 3)
		if len(f) < 3 || len(f[0]) != 1 || f[0] == "!" {
			continue
		}
		_, to, _ := strings.Cut(f[1], ":")
		for _, p := range specs {
			if p.to == to {
				done = append(done, p)
			}
		}
	}
	if err == nil && len(done) < len(specs) {
		err = errors.New("it did not take all refs")
	}
	return done, err
}

// pushURL returns where a remote is pushed to. By its name git would make refs that follow
// the remote's, and push what the user has set beside it.
func (r *Repo) pushURL(ctx context.Context, remote string) string {
	list, _ := r.Config(ctx)
	for _, key := range []string{"remote." + remote + ".pushurl", "remote." + remote + ".url"} {
		for _, v := range list {
			if v.Key == key {
				return v.Value
			}
		}
	}
	return remote
}

// RemoteNames returns the names of the remotes in the configuration.
func (r *Repo) RemoteNames(ctx context.Context) ([]string, error) {
	list, err := r.Config(ctx)
	names := map[string]bool{}
	for _, v := range list {
		rest, ok := strings.CutPrefix(v.Key, "remote.")
		if name, isURL := strings.CutSuffix(rest, ".url"); ok && isURL {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names)), err
}

// transport runs a git that speaks to a remote, in the user's configuration and with the
// user's credentials. It asks nobody anything, and ends with its context.
func (r *Repo) transport(ctx context.Context, args ...string) ([]byte, error) {
	dir := r.TopLevel // of which a path in the configuration is relative
	if dir == "" {
		dir = r.CommonDir
	}
	args = append(ownConfig[:len(ownConfig):len(ownConfig)], args...)
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.WaitDelay = time.Second // then git is killed, and what it started is not waited for
	apart(cmd)
	// Without a terminal ssh would open a window instead, a server's every half minute.
	return runGit(ctx, cmd, dir, append([]string{"SSH_ASKPASS_REQUIRE=never"}, r.env...), nil, args)
}

func unreachable(doing, remote string, err error) error {
	var ge *gitError
	if errors.As(err, &ge) {
		return &Error{Kind: Unreachable, Msg: fmt.Sprintf("could not %s %q: %s", doing, remote, ge.reason()), Err: err}
	}
	if err == nil || KindOf(err) != "" {
		return err
	}
	return &Error{Kind: Unreachable, Msg: fmt.Sprintf("could not %s %q: %s", doing, remote, err), Err: err}
}
