package index

import (
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// wordsVersion numbers the rules of this file. What an index holds was split by them,
// so one of another version is built anew. Raise it with every change of splitWords.
const wordsVersion = 1

// splitWords returns the words of a text as FTS5 is to see them, with one blank
// between two: SQLite's unicode61, which comes after, only has to fold case and to take
// the accents off Latin letters. Its own idea of a word is too coarse for code: it would
// not find "token" in "verifyToken".
//
// ident holds the identifiers that were cut in pieces, each in one piece but without "_":
// verifytoken is to find both verifyToken and verify_token.
//
// It takes linear time, and any bytes.
func splitWords(text string) (body, ident string) {
	b := make([]byte, 0, len(text)+len(text)/8)
	var id []byte
	before, compound := 0, false // where the word before begins in b, and whether it is in id
	for w := (wordScanner{text: text}); w.next(); {
		if len(b) > 0 {
			b = append(b, ' ')
		}
		start := len(b)
		b = w.append(b)
		if w.joined {
			if !compound {
				if len(id) > 0 {
					id = append(id, ' ')
				}
				id = append(id, b[before:start-1]...)
			}
			id = append(id, b[start:]...)
		}
		before, compound = start, w.joined
	}
	return string(b), string(id)
}

// wordScanner finds the words of a text one after the other. An identifier is several:
//
//	verifyToken, verify_token   verify token    before a capital, at "_"
//	HTTPServer                  HTTP Server     before the last capital of several
//	Request2                    Request 2       after three or more letters
//	a1b2c3d, 3fabc12d           the same        but not where there was a digit: most hashes stay whole
//
// Where a word ends depends on what is before, and on the one character behind, so what
// somebody types of the beginning of an identifier is split like all of it.
//
// Of Chinese, Japanese and Korean, where nobody knows what a word is, each two neighbours
// are one, and so is the last character of a run: every character begins some word.
type wordScanner struct {
	text       string
	pos        int  // where to go on
	start, end int  // the word, with its combining marks
	joined     bool // it belongs to one identifier with the word before
	cjk        bool
	plain      bool // it is as splitWords writes it
}

// next finds the next word. Once it has returned false it does so for ever.
func (w *wordScanner) next() bool {
	text, i := w.text, w.pos
	w.joined = i > 0 && !w.cjk
	c, n := outside, 0
	for ; i < len(text); i += n { // what lies before the word
		if c, n = byteClass[text[i]], 1; c == beyond {
			c, n = runeClass(text[i:])
		}
		if c > mark {
			break
		}
		if c == outside {
			w.joined = false
		}
	}
	w.start, w.cjk, w.plain = i, c == cjk, true
	switch {
	case i == len(text):
		w.pos, w.end = i, i
		return false
	case w.cjk:
		w.joined = false
		w.pos = i + n
		c, m := runeClass(text[w.pos:])
		for ; c == mark; c, m = runeClass(text[w.pos:]) {
			w.pos += m
		}
		w.end = w.pos
		if c == cjk {
			w.end = pastMarks(text, w.pos+m)
			n += m
		}
		w.plain = w.end-w.start == n
		return true
	}
	w.end = w.identifierWord()
	w.pos = w.end
	return true
}

// identifierWord returns where the word at w.start ends.
func (w *wordScanner) identifierWord() int {
	text, i := w.text, w.start
	c, n := outside, 0
	count, digits := 0, false // of letters in the word, and whether there are digits
	before := outside         // the class of the letter or digit before
	for ; i < len(text); i += n {
		if c, n = byteClass[text[i]], 1; c == beyond {
			c, n = runeClass(text[i:])
		}
		switch c {
		case lower:
			before = lower
			if n > 1 {
				w.plain = false
				count++
				continue
			}
			for i+n < len(text) && byteClass[text[i+n]] == lower { // take all there are
				n++
			}
			count += n
			continue
		case upper:
			if before == lower || before == digit || before == upper && lowerAt(text, i+n) {
				return i
			}
			count++
		case digit:
			if count >= 3 && !digits {
				return i
			}
			digits = true
		case mark:
			w.plain = false
			continue
		default:
			return i
		}
		before = c
		w.plain = w.plain && n == 1
	}
	return i
}

// lowerAt reports whether a small letter is at i, behind combining marks.
func lowerAt(text string, i int) bool {
	c, _ := runeClass(text[pastMarks(text, i):])
	return c == lower
}

// pastMarks returns where the combining marks at i end.
func pastMarks(text string, i int) int {
	for i < len(text) && text[i] >= utf8.RuneSelf {
		c, n := runeClass(text[i:])
		if c != mark {
			break
		}
		i += n
	}
	return i
}

// class is what the rules tell characters apart by. Those above mark make words.
type class uint8

const (
	outside    class = iota // not of words
	underscore              // ends a word, but not the identifier
	mark                    // combining with the letter before
	lower                   // a letter, also of scripts that know no case
	upper
	digit
	cjk
	beyond // what a single byte does not tell
)

var byteClass = func() (t [256]class) {
	for c := 'a'; c <= 'z'; c++ {
		t[c], t[c-'a'+'A'] = lower, upper
	}
	for c := '0'; c <= '9'; c++ {
		t[c] = digit
	}
	t['_'] = underscore
	for i := utf8.RuneSelf; i < len(t); i++ {
		t[i] = beyond
	}
	return
}()

// letter is what is known of a character.
type letter struct {
	class class
	plain string // what is written and searched for in its place, if anything
}

// letters are those below U+0800, and so two bytes long: Latin, Greek, Cyrillic, Hebrew,
// Arabic. unicode61 knows Latin letters with accents, so they have nothing in their
// place; the Greek and Cyrillic ones have, so that a text may have its accents composed
// or not.
var letters = sync.OnceValue(func() *[0x800]letter {
	var t [0x800]letter
	for r := range t {
		t[r].class = slowClass(rune(r))
	}
	for pair := range strings.FieldsSeq("łl øo ǿo đd ðd ßss æae ǽae ǣae œoe þth ıi " +
		"άα έε ήη ίι ϊι ΐι όο ύυ ϋυ ΰυ ώω ёе ѐе йи ѝи їі ўу ѓг ќк") {
		r, n := utf8.DecodeRuneInString(pair)
		t[r].plain = pair[n:]
		if up := unicode.ToUpper(r); up >= utf8.RuneSelf && int(up) < len(t) {
			t[up].plain = pair[n:]
		}
	}
	return &t
})

// runeClass returns the class and the length of the first character. A byte that is not
// UTF-8 is outside, and so is the end.
func runeClass(s string) (class, int) {
	r, n := utf8.DecodeRuneInString(s)
	switch {
	case n == 0:
		return outside, 0
	case r < utf8.RuneSelf:
		return byteClass[r], 1
	case r < 0x800:
		return letters()[r].class, n
	case isCJK(r):
		return cjk, n
	}
	return slowClass(r), n
}

// slowClass agrees with unicode61 on what letters and digits are: categories L, N and Co.
func slowClass(r rune) class {
	switch {
	case 0x2010 <= r && r <= 0x2027, 0x2190 <= r && r <= 0x245F, 0x2500 <= r && r <= 0x2775, 0x2794 <= r && r <= 0x2BFF,
		0x3000 <= r && r <= 0x3004, 0x3008 <= r && r <= 0x3020, 0xFF01 <= r && r <= 0xFF0F, 0x1F300 <= r && r <= 0x1FAFF:
		// Dashes, quotation marks, arrows, boxes, full stops, emoji: not worth five tables.
	case unicode.IsUpper(r), unicode.IsTitle(r):
		return upper
	case unicode.IsLetter(r), unicode.Is(unicode.Co, r):
		return lower
	case unicode.IsMark(r):
		return mark
	case unicode.IsNumber(r):
		return digit
	}
	return outside
}

// isCJK reports whether r is a letter of Han, Hiragana, Katakana or Hangul, which put
// few blanks or none between words. The signs that prolong a vowel (U+30FC, U+FF70) and
// repeat a character belong to them, though not in the script tables of Unicode.
func isCJK(r rune) bool {
	switch {
	case r < 0x1100:
		return false
	case 0x4E00 <= r && r <= 0x9FFF, 0xAC00 <= r && r <= 0xD7A3,
		0x3041 <= r && r <= 0x3096, 0x30A1 <= r && r <= 0x30FA, 0x30FC <= r && r <= 0x30FF:
		return true // nearly all
	case r <= 0x11FF,
		0x3005 <= r && r <= 0x3007, 0x3021 <= r && r <= 0x303C, 0x309D <= r && r <= 0x309F,
		0x3131 <= r && r <= 0x318E, 0x31F0 <= r && r <= 0x31FF,
		0x3400 <= r && r <= 0x4DBF, 0xA960 <= r && r <= 0xA97F,
		0xD7B0 <= r && r <= 0xD7FF, 0xF900 <= r && r <= 0xFAFF,
		0xFF66 <= r && r <= 0xFFDC,
		0x16FE2 <= r && r <= 0x16FF6, 0x1AFF0 <= r && r <= 0x1B16F, 0x20000 <= r && r <= 0x3FFFF:
		return unicode.IsLetter(r) || unicode.Is(unicode.Nl, r)
	}
	return false
}

// append appends the word without its combining marks, at most of which unicode61 would
// cut it, and with letters replaced that unicode61 leaves alone.
func (w *wordScanner) append(b []byte) []byte {
	word := w.text[w.start:w.end]
	if w.plain {
		return append(b, word...)
	}
	for _, r := range word {
		switch {
		case r < utf8.RuneSelf:
			b = append(b, byte(r))
		case r < 0x800:
			if l := &letters()[r]; l.plain != "" {
				b = append(b, l.plain...)
			} else if l.class != mark {
				b = utf8.AppendRune(b, r)
			}
		case r == 'ẞ':
			b = append(b, "ss"...)
		case !unicode.IsMark(r):
			b = utf8.AppendRune(b, r)
		}
	}
	return b
}
