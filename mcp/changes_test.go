package mcp

import (
	"encoding/json"
	"testing"
	"time"
)

// next waits for the next line from the server.
func (c *client) next(t *testing.T, limit time.Duration) (r reply, ok bool) {
	t.Helper()
	lines := make(chan []byte, 1)
	go func() {
		line, _ := c.out.ReadBytes('\n')
		lines <- line
	}()
	select {
	case line := <-lines:
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		return r, true
	case <-time.After(limit):
		return r, false
	}
}

// TestSubscribed: who subscribed to an inbox is told of mail to it, whoever sent it, and
// of nothing else.
func TestSubscribed(t *testing.T) {
	env := environ(t)
	dir := repository(t, env)
	blue, green := connect(t, options(t, dir, env, Full)), connect(t, options(t, dir, env, Full))
	blue.call("register_agent", map[string]any{"name": "BlueLake", "program": "p", "model": "m"}, nil)
	blue.call("register_agent", map[string]any{"name": "GreenCastle", "program": "p", "model": "m"}, nil)
	if r := green.request("resources/subscribe", map[string]any{"uri": "resource://inbox/GreenCastle"}); r.Error != nil {
		t.Fatal(r.Error.Message)
	}
	send := func(to string) {
		t.Helper()
		blue.call("send_message", map[string]any{"sender_name": "BlueLake", "to": to, "subject": "s", "body_md": "b"}, nil)
	}
	blue.call("file_reservation_paths", map[string]any{"agent_name": "BlueLake", "paths": "src/**"}, nil)
	send("BlueLake")
	send("GreenCastle")
	r, ok := green.next(t, 5*time.Second)
	if !ok || r.Method != "notifications/resources/updated" {
		t.Fatalf("%v, %+v", ok, r)
	}
	if r := green.request("resources/unsubscribe", map[string]any{"uri": "resource://inbox/GreenCastle"}); r.Error != nil {
		t.Fatal(r.Error.Message)
	}
	send("GreenCastle")
	if r, ok := green.next(t, 300*time.Millisecond); ok {
		t.Errorf("told of what it does not want to know: %+v", r)
	}
	green.in.Close() // the reader of next ends with it
}
