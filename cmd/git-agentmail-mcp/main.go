// Command git-agentmail-mcp is git-agentmail with what would slow every commit down: it
// links what parses Markdown and speaks HTTP. git-agentmail runs it for the verbs that
// need it; it has all the others too.
package main

import (
	"os"

	"github.com/git-agentmail/git-agentmail/cmd/cli"
	"github.com/git-agentmail/git-agentmail/internal/refine"
	"github.com/git-agentmail/git-agentmail/mail/digest"
	"github.com/git-agentmail/git-agentmail/mailbox"
)

func main() { os.Exit(cli.Main(os.Args[1:], process())) }

func process() cli.IO {
	std := cli.Process()
	std.Digest = mailbox.Digest{Summarize: digest.Summarize, Aggregate: digest.Aggregate, Refine: refine.Refine}
	return std
}
