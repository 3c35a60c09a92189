//go:build unix

package gitstore

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// script makes an executable file.
func script(t *testing.T, name, text string) {
	t.Helper()
	writeFile(t, name, "#!/bin/sh\n"+text)
	if err := os.Chmod(name, 0o755); err != nil {
		t.Fatal(err)
	}
}

// TestSyncInterrupted: a remote that says nothing holds nobody up who has given up, and
// what git had started for it is gone.
func TestSyncInterrupted(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	pidFile := filepath.Join(t.TempDir(), "pid")
	ssh := filepath.Join(t.TempDir(), "ssh")
	script(t, ssh, "echo $$ >"+pidFile+"\nsleep 20\n")
	s := open(t, append(env, "GIT_SSH_COMMAND="+ssh, "GIT_SSH_VARIANT=simple"), newRepo(t, env), Options{})
	fill(t, s, 0, 1)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := s.Sync(ctx, "ssh://host.invalid/x.git")
		done <- err
	}()
	pid := 0
	for deadline := time.Now().Add(20 * time.Second); pid == 0; time.Sleep(10 * time.Millisecond) {
		data, _ := os.ReadFile(pidFile)
		pid, _ = strconv.Atoi(strings.TrimSpace(string(data)))
		if time.Now().After(deadline) {
			t.Fatal("git did not start ssh")
		}
	}
	cancel()
	select {
	case err := <-done:
		if err != context.Canceled {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("Sync goes on after its context has ended")
	}
	for deadline := time.Now().Add(5 * time.Second); syscall.Kill(pid, 0) == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("ssh was left behind")
		}
	}
}

