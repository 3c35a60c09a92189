package gitstore

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestPowerCut keeps a repository on a file system of its own, in an image. At
// the moment a write is acknowledged it copies the image: what the file system
// still has in memory, and has not given to the disk, is not in the copy. The
// copies are mounted, as after a power cut, and must hold what was acknowledged.
func TestPowerCut(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root may mount images: what survives a power cut was not checked")
	}
	// The commit interval is longer than the test, so nothing reaches the disk
	// by the mere passing of time.
	for _, fs := range []struct{ name, size, mount string }{
		{"ext4", "64M", "commit=600"},
		{"xfs", "320M", "nouuid"},
		{"btrfs", "128M", "commit=600"},
	} {
		t.Run(fs.name, func(t *testing.T) {
			mkfs, err := exec.LookPath("mkfs." + fs.name)
			if err != nil {
				t.Skipf("mkfs.%s is not installed: what survives a power cut was not checked", fs.name)
			}
			tmp := t.TempDir()
			image, mnt := filepath.Join(tmp, "image"), filepath.Join(tmp, "mnt")
			if err := os.Mkdir(mnt, 0o755); err != nil {
				t.Fatal(err)
			}
			command(t, "truncate", "-s", fs.size, image)
			command(t, mkfs, "-q", image)
			if err := mount(t, image, mnt, fs.mount); err != nil {
				t.Skipf("loop devices are not permitted here: what survives a power cut was not checked: %v", err)
			}
			env := testEnv(t)
			dir := filepath.Join(mnt, "r")
			git(t, env, "", "init", "-q", dir)
			command(t, "sync", "-f", mnt) // the user's own part is on the disk

			trials := 4
			if soak() {
				trials = 20
			}
			p := spawn(t, env, "steps", childConfig{Dir: dir, Prefix: "w"}, nil)
			for i := range trials {
				fmt.Fprintln(p.stdin, "go on")
				p.await(t)
				command(t, "cp", "--sparse=always", image, fmt.Sprint(image, i))
			}
			p.stdin.Close()
			acked := p.wait(t, time.Minute)
			if len(acked) != trials {
				t.Fatalf("%d writes acknowledged, want %d", len(acked), trials)
			}
			// btrfs knows its devices by an id that the copies share.
			command(t, "umount", mnt)
			for i := range trials {
				cut := fmt.Sprint(image, i)
				if err := mount(t, cut, mnt, fs.mount); err != nil {
					t.Fatalf("mount the copy %d: %v", i, err)
				}
				holds(t, env, dir, acked[:i+1])
				sound(t, env, dir)
				s := open(t, env, dir, Options{})
				put(t, s, "afterwards", "x")
				s.Close()
				command(t, "umount", mnt)
				os.Remove(cut)
			}
		})
	}
}

// mount mounts an image through a loop device until the test ends.
func mount(t *testing.T, image, dir, options string) error {
	t.Helper()
	out, err := exec.Command("mount", "-o", "loop,"+options, image, dir).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	t.Cleanup(func() { exec.Command("umount", dir).Run() }) // or it was done before
	return nil
}
