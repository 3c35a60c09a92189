package mailbox

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/mail"
)

// Mail to another project is stored there, from an agent of the sender's name, and by the
// contact rules that hold there. Whoever answers it answers that agent.

// Send is [Box.Send] for recipients in several projects: project:KEY#Name and Name@KEY are
// agents of another one, which a slug, an id or a path names. A bare name that is unknown
// here but linked with the sender in one other project goes there. Every project's part is
// a delivery of its own; what could not be delivered there is told in the warnings, unless
// that is all.
func (p *Projects) Send(ctx context.Context, b *Box, who Actor, d Draft) (SendResult, error) {
	whole := d
	if _, err := whole.check(); err != nil {
		return SendResult{}, err
	}
	if err := who.mayWrite(); err != nil {
		return SendResult{}, err
	}
	here, abroad, err := p.route(ctx, b, d)
	if err != nil {
		return SendResult{}, err
	}
	if len(abroad) > 0 {
		// Who sends, and which files, is of this project: in another one the same token
		// would be wrong, and the same path another file.
		given, err := b.vouched(who, d)
		if err != nil {
			return SendResult{}, err
		}
		for _, part := range abroad {
			part.draft.Attach, part.draft.Paths, part.draft.SenderToken = given, nil, ""
		}
		here.Attach, here.Paths = given, nil
	}
	out := SendResult{Deliveries: []Delivery{}, VerifiedSender: d.SenderToken != ""}
	if len(abroad) == 0 || d.Broadcast || len(here.To)+len(here.CC)+len(here.BCC) > 0 {
		out, err = b.Send(ctx, who, here)
		if unknown := unknownHere(err); len(unknown) > 0 {
			if linked := p.linked(ctx, b, who, unknown); len(linked) > 0 {
				for _, list := range []*[]string{&d.To, &d.CC, &d.BCC} {
					*list = slices.Clone(*list)
					for i, name := range *list {
						(*list)[i] = cmp.Or(linked[strings.TrimSpace(name)], name)
					}
				}
				return p.Send(ctx, b, who, d)
			}
		}
		if err != nil {
			return SendResult{}, err
		}
	}
	var first error
	for _, part := range abroad {
		r, err := p.sendTo(ctx, b, who, part)
		if err != nil {
			if first == nil {
				first = err
			}
			out.Warnings = append(out.Warnings, fmt.Sprintf("nothing was delivered to %s in %s: %v",
				briefList(slices.Concat(part.draft.To, part.draft.CC, part.draft.BCC)), part.project.HumanKey, err))
			continue
		}
		out.Deliveries = append(out.Deliveries, r.Deliveries...)
		out.Warnings = append(out.Warnings, r.Warnings...)
	}
	if len(out.Deliveries) == 0 && first != nil {
		return SendResult{}, first
	}
	out.Count, out.Attachments = len(out.Deliveries), nil
	if out.Count == 1 {
		out.Attachments = out.Deliveries[0].Payload.Attachments
	}
	return out, nil
}

// partAbroad is what of a message goes to one other project.
type partAbroad struct {
	project Project
	path    string // by which it is opened
	draft   Draft
}

