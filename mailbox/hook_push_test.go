package mailbox

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

// TestPushes plays real pushes: BlueLake holds src/auth/**, GreenCastle pushes
// unless another is named.
func TestPushes(t *testing.T) {
	t.Parallel()
	const held = "src/auth/token.go"
	type play struct {
		*world
		remote string
	}
	commit := func(p play, who, path string, args ...string) {
		p.t.Helper()
		p.write(path, p.t.Name()+who+path+strings.Join(args, " ")+"\n")
		p.in("add", "-A")
		env := []string{}
		for len(args) > 0 && strings.Contains(args[0], "DATE=") {
			env, args = append(env, args[0]), args[1:]
		}
		if ok, v := p.does(who, p.dir, append(env, append([]string{"commit", "-q", "-m", "x"}, args...)...)...); !ok {
			p.t.Fatalf("%+v", v)
		}
	}
	slip := func(p play) { commit(p, "GreenCastle", held, "--no-verify") }
	push := func(p play, args ...string) (bool, []told) {
		p.t.Helper()
		return p.does("GreenCastle", p.dir, append([]string{"push", "-q"}, args...)...)
	}
	for _, tt := range []struct {
		name    string
		do      func(p play) (bool, []told)
		blocked bool
	}{
		{"nothing of the holder's", func(p play) (bool, []told) { commit(p, "GreenCastle", "README.md"); return push(p, "origin", "main") }, false},
		{"the holder's commit, by another", func(p play) (bool, []told) { commit(p, "BlueLake", held); return push(p, "origin", "main") }, false},
		{"the holder's own", func(p play) (bool, []told) {
			commit(p, "BlueLake", held)
			return p.does("BlueLake", p.dir, "push", "-q", "origin", "main")
		}, false},
		{"one that slipped through", func(p play) (bool, []told) { slip(p); return push(p, "origin", "main") }, true},
		{"one that slipped through, by a third", func(p play) (bool, []told) {
			slip(p)
			return p.does("RedFox", p.dir, "push", "-q", "origin", "main")
		}, true},
		{"one that slipped through, by the holder", func(p play) (bool, []told) {
			slip(p)
			return p.does("BlueLake", p.dir, "push", "-q", "origin", "main")
		}, false},
		{"undone again, but on the way", func(p play) (bool, []told) {
			slip(p)
			p.in("checkout", "-q", "HEAD~1", "--", held)
			commit(p, "BlueLake", "README.md")
			return push(p, "origin", "main")
		}, true},
		{"with a bypass", func(p play) (bool, []told) {
			slip(p)
			return p.does("GreenCastle", p.dir, "AGENTMAIL_BYPASS=why", "push", "-q", "origin", "main")
		}, false},
		{"a commit with a bypass is asked about again", func(p play) (bool, []told) {
			p.write(held, "x")
			if ok, v := p.does("GreenCastle", p.dir, "AGENTMAIL_BYPASS=why", "commit", "-q", "-a", "-m", "x"); !ok {
				return ok, v
			}
			return push(p, "origin", "main")
		}, true},
		{"by a commit nobody recorded, which counts as the pusher's", func(p play) (bool, []told) {
			p.write(held, "x")
			p.in("-c", "core.hooksPath=/dev/null", "commit", "-q", "-a", "-m", "x")
			return push(p, "origin", "main")
		}, true},
		{"by a commit nobody recorded, pushed by the holder", func(p play) (bool, []told) {
			p.write(held, "x")
			p.in("-c", "core.hooksPath=/dev/null", "commit", "-q", "-a", "-m", "x")
			return p.does("BlueLake", p.dir, "push", "-q", "origin", "main")
		}, false},
		{"older than the reservation", func(p play) (bool, []told) {
			commit(p, "GreenCastle", held, "GIT_COMMITTER_DATE="+p.at.Add(-time.Hour).Format(time.RFC3339), "--no-verify")
			return push(p, "origin", "main")
		}, false},
		{"of the second of the reservation", func(p play) (bool, []told) {
			commit(p, "GreenCastle", held, "GIT_COMMITTER_DATE="+p.at.Format(time.RFC3339), "--no-verify")
			return push(p, "origin", "main")
		}, true},
		{"a new branch", func(p play) (bool, []told) { slip(p); return push(p, "origin", "main:refs/heads/new") }, true},
		{"a tag of what is there", func(p play) (bool, []told) {
			p.in("tag", "-a", "-m", "t", "v1")
			return push(p, "origin", "v1")
		}, false},
		{"an annotated tag of a slip", func(p play) (bool, []told) {
			slip(p)
			p.in("tag", "-a", "-m", "t", "v1")
			return push(p, "origin", "v1")
		}, true},
		{"several refs, one of them bad", func(p play) (bool, []told) {
			p.in("branch", "good")
			slip(p)
			return push(p, "origin", "good", "main")
		}, true},
		{"a deletion", func(p play) (bool, []told) {
			if ok, v := push(p, "origin", "main:refs/heads/side"); !ok {
				return ok, v
			}
			slip(p)
			return push(p, "origin", ":refs/heads/side")
		}, false},
		{"a deletion and a slip", func(p play) (bool, []told) {
			if ok, v := push(p, "origin", "main:refs/heads/side"); !ok {
				return ok, v
			}
			slip(p)
			return push(p, "origin", ":refs/heads/side", "main")
		}, true},
		{"up to date", func(p play) (bool, []told) { return push(p, "origin", "main") }, false},
		{"by URL", func(p play) (bool, []told) { slip(p); return push(p, p.remote, "main") }, true},
		{"by URL, up to date", func(p play) (bool, []told) { return push(p, p.remote, "main") }, false},
		{"force over what is unknown here", func(p play) (bool, []told) {
			other := filepath.Join(filepath.Dir(p.dir), "other")
			p.git("clone", "-q", p.remote, other)
			p.git("-C", other, "-c", "user.name=O", "-c", "user.email=o@example.com", "commit", "-q", "--allow-empty", "-m", "unknown")
			p.git("-C", other, "push", "-q", "origin", "main")
			slip(p)
			return push(p, "--force", "origin", "main")
		}, true},
		{"force over what is unknown here, nothing held", func(p play) (bool, []told) {
			other := filepath.Join(filepath.Dir(p.dir), "other")
			p.git("clone", "-q", p.remote, other)
			p.git("-C", other, "-c", "user.name=O", "-c", "user.email=o@example.com", "commit", "-q", "--allow-empty", "-m", "unknown")
			p.git("-C", other, "push", "-q", "origin", "main")
			commit(p, "GreenCastle", "README.md")
			return push(p, "--force", "origin", "main")
		}, false},
		{"our own refs", func(p play) (bool, []told) { return push(p, "origin", "refs/agentmail/log/*:refs/agentmail/log/*") }, false},
		{"a merge of the holder's work", func(p play) (bool, []told) {
			p.in("checkout", "-q", "-b", "side")
			commit(p, "BlueLake", held)
			p.in("checkout", "-q", "main")
			commit(p, "GreenCastle", "README.md")
			if ok, v := p.does("GreenCastle", p.dir, "merge", "-q", "--no-edit", "side"); !ok {
				return ok, v
			}
			return push(p, "origin", "main")
		}, false},
		{"a person, who is warned", func(p play) (bool, []told) { slip(p); return p.does("", p.dir, "push", "-q", "origin", "main") }, false},
		{"after it was released", func(p play) (bool, []told) {
			slip(p)
			if _, err := p.box.Release(p.ctx, p.as("BlueLake"), LeaseFilter{}); err != nil {
				p.t.Fatal(err)
			}
			return push(p, "origin", "main")
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			remote := filepath.Join(filepath.Dir(w.dir), "remote.git")
			w.git("clone", "-q", "--bare", w.dir, remote)
			w.in("remote", "add", "origin", remote)
			w.in("fetch", "-q", "origin")
			w.hooked()
			blue := w.agent("BlueLake")
			w.agent("GreenCastle")
			w.agent("RedFox")
			w.hold(blue, "src/auth/**")
			ok, all := tt.do(play{w, remote})
			last := all[len(all)-1]
			if ok == tt.blocked || last.Event != PrePush && len(all) > 0 && tt.name != "up to date" {
				t.Errorf("passes: %v, %+v", ok, all)
			}
			if tt.blocked && (last.Code != mail.Conflict || !slices.Equal(last.Blocked, []string{held})) {
				t.Errorf("%+v", last)
			}
			if !tt.blocked && strings.HasPrefix(tt.name, "a person") && last.Code != mail.Conflict {
				t.Errorf("it is not shown: %+v", last)
			}
		})
	}
}

