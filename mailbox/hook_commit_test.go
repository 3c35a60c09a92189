package mailbox

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/git-agentmail/git-agentmail/mail"
)

// TestCommits plays real git commands through the hooks: GreenCastle works where
// BlueLake holds src/auth/**.
func TestCommits(t *testing.T) {
	t.Parallel()
	const held = "src/auth/token.go"
	type play struct {
		*world
		blue, green Actor
	}
	as := func(p play, who string, args ...string) (bool, []told) {
		p.t.Helper()
		return p.does(who, p.dir, args...)
	}
	edit := func(p play, paths ...string) {
		for _, path := range paths {
			p.write(path, "changed by "+p.t.Name()+"\n")
		}
	}
	stage := func(p play, paths ...string) { edit(p, paths...); p.in("add", "-A") }
	// branch makes a branch on which BlueLake has changed a path.
	branch := func(p play, path string) {
		p.in("checkout", "-q", "-b", "side")
		p.write(path, "by blue\n")
		p.in("add", "-A")
		if ok, _ := as(p, "BlueLake", "commit", "-q", "-m", "side"); !ok {
			p.t.Fatal("the holder is stopped")
		}
		p.in("checkout", "-q", "main")
	}
	diverge := func(p play) {
		p.write("other.txt", "x\n")
		p.in("add", "-A")
		if ok, v := as(p, "GreenCastle", "commit", "-q", "-m", "other"); !ok {
			p.t.Fatalf("%+v", v)
		}
	}
	for _, tt := range []struct {
		name    string
		do      func(p play) (bool, []told)
		blocked []string // paths; nil when the command passes
		commits []string // what is recorded afterwards
	}{
		{"plain", func(p play) (bool, []told) {
			stage(p, held, "README.md")
			return as(p, "GreenCastle", "commit", "-m", "x")
		}, []string{held}, nil},
		{"by the holder", func(p play) (bool, []told) { stage(p, held); return as(p, "BlueLake", "commit", "-m", "x") }, nil, []string{"held BlueLake " + held}},
		{"elsewhere", func(p play) (bool, []told) { stage(p, "README.md"); return as(p, "GreenCastle", "commit", "-m", "x") }, nil, nil},
		{"-a", func(p play) (bool, []told) { edit(p, held); return as(p, "GreenCastle", "commit", "-a", "-m", "x") }, []string{held}, nil},
		{"--only another, the held one staged", func(p play) (bool, []told) {
			stage(p, held, "README.md")
			return as(p, "GreenCastle", "commit", "-m", "x", "--only", "README.md")
		}, nil, nil},
		{"--only", func(p play) (bool, []told) {
			edit(p, held, "README.md")
			return as(p, "GreenCastle", "commit", "-m", "x", "--only", held)
		}, []string{held}, nil},
		{"-i", func(p play) (bool, []told) {
			stage(p, "README.md")
			edit(p, held)
			return as(p, "GreenCastle", "commit", "-m", "x", "-i", held)
		}, []string{held}, nil},
		{"from a subdirectory", func(p play) (bool, []told) {
			stage(p, held)
			return p.does("GreenCastle", filepath.Join(p.dir, "src"), "commit", "-m", "x")
		}, []string{held}, nil},
		{"--amend of the message", func(p play) (bool, []told) {
			diverge(p)
			return as(p, "GreenCastle", "commit", "--amend", "-m", "y")
		}, nil, nil},
		{"--amend with a change", func(p play) (bool, []told) {
			diverge(p)
			stage(p, held)
			return as(p, "GreenCastle", "commit", "--amend", "-m", "y")
		}, []string{held}, nil},
		{"--allow-empty", func(p play) (bool, []told) { return as(p, "GreenCastle", "commit", "--allow-empty", "-m", "y") }, nil, nil},
		{"--no-verify", func(p play) (bool, []told) {
			stage(p, held)
			return as(p, "GreenCastle", "commit", "--no-verify", "-m", "y")
		}, nil, []string{"slipped GreenCastle " + held}},
		{"a deletion", func(p play) (bool, []told) { p.in("rm", "-q", held); return as(p, "GreenCastle", "commit", "-m", "y") }, []string{held}, nil},
		{"a rename out", func(p play) (bool, []told) {
			p.in("mv", held, "token.go")
			return as(p, "GreenCastle", "commit", "-m", "y")
		}, []string{held}, nil},
		{"a rename in", func(p play) (bool, []told) {
			p.in("mv", "README.md", "src/auth/README.md")
			return as(p, "GreenCastle", "commit", "-m", "y")
		}, []string{"src/auth/README.md"}, nil},
		{"a change of mode", func(p play) (bool, []told) {
			p.in("update-index", "--chmod=+x", held)
			return as(p, "GreenCastle", "commit", "-m", "y")
		}, []string{held}, nil},
		{"a file becomes a link", func(p play) (bool, []told) {
			os.Remove(filepath.Join(p.dir, held))
			if err := os.Symlink("x", filepath.Join(p.dir, held)); err != nil {
				p.t.Fatal(err)
			}
			return as(p, "GreenCastle", "commit", "-a", "-m", "y")
		}, []string{held}, nil},
		{"the held directory becomes a file", func(p play) (bool, []told) {
			p.in("rm", "-q", "-r", "src/auth")
			p.write("src/auth", "now a file\n")
			p.in("add", "-A")
			return as(p, "GreenCastle", "commit", "-m", "y")
		}, []string{"src/auth", held}, nil},
		{"a submodule", func(p play) (bool, []told) {
			p.in("update-index", "--add", "--cacheinfo", "160000,"+p.in("rev-parse", "HEAD")+",src/auth/sub")
			return as(p, "GreenCastle", "commit", "-m", "y")
		}, []string{"src/auth/sub"}, nil},
		{"intent to add", func(p play) (bool, []told) {
			edit(p, "src/auth/new.go", "README.md")
			p.in("add", "-N", "src/auth/new.go")
			p.in("add", "README.md")
			return as(p, "GreenCastle", "commit", "-m", "y")
		}, nil, nil},
		{"odd names", func(p play) (bool, []told) {
			stage(p, "src/auth/a\nb", "src/auth/\"q\"", "src/auth/s\xe9ec1", "src/auth/sec1", "src/auth/\x1b[31m", "src/auth/-x", "src/auth/ä")
			return as(p, "GreenCastle", "commit", "-m", "y")
		}, []string{"src/auth/\x1b[31m", "src/auth/\"q\"", "src/auth/-x", "src/auth/a\nb", "src/auth/sec1", `"src/auth/s\xe9ec1"`, "src/auth/ä"}, nil},
		{"in another worktree", func(p play) (bool, []told) {
			_, dir := p.worktree("tree")
			if err := os.WriteFile(filepath.Join(dir, held), []byte("x"), 0o666); err != nil {
				p.t.Fatal(err)
			}
			return p.does("GreenCastle", dir, "commit", "-a", "-m", "y")
		}, []string{held}, nil},
		{"a clean merge of the holder's work", func(p play) (bool, []told) {
			branch(p, held)
			diverge(p)
			return as(p, "GreenCastle", "merge", "--no-edit", "side")
		}, nil, []string{"held BlueLake " + held}},
		{"a merge without a commit, changed on the way", func(p play) (bool, []told) {
			branch(p, held)
			diverge(p)
			as(p, "GreenCastle", "merge", "--no-commit", "--no-edit", "side")
			stage(p, held)
			return as(p, "GreenCastle", "commit", "--no-edit")
		}, []string{held}, []string{"held BlueLake " + held}},
		{"a merge without a commit, the holder's work untouched", func(p play) (bool, []told) {
			branch(p, held)
			diverge(p)
			as(p, "GreenCastle", "merge", "--no-commit", "--no-edit", "side")
			stage(p, "README.md")
			return as(p, "GreenCastle", "commit", "--no-edit")
		}, nil, []string{"held BlueLake " + held}},
		{"a merge changed on the way, without asking", func(p play) (bool, []told) {
			branch(p, held)
			diverge(p)
			as(p, "GreenCastle", "merge", "--no-commit", "--no-edit", "side")
			stage(p, held)
			return as(p, "GreenCastle", "commit", "--no-verify", "--no-edit")
		}, nil, []string{"held BlueLake " + held, "slipped GreenCastle " + held}},
		{"a fast-forward to the holder's work", func(p play) (bool, []told) { branch(p, held); return as(p, "GreenCastle", "merge", "side") }, nil, []string{"held BlueLake " + held}},
		{"a fast-forward to work nobody recorded", func(p play) (bool, []told) {
			p.in("checkout", "-q", "-b", "side")
			stage(p, held)
			p.in("-c", "core.hooksPath=/dev/null", "commit", "-q", "-m", "x")
			p.in("checkout", "-q", "main")
			return as(p, "GreenCastle", "merge", "side")
		}, nil, nil},
		{"a squash", func(p play) (bool, []told) {
			branch(p, held)
			if ok, v := as(p, "GreenCastle", "merge", "--squash", "side"); !ok {
				return ok, v
			}
			return as(p, "GreenCastle", "commit", "-m", "y")
		}, []string{held}, []string{"held BlueLake " + held}},
		{"a cherry-pick", func(p play) (bool, []told) {
			branch(p, held)
			diverge(p)
			return as(p, "GreenCastle", "cherry-pick", "side")
		}, nil, []string{"held BlueLake " + held, "slipped GreenCastle " + held}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t).hooked()
			p := play{w, w.agent("BlueLake"), w.agent("GreenCastle")}
			w.hold(p.blue, "src/auth/**")
			ok, all := tt.do(p)
			var blocked []string
			for _, v := range all {
				if v.Stop {
					blocked = append(blocked, v.Blocked...)
				}
				if v.Code != "" && v.Code != mail.Conflict {
					t.Errorf("%s: %s", v.Event, v.Message)
				}
			}
			slices.Sort(blocked)
			slices.Sort(tt.blocked)
			if ok != (tt.blocked == nil) || !slices.Equal(blocked, tt.blocked) {
				t.Errorf("passes: %v, blocked %q; want %q\n%+v", ok, blocked, tt.blocked, all)
			}
			commits, _ := w.seen()
			if !slices.Equal(commits, tt.commits) {
				t.Errorf("recorded %q, want %q", commits, tt.commits)
			}
			slipped := 0
			for _, c := range commits {
				if strings.HasPrefix(c, mail.CommitSlipped) {
					slipped++
				}
			}
			if in := w.inbox(p.blue); len(in) != slipped {
				t.Errorf("the holder's mail: %q", subjects(in))
			}
		})
	}
}

