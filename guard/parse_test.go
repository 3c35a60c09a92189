package guard_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/git-agentmail/git-agentmail/guard"
	"github.com/git-agentmail/git-agentmail/mail"
)

func TestInvalid(t *testing.T) {
	braces := strings.Repeat("{a,b}", 6)
	tests := []struct {
		name, pattern string
		offset        int
		want          string // in the message
		hint          string // in a hint
	}{
		{"empty", "", 0, "empty pattern", `"/"`},
		{"windows separator", `a\b`, 1, `'\b' is not an escape`, `use "/"`},
		{"escaped slash", `a\/b`, 1, `'\/' is not an escape`, `use "/"`},
		{"escaped letter beyond ASCII", `a\é`, 1, `'\é' is not an escape`, `use "/"`},
		{"trailing backslash", `a\`, 1, "trailing backslash", `use "/"`},
		{"negation", "!src/a.go", 0, "negation", ""},
		{"negation behind a dot", "./!src", 0, "negation", ""},
		{"unclosed bracket", "[abc", 0, "unclosed '['", ""},
		{"unclosed bracket later", "a/[abc/d", 2, "unclosed '['", `\[`},
		{"unclosed negated bracket", "x[!]", 1, "unclosed '['", ""},
		{"unclosed bracket in braces", "{x,a[b}/y", 4, "unclosed '['", ""},
		{"unclosed bracket after braces", "x/{a,b}/[c", 8, "unclosed '['", ""},
		{"unclosed brace", "{a,b", 0, "unclosed '{'", `\{`},
		{"unclosed nested brace", "x{a,{b,c}", 1, "unclosed '{'", ""},
		{"closing brace", "a}b", 1, "unexpected '}'", `\}`},
		{"brace in a bracket", "[{]", 1, "unclosed '{'", ""},
		{"reversed range", "[b-a]", 0, "reversed range b-a", ""},
		{"slash in a bracket", "x[/]y", 1, "'/' inside [...]", ""},
		{"slash as the end of a range", "x[+-/]y", 1, "'/' inside [...]", ""},
		{"unknown class", "a[[:word:]]", 1, "unknown class [:word:]", ""},
		{"parent", "a/../b", 0, "'..' is not allowed", ""},
		{"parent in braces", "{a,..}/b", 0, "'..' is not allowed", ""},
		{"escaped parent", `a/\.\./b`, 0, "'..' is not allowed", ""},
		{"magic", ":/src", 0, "pathspec magic", ""},
		{"magic !", ":!src", 0, "pathspec magic", ""},
		{"magic ^", ":^src", 0, "pathspec magic", ""},
		{"drive", `c:\src`, 0, "absolute Windows path", ""},
		{"trailing space", "src ", 0, "white space", `"src"`},
		{"only space", " \t", 0, "white space", ""},
		{"space behind a slash", "/ src", 0, "white space", ""},
		{"nul", "a\x00b", 1, "NUL", ""},
		{"not UTF-8", "aé\xffb", 3, "UTF-8", ""},
		{"too long", strings.Repeat("a", guard.MaxBytes+1), 0, "longer than 1024 bytes", ""},
		{"too many segments", strings.Repeat("a/", 64) + "a", 0, "more than 64 segments", ""},
		{"too many alternatives", braces + "{a,b}", 0, "more than 64 alternatives", ""},
		{"too long when expanded", "{" + strings.Repeat("a,", 40) + "b}" + strings.Repeat("c", 200), 0, "more than 4096 bytes with its braces expanded", ""},
		{"far too many alternatives", strings.Repeat("{a,b}", 200), 0, "more than 64 alternatives", ""},
		{"empty alternative", "{,a}", 0, "empty", ""},
		{"whole repository in braces", "/{,a}", 0, "empty", ""},
		{"virtual without a name", "tool://", 0, "names nothing", ""},
		{"virtual with a space", "tool://x ", 0, "white space", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := guard.Compile(tt.pattern)
			var e *mail.Error
			if !errors.As(err, &e) {
				t.Fatalf("Compile(%q) = %q, %v, want an error", tt.pattern, p, err)
			}
			if e.Code != mail.Invalid || !strings.Contains(e.Message, tt.want) || e.Details["offset"] != tt.offset {
				t.Errorf("Compile(%q): %s %q at %v, want %q at %d", tt.pattern, e.Code, e.Message, e.Details["offset"], tt.want, tt.offset)
			}
			if hints := strings.Join(e.Hints, "\n"); !strings.Contains(hints, tt.hint) {
				t.Errorf("Compile(%q): hints %q, want %q among them", tt.pattern, hints, tt.hint)
			}
			if len(e.Message) > 200 {
				t.Errorf("Compile(%.20q...): the message has %d bytes", tt.pattern, len(e.Message))
			}
			if p.Match("a") || p.String() != "" {
				t.Errorf("Compile(%q) failed and gave a pattern that is not zero", tt.pattern)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	for _, s := range []string{
		strings.Repeat("a", guard.MaxBytes),
		strings.Repeat("a/", guard.MaxSegments-1) + "a",
		strings.Repeat("a/", guard.MaxSegments),
		strings.Repeat("{a,b}", 6),
		"{" + strings.Repeat("a,", 63) + "b}",
		strings.Repeat("{", 500) + strings.Repeat("}", 500),
	} {
		mustCompile(t, s)
	}
}

func TestZeroPattern(t *testing.T) {
	var zero guard.Pattern
	p := mustCompile(t, "**")
	if _, ok := zero.Overlap(p); ok || zero.Match("a") || zero.DirFile("a") || zero.LiteralEnd() || zero.Fold().Match("a") {
		t.Error("the zero pattern is not empty")
	}
	if r := guard.Clash(zero, guard.File, p, guard.Tree); r.Overlap {
		t.Errorf("Clash(zero, **) = %+v", r)
	}
	if x := guard.NewIndex([]guard.Pattern{zero}); x.Lookup("a") != nil {
		t.Error("an index of the zero pattern finds something")
	}
}

func TestWarnings(t *testing.T) {
	tests := []struct{ pattern, want string }{
		{"src/**", ""},
		{"README.md", ""},
		{"**/*.go", ""},
		{"src/*.go", ""},
		{"*.go", `did you mean "**/*.go"?`},
		{"*.{ts,tsx}", `did you mean "**/*.{ts,tsx}"?`},
		{"*", "very broad"}, {"**", "very broad"}, {"/", "very broad"}, {"**/*", "very broad"},
		{"src/**.go", `"**" inside`},
		{"tool://**", ""},
	}
	for _, tt := range tests {
		got := mustCompile(t, tt.pattern).Warnings()
		text := strings.Join(got, "\n")
		if tt.want == "" && text != "" || !strings.Contains(text, tt.want) || len(got) > 1 {
			t.Errorf("Compile(%q).Warnings() = %q, want %q", tt.pattern, got, tt.want)
		}
	}
}
