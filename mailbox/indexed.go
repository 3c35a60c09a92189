package mailbox

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/index"
	"github.com/git-agentmail/git-agentmail/mail"
)

const (
	indexCache = "index.sqlite"
	indexLock  = "index.lock"
	indexTemp  = "index-new-" // what a killed rebuild leaves; the next one removes it
)

// indexWait is how long somebody waits for whoever changes the index, before an answer
// is found without it. It is longer than building one takes.
const indexWait = time.Minute

// view is what a verb that lists reads: the index of one snapshot.
type view struct {
	*index.DB
	b   *Box
	ctx context.Context
	sn  *gitstore.Snapshot
	d   *mail.Directory

	active map[string]index.Activity // see activities
}

// activities asks the index once.
func (v *view) activities() (_ map[string]index.Activity, err error) {
	if v.active == nil {
		v.active, err = v.Activities(v.ctx)
	}
	return v.active, err
}

// indexed runs fn on an index of everything that was there when it was called. What
// is missing from the index is added first, by one process at a time. Whatever is
// wrong with it, it is built anew, and where that cannot be, for this process alone
// in memory.
func (b *Box) indexed(ctx context.Context, fn func(v *view) error) error {
	b.indexing.Lock()
	defer b.indexing.Unlock()
	if sn, err := b.store.Snapshot(ctx); err != nil || sn.Version() == "" {
		if err == nil { // nothing is made where there is no mail
			err = b.inMemory(ctx, fn)
		}
		return asMail(err)
	}
	var own error // of fn itself
	err := b.onIndex(ctx, func(v *view) error {
		own = fn(v)
		return own
	})
	fault := errors.Is(own, index.ErrStale) || errors.Is(own, index.ErrUnusable)
	if err != nil && (own == nil || fault) && ctx.Err() == nil {
		err = b.inMemory(ctx, fn)
	}
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return asMail(err)
}

// onIndex does it with the file.
func (b *Box) onIndex(ctx context.Context, fn func(v *view) error) error {
	look := func(sn *gitstore.Snapshot) error {
		return b.withFile(ctx, func(db *index.DB) error { return b.look(ctx, db, sn, fn) })
	}
	for try := 0; ; try++ {
		sn, err := b.store.Snapshot(ctx)
		if err != nil {
			return err
		}
		err = look(sn)
		if stale := errors.Is(err, index.ErrStale); !stale && !errors.Is(err, errBehind) || stale && try == 2 {
			return err
		}
		// With many writers there may be news again before we look: then the last try
		// is made while nobody can add them.
		if try >= 3 {
			return b.catchUp(ctx, look)
		}
		if err := b.catchUp(ctx, func(*gitstore.Snapshot) error { return nil }); err != nil {
			return err
		}
	}
}

// errBehind says that the index does not hold the snapshot that is asked about.
var errBehind = errors.New("mailbox: the index is behind")

func (b *Box) look(ctx context.Context, db *index.DB, sn *gitstore.Snapshot, fn func(v *view) error) error {
	d, err := b.directory(ctx, sn)
	if err != nil {
		return err
	}
	return db.View(ctx, func() error {
		version, err := db.Version(ctx)
		if err != nil {
			return err
		}
		if version != string(sn.Version()) {
			return errBehind
		}
		v := &view{DB: db, b: b, ctx: ctx, sn: sn, d: d}
		if err := v.reportDamage(); err != nil {
			return err
		}
		return fn(v)
	})
}

// reportDamage says what of the mailbox a list had to leave out.
func (v *view) reportDamage() error {
	first, n, err := v.Damaged(v.ctx)
	if n > 0 {
		v.b.opt.Report(first.Why + "; it was passed over, see git agentmail verify")
	}
	if n > 1 {
		v.b.opt.Report(plural(n-1, "further stored file") + " passed over")
	}
	return err
}

