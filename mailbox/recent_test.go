package mailbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

// TestSummarizeRecent: what was said in the window is summarized once, kept, and given
// again as long as its ends are about the same.
func TestSummarizeRecent(t *testing.T) {
	t.Parallel()
	w := summarizing(t)
	blue := w.agent("BlueLake")
	w.agent("GreenCastle")
	dir := filepath.Join(w.dir, ".git", "agentmail-cache", summariesDir)
	ask := func(hours float64) RecentSummary {
		t.Helper()
		s, err := w.box.SummarizeRecent(w.ctx, blue, RecentQuery{Hours: hours})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	none := ask(1)
	if _, err := os.Stat(dir); none.ID != nil || none.Cached || none.MessageCount != 0 || none.ThreadIDs == nil || !strings.Contains(none.SummaryText, `"total_messages":0`) || err == nil {
		t.Fatalf("of nothing: %+v, stored: %v", none, err)
	}
	w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "old", Body: "- old point", Thread: "OLD"})
	w.pass(3 * time.Hour)
	id := w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "a", Body: "- point a"})
	w.pass(time.Minute)
	w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "b", Body: "- [ ] act", Thread: "NEW"})
	w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "c", Body: "- point c", Thread: "NEW"})
	first := ask(1)
	var sum mail.Summary
	if err := json.Unmarshal([]byte(first.SummaryText), &sum); err != nil {
		t.Fatal(err)
	}
	if first.ID == nil || first.Cached || first.MessageCount != 3 || !slices.Equal(first.ThreadIDs, []string{"NEW", id}) || first.LLMModel != nil || first.CostUSD != nil ||
		sum.TotalMessages != 3 || !slices.Equal(sum.KeyPoints, []string{"point a", "point c"}) || sum.OpenActions != 1 ||
		first.EndTS.Time().Sub(first.StartTS.Time()) != time.Hour || !first.EndTS.Time().Equal(w.at) {
		t.Errorf("%+v", first)
	}
	again := func(want bool, hours float64) {
		t.Helper()
		s := ask(hours)
		if s.Cached != want || (*s.ID == *first.ID) != want || s.Cached && s.SummaryText != first.SummaryText {
			t.Errorf("%+v", s)
		}
	}
	w.pass(4 * time.Minute)
	again(true, 1)
	again(true, 1.01)
	again(false, 2)
	w.pass(2 * time.Minute)
	again(false, 1)

	// All are listed, the newest first, as they were given.
	list, err := w.box.Summaries(w.ctx, blue, 24, Page{})
	if err != nil || len(list) != 3 || *list[2].ID != *first.ID || !list[0].CreatedTS.Time().After(list[2].CreatedTS.Time()) {
		t.Fatalf("%+v, %v", list, err)
	}
	one, _ := json.Marshal(first.StoredSummary)
	two, _ := json.Marshal(list[2])
	if string(one) != string(two) {
		t.Errorf("given %s\nlisted %s", one, two)
	}
	if list, err := w.box.Summaries(w.ctx, blue, 24, Page{N: 1}); err != nil || len(list) != 1 {
		t.Errorf("%d, %v", len(list), err)
	}
	w.pass(48 * time.Hour)
	if list, err := w.box.Summaries(w.ctx, blue, 24, Page{}); err != nil || list == nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}

	// What is no summary is passed over, and so many are kept.
	for name, data := range map[string]string{"9-x.json": "{", "8-x.json": "null", "7-x.json": `{"id":"x"}`, "6-x.json": strings.Repeat(" ", summaryMost+1), "note": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for range summariesKept + 5 {
		w.pass(10 * time.Minute)
		w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "s", Body: "- more"})
		ask(1)
	}
	list, err = w.box.Summaries(w.ctx, blue, 1000, Page{N: MaxLimit})
	files, rerr := os.ReadDir(dir)
	if err != nil || rerr != nil || len(list) > summariesKept || len(list) < summariesKept-4 || len(files) != summariesKept+1 {
		t.Errorf("%d listed, %d files, %v, %v", len(list), len(files), err, rerr)
	}

	// The limits of what is asked.
	for _, hours := range []float64{0, -1, math.NaN(), math.Inf(-1)} {
		_, err := w.box.SummarizeRecent(w.ctx, blue, RecentQuery{Hours: hours})
		mustCode(t, err, mail.Invalid, "INVALID_ARGUMENT")
		_, err = w.box.Summaries(w.ctx, blue, hours, Page{})
		mustCode(t, err, mail.Invalid, "INVALID_ARGUMENT")
	}
	if s := ask(math.Inf(1)); s.MessageCount != summariesKept+9 {
		t.Errorf("ever: %d messages", s.MessageCount)
	}
	_, err = w.box.SummarizeRecent(w.ctx, blue, RecentQuery{Hours: 1, Messages: -1})
	mustCode(t, err, mail.Invalid, "INVALID_LIMIT")
	_, err = w.box.Summaries(w.ctx, blue, 1, Page{N: -1})
	mustCode(t, err, mail.Invalid, "INVALID_LIMIT")
	bad, _ := w.box.Who(w.ctx, Caller{As: "Nobody"})
	_, err = w.box.SummarizeRecent(w.ctx, bad, RecentQuery{Hours: 1})
	wantCode(t, err, mail.NotFound)
	_, err = w.box.Summaries(w.ctx, bad, 1, Page{})
	wantCode(t, err, mail.NotFound)
}

