package mailbox

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/git-agentmail/git-agentmail/index"
	"github.com/git-agentmail/git-agentmail/mail"
)

// maxProfile is the greatest length of program, model and task each, in bytes.
const maxProfile = 16 << 10

// agentView shows a profile as the contract does. active is the time of its
// newest record, where that is known.
func (b *Box) agentView(d *mail.Directory, a *mail.Agent, own string, active mail.Time) Agent {
	return Agent{
		ID: a.ID, Name: d.Address(a.ID), Program: a.Program.Value, Model: a.Model.Value,
		TaskDescription: a.Task.Value, InceptionTS: ts(a.Since), LastActiveTS: ts(max(active, a.Since)),
		ProjectID: b.Project().ID, AttachmentsPolicy: cmp.Or(a.Attachments.Value, "auto"),
		ContactPolicy: a.Policy(), Local: a.Home.Value == own, Person: a.Person.Value,
	}
}

// nameMode says what becomes of a name that a caller asks for.
type nameMode string

// The modes of AGENT_NAME_ENFORCEMENT_MODE; any other word is the first.
const (
	coerceNames nameMode = "coerce"      // one that no agent can bear is replaced by a memorable one
	strictNames nameMode = "strict"      // it is an error
	noNames     nameMode = "always_auto" // every name is a generated one
)

func (b *Box) nameMode() nameMode {
	switch m := nameMode(strings.ToLower(strings.TrimSpace(b.getenv("AGENT_NAME_ENFORCEMENT_MODE")))); m {
	case strictNames, noNames:
		return m
	}
	return coerceNames
}

// Register creates an agent, or refreshes the one of that name. A name that no
// agent can bear is replaced by a memorable one (unless [Box.nameMode] is strict), which
// the answer says: go on with the name in the answer. Without a name that of the window
// counts, if the caller's is known. The token in the answer ends that of the last time.
func (b *Box) Register(ctx context.Context, r RegisterRequest) (Agent, error) {
	if err := r.check(); err != nil {
		return Agent{}, err
	}
	asked, fromWindow := r.Name, false
	if b.nameMode() == noNames && !r.Adopt {
		r.Name = ""
	}
	uuid, inWindow := windowUUID(r.Window)
	inWindow = inWindow && !r.New && !r.Adopt
	if inWindow && r.Name == "" {
		known, ok, err := b.window(uuid)
		if err != nil {
			return Agent{}, err
		}
		if ok {
			r.Name, fromWindow = known.Name, true
		}
	}
	var out Agent
	err := b.transact(ctx, func(w *writer) (string, string, error) {
		d, err := w.directory()
		if err != nil {
			return "", "", err
		}
		a, name, err := b.findToRegister(d, w.tx.Replica(), r)
		if mail.CodeOf(err) == mail.Exists && fromWindow { // another clone has taken it meanwhile
			a, name, err = nil, "", nil
		}
		if err != nil {
			return "", "", err
		}
		verb, c := w.registration(d, a, name, r)
		if err := w.add(c); err != nil {
			return "", "", err
		}
		a = w.dir.Agents[c.Agent]
		out = b.agentView(w.dir, a, w.tx.Replica(), c.At)
		if asked != "" && !strings.EqualFold(asked, a.Name.Value) && !strings.EqualFold(asked, out.Name) && w.dir.Lookup(asked) != a && !r.Adopt {
			out.RequestedName = asked
		}
		return "agent: " + verb + " " + a.Name.Value + " (" + a.Program.Value + ", " + a.Model.Value + ")", a.Name.Value, nil
	})
	if err != nil {
		return Agent{}, err
	}
	if r.Here {
		if err := b.setWorktreeAgent(&mail.Agent{ID: out.ID, Name: mail.Field{Value: out.Name}}); err != nil {
			return out, asMail(err)
		}
	}
	if out.RegistrationToken, err = b.newToken(ctx, out.ID); err != nil {
		return out, err
	}
	if inWindow {
		used, err := b.useWindow(ctx, uuid, out.Name, fromWindow && !strings.EqualFold(out.Name, r.Name))
		if err != nil {
			return out, err
		}
		out.WindowID, out.WindowName = used.UUID, used.Name
	}
	return out, nil
}

