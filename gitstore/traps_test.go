//go:build unix

package gitstore

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// fill writes n files and returns all there is.
func fill(t testing.TB, s *Store, from, n int) map[string]string {
	t.Helper()
	want := map[string]string{}
	for i := range from + n {
		path := fmt.Sprintf("m/%02d/%d", i%5, i)
		want[path] = fmt.Sprint(i)
		if i >= from {
			put(t, s, path, fmt.Sprint(i))
		}
	}
	return want
}

// TestStrays lets git commands of the user's, and of their settings, remove our
// refs or set them back (T29). Nothing that was acknowledged is lost, and the
// log goes on from where it was.
func TestStrays(t *testing.T) {
	const n = 3
	for _, c := range []struct {
		name  string
		write bool // write at once, without a look before
		do    func(t *testing.T, env []string, dir, up, ref string)
	}{
		{"fetch of our namespace", false, func(t *testing.T, env []string, dir, up, ref string) {
			git(t, env, dir, "push", "-q", up, ref+"~1:"+ref) // an old state of it is there
			git(t, env, dir, "fetch", "-q", up, "+refs/agentmail/*:refs/agentmail/*")
		}},
		{"fetch with a refspec of all, pruning", false, func(t *testing.T, env []string, dir, up, ref string) {
			git(t, env, dir, "config", "remote.origin.fetch", "+refs/*:refs/*")
			git(t, env, dir, "config", "fetch.prune", "true")
			git(t, env, dir, "checkout", "-q", "--detach")
			git(t, env, dir, "fetch", "-q", up)
			git(t, env, dir, "fetch", "-q", "origin")
		}},
		{"push --mirror from elsewhere", false, func(t *testing.T, env []string, dir, up, ref string) {
			git(t, env, dir, "config", "receive.denyCurrentBranch", "ignore")
			git(t, env, up, "push", "-q", "--mirror", dir)
		}},
		{"push --mirror from elsewhere, then a write", true, func(t *testing.T, env []string, dir, up, ref string) {
			git(t, env, dir, "config", "receive.denyCurrentBranch", "ignore")
			git(t, env, up, "push", "-q", "--mirror", dir)
		}},
		{"deleted by hand", false, func(t *testing.T, env []string, dir, up, ref string) { git(t, env, dir, "update-ref", "-d", ref) }},
		{"deleted by hand, then a write", true, func(t *testing.T, env []string, dir, up, ref string) { git(t, env, dir, "update-ref", "-d", ref) }},
		{"set back by hand", false, func(t *testing.T, env []string, dir, up, ref string) { git(t, env, dir, "update-ref", ref, ref+"~1") }},
		{"set back by hand, then a write", true, func(t *testing.T, env []string, dir, up, ref string) {
			git(t, env, dir, "update-ref", ref, ref+"~2")
		}},
		{"set to a branch", true, func(t *testing.T, env []string, dir, up, ref string) { git(t, env, dir, "update-ref", ref, "HEAD") }},
		{"packed, then deleted by hand", true, func(t *testing.T, env []string, dir, up, ref string) {
			git(t, env, dir, "pack-refs", "--all")
			git(t, env, dir, "update-ref", "-d", ref)
			git(t, env, dir, "gc", "-q", "--prune=now")
		}},
		{"packed and set back", false, func(t *testing.T, env []string, dir, up, ref string) {
			git(t, env, dir, "update-ref", ref, ref+"~1")
			git(t, env, dir, "pack-refs", "--all")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			env := testEnv(t)
			up := newRepo(t, env)
			dir := filepath.Join(t.TempDir(), "r")
			git(t, env, "", "clone", "-q", up, dir)
			git(t, env, dir, "remote", "set-head", "origin", "--delete") // else fsck finds it when its branch goes
			s := open(t, env, dir, Options{LockWait: 2 * time.Second})
			want := fill(t, s, 0, n)
			ref := git(t, env, dir, "for-each-ref", "--format=%(refname)", refRoot)
			tip := git(t, env, dir, "rev-parse", ref)
			c.do(t, env, dir, up, ref)
			if now, err := exec.Command("git", "-C", dir, "rev-parse", "--verify", "-q", ref).Output(); err == nil && strings.TrimSpace(string(now)) == tip {
				t.Fatal("the ref was not touched: this test shows nothing")
			}
			if !c.write {
				if got := contents(t, env, dir); !maps.Equal(got, want) {
					t.Errorf("read %q, want %q", got, want)
				}
				if now := git(t, env, dir, "rev-parse", ref); now != tip {
					t.Errorf("a read left the ref at %s, want %s", now, tip)
				}
			}
			want = fill(t, s, n, 2)
			if got := contents(t, env, dir); !maps.Equal(got, want) {
				t.Errorf("read %q, want %q", got, want)
			}
			if count := git(t, env, dir, "rev-list", "--count", ref); count != fmt.Sprint(n+2) {
				t.Errorf("the log has %s commits, want %d", count, n+2)
			}
			sound(t, env, dir)
		})
	}
}

