package guard_test

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/git-agentmail/git-agentmail/guard"
)

// genPattern draws patterns over a small alphabet, so that they meet often.
// Some do not compile.
func genPattern() *rapid.Generator[string] {
	piece := rapid.SampledFrom([]string{
		"a", "b", "a", "b", "ab", "*", "*", "**", "?", ".", "/", "/", "/", "/**/", "/*/", "[ab]", "[!a]", "[a-c]",
		"{a,b}", "{a,*/b}", "{,b}", "{b}", "é", "[^é]", `\*`, `\[`, "B", "[[:upper:]]", "]", "[]-a]", "[.]",
	})
	return rapid.Map(rapid.SliceOfN(piece, 1, 7), func(s []string) string { return strings.Join(s, "") })
}

func genCompiled() *rapid.Generator[guard.Pattern] {
	return rapid.Custom(func(t *rapid.T) guard.Pattern {
		p, err := guard.Compile(genPattern().Filter(func(s string) bool {
			_, err := guard.Compile(s)
			return err == nil
		}).Draw(t, "pattern"))
		if err != nil {
			t.Fatal(err)
		}
		return p
	})
}

func genPath() *rapid.Generator[string] {
	name := rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "B", "c", ".", "é", "*", "[", "]", "!", "\xff", "-", "\xc3"}), 1, 4),
		func(s []string) string { return strings.Join(s, "") })
	name = name.Filter(func(s string) bool { return s != "." && s != ".." })
	return rapid.Map(rapid.SliceOfN(name, 1, 4), func(s []string) string { return strings.Join(s, "/") })
}

func TestMatchEqualsOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := genCompiled().Draw(t, "p")
		plain, folded := newOracle(p.String(), false), newOracle(p.String(), true)
		pf := p.Fold()
		for range 40 {
			path := genPath().Draw(t, "path")
			if got, want := p.Match(path), plain.match(path); got != want {
				t.Fatalf("Compile(%q).Match(%q) = %v, want %v", p, path, got, want)
			}
			if got, want := pf.Match(path), folded.match(path); got != want {
				t.Fatalf("Compile(%q).Fold().Match(%q) = %v, want %v", p, path, got, want)
			}
		}
	})
}

func TestCanonicalIsFixpoint(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.SampledFrom([]string{"", "/", "./", "//", "/./"}).Draw(t, "head") + genPattern().Draw(t, "pattern") +
			rapid.SampledFrom([]string{"", "/", "/.", "//"}).Draw(t, "tail")
		p, err := guard.Compile(s)
		if err != nil {
			t.Skip("invalid")
		}
		q, err := guard.Compile(p.String())
		if err != nil || q.String() != p.String() {
			t.Fatalf("Compile(%q) is %q, and that is %q, %v", s, p, q, err)
		}
		for range 20 {
			if path := genPath().Draw(t, "path"); p.Match(path) != q.Match(path) {
				t.Fatalf("%q and its canonical form %q differ on %q", s, p, path)
			}
		}
	})
}

// allPaths lists every path of up to three names from a set that tells the
// patterns of genPattern apart.
func allPaths() []string {
	names := []string{"a", "b", "ab", "ba", "c", "B", "é", "aa", "bb", "ac", ".a", "b.", "aba", "bab", "*"}
	paths, level := append([]string(nil), names...), names
	for range 2 {
		var next []string
		for _, dir := range level {
			for _, n := range names {
				next = append(next, dir+"/"+n)
			}
		}
		paths, level = append(paths, next...), next
	}
	return paths
}

