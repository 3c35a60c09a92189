package mailbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/mail"
)

// The trailers of our commits. The last two count on through a log.
const (
	trailerAgent  = "Agent"
	trailerThread = "Thread"
	trailerSeq    = gitstore.SeqTrailer
	trailerClock  = "Agentmail-Clock"
)

// writer is one transaction on the mailbox. It numbers and stamps records, and
// sees what other transactions of the same commit wrote before it.
type writer struct {
	b   *Box
	ctx context.Context
	tx  *gitstore.Tx
	now time.Time

	clock *mail.Clock
	last  mail.Stamp
	seq   int64

	dir    *mail.Directory
	leases mail.Leases
	thread string
	signed bool // it is about what stands in a table, and goes there at once
}

// update runs fn in a transaction of agent who. fn returns the commit's subject;
// it may run more than once.
func (b *Box) update(ctx context.Context, who Actor, fn func(w *writer, me *mail.Agent) (subject string, err error)) error {
	if err := who.mayWrite(); err != nil {
		return err
	}
	return b.transact(ctx, func(w *writer) (string, string, error) {
		me, err := w.actor(who)
		if err != nil {
			return "", "", err
		}
		subject, err := fn(w, me)
		return subject, me.Name.Value, err
	})
}

// transact runs fn, which returns the commit's subject and author, in a
// transaction that needs no actor.
func (b *Box) transact(ctx context.Context, fn func(*writer) (subject, author string, err error)) error {
	var fault any
	_, err := b.store.Update(ctx, func(tx *gitstore.Tx) (info gitstore.CommitInfo, err error) {
		// The store runs this in a goroutine of its own, for several callers at
		// once. A panic is the caller's alone, who may be ready for it.
		defer func() {
			if fault = recover(); fault != nil {
				err = errFault
			}
		}()
		w, err := b.begin(ctx, tx)
		if err != nil {
			return info, err
		}
		subject, author, err := fn(w)
		if err != nil {
			return info, err
		}
		return w.info(subject, author), nil
	})
	if fault != nil {
		panic(fault)
	}
	return asMail(err)
}

var errFault = errors.New("mailbox: a transaction panicked")

func (b *Box) begin(ctx context.Context, tx *gitstore.Tx) (*writer, error) {
	w := &writer{b: b, ctx: ctx, tx: tx, now: b.now()}
	w.seq, _ = strconv.ParseInt(tx.Trailer(trailerSeq), 10, 64)
	w.last = mail.ParseStamp(tx.Trailer(trailerClock))
	w.clock = mail.NewClock(w.last)
	sn := tx.Snapshot()
	for _, replica := range sn.Replicas() {
		if replica == tx.Replica() {
			continue
		}
		text, err := sn.Trailer(replica, trailerClock)
		if err != nil {
			return nil, asMail(err)
		}
		w.clock.Adopt(mail.ParseStamp(text), w.now)
	}
	return w, nil
}

func (w *writer) info(subject, author string) gitstore.CommitInfo {
	return gitstore.CommitInfo{Subject: subject, Author: author, Signed: w.signed, Trailers: [][2]string{
		{trailerAgent, author},
		{trailerThread, w.thread},
		{trailerSeq, strconv.FormatInt(w.seq, 10)},
		{trailerClock, w.last.String()},
	}}
}

// directory returns who there is, this commit included. It is the writer's own.
func (w *writer) directory() (*mail.Directory, error) {
	if w.dir == nil {
		d, err := w.b.directory(w.ctx, w.tx.Snapshot())
		if err != nil {
			return nil, err
		}
		w.dir = cloneDirectory(d)
		applyCreated(w.tx.Created(), w.dir.Apply, "agents/", "contacts/")
	}
	return w.dir, nil
}

// links makes the contact links from one agent to others part of the directory.
func (w *writer) links(from string, to ...string) error {
	return w.b.links(w.ctx, w.tx.Snapshot(), w.dir, from, to...)
}

