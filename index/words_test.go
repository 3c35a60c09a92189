package index

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestSplitWords(t *testing.T) {
	for _, tt := range []struct{ text, body, ident string }{
		{"", "", ""},
		{" .,;\n\t-*\"()", "", ""},
		{"just plain words", "just plain words", ""},
		{"src/auth/jwt.go", "src auth jwt go", ""},
		{"don't re-index POL-358", "don t re index POL 358", ""},

		// Rule 1 and 2: where identifiers are cut, and that they are kept.
		{"verifyToken", "verify Token", "verifyToken"},
		{"verify_token", "verify token", "verifytoken"},
		{"VERIFY_TOKEN", "VERIFY TOKEN", "VERIFYTOKEN"},
		{"verifytoken", "verifytoken", ""},
		{"HTTPServer", "HTTP Server", "HTTPServer"},
		{"parseHTTPRequest2", "parse HTTP Request 2", "parseHTTPRequest2"},
		{"HTTP", "HTTP", ""},
		{"AToken", "A Token", "AToken"},
		{"IPv6Addr", "I Pv6 Addr", "IPv6Addr"},
		{"Request2 utf8 sha256", "Request 2 utf 8 sha 256", "Request2 utf8 sha256"},
		{"v2 k8s S3 i18n e2e x86", "v2 k8s S3 i18n e2e x86", ""},
		{"2FA S3Bucket", "2 FA S3 Bucket", "2FA S3Bucket"},
		{"abc_123_DEFghi", "abc 123 DE Fghi", "abc123DEFghi"},
		{"__init__ _x y_ _ __", "init x y", ""},
		{"a__b", "a b", "ab"},
		{"a_ b", "a b", ""},
		{"a _b", "a b", ""},
		{"a_.b", "a b", ""},
		{"fooBar bazQux", "foo Bar baz Qux", "fooBar bazQux"},
		{"auth.verifyToken(ctx)", "auth verify Token ctx", "verifyToken"},

		// Hashes stay whole, unless they begin with three letters.
		{"a1b2c3d 3fabc12d 0deadbeef0", "a1b2c3d 3fabc12d 0deadbeef0", ""},
		{"550e8400-e29b-41d4-a716-446655440000", "550e8400 e29b 41d4 a716 446655440000", ""},
		{"abc1234def5", "abc 1234def5", "abc1234def5"},
		{"utf8mb4test5", "utf 8mb4test5", "utf8mb4test5"},

		// Rule 3.
		{"本", "本", ""},
		{"版本", "版本 本", ""},
		{"版本号", "版本 本号 号", ""},
		{"版 本", "版 本", ""},
		{"新版本，已发布。", "新版 版本 本 已发 发布 布", ""},
		{"サーバー", "サー ーバ バー ー", ""},
		{"サーバーv2", "サー ーバ バー ー v2", ""},
		{"v2版verifyTokenを", "v2 版 verify Token を", "verifyToken"},
		{"a版_b", "a 版 b", ""},
		{"서버를 켜라", "서버 버를 를 켜라 라", ""},
		{"人々〇", "人々 々〇 〇", ""},
		{"ｻｰﾊﾞｰ", "ｻｰ ｰﾊ ﾊﾞ ﾞｰ ｰ", ""},
		{"𠮷野家", "𠮷野 野家 家", ""},
		{"葛\U000E0100城", "葛城 城", ""}, // a variant of a character

		// Rule 4.
		{"Łódź łódź", "lódź lódź", ""},
		{"Straße STRAẞE", "Strasse STRAssE", ""},
		{"Đỗ đỗ Ærø ærø Øl", "dỗ dỗ aero aero ol", ""},
		{"Œuvre cœur ılık Þór", "oeuvre coeur ilik thór", ""},
		{"aßBc", "ass Bc", "assBc"},
		{"Ёлка мой Αθήνα Ώρα", "елка мои Αθηνα ωρα", ""},

		// Combining marks: what is composed and what is not is the same, or becomes so.
		{"e\u0301cole", "ecole", ""},
		{"\u0301e \u0301", "e", ""},
		{"verifie\u0301E\u0301cole", "verifie Ecole", "verifieEcole"},
		{"HTTPS\u0323erver", "HTTP Server", "HTTPServer"},
		{"мои\u0306 Ѐ Е\u0300", "мои е Е", ""},
		{"का", "क", ""},
		{"مُحَمَّد", "محمد", ""},
		{"1\ufe0f\u20e3", "1", ""},

		// Anything goes.
		{"a\xffb\xc3", "a b", ""},
		{"a\x00b\x7f", "a b", ""},
		{"\xed\xa0\x80x", "x", ""},
		{"🚀 deploy→prod ✓", "deploy prod", ""},
		{"x² ½ Ⅷ", "x² ½ Ⅷ", ""},
		{"\ufeffBOM", "BOM", ""},
		{"ǅungla aǅ", "ǅungla a ǅ", "aǅ"},
		{"\ue000", "\ue000", ""},
	} {
		body, ident := splitWords(tt.text)
		if body != tt.body || ident != tt.ident {
			t.Errorf("splitWords(%q) = %q, %q; want %q, %q", tt.text, body, ident, tt.body, tt.ident)
		}
	}
}

