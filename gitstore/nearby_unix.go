//go:build unix

package gitstore

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// nearby is Find without a process, for the ordinary case: a directory .git of one's own
// in dir or above it, with a plain configuration. Every command asks where it is, and
// `git rev-parse` was a sixth of the time of an inbox. ok is false for all else, and
// git is asked: then it also says what is wrong.
func nearby(dir string, environ []string) (*Repo, bool) {
	for _, kv := range environ {
		switch name, _, _ := strings.Cut(kv, "="); name {
		case "GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE", "GIT_QUARANTINE_PATH",
			"GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM", "GIT_IMPLICIT_WORK_TREE", "GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT",
			"GIT_INTERNAL_SUPER_PREFIX":
			return nil, false
		}
	}
	real, err := filepath.Abs(dir)
	if err == nil {
		real, err = filepath.EvalSymlinks(real)
	}
	if err != nil {
		return nil, false
	}
	top, ok := workTree(real)
	if !ok {
		return nil, false
	}
	r, ok := fromHook(top, environ)
	if !ok {
		return nil, false
	}
	local, _ := r.localConfig()
	_, own := local["extensions.worktreeconfig"]
	if v, set := local["core.repositoryformatversion"]; set && v != "0" || own {
		return nil, false
	}
	r.Dir = dir
	return r, true
}

// workTree returns the nearest directory from dir upwards in which git would find a
// repository, if that is a directory .git and git would trust it.
func workTree(dir string) (top string, ok bool) {
	here, err := os.Stat(dir)
	if err != nil {
		return "", false
	}
	device := here.Sys().(*syscall.Stat_t).Dev
	for {
		st, err := os.Stat(dir)
		if err != nil || st.Sys().(*syscall.Stat_t).Dev != device {
			return "", false // git does not look into another file system
		}
		git := filepath.Join(dir, ".git")
		switch st, err := os.Lstat(git); {
		case err == nil:
			return dir, st.IsDir() && isGitDir(git) && mine(dir) && mine(git)
		case !os.IsNotExist(err):
			return "", false
		}
		// A bare repository, or the inside of a .git.
		if _, err := os.Lstat(filepath.Join(dir, "HEAD")); err == nil {
			return "", false
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", false
		}
		dir = up
	}
}

// isGitDir reports whether git would take a directory for a repository, if it is an
// ordinary one.
func isGitDir(git string) bool {
	name := filepath.Join(git, "HEAD")
	st, err := os.Lstat(name)
	if err != nil || !st.Mode().IsRegular() {
		return false
	}
	head, err := os.ReadFile(name)
	if err != nil || !strings.HasPrefix(string(head), "ref: refs/") && !isOID(strings.TrimRight(string(head), " \t\r\n")) {
		return false
	}
	for _, dir := range []string{"refs", "objects"} { // git asks whether they can be entered
		if _, err := os.Stat(filepath.Join(git, dir) + "/."); err != nil {
			return false
		}
	}
	_, err = os.Lstat(filepath.Join(git, "reftable"))
	return os.IsNotExist(err)
}

// mine reports whether a file belongs to whoever we are, which is what git trusts
// without being told (safe.directory).
func mine(name string) bool {
	st, err := os.Stat(name)
	return err == nil && int(st.Sys().(*syscall.Stat_t).Uid) == os.Geteuid()
}
