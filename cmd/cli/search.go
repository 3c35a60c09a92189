package cli

import (
	"context"
	"strings"

	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newSearch(a *app) *cobra.Command {
	var q mailbox.SearchQuery
	cmd := &cobra.Command{
		Use:   "search QUERY",
		Short: "find messages by their words",
		Long: `Finds messages by the words in their subjects and texts, newest first. All words
are required. Case and accents do not matter; parts of identifiers and paths are
words too: token and verify_token both find verifyToken, auth/jwt.go finds
src/auth/jwt.go.

  "a phrase"   these words one after the other
  mig*         words that begin so
  subject:x    in the subject (or body:x)
  AND OR NOT   and parentheses`,
		Example: `  git agentmail search 'verify_token'
  git agentmail search '"connection reset" NOT staging' --since 7d
  git agentmail search 'subject:release (v2 OR v3)' --from BlueLake --rank`,
		Args: someArgs("what to search for"),
		RunE: func(cmd *cobra.Command, args []string) error {
			q.Query = strings.Join(args, " ")
			return a.withActor(cmd, func(ctx context.Context, b *mailbox.Box, who mailbox.Actor) error {
				hits, err := b.Search(ctx, who, q)
				if err != nil {
					return err
				}
				if len(hits) == 0 && !a.json {
					a.say("nothing found")
				}
				return a.answer(list(hits), func(w *strings.Builder) {
					for _, h := range hits {
						w.WriteString(escape(h.ID) + "  " + a.when(h.CreatedTS) + "  " + short(h.From, 24) + "  " + a.marked(h.Subject, h.SubjectHits) + "\n")
						if h.Snippet != "" {
							w.WriteString(bodyLine + a.marked(h.Snippet, h.Hits) + "\n")
						}
					}
				})
			})
		},
	}
	f := cmd.Flags()
	f.Var(wordFlag{&q.From, "NAME"}, "from", "only those that this agent sent")
	f.Var(wordFlag{&q.To, "NAME"}, "to", "only those that went to this agent")
	f.Var(sinceFlag{&q.Since, a.std.Now}, "since", "only newer ones than 2h (ago) or 2026-11-20T10:00Z")
	f.Var(sinceFlag{&q.Until, a.std.Now}, "until", "only those up to then")
	f.Var(wordFlag{&q.Thread, "KEY"}, "thread", "only those of this thread")
	f.Var(wordFlag{&q.Importance, "LEVEL"}, "importance", "only those that are low, normal, high or urgent")
	f.BoolVar(&q.Rank, "rank", false, "the best first instead of the newest")
	pageFlags(cmd, &q.Page)
	return cmd
}

// marked writes a text by somebody else with what was found in it made bold, on a
// terminal.
func (a *app) marked(text string, hits [][2]int) string {
	bold, plain := "\x1b[1m", "\x1b[0m"
	if a.red(&a.out, "") == "" {
		bold, plain = "", ""
	}
	var w strings.Builder
	at := 0
	for _, h := range hits {
		w.WriteString(escape(text[at:h[0]]) + bold + escape(text[h[0]:h[1]]) + plain)
		at = h[1]
	}
	return w.String() + escape(text[at:])
}
