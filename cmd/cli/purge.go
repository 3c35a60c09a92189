package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newPurge(a *app) *cobra.Command {
	var older spanFlag
	var reason string
	var really bool
	cmd := &cobra.Command{
		Use:   "purge [--older TIME] [--delete]",
		Short: "stop showing what old messages said",
		Long: `Counts the messages that are older than some time and, with --delete, redacts
them: they are in no inbox and in no search any more, and where they stood a
thread shows that something was there. That is final. Their bytes stay in the
repository's objects, and in clones, until the logs they are in are truncated: see
"git agentmail truncate".`,
		Example: `  git agentmail purge
  git agentmail purge --older 90d --delete`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withActor(cmd, func(ctx context.Context, b *mailbox.Box, who mailbox.Actor) error {
				r, err := b.Purge(ctx, who, mailbox.PurgeRequest{Older: time.Duration(older), DryRun: !really, Reason: reason})
				if err != nil {
					return err
				}
				if !really && r.Messages > 0 && !a.json {
					a.say("with --delete they are redacted for good")
				}
				return a.answer(r, func(w *strings.Builder) {
					done := "from before"
					if really {
						done = "redacted, from before"
					}
					fmt.Fprintf(w, "%s %s %s\n", count(r.Messages, "message", "messages"), done, utc(r.CutoffDate))
				})
			})
		},
	}
	f := cmd.Flags()
	f.Var(&older, "older", "take messages older than this (default $RETENTION_MAX_AGE_DAYS, or 180d)")
	f.Var(wordFlag{&reason, "TEXT"}, "reason", "say why, in the log")
	f.BoolVar(&really, "delete", false, "redact them")
	return cmd
}
