package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/git-agentmail/git-agentmail/mailbox"
)

// mcpProgram is the second program: the same verbs, and linked with what would slow down
// every start of this one, which runs it where that is needed.
const (
	mcpProgram  = "git-agentmail-mcp"
	installBoth = "go install github.com/git-agentmail/git-agentmail/cmd/...@latest"
)

// secondWait is how long the second program has to say its version.
const secondWait = 5 * time.Second

// isSecond reports whether this program was started as the second one.
func (a *app) isSecond() bool { return programName(a.std.Program) == mcpProgram }

func programName(path string) string { return strings.TrimSuffix(filepath.Base(path), ".exe") }

// findSecond looks for the second program beside this one, then on PATH.
func (a *app) findSecond() (string, error) {
	if a.isSecond() { // it would run itself for ever
		return "", mail.Errorf(mail.Internal, "%q is a copy of git-agentmail, and not what bears this name", a.std.Program).Hint(installBoth)
	}
	if exe, err := os.Executable(); err == nil {
		real, _ := filepath.EvalSymlinks(exe)
		for _, exe := range []string{exe, real} {
			if path, err := exec.LookPath(filepath.Join(filepath.Dir(exe), mcpProgram)); err == nil && filepath.IsAbs(path) {
				return path, nil
			}
		}
	}
	if path, err := exec.LookPath(mcpProgram); err == nil {
		return path, nil
	}
	return "", mail.Errorf(mail.Internal, "%s was not found, neither beside git-agentmail nor on PATH; this verb needs it", mcpProgram).Hint(installBoth)
}

// handOver runs the same command line in the second program, which does not return
// where one program can take the place of another.
func (a *app) handOver() error {
	path, err := a.findSecond()
	if err != nil {
		return err
	}
	if a.std.Exec != nil {
		err = a.std.Exec(path, append([]string{path}, a.args...), a.std.Env)
	} else {
		// No context: an interrupt reaches the child by itself, and its answer is ours.
		cmd := exec.Command(path, a.args...)
		cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = a.std.Env, a.std.In, a.std.Out, a.std.Err
		err = cmd.Run()
		var exit *exec.ExitError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &exit) && exit.ExitCode() >= 0:
			return exitStatus(exit.ExitCode())
		}
	}
	return mail.Errorf(mail.Internal, "%q could not be run: %w", path, err).Hint(installBoth)
}

// secondVersion asks the second program for its version; "" if there is none, or this is it.
func (a *app) secondVersion(ctx context.Context) string {
	path, err := a.findSecond()
	if err != nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, secondWait)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "version", "--json")
	cmd.Env = a.std.Env
	out, err := cmd.Output()
	var v struct {
		Version string `json:"version"`
	}
	if err != nil || json.Unmarshal(out, &v) != nil || v.Version == "" {
		return "unknown"
	}
	return v.Version
}

// secondFindings is what doctor says of the second program.
func (a *app) secondFindings(ctx context.Context) []mailbox.Finding {
	if a.isSecond() {
		return nil
	}
	switch v := a.secondVersion(ctx); v {
	case "":
		return []mailbox.Finding{{Level: "note", What: mcpProgram + " was not found; summarize needs it", Hint: installBoth}}
	case ownVersion():
		return []mailbox.Finding{{Level: "ok", What: mcpProgram + " " + v}}
	default:
		return []mailbox.Finding{{Level: "problem", What: fmt.Sprintf("%s is version %s, and this is %s", mcpProgram, v, ownVersion()), Hint: installBoth}}
	}
}
