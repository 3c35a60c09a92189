package mail

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestByPrefix(t *testing.T) {
	ids := slices.Values([]string{"abcd000000", "abcd111111", "abce000000", "abcd000000", "0000abcdef"})
	for _, tt := range []struct {
		prefix, want string
		code         Code
	}{
		{"abce", "abce000000", ""},
		{"ABCE", "abce000000", ""},
		{"abcd0", "abcd000000", ""}, // listed twice, one id
		{"abcd000000", "abcd000000", ""},
		{"0000", "0000abcdef", ""},
		{"abcd", "", Invalid},
		{"abcf", "", NotFound},
		{"abc", "", Invalid},
		{"", "", Invalid},
		{"abcd0000000", "", Invalid},
		{"abci", "", Invalid}, // no letter of the alphabet
		{"ab d", "", Invalid},
		{"abcé", "", Invalid},
		{"abcd\x00", "", Invalid},
	} {
		got, err := ByPrefix("message", tt.prefix, ids)
		if got != tt.want || CodeOf(err) != tt.code {
			t.Errorf("ByPrefix(%q) = %q, %v; want %q, %s", tt.prefix, got, err, tt.want, tt.code)
		}
	}
	_, err := ByPrefix("message", "abcd", ids)
	if c := AsError(err).Details["candidates"]; fmt.Sprint(c) != "[abcd000000 abcd111111]" {
		t.Errorf("candidates are %v", c)
	}
	// An exact id wins over longer ones that begin so, and the list is bounded.
	many := func(yield func(string) bool) {
		for i := range 40 {
			if !yield(fmt.Sprintf("zzzz%06d", i)) {
				return
			}
		}
	}
	_, err = ByPrefix("message", "zzzz", many)
	if c, _ := AsError(err).Details["candidates"].([]string); len(c) != 10 {
		t.Errorf("%d candidates", len(c))
	}
}

func TestNewID(t *testing.T) {
	var n byte
	id := NewID(func(b []byte) {
		for i := range b {
			b[i] = n
			n += 37
		}
	})
	if !IsID(id) || !IsPrefix(id[:4]) {
		t.Errorf("NewID() = %q", id)
	}
	for _, bad := range []string{"", "abcdefghj", "abcdefghjkm", "abcdefghil", "ABCDEFGHJK", "abcdefgh\u00e9"} {
		if IsID(bad) {
			t.Errorf("IsID(%q)", bad)
		}
	}
}

func TestSlug(t *testing.T) {
	for _, tt := range []struct{ subject, want string }{
		{"Starting auth refactor", "starting-auth-refactor"},
		{"", "message"}, {"!!!", "message"}, {"ÄÖÜ", "message"}, {"日本語", "message"},
		{"--a--b--", "a-b"}, {"a/../b", "a-b"}, {"a\nb\x00c", "a-b-c"}, {"\xff\xfe", "message"}, {".git", "git"},
		{"İstanbul", "stanbul"}, {"\u212A9 kelvin", "9-kelvin"}, // Unicode would lower these to i and k
		{strings.Repeat("a", 50), strings.Repeat("a", 40)},
		{strings.Repeat("a", 39) + " bcd", strings.Repeat("a", 39)},
		{strings.Repeat("a", 38) + " bcd", strings.Repeat("a", 38) + "-b"},
		{strings.Repeat("é", 500) + "x", "x"},
	} {
		if got := Slug(tt.subject); got != tt.want {
			t.Errorf("Slug(%q) = %q, want %q", tt.subject, got, tt.want)
		}
	}
}

func TestParseStamp(t *testing.T) {
	for _, s := range []Stamp{{}, {1, 0}, {1795237442123, 7}, {math.MaxInt64, math.MaxInt64}} {
		if got := ParseStamp(s.String()); got != s {
			t.Errorf("ParseStamp(%q) = %v", s, got)
		}
	}
	for _, bad := range []string{"", "1", "1.", ".1", "1.2.3", "1.2x", " 1.2", "1.2 ", "+1.2", "1.+2", "-1.2", "1.-2", "01.2", "1.02", "1,2", "0x1.2", "99999999999999999999.1", "1.2\n"} {
		if got := ParseStamp(bad); got != (Stamp{}) {
			t.Errorf("ParseStamp(%q) = %v", bad, got)
		}
	}
}