// check puts the request in order before anything is locked.
func (r *RegisterRequest) check() error {
	if p := mail.Placeholder(r.Name); p != "" {
		return mail.Errorf(mail.Invalid, "%q is a placeholder (%s), not a name", r.Name, p).Typed("CONFIGURATION_ERROR").
			With("detected_placeholder", p).With("fix_hint", "leave the name out to get a memorable one").
			Hint("git agentmail register --program NAME --model NAME")
	}
	if strings.TrimSpace(r.Program) == "" && r.ElseProgram == "" {
		return mail.Errorf(mail.Invalid, "program must not be empty: the coding agent's program, such as claude-code").Typed("EMPTY_PROGRAM").
			Hint("git agentmail register --program claude-code --model opus")
	}
	if strings.TrimSpace(r.Model) == "" && r.ElseModel == "" {
		return mail.Errorf(mail.Invalid, "model must not be empty: the language model, such as opus").Typed("EMPTY_MODEL").
			Hint("git agentmail register --program claude-code --model opus")
	}
	for _, text := range []*string{&r.Program, &r.Model, &r.Task, &r.ElseProgram, &r.ElseModel} {
		if *text = strings.ToValidUTF8(*text, "?"); len(*text) > maxProfile {
			return mail.Errorf(mail.Invalid, "a text of %d bytes is longer than a profile can hold, %d; nothing was registered", len(*text), maxProfile)
		}
	}
	switch r.Attachments {
	case "auto", "inline", "file":
	default:
		r.Attachments = "auto"
	}
	if r.Adopt && r.Name == "" {
		return mail.Errorf(mail.Invalid, "nobody named to adopt").Hint("git agentmail agents")
	}
	return nil
}

// registration makes the record that registers a new agent, if a is nil, by a name or,
// without one, by a memorable one, or that refreshes a.
func (w *writer) registration(d *mail.Directory, a *mail.Agent, name string, r RegisterRequest) (verb string, c *mail.AgentChange) {
	own := w.tx.Replica()
	c = &mail.AgentChange{Program: &r.Program, Model: &r.Model}
	for _, f := range []struct {
		given *string
		usual string
		field **string
	}{{&r.Program, r.ElseProgram, &c.Program}, {&r.Model, r.ElseModel, &c.Model}} {
		switch {
		case strings.TrimSpace(*f.given) != "":
		case a == nil:
			*f.given = f.usual
		default:
			*f.field = nil
		}
	}
	if a == nil {
		if name == "" {
			name = mail.NewName(w.b.opt.Rand, func(n string) bool { return d.Lookup(n) != nil })
		}
		c.Agent = w.newAgentID(d)
		c.Header = w.head(c.Agent)
		c.Name, c.Home = &name, &own
		c.Task, c.Attachments = &r.Task, &r.Attachments
		return "register", c
	}
	c.Agent = a.ID
	c.Header = w.head(a.ID, a.Program.Mark, a.Model.Mark, a.Task.Mark, a.Attachments.Mark, a.Home.Mark, a.ContactPolicy.Mark)
	verb = "refresh"
	if a.Home.Value != own {
		c.Home, verb = &own, "adopt"
	}
	if r.Task != "" {
		c.Task = &r.Task
	}
	if r.Attachments != a.Attachments.Value && r.Attachments != "auto" {
		c.Attachments = &r.Attachments
	}
	if before, was := strings.CutPrefix(a.Task.Value, deregistered); was { // it has come back, and takes mail again
		if c.Task == nil {
			c.Task = &before
		}
		if policy := mail.PolicyAuto; a.Policy() == mail.PolicyBlockAll {
			c.ContactPolicy = &policy
		}
	}
	return verb, c
}

