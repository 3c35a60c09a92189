// Package digest says in short what a thread says: who takes part, what the points
// are, what is to be done. It reads Markdown with goldmark, whose start takes half a
// millisecond of every process that it is linked into; so it is not in package mail,
// which every hook uses, and a program that runs on every commit must not import it.
package digest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// What is looked at. A body is anybody's, and the time to parse one can grow with
// the square of its length, so that each length has a bound.
const (
	readMessages = 500      // the newest
	readBody     = 64 << 10 // bytes from the start of a body
	readThread   = 1 << 20  // bytes of bodies, the newest first
	readDepth    = 16       // blocks around a block; a list and its item are two
	readMarks    = 200      // brackets, stars and underscores in a block
	pointLength  = 200      // characters of a point or an action
	fileLength   = 200      // bytes of a file's name
	nameLength   = 64       // bytes of a mentioned name
)

// Summarize makes the summary of a thread by the look of its messages, given
// oldest first. name returns the address of an agent id.
//
//   - Key points are list items; if there are none, headings; if there are none,
//     the first sentence of each message.
//   - Action items are task items, "[ ] " or "[x] " before their text, and lines
//     with one of the words TODO, ACTION, FIXME, NEXT and BLOCKED.
//   - Code references are files named in code spans or with their directory in
//     text, "src/auth/jwt.go:12".
//
// Code blocks, HTML comments and quotes say nothing. What is said again counts
// once, as of the last time. Where there is more than a list can hold, newer
// messages go before older ones, and what stands higher in a message before what
// stands lower.
//
// budget bounds the result in tokens, each four bytes of its JSON; 0 is no bound.
// What is dropped first, until it fits: actions that are done, mentions from the
// rarest, code references, key points and last open actions, all these from the
// oldest. Participants and numbers stay, whatever the budget.
func Summarize(messages []*mail.Message, name func(id string) string, budget int) mail.Summary {
	d := digest{mentions: map[string]*mail.Mention{}}
	s := mail.Summary{Participants: []string{}, TotalMessages: len(messages)}
	seen := map[string]bool{}
	for _, m := range messages {
		if !seen[m.By] {
			seen[m.By] = true
			s.Participants = append(s.Participants, oneLine(name(m.By)))
		}
	}
	slices.Sort(s.Participants)
	s.Participants = slices.Compact(s.Participants)

	first, left := len(messages), readThread
	for first > 0 && left > 0 && len(messages)-first < readMessages {
		first--
		left -= min(len(messages[first].Body), readBody)
	}
	for i, m := range messages[first:] {
		d.message = i
		d.read(m.Body)
	}
	for _, a := range d.actions.list {
		switch {
		case a.done:
			s.DoneActions++
		case a.task:
			s.OpenActions++
		}
	}
	points := d.points
	if len(points.list) == 0 {
		points = d.headings
	}
	if len(points.list) == 0 {
		points = d.sentences
	}
	l := lists{d.actions.best(), d.top(), d.files.best(), points.best()}
	for l.fill(&s); budget > 0 && tokens(s) > budget && l.drop(); {
		l.fill(&s)
	}
	return s
}

// Aggregate puts summaries together. Each thread has its share of a list: of the
// places there are, those that have less to say leave the rest to the others.
//
// budget is that of [Summarize], and what is dropped goes in the same order: actions
// that are done, mentions, key points, open actions. The shares become smaller alike.
func Aggregate(list []mail.Summary, budget int) mail.Overview {
	d := digest{mentions: map[string]*mail.Mention{}}
	var open, done, points [][]string
	for _, s := range list {
		for _, m := range s.Mentions {
			d.mention(m.Name, m.Count)
		}
		var isOpen, isDone []string
		for _, a := range s.ActionItems {
			if strings.HasPrefix(a, mail.DoneMark) {
				isDone = append(isDone, a)
			} else {
				isOpen = append(isOpen, a)
			}
		}
		open, done, points = append(open, isOpen), append(done, isDone), append(points, s.KeyPoints)
	}
	todo, names, said := share(open, mail.OverviewEntries), d.top(), share(points, mail.OverviewEntries)
	ready := share(done, mail.OverviewEntries-len(todo))
	for {
		o := mail.Overview{TopMentions: names, ActionItems: append(todo[:len(todo):len(todo)], ready...), KeyPoints: said}
		switch {
		case budget <= 0 || tokens(o) <= budget:
			return o
		case len(ready) > 0:
			ready = share(done, len(ready)-1)
		case len(names) > 0:
			names = names[:len(names)-1]
		case len(said) > 0:
			said = share(points, len(said)-1)
		case len(todo) > 0:
			todo = share(open, len(todo)-1)
		default:
			return o
		}
	}
}

