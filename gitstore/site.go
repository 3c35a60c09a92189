package gitstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// Repo is a git repository as seen from one directory: where its parts lie and
// what its configuration says. Finding it writes nothing.
type Repo struct {
	Dir       string // where the question was asked
	GitDir    string // this worktree's own git directory
	CommonDir string // the git directory that all linked worktrees share
	Objects   string // the object database
	TopLevel  string // root of the work tree, empty in a bare repository
	Bare      bool

	given []string // the environment as given, for questions about the user's index
	env   []string // the environment for our own work

	localOnce sync.Once
	local     map[string]string
	localErr  error

	sharedOnce sync.Once
	shared     sharing

	trackedLock sync.Mutex
	trackedIn   os.FileInfo // the index that tracked was read from
	tracked     []string

	configOnce sync.Once
	configList []Setting
	configErr  error
}

// Find resolves the repository that dir belongs to, with the environment as
// given, so that git's own rules (safe.directory, GIT_DIR in a hook) hold.
func Find(ctx context.Context, dir string, environ []string) (*Repo, error) {
	if r, ok := nearby(dir, environ); ok {
		return r, nil
	}
	return askWhere(ctx, dir, environ)
}

// askWhere has git find the repository.
func askWhere(ctx context.Context, dir string, environ []string) (*Repo, error) {
	env := append(append([]string{}, environ...), "LC_ALL=C", "GIT_OPTIONAL_LOCKS=0")
	// --show-toplevel comes last because it fails where there is no work tree;
	// what was printed before it is still good.
	args := []string{"--git-dir", "--git-common-dir", "--is-bare-repository", "--show-object-format", "--show-toplevel"}
	ask := func(args ...string) (string, error) {
		out, err := run(ctx, dir, env, nil, append([]string{"rev-parse", "--path-format=absolute"}, args...)...)
		return strings.TrimSuffix(string(out), "\n"), err
	}
	out, err := ask(args...)
	f := strings.SplitN(out, "\n", len(args))
	if len(f) < len(args)-1 {
		return nil, notRepository(ctx, dir, err)
	}
	if f[2] != "true" && f[2] != "false" {
		// A newline in a path has shifted the lines: ask one by one.
		f = make([]string, len(args))
		for i, arg := range args {
			f[i], err = ask(arg)
			if err != nil && i < len(args)-1 {
				return nil, notRepository(ctx, dir, err)
			}
		}
	}
	r := &Repo{Dir: dir, GitDir: clean(f[0]), CommonDir: clean(f[1]), Bare: f[2] == "true", given: environ}
	// Not what --git-path says: while a push is being received that is a
	// quarantine, which goes away with what was written there.
	r.Objects = filepath.Join(r.CommonDir, "objects")
	if err == nil {
		r.TopLevel = clean(f[len(args)-1])
	}
	if f[3] != "sha1" {
		return nil, errf(Unsupported, "repository %q uses object format %q, only sha1 is supported", r.GitDir, f[3])
	}
	local, _ := r.localConfig()
	if _, err := os.Stat(filepath.Join(r.CommonDir, "reftable")); err == nil || local["extensions.refstorage"] == "reftable" {
		return nil, errf(Unsupported, "repository %q stores its refs as reftable (extensions.refStorage), only the files format is supported", r.GitDir)
	}
	r.env = ownEnv(environ, r.CommonDir)
	return r, nil
}

// ErrOutside is the cause of the error of Find where there is no repository at all: not one
// that cannot be opened.
var ErrOutside = errors.New("not inside a git repository")

// Elsewhere returns an environment without the variables that name one repository, to find
// another one with.
func Elsewhere(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return repoEnv[name]
	})
}

// InitBare makes a bare repository in dir with one setting of its own, unless there is one.
// Nobody sees half of it, and of several at once one makes it.
func InitBare(ctx context.Context, dir string, environ []string, key, value string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	failed := func(err error) error {
		kind := GitFailed
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
			kind = ReadOnly
		}
		return errf(kind, "make the repository %q: %w", dir, err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return failed(err)
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), ".new-")
	if err != nil {
		return failed(err)
	}
	defer os.RemoveAll(temp)
	// Whatever the user prefers, it must be one that Find accepts.
	env := append(Elsewhere(environ), "LC_ALL=C", "GIT_DEFAULT_REF_FORMAT=files")
	if _, err := run(ctx, temp, env, nil, "init", "--quiet", "--bare", "--template=", "--object-format=sha1", temp); err != nil {
		return failed(err)
	}
	if _, err := run(ctx, temp, append(env, "GIT_DIR="+temp), nil, "config", key, value); err != nil {
		return failed(err)
	}
	if err := os.Rename(temp, dir); err != nil {
		if _, serr := os.Stat(filepath.Join(dir, "HEAD")); serr != nil {
			return failed(err)
		}
	}
	return nil
}