// findToRegister returns the agent to refresh, or nil and the name for a new
// one ("" for a generated name).
func (b *Box) findToRegister(d *mail.Directory, own string, r RegisterRequest) (*mail.Agent, string, error) {
	if r.Adopt {
		a := d.Lookup(r.Name)
		if a == nil {
			return nil, "", unknownAgent(d, r.Name)
		}
		if a.IsPerson() {
			return nil, "", mail.Errorf(mail.Denied, "%q stands for a person and cannot be adopted", r.Name)
		}
		return a, "", nil
	}
	name := mail.CleanName(r.Name)
	if a := d.Local(r.Name, own); a != nil && !a.IsPerson() && !r.New {
		return a, "", nil
	}
	if !mail.ValidName(name) {
		return nil, "", b.badName(r.Name)
	}
	if a := d.Local(name, own); a != nil && !a.IsPerson() && !r.New {
		return a, "", nil
	}
	switch a := d.Lookup(name); {
	case a == nil:
	case a.IsPerson(): // called by its id
		return nil, "", b.badName(r.Name)
	case r.New && b.nameMode() == strictNames:
		return nil, "", mail.Errorf(mail.Exists, "the name %q is taken; nothing was registered", d.Address(a.ID)).Typed("INVALID_ARGUMENT").
			Hint("git agentmail register --new --program NAME --model NAME  # a name of your own")
	case r.New:
		return nil, "", nil
	case r.Reclaim:
		return a, "", nil
	default:
		return nil, "", mail.Errorf(mail.Exists, "another clone has registered an agent %q", d.Address(a.ID)).
			Hint("git agentmail register --program NAME --model NAME  # a name of your own").
			Hint("git agentmail register --adopt %s --program NAME --model NAME  # take it over", d.Address(a.ID))
	}
	return nil, name, nil
}

// badName is what a name that no agent can bear is, where names are not replaced.
func (b *Box) badName(name string) error {
	if b.nameMode() != strictNames || name == "" {
		return nil
	}
	e := mail.Errorf(mail.Invalid, "%q cannot be the name of an agent; nothing was registered", name).Typed("INVALID_AGENT_NAME").
		Hint("git agentmail register --program NAME --model NAME  # a name of your own")
	if m, wrong := mail.NameMistake(name); wrong {
		e.Typed(m.Type).With("mistake", "it looks like "+m.Why)
	}
	return e
}

// deregistered stands before the task of an agent that has finished.
const deregistered = "[deregistered] "

// Deregister marks an agent of this clone as finished: it takes no more mail, and its
// task says so. Its mail stays. A token, where one is given, must be its newest. By
// registering again it comes back.
func (b *Box) Deregister(ctx context.Context, who Actor, name, token string) (Deregistered, error) {
	out := Deregistered{Status: "deregistered", ProjectKey: b.Project().HumanKey}
	err := b.update(ctx, who, func(w *writer, me *mail.Agent) (string, error) {
		a, err := w.ending(who, name)
		if err != nil {
			return "", err
		}
		out.AgentName = w.dir.Address(a.ID)
		if token != "" {
			if err := b.CheckToken(agentActor(w.dir, a, ""), token); err != nil {
				return "", err
			}
		}
		if strings.HasPrefix(a.Task.Value, deregistered) && a.Policy() == mail.PolicyBlockAll {
			return "", nil
		}
		policy, task := mail.PolicyBlockAll, deregistered+strings.TrimPrefix(a.Task.Value, deregistered)
		c := &mail.AgentChange{Header: w.head(me.ID, a.ContactPolicy.Mark, a.Task.Mark), Agent: a.ID, ContactPolicy: &policy, Task: &task}
		return "agent: " + me.Name.Value + " deregisters " + out.AgentName, w.add(c)
	})
	if err != nil {
		return Deregistered{}, err
	}
	return out, nil
}

// ending returns the agent of a name, if who may end it: a person, or an agent of the
// clone that registered it.
func (w *writer) ending(who Actor, name string) (*mail.Agent, error) {
	d, err := w.directory()
	if err != nil {
		return nil, err
	}
	a := d.Local(name, w.tx.Replica())
	if a == nil {
		a = d.Lookup(name)
	}
	switch {
	case a == nil:
		return nil, unknownAgent(d, name)
	case a.IsPerson():
		return nil, mail.Errorf(mail.Denied, "%q stands for a person", d.Address(a.ID)).Hint("git agentmail agents")
	case a.Home.Value != w.tx.Replica() && who.Kind != IsPerson:
		return nil, mail.Errorf(mail.Denied, "agent %q was registered by another clone, where it may be ended, or by a person", d.Address(a.ID)).
			Hint("git agentmail whois %s", shellQuote(d.Address(a.ID)))
	}
	return a, nil
}

