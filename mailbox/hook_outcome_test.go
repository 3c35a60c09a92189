package mailbox

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

// asks answers a hook in this process, with this repository's own index.
func (w *world) asks(box *Box, event string, who func(context.Context) (Actor, error)) told {
	w.t.Helper()
	return tell(event, box.Hook(w.ctx, HookRequest{Event: event, Args: []string{"origin", "url"}, Stdin: w.pushLine()}, who))
}

// pushLine is what git tells a pre-push hook when main is pushed for the first
// time.
func (w *world) pushLine() []byte {
	status, head := w.try(w.dir, nil, "rev-parse", "--verify", "-q", "HEAD")
	if status != 0 {
		return nil
	}
	return []byte("refs/heads/main " + head + " refs/heads/main " + strings.Repeat("0", 40) + "\n")
}

func self(a Actor) func(context.Context) (Actor, error) {
	return func(context.Context) (Actor, error) { return a, nil }
}

// TestOutcomes is the table of what a hook does when it could check and when it
// could not, for each mode: whether git is stopped, and with which code.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	const conflict, unchecked = mail.Conflict, mail.Unchecked
	type result struct {
		stop bool
		code mail.Code
	}
	pass, loud := result{}, result{false, unchecked}
	// onlyPack damages the newest object of the log.
	pack := func(w *world, do func(name string) error) {
		names, err := filepath.Glob(filepath.Join(w.dir, ".git/objects/pack/*.keep"))
		if err != nil || len(names) == 0 {
			w.t.Fatalf("no pack of ours: %v", err)
		}
		for _, n := range names {
			if err := do(strings.TrimSuffix(n, ".keep")); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	uncache := func(w *world) {
		if err := os.RemoveAll(filepath.Join(w.dir, ".git/agentmail-cache")); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name         string
		given        func(w *world)
		commit, push result // where the mode is block; where it is warn nothing is stopped
		says         string // in the hints or the message
	}{
		{"conflict", func(*world) {}, result{true, conflict}, result{true, conflict}, "BlueLake"},
		{"no conflict", func(w *world) {
			if _, err := w.box.Release(w.ctx, w.as("BlueLake"), LeaseFilter{}); err != nil {
				w.t.Fatal(err)
			}
		}, pass, pass, ""},
		{"run out", func(w *world) { w.pass(61 * time.Minute) }, pass, pass, ""},
		{"the index is damaged", func(w *world) {
			if err := os.WriteFile(filepath.Join(w.dir, ".git/index"), []byte("not an index"), 0o666); err != nil {
				w.t.Fatal(err)
			}
		}, result{true, unchecked}, result{true, unchecked}, "AGENTMAIL_BYPASS"}, // to look at commits git reads it as well
		{"a ref without an object", func(w *world) {
			uncache(w)
			os.Remove(filepath.Join(w.dir, ".git/agentmail/tips"))
			ref := strings.Fields(w.in("for-each-ref", "--format=%(refname)", "refs/agentmail/log"))[0]
			if err := os.WriteFile(filepath.Join(w.dir, ".git", ref), []byte(strings.Repeat("ab", 20)+"\n"), 0o666); err != nil {
				w.t.Fatal(err)
			}
		}, result{true, unchecked}, result{true, unchecked}, "AGENTMAIL_BYPASS"},
		{"its objects are gone", func(w *world) {
			uncache(w)
			pack(w, func(n string) error {
				return errors.Join(os.Remove(n+".keep"), os.Remove(n+".idx"), os.Remove(n+".pack"))
			})
		}, result{true, unchecked}, result{true, unchecked}, "AGENTMAIL_BYPASS"},
		{"its objects are cut short", func(w *world) {
			uncache(w)
			pack(w, func(n string) error { os.Chmod(n+".pack", 0o666); return os.Truncate(n+".pack", 40) })
		}, result{true, unchecked}, result{true, unchecked}, "AGENTMAIL_BYPASS"},
		{"a ref that holds no name", func(w *world) {
			ref := strings.Fields(w.in("for-each-ref", "--format=%(refname)", "refs/agentmail/log"))[0]
			if err := os.WriteFile(filepath.Join(w.dir, ".git", ref), []byte("rubbish\n"), 0o666); err != nil {
				w.t.Fatal(err)
			}
		}, result{true, unchecked}, result{true, unchecked}, "AGENTMAIL_BYPASS"},
		{"a reservation that does not decode", func(w *world) {
			uncache(w)
			w.plant("leases/2026-11/21/05/zzzzzzzzzz.json", "{}", time.Now())
		}, result{true, unchecked}, result{true, unchecked}, "git agentmail verify"},
		{"a reservation of a newer version", func(w *world) { uncache(w); w.plant("x", newerLog, time.Now()) },
			result{true, unchecked}, result{true, unchecked}, "go install"},
		{"the log is gone and nothing is left of it", func(w *world) {
			uncache(w)
			pack(w, func(n string) error {
				return errors.Join(os.Remove(n+".keep"), os.Remove(n+".idx"), os.Remove(n+".pack"))
			})
			names, err := filepath.Glob(filepath.Join(w.dir, ".git/agentmail/*"))
			if err != nil {
				w.t.Fatal(err)
			}
			for _, n := range names {
				if filepath.Base(n) != "replica" {
					os.RemoveAll(n)
				}
			}
			os.RemoveAll(filepath.Join(w.dir, ".git/refs/agentmail"))
			os.RemoveAll(filepath.Join(w.dir, ".git/logs/refs/agentmail"))
		}, loud, result{true, unchecked}, "gone"},
		{"nobody may read the store", func(w *world) { uncache(w); w.forbid(".git/agentmail") }, result{true, unchecked}, result{true, unchecked}, "AGENTMAIL_BYPASS"},
		{"nobody may read the refs", func(w *world) { uncache(w); w.forbid(".git/refs/agentmail/log") }, result{true, unchecked}, result{true, unchecked}, "AGENTMAIL_BYPASS"},
		{"nobody may read the objects", func(w *world) {
			uncache(w)
			pack(w, func(n string) error { return errors.Join(os.Chmod(n+".pack", 0), os.Chmod(n+".idx", 0)) })
			if os.Geteuid() == 0 {
				w.t.Skip("root may read anything")
			}
		}, result{true, unchecked}, result{true, unchecked}, "AGENTMAIL_BYPASS"},
		{"who is acting cannot be found out", nil, loud, result{true, unchecked}, ""},
		{"an unknown event", nil, loud, loud, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			blue := w.agent("BlueLake")
			green := w.agent("GreenCastle")
			w.hold(blue, "src/auth/**")
			w.write("src/auth/token.go", "to be pushed\n")
			w.in("commit", "-q", "-a", "-m", "two")
			w.write("src/auth/token.go", "to be committed\n")
			w.in("add", "-A")
			if tt.given != nil {
				tt.given(w)
			}
			who := self(green)
			events := []string{PreCommit, PreMergeCommit, PrePush}
			switch tt.name {
			case "who is acting cannot be found out":
				who = func(context.Context) (Actor, error) { return Actor{}, errors.New("a fault") }
			case "an unknown event":
				events = []string{"pre-lunch"}
			}
			for _, mode := range []string{ModeOff, ModeWarn, ModeBlock} {
				w.in("config", "--local", "agentmail.guard", mode)
				for _, event := range events {
					want := tt.commit
					if event == PrePush {
						want = tt.push
					}
					if mode == ModeWarn {
						want.stop = false
					}
					if mode == ModeOff {
						want = pass
					}
					got := w.asks(w.open(w.dir), event, who)
					if (result{got.Stop, got.Code}) != want {
						t.Errorf("%s, %s: stop %v, code %q (%s); want %+v", event, mode, got.Stop, got.Code, got.Message, want)
					}
					if got.Mode != mode || got.Code != "" && !strings.Contains(got.Message, "mode="+mode) {
						t.Errorf("%s, %s: the message does not tell the mode: %q", event, mode, got.Message)
					}
					if text := got.Message + strings.Join(append(got.Lines, got.Hints...), "\n"); got.Code != "" && (want.stop || tt.says != "AGENTMAIL_BYPASS") && !strings.Contains(text, tt.says) {
						t.Errorf("%s, %s: does not say %q: %s", event, mode, tt.says, text)
					}
				}
			}
		})
	}
}

