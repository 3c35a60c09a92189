package mailbox

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

// TestIndexProperty: whatever happens in several clones, an index that grew with it, one
// that was built anew, one in memory, and a fold of the log give the same answers, byte
// for byte.
func TestIndexProperty(t *testing.T) {
	t.Parallel()
	rounds := 2
	if soak() {
		rounds = 60
	}
	for seed := range int64(rounds) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			t.Parallel()
			newIndexGame(t, seed).play(60)
		})
	}
}

// indexGame plays random verbs in two clones that hear of each other now and then.
type indexGame struct {
	*rand.Rand
	t      *testing.T
	clones []*world
	agents [][]Actor // by clone
	ids    []string  // of messages
	leases []string
	meet   func(*world) // lets a clone hear of another
}

func newIndexGame(t *testing.T, seed int64) *indexGame {
	w := newWorld(t)
	g := &indexGame{Rand: rand.New(rand.NewSource(seed)), t: t}
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	c := w.clone()
	g.clones = []*world{w, c}
	g.agents = [][]Actor{{blue, green}, {c.agent("RedFox"), c.agent("QuietOwl")}}
	w.fetch(c)
	g.meet = func(w *world) {
		other := g.clones[0]
		if other == w {
			other = g.clones[1]
		}
		w.fetch(other)
		w.at = maxTime(w.at, other.at)
	}
	return g
}

func choose[T any](g *indexGame, list ...T) T { return list[g.Intn(len(list))] }

func (g *indexGame) play(steps int) {
	for step := range steps {
		i := g.Intn(len(g.clones))
		w := g.clones[i]
		w.pass(time.Duration(g.Intn(90)) * time.Minute)
		g.step(w, choose(g, g.agents[i]...))
		if step%6 == 5 {
			g.compare(w)
		}
	}
	for _, w := range g.clones {
		g.compare(w)
	}
}