// Nothing may take more than linear time: with these, anything else takes for ever.
func TestSplitWordsLong(t *testing.T) {
	const n = 1 << 18
	for _, unit := range []string{"a", "_", "a_", "aB", "ABc", "A\u0301", "A", "1", "\u0301", "本", "本\u0301", "本a", "ł", "\xff", "a1A"} {
		body, ident := splitWords(strings.Repeat(unit, n/len(unit)))
		if len(body) > 3*n || len(ident) > n {
			t.Errorf("of %d times %q it made %d and %d bytes", n/len(unit), unit, len(body), len(ident))
		}
	}
}

func TestRuneClass(t *testing.T) {
	asian := []*unicode.RangeTable{unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul}
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !utf8.ValidRune(r) || r == utf8.RuneError {
			continue
		}
		isLetter := unicode.In(r, unicode.L, unicode.N, unicode.Co)
		c, n := runeClass(string(r))
		if n != utf8.RuneLen(r) {
			t.Fatalf("%U has length %d", r, n)
		}
		var want bool
		switch c {
		case outside, underscore:
			want = !isLetter && !unicode.IsMark(r)
		case mark:
			want = unicode.IsMark(r)
		case lower:
			want = unicode.In(r, unicode.L, unicode.Co) && !unicode.In(r, unicode.Lu, unicode.Lt)
		case upper:
			want = unicode.In(r, unicode.Lu, unicode.Lt)
		case digit:
			want = unicode.IsNumber(r)
		case cjk:
			want = isLetter && (unicode.In(r, asian...) || unicode.Is(unicode.Common, r))
		}
		if !want || isLetter && c != cjk && unicode.In(r, asian...) {
			t.Errorf("%U %q has class %d", r, r, c)
		}
	}
	for _, r := range "ーｰ々" {
		if !isCJK(r) {
			t.Errorf("%q is no CJK", r)
		}
	}
}

// checkSplit is what is true of any text.
func checkSplit(t interface {
	Helper()
	Fatalf(string, ...any)
}, text string) {
	t.Helper()
	body, ident := splitWords(text)
	words := strings.Split(body, " ")
	for i, w := range words {
		if w == "" && body != "" {
			t.Fatalf("%q: %q has more than one blank between words", text, body)
		}
		if !utf8.ValidString(w) {
			t.Fatalf("%q: %q is not UTF-8", text, w)
		}
		run := 0
		for _, r := range w {
			switch c, _ := runeClass(string(r)); c {
			case outside, underscore, mark:
				t.Fatalf("%q: %q has %q in it", text, w, r)
			case cjk:
				run++
			}
		}
		if n := utf8.RuneCountInString(w); run > 2 || run > 0 && run != n {
			t.Fatalf("%q: %q is no bigram", text, w)
		} else if last := i == len(words)-1; run == 2 {
			// What it ends with begins the next one.
			_, size := utf8.DecodeLastRuneInString(w)
			if last || !strings.HasPrefix(words[i+1], w[len(w)-size:]) {
				t.Fatalf("%q: nothing goes on behind %q", text, w)
			}
		}
	}
	// An identifier is two or more words in sequence, and each is behind the one before.
	at := 0
next:
	for _, id := range strings.Fields(ident) {
		for ; at < len(words); at++ {
			joined := words[at]
			for n := at + 1; n < len(words) && len(joined) < len(id); n++ {
				if joined += words[n]; joined == id {
					at = n + 1
					continue next
				}
			}
		}
		t.Fatalf("%q: %q is not in %q", text, id, body)
	}
	if again, more := splitWords(text + "\n" + text); again != strings.TrimSpace(body+" "+body) || more != strings.TrimSpace(ident+" "+ident) {
		t.Fatalf("%q: twice it is %q, %q", text, again, more)
	}
	placed, ids := wordsOf(text)
	var have, haveIDs []string
	for _, p := range placed {
		have = append(have, p.word)
	}
	for _, p := range ids {
		haveIDs = append(haveIDs, p.word)
	}
	if strings.Join(have, " ") != foldWord(body) || strings.Join(haveIDs, " ") != foldWord(ident) {
		t.Fatalf("%q: wordsOf has %q, %q", text, have, haveIDs)
	}
}

