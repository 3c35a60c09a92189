package mailbox

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/git-agentmail/git-agentmail/gitstore"
)

// Projects are the mailboxes that one process serves: any repository of this machine, or
// those below Options.Roots. It is safe for use by several goroutines.
type Projects struct {
	opt   Options
	roots []string // as they are without symbolic links
	most  int      // mailboxes that are kept open beside those in use

	mu   sync.Mutex
	open map[string]*openBox // by git directory and work tree
	uses int64               // counts up, to tell which was used last
	here string              // the git directory that "" last stood for
}

// openBox is a mailbox that stays open between calls: what it has read, its index and the
// git process that reads for it serve the next one.
type openBox struct {
	box     *Box
	is      site
	users   int
	last    int64
	retired bool // no longer in the map: whoever gives it back last closes it
}

// mostOpen bounds the processes and file descriptors of mailboxes that nobody uses. One
// has a git process and up to eight descriptors.
const mostOpen = 32

// NewProjects returns the mailboxes that are opened with opt, whose Dir is that of a
// caller who does not say which.
func NewProjects(opt Options) *Projects {
	opt.fill()
	p := &Projects{opt: opt, most: mostOpen, open: map[string]*openBox{}}
	for _, dir := range opt.Roots {
		dir, _ = resolve(dir)
		p.roots = append(p.roots, dir)
	}
	return p
}

// Open returns the mailbox that a caller means by key: a path of the repository or in it,
// which need not exist; its slug; its id, or a unique prefix of 4 or more. "" is Options.Dir.
// The mailbox is the caller's until release is called.
func (p *Projects) Open(ctx context.Context, key string) (b *Box, release func(), err error) {
	repo, err := p.find(ctx, key)
	if err != nil {
		return nil, nil, asMail(err)
	}
	b, release = p.take(ctx, repo)
	return b, release, nil
}

// Close ends what the mailboxes run in the background.
func (p *Projects) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range p.open {
		o.box.Close()
	}
	clear(p.open)
}

// Record names the git directory in which the mailbox of a caller lies who does not say
// which, if that is known without a look at anything; else it is "".
func (p *Projects) Record() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.here
}

// take returns the open mailbox of a repository, opening it first if need be. Nothing that
// may take long happens under the lock.
func (p *Projects) take(ctx context.Context, repo *gitstore.Repo) (*Box, func()) {
	key, is := repo.GitDir+"\x00"+repo.TopLevel, siteOf(repo)
	p.mu.Lock()
	o := p.open[key]
	if o == nil || !o.is.same(is) {
		p.mu.Unlock()
		b := newBox(ctx, repo, p.opt) // runs nothing before it is used
		p.mu.Lock()
		if o = p.open[key]; o == nil || !o.is.same(is) {
			var old []*Box
			if o != nil {
				old = p.retire(key)
			}
			o = &openBox{box: b, is: is}
			p.open[key] = o
			defer closeAll(old)
		}
	}
	o.users++
	p.uses++
	o.last = p.uses
	old := p.trim()
	p.mu.Unlock()
	closeAll(old)
	return o.box, sync.OnceFunc(func() { p.giveBack(o) })
}

func (p *Projects) giveBack(o *openBox) {
	p.mu.Lock()
	o.users--
	var old []*Box
	if o.retired && o.users == 0 {
		old = []*Box{o.box}
	} else {
		old = p.trim()
	}
	p.mu.Unlock()
	closeAll(old)
}

// trim takes out the mailboxes whose last use is longest ago, of those that nobody uses.
// The caller holds the lock, and closes what it returns without it.
func (p *Projects) trim() (old []*Box) {
	for len(p.open) > p.most {
		first := ""
		for key, o := range p.open {
			if o.users == 0 && (first == "" || o.last < p.open[first].last) {
				first = key
			}
		}
		if first == "" {
			break
		}
		old = append(old, p.retire(first)...)
	}
	return old
}

// retire takes one out and returns it if nobody uses it.
func (p *Projects) retire(key string) []*Box {
	o := p.open[key]
	delete(p.open, key)
	o.retired = true
	if o.users == 0 {
		return []*Box{o.box}
	}
	return nil
}

func closeAll(list []*Box) {
	for _, b := range list {
		b.Close()
	}
}

// site is by what an open mailbox is known to be that of the repository which is there
// now, with the settings that it has now.
type site struct {
	dir      os.FileInfo // the git directory
	settings string      // when what says where it is, and its settings, were written
}

func siteOf(repo *gitstore.Repo) site {
	var s site
	s.dir, _ = os.Stat(repo.GitDir)
	for _, name := range []string{filepath.Join(repo.CommonDir, "config"), filepath.Join(repo.Dir, ".git")} {
		if st, err := os.Lstat(name); err == nil && !st.IsDir() {
			s.settings += fmt.Sprintln(st.ModTime(), st.Size())
		}
	}
	return s
}

func (s site) same(o site) bool {
	return s.settings == o.settings && s.dir != nil && o.dir != nil && os.SameFile(s.dir, o.dir)
}

// Described returns the project with its agents.
func (b *Box) Described(ctx context.Context) (ProjectView, error) {
	rows, err := b.Agents(ctx, Page{})
	v := ProjectView{ProjectRow: ProjectRow{b.Project(), TS(b.created(ctx))}, Agents: []Agent{}}
	for _, r := range rows {
		v.Agents = append(v.Agents, r.Agent)
	}
	return v, err
}

// Agents lists everybody in the projects that are known on this machine. A project that
// cannot be read is passed over.
func (p *Projects) Agents(ctx context.Context) (AgentsEverywhere, error) {
	out := AgentsEverywhere{Agents: []AgentElsewhere{}}
	list, err := p.List(ctx)
	if err != nil {
		return out, err
	}
	for _, row := range list {
		b, release, err := p.Open(ctx, row.HumanKey)
		if err != nil {
			continue
		}
		rows, err := b.Agents(ctx, Page{})
		release()
		if err != nil {
			continue
		}
		for _, a := range rows {
			out.Agents = append(out.Agents, AgentElsewhere{a, row.Slug, row.HumanKey})
		}
	}
	out.Total = len(out.Agents)
	return out, ctx.Err()
}

// List returns the projects that are known on this machine, by slug.
func (p *Projects) List(ctx context.Context) ([]ProjectRow, error) {
	rows := []ProjectRow{}
	for _, k := range p.candidates(ctx) {
		rows = append(rows, ProjectRow{k.Project, TS(k.Created)})
	}
	slices.SortFunc(rows, func(a, b ProjectRow) int {
		return cmp.Or(strings.Compare(a.Slug, b.Slug), strings.Compare(a.ID, b.ID))
	})
	return rows, nil
}
