package clientconfig

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

var errReadOnly = syscall.EROFS

// rest makes the name of a temporary file this process's own.
func rest() string { return strconv.Itoa(os.Getpid()) }

// makeDir makes a directory and those above it, and notes which were not there: an empty
// one tells nobody whose it is.
func (o Options) makeDir(dir string) error {
	var missing []string
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(at); !errors.Is(err, fs.ErrNotExist) {
			if err != nil {
				return err
			}
			break
		}
		missing = append(missing, at)
		if at == filepath.Dir(at) {
			break
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if o.Made != "" {
		list := o.made()
		if !within(o.Made, missing) {
			if err := o.makeDir(filepath.Dir(o.Made)); err != nil {
				return err
			}
			list = o.made()
		}
		for _, dir := range missing {
			if !slices.Contains(list, dir) {
				list = append(list, dir)
			}
		}
		if err := os.MkdirAll(filepath.Dir(o.Made), 0o777); err != nil {
			return err
		}
		if err := os.WriteFile(o.Made, append(encode(list), '\n'), 0o666); err != nil {
			return err
		}
	}
	return os.MkdirAll(dir, 0o777)
}

// within reports whether a path lies below one of the directories.
func within(path string, dirs []string) bool {
	for at := filepath.Dir(path); at != filepath.Dir(at); at = filepath.Dir(at) {
		if slices.Contains(dirs, at) {
			return true
		}
	}
	return false
}

// made returns the directories that setup has made.
func (o Options) made() []string {
	var list []string
	if data, err := os.ReadFile(o.Made); err == nil {
		json.Unmarshal(data, &list)
	}
	return list
}

// unmake removes the directories that setup has made and that are empty again, and the
// note of them. One that the user has put files in is the user's from now on.
func (o Options) unmake() {
	list := o.made()
	if len(list) == 0 {
		return
	}
	var ours []string // files that others of our clients still need
	for _, name := range Clients() {
		for _, f := range o.files(name) {
			if has(f) {
				ours = append(ours, f.path)
			}
		}
	}
	slices.SortFunc(list, func(a, b string) int { return len(b) - len(a) })
	list = slices.DeleteFunc(list, func(dir string) bool {
		holds := func(path string) bool { return within(path, []string{dir}) }
		return !holds(o.Made) && (gone(dir) || within(dir, []string{o.root()}) && !slices.ContainsFunc(ours, holds))
	})
	if slices.ContainsFunc(list, func(dir string) bool { return !within(o.Made, []string{dir}) }) {
		os.WriteFile(o.Made, append(encode(list), '\n'), 0o666)
		return
	}
	os.Remove(o.Made)
	for _, dir := range list { // those of the note itself
		os.Remove(dir)
	}
}

// root is the directory that this scope's files lie below. The note may name those of
// other work trees too.
func (o Options) root() string {
	if o.Root != "" {
		return o.Root
	}
	return o.Home
}

func gone(dir string) bool {
	err := os.Remove(dir)
	return err == nil || errors.Is(err, fs.ErrNotExist)
}
