package cli

import (
	"context"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newGuard(a *app) *cobra.Command {
	var staged bool
	var rng string
	cmd := &cobra.Command{
		Use:   "guard --staged | --range A..B",
		Short: "check a commit or a range as the hooks do",
		Long: `Does by hand, or in CI, what the git hooks do: says whether what is staged, or
what the commits from A to B change, is held by another agent. Exit status: 0
free, 3 held, 8 could not check. In CI, fetch refs/agentmail/* first.`,
		Example: `  git agentmail guard --staged
  git agentmail guard --range origin/main..HEAD --json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if staged == (rng != "") {
				return mail.Errorf(mail.Usage, "guard needs either --staged or --range A..B").Hint("git agentmail guard --staged")
			}
			return a.withActor(cmd, func(ctx context.Context, b *mailbox.Box, who mailbox.Actor) error {
				if staged {
					return a.verdict(b.CheckStaged(ctx, who))
				}
				return a.verdict(b.CheckRange(ctx, who, rng))
			})
		},
	}
	cmd.Flags().BoolVar(&staged, "staged", false, "check what is staged")
	cmd.Flags().Var(wordFlag{&rng, "A..B"}, "range", "check what B changes since it left A")
	return cmd
}
