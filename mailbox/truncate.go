package mailbox

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/mail"
)

const day = 24 * time.Hour

// truncatedCache is the cache file that says when the retention was last applied.
const truncatedCache = "truncated"

// Truncate takes out of this clone's own log what has run out: old messages with what was
// said of them and sent along, reservations and other events that mean nothing any more, and
// redacted messages of any age. What stays is as it was. Nothing of other clones goes: they
// do that themselves, and follow this one at their next sync. It is final.
func (b *Box) Truncate(ctx context.Context, r TruncateRequest) (TruncateResult, error) {
	if r.Older == 0 && !r.Redacted {
		set, err := b.retention(ctx)
		if err != nil {
			return TruncateResult{}, err
		}
		if set == 0 {
			return TruncateResult{}, mail.Errorf(mail.Invalid, "agentmail.retention is not set, so nothing runs out; nothing was truncated").
				Hint("git agentmail truncate --before 90d").Hint("git config agentmail.retention 90d").Hint("only what was redacted: git agentmail truncate --redacted")
		}
		r.Older = set
	}
	if r.Older < day && !r.Redacted {
		return TruncateResult{}, mail.Errorf(mail.Invalid, "messages of the last day are not old; nothing was truncated").Hint("git agentmail truncate --before 90d")
	}
	cutoff := time.Time{}
	if !r.Redacted {
		cutoff = b.now().Add(-r.Older)
	}
	sn, err := b.snapshot(ctx)
	if err != nil {
		return TruncateResult{}, err
	}
	p, err := b.runOut(ctx, sn, cutoff)
	if err != nil {
		return TruncateResult{}, err
	}
	if r.DryRun {
		p.out.Status, p.out.Epoch = "dry_run", sn.Header(sn.Own()).Base.Epoch
		return p.out, nil
	}
	if sn.Own() == "" {
		return p.out, nil
	}
	// Who writes meanwhile waits for no more than a look at what came since.
	h, done, waiting, err := b.store.Truncate(ctx, func(now *gitstore.Snapshot) (gitstore.Cut, error) {
		if p, err = b.stillOut(ctx, p, sn, now, cutoff); err != nil {
			return gitstore.Cut{}, err
		}
		sn = now
		return gitstore.Cut{Drop: slices.Sorted(maps.Keys(p.drop)), Upto: p.upto, Before: cutoff, Subject: "truncate: " + p.out.what()}, nil
	})
	if err != nil {
		return TruncateResult{}, asMail(err)
	}
	if done {
		p.out.Status = "truncated"
		if after, err := b.snapshot(ctx); err == nil {
			b.leases(ctx, after) // so that no hook has to fold them
			b.dropSummaries(ctx, after)
		}
	}
	p.out.Epoch, p.out.Waiting = h.Base.Epoch, append(p.out.Waiting, waiting...)
	return p.out, nil
}

// what says it in a few words.
func (r TruncateResult) what() string {
	s := plural(r.Messages, "message")
	if !r.CutoffDate.Time().IsZero() {
		s += " from before " + r.CutoffDate.Time().UTC().Format(time.DateOnly)
	}
	if r.Redacted > 0 {
		s += fmt.Sprintf(", %d redacted", r.Redacted)
	}
	return s
}

// retention is how long this clone keeps what it wrote, 0 for ever.
func (b *Box) retention(ctx context.Context) (time.Duration, error) {
	text, err := b.setting(ctx, "retention")
	if err != nil || text == "" || text == "never" {
		return 0, err
	}
	number, unit := text[:len(text)-1], map[byte]time.Duration{'d': day, 'w': 7 * day}[text[len(text)-1]]
	n, err := strconv.Atoi(number)
	if err != nil || unit == 0 || n < 1 || n > 36500 {
		return 0, mail.Errorf(mail.Invalid, "agentmail.retention is %q, which is no number of days such as 90d, nor never", text).Hint("git config agentmail.retention 90d")
	}
	return time.Duration(n) * unit, nil
}

