package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newInit(a *app) *cobra.Command {
	var r mailbox.InitRequest
	cmd := &cobra.Command{
		Use:   "init",
		Short: "set this repository up",
		Long: `Sets the repository up for mail and puts the git hooks in. Every write is said
before it is done. Nothing outside this repository's git directory is touched:
no file of your work tree, no branch, no global configuration. Doing it again
changes nothing. "git agentmail uninstall" takes all of it out.`,
		Example: `  git agentmail init --dry-run
  git agentmail init --remote origin`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dryRun := r.DryRun
			return a.withBox(cmd, func(ctx context.Context, b *mailbox.Box) error {
				r.Binary = a.self()
				return a.announced(dryRun, func(dry bool) (mailbox.SetupResult, error) {
					r.DryRun = dry
					return b.Init(ctx, r)
				})
			})
		},
	}
	f := cmd.Flags()
	f.BoolVar(&r.DryRun, "dry-run", false, "say what would be written and write nothing")
	f.Var(wordFlag{&r.Remote, "NAME"}, "remote", "exchange mail with this remote, from the next sync on")
	f.BoolVar(&r.NoHooks, "no-hooks", false, "leave the git hooks alone")
	return cmd
}

// announced runs fn dry, says what it would write, and only then lets it write.
func (a *app) announced(dryRun bool, fn func(dry bool) (mailbox.SetupResult, error)) error {
	plan, err := fn(true)
	if err != nil {
		return err
	}
	if !a.json {
		if err := a.answer(plan, func(w *strings.Builder) { writeChanges(w, plan.Changes) }); err != nil {
			return err
		}
	}
	if dryRun {
		if a.json {
			plan.Changes = list(plan.Changes)
			return a.printJSON(plan)
		}
		a.say("nothing was written (--dry-run)")
		return nil
	}
	done, err := fn(false)
	if err != nil {
		return err
	}
	if a.json {
		done.Changes = list(done.Changes)
		return a.printJSON(done)
	}
	return nil
}

func writeChanges(w *strings.Builder, changes []mailbox.Change) {
	for _, c := range changes {
		fmt.Fprintf(w, "%-8s %s", c.Action, escape(c.Path))
		if c.Note != "" {
			fmt.Fprintf(w, "  (%s)", escape(c.Note))
		}
		w.WriteString("\n")
	}
}

// self is the path under which hooks find this program when it is not on their
// PATH. Where PATH leads to this very file, that spelling is the better one: a
// package manager's link stays valid when the version behind it changes. The second
// program is none for hooks.
func (a *app) self() string {
	exe, err := os.Executable()
	if err != nil {
		return ""
	}
	if programName(exe) == mcpProgram {
		if path, err := exec.LookPath(filepath.Join(filepath.Dir(exe), "git-agentmail")); err == nil {
			exe = path
		}
	}
	onPath, err := exec.LookPath("git-agentmail")
	if err != nil || !filepath.IsAbs(onPath) {
		return exe
	}
	x, err1 := os.Stat(exe)
	y, err2 := os.Stat(onPath)
	if err1 == nil && err2 == nil && os.SameFile(x, y) {
		return onPath
	}
	return exe
}
