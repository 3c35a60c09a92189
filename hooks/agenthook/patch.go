package agenthook

import "strings"

// The headers of an apply_patch patch that name a file.
var patchHeaders = []string{"*** Add File:", "*** Update File:", "*** Delete File:", "*** Move to:"}

const patchBegin = "*** Begin Patch"

// patch adds the files that the patches among texts name. always takes every
// text for a patch; otherwise one must begin as a patch does somewhere.
func (s *pathSet) patch(texts []string, always bool) {
	for _, text := range texts {
		if dir, rest, ok := applyPatch(text); ok {
			s.headers(rest, dir)
		} else if _, moves := command(strings.TrimSpace(text), "cd"); moves {
			continue // to a place that nobody knows here
		} else if always || strings.Contains(text, patchBegin) {
			s.headers(text, "")
		}
	}
}

// script adds the files of the one kind of shell command that is understood:
// apply_patch as the only command, as one script or as a list of arguments.
func (s *pathSet) script(argv []string) {
	for i, arg := range argv {
		if dir, rest, ok := applyPatch(arg); ok {
			s.headers(rest, dir)
			if i == 0 && rest == "" { // apply_patch PATCH
				for _, text := range argv[1:] {
					s.headers(text, "")
				}
				return
			}
		}
	}
}

// headers adds the files that a patch's headers name. It asks for no more than
// the headers: a patch that its client would refuse does no harm either way.
// Like the client's own parser it forgives spaces around a header, so a context
// line that quotes one counts too; an added or removed line does not.
func (s *pathSet) headers(text, dir string) {
	for text != "" {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		if !strings.Contains(line, "***") {
			continue
		}
		line = strings.TrimSpace(line)
		for _, h := range patchHeaders {
			if name, ok := strings.CutPrefix(line, h); ok {
				s.add(within(dir, strings.TrimSpace(name)))
			}
		}
	}
}

// applyPatch reports whether a script is a call of apply_patch, perhaps after
// `cd DIR &&`, the form that Codex takes for an edit. rest is what follows the
// command's name: a here-document or a quoted patch.
func applyPatch(script string) (dir, rest string, ok bool) {
	rest = strings.TrimSpace(script)
	if after, is := command(rest, "cd"); is {
		dir, after, is = shellWord(after)
		if !is {
			return "", "", false
		}
		after, is = strings.CutPrefix(strings.TrimLeft(after, " \t"), "&&")
		if !is {
			return "", "", false
		}
		rest = strings.TrimLeft(after, " \t\r\n")
	}
	for _, name := range []string{"apply_patch", "applypatch"} {
		if after, is := command(rest, name); is {
			return dir, after, true
		}
	}
	return "", "", false
}

// command cuts the name of a command off a script.
func command(script, name string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(script, name)
	if !ok || rest != "" && !strings.ContainsRune(" \t\r\n<", rune(rest[0])) {
		return "", false
	}
	return strings.TrimLeft(rest, " \t"), true
}

// shellWord cuts a word off a script. It fails on one that the shell would
// change, for then nobody knows here where the patch goes.
func shellWord(script string) (word, rest string, ok bool) {
	if script == "" {
		return "", "", false
	}
	switch q := script[0]; q {
	case '\'', '"':
		word, rest, ok = strings.Cut(script[1:], string(q))
		if q == '"' && strings.ContainsAny(word, "$`\\") {
			return "", "", false
		}
		if rest != "" && !strings.ContainsRune(" \t&", rune(rest[0])) {
			return "", "", false
		}
	default:
		end := strings.IndexAny(script, " \t\r\n&")
		if end < 0 {
			return "", "", false
		}
		word, rest, ok = script[:end], script[end:], true
		if strings.ContainsAny(word, "$`\\*?[]{}~!#|;<>()'\"") || strings.HasPrefix(word, "-") {
			return "", "", false
		}
	}
	return word, rest, ok && usable(word) && !strings.Contains(word, "\n")
}

// within puts a relative name below dir.
func within(dir, name string) string {
	if dir == "" || name == "" || absolute(name) {
		return name
	}
	return strings.TrimRight(dir, "/") + "/" + name
}

// absolute knows the systems of all clients, not only this one.
func absolute(name string) bool {
	return name[0] == '/' || name[0] == '\\' || len(name) > 1 && name[1] == ':'
}
