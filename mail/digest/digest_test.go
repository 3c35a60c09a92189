package digest

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/git-agentmail/git-agentmail/mail"
)

// thread makes messages of bodies, each of another agent, the oldest first.
func thread(bodies ...string) []*mail.Message {
	var list []*mail.Message
	for i, b := range bodies {
		m := &mail.Message{Body: b}
		m.By = fmt.Sprint("agent", i)
		list = append(list, m)
	}
	return list
}

func ownName(id string) string { return id }

type texts = []string

const status = `Hi @GreenCastle,

The auth refactor is half done. Tests pass on my side, e.g. in CI; see
src/auth/jwt.go:12 and pkg/__init__.py for the details.

## Done

- Moved the **token** check to ` + "`src/auth/token.go:40-52`" + `
- Dropped ` + "`verify_legacy()`" + `, nobody called it
  - its test went with it
1. First [step](https://example.com/a/b.html) of the plan

## Open

- [x] Write the parser
- [ ] Ask @bluelake about the key rotation
* [X] Tick with a star

TODO: run the fuzzer overnight.
BLOCKED on the review by @GreenCastle.

> TODO: this is what you wrote, @RedFox
> - quoted item in ` + "`quoted.go`" + `

` + "```go\n// TODO: not this, @Nobody\n- not/an/item.go\n```" + `

<!-- TODO: nor this -->
`

