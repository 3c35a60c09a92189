package mailbox

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/mail"
)

// Verify reads every stored file and says which do not decode, do not match
// their name or hash, or differ between logs, and which logs are not signed as they should
// be. With a problem the result is whole
// and the error has the code corrupt. There is nothing to repair: what is
// damaged here may be whole in another clone.
func (b *Box) Verify(ctx context.Context, progress func(done, total int)) (VerifyResult, error) {
	out := VerifyResult{Problems: []Finding{}}
	sn, err := b.snapshot(ctx)
	if err != nil {
		return out, err
	}
	bad := func(format string, args ...any) {
		out.Problems = append(out.Problems, Finding{Level: "problem", What: fmt.Sprintf(format, args...)})
	}
	if err := b.missing(sn); err != nil {
		bad("%v", err)
	}
	out.Logs = len(sn.Replicas())
	files, err := sn.List(ctx, "", nil)
	if err != nil {
		return out, asMail(err)
	}
	if progress == nil {
		progress = func(int, int) {}
	}
	there := map[string]bool{}
	for _, f := range files {
		there[f.Path] = true
	}
	seen := map[string]gitstore.File{}
	for i, f := range files {
		if i%256 == 0 {
			progress(i, len(files))
		}
		if first, twice := seen[f.Path]; twice && f.OID != first.OID && f.Path != "agentmail.json" {
			bad("%q differs between the logs %s and %s", f.Path, first.Replica, f.Replica)
		} else if !twice {
			seen[f.Path] = f
		}
		// One at a time, so that one object that is gone does not hide the rest.
		err := sn.Read(ctx, []gitstore.File{f}, func(f gitstore.File) error {
			return verifyFile(f, there, &out)
		})
		if ctx.Err() != nil {
			return out, asMail(ctx.Err())
		}
		if err != nil {
			bad("%s: %v", f.Path, err)
		}
	}
	progress(len(files), len(files))
	if err := b.checkSignatures(ctx, sn, bad); err != nil {
		return out, err
	}
	if len(out.Problems) > 0 {
		e := mail.Errorf(mail.Corrupt, "%s with %d stored files", plural(len(out.Problems), "problem"), len(files)).With("problems", out.Problems)
		for i, p := range out.Problems {
			if i == 10 {
				e.Lines = append(e.Lines, fmt.Sprintf("and %d more", len(out.Problems)-10))
				break
			}
			e.Lines = append(e.Lines, p.What)
		}
		return out, e.Hint("git fsck --full")
	}
	return out, nil
}

func verifyFile(f gitstore.File, there map[string]bool, out *VerifyResult) error {
	switch {
	case isRecord(f.Path):
		r, err := mail.Decode(f.Path, f.Data)
		if err != nil {
			return err
		}
		out.Records++
		switch r := r.(type) {
		case *mail.Unknown:
			out.Unknown++
		case *mail.Message:
			for _, a := range r.Attachments {
				if !there[a.Path] {
					return fmt.Errorf("its attachment %q is missing, which was stored as %s", a.Name, a.Path)
				}
			}
		}
	case strings.HasPrefix(f.Path, "attachments/"):
		sum := fmt.Sprintf("%x", sha256.Sum256(f.Data))
		if !strings.HasPrefix(f.Path, "attachments/"+sum[:2]+"/"+sum) {
			return fmt.Errorf("its content has the hash %s", sum)
		}
	case strings.HasPrefix(f.Path, "keys/"):
		var k keyFile
		if err := json.Unmarshal(f.Data, &k); err != nil {
			return fmt.Errorf("does not decode: %w", err)
		}
	}
	return nil
}

