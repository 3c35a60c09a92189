package mailbox

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/index"
	"github.com/git-agentmail/git-agentmail/mail"
)

// Summaries of a span of time are cache files, one each: two processes that make one at
// the same time lose neither, and there is nothing to merge.
const (
	summariesDir  = "summaries"
	summariesKept = 50      // the newest
	summaryMost   = 1 << 20 // bytes; what is larger is none of ours
	summaryAlike  = 5 * time.Minute
	summarySpan   = 1_000_000 // hours, a century and more
)

// SummarizeRecent says in short what was said lately by anybody, all threads together. A
// summary of about the same time that was made before is returned as it is. Where nothing
// was said nothing is stored.
func (b *Box) SummarizeRecent(ctx context.Context, who Actor, q RecentQuery) (RecentSummary, error) {
	if !(q.Hours > 0) {
		return RecentSummary{}, mail.Errorf(mail.Invalid, "since_hours %v is not above 0", q.Hours)
	}
	s := SummaryQuery{Messages: q.Messages, Refine: q.Refine, Model: q.Model, Ask: q.Ask, Quiet: true}
	if s.Messages == 0 {
		s.Messages = MaxSummaryMessages
	}
	if err := b.maySummarize(who, &s); err != nil {
		return RecentSummary{}, err
	}
	now := b.now()
	start := hoursBefore(now, q.Hours)
	stored, err := b.storedSummaries(ctx)
	if err != nil {
		return RecentSummary{}, err
	}
	for _, old := range stored {
		if old.StartTS.Time().Sub(start).Abs() <= summaryAlike && old.EndTS.Time().Sub(now).Abs() <= summaryAlike {
			return RecentSummary{old, true}, nil
		}
	}
	var w writing
	var name func(string) string
	out := StoredSummary{StartTS: TS(start), EndTS: TS(now), CreatedTS: TS(now)}
	err = b.indexed(ctx, func(v *view) error {
		name, out.ThreadIDs = v.d.Address, []string{}
		letters, err := v.Recent(ctx, "", mail.At(start), index.Place{}, s.Messages)
		if err != nil {
			return err
		}
		for _, l := range letters {
			if key := l.ThreadKey(); !slices.Contains(out.ThreadIDs, key) {
				out.ThreadIDs = append(out.ThreadIDs, key)
			}
		}
		slices.Reverse(letters)
		w, err = v.writing("", letters, len(letters))
		return err
	})
	if err != nil {
		return RecentSummary{}, err
	}
	out.MessageCount = len(w.messages)
	sum := b.opt.Digest.Summarize(w.messages, name, 0)
	if s.Refine && len(w.messages) > 0 {
		refined, err := b.refine(ctx, s, []writing{w}, name, &sum, mail.SummaryEntries, &sum.KeyPoints, &sum.ActionItems, 0)
		if err != nil {
			return RecentSummary{}, err
		}
		if refined != nil {
			out.LLMModel = optional(cmp.Or(refined.model, s.Model, b.getenv("AGENTMAIL_LLM_MODEL")))
		}
	}
	text, err := json.Marshal(sum)
	if err != nil {
		return RecentSummary{}, mail.Errorf(mail.Internal, "%w", err)
	}
	out.SummaryText = string(text)
	if out.MessageCount > 0 {
		b.keepSummary(&out, w.messages)
	}
	return RecentSummary{out, false}, nil
}

// Summaries lists the stored ones that were made in the last hours, newest first.
func (b *Box) Summaries(ctx context.Context, who Actor, hours float64, p Page) ([]StoredSummary, error) {
	if who.err != nil {
		return nil, who.err
	}
	if !(hours > 0) {
		return nil, mail.Errorf(mail.Invalid, "since_hours %v is not above 0", hours)
	}
	n, err := p.limit()
	if err != nil {
		return nil, err
	}
	list := []StoredSummary{}
	since := hoursBefore(b.now(), hours)
	stored, err := b.storedSummaries(ctx)
	for _, s := range stored {
		if s.CreatedTS.Time().After(since) && len(list) < n {
			list = append(list, s)
		}
	}
	return list, err
}

