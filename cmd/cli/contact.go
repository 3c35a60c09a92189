package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newContact(a *app) *cobra.Command {
	return group(a, &cobra.Command{
		Use:   "contact",
		Short: "say who may write to you",
		Long: `Every agent has a contact policy: open, auto (the default: whoever had mail
with you lately, others are introduced), contacts_only or block_all. A contact
that was asked for and granted lets one agent write to another.`,
	}, newContactRequest(a), newContactRespond(a), newContactList(a), newContactPolicy(a))
}

func newContactRequest(a *app) *cobra.Command {
	var reason string
	var ttl spanFlag
	cmd := &cobra.Command{
		Use:     "request NAME",
		Short:   "ask an agent for contact",
		Example: `  git agentmail contact request GreenCastle --reason "we share src/auth"`,
		Args:    oneArg("the name of an agent"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withActor(cmd, func(ctx context.Context, b *mailbox.Box, who mailbox.Actor) error {
				r, err := b.RequestContact(ctx, who, args[0], reason, time.Duration(ttl))
				if err != nil {
					return err
				}
				return a.answer(r, func(w *strings.Builder) {
					fmt.Fprintf(w, "%s -> %s: %s, until %s\n", escape(r.From), escape(r.To), escape(r.Status), a.when(r.ExpiresTS))
				})
			})
		},
	}
	cmd.Flags().Var(wordFlag{&reason, "TEXT"}, "reason", "say why")
	cmd.Flags().Var(&ttl, "ttl", "let the request stand this long (default 7d)")
	return cmd
}

func newContactRespond(a *app) *cobra.Command {
	var accept, deny bool
	var ttl spanFlag
	cmd := &cobra.Command{
		Use:     "respond NAME --accept | --deny",
		Short:   "grant or refuse an agent contact",
		Example: `  git agentmail contact respond BlueLake --accept`,
		Args:    oneArg("the name of the agent that asked"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if accept == deny {
				return mail.Errorf(mail.Usage, "respond needs either --accept or --deny").
					Hint("git agentmail contact respond %s --accept", shellQuote(args[0])).
					Hint("git agentmail contact respond %s --deny", shellQuote(args[0]))
			}
			return a.withActor(cmd, func(ctx context.Context, b *mailbox.Box, who mailbox.Actor) error {
				r, err := b.RespondContact(ctx, who, args[0], accept, time.Duration(ttl))
				if err != nil {
					return err
				}
				return a.answer(r, func(w *strings.Builder) {
					switch {
					case r.Approved:
						fmt.Fprintf(w, "%s -> %s: approved, until %s\n", escape(r.From), escape(r.To), a.when(r.ExpiresTS))
					case r.Updated > 0:
						fmt.Fprintf(w, "%s -> %s: blocked\n", escape(r.From), escape(r.To))
					default:
						fmt.Fprintf(w, "%s has not asked %s for contact: nothing to deny\n", escape(r.From), escape(r.To))
					}
				})
			})
		},
	}
	f := cmd.Flags()
	f.BoolVar(&accept, "accept", false, "grant it")
	f.BoolVar(&deny, "deny", false, "refuse it")
	f.Var(&ttl, "ttl", "grant it for this long (default 30d)")
	return cmd
}

func newContactList(a *app) *cobra.Command {
	var page mailbox.Page
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list your contacts",
		Long: `Lists the agents that you have contact with, asked for it, or were denied it by,
the one where this changed last first.`,
		Example: `  git agentmail contact list --as BlueLake`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withActor(cmd, func(ctx context.Context, b *mailbox.Box, who mailbox.Actor) error {
				rows, err := b.Contacts(ctx, who, page)
				if err != nil {
					return err
				}
				switch {
				case len(rows) > 0 || a.json:
				case page.Before != "":
					a.say("no contacts of %s before %s", whose(who), short(page.Before, maxText))
				default:
					a.say("no contacts of %s", whose(who))
				}
				return a.answer(list(rows), func(w *strings.Builder) {
					t := table{head: []string{"TO", "STATUS", "UNTIL", "REASON"}}
					for _, r := range rows {
						t.add(short(r.To, 24), short(r.Status, 16), utc(r.ExpiresTS), r.Reason)
					}
					t.write(w, a.out)
				})
			})
		},
	}
	longPageFlags(cmd, &page, "NAME")
	return cmd
}

func newContactPolicy(a *app) *cobra.Command {
	return &cobra.Command{
		Use:       "policy open | auto | contacts_only | block_all",
		Short:     "set your contact policy",
		Example:   `  git agentmail contact policy contacts_only --as BlueLake`,
		Args:      oneArg("one of open, auto, contacts_only, block_all"),
		ValidArgs: []cobra.Completion{"open", "auto", "contacts_only", "block_all"},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withActor(cmd, func(ctx context.Context, b *mailbox.Box, who mailbox.Actor) error {
				// A program may send anything (the contract takes it for auto); a person
				// who mistypes would open a mailbox that was to be closed.
				policy := strings.ReplaceAll(strings.ToLower(args[0]), "-", "_")
				if !slices.Contains(cmd.ValidArgs, policy) {
					return mail.Errorf(mail.Invalid, "%q is no contact policy; it is one of open, auto, contacts_only, block_all", args[0]).
						Hint("git agentmail contact policy contacts_only")
				}
				r, err := b.SetContactPolicy(ctx, who, policy)
				if err != nil {
					return err
				}
				return a.answer(r, func(w *strings.Builder) { fmt.Fprintf(w, "%s: %s\n", escape(r.Agent), escape(r.Policy)) })
			})
		},
	}
}
