// Package clients runs real coding agents, as their vendors ship them, against a scripted
// model on loopback: without a network, an account, or a home that is anybody's.
//
// make clients installs them and runs this; without AGENTMAIL_CLIENTS it is skipped.
package clients

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// installed returns the directory in which the clients are, made by make clients.
func installed(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("AGENTMAIL_CLIENTS")
	if dir == "" {
		t.Skip("AGENTMAIL_CLIENTS names no directory with clients: make clients")
	}
	return filepath.Join(dir, "node_modules")
}

// program finds one of the files that a client's packages may have, by pattern.
func program(t *testing.T, patterns ...string) string {
	t.Helper()
	for _, p := range patterns {
		if list, _ := filepath.Glob(filepath.Join(installed(t), filepath.FromSlash(p))); len(list) > 0 {
			return list[0]
		}
	}
	t.Skipf("not installed here: %s", patterns[0])
	return ""
}

var ours = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "agentmail-clients-")
	if err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "../../cmd/...").CombinedOutput()
	if err != nil {
		os.RemoveAll(dir)
		return string(out), err
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	status := m.Run()
	if os.Getenv("AGENTMAIL_CLIENTS") != "" {
		if dir, err := ours(); err == nil {
			os.RemoveAll(dir)
		}
	}
	os.Exit(status)
}

// world is a repository with two agents, set up for one client, and a home.
type world struct {
	t         *testing.T
	home, dir string
	env       []string
}

func newWorld(t *testing.T, clients ...string) *world {
	t.Helper()
	bin, err := ours()
	if err != nil {
		t.Fatalf("%v\n%s", err, bin)
	}
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, home: filepath.Join(base, "home"), dir: filepath.Join(base, "repo")}
	for _, dir := range []string{w.home, w.dir, filepath.Join(base, "tmp")} {
		if err := os.Mkdir(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	w.env = []string{"HOME=" + w.home, "PATH=" + bin + ":" + os.Getenv("PATH"), "TMPDIR=" + filepath.Join(base, "tmp"), "LANG=C.UTF-8", "TERM=dumb", "SHELL=/bin/sh",
		"GIT_CONFIG_NOSYSTEM=1", "NO_COLOR=1", "CI=1", "AGENTMAIL_AGENT=GreenCastle", "NO_PROXY=127.0.0.1,localhost"}
	w.write(filepath.Join(w.home, ".gitconfig"), "[user]\n\tname = Ann\n\temail = ann@example.org\n[init]\n\tdefaultBranch = main\n")
	w.run("git", "init", "--quiet")
	w.run("git", "commit", "--quiet", "--allow-empty", "-m", "first")
	w.run("git", "agentmail", "init")
	w.run("git", "agentmail", "register", "BlueLake", "--program", "person", "--model", "none")
	w.run("git", "agentmail", "register", "GreenCastle", "--program", clients[0], "--model", "scripted")
	w.run("git", "agentmail", "reserve", "held/**", "--as", "BlueLake", "--reason", "mine")
	w.run("git", "agentmail", "send", "--as", "BlueLake", "--to", "GreenCastle", "-s", "the-news", "-m", "news")
	w.run(append([]string{"git", "agentmail", "setup"}, clients...)...)
	w.run(append([]string{"git", "agentmail", "setup", "--check"}, clients...)...)
	return w
}

func (w *world) write(path, text string) {
	w.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		w.t.Fatal(err)
	}
}

// patience is how long a client has for a turn.
const patience = 3 * time.Minute

// try runs a program in the repository.
func (w *world) try(env []string, argv ...string) (string, error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = w.dir, append(append([]string{}, w.env...), env...), 5*time.Second
	if argv[0] == "git" { // where the test's own PATH does not lead
		cmd.Path, cmd.Err = must(exec.LookPath("git")), nil
	}
	start := time.Now()
	out, err := cmd.CombinedOutput()
	if argv[0] != "git" {
		w.t.Logf("%s: %s", strings.Join(append([]string{filepath.Base(argv[0])}, argv[1:]...), " "), time.Since(start).Round(time.Millisecond))
	}
	return string(out), err
}

func must(s string, _ error) string { return s }

