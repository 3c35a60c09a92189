package mailbox

import (
	"context"
	"slices"
	"time"
)

// OverdueAck is a message that should have been acknowledged by now.
type OverdueAck struct {
	InboxRow
	ReadAt     TS    `json:"read_at"` // null if it was not even read
	AgeSeconds int64 `json:"age_seconds"`
}

// OverdueAcks lists the messages to the actor that have waited for an acknowledgement for
// ttl or longer, the oldest first; n bounds them as in [Page].
func (b *Box) OverdueAcks(ctx context.Context, who Actor, ttl time.Duration, n int) ([]OverdueAck, error) {
	n, err := Page{N: n}.limit()
	if err != nil {
		return nil, err
	}
	now := b.now()
	list := []OverdueAck{}
	for q := (InboxQuery{AckRequired: true, Page: Page{N: MaxLimit}}); ; {
		rows, err := b.Inbox(ctx, who, q)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			if age := now.Sub(time.Time(r.CreatedTS)); age >= ttl {
				list = append(list, OverdueAck{r, r.ReadTS, int64(age / time.Second)})
			}
		}
		if len(rows) < MaxLimit {
			break
		}
		q.Before = rows[len(rows)-1].ID
	}
	slices.Reverse(list)
	return list[:min(n, len(list))], nil
}
