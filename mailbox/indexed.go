package mailbox

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/index"
	"github.com/git-agentmail/git-agentmail/mail"
)

const (
	indexCache = "index.sqlite"
	indexLock  = "index.lock"
	indexTurn  = "index.turn" // and a number
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
	if sn, err := b.store.Snapshot(ctx); err != nil || sn.Version() == "" {
		if err == nil { // nothing is made where there is no mail
			err = b.inMemory(ctx, fn)
		}
		return asMail(err)
	}
	var own error // of fn itself
	try := func() error {
		own = nil
		return b.onIndex(ctx, func(v *view) error {
			own = fn(v)
			return own
		})
	}
	err := try()
	if mail.CodeOf(asMail(err)) == mail.Busy { // a log was truncated while it was read
		err = try()
	}
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
	done, err := b.turn(ctx)
	if err != nil {
		return err
	}
	defer done()
	asked := b.indexes.begun()
	look := func(sn *gitstore.Snapshot) error {
		return b.withFile(ctx, func(db *index.DB) error { return b.look(ctx, db, sn, asked, fn) })
	}
	for try := 0; ; try++ {
		again := b.indexes.begun()
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
			return b.catchUp(ctx, again, look)
		}
		if err := b.catchUp(ctx, again, nil); err != nil {
			return err
		}
	}
}

// turn waits for one's turn to read; done is to be called behind it. Of all processes no more
// read at once than keep the processors busy, and of this one as many as half of them are: more
// would not be quicker, and who writes, on whom many wait, would have to share with all of them.
func (b *Box) turn(ctx context.Context) (done func(), err error) {
	select {
	case b.indexes.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	waiting, cancel := context.WithTimeout(ctx, indexWait) // then somebody builds one, or stands still
	defer cancel()
	release, err := index.Turn(waiting, b.repo.CachePath(indexTurn), 4*runtime.NumCPU())
	if err != nil {
		release = func() {}
	}
	return func() {
		release()
		<-b.indexes.turn
	}, nil
}

// errBehind says that the index does not hold the snapshot that is asked about.
var errBehind = errors.New("mailbox: the index is behind")

// look runs fn if the index holds sn, or what was added to it since somebody asked.
func (b *Box) look(ctx context.Context, db *index.DB, sn *gitstore.Snapshot, asked int, fn func(v *view) error) error {
	return db.View(ctx, func() error {
		version, err := db.Version(ctx)
		if err != nil {
			return err
		}
		if version != string(sn.Version()) {
			if sn = b.indexes.since(asked); sn == nil || version != string(sn.Version()) {
				return errBehind
			}
		}
		d, err := b.directory(ctx, sn)
		if err != nil {
			return err
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

// indexes are the connections to the index that are open. Each is for one goroutine at a
// time; what one adds the others see, as other processes do.
type indexes struct {
	turn chan struct{} // see Box.turn
	adds sync.Mutex    // in this process, one adds and the others wait for it here, not at the lock of the file

	mu     sync.Mutex
	begins int                // how often this process has begun to add
	last   *gitstore.Snapshot // that it has brought the index to
	lastBy int                // which of them did
	idle   []openIndex
	bad    os.FileInfo // the last file that was found damaged
	closed bool        // the box is

	memory memoryIndex
}

// begun returns how often this process has begun to add what is new.
func (x *indexes) begun() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.begins
}

func (x *indexes) begin() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.begins++
	return x.begins
}

func (x *indexes) brought(sn *gitstore.Snapshot, by int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.last, x.lastBy = sn, by
}

// since returns what this process has brought the index to, if it has begun that when begun
// had already said asked.
func (x *indexes) since(asked int) *gitstore.Snapshot {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.lastBy <= asked {
		return nil
	}
	return x.last
}

// end closes them all, those in use when they are given back.
func (x *indexes) end() {
	x.mu.Lock()
	x.closed = true
	x.mu.Unlock()
	x.close()
	x.memory.Lock()
	defer x.memory.Unlock()
	x.memory.close()
}

// openIndex is a connection, and the file that it is to.
type openIndex struct {
	*index.DB
	file os.FileInfo
}

// withFile runs fn on the file of the index. There must be one: without it the error
// is ErrStale.
func (b *Box) withFile(ctx context.Context, fn func(*index.DB) error) error {
	x := &b.indexes
	file := b.repo.CachePath(indexCache)
	now, err := os.Stat(file)
	if err != nil {
		x.close()
		return index.ErrStale
	}
	db, ok := x.take(now)
	if !ok {
		db = openIndex{file: now}
		db.DB, err = index.Open(ctx, file)
		for _, name := range []string{file + "-wal", file + "-shm"} { // the driver makes them for one user
			if st, serr := os.Stat(name); serr == nil && b.repo.SharedMode(st.Mode()) != st.Mode() {
				os.Chmod(name, b.repo.SharedMode(st.Mode()))
			}
		}
	}
	if err == nil {
		err = fn(db.DB)
		x.put(db, errors.Is(err, index.ErrStale))
	} else if errors.Is(err, index.ErrStale) {
		x.damaged(now)
	}
	return err
}

// take hands out an idle connection to a file, and closes those to others: somebody has
// built this one since.
func (x *indexes) take(file os.FileInfo) (db openIndex, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.idle = slices.DeleteFunc(x.idle, func(c openIndex) bool {
		other := !os.SameFile(c.file, file)
		if other {
			c.Close()
		}
		return other
	})
	if n := len(x.idle); n > 0 {
		db, ok, x.idle = x.idle[n-1], true, x.idle[:n-1]
	}
	return db, ok
}

// put takes one back, to be used no more if it was found stale.
func (x *indexes) put(db openIndex, stale bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if stale {
		x.bad = db.file
	}
	if stale || x.closed {
		db.Close()
		return
	}
	x.idle = append(x.idle, db)
}

func (x *indexes) damaged(file os.FileInfo) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.bad = file
}

// good reports whether a file may be added to: one that was found damaged is none to add
// to, even if the damage does not show in what that reads.
func (x *indexes) good(file os.FileInfo) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.bad == nil || !os.SameFile(file, x.bad)
}

// close closes those that nobody uses.
func (x *indexes) close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, db := range x.idle {
		db.Close()
	}
	x.idle = nil
}

