//go:build unix

package gitstore

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestRefused opens what we cannot write safely: one clear error, nothing
// touched.
func TestRefused(t *testing.T) {
	env := testEnv(t)
	extension := func(name, value string) func(t *testing.T, root string) (string, []string) {
		return func(t *testing.T, root string) (string, []string) {
			dir := newRepo(t, env)
			git(t, env, dir, "config", "core.repositoryformatversion", "1")
			git(t, env, dir, "config", "extensions."+name, value)
			return dir, env
		}
	}
	for _, c := range []struct {
		name string
		make func(t *testing.T, root string) (string, []string)
		kind Kind
		says string
	}{
		{"no repository", func(t *testing.T, root string) (string, []string) { return root, env }, NotRepository, "not inside a git repository"},
		{"no directory", func(t *testing.T, root string) (string, []string) { return filepath.Join(root, "none"), env }, "", "none"},
		{"sha256", func(t *testing.T, root string) (string, []string) {
			git(t, env, root, "init", "-q", "--object-format=sha256")
			return root, env
		}, Unsupported, "sha256"},
		{"reftable", extension("refStorage", "reftable"), Unsupported, "refstorage"},
		{"relative worktrees", func(t *testing.T, root string) (string, []string) {
			if v, _ := GitVersion(context.Background()); AtLeast(v, "2.48") {
				t.Skip("this git knows the extension")
			}
			return extension("relativeWorktrees", "true")(t, root)
		}, Unsupported, "relativeworktrees"},
		{"unknown extension", extension("fromTheFuture", "true"), Unsupported, "fromthefuture"},
		{"format 99", func(t *testing.T, root string) (string, []string) {
			dir := newRepo(t, env)
			git(t, env, dir, "config", "core.repositoryformatversion", "99")
			return dir, env
		}, Unsupported, "99"},
		{"broken link", func(t *testing.T, root string) (string, []string) { // inside another repository (T13)
			git(t, env, root, "init", "-q")
			writeFile(t, filepath.Join(root, "sub", ".git"), "gitdir: ../.git/worktrees/gone\n")
			return filepath.Join(root, "sub"), env
		}, NotRepository, ".git"},
		{"of another user", func(t *testing.T, root string) (string, []string) {
			if os.Getuid() != 0 {
				t.Skip("only root can give files away")
			}
			git(t, env, root, "init", "-q")
			command(t, "chown", "-R", "65534", root)
			return root, env
		}, NotRepository, "belongs to another user"},
		{"no git", func(t *testing.T, root string) (string, []string) { return root, env }, Unsupported, "not on PATH"},
		{"old git", func(t *testing.T, root string) (string, []string) { return newRepo(t, env), env }, Unsupported, "2.35"},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			dir, env := c.make(t, root)
			switch c.name {
			case "no git":
				t.Setenv("PATH", root)
			case "old git": // a git that lacks what came with 2.36
				real, err := exec.LookPath("git")
				if err != nil {
					t.Fatal(err)
				}
				writeFile(t, filepath.Join(root, "git"), `#!/bin/sh
case " $* " in
*" version "*) echo git version 2.35.8; exit;;
*" --batch-command "*) echo "error: unknown option batch-command" >&2; exit 129;;
esac
exec `+real+` "$@"
`)
				os.Chmod(filepath.Join(root, "git"), 0o755)
				t.Setenv("PATH", root+":"+os.Getenv("PATH"))
			}
			before := map[string]string{}
			if _, err := os.Stat(dir); err == nil {
				before = treeHash(t, dir)
			}
			repo, err := Find(context.Background(), dir, env)
			if err == nil {
				s := Open(repo, Options{})
				defer s.Close()
				_, err = s.Update(context.Background(), func(tx *Tx) (CommitInfo, error) {
					return CommitInfo{Subject: "s"}, tx.Create("a", nil)
				})
			}
			if err == nil || KindOf(err) != c.kind && c.kind != "" || !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(c.says)) {
				t.Errorf("error %v of kind %q, want %q that says %q", err, KindOf(err), c.kind, c.says)
			}
			if len(before) > 0 {
				sameTree(t, "after the refusal", before, treeHash(t, dir))
			}
		})
	}
}

// TestEnvironment compares the variables that are dropped with git's own list.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	for name := range strings.FieldsSeq(git(t, testEnv(t), "", "rev-parse", "--local-env-vars")) {
		kept := name == "GIT_CONFIG_PARAMETERS" || name == "GIT_CONFIG_COUNT"
		if repoEnv[name] == kept {
			t.Errorf("%s: dropped %v, want %v", name, repoEnv[name], !kept)
		}
	}
	env := strings.Join(ownEnv([]string{"GIT_DIR=/x", "GIT_INDEX_FILE=/y", "GIT_SSH_COMMAND=z", "GIT_CONFIG_COUNT=1", "NOEQUALS"}, "/repo"), "\n")
	for _, want := range []string{"GIT_DIR=/repo", "GIT_SSH_COMMAND=z", "GIT_CONFIG_COUNT=1"} {
		if !strings.Contains(env, want) {
			t.Errorf("%s is not in %q", want, env)
		}
	}
	if strings.Contains(env, "/x") || strings.Contains(env, "/y") {
		t.Errorf("the user's directory or index is in %q", env)
	}
}
