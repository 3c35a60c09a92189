package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/git-agentmail/git-agentmail/hooks/agenthook"
	"github.com/git-agentmail/git-agentmail/mailbox"
)

// isAgentHook reports whether a hook belongs to a coding agent, not to git.
func isAgentHook(event string) bool {
	return event == "pre-edit" || event == "session-start" || event == "post-tool"
}

// agentHook answers a coding agent in its own dialect. Whatever goes wrong, the
// edit is allowed and one line on stderr says why: these hooks are an early
// warning, and the commit hook still stands behind them.
func (a *app) agentHook(ctx context.Context, event string, args []string) error {
	client := "auto"
	for _, arg := range args {
		name, ok := strings.CutPrefix(arg, "--client=")
		if !ok {
			fmt.Fprintf(a.std.Err, "agentmail: note: %q is not an argument of this hook\n", escape(arg))
			continue
		}
		client = name
	}
	stdin, err := io.ReadAll(a.std.In)
	if err != nil {
		stdin = nil
	}
	call, err := agenthook.Parse(client, event, stdin)
	answer := call.Allow()
	if err == nil {
		answer, err = a.answerAgent(ctx, call)
	}
	if err != nil {
		fmt.Fprintf(a.std.Err, "agentmail: note: not checked: %s\n", escape(err.Error()))
		answer = call.Allow()
	}
	a.std.Err.Write(answer.Stderr)
	if err := a.print(string(answer.Stdout)); err != nil {
		return err
	}
	if answer.Exit != 0 {
		return exitStatus(answer.Exit)
	}
	return nil
}

func (a *app) answerAgent(ctx context.Context, call agenthook.Call) (agenthook.Answer, error) {
	if call.Kind == agenthook.PreEdit && len(call.Paths) == 0 || call.Kind == agenthook.Other {
		return call.Allow(), nil
	}
	dir := call.Dir
	if dir == "" {
		var err error
		if dir, err = os.Getwd(); err != nil {
			return call.Allow(), err
		}
	}
	b, err := mailbox.Open(ctx, mailbox.Options{Dir: dir, Environ: a.std.Env, Now: a.std.Now, Report: a.note})
	if err != nil {
		return call.Allow(), err
	}
	defer b.Close()
	if !b.SetUp() {
		return call.Allow(), nil
	}
	who, err := b.Who(ctx, mailbox.Caller{As: a.as, Session: call.Session, Ancestors: a.std.Ancestors, Getenv: a.getenv, Client: true})
	if err != nil {
		return call.Allow(), err
	}
	if call.Kind == agenthook.PreEdit {
		refusal, err := b.MayEdit(ctx, who, dir, call.Paths)
		if err != nil || refusal == "" {
			return call.Allow(), err
		}
		return call.Deny(refusal), nil
	}
	line, err := b.Nudge(ctx, who)
	if err != nil || line == "" {
		return call.Allow(), err
	}
	return call.Inject(line), nil
}
