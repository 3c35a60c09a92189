package agenthook

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestOpencodePlugin(t *testing.T) {
	src := OpencodePlugin()
	// opencode calls every export of a plugin's file as a plugin.
	if n := strings.Count(src, "\nexport "); n != 1 {
		t.Errorf("%d exports, want 1", n)
	}
	for _, want := range []string{"tool.execute.before", "experimental.chat.system.transform", "--client=opencode"} {
		if !strings.Contains(src, want) {
			t.Errorf("the plugin does not mention %s", want)
		}
	}
}

// driver does what opencode does: it loads the plugin, calls a hook and shows
// what came of it.
const driver = `
import { GitAgentmail } from "./plugin.mjs"
const [hook, input, output] = process.argv.slice(2)
const out = JSON.parse(output)
const hooks = await GitAgentmail({ directory: process.cwd() })
try {
  await hooks[hook](JSON.parse(input), out)
  console.log("runs " + JSON.stringify(out))
} catch (err) {
  console.log("stopped: " + err.message)
}
`

// TestOpencodePluginRuns runs the plugin with node against a hook command that
// notes what it was given and says what the case has it say.
func TestOpencodePluginRuns(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil || runtime.GOOS == "windows" {
		t.Skip("needs node and a POSIX shell")
	}
	const before, turn = "tool.execute.before", "experimental.chat.system.transform"
	opencode := Call{Client: "opencode", Kind: PreEdit}
	start := Call{Client: "opencode", Kind: SessionStart}
	say := func(a Answer) string {
		return "cat >stdin; echo \"$*\" >args; cat <<'END'\n" + string(a.Stdout) + "END\n"
	}
	for _, x := range []struct {
		name, command       string
		hook, input, output string
		want                string
		args                string // of the command, "" if it must not run
		paths               []string
	}{
		{"free", say(opencode.Allow()), before, `{"tool":"edit","sessionID":"s"}`, `{"args":{"filePath":"a.go"}}`,
			`runs {"args":{"filePath":"a.go"}}`, "hook pre-edit --client=opencode", []string{"a.go"}},
		{"reserved", say(opencode.Deny("it's \"reserved\"\nask <him>")), before, `{"tool":"write","sessionID":"s"}`, `{"args":{"filePath":"a b.go","content":"x"}}`,
			"stopped: it's \"reserved\"\nask <him>", "hook pre-edit --client=opencode", []string{"a b.go"}},
		{"patch", say(opencode.Deny("no")), before, `{"tool":"apply_patch","sessionID":"s"}`, `{"args":{"patchText":"*** Begin Patch\n*** Add File: é.go\n+x\n*** End Patch"}}`,
			"stopped: no", "hook pre-edit --client=opencode", []string{"é.go"}},
		{"reading", "exit 1", before, `{"tool":"read","sessionID":"s"}`, `{"args":{"filePath":"a.go"}}`,
			`runs {"args":{"filePath":"a.go"}}`, "", nil},
		{"no file", "exit 1", before, `{"tool":"todowrite","sessionID":"s"}`, `{"args":{"todos":[]}}`,
			`runs {"args":{"todos":[]}}`, "", nil},
		{"no arguments", "exit 1", before, `{"tool":"edit","sessionID":"s"}`, `{}`, `runs {}`, "", nil},
		{"fails", "exit 3", before, `{"tool":"edit","sessionID":"s"}`, `{"args":{"filePath":"a.go"}}`,
			`runs {"args":{"filePath":"a.go"}}`, "", nil},
		{"says something else", "cat >stdin; echo oops", before, `{"tool":"edit","sessionID":"s"}`, `{"args":{"filePath":"a.go"}}`,
			`runs {"args":{"filePath":"a.go"}}`, "", nil},
		{"says null", "echo null", before, `{"tool":"edit","sessionID":"s"}`, `{"args":{"filePath":"a.go"}}`,
			`runs {"args":{"filePath":"a.go"}}`, "", nil},
		{"missing", "", before, `{"tool":"edit","sessionID":"s"}`, `{"args":{"filePath":"a.go"}}`,
			`runs {"args":{"filePath":"a.go"}}`, "", nil},
		{"mail", say(start.Inject("1 urgent")), turn, `{"sessionID":"s"}`, `{"system":["x"]}`,
			`runs {"system":["x","1 urgent"]}`, "hook session-start --client=opencode", nil},
		{"no mail", say(start.Allow()), turn, `{"sessionID":"s"}`, `{"system":["x"]}`,
			`runs {"system":["x"]}`, "hook session-start --client=opencode", nil},
		{"no session", "exit 1", turn, `{}`, `{"system":["x"]}`, `runs {"system":["x"]}`, "", nil},
	} {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write := func(name, text string) {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			write("plugin.mjs", OpencodePlugin())
			write("driver.mjs", driver)
			if x.command != "" {
				write("git-agentmail", "#!/bin/sh\n"+x.command+"\n")
			}
			cmd := exec.Command(node, "driver.mjs", x.hook, x.input, x.output)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "PATH="+dir+":/usr/bin:/bin")
			out, err := cmd.CombinedOutput()
			if got := strings.TrimSpace(string(out)); got != x.want || err != nil {
				t.Errorf("got %q, %v; want %q", got, err, x.want)
			}
			if x.args == "" {
				return
			}
			args, err := os.ReadFile(filepath.Join(dir, "args"))
			if got := strings.TrimSpace(string(args)); got != x.args {
				t.Errorf("the command's arguments were %q (%v), want %q", got, err, x.args)
			}
			stdin, err := os.ReadFile(filepath.Join(dir, "stdin"))
			if err != nil {
				t.Fatal(err)
			}
			c, err := Parse("auto", "pre-edit", stdin)
			if err != nil || c.Client != "opencode" || c.Session != "s" || c.Dir == "" || !slices.Equal(c.Paths, x.paths) {
				t.Errorf("%s is read as %+v, %v; want the paths %q", stdin, c, err, x.paths)
			}
			if strings.Contains(string(stdin), "content") {
				t.Errorf("contents were sent: %s", stdin)
			}
		})
	}
}
