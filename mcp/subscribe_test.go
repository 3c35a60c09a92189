package mcp

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// TestSubscriptionsStdio: subscribers on standard input and output are told, in both ways
// that there are.
func TestSubscriptionsStdio(t *testing.T) {
	s := New(options(t, t.TempDir(), environ(t), Lean))
	defer s.Close()
	in, write := io.Pipe()
	read, out := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- s.Stdio(t.Context(), in, out); out.Close() }()
	lines := make(chan string, 100)
	go func() {
		for r := bufio.NewScanner(read); r.Scan(); {
			lines <- r.Text()
		}
		close(lines)
	}()
	next := func(want ...string) {
		t.Helper()
		select {
		case line := <-lines:
			for _, w := range want {
				if !strings.Contains(line, w) {
					t.Errorf("%s without %s", line, w)
				}
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("nothing is said of %s", want)
		}
	}
	const uri = "resource://inbox/BlueLake"
	fmt.Fprintln(write, initialize("2025-06-18"))
	next(`"id":0`)
	fmt.Fprintln(write, `{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"`+uri+`"}}`)
	next(`"id":1`)
	s.watched.notify(uri)
	next("notifications/resources/updated", uri)
	fmt.Fprintln(write, `{"jsonrpc":"2.0","id":2,"method":"resources/unsubscribe","params":{"uri":"`+uri+`"}}`)
	next(`"id":2`)
	s.watched.notify(uri)
	fmt.Fprintln(write, `{"jsonrpc":"2.0","id":"mine","method":"subscriptions/listen","params":{"notifications":{"resourceSubscriptions":["`+uri+`"]},`+
		`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"t","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}`)
	next("acknowledged")
	s.watched.notify(uri)
	next("notifications/resources/updated", uri, `"io.modelcontextprotocol/subscriptionId":"mine"`)
	fmt.Fprintln(write, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"mine"}}`)
	next(`"id":"mine"`, `"result"`)
	if uris := s.watched.uris(); len(uris) != 0 {
		t.Errorf("%v is left", uris)
	}
	write.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
