package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newForceRelease(a *app) *cobra.Command {
	var note string
	var quietly bool
	cmd := &cobra.Command{
		Use:   "force-release ID",
		Short: "end a reservation whose holder has gone",
		Long: `Ends the reservation of another agent that has shown no sign of life: no mail,
no change of the files it holds, no commit. The holder is told by a message.`,
		Example: `  git agentmail reservations --stale
  git agentmail force-release k3v9 --note "no answer since yesterday"`,
		Args: oneArg("the id of a reservation"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withActor(cmd, func(ctx context.Context, b *mailbox.Box, who mailbox.Actor) error {
				r, err := b.ForceRelease(ctx, who, args[0], note, !quietly)
				if err != nil {
					return err
				}
				return a.answer(r, func(w *strings.Builder) {
					l := r.Reservation
					switch {
					case r.AlreadyReleased:
						fmt.Fprintf(w, "%s  %s had ended already\n", l.ID, escape(l.PathPattern))
					case l.Notified:
						fmt.Fprintf(w, "%s  released %s; %s was told\n", l.ID, escape(l.PathPattern), escape(l.Agent))
					default:
						fmt.Fprintf(w, "%s  released %s\n", l.ID, escape(l.PathPattern))
					}
				})
			})
		},
	}
	cmd.Flags().Var(wordFlag{&note, "TEXT"}, "note", "say why, for the holder")
	cmd.Flags().BoolVar(&quietly, "no-notify", false, "send the holder no message")
	return cmd
}