// forbid takes all rights to a file or directory away, until the test ends.
func (w *world) forbid(path string) {
	w.t.Helper()
	if os.Geteuid() == 0 {
		w.t.Skip("root may read anything")
	}
	name := filepath.Join(w.dir, filepath.FromSlash(path))
	if err := os.Chmod(name, 0); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { os.Chmod(name, 0o777) })
}

// newerLog stands for a log whose header says a format of tomorrow.
const newerLog = "format 99"

// plant writes a file into a log of another clone's, by plain git.
func (w *world) plant(path, data string, at time.Time) {
	w.t.Helper()
	header := `{"format":1,"replica":"zzzzzzzzzz","created":"2026-11-21T05:00:00Z","base":{"epoch":0,"upto":0}}`
	if data == newerLog {
		header = strings.Replace(header, `"format":1`, `"format":99`, 1)
	}
	path = strings.Replace(path, "2026-11/21/05", at.UTC().Format("2006-01/02/15"), 1)
	script := `
set -e
export GIT_INDEX_FILE="$(mktemp -u)" GIT_AUTHOR_NAME=Z GIT_AUTHOR_EMAIL=z@example.com GIT_COMMITTER_NAME=Z GIT_COMMITTER_EMAIL=z@example.com
head=$(printf '%s' "$HEADER" | git hash-object -w --stdin)
file=$(printf '%s' "$DATA" | git hash-object -w --stdin)
git update-index --add --cacheinfo "100644,$head,agentmail.json" --cacheinfo "100644,$file,$FILE"
git update-ref refs/agentmail/log/zzzzzzzzzz "$(git commit-tree -m planted "$(git write-tree)")"
rm -f "$GIT_INDEX_FILE"`
	c := *w
	c.env = append(slices.Clone(w.env), "HEADER="+header, "DATA="+data, "FILE="+path)
	if status, out := c.shell(w.dir, script); status != 0 {
		w.t.Fatal(out)
	}
}

