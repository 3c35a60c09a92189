package index

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// The limits are for what somebody pastes by mistake, and to stay within those of FTS5.
const (
	maxQuery   = 4096 // bytes; what is behind them is not looked at
	maxWords   = 64   // or phrases; a query that has more is taken for so many plain words
	maxNesting = 6    // of parentheses: each takes up to 12 places on the stack of its parser, which has 100
)

// compileQuery turns what somebody searches for into an expression for MATCH on the
// columns subject, body and ident. hits is what to mark in what is found: everything but
// what is under NOT. ok is false if there is nothing to search for: no letter or digit,
// or only operators.
//
// A query is words, "phrases" and beginnings*, each of which may stand behind subject:
// or body:, with AND, OR, NOT and parentheses. As in FTS5, what stands side by side is
// all required and belongs together closest; then comes NOT, then AND, then OR. AND NOT
// is understood too. Anything else is part of some word, so -x is x.
//
// A query with bad syntax is not refused: its words are all required, and operators,
// quotation marks and parentheses left out.
func compileQuery(q string) (match string, hits terms, ok bool) {
	if len(q) > maxQuery {
		q = q[:maxQuery]
	}
	p := queryParser{rest: q}
	c := p.or("")
	if p.bad || p.skipBlanks() {
		c = plainWords(q)
	}
	return c.match, c.hits, c.match != ""
}

// clause is a part of a query. One that has nothing to search for is empty, and is as if
// it were not there.
type clause struct {
	match string
	hits  terms
}

// joinClauses combines clauses with an operator.
func joinClauses(op string, list ...clause) (all clause) {
	list = slices.DeleteFunc(list, func(c clause) bool { return c.match == "" })
	if len(list) == 1 {
		return list[0]
	}
	for i, c := range list {
		if i > 0 {
			all.match += " " + op + " "
		}
		all.match += "(" + c.match + ")"
		all.hits = append(all.hits, c.hits...)
	}
	return all
}

// plainWords is for a query that does not parse.
func plainWords(q string) clause {
	var list []clause
	for w := range strings.FieldsFuncSeq(q, func(r rune) bool { return isBlank(r) || isDelimiter(r) }) {
		column, rest := cutField(w)
		if isOperator(w) || column != "" && rest == "" {
			continue
		}
		if c := wordClause(rest, column); c.match != "" {
			list = append(list, c)
		}
		if len(list) == maxWords {
			break
		}
	}
	return joinClauses("AND", list...)
}

// queryParser reads a query by recursive descent. The columns that its methods are given
// are those of the field around: "" stands for all.
type queryParser struct {
	rest    string
	nesting int
	words   int
	bad     bool // it is no query
}

func (p *queryParser) or(column string) clause {
	list := []clause{p.and(column)}
	for p.take("OR") {
		list = append(list, p.and(column))
	}
	return joinClauses("OR", list...)
}

func (p *queryParser) and(column string) clause {
	list := []clause{p.not(column)}
	var without []clause
	for p.take("AND") {
		if p.take("NOT") {
			without = append(without, p.adjacent(column))
		} else {
			list = append(list, p.not(column))
		}
	}
	return p.except(joinClauses("AND", list...), without)
}

func (p *queryParser) not(column string) clause {
	c := p.adjacent(column)
	var without []clause
	for p.take("NOT") {
		without = append(without, p.adjacent(column))
	}
	return p.except(c, without)
}

// except is c without any of the others, all at once: one NOT behind another makes a tree
// that is too deep for FTS5.
func (p *queryParser) except(c clause, others []clause) clause {
	other := joinClauses("OR", others...)
	switch {
	case other.match == "":
		return c
	case c.match == "": // from everything FTS5 can take nothing away
		p.bad = true
		return c
	}
	return clause{"(" + c.match + ") NOT (" + other.match + ")", c.hits}
}

// adjacent reads one or more operands.
func (p *queryParser) adjacent(column string) clause {
	list := []clause{p.operand(column)}
	for p.atOperand() {
		list = append(list, p.operand(column))
	}
	return joinClauses("AND", list...)
}