func clean(p string) string { return filepath.Clean(filepath.FromSlash(p)) }

func notRepository(ctx context.Context, dir string, err error) error {
	var ge *gitError
	if !errors.As(err, &ge) {
		return err
	}
	msg := ge.Error()
	switch {
	case strings.Contains(ge.stderr, "dubious ownership"):
		return errf(NotRepository, "git refuses the repository at %q: it belongs to another user", dir).
			hint("git config --global --add safe.directory %s", dir)
	case strings.Contains(ge.stderr, "extension"), strings.Contains(ge.stderr, "repo version"),
		strings.Contains(ge.stderr, "unknown hash"), strings.Contains(ge.stderr, "invalid value for"):
		// git lists the names of extensions on lines of their own.
		return errf(Unsupported, "git cannot open the repository at %q: %s", dir, strings.TrimPrefix(strings.Join(strings.Fields(ge.stderr), " "), "fatal: "))
	case strings.Contains(ge.stderr, "not a git repository:"): // a .git file or GIT_DIR that leads nowhere
		return errf(NotRepository, "cannot open the repository at %q: %s", dir, strings.TrimPrefix(msg, "git rev-parse: "))
	case strings.Contains(ge.stderr, "not a git repository"):
		return &Error{Kind: NotRepository, Msg: fmt.Sprintf("%q is not inside a git repository", dir), Hint: "git init", Err: ErrOutside}
	}
	if err := checkVersion(ctx); err != nil {
		return err
	}
	return errf(NotRepository, "cannot open the repository at %q: %s", dir, msg)
}

// MinGit is the oldest git that works: it has cat-file --batch-command and the
// core.fsync setting that makes a ref durable.
const MinGit = "2.36"

// checkVersion refuses a git that is too old. Reading fails with one by itself;
// writing would not, and would not be durable.
func checkVersion(ctx context.Context) error {
	if v, err := GitVersion(ctx); err == nil && !AtLeast(v, MinGit) {
		return errf(Unsupported, "git %s is too old, %s or newer is needed", v, MinGit)
	}
	return nil
}

// GitVersion returns the version of the git on PATH, such as "2.39.5".
func GitVersion(ctx context.Context) (string, error) {
	out, err := run(ctx, "", os.Environ(), nil, "version")
	if err != nil {
		return "", err
	}
	f := strings.Fields(string(out))
	if len(f) < 3 {
		return "", errf(GitFailed, "cannot read the version %q of git", strings.TrimSpace(string(out)))
	}
	return f[2], nil
}

// AtLeast reports whether version v, such as "2.39.5", is min or newer.
func AtLeast(v, min string) bool {
	a, b := strings.Split(v, "."), strings.Split(min, ".")
	for i := range b {
		var x, y int
		if i < len(a) {
			x = digits(a[i])
		}
		y = digits(b[i])
		if x != y {
			return x > y
		}
	}
	return true
}

func digits(s string) int {
	n := 0
	for _, c := range s {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + int(c-'0')
	}
	return n
}

// Setting is one line of git's configuration.
type Setting struct {
	Scope  string // system, global, local, worktree, command
	Origin string // such as file:.git/config
	Key    string // section and name in lower case
	Value  string
}

// Config returns the whole effective configuration, weakest first. It is read
// once per Repo.
func (r *Repo) Config(ctx context.Context) ([]Setting, error) {
	r.configOnce.Do(func() {
		out, err := r.ask(ctx, nil, "config", "-z", "--show-scope", "--show-origin", "--list")
		if err != nil {
			r.configErr = errf(GitFailed, "read git's configuration: %w", err)
			return
		}
		f := bytes.Split(out, []byte{0})
		for i := 0; i+2 < len(f); i += 3 {
			key, value, _ := strings.Cut(string(f[i+2]), "\n")
			r.configList = append(r.configList, Setting{string(f[i]), string(f[i+1]), key, value})
		}
	})
	return r.configList, r.configErr
}

// Get returns the effective value of key, or "" if it is not set.
func (r *Repo) Get(ctx context.Context, key string) (Setting, bool) {
	list, _ := r.Config(ctx)
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].Key == key {
			return list[i], true
		}
	}
	return Setting{}, false
}

