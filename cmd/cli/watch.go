package cli

import (
	"context"
	"fmt"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newWatch(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "watch",
		Short: "follow new mail and reservations",
		Long: `Prints a line for each message to you and each change of a reservation as it
happens, until it is interrupted; a person sees all that is written. With --json
each line is one JSON object.

It goes on where your last watch in this clone ended, so that a restart leaves
nothing out; your first begins now, and so does one of an agent that nobody has
named, or whose last place cannot be read. What was printed is noted after it was
printed: if this is killed between the two, that line comes again.`,
		Example: `  git agentmail watch
  git agentmail watch --as BlueLake --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := a.withActor(cmd, func(ctx context.Context, b *mailbox.Box, who mailbox.Actor) error {
				return b.Watch(ctx, who, func(e mailbox.Event) error {
					if a.json {
						return a.printJSON(e)
					}
					return a.print(fmt.Sprintf("%s  %s  %s  %s\n", e.TS.Time().UTC().Format("15:04:05 UTC"),
						dash(short(e.Agent, 24)), short(e.Kind, 16), short(e.Summary, maxText)))
				})
			})
			// An interrupt is how this verb ends; it needs no comment.
			if cmd.Context().Err() != nil {
				return exitStatus(mail.Cancelled.Exit())
			}
			return err
		},
	}
}
