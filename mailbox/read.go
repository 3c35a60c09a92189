package mailbox

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/index"
	"github.com/git-agentmail/git-agentmail/mail"
)

func (b *Box) messageView(d *mail.Directory, m *mail.Message, viewer string) Message {
	v := Message{
		ID: m.ID, ProjectID: b.Project().ID, SenderID: m.By, From: d.Address(m.By), FromPerson: personName(d, m.By),
		To: addresses(d, m.To), CC: addresses(d, m.CC), BCC: []string{},
		ThreadID: optional(m.Thread), ReplyTo: optional(m.ReplyTo), Subject: m.Subject, Importance: m.Importance,
		AckRequired: m.AckRequired, Topic: optional(m.Topic), CreatedTS: ts(m.At), Attachments: attachments(m), BodyMD: &m.Body, Redacted: m.Redacted,
	}
	if viewer == m.By {
		v.BCC = addresses(d, m.BCC)
	}
	return v
}

// receipts tells what each recipient that the viewer knows of has done. A tombstone tells
// of none.
func receipts(d *mail.Directory, m *mail.Message, viewer string, done func(agent string) mail.Delivery) []Receipt {
	var list []Receipt
	if m.Redacted {
		return nil
	}
	for _, id := range m.Recipients() {
		if m.RecipientKind(id) == "bcc" && viewer != m.By && viewer != id {
			continue
		}
		got := done(id)
		list = append(list, Receipt{d.Address(id), ts(got.Read), ts(got.Ack)})
	}
	return list
}

// receipts does the same for a letter of the index.
func (v *view) receipts(l index.Letter, viewer string) ([]Receipt, error) {
	got, err := v.Deliveries(v.ctx, l)
	return receipts(v.d, l.Message, viewer, func(id string) mail.Delivery { return got[id] }), err
}

// personName is the name of the person an agent stands for, or "".
func personName(d *mail.Directory, id string) string {
	if a := d.Agents[id]; a != nil {
		return a.Person.Value
	}
	return ""
}

func addresses(d *mail.Directory, ids []string) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = d.Address(id)
	}
	return out
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func attachments(m *mail.Message) []Attachment {
	out := []Attachment{}
	for _, a := range m.Attachments {
		out = append(out, Attachment{a.Name, a.Type, a.Size, a.SHA256, a.Path, a.Width, a.Height})
	}
	return out
}

func (b *Box) inboxRow(d *mail.Directory, m *mail.Message, agent string, done mail.Delivery, bodies bool) InboxRow {
	row := InboxRow{
		ID: m.ID, ProjectID: b.Project().ID, SenderID: m.By, From: d.Address(m.By), FromPerson: personName(d, m.By), Kind: m.RecipientKind(agent),
		ThreadID: optional(m.Thread), Topic: optional(m.Topic), Subject: m.Subject, Importance: m.Importance,
		AckRequired: m.AckRequired, CreatedTS: ts(m.At), ReadTS: ts(done.Read), AckTS: ts(done.Ack), Attachments: attachments(m),
	}
	if bodies {
		row.BodyMD = &m.Body
	}
	return row
}

// NewPage is the page of the newest n, for a caller who has said n by an argument of that
// name: there 0 is not the default but a mistake.
func NewPage(argument string, n int) (Page, error) {
	if n < 1 {
		return Page{}, mail.Errorf(mail.Invalid, "%s %d is below 1", argument, n).Typed("INVALID_LIMIT").With("argument", argument)
	}
	return Page{N: n}, nil
}

func (p Page) limit() (int, error) {
	switch {
	case p.N == 0:
		return DefaultLimit, nil
	case p.N < 0:
		return 0, mail.Errorf(mail.Invalid, "limit %d is below 1", p.N).Typed("INVALID_LIMIT")
	}
	return min(p.N, MaxLimit), nil
}

// long is p for a list that is mostly wanted whole.
func (p Page) long() Page {
	if p.N == 0 {
		p.N = MaxLimit
	}
	return p
}

