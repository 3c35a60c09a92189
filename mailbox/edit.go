package mailbox

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/guard"
)

// editTTL is how long a file is reserved by the first edit of it, where
// agentmail.autoReserve asks for that.
const editTTL = 30 * time.Minute

// nudgeSpan is how far back unread urgent mail is looked for. A nudge is asked
// for after every tool call of every agent, so it reads a day, not a mailbox.
const nudgeSpan = 24 * time.Hour

// MayEdit answers a coding agent that is about to change files: "" if it may,
// else why not, who holds them, for how long, and what to do. It is an early
// word; the commit hook remains the authority. Paths are absolute or relative to
// dir; those outside the work tree are nobody's business. Where
// agentmail.autoReserve is true, what is free is reserved for the agent.
func (b *Box) MayEdit(ctx context.Context, who Actor, dir string, paths []string) (refusal string, err error) {
	ours, err := b.store.Exists()
	if err != nil || !ours || len(paths) == 0 {
		return "", asMail(err)
	}
	mode, err := b.mode(ctx)
	if err != nil || mode == ModeOff {
		return "", err
	}
	var rel []string
	var entries []guard.Entry
	for _, p := range paths {
		if r, ok := b.inTree(dir, p); ok {
			rel = append(rel, r)
			entries = append(entries, guard.Entry{Path: r})
		}
	}
	sn, err := b.snapshot(ctx)
	if err != nil || len(rel) == 0 {
		return "", err
	}
	blocks, err := b.check(ctx, sn, who, entries)
	if err == nil {
		blocks, err = b.elsewhere(ctx, blocks, b.opt.Report)
	}
	if err != nil {
		return "", asMail(err)
	}
	if len(blocks) > 0 && mode == ModeBlock && (who.Kind != IsPerson || b.peopleBlocked(ctx)) {
		e := b.conflict(ctx, "this edit touches files that others reserved", mode, blocks, who, "")
		return e.Message + ":\n" + strings.Join(append(e.Lines, e.Hints...), "\n"), nil
	}
	auto, err := b.setting(ctx, "autoReserve")
	if err != nil || auto != "true" || who.Kind != IsAgent || len(blocks) > 0 {
		return "", err
	}
	free, err := b.notOwn(ctx, sn, who, rel)
	if err != nil || len(free) == 0 {
		return "", err
	}
	for i, r := range free {
		free[i] = guard.Quote(r)
	}
	_, err = b.Reserve(ctx, who, ReserveRequest{Patterns: free, TTL: editTTL, Reason: "first edit", Partial: true})
	return "", err
}

// notOwn leaves out the paths that a live reservation of the actor's covers.
func (b *Box) notOwn(ctx context.Context, sn *gitstore.Snapshot, who Actor, paths []string) ([]string, error) {
	ls, err := b.leases(ctx, sn)
	if err != nil {
		return nil, err
	}
	fold := b.ignoreCase(ctx)
	return slices.DeleteFunc(slices.Clone(paths), func(path string) bool {
		for _, l := range ls {
			if l.Holder != who.ID || !l.Live(b.now(), sn.Own()) {
				continue
			}
			if p, err := compileLease(l, fold); err == nil && p.Match(path) {
				return true
			}
		}
		return false
	}), nil
}

func (b *Box) peopleBlocked(ctx context.Context) bool {
	v, err := b.setting(ctx, "people")
	return err == nil && v == ModeBlock
}

// inTree makes a path relative to the root of the work tree, links resolved: an
// edit through a link changes what it points at.
func (b *Box) inTree(dir, path string) (string, bool) {
	if b.repo.TopLevel == "" || path == "" {
		return "", false
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	// The file itself may not exist yet; its directory may not either.
	tail := ""
	at := filepath.Clean(path)
	for {
		if real, err := filepath.EvalSymlinks(at); err == nil {
			at = filepath.Join(real, tail)
			break
		}
		parent := filepath.Dir(at)
		if parent == at {
			return "", false
		}
		tail = filepath.Join(filepath.Base(at), tail)
		at = parent
	}
	rel, err := filepath.Rel(evalSymlinks(b.repo.TopLevel), at)
	if err != nil || rel == "." || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return "", false
	}
	return filepath.ToSlash(rel), true
}

// Nudge returns one line about unread urgent mail of the last day for an agent,
// "" if there is none. It never holds text that others wrote.
func (b *Box) Nudge(ctx context.Context, who Actor) (string, error) {
	ours, err := b.store.Exists()
	if err != nil || !ours || who.Kind != IsAgent {
		return "", asMail(err)
	}
	sn, err := b.snapshot(ctx)
	if err != nil {
		return "", err
	}
	since := b.now().Add(-nudgeSpan)
	st, err := b.state(ctx, sn)
	if err != nil {
		return "", err
	}
	for _, dir := range []string{"mail", "receipts"} {
		if err := b.walk(ctx, sn, dir+"/", recent(dir, since), st.Apply); err != nil {
			return "", err
		}
	}
	rows, err := b.inbox(st, who.ID, InboxQuery{Unread: true, Urgent: true, Page: Page{N: MaxLimit}})
	if err != nil || len(rows) == 0 {
		return "", err
	}
	return fmt.Sprintf("agentmail: %s for %s, the newest %s from %s: git agentmail show %s",
		plural(len(rows), "unread urgent message"), who.Name, rows[0].ID, rows[0].From, rows[0].ID), nil
}
