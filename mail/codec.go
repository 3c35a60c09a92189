package mail

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// The limits of what Decode accepts, so that a hostile log cannot exhaust a
// reader.
const (
	MaxEvent = 1 << 20
	MaxBody  = 8 << 20
)

const (
	frontOpen  = "---\n"
	frontClose = "---\n\n"
)

// Encode returns the one encoding of a record. An event is a JSON object with
// one key per line in fixed order; a message is that object between two lines
// of three dashes, an empty line, and the body. A record that Decode would not
// accept is an error: it could never be read again, and never be removed.
func Encode(r Record) ([]byte, error) {
	switch r := r.(type) {
	case *Unknown:
		return r.Raw, nil
	case *Message:
		if r.Redacted {
			return nil, errors.New("it is a tombstone, which is never stored")
		}
		if !utf8.ValidString(r.Body) || len(r.Body) > MaxBody {
			return nil, fmt.Errorf("the body is not valid UTF-8 or longer than %d bytes", MaxBody)
		}
		head, err := encodeObject(r)
		if err != nil {
			return nil, err
		}
		return slices.Concat([]byte(frontOpen), head, []byte(frontClose), []byte(r.Body)), nil
	}
	return encodeObject(r)
}

// encodeObject writes the head of a message or a whole event. Keys that this
// version does not know follow the others, sorted.
func encodeObject(r Record) ([]byte, error) {
	if err := r.Head().checkHeader(); err != nil {
		return nil, err
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	var compact bytes.Buffer
	enc := json.NewEncoder(&compact)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(r); err != nil {
		return nil, err
	}
	if replaced(compact.Bytes()) {
		return nil, errors.New("a text in it is not valid UTF-8")
	}
	var b bytes.Buffer
	b.Grow(compact.Len() + 64)
	b.WriteString("{\n")
	line := func(key string, value []byte) {
		if b.Len() > 2 {
			b.WriteString(",\n")
		}
		b.WriteString(`"` + key + `": `)
		b.Write(value)
	}
	_, isMessage := r.(*Message)
	for f := range members(compact.Bytes()) {
		if f.key == "by" && isMessage {
			f.key = "from" // what mail calls it
		}
		line(f.key, f.value)
		if f.key == "hlc" && !isMessage {
			line("kind", []byte(`"`+r.kind()+`"`))
		}
	}
	extra := r.Head().extra
	for _, k := range slices.Sorted(maps.Keys(extra)) {
		key, err := marshal(k)
		if err != nil {
			return nil, err
		}
		b.WriteString(",\n")
		b.Write(key)
		b.WriteString(": ")
		b.Write(extra[k])
	}
	b.WriteString("\n}\n")
	if b.Len() > MaxEvent {
		return nil, fmt.Errorf("it would be %d bytes, longer than %d", b.Len(), MaxEvent)
	}
	return b.Bytes(), nil
}

// replaced reports whether the encoder came upon bytes that are not UTF-8: only
// those it writes as an escaped U+FFFD. They would not come out of Decode again.
func replaced(doc []byte) bool {
	const escaped = `\ufffd`
	for {
		i := bytes.Index(doc, []byte(escaped))
		if i < 0 {
			return false
		}
		if before := doc[:i]; (len(before)-len(bytes.TrimRight(before, `\`)))%2 == 0 {
			return true
		}
		doc = doc[i+len(escaped):]
	}
}

func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

type field struct {
	key   string
	value json.RawMessage
}

// members yields the keys and raw values of an object as this package's encoder
// writes it: without blanks, and with keys that need no escapes. Every list in a
// mailbox decodes thousands of records, and a general parser took most of that.
func members(object []byte) iter.Seq[field] {
	return func(yield func(field) bool) {
		rest := bytes.TrimSuffix(bytes.TrimPrefix(bytes.TrimSpace(object), []byte("{")), []byte("}"))
		for len(rest) > 0 {
			key, value, _ := bytes.Cut(rest, []byte(":"))
			end, depth, quoted := 0, 0, false
			for ; end < len(value); end++ {
				switch c := value[end]; {
				case quoted && c == '\\':
					end++
				case c == '"':
					quoted = !quoted
				case quoted:
				case c == '{' || c == '[':
					depth++
				case c == '}' || c == ']':
					depth--
				}
				if depth == 0 && !quoted && value[end] == ',' {
					break
				}
			}
			if !yield(field{string(bytes.Trim(key, `"`)), value[:end:end]}) {
				return
			}
			rest = value[min(end+1, len(value)):]
		}
	}
}

// lines splits an object that stands one key a line, as Encode writes it. ok is
// false for any other form. That the values are JSON is for others to find out.
func lines(object []byte) (fields []field, ok bool) {
	rest, ok := bytes.CutPrefix(object, []byte("{\n"))
	rest, end := bytes.CutSuffix(rest, []byte("\n}\n"))
	if !ok || !end {
		return nil, false
	}
	for more := true; more; {
		var line []byte
		line, rest, more = bytes.Cut(rest, []byte("\n"))
		if more {
			if line, ok = bytes.CutSuffix(line, []byte(",")); !ok {
				return nil, false
			}
		}
		key, value, ok := bytes.Cut(line, []byte(`": `))
		if !ok || len(key) < 2 || key[0] != '"' || bytes.ContainsAny(key[1:], `"\\`) {
			return nil, false
		}
		fields = append(fields, field{string(key[1:]), value[:len(value):len(value)]})
	}
	return fields, true
}

// topLevel splits a JSON object into its keys and raw values, in order.
func topLevel(data []byte) ([]field, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("a JSON object is expected")
	}
	var fields []field
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, err
		}
		fields = append(fields, field{t.(string), raw})
	}
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("something follows the JSON object")
	}
	return fields, nil
}

