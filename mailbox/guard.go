package mailbox

import (
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/guard"
	"github.com/git-agentmail/git-agentmail/mail"
)

// The guard's modes.
const (
	ModeBlock = "block"
	ModeWarn  = "warn"
	ModeOff   = "off"
)

// mode reads how strict the guard is, from this repository's own configuration
// alone. A value that is none of the modes counts as block.
func (b *Box) mode(ctx context.Context) (string, error) {
	v, err := b.setting(ctx, "guard")
	switch v {
	case ModeWarn, ModeOff:
	default:
		v = ModeBlock
	}
	return v, err
}

// holds are the exclusive reservations that are live now, oldest first, without the
// names of their holders.
type holds struct {
	b      *Box
	sn     *gitstore.Snapshot
	now    time.Time
	brief  *rows[brief] // nil where there is no cache of them
	leases func(want func(pattern string) bool) iter.Seq[*mail.LeaseState]
}

// holds finds them; there may be none.
func (b *Box) holds(ctx context.Context, sn *gitstore.Snapshot) (h *holds, none bool, err error) {
	h = &holds{b: b, sn: sn, now: b.now()}
	if h.brief = b.cachedBriefs(sn); h.brief != nil {
		return h, !h.maybe(nil), nil
	}
	if err := h.load(ctx); err != nil {
		return nil, false, err
	}
	for range h.those(nil) {
		return h, false, nil
	}
	return h, true, nil
}

// maybe reports whether there may be one whose pattern want says yes to.
func (h *holds) maybe(want func(pattern string) bool) bool {
	for l := range h.brief.those(want) {
		if l.until > mail.At(h.now) {
			return true
		}
	}
	return false
}

func (h *holds) load(ctx context.Context) (err error) {
	if h.leases == nil {
		h.leases, err = h.b.eachLease(ctx, h.sn)
	}
	return err
}

// all returns them all.
func (h *holds) all(ctx context.Context) (iter.Seq[guard.Held], error) {
	return h.those(nil), h.load(ctx)
}

// near returns the ones that may touch entries.
func (h *holds) near(ctx context.Context, entries []guard.Entry, ignoreCase bool) (iter.Seq[guard.Held], error) {
	want := guard.Possible(entries, ignoreCase)
	if h.brief != nil && !h.maybe(want) {
		return slices.Values([]guard.Held{}), nil
	}
	return h.those(want), h.load(ctx)
}

// those yields the ones whose pattern want says yes to, and maybe others; nil is all.
func (h *holds) those(want func(pattern string) bool) iter.Seq[guard.Held] {
	return func(yield func(guard.Held) bool) {
		for l := range h.leases(want) {
			if !l.Exclusive || !l.Live(h.now, h.sn.Own()) {
				continue
			}
			end, _ := l.Expires(h.now)
			if !yield(heldBy(&l.Lease, end)) {
				return
			}
		}
	}
}

// heldBy is a reservation as the guard looks at it.
func heldBy(l *mail.Lease, end time.Time) guard.Held {
	return guard.Held{ID: l.ID, Pattern: l.Pattern, Kind: guard.Kind(l.Kind), Holder: l.Holder,
		Reason: l.Reason, Since: l.Since.Time(), Expires: end, Worktree: l.Worktree, Branch: l.Branch}
}

// check asks the guard which reservations of others are in the way of changed paths.
func (b *Box) check(ctx context.Context, sn *gitstore.Snapshot, who Actor, entries []guard.Entry) ([]guard.Block, error) {
	held, none, err := b.holds(ctx, sn)
	if err != nil || none {
		return nil, err
	}
	fold := b.ignoreCase(ctx)
	near, err := held.near(ctx, entries, fold)
	if err != nil {
		return nil, err
	}
	blocks, err := guard.Check(entries, without(near, who), fold)
	if err != nil {
		return nil, err
	}
	return blocks, b.nameHolders(ctx, sn, blocks)
}

// without leaves out what who holds.
func without(held iter.Seq[guard.Held], who Actor) iter.Seq[guard.Held] {
	return func(yield func(guard.Held) bool) {
		for h := range held {
			if (who.ID == "" || h.Holder != who.ID) && !yield(h) {
				return
			}
		}
	}
}

// others leaves out the blocks by what who holds.
func others(blocks []guard.Block, who Actor) []guard.Block {
	if who.ID == "" {
		return blocks
	}
	return slices.DeleteFunc(slices.Clone(blocks), func(bl guard.Block) bool { return bl.By.Holder == who.ID })
}

func (b *Box) nameHolders(ctx context.Context, sn *gitstore.Snapshot, blocks []guard.Block) error {
	if len(blocks) == 0 {
		return nil
	}
	d, err := b.directory(ctx, sn)
	if err != nil {
		return err
	}
	names := map[string]string{} // each found once
	for i := range blocks {
		h := &blocks[i].By
		if names[h.Holder] == "" {
			names[h.Holder] = d.Address(h.Holder)
		}
		h.HolderName = names[h.Holder]
	}
	return nil
}