// Lines makes texts from elsewhere fit for a list of a summary: at most most of them,
// each one line as in [mail.Summary] of at most 200 characters, none empty or twice.
func Lines(texts []string, most int) []string {
	seen := map[string]bool{}
	out := []string{}
	for _, s := range texts {
		s = shorten(oneLine(clean(s[:min(len(s), readBody)])))
		if key := strings.ToLower(s); s != "" && !seen[key] && len(out) < most {
			seen[key] = true
			out = append(out, s)
		}
	}
	return out
}

// share takes at most most texts from lists, from the end of each, without
// repetition. They stay in order.
func share(lists [][]string, most int) []string {
	seen := map[string]bool{}
	unique, taken := make([][]string, len(lists)), make([]int, len(lists))
	for i, l := range lists {
		for _, s := range l {
			if key := strings.ToLower(s); !seen[key] {
				seen[key] = true
				unique[i] = append(unique[i], s)
			}
		}
	}
	for before := -1; before != most; {
		before = most
		for i := range unique {
			if most > 0 && taken[i] < len(unique[i]) {
				taken[i]++
				most--
			}
		}
	}
	out := []string{}
	for i, l := range unique {
		out = append(out, l[len(l)-taken[i]:]...)
	}
	return out
}

// tokens is the size of a summary or overview: a quarter of the bytes of its JSON.
func tokens(v any) int {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // it has strings and numbers only
	}
	return (len(data) + 3) / 4
}

// lists are those of a summary that a budget shortens, the most important first.
type lists struct {
	actions  []*found
	mentions []mail.Mention
	files    []*found
	points   []*found
}

// drop takes the least important entry away. It reports whether there was one.
func (l *lists) drop() bool {
	n := len(l.actions)
	switch {
	case n > 0 && l.actions[n-1].done:
		l.actions = l.actions[:n-1]
	case len(l.mentions) > 0:
		l.mentions = l.mentions[:len(l.mentions)-1]
	case len(l.files) > 0:
		l.files = l.files[:len(l.files)-1]
	case len(l.points) > 0:
		l.points = l.points[:len(l.points)-1]
	case n > 0:
		l.actions = l.actions[:n-1]
	default:
		return false
	}
	return true
}

// fill puts the lists into s in the order in which they are shown.
func (l *lists) fill(s *mail.Summary) {
	s.ActionItems, s.KeyPoints, s.CodeReferences, s.Mentions = inOrder(l.actions), inOrder(l.points), inOrder(l.files), l.mentions
	slices.Sort(s.CodeReferences)
}

// inOrder returns the texts as they were said one after the other, what is done
// behind the rest.
func inOrder(list []*found) []string {
	list = slices.SortedFunc(slices.Values(list), func(a, b *found) int {
		return cmp.Or(rank(a.done)-rank(b.done), a.place-b.place)
	})
	out := []string{}
	for _, f := range list {
		out = append(out, f.text)
	}
	return out
}

func rank(done bool) int {
	if done {
		return 1
	}
	return 0
}

// found is something that a message says.
type found struct {
	text           string
	task, done     bool // a task item, and ticked
	message, place int  // number of the message, and how much was found before
}

// findings are without repetition.
type findings struct {
	list []*found
	at   map[string]*found
}

