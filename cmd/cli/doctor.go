package cli

import (
	"strings"

	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newDoctor(a *app) *cobra.Command {
	var fix bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "say what is wrong here and what to do",
		Long: `Looks at everything that can keep the mailbox or the guard from working and says
what to do. It changes nothing; with --fix it does the few things that can be
undone, and says each.`,
		Example: `  git agentmail doctor
  git agentmail doctor --fix`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// The guard is among the findings, so no notice about it.
			ctx := cmd.Context()
			b, err := a.open(ctx)
			if err != nil {
				return err
			}
			defer b.Close()
			who, err := a.who(ctx, b)
			if err != nil {
				return err
			}
			r, err := b.Doctor(ctx, who, fix, a.self())
			if err != nil {
				return err
			}
			r.Findings = append(list(r.Findings), a.secondFindings(ctx)...)
			r.Findings = append(r.Findings, a.setupFindings(ctx)...)
			return a.answer(r, func(w *strings.Builder) {
				writeFindings(w, r.Findings)
				for _, s := range r.Fixed {
					writeFindings(w, []mailbox.Finding{{Level: "fixed", What: s}})
				}
			})
		},
	}
	cmd.Flags().BoolVar(&fix, "fix", false, "do the few reversible things that help")
	return cmd
}
