package mailbox

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/guard"
	"github.com/git-agentmail/git-agentmail/index"
	"github.com/git-agentmail/git-agentmail/mail"
)

// The spans of contact rules.
const (
	contactAuto    = 24 * time.Hour      // mail within it keeps two agents in contact
	contactRequest = 7 * 24 * time.Hour  // how long a request is open, unless it says otherwise
	contactGrant   = 30 * 24 * time.Hour // how long an approval lasts, unless it says otherwise
	contactLeast   = time.Minute
	contactExamine = 500 // messages of a thread that are looked at
)

// company is who a sender is in contact with by mail. It is gathered before the
// transaction, for it may read all of the mailbox while nobody else waits.
type company struct {
	thread    map[string]bool // sent or received on the message's thread
	lately    map[string]bool // by mail either way within contactAuto
	handshake bool            // the sender asks for it
}

// company gathers what allow will ask for a draft. In most sends that is nothing: a
// handshake settles whatever these rules could.
func (b *Box) company(ctx context.Context, sn *gitstore.Snapshot, who Actor, d Draft) (company, error) {
	c := company{map[string]bool{}, map[string]bool{}, d.Handshake}
	mode, err := b.setting(ctx, "contacts")
	if err != nil || mode == "off" {
		return c, err
	}
	shared, err := b.directory(ctx, sn)
	if err != nil {
		return c, err
	}
	var to []*mail.Agent
	var ids []string
	for _, name := range slices.Concat(d.To, d.CC, d.BCC) {
		if a := shared.Lookup(name); a != nil {
			to, ids = append(to, a), append(ids, a.ID)
		}
	}
	links := mail.NewDirectory()
	if len(ids) > 0 {
		if err := b.links(ctx, sn, links, who.ID, ids...); err != nil {
			return c, err
		}
	}
	if mode != "strict" && !slices.ContainsFunc(to, func(a *mail.Agent) bool {
		return a.Policy() == mail.PolicyBlockAll || isBlocked(links.Link(who.ID, a.ID))
	}) {
		return c, nil
	}
	since := mail.At(b.now().Add(-contactAuto))
	if err := b.walk(ctx, sn, "mail/", recent("mail", since.Time()), func(_ string, r mail.Record) {
		m, ok := r.(*mail.Message)
		switch {
		case !ok || m.At < since:
		case m.By == who.ID:
			for _, id := range m.Recipients() {
				c.lately[id] = true
			}
		case m.RecipientKind(who.ID) != "":
			c.lately[m.By] = true
		}
	}); err != nil || d.Thread == "" {
		return c, err
	}
	err = b.indexed(ctx, func(v *view) error {
		list, err := v.Thread(ctx, d.Thread, index.Place{}, contactExamine)
		for _, m := range list {
			for _, id := range append(m.Recipients(), m.By) {
				c.thread[id] = true
			}
		}
		return err
	})
	return c, err
}

// allow applies the contact policy of each agent in to to a message that begins
// a conversation. A recipient that the rules leave
// blocked is shaken hands with at once, so that two fresh agents can talk
// (agentmail.contacts = strict ends that, unless the sender asks for it; off ends the
// rules), and is told so if introduce says what.
func (w *writer) allow(me *mail.Agent, with company, to []string, introduce string) error {
	mode, err := w.b.setting(w.ctx, "contacts")
	if err != nil {
		return err
	}
	if mode == "off" || len(to) == 0 {
		return nil
	}
	if err := w.links(me.ID, to...); err != nil {
		return err
	}
	var refuse, deny, shake []*mail.Agent
	for _, id := range unique(to) {
		to, link := w.dir.Agents[id], w.dir.Link(me.ID, id)
		if id == me.ID || with.thread[id] || to.Policy() == mail.PolicyOpen || to.Policy() != mail.PolicyBlockAll && link.Approved(w.now) {
			continue
		}
		together, err := w.together(me.ID, id)
		switch {
		case err != nil:
			return err
		case together:
		case to.Policy() == mail.PolicyBlockAll:
			refuse = append(refuse, to)
		case isBlocked(link): // a denial outweighs the mail that led to it
			deny = append(deny, to)
		case to.Policy() == mail.PolicyAuto && with.lately[id]:
		default:
			shake = append(shake, to)
		}
	}
	if len(refuse) > 0 {
		names := w.addresses(refuse)
		return mail.Errorf(mail.Denied, "%s takes no mail (contact policy block_all); nothing was sent", quoted(names)).Typed("CONTACT_BLOCKED").
			With("recipients_blocked", names).Hint("git agentmail agents")
	}
	if len(deny) > 0 {
		return denied(w.addresses(deny))
	}
	var blocked []*mail.Agent
	for _, to := range shake {
		l := w.dir.Link(me.ID, to.ID)
		if mode == "strict" && !with.handshake {
			blocked = append(blocked, to)
			continue
		}
		expires := mail.At(w.now.Add(contactGrant))
		if err := w.add(&mail.Contact{Header: w.head(me.ID, linkMark(l)), From: me.ID, To: to.ID, Status: mail.LinkApproved, Expires: &expires, Reason: "first message"}); err != nil {
			return err
		}
		if introduce != "" {
			if err := w.add(&mail.Message{Header: w.head(me.ID), FromName: me.Name.Value, To: []string{to.ID}, ToNames: []string{w.dir.Address(to.ID)},
				Subject: contactSubject(w.dir.Address(me.ID)), Importance: mail.Normal, AckRequired: true, Body: introduce}); err != nil {
				return err
			}
		}
	}
	if len(blocked) > 0 {
		names := w.addresses(blocked)
		e := mail.Errorf(mail.Denied, "%s takes mail from approved contacts only; nothing was sent", quoted(names)).Typed("CONTACT_REQUIRED").
			With("recipients_blocked", names).With("auto_contact_attempted", []string{})
		var calls []map[string]any
		for _, n := range names {
			e.Hint("git agentmail contact request %s", n)
			calls = append(calls, map[string]any{"tool": "request_contact", "arguments": map[string]any{"from_agent": me.Name.Value, "to_agent": n}})
		}
		return e.With("remedies", e.Hints).With("suggested_tool_calls", calls)
	}
	return nil
}

