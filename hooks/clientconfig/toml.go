package clientconfig

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/BurntSushi/toml"
)

// The lines around what is ours in a TOML file.
const (
	tomlBegin = "# >>> git-agentmail >>> to take this out: git agentmail setup --remove codex"
	tomlFresh = tomlBegin + " (new file)" // the file was made by us
	tomlEnd   = "# <<< git-agentmail <<<"
)

// table is a server's entry in Codex' configuration: a block at the end of the file.
type table struct {
	about   string
	name    string
	command []string
	any     bool // when taking out, whatever name it has
}

func (t table) what() string { return t.about }

// servers returns the tables of all servers.
func servers(data []byte) (map[string]any, error) {
	var all struct {
		Servers map[string]any `toml:"mcp_servers"`
	}
	if _, err := toml.Decode(string(data), &all); err != nil {
		var pe toml.ParseError
		if errors.As(err, &pe) {
			return nil, positioned{pe.Position.Line, 1, pe.Message}
		}
		return nil, positioned{1, 1, err.Error()}
	}
	return all.Servers, nil
}

func (t table) add(data []byte, there bool) ([]byte, error) {
	all, err := servers(bytes.TrimPrefix(data, byteOrderMark))
	if err != nil {
		return nil, err
	}
	if v, ok := all[t.name]; ok {
		if isServer(v) {
			return data, nil
		}
		return nil, taken{positioned{tableLine(data, t.name), 1, fmt.Sprintf("there is another %q in mcp_servers already", t.name)}}
	}
	if closed(data) {
		return nil, positioned{1, 1, "mcp_servers is an inline table, to which no table can be added"}
	}
	first := tomlBegin
	if !there {
		first = tomlFresh
	}
	lines := []string{first, "[mcp_servers." + t.name + "]", "command = " + quoteTOML(t.command[0])}
	var args []string
	for _, a := range t.command[1:] {
		args = append(args, quoteTOML(a))
	}
	// Codex gives a server five variables only, and these say who it is.
	lines = append(lines, "args = ["+strings.Join(args, ", ")+"]", `env_vars = ["AGENTMAIL_AGENT", "AGENT_NAME"]`, tomlEnd)
	nl := document{data: data}.newline()
	text := strings.Join(lines, nl)
	switch {
	case len(data) == 0:
		text += nl
	case data[len(data)-1] != '\n':
		text = nl + nl + text // and none at the end, which tells remove
	default:
		text = nl + text + nl
	}
	return append(bytes.Clone(data), text...), nil
}

// closed reports whether the servers are a value in braces, which ends with the brace.
// The parser, more lenient than Codex, does not tell.
func closed(data []byte) bool {
	for l := range bytes.Lines(data) {
		key, _, ok := bytes.Cut(l, []byte("="))
		if l = bytes.TrimSpace(l); len(l) > 0 && l[0] == '[' {
			return false
		}
		if ok && string(bytes.Trim(key, " \t\"'")) == "mcp_servers" {
			return true
		}
	}
	return false
}

// tableLine is where a table begins, as far as that can be seen.
func tableLine(data []byte, name string) int {
	line := 0
	for l := range bytes.Lines(data) {
		line++
		if l = bytes.TrimSpace(l); bytes.HasPrefix(l, []byte("[mcp_servers.")) && bytes.Contains(l, []byte(name)) {
			return line
		}
	}
	return 1
}

// quoteTOML writes a basic string. Paths hold no control characters that matter.
func quoteTOML(s string) string { return string(encode(s)) }

func (t table) remove(data []byte) ([]byte, bool, error) {
	for {
		from, to, fresh, ok := t.block(data)
		if !ok {
			return data, false, nil
		}
		// See add: what the block brought along.
		gap := 1
		if data[to-1] != '\n' {
			gap = 2
		}
		for ; gap > 0 && from > 0 && data[from-1] == '\n'; gap-- {
			from--
			if from > 0 && data[from-1] == '\r' {
				from--
			}
		}
		data = append(bytes.Clone(data[:from]), data[to:]...)
		if fresh && blank(data) {
			return nil, true, nil
		}
	}
}

// block finds the last of our blocks that is about this server.
func (t table) block(data []byte) (from, to int, fresh, ok bool) {
	at, begin, isFresh, named := 0, -1, false, false
	for l := range bytes.Lines(data) {
		switch line := strings.TrimRight(string(l), " \t\r\n"); {
		case line == tomlBegin, line == tomlFresh:
			begin, isFresh, named = at, line == tomlFresh, false
		case line == "[mcp_servers."+t.name+"]":
			named = true
		case line == tomlEnd && begin >= 0:
			if named || t.any {
				from, to, fresh, ok = begin, at+len(l), isFresh, true
			}
			begin = -1
		}
		at += len(l)
	}
	return from, to, fresh, ok
}