// TestUserRepacks runs everything with which users tidy up, beside a store that
// stays open.
func TestUserRepacks(t *testing.T) {
	for _, cmds := range []string{
		"repack -q -a -d -F", "gc -q --aggressive --prune=now", "repack -q -a -d --pack-kept-objects", "prune --expire=now",
		"repack -q -a -d --write-midx", "multi-pack-index write;multi-pack-index expire;multi-pack-index repack;multi-pack-index expire",
		"gc -q --keep-largest-pack", "maintenance run --quiet --task=loose-objects --task=incremental-repack --task=commit-graph --task=pack-refs",
		"reflog expire --expire=now --all;gc -q --prune=now", "pack-refs --all --prune;prune-packed -q", "commit-graph write --reachable --split",
		"repack -q -d --geometric=2",
	} {
		t.Run(cmds, func(t *testing.T) {
			t.Parallel()
			env := testEnv(t)
			dir := newRepo(t, env)
			s := open(t, env, dir, Options{})
			sn := func() *Snapshot {
				sn, err := s.Snapshot(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				return sn
			}
			n := 0
			for range 2 { // packs of ours are merged in the second
				want := fill(t, s, n, MaxPacks/2+1)
				n += MaxPacks/2 + 1
				old := sn()
				for c := range strings.SplitSeq(cmds, ";") {
					git(t, env, dir, strings.Fields(c)...)
				}
				sound(t, env, dir)
				if got := contents(t, env, dir); !maps.Equal(got, want) {
					t.Errorf("read %d files, want %d", len(got), len(want))
				}
				if files, err := old.List(context.Background(), "m/", nil); err != nil || len(files) != len(want) {
					t.Errorf("the open store lists %d files, want %d: %v", len(files), len(want), err)
				}
			}
			if packs, err := s.ourPacks(context.Background(), false); err != nil || len(packs) > MaxPacks {
				t.Errorf("%d packs, %v", len(packs), err)
			}
			if err := s.Purge(context.Background(), false); err != nil {
				t.Fatal(err)
			}
			sound(t, env, dir)
			if out := git(t, env, dir, "for-each-ref", refRoot); out != "" {
				t.Errorf("after purge: %s", out)
			}
		})
	}
}

// TestPushesNothing pushes as users do (T10).
func TestPushesNothing(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	hub := filepath.Join(t.TempDir(), "hub")
	git(t, env, "", "init", "-q", "--bare", hub)
	git(t, env, dir, "remote", "add", "origin", hub)
	fill(t, open(t, env, dir, Options{}), 0, 3)
	git(t, env, dir, "tag", "v1")
	for _, args := range [][]string{{"push", "-q", "-u", "origin", "main"}, {"push", "-q"}, {"push", "-q", "--all"}, {"push", "-q", "--tags"},
		{"-c", "push.default=matching", "push", "-q"}, {"push", "-q", "--follow-tags"}, {"-c", "push.followTags=true", "push", "-q", "--all"}} {
		git(t, env, dir, args...)
	}
	if out := git(t, env, hub, "for-each-ref", "--format=%(refname)"); out != "refs/heads/main\nrefs/tags/v1" {
		t.Errorf("the hub has %s", out)
	}
	if out := git(t, env, hub, "rev-list", "--all", "--objects"); strings.Contains(out, "agentmail") {
		t.Errorf("the hub has objects of ours: %s", out)
	}
	// A careful hub takes the log when it is pushed on purpose.
	git(t, env, hub, "config", "receive.fsckObjects", "true")
	git(t, env, dir, "push", "-q", "origin", "refs/agentmail/*:refs/agentmail/*")
}

// TestNames checks the names of all refs that we make (T8), and that one made
// by somebody else in their place is no "no mail yet".
func TestNames(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	s := open(t, env, dir, Options{})
	fill(t, s, 0, 2)
	for ref := range strings.SplitSeq(git(t, env, dir, "for-each-ref", "--format=%(refname)", refRoot), "\n") {
		if name, ok := strings.CutPrefix(ref, logPrefix); !ok || !isReplica(name) {
			t.Errorf("the ref %q is outside the frozen namespace", ref)
		}
	}
	for _, name := range []string{"log", "log/x/y", "meta", "locks"} {
		t.Run(name, func(t *testing.T) {
			dir := newRepo(t, env)
			git(t, env, dir, "update-ref", refRoot+name, "HEAD")
			for _, pack := range []bool{false, true} {
				if pack {
					git(t, env, dir, "pack-refs", "--all")
				}
				s := open(t, env, dir, Options{LockWait: time.Second})
				_, err := s.Update(context.Background(), func(tx *Tx) (CommitInfo, error) {
					return CommitInfo{Subject: "s"}, tx.Create(fmt.Sprint(pack), nil)
				})
				if name == "log" && (err == nil || !strings.Contains(err.Error(), "refs/agentmail/log")) || name != "log" && err != nil {
					t.Errorf("packed %v: %v (%s)", pack, err, KindOf(err))
				}
			}
		})
	}
}

// TestReflog recovers from a bad value in our ref by git's own means (T7).
func TestReflog(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	fill(t, open(t, env, dir, Options{}), 0, 4)
	ref := git(t, env, dir, "for-each-ref", "--format=%(refname)", refRoot)
	tip := git(t, env, dir, "rev-parse", ref)
	git(t, env, dir, "update-ref", "-m", "a mistake", ref, "HEAD")
	log := strings.Split(git(t, env, dir, "reflog", "show", "--format=%H %gs", ref), "\n")
	if len(log) != 5 || log[1] != tip+" "+moved || !strings.HasSuffix(log[0], "a mistake") {
		t.Errorf("reflog: %q", log)
	}
}

// shim puts a program before git on PATH, also in env, that does what a branch
// of a case statement on " arguments " says and then runs git. In it GIT is git
// itself and LOG a file, whose name is returned.
func shim(t *testing.T, env []string, branch string) (log string) {
	t.Helper()
	real, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	log = filepath.Join(bin, "log")
	branch = strings.NewReplacer("GIT ", real+" ", "LOG", log).Replace(branch)
	writeFile(t, filepath.Join(bin, "git"), "#!/bin/sh\ncase \" $* \" in\n"+branch+"\nesac\nexec "+real+" \"$@\"\n")
	os.Chmod(filepath.Join(bin, "git"), 0o755)
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	for i := range env {
		if strings.HasPrefix(env[i], "PATH=") {
			env[i] = "PATH=" + os.Getenv("PATH")
		}
	}
	return log
}

// TestGarbageCollectionInBetween prunes everything unreachable at the worst
// moment, when the objects are written and the ref has not moved (T14).
func TestGarbageCollectionInBetween(t *testing.T) {
	env := testEnv(t)
	dir := newRepo(t, env)
	fill(t, open(t, env, dir, Options{}), 0, 1)
	log := shim(t, env, `*" update-ref "*) in=$(cat) && GIT reflog expire --expire=now --all && GIT gc -q --prune=now && echo pruned >>LOG || exit 1
		printf '%s\n' "$in" | GIT "$@"; exit;;`)
	want := fill(t, open(t, env, dir, Options{}), 1, 3)
	if data, _ := os.ReadFile(log); strings.Count(string(data), "pruned") != 3 {
		t.Fatalf("pruned: %q", data)
	}
	if got := contents(t, env, dir); !maps.Equal(got, want) {
		t.Errorf("read %q, want %q", got, want)
	}
	sound(t, env, dir)
}

// TestGitThatDoesNotListen: a git that says it is done without having moved the ref
// is not believed, and leaves nothing behind that is in the way of the next write.
func TestGitThatDoesNotListen(t *testing.T) {
	for name, branch := range map[string]string{
		"reads nothing":       `*" update-ref "*) exit 0;;`,
		"loses the last word": `*" update-ref "*) head -n 2 | GIT "$@"; exit;;`,
		"fails":               `*" update-ref "*) cat > /dev/null; exit 1;;`,
	} {
		t.Run(name, func(t *testing.T) {
			env := testEnv(t)
			dir := newRepo(t, env)
			want := fill(t, open(t, env, dir, Options{}), 0, 1)
			deaf := slices.Clone(env)
			shim(t, deaf, branch)
			if _, err := open(t, deaf, dir, Options{}).Update(context.Background(), create("lost")); KindOf(err) != GitFailed {
				t.Errorf("got %v", err)
			}
			t.Setenv("PATH", strings.SplitN(os.Getenv("PATH"), ":", 2)[1])
			if got := contents(t, env, dir); !maps.Equal(got, want) {
				t.Errorf("read %q, want %q", got, want)
			}
			if note, _ := os.ReadFile(filepath.Join(dir, ".git", "agentmail", "moving")); len(note) > 0 {
				t.Errorf("the note %q was left", note)
			}
			put(t, open(t, env, dir, Options{}), "after", "x")
			sound(t, env, dir)
		})
	}
}

// TestPackIsWrittenInVain: git waits to be told to move the ref, and the pack cannot
// be written. Nothing moves, and no process is left waiting.
func TestPackIsWrittenInVain(t *testing.T) {
	env := testEnv(t)
	dir := newRepo(t, env)
	want := fill(t, open(t, env, dir, Options{}), 0, 1)
	packs := filepath.Join(dir, ".git", "objects", "pack")
	if err := os.Rename(packs, packs+"-away"); err != nil {
		t.Fatal(err)
	}
	writeFile(t, packs, "in the way")
	log := shim(t, env, `*" update-ref "*) echo begun >>LOG; GIT "$@"; echo "ended $?" >>LOG; exit;;`)
	if _, err := open(t, env, dir, Options{}).Update(context.Background(), create("lost")); err == nil {
		t.Error("no error")
	}
	if data, _ := os.ReadFile(log); len(data) > 0 && string(data) != "begun\nended 0\n" {
		t.Errorf("git %q", data)
	}
	os.Remove(packs)
	if err := os.Rename(packs+"-away", packs); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, env, dir); !maps.Equal(got, want) {
		t.Errorf("read %q, want %q", got, want)
	}
	put(t, open(t, env, dir, Options{}), "after", "x")
	sound(t, env, dir)
}

