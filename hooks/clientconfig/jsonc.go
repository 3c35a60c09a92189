package clientconfig

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/tailscale/hujson"
)

// document is a JSON text, perhaps with comments and trailing commas, and where its
// parts lie in it. It is edited as text: what is not ours keeps its bytes.
//
// How an entry is written says what was there before it, so that taking it out gives
// the same bytes again:
//
//   - In an object or list that was empty it follows the bracket directly. One that we
//     had to make has a line break there, and goes with its only entry.
//   - Behind other entries it stands after a comma and white space, behind a trailing
//     comma before one of its own.
//   - A file that we made ends in a newline after the root. Where the file was there
//     and empty it does not.
type document struct {
	bom  []byte // the byte order mark, or nothing
	data []byte // what follows it
	root hujson.Value
}

var byteOrderMark = []byte("\ufeff")

// parse reads a document. One of nothing but white space has a root without a value.
func parse(data []byte) (document, error) {
	var d document
	d.data = data
	if bytes.HasPrefix(data, byteOrderMark) {
		d.bom, d.data = byteOrderMark, data[len(byteOrderMark):]
	}
	if blank(d.data) {
		return d, nil
	}
	var err error
	d.root, err = hujson.Parse(d.data)
	if err != nil {
		return d, syntaxError(err)
	}
	if _, ok := d.root.Value.(*hujson.Object); !ok {
		return d, positioned{1, 1, "it holds no JSON object"}
	}
	return d, nil
}

func blank(data []byte) bool { return len(bytes.TrimLeft(data, " \t\r\n")) == 0 }

// positioned is what is wrong at some place of a file.
type positioned struct {
	line, column int
	what         string
}

func (p positioned) Error() string { return p.what }

func syntaxError(err error) error {
	p := positioned{1, 1, err.Error()}
	fmt.Sscanf(p.what, "hujson: line %d, column %d:", &p.line, &p.column)
	if inner := errors.Unwrap(err); inner != nil {
		p.what = inner.Error()
	}
	return p
}

// at says where in the document an offset lies.
func (d document) at(offset int, what string) error {
	before := d.data[:offset]
	return positioned{bytes.Count(before, []byte("\n")) + 1, offset - bytes.LastIndexByte(before, '\n'), what}
}

// part is a member of an object or an element of a list.
type part struct {
	start, end int // of the name, or of the element, and behind the value
	name       string
	value      hujson.Value
}

func parts(v hujson.Value) []part {
	var list []part
	switch v := v.Value.(type) {
	case *hujson.Object:
		for _, m := range v.Members {
			name, _ := m.Name.Value.(hujson.Literal)
			list = append(list, part{m.Name.StartOffset, m.Value.EndOffset, name.String(), m.Value})
		}
	case *hujson.Array:
		for _, e := range v.Elements {
			list = append(list, part{e.StartOffset, e.EndOffset, "", e})
		}
	}
	return list
}

// member returns the index of the member called name, -1 if there is none. Of two
// the last counts, as with the clients.
func member(v hujson.Value, name string) int {
	found := -1
	for i, p := range parts(v) {
		if p.name == name {
			found = i
		}
	}
	return found
}

// decode returns the value as encoding/json has it.
func decode(v hujson.Value) any {
	v = v.Clone()
	v.BeforeExtra, v.AfterExtra = nil, nil
	v.Standardize()
	var out any
	json.Unmarshal(v.Pack(), &out)
	return out
}

// encode writes v as JSON on one line, with <, > and & as they are.
func encode(v any) json.RawMessage {
	var w bytes.Buffer
	enc := json.NewEncoder(&w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err) // all are values of ours
	}
	return bytes.TrimSpace(w.Bytes())
}

// named is a member, or with the name "" an element.
type named struct {
	name  string
	value json.RawMessage
}

// render writes an entry whose first line is indented by indent already.
func (d document) render(n named, indent string) string {
	var w bytes.Buffer
	if n.name != "" {
		w.Write(encode(n.name))
		w.WriteString(": ")
	}
	if err := json.Indent(&w, n.value, indent, d.unit()); err != nil {
		panic(err)
	}
	return strings.ReplaceAll(w.String(), "\n", d.newline())
}

