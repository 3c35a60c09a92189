package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newAgents(a *app) *cobra.Command {
	var page mailbox.Page
	cmd := &cobra.Command{
		Use:   "agents",
		Short: "list the agents",
		Long: `Lists everybody who can be written to, with what they run, when they were last
active, what they hold and how much mail they have not read, in order of
registration. Agents of other clones are marked: only their own clone can act as
them.`,
		Example: `  git agentmail agents --json
  git agentmail agents -n 20 --before BlueLake`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withBox(cmd, func(ctx context.Context, b *mailbox.Box) error {
				rows, err := b.Agents(ctx, page)
				if err != nil {
					return err
				}
				switch {
				case len(rows) > 0 || a.json:
				case page.Before != "":
					a.say("no agents registered before %s", short(page.Before, maxText))
				default:
					a.say("no agents; git agentmail register --program NAME --model NAME makes one")
				}
				return a.answer(list(rows), func(w *strings.Builder) { a.writeAgents(w, rows) })
			})
		},
	}
	longPageFlags(cmd, &page, "NAME")
	return cmd
}

func (a *app) writeAgents(w *strings.Builder, rows []mailbox.AgentRow) {
	t := table{head: []string{"NAME", "PROGRAM", "MODEL", "ACTIVE", "UNREAD", "HOLDS", "TASK"}}
	for _, r := range rows {
		t.add(agentName(r.Agent), short(r.Program, 20), short(r.Model, 20), a.ago(r.LastActiveTS),
			fmt.Sprint(r.Unread), fmt.Sprint(r.Reservations), r.TaskDescription)
	}
	t.write(w, a.out)
}

// agentName is a name with what makes it special.
func agentName(g mailbox.Agent) string {
	switch {
	case g.Person != "":
		return fmt.Sprintf("%s (%s, a person)", short(g.Name, 24), short(g.Person, 24))
	case !g.Local:
		return short(g.Name, 24) + " (other clone)"
	}
	return short(g.Name, 24)
}

func newWhois(a *app) *cobra.Command {
	commits := 5
	cmd := &cobra.Command{
		Use:     "whois NAME",
		Short:   "show one agent",
		Example: `  git agentmail whois BlueLake -n 10`,
		Args:    oneArg("the name of an agent"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withBox(cmd, func(ctx context.Context, b *mailbox.Box) error {
				r, err := b.Whois(ctx, args[0], commits)
				if err != nil {
					return err
				}
				r.RecentCommits = list(r.RecentCommits)
				return a.answer(r, func(w *strings.Builder) { a.writeWhois(w, r) })
			})
		},
	}
	cmd.Flags().VarP(countFlag{&commits}, "limit", "n", "show this many recent events (default 5)")
	return cmd
}

func (a *app) writeWhois(w *strings.Builder, r mailbox.Whois) {
	home := "this clone"
	if !r.Local {
		home = "another clone"
	}
	fields(w, "name", escape(r.Name), "person", escape(r.Person), "program", escape(r.Program), "model", escape(r.Model),
		"task", short(r.TaskDescription, maxText), "since", a.when(r.InceptionTS), "active", a.when(r.LastActiveTS),
		"contact", escape(r.ContactPolicy), "of", home, "unread", fmt.Sprint(r.Unread), "holds", count(r.Reservations, "reservation", "reservations"))
	if len(r.RecentCommits) == 0 {
		return
	}
	w.WriteString("\n")
	t := table{head: []string{"COMMIT", "AGE", "WHAT"}}
	for _, c := range r.RecentCommits {
		t.add(c.SHA[:min(10, len(c.SHA))], a.ago(c.AuthoredTS), c.Summary)
	}
	t.write(w, a.out)
}
