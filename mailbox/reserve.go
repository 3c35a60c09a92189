package mailbox

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/git-agentmail/git-agentmail/guard"
	"github.com/git-agentmail/git-agentmail/mail"
)

// The bounds of a reservation's time.
const (
	DefaultTTL = time.Hour
	leastTTL   = time.Minute
)

// maxHolders bounds the holders that one refused pattern names: beyond that a
// request against thousands of reservations costs seconds and tells no more.
const maxHolders = 20

// maxReason is the greatest length of a reason in characters. It is stored with
// every pattern.
const maxReason = 500

// wanted is one pattern of a request, compiled.
type wanted struct {
	text    string
	pattern guard.Pattern
	kind    guard.Kind
	files   int
}

// Reserve takes reservations for the actor: all or none, or what is free where
// the request says Partial. A pattern that the actor holds already is renewed.
// With a conflict the result is whole, and the error has the code conflict;
// under Partial there is no error.
func (b *Box) Reserve(ctx context.Context, who Actor, r ReserveRequest) (ReserveResult, error) {
	if !r.Strong {
		return b.reserve(ctx, who, r)
	}
	remote, err := b.needTable(ctx)
	if err != nil {
		return ReserveResult{Granted: []Granted{}, Conflicts: []PathConflict{}}, err
	}
	out, err := b.reserve(ctx, who, r)
	if mail.CodeOf(err) == mail.Conflict { // it may have been released elsewhere
		if _, serr := b.syncTable(ctx, remote, &settling{b: b}); serr == nil {
			out, err = b.reserve(ctx, who, r)
		}
	}
	if err != nil || len(out.Granted) == 0 {
		return out, err
	}
	known := len(out.Conflicts)
	out, err = b.strengthen(ctx, remote, r, out)
	if err != nil || len(out.Conflicts) == known || r.Partial {
		return out, err
	}
	sn, err := b.snapshot(ctx)
	if err != nil {
		return out, err
	}
	d, err := b.directory(ctx, sn)
	if err != nil {
		return out, err
	}
	return out, b.reserveConflict(d.Agents[who.ID], out.Conflicts, len(r.Patterns), r)
}

// reserve takes them in this clone, strong ones as those that are to become so.
func (b *Box) reserve(ctx context.Context, who Actor, r ReserveRequest) (ReserveResult, error) {
	empty := ReserveResult{Granted: []Granted{}, Conflicts: []PathConflict{}}
	if err := who.mayWrite(); err != nil {
		return empty, err
	}
	if r.TTL == 0 {
		r.TTL = DefaultTTL
	}
	warnings, err := checkTTL(r.TTL)
	if err != nil {
		return empty, err
	}
	want, more, err := b.want(ctx, r.Patterns)
	if err != nil {
		return empty, err
	}
	warnings = append(warnings, more...)
	mode, err := b.setting(ctx, "reservations")
	if err != nil {
		return empty, err
	}
	branch, tree, fold := strings.ToValidUTF8(b.repo.Branch(ctx), "?"), b.worktreeName(), b.ignoreCase(ctx)
	r.Reason = oneLine(strings.ToValidUTF8(r.Reason, "?"))
	if cut := clip(r.Reason, maxReason); cut != r.Reason {
		warnings = append(warnings, fmt.Sprintf("the reason of %d characters was cut to %d", utf8.RuneCountInString(r.Reason), maxReason))
		r.Reason = cut
	}

	out := empty
	var refused error
	err = b.update(ctx, who, func(w *writer, me *mail.Agent) (string, error) {
		out, refused = ReserveResult{Granted: []Granted{}, Conflicts: []PathConflict{}, Warnings: slices.Clone(warnings)}, nil
		held, err := w.held(true)
		if err != nil {
			return "", err
		}
		var fresh, again []mail.Lease
		for _, p := range want {
			holders, notes := w.conflicts(held, me.ID, p, !r.Shared, fold)
			out.Warnings = append(out.Warnings, notes...)
			if len(holders) > 0 {
				out.Conflicts = append(out.Conflicts, PathConflict{p.text, holders})
				if mode != "advisory" {
					continue
				}
			}
			l := mail.Lease{ID: w.newLeaseID(held), Holder: me.ID, Pattern: p.pattern.String(), Kind: string(p.kind),
				Exclusive: !r.Shared, Reason: r.Reason, TTL: int64(r.TTL / time.Second), Since: mail.At(w.now), Branch: branch, Worktree: tree, Strong: r.Strong}
			if old := w.mine(held, me.ID, l.Pattern); old != nil {
				l.ID = old.ID
				if old.Exclusive || !l.Exclusive { // what was shared kept nobody out until now
					l.Since = old.Since
				}
				if l.Reason == "" {
					l.Reason = old.Reason
				}
				l.Strong = l.Strong || old.Strong
				again = append(again, l)
			} else {
				fresh = append(fresh, l)
			}
			out.Granted = append(out.Granted, Granted{})
			g := &out.Granted[len(out.Granted)-1]
			*g = Granted{ID: l.ID, PathPattern: l.Pattern, Exclusive: l.Exclusive, Reason: l.Reason, ExpiresTS: TS(w.now.Add(r.TTL)), Kind: l.Kind, Files: p.files,
				Renewed: len(again) > 0 && again[len(again)-1].ID == l.ID}
		}
		out.Advisory = mode == "advisory"
		if len(out.Conflicts) > 0 && !r.Partial && !out.Advisory {
			out.Granted = []Granted{}
			refused = b.reserveConflict(me, out.Conflicts, len(want), r)
			return "", nil
		}
		for _, e := range []struct {
			op     string
			leases []mail.Lease
		}{{mail.LeaseNew, fresh}, {mail.LeaseRenew, again}} {
			if err := w.addLeases(held, me.ID, e.op, "", e.leases); err != nil {
				return "", err
			}
		}
		// The end is the latest of all renewals: a shorter one shortens nothing.
		for i, g := range out.Granted {
			if l := w.leases[g.ID]; l != nil {
				end, _ := l.Expires(w.now)
				out.Granted[i].ExpiresTS = TS(end)
			}
		}
		return fmt.Sprintf("reserve: %s %s", me.Name.Value, briefList(patternsOf(out.Granted))), nil
	})
	if err != nil {
		return empty, err
	}
	return out, refused
}

