package mailbox

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/hooks/githook"
	"github.com/git-agentmail/git-agentmail/mail"
)

const initManifest = "init.json"

// manifest is agentmail/manifest/init.json: what init was asked for.
type manifest struct {
	V     int  `json:"v"`
	Hooks bool `json:"hooks"`
}

func (b *Box) manifest() (manifest, bool) {
	data, err := b.store.Manifest(initManifest)
	var m manifest
	return m, err == nil && data != nil && json.Unmarshal(data, &m) == nil
}

// site asks git where hooks lie from this worktree.
func (b *Box) site(ctx context.Context) (githook.Site, error) {
	s := githook.Site{CommonDir: b.repo.CommonDir, TopLevel: b.repo.TopLevel, Bare: b.repo.Bare,
		HooksDir: filepath.Join(b.repo.CommonDir, "hooks")}
	var err error
	if s.Strict, err = b.strict(ctx); err != nil {
		return s, err
	}
	if _, err := b.repo.Config(ctx); err != nil {
		return s, asMail(err)
	}
	if s.Config, err = b.repo.ConfigHooks(ctx, githook.ConfigPrefix); err != nil {
		return s, asMail(err)
	}
	if len(s.Config) > 0 {
		if v, err := gitstore.GitVersion(ctx); err == nil {
			s.RunsConfig = gitstore.AtLeast(v, githook.ConfigSince)
		}
	}
	v, set := b.repo.Get(ctx, "core.hookspath")
	if !set {
		return s, nil
	}
	s.HooksPath, s.Scope, s.Origin = v.Value, v.Scope, v.Origin
	dir, err := b.repo.HooksDir(ctx)
	if err != nil && v.Value == "" {
		dir = "" // git runs no hooks at all then
	} else if err != nil {
		return s, asMail(err)
	}
	s.HooksDir = dir
	return s, nil
}

// Init sets the repository up: a directory of ours in the git directory, and the
// hooks. It writes nothing elsewhere. Doing it again changes nothing.
func (b *Box) Init(ctx context.Context, r InitRequest) (SetupResult, error) {
	out := SetupResult{Changes: []Change{}, DryRun: r.DryRun}
	if v, err := gitstore.GitVersion(ctx); err == nil && !gitstore.AtLeast(v, gitstore.MinGit) {
		return out, mail.Errorf(mail.NoRepo, "git %s is too old, %s or newer is needed", v, gitstore.MinGit)
	}
	path := filepath.Join(b.repo.CommonDir, "agentmail", "manifest", initManifest)
	m, done := b.manifest()
	action := "create"
	if done {
		action = "keep"
	}
	out.Changes = append(out.Changes, Change{action, path, "marks this repository as set up; mail will lie on refs/agentmail/log/"})
	if r.Remote != "" {
		names, err := b.repo.RemoteNames(ctx)
		if err != nil {
			return out, asMail(err)
		}
		if r.Remote, err = b.remote(r.Remote, names); err != nil {
			return out, err
		}
		file, known := b.store.RemoteFile(r.Remote)
		out.Changes = append(out.Changes, Change{map[bool]string{true: "keep", false: "create"}[known], file, "mail is exchanged with " + r.Remote + " by sync"})
	}
	var hooks SetupResult
	var refused error
	if !r.NoHooks {
		hooks, refused = b.HooksInstall(ctx, true, r.Binary)
	}
	if !r.DryRun {
		data, err := json.Marshal(manifest{1, m.Hooks || !r.NoHooks})
		if err != nil {
			return out, err
		}
		if !done || !m.Hooks && !r.NoHooks {
			if err := b.store.SetUp(initManifest, append(data, '\n')); err != nil {
				return out, asMail(err)
			}
		}
		if r.Remote != "" {
			if err := b.store.AddRemote(r.Remote); err != nil {
				return out, asMail(err)
			}
		}
		if !r.NoHooks && refused == nil {
			hooks, refused = b.HooksInstall(ctx, false, r.Binary)
		}
	}
	out.Changes = append(out.Changes, hooks.Changes...)
	return out, refused
}

func changes(list []githook.Change) []Change {
	out := []Change{}
	for _, c := range list {
		note := c.Note
		if c.Hint != "" {
			note = strings.TrimPrefix(note+"; "+c.Hint, "; ")
		}
		out = append(out, Change{string(c.Action), c.File, note})
	}
	return out
}