// add notes f under key, in place of what it repeats.
func (l *findings) add(key string, f found) {
	if old := l.at[key]; old != nil {
		// A task that is spoken of again is still that task.
		if f.task || !old.task {
			*old = f
		}
		return
	}
	if l.at == nil {
		l.at = map[string]*found{}
	}
	l.at[key] = &f
	l.list = append(l.list, &f)
}

// best returns the most important ones, as many as a list has, the most important
// first.
func (l *findings) best() []*found {
	list := slices.SortedFunc(slices.Values(l.list), func(a, b *found) int {
		return cmp.Or(rank(a.done)-rank(b.done), b.message-a.message, a.place-b.place)
	})
	return list[:min(len(list), mail.SummaryEntries)]
}

// digest collects what the messages of a thread say.
type digest struct {
	src     []byte // the body that is being read
	message int    // its number
	begun   bool   // its first sentence was seen
	place   int    // how much was found so far

	shown, said []byte // text of the block that is being read, and without its code
	lines       []line // the same, line by line

	points, headings, sentences, actions, files findings

	mentions map[string]*mail.Mention // by name in lower case
	names    []*mail.Mention          // in the order in which they came up
}

// line is one of a block.
type line struct{ shown, said string }

// read adds what a body says.
func (d *digest) read(body string) {
	d.src, d.begun = []byte(clean(body[:min(len(body), readBody)])), false
	d.blocks(markdown().Parse(text.NewReader(d.src)))
}

// note adds a text to l as it is shown. mark is put before it.
func (d *digest) note(l *findings, mark, s string) {
	if s == "" {
		return
	}
	key := strings.ToLower(shorten(s))
	l.add(key, found{shorten(mark + s), mark != "", mark == mail.DoneMark, d.message, d.place})
	d.place++
}

// blocks reads what is in parent, block by block.
func (d *digest) blocks(parent ast.Node) {
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		switch n.Kind() {
		case ast.KindBlockquote: // what somebody else wrote before
		case ast.KindHeading:
			d.inline(n)
			d.note(&d.headings, "", d.text())
		case ast.KindParagraph, ast.KindTextBlock:
			d.inline(n)
			if parent.Kind() == ast.KindListItem && n.PreviousSibling() == nil {
				d.item(n)
			} else {
				d.paragraph()
			}
		default:
			d.blocks(n)
		}
	}
}

// item reads the first paragraph of a list item, which is one line to us.
func (d *digest) item(n ast.Node) {
	s := d.text()
	if mark := taskMark(n, d.src); mark != "" {
		d.note(&d.actions, mark, strings.TrimSpace(s[min(len(s), len(mark)-1):]))
		return
	}
	d.note(&d.points, "", s)
	if slices.ContainsFunc(d.lines, line.calls) {
		d.note(&d.actions, "", s)
	}
}

// taskMark returns the mark before a task, "" if the item is none. It is asked of
// the source, for a mark in a code span is text.
func taskMark(n ast.Node, src []byte) string {
	if n.Lines().Len() == 0 {
		return ""
	}
	line := n.Lines().At(0)
	s := string(line.Value(src))
	if len(s) > 3 && !strings.ContainsRune(" \t\n", rune(s[3])) { // a link
		return ""
	}
	switch s[:min(len(s), 3)] {
	case "[ ]":
		return mail.OpenMark
	case "[x]", "[X]":
		return mail.DoneMark
	}
	return ""
}

// paragraph reads a paragraph line by line.
func (d *digest) paragraph() {
	for _, l := range d.lines {
		if l.calls() {
			d.note(&d.actions, "", oneLine(l.shown))
		}
	}
	if s := d.text(); !d.begun && says(s) {
		d.begun = true
		d.note(&d.sentences, "", sentence(s))
	}
}

// text is the block on one line.
func (d *digest) text() string {
	var b strings.Builder
	for _, l := range d.lines {
		b.WriteString(l.shown + " ")
	}
	return oneLine(b.String())
}

// calls reports whether the line calls for action.
func (l line) calls() bool { return Calls(l.said) }

