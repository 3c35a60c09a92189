package githook

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
)

// Version is the version of the block that is written now. Raise it with every
// change of the block's text; when the markers change, add a [layout].
const Version = 3

// layout is how the blocks of some version stand in a file.
type layout struct {
	version    int    // the first version with these markers
	begin, end string // begin is followed by the fields, end is a whole line
}

// shipped lists the markers of every version that was ever released, the
// newest last. Entries are never removed: hooks of any age must be replaced in
// place and taken out.
var shipped = []layout{
	{1, "# >>> git-agentmail guard >>> ", "# <<< git-agentmail guard <<<"},
}

// block is our part of a hook.
type block struct {
	event   string
	version int
	fresh   bool   // the file was made by us
	mkdir   bool   // so was its directory
	orig    string // SHA-256 of the file without the block

	start, stop int // where it lies in the file that it was found in
}

const shebang = "#!/bin/sh\n"

const (
	binaryHead = "_gam_bin="
	// No $(command -v ...): a substitution costs every commit another process.
	binaryTail = `
if command -v git-agentmail >/dev/null 2>&1; then _gam_bin=git-agentmail
elif ! [ -x "$_gam_bin" ]; then _gam_bin=; fi
`
)

// render returns the text of the block with the present version and markers.
//
// It is POSIX sh and works under any of the options that a #! line can set, -e
// and -u among them. It leaves $@, the working directory, $? (0) and every
// variable that does not begin with _gam_ as they were. A binary that is
// missing or cannot be started (126, 127: one for another machine, say) never
// stops git.
func (b block) render(binary string) []byte {
	var s strings.Builder
	m := shipped[len(shipped)-1]
	s.WriteString(m.begin + b.event + " v" + strconv.Itoa(Version))
	if b.fresh {
		s.WriteString(" fresh")
	} else {
		s.WriteString(" insert")
	}
	if b.mkdir {
		s.WriteString(" mkdir")
	}
	s.WriteString(" orig=" + b.orig + "\n")
	s.WriteString("# put here by git-agentmail; to take it out: git agentmail hooks uninstall\n")
	s.WriteString(binaryHead + shQuote(binary) + binaryTail)
	s.WriteString(strings.ReplaceAll(body(b.event), "EVENT", b.event))
	s.WriteString(m.end + "\n")
	return []byte(s.String())
}

func body(event string) string {
	switch {
	case strings.HasPrefix(event, "post-"):
		return afterwards
	case readsStdin(event):
		return push + verdict("")
	}
	return check + verdict(crashed)
}

// readsStdin reports whether git gives the hook a list of refs to read.
func readsStdin(event string) bool { return event == "pre-push" || event == "pre-receive" }

// run goes before the binary. A hook does one thing after the other, and a Go program
// that is told to use one processor starts in less.
const run = FileRun + " GOMAXPROCS=1"

// afterwards is for the events that git cannot be stopped in any more: no
// status, and no word about a missing binary, which the events before have said.
const afterwards = `if [ -n "$_gam_bin" ]; then ` + run + ` "$_gam_bin" hook EVENT "$@" || :; fi
unset _gam_bin
`

const check = `_gam_rc=127
if [ -n "$_gam_bin" ]; then _gam_rc=0; ` + run + ` "$_gam_bin" hook EVENT "$@" || _gam_rc=$?; fi
`

// push reads the list of refs and gives it back to the rest of the hook. The
// substitution strips the final newline and the here-document adds one, so
// what git sends, whole lines, arrives unchanged. An empty list must not become
// an empty line; there the input is at its end, and stays so. There is no pipe because its status depends on pipefail. Without
// a binary nothing is read.
const push = `_gam_rc=127
if [ -n "$_gam_bin" ]; then
	_gam_rc=0
	_gam_in=$(cat) || :
	if [ -n "$_gam_in" ]; then
		` + run + ` "$_gam_bin" hook EVENT "$@" <<_GAM_EOF_ || _gam_rc=$?
$_gam_in
_GAM_EOF_
		exec <<_GAM_EOF_
$_gam_in
_GAM_EOF_
	else
		` + run + ` "$_gam_bin" hook EVENT "$@" || _gam_rc=$?
	fi
	unset _gam_in
fi
`

// crashed lets a commit pass when the guard itself broke down: 2 is how a Go program
// ends that its runtime gave up on, above 128 something killed it.
const crashed = `2 | 129 | 1[3-9]? | 2??) echo "agentmail: guard not run: it ended with status $_gam_rc" >&2 || : ;;
`

