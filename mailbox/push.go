package mailbox

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/guard"
	"github.com/git-agentmail/git-agentmail/mail"
)

// prePush checks the commits that a push adds. Each is judged by whose it is: a
// commit that its holder made may be pushed by anybody, and the holder may push
// what anybody made. One that is older than a reservation does not touch it.
func (h *hook) prePush() error {
	var remote, url string
	if len(h.req.Args) > 0 {
		remote = h.req.Args[0]
	}
	if len(h.req.Args) > 1 {
		url = h.req.Args[1]
	}
	updates, err := gitstore.ParseRefUpdates(h.req.Stdin)
	return h.judge(updates, err, func(updates []gitstore.RefUpdate) ([]gitstore.Commit, error) {
		return h.b.repo.Pushed(h.ctx, remote, url, updates)
	})
}

// preReceive does the same on a host, which knows of the commits what the logs that
// were pushed to it say, and nothing of who pushes.
func (h *hook) preReceive() error {
	updates, err := gitstore.ParseReceived(h.req.Stdin)
	return h.judge(updates, err, func(updates []gitstore.RefUpdate) ([]gitstore.Commit, error) {
		return h.b.repo.Received(h.ctx, updates)
	})
}

// judge decides about a push of updates, unless err says that they could not be
// read. added asks git for the commits that it brings.
func (h *hook) judge(updates []gitstore.RefUpdate, err error, added func([]gitstore.RefUpdate) ([]gitstore.Commit, error)) error {
	if err != nil {
		return err
	}
	updates = withoutOurs(updates)
	var all iter.Seq[guard.Held]
	there, _, err := h.b.holds(h.ctx, h.sn)
	if err == nil {
		all, err = there.all(h.ctx)
	}
	if err == nil {
		err = h.identify()
	}
	if err != nil || len(updates) == 0 {
		return err
	}
	held := slices.Collect(without(all, h.who))
	if len(held) == 0 {
		return nil
	}
	commits, err := added(updates)
	if err != nil || len(commits) == 0 {
		return err
	}
	blocks, checked, err := h.b.touchedBy(h.ctx, h.sn, commits, held, h.who)
	h.v.Checked = checked
	if err != nil {
		return err
	}
	if err := h.b.nameHolders(h.ctx, h.sn, blocks); err != nil {
		return err
	}
	blocks, err = h.b.elsewhere(h.ctx, blocks, h.remark)
	if err != nil || len(blocks) == 0 {
		return err
	}
	h.refuse("this push touches "+paths(blocks)+" that others reserved", blocks)
	return nil
}

// touchedBy returns where commits that are pushed touch what others hold, each pair of a path
// and a reservation once, and how many changes were looked at. A commit is its author's, if
// that was recorded, else the pusher's.
func (b *Box) touchedBy(ctx context.Context, sn *gitstore.Snapshot, commits []gitstore.Commit, held []guard.Held, pusher Actor) (blocks []guard.Block, checked int, err error) {
	authors, err := b.authors(ctx, sn, oldest(held))
	if err != nil {
		return nil, 0, err
	}
	var entries []guard.Entry // of all commits, in their order
	var of []*gitstore.Commit
	for i := range commits {
		for _, e := range entriesOf(commits[i].Changed) {
			entries, of = append(entries, e), append(of, &commits[i])
		}
	}
	found, err := guard.Check(entries, slices.Values(held), b.ignoreCase(ctx))
	if err != nil {
		return nil, len(entries), err
	}
	seen := map[string]bool{}
	for _, bl := range found {
		c := of[bl.Entry]
		author, known := authors[c.OID]
		if !known {
			author = pusher.ID
		}
		if author != "" && bl.By.Holder == author || c.Time.Unix() < bl.By.Since.Unix() { // a commit knows whole seconds
			continue
		}
		if key := bl.Path + "\x00" + bl.By.ID; !seen[key] {
			seen[key] = true
			blocks = append(blocks, bl)
		}
	}
	return blocks, len(entries), nil
}

// withoutOurs leaves out pushes of the mailbox's own refs.
func withoutOurs(updates []gitstore.RefUpdate) []gitstore.RefUpdate {
	var kept []gitstore.RefUpdate
	for _, u := range updates {
		if !strings.HasPrefix(u.RemoteRef, "refs/agentmail/") && !strings.HasPrefix(u.RemoteRef, "refs/heads/agentmail/") {
			kept = append(kept, u)
		}
	}
	return kept
}

// somebody is the author of a commit that was recorded without a name.
const somebody = "?"

// authors returns whose each recorded commit is, by the events since the oldest
// of the reservations was taken.
func (b *Box) authors(ctx context.Context, sn *gitstore.Snapshot, since time.Time) (map[gitstore.OID]string, error) {
	st := mail.NewState()
	if err := b.walk(ctx, sn, "events/", recent("events", since), st.Apply); err != nil {
		return nil, err
	}
	d, err := b.directory(ctx, sn)
	if err != nil {
		return nil, err
	}
	out := map[gitstore.OID]string{}
	for oid, list := range st.Commits {
		c := list[0] // the first record is the one made with the commit
		out[oid] = c.By
		// What an agent without a name did is written down by the person of its
		// clone. It is not theirs, least of all where they are the holder.
		if by := d.Agents[c.By]; c.Outcome != mail.CommitHeld && by != nil && by.IsPerson() && slices.ContainsFunc(c.Touched, func(t mail.Touched) bool { return t.Holder == c.By }) {
			out[oid] = somebody
		}
	}
	return out, nil
}

// oldest returns when the first of the reservations was taken.
func oldest(held []guard.Held) time.Time {
	var first time.Time
	for i, l := range held {
		if i == 0 || l.Since.Before(first) {
			first = l.Since
		}
	}
	return first
}

// bypassOption is how a pusher gives the reason for overruling a host: git push -o.
const bypassOption = "agentmail-bypass="

// pushOption returns the reason that came with a push, or "".
func (h *hook) pushOption() string {
	n, _ := strconv.Atoi(h.b.getenv("GIT_PUSH_OPTION_COUNT"))
	for i := range n {
		if reason, ok := strings.CutPrefix(h.b.getenv(fmt.Sprintf("GIT_PUSH_OPTION_%d", i)), bypassOption); ok {
			return clip(strings.ToValidUTF8(reason, "?"), maxReason)
		}
	}
	return ""
}

// receiveHint tells a pusher what a host can do for them.
func (h *hook) receiveHint() {
	if h.req.Event != PreReceive || !h.v.Stop {
		return
	}
	h.v.Err.Hint("made by the holder? push its log first: git push REMOTE 'refs/agentmail/log/*:refs/agentmail/log/*'")
	if v, _ := h.b.repo.Get(h.ctx, "receive.advertisepushoptions"); v.Value == "true" {
		h.v.Err.Hint(`push anyway:  git push -o %s"why"`, bypassOption)
	}
}

// auditFile is where a host notes a bypass, a line of JSON each: git allows no
// ref to move while a push is being received.
const auditFile = "audit.jsonl"

func (b *Box) audit(reason string, blocks []guard.Block) error {
	line, err := json.Marshal(struct {
		At      mail.Time      `json:"at"`
		Event   string         `json:"event"`
		Reason  string         `json:"reason"`
		Touched []mail.Touched `json:"touched"`
	}{mail.At(b.now()), PreReceive, reason, touched(blocks)})
	if err != nil {
		return err
	}
	return asMail(b.store.Note(auditFile, line))
}
