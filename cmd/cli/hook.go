package cli

import (
	"context"
	"io"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

// newHook is what git's hooks call. It must never be the reason that git does
// not work: what it cannot do it says aloud, and lets a commit pass. A push
// leaves the machine, so there the doubt counts against it.
func newHook(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:    "hook EVENT [ARG...]",
		Short:  "run by git's hooks",
		Hidden: true,
		Args:   someArgs("the name of a git hook"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.hook(cmd.Context(), args[0], args[1:])
		},
	}
	cmd.Flags().SetInterspersed(false) // what follows the event is git's
	return cmd
}

func (a *app) hook(ctx context.Context, event string, args []string) error {
	if isAgentHook(event) {
		return a.agentHook(ctx, event, args)
	}
	r := mailbox.HookRequest{Event: event, Args: args}
	if leaves(event) {
		if screenOf(a.std.In).terminal { // a manager that calls us without the refs
			return a.doubt(event, mail.Errorf(mail.Unchecked, "the guard got no list of refs: standard input is a terminal").
				Hint("let the program that calls it pass on git's standard input"))
		}
		data, err := io.ReadAll(a.std.In)
		if err != nil {
			return a.doubt(event, mail.Errorf(mail.Unchecked, "standard input could not be read: %w", err))
		}
		r.Stdin = data
	}
	b, err := mailbox.Open(ctx, mailbox.Options{Environ: a.std.Env, Now: a.std.Now, Report: a.note, InHook: true})
	if err != nil {
		return a.doubt(event, err)
	}
	defer b.Close()
	v := b.Hook(ctx, r, func(ctx context.Context) (mailbox.Actor, error) { return a.who(ctx, b) })
	a.notes(v.Notes)
	switch {
	case v.Err == nil:
		return nil
	case v.Stop:
		return v.Err
	case a.json:
		a.fail(nil, v.Err)
	default:
		a.explain("warning", v.Err)
	}
	return nil
}

// doubt says why nothing was checked.
func (a *app) doubt(event string, err error) error {
	e := *mail.AsError(err)
	e.Message = "the guard could not check: " + e.Message
	a.fail(nil, &e)
	return exitStatus(unchecked(event))
}
