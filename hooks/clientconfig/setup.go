package clientconfig

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/git-agentmail/git-agentmail/mail"
)

// Change is what is done to a file, or would be.
type Change struct {
	Clients []string `json:"clients"`
	Action  string   `json:"action"` // create, insert, keep, remove, delete
	Path    string   `json:"path"`
	What    []string `json:"what"`           // server NAME, hook EVENT, plugin
	Shared  bool     `json:"shared"`         // the repository shares the file, once it is committed
	Diff    string   `json:"diff,omitempty"` // which lines go and come
}

// Result is what was done, or would be.
type Result struct {
	Changes []Change `json:"changes"`
	Notes   []string `json:"notes"`
	DryRun  bool     `json:"dry_run"`
}

// Setup puts the server and the hooks into the configuration of the named clients. Doing
// it again changes nothing.
func Setup(o Options, names []string) (Result, error) {
	if o.Name == "" {
		o.Name = DefaultName
	}
	return o.run(names, false)
}

// Remove is the inverse of Setup. What is not there is no mistake.
func Remove(o Options, names []string) (Result, error) { return o.run(names, true) }

func (o Options) run(names []string, remove bool) (Result, error) {
	out := Result{Changes: []Change{}, Notes: []string{}, DryRun: o.DryRun}
	if err := o.Valid(names); err != nil {
		return out, err
	}
	files, notes := o.plan(names, remove)
	out.Notes = append(out.Notes, notes...)
	var targets []*target
	for _, f := range files {
		targets = add(targets, f, remove)
	}
	for _, t := range targets { // all of them, before the first write
		if err := t.read(); err != nil {
			return out, err
		}
		c, err := t.change()
		if err != nil {
			return out, err
		}
		if c.Action == "" {
			continue
		}
		c.Shared = o.Root != ""
		out.Changes = append(out.Changes, c)
	}
	if o.DryRun {
		return out, nil
	}
	var written []string
	for _, t := range targets {
		done, err := o.write(t)
		if err != nil {
			me := mail.AsError(err)
			if len(written) > 0 {
				me.Message += "; written before it: " + strings.Join(written, ", ")
			}
			return out, me
		}
		if done {
			written = append(written, t.path)
		}
	}
	if remove {
		o.unmake()
	}
	return out, nil
}

// target is a file with all that is to be done to it.
type target struct {
	path, real string // real is behind the links
	clients    []string
	steps      []change
	exec       bool

	there  bool
	mode   fs.FileMode
	before []byte
}

// change is one step of a target's.
type change struct {
	content
	remove bool
}

// add gives a file's contents to the target of its path. Several clients may share it.
func add(list []*target, f file, remove bool) []*target {
	i := slices.IndexFunc(list, func(t *target) bool { return t.path == f.path })
	if i < 0 {
		i, list = len(list), append(list, &target{path: f.path, exec: f.exec})
	}
	t := list[i]
	if !slices.Contains(t.clients, f.client) {
		t.clients = append(t.clients, f.client)
	}
	contents := slices.Clone(f.contents)
	if remove {
		slices.Reverse(contents)
	}
	for _, c := range contents {
		if !slices.ContainsFunc(t.steps, func(s change) bool { return s.what() == c.what() }) {
			t.steps = append(t.steps, change{c, remove || f.drop})
		}
	}
	return list
}

// read looks at the file as it is now.
func (t *target) read() error {
	var err error
	if t.real, err = behindLinks(t.path); err != nil {
		return fileError("read", t.path, err)
	}
	info, err := os.Stat(t.real)
	if errors.Is(err, fs.ErrNotExist) {
		t.there, t.before, t.mode = false, nil, 0
		return nil
	}
	if err != nil {
		return fileError("read", t.path, err)
	}
	if !info.Mode().IsRegular() {
		return mail.Errorf(mail.Invalid, "%q is no file; nothing was written", t.path)
	}
	t.there, t.mode = true, info.Mode().Perm()
	if t.before, err = os.ReadFile(t.real); err != nil {
		return fileError("read", t.path, err)
	}
	return nil
}

