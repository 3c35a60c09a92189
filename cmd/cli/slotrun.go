package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

// runGrace is how long a command may go on after it was told to stop.
const runGrace = 10 * time.Second

func newSlotRun(a *app) *cobra.Command {
	var r mailbox.SlotRequest
	var ttl spanFlag
	var block bool
	cmd := &cobra.Command{
		Use:   "run SLOT -- COMMAND [ARG...]",
		Short: "hold a build slot while a command runs",
		Long: `Takes a build slot, runs a command, renews the slot while it runs and gives it back
after it. The exit status is that of the command. In its environment are AM_SLOT,
SLUG, PROJECT_UID, BRANCH, AGENT and CACHE_KEY, a name for a cache of its own.`,
		Example: `  git agentmail slot run build -- make test
  git agentmail slot run e2e --block-on-conflicts -- ./e2e.sh`,
		Args: argsBetween(2, 1<<20, "a slot and, behind --, a command"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Slot, r.TTL = args[0], time.Duration(ttl)
			return a.withActor(cmd, func(ctx context.Context, b *mailbox.Box, who mailbox.Actor) error {
				res, err := b.AcquireSlot(ctx, who, r)
				if err != nil {
					return err
				}
				defer func() { // also after an interrupt
					if _, err := b.ReleaseSlot(context.WithoutCancel(ctx), who, r.Slot); err != nil {
						a.notef("the slot was not given back: %v", err)
					}
				}()
				a.notes(slotConflicts(res))
				if block && len(res.Conflicts) > 0 {
					return mail.Errorf(mail.Conflict, "%q is held by %s; nothing was run", r.Slot, res.Conflicts[0].Agent).Hint("git agentmail slot list")
				}
				id, err := b.Identity(ctx)
				if err != nil {
					return err
				}
				held := res.Granted
				env := slices.Concat(a.std.Env, []string{"AM_SLOT=" + held.Slot, "SLUG=" + id.Slug, "PROJECT_UID=" + id.ProjectUID, "BRANCH=" + held.Branch, "AGENT=" + held.Agent,
					fmt.Sprintf("CACHE_KEY=am-cache-%s-%s-%s", id.ProjectUID, held.Agent, held.Branch)})
				keeping, stop := context.WithCancel(ctx)
				done := make(chan struct{})
				go func() {
					defer close(done)
					a.keepSlot(keeping, b, who, held)
				}()
				err = a.run(ctx, args[1:], env)
				stop()
				<-done
				return err
			})
		},
	}
	slotFlags(cmd, &ttl, &r.Shared)
	cmd.Flags().BoolVar(&block, "block-on-conflicts", false, "run nothing if somebody else holds it")
	return cmd
}

// keepSlot renews a slot until ctx ends.
func (a *app) keepSlot(ctx context.Context, b *mailbox.Box, who mailbox.Actor, held mailbox.Slot) {
	ttl := held.ExpiresTS.Time().Sub(a.std.Now())
	tick := time.NewTicker(max(ttl/2, time.Second))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if _, err := b.RenewSlot(ctx, who, held.Slot, ttl); err != nil && ctx.Err() == nil {
				a.notef("the slot was not renewed: %v", err)
			}
		}
	}
}

// run runs a command with our own standard streams, and ends as it does.
func (a *app) run(ctx context.Context, args, env []string) error {
	c := exec.CommandContext(ctx, args[0], args[1:]...)
	c.Env, c.Stdin, c.Stdout, c.Stderr = env, a.std.In, a.std.Out, a.std.Err
	c.Cancel, c.WaitDelay = func() error { return c.Process.Signal(os.Interrupt) }, runGrace
	err := c.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return exitStatus(exit.ExitCode())
	case ctx.Err() != nil:
		return mail.Errorf(mail.Cancelled, "%q was interrupted", args[0])
	}
	return mail.Errorf(mail.Invalid, "%q could not be run: %w", args[0], err)
}
