package cli

import (
	"context"
	"strings"

	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newThread(a *app) *cobra.Command {
	var page mailbox.Page
	var bodies bool
	cmd := &cobra.Command{
		Use:   "thread ID | KEY",
		Short: "show a thread",
		Long: `Shows the messages of a thread, oldest first: the thread with this key, else
the one that began with the message of this id.`,
		Example: `  git agentmail thread FEAT-123 --bodies
  git agentmail thread FEAT-123 -n 20 --before k3v9`,
		Args: oneArg("the key of a thread or the id of its first message"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withActor(cmd, func(ctx context.Context, b *mailbox.Box, who mailbox.Actor) error {
				v, err := b.Thread(ctx, who, args[0], page)
				if err != nil {
					return err
				}
				if len(v.Messages) == 0 && !a.json {
					a.say("no messages in thread %s before %s", short(v.ThreadID, maxText), short(page.Before, maxText))
				}
				v.Messages = list(v.Messages)
				return a.answer(v, func(w *strings.Builder) { a.writeMessages(w, v.Messages, bodies) })
			})
		},
	}
	cmd.Flags().BoolVar(&bodies, "bodies", false, "show the texts too")
	longPageFlags(cmd, &page, "ID")
	return cmd
}
