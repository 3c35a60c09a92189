package mailbox

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/mail"
)

// A strong reservation is one that stands in the table of a remote besides (mail.Table), so
// that two clones never both have it. It is written to the log first, where it is like any
// other, and every exchange brings the table in line with the log: grants what is wanted and
// free, renews, takes out what has ended. So whoever is killed at any moment, or was offline,
// loses nothing: the next exchange does what is left. doc/model has the rules of the table.

// grantsFile, in the store's own directory, holds what this clone was granted.
const grantsFile = "grants"

// granted is what is in it: at which remote, and the token of each reservation. What is in it
// and not in the table any more was lost.
type granted struct {
	Remote string           `json:"remote"`
	Tokens map[string]int64 `json:"tokens"`
}

// Of a table that many want to change at once: how often it is tried, and after how many
// refusals with nothing changed it is the remote that does not want to.
const (
	tableTries  = 40
	tableStands = 4
)

// tableRemote returns the remote whose table counts: of those that this clone exchanges
// logs with the one that agentmail.strongRemote names, else the one where something of this
// clone's stands, else origin, else the only one. It is "" if there is none.
func (b *Box) tableRemote(ctx context.Context) (string, error) {
	list, err := b.store.Hubs()
	if err != nil {
		return "", asMail(err)
	}
	name, set, err := b.repo.Local(ctx, "agentmail.strongremote")
	if err != nil {
		return "", asMail(err)
	}
	has, err := b.grants()
	switch {
	case err != nil:
		return "", err
	case set && slices.Contains(list, name):
		return name, nil
	case set:
		return "", mail.Errorf(mail.Invalid, "agentmail.strongRemote is %q, and no mail is exchanged with a remote of that name", name).
			Hint("git agentmail sync %s", shellQuote(name)).Hint("git config --local --unset agentmail.strongRemote")
	case len(has.Tokens) > 0 && slices.Contains(list, has.Remote):
		return has.Remote, nil
	case slices.Contains(list, "origin"):
		return "origin", nil
	case len(list) == 1:
		return list[0], nil
	case len(list) > 1:
		return "", mail.Errorf(mail.Invalid, "mail is exchanged with %d remotes, and nothing says which of them keeps the strong reservations", len(list)).
			Hint("git config --local agentmail.strongRemote %s", shellQuote(list[0]))
	}
	return "", nil
}

// needTable is tableRemote for those who cannot do without.
func (b *Box) needTable(ctx context.Context) (string, error) {
	remote, err := b.tableRemote(ctx)
	if err == nil && remote == "" {
		err = mail.Errorf(mail.Invalid, "a strong reservation stands in a table at a remote, and this clone exchanges mail with none").
			Hint("git agentmail sync").Hint("without --strong it is a reservation like any other")
	}
	return remote, err
}

// settling brings the table of a remote in line with the logs, in the course of an exchange.
type settling struct {
	b      *Box
	remote string
	always bool            // also if nothing of this clone's is in it, and nothing new
	fresh  map[string]bool // of a request that is waiting for the answer
	whole  bool            // of which all are granted or none

	at      *gitstore.Table // as of the last look, as all that follows
	held    mail.Leases
	own     string
	tokens  map[string]int64
	table   *mail.Table // as the remote has it, nil if it was not looked at
	next    *mail.Table // as it was to become
	refused map[string]*mail.Grant
	err     error // with the table alone

	// As outcome found it; what it ends is told in a second exchange, which knows nothing of it.
	denied map[string]*mail.Grant
	asked  mail.Leases
}

// revise is what the store asks, see gitstore.Revise.
func (s *settling) revise(ctx context.Context, t *gitstore.Table) (*gitstore.TableChange, error) {
	s.at, s.table, s.next, s.refused = t, nil, nil, nil
	return s.plan(ctx, t)
}

