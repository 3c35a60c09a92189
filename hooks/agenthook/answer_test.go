package agenthook

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestClean(t *testing.T) {
	for _, x := range []struct{ name, in, want string }{
		{"plain", "a\nb", "a\nb"},
		{"blank", " \n\t ", ""},
		{"controls", "a\x1b[31mb\x00c\u0085d\x7f", "a[31mbcd"},
		{"line ends", "a\r\nb\tc", "a\nb c"},
		{"directions", "a\u202eb\u2066c\u2069", "abc"},
		{"not UTF-8", "a\xffb", "a\ufffdb"},
		{"quotes stay", `"\</script>&`, `"\</script>&`},
		{"longest", strings.Repeat("x", maxText), strings.Repeat("x", maxText)},
		{"too long", strings.Repeat("x", maxText+1), strings.Repeat("x", maxText-3) + "..."},
		{"not within a letter", strings.Repeat("é", maxText), strings.Repeat("é", (maxText-3)/2) + "..."},
	} {
		if got := clean(x.in); got != x.want {
			t.Errorf("%s: clean(%.40q) is %.40q..., want %.40q...", x.name, x.in, got, x.want)
		}
	}
}

// TestAnswers goes through every client and moment with awkward texts.
func TestAnswers(t *testing.T) {
	for _, client := range append(Clients(), "") {
		for _, kind := range []Kind{PreEdit, SessionStart, Prompt, PostTool, Other} {
			for _, nested := range []bool{false, true} {
				c := Call{Client: client, Kind: kind, nested: nested}
				for _, text := range []string{"", " ", "x", "\x00", "\"\\\n\u2028</x>", strings.Repeat("é", maxText)} {
					where := fmt.Sprintf("client %q, kind %s, text %.10q", client, kind, text)
					checkAnswer(t, where+", Allow", c, c.Allow())
					checkAnswer(t, where+", Inject", c, c.Inject(text))
					deny := c.Deny(text)
					checkAnswer(t, where+", Deny", c, deny)
					if kind == PreEdit && len(deny.Stdout)+len(deny.Stderr) < 2 {
						t.Errorf("%s: Deny says only %q, %q", where, deny.Stdout, deny.Stderr)
					}
				}
			}
		}
	}
}

// checkAnswer reports an answer that its client could not take.
func checkAnswer(t *testing.T, where string, c Call, a Answer) {
	t.Helper()
	if c.Client == "windsurf" {
		denied := a.Exit == 2 && len(a.Stderr) > 1
		if len(a.Stdout) > 0 || !denied && (a.Exit != 0 || len(a.Stderr) > 0) {
			t.Errorf("%s: %+v", where, a)
		}
		return
	}
	if a.Exit != 0 || len(a.Stderr) > 0 {
		t.Errorf("%s: exit %d, %q on stderr", where, a.Exit, a.Stderr)
	}
	if len(a.Stdout) == 0 {
		return
	}
	var v map[string]any
	if err := json.Unmarshal(a.Stdout, &v); err != nil {
		t.Errorf("%s: %v in %q", where, err, a.Stdout)
	}
	if strings.Count(string(a.Stdout), "\n") != 1 || !strings.HasSuffix(string(a.Stdout), "\n") {
		t.Errorf("%s: not one line: %q", where, a.Stdout)
	}
	if !utf8.Valid(a.Stdout) || strings.ContainsFunc(strings.TrimSpace(string(a.Stdout)), unicode.IsControl) {
		t.Errorf("%s: control characters or no UTF-8: %q", where, a.Stdout)
	}
	// "allow" would skip the question to the user; Copilot consumes lines of
	// the type "progress".
	for _, forbidden := range []string{`"allow"`, `"approve"`, `"type"`} {
		if strings.Contains(string(a.Stdout), forbidden) {
			t.Errorf("%s: says %s: %s", where, forbidden, a.Stdout)
		}
	}
}