// withFile runs fn on the file of the index. There must be one: without it the error
// is ErrStale.
func (b *Box) withFile(ctx context.Context, fn func(*index.DB) error) error {
	file := b.repo.CachePath(indexCache)
	now, err := os.Stat(file)
	if err != nil {
		b.closeIndex()
		return index.ErrStale
	}
	if b.index != nil && !os.SameFile(now, b.indexFile) { // somebody has built another
		b.closeIndex()
	}
	if b.index == nil {
		b.index, err = index.Open(ctx, file)
		b.indexFile = now
		for _, name := range []string{file + "-wal", file + "-shm"} { // the driver makes them for one user
			if st, serr := os.Stat(name); serr == nil && b.repo.SharedMode(st.Mode()) != st.Mode() {
				os.Chmod(name, b.repo.SharedMode(st.Mode()))
			}
		}
	}
	if err == nil {
		err = fn(b.index)
	}
	if errors.Is(err, index.ErrStale) {
		b.badIndex = now
		b.closeIndex()
	}
	return err
}

func (b *Box) closeIndex() {
	if b.index != nil {
		b.index.Close()
		b.index = nil
	}
}

// catchUp adds to the index what it does not hold yet, or builds another one, and
// runs during while nobody else can change it.
func (b *Box) catchUp(ctx context.Context, during func(*gitstore.Snapshot) error) error {
	if err := b.store.MakeCache(); err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, indexWait)
	defer cancel()
	release, err := index.Lock(waiting, b.repo.CachePath(indexLock))
	if err != nil {
		return err
	}
	defer release()
	sn, err := b.store.Snapshot(ctx)
	if err != nil {
		return err
	}
	// Somebody may have done it while we waited. A file that we found damaged is none to
	// add to, even if the damage does not show in what that reads.
	err = index.ErrStale
	if now, serr := os.Stat(b.repo.CachePath(indexCache)); serr == nil && (b.badIndex == nil || !os.SameFile(now, b.badIndex)) {
		err = b.withFile(ctx, func(db *index.DB) error { return b.addNews(ctx, db, sn) })
	}
	if errors.Is(err, index.ErrStale) {
		err = b.rebuild(ctx, sn)
	}
	if err == nil {
		err = during(sn)
	}
	return err
}

// addNews brings an index to a snapshot. The error is ErrStale where it does not lead
// there: a log was truncated or set back.
func (b *Box) addNews(ctx context.Context, db *index.DB, sn *gitstore.Snapshot) error {
	version, err := db.Version(ctx)
	if err != nil || version == string(sn.Version()) {
		return err
	}
	files, ok, err := sn.Added(ctx, gitstore.Version(version))
	switch {
	case err != nil:
		return err
	case !ok:
		return index.ErrStale
	}
	if out, err := db.OutOfOrder(ctx); err != nil || out {
		return errors.Join(err, index.ErrStale)
	}
	return b.feed(ctx, db, sn, files, nil)
}

