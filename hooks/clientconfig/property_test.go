package clientconfig

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// jsonc draws documents as people and programs write them: any white space and comments
// between any two tokens, trailing commas, duplicate names, now and then the very objects
// and lists that we write into.
type jsonc struct {
	t  *rapid.T
	nl string
	w  strings.Builder
}

func (g *jsonc) pick(label string, from ...string) string {
	return rapid.SampledFrom(from).Draw(g.t, label)
}

func (g *jsonc) extra() {
	for range rapid.IntRange(0, 3).Draw(g.t, "extras") {
		g.w.WriteString(g.pick("extra", " ", "\t", g.nl, g.nl, g.nl+"  ", "\r", "/* c */", "/* a"+g.nl+"b */", "// \"x\": {"+g.nl, "//"+g.nl+"\t", "/**/"))
	}
}

func (g *jsonc) object(depth int, names ...string) {
	g.w.WriteString("{")
	n := rapid.IntRange(0, 3).Draw(g.t, "members")
	for i := range n {
		g.extra()
		name := g.pick("name", append(names, "a", "b c", "ü", `q\"`)...)
		g.w.WriteString(`"` + name + `"`)
		g.extra()
		g.w.WriteString(":")
		g.extra()
		g.value(depth-1, name)
		g.extra()
		if i < n-1 || rapid.IntRange(0, 3).Draw(g.t, "trailing") == 0 {
			g.w.WriteString(",")
		}
	}
	g.extra()
	g.w.WriteString("}")
}

func (g *jsonc) list(depth int) {
	g.w.WriteString("[")
	n := rapid.IntRange(0, 3).Draw(g.t, "elements")
	for i := range n {
		g.extra()
		g.value(depth-1, "")
		g.extra()
		if i < n-1 || rapid.IntRange(0, 3).Draw(g.t, "trailing") == 0 {
			g.w.WriteString(",")
		}
	}
	g.extra()
	g.w.WriteString("]")
}

func (g *jsonc) value(depth int, name string) {
	switch {
	case name == "mcpServers":
		g.object(depth, "other", "third")
	case name == "hooks":
		g.object(depth, "PreToolUse", "PostToolUse")
	case name == "PreToolUse" || name == "PostToolUse":
		g.list(depth)
	case depth > 0 && rapid.Bool().Draw(g.t, "object"):
		g.object(depth, "command", "hooks")
	case depth > 0 && rapid.Bool().Draw(g.t, "list"):
		g.list(depth)
	default:
		g.w.WriteString(g.pick("literal", `"git status"`, `"//"`, `"/* {"`, "1", "-2.5e3", "true", "null", `""`))
	}
}

func drawDocument(t *rapid.T) []byte {
	g := &jsonc{t: t, nl: rapid.SampledFrom([]string{"\n", "\n", "\r\n"}).Draw(t, "newline")}
	if rapid.IntRange(0, 9).Draw(t, "mark") == 0 {
		g.w.WriteString("\ufeff")
	}
	if rapid.IntRange(0, 19).Draw(t, "blank") == 0 {
		g.w.WriteString(g.pick("nothing", "", "\n", "  \n\n", "\r\n"))
		return []byte(g.w.String())
	}
	g.extra()
	g.object(4, "mcpServers", "hooks", "hooks")
	g.extra()
	return []byte(g.w.String())
}

// everything of Claude Code's in one file, as with Gemini.
func sample(name string) []content {
	o := Options{Name: name, Command: "git-agentmail", Root: "/w", Getenv: func(string) string { return "" }}
	list := []content{entry{about: "server", path: []string{"mcpServers"}, name: name, ours: isServer,
		value: serverEntry{Type: "stdio", Command: "git-agentmail", Args: []string{"mcp"}}}}
	return append(list, o.groups("PreToolUse", "Edit", "SessionStart", "PostToolUse", 10, " || true")...)
}

func putIn(t interface{ Fatalf(string, ...any) }, data []byte, list []content, there bool) []byte {
	for _, c := range list {
		out, err := c.add(data, there)
		if err != nil {
			t.Fatalf("%s: %v in %q", c.what(), err, data)
		}
		data, there = out, true
	}
	return data
}

func takeOut(t interface{ Fatalf(string, ...any) }, data []byte, list []content) (rest []byte, whole bool) {
	for i := len(list) - 1; i >= 0; i-- {
		var err error
		if data, whole, err = list[i].remove(data); err != nil {
			t.Fatalf("%s: %v in %q", list[i].what(), err, data)
		}
		if whole {
			return nil, true
		}
	}
	return data, false
}

