//go:build unix

package gitstore

import (
	"os"
	"os/exec"
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

// mapped returns the contents of a file, which its caller only reads, and gives back.
func mapped(name string) (data []byte, unmap func(), err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	if st.Size() == 0 {
		return nil, func() {}, nil
	}
	data, err = syscall.Mmap(int(f.Fd()), 0, int(st.Size()), syscall.PROT_READ, syscall.MAP_PRIVATE)
	return data, func() { syscall.Munmap(data) }, err
}

// apart puts a command and all that it starts into a session of their own: without a terminal
// nobody can ask there for a password, and they end together. They are asked to, for
// a git that is killed leaves its locks.
func apart(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
}