// retain applies the retention, once a day. What goes wrong is told, and stops nothing.
func (b *Box) retain(ctx context.Context) {
	keep, err := b.retention(ctx)
	if err == nil && keep > 0 && b.isDue() {
		var r TruncateResult
		if r, err = b.Truncate(ctx, TruncateRequest{Older: keep}); err == nil {
			if r.Status == "truncated" {
				b.opt.Report("agentmail.retention: this clone's log was truncated: " + r.what())
			}
			b.store.WriteCache(truncatedCache, strconv.AppendInt(nil, b.now().Unix(), 10))
		}
	}
	if err != nil && ctx.Err() == nil {
		b.opt.Report(mail.AsError(err).Message)
	}
}

func (b *Box) isDue() bool {
	data, _ := os.ReadFile(b.repo.CachePath(truncatedCache))
	last, err := strconv.ParseInt(string(data), 10, 64)
	since := b.now().Sub(time.Unix(last, 0))
	return err != nil || since < 0 || since >= day
}

// runOut is what of the own log has run out.
type runOut struct {
	drop map[string]bool // paths
	upto int64
	out  TruncateResult
}

// runOut finds what has run out by now: all that is older than cutoff and means nothing any
// more, and whatever was redacted. What does not decode, or was written by a newer version,
// stays, for who could say what it means?
func (b *Box) runOut(ctx context.Context, sn *gitstore.Snapshot, cutoff time.Time) (*runOut, error) {
	p := &runOut{drop: map[string]bool{}, out: TruncateResult{Status: "nothing", CutoffDate: TS(cutoff), Waiting: []string{}}}
	own := sn.Own()
	files, err := sn.ListLog(ctx, own, "", nil)
	if err != nil {
		return nil, asMail(err)
	}
	l := &ownLog{b: b, ctx: ctx, sn: sn, runOut: p, dirs: map[string][]gitstore.File{}, has: map[string]bool{}, cutoff: cutoff}
	for _, f := range files {
		top, _, _ := strings.Cut(f.Path, "/")
		l.dirs[top] = append(l.dirs[top], f)
		l.has[f.Path] = true
	}
	err = l.messages()
	if err == nil {
		err = l.attachments()
	}
	if err == nil && !cutoff.IsZero() {
		if err = l.receipts(); err == nil {
			err = l.leases()
		}
		if err == nil {
			err = l.events()
		}
	}
	return p, asMail(err)
}

// stillOut is what was found out in sn, seen from now: what was sent since may name an attachment.
func (b *Box) stillOut(ctx context.Context, p *runOut, sn, now *gitstore.Snapshot, cutoff time.Time) (*runOut, error) {
	if now.Version() == sn.Version() {
		return p, nil
	}
	added, ok, err := now.Added(ctx, sn.Version())
	if err != nil {
		return nil, asMail(err)
	}
	if !ok { // somebody else has truncated it
		return b.runOut(ctx, now, cutoff)
	}
	return p, b.read(ctx, now, added, func(_ string, r mail.Record, _ error) {
		m, ok := r.(*mail.Message)
		if !ok {
			return
		}
		for _, a := range m.Attachments {
			if p.drop[a.Path] {
				delete(p.drop, a.Path)
				p.out.Attachments--
				p.out.Bytes -= a.Size
			}
		}
	})
}

// ownLog is the own log on the way to a runOut.
type ownLog struct {
	b   *Box
	ctx context.Context
	sn  *gitstore.Snapshot
	*runOut
	dirs   map[string][]gitstore.File // by top directory
	has    map[string]bool            // paths
	cutoff time.Time

	named  map[string]bool  // attachments of messages that stay
	sizes  map[string]int64 // of attachments
	opaque bool             // there are messages of which nobody knows what they name
}

// each reads the records in files.
func (l *ownLog) each(files []gitstore.File, fn func(f gitstore.File, r mail.Record)) error {
	return l.sn.Read(l.ctx, files, func(f gitstore.File) error {
		r, err := mail.Decode(f.Path, f.Data)
		if err != nil {
			r = nil
		}
		fn(f, r)
		return nil
	})
}