// worktreeName names this linked worktree, "" for the main one, as records do.
func (b *Box) worktreeName() string { return strings.ToValidUTF8(b.repo.WorktreeName(), "?") }

func patternsOf(list []Granted) []string {
	var out []string
	for _, g := range list {
		out = append(out, g.PathPattern)
	}
	return out
}

func checkTTL(ttl time.Duration) (warnings []string, err error) {
	switch {
	case ttl < time.Second:
		return nil, mail.Errorf(mail.Invalid, "a time to live of %s is not positive", ttl).Hint("git agentmail reserve PATTERN --ttl 1h")
	case ttl > mail.MaxTTL:
		return nil, mail.Errorf(mail.Invalid, "a time to live of %s is longer than 30 days", plural(int(ttl/(24*time.Hour)), "day")).Hint("git agentmail reserve PATTERN --ttl 30d")
	case ttl < leastTTL:
		warnings = append(warnings, fmt.Sprintf("%s is very short: others may take it before you commit", ttl))
	}
	return warnings, nil
}

// want compiles the patterns of a request and finds out what they cover.
func (b *Box) want(ctx context.Context, patterns []string) (list []wanted, warnings []string, err error) {
	if len(patterns) == 0 {
		return nil, nil, mail.Errorf(mail.Invalid, "paths list cannot be empty: no pattern was given").Typed("EMPTY_PATHS").
			Hint("git agentmail reserve 'src/**'")
	}
	tracked, err := b.repo.Tracked(ctx)
	if err != nil {
		return nil, nil, asMail(err)
	}
	seen := map[string]bool{}
	for _, text := range patterns {
		rel, err := b.relative(text)
		if err != nil {
			return nil, nil, err
		}
		p, err := guard.Compile(rel)
		if err != nil {
			return nil, nil, err
		}
		if seen[p.String()] {
			continue
		}
		seen[p.String()] = true
		w := wanted{text: p.String(), pattern: p, kind: b.kindOf(p, tracked)}
		match := p
		if b.ignoreCase(ctx) {
			match = p.Fold()
		}
		for _, f := range tracked {
			if match.Match(f) {
				w.files++
			}
		}
		warnings = append(warnings, p.Warnings()...)
		if w.files == 0 && !p.IsVirtual() && b.repo.TopLevel != "" {
			warnings = append(warnings, fmt.Sprintf("%q covers no tracked file yet", p.String()))
		}
		list = append(list, w)
	}
	return list, warnings, nil
}

// everything is the pattern for the whole repository.
const everything = "**"