// HooksInstall puts the git hooks in, or with dryRun says what it would do.
// binary is the path that hooks fall back to when PATH does not lead to us.
func (b *Box) HooksInstall(ctx context.Context, dryRun bool, binary string) (SetupResult, error) {
	s, err := b.site(ctx)
	if err != nil {
		return SetupResult{Changes: []Change{}, DryRun: dryRun}, err
	}
	if v, err := gitstore.GitVersion(ctx); err == nil {
		s.RunsConfig = gitstore.AtLeast(v, githook.ConfigSince)
	}
	out := SetupResult{Changes: []Change{}, DryRun: dryRun}
	if out.Changes, err = b.configHooks(ctx, s, dryRun, binary); err != nil {
		return out, err
	}
	do := githook.Install
	if dryRun {
		do = githook.Plan
	}
	list, err := do(s, githook.Options{Binary: binary, Mode: b.repo.SharedMode})
	if me := mail.AsError(err); err != nil && len(out.Changes) > 0 && me.Code == mail.Denied {
		// The directory is not ours to write to. git runs the hooks all the same.
		out.Changes, err = append(out.Changes, Change{string(githook.Refuse), s.HooksDir, me.Message}), nil
	}
	out.Changes = append(out.Changes, changes(list)...)
	if err == nil && !dryRun {
		err = b.wantHooks(true)
	}
	return out, err
}

// wantHooks notes, where the repository is set up, whether hooks are to be there:
// that makes their absence worth a word.
func (b *Box) wantHooks(want bool) error {
	if m, done := b.manifest(); !done || m.Hooks == want {
		return nil
	}
	data, err := json.Marshal(manifest{1, want})
	if err != nil {
		return err
	}
	return asMail(b.store.SetUp(initManifest, append(data, '\n')))
}

// configHooks puts our hooks into git's configuration, or says that it would: they
// stay when core.hooksPath moves or a manager writes its hooks anew. A git that is too
// old for them gets none. The blocks are put in besides, for an editor may bring an
// older git.
func (b *Box) configHooks(ctx context.Context, s githook.Site, dryRun bool, binary string) (list []Change, err error) {
	want := githook.ConfigHooks(s, binary)
	if !s.RunsConfig || len(want) == 0 {
		return nil, nil
	}
	file, whole := b.repo.ConfigFile()
	if !whole {
		return []Change{{"refuse", file, "does not end in a newline: git could not take our hooks out of it again byte for byte"}}, nil
	}
	for _, h := range want {
		c := Change{"keep", file, "hook." + h.Name}
		switch old, there := s.Config[h.Event]; {
		case !there && b.repo.HasConfigHook(h.Name):
			c.Note += "; it is switched off there"
			list = append(list, c)
			continue
		case !there:
			c.Action = string(githook.Create)
		case old != h.Command:
			c.Action = string(githook.Replace)
		}
		if !dryRun && c.Action != "keep" {
			err = b.repo.SetConfigHook(ctx, h.Name, h.Event, h.Command)
		}
		if err != nil {
			return list, asMail(err)
		}
		list = append(list, c)
	}
	return list, nil
}

func (b *Box) configHooksOut(ctx context.Context, dryRun bool) (list []Change, err error) {
	file, _ := b.repo.ConfigFile()
	for _, event := range githook.EveryEvent() {
		name := githook.ConfigPrefix + event
		if !b.repo.HasConfigHook(name) {
			continue
		}
		if !dryRun {
			err = b.repo.RemoveConfigHook(ctx, name)
		}
		if err != nil {
			return list, asMail(err)
		}
		list = append(list, Change{string(githook.Remove), file, "hook." + name})
	}
	return list, nil
}

// HooksUninstall takes the git hooks out again, byte for byte.
func (b *Box) HooksUninstall(ctx context.Context, dryRun bool) (SetupResult, error) {
	s, err := b.site(ctx)
	if err != nil {
		return SetupResult{Changes: []Change{}, DryRun: dryRun}, err
	}
	do := githook.Uninstall
	if dryRun {
		do = githook.PlanUninstall
	}
	out := SetupResult{DryRun: dryRun}
	if out.Changes, err = b.configHooksOut(ctx, dryRun); err != nil {
		return out, err
	}
	list, err := do(s)
	out.Changes = append(out.Changes, changes(list)...)
	if err == nil && !dryRun {
		err = b.wantHooks(false)
	}
	return out, err
}

