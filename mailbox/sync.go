package mailbox

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/guard"
	"github.com/git-agentmail/git-agentmail/mail"
)

// Sync exchanges logs with a remote, by name or by URL; with none named, with those that it
// was done with before, else with the one that the repository has. What it does not reach
// stays for the next time: a failure loses nothing, and the others are still asked.
func (b *Box) Sync(ctx context.Context, remote string) ([]SyncResult, error) {
	remotes, err := b.remotes(ctx, remote)
	if err != nil {
		return nil, err
	}
	b.retain(ctx) // so that what goes out has it already
	return b.syncAll(ctx, remotes)
}

func (b *Box) syncAll(ctx context.Context, remotes []string) ([]SyncResult, error) {
	results := []SyncResult{}
	table, failed := b.tableRemote(ctx) // who cannot know which exchanges mail all the same
	unknown := failed != nil
	if unknown {
		if strong, err := b.holdsStrong(ctx); err != nil {
			return results, err
		} else if !strong {
			failed = nil // and wants to know it only with a strong reservation
		}
	}
	for _, name := range remotes {
		var r SyncResult
		var err error
		s := &settling{b: b}
		if name == table || table == "" && !unknown {
			r, err = b.syncTable(ctx, name, s)
		} else {
			r, err = b.exchange(ctx, name, b.store.Sync, nil)
		}
		if err != nil && mail.CodeOf(err) != mail.Remote && s.err == nil {
			return results, err
		}
		if err != nil {
			r.Error = mail.AsError(err)
			failed = err
		}
		results = append(results, r)
	}
	return results, failed
}

// syncTable exchanges logs with a remote, and does with its table what s says.
func (b *Box) syncTable(ctx context.Context, remote string, s *settling) (SyncResult, error) {
	return b.exchange(ctx, remote, s.exchangeTable, s)
}

// remotes says which remotes are meant.
func (b *Box) remotes(ctx context.Context, given string) ([]string, error) {
	list, err := b.store.Hubs()
	if err != nil {
		return nil, asMail(err)
	}
	switch {
	case slices.Contains(list, given):
		return []string{given}, nil
	case given == "" && len(list) > 0:
		return list, nil
	}
	names, err := b.repo.RemoteNames(ctx)
	if err != nil {
		return nil, asMail(err)
	}
	if given != "" {
		if given, err = b.remote(given, names); err != nil {
			return nil, err
		}
		return []string{given}, nil
	}
	switch {
	case len(names) == 1:
		return names, nil
	case slices.Contains(names, "origin"):
		return []string{"origin"}, nil
	case len(names) > 1:
		return nil, mail.Errorf(mail.Invalid, "this repository has %d remotes, and none was named", len(names)).Hint("git agentmail sync %s", shellQuote(names[0]))
	}
	return nil, mail.Errorf(mail.Invalid, "this repository has no remote to exchange mail with").Hint("git remote add origin URL").Hint("without a network: git agentmail sync --bundle FILE")
}

