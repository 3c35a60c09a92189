package mailbox

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/mail"
)

// Ensure finds the project of a path and puts it on the list of known ones. For a path
// outside any repository it makes a bare one below the user's data directory. It is safe
// to repeat.
func (p *Projects) Ensure(ctx context.Context, humanKey string) (EnsuredProject, error) {
	key, err := checkKey("human_key", humanKey)
	if err != nil {
		return EnsuredProject{}, err
	}
	if !isAbsolute(key) {
		return EnsuredProject{}, mail.Errorf(mail.Invalid, "human_key must be an absolute directory path, not %q", clip(key, 200)).
			With("argument", "human_key").Hint("git rev-parse --show-toplevel")
	}
	repo, err := p.findAt(ctx, key, gitstore.Elsewhere(p.opt.Environ))
	if place, _ := resolve(key); errors.Is(err, gitstore.ErrOutside) || err == nil && repo.Bare && p.madeForOther(ctx, repo, place) {
		repo, err = p.make(ctx, place)
	}
	if err != nil {
		return EnsuredProject{}, asMail(err)
	}
	b, release := p.take(ctx, repo)
	defer release()
	id, err := b.Identity(ctx)
	if err != nil {
		return EnsuredProject{}, err
	}
	created := b.created(ctx)
	if err := p.remember(ctx, b, created); err != nil {
		if ctx.Err() != nil {
			return EnsuredProject{}, asMail(ctx.Err())
		}
		p.opt.Report(err.Error() + "; it can be named by its path only")
	}
	return EnsuredProject{ID: b.Project().ID, CreatedAt: TS(created), Identity: id, Nested: id}, nil
}

// madeForOther reports whether a repository was made for a place above.
func (p *Projects) madeForOther(ctx context.Context, repo *gitstore.Repo, place string) bool {
	key, made, _ := repo.Local(ctx, madeFor)
	return made && key != place && !within(repo.CommonDir, place)
}

// madeFor is the setting by which a repository that Ensure made says for which path.
const madeFor = "agentmail.project"

func (p *Projects) madeDir() string {
	if dir := p.opt.userDir("XDG_DATA_HOME", ".local/share"); dir != "" {
		return filepath.Join(dir, "projects")
	}
	return ""
}

// made returns where the repository that is made for a place lies. Two places can have one
// slug, hence the rest of the name.
func (p *Projects) made(place string) string {
	if p.madeDir() == "" {
		return ""
	}
	name := slug(place)
	return filepath.Join(p.madeDir(), fmt.Sprintf("%s-%x.git", name[max(0, len(name)-100):], sha1.Sum([]byte(place))))
}

// make makes the repository of a place outside any other.
func (p *Projects) make(ctx context.Context, place string) (*gitstore.Repo, error) {
	dir := p.made(place)
	if dir == "" {
		return nil, mail.Errorf(mail.Denied, "neither XDG_DATA_HOME nor HOME says where a mailbox for %q could be", place)
	}
	if err := gitstore.InitBare(ctx, dir, p.opt.Environ, madeFor, place); err != nil {
		return nil, err
	}
	return p.openMade(ctx, dir)
}

// findMade finds the repository that was made for a place or, nearest first, for what it
// lies in. Without one there is no error.
func (p *Projects) findMade(ctx context.Context, place string) (*gitstore.Repo, error) {
	for p.allowed(place) {
		if dir := p.made(place); dir != "" {
			if st, err := os.Stat(dir); err == nil && st.IsDir() {
				return p.openMade(ctx, dir)
			}
		}
		up := filepath.Dir(place)
		if up == place || !filepath.IsAbs(place) {
			break
		}
		place = up
	}
	return nil, nil
}

// openMade says in the environment where it is, for safe.bareRepository may forbid git to
// look.
func (p *Projects) openMade(ctx context.Context, dir string) (*gitstore.Repo, error) {
	repo, err := gitstore.Find(ctx, dir, append(gitstore.Elsewhere(p.opt.Environ), "GIT_DIR="+dir))
	return repo, asMail(err)
}

// created is when a mailbox began: with its first event or, before that, when the
// repository was made.
func (b *Box) created(ctx context.Context) time.Time {
	var first time.Time
	if sn, err := b.store.Snapshot(ctx); err == nil {
		for _, replica := range sn.Replicas() {
			if t, err := time.Parse(time.RFC3339, sn.Header(replica).Created); err == nil && (first.IsZero() || t.Before(first)) {
				first = t
			}
		}
	}
	if !first.IsZero() {
		return first.UTC()
	}
	// git init writes this file, and nobody changes it.
	for _, name := range []string{"description", "."} {
		if st, err := os.Stat(filepath.Join(b.repo.CommonDir, name)); err == nil {
			return st.ModTime().UTC().Truncate(time.Millisecond)
		}
	}
	return b.now().UTC()
}
