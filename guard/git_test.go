package guard_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// gitRepo is a repository whose index has the given paths; there are no files.
func gitRepo(t *testing.T, paths []string) func(args ...string) []string {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("no git on PATH")
	}
	dir := t.TempDir()
	run := func(stdin string, args ...string) []string {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "LC_ALL=C")
		cmd.Stdin = strings.NewReader(stdin)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, stderr.Bytes())
		}
		if len(out) == 0 {
			return nil
		}
		return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	}
	run("", "init", "-q")
	var info strings.Builder
	for _, p := range paths {
		fmt.Fprintf(&info, "100644 e69de29bb2d1d6434b8b29ae775ad8c2e48c5391\t%s\x00", p)
	}
	run(info.String(), "update-index", "-z", "--index-info")
	return func(args ...string) []string { return run("", args...) }
}

// TestMatchEqualsGit compares with git's own ":(top,glob)" where the dialects
// agree: no braces, no brackets. Descent is said to git as a second pathspec.
func TestMatchEqualsGit(t *testing.T) {
	// No directory has the name of a file, and none has a "*" in its name: git
	// also takes a pathspec by its letter, as we do only with brackets.
	dirs := []string{"a", "b", "ab", "abc", ".a", "src", "a.d"}
	files := []string{"main.go", ".go", "a.go", "z", "x*", "*", "afbf", "f"}
	paths := slices.Clone(files)
	for i, x := range dirs {
		for j, y := range files {
			paths = append(paths, x+"/"+y, "src/"+x+"/"+y)
			for k, z := range dirs {
				if (i+j+k)%3 == 0 {
					paths = append(paths, x+"/"+z+"/b/"+y, x+"/"+z+"/a/b/"+y)
				}
			}
		}
	}
	slices.Sort(paths)
	paths = slices.Compact(paths)
	git := gitRepo(t, paths)

	var patterns []string
	pieces := []string{"*", "**", "a", "*.go", "src", "?", "a*", "*a*b*", "f?*", `\*`, "***", "?**", ".*", "main.go", "a/**", "**/b"}
	for _, x := range pieces {
		patterns = append(patterns, x)
		for _, y := range pieces {
			patterns = append(patterns, x+"/"+y)
		}
	}
	patterns = append(patterns, "**/a/**/b", "a/**/**/b", "src/**/a/*", "**/*/z", "*/*/*", "**/**/main.go", "src/*/b/z", "a/**/main.go")
	// Not "a**": git cuts off the literal head and takes the rest for "**".
	if testing.Short() {
		patterns = patterns[len(patterns)-30:]
	}
	for _, s := range patterns {
		p := mustCompile(t, s)
		args := []string{"ls-files", "-z", "--", ":(top,glob)" + s}
		if p.LiteralEnd() {
			args = append(args, ":(top,glob)"+s+"/**")
		}
		want := git(args...)
		var got []string
		for _, path := range paths {
			if p.Match(path) {
				got = append(got, path)
			}
		}
		if !slices.Equal(got, want) {
			only := func(a, b []string) []string {
				return slices.DeleteFunc(slices.Clone(a), func(x string) bool { return slices.Contains(b, x) })
			}
			t.Errorf("%q: only we match %q, only git lists %q", s, only(got, want), only(want, got))
		}
	}
}