func (s *settling) plan(ctx context.Context, t *gitstore.Table) (*gitstore.TableChange, error) {
	b := s.b
	sn, err := b.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	s.own = sn.Own()
	if s.held, err = b.knownLeases(ctx, sn); err != nil {
		return nil, err
	}
	now := b.now()
	if !s.always && !t.Changed && len(s.mine(now)) == 0 {
		return nil, nil
	}
	files, err := t.Files(ctx)
	if err != nil {
		return nil, asMail(err)
	}
	table, err := mail.DecodeTable(files)
	if err != nil {
		return nil, err
	}
	set := mail.Settling{Own: s.own, Now: now}
	if before, err := t.Before(ctx); err == nil && before != nil { // one that is gone says nothing any more
		if old, err := mail.DecodeTable(before); err == nil && !table.Rewrites(old) {
			set.Floor = old.Token
			b.opt.Report("the table of strong reservations was set back or written anew at the remote; who held something there finds out at the next sync")
		}
	}
	has, err := b.grants()
	if err != nil {
		return nil, err
	}
	if s.tokens = has.Tokens; has.Remote != s.remote {
		s.tokens = nil // it was granted elsewhere, and is asked for here
	}
	if set.Leases, err = b.withEnded(ctx, sn, s.held, table); err != nil {
		return nil, err
	}
	if set.Tokens = s.tokens; s.whole {
		set.Together = s.fresh
	}
	set.Crosses = crosses
	s.table, s.next = table, table
	if !s.always && set.Floor == 0 && len(s.mine(now)) == 0 {
		return nil, nil // to tidy up is for those who have something in it
	}
	if s.next, s.refused = table.Settle(set); s.next == table {
		return nil, nil
	}
	if files, err = s.next.Files(); err != nil {
		return nil, err
	}
	return &gitstore.TableChange{Files: files, Subject: fmt.Sprintf("reservations: %d strong", len(s.next.Held)), Alone: s.next.First()}, nil
}

// mine returns this clone's own live strong reservations.
func (s *settling) mine(now time.Time) (list []*mail.LeaseState) {
	for _, l := range s.held.ByAge() {
		if l.Strong && l.Replica == s.own && l.Live(now, s.own) {
			list = append(list, l)
		}
	}
	return list
}

// crosses is clash for what is in a table: what cannot be read crosses everything, and, as one
// clone ignores case where another does not, and both have to say the same, case is ignored.
func crosses(x, y *mail.Lease) bool {
	const fold = true
	for _, l := range []*mail.Lease{x, y} {
		if _, err := compileLease(&mail.LeaseState{Lease: *l}, fold); err != nil {
			return true
		}
	}
	return clash(&mail.LeaseState{Lease: *x}, &mail.LeaseState{Lease: *y}, fold)
}

// withEnded adds to what may be live what is in the table and not known to be live: it may
// have ended.
func (b *Box) withEnded(ctx context.Context, sn *gitstore.Snapshot, held mail.Leases, table *mail.Table) (mail.Leases, error) {
	var since mail.Time
	for id, g := range table.Held {
		if held[id] == nil && (since == 0 || g.Since < since) {
			since = g.Since
		}
	}
	if since == 0 {
		return held, nil
	}
	all := mail.Leases{}
	if err := b.walk(ctx, sn, "leases/", recent("leases", since.Time().Add(-mail.MaxSkew)), all.Apply); err != nil {
		return nil, err
	}
	both := maps.Clone(held)
	for id := range table.Held {
		if both[id] == nil && all[id] != nil {
			both[id] = all[id]
		}
	}
	return both, nil
}

// grants returns what this clone was granted. A damaged file counts for none: the table says
// as well what was granted.
func (b *Box) grants() (has granted, err error) {
	data, err := b.store.State(grantsFile)
	if err != nil {
		return has, asMail(err)
	}
	if json.Unmarshal(data, &has) != nil {
		has = granted{}
	}
	return has, nil
}

// exchangeTable exchanges logs with a remote and brings its table in line with them.
func (s *settling) exchangeTable(ctx context.Context, remote string) (all gitstore.SyncResult, err error) {
	s.remote = remote
	var at *mail.Table
	for try, stands := 0, 0; ; try++ {
		var r gitstore.SyncResult
		r, err = s.b.store.SyncTable(ctx, remote, s.revise)
		all = addSync(all, r)
		if s.err = r.TableErr; err == nil && s.err != nil {
			err = s.tableError(remote)
		}
		if err != nil || !r.Contended {
			return all, err
		}
		if stands++; at == nil || !at.Equal(s.table) {
			at, stands = s.table, 0
		}
		if stands == tableStands || try == tableTries {
			s.next = s.table
			return all, s.b.store.TableRefused(ctx, remote)
		}
		// Of many who want it at once nobody is to wait for long, and not all at the same time.
		var r1 [1]byte
		s.b.opt.Rand(r1[:])
		if err := sleep(ctx, time.Duration(r1[0])*time.Millisecond*time.Duration(min(1+stands, 8))/2); err != nil {
			return all, err
		}
	}
}

