package index

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCompileQuery(t *testing.T) {
	for _, tt := range []struct{ q, match string }{
		// Words, as in the table of the design.
		{"jwt", `{subject body ident} : "jwt"`},
		{"auth/jwt.go", `{subject body} : "auth jwt go"`},
		{"verifytoken", `{subject body ident} : "verifytoken" OR {ident} : "verifytoken"*`},
		{"verifyToken", `{subject body} : "verify Token" OR {subject body ident} : "verifyToken" OR {ident} : "verifyToken"*`},
		{"verify_token", `{subject body} : "verify token" OR {subject body ident} : "verifytoken" OR {ident} : "verifytoken"*`},
		{"aBc", `{subject body} : "a Bc" OR {subject body ident} : "aBc"`},
		{"ipv6", `{subject body} : "ipv 6" OR {subject body ident} : "ipv6" OR {ident} : "ipv6"*`},
		{"3fabc1", `{subject body ident} : "3fabc1" OR {ident} : "3fabc1"* OR {subject body} : "3fabc1"*`},
		{"abc123", `{subject body} : "abc 123" OR {subject body ident} : "abc123" OR {ident} : "abc123"* OR {subject body} : "abc 123"*`},
		{"3fab1", `{subject body ident} : "3fab1" OR {ident} : "3fab1"*`},
		{"1234_5", `{subject body} : "1234 5" OR {subject body ident} : "12345" OR {ident} : "12345"*`},
		{"本", `{subject body} : "本"*`},
		{"版本号", `{subject body} : "版本 本号"`},
		{"サーバーv2", `{subject body} : "サー ーバ バー ー v2"`},
		{"v2サーバー", `{subject body} : "v2 サー ーバ バー"`},
		{"v2版", `{subject body} : "v2 版"*`},
		{"Łódź", `{subject body ident} : "lódź"`},
		{"e\u0301te\u0301", `{subject body ident} : "ete"`},

		// What is around a word does not matter.
		{"-word", `{subject body ident} : "word"`},
		{"`jwt`,", `{subject body ident} : "jwt"`},
		{"*jwt", `{subject body ident} : "jwt"`},
		{" \t jwt \x00 *", `{subject body ident} : "jwt"`},
		{"a\x00b", `({subject body ident} : "a") AND ({subject body ident} : "b")`},
		{"a\xffb", `{subject body} : "a b"`},
		{"__jwt__", `{subject body ident} : "jwt"`},
		{"POL-358", `{subject body} : "POL 358"`},
		{"from:jwt", `{subject body} : "from jwt"`},
		{`^jwt {a}:`, `({subject body ident} : "jwt") AND ({subject body ident} : "a")`},

		// Beginnings.
		{"mig*", `{subject body ident} : "mig"*`},
		{"mig***", `{subject body ident} : "mig"*`},
		{"src/au*", `{subject body} : "src au"*`},
		{"src/*", `{subject body ident} : "src"`},
		{"src/*.go", `{subject body} : "src go"`},
		{"verifyTok*", `{subject body} : "verify Tok"* OR {subject body ident} : "verifyTok"*`},
		{"verify_*", `{subject body ident} : "verify"*`},
		{"サー*", `{subject body} : "サー"*`},
		{`"verify tok"*`, `{subject body} : "verify tok"*`},

		// Phrases.
		{`"verify token now"`, `{subject body} : "verify token now"`},
		{`"verifyToken"`, `{subject body} : "verify Token" OR {subject body ident} : "verifyToken"`},
		{`"jwt"`, `{subject body ident} : "jwt"`},
		{`"say ""jwt"" now"`, `{subject body} : "say jwt now"`},
		{`"サーバー v2"`, `{subject body} : "サー ーバ バー ー v2"`},
		{`"a AND (b"`, `{subject body} : "a AND b"`},
		{`a"b c"d`, `({subject body ident} : "a") AND ({subject body} : "b c") AND ({subject body ident} : "d")`},

		// Fields.
		{"subject:jwt", `{subject} : "jwt"`},
		{"Body:jwt", `{body} : "jwt"`},
		{"subject:verifyToken", `{subject} : "verify Token" OR {subject} : "verifyToken"`},
		{"subject:3fabc12", `{subject} : "3fabc12" OR {subject} : "3fabc12"*`},
		{"subject:mig*", `{subject} : "mig"*`},
		{"subject:本", `{subject} : "本"*`},
		{`body:"x y"`, `{body} : "x y"`},
		{"subject: a b", `({subject} : "a") AND ({subject body ident} : "b")`},
		{"subject:(a OR body:b) c", `(({subject} : "a") OR ({body} : "b")) AND ({subject body ident} : "c")`},
		{"subject:body:a", `{subject} : "body a"`},
		{"subject:AND", `{subject} : "AND"`},
		{"a subject:", `{subject body ident} : "a"`},

		// Operators, NOT before AND before OR, what stands side by side before all.
		{"a b", `({subject body ident} : "a") AND ({subject body ident} : "b")`},
		{"a and b", `({subject body ident} : "a") AND ({subject body ident} : "and") AND ({subject body ident} : "b")`},
		{"a AND b", `({subject body ident} : "a") AND ({subject body ident} : "b")`},
		{"a OR b AND c", `({subject body ident} : "a") OR (({subject body ident} : "b") AND ({subject body ident} : "c"))`},
		{"a OR b c", `({subject body ident} : "a") OR (({subject body ident} : "b") AND ({subject body ident} : "c"))`},
		{"(a OR b) c", `(({subject body ident} : "a") OR ({subject body ident} : "b")) AND ({subject body ident} : "c")`},
		{"a NOT b", `({subject body ident} : "a") NOT ({subject body ident} : "b")`},
		{"a NOT b c", `({subject body ident} : "a") NOT (({subject body ident} : "b") AND ({subject body ident} : "c"))`},
		{"a NOT b AND c", `(({subject body ident} : "a") NOT ({subject body ident} : "b")) AND ({subject body ident} : "c")`},
		{"a NOT b NOT c", `({subject body ident} : "a") NOT (({subject body ident} : "b") OR ({subject body ident} : "c"))`},
		{"a AND NOT b", `({subject body ident} : "a") NOT ({subject body ident} : "b")`},
		{"a AND NOT b AND c", `(({subject body ident} : "a") AND ({subject body ident} : "c")) NOT ({subject body ident} : "b")`},
		{"a OR *** OR b", `({subject body ident} : "a") OR ({subject body ident} : "b")`},
		{"a NOT ?", `{subject body ident} : "a"`},
		{"((((((a))))))", `{subject body ident} : "a"`},
		{"f(a)", `({subject body ident} : "f") AND ({subject body ident} : "a")`},

		// What does not parse is so many words.
		{"NOT a", `{subject body ident} : "a"`},
		{"* NOT a", `{subject body ident} : "a"`},
		{"a OR NOT b", `({subject body ident} : "a") AND ({subject body ident} : "b")`},
		{"a AND", `{subject body ident} : "a"`},
		{"AND a OR", `{subject body ident} : "a"`},
		{"a OR OR b", `({subject body ident} : "a") AND ({subject body ident} : "b")`},
		{"f()", `{subject body ident} : "f"`},
		{"(a OR b", `({subject body ident} : "a") AND ({subject body ident} : "b")`},
		{"a OR b)", `({subject body ident} : "a") AND ({subject body ident} : "b")`},
		{`"a b`, `({subject body ident} : "a") AND ({subject body ident} : "b")`},
		{`subject:"a mig*`, `({subject body ident} : "a") AND ({subject body ident} : "mig"*)`},
		{`"a AND subject:b`, `({subject body ident} : "a") AND ({subject} : "b")`},
		{"(((((((a OR b)))))))", `({subject body ident} : "a") AND ({subject body ident} : "b")`},

		// Nothing to search for.
		{"", ""}, {" ", ""}, {"*", ""}, {"**", ""}, {"***", ""}, {".", ""}, {"..", ""}, {"...", ""}, {"?", ""}, {"??", ""}, {"???", ""},
		{"AND", ""}, {"OR", ""}, {"NOT", ""}, {"AND NOT", ""}, {"()", ""}, {`""`, ""}, {`"""`, ""}, {`"`, ""}, {"_", ""}, {"subject:", ""},
		{"\x00", ""}, {"\xff", ""}, {"🚀", ""}, {"\u0301", ""},
	} {
		match, hits, ok := compileQuery(tt.q)
		if match != tt.match || ok != (tt.match != "") || ok != (hits != nil) {
			t.Errorf("compileQuery(%q) is %v,\n     %s\nwant %s", tt.q, ok, match, tt.match)
		}
	}
}

