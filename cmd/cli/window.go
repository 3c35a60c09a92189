package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newWindow(a *app) *cobra.Command {
	return group(a, &cobra.Command{
		Use:   "window",
		Short: "see which terminal windows remember an agent",
		Long: `A terminal window that sets MCP_AGENT_MAIL_WINDOW_ID to a UUID remembers the
agent that was registered in it: whoever registers there later without a name
goes on as that one. Windows are known in this clone only, and are forgotten
when they were not used for 30 days (MCP_AGENT_MAIL_WINDOW_TTL_DAYS).`,
	}, newWindowList(a), newWindowRename(a), newWindowExpire(a))
}

func newWindowList(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "list the windows, the one used last first",
		Example: `  git agentmail window list`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withBox(cmd, func(ctx context.Context, b *mailbox.Box) error {
				r, err := b.Windows(ctx)
				if err != nil {
					return err
				}
				if r.Count == 0 && !a.json {
					a.say("no windows")
				}
				return a.answer(r, func(w *strings.Builder) {
					t := table{head: []string{"WINDOW", "USED", "FORGOTTEN", "NAME"}}
					for _, i := range r.Identities {
						t.add(i.UUID, a.ago(i.LastActiveTS), a.ago(i.ExpiresTS), i.DisplayName)
					}
					t.write(w, a.out)
				})
			})
		},
	}
}

func newWindowRename(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "rename WINDOW NAME",
		Short:   "change the name that agents in a window go by",
		Example: `  git agentmail window rename 0d7c1a52-9f1e-4c56-8b1d-0123456789ab RedFox`,
		Args:    argsBetween(2, 2, "the UUID of a window and a name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withBox(cmd, func(ctx context.Context, b *mailbox.Box) error {
				r, err := b.RenameWindow(ctx, args[0], args[1])
				if err != nil {
					return err
				}
				return a.answer(r, func(w *strings.Builder) {
					fmt.Fprintf(w, "%s  %s, was %s\n", r.UUID, escape(r.DisplayName), escape(r.OldDisplayName))
				})
			})
		},
	}
}

func newWindowExpire(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "expire WINDOW",
		Short:   "forget a window",
		Example: `  git agentmail window expire 0d7c1a52-9f1e-4c56-8b1d-0123456789ab`,
		Args:    oneArg("the UUID of a window"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withBox(cmd, func(ctx context.Context, b *mailbox.Box) error {
				r, err := b.ExpireWindow(ctx, args[0])
				if err != nil {
					return err
				}
				return a.answer(r, func(w *strings.Builder) { fmt.Fprintf(w, "%s  %s: forgotten\n", r.UUID, escape(r.DisplayName)) })
			})
		},
	}
}
