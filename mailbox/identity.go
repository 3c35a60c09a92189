package mailbox

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/mail"
)

// ActorKind says what sort of somebody acts.
type ActorKind string

// The kinds of actor.
const (
	IsAgent        ActorKind = "agent"
	IsPerson       ActorKind = "person"
	IsUnidentified ActorKind = "unidentified" // an agent that nobody can name: it reads, the guard holds it
)

// Actor is who acts.
type Actor struct {
	Kind   ActorKind `json:"kind"`
	ID     string    `json:"id,omitempty"`
	Name   string    `json:"name"`
	Source string    `json:"source"`          // what told
	Given  string    `json:"given,omitempty"` // a name that was given but does not name an agent of this clone

	err *mail.Error // why Given is of no use
}

// mayWrite returns why the actor cannot write, or nil.
func (a Actor) mayWrite() error {
	switch {
	case a.err != nil:
		return a.err
	case a.Kind == IsUnidentified:
		e := mail.Errorf(mail.NoAgent, "nobody said which agent is acting (%s)", a.Source)
		return e.Hint("git agentmail register --program NAME --model NAME").
			Hint("git agentmail --as NAME ...").
			Hint("export AGENTMAIL_AGENT=NAME")
	}
	return nil
}

// Caller is what a door knows of who calls it.
type Caller struct {
	As        string              // named outright
	Session   string              // session key from a coding agent's hook
	Ancestors func() []Process    // the caller's process and its ancestors, nearest first
	Getenv    func(string) string // nil is the Box's own environment
	Client    bool                // a coding agent calls, by its hook or over MCP: whoever it is, no person
}

// Who finds out who is acting, in the order that `git agentmail help identity` tells; the first that
// applies counts. A name that cannot be used is not an error here: it is one
// for whatever the actor then tries to write. The guard goes on with it, as
// somebody who holds nothing.
func (b *Box) Who(ctx context.Context, c Caller) (Actor, error) {
	getenv := c.Getenv
	if getenv == nil {
		getenv = b.getenv
	}
	sn, err := b.snapshot(ctx)
	if err != nil {
		return Actor{}, err
	}
	d, err := b.directory(ctx, sn)
	if err != nil {
		return Actor{}, err
	}
	for _, n := range []struct{ name, source string }{{c.As, "--as"}, {getenv("AGENTMAIL_AGENT"), "AGENTMAIL_AGENT"}} {
		if n.name != "" {
			who := b.named(ctx, d, sn.Own(), n.name, n.source)
			if c.Client && who.Kind == IsPerson {
				who = Actor{Kind: IsUnidentified, Name: n.name, Given: n.name, Source: n.source,
					err: mail.Errorf(mail.Denied, "%q stands for a person, and a coding agent is calling", n.name).Hint("git agentmail agents")}
			}
			return who, nil
		}
	}
	// CI systems set AGENT_NAME to other things.
	if a := d.Local(getenv("AGENT_NAME"), sn.Own()); a != nil && !a.IsPerson() {
		return agentActor(d, a, "AGENT_NAME"), nil
	}
	here := b.worktreeAgent()
	if a := d.Agents[here]; a == nil || a.Deleted || a.Home.Value != sn.Own() || a.IsPerson() {
		here = "" // gone to another clone, or rubbish: it contradicts nobody
	}
	id, why := b.session(c.Session, c.Ancestors, here)
	if why != "" {
		return Actor{Kind: IsUnidentified, Source: why}, nil
	}
	if id != "" {
		if a := d.Agents[id]; a != nil && !a.Deleted && a.Home.Value == sn.Own() {
			return agentActor(d, a, "agent session"), nil
		}
	}
	if here != "" {
		return agentActor(d, d.Agents[here], "this worktree"), nil
	}
	if c.Client {
		return Actor{Kind: IsUnidentified, Source: "a coding agent calls"}, nil
	}
	if marker := clientMarker(getenv, c.Ancestors); marker != "" {
		return Actor{Kind: IsUnidentified, Source: "an agent's program is at work: " + marker}, nil
	}
	return b.person(ctx, d, sn.Own(), "default"), nil
}

// As returns the actor with the given name, for a door that is told outright.
func (b *Box) As(ctx context.Context, name string) (Actor, error) {
	return b.Who(ctx, Caller{As: name})
}

