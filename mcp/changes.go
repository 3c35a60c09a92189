package mcp

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/git-agentmail/git-agentmail/mailbox"
)

// watch follows the mailboxes of which somebody has subscribed to a resource, one
// goroutine for each, and tells the subscribers.
type watch struct {
	ctx  context.Context // ends with the server
	stop context.CancelFunc
	all  sync.WaitGroup

	mu  sync.Mutex
	ids map[string]bool // of projects that are followed
}

func newWatch() *watch {
	ctx, stop := context.WithCancel(context.Background())
	return &watch{ctx: ctx, stop: stop, ids: map[string]bool{}}
}

func (w *watch) close() {
	w.stop()
	w.all.Wait()
}

// subscribed begins to follow the mailbox that a resource is in. What cannot be followed
// is not: the client reads it when it will.
func (s *Server) subscribed(uri string) {
	b, release, err := s.mailboxOf(s.watch.ctx, uri)
	if err != nil {
		return
	}
	id := b.Project().ID
	s.watch.mu.Lock()
	defer s.watch.mu.Unlock()
	if s.watch.ids[id] {
		release()
		return
	}
	ctx, cancel := context.WithCancel(s.watch.ctx)
	follow, err := b.Changes(ctx)
	if err != nil {
		cancel()
		release()
		return
	}
	s.watch.ids[id] = true
	s.watch.all.Go(func() {
		defer release()
		defer cancel()
		err := follow(func(events []mailbox.Event) {
			if !s.tell(id, events) {
				cancel() // nobody is left
			}
		})
		if err != nil {
			s.opt.Log.Printf("changes are not followed any more: %v", err)
		}
		s.watch.mu.Lock()
		delete(s.watch.ids, id)
		s.watch.mu.Unlock()
		for _, uri := range s.watched.uris() { // who came while this one left
			if err == nil && s.watch.ctx.Err() == nil {
				s.subscribed(uri)
			}
		}
	})
}

func (s *Server) mailboxOf(ctx context.Context, uri string) (*mailbox.Box, func(), error) {
	r, args, err := s.address(uri)
	if err != nil {
		return nil, nil, err
	}
	c := &call{server: s, tool: &r.tool, args: args}
	b, err := c.open(ctx)
	return b, c.release, err
}

// tell notifies those who subscribed to a resource of a project that events have changed,
// and reports whether anybody has subscribed to any of it.
func (s *Server) tell(project string, events []mailbox.Event) (any bool) {
	for _, uri := range s.watched.uris() {
		b, release, err := s.mailboxOf(s.watch.ctx, uri)
		if err != nil {
			continue
		}
		release()
		if b.Project().ID != project {
			continue
		}
		any = true
		if r, args, err := s.address(uri); err == nil && slices.ContainsFunc(events, func(e mailbox.Event) bool { return r.changedBy(e, args) }) {
			s.watched.notify(uri)
		}
	}
	return any
}

// changedBy reports whether an event may have changed what stands at an address. When in
// doubt it has.
func (r *resource) changedBy(e mailbox.Event, args map[string]any) bool {
	of := func(kinds ...string) bool { return slices.Contains(kinds, e.Kind) }
	switch agent, _ := args["agent"].(string); {
	case strings.HasPrefix(r.name, scheme+"tooling/"), strings.HasPrefix(r.name, scheme+"config/"):
		return false
	case r.name == scheme+"file_reservations":
		return of("reserve", "renew", "release", "force-release", "delete")
	case r.arg != "agent" || agent == "":
		return true
	case of("message"):
		return strings.EqualFold(e.Agent, agent) || slices.ContainsFunc(slices.Concat(e.To, e.Blind), func(to string) bool { return strings.EqualFold(to, agent) })
	}
	return of("read", "ack", "redact", "delete", "unknown")
}