func (g *indexGame) step(w *world, who Actor) {
	names := []string{"BlueLake", "GreenCastle", "RedFox", "QuietOwl"}
	words := []string{"verifyToken", "src/auth/jwt.go", "Łódź", "数据库迁移", "deploy", "the", "MAX_RETRY"}
	switch n := g.Intn(22); {
	case n < 8:
		d := Draft{To: []string{choose(g, names...)}, Subject: choose(g, words...) + " " + choose(g, words...), Body: strings.Join([]string{choose(g, words...), choose(g, words...), choose(g, words...)}, " "),
			Thread: choose(g, "", "", "FEAT-1", "FEAT-2"), Importance: choose(g, "", "low", "high", "urgent"), AckRequired: g.Intn(3) == 0, Topic: choose(g, "", "", "ci")}
		if g.Intn(3) == 0 {
			d.CC = []string{choose(g, names...)}
		}
		if g.Intn(3) == 0 {
			d.BCC = []string{choose(g, names...)}
		}
		if r, err := w.box.Send(w.ctx, who, d); err == nil {
			for _, x := range r.Deliveries {
				g.ids = append(g.ids, x.Payload.ID)
			}
		}
	case n < 10 && len(g.ids) > 0:
		if r, err := w.box.Reply(w.ctx, who, choose(g, g.ids...), ReplyDraft{Body: "reply " + choose(g, words...)}); err == nil {
			g.ids = append(g.ids, r.ID)
		}
	case n < 13 && len(g.ids) > 0:
		w.box.Read(w.ctx, who, []string{choose(g, g.ids...)})
	case n < 15 && len(g.ids) > 0:
		w.box.Ack(w.ctx, who, []string{choose(g, g.ids...)})
	case n < 17:
		if r, err := w.box.Reserve(w.ctx, who, ReserveRequest{Patterns: []string{choose(g, "src/**", "docs/*.md", "src/auth/jwt.go")}, Shared: g.Intn(3) == 0}); err == nil {
			for _, x := range r.Granted {
				g.leases = append(g.leases, x.ID)
			}
		}
	case n == 17:
		w.box.Release(w.ctx, who, LeaseFilter{})
	case n == 20 && g.Intn(2) == 0:
		w.pass(12 * time.Hour)
		if _, err := w.box.Purge(w.ctx, who, PurgeRequest{Older: 24 * time.Hour}); err != nil {
			g.t.Fatal(err)
		}
	case n == 21 && g.Intn(4) == 0: // it comes back as somebody else
		if _, err := w.box.DeleteAgent(w.ctx, who, who.Name); err != nil {
			g.t.Fatal(err)
		}
		for i := range g.clones {
			for j := range g.agents[i] {
				if g.agents[i][j].ID == who.ID {
					g.agents[i][j] = w.agent(who.Name)
				}
			}
		}
	case n == 18 && len(g.leases) > 0:
		w.box.ForceRelease(w.ctx, w.person(), choose(g, g.leases...), "", true)
	default:
		g.meet(w)
	}
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// compare asks everything of everybody in four ways.
func (g *indexGame) compare(w *world) {
	g.t.Helper()
	grown, foundGrown := g.answers(w.box, w), g.searches(w.box, w)
	g.unwritable(w, func(anew *Box) {
		if got := g.answers(anew, w); got != grown {
			g.t.Fatalf("in memory:\n%s", difference(grown, got))
		}
		if got := g.searches(anew, w); got != foundGrown {
			g.t.Fatalf("searches in memory:\n%s", difference(foundGrown, got))
		}
		if anew.indexes.memory.DB == nil || len(anew.indexes.idle) > 0 {
			g.t.Fatal("they did not come out of memory")
		}
	})
	if got := g.folded(w); got != grown {
		g.t.Fatalf("by the fold:\n%s", difference(got, grown))
	}
	if g.Intn(4) == 0 {
		if err := os.RemoveAll(w.box.repo.CachePath()); err != nil {
			g.t.Fatal(err)
		}
		if got := g.answers(w.box, w); got != grown {
			g.t.Fatalf("built anew:\n%s", difference(grown, got))
		}
	}
	if got := g.searches(w.box, w); got != foundGrown {
		g.t.Fatalf("searches:\n%s", difference(foundGrown, got))
	}
}

// unwritable runs fn while a file stands where the caches are.
func (g *indexGame) unwritable(w *world, fn func(*Box)) {
	g.t.Helper()
	cache := w.box.repo.CachePath()
	err := os.Rename(cache, cache+"-aside")
	if err == nil {
		err = os.WriteFile(cache, nil, 0o666)
	}
	if err != nil {
		g.t.Fatal(err)
	}
	b := w.open(w.dir)
	fn(b)
	b.Close()
	if err = os.Remove(cache); err == nil {
		err = os.Rename(cache+"-aside", cache)
	}
	if err != nil {
		g.t.Fatal(err)
	}
}

// difference shows the first lines that differ.
func difference(want, got string) string {
	a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return "want " + a[i] + "\ngot  " + b[i]
		}
	}
	return fmt.Sprintf("%d lines and %d", len(a), len(b))
}

// sheet collects answers.
type sheet struct{ strings.Builder }

func (s *sheet) add(what string, v any, err error) {
	data, _ := json.Marshal(v)
	code := mail.Code("")
	if err != nil {
		code = mail.CodeOf(err)
	}
	fmt.Fprintf(s, "%s: %s %s\n", what, code, data)
}

// queries are what is asked of each inbox.
func (g *indexGame) queries(w *world) []InboxQuery {
	list := []InboxQuery{{}, {Unread: true}, {Urgent: true}, {AckRequired: true}, {Unread: true, AckRequired: true, Urgent: true}, {Topic: "CI"},
		{Since: w.at.Add(-5 * time.Hour)}, {Bodies: true}, {Page: Page{N: 3}}}
	if len(g.ids) > 0 {
		list = append(list, InboxQuery{Page: Page{N: 4, Before: g.ids[len(g.ids)/2]}}, InboxQuery{Unread: true, Page: Page{Before: g.ids[len(g.ids)-1][:6]}})
	}
	return list
}