// elsewhere leaves out, with a remark, reservations whose holder works in
// another worktree, where agentmail.otherWorktrees is warn.
func (b *Box) elsewhere(ctx context.Context, blocks []guard.Block, remark func(string)) ([]guard.Block, error) {
	here, away, err := b.split(ctx, blocks)
	for _, bl := range away {
		remark(fmt.Sprintf("merge risk: %s is reserved by %s in another worktree (%q)", display(bl.Path), bl.By.HolderName, bl.By.Pattern))
	}
	return here, err
}

// split separates what only the risk of a merge speaks against.
func (b *Box) split(ctx context.Context, blocks []guard.Block) (here, away []guard.Block, err error) {
	v, err := b.setting(ctx, "otherWorktrees")
	if err != nil || v != "warn" {
		return blocks, nil, err
	}
	for _, bl := range blocks {
		if bl.By.Worktree == b.worktreeName() {
			here = append(here, bl)
		} else {
			away = append(away, bl)
		}
	}
	return here, away, nil
}

func entriesOf(changed []gitstore.Changed) []guard.Entry {
	list := make([]guard.Entry, len(changed))
	for i, c := range changed {
		list[i] = guard.Entry{Path: c.Path, Deleted: c.Deleted()}
	}
	return list
}

// result turns the guard's answer into what callers see.
func (b *Box) result(mode string, checked int, blocks []guard.Block) CheckResult {
	r := CheckResult{Blocked: []Blocked{}, Mode: mode, Checked: checked}
	for _, bl := range blocks {
		r.Blocked = append(r.Blocked, Blocked{printable(bl.Path), bl.By.HolderName, bl.By.Pattern, TS(bl.By.Expires), bl.By.Reason, bl.By.ID})
	}
	return r
}

// printable is the path itself if it is valid UTF-8 without control characters,
// else in Go's quotes: JSON cannot hold arbitrary bytes.
func printable(path string) string {
	if strings.ToValidUTF8(path, "\uFFFD") != path {
		return fmt.Sprintf("%q", path)
	}
	return path
}

// CheckPaths asks whether the actor may change paths, relative to the root of
// the repository. A directory stands for itself, not for what is in it. With a
// path that is held the result is whole and the error has the code conflict,
// whatever the mode.
func (b *Box) CheckPaths(ctx context.Context, who Actor, paths []string) (CheckResult, error) {
	return b.checkNow(ctx, who, "these paths are reserved by others", func() ([]guard.Entry, error) {
		entries := make([]guard.Entry, 0, len(paths))
		for _, p := range paths {
			rel, err := b.path(p)
			if err != nil {
				return nil, err
			}
			if rel == "." {
				continue // the root itself, which nobody can hold
			}
			st, err := os.Lstat(filepath.Join(b.repo.TopLevel, filepath.FromSlash(rel)))
			entries = append(entries, guard.Entry{Path: rel, Deleted: err == nil && st.IsDir()})
		}
		return entries, nil
	})
}

// path returns a path as git writes it, relative to the root of the repository;
// "." is the root itself.
func (b *Box) path(p string) (string, error) {
	rel, err := b.relative(p)
	if err != nil {
		return "", err
	}
	if rel == "" {
		return "", mail.Errorf(mail.Invalid, "a path is empty")
	}
	if guard.Virtual(rel) {
		return rel, nil
	}
	if filepath.IsAbs(p) { // a slash at the beginning only anchors
		rel = strings.TrimLeft(strings.TrimSuffix(rel, everything), "/")
	}
	rel = filepath.ToSlash(filepath.Clean(rel))
	if rel == ".." || strings.HasPrefix(rel, "../") {
		return "", mail.Errorf(mail.Invalid, "the path %q leads out of the repository; paths are relative to its root", p)
	}
	return rel, nil
}

// CheckStaged asks the same of what is staged, as the commit hook does.
func (b *Box) CheckStaged(ctx context.Context, who Actor) (CheckResult, error) {
	return b.checkNow(ctx, who, "what is staged touches paths that others reserved", func() ([]guard.Entry, error) {
		if b.repo.Bare {
			return nil, mail.Errorf(mail.Invalid, "a bare repository has no index in which something could be staged").Hint("git agentmail guard --range A..B")
		}
		changed, err := b.repo.Staged(ctx, nil)
		return entriesOf(changed), err
	})
}

