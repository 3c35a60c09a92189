//go:build unix

package gitstore

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/internal/hub"
)

// TestSyncLadder: a host refuses our refs, then our branches too. Each is found out by the first
// push and told once; where nothing can be pushed it is said what to set, and with that
// mail flows, to readers who have set nothing.
func TestSyncLadder(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	for _, way := range []string{"each ref for itself", "the whole push"} {
		t.Run(way, func(t *testing.T) {
			h := hub.New(t)
			accept := func(prefixes ...string) {
				if way == "each ref for itself" {
					h.Accept(prefixes...)
					return
				}
				h.Set(hub.Network{Answers: []hub.Answer{{Status: 403, To: func(r hub.Request) bool {
					return slices.ContainsFunc(r.Refs, func(ref string) bool {
						return !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(ref, p) })
					})
				}}}})
			}
			reader := open(t, env, newRepo(t, env), Options{})
			a := open(t, env, newRepo(t, env), Options{})
			fill(t, a, 0, 2)
			accept("refs/heads/")
			if r := exchange(t, a, h.URL); !r.Fell || r.Pushed != 2 || !strings.HasPrefix(r.Place, headsPrefix) {
				t.Errorf("%+v", r)
			}
			put(t, a, "more", "1")
			if r := exchange(t, a, h.URL); r.Fell || r.Pushed != 1 {
				t.Errorf("%+v", r)
			}

			accept("refs/heads/claude/s-42-")
			dir := newRepo(t, env)
			b := open(t, env, dir, Options{})
			fill(t, b, 10, 1)
			own, _ := b.repo.replica()
			r, err := b.Sync(context.Background(), h.URL)
			if KindOf(err) != Unreachable || !slices.Equal(r.Refuses, []string{logRef(own), headsPrefix + own}) || !strings.Contains(err.(*Error).Hint, "agentmail.refPrefix") {
				t.Errorf("%+v, %v", r, err)
			}
			if list, err := b.Remotes(context.Background()); err != nil || len(list) != 1 || len(list[0].NotTaken) != 2 || !strings.Contains(list[0].Failed, headsPrefix) {
				t.Errorf("%+v, %v", list, err)
			}
			git(t, env, dir, "config", "agentmail.refPrefix", "claude/s-42-")
			b = open(t, env, dir, Options{})
			if r := exchange(t, b, h.URL); r.Pushed != 1 || r.Fell || r.Place != "refs/heads/claude/s-42-"+own+"--agentmail" {
				t.Errorf("%+v", r)
			}
			if list, err := b.Remotes(context.Background()); err != nil || len(list[0].Refused) > 0 || list[0].Failed != "" || !strings.Contains(list[0].Place, "claude/s-42-") {
				t.Errorf("%+v, %v", list, err)
			}
			if r := exchange(t, reader, h.URL); len(r.Fetched) != 2 {
				t.Errorf("%+v", r)
			}
			// Who stays sees those that come to where others are, and all others a little later.
			c := open(t, env, newRepo(t, env), Options{RefPrefix: "claude/s-42-more-"})
			fill(t, c, 20, 1)
			exchange(t, c, h.URL)
			if r := exchange(t, reader, h.URL); len(r.Fetched) != 1 {
				t.Errorf("%+v", r)
			}
			if x, y := version(t, reader), version(t, c); x != y {
				t.Errorf("they hold %s and %s", x, y)
			}
		})
	}
}

