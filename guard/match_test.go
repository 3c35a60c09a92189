package guard_test

import (
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	tests := []struct {
		pattern    string
		covers     []string
		coversNot  []string
		ignoreCase bool
	}{
		{pattern: "src/**", covers: []string{"src/a.go", "src/a/b.go"}, coversNot: []string{"src", "xsrc/a.go"}},
		{pattern: "src", covers: []string{"src", "src/a.go", "src/a/b.go"}, coversNot: []string{"lib/src/a.go", "srcs", "sr"}},
		{pattern: "src/", covers: []string{"src/a.go", "src/a/b"}, coversNot: []string{"src"}},
		{pattern: "/src", covers: []string{"src/a.go"}},
		{pattern: "./src", covers: []string{"src/a.go"}},
		{pattern: "src/.", covers: []string{"src/a.go"}, coversNot: []string{"src"}},
		{pattern: "README.md", covers: []string{"README.md"}, coversNot: []string{"docs/README.md"}},
		{pattern: "*.go", covers: []string{"main.go"}, coversNot: []string{"cmd/main.go"}},
		{pattern: "src/*", covers: []string{"src/a.go"}, coversNot: []string{"src/a/b.go", "src"}},
		{pattern: "src/*/", covers: []string{"src/a/b.go", "src/a/b/c"}, coversNot: []string{"src/a"}},
		{pattern: "**/*.go", covers: []string{"main.go", "a/b/main.go"}},
		{pattern: "a/**/b", covers: []string{"a/b", "a/x/y/b", "a/x/b/z"}, coversNot: []string{"a/xb", "a", "a/x"}},
		{pattern: "a/**/**/b", covers: []string{"a/b", "a/x/y/b"}, coversNot: []string{"a/xb"}},
		{pattern: "**", covers: []string{"x", "x/y/z"}},
		{pattern: ".", covers: []string{"x", "x/y/z"}},
		{pattern: "./", covers: []string{"x", "x/y/z"}},
		{pattern: "**/", covers: []string{"a/b", "a/b/c"}, coversNot: []string{"a"}},
		{pattern: "a/**/", covers: []string{"a/b/c"}, coversNot: []string{"a/b", "a"}},
		{pattern: "***/a", covers: []string{"x/y/a", "a"}},
		{pattern: "**/src", covers: []string{"src/a.go", "lib/src/a.go", "src"}, coversNot: []string{"lib/a.go"}},
		{pattern: "packages/*/src", covers: []string{"packages/a/src/x.ts"}, coversNot: []string{"packages/src/x.ts"}},
		{pattern: "a**b", covers: []string{"axxb", "ab"}, coversNot: []string{"a/x/b"}},
		{pattern: "src/**.go", covers: []string{"src/a.go"}, coversNot: []string{"src/a/b.go"}},
		{pattern: "src/{a,b}.go", covers: []string{"src/b.go"}, coversNot: []string{"src/c.go", "src/{a,b}.go"}},
		{pattern: "{a/**,b}/c", covers: []string{"a/c", "a/x/c", "b/c"}, coversNot: []string{"c"}},
		{pattern: "{src,docs}", covers: []string{"docs/x", "src"}},
		{pattern: "{,a}b", covers: []string{"b", "ab"}},
		{pattern: "{,a/}b", covers: []string{"b", "a/b"}},
		{pattern: "a/{.,b}/c", covers: []string{"a/c", "a/b/c"}},
		{pattern: "*{,*}", covers: []string{"a", "a/b"}},
		{pattern: "{only}/x", covers: []string{"{only}/x"}, coversNot: []string{"only/x"}},
		{pattern: "{a{b,c}d}", covers: []string{"{abd}", "{acd}"}, coversNot: []string{"abd"}},
		{pattern: "{}", covers: []string{"{}"}},
		{pattern: "[!a]bc", covers: []string{"xbc", "[!a]bc"}, coversNot: []string{"/bc", "abc", "bc"}},
		{pattern: "[^a]bc", covers: []string{"xbc"}, coversNot: []string{"/bc", "abc"}},
		{pattern: "a[!x]b", covers: []string{"ayb"}, coversNot: []string{"a/b"}},
		{pattern: "a?b", covers: []string{"a.b"}, coversNot: []string{"a/b"}},
		{pattern: "a[+-0]b", covers: []string{"a.b"}, coversNot: []string{"a/b"}},
		{pattern: "[a-zA-Z]x", covers: []string{"Qx"}, coversNot: []string{"2x"}},
		{pattern: "[a-c0-3]x", covers: []string{"2x"}, coversNot: []string{"4x"}},
		{pattern: "[]a]x", covers: []string{"]x", "ax"}},
		{pattern: "[[:digit:]]x", covers: []string{"7x", "[[:digit:]]x"}, coversNot: []string{":x", "dx"}},
		{pattern: "[![:digit:]a]x", covers: []string{"bx"}, coversNot: []string{"7x", "ax"}},
		{pattern: "[[:x]y", covers: []string{"[y", ":y", "xy"}},
		{pattern: "[--0]x", covers: []string{"-x", "0x"}, coversNot: []string{"1x"}},
		{pattern: `[\]\\]x`, covers: []string{"]x", `\x`}},
		{pattern: "[\ufffd]x", covers: []string{"\ufffdx"}, coversNot: []string{"\xffx"}},
		{pattern: "file?.txt", covers: []string{"fileé.txt", "file\xff.txt"}, coversNot: []string{"file.txt", "file\xff\xff.txt"}},
		{pattern: "[!é]", covers: []string{"\xc3", "a"}, coversNot: []string{"é"}},
		{pattern: "*é", covers: []string{"\xffé"}, coversNot: []string{"\xc3", "\xa9"}},
		{pattern: `\*.go`, covers: []string{"*.go"}, coversNot: []string{"a.go"}},
		{pattern: "[id].tsx", covers: []string{"[id].tsx", "i.tsx"}},
		{pattern: `\[id\].tsx`, covers: []string{"[id].tsx"}, coversNot: []string{"i.tsx"}},
		{pattern: "[*].c", covers: []string{"*.c", "[*].c"}, coversNot: []string{"[a].c", "a.c"}},
		{pattern: "[id]", covers: []string{"i", "[id]", "[id]/x"}, coversNot: []string{"i/x"}},
		{pattern: "app/[...path]/**", covers: []string{"app/[...path]/x"}},
		{pattern: "app/[[...slug]]/**", covers: []string{"app/[[...slug]]/x"}},
		{pattern: "app/(auth)/login.tsx", covers: []string{"app/(auth)/login.tsx"}},
		{pattern: "routes/$id.tsx", covers: []string{"routes/$id.tsx"}},
		{pattern: "*", covers: []string{".hidden"}},
		{pattern: "*/x", covers: []string{".git2/x"}},
		{pattern: "SRC/a.go", covers: []string{"SRC/a.go"}, coversNot: []string{"src/a.go"}},
		{pattern: "SRC/a.go", covers: []string{"src/A.GO"}, ignoreCase: true},
		{pattern: "straße/ΣΑΣ", covers: []string{"STRAẞE/σας", "straße/ΣΑΣ"}, coversNot: []string{"strasse/σας"}, ignoreCase: true},
		{pattern: "[a-c]*.[!X]", covers: []string{"BK.y"}, coversNot: []string{"BK.x", "dK.y"}, ignoreCase: true},
		{pattern: "[É-Ö]\u212a", covers: []string{"ék", "ÎK"}, coversNot: []string{"Ûk"}, ignoreCase: true},
		{pattern: "a\xc3\xa9", covers: []string{"A\xc3\x89"}, coversNot: []string{"A\xc3"}, ignoreCase: true},
		{pattern: "a//b", covers: []string{"a/b"}},
		{pattern: "#x", covers: []string{"#x"}},
		{pattern: "a b/*.go", covers: []string{"a b/c.go"}},
		{pattern: "tool://x", coversNot: []string{"tool://x", "tool:/x"}},
		{pattern: "tool:/x", covers: []string{"tool:/x"}},
	}
	for _, tt := range tests {
		p := mustCompile(t, tt.pattern)
		if tt.ignoreCase {
			p = p.Fold()
		}
		for _, path := range tt.covers {
			if !p.Match(path) {
				t.Errorf("%q (ignore case %v) does not cover %q", tt.pattern, tt.ignoreCase, path)
			}
		}
		for _, path := range append(tt.coversNot, "") {
			if p.Match(path) {
				t.Errorf("%q (ignore case %v) covers %q", tt.pattern, tt.ignoreCase, path)
			}
		}
		if again := mustCompile(t, p.String()); again.String() != p.String() {
			t.Errorf("the canonical form of %q is not stable: %q, %q", tt.pattern, p, again)
		}
	}
}

