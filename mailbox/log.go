package mailbox

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/git-agentmail/git-agentmail/guard"
	"github.com/git-agentmail/git-agentmail/mail"
)

// Log lists what happened in the mailbox, newest first.
func (b *Box) Log(ctx context.Context, who Actor, q LogQuery) ([]Event, error) {
	if who.err != nil {
		return nil, who.err
	}
	sn, err := b.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	d, err := b.directory(ctx, sn)
	if err != nil {
		return nil, err
	}
	var agent string
	if q.Agent != "" {
		a := d.Lookup(q.Agent)
		if a == nil {
			return nil, unknownAgent(d, q.Agent)
		}
		agent = a.ID
	}
	if q.Path != "" {
		if q.Path, err = b.path(q.Path); err != nil {
			return nil, err
		}
	}
	place := b.place(ctx, q.Path)
	var list []mail.Record
	err = b.walk(ctx, sn, "", notFiles, func(_ string, r mail.Record) {
		list = append(list, r)
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(list, func(x, y mail.Record) int {
		if mail.Less(y, x) {
			return -1
		}
		return 1
	})
	list, err = page(list, q.Page, "event", func(r mail.Record) string { return r.Head().ID }, func(r mail.Record) bool {
		return (agent == "" || r.Head().By == agent) && (q.Path == "" || place.about(r))
	})
	events := []Event{}
	for _, r := range list {
		events = append(events, event(d, r))
	}
	return events, err
}

// notFiles keeps a walk to the directories of records.
func notFiles(dir string) bool {
	return !strings.HasPrefix(dir, "attachments/") && !strings.HasPrefix(dir, "keys/")
}

// place is a path that the log is asked about.
type place struct {
	path  string        // without a closing slash
	below guard.Pattern // of a directory: what is in it
	dir   bool
	fold  bool
}

func (b *Box) place(ctx context.Context, path string) place {
	p := place{path: strings.TrimSuffix(path, "/"), fold: b.ignoreCase(ctx), dir: strings.HasSuffix(path, "/")}
	if st, err := os.Stat(filepath.Join(b.repo.TopLevel, filepath.FromSlash(p.path))); err == nil && st.IsDir() {
		p.dir = true
	}
	if p.dir {
		var err error
		if p.below, err = guard.Compile(guard.Quote(p.path) + "/"); err != nil {
			p.dir = false
		} else if p.fold {
			p.below = p.below.Fold()
		}
	}
	return p
}

// about reports whether a record concerns the place: a reservation that covers
// it, or something in it; a commit or bypass that touches it; a message that
// names it.
func (p place) about(r mail.Record) bool {
	within := func(list []mail.Touched) bool {
		return slices.ContainsFunc(list, func(t mail.Touched) bool { return t.Path == p.path || strings.HasPrefix(t.Path, p.path+"/") })
	}
	switch r := r.(type) {
	case *mail.LeaseEvent:
		for _, l := range r.Leases {
			q, err := guard.Compile(l.Pattern)
			if p.fold {
				q = q.Fold()
			}
			if err != nil {
				continue
			}
			if q.Match(p.path) || canon(l.Pattern) == canon(p.path) {
				return true
			}
			if p.dir {
				if _, overlap := q.Overlap(p.below); overlap {
					return true
				}
			}
		}
	case *mail.Message:
		return strings.Contains(r.Subject, p.path) || strings.Contains(r.Body, p.path)
	case *mail.CommitSeen:
		return within(r.Touched)
	case *mail.Bypass:
		return within(r.Touched)
	}
	return false
}

// event tells one record as a line of the log. Text of others is clipped to one
// line; doors escape it.
func event(d *mail.Directory, r mail.Record) Event {
	h := r.Head()
	e := Event{ID: h.ID, TS: ts(h.At), Agent: d.Address(h.By), Kind: "unknown"}
	switch r := r.(type) {
	case *mail.Message:
		e.Kind, e.Message, e.Thread = "message", r.ID, r.ThreadKey()
		e.To = addresses(d, append(slices.Clone(r.To), r.CC...))
		e.Summary = fmt.Sprintf("to %s: %s", briefList(e.To), clip(r.Subject, 80))
	case *mail.AgentChange:
		switch {
		case r.Name != nil:
			e.Kind, e.Summary = "register", fmt.Sprintf("%s registers (%s, %s)", d.Address(r.Agent), value(r.Program), value(r.Model))
		case r.Home != nil:
			e.Kind, e.Summary = "register", d.Address(r.Agent)+" is adopted by another clone"
		case r.ContactPolicy != nil:
			e.Kind, e.Summary = "profile", "takes mail by policy "+*r.ContactPolicy
		default:
			e.Kind, e.Summary = "profile", fmt.Sprintf("refreshes its profile (%s, %s)", value(r.Program), value(r.Model))
		}
	case *mail.Receipt:
		e.Kind, e.Summary = "read", "reads "+briefList(r.Read)
		if len(r.Ack) > 0 {
			e.Kind, e.Summary = "ack", "acknowledges "+briefList(r.Ack)
		}
	case *mail.LeaseEvent:
		e.Kind = map[string]string{mail.LeaseNew: "reserve", mail.LeaseRenew: "renew", mail.LeaseRelease: "release", mail.LeaseForce: "force-release", mail.LeaseLost: "lost"}[r.Op]
		for _, l := range r.Leases {
			e.Leases, e.Paths = append(e.Leases, l.ID), append(e.Paths, l.Pattern)
		}
		e.Summary = e.Kind + " " + briefList(e.Paths)
		if len(r.Leases) > 0 && r.Op == mail.LeaseNew && r.Leases[0].Reason != "" {
			e.Summary += ": " + clip(r.Leases[0].Reason, 80)
		}
	case *mail.Contact:
		e.Kind, e.To = "contact", []string{d.Address(r.To)}
		e.Summary = fmt.Sprintf("link %s -> %s is %s", d.Address(r.From), d.Address(r.To), r.Status)
	case *mail.CommitSeen:
		e.Kind, e.Paths = "commit", touchedPaths(r.Touched)
		e.Summary = fmt.Sprintf("commit %s (%s) touches %s", r.OID[:12], r.Outcome, briefList(e.Paths))
	case *mail.Bypass:
		e.Kind, e.Paths = "bypass", touchedPaths(r.Touched)
		e.Summary = fmt.Sprintf("passes the guard (%s) at %s: %s", r.Event, briefList(e.Paths), clip(r.Reason, 80))
	case *mail.Unknown:
		e.Summary = fmt.Sprintf("%q, written by a newer version", clip(r.Kind, 40))
	}
	return e
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return clip(*s, 40)
}

func touchedPaths(list []mail.Touched) []string {
	var out []string
	for _, t := range list {
		out = append(out, t.Path)
	}
	return unique(out)
}