// remote returns a remote as it is called from everywhere in the repository, and tells a name
// that was mistyped from a URL or a path.
func (b *Box) remote(given string, names []string) (string, error) {
	if strings.HasPrefix(given, "-") {
		return "", mail.Errorf(mail.Invalid, "%q is no remote: it begins with a dash", given).Hint("git remote -v")
	}
	if slices.Contains(names, given) {
		return given, nil
	}
	// What is given here is written down, and shown by status and doctor.
	if u, err := url.Parse(given); err == nil && u.User != nil {
		if _, secret := u.User.Password(); secret {
			return "", mail.Errorf(mail.Invalid, "the URL of %q holds a password, which would be written down: leave it to git's credential helper", u.Host).
				Hint("git agentmail sync %s", shellQuote(withoutPassword(*u)))
		}
	}
	if _, err := os.Stat(given); err == nil {
		return filepath.Abs(given)
	}
	if strings.ContainsAny(given, `/:\`) {
		return given, nil
	}
	e := mail.Errorf(mail.NotFound, "no remote named %q, and it is no URL or path", given)
	if near := mail.Nearest(given, names); len(near) > 0 {
		e.Hint("did you mean: git agentmail sync %s", shellQuote(near[0]))
	}
	return "", e.Hint("git remote -v")
}

// withoutPassword returns a URL without its password.
func withoutPassword(u url.URL) string {
	u.User = url.User(u.User.Username())
	return u.String()
}

// SyncBundle exchanges logs through a file instead of a remote: what it holds is taken in,
// and it is written anew with all that this clone has. Its path is the caller's.
func (b *Box) SyncBundle(ctx context.Context, file string) (SyncResult, error) {
	file, err := filepath.Abs(file)
	if err != nil {
		return SyncResult{}, mail.Errorf(mail.Invalid, "%q is no path here: %w", file, err)
	}
	return b.exchange(ctx, file, b.store.SyncBundle, nil)
}

// exchange lets one of the ways of the store do it, and looks at what came. s is what was done
// with the table, or nil.
func (b *Box) exchange(ctx context.Context, name string, with func(context.Context, string) (gitstore.SyncResult, error), s *settling) (SyncResult, error) {
	out := SyncResult{Remote: name, Restored: []string{}, Refused: []RefusedLog{}, Notices: []string{}}
	before, err := b.snapshot(ctx)
	if err == nil {
		_, _, err = b.trust(ctx) // before anything is asked of anybody
	}
	if err != nil {
		return out, err
	}
	r, err := with(ctx, name)
	out.Fetched, out.Pushed, out.Branches = len(r.Fetched), r.Pushed, r.Branches
	out.Restored = append(out.Restored, r.Restored...)
	if r.Forked != "" {
		out.Notices = append(out.Notices, fmt.Sprintf("a copy of this clone's directory writes mail as well: this one goes on as %s, and its agents are the copy's until they register with --adopt", r.Forked))
	}
	out.Place, out.Retired = r.Place, r.Retired
	if r.Fell {
		out.Notices = append(out.Notices, fmt.Sprintf("%s takes no refs but branches: there this clone's log is the branch %s", name, strings.TrimPrefix(r.Place, "refs/heads/")))
	}
	for _, f := range r.Refused {
		out.Refused = append(out.Refused, RefusedLog{f.Replica, f.Why})
	}
	wrote, nerr := b.digest(ctx, before, s, err == nil, len(r.Fetched) > 0, &out)
	if err == nil {
		err = nerr
	}
	if wrote && err == nil {
		r, err = with(ctx, name)
		out.Pushed += r.Pushed
	}
	if gitstore.KindOf(err) == gitstore.Unreachable && b.removed(ctx, name) {
		out.Notices = append(out.Notices, fmt.Sprintf("%q is no remote of this repository any more, and is not asked again", name))
		return out, asMail(b.store.Forget(ctx, name))
	}
	return out, syncError(err)
}

// removed reports whether a remote that was exchanged with is not in the configuration any more.
func (b *Box) removed(ctx context.Context, name string) bool {
	names, err := b.repo.RemoteNames(ctx)
	return err == nil && !slices.Contains(names, name) && !strings.ContainsAny(name, `/:\`)
}

// syncError says that a remote which does not answer costs nothing but time.
func syncError(err error) error {
	if gitstore.KindOf(err) != gitstore.Unreachable {
		return asMail(err)
	}
	e := mail.Errorf(mail.Remote, "%s; all that was written is in this clone, and goes with the next sync", err)
	e.Err = err
	var se *gitstore.Error
	if errors.As(err, &se) && se.Hint != "" {
		e.Hint("%s", se.Hint)
	}
	return e
}

// digest looks at what an exchange brought: mail, and reservations of this clone that were
// granted or are lost. wrote reports whether that is to be told to others.
func (b *Box) digest(ctx context.Context, before *gitstore.Snapshot, s *settling, went, fetched bool, out *SyncResult) (wrote bool, err error) {
	var lost []loss
	var table *mail.Table
	if s != nil {
		tokens, gone := s.outcome(ctx, went)
		if lost = gone; s.table != nil {
			table = s.stands(went) // with what was just granted, or that loses to whatever is older
			over, err := s.lapsed(ctx)
			if err != nil {
				return false, err
			}
			for _, l := range over {
				tokens[l.ID] = s.tokens[l.ID]
			}
			if err := s.keepGrants(ctx, tokens); err != nil {
				return false, err
			}
		}
	}
	if table == nil && (went || fetched) {
		table = b.lastTable(ctx) // from elsewhere comes nothing that is stronger
	}
	if went || fetched {
		var more []loss
		if fetched {
			more, err = b.news(ctx, before, table, out)
		} else { // whoever fetched last may have been killed before it had looked
			more, err = b.crossed(ctx, table)
		}
		if err != nil {
			return false, err
		}
		for _, x := range more { // the table's word is the last
			if !slices.ContainsFunc(lost, func(y loss) bool { return y.lease.ID == x.lease.ID }) {
				lost = append(lost, x)
			}
		}
	}
	said, wrote, err := b.lose(ctx, lost)
	out.Notices = append(out.Notices, said...)
	return wrote, err
}

// news counts the messages that came, and says what two clones did that did not know of each
// other: both are told, each at its own sync. It returns what this clone has lost by it.
func (b *Box) news(ctx context.Context, before *gitstore.Snapshot, table *mail.Table, out *SyncResult) (lost []loss, err error) {
	after, err := b.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	came, err := after.Since(ctx, before.Version())
	if err != nil {
		return nil, asMail(err)
	}
	if slices.ContainsFunc(after.Replicas(), func(r string) bool { return after.Header(r).Base != before.Header(r).Base }) {
		b.dropSummaries(ctx, after)
	}
	more, err := b.passed(ctx, after, came)
	if err != nil {
		return nil, err
	}
	agents := len(came.Lost) > 0
	for _, f := range append(came.Files, more...) {
		switch top, _, _ := strings.Cut(f.Path, "/"); {
		case top == "mail" && strings.HasSuffix(f.Path, ".md"):
			out.Messages++
		case top == "agents":
			agents = true
		}
	}
	was, err := b.directory(ctx, before)
	if err != nil {
		return nil, asMail(err)
	}
	d, err := b.directory(ctx, after)
	if err != nil {
		return nil, asMail(err)
	}
	if agents {
		out.Notices = append(out.Notices, sameNames(was, d)...)
	}
	said, lost, err := b.overlaps(ctx, before, after, d, table)
	out.Notices = append(out.Notices, said...)
	return lost, err
}

// crossed returns what this clone has lost by reservations that came before.
func (b *Box) crossed(ctx context.Context, table *mail.Table) ([]loss, error) {
	sn, err := b.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	_, lost, err := b.overlaps(ctx, sn, sn, &mail.Directory{}, table)
	return lost, err
}

// sameNames says which agents that came have a name that another has as well.
func sameNames(was, now *mail.Directory) (notices []string) {
	for _, a := range now.List() {
		if was.Agents[a.ID] != nil {
			continue
		}
		for _, o := range now.List() {
			if o.ID != a.ID && strings.EqualFold(o.Name.Value, a.Name.Value) {
				notices = append(notices, fmt.Sprintf("two clones registered the name %q: one agent is %s, the other %s; mail goes to whom it was written to",
					a.Name.Value, now.Address(o.ID), now.Address(a.ID)))
			}
		}
	}
	return notices
}

// overlaps says which reservations that came cross those of this clone, and which of its own
// lose by it: a strong one, that stands in the table, counts before others, and else the older.
func (b *Box) overlaps(ctx context.Context, before, after *gitstore.Snapshot, d *mail.Directory, table *mail.Table) (notices []string, lost []loss, err error) {
	was, err := b.knownLeases(ctx, before)
	if err != nil {
		return nil, nil, asMail(err)
	}
	now, err := b.knownLeases(ctx, after)
	if err != nil {
		return nil, nil, asMail(err)
	}
	has, err := b.grants()
	if err != nil {
		return nil, nil, err
	}
	strong := func(l *mail.LeaseState) bool {
		if table == nil { // nobody has looked, or could
			return has.Tokens[l.ID] > 0
		}
		return table.Held[l.ID] != nil
	}
	fold, at := b.ignoreCase(ctx), b.now()
	gone := map[string]bool{}
	for _, l := range now.ByAge() {
		if l.Replica == after.Own() || !l.Live(at, after.Own()) {
			continue
		}
		for _, own := range now.ByAge() {
			if gone[own.ID] || own.Replica != after.Own() || own.Holder == l.Holder || !(own.Exclusive || l.Exclusive) || !own.Live(at, after.Own()) || !clash(own, l, fold) {
				continue
			}
			first := l.Since < own.Since || l.Since == own.Since && l.ID < own.ID
			why := "theirs is older, of " + l.Since.Time().Format("2006-01-02 15:04:05 UTC")
			if strong(l) != strong(own) {
				first, why = strong(l), lostToStrong
			}
			if first {
				gone[own.ID] = true
				lost = append(lost, loss{own, l.Holder, why, false})
				continue
			}
			if was[l.ID] != nil {
				continue // was told
			}
			notices = append(notices, fmt.Sprintf("%s and %s reserved %q and %q without knowing of each other: %s keeps it, and %s loses it at its next sync",
				d.Address(own.Holder), d.Address(l.Holder), own.Pattern, l.Pattern, d.Address(own.Holder), d.Address(l.Holder)))
		}
	}
	return notices, lost, nil
}

// clash reports whether two reservations have a path in common.
func clash(a, b *mail.LeaseState, fold bool) bool { return witness(a, b, fold) != "" }

// witness returns a path that two reservations both cover, "" if there is none.
func witness(a, b *mail.LeaseState, fold bool) string {
	p, err := guard.Compile(a.Pattern)
	q, qerr := guard.Compile(b.Pattern)
	if err != nil || qerr != nil {
		return "" // of a newer version; reserve says so
	}
	if fold {
		p, q = p.Fold(), q.Fold()
	}
	if c := guard.Clash(p, guard.Kind(a.Kind), q, guard.Kind(b.Kind)); c.Overlap && !c.Implied {
		return c.Witness
	}
	return ""
}

// mostRefused is how many logs of a remote that are not believed status names.
const mostRefused = 2

// syncState says how things stand with the remotes, for status and doctor.
func (b *Box) syncState(ctx context.Context) (line string, list []Remote, err error) {
	hubs, err := b.store.Remotes(ctx)
	if err != nil {
		return "", nil, asMail(err)
	}
	list = []Remote{}
	var lines []string
	for _, h := range hubs {
		r := Remote{Name: h.Name, Ahead: h.Ahead, Archived: h.Archived, Branches: h.Branches, Place: h.Place, NotTaken: append([]string{}, h.NotTaken...), Failed: h.Failed}
		said := h.Name + ": never yet"
		if h.Last.Unix() > 0 {
			r.LastTS = TS(h.Last)
			said = fmt.Sprintf("%s: last at %s", h.Name, h.Last.UTC().Format("2006-01-02 15:04 UTC"))
		}
		if h.Ahead > 0 {
			said += fmt.Sprintf(", %s to send", plural(h.Ahead, "commit"))
		}
		if h.Place != "" {
			said += ", this clone's log is " + h.Place
		}
		for _, f := range h.Refused {
			r.Refused = append(r.Refused, RefusedLog{f.Replica, f.Why})
		}
		for i, f := range r.Refused {
			if i == mostRefused {
				said += fmt.Sprintf("; %d more are refused: git agentmail doctor", len(r.Refused)-i)
				break
			}
			why, _, _ := strings.Cut(f.Why, ";")
			said += fmt.Sprintf("; the log %s is refused: %s", f.Replica, why)
		}
		if h.Failed != "" {
			said += "; " + h.Failed
		}
		lines, list = append(lines, said), append(list, r)
	}
	if len(lines) == 0 {
		return "this mailbox is in this clone alone: git agentmail sync exchanges it with a remote", list, nil
	}
	if s, err := b.strongState(ctx); err == nil && s != "" { // what is wrong with it doctor says
		lines = append(lines, s)
	}
	return strings.Join(lines, "; "), list, nil
}

// Times between exchanges of KeepSynced.
const (
	DefaultPoll  = 30 * time.Second       // how often a remote is asked for news
	syncGap      = 10 * time.Second       // between two pushes at least: hosts recommend six a minute
	syncSettle   = 200 * time.Millisecond // after a write, for those that come with it
	syncMostWait = 10 * time.Minute       // after failures, which double the time
)

// KeepSynced exchanges logs with the remotes that Sync means by remote, until ctx ends: soon
// after something was written here, and every poll for what others wrote. tell gets
// each result in which something happened, a failure once.
func (b *Box) KeepSynced(ctx context.Context, remote string, poll time.Duration, tell func(SyncResult)) error {
	remotes, err := b.remotes(ctx, remote)
	if err != nil {
		return err
	}
	return b.keep(ctx, func() ([]string, error) { return remotes, nil }, poll, tell)
}

// background does the same in a server, for the remotes that somebody has once named. In one
// clone one server does it for all.
func (b *Box) background(ctx context.Context) {
	for said := ""; sleep(ctx, syncGap) == nil; {
		names, err := b.store.Hubs()
		if err != nil || len(names) == 0 {
			continue
		}
		release, err := b.store.Hold(syncHold)
		if err != nil {
			continue
		}
		err = b.keep(ctx, b.store.Hubs, DefaultPoll, func(r SyncResult) {
			for _, s := range r.Notices {
				b.opt.Report(s)
			}
			if r.Error != nil {
				b.opt.Report(r.Error.Message)
			}
		})
		release()
		if err != nil && ctx.Err() == nil && err.Error() != said {
			said = err.Error()
			b.opt.Report("no mail is exchanged: " + said)
		}
	}
}

// syncHold is the cache file that whoever exchanges logs in the background holds.
const syncHold = "sync"

func (b *Box) keep(ctx context.Context, remotes func() ([]string, error), poll time.Duration, tell func(SyncResult)) error {
	if poll <= 0 {
		poll = DefaultPoll
	}
	ctx, cancel := context.WithCancel(ctx) // a server tries again for as long as it runs
	defer cancel()
	p := pace{wake: b.store.Notify(ctx), poll: poll, wait: poll}
	failing := ""
	for {
		names, err := remotes()
		if err != nil || len(names) == 0 { // none is left after an uninstall
			return asMail(err)
		}
		b.retain(ctx)
		results, err := b.syncAll(ctx, names)
		if ctx.Err() != nil {
			return asMail(ctx.Err())
		}
		busy := mail.CodeOf(err) == mail.Busy // who exchanges now does it for us
		if err != nil && !busy && len(results) < len(names) {
			return err
		}
		said, away := "", false
		for _, r := range results {
			if r.Error != nil {
				said += r.Error.Message
				away = away || r.Error.Code == mail.Remote // else it is the table alone, and mail goes
			}
			if r.Pushed > 0 {
				p.pushed = b.now()
			}
			if r.happened() && (r.Error == nil || said != failing || r.Messages > 0) {
				tell(r)
			}
		}
		failing = said
		if err := p.next(ctx, away, b.now, b.opt.Rand); err != nil {
			return asMail(err)
		}
	}
}

// pace says when the next exchange is due.
type pace struct {
	wake   <-chan struct{} // something was written here, or came
	poll   time.Duration
	wait   time.Duration // poll, or after failures more
	pushed time.Time     // when a push last went through
}

// next waits for the next exchange: until something is written here, but not before the gap
// after the last push is over, or as long as it takes until others are to be asked. After a
// failure what is written does not count, for it does not make a remote answer.
func (p *pace) next(ctx context.Context, failed bool, now func() time.Time, random func([]byte)) error {
	wake := p.wake
	if p.wait = min(2*p.wait, max(syncMostWait, p.poll)); !failed {
		p.wait = p.poll
	} else {
		wake = nil
	}
	var r [1]byte
	random(r[:]) // clones that were started together must not ask together
	t := time.NewTimer(p.wait - p.wait/20 - p.wait/4*time.Duration(r[0])/256)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	case <-wake:
		rest := p.pushed.Add(min(syncGap, p.poll)).Sub(now())
		return sleep(ctx, max(min(syncSettle, p.poll), rest))
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// happened reports whether there is something to tell.
func (r SyncResult) happened() bool {
	return r.Error != nil || r.Fetched+r.Pushed+r.Retired+len(r.Restored)+len(r.Refused)+len(r.Notices) > 0
}