// page returns those of list, newest first, that keep picks, after the element
// with id Before. That one need not be picked itself: a message that was read
// since is still a place in the list of what is unread.
func page[T any](list []T, p Page, what string, id func(T) string, keep func(T) bool) ([]T, error) {
	n, err := p.limit()
	if err != nil {
		return nil, err
	}
	if p.Before != "" {
		at, err := mail.ByPrefix(what, p.Before, func(yield func(string) bool) {
			for _, v := range list {
				if !yield(id(v)) {
					return
				}
			}
		})
		if err != nil {
			return nil, err
		}
		list = list[slices.IndexFunc(list, func(v T) bool { return id(v) == at })+1:]
	}
	var out []T
	for _, v := range list {
		if len(out) == n {
			break
		}
		if keep(v) {
			out = append(out, v)
		}
	}
	return out, nil
}

// Inbox lists the messages that the actor received, newest first. It changes
// nothing: only Read and Ack do.
func (b *Box) Inbox(ctx context.Context, who Actor, q InboxQuery) ([]InboxRow, error) {
	if err := who.mayRead(); err != nil {
		return nil, err
	}
	n, err := q.limit()
	if err != nil {
		return nil, err
	}
	rows := []InboxRow{}
	err = b.indexed(ctx, func(v *view) error {
		rows = rows[:0]
		before, err := v.before(q.Page)
		if err != nil {
			return err
		}
		list, err := v.Inbox(ctx, who.ID, index.Filter{Unread: q.Unread, Urgent: q.Urgent, Unacked: q.AckRequired, Since: since(q.Since), Topic: q.Topic}, before, n)
		if err == nil && q.Bodies {
			err = v.bodies(list)
		}
		for _, l := range list {
			rows = append(rows, b.inboxRow(v.d, l.Message, who.ID, mail.Delivery{Read: l.Read, Ack: l.Ack}, q.Bodies))
		}
		return err
	})
	return rows, err
}

// since is the time that something must be newer than; the zero time picks all.
func since(t time.Time) mail.Time {
	if t.IsZero() {
		return -1
	}
	return mail.At(t)
}

func (a Actor) mayRead() error {
	if a.Kind == IsUnidentified {
		return a.mayWrite() // whose inbox?
	}
	return nil
}

// inbox is Inbox on a fold: coding agents' own hooks ask about the last day and open no
// index.
func (b *Box) inbox(st *mail.State, agent string, q InboxQuery) ([]InboxRow, error) {
	list, err := page(st.Messages(), q.Page, "message", func(m *mail.Message) string { return m.ID }, func(m *mail.Message) bool {
		d := st.Delivery(m.ID, agent)
		switch {
		case agent == "" || m.Redacted || m.RecipientKind(agent) == "",
			q.Unread && d.Read != 0,
			q.Urgent && !m.IsUrgent(),
			q.AckRequired && (!m.AckRequired || d.Ack != 0),
			!q.Since.IsZero() && m.At <= mail.At(q.Since),
			q.Topic != "" && !strings.EqualFold(q.Topic, m.Topic):
			return false
		}
		return true
	})
	rows := []InboxRow{}
	for _, m := range list {
		rows = append(rows, b.inboxRow(st.Directory, m, agent, st.Delivery(m.ID, agent), q.Bodies))
	}
	return rows, err
}

// Outbox lists the messages that the actor sent, newest first.
func (b *Box) Outbox(ctx context.Context, who Actor, p Page, bodies bool) ([]Message, error) {
	if err := who.mayRead(); err != nil {
		return nil, err
	}
	n, err := p.limit()
	if err != nil {
		return nil, err
	}
	out := []Message{}
	err = b.indexed(ctx, func(v *view) error {
		out = out[:0]
		before, err := v.before(p)
		if err != nil {
			return err
		}
		list, err := v.Outbox(ctx, who.ID, before, n)
		if err == nil && bodies {
			err = v.bodies(list)
		}
		for _, l := range list {
			m := b.messageView(v.d, l.Message, who.ID)
			if !bodies {
				m.BodyMD = nil
			}
			if err == nil {
				m.Receipts, err = v.receipts(l, who.ID)
			}
			out = append(out, m)
		}
		return err
	})
	return out, err
}

