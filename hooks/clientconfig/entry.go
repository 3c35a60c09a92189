package clientconfig

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/tailscale/hujson"
)

// content is what is ours in a configuration file.
type content interface {
	// add puts it in; there says that the file is there already. Where it is in, the
	// bytes stay the same.
	add(data []byte, there bool) ([]byte, error)
	// remove takes it out again; whole says that nothing of the file is left.
	remove(data []byte) (rest []byte, whole bool, err error)
	// what it is, for people.
	what() string
}

// entry is one member of an object, or element of a list, of a JSON file.
type entry struct {
	about  string
	path   []string // of the object or list, from the root
	name   string   // of the member; "" is an element
	value  any
	ours   func(v any) bool // is one that stands there ours?
	any    bool             // when taking out, whatever name it has
	beside []named          // what stands in a new file too
}

func (e entry) what() string { return e.about }

func (e entry) add(data []byte, there bool) ([]byte, error) {
	d, err := parse(data)
	if err != nil {
		return nil, err
	}
	n := named{e.name, encode(e.value)}
	if d.root.Value == nil {
		return e.begin(d, n, there), nil
	}
	at := d.root
	for i, key := range e.path {
		m := member(at, key)
		if m < 0 {
			return d.insert(at, e.wrap(n, e.path[i:])), nil
		}
		at = parts(at)[m].value
		if err := e.fits(d, at, i+1); err != nil {
			return nil, err
		}
	}
	if e.name == "" {
		if len(e.elements(at)) > 0 {
			return data, nil
		}
		return d.insert(at, n), nil
	}
	if m := member(at, e.name); m >= 0 {
		p := parts(at)[m]
		if e.ours(decode(p.value)) {
			return data, nil
		}
		return nil, taken{d.at(p.start, fmt.Sprintf("there is another %q in %s already", e.name, strings.Join(e.path, ".")))}
	}
	return d.insert(at, n), nil
}

// taken is the name of somebody else's entry.
type taken struct{ error }

// begin writes a document into a file that is new or empty.
func (e entry) begin(d document, n named, there bool) []byte {
	n = e.wrap(n, e.path)
	var root strings.Builder
	root.WriteString("{")
	for i, m := range append([]named{n}, e.beside...) {
		if i > 0 {
			root.WriteString(",")
		}
		root.Write(encode(m.name))
		root.WriteString(":")
		root.Write(m.value)
	}
	root.WriteString("}")
	text := d.render(named{"", []byte(root.String())}, "")
	if !there {
		text += "\n"
	}
	return d.splice(len(d.data), len(d.data), text)
}

// wrap puts the objects or lists around an entry that are missing.
func (e entry) wrap(n named, missing []string) named {
	for _, key := range slices.Backward(missing) {
		if n.name == "" {
			n.value = slices.Concat([]byte("["), n.value, []byte("]"))
		} else {
			n.value = slices.Concat([]byte("{"), encode(n.name), []byte(":"), n.value, []byte("}"))
		}
		n.name = key
	}
	return n
}

// fits makes sure that what stands at the first n keys of the path can hold the rest.
func (e entry) fits(d document, v hujson.Value, n int) error {
	want := "an object"
	_, ok := v.Value.(*hujson.Object)
	if n == len(e.path) && e.name == "" {
		want = "a list"
		_, ok = v.Value.(*hujson.Array)
	}
	if ok {
		return nil
	}
	return d.at(v.StartOffset, fmt.Sprintf("%s is not %s", strings.Join(e.path[:n], "."), want))
}

func (e entry) remove(data []byte) ([]byte, bool, error) {
	for {
		d, err := parse(data)
		if err != nil {
			return nil, false, err
		}
		way := e.last(d)
		if way == nil {
			return data, false, nil
		}
		rest, whole := d.remove(way, e.beside)
		if whole {
			return nil, true, nil
		}
		data = rest
	}
}

// last returns the way to the last of our entries in the document, nil if there is none.
func (e entry) last(d document) []step {
	if d.root.Value == nil {
		return nil
	}
	at := d.root
	var way []step
	for i, key := range e.path {
		m := member(at, key)
		if m < 0 {
			return nil
		}
		way = append(way, step{at, m})
		at = parts(at)[m].value
		if e.fits(d, at, i+1) != nil {
			return nil
		}
	}
	if e.name == "" {
		if all := e.elements(at); len(all) > 0 {
			return append(way, all[len(all)-1]...)
		}
		return nil
	}
	for i, p := range slices.Backward(parts(at)) {
		if (e.any || p.name == e.name) && e.ours(decode(p.value)) {
			return append(way, step{at, i})
		}
	}
	return nil
}

// elements returns the ways to our hooks in a list. Where a hook of ours was put beside
// another's in one element, it is the hook that is ours and not the element.
func (e entry) elements(list hujson.Value) (ways [][]step) {
	for i, p := range parts(list) {
		mine, others := 0, 0
		for _, c := range commands(decode(p.value)) {
			if e.ours(c) {
				mine++
			} else {
				others++
			}
		}
		here := step{list, i}
		switch {
		case mine == 0:
		case others == 0:
			ways = append(ways, []step{here})
		default:
			for j, q := range parts(p.value) {
				if _, ok := q.value.Value.(*hujson.Array); ok {
					for _, way := range e.elements(q.value) {
						ways = append(ways, append([]step{here, {p.value, j}}, way...))
					}
				}
			}
		}
	}
	return ways
}

// commands returns the command lines in a hook's configuration.
func commands(v any) (list []string) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			list = append(list, commands(e)...)
		}
	case map[string]any:
		for key, e := range v {
			switch s, ok := e.(string); {
			case !ok:
				list = append(list, commands(e)...)
			case slices.Contains([]string{"command", "bash", "powershell", "linux", "osx", "windows"}, key):
				list = append(list, s)
			}
		}
	}
	return list
}

// isHook reports whether a command line runs our hook for an event.
func isHook(event string) func(v any) bool {
	return func(v any) bool {
		s, ok := v.(string)
		return ok && strings.Contains(s, program) && strings.Contains(s, " hook "+event)
	}
}

// program is what the clients run.
const program = "git-agentmail"

// isServer reports whether a server's entry starts this program, in the form of any client.
func isServer(v any) bool {
	argv := ServerCommand(v)
	if len(argv) == 0 {
		return false
	}
	switch baseName(argv[0]) {
	case program:
		return len(argv) > 1 && argv[1] == "mcp"
	case program + "-mcp":
		return true
	}
	return false
}

// ServerCommand returns the command line of a server's entry, nil if it has none.
func ServerCommand(v any) (argv []string) {
	m, _ := v.(map[string]any)
	switch c := m["command"].(type) {
	case string:
		argv = []string{c}
		args, _ := m["args"].([]any)
		for _, a := range args {
			s, _ := a.(string)
			argv = append(argv, s)
		}
	case []any:
		for _, a := range c {
			s, _ := a.(string)
			argv = append(argv, s)
		}
	}
	return argv
}

// baseName is the name of a program, whatever system its path is of.
func baseName(path string) string {
	path = path[strings.LastIndexAny(path, `/\`)+1:]
	return strings.TrimSuffix(filepath.Base(path), ".exe")
}

// explain says where a file is at fault.
func explain(file string, err error) error {
	switch err := err.(type) {
	case nil:
		return nil
	case taken:
		e := explain(file, err.error).(*mail.Error)
		e.Code = mail.Exists
		return e.Hint("git agentmail setup --name another")
	case positioned:
		return mail.Errorf(mail.Invalid, "%q line %d, column %d: %s; nothing was written", file, err.line, err.column, err.what)
	}
	return err
}
