//go:build unix

package gitstore

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// since returns the paths that came after base, without headers, and the rest of the news.
func since(t *testing.T, s *Store, base Version) ([]string, News) {
	t.Helper()
	sn, err := s.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	n, err := sn.Since(context.Background(), base)
	if err != nil {
		t.Fatalf("since %q: %v", base, err)
	}
	list := []string{}
	for _, f := range n.Files {
		if f.Path != headerFile {
			list = append(list, f.Path)
		}
	}
	return list, n
}

// TestSince has three logs, and does something to each: what came to one does not
// depend on what became of the others.
func TestSince(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	s := open(t, env, dir, Options{})
	put(t, s, "m/own", "1")
	ref := map[string]string{}
	for _, name := range []string{"gone", "back"} {
		other := newRepo(t, env)
		so := open(t, env, other, Options{})
		put(t, so, "m/"+name+"1", "1")
		ref[name] = git(t, env, other, "for-each-ref", "--format=%(refname)", refRoot)
		first := git(t, env, other, "rev-parse", ref[name])
		put(t, so, "m/"+name+"2", "1")
		git(t, env, dir, "fetch", "-q", other, ref[name]+":"+ref[name])
		ref[name+" first"], ref[name+" last"] = first, git(t, env, other, "rev-parse", ref[name])
	}
	sn, err := s.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	base := sn.Version()
	// Nothing must put right what is done here.
	forget := func() { os.Remove(filepath.Join(dir, ".git", "agentmail", tipsFile)) }
	lostLog := strings.TrimPrefix(ref["back"], logPrefix)
	forget()
	git(t, env, dir, "update-ref", "-d", ref["gone"])
	git(t, env, dir, "update-ref", ref["back"], ref["back first"])
	forget()
	put(t, s, "m/new", "1")
	files, n := since(t, s, base)
	if !slices.Equal(files, []string{"m/new"}) || !slices.Equal(n.Lost, []string{lostLog}) {
		t.Errorf("since then: %q, lost %q", files, n.Lost)
	}
	// From and Next: all leads on, and each log goes on where it was.
	if files, n := since(t, s, n.From); !slices.Equal(files, []string{"m/new"}) || len(n.Lost) > 0 || n.From == base {
		t.Errorf("from %q: %q, lost %q", n.From, files, n.Lost)
	}
	next := n.Next
	if files, n := since(t, s, next); len(files) > 0 || len(n.Lost) > 0 || n.Next != next || n.From != next {
		t.Errorf("since the next: %q, %+v", files, n)
	}
	// The log that was gone comes back, longer by one: only that is new.
	git(t, env, dir, "update-ref", ref["gone"], ref["gone last"])
	if files, _ := since(t, s, next); len(files) > 0 {
		t.Errorf("it came back as it was: %q", files)
	}
	git(t, env, dir, "update-ref", ref["back"], ref["back last"])
	if files, _ := since(t, s, next); !slices.Equal(files, []string{"m/back2"}) {
		t.Errorf("it came forward again: %q", files)
	}
	if _, ok, err := sn.Added(context.Background(), Version("0000000000="+ref["back first"])); ok || err != nil {
		t.Errorf("Added goes on without a log of the base: %v, %v", ok, err)
	}
	if _, err := sn.Since(context.Background(), "x"); KindOf(err) != Damaged {
		t.Errorf("no version: %v", err)
	}
}

// TestSinceCopies: what stands in several logs is one file, whichever of them held it
// first.
func TestSinceCopies(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	s := open(t, env, dir, Options{})
	put(t, s, "m/x/1", "1")
	base := put(t, s, "m/x/2", "2")
	own := git(t, env, dir, "for-each-ref", "--format=%(refname)", refRoot)
	copied := logPrefix + "aaaaaaaaaa"
	git(t, env, dir, "update-ref", copied, own)
	if files, _ := since(t, s, base); len(files) > 0 {
		t.Errorf("of a copy: %q", files)
	}
	put(t, s, "m/x/3", "3")
	if files, _ := since(t, s, base); !slices.Equal(files, []string{"m/x/3"}) {
		t.Errorf("of a copy that is behind: %q", files)
	}
	git(t, env, dir, "update-ref", copied, own)
	files, n := since(t, s, base)
	if !slices.Equal(files, []string{"m/x/3"}) {
		t.Errorf("in both: %q", files)
	}
	_, at := since(t, s, n.Next)
	put(t, s, "m/y", "4")
	files, n = since(t, s, at.Next)
	if !slices.Equal(files, []string{"m/y"}) {
		t.Errorf("in the one first: %q", files)
	}
	git(t, env, dir, "update-ref", copied, own)
	if files, _ := since(t, s, n.Next); len(files) > 0 {
		t.Errorf("then in the other: %q", files)
	}
	// Only equal ones are one.
	other := newRepo(t, env)
	put(t, open(t, env, other, Options{}), "m/y", "another")
	git(t, env, dir, "fetch", "-q", other, "refs/agentmail/log/*:refs/agentmail/log/*")
	if files, _ := since(t, s, n.Next); !slices.Equal(files, []string{"m/y"}) {
		t.Errorf("with other contents: %q", files)
	}
	// The log goes on under another name.
	_, n = since(t, s, n.Next)
	os.Remove(filepath.Join(dir, ".git", "agentmail", tipsFile))
	git(t, env, dir, "update-ref", logPrefix+"bbbbbbbbbb", copied)
	git(t, env, dir, "update-ref", "-d", copied)
	if files, _ := since(t, s, n.Next); len(files) > 0 {
		t.Errorf("under another name: %q", files)
	}
}