func (p *queryParser) operand(column string) (c clause) {
	if !p.atOperand() {
		p.bad = true
		return c
	}
	switch p.rest[0] {
	case '(':
		if p.nesting++; p.nesting > maxNesting {
			p.bad = true
			return c
		}
		p.rest = p.rest[1:]
		c = p.or(column)
		p.nesting--
		p.bad = p.bad || !p.skipBlanks() || p.rest[0] != ')'
		p.rest = strings.TrimPrefix(p.rest, ")")
		return c
	case '"':
		text, ok := p.quoted()
		star := strings.TrimLeft(p.rest, "*")
		c = phraseClause(text, column, len(star) < len(p.rest))
		p.rest, p.bad = star, p.bad || !ok
	default:
		w := p.word()
		p.rest = p.rest[len(w):]
		field, rest := cutField(w)
		if field != "" && rest == "" && p.atOperand() {
			return p.operand(field)
		}
		c = wordClause(rest, cmp.Or(field, column))
	}
	if p.words++; p.words > maxWords {
		p.bad = true
	}
	return c
}

// skipBlanks reports whether there is anything behind them.
func (p *queryParser) skipBlanks() bool {
	p.rest = strings.TrimLeftFunc(p.rest, isBlank)
	return p.rest != ""
}

// atOperand reports whether neither an operator comes next, nor ")", nor the end.
func (p *queryParser) atOperand() bool {
	return !p.bad && p.skipBlanks() && p.rest[0] != ')' && !isOperator(p.word())
}

// take takes an operator if it comes next.
func (p *queryParser) take(operator string) bool {
	if p.bad || !p.skipBlanks() || p.word() != operator {
		return false
	}
	p.rest = p.rest[len(operator):]
	return true
}

// word is what comes next up to a blank or a delimiter, "" if a delimiter comes.
func (p *queryParser) word() string {
	if i := strings.IndexFunc(p.rest, func(r rune) bool { return isBlank(r) || isDelimiter(r) }); i >= 0 {
		return p.rest[:i]
	}
	return p.rest
}

// quoted takes a text in quotation marks, which are doubled inside. It is not ok if the
// second one is missing.
func (p *queryParser) quoted() (text string, ok bool) {
	for i := 1; i < len(p.rest); i++ {
		if p.rest[i] != '"' {
			continue
		}
		if strings.HasPrefix(p.rest[i+1:], `"`) {
			i++
			continue
		}
		text, p.rest = p.rest[1:i], p.rest[i+1:]
		return text, true
	}
	return "", false
}

func isBlank(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }

func isDelimiter(r rune) bool { return r == '"' || r == '(' || r == ')' }

func isOperator(w string) bool { return w == "AND" || w == "OR" || w == "NOT" }

// cutField cuts "subject:" or "body:" off a word. Anything else before a colon is words
// like all others.
func cutField(w string) (column, rest string) {
	for _, column := range []string{"subject", "body"} {
		if n := len(column); len(w) > n && w[n] == ':' && strings.EqualFold(w[:n], column) {
			return column, w[n+1:]
		}
	}
	return "", w
}

// wordClause is for a word of the query, which may be several for FTS5. A "*" at its end
// asks for what begins so, if there is a letter or digit before it: src/* is src.
func wordClause(w, column string) clause {
	bare := strings.TrimRight(w, "*")
	last, _ := utf8.DecodeLastRuneInString(bare)
	c, _ := runeClass(string(last))
	star := len(bare) < len(w) && c != outside
	s := readSequence(bare)
	t := s.forms(column, star)
	if s.joined != "" && !star {
		n := utf8.RuneCountInString(s.joined)
		// A beginning that the parts do not show: ipv6 of IPv6Addr, getuser of getUserByID.
		// Of a short plain word the parts show it, and so many identifiers begin like load
		// that to look at them all would take most of a search.
		if column == "" && (n >= 8 || n >= 4 && (s.digits || len(s.words) > 1)) {
			t = append(t, newTerm("ident", true, s.joined))
		}
		if s.digits && n >= 6 && !strings.Contains(bare, "_") { // an abbreviated hash
			t = append(t, newTerm(ownColumns(column), true, s.words...))
		}
	}
	return t.clause()
}