// TestPushFromAnotherClone: the records of whose commit it is travel with the
// logs; a clone that has them judges alike.
func TestPushFromAnotherClone(t *testing.T) {
	t.Parallel()
	w := newWorld(t).hooked()
	blue := w.agent("BlueLake")
	w.agent("GreenCastle")
	w.hold(blue, "src/auth/**")
	w.write("src/auth/token.go", "by blue\n")
	if ok, v := w.does("BlueLake", w.dir, "commit", "-q", "-a", "-m", "x"); !ok {
		t.Fatalf("%+v", v)
	}
	c := w.clone().hooked()
	c.agent("RedFox")
	remote := filepath.Join(t.TempDir(), "remote.git")
	w.git("init", "-q", "--bare", remote)
	w.in("-c", "core.hooksPath=/dev/null", "push", "-q", remote, "HEAD~1:refs/heads/main")
	c.git("-C", c.dir, "remote", "add", "hub", remote)
	c.git("-C", c.dir, "fetch", "-q", "hub")
	if ok, v := c.does("RedFox", c.dir, "push", "-q", "hub", "HEAD:refs/heads/main"); !ok {
		t.Errorf("the holder's commit, pushed from another clone: %+v", v)
	}
}

// TestPushLines: what git never says, and what it says of nothing.
func TestPushLines(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	green := w.agent("GreenCastle")
	w.hold(blue, "src/**")
	for _, tt := range []struct {
		stdin string
		stop  bool
	}{
		{"", false}, {"\n", false}, {"rubbish\n", true}, {"refs/heads/main HEAD refs/heads/main 0\n", true},
		{"(delete) " + strings.Repeat("0", 40) + " refs/heads/x " + strings.Repeat("a", 40) + "\n", false},
		{"refs/heads/main " + strings.Repeat("a", 40) + " refs/heads/main " + strings.Repeat("0", 40) + "\n", true}, // there is no such commit
	} {
		v := w.box.Hook(w.ctx, HookRequest{Event: PrePush, Args: []string{"origin", "u"}, Stdin: []byte(tt.stdin)}, self(green))
		if v.Stop != tt.stop || v.Stop && v.Err.Code != mail.Unchecked {
			t.Errorf("%q: %+v", tt.stdin, v)
		}
	}
}