func contactSubject(from string) string { return "Contact request from " + from }

func denied(names []string) error {
	return mail.Errorf(mail.Denied, "%s has denied you contact; nothing was sent", quoted(names)).Typed("CONTACT_BLOCKED").
		With("recipients_blocked", names).Hint("git agentmail contact list")
}

func isBlocked(l *mail.Link) bool { return l != nil && l.Status == mail.LinkBlocked }

func linkMark(l *mail.Link) mail.Mark {
	if l == nil {
		return mail.Mark{}
	}
	return l.Mark
}

func (w *writer) addresses(list []*mail.Agent) []string {
	var names []string
	for _, a := range list {
		names = append(names, w.dir.Address(a.ID))
	}
	return names
}

// together reports whether two agents hold overlapping reservations.
func (w *writer) together(from, to string) (bool, error) {
	held, err := w.held(false)
	if err != nil {
		return false, err
	}
	var mine, theirs []*mail.LeaseState
	for _, l := range held {
		if l.Live(w.now, w.tx.Replica()) {
			switch l.Holder {
			case from:
				mine = append(mine, l)
			case to:
				theirs = append(theirs, l)
			}
		}
	}
	for _, a := range mine {
		for _, b := range theirs {
			if p, err := guard.Compile(a.Pattern); err == nil {
				if q, err := guard.Compile(b.Pattern); err == nil {
					if _, ok := p.Overlap(q); ok {
						return true, nil
					}
				}
			}
		}
	}
	return false, nil
}

// mayAsk returns the agent that is to be asked for contact, and the link to it so far.
func (w *writer) mayAsk(me *mail.Agent, to string) (target *mail.Agent, old *mail.Link, err error) {
	d, err := w.directory()
	if err != nil {
		return nil, nil, err
	}
	if target = d.Lookup(to); target == nil {
		return nil, nil, unknownAgent(d, to)
	}
	if target.ID == me.ID {
		return nil, nil, mail.Errorf(mail.Invalid, "%q cannot ask itself for contact", d.Address(me.ID))
	}
	if err := w.links(me.ID, target.ID); err != nil {
		return nil, nil, err
	}
	old = d.Link(me.ID, target.ID)
	if isBlocked(old) { // else asking again would undo the answer
		return nil, nil, denied([]string{d.Address(target.ID)})
	}
	return target, old, nil
}

// RequestContact asks another agent for leave to write to it. Unless a request
// was open already, the other one gets a message that asks for an answer.
func (b *Box) RequestContact(ctx context.Context, who Actor, to, reason string, ttl time.Duration) (ContactRequest, error) {
	if ttl == 0 {
		ttl = contactRequest
	}
	ttl = max(ttl, contactLeast)
	reason = strings.ToValidUTF8(strings.TrimSpace(reason), "?")
	var out ContactRequest
	err := b.update(ctx, who, func(w *writer, me *mail.Agent) (string, error) {
		target, old, err := w.mayAsk(me, to)
		if err != nil {
			return "", err
		}
		d := w.dir
		open := old != nil && old.Status == mail.LinkPending && (old.Expires == 0 || old.Expires > mail.At(w.now))
		expires := mail.At(w.now.Add(ttl))
		if err := w.add(&mail.Contact{Header: w.head(me.ID, linkMark(old)), From: me.ID, To: target.ID, Status: mail.LinkPending, Expires: &expires, Reason: clip(reason, 500)}); err != nil {
			return "", err
		}
		from, name := d.Address(me.ID), d.Address(target.ID)
		key := b.Project().HumanKey
		out = ContactRequest{From: from, FromProject: key, To: name, ToProject: key, Status: mail.LinkPending, ExpiresTS: ts(expires)}
		if !open {
			m := &mail.Message{Header: w.head(me.ID), FromName: me.Name.Value, To: []string{target.ID}, ToNames: []string{name},
				Subject: contactSubject(from), Importance: mail.Normal, AckRequired: true,
				Body: cmp.Or(reason, from+" asks for leave to write to you.")}
			if err := w.add(m); err != nil {
				return "", err
			}
			out.Notification = &SentBrief{m.ID, m.Subject}
		}
		return fmt.Sprintf("contact: %s asks %s", from, name), nil
	})
	return out, err
}

