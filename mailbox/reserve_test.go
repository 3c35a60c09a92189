package mailbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

func patterns(list []Reservation) []string {
	out := []string{}
	for _, r := range list {
		out = append(out, r.PathPattern)
	}
	return out
}

func (w *world) live(who Actor, q ReservationQuery) []Reservation {
	w.t.Helper()
	q.N = MaxLimit
	list, err := w.box.Reservations(w.ctx, who, q)
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

func TestReserveAllOrNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	w.hold(blue, "src/auth/**")
	r, err := w.box.Reserve(w.ctx, green, ReserveRequest{Patterns: []string{"doc/**", "src/*/token.go"}})
	e := mustCode(t, err, mail.Conflict, "FILE_RESERVATION_CONFLICT")
	if len(r.Granted) != 0 || r.Granted == nil || len(r.Conflicts) != 1 {
		t.Fatalf("%+v", r)
	}
	h := r.Conflicts[0].Holders[0]
	if r.Conflicts[0].Path != "src/*/token.go" || h.Agent != "BlueLake" || h.PathPattern != "src/auth/**" || !h.Exclusive || h.Witness != "src/auth/token.go" || h.ExpiresTS.Time().IsZero() {
		t.Errorf("%+v", r.Conflicts)
	}
	text := e.Message + strings.Join(e.Lines, "\n") + strings.Join(e.Hints, "\n")
	for _, want := range []string{"nothing was reserved", "BlueLake", "src/auth/token.go", "UTC", "--partial", "git agentmail send --to BlueLake"} {
		if !strings.Contains(text, want) {
			t.Errorf("the refusal does not say %q:\n%s", want, text)
		}
	}
	if got := w.live(green, ReservationQuery{Mine: true}); len(got) != 0 {
		t.Errorf("granted in spite of it: %v", patterns(got))
	}
	r, err = w.box.Reserve(w.ctx, green, ReserveRequest{Patterns: []string{"doc/**", "src/*/token.go"}, Partial: true})
	if err != nil || len(r.Granted) != 1 || r.Granted[0].PathPattern != "doc/**" || len(r.Conflicts) != 1 {
		t.Errorf("partial: %+v, %v", r, err)
	}
	// A pattern that does not compile spoils the whole request.
	for _, bad := range []string{"", "a/../b", "!x", "a\\b", " x", "[z-a]", "{a", "\xff", strings.Repeat("a", 2000)} {
		r, err := w.box.Reserve(w.ctx, green, ReserveRequest{Patterns: []string{"ok/**", bad}, Partial: true})
		if mail.CodeOf(err) != mail.Invalid || len(r.Granted) != 0 {
			t.Errorf("%q: %+v, %v", bad, r, err)
		}
	}
	for _, none := range [][]string{nil, {}} {
		_, err := w.box.Reserve(w.ctx, green, ReserveRequest{Patterns: none})
		if e := mustCode(t, err, mail.Invalid, "EMPTY_PATHS"); !strings.Contains(e.Message, "paths list cannot be empty") {
			t.Error(e.Message)
		}
	}
}

func TestReserveSharing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green, red := w.agent("BlueLake"), w.agent("GreenCastle"), w.agent("RedFox")
	ask := func(who Actor, shared bool, pattern string) bool {
		t.Helper()
		r, err := w.box.Reserve(w.ctx, who, ReserveRequest{Patterns: []string{pattern}, Shared: shared, Partial: true})
		if err != nil {
			t.Fatal(err)
		}
		return len(r.Granted) == 1
	}
	if !ask(blue, true, "doc/**") || !ask(green, true, "doc/a.md") {
		t.Error("two shared ones conflict")
	}
	if ask(red, false, "doc/a.md") {
		t.Error("an exclusive one is granted over shared ones")
	}
	if !ask(blue, false, "src") || ask(green, true, "src/auth/*") {
		t.Error("a shared one is granted over an exclusive one")
	}
	// One's own never stand in the way, whatever they are.
	if !ask(blue, false, "src/**") || !ask(blue, true, "src/auth/token.go") || !ask(blue, false, "src/auth/**") {
		t.Error("own reservations conflict")
	}
	// One's own may change from shared to exclusive only past all others.
	if ask(green, false, "doc/a.md") {
		t.Error("shared became exclusive over another's shared one")
	}
	if got := w.live(green, ReservationQuery{Mine: true}); len(got) != 1 || got[0].Exclusive {
		t.Errorf("%+v", got)
	}
	if _, err := w.box.Release(w.ctx, blue, LeaseFilter{Patterns: []string{"doc/**"}}); err != nil {
		t.Fatal(err)
	}
	if !ask(green, false, "doc/a.md") || ask(red, true, "doc/a.md") {
		t.Error("shared did not become exclusive")
	}
	// Virtual patterns: equal ones conflict, nothing else.
	if !ask(blue, false, "tool://deploy") || ask(green, false, "tool://deploy") || !ask(green, false, "tool://deploy/x") || !ask(red, false, "service://deploy") {
		t.Error("virtual patterns")
	}
	if _, err := w.box.CheckPaths(w.ctx, green, []string{"tool:/deploy", "deploy"}); err != nil {
		t.Errorf("a virtual pattern covers a path: %v", err)
	}
}

