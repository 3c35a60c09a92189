package mcp

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

const (
	// The library's own numbers, 5 and 100, log a line for each call beyond them.
	stdioWorkers = 16
	stdioQueue   = 1000

	// maxMessage is the longest message that is read. Files are named in one, not carried.
	maxMessage = 4 << 20

	// patience is how long calls that run may go on once nobody asks for more.
	patience = 10 * time.Second
)

// Stdio serves the one client that started this process, until it closes in or ctx
// ends. What was asked before then is answered.
func (s *Server) Stdio(ctx context.Context, in io.Reader, out io.Writer) error {
	s.stdio = &session{client: s.client()}
	srv := server.NewStdioServer(s.mcp)
	for _, opt := range []server.StdioOption{server.WithErrorLogger(s.opt.Log), server.WithWorkerPoolSize(stdioWorkers), server.WithQueueSize(stdioQueue)} {
		opt(srv)
	}
	lines, feed := io.Pipe()
	defer lines.Close()
	q := &questions{out: out, open: map[string]int{}, answered: make(chan struct{}, 1)}
	s.said = q
	go s.feed(ctx, in, feed, q)
	// The library drops what runs when its context ends.
	return srv.Listen(context.WithoutCancel(ctx), lines, q)
}

// feed hands the library one whole message after another. The library itself reads lines
// of any length, passes over a last one that has no end, and cancels what runs when the
// input ends: here the end waits for the answers.
func (s *Server) feed(ctx context.Context, in io.Reader, to *io.PipeWriter, q *questions) {
	defer to.Close()
	lines := make(chan []byte)
	go func() { // it cannot be woken while it reads
		defer close(lines)
		r := bufio.NewReaderSize(in, 64<<10)
		for {
			line, tail, err := readLine(r)
			if tail != nil {
				s.refuse(q, line, tail)
				line = nil
			}
			if len(bytes.TrimSpace(line)) > 0 {
				select {
				case lines <- line:
				case <-ctx.Done():
					return
				}
			}
			if err != nil {
				if !errors.Is(err, io.EOF) {
					s.opt.Log.Printf("standard input could not be read: %v", err)
				}
				return
			}
		}
	}()
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				s.asking.end()
				q.wait(patience)
				return
			}
			if s.asking.answered(s.stdio, q.ask(line), line) {
				continue
			}
			if _, err := to.Write(append(line, '\n')); err != nil {
				return
			}
		case <-ctx.Done():
			s.asking.end()
			q.wait(patience)
			return
		}
	}
}

// readLine returns the next line without its end. One that is too long is not kept: tail
// is its last bytes then, and line its first ones.
func readLine(r *bufio.Reader) (line, tail []byte, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if tail == nil {
			line = append(line, part...)
		} else {
			tail = append(tail, part...)
		}
		if len(line) > maxMessage {
			line, tail = line[:idWithin:idWithin], line[len(line)-idWithin:]
		}
		if len(tail) > idWithin {
			tail = append(tail[:0:0], tail[len(tail)-idWithin:]...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return bytes.TrimSuffix(line, []byte("\n")), tail, err
		}
	}
}

// idWithin is how near to an end of a message its id is looked for.
const idWithin = 256

// Where clients write the id of a request: first, or last after the parameters.
var idFirst, idLast = regexp.MustCompile(`^\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?"id"\s*:\s*(` + idText + `)\s*,`),
	regexp.MustCompile(`,\s*"id"\s*:\s*(` + idText + `)\s*\}\s*$`)

const idText = `-?\d{1,18}|"[^"\\\x00-\x1f]{0,200}"`

// questions are the requests that wait for an answer. It stands between the library and
// the output.
type questions struct {
	mu       sync.Mutex
	out      io.Writer
	open     map[string]int // by id
	answered chan struct{}  // has something when there is none left
}

// message is what tells requests, answers and notifications apart.
type message struct {
	ID     any    `json:"id"`
	Method string `json:"method"`
}

// ask notes a request, and returns what it is. The one that subscribes is answered when
// it is over, and nobody waits for that.
func (q *questions) ask(line []byte) (m message) {
	if json.Unmarshal(line, &m) != nil || m.ID == nil || m.Method == "" || m.Method == string(mcp.MethodSubscriptionsListen) {
		return m
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.open[fmt.Sprint(m.ID)]++
	return m
}

// Write passes on what the library says, one message at a time.
func (q *questions) Write(line []byte) (int, error) {
	var m message
	answer := json.Unmarshal(line, &m) == nil && m.ID != nil && m.Method == ""
	q.mu.Lock()
	defer q.mu.Unlock()
	n, err := q.out.Write(line)
	if id := fmt.Sprint(m.ID); answer && q.open[id] > 0 {
		if q.open[id]--; q.open[id] == 0 {
			delete(q.open, id)
		}
		select {
		case q.answered <- struct{}{}:
		default:
		}
	}
	return n, err
}

// refuse answers a message that was too long to read. An answer to a question of ours gets
// none, and counts as empty.
func (s *Server) refuse(q *questions, head, tail []byte) {
	id := "null"
	if m := idFirst.FindSubmatch(head); m != nil {
		id = string(m[1])
	} else if m := idLast.FindSubmatch(tail); m != nil {
		id = string(m[1])
	}
	if s.asking.answered(s.stdio, message{ID: strings.Trim(id, `"`)}, nil) {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	fmt.Fprintf(q.out, `{"jsonrpc":"2.0","id":%s,"error":{"code":%d,"message":"%s"}}`+"\n", id, mcp.INVALID_REQUEST, tooLong)
}

const tooLong = "the message is longer than 4 MB"

// wait returns when every request is answered, or after some time.
func (q *questions) wait(most time.Duration) {
	end := time.After(most)
	for {
		q.mu.Lock()
		n := len(q.open)
		q.mu.Unlock()
		if n == 0 {
			return
		}
		select {
		case <-q.answered:
		case <-end:
			return
		}
	}
}

// client describes the program that started this one: a later `git commit` that runs
// below the same program is by the same agent.
func (s *Server) client() *mailbox.Session {
	c := &mailbox.Session{Ready: true, Key: cmp.Or(s.opt.Getenv("CLAUDE_CODE_SESSION_ID"), s.opt.Getenv("COPILOT_AGENT_SESSION_ID"))}
	if s.opt.Ancestors != nil {
		if up := s.opt.Ancestors(); len(up) > 1 {
			c.Client = up[1] // up[0] is this process
		}
	}
	return c
}
