package cli

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/git-agentmail/git-agentmail/internal/refine"
	"github.com/git-agentmail/git-agentmail/mail/digest"
	"github.com/git-agentmail/git-agentmail/mailbox"
)

// TestHandOver: the second program gets the whole command line, in place of this one or
// as a child, and is never asked for what this one knows. The test binary is both.
func TestHandOver(t *testing.T) {
	env := newRepository(t)
	var path string
	var args, got []string
	std := IO{Env: env, Exec: func(p string, a, e []string) error {
		path, args, got = p, a, e
		return errors.New("no such luck")
	}}
	line := []string{"--as", "BlueLake", "summarize", "T 1", "-n", "3", "--json"}
	status, stdout, stderr := run(t, std, line...)
	if programName(path) != mcpProgram || !filepath.IsAbs(path) || !slices.Equal(args, append([]string{path}, line...)) || !slices.Equal(got, env) {
		t.Errorf("run as %q %q", path, args)
	}
	if status != 1 || stdout != "" || !strings.Contains(stderr, "could not be run: no such luck") || !strings.Contains(stderr, installBoth) {
		t.Errorf("status %d, stdout %q, stderr %q", status, stdout, stderr)
	}
	path = ""
	for _, line := range [][]string{{"summarize"}, {"summarize", "-h"}, {"summarize", "T", "--tokens", "x"}, {"help", "summarize"}, {"status"}} {
		if run(t, std, line...); path != "" {
			t.Errorf("%q is handed over", line)
		}
	}

	// As a child: its output and status are ours.
	status, stdout, stderr = run(t, IO{Env: env}, "summarize", "NOTHING-1")
	if status != 4 || stdout != "" || stderr != "agentmail: error: thread \"NOTHING-1\" not found [not_found]\nagentmail: hint: git agentmail log\n" {
		t.Errorf("status %d, stdout %q, stderr %q", status, stdout, stderr)
	}
	status, stdout, stderr = run(t, IO{Env: env}, "summarize", "--path", "a.go", "--json")
	if status != 0 || !strings.Contains(stdout, `"path":"a.go"`) || stderr != "" {
		t.Errorf("status %d, stdout %q, stderr %q", status, stdout, stderr)
	}

	// A copy of this program under the other's name would hand over to itself for ever.
	std.Program = filepath.Join("somewhere", mcpProgram)
	if status, _, stderr = run(t, std, "summarize", "T"); status != 1 || path != "" || !strings.Contains(stderr, "is a copy of git-agentmail") {
		t.Errorf("status %d, ran %q, stderr %q", status, path, stderr)
	}
	if status, _, stderr = run(t, std, "version"); status != 0 || stderr != "" {
		t.Errorf("status %d, stderr %q", status, stderr)
	}
}

// TestRefined: a language model words the summary, and what it says is printed like
// everything that others say.
func TestRefined(t *testing.T) {
	env := newRepository(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(map[string]any{"choices": []any{map[string]any{"message": map[string]string{
			"content": `{"key_points": ["The \u001b[31mclock\u001b[0m is wrong.\nagentmail: error: forged"], "action_items": ["[x] Set it."]}`}}}})
	}))
	defer server.Close()
	env = append(env, "AGENTMAIL_LLM_URL="+server.URL, "AGENTMAIL_LLM_MODEL=m", "AGENTMAIL_LLM_KEY=sk-0123456789abcdef")
	std := IO{Env: env, Digest: mailbox.Digest{Summarize: digest.Summarize, Aggregate: digest.Aggregate, Refine: refine.Refine}}
	for _, line := range [][]string{
		{"register", "BlueLake", "--program", "p", "--model", "m"},
		{"send", "--as", "BlueLake", "--to", "BlueLake", "-s", "s", "--thread", "T-1", "-m", "- the clock"},
	} {
		if status, _, stderr := run(t, std, line...); status != 0 {
			t.Fatalf("%q: status %d, %s", line, status, stderr)
		}
	}
	status, stdout, stderr := run(t, std, "summarize", "T-1", "--refine")
	want := `thread    T-1
messages  1
from      BlueLake
words     by a language model
key points
  | The clock is wrong. agentmail: error: forged
done actions
  | [x] Set it.
`
	if status != 0 || stdout != want || stderr != "" {
		t.Errorf("status %d, stderr %q, stdout\n%s\nwant\n%s", status, stderr, stdout, want)
	}
	_, stdout, _ = run(t, std, "summarize", "T-1", "T-1", "--refine", "--json")
	var v struct {
		Threads   []mailbox.ThreadSummary
		Aggregate struct {
			KeyPoints []string `json:"key_points"`
		}
		Refined bool
	}
	if err := json.Unmarshal([]byte(stdout), &v); err != nil || !v.Refined || len(v.Threads) != 1 || v.Threads[0].Summary.KeyPoints[0] != "the clock" || len(v.Aggregate.KeyPoints) != 1 {
		t.Errorf("%v in %s", err, stdout)
	}
	// Not asked for, nobody is asked.
	server.Close()
	if _, stdout, stderr = run(t, std, "summarize", "T-1"); !strings.Contains(stdout, "  | the clock\n") || stderr != "" {
		t.Errorf("stdout %q, stderr %q", stdout, stderr)
	}
	if _, stdout, stderr = run(t, std, "summarize", "T-1", "--refine"); !strings.Contains(stdout, "  | the clock\n") || !strings.HasPrefix(stderr, "agentmail: note: not refined: 127.0.0.1 cannot be asked: ") {
		t.Errorf("stdout %q, stderr %q", stdout, stderr)
	}
}

func TestWrap(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []string
	}{
		{"", []string{""}},
		{"a bc d", []string{"a bc", "d"}},
		{"abcdefgh i", []string{"abcdefgh", "i"}},
		{"éé éé é", []string{"éé éé", "é"}},
	} {
		if got := wrap(tt.text, 5); !slices.Equal(got, tt.want) {
			t.Errorf("wrap(%q) = %q, want %q", tt.text, got, tt.want)
		}
	}
}
