package agenthook

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode"
)

// Answer is what the hook command writes and its exit status.
type Answer struct {
	Stdout []byte
	Stderr []byte
	Exit   int
}

// The fields are written in this order. None is ever empty but by design: an
// answer with a field that is not its client's may be dropped as a whole.
type (
	hookOutput struct {
		PermissionDecision       string    `json:"permissionDecision,omitempty"`
		PermissionDecisionReason string    `json:"permissionDecisionReason,omitempty"`
		AdditionalContext        string    `json:"additionalContext,omitempty"`
		Specific                 *specific `json:"hookSpecificOutput,omitempty"`
	}
	specific struct {
		HookEventName            string `json:"hookEventName"`
		PermissionDecision       string `json:"permissionDecision,omitempty"`
		PermissionDecisionReason string `json:"permissionDecisionReason,omitempty"`
		AdditionalContext        string `json:"additionalContext,omitempty"`
	}
	geminiDeny struct {
		Decision string `json:"decision"`
		Reason   string `json:"reason"`
	}
	clineOutput struct {
		Cancel              bool   `json:"cancel"`
		ErrorMessage        string `json:"errorMessage,omitempty"`
		ContextModification string `json:"contextModification,omitempty"`
	}
	cursorDeny struct {
		Permission   string `json:"permission"`
		UserMessage  string `json:"user_message"`
		AgentMessage string `json:"agent_message"`
	}
	cursorInject struct {
		AdditionalContext string `json:"additional_context"`
	}
	opencodeOutput struct {
		Deny   string `json:"deny,omitempty"`
		Inject string `json:"inject,omitempty"`
	}
)

// Allow is the answer that has nothing to say. It takes no permission from the
// user: whether the tool may run is decided as if there were no hook.
func (c Call) Allow() Answer {
	switch c.Client {
	case "cline":
		return reply(clineOutput{})
	case "cursor", "opencode":
		return reply(struct{}{})
	}
	return Answer{}
}

// Deny stops the tool; the reason reaches the model. After the fact nothing can
// be stopped: there it is Inject.
func (c Call) Deny(reason string) Answer {
	if c.Kind != PreEdit {
		return c.Inject(reason)
	}
	if reason = clean(reason); reason == "" {
		reason = "stopped by git-agentmail" // Codex lets a refusal without a reason pass
	}
	const deny = "deny"
	switch c.Client {
	case "gemini":
		return reply(geminiDeny{deny, reason})
	case "copilot":
		out := hookOutput{PermissionDecision: deny, PermissionDecisionReason: reason}
		if c.nested {
			out.Specific = &specific{HookEventName: c.eventName(), PermissionDecision: deny, PermissionDecisionReason: reason}
		}
		return reply(out)
	case "opencode":
		return reply(opencodeOutput{Deny: reason})
	case "cline":
		return reply(clineOutput{Cancel: true, ErrorMessage: reason})
	case "cursor":
		return reply(cursorDeny{deny, reason, reason})
	case "windsurf":
		return Answer{Stderr: []byte(reason + "\n"), Exit: 2}
	}
	return reply(hookOutput{Specific: &specific{
		HookEventName: c.eventName(), PermissionDecision: deny, PermissionDecisionReason: reason,
	}})
}

// Inject adds text to what the model reads: when a session starts, when the
// user speaks, after a tool. Where the client cannot do that it is Allow.
func (c Call) Inject(text string) Answer {
	text = clean(text)
	if text == "" || c.Kind == Other {
		return c.Allow()
	}
	switch c.Client {
	case "windsurf":
		return c.Allow()
	case "cline":
		// Its later hooks run detached and nobody reads what they say, so
		// this one may speak before a tool too.
		return reply(clineOutput{ContextModification: text})
	}
	if c.Kind == PreEdit {
		return c.Allow()
	}
	switch c.Client {
	case "opencode":
		return reply(opencodeOutput{Inject: text})
	case "cursor":
		switch squash(c.event) {
		case "", "sessionstart", "posttooluse":
			return reply(cursorInject{text})
		}
		return c.Allow()
	case "copilot":
		out := hookOutput{AdditionalContext: text}
		if c.nested {
			out.Specific = &specific{HookEventName: c.eventName(), AdditionalContext: text}
		}
		return reply(out)
	}
	return reply(hookOutput{Specific: &specific{HookEventName: c.eventName(), AdditionalContext: text}})
}

// eventName is the name that must stand in the answer: the payload's own.
func (c Call) eventName() string {
	if c.event != "" {
		return c.event
	}
	gemini := c.Client == "gemini"
	switch {
	case c.Kind == SessionStart:
		return "SessionStart"
	case c.Kind == Prompt && gemini:
		return "BeforeAgent"
	case c.Kind == Prompt:
		return "UserPromptSubmit"
	case c.Kind == PostTool && gemini:
		return "AfterTool"
	case c.Kind == PostTool:
		return "PostToolUse"
	}
	return "PreToolUse"
}

// reply encodes an answer as one line of JSON.
func reply(v any) Answer {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return Answer{} // strings and booleans always encode
	}
	return Answer{Stdout: b.Bytes()}
}

// maxText is what every client passes on to its model unshortened: two of them
// cut at 10,000.
const maxText = 8000

// clean makes text safe to show in a terminal and to a model: control
// characters but the newline, and those that turn the reading direction, go.
func clean(text string) string {
	text = strings.ToValidUTF8(text, "\ufffd")
	text = strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\t':
			return ' '
		case unicode.IsControl(r), '\u202a' <= r && r <= '\u202e', '\u2066' <= r && r <= '\u2069':
			return -1
		}
		return r
	}, text))
	if len(text) <= maxText {
		return text
	}
	cut := maxText - len("...")
	for cut > 0 && text[cut]&0xC0 == 0x80 {
		cut--
	}
	return text[:cut] + "..."
}
