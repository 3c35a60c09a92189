package index

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/git-agentmail/git-agentmail/mail"
)

// Letter is a message without its body, which is read from a log by the name of its
// bytes. Of one that was redacted it is the tombstone; only [DB.Thread], [DB.Message] and
// the lists of events return such.
type Letter struct {
	*mail.Message
	Replica string // a log that it is in
	OID     string
	For     string // the recipient that a list is about, an id; "" in lists about none
	Read    mail.Time
	Ack     mail.Time
	Score   float64 // how well it fits what was searched for, of a ranked list only: the best has 1

	n int64
}

// Filter picks letters of one recipient's. Zero values pick all, but for Since.
type Filter struct {
	Unread  bool
	Urgent  bool
	Unacked bool      // asked for and not given
	Since   mail.Time // only what is later; -1 is all
	Topic   string    // compared without case
}

// columns are those of the table message as m and thread as t, for scanLetter.
const columns = `m.n, m.id, (SELECT replica FROM log WHERE n = m.log), m.oid, m.ms, m.c, m.at, m.sender, t.key, m.reply, m.topic, m.imp, m.ack, m.subject, m.people, m.files, m.gone`

// scanLetter reads columns, and whatever else the query returns into more.
func (d *DB) scanLetter(ctx context.Context, scan func(...any) error, more ...any) (Letter, error) {
	m := &mail.Message{}
	l := Letter{Message: m}
	var oid, files []byte
	var at, sender int64
	var thread, reply, topic sql.NullString
	var imp int
	var people string
	if err := scan(append([]any{&l.n, &m.ID, &l.Replica, &oid, &m.HLC.MS, &m.HLC.N, &at, &sender, &thread, &reply, &topic, &imp, &m.AckRequired, &m.Subject, &people, &files, &m.Redacted}, more...)...); err != nil {
		return l, err
	}
	if imp < 0 || imp >= len(importances) {
		return l, errOdd
	}
	l.OID, m.V, m.At, m.Thread, m.ReplyTo, m.Topic, m.Importance = hex.EncodeToString(oid), mail.Version, mail.Time(at), thread.String, reply.String, topic.String, importances[imp]
	if files != nil {
		if err := json.Unmarshal(files, &m.Attachments); err != nil {
			return l, errors.Join(errOdd, err)
		}
	}
	if m.Redacted {
		m.Subject, m.Body = mail.RedactedText, mail.RedactedText
	}
	lists := strings.Split(people, "|")
	if len(lists) != 3 {
		return l, errOdd
	}
	for i, list := range []*[]string{&m.To, &m.CC, &m.BCC} {
		for w := range strings.FieldsSeq(lists[i]) {
			n, err := strconv.ParseInt(w, 10, 64)
			if err != nil {
				return l, errors.Join(errOdd, err)
			}
			id, err := d.agentID(ctx, n)
			if err != nil {
				return l, err
			}
			*list = append(*list, id)
		}
	}
	var err error
	m.By, err = d.agentID(ctx, sender)
	return l, err
}

// agentID returns the id that a number stands for. Numbers never change.
func (d *DB) agentID(ctx context.Context, n int64) (string, error) {
	if d.ids == nil {
		d.ids = map[int64]string{}
	}
	if id, ok := d.ids[n]; ok {
		return id, nil
	}
	var id string
	err := d.row(ctx, `SELECT id FROM agent WHERE n = ?`, n).Scan(&id)
	if err == nil {
		d.ids[n] = id
	}
	return id, err
}

// agentNumber returns the number of an id, or -1 if no record names it.
func (d *DB) agentNumber(ctx context.Context, id string) (n int64, err error) {
	err = d.row(ctx, `SELECT n FROM agent WHERE id = ?`, id).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return -1, nil
	}
	return n, err
}

// Place is where a list goes on: before the record that stands there. The zero value
// is the end of the log.
type Place struct{ p place }

func (p Place) before() (string, []any) {
	if p.p == (place{}) {
		return "1", nil
	}
	return "(ms, c) <= (?, ?)", []any{p.p.ms, p.p.c}
}

// admits reports whether a record stands before p.
func (p Place) admits(o place) bool { return p.p == (place{}) || o.compare(p.p) < 0 }

// errEnough ends a query that has found what was asked for.
var errEnough = errors.New("index: enough")