// rebuild makes the index anew, beside the old one. Whoever has that open goes on
// with it until the next look.
func (b *Box) rebuild(ctx context.Context, sn *gitstore.Snapshot) error {
	b.closeIndex()
	old, _ := os.ReadDir(b.repo.CachePath())
	for _, e := range old {
		if strings.HasPrefix(e.Name(), indexTemp) {
			os.Remove(b.repo.CachePath(e.Name()))
		}
	}
	temp := b.repo.CachePath(indexTemp + mail.NewID(b.opt.Rand))
	defer os.Remove(temp)
	db, err := index.Create(ctx, temp)
	if err != nil {
		return err
	}
	if err := b.fill(ctx, db, sn); err != nil {
		db.Close()
		return err
	}
	if err := db.Finish(ctx); err != nil {
		return err
	}
	if err := settle(temp, b.repo.SharedMode); err != nil {
		return err
	}
	file := b.repo.CachePath(indexCache)
	// What SQLite keeps beside the old file must not be taken for the new one's.
	for _, name := range []string{file, file + "-wal", file + "-shm"} {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return os.Rename(temp, file)
}

// indexState says how the index stands. None of its states is a problem: the next list
// puts it right.
func (b *Box) indexState(ctx context.Context, sn *gitstore.Snapshot) string {
	b.indexing.Lock()
	defer b.indexing.Unlock()
	if _, err := os.Stat(b.repo.CachePath(indexCache)); err != nil {
		return "index: none yet, the first list makes it"
	}
	state := "index: "
	err := b.withFile(ctx, func(db *index.DB) error {
		version, err := db.Version(ctx)
		if err != nil {
			return err
		}
		n, err := db.Messages(ctx)
		if state += plural(n, "message"); version != string(sn.Version()) {
			state += ", the next list adds what came since"
		}
		return err
	})
	if err != nil {
		return "index: the next list makes another one"
	}
	return state
}

// Reindex builds the index anew, whatever state it is in.
func (b *Box) Reindex(ctx context.Context) (r ReindexResult, err error) {
	b.indexing.Lock()
	defer b.indexing.Unlock()
	if err := b.store.MakeCache(); err != nil {
		return r, asMail(err)
	}
	release, err := index.Lock(ctx, b.repo.CachePath(indexLock))
	if err != nil {
		return r, asMail(err)
	}
	defer release()
	sn, err := b.snapshot(ctx)
	if err == nil {
		err = b.rebuild(ctx, sn)
	}
	if err != nil {
		return r, asMail(err)
	}
	err = b.withFile(ctx, func(db *index.DB) (err error) {
		r.Messages, err = db.Messages(ctx)
		return err
	})
	if st, serr := os.Stat(b.repo.CachePath(indexCache)); serr == nil {
		r.Bytes = st.Size()
	}
	return r, asMail(err)
}

// settle gives a file its mode and makes it durable: it was written without regard
// for that, and a power cut must not leave a broken one that looks whole.
func settle(name string, mode func(fs.FileMode) fs.FileMode) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	st, err := f.Stat()
	if err == nil && mode(st.Mode()) != st.Mode() {
		err = f.Chmod(mode(st.Mode()))
	}
	return errors.Join(err, f.Sync(), f.Close())
}

func (b *Box) fill(ctx context.Context, db *index.DB, sn *gitstore.Snapshot) error {
	files, err := sn.List(ctx, "", notFiles)
	if err != nil {
		return err
	}
	// Receipts and what redacts first, so that each letter is written once, or never.
	slices.SortStableFunc(files, func(x, y gitstore.File) int {
		first := func(f gitstore.File) int {
			switch top, _, _ := strings.Cut(f.Path, "/"); top {
			case "agents", "receipts", "redactions":
				return 0
			}
			return 1
		}
		return first(x) - first(y)
	})
	return b.feed(ctx, db, sn, files, b.opt.Progress)
}

// inMemory answers where no file can be written. What was read is kept for the next
// call in this process.
func (b *Box) inMemory(ctx context.Context, fn func(v *view) error) error {
	sn, err := b.store.Snapshot(ctx)
	if err != nil {
		return err
	}
	if b.memory != nil {
		err = b.addNews(ctx, b.memory, sn)
	}
	if b.memory == nil || errors.Is(err, index.ErrStale) {
		b.closeMemory()
		if b.memory, err = index.InMemory(ctx); err == nil {
			err = b.fill(ctx, b.memory, sn)
		}
	}
	if err != nil {
		b.closeMemory()
		return err
	}
	return b.look(ctx, b.memory, sn, fn)
}

func (b *Box) closeMemory() {
	if b.memory != nil {
		b.memory.Close()
		b.memory = nil
	}
}

