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

func newVerify(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "check every stored record",
		Long: `Reads every record of every log and says which are damaged, and which logs are not
signed by the clone whose they are. Nothing is changed.
The exit status is 7 if there is a problem.`,
		Example: `  git agentmail verify --json`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withBox(cmd, func(ctx context.Context, b *mailbox.Box) error {
				progress, end := a.progress("verify")
				r, err := b.Verify(ctx, progress)
				end()
				if err != nil && mail.CodeOf(err) != mail.Corrupt {
					return err
				}
				r.Problems = list(r.Problems)
				if perr := a.answer(r, func(w *strings.Builder) {
					fmt.Fprintf(w, "%s in %s checked, %s\n", count(r.Records, "record", "records"), count(r.Logs, "log", "logs"),
						count(len(r.Problems), "problem", "problems"))
					if r.Unknown > 0 {
						fmt.Fprintf(w, "%s of a newer version, kept as they are\n", count(r.Unknown, "record", "records"))
					}
					writeFindings(w, r.Problems)
				}); perr != nil {
					return perr
				}
				return err
			})
		},
	}
}

func writeFindings(w *strings.Builder, list []mailbox.Finding) {
	for _, f := range list {
		fmt.Fprintf(w, "%-8s %s\n", f.Level, escape(f.What))
		if f.Hint != "" {
			fmt.Fprintf(w, "%-8s %s\n", "", escape(f.Hint))
		}
	}
}

// progress returns a function that draws a bar on a terminal, and one that
// wipes it away.
func (a *app) progress(what string) (step func(done, total int), end func()) {
	if !a.err.terminal || a.quiet {
		return func(int, int) {}, func() {}
	}
	var last time.Time
	step = func(done, total int) {
		now := a.std.Now()
		if total <= 0 || now.Sub(last) < 100*time.Millisecond {
			return
		}
		last = now
		const wide = 30
		n := min(wide, done*wide/total)
		fmt.Fprintf(a.std.Err, "\r%s [%s%s] %d of %d", what, strings.Repeat("#", n), strings.Repeat(".", wide-n), done, total)
	}
	end = func() {
		if !last.IsZero() {
			fmt.Fprint(a.std.Err, "\r\x1b[K")
		}
	}
	return step, end
}
