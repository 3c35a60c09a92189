package clientconfig

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/rogpeppe/go-internal/txtar"
)

const plugin = "// git-agentmail plugin for opencode, version 1. Written by `git agentmail setup`.\nconst command = \"git-agentmail\"\n"

// place is a work tree and a home to be set up.
func place(t *testing.T) Options {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Root: filepath.Join(dir, "work"), Home: filepath.Join(dir, "home"), Command: "git-agentmail", Plugin: plugin,
		Getenv: func(string) string { return "" }, Look: func(string) string { return "" }, Made: filepath.Join(dir, "work", ".git", "agentmail-setup")}
	for _, d := range []string{o.Root, o.Home, filepath.Dir(o.Made)} {
		if err := os.MkdirAll(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

// user is the same place, for the user's own configuration.
func (o Options) user() Options {
	o.Root, o.Made = "", filepath.Join(o.Home, ".local", "state", "git-agentmail", "setup-made")
	return o
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
}

// tree returns every file, directory and link below a directory.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		state := info.Mode().String()
		switch {
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			state += " -> " + to
		case info.Mode().IsRegular():
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			state += "\n" + string(data)
		}
		all[rel] = state
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func sameTree(t *testing.T, what string, want, got map[string]string) {
	t.Helper()
	for name := range want {
		if _, ok := got[name]; !ok {
			t.Errorf("%s: %s is gone", what, name)
		} else if want[name] != got[name] {
			t.Errorf("%s: %s was\n%s\nand is\n%s", what, name, want[name], got[name])
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: %s is new: %s", what, name, got[name])
		}
	}
}

func setUp(t *testing.T, o Options, names ...string) Result {
	t.Helper()
	r, err := Setup(o, names)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func takeAway(t *testing.T, o Options, names ...string) Result {
	t.Helper()
	r, err := Remove(o, names)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestFiles holds each client's files, in an empty work tree and an empty home, against
// testdata/clientconfig/CLIENT-SCOPE.txtar, and takes them out again.
func TestFiles(t *testing.T) {
	for _, name := range Clients() {
		for _, scope := range []string{"project", "user"} {
			t.Run(name+"-"+scope, func(t *testing.T) {
				t.Parallel()
				o := place(t)
				base := filepath.Dir(o.Root)
				if scope == "user" {
					o = o.user()
					if runtime.GOOS != "linux" {
						t.Skip("the paths are Linux'")
					}
				}
				before := tree(t, base)
				dry := o
				dry.DryRun = true
				plan := setUp(t, dry, name)
				sameTree(t, "a dry run", before, tree(t, base))
				done := setUp(t, o, name)
				if len(plan.Changes) != len(done.Changes) || len(plan.Changes) == 0 {
					t.Errorf("planned %v, done %v", plan.Changes, done.Changes)
				}
				for _, c := range done.Changes {
					if c.Action != "create" || c.Shared != (scope == "project") || !strings.Contains(c.Diff, "git-agentmail") {
						t.Errorf("%+v", c)
					}
				}
				var got txtar.Archive
				for rel, state := range tree(t, base) {
					if _, text, file := strings.Cut(state, "\n"); file && !strings.Contains(rel, "-setup") && !strings.Contains(rel, "setup-made") {
						if strings.HasPrefix(state, "-rwx") {
							rel += " (executable)"
						}
						got.Files = append(got.Files, txtar.File{Name: filepath.ToSlash(rel), Data: []byte(text)})
					}
				}
				slices.SortFunc(got.Files, func(a, b txtar.File) int { return strings.Compare(a.Name, b.Name) })
				golden := filepath.Join("..", "..", "testdata", "clientconfig", name+"-"+scope+".txtar")
				if os.Getenv("AGENTMAIL_GOLDEN") != "" {
					put(t, golden, string(txtar.Format(&got)))
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(want, txtar.Format(&got)) {
					t.Errorf("got\n%s\nwant\n%s", txtar.Format(&got), want)
				}
				now := tree(t, base)
				for _, c := range setUp(t, o, name).Changes {
					if c.Action != "keep" {
						t.Errorf("a second time: %+v", c)
					}
				}
				sameTree(t, "a second time", now, tree(t, base))
				dry = o
				dry.DryRun = true
				takeAway(t, dry, name)
				sameTree(t, "a dry removal", now, tree(t, base))
				takeAway(t, o, name)
				sameTree(t, "taken out", before, tree(t, base))
				takeAway(t, o, name)
				sameTree(t, "taken out twice", before, tree(t, base))
			})
		}
	}
}

// odd are files as people have them.
var odd = map[string]string{
	"empty":              "",
	"a newline":          "\n",
	"a mark":             "\ufeff",
	"empty object":       "{}",
	"empty object, line": "{}\n",
	"open object":        "{\n}\n",
	"spaced":             "{ }",
	"comment inside":     "{ // nothing\n}\n",
	"comments around":    "// first\n{}\n/* last */\n",
	"one line":           `{"a":1,"b":[1,2]}`,
	"tabs":               "{\n\t\"a\": 1\n}\n",
	"CRLF":               "{\r\n    \"a\": 1, // c\r\n    \"b\": 2 // d\r\n}\r\n",
	"mark and CRLF":      "\ufeff{\r\n  \"a\": 1\r\n}",
	"trailing commas":    "{\n  // c\n  \"a\": {\"b\": [1,],}, // d\n}\n",
	"no newline":         "{\n  \"a\": \"\\u00e9 é\"\n}",
	"odd indentation":    "  {\n     \"a\":1\n   ,\"b\" : 2\n  }  \n\n",
	"others": `{
  // the servers
  "mcpServers": {"other": {"command": "other-mcp", "args": []}},
  "servers": {
    "other": {"type": "stdio", "command": "other-mcp"} /* c */
  },
  "mcp": {"other": {"type": "remote", "url": "http://127.0.0.1:1/"},},
  "version": 1,
  "hooks": {
    "PreToolUse": [
      {"matcher": "Bash", "hooks": [{"type": "command", "command": "audit"}]}, // ours
    ],
    "BeforeTool": [],
    "preToolUse": [{"command": "audit"}],
    "pre_write_code": [{"command": "audit", "show_output": false}],
    "Stop": [{"hooks": [{"type": "command", "command": "say done"}]}]
  },
  "permissions": {"allow": ["Bash(git agentmail:*)"]}
}
`,
	"others, empty": `{"mcpServers": {}, "servers": { }, "mcp": {
}, "hooks": {"PreToolUse": [], "BeforeTool": [ ], "preToolUse": [
], "pre_write_code": [] }}`,
}

var oddTOML = map[string]string{
	"empty": "", "a newline": "\n", "no newline": "model = \"x\"", "comments": "# c\n\n[mcp_servers.other] # d\ncommand = 'x'\n",
	"CRLF": "a = 1\r\n[b]\r\nc = 2\r\n", "CRLF, no newline": "a = 1\r\n[b]\r\nc = 2", "dotted": "mcp_servers.other.command = \"x\"\n",
	"blank lines": "a = 1\n\n\n",
}

// TestOddFiles sets every client up over every odd file, with odd permissions, and takes
// it out again.
func TestOddFiles(t *testing.T) {
	for _, name := range Clients() {
		for _, scope := range []string{"project", "user"} {
			t.Run(name+"-"+scope, func(t *testing.T) {
				t.Parallel()
				o := place(t)
				if scope == "user" {
					o = o.user()
				}
				o.Name = DefaultName
				for _, f := range o.files(name) {
					if _, ours := f.contents[0].(script); ours {
						continue
					}
					files := odd
					if filepath.Ext(f.path) == ".toml" {
						files = oddTOML
					}
					for what, text := range files {
						put(t, f.path, text)
						if err := os.Chmod(f.path, 0o640); err != nil {
							t.Fatal(err)
						}
						before := tree(t, filepath.Dir(o.Home))
						r := setUp(t, o, name)
						if !slices.ContainsFunc(r.Changes, func(c Change) bool { return c.Path == f.path && c.Action == "insert" }) {
							t.Fatalf("%s: nothing was put in: %+v", what, r.Changes)
						}
						data, err := os.ReadFile(f.path)
						if err != nil {
							t.Fatal(err)
						}
						if strings.Contains(text, "\r\n") && bytes.Count(data, []byte("\n")) != bytes.Count(data, []byte("\r\n")) {
							t.Errorf("%s: line ends are mixed: %q", what, data)
						}
						takeAway(t, o, name)
						sameTree(t, f.path+": "+what, before, tree(t, filepath.Dir(o.Home)))
						if err := os.Remove(f.path); err != nil {
							t.Fatal(err)
						}
					}
				}
			})
		}
	}
}

// TestBytes shows how odd files look with ours in them.
func TestBytes(t *testing.T) {
	server := entry{path: []string{"mcpServers"}, name: "agentmail", value: map[string]any{"command": "x"}, ours: func(any) bool { return true }}
	hook := entry{path: []string{"hooks", "Pre"}, value: map[string]any{"command": "x"}, ours: func(v any) bool { return v == "x" }}
	for _, x := range []struct {
		name   string
		c      content
		before string
		after  string
	}{
		{"empty object", server, "{}", "{\"mcpServers\": {\n  \"agentmail\": {\n    \"command\": \"x\"\n  }\n}}"},
		{"another", server, "{\n  \"a\": 1\n}\n", "{\n  \"a\": 1,\n  \"mcpServers\": {\n    \"agentmail\": {\n      \"command\": \"x\"\n    }\n  }\n}\n"},
		{"another server", server, "{\n\t\"mcpServers\": {\n\t\t\"o\": 1 // c\n\t}\n}\n",
			"{\n\t\"mcpServers\": {\n\t\t\"o\": 1, // c\n\t\t\"agentmail\": {\n\t\t\t\"command\": \"x\"\n\t\t}\n\t}\n}\n"},
		{"trailing comma", server, "{\n    \"mcpServers\": {\n        \"o\": 1, // c\n    }\n}\n",
			"{\n    \"mcpServers\": {\n        \"o\": 1, // c\n        \"agentmail\": {\n            \"command\": \"x\"\n        },\n    }\n}\n"},
		{"one line", server, `{"mcpServers": {"o": 1}}`, "{\"mcpServers\": {\"o\": 1, \"agentmail\": {\n  \"command\": \"x\"\n}}}"},
		{"CRLF", server, "{\r\n  \"a\": 1 /* c */\r\n}", "{\r\n  \"a\": 1, /* c */\r\n  \"mcpServers\": {\r\n    \"agentmail\": {\r\n      \"command\": \"x\"\r\n    }\r\n  }\r\n}"},
		{"twice the name", server, `{"mcpServers": {"o": 1}, "mcpServers": {"p": 1}}`, "{\"mcpServers\": {\"o\": 1}, \"mcpServers\": {\"p\": 1, \"agentmail\": {\n  \"command\": \"x\"\n}}}"},
		{"a hook", hook, "{\n  \"hooks\": {\n    \"Pre\": [\n      {\"command\": \"o\"}\n    ]\n  }\n}\n",
			"{\n  \"hooks\": {\n    \"Pre\": [\n      {\"command\": \"o\"},\n      {\n        \"command\": \"x\"\n      }\n    ]\n  }\n}\n"},
		{"an event", hook, "{\n  \"hooks\": {\n    \"Post\": []\n  }\n}\n",
			"{\n  \"hooks\": {\n    \"Post\": [],\n    \"Pre\": [\n      {\n        \"command\": \"x\"\n      }\n    ]\n  }\n}\n"},
		{"a table", table{"", "agentmail", []string{`C:\a b\git-agentmail.exe`, "mcp"}, false}, "a = 1\n",
			"a = 1\n\n" + tomlBegin + "\n[mcp_servers.agentmail]\ncommand = \"C:\\\\a b\\\\git-agentmail.exe\"\nargs = [\"mcp\"]\nenv_vars = [\"AGENTMAIL_AGENT\", \"AGENT_NAME\"]\n" + tomlEnd + "\n"},
	} {
		after, err := x.c.add([]byte(x.before), true)
		if err != nil || string(after) != x.after {
			t.Errorf("%s: %v, got\n%s\nwant\n%s", x.name, err, after, x.after)
			continue
		}
		rest, whole, err := x.c.remove(after)
		if err != nil || whole || string(rest) != x.before {
			t.Errorf("%s, taken out: %v, got\n%s\nwant\n%s", x.name, err, rest, x.before)
		}
	}
}

// TestBesideAnothers takes our hook out of a group that somebody else's stands in too.
func TestBesideAnothers(t *testing.T) {
	h := entry{path: []string{"hooks", "PreToolUse"}, ours: isHook("pre-edit"), value: 1}
	text := `{"hooks": {"PreToolUse": [{"matcher": "Edit", "hooks": [{"command": "lint"}, {"command": "git-agentmail hook pre-edit"}]}]}}`
	same, err := h.add([]byte(text), true)
	if err != nil || string(same) != text {
		t.Errorf("%v, %s", err, same)
	}
	rest, whole, err := h.remove([]byte(text))
	if want := `{"hooks": {"PreToolUse": [{"matcher": "Edit", "hooks": [{"command": "lint"}]}]}}`; err != nil || whole || string(rest) != want {
		t.Errorf("%v, %s, want %s", err, rest, want)
	}
}

// TestRefused: nothing is written, in no file, and the error says where it is.
func TestRefused(t *testing.T) {
	for _, x := range []struct {
		name, client, file, text string
		code                     mail.Code
		want                     string
	}{
		{"no JSON", "claude", ".mcp.json", "{\n  \"a\": 1\n  \"b\": 2\n}\n", mail.Invalid, `.mcp.json" line 3, column 3: invalid character`},
		{"half", "claude", ".claude/settings.json", "{\n  \"hooks\": {", mail.Invalid, `settings.json" line 2, column 13:`},
		{"a list", "gemini", ".gemini/settings.json", "[]", mail.Invalid, "it holds no JSON object"},
		{"comments only", "gemini", ".gemini/settings.json", "// later\n", mail.Invalid, "line 2"},
		{"other type", "claude", ".mcp.json", "{\n  \"mcpServers\": []\n}", mail.Invalid, `line 2, column 17: mcpServers is not an object`},
		{"hooks of another type", "claude", ".claude/settings.json", `{"hooks": {"PreToolUse": {}}}`, mail.Invalid, "hooks.PreToolUse is not a list"},
		{"null", "cursor", ".cursor/mcp.json", `{"mcpServers": null}`, mail.Invalid, "mcpServers is not an object"},
		{"name taken", "claude", ".mcp.json", "{\"mcpServers\": {\n\"agentmail\": {\"url\": \"http://127.0.0.1/\"}}}", mail.Exists, `line 2, column 1: there is another "agentmail" in mcpServers already`},
		{"table taken", "codex", ".codex/config.toml", "\n[mcp_servers.agentmail]\nurl = 'x'\n", mail.Exists, `line 2, column 1: there is another "agentmail"`},
		{"no TOML", "codex", ".codex/config.toml", "a = 1\nb = \n", mail.Invalid, `config.toml" line 2`},
		{"inline table", "codex", ".codex/config.toml", "mcp_servers = { o = { command = 'x' } }\n", mail.Invalid, "no table can be added"},
		{"hook file taken", "cline", ".clinerules/hooks/PreToolUse", "#!/bin/sh\n", mail.Exists, "not ours"},
		{"hooks file taken", "copilot", ".github/hooks/agentmail.json", `{"version":1,"hooks":{}}`, mail.Exists, "not ours"},
		{"plugin taken", "opencode", ".opencode/plugins/agentmail.js", "export const x = 1\n", mail.Exists, "not ours"},
		{"a directory", "claude", ".mcp.json/x", "", mail.Invalid, "is no file"},
		{"a file for a directory", "cline", ".clinerules", "rules\n", "", "PreToolUse"},
	} {
		t.Run(x.name, func(t *testing.T) {
			o := place(t)
			put(t, filepath.Join(o.Root, x.file), x.text)
			before := tree(t, o.Root)
			_, err := Setup(o, []string{"gemini", x.client})
			var e *mail.Error
			if !errors.As(err, &e) || x.code != "" && e.Code != x.code || !strings.Contains(e.Message, x.want) {
				t.Errorf("got %v (%v), want %s, %q", err, mail.CodeOf(err), x.code, x.want)
			}
			sameTree(t, "refused", before, tree(t, o.Root))
		})
	}
	o := place(t)
	put(t, filepath.Join(o.Root, ".mcp.json"), `{"mcpServers": {"agentmail": {"url": "http://127.0.0.1/"}}}`)
	o.Name = "mail"
	setUp(t, o, "claude")
	for _, name := range []string{"a b", "é", "a.b", strings.Repeat("a", 65)} {
		o.Name = name
		if _, err := Setup(o, []string{"claude"}); mail.CodeOf(err) != mail.Invalid {
			t.Errorf("the name %q: %v", name, err)
		}
	}
	if _, err := Setup(place(t), []string{"clade"}); mail.CodeOf(err) != mail.Usage || mail.AsError(err).Hints[0] != "git agentmail setup claude" {
		t.Errorf("an unknown client: %v", err)
	}
}

// TestLinks: a linked file stays a link, and what it leads to is changed, also where that
// is not there yet.
func TestLinks(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("links need a privilege there")
	}
	o := place(t)
	put(t, filepath.Join(o.Home, "dotfiles", "mcp.json"), "{\n}\n")
	for link, to := range map[string]string{".mcp.json": "../home/dotfiles/mcp.json", ".claude": "../home/dotfiles", "other": ".mcp.json"} {
		if err := os.Symlink(to, filepath.Join(o.Root, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("absent.json", filepath.Join(o.Home, "dotfiles", "settings.json")); err != nil {
		t.Fatal(err)
	}
	before := tree(t, filepath.Dir(o.Root))
	setUp(t, o, "claude")
	for _, path := range []string{filepath.Join(o.Home, "dotfiles", "mcp.json"), filepath.Join(o.Home, "dotfiles", "absent.json")} {
		if data, err := os.ReadFile(path); err != nil || !bytes.Contains(data, []byte("git-agentmail")) {
			t.Errorf("%s: %v, %s", path, err, data)
		}
	}
	if info, err := os.Lstat(filepath.Join(o.Root, ".mcp.json")); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link is none any more: %v", err)
	}
	takeAway(t, o, "claude")
	sameTree(t, "taken out", before, tree(t, filepath.Dir(o.Root)))
}

// TestOneHookOneRun: Copilot CLI and VS Code find each hook once.
func TestOneHookOneRun(t *testing.T) {
	o := place(t)
	before := tree(t, o.Root)
	hooks := func() (list []string) {
		for _, name := range []string{".claude/settings.json", ".github/hooks/agentmail.json"} {
			if data, err := os.ReadFile(filepath.Join(o.Root, name)); err == nil && bytes.Contains(data, []byte("hook pre-edit")) {
				list = append(list, name)
			}
		}
		return list
	}
	server := func() bool {
		data, _ := os.ReadFile(filepath.Join(o.Root, ".mcp.json"))
		return bytes.Contains(data, []byte("git-agentmail"))
	}
	for i, x := range []struct {
		remove bool
		names  string
		want   string
		server bool
	}{
		{false, "copilot", ".github/hooks/agentmail.json", true},
		{false, "vscode", ".github/hooks/agentmail.json", true},
		{true, "copilot", ".github/hooks/agentmail.json", false},
		{false, "copilot", ".github/hooks/agentmail.json", true},
		{true, "vscode", ".github/hooks/agentmail.json", true},
		{false, "claude", ".claude/settings.json", true},
		{false, "copilot vscode", ".claude/settings.json", true},
		{true, "copilot", ".claude/settings.json", true},
		{true, "claude vscode", "", false},
		{false, "claude copilot vscode", ".claude/settings.json", true},
		{true, "claude copilot vscode", "", false},
	} {
		if x.remove {
			takeAway(t, o, strings.Fields(x.names)...)
		} else {
			setUp(t, o, strings.Fields(x.names)...)
		}
		if got := strings.Join(hooks(), " "); got != x.want || server() != x.server {
			t.Errorf("step %d: hooks in %q, want %q; server %v", i, got, x.want, server())
		}
	}
	sameTree(t, "at the end", before, tree(t, o.Root))
}

// TestEmptyDirectoryStays: one that was there is no less the user's for being empty.
func TestEmptyDirectoryStays(t *testing.T) {
	o := place(t)
	for _, dir := range []string{".claude", ".github"} {
		if err := os.Mkdir(filepath.Join(o.Root, dir), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	before := tree(t, o.Root)
	setUp(t, o, "claude", "cursor", "cline")
	setUp(t, o, "gemini")
	takeAway(t, o, Clients()...)
	sameTree(t, "taken out", before, tree(t, o.Root))
	setUp(t, o, "cursor")
	put(t, filepath.Join(o.Root, ".cursor", "rules"), "x")
	takeAway(t, o, Clients()...)
	if !exists(filepath.Join(o.Root, ".cursor", "rules")) || exists(o.Made) {
		t.Error("a directory with files of the user's is gone, or still noted as ours")
	}
	// Two work trees share the note.
	setUp(t, o, "gemini", "codex")
	other := o
	other.Root = filepath.Join(filepath.Dir(o.Root), "tree")
	put(t, filepath.Join(other.Root, "x"), "")
	setUp(t, other, "gemini")
	takeAway(t, o, "gemini")
	takeAway(t, other, Clients()...)
	if exists(filepath.Join(other.Root, ".gemini")) || exists(filepath.Join(o.Root, ".gemini")) || !exists(o.Made) {
		t.Error("directories of two work trees are mixed up")
	}
	takeAway(t, o, Clients()...)
	if exists(filepath.Join(o.Root, ".codex")) || exists(o.Made) {
		t.Error("a directory that was made is still there")
	}
}

// TestNames: two servers of ours under two names come out together, or one by one.
func TestNames(t *testing.T) {
	o := place(t)
	for _, file := range []string{".mcp.json", ".codex/config.toml"} {
		put(t, filepath.Join(o.Root, file), "")
	}
	before := tree(t, o.Root)
	setUp(t, o, "claude", "codex")
	one := tree(t, o.Root)
	o.Name = "second"
	setUp(t, o, "claude", "codex")
	two := tree(t, o.Root)
	if two[".mcp.json"] == one[".mcp.json"] || two[filepath.Join(".codex", "config.toml")] == one[filepath.Join(".codex", "config.toml")] {
		t.Error("the second name is not there")
	}
	takeAway(t, o, "claude", "codex")
	for file, text := range tree(t, o.Root) {
		if (file == ".mcp.json" || filepath.Base(file) == "config.toml") && text != one[file] {
			t.Errorf("the second out: %s is\n%s\nand was\n%s", file, text, one[file])
		}
	}
	setUp(t, o, "claude", "codex")
	o.Name = DefaultName
	takeAway(t, o, "codex")
	o.Name = ""
	takeAway(t, o, "claude", "codex")
	sameTree(t, "both out", before, tree(t, o.Root))
}

// TestConcurrentWriters: whoever writes the same file meanwhile loses nothing.
func TestConcurrentWriters(t *testing.T) {
	o := place(t)
	path := filepath.Join(o.Root, ".mcp.json")
	put(t, path, "{}\n")
	f := target{path: path, steps: []change{{content: sample("agentmail")[0]}}}
	if err := f.read(); err != nil {
		t.Fatal(err)
	}
	after, _, err := f.after()
	if err != nil {
		t.Fatal(err)
	}
	put(t, path, "{\"mcpServers\": {\"other\": {}}}\n")
	if done, err := o.replace(&f, after); done || err != nil {
		t.Errorf("a file that changed meanwhile is replaced: %v, %v", done, err)
	}
	if done, err := o.write(&f); !done || err != nil {
		t.Errorf("and then it is not written: %v, %v", done, err)
	}
	data, err := os.ReadFile(path)
	if err != nil || !bytes.Contains(data, []byte(`"other"`)) || !bytes.Contains(data, []byte(`"agentmail"`)) {
		t.Errorf("%v, %s", err, data)
	}
	if list, _ := filepath.Glob(filepath.Join(o.Root, ".*agentmail-*")); len(list) > 0 {
		t.Errorf("left behind: %v", list)
	}
}

func TestFind(t *testing.T) {
	o := place(t)
	o.Look = func(program string) string {
		if program == "codex" {
			return "/usr/bin/codex"
		}
		return ""
	}
	put(t, filepath.Join(o.Root, ".mcp.json"), "{}")
	put(t, filepath.Join(o.Home, ".cursor", "x"), "")
	var got []string
	for _, f := range Find(o) {
		got = append(got, f.Client)
	}
	if want := []string{"claude", "codex", "cursor"}; !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
}

func TestDiff(t *testing.T) {
	for _, x := range []struct{ before, after, want string }{
		{"a\nb\n", "a\nb\n", ""},
		{"", "a\n", "@@ line 1 @@\n+a\n"},
		{"a\n", "", "@@ line 1 @@\n-a\n"},
		{"a\nb\nc\nd\n", "a\nB\nc\nx\nd\n", "@@ line 2 @@\n-b\n+B\n@@ line 4 @@\n+x\n"},
		{"{}", "{}\n", "@@ line 1 @@\n-{} (no newline at the end)\n+{}\n"},
	} {
		if got := diff([]byte(x.before), []byte(x.after)); got != x.want {
			t.Errorf("%q, %q: got\n%swant\n%s", x.before, x.after, got, x.want)
		}
	}
}
