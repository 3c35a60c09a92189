package agenthook

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode"
)

// Where the clients put the files of an edit. The order is that of Call.Paths.
var (
	// pathKeys hold one name, or a list of names.
	pathKeys = []string{
		"file_path", "filePath", "path", "notebook_path", "notebookPath", "target_file", "targetFile",
		"absolute_path", "relative_path", "old_path", "oldPath", "new_path", "newPath",
	}
	// moveKeys hold names only in a tool that moves.
	moveKeys = []string{"source", "destination"}
	// listKeys hold lists of names or of objects with names. Cline flattens
	// them to JSON in a string.
	listKeys = []string{"files", "paths", "file_paths", "filePaths", "edits", "file_edits", "replacements", "operations", "changes"}
	// textKeys hold a command, or a patch whose headers name the files.
	textKeys = []string{"command", "command_line", "cmd", "input", "patch", "patchText", "patch_text"}
)

// readTool fills Tool, Paths and Shell.
func (c *Call) readTool(p object) {
	var args object
	c.Tool, args = toolCall(p)
	event := squash(c.event)
	words := words(c.Tool)
	var set pathSet
	switch {
	case strings.Contains(event, "read"): // pre_read_code, beforeReadFile
	case strings.Contains(event, "runcommand"), strings.Contains(event, "shellexecution"), runs(c.Tool):
		c.Shell = true
		for _, key := range textKeys {
			set.script(strs(args[key]))
		}
	case changes(c.Tool, words) && str(args, "command") != "view": // the text editor tool's four commands
		set.collect(args, 4)
		if slices.Contains(words, "move") || slices.Contains(words, "rename") {
			for _, key := range moveKeys {
				set.add(args[key])
			}
		}
		for _, key := range textKeys {
			set.patch(strs(args[key]), slices.Contains(words, "patch"))
		}
	}
	c.Paths = set.list
}

// toolCall finds the tool and its arguments. Cursor's and Windsurf's special
// events name no tool.
func toolCall(p object) (name string, args object) {
	for _, in := range []string{"", "tool_call", "tool_result", "preToolUse", "postToolUse", "tool_info"} {
		o := p
		if in != "" {
			o, _ = p[in].(object)
		}
		if name == "" {
			name = str(o, "tool_name", "toolName", "mcp_tool_name")
		}
		if in == "" && name == "" {
			name = str(o, "tool")
		} else if in != "" && name == "" {
			name = str(o, "name")
		}
		for _, key := range []string{"tool_input", "toolInput", "toolArgs", "args", "input", "parameters", "mcp_tool_arguments"} {
			if args == nil && o[key] != nil {
				args = arguments(o[key])
			}
		}
		if in == "tool_info" && args == nil {
			args = o
		}
	}
	if args == nil {
		args = p
	}
	return name, args
}

// arguments returns a tool's arguments. They may be an object, the JSON of one
// in a string, or a bare text: a patch.
func arguments(v any) object {
	switch v := v.(type) {
	case object:
		return v
	case string:
		if u := unpack(v); u != nil {
			return arguments(u)
		}
		return object{"input": v}
	case []any:
		return object{"command": v}
	}
	return object{}
}

// unpack returns the object or list whose JSON s is, or nil.
func unpack(s string) any {
	s = strings.TrimSpace(s)
	if s == "" || s[0] != '{' && s[0] != '[' {
		return nil
	}
	var v any
	if json.Unmarshal([]byte(s), &v) != nil {
		return nil
	}
	return v
}

// strs returns the strings that v is or lists.
func strs(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, e := range v {
			if s, ok := e.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}

// pathSet collects names in the order in which they come.
type pathSet struct {
	list []string
	seen map[string]bool
}

func (s *pathSet) add(v any) {
	for _, name := range strs(v) {
		if !usable(name) || s.seen[name] {
			continue
		}
		if s.seen == nil {
			s.seen = map[string]bool{}
		}
		s.seen[name] = true
		s.list = append(s.list, name)
	}
}

// collect adds the names in an object, and those in the lists in it.
func (s *pathSet) collect(o object, depth int) {
	if depth == 0 {
		return
	}
	for _, key := range pathKeys {
		s.add(o[key])
	}
	for _, key := range listKeys {
		v := o[key]
		if text, ok := v.(string); ok {
			if u := unpack(text); u != nil {
				v = u
			}
		}
		list, ok := v.([]any)
		if !ok {
			list = []any{v}
		}
		for _, e := range list {
			if o, ok := e.(object); ok {
				s.collect(o, depth-1)
			} else if name, ok := e.(string); ok {
				s.add(name)
			}
		}
	}
}

// runs reports whether a tool gives its argument to a shell.
func runs(tool string) bool {
	switch squash(local(tool)) {
	case "bash", "shell", "sh", "powershell", "pwsh", "cmd", "terminal",
		"localshell", "shellcommand", "execcommand", "containerexec", "unifiedexec",
		"runcommand", "runcommands", "runshellcommand", "executecommand",
		"runinterminal", "runterminalcmd", "runterminalcommand":
		return true
	}
	return false
}

// changes reports whether a tool changes files. A payload with a file and no
// tool comes from a hook for edits: the other special events are told apart
// before.
func changes(tool string, words []string) bool {
	switch squash(local(tool)) {
	case "", "editor", "multiedit":
		return true
	}
	if slices.Contains(words, "agentmail") { // reserving a file is no edit of it
		return false
	}
	for _, w := range words {
		switch w {
		case "write", "edit", "edits", "create", "insert", "replace", "patch", "append", "update", "modify",
			"delete", "remove", "move", "rename", "overwrite":
			return true
		}
	}
	return false
}

// local drops the server from an MCP tool's name where that can be told:
// a server called "editor" has tools that read.
func local(tool string) string {
	if strings.HasPrefix(tool, "mcp__") && !strings.Contains(tool, "agentmail") {
		return tool[strings.LastIndex(tool, "__")+2:]
	}
	return tool
}

// words splits a tool's name at capitals and at what is no letter or digit.
func words(tool string) []string {
	if len(tool) > 256 {
		return nil
	}
	var out []string
	var word []rune
	flush := func() {
		if len(word) > 0 {
			out = append(out, strings.ToLower(string(word)))
			word = word[:0]
		}
	}
	for _, r := range local(tool) {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			flush()
			continue
		case unicode.IsUpper(r) && len(word) > 0 && !unicode.IsUpper(word[len(word)-1]):
			flush()
		}
		word = append(word, r)
	}
	flush()
	return out
}
