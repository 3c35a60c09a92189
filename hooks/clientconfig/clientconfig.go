// Package clientconfig writes git-agentmail into the configuration of coding agents:
// the MCP server, and the hooks that ask before an edit. It knows each client's files,
// edits them as text, and takes out what it put in, byte for byte.
//
// # What is kept
//
// Comments, trailing commas, order, indentation, line ends and a byte order mark stay
// as they are, and so does every entry that is not ours. No state is kept for that: how
// an entry is written says what was there before it (see document). Only the directories
// that had to be made are noted, in [Options].Made.
//
// A file is read again before it is replaced, by a rename beside it; a link stays a link,
// and permissions stay. Where one file cannot be read or understood, none is written.
//
// # One hook, one run
//
// Copilot CLI and VS Code run the hooks in a project's Claude Code settings too. So their
// own file is written only where those have no hooks of ours, and taken away when they get
// them. The user's Claude Code settings Copilot CLI leaves alone.
//
// # Compatibility
//
// The files are those of Claude Code 2.1, Codex 0.171, Gemini CLI 0.61, Copilot CLI 1.0.102,
// opencode 1.18 and Cline CLI 3.0, which internal/clients runs. Cursor, VS Code and Windsurf
// were never run by us: their files are as the vendors' documentation has them.
package clientconfig

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/git-agentmail/git-agentmail/mail"
)

// DefaultName is what the server is called.
const DefaultName = "agentmail"

// Options say what is set up, and where.
type Options struct {
	Root    string                      // top of the work tree; "" is the user's own configuration
	Home    string                      // the user's home
	Getenv  func(string) string         // where clients are told to look elsewhere
	Look    func(program string) string // finds a program on PATH, "" if it is not there
	Name    string                      // of the server; when taking out, "" is any
	Command string                      // as what the clients start git-agentmail
	Plugin  string                      // opencode's plugin, which starts "git-agentmail"
	Made    string                      // file in which the directories that had to be made are noted
	DryRun  bool
}

// client is a coding agent that can be set up.
type client struct {
	name, title string
	programs    []string // on PATH
	project     []string // what of it lies in a work tree
	home        []string // and in the user's home
	note        string   // what its user has to know or do
}

var clients = []client{
	{name: "claude", title: "Claude Code", programs: []string{"claude"}, project: []string{".claude", ".mcp.json"}, home: []string{".claude", ".claude.json"},
		note: "Claude Code asks once whether a project's server may be started"},
	{name: "codex", title: "Codex", programs: []string{"codex"}, project: []string{".codex"}, home: []string{".codex"},
		note: "Codex skips new or changed hooks until they are trusted: start codex, trust the project, and look at /hooks"},
	{name: "gemini", title: "Gemini CLI", programs: []string{"gemini"}, project: []string{".gemini"}, home: []string{".gemini"},
		note: "Gemini CLI uses a project's servers and hooks only in a folder that is trusted"},
	{name: "copilot", title: "Copilot CLI", programs: []string{"copilot"}, project: []string{".github/copilot", ".github/hooks", ".github/mcp.json"}, home: []string{".copilot"},
		note: "Copilot CLI uses a project's servers and hooks only in a folder that is trusted"},
	{name: "opencode", title: "opencode", programs: []string{"opencode"}, project: []string{".opencode", "opencode.json", "opencode.jsonc"}, home: []string{".config/opencode"}},
	{name: "cursor", title: "Cursor", programs: []string{"cursor", "cursor-agent"}, project: []string{".cursor"}, home: []string{".cursor"},
		note: "Cursor is set up by its documentation; we never ran it"},
	{name: "vscode", title: "VS Code", programs: []string{"code", "code-insiders", "codium"}, project: []string{".vscode"}, home: []string{".vscode"},
		note: "VS Code is set up by its documentation; we never ran it, and its hooks are a preview"},
	{name: "windsurf", title: "Windsurf", programs: []string{"windsurf"}, project: []string{".windsurf"}, home: []string{".codeium/windsurf"},
		note: "Windsurf is set up by its documentation; we never ran it"},
	{name: "cline", title: "Cline", programs: []string{"cline"}, project: []string{".clinerules", ".cline"}, home: []string{".cline"},
		note: "Cline ends its whole run when an edit is denied"},
}

