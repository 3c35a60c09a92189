package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newReserve(a *app) *cobra.Command {
	var r mailbox.ReserveRequest
	var ttl spanFlag
	cmd := &cobra.Command{
		Use:   "reserve PATTERN...",
		Short: "reserve files",
		Long: `Reserves what the patterns cover: until the reservation ends, commits of other
agents that touch it are refused. Either all patterns are granted or none; if
somebody holds what one of them covers, nothing is written and the exit status
is 3. Reserving your own pattern again renews it.

With --strong they also stand in a table at the remote that mail is exchanged with,
where two clones never both get what crosses: without it a clone learns of the
others' reservations with the next sync. "git agentmail push" then pushes only what
is still yours. Where the remote is not reached the reservation is one like any
other, and becomes strong, or is lost, with the first sync that goes through.

Patterns are relative to the root of the repository, wherever you are. Quote
them, so that the shell does not expand them. See "git agentmail help patterns".`,
		Example: `  git agentmail reserve 'src/auth/**' --ttl 1h --reason "token refactor"
  git agentmail reserve README.md 'docs/*.md' --shared
  git agentmail reserve 'src/**' 'test/**' --partial
  git agentmail reserve 'db/migrations/**' --strong`,
		Args: someArgs("a pattern such as 'src/auth/**'"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Patterns, r.TTL = args, time.Duration(ttl)
			return a.withActor(cmd, func(ctx context.Context, b *mailbox.Box, who mailbox.Actor) error {
				res, err := b.Reserve(ctx, who, r)
				if err != nil && mail.CodeOf(err) != mail.Conflict {
					return err
				}
				a.warn(res.Warnings)
				if err == nil {
					a.warn(conflictLines(res))
				}
				res.Granted, res.Conflicts = list(res.Granted), list(res.Conflicts)
				if perr := a.answer(res, func(w *strings.Builder) { a.writeGranted(w, res.Granted) }); perr != nil {
					return perr
				}
				return err
			})
		},
	}
	f := cmd.Flags()
	f.Var(&ttl, "ttl", "hold it this long, at most 30d (default 1h)")
	f.BoolVar(&r.Shared, "shared", false, "let others reserve it too if they also share")
	f.Var(wordFlag{&r.Reason, "TEXT"}, "reason", "say why, for those who are stopped")
	f.BoolVar(&r.Strong, "strong", false, "have the remote keep it, for all clones at once")
	f.BoolVar(&r.Partial, "partial", false, "grant what is free and list the rest")
	return cmd
}

func (a *app) writeGranted(w *strings.Builder, rows []mailbox.Granted) {
	t := table{head: []string{"ID", "MODE", "FILES", "UNTIL", "PATTERN"}}
	for _, g := range rows {
		t.add(g.ID, leaseMode(g.Exclusive, g.Strong), fmt.Sprint(g.Files), a.when(g.ExpiresTS), g.PathPattern)
	}
	t.write(w, a.out)
}

func leaseMode(exclusive, strong bool) string {
	mode := "shared"
	if exclusive {
		mode = "exclusive"
	}
	if strong {
		mode += ", strong"
	}
	return mode
}

// maxLines is the longest list in a message beside the answer.
const maxLines = 10

// conflictLines says who holds what was not granted or, where reservations are
// only advisory, was granted all the same.
func conflictLines(res mailbox.ReserveResult) []string {
	was := "was not granted"
	if res.Advisory {
		was = "is yours as well"
	}
	var lines []string
	for _, c := range res.Conflicts {
		for _, h := range c.Holders {
			line := fmt.Sprintf("%q %s: %s holds %q until %s", short(c.Path, maxText), was, h.Agent, short(h.PathPattern, maxText), utc(h.ExpiresTS))
			if h.Witness != "" {
				line += fmt.Sprintf(", which also covers %q", short(h.Witness, maxText))
			}
			lines = append(lines, line)
		}
	}
	if more := len(lines) - maxLines; more > 0 {
		lines = append(lines[:maxLines], fmt.Sprintf("and %d more", more))
	}
	return lines
}
