//go:build unix

package gitstore

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// user runs git as the user does who has a name.
func user(t testing.TB, env []string, dir string, args ...string) string {
	t.Helper()
	return git(t, env, dir, append([]string{"-c", "user.name=U", "-c", "user.email=u@example.com", "-c", "protocol.file.allow=always"}, args...)...)
}

func writeFile(t testing.TB, name, data string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(data), 0o666); err != nil {
		t.Fatal(err)
	}
}

// treeHash returns mode and contents of everything below dir.
func treeHash(t testing.TB, dir string) map[string]string {
	t.Helper()
	m := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		what := st.Mode().String()
		switch {
		case st.Mode().IsRegular():
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			what += fmt.Sprintf(" %d %x", len(data), sha256.Sum256(data))
		case st.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			what += " " + to
		}
		rel, _ := filepath.Rel(dir, path)
		m[rel] = what
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// sameTree compares two results of treeHash.
func sameTree(t testing.TB, what string, before, after map[string]string) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if after[name] != before[name] {
			t.Errorf("%s: %q was %s, now %q", what, name, before[name], after[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if _, ok := before[name]; !ok {
			t.Errorf("%s: %q is new: %s", what, name, after[name])
		}
	}
}

// seen is the user's side of a repository: what no write of ours may change.
func seen(t testing.TB, env []string, dir string) string {
	t.Helper()
	env = append(env[:len(env):len(env)], "GIT_OPTIONAL_LOCKS=0")
	gitDir := git(t, env, dir, "rev-parse", "--absolute-git-dir")
	var b strings.Builder
	for _, name := range []string{"HEAD", "index", "config"} {
		data, _ := os.ReadFile(filepath.Join(gitDir, name))
		fmt.Fprintf(&b, "%s %x\n", name, sha256.Sum256(data))
	}
	for line := range strings.SplitSeq(git(t, env, dir, "for-each-ref"), "\n") {
		if !strings.Contains(line, refRoot) {
			b.WriteString(line + "\n")
		}
	}
	if git(t, env, dir, "rev-parse", "--is-inside-work-tree") == "true" {
		b.WriteString(git(t, env, dir, "status", "--porcelain=v2", "--branch", "--ignored"))
	}
	return b.String()
}

// A kind of repository: where to write and where to read, and in which
// environment.
type kind struct {
	write, read string
	env         []string
}

// eachKind runs fn in a repository of every kind that is not slow to make.
func eachKind(t *testing.T, fn func(t *testing.T, env []string, root string, k kind)) {
	for name, mk := range kinds() {
		if name == "many packed refs" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			env, root := testEnv(t), t.TempDir()
			fn(t, env, root, mk(t, env, root))
		})
	}
}

