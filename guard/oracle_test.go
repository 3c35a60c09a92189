package guard_test

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// oracle is a second reading of the dialect, written apart from the package and
// with other means: a regular expression for each segment, a table over the
// segments. It takes only valid patterns.
type oracle [][]oracleSegment

// oracleSegment is a name to match, or any number of names if re is nil.
type oracleSegment struct{ re *regexp.Regexp }

func newOracle(pattern string, fold bool) oracle {
	var o oracle
	for _, text := range oracleExpand(pattern) {
		o = append(o, oracleRead(text, fold, false))
		if strings.Contains(strings.ReplaceAll(strings.ReplaceAll(text, `\\`, ""), `\[`, ""), "[") {
			o = append(o, oracleRead(text, fold, true))
		}
	}
	return o
}

// oracleExpand expands the first group with a comma, and then the results.
func oracleExpand(s string) []string {
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' {
			i++
			continue
		}
		if s[i] != '{' {
			continue
		}
		depth, from, parts := 0, i+1, []string{}
		for j := i; j < len(s); j++ {
			switch s[j] {
			case '\\':
				j++
			case '{':
				depth++
			case ',':
				if depth == 1 {
					parts, from = append(parts, s[from:j]), j+1
				}
			case '}':
				if depth--; depth > 0 {
					continue
				}
				if len(parts) > 0 {
					var out []string
					for _, part := range append(parts, s[from:j]) {
						out = append(out, oracleExpand(s[:i]+part+s[j+1:])...)
					}
					return out
				}
				j = len(s)
			}
		}
	}
	return []string{s}
}

func oracleRead(text string, fold, plain bool) []oracleSegment {
	flags := "(?s)"
	if fold {
		flags = "(?is)"
	}
	var out []oracleSegment
	below, lastKind := false, ""
	for _, seg := range oracleSplit(text) {
		bare := oracleUnescape(seg)
		if bare == "" || bare == "." {
			below = true
			continue
		}
		below = false
		if len(seg) > 1 && strings.Trim(seg, "*") == "" {
			out, lastKind = append(out, oracleSegment{}), "rest"
			continue
		}
		expr, wild := oracleExpr(seg, plain)
		out, lastKind = append(out, oracleSegment{regexp.MustCompile(flags + `\A(?:` + expr + `)\z`)}), "literal"
		if wild {
			lastKind = "glob"
		}
	}
	any := oracleSegment{regexp.MustCompile(`(?s).*`)}
	if lastKind == "rest" || len(out) == 0 {
		out = append(out, any, oracleSegment{})
	}
	if below && lastKind != "" {
		out = append(out, any, oracleSegment{})
	} else if lastKind == "literal" {
		out = append(out, oracleSegment{})
	}
	return out
}

// oracleSplit splits at "/": none is escaped or in brackets in a valid pattern.
func oracleSplit(text string) []string { return strings.Split(text, "/") }

func oracleUnescape(s string) string { return oracleEscape.ReplaceAllString(s, "$1") }

var (
	oracleEscape  = regexp.MustCompile(`\\(.)`)
	oracleBracket = regexp.MustCompile(`\A\[[!^]?\]?(?:\[:[^\]]*:\]|\\.|[^\]\\])*?\]`)
)

func oracleExpr(seg string, plain bool) (expr string, wild bool) {
	for seg != "" {
		_, n := utf8.DecodeRuneInString(seg)
		switch {
		case seg[0] == '*':
			expr, wild = expr+".*", true
		case seg[0] == '?':
			expr, wild = expr+".", true
		case seg[0] == '\\':
			n = 2
			expr += regexp.QuoteMeta(seg[1:2])
		case seg[0] == '[':
			class := oracleBracket.FindString(seg)
			n = len(class)
			if plain {
				expr += regexp.QuoteMeta(oracleUnescape(class))
			} else {
				expr, wild = expr+oracleClass(class), true
			}
		default:
			expr += regexp.QuoteMeta(seg[:n])
		}
		seg = seg[n:]
	}
	return expr, wild
}

// oracleClass puts a bracket expression in the syntax of package regexp.
func oracleClass(class string) string {
	body, out := class[1:len(class)-1], "["
	if body[0] == '!' || body[0] == '^' {
		body, out = body[1:], "[^"
	}
	for body != "" {
		if m := oracleNamed.FindString(body); m != "" {
			out, body = out+m, body[len(m):]
			continue
		}
		var lo, hi string
		lo, body = oracleMember(body)
		if len(body) > 1 && body[0] == '-' {
			hi, body = oracleMember(body[1:])
			out += lo + "-" + hi
		} else {
			out += lo
		}
	}
	return out + "]"
}

var oracleNamed = regexp.MustCompile(`\A\[:[a-z]+:\]`)

func oracleMember(s string) (quoted, rest string) {
	if s[0] == '\\' {
		s = s[1:]
	}
	_, n := utf8.DecodeRuneInString(s)
	if s[0] == '-' {
		return `\-`, s[n:]
	}
	return regexp.QuoteMeta(s[:n]), s[n:]
}

func (o oracle) match(path string) bool {
	names := strings.Split(path, "/")
	for _, segs := range o {
		// reach[j]: the segments so far match the first j names.
		reach := make([]bool, len(names)+1)
		reach[0] = true
		for _, s := range segs {
			next := make([]bool, len(names)+1)
			for j := range next {
				if s.re == nil {
					next[j] = reach[j] || j > 0 && next[j-1]
				} else {
					next[j] = j > 0 && reach[j-1] && s.re.MatchString(names[j-1])
				}
			}
			reach = next
		}
		if path != "" && reach[len(names)] {
			return true
		}
	}
	return false
}
