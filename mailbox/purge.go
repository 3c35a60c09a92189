package mailbox

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

// The age of messages that are counted as old, in days.
const (
	retentionDays = 180 // unless RETENTION_MAX_AGE_DAYS says otherwise
	maxRetention  = 100 * 365
)

// Purge counts the messages that are older than some days, nil being as many as
// RETENTION_MAX_AGE_DAYS says. It takes none of them away: the log only grows.
func (b *Box) Purge(ctx context.Context, who Actor, age *int, dryRun bool) (PurgeResult, error) {
	if who.err != nil {
		return PurgeResult{}, who.err
	}
	days := retentionDays
	if n, err := strconv.Atoi(strings.TrimSpace(b.getenv("RETENTION_MAX_AGE_DAYS"))); err == nil && n > 0 {
		days = n
	}
	if age != nil {
		days = *age
	}
	if days < 1 {
		return PurgeResult{}, mail.Errorf(mail.Invalid, "max_age_days %d is below 1", days)
	}
	days = min(days, maxRetention)
	if !dryRun {
		return PurgeResult{}, mail.Errorf(mail.Denied, "messages cannot be taken away: the log only grows; nothing was done").Typed("FEATURE_DISABLED").
			Hint("count them with dry_run=true")
	}
	cutoff := b.now().Add(-time.Duration(days) * 24 * time.Hour)
	out := PurgeResult{Status: "dry_run", CutoffDate: TS(cutoff), MaxAgeDays: days}
	err := b.indexed(ctx, func(v *view) (err error) {
		out.Messages, err = v.OlderThan(ctx, mail.At(cutoff))
		return err
	})
	return out, err
}
