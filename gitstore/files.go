package gitstore

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
)

// The store's own files in the common git directory.
const (
	dirName   = "agentmail"       // identity, lock, tips: not to be deleted
	cacheName = "agentmail-cache" // may be deleted at any moment
)

// Dir is the directory of the store's own durable files, such as the lock.
func (r *Repo) dir(elem ...string) string {
	return filepath.Join(append([]string{r.CommonDir, dirName}, elem...)...)
}

// CachePath names a file that may be deleted at any moment. Its directory
// exists only once something was written.
func (r *Repo) CachePath(elem ...string) string {
	return filepath.Join(append([]string{r.CommonDir, cacheName}, elem...)...)
}

// perms are the modes for new files and directories under the repository's
// core.sharedRepository.
type perms struct{ file, dir os.FileMode }

func (r *Repo) perms(shared string) perms {
	switch shared {
	case "group", "true", "1":
		return perms{0o660, 0o770 | os.ModeSetgid}
	case "all", "world", "everybody", "2":
		return perms{0o664, 0o775 | os.ModeSetgid}
	}
	if n, err := strconv.ParseUint(shared, 8, 32); err == nil && n > 2 {
		m := os.FileMode(n) & 0o666
		return perms{m, m | m&0o444>>2 | os.ModeSetgid}
	}
	return perms{0, 0} // as the umask says
}

// mkdir makes dir and its parents below the common git directory.
func (p perms) mkdir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := p.mkdir(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return p.apply(dir, p.dir)
}

func (p perms) apply(name string, mode os.FileMode) error {
	if mode == 0 || runtime.GOOS == "windows" {
		return nil
	}
	return os.Chmod(name, mode)
}

// write replaces the file name in one step: whoever reads it sees the old bytes
// or the new. With sync the new bytes also survive a power cut. The new file is
// made in tmp: what a killed process leaves there, the next writer removes.
func (p perms) write(tmp, name string, data []byte, sync bool) (err error) {
	for _, dir := range []string{tmp, filepath.Dir(name)} {
		if err := p.mkdir(dir); err != nil {
			return err
		}
	}
	f, err := os.CreateTemp(tmp, ".tmp-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(data)
	if err == nil && sync {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		mode := p.file
		if mode == 0 {
			mode = 0o644 // CreateTemp makes 0600
		}
		err = os.Chmod(f.Name(), mode)
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err == nil && sync {
		err = syncDir(filepath.Dir(name))
	}
	return err
}

// syncDir makes names in dir survive a power cut. Without it a renamed file, or
// a moved ref, is lost on ext4, xfs and btrfs.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // a directory cannot be opened for this; NTFS journals names
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

func syncFile(f *os.File) error {
	err := f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

func readJSON(name string, v any) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}

// writable turns a failed write into an error that says what to do about it.
func (r *Repo) writeError(doing string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return errf(ReadOnly, "%s: the git directory %q cannot be written by this process; nothing was written: %w", doing, r.CommonDir, err)
	case errors.Is(err, syscall.ENOSPC):
		return errf(GitFailed, "%s: the disk is full; nothing was written: %w", doing, err)
	}
	return errf(GitFailed, "%s: %w", doing, err)
}