func TestOverlapIsExact(t *testing.T) {
	paths := allPaths()
	disjoint, overlapping := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		p, q := genCompiled().Draw(t, "p"), genCompiled().Draw(t, "q")
		if rapid.Bool().Draw(t, "asFile") {
			p = p.AsFile()
		}
		if rapid.Bool().Draw(t, "fold") {
			p, q = p.Fold(), q.Fold()
		}
		w, ok := p.Overlap(q)
		if w2, ok2 := q.Overlap(p); ok != ok2 {
			t.Fatalf("Overlap(%q, %q) = %q, %v, the other way %q, %v", p, q, w, ok, w2, ok2)
		}
		if ok {
			overlapping++
			if !p.Match(w) || !q.Match(w) {
				t.Fatalf("Overlap(%q, %q): witness %q is matched by %v, %v", p, q, w, p.Match(w), q.Match(w))
			}
			for _, name := range strings.Split(w, "/") {
				if name == "" || name == "." || name == ".." || strings.Contains(name, "\x00") {
					t.Fatalf("Overlap(%q, %q): witness %q is no path", p, q, w)
				}
			}
			return
		}
		disjoint++
		for _, path := range paths {
			if p.Match(path) && q.Match(path) {
				t.Fatalf("Overlap(%q, %q) = false, but both match %q", p, q, path)
			}
		}
	})
	if !testing.Short() && (disjoint < 5 || overlapping < 5) { // in short mode chance decides
		t.Errorf("%d disjoint and %d overlapping pairs: the generator is of no use", disjoint, overlapping)
	}
}

// TestWitnessIsShortest holds for patterns without alternatives only.
func TestWitnessIsShortest(t *testing.T) {
	paths := allPaths()
	simple := genCompiled().Filter(func(p guard.Pattern) bool { return !strings.ContainsAny(p.String(), "{[") })
	rapid.Check(t, func(t *rapid.T) {
		p, q := simple.Draw(t, "p"), simple.Draw(t, "q")
		w, ok := p.Overlap(q)
		if w2, _ := q.Overlap(p); w != w2 {
			t.Fatalf("Overlap(%q, %q): witness %q, the other way %q", p, q, w, w2)
		}
		for _, path := range paths {
			if strings.Count(path, "/") > strings.Count(w, "/") {
				break
			}
			if p.Match(path) && q.Match(path) && (!ok || strings.Count(path, "/") < strings.Count(w, "/") ||
				strings.Count(w, "/") == 0 && utf8.RuneCountInString(path) < utf8.RuneCountInString(w)) {
				t.Fatalf("Overlap(%q, %q): witness %q, but %q is shorter", p, q, w, path)
			}
		}
	})
}

func TestOverlapWithItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := genCompiled().Draw(t, "p")
		w, ok := p.Overlap(p)
		if wf, okf := p.Overlap(p.Fold()); okf != ok {
			t.Fatalf("Overlap(%q, itself) = %q, %v, folded %q, %v", p, w, ok, wf, okf)
		}
		if all := mustCompileRapid(t, "**"); ok {
			if _, ok := p.Overlap(all); !ok {
				t.Fatalf("%q overlaps with itself but not with **", p)
			}
		}
	})
}

func mustCompileRapid(t *rapid.T, s string) guard.Pattern {
	p, err := guard.Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestIndexEqualsNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		patterns := rapid.SliceOfN(genCompiled(), 0, 30).Draw(t, "patterns")
		for i := range patterns {
			switch rapid.IntRange(0, 3).Draw(t, "how") {
			case 0:
				patterns[i] = patterns[i].AsFile()
			case 1:
				patterns[i] = patterns[i].Fold()
			}
		}
		x := guard.NewIndex(patterns)
		cursor := x.Cursor()
		for _, path := range rapid.SliceOfN(genPath(), 1, 30).Draw(t, "paths") {
			var want []int
			for i, p := range patterns {
				if p.Match(path) {
					want = append(want, i)
				}
			}
			if got := cursor.Lookup(path); !slices.Equal(got, want) {
				t.Fatalf("cursor on %q finds %v in %q, want %v", path, got, patterns, want)
			}
			if got := x.Lookup(path); !slices.Equal(got, want) {
				t.Fatalf("Lookup(%q) = %v in %q, want %v", path, got, patterns, want)
			}
		}
	})
}
