//go:build unix

package gitstore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// oddNames are names of files that git allows and parsers stumble over.
var oddNames = []string{
	"plain", `q"uo'te`, "tab\tx", "new\nline", "not\xffutf8", "-dash", "--", " space ", strings.Repeat("a1", 20), "A", "AM", "M\nA",
	":(top)x", "*[g]?", `back\slash`, "\u00e9", "e\u0301", "sub/" + strings.Repeat("0", 40), "sub/new\nline/x", "\u00a0nbsp", "#", "~", "HEAD", "main",
}

func find(t testing.TB, env []string, dir string) *Repo {
	t.Helper()
	r, err := Find(context.Background(), dir, env)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// show writes changes as "status path" in order.
func show(list []Changed) []string {
	var out []string
	for _, c := range list {
		out = append(out, c.Status+" "+c.Path)
	}
	slices.Sort(out)
	return out
}

func each(status string, names []string) []string {
	var out []string
	for _, n := range names {
		out = append(out, status+" "+n)
	}
	slices.Sort(out)
	return out
}

func same(t testing.TB, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// TestOddFileNames takes files with odd names through everything that we ask git
// of: each comes back in exact bytes.
func TestOddFileNames(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	env := testEnv(t)
	dir := filepath.Join(t.TempDir(), "r")
	git(t, env, "", "init", "-q", "-b", "main", dir)
	for _, name := range oddNames {
		writeFile(t, filepath.Join(dir, name), name)
	}
	git(t, env, dir, "add", "-A")
	for _, from := range []string{dir, filepath.Join(dir, "sub")} {
		repo := find(t, env, from)
		if list, err := repo.Staged(ctx, nil); err != nil {
			t.Error(err)
		} else {
			same(t, "staged before the first commit", show(list), each("A", oddNames))
		}
		if list, err := repo.Tracked(ctx); err != nil {
			t.Error(err)
		} else {
			slices.Sort(list)
			want := slices.Clone(oddNames)
			slices.Sort(want)
			same(t, "tracked", list, want)
		}
	}
	repo := find(t, env, dir)
	if _, err := repo.HeadCommit(ctx); err == nil {
		t.Error("HeadCommit before the first commit: no error")
	}
	if at, err := repo.LastCommit(ctx, oddNames); err != nil || !at.IsZero() {
		t.Errorf("LastCommit before the first commit: %v, %v", at, err)
	}
	user(t, env, dir, "commit", "-q", "-m", "one")
	if c, err := repo.HeadCommit(ctx); err != nil || c.OID != git(t, env, dir, "rev-parse", "HEAD") {
		t.Errorf("HeadCommit = %s, %v", c.OID, err)
	} else {
		same(t, "the root commit", show(c.Changed), each("A", oddNames))
	}
	for _, name := range oddNames {
		if at, err := repo.LastCommit(ctx, []string{name}); err != nil || at.IsZero() {
			t.Errorf("LastCommit(%q) = %v, %v", name, at, err)
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	user(t, env, dir, "worktree", "add", "-q", "--detach", "../unborn")
	git(t, env, filepath.Join(dir, "..", "unborn"), "symbolic-ref", "HEAD", "refs/heads/none")
	if at, err := find(t, env, filepath.Join(dir, "..", "unborn")).LastCommit(ctx, oddNames[:1]); err != nil || at.IsZero() {
		t.Errorf("LastCommit on a branch without commits = %v, %v", at, err)
	}
	git(t, env, dir, "add", "-A")
	if list, err := repo.Staged(ctx, nil); err != nil {
		t.Error(err)
	} else {
		same(t, "deletions staged", show(list), each("D", oddNames))
	}
	user(t, env, dir, "commit", "-q", "-m", "two")
	tip := git(t, env, dir, "rev-parse", "HEAD")
	if list, err := repo.Range(ctx, tip+"~1", tip); err != nil {
		t.Error(err)
	} else {
		same(t, "range", show(list), each("D", oddNames))
	}
	commits, err := repo.Pushed(ctx, "origin", "/nowhere", []RefUpdate{{"refs/heads/main", "refs/heads/main", tip, zeroOID}})
	if err != nil || len(commits) != 2 || commits[0].OID != tip || commits[0].Time.IsZero() {
		t.Fatalf("Pushed = %v, %v", commits, err)
	}
	same(t, "pushed", show(commits[0].Changed), each("D", oddNames))
	same(t, "pushed at first", show(commits[1].Changed), each("A", oddNames))
}

// TestStaged stages in every way that matters.
func TestStaged(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(t *testing.T, env []string, dir string) (more []string) // of the environment
		want []string
		fail bool
	}{
		{name: "nothing", do: func(t *testing.T, env []string, dir string) []string { return nil }},
		{name: "rename", want: []string{"A z", "D a"}, do: func(t *testing.T, env []string, dir string) []string {
			git(t, env, dir, "mv", "a", "z")
			git(t, env, dir, "config", "diff.renames", "copies")
			return nil
		}},
		{name: "mode and type", want: []string{"M a", "T b"}, do: func(t *testing.T, env []string, dir string) []string {
			git(t, env, dir, "update-index", "--chmod=+x", "a")
			os.Remove(filepath.Join(dir, "b"))
			os.Symlink("a", filepath.Join(dir, "b"))
			git(t, env, dir, "add", "b")
			return nil
		}},
		{name: "only intended", want: nil, do: func(t *testing.T, env []string, dir string) []string {
			writeFile(t, filepath.Join(dir, "new"), "x")
			git(t, env, dir, "add", "-N", "new")
			return nil
		}},
		{name: "not staged", want: nil, do: func(t *testing.T, env []string, dir string) []string {
			writeFile(t, filepath.Join(dir, "a"), "changed")
			return nil
		}},
		{name: "submodule", want: []string{"A mod"}, do: func(t *testing.T, env []string, dir string) []string {
			git(t, env, dir, "update-index", "--add", "--cacheinfo", "160000,"+git(t, env, dir, "rev-parse", "HEAD")+",mod")
			git(t, env, dir, "config", "diff.ignoreSubmodules", "all")
			return nil
		}},
		{name: "the index that git names", want: []string{"D a"}, do: func(t *testing.T, env []string, dir string) []string {
			index := filepath.Join(dir, ".git", "next-index")
			git(t, append(env, "GIT_INDEX_FILE="+index), dir, "read-tree", "HEAD")
			git(t, append(env, "GIT_INDEX_FILE="+index), dir, "rm", "-q", "--cached", "a")
			git(t, env, dir, "rm", "-q", "--cached", "b")
			return []string{"GIT_INDEX_FILE=" + index}
		}},
		{name: "merge that only carries", want: nil, do: func(t *testing.T, env []string, dir string) []string {
			user(t, env, dir, "merge", "-q", "--no-commit", "--no-ff", "side")
			return nil
		}},
		{name: "merge with a change of its own", want: []string{"M a"}, do: func(t *testing.T, env []string, dir string) []string {
			user(t, env, dir, "merge", "-q", "--no-commit", "--no-ff", "side")
			writeFile(t, filepath.Join(dir, "a"), "made here")
			git(t, env, dir, "add", "a")
			return nil
		}},
		{name: "merge that drops what the other side did", want: nil, do: func(t *testing.T, env []string, dir string) []string {
			// What is as before on our side is changed against one parent only.
			user(t, env, dir, "merge", "-q", "--no-commit", "--no-ff", "-s", "ours", "side")
			return nil
		}},
		{name: "no branch yet", want: []string{"A a", "A b", "A c"}, do: func(t *testing.T, env []string, dir string) []string {
			git(t, env, dir, "checkout", "-q", "--orphan", "new")
			return nil
		}},
		{name: "HEAD is gone", fail: true, do: func(t *testing.T, env []string, dir string) []string {
			head := git(t, env, dir, "rev-parse", "HEAD")
			if err := os.Remove(filepath.Join(dir, ".git", "objects", head[:2], head[2:])); err != nil {
				t.Fatal(err)
			}
			return nil
		}},
		{name: "HEAD's tree is gone", fail: true, do: func(t *testing.T, env []string, dir string) []string {
			tree := git(t, env, dir, "rev-parse", "HEAD^{tree}")
			if err := os.Remove(filepath.Join(dir, ".git", "objects", tree[:2], tree[2:])); err != nil {
				t.Fatal(err)
			}
			return nil
		}},
		{name: "HEAD's branch is damaged", fail: true, do: func(t *testing.T, env []string, dir string) []string {
			writeFile(t, filepath.Join(dir, ".git", "refs", "heads", "main"), "rubbish\n")
			return nil
		}},
		{name: "damaged index", fail: true, do: func(t *testing.T, env []string, dir string) []string {
			writeFile(t, filepath.Join(dir, ".git", "index"), "rubbish")
			return nil
		}},
		{name: "damaged MERGE_HEAD", fail: true, do: func(t *testing.T, env []string, dir string) []string {
			user(t, env, dir, "merge", "-q", "--no-commit", "--no-ff", "side")
			writeFile(t, filepath.Join(dir, ".git", "MERGE_HEAD"), strings.Repeat("0", 39)+"1\n")
			return nil
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			env := testEnv(t)
			dir := filepath.Join(t.TempDir(), "r")
			git(t, env, "", "init", "-q", "-b", "main", dir)
			for _, name := range []string{"a", "b", "c"} {
				writeFile(t, filepath.Join(dir, name), name)
			}
			git(t, env, dir, "add", ".")
			user(t, env, dir, "commit", "-q", "-m", "base")
			git(t, env, dir, "checkout", "-q", "-b", "side")
			writeFile(t, filepath.Join(dir, "b"), "theirs")
			user(t, env, dir, "commit", "-q", "-a", "-m", "side")
			git(t, env, dir, "checkout", "-q", "main")
			user(t, env, dir, "commit", "-q", "--allow-empty", "-m", "main")
			env = append(env, c.do(t, env, dir)...)
			list, err := find(t, env, dir).Staged(context.Background(), nil)
			if (err != nil) != c.fail {
				t.Errorf("error %v, want one: %v; %q", err, c.fail, show(list))
			}
			if !c.fail {
				same(t, "staged", show(list), c.want)
			}
		})
	}
}

// TestHeadAndPush builds one history and asks what its commits change.
func TestHeadAndPush(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	env := testEnv(t)
	dir := newRepo(t, env)
	repo := find(t, env, dir)
	commit := func(name, text string) OID {
		writeFile(t, filepath.Join(dir, name), text)
		git(t, env, dir, "add", name)
		user(t, env, dir, "commit", "-q", "-m", name)
		return git(t, env, dir, "rev-parse", "HEAD")
	}
	head := func(what string, want ...string) {
		t.Helper()
		c, err := repo.HeadCommit(ctx)
		if err != nil || c.OID != git(t, env, dir, "rev-parse", "HEAD") {
			t.Errorf("%s: %s, %v", what, c.OID, err)
		}
		same(t, what, show(c.Changed), want)
	}
	root := git(t, env, dir, "rev-parse", "HEAD")
	head("an empty root commit")
	base := commit("a", "1\n")
	head("an addition", "A a")
	git(t, env, dir, "checkout", "-q", "-b", "side")
	side := commit("b", "side\n")
	git(t, env, dir, "checkout", "-q", "main")
	commit("c", "main\n")
	user(t, env, dir, "merge", "-q", "-m", "clean", "side")
	head("a clean merge")
	clean := git(t, env, dir, "rev-parse", "HEAD")
	git(t, env, dir, "checkout", "-q", "-b", "two", base)
	writeFile(t, filepath.Join(dir, "a"), "two\n")
	user(t, env, dir, "commit", "-q", "-a", "-m", "two")
	git(t, env, dir, "checkout", "-q", "main")
	user(t, env, dir, "merge", "-q", "--no-commit", "two")
	writeFile(t, filepath.Join(dir, "a"), "evil\n")
	git(t, env, dir, "add", "a")
	user(t, env, dir, "commit", "-q", "-m", "evil")
	head("a merge with a change of its own", "MM a")
	tip := git(t, env, dir, "rev-parse", "HEAD")
	user(t, env, dir, "tag", "-a", "-m", "x", "v1")
	git(t, env, dir, "update-ref", "refs/remotes/origin/main", clean)
	git(t, env, dir, "update-ref", "refs/remotes/other/main", tip)
	unknown := strings.Repeat("d", 40)

	for _, c := range []struct {
		name   string
		remote string
		push   []RefUpdate
		want   []string // "commit: changes", newest first
	}{
		{"nothing", "origin", nil, nil},
		{"deletion", "origin", []RefUpdate{{"(delete)", "refs/heads/x", zeroOID, clean}}, nil},
		{"what it has", "origin", []RefUpdate{{"main", "refs/heads/x", clean, zeroOID}}, nil},
		{"new commits", "origin", []RefUpdate{{"main", "refs/heads/main", tip, clean}}, []string{"evil: MM a", "two: M a"}},
		{"a tag", "origin", []RefUpdate{{"refs/tags/v1", "refs/tags/v1", git(t, env, dir, "rev-parse", "v1"), zeroOID}}, []string{"evil: MM a", "two: M a"}},
		{"over an unknown commit", "origin", []RefUpdate{{"main", "refs/heads/main", tip, unknown}}, []string{"evil: MM a", "two: M a"}},
		{"to a new remote", "third", []RefUpdate{{"side", "refs/heads/side", side, zeroOID}}, []string{"b: A b", "a: A a"}}, // the first changes nothing
		{"with its base there", "third", []RefUpdate{{"side", "refs/heads/side", side, root}}, []string{"b: A b", "a: A a"}},
		{"by URL", "/some/where", []RefUpdate{{"main", "refs/heads/main", tip, zeroOID}}, nil}, // some remote has it
		{"two refs", "third", []RefUpdate{{"side", "refs/heads/side", side, base}, {"x", "refs/heads/x", base, zeroOID}}, []string{"b: A b"}},
		{"a blob", "origin", []RefUpdate{{"x", "refs/tags/x", git(t, env, dir, "rev-parse", "HEAD:a"), zeroOID}}, nil},
	} {
		commits, err := repo.Pushed(ctx, c.remote, "/some/where", c.push)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		var got []string
		for _, commit := range commits {
			got = append(got, strings.TrimSpace(git(t, env, dir, "log", "-1", "--format=%s", commit.OID)+": "+strings.Join(show(commit.Changed), " ")))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	for _, remote := range []OID{zeroOID, unknown, base} {
		if list, err := repo.Pushed(ctx, "origin", "u", []RefUpdate{{"x", "y", strings.Repeat("e", 40), remote}}); err == nil {
			t.Errorf("a commit that is missing was passed over: %v", list)
		}
	}

	out := filepath.Join(t.TempDir(), "written")
	for _, c := range []struct {
		a, b string
		want []string
		fail bool
	}{
		{"main~1", "main", []string{"M a"}, false},
		{"side", "main", []string{"A c", "M a"}, false},
		{"main", "side", nil, false},
		{"main", "main", nil, false},
		{"none", "main", nil, true},
		{"main", "none", nil, true},
		{"main", "--output=" + out, nil, true},
		{"--all", "main", nil, true},
		{"--is-ancestor", "main", nil, true},
		{"", "main", nil, true},
	} {
		list, err := repo.Range(ctx, c.a, c.b)
		if (err != nil) != c.fail {
			t.Errorf("Range(%q, %q): %v", c.a, c.b, err)
		}
		same(t, fmt.Sprintf("Range(%q, %q)", c.a, c.b), show(list), c.want)
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a revision was taken for an option")
	}
}

// TestParseRefUpdates reads what git gives a pre-push hook.
func TestParseRefUpdates(t *testing.T) {
	t.Parallel()
	a, b := strings.Repeat("a", 40), strings.Repeat("b", 40)
	line := func(local, remote string) string { return local + " " + a + " " + remote + " " + b }
	for _, c := range []struct {
		name, in string
		want     []string // "local remote"
		fail     bool
	}{
		{"empty", "", nil, false},
		{"one", line("refs/heads/x", "refs/heads/y") + "\n", []string{"refs/heads/x|refs/heads/y"}, false},
		{"two, the last without an end", line("x", "y") + "\n" + line("(delete)", "z"), []string{"x|y", "(delete)|z"}, false},
		{"spaces in what is pushed", line("main@{1 day ago}", "refs/heads/y") + "\n", []string{"main@{1 day ago}|refs/heads/y"}, false},
		{"odd spaces in names", line("refs/heads/a\u00a0b", "refs/heads/\u3000") + "\n", []string{"refs/heads/a\u00a0b|refs/heads/\u3000"}, false},
		{"too short", "x " + a + "\n", nil, true},
		{"no object name", "x y z w\n", nil, true},
		{"sha256", "x " + strings.Repeat("a", 64) + " y " + strings.Repeat("b", 64), nil, true},
		{"rubbish", "\x00\xff", nil, true},
	} {
		list, err := ParseRefUpdates([]byte(c.in))
		var got []string
		for _, u := range list {
			if got = append(got, u.LocalRef+"|"+u.RemoteRef); u.Local != a || u.Remote != b {
				t.Errorf("%s: %+v", c.name, u)
			}
		}
		if (err != nil) != c.fail || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v, want %q", c.name, got, err, c.want)
		}
	}
}

// TestWorktrees lists work trees with odd names and in odd states.
func TestWorktrees(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	env := testEnv(t)
	root := filepath.Join(t.TempDir(), "x\ny z")
	dir := filepath.Join(root, "r")
	git(t, env, "", "init", "-q", "-b", "main", dir)
	user(t, env, dir, "commit", "-q", "--allow-empty", "-m", "one")
	names := []string{"plain", "new\nline", " space ", "é", "-n", "detached"}
	for i, name := range names {
		args := []string{"worktree", "add", "-q", "-b", fmt.Sprintf("b/%d", i), filepath.Join(root, "wt", name)}
		if name == "detached" {
			args = []string{"worktree", "add", "-q", "--detach", filepath.Join(root, "wt", name)}
		}
		user(t, env, dir, args...)
	}
	git(t, env, dir, "worktree", "lock", filepath.Join(root, "wt", "plain"))
	for i, name := range names {
		work := filepath.Join(root, "wt", name)
		repo := find(t, env, work)
		list, err := repo.Worktrees(ctx)
		if err != nil || len(list) != len(names)+1 || list[0].Path != dir || list[0].GitDir != filepath.Join(dir, ".git") || list[0].Branch != "main" {
			t.Fatalf("from %q: %+v, %v", name, list, err)
		}
		at := slices.IndexFunc(list, func(w Worktree) bool { return w.Path == work })
		branch := fmt.Sprintf("b/%d", i)
		if name == "detached" {
			branch = ""
		}
		if at < 1 || list[at].GitDir != repo.GitDir || list[at].Branch != branch || repo.Branch(ctx) != branch || repo.WorktreeName() != filepath.Base(repo.GitDir) {
			t.Errorf("%q: %+v, repository %+v, branch %q", name, list, repo, repo.Branch(ctx))
		}
	}
}

// TestTracked: a list that is kept is the index's own, whatever becomes of that.
func TestTracked(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	r := find(t, env, dir)
	want := func(names string) {
		t.Helper()
		for range 2 {
			got, err := r.Tracked(context.Background())
			if err != nil || strings.Join(got, " ") != names {
				t.Errorf("got %q, %v, want %q", got, err, names)
			}
		}
	}
	git(t, env, dir, "rm", "-rq", "--cached", "--ignore-unmatch", ".")
	want("")
	for i, name := range []string{"a", "b", "c"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o666); err != nil {
			t.Fatal(err)
		}
		git(t, env, dir, "add", name)
		want(strings.Join([]string{"a", "b", "c"}[:i+1], " "))
	}
	git(t, env, dir, "mv", "b", "d") // as many bytes
	want("a c d")
	os.Remove(filepath.Join(dir, ".git", "index"))
	want("")
}

// TestLeadsOn: whether a log has grown is known for near commits without git, and for all
// others with it.
func TestLeadsOn(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	s := open(t, env, dir, Options{})
	defer s.Close()
	var chain []OID
	for i := range stepsBack + 5 {
		put(t, s, fmt.Sprintf("mail/2026/%d", i), "x")
		sn, err := s.Snapshot(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, sn.logs[sn.own].OID)
	}
	last := len(chain) - 1
	for _, tc := range []struct {
		from, to int
		want     bool
	}{{last - 1, last, true}, {last - stepsBack, last, true}, {0, last, true}, {last, last - 1, false}, {last, 0, false}} {
		if got, err := s.leadsOn(context.Background(), chain[tc.from], chain[tc.to]); err != nil || got != tc.want {
			t.Errorf("%d to %d: %v, %v", tc.from, tc.to, got, err)
		}
	}
	if _, err := s.leadsOn(context.Background(), chain[0], strings.Repeat("1", 40)); err == nil {
		t.Error("a commit that is not there leads on")
	}
}