// Doctor looks at everything that mail and guard depend on. It changes nothing
// unless fix is set, and then only what is safe at any time: caches, left-over
// files, and hooks that went missing.
func (b *Box) Doctor(ctx context.Context, who Actor, fix bool, binary string) (DoctorResult, error) {
	out := DoctorResult{Findings: []Finding{}}
	say := func(level, hint, format string, args ...any) {
		out.Findings = append(out.Findings, Finding{level, fmt.Sprintf(format, args...), hint})
	}
	if v, err := gitstore.GitVersion(ctx); err != nil {
		return out, asMail(err)
	} else if !gitstore.AtLeast(v, gitstore.MinGit) {
		say("problem", "", "git %s is too old, %s or newer is needed", v, gitstore.MinGit)
	} else {
		say("ok", "", "git %s", v)
	}
	say("ok", "", "repository %s", b.repo.CommonDir)
	switch {
	case who.err != nil:
		say("problem", first(who.err.Hints), "you: %s", who.err.Message)
	case who.Kind == IsUnidentified:
		say("problem", "export AGENTMAIL_AGENT=NAME", "you: an agent that nobody can name (%s)", who.Source)
	default:
		say("ok", "", "you: %s (%s, by %s)", who.Name, who.Kind, who.Source)
	}
	if ours, err := b.store.Exists(); err != nil {
		say("problem", "ls -ld "+shellQuote(b.repo.CommonDir), "the mailbox cannot be read: %v", err)
		return out, nil
	} else if !ours {
		say("note", "git agentmail init", "this repository is not set up for mail yet")
		return out, nil
	}
	if fix {
		if err := b.dropCaches(); err == nil {
			out.Fixed = append(out.Fixed, "deleted the caches; they come back by themselves")
		}
	}
	h, err := b.store.Health(ctx)
	if err != nil {
		say("problem", "git agentmail verify", "%v", asMail(err))
		return out, nil
	}
	sn, err := b.snapshot(ctx)
	if err != nil {
		e := mail.AsError(err)
		say("problem", first(e.Hints), "the logs cannot be read: %s", e.Message)
		return out, nil
	}
	if err := b.missing(sn); err != nil {
		say("problem", "git agentmail verify", "%v", err)
	}
	say("ok", "", "%s in %s", plural(len(sn.Replicas()), "log"), plural(h.Packs, "pack"))
	b.truncationState(ctx, sn, say)
	_, remotes, err := b.syncState(ctx)
	if err != nil {
		say("problem", "git agentmail verify", "%v", err)
	}
	if _, err := b.store.RefPrefix(ctx); err != nil {
		e := mail.AsError(asMail(err))
		say("problem", first(e.Hints), "%s", e.Message)
	}
	for _, r := range remotes {
		switch {
		case len(r.NotTaken) > 0:
			say("problem", "git config agentmail.refPrefix PREFIX", "%q takes this clone's log nowhere: %s; set what the names of branches that may be pushed there begin with, or use sync --bundle", r.Name, r.Failed)
		case r.Failed != "":
			say("problem", "git agentmail sync "+shellQuote(r.Name), "the last sync stopped: %s", r.Failed)
		case r.Ahead > 0:
			say("note", "git agentmail sync "+shellQuote(r.Name), "%s of this clone not at %q yet", plural(r.Ahead, "commit"), r.Name)
		default:
			say("ok", "", "in step with %q", r.Name)
		}
		if r.Place != "" {
			say("ok", "", "this clone's log is %s at %q", r.Place, r.Name)
		}
		if r.Archived > 0 {
			say("ok", "", "%s of idle clones in archives at %q", plural(r.Archived, "log"), r.Name)
		}
	}
	if s, err := b.strongState(ctx); err != nil {
		say("problem", first(mail.AsError(err).Hints), "strong reservations: %v", err)
	} else if s != "" {
		say("ok", "", "%s", s)
	}
	b.trustFindings(ctx, sn, remotes, say)
	if h.Writing != "" {
		say("note", "", "a process is writing now (%s)", h.Writing)
	}
	if h.RefLock != "" {
		say("note", "ls -l "+shellQuote(h.RefLock), "git's lock file %q is there; the next write removes it if its owner is gone", h.RefLock)
	}
	for _, ref := range h.Other {
		say("note", "", "the ref %s belongs to a newer version", ref)
	}
	ls, err := b.leases(ctx, sn)
	if err != nil {
		say("problem", "git agentmail verify", "the reservations cannot be read: %v", err)
		return out, nil
	}
	say("ok", "", "%s", b.indexState(ctx, sn))
	for _, l := range ls {
		if _, ahead := l.Expires(b.now()); ahead {
			say("problem", "", "the clock of the clone %s is ahead: its reservation %q does not count yet", l.Replica, l.Pattern)
		}
	}
	if m, ok := b.manifest(); !ok || !m.Hooks {
		say("note", "git agentmail hooks install", "no hooks were asked for")
		return out, nil
	}
	g, err := b.HooksStatus(ctx)
	if err != nil {
		return out, err
	}
	if !g.Active && fix && g.Mode != ModeOff {
		if _, err := b.HooksInstall(ctx, false, binary); err == nil {
			if g, err = b.HooksStatus(ctx); err == nil && g.Active {
				out.Fixed = append(out.Fixed, "put the hooks back")
			}
		}
	}
	if g.Active {
		say("ok", "", "guard: active, mode %s", g.Mode)
	} else {
		say("problem", "git agentmail hooks status", "guard: not active: %s", g.Cause)
	}
	return out, nil
}

// dropCaches deletes all caches but the records of sessions that are alive: those
// come back only when their servers have something new to say.
func (b *Box) dropCaches() error {
	entries, err := os.ReadDir(b.repo.CachePath())
	if err != nil { // none there, or no directory
		return os.RemoveAll(b.repo.CachePath())
	}
	for _, e := range entries {
		if e.Name() != sessionsDir {
			err = errors.Join(err, os.RemoveAll(b.repo.CachePath(e.Name())))
		}
	}
	records, _ := os.ReadDir(b.repo.CachePath(sessionsDir))
	for _, e := range records {
		base := strings.TrimSuffix(strings.TrimSuffix(e.Name(), ".json"), ".lock")
		if !b.repo.Held(filepath.Join(sessionsDir, base+".lock")) {
			err = errors.Join(err, os.RemoveAll(b.repo.CachePath(sessionsDir, e.Name())))
		}
	}
	return err
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}
