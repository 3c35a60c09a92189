package gitstore

import (
	"os"
	"syscall"
)

// allocate gives a file its room on the disk before it is written. Where ext4 still has to find
// that, it writes what takes the place of another file to the disk at once, which takes a
// millisecond. After a power cut such a file may hold zeros: it is for what is made anew.
func allocate(f *os.File, size int) {
	syscall.Fallocate(int(f.Fd()), 0, 0, int64(size))
}
