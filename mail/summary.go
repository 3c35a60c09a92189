package mail

import "context"

// Summary is what a thread says, in short; package digest makes it. All texts are
// one line of valid UTF-8 without control characters; lists are never null. The keys
// are those of the contract.
type Summary struct {
	Participants   []string  `json:"participants"`              // addresses of the senders, sorted
	KeyPoints      []string  `json:"key_points"`                // at most SummaryEntries, the newest last
	ActionItems    []string  `json:"action_items"`              // at most SummaryEntries, open ones first, then the newest last
	TotalMessages  int       `json:"total_messages"`            // all that the thread has, read or not
	OpenActions    int       `json:"open_actions"`              // unticked task items, listed or not
	DoneActions    int       `json:"done_actions"`              // ticked ones
	Mentions       []Mention `json:"mentions"`                  // at most SummaryEntries, the most frequent first
	CodeReferences []string  `json:"code_references,omitempty"` // at most SummaryEntries files, sorted
}

// Mention is a name that was written with an @ before it.
type Mention struct {
	Name  string `json:"name"`  // as first written, without the @
	Count int    `json:"count"` // how often, in any case
}

// Overview is what several threads say.
type Overview struct {
	TopMentions []Mention `json:"top_mentions"` // at most SummaryEntries, the most frequent first
	ActionItems []string  `json:"action_items"` // at most OverviewEntries, open ones first, then thread by thread
	KeyPoints   []string  `json:"key_points"`   // at most OverviewEntries, thread by thread
}

// How many entries a list has.
const (
	SummaryEntries  = 10
	OverviewEntries = 25
)

// The marks of a task item, as they stand before its text in a list of actions. An
// action without one was found by its words.
const (
	OpenMark = "[ ] "
	DoneMark = "[x] "
)

// Rewording asks a language model to word the lists of a summary anew.
type Rewording struct {
	Messages    []*Message // what the summary was made of, those of a thread oldest first
	Name        func(id string) string
	KeyPoints   []string
	ActionItems []string
	Most        int    // how many entries a list has
	Model       string // who is asked, if not the model that is configured
	Ask         Ask    // asks where none is configured; nil cannot
}

// Ask puts a question to a language model of the caller's: what it is told to do, and the
// data to do it with, which is never to be obeyed. It returns what the model says and what
// it is called. An error says why there is no answer, for people to read.
type Ask func(ctx context.Context, instruction, data string) (text, model string, err error)
