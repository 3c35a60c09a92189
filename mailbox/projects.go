package mailbox

import (
	"cmp"
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/mail"
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

// maxKeyLength is the greatest length of a key, in bytes; no system has longer paths.
const maxKeyLength = 4096

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

// resolve returns a path as it is without symbolic links, as far as it exists. sure is
// false where a link leads to nothing.
func resolve(path string) (place string, sure bool) {
	if !filepath.IsAbs(path) {
		if isAbsolute(path) {
			return path, true // another platform's
		}
		abs, err := filepath.Abs(path)
		if err != nil {
			return path, false
		}
		path = abs
	}
	path = filepath.Clean(path)
	for at, rest := path, ""; ; {
		if real, err := filepath.EvalSymlinks(at); err == nil {
			return filepath.Join(real, rest), true
		}
		if st, err := os.Lstat(at); err == nil && st.Mode()&os.ModeSymlink != 0 {
			return path, false
		}
		up := filepath.Dir(at)
		if up == at {
			return path, true
		}
		at, rest = up, filepath.Join(filepath.Base(at), rest)
	}
}

// nearestDir returns the place, or the nearest directory above it that is there.
func nearestDir(place string) string {
	for {
		if st, err := os.Stat(place); err == nil && st.IsDir() {
			return place
		}
		up := filepath.Dir(place)
		if up == place {
			return place
		}
		place = up
	}
}

func (p *Projects) allowed(place string) bool {
	return len(p.roots) == 0 || slices.ContainsFunc(p.roots, func(root string) bool { return within(root, place) })
}

func within(root, place string) bool {
	rel, err := filepath.Rel(root, place)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)) && !filepath.IsAbs(rel)
}

// outsideRoots is one error for all places, so that nobody learns from it what is there.
func outsideRoots(path string) error {
	return mail.Errorf(mail.Denied, "%q is outside the directories that are served here", clip(path, 200))
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
