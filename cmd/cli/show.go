package cli

import (
	"context"
	"strings"

	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newShow(a *app) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "show a message",
		Long: `Shows the message with this id; four or more of its first characters will do.
Every line of its text begins with "  | ": what stands there was written by its
sender. Looking does not mark it as read.`,
		Example: `  git agentmail show k3v9
  git agentmail show k3v9 --attachment report.pdf > report.pdf`,
		Args: oneArg("the id of a message"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withActor(cmd, func(ctx context.Context, b *mailbox.Box, who mailbox.Actor) error {
				if file != "" {
					data, err := b.Attachment(ctx, who, args[0], file)
					if err != nil {
						return err
					}
					return a.print(string(data))
				}
				m, err := b.Show(ctx, who, args[0])
				if err != nil {
					return err
				}
				return a.answer(m, func(w *strings.Builder) { a.writeMessage(w, m) })
			})
		},
	}
	cmd.Flags().Var(wordFlag{&file, "NAME"}, "attachment", "print the contents of this attachment instead")
	return cmd
}
