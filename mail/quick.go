package mail

import (
	"strings"
	"time"
	"unicode/utf8"
)

// quick decodes what a mailbox has most of, messages and receipts, in one pass and without
// encoding them again: what it takes can only be the one valid encoding. Whatever is not
// as plain as most are, it leaves to the general decoder, and all that is wrong too.
func quick(path string, data []byte) (Record, bool) {
	switch {
	case strings.HasPrefix(path, "mail/"):
		object, body, ok := cutBody(data)
		if !ok || len(object) > MaxEvent || len(body) > MaxBody || !utf8.ValidString(body) {
			return nil, false
		}
		return quickMessage(path, string(object), body)
	case strings.HasPrefix(path, "receipts/") && len(data) <= MaxEvent:
		return quickReceipt(path, string(data))
	}
	return nil, false
}

func quickMessage(path, object, body string) (Record, bool) {
	s := quickScanner{rest: object}
	m := &Message{Body: body}
	s.begin(&m.Header)
	s.must(",\n\"at\": ")
	hour := s.time(&m.At)
	s.must(",\n\"from\": ")
	m.By = s.text()
	s.must(",\n\"from_name\": ")
	m.FromName = s.text()
	s.must(",\n\"to\": ")
	m.To = s.list()
	s.must(",\n\"to_names\": ")
	m.ToNames = s.list()
	if s.has(",\n\"cc\": ") {
		m.CC = s.someList()
	}
	if s.has(",\n\"cc_names\": ") {
		m.CCNames = s.someList()
	}
	if s.has(",\n\"bcc\": ") {
		m.BCC = s.someList()
	}
	if s.has(",\n\"thread\": ") {
		m.Thread = s.someText()
	}
	if s.has(",\n\"reply_to\": ") {
		m.ReplyTo = s.someText()
	}
	s.must(",\n\"subject\": ")
	m.Subject = s.text()
	s.must(",\n\"importance\": ")
	m.Importance = s.text()
	m.AckRequired = s.has(",\n\"ack_required\": true")
	if s.has(",\n\"topic\": ") {
		m.Topic = s.someText()
	}
	if s.has(",\n\"idempotency_key\": ") {
		m.IdempotencyKey = s.someText()
	}
	if !s.end(m, path, "mail/", hour) {
		return nil, false
	}
	if path[len("mail/2006-01/02/15/")+IDLength:] != "-"+Slug(m.Subject)+".md" {
		return nil, false
	}
	return m, true
}

func quickReceipt(path, object string) (Record, bool) {
	s := quickScanner{rest: object}
	r := &Receipt{}
	s.begin(&r.Header)
	s.must(",\n\"kind\": \"receipt\",\n\"at\": ")
	hour := s.time(&r.At)
	s.must(",\n\"by\": ")
	r.By = s.text()
	if s.has(",\n\"read\": ") {
		r.Read = s.someList()
	}
	if s.has(",\n\"ack\": ") {
		r.Ack = s.someList()
	}
	if !s.end(r, path, "receipts/", hour) || path[len("receipts/2006-01/02/15/")+IDLength:] != ".json" {
		return nil, false
	}
	return r, true
}

// quickScanner reads an object whose keys are known. Once it has met anything else, it is
// bad and has nothing more to read.
type quickScanner struct {
	rest string
	bad  bool
}

func (s *quickScanner) fail() { s.rest, s.bad = "", true }

// has takes a text if it comes next.
func (s *quickScanner) has(text string) bool {
	if !strings.HasPrefix(s.rest, text) {
		return false
	}
	s.rest = s.rest[len(text):]
	return true
}

func (s *quickScanner) must(text string) {
	if !s.has(text) {
		s.fail()
	}
}

// begin reads what all records begin with.
func (s *quickScanner) begin(h *Header) {
	s.must("{\n\"v\": 1,\n\"id\": ")
	h.V, h.ID = 1, s.text()
	s.must(",\n\"seq\": ")
	h.Seq = s.number()
	s.must(",\n\"hlc\": [")
	h.HLC.MS = s.number()
	s.must(",")
	h.HLC.N = s.number()
	s.must("]")
}

