//go:build unix

package gitstore

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nobody is the user as whom things are tried that root may do anyway.
const nobody = 65534

// A place is a directory that another user can reach, with a way to run
// commands and children as that user, or as ourselves where we are not root.
type place struct {
	dir, exe string
	env      []string
	as       func(*exec.Cmd)
}

func newPlace(t *testing.T) *place {
	t.Helper()
	dir, err := os.MkdirTemp("", "gitstore-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		exec.Command("chmod", "-R", "u+rwx", dir).Run()
		os.RemoveAll(dir)
	})
	p := &place{dir: dir, exe: filepath.Join(dir, "child"), as: func(*exec.Cmd) {}}
	self, err := childExe()
	if err != nil {
		t.Fatal(err)
	}
	command(t, "cp", self, p.exe) // it lies where only we may look
	for _, v := range testEnv(t) {
		if !strings.HasPrefix(v, "HOME=") {
			p.env = append(p.env, v)
		}
	}
	p.env = append(p.env, "HOME="+dir)
	if os.Getuid() == 0 {
		command(t, "chown", "-R", fmt.Sprint(nobody, ":", nobody), dir)
		p.as = func(cmd *exec.Cmd) {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		}
	}
	return p
}

// run runs a command as that user.
func (p *place) run(t testing.TB, dir, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = dir, p.env
	p.as(cmd)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (p *place) must(t testing.TB, dir, name string, args ...string) string {
	t.Helper()
	out, err := p.run(t, dir, name, args...)
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return out
}

func (p *place) spawn(t testing.TB, mode string, c childConfig) *proc {
	t.Helper()
	return spawn(t, p.env, mode, c, func(cmd *exec.Cmd) {
		cmd.Path = p.exe
		p.as(cmd)
	})
}

// repo makes a repository of that user's with n files in the store.
func (p *place) repo(t testing.TB, n int) string {
	t.Helper()
	dir := filepath.Join(p.dir, "r")
	p.must(t, p.dir, "git", "init", "-q", "-b", "main", dir)
	p.must(t, dir, "git", "-c", "user.name=U", "-c", "user.email=u@x", "commit", "-q", "--allow-empty", "-m", "one")
	if n > 0 {
		p.spawn(t, "write", childConfig{Dir: dir, Prefix: "before", Count: n}).wait(t, time.Minute)
	}
	return dir
}

// fails lets a child write, which must fail with the kind in less than a
// second, and returns what it said.
func (p *place) fails(t testing.TB, dir string, kind Kind) string {
	t.Helper()
	c := p.spawn(t, "write", childConfig{Dir: dir, Prefix: "never", Count: 1, Wait: 5 * time.Second})
	start := time.Now()
	<-c.done
	took := time.Since(start)
	out := strings.Join(c.output(), "\n")
	if !strings.HasPrefix(out, "kind="+string(kind)+" ") {
		t.Errorf("the write ended with %q, want kind %q", out, kind)
	}
	if took > time.Second {
		t.Errorf("the write failed only after %s", took)
	}
	return out
}

// TestReadOnly makes parts of a git directory read-only in several ways.
func TestReadOnly(t *testing.T) {
	for _, c := range []struct {
		name  string
		files int
		lock  func(t *testing.T, p *place, dir string)
	}{
		{"all", 2, func(t *testing.T, p *place, dir string) { p.must(t, dir, "chmod", "-R", "a-w", ".git") }},
		{"all, never set up", 0, func(t *testing.T, p *place, dir string) { p.must(t, dir, "chmod", "-R", "a-w", ".git") }},
		{"mailbox", 2, func(t *testing.T, p *place, dir string) { p.must(t, dir, "chmod", "-R", "a-w", ".git/agentmail") }},
		{"objects", 2, func(t *testing.T, p *place, dir string) { p.must(t, dir, "chmod", "-R", "a-w", ".git/objects") }},
		{"refs", 2, func(t *testing.T, p *place, dir string) { p.must(t, dir, "chmod", "-R", "a-w", ".git/refs") }},
		{"our refs", 2, func(t *testing.T, p *place, dir string) { p.must(t, dir, "chmod", "-R", "a-w", ".git/refs/agentmail") }},
		{"refs, never set up", 0, func(t *testing.T, p *place, dir string) { p.must(t, dir, "chmod", "-R", "a-w", ".git/refs") }},
		{"reflogs", 2, func(t *testing.T, p *place, dir string) { p.must(t, dir, "chmod", "-R", "a-w", ".git/logs") }},
		{"other user's", 2, func(t *testing.T, p *place, dir string) {
			if os.Getuid() != 0 {
				t.Skip("only root can give files away")
			}
			command(t, "chown", "-R", "0:0", dir)
			p.env = append(p.env, "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*")
		}},
		{"read-only mount", 2, func(t *testing.T, p *place, dir string) {
			if os.Getuid() != 0 {
				t.Skip("only root can mount")
			}
			git := filepath.Join(dir, ".git")
			if out, err := exec.Command("mount", "--bind", git, git).CombinedOutput(); err != nil {
				t.Skipf("cannot mount here: %s", out)
			}
			t.Cleanup(func() { command(t, "umount", git) })
			command(t, "mount", "-o", "remount,bind,ro", git)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			dir := p.repo(t, c.files)
			c.lock(t, p, dir)
			before := treeHash(t, dir)
			said := p.fails(t, dir, ReadOnly)
			if !strings.Contains(said, "cannot be written") || !strings.Contains(said, filepath.Join(dir, ".git")) {
				t.Errorf("the message does not say what cannot be written: %s", said)
			}
			r := p.spawn(t, "list", childConfig{Dir: dir})
			if got := r.wait(t, time.Minute); len(got) != 2*c.files {
				t.Errorf("read %q, want %d files", got, 2*c.files)
			}
			if c.name == "all" || c.name == "other user's" || c.name == "read-only mount" {
				sameTree(t, "after a failed write", before, treeHash(t, dir))
			}
			if c.name != "other user's" && c.name != "read-only mount" { // the way back
				p.must(t, dir, "chmod", "-R", "u+w", ".git")
				p.spawn(t, "write", childConfig{Dir: dir, Prefix: "after", Count: 1}).wait(t, time.Minute)
				if out := p.must(t, dir, "git", "fsck", "--strict", "--no-dangling"); out != "" {
					t.Errorf("fsck: %s", out)
				}
			}
		})
	}
}

// TestForbidden takes all rights from our folders: no answer of ours may be "no
// mail", and the user's git goes on without a word.
func TestForbidden(t *testing.T) {
	for _, c := range []struct {
		path  string
		reads bool
	}{
		{"agentmail", false}, {"agentmail-cache", true}, {"refs/agentmail", false}, {"refs/agentmail/log", false}, {"logs/refs/agentmail", true},
	} {
		t.Run(c.path, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			dir := p.repo(t, 3)
			p.must(t, dir, "mkdir", "-p", ".git/agentmail-cache")
			up := filepath.Join(p.dir, "up")
			p.must(t, p.dir, "git", "clone", "-q", "r", "up")
			p.must(t, dir, "git", "remote", "add", "origin", up)
			p.must(t, dir, "chmod", "000", ".git/"+c.path)
			for i, args := range [][]string{
				{"fetch", "-q"}, {"gc", "-q", "--prune=now"}, {"fsck", "--strict", "--no-dangling"}, {"repack", "-q", "-a", "-d"}, {"status", "-s"},
				{"-c", "user.name=U", "-c", "user.email=u@x", "commit", "-q", "--allow-empty", "-m", "x"}, {"pull", "-q", "--no-rebase", "origin", "main"},
				{"pack-refs", "--all"}, {"push", "-q", "origin", "HEAD:other"}, {"gc", "-q", "--aggressive", "--prune=now"},
			} {
				out, err := p.run(t, dir, "git", args...)
				if strings.Contains(c.path, "refs") { // git may name what it cannot read
					lines := strings.Split(out, "\n")
					out = strings.Join(slices.DeleteFunc(lines, func(l string) bool {
						return strings.Contains(l, "refs/agentmail") || l == "error: failed to run reflog"
					}), "\n")
				}
				if err != nil || out != "" {
					t.Errorf("the user's git %q (%d): %v, it said %q", args, i, err, out)
				}
			}
			r := p.spawn(t, "list", childConfig{Dir: dir})
			<-r.done
			if got := r.output(); c.reads && len(got) != 6 {
				t.Errorf("read %q, want 6 files", got)
			} else if !c.reads && (len(got) != 1 || !strings.HasPrefix(got[0], "kind="+string(ReadOnly))) {
				t.Errorf("read %q, want an error of kind %q", got, ReadOnly)
			}
			p.must(t, dir, "chmod", "755", ".git/"+c.path)
			if got := p.spawn(t, "list", childConfig{Dir: dir}).wait(t, time.Minute); len(got) != 6 {
				t.Errorf("afterwards read %q, want 6 files", got)
			}
			p.spawn(t, "write", childConfig{Dir: dir, Prefix: "after", Count: 1}).wait(t, time.Minute)
		})
	}
}

