package mailbox

import (
	"context"
	"path/filepath"

	"github.com/git-agentmail/git-agentmail/mail"
)

// GuardInstalled is the answer to GuardInstall.
type GuardInstalled struct {
	Hook    string   `json:"hook"` // the file out of which git runs the guard before a commit, "" if it does not
	Changes []Change `json:"changes"`
}

// GuardRemoved is the answer to GuardUninstall.
type GuardRemoved struct {
	Removed bool     `json:"removed"` // something of ours was there and is gone
	Changes []Change `json:"changes"`
}

// GuardInstall is [Box.HooksInstall] with the one answer that callers of the contract
// look at.
func (b *Box) GuardInstall(ctx context.Context, binary string) (GuardInstalled, error) {
	r, err := b.HooksInstall(ctx, false, binary)
	if err != nil {
		return GuardInstalled{}, err
	}
	s, err := b.site(ctx)
	if err != nil {
		return GuardInstalled{}, err
	}
	event := s.Events()[0]
	out := GuardInstalled{Changes: r.Changes}
	for _, c := range r.Changes {
		switch {
		case c.Action == "refuse":
		case filepath.Base(c.Path) == event:
			out.Hook = c.Path
		case out.Hook == "" && s.InConfig(event):
			out.Hook = c.Path // git's configuration, which stands first
		}
	}
	return out, nil
}

// GuardUninstall is [Box.HooksUninstall] likewise.
func (b *Box) GuardUninstall(ctx context.Context) (GuardRemoved, error) {
	r, err := b.HooksUninstall(ctx, false)
	out := GuardRemoved{Changes: append([]Change{}, r.Changes...)}
	for _, c := range r.Changes {
		out.Removed = out.Removed || c.Action == "remove" || c.Action == "delete"
	}
	return out, err
}

// OpenCode returns the mailbox of the repository at path, whose commits a guard is to
// check, as [Projects.Open] does. Its guard asks the mailbox of that repository and no
// other, so a key, where one is given, must name the same.
func (p *Projects) OpenCode(ctx context.Context, key, path string) (b *Box, release func(), err error) {
	if !filepath.IsAbs(path) {
		return nil, nil, mail.Errorf(mail.Invalid, "%q is no absolute path of a repository", path).With("argument", "code_repo_path")
	}
	if b, release, err = p.Open(ctx, path); err != nil || key == "" {
		return b, release, err
	}
	other, done, err := p.Open(ctx, key)
	if err == nil {
		mine, named := b.Project(), other.Project()
		done()
		if mine.ID == named.ID {
			return b, release, nil
		}
		err = mail.Errorf(mail.Invalid, "%q is another repository than %q: a guard asks the mailbox of the repository that it guards", path, named.HumanKey).
			With("argument", "code_repo_path").Hint("leave project_key out, or give %s", mine.HumanKey)
	}
	release()
	return nil, nil, err
}
