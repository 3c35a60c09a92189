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

// touch sets when a file was changed, on the world's clock.
func (w *world) touch(dir, path string, ago time.Duration) {
	w.t.Helper()
	at := w.at.Add(-ago)
	if err := os.Chtimes(filepath.Join(dir, filepath.FromSlash(path)), at, at); err != nil {
		w.t.Fatal(err)
	}
}

func TestStale(t *testing.T) {
	t.Parallel()
	const (
		idle     = "agent_inactive>1800s"
		active   = "agent_recently_active"
		noMail   = "no_recent_mail_activity>900s"
		mailed   = "mail_activity_recent"
		noFile   = "no_recent_filesystem_activity>900s"
		file     = "filesystem_activity_recent"
		noCommit = "no_recent_git_activity>900s"
		commit   = "git_activity_recent"
		nothing  = "path_pattern_unmatched"
	)
	// commitAt makes a commit on what is staged with the given date.
	commitAt := func(w *world, dir string, at time.Time) {
		date := at.Format(time.RFC3339)
		if n, out := w.try(dir, []string{"GIT_COMMITTER_DATE=" + date, "GIT_AUTHOR_DATE=" + date}, "-c", "user.name=U", "-c", "user.email=u@example.com", "commit", "-q", "-m", "x"); n != 0 {
			w.t.Fatal(out)
		}
	}
	for _, tt := range []struct {
		name    string
		pattern string
		given   func(w *world, holder Actor)
		want    []string
		stale   bool
	}{
		{"abandoned", "src/auth/**", func(w *world, _ Actor) { w.pass(31 * time.Minute) }, []string{idle, noMail, noFile, noCommit}, true},
		{"just short of that", "src/auth/**", func(w *world, _ Actor) { w.pass(29 * time.Minute) }, []string{active, noMail, noFile, noCommit}, false},
		{"wrote a letter", "src/auth/**", func(w *world, holder Actor) {
			w.pass(40 * time.Minute)
			w.send(holder, "BlueLake")
			w.pass(10 * time.Minute)
		}, []string{active, mailed, noFile, noCommit}, false},
		{"wrote a letter a while ago", "src/auth/**", func(w *world, holder Actor) { w.send(holder, "BlueLake"); w.pass(31 * time.Minute) }, []string{idle, noMail, noFile, noCommit}, true},
		{"acknowledged a letter", "src/auth/**", func(w *world, holder Actor) {
			id := w.send(w.as("GreenCastle"), "BlueLake")
			w.pass(40 * time.Minute)
			if _, err := w.box.Ack(w.ctx, holder, []string{id}); err != nil {
				w.t.Fatal(err)
			}
			w.pass(14 * time.Minute)
		}, []string{active, mailed, noFile, noCommit}, false},
		{"got a letter", "src/auth/**", func(w *world, _ Actor) {
			w.pass(40 * time.Minute)
			w.send(w.as("GreenCastle"), "BlueLake")
		}, []string{idle, noMail, noFile, noCommit}, true},
		{"changed a file", "src/auth/**", func(w *world, _ Actor) {
			w.pass(40 * time.Minute)
			w.touch(w.dir, "src/auth/token.go", 14*time.Minute)
		}, []string{idle, noMail, file, noCommit}, false},
		{"changed it a while ago", "src/auth/**", func(w *world, _ Actor) {
			w.pass(40 * time.Minute)
			w.touch(w.dir, "src/auth/token.go", 16*time.Minute)
		}, []string{idle, noMail, noFile, noCommit}, true},
		{"changed another file", "src/auth/**", func(w *world, _ Actor) { w.pass(40 * time.Minute); w.touch(w.dir, "README.md", 0) }, []string{idle, noMail, noFile, noCommit}, true},
		{"changed a file in another worktree", "src/auth/**", func(w *world, _ Actor) {
			_, dir := w.worktree("side")
			w.pass(40 * time.Minute)
			w.touch(dir, "src/auth/token.go", 5*time.Minute)
		}, []string{idle, noMail, file, noCommit}, false},
		{"committed on another branch", "src/auth/**", func(w *world, _ Actor) {
			_, dir := w.worktree("side")
			w.pass(40 * time.Minute)
			if err := os.WriteFile(filepath.Join(dir, "src/auth/token.go"), []byte("x"), 0o666); err != nil {
				w.t.Fatal(err)
			}
			w.git("-C", dir, "add", "-A")
			commitAt(w, dir, w.at.Add(-5*time.Minute))
			w.touch(dir, "src/auth/token.go", 20*time.Minute)
		}, []string{idle, noMail, noFile, commit}, false},
		{"covers no file", "new/**", func(w *world, _ Actor) { w.pass(31 * time.Minute) }, []string{idle, noMail, nothing}, true},
		{"names a file that is not tracked", "new.txt", func(w *world, _ Actor) {
			w.write("new.txt", "x")
			w.pass(31 * time.Minute)
			w.touch(w.dir, "new.txt", time.Minute)
		}, []string{idle, noMail, file, noCommit}, false},
		{"wrote a letter by a clock ten years ahead, set right since", "new/**", func(w *world, holder Actor) {
			now := w.at
			w.at = now.Add(10 * 365 * 24 * time.Hour)
			w.send(holder, "GreenCastle")
			w.at = now.Add(31 * time.Minute)
		}, []string{idle, noMail, nothing}, true},
		{"virtual", "tool://deploy", func(w *world, _ Actor) { w.pass(31 * time.Minute) }, []string{idle, noMail, nothing}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
			r, err := w.box.Reserve(w.ctx, blue, ReserveRequest{Patterns: []string{tt.pattern}, TTL: 2 * time.Hour})
			if err != nil {
				t.Fatal(err)
			}
			tt.given(w, blue)
			list := w.live(green, ReservationQuery{Activity: true})
			if len(list) != 1 || list[0].Stale != tt.stale || !slices.Equal(list[0].StaleReasons, tt.want) {
				t.Fatalf("%+v, want %v, %v", list, tt.stale, tt.want)
			}
			got, err := w.box.ForceRelease(w.ctx, green, r.Granted[0].ID[:6], "I need it", true)
			if !tt.stale {
				e := mustCode(t, err, mail.Denied, "RESERVATION_ACTIVE")
				if reasons, _ := e.Details["stale_reasons"].([]string); !slices.Equal(reasons, tt.want) {
					t.Errorf("details: %v", e.Details)
				}
				if len(w.live(green, ReservationQuery{})) != 1 {
					t.Error("released in spite of it")
				}
				return
			}
			if err != nil || got.Released != 1 || !got.Reservation.Notified || got.Reservation.Ended != mail.LeaseForce {
				t.Errorf("%+v, %v", got, err)
			}
			if len(w.live(green, ReservationQuery{})) != 0 {
				t.Error("not released")
			}
			in := w.inbox(blue)
			if len(in) != 1 && tt.name != "got a letter" && tt.name != "wrote a letter a while ago" || in[0].Subject != "[file-reservations] Released stale lock on "+tt.pattern ||
				!strings.Contains(*in[0].BodyMD, "I need it") || !strings.Contains(*in[0].BodyMD, tt.want[0]) || in[0].From != "GreenCastle" {
				t.Errorf("the holder is told: %+v", in)
			}
		})
	}
}

