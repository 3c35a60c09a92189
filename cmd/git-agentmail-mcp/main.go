// Command git-agentmail-mcp is git-agentmail with what would slow every commit down: it
// links what parses Markdown and speaks HTTP. git-agentmail runs it for the verbs that
// need it; it has all the others too.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/git-agentmail/git-agentmail/cmd/cli"
	"github.com/git-agentmail/git-agentmail/internal/refine"
	"github.com/git-agentmail/git-agentmail/mail/digest"
	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/git-agentmail/git-agentmail/mcp"
)

func main() { os.Exit(cli.Main(os.Args[1:], process())) }

func process() cli.IO {
	std := cli.Process()
	std.Digest = mailbox.Digest{Summarize: digest.Summarize, Aggregate: digest.Aggregate, Refine: refine.Refine}
	std.Serve = serve
	return std
}

// serve speaks to the coding agents that the command line asks for.
func serve(ctx context.Context, std cli.IO, s cli.Served) error {
	signal.Ignore(syscall.SIGPIPE) // a client that is gone does not take with it what it asked for
	srv := mcp.New(mcp.Options{
		Mailbox: s.Mailbox, Profile: mcp.Profile(s.Profile), Version: s.Version, Binary: s.Binary,
		Getenv: os.Getenv, Ancestors: std.Ancestors, Log: log.New(std.Err, "agentmail: ", 0),
	})
	defer srv.Close()
	if s.HTTP != "" {
		// What is live is a few megabytes, and what is thrown away a hundred each second: by
		// default a tenth of the time goes into collecting it.
		debug.SetGCPercent(400)
		return srv.HTTP(ctx, s.HTTP)
	}
	return srv.Stdio(ctx, std.In, std.Out)
}
