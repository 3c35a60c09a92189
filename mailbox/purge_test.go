package mailbox

import (
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

// TestPurge: what is old is counted, and stays.
func TestPurge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	const day = 24 * time.Hour
	for range 4 {
		w.send(blue, "BlueLake")
		w.pass(60 * day)
	}
	box := w.with("RETENTION_MAX_AGE_DAYS=61")
	for _, tc := range []struct {
		box           *Box
		days, used, n int
	}{{w.box, 0, 180, 1}, {box, 0, 61, 3}, {w.with("RETENTION_MAX_AGE_DAYS=x"), 0, 180, 1}, {box, 1, 1, 4}, {box, 240, 240, 0}, {box, 1 << 40, maxRetention, 0}} {
		age := &tc.days
		if tc.days == 0 {
			age = nil
		}
		r, err := tc.box.Purge(w.ctx, blue, age, true)
		if err != nil || r.Status != "dry_run" || r.Messages != tc.n || r.MaxAgeDays != tc.used || w.at.Sub(r.CutoffDate.Time()) != time.Duration(tc.used)*day {
			t.Errorf("%d days: %+v, %v", tc.days, r, err)
		}
	}
	_, err := box.Purge(w.ctx, blue, nil, false)
	mustCode(t, err, mail.Denied, "FEATURE_DISABLED")
	for _, days := range []int{0, -1} {
		_, err = box.Purge(w.ctx, blue, &days, true)
		mustCode(t, err, mail.Invalid, "INVALID_ARGUMENT")
	}
	if n := len(w.inbox(blue)); n != 4 {
		t.Errorf("%d messages are left", n)
	}
}
