package clientconfig

import (
	"bytes"
	"encoding/json"
	"runtime"
	"strings"
)

// The forms in which the clients want a server and a hook, fields in their usual order.
type (
	serverEntry struct {
		Type    string   `json:"type,omitempty"`
		Command string   `json:"command"`
		Args    []string `json:"args"`
		Tools   []string `json:"tools,omitempty"`
	}
	opencodeEntry struct {
		Type    string   `json:"type"`
		Command []string `json:"command"`
		Enabled bool     `json:"enabled"`
	}
	hookGroup struct {
		Matcher string      `json:"matcher,omitempty"`
		Hooks   []groupHook `json:"hooks"`
	}
	groupHook struct {
		Type    string `json:"type"`
		Command string `json:"command"`
		Timeout int    `json:"timeout"`
	}
	cursorHook struct {
		Command string `json:"command"`
		Matcher string `json:"matcher,omitempty"`
	}
	windsurfHook struct {
		Command    string `json:"command"`
		ShowOutput bool   `json:"show_output"`
	}
	copilotHook struct {
		Type       string `json:"type"`
		Bash       string `json:"bash"`
		PowerShell string `json:"powershell"`
		TimeoutSec int    `json:"timeoutSec"`
		Matcher    string `json:"matcher,omitempty"`
	}
	copilotEvents struct {
		PreToolUse   []copilotHook `json:"preToolUse"`
		SessionStart []copilotHook `json:"sessionStart"`
		PostToolUse  []copilotHook `json:"postToolUse"`
	}
)

// hook is the command line of a hook. Whose it is the payload tells: several clients run
// the hooks that they find in another's configuration.
func (o Options) hook(event string) string {
	return shellWord(o.Command) + " hook " + event + " --client=auto"
}

// groups are the hooks of Claude Code, and of those that took its form over. tail is
// added to each command line: Copilot CLI, which runs Claude Code's, refuses every edit
// where the program is missing, and that is not what a hook in a shared file is for.
func (o Options) groups(before, matcher, start, after string, timeout int, tail string) []content {
	var list []content
	for _, h := range []struct{ event, hook, matcher string }{{before, "pre-edit", matcher}, {start, "session-start", ""}, {after, "post-tool", ""}} {
		list = append(list, entry{about: "hook " + h.event, path: []string{"hooks", h.event}, ours: isHook(h.hook),
			value: hookGroup{h.matcher, []groupHook{{"command", o.hook(h.hook) + tail, timeout}}}})
	}
	return list
}

// copilot adds what Copilot CLI's own file wants: which tools may be used.
func (o Options) copilot(e serverEntry) serverEntry {
	if o.Root == "" {
		e.Type, e.Tools = "local", []string{"*"}
	}
	return e
}

func (o Options) copilotHooks() string {
	hooks := func(event, matcher string) []copilotHook {
		power := o.hook(event)
		if strings.HasPrefix(power, "'") || strings.HasPrefix(power, `"`) {
			power = "& " + power
		}
		// It refuses the edit where a hook fails.
		return []copilotHook{{"command", o.hook(event) + " || true", power + "; exit 0", 10, matcher}}
	}
	var w bytes.Buffer
	json.Indent(&w, encode(struct {
		Version int           `json:"version"`
		Hooks   copilotEvents `json:"hooks"`
	}{1, copilotEvents{hooks("pre-edit", "create|edit|apply_patch"), hooks("session-start", ""), hooks("post-tool", "")}}), "", "  ")
	return w.String() + "\n"
}

// plugin is opencode's: it has no hooks of the kind that the others run.
func (o Options) plugin() string {
	return strings.Replace(o.Plugin, `const command = "`+program+`"`, "const command = "+string(encode(o.Command)), 1)
}

func (o Options) clineHook() string {
	return `#!/bin/sh
# Asks git-agentmail before a file is edited. Written by ` + "`git agentmail setup`" + `.
command -v ` + shellWord(o.Command) + ` >/dev/null 2>&1 || { echo '{"cancel":false}'; exit 0; }
exec ` + o.hook("pre-edit") + `
`
}

// shellWord makes one word of s for a shell.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:+", r)
	}
	switch {
	case strings.TrimFunc(s, plain) == "" && s != "":
		return s
	case runtime.GOOS == "windows":
		return `"` + s + `"`
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