func (d document) newline() string {
	if i := bytes.IndexByte(d.data, '\n'); i > 0 && d.data[i-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// unit is by how much this document indents.
func (d document) unit() string {
	for _, p := range parts(d.root) {
		if s, own := d.indent(p.start); own && s != "" {
			return s
		}
	}
	return "  "
}

// indent returns the white space that the line of an offset begins with, and whether
// there is nothing else before the offset.
func (d document) indent(offset int) (s string, own bool) {
	line := d.data[bytes.LastIndexByte(d.data[:offset], '\n')+1 : offset]
	rest := bytes.TrimLeft(line, " \t")
	return string(line[:len(line)-len(rest)]), len(rest) == 0
}

// splice returns the document with what lies between two offsets replaced.
func (d document) splice(from, to int, text string) []byte {
	return bytes.Join([][]byte{d.bom, d.data[:from], []byte(text), d.data[to:]}, nil)
}

// insert puts an entry at the end of an object or a list.
func (d document) insert(into hujson.Value, n named) []byte {
	list := parts(into)
	open := into.StartOffset
	outer, _ := d.indent(open)
	if len(list) == 0 {
		return d.splice(open+1, open+1, d.render(n, outer))
	}
	last := list[len(list)-1]
	comma := d.comma(last.end)
	at := last.end
	if comma >= 0 {
		at = comma + 1
	}
	gap, indent := " ", outer
	if bytes.IndexByte(d.data[open:into.EndOffset], '\n') >= 0 {
		indent = outer + d.unit()
		for _, p := range list {
			if s, own := d.indent(p.start); own {
				indent = s
			}
		}
		gap = d.newline() + indent
		at = d.behindNotes(at)
	}
	text := gap + d.render(n, indent)
	if comma >= 0 {
		return d.splice(at, at, text+",")
	}
	return d.splice(last.end, at, ","+string(d.data[last.end:at])+text)
}

// comma returns where the comma behind a value stands, -1 if there is none.
func (d document) comma(end int) int {
	if i := end + skipExtra(d.data[end:]); i < len(d.data) && d.data[i] == ',' {
		return i
	}
	return -1
}

// skipExtra returns the length of the white space and comments that data begins with.
func skipExtra(data []byte) int {
	for i := 0; ; {
		switch {
		case i == len(data):
			return i
		case strings.IndexByte(" \t\r\n", data[i]) >= 0:
			i++
		case bytes.HasPrefix(data[i:], []byte("//")):
			n := bytes.IndexByte(data[i:], '\n')
			if n < 0 {
				return len(data)
			}
			i += n
		case bytes.HasPrefix(data[i:], []byte("/*")):
			n := bytes.Index(data[i+2:], []byte("*/"))
			if n < 0 {
				return len(data)
			}
			i += 2 + n + 2
		default:
			return i
		}
	}
}

// behindNotes moves an offset behind the comments that follow on its line: they are
// about what stands before them.
func (d document) behindNotes(at int) int {
	for i := at; ; {
		for i < len(d.data) && (d.data[i] == ' ' || d.data[i] == '\t') {
			i++
		}
		rest := d.data[i:]
		switch {
		case bytes.HasPrefix(rest, []byte("//")):
			end := bytes.IndexByte(rest, '\n')
			if end < 0 {
				return at
			}
			for rest[end-1] == '\r' {
				end--
			}
			return i + end
		case bytes.HasPrefix(rest, []byte("/*")):
			end := bytes.Index(rest[2:], []byte("*/")) + 4
			if bytes.IndexByte(rest[:end], '\n') >= 0 {
				return at
			}
			i += end
			at = i
		default:
			return at
		}
	}
}

// step is a place on the way from the root to an entry: a part of an object or list.
type step struct {
	in hujson.Value
	i  int
}

// remove takes out the entry at the end of the way, with what we made around it. whole
// says that the file had nothing else and was made by us. Members of the root called
// as in beside stood in our file too.
func (d document) remove(way []step, beside []named) (data []byte, whole bool) {
	for len(way) > 0 && d.alone(way[len(way)-1], len(way) == 1, beside) {
		way = way[:len(way)-1]
	}
	if len(way) == 0 {
		before, after := d.data[:d.root.StartOffset], d.data[d.root.EndOffset:]
		switch {
		case len(d.bom)+len(before) == 0 && string(after) == "\n":
			return nil, true
		case blank(before) && blank(after):
			return bytes.Join([][]byte{d.bom, before, after}, nil), false
		}
		return d.splice(d.root.StartOffset, d.root.EndOffset, "{}"), false
	}
	return d.cut(way[len(way)-1]), false
}

// alone reports whether an entry is the only one in what we made for it.
func (d document) alone(s step, root bool, beside []named) bool {
	list := parts(s.in)
	first := d.data[s.in.StartOffset+1 : list[0].start]
	if s.i > 0 || len(first) == 0 || !blank(first) {
		return false
	}
	end := list[0].end
	for _, p := range list[1:] {
		if !root || !ours(p, beside) || !empty(d.data[end:p.start]) {
			return false
		}
		end = p.end
	}
	return empty(d.data[end : s.in.EndOffset-1])
}

// empty reports whether there is but a comma and white space.
func empty(extra []byte) bool { return blank(bytes.Replace(extra, []byte(","), nil, 1)) }

func ours(p part, beside []named) bool {
	for _, n := range beside {
		if p.name == n.name && bytes.Equal(encode(decode(p.value)), n.value) {
			return true
		}
	}
	return false
}

// cut takes one entry out of an object or list that stays.
func (d document) cut(s step) []byte {
	list := parts(s.in)
	before := s.in.StartOffset + 1 // where the entry's white space and comments begin
	comma := -1                    // the one that goes
	if s.i > 0 {
		comma = d.comma(list[s.i-1].end)
		before = comma + 1
	}
	from, to := list[s.i].start, list[s.i].end
	for from > before && (d.data[from-1] == ' ' || d.data[from-1] == '\t') {
		from--
	}
	if from > before && d.data[from-1] == '\n' {
		from--
		if from > before && d.data[from-1] == '\r' {
			from--
		}
	}
	if next := d.comma(to); next == to {
		comma, to = -1, to+1
	} else if next >= 0 {
		comma = next
	}
	if to < len(d.data) && d.data[to] != '\n' && d.data[to] != '\r' && openNote(d.data[before:from]) {
		from = list[s.i].start // or what follows would become part of the comment
	}
	switch {
	case comma < 0:
		return d.splice(from, to, "")
	case comma < from:
		return d.splice(comma, to, string(d.data[comma+1:from]))
	}
	return d.splice(from, comma+1, string(d.data[to:comma]))
}

// openNote reports whether white space and comments end within a comment of one line.
func openNote(extra []byte) bool {
	for len(extra) > 0 {
		switch {
		case bytes.HasPrefix(extra, []byte("//")):
			end := bytes.IndexByte(extra, '\n')
			if end < 0 {
				return true
			}
			extra = extra[end:]
		case bytes.HasPrefix(extra, []byte("/*")):
			end := bytes.Index(extra[2:], []byte("*/"))
			if end < 0 {
				return false
			}
			extra = extra[2+end+2:]
		default:
			extra = extra[1:]
		}
	}
	return false
}
