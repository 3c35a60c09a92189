package mailbox

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
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

func TestRenew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	ids := w.hold(blue, "a/**", "b/**")
	w.pass(50 * time.Minute)
	r, err := w.box.Renew(w.ctx, blue, LeaseFilter{Patterns: []string{"./a/**"}}, 30*time.Minute)
	if err != nil || r.Renewed != 1 || r.Reservations[0].PathPattern != "a/**" {
		t.Fatalf("%+v, %v", r, err)
	}
	// From the end, not from now; by a minute at least.
	if got := r.Reservations[0].NewExpiresTS.Time().Sub(w.at).Round(time.Second); got != 40*time.Minute {
		t.Errorf("runs for %s more", got)
	}
	if got := w.live(blue, ReservationQuery{Path: "a/x"})[0].ExpiresTS.Time().Sub(w.at).Round(time.Second); got != 40*time.Minute {
		t.Errorf("the list says %s", got)
	}
	r, err = w.box.Renew(w.ctx, blue, LeaseFilter{IDs: []string{ids[1][:6]}}, time.Second)
	if err != nil || r.Renewed != 1 || r.Reservations[0].NewExpiresTS.Time().Sub(w.at).Round(time.Second) != 11*time.Minute {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := w.box.Renew(w.ctx, blue, LeaseFilter{}, time.Hour); err != nil || r.Renewed != 2 {
		t.Errorf("all: %+v, %v", r, err)
	}
	_, err = w.box.Renew(w.ctx, blue, LeaseFilter{}, 40*24*time.Hour)
	wantCode(t, err, mail.Invalid)
	// None matches: no error; one named that has lapsed: an error that says so.
	if r, err := w.box.Renew(w.ctx, blue, LeaseFilter{Patterns: []string{"zzz"}}, time.Hour); err != nil || r.Renewed != 0 || r.Reservations == nil {
		t.Errorf("%+v, %v", r, err)
	}
	w.pass(80 * time.Minute)
	end := w.live(blue, ReservationQuery{Path: "a/x"})[0].ExpiresTS.Time()
	w.at = end.Add(10 * time.Minute)
	for _, word := range []string{"a/**", "/a/**", filepath.Join(w.dir, "a/**"), ids[0], ids[0][:5]} {
		_, err := w.box.Renew(w.ctx, blue, LeaseFilter{Either: []string{word}}, time.Hour)
		if e := wantCode(t, err, mail.NotFound); !strings.Contains(e.Message, "expired") || !strings.Contains(strings.Join(e.Hints, " "), "reserve 'a/**'") {
			t.Errorf("%s: %s, %q", word, e.Message, e.Hints)
		}
	}
	if r, err := w.box.Renew(w.ctx, blue, LeaseFilter{}, time.Hour); err != nil || r.Renewed != 0 {
		t.Errorf("what has lapsed was renewed: %+v, %v", r, err)
	}
}

func TestRelease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	ids := w.hold(blue, "a/**", "b/**", "c/**", "d/**")
	w.hold(green, "e/**")
	for _, tt := range []struct {
		name string
		f    LeaseFilter
		want []string
	}{
		{"both must hold", LeaseFilter{Patterns: []string{"a/**", "b/**"}, IDs: []string{ids[1]}}, []string{"b/**"}},
		{"both must hold, none does", LeaseFilter{Patterns: []string{"a/**"}, IDs: []string{ids[2]}}, nil},
		{"another's", LeaseFilter{Patterns: []string{"e/**"}}, nil},
		{"not an exact pattern", LeaseFilter{Patterns: []string{"a/x", "a", "*"}}, nil},
		{"either", LeaseFilter{Either: []string{"a/**", ids[2][:5]}}, []string{"a/**", "c/**"}},
		{"the rest", LeaseFilter{}, []string{"d/**"}},
		{"nothing left", LeaseFilter{}, nil},
	} {
		r, err := w.box.Release(w.ctx, blue, tt.f)
		slices.Sort(r.Patterns) // taken in one moment, they are in the order of their random ids
		if err != nil || r.Released != len(tt.want) || !slices.Equal(r.Patterns, tt.want) && len(tt.want) > 0 || r.Patterns == nil {
			t.Errorf("%s: %+v, %v; want %v", tt.name, r, err, tt.want)
		}
	}
	for _, f := range []LeaseFilter{{Patterns: []string{}}, {IDs: []string{}}} {
		if _, err := w.box.Release(w.ctx, green, f); mail.CodeOf(err) != mail.Invalid {
			t.Errorf("an empty list: %v", err)
		}
	}
	_, err := w.box.Release(w.ctx, blue, LeaseFilter{Either: []string{"e/**"}})
	if e := wantCode(t, err, mail.NotFound); !strings.Contains(e.Message, "GreenCastle") {
		t.Error(e.Message)
	}
	_, err = w.box.Release(w.ctx, blue, LeaseFilter{Either: []string{"never/**"}})
	wantCode(t, err, mail.NotFound)
	if got := w.live(green, ReservationQuery{}); !slices.Equal(patterns(got), []string{"e/**"}) {
		t.Errorf("left: %v", patterns(got))
	}
	// What was released can be had by others at once.
	w.hold(green, "a/**")
}

