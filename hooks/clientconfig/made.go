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
// note of them. What cannot be removed stays, as does what filled up meanwhile.
func (o Options) unmake() {
	list := o.made()
	if len(list) == 0 {
		return
	}
	var left []string
	slices.SortFunc(list, func(a, b string) int { return len(b) - len(a) })
	for _, dir := range list {
		if !within(o.Made, []string{dir}) && gone(dir) {
			continue
		}
		left = append(left, dir)
	}
	if slices.ContainsFunc(left, func(dir string) bool { return !within(o.Made, []string{dir}) }) {
		os.WriteFile(o.Made, append(encode(left), '\n'), 0o666)
		return
	}
	os.Remove(o.Made)
	for _, dir := range left { // those of the note itself
		os.Remove(dir)
	}
}

func gone(dir string) bool {
	err := os.Remove(dir)
	return err == nil || errors.Is(err, fs.ErrNotExist)
}
