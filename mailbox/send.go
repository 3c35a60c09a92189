package mailbox

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/git-agentmail/git-agentmail/mail"
)

// The bounds of a message.
const (
	MaxSubject    = 200 // characters; a longer one is cut, which the answer says
	MaxRecipients = 1000

	maxKey = 1000 // bytes of an idempotency key
)

// Send delivers a message to agents of this mailbox. It is stored when Send
// returns, and no recipient has to be there.
func (b *Box) Send(ctx context.Context, who Actor, d Draft) (SendResult, error) {
	return b.send(ctx, who, d, nil)
}

// Reply answers a message in its thread, with its importance, topic and wish
// for an acknowledgement. It goes to the original's sender unless d.To names
// others. No contact policy applies to a reply.
func (b *Box) Reply(ctx context.Context, who Actor, id string, d ReplyDraft) (ReplyResult, error) {
	if err := who.mayWrite(); err != nil {
		return ReplyResult{}, err
	}
	sn, err := b.snapshot(ctx)
	if err != nil {
		return ReplyResult{}, err
	}
	orig, err := b.message(ctx, sn, id)
	if err != nil {
		return ReplyResult{}, err
	}
	if orig.Redacted {
		return ReplyResult{}, mail.Errorf(mail.NotFound, "message %q was redacted: what it said is not found any more; nothing was sent", orig.ID).
			Hint("git agentmail send --thread %s --to NAME -s SUBJECT", orig.ThreadKey())
	}
	dir, err := b.directory(ctx, sn)
	if err != nil {
		return ReplyResult{}, err
	}
	if len(trimmed(d.To)) == 0 {
		d.To = []string{dir.Address(orig.By)}
	}
	prefix := cmp.Or(strings.TrimSpace(d.SubjectPrefix), "Re:")
	subject := orig.Subject
	if !strings.HasPrefix(strings.ToLower(subject), strings.ToLower(prefix)) {
		subject = prefix + " " + subject
	}
	r, err := b.send(ctx, who, Draft{
		To: d.To, CC: d.CC, BCC: d.BCC, Subject: subject, Body: d.Body, Thread: orig.ThreadKey(),
		Importance: orig.Importance, AckRequired: orig.AckRequired, Topic: orig.Topic,
		IdempotencyKey: d.IdempotencyKey, ReplyTo: orig.ID, Paths: d.Paths, WebP: d.WebP, SenderToken: d.SenderToken,
	}, orig)
	if err != nil {
		return ReplyResult{}, err
	}
	return ReplyResult{r.Deliveries[0].Payload, r.Deliveries, r.Count, r.VerifiedSender, r.Warnings}, nil
}

// vouched checks who sends, if there is a token, and returns all that is sent along.
func (b *Box) vouched(who Actor, d Draft) ([]AttachFile, error) {
	if d.SenderToken != "" {
		if err := b.CheckToken(who, d.SenderToken); err != nil {
			return nil, err
		}
	}
	given, err := b.readFiles(d.Paths)
	return slices.Concat(d.Attach, given), err
}

