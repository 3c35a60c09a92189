package mailbox

import (
	"context"
	"path/filepath"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/index"
	"github.com/git-agentmail/git-agentmail/mail"
)

// Status shows the mailbox on one screen: who works where on what, what waits
// for an answer, and whether the guard is awake.
func (b *Box) Status(ctx context.Context, who Actor) (Status, error) {
	out := Status{Project: b.Project(), You: who,
		Worktrees: []WorktreeRow{}, Unacked: []InboxRow{}, Urgent: []InboxRow{}}
	var err error
	if out.Sync, out.Remotes, err = b.syncState(ctx); err != nil {
		return out, err
	}
	sn, err := b.snapshot(ctx)
	if err != nil {
		return out, err
	}
	out.Trust = b.trustState(ctx, sn)
	trees, err := b.repo.Worktrees(ctx)
	if err != nil {
		return out, asMail(err)
	}
	err = b.indexed(ctx, func(v *view) error {
		out.Worktrees = []WorktreeRow{}
		for _, t := range trees {
			row := WorktreeRow{Path: t.Path, Branch: t.Branch}
			if id := readAgentFile(filepath.Join(t.GitDir, gitstore.AgentFile)); id != "" && v.d.Agents[id] != nil && !v.d.Deleted(id) {
				row.Agent = v.d.Address(id)
			}
			out.Worktrees = append(out.Worktrees, row)
		}
		var err error
		if out.Agents, err = v.agentRows(v.d.List()); err != nil {
			return err
		}
		if out.Messages, err = v.Messages(ctx); err != nil {
			return err
		}
		unacked, err := v.Unacked(ctx, who.ID, DefaultLimit)
		if err != nil {
			return err
		}
		urgent, err := v.Urgent(ctx, who.ID, DefaultLimit)
		if err != nil {
			return err
		}
		out.Unacked, out.UnackedCount = v.waitingRows(unacked.Letters), unacked.Count
		out.Urgent, out.UrgentCount = v.waitingRows(urgent.Letters), urgent.Count
		return nil
	})
	if err != nil {
		return out, err
	}
	out.Reservations, err = b.Reservations(ctx, Actor{Kind: IsPerson}, ReservationQuery{Page: Page{N: MaxLimit}})
	if err != nil {
		return out, err
	}
	out.Guard, err = b.HooksStatus(ctx)
	return out, err
}

func (v *view) waitingRows(list []index.Letter) []InboxRow {
	rows := []InboxRow{}
	for _, l := range list {
		row := v.b.inboxRow(v.d, l.Message, l.For, mail.Delivery{Read: l.Read, Ack: l.Ack}, false)
		row.For = v.d.Address(l.For)
		rows = append(rows, row)
	}
	return rows
}
