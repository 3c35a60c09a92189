package cli

import (
	"context"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newRenew(a *app) *cobra.Command {
	var all bool
	ttl := spanFlag(30 * time.Minute)
	cmd := &cobra.Command{
		Use:   "renew PATTERN | ID ... | --all",
		Short: "hold your reservations longer",
		Long: `Lets your reservations end later: --ttl is added to the time that is left. Each
argument is the pattern of a reservation of yours, else the id of one.`,
		Example: `  git agentmail renew 'src/auth/**' --ttl 1h
  git agentmail renew --all`,
		RunE: func(cmd *cobra.Command, args []string) error {
			filter, err := leaseFilter(cmd, args, all)
			if err != nil {
				return err
			}
			return a.withActor(cmd, func(ctx context.Context, b *mailbox.Box, who mailbox.Actor) error {
				r, err := b.Renew(ctx, who, filter, time.Duration(ttl))
				if err != nil {
					return err
				}
				if len(r.Reservations) == 0 && !a.json {
					a.say("nothing to renew")
				}
				r.Reservations = list(r.Reservations)
				return a.answer(r, func(w *strings.Builder) {
					t := table{head: []string{"ID", "UNTIL", "PATTERN"}}
					for _, l := range r.Reservations {
						t.add(l.ID, a.when(l.NewExpiresTS), l.PathPattern)
					}
					t.write(w, a.out)
				})
			})
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "renew all of them")
	cmd.Flags().Var(&ttl, "ttl", "add this much (default 30m)")
	return cmd
}

// leaseFilter reads which of the actor's reservations are meant. All of them
// must be asked for outright.
func leaseFilter(cmd *cobra.Command, args []string, all bool) (mailbox.LeaseFilter, error) {
	if all == (len(args) > 0) {
		return mailbox.LeaseFilter{}, mail.Errorf(mail.Usage, "%s needs patterns or ids, or else --all", cmd.Name()).
			Hint("git agentmail reservations --mine").Hint("%s --all", cmd.CommandPath())
	}
	if all {
		return mailbox.LeaseFilter{}, nil
	}
	return mailbox.LeaseFilter{Either: args}, nil
}
