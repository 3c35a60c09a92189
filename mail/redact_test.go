package mail

import (
	"math/rand"
	"testing"
)

// TestDeletedAgent: it is history. Its name is free for another, and what it sent is
// redacted, also what comes later.
func TestDeletedAgent(t *testing.T) {
	const first, second = "1111111111", "2222222222"
	rnd := rand.New(rand.NewSource(1))
	h := func(by string, ms int64) Header {
		return Header{V: 1, ID: "aaaaaaaaa" + string(crockford[ms]), Seq: ms, HLC: Stamp{MS: ms}, At: Time(ms), By: by}
	}
	list := []arrival{
		{repA, &AgentChange{Header: h(first, 1), Agent: first, Name: ptr("BlueLake"), Home: ptr(repA)}},
		{repA, &Message{Header: h(first, 2), To: []string{second}, ToNames: []string{""}, Subject: "secret", Importance: Urgent, AckRequired: true, Topic: "secret", Thread: "T-1", Body: "secret"}},
		{repB, &AgentChange{Header: h(second, 3), Agent: first, Deleted: true}},
		{repA, &Message{Header: h(first, 4), To: []string{second}, ToNames: []string{""}, Subject: "later", Importance: Normal}},
	}
	st := sameFold(t, rnd, list)
	if st.Lookup("BlueLake") != nil || st.Lookup(first) != nil || st.Lookup("BlueLake~11") != nil || st.Local("BlueLake", repA) != nil || len(st.List()) != 0 {
		t.Error("it can be found")
	}
	if got := st.Address(first); got != "BlueLake" {
		t.Errorf("its name in history is %q", got)
	}
	for _, id := range []string{list[1].rec.Head().ID, list[3].rec.Head().ID} {
		m := st.Message(id)
		if !m.Redacted || m.Subject != RedactedText || m.Body != RedactedText || m.AckRequired || m.Topic != "" || m.IsUrgent() || m.RecipientKind(second) != "to" {
			t.Errorf("%+v", m)
		}
		if _, err := Encode(m); err == nil {
			t.Error("a tombstone can be stored")
		}
	}
	if got := st.Message(list[1].rec.Head().ID).ThreadKey(); got != "T-1" {
		t.Errorf("its thread is %q", got)
	}
	// Somebody else takes the name, which the address of the first one then says.
	st = sameFold(t, rnd, append(list, arrival{repA, &AgentChange{Header: h(second, 5), Agent: second, Name: ptr("bluelake"), Home: ptr(repA)}}))
	if a := st.Lookup("BlueLake"); a == nil || a.ID != second || st.Address(second) != "bluelake" || st.Address(first) != "BlueLake~11" || st.Lookup("BlueLake~11") != nil {
		t.Errorf("%+v, %q, %q", a, st.Address(second), st.Address(first))
	}
}

// TestRedaction: whatever came first, and whoever wrote it.
func TestRedaction(t *testing.T) {
	m := &Message{Header: head(), To: []string{}, ToNames: []string{}, Subject: "secret", Importance: Normal}
	other := *m
	other.ID = "zzzzzzzzzz"
	st := sameFold(t, rand.New(rand.NewSource(1)), []arrival{
		{repB, &Redaction{Header: head(), Messages: []string{m.ID, "yyyyyyyyyy"}}}, {repA, m}, {repA, &other},
	})
	if got := st.Message(m.ID); !got.Redacted || got.Subject != RedactedText {
		t.Errorf("%+v", got)
	}
	if got := st.Message(other.ID); got != &other {
		t.Errorf("another message: %+v", got)
	}
	if got := st.Messages(); len(got) != 2 {
		t.Errorf("%d messages", len(got))
	}
	if st.Message("yyyyyyyyyy") != nil {
		t.Error("a message that nobody has is there")
	}
}