// end reports whether that was all, r is a valid record, and path begins as its hour and id
// say. Something follows them.
func (s *quickScanner) end(r Record, path, dir, hour string) bool {
	if s.must("\n}\n"); s.bad || s.rest != "" {
		return false
	}
	h := r.Head()
	if h.checkHeader() != nil || r.check() != nil {
		return false
	}
	rest, ok := strings.CutPrefix(path, dir)
	const form = "2006-01/02/15/"
	return ok && len(rest) > len(form)+IDLength && rest[:7] == hour[:7] && rest[7] == '/' && rest[8:10] == hour[8:10] &&
		rest[10] == '/' && rest[11:13] == hour[11:13] && rest[13] == '/' && rest[14:14+IDLength] == h.ID
}

// text reads a string that needs no escapes.
func (s *quickScanner) text() string {
	if !s.has(`"`) {
		s.fail()
		return ""
	}
	i, ascii := 0, true
	for ; i < len(s.rest) && s.rest[i] != '"'; i++ {
		c := s.rest[i]
		if c < ' ' || c == '\\' {
			s.fail()
			return ""
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	if i == len(s.rest) {
		s.fail()
		return ""
	}
	text := s.rest[:i]
	// U+2028 and U+2029 are written with escapes.
	if !ascii && (!utf8.ValidString(text) || strings.Contains(text, "\u2028") || strings.Contains(text, "\u2029")) {
		s.fail()
		return ""
	}
	s.rest = s.rest[i+1:]
	return text
}

// someText reads what would not be there if it were empty.
func (s *quickScanner) someText() string {
	text := s.text()
	if text == "" {
		s.fail()
	}
	return text
}

func (s *quickScanner) list() []string {
	if s.must("["); s.bad {
		return nil
	}
	if s.has("]") {
		return []string{}
	}
	list := make([]string, 0, 1+strings.Count(s.rest[:max(0, strings.IndexByte(s.rest, '\n'))], `","`))
	for {
		list = append(list, s.text())
		if !s.has(",") {
			break
		}
	}
	s.must("]")
	return list
}

func (s *quickScanner) someList() []string {
	list := s.list()
	if len(list) == 0 {
		s.fail()
	}
	return list
}

// number reads a number that is not negative and has no more digits than any needs.
func (s *quickScanner) number() (n int64) {
	i := 0
	for ; i < len(s.rest) && '0' <= s.rest[i] && s.rest[i] <= '9'; i++ {
		if i == 18 {
			s.fail()
			return 0
		}
		n = n*10 + int64(s.rest[i]-'0')
	}
	if i == 0 || i > 1 && s.rest[0] == '0' {
		s.fail()
		return 0
	}
	s.rest = s.rest[i:]
	return n
}

// time reads a time, and returns how it is written.
func (s *quickScanner) time(t *Time) (text string) {
	text = s.text()
	if len(text) != len(timeLayout) || text[4] != '-' || text[7] != '-' || text[10] != 'T' || text[13] != ':' || text[16] != ':' || text[19] != '.' || text[23] != 'Z' {
		s.fail()
		return ""
	}
	n := func(from, to int) (v int) {
		for _, c := range []byte(text[from:to]) {
			if c < '0' || c > '9' {
				s.fail()
			}
			v = v*10 + int(c-'0')
		}
		return v
	}
	year, month, day, hour, minute, second := n(0, 4), n(5, 7), n(8, 10), n(11, 13), n(14, 16), n(17, 19)
	when := time.Date(year, time.Month(month), day, hour, minute, second, n(20, 23)*int(time.Millisecond), time.UTC)
	// The 31st of February becomes one of March.
	if year < 1970 || month < 1 || month > 12 || day < 1 || when.Day() != day || hour > 23 || minute > 59 || second > 59 {
		s.fail()
		return ""
	}
	*t = At(when)
	return text
}
