//go:build unix

package gitstore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// script makes an executable file.
func script(t *testing.T, name, text string) {
	t.Helper()
	writeFile(t, name, "#!/bin/sh\n"+text)
	if err := os.Chmod(name, 0o755); err != nil {
		t.Fatal(err)
	}
}

// TestSyncInterrupted: a remote that says nothing holds nobody up who has given up, and
// what git had started for it is gone.
func TestSyncInterrupted(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	pidFile := filepath.Join(t.TempDir(), "pid")
	ssh := filepath.Join(t.TempDir(), "ssh")
	script(t, ssh, "[ \"$SSH_ASKPASS_REQUIRE\" = never ] && ! (true </dev/tty) || exit 1\necho $$ >"+pidFile+"\nsleep 20\n")
	s := open(t, append(env, "GIT_SSH_COMMAND="+ssh, "GIT_SSH_VARIANT=simple"), newRepo(t, env), Options{})
	fill(t, s, 0, 1)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := s.Sync(ctx, "ssh://host.invalid/x.git")
		done <- err
	}()
	pid := 0
	for deadline := time.Now().Add(20 * time.Second); pid == 0; time.Sleep(10 * time.Millisecond) {
		data, _ := os.ReadFile(pidFile)
		pid, _ = strconv.Atoi(strings.TrimSpace(string(data)))
		if time.Now().After(deadline) {
			t.Fatal("git did not start ssh")
		}
	}
	cancel()
	select {
	case err := <-done:
		if err != context.Canceled {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("Sync goes on after its context has ended")
	}
	for deadline := time.Now().Add(5 * time.Second); syscall.Kill(pid, 0) == nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("ssh was left behind")
		}
	}
}

// TestSyncAtOnce: many exchange logs in one clone at the same time, with two hubs, beside
// writers. None is told of a failure that is none.
func TestSyncAtOnce(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	hubs := []string{hubOf(t, env), hubOf(t, env)}
	a, dir := open(t, env, newRepo(t, env), Options{}), newRepo(t, env)
	fill(t, a, 0, 1)
	put(t, open(t, env, dir, Options{}), "first", "x")
	for round := range 3 {
		put(t, a, fmt.Sprint("a/", round), "x")
		for _, h := range hubs {
			exchange(t, a, h)
		}
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				s := open(t, env, dir, Options{})
				if i < 2 {
					if _, err := s.Update(context.Background(), func(tx *Tx) (CommitInfo, error) {
						return CommitInfo{Subject: "s"}, tx.Create(fmt.Sprintf("b/%d/%d", round, i), nil)
					}); err != nil {
						t.Error(err)
					}
				}
				if _, err := s.Sync(context.Background(), hubs[i%2]); err != nil {
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		wg.Wait()
	}
	b := open(t, env, dir, Options{})
	for _, h := range hubs {
		exchange(t, b, h)
		exchange(t, a, h)
	}
	if x, y := version(t, a), version(t, b); x != y {
		t.Errorf("they hold %s and %s", x, y)
	}
	if list, err := b.Remotes(context.Background()); err != nil || len(list) != 2 || list[0].Failed+list[1].Failed != "" {
		t.Errorf("%+v, %v", list, err)
	}
	sound(t, env, dir)
}

// TestSyncWhilePurged: an uninstall waits for an exchange that is under way, and what was about
// to begin does not begin: nothing of ours comes back.
func TestSyncWhilePurged(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	hub := hubOf(t, env)
	a := open(t, env, newRepo(t, env), Options{})
	fill(t, a, 0, 1)
	exchange(t, a, hub)
	for range 4 {
		dir := newRepo(t, env)
		s := open(t, env, dir, Options{})
		put(t, s, "x", "1")
		if err := s.AddRemote(hub); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { open(t, env, dir, Options{}).Sync(context.Background(), hub) })
		}
		time.Sleep(30 * time.Millisecond)
		if err := s.Purge(context.Background(), false); err != nil {
			t.Error(err)
		}
		wg.Wait()
		if left := git(t, env, dir, "for-each-ref", refRoot); left != "" {
			t.Error(left)
		}
		if _, err := os.Stat(filepath.Join(dir, ".git", "agentmail", remotesDir)); err == nil {
			t.Error("the remote is known again")
		}
	}
}

