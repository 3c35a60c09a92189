package mailbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/guard"
	"github.com/git-agentmail/git-agentmail/hooks/githook"
	"github.com/git-agentmail/git-agentmail/mail"
)

// The git hooks that the guard answers.
const (
	PreCommit      = "pre-commit"
	PreMergeCommit = "pre-merge-commit"
	PrePush        = "pre-push"
	PostCommit     = "post-commit"
	PostMerge      = "post-merge"
	// In strict mode: git asks it also where it does not ask PreCommit.
	PrepareCommitMsg = "prepare-commit-msg"
	// On a host, before it accepts a push.
	PreReceive = "pre-receive"
)

// Hook answers one of git's hooks. who finds out who is acting; it is asked only
// once that matters: when a commit touches what is reserved, or something is pushed.
// A repository that was never set up gets an empty verdict at once.
func (b *Box) Hook(ctx context.Context, r HookRequest, who func(context.Context) (Actor, error)) Verdict {
	ctx, cancel := context.WithTimeout(ctx, hookDeadline)
	defer cancel()
	ours, err := b.store.Exists()
	if err == nil && !ours {
		return Verdict{}
	}
	if b.inConfig(ctx, r.Event) {
		return Verdict{}
	}
	h := &hook{b: b, ctx: ctx, req: r, ask: who, command: "git commit"}
	switch r.Event {
	case PrePush:
		h.command = "git push"
	case PreReceive:
		h.command = "" // what can be repeated here, receiveHint says
	case PreMergeCommit, PostMerge:
		h.command = continueMerge // git leaves a merge that was stopped in progress
	}
	// The mode is read before anything that can fail.
	mode, merr := b.mode(ctx)
	h.v.Mode, h.v.Blocked = mode, []Blocked{}
	if mode == ModeOff {
		return h.v
	}
	if r.Event == PrepareCommitMsg {
		if strict, err := b.strict(ctx); err == nil && !strict {
			return h.v
		}
	}
	if v := b.getenv("AGENT_MAIL_GUARD_MODE"); v != "" {
		h.v.Notes = append(h.v.Notes, fmt.Sprintf("AGENT_MAIL_GUARD_MODE=%q does not count: git config --local agentmail.guard says how strict the guard is (%s)", clip(v, 40), mode))
	}
	if err == nil {
		err = merr
	}
	if err == nil {
		h.sn, err = b.store.Snapshot(ctx)
	}
	if err == nil {
		err = b.missing(h.sn)
		h.gone = err != nil
	}
	switch {
	case err != nil:
	case r.Event == PreCommit, r.Event == PreMergeCommit:
		err = h.preCommit()
	case r.Event == PrepareCommitMsg:
		err = h.prepareCommitMsg()
	case r.Event == PrePush:
		err = h.prePush()
	case r.Event == PreReceive:
		err = h.preReceive()
	case r.Event == PostCommit, r.Event == PostMerge:
		err = h.postCommit()
	default:
		err = mail.Errorf(mail.Internal, "no hook is called %q", r.Event)
	}
	if err != nil {
		h.failed(err)
	}
	return h.v
}

// inConfig reports whether this call comes from a hook file, and git runs the hook out
// of its configuration as well. Which git it is tells the PATH that git gives its hooks.
func (b *Box) inConfig(ctx context.Context, event string) bool {
	name, value, _ := strings.Cut(githook.FileRun, "=")
	if b.getenv(name) != value || !b.repo.HasConfigHook(githook.ConfigPrefix+event) {
		return false
	}
	v, err := gitstore.GitVersion(ctx)
	if err != nil || !gitstore.AtLeast(v, githook.ConfigSince) {
		return false
	}
	// Some other configuration may have switched it off.
	hooks, err := b.repo.ConfigHooks(ctx, githook.ConfigPrefix)
	return err == nil && githook.Site{Config: hooks, RunsConfig: true}.InConfig(event)
}

// hook is one call of a git hook.
type hook struct {
	b       *Box
	ctx     context.Context
	req     HookRequest
	ask     func(context.Context) (Actor, error)
	who     Actor // see identify
	sn      *gitstore.Snapshot
	command string // the git command that can be repeated with a bypass
	gone    bool   // the store is not there although it was
	v       Verdict
}

// identify finds out who is acting.
func (h *hook) identify() (err error) {
	if h.req.Event == PreReceive {
		h.who = Actor{Kind: IsUnidentified, Source: "a host does not know who pushes"}
		return nil
	}
	h.who, err = h.ask(h.ctx)
	return err
}

// leaves reports whether what is checked is about to leave this clone, or to be
// taken in by a host.
func (h *hook) leaves() bool { return h.req.Event == PrePush || h.req.Event == PreReceive }

