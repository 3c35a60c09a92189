package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/spf13/cobra"
)

// finish prints what went wrong, if anything did, and returns the exit status.
func (a *app) finish(ctx context.Context, cmd *cobra.Command, err error) int {
	if a.draft != "" && err == nil {
		os.Remove(a.draft)
	} else if a.draft != "" {
		fmt.Fprintf(a.std.Err, "agentmail: note: what you wrote is kept in %s\n", a.draft)
	}
	if err == nil {
		a.json = false
		a.notes(a.held)
		return 0
	}
	if s, ok := asStatus(err); ok {
		return s
	}
	if ctx.Err() != nil && mail.CodeOf(err) == mail.Internal {
		err = because(err, mail.Errorf(mail.Cancelled, "interrupted"))
	}
	e := mail.AsError(err)
	a.fail(cmd, e)
	return e.Code.Exit()
}

// fail prints an error. Usage follows only for a wrong command line.
func (a *app) fail(cmd *cobra.Command, e *mail.Error) {
	if a.json {
		if encodeJSON(a.std.Err, map[string]any{"error": e}) == nil {
			return
		}
	}
	a.explain("error", e)
	if a.verbose {
		for err := e.Err; err != nil; err = errors.Unwrap(err) {
			fmt.Fprintf(a.std.Err, "agentmail: cause: %s\n", escape(err.Error()))
		}
	}
	if e.Code == mail.Usage && cmd != nil {
		fmt.Fprintf(a.std.Err, "usage: %s\n", usageLine(cmd))
	}
}

// because gives e a cause that only -v shows.
func because(err error, e *mail.Error) *mail.Error {
	e.Err = err
	return e
}

// explain prints an error for people: what, the evidence, what to do.
func (a *app) explain(word string, e *mail.Error) {
	var w strings.Builder
	fmt.Fprintf(&w, "agentmail: %s %s [%s]\n", a.red(&a.err, word+":"), escape(e.Message), e.Code)
	for _, line := range e.Lines {
		fmt.Fprintf(&w, "  %s\n", escape(line))
	}
	for _, h := range e.Hints {
		fmt.Fprintf(&w, "agentmail: hint: %s\n", escape(h))
	}
	fmt.Fprint(a.std.Err, w.String())
}
