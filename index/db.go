package index

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"
	"github.com/ncruces/go-sqlite3/ext/fts5"
)

// ErrStale says that the file cannot be used as it is: it is damaged, or of another
// version of this program. The remedy is to build another one.
var ErrStale = errors.New("index: to be built anew")

// ErrUnusable says that the file cannot be used now, whole as it may be: no room, no
// right, no end to somebody else's change. The remedy is to do without it.
var ErrUnusable = errors.New("index: not to be used now")

// DB is an open index. It is not safe for use by several goroutines.
type DB struct {
	db   *sql.DB
	conn *sql.Conn
	ids  map[int64]string     // of agents, by number
	stmt map[string]*sql.Stmt // by query, see prepared

	hasWords bool // see needWords
}

// Open opens the index in file, which must have been made by Create. Damage and
// another version are ErrStale, now or at any later call.
func Open(ctx context.Context, file string) (*DB, error) {
	d, err := connect(ctx, "file:"+escaped(file)+"?mode=rw", "PRAGMA busy_timeout = 5000", "PRAGMA synchronous = NORMAL")
	if err != nil {
		return nil, err
	}
	var schema, words int
	err = d.row(ctx, `SELECT (SELECT v FROM meta WHERE k = 'schema'), (SELECT v FROM meta WHERE k = 'words')`).Scan(&schema, &words)
	if err == nil && (schema != schemaVersion || words != wordsVersion) {
		err = ErrStale
	}
	if err != nil {
		d.Close()
		return nil, known(err)
	}
	return d, nil
}

// Create makes an empty index in a file that does not exist. Until Finish it is for
// its maker alone, who may only apply to it, and a crash leaves rubbish.
func Create(ctx context.Context, file string) (*DB, error) {
	// busy_timeout comes first: any statement may meet a lock.
	d, err := create(ctx, "file:"+escaped(file), "PRAGMA busy_timeout = 5000", "PRAGMA page_size = 4096", "PRAGMA journal_mode = OFF",
		"PRAGMA synchronous = OFF", "PRAGMA locking_mode = EXCLUSIVE", "PRAGMA cache_size = -65536")
	if err != nil {
		return nil, err
	}
	// Few large segments of words, which nobody merges while they come.
	return d, d.exec(ctx, `INSERT INTO words(words, rank) VALUES('hashsize', 67108864), ('automerge', 0), ('crisismerge', 1000)`)
}

// InMemory makes an empty index for where no file can be written.
func InMemory(ctx context.Context) (*DB, error) {
	d, err := create(ctx, ":memory:")
	if err != nil {
		return nil, err
	}
	if err := d.exec(ctx, indexes); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

func create(ctx context.Context, name string, pragmas ...string) (*DB, error) {
	d, err := connect(ctx, name, pragmas...)
	if err != nil {
		return nil, err
	}
	if err := d.needWords(); err != nil {
		d.Close()
		return nil, err
	}
	for _, s := range []string{schema, fmt.Sprintf(`INSERT INTO meta VALUES('schema', %d), ('words', %d), ('version', '')`, schemaVersion, wordsVersion)} {
		if err = d.exec(ctx, s); err != nil {
			d.Close()
			return nil, err
		}
	}
	return d, nil
}

// Finish makes a created file durable and fit for others, and closes it.
func (d *DB) Finish(ctx context.Context) error {
	err := d.needWords()
	if err == nil {
		err = d.exec(ctx, indexes)
	}
	if err == nil {
		err = d.exec(ctx, `INSERT INTO words(words, rank) VALUES('hashsize', 1048576), ('automerge', 4), ('crisismerge', 16)`)
	}
	for _, p := range []string{"PRAGMA synchronous = FULL", "PRAGMA locking_mode = NORMAL", "PRAGMA journal_mode = WAL"} {
		if err == nil {
			err = d.exec(ctx, p)
		}
	}
	return errors.Join(err, d.Close())
}

func connect(ctx context.Context, name string, pragmas ...string) (*DB, error) {
	db, err := driver.Open(name)
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		db.Close()
		return nil, known(err)
	}
	d := &DB{db: db, conn: conn}
	for _, p := range pragmas {
		if err := d.exec(ctx, p); err != nil {
			d.Close()
			return nil, known(err)
		}
	}
	return d, nil
}