func (g *indexGame) actors(w *world) []Actor {
	for i := range g.clones {
		if g.clones[i] == w {
			return g.agents[i]
		}
	}
	return nil
}

func (g *indexGame) answers(b *Box, w *world) string {
	var s sheet
	for _, who := range g.actors(w) {
		for i, q := range g.queries(w) {
			rows, err := b.Inbox(w.ctx, who, q)
			s.add(fmt.Sprint("inbox ", who.Name, " ", i), rows, err)
		}
		out, err := b.Outbox(w.ctx, who, Page{N: 50}, true)
		s.add("outbox "+who.Name, out, err)
		for _, n := range []int{2, 50} {
			list, err := b.Topic(w.ctx, who, TopicQuery{Topic: "CI", Bodies: true, Page: Page{N: n}})
			s.add("topic "+who.Name, list, err)
		}
		st, err := b.Status(w.ctx, who)
		s.add("status "+who.Name, []any{st.Unacked, st.UnackedCount, st.Urgent, st.UrgentCount, st.Messages}, err)
		for _, key := range g.keys() {
			for _, p := range g.pages() {
				v, err := b.Thread(w.ctx, who, key, p)
				s.add("thread "+key, v, err)
			}
		}
	}
	rows, err := b.Agents(w.ctx, Page{})
	s.add("agents", rows, err)
	for i, q := range g.logs() {
		events, err := b.Log(w.ctx, g.actors(w)[0], q)
		s.add(fmt.Sprint("log ", i), events, err)
	}
	held, err := b.Reservations(w.ctx, g.actors(w)[0], ReservationQuery{All: true, Page: Page{N: MaxLimit}})
	s.add("reservations", held, err)
	return s.String()
}

func (g *indexGame) keys() []string {
	keys := []string{"FEAT-1", "nothing", "zzzz"}
	for i := 0; i < len(g.ids); i += 1 + len(g.ids)/5 {
		keys = append(keys, g.ids[i])
	}
	return keys
}

// pages are what is asked of each thread.
func (g *indexGame) pages() []Page {
	list := []Page{{}, {N: 2}}
	if len(g.ids) > 0 {
		list = append(list, Page{N: 3, Before: g.ids[len(g.ids)/2]}, Page{Before: g.ids[len(g.ids)-1]})
	}
	return list
}

func (g *indexGame) logs() []LogQuery {
	list := []LogQuery{{Page: Page{N: 40}}, {Agent: "GreenCastle"}, {Path: "src/auth/jwt.go", Page: Page{N: 15}}, {Path: "src/", Agent: "RedFox"}, {Path: "docs/a.md"}}
	if len(g.ids) > 0 {
		list = append(list, LogQuery{Page: Page{N: 7, Before: g.ids[0]}}, LogQuery{Path: "src/auth/jwt.go", Page: Page{N: 2, Before: g.ids[len(g.ids)/2]}})
	}
	return list
}

func (g *indexGame) searches(b *Box, w *world) string {
	var s sheet
	for _, q := range []SearchQuery{{Query: "verify_token"}, {Query: "auth/jwt.go deploy"}, {Query: "the", Rank: true}, {Query: "lodz OR 数据", Rank: true},
		{Query: "the", Page: Page{N: 3}}, {Query: "reply", From: "RedFox"}, {Query: "deploy", To: "GreenCastle", Importance: "urgent"}, {Query: "the", Thread: "FEAT-1"}} {
		hits, err := b.Search(w.ctx, g.actors(w)[0], q)
		s.add("search "+q.Query, hits, err)
	}
	for _, name := range []string{"", "RedFox", "GreenCastle"} {
		hits, err := b.SearchMailbox(w.ctx, g.actors(w)[0], SearchQuery{Query: "the OR deploy", With: name}, true)
		// How well a message fits depends on how long the others are, redacted ones included
		// for as long as they are in the list of words; that is what may differ.
		for i := range hits {
			hits[i].RelevanceScore = 0
		}
		slices.SortFunc(hits, func(a, b MailboxHit) int { return strings.Compare(a.ID, b.ID) })
		s.add("mailbox "+name, hits, err)
	}
	return s.String()
}