// TestPacked reads indexes of both versions as git does, and refuses broken ones.
func TestPacked(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"1", "2"} {
		env := testEnv(t)
		dir := newRepo(t, env)
		git(t, env, dir, "-c", "pack.indexVersion="+version, "repack", "-q", "-a", "-d")
		found, _ := filepath.Glob(filepath.Join(dir, ".git", "objects", "pack", "*.idx"))
		if len(found) != 1 {
			t.Fatal(found)
		}
		s, p := open(t, env, dir, Options{}), packFile{base: strings.TrimSuffix(found[0], ".idx")}
		got, err := s.packed(p)
		want := strings.Fields(git(t, env, dir, "cat-file", "--batch-all-objects", "--batch-check=%(objectname)"))
		if err != nil || len(want) < 2 || !slices.Equal(got, want) {
			t.Errorf("version %s: %q, %v, git has %q", version, got, err, want)
		}
		data, err := os.ReadFile(found[0])
		if err != nil {
			t.Fatal(err)
		}
		for _, cut := range []int{0, 8, 1024, 1040} {
			os.Remove(found[0])
			writeFile(t, found[0], string(data[:cut]))
			if list, err := s.packed(p); KindOf(err) != Damaged {
				t.Errorf("version %s, %d bytes: %q, %v", version, cut, list, err)
			}
		}
	}
}

