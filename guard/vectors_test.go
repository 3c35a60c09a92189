package guard_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/git-agentmail/git-agentmail/guard"
	"github.com/git-agentmail/git-agentmail/mail"
)

// vectors are the contract's own cases.
type vectors struct {
	Match []struct {
		Pattern, Path string
		Match         bool
	}
	Overlap []struct {
		A, B, Witness    string
		Overlap, Implied bool
	}
	Invalid []struct{ Pattern, Error string }
}

func readVectors(t *testing.T) vectors {
	t.Helper()
	const file = "../testdata/glob/glob.json"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("the vectors are missing: %v", err)
	}
	var v vectors
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if len(v.Match) < 99 || len(v.Overlap) < 90 || len(v.Invalid) < 9 {
		t.Fatalf("%s has %d, %d and %d cases: some have vanished", file, len(v.Match), len(v.Overlap), len(v.Invalid))
	}
	return v
}

func mustCompile(t testing.TB, s string) guard.Pattern {
	t.Helper()
	p, err := guard.Compile(s)
	if err != nil {
		t.Fatalf("Compile(%q): %v", s, err)
	}
	return p
}

func TestVectorsMatch(t *testing.T) {
	for _, v := range readVectors(t).Match {
		if got := mustCompile(t, v.Pattern).Match(v.Path); got != v.Match {
			t.Errorf("Compile(%q).Match(%q) = %v, want %v", v.Pattern, v.Path, got, v.Match)
		}
	}
}

func TestVectorsOverlap(t *testing.T) {
	for _, v := range readVectors(t).Overlap {
		a, b := mustCompile(t, v.A), mustCompile(t, v.B)
		if w, ok := a.Overlap(b); ok != v.Overlap || w != v.Witness {
			t.Errorf("Overlap(%q, %q) = %q, %v, want %q, %v", v.A, v.B, w, ok, v.Witness, v.Overlap)
		}
		if w, ok := b.Overlap(a); ok != v.Overlap || w != v.Witness {
			t.Errorf("Overlap(%q, %q) = %q, %v, want %q, %v", v.B, v.A, w, ok, v.Witness, v.Overlap)
		}
		_, sure := a.AsFile().Overlap(b.AsFile())
		if implied := v.Overlap && !sure; implied != v.Implied {
			t.Errorf("overlap of %q and %q is implied: %v, want %v", v.A, v.B, implied, v.Implied)
		}
		r := guard.Clash(a, guard.Unknown, b, guard.Unknown)
		if r.Overlap != v.Overlap || r.Implied && !v.Implied {
			t.Errorf("Clash(%q, %q) = %+v, vector says overlap %v, implied %v", v.A, v.B, r, v.Overlap, v.Implied)
		}
	}
}

func TestVectorsInvalid(t *testing.T) {
	for _, v := range readVectors(t).Invalid {
		_, err := guard.Compile(v.Pattern)
		var e *mail.Error
		if !errors.As(err, &e) || e.Code != mail.Invalid {
			t.Errorf("Compile(%q): error %v, want a mail.Error of code invalid", v.Pattern, err)
			continue
		}
		want := strings.Replace(v.Error, "pattern:", fmt.Sprintf("pattern %q:", v.Pattern), 1)
		if e.Message != want {
			t.Errorf("Compile(%q): %q, want %q", v.Pattern, e.Message, want)
		}
		if off := fmt.Sprintf("pattern: offset %v:", e.Details["offset"]); !strings.HasPrefix(v.Error, off) {
			t.Errorf("Compile(%q): offset %v, want that of %q", v.Pattern, e.Details["offset"], v.Error)
		}
		if e.Details["pattern"] != v.Pattern {
			t.Errorf("Compile(%q): details name the pattern %q", v.Pattern, e.Details["pattern"])
		}
	}
}
