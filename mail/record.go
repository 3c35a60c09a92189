package mail

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Header is what every record begins with.
type Header struct {
	V   int    `json:"v"`
	ID  string `json:"id"`
	Seq int64  `json:"seq"` // numbers the records of one replica
	HLC Stamp  `json:"hlc"`
	At  Time   `json:"at"`
	By  string `json:"by"` // id of the agent that did it

	extra map[string]json.RawMessage // keys of a newer version, kept
}

// Record is a stored thing: *Message, *AgentChange, *Receipt, *LeaseEvent,
// *Contact, *CommitSeen, *Bypass, *Redaction, *SlotEvent, *ProductLink or *Unknown. The set is
// closed.
type Record interface {
	// Head returns the record's header, to be read only.
	Head() *Header
	// Path returns where in a log the record stands.
	Path() string

	kind() string
	check() error
}

// Head implements Record.
func (h *Header) Head() *Header { return h }

func (h *Header) bucket(dir string) string {
	return dir + "/" + h.At.Time().Format("2006-01/02/15") + "/"
}

// Bucket returns the directory of the records of kind dir (mail, receipts,
// leases, events, redactions) that were written in the hour of t.
func Bucket(dir string, t time.Time) string {
	return dir + "/" + t.UTC().Format("2006-01/02/15") + "/"
}

// An empty list is [], so that it has one encoding.
var errNull = errors.New("a list is null")

func (h *Header) checkHeader() error {
	switch {
	case h.V != Version:
		return fmt.Errorf("v is %d, %d is expected", h.V, Version)
	case !IsID(h.ID):
		return fmt.Errorf("id %q is not an id", h.ID)
	case h.Seq < 1:
		return fmt.Errorf("seq is %d", h.Seq)
	case !IsID(h.By):
		return fmt.Errorf("by %q is not an id", h.By)
	}
	return nil
}

// Importance of a message.
const (
	Low    = "low"
	Normal = "normal"
	High   = "high"
	Urgent = "urgent"
)

// Message is a letter from one agent to others.
type Message struct {
	Header
	FromName       string       `json:"from_name"`
	To             []string     `json:"to"` // agent ids
	ToNames        []string     `json:"to_names"`
	CC             []string     `json:"cc,omitempty"`
	CCNames        []string     `json:"cc_names,omitempty"`
	BCC            []string     `json:"bcc,omitempty"`
	Thread         string       `json:"thread,omitempty"`   // as the sender named it, or the id of the message replied to
	ReplyTo        string       `json:"reply_to,omitempty"` // message id
	Subject        string       `json:"subject"`
	Importance     string       `json:"importance"`
	AckRequired    bool         `json:"ack_required,omitempty"`
	Topic          string       `json:"topic,omitempty"`
	Attachments    []Attachment `json:"attachments,omitempty"`
	IdempotencyKey string       `json:"idempotency_key,omitempty"`

	Body string `json:"-"` // Markdown, byte for byte

	Redacted bool `json:"-"` // it is a tombstone, see Tombstone
}

// RedactedText stands where a message said something that is not shown any more.
const RedactedText = "[redacted]"

// Tombstone returns what is shown of a message that was redacted: that it was there, who
// wrote to whom, and in which thread.
func (m *Message) Tombstone() *Message {
	return &Message{
		Header: m.Header, FromName: m.FromName, To: m.To, ToNames: m.ToNames, CC: m.CC, CCNames: m.CCNames, BCC: m.BCC,
		Thread: m.Thread, ReplyTo: m.ReplyTo, Subject: RedactedText, Importance: Normal, Body: RedactedText, Redacted: true,
	}
}

// Attachment is a file stored beside the mail by its content.
type Attachment struct {
	Name   string `json:"name"` // base name as given
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
	Path   string `json:"path"` // in the log
	Type   string `json:"type"` // media type

	// Pixels of an image whose header could be read, else 0.
	Width  int `json:"width,omitempty"`
	Height int `json:"height,omitempty"`
}

// MaxAttachment is the greatest size of an attachment in bytes.
const MaxAttachment = 10 << 20

// AttachmentPath returns where a file with this content hash is kept. The
// extension is kept so that a host shows the file as what it is.
func AttachmentPath(sha256, name string) string {
	ext := ""
	if i := strings.LastIndexByte(name, '.'); i > 0 {
		ext = strings.ToLower(name[i:])
		if len(ext) > 10 || strings.Trim(ext[1:], "abcdefghijklmnopqrstuvwxyz0123456789") != "" || ext == "." {
			ext = ""
		}
	}
	return "attachments/" + sha256[:2] + "/" + sha256 + ext
}