// relative makes an absolute path inside the work tree relative to its root. A
// leading slash otherwise only anchors a pattern, unless it names something that
// exists elsewhere.
func (b *Box) relative(text string) (string, error) {
	if !filepath.IsAbs(text) {
		return text, nil
	}
	top := b.repo.TopLevel
	if top != "" {
		for _, path := range []string{text, resolved(text)} {
			for _, root := range []string{top, evalSymlinks(top)} {
				rest, ok := strings.CutPrefix(filepath.ToSlash(path), filepath.ToSlash(root))
				switch {
				case !ok || rest != "" && rest[0] != '/':
				case strings.Trim(rest, "/") == "":
					return everything, nil
				default:
					return strings.TrimLeft(rest, "/"), nil
				}
			}
		}
	}
	if _, err := os.Lstat(text); err == nil && text != "/" {
		return "", mail.Errorf(mail.Invalid, "%q is outside this work tree; patterns are relative to its root %q", text, top).
			Hint("git agentmail reserve 'src/**'")
	}
	return text, nil
}

// resolved follows the symbolic links in the directories above path, as far as
// they exist: git knows the work tree by its real name, its user perhaps by
// another. The last element, which may be a link that is tracked, stays.
func resolved(path string) string {
	for dir := filepath.Dir(path); ; dir = filepath.Dir(dir) {
		if r, err := filepath.EvalSymlinks(dir); err == nil {
			return filepath.Join(r, path[len(dir):])
		}
		if dir == filepath.Dir(dir) {
			return path
		}
	}
}

func evalSymlinks(p string) string {
	if r, err := filepath.EvalSymlinks(p); err == nil {
		return r
	}
	return p
}

// kindOf resolves what a literal pattern names when it is reserved: by the
// index, else by what lies in the work tree.
func (b *Box) kindOf(p guard.Pattern, tracked []string) guard.Kind {
	if k := p.KindIn(tracked); k != guard.Unknown {
		return k
	}
	path, ok := p.Literal()
	if !ok || b.repo.TopLevel == "" {
		return guard.Unknown
	}
	st, err := os.Lstat(filepath.Join(b.repo.TopLevel, filepath.FromSlash(path)))
	switch {
	case err != nil:
		return guard.Unknown
	case st.IsDir():
		return guard.Tree
	}
	return guard.File
}

// ignoreCase is core.ignorecase, which git writes into the repository's own
// configuration when it finds such a file system.
func (b *Box) ignoreCase(ctx context.Context) bool {
	v, ok, err := b.repo.Local(ctx, "core.ignorecase")
	if !ok || err != nil {
		return false
	}
	switch strings.ToLower(v) {
	case "true", "", "yes", "on", "1":
		return true
	}
	return false
}

// conflicts returns who stands in the way of a pattern: other agents' live
// reservations that overlap it, one side at least exclusive.
func (w *writer) conflicts(held mail.Leases, me string, p wanted, exclusive, fold bool) (holders []Holder, notes []string) {
	for _, l := range held.ByAge() {
		if l.Holder == me || !(l.Exclusive || exclusive) || !l.Live(w.now, w.tx.Replica()) {
			continue
		}
		q, err := guard.Compile(l.Pattern)
		if err != nil {
			notes = append(notes, fmt.Sprintf("the reservation %s of %s holds the pattern %q, which this version does not read", l.ID, w.dir.Address(l.Holder), l.Pattern))
			continue
		}
		a := p.pattern
		if fold {
			a, q = a.Fold(), q.Fold()
		}
		c := guard.Clash(a, p.kind, q, guard.Kind(l.Kind))
		switch {
		case !c.Overlap:
			continue
		case c.Implied:
			notes = append(notes, fmt.Sprintf("%q would overlap %q of %s if it became a directory", p.text, l.Pattern, w.dir.Address(l.Holder)))
			continue
		}
		end, _ := l.Expires(w.now)
		holders = append(holders, Holder{w.dir.Address(l.Holder), l.Pattern, l.Exclusive, TS(end), c.Witness, l.ID, l.Reason})
		if len(holders) == maxHolders {
			break
		}
	}
	return holders, notes
}

// mine returns the actor's own live reservation of exactly this pattern.
func (w *writer) mine(held mail.Leases, me, pattern string) *mail.LeaseState {
	for _, l := range held.ByAge() {
		if l.Holder == me && l.Pattern == pattern && l.Live(w.now, w.tx.Replica()) {
			return l
		}
	}
	return nil
}

