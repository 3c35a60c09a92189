package mcp

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/mailbox"
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
	opt := options(t, dir, env, Full)
	green := connect(t, opt) // alone: the library has one channel for all servers of a process
	b, err := mailbox.Open(t.Context(), opt.Mailbox)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var blue mailbox.Actor
	for _, name := range []string{"GreenCastle", "BlueLake"} {
		a, err := b.Register(t.Context(), mailbox.RegisterRequest{Name: name, Program: "p", Model: "m"})
		if err != nil {
			t.Fatal(err)
		}
		blue = a.Actor()
	}
	if r := green.request("resources/subscribe", map[string]any{"uri": "resource://inbox/GreenCastle"}); r.Error != nil {
		t.Fatal(r.Error.Message)
	}
	send := func(to string) {
		t.Helper()
		if _, err := b.Send(t.Context(), blue, mailbox.Draft{To: []string{to}, Subject: "s", Body: "b"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Reserve(t.Context(), blue, mailbox.ReserveRequest{Patterns: []string{"src/**"}}); err != nil {
		t.Fatal(err)
	}
	send("BlueLake")
	send("GreenCastle")
	r, ok := green.next(t, 5*time.Second)
	if !ok || r.Method != "notifications/resources/updated" {
		t.Fatalf("%v, %+v", ok, r)
	}
	if _, err := b.Send(t.Context(), blue, mailbox.Draft{To: []string{"BlueLake"}, BCC: []string{"GreenCastle"}, Subject: "s", Body: "b"}); err != nil {
		t.Fatal(err)
	}
	if r, ok := green.next(t, 5*time.Second); !ok || r.Method != "notifications/resources/updated" {
		t.Fatalf("of a blind copy: %v, %+v", ok, r)
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