// Calls reports whether one of the words that call for action is in a text: TODO,
// ACTION, FIXME, NEXT or BLOCKED.
func Calls(text string) bool {
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return !isWord(r) }) {
		switch word {
		case "TODO", "ACTION", "FIXME", "NEXT", "BLOCKED":
			return true
		}
	}
	return false
}

func isWord(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

// says reports whether a paragraph says something: a greeting and a table do not.
func says(s string) bool { return s != "" && !strings.HasSuffix(s, ",") && s[0] != '|' }

// sentence returns the first sentence of s. A stop before a small letter belongs
// to an abbreviation.
func sentence(s string) string {
	for i, r := range s {
		end := i + utf8.RuneLen(r)
		switch r {
		case '.', '!', '?':
			rest := s[end:]
			next, _ := utf8.DecodeRuneInString(strings.TrimPrefix(rest, " "))
			if rest == "" || rest[0] == ' ' && !unicode.IsLower(next) {
				return s[:end]
			}
		case '。', '！', '？':
			return s[:end]
		}
	}
	return s
}

// inline collects the lines of a block and what is named in them.
func (d *digest) inline(block ast.Node) {
	d.shown, d.said, d.lines = d.shown[:0], d.said[:0], d.lines[:0]
	d.spans(block)
	said := strings.Split(string(d.said), "\n")
	for i, shown := range strings.Split(string(d.shown), "\n") {
		if !isTag(said[i]) { // in code it is text
			d.lines = append(d.lines, line{shown, said[i]})
			d.named(said[i])
		}
	}
}

// isTag reports whether a line is nothing but a tag, as around a part of a letter.
func isTag(s string) bool {
	s = strings.TrimSpace(s)
	return strings.HasPrefix(s, "<") && strings.IndexByte(s, '>') == len(s)-1 && strings.LastIndexByte(s, '<') == 0
}

// named notes the agents and files that a line names.
func (d *digest) named(said string) {
	for i := range len(said) {
		if said[i] == '@' {
			if name := mentioned(said, i); name != "" {
				d.mention(name, 1)
			}
		}
	}
	for word := range strings.FieldsFuncSeq(said, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune(",;|\"'<>", r) }) {
		if file := bareFile(word); file != "" {
			d.file(file)
		}
	}
}

func (d *digest) file(s string) {
	d.files.add(s, found{text: s, message: d.message, place: d.place})
	d.place++
}

// spans collects the text in parent. Both texts have the same lines.
func (d *digest) spans(parent ast.Node) {
	for n := parent.FirstChild(); n != nil; n = n.NextSibling() {
		switch n := n.(type) {
		case *ast.Text:
			s := plain(n.Value(d.src))
			d.shown, d.said = append(d.shown, s...), append(d.said, s...)
			if n.SoftLineBreak() || n.HardLineBreak() {
				d.shown, d.said = append(d.shown, '\n'), append(d.said, '\n')
			}
		case *ast.CodeSpan:
			var code []byte
			for c := n.FirstChild(); c != nil; c = c.NextSibling() {
				if t, ok := c.(*ast.Text); ok {
					code = append(code, t.Value(d.src)...)
				}
			}
			s := oneLine(string(code))
			if isFile(s) {
				d.file(s)
			}
			d.shown, d.said = append(d.shown, s...), append(d.said, ' ')
		case *ast.AutoLink:
			d.shown, d.said = append(d.shown, oneLine(string(n.Label(d.src)))...), append(d.said, ' ')
		case *ast.Emphasis:
			mark := pathMark(n, d.src)
			d.shown, d.said = append(d.shown, mark...), append(d.said, mark...)
			d.spans(n)
			d.shown, d.said = append(d.shown, mark...), append(d.said, mark...)
		default:
			d.spans(n)
		}
	}
}

// plain is a piece of text as it is shown, on one line.
func plain(src []byte) []byte {
	s := util.ResolveEntityNames(util.ResolveNumericReferences(util.UnescapePunctuations(src)))
	return bytes.ReplaceAll(s, []byte("\n"), []byte(" ")) // one that was written as a reference
}