// Decode reads the record stored at path in a log. Only the one encoding is
// accepted: what does not come out of Encode byte for byte again is an error of
// code corrupt that names the path.
func Decode(path string, data []byte) (Record, error) {
	r, err := decode(path, data)
	if err != nil {
		return nil, Errorf(Corrupt, "the stored file %q does not decode: %w", path, err).
			With("path", path).Hint("git agentmail verify")
	}
	return r, nil
}

// BodyOf returns the body of a message that Decode accepts, and is as much quicker as a list
// is that reads many bodies and has all the rest in its index.
func BodyOf(data []byte) string {
	_, body, _ := cutBody(data)
	return body
}

func cutBody(data []byte) (object []byte, body string, ok bool) {
	rest, ok := bytes.CutPrefix(data, []byte(frontOpen))
	i := bytes.Index(rest, []byte("\n}\n"+frontClose))
	if !ok || i < 0 {
		return nil, "", false
	}
	return rest[:i+3], string(rest[i+3+len(frontClose):]), true
}

func decode(path string, data []byte) (Record, error) {
	if r, ok := quick(path, data); ok {
		return r, nil
	}
	return decodeAny(path, data)
}

// decodeAny decodes a record of any kind.
func decodeAny(path string, data []byte) (Record, error) {
	object, body := data, ""
	isMessage := strings.HasPrefix(path, "mail/")
	if isMessage {
		var ok bool
		if object, body, ok = cutBody(data); !ok {
			return nil, fmt.Errorf("it does not begin with a JSON head between lines of three dashes")
		}
	} else if len(data) > MaxEvent {
		return nil, fmt.Errorf("it is longer than %d bytes", MaxEvent)
	}
	if len(object) > MaxEvent || len(body) > MaxBody {
		return nil, fmt.Errorf("it is too long")
	}
	fields, ok := lines(object)
	if !ok { // a newer version's, or not in the one valid encoding
		var err error
		if fields, err = topLevel(object); err != nil {
			return nil, err
		}
	}
	r, err := newRecord(path, isMessage, fields, data)
	if err != nil {
		return nil, err
	}
	if u, ok := r.(*Unknown); ok {
		return u, nil
	}
	known := jsonKeys(reflect.TypeOf(r).Elem())
	var doc bytes.Buffer // the object with its own names for the keys, unknown ones left out
	doc.WriteByte('{')
	for _, f := range fields {
		if isMessage && f.key == "from" {
			f.key = "by"
		} else if isMessage && f.key == "by" {
			return nil, fmt.Errorf(`the key "by" is not a message's`)
		}
		if f.key == "kind" && !isMessage {
			continue
		}
		if !known[f.key] {
			if !json.Valid(f.value) {
				return nil, fmt.Errorf("the value of %q is not JSON", f.key)
			}
			h := r.Head()
			if h.extra == nil {
				h.extra = map[string]json.RawMessage{}
			}
			h.extra[f.key] = f.value
			continue
		}
		if doc.Len() > 1 {
			doc.WriteByte(',')
		}
		doc.WriteString(`"` + f.key + `":`)
		doc.Write(f.value)
	}
	doc.WriteByte('}')
	if err := json.Unmarshal(doc.Bytes(), r); err != nil {
		return nil, err
	}
	if m, ok := r.(*Message); ok {
		m.Body = body
	}
	again, err := Encode(r)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, data) {
		return nil, fmt.Errorf("it is not in the one valid encoding")
	}
	if r.Path() != path {
		return nil, fmt.Errorf("by its contents it belongs at %q", r.Path())
	}
	return r, nil
}

