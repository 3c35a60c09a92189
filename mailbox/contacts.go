package mailbox

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/guard"
	"github.com/git-agentmail/git-agentmail/mail"
)

// The spans of contact rules.
const (
	contactAuto    = 24 * time.Hour      // mail within it keeps two agents in contact
	contactRequest = 7 * 24 * time.Hour  // how long a request is open, unless it says otherwise
	contactGrant   = 30 * 24 * time.Hour // how long an approval lasts, unless it says otherwise
	contactLeast   = time.Minute
	contactExamine = 500 // messages of a thread, or of a day, that are looked at
)

// allow applies the contact policy of each agent in to to a message that begins
// a conversation. Of the rules that let a message through the cheap ones are asked
// first; the result is the same in any order. A recipient that the rules leave
// blocked is shaken hands with at once, so that two fresh agents can talk
// (agentmail.contacts = strict ends that, off ends the rules).
func (w *writer) allow(me *mail.Agent, m *mail.Message, to []string) error {
	mode, err := w.b.setting(w.ctx, "contacts")
	if err != nil {
		return err
	}
	if mode == "off" {
		return nil
	}
	if err := w.links(me.ID); err != nil {
		return err
	}
	var refuse, shake []*mail.Agent
	for _, id := range unique(to) {
		to := w.dir.Agents[id]
		if id == me.ID || to.Policy() == mail.PolicyOpen {
			continue
		}
		if to.Policy() != mail.PolicyBlockAll && w.dir.Link(me.ID, id).Approved(w.now) {
			continue
		}
		// Where a handshake settles it anyway, only the cheap question is asked.
		settled := to.Policy() != mail.PolicyBlockAll && mode != "strict" && !isBlocked(w.dir.Link(me.ID, id))
		known, err := w.acquainted(me.ID, to, m, !settled)
		switch {
		case err != nil:
			return err
		case known:
		case to.Policy() == mail.PolicyBlockAll:
			refuse = append(refuse, to)
		default:
			shake = append(shake, to)
		}
	}
	if len(refuse) > 0 {
		names := w.addresses(refuse)
		return mail.Errorf(mail.Denied, "%s takes no mail (contact policy block_all); nothing was sent", quoted(names)).Typed("CONTACT_BLOCKED").
			With("recipients_blocked", names).Hint("git agentmail agents")
	}
	var blocked []*mail.Agent
	for _, to := range shake {
		l := w.dir.Link(me.ID, to.ID)
		if mode == "strict" || isBlocked(l) {
			blocked = append(blocked, to)
			continue
		}
		expires := mail.At(w.now.Add(contactGrant))
		if err := w.add(&mail.Contact{Header: w.head(me.ID, linkMark(l)), From: me.ID, To: to.ID, Status: mail.LinkApproved, Expires: &expires, Reason: "first message"}); err != nil {
			return err
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

// acquainted reports whether sender and recipient are in contact already: both
// on the thread (which only a thorough look finds out), holding overlapping
// reservations, or, where the recipient's policy is auto, by mail either way
// within a day.
func (w *writer) acquainted(from string, to *mail.Agent, m *mail.Message, thorough bool) (bool, error) {
	held, err := w.held()
	if err != nil {
		return false, err
	}
	var mine, theirs []*mail.LeaseState
	for _, l := range held {
		if l.Live(w.now, w.tx.Replica()) {
			switch l.Holder {
			case from:
				mine = append(mine, l)
			case to.ID:
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
	if thorough && m.Thread != "" {
		st, err := w.b.fold(w.ctx, w.tx.Snapshot())
		if err != nil {
			return false, err
		}
		examined := 0
		for _, old := range st.Messages() { // whoever sent or received on the thread is on it
			if old.Thread != m.Thread && old.ID != m.Thread {
				continue
			}
			if old.By == to.ID || old.RecipientKind(to.ID) != "" {
				return true, nil
			}
			if examined++; examined == contactExamine {
				break
			}
		}
	}
	if to.Policy() != mail.PolicyAuto {
		return false, nil
	}
	since := mail.At(w.now.Add(-contactAuto))
	return w.correspond(since, func(old *mail.Message) bool {
		return old.At >= since && (old.By == from && old.RecipientKind(to.ID) != "" || old.By == to.ID && old.RecipientKind(from) != "")
	})
}

// correspond looks for a message among the newest ones since then.
func (w *writer) correspond(since mail.Time, match func(*mail.Message) bool) (bool, error) {
	sn := w.tx.Snapshot()
	files, err := sn.List(w.ctx, "mail/", recent("mail", since.Time()))
	if err != nil {
		return false, asMail(err)
	}
	slices.Reverse(files)
	found := false
	err = w.b.read(w.ctx, sn, files[:min(len(files), contactExamine)], func(_ string, r mail.Record, err error) {
		if old, ok := r.(*mail.Message); ok && err == nil && match(old) {
			found = true
		}
	})
	return found, err
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
		d, err := w.directory()
		if err != nil {
			return "", err
		}
		target := d.Lookup(to)
		if target == nil {
			return "", unknownAgent(d, to)
		}
		if target.ID == me.ID {
			return "", mail.Errorf(mail.Invalid, "%q cannot ask itself for contact", to)
		}
		if err := w.links(me.ID); err != nil {
			return "", err
		}
		old := d.Link(me.ID, target.ID)
		if isBlocked(old) { // else asking again would undo the answer
			return "", mail.Errorf(mail.Denied, "%q has denied you contact; nothing was sent", d.Address(target.ID)).Typed("CONTACT_BLOCKED").
				With("recipients_blocked", []string{d.Address(target.ID)}).Hint("git agentmail contact list")
		}
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
				Subject: "Contact request from " + from, Importance: mail.Normal, AckRequired: true,
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
		if err := w.links(asker.ID); err != nil {
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

// Contacts lists the actor's outgoing links.
func (b *Box) Contacts(ctx context.Context, who Actor) ([]ContactRow, error) {
	if err := who.mayRead(); err != nil {
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
	rows := []ContactRow{}
	for _, l := range d.Links {
		if l.From == me {
			rows = append(rows, ContactRow{d.Address(l.To), l.Status, l.Reason, ts(l.Updated), ts(l.Expires)})
		}
	}
	slices.SortFunc(rows, func(a, b ContactRow) int { return strings.Compare(a.To, b.To) })
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