// pathMark returns the mark of an emphasis that is none to whoever wrote it but
// part of a path, as in pkg/__init__.py and src/*.go, else "".
func pathMark(n *ast.Emphasis, src []byte) string {
	i := n.Pos()
	if i < 0 || i+n.Level > len(src) || src[i] != '_' && src[i] != '*' {
		return ""
	}
	inPath := i > 0 && src[i-1] == '/'
	if next, ok := n.NextSibling().(*ast.Text); ok {
		s := next.Value(src)
		inPath = inPath || len(s) > 1 && (s[0] == '/' || s[0] == '.') && isLetter(s[1])
	}
	if !inPath {
		return ""
	}
	return string(src[i : i+n.Level])
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// mention counts a name, which is shown as it was first written.
func (d *digest) mention(name string, count int) {
	m := d.mentions[strings.ToLower(name)]
	if m == nil {
		m = &mail.Mention{Name: name}
		d.mentions[strings.ToLower(name)] = m
		d.names = append(d.names, m)
	}
	m.Count += count
}

// top returns the names that are mentioned most.
func (d *digest) top() []mail.Mention {
	list := []mail.Mention{}
	for _, m := range d.names {
		list = append(list, *m)
	}
	slices.SortStableFunc(list, func(a, b mail.Mention) int { return b.Count - a.Count })
	return list[:min(len(list), mail.SummaryEntries)]
}

const (
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	alnum   = letters + "0123456789"
)

// mentioned returns the name behind the @ at offset i of s, "" if that is an
// address, a package or something else: @Name, @Name~7q, but not a@b.org,
// @scope/package or @module.attribute.
func mentioned(s string, i int) string {
	if i > 0 && strings.IndexByte(alnum+"@.+-/%:", s[i-1]) >= 0 {
		return ""
	}
	// Letters of other scripts are no part of a name: they may follow without a blank.
	rest := strings.TrimLeft(s[i+1:], alnum+"_-~")
	name := strings.TrimRight(s[i+1:len(s)-len(rest)], "_-~")
	if strings.HasPrefix(rest, "/") || strings.HasPrefix(rest, "@") || len(rest) > 1 && rest[0] == '.' && strings.IndexByte(alnum, rest[1]) >= 0 {
		return ""
	}
	if name == "" || !isLetter(name[0]) || len(name) > nameLength {
		return ""
	}
	return name
}

// extensions by which a name without a directory is known to be a file's.
const extensions = " adoc avro awk bash bat bazel bib bmp bz2 bzl c cc cfg cjs clj cmake conf cpp crt cs csh css csv cu cxx d dart db diff doc docx ejs el elm env erb erl ex exs fish fs gem gif go gql gradle groovy gz h hbs hcl hh hpp hrl hs htm html hxx ico in ini ipynb jar java jl jpeg jpg js json jsonl jsx key kt kts less lisp lock log lua m m4 mak map md mdx mjs mk ml mli mod mov mp3 mp4 nim nix org out pas patch pb pdf pem php pl pm png po proto ps1 psql py pyc pyi pyx r rb rego res rmd rs rst rtf s sass sbt scala scm scss sh so sol sql sqlite sum svg swift tar tcl templ tex tf tgz tmpl toml ts tsv tsx ttf twig txt v vb vhd vim vue wasm wav webp woff woff2 xls xlsx xml xsd xsl yaml yml zig zip zsh zst "

// hosts are the ends of names of hosts, so that a URL without a scheme is no file.
const hosts = " com dev edu gov io net org "

// isFile reports whether the text of a code span names a file, perhaps with a
// line: it has a slash or a known extension.
func isFile(s string) bool {
	if len(s) > fileLength || strings.Contains(s, "://") || strings.HasPrefix(s, "//") || strings.HasPrefix(s, "-") || !made(s, "._-+/~@#$%=*:?![](){},") {
		return false
	}
	path, line := cutLine(s)
	ext := extension(path)
	return strings.Contains(path, "/") || ext != "" && (line != "" || strings.Contains(extensions, " "+ext+" "))
}

// bareFile returns the file that a word of text names, perhaps with a line, or "".
// As words can be joined by a slash, it has both a directory and an extension.
func bareFile(word string) string {
	if !strings.Contains(word, "/") || strings.Contains(word, "://") {
		return ""
	}
	word = strings.TrimRight(strings.TrimLeft(word, "([{"), ".:!?)]}")
	if len(word) > fileLength || strings.HasPrefix(word, "//") || strings.HasPrefix(word, "-") {
		return ""
	}
	path, line := cutLine(word)
	first, _, dirs := strings.Cut(path, "/")
	if !dirs || extension(path) == "" || !made(path, "._-+/~@$*") || strings.Contains(hosts, " "+extension(first)+" ") {
		return ""
	}
	return path + line
}

// made reports whether s consists of letters, digits and others, and has a letter.
func made(s, others string) bool {
	letter := false
	for _, r := range s {
		letter = letter || unicode.IsLetter(r)
		if !isWord(r) && !strings.ContainsRune(others, r) {
			return false
		}
	}
	return letter
}

// cutLine splits a reference into the path and the line in it: :12, :12-20,
// :12:5, #L12 or #L12-L20. Where the rest is something else, line is "".
func cutLine(s string) (path, line string) {
	i := strings.IndexAny(s, ":#")
	if i < 0 {
		return s, ""
	}
	path, line = s[:i], s[i:]
	if line[0] == '#' && !strings.HasPrefix(line, "#L") {
		return path, ""
	}
	for number := range strings.SplitSeq(strings.ReplaceAll(line[1:], "-", ":"), ":") {
		if line[0] == '#' {
			number = strings.TrimPrefix(number, "L")
		}
		if number == "" || strings.Trim(number, "0123456789") != "" {
			return path, ""
		}
	}
	return path, line
}

// extension returns the extension of a path in lower case if it looks like one: 1
// to 5 letters and digits of one case, a letter among them.
func extension(path string) string {
	base := path[strings.LastIndexByte(path, '/')+1:]
	i := strings.LastIndexByte(base, '.')
	if i < 1 {
		return ""
	}
	ext := base[i+1:]
	low := strings.ToLower(ext)
	if low == "" || len(low) > 5 || strings.Trim(low, alnum) != "" || strings.Trim(low, "0123456789") == "" ||
		ext != low && ext != strings.ToUpper(ext) {
		return ""
	}
	return low
}

// clean makes a body fit to be read: valid UTF-8 without the escape sequences and
// control characters that a terminal obeys and without hidden characters.
func clean(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '\x1b':
			n = escape(s[i:])
		case r == '\r':
			if !strings.HasPrefix(s[i+1:], "\n") {
				b.WriteByte('\n')
			}
		case r == '\n' || r == '\t' || !unicode.IsControl(r) && !hidden(r):
			b.WriteRune(r)
		}
		i += n
	}
	return b.String()
}

