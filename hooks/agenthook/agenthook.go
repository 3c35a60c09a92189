// Package agenthook speaks the stdin and stdout dialects of the coding agents'
// own hooks: it reads what a client says is about to happen, and writes the
// answer in the form that client understands.
//
// [Parse] turns a payload into a [Call]; Call.Allow, Call.Deny and Call.Inject
// give the [Answer], byte for byte. Bytes in, bytes out: the package reads no
// disk, git, clock or environment and decides nothing about reservations.
//
// # Falling open
//
// A client may deny an edit because its hook crashed, or show the model
// whatever stood on stdout. So Parse never panics, the Call beside an error can
// be answered too, and an answer that has nothing to say is the emptiest one
// the client takes without complaint. It never says "allow" out loud: in
// several clients that would skip the question to the user.
//
// # Whose payload it is
//
// With the client "auto" the first of these that holds decides. What counts is
// which fields are there and what the event is called; prose, paths and names
// of tools do not.
//
//  1. agent_action_name: windsurf
//  2. hookName or clineVersion: cline
//  3. cursor_version, or conversation_id with workspace_roots: cursor
//  4. client "opencode" (our plugin says so), or sessionID: opencode
//  5. without hook_event_name: hookEventName: vscode; toolName, toolArgs or
//     sessionId: copilot
//  6. an event that only Gemini has (BeforeTool, AfterTool, BeforeAgent, ...): gemini
//  7. turn_id: codex
//  8. timestamp: with tool_use_id vscode, without transcript_path copilot
//     (running hooks out of a Claude configuration), else unknown
//  9. transcript_path with a tool or a prompt: claude
//  10. otherwise unknown, the Client ""
//
// A session start of Claude, Codex, Gemini and VS Code looks the same, and so
// does the answer: it stays unknown. An unknown client is answered in Claude's
// form, which Claude, Codex and VS Code understand, with no field added: Codex
// drops an answer that has a field it does not know.
//
// Several clients run the hooks they find in Claude's settings, so those should
// be written with --client=auto. A client that is named is believed.
//
// # What counts as an edit
//
// Not every client honours the matchers in its configuration, so the tool's
// name decides once more: a tool whose name has no word for changing a file
// gives no paths, whatever its arguments are. That keeps the guard from
// refusing to let a reserved file be read.
//
// # Compatibility
//
// Observed with Claude Code 2.1, Codex 0.169, Gemini CLI 0.61, Copilot CLI
// 1.0.102, opencode 1.18 and Cline CLI 3.0. From the vendors' documentation
// only: Cursor, VS Code, Windsurf, Cline's extension, every contextModification
// of Cline, and whether Copilot wants its own fields or Claude's when it runs
// Claude's settings (it is given both). An older form that a client has left
// stays understood here.
package agenthook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Kind is the moment at which a hook runs.
type Kind string

// The moments that matter here.
const (
	PreEdit      Kind = "pre-edit"      // a tool is about to run; Deny stops it
	SessionStart Kind = "session-start" // a session begins or resumes
	Prompt       Kind = "prompt"        // the user has said something
	PostTool     Kind = "post-tool"     // a tool has run
	Other        Kind = "other"         // anything else: there is nothing to do or say
)

// Clients returns the names that Parse takes beside "auto".
func Clients() []string {
	return []string{"claude", "codex", "gemini", "copilot", "opencode", "cursor", "vscode", "windsurf", "cline"}
}

// Call is what a client says is about to happen or has happened.
type Call struct {
	Client  string   // one of Clients, or "" when the payload fits several
	Kind    Kind     //
	Session string   // the client's name for the session, "" if it gave none
	Dir     string   // the working directory that the client names, "" if none
	Tool    string   // the tool's name as the client gives it, "" if none
	Paths   []string // files to be edited, as given: absolute or relative to Dir; no repeats
	Shell   bool     // a shell command: it may touch more than Paths says, or anything

	event  string // the event as the payload names it, "" if it does not
	nested bool   // Copilot running a hook out of Claude's settings
}

// object is a JSON object. Keys are case-sensitive, and of two equal ones the
// last counts, as in the clients.
type object = map[string]any

// Parse reads a payload. client is one of [Clients] or "auto"; event is the
// argument of the hook command (pre-edit, session-start, post-tool) and counts
// where the payload does not name its event.
//
// The Call returned with an error holds what is known without the payload; it
// has no paths, and its Allow is a valid answer.
func Parse(client, event string, stdin []byte) (Call, error) {
	c := Call{Kind: kindOf(event)}
	named := client != "" && client != "auto"
	if named && !slices.Contains(Clients(), client) {
		return c, fmt.Errorf("unknown client %q: it is one of auto, %s", client, strings.Join(Clients(), ", "))
	}
	if named {
		c.Client = client
	}
	p, err := decode(stdin)
	if err != nil {
		return c, err
	}
	if !named {
		c.Client = detect(p)
	}
	if name := str(p, "hook_event_name", "agent_action_name", "hookName", "hookEventName"); name != "" {
		c.Kind = kindOf(name)
		if c.Kind != Other {
			c.event = name
		}
	} else if p["toolResult"] != nil {
		c.Kind = PostTool
	}
	c.nested = c.Client == "copilot" && has(p, "hook_event_name")
	c.Session = str(p, "session_id", "sessionId", "sessionID", "conversation_id", "trajectory_id", "taskId")
	c.Dir = dirOf(p)
	if c.Kind == PreEdit || c.Kind == PostTool {
		c.readTool(p)
	}
	return c, nil
}

// decode returns the one JSON object that stdin holds.
func decode(stdin []byte) (object, error) {
	stdin = bytes.TrimSpace(bytes.TrimPrefix(stdin, []byte("\ufeff"))) // PowerShell's pipes add the mark
	if len(stdin) == 0 {
		return nil, errors.New("the client sent nothing on standard input")
	}
	var v any
	if err := json.Unmarshal(stdin, &v); err != nil {
		return nil, fmt.Errorf("the client's payload is not JSON: %s", clean(err.Error()))
	}
	p, ok := v.(object)
	if !ok {
		return nil, errors.New("the client's payload is not a JSON object")
	}
	return p, nil
}

// dirOf returns the directory that relative paths start from.
func dirOf(p object) string {
	if dir := str(p, "cwd", "directory"); dir != "" {
		return dir
	}
	if info, ok := p["tool_info"].(object); ok {
		if dir := str(info, "cwd"); dir != "" {
			return dir
		}
	}
	for _, key := range []string{"workspace_roots", "workspaceRoots"} {
		roots, _ := p[key].([]any)
		for _, r := range roots {
			if dir, ok := r.(string); ok && usable(dir) {
				return dir
			}
		}
	}
	return ""
}

// str returns the first of the keys that holds a usable string, or "".
func str(p object, keys ...string) string {
	for _, key := range keys {
		if s, ok := p[key].(string); ok && usable(s) {
			return s
		}
	}
	return ""
}

// usable reports whether s can name anything: no system has a NUL in a name.
func usable(s string) bool { return s != "" && !strings.Contains(s, "\x00") }

func has(p object, key string) bool {
	_, ok := p[key]
	return ok
}
