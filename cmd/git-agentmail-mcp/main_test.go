package main

import (
	"strings"
	"testing"

	"github.com/git-agentmail/git-agentmail/mail"
)

// TestProcess: this program has what the other one runs it for.
func TestProcess(t *testing.T) {
	d := process().Digest
	m := &mail.Message{Body: "- a point"}
	s := d.Summarize([]*mail.Message{m}, func(string) string { return "" }, 0)
	if len(s.KeyPoints) != 1 || len(d.Aggregate([]mail.Summary{s}, 0).KeyPoints) != 1 {
		t.Errorf("got %+v", s)
	}
	_, _, err := d.Refine(t.Context(), func(string) string { return "" }, mail.Rewording{})
	if err == nil || !strings.Contains(err.Error(), "AGENTMAIL_LLM_URL") {
		t.Error(err)
	}
}