func kinds() map[string]func(t *testing.T, env []string, root string) kind {
	type maker = func(t *testing.T, env []string, root string) kind
	at := func(dir string) kind { return kind{write: dir, read: dir} }
	plain := func(t *testing.T, env []string, root string) string {
		dir := filepath.Join(root, "r")
		copySeed(t, "plain", dir, func(dir string) {
			git(t, env, "", "init", "-q", "-b", "main", dir)
			writeFile(t, filepath.Join(dir, "a"), "a")
			writeFile(t, filepath.Join(dir, "sub", "b"), "b")
			user(t, env, dir, "add", ".")
			user(t, env, dir, "commit", "-q", "-m", "one")
			user(t, env, dir, "commit", "-q", "--allow-empty", "-m", "two")
		})
		git(t, env, dir, "update-index", "-q", "--refresh") // the copies are other files
		return dir
	}
	// with is the plain kind after some git commands.
	with := func(cmds ...[]string) maker {
		return func(t *testing.T, env []string, root string) kind {
			dir := plain(t, env, root)
			for _, c := range cmds {
				user(t, env, dir, c...)
			}
			return at(dir)
		}
	}
	config := func(key, value string) maker { return with([]string{"config", key, value}) }
	clone := func(args ...string) maker {
		return func(t *testing.T, env []string, root string) kind {
			up := plain(t, env, root)
			git(t, env, up, "config", "uploadpack.allowFilter", "true")
			dir := filepath.Join(root, "clone")
			user(t, env, root, append(append([]string{"clone", "-q"}, args...), "file://"+up, dir)...)
			return at(dir)
		}
	}
	named := func(name string) maker {
		return func(t *testing.T, env []string, root string) kind {
			root = filepath.Join(root, name)
			if err := os.Mkdir(root, 0o777); err != nil {
				t.Fatal(err)
			}
			dir := plain(t, env, root)
			user(t, env, dir, "worktree", "add", "-q", filepath.Join(root, "wt"))
			return kind{write: dir, read: filepath.Join(root, "wt")}
		}
	}
	leaked := func(vars ...string) maker {
		return func(t *testing.T, env []string, root string) kind {
			dir := plain(t, env, root)
			other := filepath.Join(root, "other")
			for _, d := range []string{"objects/pack", "objects/info"} {
				if err := os.MkdirAll(filepath.Join(other, d), 0o777); err != nil {
					t.Fatal(err)
				}
			}
			env = env[:len(env):len(env)]
			for _, v := range vars {
				env = append(env, strings.NewReplacer("{other}", other, "{dir}", dir).Replace(v))
			}
			return kind{dir, dir, env}
		}
	}
	return map[string]maker{
		"plain": with(),
		"directory": func(t *testing.T, env []string, root string) kind {
			dir := plain(t, env, root)
			return kind{write: filepath.Join(dir, "sub"), read: dir}
		},
		"git directory": func(t *testing.T, env []string, root string) kind {
			dir := plain(t, env, root)
			return kind{write: filepath.Join(dir, ".git"), read: dir}
		},
		"linked worktree": func(t *testing.T, env []string, root string) kind {
			dir := plain(t, env, root)
			user(t, env, dir, "worktree", "add", "-q", filepath.Join(root, "wt"))
			return kind{write: filepath.Join(root, "wt"), read: dir}
		},
		"bare": clone("--bare"),
		"bare with worktree": func(t *testing.T, env []string, root string) kind {
			k := clone("--bare")(t, env, root)
			user(t, env, k.write, "worktree", "add", "-q", filepath.Join(root, "wt"))
			return kind{write: filepath.Join(root, "wt"), read: k.write}
		},
		"submodule": func(t *testing.T, env []string, root string) kind {
			up := plain(t, env, root)
			dir := filepath.Join(root, "super")
			git(t, env, "", "init", "-q", dir)
			user(t, env, dir, "submodule", "--quiet", "add", up, "mod")
			return at(filepath.Join(dir, "mod"))
		},
		"separate git dir": clone("--separate-git-dir=elsewhere"),
		"symlinked .git": func(t *testing.T, env []string, root string) kind {
			dir := plain(t, env, root)
			if err := os.Rename(filepath.Join(dir, ".git"), filepath.Join(root, "real")); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("../real", filepath.Join(dir, ".git")); err != nil {
				t.Fatal(err)
			}
			return at(dir)
		},
		"symlinked directory": func(t *testing.T, env []string, root string) kind {
			dir := plain(t, env, root)
			if err := os.Symlink(dir, filepath.Join(root, "link")); err != nil {
				t.Fatal(err)
			}
			return kind{write: filepath.Join(root, "link"), read: dir}
		},
		"mirror":      clone("--mirror"),
		"shallow":     clone("--depth=1"),
		"partial":     clone("--filter=blob:none", "--no-checkout"),
		"treeless":    clone("--filter=tree:0", "--no-checkout"),
		"shared":      clone("--shared"),
		"sparse":      with([]string{"sparse-checkout", "set", "sub"}, []string{"config", "extensions.worktreeConfig", "true"}),
		"detached":    with([]string{"checkout", "-q", "--detach"}),
		"unborn":      with([]string{"checkout", "-q", "--orphan", "new"}),
		"staged":      with([]string{"rm", "-q", "--cached", "a"}),
		"packed refs": with([]string{"pack-refs", "--all"}),
		"many packed refs": func(t *testing.T, env []string, root string) kind {
			dir := plain(t, env, root)
			head := git(t, env, dir, "rev-parse", "HEAD")
			many := 3000 // far more than one buffer of the file; how long it takes is for the benchmarks
			if soak() {
				many = 50000
			}
			var b strings.Builder
			b.WriteString("# pack-refs with: peeled fully-peeled sorted \n")
			for i := range many {
				fmt.Fprintf(&b, "%s refs/heads/topic/%05d\n", head, i)
			}
			writeFile(t, filepath.Join(dir, ".git", "packed-refs"), b.String())
			return at(dir)
		},
		"refusing hook": func(t *testing.T, env []string, root string) kind {
			dir := plain(t, env, root)
			hook := filepath.Join(root, "hooks", "reference-transaction")
			writeFile(t, hook, "#!/bin/sh\necho no >&2\nexit 1\n")
			os.Chmod(hook, 0o755)
			user(t, env, dir, "config", "core.hooksPath", filepath.Dir(hook))
			return at(dir)
		},
		"config only":        config("user.useConfigOnly", "true"),
		"odd e-mail":         config("user.email", "<a b>\n"),
		"odd name":           config("user.name", "<>\"\n é. "),
		"signing":            with([]string{"config", "commit.gpgsign", "true"}, []string{"config", "user.signingkey", "none"}, []string{"config", "gpg.program", "/nonexistent"}),
		"no fsync":           config("core.fsync", "none"),
		"endless lock":       config("core.filesRefLockTimeout", "-1"),
		"small packs":        config("pack.packSizeLimit", "1m"),
		"no reflogs":         config("core.logAllRefUpdates", "false"),
		"reverse index":      config("pack.writeReverseIndex", "true"),
		"old indexes":        config("pack.indexVersion", "1"),
		"precious":           with([]string{"config", "core.repositoryformatversion", "1"}, []string{"config", "extensions.preciousObjects", "true"}),
		"multi-pack index":   with([]string{"repack", "-q", "-d"}, []string{"multi-pack-index", "write"}),
		"commit graph":       with([]string{"commit-graph", "write", "--reachable"}),
		"commit graph chain": with([]string{"commit-graph", "write", "--reachable", "--split"}),
		"replaced":           with([]string{"replace", "HEAD", "HEAD~"}),
		"spaces":             named("a  b "),
		"newline":            named("a\nb"),
		"two newlines":       named("\na\n\nb\n"),
		"quotes":             named(`a"b'c\d`),
		"colon and glob":     named("a:b*[c]?"),
		"umlauts":            named("é-日本"),
		"not UTF-8":          named("a\xffb"),
		"leading dash":       named("-n"),
		"leaked index":       leaked("GIT_INDEX_FILE={dir}/.git/nonexistent", "GIT_PREFIX=sub/"),
		"leaked objects":     leaked("GIT_OBJECT_DIRECTORY={other}/objects", "GIT_ALTERNATE_OBJECT_DIRECTORIES={dir}/.git/objects", "GIT_QUARANTINE_PATH={other}/objects"),
		"leaked directory":   leaked("GIT_DIR={dir}/.git", "GIT_WORK_TREE={dir}"),
		"leaked settings":    leaked("GIT_CONFIG={other}/none", "GIT_GRAFT_FILE={other}/none", "GIT_SHALLOW_FILE={other}/none", "GIT_REPLACE_REF_BASE=refs/heads/", "GIT_NAMESPACE=x"),
		"leaked trace":       leaked("GIT_TRACE=1", "GIT_TRACE2_EVENT=2", "GIT_FLUSH=0", "GIT_PAGER=false", "PAGER=false", "GIT_EDITOR=false", "LANGUAGE=de", "TZ=Pacific/Auckland"),
	}
}

