package mail

import (
	"errors"
	"fmt"
)

// Code says what kind of mistake or state an [Error] reports. The list is
// fixed; each code has one exit status and one answer to "may the same call
// work later?".
type Code string

// The codes. What each means to a caller stands in doc/ARCHITECTURE.md.
const (
	Internal  Code = "internal"  // a fault in git-agentmail
	Usage     Code = "usage"     // wrong command line
	Invalid   Code = "invalid"   // impossible value
	Conflict  Code = "conflict"  // reserved by somebody else
	NotFound  Code = "not_found" // no such agent, message, thread, reservation
	Busy      Code = "busy"      // another writer held the lock too long; nothing was written
	Remote    Code = "remote"    // fetch or push refused or unreachable; local state is complete
	Corrupt   Code = "corrupt"   // a stored file does not decode
	Unchecked Code = "unchecked" // the guard could not decide
	Exists    Code = "exists"    // the id or name is taken
	NoRepo    Code = "no_repo"   // not inside a git repository, or one we cannot read
	NoAgent   Code = "no_agent"  // nobody said who is acting
	Format    Code = "format"    // written by a newer version
	Denied    Code = "denied"    // the policy, token, role or file system refuses
	Cancelled Code = "cancelled" // interrupted
)

// codes holds, per code, the exit status of the command line, whether the same
// call may succeed later, and the contract's default name for the error.
var codes = map[Code]struct {
	exit  int
	retry bool
	typ   string
}{
	Internal:  {1, false, "UNHANDLED_EXCEPTION"},
	Usage:     {2, false, "INVALID_ARGUMENT"},
	Invalid:   {2, false, "INVALID_ARGUMENT"},
	Conflict:  {3, false, "FILE_RESERVATION_CONFLICT"},
	NotFound:  {4, false, "NOT_FOUND"},
	Busy:      {5, true, "RESOURCE_BUSY"},
	Remote:    {6, true, "CONNECTION_ERROR"},
	Corrupt:   {7, false, "UNHANDLED_EXCEPTION"},
	Unchecked: {8, false, "UNHANDLED_EXCEPTION"},
	Exists:    {9, false, "NAME_TAKEN"},
	NoRepo:    {10, false, "UNHANDLED_EXCEPTION"},
	NoAgent:   {11, false, "UNHANDLED_EXCEPTION"},
	Format:    {12, false, "UNHANDLED_EXCEPTION"},
	Denied:    {13, false, "CAPABILITY_DENIED"},
	Cancelled: {130, true, "UNHANDLED_EXCEPTION"},
}

// Codes returns every code with its exit status, for the help topic and the
// tests that keep documents true.
func Codes() map[Code]int {
	m := make(map[Code]int, len(codes))
	for c, v := range codes {
		m[c] = v.exit
	}
	return m
}

// Exit returns the exit status of the command line for c; an unknown code
// counts as [Internal].
func (c Code) Exit() int {
	if v, ok := codes[c]; ok {
		return v.exit
	}
	return codes[Internal].exit
}

// Error is the one error shape a person or an agent ever sees. Message says
// what could not be done and quotes the value at fault; it is lower case and
// has no full stop. Build one with [Errorf]; add to it with the With methods.
type Error struct {
	Code    Code           `json:"code"`
	Message string         `json:"message"`
	Type    string         `json:"-"`               // the contract's name for it, used by mcp
	Hints   []string       `json:"hints,omitempty"` // runnable commands, the best first
	Retry   bool           `json:"retry"`           // the same call may succeed later
	Details map[string]any `json:"details,omitempty"`
	Lines   []string       `json:"-"` // evidence for people, shown indented below the message; Details has it for programs
	Err     error          `json:"-"` // the cause, for -v; never shown otherwise
}

// Errorf makes an error of the given code. Retry and Type take the code's
// defaults. A %w in format becomes Err.
func Errorf(code Code, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	v := codes[code]
	return &Error{Code: code, Message: err.Error(), Type: v.typ, Retry: v.retry, Err: errors.Unwrap(err)}
}

// Hint adds a command that the reader can paste and run.
func (e *Error) Hint(format string, args ...any) *Error {
	e.Hints = append(e.Hints, fmt.Sprintf(format, args...))
	return e
}

// Typed sets the contract's name for the error, where a rule has one of its own.
func (e *Error) Typed(typ string) *Error {
	e.Type = typ
	return e
}

// With adds one machine-readable detail.
func (e *Error) With(key string, value any) *Error {
	if e.Details == nil {
		e.Details = map[string]any{}
	}
	e.Details[key] = value
	return e
}

func (e *Error) Error() string { return e.Message }

func (e *Error) Unwrap() error { return e.Err }

// CodeOf returns the code of err: that of the *Error in its chain, or
// [Internal] if it has none. A nil error has the empty code.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Internal
}

// AsError returns the *Error in err's chain, or wraps err as [Internal].
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return Errorf(Internal, "%w", err)
}
