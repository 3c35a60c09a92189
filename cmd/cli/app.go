package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

// app is what all verbs share: the surroundings and the global flags.
type app struct {
	std  IO
	args []string // the whole command line

	as                            string
	json, quiet, noColor, verbose bool

	out, err screen

	held  []string // notes that wait for the end
	draft string   // the file with what was written in an editor
}

func newApp(args []string, std IO) *app {
	return &app{std: std, args: args, out: screenOf(std.Out), err: screenOf(std.Err)}
}

// asksJSON looks for --json without parsing: a mistake in the command line must
// come out as JSON too, although it may have stopped the parser before.
func (a *app) asksJSON() bool {
	return slices.Contains(a.args, "--json") || slices.Contains(a.args, "--json=true")
}

// getenv returns the last value that the environment gives to name.
func (a *app) getenv(name string) string {
	for i := len(a.std.Env) - 1; i >= 0; i-- {
		if k, v, ok := strings.Cut(a.std.Env[i], "="); ok && k == name {
			return v
		}
	}
	return ""
}

// open opens the mailbox of the repository that the working directory, or
// git's environment, belongs to.
func (a *app) open(ctx context.Context) (*mailbox.Box, error) {
	step, end := a.progress("index")
	return mailbox.Open(ctx, mailbox.Options{Environ: a.std.Env, Now: a.std.Now, Report: a.note, Digest: a.std.Digest, Progress: func(done, total int) {
		if step(done, total); done == total {
			end()
		}
	}})
}

// who finds out who is acting.
func (a *app) who(ctx context.Context, b *mailbox.Box) (mailbox.Actor, error) {
	return b.Who(ctx, mailbox.Caller{As: a.as, Ancestors: a.std.Ancestors, Getenv: a.getenv})
}

// withBox runs an ordinary verb. When it is done the user is told, once, if git
// would not run the guard here: other programs move hooks without a word.
func (a *app) withBox(cmd *cobra.Command, fn func(context.Context, *mailbox.Box) error) error {
	ctx := cmd.Context()
	b, err := a.open(ctx)
	if err != nil {
		return err
	}
	defer b.Close()
	if err := fn(ctx, b); err != nil {
		return err
	}
	if !a.quiet {
		if s := b.GuardNotice(ctx); s != "" {
			a.note(s)
		}
	}
	return nil
}

// withActor runs a verb that somebody does.
func (a *app) withActor(cmd *cobra.Command, fn func(context.Context, *mailbox.Box, mailbox.Actor) error) error {
	return a.withBox(cmd, func(ctx context.Context, b *mailbox.Box) error {
		who, err := a.who(ctx, b)
		if err != nil {
			return err
		}
		return fn(ctx, b, who)
	})
}

// answer prints v with --json, else what text writes.
func (a *app) answer(v any, text func(w *strings.Builder)) error {
	if a.json {
		return a.printJSON(v)
	}
	var w strings.Builder
	text(&w)
	return a.print(w.String())
}

func (a *app) print(s string) error {
	if _, err := io.WriteString(a.std.Out, s); err != nil {
		return mail.Errorf(mail.Internal, "the answer could not be printed: %w", err)
	}
	return nil
}

func (a *app) printJSON(v any) error {
	var w strings.Builder
	if err := encodeJSON(&w, v); err != nil {
		return mail.Errorf(mail.Internal, "the answer could not be printed: %w", err)
	}
	return a.print(w.String())
}

// encodeJSON writes v on one line, with <, > and & as they are.
func encodeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// list makes an empty list of none, so that JSON has [] and not null.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// note tells the user something beside the answer. With --json it waits for the
// end: an error must be the only line on stderr then.
func (a *app) note(s string) {
	switch {
	case a.quiet:
	case a.json:
		a.held = append(a.held, s)
	default:
		fmt.Fprintf(a.std.Err, "agentmail: note: %s\n", escape(s))
	}
}

func (a *app) notef(format string, args ...any) { a.note(fmt.Sprintf(format, args...)) }

// say is for progress and for empty lists: one plain line.
func (a *app) say(format string, args ...any) {
	if !a.quiet {
		fmt.Fprintln(a.std.Err, escape(fmt.Sprintf(format, args...)))
	}
}

// warn prints the warnings of an answer; in JSON they are part of it.
func (a *app) warn(list []string) {
	if !a.json {
		a.notes(list)
	}
}

func (a *app) notes(list []string) {
	for _, s := range list {
		a.note(s)
	}
}
