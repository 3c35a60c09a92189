package cli

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/git-agentmail/git-agentmail/mailbox"
)

// screen is a stream as a person sees it.
type screen struct {
	terminal bool
	width    int // 0 for no limit
}

func screenOf(stream any) screen {
	f, ok := stream.(*os.File)
	if !ok {
		return screen{}
	}
	switch n := columns(f); {
	case n < 0:
		return screen{}
	case n == 0:
		return screen{true, 80}
	default:
		return screen{true, n}
	}
}

// red marks a word; the word itself must say the same without the colour.
func (a *app) red(s *screen, word string) string {
	if !s.terminal || a.noColor || a.getenv("NO_COLOR") != "" || a.getenv("TERM") == "dumb" {
		return word
	}
	return "\x1b[1;31m" + word + "\x1b[0m"
}

// maxText is how much of a text by somebody else stands in a table.
const maxText = 80

// escape makes s safe to print on one line: what a terminal would obey, or
// what would turn the text around, is shown and not sent.
func escape(s string) string { return escapeBut(s, "") }

// escapeBut lets the characters in keep pass.
func escapeBut(s, keep string) string {
	if clean(s, keep) {
		return s
	}
	var w strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&w, `\x%02x`, s[0])
		case harmless(r) || strings.ContainsRune(keep, r):
			w.WriteString(s[:n])
		default:
			q := strconv.QuoteRuneToASCII(r)
			w.WriteString(q[1 : len(q)-1])
		}
		s = s[n:]
	}
	return w.String()
}

func clean(s, keep string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !harmless(r) && !strings.ContainsRune(keep, r) {
			return false
		}
	}
	return true
}

// harmless allows the joiner that composed emoji need; the other invisible
// characters can make a text look like another one.
func harmless(r rune) bool { return unicode.IsPrint(r) || r == '\u200d' }

// short makes one line of at most n characters, or of any number if n is 0.
func short(s string, n int) string {
	s = escape(strings.Join(strings.Fields(s), " "))
	if n < 4 || utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-3]) + "..."
}

// bodyLine begins every line of somebody's text, so that no text can pretend
// to have ended.
const bodyLine = "  | "

// body writes the text of a message, fenced.
func body(w *strings.Builder, text string) {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = strings.TrimRight(text, "\n")
	for line := range strings.SplitSeq(text, "\n") {
		w.WriteString(strings.TrimRight(bodyLine+escapeBut(line, "\t"), " ") + "\n")
	}
}

// table is rows under a heading; the last column takes what room is left.
type table struct {
	head []string
	rows [][]string
	full bool // the last column is not cut
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) write(w *strings.Builder, s screen) {
	if len(t.rows) == 0 {
		return
	}
	all := append([][]string{t.head}, t.rows...)
	last := len(t.head) - 1
	widths, used := make([]int, last), 0
	for i := range widths {
		for _, row := range all {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
		used += widths[i] + 2
	}
	room := maxText
	switch {
	case t.full:
		room = 0
	case s.width > 0:
		room = min(maxText, max(s.width-used, 20))
	}
	for _, row := range all {
		var line strings.Builder
		for i, cell := range row {
			if i == last {
				line.WriteString(short(cell, room))
				break
			}
			line.WriteString(cell)
			line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
		}
		w.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
}

// fields writes a column of names and values, leaving out empty ones.
func fields(w *strings.Builder, pairs ...string) {
	wide := 0
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			wide = max(wide, len(pairs[i]))
		}
	}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			fmt.Fprintf(w, "%-*s  %s\n", wide, pairs[i], pairs[i+1])
		}
	}
}

// utc is a time for people.
func utc(t mailbox.TS) string {
	if t.Time().IsZero() {
		return "-"
	}
	return t.Time().UTC().Format("2006-01-02 15:04") + " UTC"
}

// ago says how long before or after now t is.
func (a *app) ago(t mailbox.TS) string {
	if t.Time().IsZero() {
		return "never"
	}
	if d := a.std.Now().Sub(t.Time()); d >= 0 {
		return span(d) + " ago"
	} else {
		return "in " + span(-d)
	}
}

// when is a time with its distance.
func (a *app) when(t mailbox.TS) string {
	if t.Time().IsZero() {
		return "-"
	}
	return utc(t) + " (" + a.ago(t) + ")"
}

// span is a length of time, rounded to what matters.
func span(d time.Duration) string {
	if n := int(d.Round(time.Second) / time.Second); n < 60 {
		return strconv.Itoa(n) + "s"
	}
	if n := int(d.Round(time.Minute) / time.Minute); n < 60 {
		return strconv.Itoa(n) + "m"
	}
	if n := d.Round(time.Minute); n < 10*time.Hour && n%time.Hour != 0 {
		return fmt.Sprintf("%dh%dm", n/time.Hour, n%time.Hour/time.Minute)
	}
	if n := int(d.Round(time.Hour) / time.Hour); n < 48 {
		return strconv.Itoa(n) + "h"
	}
	return strconv.Itoa(int(d.Round(24*time.Hour)/(24*time.Hour))) + "d"
}

// roomForUTC is the width from which tables have a column with the time itself.
const roomForUTC = 100

func (a *app) wide() bool { return a.out.width == 0 || a.out.width >= roomForUTC }

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
