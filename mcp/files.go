package mcp

import (
	"context"

	"github.com/git-agentmail/git-agentmail/mailbox"
)

var fileTools = []tool{
	{
		name: "file_reservation_paths", cluster: "file_reservations", is: settles, lean: "paths ttl_seconds exclusive reason",
		about: "Reserve files before you edit them; what others hold is not granted but listed in conflicts",
		hint:  "lock claim lease reserve files before editing",
		params: []param{
			projectKey, as("agent_name"),
			{name: "paths", kind: texts, required: true, about: "Patterns such as src/auth/**, from the root of the repository"},
			{name: "ttl_seconds", kind: integer, def: 3600},
			{name: "exclusive", kind: boolean, def: true},
			{name: "reason", def: ""},
			{name: "strong", kind: boolean, def: false, about: "Have the git remote keep them, so that no other clone gets them; takes a fetch and a push"},
			format,
		},
		run: reservePaths,
	},
	{
		name: "create_file_reservation", cluster: "file_reservations", is: settles,
		about: "Reserve one pattern; an unknown agent_name is registered",
		params: []param{
			projectKey, as("agent_name"),
			{name: "path_pattern", required: true},
			{name: "ttl_seconds", kind: integer, def: 3600},
			{name: "exclusive", kind: boolean, def: true},
			{name: "reason", def: ""},
		},
		run: createReservation,
	},
	{
		name: "release_file_reservations", cluster: "file_reservations", is: settles, lean: "paths",
		about: "Release your reservations: all of them, or those of given patterns and ids",
		hint:  "unlock release files done editing",
		params: []param{
			projectKey, as("agent_name"),
			{name: "paths", kind: texts, about: "Patterns as granted; with ids both must hold"},
			{name: "file_reservation_ids", kind: ids},
			format,
		},
		run: releaseReservations,
	},
	{
		name: "renew_file_reservations", cluster: "file_reservations", is: adds,
		about: "Extend your reservations: all of them, or those of given patterns and ids",
		hint:  "keep lock longer extend lease",
		params: []param{
			projectKey, as("agent_name"),
			{name: "extend_seconds", kind: integer, def: 1800, about: "Added to what is left, at least 60"},
			{name: "paths", kind: texts},
			{name: "file_reservation_ids", kind: ids},
			format,
		},
		run: renewReservations,
	},
	{
		name: "force_release_file_reservation", cluster: "file_reservations", is: destroys,
		about: "End another agent's reservation if it shows no sign of life; the holder is told",
		hint:  "stale lock of an agent that is gone",
		params: []param{
			projectKey, as("agent_name"),
			{name: "file_reservation_id", kind: id, required: true},
			{name: "notify_previous", kind: boolean, def: true},
			{name: "note", def: "", about: "Why, for the holder"},
			format,
		},
		run: forceRelease,
	},
}

// reservation reads what is asked for, but for the patterns.
func (c *call) reservation(patterns ...string) mailbox.ReserveRequest {
	return mailbox.ReserveRequest{Patterns: patterns, TTL: c.seconds("ttl_seconds"), Shared: !c.boolean("exclusive"), Reason: c.text("reason"), Partial: true}
}

func (c *call) leases() mailbox.LeaseFilter {
	return mailbox.LeaseFilter{Patterns: c.texts("paths"), IDs: c.texts("file_reservation_ids")}
}

func reservePaths(ctx context.Context, c *call) (any, error) {
	b, who, err := c.actor(ctx, "agent_name")
	if err != nil {
		return nil, err
	}
	r := c.reservation(c.texts("paths")...)
	r.Strong = c.boolean("strong")
	return b.Reserve(ctx, who, r)
}

func createReservation(ctx context.Context, c *call) (any, error) {
	b, who, err := c.actor(ctx, "agent_name")
	if err != nil {
		return nil, err
	}
	r, who, err := b.ReserveUnregistered(ctx, who, c.reservation(c.text("path_pattern")))
	c.acts(b, who)
	return r, err
}

func releaseReservations(ctx context.Context, c *call) (any, error) {
	b, who, err := c.actor(ctx, "agent_name")
	if err != nil {
		return nil, err
	}
	return b.Release(ctx, who, c.leases())
}

func renewReservations(ctx context.Context, c *call) (any, error) {
	b, who, err := c.actor(ctx, "agent_name")
	if err != nil {
		return nil, err
	}
	return b.Renew(ctx, who, c.leases(), c.seconds("extend_seconds"))
}

func forceRelease(ctx context.Context, c *call) (any, error) {
	b, who, err := c.actor(ctx, "agent_name")
	if err != nil {
		return nil, err
	}
	return b.ForceRelease(ctx, who, c.text("file_reservation_id"), c.text("note"), c.boolean("notify_previous"))
}
