package mailbox

import (
	"context"
	"strings"

	"github.com/git-agentmail/git-agentmail/gitstore"
)

// MessageCommit is the commit that brought a message.
type MessageCommit struct {
	HexSHA      string   `json:"hexsha"` // twelve digits
	Summary     string   `json:"summary"`
	AuthoredTS  TS       `json:"authored_ts"`
	Insertions  int      `json:"insertions"` // lines of the message
	Deletions   int      `json:"deletions"`  // none: nothing is ever taken away
	DiffSummary DiffInfo `json:"diff_summary"`
}

// DiffInfo tells the size of a change. A message is one piece; what it says is its body.
type DiffInfo struct {
	Hunks   int    `json:"hunks"`
	Excerpt string `json:"excerpt"`
}

// originsBack is how many commits are looked at for messages: who asks shows the newest.
const originsBack = 5000

// CommitsOf returns the commits that brought messages, by whole id. One that lies further
// back than the newest few thousand commits of the logs is left out.
func (b *Box) CommitsOf(ctx context.Context, ids []string) (map[string]*MessageCommit, error) {
	wanted := map[string]bool{}
	for _, id := range ids {
		wanted[id] = true
	}
	out := map[string]*MessageCommit{}
	if len(wanted) == 0 {
		return out, nil
	}
	err := b.repo.Additions(ctx, originsBack, func(a gitstore.Addition) bool {
		if id := messageID(a.Path); strings.HasPrefix(a.Path, "mail/") && wanted[id] && out[id] == nil {
			summary, _, _ := strings.Cut(a.Subject, " | ") // the subject of a message that was redacted stands behind it
			out[id] = &MessageCommit{HexSHA: a.OID[:12], Summary: summary, AuthoredTS: TS(a.Time), Insertions: max(a.Lines, 0), DiffSummary: DiffInfo{Hunks: 1}}
		}
		return len(out) < len(wanted)
	})
	return out, asMail(err)
}
