package index

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/git-agentmail/git-agentmail/mail"
)

// Entry is a stored record on its way into the index.
type Entry struct {
	Replica string
	Path    string
	OID     string      // names its bytes, 40 hex digits
	Record  mail.Record // nil if it does not decode
	Err     error       // then, why
}

// Copies returns all the messages with one id that the logs hold. It is asked when
// there are several that differ, once all entries were read.
type Copies func(id string) ([]Entry, error)

// Apply adds records and sets the version that they lead to, in one transaction.
// What was added before does no harm. The order of the records does not matter to
// what the index says, only to how fast it is made: receipts first, then the rest from
// the oldest, is best.
func (d *DB) Apply(ctx context.Context, version string, entries iter.Seq2[Entry, error], copies Copies) error {
	if err := d.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return known(err)
	}
	err := d.needWords()
	if err == nil {
		err = d.apply(ctx, version, entries, copies)
	}
	if err == nil {
		err = d.exec(ctx, "COMMIT")
	}
	if err != nil {
		d.conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
	}
	return known(err)
}

func (d *DB) apply(ctx context.Context, version string, entries iter.Seq2[Entry, error], copies Copies) error {
	// The driver watches over a context that can end, for each of millions of statements.
	a := &applier{ctx: context.WithoutCancel(ctx), d: d, agents: map[string]int64{}, threads: map[string]int64{}, logs: map[string]int64{},
		active: map[int64]mail.Time{}, leases: mail.Leases{}, dir: mail.NewDirectory(), copies: copies}
	had, err := d.Version(ctx)
	if err != nil {
		return err
	}
	if had == "" {
		a.seen, a.done = map[string]string{}, map[delivery]*times{}
	}
	if err := d.row(ctx, `SELECT EXISTS(SELECT 1 FROM gone) OR EXISTS(SELECT 1 FROM agent WHERE gone = 1)`).Scan(&a.someGone); err != nil {
		return err
	}
	if err = d.row(ctx, `SELECT ms, c, id FROM message WHERE n NOT IN (SELECT n FROM late) ORDER BY n DESC LIMIT 1`).
		Scan(&a.newest.ms, &a.newest.c, &a.newest.id); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	for e, err := range entries {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if err := a.add(e); err != nil {
			return err
		}
	}
	if err := a.flush(); err != nil {
		return err
	}
	if had == "" {
		if err := a.run(`INSERT OR REPLACE INTO meta SELECT 'late', count(*) FROM late`); err != nil {
			return err
		}
	}
	return a.run(`UPDATE meta SET v = ? WHERE k = 'version'`, version)
}

// applier is one run of Apply.
type applier struct {
	ctx context.Context
	d   *DB

	agents  map[string]int64 // numbers, by id
	threads map[string]int64
	logs    map[string]int64
	active  map[int64]mail.Time
	leases  mail.Leases     // those that events in this run are about
	dir     *mail.Directory // agents whose profiles changed in this run
	newest  place           // of the messages that are not late
	moved   bool            // an agent has another home
	decide  []string        // messages with copies that differ
	hidden  bool            // something in this run redacts messages
	copies  Copies

	someGone bool // the tables know of something that redacts messages

	// In an empty index all that is known is known here: asking the tables about each
	// record would take as long as filling them.
	seen map[string]string // messages: the name of their bytes, by id
	done map[delivery]*times
}

// delivery is a message to one agent.
type delivery struct {
	id    string
	agent int64
}

// times are when it was read and acknowledged; 0 is not yet.
type times struct{ read, ack int64 }

func (t *times) add(at int64, acked bool) {
	if t.read == 0 || at < t.read {
		t.read = at
	}
	if acked && (t.ack == 0 || at < t.ack) {
		t.ack = at
	}
}

func (a *applier) run(query string, args ...any) error {
	s, err := a.d.prepared(a.ctx, query)
	if err == nil {
		_, err = s.ExecContext(a.ctx, args...)
	}
	return err
}

// insert runs a statement and returns the number of the new row, 0 if there was none.
func (a *applier) insert(query string, args ...any) (int64, error) {
	s, err := a.d.prepared(a.ctx, query)
	if err != nil {
		return 0, err
	}
	r, err := s.ExecContext(a.ctx, args...)
	if err != nil {
		return 0, err
	}
	if n, err := r.RowsAffected(); n == 0 || err != nil {
		return 0, err
	}
	return r.LastInsertId()
}

