package mailbox

import (
	"context"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/mail"
)

// live is what a send, a reservation and the guard need, folded: who there is,
// and which reservations hold. It is kept in two cache files by the stamp of the
// directories it was folded from, so that no reader ever trusts an old one, and
// a sender or a hook reads one small file whatever the size of the mailbox.
type live struct {
	dirStamp string
	dir      *mail.Directory
	held     []held // the newest first

	redactStamp string
	redacted    map[string]bool // ids of messages
}

// held are the reservations of a snapshot.
type held struct {
	stamp  string
	leases mail.Leases
	pruned time.Time // when leases was rid of what had ended; see usable
}

// heldAtOnce is how many are kept: in a server some still read what was, while others write.
const heldAtOnce = 4

func (l *live) hold(h held) {
	l.held = append([]held{h}, l.held[:min(len(l.held), heldAtOnce-1)]...)
}

const (
	agentsCache = "agents"
	leasesCache = "leases"
	briefCache  = "held"
)

// brief is what a commit needs to know of an exclusive reservation that it does not touch.
// A thousand of them fill a fifth of the memory of what leases holds, and the others are
// not read then: fresh memory is what a hook pays for.
type brief struct {
	pattern string
	until   mail.Time // when nobody takes it for live any more
}

// directory returns who there is in sn, without contact links, of which there may
// be as many as pairs of agents. It is shared: do not change it.
func (b *Box) directory(ctx context.Context, sn *gitstore.Snapshot) (*mail.Directory, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	stamp := sn.Stamp("agents")
	if b.live.dir != nil && b.live.dirStamp == stamp {
		return b.live.dir, nil
	}
	d := mail.NewDirectory()
	if rows, ok := readRows(b, agentsCache, stamp, agentFields); ok {
		list := make([]mail.Agent, 0, rows.n)
		for a := range rows.all {
			list = append(list, *a)
			d.Agents[a.ID] = &list[len(list)-1]
		}
		b.live.dir, b.live.dirStamp = d, stamp
		return d, nil
	}
	if err := b.walk(ctx, sn, "agents/", nil, d.Apply); err != nil {
		return nil, err
	}
	b.live.dir, b.live.dirStamp = d, stamp
	if len(d.Agents) > 0 {
		writeAgents(b, stamp, d)
	}
	return d, nil
}

func writeAgents(b *Box, stamp string, d *mail.Directory) {
	writeRows(b, agentsCache, stamp, b.now(), slices.Collect(maps.Values(d.Agents)), agentFields)
}

// links adds the contact links from one agent to each of to, or with none named to
// all, to a directory of the caller's own.
func (b *Box) links(ctx context.Context, sn *gitstore.Snapshot, d *mail.Directory, from string, to ...string) error {
	dir := "contacts/" + from + "/"
	return b.walk(ctx, sn, dir, func(path string) bool {
		pair, below := strings.CutPrefix(path, dir)
		return !below || pair == "" || len(to) == 0 || slices.Contains(to, strings.TrimSuffix(pair, "/"))
	}, d.Apply)
}

// leases returns the fold of the reservations in sn that may be live. It is
// shared: do not change it. A record that does not decode is an error: the guard
// must not take it for "free".
func (b *Box) leases(ctx context.Context, sn *gitstore.Snapshot) (mail.Leases, error) {
	ls, damaged, err := b.foldLeases(ctx, sn)
	if err == nil {
		err = damaged
	}
	return ls, err
}

// knownLeases is leases for those who do not decide what is free: a damaged record
// is reported and passed over, so that it does not stop them.
func (b *Box) knownLeases(ctx context.Context, sn *gitstore.Snapshot) (mail.Leases, error) {
	ls, damaged, err := b.foldLeases(ctx, sn)
	if damaged != nil {
		b.opt.Report(damaged.Error() + "; it was passed over, see git agentmail verify")
	}
	return ls, err
}

// eachLease returns a function that yields what leases returns, oldest first and one at a
// time: the guard looks at thousands with every commit and keeps a few. Each is gone with
// the next. Those whose pattern the function is told not to want it may leave out.
func (b *Box) eachLease(ctx context.Context, sn *gitstore.Snapshot) (func(want func(pattern string) bool) iter.Seq[*mail.LeaseState], error) {
	b.mu.Lock()
	rows, ok := b.cachedLeases(sn)
	b.mu.Unlock()
	if ok {
		return rows.those, nil
	}
	ls, err := b.leases(ctx, sn)
	return func(func(string) bool) iter.Seq[*mail.LeaseState] { return slices.Values(ls.ByAge()) }, err
}

// cachedLeases returns the cache file of sn's reservations, unless there is something
// better in memory.
func (b *Box) cachedLeases(sn *gitstore.Snapshot) (rows[mail.LeaseState], bool) {
	if b.known(sn) != nil {
		return rows[mail.LeaseState]{}, false
	}
	rs, ok := readRows(b, leasesCache, sn.Stamp("leases"), leaseFields)
	return rs, ok && usable(rs.at, b.now())
}