// verdict ends the hook with the guard's status where that stops git; more are
// further cases.
func verdict(more string) string {
	return `case $_gam_rc in
0) ;;
126 | 127) echo "agentmail: guard not run: git-agentmail not found" >&2 || : ;;
` + more + `*) exit "$_gam_rc" ;;
esac
unset _gam_bin _gam_rc
`
}

// find returns the blocks in a hook. damaged says what is wrong when markers
// are there that do not make a block; then nothing must be edited.
func find(data []byte, layouts []layout) (blocks []block, damaged string) {
	var cur *block
	var end string
	for at := 0; at < len(data); {
		stop := len(data)
		if i := bytes.IndexByte(data[at:], '\n'); i >= 0 {
			stop = at + i + 1
		}
		// An editor may have put spaces or a CR at the end.
		line := strings.TrimRight(string(data[at:stop]), " \t\r\n")
		switch l, fields := marker(line, layouts); {
		case fields != "" && cur != nil:
			return blocks, noEnd
		case fields != "":
			b, ok := parse(fields)
			if !ok {
				return blocks, "has our first marker line, changed by hand"
			}
			b.start = at
			cur, end = &b, l.end
		case cur != nil && line == end:
			cur.stop = stop
			blocks = append(blocks, *cur)
			cur = nil
		case l.end != "":
			return blocks, "has our last marker line without the first one"
		}
		at = stop
	}
	if cur != nil {
		return blocks, noEnd
	}
	return blocks, ""
}

const noEnd = "has our first marker line without the last one"

// marker returns the layout that line is a marker of, with the fields if it is
// a first one.
func marker(line string, layouts []layout) (l layout, fields string) {
	for _, l := range layouts {
		if fields, ok := strings.CutPrefix(line, strings.TrimRight(l.begin, " ")); ok {
			return l, fields + " "
		}
		if line == l.end {
			return l, ""
		}
	}
	return layout{}, ""
}

// parse reads the fields of a first marker line. Unknown ones are those of a
// newer version.
func parse(fields string) (b block, ok bool) {
	f := strings.Fields(fields)
	if len(f) < 3 || !strings.HasPrefix(f[1], "v") {
		return b, false
	}
	v, err := strconv.Atoi(f[1][1:])
	if err != nil || f[2] != "fresh" && f[2] != "insert" {
		return b, false
	}
	b = block{event: f[0], version: v, fresh: f[2] == "fresh"}
	for _, w := range f[3:] {
		if h, ok := strings.CutPrefix(w, "orig="); ok {
			b.orig = h
		}
		b.mkdir = b.mkdir || w == "mkdir"
	}
	return b, true
}

// cut returns data without the blocks, and where in it the first one stood.
func cut(data []byte, blocks []block) (rest []byte, pos int) {
	at := 0
	for i, b := range blocks {
		keep := data[at:b.start]
		// See insert: a block without a final newline brought the one before it.
		if b.stop == len(data) && data[b.stop-1] != '\n' {
			keep = bytes.TrimSuffix(keep, []byte("\n"))
		}
		rest = append(rest, keep...)
		if i == 0 {
			pos = len(rest)
		}
		at = b.stop
	}
	return append(rest, data[at:]...), pos
}

// insert puts a block into a file. When the line before it is the last and has
// no newline, the block brings one and gives up its own, so that cut can tell.
func insert(rest []byte, pos int, text []byte) []byte {
	if pos > 0 && pos == len(rest) && rest[pos-1] != '\n' {
		return concat(rest, []byte("\n"), bytes.TrimSuffix(text, []byte("\n")))
	}
	return concat(rest[:pos], text, rest[pos:])
}

// intact reports whether text is what render writes for b, with any binary.
func (b block) intact(text []byte) bool {
	_, after, ok := strings.Cut(string(text), binaryHead)
	if !ok {
		return false
	}
	word, _, ok := strings.Cut(after, binaryTail)
	if !ok || len(word) < 2 {
		return false
	}
	binary := strings.ReplaceAll(word[1:len(word)-1], `'\''`, "'")
	return bytes.Equal(bytes.TrimSuffix(b.render(binary), []byte("\n")), bytes.TrimSuffix(text, []byte("\n")))
}

// shQuote makes one word of s for sh.
func shQuote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func sum(data []byte) string {
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:])
}

func concat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