// Topic lists what anybody sent on a topic, newest first. A topic is open to everybody.
func (b *Box) Topic(ctx context.Context, who Actor, q TopicQuery) ([]Message, error) {
	if who.err != nil {
		return nil, who.err
	}
	topic := strings.TrimSpace(q.Topic)
	if !mail.ValidTopic(topic) {
		return nil, badTopic(q.Topic)
	}
	n := min(max(q.N, 1), MaxLimit)
	out := []Message{}
	err := b.indexed(ctx, func(v *view) error {
		out = out[:0]
		before, err := v.before(q.Page)
		if err != nil {
			return err
		}
		list, err := v.Recent(ctx, topic, since(q.Since), before, n)
		if err == nil && q.Bodies {
			err = v.bodies(list)
		}
		for _, l := range list {
			m := b.messageView(v.d, l.Message, who.ID)
			if !q.Bodies {
				m.BodyMD = nil
			}
			out = append(out, m)
		}
		return err
	})
	return out, err
}

// message finds one message by a prefix of its id; one that was redacted is a tombstone. It
// looks at names only and reads one file, whatever the size of the mailbox.
func (b *Box) message(ctx context.Context, sn *gitstore.Snapshot, prefix string) (*mail.Message, error) {
	files, err := sn.List(ctx, "mail/", nil)
	if err != nil {
		return nil, asMail(err)
	}
	id, err := mail.ByPrefix("message", prefix, func(yield func(string) bool) {
		for _, f := range files {
			if !yield(messageID(f.Path)) {
				return
			}
		}
	})
	if mail.CodeOf(err) == mail.NotFound && slices.ContainsFunc(sn.Replicas(), func(r string) bool { return sn.Header(r).Base.Epoch > 0 }) {
		err = mail.Errorf(mail.NotFound, "message %q not found; it may have been truncated, as old messages were here", prefix)
	}
	if err != nil {
		return nil, hintOn(err, mail.NotFound, "git agentmail inbox")
	}
	files = slices.DeleteFunc(files, func(f gitstore.File) bool { return messageID(f.Path) != id })
	st, err := b.state(ctx, sn) // decides between copies that differ
	if err != nil {
		return nil, err
	}
	var newer string
	var damage error
	err = b.read(ctx, sn, files, func(replica string, r mail.Record, err error) {
		switch r := r.(type) {
		case *mail.Message:
			st.Apply(replica, r)
		case *mail.Unknown:
			newer = r.Path()
		}
		if err != nil {
			damage = err
		}
	})
	switch m := st.Message(id); {
	case err != nil:
		return nil, err
	case m != nil:
		return m, nil
	case newer != "":
		return nil, mail.Errorf(mail.Format, "message %q was written by a newer version", newer)
	default:
		return nil, damage
	}
}

func messageID(path string) string {
	base := path[strings.LastIndexByte(path, '/')+1:]
	id, _, _ := strings.Cut(base, "-")
	return id
}

func hintOn(err error, code mail.Code, hint string) error {
	if e := mail.AsError(err); e.Code == code && len(e.Hints) == 0 {
		return e.Hint("%s", hint)
	}
	return err
}

// Show returns one message by id, or a prefix of it, with its body. It does not
// mark it as read.
func (b *Box) Show(ctx context.Context, who Actor, id string) (Message, error) {
	m, _, err := b.show(ctx, who, id)
	return m, err
}

// show also tells which of the receipts is the actor's own, -1 if there is none.
func (b *Box) show(ctx context.Context, who Actor, id string) (v Message, own int, err error) {
	if who.err != nil {
		return v, -1, who.err
	}
	sn, err := b.snapshot(ctx)
	if err != nil {
		return v, -1, err
	}
	m, err := b.message(ctx, sn, id)
	if err != nil {
		return v, -1, err
	}
	d, err := b.directory(ctx, sn)
	if err != nil {
		return v, -1, err
	}
	st := mail.NewState()
	st.Directory = d
	if err := b.walk(ctx, sn, "receipts/", recent("receipts", m.At.Time()), st.Apply); err != nil {
		return v, -1, err
	}
	v = b.messageView(d, m, who.ID)
	v.Receipts = receipts(d, m, who.ID, func(id string) mail.Delivery { return st.Delivery(m.ID, id) })
	me := d.Address(who.ID)
	return v, slices.IndexFunc(v.Receipts, func(r Receipt) bool { return who.ID != "" && r.Agent == me }), nil
}