// Clients returns the names of all clients.
func Clients() []string {
	var list []string
	for _, c := range clients {
		list = append(list, c.name)
	}
	return list
}

// Title returns the name of a client that people use.
func Title(name string) string { return byName(name).title }

func byName(name string) client {
	for _, c := range clients {
		if c.name == name {
			return c
		}
	}
	return client{name: name, title: name}
}

// Found is a client that this machine or this work tree has traces of.
type Found struct {
	Client string `json:"client"`
	By     string `json:"by"` // a program or a file
}

// Find looks for clients: their programs on PATH, what of theirs lies in the work tree
// and in the user's home.
func Find(o Options) []Found {
	list := []Found{}
	for _, c := range clients {
		if by := o.trace(c); by != "" {
			list = append(list, Found{c.name, by})
		}
	}
	return list
}

func (o Options) trace(c client) string {
	for _, p := range c.programs {
		if path := o.Look(p); path != "" {
			return path
		}
	}
	if o.Root != "" {
		for _, name := range c.project {
			if exists(filepath.Join(o.Root, name)) {
				return name
			}
		}
	}
	for _, name := range c.home {
		if path := filepath.Join(o.Home, name); exists(path) {
			return path
		}
	}
	if c.name == "vscode" && exists(o.vscode()) {
		return o.vscode()
	}
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// goodName reports whether every client takes name for a server.
func goodName(name string) bool {
	return len(name) <= 64 && strings.TrimFunc(name, func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-'
	}) == ""
}

// Valid reports what is wrong with the names of the server and of the clients.
func (o Options) Valid(names []string) error {
	if o.Name != "" && !goodName(o.Name) {
		return mail.Errorf(mail.Invalid, "%q is no name for a server: letters, digits, - and _, at most 64", o.Name)
	}
	for _, name := range names {
		if !slices.Contains(Clients(), name) {
			e := mail.Errorf(mail.Usage, "%q is none of the clients %s", name, strings.Join(Clients(), ", "))
			if near := mail.Nearest(name, Clients()); len(near) > 0 {
				e.Hint("git agentmail setup %s", near[0])
			}
			return e
		}
	}
	return nil
}

// file is a file of the clients' that something of ours belongs in.
type file struct {
	client   string
	path     string
	contents []content
	drop     bool // ours is taken out although the client is set up
	exec     bool
}

// in returns a path below the work tree, or for the user's own configuration below home.
func (o Options) in(project, home string) string {
	if o.Root != "" {
		return filepath.Join(o.Root, filepath.FromSlash(project))
	}
	return filepath.FromSlash(home)
}

// or returns the value of an environment variable, else a path below home.
func (o Options) or(variable, below string) string {
	if dir := o.Getenv(variable); filepath.IsAbs(dir) {
		return dir
	}
	return filepath.Join(o.Home, filepath.FromSlash(below))
}

// vscode is where VS Code keeps the user's settings.
func (o Options) vscode() string {
	switch runtime.GOOS {
	case "darwin":
		return filepath.Join(o.Home, "Library", "Application Support", "Code", "User")
	case "windows":
		return filepath.Join(o.or("APPDATA", "AppData/Roaming"), "Code", "User")
	}
	return filepath.Join(o.or("XDG_CONFIG_HOME", ".config"), "Code", "User")
}

func (o Options) claudeSettings() string {
	return o.in(".claude/settings.json", filepath.Join(o.or("CLAUDE_CONFIG_DIR", ".claude"), "settings.json"))
}

