package cli

import (
	"context"
	"strings"

	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newThread(a *app) *cobra.Command {
	var bodies bool
	cmd := &cobra.Command{
		Use:   "thread ID | KEY",
		Short: "show a thread",
		Long: `Shows the messages of a thread, oldest first: the thread with this key, else
the one that began with the message of this id.`,
		Example: `  git agentmail thread FEAT-123 --bodies`,
		Args:    oneArg("the key of a thread or the id of its first message"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withActor(cmd, func(ctx context.Context, b *mailbox.Box, who mailbox.Actor) error {
				v, err := b.Thread(ctx, who, args[0])
				if err != nil {
					return err
				}
				v.Messages = list(v.Messages)
				return a.answer(v, func(w *strings.Builder) { a.writeMessages(w, v.Messages, bodies) })
			})
		},
	}
	cmd.Flags().BoolVar(&bodies, "bodies", false, "show the texts too")
	return cmd
}
