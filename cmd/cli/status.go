package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newStatus(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "show everything on one screen",
		Long: `Shows who is here, what is held, which mail waits, and whether commits in this
worktree are checked.`,
		Example: `  git agentmail status`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withActor(cmd, func(ctx context.Context, b *mailbox.Box, who mailbox.Actor) error {
				s, err := b.Status(ctx, who)
				if err != nil {
					return err
				}
				s.Agents, s.Worktrees, s.Reservations = list(s.Agents), list(s.Worktrees), list(s.Reservations)
				s.Unacked, s.Urgent = list(s.Unacked), list(s.Urgent)
				return a.answer(s, func(w *strings.Builder) { a.writeStatus(w, s) })
			})
		},
	}
}

// maxSection keeps the whole on one screen.
const maxSection = 8

func (a *app) writeStatus(w *strings.Builder, s mailbox.Status) {
	fields(w, "repository", escape(s.Project.HumanKey), "you", actorLine(s.You), "guard", guardLine(s.Guard), "sync", escape(s.Sync),
		"trust", trustLine(s.Trust), "key", escape(s.Trust.Key),
		"mail", fmt.Sprintf("%s, %d unacknowledged, %d urgent and unread", count(s.Messages, "message", "messages"), s.UnackedCount, s.UrgentCount))

	n := section(w, "Agents", s.Agents)
	a.writeAgents(w, s.Agents[:n])
	more(w, len(s.Agents)-n, "agents")

	if len(s.Worktrees) > 1 {
		n = section(w, "Worktrees", s.Worktrees)
		t := table{head: []string{"BRANCH", "AGENT", "PATH"}}
		for _, r := range s.Worktrees[:n] {
			t.add(dash(short(r.Branch, 32)), dash(short(r.Agent, 24)), r.Path)
		}
		t.write(w, a.out)
		if n < len(s.Worktrees) {
			fmt.Fprintf(w, "and %d more: git worktree list\n", len(s.Worktrees)-n)
		}
	}

	n = section(w, "Reservations", s.Reservations)
	a.writeReservations(w, s.Reservations[:n])
	more(w, len(s.Reservations)-n, "reservations")

	n = section(w, "Waiting for an acknowledgement", s.Unacked)
	a.writeInbox(w, s.Unacked[:n])
	more(w, s.UnackedCount-n, "inbox --ack-required --as NAME")

	n = section(w, "Urgent and unread", s.Urgent)
	a.writeInbox(w, s.Urgent[:n])
	more(w, s.UrgentCount-n, "inbox --urgent --unread --as NAME")
}

// trustLine says which logs of other clones are believed.
func trustLine(t mailbox.Trust) string {
	line := map[string]string{
		mailbox.TrustFirst:  "tofu: each log by the key that it had when it was seen first",
		mailbox.TrustListed: "listed: logs with a key in the list of allowed signers",
		mailbox.TrustOff:    "off: all logs",
	}[t.Mode]
	if n := len(t.Keyless); n > 0 && t.Mode == mailbox.TrustFirst {
		line += fmt.Sprintf("; %s without a key", count(n, "log", "logs"))
	}
	if t.Error != "" {
		line = "no mail is exchanged: " + escape(t.Error)
	}
	return line
}

// section writes a heading if there is anything to show, and returns how much.
func section[T any](w *strings.Builder, title string, rows []T) int {
	if len(rows) > 0 {
		fmt.Fprintf(w, "\n%s\n", title)
	}
	return min(len(rows), maxSection)
}

func more(w *strings.Builder, n int, verb string) {
	if n > 0 {
		fmt.Fprintf(w, "and %d more: git agentmail %s\n", n, verb)
	}
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// actorLine says who acts and what told so.
func actorLine(who mailbox.Actor) string {
	name, why := escape(who.Name), short(who.Source, maxText)
	switch {
	case who.Kind == mailbox.IsPerson:
		why = "a person, " + why
	case who.Kind == mailbox.IsUnidentified && who.Given != "":
		name = "unidentified agent"
		why = fmt.Sprintf("%s says %q, which is no agent of this clone", why, short(who.Given, maxText))
	case who.Kind == mailbox.IsUnidentified:
		name = "unidentified agent"
	}
	return name + " (" + why + ")"
}
