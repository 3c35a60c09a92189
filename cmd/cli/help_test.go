package cli

import (
	"io"
	"strings"
	"testing"
	"unicode"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func testRoot() *cobra.Command { return newRoot(newApp(nil, IO{Out: io.Discard, Err: io.Discard})) }

// TestVerbs is the list of the contract: what is built, and what is not yet.
func TestVerbs(t *testing.T) {
	root := testRoot()
	for _, verb := range strings.Fields(`init uninstall register agents whois send reply inbox outbox show thread read ack
		reserve renew release force-release reservations check guard hooks contact status log watch wait search reindex verify doctor
		demo version completion summarize setup mcp serve deregister window purge truncate slot product sync`) {
		if cmd, _, err := root.Find([]string{verb}); err != nil || cmd == root || !cmd.IsAvailableCommand() {
			t.Errorf("no verb %q", verb)
		}
	}
	for _, verb := range strings.Fields("export import") {
		if cmd, _, err := root.Find([]string{verb}); err == nil && cmd != root {
			t.Errorf("the verb %q is not built, but there", verb)
		}
	}
	for _, verb := range []string{"hook", "man"} {
		if cmd, _, err := root.Find([]string{verb}); err != nil || !cmd.Hidden {
			t.Errorf("the verb %q is not there, or not hidden", verb)
		}
	}
}

func TestHelpTexts(t *testing.T) {
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		name := cmd.CommandPath()
		text := helpText(cmd)
		checkText(t, name, text)
		if r := []rune(cmd.Short)[0]; unicode.IsUpper(r) || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: short help is no lower-case phrase: %q", name, cmd.Short)
		}
		if cmd.Example == "" && !cmd.Hidden && !cmd.HasSubCommands() {
			t.Errorf("%s: no example", name)
		}
		for line := range strings.Lines(cmd.Example) {
			if !strings.HasPrefix(line, "  ") || !strings.Contains(line, "git") {
				t.Errorf("%s: example %q is not an indented command", name, line)
			}
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" || unicode.IsUpper(rune(f.Usage[0])) || strings.HasSuffix(f.Usage, ".") {
				t.Errorf("%s --%s: help is no lower-case phrase: %q", name, f.Name, f.Usage)
			}
		})
		for _, c := range cmd.Commands() {
			visit(c)
		}
	}
	visit(testRoot())
	for _, topic := range topics() {
		checkText(t, topic.name, topic.text())
	}
}

func checkText(t *testing.T, name, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if n := len(strings.TrimRight(line, "\n")); n > 110 {
			t.Errorf("%s: line of %d characters: %q", name, n, line)
		}
	}
	for _, r := range text {
		if r != '\n' && (r < ' ' || r > '~') {
			t.Errorf("%s: %q is not ASCII", name, r)
		}
	}
}

func TestEveryCodeHasAMeaning(t *testing.T) {
	text := exitCodes()
	for code, exit := range mail.Codes() {
		if meaning(code) == "" {
			t.Errorf("code %q (exit %d) has no meaning", code, exit)
		}
		if !strings.Contains(text, string(code)) {
			t.Errorf("help exit-codes does not name %q", code)
		}
	}
}