func TestStampJSON(t *testing.T) {
	var s Stamp
	for _, bad := range []string{`null`, `[]`, `[1]`, `[1,2,3]`, `["1",2]`, `[-1,2]`, `[1,-2]`, `[1.0,2]`, `[1e3,2]`, `{"MS":1}`, `"1.2"`, `[99999999999999999999,0]`, `[1,2`} {
		if err := s.UnmarshalJSON([]byte(bad)); err == nil {
			t.Errorf("%s is taken for the stamp %v", bad, s)
		}
	}
	for _, s := range []Stamp{{-1, 0}, {0, -1}} {
		if data, err := json.Marshal(s); err == nil {
			t.Errorf("%v becomes %s", s, data)
		}
	}
}

func TestTimeJSON(t *testing.T) {
	for _, tt := range []struct {
		ms   Time
		text string
	}{
		{0, "1970-01-01T00:00:00.000Z"}, {1, "1970-01-01T00:00:00.001Z"}, {1795237442123, "2026-11-21T05:04:02.123Z"},
		{maxTime, "9999-12-31T23:59:59.999Z"}, {951782400000, "2000-02-29T00:00:00.000Z"},
	} {
		data, err := json.Marshal(tt.ms)
		if err != nil || string(data) != `"`+tt.text+`"` {
			t.Errorf("%d becomes %s, %v", tt.ms, data, err)
		}
		var got Time
		if err := json.Unmarshal(data, &got); err != nil || got != tt.ms {
			t.Errorf("%s becomes %d, %v", data, got, err)
		}
	}
	for _, bad := range []Time{-1, maxTime + 1, math.MaxInt64, math.MinInt64} {
		if data, err := json.Marshal(bad); err == nil {
			t.Errorf("%d becomes %s", bad, data)
		}
	}
	for _, bad := range []string{
		`""`, `null`, `5`, `"2026-11-21"`, `"2026-11-21T05:04:02Z"`, `"2026-11-21T05:04:02.12Z"`, `"2026-11-21T05:04:02.1234Z"`,
		`"2026-11-21T05:04:02.123+00:00"`, `"2026-11-21T05:04:02,123Z"`, `"2026-11-21t05:04:02.123z"`, `"2026-11-21T5:04:02.123Z"`,
		`"2026-11-21T24:00:00.000Z"`, `"2026-11-21T05:60:02.123Z"`, `"2026-11-21T05:04:60.123Z"`, `"2026-02-29T05:04:02.123Z"`, `"2026-13-01T05:04:02.123Z"`,
		`"2026-00-01T05:04:02.123Z"`, `"1969-12-31T23:59:59.999Z"`, `"0000-01-01T00:00:00.000Z"`, `"10000-01-01T00:00:00.000Z"`, `"\u0032026-11-21T05:04:02.123Z"`,
	} {
		var got Time
		if err := json.Unmarshal([]byte(bad), &got); err == nil {
			t.Errorf("%s is taken for %s", bad, got)
		}
	}
}

