package guard

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// TestTokensEqualGobwas: the two ways to match a name are the same.
func TestTokensEqualGobwas(t *testing.T) {
	piece := rapid.SampledFrom([]string{"a", "b", "é", "*", "*", "?", "[ab]", "[!ab]", "[a-c]", "[^a-é]", "[ad]", `\*`, `\[`, `\\`, "-", "!", "{x}", "]", "日"})
	char := rapid.SampledFrom([]string{"a", "b", "c", "d", "é", "\xff", "\xc3", "*", "[", `\`, "-", "!", "日", "\ufffd", "{", "]"})
	used := 0
	rapid.Check(t, func(t *rapid.T) {
		s := strings.Join(rapid.SliceOfN(piece, 1, 8).Draw(t, "pattern"), "")
		p, err := Compile(s)
		if err != nil {
			t.Skip("invalid")
		}
		g := p.c.alts[0].elems[0].glob
		if g == nil || g.g == nil {
			t.Skip("not for gobwas")
		}
		used++
		for range 20 {
			name := strings.Join(rapid.SliceOfN(char, 0, 8).Draw(t, "name"), "")
			if got, want := g.g.Match(name), matchTokens(g.toks, name); got != want {
				t.Fatalf("%q (for gobwas %q) on %q: %v by gobwas, %v by us", s, g.g, name, got, want)
			}
		}
	})
	if used == 0 {
		t.Error("no pattern came to gobwas")
	}
}

// TestGobwasSegments: what gobwas cannot say exactly never reaches it.
func TestGobwasSegments(t *testing.T) {
	tests := []struct {
		pattern string
		gobwas  string // empty: not used
	}{
		{"a*b*c", "a*b*c"},
		{"a?", "a?"},
		{"[a-c]x", "[a-c]x"},
		{"[^ad]x", "[!ad]x"},
		{`\[a?`, `\[a?`},
		{"a*", ""}, {"*a", ""}, {"a*b", ""}, {"*", ""}, // a prefix, a suffix, both, anything
		{"[a-c0-3]x", ""},
		{"[[:digit:][:alpha:]]x", ""},
		{"[]a]x", ""}, {"[a-]x", ""}, {`[\\]x`, ""}, {"[\ufffd]x", ""}, {"[!a-\U0010ffff]x", ""},
	}
	for _, tt := range tests {
		p, err := Compile(tt.pattern)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if g := p.c.alts[0].elems[0].glob; g != nil && g.g != nil {
			got = g.g.String()
		}
		if got != tt.gobwas {
			t.Errorf("%q is given to gobwas as %q, want %q", tt.pattern, got, tt.gobwas)
		}
		if f := p.Fold().c.alts[0].elems[0].glob; f != nil && f.g != nil {
			t.Errorf("%q folded is given to gobwas", tt.pattern)
		}
	}
}

func TestFoldRune(t *testing.T) {
	away := map[rune]rune{}
	for _, f := range foldPairs() {
		away[f.from] = f.to
	}
	for r := rune(0); r <= bad; r++ {
		f := foldRune(r)
		if foldRune(f) != f {
			t.Fatalf("foldRune(%U) = %U folds to %U", r, f, foldRune(f))
		}
		if next := unicode.SimpleFold(r); r <= unicode.MaxRune && foldRune(next) != f {
			t.Fatalf("%U and %U are one letter and fold to %U and %U", r, next, f, foldRune(next))
		}
		if to, ok := away[r]; ok != (f != r) || ok && to != f {
			t.Fatalf("foldPairs has %U for %U, which folds to %U", to, r, f)
		}
	}
}

func TestFoldSet(t *testing.T) {
	set := rapid.Map(rapid.SliceOfN(rapid.Custom(func(t *rapid.T) span {
		lo := rapid.Int32Range(1, 0x500).Draw(t, "lo")
		return span{lo, lo + rapid.Int32Range(0, 90).Draw(t, "width")}
	}), 1, 4), func(s []span) charset { return normalize(s) })
	rapid.Check(t, func(t *rapid.T) {
		s := set.Draw(t, "set")
		want := map[rune]bool{}
		for _, sp := range s {
			for r := sp.lo; r <= sp.hi; r++ {
				want[foldRune(r)] = true
			}
		}
		f := foldSet(s)
		for r := rune(0); r < 0x2200; r++ {
			if f.has(r) != want[r] {
				t.Fatalf("foldSet(%v) has %U: %v, want %v", s, r, f.has(r), want[r])
			}
		}
	})
}

func TestCharset(t *testing.T) {
	set := rapid.Map(rapid.SliceOfN(rapid.Custom(func(t *rapid.T) span {
		lo := rapid.Int32Range(1, 140).Draw(t, "lo")
		return span{lo, lo + rapid.Int32Range(0, 6).Draw(t, "width")}
	}), 0, 20), func(s []span) charset { return normalize(s) })
	rapid.Check(t, func(t *rapid.T) {
		s, u := set.Draw(t, "s"), set.Draw(t, "u")
		not := s.complement()
		common, noDot := 0, 0
		for r := rune(1); r < 160; r++ {
			if r != '/' && s.has(r) == not.has(r) {
				t.Fatalf("%v and its complement %v both have %U: %v", s, not, r, s.has(r))
			}
			if s.has(r) && u.has(r) {
				common++
				if r != '.' {
					noDot++
				}
			}
		}
		if s.meets(u) != (common > 0) {
			t.Fatalf("%v meets %v: %v, want %v", s, u, s.meets(u), common > 0)
		}
		for _, dot := range []bool{false, true} {
			want := common > 0 && !dot || noDot > 0
			if r, ok := pick(s, u, dot, false); ok != want || ok && (!s.has(r) || !u.has(r) || dot && r == '.') {
				t.Fatalf("pick(%v, %v, %v) = %U, %v, want %v", s, u, dot, r, ok, want)
			}
		}
		for _, sp := range not {
			if !utf8.ValidRune(sp.lo) && sp.lo != bad || !utf8.ValidRune(sp.hi) && sp.hi != bad {
				t.Fatalf("the complement of %v ends at a surrogate: %v", s, not)
			}
		}
	})
}

func TestCommonSegments(t *testing.T) {
	tests := []struct{ a, b, want string }{
		{"", "", ""}, {"a", "", ""}, {"a", "a", "a"}, {"a", "ab", ""}, {"a/b", "a", "a"},
		{"a/b", "a/c", "a"}, {"a/b/c", "a/b/d", "a/b"}, {"ab/c", "a/c", ""}, {"a/b", "a/b", "a/b"}, {"a/b", "a/bc", "a"},
	}
	for _, tt := range tests {
		if got := commonSegments(tt.a, tt.b); got != tt.want {
			t.Errorf("commonSegments(%q, %q) = %q, want %q", tt.a, tt.b, got, tt.want)
		}
	}
}
