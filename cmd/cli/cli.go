// Package cli is the command line: it parses, calls one method of
// [mailbox.Box], and prints. It holds no rule about mail.
//
// # Where things go
//
// The answer goes to stdout, everything else (notes, progress, errors) to
// stderr. With --json the answer is one JSON value, and an error is one line of
// JSON on stderr.
//
// # Compatibility
//
// The verbs, their flags, the JSON and the exit statuses are a contract; help
// texts and the layout of tables are for people and may change.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/git-agentmail/git-agentmail/mailbox"
)

// IO is what a command line has of the world around it.
type IO struct {
	In        io.Reader
	Out, Err  io.Writer
	Env       []string                 // as os.Environ
	Ancestors func() []mailbox.Process // which programs started this one; nil is nobody
	Now       func() time.Time
	Program   string         // as what this one was started, os.Args[0]
	Digest    mailbox.Digest // makes summaries; without it the second program is run for them
	// Serve speaks to coding agents until they leave; without it the second program is run.
	Serve func(ctx context.Context, std IO, s Served) error
	// Exec puts another program in place of this one and returns only if it cannot; nil
	// runs it as a child.
	Exec func(path string, args, env []string) error
}

// Process returns the IO of this process.
func Process() IO {
	return IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Env: os.Environ(), Ancestors: mailbox.Ancestors, Now: time.Now,
		Program: os.Args[0], Exec: replace()}
}

// Main runs one command line, without the name of the program, and returns the
// exit status.
func Main(args []string, std IO) (status int) {
	a := newApp(args, std)
	defer func() {
		if p := recover(); p != nil {
			status = a.panicked(p)
		}
	}()
	if event, rest, ok := plainHook(args); ok {
		// git calls this on every commit: no tree of commands is built for it, and a
		// signal ends it as it ends git. Whatever it writes bears being cut short.
		ctx := context.Background()
		return a.finish(ctx, nil, a.hook(ctx, event, rest))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second interrupt ends the process at once

	root := newRoot(a)
	root.SetArgs(args)
	root.SetIn(std.In)
	root.SetOut(std.Out)
	root.SetErr(std.Err)
	cmd, err := root.ExecuteContextC(ctx)
	return a.finish(ctx, cmd, err)
}

// exitStatus ends the program with a status about which everything has been said.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// panicked says that git-agentmail itself is at fault. In a hook such a fault
// must not stop a commit; a push goes out of the house, so it does.
func (a *app) panicked(p any) int {
	err := mail.Errorf(mail.Internal, "fault in git-agentmail: %v", p).Hint("git agentmail doctor")
	event, hook := a.hookEvent()
	if hook {
		err.Message = "the guard could not check: " + err.Message
	}
	a.fail(nil, err)
	if a.verbose {
		a.std.Err.Write(debug.Stack())
	}
	if hook {
		return unchecked(event)
	}
	return mail.Internal.Exit()
}

// unchecked is the exit status of a hook that could not do its work.
func unchecked(event string) int {
	if leaves(event) {
		return mail.Unchecked.Exit()
	}
	return 0
}

// leaves reports whether the hook is one of a push: it gets the refs on standard
// input, and the doubt counts against it.
func leaves(event string) bool { return event == mailbox.PrePush || event == mailbox.PreReceive }

// asStatus returns the status in err's chain.
func asStatus(err error) (int, bool) {
	var s exitStatus
	ok := errors.As(err, &s)
	return int(s), ok
}

// plainHook reports whether the command line is a hook's, without flags of ours.
func plainHook(args []string) (event string, rest []string, ok bool) {
	if len(args) < 2 || args[0] != "hook" || strings.HasPrefix(args[1], "-") {
		return "", nil, false
	}
	return args[1], args[2:], true
}
