package mailbox

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

// TestIndexOfUsersText: what somebody types is no fault of the index.
func TestIndexOfUsersText(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	w.send(blue, "BlueLake")
	w.inbox(blue)
	before := w.box.indexes.idle[0].DB
	for _, key := range []string{"converting", "no such table", "sql: Scan error"} {
		if _, err := w.box.Thread(w.ctx, blue, key, Page{}); mail.CodeOf(err) != mail.NotFound {
			t.Errorf("thread %q: %v", key, err)
		}
		if _, err := w.box.Search(w.ctx, blue, SearchQuery{Query: "x", From: key}); mail.CodeOf(err) != mail.NotFound {
			t.Errorf("search from %q: %v", key, err)
		}
	}
	if w.box.indexes.idle[0].DB != before || w.box.indexes.memory.DB != nil {
		t.Error("the index was given up")
	}
}

// TestIndexAfterAFastClock: mail that a clock stamped which was ahead once does not make
// every list build the index anew.
func TestIndexAfterAFastClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	w.pass(24 * 365 * time.Hour)
	w.send(blue, "BlueLake")
	w.pass(-24 * 365 * time.Hour)
	w.send(blue, "BlueLake") // its stamps only grow
	c := w.clone()
	red := c.agent("RedFox")
	c.pass(2 * time.Hour)
	c.many(red, 310, func(i int) Draft { // stamps of another clone, which does not believe that clock
		return Draft{To: []string{"RedFox"}, Subject: fmt.Sprint(i), Body: "x"}
	})
	w.fetch(c)
	w.inbox(blue)
	if _, err := w.box.Reindex(w.ctx); err != nil {
		t.Fatal(err)
	}
	file := w.box.indexes.idle[0].file
	for range 3 {
		w.send(blue, "BlueLake")
		w.inbox(blue)
	}
	if w.box.indexes.idle[0].file != file {
		t.Error("it was built anew for a message more")
	}
}

// TestReindexBesideLists: neither waits for the other for ever.
func TestReindexBesideLists(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	w.send(blue, "BlueLake")
	ctx, cancel := context.WithTimeout(w.ctx, 30*time.Second)
	defer cancel()
	done := make(chan error)
	go func() {
		for range 10 {
			if _, err := w.box.Reindex(ctx); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for range 30 {
		if _, err := w.box.Inbox(ctx, blue, InboxQuery{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := w.box.Inbox(ctx, blue, InboxQuery{}); mail.CodeOf(err) != mail.Cancelled {
		t.Errorf("a list that was interrupted: %v", err)
	}
}
