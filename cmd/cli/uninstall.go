package cli

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newUninstall(a *app) *cobra.Command {
	var r mailbox.UninstallRequest
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "take everything of ours out of this repository",
		Long: `Undoes "git agentmail init", and "git agentmail setup" in the work trees of this
repository, and, without --keep-mail, deletes all mail of this clone. On a
terminal it says what would be lost and asks once; elsewhere it goes ahead
without asking, so use --dry-run first.`,
		Example: `  git agentmail uninstall --dry-run
  git agentmail uninstall --keep-mail`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			b, err := a.open(ctx)
			if err != nil {
				return err
			}
			defer b.Close()
			dryRun := r.DryRun
			if !dryRun && !r.KeepMail && screenOf(a.std.In).terminal {
				if err := a.confirm(ctx, b); err != nil {
					return err
				}
			}
			return a.announced(dryRun, func(dry bool) (mailbox.SetupResult, error) {
				r.DryRun = dry
				clients, err := a.clientsOut(ctx, b, dry)
				if err != nil {
					return mailbox.SetupResult{}, err
				}
				out, err := b.Uninstall(ctx, r)
				out.Changes = append(clients, out.Changes...)
				return out, err
			})
		},
	}
	f := cmd.Flags()
	f.BoolVar(&r.DryRun, "dry-run", false, "say what would be removed and remove nothing")
	f.BoolVar(&r.KeepMail, "keep-mail", false, "take out the hooks and settings only")
	return cmd
}

// confirm names what would be lost and waits for a yes.
func (a *app) confirm(ctx context.Context, b *mailbox.Box) error {
	lost, err := b.UnpushedSummary(ctx)
	if err != nil {
		return err
	}
	if lost != "" {
		fmt.Fprintf(a.std.Err, "This deletes %s.\n", escape(lost))
	}
	fmt.Fprint(a.std.Err, "Take git-agentmail out of this repository? [y/N] ")
	answer, _ := bufio.NewReader(a.std.In).ReadString('\n')
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return mail.Errorf(mail.Cancelled, "nothing was removed").Hint("git agentmail uninstall --keep-mail")
}