// phraseClause is for a text in quotation marks. An identifier is found in all its
// spellings there too, but nothing that only begins so.
func phraseClause(text, column string, star bool) clause {
	s := readSequence(text)
	return s.forms(column, star).clause()
}

// sequence is what a word or phrase of the query is for FTS5: words of splitWords, one
// behind the other.
type sequence struct {
	words  []string
	joined string // if they are one identifier: what it is without "_"
	digits bool   // there is one in it
	open   bool   // the last one is a CJK character, with which bigrams may begin
}

func readSequence(text string) (s sequence) {
	body, ident := splitWords(text)
	s.words = strings.Fields(body)
	identifiers, anyCJK, again, end := 0, false, false, 0
	for w := (wordScanner{text: text}); w.next(); end = w.end {
		if !w.joined {
			identifiers++
		}
		anyCJK = anyCJK || w.cjk
		again = w.cjk && w.end == end // the last character of a run, alone
		s.open = w.cjk && !again
	}
	if again { // in the text the run may go on
		s.words = s.words[:len(s.words)-1]
	}
	if identifiers == 1 && !anyCJK {
		s.joined = cmp.Or(ident, body)
		s.digits = strings.ContainsFunc(s.joined, unicode.IsNumber)
	}
	return s
}

// forms are the ways in which a sequence may be written where the column is wanted, ""
// for anywhere. The identifiers of subject and body are in one column, so for one of the
// two they cannot be asked: subject:verifytoken does not find verifyToken.
func (s *sequence) forms(column string, prefix bool) terms {
	own := ownColumns(column)
	wide := own
	if column == "" {
		wide += " ident"
	}
	switch {
	case len(s.words) == 0:
		return nil
	case s.joined == "":
		return terms{newTerm(own, prefix || s.open, s.words...)}
	case len(s.words) == 1:
		return terms{newTerm(wide, prefix, s.joined)}
	}
	return terms{newTerm(own, prefix, s.words...), newTerm(wide, prefix, s.joined)}
}

func ownColumns(column string) string { return cmp.Or(column, "subject body") }

// term is one phrase of an expression.
type term struct {
	columns string   // where it may be, as FTS5 wants to be told
	text    string   // its words as splitWords has them, so there is no quotation mark in it
	words   []string // the same as FTS5 compares them
	prefix  bool     // its last word may go on
}

func newTerm(columns string, prefix bool, words ...string) term {
	t := term{columns: columns, text: strings.Join(words, " "), prefix: prefix}
	for _, w := range words {
		t.words = append(t.words, foldWord(w))
	}
	return t
}

func (t *term) String() string {
	s := "{" + t.columns + `} : "` + t.text + `"`
	if t.prefix {
		s += "*"
	}
	return s
}

// terms are phrases one of which, or each, is in what was found.
type terms []term

// clause is the one for any of the terms.
func (t terms) clause() clause {
	var list []string
	for i := range t {
		list = append(list, t[i].String())
	}
	return clause{strings.Join(list, " OR "), t}
}

// in returns the terms that may be in a column, subject or body.
func (t terms) in(column string) terms {
	return slices.DeleteFunc(slices.Clone(t), func(t term) bool {
		return t.columns != "ident" && !strings.Contains(t.columns, column)
	})
}

// find returns what MATCH finds of the terms in a text of which splitWords made what was
// indexed: ranges of bytes that are sorted, do not touch and never cut a character.
func (t terms) find(text string) [][2]int {
	if len(t) == 0 {
		return nil
	}
	var hits [][2]int
	words, identifiers := wordsOf(text)
	for i := range t {
		if t[i].columns != "ident" {
			hits = t[i].findIn(words, text, hits)
		}
		if strings.HasSuffix(t[i].columns, "ident") {
			hits = t[i].findIn(identifiers, text, hits)
		}
	}
	slices.SortFunc(hits, func(a, b [2]int) int { return cmp.Or(a[0]-b[0], a[1]-b[1]) })
	merged := hits[:0]
	for _, h := range hits {
		if n := len(merged); n > 0 && h[0] <= merged[n-1][1] {
			merged[n-1][1] = max(merged[n-1][1], h[1])
		} else {
			merged = append(merged, h)
		}
	}
	return merged
}

