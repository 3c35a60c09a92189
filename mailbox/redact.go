package mailbox

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

// retentionDays is how old a message is that Purge redacts, unless it is told or
// RETENTION_MAX_AGE_DAYS says otherwise.
const retentionDays = 180

// Purge redacts the messages that are older than some time: what they said is not shown any
// more, and that they were there is. The bytes stay in the logs until their owners truncate
// these.
func (b *Box) Purge(ctx context.Context, who Actor, r PurgeRequest) (PurgeResult, error) {
	if r.Older == 0 {
		days, err := strconv.Atoi(strings.TrimSpace(b.getenv("RETENTION_MAX_AGE_DAYS")))
		if err != nil || days < 1 || days > 36500 {
			days = retentionDays
		}
		r.Older = time.Duration(days) * day
	}
	if r.Older < day {
		return PurgeResult{}, mail.Errorf(mail.Invalid, "messages of the last day are not old; nothing was redacted").Hint("git agentmail purge --older 180d")
	}
	cutoff := mail.At(b.now().Add(-r.Older))
	out := PurgeResult{Status: "dry_run", CutoffDate: ts(cutoff), MaxAgeDays: int(r.Older / day)}
	if err := who.err; err != nil {
		return PurgeResult{}, err
	}
	var ids []string
	if err := b.indexed(ctx, func(v *view) (err error) {
		ids, err = v.Before(ctx, cutoff)
		return err
	}); err != nil {
		return PurgeResult{}, err
	}
	out.Messages = len(ids)
	if r.DryRun {
		return out, nil
	}
	out.Status = "purged"
	if len(ids) == 0 {
		return out, who.mayWrite()
	}
	reason := clip(strings.ToValidUTF8(r.Reason, "?"), maxReason)
	err := b.update(ctx, who, func(w *writer, me *mail.Agent) (string, error) {
		for _, part := range portions(ids) {
			if err := w.add(&mail.Redaction{Header: w.head(me.ID), Messages: part, Reason: reason}); err != nil {
				return "", err
			}
		}
		return fmt.Sprintf("redact: %s %s from before %s", me.Name.Value, plural(len(ids), "message"), cutoff.Time().Format(time.DateOnly)), nil
	})
	if err != nil {
		return PurgeResult{}, err
	}
	return out, nil
}

// DeleteAgent takes an agent of this clone out of the mailbox: nobody can write to it or act
// as it any more, what it holds is released, and what it sent is redacted. Its name is free
// for another. Who did what stays in the log.
func (b *Box) DeleteAgent(ctx context.Context, who Actor, name string) (DeletedAgent, error) {
	sent := map[string][2]int{} // messages and letters, by agent
	if err := b.indexed(ctx, func(v *view) error {
		clear(sent)
		for _, a := range v.d.List() {
			if a != v.d.Lookup(name) && a != v.d.Local(name, v.sn.Own()) {
				continue
			}
			messages, letters, err := v.Sent(ctx, a.ID)
			if err != nil {
				return err
			}
			sent[a.ID] = [2]int{messages, letters}
		}
		return nil
	}); err != nil {
		return DeletedAgent{}, err
	}
	var out DeletedAgent
	err := b.update(ctx, who, func(w *writer, me *mail.Agent) (string, error) {
		a, err := w.ending(who, name)
		if err != nil {
			return "", err
		}
		out = DeletedAgent{AgentID: a.ID, AgentName: w.dir.Address(a.ID), Project: b.Project().HumanKey, Messages: sent[a.ID][0], Letters: sent[a.ID][1]}
		held, err := w.held(false)
		if err != nil {
			return "", err
		}
		var leases []mail.Lease
		for _, l := range held.ByAge() {
			if l.Holder == a.ID && (l.Live(w.now, w.tx.Replica()) || aheadOnly(l, w.now)) {
				leases = append(leases, l.Lease)
			}
		}
		op := mail.LeaseForce
		if me.ID == a.ID {
			op = mail.LeaseRelease
		}
		if out.Reservations = len(leases); len(leases) > 0 {
			if err := w.addLeases(held, me.ID, op, "its agent was deleted", leases); err != nil {
				return "", err
			}
		}
		return "agent: " + me.Name.Value + " deletes " + out.AgentName, w.add(&mail.AgentChange{Header: w.head(me.ID), Agent: a.ID, Deleted: true})
	})
	if err != nil {
		return DeletedAgent{}, err
	}
	return out, nil
}
