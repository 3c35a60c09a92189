package mailbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

// projects are those of the world's machine, opened from its repository.
func (w *world) projects(roots ...string) *Projects {
	w.t.Helper()
	p := NewProjects(Options{Dir: w.dir, Environ: w.env, Now: func() time.Time { return w.at }, Report: func(s string) { w.t.Log("note: " + s) }, Roots: roots})
	w.t.Cleanup(p.Close)
	return p
}

// another makes a further repository beside the first.
func (w *world) another(name string) string {
	w.t.Helper()
	dir := filepath.Join(filepath.Dir(w.dir), name)
	if err := os.CopyFS(dir, os.DirFS(seed.dir)); err != nil {
		w.t.Fatal(err)
	}
	return dir
}

// opened opens a project and says what it is.
func opened(t testing.TB, p *Projects, key string) Project {
	t.Helper()
	b, release, err := p.Open(t.Context(), key)
	if err != nil {
		t.Fatalf("open %q: %v", key, err)
	}
	defer release()
	return b.Project()
}

func refused(t testing.TB, p *Projects, key string, code mail.Code, typ string) *mail.Error {
	t.Helper()
	_, release, err := p.Open(t.Context(), key)
	if err == nil {
		release()
		t.Fatalf("%q was opened", key)
	}
	return mustCode(t, err, code, typ)
}