// TestIndexIsMadeAgain: a pack of ours that lost its index, as a writer that was
// killed leaves one, or somebody's hand, gets it back when packs are merged.
func TestIndexIsMadeAgain(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	s := open(t, env, dir, Options{})
	want := fill(t, s, 0, MaxPacks-1)
	packs, err := s.ourPacks(context.Background(), false)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(packs[0].base+".idx", filepath.Join(t.TempDir(), "idx")); err != nil {
		t.Fatal(err)
	}
	s.Close()
	l, err := s.acquire(context.Background(), time.Second, true)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.ourPacks(context.Background(), true)
	l.release()
	if err != nil || len(got) != len(packs) {
		t.Errorf("%d packs of %d, %v", len(got), len(packs), err)
	}
	if got := contents(t, env, dir); !maps.Equal(got, want) {
		t.Errorf("read %q, want %q", got, want)
	}
	sound(t, env, dir)
}

// TestInsideHooks writes in every hook of a commit (T12). What the commit holds,
// and what index and work tree look like, is as without us.
func TestInsideHooks(t *testing.T) {
	t.Parallel()
	exe, err := childExe()
	if err != nil {
		t.Fatal(err)
	}
	hooks := []string{"pre-commit", "prepare-commit-msg", "commit-msg", "post-commit", "pre-merge-commit", "post-merge", "post-checkout", "post-index-change", "pre-push", "reference-transaction"}
	for _, linked := range []bool{false, true} {
		t.Run(fmt.Sprintf("linked %v", linked), func(t *testing.T) {
			t.Parallel()
			env := append(testEnv(t), "GIT_AUTHOR_DATE=2020-01-01T00:00:00Z", "GIT_COMMITTER_DATE=2020-01-01T00:00:00Z", "EDITOR=true")
			play := func(with bool) (state string, dir string) {
				dir = newRepo(t, env)
				hub := filepath.Join(t.TempDir(), "hub")
				git(t, env, "", "init", "-q", "--bare", hub)
				ran := filepath.Join(hub, "ran")
				if with {
					args, err := json.Marshal(childConfig{Dir: ".", Prefix: "HOOK-PID", Count: 1, Wait: time.Minute})
					if err != nil {
						t.Fatal(err)
					}
					for _, h := range hooks {
						script := "#!/bin/sh\n" + childMode + "=write " + childArgs + "='" + strings.Replace(string(args), "HOOK-PID", h+`-'$$'`, 1) + "' '" + exe + "' >>'" + ran + "' || echo failed " + h + " >>'" + ran + "'\nexit 0\n"
						writeFile(t, filepath.Join(dir, ".git", "hooks", h), script)
						os.Chmod(filepath.Join(dir, ".git", "hooks", h), 0o755)
					}
				}
				work := dir
				if linked {
					work = filepath.Join(t.TempDir(), "wt")
					git(t, env, dir, "worktree", "add", "-q", "-b", "side", work)
				}
				for _, name := range []string{"a", "b", "c", "d"} {
					writeFile(t, filepath.Join(work, name), "1")
				}
				user(t, env, work, "add", ".")
				user(t, env, work, "commit", "-q", "-m", "all")
				for _, name := range []string{"a", "b", "c", "d"} {
					writeFile(t, filepath.Join(work, name), "2")
				}
				user(t, env, work, "add", "a", "b")
				user(t, env, work, "commit", "-q", "--only", "-m", "only c", "c")
				state = seen(t, env, work)
				user(t, env, work, "commit", "-q", "-m", "staged")
				state += seen(t, env, work)
				user(t, env, work, "commit", "-q", "-a", "-m", "rest")
				user(t, env, work, "commit", "-q", "--amend", "--allow-empty", "-m", "again")
				user(t, env, work, "checkout", "-q", "-b", "topic", "HEAD~1")
				user(t, env, work, "merge", "-q", "--no-ff", "-m", "merge", "@{-1}")
				user(t, env, work, "push", "-q", hub, "HEAD:refs/heads/x")
				if with {
					data, _ := os.ReadFile(ran)
					for _, h := range hooks {
						if !strings.Contains(string(data), "pairs/"+h+"-") {
							t.Errorf("nothing was written in %s: %q", h, data)
						}
					}
					if strings.Contains(string(data), "failed") || strings.Contains(string(data), "kind=") {
						t.Errorf("a write failed: %s", data)
					}
					holds(t, env, dir, strings.Fields(string(data)))
				}
				state += seen(t, env, work) + git(t, env, work, "ls-files", "-s") + git(t, env, work, "rev-list", "--objects", "--branches")
				return state, dir
			}
			without, _ := play(false)
			with, dir := play(true)
			// The files' times differ, and so the index; its contents are compared above.
			strip := func(s string) string {
				var keep []string
				for line := range strings.SplitSeq(s, "\n") {
					if !strings.HasPrefix(line, "index ") {
						keep = append(keep, line)
					}
				}
				return strings.Join(keep, "\n")
			}
			if strip(with) != strip(without) {
				t.Errorf("without hooks\n%s\nwith hooks\n%s", without, with)
			}
			sound(t, env, dir)
		})
	}
}

