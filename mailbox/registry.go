package mailbox

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/git-agentmail/git-agentmail/index"
	"github.com/git-agentmail/git-agentmail/mail"
)

// registry is what this user's servers know of the machine: which repositories there are,
// by which a slug is found, and the names of products. It can be deleted: the next
// ensure_project of each repository writes it again.
type registry struct {
	V            int            `json:"v"`
	Repositories []knownRepo    `json:"repositories"` // the one that was named last is the last
	Products     []knownProduct `json:"products"`
}

type knownRepo struct {
	Project
	Path    string    `json:"path"`    // by which it is opened
	GitDir  string    `json:"git_dir"` // while it is there, so is the repository
	Created time.Time `json:"created"`
}

type knownProduct struct {
	UID     string    `json:"uid"`
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
}

// maxKnown is how many repositories, and products, are kept: those named last.
const maxKnown = 1000

// registryWait is how long a writer waits for another one.
const registryWait = 5 * time.Second

func (p *Projects) registryFile() string {
	if dir := p.opt.userDir("XDG_STATE_HOME", ".local/state"); dir != "" {
		return filepath.Join(dir, "repos.json")
	}
	return ""
}

// userDir returns our directory below one of the XDG base directories, "" if the
// environment does not say where the user is at home.
func (opt *Options) userDir(variable, below string) string {
	base := opt.getenv(variable)
	if !filepath.IsAbs(base) { // so the specification: what is relative does not count
		home := opt.getenv("HOME")
		if home == "" {
			home = opt.getenv("USERPROFILE")
		}
		if !filepath.IsAbs(home) {
			return ""
		}
		base = filepath.Join(home, filepath.FromSlash(below))
	}
	return filepath.Join(base, "agentmail")
}

// registry reads the file. One that is not there, or makes no sense, says nothing.
func (p *Projects) registry() registry {
	var r registry
	data, err := os.ReadFile(p.registryFile())
	if err == nil {
		err = json.Unmarshal(data, &r)
	}
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist) && p.registryFile() != "":
		p.opt.Report("the list of known repositories was passed over: " + err.Error())
		return registry{}
	case r.V > 1:
		p.opt.Report("the list of known repositories was passed over: a newer version wrote it")
		return registry{}
	}
	return r
}

// register changes the file. Failing to is no error for the caller's caller: nothing but
// the look-up by a slug depends on it.
func (p *Projects) register(ctx context.Context, change func(*registry)) error {
	file := p.registryFile()
	if file == "" {
		return mail.Errorf(mail.Denied, "neither XDG_STATE_HOME nor HOME says where to keep the list of known repositories")
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return registryError(err)
	}
	ctx, cancel := context.WithTimeout(ctx, registryWait)
	defer cancel()
	release, err := index.Lock(ctx, file+".lock")
	if err != nil {
		return registryError(err)
	}
	defer release()
	if data, err := os.ReadFile(file); err == nil {
		var v struct{ V int }
		if json.Unmarshal(data, &v) == nil && v.V > 1 {
			return mail.Errorf(mail.Format, "%q was written by a newer version", file)
		}
	}
	r := p.registry()
	change(&r)
	r.V = 1
	r.Repositories = lastOf(r.Repositories, maxKnown)
	r.Products = lastOf(r.Products, maxKnown)
	data, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return registryError(err)
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".repos-")
	if err != nil {
		return registryError(err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(append(data, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	return registryError(err)
}

func registryError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrPermission):
		return mail.Errorf(mail.Denied, "the list of known repositories cannot be written: %w", err)
	case errors.Is(err, context.DeadlineExceeded):
		return mail.Errorf(mail.Busy, "another process keeps the list of known repositories: %w", err)
	}
	return mail.Errorf(mail.Internal, "the list of known repositories cannot be written: %w", err)
}

func lastOf[T any](list []T, n int) []T {
	if list == nil {
		return []T{}
	}
	return list[max(0, len(list)-n):]
}

// remember puts a mailbox on the list of known repositories, as the one named last.
func (p *Projects) remember(ctx context.Context, b *Box, created time.Time) error {
	k := knownRepo{Project: b.Project(), GitDir: b.repo.CommonDir, Created: created.UTC()}
	k.Path = k.HumanKey
	if b.key == "" && b.repo.GitDir == b.repo.CommonDir && b.repo.TopLevel != "" {
		k.Path = b.repo.TopLevel // which a git directory elsewhere does not tell
	}
	if r := p.registry(); len(r.Repositories) > 0 && r.Repositories[len(r.Repositories)-1] == k {
		return nil
	}
	return p.register(ctx, func(r *registry) {
		r.Repositories = append(slices.DeleteFunc(r.Repositories, func(o knownRepo) bool { return o.ID == k.ID }), k)
	})
}

// known lists the repositories that are still there and that may be opened.
func (p *Projects) known() []knownRepo {
	var list []knownRepo
	for _, k := range p.registry().Repositories {
		if !p.allowed(k.HumanKey) && !p.allowed(k.Path) {
			continue
		}
		if st, err := os.Stat(k.GitDir); err == nil && st.IsDir() {
			list = append(list, k)
		}
	}
	return list
}
