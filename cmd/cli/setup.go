package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/git-agentmail/git-agentmail/hooks/agenthook"
	"github.com/git-agentmail/git-agentmail/hooks/clientconfig"
	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

// setupFlags are what setup was asked for.
type setupFlags struct {
	dryRun, user, remove, check bool
	name                        string
}

func newSetup(a *app) *cobra.Command {
	var f setupFlags
	cmd := &cobra.Command{
		Use:   "setup [CLIENT...]",
		Short: "register the MCP server and the edit hooks with coding agents",
		Long: `Writes git-agentmail into the configuration of coding agents: the MCP server,
through which they find the mailbox as tools, and hooks that stop an edit of what
another agent holds and tell of urgent mail. The clients are
` + strings.Join(clientconfig.Clients(), ", ") + `.
Without CLIENT it says which of them it found, and sets those up.

It writes files of this work tree, which the repository shares once they are
committed, or with --user those in your home. What is there stays as it is, with
its comments; --remove, and uninstall, give back the same bytes. --dry-run shows
every line.

--check starts each server as its client would, and asks each hook about a file
that is reserved in a scratch repository. Cursor, VS Code and Windsurf are set up
by their documentation; we never ran them.`,
		Example: `  git agentmail setup --dry-run
  git agentmail setup claude codex
  git agentmail setup --check
  git agentmail setup claude --remove`,
		ValidArgs: clientconfig.Clients(),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.setup(cmd.Context(), args, f)
		},
	}
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "show every line that would be written and write nothing")
	cmd.Flags().BoolVar(&f.user, "user", false, "write your own configuration and not this work tree's")
	cmd.Flags().BoolVar(&f.remove, "remove", false, "take out what setup put in")
	cmd.Flags().BoolVar(&f.check, "check", false, "prove that the servers answer and the hooks fire")
	cmd.Flags().Var(wordFlag{&f.name, "NAME"}, "name", `call the server this and not "`+clientconfig.DefaultName+`"`)
	return cmd
}

// setupResult is what setup did, or would do.
type setupResult struct {
	Found []clientconfig.Found `json:"found"`
	clientconfig.Result
}

func (a *app) setup(ctx context.Context, names []string, f setupFlags) error {
	if f.check && (f.remove || f.dryRun) {
		return mail.Errorf(mail.Usage, "--check writes nothing; it goes with neither --remove nor --dry-run")
	}
	o, err := a.clientOptions(ctx, f)
	if err != nil {
		return err
	}
	if f.check {
		return a.checkClients(ctx, o, names, f)
	}
	r := setupResult{Found: []clientconfig.Found{}}
	do := clientconfig.Setup
	switch {
	case f.remove:
		do = clientconfig.Remove
		if len(names) == 0 {
			names = clientconfig.Clients()
		}
	case len(names) == 0:
		r.Found = clientconfig.Find(o)
		for _, c := range r.Found {
			names = append(names, c.Client)
		}
		if len(names) == 0 {
			return mail.Errorf(mail.NotFound, "no coding agent was found, neither on PATH nor by its files").Hint("git agentmail setup claude")
		}
	}
	plan := o
	plan.DryRun = true
	if r.Result, err = do(plan, names); err != nil {
		return err
	}
	if !f.remove {
		r.Notes = append(r.Notes, a.setupNotes(ctx, o, r.Result)...)
	}
	if !a.json { // every write is said before it is done
		if err := a.print(setupText(r, f.dryRun)); err != nil {
			return err
		}
		a.notes(r.Notes)
	}
	if !f.dryRun {
		notes := r.Notes
		r.Result, err = do(o, names)
		if r.Notes = notes; err != nil {
			return err
		}
	}
	switch {
	case a.json:
		return a.printJSON(r)
	case len(r.Changes) == 0:
		a.say("nothing of ours is there")
	case f.dryRun:
		a.say("nothing was written (--dry-run)")
	}
	return nil
}

// clientOptions says where the clients' files are.
func (a *app) clientOptions(ctx context.Context, f setupFlags) (clientconfig.Options, error) {
	o := clientconfig.Options{Name: f.name, Getenv: a.getenv, Home: a.getenv("HOME"), Command: a.asClientsStart(), Plugin: agenthook.OpencodePlugin(), DryRun: f.dryRun}
	o.Look = func(program string) string {
		path, err := exec.LookPath(program)
		if err != nil {
			return ""
		}
		return path
	}
	if o.Home == "" {
		home, err := os.UserHomeDir()
		if err != nil && f.user {
			return o, mail.Errorf(mail.Invalid, "nobody says where your home is: %w", err)
		}
		o.Home = home
	}
	if f.user {
		state := a.getenv("XDG_STATE_HOME")
		if !filepath.IsAbs(state) {
			state = filepath.Join(o.Home, ".local", "state")
		}
		o.Made = filepath.Join(state, "git-agentmail", "setup-made")
		return o, nil
	}
	b, err := a.open(ctx)
	if err != nil {
		return o, hintUser(err)
	}
	defer b.Close()
	trees, common, err := b.WorkTrees(ctx)
	if err != nil {
		return o, err
	}
	if len(trees) == 0 {
		return o, hintUser(mail.Errorf(mail.NoRepo, "this repository has no work tree to write to"))
	}
	o.Root, o.Made = trees[0], filepath.Join(common, setupMade)
	return o, nil
}

