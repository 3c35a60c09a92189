package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newPush(a *app) *cobra.Command {
	var upstream, force, lease, tags, followTags, del, dryRun, noVerify bool
	var option []string
	cmd := &cobra.Command{
		Use:   "push [REMOTE [REFSPEC...]]",
		Short: "push code under your strong reservations",
		Long: `Pushes what "git push" would push, together with the table of strong reservations
and in one step: if a strong reservation of yours was taken over meanwhile, or the
commits touch what another agent holds by one, nothing is pushed and the exit
status is 3. "git push" with the guard's hook checks first and pushes then, and
between the two somebody else may be faster.

REMOTE must be the one that keeps the strong reservations, and take several refs in
one step, as all common hosts do. Hooks run as with git push. The options are
git's own. Submodules are not pushed with it.`,
		Example: `  git agentmail push
  git agentmail push origin HEAD -u
  git agentmail push origin main --dry-run`,
		RunE: func(cmd *cobra.Command, args []string) error {
			r := mailbox.PushRequest{DryRun: dryRun, Stderr: a.std.Err}
			if a.json {
				r.Stderr = nil // an error is the only line there
			}
			if len(args) > 0 {
				r.Remote, r.Refspecs = args[0], args[1:]
			}
			if strings.HasPrefix(r.Remote, "-") {
				return mail.Errorf(mail.Usage, "%q is no remote", r.Remote).Hint("git agentmail push -h")
			}
			for _, v := range option {
				r.Options = append(r.Options, "--push-option="+v)
			}
			for _, o := range []struct {
				on   bool
				name string
				to   *[]string
			}{
				{upstream, "--set-upstream", &r.Options}, {lease, "--force-with-lease", &r.Options}, {noVerify, "--no-verify", &r.Options},
				{force, "--force", &r.Choice}, {tags, "--tags", &r.Choice}, {followTags, "--follow-tags", &r.Choice}, {del, "--delete", &r.Choice},
			} {
				if o.on {
					*o.to = append(*o.to, o.name)
				}
			}
			return a.withActor(cmd, func(ctx context.Context, b *mailbox.Box, who mailbox.Actor) error {
				res, err := b.Push(ctx, who, r)
				if err != nil {
					return err
				}
				return a.answer(res, func(w *strings.Builder) { writePush(w, res) })
			})
		},
	}
	f := cmd.Flags()
	f.BoolVarP(&upstream, "set-upstream", "u", false, "let the branch follow what is pushed")
	f.BoolVarP(&force, "force", "f", false, "also where it does not go on from what is there")
	f.BoolVar(&lease, "force-with-lease", false, "the same, but only if the ref is where it was last seen")
	f.BoolVar(&tags, "tags", false, "push all tags as well")
	f.BoolVar(&followTags, "follow-tags", false, "push the annotated tags of the commits as well")
	f.BoolVarP(&del, "delete", "d", false, "delete the refs at the remote")
	f.StringArrayVarP(&option, "push-option", "o", nil, "tell the remote's hooks something")
	f.BoolVarP(&dryRun, "dry-run", "n", false, "check and say what would be pushed")
	f.BoolVar(&noVerify, "no-verify", false, "do not run the pre-push hook")
	return cmd
}

// writePush says what became of a push, in git's own words.
func writePush(w *strings.Builder, r mailbox.PushResult) {
	moved := false
	for _, ref := range r.Refs {
		moved = moved || ref.Flag != "="
		from, to := strings.TrimPrefix(ref.From, "refs/heads/"), strings.TrimPrefix(ref.To, "refs/heads/")
		fmt.Fprintf(w, "%1s %s  %s\n", ref.Flag, escape(ref.Summary), escape(strings.TrimPrefix(from+" -> "+to, " -> ")))
	}
	under := ""
	if len(r.Held) > 0 {
		under = ", under your strong reservation of " + escape(strings.Join(r.Held, ", "))
	}
	switch {
	case !moved:
		fmt.Fprintf(w, "%s: nothing to push%s\n", escape(r.Remote), under)
	case r.DryRun:
		fmt.Fprintf(w, "%s: this would be pushed%s\n", escape(r.Remote), under)
	default:
		fmt.Fprintf(w, "%s: pushed%s\n", escape(r.Remote), under)
	}
}
