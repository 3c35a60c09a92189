package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newReservations(a *app) *cobra.Command {
	var q mailbox.ReservationQuery
	cmd := &cobra.Command{
		Use:   "reservations",
		Short: "list reservations",
		Long:  `Lists the reservations that hold now, newest first, with the number of tracked files that each covers.`,
		Example: `  git agentmail reservations --mine
  git agentmail reservations --path src/auth/token.go
  git agentmail reservations --all --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withActor(cmd, func(ctx context.Context, b *mailbox.Box, who mailbox.Actor) error {
				rows, err := b.Reservations(ctx, who, q)
				if err != nil {
					return err
				}
				if len(rows) == 0 && !a.json {
					a.say("no reservations")
				}
				return a.answer(list(rows), func(w *strings.Builder) { a.writeReservations(w, rows) })
			})
		},
	}
	f := cmd.Flags()
	f.BoolVar(&q.Mine, "mine", false, "list only your own")
	f.Var(wordFlag{&q.Path, "PATH"}, "path", "list only those that cover this path")
	f.BoolVar(&q.All, "all", false, "list ended ones too")
	f.BoolVar(&q.Activity, "stale", false, "find out which holders have gone (looks at mail, files and commits)")
	pageFlags(cmd, &q.Page)
	return cmd
}

func (a *app) writeReservations(w *strings.Builder, rows []mailbox.Reservation) {
	t := table{head: []string{"ID", "AGENT", "MODE", "FILES", "ENDS", "PATTERN", "REASON"}}
	for _, r := range rows {
		t.add(r.ID, short(r.Agent, 24), leaseMode(r.Exclusive, r.Strong), fmt.Sprint(r.Files), a.leaseEnd(r), short(r.PathPattern, 48), r.Reason)
	}
	t.write(w, a.out)
}

// leaseEnd says when a reservation ends, or how it did.
func (a *app) leaseEnd(r mailbox.Reservation) string {
	switch {
	case r.Ended == "" && r.ClockAhead:
		return "clock ahead"
	case r.Ended == "" && r.Stale:
		return a.ago(r.ExpiresTS) + ", stale"
	case r.Ended == "":
		return a.ago(r.ExpiresTS)
	case r.Ended == "expired":
		return "expired " + a.ago(r.ExpiresTS)
	}
	return strings.TrimSpace(r.Ended + " " + a.ago(r.ReleasedTS))
}
