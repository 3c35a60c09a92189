// Command reference does to an index of git-agentmail what git-agentmail does, and is
// built twice: with cgo on SQLite in C (mattn/go-sqlite3), without on SQLite in Go
// (ncruces/go-sqlite3), which the index is made with. make bench compares the two. It is
// a module of its own so that the project needs no C compiler.
//
//	reference nothing              start and end
//	reference inbox FILE AGENT     open, and read the newest twenty letters
//	reference find FILE WORD       open, and find the newest twenty messages with a word
//	reference insert FILE          open, and add a message
//	reference build FILE < ROWS    make a new index; a row is n, TAB, ms, TAB, subject, TAB, body as JSON
//	reference warm FILE AGENT RARE MIDDLE COMMON
//	                               the median time of each of several queries, in nanoseconds
package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, engine+":", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 1 && args[0] == "nothing":
		return nil
	case len(args) == 3 && args[0] == "inbox":
		return with(args[1], func(c *conn) error { return c.inbox(args[2]) })
	case len(args) == 3 && args[0] == "find":
		return with(args[1], func(c *conn) error { return c.rows(recent, word(args[2])) })
	case len(args) == 2 && args[0] == "insert":
		return with(args[1], (*conn).insert)
	case len(args) == 2 && args[0] == "build":
		return with(args[1], func(c *conn) error { return c.build(os.Stdin) })
	case len(args) == 6 && args[0] == "warm":
		return with(args[1], func(c *conn) error { return c.warm(args[2], args[3], args[4], args[5]) })
	}
	return fmt.Errorf("nothing is called %q", args)
}

type conn struct {
	*sql.Conn
	ctx context.Context
}

func with(file string, fn func(*conn) error) error {
	db, err := connect(file)
	if err != nil {
		return err
	}
	defer db.Close()
	ctx := context.Background()
	c, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	return fn(&conn{c, ctx})
}

// The queries are those of index/read.go and index/search.go, in short.
const (
	columns = `m.n, m.id, (SELECT replica FROM log WHERE n = m.log), m.oid, m.ms, m.c, m.at, m.sender, m.reply, m.topic, m.imp, m.ack, m.subject, m.people, m.files`
	inbox   = `SELECT ` + columns + ` FROM letter l CROSS JOIN message m ON m.n = l.msg
		WHERE l.agent = (SELECT n FROM agent WHERE id = ?) ORDER BY l.ms DESC, l.c DESC, m.id DESC LIMIT 20`
	thread = `SELECT ` + columns + ` FROM message m WHERE m.thread = (SELECT thread FROM message WHERE thread IS NOT NULL AND n > ?
		ORDER BY n LIMIT 1) ORDER BY m.ms, m.c LIMIT 20`
	recent = `SELECT ` + columns + ` FROM words CROSS JOIN message m ON m.n = words.rowid WHERE words MATCH ? ORDER BY words.rowid DESC LIMIT 20`
	ranked = `SELECT ` + columns + ` FROM (SELECT rowid AS n, rank AS score FROM words WHERE words MATCH ? ORDER BY rank LIMIT 20) x
		JOIN message m ON m.n = x.n ORDER BY score`
	gated = `SELECT ` + columns + ` FROM (SELECT n, score FROM (SELECT rowid AS n, rank AS score FROM words WHERE words MATCH ?
		ORDER BY rowid DESC LIMIT 500) ORDER BY score LIMIT 20) x JOIN message m ON m.n = x.n ORDER BY score`
)

// word is a query for a word in subject and body.
func word(w string) string { return `{subject body} : "` + strings.ReplaceAll(w, `"`, `""`) + `"` }

func (c *conn) inbox(agent string) error { return c.rows(inbox, agent) }

