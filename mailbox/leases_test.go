package mailbox

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

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
	ids := w.hold(blue, "a/**", "b/**", "c/**", "d/**", filepath.Join(w.dir, "f/**"))
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
		{"by an absolute path, as it can be reserved", LeaseFilter{Patterns: []string{filepath.Join(w.dir, "f/**")}}, []string{"f/**"}},
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