// WorkTrees returns the work trees of the repository, the one that was opened first,
// and the git directory that they share. A bare repository may have none.
func (b *Box) WorkTrees(ctx context.Context) (list []string, common string, err error) {
	trees, err := b.repo.Worktrees(ctx)
	if err != nil {
		return nil, "", asMail(err)
	}
	if b.repo.TopLevel != "" {
		list = append(list, b.repo.TopLevel)
	}
	for _, w := range trees {
		if !w.Bare && evalSymlinks(w.Path) != evalSymlinks(b.repo.TopLevel) {
			list = append(list, w.Path)
		}
	}
	return list, b.repo.CommonDir, nil
}

// HooksStatus reports whether git would run the guard from this worktree.
func (b *Box) HooksStatus(ctx context.Context) (GuardState, error) {
	mode, err := b.mode(ctx)
	if err != nil {
		return GuardState{}, err
	}
	s, err := b.site(ctx)
	if err != nil {
		return GuardState{}, err
	}
	r := githook.Status(s)
	g := GuardState{Mode: mode, Active: r.Active && mode != ModeOff, Cause: r.Cause, Hooks: []HookState{}}
	if mode == ModeOff {
		g.Cause = "agentmail.guard is off in this repository's configuration"
	}
	for _, e := range r.Events {
		g.Hooks = append(g.Hooks, HookState{e.Event, string(e.State), e.File, e.Note})
	}
	g.Layers = layers(s)
	return g, nil
}

// layers tells what would ask the guard without the others.
func layers(s githook.Site) []Layer {
	inFiles := s
	inFiles.RunsConfig = false
	files, config, strict := "active", "active", "active"
	if r := githook.Status(inFiles); !r.Active {
		files = r.Cause
	}
	if s.Bare {
		return []Layer{{"hook files", files}}
	}
	for _, event := range s.Events() {
		if s.InConfig(event) {
			continue
		}
		config = "none of ours, or switched off"
		if !s.RunsConfig {
			config = "none: git " + githook.ConfigSince + " and newer runs them"
		}
	}
	if !s.Strict {
		strict = "off: --no-verify, cherry-pick and rebase are told and asked about at the push (agentmail.strict)"
	}
	return []Layer{{"hook files", files}, {"git configuration", config}, {"strict mode", strict}}
}

// GuardNotice returns one line if this repository's hooks were put in but git
// would not run them from this worktree, else "".
func (b *Box) GuardNotice(ctx context.Context) string {
	if m, ok := b.manifest(); !ok || !m.Hooks {
		return ""
	}
	g, err := b.HooksStatus(ctx)
	if err != nil || g.Active || g.Mode == ModeOff {
		return ""
	}
	return "the guard is not active in this worktree: " + g.Cause + " (git agentmail hooks status)"
}

// Uninstall is the inverse of Init and of all that came after it: hooks, refs,
// objects, files. With KeepMail the mail stays.
func (b *Box) Uninstall(ctx context.Context, r UninstallRequest) (SetupResult, error) {
	out := SetupResult{Changes: []Change{}, DryRun: r.DryRun}
	list, err := b.store.Footprint(ctx, r.KeepMail)
	if err != nil {
		return out, asMail(err)
	}
	hooks, err := b.HooksUninstall(ctx, r.DryRun)
	out.Changes = append(out.Changes, hooks.Changes...)
	if err != nil {
		return out, err
	}
	for _, p := range list {
		out.Changes = append(out.Changes, Change{Action: "remove", Path: p})
	}
	if r.DryRun {
		return out, nil
	}
	b.mu.Lock()
	b.live = live{}
	b.mu.Unlock()
	return out, asMail(b.store.Purge(ctx, r.KeepMail))
}

// UnpushedSummary says in one line what an uninstall that does not keep the mail
// destroys; "" if there is nothing.
func (b *Box) UnpushedSummary(ctx context.Context) (string, error) {
	sn, err := b.snapshot(ctx)
	if err != nil || sn.Version() == "" {
		return "", err
	}
	files, err := sn.List(ctx, "mail/", nil)
	if err != nil {
		return "", asMail(err)
	}
	d, err := b.directory(ctx, sn)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s and %s, which no remote has", plural(len(files), "message"), plural(len(d.Agents), "agent")), nil
}
