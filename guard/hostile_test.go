package guard_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/guard"
)

// hostile patterns make a backtracking matcher run for seconds or for ever, on
// the path beside them.
var hostile = []struct{ pattern, path string }{
	{"a*a*a*a*a*a*a*a*a*a*[bc]", strings.Repeat("a", 61)},
	{strings.Repeat("**/*a*/", 4) + "[z]", strings.Repeat("a/", 60) + "a"},
	{strings.Repeat("{*a*,*b*}", 4) + "[z]", strings.Repeat("ab", 12) + "a"},
	{strings.Repeat("{a,aa}", 6) + "[bc]", strings.Repeat("a", 34)},
	{strings.Repeat("a*", 40) + "[bc]", strings.Repeat("a", 251)},
	{strings.Repeat("*[abc]", 20), strings.Repeat("a", 250) + "x"},
	{strings.Repeat("*[!x]", 20), strings.Repeat("y", 250) + "x"},
	{strings.Repeat("*[!x0-9]", 12), strings.Repeat("y", 60) + "x"},
	{strings.Repeat("**/", 60) + "b", strings.Repeat("a/", 500) + "a"},
	{strings.Repeat("**/a/", 30) + "b", strings.Repeat("a/", 500) + "a"},
	{strings.Repeat("*?", 500) + "b", strings.Repeat("a", 255)},
	{strings.Repeat("*[[:alpha:]]", 80), strings.Repeat("é", 120)},
	{strings.Repeat("*aaa*/", 20) + "b", strings.Repeat(strings.Repeat("a", 200)+"/", 20) + "c"},
}

// TestHostile is a safety net against exponential work: it takes
// milliseconds, or, where the work has become exponential, does not end.
func TestHostile(t *testing.T) {
	start := time.Now()
	var held []guard.Held
	var entries []guard.Entry
	for i, h := range hostile {
		p := mustCompile(t, h.pattern)
		if p.Match(h.path) {
			t.Errorf("%q matches %q", h.pattern, h.path)
		}
		if p.Fold().Match(h.path) {
			t.Errorf("%q folded matches %q", h.pattern, h.path)
		}
		for _, g := range hostile {
			p.Overlap(mustCompile(t, g.pattern))
		}
		held = append(held, guard.Held{ID: fmt.Sprint(i), Pattern: h.pattern})
		entries = append(entries, guard.Entry{Path: h.path})
	}
	if _, err := guard.Check(entries, slices.Values(held), false); err != nil {
		t.Error(err)
	}
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("took %v, which only a fault explains", d)
	}
}
