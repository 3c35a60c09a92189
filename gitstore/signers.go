package gitstore

import (
	"encoding/base64"
	"fmt"
	"path"
	"strings"
	"time"
)

// Signers is a file of allowed signers, see ssh-keygen(1): who may sign with which key.
type Signers struct {
	File string
	Bad  []string // lines that are not understood, and count for nothing
	list []signer
}

// signer is one line of it.
type signer struct {
	principals    string
	namespaces    string // "" is all
	after, before time.Time
	key           string
}

// ParseSigners reads such a file. Only keys of logs matter, so certificates and keys of other
// kinds are passed over; a line with an option that is not known here allows nothing.
func ParseSigners(file string, data []byte) *Signers {
	l := &Signers{File: file}
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		sg, err := parseSigner(line)
		if err != nil {
			l.Bad = append(l.Bad, fmt.Sprintf("line %d of %q: %v", n, file, err))
		} else if sg.key != "" {
			l.list = append(l.list, sg)
		}
	}
	return l
}

func parseSigner(line string) (sg signer, err error) {
	sg.principals, line = word(line)
	next, rest := word(line)
	if !isKeyType(next) {
		if err := sg.options(next); err != nil {
			return sg, err
		}
		next, rest = word(rest)
	}
	text, _ := word(rest)
	if !isKeyType(next) || text == "" || sg.principals == "" {
		return sg, fmt.Errorf("it is not PRINCIPALS [OPTIONS] TYPE KEY")
	}
	if _, err := base64.StdEncoding.DecodeString(text); err != nil {
		return sg, fmt.Errorf("its key is damaged")
	}
	if next == keyType {
		if _, ok := parseKey(next + " " + text); !ok {
			return sg, fmt.Errorf("its key is damaged")
		}
		sg.key = next + " " + text
	}
	return sg, nil
}

// word cuts off what stands before the next blank that is not between quotes. Principals may
// be quoted as a whole.
func word(s string) (w, rest string) {
	s = strings.TrimLeft(s, " \t")
	quoted := false
	for i, c := range s {
		if c == '"' {
			quoted = !quoted
		} else if !quoted && (c == ' ' || c == '\t') {
			s, rest = s[:i], s[i:]
			break
		}
	}
	if len(s) > 1 && s[0] == '"' && strings.IndexByte(s[1:], '"') == len(s)-2 {
		s = s[1 : len(s)-1]
	}
	return s, rest
}

func isKeyType(s string) bool {
	for _, p := range []string{"ssh-", "ecdsa-", "sk-", "webauthn-sk-"} {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}

func (sg *signer) options(s string) error {
	for s != "" {
		var name, value string
		end := strings.IndexAny(s, ",=")
		name, has := s, false
		if end >= 0 {
			name, has, s = s[:end], s[end] == '=', s[end+1:]
		} else {
			s = ""
		}
		if has {
			quoted, ok := strings.CutPrefix(s, `"`)
			var more string
			value, more, has = strings.Cut(quoted, `"`)
			if s = strings.TrimPrefix(more, ","); !ok || !has || s == more && more != "" {
				return fmt.Errorf("the value of its option %q is not between quotes", name)
			}
		}
		var err error
		switch strings.ToLower(name) {
		case "cert-authority":
			return fmt.Errorf("certificates are not supported, it must name the key itself")
		case "namespaces":
			sg.namespaces = value
		case "valid-after":
			sg.after, err = signerTime(value)
		case "valid-before":
			sg.before, err = signerTime(value)
		default:
			return fmt.Errorf("its option %q is not known here", name)
		}
		if err != nil || value == "" {
			return fmt.Errorf("the value %q of its option %q is none", value, name)
		}
	}
	return nil
}

// signerTime reads YYYYMMDD[HHMM[SS]][Z], which without Z is local time.
func signerTime(s string) (time.Time, error) {
	zone := time.Local
	if utc, ok := strings.CutSuffix(s, "Z"); ok {
		s, zone = utc, time.UTC
	}
	layout := map[int]string{8: "20060102", 12: "200601021504", 14: "20060102150405"}[len(s)]
	if layout == "" {
		return time.Time{}, fmt.Errorf("no time")
	}
	return time.ParseInLocation(layout, s, zone)
}

// refuses says why a replica may not sign with a key at a time, "" if it may.
func (l *Signers) refuses(replica, key string, at time.Time) string {
	if key == "" {
		return "it has no key, and only listed ones are believed (agentmail.trust): its clone writes one when it truncates its log, or after it took a new identity"
	}
	why := fmt.Sprintf("its key is not in the list of allowed signers %q; if its owner says that it is theirs, add: %s", l.File, signerLine(replica, key))
	for _, sg := range l.list {
		switch {
		case sg.key != key || !matchList(sg.principals, replica):
		case sg.namespaces != "" && !matchList(sg.namespaces, sigNamespace):
			why = fmt.Sprintf("its key in the list of allowed signers %q is for other namespaces than %q", l.File, sigNamespace)
		case !sg.after.IsZero() && at.Before(sg.after), !sg.before.IsZero() && at.After(sg.before):
			why = fmt.Sprintf("its key in the list of allowed signers %q is not valid now", l.File)
		default:
			return ""
		}
	}
	if len(l.Bad) > 0 {
		why += "; " + l.Bad[0]
	}
	return why
}

// matchList matches a word as OpenSSH does with a list of patterns: one must match, and none
// with a ! before it.
func matchList(list, s string) bool {
	found := false
	for p := range strings.SplitSeq(list, ",") {
		p, not := strings.CutPrefix(strings.TrimSpace(p), "!")
		if matchWord(p, s) {
			if not {
				return false
			}
			found = true
		}
	}
	return found
}

// matchWord knows * and ?, and takes everything else as it is.
func matchWord(pattern, s string) bool {
	ok, err := path.Match(strings.NewReplacer(`\`, `\\`, `[`, `\[`).Replace(pattern), s)
	return err == nil && ok
}
