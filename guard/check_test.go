package guard_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/git-agentmail/git-agentmail/guard"
	"github.com/git-agentmail/git-agentmail/mail"
)

// hold writes a hold as "pattern" or "pattern:kind".
func hold(s string) guard.Held {
	pattern, kind, _ := strings.Cut(s, " as ")
	return guard.Held{ID: "id of " + s, Pattern: pattern, Kind: guard.Kind(kind), Holder: "a1", HolderName: "BlueLake"}
}

func TestCheck(t *testing.T) {
	tests := []struct {
		name       string
		entries    []string // "-" before a deleted one
		held       []string
		ignoreCase bool
		want       []string // entry, "<" (or "|" for a file in the way), pattern
	}{
		{name: "nothing"},
		{name: "no holds", entries: []string{"a"}},
		{name: "no entries", held: []string{"**"}},
		{
			name:    "all the holds of each entry, in order",
			entries: []string{"src/b.go", "README.md", "src/a.go"},
			held:    []string{"src/**", "docs/**", "**/*.go", "src/a.go as file", "src as tree"},
			want: []string{
				"src/b.go < src/**", "src/b.go < **/*.go", "src/b.go < src as tree",
				"src/a.go < src/**", "src/a.go < **/*.go", "src/a.go < src/a.go as file", "src/a.go < src as tree",
			},
		},
		{
			name:    "kinds",
			entries: []string{"f/x", "t/x", "u/x", "f", "t", "u"},
			held:    []string{"f as file", "t as tree", "u as unknown"},
			want:    []string{"t/x < t as tree", "u/x < u as unknown", "f < f as file", "t < t as tree", "u < u as unknown"},
		},
		{
			name:    "a file in the way of a directory",
			entries: []string{"vendor/lib", "vendor", "-vendor/lib", "vendor/lib/x", "lib"},
			held:    []string{"vendor/lib/**", "**/lib/x", "vendor/*"},
			want: []string{
				"vendor/lib | vendor/lib/**", "vendor/lib < vendor/*",
				"vendor | vendor/lib/**", "vendor | vendor/*",
				"vendor/lib < vendor/*",
				"vendor/lib/x < vendor/lib/**", "vendor/lib/x < **/lib/x",
			},
		},
		{name: "a deleted path under a hold", entries: []string{"-src/a"}, held: []string{"src/**"}, want: []string{"src/a < src/**"}},
		{name: "a file becomes a directory", entries: []string{"-x", "x/f"}, held: []string{"x as file"}, want: []string{"x < x as file"}},
		{name: "the same path twice", entries: []string{"a", "a"}, held: []string{"a"}, want: []string{"a < a", "a < a"}},
		{name: "case", entries: []string{"SRC/A"}, held: []string{"src/a"}},
		{name: "without case", entries: []string{"SRC/A", "K"}, held: []string{"src/a", "\u212a", "Src/B"}, ignoreCase: true, want: []string{"SRC/A < src/a", "K < \u212a"}},
		{name: "a file in the way without case", entries: []string{"Src"}, held: []string{"sRC/a/*"}, ignoreCase: true, want: []string{"Src | sRC/a/*"}},
		{name: "bytes that are not UTF-8", entries: []string{"s\xe9ec1", "d/\xff"}, held: []string{"sec1", "s?ec1", "d/**"}, want: []string{"s\xe9ec1 < s?ec1", "d/\xff < d/**"}},
		{name: "virtual", entries: []string{"tool:/x", "tool://x"}, held: []string{"tool://x", "tool://"}},
		{name: "forms of the root", entries: []string{"a/b"}, held: []string{"/", ".", "./a//b", "/a", "a/./b", "a/"},
			want: []string{"a/b < /", "a/b < .", "a/b < ./a//b", "a/b < /a", "a/b < a/./b", "a/b < a/"}},
		{name: "braces", entries: []string{"a/b"}, held: []string{"{a,c}/b", "a{,x}/b", "a/{b,c}", "{x,y}"}, want: []string{"a/b < {a,c}/b", "a/b < a{,x}/b", "a/b < a/{b,c}"}},
		{name: "brackets", entries: []string{"app/[id]/x"}, held: []string{"app/[id]/**", "app/[id]/[x]"}, want: []string{"app/[id]/x < app/[id]/**"}}, // all as text or none
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var entries []guard.Entry
			for _, s := range tt.entries {
				path, deleted := strings.CutPrefix(s, "-")
				entries = append(entries, guard.Entry{Path: path, Deleted: deleted})
			}
			var held []guard.Held
			for _, s := range tt.held {
				held = append(held, hold(s))
			}
			blocks, err := guard.Check(entries, slices.Values(held), tt.ignoreCase)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, b := range blocks {
				sign := "<"
				if b.DirFile {
					sign = "|"
				}
				got = append(got, fmt.Sprintf("%s %s %s", b.Path, sign, strings.TrimPrefix(b.By.ID, "id of ")))
				if entries[b.Entry].Path != b.Path {
					t.Errorf("block %+v names entry %q", b, entries[b.Entry].Path)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("Check(%q, %q)\n got %q\nwant %q", tt.entries, tt.held, got, tt.want)
			}
		})
	}
}

