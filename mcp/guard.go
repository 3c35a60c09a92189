package mcp

import "context"

var guardTools = []tool{
	{
		name: "install_precommit_guard", cluster: "infrastructure", is: settles,
		about: "Install the git hooks that refuse commits of what others reserved",
		params: []param{
			projectKey,
			{name: "code_repo_path", required: true, about: "Absolute path of the repository"},
			format,
		},
		run: installGuard,
	},
	{
		name: "uninstall_precommit_guard", cluster: "infrastructure", is: destroys,
		about: "Remove the git hooks of this mailbox, and nothing of yours",
		params: []param{
			{name: "code_repo_path", required: true},
			format,
		},
		run: uninstallGuard,
	},
}

func installGuard(ctx context.Context, c *call) (any, error) {
	b, release, err := c.server.projects.OpenCode(ctx, c.text("project_key"), c.text("code_repo_path"))
	c.hold(b, release)
	if err != nil {
		return nil, err
	}
	return b.GuardInstall(ctx, c.server.opt.Binary)
}

func uninstallGuard(ctx context.Context, c *call) (any, error) {
	b, release, err := c.server.projects.OpenCode(ctx, "", c.text("code_repo_path"))
	c.hold(b, release)
	if err != nil {
		return nil, err
	}
	return b.GuardUninstall(ctx)
}
