package mailbox

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/git-agentmail/git-agentmail/index"
	"github.com/git-agentmail/git-agentmail/mail"
)

// Digest makes summaries. It comes from outside, because what it is made of (a Markdown
// parser, an HTTP client) costs each start of a program that links it, and git waits for
// that with every commit. The zero value makes none.
type Digest struct {
	// Summarize makes the summary of a thread, oldest message first, of at most budget
	// tokens; 0 is no bound. Messages without a body only count.
	Summarize func(messages []*mail.Message, name func(id string) string, budget int) mail.Summary
	// Aggregate puts summaries together.
	Aggregate func(list []mail.Summary, budget int) mail.Overview
	// Refine words lists anew; getenv knows how. An error says why it could not, for
	// people to read, and holds no secret. nil never can.
	Refine func(ctx context.Context, getenv func(string) string, r mail.Rewording) (points, actions []string, err error)
}

// writing is a thread as it is summarized.
type writing struct {
	id       string
	messages []*mail.Message // all of it, but not the bodies of all
	read     int             // how many of the newest have theirs
}

// SummarizeThread says in short what one thread says; the key is that of [Box.Thread].
// Participants and the number of messages are those of the whole thread, the rest is
// from the newest messages.
func (b *Box) SummarizeThread(ctx context.Context, who Actor, key string, q SummaryQuery) (ThreadSummary, error) {
	list, name, err := b.writings(ctx, who, []string{key}, &q)
	if err != nil {
		return ThreadSummary{}, err
	}
	w := list[0]
	out := ThreadSummary{ThreadID: w.id, MessagesRead: w.read, Summary: b.opt.Digest.Summarize(w.messages, name, q.Tokens)}
	if q.Examples {
		for _, m := range w.messages[:min(summaryExamples, len(w.messages))] {
			out.Examples = append(out.Examples, Example{m.ID, m.Subject, name(m.By), ts(m.At)})
		}
	}
	if q.Refine {
		s := &out.Summary
		out.Refinement, err = b.refine(ctx, q, list, name, s, mail.SummaryEntries, &s.KeyPoints, &s.ActionItems, q.Tokens)
	}
	return out, err
}

// SummarizeThreads does it for several threads, and says what they say together. Of a
// bound in tokens, half is for that and the other half shared by the threads. Only the
// whole is worded by a language model. Blank keys are passed over, and no thread at all
// is no error.
func (b *Box) SummarizeThreads(ctx context.Context, who Actor, keys []string, q SummaryQuery) (ThreadSummaries, error) {
	list, name, err := b.writings(ctx, who, trimmed(keys), &q)
	if err != nil {
		return ThreadSummaries{}, err
	}
	return b.together(ctx, list, name, q)
}

// SummarizePath says what is going on around a file or directory: who holds it, and what
// the threads say whose messages name it (by the rule of [Box.Log]), that with the newest
// such message first.
func (b *Box) SummarizePath(ctx context.Context, who Actor, path string, q SummaryQuery) (PathSummary, error) {
	if err := b.maySummarize(who, &q); err != nil {
		return PathSummary{}, err
	}
	place, err := b.place(ctx, path)
	if err != nil {
		return PathSummary{}, err
	}
	tracked, err := b.repo.Tracked(ctx)
	if err != nil {
		return PathSummary{}, asMail(err)
	}
	out := PathSummary{Path: place.path}
	var list []writing
	var name func(string) string
	err = b.indexed(ctx, func(v *view) error {
		out.Reservations, list, name = []Reservation{}, nil, v.d.Address
		held, err := v.Leases(ctx)
		if err != nil {
			return err
		}
		for _, l := range slices.Backward(held.ByAge()) {
			if (l.Live(b.now(), v.sn.Own()) || aheadOnly(l, b.now())) && place.held(l) {
				out.Reservations = append(out.Reservations, b.reservationRow(ctx, v.d, l, v.sn.Own(), tracked))
			}
		}
		keys, err := v.threadsNaming(place, q.Threads+1)
		if err != nil {
			return err
		}
		out.More = len(keys) > q.Threads
		for _, key := range keys[:min(len(keys), q.Threads)] {
			letters, err := v.Thread(ctx, key, index.Place{}, -1)
			if err != nil {
				return err
			}
			w, err := v.writing(key, letters, q.Messages)
			if err != nil {
				return err
			}
			list = append(list, w)
		}
		return nil
	})
	if err == nil {
		out.ThreadSummaries, err = b.together(ctx, list, name, q)
	}
	return out, err
}

// namingAtOnce is how many messages are read in one go to see whether they name a path.
const namingAtOnce = 100

// threadsNaming returns the threads that name a place, at most n, that with the newest
// such message first. Of a thread that is known to do, nothing more is read.
func (v *view) threadsNaming(p place, n int) ([]string, error) {
	letters, err := v.Naming(v.ctx, p.path)
	if err != nil {
		return nil, err
	}
	var keys []string
	known := func(l index.Letter) bool { return slices.Contains(keys, l.ThreadKey()) }
	for len(letters) > 0 && len(keys) < n {
		some := slices.DeleteFunc(letters[:min(namingAtOnce, len(letters))], known)
		letters = letters[min(namingAtOnce, len(letters)):]
		if err := v.bodies(some); err != nil {
			return nil, err
		}
		for _, l := range some {
			if len(keys) < n && !known(l) && (p.named(l.Subject) || p.named(l.Body)) {
				keys = append(keys, l.ThreadKey())
			}
		}
	}
	return keys, nil
}

