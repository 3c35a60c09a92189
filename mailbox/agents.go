package mailbox

import (
	"cmp"
	"context"
	"slices"
	"strings"

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

// Register creates an agent, or refreshes the one of that name. A name that no
// agent can bear is replaced by a memorable one, which the answer says: go on
// with the name in the answer.
func (b *Box) Register(ctx context.Context, r RegisterRequest) (Agent, error) {
	if p := mail.Placeholder(r.Name); p != "" {
		return Agent{}, mail.Errorf(mail.Invalid, "%q is a placeholder (%s), not a name", r.Name, p).Typed("CONFIGURATION_ERROR").
			With("detected_placeholder", p).With("fix_hint", "leave the name out to get a memorable one").
			Hint("git agentmail register --program NAME --model NAME")
	}
	if strings.TrimSpace(r.Program) == "" {
		return Agent{}, mail.Errorf(mail.Invalid, "program must not be empty: the coding agent's program, such as claude-code").Typed("EMPTY_PROGRAM").
			Hint("git agentmail register --program claude-code --model opus")
	}
	if strings.TrimSpace(r.Model) == "" {
		return Agent{}, mail.Errorf(mail.Invalid, "model must not be empty: the language model, such as opus").Typed("EMPTY_MODEL").
			Hint("git agentmail register --program claude-code --model opus")
	}
	for _, text := range []*string{&r.Program, &r.Model, &r.Task} {
		if *text = strings.ToValidUTF8(*text, "?"); len(*text) > maxProfile {
			return Agent{}, mail.Errorf(mail.Invalid, "a text of %d bytes is longer than a profile can hold, %d; nothing was registered", len(*text), maxProfile)
		}
	}
	switch r.Attachments {
	case "auto", "inline", "file":
	default:
		r.Attachments = "auto"
	}
	if r.Adopt && r.Name == "" {
		return Agent{}, mail.Errorf(mail.Invalid, "nobody named to adopt").Hint("git agentmail agents")
	}
	var out Agent
	err := b.transact(ctx, func(w *writer) (string, string, error) {
		d, err := w.directory()
		if err != nil {
			return "", "", err
		}
		own := w.tx.Replica()
		a, name, err := b.findToRegister(d, own, r)
		if err != nil {
			return "", "", err
		}
		verb := "refresh"
		c := &mail.AgentChange{Program: &r.Program, Model: &r.Model}
		switch {
		case a == nil: // new
			if name == "" {
				name = mail.NewName(b.opt.Rand, func(n string) bool { return d.Lookup(n) != nil })
			}
			c.Agent = w.newAgentID(d)
			c.Header = w.head(c.Agent)
			c.Name, c.Home, verb = &name, &own, "register"
			c.Task, c.Attachments = &r.Task, &r.Attachments
		default:
			c.Agent = a.ID
			c.Header = w.head(a.ID, a.Program.Mark, a.Model.Mark, a.Task.Mark, a.Attachments.Mark, a.Home.Mark)
			if a.Home.Value != own {
				c.Home, verb = &own, "adopt"
			}
			if r.Task != "" {
				c.Task = &r.Task
			}
			if r.Attachments != a.Attachments.Value && r.Attachments != "auto" {
				c.Attachments = &r.Attachments
			}
		}
		if err := w.add(c); err != nil {
			return "", "", err
		}
		a = w.dir.Agents[c.Agent]
		out = b.agentView(w.dir, a, own, c.At)
		if r.Name != "" && !strings.EqualFold(r.Name, a.Name.Value) && !strings.EqualFold(r.Name, out.Name) && w.dir.Lookup(r.Name) != a && !r.Adopt {
			out.RequestedName = r.Name
		}
		return "agent: " + verb + " " + a.Name.Value + " (" + r.Program + ", " + r.Model + ")", a.Name.Value, nil
	})
	if err != nil {
		return Agent{}, err
	}
	if r.Here {
		if err := b.setWorktreeAgent(&mail.Agent{ID: out.ID, Name: mail.Field{Value: out.Name}}); err != nil {
			return out, asMail(err)
		}
	}
	return out, nil
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
	if a := d.Local(r.Name, own); a != nil && !a.IsPerson() {
		return a, "", nil
	}
	if !mail.ValidName(name) {
		return nil, "", nil
	}
	if a := d.Local(name, own); a != nil && !a.IsPerson() {
		return a, "", nil
	}
	switch a := d.Lookup(name); {
	case a == nil:
	case a.IsPerson(): // called by its id
		return nil, "", nil
	default:
		return nil, "", mail.Errorf(mail.Exists, "another clone has registered an agent %q", d.Address(a.ID)).
			Hint("git agentmail register --program NAME --model NAME  # a name of your own").
			Hint("git agentmail register --adopt %s --program NAME --model NAME  # take it over", d.Address(a.ID))
	}
	return nil, name, nil
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
	active, err := v.Activities(v.ctx)
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
		log, err := b.repo.LogBy(ctx, trailerAgent, a.Name.Value, commits)
		out.RecentCommits = []Commit{}
		for _, e := range log {
			out.RecentCommits = append(out.RecentCommits, Commit{e.OID, e.Subject, TS(e.Time)})
		}
		return err
	})
	if err != nil {
		return Whois{}, err
	}
	return out, nil
}