// files returns what belongs to a client, in the order in which it is put in.
func (o Options) files(name string) []file {
	server := func(path string, key string, value any) file {
		return file{client: name, path: path, contents: []content{entry{
			about: "server " + nameOr(o.Name), path: []string{key}, name: nameOr(o.Name), value: value, ours: isServer, any: o.Name == "",
		}}}
	}
	stdio := serverEntry{Type: "stdio", Command: o.Command, Args: []string{"mcp"}}
	plain := serverEntry{Command: o.Command, Args: []string{"mcp"}}
	switch name {
	case "claude":
		user := filepath.Join(o.Home, ".claude.json")
		if dir := o.Getenv("CLAUDE_CONFIG_DIR"); filepath.IsAbs(dir) {
			user = filepath.Join(dir, ".claude.json")
		}
		return []file{
			server(o.in(".mcp.json", user), "mcpServers", stdio),
			{client: name, path: o.claudeSettings(), contents: o.groups("PreToolUse", "Edit|MultiEdit|Write|NotebookEdit", "SessionStart", "PostToolUse", 10, " || true")},
		}
	case "codex":
		home := o.or("CODEX_HOME", ".codex")
		return []file{
			{client: name, path: o.in(".codex/config.toml", filepath.Join(home, "config.toml")),
				contents: []content{table{"server " + nameOr(o.Name), nameOr(o.Name), []string{o.Command, "mcp"}, o.Name == ""}}},
			{client: name, path: o.in(".codex/hooks.json", filepath.Join(home, "hooks.json")),
				contents: o.groups("PreToolUse", "apply_patch|Edit|Write", "SessionStart", "PostToolUse", 10, "")},
		}
	case "gemini":
		path := o.in(".gemini/settings.json", filepath.Join(o.Home, ".gemini", "settings.json"))
		f := server(path, "mcpServers", plain)
		f.contents = append(f.contents, o.groups("BeforeTool", "write_file|replace", "SessionStart", "AfterTool", 10000, "")...)
		return []file{f}
	case "copilot":
		return []file{
			server(o.in(".mcp.json", filepath.Join(o.or("COPILOT_HOME", ".copilot"), "mcp-config.json")), "mcpServers", o.copilot(stdio)),
			o.githubHooks(name),
		}
	case "opencode":
		dir := o.in(".", filepath.Join(o.or("XDG_CONFIG_HOME", ".config"), "opencode"))
		path := filepath.Join(dir, "opencode.json")
		if jsonc := filepath.Join(dir, "opencode.jsonc"); exists(jsonc) && !exists(path) {
			path = jsonc
		}
		plugins := "plugins"
		if o.Root != "" {
			plugins = ".opencode/plugins"
		}
		return []file{
			server(path, "mcp", opencodeEntry{"local", []string{o.Command, "mcp"}, true}),
			{client: name, path: filepath.Join(dir, filepath.FromSlash(plugins), "agentmail.js"),
				contents: []content{script{"plugin", o.plugin(), written}}},
		}
	case "cursor":
		f := file{client: name, path: o.in(".cursor/hooks.json", filepath.Join(o.Home, ".cursor", "hooks.json"))}
		for _, h := range []struct{ event, hook, matcher string }{{"preToolUse", "pre-edit", "Write|Delete"}, {"sessionStart", "session-start", ""}, {"postToolUse", "post-tool", ""}} {
			f.contents = append(f.contents, entry{about: "hook " + h.event, path: []string{"hooks", h.event}, ours: isHook(h.hook),
				value: cursorHook{o.hook(h.hook), h.matcher}, beside: []named{{"version", []byte("1")}}})
		}
		return []file{server(o.in(".cursor/mcp.json", filepath.Join(o.Home, ".cursor", "mcp.json")), "mcpServers", plain), f}
	case "vscode":
		return []file{server(o.in(".vscode/mcp.json", filepath.Join(o.vscode(), "mcp.json")), "servers", stdio), o.githubHooks(name)}
	case "windsurf":
		dir := filepath.Join(o.Home, ".codeium", "windsurf")
		list := []file{{client: name, path: o.in(".windsurf/hooks.json", filepath.Join(dir, "hooks.json")), contents: []content{
			entry{about: "hook pre_write_code", path: []string{"hooks", "pre_write_code"}, ours: isHook("pre-edit"), value: windsurfHook{o.hook("pre-edit"), true}}}}}
		if o.Root == "" {
			list = append(list, server(filepath.Join(dir, "mcp_config.json"), "mcpServers", plain))
		}
		return list
	case "cline":
		list := []file{{client: name, path: o.in(".clinerules/hooks/PreToolUse", filepath.Join(o.Home, ".cline", "hooks", "PreToolUse")), exec: true,
			contents: []content{script{"hook PreToolUse", o.clineHook(), written}}}}
		if o.Root == "" {
			list = append(list, server(filepath.Join(o.Home, ".cline", "data", "settings", "cline_mcp_settings.json"), "mcpServers", plain))
		}
		return list
	}
	return nil
}