// setupMade is a file in the git directory: which directories setup has made.
const setupMade = "agentmail-setup"

func hintUser(err error) error {
	e := *mail.AsError(err)
	e.Hints = append(slices.Clone(e.Hints), "git agentmail setup --user")
	return &e
}

// asClientsStart is how a client finds this program.
func (a *app) asClientsStart() string {
	if path, err := exec.LookPath("git-agentmail"); err == nil && filepath.IsAbs(path) {
		return "git-agentmail"
	}
	return a.self()
}

// setupNotes is what is to be known about the files.
func (a *app) setupNotes(ctx context.Context, o clientconfig.Options, r clientconfig.Result) (list []string) {
	if o.Root == "" {
		return nil
	}
	if filepath.IsAbs(o.Command) {
		list = append(list, fmt.Sprintf("git-agentmail is not on PATH, so the files name %s, which is of this machine: do not commit them like this", o.Command))
	} else if slices.ContainsFunc(r.Changes, func(c clientconfig.Change) bool { return c.Action == "create" || c.Action == "insert" }) {
		list = append(list, "files that the repository shares are meant to be committed; for yourself alone there is --user")
	}
	if b, err := a.open(ctx); err == nil {
		if !b.SetUp() {
			list = append(list, "this repository has no mailbox yet: git agentmail init")
		}
		b.Close()
	}
	return list
}

func setupText(r setupResult, diffs bool) string {
	var w strings.Builder
	for _, f := range r.Found {
		fmt.Fprintf(&w, "%-8s %s  (%s)\n", "found", clientconfig.Title(f.Client), escape(f.By))
	}
	for _, c := range r.Changes {
		var titles []string
		for _, name := range c.Clients {
			titles = append(titles, clientconfig.Title(name))
		}
		whose := "personal"
		if c.Shared {
			whose = "shared by the repository"
		}
		fmt.Fprintf(&w, "%-8s %s  (%s: %s; %s)\n", c.Action, escape(c.Path), strings.Join(titles, ", "), escape(strings.Join(c.What, ", ")), whose)
		if diffs {
			for line := range strings.Lines(c.Diff) {
				w.WriteString("  " + escapeBut(strings.TrimSuffix(line, "\n"), "\t") + "\n")
			}
		}
	}
	return w.String()
}

// clientsOut takes setup's entries out of every work tree. A file that cannot be read is
// said and left: it must not keep the rest in.
func (a *app) clientsOut(ctx context.Context, b *mailbox.Box, dryRun bool) (list []mailbox.Change, err error) {
	trees, common, err := b.WorkTrees(ctx)
	if err != nil {
		return nil, err
	}
	o := clientconfig.Options{Getenv: a.getenv, Home: a.getenv("HOME"), Command: "git-agentmail", Made: filepath.Join(common, setupMade), DryRun: dryRun}
	for _, o.Root = range trees {
		if r, err := clientconfig.Remove(o, clientconfig.Clients()); err == nil {
			list = append(list, setupChanges(r)...)
			continue
		}
		for _, name := range clientconfig.Clients() { // whatever one of them has
			r, err := clientconfig.Remove(o, []string{name})
			if err != nil {
				list = append(list, mailbox.Change{Action: "refuse", Path: o.Root, Note: err.Error()})
			}
			list = append(list, setupChanges(r)...)
		}
	}
	return list, nil
}

func setupChanges(r clientconfig.Result) (list []mailbox.Change) {
	for _, c := range r.Changes {
		list = append(list, mailbox.Change{Action: c.Action, Path: c.Path, Note: strings.Join(c.What, ", ")})
	}
	return list
}

// setupFindings is what doctor says of coding agents: which are set up here, for that
// they work only --check can prove.
func (a *app) setupFindings(ctx context.Context) []mailbox.Finding {
	o, err := a.clientOptions(ctx, setupFlags{})
	if err != nil {
		return nil
	}
	var titles []string
	for _, name := range clientconfig.Clients() {
		if c := clientconfig.Read(o, name); c.Server != nil || c.Hook != "" {
			titles = append(titles, clientconfig.Title(name))
		}
	}
	if len(titles) == 0 {
		return nil
	}
	return []mailbox.Finding{{Level: "note", What: "set up in this work tree: " + strings.Join(titles, ", "), Hint: "git agentmail setup --check"}}
}
