package gitstore

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestNotifyWithoutWatchers uses a name space of users in which the kernel's limit of
// watchers is 0.
func TestNotifyWithoutWatchers(t *testing.T) {
	t.Parallel()
	alone := func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
	}
	const limit = "echo 0 >/proc/sys/user/max_inotify_instances"
	try := exec.Command("sh", "-c", limit)
	alone(try)
	if out, err := try.CombinedOutput(); err != nil {
		t.Skipf("no name space to be had here: %v: %s", err, out)
	}
	env := testEnv(t)
	dir := newRepo(t, env)
	s := open(t, env, dir, Options{})
	c := spawn(t, env, "notify-blind", childConfig{Dir: dir}, func(cmd *exec.Cmd) {
		alone(cmd)
		cmd.Args = []string{"sh", "-c", limit + ` && exec "$0"`, cmd.Path}
		cmd.Path = "/bin/sh"
	})
	c.await(t)
	for i := range 3 { // the first write, and what comes after
		put(t, s, string(rune('a'+i)), "x")
		c.await(t)
	}
	c.stdin.Close()
	if got := strings.Join(c.wait(t, time.Minute), " "); got != "ready news news news" {
		t.Errorf("it said %q", got)
	}
}