// ReadMessage shows a message as Show does and marks it as read or acknowledged by who
// looks at it. Somebody whom it was not sent to is shown it all the same, and so is who
// can write nothing here, which a note tells; only an acknowledgement that was asked for
// and cannot be given is an error.
func (b *Box) ReadMessage(ctx context.Context, who Actor, id string, read, ack bool) (Message, error) {
	m, own, err := b.show(ctx, who, id)
	switch {
	case err != nil:
	case ack:
		var done []AckResult
		if done, err = b.Ack(ctx, who, []string{m.ID}); err == nil && own >= 0 {
			m.Receipts[own].ReadTS, m.Receipts[own].AckTS = done[0].ReadAt, done[0].AcknowledgedAt
		}
	case read && own >= 0 && m.Receipts[own].ReadTS.Time().IsZero():
		done, err := b.Read(ctx, who, []string{m.ID})
		switch mail.CodeOf(err) {
		case "":
			m.Receipts[own].ReadTS = done[0].ReadAt
		case mail.Denied, mail.Busy:
			b.opt.Report(err.Error() + "; the message is shown, and stays unread")
		default:
			return Message{}, err
		}
	}
	if err != nil {
		return Message{}, err
	}
	return m, nil
}

// Attachment returns the contents of a file sent with a message, by its name.
func (b *Box) Attachment(ctx context.Context, who Actor, id, name string) ([]byte, error) {
	if who.err != nil {
		return nil, who.err
	}
	sn, err := b.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	m, err := b.message(ctx, sn, id)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, a := range m.Attachments {
		names = append(names, a.Name)
		if a.Name != name {
			continue
		}
		for _, replica := range sn.Replicas() {
			f, ok, err := sn.Get(ctx, replica, a.Path)
			if err != nil {
				return nil, asMail(err)
			}
			if ok {
				return f.Data, nil
			}
		}
		return nil, mail.Errorf(mail.Corrupt, "attachment %q of message %s is missing", name, m.ID).Hint("git agentmail verify")
	}
	return nil, mail.Errorf(mail.NotFound, "message %s has no attachment %q: not found; it has %s", m.ID, name, orNone(names))
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return quoted(list)
}

// Thread returns the messages of a thread, oldest first. The key is a thread's
// name or, failing that, the id of a message: a conversation that began without
// a name goes by the id of its first message.
func (b *Box) Thread(ctx context.Context, who Actor, key string, p Page) (ThreadView, error) {
	if who.err != nil {
		return ThreadView{}, who.err
	}
	n, err := p.long().limit()
	if err != nil {
		return ThreadView{}, err
	}
	out := ThreadView{Project: b.Project().HumanKey, ThreadID: key, Messages: []Message{}}
	err = b.indexed(ctx, func(v *view) error {
		out.Messages = []Message{}
		var err error
		if out.ThreadID, err = v.thread(key); err != nil {
			return err
		}
		before, err := v.before(p)
		if err != nil {
			return err
		}
		list, err := v.Thread(ctx, out.ThreadID, before, n)
		if err == nil {
			err = v.bodies(list)
		}
		for _, l := range list {
			m := b.messageView(v.d, l.Message, who.ID)
			if err == nil {
				m.Receipts, err = v.receipts(l, who.ID)
			}
			out.Messages = append(out.Messages, m)
		}
		return err
	})
	return out, err
}

// thread returns the name of the thread that a key stands for.
func (v *view) thread(key string) (string, error) {
	if key == "" {
		return v.threadOf(key)
	}
	some, err := v.Thread(v.ctx, key, index.Place{}, 2)
	// A letter alone stands for the thread that it is in.
	if n := len(some); err == nil && !(n > 1 || n == 1 && (some[0].Thread == "" || some[0].Thread == key)) {
		return v.threadOf(key)
	}
	return key, err
}

// nearThreads is how many threads are looked through for one that may have been meant.
const nearThreads = 1000

// unknownThread names the threads that resemble what was asked for.
func (v *view) unknownThread(key string) error {
	e := mail.Errorf(mail.NotFound, "thread %q not found", key)
	keys, err := v.ThreadKeys(v.ctx, nearThreads)
	if err != nil {
		return err
	}
	keys = slices.DeleteFunc(keys, func(k string) bool { return len(k) == mail.IDLength && mail.IsPrefix(k) }) // nobody mistypes those
	if near := mail.Nearest(key, keys); len(near) > 0 {
		e.With("suggestions", near)
		e.Hint("did you mean %s: git agentmail thread %s", strings.Join(near[:min(3, len(near))], ", "), shellQuote(near[0]))
	}
	return e.Hint("git agentmail log")
}