func TestCompileQueryLimits(t *testing.T) {
	for _, tt := range []struct {
		q     string
		words int
	}{
		{strings.Repeat("a ", maxWords), maxWords},
		{strings.Repeat("a ", maxWords+1), maxWords},
		{"(" + strings.Repeat("a OR ", maxWords) + "b)", maxWords},
		{strings.Repeat("(", 1<<20) + "a", 0},
		{"a " + strings.Repeat("(", 1<<20), 1},
		{strings.Repeat("subject: ", 1<<20), 1}, // where it is cut off there is "subj"
		{strings.Repeat("本", 1<<20), 1},
		{strings.Repeat("a/", 1<<20), 1},
		{strings.Repeat("a NOT ", 1<<20), maxWords},
	} {
		if _, hits, _ := compileQuery(tt.q); len(hits) != tt.words {
			t.Errorf("%.20q... has %d words, want %d", tt.q, len(hits), tt.words)
		}
	}
}

// marked is a text with what was found between brackets.
func marked(text string, hits [][2]int) string {
	for _, h := range slices.Backward(hits) {
		text = text[:h[0]] + "[" + text[h[0]:h[1]] + "]" + text[h[1]:]
	}
	return text
}

func TestFind(t *testing.T) {
	for _, tt := range []struct{ q, text string }{
		{"jwt", "verifyToken in src/auth/[jwt].go"},
		{"auth/jwt.go", "verifyToken in src/[auth/jwt.go]"},
		{"verifyToken", "[verifyToken] in src/auth/jwt.go"},
		{"verify_token", "[verifyToken] in src/auth/jwt.go"},
		{"verifytoken", "[verifyToken] in src/auth/jwt.go"},
		{"VERIFYTOKEN", "the [verify_token], not verify or token"},
		{"token", "verify[Token], HTTP_[TOKEN]_2, tokens"},
		{"verifyTok", "[verifyTokenAgain] and [verifyTok], not verify tokens"},
		{"ipv6", "an [IPv6Addr]"},
		{"server http", "[HTTPServer]"},
		{"index/writer", "the [index-writer]"},
		{"mig*", "[Migration] of [migs], not emig, by [migrate_all]"},
		{"src/au*", "see [src/auth]/jwt.go"},
		{`"verify token now"`, "[verifyToken now], verify the token now"},
		{"3fabc12", "commit [3fabc12d0e]"},
		{"abcd123", "commit [abcd1234e5]"},
		{"utf-8", "[utf8], [UTF_8]"},

		{"cafe", "[Café], [cafe\u0301], CAFEs, cafes"},
		{"éte", "[été]"},
		{"strasse lodz", "[Straße] in [ŁÓDŹ]"},
		{"ΟΔΌΣ", "η [οδός]"},
		{"мой", "[Мой], [мои\u0306]"},
		{"محمد", "[مُحَمَّد]"},

		{"本", "日[本]語の[本]、[本]"},
		{"本語", "日[本語]"},
		{"日本語", "[日本語]と日本"},
		{"サーバー", "[サーバー]v2"},
		{"サーバーv2", "新[サーバーv2]と、サーバーとv2"},
		{"バーv2", "サー[バーv2]"},
		{"葛城", "[葛\U000E0100城]市"},
		{"葛", "[葛\U000E0100]城市"},
		{"東京 京都", "[東京都]"},

		{"a OR b", "[a] [b] c"},
		{"a NOT b", "[a] b c"},
		{"a NOT (b OR c) AND d", "[a] b c [d]"},
		{"subject:a body:b", "a [b]"},
		{"none", "of this"},
		{"jwt", "a\xff[jwt]\xff\x00[jwt]"},
		{"", "anything"},
	} {
		text := strings.NewReplacer("[", "", "]", "").Replace(tt.text)
		_, hits, _ := compileQuery(tt.q)
		if got := marked(text, hits.in("body").find(text)); got != tt.text {
			t.Errorf("%q finds %q, want %q", tt.q, got, tt.text)
		}
	}
}

