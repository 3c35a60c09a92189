package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name    string
		figures [][2]float64
		want    verdict
	}{
		{"below", [][2]float64{{1, 1.5}}, passed},
		{"at the limit", [][2]float64{{1.5, 1.5}}, passed},
		{"above", [][2]float64{{1.6, 1.5}}, fell},
		{"one of two above", [][2]float64{{1, 2}, {1, 0}}, fell},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := judge("", c.figures...).verdict; got != c.want {
				t.Errorf("judge(%v): got %q, want %q", c.figures, got, c.want)
			}
		})
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		in   []int
		want time.Duration
	}{{[]int{3, 1, 2}, 2}, {[]int{4, 1, 3, 2}, 2}, {[]int{10, 2, 4, 100}, 7}, {[]int{5}, 5}} {
		var s series
		for _, v := range c.in {
			s = append(s, sample{time.Duration(v), time.Duration(v)})
		}
		if got := s.wall(); got != c.want {
			t.Errorf("median of %v: got %d, want %d", c.in, got, c.want)
		}
	}
}

// TestWriteKeepsFindings writes the table twice: what a person wrote below it
// stays.
func TestWriteKeepsFindings(t *testing.T) {
	name := filepath.Join(t.TempDir(), "B.md")
	for _, n := range []string{"first", "second | with a bar"} {
		if err := write(name, "a machine", false, []measured{{row{name: n, demand: "≤ 1×"}, result{passed, "0.5×"}}}); err != nil {
			t.Fatal(err)
		}
		if n == "first" {
			data, _ := os.ReadFile(name)
			os.WriteFile(name, append(data, "\nBy hand.\n"...), 0o666)
		}
	}
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	if strings.Contains(text, "first") || !strings.Contains(text, `second \| with a bar`) || !strings.HasSuffix(text, findings+"\nBy hand.\n") {
		t.Errorf("got:\n%s", text)
	}
}

func TestGitVerb(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"git -c core.hooksPath=/dev/null cat-file --batch", "cat-file"},
		{"git config -z --list", "config"},
		{"git", "git"},
	} {
		if got := gitVerb(strings.Fields(c.args)); got != c.want {
			t.Errorf("%q: got %q, want %q", c.args, got, c.want)
		}
	}
}