// CheckRange asks the same of everything between the merge base of two commits
// and the second, written A..B.
func (b *Box) CheckRange(ctx context.Context, who Actor, rng string) (CheckResult, error) {
	from, to, ok := strings.Cut(rng, "..")
	if !ok || from == "" || to == "" || strings.HasPrefix(from, "-") || strings.HasPrefix(to, "-") {
		return CheckResult{Blocked: []Blocked{}}, mail.Errorf(mail.Invalid, "%q is not a range of commits A..B", rng).
			Hint("git agentmail guard --range origin/main..HEAD")
	}
	to = strings.TrimPrefix(to, ".") // A...B means the same here
	if b.repo.Shallow() {
		b.opt.Report("this clone is shallow: what lies beyond its edge is not checked (git fetch --unshallow)")
	}
	return b.checkNow(ctx, who, "these commits touch paths that others reserved", func() ([]guard.Entry, error) {
		changed, err := b.repo.Range(ctx, from, to)
		return entriesOf(changed), err
	}, func(sn *gitstore.Snapshot, blocks []guard.Block) ([]guard.Block, error) {
		return b.withoutHolders(ctx, sn, from, to, blocks)
	})
}

// withoutHolders leaves out the blocks of paths that nobody but the holder changed
// from one commit to another, as far as the logs tell whose a commit is.
func (b *Box) withoutHolders(ctx context.Context, sn *gitstore.Snapshot, from, to string, blocks []guard.Block) ([]guard.Block, error) {
	if len(blocks) == 0 {
		return nil, nil
	}
	commits, err := b.repo.Between(ctx, from, to)
	if err != nil {
		return nil, err
	}
	held := make([]guard.Held, len(blocks))
	for i, bl := range blocks {
		held[i] = bl.By
	}
	authors, err := b.authors(ctx, sn, oldest(held))
	if err != nil {
		return nil, err
	}
	by := map[string][]string{} // whose commits change a path
	for _, c := range commits {
		for _, ch := range c.Changed {
			by[ch.Path] = append(by[ch.Path], authors[c.OID])
		}
	}
	return slices.DeleteFunc(blocks, func(bl guard.Block) bool {
		who := by[bl.Path]
		return len(who) > 0 && !slices.ContainsFunc(who, func(id string) bool { return id != bl.By.Holder })
	}), nil
}

// checkNow asks the guard about entries; each of less may take blocks out again.
func (b *Box) checkNow(ctx context.Context, who Actor, what string, entries func() ([]guard.Entry, error),
	less ...func(*gitstore.Snapshot, []guard.Block) ([]guard.Block, error)) (CheckResult, error) {
	mode, err := b.mode(ctx)
	r := CheckResult{Blocked: []Blocked{}, Mode: mode}
	if err != nil {
		return r, unchecked(err, mode, "")
	}
	list, err := entries()
	if err != nil {
		if mail.CodeOf(asMail(err)) == mail.Invalid {
			return r, asMail(err)
		}
		return r, unchecked(err, mode, "")
	}
	sn, err := b.store.Snapshot(ctx)
	if err == nil {
		err = b.missing(sn)
	}
	if err != nil {
		return r, unchecked(err, mode, "")
	}
	if sn.Version() == "" && b.getenv("CI") == "true" {
		return r, unchecked(mail.Errorf(mail.Unchecked, "this clone has no mail refs"), mode, "").
			Hint("git fetch origin 'refs/agentmail/log/*:refs/agentmail/log/*'")
	}
	blocks, err := b.check(ctx, sn, who, list)
	if err == nil {
		blocks, err = b.elsewhere(ctx, blocks, b.opt.Report)
	}
	for _, fn := range less {
		if err == nil {
			blocks, err = fn(sn, blocks)
		}
	}
	if err != nil {
		return r, unchecked(err, mode, "")
	}
	r = b.result(mode, len(list), blocks)
	if len(blocks) == 0 {
		return r, nil
	}
	return r, b.conflict(ctx, what, mode, blocks, who, "")
}

// missing reports that this clone's own log, which was written once, is gone.
func (b *Box) missing(sn *gitstore.Snapshot) error {
	if sn.Own() != "" && !slices.Contains(sn.Replicas(), sn.Own()) {
		return mail.Errorf(mail.Corrupt, "the mailbox's own log refs/agentmail/log/%s is gone", sn.Own())
	}
	return nil
}

// unchecked says that the guard could not decide, which is neither "free" nor
// "held". bypass is the git command that could be run past it.
func unchecked(err error, mode, bypass string) *mail.Error {
	cause := mail.AsError(asMail(err))
	e := mail.Errorf(mail.Unchecked, "the guard could not check (mode=%s): %s", mode, cause.Message).With("cause", string(cause.Code))
	e.Err = err
	switch cause.Code {
	case mail.Corrupt:
		e.Hint("git agentmail verify")
	case mail.Format:
		e.Hint("upgrade: go install github.com/git-agentmail/git-agentmail/cmd/...@latest")
	default:
		e.Hint("git agentmail doctor")
	}
	if bypass != "" {
		e.Hint(`go on without the check: AGENTMAIL_BYPASS="why" %s`, bypass)
	}
	return e
}

