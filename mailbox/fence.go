package mailbox

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/guard"
	"github.com/git-agentmail/git-agentmail/mail"
)

// fenceTries is how often a push is tried whose table others change at the same time.
const fenceTries = 10

// PushRequest is a push of the user's own refs.
type PushRequest struct {
	Remote   string   // "" is the one that git push means
	Refspecs []string // none: those that git push means
	Options  []string // of git push: set-upstream, push-option, force-with-lease, no-verify
	Choice   []string // of git push: tags, follow-tags, force, delete
	DryRun   bool
	Stderr   io.Writer // what git, the remote and hooks have to say; nil: an error says it
}

// PushResult is what became of it.
type PushResult struct {
	Remote string      `json:"remote"`
	Refs   []PushedRef `json:"refs"`
	Fenced bool        `json:"fenced"` // the table of strong reservations moved with them
	Held   []string    `json:"held"`   // patterns of the pusher's strong reservations
	DryRun bool        `json:"dry_run,omitempty"`
}

// PushedRef is one of the refs.
type PushedRef struct {
	From    string `json:"from"`
	To      string `json:"to"`
	Flag    string `json:"flag"` // git's: "" it goes on, + forced, - deleted, * new, = nothing to do
	Summary string `json:"summary"`
}

// Push moves branches at the remote together with its table of strong reservations, all or
// nothing: so it goes through only if the actor's strong reservations are still theirs, and
// nobody else's covers what the commits touch, at the moment when the branches move. A check
// before a push of git's own cannot promise that.
func (b *Box) Push(ctx context.Context, who Actor, r PushRequest) (PushResult, error) {
	out := PushResult{Refs: []PushedRef{}, Held: []string{}, DryRun: r.DryRun}
	if err := who.mayWrite(); err != nil {
		return out, err
	}
	remote, err := b.needTable(ctx)
	if err != nil {
		return out, err
	}
	if out.Remote = r.Remote; r.Remote == "" {
		out.Remote = b.repo.PushRemote(ctx)
	}
	if out.Remote != remote {
		return out, mail.Errorf(mail.Invalid, "the strong reservations stand at %q, and this push goes to %q, where nothing can hold it to them", remote, out.Remote).
			Hint("git agentmail push %s", shellQuote(remote)).Hint("git push %s", shellQuote(out.Remote))
	}
	if n := b.repo.PushURLs(ctx, remote); n > 1 {
		return out, mail.Errorf(mail.Invalid, "%q is %d repositories to git push, and only one can be held to the strong reservations in one step; nothing was pushed", remote, n).
			Hint("git remote get-url --push --all %s", shellQuote(remote)).Hint("without the fence: git push %s", shellQuote(remote))
	}
	mine, err := b.strongOf(ctx, who)
	if err != nil {
		return out, err
	}
	p := gitstore.Push{Remote: remote, Refspecs: r.Refspecs, Options: r.Options, Choice: r.Choice, Stderr: r.Stderr}
	if who.Kind == IsAgent { // or the hook takes its own reservations for somebody else's
		p.Env = []string{"AGENTMAIL_AGENT=" + who.ID}
	}
	var refused []gitstore.PushedRef
	var stood *mail.Table
	var tried *gitstore.Table // whose push nobody knows the end of
	var failed error          // as far as we have heard
	for try := 0; ; try++ {
		s := &settling{b: b, always: true}
		if err := b.settle(ctx, remote, s); err != nil && failed != nil {
			return out, mail.Errorf(mail.Remote, "the push to %q ended without an answer, so nobody knows yet whether it was done: %w", remote, err).
				Hint("git agentmail push %s", shellQuote(remote)) // it finds out
		} else if err != nil {
			return out, err
		}
		if tried != nil {
			if done, err := s.at.Brought(ctx, tried); err != nil || done {
				out.Fenced = done
				return out, asMail(err)
			}
		}
		if failed != nil {
			return out, failed
		}
		// Either somebody was faster with the table, or something else is not wanted there.
		if stood != nil && (try == fenceTries || s.table.Equal(stood)) {
			return out, b.lockHint(ctx, remote, refusal(remote, refused, nil))
		}
		if out.Held, err = b.stillMine(ctx, mine, s); err != nil {
			return out, err
		}
		plan, err := b.repo.PlanPush(ctx, p)
		if err := refusal(remote, plan, err); err != nil {
			return out, err
		}
		if err := b.mayPush(ctx, who, remote, plan, s); err != nil {
			return out, err
		}
		out.Refs = pushedRefs(plan)
		if r.DryRun || !slices.ContainsFunc(plan, func(ref gitstore.PushedRef) bool { return ref.Flag != "=" }) {
			return out, nil
		}
		next := s.next.Next()
		files, err := next.Files()
		if err != nil {
			return out, err
		}
		change := gitstore.TableChange{Files: files, Subject: "push: " + who.Name, Alone: next.First()}
		done, moved, err := b.store.PushFenced(ctx, p, plan, s.at, change)
		if moved || ctx.Err() != nil {
			out.Fenced = moved
			if len(done) > 0 {
				out.Refs = pushedRefs(done)
			}
			return out, asMail(err)
		}
		// The remote may have done it all the same, and its answer was lost.
		tried, failed = s.at, pushError(remote, err)
		refused, stood = done, s.next
	}
}