func agentActor(d *mail.Directory, a *mail.Agent, source string) Actor {
	return Actor{Kind: IsAgent, ID: a.ID, Name: d.Address(a.ID), Source: source}
}

func (b *Box) named(ctx context.Context, d *mail.Directory, own, name, source string) Actor {
	if strings.EqualFold(name, mail.HumanOverseer) {
		return b.person(ctx, d, own, source)
	}
	switch a := d.Local(name, own); {
	case a == nil:
	case a.IsPerson():
		return b.person(ctx, d, own, source)
	default:
		return agentActor(d, a, source)
	}
	act := Actor{Kind: IsUnidentified, Name: name, Given: name, Source: source}
	if a := d.Lookup(name); a != nil {
		act.err = mail.Errorf(mail.Denied, "agent %q was registered by another clone, which alone may act as it", d.Address(a.ID)).
			Hint("git agentmail register --adopt %s --program NAME --model NAME", d.Address(a.ID))
		return act
	}
	act.err = unknownAgent(d, name)
	return act
}

// unknownAgent is the error for a name that nobody bears.
func unknownAgent(d *mail.Directory, name string) *mail.Error {
	if p := mail.Placeholder(name); p != "" {
		return mail.Errorf(mail.Invalid, "%q is a placeholder (%s), not the name of an agent", name, p).Typed("CONFIGURATION_ERROR").
			With("detected_placeholder", p).With("fix_hint", "replace it by a name from git agentmail agents").Hint("git agentmail agents")
	}
	e := mail.Errorf(mail.NotFound, "no agent named %q: not found", name)
	near := mail.Nearest(name, d.Names())
	if len(near) > 0 {
		e.With("suggestions", near)
		e.Hint("did you mean %s: git agentmail whois %s", strings.Join(near[:min(3, len(near))], ", "), shellQuote(near[0]))
	}
	e.Hint("see who is here: git agentmail agents")
	if all := d.Names(); len(all) > 0 {
		e.With("available_agents", all[:min(len(all), 10)])
	}
	if m, wrong := mail.NameMistake(name); wrong {
		e.Typed(m.Type).With("mistake", "it looks like "+m.Why)
	}
	return e
}

func (b *Box) person(ctx context.Context, d *mail.Directory, own, source string) Actor {
	act := Actor{Kind: IsPerson, Name: mail.HumanOverseer, Source: source}
	if !b.opt.InHook { // a hook asks git for it only once it is needed
		act.Name = b.personName(ctx)
	}
	if a := personAgent(d, own); a != nil {
		act.ID = a.ID
	}
	return act
}

// personName is the user's name as git knows it.
func (b *Box) personName(ctx context.Context) string {
	v, _ := b.repo.Get(ctx, "user.name")
	return cmp.Or(strings.ToValidUTF8(oneLine(v.Value), "?"), mail.HumanOverseer)
}

// worktreeFile holds the id of the worktree's own agent, written by
// `register --here`.
func (b *Box) worktreeFile() string { return filepath.Join(b.repo.GitDir, gitstore.AgentFile) }

func (b *Box) worktreeAgent() string { return readAgentFile(b.worktreeFile()) }

func readAgentFile(name string) string {
	data, err := os.ReadFile(name)
	if err != nil {
		return ""
	}
	id, _, _ := strings.Cut(string(data), " ")
	return strings.TrimSpace(id)
}

func (b *Box) setWorktreeAgent(a *mail.Agent) error {
	err := os.WriteFile(b.worktreeFile(), []byte(a.ID+" "+a.Name.Value+"\n"), 0o666)
	if errors.Is(err, fs.ErrPermission) {
		return mail.Errorf(mail.Denied, "cannot write %q: %w", b.worktreeFile(), err)
	}
	return err
}

// markers are the variables that coding agents set for what they start.
var markers = []string{"CLAUDECODE", "AI_AGENT", "GEMINI_CLI", "OPENCODE", "COPILOT_AGENT_SESSION_ID", "CODEX_SANDBOX", "CODEX_THREAD_ID"}

// clientMarker returns what shows that a coding agent is at work, or "".
func clientMarker(getenv func(string) string, ancestors func() []Process) string {
	for _, m := range markers {
		if getenv(m) != "" {
			return m + " is set"
		}
	}
	if ancestors != nil {
		for _, p := range ancestors() {
			if agentClients[p.Name] {
				return p.Name + " is running this"
			}
		}
	}
	return ""
}