// get scans one row; found is false if there is none.
func (a *applier) get(into []any, query string, args ...any) (found bool, err error) {
	s, err := a.d.prepared(a.ctx, query)
	if err != nil {
		return false, err
	}
	err = s.QueryRowContext(a.ctx, args...).Scan(into...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// number returns the number of a name in a table that numbers names.
func (a *applier) number(known map[string]int64, name, find, add string) (n int64, err error) {
	if n, ok := known[name]; ok {
		return n, nil
	}
	found, err := a.get([]any{&n}, find, name)
	if err == nil && !found {
		n, err = a.insert(add, name)
	}
	known[strings.Clone(name)] = n
	return n, err
}

func (a *applier) agent(id string) (int64, error) {
	return a.number(a.agents, id, `SELECT n FROM agent WHERE id = ?`, `INSERT INTO agent(id) VALUES(?)`)
}

func (a *applier) log(replica string) (int64, error) {
	return a.number(a.logs, replica, `SELECT n FROM log WHERE replica = ?`, `INSERT INTO log(replica) VALUES(?)`)
}

func (a *applier) thread(key string) (int64, error) {
	return a.number(a.threads, key, `SELECT n FROM thread WHERE key = ?`, `INSERT INTO thread(key) VALUES(?)`)
}

// place is where a record stands in the order of the log.
type place struct {
	ms, c int64
	id    string
}

func placeOf(h *mail.Header) place { return place{h.HLC.MS, h.HLC.N, h.ID} }

func (p place) compare(o place) int {
	return cmp.Or(cmp.Compare(p.ms, o.ms), cmp.Compare(p.c, o.c), strings.Compare(p.id, o.id))
}

func (a *applier) add(e Entry) error {
	if e.Err != nil {
		return a.run(`INSERT OR IGNORE INTO damaged VALUES(?, ?, ?)`, e.Replica, e.Path, e.Err.Error())
	}
	oid, err := hex.DecodeString(e.OID)
	if err != nil {
		return fmt.Errorf("index: the object id %q is none", e.OID)
	}
	h := e.Record.Head()
	var by int64
	if h.By != "" {
		if by, err = a.agent(h.By); err != nil {
			return err
		}
		a.active[by] = max(a.active[by], h.At)
	}
	if m, ok := e.Record.(*mail.Message); ok {
		return a.message(e, m, oid, by)
	}
	log, err := a.log(e.Replica)
	if err != nil {
		return err
	}
	// The same record in another log is one event, but not to the folds: there the log counts.
	if err := a.run(`INSERT INTO event(ms, c, id, path, oid, log, by) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7
		WHERE NOT EXISTS (SELECT 1 FROM event WHERE ms = ?1 AND c = ?2 AND id = ?3 AND path = ?4 AND oid = ?5)`,
		h.HLC.MS, h.HLC.N, h.ID, shorten(e.Path, placeOf(h)), oid, log, by); err != nil {
		return err
	}
	switch r := e.Record.(type) {
	case *mail.AgentChange:
		return a.profile(e.Replica, r)
	case *mail.Receipt:
		return a.receipt(r, by)
	case *mail.LeaseEvent:
		return a.lease(e.Replica, r)
	case *mail.CommitSeen:
		return a.touched(h, r.Touched)
	case *mail.Bypass:
		return a.touched(h, r.Touched)
	case *mail.Redaction:
		return a.redaction(r)
	}
	return nil
}

func (a *applier) touched(h *mail.Header, list []mail.Touched) error {
	for _, t := range list {
		if err := a.run(`INSERT OR IGNORE INTO touched VALUES(?, 0, ?, ?, ?)`, t.Path, h.HLC.MS, h.HLC.N, h.ID); err != nil {
			return err
		}
	}
	return nil
}

// importances in their order.
var importances = []string{mail.Low, mail.Normal, mail.High, mail.Urgent}

func (a *applier) message(e Entry, m *mail.Message, oid []byte, by int64) error {
	there, found, err := a.bytesOf(m.ID)
	switch {
	case err != nil:
		return err
	case !found:
		if a.seen != nil {
			a.seen[strings.Clone(m.ID)] = string(oid) // else it keeps all of the message
		}
		return a.letter(e, m, oid, by)
	case there == string(oid):
		return nil // the same letter in another log
	}
	a.decide = append(a.decide, m.ID)
	return a.run(`INSERT OR IGNORE INTO contested VALUES(?)`, m.ID)
}

// bytesOf returns the name of the bytes of a message that is in the index.
func (a *applier) bytesOf(id string) (oid string, found bool, err error) {
	if a.seen != nil {
		oid, found = a.seen[id]
		return oid, found, nil
	}
	var there []byte
	found, err = a.get([]any{&there}, `SELECT oid FROM message WHERE id = ?`, id)
	return string(there), found, err
}

// letter puts a message in that is not there, or its tombstone.
func (a *applier) letter(e Entry, m *mail.Message, oid []byte, by int64) error {
	gone, err := a.gone(m, by)
	if err != nil {
		return err
	}
	subject := m.Subject
	if gone {
		m, subject = m.Tombstone(), ""
	}
	var thread, reply, topic, files any
	if m.Thread != "" {
		n, err := a.thread(m.Thread)
		if err != nil {
			return err
		}
		thread = n
	}
	if m.ReplyTo != "" {
		reply = m.ReplyTo
	}
	if m.Topic != "" {
		topic = m.Topic
	}
	if len(m.Attachments) > 0 {
		data, err := json.Marshal(m.Attachments)
		if err != nil {
			return err
		}
		files = data
	}
	people, err := a.people(m)
	if err != nil {
		return err
	}
	log, err := a.log(e.Replica)
	if err != nil {
		return err
	}
	n, err := a.insert(`INSERT INTO message(id, log, oid, ms, c, at, sender, thread, reply, topic, imp, ack, subject, people, files, gone)
		VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, m.ID, log, oid, m.HLC.MS, m.HLC.N, int64(m.At), by, thread, reply, topic,
		slices.Index(importances, m.Importance), m.AckRequired, subject, people, files, gone)
	if err != nil {
		return err
	}
	if p := placeOf(&m.Header); p.compare(a.newest) > 0 {
		a.newest = p
	} else if err := a.run(`INSERT INTO late VALUES(?)`, n); err != nil {
		return err
	}
	if gone {
		return nil
	}
	for _, id := range m.Recipients() {
		agent, err := a.agent(id)
		if err != nil {
			return err
		}
		kind := slices.Index(kinds, m.RecipientKind(id))
		readAt, ackAt, err := a.waited(m.ID, agent)
		if err != nil {
			return err
		}
		// OR IGNORE: somebody may be named twice.
		if err := a.run(`INSERT OR IGNORE INTO letter VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)`, agent, m.HLC.MS, m.HLC.N, n, kind, m.IsUrgent(), m.AckRequired, readAt, ackAt); err != nil {
			return err
		}
	}
	words, ident := splitWords(m.Subject)
	body, more := splitWords(m.Body)
	return a.run(`INSERT INTO words(rowid, subject, body, ident) VALUES(?, ?, ?, ?)`, n, words, body, ident+" "+more)
}

// waited takes the receipt that came before its message.
func (a *applier) waited(id string, agent int64) (readAt, ackAt any, err error) {
	if a.seen != nil {
		key := delivery{id, agent}
		t := a.done[key]
		delete(a.done, key)
		if t == nil {
			return nil, nil, nil
		}
		return t.read, null(t.ack), nil
	}
	var read, ack sql.NullInt64
	found, err := a.get([]any{&read, &ack}, `SELECT read_at, ack_at FROM receipt WHERE msg = ? AND agent = ?`, id, agent)
	if err == nil && found {
		err = a.run(`DELETE FROM receipt WHERE msg = ? AND agent = ?`, id, agent)
	}
	return read, ack, err
}

func null(n int64) any {
	if n == 0 {
		return nil
	}
	return n
}

var kinds = []string{"to", "cc", "bcc"}

// people writes the recipients in their order, by number: 3 7|4|
func (a *applier) people(m *mail.Message) (string, error) {
	var b strings.Builder
	for i, list := range [][]string{m.To, m.CC, m.BCC} {
		if i > 0 {
			b.WriteByte('|')
		}
		for j, id := range list {
			n, err := a.agent(id)
			if err != nil {
				return "", err
			}
			if j > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(strconv.FormatInt(n, 10))
		}
	}
	return b.String(), nil
}

// receipt keeps the first time of each reading and acknowledgement; an
// acknowledgement is a reading too.
func (a *applier) receipt(r *mail.Receipt, by int64) error {
	at := int64(max(r.At, 1)) // 0 means never, in a fold
	one := func(id string, acked any) error {
		if a.seen != nil && a.seen[id] == "" {
			key := delivery{id, by}
			if a.done[key] == nil {
				a.done[key] = &times{}
			}
			a.done[key].add(at, acked != nil)
			return nil
		}
		var n, ms, c int64
		found, err := a.get([]any{&n, &ms, &c}, `SELECT m.n, m.ms, m.c FROM message m JOIN letter l ON l.agent = ? AND l.ms = m.ms AND l.c = m.c AND l.msg = m.n WHERE m.id = ?`, by, id)
		if err != nil {
			return err
		}
		if found {
			return a.run(`UPDATE letter SET read_at = min(coalesce(read_at, ?1), ?1), ack_at = CASE WHEN ?2 IS NULL THEN ack_at ELSE min(coalesce(ack_at, ?2), ?2) END
				WHERE agent = ?3 AND ms = ?4 AND c = ?5 AND msg = ?6`, at, acked, by, ms, c, n)
		}
		return a.keep(id, by, at, acked)
	}
	for _, id := range r.Read {
		if err := one(id, nil); err != nil {
			return err
		}
	}
	for _, id := range r.Ack {
		if err := one(id, at); err != nil {
			return err
		}
	}
	return nil
}

// keep stores a receipt that belongs to no letter, or not yet.
func (a *applier) keep(id string, agent, read int64, ack any) error {
	return a.run(`INSERT INTO receipt VALUES(?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET read_at = min(read_at, ?3),
		ack_at = CASE WHEN ?4 IS NULL THEN ack_at ELSE min(coalesce(ack_at, ?4), ?4) END`, id, agent, read, ack)
}

// lease folds an event into the reservations it is about.
func (a *applier) lease(replica string, ev *mail.LeaseEvent) error {
	for _, l := range ev.Leases {
		if a.leases[l.ID] == nil {
			var state []byte
			found, err := a.get([]any{&state}, `SELECT state FROM lease WHERE id = ?`, l.ID)
			if err != nil {
				return err
			}
			if found {
				s := &mail.LeaseState{}
				if err := json.Unmarshal(state, s); err != nil {
					return errors.Join(errOdd, err)
				}
				a.leases[l.ID] = s
			}
		}
		if err := a.run(`INSERT OR IGNORE INTO touched VALUES(?, 1, ?, ?, ?)`, l.Pattern, ev.HLC.MS, ev.HLC.N, ev.ID); err != nil {
			return err
		}
	}
	a.leases.Apply(replica, ev)
	return nil
}

// profile folds a change into an agent's profile: it decides between copies of a
// message that differ.
func (a *applier) profile(replica string, c *mail.AgentChange) error {
	n, err := a.agent(c.Agent)
	if err != nil {
		return err
	}
	if a.dir.Agents[c.Agent] == nil {
		var data []byte
		if _, err := a.get([]any{&data}, `SELECT profile FROM agent WHERE n = ?`, n); err != nil {
			return err
		}
		if data != nil {
			p := &mail.Agent{}
			if err := json.Unmarshal(data, p); err != nil {
				return errors.Join(errOdd, err)
			}
			a.dir.Agents[c.Agent] = p
		}
	}
	a.dir.Apply(replica, c)
	a.moved = a.moved || c.Home != nil
	a.hidden = a.hidden || c.Deleted
	return nil
}

// redaction notes which messages are to be hidden.
func (a *applier) redaction(r *mail.Redaction) error {
	a.hidden = true
	for _, id := range r.Messages {
		if err := a.run(`INSERT OR IGNORE INTO gone VALUES(?)`, id); err != nil {
			return err
		}
	}
	return nil
}

// gone reports whether a message is to be hidden, as far as is known.
func (a *applier) gone(m *mail.Message, by int64) (bool, error) {
	if !a.someGone && !a.hidden {
		return false, nil
	}
	if a.dir.Deleted(m.By) {
		return true, nil
	}
	var yes bool
	_, err := a.get([]any{&yes}, `SELECT EXISTS(SELECT 1 FROM gone WHERE id = ?) OR EXISTS(SELECT 1 FROM agent WHERE n = ? AND gone = 1)`, m.ID, by)
	return yes, err
}

// hide takes out of the tables what messages said that came before what redacts them. It
// reads all letters, but seldom.
func (a *applier) hide() error {
	if !a.hidden {
		return nil
	}
	for _, query := range []string{
		`UPDATE message SET gone = 2 WHERE gone = 0 AND (id IN (SELECT id FROM gone) OR sender IN (SELECT n FROM agent WHERE gone = 1))`,
		`INSERT OR REPLACE INTO receipt SELECT m.id, l.agent, l.read_at, l.ack_at FROM letter l JOIN message m ON m.n = l.msg WHERE m.gone = 2 AND l.read_at IS NOT NULL`,
		`DELETE FROM letter WHERE msg IN (SELECT n FROM message WHERE gone = 2)`,
		`DELETE FROM words WHERE rowid IN (SELECT n FROM message WHERE gone = 2)`,
		`UPDATE message SET gone = 1, subject = '', topic = NULL, imp = 1, ack = 0, files = NULL WHERE gone = 2`,
	} {
		if err := a.run(query); err != nil {
			return err
		}
	}
	return nil
}

// flush writes what was folded in memory.
func (a *applier) flush() error {
	for n, at := range a.active {
		if err := a.run(`UPDATE agent SET active = max(active, ?) WHERE n = ?`, int64(at), n); err != nil {
			return err
		}
	}
	for id, l := range a.leases {
		data, err := json.Marshal(l)
		if err == nil {
			err = a.run(`INSERT OR REPLACE INTO lease VALUES(?, ?)`, id, data)
		}
		if err != nil {
			return err
		}
	}
	for id, p := range a.dir.Agents {
		data, err := json.Marshal(p)
		if err == nil {
			err = a.run(`UPDATE agent SET profile = ?, home = ?, gone = ? WHERE id = ?`, data, p.Home.Value, p.Deleted, id)
		}
		if err != nil {
			return err
		}
	}
	for key, t := range a.done {
		if err := a.keep(key.id, key.agent, t.read, null(t.ack)); err != nil {
			return err
		}
	}
	a.seen, a.done = nil, nil // now the tables know it
	if a.moved {              // the log of a sender's home decides
		if err := a.d.each(a.ctx, func(scan func(...any) error) error {
			var id string
			err := scan(&id)
			a.decide = append(a.decide, id)
			return err
		}, `SELECT id FROM contested`); err != nil {
			return err
		}
	}
	slices.Sort(a.decide)
	for _, id := range slices.Compact(a.decide) {
		if err := a.choose(id); err != nil {
			return err
		}
	}
	return a.hide()
}

// choose puts in, of several messages with one id, the one that counts by the rule of
// the fold.
func (a *applier) choose(id string) error {
	list, err := a.copies(id)
	if err != nil {
		return err
	}
	st := mail.NewState()
	for _, e := range list {
		m, ok := e.Record.(*mail.Message)
		if !ok {
			continue
		}
		var home string
		if _, err := a.get([]any{&home}, `SELECT home FROM agent WHERE id = ?`, m.By); err != nil {
			return err
		}
		st.Agents[m.By] = &mail.Agent{ID: m.By, Home: mail.Field{Value: home}}
		st.Apply(e.Replica, m)
	}
	best := st.Message(id)
	i := slices.IndexFunc(list, func(e Entry) bool { return e.Record == mail.Record(best) })
	if best == nil || i < 0 {
		return nil // nothing better than what is there
	}
	var n int64
	var there []byte
	if found, err := a.get([]any{&n, &there}, `SELECT n, oid FROM message WHERE id = ?`, id); err != nil || found && hex.EncodeToString(there) == list[i].OID {
		return err
	}
	for _, query := range []string{
		`INSERT OR REPLACE INTO receipt SELECT m.id, l.agent, l.read_at, l.ack_at FROM message m CROSS JOIN agent a
			CROSS JOIN letter l ON l.agent = a.n AND l.ms = m.ms AND l.c = m.c AND l.msg = m.n WHERE m.n = ? AND l.read_at IS NOT NULL`,
		`DELETE FROM letter WHERE (agent, ms, c, msg) IN (SELECT a.n, m.ms, m.c, m.n FROM message m CROSS JOIN agent a WHERE m.n = ?)`, `DELETE FROM words WHERE rowid = ?`, `DELETE FROM late WHERE n = ?`, `DELETE FROM message WHERE n = ?`,
	} {
		if err := a.run(query, n); err != nil {
			return err
		}
	}
	by, err := a.agent(best.By)
	if err != nil {
		return err
	}
	oid, err := hex.DecodeString(list[i].OID)
	if err != nil {
		return err
	}
	return a.letter(list[i], best, oid, by)
}
