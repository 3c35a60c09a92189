// Package mcp is the door for coding agents: the verbs of the mailbox as tools,
// resources and prompts of the Model Context Protocol, over standard input and
// output or over HTTP. It checks arguments, calls one method of
// [mailbox.Box], and wraps the answer; it holds no rule about mail.
//
// # Where things go
//
// A tool is a row of a table (tool.go): its name, its parameters, and the function
// that calls the mailbox. The tables stand with their functions, one file for each
// group of verbs. Arguments are checked against the row before the function runs,
// and the row is what tools/list shows, so that the two cannot differ.
//
// # Compatibility
//
// Names, parameters, defaults, results and errors are those of MCP Agent Mail
// 0.3.0, for which prompts and scripts exist; testdata/mcp/tools.json lists them
// and a test holds them against this package.
package mcp
