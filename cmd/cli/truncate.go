package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newTruncate(a *app) *cobra.Command {
	var r mailbox.TruncateRequest
	var before spanFlag
	cmd := &cobra.Command{
		Use:   "truncate [--before TIME | --redacted] [--dry-run]",
		Short: "remove old mail of this clone for good",
		Long: `Removes what has run out from the log that this clone writes: its messages that are
older than --before, or else than the setting agentmail.retention, with their files
and the receipts of messages that are gone; reservations and other events that are
as old and mean nothing any more; and what was redacted, whatever its age. That is
final. Unread mail goes as well; --dry-run says how much.

Agents, contacts and all that is younger stay. What other clones wrote is removed by
those; they follow this one at their next sync. In this repository the bytes go at
once, or with the next sync where a remote still shows the old log. A host removes
them when it next collects garbage, which you may have to ask it for.

With agentmail.retention set, such as to 90d, "sync" does this once a day.`,
		Example: `  git agentmail truncate --before 90d --dry-run
  git agentmail truncate --redacted
  git config agentmail.retention 90d`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if r.Older = time.Duration(before); r.Redacted && before != 0 {
				return mail.Errorf(mail.Usage, "--before and --redacted do not go together: what was redacted goes in any case").Hint("git agentmail truncate --before %s", span(r.Older))
			}
			return a.withBox(cmd, func(ctx context.Context, b *mailbox.Box) error {
				t, err := b.Truncate(ctx, r)
				if err != nil {
					return err
				}
				if len(t.Waiting) > 0 && !a.json {
					a.say("the bytes stay in this repository until the next sync with %s", escape(strings.Join(t.Waiting, ", ")))
				}
				return a.answer(t, func(w *strings.Builder) { writeTruncated(w, t) })
			})
		},
	}
	f := cmd.Flags()
	f.Var(&before, "before", "take what is older than this, such as 90d (default agentmail.retention)")
	f.BoolVar(&r.Redacted, "redacted", false, "take only what was redacted")
	f.BoolVar(&r.DryRun, "dry-run", false, "say what would go and remove nothing")
	return cmd
}

func writeTruncated(w *strings.Builder, t mailbox.TruncateResult) {
	var parts []string
	for _, p := range []struct {
		n         int
		one, many string
	}{
		{t.Messages, "message", "messages"},
		{t.Attachments, "attachment", "attachments"},
		{t.Receipts, "receipt", "receipts"},
		{t.Reservations, "event of reservations", "events of reservations"},
		{t.Events, "other event", "other events"},
	} {
		if p.n > 0 {
			parts = append(parts, count(p.n, p.one, p.many))
		}
	}
	from := ""
	if !t.CutoffDate.Time().IsZero() {
		from = ", from before " + utc(t.CutoffDate)
	}
	if len(parts) == 0 {
		fmt.Fprintf(w, "nothing has run out%s\n", from)
		return
	}
	verb := "removed"
	if t.Status == "dry_run" {
		verb = "would be removed"
	}
	fmt.Fprintf(w, "%s %s%s (%s)\n", strings.Join(parts, ", "), verb, from, size(t.Bytes))
	if t.Redacted > 0 {
		fmt.Fprintf(w, "%s of them redacted\n", count(t.Redacted, "message", "messages"))
	}
	if t.Unread > 0 {
		fmt.Fprintf(w, "%s of them not read by everybody\n", count(t.Unread, "message", "messages"))
	}
}