func (b *Box) send(ctx context.Context, who Actor, d Draft, orig *mail.Message) (SendResult, error) {
	warnings, err := d.check()
	if err != nil {
		return SendResult{}, err
	}
	if err := who.mayWrite(); err != nil {
		return SendResult{}, err
	}
	if d.Attach, err = b.vouched(who, d); err != nil {
		return SendResult{}, err
	}
	// What reads far is done before the others have to wait.
	b.store.Recall()
	sn, err := b.snapshot(ctx)
	if err != nil {
		return SendResult{}, err
	}
	var active []string
	if d.Broadcast {
		if active, err = b.active(ctx); err != nil {
			return SendResult{}, err
		}
	}
	var with company
	if orig == nil {
		if with, err = b.company(ctx, sn, who, d); err != nil {
			return SendResult{}, err
		}
	}
	files, err := b.prepare(ctx, d.Attach, d.WebP)
	if err != nil {
		return SendResult{}, err
	}
	out := SendResult{}
	err = b.update(ctx, who, func(w *writer, me *mail.Agent) (string, error) {
		out = SendResult{Deliveries: []Delivery{}, VerifiedSender: d.SenderToken != "", Warnings: slices.Clone(warnings)}
		dir, err := w.directory()
		if err != nil {
			return "", err
		}
		key := idempotency{agent: me.ID, key: d.IdempotencyKey, digest: d.digest()}
		if done, err := key.find(w); err != nil {
			return "", err
		} else if done != nil {
			out.add(b, w.dir, done)
			return "", nil // sent before: the same answer, and nothing written
		}
		m := &mail.Message{FromName: me.Name.Value, Thread: d.Thread, ReplyTo: d.ReplyTo, Subject: d.Subject,
			Importance: d.Importance, AckRequired: d.AckRequired, Topic: d.Topic, IdempotencyKey: d.IdempotencyKey, Body: d.Body}
		d := d // this function may run again
		if d.Broadcast {
			d.To = nil
			for _, id := range active { // without the sender and those who want no mail
				if a := dir.Agents[id]; id != me.ID && a != nil && a.Policy() != mail.PolicyBlockAll {
					d.To = append(d.To, id)
				}
			}
			if len(d.To) == 0 {
				out.Warnings = append(out.Warnings, "nobody else has been active in the last 30 days: nothing was sent")
				return "", nil
			}
		}
		if err := address(m, dir, d); err != nil {
			return "", err
		}
		if orig == nil {
			to := m.Recipients()
			if d.Broadcast { // it leaves out by itself who wants no mail
				to = to[len(m.To):]
			}
			if err := w.allow(me, with, to, d.introduce); err != nil {
				return "", err
			}
		}
		if err := w.attach(m, files); err != nil {
			return "", err
		}
		m.Header = w.head(me.ID)
		if err := w.add(m); err != nil {
			return "", err
		}
		if err := key.save(w, m); err != nil {
			return "", err
		}
		w.thread = m.ThreadKey()
		out.add(b, w.dir, m)
		return fmt.Sprintf("mail: %s -> %s | %s", me.Name.Value, briefList(append(slices.Clone(m.ToNames), m.CCNames...)), m.Subject), nil
	})
	if err != nil {
		return SendResult{}, err
	}
	for _, d := range out.Deliveries {
		b.signal(d.Payload)
	}
	return out, nil
}

func (r *SendResult) add(b *Box, d *mail.Directory, m *mail.Message) {
	view := b.messageView(d, m, m.By)
	r.Deliveries = append(r.Deliveries, Delivery{b.Project().HumanKey, view})
	r.Count = len(r.Deliveries)
	r.Attachments = view.Attachments
}

func briefList(names []string) string {
	if len(names) > 4 {
		return strings.Join(names[:3], ", ") + fmt.Sprintf(" and %d more", len(names)-3)
	}
	return strings.Join(names, ", ")
}

// check puts the draft in order before anything is locked.
func (d *Draft) check() (warnings []string, err error) {
	d.To, d.CC, d.BCC = trimmed(d.To), trimmed(d.CC), trimmed(d.BCC)
	n := len(d.To) + len(d.CC) + len(d.BCC)
	switch {
	case d.Broadcast && len(d.To) > 0:
		return nil, mail.Errorf(mail.Invalid, "a broadcast goes to everybody: it cannot also name recipients").
			Hint("git agentmail send --broadcast -s SUBJECT")
	case !d.Broadcast && n == 0:
		return nil, mail.Errorf(mail.Invalid, "no recipient was given").Hint("git agentmail agents").Hint("git agentmail send --to NAME -s SUBJECT")
	case n > MaxRecipients:
		return nil, mail.Errorf(mail.Invalid, "%d recipients are more than %d", n, MaxRecipients)
	}
	for _, list := range [][]string{d.To, d.CC, d.BCC} {
		for _, name := range list {
			if p := mail.Placeholder(name); p != "" {
				return nil, mail.Errorf(mail.Invalid, "recipient %q is a placeholder (%s)", name, p).Typed("CONFIGURATION_ERROR").
					With("detected_placeholder", p).With("fix_hint", "replace it by a name from git agentmail agents").Hint("git agentmail agents")
			}
		}
	}
	if d.Importance = strings.ToLower(strings.TrimSpace(d.Importance)); d.Importance == "" {
		d.Importance = mail.Normal
	}
	switch d.Importance {
	case mail.Low, mail.Normal, mail.High, mail.Urgent:
	default:
		return nil, mail.Errorf(mail.Invalid, "importance %q is none of low, normal, high, urgent", d.Importance)
	}
	d.Thread = strings.TrimSpace(d.Thread)
	if d.Thread != "" && !mail.ValidThread(d.Thread) {
		return nil, mail.Errorf(mail.Invalid, "thread %q does not begin with a letter or digit, holds something but letters, digits and . _ -, or is longer than 128", d.Thread).
			Typed("INVALID_THREAD_ID").Hint("git agentmail send --thread FEAT-123")
	}
	d.Topic = strings.TrimSpace(d.Topic)
	if d.Topic != "" && !mail.ValidTopic(d.Topic) {
		return nil, badTopic(d.Topic)
	}
	if !utf8.ValidString(d.Body) || !utf8.ValidString(d.Subject) {
		return nil, mail.Errorf(mail.Invalid, "the text is not valid UTF-8; nothing was sent").Hint("git agentmail send --attach FILE  # for anything but text")
	}
	if len(d.Body) > mail.MaxBody {
		return nil, mail.Errorf(mail.Invalid, "the body of %d bytes is longer than %d; nothing was sent", len(d.Body), mail.MaxBody).
			Hint("git agentmail send --attach FILE")
	}
	if !utf8.ValidString(d.IdempotencyKey) || len(d.IdempotencyKey) > maxKey {
		return nil, mail.Errorf(mail.Invalid, "the idempotency key is not valid UTF-8 or longer than %d bytes; nothing was sent", maxKey)
	}
	d.Subject = strings.Join(strings.Fields(d.Subject), " ")
	if strings.TrimSpace(d.Body) == "" && len(d.Attach)+len(d.Paths) == 0 && (d.Subject == "" || d.ReplyTo != "") {
		return nil, mail.Errorf(mail.Invalid, "the message is empty; nothing was sent").Hint("git agentmail send --to NAME -s SUBJECT -m TEXT")
	}
	if r := []rune(d.Subject); len(r) > MaxSubject {
		d.Subject = string(r[:MaxSubject])
		warnings = append(warnings, fmt.Sprintf("the subject of %d characters was cut to %d", len(r), MaxSubject))
	}
	return warnings, nil
}

