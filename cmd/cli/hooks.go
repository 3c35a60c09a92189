package cli

import (
	"context"
	"strings"

	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newHooks(a *app) *cobra.Command {
	return group(a, &cobra.Command{
		Use:   "hooks",
		Short: "put the git hooks in, take them out, see whether they run",
		Long: `The guard is called by git's hooks. What is ours in a hook is one marked block;
a hook of yours keeps its bytes and its place, and gets them back on uninstall.`,
	}, newHooksInstall(a), newHooksUninstall(a), newHooksStatus(a))
}

func newHooksInstall(a *app) *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:     "install",
		Short:   "put the hooks in",
		Example: `  git agentmail hooks install --dry-run`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withBox(cmd, func(ctx context.Context, b *mailbox.Box) error {
				binary := a.self()
				return a.announced(dryRun, func(dry bool) (mailbox.SetupResult, error) { return b.HooksInstall(ctx, dry, binary) })
			})
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be written and write nothing")
	return cmd
}

func newHooksUninstall(a *app) *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:     "uninstall",
		Short:   "take the hooks out",
		Example: `  git agentmail hooks uninstall`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// No word about the missing guard: that is what was asked for.
			ctx := cmd.Context()
			b, err := a.open(ctx)
			if err != nil {
				return err
			}
			defer b.Close()
			return a.announced(dryRun, func(dry bool) (mailbox.SetupResult, error) { return b.HooksUninstall(ctx, dry) })
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be removed and remove nothing")
	return cmd
}

func newHooksStatus(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "say whether git would run them from this worktree",
		Example: `  git agentmail hooks status --json`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			b, err := a.open(ctx)
			if err != nil {
				return err
			}
			defer b.Close()
			g, err := b.HooksStatus(ctx)
			if err != nil {
				return err
			}
			return a.answer(g, func(w *strings.Builder) {
				w.WriteString("guard " + guardLine(g) + "\n")
				t := table{head: []string{"HOOK", "STATE", "FILE"}, full: true}
				for _, h := range g.Hooks {
					file := h.File
					if h.Note != "" {
						file += " " + h.Note
					}
					t.add(h.Event, h.State, file)
				}
				t.write(w, a.out)
				w.WriteString("\n")
				t = table{head: []string{"LAYER", "STATE"}, full: true}
				for _, l := range g.Layers {
					t.add(l.Name, l.State)
				}
				t.write(w, a.out)
			})
		},
	}
}

// guardLine says in a line whether commits here are checked.
func guardLine(g mailbox.GuardState) string {
	line := "active"
	if !g.Active {
		line = "NOT active in this worktree"
	}
	if g.Mode != "" {
		line += ", mode=" + g.Mode
	}
	if !g.Active && g.Cause != "" {
		line += ": " + short(g.Cause, 200)
	}
	return line
}
