package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newDeregister(a *app) *cobra.Command {
	var token string
	var remove bool
	cmd := &cobra.Command{
		Use:   "deregister NAME",
		Short: "mark an agent as finished",
		Long: `Marks an agent as finished: it takes no more mail, and its task says so. What it
sent, received and holds stays. By registering again it comes back.

With --delete it is taken out for good: nobody can write to it or act as it, what
it holds is released, and what it sent is redacted (see purge). Its name is free
for another.`,
		Example: `  git agentmail deregister BlueLake
  git agentmail deregister BlueLake --delete`,
		Args: oneArg("the name of an agent"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withActor(cmd, func(ctx context.Context, b *mailbox.Box, who mailbox.Actor) error {
				if remove {
					if token != "" {
						return mail.Errorf(mail.Usage, "--token goes with no --delete").Hint("git agentmail deregister -h")
					}
					r, err := b.DeleteAgent(ctx, who, args[0])
					if err != nil {
						return err
					}
					return a.answer(r, func(w *strings.Builder) {
						fmt.Fprintf(w, "%s: deleted, with %s and %s\n", escape(r.AgentName),
							count(r.Messages, "message", "messages"), count(r.Reservations, "reservation", "reservations"))
					})
				}
				r, err := b.Deregister(ctx, who, args[0], token)
				if err != nil {
					return err
				}
				return a.answer(r, func(w *strings.Builder) { fmt.Fprintf(w, "%s: %s\n", escape(r.AgentName), r.Status) })
			})
		},
	}
	cmd.Flags().Var(wordFlag{&token, "TOKEN"}, "token", "only if this is the token of its last registration")
	cmd.Flags().BoolVar(&remove, "delete", false, "delete it for good, with what it sent")
	return cmd
}
