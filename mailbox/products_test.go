package mailbox

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

// summary is a digest that shows what it was given.
func summary(messages []*mail.Message, name func(string) string, _ int) mail.Summary {
	s := mail.Summary{TotalMessages: len(messages)}
	for _, m := range messages {
		s.Participants = append(s.Participants, name(m.By))
		s.KeyPoints = append(s.KeyPoints, m.Body)
	}
	return s
}

// shop is a product of the world's repository and another, in both of which BlueLake and
// GreenCastle are registered.
type shop struct {
	*world
	p     *Projects
	there *world
}

func newShop(t *testing.T) shop {
	w := newWorld(t)
	there := &world{t: t, dir: w.another("backend"), env: w.env, at: w.at, ctx: w.ctx}
	there.box = there.open(there.dir)
	p := NewProjects(Options{Dir: w.dir, Environ: w.env, Now: func() time.Time { return w.at }, Report: func(s string) { t.Log("note: " + s) },
		Digest: Digest{Summarize: summary, Aggregate: func([]mail.Summary, int) mail.Overview { return mail.Overview{} }}})
	t.Cleanup(p.Close)
	s := shop{w, p, there}
	if _, err := p.EnsureProduct(w.ctx, "", "shop"); err != nil {
		t.Fatal(err)
	}
	for _, x := range []*world{w, there} {
		x.agent("BlueLake")
		x.agent("GreenCastle")
		s.link("shop", x)
	}
	return s
}

