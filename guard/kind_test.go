package guard_test

import (
	"testing"

	"github.com/git-agentmail/git-agentmail/guard"
)

func TestClash(t *testing.T) {
	const none, implied, conflict = "none", "implied", "conflict"
	const file, tree, unknown = guard.File, guard.Tree, guard.Unknown
	tests := []struct {
		a       string
		ak      guard.Kind
		b       string
		bk      guard.Kind
		want    string
		witness string
	}{
		{"main.go", unknown, "**/*_test.go", "", implied, "main.go/_test.go"},
		{"main.go", file, "**/*_test.go", "", none, ""},
		{"main.go", tree, "**/*_test.go", "", conflict, "main.go/_test.go"},
		{"main.go", unknown, "*/main.go", unknown, implied, "main.go/main.go"},
		{"src/api", unknown, "src/api/v1/**", "", conflict, "src/api/v1/x"},
		{"src/api", tree, "src/api/v1/**", "", conflict, "src/api/v1/x"},
		{"src/api", file, "src/api/v1/**", "", conflict, "src/api"}, // §3.3 would stop the holder's own commit
		{"docs", unknown, "docs/**", "", conflict, "docs/x"},
		{"docs", file, "docs/**", "", conflict, "docs"},
		{"docs", tree, "docs/**", "", conflict, "docs/x"},
		{"docs", unknown, "docs/guide.md", unknown, conflict, "docs/guide.md"},
		{"docs", file, "docs/guide.md", file, conflict, "docs"},
		{"packages/*/src", unknown, "packages/web/src/x.ts", file, conflict, "packages/web/src/x.ts"},
		{"packages/*/src", unknown, "**/x.ts", file, implied, "packages/x/src/x.ts"},
		{"src", tree, "src/x", unknown, conflict, "src/x"},
		{"src", "", "*/x", unknown, implied, "src/x"},
		{"src/api", unknown, "src/api", unknown, conflict, "src/api"},
		{"src/api", file, "src/ap*", "", conflict, "src/api"},
		{"src/api", unknown, "src/*", "", conflict, "src/api"},
		{"src/*", "", "src/a/b.go", file, none, ""},
		{"a", unknown, "b", unknown, none, ""},
		{"src/*.go", "", "src/*.rs", "", none, ""},
		{"tool://x", unknown, "tool://x", unknown, conflict, "tool://x"},
		{"tool://x", unknown, "tool://x/y", unknown, none, ""},
		{"tool://x", unknown, "**", "", none, ""},
	}
	for _, tt := range tests {
		a, b := mustCompile(t, tt.a), mustCompile(t, tt.b)
		for _, r := range []guard.ClashResult{guard.Clash(a, tt.ak, b, tt.bk), guard.Clash(b, tt.bk, a, tt.ak)} {
			got := none
			switch {
			case r.Conflict():
				got = conflict
			case r.Implied:
				got = implied
			}
			if got != tt.want || r.Witness != tt.witness || r.Overlap != (got != none) {
				t.Errorf("Clash(%q %s, %q %s) = %s %+v, want %s %q", tt.a, tt.ak, tt.b, tt.bk, got, r, tt.want, tt.witness)
			}
		}
	}
	if r := guard.Clash(mustCompile(t, "Docs").Fold(), unknown, mustCompile(t, "docs/A"), unknown); !r.Conflict() {
		t.Errorf("Clash of Docs and docs/A without case = %+v, want a conflict", r)
	}
}

func TestOverlapTable(t *testing.T) {
	tests := []struct{ a, b, witness string }{
		{"src/api", "src/**/*.go", "src/api/.go"},
		{"packages/web", "packages/*/src/**", "packages/web/src/x"},
		{"src", "*/main.go", "src/main.go"},
		{"app/[id]/page.tsx", "app/[id]/page.tsx", "app/d/page.tsx"},
		{"app/[id]/**", "app/[id]/page.tsx", "app/d/page.tsx"},
		{`app/\[id\]/**`, "app/[id]/page.tsx", "app/[id]/page.tsx"},
		{"src/*.go", "src/a*", "src/a.go"},
		{"**/*.ts", "packages/**", "packages/.ts"},
		{"**/test/**", "src/**", "src/test/x"},
		{"*.{ts,tsx}", "*.{js,jsx}", ""},
		{"[ab]c", "[cd]c", ""},
		{"src/[ab]*.rs", "src/[cd]*.rs", ""},
		{"src/*", "src/a/b.go", ""},
		{"*.go", "cmd/main.go", ""},
		{"README.md", "docs/README.md", ""},
		// "." and ".." are no names.
		{"?", "[.]", ""},
		{".?", "?.", ""},
		{".*", "*.", ".x."}, {"..*", "*.", "..."},
		{".*", ".*", ".x"},
		{"*", "*", "x"},
		{"[.]", "[.]", "[.]"}, // the brackets as text
		{"[.]/a", "*/a", "[.]/a"},
		{"a/**/b", "a/[.]/b", "a/[.]/b"},
		// Only a byte that is not UTF-8 is left.
		{"[!\x01-\U0010ffff]", "?", "\xff"},
		{"tool://x", "tool://x", "tool://x"},
		{"tool://x", "service://x", ""},
		{"tool://*", "tool://x", ""},
		{"tool:/x", "tool://x", ""},
	}
	for _, tt := range tests {
		w, ok := mustCompile(t, tt.a).Overlap(mustCompile(t, tt.b))
		if w != tt.witness || ok != (tt.witness != "") {
			t.Errorf("Overlap(%q, %q) = %q, %v, want %q", tt.a, tt.b, w, ok, tt.witness)
		}
	}
}

func TestOverlapFolded(t *testing.T) {
	tests := []struct{ a, b, witness string }{
		{"SRC/A.go", "src/a.GO", "src/a.go"},
		{"[!A]x", "[!b]X", "xx"},
		{"[!A]x", "aX", ""},
		{"[A-C]", "[c-e]", "c"},
		{"[!-~]*é", "[\u212a]*É", "kÉ"},
		{"[[:upper:]]", "[a]", "a"},
		{"[^x[:alnum:]]", "?", "!"},
		{"[!\x01-ß]", "?", "÷"}, // not "à", which is "À" folded
	}
	for _, tt := range tests {
		a, b := mustCompile(t, tt.a), mustCompile(t, tt.b)
		w, ok := a.Fold().Overlap(b) // one side is enough
		if w != tt.witness || ok != (tt.witness != "") {
			t.Errorf("Overlap(%q, %q) folded = %q, %v, want %q", tt.a, tt.b, w, ok, tt.witness)
		}
		if ok && (!a.Fold().Match(w) || !b.Fold().Match(w)) {
			t.Errorf("Overlap(%q, %q) folded: %q is not matched by both", tt.a, tt.b, w)
		}
	}
}

func TestKindIn(t *testing.T) {
	tracked := []string{"README.md", "docs/guide.md", "src/a/x.go", "src/b"}
	tests := []struct {
		pattern string
		want    guard.Kind
	}{
		{"README.md", guard.File},
		{"docs", guard.Tree},
		{"docs/guide.md", guard.File},
		{"docs/new.md", guard.Unknown},
		{"src/*/x.go", guard.File},
		{"**/a", guard.Tree},
		{"{docs,README.md}", guard.Tree},
		{"docs/**", guard.Unknown},
		{"tool://docs", guard.Unknown},
	}
	for _, tt := range tests {
		if got := mustCompile(t, tt.pattern).KindIn(tracked); got != tt.want {
			t.Errorf("Compile(%q).KindIn = %s, want %s", tt.pattern, got, tt.want)
		}
	}
}
