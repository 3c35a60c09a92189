package index

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/git-agentmail/git-agentmail/mail"
)

// TestQuality measures the search on messages and queries that were written and labelled
// before it was, by somebody who did not know how it works. The first half may be looked
// at when rules are changed, the second must not: it says what the rules are worth.
func TestQuality(t *testing.T) {
	var messages []struct{ ID, Subject, Body string }
	var halves map[string][]struct {
		Query string
		Want  []string
		Why   string
	}
	for file, into := range map[string]any{"testdata/messages.json": &messages, "testdata/queries.json": &halves} {
		data, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(data, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	d := open(t)
	names := map[string]string{} // by id
	var all []Entry
	for i, m := range messages {
		id := fmt.Sprintf("%010d", i)
		names[id] = m.ID
		all = append(all, entry(t, "r1", &mail.Message{Header: mail.Header{V: 1, ID: id, Seq: 1, HLC: mail.Stamp{MS: int64(i)}, At: mail.Time(i), By: "0123456789"},
			To: []string{"0123456789"}, ToNames: []string{"x"}, Subject: m.Subject, Importance: mail.Normal, Body: m.Body}))
	}
	apply(t, d, "1", all, all)
	for _, half := range []string{"tuned", "untouched"} {
		if len(halves[half]) < 75 {
			t.Errorf("%s: only %d queries", half, len(halves[half]))
		}
		sum, right := 0.0, 0
		for _, q := range halves[half] {
			list, _, err := d.Search(context.Background(), Search{Query: q.Query}, Place{}, 1000)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, l := range list {
				got = append(got, names[l.ID])
			}
			slices.Sort(got)
			hits := 0
			for _, id := range got {
				if slices.Contains(q.Want, id) {
					hits++
				}
			}
			f1 := 1.0
			if len(got)+len(q.Want) > 0 {
				f1 = 2 * float64(hits) / float64(len(got)+len(q.Want))
			}
			if sum += f1; f1 == 1 {
				right++
			} else {
				t.Logf("%s %q: got %v, want %v (%s)", half, q.Query, got, q.Want, q.Why)
			}
		}
		n := len(halves[half])
		t.Logf("%s: F1 %.3f, %d of %d exactly right", half, sum/float64(n), right, n)
		if sum/float64(n) < 0.93 {
			t.Errorf("%s: F1 %.3f is below 0.93", half, sum/float64(n))
		}
	}
}
