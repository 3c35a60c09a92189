package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newInbox(a *app) *cobra.Command {
	var q mailbox.InboxQuery
	cmd := &cobra.Command{
		Use:   "inbox",
		Short: "list the messages to you",
		Long: `Lists the messages to you, newest first. Looking changes nothing: a message
stays unread until "git agentmail read" or "git agentmail ack".`,
		Example: `  git agentmail inbox --unread
  git agentmail inbox --as GreenCastle --urgent --since 2h --bodies
  git agentmail inbox --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withActor(cmd, func(ctx context.Context, b *mailbox.Box, who mailbox.Actor) error {
				rows, err := b.Inbox(ctx, who, q)
				if err != nil {
					return err
				}
				if len(rows) == 0 && !a.json {
					a.say("no messages for %s", whose(who))
				}
				return a.answer(list(rows), func(w *strings.Builder) { a.writeInbox(w, rows) })
			})
		},
	}
	f := cmd.Flags()
	f.BoolVar(&q.Unread, "unread", false, "show only unread ones")
	f.BoolVar(&q.Urgent, "urgent", false, "show only those of high or urgent importance")
	f.BoolVar(&q.AckRequired, "ack-required", false, "show only those that wait for your acknowledgement")
	f.Var(sinceFlag{&q.Since, a.std.Now}, "since", "show only newer ones than 2h (ago) or 2026-11-20T10:00Z")
	f.Var(wordFlag{&q.Topic, "WORD"}, "topic", "show only those with this topic")
	f.BoolVar(&q.Bodies, "bodies", false, "show the texts too")
	pageFlags(cmd, &q.Page)
	return cmd
}

// whose names the actor in a sentence.
func whose(who mailbox.Actor) string {
	if who.Name == "" {
		return "an unnamed agent"
	}
	return who.Name
}

// writeInbox prints a table, or, with bodies, one message after the other.
func (a *app) writeInbox(w *strings.Builder, rows []mailbox.InboxRow) {
	if len(rows) > 0 && rows[0].BodyMD != nil {
		for i, r := range rows {
			if i > 0 {
				w.WriteString("\n")
			}
			fields(w, "id", r.ID, "from", escape(r.From), "date", a.when(r.CreatedTS), "subject", short(r.Subject, maxText),
				"thread", escape(deref(r.ThreadID)), "state", inboxState(r), "files", fileNames(r.Attachments))
			body(w, deref(r.BodyMD))
		}
		return
	}
	t := a.messageTable("FROM", "STATE")
	for _, r := range rows {
		a.addMessage(t, r.ID, r.CreatedTS, r.Subject, short(r.From, 24), inboxState(r))
	}
	t.write(w, a.out)
}

// inboxState says what is to be done with a message, in words.
func inboxState(r mailbox.InboxRow) string {
	var words []string
	if r.ReadTS.Time().IsZero() {
		words = append(words, "unread")
	}
	if r.Importance == "high" || r.Importance == "urgent" {
		words = append(words, r.Importance)
	}
	if r.AckRequired {
		if r.AckTS.Time().IsZero() {
			words = append(words, "ack-wanted")
		} else {
			words = append(words, "acked")
		}
	}
	if len(words) == 0 {
		return "read"
	}
	return strings.Join(words, " ")
}

// messageTable begins a table of messages; between its first and its last
// columns stand those named.
func (a *app) messageTable(between ...string) *table {
	head := []string{"ID", "AGE"}
	if a.wide() {
		head = append(head, "DATE")
	}
	head = append(head, between...)
	return &table{head: append(head, "SUBJECT")}
}

func (a *app) addMessage(t *table, id string, at mailbox.TS, subject string, between ...string) {
	cells := []string{id, a.ago(at)}
	if a.wide() {
		cells = append(cells, utc(at))
	}
	cells = append(cells, between...)
	t.add(append(cells, subject)...)
}

func fileNames(list []mailbox.Attachment) string {
	var names []string
	for _, f := range list {
		pixels := ""
		if f.Width > 0 {
			pixels = fmt.Sprintf(", %dx%d", f.Width, f.Height)
		}
		names = append(names, fmt.Sprintf("%s (%s%s, %s)", short(f.Name, maxText), short(f.Type, 40), pixels, size(f.Size)))
	}
	return strings.Join(names, ", ")
}

func size(n int64) string {
	switch {
	case n < 1<<10:
		return count(int(n), "byte", "bytes")
	case n < 1<<20:
		return fmt.Sprintf("%d KiB", (n+512)>>10)
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
