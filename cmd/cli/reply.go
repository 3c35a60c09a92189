package cli

import (
	"context"
	"strings"

	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newReply(a *app) *cobra.Command {
	var d mailbox.ReplyDraft
	var text bodyFlags
	cmd := &cobra.Command{
		Use:   "reply ID",
		Short: "answer a message in its thread",
		Long: `Answers the message with this id (four or more of its first characters will
do) and prints the id of the answer. Thread, importance and the wish for an
acknowledgement are those of the message; it goes to its sender unless --to
says otherwise.`,
		Example: `  git agentmail reply k3v9 -m "Done, src/auth is yours."`,
		Args:    oneArg("the id of a message"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withActor(cmd, func(ctx context.Context, b *mailbox.Box, who mailbox.Actor) (err error) {
				if d.Body, err = a.body(ctx, text, "Answer to "+args[0]); err != nil {
					return err
				}
				r, err := b.Reply(ctx, who, args[0], d)
				if err != nil {
					return err
				}
				a.warn(r.Warnings)
				return a.answer(r, func(w *strings.Builder) { writeIDs(w, r.Deliveries) })
			})
		},
	}
	recipientFlags(cmd, &d.To, &d.CC, &d.BCC)
	text.register(cmd)
	f := cmd.Flags()
	f.Var(wordFlag{&d.SubjectPrefix, "TEXT"}, "subject-prefix", `begin the subject with this (default "Re:")`)
	f.Var(wordFlag{&d.IdempotencyKey, "KEY"}, "idempotency-key", "send once only, however often this key is used")
	return cmd
}
