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

func sameRepo(a, b *Repo) bool {
	return a.Dir == b.Dir && a.GitDir == b.GitDir && a.CommonDir == b.CommonDir && a.Objects == b.Objects && a.TopLevel == b.TopLevel &&
		a.Bare == b.Bare && strings.Join(a.env, "\n") == strings.Join(b.env, "\n")
}

// TestNearbyIsGit asks in every directory of every kind of repository where it is: what is
// found without git must be what git says.
func TestNearbyIsGit(t *testing.T) {
	fast := 0
	eachKind(t, func(t *testing.T, env []string, root string, k kind) {
		for _, env := range [][]string{env, k.env} {
			for _, dir := range append(dirsBelow(t, root), k.write, k.read) {
				got, ok := nearby(dir, env)
				if !ok || env == nil {
					continue
				}
				fast++
				if want, err := askWhere(context.Background(), dir, env); err != nil {
					t.Errorf("%s: found by hand, but git says: %v", dir, err)
				} else if !sameRepo(got, want) {
					t.Errorf("%s: read by hand %+v, by git %+v", dir, got, want)
				}
			}
		}
	})
	if fast < 50 {
		t.Errorf("only %d were found without git", fast)
	}
}

func dirsBelow(t *testing.T, root string) (dirs []string) {
	t.Helper()
	if err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			if len(e.Name()) == 2 && filepath.Base(filepath.Dir(path)) == "objects" {
				return filepath.SkipDir
			}
			dirs = append(dirs, path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return dirs
}

// TestNearbyLeavesToGit breaks and bends a repository in ways in which git does not find
// it, or finds another.
func TestNearbyLeavesToGit(t *testing.T) {
	for name, bend := range map[string]func(t *testing.T, env []string, dir string) []string{
		"as it is": nil,
		"HEAD of nonsense": func(t *testing.T, _ []string, dir string) []string {
			writeFile(t, dir+"/.git/HEAD", "nonsense\n")
			return nil
		},
		"HEAD outside refs": func(t *testing.T, _ []string, dir string) []string {
			writeFile(t, dir+"/.git/HEAD", "ref: x\n")
			return nil
		},
		"no HEAD":    func(_ *testing.T, _ []string, dir string) []string { os.Remove(dir + "/.git/HEAD"); return nil },
		"no refs":    func(_ *testing.T, _ []string, dir string) []string { os.RemoveAll(dir + "/.git/refs"); return nil },
		"no objects": func(_ *testing.T, _ []string, dir string) []string { os.RemoveAll(dir + "/.git/objects"); return nil },
		"an empty .git": func(_ *testing.T, _ []string, dir string) []string {
			os.RemoveAll(dir + "/.git")
			os.Mkdir(dir+"/.git", 0o777)
			return nil
		},
		"a later format": func(t *testing.T, env []string, dir string) []string {
			git(t, env, dir, "config", "core.repositoryformatversion", "9")
			return nil
		},
		"an unknown extension": func(t *testing.T, env []string, dir string) []string {
			git(t, env, dir, "config", "extensions.x", "1")
			return nil
		},
		"bare by word": func(t *testing.T, env []string, dir string) []string {
			git(t, env, dir, "config", "core.bare", "yes")
			return nil
		},
		"a work tree elsewhere": func(t *testing.T, env []string, dir string) []string {
			git(t, env, dir, "config", "core.worktree", os.TempDir())
			return nil
		},
		"a ceiling": func(_ *testing.T, env []string, dir string) []string {
			return append(env, "GIT_CEILING_DIRECTORIES="+dir)
		},
		"GIT_DIR": func(_ *testing.T, env []string, dir string) []string { return append(env, "GIT_DIR="+dir+"/.git/none") },
		"settings by environment": func(_ *testing.T, env []string, dir string) []string {
			return append(env, "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=core.bare", "GIT_CONFIG_VALUE_0=true")
		},
		"HEAD of an object behind a blank": func(t *testing.T, _ []string, dir string) []string {
			writeFile(t, dir+"/.git/HEAD", " "+zeroOID+"\n")
			return nil
		},
		"HEAD a link": func(t *testing.T, _ []string, dir string) []string {
			os.Rename(dir+"/.git/HEAD", dir+"/.git/HEAD2")
			os.Symlink("HEAD2", dir+"/.git/HEAD")
			return nil
		},
		"refs a file": func(t *testing.T, _ []string, dir string) []string {
			os.RemoveAll(dir + "/.git/refs")
			writeFile(t, dir+"/.git/refs", "x")
			return nil
		},
		"a work tree without a name": func(t *testing.T, _ []string, dir string) []string {
			writeFile(t, dir+"/.git/config", "[core]\n\tworktree\n")
			return nil
		},
		"a format without a number": func(t *testing.T, _ []string, dir string) []string {
			writeFile(t, dir+"/.git/config", "[core]\n\trepositoryformatversion\n")
			return nil
		},
		"a setting behind its section": func(t *testing.T, _ []string, dir string) []string {
			writeFile(t, dir+"/.git/config", "[core] bare = true # [x]\n")
			return nil
		},
		"a setting before all sections": func(t *testing.T, _ []string, dir string) []string {
			writeFile(t, dir+"/.git/config", "x = 1\n")
			return nil
		},
		"a bad key": func(t *testing.T, _ []string, dir string) []string {
			writeFile(t, dir+"/.git/config", "[core]\n\tba_re = 1\n")
			return nil
		},
		"an open subsection": func(t *testing.T, _ []string, dir string) []string {
			writeFile(t, dir+"/.git/config", "[remote \"x]\n\turl = y\n")
			return nil
		},
		"somebody else's": func(t *testing.T, _ []string, dir string) []string {
			if err := exec.Command("chown", "-R", "12345", dir).Run(); err != nil {
				t.Skip("only root can give files away")
			}
			return nil
		},
		"somebody else's .git": func(t *testing.T, _ []string, dir string) []string {
			if err := os.Chown(dir+"/.git", 12345, -1); err != nil {
				t.Skip("only root can give files away")
			}
			return nil
		},
		"a bare repository in between": func(t *testing.T, env []string, dir string) []string {
			git(t, env, dir, "init", "-q", "--bare", dir+"/a")
			return nil
		},
		"a submodule in between": func(t *testing.T, env []string, dir string) []string {
			writeFile(t, dir+"/a/.git", "gitdir: ../none\n")
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			env := testEnv(t)
			dir := newRepo(t, env)
			if err := os.MkdirAll(filepath.Join(dir, "a", "b"), 0o777); err != nil {
				t.Fatal(err)
			}
			given := env
			if bend != nil {
				if e := bend(t, env, dir); e != nil {
					given = e
				}
			}
			got, ok := nearby(filepath.Join(dir, "a", "b"), given)
			if ok != (bend == nil) {
				t.Errorf("found %v without git", got)
			}
			want, werr := askWhere(context.Background(), filepath.Join(dir, "a", "b"), given)
			found, err := Find(context.Background(), filepath.Join(dir, "a", "b"), given)
			if (err == nil) != (werr == nil) || err == nil && !sameRepo(found, want) || err != nil && err.Error() != werr.Error() {
				t.Errorf("found %v, %v; git says %v, %v", found, err, want, werr)
			}
		})
	}
}