// conflict is the guard's refusal: each path, who holds it, until when, and the
// ways on.
func (b *Box) conflict(ctx context.Context, what, mode string, blocks []guard.Block, who Actor, command string) *mail.Error {
	now := b.now()
	e := mail.Errorf(mail.Conflict, "%s (mode=%s)", what, mode)
	width := 0
	for _, bl := range blocks {
		width = max(width, len(display(bl.Path)))
	}
	width = min(width, 40)
	var paths []string
	rows := []Blocked{}
	for i, bl := range blocks {
		if len(paths) == 0 || paths[len(paths)-1] != bl.Path {
			paths = append(paths, bl.Path)
		}
		rows = append(rows, Blocked{printable(bl.Path), bl.By.HolderName, bl.By.Pattern, TS(bl.By.Expires), bl.By.Reason, bl.By.ID})
		switch {
		case i < 10:
			pad := strings.Repeat(" ", max(0, width-len(display(bl.Path))))
			line := holdLine(bl.Path, bl.By.HolderName, bl.By.Pattern, bl.By.Reason, bl.By.Expires, now)
			e.Lines = append(e.Lines, display(bl.Path)+pad+line[len(display(bl.Path)):])
		case i == 10:
			e.Lines = append(e.Lines, fmt.Sprintf("and %d more", len(blocks)-10))
		}
	}
	e.With("conflicts", rows)
	first := blocks[0]
	switch command {
	case continueMerge: // unstaging would drop what one side changed
		e.Hint("undo the merge: git merge --abort")
	case "git commit":
		undo := "git restore --staged"
		if !b.repo.HasHead(ctx) {
			undo = "git rm --cached" // before the first commit there is nothing to restore from
		}
		e.Hint("unstage them:   %s %s", undo, b.pasteable(paths[:min(len(paths), 10)]))
	}
	e.Hint("ask the holder: git agentmail send --to %s -s %s", first.By.HolderName, shellQuote(clip(display(first.Path), 80)))
	if command != "" {
		e.Hint(`%s:  AGENTMAIL_BYPASS="why" %s`, map[bool]string{true: "commit anyway", false: "go on anyway"}[command == "git commit"], command)
	}
	if who.Given != "" {
		e.With("given", who.Given)
		if who.err != nil && len(who.err.Hints) > 0 {
			e.Hint("nobody here is called %q: %s", who.Given, who.err.Hints[0])
		}
	}
	return e
}

// pasteable writes paths, which are relative to the root, as arguments of git
// for a shell in the directory that the user is in: a hook itself runs at the
// root. They mean themselves, whatever is in them.
func (b *Box) pasteable(paths []string) string {
	words := make([]string, len(paths))
	for i, p := range paths {
		here := p
		if dir := b.getenv("GIT_PREFIX"); dir != "" {
			if rel, err := filepath.Rel(filepath.FromSlash(dir), filepath.FromSlash(p)); err == nil {
				here = filepath.ToSlash(rel)
			}
		}
		switch {
		case strings.ContainsAny(p, `*?[\`):
			here = ":(literal)" + here
		case strings.HasPrefix(here, "-"), strings.HasPrefix(here, ":"):
			here = "./" + here
		}
		words[i] = shellQuote(here)
	}
	return strings.Join(words, " ")
}

func unprintable(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// shellBytes writes a word that cannot be printed as it is so that a shell reads
// it back.
func shellBytes(s string) string {
	var w strings.Builder
	w.WriteString("$'")
	for _, c := range []byte(s) {
		switch {
		case c == '\'' || c == '\\':
			w.WriteString("\\" + string(rune(c)))
		case c < ' ' || c > '~':
			fmt.Fprintf(&w, `\%03o`, c)
		default:
			w.WriteByte(c)
		}
	}
	return w.String() + "'"
}

// touched lists the blocks for the record.
func touched(blocks []guard.Block) []mail.Touched {
	out := []mail.Touched{}
	for _, bl := range blocks {
		out = append(out, mail.Touched{Path: printable(bl.Path), Lease: bl.By.ID, Holder: bl.By.Holder})
	}
	return out
}

// sortedHolders returns the ids of those whose reservations are touched.
func sortedHolders(blocks []guard.Block) []string {
	var ids []string
	for _, bl := range blocks {
		ids = append(ids, bl.By.Holder)
	}
	return unique(ids)
}

// hookDeadline bounds everything a hook does with the store. Reading takes no
// lock, so only a sick disk or an overloaded machine comes near it.
const hookDeadline = 5 * time.Second