// maySummarize checks a query, and puts its defaults in.
func (b *Box) maySummarize(who Actor, q *SummaryQuery) error {
	if who.err != nil {
		return who.err
	}
	if b.opt.Digest.Summarize == nil || b.opt.Digest.Aggregate == nil {
		return mail.Errorf(mail.Internal, "this program makes no summaries")
	}
	for _, l := range []struct {
		n         *int
		usual, at int
	}{{&q.Messages, DefaultSummaryMessages, MaxSummaryMessages}, {&q.Threads, DefaultSummaryThreads, MaxSummaryThreads}, {&q.Tokens, 0, 1 << 30}} {
		switch {
		case *l.n < 0:
			return mail.Errorf(mail.Invalid, "limit %d is below 1", *l.n).Typed("INVALID_LIMIT")
		case *l.n == 0:
			*l.n = l.usual
		}
		*l.n = min(*l.n, l.at)
	}
	return nil
}

// writings reads the threads that keys stand for, each once.
func (b *Box) writings(ctx context.Context, who Actor, keys []string, q *SummaryQuery) (list []writing, name func(string) string, err error) {
	if err := b.maySummarize(who, q); err != nil || len(keys) == 0 {
		return nil, nil, err
	}
	err = b.indexed(ctx, func(v *view) error {
		list, name = nil, v.d.Address
		for _, key := range keys {
			id, err := v.thread(key)
			if err != nil {
				return err
			}
			if slices.ContainsFunc(list, func(w writing) bool { return w.id == id }) {
				continue
			}
			letters, err := v.Thread(ctx, id, index.Place{}, -1)
			if err != nil {
				return err
			}
			w, err := v.writing(id, letters, q.Messages)
			if err != nil {
				return err
			}
			list = append(list, w)
		}
		return nil
	})
	return list, name, err
}

// writing reads the bodies of the newest letters of a thread.
func (v *view) writing(id string, letters []index.Letter, newest int) (writing, error) {
	letters = slices.DeleteFunc(letters, func(l index.Letter) bool { return l.Redacted })
	w := writing{id: id, read: min(newest, len(letters))}
	err := v.bodies(letters[len(letters)-w.read:])
	for _, l := range letters {
		w.messages = append(w.messages, l.Message)
	}
	return w, err
}

// together summarizes threads, and all of them.
func (b *Box) together(ctx context.Context, list []writing, name func(string) string, q SummaryQuery) (ThreadSummaries, error) {
	out := ThreadSummaries{Threads: []ThreadSummary{}}
	share, half := 0, 0
	if q.Tokens > 0 && len(list) > 0 {
		half = max(1, q.Tokens/2)
		share = max(1, half/len(list))
	}
	var whole []mail.Summary
	for _, w := range list {
		s := b.opt.Digest.Summarize(w.messages, name, 0)
		whole = append(whole, s)
		if share > 0 {
			s = b.opt.Digest.Summarize(w.messages, name, share)
		}
		out.Threads = append(out.Threads, ThreadSummary{ThreadID: w.id, MessagesRead: w.read, Summary: s})
	}
	out.Aggregate = b.opt.Digest.Aggregate(whole, half)
	var err error
	if o := &out.Aggregate; q.Refine && len(list) > 0 {
		out.Refinement, err = b.refine(ctx, q, list, name, o, mail.OverviewEntries, &o.KeyPoints, &o.ActionItems, half)
	}
	return out, err
}

// refine lets a language model word two lists of a summary. Whatever goes wrong, they
// stay as they are; only an interrupt is an error. Of q it is the model that counts, and
// whether a failure is told.
func (b *Box) refine(ctx context.Context, q SummaryQuery, list []writing, name func(string) string, summary any, most int, points, actions *[]string, budget int) (*Refinement, error) {
	failed := func(why string) *Refinement {
		if q.Quiet {
			return nil
		}
		return &Refinement{RefineError: why}
	}
	if b.opt.Digest.Refine == nil {
		return failed("this program asks no language model"), nil
	}
	r := mail.Rewording{Name: name, KeyPoints: *points, ActionItems: *actions, Most: most, Model: q.Model}
	var model string
	if q.Ask != nil {
		r.Ask = func(ctx context.Context, instruction, data string) (string, string, error) {
			text, name, err := q.Ask(ctx, instruction, data)
			model = clip(name, 100)
			return text, name, err
		}
	}
	for _, w := range list {
		r.Messages = append(r.Messages, w.messages[len(w.messages)-w.read:]...)
	}
	p, a, err := b.opt.Digest.Refine(ctx, b.getenv, r)
	if err != nil {
		if ctx.Err() != nil {
			return nil, asMail(ctx.Err())
		}
		return failed(clip(oneLine(err.Error()), 200)), nil
	}
	*points, *actions = p[:min(len(p), most)], a[:min(len(a), most)]
	for budget > 0 && tokens(summary) > budget && dropLine(points, actions) {
	}
	return &Refinement{Refined: true, model: model}, nil
}

// dropLine takes away what matters least: the last action that is done, else the last
// point, else the last action.
func dropLine(points, actions *[]string) bool {
	p, a := *points, *actions
	switch n := len(a); {
	case n > 0 && strings.HasPrefix(a[n-1], mail.DoneMark):
		*actions = a[:n-1]
	case len(p) > 0:
		*points = p[:len(p)-1]
	case n > 0:
		*actions = a[:n-1]
	default:
		return false
	}
	return true
}

// tokens is the size of a summary, a quarter of the bytes of its JSON.
func tokens(v any) int {
	data, err := json.Marshal(v)
	if err != nil {
		return 0
	}
	return (len(data) + 3) / 4
}