func TestUnbornHead(t *testing.T) {
	t.Parallel()
	w := newWorld(t).hooked()
	blue := w.agent("BlueLake")
	w.agent("GreenCastle")
	w.hold(blue, "src/auth/**")
	w.in("checkout", "-q", "--orphan", "fresh")
	ok, all := w.does("GreenCastle", w.dir, "commit", "-m", "x")
	if ok || len(all) != 1 || !slices.Equal(all[0].Blocked, []string{"src/auth/token.go"}) || !strings.Contains(all[0].Hints[0], "git rm --cached") {
		t.Errorf("%v %+v", ok, all)
	}
	if ok, _ := w.does("BlueLake", w.dir, "commit", "-m", "x"); !ok {
		t.Error("the holder is stopped")
	}
	if commits, _ := w.seen(); !slices.Equal(commits, []string{"held BlueLake src/auth/token.go"}) {
		t.Errorf("recorded %q", commits)
	}
}

// TestHintsRun: what a refusal tells to paste works as it stands, also with
// names that a shell or git would read as something else.
func TestHintsRun(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"plain.go", "with blank", "it's", "-dash", "new\nline", "\x1b[31mred", "s\xe9ec", "[id]", ":(top)x", "dollar$HOME", `back\slash`, "*"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t).hooked()
			blue := w.agent("BlueLake")
			w.agent("GreenCastle")
			w.hold(blue, "**")
			w.write(name, "x\n")
			w.write("sub/keep", "x\n")
			w.in("add", "-A", "--", ":(top,literal)"+name)
			ok, all := w.does("GreenCastle", w.dir, "commit", "-m", "x")
			if ok {
				t.Fatal("passes")
			}
			_, command, _ := strings.Cut(all[0].Hints[0], ": ")
			for _, h := range append(all[0].Hints, all[0].Lines...) {
				if strings.ContainsAny(h, "\n\x1b") || strings.Contains(h, "\xe9") {
					t.Errorf("control characters in %q", h)
				}
			}
			dir := w.dir
			c := &world{t: t, dir: w.dir, env: w.env}
			if status, out := c.shell(dir, strings.TrimSpace(command)); status != 0 {
				t.Errorf("%s: %s", command, out)
			}
			if left := w.in("diff", "--cached", "--name-only"); left != "" {
				t.Errorf("%s leaves staged: %q", command, left)
			}
		})
	}
}
