package mailbox

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/mail"
)

// pollEvery is how often a watcher looks for something new. A look reads a few
// small files and starts no process.
const pollEvery = 40 * time.Millisecond

// follow calls fn with the records that are added after this moment, in the
// order of the log, until ctx ends or fn returns an error.
func (b *Box) follow(ctx context.Context, fn func(*gitstore.Snapshot, []mail.Record) error) error {
	last, err := b.snapshot(ctx)
	if err != nil {
		return err
	}
	timer := time.NewTicker(pollEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		sn, err := b.snapshot(ctx)
		if err != nil {
			return err
		}
		if sn.Version() == last.Version() {
			continue
		}
		files, ok, err := sn.Added(ctx, last.Version())
		if err != nil {
			return asMail(err)
		}
		last = sn
		if !ok {
			continue // a log was rewritten: nothing in it is news
		}
		var added []mail.Record
		if err := b.read(ctx, sn, files, func(_ string, r mail.Record, err error) {
			if err == nil {
				added = append(added, r)
			} else {
				b.opt.Report(err.Error())
			}
		}); err != nil {
			return err
		}
		slices.SortFunc(added, func(x, y mail.Record) int {
			if mail.Less(x, y) {
				return -1
			}
			return 1
		})
		if err := fn(sn, added); err != nil {
			return err
		}
	}
}

// Watch calls fn with what happens from now on: mail to the actor and changes of
// reservations, or everything where a person watches. It ends with ctx, without
// an error, or with fn's error.
func (b *Box) Watch(ctx context.Context, who Actor, fn func(Event) error) error {
	if who.err != nil {
		return who.err
	}
	err := b.follow(ctx, func(sn *gitstore.Snapshot, added []mail.Record) error {
		d, err := b.directory(ctx, sn)
		if err != nil {
			return err
		}
		for _, r := range added {
			switch r := r.(type) {
			case *mail.Message:
				if who.Kind == IsAgent && r.RecipientKind(who.ID) == "" {
					continue
				}
			case *mail.LeaseEvent:
			default:
				if who.Kind == IsAgent {
					continue
				}
			}
			if err := fn(event(d, r)); err != nil {
				return err
			}
		}
		return nil
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// Wait blocks until mail for the actor arrives after the call, and returns it.
// When ctx reaches its deadline first the answer is empty.
func (b *Box) Wait(ctx context.Context, who Actor) ([]InboxRow, error) {
	rows := []InboxRow{}
	if err := who.mayRead(); err != nil {
		return rows, err
	}
	done := errors.New("mailbox: something arrived")
	err := b.follow(ctx, func(sn *gitstore.Snapshot, added []mail.Record) error {
		d, err := b.directory(ctx, sn)
		if err != nil {
			return err
		}
		me := who.ID
		if who.Kind == IsPerson && me == "" {
			if a := personAgent(d, sn.Own()); a != nil {
				me = a.ID
			}
		}
		for _, r := range added {
			if m, ok := r.(*mail.Message); ok && m.RecipientKind(me) != "" {
				rows = append(rows, b.inboxRow(d, m, me, mail.Delivery{}, false))
			}
		}
		if len(rows) > 0 {
			return done
		}
		return nil
	})
	if len(rows) > 0 || ctx.Err() == context.DeadlineExceeded {
		return rows, nil
	}
	return rows, asMail(err)
}
