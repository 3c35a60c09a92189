package gitstore

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
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
	hubPrefix  = refRoot + "hub/"
	remotesDir = "remotes" // in the store's own directory: a file for each hub
	syncLock   = "syncing" // there as well: one process exchanges logs at a time
)

// staleImageLock is the age at which a lock in an image was left by a git that was killed.
const staleImageLock = 5 * time.Second

// syncWait is how long one exchange waits for another at least: that may be a first one.
const syncWait = time.Minute

// Refused says why a log that a hub has was not accepted.
type Refused struct {
	Replica string `json:"replica"`
	Why     string `json:"why"`
}

// SyncResult says what an exchange with a hub did.
type SyncResult struct {
	Remote   string
	Fetched  []string  // replicas whose logs are new or have grown
	Pushed   int       // commits of this clone's own log that the hub has now and had not
	Retired  int       // logs of idle clones that are in an archive now
	Restored []string  // replicas whose logs something had removed from the hub
	Refused  []Refused // what the hub has and is not believed
	Branches bool      // the hub refuses refs outside of branches, so logs are branches there
	Place    string    // the ref that is this clone's log there
	Fell     bool      // and it is a branch, for it was just refused elsewhere
	Refuses  []string  // places where the hub did not take this clone's log, and there is no other
	Forked   string    // this clone's new identity: another clone, a copy of it, has the old one

	Table     *Table // of the hub, as far as it is known now; nil if nobody asked for it
	TableErr  error  // why it was not changed, though the logs were exchanged
	Contended bool   // the table was changed, and the hub did not take it: it has moved, or does not want to

	forged bool // what the hub has of this clone's own log is not this clone's, and is pushed over
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
	return s.SyncTable(ctx, remote, nil)
}

// SyncTable does the same, and lets ask change the hub's table with the same push. If the
// result is Contended the caller has to ask again.
func (s *Store) SyncTable(ctx context.Context, remote string, ask Revise) (SyncResult, error) {
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
	err = s.exchange(ctx, remote, &hub, ask, &out)
	if ctx.Err() != nil {
		return out, ctx.Err()
	}
	s.shedBehind(ctx)
	at := s.opt.Now()
	hub.NotTaken = out.Refuses
	if hub.Failed = ""; out.TableErr != nil {
		hub.Failed = out.TableErr.Error()
	}
	if err != nil {
		hub.Failed = err.Error()
		at = time.Time{}
		if st, serr := os.Stat(file); serr == nil {
			at = st.ModTime()
		}
	}
	out.Branches = hub.Branches
	if err != nil && !known && len(out.Refuses) == 0 && strings.ContainsAny(remote, `/:\`) {
		return out, err // a URL or path that was never one; a name stands in the configuration
	}
	if serr := s.saveHub(hub, at); err == nil {
		err = serr
	}
	return out, err
}

func (s *Store) exchange(ctx context.Context, remote string, hub *hubFile, ask Revise, out *SyncResult) error {
	prefix, err := s.RefPrefix(ctx)
	if err != nil {
		return err
	}
	known, err := s.imageRefs(remote)
	if err != nil {
		return err
	}
	before, err := s.imageOf(known)
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
	wide := s.looksWide(remote)
	fetch := slices.Concat(fetchFlags, []string{"--", remote}, s.fetchSpecs(remote, known, wide))
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
	if wide {
		s.wide.Store(remote, s.opt.Now())
	}
	refs, err := s.imageRefs(remote)
	if err != nil {
		return err
	}
	t, terr := s.table(ctx, remote, hub.Branches)
	var news []OID
	for ref, oid := range refs {
		if oid != known[ref] {
			news = append(news, oid)
		}
	}
	if terr == nil && t.Changed {
		news = append(news, t.at)
	}
	if len(news) > 0 {
		if err := s.adopt(ctx, packs, news); err != nil {
			return err
		}
	}
	image, err := s.imageOf(refs)
	if err != nil {
		return err
	}
	if err := s.unreadArchives(refs, out); err != nil {
		return err
	}
	if err := s.accept(ctx, image, out); err != nil {
		return err
	}
	hub.Refused = out.Refused
	var swap *pushSpec
	if ask != nil && terr == nil {
		out.Table = t
		swap, terr = s.revise(ctx, t, ask)
	}
	// Mail goes whatever is wrong with the table.
	p := pushing{s: s, remote: remote, hub: hub, prefix: prefix, before: before, image: image, refs: refs, table: swap, out: out}
	err = p.push(ctx)
	// What was moved is written down with the push; a table that was written anew is seen once
	// the answer to that stands there.
	if moved := swap != nil && t.at == swap.oid; terr == nil && out.Table != nil && (t.was == "" || moved || err == nil && !out.Contended) {
		if terr = s.sawTable(ctx, remote, t, false); terr == nil && swap != nil && !moved && !out.Contended && swap.oid != t.tip {
			terr = errf(Unreachable, "at %q this clone may push only branches of its own, and the strong reservations are in %s", remote, t.ref)
		}
	}
	if err == nil {
		err = s.retire(ctx, remote, hub, out)
	}
	out.TableErr = terr
	return err
}

// clearLocks removes the lock files in an image that a killed git has left, and reports whether
// there were any. Nobody else writes there, and we hold the lock on exchanges; a git that
// lives on after its parent has each for as long as it takes to write a line.
func (s *Store) clearLocks(root string) (any bool) {
	now, err := os.Stat(s.repo.dir(syncLock))
	if err != nil {
		return false
	}
	filepath.WalkDir(filepath.Join(s.repo.CommonDir, filepath.FromSlash(root)), func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && strings.HasSuffix(name, ".lock") {
			if st, err := e.Info(); err == nil && now.ModTime().Sub(st.ModTime()) >= staleImageLock && os.Remove(name) == nil {
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
	for _, kind := range []string{"log", "archive", "heads", "branches"} {
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
func (s *Store) adopt(ctx context.Context, had map[string]bool, tips []OID) error {
	return s.tidily(ctx, func() error {
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
			if slices.ContainsFunc(list, func(oid OID) bool { return slices.Contains(tips, oid) }) {
				if err := s.writeNote(base); err != nil {
					return s.repo.writeError("note whose a pack is", err)
				}
			}
		}
		return nil
	})
}

// tidily runs fn, which adds a pack, under the lock, and merges packs if they are too many now.
func (s *Store) tidily(ctx context.Context, fn func() error) error {
	l, err := s.acquire(ctx, s.opt.LockWait, true)
	if err != nil {
		return err
	}
	release := sync.OnceFunc(l.release)
	defer release()
	if err := fn(); err != nil {
		return err
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
