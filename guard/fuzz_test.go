package guard_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/git-agentmail/git-agentmail/guard"
)

var fuzzSeeds = []string{
	"src", "src/**", "**/*.go", "a/**/b", "{a,b{c,d}}/x", "[!a-c]*", "[[:digit:]]?", `\*.go`, "app/[id]/**",
	"/", "./a//b/", "{,a/}b", "*a*b*", "[]x]", "é?", "a**b", "***", "{{x}}", "tool://x", "a b", "[.]", "[--0]", "[a\\-c]",
}

func FuzzCompile(f *testing.F) {
	for _, s := range append(fuzzSeeds, `a\b`, "[b-a]", "{a", "}", "!x", ":(top)x", "C:/x", "..", " x", "", "\xff", "[[:x:]]", "[a/]") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := guard.Compile(s)
		if err != nil {
			if p != (guard.Pattern{}) {
				t.Errorf("Compile(%q) fails and gives %q", s, p)
			}
			return
		}
		text := p.String()
		q, err := guard.Compile(text)
		if err != nil || q.String() != text {
			t.Fatalf("Compile(%q) is %q, and that is %q, %v", s, p, q, err)
		}
		_ = p.Warnings()
		if w, ok := p.Overlap(q); ok && !guard.Virtual(text) && (!p.Match(w) || !q.Match(w)) {
			t.Errorf("%q: witness %q of its overlap with itself is not matched", s, w)
		}
		if w, ok := p.Fold().Overlap(q.Fold()); ok && !guard.Virtual(text) && !p.Fold().Match(w) {
			t.Errorf("%q folded: witness %q of its overlap with itself is not matched", s, w)
		}
	})
}

func FuzzMatch(f *testing.F) {
	for _, s := range fuzzSeeds {
		f.Add(s, "src/a.go")
		f.Add(s, "b/\xff/[id]")
		f.Add(s, "a/x/B")
	}
	f.Fuzz(func(t *testing.T, s, path string) {
		p, err := guard.Compile(s)
		if err != nil || guard.Virtual(s) || len(s) > 60 || len(path) > 60 {
			return
		}
		if strings.ContainsAny(s, "[\ufffd") && !utf8.ValidString(path) {
			return // package regexp cannot tell U+FFFD from an invalid byte
		}
		if got, want := p.Match(path), newOracle(s, false).match(path); got != want {
			t.Errorf("Compile(%q).Match(%q) = %v, want %v", s, path, got, want)
		}
		if got, want := p.Fold().Match(path), newOracle(s, true).match(path); got != want {
			t.Errorf("Compile(%q).Fold().Match(%q) = %v, want %v", s, path, got, want)
		}
		x := guard.NewIndex([]guard.Pattern{p, p.Fold(), p.AsFile()})
		hits := map[int]bool{}
		for _, i := range x.Lookup(path) {
			hits[i] = true
		}
		if hits[0] != p.Match(path) || hits[1] != p.Fold().Match(path) || hits[2] != p.AsFile().Match(path) {
			t.Errorf("index of %q finds %v for %q", s, hits, path)
		}
	})
}

func FuzzOverlap(f *testing.F) {
	for i, s := range fuzzSeeds {
		f.Add(s, fuzzSeeds[(i*7+3)%len(fuzzSeeds)], "a/b")
		f.Add(s, "**/a*", "src/a")
	}
	f.Fuzz(func(t *testing.T, s, u, path string) {
		p, err := guard.Compile(s)
		if err != nil || guard.Virtual(s) {
			return
		}
		q, err := guard.Compile(u)
		if err != nil || guard.Virtual(u) {
			return
		}
		for name, pq := range map[string][2]guard.Pattern{
			"as they are": {p, q},
			"as files":    {p.AsFile(), q.AsFile()},
			"folded":      {p.Fold(), q.Fold()},
		} {
			p, q := pq[0], pq[1]
			w, ok := p.Overlap(q)
			if _, ok2 := q.Overlap(p); ok != ok2 {
				t.Errorf("Overlap(%q, %q) %s = %v, the other way %v", s, u, name, ok, ok2)
			}
			if ok && (!p.Match(w) || !q.Match(w)) {
				t.Errorf("Overlap(%q, %q) %s: witness %q is not matched by both", s, u, name, w)
			}
			if !ok && isPath(path) && p.Match(path) && q.Match(path) {
				t.Errorf("Overlap(%q, %q) %s = false, but both match %q", s, u, name, path)
			}
		}
	})
}

// isPath reports whether git could have s in a tree.
func isPath(s string) bool {
	for _, name := range strings.Split(s, "/") {
		if name == "" || name == "." || name == ".." || strings.Contains(name, "\x00") {
			return false
		}
	}
	return true
}
