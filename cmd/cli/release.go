package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newRelease(a *app) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "release PATTERN | ID ... | --all",
		Short: "give up your reservations",
		Long: `Ends your reservations. Each argument is the pattern of a reservation of yours,
else the id of one.`,
		Example: `  git agentmail release 'src/auth/**'
  git agentmail release --all --as BlueLake`,
		RunE: func(cmd *cobra.Command, args []string) error {
			filter, err := leaseFilter(cmd, args, all)
			if err != nil {
				return err
			}
			return a.withActor(cmd, func(ctx context.Context, b *mailbox.Box, who mailbox.Actor) error {
				r, err := b.Release(ctx, who, filter)
				if err != nil {
					return err
				}
				if r.Released == 0 && !a.json {
					a.say("nothing to release")
				}
				r.Patterns = list(r.Patterns)
				return a.answer(r, func(w *strings.Builder) {
					for _, p := range r.Patterns {
						fmt.Fprintf(w, "released  %s\n", escape(p))
					}
				})
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "release all of them")
	return cmd
}
