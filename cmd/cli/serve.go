package cli

import (
	"cmp"
	"path/filepath"
	"strings"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/spf13/cobra"
)

func newServe(a *app) *cobra.Command {
	s := Served{Version: ownVersion()}
	host := cmp.Or(a.getenv("HTTP_HOST"), "127.0.0.1")
	if strings.Contains(host, ":") {
		host = "[" + strings.Trim(host, "[]") + "]"
	}
	s.HTTP = host + ":" + cmp.Or(a.getenv("HTTP_PORT"), "8765")
	var roots []string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "serve many coding agents over HTTP",
		Long: `Speaks the Model Context Protocol at http://ADDRESS/mcp/ and /api/, to as many
agents as come. A call says which repository it means by project_key; without
one it is that of the working directory. Who acts is said by the call, else by
whom the client's session has registered, else by the header X-Agent.

Only this machine is served unless --http names another of its addresses, which
needs a token in HTTP_BEARER_TOKEN. This machine needs none unless
HTTP_ALLOW_LOCALHOST_UNAUTHENTICATED=false. HTTP_HOST and HTTP_PORT,
HTTP_RATE_LIMIT_ENABLED and _PER_MINUTE, HTTP_CORS_ENABLED and _ORIGINS, and
HTTP_REQUEST_LOG_ENABLED are read too. An interrupt ends the server when what it
does is done.

This verb is run by git-agentmail-mcp, which is installed with git-agentmail.`,
		Example: `  git agentmail serve
  git agentmail serve --http 127.0.0.1:9000 --root ~/src`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for i, dir := range roots {
				abs, err := filepath.Abs(dir)
				if err != nil {
					return mail.Errorf(mail.Invalid, "--root %q: %w", dir, err)
				}
				roots[i] = abs
			}
			s.Mailbox.Roots = roots
			return a.serve(cmd.Context(), s)
		},
	}
	f := cmd.Flags()
	f.Var(wordFlag{&s.HTTP, "ADDRESS"}, "http", "listen here, a host and a port")
	f.Var(pathsFlag{&roots, "DIR"}, "root", "serve only repositories below this directory; several may be given")
	f.Var(profileFlag{&s.Profile}, "tools", "list these tools: lean, core or full (default lean)")
	return cmd
}