// TestKinds writes and reads in every kind of repository, and takes everything
// out again.
func TestKinds(t *testing.T) {
	for name, mk := range kinds() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env, root := testEnv(t), t.TempDir()
			k := mk(t, env, root)
			mine := env // the user's, without what leaked
			if k.env != nil {
				env = k.env
			}
			state := seen(t, mine, k.read)
			tree := treeHash(t, root)

			n := 3
			if strings.Contains(name, "pack") || strings.Contains(name, "glob") || strings.Contains(name, "newline") || strings.Contains(name, "leaked objects") {
				n = MaxPacks + 3 // these have to do with the merging of packs
			}
			s := open(t, env, k.write, Options{Report: func(msg string) { t.Errorf("reported: %s", msg) }})
			want := map[string]string{}
			for i := range n {
				path, data := fmt.Sprintf("m/%d", i), name
				if name == "small packs" { // more than fits into one of those
					random := make([]byte, 150_000) // does not compress
					rand.NewChaCha8(sha256.Sum256([]byte(path))).Read(random)
					data = string(random)
				}
				put(t, s, path, data)
				want[path] = data
			}
			if got := contents(t, env, k.read); !maps.Equal(got, want) {
				t.Errorf("read %q, want %q", got, want)
			}
			if got := contents(t, mine, k.write); !maps.Equal(got, want) {
				t.Errorf("read %q where it was written, want %q", got, want)
			}
			if now := seen(t, mine, k.read); now != state {
				t.Errorf("the user's side was\n%s\nnow\n%s", state, now)
			}
			if name != "replaced" && name != "treeless" { // there git itself finds fault
				sound(t, mine, k.read)
			}
			log := git(t, mine, k.read, "log", "--format=%an|%cn|%ce|%ct", "--glob="+logPrefix+"*")
			if lines := strings.Split(log, "\n"); len(lines) != n || !strings.HasPrefix(lines[0], "A|") || !strings.HasSuffix(lines[0], fmt.Sprint("|", committerDate)) {
				t.Errorf("log: %s", log)
			}

			if err := s.Purge(context.Background(), false); err != nil {
				t.Fatalf("purge: %v", err)
			}
			s.Close()
			sameTree(t, "after purge", tree, treeHash(t, root))
		})
	}
}

