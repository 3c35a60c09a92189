package mcp

import (
	"context"
	"slices"
	"sync"

	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/mark3labs/mcp-go/mcp"
)

// session is what the server remembers of one client. Over standard input and output
// there is one, for the life of the process; over HTTP there are as many as clients say
// they have, and with the protocol of 2026-07-28 none: a nil session remembers nothing.
type session struct {
	mu     sync.Mutex
	agents map[string][]used // by project
	client *mailbox.Session  // the program on the other side, where it is known and alone
	keyed  bool              // client has a key of its own with each call: its ancestors say less
	kept   map[string]*kept  // by worktree, which outlives the mailbox that was opened in it

	samples bool // the client lets its model be asked
}

// used is an agent that the session acted as.
type used struct{ id, name string }

// kept is a session record in one mailbox, by which git's hooks know whose a commit is.
type kept struct {
	now   mailbox.Session
	save  func(mailbox.Session)
	close func()
}

// agent returns the one agent that this session has acted as in a mailbox. Having used
// two it has none: a wrong name is worse than none.
func (s *session) agent(b *mailbox.Box) string {
	if s == nil {
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if list := s.agents[b.Project().ID]; len(list) == 1 {
		return list[0].name
	}
	return ""
}

// use notes that the session acts as an agent.
func (s *session) use(b *mailbox.Box, who mailbox.Actor) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	project, u := b.Project().ID, used{who.ID, who.Name}
	if !slices.ContainsFunc(s.agents[project], func(v used) bool { return v.id == u.id }) {
		if s.agents == nil {
			s.agents = map[string][]used{}
		}
		s.agents[project] = append(s.agents[project], u)
	}
	s.keep(b, u.id)
}

// keep writes the agent into the session record of the mailbox.
func (s *session) keep(b *mailbox.Box, id string) {
	if s.client == nil {
		return
	}
	k := s.kept[b.Worktree()]
	if k == nil {
		first := *s.client
		save, closed, err := b.OpenSession(first)
		if err != nil {
			return // a commit by this agent will be asked who it is; nothing else depends on it
		}
		if s.kept == nil {
			s.kept = map[string]*kept{}
		}
		k = &kept{first, save, closed}
		s.kept[b.Worktree()] = k
	}
	if !slices.Contains(k.now.Agents, id) {
		k.now.Agents = append(k.now.Agents, id)
		k.save(k.now)
	}
}

// forget takes an agent out that was deleted: the session may go on as another.
func (s *session) forget(b *mailbox.Box, id string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	project := b.Project().ID
	if list := s.agents[project]; list != nil {
		s.agents[project] = slices.DeleteFunc(list, func(u used) bool { return u.id == id })
	}
	if k := s.kept[b.Worktree()]; k != nil && slices.Contains(k.now.Agents, id) {
		k.now.Agents = slices.DeleteFunc(k.now.Agents, func(a string) bool { return a == id })
		k.save(k.now)
	}
}

// close takes the session records back.
func (s *session) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.kept {
		k.close()
	}
	s.kept = nil
}

// threads are the sessions of one client that runs several and says with each call which
// one makes it: a subagent is not the agent that started it.
type threads struct {
	mu    sync.Mutex
	byKey map[string]*session
}

// maxThreads is how many are remembered; beyond that a call has no session.
const maxThreads = 1000

// thread returns the session with the given key, of the program that first tells of.
func (t *threads) thread(first *session, key string) *session {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.byKey[key]
	if s == nil && len(t.byKey) < maxThreads {
		client := *first.client
		client.Key = key
		s = &session{client: &client, keyed: true}
		if t.byKey == nil {
			t.byKey = map[string]*session{}
		}
		t.byKey[key] = s
	}
	return s
}

func (t *threads) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.byKey {
		s.close()
	}
	clear(t.byKey)
}

type threadKey struct{}

// withThread keeps in the context which of its sessions the client says is calling. Codex
// says so, by the key that it also gives its hooks.
func withThread(ctx context.Context, meta *mcp.Meta) context.Context {
	if meta == nil {
		return ctx
	}
	turn, _ := meta.AdditionalFields["x-codex-turn-metadata"].(map[string]any)
	if key, _ := turn["session_id"].(string); key != "" && len(key) <= 200 {
		return context.WithValue(ctx, threadKey{}, key)
	}
	return ctx
}