// TestSetupRemoveIsIdentity: whatever the file was, it is that again.
func TestSetupRemoveIsIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before := drawDocument(t)
		if _, err := parse(before); err != nil {
			t.Fatalf("the generator is wrong: %v in %q", err, before)
		}
		list := sample("agentmail")
		list = list[:rapid.IntRange(1, len(list)).Draw(t, "entries")]
		after := putIn(t, before, list, true)
		if bytes.Equal(after, before) {
			t.Fatalf("nothing was put in: %q", before)
		}
		if again := putIn(t, after, list, true); !bytes.Equal(again, after) {
			t.Fatalf("a second time\n%q\nbecomes\n%q", after, again)
		}
		// Others' entries are the same, and ours is what the client reads.
		was, is := decoded(t, before), decoded(t, after)
		servers, _ := is["mcpServers"].(map[string]any)
		if !isServer(servers["agentmail"]) {
			t.Fatalf("no server in\n%s", after)
		}
		if len(servers) == 1 && was["mcpServers"] == nil {
			delete(is, "mcpServers")
		} else {
			delete(servers, "agentmail")
		}
		if hooks, ok := is["hooks"].(map[string]any); ok {
			old, _ := was["hooks"].(map[string]any)
			for event, v := range hooks {
				groups, ok := v.([]any)
				if !ok || len(groups) == 0 || len(commands(groups[len(groups)-1])) != 1 || !strings.Contains(commands(groups[len(groups)-1])[0], " hook ") {
					continue
				}
				if hooks[event] = groups[:len(groups)-1]; old[event] == nil && len(groups) == 1 {
					delete(hooks, event)
				}
			}
			if len(hooks) == 0 && was["hooks"] == nil {
				delete(is, "hooks")
			}
		}
		if fmt.Sprint(was) != fmt.Sprint(is) {
			t.Fatalf("others' entries differ:\n%v\n%v\nin\n%s\n%s", was, is, before, after)
		}
		rest, whole := takeOut(t, after, list)
		if whole || !bytes.Equal(rest, before) {
			t.Fatalf("whole=%v\nbefore %q\nafter  %q\nrest   %q", whole, before, after, rest)
		}
	})
}

func decoded(t *rapid.T, data []byte) map[string]any {
	d, err := parse(data)
	if err != nil {
		t.Fatalf("%v in %q", err, data)
	}
	if d.root.Value == nil {
		return map[string]any{}
	}
	return decode(d.root).(map[string]any)
}

// TestRemoveAfterOthersWrote: others' entries, and their comments, survive whatever was
// written around ours meanwhile.
func TestRemoveAfterOthersWrote(t *testing.T) {
	other := entry{about: "other", path: []string{"mcpServers"}, name: "other", value: map[string]any{"command": "x"}, ours: func(any) bool { return false }}
	rapid.Check(t, func(t *rapid.T) {
		before := drawDocument(t)
		list := sample("agentmail")
		if _, err := other.add(before, true); err != nil {
			return // it has one
		}
		with := putIn(t, putIn(t, before, list, true), []content{other}, true)
		want := decoded(t, putIn(t, before, []content{other}, true))
		rest, whole := takeOut(t, with, list)
		if whole {
			t.Fatalf("the file is gone: %q", with)
		}
		got := decoded(t, rest)
		// A list or an object of others that was empty may be there or not.
		if !reflect.DeepEqual(want["mcpServers"], got["mcpServers"]) {
			t.Fatalf("want %v\ngot  %v\nin %q", want, got, rest)
		}
		for _, note := range []string{"/* c */", "// \"x\": {", "/* a"} {
			if strings.Count(string(before), note) != strings.Count(string(rest), note) {
				t.Fatalf("a comment %q is lost:\n%q\n%q", note, before, rest)
			}
		}
	})
}

// TestTOMLIsIdentity does the same for the block in a TOML file.
func TestTOMLIsIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nl := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "newline")
		var w strings.Builder
		if rapid.IntRange(0, 9).Draw(t, "mark") == 0 {
			w.WriteString("\ufeff")
		}
		for i := range rapid.IntRange(0, 6).Draw(t, "lines") {
			w.WriteString(rapid.SampledFrom([]string{
				"", "# >>> others", fmt.Sprintf("k%d = 1", i), fmt.Sprintf("[t%d]", i), fmt.Sprintf("[mcp_servers.s%d]", i), "  # c",
				fmt.Sprintf("m%d = '''%sx%s'''", i, nl, nl),
			}).Draw(t, "line") + nl)
		}
		before := []byte(w.String())
		if rapid.Bool().Draw(t, "open") {
			before = bytes.TrimRight(before, "\r\n")
		}
		there := len(before) > 0 || rapid.Bool().Draw(t, "there")
		c := table{"server", "agentmail", []string{"git-agentmail", "mcp"}, false}
		after := putIn(t, before, []content{c}, there)
		all, err := servers(bytes.TrimPrefix(after, byteOrderMark))
		if err != nil || !isServer(all["agentmail"]) {
			t.Fatalf("%v, %v in %q", all, err, after)
		}
		if again := putIn(t, after, []content{c}, true); !bytes.Equal(again, after) {
			t.Fatalf("a second time\n%q\nbecomes\n%q", after, again)
		}
		rest, whole := takeOut(t, after, []content{c})
		if whole == there || !bytes.Equal(rest, before) {
			t.Fatalf("there=%v whole=%v\nbefore %q\nafter  %q\nrest   %q", there, whole, before, after, rest)
		}
	})
}
