package gitstore

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
)

// Push is a push of the user's own refs, as for git push.
type Push struct {
	Remote   string
	Refspecs []string  // none: those that git pushes by itself
	Options  []string  // for git push, but none that is in Choice
	Choice   []string  // options that say which refs go, or force them: --tags, --force, --delete
	Env      []string  // for the hooks
	Stderr   io.Writer // nil: what is said there stands in the error
}

// args are the arguments of git push before the options that say what goes. What git pushes of
// submodules it takes from the refspecs, which are not the user's in a push under a fence: there it
// only looks whether they were pushed.
func (p Push) args(ctx context.Context, r *Repo, more ...string) []string {
	args := append([]string{"push", "--porcelain"}, more...)
	for _, key := range []string{"push.recursesubmodules", "submodule.recurse"} {
		if v, set := r.Get(ctx, key); set {
			if pushes := v.Value == "on-demand" || v.Value == "only" || v.Value == "true" && key == "submodule.recurse"; pushes {
				args = append(args, "--recurse-submodules=check")
			}
			break
		}
	}
	return append(args, p.Options...)
}

// leased reports whether a ref that is forced must be where it was last seen. A + before a
// refspec is stronger, and stands for all.
func (p Push) leased() bool {
	return slices.Contains(p.Options, "--force-with-lease") && !slices.Contains(p.Choice, "--force") &&
		!slices.ContainsFunc(p.Refspecs, func(s string) bool { return strings.HasPrefix(s, "+") })
}

// PushedRef is what a push does, or would do, with one ref, in git's own words.
type PushedRef struct {
	Flag     string // "" as it goes on, + forced, - deleted, * new, ! refused, = nothing to do
	From, To string
	Summary  string
}

// PlanPush asks git, and the remote, what a push would do.
func (r *Repo) PlanPush(ctx context.Context, p Push) ([]PushedRef, error) {
	return r.pushAsUser(ctx, p, slices.Concat(p.args(ctx, r, "--dry-run", "--no-verify"), p.Choice, []string{"--", p.Remote}, p.Refspecs))
}

// pushAsUser runs a push as if the user had typed it: with their hooks, from where they are.
func (r *Repo) pushAsUser(ctx context.Context, p Push, args []string) ([]PushedRef, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	var said bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stderr = r.Dir, slices.Concat(r.given, p.Env), p.Stderr
	if p.Stderr == nil {
		cmd.Stderr = &said
	}
	out, err := cmd.Output()
	var refs []PushedRef
	for line := range strings.Lines(string(out)) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", 3)
		if len(f) == 3 && len(f[0]) == 1 {
			from, to, _ := strings.Cut(f[1], ":")
			refs = append(refs, PushedRef{strings.TrimSpace(f[0]), from, to, f[2]})
		}
	}
	var ee *exec.ExitError
	switch {
	case err == nil:
		return refs, nil
	case ctx.Err() != nil:
		return refs, ctx.Err()
	case errors.As(err, &ee):
		return refs, &gitError{"push", ee.ExitCode(), complaint(said.String())}
	}
	return nil, startError("push", err)
}

// complaint is what git says last of an error of its own, else all that was said: hooks and the
// remote come before.
func complaint(said string) string {
	lines := strings.Split(strings.TrimSpace(said), "\n")
	for _, line := range slices.Backward(lines) {
		if strings.HasPrefix(line, "fatal: ") {
			return line
		}
	}
	return cmp.Or(strings.TrimSpace(said), "git said why above")
}

// PushFenced moves refs as PlanPush said, and the table of the remote to a new version, all
// or nothing: if the table has moved since t, none is. A refusal is no error; the refs say
// so. Whatever else it ends with, the table knows whether it was done, see Brought. With
// --force git would pass over the table's old value too, so each ref that is forced says so
// itself; but not where it is forced with a lease, over which that would pass as well.
func (s *Store) PushFenced(ctx context.Context, p Push, refs []PushedRef, t *Table, change TableChange) (done []PushedRef, moved bool, err error) {
	oid, err := s.writeTable(ctx, t, change)
	if err != nil {
		return nil, false, err
	}
	t.tried = oid
	// A push of the user's may take minutes, and what no ref needs a truncation beside it takes away.
	if _, err := s.repo.own(ctx, nil, "update-ref", hubPrefix+hubID(p.Remote)+"/"+tablePushed, oid); err != nil {
		return nil, false, gitFailure("keep the table that is pushed", err)
	}
	spec := pushSpec{to: t.ref, oid: oid, old: t.at}
	args := append(p.args(ctx, s.repo, "--atomic"), "--force-with-lease="+spec.to+":"+spec.old, "--", p.Remote)
	for _, ref := range refs {
		force := ""
		if ref.Flag == "+" && !p.leased() {
			force = "+"
		}
		if ref.Flag != "=" {
			args = append(args, force+ref.From+":"+ref.To)
		}
	}
	all, err := s.repo.pushAsUser(ctx, p, append(args, spec.refspec()))
	for _, ref := range all {
		if ref.To != t.ref {
			done = append(done, ref)
		} else if ref.Flag != "!" && err == nil {
			moved = true
		}
	}
	var ge *gitError
	if errors.As(err, &ge) && len(all) > 0 {
		err = nil // it says of each ref how it went
	}
	if moved {
		t.at, t.tip = oid, oid
		return done, true, s.sawTable(ctx, p.Remote, t, true)
	}
	return done, false, err
}

// PushURLs returns how many repositories git push writes to at a remote.
func (r *Repo) PushURLs(ctx context.Context, remote string) int {
	n := map[string]int{}
	list, _ := r.Config(ctx)
	for _, v := range list {
		n[v.Key]++
	}
	return max(1, cmp.Or(n["remote."+remote+".pushurl"], n["remote."+remote+".url"]))
}

// PushRemote returns the remote that git push means where none is named.
func (r *Repo) PushRemote(ctx context.Context) string {
	branch := r.Branch(ctx)
	for _, key := range []string{"branch." + branch + ".pushremote", "remote.pushdefault", "branch." + branch + ".remote"} {
		if v, set := r.Get(ctx, key); set && v.Value != "" && v.Value != "." {
			return v.Value
		}
	}
	if names, err := r.RemoteNames(ctx); err == nil && len(names) == 1 {
		return names[0]
	}
	return "origin"
}

// Updates says what a planned push brings, as git tells it to a pre-push hook.
func (r *Repo) Updates(ctx context.Context, refs []PushedRef) ([]RefUpdate, error) {
	var list []RefUpdate
	for _, ref := range refs {
		if ref.From == "" || ref.Flag == "=" {
			continue
		}
		out, err := r.ask(ctx, nil, "rev-parse", "--verify", "--end-of-options", ref.From)
		if err != nil {
			return nil, gitFailure("find what is pushed", err)
		}
		list = append(list, RefUpdate{LocalRef: ref.From, Local: strings.TrimSpace(string(out)), RemoteRef: ref.To, Remote: zeroOID})
	}
	return list, nil
}