// TestPartialCloneStaysOffline counts how often git asks the server of a partial
// clone for something: a missing object must not be looked for there.
func TestPartialCloneStaysOffline(t *testing.T) {
	t.Parallel()
	for _, filter := range []string{"blob:none", "tree:0"} {
		env, root := testEnv(t), t.TempDir()
		k := kinds()["plain"](t, env, root)
		git(t, env, k.write, "config", "uploadpack.allowFilter", "true")
		git(t, env, k.write, "config", "uploadpack.allowAnySHA1InWant", "true")
		dir, asked := filepath.Join(root, "clone"), filepath.Join(root, "asked")
		user(t, env, root, "clone", "-q", "--no-checkout", "--filter="+filter, "file://"+k.write, dir)
		pack := filepath.Join(root, "upload-pack")
		writeFile(t, pack, "#!/bin/sh\necho asked >>"+asked+"\nexec git-upload-pack \"$@\"\n")
		os.Chmod(pack, 0o755)
		git(t, env, dir, "config", "remote.origin.uploadpack", pack)
		git(t, env, dir, "cat-file", "-p", "HEAD:a")
		if data, _ := os.ReadFile(asked); len(data) == 0 {
			t.Fatal("git does not ask the server: this test shows nothing")
		}
		os.Remove(asked)

		s := open(t, env, dir, Options{})
		fill(t, s, 0, MaxPacks+2)
		contents(t, env, dir)
		packs, err := s.ourPacks(context.Background(), false)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range packs {
			os.Remove(p.base + ".pack")
			os.Remove(p.base + ".idx")
		}
		s.Close()
		sn, err := s.Snapshot(context.Background())
		if err == nil {
			err = sn.Walk(context.Background(), "", func(File) error { return nil })
		}
		if KindOf(err) != Damaged {
			t.Errorf("%s: a missing object: %v (%s)", filter, err, KindOf(err))
		}
		if _, err := s.Update(context.Background(), func(tx *Tx) (CommitInfo, error) {
			return CommitInfo{Subject: "s"}, tx.Create("new", nil)
		}); KindOf(err) != Damaged {
			t.Errorf("%s: a write on missing objects: %v (%s)", filter, err, KindOf(err))
		}
		if err := s.Purge(context.Background(), false); err != nil {
			t.Error(err)
		}
		if data, _ := os.ReadFile(asked); len(data) > 0 {
			t.Errorf("%s: the server was asked %d times", filter, strings.Count(string(data), "\n"))
		}
	}
}