// TestOpenKeys: all the ways of naming one project.
func TestOpenKeys(t *testing.T) {
	w := newWorld(t)
	p := w.projects()
	want := w.box.Project()
	_, tree := w.worktree("tree")
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(w.dir, link); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"", w.dir, w.dir + "/", filepath.Join(w.dir, "src", "auth"), filepath.Join(w.dir, "src", "auth", "token.go"),
		filepath.Join(w.dir, "not", "there"), filepath.Join(w.dir, ".git"), filepath.Join(w.dir, ".git", "refs"), tree, filepath.Join(tree, "src"),
		link, filepath.Join(link, "src", "new.go"), want.Slug, strings.ToUpper(want.Slug), want.ID, want.ID[:6], " " + w.dir + " "} {
		if got := opened(t, p, key); got != want {
			t.Errorf("%q is %+v, want %+v", key, got, want)
		}
	}
	// A linked worktree is the same project, seen from there.
	b, release, err := p.Open(w.ctx, filepath.Join(tree, "src"))
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	id, err := b.Identity(w.ctx)
	if err != nil || id.Branch == nil || *id.Branch != "tree" || id.WorktreeName == nil || *id.WorktreeName != "tree" || *id.RepoRoot != tree || id.HumanKey != w.dir {
		t.Errorf("identity %+v, %v", id, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	w := newWorld(t)
	p := w.projects()
	other := w.another("backend")
	if _, err := p.Ensure(w.ctx, other); err != nil {
		t.Fatal(err)
	}
	known := opened(t, p, other)
	refused(t, p, "  ", mail.Invalid, "INVALID_ARGUMENT")
	for _, key := range []string{"YOUR_PROJECT_PATH", "/home/<PROJECT>", "$PROJECT"} {
		if e := refused(t, p, key, mail.Invalid, "CONFIGURATION_ERROR"); e.Details["detected_placeholder"] == nil || e.Details["fix_hint"] == nil {
			t.Errorf("%+v", e)
		}
	}
	typo := known.Slug[:len(known.Slug)-1]
	e := refused(t, p, typo, mail.NotFound, "NOT_FOUND")
	if near, _ := e.Details["suggestions"].([]string); !slices.Contains(near, known.Slug) || !strings.Contains(e.Message, "not found") || !strings.Contains(e.Message, known.Slug) {
		t.Errorf("%q, %v", e.Message, e.Details)
	}
	for _, key := range []string{t.TempDir(), "/no/such/place", "nonsense", "ffff", "../r", `C:\work\repo`, "/" + strings.Repeat("x/", 1000)} {
		if e := refused(t, p, key, mail.NotFound, "NOT_FOUND"); !strings.Contains(e.Message, "not found") {
			t.Errorf("%q: %q", key, e.Message)
		}
	}
	for _, key := range []string{"/a\x00b", "/\xff", "/" + strings.Repeat("x", 5000)} {
		refused(t, p, key, mail.Invalid, "INVALID_ARGUMENT")
	}
	// A slug that two paths have.
	one, two := filepath.Join(t.TempDir(), "a-b"), ""
	two = filepath.Join(filepath.Dir(one), "a", "b")
	for _, dir := range []string{one, two} {
		if _, err := p.Ensure(w.ctx, dir); err != nil {
			t.Fatal(err)
		}
	}
	if e := refused(t, p, slug(one), mail.Invalid, "INVALID_ARGUMENT"); fmt.Sprint(e.Details["candidates"]) != fmt.Sprint([]string{one, two}) {
		t.Errorf("%v", e.Details)
	}
	// One that is gone is not there any more.
	if err := os.RemoveAll(other); err != nil {
		t.Fatal(err)
	}
	refused(t, p, known.Slug, mail.NotFound, "NOT_FOUND")
	if list, err := p.List(w.ctx); err != nil || slices.ContainsFunc(list, func(r ProjectRow) bool { return r.ID == known.ID }) || len(list) != 3 {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestEnsure(t *testing.T) {
	w := newWorld(t)
	p := w.projects()
	w.in("remote", "add", "origin", "https://user:secret@Example.org:443/Team/repo.git")
	before := contents(t, w.dir)
	got, err := p.Ensure(w.ctx, filepath.Join(w.dir, "src"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := changed(before, contents(t, w.dir)); len(diff) > 0 {
		t.Errorf("it changed %v", diff)
	}
	if got.ID != w.box.Project().ID || got.HumanKey != w.dir || got.Slug != slug(w.dir) || got.CanonicalPath != w.dir || got.IdentityModeUsed != "git-common-dir" ||
		*got.RepoRoot != w.dir || got.GitCommonDir != filepath.Join(w.dir, ".git") || *got.Branch != "main" || got.WorktreeName != nil || got.CoreIgnoreCase ||
		*got.NormalizedRemote != "example.org/Team/repo" || len(got.ProjectUID) != 20 || got.Discovery != nil || got.CreatedAt.Time().IsZero() {
		t.Errorf("%+v", got)
	}
	data, err := json.Marshal(got)
	var keys map[string]any
	if err != nil || json.Unmarshal(data, &keys) != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"id", "slug", "human_key", "created_at", "identity_mode_used", "canonical_path", "repo_root", "git_common_dir", "branch",
		"worktree_name", "core_ignorecase", "normalized_remote", "project_uid", "discovery", "identity"} {
		if _, ok := keys[key]; !ok {
			t.Errorf("no %s in %s", key, data)
		}
	}
	if strings.Contains(string(data), "secret") {
		t.Errorf("the password is in %s", data)
	}
	again, err := p.Ensure(w.ctx, w.dir)
	if err != nil || again.CreatedAt != got.CreatedAt || again.ProjectUID != got.ProjectUID {
		t.Errorf("again %+v, %v", again, err)
	}
	for _, key := range []string{"relative/path", ".", "slug", "~/x"} {
		if _, err := p.Ensure(w.ctx, key); err == nil || !strings.Contains(err.Error(), "absolute directory path") {
			t.Errorf("%q: %v", key, err)
		}
	}
	_, err = p.Ensure(w.ctx, "")
	mustCode(t, err, mail.Invalid, "INVALID_ARGUMENT")
	_, err = p.Ensure(w.ctx, "/x/YOUR_PROJECT")
	mustCode(t, err, mail.Invalid, "CONFIGURATION_ERROR")
}

// TestProjectUID: what says it, the first that applies.
func TestProjectUID(t *testing.T) {
	w := newWorld(t)
	uid := func() string {
		t.Helper()
		id, err := w.open(w.dir).Identity(w.ctx)
		if err != nil {
			t.Fatal(err)
		}
		return id.ProjectUID
	}
	seen := []string{uid()}
	next := func(want string) {
		t.Helper()
		got := uid()
		if slices.Contains(seen, got) || want != "" && got != want {
			t.Errorf("got %q, want %q, after %v", got, want, seen)
		}
		seen = append(seen, got)
	}
	w.in("remote", "add", "origin", "git@example.org:team/repo.git")
	next("")
	w.write(".git/agent-mail/project-id", "from-git-dir\n")
	next("from-git-dir")
	w.write(".agent-mail.yaml", "# which\nproject_uid: \"from-yaml\" # so\nproduct_uid: abc\nlist:\n  - project_uid: no\n")
	next("from-yaml")
	w.write(".agent-mail-project-id", "committed\n")
	next("committed")
	id, err := w.box.Identity(w.ctx)
	if err != nil || len(id.Discovery) != 2 || id.Discovery["product_uid"] != "abc" {
		t.Errorf("%v, %v", id.Discovery, err)
	}
	// What a link leads to outside the work tree is told to nobody.
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("password: secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".agent-mail.yaml", ".agent-mail-project-id"} {
		if err := os.Remove(filepath.Join(w.dir, name)); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(secret, filepath.Join(w.dir, name)); err != nil {
			t.Skip(err)
		}
	}
	if id, err = w.box.Identity(w.ctx); err != nil || id.ProjectUID != "from-git-dir" || len(id.Discovery) != 0 {
		t.Errorf("%q, %v, %v", id.ProjectUID, id.Discovery, err)
	}
	for url, want := range map[string]string{
		"ssh://git@Example.org:22/a/b.git": "example.org/a/b", "https://example.org/a/b/": "example.org/a/b", "example.org:a/b": "example.org/a/b",
		"/srv/git/a.git": "", "../a": "", `C:\git\a`: "", "file:///srv/a": "", "": "", "https://example.org": "", "./x:y": "",
	} {
		if got := normalRemote(url); got != want {
			t.Errorf("%q is %q, want %q", url, got, want)
		}
	}
}

// TestEnsureOutside: a path outside any repository gets one of its own, once, however many
// ask at once, and in a place that is nobody's work tree.
func TestEnsureOutside(t *testing.T) {
	w := newWorld(t)
	dir := filepath.Join(t.TempDir(), "not", "there", `a "b" #c`)
	var all sync.WaitGroup
	ids := make([]string, 8)
	for i := range ids {
		all.Go(func() {
			got, err := w.projects().Ensure(w.ctx, dir)
			if err != nil {
				t.Error(err)
			}
			ids[i] = got.ID
		})
	}
	all.Wait()
	if len(slices.Compact(ids)) != 1 {
		t.Fatalf("ids %v", ids)
	}
	p := w.projects()
	made, err := filepath.Glob(filepath.Join(strings.TrimPrefix(w.env[0], "HOME="), ".local", "share", "agentmail", "projects", "*"))
	if err != nil || len(made) != 1 {
		t.Errorf("made %v", made)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the path itself: %v", err)
	}
	for _, key := range []string{dir, filepath.Join(dir, "sub"), slug(dir), ids[0], made[0]} {
		b, release, err := p.Open(w.ctx, key)
		if err != nil {
			t.Fatalf("%q: %v", key, err)
		}
		if got := b.Project(); got.ID != ids[0] || got.HumanKey != dir || got.Slug != slug(dir) {
			t.Errorf("%q is %+v", key, got)
		}
		if _, err := b.Register(w.ctx, RegisterRequest{Name: "BlueLake", Program: "p", Model: "m"}); err != nil {
			t.Error(err)
		}
		release()
	}
	// One below it is another project once it is asked for, and a repository that comes
	// there counts before both.
	sub, err := p.Ensure(w.ctx, filepath.Join(dir, "sub"))
	if err != nil || sub.ID == ids[0] {
		t.Errorf("%+v, %v", sub, err)
	}
	w.git("init", "-q", dir)
	if got := opened(t, p, filepath.Join(dir, "sub")); got.ID == ids[0] || got.ID == sub.ID || got.HumanKey != dir {
		t.Errorf("got %+v", got)
	}
	// Another platform's path is as good.
	win, err := p.Ensure(w.ctx, `C:\Work\Repo`)
	if err != nil || win.HumanKey != `C:\Work\Repo` || opened(t, p, `C:\Work\Repo`).ID != win.ID {
		t.Errorf("%+v, %v", win, err)
	}
	// Whatever git prefers by default.
	odd := *w
	odd.env = append(slices.Clone(w.env), "GIT_DEFAULT_HASH=sha256", "GIT_DEFAULT_REF_FORMAT=reftable", "GIT_DIR=/nowhere")
	if _, err := odd.projects().Ensure(w.ctx, filepath.Join(t.TempDir(), "x")); err != nil {
		t.Error(err)
	}
}

// TestRoots: what is outside is refused with one answer, whether it is there or not.
func TestRoots(t *testing.T) {
	w := newWorld(t)
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	inside, outside := filepath.Join(base, "served", "a"), filepath.Join(base, "secret")
	for _, dir := range []string{inside, outside} {
		w.git("init", "-q", "-b", "main", dir)
		w.git("-C", dir, "-c", "user.name=U", "-c", "user.email=u@example.com", "commit", "-q", "--allow-empty", "-m", "x")
	}
	everything := w.projects()
	for _, dir := range []string{inside, outside, filepath.Join(base, "made"), filepath.Join(base, "served", "made")} {
		if _, err := everything.Ensure(w.ctx, dir); err != nil {
			t.Fatal(err)
		}
	}
	root := filepath.Join(base, "root")
	if err := os.Symlink(filepath.Join(base, "served"), root); err != nil {
		t.Fatal(err)
	}
	p := w.projects(root)
	for _, link := range []struct{ to, name string }{{outside, "link"}, {filepath.Join(base, "gone"), "dangling"}} {
		if err := os.Symlink(link.to, filepath.Join(base, "served", link.name)); err != nil {
			t.Fatal(err)
		}
	}
	w.git("-C", outside, "worktree", "add", "-q", filepath.Join(base, "served", "tree"))
	w.git("init", "-q", "-b", "main", filepath.Join(base, "served", "away"))
	w.git("-C", filepath.Join(base, "served", "away"), "config", "core.worktree", outside)
	for _, key := range []string{inside, filepath.Join(root, "a"), slug(inside), filepath.Join(base, "served", "made"), slug(filepath.Join(base, "served", "made"))} {
		opened(t, p, key)
	}
	said := ""
	for _, key := range []string{outside, filepath.Join(base, "nothing"), filepath.Join(inside, "..", "..", "secret"), base, w.dir, "/", `C:\x`, filepath.Join(base, "served-too"),
		filepath.Join(base, "made"), filepath.Join(root, "link"), filepath.Join(root, "dangling"), filepath.Join(root, "tree"), filepath.Join(root, "away"), ""} {
		e := refused(t, p, key, mail.Denied, "CAPABILITY_DENIED")
		if key == "" {
			key = w.dir
		}
		text := strings.ReplaceAll(e.Message, fmt.Sprintf("%q", key), "KEY")
		if said == "" {
			said = text
		}
		if text != said || len(e.Details) > 0 || len(e.Hints) > 0 {
			t.Errorf("%q: %q, %v, %v; others: %q", key, e.Message, e.Details, e.Hints, said)
		}
		if key != "" {
			_, err := p.Ensure(w.ctx, key)
			mustCode(t, err, mail.Denied, "CAPABILITY_DENIED")
		}
	}
	// Nor by name, nor by a name like it.
	for _, key := range []string{slug(outside), everything.id(t, outside)[:8], slug(outside) + "x", slug(filepath.Join(base, "made"))} {
		e := refused(t, p, key, mail.NotFound, "NOT_FOUND")
		for _, near := range append(e.Hints, fmt.Sprint(e.Details["suggestions"])) {
			if strings.Contains(near, slug(outside)) && !strings.Contains(key, slug(outside)) {
				t.Errorf("%q: %q", key, near)
			}
		}
		if near, _ := e.Details["suggestions"].([]string); slices.Contains(near, slug(outside)) {
			t.Errorf("%q suggests %v", key, near)
		}
	}
	if list, err := p.List(w.ctx); err != nil || len(list) != 2 {
		t.Errorf("%+v, %v", list, err)
	}
	if got, err := p.Ensure(w.ctx, filepath.Join(root, "new")); err != nil || got.HumanKey != filepath.Join(base, "served", "new") {
		t.Errorf("%+v, %v", got, err)
	}
}

func (p *Projects) id(t testing.TB, key string) string { return opened(t, p, key).ID }

// TestOpenFresh: a mailbox that stays open does not outlive its repository or settings.
func TestOpenFresh(t *testing.T) {
	w := newWorld(t)
	p := w.projects()
	setting := func() string {
		t.Helper()
		b, release, err := p.Open(w.ctx, w.dir)
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		v, err := b.setting(w.ctx, "contacts")
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	b, release, err := p.Open(w.ctx, w.dir)
	if err != nil {
		t.Fatal(err)
	}
	if again, more, _ := p.Open(w.ctx, filepath.Join(w.dir, "src")); again != b {
		t.Error("it was opened twice")
	} else {
		more()
	}
	if setting() != "" {
		t.Error("a setting")
	}
	w.in("config", "agentmail.contacts", "strict")
	if got := setting(); got != "strict" {
		t.Errorf("the new setting is %q", got)
	}
	if _, err := b.Register(w.ctx, RegisterRequest{Name: "BlueLake", Program: "p", Model: "m"}); err != nil { // still whole for who has it
		t.Error(err)
	}
	release()
	if err := os.RemoveAll(w.dir); err != nil {
		t.Fatal(err)
	}
	w.first()
	again, release, err := p.Open(w.ctx, w.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if rows, err := again.Agents(w.ctx, Page{}); err != nil || len(rows) != 0 {
		t.Errorf("of another repository: %+v, %v", rows, err)
	}
}

// TestOpenBounded: file descriptors and processes do not grow with repositories and calls,
// and nobody's mailbox is closed while it is used.
func TestOpenBounded(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("it counts in /proc")
	}
	// Six times what may stay open, so that nearly each call opens one and closes another;
	// one descriptor lost in twenty calls is too many, and one for good is seen at the end.
	repos, calls := 60, 1500
	if soak() {
		repos, calls = 200, 10_000
	}
	w := newWorld(t)
	w.env = slices.DeleteFunc(w.env, func(kv string) bool {
		return strings.HasPrefix(kv, "GIT_CONFIG_") && !strings.HasPrefix(kv, "GIT_CONFIG_GLOBAL")
	})
	if _, err := w.box.Register(w.ctx, RegisterRequest{Name: "BlueLake", Program: "p", Model: "m"}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.box.Inbox(w.ctx, Actor{Kind: IsPerson}, InboxQuery{}); err != nil { // makes the index
		t.Fatal(err)
	}
	w.box.Close()
	base := t.TempDir()
	for i := range repos {
		if err := os.CopyFS(filepath.Join(base, fmt.Sprint(i)), os.DirFS(w.dir)); err != nil {
			t.Fatal(err)
		}
	}
	p := w.projects()
	p.most = 10
	open := func() int {
		t.Helper()
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	var lock sync.Mutex
	used, most, allowed := 0, 0, 0
	call := func(i int) {
		b, release, err := p.Open(w.ctx, filepath.Join(base, fmt.Sprint(i%repos)))
		if err != nil {
			t.Error(err)
			return
		}
		defer release()
		if _, err := b.As(w.ctx, "BlueLake"); err != nil {
			t.Error(err)
		}
		if i%19 == 0 { // opens the index, and has git read
			if rows, err := b.Log(w.ctx, Actor{Kind: IsPerson}, LogQuery{}); err != nil || len(rows) != 1 {
				t.Errorf("%+v, %v", rows, err)
			}
		}
		lock.Lock()
		defer lock.Unlock()
		if used++; used == calls/10 { // once everything is warm
			allowed = open() + 60
		}
		if used%50 == 0 {
			most = max(most, open())
		}
		if n := len(p.idle()); n > p.most {
			t.Errorf("%d mailboxes are open that nobody uses", n)
		}
	}
	next := make(chan int)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range next {
				call(i)
			}
		})
	}
	for i := range calls {
		next <- i
	}
	close(next)
	all.Wait()
	if most > allowed {
		t.Errorf("%d descriptors, at the beginning %d", most, allowed-60)
	}
	p.Close()
	if n := open(); n > allowed-60 {
		t.Errorf("%d descriptors at the end", n)
	}
}

func (p *Projects) idle() (list []*openBox) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range p.open {
		if o.users == 0 {
			list = append(list, o)
		}
	}
	return list
}

// TestOpenSlow: who waits for one repository does not keep others from theirs. The slow
// one lies behind a git that waits there.
func TestOpenSlow(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the slow git is a shell script")
	}
	w := newWorld(t)
	base := t.TempDir()
	slow := []string{filepath.Join(base, "slow1.git"), filepath.Join(base, "slow2.git")}
	for _, dir := range slow {
		w.git("clone", "-q", "--bare", w.dir, dir)
	}
	fast := filepath.Join(base, "fast.git")
	w.git("clone", "-q", "--bare", w.dir, fast)
	real, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\ncase \"$PWD\" in *slow*) : >\"$PWD/asked\"; while ! [ -e '%s' ]; do sleep 0.02; done;; esac\nexec '%s' \"$@\"\n", filepath.Join(base, "go"), real)
	if err := os.WriteFile(filepath.Join(bin, "git"), []byte(script), 0o777); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	p := w.projects()
	var all sync.WaitGroup
	for _, dir := range slow {
		all.Go(func() { opened(t, p, dir) })
	}
	eventually(t, "both are asked about", func() bool {
		for _, dir := range slow {
			if _, err := os.Stat(filepath.Join(dir, "asked")); err != nil {
				return false
			}
		}
		return true
	})
	ctx, cancel := context.WithTimeout(w.ctx, 10*time.Second)
	defer cancel()
	for _, key := range []string{fast, w.dir, fast} {
		_, release, err := p.Open(ctx, key)
		if err != nil {
			t.Fatalf("%q: %v", key, err)
		}
		release()
	}
	if err := os.WriteFile(filepath.Join(base, "go"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	all.Wait()
}

// TestRegistry: writers beside each other lose nothing, and a file that is rubbish, newer,
// or not to be written stops nobody.
func TestRegistry(t *testing.T) {
	w := newWorld(t)
	base := t.TempDir()
	const n = 20
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			if _, err := w.projects().Ensure(w.ctx, filepath.Join(base, fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	p := w.projects()
	if list, err := p.List(w.ctx); err != nil || len(list) != n+1 {
		t.Errorf("%d projects, %v", len(list), err)
	}
	file := p.registryFile()
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), ".*"))
	if len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	st, err := os.Stat(file)
	if err != nil || st.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows" {
		t.Errorf("%v, %v", st, err)
	}
	// Bounded: those named last stay.
	if err := p.register(w.ctx, func(r *registry) {
		for i := range maxKnown {
			r.Repositories = append(r.Repositories, knownRepo{Project: Project{ID: fmt.Sprint("x", i)}})
		}
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Ensure(w.ctx, w.dir); err != nil {
		t.Fatal(err)
	}
	if r := p.registry(); len(r.Repositories) != maxKnown || r.Repositories[maxKnown-1].HumanKey != w.dir {
		t.Errorf("%d, the last %+v", len(r.Repositories), r.Repositories[len(r.Repositories)-1])
	}
	for _, text := range []string{"", "{", "null", `{"v":1,"repositories":7}`, `{"v":2,"repositories":[]}`} {
		if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Ensure(w.ctx, w.dir); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if data, err := os.ReadFile(file); strings.Contains(text, `"v":2`) && string(data) != text {
			t.Errorf("a newer version's file was replaced: %s, %v", data, err)
		}
		if got := opened(t, p, slug(w.dir)); got.HumanKey != w.dir {
			t.Errorf("%q: %+v", text, got)
		}
	}
	nowhere := *w
	nowhere.env = append(slices.Clone(w.env), "XDG_STATE_HOME=/dev/null/x")
	if _, err := nowhere.projects().Ensure(w.ctx, w.dir); err != nil {
		t.Error(err)
	}
}

// TestOpenErrors: whatever stands in the way has a code, and is not taken for "nothing there".
func TestOpenErrors(t *testing.T) {
	w := newWorld(t)
	p := w.projects()
	odd := filepath.Join(t.TempDir(), "odd")
	w.git("init", "-q", "--object-format=sha256", odd)
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.MkdirAll(broken, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(broken, ".git"), []byte("gitdir: /nowhere\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{odd, broken} {
		refused(t, p, dir, mail.NoRepo, "UNHANDLED_EXCEPTION")
		_, err := p.Ensure(w.ctx, dir)
		wantCode(t, err, mail.NoRepo)
	}
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	_, _, err := p.Open(ctx, w.dir)
	wantCode(t, err, mail.Cancelled)
	if made, _ := filepath.Glob(filepath.Join(p.madeDir(), "*")); len(made) > 0 {
		t.Errorf("made %v", made)
	}
}
