package cli

import (
	"strconv"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

// parseSpan reads a length of time: 30m, 1h, 2d, 1h30m.
func parseSpan(s string) (time.Duration, error) {
	bad := mail.Errorf(mail.Invalid, "%q is not a length of time such as 30m, 1h or 2d", s)
	var total time.Duration
	for rest := s; rest != ""; {
		i := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
		if i <= 0 {
			return 0, bad
		}
		n, err := strconv.ParseInt(rest[:i], 10, 64)
		unit := map[byte]time.Duration{
			's': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour,
		}[rest[i]]
		if err != nil || unit == 0 || n > int64((1<<62)/unit) {
			return 0, bad
		}
		total += time.Duration(n) * unit
		if total < 0 {
			return 0, bad
		}
		rest = rest[i+1:]
	}
	if total == 0 {
		return 0, bad
	}
	return total, nil
}

// parseSince reads a moment: as a length of time before now, or as a date with
// or without a time, seconds and an offset. Without an offset it is UTC.
func parseSince(s string, now time.Time) (time.Time, error) {
	if d, err := parseSpan(s); err == nil {
		return now.Add(-d), nil
	}
	for _, layout := range []string{
		time.RFC3339, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04",
		"2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02 15:04 MST", "2006-01-02",
	} {
		// A name of a time zone other than UTC would be taken for UTC.
		if t, err := time.Parse(layout, s); err == nil && (!strings.HasSuffix(layout, "MST") || strings.HasSuffix(s, " UTC")) {
			return t, nil
		}
	}
	return time.Time{}, mail.Errorf(mail.Invalid,
		"%q is not a time such as 2h (ago) or 2026-11-20T10:00Z", s).Typed("INVALID_TIMESTAMP")
}

// spanFlag is a flag that takes a length of time.
type spanFlag time.Duration

func (f *spanFlag) String() string {
	if *f == 0 {
		return ""
	}
	return span(time.Duration(*f))
}

func (f *spanFlag) Type() string { return "TIME" }

func (f *spanFlag) Set(s string) error {
	d, err := parseSpan(s)
	*f = spanFlag(d)
	return err
}

// sinceFlag is a flag that takes a moment.
type sinceFlag struct {
	t   *time.Time
	now func() time.Time
}

func (f sinceFlag) String() string { return "" }
func (f sinceFlag) Type() string   { return "TIME" }

func (f sinceFlag) Set(s string) (err error) {
	*f.t, err = parseSince(s, f.now())
	return err
}