// route splits the recipients of a draft by project. One whom nobody knows stays with those
// of this project, where the error about it is made, before anything is sent.
func (p *Projects) route(ctx context.Context, b *Box, d Draft) (here Draft, abroad []*partAbroad, err error) {
	here = d
	for _, l := range []struct {
		from []string
		here *[]string
		part func(*Draft) *[]string
	}{
		{d.To, &here.To, func(d *Draft) *[]string { return &d.To }},
		{d.CC, &here.CC, func(d *Draft) *[]string { return &d.CC }},
		{d.BCC, &here.BCC, func(d *Draft) *[]string { return &d.BCC }},
	} {
		*l.here = nil
		for _, name := range l.from {
			key, agent, ok := foreign(strings.TrimSpace(name))
			if !ok || key == "" || agent == "" {
				*l.here = append(*l.here, name)
				continue
			}
			project, path, known, err := p.lookAbroad(ctx, key, agent)
			switch {
			case err != nil:
				return here, nil, err
			case project.ID == b.Project().ID:
				*l.here = append(*l.here, agent)
				continue
			case !known:
				*l.here = append(*l.here, name)
				continue
			}
			i := slices.IndexFunc(abroad, func(a *partAbroad) bool { return a.project.ID == project.ID })
			if i < 0 {
				i = len(abroad)
				part := &partAbroad{project, path, d}
				part.draft.To, part.draft.CC, part.draft.BCC, part.draft.Broadcast = nil, nil, nil, false
				abroad = append(abroad, part)
			}
			list := l.part(&abroad[i].draft)
			*list = append(*list, agent)
		}
	}
	return here, abroad, nil
}

// lookAbroad finds a project and says whether it has an agent of that name. A project that
// is not there, or not to be opened, has none: nobody learns more of it by this way.
func (p *Projects) lookAbroad(ctx context.Context, key, agent string) (project Project, path string, known bool, err error) {
	b, release, err := p.Open(ctx, key)
	if err != nil {
		if ctx.Err() != nil {
			return project, "", false, asMail(ctx.Err())
		}
		return project, "", false, nil
	}
	defer release()
	d, err := b.people(ctx)
	return b.Project(), cmp.Or(b.key, b.repo.Dir), err == nil && d.Lookup(agent) != nil, err
}

func (b *Box) people(ctx context.Context) (*mail.Directory, error) {
	sn, err := b.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	return b.directory(ctx, sn)
}

func (p *Projects) sendTo(ctx context.Context, from *Box, who Actor, part *partAbroad) (SendResult, error) {
	b, release, err := p.Open(ctx, part.path)
	if err != nil {
		return SendResult{}, err
	}
	defer release()
	visitor, err := b.visitor(ctx, from, who)
	if err != nil {
		return SendResult{}, err
	}
	home := from.Project()
	name := cmp.Or(visitor.Name, who.Name)
	part.draft.introduce = fmt.Sprintf("%s works in %s and writes to you from there.", name, home.HumanKey)
	r, err := b.Send(ctx, visitor, part.draft)
	for i := range r.Deliveries {
		m := &r.Deliveries[i].Payload
		m.FromProject, m.FromProjectSlug, m.FromAddress = home.HumanKey, home.Slug, "project:"+home.Slug+"#"+strings.SplitN(who.Name, "~", 2)[0]
	}
	return r, err
}

// Visit opens another project for somebody who acts in the project of from, and says who
// that is there: an agent of the same name, which is registered if need be.
func (p *Projects) Visit(ctx context.Context, from *Box, who Actor, key string) (*Box, Actor, func(), error) {
	if err := who.mayWrite(); err != nil {
		return nil, Actor{}, nil, err
	}
	b, release, err := p.Open(ctx, key)
	if err != nil {
		return nil, Actor{}, nil, err
	}
	if b.Project().ID == from.Project().ID {
		return b, who, release, nil
	}
	visitor, err := b.visitor(ctx, from, who)
	if err != nil {
		release()
		return nil, Actor{}, nil, err
	}
	return b, visitor, release, nil
}

