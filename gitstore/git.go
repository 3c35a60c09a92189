package gitstore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// repoEnv are the variables with which git passes one repository to its
// children (what `git rev-parse --local-env-vars` lists, a test compares). They
// are dropped for our own object and ref work: inside a hook they name the
// user's index, or a quarantine, and a leaked GIT_DIR would make us write into
// the wrong repository. GIT_CONFIG_PARAMETERS and GIT_CONFIG_COUNT stay: users
// make repositories usable through them (safe.directory, credentials).
var repoEnv = map[string]bool{
	"GIT_ALTERNATE_OBJECT_DIRECTORIES": true,
	"GIT_CONFIG":                       true,
	"GIT_OBJECT_DIRECTORY":             true,
	"GIT_DIR":                          true,
	"GIT_WORK_TREE":                    true,
	"GIT_IMPLICIT_WORK_TREE":           true,
	"GIT_GRAFT_FILE":                   true,
	"GIT_INDEX_FILE":                   true,
	"GIT_NO_REPLACE_OBJECTS":           true,
	"GIT_REPLACE_REF_BASE":             true,
	"GIT_PREFIX":                       true,
	"GIT_SHALLOW_FILE":                 true,
	"GIT_COMMON_DIR":                   true,
	"GIT_INTERNAL_SUPER_PREFIX":        true,
	// Not in git's list, but set around a push that is being received.
	"GIT_QUARANTINE_PATH": true,
}

// ownEnv is the environment for our own object and ref work on gitDir: the
// given one without repoEnv. Replace refs must not change what a log says, and
// a partial clone must not go to the network for an object of ours.
func ownEnv(base []string, gitDir string) []string {
	env := make([]string, 0, len(base)+6)
	for _, kv := range base {
		name, _, _ := strings.Cut(kv, "=")
		if !repoEnv[name] {
			env = append(env, kv)
		}
	}
	return append(env,
		"GIT_DIR="+gitDir,
		"GIT_NO_REPLACE_OBJECTS=1",
		"GIT_NO_LAZY_FETCH=1",
		"GIT_OPTIONAL_LOCKS=0",
		"GIT_TERMINAL_PROMPT=0",
		"LC_ALL=C",
	)
}

// gitError is a git command that ended with a status other than 0.
type gitError struct {
	verb   string
	status int
	stderr string
}

func (e *gitError) Error() string { return "git " + e.verb + ": " + e.reason() }

// reason is the first line of what git said.
func (e *gitError) reason() string {
	msg := strings.TrimSpace(e.stderr)
	if line, _, more := strings.Cut(msg, "\n"); more {
		msg = line
	}
	if msg == "" {
		msg = "no message"
	}
	return strings.TrimPrefix(msg, "fatal: ")
}

// ownConfig overrides the user's settings for our own object and ref work: a
// reference-transaction hook of theirs must not run on, or refuse, our refs, and
// a wait for git's locks ends, for we have a limit of our own.
var ownConfig = []string{
	"-c", "core.hooksPath=" + os.DevNull,
	"-c", "core.filesRefLockTimeout=100",
	"-c", "core.packedRefsTimeout=1000",
}

// own runs git on the store's own objects and refs.
func (r *Repo) own(ctx context.Context, stdin []byte, args ...string) ([]byte, error) {
	return run(ctx, r.CommonDir, r.env, stdin, append(ownConfig[:len(ownConfig):len(ownConfig)], args...)...)
}

// begin starts a git on the store's own objects and refs that waits for what it is to read, so
// that who will know later need not wait for its start then. finish has to be called once.
func (r *Repo) begin(ctx context.Context, args ...string) (finish func(stdin string) error) {
	args = append(ownConfig[:len(ownConfig):len(ownConfig)], args...)
	cmd := exec.CommandContext(ctx, "git", args...)
	in, out := io.Pipe()
	cmd.Stdin = in
	done := make(chan error, 1)
	go func() {
		_, err := runGit(ctx, cmd, r.CommonDir, r.env, nil, args)
		in.Close()
		done <- err
	}()
	return func(stdin string) error {
		io.WriteString(out, stdin)
		out.Close()
		return <-done
	}
}

// ask runs a git command that reads the user's side (index, work tree, HEAD)
// with the environment as given, so that a hook's temporary index is seen.
func (r *Repo) ask(ctx context.Context, stdin []byte, args ...string) ([]byte, error) {
	return r.askIn(ctx, r.Dir, stdin, args...)
}

func (r *Repo) askIn(ctx context.Context, dir string, stdin []byte, args ...string) ([]byte, error) {
	// GIT_CONFIG would turn `git config` away from the repository's settings.
	env := slices.DeleteFunc(slices.Clone(r.given), func(kv string) bool { return strings.HasPrefix(kv, "GIT_CONFIG=") })
	return run(ctx, dir, append(env, "LC_ALL=C", "GIT_OPTIONAL_LOCKS=0", "GIT_NO_LAZY_FETCH=1"), stdin, args...)
}

// run runs git and returns its standard output. A non-zero status is a
// *gitError; the output is returned beside it.
func run(ctx context.Context, dir string, env []string, stdin []byte, args ...string) ([]byte, error) {
	return runGit(ctx, exec.CommandContext(ctx, "git", args...), dir, env, stdin, args)
}

func runGit(ctx context.Context, cmd *exec.Cmd, dir string, env []string, stdin []byte, args []string) ([]byte, error) {
	cmd.Dir, cmd.Env = dir, env
	if stdin != nil {
		cmd.Stdin = bytes.NewReader(stdin)
	}
	var out, errb bytes.Buffer
	cmd.Stderr = &errb
	// The output is read to its end before the wait for the process: a goroutine that
	// waits for a file costs no thread, one that waits for a process does.
	pipe, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err == nil {
		// What git has started may have the pipe too, and live on.
		defer context.AfterFunc(ctx, func() { pipe.Close() })()
		_, rerr := out.ReadFrom(pipe)
		err = errors.Join(cmd.Wait(), rerr)
	}
	var ee *exec.ExitError
	switch {
	case err == nil:
		return out.Bytes(), nil
	case ctx.Err() != nil:
		return out.Bytes(), ctx.Err()
	case errors.As(err, &ee):
		return out.Bytes(), &gitError{verb(args), ee.ExitCode(), errb.String()}
	}
	return nil, startError(verb(args), err)
}

func startError(verb string, err error) error {
	if errors.Is(err, exec.ErrNotFound) {
		return errf(Unsupported, "git is not on PATH: %w", err)
	}
	return errf(GitFailed, "start git %s: %w", verb, err)
}

// verb is the git command in args, after any -c settings.
func verb(args []string) string {
	for len(args) > 2 && args[0] == "-c" {
		args = args[2:]
	}
	return args[0]
}
