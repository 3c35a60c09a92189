package mailbox

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

// TestTopic: a topic is open to everybody, but for blind copies.
func TestTopic(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green, red := w.agent("BlueLake"), w.agent("GreenCastle"), w.agent("RedHill")
	var sent []string
	for _, topic := range []string{"ci", "CI", "", "other", "cI"} {
		w.pass(time.Second)
		sent = append(sent, w.deliver(blue, Draft{To: []string{"GreenCastle"}, BCC: []string{"RedHill"}, Subject: topic, Body: "body of " + topic, Topic: topic}))
	}
	for name, tc := range map[string]struct {
		who  Actor
		q    TopicQuery
		want []string
	}{
		"all":          {green, TopicQuery{Topic: " Ci ", Page: Page{N: 50}}, []string{sent[4], sent[1], sent[0]}},
		"a stranger":   {Actor{Kind: IsUnidentified}, TopicQuery{Topic: "ci", Page: Page{N: 50}}, []string{sent[4], sent[1], sent[0]}},
		"clamped":      {red, TopicQuery{Topic: "ci"}, []string{sent[4]}},
		"clamped more": {red, TopicQuery{Topic: "ci", Page: Page{N: -5}}, []string{sent[4]}},
		"cut":          {red, TopicQuery{Topic: "ci", Page: Page{N: 5000, Before: sent[4]}}, []string{sent[1], sent[0]}},
		"since":        {red, TopicQuery{Topic: "ci", Since: w.at.Add(-4 * time.Second), Page: Page{N: 9}}, []string{sent[4], sent[1]}},
		"none":         {red, TopicQuery{Topic: "nothing", Page: Page{N: 9}}, nil},
	} {
		tc.q.Bodies = name == "all"
		list, err := w.box.Topic(w.ctx, tc.who, tc.q)
		var got []string
		for _, m := range list {
			got = append(got, m.ID)
			if len(m.BCC) != 0 || (m.BodyMD != nil) != tc.q.Bodies || tc.q.Bodies && *m.BodyMD != "body of "+m.Subject {
				t.Errorf("%s: %+v", name, m)
			}
		}
		if err != nil || list == nil || !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q, want %q, %v", name, got, tc.want, err)
		}
	}
	if list, err := w.box.Topic(w.ctx, blue, TopicQuery{Topic: "other", Page: Page{N: 1}}); err != nil || !slices.Equal(list[0].BCC, []string{"RedHill"}) {
		t.Errorf("the sender sees %+v, %v", list, err)
	}
	for _, topic := range []string{"", " ", "a b", "ü", strings.Repeat("x", 65)} {
		_, err := w.box.Topic(w.ctx, blue, TopicQuery{Topic: topic})
		mustCode(t, err, mail.Invalid, "INVALID_TOPIC")
	}
	bad, _ := w.box.Who(w.ctx, Caller{As: "Nobody"})
	_, err := w.box.Topic(w.ctx, bad, TopicQuery{Topic: "ci"})
	wantCode(t, err, mail.NotFound)
}

// TestReadMessage: looking at a message marks it for whom it was sent to, and for nobody
// else.
func TestReadMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green, red := w.agent("BlueLake"), w.agent("GreenCastle"), w.agent("RedHill")
	id := w.deliver(blue, Draft{To: []string{"GreenCastle"}, BCC: []string{"RedHill"}, Subject: "s", Body: "text"})
	look := func(who Actor, read, ack bool) Message {
		t.Helper()
		m, err := w.box.ReadMessage(w.ctx, who, id[:6], read, ack)
		shown, serr := w.box.Show(w.ctx, who, id)
		if err != nil || serr != nil {
			t.Fatal(err, serr)
		}
		got, _ := json.Marshal(m)
		want, _ := json.Marshal(shown)
		if string(got) != string(want) || *m.BodyMD != "text" {
			t.Errorf("read %s\nshown %s", got, want)
		}
		return m
	}
	state := func(m Message, agent string) string {
		i := slices.IndexFunc(m.Receipts, func(r Receipt) bool { return r.Agent == agent })
		if i < 0 {
			return "none"
		}
		return map[bool]string{true: "", false: "read"}[m.Receipts[i].ReadTS.Time().IsZero()] + map[bool]string{true: "", false: " ack"}[m.Receipts[i].AckTS.Time().IsZero()]
	}
	if got := state(look(green, false, false), "GreenCastle"); got != "" {
		t.Errorf("only looked at: %q", got)
	}
	first := look(green, true, false)
	w.pass(time.Minute)
	if again := look(green, true, false); state(first, "GreenCastle") != "read" || again.Receipts[0].ReadTS != first.Receipts[0].ReadTS {
		t.Errorf("%+v, then %+v", first.Receipts, again.Receipts)
	}
	if m := look(green, false, true); state(m, "GreenCastle") != "read ack" || m.Receipts[0].ReadTS != first.Receipts[0].ReadTS {
		t.Errorf("%+v", m.Receipts)
	}
	if m := look(red, true, true); state(m, "RedHill") != "read ack" {
		t.Errorf("a blind copy: %+v", m.Receipts)
	}
	// Others are shown it, and write nothing.
	before := w.in("for-each-ref", "refs/agentmail")
	for _, who := range []Actor{blue, w.person(), {Kind: IsUnidentified, Source: "test"}} {
		look(who, true, false)
		_, err := w.box.ReadMessage(w.ctx, who, id, true, true)
		if code := mail.CodeOf(err); code != mail.NotFound && code != mail.NoAgent {
			t.Errorf("%s acknowledges: %v", who.Kind, err)
		}
	}
	if after := w.in("for-each-ref", "refs/agentmail"); after != before {
		t.Error("something was written")
	}
	_, err := w.box.ReadMessage(w.ctx, green, "zzzzzzzzzz", true, false)
	wantCode(t, err, mail.NotFound)
}