// TestSyncPrefixOthers: what of a hub is not ours stays there, whatever it is called, and a
// wiped hub gets back what each may push.
func TestSyncPrefixOthers(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	h := hub.New(t)
	work := newRepo(t, env)
	names := []string{"main", "claude/fix", "add-agentmail", "x--agentmail-y", "q3k9xd2m7a", "x--agentmail", "x/0000000000--agentmail"}
	for i, name := range names {
		user(t, env, work, "checkout", "-q", "--orphan", "b"+fmt.Sprint(i))
		user(t, env, work, "commit", "-q", "--allow-empty", "-m", name)
		git(t, env, work, "push", "-q", h.FileURL, "HEAD:refs/heads/"+name)
	}
	a := open(t, env, newRepo(t, env), Options{RefPrefix: "claude/"})
	b := open(t, env, newRepo(t, env), Options{})
	fill(t, a, 0, 1)
	fill(t, b, 1, 1)
	for range 2 {
		exchange(t, a, h.FileURL)
		r, err := b.Sync(context.Background(), h.FileURL)
		if err != nil || len(r.Refused) != 1 { // the last name is all that seems to be a log
			t.Fatalf("%+v, %v", r, err)
		}
	}
	got := git(t, env, b.repo.CommonDir, "for-each-ref", "--format=%(refname)", hubPrefix)
	for _, name := range names[:5] {
		if strings.HasSuffix(got, "/"+name) || strings.Contains(got, "/"+name+"\n") {
			t.Errorf("the image holds\n%s", got)
		}
		oid := h.Git("rev-parse", "refs/heads/"+name)
		if _, err := b.repo.own(context.Background(), nil, "cat-file", "-e", oid); err == nil {
			t.Errorf("%s of the user's came along", name)
		}
	}
	was := h.Refs()
	for ref := range was {
		if replicaOf(ref) != "" && !strings.Contains(ref, "0000000000") {
			h.Git("update-ref", "-d", ref)
		}
	}
	h.Accept("refs/heads/claude/")
	exchange(t, a, h.FileURL)
	h.Accept("")
	exchange(t, b, h.FileURL)
	if now := h.Refs(); len(now) != len(was) {
		t.Errorf("the hub had %v, has %v", was, now)
	}
}

// TestSyncPrefixMoved: a log that its owner keeps elsewhere from now on is read where it goes
// on, and what is left at the old place costs a look nothing.
func TestSyncPrefixMoved(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	h := hub.New(t)
	dir := newRepo(t, env)
	a := open(t, env, dir, Options{})
	fill(t, a, 0, 2)
	exchange(t, a, h.FileURL)
	readers := []*Store{open(t, env, newRepo(t, env), Options{}), nil}
	exchange(t, readers[0], h.FileURL)
	a = open(t, env, dir, Options{RefPrefix: "s-"})
	for range 2 { // moved as it is; then there is nothing to do
		if r := exchange(t, a, h.FileURL); r.Pushed != 0 || !strings.HasPrefix(r.Place, "refs/heads/s-") || len(h.Refs()) != 2 {
			t.Errorf("%+v, %v", r, h.Refs())
		}
		if list, err := a.Remotes(context.Background()); err != nil || !strings.HasPrefix(list[0].Place, "refs/heads/s-") {
			t.Errorf("%+v, %v", list, err)
		}
	}
	put(t, a, "more", "1")
	if r := exchange(t, a, h.FileURL); r.Pushed != 1 {
		t.Errorf("%+v", r)
	}
	if r := exchange(t, a, h.FileURL); r.Pushed != 0 {
		t.Errorf("%+v", r)
	}
	trace := filepath.Join(t.TempDir(), "trace")
	traced := append(slices.Clone(env), "GIT_TRACE2_EVENT="+trace)
	fresh := newRepo(t, env)
	readers[1] = open(t, traced, fresh, Options{})
	readers[0] = open(t, env, readers[0].repo.Dir, Options{}) // a new process looks among all branches
	for i, s := range readers {
		exchange(t, s, h.FileURL)
		if x, y := version(t, s), version(t, a); x != y {
			t.Errorf("reader %d holds %s, the writer %s", i, x, y)
		}
	}
	os.Remove(trace)
	s := open(t, traced, fresh, Options{})
	if r := exchange(t, s, h.FileURL); len(r.Fetched)+len(r.Refused) > 0 {
		t.Errorf("%+v", r)
	}
	got := slices.DeleteFunc(processes(t, trace), func(line string) bool { return strings.Contains(line, `"config"`) })
	if len(got) != 1 || !strings.Contains(got[0], "fetch") {
		t.Errorf("with nothing new %q were started", got)
	}
	if err := s.Forget(context.Background(), h.FileURL); err != nil {
		t.Error(err)
	}
	if left := git(t, env, fresh, "for-each-ref", hubPrefix); left != "" {
		t.Error(left)
	}
}

// processes returns the gits that a trace says we started, without those that they did.
func processes(t *testing.T, trace string) (list []string) {
	t.Helper()
	data, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		_, sid, _ := strings.Cut(line, `"sid":"`)
		sid, _, _ = strings.Cut(sid, `"`)
		if strings.Contains(line, `"event":"start"`) && !strings.Contains(sid, "/") {
			list = append(list, line)
		}
	}
	return list
}