// older returns the files of a top directory up to the hour of a time.
func (l *ownLog) older(top string, t time.Time) []gitstore.File {
	files := l.dirs[top]
	n, _ := slices.BinarySearchFunc(files, mail.Bucket(top, t)+"~", func(f gitstore.File, end string) int { return strings.Compare(f.Path, end) })
	return files[:n]
}

func (l *ownLog) cut(f gitstore.File, r mail.Record, n *int) {
	l.drop[f.Path] = true
	l.out.Bytes += int64(len(f.Data))
	l.upto = max(l.upto, r.Head().Seq)
	*n++
}

func (l *ownLog) messages() error {
	st, err := l.b.state(l.ctx, l.sn)
	if err != nil {
		return err
	}
	l.named, l.sizes = map[string]bool{}, map[string]int64{}
	var aged []*mail.Message
	oldest := l.b.now()
	err = l.each(l.dirs["mail"], func(f gitstore.File, r mail.Record) {
		m, ok := r.(*mail.Message)
		if !ok {
			l.opaque = true
			return
		}
		old, hidden := m.At.Time().Before(l.cutoff), st.Shown(m) != m
		for _, a := range m.Attachments {
			l.sizes[a.Path] = a.Size
			l.named[a.Path] = l.named[a.Path] || !old && !hidden
		}
		if !old && !hidden {
			return
		}
		l.cut(f, m, &l.out.Messages)
		if hidden {
			l.out.Redacted++
		} else {
			m.Body = "" // only its recipients are asked for
			aged = append(aged, m)
		}
		// While it might be sent again, its key stays.
		if key := (idempotency{agent: m.By, key: m.IdempotencyKey}).path(); old && m.IdempotencyKey != "" && l.has[key] {
			l.drop[key] = true
		}
		if t := m.At.Time(); t.Before(oldest) {
			oldest = t
		}
	})
	if err != nil || len(aged) == 0 {
		return err
	}
	got := mail.NewState()
	if err := l.b.walk(l.ctx, l.sn, "receipts/", recent("receipts", oldest.Add(-day)), got.Apply); err != nil {
		return err
	}
	for _, m := range aged {
		if slices.ContainsFunc(m.Recipients(), func(id string) bool {
			return st.Agents[id] != nil && !st.Deleted(id) && got.Delivery(m.ID, id).Read == 0
		}) {
			l.out.Unread++
		}
	}
	return nil
}

// attachments go when no message names them any more, of this log or of one that has no
// copy of its own: such as that of a clone which was a copy of this one.
func (l *ownLog) attachments() error {
	if l.opaque {
		return nil
	}
	free := map[string]gitstore.File{}
	for _, f := range l.dirs["attachments"] {
		if !l.named[f.Path] {
			free[f.Path] = f
		}
	}
	if len(free) == 0 {
		return nil
	}
	type use struct{ replica, path string }
	uses := map[use]bool{}
	opaque := false
	files, err := l.sn.List(l.ctx, "mail/", nil)
	if err != nil {
		return err
	}
	files = slices.DeleteFunc(files, func(f gitstore.File) bool { return f.Replica == l.sn.Own() })
	if err := l.b.read(l.ctx, l.sn, files, func(replica string, r mail.Record, _ error) {
		m, ok := r.(*mail.Message)
		if !ok {
			opaque = true
			return
		}
		for _, a := range m.Attachments {
			if _, ok := free[a.Path]; ok {
				uses[use{replica, a.Path}] = true
			}
		}
	}); err != nil || opaque {
		return err
	}
	for u := range uses {
		if _, theirs, err := l.sn.Get(l.ctx, u.replica, u.path); err != nil {
			return err
		} else if !theirs {
			delete(free, u.path)
		}
	}
	for path, f := range free {
		size, known := l.sizes[path]
		if !known {
			if err := l.sn.Read(l.ctx, []gitstore.File{f}, func(f gitstore.File) error { size = int64(len(f.Data)); return nil }); err != nil {
				return err
			}
		}
		l.drop[path] = true
		l.out.Attachments++
		l.out.Bytes += size
	}
	return nil
}

