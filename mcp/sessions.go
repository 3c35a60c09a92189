package mcp

import (
	"cmp"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"time"
)

const (
	// sessionLife is how long a silent client is remembered. Its agent may wait for a
	// person overnight; many clients do not say hello again.
	sessionLife = 24 * time.Hour

	// maxSessions is how many are remembered.
	maxSessions = 1000
)

// sessions are the clients that said hello over HTTP, by the ids that they were given.
// The library asks it for ids and whether they are good.
type sessions struct {
	now func() time.Time

	mu   sync.Mutex
	byID map[string]*remembered
}

type remembered struct {
	session
	heard time.Time
}

func newSessions(now func() time.Time) *sessions {
	return &sessions{now: now, byID: map[string]*remembered{}}
}

// Generate makes a session.
func (s *sessions) Generate() string {
	id := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byID[id] = &remembered{heard: s.now()}
	return id
}

var errNoSession = errors.New("no such session: not found")

// Validate reports an id that was not given to anybody, or too long ago.
func (s *sessions) Validate(id string) (bool, error) {
	if !s.has(id) {
		return false, errNoSession
	}
	return false, nil
}

// Terminate is what the library calls when it drops what it holds for a silent client. The
// session is not over by that; see forget.
func (s *sessions) Terminate(string) (bool, error) { return false, nil }

// has reports whether there is such a session, and that it was heard of.
func (s *sessions) has(id string) bool { return s.get(id) != nil }

// get returns the session with an id, nil if there is none.
func (s *sessions) get(id string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.byID[id]
	if r == nil || s.now().Sub(r.heard) > sessionLife {
		return nil
	}
	r.heard = s.now()
	return &r.session
}

func (s *sessions) forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, id)
}

// tooMany forgets the sessions that are over and, for one more to have room, those that
// were silent for longest. It returns their ids.
func (s *sessions) tooMany() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out, rest []string
	for id, r := range s.byID {
		if s.now().Sub(r.heard) > sessionLife {
			out = append(out, id)
		} else {
			rest = append(rest, id)
		}
	}
	if n := len(rest) - maxSessions + 1; n > 0 {
		slices.SortFunc(rest, func(a, b string) int {
			return cmp.Or(s.byID[a].heard.Compare(s.byID[b].heard), cmp.Compare(a, b))
		})
		out = append(out, rest[:n]...)
	}
	for _, id := range out {
		delete(s.byID, id)
	}
	return out
}
