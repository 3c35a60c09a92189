package mcp

import (
	"bytes"
	"encoding/json"
)

// node is a JSON value whose objects keep the order of their keys: what a model reads
// first matters, and the types of the mailbox put it first.
type node struct {
	kind   byte   // '{', '[', '"', or 0 for a number, true, false and null
	text   string // of a string; of the others as JSON writes it
	keys   []string
	values []*node
}

// parseTree reads JSON that this program wrote.
func parseTree(data []byte) (*node, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	return readNode(dec)
}

func readNode(dec *json.Decoder) (*node, error) {
	tok, err := dec.Token()
	if err != nil {
		return nil, err
	}
	n := &node{}
	switch v := tok.(type) {
	case json.Delim:
		n.kind = byte(v)
		for dec.More() {
			if n.kind == '{' {
				key, err := dec.Token()
				if err != nil {
					return nil, err
				}
				n.keys = append(n.keys, key.(string))
			}
			child, err := readNode(dec)
			if err != nil {
				return nil, err
			}
			n.values = append(n.values, child)
		}
		_, err = dec.Token()
		return n, err
	case string:
		n.kind, n.text = '"', v
	case json.Number:
		n.text = v.String()
	case bool:
		n.text = map[bool]string{true: "true", false: "false"}[v]
	default:
		n.text = "null"
	}
	return n, nil
}

// json writes the value without blanks.
func (n *node) json(w *bytes.Buffer) {
	switch n.kind {
	case '"':
		writeString(w, n.text)
	case '{', '[':
		w.WriteByte(n.kind)
		for i, v := range n.values {
			if i > 0 {
				w.WriteByte(',')
			}
			if n.kind == '{' {
				writeString(w, n.keys[i])
				w.WriteByte(':')
			}
			v.json(w)
		}
		w.WriteByte(n.kind + 2) // ']' and '}' stand two behind '[' and '{'
	default:
		w.WriteString(n.text)
	}
}

// writeString leaves <, > and & as they are.
func writeString(w *bytes.Buffer, s string) {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.Encode(s)
	w.Truncate(w.Len() - 1) // the encoder's newline
}

// add puts a text at the end of an object.
func (n *node) add(key, text string) {
	n.keys, n.values = append(n.keys, key), append(n.values, &node{kind: '"', text: text})
}

// each visits the value and everything in it.
func (n *node) each(fn func(*node)) {
	fn(n)
	for _, v := range n.values {
		v.each(fn)
	}
}
