package mailbox

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

// When a reservation counts as abandoned: its holder has done nothing for
// staleAfter, and within staleGrace there was no mail of the holder's, no change
// to a file it covers and no commit of one.
const (
	staleAfter = 30 * time.Minute
	staleGrace = 15 * time.Minute

	// maxStale bounds how many covered files are looked at.
	maxStale = 500
)

// activity finds out whether a reservation is stale, and why.
func (v *view) activity(l *mail.LeaseState, tracked []string, row *Reservation) error {
	b, ctx := v.b, v.ctx
	now := b.now()
	// What a clock that is ahead says of the future is no sign of life: it would
	// be one for as long as that clock was wrong.
	limit := mail.At(now.Add(mail.MaxSkew))
	lastMail, err := v.LastMail(ctx, l.Holder, limit)
	if err != nil {
		return err
	}
	active, err := v.activities()
	if err != nil {
		return err
	}
	last := lastMail
	for _, t := range []mail.Time{active[l.Holder].Last, l.Since} {
		if t > last && t <= limit {
			last = t
		}
	}
	agent := lastTime(last)
	row.LastAgent, row.LastMail = TS(agent), ts(lastMail)

	var reasons []string
	idle := true
	say := func(quiet bool, yes, no string) {
		idle = idle && quiet
		if quiet {
			reasons = append(reasons, yes)
		} else {
			reasons = append(reasons, no)
		}
	}
	say(now.Sub(agent) > staleAfter, fmt.Sprintf("agent_inactive>%ds", int(staleAfter.Seconds())), "agent_recently_active")
	grace := int(staleGrace.Seconds())
	quiet := func(t time.Time) bool {
		return t.IsZero() || now.Sub(t) > staleGrace || t.Sub(now) > mail.MaxSkew
	}
	say(quiet(lastTime(lastMail)), fmt.Sprintf("no_recent_mail_activity>%ds", grace), "mail_activity_recent")

	files := b.coveredFiles(ctx, l, tracked)
	if len(files) == 0 {
		reasons = append(reasons, "path_pattern_unmatched")
	} else {
		changed, err := b.lastChange(ctx, files)
		if err != nil {
			return err
		}
		committed, err := b.repo.LastCommit(ctx, files)
		if err != nil {
			return asMail(err)
		}
		row.LastFilesystem, row.LastGit = TS(changed), TS(committed)
		say(quiet(changed), fmt.Sprintf("no_recent_filesystem_activity>%ds", grace), "filesystem_activity_recent")
		say(quiet(committed), fmt.Sprintf("no_recent_git_activity>%ds", grace), "git_activity_recent")
	}
	row.Stale, row.StaleReasons = idle, reasons
	return nil
}

func lastTime(t mail.Time) time.Time {
	if t == 0 {
		return time.Time{}
	}
	return t.Time()
}

// coveredFiles returns the tracked files that a reservation covers, and the file
// that it names itself even if that is not tracked.
func (b *Box) coveredFiles(ctx context.Context, l *mail.LeaseState, tracked []string) []string {
	p, err := compileLease(l, b.ignoreCase(ctx))
	if err != nil {
		return nil
	}
	var files []string
	for _, f := range tracked {
		if p.Match(f) && len(files) < maxStale {
			files = append(files, f)
		}
	}
	if path, ok := p.Literal(); ok && len(files) == 0 && b.repo.TopLevel != "" {
		if _, err := os.Lstat(filepath.Join(b.repo.TopLevel, filepath.FromSlash(path))); err == nil {
			files = append(files, path)
		}
	}
	return files
}

// lastChange returns the newest modification of files in any work tree of the
// repository: the holder may sit in another one.
func (b *Box) lastChange(ctx context.Context, files []string) (time.Time, error) {
	trees, err := b.repo.Worktrees(ctx)
	if err != nil {
		return time.Time{}, asMail(err)
	}
	var last time.Time
	limit := b.now().Add(mail.MaxSkew)
	for _, tree := range trees {
		if tree.Bare {
			continue
		}
		for _, f := range files {
			st, err := os.Lstat(filepath.Join(tree.Path, filepath.FromSlash(f)))
			if err == nil && st.ModTime().After(last) && st.ModTime().Before(limit) {
				last = st.ModTime()
			}
		}
	}
	return last, nil
}
