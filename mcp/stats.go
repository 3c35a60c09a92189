package mcp

import (
	"slices"
	"sync"
	"time"
)

// maxRecent is how many calls are remembered one by one.
const maxRecent = 1000

// stats counts what was called since the server started.
type stats struct {
	mu     sync.Mutex
	calls  map[string]int
	errors map[string]int
	recent []recentCall // the oldest first
}

type recentCall struct {
	Timestamp string `json:"timestamp"`
	Tool      string `json:"tool"`
	Project   string `json:"project"`
	Agent     string `json:"agent"`
	Cluster   string `json:"cluster"`

	at time.Time
}

// count notes a call that has been answered.
func (s *stats) count(now time.Time, c *call, failed bool) {
	r := recentCall{Timestamp: now.UTC().Format(isoTime), Tool: c.tool.name, Cluster: c.tool.cluster, at: now}
	if c.box != nil {
		r.Project = c.box.Project().HumanKey
	}
	if c.who != nil {
		r.Agent = c.who.Name
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls == nil {
		s.calls, s.errors = map[string]int{}, map[string]int{}
	}
	s.calls[c.tool.name]++
	if failed {
		s.errors[c.tool.name]++
	}
	if len(s.recent) == maxRecent {
		s.recent = slices.Delete(s.recent, 0, maxRecent/2)
	}
	s.recent = append(s.recent, r)
}

// isoTime is how the contract writes moments, with the offset of UTC in numbers.
const isoTime = "2006-01-02T15:04:05.000-07:00"

// since returns the calls that were answered after t, the oldest first.
func (s *stats) since(t time.Time) []recentCall {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []recentCall{}
	for _, r := range s.recent {
		if r.at.After(t) {
			list = append(list, r)
		}
	}
	return list
}

// of returns how often a tool was called, and how often in vain.
func (s *stats) of(tool string) (calls, errors int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[tool], s.errors[tool]
}