// tableError says how to get rid of a table that cannot be read: every clone puts one back that
// something removed, as it was when it last saw it.
func (s *settling) tableError(remote string) error {
	err := asMail(s.err)
	if mail.CodeOf(err) != mail.Corrupt {
		return err
	}
	e := *mail.AsError(err)
	e.Message += "; until that is mended nothing becomes strong, and nothing is given up"
	var se *gitstore.Error
	switch e.Hints = nil; {
	case s.at != nil:
		e.Hint("git push %s :%s  # the next sync puts back what stood there before", shellQuote(remote), s.at.Ref())
	case errors.As(err, &se) && se.Hint != "":
		e.Hint("%s", se.Hint)
	}
	return &e
}

// addSync is what two exchanges with one remote did together.
func addSync(a, b gitstore.SyncResult) gitstore.SyncResult {
	add := func(x, y []string) []string { return slices.Compact(slices.Sorted(slices.Values(slices.Concat(x, y)))) }
	b.Fetched, b.Restored, b.Pushed = add(a.Fetched, b.Fetched), add(a.Restored, b.Restored), a.Pushed+b.Pushed
	if b.Forked == "" {
		b.Forked = a.Forked
	}
	return b
}

// loss is a reservation of this clone that somebody else's takes the place of.
type loss struct {
	lease  *mail.LeaseState
	winner string // an agent's id, "" if nobody knows
	why    string
	silent bool // whoever asked is just being told
}

const lostToStrong = "theirs is a strong reservation, which the remote keeps"

// outcome says which of this clone's reservations were granted, and which are lost. Where the
// table was not looked at it says nothing.
func (s *settling) outcome(ctx context.Context, pushed bool) (tokens map[string]int64, lost []loss) {
	s.denied, s.asked = s.refused, s.held
	if s.table == nil {
		return nil, nil
	}
	now, table := s.b.now(), s.stands(pushed)
	tokens = map[string]int64{}
	for _, l := range s.mine(now) {
		if g := table.Held[l.ID]; g != nil && s.refused[l.ID] == nil {
			tokens[l.ID] = g.Token
			continue
		}
		rival := s.refused[l.ID]
		if rival != nil && table.Held[rival.ID] == nil { // it was to get there with this change
			rival = nil
		}
		if rival == nil && s.tokens[l.ID] > 0 {
			for _, id := range slices.Sorted(maps.Keys(table.Held)) {
				if g := table.Held[id]; g.Live(now) && g.Holder != l.Holder && crosses(&g.Lease, &l.Lease) {
					rival = g
				}
			}
		}
		switch {
		case s.withheld(l.ID):
			lost = append(lost, loss{lease: l, silent: true})
		case rival != nil:
			lost = append(lost, loss{l, rival.Holder, lostToStrong, false})
		case s.tokens[l.ID] > 0:
			lost = append(lost, loss{l, "", "it is not in the table of the remote any more", false})
		}
	}
	for _, l := range s.held.ByAge() {
		if g := s.stronger(l, table); g != nil {
			lost = append(lost, loss{l, g.Holder, lostToStrong, false})
		}
	}
	return tokens, lost
}

// lapsed returns what was granted to this clone, and ran out within a day. Its holder may not know
// of that, and others may have had it since. What its holder has reserved again is left out.
func (s *settling) lapsed(ctx context.Context) (list []*mail.LeaseState, err error) {
	now, missing := s.b.now(), maps.Clone(s.tokens)
	for _, l := range s.mine(now) {
		delete(missing, l.ID)
	}
	if len(missing) == 0 {
		return nil, nil
	}
	sn, err := s.b.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	all := mail.Leases{}
	since := now.Add(-24*time.Hour - mail.MaxTTL)
	if err := s.b.walk(ctx, sn, "leases/", recent("leases", since), all.Apply); err != nil {
		return nil, err
	}
	for id := range missing {
		l := all[id]
		if l == nil || l.Ended != "" || l.Replica != s.own {
			continue
		}
		end, _ := l.Expires(now)
		again := now.Sub(end) > 24*time.Hour
		for _, o := range all {
			again = again || o.Strong && o.Holder == l.Holder && o.Since.Time().After(end) && crosses(&o.Lease, &l.Lease)
		}
		if !again {
			list = append(list, l)
		}
	}
	slices.SortFunc(list, func(a, b *mail.LeaseState) int { return strings.Compare(a.ID, b.ID) })
	return list, nil
}

