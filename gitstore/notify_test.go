//go:build unix

package gitstore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// woken fails the test if no news come. It does not say how soon they must.
func woken(t *testing.T, news <-chan struct{}) {
	t.Helper()
	select {
	case _, ok := <-news:
		if !ok {
			t.Fatal("the channel is closed")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("nobody was woken")
	}
}

// quiet fails the test if there are news without reason.
func quiet(t *testing.T, news <-chan struct{}) {
	t.Helper()
	select {
	case <-news:
		t.Error("woken for nothing")
	case <-time.After(40 * settle):
	}
}

// TestNotify moves refs in every way that there is. Neither the slow look nor polling
// comes within the hour: what wakes is the kernel.
func TestNotify(t *testing.T) {
	type place struct {
		t   *testing.T
		env []string
		dir string
		s   *Store // another than the one that waits
	}
	write := func(p place) { put(p.t, p.s, NewID(cryptoRand), "x") }
	packed := func(p place) {
		write(p)
		git(p.t, p.env, p.dir, "pack-refs", "--all")
	}
	refs := func(p place, more ...string) string {
		return filepath.Join(append([]string{p.dir, ".git", "refs"}, more...)...)
	}
	for _, c := range []struct {
		name   string
		before func(place)
		silent func(place) // wakes nobody
		do     func(place)
	}{
		{name: "the first write", do: write},
		{name: "the first write after init", before: func(p place) { p.s.SetUp("init.json", []byte("{}")) }, do: write},
		{name: "a write", before: write, do: write},
		{name: "a write of another process", before: write, do: func(p place) {
			spawn(p.t, p.env, "write", childConfig{Dir: p.dir, Prefix: NewID(cryptoRand), Count: 1}, nil).wait(p.t, time.Minute)
		}},
		{name: "by hand", before: write, do: func(p place) {
			spawn(p.t, p.env, "plain", childConfig{Dir: p.dir, Prefix: NewID(cryptoRand), Count: 1}, nil).wait(p.t, time.Minute)
		}},
		{name: "packed before", before: packed, do: write},
		{name: "packed meanwhile", before: write, silent: func(p place) { git(p.t, p.env, p.dir, "pack-refs", "--all") }, do: write},
		{name: "gc", before: write, silent: func(p place) { git(p.t, p.env, p.dir, "gc", "-q", "--prune=now") }, do: write},
		{name: "the directory goes", before: packed, silent: func(p place) { os.RemoveAll(refs(p, "agentmail")) }, do: write},
		{name: "the directory goes and comes", before: packed, silent: func(p place) {
			os.RemoveAll(refs(p, "agentmail"))
			os.MkdirAll(refs(p, "agentmail", "log"), 0o777)
		}, do: write},
		{name: "only a part of it comes", before: packed, silent: func(p place) {
			os.RemoveAll(refs(p, "agentmail"))
			os.MkdirAll(refs(p, "agentmail"), 0o777)
		}, do: write},
		{name: "a ref is deleted", before: write, do: func(p place) {
			git(p.t, p.env, p.dir, "update-ref", "-d", git(p.t, p.env, p.dir, "for-each-ref", "--format=%(refname)", refRoot))
		}},
		{name: "all is removed", before: write, do: func(p place) { p.s.Purge(context.Background(), false) }},
		{name: "a fetch", do: func(p place) {
			other := newRepo(p.t, p.env)
			put(p.t, open(p.t, p.env, other, Options{}), "a", "x")
			git(p.t, p.env, p.dir, "fetch", "-q", other, "refs/agentmail/log/*:refs/agentmail/log/*")
		}},
		{name: "a second fetch", before: write, do: func(p place) {
			other := newRepo(p.t, p.env)
			put(p.t, open(p.t, p.env, other, Options{}), "a", "x")
			git(p.t, p.env, p.dir, "fetch", "-q", other, "refs/agentmail/log/*:refs/agentmail/log/*")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			env := testEnv(t)
			dir := newRepo(t, env)
			p := place{t, env, dir, open(t, env, dir, Options{})}
			if c.before != nil {
				c.before(p)
			}
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			news := open(t, env, dir, Options{}).notify(ctx, time.Hour, time.Hour)
			if c.silent != nil {
				c.silent(p)
			}
			quiet(t, news)
			for range 2 { // the second time the directory is there
				c.do(p)
				woken(t, news)
				if c.name == "a ref is deleted" || c.name == "all is removed" {
					break
				}
			}
		})
	}
}

// TestNotifySlowly: what no notification tells of is found all the same.
func TestNotifySlowly(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	s := open(t, env, dir, Options{})
	put(t, s, "a", "1")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	news := s.notify(ctx, 20*time.Millisecond, time.Hour)
	// The directory that is watched goes on to live elsewhere.
	ours := filepath.Join(dir, ".git", "refs", "agentmail")
	if err := os.Rename(ours, filepath.Join(dir, "moved")); err != nil {
		t.Fatal(err)
	}
	woken(t, news)
	if err := os.CopyFS(ours, os.DirFS(filepath.Join(dir, "moved"))); err != nil {
		t.Fatal(err)
	}
	woken(t, news)
	put(t, s, "b", "1")
	woken(t, news)
}

// TestNotifyBurst: what nobody has received yet is one value.
func TestNotifyBurst(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	s := open(t, env, newRepo(t, env), Options{})
	put(t, s, "first", "1")
	ctx, cancel := context.WithCancel(context.Background())
	news := s.notify(ctx, time.Hour, time.Hour)
	for i := range 20 {
		put(t, s, fmt.Sprint(i), "1")
	}
	quietly := time.After(40 * settle)
	<-quietly
	woken(t, news)
	quiet(t, news)
	cancel()
	select {
	case _, ok := <-news:
		if ok {
			t.Error("news after the end")
		}
	case <-time.After(20 * time.Second):
		t.Error("the channel is not closed")
	}
}

// TestNotifyGivesBack: nothing is left of those who have stopped waiting.
func TestNotifyGivesBack(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	put(t, open(t, env, dir, Options{}), "a", "1")
	got := spawn(t, env, "notify-stop", childConfig{Dir: dir, Count: 100}, nil).wait(t, time.Minute)
	if len(got) != 1 || got[0] != "0 files, 0 goroutines more" {
		t.Errorf("after a hundred: %q", got)
	}
}

// TestNotifyForbidden: a directory that may not be read cannot be watched. Until it may,
// the refs are polled.
func TestNotifyForbidden(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	dir := p.repo(t, 0)
	p.must(t, dir, "chmod", "300", ".git/refs") // where the directory of our refs will be
	c := p.spawn(t, "notify-poll", childConfig{Dir: dir})
	c.await(t)
	p.must(t, dir, "chmod", "700", ".git/refs")
	p.spawn(t, "write", childConfig{Dir: dir, Prefix: "a", Count: 1}).wait(t, time.Minute)
	c.await(t)
	c.stdin.Close()
	if got := strings.Join(c.wait(t, time.Minute), " "); !strings.HasPrefix(got, "ready news") {
		t.Errorf("it said %q", got)
	}
}
