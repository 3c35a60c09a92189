//go:build race

package mail

// seeds is how many random runs a property test makes. The race detector makes
// each ten times as slow, and what it looks for does not need many.
const seeds = 300
