package agenthook

import "strings"

// detect names the client of a payload by the rules in the package comment.
func detect(p object) string {
	event := str(p, "hook_event_name")
	switch {
	case isString(p, "agent_action_name"):
		return "windsurf"
	case isString(p, "hookName"), isString(p, "clineVersion"):
		return "cline"
	case isString(p, "cursor_version"), isString(p, "conversation_id") && has(p, "workspace_roots"):
		return "cursor"
	case str(p, "client") == "opencode", isString(p, "sessionID"):
		return "opencode"
	case event == "" && isString(p, "hookEventName"):
		return "vscode"
	case event == "" && (isString(p, "toolName") || has(p, "toolArgs") || isString(p, "sessionId")):
		return "copilot"
	case event == "":
		return ""
	case geminiOnly(event):
		return "gemini"
	case isString(p, "turn_id"):
		return "codex"
	case has(p, "timestamp"):
		switch {
		case isString(p, "tool_use_id"):
			return "vscode"
		case !has(p, "transcript_path"):
			return "copilot"
		}
		return ""
	case has(p, "transcript_path") && (isString(p, "tool_name") || isString(p, "prompt")):
		return "claude"
	}
	return ""
}

func isString(p object, key string) bool {
	_, ok := p[key].(string)
	return ok
}

func geminiOnly(event string) bool {
	switch event {
	case "BeforeTool", "AfterTool", "BeforeAgent", "AfterAgent",
		"BeforeModel", "AfterModel", "BeforeToolSelection", "PreCompress":
		return true
	}
	return false
}

// kindOf understands the names of every client and those of the hook command.
func kindOf(event string) Kind {
	switch squash(event) {
	case "preedit",
		"pretooluse", "beforetool", "toolcall",
		"prewritecode", "prereadcode", "preruncommand", "premcptooluse",
		"beforeshellexecution", "beforemcpexecution", "beforereadfile", "beforetabfileread":
		return PreEdit
	case "sessionstart", "agentstart", "agentresume", "taskstart", "taskresume":
		return SessionStart
	case "prompt", "userpromptsubmit", "userpromptsubmitted", "beforeagent",
		"promptsubmit", "preuserprompt", "beforesubmitprompt":
		return Prompt
	case "posttool",
		"posttooluse", "aftertool", "toolresult",
		"postwritecode", "postreadcode", "postruncommand", "postmcptooluse",
		"aftershellexecution", "aftermcpexecution", "afterfileedit", "aftertabfileedit":
		return PostTool
	}
	return Other
}

// squash makes PreToolUse, preToolUse, pre_tool_use and pre-tool-use one name.
func squash(name string) string {
	if len(name) > 64 {
		return ""
	}
	return strings.ToLower(strings.NewReplacer("_", "", "-", "", ".", "").Replace(name))
}
