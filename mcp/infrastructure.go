package mcp

import "context"

var infrastructureTools = []tool{
	{
		name: "health_check", cluster: "infrastructure", is: reads,
		about:  "Report that the server is ready, and how it was started",
		params: []param{format},
		run:    healthCheck,
	},
}

func healthCheck(context.Context, *call) (any, error) {
	return map[string]any{"status": "ok", "environment": "local", "http_host": "", "http_port": 0, "database_url": ""}, nil
}