// checkQuery is what is true of any query and any text.
func checkQuery(t interface {
	Helper()
	Fatalf(string, ...any)
}, q, text string) {
	t.Helper()
	match, hits, ok := compileQuery(q)
	if !ok {
		words, _ := splitWords(strings.NewReplacer("AND", " ", "OR", " ", "NOT", " ").Replace(q))
		if match != "" || hits != nil || words != "" && !strings.Contains(q, ":") && len(q) <= maxQuery {
			t.Fatalf("%q has nothing to search for, but %q, %v", q, match, hits)
		}
		return
	}
	if err := wellFormed(match); err != nil {
		t.Fatalf("%q becomes %s: %v", q, match, err)
	}
	starts := map[int]bool{len(text): true}
	for i := range text {
		starts[i] = true
	}
	end := -1
	for _, h := range hits.find(text) {
		if h[0] <= end || h[1] <= h[0] || !starts[h[0]] || !starts[h[1]] {
			t.Fatalf("%q finds %v behind %d in %q", q, h, end, text)
		}
		end = h[1]
	}
}

var (
	anyTerm  = regexp.MustCompile(`\{(subject|body|subject body|subject body ident|ident)\} : "[\pL\pN\p{Co}]+( [\pL\pN\p{Co}]+)*"\*?`)
	anyGroup = regexp.MustCompile(`\((T|T( AND T)+|T( OR T)+|T NOT T)\)`)
)