func TestAsFile(t *testing.T) {
	tests := []struct {
		pattern, path string
		want          bool
	}{
		{"src/a", "src/a", true},
		{"src/a", "src/a/b", false},
		{"src/", "src/a", true},
		{"src/**", "src/a/b", true},
		{"**/src", "x/src", true},
		{"**/src", "x/src/y", false},
		{"{a,*.go}", "a/b", false},
	}
	for _, tt := range tests {
		if got := mustCompile(t, tt.pattern).AsFile().Match(tt.path); got != tt.want {
			t.Errorf("Compile(%q).AsFile().Match(%q) = %v, want %v", tt.pattern, tt.path, got, tt.want)
		}
	}
}

func TestDirFile(t *testing.T) {
	tests := []struct {
		pattern, path string
		fold, want    bool
	}{
		{pattern: "vendor/lib/**", path: "vendor/lib", want: true},
		{pattern: "vendor/lib/**", path: "vendor", want: true},
		{pattern: "vendor/lib/**", path: "vendor/li"},
		{pattern: "vendor/lib/**", path: "vendor/lib/x"},
		{pattern: "vendor/lib/**", path: "Vendor/LIB"},
		{pattern: "vendor/lib/**", path: "Vendor/LIB", fold: true, want: true},
		{pattern: "vendor/lib/", path: "vendor/lib", want: true},
		{pattern: "vendor/lib/*", path: "vendor/lib", want: true},
		{pattern: "vendor/lib", path: "vendor/lib"}, // matches instead
		{pattern: "vendor/lib", path: "vendor", want: true},
		{pattern: "**/*.go", path: "cmd"},
		{pattern: "vendor/**/x", path: "vendor", want: true},
		{pattern: "{a,b/c}/**", path: "b", want: true},
		{pattern: "app/[id]/x", path: "app/[id]", want: true}, // the brackets as text
		{pattern: "app/[id]/x", path: "app/i"},
		{pattern: "vendor/lib/**", path: ""},
		{pattern: "tool://a/b", path: "tool:"},
	}
	for _, tt := range tests {
		p := mustCompile(t, tt.pattern)
		if tt.fold {
			p = p.Fold()
		}
		if got := p.DirFile(tt.path); got != tt.want {
			t.Errorf("Compile(%q).DirFile(%q) = %v, want %v (fold %v)", tt.pattern, tt.path, got, tt.want, tt.fold)
		}
	}
}

