package mcp

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
)

// telling registers a tool that tells ten things and answers at once.
func telling(s *Server) {
	s.fixture("telling", func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		for i := range 10 {
			s.notify(ctx, "notifications/progress", map[string]any{"progressToken": "p", "progress": i})
		}
		return mcp.NewToolResultText("done"), nil
	})
}

const tell10 = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"telling","_meta":{"progressToken":"p"}}}`

// TestNotify: what is said of a call comes before its answer, in order, and by the way of
// the answer; a client that takes no streams gets the answer alone.
func TestNotify(t *testing.T) {
	w := serve(t, t.TempDir(), environ(t))
	telling(w.s)
	session := w.session("2025-06-18")
	listening, _ := w.stream("GET", "", session)
	for _, headers := range [][]string{{session}, nil} {
		for range 5 {
			status, body, h := w.do("POST", "/mcp", tell10, append(headers, asJSON, accepts)...)
			if status != 200 || h.Get("Content-Type") != "text/event-stream" {
				t.Fatalf("%d %s %s", status, h.Get("Content-Type"), body)
			}
			var got []string
			for line := range strings.Lines(body) {
				if data, ok := strings.CutPrefix(line, "data: "); ok {
					var m struct {
						Method string
						Params struct{ Progress int }
					}
					if err := json.Unmarshal([]byte(data), &m); err != nil {
						t.Fatalf("%v in %s", err, data)
					}
					got = append(got, fmt.Sprintf("%s%d", m.Method, m.Params.Progress))
				}
			}
			if len(got) != 11 || got[0] != "notifications/progress0" || got[9] != "notifications/progress9" || got[10] != "0" {
				t.Errorf("%s: %v", headers, got)
			}
		}
	}
	status, body, h := w.do("POST", "/mcp", tell10, asJSON, "Accept: application/json")
	var r reply
	if status != 200 || h.Get("Content-Type") != "application/json" || json.Unmarshal([]byte(body), &r) != nil || r.Result == nil {
		t.Errorf("%d %s", status, body)
	}
	select {
	case m := <-listening:
		t.Errorf("by another way: %+v", m)
	default:
	}
}

// TestNotifyStdio: the same over standard input and output.
func TestNotifyStdio(t *testing.T) {
	s := New(options(t, t.TempDir(), environ(t), Lean))
	defer s.Close()
	telling(s)
	var out safeBuffer
	if err := s.Stdio(t.Context(), strings.NewReader(initialize("2025-06-18")+"\n"+tell10+"\n"), io.Writer(&out)); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var told []string
	for _, line := range lines {
		if strings.Contains(line, "progress") || strings.Contains(line, `"id":1,`) {
			told = append(told, line)
		}
	}
	if len(told) != 11 || !strings.Contains(told[9], `"progress":9`) || !strings.Contains(told[10], "done") {
		t.Errorf("%s", told)
	}
}