// escape returns the length of the escape sequence that s begins with: ESC [ to a
// letter, or ESC ] and the like to a bell or ESC \. It ends with the line.
func escape(s string) int {
	if len(s) < 2 {
		return 1
	}
	switch s[1] {
	case '[':
		i := 2
		for i < len(s) && s[i] >= ' ' && s[i] <= '?' {
			i++
		}
		if i < len(s) && s[i] >= '@' && s[i] <= '~' {
			return i + 1
		}
		return i
	case ']', 'P', 'X', '^', '_':
		switch i := 2 + strings.IndexAny(s[2:], "\a\x1b\n"); {
		case i < 2 || s[i] == '\n':
		case strings.HasPrefix(s[i:], "\x1b\\"):
			return i + 2
		case s[i] == '\a':
			return i + 1
		}
	}
	return 1
}

// hidden reports whether r is a character that nobody sees, such as one that
// turns the direction of text. Those that join letters are not among them.
func hidden(r rune) bool {
	return r > unicode.MaxASCII && unicode.Is(unicode.Cf, r) && r != '\u200c' && r != '\u200d'
}

// oneLine makes one line of s, with single blanks.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "\uFFFD"), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || hidden(r)
	}), " ")
}

// shorten cuts s after a word so that it has at most 200 characters.
func shorten(s string) string {
	if utf8.RuneCountInString(s) <= pointLength {
		return s
	}
	end, n := 0, 0
	for end = range s {
		if n++; n == pointLength { // one is left for the dots
			break
		}
	}
	if i := strings.LastIndexByte(s[:end+1], ' '); i > end/2 {
		end = i
	}
	return strings.TrimRight(s[:end], " ") + "…"
}

