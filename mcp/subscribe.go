package mcp

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// maxSubscriptions is how many there may be; what is more is not told of.
const maxSubscriptions = 10000

// subscriptions are the clients that want to know when a resource changes. The library
// takes their wish and does nothing with it.
type subscriptions struct {
	mu   sync.Mutex
	live map[string]server.ClientSession // by id
	by   map[string]map[subscriber]any   // by URI; the id of the request that subscribed
	n    int

	added func(uri string) // told of each that is subscribed to, without the lock
}

// subscriber is a client in one of two ways. A session is known by its id, for the library
// may meet it in several bodies. A client that has no session is the stream that it opened.
type subscriber struct {
	session string
	stream  server.ClientSession
	request string
}

func newSubscriptions() *subscriptions {
	return &subscriptions{live: map[string]server.ClientSession{}, by: map[string]map[subscriber]any{}}
}

// hook makes the library tell of who comes, subscribes and leaves.
func (s *subscriptions) hook(h *server.Hooks) {
	h.AddOnRegisterSession(func(_ context.Context, c server.ClientSession) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.live[c.SessionID()] = c
	})
	h.AddOnUnregisterSession(func(_ context.Context, c server.ClientSession) {
		s.leave(subscriber{session: c.SessionID()})
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.live, c.SessionID())
	})
	h.AddBeforeSubscribe(func(ctx context.Context, _ any, r *mcp.SubscribeRequest) {
		if c := server.ClientSessionFromContext(ctx); c != nil && c.SessionID() != "" {
			s.add(subscriber{session: c.SessionID()}, nil, r.Params.URI)
		}
	})
	h.AddBeforeUnsubscribe(func(ctx context.Context, _ any, r *mcp.UnsubscribeRequest) {
		if c := server.ClientSessionFromContext(ctx); c != nil {
			s.remove(subscriber{session: c.SessionID()}, r.Params.URI)
		}
	})
	h.AddBeforeSubscriptionsListen(func(ctx context.Context, id any, r *mcp.SubscriptionsListenRequest) {
		if c := server.ClientSessionFromContext(ctx); c != nil {
			s.add(subscriber{stream: c, request: fmt.Sprint(id)}, id, r.Params.Notifications.ResourceSubscriptions...)
		}
	})
	h.AddAfterSubscriptionsListen(func(ctx context.Context, id any, _ *mcp.SubscriptionsListenRequest, _ *mcp.SubscriptionsListenResult) {
		s.leave(subscriber{stream: server.ClientSessionFromContext(ctx), request: fmt.Sprint(id)})
	})
}

func (s *subscriptions) add(who subscriber, id any, uris ...string) {
	if s.added != nil {
		defer func() {
			for _, uri := range uris {
				s.added(uri)
			}
		}()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, uri := range uris {
		if _, ok := s.by[uri][who]; ok || s.n >= maxSubscriptions {
			continue
		}
		if s.by[uri] == nil {
			s.by[uri] = map[subscriber]any{}
		}
		s.by[uri][who] = id
		s.n++
	}
}

func (s *subscriptions) remove(who subscriber, uris ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, uri := range uris {
		if _, ok := s.by[uri][who]; !ok {
			continue
		}
		s.n--
		if delete(s.by[uri], who); len(s.by[uri]) == 0 {
			delete(s.by, uri)
		}
	}
}

func (s *subscriptions) leave(who subscriber) { s.remove(who, s.uris()...) }

// uris returns what anybody has subscribed to.
func (s *subscriptions) uris() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.by))
}

// notify tells those who subscribed to a resource that it has changed. It waits for
// nobody: a client that does not listen misses it, and reads the resource when it will.
func (s *subscriptions) notify(uri string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for who, id := range s.by[uri] {
		n := mcp.JSONRPCNotification{JSONRPC: mcp.JSONRPC_VERSION, Notification: mcp.Notification{
			Method: mcp.MethodNotificationResourceUpdated,
			Params: mcp.NotificationParams{AdditionalFields: map[string]any{"uri": uri}},
		}}
		to := who.stream
		if to == nil {
			to = s.live[who.session]
		} else {
			n.Params.Meta = map[string]any{mcp.MetaKeySubscriptionID: id}
		}
		if to == nil {
			continue // the library dropped what it had for a silent session
		}
		select {
		case to.NotificationChannel() <- n:
		default:
		}
	}
}
