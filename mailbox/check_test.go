package mailbox

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

func blockedPaths(r CheckResult) []string {
	out := []string{}
	for _, b := range r.Blocked {
		out = append(out, b.Path)
	}
	return out
}

func TestCheckPaths(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	r, err := w.box.Reserve(w.ctx, blue, ReserveRequest{Patterns: []string{"src/auth/**"}, Reason: "token\x1b refactor"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.box.Reserve(w.ctx, blue, ReserveRequest{Patterns: []string{"doc/**"}, Shared: true}); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		who   Actor
		paths []string
		want  []string
	}{
		{green, []string{"src/auth/token.go", "README.md", "src/auth/new/x"}, []string{"src/auth/token.go", "src/auth/new/x"}},
		{blue, []string{"src/auth/token.go"}, nil},
		{green, []string{"doc/a"}, nil},           // a shared one holds nobody back
		{green, []string{"src/auth", "src"}, nil}, // a directory stands for itself
		{green, nil, nil},
		{green, []string{"src/auth/\xff"}, []string{`"src/auth/\xff"`}},
		{w.person(), []string{"src/auth/x"}, []string{"src/auth/x"}},
		{Actor{Kind: IsUnidentified}, []string{"src/auth/x"}, []string{"src/auth/x"}},
		{w.as("Nobody1"), []string{"src/auth/x"}, []string{"src/auth/x"}},
	} {
		got, err := w.box.CheckPaths(w.ctx, tt.who, tt.paths)
		if !slices.Equal(blockedPaths(got), tt.want) && len(tt.want)+len(got.Blocked) > 0 || (mail.CodeOf(err) == mail.Conflict) != (len(tt.want) > 0) || got.Mode != ModeBlock || got.Checked != len(tt.paths) {
			t.Errorf("%s asks for %q: %+v, %v", tt.who.Name, tt.paths, got, err)
		}
		if len(tt.want) > 0 {
			if b := got.Blocked[0]; b.Holder != "BlueLake" || b.PathPattern != "src/auth/**" || b.ID != r.Granted[0].ID || b.ExpiresTS != r.Granted[0].ExpiresTS {
				t.Errorf("%+v", b)
			}
		}
	}
	// The answer is the same whatever the mode; only hooks are switched by it.
	for _, mode := range []string{ModeWarn, ModeOff} {
		w.set("agentmail.guard", mode)
		if got, err := w.box.CheckPaths(w.ctx, green, []string{"src/auth/x"}); mail.CodeOf(err) != mail.Conflict || got.Mode != mode {
			t.Errorf("%s: %+v, %v", mode, got, err)
		}
	}
	// A file where a held directory is, or would be.
	if err := os.RemoveAll(filepath.Join(w.dir, "src/auth")); err != nil {
		t.Fatal(err)
	}
	if got, err := w.box.CheckPaths(w.ctx, green, []string{"src/auth"}); mail.CodeOf(err) != mail.Conflict {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestCheckStagedAndRange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	w.hold(blue, "src/auth/**")
	if r, err := w.box.CheckStaged(w.ctx, green); err != nil || r.Checked != 0 || r.Blocked == nil {
		t.Errorf("nothing staged: %+v, %v", r, err)
	}
	w.write("src/auth/token.go", "x\n")
	w.write("README.md", "x\n")
	w.in("add", "-A")
	if r, err := w.box.CheckStaged(w.ctx, green); mail.CodeOf(err) != mail.Conflict || r.Checked != 2 || !slices.Equal(blockedPaths(r), []string{"src/auth/token.go"}) {
		t.Errorf("%+v, %v", r, err)
	}
	w.in("commit", "-q", "-m", "x")
	w.write("README.md", "y\n")
	w.in("commit", "-q", "-a", "-m", "y")
	for _, tt := range []struct {
		who     Actor
		rng     string
		blocked int
		code    mail.Code
	}{
		{green, "HEAD~2..HEAD", 1, mail.Conflict}, {green, "HEAD~2...HEAD", 1, mail.Conflict}, {green, "HEAD~1..HEAD", 0, ""}, {blue, "HEAD~2..HEAD", 0, ""},
		{green, "HEAD..HEAD~2", 0, ""}, // nothing between where they part and the second
		{green, "HEAD", 0, mail.Invalid}, {green, "..HEAD", 0, mail.Invalid}, {green, "HEAD..", 0, mail.Invalid}, {green, "--output=x..HEAD", 0, mail.Invalid}, {green, "HEAD..-x", 0, mail.Invalid},
		{green, "", 0, mail.Invalid}, {green, "nope..HEAD", 0, mail.Unchecked},
	} {
		r, err := w.box.CheckRange(w.ctx, tt.who, tt.rng)
		if mail.CodeOf(err) != tt.code || len(r.Blocked) != tt.blocked || r.Blocked == nil {
			t.Errorf("%s: %+v, %v", tt.rng, r, err)
		}
	}
	// In CI a clone without the mail refs does not claim that all is free.
	c := &world{t: t, dir: filepath.Join(t.TempDir(), "c"), env: append(slices.Clone(w.env), "CI=true"), at: w.at, ctx: w.ctx}
	w.git("clone", "-q", w.dir, c.dir)
	c.box = c.open(c.dir)
	_, err := c.box.CheckRange(c.ctx, c.person(), "HEAD~2..HEAD")
	if e := wantCode(t, err, mail.Unchecked); !strings.Contains(strings.Join(e.Hints, " "), "git fetch") {
		t.Errorf("%q", e.Hints)
	}
	c.fetch(w)
	if r, err := c.open(c.dir).CheckRange(c.ctx, c.person(), "HEAD~2..HEAD"); mail.CodeOf(err) != mail.Conflict || len(r.Blocked) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestIgnoreCase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	w.hold(blue, "src/Auth/**")
	if _, err := w.box.CheckPaths(w.ctx, green, []string{"SRC/auth/x"}); err != nil {
		t.Errorf("where case counts: %v", err)
	}
	w.set("core.ignorecase", "True")
	if _, err := w.box.CheckPaths(w.ctx, green, []string{"SRC/auth/x"}); mail.CodeOf(err) != mail.Conflict {
		t.Errorf("where it does not: %v", err)
	}
	if _, err := w.box.Reserve(w.ctx, green, ReserveRequest{Patterns: []string{"src/AUTH/x"}}); mail.CodeOf(err) != mail.Conflict {
		t.Errorf("reserve: %v", err)
	}
	if got := w.live(green, ReservationQuery{Path: "SRC/AUTH/x"}); len(got) != 1 {
		t.Errorf("list: %v", patterns(got))
	}
}

// TestConflictIsBounded: a refusal names ten paths and says how many more.
func TestConflictIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	r, err := w.box.Reserve(w.ctx, blue, ReserveRequest{Patterns: []string{"big/**"}, Reason: strings.Repeat("long ", 90) + "\x1b[31m"})
	if err != nil || len(r.Warnings) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	var paths []string
	for i := range 30 {
		paths = append(paths, "big/"+strings.Repeat("x", i))
	}
	_, err = w.box.CheckPaths(w.ctx, green, paths[1:])
	e := wantCode(t, err, mail.Conflict)
	if len(e.Lines) != 11 || e.Lines[10] != "and 19 more" || len(e.Details["conflicts"].([]Blocked)) != 29 {
		t.Errorf("%d lines: %q", len(e.Lines), e.Lines)
	}
	for _, l := range e.Lines {
		if strings.ContainsAny(l, "\x1b\n") || len(l) > 300 {
			t.Errorf("%q", l)
		}
	}
}

// TestBareRepository: a mailbox without a work tree.
func TestBareRepository(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bare := filepath.Join(t.TempDir(), "b.git")
	w.git("clone", "-q", "--bare", w.dir, bare)
	w.dir, w.box = bare, w.open(bare)
	if r, err := w.box.Init(w.ctx, InitRequest{Binary: "/nowhere/git-agentmail"}); err != nil || len(r.Changes) != 2 || !strings.HasSuffix(r.Changes[1].Path, "hooks/pre-receive") {
		t.Fatalf("%+v, %v", r, err)
	}
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	id := w.send(blue, "GreenCastle")
	w.hold(blue, "src/**")
	if in := w.inbox(green); len(in) != 1 || in[0].ID != id {
		t.Errorf("%+v", in)
	}
	if _, err := w.box.CheckPaths(w.ctx, green, []string{"src/x"}); mail.CodeOf(err) != mail.Conflict {
		t.Error(err)
	}
	if st, err := w.box.Status(w.ctx, green); err != nil || st.Project.HumanKey != bare {
		t.Errorf("%+v, %v", st, err)
	}
	w.pass(40 * time.Minute)
	if list := w.live(green, ReservationQuery{Activity: true}); len(list) != 1 || !list[0].Stale {
		t.Errorf("%+v", list)
	}
	if got := w.box.GuardNotice(w.ctx); got != "" {
		t.Error(got)
	}
	if _, err := w.box.Doctor(w.ctx, green, true, ""); err != nil {
		t.Error(err)
	}
	if _, err := w.box.Uninstall(w.ctx, UninstallRequest{}); err != nil {
		t.Error(err)
	}
}
