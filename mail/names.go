package mail

import (
	"regexp"
	"slices"
	"strings"
	"sync"
)

// HumanOverseer is the name under which a person acts. No agent can take it.
const HumanOverseer = "HumanOverseer"

const (
	lower   = "abcdefghijklmnopqrstuvwxyz"
	letters = lower + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	alnum   = letters + "0123456789"
)

// consists reports whether s has least to most characters, all of them in set
// and the first one in first.
func consists(s, first, set string, least, most int) bool {
	return len(s) >= least && len(s) <= most && strings.IndexByte(first, s[0]) >= 0 && strings.Trim(s, set) == ""
}

// CleanName removes what a name cannot hold: everything but letters and digits,
// and what is past 128 characters.
func CleanName(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		}
		if b.Len() == 128 {
			break
		}
	}
	return b.String()
}

// ValidName reports whether an agent may bear the name: a letter followed by 1
// to 63 letters and digits, no known mistake, not reserved.
func ValidName(s string) bool {
	_, wrong := NameMistake(s)
	return consists(s, letters, alnum, 2, 64) && !wrong && !strings.EqualFold(s, HumanOverseer)
}

// ValidThread reports whether s can name a thread.
func ValidThread(s string) bool { return consists(s, alnum, alnum+"._-", 1, 128) }

// ValidTopic reports whether s can be a topic.
func ValidTopic(s string) bool { return consists(s, alnum+"_-", alnum+"_-", 1, 64) }

// Mistake is a known way of getting a name wrong.
type Mistake struct {
	Type string // the contract's name for it
	Why  string // what it is, to complete "is ..."
}

const (
	programs  = " claude claudecode codex codexcli gemini geminicli cursor windsurf cline copilot githubcopilot opencode aider amp zed vscode roo roocode goose continue droid "
	broadcast = " all * everyone broadcast @all @everyone "
	roles     = "agent bot assistant helper worker manager coordinator developer engineer reviewer tester migrator refactorer fixer harmonizer integrator optimizer analyzer"
)

// models is compiled when a name is first looked at: a hook, which starts with
// every commit, looks at none.
var models = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)^(gpt[-.]?\d|gpt[-.]?o|chatgpt|o[134](-?mini|-?preview)?$|claude[-.]?(\d|opus|sonnet|haiku)|opus|sonnet|haiku|gemini[-.]?(\d|pro|flash)|llama|mistral|mixtral|deepseek|qwen|grok|kimi|glm[-.]?\d)`)
})

// among reports whether word is one of list, whose words stand between blanks.
func among(list, word string) bool {
	return word != "" && !strings.Contains(word, " ") && strings.Contains(list, " "+word+" ")
}

func isEmail(s string) bool {
	name, host, ok := strings.Cut(s, "@")
	return ok && name != "" && !strings.ContainsAny(s, " \t") && !strings.Contains(host, "@") &&
		strings.Contains(strings.Trim(host, "."), ".")
}

// NameMistake tells which known mistake s looks like, if any. It is asked when
// an agent is registered, and to explain why a recipient was not found.
func NameMistake(s string) (Mistake, bool) {
	low := strings.ToLower(strings.TrimSpace(s))
	bare := strings.ToLower(CleanName(s))
	switch {
	case among(broadcast, low):
		return Mistake{"BROADCAST_ATTEMPT", "a word for everybody; use --broadcast"}, true
	case isEmail(low):
		return Mistake{"EMAIL_AS_AGENT", "an e-mail address"}, true
	case among(programs, bare):
		return Mistake{"PROGRAM_NAME_AS_AGENT", "the name of a program"}, true
	case models().MatchString(low):
		return Mistake{"MODEL_NAME_AS_AGENT", "the name of a model"}, true
	}
	for role := range strings.FieldsSeq(roles) {
		if strings.HasSuffix(bare, role) {
			return Mistake{"DESCRIPTIVE_NAME", "a description of a role"}, true
		}
	}
	if s = strings.TrimSpace(s); consists(s, lower, lower, 1, 128) {
		return Mistake{"UNIX_USERNAME_AS_AGENT", "a single word in lower case, like a user name"}, true
	}
	return Mistake{}, false
}

// placeholders are marks of text that somebody forgot to fill in.
const placeholders = "YOUR_PROJECT YOUR_AGENT YOUR_NAME PLACEHOLDER <PROJECT> <AGENT> <NAME> {PROJECT} {AGENT} {NAME} $PROJECT $AGENT"

// Placeholder returns the mark in s that shows it is text to be filled in, or "".
func Placeholder(s string) string {
	up := strings.ToUpper(s)
	for p := range strings.FieldsSeq(placeholders) {
		if strings.Contains(up, p) {
			return p
		}
	}
	return ""
}

// Nearest returns those of names that resemble name, the most similar first: at
// least 0.4 alike by edit distance over the longer one, at most five.
func Nearest(name string, names []string) []string {
	type scored struct {
		name  string
		score float64
	}
	var list []scored
	for _, n := range names {
		a, b := strings.ToLower(name), strings.ToLower(n)
		longer := max(len(a), len(b))
		if longer == 0 {
			continue
		}
		if s := 1 - float64(Distance(a, b))/float64(longer); s >= 0.4 {
			list = append(list, scored{n, s})
		}
	}
	slices.SortStableFunc(list, func(a, b scored) int {
		switch {
		case a.score > b.score:
			return -1
		case a.score < b.score:
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
	var out []string
	for _, s := range list[:min(len(list), 5)] {
		out = append(out, s.name)
	}
	return out
}

// Distance is the number of single-character edits between two strings.
func Distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diag := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diag
			if a[i] != b[j] {
				cost++
			}
			diag = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// NewName returns a memorable name that taken does not know: an adjective and a
// noun, and from the hundredth try on a number behind them.
func NewName(random func([]byte), taken func(string) bool) string {
	adjectives, nouns := strings.Fields(adjectives), strings.Fields(nouns)
	for try := 0; ; try++ {
		var b [4]byte
		random(b[:])
		name := adjectives[int(b[0])%len(adjectives)] + nouns[int(b[1])%len(nouns)]
		if try >= 100 {
			n := int(b[2])<<8 | int(b[3])
			for ; n > 0; n /= 10 {
				name += string(rune('0' + n%10))
			}
		}
		if !taken(name) {
			return name
		}
	}
}
