package mailbox

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/index"
	"github.com/git-agentmail/git-agentmail/mail"
)

// follow calls fn with the records that were added since the cursor's place, in the
// order of the log, and again whenever there are more. A log that does not lead on from
// that place counts from now; the others are not touched by that. It ends when fn says
// that it is enough or fails, with ctx, or, after at least one look, when until fires.
// The cursor is moved on before fn is called; saving it is the caller's.
func (b *Box) follow(ctx context.Context, c *cursor, until <-chan time.Time, fn func(*gitstore.Snapshot, []mail.Record) (enough bool, err error)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	news := b.store.Notify(ctx)
	tries := 0
	again := func(err error) bool { // a log was truncated while it was read
		if mail.CodeOf(asMail(err)) != mail.Busy {
			return false
		}
		tries++
		return tries < 100
	}
	for {
		sn, err := b.snapshot(ctx)
		if err != nil {
			return err
		}
		if !c.known {
			c.start(sn.Version())
		}
		if sn.Version() != c.at {
			n, err := sn.Since(ctx, c.at)
			if again(err) {
				continue
			}
			if err != nil {
				return asMail(err)
			}
			if len(n.Lost) > 0 {
				b.opt.Report(fmt.Sprintf("log %s does not lead on from the place that was kept, because it was shortened or set back; there it goes on from now", strings.Join(n.Lost, ", ")))
				c.move(n.From)
			}
			if n.Next != c.at { // else a log is gone, and nothing came to the others
				more, err := b.passed(ctx, sn, n)
				var added []mail.Record
				if err == nil {
					added, err = b.inOrder(ctx, sn, append(n.Files, more...))
				}
				if again(err) {
					continue
				}
				if err != nil {
					return err
				}
				c.at, tries = n.Next, 0
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

// passed returns what came to logs that were truncated since the place that was kept, of
// which nothing is left: by the numbers of the records.
func (b *Box) passed(ctx context.Context, sn *gitstore.Snapshot, n gitstore.News) ([]gitstore.File, error) {
	var more []gitstore.File
	have := map[string]bool{}
	for _, f := range n.Files {
		have[f.Path] = true
	}
	for replica, p := range n.Passed {
		files, err := sn.ListLog(ctx, replica, "", func(dir string) bool {
			top, below, _ := strings.Cut(dir, "/")
			switch top {
			case "mail", "receipts", "leases", "events", "redactions":
				return below == "" || recent(top, p.At.Add(-24*time.Hour))(dir)
			}
			return notFiles(dir)
		})
		if err != nil {
			return nil, asMail(err)
		}
		later := map[string]bool{}
		if err := b.read(ctx, sn, files, func(_ string, r mail.Record, err error) {
			if err == nil {
				later[r.Path()] = r.Head().Seq > p.Seq && !have[r.Path()]
			}
		}); err != nil {
			return nil, err
		}
		for _, f := range files {
			if later[f.Path] {
				have[f.Path] = true
				more = append(more, f)
			}
		}
	}
	return more, nil
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
		st, err := b.state(ctx, sn)
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
			shown := r
			if m, ok := r.(*mail.Message); ok {
				shown = st.Shown(m)
			}
			if failed = fn(event(st.Directory, shown)); failed != nil {
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
// now. Where nobody can say how far the last one came, or note it for the next, what
// counts is all that the actor has not read: the newest DefaultLimit of it. The mail
// counts as handed over when fn has returned without an error: whoever is killed before
// that is noted gets it again, and nothing is left out.
func (b *Box) Wait(ctx context.Context, who Actor, limit time.Duration, fn func([]InboxRow) error) error {
	if err := who.mayRead(); err != nil {
		return err
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	c := b.cursor("wait", who)
	if !c.known && !c.lost {
		sn, err := b.snapshot(ctx)
		if err != nil {
			return err
		}
		c.start(sn.Version())
	}
	rows := []InboxRow{}
	var err error
	if c.lost {
		rows, err = b.unread(ctx, who, c)
	}
	if err == nil && len(rows) == 0 {
		err = b.follow(ctx, c, timer.C, func(sn *gitstore.Snapshot, added []mail.Record) (bool, error) {
			st, err := b.state(ctx, sn)
			if err != nil {
				return false, err
			}
			rows = b.arrived(st, added, who.reader(st.Directory, sn))
			return len(rows) > 0, nil
		})
	}
	if err != nil {
		return asMail(err)
	}
	if err := fn(rows); err != nil {
		return err
	}
	c.save()
	return nil
}

// reader returns the id of the agent whose mail it is. A person is known as one only
// after its first write.
func (a Actor) reader(d *mail.Directory, sn *gitstore.Snapshot) string {
	if a.Kind == IsPerson && a.ID == "" {
		if p := personAgent(d, sn.Own()); p != nil {
			return p.ID
		}
	}
	return a.ID
}

// arrived returns what of the records is mail to an agent that it has not read, and may.
func (b *Box) arrived(st *mail.State, added []mail.Record, me string) []InboxRow {
	// A receipt of mine came after the message, so it is among these too.
	read := map[string]bool{}
	for _, r := range added {
		if r, ok := r.(*mail.Receipt); ok && r.By == me {
			for _, id := range slices.Concat(r.Read, r.Ack) {
				read[id] = true
			}
		}
	}
	rows := []InboxRow{}
	for _, r := range added {
		if m, ok := r.(*mail.Message); ok && m.RecipientKind(me) != "" && !read[m.ID] && st.Shown(m) == m {
			rows = append(rows, b.inboxRow(st.Directory, m, me, mail.Delivery{}, false))
		}
	}
	return rows
}

// unread returns what the actor has not read, in the order of the log, and puts the
// cursor behind it.
func (b *Box) unread(ctx context.Context, who Actor, c *cursor) ([]InboxRow, error) {
	rows := []InboxRow{}
	more := false
	err := b.indexed(ctx, func(v *view) error {
		me := who.reader(v.d, v.sn)
		list, err := v.Inbox(ctx, me, index.Filter{Unread: true, Since: since(time.Time{})}, index.Place{}, DefaultLimit+1)
		if more = len(list) > DefaultLimit; more {
			list = list[:DefaultLimit]
		}
		rows = rows[:0]
		for _, l := range slices.Backward(list) {
			rows = append(rows, b.inboxRow(v.d, l.Message, me, mail.Delivery{}, false))
		}
		c.known, c.kept, c.at, c.done = true, false, v.sn.Version(), nil
		return err
	})
	if err == nil && more {
		b.opt.Report("there is older unread mail as well: git agentmail inbox --unread")
	}
	return rows, err
}

// Changes begins to look for what happens, whoever does it, and returns what calls fn with
// it until ctx ends. Nothing is noted for the next time.
func (b *Box) Changes(ctx context.Context) (follow func(fn func([]Event)) error, err error) {
	sn, err := b.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	c := &cursor{b: b, known: true, at: sn.Version()}
	return func(fn func([]Event)) error {
		err := b.follow(ctx, c, nil, func(sn *gitstore.Snapshot, added []mail.Record) (bool, error) {
			d, err := b.directory(ctx, sn)
			if err != nil {
				return false, err
			}
			list := make([]Event, len(added))
			for i, r := range added {
				list[i] = event(d, r)
			}
			fn(list)
			return false, nil
		})
		if ctx.Err() != nil {
			return nil
		}
		return err
	}, nil
}