// lockHint adds to a refusal what may be behind it at a remote on this machine.
func (b *Box) lockHint(ctx context.Context, remote string, err error) error {
	lock := b.store.TableLock(ctx, remote)
	if lock == "" {
		return err
	}
	e := mail.Errorf(mail.Remote, "%s: a git that was killed there has left the lock %q", err, lock)
	e.Lines = mail.AsError(err).Lines
	return e.Hint("rm %s  # if no git is running there", shellQuote(lock))
}

// strongOf returns the actor's own live strong reservations.
func (b *Box) strongOf(ctx context.Context, who Actor) ([]*mail.LeaseState, error) {
	sn, err := b.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	held, err := b.knownLeases(ctx, sn)
	if err != nil {
		return nil, err
	}
	s := settling{held: held, own: sn.Own()}
	return slices.DeleteFunc(s.mine(b.now()), func(l *mail.LeaseState) bool { return l.Holder != who.ID }), nil
}

// stillMine reports an error if one of them is not in the table.
func (b *Box) stillMine(ctx context.Context, mine []*mail.LeaseState, s *settling) (patterns []string, err error) {
	patterns = []string{}
	for _, l := range mine {
		if s.next.Held[l.ID] == nil {
			e := mail.Errorf(mail.Conflict, "your strong reservation %q is not yours any more; nothing was pushed", l.Pattern)
			for _, id := range slices.Sorted(maps.Keys(s.next.Held)) {
				if g := s.next.Held[id]; g.Holder != l.Holder && crosses(&g.Lease, &l.Lease) {
					e.Lines = append(e.Lines, fmt.Sprintf("%s  is held by %s until %s", display(g.Pattern), b.nameOf(ctx, g.Holder), until(g.Ends().Time(), b.now())))
				}
			}
			return patterns, e.Hint("git agentmail reserve --strong %s", shellQuote(l.Pattern)).Hint("git agentmail inbox")
		}
		patterns = append(patterns, l.Pattern)
	}
	return patterns, nil
}

// nameOf is how an agent is called, or its id if its log has not come.
func (b *Box) nameOf(ctx context.Context, id string) string {
	if sn, err := b.snapshot(ctx); err == nil {
		if d, err := b.directory(ctx, sn); err == nil && d.Agents[id] != nil {
			return d.Address(id)
		}
	}
	return id
}