// cachedBriefs returns the cache file of what sn holds in brief, on the same terms.
func (b *Box) cachedBriefs(sn *gitstore.Snapshot) *rows[brief] {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.known(sn) != nil {
		return nil
	}
	rs, ok := readRows(b, briefCache, sn.Stamp("leases"), briefFields)
	if !ok || !usable(rs.at, b.now()) {
		return nil
	}
	return &rs
}

func writeLeases(b *Box, stamp string, at time.Time, ls mail.Leases) {
	list := ls.ByAge()
	writeRows(b, leasesCache, stamp, at, list, leaseFields)
	var briefs []*brief
	for _, l := range list {
		if !l.Exclusive || l.Ended != "" {
			continue
		}
		var last mail.Time
		for _, r := range l.Renewals {
			last = max(last, r.End)
		}
		briefs = append(briefs, &brief{l.Pattern, last + mail.Time(mail.SkewGrace.Milliseconds())})
	}
	writeRows(b, briefCache, stamp, at, briefs, briefFields)
}

// known returns what is in memory of a snapshot's reservations.
func (b *Box) known(sn *gitstore.Snapshot) *held {
	stamp, now := sn.Stamp("leases"), b.now()
	for i, h := range b.live.held {
		if h.stamp == stamp && usable(h.pruned, now) {
			return &b.live.held[i]
		}
	}
	return nil
}

func (b *Box) foldLeases(ctx context.Context, sn *gitstore.Snapshot) (ls mail.Leases, damaged, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if h := b.known(sn); h != nil {
		return h.leases, nil, nil
	}
	now, stamp := b.now(), sn.Stamp("leases")
	if rows, ok := b.cachedLeases(sn); ok {
		ls = make(mail.Leases, rows.n)
		list := make([]mail.LeaseState, 0, rows.n)
		for l := range rows.all {
			list = append(list, *l)
			ls[l.ID] = &list[len(list)-1]
		}
		b.live.hold(held{stamp, ls, rows.at})
		return ls, nil, nil
	}
	ls = mail.Leases{}
	err = b.walkStrict(ctx, sn, "leases/", recent("leases", now.Add(-mail.MaxTTL-24*time.Hour)), func(replica string, r mail.Record, err error) {
		if u, newer := r.(*mail.Unknown); err == nil && newer {
			// It may hold what this version cannot see.
			err = mail.Errorf(mail.Format, "the reservation %q was written by a newer version", u.Path())
		}
		if err != nil {
			damaged = err
			return
		}
		ls.Apply(replica, r)
	})
	if err != nil {
		return nil, nil, err
	}
	prune(ls, now)
	if damaged == nil {
		newest := len(b.live.held) == 0 || b.live.held[0].stamp == stamp
		b.live.hold(held{stamp, ls, now})
		if sn.Version() != "" && newest {
			writeLeases(b, stamp, now, ls)
		}
	}
	return ls, damaged, nil
}

// pruneAfter is how long after its end a lease is kept in the caches.
const pruneAfter = time.Hour

// prune drops what cannot hold any more.
func prune(ls mail.Leases, now time.Time) {
	for id, l := range ls {
		end, ahead := l.Expires(now)
		if !ahead && (l.Ended != "" || now.Sub(end) > pruneAfter) {
			delete(ls, id)
		}
	}
}

// usable reports whether leases that were pruned at some time hold all that may be
// live at now. A clock that was ahead by more may have dropped some that are.
func usable(pruned, now time.Time) bool { return !now.Before(pruned.Add(-pruneAfter)) }

// recent returns a filter for the hour directories below dir that are not older
// than since.
func recent(dir string, since time.Time) func(string) bool {
	low := mail.Bucket(dir, since)
	return func(path string) bool {
		// A parent directory is wanted if its last child may be.
		return path >= low[:min(len(low), len(path))]
	}
}

// walk calls fn with every record below prefix. One that does not decode is
// reported and passed over, so that one damaged file does not hide the rest.
func (b *Box) walk(ctx context.Context, sn *gitstore.Snapshot, prefix string, want func(string) bool, fn func(string, mail.Record)) error {
	bad := 0
	err := b.walkStrict(ctx, sn, prefix, want, func(replica string, r mail.Record, err error) {
		if err == nil {
			fn(replica, r)
		} else if bad++; bad == 1 {
			b.opt.Report(err.Error() + "; it was passed over, see git agentmail verify")
		}
	})
	if bad > 1 {
		b.opt.Report(plural(bad-1, "further stored file") + " passed over")
	}
	return err
}

