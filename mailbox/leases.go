package mailbox

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/guard"
	"github.com/git-agentmail/git-agentmail/mail"
)

// pick returns the actor's own live reservations that the filter names.
func (w *writer) pick(held mail.Leases, me string, f LeaseFilter) ([]*mail.LeaseState, error) {
	var own []*mail.LeaseState
	for _, l := range held.ByAge() {
		if l.Holder == me && l.Live(w.now, w.tx.Replica()) {
			own = append(own, l)
		}
	}
	if f.Patterns != nil && len(f.Patterns) == 0 || f.IDs != nil && len(f.IDs) == 0 {
		return nil, mail.Errorf(mail.Invalid, "an empty list names no reservation; leave it out for all").Typed("EMPTY_PATHS")
	}
	ids := func(yield func(string) bool) {
		for _, l := range own {
			if !yield(l.ID) {
				return
			}
		}
	}
	keep := own
	if f.Patterns != nil {
		canonical := map[string]bool{}
		for _, p := range f.Patterns {
			if rel, err := w.b.relative(p); err == nil { // as it may have been reserved
				p = rel
			}
			canonical[canon(p)] = true
		}
		keep = slices.DeleteFunc(slices.Clone(keep), func(l *mail.LeaseState) bool { return !canonical[l.Pattern] })
	}
	if f.IDs != nil {
		named := map[string]bool{}
		for _, id := range f.IDs {
			if full, err := mail.ByPrefix("reservation", id, ids); err == nil {
				named[full] = true
			} else if mail.CodeOf(err) == mail.Invalid {
				return nil, err
			}
		}
		keep = slices.DeleteFunc(slices.Clone(keep), func(l *mail.LeaseState) bool { return !named[l.ID] })
	}
	if f.Either != nil {
		named := map[string]bool{}
		for _, word := range f.Either {
			rel, err := w.b.relative(word)
			if err != nil {
				return nil, err
			}
			found := false
			for _, l := range own {
				if l.Pattern == canon(rel) {
					named[l.ID], found = true, true
				}
			}
			if found {
				continue
			}
			full, err := mail.ByPrefix("reservation", word, ids)
			if err != nil && mail.IsPrefix(strings.ToLower(word)) && mail.CodeOf(err) == mail.Invalid {
				return nil, err // several begin so
			}
			if err != nil {
				return nil, w.notHeld(held, me, word, canon(rel))
			}
			named[full] = true
		}
		keep = slices.DeleteFunc(slices.Clone(keep), func(l *mail.LeaseState) bool { return !named[l.ID] })
	}
	return keep, nil
}

// canon is a pattern in canonical form, or itself if it is none.
func canon(text string) string {
	if p, err := guard.Compile(text); err == nil {
		return p.String()
	}
	return text
}

// notHeld says why a word, as a pattern or as an id, names no live reservation of
// the actor's.
func (w *writer) notHeld(held mail.Leases, me, word, pattern string) error {
	id := strings.ToLower(word)
	for _, l := range held.ByAge() {
		if l.Pattern != pattern && !(mail.IsPrefix(id) && strings.HasPrefix(l.ID, id)) {
			continue
		}
		end, _ := l.Expires(w.now)
		switch {
		case l.Holder != me && l.Live(w.now, w.tx.Replica()):
			return mail.Errorf(mail.NotFound, "%q is held by %s, not by you: not found among yours", l.Pattern, w.dir.Address(l.Holder)).
				Hint("git agentmail force-release %s  # if the holder is gone", l.ID)
		case l.Holder == me && l.Ended == "":
			return mail.Errorf(mail.NotFound, "the reservation %q expired at %s: not found among the live ones", l.Pattern, until(end, w.now)).
				Hint("git agentmail reserve %s", shellQuote(l.Pattern))
		}
	}
	return mail.Errorf(mail.NotFound, "you hold no reservation %q: not found", word).Hint("git agentmail reservations --mine")
}

// Renew extends the actor's own live reservations: from the later of now and
// their end, by at least a minute. One that has expired must be reserved again,
// for somebody else may have worked there meanwhile.
func (b *Box) Renew(ctx context.Context, who Actor, f LeaseFilter, extend time.Duration) (RenewResult, error) {
	extend = max(extend, leastTTL)
	var out RenewResult
	strong := false
	err := b.update(ctx, who, func(w *writer, me *mail.Agent) (string, error) {
		out = RenewResult{Reservations: []Renewed{}}
		held, err := w.held(false)
		if err != nil {
			return "", err
		}
		list, err := w.pick(held, me.ID, f)
		if err != nil || len(list) == 0 {
			return "", err
		}
		var leases []mail.Lease
		for _, l := range list {
			old, _ := l.Expires(w.now)
			end := old
			if w.now.After(end) {
				end = w.now
			}
			end = end.Add(extend)
			if end.Sub(w.now) > mail.MaxTTL {
				return "", mail.Errorf(mail.Invalid, "%q would end in %s, and the most is 30; nothing was renewed", l.Pattern, plural(int((end.Sub(w.now)+24*time.Hour-1)/(24*time.Hour)), "day"))
			}
			next := l.Lease
			next.TTL = int64((end.Sub(w.now) + time.Second - 1) / time.Second)
			leases = append(leases, next)
			out.Reservations = append(out.Reservations, Renewed{l.ID, l.Pattern, TS(old), TS(w.now.Add(time.Duration(next.TTL) * time.Second))})
		}
		out.Renewed, strong = len(leases), anyStrong(leases)
		return fmt.Sprintf("renew: %s %s", me.Name.Value, plural(len(leases), "reservation")), w.addLeases(held, me.ID, mail.LeaseRenew, "", leases)
	})
	if err == nil && strong {
		err = b.renewed(ctx, out)
	}
	return out, err
}