// TestNotOurs: in a repository that never heard of mail a hook says nothing, and
// asks nobody who is acting.
func TestNotOurs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, e := range []string{PreCommit, PreMergeCommit, PrePush, PostCommit, PostMerge, "pre-lunch"} {
		v := w.box.Hook(w.ctx, HookRequest{Event: e}, func(context.Context) (Actor, error) {
			t.Error("asked who is acting")
			return Actor{}, nil
		})
		if v.Stop || v.Err != nil || len(v.Notes) != 0 {
			t.Errorf("%s: %+v", e, v)
		}
	}
}

// TestModeIsLocal: only the repository's own configuration switches the guard.
func TestModeIsLocal(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, local string
		env         []string
		stop        bool
	}{
		{"nothing said", "", nil, true},
		{"off", "off", nil, false}, {"OFF with blanks", " Off ", nil, false}, {"warn", "warn", nil, false},
		{"a word that is none", "sometimes", nil, true}, {"no value", "", nil, true},
		{"off by git -c", "", []string{"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=agentmail.guard", "GIT_CONFIG_VALUE_0=off"}, true},
		{"off by git -c over block", "block", []string{"GIT_CONFIG_PARAMETERS='agentmail.guard'='off'"}, true},
		{"off in the user's configuration", "", []string{"GIT_CONFIG_GLOBAL=global"}, true},
		{"the other program's variable", "", []string{"AGENT_MAIL_GUARD_MODE=warn"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t).hooked()
			blue := w.agent("BlueLake")
			w.agent("GreenCastle")
			w.hold(blue, "src/**")
			global := filepath.Join(t.TempDir(), "global")
			if err := os.WriteFile(global, []byte("[agentmail]\n\tguard = off\n[user]\n\tname = U\n\temail = u@example.com\n"), 0o666); err != nil {
				t.Fatal(err)
			}
			if tt.local != "" {
				w.in("config", "--local", "agentmail.guard", tt.local)
			}
			w.write("src/auth/token.go", "x\n")
			args := []string{}
			for _, kv := range tt.env {
				args = append(args, strings.Replace(kv, "=global", "="+global, 1))
			}
			ok, all := w.does("GreenCastle", w.dir, append(args, "commit", "-a", "-m", "x")...)
			if ok == tt.stop {
				t.Errorf("passes: %v, %+v", ok, all)
			}
			if strings.HasPrefix(tt.name, "the other") && !strings.Contains(strings.Join(all[0].Notes, "\n"), "AGENT_MAIL_GUARD_MODE") {
				t.Errorf("it is not said that the variable does not count: %q", all[0].Notes)
			}
		})
	}
}