// TestFullDisk fills a small file system to every degree. A write succeeds
// whole or fails whole, and works again once there is room.
func TestFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can mount a small file system: the full disk was not tried")
	}
	mnt := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", mnt).CombinedOutput(); err != nil {
		t.Skipf("cannot mount here: the full disk was not tried: %s", out)
	}
	t.Cleanup(func() { command(t, "umount", "-l", mnt) })
	env := testEnv(t)
	dir := filepath.Join(mnt, "r")
	git(t, env, "", "init", "-q", "--template=", dir)
	s := open(t, env, dir, Options{LockWait: time.Second})
	put(t, s, "first", "1")
	want := 1
	fill := filepath.Join(mnt, "fill")
	failures := 0
	for free := 0; free <= 24; free++ { // pages of 4 KB
		for size := 1 << 20; size > 0; { // take all there is
			f, err := os.OpenFile(fill, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
			if err != nil {
				t.Fatal(err)
			}
			n, err := f.Write(make([]byte, size))
			f.Close()
			if n == 0 && err != nil {
				size = 0
			}
		}
		st, err := os.Stat(fill)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(fill, (st.Size()/4096-int64(free))*4096); err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprintf("m/%d", free)
		_, err = s.Update(context.Background(), func(tx *Tx) (CommitInfo, error) {
			return CommitInfo{Subject: "s"}, tx.Create(name, make([]byte, 2000))
		})
		if err == nil {
			want++
		} else {
			failures++
			if KindOf(err) != GitFailed || !strings.Contains(err.Error(), "space") && !strings.Contains(err.Error(), "full") && !strings.Contains(err.Error(), "couldn't write") {
				t.Errorf("%d pages free: %v (%s)", free, err, KindOf(err))
			}
		}
		if got := contents(t, env, dir); len(got) != want || (got[name] != "") != (err == nil) {
			t.Errorf("%d pages free: %d files, want %d; error %v", free, len(got), want, err)
		}
		os.Remove(fill)
	}
	t.Logf("%d of 25 writes failed", failures)
	if failures == 0 {
		t.Errorf("the disk was never full")
	}
	put(t, s, "last", "1")
	sound(t, env, dir)
	noRefLocks(t, dir)
	noStrays(t, dir)
}
