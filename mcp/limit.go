package mcp

import (
	"math"
	"strconv"
	"sync"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

// limit is how many requests one caller may make in a minute. It may save them up.
type limit struct {
	perMinute float64
	now       func() time.Time

	mu      sync.Mutex
	callers map[string]*allowance
}

// allowance is what a caller had left at a time.
type allowance struct {
	left float64
	at   time.Time
}

// maxCallers is how many callers are told apart before those who were silent are forgotten.
const maxCallers = 10000

// newLimit returns the limit that the environment asks for, nil if it asks for none.
func newLimit(getenv func(string) string, now func() time.Time) (*limit, error) {
	if !isSet(getenv, "HTTP_RATE_LIMIT_ENABLED", false) {
		return nil, nil
	}
	n := 60
	if s := getenv("HTTP_RATE_LIMIT_PER_MINUTE"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil || n < 1 {
			return nil, mail.Errorf(mail.Invalid, "HTTP_RATE_LIMIT_PER_MINUTE is %q, not a number above 0", s).Hint("export HTTP_RATE_LIMIT_PER_MINUTE=60")
		}
	}
	return &limit{perMinute: float64(n), now: now, callers: map[string]*allowance{}}, nil
}

// allows reports whether the caller may make another request, and counts it.
func (l *limit) allows(caller string) bool {
	if l == nil {
		return true
	}
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.callers[caller]
	if a == nil {
		if len(l.callers) >= maxCallers {
			l.forget(now)
		}
		a = &allowance{left: l.perMinute, at: now}
		l.callers[caller] = a
	}
	a.left = min(l.perMinute, a.left+now.Sub(a.at).Minutes()*l.perMinute)
	a.at = now
	if a.left < 1 {
		return false
	}
	a.left--
	return true
}

// seconds is how long a caller waits for one more request.
func (l *limit) seconds() string { return strconv.Itoa(int(math.Ceil(60 / l.perMinute))) }

// forget drops those who have everything left again, or else everybody.
func (l *limit) forget(now time.Time) {
	for name, a := range l.callers {
		if now.Sub(a.at) >= time.Minute {
			delete(l.callers, name)
		}
	}
	if len(l.callers) >= maxCallers {
		clear(l.callers)
	}
}
