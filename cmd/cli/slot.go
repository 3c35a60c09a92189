package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newSlot(a *app) *cobra.Command {
	return group(a, &cobra.Command{
		Use:   "slot",
		Short: "tell each other who runs the build",
		Long: `A build slot is a name, such as build or e2e, by which agents tell each other that
something runs of which one at a time is enough. It is always granted; who else
holds it is said. The holder is an agent on a branch, and need not be registered.`,
	}, newSlotAcquire(a), newSlotRenew(a), newSlotRelease(a), newSlotList(a), newSlotRun(a))
}

func newSlotAcquire(a *app) *cobra.Command {
	var r mailbox.SlotRequest
	var ttl spanFlag
	cmd := &cobra.Command{
		Use:   "acquire SLOT",
		Short: "take a build slot",
		Example: `  git agentmail slot acquire build --ttl 30m
  git agentmail slot acquire docs --shared`,
		Args: oneArg("the name of a slot"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r.Slot, r.TTL = args[0], time.Duration(ttl)
			return a.withActor(cmd, func(ctx context.Context, b *mailbox.Box, who mailbox.Actor) error {
				res, err := b.AcquireSlot(ctx, who, r)
				if err != nil {
					return err
				}
				a.warn(res.Warnings)
				a.warn(slotConflicts(res))
				return a.answer(res, func(w *strings.Builder) { a.writeSlots(w, []mailbox.Slot{res.Granted}) })
			})
		},
	}
	slotFlags(cmd, &ttl, &r.Shared)
	return cmd
}

func slotFlags(cmd *cobra.Command, ttl *spanFlag, shared *bool) {
	cmd.Flags().Var(ttl, "ttl", "hold it this long, from 1m to 1d (default 1h)")
	cmd.Flags().BoolVar(shared, "shared", false, "mind nobody else who holds it")
}

func newSlotRenew(a *app) *cobra.Command {
	var ttl spanFlag
	cmd := &cobra.Command{
		Use:     "renew SLOT",
		Short:   "keep a build slot for longer",
		Long:    "Keeps a build slot for longer. One that you do not hold is taken.",
		Example: `  git agentmail slot renew build --ttl 1h`,
		Args:    oneArg("the name of a slot"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withActor(cmd, func(ctx context.Context, b *mailbox.Box, who mailbox.Actor) error {
				res, err := b.RenewSlot(ctx, who, args[0], time.Duration(ttl))
				if err != nil {
					return err
				}
				return a.answer(res, func(w *strings.Builder) { fmt.Fprintf(w, "%s until %s\n", escape(args[0]), a.when(res.ExpiresTS)) })
			})
		},
	}
	cmd.Flags().Var(&ttl, "ttl", "hold it this long from now (default 30m)")
	return cmd
}

func newSlotRelease(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "release SLOT",
		Short:   "give a build slot back",
		Example: `  git agentmail slot release build`,
		Args:    oneArg("the name of a slot"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withActor(cmd, func(ctx context.Context, b *mailbox.Box, who mailbox.Actor) error {
				res, err := b.ReleaseSlot(ctx, who, args[0])
				if err != nil {
					return err
				}
				if !res.Released && !a.json {
					a.say("%s is not held by %s on this branch", args[0], whose(who))
				}
				return a.answer(res, func(w *strings.Builder) {
					if res.Released {
						fmt.Fprintf(w, "%s released\n", escape(args[0]))
					}
				})
			})
		},
	}
}

func newSlotList(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "list the build slots that are held",
		Example: `  git agentmail slot list --json`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withBox(cmd, func(ctx context.Context, b *mailbox.Box) error {
				rows, err := b.Slots(ctx)
				if err != nil {
					return err
				}
				if len(rows) == 0 && !a.json {
					a.say("no build slot is held")
				}
				return a.answer(list(rows), func(w *strings.Builder) { a.writeSlots(w, rows) })
			})
		},
	}
}

func (a *app) writeSlots(w *strings.Builder, rows []mailbox.Slot) {
	t := table{head: []string{"SLOT", "AGENT", "MODE", "UNTIL", "BRANCH"}}
	for _, s := range rows {
		t.add(short(s.Slot, 40), short(s.Agent, 24), leaseMode(s.Exclusive, false), a.when(s.ExpiresTS), s.Branch)
	}
	t.write(w, a.out)
}

// slotConflicts says who else holds a slot.
func slotConflicts(res mailbox.SlotResult) []string {
	var lines []string
	for _, s := range res.Conflicts[:min(len(res.Conflicts), maxLines)] {
		branch := ""
		if s.Branch != "" {
			branch = " on " + short(s.Branch, maxText)
		}
		lines = append(lines, fmt.Sprintf("%s%s also holds %q until %s", short(s.Agent, 40), branch, short(s.Slot, maxText), utc(s.ExpiresTS)))
	}
	return lines
}
