package mail

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"
)

// Field is one value of a profile with the mark of the record that set it: the
// last writer wins.
type Field struct {
	Value string `json:"value"`
	Mark  Mark   `json:"mark"`
}

func (f *Field) set(v *string, m Mark) {
	if v == nil {
		return
	}
	if c := m.Compare(f.Mark); f.Mark == (Mark{}) || c > 0 || c == 0 && *v > f.Value {
		f.Value, f.Mark = *v, m
	}
}

// Agent is the profile that the changes recorded for an agent add up to.
type Agent struct {
	ID            string `json:"id"`
	First         Mark   `json:"first"` // of the registration
	Since         Time   `json:"since"`
	Name          Field  `json:"name"`
	Home          Field  `json:"home"`
	Program       Field  `json:"program"`
	Model         Field  `json:"model"`
	Task          Field  `json:"task"`
	Attachments   Field  `json:"attachments"`
	ContactPolicy Field  `json:"contact_policy"`
	Person        Field  `json:"person"`
	Deleted       bool   `json:"deleted,omitempty"` // it is history: see Directory
}

// Contact policies.
const (
	PolicyOpen         = "open"
	PolicyAuto         = "auto"
	PolicyContactsOnly = "contacts_only"
	PolicyBlockAll     = "block_all"
)

// Policy returns the agent's contact policy; auto is the default.
func (a *Agent) Policy() string { return cmp.Or(a.ContactPolicy.Value, PolicyAuto) }

// IsPerson reports whether the agent is a person.
func (a *Agent) IsPerson() bool { return a.Person.Value != "" }

// Link is the contact link from one agent to another.
type Link struct {
	From    string `json:"from"`
	To      string `json:"to"`
	Status  string `json:"status"`
	Expires Time   `json:"expires,omitempty"` // 0: never
	Reason  string `json:"reason,omitempty"`
	Updated Time   `json:"updated"`
	Mark    Mark   `json:"mark"`
}

// Approved reports whether mail may flow over the link at now.
func (l *Link) Approved(now time.Time) bool {
	return l != nil && l.Status == LinkApproved && (l.Expires == 0 || l.Expires > At(now))
}

// Directory is the fold of agents and contact links: all that is needed to
// address a message. An agent that was deleted stays in Agents, for what it did has its
// name; the methods that find or list agents pass over it.
type Directory struct {
	Agents map[string]*Agent `json:"agents"`
	Links  map[string]*Link  `json:"links"` // by from + " " + to
}

// NewDirectory returns an empty directory.
func NewDirectory() *Directory {
	return &Directory{Agents: map[string]*Agent{}, Links: map[string]*Link{}}
}

// Apply adds a record found in the log of replica. Records that are neither
// agents nor contacts are passed over. Order and repetition do not matter.
func (d *Directory) Apply(replica string, r Record) {
	m := Mark{r.Head().HLC, replica}
	switch r := r.(type) {
	case *AgentChange:
		a := d.Agents[r.Agent]
		if a == nil {
			a = &Agent{ID: r.Agent, First: m, Since: r.At}
			d.Agents[r.Agent] = a
		}
		if c := m.Compare(a.First); c < 0 || c == 0 && r.At < a.Since {
			a.First, a.Since = m, r.At
		}
		a.Name.set(r.Name, m)
		a.Home.set(r.Home, m)
		a.Program.set(r.Program, m)
		a.Model.set(r.Model, m)
		a.Task.set(r.Task, m)
		a.Attachments.set(r.Attachments, m)
		a.ContactPolicy.set(r.ContactPolicy, m)
		a.Person.set(r.Person, m)
		a.Deleted = a.Deleted || r.Deleted
	case *Contact:
		key := r.From + " " + r.To
		l := &Link{From: r.From, To: r.To, Status: r.Status, Reason: r.Reason, Updated: r.At, Mark: m}
		if r.Expires != nil {
			l.Expires = max(*r.Expires, 1) // 0 means never
		}
		old := d.Links[key]
		if old == nil || l.beats(old) {
			d.Links[key] = l
		}
	}
}