// folded answers by folding the log, as the verbs did before there was an index.
func (g *indexGame) folded(w *world) string {
	g.t.Helper()
	b := w.box
	sn, err := b.snapshot(w.ctx)
	if err != nil {
		g.t.Fatal(err)
	}
	st := mail.NewState()
	var records []mail.Record
	seen := map[string]bool{}
	if err := b.walk(w.ctx, sn, "", notFiles, func(replica string, r mail.Record) {
		st.Apply(replica, r)
		if !seen[r.Path()] {
			seen[r.Path()] = true
			records = append(records, r)
		}
	}); err != nil {
		g.t.Fatal(err)
	}
	var s sheet
	view := func(m *mail.Message, viewer string) Message {
		v := b.messageView(st.Directory, m, viewer)
		v.Receipts = receipts(st.Directory, m, viewer, func(id string) mail.Delivery { return st.Delivery(m.ID, id) })
		return v
	}
	oldestFirst := st.Messages()
	slices.Reverse(oldestFirst)
	for _, who := range g.actors(w) {
		for i, q := range g.queries(w) {
			rows, err := b.inbox(st, who.ID, q)
			s.add(fmt.Sprint("inbox ", who.Name, " ", i), rows, err)
		}
		out := []Message{}
		for _, m := range st.Messages() {
			if m.By == who.ID && !m.Redacted && len(out) < 50 {
				out = append(out, view(m, who.ID))
			}
		}
		s.add("outbox "+who.Name, out, nil)
		for _, n := range []int{2, 50} {
			list := []Message{}
			for _, m := range st.Messages() {
				if strings.EqualFold(m.Topic, "ci") && len(list) < n {
					list = append(list, b.messageView(st.Directory, m, who.ID))
				}
			}
			s.add("topic "+who.Name, list, nil)
		}
		unacked, urgent := []InboxRow{}, []InboxRow{}
		alive := 0
		for _, m := range st.Messages() {
			if m.Redacted {
				continue
			}
			alive++
			for _, id := range unique(m.Recipients()) {
				if st.Deleted(id) {
					continue
				}
				if m.RecipientKind(id) == "bcc" && who.ID != id && who.ID != m.By {
					continue
				}
				d := st.Delivery(m.ID, id)
				row := b.inboxRow(st.Directory, m, id, d, false)
				row.For = st.Address(id)
				if m.AckRequired && d.Ack == 0 {
					unacked = append(unacked, row)
				}
				if m.IsUrgent() && d.Read == 0 {
					urgent = append(urgent, row)
				}
			}
		}
		slices.Reverse(unacked)
		s.add("status "+who.Name, []any{unacked[:min(len(unacked), DefaultLimit)], len(unacked), urgent[:min(len(urgent), DefaultLimit)], len(urgent), alive}, nil)
		for _, key := range g.keys() {
			for _, p := range g.pages() {
				v, err := foldedThread(b, st, oldestFirst, key, func(m *mail.Message) Message { return view(m, who.ID) })
				if err == nil && p.Before != "" {
					at := slices.IndexFunc(oldestFirst, func(m *mail.Message) bool { return m.ID == p.Before })
					if at < 0 {
						err = mail.Errorf(mail.NotFound, "no such message")
					}
					v.Messages = slices.DeleteFunc(v.Messages, func(v Message) bool {
						return !slices.ContainsFunc(oldestFirst[:max(at, 0)], func(m *mail.Message) bool { return m.ID == v.ID })
					})
				}
				if p.N > 0 {
					v.Messages = v.Messages[max(0, len(v.Messages)-p.N):]
				}
				s.add("thread "+key, v, err)
			}
		}
	}
	rows := []AgentRow{}
	for _, a := range st.List() {
		row := AgentRow{Agent: b.agentView(st.Directory, a, sn.Own(), st.Active[a.ID])}
		for _, m := range oldestFirst {
			if !m.Redacted && m.RecipientKind(a.ID) != "" && st.Delivery(m.ID, a.ID).Read == 0 {
				row.Unread++
			}
		}
		for _, l := range st.Leases {
			if l.Holder == a.ID && l.Live(b.now(), sn.Own()) {
				row.Reservations++
			}
		}
		rows = append(rows, row)
	}
	s.add("agents", rows, nil)
	slices.SortFunc(records, func(x, y mail.Record) int {
		hx, hy := x.Head(), y.Head()
		return cmp.Or(hy.HLC.Compare(hx.HLC), strings.Compare(hy.ID, hx.ID))
	})
	for i, r := range records {
		if m, ok := r.(*mail.Message); ok {
			records[i] = st.Shown(m)
		}
	}
	for i, q := range g.logs() {
		events, err := foldedLog(b, w, st.Directory, records, q)
		s.add(fmt.Sprint("log ", i), events, err)
	}
	held, err := b.reservations(w.ctx, st.Directory, st.Leases, sn.Own(), g.actors(w)[0], ReservationQuery{All: true}, MaxLimit, nil)
	s.add("reservations", held, err)
	return s.String()
}

