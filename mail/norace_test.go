//go:build !race

package mail

const seeds = 2000
