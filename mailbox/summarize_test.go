package mailbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/git-agentmail/git-agentmail/mail/digest"
)

// summarizing gives a world's mailbox what the second program has.
func summarizing(t *testing.T) *world {
	w := newWorld(t)
	w.box.opt.Digest = Digest{Summarize: digest.Summarize, Aggregate: digest.Aggregate}
	return w
}

// TestSummarizeThread: it is the thread that Thread shows, by every key, and of its
// messages the newest are read.
func TestSummarizeThread(t *testing.T) {
	t.Parallel()
	w := summarizing(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	id := w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "s", Body: "- point 0"})
	for i := range 5 {
		w.pass(time.Second)
		if _, err := w.box.Reply(w.ctx, green, id, ReplyDraft{Body: fmt.Sprintf("- point %d", i+1)}); err != nil {
			t.Fatal(err)
		}
	}
	named := w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "n", Body: "- [ ] do it", Thread: "FEAT-1"})
	for _, key := range []string{id, id[:5], strings.ToUpper(id), "FEAT-1", named, "FEAT-2", "feat-1", "", "zzzz", "zzzzzzzzzz", "a b"} {
		v, want := w.box.Thread(w.ctx, blue, key, Page{})
		s, err := w.box.SummarizeThread(w.ctx, blue, key, SummaryQuery{})
		if mail.CodeOf(err) != mail.CodeOf(want) || err == nil && (s.ThreadID != v.ThreadID || s.Summary.TotalMessages != len(v.Messages) || s.Refinement != nil) {
			t.Errorf("%q: %+v, %v; the thread has %d messages, %v", key, s, err, len(v.Messages), want)
		}
	}
	for n, want := range map[int]int{0: 6, 1: 1, 2: 2, 6: 6, 7: 6, 1 << 30: 6} {
		s, err := w.box.SummarizeThread(w.ctx, blue, id, SummaryQuery{Messages: n})
		if err != nil || s.MessagesRead != want || s.Summary.TotalMessages != 6 || len(s.Summary.KeyPoints) != want ||
			s.Summary.KeyPoints[want-1] != "point 5" || !slices.Equal(s.Summary.Participants, []string{"BlueLake", "GreenCastle"}) {
			t.Errorf("limit %d: %+v, %v", n, s, err)
		}
	}
	_, err := w.box.SummarizeThread(w.ctx, blue, "FEAT-2", SummaryQuery{})
	if e := mail.AsError(err); !strings.Contains(strings.Join(e.Hints, "\n"), "git agentmail thread FEAT-1") || !reflect.DeepEqual(e.Details["suggestions"], []string{"FEAT-1"}) {
		t.Errorf("%v, %q, %v", err, e.Hints, e.Details)
	}
	for _, q := range []SummaryQuery{{Messages: -1}, {Tokens: -1}, {Threads: -1}} {
		_, err := w.box.SummarizeThread(w.ctx, blue, id, q)
		mustCode(t, err, mail.Invalid, "INVALID_LIMIT")
		_, err = w.box.SummarizePath(w.ctx, blue, "a", q)
		mustCode(t, err, mail.Invalid, "INVALID_LIMIT")
	}
	// Whoever may not read a thread may read no summary; who may, may.
	bad, _ := w.box.Who(w.ctx, Caller{As: "Nobody"})
	if _, err := w.box.Thread(w.ctx, bad, id, Page{}); err != nil {
		_, err = w.box.SummarizeThread(w.ctx, bad, id, SummaryQuery{})
		wantCode(t, err, mail.CodeOf(bad.err))
		_, err = w.box.SummarizeThreads(w.ctx, bad, nil, SummaryQuery{})
		wantCode(t, err, mail.CodeOf(bad.err))
		_, err = w.box.SummarizePath(w.ctx, bad, "a", SummaryQuery{})
		wantCode(t, err, mail.CodeOf(bad.err))
	}
	if _, err := w.box.SummarizeThread(w.ctx, Actor{Kind: IsUnidentified}, id, SummaryQuery{}); err != nil {
		t.Error(err)
	}
	// A program that makes none says so.
	_, err = w.open(w.dir).SummarizeThread(w.ctx, blue, id, SummaryQuery{})
	wantCode(t, err, mail.Internal)
}

