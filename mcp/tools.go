package mcp

import "slices"

// allTools is every tool there is.
func allTools() []*tool {
	var list []*tool
	for _, t := range slices.Concat(
		infrastructureTools, identityTools, windowTools, contactTools, messagingTools, searchTools, summaryTools, fileTools, guardTools,
		macroTools, slotTools, productTools, retentionTools, extendedTools,
	) {
		list = append(list, &t)
	}
	return list
}
