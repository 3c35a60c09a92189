package cli

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/spf13/cobra"
)

// bodyFlags say where the text of a message comes from.
type bodyFlags struct {
	texts []string
	file  string
}

func (o *bodyFlags) register(cmd *cobra.Command) {
	cmd.Flags().VarP(pathsFlag{&o.texts, "TEXT"}, "message", "m", "use this text; several make paragraphs")
	cmd.Flags().VarP(wordFlag{&o.file, "FILE"}, "file", "F", "read the text from this file, - for stdin")
}

// patience is how long standard input may be silent before the user hears what
// is being waited for: some programs leave it open for ever.
const patience = 2 * time.Second

// body returns the text of a message: given outright, from a file, from
// standard input if that is no terminal, else from the user's editor. about
// says for the editor what is being written.
func (a *app) body(ctx context.Context, o bodyFlags, about string) (string, error) {
	switch {
	case len(o.texts) > 0 && o.file != "":
		return "", mail.Errorf(mail.Usage, "-m and -F exclude each other")
	case len(o.texts) > 0:
		return strings.Join(o.texts, "\n\n"), nil
	case o.file != "" && o.file != "-":
		return readFile(o.file)
	case o.file == "-" || !screenOf(a.std.In).terminal:
		t := time.AfterFunc(patience, func() { a.note("reading the message from standard input; -m TEXT gives it outright") })
		defer t.Stop()
		data, err := io.ReadAll(a.std.In)
		if err != nil {
			return "", mail.Errorf(mail.Internal, "standard input could not be read: %w", err)
		}
		return string(data), nil
	}
	return a.edit(ctx, about)
}

func readFile(name string) (string, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return "", fileError(name, err)
	}
	return string(data), nil
}

func fileError(name string, err error) error {
	why := err
	var pe *fs.PathError
	if errors.As(err, &pe) {
		why = pe.Err
	}
	return mail.Errorf(mail.Invalid, "cannot read %q: %w", name, why)
}

// scissors ends the text in the editor. Lines with # are text: it is Markdown.
const scissors = "# ------------------------ >8 ------------------------"

// edit lets the user write the text in the editor that git would use. The file is
// kept until the command has succeeded: see finish.
func (a *app) edit(ctx context.Context, about string) (string, error) {
	f, err := os.CreateTemp("", "agentmail-*.md")
	if err != nil {
		return "", mail.Errorf(mail.Internal, "no file to write the message in: %w", err)
	}
	written := false
	defer func() {
		if !written {
			os.Remove(f.Name())
		}
	}()
	_, err = io.WriteString(f, "\n"+scissors+"\n# "+escape(about)+"\n# Write the message above. Without a text nothing is sent.\n")
	if err = errors.Join(err, f.Close()); err != nil {
		return "", mail.Errorf(mail.Internal, "no file to write the message in: %w", err)
	}
	editor, err := a.editor(ctx)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "sh", "-c", editor+` "$@"`, editor, f.Name())
	if _, err := exec.LookPath("sh"); err != nil && runtime.GOOS == "windows" {
		words := append(strings.Fields(editor), f.Name())
		cmd = exec.CommandContext(ctx, words[0], words[1:]...)
	}
	cmd.Env = a.std.Env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.std.In, a.std.Out, a.std.Err
	if err := cmd.Run(); err != nil {
		return "", because(err, mail.Errorf(mail.Cancelled, "the editor %q did not succeed; nothing was sent", editor))
	}
	text, err := readFile(f.Name())
	if err != nil {
		return "", err
	}
	text, _, _ = strings.Cut(text, scissors)
	if text = strings.Trim(text, "\n"); strings.TrimSpace(text) == "" {
		return "", mail.Errorf(mail.Cancelled, "the message is empty; nothing was sent")
	}
	a.draft, written = f.Name(), true
	return text + "\n", nil
}

// editor asks git, which knows core.editor and the variables in their order.
func (a *app) editor(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, "git", "var", "GIT_EDITOR")
	cmd.Env = a.std.Env
	out, err := cmd.Output()
	if editor := strings.TrimSpace(string(out)); err == nil && editor != "" {
		return editor, nil
	}
	return "", mail.Errorf(mail.Usage, "no text for the message: git knows no editor to write it in").Hint("git agentmail send ... -m TEXT")
}