// beats decides between two writers of one link. On equal marks, which only
// damage or malice makes, the stricter one wins: deny before pending before
// approved; then any fixed order.
func (l *Link) beats(o *Link) bool {
	rank := map[string]int{LinkApproved: 0, LinkPending: 1, LinkBlocked: 2}
	end := func(l *Link) Time { return cmp.Or(l.Expires, math.MaxInt64) } // 0 is never
	return cmp.Or(l.Mark.Compare(o.Mark), cmp.Compare(rank[l.Status], rank[o.Status]),
		cmp.Compare(end(o), end(l)), strings.Compare(l.Reason, o.Reason), cmp.Compare(l.Updated, o.Updated)) > 0
}

// Link returns the link between two agents, or nil.
func (d *Directory) Link(from, to string) *Link { return d.Links[from+" "+to] }

// Deleted reports whether an id is that of an agent that was deleted.
func (d *Directory) Deleted(id string) bool {
	a := d.Agents[id]
	return a != nil && a.Deleted
}

// List returns all agents in order of registration.
func (d *Directory) List() []*Agent {
	list := make([]*Agent, 0, len(d.Agents))
	for _, a := range d.Agents {
		if !a.Deleted {
			list = append(list, a)
		}
	}
	slices.SortFunc(list, func(a, b *Agent) int {
		return cmp.Or(a.First.Compare(b.First), strings.Compare(a.ID, b.ID))
	})
	return list
}

// owner returns who keeps the bare name: of all agents that bear it, compared
// without case, the one that registered first. One that was deleted has it only while
// nobody else does.
func (d *Directory) owner(name string) *Agent {
	var first *Agent
	for _, a := range d.Agents {
		if !strings.EqualFold(a.Name.Value, name) {
			continue
		}
		if first == nil || first.Deleted && !a.Deleted ||
			first.Deleted == a.Deleted && cmp.Or(a.First.Stamp.Compare(first.First.Stamp), strings.Compare(a.ID, first.ID)) < 0 {
			first = a
		}
	}
	return first
}

// living returns an agent, or nil where it was deleted.
func living(a *Agent) *Agent {
	if a == nil || a.Deleted {
		return nil
	}
	return a
}

// Address returns how the agent is addressed: its name or, where another agent
// registered that name earlier, the name with the shortest prefix of its id
// that tells it apart, such as BlueLake~7q. Of an unknown id it is the id, and
// so where a log, by damage or malice, gives no name, or one that would be taken
// for somebody else's address.
func (d *Directory) Address(id string) string {
	a := d.Agents[id]
	if a == nil || !consists(a.Name.Value, letters, alnum, 2, 64) || d.Agents[a.Name.Value] != nil {
		return id
	}
	if d.owner(a.Name.Value) == a {
		return a.Name.Value
	}
	n := 2
	for _, b := range d.Agents {
		if b == a || !strings.EqualFold(a.Name.Value, b.Name.Value) {
			continue
		}
		for n < len(a.ID) && strings.HasPrefix(b.ID, a.ID[:n]) {
			n++
		}
	}
	return a.Name.Value + "~" + a.ID[:n]
}

// Lookup finds an agent by name (compared without case), by name~prefix of the
// id, or by its whole id. It returns nil if there is none, or if the prefix
// fits several.
func (d *Directory) Lookup(address string) *Agent {
	if a := d.Agents[address]; a != nil {
		return living(a)
	}
	name, prefix, tilde := strings.Cut(address, "~")
	switch {
	case name == "": // of an agent that has none yet
		return nil
	case !tilde:
		return living(d.owner(name))
	}
	var found *Agent
	for _, a := range d.Agents {
		if !a.Deleted && len(prefix) >= 2 && strings.EqualFold(a.Name.Value, name) && strings.HasPrefix(a.ID, strings.ToLower(prefix)) {
			if found != nil {
				return nil
			}
			found = a
		}
	}
	return found
}

// Local finds an agent by name among those whose home is replica: the ones this
// clone may act as.
func (d *Directory) Local(name, replica string) *Agent {
	if a := d.Lookup(name); a != nil && a.Home.Value == replica {
		return a
	}
	for _, a := range d.List() {
		if name != "" && a.Home.Value == replica && strings.EqualFold(a.Name.Value, name) {
			return a
		}
	}
	return nil
}

// Names returns the addresses of all agents in order of registration.
func (d *Directory) Names() []string {
	names := make([]string, 0, len(d.Agents))
	for _, a := range d.List() {
		names = append(names, d.Address(a.ID))
	}
	return names
}