func nameOr(name string) string {
	if name == "" {
		return DefaultName
	}
	return name
}

// githubHooks is the file with hooks for Copilot CLI and VS Code.
func (o Options) githubHooks(name string) file {
	return file{client: name, path: o.in(".github/hooks/agentmail.json", filepath.Join(o.or("COPILOT_HOME", ".copilot"), "hooks", "agentmail.json")),
		contents: []content{script{"hooks", o.copilotHooks(), func(data []byte) bool {
			d, err := parse(data)
			if err != nil || d.root.Value == nil {
				return false
			}
			list := commands(decode(d.root))
			return len(list) > 0 && !slices.ContainsFunc(list, func(s string) bool {
				return !isHook("pre-edit")(s) && !isHook("session-start")(s) && !isHook("post-tool")(s)
			})
		}}}}
}

// claudeHooked reports whether Claude Code's settings hold a hook of ours.
func (o Options) claudeHooked() bool {
	data, err := os.ReadFile(o.claudeSettings())
	if err != nil {
		return false
	}
	d, err := parse(data)
	if err != nil || d.root.Value == nil {
		return false
	}
	return slices.ContainsFunc(commands(decode(d.root)), func(s string) bool { return isHook("pre-edit")(s) })
}

// has reports whether something of ours is in any of the files.
func has(files ...file) bool {
	for _, f := range files {
		data, err := os.ReadFile(f.path)
		if err != nil {
			continue
		}
		for _, c := range f.contents {
			if rest, whole, err := c.remove(data); err == nil && (whole || len(rest) != len(data)) {
				return true
			}
		}
	}
	return false
}

// plan returns the files to be changed for some clients, and what to tell.
func (o Options) plan(names []string, remove bool) (list []file, notes []string) {
	for _, c := range clients {
		if !slices.Contains(names, c.name) {
			continue
		}
		files := o.files(c.name)
		if o.Root != "" {
			var more []string
			files, more = o.share(c, files, names, remove)
			notes = append(notes, more...)
		}
		if c.note != "" && !remove {
			notes = append(notes, c.note)
		}
		list = append(list, files...)
	}
	if remove {
		slices.Reverse(list)
	}
	return list, notes
}

// share settles what clients have in common in a work tree. Claude Code and Copilot CLI
// read one file of servers. Copilot CLI and VS Code read one file of hooks, and Claude
// Code's settings besides, where they must not find the same hooks again.
func (o Options) share(c client, files []file, names []string, remove bool) (own []file, notes []string) {
	hooks := o.githubHooks(c.name)
	asked := func(name string) bool { return slices.Contains(names, name) }
	claude := asked("claude") || o.claudeHooked()
	keep := func(path, other string) {
		files = slices.DeleteFunc(files, func(f file) bool { return f.path == path })
		notes = append(notes, other+" uses what is in "+filepath.Base(path)+" too; it stays")
	}
	switch {
	case c.name == "claude" && !remove && has(hooks):
		hooks.drop = true
		files = append(files, hooks)
		notes = append(notes, "Copilot CLI and VS Code run the hooks in .claude/settings.json too, so their own are taken out")
	case c.name == "claude" || c.name != "copilot" && c.name != "vscode":
	case !remove && claude:
		files = slices.DeleteFunc(files, func(f file) bool { return f.path == hooks.path })
		notes = append(notes, c.title+" runs the hooks in .claude/settings.json, and gets none of its own")
	case remove && c.name == "copilot":
		if o.claudeHooked() && !asked("claude") {
			keep(filepath.Join(o.Root, ".mcp.json"), "Claude Code")
		}
		if !asked("vscode") && has(o.files("vscode")[0]) {
			keep(hooks.path, "VS Code")
		}
	case remove && c.name == "vscode" && !asked("copilot") && has(o.files("copilot")[0]):
		keep(hooks.path, "Copilot CLI")
	}
	if (c.name == "windsurf" || c.name == "cline") && !remove {
		notes = append(notes, c.title+" knows servers of the user's only: git agentmail setup "+c.name+" --user")
	}
	return files, notes
}
