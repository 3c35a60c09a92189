package clientconfig

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Configured is a client as it is set up: what it would start.
type Configured struct {
	Client string
	Server []string // the command line of the server, nil if there is none of ours
	File   string   // where that stands
	Hook   string   // the command line of the hook before an edit, "" if there is none of ours
	By     string   // where that stands
}

// Read returns how a client is set up. What cannot be read is not set up.
func Read(o Options, name string) Configured {
	c := Configured{Client: name}
	for _, f := range o.files(name) {
		c.read(f)
	}
	if c.Server != nil && c.Hook == "" && o.Root != "" && (name == "copilot" || name == "vscode") {
		c.read(o.files("claude")[1]) // they run these hooks too
	}
	return c
}

func (c *Configured) read(f file) {
	data, err := os.ReadFile(f.path)
	if err != nil {
		return
	}
	for _, part := range f.contents {
		switch part := part.(type) {
		case entry:
			v := part.find(data)
			list := commands(v)
			switch {
			case v == nil:
			case part.name != "":
				c.Server, c.File = ServerCommand(v), f.path
			case len(list) > 0 && c.Hook == "" && isHook("pre-edit")(list[0]):
				c.Hook, c.By = list[0], f.path
			}
		case table:
			if all, err := servers(bytes.TrimPrefix(data, byteOrderMark)); err == nil && isServer(all[part.name]) {
				c.Server, c.File = ServerCommand(all[part.name]), f.path
			}
		case script:
			if line := part.hook(f, data); line != "" && c.Hook == "" {
				c.Hook, c.By = line, f.path
			}
		}
	}
}

// find returns what stands in the document for an entry and is ours, nil if nothing.
func (e entry) find(data []byte) any {
	d, err := parse(data)
	if err != nil {
		return nil
	}
	way := e.last(d)
	if way == nil {
		return nil
	}
	last := way[len(way)-1]
	return decode(parts(last.in)[last.i].value)
}

// hook returns the command line that a file of ours runs before an edit.
func (s script) hook(f file, data []byte) string {
	if !s.ours(data) {
		return ""
	}
	switch filepath.Ext(f.path) {
	case ".js":
		for l := range strings.Lines(string(data)) {
			if word, ok := strings.CutPrefix(strings.TrimSpace(l), "const command = "); ok {
				if name, err := strconv.Unquote(word); err == nil {
					return shellWord(name) + " hook pre-edit --client=opencode"
				}
			}
		}
		return ""
	case ".json":
		d, err := parse(data)
		if err != nil {
			return ""
		}
		for _, c := range commands(decode(d.root)) {
			if isHook("pre-edit")(c) && strings.HasSuffix(c, " || true") { // the one for bash
				return c
			}
		}
		return ""
	}
	return shellWord(f.path)
}

// Environment returns what of an environment a client gives to the server that it starts.
func Environment(name string, env []string) []string {
	if name != "codex" {
		return env
	}
	return slices.DeleteFunc(slices.Clone(env), func(kv string) bool {
		key, _, _ := strings.Cut(kv, "=")
		return !slices.Contains([]string{"HOME", "LANG", "PATH", "SHELL", "TERM", "USER", "LOGNAME", "TMPDIR", "TZ", "AGENTMAIL_AGENT", "AGENT_NAME"}, key)
	})
}

// Canary is what a client would tell its hook before it writes a file in dir.
func Canary(name, dir, path string) []byte {
	type object = map[string]any
	p := object{"session_id": "canary", "cwd": dir, "hook_event_name": "PreToolUse", "tool_name": "Write", "tool_input": object{"file_path": path}}
	switch name {
	case "claude":
		p["transcript_path"], p["tool_use_id"] = "", "canary"
	case "codex":
		p["turn_id"], p["tool_name"] = "canary", "apply_patch"
		p["tool_input"] = object{"command": "*** Begin Patch\n*** Add File: " + path + "\n+x\n*** End Patch\n"}
	case "gemini":
		p["hook_event_name"], p["tool_name"] = "BeforeTool", "write_file"
	case "copilot":
		p = object{"sessionId": "canary", "cwd": dir, "toolName": "create", "toolArgs": object{"path": path}}
	case "opencode":
		p = object{"client": "opencode", "directory": dir, "tool": "write", "sessionID": "canary", "args": object{"filePath": path}}
	case "cursor":
		p = object{"conversation_id": "canary", "workspace_roots": []string{dir}, "hook_event_name": "preToolUse", "tool_name": "Write", "tool_input": object{"file_path": path}}
	case "vscode":
		p["timestamp"], p["tool_use_id"], p["tool_name"] = "2026-01-01T00:00:00Z", "canary", "create_file"
		p["tool_input"] = object{"filePath": path}
	case "windsurf":
		p = object{"agent_action_name": "pre_write_code", "trajectory_id": "canary", "tool_info": object{"file_path": path, "cwd": dir}}
	case "cline":
		p = object{"hookName": "tool_call", "taskId": "canary", "workspaceRoots": []string{dir}, "tool_call": object{"id": "1", "name": "editor", "input": object{"path": path}}}
	}
	return encode(p)
}

// Denied reports whether a client would take an answer of its hook for a refusal.
func Denied(name string, stdout []byte, exit int) bool {
	if name == "windsurf" {
		return exit == 2
	}
	var a struct {
		Decision   string `json:"decision"`
		Permission string `json:"permission"`
		Top        string `json:"permissionDecision"`
		Deny       string `json:"deny"`
		Cancel     bool   `json:"cancel"`
		Specific   struct {
			Event    string `json:"hookEventName"`
			Decision string `json:"permissionDecision"`
		} `json:"hookSpecificOutput"`
	}
	if exit != 0 || json.Unmarshal(stdout, &a) != nil {
		return false
	}
	switch name {
	case "gemini":
		return a.Decision == "deny"
	case "copilot":
		return a.Top == "deny"
	case "opencode":
		return a.Deny != ""
	case "cursor":
		return a.Permission == "deny"
	case "cline":
		return a.Cancel
	}
	return a.Specific.Event == "PreToolUse" && a.Specific.Decision == "deny"
}
