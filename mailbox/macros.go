package mailbox

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

// The macros are several verbs in one. What one of them can refuse for its arguments it
// refuses before it writes anything: half of a macro would have to be cleaned up by an
// agent that does not know which half.

// SessionRequest begins an agent's work.
type SessionRequest struct {
	Agent   RegisterRequest
	Reserve ReserveRequest // without patterns nothing is reserved
	Inbox   InboxQuery
}

// SessionStart is the answer to StartSession.
type SessionStart struct {
	Project      ProjectRow    `json:"project"`
	Agent        Agent         `json:"agent"`
	Token        string        `json:"registration_token,omitempty"` // the agent's, once more where it is looked for
	Reservations ReserveResult `json:"file_reservations"`
	Inbox        []InboxRow    `json:"inbox"`
}

// StartSession is [Box.StartSession] in the project of a path, which is made if need be;
// "" is that of [Projects.Open]. The mailbox is the caller's until release is called, and
// nil only if it could not be had.
func (p *Projects) StartSession(ctx context.Context, humanKey string, r SessionRequest) (out SessionStart, b *Box, release func(), err error) {
	if humanKey != "" {
		if _, err := p.Ensure(ctx, humanKey); err != nil {
			return out, nil, nil, err
		}
	}
	if b, release, err = p.Open(ctx, humanKey); err != nil {
		return out, nil, nil, err
	}
	out, err = b.StartSession(ctx, r)
	return out, b, release, err
}

// StartSession registers an agent, reserves files for it, and reads its inbox.
func (b *Box) StartSession(ctx context.Context, r SessionRequest) (SessionStart, error) {
	out := SessionStart{Reservations: ReserveResult{Granted: []Granted{}, Conflicts: []PathConflict{}}}
	if len(r.Reserve.Patterns) > 0 {
		if err := b.mayReserve(ctx, r.Reserve); err != nil {
			return out, err
		}
	}
	if _, err := r.Inbox.limit(); err != nil {
		return out, err
	}
	var err error
	if out.Agent, err = b.Register(ctx, r.Agent); err != nil {
		return out, err
	}
	out.Token = out.Agent.RegistrationToken
	out.Project = ProjectRow{b.Project(), TS(b.created(ctx))}
	who := out.Agent.Actor()
	if len(r.Reserve.Patterns) > 0 {
		if out.Reservations, err = b.Reserve(ctx, who, r.Reserve); err != nil {
			return out, err
		}
	}
	out.Inbox, err = b.Inbox(ctx, who, r.Inbox)
	return out, err
}

// Actor is who acts as an agent that this process has just registered.
func (a Agent) Actor() Actor {
	return Actor{Kind: IsAgent, ID: a.ID, Name: a.Name, Source: "registered just now"}
}

// ThreadRequest makes an agent ready to write in a thread.
type ThreadRequest struct {
	Agent   *RegisterRequest // registered first; nil if only an agent that is there will do
	Thread  string
	Summary SummaryQuery
	Inbox   InboxQuery
}

// PreparedThread is the answer to PrepareThread.
type PreparedThread struct {
	Project Project      `json:"project"`
	Agent   Agent        `json:"agent"`
	Token   string       `json:"registration_token,omitempty"` // of an agent that was registered
	Thread  ThreadDigest `json:"thread"`
	Inbox   []InboxRow   `json:"inbox"`
}

// ThreadDigest is a summary of a thread with how it began.
type ThreadDigest struct {
	ThreadSummary
	Examples      []Example `json:"examples"`
	TotalMessages int       `json:"total_messages"`
}