// wellFormed reports what is wrong with an expression: that it is anything but strings of
// letters and digits combined by operators, or too deep for FTS5.
func wellFormed(match string) error {
	match = anyTerm.ReplaceAllString(match, "T")
	for depth := 0; ; depth++ {
		if anyGroup.FindString("("+match+")") == "("+match+")" {
			if depth > 4*maxNesting+4 {
				return fmt.Errorf("%d levels", depth)
			}
			return nil
		}
		shorter := anyGroup.ReplaceAllString(match, "T")
		if shorter == match {
			return fmt.Errorf("%s is left", match)
		}
		match = shorter
	}
}

func TestQueryProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { checkQuery(t, anyText.Draw(t, "query"), anyText.Draw(t, "text")) })
}

func TestQueryDepth(t *testing.T) {
	q := "w"
	for range maxNesting {
		q = "p q OR r s AND t u NOT v (" + q + ")"
	}
	match, _, _ := compileQuery(q)
	if err := wellFormed(match); err != nil || !strings.Contains(match, " NOT ") {
		t.Errorf("%s: %v", match, err)
	}
}

// Whatever is copied from a text finds it there: as a phrase, and as a word.
func TestQueryFindsItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := anyText.Draw(t, "text")
		fields := strings.FieldsFunc(text, func(r rune) bool { return isBlank(r) || isDelimiter(r) })
		if len(fields) == 0 {
			return
		}
		w := rapid.SampledFrom(fields).Draw(t, "word")
		for _, q := range []string{`"` + w + `"`, w} {
			_, hits, ok := compileQuery(q)
			if body, _ := splitWords(w); body == "" || !ok || strings.Contains(w, ":") {
				continue // it is a field or an operator
			}
			if len(hits.find(text)) == 0 {
				t.Fatalf("%q is not found in %q", q, text)
			}
		}
	})
}

func FuzzQuery(f *testing.F) {
	for _, q := range []string{"jwt", `"a b"* OR c`, "subject:(a NOT b)", "a AND (b OR", "src/au*", "サーバーv2 本", `"a""b`, "\x00\xff*", "3fabc12 verify_token"} {
		f.Add(q, "verifyToken in src/auth/jwt.go, 日本サーバーv2, cafe\u0301 \xff")
	}
	f.Fuzz(func(t *testing.T, q, text string) { checkQuery(t, q, text) })
}

func BenchmarkFind(b *testing.B) {
	text := strings.Repeat("The verifyToken function in src/auth/jwt.go returns ErrExpired when the token is too old.\n", 100)
	_, hits, _ := compileQuery(`auth/jwt.go verifytoken expi* "too old"`)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		hits.find(text)
	}
}