func (b *Box) walkStrict(ctx context.Context, sn *gitstore.Snapshot, prefix string, want func(string) bool, fn func(string, mail.Record, error)) error {
	files, err := sn.List(ctx, prefix, want)
	if err != nil {
		return asMail(err)
	}
	return b.read(ctx, sn, files, fn)
}

// read decodes files, passing over what is no record.
func (b *Box) read(ctx context.Context, sn *gitstore.Snapshot, files []gitstore.File, fn func(string, mail.Record, error)) error {
	kept := files[:0:0]
	for _, f := range files {
		if isRecord(f.Path) {
			kept = append(kept, f)
		}
	}
	return asMail(sn.Read(ctx, kept, func(f gitstore.File) error {
		r, err := mail.Decode(f.Path, f.Data)
		fn(f.Replica, r, err)
		return nil
	}))
}

// isRecord reports whether a file of a log is a record; the others are the log's
// header, attachments, and idempotency keys.
func isRecord(path string) bool {
	top, _, _ := strings.Cut(path, "/")
	switch top {
	case "agents", "contacts", "mail", "receipts", "leases", "events", "products", "redactions":
		return true
	}
	return false
}

// redacted returns the ids of the messages that redactions in sn name. It is shared: do not
// change it. In most mailboxes there are none, and where there are, they are few records
// with many ids.
func (b *Box) redacted(ctx context.Context, sn *gitstore.Snapshot) (map[string]bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	stamp := sn.Stamp("redactions")
	if b.live.redacted == nil || b.live.redactStamp != stamp {
		st := mail.NewState()
		if err := b.walk(ctx, sn, "redactions/", nil, st.Apply); err != nil {
			return nil, err
		}
		b.live.redacted, b.live.redactStamp = st.Redacted, stamp
	}
	return b.live.redacted, nil
}

// state returns a fold that knows who there is in sn, and what is not to be shown. What it
// is given further is its own.
func (b *Box) state(ctx context.Context, sn *gitstore.Snapshot) (*mail.State, error) {
	st := mail.NewState()
	d, err := b.directory(ctx, sn)
	if err != nil {
		return nil, err
	}
	st.Directory = d
	st.Redacted, err = b.redacted(ctx, sn)
	return st, err
}

// fold returns the meaning of everything in sn. It reads the whole mailbox; the
// verbs that must be quick at any size do not use it.
func (b *Box) fold(ctx context.Context, sn *gitstore.Snapshot) (*mail.State, error) {
	st := mail.NewState()
	return st, b.walk(ctx, sn, "", notFiles, st.Apply)
}

// afterCommit carries the cached folds over to what was just written. It runs
// under the store's lock.
func (b *Box) afterCommit(before, after *gitstore.Snapshot, created []gitstore.File) {
	var leases, agents bool
	for _, f := range created {
		leases = leases || strings.HasPrefix(f.Path, "leases/")
		agents = agents || strings.HasPrefix(f.Path, "agents/")
	}
	ctx := context.Background()
	if leases || after.Own() != before.Own() {
		if old, err := b.leases(ctx, before); err == nil {
			ls, now := cloneLeases(old), b.now()
			applyCreated(created, ls.Apply, "leases/")
			prune(ls, now)
			b.mu.Lock()
			if h := b.known(before); h != nil && h.pruned.After(now) { // what was dropped then is not there now
				now = h.pruned
			}
			b.live.hold(held{after.Stamp("leases"), ls, now})
			b.mu.Unlock()
			writeLeases(b, after.Stamp("leases"), now, ls)
		}
	}
	if agents || after.Own() != before.Own() {
		if old, err := b.directory(ctx, before); err == nil {
			d := cloneDirectory(old)
			applyCreated(created, d.Apply, "agents/")
			b.mu.Lock()
			b.live.dir, b.live.dirStamp = d, after.Stamp("agents")
			b.mu.Unlock()
			writeAgents(b, after.Stamp("agents"), d)
		}
	}
}

// applyCreated decodes what a commit adds in some directories.
func applyCreated(created []gitstore.File, apply func(string, mail.Record), dirs ...string) {
	for _, f := range created {
		if isRecord(f.Path) && slices.ContainsFunc(dirs, func(dir string) bool { return strings.HasPrefix(f.Path, dir) }) {
			if r, err := mail.Decode(f.Path, f.Data); err == nil {
				apply(f.Replica, r)
			}
		}
	}
}

func cloneLeases(ls mail.Leases) mail.Leases {
	out := make(mail.Leases, len(ls))
	for id, l := range ls {
		c := *l
		c.Renewals = append([]mail.Renewal(nil), l.Renewals...)
		out[id] = &c
	}
	return out
}

func cloneDirectory(d *mail.Directory) *mail.Directory {
	out := mail.NewDirectory()
	for id, a := range d.Agents {
		c := *a
		out.Agents[id] = &c
	}
	maps.Copy(out.Links, d.Links) // links are replaced, never changed
	return out
}
