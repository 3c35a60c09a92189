package mcp

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// toon writes a value in Token-Oriented Object Notation, as its specification of 2026
// (version 4) has it: fields by indentation, and like objects as a table whose head
// names the fields once.
func (n *node) toon() string {
	w := &toonWriter{}
	switch {
	case n.kind == '{' && len(n.keys) == 0:
		return ""
	case n.kind == '{' || n.kind == '[':
		w.field("", n, 0)
	default:
		return toonScalar(n)
	}
	return strings.Join(w.lines, "\n")
}

type toonWriter struct{ lines []string }

func (w *toonWriter) line(depth int, s string) {
	w.lines = append(w.lines, strings.Repeat("  ", depth)+s)
}

// field writes a value under its key. The whole value has none, and what is in a list
// has none either.
func (w *toonWriter) field(key string, v *node, depth int) {
	switch {
	case v.kind == '{' && w.table(key, v, len(v.keys) > 1, depth):
	case v.kind == '{':
		if key != "" {
			w.line(depth, key+":")
			depth++
		}
		w.fields(v, depth)
	case v.kind == '[' && w.table(key, v, len(v.values) > 0, depth):
	case v.kind == '[':
		w.list(key, v, depth)
	default:
		w.line(depth, key+": "+toonScalar(v))
	}
}

func (w *toonWriter) fields(n *node, depth int) {
	for i, key := range n.keys {
		w.field(toonKey(key), n.values[i], depth)
	}
}

// list writes a list on one line, or item by item.
func (w *toonWriter) list(key string, n *node, depth int) {
	nested := func(v *node) bool { return v.kind == '{' || v.kind == '[' }
	switch head := fmt.Sprintf("%s[%d]:", key, len(n.values)); {
	case len(n.values) == 0 && key != "":
		w.line(depth, key+": []")
	case len(n.values) == 0 && depth == 0:
		w.line(depth, "[]")
	case len(n.values) == 0:
		w.line(depth, head)
	case !slices.ContainsFunc(n.values, nested):
		list := make([]string, len(n.values))
		for i, v := range n.values {
			list[i] = toonScalar(v)
		}
		w.line(depth, head+" "+strings.Join(list, ","))
	default:
		w.line(depth, head)
		for _, item := range n.values {
			w.item(item, depth+1)
		}
	}
}

// item writes one of a list behind a hyphen, and what belongs to it below that.
func (w *toonWriter) item(n *node, depth int) {
	at := len(w.lines)
	switch {
	case n.kind == '{' && len(n.keys) == 0:
		w.line(depth, "-")
		return
	case n.kind == '{':
		w.fields(n, depth+1)
	case n.kind == '[':
		w.list("", n, depth)
	default:
		w.line(depth, toonScalar(n))
	}
	w.lines[at] = strings.Repeat("  ", depth) + "- " + strings.TrimLeft(w.lines[at], " ")
}

// table writes a list, or an object of entries, as a table, if its values are alike.
// Lists in lists have no key to stand in the head and are written item by item.
func (w *toonWriter) table(key string, n *node, enough bool, depth int) bool {
	if !enough || key == "" && depth > 0 {
		return false
	}
	cols, ok := columns(n.values)
	if !ok {
		return false
	}
	mark := ""
	if n.kind == '{' {
		mark = ":"
	}
	w.line(depth, fmt.Sprintf("%s[%d%s]%s:", key, len(n.values), mark, heads(cols)))
	for i, v := range n.values {
		row := strings.Join(cells(nil, v, cols), ",")
		if n.kind == '{' {
			row = toonKey(n.keys[i]) + ": " + row
		}
		w.line(depth+1, row)
	}
	return true
}

// column is a field of a table; it has fields itself where all its values are alike.
type column struct {
	key string
	sub []column
}

// columns returns the fields that all values have, if these are objects with the same
// keys and every field is plain in all of them, or a table again.
func columns(values []*node) ([]column, bool) {
	first := values[0]
	if first.kind != '{' || len(first.keys) == 0 {
		return nil, false
	}
	for _, v := range values {
		if v.kind != '{' || len(v.keys) != len(first.keys) {
			return nil, false
		}
	}
	list := make([]column, len(first.keys))
	for i, key := range first.keys {
		list[i].key = key
		under, plain := make([]*node, len(values)), 0
		for j, v := range values {
			at := slices.Index(v.keys, key)
			if at < 0 {
				return nil, false
			}
			if under[j] = v.values[at]; under[j].kind != '{' && under[j].kind != '[' {
				plain++
			}
		}
		if plain == len(values) {
			continue
		}
		sub, ok := columns(under)
		if !ok {
			return nil, false
		}
		list[i].sub = sub
	}
	return list, true
}

func heads(cols []column) string {
	list := make([]string, len(cols))
	for i, c := range cols {
		if list[i] = toonKey(c.key); c.sub != nil {
			list[i] += heads(c.sub)
		}
	}
	return "{" + strings.Join(list, ",") + "}"
}

func cells(list []string, n *node, cols []column) []string {
	for _, c := range cols {
		v := n.values[slices.Index(n.keys, c.key)]
		if c.sub != nil {
			list = cells(list, v, c.sub)
		} else {
			list = append(list, toonScalar(v))
		}
	}
	return list
}

var (
	bareKey     = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)
	likeANumber = regexp.MustCompile(`^[-+]?\d+(\.\d+)?([eE][+-]?\d+)?$`)
)

func toonKey(s string) string {
	if bareKey.MatchString(s) {
		return s
	}
	return toonQuote(s)
}

// toonScalar quotes a text only where it could be taken for something else.
func toonScalar(n *node) string {
	s := n.text
	switch {
	case n.kind != '"':
		return toonNumber(s)
	case s == "", s == "true", s == "false", s == "null", s[0] == '-', s[0] == '#', s != strings.TrimSpace(s), likeANumber.MatchString(s),
		strings.ContainsAny(s, ",:\"\\[]{}"), strings.ContainsFunc(s, isControl):
		return toonQuote(s)
	}
	return s
}

// toonNumber writes a number without an exponent.
func toonNumber(s string) string {
	if s == "true" || s == "false" || s == "-0" || !strings.ContainsAny(s, "eE.") {
		return strings.TrimPrefix(s, map[bool]string{true: "-"}[s == "-0"])
	}
	f, err := json.Number(s).Float64()
	if err != nil {
		return s
	}
	if f == 0 {
		return "0"
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

func isControl(r rune) bool { return r < ' ' }

func toonQuote(s string) string {
	var w strings.Builder
	w.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			w.WriteRune('\\')
			w.WriteRune(r)
		case r == '\n':
			w.WriteString(`\n`)
		case r == '\r':
			w.WriteString(`\r`)
		case r == '\t':
			w.WriteString(`\t`)
		case isControl(r):
			fmt.Fprintf(&w, `\u%04x`, r)
		default:
			w.WriteRune(r)
		}
	}
	w.WriteByte('"')
	return w.String()
}
