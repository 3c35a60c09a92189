package gitstore

import (
	"errors"
	"fmt"
	"strings"
)

// Kind says what stopped the store. The caller turns it into words of its own.
type Kind string

// The kinds of failure.
const (
	NotRepository Kind = "not a repository" // no git repository here, or git refuses to open it
	Unsupported   Kind = "unsupported"      // a repository or git that this package cannot write safely
	ReadOnly      Kind = "read only"        // the git directory cannot be written by this process
	Locked        Kind = "locked"           // another writer kept the lock; nothing was written
	Damaged       Kind = "damaged"          // an object or file that must be there is missing or broken
	Newer         Kind = "newer"            // written in a format this version does not know
	Duplicate     Kind = "duplicate"        // a file of that path is in the log already
	Unreachable   Kind = "unreachable"      // a remote cannot be reached, or refuses; this clone is whole
	Invalid       Kind = "invalid"          // a setting of the user's that cannot be meant
	GitFailed     Kind = "git failed"       // a git command failed in a way not foreseen
)

// Error is what every method of this package returns when it fails for a
// reason outside the caller's own functions.
type Error struct {
	Kind Kind
	Msg  string // what could not be done, the value at fault quoted
	Hint string // one command that helps, or empty
	Err  error  // the cause
}

func (e *Error) Error() string { return e.Msg }

func (e *Error) Unwrap() error { return e.Err }

func errf(kind Kind, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Msg: err.Error(), Err: errors.Unwrap(err)}
}

// hint sets the command that helps; paths among its arguments are quoted for a
// shell.
func (e *Error) hint(format string, args ...any) *Error {
	for i, a := range args {
		if s, ok := a.(string); ok && strings.ContainsFunc(s, needsQuotes) {
			args[i] = "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
		}
	}
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

func needsQuotes(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+,:@%", r))
}

// KindOf returns the kind of err, or "" if it is none of this package's.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ""
}