// Release gives the actor's own live reservations back. Nothing to release is no
// error.
func (b *Box) Release(ctx context.Context, who Actor, f LeaseFilter) (ReleaseResult, error) {
	var out ReleaseResult
	strong := false
	err := b.update(ctx, who, func(w *writer, me *mail.Agent) (string, error) {
		out = ReleaseResult{ReleasedAt: TS(w.now), Patterns: []string{}}
		held, err := w.held(false)
		if err != nil {
			return "", err
		}
		list, err := w.pick(held, me.ID, f)
		if err != nil || len(list) == 0 {
			return "", err
		}
		var leases []mail.Lease
		for _, l := range list {
			leases = append(leases, l.Lease)
			out.Patterns = append(out.Patterns, l.Pattern)
		}
		out.Released, strong = len(leases), anyStrong(leases)
		return fmt.Sprintf("release: %s %s", me.Name.Value, briefList(out.Patterns)), w.addLeases(held, me.ID, mail.LeaseRelease, "", leases)
	})
	if err == nil && strong {
		err = b.settleNow(ctx)
	}
	return out, err
}

// ForceRelease ends somebody else's reservation, which must be stale (see
// activity) unless a person asks. Its holder is told by mail.
func (b *Box) ForceRelease(ctx context.Context, who Actor, id, note string, notify bool) (ForceResult, error) {
	if err := who.mayWrite(); err != nil {
		return ForceResult{}, err
	}
	var l *mail.LeaseState
	var row Reservation
	var own string
	err := b.indexed(ctx, func(v *view) error {
		held, err := v.Leases(ctx)
		if err != nil {
			return err
		}
		full, err := mail.ByPrefix("reservation", id, maps.Keys(held))
		if err != nil {
			return hintOn(err, mail.NotFound, "git agentmail reservations")
		}
		tracked, err := b.repo.Tracked(ctx)
		if err != nil {
			return err
		}
		l, own = held[full], v.sn.Own()
		row = b.reservationRow(ctx, v.d, l, own, tracked)
		return v.activity(l, tracked, &row)
	})
	if err != nil {
		return ForceResult{}, err
	}
	if !l.Live(b.now(), own) {
		return ForceResult{AlreadyReleased: true, ReleasedAt: TS(b.now()), Reservation: ForcedReservation{Reservation: row}}, nil
	}
	inUse := func() error {
		return mail.Errorf(mail.Denied, "the reservation %q of %s is in use: %s; nothing was released",
			l.Pattern, row.Agent, strings.Join(row.StaleReasons, ", ")).Typed("RESERVATION_ACTIVE").
			With("stale_reasons", row.StaleReasons).With("reservation", row).
			Hint("git agentmail send --to %s -s %s", row.Agent, shellQuote("please release "+l.Pattern))
	}
	mayEnd := who.Kind == IsPerson || l.Holder == who.ID
	if !row.Stale && !mayEnd {
		return ForceResult{}, inUse()
	}
	note = strings.ToValidUTF8(strings.TrimSpace(note), "?")
	var out ForceResult
	err = b.update(ctx, who, func(w *writer, me *mail.Agent) (string, error) {
		out = ForceResult{ReleasedAt: TS(w.now), Reservation: ForcedReservation{Reservation: row}}
		d, err := w.directory()
		if err != nil {
			return "", err
		}
		held, err := w.held(false)
		if err != nil {
			return "", err
		}
		// Whether it is stale took a while to find out.
		switch now := held[l.ID]; {
		case now == nil || !now.Live(w.now, w.tx.Replica()):
			out.AlreadyReleased = true
			return "", nil
		case now.Mark != l.Mark && !mayEnd:
			row.Stale, row.StaleReasons = false, []string{"renewed_meanwhile"}
			return "", inUse()
		}
		out.Released, out.Reservation.ReleasedTS, out.Reservation.Ended = 1, TS(w.now), mail.LeaseForce
		ev := &mail.LeaseEvent{Header: w.head(me.ID, l.Mark), Op: mail.LeaseForce, Note: clip(note, maxReason), Leases: []mail.Lease{l.Lease}}
		if err := w.add(ev); err != nil {
			return "", err
		}
		out.Reservation.Notified = notify && l.Holder != me.ID && d.Agents[l.Holder] != nil && !d.Deleted(l.Holder)
		if out.Reservation.Notified {
			body := fmt.Sprintf("%s released your reservation `%s` (%s).\n\n", d.Address(me.ID), l.Pattern, l.ID)
			for _, r := range row.StaleReasons {
				body += "- " + r + "\n"
			}
			if note != "" {
				body += "\n" + note + "\n"
			}
			if err := w.tell(me, l.Holder, "[file-reservations] Released stale lock on "+l.Pattern, body); err != nil {
				return "", err
			}
		}
		return fmt.Sprintf("force-release: %s ends %s of %s", me.Name.Value, l.Pattern, d.Address(l.Holder)), nil
	})
	if err == nil && out.Released > 0 && l.Strong {
		err = b.settleNow(ctx)
	}
	if err != nil {
		return ForceResult{}, err
	}
	return out, nil
}