// letters runs a query for columns and more, and keeps those that keep picks, at most
// n of them, or all if n is below 0.
func (d *DB) letters(ctx context.Context, n int, more []any, keep func(*Letter) (bool, error), query string, args ...any) ([]Letter, error) {
	var list []Letter
	if n == 0 {
		return nil, nil
	}
	err := d.each(ctx, func(scan func(...any) error) error {
		l, err := d.scanLetter(ctx, scan, more...)
		if err != nil {
			return err
		}
		if ok, err := keep(&l); !ok || err != nil {
			return err
		}
		if list = append(list, l); len(list) == n {
			return errEnough
		}
		return nil
	}, query, args...)
	if errors.Is(err, errEnough) {
		err = nil
	}
	return list, err
}

const join = ` JOIN message m ON m.n = l.msg LEFT JOIN thread t ON t.n = m.thread `

// Inbox returns what an agent received, newest first.
func (d *DB) Inbox(ctx context.Context, agent string, f Filter, before Place, n int) ([]Letter, error) {
	me, err := d.agentNumber(ctx, agent)
	if err != nil {
		return nil, err
	}
	// SQLite would take the primary key and pass by all that was read long ago.
	from, where := `letter l`, []string{`l.agent = ?`}
	if f.Unacked {
		from, where = `letter l INDEXED BY letter_unacked`, append(where, `l.ack = 1 AND l.ack_at IS NULL`)
	}
	if f.Unread {
		if where = append(where, `l.read_at IS NULL`); !f.Unacked {
			from = `letter l INDEXED BY letter_unread`
		}
	}
	if f.Urgent {
		where = append(where, `l.urgent = 1`)
	}
	if f.Topic != "" {
		where = append(where, `m.topic IS NOT NULL`)
	}
	cut, args := before.before()
	if f.Since >= 0 {
		where, args = append(where, `m.at > ?`), append([]any{int64(f.Since)}, args...)
	}
	where = append(where, strings.NewReplacer("(ms, c)", "(l.ms, l.c)").Replace(cut))
	var readAt, ackAt sql.NullInt64
	return d.letters(ctx, n, []any{&readAt, &ackAt}, func(l *Letter) (bool, error) {
		l.For, l.Read, l.Ack = agent, mail.Time(readAt.Int64), mail.Time(ackAt.Int64)
		return before.admits(placeOf(&l.Header)) && (f.Topic == "" || strings.EqualFold(f.Topic, l.Topic)), nil
	}, `SELECT `+columns+`, l.read_at, l.ack_at FROM `+from+` CROSS`+join+`WHERE `+strings.Join(where, " AND ")+
		` ORDER BY l.ms DESC, l.c DESC, m.id DESC`, append([]any{me}, args...)...)
}

// Outbox returns what an agent sent, newest first.
func (d *DB) Outbox(ctx context.Context, agent string, before Place, n int) ([]Letter, error) {
	me, err := d.agentNumber(ctx, agent)
	if err != nil {
		return nil, err
	}
	cut, args := before.before()
	return d.letters(ctx, n, nil, func(l *Letter) (bool, error) { return before.admits(placeOf(&l.Header)), nil },
		`SELECT `+columns+` FROM message m LEFT JOIN thread t ON t.n = m.thread WHERE sender = ? AND gone = 0 AND `+cut+` ORDER BY m.ms DESC, m.c DESC, m.id DESC`, append([]any{me}, args...)...)
}

// Thread returns the messages of a thread and the one that has key as its id: the newest
// before a place, at most n or, below 0, all, oldest first.
func (d *DB) Thread(ctx context.Context, key string, before Place, n int) ([]Letter, error) {
	cut, args := before.before()
	list, err := d.letters(ctx, n, nil, func(l *Letter) (bool, error) { return before.admits(placeOf(&l.Header)), nil },
		`SELECT `+columns+` FROM message m LEFT JOIN thread t ON t.n = m.thread
		WHERE (m.thread = (SELECT n FROM thread WHERE key = ?1) OR m.id = ?1) AND `+cut+` ORDER BY m.ms DESC, m.c DESC, m.id DESC`, append([]any{key}, args...)...)
	slices.Reverse(list)
	return list, err
}

// Recent returns what was sent to anybody later than since (-1 is all), newest first. Of a
// topic, unless that is "", only; it is compared without case.
func (d *DB) Recent(ctx context.Context, topic string, since mail.Time, before Place, n int) ([]Letter, error) {
	// A stamp is never behind the time, so that what is older needs no look.
	where, args := `m.gone = 0 AND m.ms > ? AND m.at > ?`, []any{int64(since), int64(since)}
	if topic != "" {
		where, args = where+` AND m.topic = ? COLLATE NOCASE`, append(args, topic)
	}
	cut, more := before.before()
	return d.letters(ctx, n, nil, func(l *Letter) (bool, error) { return before.admits(placeOf(&l.Header)), nil },
		`SELECT `+columns+` FROM message m LEFT JOIN thread t ON t.n = m.thread WHERE `+where+` AND `+cut+` ORDER BY m.ms DESC, m.c DESC, m.id DESC`, append(args, more...)...)
}