// catchUp adds to the index what it does not hold yet, or builds another one, unless this
// process has done so since somebody asked; and runs during, if not nil, while nobody else
// can change it.
func (b *Box) catchUp(ctx context.Context, asked int, during func(*gitstore.Snapshot) error) error {
	if err := b.store.MakeCache(); err != nil {
		return err
	}
	x := &b.indexes
	x.adds.Lock()
	defer x.adds.Unlock()
	if during == nil && x.since(asked) != nil {
		return nil
	}
	waiting, cancel := context.WithTimeout(ctx, indexWait)
	defer cancel()
	release, err := index.Lock(waiting, b.repo.CachePath(indexLock))
	if err != nil {
		return err
	}
	defer release()
	by := x.begin()
	sn, err := b.store.Snapshot(ctx)
	if err != nil {
		return err
	}
	// Somebody may have done it while we waited.
	err = index.ErrStale
	if now, serr := os.Stat(b.repo.CachePath(indexCache)); serr == nil && x.good(now) {
		err = b.withFile(ctx, func(db *index.DB) error { return b.addNews(ctx, db, sn) })
	}
	if errors.Is(err, index.ErrStale) {
		err = b.rebuild(ctx, sn)
	}
	if err != nil {
		return err
	}
	x.brought(sn, by)
	if during != nil {
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
	b.indexes.close()
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
	b.indexes.adds.Lock()
	defer b.indexes.adds.Unlock()
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
	m := &b.indexes.memory
	m.Lock()
	defer m.Unlock()
	sn, err := b.store.Snapshot(ctx)
	if err != nil {
		return err
	}
	if m.DB != nil {
		err = b.addNews(ctx, m.DB, sn)
	}
	if m.DB == nil || errors.Is(err, index.ErrStale) {
		m.close()
		if m.DB, err = index.InMemory(ctx); err == nil {
			err = b.fill(ctx, m.DB, sn)
		}
	}
	if err != nil {
		m.close()
		return err
	}
	return b.look(ctx, m.DB, sn, b.indexes.begun(), fn)
}

// memoryIndex is an index where no file can be written.
type memoryIndex struct {
	sync.Mutex
	*index.DB
}

func (m *memoryIndex) close() {
	if m.DB != nil {
		m.DB.Close()
		m.DB = nil
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
		for _, i := range at[f.OID] {
			list[i].Body = mail.BodyOf(f.Data) // the index has decoded it, or it would not know of it
		}
		return nil
	})
}
