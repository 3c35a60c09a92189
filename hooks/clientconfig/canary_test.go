package clientconfig

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/git-agentmail/git-agentmail/hooks/agenthook"
)

// TestCanary: the canaries are what the hook takes for a payload of that client, and its
// refusal is what the client takes for one. Nothing else is.
func TestCanary(t *testing.T) {
	for _, name := range Clients() {
		c, err := agenthook.Parse("auto", "pre-edit", Canary(name, "/w", "a.txt"))
		if err != nil || c.Client != name || c.Kind != agenthook.PreEdit || !slices.Equal(c.Paths, []string{"a.txt"}) || c.Dir != "/w" {
			t.Errorf("%s: read as %+v, %v", name, c, err)
		}
		for what, a := range map[string]agenthook.Answer{"refusal": c.Deny("reserved"), "permission": c.Allow(), "failure": {Exit: 1}, "absence": {Exit: 127}} {
			if got := Denied(name, a.Stdout, a.Exit); got != (what == "refusal") {
				t.Errorf("%s: its %s %+v is taken for a refusal: %v", name, what, a, got)
			}
		}
	}
}

func TestRead(t *testing.T) {
	for _, name := range Clients() {
		for _, command := range []string{"git-agentmail", "/opt/a b/git-agentmail"} {
			o := place(t)
			o.Command = command
			if c := Read(o, name); c.Server != nil || c.Hook != "" {
				t.Errorf("%s: set up by nobody: %+v", name, c)
			}
			setUp(t, o, name)
			if name == "cline" || name == "windsurf" {
				o = o.user()
				setUp(t, o, name)
			}
			c := Read(o, name)
			if !slices.Equal(c.Server, []string{command, "mcp"}) || c.Hook == "" || !exists(c.File) || !exists(c.By) {
				t.Errorf("%s: %+v", name, c)
			}
		}
	}
	// Copilot CLI and VS Code run Claude Code's.
	o := place(t)
	setUp(t, o, "claude", "copilot", "vscode")
	for _, name := range []string{"copilot", "vscode"} {
		if c := Read(o, name); c.By != filepath.Join(o.Root, ".claude", "settings.json") {
			t.Errorf("%s: %+v", name, c)
		}
	}
	if _, err := os.Stat(filepath.Join(o.Root, ".github")); err == nil {
		t.Error("they have hooks of their own")
	}
}