// threadOf returns the thread of the message that a prefix of its id stands for.
func (v *view) threadOf(key string) (string, error) {
	if !mail.IsPrefix(strings.ToLower(key)) {
		return key, v.unknownThread(key)
	}
	ids, err := v.MessageIDs(v.ctx, strings.ToLower(key))
	if err != nil {
		return key, err
	}
	id, err := mail.ByPrefix("message", key, slices.Values(ids))
	if mail.CodeOf(err) == mail.NotFound {
		return key, v.unknownThread(key)
	}
	if err != nil {
		return key, err
	}
	l, _, err := v.Message(v.ctx, id)
	if err != nil {
		return key, err
	}
	return l.ThreadKey(), nil
}

// Read marks messages as read by the actor. The first time stays; what was read
// before is answered with it and not written again.
func (b *Box) Read(ctx context.Context, who Actor, ids []string) ([]ReadResult, error) {
	out := []ReadResult{}
	err := b.receipt(ctx, who, ids, "read", func(id string, d mail.Delivery) {
		out = append(out, ReadResult{id, true, ts(d.Read)})
	})
	return out, err
}

// Ack acknowledges messages for the actor, which also marks them as read. The
// first time stays.
func (b *Box) Ack(ctx context.Context, who Actor, ids []string) ([]AckResult, error) {
	out := []AckResult{}
	err := b.receipt(ctx, who, ids, "ack", func(id string, d mail.Delivery) {
		out = append(out, AckResult{id, true, ts(d.Ack), ts(d.Read)})
	})
	return out, err
}

// receipt writes one record for all of ids, or nothing if one of them is not
// the actor's. Writing twice would do no harm, so what was received before is
// looked up without the lock.
func (b *Box) receipt(ctx context.Context, who Actor, ids []string, verb string, tell func(string, mail.Delivery)) error {
	if err := who.mayWrite(); err != nil {
		return err
	}
	if len(ids) == 0 {
		return mail.Errorf(mail.Invalid, "no message was named").Hint("git agentmail inbox")
	}
	sn, err := b.snapshot(ctx)
	if err != nil {
		return err
	}
	d, err := b.directory(ctx, sn)
	if err != nil {
		return err
	}
	var found []*mail.Message
	oldest := b.now()
	for _, id := range ids {
		m, err := b.message(ctx, sn, id)
		if err != nil {
			return err
		}
		if who.ID == "" || m.RecipientKind(who.ID) == "" {
			return mail.Errorf(mail.NotFound, "message %s was not sent to %s: not found in its inbox", m.ID, who.Name).
				Hint("git agentmail show %s", m.ID)
		}
		found = append(found, m)
		if t := m.At.Time(); t.Before(oldest) {
			oldest = t
		}
	}
	st := mail.NewState()
	st.Directory = d
	// A receipt can be a little older than its message by the other's clock.
	err = b.walk(ctx, sn, "receipts/", recent("receipts", oldest.Add(-24*time.Hour)), st.Apply)
	if err != nil {
		return err
	}
	var todo []string
	for _, m := range found {
		del := st.Delivery(m.ID, who.ID)
		if verb == "read" && del.Read == 0 || verb == "ack" && del.Ack == 0 {
			todo = append(todo, m.ID)
		}
	}
	if len(todo) > 0 {
		err = b.update(ctx, who, func(w *writer, me *mail.Agent) (string, error) {
			r := &mail.Receipt{Header: w.head(me.ID)}
			if verb == "ack" {
				r.Ack = unique(todo)
			} else {
				r.Read = unique(todo)
			}
			if err := w.add(r); err != nil {
				return "", err
			}
			st.Apply(w.tx.Replica(), r)
			return fmt.Sprintf("%s: %s %s", verb, me.Name.Value, briefList(todo)), nil
		})
		if err != nil {
			return err
		}
	}
	for _, m := range found {
		tell(m.ID, st.Delivery(m.ID, who.ID))
	}
	return nil
}

// ThreadKeys returns the names of threads, that which was begun last first; n bounds them
// as in [Page].
func (b *Box) ThreadKeys(ctx context.Context, n int) (keys []string, err error) {
	if n, err = (Page{N: n}).limit(); err != nil {
		return nil, err
	}
	err = b.indexed(ctx, func(v *view) (err error) {
		keys, err = v.ThreadKeys(ctx, n)
		return err
	})
	return keys, err
}