// Agents lists everybody in order of registration, with unread mail and live
// reservations; of too many those that registered last. p.Before is a name.
func (b *Box) Agents(ctx context.Context, p Page) ([]AgentRow, error) {
	rows := []AgentRow{}
	n, err := p.long().limit()
	if err != nil {
		return rows, err
	}
	err = b.indexed(ctx, func(v *view) (err error) {
		list := v.d.List()
		if p.Before != "" {
			a := v.d.Lookup(p.Before)
			if a == nil {
				return unknownAgent(v.d, p.Before)
			}
			list = list[:slices.Index(list, a)]
		}
		rows, err = v.agentRows(list[max(0, len(list)-n):])
		return err
	})
	return rows, err
}

func (v *view) agentRows(list []*mail.Agent) ([]AgentRow, error) {
	active, err := map[string]index.Activity{}, error(nil)
	if len(list) == 1 {
		active[list[0].ID], err = v.Activity(v.ctx, list[0].ID)
	} else {
		active, err = v.activities()
	}
	if err != nil {
		return nil, err
	}
	leases, err := v.b.knownLeases(v.ctx, v.sn)
	if err != nil {
		return nil, err
	}
	held := map[string]int{}
	for _, l := range leases {
		if l.Live(v.b.now(), v.sn.Own()) {
			held[l.Holder]++
		}
	}
	rows := []AgentRow{}
	for _, a := range list {
		rows = append(rows, AgentRow{v.b.agentView(v.d, a, v.sn.Own(), active[a.ID].Last), active[a.ID].Unread, held[a.ID]})
	}
	return rows, nil
}

func unique(list []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(list)))
}

// Whois returns one profile with the newest commits of the mailbox that are
// attributed to the agent.
func (b *Box) Whois(ctx context.Context, name string, commits int) (Whois, error) {
	out := Whois{RecentCommits: []Commit{}}
	err := b.indexed(ctx, func(v *view) error {
		a := v.d.Lookup(name)
		if a == nil {
			return unknownAgent(v.d, name)
		}
		rows, err := v.agentRows([]*mail.Agent{a})
		if err != nil {
			return err
		}
		if out.AgentRow = rows[0]; commits <= 0 {
			return nil
		}
		hidden, err := v.Hidden(ctx, a.ID)
		if err != nil {
			return err
		}
		again := false // somebody who was deleted had the name before
		for _, o := range v.d.Agents {
			again = again || o.Deleted && strings.EqualFold(o.Name.Value, a.Name.Value)
		}
		log, err := b.repo.LogBy(ctx, trailerAgent, a.Name.Value, commits)
		out.RecentCommits = []Commit{}
		for _, e := range log {
			if again && e.Time.Unix() < a.Since.Time().Unix() {
				continue
			}
			if (hidden || again) && strings.HasPrefix(e.Subject, "mail: ") { // which of them, the commit does not say
				e.Subject, _, _ = strings.Cut(e.Subject, " | ")
			}
			out.RecentCommits = append(out.RecentCommits, Commit{e.OID, e.Subject, TS(e.Time)})
		}
		return err
	})
	if err != nil {
		return Whois{}, err
	}
	return out, nil
}

// maxOthers bounds a list of names.
const maxOthers = 50

// Others returns the names of the agents beside the actor that were active within 30 days.
func (b *Box) Others(ctx context.Context, who Actor) ([]string, error) {
	names := []string{}
	ids, err := b.active(ctx)
	if err != nil {
		return names, err
	}
	sn, err := b.snapshot(ctx)
	if err != nil {
		return names, err
	}
	d, err := b.directory(ctx, sn)
	for _, id := range ids {
		if err == nil && id != who.ID && d.Agents[id] != nil && len(names) < maxOthers {
			names = append(names, d.Address(id))
		}
	}
	return names, err
}
