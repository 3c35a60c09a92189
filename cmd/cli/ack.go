package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newAck(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "ack ID...",
		Short: "acknowledge messages",
		Long: `Tells the senders that you have seen their messages; this marks them as read
too. The first time counts; doing it again changes nothing. With --json, one id
gives an object and several give an array.`,
		Example: `  git agentmail ack k3v9 --as GreenCastle`,
		Args:    someArgs("the id of a message"),
		RunE: func(cmd *cobra.Command, ids []string) error {
			return a.withActor(cmd, func(ctx context.Context, b *mailbox.Box, who mailbox.Actor) error {
				rows, err := b.Ack(ctx, who, ids)
				if err != nil {
					return err
				}
				return a.answer(oneOrAll(ids, rows), func(w *strings.Builder) {
					for _, r := range rows {
						fmt.Fprintf(w, "%s  acknowledged %s\n", r.MessageID, a.when(r.AcknowledgedAt))
					}
				})
			})
		},
	}
}
