//go:build unix

package gitstore

import (
	"os"
	"syscall"
)

// likeBefore gives a new file owner and mode of the one that it will replace: root, who
// looks at somebody's repository, must not shut them out of it. What cannot be given stays.
func likeBefore(name, old string) {
	was, err := os.Stat(old)
	if err != nil || !was.Mode().IsRegular() {
		return
	}
	now, err := os.Stat(name)
	if err != nil {
		return
	}
	a, b := was.Sys().(*syscall.Stat_t), now.Sys().(*syscall.Stat_t)
	if a.Uid != b.Uid || a.Gid != b.Gid {
		os.Chown(name, int(a.Uid), int(a.Gid))
	}
	if was.Mode() != now.Mode() {
		os.Chmod(name, was.Mode())
	}
}
