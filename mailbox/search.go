package mailbox

import (
	"context"
	"strings"
	"unicode/utf8"

	"github.com/git-agentmail/git-agentmail/index"
	"github.com/git-agentmail/git-agentmail/mail"
)

// The bounds of a snippet, in bytes.
const (
	snippetLength = 160
	snippetLook   = 256 << 10 // how far into a body is looked for what was found
)

// Search finds messages by their words. A query is words, "phrases" and beginnings*,
// with AND, OR, NOT, parentheses, subject: and body:; parts of identifiers and paths are
// words too. It never fails for its syntax: what does not parse is taken for words.
func (b *Box) Search(ctx context.Context, who Actor, q SearchQuery) ([]SearchHit, error) {
	hits := []SearchHit{}
	err := b.search(ctx, who, q, func(v *view, list []index.Letter, marks index.Marks) {
		hits = hits[:0]
		for _, l := range list {
			h := SearchHit{ID: l.ID, From: v.d.Address(l.By), To: addresses(v.d, l.To), Subject: l.Subject, Importance: l.Importance,
				AckRequired: Bit(l.AckRequired), ThreadID: optional(l.Thread), CreatedTS: ts(l.At)}
			h.Snippet, h.Hits = snippet(l.Body, marks.Body)
			h.SubjectHits = marks.Subject(l.Subject)
			hits = append(hits, h)
		}
	})
	return hits, err
}

// SearchMailbox finds the same, the best first, and shows whole messages, without their
// bodies unless those are wanted. With is the one name that it knows.
func (b *Box) SearchMailbox(ctx context.Context, who Actor, q SearchQuery, bodies bool) ([]MailboxHit, error) {
	hits := []MailboxHit{}
	q.Rank = true
	err := b.search(ctx, who, q, func(v *view, list []index.Letter, marks index.Marks) {
		hits = hits[:0]
		for _, l := range list {
			piece, found := snippet(l.Body, marks.Body)
			h := MailboxHit{Message: b.messageView(v.d, l.Message, who.ID), RelevanceScore: l.Score,
				SubjectSnippet: marked(l.Subject, marks.Subject(l.Subject)), BodySnippet: marked(piece, found)}
			if !bodies {
				h.BodyMD = nil
			}
			hits = append(hits, h)
		}
	})
	return hits, err
}

// marked puts what was found in a text between <mark> and </mark>.
func marked(text string, hits [][2]int) string {
	var w strings.Builder
	at := 0
	for _, h := range hits {
		w.WriteString(text[at:h[0]] + "<mark>" + text[h[0]:h[1]] + "</mark>")
		at = h[1]
	}
	return w.String() + text[at:]
}

// search gives show what was found, bodies included. It may do so more than once.
func (b *Box) search(ctx context.Context, who Actor, q SearchQuery, show func(*view, []index.Letter, index.Marks)) error {
	if who.err != nil {
		return who.err
	}
	n, err := q.limit()
	if err != nil {
		return err
	}
	if q.Rank && q.Before != "" {
		return mail.Errorf(mail.Invalid, "a list of the best goes on nowhere: before needs the newest first")
	}
	importance := strings.ToLower(strings.TrimSpace(q.Importance))
	switch importance {
	case "", mail.Low, mail.Normal, mail.High, mail.Urgent:
	default:
		return mail.Errorf(mail.Invalid, "importance %q is none of low, normal, high, urgent", q.Importance)
	}
	return b.indexed(ctx, func(v *view) error {
		s := index.Search{Query: q.Query, Thread: q.Thread, Importance: importance, Rank: q.Rank}
		for _, name := range []struct {
			name string
			id   *string
		}{{q.From, &s.From}, {q.To, &s.To}, {q.With, &s.With}} {
			if name.name == "" {
				continue
			}
			a := v.d.Lookup(name.name)
			if a == nil && name.id == &s.With {
				return unknownAgent(v.d, name.name).Typed("agent_filter_not_found")
			}
			if a == nil {
				return unknownAgent(v.d, name.name)
			}
			*name.id = a.ID
		}
		if !q.Since.IsZero() {
			s.Since = mail.At(q.Since)
		}
		if !q.Until.IsZero() {
			s.Until = mail.At(q.Until)
		}
		before, err := v.before(q.Page)
		if err != nil {
			return err
		}
		list, marks, err := v.Search(ctx, s, before, n)
		if err == nil {
			err = v.bodies(list)
		}
		if err == nil {
			show(v, list, marks)
		}
		return err
	})
}

// snippet cuts from a body, as one line, a piece with what was found in it. hits are
// ranges of bytes in the piece.
func snippet(body string, find func(string) [][2]int) (piece string, hits [][2]int) {
	if len(body) > snippetLook {
		body = strings.ToValidUTF8(body[:snippetLook], "")
	}
	line := oneLine(body)
	found := find(line)
	from := 0
	if len(found) > 0 && found[0][1] > snippetLength*3/4 { // begin a little before
		from = max(0, found[0][0]-snippetLength/4)
		if i := strings.IndexByte(line[from:found[0][0]], ' '); i >= 0 {
			from += i + 1
		}
		for !utf8.RuneStart(line[from]) {
			from++
		}
	}
	to := min(len(line), from+snippetLength)
	for to < len(line) && !utf8.RuneStart(line[to]) {
		to--
	}
	before, behind := "", ""
	if from > 0 {
		before = "… "
	}
	if to < len(line) {
		if i := strings.LastIndexByte(line[from:to], ' '); i > snippetLength*3/4 {
			to = from + i
		}
		behind = " …"
	}
	hits = [][2]int{}
	for _, h := range found {
		if h[0] >= from && h[1] <= to {
			hits = append(hits, [2]int{h[0] - from + len(before), h[1] - from + len(before)})
		}
	}
	return before + line[from:to] + behind, hits
}