func TestSummarize(t *testing.T) {
	messages := thread(status, "Sure, @RedFox and @greencastle.\n\n- [x] ask @BlueLake about the key rotation\n- Rotation is weekly\n")
	got := Summarize(messages, func(id string) string { return map[string]string{"agent0": "RedFox", "agent1": "BlueLake"}[id] }, 0)
	want := mail.Summary{
		Participants: texts{"BlueLake", "RedFox"},
		KeyPoints: texts{
			"Moved the token check to src/auth/token.go:40-52",
			"Dropped verify_legacy(), nobody called it",
			"its test went with it",
			"First step of the plan",
			"Rotation is weekly",
		},
		ActionItems: texts{
			"TODO: run the fuzzer overnight.",
			"BLOCKED on the review by @GreenCastle.",
			"[x] Write the parser",
			"[x] Tick with a star",
			"[x] ask @BlueLake about the key rotation",
		},
		TotalMessages:  2,
		DoneActions:    3,
		Mentions:       []mail.Mention{{Name: "GreenCastle", Count: 3}, {Name: "bluelake", Count: 2}, {Name: "RedFox", Count: 1}},
		CodeReferences: texts{"pkg/__init__.py", "src/auth/jwt.go:12", "src/auth/token.go:40-52"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", inJSON(t, got), inJSON(t, want))
	}
}

func inJSON(t testing.TB, v any) string {
	t.Helper()
	data, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestNothingToSummarize(t *testing.T) {
	const nothing = `{"participants":[],"key_points":[],"action_items":[],"total_messages":0,"open_actions":0,"done_actions":0,"mentions":[]}`
	for _, messages := range [][]*mail.Message{nil, thread()} {
		data, err := json.Marshal(Summarize(messages, ownName, 0))
		if err != nil || string(data) != nothing {
			t.Errorf("%s, %v", data, err)
		}
	}
	s := Summarize(thread("", " \n\n", "```\ncode\n```\n"), ownName, 0)
	if s.TotalMessages != 3 || len(s.Participants) != 3 || len(s.KeyPoints)+len(s.ActionItems) != 0 {
		t.Errorf("of empty bodies: %+v", s)
	}
	data, err := json.Marshal(Aggregate(nil, 0))
	if err != nil || string(data) != `{"top_mentions":[],"action_items":[],"key_points":[]}` {
		t.Errorf("of no threads: %s, %v", data, err)
	}
}

func TestKeyPoints(t *testing.T) {
	for _, tt := range []struct {
		name   string
		bodies texts
		want   texts
	}{
		{"bullets of all kinds", texts{"- a\n* b\n+ c\n\n1. d\n2) e\n"}, texts{"a", "b", "c", "d", "e"}},
		{"a list right after text", texts{"Changes:\n- a\n- b\n"}, texts{"a", "b"}},
		{"nested", texts{"- a\n  - b\n    1. c\n"}, texts{"a", "b", "c"}},
		{"wrapped", texts{"- a long\n  item,\n  in lines\n"}, texts{"a long item, in lines"}},
		{"only the first paragraph", texts{"- a\n\n  b\n\n- c\n"}, texts{"a", "c"}},
		{"loose", texts{"- a\n\n- b\n"}, texts{"a", "b"}},
		{"an item of code", texts{"- ```\n  x\n  ```\n- b\n"}, texts{"b"}},
		{"empty items", texts{"-\n- b\n- \n"}, texts{"b"}},
		{"marks are dropped", texts{"- **a** _b_ `c` [d](e) ![f](g) <https://h.org>\n"}, texts{"a b c d f https://h.org"}},
		{"marks in paths are kept", texts{"- in pkg/__init__.py, __tests__/a.js, src/*.go and lib/*.go\n"}, texts{"in pkg/__init__.py, __tests__/a.js, src/*.go and lib/*.go"}},
		{"type parameters are kept", texts{"- Option<String> <T>\n"}, texts{"Option<String> <T>"}},
		{"a tag in code", texts{"- `<div>`\n"}, texts{"<div>"}},
		{"escapes and references", texts{"- \\*a\\* &lt;b&gt; &amp; `\\*&lt;`\n"}, texts{"*a* <b> & \\*&lt;"}},
		{"references that would break the line", texts{"- a&#10;b&#27;[1mc&#x202e;d\n"}, texts{"a b [1mc d"}},
		{"without repetition", texts{"- a\n- b\n- A\n", "- a\n"}, texts{"b", "a"}},
		{"tasks are none", texts{"- [ ] a\n- b\n"}, texts{"b"}},
		{"not from quotes and code", texts{"> - a\n\n    - b\n\n```\n- c\n```\n\n- d\n"}, texts{"d"}},
		{"in an element", texts{"<plan>\n- a\n</plan>\n\n<details>\n<summary>More</summary>\n- b\n</details>\n"}, texts{"a", "b"}},
		{"CRLF", texts{"- a\r\n- b\r\n"}, texts{"a", "b"}},
		{"CR", texts{"- a\r- b\r"}, texts{"a", "b"}},
		{"headings", texts{"# A *b*\n\ntext\n\nC\n===\n", "more\n\n## D ##\n"}, texts{"A b", "C", "D"}},
		{"headings though there are tasks", texts{"# A\n\n- [ ] b\n"}, texts{"A"}},
		{"no headings if there are items", texts{"# A\n\n- b\n", "# C\n"}, texts{"b"}},
		{"sentences", texts{"Hello.  World\n", "It is e.g. v1.2 in a.go. Next one", "Why? Because", "没有。好"}, texts{"Hello.", "It is e.g. v1.2 in a.go.", "Why?", "没有。"}},
		{"the sentence in an element", texts{"<reply>\nIt works.\n</reply>\n"}, texts{"It works."}},
		{"the sentence after a greeting", texts{"Hi Bob,\n\nit works\nnow. Bye\n"}, texts{"it works now."}},
		{"the sentence after a table", texts{"| a | b |\n|---|---|\n\nIt works\n"}, texts{"It works"}},
		{"no sentence of a quote", texts{"> Does it?\n\nYes.\n"}, texts{"Yes."}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Summarize(thread(tt.bodies...), ownName, 0).KeyPoints; !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestActionItems(t *testing.T) {
	for _, tt := range []struct {
		name       string
		bodies     texts
		want       texts
		open, done int
	}{
		{"tasks", texts{"- [x] a\n- [ ] b\n1. [X] c\n"}, texts{"[ ] b", "[x] a", "[x] c"}, 1, 2},
		{"nested tasks", texts{"- [ ] a\n  - [x] b\n"}, texts{"[ ] a", "[x] b"}, 1, 1},
		{"with marks", texts{"- [ ] **a** `b`\n"}, texts{"[ ] a b"}, 1, 0},
		{"what is no task", texts{"- [x](y)\n- [ ]a\n- `[ ]` b\n- \\[ ] c\n- [y] d\n\n[ ] e\n"}, texts{}, 0, 0},
		{"empty tasks", texts{"- [ ]\n- [x] \n"}, texts{}, 0, 0},
		{"each word", texts{"TODO a\nno\nACTION: b\nFIXME(c)\nthe NEXT d\n**BLOCKED** e\n"}, texts{"TODO a", "ACTION: b", "FIXME(c)", "the NEXT d", "BLOCKED e"}, 0, 0},
		{"whole words in upper case", texts{"todo a\nTODOs b\nNEXT_PUBLIC_URL c\nUNBLOCKED d\nACTIONS e\nFixme f\n"}, texts{}, 0, 0},
		{"an item with a word", texts{"- TODO: a,\n  later\n- b\n"}, texts{"TODO: a, later"}, 0, 0},
		{"a later paragraph of an item", texts{"- a\n\n  c\n  FIXME b\n"}, texts{"FIXME b"}, 0, 0},
		{"a task with a word is listed once", texts{"- [ ] TODO a\n"}, texts{"[ ] TODO a"}, 1, 0},
		{"a table", texts{"| file | state |\n|---|---|\n| a.go | BLOCKED |\n"}, texts{"| a.go | BLOCKED |"}, 0, 0},
		{"not from headings, quotes, code and comments", texts{"# TODO\n\n> TODO a\n> - [ ] b\n\n    TODO c\n\n```\nTODO d\n- [ ] e\n```\n\n<!-- TODO f\n- [ ] g -->\n\n<pre>\nTODO h\n</pre>\n\nthe `TODO` i\n"}, texts{}, 0, 0},
		{"open ones first, the newest last", texts{"- [x] a\n- [ ] b\n", "- [ ] c\n- [x] d\n\nTODO e\n"}, texts{"[ ] b", "[ ] c", "TODO e", "[x] a", "[x] d"}, 2, 2},
		{"a task that was done later", texts{"- [ ] a\n- [ ] b\n", "- [x] a\n"}, texts{"[ ] b", "[x] a"}, 1, 1},
		{"a task that was taken up again", texts{"- [x] a\n- [ ] b\n", "- [ ] A\n"}, texts{"[ ] b", "[ ] A"}, 2, 0},
		{"a task that is spoken of", texts{"- [x] TODO a\n", "TODO a\n"}, texts{"[x] TODO a"}, 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := Summarize(thread(tt.bodies...), ownName, 0)
			if !slices.Equal(s.ActionItems, tt.want) || s.OpenActions != tt.open || s.DoneActions != tt.done {
				t.Errorf("got %q, %d open, %d done; want %q, %d, %d", s.ActionItems, s.OpenActions, s.DoneActions, tt.want, tt.open, tt.done)
			}
		})
	}
}

func TestMentions(t *testing.T) {
	for _, tt := range []struct {
		name string
		body string
		want []mail.Mention
	}{
		{"places", "@A1, (@B) **@C** \"@D\" _@E_ @F's\n- @G\n\n# @H\n\n| @I |\n", []mail.Mention{{Name: "A1", Count: 1}, {Name: "B", Count: 1}, {Name: "C", Count: 1}, {Name: "D", Count: 1}, {Name: "E", Count: 1}, {Name: "F", Count: 1}, {Name: "G", Count: 1}, {Name: "H", Count: 1}, {Name: "I", Count: 1}}},
		{"case and order", "@bob @Ann @ANN @Bob @ann", []mail.Mention{{Name: "Ann", Count: 3}, {Name: "bob", Count: 2}}},
		{"ends", "@BlueLake. @RedFox: @Gold-Fox- @Blue_Lake_ @BlueLake~7q!", []mail.Mention{{Name: "BlueLake", Count: 1}, {Name: "RedFox", Count: 1}, {Name: "Gold-Fox", Count: 1}, {Name: "Blue_Lake", Count: 1}, {Name: "BlueLake~7q", Count: 1}}},
		{"other scripts", "请@BlueLake看一下", []mail.Mention{{Name: "BlueLake", Count: 1}}},
		{"what is none", "bob@example.org <bob@example.org> x_@example.org @example.org @scope/pkg @@a a@b @ b @1 @-c https://x.org/@d `@e` @" + strings.Repeat("f", 65), []mail.Mention{}},
		{"code and quotes", "```\n@a\n```\n\n> @b\n\n    @c\n", []mail.Mention{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Summarize(thread(tt.body), ownName, 0).Mentions; !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestCodeReferences(t *testing.T) {
	for _, tt := range []struct {
		name string
		body string
		want texts
	}{
		{"in code spans", "`a/b` `main.go` `x.py:3` `x.rs:3-9` `y.c#L1` `y.h#L1-L22` `z.go:Parse` `src/**/*.ts` `app/[id]/page.tsx` `mail/`", texts{"a/b", "app/[id]/page.tsx", "mail/", "main.go", "src/**/*.ts", "x.py:3", "x.rs:3-9", "y.c#L1", "y.h#L1-L22", "z.go:Parse"}},
		{"an unknown extension with a line", "`a.xyz:7` `a.xyz` `README.MD`", texts{"README.MD", "a.xyz:7"}},
		{"code that is no file", "`os.Exit` `fmt.Println()` `user.id` `v1.2` `a.go b` `a / b` `https://x.org/a.go` `//nolint:all` `</div>` `*/` `1/2` `.go` `-I/usr/include`", nil},
		{"in text", "See src/auth/jwt.go:12, (lib/a.py), ./b/c.rs! \"d/e.ts:3:7\"; f/g.md#L5-L9. **h/i.c** /etc/a.conf", texts{"./b/c.rs", "/etc/a.conf", "d/e.ts:3:7", "f/g.md#L5-L9", "h/i.c", "lib/a.py", "src/auth/jwt.go:12"}},
		{"the path before something else", "in a/b.go:Parse and a/c.go#top", texts{"a/b.go", "a/c.go"}},
		{"text that is no file", "and/or 1/2.5 a/b main.go http://x.org/a.go <https://x.org/b.go> ssh://h/c.go www.x.org/d.html github.com/a/b.go localhost:80/e.js his/her.Then //x.y/f.js -I/usr/a.h", nil},
		{"joined", "a/b.go,c/d.go;e/f.go|g/h.go", texts{"a/b.go", "c/d.go", "e/f.go", "g/h.go"}},
		{"once", "`a/b.go` a/b.go\n\n- a/b.go a/B.go\n", texts{"a/B.go", "a/b.go"}},
		{"not from blocks of code and quotes", "```\na/b.go\n```\n\n    c/d.go\n\n> e/f.go `g/h.go`\n", nil},
		{"not from links, but from their text", "[a/b.go](https://x.org/c/d.go)", texts{"a/b.go"}},
		{"too long", "`" + strings.Repeat("a", fileLength) + "/b.go` " + strings.Repeat("a", fileLength) + "/b.go", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Summarize(thread(tt.body), ownName, 0).CodeReferences; !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestPlaces: where there is too much, newer messages go before older ones, and
// in a message what stands higher before what stands lower.
func TestPlaces(t *testing.T) {
	var bodies texts
	for m := range 4 {
		var b strings.Builder
		for i := range 4 {
			fmt.Fprintf(&b, "- point %d.%d\n- [ ] open %[1]d.%[2]d\n- [x] done %[1]d.%[2]d\n- `f/%[1]d.%[2]d.go` @a%[1]d%[2]d @z9\n", m, i)
		}
		bodies = append(bodies, b.String())
	}
	s := Summarize(thread(bodies...), ownName, 0)
	if want := (texts{"[ ] open 1.0", "[ ] open 1.1", "[ ] open 2.0", "[ ] open 2.1", "[ ] open 2.2", "[ ] open 2.3", "[ ] open 3.0", "[ ] open 3.1", "[ ] open 3.2", "[ ] open 3.3"}); !slices.Equal(s.ActionItems, want) {
		t.Errorf("actions %q", s.ActionItems)
	}
	if s.OpenActions != 16 || s.DoneActions != 16 {
		t.Errorf("%d open, %d done", s.OpenActions, s.DoneActions)
	}
	if len(s.KeyPoints) != 10 || s.KeyPoints[9] != "f/3.3.go @a33 @z9" || s.KeyPoints[0] != "point 2.0" {
		t.Errorf("points %q", s.KeyPoints)
	}
	if len(s.CodeReferences) != 10 || s.CodeReferences[0] != "f/1.0.go" || s.CodeReferences[1] != "f/1.1.go" || s.CodeReferences[9] != "f/3.3.go" {
		t.Errorf("files %q", s.CodeReferences)
	}
	if len(s.Mentions) != 10 || s.Mentions[0] != (mail.Mention{Name: "z9", Count: 16}) || s.Mentions[1] != (mail.Mention{Name: "a00", Count: 1}) {
		t.Errorf("mentions %v", s.Mentions)
	}
}

func TestShorten(t *testing.T) {
	word := strings.Repeat("é", 49) + " "
	for _, tt := range []struct{ in, want string }{
		{strings.Repeat("é", 200), strings.Repeat("é", 200)},
		{strings.Repeat("é", 201), strings.Repeat("é", 199) + "…"},
		{strings.Repeat(word, 3) + strings.Repeat("é", 50), strings.Repeat(word, 3) + strings.Repeat("é", 50)},
		{strings.Repeat(word, 3) + strings.Repeat("é", 51), strings.TrimSpace(strings.Repeat(word, 3)) + "…"},
		{strings.Repeat(word, 3) + strings.Repeat("é", 49) + " é", strings.TrimSpace(strings.Repeat(word, 4)) + "…"},
		{"a " + strings.Repeat("é", 300), "a " + strings.Repeat("é", 197) + "…"},
	} {
		if got := shorten(tt.in); got != tt.want {
			t.Errorf("%q of %q", got, tt.in)
		}
	}
	long := Summarize(thread("- [ ] "+strings.Repeat(word, 9)+"\n- "+strings.Repeat(word, 9)), ownName, 0)
	for _, s := range append(long.ActionItems, long.KeyPoints...) {
		if n := utf8.RuneCountInString(s); n > pointLength || n < 150 || !strings.HasSuffix(s, "é…") {
			t.Errorf("%d characters: %q", n, s)
		}
	}
}

// TestBudget: the summary fits as long as there is something to drop, and what is
// dropped is what the documentation says.
func TestBudget(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	for range 10 {
		var bodies texts
		for range 1 + rnd.Intn(6) {
			var b strings.Builder
			for range rnd.Intn(12) {
				fmt.Fprintf(&b, pick(rnd, texts{"- point <%d>\n", "- [ ] open %d\n", "- [x] done %d\n", "\nTODO %d\n\n", "\n`a/b%d.go`\n\n", "\n@name%d\n\n"}), rnd.Intn(1000))
			}
			bodies = append(bodies, b.String())
		}
		messages := thread(bodies...)
		whole := Summarize(messages, ownName, 0)
		last := whole
		for budget := tokens(whole) + 1; budget > 0; budget-- {
			s := Summarize(messages, ownName, budget)
			if !slices.Equal(s.Participants, whole.Participants) || s.TotalMessages != whole.TotalMessages || s.OpenActions != whole.OpenActions || s.DoneActions != whole.DoneActions {
				t.Fatalf("budget %d: participants or numbers of\n%s\nare not those of\n%s", budget, inJSON(t, s), inJSON(t, whole))
			}
			if n := len(s.ActionItems) + len(s.Mentions) + len(s.CodeReferences) + len(s.KeyPoints); tokens(s) > budget && n > 0 {
				t.Fatalf("budget %d: %d tokens with %d entries", budget, tokens(s), n)
			}
			if tokens(whole) <= budget && !reflect.DeepEqual(s, whole) {
				t.Fatalf("budget %d of %d: something is dropped", budget, tokens(whole))
			}
			done := countDone(s.ActionItems)
			switch {
			case len(s.Mentions) < len(whole.Mentions) && done > 0,
				len(s.CodeReferences) < len(whole.CodeReferences) && len(s.Mentions) > 0,
				len(s.KeyPoints) < len(whole.KeyPoints) && len(s.CodeReferences) > 0,
				len(s.ActionItems)-done < len(whole.ActionItems)-countDone(whole.ActionItems) && len(s.KeyPoints) > 0:
				t.Fatalf("budget %d: dropped in another order:\n%s\nof\n%s", budget, inJSON(t, s), inJSON(t, whole))
			}
			if n := len(s.ActionItems) - done; n > 0 && !subsequence(s.ActionItems, last.ActionItems) || !subsequence(s.KeyPoints, last.KeyPoints) {
				t.Fatalf("budget %d: a smaller budget brings something up", budget)
			}
			last = s
		}
		if n := len(last.ActionItems) + len(last.Mentions) + len(last.CodeReferences) + len(last.KeyPoints); n > 0 {
			t.Fatalf("%d entries with a budget of one token", n)
		}
	}
}

func countDone(actions texts) (n int) {
	for _, a := range actions {
		if strings.HasPrefix(a, mail.DoneMark) {
			n++
		}
	}
	return n
}

func subsequence(some, of texts) bool {
	for _, s := range of {
		if len(some) > 0 && some[0] == s {
			some = some[1:]
		}
	}
	return len(some) == 0
}

// TestBudgetKeepsNewest: of open actions those of newer messages stay longer.
func TestBudgetKeepsNewest(t *testing.T) {
	messages := thread("- [ ] oldest\n", "- [ ] first\n- [ ] second\n- [x] done\n- point\n", "- [ ] newest\n")
	bare := Summarize(thread("", "", ""), ownName, 0)
	bare.OpenActions, bare.DoneActions = 4, 1
	for _, want := range []texts{{}, {"[ ] newest"}, {"[ ] first", "[ ] newest"}, {"[ ] first", "[ ] second", "[ ] newest"}, {"[ ] oldest", "[ ] first", "[ ] second", "[ ] newest"}} {
		bare.ActionItems = want
		if got := Summarize(messages, ownName, tokens(bare)); !slices.Equal(got.ActionItems, want) || len(got.KeyPoints) > 0 {
			t.Errorf("got %q and %q, want %q", got.ActionItems, got.KeyPoints, want)
		}
	}
}

func TestAggregate(t *testing.T) {
	got := Aggregate([]mail.Summary{
		{KeyPoints: texts{"a", "b"}, ActionItems: texts{"[ ] c", "TODO d", "[x] e"}, Mentions: []mail.Mention{{Name: "Ann", Count: 2}, {Name: "Bob", Count: 2}}},
		{KeyPoints: texts{"B", "f"}, ActionItems: texts{"[ ] g", "[x] h", "[x] E"}, Mentions: []mail.Mention{{Name: "bob", Count: 1}}},
		{},
	}, 0)
	want := mail.Overview{
		TopMentions: []mail.Mention{{Name: "Bob", Count: 3}, {Name: "Ann", Count: 2}},
		ActionItems: texts{"[ ] c", "TODO d", "[ ] g", "[x] e", "[x] h"},
		KeyPoints:   texts{"a", "b", "f"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestAggregateShares: no thread takes the places of another, and none is left empty.
func TestAggregateShares(t *testing.T) {
	var list []mail.Summary
	for i, n := range []int{10, 1, 10, 10} {
		var s mail.Summary
		for j := range n {
			s.KeyPoints = append(s.KeyPoints, fmt.Sprintf("%d.%d", i, j))
			s.ActionItems = append(s.ActionItems, fmt.Sprintf("[ ] %d.%d", i, j))
			s.Mentions = append(s.Mentions, mail.Mention{Name: fmt.Sprintf("a%d%d", i, j), Count: 1})
		}
		list = append(list, s)
	}
	o := Aggregate(list, 0)
	count := map[byte]int{}
	for _, p := range o.KeyPoints {
		count[p[0]]++
	}
	if want := map[byte]int{'0': 8, '1': 1, '2': 8, '3': 8}; !maps.Equal(count, want) || !slices.IsSorted(o.KeyPoints) {
		t.Errorf("points %q", o.KeyPoints)
	}
	if len(o.ActionItems) != 25 || o.ActionItems[0] != "[ ] 0.2" || len(o.TopMentions) != 10 {
		t.Errorf("actions %q, mentions %v", o.ActionItems, o.TopMentions)
	}
}

// TestAggregateBudget: an overview fits as long as there is something to drop, and the
// threads lose alike.
func TestAggregateBudget(t *testing.T) {
	var list []mail.Summary
	for i := range 3 {
		var s mail.Summary
		for j := range 10 {
			s.KeyPoints = append(s.KeyPoints, fmt.Sprintf("point %d.%d", i, j))
			mark := []string{mail.OpenMark, mail.DoneMark, ""}[j%3]
			s.ActionItems = append(s.ActionItems, mark+fmt.Sprintf("action %d.%d", i, j))
			s.Mentions = append(s.Mentions, mail.Mention{Name: fmt.Sprintf("a%d", j), Count: j + 1})
		}
		list = append(list, s)
	}
	whole := Aggregate(list, 0)
	if !reflect.DeepEqual(Aggregate(list, tokens(whole)), whole) {
		t.Error("something is dropped though all fits")
	}
	entries := func(o mail.Overview) int { return len(o.ActionItems) + len(o.TopMentions) + len(o.KeyPoints) }
	last := whole
	for budget := tokens(whole); budget > 0; budget-- {
		o := Aggregate(list, budget)
		done := countDone(o.ActionItems)
		switch {
		case tokens(o) > budget && entries(o) > 0:
			t.Fatalf("budget %d: %d tokens with %d entries", budget, tokens(o), entries(o))
		case len(o.TopMentions) < len(whole.TopMentions) && done > 0,
			len(o.KeyPoints) < len(whole.KeyPoints) && len(o.TopMentions) > 0,
			len(o.ActionItems)-done < len(whole.ActionItems)-countDone(whole.ActionItems) && len(o.KeyPoints) > 0:
			t.Fatalf("budget %d: dropped in another order:\n%s", budget, inJSON(t, o))
		case entries(o) > entries(last) || o.ActionItems == nil || o.KeyPoints == nil:
			t.Fatalf("budget %d: more than with a larger one, or a list is null", budget)
		}
		share := map[string]int{}
		for _, p := range o.KeyPoints {
			share[strings.Fields(p)[1][:1]]++
		}
		if n := len(o.KeyPoints); n >= 3 && (share["0"]-share["2"] > 1 || share["2"] == 0) {
			t.Fatalf("budget %d: shares %v", budget, share)
		}
		last = o
	}
	if entries(last) > 0 {
		t.Errorf("%d entries with a budget of one token", entries(last))
	}
}

func TestLines(t *testing.T) {
	got := Lines([]string{" a\n b ", "", "\x1b[31mred\x1b[0m", "A B", "\u202eturned", "\xff", strings.Repeat("word ", 100), "one too many"}, 5)
	if want := (texts{"a b", "red", "turned", "\uFFFD"}); len(got) != 5 || !slices.Equal(got[:4], want) {
		t.Errorf("got %q, want %q and one more", got, want)
	}
	for _, s := range got {
		checkLine(t, s, 1, pointLength)
	}
	if got := Lines(nil, 5); got == nil || len(got) != 0 {
		t.Errorf("of nothing: %#v", got)
	}
}

// hostile are bodies that are slow to parse, or would be, each as long as what
// is read of one.
func hostile() map[string]string {
	fill := func(s string) string { return strings.Repeat(s, readBody/len(s)+1)[:readBody] }
	blocks := func(n int, a, b string) string {
		return fill(strings.Repeat(a, n) + strings.Repeat(b, n) + "\n\n")
	}
	var ticks, stairs strings.Builder
	for i := 1; ticks.Len() < readBody; i++ {
		ticks.WriteString("a" + strings.Repeat("`", i))
	}
	for i := 0; stairs.Len() < readBody/2; i++ {
		stairs.WriteString(strings.Repeat(" ", 2*i) + "- a\n")
	}
	return map[string]string{
		"emphasis":               fill("*a_ "),
		"emphasis in a heading":  "# " + fill("*a_ "),
		"emphasis in paragraphs": blocks(readMarks/2, "*a ", "b_ "),
		"brackets":               fill("["),
		"brackets in paragraphs": blocks(readMarks/2, "[", "]"),
		"links":                  fill("[a](("),
		"links without a text":   fill("[]("),
		"links with a title":     fill(`[a](b "`),
		"images":                 strings.Repeat("![", readBody/8) + strings.Repeat("](a)", readBody/8),
		"ticks":                  ticks.String(),
		"tags":                   fill("<a "),
		"comments":               fill("x <!--\n"),
		"quotes":                 fill(">"),
		"items in one line":      fill("- "),
		"items, then blanks":     strings.Repeat("- ", readBody/4) + "x\n" + strings.Repeat("\n", readBody/2) + "y",
		"stairs":                 stairs.String() + strings.Repeat("\n", readBody/2-1) + "a",
		"tables":                 strings.Repeat("|a", readBody/8) + "\n" + strings.Repeat("|-", readBody/8) + "\n" + fill("a\n"),
		"definitions":            fill("[a]: b '\n"),
		"references":             fill("&amp;"),
		"items":                  fill("- a\n"),
		"names":                  fill("@a-"),
		"files":                  fill("a/b.c "),
		"one word":               fill("a/"),
		"escapes":                fill("\x1b]"),
		"control characters":     fill("\x00\x7f\u009b\u202e\ufeff"),
		"not UTF-8":              fill("\xff\xc3("),
	}
}

// TestHostileBodies: whatever a body is, it is summarized, in bounded time. The
// bound is generous; without the limits of the parser the slowest take minutes.
func TestHostileBodies(t *testing.T) {
	bodies := hostile()
	bodies["much of everything"] = strings.Repeat(strings.Join(slices.Sorted(maps.Values(bodies)), "\n"), 4)
	for name, body := range bodies {
		start := time.Now()
		checkSummary(t, thread(body), 0)
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("%s: %v", name, d)
		}
	}
}

func TestTerminal(t *testing.T) {
	const body = "- \x1b[1;31mred\x1b[0m \x1b]8;;http://x\x1b\\link\x1b]0;title\a\x07 \x9b1m \u009b1m a\x00b\x1b\n" +
		"\x1b[32m- [ ] green\u202e\u200b\ufeff\x1b[0m @Bl\u200bueLake `a/\x1bb.go`\n" +
		"- a\u2028b\u0085c\u00a0d\v\fe 👩\u200d💻\n"
	s := Summarize(thread(body), func(string) string { return "Blue\x1b[1m\nLake\xff" }, 0)
	want := mail.Summary{
		Participants:   texts{"Blue [1m Lake\uFFFD"},
		KeyPoints:      texts{"red link \uFFFD1m 1m ab", "a bc de 👩\u200d💻"},
		ActionItems:    texts{"[ ] green @BlueLake a/b.go"},
		TotalMessages:  1,
		OpenActions:    1,
		Mentions:       []mail.Mention{{Name: "BlueLake", Count: 1}},
		CodeReferences: texts{"a/b.go"},
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("got\n%s\nwant\n%s", inJSON(t, s), inJSON(t, want))
	}
}

// TestReadBounds: what is past a bound is not read, but counted.
func TestReadBounds(t *testing.T) {
	var bodies texts
	for i := range readMessages + 5 {
		bodies = append(bodies, fmt.Sprintf("- [ ] task %d\n", i))
	}
	s := Summarize(thread(bodies...), ownName, 0)
	if s.TotalMessages != readMessages+5 || len(s.Participants) != readMessages+5 || s.OpenActions != readMessages {
		t.Errorf("%d messages of %d with %d tasks", s.TotalMessages, len(s.Participants), s.OpenActions)
	}

	long := strings.Repeat("word ", readBody/5) + "\n\n- [ ] too late\n"
	if s := Summarize(thread(long), ownName, 0); s.OpenActions != 0 {
		t.Error("a body is read to its end")
	}
	bodies = nil
	for i := range 2 * readThread / readBody {
		bodies = append(bodies, fmt.Sprintf("- [ ] task %d\n\n```\n%s", i, long))
	}
	if s := Summarize(thread(bodies...), ownName, 0); s.OpenActions != readThread/readBody || !slices.Contains(s.ActionItems, fmt.Sprintf("[ ] task %d", len(bodies)-1)) {
		t.Errorf("%d long messages are read: %q", s.OpenActions, s.ActionItems)
	}

	const far = readDepth * 2
	if s := Summarize(thread(strings.Repeat("- ", far)+"a @Name"), ownName, 0); len(s.KeyPoints) != 1 || len(s.Mentions) != 1 || !strings.HasSuffix(s.KeyPoints[0], "- a @Name") {
		t.Errorf("what is deep is no text: %q", s.KeyPoints)
	}
}

// checkSummary checks what is true of every summary.
func checkSummary(t testing.TB, messages []*mail.Message, budget int) {
	t.Helper()
	s := Summarize(messages, ownName, budget)
	if s.TotalMessages != len(messages) || s.OpenActions < 0 || s.DoneActions < 0 {
		t.Errorf("%d messages of %d, %d and %d actions", s.TotalMessages, len(messages), s.OpenActions, s.DoneActions)
	}
	if s.Participants == nil || s.KeyPoints == nil || s.ActionItems == nil || s.Mentions == nil {
		t.Error("a list is null")
	}
	if max(len(s.KeyPoints), len(s.ActionItems), len(s.Mentions), len(s.CodeReferences)) > 10 {
		t.Error("a list is too long")
	}
	for _, l := range []texts{s.KeyPoints, s.ActionItems} {
		for i, p := range l {
			checkLine(t, p, 1, pointLength)
			if slices.ContainsFunc(l[:i], func(q string) bool { return strings.EqualFold(p, q) }) && !strings.HasSuffix(p, "…") {
				t.Errorf("%q is repeated", p)
			}
		}
	}
	for _, f := range s.CodeReferences {
		checkLine(t, f, 3, fileLength)
		if strings.Contains(f, " ") || strings.Contains(f, "://") || !strings.ContainsAny(f, "/.") {
			t.Errorf("%q is no file", f)
		}
	}
	if !slices.IsSorted(s.CodeReferences) || !slices.IsSorted(s.Participants) {
		t.Error("not sorted")
	}
	for i, m := range s.Mentions {
		checkLine(t, m.Name, 1, nameLength)
		if m.Count < 1 || i > 0 && m.Count > s.Mentions[i-1].Count || strings.Trim(m.Name, alnum+"_-~") != "" {
			t.Errorf("mention %d of %v", i, s.Mentions)
		}
	}
	if n := len(s.KeyPoints) + len(s.ActionItems) + len(s.Mentions) + len(s.CodeReferences); budget > 0 && n > 0 && tokens(s) > budget {
		t.Errorf("%d tokens, the budget is %d", tokens(s), budget)
	}
	if again := Summarize(messages, ownName, budget); !reflect.DeepEqual(s, again) {
		t.Error("not the same the second time")
	}
}

func checkLine(t testing.TB, s string, least, most int) {
	t.Helper()
	n := utf8.RuneCountInString(s)
	if n < least || n > most || !utf8.ValidString(s) || strings.TrimSpace(s) != s || strings.Contains(s, "  ") ||
		strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || hidden(r) || unicode.IsSpace(r) && r != ' ' }) {
		t.Errorf("%q is not a clean line of %d to %d characters", s, least, most)
	}
}

func FuzzSummarize(f *testing.F) {
	f.Add(status, "", 0)
	f.Add(status, status, 100)
	f.Add("- \x1b[1ma\xff\n", "&#10;[x](<y\n> `z\n", 1)
	for _, body := range hostile() {
		f.Add(body[:200], body[len(body)-200:], 50)
	}
	f.Fuzz(func(t *testing.T, a, b string, budget int) {
		checkSummary(t, thread(a, b), max(budget, 0))
	})
}

func BenchmarkSummarize(b *testing.B) {
	messages := thread(slices.Repeat(texts{status}, 100)...)
	b.SetBytes(int64(100 * len(status)))
	for b.Loop() {
		Summarize(messages, ownName, 500)
	}
}

func pick[T any](rnd *rand.Rand, list []T) T { return list[rnd.Intn(len(list))] }