func (w *world) run(argv ...string) string {
	w.t.Helper()
	out, err := w.try(nil, argv...)
	if err != nil {
		w.t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return out
}

// turn is the four things that each client does: write to another agent, read its mail,
// edit what that agent holds, edit what nobody holds. edit makes a client's edit.
func turn(w *world, edit func(path string) step) []step {
	return []step{
		{tool: "send_message", args: object{"to": []string{"BlueLake"}, "subject": "from-the-client", "body_md": "hello"}},
		{tool: "fetch_inbox", args: object{"limit": 5}},
		edit(filepath.Join(w.dir, "held", "x.txt")),
		edit(filepath.Join(w.dir, "free.txt")),
	}
}

// settle looks at what came of the turn. The denied edit is the denied-th call.
func (w *world) settle(m *model, denied int, out string, err error) {
	w.t.Helper()
	var inbox []struct {
		From    string `json:"from"`
		Subject string `json:"subject"`
	}
	data := w.run("git", "agentmail", "inbox", "--as", "BlueLake", "--json", "-q")
	if err := json.Unmarshal([]byte(data), &inbox); err != nil {
		w.t.Fatalf("%v in %s", err, data)
	}
	if len(inbox) != 1 || inbox[0].From != "GreenCastle" || inbox[0].Subject != "from-the-client" {
		w.t.Errorf("send_message: BlueLake has %s; the model was told %s", data, m.result(0))
	}
	if r := m.result(1); !strings.Contains(r, "the-news") {
		w.t.Errorf("fetch_inbox: the model was told %s", r)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "held", "x.txt")); err == nil {
		w.t.Error("the reserved file was written")
	}
	if r := m.result(denied); denied < len(m.steps)-1 && (!strings.Contains(r, "reserved") || !strings.Contains(r, "BlueLake")) {
		w.t.Errorf("the edit of a reserved file: the model was told %s", r)
	}
	if data, err := os.ReadFile(filepath.Join(w.dir, "free.txt")); err != nil || !bytes.Contains(data, []byte("hello")) {
		w.t.Errorf("the free file was not written: %v %q; the model was told %q", err, data, m.results)
	}
	if w.t.Failed() {
		w.t.Logf("the client ended with %v:\n%s", err, out)
	}
}

