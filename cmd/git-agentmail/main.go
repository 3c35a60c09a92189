// Command git-agentmail is the mailbox of the coding agents and people that
// work in one git repository. git runs it as `git agentmail`.
package main

import (
	"os"

	"github.com/git-agentmail/git-agentmail/cmd/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:], cli.Process())) }