func TestCanonical(t *testing.T) {
	tests := []struct{ pattern, want string }{
		{"/", "**"}, {".", "**"}, {"./", "**"}, {"/.", "**"}, {"//.//", "**"}, {"**", "**"},
		{"/src", "src"}, {"./src", "src"}, {"././/src//a/./b", "src/a/b"},
		{"src/", "src/"}, {"src//", "src/"}, {"src/.", "src/"}, {"src/./.", "src/"},
		{"{a,b}//c", "{a,b}/c"}, {"[a].b", "[a].b"}, {`\[a\]`, `\[a\]`},
		{".github", ".github"}, {".a/.b", ".a/.b"},
		{"tool://a//b", "tool://a//b"},
	}
	for _, tt := range tests {
		if got := mustCompile(t, tt.pattern).String(); got != tt.want {
			t.Errorf("Compile(%q).String() = %q, want %q", tt.pattern, got, tt.want)
		}
	}
}

func TestLiteral(t *testing.T) {
	tests := []struct {
		pattern, literal string
		isLiteral, end   bool
	}{
		{"src/a.go", "src/a.go", true, true},
		{`app/\[id\]/x`, "app/[id]/x", true, true},
		{"/src", "src", true, true},
		{"src/", "", false, false},
		{"packages/*/src", "", false, true},
		{"{a,*.go}", "", false, true},
		{"app/[id]", "", false, true}, // as text it ends in a literal
		{"src/*", "", false, false},
		{"tool://x", "", false, false},
	}
	for _, tt := range tests {
		p := mustCompile(t, tt.pattern)
		if got, ok := p.Literal(); got != tt.literal || ok != tt.isLiteral {
			t.Errorf("Compile(%q).Literal() = %q, %v, want %q, %v", tt.pattern, got, ok, tt.literal, tt.isLiteral)
		}
		if got := p.LiteralEnd(); got != tt.end {
			t.Errorf("Compile(%q).LiteralEnd() = %v, want %v", tt.pattern, got, tt.end)
		}
	}
}

func TestFirstSegments(t *testing.T) {
	tests := []struct {
		pattern, want string
		ok            bool
	}{
		{"src/**", "src", true},
		{"{src,docs/*}/x", "src docs", true},
		{"**/x", "", false},
		{"{src,*}", "", false},
		{"tool://x", "", false},
	}
	for _, tt := range tests {
		got, ok := mustCompile(t, tt.pattern).FirstSegments()
		if strings.Join(got, " ") != tt.want || ok != tt.ok {
			t.Errorf("Compile(%q).FirstSegments() = %q, %v, want %q, %v", tt.pattern, got, ok, tt.want, tt.ok)
		}
	}
}