// TestSyncRestoredLater: what something removed from a hub is put back also if the first
// attempt does not go through.
func TestSyncRestoredLater(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	hub := hubOf(t, env)
	a, b := open(t, env, newRepo(t, env), Options{}), open(t, env, newRepo(t, env), Options{})
	fill(t, a, 0, 1)
	fill(t, b, 1, 1)
	exchange(t, a, hub)
	exchange(t, b, hub)
	exchange(t, a, hub)
	own, _ := b.repo.replica()
	git(t, env, hub, "update-ref", "-d", logRef(own))
	hook := filepath.Join(hub, "hooks", "pre-receive")
	script(t, hook, "exit 1\n")
	if _, err := a.Sync(context.Background(), hub); KindOf(err) != Unreachable {
		t.Fatalf("a hub that takes nothing: %v", err)
	}
	os.Remove(hook)
	if r := exchange(t, a, hub); len(r.Restored) != 1 || r.Restored[0] != own {
		t.Errorf("%+v", r)
	}
	file, _ := a.RemoteFile(hub)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	exchange(t, a, hub) // it was told again
}

// TestSyncPurge: after an uninstall nothing is left of what was exchanged, byte for byte.
func TestSyncPurge(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	hub := hubOf(t, env)
	a := open(t, env, newRepo(t, env), Options{})
	fill(t, a, 0, 3)
	exchange(t, a, hub)
	root := t.TempDir()
	dir := filepath.Join(root, "r")
	git(t, env, "", "init", "-q", "-b", "main", dir)
	writeFile(t, filepath.Join(dir, "a"), "a")
	user(t, env, dir, "add", ".")
	user(t, env, dir, "commit", "-q", "-m", "one")
	git(t, env, dir, "remote", "add", "origin", hub)
	before := treeHash(t, root)
	s := open(t, env, dir, Options{})
	put(t, s, "x", "1")
	exchange(t, s, "origin")
	for i := range 2 * MaxPacks {
		put(t, a, fmt.Sprint("y/", i), "1")
		exchange(t, a, hub)
		exchange(t, s, "origin")
	}
	bundle := filepath.Join(t.TempDir(), "b")
	put(t, a, "z", "1")
	if _, err := a.SyncBundle(context.Background(), bundle); err != nil {
		t.Fatal(err)
	}
	if _, err := s.SyncBundle(context.Background(), bundle); err != nil {
		t.Fatal(err)
	}
	if packs, err := s.ourPacks(context.Background(), false); err != nil || len(packs) > MaxPacks {
		t.Errorf("%d packs, %v", len(packs), err)
	}
	sound(t, env, dir)
	if err := s.Purge(context.Background(), false); err != nil {
		t.Fatal(err)
	}
	sameTree(t, "after purge", before, treeHash(t, root))
}

