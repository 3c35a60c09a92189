package gitstore

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// How soon somebody who waits learns that a ref has moved.
const (
	// settle is how long after the first sign we look, so that a burst is one look.
	// A writer has then also written the tips down, without which a look asks git
	// whether the ref went forward.
	settle = 5 * time.Millisecond
	// slowLook is for file systems that do not tell of others' writes (NFS), and for
	// whatever else a notification may miss.
	slowLook = 2 * time.Second
	// pollEvery is for where nothing can be watched.
	pollEvery = 40 * time.Millisecond
)

// Notify returns a channel that receives a value when the refs of the logs have
// moved since the call, or since the last value: take a [Snapshot] then. Values that
// nobody has received yet are one. The refs need not exist, and may go and come
// again. Once ctx has ended, and all that it took is given back, the channel is
// closed.
//
// The kernel tells of the moves. Every two seconds the refs are read all the same,
// and every 40 ms while the kernel cannot be asked: it allows a user only so many
// watchers.
func (s *Store) Notify(ctx context.Context) <-chan struct{} {
	return s.notify(ctx, slowLook, pollEvery)
}

func (s *Store) notify(ctx context.Context, slow, poll time.Duration) <-chan struct{} {
	n := &notifier{repo: s.repo, stirred: make(chan struct{}, 1)}
	watching := n.watch() // before the first look, so that nothing falls between
	last := n.state()
	news := make(chan struct{}, 1)
	go func() {
		defer close(news)
		defer n.close()
		for {
			every := poll
			if watching {
				every = slow
			}
			timer := time.NewTimer(every)
			select {
			case <-ctx.Done():
			case <-timer.C:
			case <-n.stirred:
				timer.Reset(settle)
				select {
				case <-ctx.Done():
				case <-timer.C:
				}
			}
			timer.Stop()
			if ctx.Err() != nil {
				return
			}
			watching = n.watch()
			now := n.state()
			if now == last {
				continue // as after pack-refs
			}
			last = now
			select {
			case news <- struct{}{}:
			default:
			}
		}
	}()
	return news
}

// notifier watches the directory of the refs or, where that is not there, the
// nearest one above it that is: in it the missing one will appear.
type notifier struct {
	repo    *Repo
	stirred chan struct{} // something has happened there
	w       *fsnotify.Watcher
	dir     string
	was     os.FileInfo // dir, when it was begun to be watched
}

// watch sees to it that the right directory is watched, and reports whether it is.
func (n *notifier) watch() bool {
	if n.w == nil {
		w, err := fsnotify.NewWatcher()
		if err != nil {
			return false
		}
		n.w = w
		go n.drain(w)
	}
	// What is made between our look and the kernel's would not be seen: look again.
	for range 10 {
		dir, st := n.nearest()
		if st == nil {
			return false
		}
		if dir == n.dir && os.SameFile(st, n.was) && slices.Contains(n.w.WatchList(), dir) {
			return true
		}
		if n.dir != "" {
			n.w.Remove(n.dir) // it may be gone, and is forgotten then
		}
		n.dir = ""
		if n.w.Add(dir) != nil {
			return false
		}
		n.dir, n.was = dir, st
	}
	return false
}

// nearest returns the directory to watch; without any, st is nil.
func (n *notifier) nearest() (dir string, st os.FileInfo) {
	for _, name := range []string{logPrefix, refRoot, "refs", ""} {
		dir = filepath.Join(n.repo.CommonDir, filepath.FromSlash(name))
		if st, err := os.Stat(dir); err == nil && st.IsDir() {
			return dir, st
		}
	}
	return "", nil
}

// drain takes what the watcher tells. It does nothing else, for the watcher may hold a
// lock while it tells of an error.
func (n *notifier) drain(w *fsnotify.Watcher) {
	for {
		select {
		case e, ok := <-w.Events:
			if !ok {
				return
			}
			if strings.HasSuffix(e.Name, ".lock") {
				continue // git's, before it moves a ref
			}
		case _, ok := <-w.Errors: // such as: there was more to tell than room
			if !ok {
				return
			}
		}
		select {
		case n.stirred <- struct{}{}:
		default:
		}
	}
}

// state is what the refs say, or why they do not.
func (n *notifier) state() string {
	refs, err := n.repo.logTips()
	if err != nil {
		return err.Error()
	}
	logs := make(map[string]*tip, len(refs))
	for replica, oid := range refs {
		logs[replica] = &tip{OID: oid}
	}
	return string(makeVersion(logs))
}

func (n *notifier) close() {
	if n.w != nil {
		n.w.Close()
	}
}