// TestSummarizeRecentUnkept: where nothing can be stored the summary is given all the same.
func TestSummarizeRecentUnkept(t *testing.T) {
	t.Parallel()
	w := summarizing(t)
	blue := w.agent("BlueLake")
	w.send(blue, "BlueLake")
	if err := os.WriteFile(filepath.Join(w.dir, ".git", "agentmail-cache", summariesDir), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if s, err := w.box.SummarizeRecent(w.ctx, blue, RecentQuery{Hours: 1}); err != nil || s.ID != nil || s.Cached || s.MessageCount != 1 {
			t.Errorf("%+v, %v", s, err)
		}
	}
}

// TestSummarizeRecentNewest: of too many messages the newest are read, and a model may
// word what they say.
func TestSummarizeRecentNewest(t *testing.T) {
	t.Parallel()
	w := summarizing(t)
	blue := w.agent("BlueLake")
	for i := range 5 {
		w.deliver(blue, Draft{To: []string{"BlueLake"}, Subject: "s", Body: fmt.Sprintf("- point %d", i), Thread: fmt.Sprint("T-", i)})
	}
	var models []string
	w.box.opt.Digest.Refine = func(_ context.Context, _ func(string) string, r mail.Rewording) ([]string, []string, error) {
		models = append(models, r.Model)
		if len(r.Messages) != 2 || r.Model == "" {
			return nil, nil, errors.New("no")
		}
		return []string{"refined"}, nil, nil
	}
	// A failure is not told, and is no reason to make no summary.
	s, err := w.box.SummarizeRecent(w.ctx, blue, RecentQuery{Hours: 1, Messages: 3, Refine: true})
	if err != nil || s.MessageCount != 3 || !slices.Equal(s.ThreadIDs, []string{"T-4", "T-3", "T-2"}) || s.LLMModel != nil || !strings.Contains(s.SummaryText, `"point 2","point 3","point 4"`) {
		t.Errorf("%+v, %v", s, err)
	}
	w.pass(10 * time.Minute)
	s, err = w.box.SummarizeRecent(w.ctx, blue, RecentQuery{Hours: 1, Messages: 2, Refine: true, Model: "m"})
	if err != nil || s.LLMModel == nil || *s.LLMModel != "m" || !strings.Contains(s.SummaryText, `"key_points":["refined"]`) || !slices.Equal(models, []string{"", "m"}) {
		t.Errorf("%+v, %v, %q", s, err, models)
	}
	// The same for threads.
	all, err := w.box.SummarizeThread(w.ctx, blue, "T-1", SummaryQuery{Refine: true, Quiet: true})
	if err != nil || all.Refinement != nil || !slices.Equal(all.Summary.KeyPoints, []string{"point 1"}) {
		t.Errorf("%+v, %v", all, err)
	}
	two, err := w.box.SummarizeThreads(w.ctx, blue, []string{"T-1", " ", "T-2 "}, SummaryQuery{Refine: true, Quiet: true, Model: "m"})
	if err != nil || two.Refinement == nil || !two.Refined || len(two.Threads) != 2 {
		t.Errorf("%+v, %v", two, err)
	}
}

// TestSummaryExamples: they are the messages that began the thread.
func TestSummaryExamples(t *testing.T) {
	t.Parallel()
	w := summarizing(t)
	blue := w.agent("BlueLake")
	var ids []string
	for i := range 5 {
		ids = append(ids, w.deliver(blue, Draft{To: []string{"BlueLake"}, Subject: fmt.Sprint("s", i), Thread: "T"}))
		w.pass(time.Second)
	}
	s, err := w.box.SummarizeThread(w.ctx, blue, "T", SummaryQuery{Messages: 1, Examples: true})
	if err != nil || len(s.Examples) != 3 {
		t.Fatalf("%+v, %v", s, err)
	}
	for i, e := range s.Examples {
		if e.ID != ids[i] || e.Subject != fmt.Sprint("s", i) || e.From != "BlueLake" || e.CreatedTS.Time().IsZero() {
			t.Errorf("%+v", e)
		}
	}
}

// TestSummarizeRecentRedacted: a summary does not say what a message said that is not shown
// any more.
func TestSummarizeRecentRedacted(t *testing.T) {
	t.Parallel()
	w := summarizing(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	ask := func() RecentSummary {
		t.Helper()
		s, err := w.box.SummarizeRecent(w.ctx, green, RecentQuery{Hours: 100})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	kept := func(want int) {
		t.Helper()
		list, err := w.box.Summaries(w.ctx, green, 100, Page{})
		data, _ := json.Marshal(list)
		if err != nil || len(list) != want || want == 0 && strings.Contains(string(data), "secret") {
			t.Errorf("kept %s, %v", data, err)
		}
	}
	w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "s", Body: "- secret point"})
	w.pass(30 * time.Hour)
	w.deliver(green, Draft{To: []string{"BlueLake"}, Subject: "s", Body: "- other secret"})
	if s := ask(); !strings.Contains(s.SummaryText, "secret point") || !ask().Cached {
		t.Fatalf("%+v", s)
	}
	kept(1)
	if _, err := w.box.Purge(w.ctx, blue, PurgeRequest{Older: 24 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	kept(0)
	if s := ask(); s.Cached || strings.Contains(s.SummaryText, "secret point") || !strings.Contains(s.SummaryText, "other secret") {
		t.Errorf("after the purge: %+v", s)
	}
	kept(1)
	if _, err := w.box.DeleteAgent(w.ctx, blue, "GreenCastle"); err != nil {
		t.Fatal(err)
	}
	green = blue
	kept(0)
	if s := ask(); s.Cached || s.MessageCount != 0 {
		t.Errorf("after the agent: %+v", s)
	}
}
