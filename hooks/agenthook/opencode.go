package agenthook

import _ "embed" // for the plugin

//go:embed opencode.js
var opencodePlugin string

// OpencodePlugin returns the source of the plugin that lets opencode run the
// hook command; it belongs in .opencode/plugins/agentmail.js. opencode has
// no hooks of the kind that the other clients run, so this dialect is ours:
//
//	{"client":"opencode","directory":D,"tool":T,"sessionID":S,"args":{"filePath":F}}
//
// goes in, and out comes {}, {"deny":R}, which the plugin throws as an error, or
// {"inject":C}, which it adds to the system prompt.
func OpencodePlugin() string { return opencodePlugin }
