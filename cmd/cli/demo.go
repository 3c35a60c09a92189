package cli

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/spf13/cobra"
)

func newDemo(a *app) *cobra.Command {
	var keep bool
	var from string
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "play a session in a scratch repository",
		Long: `Makes a scratch repository with two worktrees and plays the part of two agents
in it, with real commands and real commits, one of which is refused. Every
command is shown before it runs. Nothing is left behind, and nothing outside the
scratch directory is touched.`,
		Example: `  git agentmail demo
  git agentmail demo --from . --keep`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d, err := a.newDemoStage(cmd.Context(), from)
			if err != nil {
				return err
			}
			if keep {
				defer a.say("kept: %s", d.dir)
			} else {
				defer d.clear()
			}
			return d.play()
		},
	}
	cmd.Flags().BoolVar(&keep, "keep", false, "keep the scratch directory")
	cmd.Flags().Var(wordFlag{&from, "REPO"}, "from", "use a clone of this repository instead of an empty one")
	return cmd
}

// stage is where the demo plays: a directory with a home, a PATH that leads to
// this very program, a repository, and a worktree for each agent.
type stage struct {
	a    *app
	ctx  context.Context
	dir  string
	from string
	env  []string

	file, pattern string // what both agents change, and what is reserved
	err           error  // what went wrong
}

// The agents of the demo; their worktrees bear their names.
const (
	first  = "BlueLake"
	second = "GreenCastle"
)

func (a *app) newDemoStage(ctx context.Context, from string) (*stage, error) {
	dir, err := os.MkdirTemp("", "agentmail-demo-")
	if err != nil {
		return nil, mail.Errorf(mail.Denied, "no scratch directory: %w", err)
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real // git shows it like this
	}
	d := &stage{a: a, ctx: ctx, dir: dir, file: "src/auth/token.go", pattern: "src/auth/**"}
	err = os.MkdirAll(filepath.Join(dir, "bin"), 0o777)
	if err == nil {
		err = os.MkdirAll(filepath.Join(dir, "home"), 0o777)
	}
	if err == nil {
		config := "[user]\n\tname = Ann\n\temail = ann@example.org\n[init]\n\tdefaultBranch = main\n[safe]\n\tdirectory = *\n"
		err = os.WriteFile(filepath.Join(dir, "home", "gitconfig"), []byte(config), 0o666)
	}
	if err == nil {
		err = link(a.self(), filepath.Join(dir, "bin", "git-agentmail"))
	}
	if err == nil && from != "" {
		d.from, err = filepath.Abs(from)
	}
	if err != nil {
		d.clear()
		return nil, mail.Errorf(mail.Denied, "no scratch repository: %w", err)
	}
	d.env = d.environment()
	return d, nil
}

// link makes this program findable as name.
func link(binary, name string) error {
	if runtime.GOOS != "windows" {
		return os.Symlink(binary, name)
	}
	data, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	return os.WriteFile(name+".exe", data, 0o777)
}

// environment is this process's without what could lead out of the stage.
func (d *stage) environment() []string {
	var env []string
	for _, kv := range d.a.std.Env {
		name, value, _ := strings.Cut(kv, "=")
		switch {
		case strings.HasPrefix(name, "GIT_"), strings.HasPrefix(name, "AGENTMAIL_"), strings.HasPrefix(name, "AGENT_"),
			strings.HasPrefix(name, "XDG_"), name == "HOME":
		case strings.EqualFold(name, "PATH"):
			env = append(env, name+"="+filepath.Join(d.dir, "bin")+string(os.PathListSeparator)+value)
		default:
			env = append(env, kv)
		}
	}
	home := filepath.Join(d.dir, "home")
	return append(env, "HOME="+home, "XDG_CONFIG_HOME="+home, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL="+filepath.Join(home, "gitconfig"), "GIT_TERMINAL_PROMPT=0", "NO_COLOR=1")
}

func (d *stage) clear() {
	// git's objects are read-only, which keeps Windows from deleting them.
	filepath.WalkDir(d.dir, func(path string, _ os.DirEntry, err error) error {
		if err == nil && runtime.GOOS == "windows" {
			os.Chmod(path, 0o666)
		}
		return nil
	})
	os.RemoveAll(d.dir)
}

// outcome is what a command has printed.
type outcome struct {
	d          *stage
	line, text string
}

// do shows a command as it would be typed, runs it, and shows what comes of it.
// After a step that went wrong there are no more.
func (d *stage) do(in, env string, refused bool, args []string) *outcome {
	o := &outcome{d: d, line: strings.TrimSpace(env + " " + words(args))}
	d.tell("%s$ %s", in, o.line)
	if d.err != nil {
		return o
	}
	cmd := d.command(in, args...)
	if env != "" {
		cmd.Env = append(cmd.Env, env)
	}
	out, err := cmd.CombinedOutput()
	o.text = string(out)
	d.err = d.a.print(escapeBut(o.text, "\n\t"))
	var exit *exec.ExitError
	switch {
	case d.ctx.Err() != nil:
		d.err = because(d.ctx.Err(), mail.Errorf(mail.Cancelled, "interrupted"))
	case err != nil && !errors.As(err, &exit):
		d.err = mail.Errorf(mail.Internal, "the demo could not run %s: %w", args[0], err)
	case err != nil && !refused:
		d.err = mail.Errorf(mail.Internal, "the demo went wrong: this failed: %s", o.line)
	case err == nil && refused:
		d.err = mail.Errorf(mail.Internal, "the demo went wrong: this was not refused: %s", o.line)
	}
	return o
}

// contains makes it a fault if one of the texts was not printed.
func (o *outcome) contains(texts ...string) {
	for _, text := range texts {
		if o.d.err == nil && !strings.Contains(o.text, text) {
			o.d.err = mail.Errorf(mail.Internal, "the demo went wrong: no %q in what came of: %s", text, o.line)
		}
	}
}

func (o *outcome) lastLine() string {
	lines := strings.Split(strings.TrimSpace(o.text), "\n")
	return lines[len(lines)-1]
}

// command prepares a command in a directory below the stage.
func (d *stage) command(in string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(d.ctx, args[0], args[1:]...)
	cmd.Dir, cmd.Env = filepath.Join(d.dir, in), slices.Clone(d.env)
	return cmd
}

// words shows a command as it would be typed.
func words(args []string) string {
	var list []string
	for _, arg := range args {
		list = append(list, shellQuote(arg))
	}
	return strings.Join(list, " ")
}