// ThreadKeys returns the names of the threads that were begun last, at most n.
func (d *DB) ThreadKeys(ctx context.Context, n int) ([]string, error) {
	return d.texts(ctx, `SELECT key FROM thread ORDER BY n DESC LIMIT ?`, n)
}

// Message returns one message by its whole id; ok is false if there is none.
func (d *DB) Message(ctx context.Context, id string) (l Letter, ok bool, err error) {
	list, err := d.letters(ctx, 1, nil, func(*Letter) (bool, error) { return true, nil },
		`SELECT `+columns+` FROM message m LEFT JOIN thread t ON t.n = m.thread WHERE m.id = ?`, id)
	if err != nil || len(list) == 0 {
		return l, false, err
	}
	return list[0], true, nil
}

// MessageIDs returns the ids of the messages that begin with prefix.
func (d *DB) MessageIDs(ctx context.Context, prefix string) ([]string, error) {
	return d.texts(ctx, `SELECT id FROM message WHERE id >= ?1 AND id < ?1 || '~'`, prefix)
}

// EventIDs returns the ids of all records but messages that begin with prefix.
func (d *DB) EventIDs(ctx context.Context, prefix string) ([]string, error) {
	return d.texts(ctx, `SELECT DISTINCT id FROM event WHERE id >= ?1 AND id < ?1 || '~'`, prefix)
}

func (d *DB) texts(ctx context.Context, query string, args ...any) (list []string, err error) {
	err = d.each(ctx, func(scan func(...any) error) error {
		var s string
		err := scan(&s)
		list = append(list, s)
		return err
	}, query, args...)
	return list, err
}

// PlaceOf returns where a record stands, by its whole id.
func (d *DB) PlaceOf(ctx context.Context, id string) (Place, error) {
	p := place{id: id}
	err := d.row(ctx, `SELECT ms, c FROM message WHERE id = ?1 UNION ALL SELECT ms, c FROM event WHERE id = ?1 LIMIT 1`, id).Scan(&p.ms, &p.c)
	return Place{p}, err
}

// Deliveries returns what the recipients of a message have done with it, by id.
func (d *DB) Deliveries(ctx context.Context, l Letter) (map[string]mail.Delivery, error) {
	got := map[string]mail.Delivery{}
	ids, err := json.Marshal(l.Recipients())
	if err != nil {
		return nil, err
	}
	return got, d.each(ctx, func(scan func(...any) error) error {
		var id string
		var readAt, ackAt sql.NullInt64
		err := scan(&id, &readAt, &ackAt)
		got[id] = mail.Delivery{Read: mail.Time(readAt.Int64), Ack: mail.Time(ackAt.Int64)}
		return err
	}, `SELECT a.id, l.read_at, l.ack_at FROM json_each(?) x CROSS JOIN agent a ON a.id = x.value
		CROSS JOIN letter l ON l.agent = a.n AND l.ms = ? AND l.c = ? AND l.msg = ?`, string(ids), l.HLC.MS, l.HLC.N, l.n)
}

// Activity is what is known of an agent's doings.
type Activity struct {
	Unread int
	Last   mail.Time // of its newest record
}

// Activity returns that of one agent.
func (d *DB) Activity(ctx context.Context, agent string) (a Activity, err error) {
	err = d.row(ctx, `SELECT active, (SELECT count(*) FROM letter INDEXED BY letter_unread WHERE agent = n AND read_at IS NULL)
		FROM agent WHERE id = ?`, agent).Scan(&a.Last, &a.Unread)
	if errors.Is(err, sql.ErrNoRows) { // it did nothing yet
		err = nil
	}
	return a, err
}

// Activities returns those of all agents that did something or were written to.
func (d *DB) Activities(ctx context.Context) (map[string]Activity, error) {
	got := map[string]Activity{}
	err := d.each(ctx, func(scan func(...any) error) error {
		var id string
		var a Activity
		err := scan(&id, &a.Last, &a.Unread)
		got[id] = a
		return err
	}, `SELECT a.id, a.active, coalesce(u.n, 0) FROM agent a
		LEFT JOIN (SELECT agent, count(*) AS n FROM letter INDEXED BY letter_unread WHERE read_at IS NULL GROUP BY agent) u ON u.agent = a.n`)
	return got, err
}

