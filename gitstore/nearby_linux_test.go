package gitstore

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestNearbyStopsAtMount: git does not look for a repository beyond a file system.
func TestNearbyStopsAtMount(t *testing.T) {
	env := testEnv(t)
	dir := filepath.Join(newRepo(t, env), "mounted")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip("mount:", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, 0) })
	if r, ok := nearby(dir, env); ok {
		t.Errorf("found %+v", r)
	}
	if r, err := Find(context.Background(), dir, env); KindOf(err) != NotRepository {
		t.Errorf("git finds %+v, %v", r, err)
	}
}
