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

func newSync(a *app) *cobra.Command {
	var watch bool
	var every spanFlag
	var bundle string
	cmd := &cobra.Command{
		Use:   "sync [REMOTE]",
		Short: "exchange mail with a remote",
		Long: `Fetches what other clones wrote, then pushes what this one has, through git and
with your credentials for REMOTE: a name of "git remote", a URL or a path. Without
one it is done with those that it was done with before, else with the one remote
there is, or origin. Until the first sync, or "init --remote NAME", nothing of the
mailbox leaves this clone; ordinary pushes and fetches never carry it.

A remote that does not answer, or refuses, costs nothing but time: the exit status
is 6, and everything stays in this clone for the next sync. --watch goes on until
it is interrupted: ten seconds after a push at the earliest it pushes what was
written since, and it asks for news every 30 seconds.

Mail goes as refs/agentmail/log/, which nobody sees in a list of branches. A remote
that refuses those gets branches agentmail/ instead. Where only branches of some
prefix may be pushed, as from the sandboxes of coding agents, set it:
git config agentmail.refPrefix PREFIX, or $AGENTMAIL_REF. Others need not know it.

What is pushed is signed with this clone's key, and another clone's log is believed if
it is signed with the key it had when it was seen first (agentmail.trust, see "git
agentmail help format"). What is refused is said, with what to do.

With --bundle FILE no network is needed: what FILE holds is taken in, then FILE is
written with all that this clone has. Carry it to the other clone and do the same.`,
		Example: `  git agentmail sync
  git agentmail sync origin --watch
  git agentmail sync --bundle /media/stick/mail.bundle`,
		Args: argsBetween(0, 1, "at most one remote"),
		RunE: func(cmd *cobra.Command, args []string) error {
			remote := ""
			if len(args) > 0 {
				remote = args[0]
			}
			if bundle != "" && (remote != "" || watch) {
				return mail.Errorf(mail.Usage, "--bundle goes with no remote and not with --watch").Hint("git agentmail sync --bundle FILE")
			}
			return a.withBox(cmd, func(ctx context.Context, b *mailbox.Box) error {
				switch {
				case bundle != "":
					r, err := b.SyncBundle(ctx, bundle)
					if err != nil {
						return err
					}
					return a.answer(r, func(w *strings.Builder) { writeSync(w, r) })
				case watch:
					err := b.KeepSynced(ctx, remote, time.Duration(every), func(r mailbox.SyncResult) {
						if a.json {
							a.printJSON(r)
							return
						}
						var w strings.Builder
						writeSync(&w, r)
						a.print(w.String())
					})
					if ctx.Err() != nil { // an interrupt is how this ends
						return exitStatus(mail.Cancelled.Exit())
					}
					return err
				}
				list, err := b.Sync(ctx, remote)
				if err != nil && len(list) == 0 {
					return err
				}
				if perr := a.answer(list, func(w *strings.Builder) {
					for _, r := range list {
						writeSync(w, r)
					}
				}); perr != nil {
					return perr
				}
				return err
			})
		},
	}
	f := cmd.Flags()
	f.BoolVar(&watch, "watch", false, "go on until interrupted")
	f.Var(&every, "every", "with --watch, ask for news so often (default 30s)")
	f.Var(wordFlag{&bundle, "FILE"}, "bundle", "exchange through a file instead of a remote")
	return cmd
}

// writeSync says what an exchange did. What failed is said by the error.
func writeSync(w *strings.Builder, r mailbox.SyncResult) {
	var did []string
	if r.Fetched > 0 {
		what := "no message, but other news"
		if r.Messages > 0 {
			what = count(r.Messages, "message", "messages")
		}
		did = append(did, fmt.Sprintf("%s from %s", what, count(r.Fetched, "clone", "clones")))
	}
	if r.Pushed > 0 {
		did = append(did, fmt.Sprintf("%s of this clone sent", count(r.Pushed, "commit", "commits")))
	}
	if n := len(r.Restored); n > 0 {
		did = append(did, fmt.Sprintf("%s put back that something had removed there", count(n, "log", "logs")))
	}
	if r.Retired > 0 {
		did = append(did, fmt.Sprintf("%s of idle clones put into an archive there", count(r.Retired, "log", "logs")))
	}
	if len(did) == 0 && r.Error == nil {
		did = append(did, "nothing new")
	}
	if len(did) > 0 {
		fmt.Fprintf(w, "%s: %s\n", escape(r.Remote), strings.Join(did, ", "))
	}
	for _, f := range r.Refused {
		fmt.Fprintf(w, "refused  the log %s: %s\n", escape(f.Replica), escape(f.Why))
	}
	for _, s := range r.Notices {
		fmt.Fprintf(w, "notice   %s\n", escape(s))
	}
}