// TestSummarizeThreads: several threads, each once, and a bound for all of them.
func TestSummarizeThreads(t *testing.T) {
	t.Parallel()
	w := summarizing(t)
	blue := w.agent("BlueLake")
	var keys []string
	for i := range 4 {
		keys = append(keys, fmt.Sprint("T-", i))
		for j := range 3 {
			w.deliver(blue, Draft{To: []string{"BlueLake"}, Subject: "s", Thread: keys[i], Body: fmt.Sprintf("- point %d.%d\n- [ ] open %d.%d\n- [x] done %d.%d\n\n@Name%d", i, j, i, j, i, j, j)})
		}
	}
	whole, err := w.box.SummarizeThreads(w.ctx, blue, append(keys, "T-2", "T-0"), SummaryQuery{})
	if err != nil || len(whole.Threads) != 4 || whole.Threads[2].ThreadID != "T-2" || len(whole.Aggregate.KeyPoints) != 12 || whole.Refinement != nil {
		t.Fatalf("%+v, %v", whole, err)
	}
	one, err := w.box.SummarizeThread(w.ctx, blue, "T-1", SummaryQuery{})
	if err != nil || !reflect.DeepEqual(one, whole.Threads[1]) {
		t.Errorf("alone %+v, %v, among others %+v", one, err, whole.Threads[1])
	}
	for budget := 1; budget < 1200; budget += 13 {
		s, err := w.box.SummarizeThreads(w.ctx, blue, keys, SummaryQuery{Tokens: budget})
		if err != nil {
			t.Fatal(err)
		}
		size, entries := tokens(s.Aggregate), len(s.Aggregate.KeyPoints)+len(s.Aggregate.ActionItems)+len(s.Aggregate.TopMentions)
		if size > max(1, budget/2) && entries > 0 {
			t.Fatalf("%d tokens: the whole has %d", budget, size)
		}
		for _, th := range s.Threads {
			n := len(th.Summary.KeyPoints) + len(th.Summary.ActionItems) + len(th.Summary.Mentions)
			if tokens(th.Summary) > max(1, budget/2/4) && n > 0 {
				t.Fatalf("%d tokens: %s has %d", budget, th.ThreadID, tokens(th.Summary))
			}
			if th.Summary.TotalMessages != 3 || th.Summary.OpenActions != 3 {
				t.Fatalf("%d tokens: %+v", budget, th)
			}
		}
	}
	// What the threads lose, the whole does not.
	s, err := w.box.SummarizeThreads(w.ctx, blue, keys, SummaryQuery{Tokens: 200})
	if err != nil || len(s.Threads[0].Summary.KeyPoints) > 0 || len(s.Aggregate.KeyPoints) == 0 {
		t.Errorf("%+v, %v", s, err)
	}
	none, err := w.box.SummarizeThreads(w.ctx, blue, nil, SummaryQuery{Refine: true, Tokens: 5})
	data, jerr := json.Marshal(none)
	if err != nil || jerr != nil || string(data) != `{"threads":[],"aggregate":{"top_mentions":[],"action_items":[],"key_points":[]}}` {
		t.Errorf("of nothing: %s, %v, %v", data, err, jerr)
	}
	_, err = w.box.SummarizeThreads(w.ctx, blue, []string{"T-1", "T-9"}, SummaryQuery{})
	wantCode(t, err, mail.NotFound)
}