// TestWhoIsStopped: people pass and the holder is told, unless agentmail.people
// is block; an agent that nobody can name is held like any other.
func TestWhoIsStopped(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		agent   string
		env     string
		people  string
		passes  bool
		commits string
		told    string // the beginning of the subject to the holder
	}{
		{"a person", "", "X=1", "", true, "warned HumanOverseer", "[guard] U committed "},
		{"a person where people are stopped", "", "X=1", "block", false, "", ""},
		{"named as one", "HumanOverseer", "X=1", "", true, "warned HumanOverseer", "[guard] U committed "},
		{"an agent's program", "", "CLAUDECODE=1", "", false, "", ""},
		{"a name that is not registered", "Nobody1", "X=1", "", false, "", ""},
		{"a name that is none", "\xff\x1b", "X=1", "", false, "", ""},
		{"AGENT_NAME of somebody else", "", "AGENT_NAME=azure-runner", "", true, "warned HumanOverseer", "[guard] U committed "},
		{"AGENT_NAME of an agent", "", "AGENT_NAME=BlueLake", "", true, "held BlueLake", ""},
		{"AGENT_NAME of the person", "", "AGENT_NAME=HumanOverseer", "", true, "warned HumanOverseer", "[guard] U committed "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t).hooked()
			w.in("config", "--local", "user.name", "U")
			w.box = w.open(w.dir)
			blue := w.agent("BlueLake")
			w.send(w.person(), "BlueLake") // so that there is a HumanOverseer
			w.hold(blue, "src/**")
			if tt.people != "" {
				w.in("config", "--local", "agentmail.people", tt.people)
			}
			w.write("src/auth/token.go", "x\n")
			ok, all := w.does(tt.agent, w.dir, tt.env, "commit", "-a", "-m", "x")
			if ok != tt.passes {
				t.Fatalf("passes: %v, %+v", ok, all)
			}
			commits, _ := w.seen()
			want := []string{}
			if tt.commits != "" {
				want = append(want, tt.commits+" src/auth/token.go")
			}
			if !slices.Equal(commits, want) {
				t.Errorf("recorded %q, want %q", commits, want)
			}
			in := w.inbox(blue)
			if tt.told == "" && len(in) != 1 || tt.told != "" && (len(in) != 2 || !strings.HasPrefix(in[0].Subject, tt.told)) {
				t.Errorf("the holder's mail: %q", subjects(in))
			}
			if tt.passes && tt.told != "" && (all[0].Code != mail.Conflict || all[0].Stop) {
				t.Errorf("it is not shown: %+v", all[0])
			}
		})
	}
}

// TestOtherWorktrees: with agentmail.otherWorktrees = warn, who works in another
// worktree only makes a remark.
func TestOtherWorktrees(t *testing.T) {
	t.Parallel()
	w := newWorld(t).hooked()
	blue := w.agent("BlueLake")
	w.agent("GreenCastle")
	w.hold(blue, "src/**")
	_, dir := w.worktree("side")
	change := func() {
		for _, d := range []string{w.dir, dir} {
			if err := os.WriteFile(filepath.Join(d, "src/auth/token.go"), []byte(w.at.String()), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		w.pass(time.Second)
	}
	change()
	if ok, _ := w.does("GreenCastle", dir, "commit", "-a", "-m", "x"); ok {
		t.Error("a reservation does not hold in another worktree")
	}
	w.in("config", "--local", "agentmail.otherWorktrees", "warn")
	ok, all := w.does("GreenCastle", dir, "commit", "-a", "-m", "x")
	if !ok || !strings.Contains(strings.Join(all[0].Notes, "\n"), "merge risk") {
		t.Errorf("passes: %v, %+v", ok, all)
	}
	if commits, _ := w.seen(); !slices.Equal(commits, []string{"warned GreenCastle src/auth/token.go"}) {
		t.Errorf("recorded %q", commits)
	}
	if ok, _ := w.does("GreenCastle", w.dir, "commit", "-a", "-m", "x"); ok {
		t.Error("in the holder's own worktree it passes")
	}
}