func TestReservationsList(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	w.hold(blue, "src/auth/**")
	w.pass(time.Second)
	w.hold(green, "README.md")
	w.pass(time.Second)
	if _, err := w.box.Reserve(w.ctx, green, ReserveRequest{Patterns: []string{"short/**"}, TTL: time.Minute}); err != nil {
		t.Fatal(err)
	}
	w.pass(time.Second)
	w.hold(green, "gone/**")
	if _, err := w.box.Release(w.ctx, green, LeaseFilter{Patterns: []string{"gone/**"}}); err != nil {
		t.Fatal(err)
	}
	w.pass(2 * time.Minute)
	for _, tt := range []struct {
		name string
		who  Actor
		q    ReservationQuery
		want []string
	}{
		{"live, newest first", blue, ReservationQuery{}, []string{"README.md", "src/auth/**"}},
		{"mine", blue, ReservationQuery{Mine: true}, []string{"src/auth/**"}},
		{"of a path", blue, ReservationQuery{Path: "src/auth/x"}, []string{"src/auth/**"}},
		{"of an absolute path", blue, ReservationQuery{Path: filepath.Join(w.dir, "README.md")}, []string{"README.md"}},
		{"of a free path", blue, ReservationQuery{Path: "x"}, []string{}},
		{"all", blue, ReservationQuery{All: true}, []string{"gone/**", "short/**", "README.md", "src/auth/**"}},
		{"all mine", green, ReservationQuery{All: true, Mine: true}, []string{"gone/**", "short/**", "README.md"}},
		{"as a person", w.person(), ReservationQuery{}, []string{"README.md", "src/auth/**"}},
	} {
		if got := patterns(w.live(tt.who, tt.q)); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	all := w.live(blue, ReservationQuery{All: true})
	if all[0].Ended != mail.LeaseRelease || all[0].ReleasedTS.Time().IsZero() || all[1].Ended != "expired" || all[2].Ended != "" || all[3].Files != 1 {
		t.Errorf("%+v", all)
	}
	page, err := w.box.Reservations(w.ctx, blue, ReservationQuery{All: true, Page: Page{N: 1, Before: all[1].ID}})
	if err != nil || len(page) != 1 || page[0].ID != all[2].ID {
		t.Errorf("%+v, %v", page, err)
	}
	// One that has lapsed since is still a place in the list.
	page, err = w.box.Reservations(w.ctx, blue, ReservationQuery{Page: Page{Before: all[1].ID}})
	if err != nil && mail.CodeOf(err) != mail.NotFound || err == nil && !slices.Equal(patterns(page), []string{"README.md", "src/auth/**"}) {
		t.Errorf("%v, %v", patterns(page), err)
	}
}

// TestForeignLease: another clone's reservation holds here as well, for thirty
// seconds longer; one from a clock that is ahead does not, and that is said.
func TestForeignLease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.agent("BlueLake")
	green := w.agent("GreenCastle")
	c := w.clone()
	red := c.agent("RedFox")
	c.hold(red, "src/**")
	w.fetch(c)
	check := func() mail.Code {
		_, err := w.box.CheckPaths(w.ctx, green, []string{"src/auth/token.go"})
		return mail.CodeOf(err)
	}
	if check() != mail.Conflict {
		t.Error("another clone's reservation does not hold")
	}
	w.at = c.at.Add(time.Hour + 29*time.Second)
	if check() != mail.Conflict {
		t.Error("it does not hold for 29 seconds past its end")
	}
	w.at = c.at.Add(time.Hour + 31*time.Second)
	if check() != "" {
		t.Error("it holds for 31 seconds past its end")
	}
	w.at = c.at
	c.at = c.at.Add(24 * time.Hour)
	c.hold(red, "far/**")
	w.fetch(c)
	if _, err := w.box.CheckPaths(w.ctx, green, []string{"far/x"}); err != nil {
		t.Errorf("a reservation from a clock a day ahead holds: %v", err)
	}
	var row Reservation
	for _, r := range w.live(green, ReservationQuery{}) {
		if r.PathPattern == "far/**" {
			row = r
		}
	}
	if !row.ClockAhead {
		t.Errorf("it is not shown as such: %+v", row)
	}
	d, err := w.box.Doctor(w.ctx, green, false, "")
	if err != nil || !slices.ContainsFunc(d.Findings, func(f Finding) bool { return f.Level == "problem" && strings.Contains(f.What, "ahead") }) {
		t.Errorf("%+v, %v", d, err)
	}
}
