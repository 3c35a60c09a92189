package cli

import (
	"context"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newWait(a *app) *cobra.Command {
	limit := waitFlag{spanFlag(5 * time.Minute)}
	cmd := &cobra.Command{
		Use:   "wait",
		Short: "wait for a message to you",
		Long: `Waits until there is a message to you that arrived since your last "git agentmail
wait" in this clone ended and that you have not marked as read, and shows it as
"git agentmail inbox" does. If there is one already it does not wait. Your first
wait begins now: what arrived before is in the inbox. If nothing arrives in time,
the answer is empty and the exit status 0.

What was shown is noted after it was shown. If this is killed between the two,
the next wait shows it again; no message is left out. Where that note cannot be
read or written, as in a repository that is read-only, each wait shows the newest
of your unread mail, and says so.`,
		Example: `  git agentmail wait --as GreenCastle --timeout 10m
  git agentmail wait --timeout 0`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withActor(cmd, func(ctx context.Context, b *mailbox.Box, who mailbox.Actor) error {
				return b.Wait(ctx, who, time.Duration(limit.spanFlag), func(rows []mailbox.InboxRow) error {
					switch {
					case len(rows) > 0 || a.json:
					case limit.spanFlag == 0:
						a.say("nothing has arrived")
					default:
						a.say("nothing arrived in %s", span(time.Duration(limit.spanFlag)))
					}
					return a.answer(list(rows), func(w *strings.Builder) { a.writeInbox(w, rows) })
				})
			})
		},
	}
	cmd.Flags().Var(&limit, "timeout", "give up after this time; 0 only looks (default 5m)")
	return cmd
}

// waitFlag is a length of time that may be none.
type waitFlag struct{ spanFlag }

func (f *waitFlag) Set(s string) error {
	if s == "0" || s == "0s" {
		f.spanFlag = 0
		return nil
	}
	return f.spanFlag.Set(s)
}
