package mail

import (
	"strings"
)

const crockford = "0123456789abcdefghjkmnpqrstvwxyz"

// IDLength is the length of an id in characters: 50 random bits.
const IDLength = 10

// MinPrefix is the least number of characters of an id that may stand for it.
const MinPrefix = 4

// NewID returns a random id: 10 characters of lower-case Crockford base32.
func NewID(random func([]byte)) string {
	var b [IDLength]byte
	random(b[:])
	for i := range b {
		b[i] = crockford[b[i]&31]
	}
	return string(b[:])
}

// IsID reports whether s has the form of an id.
func IsID(s string) bool {
	if len(s) != IDLength {
		return false
	}
	for i := range len(s) {
		if !idCharacter[s[i]] {
			return false
		}
	}
	return true
}

var idCharacter = func() (t [256]bool) {
	for _, c := range []byte(crockford) {
		t[c] = true
	}
	return
}()

// IsPrefix reports whether s can stand for an id: 4 to 10 of its characters.
func IsPrefix(s string) bool {
	return len(s) >= MinPrefix && len(s) <= IDLength && strings.Trim(s, crockford) == ""
}

// ByPrefix returns the one of ids that prefix stands for. An exact id wins. The
// error is not_found or, if several match, invalid with the candidates; what
// names the sort of thing looked for.
func ByPrefix(what, prefix string, ids func(yield func(string) bool)) (string, error) {
	p := strings.ToLower(prefix)
	if !IsPrefix(p) {
		return "", Errorf(Invalid, "%q is not the id of a %s: %d to %d characters of 0-9 and a-z are expected", prefix, what, MinPrefix, IDLength)
	}
	seen := map[string]bool{}
	var found []string
	for id := range ids {
		if id == p {
			return id, nil
		}
		if strings.HasPrefix(id, p) && !seen[id] {
			seen[id] = true
			found = append(found, id)
		}
	}
	switch len(found) {
	case 0:
		return "", Errorf(NotFound, "%s %q not found", what, prefix)
	case 1:
		return found[0], nil
	}
	if len(found) > 10 {
		found = found[:10]
	}
	return "", Errorf(Invalid, "%q could be any of several %ss: %s", prefix, what, strings.Join(found, ", ")).With("candidates", found)
}