// TestSyncUserSettings: what the user has set for a remote changes nothing of an exchange, nor
// that of theirs.
func TestSyncUserSettings(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	hub := hubOf(t, env)
	work := newRepo(t, env)
	user(t, env, work, "push", "-q", hub, "HEAD:refs/heads/main")
	a := open(t, env, newRepo(t, env), Options{})
	fill(t, a, 0, 1)
	exchange(t, a, hub)
	for _, c := range [][]string{
		{"config", "remote.origin.mirror", "true"},
		{"config", "push.default", "matching"},
		{"config", "fetch.pruneTags", "true"},
		{"config", "remote.origin.tagOpt", "--tags"},
		{"config", "push.followTags", "true"},
		{"config", "fetch.prune", "true"},
		{"config", "core.logAllRefUpdates", "always"},
		{"config", "remote.origin.pushurl", hub},
		{"config", "url." + hub + ".insteadOf", "hub:"},
		{"config", "remote.origin.partialclonefilter", "blob:none"},
	} {
		t.Run(strings.Join(c[1:], "="), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "r")
			args := []string{"clone", "-q", "-b", "main"}
			git(t, env, "", append(args, hub, dir)...)
			user(t, env, dir, "tag", "-a", "-m", "mine", "mine")
			user(t, env, dir, "branch", "local")
			git(t, env, dir, c...)
			if strings.HasSuffix(c[1], "insteadOf") {
				git(t, env, dir, "remote", "set-url", "origin", "hub:")
			}
			users := func(d string) string {
				return git(t, env, d, "for-each-ref", "refs/heads", "refs/tags", "refs/remotes") + git(t, env, d, "config", "--list", "--local")
			}
			before, there := users(dir), users(hub)
			s := open(t, env, dir, Options{})
			put(t, s, "x/"+strings.ReplaceAll(c[1], ".", "-"), "1")
			if r := exchange(t, s, "origin"); r.Pushed != 1 || len(r.Fetched) == 0 {
				t.Errorf("%+v", r)
			}
			exchange(t, s, "origin")
			if users(dir) != before || users(hub) != there {
				t.Errorf("the user's refs or settings changed:\n%s\n%s", before, users(dir))
			}
			if _, err := os.Stat(filepath.Join(dir, ".git", "FETCH_HEAD")); err == nil {
				t.Error("FETCH_HEAD was written")
			}
			sound(t, env, dir)
		})
	}
}

