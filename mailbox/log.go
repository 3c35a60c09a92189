package mailbox

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/guard"
	"github.com/git-agentmail/git-agentmail/index"
	"github.com/git-agentmail/git-agentmail/mail"
)

// Log lists what happened in the mailbox, newest first.
func (b *Box) Log(ctx context.Context, who Actor, q LogQuery) ([]Event, error) {
	if who.err != nil {
		return nil, who.err
	}
	n, err := q.limit()
	if err != nil {
		return nil, err
	}
	var at place
	if q.Path != "" {
		if at, err = b.place(ctx, q.Path); err != nil {
			return nil, err
		}
	}
	events := []Event{}
	err = b.indexed(ctx, func(v *view) error {
		events = events[:0]
		list, err := v.log(q, at, n)
		if err != nil {
			return err
		}
		var files []gitstore.File
		for _, e := range list {
			if e.Gone == nil {
				files = append(files, gitstore.File{Replica: e.Replica, Path: e.Path, OID: e.OID})
			}
		}
		found := map[string]mail.Record{}
		err = b.read(ctx, v.sn, files, func(_ string, r mail.Record, err error) {
			if err == nil {
				found[r.Path()] = r
			}
		})
		for _, e := range list {
			if e.Gone != nil {
				events = append(events, event(v.d, e.Gone))
			} else if r := found[e.Path]; r != nil {
				events = append(events, event(v.d, r))
			}
		}
		return err
	})
	return events, err
}

// log finds the records that a query is about, newest first; at is its path.
func (v *view) log(q LogQuery, at place, n int) ([]index.Event, error) {
	agent := ""
	if q.Agent != "" {
		a := v.d.Lookup(q.Agent)
		if a == nil {
			return nil, unknownAgent(v.d, q.Agent)
		}
		agent = a.ID
	}
	before, err := v.beforeEvent(q.Page)
	if err != nil {
		return nil, err
	}
	if q.Path == "" {
		return v.Events(v.ctx, agent, before, n)
	}
	return v.About(v.ctx, agent, at.path, at.covered, func(letters []index.Letter) ([]index.Letter, error) {
		if err := v.bodies(letters); err != nil {
			return nil, err
		}
		return slices.DeleteFunc(letters, func(l index.Letter) bool { return !at.named(l.Subject) && !at.named(l.Body) }), nil
	}, before, n)
}

// beforeEvent finds the place after which the log goes on.
func (v *view) beforeEvent(p Page) (index.Place, error) {
	if p.Before == "" {
		return index.Place{}, nil
	}
	prefix := strings.ToLower(p.Before)
	ids, err := v.MessageIDs(v.ctx, prefix)
	if err != nil {
		return index.Place{}, err
	}
	others, err := v.EventIDs(v.ctx, prefix)
	if err != nil {
		return index.Place{}, err
	}
	id, err := mail.ByPrefix("event", p.Before, slices.Values(append(ids, others...)))
	if err != nil {
		return index.Place{}, err
	}
	return v.PlaceOf(v.ctx, id)
}

// notFiles keeps a walk to the directories of records.
func notFiles(dir string) bool {
	return !strings.HasPrefix(dir, "attachments/") && !strings.HasPrefix(dir, "keys/")
}

// place is a path that the log or a summary is asked about.
type place struct {
	path  string        // without a closing slash
	below guard.Pattern // of a directory: what is in it
	dir   bool
	fold  bool
}

// place reads a path as the user wrote it. A directory is what is one in the work tree,
// or is written with a slash behind it, for it may be gone.
func (b *Box) place(ctx context.Context, path string) (place, error) {
	clean, err := b.path(path)
	if err != nil {
		return place{}, err
	}
	p := place{path: strings.TrimSuffix(clean, "/"), fold: b.ignoreCase(ctx), dir: strings.HasSuffix(path, "/")}
	if st, err := os.Stat(filepath.Join(b.repo.TopLevel, filepath.FromSlash(p.path))); err == nil && st.IsDir() {
		p.dir = true
	}
	if p.dir {
		if p.below, err = guard.Compile(guard.Quote(p.path) + "/"); err != nil {
			p.dir = false
		} else if p.fold {
			p.below = p.below.Fold()
		}
	}
	return p, nil
}

