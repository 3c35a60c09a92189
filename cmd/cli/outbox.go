package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newOutbox(a *app) *cobra.Command {
	var page mailbox.Page
	var bodies bool
	cmd := &cobra.Command{
		Use:     "outbox",
		Short:   "list the messages from you",
		Long:    `Lists the messages that you sent, newest first.`,
		Example: `  git agentmail outbox --as BlueLake -n 5`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withActor(cmd, func(ctx context.Context, b *mailbox.Box, who mailbox.Actor) error {
				rows, err := b.Outbox(ctx, who, page, bodies)
				if err != nil {
					return err
				}
				if len(rows) == 0 && !a.json {
					a.say("no messages from %s", whose(who))
				}
				return a.answer(list(rows), func(w *strings.Builder) { a.writeMessages(w, rows, bodies) })
			})
		},
	}
	cmd.Flags().BoolVar(&bodies, "bodies", false, "show the texts too")
	pageFlags(cmd, &page)
	return cmd
}

// writeMessages prints a table, or, with bodies, one message after the other.
func (a *app) writeMessages(w *strings.Builder, rows []mailbox.Message, bodies bool) {
	if bodies {
		for i, m := range rows {
			if i > 0 {
				w.WriteString("\n")
			}
			a.writeMessage(w, m)
		}
		return
	}
	t := a.messageTable("FROM", "TO", "STATE")
	for _, m := range rows {
		to := slices.Concat(m.To, m.CC, m.BCC)
		var state []string
		if m.Importance == "high" || m.Importance == "urgent" {
			state = append(state, m.Importance)
		}
		if m.AckRequired {
			state = append(state, ackState(m.Receipts))
		}
		a.addMessage(t, m.ID, m.CreatedTS, m.Subject, short(m.From, 24), short(strings.Join(to, ","), 32), cmp.Or(strings.Join(state, " "), "-"))
	}
	t.write(w, a.out)
}

// ackState says in a word how many of the recipients have acknowledged.
func ackState(list []mailbox.Receipt) string {
	n := 0
	for _, r := range list {
		if !r.AckTS.Time().IsZero() {
			n++
		}
	}
	switch {
	case n == 0:
		return "ack-wanted"
	case n == len(list):
		return "acked"
	}
	return fmt.Sprintf("acked-%d/%d", n, len(list))
}

// writeMessage prints the whole of a message.
func (a *app) writeMessage(w *strings.Builder, m mailbox.Message) {
	var read, ack []string
	for _, r := range m.Receipts {
		if !r.ReadTS.Time().IsZero() {
			read = append(read, escape(r.Agent)+" "+a.when(r.ReadTS))
		}
		switch {
		case !r.AckTS.Time().IsZero():
			ack = append(ack, escape(r.Agent)+" "+a.when(r.AckTS))
		case m.AckRequired:
			ack = append(ack, "wanted from "+escape(r.Agent))
		}
	}
	importance := m.Importance
	if importance == "normal" {
		importance = ""
	}
	fields(w, "id", m.ID, "from", escape(m.From), "to", people(m.To), "cc", people(m.CC), "bcc", people(m.BCC),
		"date", a.when(m.CreatedTS), "subject", escape(m.Subject), "thread", escape(deref(m.ThreadID)),
		"topic", escape(deref(m.Topic)), "reply to", deref(m.ReplyTo), "importance", importance,
		"read", strings.Join(read, ", "), "ack", strings.Join(ack, ", "),
		"files", fileNames(m.Attachments))
	body(w, deref(m.BodyMD))
}

func people(list []string) string { return escape(strings.Join(list, ", ")) }