// RespondContact answers another agent's request: approve, or deny for good.
func (b *Box) RespondContact(ctx context.Context, who Actor, from string, accept bool, ttl time.Duration) (ContactResponse, error) {
	if ttl == 0 {
		ttl = contactGrant
	}
	ttl = max(ttl, contactLeast)
	var out ContactResponse
	err := b.update(ctx, who, func(w *writer, me *mail.Agent) (string, error) {
		d, err := w.directory()
		if err != nil {
			return "", err
		}
		asker := d.Lookup(from)
		if asker == nil {
			return "", unknownAgent(d, from)
		}
		if err := w.links(asker.ID, me.ID); err != nil {
			return "", err
		}
		old := d.Link(asker.ID, me.ID)
		out = ContactResponse{From: d.Address(asker.ID), To: d.Address(me.ID), Approved: accept}
		if !accept && old == nil {
			return "", nil // nothing to deny
		}
		c := &mail.Contact{Header: w.head(me.ID, linkMark(old)), From: asker.ID, To: me.ID, Status: mail.LinkBlocked}
		verb := "denies"
		if accept {
			expires := mail.At(w.now.Add(ttl))
			c.Status, c.Expires, verb = mail.LinkApproved, &expires, "approves"
			out.ExpiresTS = ts(expires)
		}
		out.Updated = 1
		return fmt.Sprintf("contact: %s %s %s", out.To, verb, out.From), w.add(c)
	})
	return out, err
}

// Contacts lists the actor's outgoing links, the one that changed last first. p.Before is
// the name of an agent.
func (b *Box) Contacts(ctx context.Context, who Actor, p Page) ([]ContactRow, error) {
	if err := who.mayRead(); err != nil {
		return nil, err
	}
	n, err := p.long().limit()
	if err != nil {
		return nil, err
	}
	sn, err := b.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	shared, err := b.directory(ctx, sn)
	if err != nil {
		return nil, err
	}
	d, me := cloneDirectory(shared), who.ID
	if err := b.links(ctx, sn, d, me); err != nil {
		return nil, err
	}
	var list []*mail.Link
	for _, l := range d.Links {
		if l.From == me {
			list = append(list, l)
		}
	}
	slices.SortFunc(list, func(a, b *mail.Link) int {
		return cmp.Or(b.Mark.Compare(a.Mark), strings.Compare(a.To, b.To))
	})
	if p.Before != "" {
		a := d.Lookup(p.Before)
		if a == nil {
			return nil, unknownAgent(d, p.Before)
		}
		at := slices.IndexFunc(list, func(l *mail.Link) bool { return l.To == a.ID })
		if at < 0 {
			return nil, mail.Errorf(mail.NotFound, "%q is no contact of %s: not found in its list", p.Before, who.Name).Hint("git agentmail contact list")
		}
		list = list[at+1:]
	}
	rows := []ContactRow{}
	for _, l := range list[:min(n, len(list))] {
		rows = append(rows, ContactRow{d.Address(l.To), b.Project().HumanKey, l.Status, l.Reason, ts(l.Updated), ts(l.Expires)})
	}
	return rows, nil
}

// SetContactPolicy says who may write to the actor: open, auto, contacts_only or
// block_all; anything else counts as auto, which the answer shows.
func (b *Box) SetContactPolicy(ctx context.Context, who Actor, policy string) (PolicyResult, error) {
	policy = strings.ToLower(strings.TrimSpace(policy))
	switch policy {
	case mail.PolicyOpen, mail.PolicyAuto, mail.PolicyContactsOnly, mail.PolicyBlockAll:
	default:
		policy = mail.PolicyAuto
	}
	var out PolicyResult
	err := b.update(ctx, who, func(w *writer, me *mail.Agent) (string, error) {
		out = PolicyResult{w.dir.Address(me.ID), policy}
		if me.Policy() == policy {
			return "", nil
		}
		return "agent: " + me.Name.Value + " takes mail by policy " + policy,
			w.add(&mail.AgentChange{Header: w.head(me.ID, me.ContactPolicy.Mark), Agent: me.ID, ContactPolicy: &policy})
	})
	return out, err
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
