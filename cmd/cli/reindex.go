package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newReindex(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "reindex",
		Short: "build the index of lists and searches anew",
		Long: `Builds the index behind lists and searches anew from the stored records. It is
never necessary: the index brings itself up to date and is replaced when
something is wrong with it.`,
		Example: `  git agentmail reindex`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withBox(cmd, func(ctx context.Context, b *mailbox.Box) error {
				r, err := b.Reindex(ctx)
				if err != nil {
					return err
				}
				return a.answer(r, func(w *strings.Builder) {
					fmt.Fprintf(w, "%s indexed, %s\n", count(r.Messages, "message", "messages"), size(r.Bytes))
				})
			})
		},
	}
}