// TestClock: stamps only grow, follow what was adopted or replaced, and are not
// dragged along by a clock that is too far ahead.
func TestClock(t *testing.T) {
	now := time.UnixMilli(1_000_000_000)
	skew := MaxSkew.Milliseconds()
	c := NewClock(Stamp{MS: 999_999_999, N: 5})
	if got := c.Next(now); got != (Stamp{1_000_000_000, 0}) {
		t.Errorf("first stamp %s", got)
	}
	if got := c.Next(now.Add(-time.Hour)); got != (Stamp{1_000_000_000, 1}) {
		t.Errorf("after the clock went back %s", got)
	}
	c.Adopt(Stamp{MS: now.UnixMilli() + skew, N: 9}, now)
	if got := c.Next(now); got != (Stamp{now.UnixMilli() + skew, 10}) {
		t.Errorf("after a stamp five minutes ahead %s", got)
	}
	c.Adopt(Stamp{MS: now.UnixMilli() + skew + 1}, now)
	if got := c.Next(now); got.MS != now.UnixMilli()+skew {
		t.Errorf("a stamp more than five minutes ahead was adopted: %s", got)
	}
	c.Adopt(Stamp{MS: 5}, now)
	if got := c.Next(now); got.N != 12 {
		t.Errorf("an old stamp moved the clock to %s", got)
	}
	far := Stamp{MS: now.Add(10 * 365 * 24 * time.Hour).UnixMilli(), N: 3}
	c.Overwrite(far)
	if got := c.Next(now); got.Compare(far) <= 0 {
		t.Errorf("%s does not beat the value it replaces, %s", got, far)
	}
	// A forged stamp makes no stamp run over: it would not decode.
	for _, s := range []Stamp{{5, math.MaxInt64}, {math.MaxInt64, math.MaxInt64}} {
		c := NewClock(Stamp{})
		c.Overwrite(s)
		if got := c.Next(time.UnixMilli(1)); got.MS < 0 || got.N < 0 || got.Compare(s) < 0 || s.MS < math.MaxInt64 && got.Compare(s) == 0 {
			t.Errorf("over %s the next stamp is %s", s, got)
		}
	}
}

