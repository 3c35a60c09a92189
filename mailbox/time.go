package mailbox

import (
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

// ParseTime reads a moment as callers of the contract write it: ISO 8601 with or
// without an offset, which is UTC then, or a date alone.
func ParseTime(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateTime, time.DateOnly} {
		if t, err := time.Parse(layout, strings.TrimSpace(s)); err == nil {
			return t, nil
		}
	}
	return time.Time{}, mail.Errorf(mail.Invalid, "%q is not a time", s).Typed("INVALID_TIMESTAMP").Hint("write it as 2026-11-20T10:00:00+00:00")
}
