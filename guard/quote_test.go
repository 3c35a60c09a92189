package guard

import "testing"

func TestQuote(t *testing.T) {
	for _, path := range []string{"a.go", "app/[id]/page.tsx", "*.go", "a{b,c}", "!x", ":(top)x", "what?", `back\slash`, "é", "a b"} {
		p, err := Compile(Quote(path))
		if err != nil {
			t.Errorf("Compile(%q): %v", Quote(path), err)
			continue
		}
		if !p.Match(path) {
			t.Errorf("%q does not match %q", p, path)
		}
		for _, other := range []string{"b.go", "app/i/page.tsx", "x.go", "ab", "what!", "x"} {
			if p.Match(other) {
				t.Errorf("%q matches %q", p, other)
			}
		}
	}
}