func badTopic(topic string) error {
	return mail.Errorf(mail.Invalid, "topic %q holds something but letters, digits, _ and -, or is longer than 64", topic).Typed("INVALID_TOPIC")
}

func trimmed(list []string) []string {
	var out []string
	for _, s := range list {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

// active returns the agents that did something within 30 days, to whom a
// broadcast goes.
func (b *Box) active(ctx context.Context) ([]string, error) {
	var ids []string
	err := b.indexed(ctx, func(v *view) error {
		active, err := v.Activities(ctx)
		ids = nil
		for _, a := range v.d.List() {
			if last := max(active[a.ID].Last, a.Since).Time(); b.now().Sub(last) < 30*24*time.Hour {
				ids = append(ids, a.ID)
			}
		}
		return err
	})
	return ids, err
}

// address turns the draft's names into recipients. All unknown ones are told at
// once.
func address(m *mail.Message, dir *mail.Directory, d Draft) error {
	var unknown []string
	seen := map[string]bool{}
	resolve := func(list []string) (ids, names []string) {
		ids, names = []string{}, []string{}
		for _, name := range list {
			a := dir.Lookup(name)
			if a == nil {
				unknown = append(unknown, name)
				continue
			}
			if !seen[a.ID] {
				seen[a.ID] = true
				ids, names = append(ids, a.ID), append(names, dir.Address(a.ID))
			}
		}
		return ids, names
	}
	m.To, m.ToNames = resolve(d.To)
	m.CC, m.CCNames = resolve(d.CC)
	m.BCC, _ = resolve(d.BCC)
	if len(unknown) == 0 {
		return nil
	}
	return unknownRecipients(dir, unknown)
}

func unknownRecipients(dir *mail.Directory, unknown []string) error {
	known := dir.Names()
	e := mail.Errorf(mail.NotFound, "no agent named %s: recipient not found; nothing was sent", quoted(unknown)).Typed("RECIPIENT_NOT_FOUND")
	local, external := []string{}, map[string][]string{}
	for _, name := range unknown {
		switch project, agent, ok := foreign(name); {
		case ok:
			external[project] = append(external[project], agent)
		default:
			local = append(local, name)
		}
	}
	e.With("unknown_local", local).With("unknown_external", external)
	var near []string
	calls := []map[string]any{}
	for _, name := range unknown {
		like := mail.Nearest(name, known)
		if len(unknown) > 1 {
			like = like[:min(1, len(like))] // of several names the best guess for each
		}
		for _, n := range like {
			if !slices.Contains(near, n) {
				near = append(near, n)
				calls = append(calls, map[string]any{"tool": "whois", "arguments": map[string]any{"agent_name": n}})
			}
		}
	}
	if len(near) > 0 {
		e.Hint("did you mean %s? git agentmail agents", strings.Join(near[:min(10, len(near))], ", "))
		e.With("suggestions", near)
	} else {
		e.Hint("git agentmail agents")
	}
	e.With("suggested_tool_calls", calls)
	for _, name := range unknown {
		m, wrong := mail.NameMistake(name)
		if wrong && len(unknown) == 1 {
			e.Typed(m.Type).With("mistake", "it looks like "+m.Why)
		}
		if m.Type == "BROADCAST_ATTEMPT" {
			e.Hints = []string{"git agentmail send --broadcast -s SUBJECT"}
		}
	}
	return e.With("hint", e.Hints[0])
}

// foreign splits an address in another project: project:slug#Name or
// Name@project.
func foreign(address string) (project, agent string, ok bool) {
	if rest, is := strings.CutPrefix(address, "project:"); is {
		return strings.Cut(rest, "#")
	}
	agent, project, ok = strings.Cut(address, "@")
	return project, agent, ok && agent != "" && project != ""
}

func quoted(list []string) string {
	q := make([]string, len(list))
	for i, s := range list {
		q[i] = fmt.Sprintf("%q", s)
	}
	return strings.Join(q, ", ")
}

// idempotency remembers a send by a key of the caller's, so that a retry after
// a time-out does not send twice. The record of it is found by name alone,
// whatever the size of the mailbox.
type idempotency struct {
	agent, key, digest string
}

type keyFile struct {
	ID     string `json:"id"`
	Path   string `json:"path"`
	Digest string `json:"digest"` // of the request
}

func (k idempotency) path() string {
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(k.agent+"\x00"+k.key)))
	return "keys/" + sum[:2] + "/" + sum + ".json"
}