func TestReserveRenews(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	ask := func(r ReserveRequest) Granted {
		t.Helper()
		got, err := w.box.Reserve(w.ctx, blue, r)
		if err != nil || len(got.Granted) != 1 {
			t.Fatalf("%+v: %+v, %v", r, got, err)
		}
		return got.Granted[0]
	}
	one := ask(ReserveRequest{Patterns: []string{"src/auth/**", "./src/auth/**", "/src//auth/**"}, Reason: "  token\nrefactor "})
	if one.Renewed || one.Files != 1 || one.Reason != "token refactor" || one.Kind == "" || one.ExpiresTS.Time().Sub(w.at).Round(time.Second) != time.Hour {
		t.Errorf("first: %+v", one)
	}
	w.pass(30 * time.Minute)
	two := ask(ReserveRequest{Patterns: []string{"/src/auth/**"}, TTL: 2 * time.Hour})
	if !two.Renewed || two.ID != one.ID || two.Reason != "token refactor" || two.ExpiresTS.Time().Sub(w.at).Round(time.Second) != 2*time.Hour {
		t.Errorf("again: %+v", two)
	}
	short := ask(ReserveRequest{Patterns: []string{"src/auth/**"}, TTL: time.Minute, Reason: "else"})
	if short.ID != one.ID || short.ExpiresTS != two.ExpiresTS || short.Reason != "else" {
		t.Errorf("a shorter one: %+v, want the end %v", short, two.ExpiresTS.Time())
	}
	if got := w.live(blue, ReservationQuery{}); len(got) != 1 || got[0].CreatedTS.Time().After(w.at.Add(-29*time.Minute)) {
		t.Errorf("%+v", got)
	}
	w.pass(3 * time.Hour)
	if late := ask(ReserveRequest{Patterns: []string{"src/auth/**"}}); late.ID == one.ID || late.Renewed {
		t.Errorf("after it ended: %+v", late)
	}
	// Commits of others from the time when it was shared do not touch it.
	ask(ReserveRequest{Patterns: []string{"lib/**"}, Shared: true})
	w.pass(10 * time.Minute)
	ask(ReserveRequest{Patterns: []string{"lib/**"}})
	for _, l := range w.live(blue, ReservationQuery{}) {
		if l.PathPattern == "lib/**" && l.CreatedTS.Time().Before(w.at.Add(-time.Second)) {
			t.Errorf("exclusive at %v, since %v", w.at, l.CreatedTS.Time())
		}
	}
}

func TestReserveTTL(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	for _, tt := range []struct {
		ttl  time.Duration
		code mail.Code
		warn bool
	}{
		{-time.Second, mail.Invalid, false}, {time.Millisecond, mail.Invalid, false}, {time.Second, "", true}, {59 * time.Second, "", true}, {time.Minute, "", false},
		{mail.MaxTTL, "", false}, {mail.MaxTTL + time.Second, mail.Invalid, false}, {1 << 62, mail.Invalid, false},
	} {
		r, err := w.box.Reserve(w.ctx, blue, ReserveRequest{Patterns: []string{"README.md"}, TTL: tt.ttl})
		if mail.CodeOf(err) != tt.code || err == nil && (len(r.Warnings) > 0) != tt.warn {
			t.Errorf("ttl %s: %+v, %v", tt.ttl, r, err)
		}
	}
}

