//go:build unix

package gitstore

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSharing compares the modes that we ask for with those of what git makes under
// the same setting and umask.
func TestSharing(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	mode := func(file string) fs.FileMode {
		st, err := os.Lstat(file)
		if err != nil {
			t.Fatal(err)
		}
		return st.Mode() & (fs.ModePerm | fs.ModeSetgid)
	}
	for _, setting := range []string{"umask", "group", "true", "yes", "1", "all", "world", "everybody", "2", "0600", "0640", "0660", "0664", "0644", "false", "0"} {
		for _, mask := range []fs.FileMode{0o022, 0o077, 0o002, 0o027} {
			dir := t.TempDir()
			cmd := exec.Command("sh", "-c", fmt.Sprintf(`umask %04o && git init -q r && cd r && git config core.sharedRepository %s &&
				echo x | git hash-object -w --stdin && git update-ref refs/a/b "$(git commit-tree -m x "$(git write-tree)" < /dev/null)"`, mask, setting))
			cmd.Dir, cmd.Env = dir, append(env, "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@x", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@x")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v", out, err)
			}
			sh, r := parseSharing(setting), filepath.Join(dir, "r", ".git")
			for _, c := range []struct {
				file string
				made fs.FileMode
			}{
				{"refs/a", fs.ModeDir | 0o777},
				{"refs/a/b", 0o666},
				{"objects/58/7be6b4c3f93f93c489c0111bba5596147a26cb", 0o444},
			} {
				if got, want := sh.Mode(c.made&^mask)&^fs.ModeDir, mode(filepath.Join(r, c.file)); got != want {
					t.Errorf("%s, umask %04o, %s: %v, git makes %v", setting, mask, c.file, got, want)
				}
			}
		}
	}
}

// TestSharedModes checks the modes of all that we make under each setting of
// core.sharedRepository against those of what git makes.
func TestSharedModes(t *testing.T) {
	for _, c := range []struct {
		setting         string
		dir, file, pack fs.FileMode // bits that must be set
		not             fs.FileMode // bits that must not be
	}{
		{"umask", 0o700, 0o600, 0o400, 0},
		{"group", fs.ModeSetgid | 0o770, 0o660, 0o440, 0},
		{"true", fs.ModeSetgid | 0o770, 0o660, 0o440, 0},
		{"all", fs.ModeSetgid | 0o775, 0o664, 0o444, 0o002},
		{"0640", fs.ModeSetgid | 0o750, 0o640, 0o440, 0o027},
		{"0660", fs.ModeSetgid | 0o770, 0o660, 0o440, 0o007},
	} {
		t.Run(c.setting, func(t *testing.T) {
			t.Parallel()
			env := testEnv(t)
			dir := filepath.Join(t.TempDir(), "r")
			git(t, env, "", "init", "-q", "--shared="+c.setting, dir)
			before := treeHash(t, dir)
			s := open(t, env, dir, Options{})
			for i := range MaxPacks + 2 {
				put(t, s, fmt.Sprintf("m/%d", i), "x")
			}
			s.WriteCache("leases.json", []byte("{}"))
			if err := s.SaveCursor("x", ""); err != nil {
				t.Fatal(err)
			}
			if err := s.SetUp("init.json", []byte("{}")); err != nil {
				t.Fatal(err)
			}
			n := 0
			for name := range treeHash(t, dir) {
				if _, old := before[name]; old {
					continue
				}
				st, err := os.Lstat(filepath.Join(dir, name))
				if err != nil {
					t.Fatal(err)
				}
				want := c.file
				switch {
				case st.IsDir():
					want = c.dir
				case strings.Contains(name, "objects/pack"), strings.HasSuffix(name, "agentmail/keep"):
					want = c.pack
				}
				mode := st.Mode() & (fs.ModePerm | fs.ModeSetgid)
				not := c.not
				if strings.HasSuffix(name, keyFile) { // nobody reads it who cannot write
					want, not = want&0o770, 0o007
				}
				if mode&want != want || mode&not != 0 && !strings.Contains(name, "objects/pack") {
					t.Errorf("%s has mode %s, want at least %s and none of %s", name, mode, want, not)
				}
				n++
			}
			if n < 15 {
				t.Errorf("only %d new files", n)
			}
		})
	}
}

// TestSharedUsers lets two users of one group write in turn and at once.
func TestSharedUsers(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can be two users")
	}
	const group = 54321
	p := newPlace(t)
	env := append(p.env, "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*")
	dir := filepath.Join(p.dir, "r")
	as := func(uid uint32) func(*exec.Cmd) {
		return func(cmd *exec.Cmd) {
			if cmd.Path != "" && !strings.HasSuffix(cmd.Path, "git") {
				cmd.Path = p.exe
			}
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: group}}
		}
	}
	command(t, "chmod", "777", p.dir)
	init := exec.Command("git", "init", "-q", "--shared=group", dir)
	init.Env = env
	as(nobody)(init)
	if out, err := init.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var acked []string
	for i := range 4 { // in turn
		acked = append(acked, spawn(t, env, "write", childConfig{Dir: dir, Prefix: fmt.Sprint("turn", i), Count: 1}, as(nobody-uint32(i%2))).wait(t, time.Minute)...)
	}
	var procs []*proc
	for i := range 4 { // at once, with packs of the other to merge
		procs = append(procs, spawn(t, env, "write", childConfig{Dir: dir, Prefix: fmt.Sprint("once", i), Count: MaxPacks / 2}, as(nobody-uint32(i%2))))
	}
	for _, p := range procs {
		acked = append(acked, p.wait(t, time.Minute)...)
	}
	holds(t, env, dir, acked)
	sound(t, env, dir)
}