// behindLinks follows links, also one to a file that does not exist yet.
func behindLinks(path string) (string, error) {
	for range 40 {
		info, err := os.Lstat(path)
		if err != nil || info.Mode()&fs.ModeSymlink == 0 {
			return path, nil
		}
		to, err := os.Readlink(path)
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(path), to)
		}
		path = to
	}
	return "", errors.New("too many links")
}

// after returns what the file shall hold; keep is false if it shall not be there.
func (t *target) after() (data []byte, keep bool, err error) {
	data, keep = t.before, t.there
	for _, s := range t.steps {
		if !s.remove {
			data, err = s.add(data, keep)
			keep = true
		} else if keep && bytes.Contains(data, []byte(program)) { // else it is no matter whether we understand it
			var whole bool
			data, whole, err = s.content.remove(data)
			keep = !whole
		}
		if err != nil {
			return nil, false, explain(t.path, err)
		}
	}
	return data, keep, nil
}

// change says what is to be done; no action is for a file that does not matter.
func (t *target) change() (Change, error) {
	after, keep, err := t.after()
	if err != nil {
		return Change{}, err
	}
	c := Change{Clients: t.clients, Path: t.path}
	removing := false
	for _, s := range t.steps {
		removing = removing || s.remove
		c.What = append(c.What, s.what())
	}
	switch {
	case !t.there && !keep, removing && t.there && keep && bytes.Equal(after, t.before):
		return Change{}, nil
	case !t.there:
		c.Action = "create"
	case !keep:
		c.Action = "delete"
	case bytes.Equal(after, t.before) && !t.lacksExec():
		c.Action = "keep"
		return c, nil
	case removing:
		c.Action = "remove"
	default:
		c.Action = "insert"
	}
	c.Diff = diff(t.before, after)
	return c, nil
}

func (t *target) lacksExec() bool { return t.exec && t.mode&0o111 == 0 }

// write makes the change to the file as it is at this moment, and reports whether there
// was one to make. Whoever writes between our reading and our renaming is read again.
func (o Options) write(t *target) (bool, error) {
	for range 20 {
		if err := t.read(); err != nil {
			return false, err
		}
		after, keep, err := t.after()
		if err != nil {
			return false, err
		}
		if keep == t.there && bytes.Equal(after, t.before) && !t.lacksExec() || !keep && !t.there {
			return false, nil
		}
		done := false
		if keep {
			done, err = o.replace(t, after)
		} else if done, err = t.same(); done {
			err = os.Remove(t.real)
		}
		if err != nil {
			return false, fileError("write", t.path, err)
		}
		if done {
			return true, nil
		}
	}
	return false, mail.Errorf(mail.Busy, "%q is written by somebody else all the time", t.path)
}

// same reports whether the file is as it was read.
func (t *target) same() (bool, error) {
	now := target{path: t.path}
	if err := now.read(); err != nil {
		return false, err
	}
	return now.there == t.there && now.real == t.real && bytes.Equal(now.before, t.before), nil
}

// replace puts new contents in place by a rename, unless somebody wrote the file since it
// was read. The contents are on disk before the rename, so that no crash leaves half of
// them.
func (o Options) replace(t *target, data []byte) (bool, error) {
	dir := filepath.Dir(t.real)
	if err := o.makeDir(dir); err != nil {
		return false, err
	}
	name := filepath.Join(dir, "."+filepath.Base(t.real)+".agentmail-"+rest())
	mode := t.mode
	if !t.there {
		mode = 0o666
	}
	if t.exec {
		mode |= 0o111
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return false, err
	}
	defer os.Remove(name) // after the rename there is nothing of this name
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil && t.there { // what the umask took away, and no more
		err = os.Chmod(name, mode)
	}
	if err != nil {
		return false, err
	}
	if ok, err := t.same(); !ok {
		return false, err
	}
	return true, os.Rename(name, t.real)
}

// fileError says what could not be done to a file.
func fileError(verb, path string, err error) error {
	var me *mail.Error
	if errors.As(err, &me) {
		return me
	}
	code := mail.Internal
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, errReadOnly) {
		code = mail.Denied
	}
	why := err.Error()
	var pe *fs.PathError
	if errors.As(err, &pe) {
		why = pe.Err.Error()
	}
	me = mail.Errorf(code, "cannot %s %q: %s", verb, path, why)
	me.Err = err
	return me
}
