package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/hooks/clientconfig"
	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/git-agentmail/git-agentmail/mailbox"
)

// canaryWait is how long a server or a hook has.
const canaryWait = 15 * time.Second

// proof is what a canary found.
type proof struct {
	Client  string `json:"client"`
	Scope   string `json:"scope"` // project, user
	What    string `json:"what"`  // server, hook
	OK      bool   `json:"ok"`
	Command string `json:"command"`
	File    string `json:"file"`
	Note    string `json:"note"` // what was seen, or what is wrong
	Hint    string `json:"hint,omitempty"`
}

// checkClients proves what is set up: that each server answers, and that each hook denies
// an edit that it should deny.
func (a *app) checkClients(ctx context.Context, o clientconfig.Options, names []string, f setupFlags) error {
	scopes := []clientconfig.Options{o}
	if !f.user {
		user := o
		user.Root = ""
		scopes = append(scopes, user)
	}
	asked := names
	if len(names) == 0 {
		names = clientconfig.Clients()
	}
	if err := o.Valid(names); err != nil {
		return err
	}
	scene, err := a.newScene(ctx)
	if err != nil {
		return err
	}
	defer os.RemoveAll(scene.dir)
	proofs := []proof{}
	for _, name := range names {
		seen := false
		for _, o := range scopes {
			c := clientconfig.Read(o, name)
			scope, dir := "project", o.Root
			if dir == "" {
				scope, dir = "user", scene.dir
			}
			if c.Server != nil {
				p := proof{Client: name, Scope: scope, What: "server", Command: strings.Join(c.Server, " "), File: c.File}
				a.proveServer(ctx, &p, c.Server, dir)
				proofs = append(proofs, p)
			}
			if c.Hook != "" {
				p := proof{Client: name, Scope: scope, What: "hook", Command: c.Hook, File: c.By}
				scene.proveHook(ctx, &p)
				proofs = append(proofs, p)
			}
			seen = seen || c.Server != nil || c.Hook != ""
		}
		if !seen && len(asked) > 0 {
			proofs = append(proofs, proof{Client: name, Scope: "project", Note: "it is not set up", Hint: "git agentmail setup " + name})
		}
	}
	if len(proofs) == 0 {
		return mail.Errorf(mail.NotFound, "no coding agent is set up here").Hint("git agentmail setup")
	}
	err = a.answer(map[string]any{"clients": proofs}, func(w *strings.Builder) {
		for _, p := range proofs {
			state := "ok"
			if !p.OK {
				state = "problem"
			}
			fmt.Fprintf(w, "%-8s %s, %s", state, clientconfig.Title(p.Client), strings.TrimSpace(p.Scope+" "+p.What))
			if p.File != "" {
				fmt.Fprintf(w, "  (%s)", escape(p.File))
			}
			fmt.Fprintf(w, "\n%-8s %s\n", "", escape(p.Note))
			if p.Hint != "" {
				fmt.Fprintf(w, "%-8s %s\n", "", escape(p.Hint))
			}
		}
	})
	if err == nil && slices.ContainsFunc(proofs, func(p proof) bool { return !p.OK }) {
		return exitStatus(mail.Internal.Exit())
	}
	return err
}

// again is the command that writes a client's configuration anew.
func (p *proof) again() string {
	line := "git agentmail setup " + p.Client
	if p.Scope == "user" {
		line += " --user"
	}
	return line + " --remove && " + line
}

// proveServer starts a server as its client would and asks for its tools.
func (a *app) proveServer(ctx context.Context, p *proof, argv []string, dir string) {
	ctx, cancel := context.WithTimeout(ctx, canaryWait)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = dir, clientconfig.Environment(p.Client, outside(a.std.Env))
	cmd.WaitDelay = time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err == nil {
		var out io.ReadCloser
		if out, err = cmd.StdoutPipe(); err == nil {
			if err = cmd.Start(); err == nil {
				p.Note, err = handshake(in, bufio.NewReader(out))
				in.Close()
				cancelled := time.AfterFunc(canaryWait/3, cancel)
				cmd.Wait()
				cancelled.Stop()
			}
		}
	}
	if p.OK = err == nil; p.OK {
		return
	}
	p.Note, p.Hint = "the server does not answer: "+err.Error(), p.again()
	if ctx.Err() != nil {
		p.Note = fmt.Sprintf("the server did not answer within %s", canaryWait)
	}
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
		p.Note = fmt.Sprintf("%q is not there, where the client looks for it", argv[0])
	}
	if line := firstLine(stderr.String()); line != "" {
		p.Note += ": " + line
	}
}