func TestClaude(t *testing.T) {
	claude := program(t, "@anthropic-ai/claude-code-*/claude", "@anthropic-ai/claude-code-*/claude.exe")
	w := newWorld(t, "claude")
	m := newModel(t, turn(w, func(path string) step {
		return step{tool: "Write", args: object{"file_path": path, "content": "hello\n"}}
	})...)
	env := []string{"ANTHROPIC_BASE_URL=" + m.url, "ANTHROPIC_API_KEY=none", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1", "DISABLE_AUTOUPDATER=1"}
	// What its user says once on the screen: the folder is trusted, the server may start.
	w.write(filepath.Join(w.home, ".claude.json"), text(object{"hasCompletedOnboarding": true, "projects": object{
		w.dir: object{"hasTrustDialogAccepted": true, "enabledMcpjsonServers": []string{"agentmail"}}}}))
	if out, err := w.try(env, claude, "mcp", "list"); err != nil || !strings.Contains(out, "agentmail: git-agentmail mcp - ✔ Connected") {
		t.Errorf("mcp list: %v\n%s", err, out)
	}
	out, err := w.try(env, claude, "-p", "go", "--allowedTools", "mcp__agentmail__send_message,mcp__agentmail__fetch_inbox,Write", "--permission-mode", "acceptEdits")
	w.settle(m, 2, out, err)
}

func TestCodex(t *testing.T) {
	codex := program(t, "@openai/codex-*/vendor/*/bin/codex", "@openai/codex-*/vendor/*/bin/codex.exe")
	w := newWorld(t, "codex")
	m := newModel(t, turn(w, func(path string) step {
		return step{tool: "apply_patch", text: "*** Begin Patch\n*** Add File: " + path + "\n+hello\n*** End Patch\n"}
	})...)
	w.write(filepath.Join(w.home, ".codex", "config.toml"), `model = "gpt-5.5"
model_provider = "fake"
[model_providers.fake]
name = "fake"
base_url = "`+m.url+`"
wire_api = "responses"
requires_openai_auth = false
[projects."`+w.dir+`"]
trust_level = "trusted"
`)
	if tools := w.codexServer(codex); !slices.Contains(tools, "send_message") {
		t.Errorf("the server's tools: %q", tools)
	}
	out, err := w.try(nil, codex, "exec", "--sandbox", "workspace-write", "--dangerously-bypass-hook-trust", "go")
	w.settle(m, 2, out, err)
}

// codexServer asks Codex, as an editor does, what tools our server has.
func (w *world) codexServer(codex string) (tools []string) {
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, codex, "app-server")
	cmd.Dir, cmd.Env = w.dir, w.env
	in, err := cmd.StdinPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	defer func() {
		in.Close()
		cancel()
		cmd.Wait()
	}()
	lines := bufio.NewReader(out)
	var seen []string
	ask := func(id int, method string, params object, result any) {
		io.WriteString(in, text(object{"id": id, "method": method, "params": params})+"\n")
		for {
			line, err := lines.ReadBytes('\n')
			if err != nil {
				w.t.Fatalf("%s: %v, after %q", method, err, seen)
			}
			seen = append(seen, string(line))
			var r struct {
				ID     any             `json:"id"`
				Result json.RawMessage `json:"result"`
			}
			if json.Unmarshal(line, &r) == nil && r.ID == float64(id) {
				if err := json.Unmarshal(r.Result, result); err != nil {
					w.t.Fatalf("%s: %s", method, line)
				}
				return
			}
		}
	}
	var none any
	ask(1, "initialize", object{"clientInfo": object{"name": "test", "version": "1"}}, &none)
	io.WriteString(in, text(object{"method": "initialized"})+"\n")
	var thread struct {
		Thread struct {
			ID string `json:"id"`
		} `json:"thread"`
	}
	ask(2, "thread/start", object{"cwd": w.dir}, &thread)
	var status struct {
		Data []struct {
			Name  string         `json:"name"`
			Tools map[string]any `json:"tools"`
		} `json:"data"`
	}
	ask(3, "mcpServerStatus/list", object{"threadId": thread.Thread.ID}, &status)
	for _, s := range status.Data {
		if s.Name == "agentmail" {
			for name := range s.Tools {
				tools = append(tools, name)
			}
		}
	}
	if len(tools) == 0 {
		w.t.Logf("app-server: %q", seen)
	}
	return tools
}

func TestGemini(t *testing.T) {
	gemini := program(t, "@google/gemini-cli/bundle/gemini.js")
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("there is no node")
	}
	w := newWorld(t, "gemini")
	m := newModel(t, turn(w, func(path string) step {
		return step{tool: "write_file", args: object{"file_path": path, "content": "hello\n"}}
	})...)
	env := []string{"GEMINI_API_KEY=none", "GOOGLE_GEMINI_BASE_URL=" + m.url, "GEMINI_CLI_TRUST_WORKSPACE=true"}
	w.write(filepath.Join(w.home, ".gemini", "settings.json"), `{"security": {"auth": {"selectedType": "gemini-api-key"}}, "privacy": {"usageStatisticsEnabled": false}, "general": {"disableAutoUpdate": true}}`)
	if out, err := w.try(env, node, gemini, "mcp", "list"); err != nil || !strings.Contains(out, "agentmail: git-agentmail mcp (stdio) - Connected") {
		t.Errorf("mcp list: %v\n%s", err, out)
	}
	out, err := w.try(env, node, gemini, "--approval-mode", "yolo", "-p", "go")
	w.settle(m, 2, out, err)
}