// visitor returns who somebody of another project is here.
func (b *Box) visitor(ctx context.Context, from *Box, who Actor) (Actor, error) {
	if who.Kind == IsPerson {
		return Actor{Kind: IsPerson, Name: who.Name, Source: who.Source}, nil
	}
	d, err := from.people(ctx)
	if err != nil {
		return Actor{}, err
	}
	home := d.Agents[who.ID]
	if home == nil {
		return Actor{}, mail.Errorf(mail.NotFound, "agent %q not found", who.Name).Hint("git agentmail agents")
	}
	name := home.Name.Value
	find := func(d *mail.Directory, own string) *mail.Agent {
		if a := d.Local(name, own); a != nil && !a.IsPerson() {
			return a
		}
		return nil
	}
	sn, err := b.snapshot(ctx)
	if err != nil {
		return Actor{}, err
	}
	if d, err = b.directory(ctx, sn); err != nil {
		return Actor{}, err
	}
	if a := find(d, sn.Own()); a != nil { // mostly
		return agentActor(d, a, "another project"), nil
	}
	var out Actor
	err = b.transact(ctx, func(w *writer) (string, string, error) {
		d, err := w.directory()
		if err != nil {
			return "", "", err
		}
		own := w.tx.Replica()
		if a := find(d, own); a != nil {
			out = agentActor(d, a, "another project")
			return "", "", nil
		}
		c := &mail.AgentChange{Agent: w.newAgentID(d), Name: &name, Home: &own, Program: &home.Program.Value, Model: &home.Model.Value}
		task := "works in " + from.Project().HumanKey
		c.Header, c.Task = w.head(c.Agent), &task
		if err := w.add(c); err != nil {
			return "", "", err
		}
		out = agentActor(w.dir, w.dir.Agents[c.Agent], "another project")
		return "agent: register " + name + ", which " + clip(task, 80), name, nil
	})
	return out, err
}

// unknownHere returns the bare names that a send did not find.
func unknownHere(err error) []string {
	if err == nil {
		return nil
	}
	names, _ := mail.AsError(err).Details["unknown_local"].([]string)
	return names
}

// linked finds for names the one other project in which the sender has an approved link to
// an agent that bears it, and returns their addresses there.
func (p *Projects) linked(ctx context.Context, from *Box, who Actor, names []string) map[string]string {
	found, several := map[string]string{}, map[string]bool{}
	for _, k := range p.candidates(ctx) {
		if who.Kind != IsAgent || k.ID == from.Project().ID {
			continue
		}
		repo, err := p.findAt(ctx, k.Path, gitstore.Elsewhere(p.opt.Environ))
		if err != nil {
			continue
		}
		b := newBox(ctx, repo, p.opt)
		for _, name := range names {
			if b.linkedTo(ctx, strings.SplitN(who.Name, "~", 2)[0], name) {
				several[name] = found[name] != ""
				found[name] = "project:" + k.ID + "#" + name
			}
		}
		b.Close()
	}
	for name, more := range several {
		if more {
			delete(found, name)
		}
	}
	return found
}

// linkedTo reports whether an agent of this clone has an approved link to another.
func (b *Box) linkedTo(ctx context.Context, from, to string) bool {
	sn, err := b.snapshot(ctx)
	if err != nil || sn.Own() == "" {
		return false
	}
	shared, err := b.directory(ctx, sn)
	if err != nil {
		return false
	}
	me, other := shared.Local(from, sn.Own()), shared.Lookup(to)
	if me == nil || other == nil {
		return false
	}
	d := mail.NewDirectory()
	return b.links(ctx, sn, d, me.ID, other.ID) == nil && d.Link(me.ID, other.ID).Approved(b.now())
}

// RequestContact is [Box.RequestContact] to an agent of the project that key names, "" being
// that of b. With missing, an agent that is not there is registered.
func (p *Projects) RequestContact(ctx context.Context, b *Box, who Actor, to, key, reason string, ttl time.Duration, missing *RegisterRequest) (ContactRequest, error) {
	home := b.Project().HumanKey
	if key != "" {
		there, visitor, release, err := p.Visit(ctx, b, who, key)
		if err != nil {
			return ContactRequest{}, err
		}
		defer release()
		b, who = there, visitor
	}
	if missing != nil {
		missing.Name = to
		if _, _, err := b.admit(ctx, *missing); err != nil {
			return ContactRequest{}, err
		}
	}
	r, err := b.RequestContact(ctx, who, to, reason, ttl)
	r.FromProject = home
	return r, err
}