// TestSyncOddClones: shallow, partial and bare clones, and a linked worktree.
func TestSyncOddClones(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	hub := hubOf(t, env)
	git(t, env, hub, "config", "uploadpack.allowFilter", "true")
	work := newRepo(t, env)
	for i := range 3 {
		user(t, env, work, "commit", "-q", "--allow-empty", "-m", fmt.Sprint(i))
	}
	user(t, env, work, "push", "-q", hub, "HEAD:refs/heads/main")
	a := open(t, env, newRepo(t, env), Options{})
	fill(t, a, 0, 3)
	exchange(t, a, hub)
	for name, args := range map[string][]string{
		"shallow": {"--depth=1"}, "partial": {"--filter=blob:none"}, "treeless": {"--filter=tree:0", "--no-checkout"},
		"bare": {"--bare"}, "mirror": {"--mirror"}, "worktree": nil,
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "-r")
			git(t, env, "", append(append([]string{"clone", "-q", "-b", "main"}, args...), "file://"+hub, dir)...)
			gitDir := filepath.Join(dir, ".git")
			if name == "bare" || name == "mirror" {
				gitDir = dir
			}
			if name == "worktree" {
				wt := filepath.Join(t.TempDir(), "wt")
				user(t, env, dir, "worktree", "add", "-q", wt)
				dir = wt
			}
			shallow, _ := os.ReadFile(filepath.Join(gitDir, "shallow"))
			config, _ := os.ReadFile(filepath.Join(gitDir, "config"))
			s := open(t, env, dir, Options{})
			put(t, s, "x/"+name, "1")
			if r := exchange(t, s, "origin"); r.Pushed != 1 {
				t.Errorf("%+v", r)
			}
			put(t, s, "y/"+name, "1")
			if r := exchange(t, s, "origin"); r.Pushed != 1 {
				t.Errorf("%+v", r)
			}
			exchange(t, a, hub)
			exchange(t, s, "origin")
			if x, y := version(t, a), version(t, s); x != y {
				t.Errorf("they hold %s and %s", x, y)
			}
			if list, _ := filepath.Glob(filepath.Join(gitDir, "objects", "pack", "*.keep")); len(list) < 3 && name != "mirror" {
				t.Errorf("of the packs only %q are ours", list)
			}
			for _, p := range []string{"*.promisor", "tmp_*"} {
				list, _ := filepath.Glob(filepath.Join(gitDir, "objects", "pack", p))
				for _, name := range list {
					if _, err := os.Stat(strings.TrimSuffix(name, ".promisor") + ".keep"); err == nil || p != "*.promisor" {
						t.Errorf("%q", name)
					}
				}
			}
			now, _ := os.ReadFile(filepath.Join(gitDir, "shallow"))
			if string(now) != string(shallow) {
				t.Errorf("shallow was %q, is %q", shallow, now)
			}
			if now, _ := os.ReadFile(filepath.Join(gitDir, "config")); string(now) != string(config) {
				t.Errorf("config was %q, is %q", config, now)
			}
			// Every object is here, without asking the remote.
			sn, err := s.Snapshot(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if err := sn.Walk(context.Background(), "", func(File) error { return nil }); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSyncForkKilled: whoever is killed while it takes a new identity does the rest the next
// time, whatever it had done; nothing of either copy is lost to the others.
func TestSyncForkKilled(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	for done, back := range [][]string{
		{replicaFile, tipsFile, "ref"}, // the log was written
		{tipsFile, "ref"},              // and the identity
		{tipsFile},                     // and the ref was moved
	} {
		hub := hubOf(t, env)
		a, b, two := copied(t, env, hub)
		old, _ := b.repo.replica()
		oid := git(t, env, two, "rev-parse", logRef(old))
		was := map[string]string{}
		for _, name := range []string{replicaFile, tipsFile} {
			data, err := os.ReadFile(b.repo.dir(name))
			if err != nil {
				t.Fatal(err)
			}
			was[name] = string(data)
		}
		// The hub takes nothing meanwhile, as if the process had ended before.
		hook := filepath.Join(hub, "hooks", "pre-receive")
		script(t, hook, "exit 1\n")
		if r, err := b.Sync(context.Background(), hub); r.Forked == "" || KindOf(err) != Unreachable {
			t.Fatalf("%+v, %v", r, err)
		}
		os.Remove(hook)
		for _, name := range back {
			if name == "ref" {
				git(t, env, two, "update-ref", logRef(old), oid)
			} else {
				writeFile(t, b.repo.dir(name), was[name])
			}
		}
		b = open(t, env, two, Options{})
		for range 2 {
			if r := exchange(t, b, hub); len(r.Refused) > 0 {
				t.Errorf("%d: %+v", done, r)
			}
			exchange(t, a, hub)
		}
		put(t, a, "by/a2", "1")
		exchange(t, a, hub)
		exchange(t, b, hub)
		other := open(t, env, newRepo(t, env), Options{})
		exchange(t, other, hub)
		for _, s := range []*Store{a, b, other} {
			sn, err := s.Snapshot(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]bool{}
			if err := sn.Walk(context.Background(), "by/", func(f File) error { got[f.Path] = true; return nil }); err != nil {
				t.Fatal(err)
			}
			if len(got) != 3 {
				t.Errorf("%d: %v", done, got)
			}
		}
		sound(t, env, two)
	}
}

// TestSyncForkBesideWriter: others of the same process write while it takes a new identity.
func TestSyncForkBesideWriter(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	hub := hubOf(t, env)
	a, b, _ := copied(t, env, hub)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if _, err := b.Update(context.Background(), func(tx *Tx) (CommitInfo, error) {
				return CommitInfo{Subject: "s"}, tx.Create(fmt.Sprint("w/", i), nil)
			}); err != nil {
				t.Error(err)
			}
			time.Sleep(10 * time.Millisecond)
		})
	}
	if r := exchange(t, b, hub); r.Forked == "" {
		t.Errorf("%+v", r)
	}
	wg.Wait()
	exchange(t, b, hub)
	exchange(t, a, hub)
	if x, y := version(t, a), version(t, b); x != y {
		t.Errorf("they hold %s and %s", x, y)
	}
	sn, err := a.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if files, err := sn.List(context.Background(), "w/", nil); err != nil || len(files) != 20 {
		t.Errorf("%d of 20 are there, %v", len(files), err)
	}
}