// PrepareThread makes who, registered first if r says so, acquainted with a thread: what
// it says in short, and what is in the inbox. A thread in which nobody has written yet is
// an empty one. Of an actor who is an agent already, a registration that says nothing of
// program and model changes nothing.
func (b *Box) PrepareThread(ctx context.Context, who Actor, r ThreadRequest) (PreparedThread, error) {
	out := PreparedThread{Project: b.Project()}
	r.Thread = strings.TrimSpace(r.Thread)
	if !mail.ValidThread(r.Thread) {
		return out, mail.Errorf(mail.Invalid, "thread %q does not begin with a letter or digit, holds something but letters, digits and . _ -, or is longer than 128", r.Thread).
			Typed("INVALID_THREAD_ID").Hint("git agentmail log")
	}
	if _, err := r.Inbox.limit(); err != nil {
		return out, err
	}
	if err := b.maySummarize(Actor{}, &r.Summary); err != nil {
		return out, err
	}
	var err error
	if register := r.Agent; register != nil && !(who.Kind == IsAgent && register.Program == "" && register.Model == "") {
		if out.Agent, err = b.Register(ctx, *register); err != nil {
			return out, err
		}
		who, out.Token = out.Agent.Actor(), out.Agent.RegistrationToken
	} else {
		if err := who.mayWrite(); err != nil {
			return out, err
		}
		profile, err := b.Whois(ctx, who.Name, 0)
		if err != nil {
			return out, err
		}
		out.Agent = profile.Agent
	}
	if out.Thread, err = b.threadDigest(ctx, who, r); err != nil {
		return out, err
	}
	out.Inbox, err = b.Inbox(ctx, who, r.Inbox)
	return out, err
}

func (b *Box) threadDigest(ctx context.Context, who Actor, r ThreadRequest) (out ThreadDigest, err error) {
	out.Examples = []Example{}
	out.ThreadSummary, err = b.SummarizeThread(ctx, who, r.Thread, r.Summary)
	switch {
	case mail.CodeOf(err) == mail.NotFound:
		out.ThreadSummary = ThreadSummary{ThreadID: r.Thread, Summary: b.opt.Digest.Summarize(nil, nil, 0)}
		return out, nil
	case err != nil:
		return out, err
	}
	out.TotalMessages = out.Summary.TotalMessages
	out.Examples = append(out.Examples, out.ThreadSummary.Examples...)
	return out, nil
}

// ReservationCycle is the answer to ReserveBriefly.
type ReservationCycle struct {
	Reservations ReserveResult  `json:"file_reservations"`
	Released     *ReleaseResult `json:"released"` // nil where it was not asked for
}

// ReserveBriefly reserves and, with release, gives back at once what was granted: a
// question whether somebody is in the way that leaves a trace in the log.
func (b *Box) ReserveBriefly(ctx context.Context, who Actor, r ReserveRequest, release bool) (ReservationCycle, error) {
	var out ReservationCycle
	var err error
	if out.Reservations, err = b.Reserve(ctx, who, r); err != nil || !release {
		return out, err
	}
	out.Released = &ReleaseResult{ReleasedAt: TS(b.now()), Patterns: []string{}}
	if granted := out.Reservations.Granted; len(granted) > 0 {
		var f LeaseFilter
		for _, g := range granted {
			f.IDs = append(f.IDs, g.ID)
		}
		*out.Released, err = b.Release(ctx, who, f)
	}
	return out, err
}

// HandshakeRequest puts two agents in contact.
type HandshakeRequest struct {
	Target         string  // "" if only one agent can be meant
	Project        Project // where the target is; zero for this one
	Reason         string
	TTL            time.Duration // of the request, and of its approval; 0 means a week
	Accept         bool          // approve at once as the target, where this clone registered it
	WelcomeSubject string        // with WelcomeBody: a message once they are in contact
	WelcomeBody    string
	Thread         string           // of that message
	Missing        *RegisterRequest // how a target is registered whom nobody knows; nil if it is not
}

// Handshake is the answer to ContactHandshake. What was not asked for is nil.
type Handshake struct {
	Request       ContactRequest   `json:"request"`
	Response      *ContactResponse `json:"response"`
	ResponseError string           `json:"response_error,omitempty"` // why nobody could approve
	Welcome       *SendResult      `json:"welcome_message"`
	WelcomeError  string           `json:"welcome_error,omitempty"` // why there is none; the rest stands
}