// tell writes a notice to one agent, whatever its contact policy.
func (w *writer) tell(me *mail.Agent, to, subject, body string) error {
	return w.add(&mail.Message{Header: w.head(me.ID), FromName: me.Name.Value, To: []string{to}, ToNames: []string{w.dir.Address(to)},
		Subject: clip(subject, MaxSubject), Importance: mail.Normal, Body: body})
}

// Reservations lists live reservations, newest first; with All also those that
// have ended.
func (b *Box) Reservations(ctx context.Context, who Actor, q ReservationQuery) ([]Reservation, error) {
	if who.err != nil {
		return nil, who.err
	}
	if q.Mine {
		if err := who.mayRead(); err != nil {
			return nil, err
		}
	}
	n, err := q.limit()
	if err != nil {
		return nil, err
	}
	if q.Path != "" {
		if q.Path, err = b.path(q.Path); err != nil {
			return nil, err
		}
	}
	rows := []Reservation{}
	if q.All || q.Activity {
		err = b.indexed(ctx, func(v *view) error {
			held, err := v.Leases(ctx)
			if err == nil {
				rows, err = b.reservations(ctx, v.d, held, v.sn.Own(), who, q, n, v.activity)
			}
			return err
		})
		return rows, err
	}
	// What may be live is in a cache that the guard keeps.
	sn, err := b.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	d, err := b.directory(ctx, sn)
	if err != nil {
		return nil, err
	}
	held, err := b.knownLeases(ctx, sn)
	if err != nil {
		return nil, err
	}
	return b.reservations(ctx, d, held, sn.Own(), who, q, n, nil)
}

func (b *Box) reservations(ctx context.Context, d *mail.Directory, held mail.Leases, own string, who Actor, q ReservationQuery, n int,
	activity func(*mail.LeaseState, []string, *Reservation) error) ([]Reservation, error) {
	tracked, err := b.repo.Tracked(ctx)
	if err != nil {
		return nil, asMail(err)
	}
	list := held.ByAge()
	slices.Reverse(list)
	list, err = page(list, Page{n, q.Before}, "reservation", func(l *mail.LeaseState) string { return l.ID }, func(l *mail.LeaseState) bool {
		return (q.All || l.Live(b.now(), own) || aheadOnly(l, b.now())) &&
			(!q.Mine || l.Holder == who.ID) &&
			(q.Path == "" || b.covers(ctx, l, q.Path))
	})
	rows := []Reservation{}
	for _, l := range list {
		row := b.reservationRow(ctx, d, l, own, tracked)
		if q.Activity {
			if err := activity(l, tracked, &row); err != nil {
				return nil, err
			}
		}
		rows = append(rows, row)
	}
	return rows, err
}

// aheadOnly reports whether a lease does not count only because the clock that
// issued it is ahead: it is shown, with that reason.
func aheadOnly(l *mail.LeaseState, now time.Time) bool {
	end, ahead := l.Expires(now)
	return ahead && end.IsZero() && l.Ended == ""
}

func (b *Box) covers(ctx context.Context, l *mail.LeaseState, path string) bool {
	p, err := compileLease(l, b.ignoreCase(ctx))
	return err == nil && p.Match(strings.TrimSuffix(path, "/"))
}

func compileLease(l *mail.LeaseState, fold bool) (guard.Pattern, error) {
	p, err := guard.Compile(l.Pattern)
	if fold {
		p = p.Fold()
	}
	if l.Kind == string(guard.File) {
		p = p.AsFile()
	}
	return p, err
}

func (b *Box) reservationRow(ctx context.Context, d *mail.Directory, l *mail.LeaseState, own string, tracked []string) Reservation {
	end, ahead := l.Expires(b.now())
	row := Reservation{
		ID: l.ID, Agent: d.Address(l.Holder), PathPattern: l.Pattern, Exclusive: l.Exclusive, Reason: l.Reason, Kind: l.Kind,
		Branch: l.Branch, Worktree: l.Worktree, CreatedTS: ts(l.Since), ExpiresTS: TS(end), ReleasedTS: ts(l.EndedAt),
		Ended: l.Ended, ClockAhead: ahead, StaleReasons: []string{}, Strong: l.Strong,
	}
	if l.Ended == "" && !ahead && !l.Live(b.now(), own) {
		row.Ended = "expired"
	}
	if p, err := compileLease(l, b.ignoreCase(ctx)); err == nil {
		for _, f := range tracked {
			if p.Match(f) {
				row.Files++
			}
		}
	}
	return row
}
