package mailbox

import (
	"context"
	"path/filepath"
	"sync"

	"github.com/git-agentmail/git-agentmail/mail"
)

// Projects are the mailboxes that one process serves, each opened once.
type Projects struct {
	opt Options

	mu   sync.Mutex
	open map[string]*Box // by directory
}

// NewProjects returns the mailboxes that are opened with opt, whose Dir is that of a
// caller who does not say which.
func NewProjects(opt Options) *Projects { return &Projects{opt: opt, open: map[string]*Box{}} }

// Open returns the mailbox that a caller means by key: a path of the repository or in
// it, or "".
func (p *Projects) Open(ctx context.Context, key string) (*Box, error) {
	dir := p.opt.Dir
	if key != "" {
		if !filepath.IsAbs(key) {
			return nil, mail.Errorf(mail.NotFound, "no project %q: not found", key)
		}
		dir = filepath.Clean(key)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if b := p.open[dir]; b != nil {
		return b, nil
	}
	opt := p.opt
	opt.Dir = dir
	b, err := Open(ctx, opt)
	if err != nil {
		return nil, err
	}
	p.open[dir] = b
	return b, nil
}

// Close ends what the mailboxes run in the background.
func (p *Projects) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range p.open {
		b.Close()
	}
	clear(p.open)
}