// TestSearchMailbox: the best come first, with what was found marked in whatever
// characters.
func TestSearchMailbox(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	w.agent("RedHill")
	w.deliver(blue, Draft{To: []string{"GreenCastle"}, BCC: []string{"RedHill"}, Subject: "Über Łódź", Body: "nothing here but deploy, once, among many other words that say something else"})
	w.deliver(green, Draft{To: []string{"BlueLake"}, CC: []string{"RedHill"}, Subject: "Deploy 数据库", Body: "deploy <b>it</b>", AckRequired: true})
	w.deliver(green, Draft{To: []string{"GreenCastle"}, Subject: "other", Body: "unrelated"})
	find := func(who Actor, q SearchQuery, bodies bool) []MailboxHit {
		t.Helper()
		hits, err := w.box.SearchMailbox(w.ctx, who, q, bodies)
		if err != nil || hits == nil {
			t.Fatalf("%+v, %v", hits, err)
		}
		return hits
	}
	hits := find(blue, SearchQuery{Query: "deploy"}, true)
	if len(hits) != 2 || hits[0].Subject != "Deploy 数据库" || hits[0].RelevanceScore != 1 || hits[1].RelevanceScore >= 1 || hits[1].RelevanceScore < 0 ||
		hits[0].SubjectSnippet != "<mark>Deploy</mark> 数据库" || hits[0].BodySnippet != "<mark>deploy</mark> <b>it</b>" || *hits[0].BodyMD != "deploy <b>it</b>" ||
		hits[0].InGlobalInbox || !slices.Equal(hits[1].BCC, []string{"RedHill"}) || !slices.Equal(hits[0].CC, []string{"RedHill"}) {
		t.Errorf("%+v", hits)
	}
	if hits := find(green, SearchQuery{Query: "数据 OR łódź"}, false); len(hits) != 2 || hits[0].BodyMD != nil || hits[1].BodyMD != nil ||
		!strings.Contains(hits[0].SubjectSnippet+hits[1].SubjectSnippet, "<mark>数据</mark>库") || !strings.Contains(hits[0].SubjectSnippet+hits[1].SubjectSnippet, "<mark>Łódź</mark>") ||
		len(hits[0].BCC)+len(hits[1].BCC) != 0 {
		t.Errorf("%+v", hits)
	}
	for name, n := range map[string]int{"BlueLake": 2, "greencastle": 2, "RedHill": 1} { // of a blind copy nothing is told
		if hits := find(blue, SearchQuery{Query: "deploy", With: name}, false); len(hits) != n {
			t.Errorf("with %s: %d", name, len(hits))
		}
	}
	for _, q := range []string{"", "*", "AND", "NOT x", `"open`, "((", "-", "a AND"} {
		find(blue, SearchQuery{Query: q}, true)
	}
	_, err := w.box.SearchMailbox(w.ctx, blue, SearchQuery{Query: "x", With: "Nobody"}, true)
	if e := mustCode(t, err, mail.NotFound, "agent_filter_not_found"); !strings.Contains(e.Message, "not found") {
		t.Error(e.Message)
	}
	_, err = w.box.SearchMailbox(w.ctx, blue, SearchQuery{Query: "x", Page: Page{N: -1}}, true)
	mustCode(t, err, mail.Invalid, "INVALID_LIMIT")
	// A search for the list has the contract's number for a yes.
	list, err := w.box.Search(w.ctx, blue, SearchQuery{Query: "deploy", Rank: true})
	data, jerr := json.Marshal(list)
	if err != nil || jerr != nil || !strings.Contains(string(data), `"ack_required":1`) || !strings.Contains(string(data), `"ack_required":0`) {
		t.Errorf("%s, %v, %v", data, err, jerr)
	}
}

func TestNewPage(t *testing.T) {
	t.Parallel()
	for n, ok := range map[int]bool{-1: false, 0: false, 1: true, 1000: true, 1 << 30: true} {
		p, err := NewPage("limit", n)
		if ok != (err == nil) || ok && p.N != n {
			t.Errorf("%d: %+v, %v", n, p, err)
		}
		if err != nil {
			if e := mustCode(t, err, mail.Invalid, "INVALID_LIMIT"); e.Details["argument"] != "limit" {
				t.Errorf("%v", e.Details)
			}
		}
	}
}
