package mailbox

import (
	"context"
	"slices"
	"time"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/mail"
)

// follow calls fn with the records that were added since the cursor's place, in the
// order of the log, and again whenever there are more. It ends when fn says that it
// is enough or fails, with ctx, or, after at least one look, when until fires. The
// cursor is moved on before fn is called; saving it is the caller's.
func (b *Box) follow(ctx context.Context, c *cursor, until <-chan time.Time, fn func(*gitstore.Snapshot, []mail.Record) (enough bool, err error)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	news := b.store.Notify(ctx)
	for {
		sn, err := b.snapshot(ctx)
		if err != nil {
			return err
		}
		if !c.known {
			c.start(sn.Version())
		}
		if sn.Version() != c.at {
			files, ok, err := sn.Added(ctx, c.at)
			if err != nil {
				return asMail(err)
			}
			if !ok {
				b.opt.Report("the logs do not lead on from the place that was kept: one was shortened, set back or removed; it goes on from now")
				c.start(sn.Version())
			} else {
				added, err := b.inOrder(ctx, sn, files)
				if err != nil {
					return err
				}
				c.at = sn.Version()
				if enough, err := fn(sn, added); err != nil || enough {
					return err
				}
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-until:
			return nil
		case <-news:
		}
	}
}

// inOrder reads the records of files and sorts them as the log does.
func (b *Box) inOrder(ctx context.Context, sn *gitstore.Snapshot, files []gitstore.File) ([]mail.Record, error) {
	var list []mail.Record
	err := b.read(ctx, sn, files, func(_ string, r mail.Record, err error) {
		if err == nil {
			list = append(list, r)
		} else {
			b.opt.Report(err.Error())
		}
	})
	slices.SortFunc(list, func(x, y mail.Record) int {
		if mail.Less(x, y) {
			return -1
		}
		return 1
	})
	return list, err
}

// Watch calls fn with what happens: mail to the actor and changes of reservations, or
// everything where a person watches. It goes on where the actor's last Watch in this
// clone ended; the first begins now, and so does one of which nobody knows whose it
// is. An event counts as handed over when fn has returned without an error: whoever
// is killed before that is noted gets it again, and nothing is left out. It ends with
// ctx, without an error, or with fn's error.
func (b *Box) Watch(ctx context.Context, who Actor, fn func(Event) error) error {
	if who.err != nil {
		return who.err
	}
	c := b.cursor("watch", who)
	var failed error // of fn
	err := b.follow(ctx, c, nil, func(sn *gitstore.Snapshot, added []mail.Record) (bool, error) {
		d, err := b.directory(ctx, sn)
		if err != nil {
			failed = err
			return false, err
		}
		before := c.done
		c.done = nil // what comes after this has another place to count from
		some := false
		for _, r := range added {
			if before[r.Path()] || !concerns(who, r) {
				continue
			}
			if failed = fn(event(d, r)); failed != nil {
				return false, failed
			}
			c.handed(r.Path())
			some = true
		}
		if some {
			c.save()
		}
		return false, nil
	})
	if failed == nil {
		c.save() // what was passed over need not be read again
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// concerns reports whether a record is one that the actor is told of.
func concerns(who Actor, r mail.Record) bool {
	if who.Kind != IsAgent {
		return true
	}
	switch r := r.(type) {
	case *mail.Message:
		return r.RecipientKind(who.ID) != ""
	case *mail.LeaseEvent:
		return true
	}
	return false
}

// Wait hands fn the mail to the actor that arrived since its last Wait in this clone
// and that it has not read since: at once if there is any, else as soon as there is.
// After limit fn gets an empty list; a limit of 0 is one look. The first Wait begins
// now. The mail counts as handed over when fn has returned without an error: whoever
// is killed before that is noted gets it again, and nothing is left out.
func (b *Box) Wait(ctx context.Context, who Actor, limit time.Duration, fn func([]InboxRow) error) error {
	if err := who.mayRead(); err != nil {
		return err
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	c := b.cursor("wait", who)
	rows := []InboxRow{}
	err := b.follow(ctx, c, timer.C, func(sn *gitstore.Snapshot, added []mail.Record) (bool, error) {
		d, err := b.directory(ctx, sn)
		if err != nil {
			return false, err
		}
		me := who.ID
		if who.Kind == IsPerson && me == "" {
			if a := personAgent(d, sn.Own()); a != nil {
				me = a.ID
			}
		}
		// A receipt of mine came after the message, so it is among these too.
		read := map[string]bool{}
		for _, r := range added {
			if r, ok := r.(*mail.Receipt); ok && r.By == me {
				for _, id := range slices.Concat(r.Read, r.Ack) {
					read[id] = true
				}
			}
		}
		for _, r := range added {
			if m, ok := r.(*mail.Message); ok && m.RecipientKind(me) != "" && !read[m.ID] {
				rows = append(rows, b.inboxRow(d, m, me, mail.Delivery{}, false))
			}
		}
		return len(rows) > 0, nil
	})
	if err != nil {
		return asMail(err)
	}
	if err := fn(rows); err != nil {
		return err
	}
	c.save()
	return nil
}