func TestReserveWarnings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	for _, tt := range []struct {
		pattern string
		files   int
		kind    string
		warning string // a part of it; "" for none
	}{
		{"src/auth/**", 1, "tree", ""}, {"src", 1, "tree", ""}, {"README.md", 1, "file", ""}, {"**", 2, "tree", "broad"},
		{"new/file.go", 0, "unknown", "covers no tracked file"}, {"*.go", 0, "", "**/*.go"}, {"tool://x", 0, "", ""},
	} {
		r, err := w.box.Reserve(w.ctx, blue, ReserveRequest{Patterns: []string{tt.pattern}})
		if err != nil || len(r.Granted) != 1 || r.Granted[0].Files != tt.files {
			t.Errorf("%s: %+v, %v; want %d files", tt.pattern, r, err, tt.files)
			continue
		}
		if text := strings.Join(r.Warnings, "\n"); tt.warning == "" && text != "" || !strings.Contains(text, tt.warning) {
			t.Errorf("%s: warnings %q, want %q", tt.pattern, text, tt.warning)
		}
		if _, err := w.box.Release(w.ctx, blue, LeaseFilter{}); err != nil {
			t.Fatal(err)
		}
	}
	// A literal that would only overlap if it became a directory is granted, and said.
	w.hold(blue, "new.go")
	r, err := w.box.Reserve(w.ctx, green, ReserveRequest{Patterns: []string{"**/*_test.go"}})
	if err != nil || !strings.Contains(strings.Join(r.Warnings, "\n"), "if it became a directory") {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestReserveAbsolutePaths(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	if err := os.Symlink(w.dir, filepath.Join(filepath.Dir(w.dir), "link")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ text, want string }{
		{filepath.Join(w.dir, "src/auth/**"), "src/auth/**"},
		{filepath.Join(w.dir, "not/there/*"), "not/there/*"},
		{w.dir, "**"}, {w.dir + "/", "**"},
		{filepath.Join(w.dir, "..", "link", "README.md"), "README.md"}, // by another name of the work tree
		{filepath.Join(w.dir, "..", "link", "src", "new*", "**"), "src/new*/**"},
		{filepath.Join(w.dir, "..", "link") + "/", "**"},
		{"/src/auth", "src/auth"},
		{w.dir + "x/y", strings.TrimPrefix(w.dir, "/") + "x/y"}, // not there, so only anchored
	} {
		r, err := w.box.Reserve(w.ctx, blue, ReserveRequest{Patterns: []string{tt.text}})
		if err != nil || r.Granted[0].PathPattern != tt.want {
			t.Errorf("%s: %+v, %v; want %s", tt.text, r, err, tt.want)
		}
	}
	for _, bad := range []string{filepath.Dir(w.dir), os.TempDir(), "/dev/null", w.dir + "/../x"} {
		if _, err := w.box.Reserve(w.ctx, blue, ReserveRequest{Patterns: []string{bad}}); mail.CodeOf(err) != mail.Invalid {
			t.Errorf("%s: %v", bad, err)
		}
	}
	// The root of the repository, however it is written, is a directory: it is
	// free of itself, whatever is held in it.
	green := w.agent("GreenCastle")
	for _, p := range []string{w.dir + "/src/auth/token.go", "/src/auth/token.go", "src/../src/auth//token.go", filepath.Dir(w.dir) + "/link/src/auth/token.go"} {
		if r, err := w.box.CheckPaths(w.ctx, green, []string{p}); mail.CodeOf(err) != mail.Conflict || r.Blocked[0].Path != "src/auth/token.go" {
			t.Errorf("check %s: %+v, %v", p, r, err)
		}
	}
	for _, bad := range []string{"", "..", "../x", "src/../../x", "/dev/null"} {
		if _, err := w.box.CheckPaths(w.ctx, green, []string{bad}); mail.CodeOf(err) != mail.Invalid {
			t.Errorf("check %q: %v", bad, err)
		}
	}
	for _, p := range []string{".", "./", w.dir, w.dir + "/"} {
		if _, err := w.box.CheckPaths(w.ctx, green, []string{p}); err != nil {
			t.Errorf("check %s: %v", p, err)
		}
	}
}

func TestReserveAdvisory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	w.hold(blue, "src/**")
	w.set("agentmail.reservations", "Advisory")
	r, err := w.box.Reserve(w.ctx, green, ReserveRequest{Patterns: []string{"src/auth/**"}})
	if err != nil || len(r.Granted) != 1 || len(r.Conflicts) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if got := w.live(green, ReservationQuery{}); len(got) != 2 {
		t.Errorf("%v", patterns(got))
	}
}

func TestReserveManyPatterns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	// However much is reserved at once, every record of it can be read again.
	var list []string
	for i := range 1500 {
		list = append(list, fmt.Sprintf("%s/%d", strings.Repeat("d", 700), i))
	}
	r, err := w.box.Reserve(w.ctx, blue, ReserveRequest{Patterns: list, Reason: strings.Repeat("why ", 2000)})
	if err != nil || len(r.Granted) != len(list) {
		t.Fatalf("%d granted, %v", len(r.Granted), err)
	}
	if _, err := w.open(w.dir).CheckPaths(w.ctx, green, []string{list[1200]}); mail.CodeOf(err) != mail.Conflict {
		t.Errorf("check: %v", err)
	}
	if _, err := w.box.Renew(w.ctx, blue, LeaseFilter{}, time.Hour); err != nil {
		t.Error(err)
	}
	if rel, err := w.box.Release(w.ctx, blue, LeaseFilter{}); err != nil || rel.Released != len(list) {
		t.Errorf("released %d, %v", rel.Released, err)
	}
	if _, err := w.box.Verify(w.ctx, nil); err != nil {
		t.Error(err)
	}
}
