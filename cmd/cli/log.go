package cli

import (
	"context"
	"strings"

	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newLog(a *app) *cobra.Command {
	var q mailbox.LogQuery
	cmd := &cobra.Command{
		Use:   "log",
		Short: "list what happened",
		Long: `Lists what happened in the mailbox, newest first, one line per event. With
--path: who reserved, committed or discussed a file.`,
		Example: `  git agentmail log -n 50
  git agentmail log --agent BlueLake
  git agentmail log --path src/auth/token.go`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withActor(cmd, func(ctx context.Context, b *mailbox.Box, who mailbox.Actor) error {
				rows, err := b.Log(ctx, who, q)
				if err != nil {
					return err
				}
				if len(rows) == 0 && !a.json {
					a.say("nothing to tell")
				}
				return a.answer(list(rows), func(w *strings.Builder) {
					head := []string{"ID", "AGE", "AGENT", "EVENT", "WHAT"}
					if a.wide() {
						head = []string{"ID", "AGE", "DATE", "AGENT", "EVENT", "WHAT"}
					}
					t := table{head: head}
					for _, e := range rows {
						cells := []string{e.ID, a.ago(e.TS)}
						if a.wide() {
							cells = append(cells, utc(e.TS))
						}
						t.add(append(cells, dash(short(e.Agent, 24)), short(e.Kind, 16), e.Summary)...)
					}
					t.write(w, a.out)
				})
			})
		},
	}
	f := cmd.Flags()
	f.Var(wordFlag{&q.Agent, "NAME"}, "agent", "list only what this agent did")
	f.Var(wordFlag{&q.Path, "PATH"}, "path", "list only what concerns this path")
	pageFlags(cmd, &q.Page)
	return cmd
}
