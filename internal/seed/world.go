package seed

import (
	"container/heap"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

// world is the story that is told: who is there, what is being talked about,
// and what is going to happen. It runs on a clock of its own.
type world struct {
	opt  Options
	r    *rand.Rand
	t    *text
	emit func(name string, r mail.Record, plain ...file)
	id   func() string

	now    time.Time
	clock  *mail.Clock
	seq    int64
	agents []*agent
	active []*thread // the ones still talked about, oldest first
	opened int       // threads so far
	links  map[[2]*agent]time.Time
	claims map[string]*claim // reserved directories
	due    schedule
}

// agent is a member of one team of eight or so.
type agent struct {
	id, name       string
	team           []*agent
	program, model string
	task           string
	policy         string
	inbox          []letter
	header         mail.Header
}

// letter is a message that its recipient has not read.
type letter struct {
	id  string
	ack bool
}

// thread is a conversation.
type thread struct {
	key     string // "" until the first message, if nobody named it
	subject string
	topic   string
	members []*agent
	recent  []*mail.Message
	last    *agent
}

const teamSize = 8

var programs = [][2]string{{"claude-code", "opus"}, {"claude-code", "sonnet"}, {"codex", "gpt-5"}, {"gemini-cli", "gemini-2.5-pro"}, {"opencode", "qwen3"}, {"copilot", "gpt-5-mini"}}

func newWorld(opt Options, emit func(string, mail.Record, ...file)) *world {
	bytes := source(opt.Seed, 2)
	r := rand.New(rand.NewPCG(opt.Seed, 3))
	w := &world{opt: opt, r: r, t: newText(r), emit: emit, links: map[[2]*agent]time.Time{}, claims: map[string]*claim{},
		id:  func() string { return mail.NewID(bytes) },
		now: opt.End.Add(-opt.Span)}
	taken := map[string]bool{}
	for i := range opt.Agents {
		a := &agent{id: w.id(), name: mail.NewName(bytes, func(n string) bool { return taken[n] }), task: w.t.subject()}
		taken[a.name] = true
		p := pick(r, programs)
		a.program, a.model = p[0], p[1]
		switch k := r.IntN(100); {
		case k < 20:
			a.policy = mail.PolicyOpen
		case k < 25:
			a.policy = mail.PolicyContactsOnly
		case k < 27 && i > 4:
			a.policy = mail.PolicyBlockAll
		}
		a.header = mail.Header{V: mail.Version, ID: w.id(), At: mail.At(w.now), By: a.id}
		w.agents = append(w.agents, a)
	}
	for i := 0; i < len(w.agents); i += teamSize {
		team := w.agents[i:min(i+teamSize, len(w.agents))]
		if len(team) < 2 {
			team = w.agents[max(0, i-teamSize):]
		}
		for _, a := range team {
			a.team = team
		}
	}
	return w
}

// registration is the agent's first profile. Its header still wants numbers.
func (a *agent) registration(home string) *mail.AgentChange {
	auto := "auto"
	c := &mail.AgentChange{Header: a.header, Agent: a.id, Name: &a.name, Home: &home, Program: &a.program, Model: &a.model, Task: &a.task, Attachments: &auto}
	if a.policy != "" {
		c.ContactPolicy = &a.policy
	}
	return c
}

func (w *world) head(by *agent) mail.Header {
	w.seq++
	return mail.Header{V: mail.Version, ID: w.id(), Seq: w.seq, HLC: w.clock.Next(w.now), At: mail.At(w.now), By: by.id}
}

// chance is true in p of a hundred cases.
func (w *world) chance(p int) bool { return w.r.IntN(100) < p }

// event is something that will happen.
type event struct {
	at  time.Time
	seq int // of two at one moment the one planned first
	do  func()
}

type schedule []event

func (s schedule) Len() int { return len(s) }
func (s schedule) Less(i, j int) bool {
	return s[i].at.Before(s[j].at) || s[i].at.Equal(s[j].at) && s[i].seq < s[j].seq
}
func (s schedule) Swap(i, j int) { s[i], s[j] = s[j], s[i] }
func (s *schedule) Push(x any)   { *s = append(*s, x.(event)) }
func (s *schedule) Pop() any     { l := len(*s) - 1; e := (*s)[l]; *s = (*s)[:l]; return e }

func (w *world) later(d time.Duration, do func()) {
	heap.Push(&w.due, event{w.now.Add(d), int(w.seq), do})
}

// run tells the story: messages at an even pace, and between them what they
// lead to.
func (w *world) run() {
	n := w.opt.Messages
	start := w.now
	for i := range n {
		step := w.opt.Span / time.Duration(n)
		at := start.Add(w.opt.Span / time.Duration(n) * time.Duration(i)).Add(time.Duration(w.r.Int64N(int64(step))))
		for len(w.due) > 0 && w.due[0].at.Before(at) {
			e := heap.Pop(&w.due).(event)
			w.now = e.at
			e.do()
		}
		w.now = at
		if w.opened < w.opt.Threads && i*w.opt.Threads >= w.opened*n {
			w.open()
		} else {
			w.goOn()
		}
		if i%25 == 24 {
			w.reserve(pick(w.r, w.agents))
		}
		if i%500 == 499 {
			a := pick(w.r, w.agents)
			task := w.t.subject()
			w.emit(a.name, &mail.AgentChange{Header: w.head(a), Agent: a.id, Task: &task})
		}
	}
	w.hold()
}

// open begins a thread.
func (w *world) open() {
	w.opened++
	from := pick(w.r, w.agents)
	others := without(from.team, from)
	w.r.Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	members := append([]*agent{from}, others[:min(len(others), 1+w.r.IntN(3))]...)
	if w.chance(20) { // somebody of another team
		if a := pick(w.r, w.agents); !slices.Contains(members, a) {
			members = append(members, a)
		}
	}
	t := &thread{subject: w.t.subject(), members: members}
	if w.chance(60) {
		t.key = fmt.Sprintf("%s-%d", pick(w.r, []string{"FEAT", "BUG", "OPS", "DOC", "PERF"}), w.opened)
	}
	if w.chance(15) {
		t.topic = pick(w.r, areas)
	}
	w.active = append(w.active, t)
	if len(w.active) > 60 {
		w.active = w.active[1:]
	}
	m := w.draft(from, t, t.subject, without(members, from))
	if m == nil { // everybody else takes no mail: a note to oneself
		m = w.draft(from, t, t.subject, []*agent{from})
	}
	w.send(from, t, m)
}

// goOn adds to a thread, mostly a recent one, mostly by a reply.
func (w *world) goOn() {
	n := len(w.active)
	t := w.active[n-1-min(w.r.IntN(n), w.r.IntN(n))]
	from := pick(w.r, t.members)
	if from == t.last && w.chance(80) {
		from = pick(w.r, t.members)
	}
	w.read(from)
	if t.key != "" && w.chance(15) {
		subject := t.subject
		if w.chance(50) {
			subject = w.t.subject()
		}
		if m := w.draft(from, t, subject, without(t.members, from)); m != nil {
			w.send(from, t, m)
			return
		}
	}
	w.send(from, t, w.reply(from, t))
}

// draft is a message that begins something; contact rules apply. It is nil if
// nobody of to takes it.
func (w *world) draft(from *agent, t *thread, subject string, to []*agent) *mail.Message {
	to = slices.DeleteFunc(slices.Clone(to), func(a *agent) bool { return a != from && a.policy == mail.PolicyBlockAll })
	if len(to) == 0 {
		return nil
	}
	for _, a := range to {
		w.link(from, a)
	}
	m := &mail.Message{FromName: from.name, Thread: t.key, Subject: subject, Topic: t.topic, Importance: mail.Normal, AckRequired: w.chance(12)}
	switch k := w.r.IntN(100); {
	case k < 8:
		m.Importance = mail.Low
	case k < 16:
		m.Importance = mail.High
	case k < 20:
		m.Importance = mail.Urgent
	}
	cut := len(to)
	if cut > 1 && w.chance(25) {
		cut = 1 + w.r.IntN(cut-1)
	}
	m.To, m.ToNames = ids(to[:cut]), names(to[:cut])
	switch {
	case cut < len(to) && w.chance(10):
		m.BCC = ids(to[cut:])
	case cut < len(to):
		m.CC, m.CCNames = ids(to[cut:]), names(to[cut:])
	}
	return m
}

// link makes the contact that a first message makes.
func (w *world) link(from, to *agent) {
	pair := [2]*agent{from, to}
	if from == to || to.policy == mail.PolicyOpen || w.links[pair].After(w.now) {
		return
	}
	end := w.now.Add(30 * 24 * time.Hour)
	w.links[pair] = end
	expires := mail.At(end)
	w.emit(from.name, &mail.Contact{Header: w.head(from), From: from.id, To: to.id, Status: mail.LinkApproved, Expires: &expires, Reason: "first message"})
}

// reply answers one of the thread's last messages.
func (w *world) reply(from *agent, t *thread) *mail.Message {
	orig := t.recent[len(t.recent)-1]
	if orig.By == from.id || w.chance(20) {
		orig = pick(w.r, t.recent)
	}
	m := &mail.Message{FromName: from.name, Thread: orig.ThreadKey(), ReplyTo: orig.ID, Subject: orig.Subject,
		Importance: orig.Importance, AckRequired: orig.AckRequired, Topic: orig.Topic}
	if len(m.Subject) < 3 || m.Subject[:3] != "Re:" {
		m.Subject = "Re: " + m.Subject
	}
	to := slices.DeleteFunc(slices.Clone(t.members), func(a *agent) bool { return a.id != orig.By })
	if w.chance(30) || orig.By == from.id && len(t.members) > 1 {
		to = without(t.members, from)
	}
	m.To, m.ToNames = ids(to), names(to)
	return m
}

// send stores the message and lays it into the inboxes.
func (w *world) send(from *agent, t *thread, m *mail.Message) {
	m.Body = w.t.body()
	var plain []file
	if w.r.IntN(200) == 0 {
		plain = append(plain, w.attach(m))
	}
	m.Header = w.head(from)
	w.emit(from.name, m, plain...)
	for _, a := range t.members {
		if m.RecipientKind(a.id) != "" {
			a.inbox = append(a.inbox, letter{m.ID, m.AckRequired})
		}
	}
	if t.key == "" {
		t.key = m.ThreadKey()
	}
	t.last = from
	kept := *m
	kept.Body = ""
	t.recent = append(t.recent, &kept)
	t.recent = t.recent[max(0, len(t.recent)-8):]
}

func (w *world) attach(m *mail.Message) file {
	data := []byte(w.t.body())
	sum := fmt.Sprintf("%x", sha256.Sum256(data))
	name := pick(w.r, files) + ".log"
	a := mail.Attachment{Name: name, Size: int64(len(data)), SHA256: sum, Path: mail.AttachmentPath(sum, name), Type: "text/plain"}
	m.Attachments = append(m.Attachments, a)
	return file{a.Path, data}
}

// read empties the agent's inbox but for a few, when it is worth a look, and
// acknowledges most of what asks for it.
func (w *world) read(a *agent) {
	if len(a.inbox) < 3 && !w.chance(30) || len(a.inbox) == 0 {
		return
	}
	var read, ack []string
	var left []letter
	for _, l := range a.inbox {
		switch {
		case w.chance(4):
			left = append(left, l)
			continue
		case l.ack && w.chance(80):
			ack = append(ack, l.id)
		}
		read = append(read, l.id)
	}
	a.inbox = left[max(0, len(left)-20):] // older ones are forgotten, unread
	if len(read) > 0 {
		w.emit(a.name, &mail.Receipt{Header: w.head(a), Read: read})
	}
	if len(ack) > 0 {
		w.emit(a.name, &mail.Receipt{Header: w.head(a), Ack: ack})
	}
}