var anyText = rapid.OneOf(
	rapid.String(),
	rapid.Map(rapid.SliceOfN(rapid.SampledFrom([]string{
		"a", "verify", "token", "B", "HTTP", "Server", "1", "23", "_", " ", "/", ".", "-", "ł", "Ł", "ß", "É", "\u0301", "\u3099",
		"本", "版", "サー", "バー", "서버", "й", "Σ", "ς", "İ", "\x00", "\xff", "\xe6\x9c", "🚀", "\ue000", "₂", "*", `"`, "(", ")",
		"AND", "OR", "NOT", "subject:", "body:", " AND ", " OR ", " NOT ", "from:"}), 0, 12),
		func(s []string) string { return strings.Join(s, "") }),
)

func TestSplitWordsProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { checkSplit(t, anyText.Draw(t, "text")) })
}

// What is split once is split: of nothing but the words comes the same, if no letter was
// replaced by several.
func TestSplitWordsAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		body, _ := splitWords(rapid.StringMatching(`[a-cA-C0-1é_ .]*`).Draw(t, "text"))
		if again, ident := splitWords(body); again != body || ident != "" {
			t.Fatalf("%q becomes %q, %q", body, again, ident)
		}
	})
}

// The beginning of an identifier is split like the identifier, so that it can be searched
// for. Only a capital at its end may turn out to begin the next word.
func TestSplitWordsPrefix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole := rapid.StringMatching(`[a-cA-C0-1_]{1,12}[a-z]`).Draw(t, "identifier")
		part := whole[:rapid.IntRange(1, len(whole)).Draw(t, "length")]
		if last := part[len(part)-1]; 'A' <= last && last <= 'Z' {
			return
		}
		body, _ := splitWords(whole)
		if begin, _ := splitWords(part); !strings.HasPrefix(body, begin) {
			t.Fatalf("%q is split as %q, its beginning %q as %q", whole, body, part, begin)
		}
	})
}

func FuzzWords(f *testing.F) {
	for _, s := range []string{"", "verifyToken", "HTTPServer_2", "サーバーv2", "e\u0301\u0301B", "a\xffb", "_a_b_", "ßẞæ", "本\u3099本"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) { checkSplit(t, text) })
}

func BenchmarkSplitWords(b *testing.B) {
	for _, bb := range []struct{ name, line string }{
		{"english", "The verifyToken function in src/auth/jwt.go returns ErrExpired when the token is older than 15 minutes; see POL-358 and commit 3fabc12d. Please review the change before merging.\n"},
		{"french", "La fonction vérifie le jeton et échoue s'il est trop âgé ; voir la révision précédente.\n"},
		{"russian", "Функция проверки токена возвращает ошибку, когда токен старше пятнадцати минут.\n"},
		{"japanese", "サーバーの設定を変更しました。認証トークンの検証に失敗します。\n"},
	} {
		text := strings.Repeat(bb.line, 20)
		b.Run(bb.name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				splitWords(text)
			}
		})
	}
}