// ContactHandshake asks another agent for contact and, as far as r says so, approves it
// as the target and sends a first message. Approved without a message to come it is
// approved at once: nobody is told of what needs no answer. Who asks and who is asked may
// be left out where only one agent can be meant. Nobody approves in the place of a person
// or of another clone's agent.
func (b *Box) ContactHandshake(ctx context.Context, who Actor, r HandshakeRequest) (Handshake, error) {
	var out Handshake
	if here := b.Project(); r.Project.ID != "" && r.Project.ID != here.ID {
		return out, mail.Errorf(mail.Invalid, "%q is another project than %q, and a handshake is within one", r.Project.HumanKey, here.HumanKey).With("argument", "to_project")
	}
	who, target, err := b.parties(ctx, who, strings.TrimSpace(r.Target))
	if err != nil {
		return out, err
	}
	if err := who.mayWrite(); err != nil {
		return out, err
	}
	if r.TTL == 0 {
		r.TTL = contactRequest
	}
	if r.Missing != nil {
		missing := *r.Missing
		missing.Name = target
		a, _, err := b.admit(ctx, missing)
		if err != nil {
			return out, err
		}
		target = a.ID
	}
	welcome := r.WelcomeSubject != "" && r.WelcomeBody != ""
	var as Actor
	if r.Accept {
		if as, err = b.Who(ctx, Caller{As: target, Client: true}); err != nil {
			return out, err
		}
		if err := as.mayWrite(); err != nil {
			out.ResponseError = err.Error()
			r.Accept = false
		}
	}
	if r.Accept && !welcome {
		request, response, err := b.introduce(ctx, who, target, r.Reason, r.TTL)
		out.Request, out.Response = request, &response
		return out, err
	}
	if out.Request, err = b.RequestContact(ctx, who, target, r.Reason, r.TTL); err != nil {
		return out, err
	}
	if r.Accept {
		if response, err := b.RespondContact(ctx, as, who.ID, true, r.TTL); err != nil {
			out.ResponseError = err.Error()
		} else {
			out.Response = &response
		}
	}
	if welcome {
		sent, err := b.Send(ctx, who, Draft{To: []string{target}, Subject: r.WelcomeSubject, Body: r.WelcomeBody, Thread: r.Thread})
		if err != nil {
			out.WelcomeError = err.Error()
		} else {
			out.Welcome = &sent
		}
	}
	return out, nil
}

// parties says who asks whom, where one of both was left out and only one agent can be
// meant. A person is never meant, and only an agent of this clone can ask.
func (b *Box) parties(ctx context.Context, who Actor, target string) (Actor, string, error) {
	asks := who.Kind != IsUnidentified || who.Given != ""
	if asks && target != "" {
		return who, target, nil
	}
	sn, err := b.snapshot(ctx)
	if err != nil {
		return who, target, err
	}
	d, err := b.directory(ctx, sn)
	if err != nil {
		return who, target, err
	}
	other := who.ID
	if a := d.Lookup(target); a != nil {
		other = a.ID
	}
	candidates := slices.DeleteFunc(d.List(), func(a *mail.Agent) bool {
		return a.IsPerson() || a.ID == other || !asks && a.Home.Value != sn.Own()
	})
	if !asks && target == "" || len(candidates) != 1 {
		what, field := "who asks", "requester"
		if asks {
			what, field = "who is asked", "target"
		}
		e := mail.Errorf(mail.Invalid, "%s for contact was not said, and %s could be meant", what, plural(len(candidates), "agent")).With("argument", field)
		return who, target, e.With("available_agents", d.Names()[:min(len(d.Names()), 10)]).Hint("git agentmail agents")
	}
	if asks {
		return who, candidates[0].ID, nil
	}
	return agentActor(d, candidates[0], "the only one who can be meant"), target, nil
}

// introduce approves the contact from who to another agent, in a word.
func (b *Box) introduce(ctx context.Context, who Actor, to, reason string, ttl time.Duration) (ContactRequest, ContactResponse, error) {
	var request ContactRequest
	var response ContactResponse
	err := b.update(ctx, who, func(w *writer, me *mail.Agent) (string, error) {
		target, old, err := w.mayAsk(me, to)
		if err != nil {
			return "", err
		}
		from, name, key := w.dir.Address(me.ID), w.dir.Address(target.ID), b.Project().HumanKey
		expires := mail.At(w.now.Add(max(ttl, contactLeast)))
		reason := clip(strings.ToValidUTF8(reason, "?"), maxReason)
		request = ContactRequest{From: from, FromProject: key, To: name, ToProject: key, Status: mail.LinkApproved, ExpiresTS: ts(expires)}
		response = ContactResponse{From: from, To: name, Approved: true, ExpiresTS: ts(expires), Updated: 1}
		return fmt.Sprintf("contact: %s approves %s", name, from),
			w.add(&mail.Contact{Header: w.head(me.ID, linkMark(old)), From: me.ID, To: target.ID, Status: mail.LinkApproved, Expires: &expires, Reason: reason})
	})
	return request, response, err
}