// needWords makes the table of words usable. That is a third of the time that opening
// takes, and most lists never look at a word.
func (d *DB) needWords() error {
	if d.hasWords {
		return nil
	}
	d.hasWords = true
	return d.conn.Raw(func(c any) error { return fts5.Register(c.(driver.Conn).Raw()) })
}

// Close closes the file.
func (d *DB) Close() error {
	for _, s := range d.stmt {
		s.Close()
	}
	return errors.Join(d.conn.Close(), d.db.Close())
}

// Version names what has been indexed, as it was given to Apply; "" is nothing.
func (d *DB) Version(ctx context.Context) (v string, err error) {
	err = d.row(ctx, `SELECT v FROM meta WHERE k = 'version'`).Scan(&v)
	return v, known(err)
}

// View runs fn on what is indexed now, undisturbed by later changes.
func (d *DB) View(ctx context.Context, fn func() error) error {
	if err := d.exec(ctx, "BEGIN"); err != nil {
		return known(err)
	}
	defer d.conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
	return known(fn())
}

func (d *DB) exec(ctx context.Context, query string, args ...any) error {
	_, err := d.conn.ExecContext(ctx, query, args...)
	return err
}

// prepared returns a query that is parsed once for as long as the index is open. There are
// as many as this package has, for values are always arguments.
func (d *DB) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	if s := d.stmt[query]; s != nil {
		return s, nil
	}
	s, err := d.conn.PrepareContext(ctx, query)
	if err == nil {
		if d.stmt == nil {
			d.stmt = map[string]*sql.Stmt{}
		}
		d.stmt[query] = s
	}
	return s, err
}

// row is the one row of a query.
func (d *DB) row(ctx context.Context, query string, args ...any) interface{ Scan(...any) error } {
	s, err := d.prepared(ctx, query)
	if err != nil {
		return failed{err}
	}
	return s.QueryRowContext(ctx, args...)
}

// failed is the row of a query that could not be made.
type failed struct{ err error }

func (f failed) Scan(...any) error { return f.err }

// each calls fn for each row of a query.
func (d *DB) each(ctx context.Context, fn func(scan func(...any) error) error, query string, args ...any) error {
	s, err := d.prepared(ctx, query)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := fn(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// known makes ErrStale of what SQLite says of a file that is damaged, no database, of
// another schema, or gone, and ErrUnusable of whatever else it has to say.
func known(err error) error {
	var own *mail.Error // of the caller's, about something else
	if err == nil || errors.Is(err, ErrStale) || errors.Is(err, ErrUnusable) || errors.As(err, &own) {
		return err
	}
	stale := errors.Is(err, sql.ErrNoRows) || errors.Is(err, errOdd) ||
		strings.HasPrefix(err.Error(), "sql: Scan error") || // a value of another kind than was put there
		errors.Is(err, sqlite3.ERROR) && strings.Contains(err.Error(), "no such") // table, column, index
	for _, code := range []sqlite3.ErrorCode{sqlite3.CORRUPT, sqlite3.NOTADB, sqlite3.CANTOPEN, sqlite3.FORMAT, sqlite3.SCHEMA} {
		stale = stale || errors.Is(err, code)
	}
	var code sqlite3.ErrorCode
	var e *sqlite3.Error
	switch {
	case stale:
		return fmt.Errorf("%w: %w", ErrStale, err)
	case errors.Is(err, sqlite3.INTERRUPT): // by the context
		return err
	case errors.As(err, &code), errors.As(err, &e):
		return fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	return err
}

// errOdd is for what this package cannot have written.
var errOdd = errors.New("index: a row that makes no sense")

// escaped writes a path as SQLite reads it in a URI.
func escaped(file string) string { return (&url.URL{Path: filepath.ToSlash(file)}).EscapedPath() }