// held returns the reservations that may be live, this commit included. To
// decide what is free, strict must be set: then one that cannot be read is an error.
func (w *writer) held(strict bool) (mail.Leases, error) {
	if w.leases == nil {
		read := w.b.knownLeases
		if strict {
			read = w.b.leases
		}
		ls, err := read(w.ctx, w.tx.Snapshot())
		if err != nil {
			return nil, err
		}
		w.leases = cloneLeases(ls)
		applyCreated(w.tx.Created(), w.leases.Apply, "leases/")
	}
	return w.leases, nil
}

// head returns the header of the next record by agent by. over lists the stamps
// of values that the record replaces.
func (w *writer) head(by string, over ...mail.Mark) mail.Header {
	for _, m := range over {
		w.clock.Overwrite(m.Stamp)
	}
	w.seq++
	w.last = w.clock.Next(w.now)
	return mail.Header{V: mail.Version, ID: mail.NewID(w.b.opt.Rand), Seq: w.seq, HLC: w.last, At: mail.At(w.now), By: by}
}

// add writes a record. Its header comes from head.
func (w *writer) add(r mail.Record) error {
	data, err := mail.Encode(r)
	if err != nil {
		return mail.Errorf(mail.Internal, "encode %s: %w", r.Path(), err)
	}
	if err := w.tx.Create(r.Path(), data); err != nil {
		return asMail(err)
	}
	if w.dir != nil {
		w.dir.Apply(w.tx.Replica(), r)
	}
	if w.leases != nil {
		w.leases.Apply(w.tx.Replica(), r)
	}
	return nil
}

// addLeases records what becomes of leases, in one event or, where that would be
// too long to be read again, in several.
func (w *writer) addLeases(held mail.Leases, by, op, note string, leases []mail.Lease) error {
	over := w.marks(held, leases)
	w.signed = w.signed || anyStrong(leases)
	for _, part := range portions(leases) {
		if err := w.add(&mail.LeaseEvent{Header: w.head(by, over...), Op: op, Note: note, Leases: part}); err != nil {
			return err
		}
	}
	return nil
}

// portions cuts a list into parts that each fit into one record.
func portions[T any](list []T) [][]T {
	var parts [][]T
	from, size := 0, 0
	for i, v := range list {
		data, err := json.Marshal(v)
		if err != nil {
			data = nil // the record will say what is wrong with it
		}
		if size += len(data) + 1; size > mail.MaxEvent/2 && i > from {
			parts = append(parts, list[from:i])
			from, size = i, len(data)+1
		}
	}
	if from < len(list) {
		parts = append(parts, list[from:])
	}
	return parts
}

// actor returns the profile of who acts, registering a person's the first time
// it is needed.
func (w *writer) actor(who Actor) (*mail.Agent, error) {
	d, err := w.directory()
	if err != nil {
		return nil, err
	}
	if who.Kind == IsAgent {
		if a := d.Agents[who.ID]; a != nil && !a.Deleted {
			return a, nil
		}
		return nil, mail.Errorf(mail.NotFound, "agent %q not found", who.Name).Hint("git agentmail agents")
	}
	if a := personAgent(d, w.tx.Replica()); a != nil {
		return a, nil
	}
	id := w.newAgentID(d)
	h := w.head(id)
	name, home, program, model := mail.HumanOverseer, w.tx.Replica(), "git-agentmail", "person"
	person := who.Name
	if err := w.add(&mail.AgentChange{Header: h, Agent: id, Name: &name, Home: &home, Program: &program, Model: &model, Person: &person}); err != nil {
		return nil, err
	}
	return w.dir.Agents[id], nil
}

// personAgent finds the agent that stands for the person of this clone.
func personAgent(d *mail.Directory, replica string) *mail.Agent {
	for _, a := range d.List() {
		if a.IsPerson() && a.Home.Value == replica {
			return a
		}
	}
	return nil
}

func (w *writer) newAgentID(d *mail.Directory) string {
	for {
		if id := mail.NewID(w.b.opt.Rand); d.Agents[id] == nil {
			return id
		}
	}
}

func plural(n int, what string) string {
	if n == 1 {
		return fmt.Sprintf("1 %s", what)
	}
	return fmt.Sprintf("%d %ss", n, what)
}