// TestSyncBundleOfOthers: a bundle that holds something else of the user's is not written over.
func TestSyncBundleOfOthers(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	work := newRepo(t, env)
	user(t, env, work, "commit", "-q", "--allow-empty", "-m", "x")
	file := filepath.Join(t.TempDir(), "code.bundle")
	git(t, env, work, "bundle", "create", "-q", file, "--all")
	writeFile(t, file+".tmp", "mine")
	was, _ := os.ReadFile(file)
	s := open(t, env, newRepo(t, env), Options{})
	fill(t, s, 0, 1)
	if _, err := s.SyncBundle(context.Background(), file); KindOf(err) == "" {
		t.Errorf("a bundle of code: %v", err)
	}
	if now, _ := os.ReadFile(file); string(now) != string(was) {
		t.Error("the bundle was written over")
	}
	other := filepath.Join(filepath.Dir(file), "mail.bundle")
	writeFile(t, other+".tmp", "mine")
	for range 2 {
		if _, err := s.SyncBundle(context.Background(), other); err != nil {
			t.Error(err)
		}
	}
	if st, err := os.Stat(other); err != nil || st.Mode().Perm()&0o044 == 0 {
		t.Errorf("who gets the bundle cannot read it: %v, %v", st.Mode(), err)
	}
	if list, _ := os.ReadDir(filepath.Dir(file)); len(list) != 4 {
		t.Errorf("%v", list)
	}
	for _, f := range []string{file, other} {
		if now, _ := os.ReadFile(f + ".tmp"); string(now) != "mine" {
			t.Errorf("%s.tmp was written over", f)
		}
	}
}

// TestSyncClash: where a ref stands in the way of the image, or git may not write, it is
// said that the fault lies here.
func TestSyncClash(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	hub := hubOf(t, env)
	a := open(t, env, newRepo(t, env), Options{})
	fill(t, a, 0, 1)
	exchange(t, a, hub)
	for _, ref := range []string{"refs/agentmail/hub", hubPrefix + hubID(hub), hubPrefix + hubID(hub) + "/log"} {
		dir := newRepo(t, env)
		s := open(t, env, dir, Options{})
		put(t, s, "x", "1")
		own, _ := s.repo.replica()
		git(t, env, dir, "update-ref", ref, logRef(own))
		_, err := s.Sync(context.Background(), hub)
		if KindOf(err) != Damaged || !strings.Contains(err.Error(), "refs/agentmail/hub") {
			t.Errorf("%s: %s, %v", ref, KindOf(err), err)
		}
	}
}

// TestSyncStaleLocks: a git that was killed in an exchange leaves lock files, which end no
// exchange for good.
func TestSyncStaleLocks(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	hub := hubOf(t, env)
	a, dir := open(t, env, newRepo(t, env), Options{}), newRepo(t, env)
	b := open(t, env, dir, Options{})
	fill(t, a, 0, 1)
	exchange(t, a, hub)
	exchange(t, b, hub)
	own, _ := a.repo.replica()
	for i, ref := range []string{hubPrefix + hubID(hub) + "/log/" + own, logRef(own)} {
		put(t, a, fmt.Sprint("more/", i), "1")
		exchange(t, a, hub)
		lock := filepath.Join(dir, ".git", ref+".lock")
		writeFile(t, lock, "")
		if _, err := b.Sync(context.Background(), hub); err == nil {
			t.Errorf("%s: a lock that may be somebody's was passed over", ref)
		}
		old := time.Now().Add(-2 * staleImageLock)
		if err := os.Chtimes(lock, old, old); err != nil {
			t.Fatal(err)
		}
		if r := exchange(t, b, hub); len(r.Fetched) != 1 {
			t.Errorf("%s: %+v", ref, r)
		}
	}
}
