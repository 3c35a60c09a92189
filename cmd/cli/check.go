package cli

import (
	"bytes"
	"context"
	"io"
	"strings"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newCheck(a *app) *cobra.Command {
	var stdin, nul bool
	cmd := &cobra.Command{
		Use:   "check PATH... | --stdin [-z]",
		Short: "say whether somebody else holds these files",
		Long: `Says whether you would be stopped from committing these paths. They are relative
to the root of the repository; a directory stands for itself, not for what it
contains. Exit status: 0 free, 3 held by another agent, 8 could not check,
whatever the mode of the guard is.`,
		Example: `  git agentmail check src/auth/token.go
  git diff --name-only -z | git agentmail check --stdin -z --json`,
		RunE: func(cmd *cobra.Command, paths []string) error {
			switch {
			case stdin == (len(paths) > 0):
				return mail.Errorf(mail.Usage, "check needs paths, or else --stdin").Hint("git agentmail check -h")
			case nul && !stdin:
				return mail.Errorf(mail.Usage, "-z goes with --stdin").Hint("git agentmail check --stdin -z")
			case stdin:
				data, err := io.ReadAll(a.std.In)
				if err != nil {
					return mail.Errorf(mail.Unchecked, "standard input could not be read: %w", err)
				}
				paths = splitPaths(data, nul)
			}
			return a.withActor(cmd, func(ctx context.Context, b *mailbox.Box, who mailbox.Actor) error {
				return a.verdict(b.CheckPaths(ctx, who, paths))
			})
		},
	}
	cmd.Flags().BoolVar(&stdin, "stdin", false, "read the paths from standard input, one on a line")
	cmd.Flags().BoolVarP(&nul, "null", "z", false, "end each path with a NUL byte instead")
	return cmd
}

// splitPaths keeps the bytes of each path as they are.
func splitPaths(data []byte, nul bool) []string {
	sep := []byte("\n")
	if nul {
		sep = []byte{0}
	}
	var list []string
	for p := range bytes.SplitSeq(data, sep) {
		if !nul {
			p = bytes.TrimSuffix(p, []byte("\r"))
		}
		if len(p) > 0 {
			list = append(list, string(p))
		}
	}
	return list
}

// verdict prints what the guard found. What is held is said by the error.
func (a *app) verdict(r mailbox.CheckResult, err error) error {
	if err != nil && mail.CodeOf(err) != mail.Conflict {
		return err
	}
	r.Blocked = list(r.Blocked)
	if len(r.Blocked) == 0 && !a.json {
		a.say("%s checked, nothing is held by others", count(r.Checked, "path", "paths"))
	}
	if perr := a.answer(r, func(w *strings.Builder) {
		for _, p := range r.Blocked {
			w.WriteString(escape(p.Path) + "\n")
		}
	}); perr != nil {
		return perr
	}
	return err
}
