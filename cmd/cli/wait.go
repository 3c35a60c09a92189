package cli

import (
	"context"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newWait(a *app) *cobra.Command {
	timeout := spanFlag(5 * time.Minute)
	cmd := &cobra.Command{
		Use:   "wait",
		Short: "wait for a message to you",
		Long: `Waits until a message to you arrives and shows it as "git agentmail inbox"
does. If nothing arrives in time, the answer is empty and the exit status 0.`,
		Example: `  git agentmail wait --as GreenCastle --timeout 10m`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withActor(cmd, func(ctx context.Context, b *mailbox.Box, who mailbox.Actor) error {
				limited, cancel := context.WithTimeout(ctx, time.Duration(timeout))
				defer cancel()
				rows, err := b.Wait(limited, who)
				if err != nil {
					return err
				}
				if len(rows) == 0 && !a.json {
					a.say("nothing arrived in %s", span(time.Duration(timeout)))
				}
				return a.answer(list(rows), func(w *strings.Builder) { a.writeInbox(w, rows) })
			})
		},
	}
	cmd.Flags().Var(&timeout, "timeout", "give up after this time (default 5m)")
	return cmd
}