// mayPush reports an error if the commits touch what stands in the table as somebody else's, or
// what the pusher had, let run out, and others may have had since.
func (b *Box) mayPush(ctx context.Context, who Actor, remote string, plan []gitstore.PushedRef, s *settling) error {
	var held []guard.Held
	for _, id := range slices.Sorted(maps.Keys(s.next.Held)) {
		if g := s.next.Held[id]; g.Exclusive && g.Holder != who.ID && g.Live(b.now()) {
			held = append(held, heldBy(&g.Lease, g.Ends().Time()))
		}
	}
	over, err := s.lapsed(ctx)
	if err != nil {
		return err
	}
	var lapsed []guard.Held
	for _, l := range over {
		if l.Holder == who.ID && s.next.Token > s.tokens[l.ID] {
			end, _ := l.Expires(b.now())
			h := heldBy(&l.Lease, end)
			h.Holder = "" // it is nobody's now
			lapsed = append(lapsed, h)
		}
	}
	if len(held)+len(lapsed) == 0 {
		return nil
	}
	updates, err := b.repo.Updates(ctx, plan)
	if err != nil {
		return asMail(err)
	}
	commits, err := b.repo.Pushed(ctx, remote, "", withoutOurs(updates))
	if err != nil {
		return asMail(err)
	}
	// Who was replaced has made the commit before the other one came, so its age is no excuse here.
	for _, list := range [][]guard.Held{held, lapsed} {
		for i := range list {
			for _, c := range commits {
				if c.Time.Before(list[i].Since) {
					list[i].Since = c.Time
				}
			}
		}
	}
	sn, err := b.snapshot(ctx)
	if err != nil {
		return err
	}
	blocks, _, err := b.touchedBy(ctx, sn, commits, held, who)
	if err != nil {
		return err
	}
	if len(blocks) > 0 {
		if err := b.nameHolders(ctx, sn, blocks); err != nil {
			return err
		}
		e := mail.Errorf(mail.Conflict, "this push touches %s that others hold by a strong reservation; nothing was pushed", paths(blocks))
		for _, bl := range blocks[:min(len(blocks), maxHolders)] {
			e.Lines = append(e.Lines, holdLine(bl.Path, bl.By.HolderName, bl.By.Pattern, bl.By.Reason, bl.By.Expires, b.now()))
		}
		return e.Hint("git agentmail send --to %s -s %s", blocks[0].By.HolderName, shellQuote(blocks[0].Path))
	}
	if blocks, _, err = b.touchedBy(ctx, sn, commits, lapsed, who); err != nil || len(blocks) == 0 {
		return err
	}
	by := blocks[0].By
	return mail.Errorf(mail.Conflict, "this push touches %q, and your strong reservation %q ended at %s; others may have had it since, and nothing was pushed",
		blocks[0].Path, by.Pattern, until(by.Expires, b.now())).
		Hint("git agentmail reserve --strong --as %s %s", shellQuote(who.Name), shellQuote(by.Pattern)).
		Hint("to push it as it is: git push %s", shellQuote(remote))
}

// refusal says which refs git, or the remote, does not move.
func refusal(remote string, refs []gitstore.PushedRef, err error) error {
	var lines []string
	for _, ref := range refs {
		if ref.Flag == "!" {
			lines = append(lines, fmt.Sprintf("%s -> %s  %s", short(ref.From), short(ref.To), ref.Summary))
		}
	}
	if len(lines) == 0 {
		return pushError(remote, err)
	}
	e := mail.Errorf(mail.Remote, "%q does not take this push; nothing was pushed", remote)
	e.Lines = lines
	return e.Hint("git fetch %s", shellQuote(remote)).Hint("git push --dry-run %s", shellQuote(remote))
}

func pushError(remote string, err error) error {
	if err == nil || mail.CodeOf(asMail(err)) != mail.Internal {
		return asMail(err)
	}
	return mail.Errorf(mail.Remote, "the push to %q failed, and nothing was pushed: %s", remote, strings.TrimPrefix(err.Error(), "git push: ")).
		Hint("without the fence: git push %s", shellQuote(remote))
}

func short(ref string) string {
	ref = strings.TrimPrefix(ref, "refs/heads/")
	return strings.TrimPrefix(ref, "refs/")
}

func pushedRefs(refs []gitstore.PushedRef) []PushedRef {
	list := []PushedRef{}
	for _, ref := range refs {
		list = append(list, PushedRef{ref.From, ref.To, ref.Flag, ref.Summary})
	}
	return list
}