// handshake is what every client begins with: the version of the protocol, then the tools.
func handshake(in io.Writer, out *bufio.Reader) (note string, err error) {
	ask := func(id int, method string, params any, result any) error {
		line, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": id, "method": method, "params": params})
		if err != nil {
			return err
		}
		if _, err := in.Write(append(line, '\n')); err != nil {
			return err
		}
		for {
			line, err := out.ReadBytes('\n')
			if err != nil {
				return fmt.Errorf("it ended before it answered %s", method)
			}
			var r struct {
				ID     any             `json:"id"`
				Result json.RawMessage `json:"result"`
				Error  *struct {
					Message string `json:"message"`
				} `json:"error"`
			}
			switch err := json.Unmarshal(line, &r); {
			case err != nil:
				return fmt.Errorf("it wrote what is no JSON: %s", short(string(line), 80))
			case r.ID != float64(id): // a notification
			case r.Error != nil:
				return fmt.Errorf("%s: %s", method, r.Error.Message)
			default:
				return json.Unmarshal(r.Result, result)
			}
		}
	}
	var hello struct {
		Server struct {
			Name    string `json:"name"`
			Version string `json:"version"`
		} `json:"serverInfo"`
	}
	client := map[string]any{"name": "git-agentmail-setup", "version": ownVersion()}
	if err := ask(1, "initialize", map[string]any{"protocolVersion": "2025-06-18", "capabilities": map[string]any{}, "clientInfo": client}, &hello); err != nil {
		return "", err
	}
	if _, err := io.WriteString(in, `{"jsonrpc":"2.0","method":"notifications/initialized"}`+"\n"); err != nil {
		return "", err
	}
	var list struct {
		Tools []struct {
			Name string `json:"name"`
		} `json:"tools"`
	}
	if err := ask(2, "tools/list", map[string]any{}, &list); err != nil {
		return "", err
	}
	if len(list.Tools) == 0 {
		return "", errors.New("it has no tools")
	}
	return fmt.Sprintf("%s %s answers with %d tools", hello.Server.Name, hello.Server.Version, len(list.Tools)), nil
}

// scene is a scratch repository in which one file is reserved.
type scene struct {
	dir string
	env []string
}

const canaryFile = "canary.txt"

func (a *app) newScene(ctx context.Context) (s scene, err error) {
	if s.dir, err = os.MkdirTemp("", "agentmail-canary-"); err != nil {
		return s, mail.Errorf(mail.Denied, "no scratch directory: %w", err)
	}
	defer func() {
		if err != nil {
			os.RemoveAll(s.dir)
		}
	}()
	if real, err := filepath.EvalSymlinks(s.dir); err == nil {
		s.dir = real
	}
	s.env = outside(a.std.Env)
	git := exec.CommandContext(ctx, "git", "init", "--quiet", s.dir)
	git.Env = s.env
	if out, err := git.CombinedOutput(); err != nil {
		return s, mail.Errorf(mail.NoRepo, "no scratch repository: %s", firstLine(string(out)))
	}
	b, err := mailbox.Open(ctx, mailbox.Options{Dir: s.dir, Environ: s.env, Now: a.std.Now})
	if err != nil {
		return s, err
	}
	defer b.Close()
	if _, err := b.Init(ctx, mailbox.InitRequest{NoHooks: true}); err != nil {
		return s, err
	}
	if _, err := b.Register(ctx, mailbox.RegisterRequest{Name: first, Program: "canary", Model: "canary"}); err != nil {
		return s, err
	}
	who, err := b.Who(ctx, mailbox.Caller{As: first})
	if err != nil {
		return s, err
	}
	_, err = b.Reserve(ctx, who, mailbox.ReserveRequest{Patterns: []string{canaryFile}, TTL: time.Hour, Reason: "canary"})
	return s, err
}

// outside is an environment without what leads into a repository or says who is acting.
func outside(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return strings.HasPrefix(name, "GIT_") && !strings.HasPrefix(name, "GIT_CONFIG") || name == "AGENTMAIL_AGENT" || name == "AGENT_NAME"
	})
}

// proveHook runs a hook as its client would before it writes the reserved file.
func (s scene) proveHook(ctx context.Context, p *proof) {
	ctx, cancel := context.WithTimeout(ctx, canaryWait)
	defer cancel()
	shell := []string{"sh", "-c"}
	if runtime.GOOS == "windows" {
		shell = []string{"cmd", "/c"}
	}
	cmd := exec.CommandContext(ctx, shell[0], shell[1], p.Command)
	cmd.Dir, cmd.Env, cmd.WaitDelay = s.dir, s.env, time.Second
	cmd.Stdin = bytes.NewReader(clientconfig.Canary(p.Client, s.dir, canaryFile))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if cmd.ProcessState == nil {
		p.Note, p.Hint = "the hook could not be run: "+err.Error(), p.again()
		return
	}
	if p.OK = clientconfig.Denied(p.Client, stdout.Bytes(), cmd.ProcessState.ExitCode()); p.OK {
		p.Note = "the edit of a reserved file is denied"
		return
	}
	p.Note, p.Hint = fmt.Sprintf("the edit of a reserved file is not denied (exit status %d)", cmd.ProcessState.ExitCode()), p.again()
	if line := firstLine(stderr.String()); line != "" {
		p.Note += ": " + line
	}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return short(line, 200)
}