func (t *term) findIn(list []placed, text string, hits [][2]int) [][2]int {
	last := len(t.words) - 1
next:
	for i := 0; i+last < len(list); i++ {
		for j, want := range t.words[:last] {
			if list[i+j].word != want {
				continue next
			}
		}
		end := &list[i+last]
		if end.word == t.words[last] {
			hits = append(hits, [2]int{list[i].start, end.end})
		} else if t.prefix && strings.HasPrefix(end.word, t.words[last]) {
			stop := end.end
			if end.cjk { // one character is wanted, and this is two
				_, n := utf8.DecodeRuneInString(text[end.start:])
				stop = pastMarks(text, end.start+n)
			}
			hits = append(hits, [2]int{list[i].start, stop})
		}
	}
	return hits
}

// placed is a word as FTS5 compares it, and where it is.
type placed struct {
	word       string
	start, end int
	joined     bool // to the word before
	cjk        bool
}

// wordsOf returns what splitWords does, with places.
func wordsOf(text string) (words, identifiers []placed) {
	words = make([]placed, 0, len(text)/5+1)
	for w := (wordScanner{text: text}); w.next(); {
		word := text[w.start:w.end]
		if !w.plain {
			word = string(w.append(nil))
		}
		if !w.cjk {
			word = foldWord(word)
		}
		words = append(words, placed{word, w.start, w.end, w.joined, w.cjk})
	}
	for i := 1; i < len(words); i++ {
		if !words[i].joined {
			continue
		}
		id := words[i-1]
		var b strings.Builder
		for b.WriteString(id.word); i < len(words) && words[i].joined; i++ {
			b.WriteString(words[i].word)
			id.end = words[i].end
		}
		id.word = b.String()
		identifiers = append(identifiers, id)
	}
	return words, identifiers
}

// foldWord makes of a word of splitWords what unicode61 makes of it: in small letters,
// the Latin ones without accents.
func foldWord(w string) string {
	if isFolded(w) {
		return w
	}
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf {
			if 'A' <= r && r <= 'Z' {
				r += 'a' - 'A'
			}
			return r
		}
		r = unicode.ToLower(unicode.ToUpper(r)) // so that there is one sigma
		return cmp.Or(bareLetters()[r], r)
	}, w)
}

// isFolded reports whether a word is plainly what foldWord would make of it, as most are.
func isFolded(w string) bool {
	for i := range len(w) {
		if c := w[i]; c >= utf8.RuneSelf || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return true
}

// bareLetters maps the small Latin letters with accents to those without.
var bareLetters = sync.OnceValue(func() map[rune]rune {
	m := map[rune]rune{}
	for list := range strings.FieldsSeq("aàáâãäåāăąǎǟǻȁȃȧḁạảấầẩẫậắằẳẵặ bḃḅḇ cçćĉċčḉ dďḋḍḏḑḓ eèéêëēĕėęěȅȇȩḕḗḙḛḝẹẻẽếềểễệ fḟ " +
		"gĝğġģǧǵḡ hĥȟḣḥḧḩḫẖ iìíîïĩīĭįǐȉȋḭḯỉị jĵǰ kķǩḱḳḵ lĺļľḷḹḻḽ mḿṁṃ nñńņňǹṅṇṉṋ oòóôõöōŏőơǒǫǭȍȏȫȭȯȱṍṏṑṓọỏốồổỗộớờởỡợ " +
		"pṕṗ rŕŗřȑȓṙṛṝṟ sśŝşšșṡṣṥṧṩ tţťțṫṭṯṱẗ uùúûüũūŭůűųưǔǖǘǚǜȕȗṳṵṷṹṻụủứừửữự vṽṿ wŵẁẃẅẇẉẘ xẋẍ yýÿŷȳẏẙỳỵỷỹ zźżžẑẓẕ") {
		for _, r := range list {
			m[r] = rune(list[0])
		}
	}
	return m
})
