package guard

import "strings"

// Quote returns the pattern that covers the path as it is written, whatever
// characters it holds. Not every path has one: where it does not compile (white
// space at an end, invalid UTF-8) the caller hears so from [Compile].
func Quote(path string) string {
	var b strings.Builder
	for i, r := range path {
		if strings.ContainsRune(`\*?[]{}`, r) || i == 0 && strings.ContainsRune("!:", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
