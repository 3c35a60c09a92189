package agenthook

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestPatchProperty writes random patches and reads their headers back: every
// file of a header, once, in order, and nothing out of an added or removed line.
func TestPatchProperty(t *testing.T) {
	for seed := range uint64(2000) {
		r := rand.New(rand.NewPCG(seed, 1))
		text, want := randomPatch(r)
		if r.IntN(3) == 0 {
			text = strings.ReplaceAll(text, "\n", "\r\n")
		}
		var got pathSet
		got.patch([]string{text}, r.IntN(2) == 0)
		if !slices.Equal(got.list, want) {
			t.Fatalf("seed %d: got %q, want %q from:\n%s", seed, got.list, want, text)
		}

		// The same patch as Codex may carry it.
		for _, form := range []struct {
			name string
			argv []string
			dir  string
		}{
			{"argument", []string{"apply_patch", text}, ""},
			{"script", []string{"apply_patch <<'EOF'\n" + text + "EOF\n"}, ""},
			{"quoted", []string{"applypatch '" + text + "'"}, ""},
			{"shell", []string{"/bin/bash", "-lc", "apply_patch <<EOF\n" + text + "EOF"}, ""},
			{"below", []string{"zsh", "-c", "\ncd  a/b/ && apply_patch <<\"EOF\"\n" + text + "EOF\n"}, "a/b"},
			{"quoted directory", []string{"cd 'a b'&&\\\napply_patch <<EOF\n"}, "-"},
			{"spaced directory", []string{"cd \"a b\" &&\n apply_patch <<EOF\n" + text + "EOF\n"}, "a b"},
		} {
			moved := []string{}
			for _, name := range want {
				if form.dir != "-" {
					moved = append(moved, within(form.dir, name))
				}
			}
			slices.Sort(moved)
			var got pathSet
			got.script(form.argv)
			slices.Sort(got.list)
			if !slices.Equal(got.list, slices.Compact(moved)) {
				t.Fatalf("seed %d, %s: got %q, want %q from:\n%s", seed, form.name, got.list, moved, text)
			}
		}
	}
}

// randomPatch returns a patch and the files that it names.
func randomPatch(r *rand.Rand) (text string, files []string) {
	names := []string{"a.go", "dir/b c.go", "/abs/d.go", "../e", "*** f", "C:\\g.go", "é/ü.txt", "-h", "+i", "a: b"}
	var b strings.Builder
	add := func(header, name string) {
		b.WriteString(strings.Repeat(" ", r.IntN(2)) + header + " " + name + strings.Repeat(" ", r.IntN(2)) + "\n")
		if !slices.Contains(files, name) {
			files = append(files, name)
		}
	}
	body := func(marks string) {
		for range r.IntN(4) {
			mark := marks[r.IntN(len(marks))]
			if mark == ' ' {
				b.WriteString(" context\n")
				continue
			}
			b.WriteString(string(mark) + []string{"x", "", "*** Update File: no.go", "*** End Patch", " *** Move to: no.go"}[r.IntN(5)] + "\n")
		}
	}
	b.WriteString("*** Begin Patch\n")
	for range r.IntN(5) {
		name := names[r.IntN(len(names))]
		switch r.IntN(3) {
		case 0:
			add("*** Add File:", name)
			body("+")
		case 1:
			add("*** Delete File:", name)
		case 2:
			add("*** Update File:", name)
			if r.IntN(2) == 0 {
				add("*** Move to:", names[r.IntN(len(names))])
			}
			b.WriteString("@@ func f()\n")
			body("+- ")
			if r.IntN(3) == 0 {
				b.WriteString("*** End of File\n")
			}
		}
	}
	b.WriteString("*** End Patch\n")
	return b.String(), files
}

func TestScript(t *testing.T) {
	const heredoc = " <<'EOF'\n*** Begin Patch\n*** Add File: a.go\n+x\n*** End Patch\nEOF\n"
	for _, x := range []struct {
		name, script string
		want         []string
	}{
		{"plain", "apply_patch" + heredoc, []string{"a.go"}},
		{"no space", "apply_patch" + strings.TrimSpace(heredoc), []string{"a.go"}},
		{"other command", "cat" + heredoc, nil},
		{"longer name", "apply_patches" + heredoc, nil},
		{"after another", "echo x; apply_patch" + heredoc, nil},
		{"absolute directory", "cd /w/app && apply_patch" + heredoc, []string{"/w/app/a.go"}},
		{"root", "cd / && apply_patch" + heredoc, []string{"/a.go"}},
		{"home", "cd ~/x && apply_patch" + heredoc, nil},
		{"variable", "cd $X && apply_patch" + heredoc, nil},
		{"quoted variable", `cd "$X" && apply_patch` + heredoc, nil},
		{"literal dollar", `cd '$X' && apply_patch` + heredoc, []string{"$X/a.go"}},
		{"two words", "cd a b && apply_patch" + heredoc, nil},
		{"glued quotes", "cd 'a'b && apply_patch" + heredoc, nil},
		{"open quote", "cd 'a && apply_patch" + heredoc, nil},
		{"back", "cd - && apply_patch" + heredoc, nil},
		{"or", "cd x || apply_patch" + heredoc, nil},
		{"only cd", "cd x", nil},
		{"only cd and", "cd x &&", nil},
		{"nothing", "", nil},
	} {
		var got pathSet
		got.script([]string{x.script})
		if !slices.Equal(got.list, x.want) {
			t.Errorf("%s: got %q, want %q from %q", x.name, got.list, x.want, x.script)
		}
		// A patch tool that runs such a script must not take another directory.
		var tool pathSet
		tool.patch([]string{x.script}, true)
		if strings.HasPrefix(x.script, "cd ") && !slices.Equal(tool.list, x.want) {
			t.Errorf("%s: the patch tool got %q, want %q from %q", x.name, tool.list, x.want, x.script)
		}
	}
}

func TestWords(t *testing.T) {
	for tool, want := range map[string]string{
		"":                         "",
		"Write":                    "write",
		"NotebookEdit":             "notebook edit",
		"str_replace_editor":       "str replace editor",
		"editFiles":                "edit files",
		"mcp__my_server__moveFile": "move file",
		"mcp__agentmail__inbox":    "mcp agentmail inbox",
		"agentmail-create":         "agentmail create",
		"HTTPServer2Edit":          "httpserver2 edit",
		"__":                       "",
		strings.Repeat("edit", 99): "",
	} {
		if got := strings.Join(words(tool), " "); got != want {
			t.Errorf("words(%q) is %q, want %q", tool, got, want)
		}
	}
}