// bypass returns the reason given for overruling the guard, or "".
func (h *hook) bypass() string {
	if h.req.Event == PreReceive {
		return h.pushOption()
	}
	if reason := clip(strings.ToValidUTF8(h.b.getenv("AGENTMAIL_BYPASS"), "?"), maxReason); reason != "" {
		return reason
	}
	if truthy(h.b.getenv("AGENT_MAIL_BYPASS")) {
		return "AGENT_MAIL_BYPASS=1 (no reason)"
	}
	return ""
}

// failed turns an error into "could not check". What stops git then: in a push
// anything, in a commit what the user can see and put right; a store that
// vanished, or a fault of ours, does not stop work that is not pushed yet.
func (h *hook) failed(err error) {
	code := mail.CodeOf(asMail(err))
	switch {
	case h.v.Mode == ModeWarn, h.req.Event == PostCommit, h.req.Event == PostMerge:
	case h.bypass() != "":
		h.v.Notes = append(h.v.Notes, "the guard was passed by: "+clip(h.bypass(), 80))
	case h.leaves():
		h.v.Stop = true
	case h.gone, errors.Is(err, context.DeadlineExceeded):
	case code == mail.Internal && gitstore.KindOf(err) == "":
	default:
		h.v.Stop = true
	}
	h.v.Err = unchecked(err, h.v.Mode, h.wayOn())
}

// wayOn is the command that goes on with a bypass, for somebody who was stopped.
func (h *hook) wayOn() string {
	if h.v.Stop {
		return h.command
	}
	return ""
}

// continueMerge concludes a merge.
const continueMerge = "git merge --continue"

func (h *hook) preCommit() error {
	if h.b.repo.Merging() {
		h.command = continueMerge
	}
	var merging []gitstore.OID
	if h.req.Event != PreCommit { // git names the parents of a clean merge in the environment alone
		for _, kv := range h.b.opt.Environ {
			if oid, ok := strings.CutPrefix(kv, "GITHEAD_"); ok {
				oid, _, _ = strings.Cut(oid, "=")
				merging = append(merging, oid)
			}
		}
	}
	held, none, err := h.b.holds(h.ctx, h.sn)
	if err != nil || none {
		return err // nothing is reserved: git need not be asked
	}
	changed, err := h.b.repo.Staged(h.ctx, merging)
	if err != nil || len(changed) == 0 {
		return err
	}
	h.v.Checked = len(changed)
	entries, fold := entriesOf(changed), h.b.ignoreCase(h.ctx)
	near, err := held.near(h.ctx, entries, fold)
	if err != nil {
		return err
	}
	blocks, err := guard.Check(entries, near, fold)
	if err == nil && len(blocks) == 0 {
		return nil // whoever it is
	}
	if ierr := h.identify(); ierr != nil {
		return ierr
	}
	if err != nil { // it may be one of their own that cannot be read, which is in nobody's way
		blocks, err = guard.Check(entries, without(near, h.who), fold)
	}
	if err != nil {
		return err
	}
	blocks = others(blocks, h.who)
	if err := h.b.nameHolders(h.ctx, h.sn, blocks); err != nil {
		return err
	}
	blocks, err = h.b.elsewhere(h.ctx, blocks, h.remark)
	if err != nil || len(blocks) == 0 {
		return err
	}
	h.refuse("this commit touches "+paths(blocks)+" that others reserved", blocks)
	return nil
}

// prepareCommitMsg is the strict mode: it judges as pre-commit does, because git
// asks it for every commit, also with --no-verify, in a cherry-pick, a revert and
// a rebase. It only ever stops: what there is to say or to record, pre-commit or
// post-commit does, which run for the same commit.
func (h *hook) prepareCommitMsg() error {
	if h.bypass() != "" {
		return nil
	}
	err := h.preCommit()
	if !h.v.Stop {
		h.v.Err, h.v.Notes = nil, nil
	}
	return err
}

// strict reports whether agentmail.strict asks for the veto of prepareCommitMsg.
func (b *Box) strict(ctx context.Context) (bool, error) {
	v, err := b.setting(ctx, "strict")
	return v == "true", err
}

func (h *hook) remark(s string) { h.v.Notes = append(h.v.Notes, s) }

func paths(blocks []guard.Block) string {
	n, last := 0, ""
	for _, bl := range blocks {
		if n == 0 || bl.Path != last {
			n++
		}
		last = bl.Path
	}
	return plural(n, "path")
}