// covered reports whether a reservation of a pattern concerns the place: it covers it,
// or something in it.
func (p place) covered(pattern string) bool {
	q, err := guard.Compile(pattern)
	if p.fold {
		q = q.Fold()
	}
	return err == nil && p.meets(q, pattern)
}

// held asks the same of a reservation, whose pattern may stand for one file only.
func (p place) held(l *mail.LeaseState) bool {
	q, err := compileLease(l, p.fold)
	return err == nil && p.meets(q, l.Pattern)
}

func (p place) meets(q guard.Pattern, pattern string) bool {
	if q.Match(p.path) || canon(pattern) == canon(p.path) {
		return true
	}
	if !p.dir {
		return false
	}
	_, overlap := q.Overlap(p.below)
	return overlap
}

// named reports whether a text names the place: no letter, digit or underscore stands
// directly before or behind it.
func (p place) named(text string) bool {
	inWord := func(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) }
	for at := 0; ; {
		i := strings.Index(text[at:], p.path)
		if i < 0 || p.path == "" {
			return false
		}
		before, _ := utf8.DecodeLastRuneInString(text[:at+i])
		behind, _ := utf8.DecodeRuneInString(text[at+i+len(p.path):])
		if !inWord(before) && !inWord(behind) {
			return true
		}
		_, size := utf8.DecodeRuneInString(text[at+i:])
		at += i + size
	}
}

// event tells one record as a line of the log. Text of others is clipped to one
// line; doors escape it.
func event(d *mail.Directory, r mail.Record) Event {
	h := r.Head()
	e := Event{ID: h.ID, TS: ts(h.At), Agent: d.Address(h.By), Kind: "unknown"}
	switch r := r.(type) {
	case *mail.Message:
		e.Kind, e.Message, e.Thread = "message", r.ID, r.ThreadKey()
		e.To, e.Blind = addresses(d, append(slices.Clone(r.To), r.CC...)), addresses(d, r.BCC)
		e.Summary = fmt.Sprintf("to %s: %s", briefList(e.To), clip(r.Subject, 80))
	case *mail.AgentChange:
		switch {
		case r.Deleted:
			e.Kind, e.Summary = "delete", "deletes "+d.Address(r.Agent)
		case r.Name != nil:
			e.Kind, e.Summary = "register", fmt.Sprintf("%s registers (%s, %s)", d.Address(r.Agent), value(r.Program), value(r.Model))
		case r.Home != nil:
			e.Kind, e.Summary = "register", d.Address(r.Agent)+" is adopted by another clone"
		case r.Task != nil && strings.HasPrefix(*r.Task, deregistered):
			e.Kind, e.Summary = "profile", "deregisters "+d.Address(r.Agent)
		case r.ContactPolicy != nil && r.Task == nil:
			e.Kind, e.Summary = "profile", "takes mail by policy "+*r.ContactPolicy
		case r.Program != nil && r.Model != nil:
			e.Kind, e.Summary = "profile", fmt.Sprintf("refreshes its profile (%s, %s)", value(r.Program), value(r.Model))
		default:
			e.Kind, e.Summary = "profile", "refreshes its profile"
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
	case *mail.SlotEvent:
		e.Kind, e.Agent = "slot", r.Agent // who need not be registered
		if r.Op == mail.SlotRelease {
			e.Kind = "slot-release"
		}
		e.Summary = e.Kind + " " + clip(r.Slot, 80)
		if r.Branch != "" {
			e.Summary += " on " + clip(r.Branch, 80)
		}
	case *mail.ProductLink:
		e.Kind, e.Summary = "product", fmt.Sprintf("this repository belongs to %q (%s)", clip(r.Name, 80), r.Product)
	case *mail.Redaction:
		e.Kind, e.Summary = "redact", "redacts "+plural(len(r.Messages), "message")
		if r.Reason != "" {
			e.Summary += ": " + clip(r.Reason, 80)
		}
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
