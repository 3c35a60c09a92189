package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newDeregister(a *app) *cobra.Command {
	var token string
	cmd := &cobra.Command{
		Use:   "deregister NAME",
		Short: "mark an agent as finished",
		Long: `Marks an agent as finished: it takes no more mail, and its task says so. What it
sent, received and holds stays. By registering again it comes back.`,
		Example: `  git agentmail deregister BlueLake`,
		Args:    oneArg("the name of an agent"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withActor(cmd, func(ctx context.Context, b *mailbox.Box, who mailbox.Actor) error {
				r, err := b.Deregister(ctx, who, args[0], token)
				if err != nil {
					return err
				}
				return a.answer(r, func(w *strings.Builder) { fmt.Fprintf(w, "%s: %s\n", escape(r.AgentName), r.Status) })
			})
		},
	}
	cmd.Flags().Var(wordFlag{&token, "TOKEN"}, "token", "only if this is the token of its last registration")
	return cmd
}