// TestSummarizePath: the threads are those of the messages that the log has for the
// path, in its order; the reservations are those that are live.
func TestSummarizePath(t *testing.T) {
	t.Parallel()
	w := summarizing(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	say := func(thread, body string) string {
		w.pass(time.Second)
		return w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "s", Thread: thread, Body: body})
	}
	say("OLD", "see src/a.go:3")
	alone := say("", "`src/a.go`")
	w.pass(time.Second)
	if _, err := w.box.Reply(w.ctx, green, alone, ReplyDraft{Body: "- a reply that names nothing"}); err != nil {
		t.Fatal(err)
	}
	w.pass(time.Second)
	w.many(blue, namingAtOnce+10, func(i int) Draft { // more than one look, all of one thread
		return Draft{To: []string{"GreenCastle"}, Subject: "s", Thread: "BUSY", Body: fmt.Sprintf("src/a.go again, for the time %d", i)}
	})
	say("LOW", "src/b.go and src/a.gob, not that file, nor the words src, a and go")
	say("NEAR", "xsrc/a.go and src/a.gox")
	for _, tt := range []struct {
		path string
		want []string
	}{
		{"src/a.go", []string{"BUSY", alone, "OLD"}},
		{"./src//a.go", []string{"BUSY", alone, "OLD"}},
		{"src/b.go", []string{"LOW"}},
		{"src", []string{"NEAR", "LOW", "BUSY", alone, "OLD"}},
		{"src/", []string{"NEAR", "LOW", "BUSY", alone, "OLD"}},
		{"nowhere", nil},
	} {
		rows, err := w.box.Log(w.ctx, blue, LogQuery{Path: tt.path, Page: Page{N: MaxLimit}})
		if err != nil {
			t.Fatal(err)
		}
		var logged []string
		for _, e := range rows {
			if e.Kind == "message" && !slices.Contains(logged, e.Thread) {
				logged = append(logged, e.Thread)
			}
		}
		for n := range 7 {
			s, err := w.box.SummarizePath(w.ctx, blue, tt.path, SummaryQuery{Threads: n})
			var got []string
			for _, th := range s.Threads {
				got = append(got, th.ThreadID)
			}
			most := len(tt.want)
			if n > 0 {
				most = min(n, most)
			}
			if err != nil || !slices.Equal(got, tt.want[:most]) || !slices.Equal(logged, tt.want) || s.More != (most < len(tt.want)) {
				t.Errorf("%s, %d threads: %q, more %v, %v; want %q of %q; the log has %q", tt.path, n, got, s.More, err, tt.want[:most], tt.want, logged)
			}
		}
	}
	s, err := w.box.SummarizePath(w.ctx, blue, "src/a.go", SummaryQuery{})
	if err != nil || s.Threads[1].Summary.TotalMessages != 2 || s.Threads[0].MessagesRead != DefaultSummaryMessages || len(s.Reservations) != 0 {
		t.Errorf("%+v, %v", s, err)
	}

	w.hold(blue, "src/**")
	w.pass(time.Second)
	w.hold(blue, "docs")
	w.pass(time.Second)
	w.hold(green, "other/a.go")
	gone := w.hold(green, "lib/x.go")
	if _, err := w.box.Release(w.ctx, green, LeaseFilter{IDs: gone}); err != nil {
		t.Fatal(err)
	}
	held := func(path string) (list []string) {
		s, err := w.box.SummarizePath(w.ctx, blue, path, SummaryQuery{})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range s.Reservations {
			list = append(list, r.PathPattern)
		}
		return list
	}
	for path, want := range map[string][]string{
		"src/a.go": {"src/**"}, "src/": {"src/**"}, "src/new/": {"src/**"}, "docs/x": {"docs"}, "docs": {"docs"},
		"other/": {"other/a.go"}, "other/a.go": {"other/a.go"}, "other/b.go": nil, "lib/x.go": nil, "srcs": nil, ".": {"other/a.go", "docs", "src/**"},
	} {
		if got := held(path); !slices.Equal(got, want) {
			t.Errorf("%q is held by %q, want %q", path, got, want)
		}
	}
	w.pass(2 * time.Hour)
	if got := held("src/a.go"); got != nil {
		t.Errorf("after they lapsed: %q", got)
	}
	for _, path := range []string{"", "../x"} {
		_, err := w.box.SummarizePath(w.ctx, blue, path, SummaryQuery{})
		wantCode(t, err, mail.Invalid)
	}
}

