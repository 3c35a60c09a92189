package mcp

import (
	"cmp"
	"context"
	"errors"
	"io"

	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/mark3labs/mcp-go/server"
)

// The library's own numbers, 5 and 100, log a line for each call beyond them.
const (
	stdioWorkers = 16
	stdioQueue   = 1000
)

// Stdio serves the one client that started this process, until it closes in or ctx ends.
func (s *Server) Stdio(ctx context.Context, in io.Reader, out io.Writer) error {
	s.stdio = &session{client: s.client()}
	srv := server.NewStdioServer(s.mcp)
	for _, opt := range []server.StdioOption{server.WithErrorLogger(s.opt.Log), server.WithWorkerPoolSize(stdioWorkers), server.WithQueueSize(stdioQueue)} {
		opt(srv)
	}
	if err := srv.Listen(ctx, in, out); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
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
