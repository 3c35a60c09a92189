package mcp

import (
	"context"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/git-agentmail/git-agentmail/mailbox"
)

var retentionTools = []tool{
	{
		name: "purge_old_messages", cluster: "messaging", is: destroys,
		about: "Count the messages older than some days, or stop showing what they said",
		params: []param{
			projectKey,
			{name: "max_age_days", kind: integer, about: "Default: RETENTION_MAX_AGE_DAYS, or 180"},
			{name: "dry_run", kind: boolean, def: true, about: "Only count"},
		},
		run: purgeOldMessages,
	},
}

func purgeOldMessages(ctx context.Context, c *call) (any, error) {
	b, who, err := c.asker(ctx, "")
	if err != nil {
		return nil, err
	}
	days := c.integer("max_age_days")
	if c.given("max_age_days") && (days < 1 || days > 36500) {
		return nil, mail.Errorf(mail.Invalid, "max_age_days %d is not from 1 to 36500", days).With("argument", "max_age_days")
	}
	return b.Purge(ctx, who, mailbox.PurgeRequest{Older: time.Duration(days) * 24 * time.Hour, DryRun: c.boolean("dry_run")})
}
