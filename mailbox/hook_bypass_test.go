package mailbox

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/mail"
)

func TestBypass(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, env string
		passes    bool
		reason    string
	}{
		{"a reason", "AGENTMAIL_BYPASS=hot  fix\n now", true, "hot fix now"},
		{"bytes of any sort", "AGENTMAIL_BYPASS=\xff\x1b[31m", true, "?\x1b[31m"},
		{"a long one", "AGENTMAIL_BYPASS=" + strings.Repeat("why ", 5000), true, ""},
		{"empty", "AGENTMAIL_BYPASS=", false, ""},
		{"blank", "AGENTMAIL_BYPASS=  ", false, ""},
		{"the other program's", "AGENT_MAIL_BYPASS=1", true, "AGENT_MAIL_BYPASS=1 (no reason)"},
		{"the other program's, no", "AGENT_MAIL_BYPASS=0", false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t).hooked()
			blue, red := w.agent("BlueLake"), w.agent("RedFox")
			w.agent("GreenCastle")
			w.hold(blue, "src/auth/**")
			w.hold(red, "README.md")
			w.write("src/auth/token.go", "x\n")
			w.write("README.md", "x\n")
			ok, all := w.does("GreenCastle", w.dir, tt.env, "commit", "-a", "-m", "x")
			if ok != tt.passes {
				t.Fatalf("passes: %v, %+v", ok, all)
			}
			commits, bypasses := w.seen()
			if !tt.passes {
				if len(commits)+len(bypasses)+len(w.inbox(blue)) != 0 {
					t.Errorf("recorded %q, %q", commits, bypasses)
				}
				return
			}
			if all[0].Code != "" || len(all[0].Notes) == 0 || !strings.Contains(all[0].Notes[0], "passed") {
				t.Errorf("told: %+v", all[0])
			}
			if want := "pre-commit GreenCastle " + tt.reason; len(bypasses) != 1 || !strings.HasPrefix(bypasses[0], want) || !strings.HasSuffix(bypasses[0], " README.md,src/auth/token.go") {
				t.Errorf("recorded %.200q, want %q", bypasses, want)
			}
			if !slices.Equal(commits, []string{"bypass GreenCastle README.md,src/auth/token.go"}) {
				t.Errorf("recorded %q", commits)
			}
			for _, who := range []Actor{blue, red} { // each is told once, of its own paths
				in := w.inbox(who)
				if len(in) != 1 || !strings.HasPrefix(in[0].Subject, "[guard] GreenCastle bypassed ") || !strings.Contains(*in[0].BodyMD, "Reason: ") ||
					strings.Contains(*in[0].BodyMD, "README.md") != (who == red) {
					t.Errorf("%s is told %+v", who.Name, in)
				}
			}
			if _, err := w.box.Verify(w.ctx, nil); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestBypassWithoutStore: where the guard could not check, a reason lets pass too.
func TestBypassWithoutStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t).hooked()
	blue := w.agent("BlueLake")
	w.agent("GreenCastle")
	w.hold(blue, "src/**")
	w.plant("x", newerLog, w.at)
	w.write("README.md", "x\n")
	if ok, _ := w.does("GreenCastle", w.dir, "commit", "-a", "-m", "x"); ok {
		t.Error("passes unchecked")
	}
	ok, all := w.does("GreenCastle", w.dir, "AGENTMAIL_BYPASS=why", "commit", "-a", "-m", "x")
	if !ok || all[0].Code != mail.Unchecked {
		t.Errorf("%v %+v", ok, all)
	}
}

// TestHugeCommit: a commit of thousands of reserved files is recorded so that
// the record can be read again.
func TestHugeCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t).hooked()
	blue := w.agent("BlueLake")
	w.agent("GreenCastle")
	w.hold(blue, "big/**")
	dir := "big/" + strings.Repeat("d", 200)
	for i := range 3000 {
		w.write(dir+"/"+strings.Repeat("n", 200)+string(rune('a'+i%26))+string(rune('a'+i/26%26))+string(rune('a'+i/676)), "x")
	}
	w.in("add", "-A")
	ok, all := w.does("GreenCastle", w.dir, "AGENTMAIL_BYPASS=why", "commit", "-q", "-m", "x")
	if !ok {
		t.Fatalf("%+v", all)
	}
	for _, v := range all {
		for _, n := range v.Notes {
			if strings.Contains(n, "could not be recorded") {
				t.Error(n)
			}
		}
		if v.Code != "" {
			t.Errorf("%s: %s", v.Event, v.Message)
		}
	}
	if commits, bypasses := w.seen(); len(commits) == 0 || len(bypasses) == 0 {
		t.Errorf("%d records of the commit, %d of the bypass", len(commits), len(bypasses))
	}
	if in := w.inbox(blue); len(in) != 1 || !strings.Contains(*in[0].BodyMD, "and 2980 more") {
		t.Errorf("%d letters", len(in))
	}
	if _, err := w.box.Verify(w.ctx, nil); err != nil {
		t.Error(err)
	}
}

// TestHookWhileLocked: a writer that keeps the lock holds up no commit. Reading
// needs no lock; what cannot be recorded is said.
func TestHookWhileLocked(t *testing.T) {
	t.Parallel()
	w := newWorld(t).hooked()
	blue := w.agent("BlueLake")
	w.agent("GreenCastle")
	w.hold(blue, "src/**")
	release, locked := make(chan bool), make(chan bool)
	go w.box.store.Update(w.ctx, func(*gitstore.Tx) (gitstore.CommitInfo, error) {
		close(locked)
		<-release
		return gitstore.CommitInfo{}, nil
	})
	<-locked
	defer close(release)
	w.write("src/auth/token.go", "x\n")
	began := time.Now()
	if ok, all := w.does("GreenCastle", w.dir, "commit", "-a", "-m", "x"); ok || all[0].Code != mail.Conflict {
		t.Errorf("%+v", all)
	}
	ok, all := w.does("GreenCastle", w.dir, "AGENTMAIL_BYPASS=why", "commit", "-a", "-m", "x")
	if !ok || !strings.Contains(strings.Join(all[0].Notes, "\n"), "could not be recorded") || all[1].Code != mail.Unchecked {
		t.Errorf("%v %+v", ok, all)
	}
	if took := time.Since(began); took > 4*hookWait {
		t.Errorf("git was held up for %s", took)
	}
}

// TestBypassUnasked: git asks nobody before commit --no-verify; each such bypass
// is recorded and told all the same, also after another one and after a push's.
func TestBypassUnasked(t *testing.T) {
	t.Parallel()
	w := newWorld(t).hooked()
	blue := w.agent("BlueLake")
	w.agent("GreenCastle")
	w.hold(blue, "src/**")
	for n := range 3 {
		w.pass(time.Minute)
		w.write("src/auth/token.go", strings.Repeat("x\n", n+1))
		if ok, all := w.does("GreenCastle", w.dir, "AGENTMAIL_BYPASS=why", "commit", "-q", "-a", "--no-verify", "-m", "x"); !ok {
			t.Fatalf("%+v", all)
		}
		if _, bypasses := w.seen(); len(bypasses) != n+1 || len(w.inbox(blue)) != n+1 {
			t.Errorf("after %d: recorded %q, told %q", n+1, bypasses, subjects(w.inbox(blue)))
		}
	}
}