// markdown is the parser of bodies: CommonMark without what would hide text, or
// takes long. Link definitions and inline HTML are text to it, so that Option<T>
// is left whole, and so is HTML but for comments and code, because agents put
// whole letters into elements.
var markdown = sync.OnceValue(func() parser.Parser {
	return parser.NewParser(
		parser.WithBlockParsers(
			util.Prioritized(parser.NewSetextHeadingParser(), 100),
			util.Prioritized(parser.NewThematicBreakParser(), 200),
			util.Prioritized(flat{parser.NewListParser()}, 300),
			util.Prioritized(parser.NewListItemParser(), 400),
			util.Prioritized(parser.NewCodeBlockParser(), 500),
			util.Prioritized(parser.NewATXHeadingParser(), 600),
			util.Prioritized(parser.NewFencedCodeBlockParser(), 700),
			util.Prioritized(flat{parser.NewBlockquoteParser()}, 800),
			util.Prioritized(comments{parser.NewHTMLBlockParser()}, 900),
			util.Prioritized(parser.NewParagraphParser(), 1000),
		),
		parser.WithInlineParsers(
			util.Prioritized(parser.NewCodeSpanParser(), 100),
			util.Prioritized(few{parser.NewLinkParser()}, 200),
			util.Prioritized(parser.NewAutoLinkParser(), 300),
			util.Prioritized(few{parser.NewEmphasisParser()}, 500),
		),
	)
})

// flat opens no block that would stand too deep.
type flat struct{ parser.BlockParser }

// Open implements parser.BlockParser.
func (f flat) Open(parent ast.Node, reader text.Reader, pc parser.Context) (ast.Node, parser.State) {
	depth := 0
	for n := parent; n != nil; n = n.Parent() {
		depth++
	}
	if depth > readDepth {
		return nil, parser.NoChildren
	}
	return f.BlockParser.Open(parent, reader, pc)
}

// comments opens HTML blocks that a reader does not see, or sees as code.
type comments struct{ parser.BlockParser }

// Open implements parser.BlockParser.
func (c comments) Open(parent ast.Node, reader text.Reader, pc parser.Context) (ast.Node, parser.State) {
	line, position := reader.Position()
	n, state := c.BlockParser.Open(parent, reader, pc)
	if h, ok := n.(*ast.HTMLBlock); ok && h.HTMLBlockType >= ast.HTMLBlockType6 {
		reader.SetPosition(line, position)
		return nil, parser.NoChildren
	}
	return n, state
}

// few finds only so many nodes in a block; each may be compared with all others.
type few struct{ parser.InlineParser }

// marks counts them.
type marks struct {
	block ast.Node
	n     int
}

var marksKey = parser.NewContextKey()

// Parse implements parser.InlineParser.
func (f few) Parse(parent ast.Node, block text.Reader, pc parser.Context) ast.Node {
	m, _ := pc.Get(marksKey).(*marks)
	if m == nil || m.block != parent {
		m = &marks{block: parent}
		pc.Set(marksKey, m)
	}
	if m.n++; m.n > readMarks {
		return nil
	}
	return f.InlineParser.Parse(parent, block, pc)
}

// CloseBlock implements parser.CloseBlocker.
func (f few) CloseBlock(parent ast.Node, block text.Reader, pc parser.Context) {
	if c, ok := f.InlineParser.(parser.CloseBlocker); ok {
		c.CloseBlock(parent, block, pc)
	}
}
