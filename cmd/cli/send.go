package cli

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newSend(a *app) *cobra.Command {
	var d mailbox.Draft
	var text bodyFlags
	var attach []string
	cmd := &cobra.Command{
		Use:   "send --to NAME[,NAME] -s SUBJECT",
		Short: "send a message",
		Long: `Sends a message to agents of this repository and prints its id. It is stored
when the command returns; no recipient has to be running.

Name@PROJECT is an agent of another repository on this machine, which a path in it
or its slug names; it gets a message there, from an agent of your name.

The text comes from -m, from -F, from standard input if that is no terminal,
else from your editor. It is Markdown and is stored as it is. So is a file sent
along; after "git config agentmail.images webp" a PNG or GIF is followed by a
smaller copy of it, as lossless WebP, where there is one.`,
		Example: `  git agentmail send --to GreenCastle -s "Starting auth" --thread FEAT-123 --ack -m "I hold src/auth."
  git agentmail send --to BlueLake,GreenCastle --importance high -s "Build is red" -F report.md
  go test ./... 2>&1 | git agentmail send --to BlueLake -s "Test output"`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withActor(cmd, func(ctx context.Context, b *mailbox.Box, who mailbox.Actor) (err error) {
				if d.Attach, err = attachments(attach); err != nil {
					return err
				}
				about := "Message to " + strings.Join(d.To, ", ") + ": " + d.Subject
				if d.Body, err = a.body(ctx, text, about); err != nil {
					return err
				}
				p := a.projects()
				defer p.Close()
				r, err := p.Send(ctx, b, who, d)
				if err != nil {
					return err
				}
				a.warn(r.Warnings)
				return a.answer(r, func(w *strings.Builder) { writeIDs(w, r.Deliveries) })
			})
		},
	}
	f := cmd.Flags()
	recipientFlags(cmd, &d.To, &d.CC, &d.BCC)
	f.VarP(wordFlag{&d.Subject, "TEXT"}, "subject", "s", "give the subject")
	text.register(cmd)
	f.Var(wordFlag{&d.Thread, "KEY"}, "thread", "put it into this thread, such as FEAT-123")
	f.Var(wordFlag{&d.Importance, "LEVEL"}, "importance", "say low, normal, high or urgent (default normal)")
	f.BoolVar(&d.AckRequired, "ack", false, "ask for an acknowledgement")
	f.Var(pathsFlag{&attach, "FILE"}, "attach", "send a file along; may be given several times")
	f.BoolVar(&d.Broadcast, "broadcast", false, "send to every agent active within 30 days, without --to")
	f.Var(wordFlag{&d.Topic, "WORD"}, "topic", "tag it with a topic")
	f.Var(wordFlag{&d.IdempotencyKey, "KEY"}, "idempotency-key", "send once only, however often this key is used")
	return cmd
}

func recipientFlags(cmd *cobra.Command, to, cc, bcc *[]string) {
	f := cmd.Flags()
	f.Var((*namesFlag)(to), "to", "send to these agents")
	f.Var((*namesFlag)(cc), "cc", "send a copy to these agents")
	f.Var((*namesFlag)(bcc), "bcc", "send a copy that the others do not see")
}

// writeIDs prints the ids of the messages that were made: one, unless the
// recipients are in several repositories.
func writeIDs(w *strings.Builder, list []mailbox.Delivery) {
	for _, d := range list {
		w.WriteString(d.Payload.ID + "\n")
	}
}

func attachments(names []string) ([]mailbox.AttachFile, error) {
	var list []mailbox.AttachFile
	for _, name := range names {
		// Reading a file of many gigabytes only to be told that it is too large helps nobody.
		if info, err := os.Stat(name); err == nil && info.Size() > mail.MaxAttachment {
			return nil, mail.Errorf(mail.Invalid, "%q is larger than %d MiB, the most that can be attached", name, mail.MaxAttachment>>20)
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, fileError(name, err)
		}
		list = append(list, mailbox.AttachFile{Name: filepath.Base(name), Data: data})
	}
	return list, nil
}