func (m *Message) kind() string { return "" }

// Path implements Record.
func (m *Message) Path() string {
	return m.bucket("mail") + m.ID + "-" + Slug(m.Subject) + ".md"
}

// ThreadKey is the thread the message belongs to: the one it names, or its own
// id, for a reply to it names that.
func (m *Message) ThreadKey() string {
	if m.Thread != "" {
		return m.Thread
	}
	return m.ID
}

// IsUrgent reports whether the message counts as urgent: importance high or
// urgent.
func (m *Message) IsUrgent() bool { return m.Importance == High || m.Importance == Urgent }

// RecipientKind returns how agent receives the message: to, cc, bcc, or "".
func (m *Message) RecipientKind(agent string) string {
	for _, l := range []struct {
		kind string
		ids  []string
	}{{"to", m.To}, {"cc", m.CC}, {"bcc", m.BCC}} {
		for _, id := range l.ids {
			if id == agent {
				return l.kind
			}
		}
	}
	return ""
}

// Recipients returns all recipients: to, cc, then bcc.
func (m *Message) Recipients() []string {
	all := append([]string{}, m.To...)
	return append(append(all, m.CC...), m.BCC...)
}

func (m *Message) check() error {
	if m.To == nil || m.ToNames == nil {
		return errNull
	}
	if len(m.To) != len(m.ToNames) || len(m.CC) != len(m.CCNames) {
		return fmt.Errorf("recipients and their names differ in number")
	}
	for _, id := range m.Recipients() {
		if !IsID(id) {
			return fmt.Errorf("recipient %q is not an id", id)
		}
	}
	for _, a := range m.Attachments {
		if a.Width < 0 || a.Height < 0 || (a.Width == 0) != (a.Height == 0) {
			return fmt.Errorf("attachment %q cannot be %d by %d pixels", a.Name, a.Width, a.Height)
		}
	}
	switch m.Importance {
	case Low, Normal, High, Urgent:
	default:
		return fmt.Errorf("importance %q is none of low, normal, high, urgent", m.Importance)
	}
	return nil
}

// AgentChange sets fields of an agent's profile; nil leaves one as it is. The
// first one registers the agent.
type AgentChange struct {
	Header
	Agent         string  `json:"agent"`
	Name          *string `json:"name,omitempty"`
	Home          *string `json:"home,omitempty"` // the replica whose clone may act as this agent
	Program       *string `json:"program,omitempty"`
	Model         *string `json:"model,omitempty"`
	Task          *string `json:"task,omitempty"`
	Attachments   *string `json:"attachments,omitempty"`
	ContactPolicy *string `json:"contact_policy,omitempty"`
	Person        *string `json:"person,omitempty"`  // set for a person: the name to show
	Deleted       bool    `json:"deleted,omitempty"` // for good: nobody can write to it or act as it, and what it sent is redacted
}

func (a *AgentChange) kind() string { return "agent" }

// Path implements Record.
func (a *AgentChange) Path() string { return "agents/" + a.Agent + "/" + a.ID + ".json" }

func (a *AgentChange) check() error {
	if !IsID(a.Agent) {
		return fmt.Errorf("agent %q is not an id", a.Agent)
	}
	return nil
}

// Receipt says that agent By has read or acknowledged messages.
type Receipt struct {
	Header
	Read []string `json:"read,omitempty"`
	Ack  []string `json:"ack,omitempty"`
}

func (r *Receipt) kind() string { return "receipt" }

// Path implements Record.
func (r *Receipt) Path() string { return r.bucket("receipts") + r.ID + ".json" }

func (r *Receipt) check() error {
	for _, id := range append(append([]string{}, r.Read...), r.Ack...) {
		if !IsID(id) {
			return fmt.Errorf("message %q is not an id", id)
		}
	}
	return nil
}

// What a LeaseEvent does.
const (
	LeaseNew     = "new"
	LeaseRenew   = "renew"
	LeaseRelease = "release"
	LeaseForce   = "force" // released by somebody else
	LeaseLost    = "lost"  // an older or stronger one of another clone won
)

// MaxTTL is the longest a reservation may run from its newest renewal. The live
// set needs only the events of this span.
const MaxTTL = 30 * 24 * time.Hour

