package mcp

import "context"

var windowTools = []tool{
	{
		name: "list_window_identities", cluster: "identity", is: reads,
		about:  "List the terminal windows that remember an agent's name",
		params: []param{projectKey, format},
		run: func(ctx context.Context, c *call) (any, error) {
			b, err := c.open(ctx)
			if err != nil {
				return nil, err
			}
			return b.Windows(ctx)
		},
	},
	{
		name: "rename_window", cluster: "identity", is: settles,
		about: "Change the name that agents in a terminal window go by",
		params: []param{
			projectKey,
			{name: "window_uuid", required: true},
			{name: "new_display_name", required: true},
			format,
		},
		run: func(ctx context.Context, c *call) (any, error) {
			b, err := c.open(ctx)
			if err != nil {
				return nil, err
			}
			return b.RenameWindow(ctx, c.text("window_uuid"), c.text("new_display_name"))
		},
	},
	{
		name: "expire_window", cluster: "identity", is: settles,
		about:  "Forget a terminal window; who registers there next is somebody new",
		params: []param{projectKey, {name: "window_uuid", required: true}, format},
		run: func(ctx context.Context, c *call) (any, error) {
			b, err := c.open(ctx)
			if err != nil {
				return nil, err
			}
			return b.ExpireWindow(ctx, c.text("window_uuid"))
		},
	},
}