// rows reads all that a query finds.
func (c *conn) rows(query string, args ...any) error {
	rows, err := c.QueryContext(c.ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var v [15]any
	var into [len(v)]any
	for i := range v {
		into[i] = &v[i]
	}
	n := 0
	for rows.Next() {
		if err := rows.Scan(into[:]...); err != nil {
			return err
		}
		n++
	}
	if n == 0 && rows.Err() == nil {
		return fmt.Errorf("nothing found: %s %v", query, args)
	}
	return rows.Err()
}

func (c *conn) exec(query string, args ...any) error {
	_, err := c.ExecContext(c.ctx, query, args...)
	return err
}

// insert adds a message to two agents.
func (c *conn) insert() error {
	if err := c.exec(`BEGIN IMMEDIATE`); err != nil {
		return err
	}
	id := strconv.FormatInt(time.Now().UnixNano(), 36)
	ms := time.Now().UnixMilli()
	r, err := c.ExecContext(c.ctx, `INSERT INTO message(id, log, oid, ms, c, at, sender, imp, ack, subject, people) VALUES(?, 1, ?, ?, 0, ?, 1, 1, 0, ?, '1 2|||')`,
		id, []byte(id), ms, ms, "One more letter")
	if err != nil {
		return err
	}
	n, err := r.LastInsertId()
	if err != nil {
		return err
	}
	for agent := range 2 {
		if err := c.exec(`INSERT INTO letter VALUES(?, ?, 0, ?, 0, 0, 0, NULL, NULL)`, agent+1, ms, n); err != nil {
			return err
		}
	}
	if err := c.exec(`INSERT INTO words(rowid, subject, body, ident) VALUES(?, 'One more letter', ?, '')`, n, strings.Repeat("a letter of some length with words in it ", 25)); err != nil {
		return err
	}
	return c.exec(`COMMIT`)
}

// build fills the tables of messages, letters and words.
func (c *conn) build(in io.Reader) error {
	for _, s := range []string{
		`PRAGMA journal_mode = OFF`, `PRAGMA synchronous = OFF`, `PRAGMA locking_mode = EXCLUSIVE`, `PRAGMA cache_size = -65536`,
		`CREATE TABLE message(n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, ms INT NOT NULL, sender INT NOT NULL, subject TEXT NOT NULL)`,
		`CREATE INDEX message_order ON message(ms)`, `CREATE INDEX message_sender ON message(sender, ms)`,
		`CREATE TABLE letter(agent INT, ms INT, msg INT, read_at INT, PRIMARY KEY(agent, ms, msg)) WITHOUT ROWID`,
		`CREATE INDEX letter_unread ON letter(agent, ms) WHERE read_at IS NULL`,
		`CREATE VIRTUAL TABLE words USING fts5(body, subject, ident, content='', contentless_delete=1, tokenize='unicode61 remove_diacritics 2')`,
		`INSERT INTO words(words, rank) VALUES('hashsize', 67108864), ('automerge', 0), ('crisismerge', 1000)`,
		`BEGIN IMMEDIATE`,
	} {
		if err := c.exec(s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	var stmts [3]*sql.Stmt
	for i, s := range []string{`INSERT INTO message VALUES(?, ?, ?, ?, ?)`, `INSERT INTO letter VALUES(?, ?, ?, ?)`, `INSERT INTO words(rowid, subject, body, ident) VALUES(?, ?, ?, '')`} {
		var err error
		if stmts[i], err = c.PrepareContext(c.ctx, s); err != nil {
			return err
		}
		defer stmts[i].Close()
	}
	lines := bufio.NewReaderSize(in, 1<<20)
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF {
			return c.exec(`COMMIT`)
		}
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", 4)
		if err != nil || len(f) < 4 {
			return fmt.Errorf("not a row: %q, %w", line, err)
		}
		var body string
		if err := json.Unmarshal([]byte(f[3]), &body); err != nil {
			return err
		}
		n, err := strconv.ParseInt(f[0], 10, 64)
		if err != nil {
			return err
		}
		ms, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil {
			return err
		}
		if _, err := stmts[0].ExecContext(c.ctx, n, "id"+f[0], ms, n%200, f[2]); err != nil {
			return err
		}
		for i := range int64(2) {
			if _, err := stmts[1].ExecContext(c.ctx, (n+i)%200, ms, n, nil); err != nil {
				return err
			}
		}
		if _, err := stmts[2].ExecContext(c.ctx, n, f[2], body); err != nil {
			return err
		}
	}
}

// warm prints name and median of each query, in an open connection.
func (c *conn) warm(agent, rare, middle, common string) error {
	var most int64
	if err := c.QueryRowContext(c.ctx, `SELECT max(n) FROM message`).Scan(&most); err != nil {
		return err
	}
	for _, q := range []struct {
		name, query string
		arg         any
		times       int
	}{
		{"inbox", inbox, agent, 200}, {"thread", thread, most / 2, 200},
		{"recent-rare", recent, word(rare), 200}, {"recent-middle", recent, word(middle), 200}, {"recent-common", recent, word(common), 200},
		{"ranked-rare", ranked, word(rare), 100}, {"ranked-middle", ranked, word(middle), 50}, {"ranked-common", ranked, word(common), 7},
		{"gated-common", gated, word(common), 25},
	} {
		var took []time.Duration
		for range q.times {
			begin := time.Now()
			if err := c.rows(q.query, q.arg); err != nil {
				return fmt.Errorf("%s: %w", q.name, err)
			}
			took = append(took, time.Since(begin))
		}
		slices.Sort(took)
		fmt.Println(q.name, took[len(took)/2].Nanoseconds())
	}
	return nil
}
