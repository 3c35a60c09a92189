package gitstore

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// The store's own files in the common git directory.
const (
	dirName   = "agentmail"       // identity, lock, tips: not to be deleted
	cacheName = "agentmail-cache" // may be deleted at any moment
)

// dir names one of the store's own durable files, such as the lock.
func (r *Repo) dir(elem ...string) string {
	return filepath.Join(append([]string{r.CommonDir, dirName}, elem...)...)
}

// CachePath names a file that may be deleted at any moment. Its directory
// exists only once something was written.
func (r *Repo) CachePath(elem ...string) string {
	return filepath.Join(append([]string{r.CommonDir, cacheName}, elem...)...)
}

// sharing is what core.sharedRepository asks of new files and directories, as git
// does it itself: a word adds bits to what the umask leaves, a number replaces it.
// The zero value is the umask alone.
type sharing struct {
	bits  fs.FileMode
	exact bool
}

func parseSharing(v string) sharing {
	group, all := sharing{bits: 0o660}, sharing{bits: 0o664}
	switch v = strings.ToLower(v); v {
	case "", "umask", "false", "no", "off":
		return sharing{}
	case "group", "true", "yes", "on":
		return group
	case "all", "world", "everybody":
		return all
	}
	n, err := strconv.ParseUint(v, 8, 32)
	switch {
	case err != nil || n == 0:
		return sharing{}
	case n == 1:
		return group
	case n == 2:
		return all
	}
	return sharing{fs.FileMode(n) & 0o666, true}
}

// Mode returns the mode for a file or directory that was made with mode m.
func (sh sharing) Mode(m fs.FileMode) fs.FileMode {
	if sh.bits == 0 {
		return m
	}
	bits := sh.bits
	if m&0o200 == 0 {
		bits &^= 0o222
	}
	if m.IsDir() || m&0o100 != 0 {
		bits |= bits & 0o444 >> 2
	}
	perm := m.Perm() | bits
	if sh.exact {
		perm = bits
	}
	if m.IsDir() && sh.bits&0o060 != 0 {
		return perm | fs.ModeSetgid
	}
	return perm
}

// apply gives a file or directory that was just made its mode.
func (sh sharing) apply(name string) error {
	if sh.bits == 0 || runtime.GOOS == "windows" {
		return nil
	}
	st, err := os.Stat(name)
	if err != nil {
		return err
	}
	return os.Chmod(name, sh.Mode(st.Mode()))
}

// mkdir makes dir and its parents below the common git directory. What is there
// keeps its mode: it may belong to somebody else.
func (sh sharing) mkdir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := sh.mkdir(filepath.Dir(dir)); err != nil {
		return err
	}
	err := os.Mkdir(dir, 0o777)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return sh.apply(dir)
}

// write replaces the file name in one step: whoever reads it sees the old bytes
// or the new. With sync the new bytes also survive a power cut. The new file is
// made in tmp first; what a killed process leaves there is clearTemp's to remove.
func (sh sharing) write(tmp, name string, data []byte, sync bool) (err error) {
	for _, dir := range []string{tmp, filepath.Dir(name)} {
		if err := sh.mkdir(dir); err != nil {
			return err
		}
	}
	return sh.replace(tmp, name, data, sync)
}

// replace is write where the directories must be there.
func (sh sharing) replace(tmp, name string, data []byte, sync bool) (err error) {
	f, err := createTemp(tmp, 0o666)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if !sync {
		allocate(f, len(data))
	}
	_, err = f.Write(data)
	if err == nil && sync {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = sh.apply(f.Name())
	}
	if err == nil {
		likeBefore(f.Name(), name)
		err = os.Rename(f.Name(), name)
	}
	if err == nil && sync {
		err = syncDir(filepath.Dir(name))
	}
	return err
}

const tempPrefix = ".tmp-"

// createTemp is os.CreateTemp with the mode that the umask leaves.
func createTemp(dir string, mode fs.FileMode) (*os.File, error) {
	for {
		f, err := os.OpenFile(filepath.Join(dir, tempPrefix+NewID(cryptoRand)), os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
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

// writeError turns a failed write into an error that says what to do about it.
func (r *Repo) writeError(doing string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return errf(ReadOnly, "%s: the git directory %q cannot be written by this process; nothing was written: %w", doing, r.CommonDir, err)
	case errors.Is(err, syscall.ENOSPC):
		return errf(GitFailed, "%s: the disk is full; nothing was written: %w", doing, err)
	}
	return errf(GitFailed, "%s: %w", doing, err)
}
