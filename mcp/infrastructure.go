package mcp

import "context"

var infrastructureTools = []tool{
	{
		name: "health_check", cluster: "infrastructure", is: reads,
		about:  "Report that the server is ready, and where the record lies",
		params: []param{format},
		run:    healthCheck,
	},
	{
		name: "ensure_project", cluster: "infrastructure", is: settles,
		about: "Find the project of a path, making one for a path outside any repository; safe to repeat",
		hint:  "which repository, project identity, slug",
		params: []param{
			{name: "human_key", required: true, about: "Absolute path of the repository, or in it"},
			{name: "identity_mode", about: "Accepted; always as git-common-dir"},
			format,
		},
		run: ensureProject,
	},
}

// healthCheck opens nothing: it answers in a broken repository too.
func healthCheck(_ context.Context, c *call) (any, error) {
	host, port := c.server.listens()
	return map[string]any{"status": "ok", "environment": "local", "http_host": host, "http_port": port, "database_url": c.server.projects.Record()}, nil
}

// listens is the address over HTTP, nothing and 0 without it.
func (s *Server) listens() (host string, port int) {
	addr := s.addr.Load()
	if addr == nil {
		return "", 0
	}
	return addr.IP.String(), addr.Port
}

func ensureProject(ctx context.Context, c *call) (any, error) {
	return c.server.projects.Ensure(ctx, c.text("human_key"))
}
