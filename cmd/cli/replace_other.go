//go:build !unix

package cli

// replace returns nil: the other program runs as a child here.
func replace() func(path string, args, env []string) error { return nil }