func TestNamesEdge(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"", ""}, {"Blue Lake", "BlueLake"}, {"Blue-Lake_7!", "BlueLake7"}, {"Blüe", "Ble"}, {"\x00\xff", ""},
		{strings.Repeat("ab", 100), strings.Repeat("ab", 64)}, {strings.Repeat("é", 200) + "x", "x"},
	} {
		if got := CleanName(tt.in); got != tt.want {
			t.Errorf("CleanName(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
	for _, tt := range []struct {
		name string
		want bool
	}{
		{"BlueLake", true}, {"Ab", true}, {"A1", true}, {strings.Repeat("A", 64), true}, {strings.Repeat("A", 65), false}, {"A", false}, {"1A", false},
		{"Blue Lake", false}, {"Blué", false}, {"BLUE\n", false}, {"HUMANOVERSEER", false}, {"blue", false}, {"Blue~ab", false},
		{"ClaudeCode", false}, {"ReviewBot", false}, {"Everyone", false}, {"Abbot", false},
	} {
		if got := ValidName(tt.name); got != tt.want {
			t.Errorf("ValidName(%q) = %v", tt.name, got)
		}
	}
	for _, tt := range []struct {
		thread string
		want   bool
	}{
		{"FEAT-123", true}, {"a", true}, {"0.9_x-", true}, {"", false}, {"-a", false}, {".a", false}, {"_a", false}, {"a b", false}, {"a/b", false}, {"é", false}, {"a\n", false},
		{"a" + strings.Repeat("b", 127), true}, {"a" + strings.Repeat("b", 128), false},
	} {
		if got := ValidThread(tt.thread); got != tt.want {
			t.Errorf("ValidThread(%q) = %v", tt.thread, got)
		}
	}
	for topic, want := range map[string]bool{"a": true, "A_b-9": true, "-": true, "": false, "a.b": false, "a b": false, strings.Repeat("t", 64): true, strings.Repeat("t", 65): false} {
		if got := ValidTopic(topic); got != want {
			t.Errorf("ValidTopic(%q) = %v", topic, got)
		}
	}
	for in, want := range map[string]string{"YOUR_AGENT_NAME": "YOUR_AGENT", "my placeholder": "PLACEHOLDER", "<project>": "<PROJECT>", "{agent}": "{AGENT}", "x$PROJECT_KEY": "$PROJECT", "BlueLake": "", "": ""} {
		if got := Placeholder(in); got != want {
			t.Errorf("Placeholder(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestNewName(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	random := func(b []byte) { rnd.Read(b) }
	taken := map[string]bool{}
	for i := range 3000 {
		name := NewName(random, func(s string) bool { return taken[s] })
		if taken[name] || !ValidName(name) {
			t.Fatalf("NewName() = %q after %d others", name, i)
		}
		taken[name] = true
	}
	// Where every plain name is taken, a number tells them apart.
	plain := func(s string) bool { return !strings.ContainsAny(s, "0123456789") }
	if name := NewName(random, plain); plain(name) || !ValidName(name) {
		t.Errorf("NewName() = %q", name)
	}
}

func TestNearestEdge(t *testing.T) {
	names := []string{"BlueLake", "BlueLakes", "BlueLaker", "BlueLaked", "BlueLaken", "BlueLakex", "RedFox", ""}
	if got := Nearest("bluelake", names); len(got) != 5 || got[0] != "BlueLake" {
		t.Errorf("Nearest(bluelake) = %v", got)
	}
	if got := Nearest("", names); len(got) != 0 {
		t.Errorf("Nearest of nothing = %v", got)
	}
}

// TestEncodeIsReadable: what Encode accepts Decode accepts, whatever texts and
// times are in it: a record that cannot be read back can never be removed.
func TestEncodeIsReadable(t *testing.T) {
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "\xff", "a\xc3", `\ufffd`, `\\ufffd`, "\ufffd", "\u2028", "\n}\n---\n\n", "\x00", "<&>", `"`, `\`}))
	rapid.Check(t, func(t *rapid.T) {
		at := Time(rapid.OneOf(rapid.Int64(), rapid.Int64Range(0, int64(maxTime))).Draw(t, "at"))
		stamp := Stamp{rapid.Int64().Draw(t, "ms"), rapid.Int64().Draw(t, "n")}
		for i, r := range samples() {
			h := r.Head()
			h.At, h.HLC = at, stamp
			s, u := text.Draw(t, "s"), text.Draw(t, "u")
			switch r := r.(type) {
			case *Message:
				r.Subject, r.FromName, r.ToNames, r.IdempotencyKey, r.Body = s, u, slices.Repeat([]string{u}, len(r.To)), s, u
			case *AgentChange:
				r.Name, r.Task, r.Person = &s, &u, &u
			case *LeaseEvent:
				r.Note, r.Leases[0].Reason, r.Leases[0].Pattern, r.Leases[0].Since = s, u, s, at
			case *Contact:
				r.Reason, r.Expires = s, &at
			case *CommitSeen:
				r.Touched[0].Path = s
			case *Bypass:
				r.Reason, r.Event, r.Touched[0].Path = s, u, u
			case *SlotEvent:
				r.Slot, r.Agent, r.Branch, r.Since = s, u, s, at
			case *ProductLink:
				r.Name = s
			}
			data, err := Encode(r)
			if err != nil {
				continue
			}
			got, err := Decode(r.Path(), data)
			if err != nil {
				var cause error = AsError(err)
				for errors.Unwrap(cause) != nil {
					cause = errors.Unwrap(cause)
				}
				t.Fatalf("sample %d (%T) is written as\n%s\nand does not decode: %v", i, r, data, cause)
			}
			if again, err := Encode(got); err != nil || !bytes.Equal(again, data) {
				t.Fatalf("sample %d (%T) changes when it is read: %v", i, r, err)
			}
		}
	})
}

func TestEncodeRefusesWhatIsTooLong(t *testing.T) {
	long := strings.Repeat("x", MaxEvent)
	h := head()
	for _, r := range []Record{
		&AgentChange{Header: h, Agent: h.By, Task: &long},
		&Bypass{Header: h, Reason: long, Touched: []Touched{}},
		&Message{Header: h, To: []string{}, ToNames: []string{}, Importance: Low, IdempotencyKey: long},
		&Message{Header: h, To: []string{}, ToNames: []string{}, Importance: Low, Body: strings.Repeat("x", MaxBody+1)},
	} {
		if data, err := Encode(r); err == nil {
			t.Errorf("%T of %d bytes is written", r, len(data))
		}
	}
	m := &Message{Header: h, To: []string{}, ToNames: []string{}, Importance: Low, Body: strings.Repeat("x", MaxBody)}
	data, err := Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Decode(m.Path(), data); err != nil {
		t.Errorf("a body of %d bytes: %v", MaxBody, err)
	}
}