// feed reads files and puts them into an index, which then holds sn.
func (b *Box) feed(ctx context.Context, db *index.DB, sn *gitstore.Snapshot, files []gitstore.File, progress func(done, total int)) error {
	files = slices.DeleteFunc(files, func(f gitstore.File) bool { return !isRecord(f.Path) })
	if progress == nil {
		progress = func(int, int) {}
	}
	defer progress(len(files), len(files))
	var named map[string][]gitstore.File // all messages by id, once they are asked for
	return db.Apply(ctx, string(sn.Version()), b.entries(ctx, sn, files, progress), func(id string) ([]index.Entry, error) {
		if named == nil {
			all, err := sn.List(ctx, "mail/", nil)
			if err != nil {
				return nil, err
			}
			named = map[string][]gitstore.File{}
			for _, f := range all {
				named[messageID(f.Path)] = append(named[messageID(f.Path)], f)
			}
		}
		var list []index.Entry
		for e, err := range b.entries(ctx, sn, named[id], func(int, int) {}) {
			if err != nil {
				return nil, err
			}
			if e.Err == nil {
				list = append(list, e)
			}
		}
		return list, nil
	})
}

// entries yields the records of files, those of one hour in the order of the log: the
// index likes them so. They are read some at a time, for while they are read nobody else
// in this process can read.
func (b *Box) entries(ctx context.Context, sn *gitstore.Snapshot, files []gitstore.File, progress func(done, total int)) iter.Seq2[index.Entry, error] {
	return func(yield func(index.Entry, error) bool) {
		for done := 0; done < len(files); {
			end := min(done+entriesAtOnce, len(files))
			for end < len(files) && hourOf(files[end].Path) == hourOf(files[end-1].Path) {
				end++
			}
			var list []index.Entry
			err := sn.Read(ctx, files[done:end], func(f gitstore.File) error {
				r, err := mail.Decode(f.Path, f.Data)
				list = append(list, index.Entry{Replica: f.Replica, Path: f.Path, OID: f.OID, Record: r, Err: err})
				return nil
			})
			if err != nil {
				yield(index.Entry{}, err)
				return
			}
			slices.SortStableFunc(list, func(x, y index.Entry) int {
				switch {
				case hourOf(x.Path) != hourOf(y.Path) || x.Record == nil || y.Record == nil:
					return strings.Compare(hourOf(x.Path), hourOf(y.Path))
				case mail.Less(x.Record, y.Record):
					return -1
				case mail.Less(y.Record, x.Record):
					return 1
				}
				return 0
			})
			for _, e := range list {
				if !yield(e, nil) {
					return
				}
			}
			done = end
			progress(done, len(files))
		}
	}
}

const entriesAtOnce = 1000

// hourOf is the directory of a record.
func hourOf(path string) string { return path[:strings.LastIndexByte(path, '/')+1] }

// before finds the place after which a list of messages goes on.
func (v *view) before(p Page) (index.Place, error) {
	if p.Before == "" {
		return index.Place{}, nil
	}
	ids, err := v.MessageIDs(v.ctx, strings.ToLower(p.Before))
	if err != nil {
		return index.Place{}, err
	}
	id, err := mail.ByPrefix("message", p.Before, slices.Values(ids))
	if err != nil {
		return index.Place{}, err
	}
	return v.PlaceOf(v.ctx, id)
}

// bodies reads the bodies of letters, which are not in the index.
func (v *view) bodies(list []index.Letter) error {
	var files []gitstore.File
	at := map[string][]int{}
	for i, l := range list {
		if l.Redacted {
			continue
		}
		files = append(files, gitstore.File{Replica: l.Replica, Path: l.Path(), OID: l.OID})
		at[l.OID] = append(at[l.OID], i)
	}
	return v.sn.Read(v.ctx, files, func(f gitstore.File) error {
		r, err := mail.Decode(f.Path, f.Data)
		if err != nil {
			return err
		}
		if m, ok := r.(*mail.Message); ok {
			for _, i := range at[f.OID] {
				list[i].Body = m.Body
			}
		}
		return nil
	})
}
