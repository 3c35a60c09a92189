package cli

import (
	"strings"
	"testing"
)

func TestEscape(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"plain", "plain text", "plain text"},
		{"other scripts", "gr\u00fc\u00df \u65e5\u672c", "gr\u00fc\u00df \u65e5\u672c"},
		{"composed emoji", "\U0001F469\u200d\U0001F4BB", "\U0001F469\u200d\U0001F4BB"},
		{"escape", "a\x1b[31mb", `a\x1b[31mb`},
		{"C1", "a\u009bb", `a\u009bb`},
		{"line and tab", "a\nb\tc\r", `a\nb\tc\r`},
		{"turned around", "a\u202eb", `a\u202eb`},
		{"invisible", "a\u200bb\ufeff", `a\u200bb\ufeff`},
		{"no UTF-8", "a\xe9b", `a\xe9b`},
		{"replacement character", "a\ufffdb", "a\ufffdb"},
		{"NUL and DEL", "\x00\x7f", `\x00\x7f`},
		{"backslash", `a\nb`, `a\nb`},
	} {
		if got := escape(tt.in); got != tt.want {
			t.Errorf("%s: escape(%q) = %q, want %q", tt.name, tt.in, got, tt.want)
		}
	}
}

func TestShort(t *testing.T) {
	for _, tt := range []struct {
		in   string
		n    int
		want string
	}{
		{"short", 10, "short"},
		{"exactly 10", 10, "exactly 10"},
		{"more than 10", 10, "more th..."},
		{"two\nlines  and blanks ", 80, "two lines and blanks"},
		{"\u00fc\u00fc\u00fc\u00fc\u00fc", 5, "\u00fc\u00fc\u00fc\u00fc\u00fc"},
		{"not cut", 0, "not cut"},
	} {
		if got := short(tt.in, tt.n); got != tt.want {
			t.Errorf("short(%q, %d) = %q, want %q", tt.in, tt.n, got, tt.want)
		}
	}
}

func TestBody(t *testing.T) {
	var w strings.Builder
	body(&w, "one\r\n\n  | two\n--- end ---\n\tthree\x1b\n\n")
	want := "  | one\n  |\n  |   | two\n  | --- end ---\n  | \tthree\\x1b\n"
	if w.String() != want {
		t.Errorf("got %q, want %q", w.String(), want)
	}
}

func TestTable(t *testing.T) {
	table := table{head: []string{"ID", "WHAT"}}
	var w strings.Builder
	table.write(&w, screen{})
	if w.String() != "" {
		t.Errorf("an empty table prints %q", w.String())
	}
	table.add("a\u00fc", "first")
	table.add("long one", strings.Repeat("x", 100))
	table.write(&w, screen{terminal: true, width: 40})
	want := "ID        WHAT\na\u00fc        first\nlong one  " + strings.Repeat("x", 27) + "...\n"
	if w.String() != want {
		t.Errorf("got\n%s, want\n%s", w.String(), want)
	}
}

func TestShellQuote(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"plain-1.2/x", "plain-1.2/x"},
		{"two words", `"two words"`},
		{"src/**", "'src/**'"},
		{"it's", `"it's"`},
		{"it's $5", `'it'\''s $5'`},
		{"", "''"},
		{"a;b", `"a;b"`},
		{"~", `"~"`},
	} {
		if got := shellQuote(tt.in); got != tt.want {
			t.Errorf("shellQuote(%q) = %s, want %s", tt.in, got, tt.want)
		}
	}
}

func TestColour(t *testing.T) {
	terminal := screen{terminal: true, width: 80}
	for _, tt := range []struct {
		name   string
		app    app
		on     screen
		colour bool
	}{
		{"terminal", app{}, terminal, true},
		{"no terminal", app{}, screen{}, false},
		{"--no-color", app{noColor: true}, terminal, false},
		{"NO_COLOR", app{std: IO{Env: []string{"NO_COLOR=1"}}}, terminal, false},
		{"NO_COLOR, but empty", app{std: IO{Env: []string{"NO_COLOR="}}}, terminal, true},
		{"TERM=dumb", app{std: IO{Env: []string{"TERM=dumb"}}}, terminal, false},
	} {
		if got := tt.app.red(&tt.on, "error:"); strings.Contains(got, "\x1b") != tt.colour || !strings.Contains(got, "error:") {
			t.Errorf("%s: got %q, want colour %t", tt.name, got, tt.colour)
		}
	}
}
