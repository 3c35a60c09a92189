//go:build race

package gitstore

func init() { raced = true }
