package cli

import (
	"context"
	"strings"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newRegister(a *app) *cobra.Command {
	var r mailbox.RegisterRequest
	cmd := &cobra.Command{
		Use:   "register [NAME] --program P --model M",
		Short: "create an agent, or refresh it",
		Long: `Creates an agent in this repository, or refreshes the one of that name, and
prints its name: go on with the name that is printed. Without NAME it gets the
one that this terminal window remembers (see window), or a memorable one. A name
that no agent can bear is replaced, which is said on stderr; with
AGENT_NAME_ENFORCEMENT_MODE=strict it is an error. The token in the JSON answer
proves who it is to deregister, until the next registration; nobody has to have
it.`,
		Example: `  git agentmail register BlueLake --program claude-code --model opus
  git agentmail register --program codex --model gpt-5 --here
  name=$(git agentmail register --program gemini --model pro)`,
		Args: argsBetween(0, 1, "at most one name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Name = a.as // who says --as NAME to register means the same
			if len(args) > 0 {
				if a.as != "" && a.as != args[0] {
					return mail.Errorf(mail.Usage, "register was given two names, %q and %q", short(args[0], maxText), short(a.as, maxText)).
						Hint("git agentmail register %s --program P --model M", args[0])
				}
				r.Name = args[0]
			}
			r.Window = a.getenv("MCP_AGENT_MAIL_WINDOW_ID")
			return a.withBox(cmd, func(ctx context.Context, b *mailbox.Box) error {
				agent, err := b.Register(ctx, r)
				if err != nil {
					return err
				}
				if agent.RequestedName != "" {
					a.notef("the name %q was replaced by %q; use that one", short(agent.RequestedName, maxText), agent.Name)
				}
				if who, err := a.who(ctx, b); err == nil && who.Kind == mailbox.IsUnidentified && who.Given == "" {
					a.notef("nobody knows yet that you are %s: export AGENTMAIL_AGENT=%s, or give --as %s each time", agent.Name, agent.Name, agent.Name)
				}
				if r.Adopt {
					a.notef("%q is now an agent of this clone; the clone that had it can no longer act as it", agent.Name)
				}
				return a.answer(agent, func(w *strings.Builder) { w.WriteString(agent.Name + "\n") })
			})
		},
	}
	f := cmd.Flags()
	f.Var(wordFlag{&r.Program, "NAME"}, "program", "name the coding agent's program, such as claude-code")
	f.Var(wordFlag{&r.Model, "NAME"}, "model", "name the language model")
	f.Var(wordFlag{&r.Task, "TEXT"}, "task", "say what it works on")
	f.Var(wordFlag{&r.Attachments, "POLICY"}, "attachments", "keep attachments auto, inline or as file (default auto)")
	f.BoolVar(&r.Here, "here", false, "make it the agent of this worktree, who acts when nobody is named")
	f.BoolVar(&r.Adopt, "adopt", false, "take over the agent NAME that another clone registered")
	f.BoolVar(&r.New, "new", false, "make another agent, also if NAME is taken")
	return cmd
}