func TestForceRelease(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	ids := w.hold(blue, "a/**", "b/**", "c/**", "d/**")
	_, err := w.box.ForceRelease(w.ctx, green, ids[0], "", true)
	mustCode(t, err, mail.Denied, "RESERVATION_ACTIVE")
	// A person overrules, and is not asked for reasons; the holder is told unless
	// that is not wanted; a note may be any bytes.
	r, err := w.box.ForceRelease(w.ctx, w.person(), ids[0], "holiday\xff", true)
	if err != nil || r.Released != 1 || !r.Reservation.Notified {
		t.Errorf("%+v, %v", r, err)
	}
	if in := w.inbox(blue); len(in) != 1 || in[0].From != mail.HumanOverseer {
		t.Errorf("%+v", in)
	}
	if r, err := w.box.ForceRelease(w.ctx, w.person(), ids[1], "", false); err != nil || r.Released != 1 || r.Reservation.Notified {
		t.Errorf("%+v, %v", r, err)
	}
	// One's own at any time, in silence.
	if r, err := w.box.ForceRelease(w.ctx, blue, ids[2], "", true); err != nil || r.Released != 1 || r.Reservation.Notified {
		t.Errorf("%+v, %v", r, err)
	}
	if in := w.inbox(blue); len(in) != 1 {
		t.Errorf("%v", subjects(in))
	}
	// What has ended, one way or the other, has ended.
	w.pass(2 * time.Hour)
	for _, id := range ids {
		r, err := w.box.ForceRelease(w.ctx, green, id, "", true)
		if err != nil || r.Released != 0 || !r.AlreadyReleased || r.Reservation.Notified {
			t.Errorf("again: %+v, %v", r, err)
		}
	}
	_, err = w.box.ForceRelease(w.ctx, green, "zzzzzzzzzz", "", true)
	wantCode(t, err, mail.NotFound)
	_, err = w.box.ForceRelease(w.ctx, Actor{Kind: IsUnidentified}, ids[0], "", true)
	wantCode(t, err, mail.NoAgent)
	if _, err := w.box.Verify(w.ctx, nil); err != nil {
		t.Error(err)
	}
}

// TestForceReleaseMeanwhile: what the holder does while somebody finds out
// whether the reservation is stale counts.
func TestForceReleaseMeanwhile(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		does func(w *world, holder Actor)
		code mail.Code
	}{
		{"renewed", func(w *world, holder Actor) {
			if _, err := w.box.Renew(w.ctx, holder, LeaseFilter{}, time.Hour); err != nil {
				w.t.Error(err)
			}
		}, mail.Denied},
		{"released", func(w *world, holder Actor) {
			if _, err := w.box.Release(w.ctx, holder, LeaseFilter{}); err != nil {
				w.t.Error(err)
			}
		}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
			id := w.hold(blue, "new/**")[0]
			w.pass(40 * time.Minute)
			asked := false
			box, err := Open(w.ctx, Options{Dir: w.dir, Environ: w.env, Now: func() time.Time {
				if !asked { // the logs are read by now
					asked = true
					tt.does(w, blue)
				}
				return w.at
			}})
			if err != nil {
				t.Fatal(err)
			}
			defer box.Close()
			r, err := box.ForceRelease(w.ctx, green, id, "", true)
			if mail.CodeOf(err) != tt.code || r.Released != 0 || err == nil && !r.AlreadyReleased {
				t.Errorf("%+v, %v", r, err)
			}
			if n := len(w.inbox(blue)); n != 0 {
				t.Errorf("the holder got %d letters", n)
			}
		})
	}
}