// stands returns the table as the remote has it now, as far as we know.
func (s *settling) stands(pushed bool) *mail.Table {
	if pushed {
		return s.next
	}
	return s.table
}

// stronger returns a grant of somebody else's that a reservation of this clone which is none, and
// older, has to give way to. Who reserves something later has known of the grant, or loses by the age.
func (s *settling) stronger(l *mail.LeaseState, table *mail.Table) *mail.Grant {
	now := s.b.now()
	if l.Strong || l.Replica != s.own || !l.Live(now, s.own) {
		return nil
	}
	for _, id := range slices.Sorted(maps.Keys(table.Held)) {
		g := table.Held[id]
		if g.Live(now) && g.Holder != l.Holder && l.Since <= g.Since && (g.Exclusive || l.Exclusive) && crosses(&g.Lease, &l.Lease) {
			return g
		}
	}
	return nil
}

// withheld reports whether a reservation that was just asked for is not granted: one of those
// that were to be granted together, or this one, is somebody else's.
func (s *settling) withheld(id string) bool {
	if !s.fresh[id] {
		return false
	}
	for other := range s.denied {
		if other == id || s.whole && s.fresh[other] {
			return true
		}
	}
	return false
}

// keepGrants writes down which tokens this clone has.
func (s *settling) keepGrants(ctx context.Context, tokens map[string]int64) error {
	if maps.Equal(tokens, s.tokens) {
		return nil
	}
	return asMail(s.b.store.ChangeState(ctx, grantsFile, func([]byte) ([]byte, error) { return json.Marshal(granted{s.remote, tokens}) }))
}

// lose ends reservations of this clone that lost against others, and tells both holders.
func (b *Box) lose(ctx context.Context, lost []loss) (notices []string, wrote bool, err error) {
	if len(lost) == 0 {
		return nil, false, nil
	}
	err = b.transact(ctx, func(w *writer) (subject, author string, err error) {
		notices, wrote = nil, false
		d, err := w.directory()
		if err != nil {
			return "", "", err
		}
		held, err := w.held(false)
		if err != nil {
			return "", "", err
		}
		for _, x := range lost {
			l := held[x.lease.ID]
			me := d.Agents[x.lease.Holder]
			if l == nil || !l.Live(w.now, w.tx.Replica()) || me == nil {
				continue
			}
			op := mail.LeaseLost
			if x.silent {
				op = mail.LeaseRelease
			}
			why := "to nobody"
			if x.winner != "" {
				why = "to " + d.Address(x.winner)
			}
			if err := w.addLeases(held, me.ID, op, why, []mail.Lease{l.Lease}); err != nil {
				return "", "", err
			}
			wrote = true
			author, subject = me.Name.Value, fmt.Sprintf("lost: %s %s", me.Name.Value, l.Pattern)
			if x.silent {
				subject = fmt.Sprintf("release: %s %s", me.Name.Value, l.Pattern)
				continue
			}
			notices = append(notices, fmt.Sprintf("%s lost the reservation %q %s: %s", d.Address(me.ID), l.Pattern, why, x.why))
			body := fmt.Sprintf("The reservation `%s` (%s) of %s was lost %s: %s.\n", l.Pattern, l.ID, d.Address(me.ID), why, x.why)
			if x.winner != "" {
				body += "\nThe two clones did not know of each other when they reserved.\n"
			}
			m := &mail.Message{Header: w.head(me.ID), FromName: me.Name.Value, To: []string{me.ID}, ToNames: []string{d.Address(me.ID)},
				Subject: clip("[file-reservations] Lost "+l.Pattern, MaxSubject), Importance: mail.High, Body: body}
			if a := d.Agents[x.winner]; a != nil && !a.Deleted {
				m.CC, m.CCNames = []string{a.ID}, []string{d.Address(a.ID)}
			}
			if err := w.add(m); err != nil {
				return "", "", err
			}
		}
		return subject, author, nil
	})
	return notices, wrote, err
}