// LeaseEvent begins, renews or ends reservations. It carries each of them
// whole, so it can be understood alone.
type LeaseEvent struct {
	Header
	Op     string  `json:"op"`
	Note   string  `json:"note,omitempty"`
	Leases []Lease `json:"leases"`
}

// Lease is one reservation: a pattern held by an agent.
type Lease struct {
	ID        string `json:"id"`
	Holder    string `json:"holder"` // agent id
	Pattern   string `json:"pattern"`
	Kind      string `json:"kind"` // of a literal pattern: file, tree or unknown; see doc/GUARD.md
	Exclusive bool   `json:"exclusive"`
	Reason    string `json:"reason,omitempty"`
	TTL       int64  `json:"ttl"`   // seconds from the event's at; of no meaning in an ending
	Since     Time   `json:"since"` // when it was first taken
	Branch    string `json:"branch,omitempty"`
	Worktree  string `json:"worktree,omitempty"` // name of a linked worktree, "" for the main one
	Strong    bool   `json:"strong,omitempty"`   // it is to be in the table of the remote, see Table
}

func (e *LeaseEvent) kind() string { return "lease" }

// Path implements Record.
func (e *LeaseEvent) Path() string { return e.bucket("leases") + e.ID + ".json" }

func (e *LeaseEvent) check() error {
	if e.Leases == nil {
		return errNull
	}
	switch e.Op {
	case LeaseNew, LeaseRenew, LeaseRelease, LeaseForce, LeaseLost:
	default:
		return fmt.Errorf("op %q is none of new, renew, release, force, lost", e.Op)
	}
	for _, l := range e.Leases {
		switch {
		case !IsID(l.ID), !IsID(l.Holder):
			return fmt.Errorf("lease %q or its holder %q is not an id", l.ID, l.Holder)
		case l.TTL < 0 || l.TTL > int64(MaxTTL/time.Second):
			return fmt.Errorf("ttl %d of lease %s is out of range", l.TTL, l.ID)
		}
	}
	return nil
}

// Contact link states.
const (
	LinkPending  = "pending"
	LinkApproved = "approved"
	LinkBlocked  = "blocked"
)

