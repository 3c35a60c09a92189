package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newRead(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "read ID...",
		Short: "mark messages as read",
		Long: `Marks messages to you as read. The first time counts; doing it again changes
nothing. With --json, one id gives an object and several give an array.`,
		Example: `  git agentmail read k3v9 m2x7`,
		Args:    someArgs("the id of a message"),
		RunE: func(cmd *cobra.Command, ids []string) error {
			return a.withActor(cmd, func(ctx context.Context, b *mailbox.Box, who mailbox.Actor) error {
				rows, err := b.Read(ctx, who, ids)
				if err != nil {
					return err
				}
				return a.answer(oneOrAll(ids, rows), func(w *strings.Builder) {
					for _, r := range rows {
						fmt.Fprintf(w, "%s  read %s\n", r.MessageID, a.when(r.ReadAt))
					}
				})
			})
		},
	}
}

// oneOrAll gives the object itself where one was asked for, as the tool of the
// same name does, which takes one only.
func oneOrAll[T any](asked []string, rows []T) any {
	if len(asked) == 1 && len(rows) == 1 {
		return rows[0]
	}
	return list(rows)
}