// strengthen has what was just reserved granted in the table as well, if the remote can be
// reached; else that is done with the next exchange.
func (b *Box) strengthen(ctx context.Context, remote string, r ReserveRequest, out ReserveResult) (ReserveResult, error) {
	s := &settling{b: b, always: true, whole: !r.Partial, fresh: map[string]bool{}}
	for _, g := range out.Granted {
		s.fresh[g.ID] = true
	}
	err := b.settle(ctx, remote, s)
	if err != nil && mail.CodeOf(err) != mail.Remote {
		return out, cmp.Or(b.takeBack(ctx, out.Granted), err)
	}
	if err != nil {
		out.Warnings = append(out.Warnings, fmt.Sprintf("not strong yet: %s; until a sync goes through this is a reservation like any other", err))
	}
	sn, serr := b.snapshot(ctx)
	if serr != nil {
		return out, serr
	}
	d, serr := b.directory(ctx, sn)
	if serr != nil {
		return out, serr
	}
	has, serr := b.grants()
	if serr != nil {
		return out, serr
	}
	held, serr := b.knownLeases(ctx, sn)
	if serr != nil {
		return out, serr
	}
	granted := []Granted{}
	for _, g := range out.Granted {
		if l := held[g.ID]; s.denied[g.ID] == nil && !s.withheld(g.ID) && (l == nil || !l.Live(b.now(), sn.Own())) {
			// What the fetch brought was older, and the table was not reached.
			holders := b.crossing(ctx, d, held, sn.Own(), s.asked[g.ID])
			if len(holders) == 0 {
				return out, mail.Errorf(mail.Conflict, "the reservation %q ended while it was to become strong", g.PathPattern).Hint("git agentmail inbox")
			}
			out.Conflicts = append(out.Conflicts, PathConflict{g.PathPattern, holders})
			continue
		}
		if rival := s.denied[g.ID]; rival != nil {
			out.Conflicts = append(out.Conflicts, PathConflict{g.PathPattern, []Holder{grantHolder(d, rival, s.witness(ctx, g.ID, rival))}})
		}
		if s.withheld(g.ID) {
			continue
		}
		g.Strong, g.Token = true, has.Tokens[g.ID]
		granted = append(granted, g)
	}
	out.Granted = granted
	return out, nil
}

// crossing returns who holds what crosses a reservation.
func (b *Box) crossing(ctx context.Context, d *mail.Directory, held mail.Leases, own string, l *mail.LeaseState) []Holder {
	list := []Holder{}
	for _, o := range held.ByAge() {
		if l == nil || o.Holder == l.Holder || !(o.Exclusive || l.Exclusive) || !o.Live(b.now(), own) {
			continue
		}
		if path := witness(l, o, true); path != "" {
			end, _ := o.Expires(b.now())
			list = append(list, Holder{d.Address(o.Holder), o.Pattern, o.Exclusive, TS(end), path, o.ID, o.Reason})
		}
	}
	return list
}

// takeBack ends what was reserved, and could not be had as it was asked for.
func (b *Box) takeBack(ctx context.Context, granted []Granted) error {
	sn, err := b.snapshot(ctx)
	if err != nil {
		return err
	}
	held, err := b.knownLeases(ctx, sn)
	if err != nil {
		return err
	}
	var lost []loss
	for _, g := range granted {
		if l := held[g.ID]; l != nil && !g.Renewed {
			lost = append(lost, loss{lease: l, silent: true})
		}
	}
	_, _, err = b.lose(ctx, lost)
	return err
}

func grantHolder(d *mail.Directory, g *mail.Grant, witness string) Holder {
	who := g.Holder // whose log has not come
	if d.Agents[g.Holder] != nil {
		who = d.Address(g.Holder)
	}
	return Holder{who, g.Pattern, g.Exclusive, TS(g.Ends().Time()), witness, g.ID, g.Reason}
}