func (r *Repo) sharing() sharing {
	r.sharedOnce.Do(func() {
		v, _ := r.Get(context.Background(), "core.sharedrepository")
		r.shared = parseSharing(v.Value)
	})
	return r.shared
}

// SharedMode returns the mode that core.sharedRepository asks for in place of m,
// with which a file was made.
func (r *Repo) SharedMode(m os.FileMode) os.FileMode { return r.sharing().Mode(m) }

// Local returns the value of key in the repository's own configuration file
// alone. The guard's switches are read this way: a global setting or a `git -c`
// must not switch one repository's guard off in silence. It starts no process
// where the file is plain enough to be read without git.
func (r *Repo) Local(ctx context.Context, key string) (string, bool, error) {
	r.localOnce.Do(func() {
		var plain bool
		if r.local, plain = r.localConfig(); plain {
			return
		}
		out, err := r.ask(ctx, nil, "config", "--local", "--no-includes", "-z", "--list")
		if err != nil {
			r.localErr = errf(GitFailed, "read git's configuration: %w", err)
		}
		r.local = map[string]string{}
		for _, f := range splitNul(out) {
			key, value, _ := strings.Cut(f, "\n")
			r.local[key] = value
		}
	})
	v, ok := r.local[key]
	return v, ok, r.localErr
}

// ConfigHooks returns the commands of the hooks in git's configuration whose names
// begin with prefix, by event.
func (r *Repo) ConfigHooks(ctx context.Context, prefix string) (map[string]string, error) {
	list, err := r.Config(ctx)
	if err != nil {
		return nil, err
	}
	type hook struct{ event, command, enabled string }
	hooks := map[string]*hook{}
	for _, s := range list {
		rest, ok := strings.CutPrefix(s.Key, "hook."+prefix)
		name, field, dot := strings.Cut(rest, ".")
		if !ok || !dot {
			continue
		}
		if hooks[name] == nil {
			hooks[name] = &hook{}
		}
		switch field {
		case "event":
			hooks[name].event = s.Value
		case "command":
			hooks[name].command = s.Value
		case "enabled":
			hooks[name].enabled = s.Value
		}
	}
	out := map[string]string{}
	for _, h := range hooks {
		if h.event != "" && h.enabled != "false" {
			out[h.event] = h.command
		}
	}
	return out, nil
}

// HasConfigHook reports whether the repository's own configuration file names a hook.
// It starts no process, for it is asked with every commit.
func (r *Repo) HasConfigHook(name string) bool {
	data, err := os.ReadFile(filepath.Join(r.CommonDir, "config"))
	return err == nil && bytes.Contains(data, []byte("[hook \""+name+"\"]"))
}

// ConfigFile returns the repository's own configuration file, and whether git can
// add to it so that taking that out again restores every byte.
func (r *Repo) ConfigFile() (name string, whole bool) {
	name = filepath.Join(r.CommonDir, "config")
	data, err := os.ReadFile(name)
	return name, err == nil && (len(data) == 0 || data[len(data)-1] == '\n')
}

// SetConfigHook writes a hook into the repository's own configuration.
func (r *Repo) SetConfigHook(ctx context.Context, name, event, command string) error {
	for _, kv := range [][2]string{{"event", event}, {"command", command}} {
		if _, err := r.ask(ctx, nil, "config", "--local", "hook."+name+"."+kv[0], kv[1]); err != nil {
			return r.writeError("write the hook "+name+" into git's configuration", err)
		}
	}
	return nil
}

// RemoveConfigHook takes it out.
func (r *Repo) RemoveConfigHook(ctx context.Context, name string) error {
	if _, err := r.ask(ctx, nil, "config", "--local", "--remove-section", "hook."+name); err != nil {
		return r.writeError("take the hook "+name+" out of git's configuration", err)
	}
	return nil
}

// Shallow reports whether the clone's history has an edge.
func (r *Repo) Shallow() bool {
	_, err := os.Stat(filepath.Join(r.CommonDir, "shallow"))
	return err == nil
}

// HooksDir returns the directory in which git looks for hooks from this
// worktree.
func (r *Repo) HooksDir(ctx context.Context) (string, error) {
	out, err := r.ask(ctx, nil, "rev-parse", "--path-format=absolute", "--git-path", "hooks")
	if err != nil {
		return "", errf(GitFailed, "ask git for the hooks directory: %w", err)
	}
	return clean(strings.TrimSuffix(string(out), "\n")), nil
}

// Environ returns the environment that the Repo was found with.
func (r *Repo) Environ() []string { return r.given }
