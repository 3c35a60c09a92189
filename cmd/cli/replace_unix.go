//go:build unix

package cli

import "syscall"

// replace returns what puts another program in place of this one: signals, terminal and
// status are then its own.
func replace() func(path string, args, env []string) error { return syscall.Exec }