// TestCheckUnreadable: what cannot be read must not count as free.
func TestCheckUnreadable(t *testing.T) {
	entries := []guard.Entry{{Path: "src/a.go"}}
	for _, pattern := range []string{"src/[b-a]", "[", "!src", "src/..", "", " src", "{src", `src\a`, ":(top)x", "\xff", "src/~new~syntax~/../x"} {
		held := []guard.Held{hold("src/**"), {ID: "20261121T051122-k3", Pattern: pattern}}
		blocks, err := guard.Check(entries, slices.Values(held), false)
		var e *mail.Error
		if !errors.As(err, &e) || e.Code != mail.Unchecked || blocks != nil {
			t.Errorf("Check with pattern %q = %v, %v, want an error of code unchecked", pattern, blocks, err)
			continue
		}
		if !strings.Contains(e.Message, held[1].ID) || e.Details["reservation"] != held[1].ID || e.Details["pattern"] != pattern {
			t.Errorf("Check with pattern %q: %q %v does not name the reservation", pattern, e.Message, e.Details)
		}
	}
	// In another directory it cannot matter.
	if _, err := guard.Check(entries, slices.Values([]guard.Held{hold("docs/[b-a]"), hold("tool://")}), false); err != nil {
		t.Errorf("Check with an unreadable pattern in another directory: %v", err)
	}
}

func TestCheckEqualsNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var entries []guard.Entry
		for _, path := range rapid.SliceOfN(genPath(), 1, 20).Draw(t, "paths") {
			entries = append(entries, guard.Entry{Path: path, Deleted: rapid.Bool().Draw(t, "deleted")})
		}
		fold := rapid.Bool().Draw(t, "ignoreCase")
		var held []guard.Held
		var patterns []guard.Pattern
		for _, p := range rapid.SliceOfN(genCompiled(), 0, 20).Draw(t, "held") {
			kind := rapid.SampledFrom([]guard.Kind{guard.File, guard.Tree, guard.Unknown, ""}).Draw(t, "kind")
			held = append(held, guard.Held{ID: fmt.Sprint(len(held)), Pattern: p.String(), Kind: kind})
			if kind == guard.File {
				p = p.AsFile()
			}
			if fold {
				p = p.Fold()
			}
			patterns = append(patterns, p)
		}
		var want []guard.Block
		for i, e := range entries {
			for j, p := range patterns {
				match := p.Match(e.Path)
				if match || !e.Deleted && p.DirFile(e.Path) {
					want = append(want, guard.Block{Path: e.Path, Entry: i, By: held[j], DirFile: !match})
				}
			}
		}
		got, err := guard.Check(entries, slices.Values(held), fold)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("Check(%v, %v, %v)\n got %v, %v\nwant %v", entries, held, fold, got, err, want)
		}
	})
}