// refuse decides what a conflict means: it stops git, unless the mode is warn,
// a person is let past, or somebody overruled it with a reason, which is
// recorded and told to the holders.
func (h *hook) refuse(what string, blocks []guard.Block) {
	h.introduce()
	h.v.CheckResult = h.b.result(h.v.Mode, h.v.Checked, blocks)
	if reason := h.bypass(); reason != "" {
		told := "; the holder is told"
		if h.req.Event == PreReceive {
			told = "; the host has noted it"
		}
		h.v.Notes = append(h.v.Notes, fmt.Sprintf("the guard was passed for %s by %q", paths(blocks), clip(reason, 80))+told)
		if err := h.recordBypass(reason, blocks); err != nil {
			h.v.Notes = append(h.v.Notes, "the bypass could not be recorded: "+err.Error())
		}
		return
	}
	switch {
	case h.v.Mode == ModeWarn:
		h.v.Notes = append(h.v.Notes, "the guard only warns here (agentmail.guard is warn)")
	case h.who.Kind == IsPerson && h.lenient():
		h.v.Notes = append(h.v.Notes, "you are taken for a person: the guard lets you pass and tells the holder (agentmail.people)")
		if h.req.Event == PrePush { // of a commit, post-commit tells once there is one
			if err := h.tellOfPush(blocks); err != nil {
				h.v.Notes = append(h.v.Notes, "the holder could not be told: "+err.Error())
			}
		}
	default:
		h.v.Stop = true
	}
	h.v.Err = h.b.conflict(h.ctx, what, h.v.Mode, blocks, h.who, h.wayOn())
	h.receiveHint()
}

// lenient reports whether people are warned instead of stopped.
func (h *hook) lenient() bool {
	people, err := h.b.setting(h.ctx, "people")
	return err == nil && people != ModeBlock
}

// record writes as the actor or, for an agent that nobody can name, as the
// person of this clone.
func (h *hook) record(fn func(w *writer, me *mail.Agent) (string, error)) error {
	h.introduce()
	who := h.who
	if who.Kind == IsUnidentified {
		who = Actor{Kind: IsPerson, Name: h.b.personName(h.ctx)}
	}
	return h.b.update(context.WithoutCancel(h.ctx), who, fn)
}

// introduce asks git for the name of a person who acts: until there is something
// to say to or of them, the commit goes by without that question.
func (h *hook) introduce() {
	if h.who.Kind == IsPerson {
		h.who.Name = h.b.personName(h.ctx)
	}
}

func (h *hook) name() string {
	switch {
	case h.who.Kind == IsUnidentified && h.who.Given != "":
		return fmt.Sprintf("%q (not registered here)", clip(h.who.Given, 40))
	case h.who.Kind == IsUnidentified:
		return "an unidentified agent"
	}
	return h.who.Name
}

func (h *hook) recordBypass(reason string, blocks []guard.Block) error {
	if h.req.Event == PreReceive {
		return h.b.audit(reason, blocks)
	}
	return h.record(func(w *writer, me *mail.Agent) (string, error) {
		return "guard: " + h.name() + " passed " + paths(blocks), h.addBypass(w, me, reason, blocks)
	})
}

// tellOfPush tells the holders that a person pushes what they hold.
func (h *hook) tellOfPush(blocks []guard.Block) error {
	return h.record(func(w *writer, me *mail.Agent) (string, error) {
		if _, err := w.directory(); err != nil {
			return "", err
		}
		subject := fmt.Sprintf("[guard] %s pushed %s", h.name(), display(blocks[0].Path))
		return "guard: " + h.name() + " pushed " + paths(blocks), h.tellHolders(w, me, subject, "The push was let through: a person is only warned.", blocks)
	})
}

// addBypass writes down why the guard was passed, and tells the holders.
func (h *hook) addBypass(w *writer, me *mail.Agent, reason string, blocks []guard.Block) error {
	if _, err := w.directory(); err != nil {
		return err
	}
	for _, part := range portions(touched(blocks)) {
		if err := w.add(&mail.Bypass{Header: w.head(me.ID), Event: h.req.Event, Reason: reason, Touched: part}); err != nil {
			return err
		}
	}
	subject := fmt.Sprintf("[guard] %s bypassed %s", h.name(), display(blocks[0].Path))
	return h.tellHolders(w, me, subject, "Reason: "+reason, blocks)
}

