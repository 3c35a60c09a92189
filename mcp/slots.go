package mcp

import (
	"context"

	"github.com/git-agentmail/git-agentmail/mailbox"
)

var slot = param{name: "slot", required: true, about: "Such as build or e2e"}

var slotTools = []tool{
	{
		name: "acquire_build_slot", cluster: "build_slots", is: settles,
		about:  "Take a named slot for a long job; always granted, other exclusive holders are listed in conflicts",
		params: []param{projectKey, as("agent_name"), slot, {name: "ttl_seconds", kind: integer, def: 3600}, {name: "exclusive", kind: boolean, def: true}, format},
		hint:   "build lock, test run, one at a time",
		run:    acquireSlot,
	},
	{
		name: "renew_build_slot", cluster: "build_slots", is: adds,
		about:  "Keep a build slot for longer; one that is not held is taken",
		params: []param{projectKey, as("agent_name"), slot, {name: "extend_seconds", kind: integer, def: 1800}, format},
		run:    renewSlot,
	},
	{
		name: "release_build_slot", cluster: "build_slots", is: settles,
		about:  "Give a build slot back",
		params: []param{projectKey, as("agent_name"), slot, format},
		run:    releaseSlot,
	},
}

func acquireSlot(ctx context.Context, c *call) (any, error) {
	b, who, err := c.actor(ctx, "agent_name")
	if err != nil {
		return nil, err
	}
	return b.AcquireSlot(ctx, who, mailbox.SlotRequest{Slot: c.text("slot"), TTL: c.span("ttl_seconds"), Shared: !c.boolean("exclusive")})
}

func renewSlot(ctx context.Context, c *call) (any, error) {
	b, who, err := c.actor(ctx, "agent_name")
	if err != nil {
		return nil, err
	}
	return b.RenewSlot(ctx, who, c.text("slot"), c.span("extend_seconds"))
}

func releaseSlot(ctx context.Context, c *call) (any, error) {
	b, who, err := c.actor(ctx, "agent_name")
	if err != nil {
		return nil, err
	}
	return b.ReleaseSlot(ctx, who, c.text("slot"))
}
