package mcp

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/mark3labs/mcp-go/server"
)

// What is kept of one session for a client whose connection breaks.
const (
	maxEvents     = 100
	maxEventBytes = 256 << 10
)

// events are the messages that were streamed to clients, so that they can be sent again.
// The library's own store keeps all of them until the session ends.
type events struct {
	mu   sync.Mutex
	last int64
	of   map[string][]event // by session
}

type event struct {
	id, stream string
	message    json.RawMessage
}

func newEvents() *events { return &events{of: map[string][]event{}} }

// StoreEvent keeps a message and drops the oldest ones that no longer fit.
func (e *events) StoreEvent(_ context.Context, session, stream string, message json.RawMessage) (string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last++
	id := strconv.FormatInt(e.last, 10)
	list := append(e.of[session], event{id, stream, slices.Clone(message)})
	size := 0
	for _, v := range list {
		size += len(v.message)
	}
	for len(list) > 0 && (len(list) > maxEvents || size > maxEventBytes) {
		size -= len(list[0].message)
		list = list[1:]
	}
	e.of[session] = slices.Clip(list)
	return id, nil
}

// ReplayEventsAfter sends again what came after an event on its stream.
func (e *events) ReplayEventsAfter(_ context.Context, session, after string, send func(string, json.RawMessage) error) (string, error) {
	e.mu.Lock()
	list := e.of[session]
	e.mu.Unlock()
	i := slices.IndexFunc(list, func(v event) bool { return v.id == after })
	if i < 0 {
		return "", fmt.Errorf("%w: %s", server.ErrUnknownEventID, after)
	}
	stream := list[i].stream
	for _, v := range list[i+1:] {
		if v.stream == stream {
			if err := send(v.id, v.message); err != nil {
				return "", err
			}
		}
	}
	return stream, nil
}

// PurgeSession forgets a session.
func (e *events) PurgeSession(_ context.Context, session string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.of, session)
	return nil
}