// LastMail returns when an agent last sent, read or acknowledged a message, leaving
// out what is after limit.
func (d *DB) LastMail(ctx context.Context, agent string, limit mail.Time) (last mail.Time, err error) {
	me, err := d.agentNumber(ctx, agent)
	if err != nil {
		return 0, err
	}
	err = d.row(ctx, `SELECT max(
		(SELECT coalesce(max(at), 0) FROM message WHERE sender = ?1 AND at <= ?2),
		(SELECT coalesce(max(read_at), 0) FROM letter WHERE agent = ?1 AND read_at <= ?2),
		(SELECT coalesce(max(ack_at), 0) FROM letter WHERE agent = ?1 AND ack_at <= ?2))`, me, int64(limit)).Scan(&last)
	return last, err
}

// Waiting is a list of letters of many recipients, with the number of all of them.
type Waiting struct {
	Letters []Letter
	Count   int
}

// Unacked returns the letters whose acknowledgement is due, oldest first, at most n,
// as viewer may see them: of blind copies only their sender and recipient know.
func (d *DB) Unacked(ctx context.Context, viewer string, n int) (Waiting, error) {
	return d.waiting(ctx, viewer, n, `letter_waiting`, `l.ack = 1 AND l.ack_at IS NULL`, `l.ms, l.c, m.id, a.id DESC`)
}

// Urgent returns the unread letters of importance high and urgent, newest first.
func (d *DB) Urgent(ctx context.Context, viewer string, n int) (Waiting, error) {
	return d.waiting(ctx, viewer, n, `letter_urgent`, `l.urgent = 1 AND l.read_at IS NULL`, `l.ms DESC, l.c DESC, m.id DESC, a.id`)
}

func (d *DB) waiting(ctx context.Context, viewer string, n int, by, where, order string) (w Waiting, err error) {
	me, err := d.agentNumber(ctx, viewer)
	if err != nil {
		return w, err
	}
	from := `FROM letter l INDEXED BY ` + by
	where = ` WHERE ` + where + ` AND l.agent NOT IN (SELECT n FROM agent WHERE gone = 1) AND (l.kind < 2 OR l.agent = ?1 OR (SELECT sender FROM message WHERE n = l.msg) = ?1)`
	if err := d.row(ctx, `SELECT count(*) `+from+where, me).Scan(&w.Count); err != nil {
		return w, err
	}
	var to string
	var readAt, ackAt sql.NullInt64
	w.Letters, err = d.letters(ctx, n, []any{&to, &readAt, &ackAt}, func(l *Letter) (bool, error) {
		l.For, l.Read, l.Ack = to, mail.Time(readAt.Int64), mail.Time(ackAt.Int64)
		return true, nil
	}, `SELECT `+columns+`, a.id, l.read_at, l.ack_at `+from+` CROSS`+join+`JOIN agent a ON a.n = l.agent`+where+` ORDER BY `+order, me)
	return w, err
}

// Messages returns how many messages there are, redacted ones left out.
func (d *DB) Messages(ctx context.Context) (n int, err error) {
	err = d.row(ctx, `SELECT count(*) - (SELECT count(*) FROM message WHERE gone = 1) FROM message`).Scan(&n)
	return n, err
}

// Before returns the ids of the messages from before a time that are not redacted.
func (d *DB) Before(ctx context.Context, at mail.Time) ([]string, error) {
	return d.texts(ctx, `SELECT id FROM message WHERE at < ? AND gone = 0 ORDER BY n`, int64(at))
}

// Sent counts what an agent has sent and is not redacted, and the letters that would go
// with the agent: those and the ones that it received.
func (d *DB) Sent(ctx context.Context, agent string) (messages, letters int, err error) {
	me, err := d.agentNumber(ctx, agent)
	if err != nil {
		return 0, 0, err
	}
	err = d.row(ctx, `SELECT (SELECT count(*) FROM message WHERE sender = ?1 AND gone = 0),
		(SELECT count(*) FROM letter WHERE agent = ?1 OR msg IN (SELECT n FROM message WHERE sender = ?1))`, me).Scan(&messages, &letters)
	return messages, letters, err
}