// find returns the message sent with this key before, or nil.
func (k idempotency) find(w *writer) (*mail.Message, error) {
	if k.key == "" {
		return nil, nil
	}
	data, ok, err := w.file(k.path())
	if err != nil || !ok {
		return nil, err
	}
	var f keyFile
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, mail.Errorf(mail.Corrupt, "the stored file %q does not decode: %w", k.path(), err).Hint("git agentmail verify")
	}
	if f.Digest != k.digest {
		return nil, mail.Errorf(mail.Exists, "the idempotency key %q was used for another message, %s; nothing was sent", k.key, f.ID).
			With("message_id", f.ID).Hint("git agentmail show %s", f.ID)
	}
	data, ok, err = w.file(f.Path)
	if err == nil && !ok {
		err = mail.Errorf(mail.NotFound, "message %q, sent with the idempotency key %q, is not there any more", f.ID, k.key)
	}
	if err != nil {
		return nil, err
	}
	r, err := mail.Decode(f.Path, data)
	if err != nil {
		return nil, err
	}
	m, ok := r.(*mail.Message)
	if !ok {
		return nil, mail.Errorf(mail.Format, "message %q was written by a newer version", f.ID)
	}
	st, err := w.b.state(w.ctx, w.tx.Snapshot())
	if err != nil {
		return nil, err
	}
	return st.Shown(m), nil
}

func (k idempotency) save(w *writer, m *mail.Message) error {
	if k.key == "" {
		return nil
	}
	data, err := json.Marshal(keyFile{m.ID, m.Path(), k.digest})
	if err != nil {
		return err
	}
	return asMail(w.tx.Create(k.path(), append(data, '\n')))
}

// digest names what the caller asked for.
func (d *Draft) digest() string {
	h := sha256.New()
	enc := json.NewEncoder(h)
	enc.Encode([]any{d.To, d.CC, d.BCC, d.Subject, d.Body, d.Thread, d.Importance, d.AckRequired, d.Topic, d.Broadcast, d.ReplyTo})
	for _, f := range d.Attach {
		enc.Encode([]any{f.Name, sha256.Sum256(f.Data)})
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// file returns the contents of a file of this clone's log, this commit included.
func (w *writer) file(path string) ([]byte, bool, error) {
	for _, f := range w.tx.Created() {
		if f.Path == path {
			return f.Data, true, nil
		}
	}
	f, ok, err := w.tx.Snapshot().Get(w.ctx, w.tx.Replica(), path)
	return f.Data, ok, asMail(err)
}
