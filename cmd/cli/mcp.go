package cli

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

// Served is what the second program needs to serve coding agents.
type Served struct {
	Profile string          // which tools it lists: lean, core, full; "" leaves it to the environment
	HTTP    string          // address to listen at; "" is standard input and output
	Mailbox mailbox.Options // for the mailboxes that it opens
	Version string
	Binary  string // absolute path of git-agentmail, the fallback of hooks that it puts in
}

func newMCP(a *app) *cobra.Command {
	s := Served{Version: ownVersion()}
	cmd := &cobra.Command{
		Use:   "mcp",
		Short: "serve one coding agent over standard input and output",
		Long: `Speaks the Model Context Protocol: a coding agent starts this and finds the
mailbox as tools. It needs no repository to start in.

The lean profile lists ten tools in two thousand tokens; the others are reached
through list_extended_tools and call_extended_tool. core lists what a session
needs, full everything. A tool that is not listed still answers to its name.

This verb is run by git-agentmail-mcp, which is installed with git-agentmail.`,
		Example: `  claude mcp add --scope project agentmail -- git-agentmail mcp
  git agentmail mcp --tools full`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.serve(cmd.Context(), s) },
	}
	cmd.Flags().Var(profileFlag{&s.Profile}, "tools", "list these tools: lean, core or full (default lean)")
	return cmd
}

// serve hands over to the second program, or is it and serves.
func (a *app) serve(ctx context.Context, s Served) error {
	if a.std.Serve == nil {
		return a.handOver()
	}
	s.Binary = a.self()
	s.Mailbox.Environ, s.Mailbox.Now, s.Mailbox.Report, s.Mailbox.Digest = a.std.Env, a.std.Now, a.note, a.std.Digest
	err := a.std.Serve(ctx, a.std, s)
	var known *mail.Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	return mail.Errorf(mail.Internal, "%w", err)
}

// profileFlag is the name of a set of tools.
type profileFlag struct{ s *string }

func (f profileFlag) String() string { return *f.s }
func (f profileFlag) Type() string   { return "SET" }

func (f profileFlag) Set(s string) error {
	if all := []string{"lean", "core", "full"}; !slices.Contains(all, s) {
		return mail.Errorf(mail.Usage, "%q is none of %s", s, strings.Join(all, ", "))
	}
	*f.s = s
	return nil
}