// TestSharedClone reads and writes in a clone that borrows our objects (git
// clone -s), while the lender merges its packs.
func TestSharedClone(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	s := open(t, env, dir, Options{})
	want := fill(t, s, 0, 3)
	clone := filepath.Join(t.TempDir(), "clone")
	git(t, env, "", "clone", "-q", "-s", dir, clone)
	git(t, env, clone, "fetch", "-q", "origin", "refs/agentmail/*:refs/agentmail/*")
	sc := open(t, env, clone, Options{})
	for i := range MaxPacks + 2 {
		path := fmt.Sprintf("clone/%d", i)
		put(t, sc, path, "c")
		want[path] = "c"
	}
	fill(t, s, 3, MaxPacks+2)
	if got := contents(t, env, clone); !maps.Equal(got, want) {
		t.Errorf("read %d files, want %d", len(got), len(want))
	}
	sound(t, env, clone)
	sound(t, env, dir)
}

// TestMergeIsKilled kills the git that merges packs when it begins to write.
// Nothing stays behind among the user's objects, and no write fails for it.
func TestMergeIsKilled(t *testing.T) {
	env := testEnv(t)
	dir := newRepo(t, env)
	log := shim(t, env, `*" pack-objects "*) echo killed >>LOG; ulimit -f 0;;`)
	reports := 0
	s := open(t, env, dir, Options{Report: func(string) { reports++ }})
	want := fill(t, s, 0, MaxPacks+3)
	if data, _ := os.ReadFile(log); len(data) == 0 || reports == 0 {
		t.Errorf("no merge was killed: %q, %d reports", data, reports)
	}
	if got := contents(t, env, dir); !maps.Equal(got, want) {
		t.Errorf("read %d files, want %d", len(got), len(want))
	}
	sound(t, env, dir)
	noStrays(t, dir)
}

// TestIdentityWithoutLog removes every trace of a log of one commit but its pack.
// Nothing tells it from a first write that failed; what is written then must not
// be taken for the same log, whose numbers would begin anew.
func TestIdentityWithoutLog(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	put(t, open(t, env, dir, Options{}), "old", "1")
	ref := git(t, env, dir, "for-each-ref", "--format=%(refname)", refRoot)
	tip := git(t, env, dir, "rev-parse", ref)
	for _, name := range []string{"agentmail/tips", ref, "logs/" + ref} {
		if err := os.Remove(filepath.Join(dir, ".git", filepath.FromSlash(name))); err != nil {
			t.Fatal(err)
		}
	}
	put(t, open(t, env, dir, Options{}), "new", "2")
	if now := git(t, env, dir, "for-each-ref", "--format=%(refname)", refRoot); now == ref {
		t.Errorf("a second history was begun on %s", ref)
	}
	git(t, env, dir, "update-ref", ref, tip) // it is found again
	if got := contents(t, env, dir); got["old"] != "1" || got["new"] != "2" {
		t.Errorf("read %q", got)
	}
}
