package githook

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/git-agentmail/git-agentmail/mail"
)

// edit is a change with all that is needed to make it.
type edit struct {
	Change
	old     hook
	data    []byte                        // what the file will hold
	newMode func(fs.FileMode) fs.FileMode // see Options.Mode
	mkdir   bool                          // the directory is made first
}

func (e edit) keep(note string) edit {
	e.Action, e.Note = Keep, note
	return e
}

func changes(edits []edit) []Change {
	list := make([]Change, len(edits))
	for i, e := range edits {
		list[i] = e.Change
	}
	return list
}

// apply makes the changes in order and returns those made.
func apply(edits []edit) ([]Change, error) {
	var done []Change
	var written []string
	for _, e := range edits {
		if err := e.apply(); err != nil {
			me := mail.AsError(err)
			if len(written) == 0 {
				me.Message += "; nothing was changed"
			} else {
				me.Message += "; changed before it: " + strings.Join(written, ", ")
			}
			return done, me
		}
		done = append(done, e.Change)
		if e.Action != Keep && e.Action != Refuse {
			written = append(written, filepath.Base(e.File))
		}
	}
	return done, nil
}

func (e edit) apply() error {
	switch e.Action {
	case Create, Insert, Replace, Remove:
		if e.mkdir {
			if err := os.Mkdir(filepath.Dir(e.File), 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
				return fileError("make", filepath.Dir(e.File), err)
			}
		}
		return e.write()
	case Delete:
		if e.Event == "" {
			os.Remove(e.File) // a directory that has filled meanwhile stays
			return nil
		}
		var err error
		if e.old.exists {
			err = e.unchanged()
		}
		if err == nil {
			err = os.Remove(e.File)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fileError("remove", e.File, err)
		}
	}
	return nil
}

// write puts the new contents in place by a rename in the same directory, so
// that git never runs half a hook. The contents are on disk before the rename,
// so that no crash leaves an empty file where a hook of the user's was.
func (e edit) write() error {
	perm := fs.FileMode(0o755)
	if e.old.exists {
		perm = 0o600
	}
	f, err := create(e.File, perm)
	if err != nil {
		return fileError("write", e.File, err)
	}
	defer os.Remove(f.Name()) // after the rename there is nothing under this name
	_, err = f.Write(e.data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	switch {
	case err != nil:
	case e.old.exists:
		err = os.Chmod(f.Name(), e.old.mode)
	case e.newMode != nil:
		var info fs.FileInfo
		if info, err = os.Stat(f.Name()); err == nil {
			err = os.Chmod(f.Name(), e.newMode(info.Mode()))
		}
	}
	if err == nil {
		err = e.unchanged()
	}
	if err == nil {
		err = os.Rename(f.Name(), e.File)
	}
	if err != nil {
		return fileError("write", e.File, err)
	}
	return nil
}

// create makes a temporary file beside the target. It is not os.CreateTemp
// because a new hook shall have the mode that the umask leaves.
func create(target string, perm fs.FileMode) (*os.File, error) {
	for i := 0; ; i++ {
		name := fmt.Sprintf("%s%d-%d", temporary(target), os.Getpid(), i)
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
		if i == 100 || !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
}

// temporary is how the names of the temporary files for target begin.
func temporary(target string) string {
	return filepath.Join(filepath.Dir(target), "."+filepath.Base(target)+".agentmail-")
}

// unchanged makes sure that nobody wrote the hook since we read it. What is
// left of the race is the moment until the rename.
func (e edit) unchanged() error {
	info, err := os.Lstat(e.File)
	if !e.old.exists && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && e.old.exists && info.Mode() == e.old.mode {
		var now []byte
		if now, err = os.ReadFile(e.File); err == nil && bytes.Equal(now, e.old.data) {
			return nil
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return mail.Errorf(mail.Busy, "cannot change %q: somebody else changed it at the same time", e.File)
}

// fileError says what could not be done to a file. What the file system forbids
// is a refusal, anything else a fault.
func fileError(verb, file string, err error) error {
	var me *mail.Error
	if errors.As(err, &me) {
		return me
	}
	code := mail.Internal
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		code = mail.Denied
	}
	why := err.Error()
	var pe *fs.PathError
	var le *os.LinkError
	if errors.As(err, &pe) {
		why = pe.Err.Error()
	} else if errors.As(err, &le) {
		why = le.Err.Error()
	}
	me = mail.Errorf(code, "cannot %s %q: %s", verb, file, why).Hint("ls -ld %s", shQuote(filepath.Dir(file)))
	me.Err = err
	return me
}