// Hidden reports whether a message of an agent's was redacted.
func (d *DB) Hidden(ctx context.Context, agent string) (yes bool, err error) {
	me, err := d.agentNumber(ctx, agent)
	if err != nil {
		return false, err
	}
	err = d.row(ctx, `SELECT EXISTS(SELECT 1 FROM message WHERE sender = ? AND gone = 1)`, me).Scan(&yes)
	return yes, err
}

// Leases returns the fold of all reservations, those that have ended too.
func (d *DB) Leases(ctx context.Context) (mail.Leases, error) {
	ls := mail.Leases{}
	return ls, d.each(ctx, func(scan func(...any) error) error {
		var state []byte
		if err := scan(&state); err != nil {
			return err
		}
		l := &mail.LeaseState{}
		if err := json.Unmarshal(state, l); err != nil {
			return errors.Join(errOdd, err)
		}
		ls[l.ID] = l
		return nil
	}, `SELECT state FROM lease`)
}

// Event is a record in the log of what happened. Its contents are in a log, unless it is
// the tombstone of a message.
type Event struct {
	Path    string
	Replica string
	OID     string
	Gone    *mail.Message

	at place
}

// Events returns what happened, newest first, at most n. Of agents only by's, unless
// that is "".
func (d *DB) Events(ctx context.Context, by string, before Place, n int) ([]Event, error) {
	who, args, cut := `1`, []any(nil), ""
	letters := `1`
	if by != "" {
		me, err := d.agentNumber(ctx, by)
		if err != nil {
			return nil, err
		}
		who, letters, args = `by = ?`, `sender = ?`, []any{me}
	}
	cut, more := before.before()
	args = append(args, more...)
	return d.events(ctx, before, n, `WHERE `+who+` AND `+cut, `WHERE `+letters+` AND `+cut, args)
}

// events merges the records that are no messages with those that are.
func (d *DB) events(ctx context.Context, before Place, n int, others, letters string, args []any) ([]Event, error) {
	var list []Event
	found := 0
	err := d.each(ctx, func(scan func(...any) error) error {
		var e Event
		var oid []byte
		if err := scan(&e.at.ms, &e.at.c, &e.at.id, &e.Path, &oid, &e.Replica); err != nil {
			return err
		}
		if !before.admits(e.at) {
			return nil
		}
		if len(list) >= n && list[len(list)-1].at != e.at { // of one place they come in any order
			return errEnough
		}
		e.Path, e.OID = lengthen(e.Path, e.at), hex.EncodeToString(oid)
		list = append(list, e)
		return nil
	}, `SELECT ms, c, id, path, oid, (SELECT replica FROM log WHERE log.n = event.log) FROM event `+others+` ORDER BY ms DESC, c DESC, id DESC`, args...)
	if err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	_, err = d.letters(ctx, -1, nil, func(l *Letter) (bool, error) {
		at := placeOf(&l.Header)
		if !before.admits(at) {
			return false, nil
		}
		list = append(list, l.event())
		if found++; found == n {
			return false, errEnough
		}
		return false, nil
	}, `SELECT `+columns+` FROM message m LEFT JOIN thread t ON t.n = m.thread `+letters+` ORDER BY m.ms DESC, m.c DESC, m.id DESC`, args...)
	sortEvents(list)
	return list[:min(n, len(list))], err
}

func (l *Letter) event() Event {
	e := Event{Path: l.Path(), Replica: l.Replica, OID: l.OID, at: placeOf(&l.Header)}
	if l.Redacted {
		e.Gone = l.Message
	}
	return e
}

func sortEvents(list []Event) {
	slices.SortStableFunc(list, func(a, b Event) int {
		return cmp.Or(b.at.compare(a.at), strings.Compare(b.Path, a.Path), strings.Compare(b.OID, a.OID))
	})
}