func (w *writer) marks(held mail.Leases, leases []mail.Lease) []mail.Mark {
	var out []mail.Mark
	for _, l := range leases {
		if s := held[l.ID]; s != nil {
			out = append(out, s.Mark)
		}
	}
	return out
}

func (w *writer) newLeaseID(held mail.Leases) string {
	for {
		if id := mail.NewID(w.b.opt.Rand); held[id] == nil {
			return id
		}
	}
}

func (b *Box) reserveConflict(me *mail.Agent, conflicts []PathConflict, asked int, r ReserveRequest) error {
	e := mail.Errorf(mail.Conflict, "%s of %d asked for cannot be had; nothing was reserved", plural(len(conflicts), "pattern"), asked).
		With("conflicts", conflicts)
	for _, c := range conflicts {
		for _, h := range c.Holders {
			e.Lines = append(e.Lines, fmt.Sprintf("%s  both cover %q", holdLine(c.Path, h.Agent, h.PathPattern, h.Reason, h.ExpiresTS.Time(), b.now()), h.Witness))
		}
	}
	h := conflicts[0].Holders[0]
	e.Hint("ask the holder: git agentmail send --to %s -s %s", h.Agent, shellQuote(conflicts[0].Path))
	if len(conflicts) < asked {
		e.Hint("take what is free: git agentmail reserve --partial%s %s", r.flags(me), shellQuote(r.Patterns...))
	}
	return e.Hint("see who holds what: git agentmail reservations")
}

// flags writes what was asked for besides the patterns, as flags of the command.
func (r ReserveRequest) flags(me *mail.Agent) string {
	s := ""
	if me != nil && !me.IsPerson() {
		s += " --as " + shellQuote(me.Name.Value)
	}
	if r.TTL != DefaultTTL {
		ttl := r.TTL.String()
		for _, zero := range []string{"m0s", "h0m"} { // 1h30m0s, 1h0m
			if strings.HasSuffix(ttl, zero) {
				ttl = ttl[:len(ttl)-2]
			}
		}
		s += " --ttl " + ttl
	}
	if r.Shared {
		s += " --shared"
	}
	if r.Strong {
		s += " --strong"
	}
	if r.Reason != "" {
		s += " --reason " + shellQuote(r.Reason)
	}
	return s
}

// holdLine is one line of evidence: what, who, which pattern, until when, why.
func holdLine(path, holder, pattern, reason string, end, now time.Time) string {
	s := fmt.Sprintf("%s  %s, %q, until %s", display(path), holder, pattern, until(end, now))
	if reason != "" {
		s += fmt.Sprintf(": %q", clip(reason, 80))
	}
	return s
}

// until tells a time absolutely, in UTC, and relatively.
func until(end, now time.Time) string {
	end = end.UTC()
	layout := "15:04 UTC"
	if y, m, d := now.UTC().Date(); end.Year() != y || end.Month() != m || end.Day() != d {
		layout = "2006-01-02 15:04 UTC"
	}
	return fmt.Sprintf("%s (%s)", end.Format(layout), relative(end.Sub(now)))
}

func relative(d time.Duration) string {
	word := "in %s"
	if d < 0 {
		d, word = -d, "%s ago"
	}
	switch {
	case d < time.Minute:
		return fmt.Sprintf(word, plural(int(d/time.Second), "second"))
	case d < 90*time.Minute:
		return fmt.Sprintf(word, fmt.Sprintf("%d min", int((d+time.Minute/2)/time.Minute)))
	case d < 36*time.Hour:
		return fmt.Sprintf(word, fmt.Sprintf("%d h", int((d+time.Hour/2)/time.Hour)))
	}
	return fmt.Sprintf(word, plural(int(d/(24*time.Hour)), "day"))
}

// clip bounds text of others to n characters on one line.
func clip(s string, n int) string {
	s = oneLine(s)
	if r := []rune(s); len(r) > n {
		return string(r[:n-3]) + "..."
	}
	return s
}

// display shows a path as it is if it is plain, else in Go's quotes.
func display(path string) string {
	for _, r := range path {
		if r < ' ' || r == 0x7f || r == '\uFFFD' || r == '"' || r >= 0x80 && r < 0xa0 {
			return fmt.Sprintf("%q", path)
		}
	}
	return path
}

// shellQuote writes words as a shell reads them back.
func shellQuote(words ...string) string {
	var out []string
	for _, s := range words {
		if unprintable(s) {
			s = shellBytes(s)
		} else if s == "" || strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:@%+=,-") != "" {
			s = "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}
