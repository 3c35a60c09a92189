package mailbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/mail"
)

// maxKeyLength is the greatest length of a key, in bytes; no system has longer paths.
const maxKeyLength = 4096

// find finds the repository that a key stands for. It takes no lock: it may take long, where
// a file system is slow.
func (p *Projects) find(ctx context.Context, key string) (*gitstore.Repo, error) {
	if key == "" {
		return p.findHere(ctx)
	}
	key, err := checkKey("project_key", key)
	if err != nil {
		return nil, err
	}
	if !isAbsolute(key) {
		return p.findNamed(ctx, key)
	}
	repo, err := p.findAt(ctx, key, gitstore.Elsewhere(p.opt.Environ))
	if errors.Is(err, gitstore.ErrOutside) {
		return nil, p.unknownProject(ctx, key)
	}
	return repo, err
}

// findHere finds that of a caller who does not say which.
func (p *Projects) findHere(ctx context.Context) (*gitstore.Repo, error) {
	dir := p.opt.Dir
	if dir == "" {
		wd, err := os.Getwd()
		if err != nil {
			return nil, mail.Errorf(mail.NoRepo, "the working directory is gone: %w", err)
		}
		dir = wd
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, asMail(err)
	}
	repo, err := p.findAt(ctx, dir, p.opt.Environ)
	if err != nil {
		return nil, asMail(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.here = repo.CommonDir
	return repo, nil
}

// checkKey refuses what cannot name a project.
func checkKey(what, key string) (string, error) {
	key = strings.TrimSpace(key)
	switch mark := mail.Placeholder(key); {
	case key == "":
		return "", mail.Errorf(mail.Invalid, "%s must not be empty", what).With("argument", what)
	case mark != "":
		return "", mail.Errorf(mail.Invalid, "%s %q is a placeholder (%s), not a project", what, clip(key, 80), mark).Typed("CONFIGURATION_ERROR").
			With("detected_placeholder", mark).With("fix_hint", "replace it by the absolute path of your repository: git rev-parse --show-toplevel").
			Hint("git rev-parse --show-toplevel")
	case len(key) > maxKeyLength || !utf8.ValidString(key) || strings.ContainsRune(key, 0):
		return "", mail.Errorf(mail.Invalid, "%s is no path: it is not valid UTF-8, holds a NUL or is longer than %d bytes", what, maxKeyLength).With("argument", what)
	}
	return key, nil
}

// isAbsolute accepts either platform's form: a server may be told of a path that is
// another machine's.
func isAbsolute(s string) bool {
	drive := len(s) > 2 && s[1] == ':' && (s[2] == '\\' || s[2] == '/') && (s[0]|0x20 >= 'a' && s[0]|0x20 <= 'z')
	return filepath.IsAbs(s) || drive || strings.HasPrefix(s, `\\`)
}

// findAt finds the repository that a place lies in, or the one that was made for it. The
// error is ErrOutside if there is none. A place outside the roots is refused before
// anybody looks whether it exists.
func (p *Projects) findAt(ctx context.Context, path string, environ []string) (*gitstore.Repo, error) {
	place, sure := resolve(path)
	if !p.allowed(place) || !sure && len(p.roots) > 0 {
		return nil, outsideRoots(path)
	}
	if repo := p.openAt(place); repo != nil {
		return repo, nil
	}
	var repo *gitstore.Repo
	err := error(&gitstore.Error{Kind: gitstore.NotRepository, Msg: fmt.Sprintf("%q is not inside a git repository", path), Hint: "git init", Err: gitstore.ErrOutside})
	if filepath.IsAbs(place) {
		repo, err = gitstore.Find(ctx, nearestDir(place), environ)
		if err == nil && repo.TopLevel == "" && !repo.Bare && filepath.Base(repo.CommonDir) == ".git" { // inside a .git
			if main, merr := gitstore.Find(ctx, filepath.Dir(repo.CommonDir), gitstore.Elsewhere(environ)); merr == nil && main.CommonDir == repo.CommonDir {
				repo = main
			}
		}
	}
	if errors.Is(err, gitstore.ErrOutside) {
		if made, merr := p.findMade(ctx, place); made != nil || merr != nil {
			return made, merr
		}
	}
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{repo.CommonDir, cmp.Or(repo.TopLevel, repo.CommonDir)} { // core.worktree can be anywhere
		if real, err := filepath.EvalSymlinks(dir); err != nil || !p.allowed(real) {
			return nil, outsideRoots(path)
		}
	}
	repo.Dir = cmp.Or(repo.TopLevel, repo.GitDir)
	return repo, nil
}

// openAt returns the repository of an open mailbox whose work tree begins at a place: a
// linked one, or a bare one, would cost a process with each call.
func (p *Projects) openAt(place string) *gitstore.Repo {
	if len(gitstore.Elsewhere(p.opt.Environ)) < len(p.opt.Environ) {
		return nil // that names a repository, wherever we are
	}
	p.mu.Lock()
	var found *openBox
	for _, o := range p.open {
		if o.box.repo.Dir == place {
			found = o
		}
	}
	p.mu.Unlock()
	if found == nil || !found.is.same(siteOf(found.box.repo)) {
		return nil
	}
	return found.box.repo
}

// candidates are the repositories that a name can stand for: those on the list, and that
// of the server itself.
func (p *Projects) candidates(ctx context.Context) []knownRepo {
	list := p.known()
	if repo, err := p.findHere(ctx); err == nil {
		b := newBox(ctx, repo, p.opt)
		if project := b.Project(); !slices.ContainsFunc(list, func(k knownRepo) bool { return k.ID == project.ID }) {
			list = append(list, knownRepo{Project: project, Path: cmp.Or(b.key, repo.Dir), Created: b.created(ctx)})
		}
		b.Close()
	}
	return list
}

// findNamed finds a repository by its slug or id.
func (p *Projects) findNamed(ctx context.Context, key string) (*gitstore.Repo, error) {
	var found []knownRepo
	low := strings.ToLower(key)
	list := p.candidates(ctx)
	for _, k := range list {
		if k.Slug == low || k.ID == low {
			found = append(found, k)
		}
	}
	if len(found) == 0 && len(low) >= 4 && strings.Trim(low, "0123456789abcdef") == "" {
		for _, k := range list {
			if strings.HasPrefix(k.ID, low) {
				found = append(found, k)
			}
		}
	}
	switch len(found) {
	case 0:
		return nil, p.unknownProject(ctx, key)
	case 1:
		repo, err := p.findAt(ctx, found[0].Path, gitstore.Elsewhere(p.opt.Environ))
		if errors.Is(err, gitstore.ErrOutside) {
			return nil, p.unknownProject(ctx, key)
		}
		return repo, asMail(err)
	}
	var paths []string
	for _, k := range found {
		paths = append(paths, k.HumanKey)
	}
	return nil, mail.Errorf(mail.Invalid, "%q stands for %d projects, %s: name one by its path", key, len(found), briefList(paths)).With("candidates", paths)
}

// unknownProject names the projects that resemble a key.
func (p *Projects) unknownProject(ctx context.Context, key string) error {
	e := mail.Errorf(mail.NotFound, "no project %q: not found", clip(key, 200))
	var names []string
	for _, k := range p.candidates(ctx) {
		if isAbsolute(key) {
			names = append(names, k.HumanKey)
		} else {
			names = append(names, k.Slug)
		}
	}
	if near := mail.Nearest(key, names); len(near) > 0 {
		e = mail.Errorf(mail.NotFound, "no project %q: not found; did you mean %s?", clip(key, 200), strings.Join(near[:min(3, len(near))], ", "))
		e.With("suggestions", near)
	}
	if isAbsolute(key) {
		return e.Hint("git init %s", shellQuote(key)).Hint("ensure_project makes one for a path outside any repository")
	}
	return e.Hint("name the repository by its absolute path")
}