// About returns what happened that concerns a path, newest first, at most n: records
// that touch it or what is below it, those of reservations whose pattern covers says
// yes to, and messages among which mention finds those that name it. Both are asked
// as little as can be.
func (d *DB) About(ctx context.Context, by, path string, covers func(pattern string) bool, mention func([]Letter) ([]Letter, error), before Place, n int) ([]Event, error) {
	me := int64(-1)
	if by != "" {
		var err error
		if me, err = d.agentNumber(ctx, by); err != nil {
			return nil, err
		}
	}
	at := map[place]bool{}
	pattern, covered := "", false
	err := d.each(ctx, func(scan func(...any) error) error {
		var what string
		var p place
		var isPattern bool
		if err := scan(&what, &isPattern, &p.ms, &p.c, &p.id); err != nil {
			return err
		}
		if isPattern {
			if what != pattern {
				pattern, covered = what, covers(what)
			}
			if !covered {
				return nil
			}
		} else if what != path && !strings.HasPrefix(what, path+"/") {
			return nil
		}
		if before.admits(p) {
			at[p] = true
		}
		return nil
	}, `SELECT what, pattern, ms, c, id FROM touched WHERE pattern = 1 OR what = ?1 OR what >= ?1 || '/' AND what < ?1 || '0' ORDER BY what, pattern`, path)
	if err != nil {
		return nil, err
	}
	var list []Event
	places := slices.SortedFunc(maps.Keys(at), func(a, b place) int { return b.compare(a) })
	for _, p := range places {
		if len(list) >= n {
			break
		}
		if err := d.each(ctx, func(scan func(...any) error) error {
			e := Event{at: p}
			var oid []byte
			err := scan(&e.Path, &oid, &e.Replica)
			e.Path, e.OID = lengthen(e.Path, p), hex.EncodeToString(oid)
			list = append(list, e)
			return err
		}, `SELECT path, oid, (SELECT replica FROM log WHERE log.n = event.log) FROM event WHERE ms = ?1 AND c = ?2 AND id = ?3 AND (?4 < 0 OR by = ?4)`, p.ms, p.c, p.id, me); err != nil {
			return nil, err
		}
	}
	letters, err := d.naming(ctx, path, me, before)
	for found := 0; err == nil && found < n && len(letters) > 0; {
		some := letters[:min(n, len(letters))]
		letters = letters[len(some):]
		if some, err = mention(some); err == nil {
			for _, l := range some {
				list = append(list, l.event())
			}
			found += len(some)
		}
	}
	sortEvents(list)
	return list[:min(n, len(list))], err
}

// Naming returns the messages that may name a path, newest first: all in which its
// words stand one after the other. Whether they do is for the reader of their bodies.
func (d *DB) Naming(ctx context.Context, path string) ([]Letter, error) {
	return d.naming(ctx, path, -1, Place{})
}

// naming does it for the messages of one sender, or of all if by is below 0.
func (d *DB) naming(ctx context.Context, path string, by int64, before Place) ([]Letter, error) {
	all := func(l *Letter) (bool, error) { return before.admits(placeOf(&l.Header)), nil }
	from := `SELECT ` + columns + ` FROM message m LEFT JOIN thread t ON t.n = m.thread WHERE m.gone = 0 AND (?1 < 0 OR m.sender = ?1)`
	order := ` ORDER BY m.ms DESC, m.c DESC, m.id DESC`
	words, _ := splitWords(path)
	if !strings.ContainsFunc(words, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) {
		return d.letters(ctx, -1, nil, all, from+order, by)
	}
	if err := d.needWords(); err != nil {
		return nil, err
	}
	return d.letters(ctx, -1, nil, all, from+` AND m.n IN (SELECT rowid FROM words WHERE words MATCH ?2)`+order, by, `{subject body} : "`+strings.NewReplacer(`"`, `""`, "\x00", " ").Replace(words)+`"`)
}

// Damage is a stored file that is no valid record.
type Damage struct{ Replica, Path, Why string }

// Damaged returns how many there are, and the first.
func (d *DB) Damaged(ctx context.Context) (first Damage, n int, err error) {
	err = d.row(ctx, `SELECT replica, path, why, (SELECT count(*) FROM damaged) FROM damaged ORDER BY path, replica LIMIT 1`).
		Scan(&first.Replica, &first.Path, &first.Why, &n)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return first, n, err
}

// OutOfOrder reports whether so many messages came after newer ones since the index was
// built that it should be built anew: all hits of a search are looked through for them.
// Those that were out of order then would be again: one clock that was ahead once puts
// everybody else's mail behind for good.
func (d *DB) OutOfOrder(ctx context.Context) (bool, error) {
	late, err := d.late(ctx)
	if err != nil {
		return false, known(err)
	}
	var all, before int
	err = d.row(ctx, `SELECT (SELECT coalesce(max(n), 0) FROM message), coalesce((SELECT v FROM meta WHERE k = 'late'), 0)`).Scan(&all, &before)
	return late-before > max(lateMost, all/20), known(err)
}

// lateMost is how many messages out of order are never too many.
const lateMost = 300

func (d *DB) late(ctx context.Context) (n int, err error) {
	err = d.row(ctx, `SELECT count(*) FROM late`).Scan(&n)
	return n, err
}
