package mailbox

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/index"
	"github.com/git-agentmail/git-agentmail/mail"
)

const (
	indexCache = "index.sqlite"
	indexLock  = "index.lock"
	indexTemp  = "index-new-" // what a killed rebuild leaves; the next one removes it
)

// view is what a verb that lists reads: the index of one snapshot.
type view struct {
	*index.DB
	b   *Box
	ctx context.Context
	sn  *gitstore.Snapshot
	d   *mail.Directory
}

// indexed runs fn on an index of everything that was there when it was called. What
// is missing from the index is added first, by one process at a time. Whatever is
// wrong with it, it is built anew, and where that cannot be, for this process alone
// in memory.
func (b *Box) indexed(ctx context.Context, fn func(v *view) error) error {
	b.indexing.Lock()
	defer b.indexing.Unlock()
	if sn, err := b.store.Snapshot(ctx); err != nil || sn.Version() == "" || b.memoryOnly {
		if err == nil { // nothing is made where there is no mail
			err = b.inMemory(ctx, fn)
		}
		return asMail(err)
	}
	var ran bool
	err := b.onIndex(ctx, func(v *view) error {
		ran = true
		return fn(v)
	})
	unusable := !ran || errors.Is(err, index.ErrStale) || errors.Is(err, index.ErrUnusable)
	if err != nil && unusable && ctx.Err() == nil {
		err = b.inMemory(ctx, fn)
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
		v := &view{db, b, ctx, sn, d}
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
	release, err := index.Lock(ctx, b.repo.CachePath(indexLock))
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
	old, _ := filepath.Glob(globEscape(b.repo.CachePath()) + "/" + indexTemp + "*")
	for _, name := range old {
		os.Remove(name)
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
	// Receipts first, so that each letter is written once.
	slices.SortStableFunc(files, func(x, y gitstore.File) int {
		first := func(f gitstore.File) int {
			if strings.HasPrefix(f.Path, "receipts/") {
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
	return db.Apply(ctx, string(sn.Version()), b.entries(ctx, sn, files, progress), func(id string) ([]index.Entry, error) {
		all, err := sn.List(ctx, "mail/", nil)
		if err != nil {
			return nil, err
		}
		var list []index.Entry
		for e, err := range b.entries(ctx, sn, slices.DeleteFunc(all, func(f gitstore.File) bool { return messageID(f.Path) != id }), func(int, int) {}) {
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
// index likes them so.
func (b *Box) entries(ctx context.Context, sn *gitstore.Snapshot, files []gitstore.File, progress func(done, total int)) iter.Seq2[index.Entry, error] {
	return func(yield func(index.Entry, error) bool) {
		var hour []index.Entry
		var dir string
		done := 0
		flush := func() bool {
			slices.SortStableFunc(hour, func(x, y index.Entry) int {
				switch {
				case x.Record == nil || y.Record == nil:
					return 0
				case mail.Less(x.Record, y.Record):
					return -1
				}
				return 1
			})
			for _, e := range hour {
				if !yield(e, nil) {
					return false
				}
			}
			if done += len(hour); done > 0 {
				progress(done, len(files))
			}
			hour = hour[:0]
			return true
		}
		err := sn.Read(ctx, files, func(f gitstore.File) error {
			if at := f.Path[:strings.LastIndexByte(f.Path, '/')+1]; at != dir {
				if !flush() {
					return errStop
				}
				dir = at
			}
			r, err := mail.Decode(f.Path, f.Data)
			hour = append(hour, index.Entry{Replica: f.Replica, Path: f.Path, OID: f.OID, Record: r, Err: err})
			return nil
		})
		if err == nil && !flush() || errors.Is(err, errStop) {
			return
		}
		if err != nil {
			yield(index.Entry{}, err)
		}
	}
}

var errStop = errors.New("mailbox: no more is wanted")

func globEscape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

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
	files := make([]gitstore.File, len(list))
	at := map[string][]int{}
	for i, l := range list {
		files[i] = gitstore.File{Replica: l.Replica, Path: l.Path(), OID: l.OID}
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