func foldedThread(b *Box, st *mail.State, oldestFirst []*mail.Message, key string, view func(*mail.Message) Message) (ThreadView, error) {
	v := ThreadView{Project: b.Project().HumanKey, ThreadID: key, Messages: []Message{}}
	find := func() {
		v.Messages = []Message{}
		for _, m := range oldestFirst {
			if m.Thread == v.ThreadID || m.ID == v.ThreadID {
				v.Messages = append(v.Messages, view(m))
			}
		}
	}
	find()
	if n := len(v.Messages); n > 1 || n == 1 && (v.Messages[0].ThreadID == nil || *v.Messages[0].ThreadID == key) {
		return v, nil
	}
	id, err := mail.ByPrefix("message", key, st.MessageIDs)
	if err != nil {
		return v, mail.Errorf(mail.NotFound, "no thread")
	}
	v.ThreadID = st.Message(id).ThreadKey()
	find()
	return v, nil
}

func foldedLog(b *Box, w *world, d *mail.Directory, records []mail.Record, q LogQuery) ([]Event, error) {
	events := []Event{}
	agent := ""
	if q.Agent != "" {
		a := d.Lookup(q.Agent)
		if a == nil {
			return events, unknownAgent(d, q.Agent)
		}
		agent = a.ID
	}
	var place place
	if q.Path != "" {
		var err error
		if place, err = b.place(w.ctx, q.Path); err != nil {
			return nil, err
		}
	}
	within := func(list []mail.Touched) bool {
		return slices.ContainsFunc(list, func(t mail.Touched) bool { return t.Path == place.path || strings.HasPrefix(t.Path, place.path+"/") })
	}
	about := func(r mail.Record) bool {
		switch r := r.(type) {
		case *mail.LeaseEvent:
			return slices.ContainsFunc(r.Leases, func(l mail.Lease) bool { return place.covered(l.Pattern) })
		case *mail.Message:
			return !r.Redacted && (place.named(r.Subject) || place.named(r.Body))
		case *mail.CommitSeen:
			return within(r.Touched)
		case *mail.Bypass:
			return within(r.Touched)
		}
		return false
	}
	list, err := page(records, q.Page, "event", func(r mail.Record) string { return r.Head().ID }, func(r mail.Record) bool {
		return (agent == "" || r.Head().By == agent) && (q.Path == "" || about(r))
	})
	for _, r := range list {
		events = append(events, event(d, r))
	}
	return events, err
}
