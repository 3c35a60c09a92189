package seed

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
)

// meanBody is the mean length of a message's text in bytes.
const meanBody = 1027

// frequent are the words that texts about code use most. The rest of the
// vocabulary is made of syllables.
var frequent = strings.Fields(`
the to a and is in of it for that this on with not be as we are if from by can I
but will has have when now so one all was after before test tests file code build
error run use fix add change branch commit merge call return function type value
list cache lock path read write new old first last only same other into out up
then them their there which while until still also just should must may need
needs done works fails failed passes check review please thanks see look found
because where what how why who more less most some any each every no none yes
API server client request response query table index field key string number
config default option flag parser token session user agent message thread worker
queue retry timeout deadline context handler package module import interface
method struct slice map pointer buffer stream reader writer scanner encoder`)

var syllables = strings.Fields(`
ba be bi bo bu ca ce co cu da de di do du fa fe fi fo ga ge go gu ha he hi ho ja jo
ka ke ki ko la le li lo lu ma me mi mo mu na ne ni no nu pa pe pi po pu ra re ri ro
ru sa se si so su ta te ti to tu va ve vi vo wa we wi xa ya yo za ze zo tion ment ing
er al ous ive able ist an en in on ar or`)

// cjkLines stand for mail in languages that are written without blanks.
var cjkLines = []string{
	"このモジュールの初期化順序を確認してください。テストは通りましたが、ログに警告が残っています。",
	"缓存失效的逻辑已经修好，请再看一下并发写入的情况。",
	"인덱스를 다시 만들기 전에 잠금을 해제해야 합니다.",
	"設定ファイルの読み込みに失敗した場合の戻り値を変更しました。",
	"这个接口的超时时间太短，建议改成三十秒，并且加上重试。",
	"마이그레이션 스크립트를 먼저 검토해 주세요.",
}

const (
	vocabularySize = 60_000
	identifiers    = 6_000
	paths          = 3_000
)

var (
	areas  = strings.Fields(`auth billing cache catalog cli config db events export gateway graph http index ingest jobs ledger limits mail media metrics notify orders parser policy pool queue render report router rpc rules schema search server session shard store stream sync tasks tenant token trace ui upload user vault view webhook worker`)
	layers = strings.Fields(`src internal pkg lib services apps web tools`)
	files  = strings.Fields(`handler client server types errors config store model query token session parser encode decode merge retry pool cache limits routes worker queue schema migrate index search render report validate convert lookup watch lock state event`)
	exts   = strings.Fields(`.go .go .go .go .ts .ts .py .sql .md .yaml _test.go`)
	verbs  = strings.Fields(`get set load store parse encode decode merge apply check find read write open close lock wait start stop make build list count drop copy send fetch update remove resolve`)
	nouns  = strings.Fields(`Token Session User Config Index Cache Query Schema Lease Event Queue Worker Request Response Header Body Path Pattern Record State Buffer Range Cursor Batch Entry Node Tree Commit Ref Limit Timeout`)
)

// vocabulary is what texts are made of. It is the same for every seed.
type vocabulary struct{ words, idents, paths []string }

var common = sync.OnceValue(func() vocabulary {
	r := rand.New(rand.NewPCG(42, 0))
	return vocabulary{
		words: distinct(vocabularySize, func() string {
			var b strings.Builder
			for range 2 + r.IntN(3) {
				b.WriteString(pick(r, syllables))
			}
			return b.String()
		}, frequent),
		idents: distinct(identifiers, func() string {
			id := pick(r, verbs) + pick(r, nouns)
			if r.IntN(2) == 0 {
				id += pick(r, nouns)
			}
			switch r.IntN(4) {
			case 0:
				id = capital(id)
			case 1:
				id = pick(r, areas) + "." + capital(id)
			}
			return id
		}, nil),
		paths: distinct(paths, func() string {
			p := pick(r, layers) + "/" + pick(r, areas)
			if r.IntN(3) == 0 {
				p += "/" + pick(r, areas)
			}
			return p + "/" + pick(r, files) + pick(r, exts)
		}, nil),
	}
})

// text writes mail: Zipf-distributed words, identifiers and paths, and some
// lines in Chinese, Japanese and Korean.
type text struct {
	vocabulary
	r                    *rand.Rand
	zWord, zIdent, zPath *rand.Zipf
}

func newText(r *rand.Rand) *text {
	return &text{vocabulary: common(), r: r,
		zWord:  rand.NewZipf(r, 1.07, 2.7, vocabularySize-1),
		zIdent: rand.NewZipf(r, 1.1, 8, identifiers-1),
		zPath:  rand.NewZipf(r, 1.1, 8, paths-1)}
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

// distinct returns n different strings: first, then what next makes.
func distinct(n int, next func() string, first []string) []string {
	list, seen := make([]string, 0, n), make(map[string]bool, n)
	for i := 0; len(list) < n; i++ {
		var s string
		if i < len(first) {
			s = first[i]
		} else {
			s = next()
		}
		if !seen[s] {
			seen[s] = true
			list = append(list, s)
		}
	}
	return list
}

func (t *text) word() string  { return t.words[t.zWord.Uint64()] }
func (t *text) ident() string { return t.idents[t.zIdent.Uint64()] }
func (t *text) path() string  { return t.paths[t.zPath.Uint64()] }

// subject is a short line.
func (t *text) subject() string {
	var b strings.Builder
	b.WriteString(capital(t.word()))
	for range 2 + t.r.IntN(5) {
		b.WriteByte(' ')
		if t.r.IntN(6) == 0 {
			b.WriteString(t.ident())
		} else {
			b.WriteString(t.word())
		}
	}
	return b.String()
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// body is Markdown of about meanBody bytes on average; lengths are log-normal.
func (t *text) body() string {
	const sigma = 0.8
	mu := math.Log(meanBody-60) - sigma*sigma/2 // the last line goes past the mark
	want := int(math.Exp(mu + sigma*t.r.NormFloat64()))
	want = min(max(want, 24), 20_000)
	var b strings.Builder
	b.Grow(want + 256)
	for b.Len() < want {
		switch k := t.r.IntN(100); {
		case k < 4:
			b.WriteString(pick(t.r, cjkLines))
		case k < 7 && want > 400:
			fmt.Fprintf(&b, "## %s", t.subject())
		case k < 25:
			b.WriteString("- ")
			t.sentence(&b, 4+t.r.IntN(8))
		case k < 30 && want > 600:
			t.code(&b)
		case k < 34:
			fmt.Fprintf(&b, "> %s %s", t.path(), t.word())
		default:
			for range 1 + t.r.IntN(3) {
				t.sentence(&b, 6+t.r.IntN(12))
				b.WriteByte(' ')
			}
		}
		b.WriteByte('\n')
		if t.r.IntN(4) == 0 {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func (t *text) sentence(b *strings.Builder, n int) {
	b.WriteString(capital(t.word()))
	for range n {
		b.WriteByte(' ')
		switch k := t.r.IntN(40); {
		case k == 0:
			fmt.Fprintf(b, "`%s`", t.path())
		case k < 3:
			fmt.Fprintf(b, "`%s`", t.ident())
		case k == 3:
			fmt.Fprintf(b, "%s:%d", t.path(), 1+t.r.IntN(900))
		default:
			b.WriteString(t.word())
		}
	}
	b.WriteByte('.')
}

func (t *text) code(b *strings.Builder) {
	b.WriteString("```go\n")
	for range 2 + t.r.IntN(6) {
		fmt.Fprintf(b, "\t%s := %s(%s)\n", t.word(), t.ident(), t.word())
	}
	b.WriteString("```")
}
