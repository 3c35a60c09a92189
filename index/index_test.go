package index

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/git-agentmail/git-agentmail/mail"
)

func open(t testing.TB) *DB {
	t.Helper()
	d, err := InMemory(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func entry(t testing.TB, replica string, r mail.Record) Entry {
	t.Helper()
	data, err := mail.Encode(r)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha1.Sum(data)
	return Entry{Replica: replica, Path: r.Path(), OID: hex.EncodeToString(sum[:]), Record: r}
}

func each(list []Entry) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, e := range list {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// apply puts entries in; all are those of the logs so far.
func apply(t testing.TB, d *DB, version string, list, all []Entry) {
	t.Helper()
	if err := d.Apply(context.Background(), version, each(list), copiesOf(all)); err != nil {
		t.Fatal(err)
	}
}

func copiesOf(all []Entry) Copies {
	return func(id string) (found []Entry, err error) {
		for _, e := range all {
			if m, ok := e.Record.(*mail.Message); ok && m.ID == id {
				found = append(found, e)
			}
		}
		return found, nil
	}
}

// records makes random records of a few agents in three logs, among them the same ones
// twice, receipts of the same letter at several times, and letters that share an id.
type records struct {
	*rand.Rand
	t      *testing.T
	agents []string
	ms     int64
	ids    []string
	leases []mail.Lease
	list   []Entry
}

func (g *records) id() string {
	return mail.NewID(func(b []byte) { g.Rand.Read(b) })
}

func (g *records) head(by string) mail.Header {
	g.ms += int64(g.Intn(3)) * 1000
	return mail.Header{V: 1, ID: g.id(), Seq: 1, HLC: mail.Stamp{MS: g.ms, N: int64(g.Intn(2))}, At: mail.Time(g.ms - int64(g.Intn(5000))), By: by}
}

func (g *records) some(list []string) []string {
	out := []string{}
	for _, i := range g.Perm(len(list))[:g.Intn(len(list))] {
		out = append(out, list[i])
	}
	return out
}

func pickOne[T any](g *records, list ...T) T { return list[g.Intn(len(list))] }

func (g *records) add() {
	replica, by := pickOne(g, "r1", "r2", "r3"), pickOne(g, g.agents...)
	var r mail.Record
	switch n := g.Intn(14); {
	case n < 4 || len(g.ids) == 0:
		m := &mail.Message{Header: g.head(by), To: append(g.some(g.agents), pickOne(g, g.agents...)), CC: g.some(g.agents), BCC: g.some(g.agents), Subject: pickOne(g, "deploy the thing", "verifyToken fails", "x"),
			Importance: pickOne(g, mail.Low, mail.Normal, mail.High, mail.Urgent), AckRequired: g.Intn(2) == 0, Topic: pickOne(g, "", "ci", "CI"), Thread: pickOne(g, "", "FEAT-1"), Body: pickOne(g, "the body", "数据库", "src/auth/jwt.go")}
		if n == 0 && len(g.ids) > 0 { // by damage or malice
			m.ID = pickOne(g, g.ids...)
		}
		m.ToNames, m.CCNames = m.To, m.CC
		if len(m.CC) == 0 {
			m.CC, m.CCNames = nil, nil
		}
		if len(m.BCC) == 0 {
			m.BCC = nil
		}
		g.ids = append(g.ids, m.ID)
		r = m
	case n < 8:
		id := pickOne(g, g.ids...)
		if n == 4 { // a receipt may be known before its letter
			id = g.id()
			g.ids = append(g.ids, id)
		}
		rc := &mail.Receipt{Header: g.head(by)}
		if g.Intn(2) == 0 {
			rc.Read = []string{id}
		} else {
			rc.Ack = []string{id}
		}
		r = rc
	case n < 10:
		l := mail.Lease{ID: g.id(), Holder: by, Pattern: pickOne(g, "src/**", "a.go"), Kind: "file", Exclusive: true, TTL: int64(60 + g.Intn(1000)), Since: mail.Time(g.ms)}
		op := mail.LeaseNew
		if len(g.leases) > 0 && g.Intn(2) == 0 {
			l, op = pickOne(g, g.leases...), pickOne(g, mail.LeaseRenew, mail.LeaseRelease, mail.LeaseForce)
			l.TTL = int64(60 + g.Intn(1000))
		}
		g.leases = append(g.leases, l)
		r = &mail.LeaseEvent{Header: g.head(by), Op: op, Leases: []mail.Lease{l}}
	case n == 12:
		r = &mail.Redaction{Header: g.head(by), Messages: []string{pickOne(g, g.ids...)}}
	case n == 13 && g.Intn(6) == 0:
		r = &mail.AgentChange{Header: g.head(by), Agent: pickOne(g, g.agents...), Deleted: true}
	default:
		name, home := pickOne(g, "BlueLake", "RedFox"), pickOne(g, "r1", "r2", "r3")
		r = &mail.AgentChange{Header: g.head(by), Agent: pickOne(g, g.agents...), Name: &name, Home: &home}
	}
	e := entry(g.t, replica, r)
	g.list = append(g.list, e)
	if g.Intn(6) == 0 { // in another log too
		e.Replica = pickOne(g, "r1", "r2", "r3")
		g.list = append(g.list, e)
	}
}

// TestApplyAnyOrder: whatever the order of the records, and in however many steps they
// come, what the index says is what a fold of them means.
func TestApplyAnyOrder(t *testing.T) {
	rounds := 60
	if os.Getenv("AGENTMAIL_SOAK") != "" {
		rounds = 3000
	}
	for seed := range int64(rounds) {
		g := &records{Rand: rand.New(rand.NewSource(seed)), t: t, ms: 1795237442000}
		for range 4 {
			g.agents = append(g.agents, g.id())
		}
		for range 40 {
			g.add()
		}
		want := meaning(t, g)
		d := open(t)
		rest := slices.Clone(g.list)
		g.Shuffle(len(rest), func(i, j int) { rest[i], rest[j] = rest[j], rest[i] })
		for done := 0; done < len(rest); {
			n := 1 + g.Intn(len(rest)-done)
			apply(t, d, fmt.Sprint(done+n), rest[done:done+n], rest[:done+n])
			done += n
		}
		if got := told(t, g, d); got != want {
			a, b := strings.Split(want, "\n"), strings.Split(got, "\n")
			for i := range a {
				if i >= len(b) || a[i] != b[i] {
					t.Fatalf("seed %d:\nwant %s\ngot  %s", seed, a[i], b[i])
				}
			}
		}
		d.Close()
	}
}

// meaning is what the fold says.
func meaning(t *testing.T, g *records) string {
	st := mail.NewState()
	for _, e := range g.list {
		st.Apply(e.Replica, e.Record)
	}
	var w strings.Builder
	for _, a := range g.agents {
		unread := 0
		for _, m := range st.Messages() {
			if k := m.RecipientKind(a); k != "" && !m.Redacted {
				d := st.Delivery(m.ID, a)
				fmt.Fprintf(&w, "%s %s %s %d %d %q\n", a, m.ID, m.By, d.Read, d.Ack, m.Subject)
				if d.Read == 0 {
					unread++
				}
			}
		}
		fmt.Fprintf(&w, "%s unread %d active %d\n", a, unread, st.Active[a])
	}
	for _, topic := range []string{"", "ci", "x"} {
		for _, m := range st.Messages() {
			if !m.Redacted && (topic == "" || strings.EqualFold(m.Topic, topic)) {
				fmt.Fprintf(&w, "%s in %q\n", m.ID, topic)
			}
		}
	}
	for _, m := range st.Messages() {
		fmt.Fprintf(&w, "%s of %s is %v %q\n", m.ID, m.By, m.Redacted, m.Subject)
	}
	for _, q := range []string{"deploy", "verify_token", "数据", "jwt.go"} {
		word := map[string]string{"deploy": "deploy the", "verify_token": "verifyToken", "数据": "数据库", "jwt.go": "jwt.go"}[q]
		for _, m := range st.Messages() {
			if strings.Contains(m.Subject+" "+m.Body, word) {
				fmt.Fprintf(&w, "%s finds %s\n", q, m.ID)
			}
		}
	}
	for _, l := range st.Leases.ByAge() {
		data, _ := json.Marshal(l)
		fmt.Fprintf(&w, "%s\n", data)
	}
	return w.String()
}

// letters are the ids of all messages, in the order of the fold.
func (g *records) letters() []string {
	st := mail.NewState()
	for _, e := range g.list {
		st.Apply(e.Replica, e.Record)
	}
	var ids []string
	for _, m := range st.Messages() {
		ids = append(ids, m.ID)
	}
	return ids
}

// told is what the index says.
func told(t *testing.T, g *records, d *DB) string {
	t.Helper()
	ctx := context.Background()
	var w strings.Builder
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	active, err := d.Activities(ctx)
	must(err)
	for _, a := range g.agents {
		list, err := d.Inbox(ctx, a, Filter{Since: -1}, Place{}, -1)
		must(err)
		for _, l := range list {
			fmt.Fprintf(&w, "%s %s %s %d %d %q\n", a, l.ID, l.By, l.Read, l.Ack, l.Subject)
		}
		fmt.Fprintf(&w, "%s unread %d active %d\n", a, active[a].Unread, active[a].Last)
	}
	for _, topic := range []string{"", "ci", "x"} {
		list, err := d.Recent(ctx, topic, -1, Place{}, -1)
		must(err)
		for _, l := range list {
			fmt.Fprintf(&w, "%s in %q\n", l.ID, topic)
		}
	}
	for _, m := range g.letters() {
		l, ok, err := d.Message(ctx, m)
		if must(err); ok {
			fmt.Fprintf(&w, "%s of %s is %v %q\n", l.ID, l.By, l.Redacted, l.Subject)
		}
	}
	for _, q := range []string{"deploy", "verify_token", "数据", "jwt.go"} {
		list, _, err := d.Search(ctx, Search{Query: q}, Place{}, 1000)
		must(err)
		for _, l := range list {
			fmt.Fprintf(&w, "%s finds %s\n", q, l.ID)
		}
	}
	ls, err := d.Leases(ctx)
	must(err)
	for _, l := range ls.ByAge() {
		data, _ := json.Marshal(l)
		fmt.Fprintf(&w, "%s\n", data)
	}
	return w.String()
}

// TestNewestHits: the newest hits come first and are cut right, also among messages that
// arrived after newer ones, and also where there are too many to rank.
func TestNewestHits(t *testing.T) {
	ctx := context.Background()
	g := &records{Rand: rand.New(rand.NewSource(1)), t: t, ms: 1795237442000, agents: []string{"0123456789"}}
	var all []Entry
	for i := range gate + 700 {
		m := &mail.Message{Header: g.head(g.agents[0]), To: g.agents, ToNames: g.agents, Subject: "the", Importance: mail.Normal, Body: strings.Repeat("filler ", i%7)}
		if i%90 == 1 {
			m.Subject = "the filler"
		}
		all = append(all, entry(t, "r1", m))
	}
	grown, anew := open(t), open(t)
	apply(t, anew, "1", all, all)
	old, young := slices.Clone(all[:40]), slices.Clone(all[40:])
	for i := 0; i < len(young); i += 17 { // some come late
		old, young[i] = append(old, young[i]), all[0]
	}
	apply(t, grown, "1", young, all)
	apply(t, grown, "2", old, all)
	for _, s := range []Search{{Query: "the"}, {Query: "the", Rank: true}, {Query: "filler", Rank: true}, {Query: "filler"}} {
		for _, n := range []int{1, 20, 500} {
			want, _, err := anew.Search(ctx, s, Place{}, n)
			if err != nil || len(want) != n {
				t.Fatalf("%+v: %d of %d, %v", s, len(want), n, err)
			}
			got, _, err := grown.Search(ctx, s, Place{}, n)
			if err != nil {
				t.Fatal(err)
			}
			if ids(want) != ids(got) {
				t.Errorf("%+v, %d: an index that grew finds others than one built at once", s, n)
			}
		}
	}
	list, _, err := grown.Search(ctx, Search{Query: "filler AND (fill* OR nothing)", Rank: true}, Place{}, 30)
	if err != nil {
		t.Fatal(err)
	}
	first := 0 // of the newest hits, those that have it in the subject
	for i, hits := gate+699, 0; hits < gate; i-- {
		if i%90 == 1 {
			first++
		}
		if i%90 == 1 || i%7 > 0 {
			hits++
		}
	}
	for i, l := range list {
		if (i < first) != (l.Subject == "the filler") || i > 0 && i != first && l.HLC.Compare(list[i-1].HLC) > 0 {
			t.Errorf("hit %d of too many to rank is %q of %v", i, l.Subject, l.HLC)
		}
	}
	if out, err := grown.OutOfOrder(ctx); err != nil || out {
		t.Errorf("out of order: %v, %v", out, err)
	}
}

// TestWhose: what somebody sent or received is what either finds alone, and of a ranked
// list the best has 1 and nobody more than who stands before.
func TestWhose(t *testing.T) {
	ctx := context.Background()
	g := &records{Rand: rand.New(rand.NewSource(3)), t: t, ms: 1795237442000, agents: []string{"0123456789", "abcdefghjk", "mnpqrstvwx"}}
	for range 400 {
		g.add()
	}
	d := open(t)
	apply(t, d, "1", g.list, g.list)
	search := func(s Search) []Letter {
		t.Helper()
		s.Query = "deploy OR fails OR x"
		list, _, err := d.Search(ctx, s, Place{}, 1000)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	for _, a := range append(g.agents, "zzzzzzzzzz") {
		var want []Letter
		from, to := ids(search(Search{From: a})), ids(search(Search{To: a}))
		for _, l := range search(Search{}) {
			if strings.Contains(from+to, l.ID) {
				want = append(want, l)
			}
		}
		if got := search(Search{With: a}); ids(got) != ids(want) || len(got) == 0 && a != "zzzzzzzzzz" {
			t.Errorf("with %s: %d messages, want %d", a, len(got), len(want))
		}
	}
	list := search(Search{Rank: true})
	for i, l := range list {
		if i == 0 && l.Score != 1 || l.Score < 0 || i > 0 && l.Score > list[i-1].Score {
			t.Errorf("hit %d has the score %v", i, l.Score)
		}
	}
	if len(list) == 0 || list[len(list)-1].Score == 1 {
		t.Error("all are equally good")
	}
}

// TestRecent: it is the newest of a topic, or of all, that are later than a time.
func TestRecent(t *testing.T) {
	ctx := context.Background()
	g := &records{Rand: rand.New(rand.NewSource(4)), t: t, ms: 1795237442000, agents: []string{"0123456789", "abcdefghjk"}}
	for range 300 {
		g.add()
	}
	d := open(t)
	apply(t, d, "1", g.list, g.list)
	all, err := d.Recent(ctx, "", -1, Place{}, -1)
	if n, nerr := d.Messages(ctx); err != nil || nerr != nil || len(all) != n || n == 0 {
		t.Fatalf("%d of %d, %v, %v", len(all), n, err, nerr)
	}
	for i, l := range all {
		if i > 0 && placeOf(&l.Header).compare(placeOf(&all[i-1].Header)) > 0 {
			t.Errorf("message %d is newer than the one before", i)
		}
	}
	for range 50 {
		since, topic, before, n := pickOne(g, all...).At, pickOne(g, "", "ci", "Ci", "other"), pickOne(g, all...), g.Intn(100)
		at, err := d.PlaceOf(ctx, before.ID)
		if err != nil {
			t.Fatal(err)
		}
		var want []Letter
		for _, l := range all {
			if l.At > since && (topic == "" || strings.EqualFold(l.Topic, topic)) && placeOf(&l.Header).compare(at.p) < 0 && len(want) < n {
				want = append(want, l)
			}
		}
		if got, err := d.Recent(ctx, topic, since, at, n); err != nil || ids(got) != ids(want) {
			t.Errorf("%q since %v, %d: %d messages, want %d, %v", topic, since, n, len(got), len(want), err)
		}
	}
}

func ids(list []Letter) string {
	var w strings.Builder
	for _, l := range list {
		w.WriteString(l.ID + " ")
	}
	return w.String()
}

// TestDamage: whatever happens to the file, it is stale or it answers.
func TestDamage(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole")
	g := &records{Rand: rand.New(rand.NewSource(2)), t: t, ms: 1795237442000, agents: []string{"0123456789", "abcdefghjk"}}
	for range 300 {
		g.add()
	}
	d, err := Create(ctx, whole)
	if err != nil {
		t.Fatal(err)
	}
	apply(t, d, "v", g.list, g.list)
	if err := d.Finish(ctx); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	use := func(file string) error {
		d, err := Open(ctx, file)
		if err != nil {
			return err
		}
		defer d.Close()
		return d.View(ctx, func() error {
			for _, a := range g.agents {
				if _, err := d.Inbox(ctx, a, Filter{Since: -1}, Place{}, -1); err != nil {
					return err
				}
			}
			if _, _, err := d.Search(ctx, Search{Query: "deploy", Rank: true}, Place{}, 20); err != nil {
				return err
			}
			_, err := d.Leases(ctx)
			return err
		})
	}
	if err := use(whole); err != nil {
		t.Fatalf("a whole file: %v", err)
	}
	rnd := rand.New(rand.NewSource(3))
	for i := range 200 {
		bad := slices.Clone(data)
		switch i % 5 {
		case 0:
			bad = bad[:rnd.Intn(len(bad))]
		case 1:
			for range 300 {
				bad[rnd.Intn(len(bad))] ^= byte(1 << rnd.Intn(8))
			}
		case 2:
			rnd.Read(bad[:100+rnd.Intn(4000)])
		case 3:
			at := 4096 * rnd.Intn(len(bad)/4096)
			rnd.Read(bad[at : at+4096])
		case 4:
			bad = []byte("not a database")[:rnd.Intn(15)]
		}
		file := filepath.Join(dir, fmt.Sprint("bad", i))
		if err := os.WriteFile(file, bad, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := use(file); err != nil && !strings.Contains(err.Error(), ErrStale.Error()) {
			t.Errorf("damage %d: %v, which is not ErrStale", i, err)
		}
		os.Remove(file)
	}
	if err := use(filepath.Join(dir, "none")); err == nil {
		t.Error("a file that is not there opens")
	}
}

// TestRankedFindsTheSame: above the gate too, what is ranked is what the query finds. A subject counts for
// more, but what is under NOT is not looked for in the subject alone.
func TestRankedFindsTheSame(t *testing.T) {
	d := open(t)
	letter := func(i int, subject, body string) Entry {
		return entry(t, "q3k9xd2m7a", &mail.Message{
			Header: mail.Header{V: 1, ID: fmt.Sprintf("%010d", i), Seq: int64(i), HLC: mail.Stamp{MS: int64(1795237442000 + i)}, At: mail.Time(1795237442000 + i), By: "7qz3m1xk0a"},
			To:     []string{"8qz3m1xk0a"}, ToNames: []string{"B"}, FromName: "A", Importance: "normal", Subject: subject, Body: body})
	}
	var all []Entry
	for i := 1; i <= gate+100; i++ {
		all = append(all, letter(i, "filler", "it is needed now"))
	}
	all = append(all, letter(gate+101, "now or never", "but bad"), letter(gate+102, "now", "and good"))
	best := all[len(all)-1].Record.Head().ID
	apply(t, d, "v", all, all)
	for _, q := range []string{"now NOT bad", "now NOT body:bad", "now AND NOT (bad OR worse)"} {
		list, _, err := d.Search(context.Background(), Search{Query: q, Rank: true}, Place{}, 3)
		if err != nil || len(list) != 3 || list[0].ID != best {
			t.Errorf("%q: %v, %v", q, list, err)
		}
		for _, l := range list {
			if l.Subject == "now or never" {
				t.Errorf("%q finds %q", q, l.Subject)
			}
		}
	}
}
