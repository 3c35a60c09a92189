package mailbox

import (
	"context"
	"path/filepath"
	"slices"

	"github.com/git-agentmail/git-agentmail/gitstore"
)

// Status shows the mailbox on one screen: who works where on what, what waits
// for an answer, and whether the guard is awake.
func (b *Box) Status(ctx context.Context, who Actor) (Status, error) {
	out := Status{Project: b.Project(), You: who, Sync: "this mailbox is in this clone alone: it is exchanged with no remote",
		Worktrees: []WorktreeRow{}, Unacked: []InboxRow{}, Urgent: []InboxRow{}}
	sn, err := b.snapshot(ctx)
	if err != nil {
		return out, err
	}
	st, err := b.fold(ctx, sn)
	if err != nil {
		return out, err
	}
	out.Agents = b.agentRows(st, sn.Own())
	trees, err := b.repo.Worktrees(ctx)
	if err != nil {
		return out, asMail(err)
	}
	for _, t := range trees {
		row := WorktreeRow{Path: t.Path, Branch: t.Branch}
		if id := readAgentFile(filepath.Join(t.GitDir, gitstore.AgentFile)); id != "" && st.Agents[id] != nil {
			row.Agent = st.Address(id)
		}
		out.Worktrees = append(out.Worktrees, row)
	}
	out.Reservations, err = b.Reservations(ctx, Actor{Kind: IsPerson}, ReservationQuery{Page: Page{N: MaxLimit}})
	if err != nil {
		return out, err
	}
	for _, m := range st.Messages() {
		out.Messages++
		for _, id := range unique(m.Recipients()) {
			if m.RecipientKind(id) == "bcc" && who.ID != id && (who.ID == "" || who.ID != m.By) {
				continue // nobody else is told of a blind copy
			}
			d := st.Delivery(m.ID, id)
			row := b.inboxRow(st, m, id, false)
			row.For = st.Address(id)
			if m.AckRequired && d.Ack == 0 {
				out.Unacked = append(out.Unacked, row)
			}
			if m.IsUrgent() && d.Read == 0 {
				out.Urgent = append(out.Urgent, row)
			}
		}
	}
	slices.Reverse(out.Unacked) // what has waited longest first
	out.UnackedCount, out.UrgentCount = len(out.Unacked), len(out.Urgent)
	out.Unacked = out.Unacked[:min(len(out.Unacked), DefaultLimit)]
	out.Urgent = out.Urgent[:min(len(out.Urgent), DefaultLimit)]
	out.Guard, err = b.HooksStatus(ctx)
	return out, err
}