func hoursBefore(t time.Time, hours float64) time.Time {
	return t.Add(-time.Duration(math.Min(hours, summarySpan) * float64(time.Hour)))
}

// keptSummary is a summary as it is stored.
type keptSummary struct {
	StoredSummary
	Of []source `json:"source_messages"`
}

// source is a message that a summary is of. When it is not shown any more, nor is what was
// made of it.
type source struct {
	ID string `json:"id"`
	By string `json:"by"`
}

// keepSummary stores a summary of some messages and gives it an id. Where nothing can be
// written it stays without one.
func (b *Box) keepSummary(s *StoredSummary, of []*mail.Message) {
	id := mail.NewID(b.opt.Rand)
	s.ID = &id
	kept := keptSummary{StoredSummary: *s}
	for _, m := range of {
		kept.Of = append(kept.Of, source{m.ID, m.By})
	}
	data, err := json.Marshal(kept)
	// Their names are in the order of time.
	name := filepath.Join(summariesDir, fmt.Sprintf("%015d-%s.json", s.CreatedTS.Time().UnixMilli(), id))
	if err == nil {
		b.store.WriteCache(name, append(data, '\n'))
		_, err = os.Stat(b.repo.CachePath(name))
	}
	if err != nil {
		s.ID = nil
		return
	}
	if files := b.summaryFiles(); len(files) > summariesKept {
		for _, f := range files[summariesKept:] {
			os.Remove(f)
		}
	}
}

// summaryFiles returns the files of the stored summaries, the newest first.
func (b *Box) summaryFiles() []string {
	entries, err := os.ReadDir(b.repo.CachePath(summariesDir))
	if err != nil {
		return nil
	}
	var files []string
	for _, e := range slices.Backward(entries) {
		if e.Type().IsRegular() && strings.HasSuffix(e.Name(), ".json") {
			files = append(files, b.repo.CachePath(summariesDir, e.Name()))
		}
	}
	return files
}

// storedSummaries reads them, the newest first, and passes over what is none, and what is
// of a message that was redacted since.
func (b *Box) storedSummaries(ctx context.Context) ([]StoredSummary, error) {
	files := b.summaryFiles()
	if len(files) == 0 {
		return nil, nil
	}
	sn, err := b.snapshot(ctx)
	if err != nil {
		return nil, err
	}
	st, err := b.state(ctx, sn)
	if err != nil {
		return nil, err
	}
	var list []StoredSummary
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Size() > summaryMost || len(list) == summariesKept {
			continue
		}
		data, err := os.ReadFile(f)
		var s keptSummary
		if err == nil && json.Unmarshal(data, &s) == nil && s.ID != nil && mail.IsID(*s.ID) && s.ThreadIDs != nil && len(s.Of) > 0 &&
			!slices.ContainsFunc(s.Of, func(m source) bool { return st.Redacted[m.ID] || st.Deleted(m.By) }) {
			list = append(list, s.StoredSummary)
		}
	}
	return list, nil
}

// dropSummaries removes what was made of messages that are not there any more.
func (b *Box) dropSummaries(ctx context.Context, sn *gitstore.Snapshot) {
	files := b.summaryFiles()
	if len(files) == 0 {
		return
	}
	list, err := sn.List(ctx, "mail/", nil)
	if err != nil {
		return // those that are redacted are not shown in any case
	}
	there := map[string]bool{}
	for _, f := range list {
		there[messageID(f.Path)] = true
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		var s keptSummary
		if err == nil && (json.Unmarshal(data, &s) != nil || slices.ContainsFunc(s.Of, func(m source) bool { return !there[m.ID] })) {
			os.Remove(name)
		}
	}
}
