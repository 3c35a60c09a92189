package index

import (
	"context"
	"slices"
	"strings"

	"github.com/git-agentmail/git-agentmail/mail"
)

// Search says what to look for. The zero value of a field does not narrow it.
type Search struct {
	Query      string // see compileQuery for the language
	From, To   string // agent ids; To is a recipient of any kind but bcc
	With       string // From or To
	Since      mail.Time
	Until      mail.Time
	Thread     string
	Importance string
	Rank       bool // the best first, else the newest
}

// Marks finds in a text what a search was for.
type Marks struct{ hits terms }

// Subject returns the ranges of bytes to mark in a subject.
func (m Marks) Subject(text string) [][2]int { return m.hits.in("subject").find(text) }

// Body does the same for a body, or a part of one.
func (m Marks) Body(text string) [][2]int { return m.hits.in("body").find(text) }

// gate is how many hits are ranked by their words. To weigh a word that stands in every
// second message takes a tenth of a second, and tells little: where there are more hits,
// those of the newest are the best that have in the subject what was searched for.
const gate = 500

// Search returns the messages that a query finds, at most n. A query never fails; one
// with nothing to search for finds nothing. The order of equals is that of the log. With
// Rank, before must be the zero value.
func (d *DB) Search(ctx context.Context, s Search, before Place, n int) ([]Letter, Marks, error) {
	match, hits, ok := compileQuery(s.Query)
	if !ok {
		return nil, Marks{}, nil
	}
	if err := d.needWords(); err != nil {
		return nil, Marks{}, err
	}
	where, args := []string{`words MATCH ?`}, []any{match}
	narrow := func(cond string, arg any) { where, args = append(where, cond), append(args, arg) }
	const sent, received = `m.sender = ?`, `EXISTS (SELECT 1 FROM letter l WHERE l.agent = ? AND l.ms = m.ms AND l.c = m.c AND l.msg = m.n AND l.kind < 2)`
	for _, who := range []struct {
		id  string
		any []string
	}{{s.From, []string{sent}}, {s.To, []string{received}}, {s.With, []string{sent, received}}} {
		if who.id == "" {
			continue
		}
		number, err := d.agentNumber(ctx, who.id)
		if err != nil {
			return nil, Marks{}, err
		}
		where = append(where, `(`+strings.Join(who.any, ` OR `)+`)`)
		for range who.any {
			args = append(args, number)
		}
	}
	if s.Since != 0 {
		narrow(`m.at > ?`, int64(s.Since))
	}
	if s.Until != 0 {
		narrow(`m.at <= ?`, int64(s.Until))
	}
	if s.Thread != "" {
		where, args = append(where, `(t.key = ? OR m.id = ?)`), append(args, s.Thread, s.Thread)
	}
	if s.Importance != "" {
		narrow(`m.imp = ?`, slices.Index(importances, s.Importance))
	}
	cut, more := before.before()
	where, args = append(where, strings.NewReplacer("(ms, c)", "(m.ms, m.c)").Replace(cut)), append(args, more...)
	// CROSS fixes the order: through the words to the messages. Numbers are in the order of
	// the log, but for those that came late, which are looked for among all hits: to ask
	// the words about each of them would be a whole search each.
	rest := ` CROSS JOIN message m ON m.n = words.rowid LEFT JOIN thread t ON t.n = m.thread WHERE ` + strings.Join(where, " AND ")
	f := found{inOrder: ` FROM words` + rest + ` AND m.n NOT IN (SELECT n FROM late) AND words.rowid >= ?`, all: ` FROM words` + rest, args: args}
	if late, err := d.late(ctx); err != nil {
		return nil, Marks{}, err
	} else if late > 0 {
		f.late = ` FROM words CROSS JOIN late ON late.n = words.rowid` + rest
	}
	var list []Letter
	var err error
	if s.Rank {
		list, err = d.ranked(ctx, f, n)
	} else {
		list, err = d.newestHits(ctx, f, before, n)
	}
	return list, Marks{hits}, err
}