// Contact sets the link from one agent to another.
type Contact struct {
	Header
	From    string `json:"from"`
	To      string `json:"to"`
	Status  string `json:"status"`
	Expires *Time  `json:"expires,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

func (c *Contact) kind() string { return "contact" }

// Path implements Record. Links lie by pair, so that a send reads those with its
// recipients and no others.
func (c *Contact) Path() string { return "contacts/" + c.From + "/" + c.To + "/" + c.ID + ".json" }

func (c *Contact) check() error {
	if !IsID(c.From) || !IsID(c.To) {
		return fmt.Errorf("contact %q to %q: not ids", c.From, c.To)
	}
	switch c.Status {
	case LinkPending, LinkApproved, LinkBlocked:
		return nil
	}
	return fmt.Errorf("status %q is none of pending, approved, blocked", c.Status)
}

// What became of a commit that touches a live reservation.
const (
	CommitHeld    = "held"    // made by the holder
	CommitBypass  = "bypass"  // let through on request
	CommitWarned  = "warned"  // the guard only warns
	CommitSlipped = "slipped" // the guard was not asked
)

// CommitSeen records a commit of the user's that touches a live reservation, so
// that a push of it is judged by whose it is. By is the agent that made it.
type CommitSeen struct {
	Header
	OID     string    `json:"oid"`
	Outcome string    `json:"outcome"`
	Touched []Touched `json:"touched"`
}

// Touched is one path under a reservation. A path that is not valid UTF-8 is in
// Go's quoted form.
type Touched struct {
	Path   string `json:"path"`
	Lease  string `json:"lease"`
	Holder string `json:"holder"`
}

func (c *CommitSeen) kind() string { return "commit" }

// Path implements Record.
func (c *CommitSeen) Path() string { return c.bucket("events") + c.ID + ".json" }

func (c *CommitSeen) check() error {
	if c.Touched == nil {
		return errNull
	}
	if len(c.OID) != 40 {
		return fmt.Errorf("oid %q is not an object name", c.OID)
	}
	switch c.Outcome {
	case CommitHeld, CommitBypass, CommitWarned, CommitSlipped:
		return nil
	}
	return fmt.Errorf("outcome %q is none of held, bypass, warned, slipped", c.Outcome)
}

// Bypass records that By overruled the guard, and why.
type Bypass struct {
	Header
	Event   string    `json:"event"` // the git hook, such as pre-commit
	Reason  string    `json:"reason"`
	Touched []Touched `json:"touched"`
}

func (b *Bypass) kind() string { return "bypass" }

// Path implements Record.
func (b *Bypass) Path() string { return b.bucket("events") + b.ID + ".json" }

func (b *Bypass) check() error {
	if b.Touched == nil {
		return errNull
	}
	return nil
}

// Redaction says that messages are not to be shown any more, whoever wrote them. It is
// final. Their bytes stay in the logs until the owners truncate these.
type Redaction struct {
	Header
	Messages []string `json:"messages"`
	Reason   string   `json:"reason,omitempty"`
}

func (r *Redaction) kind() string { return "redact" }

// Path implements Record. Redactions have a directory of their own, for whoever shows one
// message has to know them all.
func (r *Redaction) Path() string { return r.bucket("redactions") + r.ID + ".json" }

func (r *Redaction) check() error {
	if r.Messages == nil {
		return errNull
	}
	for _, id := range r.Messages {
		if !IsID(id) {
			return fmt.Errorf("message %q is not an id", id)
		}
	}
	return nil
}

// What a SlotEvent does.
const (
	SlotHold    = "hold" // taken or renewed
	SlotRelease = "release"
)

// MaxSlotTTL is the longest a build slot may be held from its newest renewal. The live set
// needs only the events of this span.
const MaxSlotTTL = 24 * time.Hour

// SlotEvent takes, renews or gives back a build slot. It says all there is to know, so it
// can be understood alone. Agent need not be registered: it is a name, in the log of the
// clone that wrote it.
type SlotEvent struct {
	Header
	Op        string `json:"op"`
	Slot      string `json:"slot"`
	Agent     string `json:"agent"`
	Branch    string `json:"branch,omitempty"`
	Exclusive bool   `json:"exclusive"`
	Since     Time   `json:"since"` // when it was first taken
	TTL       int64  `json:"ttl"`   // seconds from the event's at; of no meaning in a release
}

func (e *SlotEvent) kind() string { return "slot" }

// Path implements Record.
func (e *SlotEvent) Path() string { return e.bucket("events") + e.ID + ".json" }

func (e *SlotEvent) check() error {
	switch {
	case e.Op != SlotHold && e.Op != SlotRelease:
		return fmt.Errorf("op %q is none of hold, release", e.Op)
	case e.Slot == "" || e.Agent == "":
		return errors.New("slot or agent is empty")
	case e.TTL < 0 || e.TTL > int64(MaxSlotTTL/time.Second):
		return fmt.Errorf("ttl %d is out of range", e.TTL)
	}
	return nil
}

// ProductLink says that the repository belongs to a product, a named set of repositories.
type ProductLink struct {
	Header
	Product string `json:"product"` // uid
	Name    string `json:"name"`
}

func (l *ProductLink) kind() string { return "product" }

// Path implements Record. Links lie by product, for who looks for the repositories of one
// must not read their other mail.
func (l *ProductLink) Path() string { return "products/" + l.Product + "/" + l.ID + ".json" }

func (l *ProductLink) check() error {
	if !IsProductUID(l.Product) {
		return fmt.Errorf("product %q is no uid", l.Product)
	}
	return nil
}

// IsProductUID reports whether s can name a product in the record: 8 to 64 hexadecimal
// digits, in lower case.
func IsProductUID(s string) bool {
	return len(s) >= 8 && len(s) <= 64 && strings.Trim(s, "0123456789abcdef") == ""
}

// Unknown is a record of a kind, or a version, that this program does not know.
// It is kept as it is and never rewritten.
type Unknown struct {
	Header
	Kind string
	Raw  []byte
	path string
}

func (u *Unknown) kind() string { return u.Kind }

// Path implements Record.
func (u *Unknown) Path() string { return u.path }

func (u *Unknown) check() error { return nil }

// Slug turns a subject into the readable part of a file name: at most 40
// characters of a-z, 0-9 and single dashes, "message" if nothing is left. Only
// A-Z are lowered, so that no table of Unicode decides where a record stands.
func Slug(subject string) string {
	var b strings.Builder
	for _, r := range subject {
		if b.Len() >= 40 {
			break
		}
		if r >= 'A' && r <= 'Z' {
			r += 'a' - 'A'
		}
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		} else if b.Len() > 0 && !strings.HasSuffix(b.String(), "-") {
			b.WriteByte('-')
		}
	}
	if s := strings.Trim(b.String(), "-"); s != "" {
		return s
	}
	return "message"
}