// TestRefine: a language model may word two lists, and nothing that it does or does not
// do spoils the answer.
func TestRefine(t *testing.T) {
	t.Parallel()
	w := summarizing(t)
	blue := w.agent("BlueLake")
	for i := range 3 {
		w.pass(time.Second)
		w.deliver(blue, Draft{To: []string{"BlueLake"}, Subject: "s", Thread: "T-1", Body: fmt.Sprintf("- point %d\n- [ ] open %d\n\nsrc/a.go @Name", i, i)})
	}
	plain, err := w.box.SummarizeThread(w.ctx, blue, "T-1", SummaryQuery{Messages: 2})
	if err != nil {
		t.Fatal(err)
	}
	s, err := w.box.SummarizeThread(w.ctx, blue, "T-1", SummaryQuery{Messages: 2, Refine: true})
	if err != nil || s.Refinement == nil || s.Refined || s.RefineError == "" || !reflect.DeepEqual(s.Summary, plain.Summary) {
		t.Errorf("with nobody to ask: %+v, %v", s, err)
	}
	var asked int
	var got mail.Rewording
	var answer func() ([]string, []string, error)
	w.box.opt.Digest.Refine = func(_ context.Context, getenv func(string) string, r mail.Rewording) ([]string, []string, error) {
		asked++
		got = r
		if getenv("HOME") == "" {
			t.Error("the environment is another")
		}
		return answer()
	}
	if _, err := w.box.SummarizeThread(w.ctx, blue, "T-1", SummaryQuery{}); err != nil || asked != 0 {
		t.Errorf("asked %d times without being told to, %v", asked, err)
	}

	answer = func() ([]string, []string, error) {
		return nil, nil, errors.New("it\nfailed\x1b " + strings.Repeat("x", 500))
	}
	s, err = w.box.SummarizeThread(w.ctx, blue, "T-1", SummaryQuery{Messages: 2, Refine: true})
	if err != nil || s.Refined || !strings.HasPrefix(s.RefineError, "it failed") || len(s.RefineError) > 210 || !reflect.DeepEqual(s.Summary, plain.Summary) {
		t.Errorf("after a failure: %+v, %v", s, err)
	}
	if len(got.Messages) != 2 || got.Messages[0].Body == "" || got.Name(got.Messages[0].By) != "BlueLake" || got.Most != mail.SummaryEntries ||
		!slices.Equal(got.KeyPoints, plain.Summary.KeyPoints) || !slices.Equal(got.ActionItems, plain.Summary.ActionItems) {
		t.Errorf("asked with %+v", got)
	}

	many := func(what string) (list []string) {
		for i := range 40 {
			list = append(list, fmt.Sprint(what, i))
		}
		return list
	}
	answer = func() ([]string, []string, error) { return many("point "), many("[ ] open "), nil }
	s, err = w.box.SummarizeThread(w.ctx, blue, "T-1", SummaryQuery{Messages: 2, Refine: true})
	want := plain.Summary
	want.KeyPoints, want.ActionItems = many("point ")[:10], many("[ ] open ")[:10]
	if err != nil || !s.Refined || s.RefineError != "" || !reflect.DeepEqual(s.Summary, want) {
		t.Errorf("refined: %+v, %v", s, err)
	}
	all, err := w.box.SummarizeThreads(w.ctx, blue, []string{"T-1"}, SummaryQuery{Messages: 2, Refine: true})
	if err != nil || !all.Refined || len(all.Aggregate.KeyPoints) != 25 || !reflect.DeepEqual(all.Threads[0], plain) {
		t.Errorf("several: %+v, %v", all, err)
	}
	for budget := 1; budget < 200; budget += 7 {
		s, err := w.box.SummarizeThread(w.ctx, blue, "T-1", SummaryQuery{Refine: true, Tokens: budget})
		if n := len(s.Summary.KeyPoints) + len(s.Summary.ActionItems); err != nil || n > 0 && tokens(s.Summary) > budget || s.Summary.KeyPoints == nil {
			t.Fatalf("%d tokens: %d with %+v, %v", budget, tokens(s.Summary), s, err)
		}
		if len(s.Summary.ActionItems) < 10 && len(s.Summary.KeyPoints) > 0 {
			t.Fatalf("%d tokens: actions are dropped before points", budget)
		}
	}
	data, err := json.Marshal(all)
	if err != nil || !strings.Contains(string(data), `"refined":true`) || strings.Contains(string(data), "refine_error") || strings.Count(string(data), "refined") != 1 {
		t.Errorf("%s, %v", data, err)
	}

	ctx, cancel := context.WithCancel(w.ctx)
	answer = func() ([]string, []string, error) { cancel(); return nil, nil, ctx.Err() }
	_, err = w.box.SummarizeThread(ctx, blue, "T-1", SummaryQuery{Refine: true})
	wantCode(t, err, mail.Cancelled)
}