// newestHits returns what a search found, the newest first.
func (d *DB) newestHits(ctx context.Context, f found, before Place, n int) ([]Letter, error) {
	keep := func(l *Letter) (bool, error) { return before.admits(placeOf(&l.Header)), nil }
	list, err := d.letters(ctx, n, nil, keep, `SELECT `+columns+f.inOrder+` ORDER BY words.rowid DESC`, f.ordered()...)
	if err != nil {
		return nil, err
	}
	if f.late != "" {
		late, err := d.letters(ctx, -1, nil, keep, `SELECT `+columns+f.late, f.args...)
		if err != nil {
			return nil, err
		}
		list = append(list, late...)
	}
	slices.SortFunc(list, func(a, b Letter) int { return placeOf(&b.Header).compare(placeOf(&a.Header)) })
	return list[:min(n, len(list))], nil
}

// found are the ends of queries for what a search finds: those in order, those that
// came late ("" if none did), and all of them. The first of args is what MATCH gets; those
// in order can begin at a number.
type found struct {
	inOrder, late, all string
	args               []any
	from               int64
}

// ordered returns the arguments of inOrder, and more.
func (f found) ordered(more ...any) []any {
	return slices.Concat(f.args, []any{f.from}, more)
}

// ranked returns the best hits.
func (d *DB) ranked(ctx context.Context, f found, n int) ([]Letter, error) {
	var count int
	if err := d.row(ctx, `SELECT count(*) FROM (SELECT 1`+f.all+` LIMIT ?)`, append(slices.Clone(f.args), gate+1)...).Scan(&count); err != nil {
		return nil, err
	}
	if count <= gate {
		var rank, best float64 // of FTS5: below zero, the least is the best
		return d.letters(ctx, n, []any{&rank}, func(l *Letter) (bool, error) {
			best = min(best, rank)
			l.Score = 1
			if best < 0 {
				l.Score = rank / best
			}
			return true, nil
		},
			`SELECT `+columns+`, score FROM (SELECT m.n AS n, rank AS score`+f.all+` ORDER BY score, m.ms DESC, m.c DESC, m.id DESC LIMIT ?) x
			JOIN message m ON m.n = x.n LEFT JOIN thread t ON t.n = m.thread ORDER BY score, m.ms DESC, m.c DESC, m.id DESC`, append(slices.Clone(f.args), n)...)
	}
	first, number, err := d.gated(ctx, f)
	if err != nil {
		return nil, err
	}
	inSubject := f
	inSubject.from = number // or all that have it in the body are looked through
	inSubject.args = slices.Clone(f.args)
	match := f.args[0].(string)
	inSubject.args[0] = `{subject} : (` + match + `)`
	if strings.Contains(match, " NOT ") { // else it would find what has in the body what it must not have
		inSubject.args[0] = `(` + match + `) AND (` + inSubject.args[0].(string) + `)`
	}
	list, err := d.newestHits(ctx, inSubject, Place{}, n)
	list = slices.DeleteFunc(list, func(l Letter) bool { return placeOf(&l.Header).compare(first) < 0 })
	there := map[int64]bool{}
	for i := range list {
		there[list[i].n], list[i].Score = true, 1
	}
	if err != nil || len(list) == n {
		return list, err
	}
	rest, err := d.newestHits(ctx, f, Place{}, n)
	for _, l := range rest {
		if !there[l.n] && len(list) < n {
			l.Score = 0.5
			list = append(list, l)
		}
	}
	return list, err
}

// gated returns where the newest hits begin, as many as the gate lets through, and the
// number of the first that did not come late.
func (d *DB) gated(ctx context.Context, f found) (first place, number int64, err error) {
	var hits []place
	collect := func(scan func(...any) error) error {
		var p place
		var n int64
		if err := scan(&n, &p.ms, &p.c, &p.id); err != nil {
			return err
		}
		hits, number = append(hits, p), n
		return nil
	}
	const hit = `SELECT m.n, m.ms, m.c, m.id`
	if f.late != "" {
		if err := d.each(ctx, collect, hit+f.late, f.args...); err != nil {
			return first, 0, err
		}
	}
	if err := d.each(ctx, collect, hit+f.inOrder+` ORDER BY words.rowid DESC LIMIT ?`, f.ordered(gate)...); err != nil {
		return first, 0, err
	}
	slices.SortFunc(hits, func(a, b place) int { return b.compare(a) })
	return hits[min(gate, len(hits))-1], number, nil
}
