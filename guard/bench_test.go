package guard_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/git-agentmail/git-agentmail/guard"
)

func benchOverlap(b *testing.B, pairs ...[2]string) {
	for _, pair := range pairs {
		b.Run(strings.ReplaceAll(pair[0]+"|"+pair[1], "/", ":"), func(b *testing.B) {
			p, q := mustCompile(b, pair[0]), mustCompile(b, pair[1])
			b.ReportAllocs()
			for b.Loop() {
				p.Overlap(q)
			}
		})
	}
}

// BenchmarkOverlapHeads: most pairs lie in different directories.
func BenchmarkOverlapHeads(b *testing.B) {
	benchOverlap(b, [2]string{"src/api/**", "docs/**"}, [2]string{"src/api/**", "src/db/*.go"})
}

func BenchmarkOverlapTypical(b *testing.B) {
	benchOverlap(b,
		[2]string{"src/*.rs", "src/*.txt"},
		[2]string{"src/api/**", "src/api/users/handler.go"},
		[2]string{"**/*.ts", "packages/*/src/**"},
		[2]string{"src/**/*.go", "src/**/*_test.go"},
		[2]string{"**/a/**/b/**/c", "**/x/**/y/**/z"},
		[2]string{"app/[id]/**", "app/[id]/page.tsx"},
		[2]string{"*.{ts,tsx}", "*.{js,jsx}"},
	)
}

// many returns patterns and paths of a made-up monorepo.
func many(nPatterns, nPaths int) (patterns, paths []string) {
	for i := range nPatterns {
		pkg, mod := i%200, i/200
		patterns = append(patterns, []string{
			fmt.Sprintf("packages/p%03d/src/m%d/**", pkg, mod),
			fmt.Sprintf("packages/p%03d/src/m%d/file%d.go", pkg, mod, i%17),
			fmt.Sprintf("packages/p%03d/**/*_%d.go", pkg, mod),
			fmt.Sprintf("packages/p%03d/docs", pkg),
			fmt.Sprintf("packages/p%03d/src/m%d/*.{ts,tsx}", pkg, mod),
			fmt.Sprintf("**/gen_%d_*.pb.go", i),
			fmt.Sprintf("packages/*/test/t%d", i),
			fmt.Sprintf("packages/p%03d/src/[id]/m%d.ts", pkg, mod),
		}[i%8])
	}
	for i := range nPaths {
		pkg := i * 200 / nPaths
		paths = append(paths, fmt.Sprintf("packages/p%03d/src/m%d/file%d.go", pkg, i%50/10, i%10))
	}
	return patterns, paths
}

func compileAll(b *testing.B, texts []string) []guard.Pattern {
	patterns := make([]guard.Pattern, len(texts))
	for i, s := range texts {
		patterns[i] = mustCompile(b, s)
	}
	return patterns
}

func BenchmarkCompile10k(b *testing.B) {
	texts, _ := many(10_000, 0)
	b.ReportAllocs()
	for b.Loop() {
		compileAll(b, texts)
	}
}

func BenchmarkIndexBuild10k(b *testing.B) {
	texts, _ := many(10_000, 0)
	patterns := compileAll(b, texts)
	b.ReportAllocs()
	for b.Loop() {
		guard.NewIndex(patterns)
	}
}

func BenchmarkIndexQuery10kx10k(b *testing.B) {
	b.Run("realistic", func(b *testing.B) {
		texts, paths := many(10_000, 10_000)
		benchQuery(b, texts, paths)
	})
	for name, form := range map[string]string{"contains": "**/*e_%05d*", "wild": "**/*a?b*%05d*"} {
		b.Run(name, func(b *testing.B) {
			_, paths := many(0, 10_000)
			var texts []string
			for i := range 10_000 {
				texts = append(texts, fmt.Sprintf(form, i))
			}
			benchQuery(b, texts, paths)
		})
	}
}

func benchQuery(b *testing.B, texts, paths []string) {
	x := guard.NewIndex(compileAll(b, texts))
	hits := 0
	b.ReportAllocs()
	for b.Loop() {
		c := x.Cursor()
		for _, path := range paths {
			hits += len(c.Lookup(path))
		}
	}
	b.ReportMetric(float64(hits)/float64(b.N), "hits")
}

func BenchmarkHostile(b *testing.B) {
	for i, h := range hostile {
		p := mustCompile(b, h.pattern)
		b.Run(fmt.Sprintf("match%02d", i), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Match(h.path)
			}
		})
		b.Run(fmt.Sprintf("overlap%02d", i), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Overlap(p)
			}
		})
	}
}

// BenchmarkCheckSmall is a commit of ten files under many reservations, with
// all that the hook pays for: compiling and building too.
func BenchmarkCheckSmall(b *testing.B) {
	for _, n := range []int{100, 1_000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			texts, paths := many(n, 10)
			var held []guard.Held
			for _, s := range texts {
				held = append(held, guard.Held{Pattern: s})
			}
			var entries []guard.Entry
			for _, p := range paths {
				entries = append(entries, guard.Entry{Path: p})
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := guard.Check(entries, slices.Values(held), false); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkMatch(b *testing.B) {
	for _, pair := range [][2]string{{"src/**/*.go", "src/api/v1/users.go"}, {"**/*x*", "packages/web/src/axb.ts"}, {"docs/**", "src/a.go"}} {
		b.Run(strings.ReplaceAll(pair[0], "/", ":"), func(b *testing.B) {
			p := mustCompile(b, pair[0])
			b.ReportAllocs()
			for b.Loop() {
				p.Match(pair[1])
			}
		})
	}
}
