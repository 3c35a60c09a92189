//go:build unix

package gitstore

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// TestKill kills writers at random moments: in half of the runs the writer
// alone, whose git then goes on as an orphan, in the other half its whole
// process group. The next writer must find everything in order by itself.
func TestKill(t *testing.T) {
	t.Parallel()
	// Where a kill can hurt is tried point by point elsewhere (TestKilledInInstall,
	// TestKilledBetweenMerge, TestPowerCut); random moments are as many as
	// is demanded, and more in the soak.
	kills := 200
	switch {
	case soak():
		kills = 10000
	case testing.Short():
		kills = 30
	}
	const lanes = 2
	for lane := range lanes {
		seed := uint64(time.Now().UnixNano()) + uint64(lane)
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			killLane(t, rand.New(rand.NewPCG(seed, 0)), kills/lanes)
		})
	}
}

func killLane(t *testing.T, rnd *rand.Rand, kills int) {
	const fresh = 20 // kills until the next repository, so that first writes are killed too
	env := testEnv(t)
	for first := 0; first < kills; first += fresh {
		dir := newRepo(t, env)
		var acked []string
		for i := first; i < min(first+fresh, kills); i++ {
			p := spawn(t, env, "write", childConfig{Dir: dir, Prefix: fmt.Sprint(i)}, func(cmd *exec.Cmd) {
				cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			})
			if i > first+2 { // the first ones are hit before or in their first write
				p.await(t)
			}
			<-time.After(time.Duration(rnd.IntN(30_000)) * time.Microsecond) // any moment will do
			if i%2 == 0 {
				p.cmd.Process.Kill()
			} else if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL); err != nil {
				t.Errorf("kill the group: %v", err)
			}
			<-p.done
			acked = append(acked, p.output()...)

			start := time.Now()
			name := fmt.Sprintf("after-%d", i)
			put(t, open(t, env, dir, Options{}), name, "x")
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("kill %d: the next writer took %s", i, d)
			}
			acked = append(acked, name)
			noRefLocks(t, dir)
			holds(t, env, dir, acked)
			if t.Failed() {
				return
			}
		}
		sound(t, env, dir)
		noStrays(t, dir)
	}
}

// noRefLocks checks that nothing below refs is locked.
func noRefLocks(t *testing.T, dir string) {
	t.Helper()
	filepath.WalkDir(filepath.Join(dir, ".git", "refs"), func(path string, _ fs.DirEntry, _ error) error {
		if strings.HasSuffix(path, ".lock") {
			data, err := os.ReadFile(path)
			t.Errorf("%s was left: %q, %v", path, data, err)
		}
		return nil
	})
}

// noStrays checks that no temporary file was left where it would stay.
func noStrays(t *testing.T, dir string) {
	t.Helper()
	known := []string{"agentmail", "agentmail/id_ed25519", "agentmail/keep", "agentmail/lock", "agentmail/merging", "agentmail/moving", "agentmail/passed", "agentmail/replica", "agentmail/syncing", "agentmail/tips", "agentmail/tmp"}
	for _, top := range []string{"agentmail", "objects/pack"} {
		filepath.WalkDir(filepath.Join(dir, ".git", filepath.FromSlash(top)), func(path string, d fs.DirEntry, err error) error {
			rel, _ := filepath.Rel(filepath.Join(dir, ".git"), path)
			rel = filepath.ToSlash(rel)
			if top == "agentmail" && !slices.Contains(known, rel) || strings.Contains(filepath.Base(path), "tmp_") {
				t.Errorf("%s was left", rel)
			}
			return nil
		})
	}
}

// TestKilledInInstall stops a writer between the three names of a pack. The next one
// leaves no garbage behind.
func TestKilledInInstall(t *testing.T) {
	t.Parallel()
	for _, there := range [][]string{{".keep"}, {".keep", ".pack"}} {
		env := testEnv(t)
		dir := newRepo(t, env)
		s := open(t, env, dir, Options{})
		put(t, s, "m/1", "x")
		n := &newObjects{}
		n.add(plumbing.BlobObject, []byte("of a write that was killed"))
		sum, err := s.writePack(n)
		if err != nil {
			t.Fatal(err)
		}
		for _, ext := range []string{".keep", ".pack", ".idx"} {
			if !slices.Contains(there, ext) {
				name := "pack-" + sum + ext
				if err := os.Rename(filepath.Join(dir, ".git", "objects", "pack", name), s.repo.dir("tmp", name)); err != nil {
					t.Fatal(err)
				}
			}
		}
		put(t, open(t, env, dir, Options{}), "m/2", "x")
		sound(t, env, dir)
		noStrays(t, dir)
		holds(t, env, dir, []string{"m/1", "m/2"})
	}
}