func TestOpencode(t *testing.T) {
	opencode := program(t, "opencode-*-baseline/bin/opencode", "opencode-*/bin/opencode", "opencode-*/bin/opencode.exe")
	w := newWorld(t, "opencode")
	m := newModel(t, turn(w, func(path string) step {
		return step{tool: "write", args: object{"filePath": path, "content": "hello\n"}}
	})...)
	w.write(filepath.Join(w.home, ".config", "opencode", "opencode.json"), text(object{
		"autoupdate": false, "share": "disabled",
		"provider": object{"fake": object{"npm": "@ai-sdk/openai-compatible", "name": "fake", "options": object{"baseURL": m.url, "apiKey": "none"},
			"models": object{"fake": object{"name": "fake", "tool_call": true}}}},
		"permission": object{"edit": "allow", "bash": "allow", "external_directory": "allow"}}))
	// Without these it waits for servers that are not there.
	env := []string{"OPENCODE_DISABLE_MODELS_FETCH=1", "OPENCODE_DISABLE_AUTOUPDATE=1", "OPENCODE_DISABLE_LSP_DOWNLOAD=1", "OPENCODE_DISABLE_DEFAULT_PLUGINS=1",
		"NPM_CONFIG_REGISTRY=http://127.0.0.1:9/", "NPM_CONFIG_FETCH_RETRIES=0"}
	if out, err := w.try(env, opencode, "mcp", "list"); err != nil || !strings.Contains(out, "agentmail") || !strings.Contains(out, "connected") {
		t.Errorf("mcp list: %v\n%s", err, out)
	}
	out, err := w.try(env, opencode, "run", "-m", "fake/fake", "go")
	w.settle(m, 2, out, err)
}

// TestCopilot runs it with hooks of its own, and with those of Claude Code's settings.
func TestCopilot(t *testing.T) {
	copilot := program(t, "@github/copilot-*/copilot", "@github/copilot-*/copilot.exe")
	for _, clients := range [][]string{{"copilot"}, {"copilot", "claude"}} {
		t.Run(strings.Join(clients, "-"), func(t *testing.T) {
			w := newWorld(t, clients...)
			m := newModel(t, turn(w, func(path string) step {
				return step{tool: "create", args: object{"path": path, "file_text": "hello\n"}}
			})...)
			w.write(filepath.Join(w.home, ".copilot", "config.json"), text(object{"trusted_folders": []string{w.dir}}))
			env := []string{"COPILOT_OFFLINE=true", "COPILOT_PROVIDER_BASE_URL=" + m.url, "COPILOT_MODEL=claude-sonnet-4", "COPILOT_AUTO_UPDATE=false"}
			out, err := w.try(env, copilot, "-p", "go", "--allow-all-tools", "--allow-all-paths", "--no-color")
			w.settle(m, 2, out, err)
			if n := strings.Count(m.result(2), "mine"); n != 1 {
				t.Errorf("the reason is told %d times: %s", n, m.result(2))
			}
		})
	}
}

// TestCline: a denial ends the whole run, so that edit comes last, and the model hears
// nothing of it. Cline knows servers of the user's only; its hooks may be the project's.
func TestCline(t *testing.T) {
	cline := program(t, "@cline/cli-*/bin/cline", "@cline/cli-*/bin/cline.exe")
	for _, scope := range []string{"project", "user"} {
		t.Run(scope, func(t *testing.T) {
			w := newWorld(t, "cline")
			w.run("git", "agentmail", "setup", "cline", "--user")
			if scope == "user" {
				w.run("git", "agentmail", "setup", "cline", "--remove")
			} else if err := os.Remove(filepath.Join(w.home, ".cline", "hooks", "PreToolUse")); err != nil {
				t.Fatal(err)
			}
			steps := turn(w, func(path string) step {
				return step{tool: "editor", args: object{"path": path, "new_text": "hello\n"}}
			})
			steps[2], steps[3] = steps[3], steps[2]
			m := newModel(t, steps...)
			t.Cleanup(w.endHub)
			if out, err := w.try(nil, cline, "auth", "-p", "openai-compatible", "-k", "none", "-m", "fake", "-b", m.url); err != nil {
				t.Fatalf("auth: %v\n%s", err, out)
			}
			out, err := w.try(nil, cline, "please go on")
			w.settle(m, 3, out, err)
			if !strings.Contains(out, "abort") {
				t.Errorf("the run was not ended:\n%s", out)
			}
		})
	}
}

// endHub ends the server that Cline leaves behind in the background, of which it says
// after a while where it is.
func (w *world) endHub() {
	for range 50 {
		var hub struct {
			PID int `json:"pid"`
		}
		data, err := os.ReadFile(filepath.Join(w.home, ".cline", "data", "locks", "hub", "production.json"))
		if err == nil && json.Unmarshal(data, &hub) == nil && hub.PID > 1 {
			if p, err := os.FindProcess(hub.PID); err == nil {
				p.Kill()
			}
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
}