// TestPushOfBoth: a commit that touches its maker's own reservation and another's
// is its maker's, so that of what it touches only the other's is in the way.
func TestPushOfBoth(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	remote := filepath.Join(t.TempDir(), "r.git")
	w.git("clone", "-q", "--bare", w.dir, remote)
	w.hooked()
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	w.hold(blue, "src/**")
	w.hold(green, "README.md")
	w.pass(time.Minute)
	w.write("src/auth/token.go", "x\n")
	w.write("README.md", "x\n")
	w.does("BlueLake", w.dir, "commit", "-q", "-a", "--no-verify", "-m", "x")
	if ok, all := w.does("GreenCastle", w.dir, "push", "-q", remote, "main"); !ok {
		t.Errorf("what BlueLake made of its own and of the pusher's is stopped: %+v", all)
	}
}

// TestPushByPerson: a person is warned, and the holder is told, as it says.
func TestPushByPerson(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	remote := filepath.Join(t.TempDir(), "r.git")
	w.git("clone", "-q", "--bare", w.dir, remote)
	w.hooked()
	blue := w.agent("BlueLake")
	w.hold(blue, "src/**")
	w.pass(time.Minute)
	w.write("src/auth/token.go", "x\n")
	w.in("-c", "core.hooksPath=/dev/null", "commit", "-q", "-a", "-m", "x")
	ok, all := w.does("", w.dir, "push", "-q", remote, "main")
	if !ok || len(all) != 1 || all[0].Code != mail.Conflict {
		t.Errorf("%v %+v", ok, all)
	}
	if in := w.inbox(blue); len(in) != 1 || !strings.Contains(in[0].Subject, " pushed src/auth/token.go") {
		t.Errorf("told %q", subjects(in))
	}
}