func (s shop) link(product string, w *world) {
	s.t.Helper()
	b, release, err := s.p.Open(s.ctx, w.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	defer release()
	r, err := s.p.LinkProduct(s.ctx, product, b, w.as("BlueLake"))
	if err != nil || !r.Linked || r.Product.Name != "shop" || r.Project != w.box.Project() {
		s.t.Fatalf("%+v, %v", r, err)
	}
}

func (s shop) members(key string) []string {
	s.t.Helper()
	v, err := s.p.Product(s.ctx, key)
	if err != nil {
		s.t.Fatal(err)
	}
	var dirs []string
	for _, p := range v.Projects {
		dirs = append(dirs, p.HumanKey)
	}
	slices.Sort(dirs)
	return dirs
}

func TestEnsureProduct(t *testing.T) {
	w := newWorld(t)
	p := w.projects()
	made, err := p.EnsureProduct(w.ctx, "", "The Shop")
	if err != nil || made.Name != "The Shop" || len(made.ProductUID) != 20 || !mail.IsProductUID(made.ProductUID) || made.ID != made.ProductUID || made.CreatedAt.Time().IsZero() {
		t.Fatalf("%+v, %v", made, err)
	}
	for _, tt := range [][2]string{{"", "The Shop"}, {"The Shop", ""}, {made.ProductUID, ""}, {strings.ToUpper(made.ProductUID), "else"}, {"unknown", "The Shop"}} {
		if got, err := p.EnsureProduct(w.ctx, tt[0], tt[1]); err != nil || got != made {
			t.Errorf("%q: %+v, %v", tt, got, err)
		}
	}
	if got, err := p.EnsureProduct(w.ctx, "DEADBEEF", "second"); err != nil || got.ProductUID != "deadbeef" || got.Name != "second" {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := p.EnsureProduct(w.ctx, "third", ""); err != nil || got.Name != "third" || got.ProductUID == "third" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range [][2]string{{"", ""}, {" ", ""}, {"a\nb", ""}, {"", strings.Repeat("x", 300)}} {
		_, err := p.EnsureProduct(w.ctx, bad[0], bad[1])
		mustCode(t, err, mail.Invalid, "INVALID_ARGUMENT")
	}
	for _, key := range []string{"", "YOUR_PROJECT", strings.Repeat("x", maxProductName+1), "a\nb"} {
		// Where one is asked for, what is wrong is said of a product and not of a repository.
		if _, err := p.Product(w.ctx, key); !strings.Contains(fmt.Sprint(err), "product") || strings.Contains(fmt.Sprint(err, mail.AsError(err).Hints), "git rev-parse") {
			t.Errorf("%q: %v, %v", key, err, mail.AsError(err).Hints)
		}
		_, err := p.Product(w.ctx, key)
		wantCode(t, err, mail.Invalid)
	}
	_, err = p.EnsureProduct(w.ctx, "YOUR_PROJECT", "")
	mustCode(t, err, mail.Invalid, "CONFIGURATION_ERROR")
	_, err = p.Product(w.ctx, "The Shpo")
	if e := mustCode(t, err, mail.NotFound, "NOT_FOUND"); !strings.Contains(e.Message, "not found") || fmt.Sprint(e.Details["suggestions"]) != "[The Shop]" {
		t.Errorf("%q %v", e.Message, e.Details)
	}
	_, err = w.projects(w.dir).Product(w.ctx, "The Shpo")
	if e := mustCode(t, err, mail.NotFound, "NOT_FOUND"); e.Details["suggestions"] != nil {
		t.Errorf("below a root a product is told of that has nothing there: %v", e.Details)
	}
	// Several at once make one.
	uids := make([]string, 6)
	var all sync.WaitGroup
	for i := range uids {
		all.Go(func() {
			got, err := w.projects().EnsureProduct(w.ctx, "", "race")
			if err != nil {
				t.Error(err)
			}
			uids[i] = got.ProductUID
		})
	}
	all.Wait()
	if len(slices.Compact(uids)) != 1 {
		t.Errorf("made %v", uids)
	}
}

// TestProductLinks: links lie in the logs. They survive the list of names, and every
// reader of the log finds them.
func TestProductLinks(t *testing.T) {
	s := newShop(t)
	want := []string{s.there.dir, s.dir}
	slices.Sort(want)
	if got := s.members("shop"); !slices.Equal(got, want) {
		t.Errorf("members %v", got)
	}
	v, err := s.p.Product(s.ctx, "shop")
	if err != nil {
		t.Fatal(err)
	}
	before := s.there.in("rev-parse", "refs/agentmail/log/"+s.there.own())
	s.link(v.ProductUID, s.there) // again
	if after := s.there.in("rev-parse", "refs/agentmail/log/"+s.there.own()); after != before {
		t.Error("linking again wrote something")
	}
	if err := os.Remove(s.p.registryFile()); err != nil {
		t.Fatal(err)
	}
	for _, dir := range want {
		if _, err := s.p.Ensure(s.ctx, dir); err != nil {
			t.Fatal(err)
		}
	}
	again, err := s.p.Product(s.ctx, v.ProductUID)
	if err != nil || again.Name != "shop" || len(again.Projects) != 2 {
		t.Errorf("%+v, %v", again, err)
	}
	if got, err := s.p.EnsureProduct(s.ctx, "shop", ""); err != nil || got.ProductUID != v.ProductUID {
		t.Errorf("%+v, %v", got, err)
	}
	rows, err := s.box.Log(s.ctx, s.person(), LogQuery{})
	if err != nil || rows[0].Kind != "product" || rows[0].Agent != "BlueLake" || !strings.Contains(rows[0].Summary, "shop") {
		t.Errorf("%+v, %v", rows, err)
	}
	// Somebody whom nobody can name links too.
	b, release, err := s.p.Open(s.ctx, s.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if _, err := s.p.EnsureProduct(s.ctx, "", "other"); err != nil {
		t.Fatal(err)
	}
	who, err := b.Who(s.ctx, Caller{Client: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.p.LinkProduct(s.ctx, "other", b, who); err != nil {
		t.Error(err)
	}
	_, err = s.p.LinkProduct(s.ctx, "nothing", b, who)
	wantCode(t, err, mail.NotFound)
	// One that is gone is passed over.
	if err := os.RemoveAll(s.there.dir); err != nil {
		t.Fatal(err)
	}
	if got := s.members("shop"); !slices.Equal(got, []string{s.dir}) {
		t.Errorf("members %v", got)
	}
	// Roots hide what is outside them.
	p := NewProjects(Options{Dir: s.dir, Environ: s.env, Roots: []string{t.TempDir()}})
	defer p.Close()
	if v, err := p.Product(s.ctx, "shop"); err == nil && len(v.Projects) > 0 {
		t.Errorf("%+v", v)
	}
}

func (w *world) own() string {
	w.t.Helper()
	sn, err := w.box.snapshot(w.ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	return sn.Own()
}

func TestProductReading(t *testing.T) {
	s := newShop(t)
	for i := range 4 {
		w := []*world{s.world, s.there}[i%2]
		s.pass(time.Minute)
		s.there.at = s.at
		w.deliver(w.as("GreenCastle"), Draft{To: []string{"BlueLake"}, Subject: fmt.Sprint("token ", i), Body: fmt.Sprint("body ", i), Thread: "FEAT-1"})
	}
	s.there.agent("OnlyThere")
	s.there.send(s.there.as("GreenCastle"), "OnlyThere")
	hits, err := s.p.SearchProduct(s.ctx, "shop", SearchQuery{Query: "token"})
	var got []string
	for _, h := range hits {
		got = append(got, h.Subject+" "+filepath.Base(h.Project))
		if h.ProjectID == "" {
			t.Errorf("%+v", h)
		}
	}
	if err != nil || strings.Join(got, ",") != "token 3 backend,token 2 r,token 1 backend,token 0 r" {
		t.Errorf("%v, %v", got, err)
	}
	if hits, err := s.p.SearchProduct(s.ctx, "shop", SearchQuery{Query: "token", Page: Page{N: 1}}); err != nil || len(hits) != 1 || hits[0].Subject != "token 3" {
		t.Errorf("%+v, %v", hits, err)
	}
	inbox := func(name string, q InboxQuery) string {
		t.Helper()
		rows, err := s.p.InboxProduct(s.ctx, "shop", Caller{As: name, Client: true}, q)
		if err != nil {
			t.Fatal(err)
		}
		var list []string
		for _, r := range rows {
			list = append(list, r.Subject)
		}
		return strings.Join(list, ",")
	}
	for _, tt := range []struct {
		name string
		q    InboxQuery
		want string
	}{
		{"BlueLake", InboxQuery{}, "token 3,token 2,token 1,token 0"}, {"bluelake", InboxQuery{Page: Page{N: 3}}, "token 3,token 2,token 1"},
		{"OnlyThere", InboxQuery{}, "hello"}, {"Nobody", InboxQuery{}, ""}, {"BlueLake", InboxQuery{Urgent: true}, ""},
		{"BlueLake", InboxQuery{Since: s.at.Add(-90 * time.Second)}, "token 3,token 2"},
	} {
		if got := inbox(tt.name, tt.q); got != tt.want {
			t.Errorf("%s %+v: %s, want %s", tt.name, tt.q, got, tt.want)
		}
	}
	_, err = s.p.InboxProduct(s.ctx, "shop", Caller{Client: true}, InboxQuery{})
	wantCode(t, err, mail.NoAgent)
	_, err = s.p.InboxProduct(s.ctx, "shop", Caller{As: "BlueLake"}, InboxQuery{Page: Page{N: -1}})
	mustCode(t, err, mail.Invalid, "INVALID_LIMIT")

	sum, err := s.p.SummarizeProduct(s.ctx, "shop", "FEAT-1", SummaryQuery{Messages: 3}, true)
	if err != nil || sum.ThreadID != "FEAT-1" || sum.MessagesRead != 3 || strings.Join(sum.Summary.KeyPoints, ",") != ",body 1,body 2,body 3" ||
		slices.Compact(slices.Clone(sum.Summary.Participants))[0] != "GreenCastle" || len(sum.Examples) != 3 || sum.Examples[0].Subject != "token 3" || sum.Examples[0].From != "GreenCastle" {
		t.Errorf("%+v, %v", sum, err)
	}
	_, err = s.p.SummarizeProduct(s.ctx, "shop", "FEAT-2", SummaryQuery{}, false)
	mustCode(t, err, mail.NotFound, "NOT_FOUND")
	_, err = s.p.SummarizeProduct(s.ctx, "shop", "not a thread", SummaryQuery{}, false)
	mustCode(t, err, mail.Invalid, "INVALID_THREAD_ID")
	_, err = s.p.SummarizeProduct(s.ctx, "nothing", "FEAT-1", SummaryQuery{}, false)
	mustCode(t, err, mail.NotFound, "NOT_FOUND")

	// Of a product without projects there is nothing to say.
	if _, err := s.p.EnsureProduct(s.ctx, "", "empty"); err != nil {
		t.Fatal(err)
	}
	if hits, err := s.p.SearchProduct(s.ctx, "empty", SearchQuery{Query: "token"}); err != nil || len(hits) != 0 {
		t.Errorf("%+v, %v", hits, err)
	}
	// A clone that has the same mail shows it once.
	c := s.clone()
	c.agent("RedFox")
	b, release, err := s.p.Open(s.ctx, c.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if _, err := s.p.LinkProduct(s.ctx, "shop", b, c.as("RedFox")); err != nil {
		t.Fatal(err)
	}
	if hits, err := s.p.SearchProduct(s.ctx, "shop", SearchQuery{Query: "token"}); err != nil || len(hits) != 4 || len(s.members("shop")) != 3 {
		t.Errorf("%+v, %v", hits, err)
	}
	// A broken one does not hide the others.
	if err := os.WriteFile(filepath.Join(c.dir, ".git", "refs", "agentmail", "log", c.own()), []byte("rubbish\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if hits, err := s.p.SearchProduct(s.ctx, "shop", SearchQuery{Query: "token"}); err != nil || len(hits) != 4 {
		t.Errorf("%+v, %v", hits, err)
	}
}
