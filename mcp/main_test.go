package mcp

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/internal/refine"
	"github.com/git-agentmail/git-agentmail/mail/digest"
	"github.com/git-agentmail/git-agentmail/mailbox"
)

// environ is the surroundings of a test's git: a person called Ann, and nothing of the
// machine's configuration.
func environ(t *testing.T) []string {
	t.Helper()
	home := t.TempDir()
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_STATE_HOME=" + filepath.Join(home, "state"), "XDG_DATA_HOME=" + filepath.Join(home, "data"),
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "LC_ALL=C.UTF-8", "TMPDIR=" + os.TempDir(),
		"GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.org", "GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@example.org",
	}
}

// repository makes an empty repository with one commit.
func repository(t *testing.T, env []string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	git(t, dir, env, "init", "--quiet", "--initial-branch=main")
	git(t, dir, env, "commit", "--quiet", "--allow-empty", "--message=first")
	return dir
}

func git(t *testing.T, dir string, env []string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env = dir, env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// options are those of a server that looks for its repository in dir.
func options(t *testing.T, dir string, env []string, p Profile) Options {
	t.Helper()
	return Options{
		Mailbox: mailbox.Options{Dir: dir, Environ: env, Now: time.Now, Digest: mailbox.Digest{Summarize: digest.Summarize, Aggregate: digest.Aggregate, Refine: refine.Refine}},
		Getenv:  func(name string) string { return lookup(env, name) },
		Profile: p, Version: "test", Log: log.New(t.Output(), "", 0),
	}
}

func lookup(env []string, name string) string {
	for i := len(env) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(env[i], name+"="); ok {
			return v
		}
	}
	return ""
}

// client is the other side of a server on standard input and output.
type client struct {
	t   *testing.T
	in  io.WriteCloser
	out *bufio.Reader
	id  int
}

// connect starts a server with a client that has said hello.
func connect(t *testing.T, opt Options) *client {
	t.Helper()
	c := dial(t, opt)
	c.request("initialize", map[string]any{"protocolVersion": "2025-06-18", "capabilities": map[string]any{},
		"clientInfo": map[string]any{"name": "test-client", "version": "1"}})
	c.notify("notifications/initialized", nil)
	return c
}

// dial starts a server whose client has said nothing yet.
func dial(t *testing.T, opt Options) *client {
	t.Helper()
	fromClient, in := io.Pipe()
	out, toClient := io.Pipe()
	s := New(opt)
	done := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		err := s.Stdio(ctx, fromClient, toClient)
		toClient.Close()
		done <- err
	}()
	t.Cleanup(func() {
		in.Close()
		go io.Copy(io.Discard, out)
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("the server ended with %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("the server did not end when its input did")
		}
		cancel()
		s.Close()
	})
	return &client{t: t, in: in, out: bufio.NewReader(out)}
}

// reply is an answer of the protocol.
type reply struct {
	ID     any             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Code    int             `json:"code"`
		Message string          `json:"message"`
		Data    json.RawMessage `json:"data"`
	} `json:"error"`
}

func (c *client) write(v any) {
	c.t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.in.Write(append(data, '\n')); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) notify(method string, params any) {
	c.t.Helper()
	c.write(map[string]any{"jsonrpc": "2.0", "method": method, "params": params})
}

// request waits for the answer and passes over notifications.
func (c *client) request(method string, params any) reply {
	c.t.Helper()
	c.id++
	c.write(map[string]any{"jsonrpc": "2.0", "id": c.id, "method": method, "params": params})
	for {
		line, err := c.out.ReadBytes('\n')
		if err != nil {
			c.t.Fatalf("%s: %v", method, err)
		}
		var r reply
		if err := json.Unmarshal(line, &r); err != nil {
			c.t.Fatalf("%s: %v in %s", method, err, line)
		}
		if r.Method == "" {
			return r
		}
	}
}

// toolResult is the answer of a tool.
type toolResult struct {
	Content []struct {
		Type string `json:"type"`
		Text string `json:"text"`
	} `json:"content"`
	Structured json.RawMessage `json:"structuredContent"`
	IsError    bool            `json:"isError"`
}

// try calls a tool and returns its text and whether that is an error.
func (c *client) try(name string, args map[string]any) (text string, failed bool) {
	c.t.Helper()
	r := c.request("tools/call", map[string]any{"name": name, "arguments": args})
	if r.Error != nil {
		c.t.Fatalf("%s: %d %s", name, r.Error.Code, r.Error.Message)
	}
	var res toolResult
	if err := json.Unmarshal(r.Result, &res); err != nil {
		c.t.Fatal(err)
	}
	if len(res.Content) != 1 || res.Content[0].Type != "text" {
		c.t.Fatalf("%s: not one text: %s", name, r.Result)
	}
	return res.Content[0].Text, res.IsError
}

// call calls a tool that must succeed and puts its answer into v, if it is not nil.
func (c *client) call(name string, args map[string]any, v any) {
	c.t.Helper()
	text, failed := c.try(name, args)
	if failed {
		c.t.Fatalf("%s: %s", name, text)
	}
	if v != nil {
		if err := json.Unmarshal([]byte(text), v); err != nil {
			c.t.Fatalf("%s: %v in %s", name, err, text)
		}
	}
}

// fails calls a tool that must fail and returns the error.
func (c *client) fails(name string, args map[string]any) errorEnvelope {
	c.t.Helper()
	text, failed := c.try(name, args)
	if !failed {
		c.t.Fatalf("%s succeeds: %s", name, text)
	}
	var e struct{ Error errorEnvelope }
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		c.t.Fatalf("%s: %v in %s", name, err, text)
	}
	return e.Error
}
