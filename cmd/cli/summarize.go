package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newSummarize(a *app) *cobra.Command {
	var q mailbox.SummaryQuery
	var path string
	cmd := &cobra.Command{
		Use:   "summarize THREAD... | --path PATH",
		Short: "say in short what threads say",
		Long: `Says who takes part in a thread, its key points, what is to be done and what is
done, who is mentioned and which files are named. A thread is named by its key or
by the id of a message in it; of several threads it also says what they say
together. With --path: who holds a file, and what the threads that name it say.

It goes by the look of the messages: lists are key points, "- [ ]" and "- [x]" are
actions, and so are lines with TODO, ACTION, FIXME, NEXT or BLOCKED. With --refine
a language model puts that into better words. For that the messages are sent to
the server that you name, one that speaks as OpenAI's does; beyond this machine
only with TLS. If it fails, the summary is the one without it.

  AGENTMAIL_LLM_URL    such as http://localhost:11434/v1
  AGENTMAIL_LLM_MODEL  the model
  AGENTMAIL_LLM_KEY    the key, if there is one

What stands behind "  | " was written by others. This verb is run by
git-agentmail-mcp, which is installed with git-agentmail.`,
		Example: `  git agentmail summarize FEAT-123
  git agentmail summarize FEAT-123 BUG-7 --tokens 500 --json
  git agentmail summarize --path src/auth/jwt.go`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch byPath := cmd.Flags().Changed("path"); {
			case byPath && len(args) > 0:
				return mail.Errorf(mail.Usage, "summarize takes --path or threads, not also %q", args[0]).Hint("%s -h", cmd.CommandPath())
			case !byPath && cmd.Flags().Changed("threads"):
				return mail.Errorf(mail.Usage, "--threads goes with --path").Hint("%s -h", cmd.CommandPath())
			case !byPath:
				return someArgs("the key of a thread, or --path")(cmd, args)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if a.std.Digest.Summarize == nil {
				return a.handOver()
			}
			return a.withActor(cmd, func(ctx context.Context, b *mailbox.Box, who mailbox.Actor) error {
				switch {
				case cmd.Flags().Changed("path"):
					s, err := b.SummarizePath(ctx, who, path, q)
					if err != nil {
						return err
					}
					return a.answerPath(s)
				case len(args) > 1:
					s, err := b.SummarizeThreads(ctx, who, args, q)
					if err != nil {
						return err
					}
					a.notRefined(s.Refinement)
					return a.answer(s, func(w *strings.Builder) { a.writeSummaries(w, s) })
				}
				s, err := b.SummarizeThread(ctx, who, args[0], q)
				if err != nil {
					return err
				}
				a.notRefined(s.Refinement)
				return a.answer(s, func(w *strings.Builder) { a.writeSummary(w, s) })
			})
		},
	}
	f := cmd.Flags()
	f.Var(wordFlag{&path, "PATH"}, "path", "summarize what is going on around this file or directory")
	f.VarP(countFlag{&q.Messages}, "limit", "n", "read at most this many messages of a thread, the newest (default "+strconv.Itoa(mailbox.DefaultSummaryMessages)+")")
	f.Var(countFlag{&q.Threads}, "threads", "with --path, take at most this many threads (default "+strconv.Itoa(mailbox.DefaultSummaryThreads)+")")
	f.Var(countFlag{&q.Tokens}, "tokens", "drop what matters least until all fits into this many, of four bytes each")
	f.BoolVar(&q.Refine, "refine", false, "let a language model word it, if one is configured")
	return cmd
}

func (a *app) answerPath(s mailbox.PathSummary) error {
	if len(s.Threads) == 0 && len(s.Reservations) == 0 && !a.json {
		a.say("nothing found")
		return nil
	}
	a.notRefined(s.Refinement)
	switch n := len(s.Threads); {
	case !s.More || a.json:
	case n < mailbox.MaxSummaryThreads:
		a.notef("older threads are left out, --threads %d shows more", min(2*n, mailbox.MaxSummaryThreads))
	default:
		a.note("older threads are left out")
	}
	return a.answer(s, func(w *strings.Builder) {
		if len(s.Reservations) == 0 {
			fmt.Fprintf(w, "%s is not reserved\n", escape(s.Path))
		}
		a.writeReservations(w, s.Reservations)
		if len(s.Threads) > 0 {
			w.WriteString("\n")
			a.writeSummaries(w, s.ThreadSummaries)
		}
	})
}

// notRefined says that a language model was asked for in vain.
func (a *app) notRefined(r *mailbox.Refinement) {
	if r != nil && !r.Refined && !a.json {
		a.notef("not refined: %s", r.RefineError)
	}
}

func (a *app) writeSummaries(w *strings.Builder, s mailbox.ThreadSummaries) {
	for i, t := range s.Threads {
		if i > 0 {
			w.WriteString("\n")
		}
		a.writeSummary(w, t)
	}
	if len(s.Threads) == 1 && s.Refinement == nil {
		return // together it says the same
	}
	w.WriteString("\n")
	fields(w, "together", count(len(s.Threads), "thread", "threads"), "words", refined(s.Refinement))
	a.writeActions(w, s.Aggregate.KeyPoints, s.Aggregate.ActionItems)
	a.writeMentions(w, s.Aggregate.TopMentions)
}

func (a *app) writeSummary(w *strings.Builder, t mailbox.ThreadSummary) {
	s := t.Summary
	messages, actions := strconv.Itoa(s.TotalMessages), ""
	if t.MessagesRead < s.TotalMessages {
		messages += fmt.Sprintf(", of which the newest %d were read", t.MessagesRead)
	}
	if s.OpenActions+s.DoneActions > 0 {
		actions = fmt.Sprintf("%d open, %d done", s.OpenActions, s.DoneActions)
	}
	fields(w, "thread", escape(t.ThreadID), "messages", messages, "from", escape(strings.Join(s.Participants, ", ")),
		"actions", actions, "words", refined(t.Refinement))
	a.writeActions(w, s.KeyPoints, s.ActionItems)
	a.writeMentions(w, s.Mentions)
	a.section(w, "files", s.CodeReferences)
}

// refined says whose the words of a summary are, if not those of the messages.
func refined(r *mailbox.Refinement) string {
	if r != nil && r.Refined {
		return "by a language model"
	}
	return ""
}

func (a *app) writeActions(w *strings.Builder, points, actions []string) {
	var open, done []string
	for _, s := range actions {
		if strings.HasPrefix(s, mail.DoneMark) {
			done = append(done, s)
		} else {
			open = append(open, s)
		}
	}
	a.section(w, "key points", points)
	a.section(w, "open actions", open)
	a.section(w, "done actions", done)
}

func (a *app) writeMentions(w *strings.Builder, list []mail.Mention) {
	var texts []string
	for _, m := range list {
		texts = append(texts, fmt.Sprintf("%s (%d)", m.Name, m.Count))
	}
	if len(texts) > 0 {
		a.section(w, "mentions", []string{strings.Join(texts, ", ")})
	}
}

// section writes texts by others under a title, narrow enough to be read.
func (a *app) section(w *strings.Builder, title string, list []string) {
	if len(list) == 0 {
		return
	}
	w.WriteString(title + "\n")
	room := maxText
	if a.out.width > 0 {
		room = min(room, max(a.out.width, 30))
	}
	for _, s := range list {
		for i, line := range wrap(escape(s), room-len(bodyLine)-2) {
			if i > 0 {
				line = "  " + line
			}
			w.WriteString(bodyLine + line + "\n")
		}
	}
}

// wrap breaks a text between words into lines of at most n characters, where it can.
func wrap(s string, n int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(s) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > n {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