// witness returns a path that a reservation of ours and a grant both cover.
func (s *settling) witness(ctx context.Context, id string, g *mail.Grant) string {
	l := s.asked[id]
	if l == nil {
		return ""
	}
	return witness(l, &mail.LeaseState{Lease: g.Lease}, true)
}

// settle exchanges logs and the table with a remote for a verb that shows no result of it. What the
// user has to know besides is told.
func (b *Box) settle(ctx context.Context, remote string, s *settling) error {
	own, err := b.snapshot(ctx)
	if err != nil {
		return err
	}
	var starting sync.WaitGroup
	defer starting.Wait()
	starting.Go(b.store.Prepare) // while git fetches; the table has to be read
	r, err := b.syncTable(ctx, remote, s)
	for _, notice := range r.Notices {
		b.opt.Report(notice)
	}
	if err == nil && own.Own() != "" && s.own != "" && s.own != own.Own() {
		err = mail.Errorf(mail.Denied, "this clone has just taken a new identity, %s, for a copy of its directory has the old one; nothing else was done", s.own).
			Hint("git agentmail agents")
	}
	return err
}

// settleNow is for those who changed a strong reservation in the log. That the remote is not
// reached is no error of theirs, and is said.
func (b *Box) settleNow(ctx context.Context) error {
	remote, err := b.tableRemote(ctx)
	if err != nil || remote == "" {
		return err
	}
	err = b.settle(ctx, remote, &settling{b: b, always: true})
	if mail.CodeOf(err) == mail.Remote {
		b.opt.Report(fmt.Sprintf("the table of strong reservations was not brought up to date: %s", err))
		return nil
	}
	return err
}

// renewed brings strong reservations that were renewed in the log up to date in the table. One
// that is not there any more is lost, and not renewed.
func (b *Box) renewed(ctx context.Context, out RenewResult) error {
	if err := b.settleNow(ctx); err != nil {
		return err
	}
	sn, err := b.snapshot(ctx)
	if err != nil {
		return err
	}
	held, err := b.knownLeases(ctx, sn)
	if err != nil {
		return err
	}
	for _, r := range out.Reservations {
		if l := held[r.ID]; l == nil || !l.Live(b.now(), sn.Own()) {
			return mail.Errorf(mail.Conflict, "the strong reservation %q was taken over by somebody else while you held it; it is not yours any more", r.PathPattern).
				Hint("git agentmail reservations").Hint("git agentmail reserve --strong %s", shellQuote(r.PathPattern))
		}
	}
	return nil
}

// holdsStrong reports whether anybody in this clone has, or wants, a strong reservation.
func (b *Box) holdsStrong(ctx context.Context) (bool, error) {
	sn, err := b.snapshot(ctx)
	if err != nil {
		return false, err
	}
	held, err := b.knownLeases(ctx, sn)
	s := settling{held: held, own: sn.Own()}
	return len(s.mine(b.now())) > 0, err
}

// anyStrong reports whether one of them is, or is to be, in a table.
func anyStrong(list []mail.Lease) bool {
	return slices.ContainsFunc(list, func(l mail.Lease) bool { return l.Strong })
}

// lastTable returns the table as it was at the last exchange with the remote that keeps it, nil
// if there is none that can be read.
func (b *Box) lastTable(ctx context.Context) *mail.Table {
	remote, err := b.tableRemote(ctx)
	if err != nil || remote == "" {
		return nil
	}
	files, err := b.store.LastTable(ctx, remote)
	if err != nil {
		return nil
	}
	table, _ := mail.DecodeTable(files)
	return table
}

// strongState says how many reservations stood in the table at the last exchange, for status
// and doctor; "" if none.
func (b *Box) strongState(ctx context.Context) (string, error) {
	remote, err := b.tableRemote(ctx)
	if err != nil || remote == "" {
		return "", err
	}
	files, err := b.store.LastTable(ctx, remote)
	if err != nil {
		return "", asMail(err)
	}
	table, err := mail.DecodeTable(files)
	if err != nil {
		return "", err
	}
	n := 0
	for _, g := range table.Held {
		if g.Live(b.now()) {
			n++
		}
	}
	if n == 0 {
		return "", nil
	}
	return fmt.Sprintf("%s at %s", plural(n, "strong reservation"), remote), nil
}