// receipts go when they are old and all that they are about is gone, from everybody's log: a
// message that its owner keeps must not be unread again.
func (l *ownLog) receipts() error {
	old := l.older("receipts", l.cutoff)
	if len(old) == 0 {
		return nil
	}
	files, err := l.sn.List(l.ctx, "mail/", nil)
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, m := range files {
		if m.Replica != l.sn.Own() || !l.drop[m.Path] {
			there[messageID(m.Path)] = true
		}
	}
	return l.each(old, func(f gitstore.File, r mail.Record) {
		got, ok := r.(*mail.Receipt)
		if ok && got.At.Time().Before(l.cutoff) && !slices.ContainsFunc(slices.Concat(got.Read, got.Ack), func(id string) bool { return there[id] }) {
			l.cut(f, r, &l.out.Receipts)
		}
	})
}

// over is the time before which events go that are not about mail: as long as a reservation
// may last, one tells what is held.
func (l *ownLog) over() time.Time {
	if longest := l.b.now().Add(-mail.MaxTTL - day); longest.Before(l.cutoff) {
		return longest
	}
	return l.cutoff
}

// leases: an event goes when all reservations that it is about are over for as long as one
// may last, and would be without any word of their end: a renewal that another clone wrote
// before it had heard of that does not bring one back.
func (l *ownLog) leases() error {
	over := l.over()
	old := l.older("leases", over)
	if len(old) == 0 {
		return nil
	}
	all := mail.Leases{}
	if err := l.b.walk(l.ctx, l.sn, "leases/", nil, all.Apply); err != nil {
		return err
	}
	longOver := func(x mail.Lease) bool {
		s := all[x.ID]
		var end mail.Time
		for _, n := range s.Renewals {
			end = max(end, n.End)
		}
		ended := s.Ended != "" && s.EndedAt.Time().Before(over)
		return end.Time().Before(over) || ended && end.Time().Before(l.b.now().Add(-day))
	}
	return l.each(old, func(f gitstore.File, r mail.Record) {
		e, ok := r.(*mail.LeaseEvent)
		if ok && e.At.Time().Before(over) && !slices.ContainsFunc(e.Leases, func(x mail.Lease) bool { return !longOver(x) }) {
			l.cut(f, r, &l.out.Reservations)
		}
	})
}

// events: what was held at the time of a commit says whose that is, as long as a reservation of
// that time is held.
func (l *ownLog) events() error {
	over := l.over()
	held, err := l.b.knownLeases(l.ctx, l.sn)
	if err != nil {
		return err
	}
	since := over
	for _, s := range held {
		now := l.b.now()
		if at := s.Since.Time(); at.Before(since) && (s.Live(now, l.sn.Own()) || aheadOnly(s, now)) {
			since = at
		}
	}
	return l.each(l.older("events", over), func(f gitstore.File, r mail.Record) {
		switch r.(type) {
		case *mail.CommitSeen:
			if !r.Head().At.Time().Before(since.Add(-day)) {
				return
			}
		case *mail.Bypass, *mail.SlotEvent:
		default:
			return
		}
		if r.Head().At.Time().Before(over) {
			l.cut(f, r, &l.out.Events)
		}
	})
}

// truncationState says for doctor how long mail stays, and how often the own log was truncated.
func (b *Box) truncationState(ctx context.Context, sn *gitstore.Snapshot, say func(level, hint, format string, args ...any)) {
	state := "mail stays until git agentmail truncate"
	keep, err := b.retention(ctx)
	if err != nil {
		say("problem", first(mail.AsError(err).Hints), "retention: %s", mail.AsError(err).Message)
	} else if keep > 0 {
		state = plural(int(keep/day), "day") + ", applied by sync"
	}
	if base := sn.Header(sn.Own()).Base; base.Epoch > 0 {
		state += fmt.Sprintf("; this clone's log was truncated %s (epoch %d)", plural(base.Epoch, "time"), base.Epoch)
	}
	if err == nil {
		say("ok", "", "retention: %s", state)
	}
}