// bypassKnown reports whether the bypass of the commit that was just made is
// written down: pre-commit, which git does not ask for every commit, does that
// before there is a commit, so what it wrote is newer than any commit of the day.
func (h *hook) bypassKnown(w *writer, me *mail.Agent, blocks []guard.Block) (bool, error) {
	var last, before mail.Stamp
	var leases map[string]bool
	err := h.b.walk(h.ctx, w.tx.Snapshot(), "events/", recent("events", w.now.Add(-24*time.Hour)), func(_ string, r mail.Record) {
		if r.Head().By != me.ID {
			return
		}
		switch r := r.(type) {
		case *mail.Bypass:
			if r.Event != PreCommit && r.Event != PreMergeCommit {
				return // of a push, or of a commit that pre-commit was not asked about
			}
			if r.HLC.Compare(last) > 0 {
				last, leases = r.HLC, map[string]bool{}
			}
			for _, t := range r.Touched {
				leases[t.Lease] = true
			}
		case *mail.CommitSeen:
			if r.Outcome == mail.CommitBypass && r.HLC.Compare(before) > 0 {
				before = r.HLC
			}
		}
	})
	for _, bl := range blocks {
		if !leases[bl.By.ID] {
			return false, err
		}
	}
	return last.Compare(before) > 0, err
}

// tellHolders writes to each holder which of its paths were touched.
func (h *hook) tellHolders(w *writer, me *mail.Agent, subject, text string, blocks []guard.Block) error {
	for _, holder := range sortedHolders(blocks) {
		// An agent that nobody can name writes as this clone's person, who may be a
		// holder like any other.
		if holder == h.who.ID || w.dir.Agents[holder] == nil || w.dir.Deleted(holder) {
			continue
		}
		body := text + "\n\n"
		n := 0
		for _, bl := range blocks {
			if bl.By.Holder != holder {
				continue
			}
			if n++; n <= 20 {
				body += fmt.Sprintf("- `%s`, which you hold by `%s`\n", display(bl.Path), bl.By.Pattern)
			}
		}
		if n > 20 {
			body += fmt.Sprintf("- and %d more\n", n-20)
		}
		if err := w.tell(me, holder, subject, body); err != nil {
			return err
		}
	}
	return nil
}

// postCommit records a commit that touches a live reservation, the actor's own
// ones included: a push then knows whose commit it is. The holder of what was
// touched by somebody else is told, unless the bypass has done so.
func (h *hook) postCommit() error {
	held, none, err := h.b.holds(h.ctx, h.sn)
	if err != nil || none {
		return err // nothing is reserved: git need not be asked
	}
	c, err := h.b.repo.HeadCommit(h.ctx)
	if err != nil || len(c.Changed) == 0 || h.arrived(c.OID) {
		return err
	}
	h.v.Checked = len(c.Changed)
	entries, fold := entriesOf(c.Changed), h.b.ignoreCase(h.ctx)
	near, err := held.near(h.ctx, entries, fold)
	if err != nil {
		return err
	}
	all, err := guard.Check(entries, near, fold)
	if err != nil || len(all) == 0 {
		return err
	}
	if err := h.identify(); err != nil {
		return err
	}
	foreign := others(all, h.who)
	binding, _, err := h.b.split(h.ctx, foreign)
	if err != nil {
		return err
	}
	outcome := mail.CommitSlipped
	switch {
	case len(foreign) == 0:
		outcome = mail.CommitHeld
	case h.bypass() != "":
		outcome = mail.CommitBypass
	case len(binding) == 0, h.v.Mode == ModeWarn, h.who.Kind == IsPerson && h.lenient():
		outcome = mail.CommitWarned
	}
	return h.record(func(w *writer, me *mail.Agent) (string, error) {
		if _, err := w.directory(); err != nil {
			return "", err
		}
		for _, part := range portions(touched(all)) {
			if err := w.add(&mail.CommitSeen{Header: w.head(me.ID), OID: c.OID, Outcome: outcome, Touched: part}); err != nil {
				return "", err
			}
		}
		if outcome == mail.CommitBypass {
			known, err := h.bypassKnown(w, me, foreign)
			if err == nil && !known {
				err = h.addBypass(w, me, h.bypass(), foreign)
			}
			if err != nil {
				return "", err
			}
		}
		if outcome == mail.CommitSlipped || outcome == mail.CommitWarned {
			subject := fmt.Sprintf("[guard] %s committed %s", h.name(), display(foreign[0].Path))
			if err := h.tellHolders(w, me, subject, fmt.Sprintf("Commit %s (%s).", c.OID[:12], outcome), foreign); err != nil {
				return "", err
			}
		}
		return fmt.Sprintf("guard: commit %s by %s (%s)", c.OID[:12], h.name(), outcome), nil
	})
}

// arrived reports whether a merge made no commit: a fast-forward, whose HEAD is
// what was merged and somebody else's, or a squash, whose HEAD is as it was.
func (h *hook) arrived(head gitstore.OID) bool {
	if h.req.Event != PostMerge {
		return false
	}
	return len(h.req.Args) > 0 && h.req.Args[0] == "1" || h.b.getenv("GITHEAD_"+head) != ""
}
