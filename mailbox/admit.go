package mailbox

import (
	"context"
	"fmt"
	"strings"

	"github.com/git-agentmail/git-agentmail/mail"
)

// unknownProfile is the program and model of an agent that others had to register.
const unknownProfile = "unknown"

// admit registers an agent under exactly this name, unless somebody bears it, who stays
// as it is. An empty program or model is unknown until the agent registers itself. A
// name that registration would replace is refused: whoever gave it goes on with it.
func (b *Box) admit(ctx context.Context, r RegisterRequest) (a *mail.Agent, fresh bool, err error) {
	r.Name = strings.TrimSpace(r.Name)
	sn, err := b.snapshot(ctx)
	if err != nil {
		return nil, false, err
	}
	if d, err := b.directory(ctx, sn); err != nil {
		return nil, false, err
	} else if a = d.Lookup(r.Name); a != nil {
		return a, false, nil
	}
	r.Program, r.Model, r.Task = profileText(r.Program), profileText(r.Model), profileText(r.Task)
	r.ElseProgram, r.ElseModel, r.Attachments = unknownProfile, unknownProfile, "auto"
	err = b.transact(ctx, func(w *writer) (string, string, error) {
		d, err := w.directory()
		if err != nil {
			return "", "", err
		}
		if a = d.Lookup(r.Name); a != nil { // since a moment
			fresh = false
			return "", "", nil
		}
		if !mail.ValidName(r.Name) {
			return "", "", unknownAgent(d, r.Name)
		}
		r := r // this function may run again
		verb, c := w.registration(d, nil, r.Name, r)
		if err := w.add(c); err != nil {
			return "", "", err
		}
		a, fresh = w.dir.Agents[c.Agent], true
		return "agent: " + verb + " " + r.Name + " (" + *c.Program + ", " + *c.Model + ")", r.Name, nil
	})
	return a, fresh, err
}

// profileText bounds what somebody says of somebody else, whom nobody asks to shorten it.
func profileText(s string) string { return clip(strings.ToValidUTF8(s, "?"), maxReason) }

// admitted is who, registered now if it is only a name so far that nobody bears.
func (b *Box) admitted(ctx context.Context, who Actor) (_ Actor, fresh bool, err error) {
	if who.Kind != IsUnidentified || who.err == nil || who.err.Code != mail.NotFound {
		return who, false, nil
	}
	_, fresh, err = b.admit(ctx, RegisterRequest{Name: who.Given})
	if err != nil {
		return who, false, err
	}
	who, err = b.Who(ctx, Caller{As: who.Given, Client: true})
	return who, fresh, err
}

// ReserveUnregistered is [Box.Reserve] for somebody who may have forgotten to register:
// a name that nobody bears is registered first, and the answer warns of it, for it may
// be a misspelling. It also returns who that is now.
func (b *Box) ReserveUnregistered(ctx context.Context, who Actor, r ReserveRequest) (ReserveResult, Actor, error) {
	empty := ReserveResult{Granted: []Granted{}, Conflicts: []PathConflict{}}
	if err := b.mayReserve(ctx, r); err != nil {
		return empty, who, err
	}
	who, fresh, err := b.admitted(ctx, who)
	if err != nil {
		return empty, who, err
	}
	out, err := b.Reserve(ctx, who, r)
	if fresh {
		out.Warnings = append(out.Warnings, fmt.Sprintf("nobody was called %q: it is registered now, program and model unknown", who.Name))
	}
	return out, who, err
}

// mayReserve says what [Box.Reserve] would say of the request alone.
func (b *Box) mayReserve(ctx context.Context, r ReserveRequest) error {
	if r.TTL == 0 {
		r.TTL = DefaultTTL
	}
	if _, err := checkTTL(r.TTL); err != nil {
		return err
	}
	_, _, err := b.want(ctx, r.Patterns)
	return err
}