// newRecord makes an empty record of the kind that fields say, or an Unknown.
func newRecord(path string, isMessage bool, fields []field, data []byte) (Record, error) {
	var v int
	var kind string
	head := map[string]json.RawMessage{}
	for _, f := range fields {
		switch f.key {
		case "v":
			if err := json.Unmarshal(f.value, &v); err != nil {
				return nil, err
			}
		case "kind":
			if !isMessage {
				if err := json.Unmarshal(f.value, &kind); err != nil {
					return nil, err
				}
			}
		case "id", "seq", "hlc", "at", "by":
			head[f.key] = f.value
		}
	}
	if v < 1 {
		return nil, fmt.Errorf("v is %d", v)
	}
	if v == Version && isMessage {
		return &Message{}, nil
	}
	if v == Version {
		for _, r := range []Record{&AgentChange{}, &Receipt{}, &LeaseEvent{}, &Contact{}, &CommitSeen{}, &Bypass{}, &SlotEvent{}, &ProductLink{}, &Redaction{}} {
			if r.kind() == kind {
				return r, nil
			}
		}
	}
	// Whatever of the header is still understood helps to say what it is.
	u := &Unknown{Kind: kind, Raw: bytes.Clone(data), path: path}
	if doc, err := json.Marshal(head); err == nil {
		json.Unmarshal(doc, &u.Header)
	}
	u.V = v
	return u, nil
}

var keysOf sync.Map // reflect.Type to map[string]bool

// jsonKeys returns the keys that records of type t have of their own.
func jsonKeys(t reflect.Type) map[string]bool {
	if m, ok := keysOf.Load(t); ok {
		return m.(map[string]bool)
	}
	m := map[string]bool{}
	addKeys(t, m)
	keysOf.Store(t, m)
	return m
}

func addKeys(t reflect.Type, m map[string]bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous:
			addKeys(f.Type, m)
		case tag != "" && tag != "-":
			m[tag] = true
		}
	}
}

// Less reports whether a stands before b in the order of the log: by stamp,
// then id.
func Less(a, b Record) bool {
	ha, hb := a.Head(), b.Head()
	if c := ha.HLC.Compare(hb.HLC); c != 0 {
		return c < 0
	}
	return ha.ID < hb.ID
}