// TestRefPrefix: what may be a prefix is what git allows in the name of a branch.
func TestRefPrefix(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	for _, p := range []string{"claude/session-42-", "x", "a/b/", "ä/", "a.", "a.lock", "@", "HEAD", "a@b-", // good ones
		"-x", "/x", "a//b", "a..b", "a b", "a~", "a^", "a:b", "a?", "a*", "a[", `a\`, "a\n", "a\x7f", "@{", ".a", "a/.b", "a.lock/b", "refs/heads/x"} {
		cmd := exec.Command("git", "check-ref-format", branchPrefix+p+"q3k9xd2m7a"+branchSuffix)
		cmd.Env = env
		want := cmd.Run() == nil && p[0] != '-' && !strings.HasPrefix(p, "refs/")
		dir := newRepo(t, env)
		s := open(t, env, dir, Options{RefPrefix: p})
		if _, err := s.RefPrefix(context.Background()); err == nil != want || err != nil && KindOf(err) != Invalid {
			t.Errorf("%q: %v", p, err)
		}
	}
	dir := newRepo(t, env)
	git(t, env, dir, "config", "agentmail.refPrefix", "")
	s := open(t, env, dir, Options{})
	fill(t, s, 0, 1)
	if _, err := s.Sync(context.Background(), hubOf(t, env)); KindOf(err) != Invalid || err.(*Error).Hint == "" {
		t.Errorf("an empty prefix: %v", err)
	}
}

// TestSyncSkipCI: what goes to branches asks hosts to start nothing for it.
func TestSyncSkipCI(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	for _, takes := range []string{"true", "false"} {
		h := hub.New(t)
		h.Accept("refs/heads/")
		h.Git("config", "receive.advertisePushOptions", takes)
		said := filepath.Join(t.TempDir(), "said")
		h.Hook("post-receive", "echo \"$GIT_PUSH_OPTION_COUNT $GIT_PUSH_OPTION_0\" >>"+said+"\n")
		s := open(t, env, newRepo(t, env), Options{})
		fill(t, s, 0, 1)
		exchange(t, s, h.URL)
		before := h.Counts()
		put(t, s, "more", "1")
		if r := exchange(t, s, h.URL); !r.Branches || r.Pushed != 1 {
			t.Errorf("%+v", r)
		}
		// Each push is a list of refs and the refs, each fetch a list of refs or two.
		if n := h.Counts().Requests - before.Requests; n > 4 {
			t.Errorf("options %s: %d requests", takes, n)
		}
		data, _ := os.ReadFile(said)
		if got := strings.Contains(string(data), "1 ci.skip\n1 ci.skip\n"); got != (takes == "true") {
			t.Errorf("options %s: the hub was told %q", takes, data)
		}
		own, _ := s.repo.replica()
		if msg := h.Git("log", "-1", "--format=%B", "refs/heads/agentmail/"+own); !strings.Contains(msg, "[skip ci]") {
			t.Errorf("the commit says %q", msg)
		}
		if msg := h.Git("log", "-1", "--format=%B", "refs/heads/agentmail/"+own+"~3"); strings.Contains(msg, "[skip ci]") {
			t.Errorf("the first commit says %q", msg)
		}
	}
}

// TestSyncWide: a process that stays looks among all branches of a hub from time to time.
func TestSyncWide(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	hub := hubOf(t, env)
	now := time.Now()
	reader := open(t, env, newRepo(t, env), Options{Now: func() time.Time { return now }})
	exchange(t, reader, hub)
	a := open(t, env, newRepo(t, env), Options{RefPrefix: "deep/down/"})
	fill(t, a, 0, 1)
	exchange(t, a, hub)
	if r := exchange(t, reader, hub); len(r.Fetched) != 0 {
		t.Errorf("%+v", r)
	}
	now = now.Add(wideEvery)
	if r := exchange(t, reader, hub); len(r.Fetched) != 1 {
		t.Errorf("%+v", r)
	}
	put(t, a, "more", "1")
	exchange(t, a, hub)
	if r := exchange(t, reader, hub); len(r.Fetched) != 1 {
		t.Errorf("%+v", r)
	}
}
