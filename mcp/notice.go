package mcp

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/git-agentmail/git-agentmail/mailbox"
)

// noticeEvery is how often at most an agent's inbox is looked at for the sake of a
// notice, calls coming in bursts; noticeSpan is how old mail may be to be told of.
const (
	noticeEvery = 5 * time.Second
	noticeSpan  = 24 * time.Hour
	noticeMost  = 100
)

// notices remembers what agents were told of.
type notices struct {
	mu     sync.Mutex
	agents map[string]*noticed // by id
}

type noticed struct {
	mu     sync.Mutex
	looked time.Time
	told   map[string]bool // ids of messages that are unread still
}

// notice returns a line about urgent mail that the acting agent has not read and was not
// told of before, "" if there is none. It holds no words of others: names and ids.
func (s *Server) notice(ctx context.Context, c *call) string {
	if c.who == nil || c.who.Kind != mailbox.IsAgent || c.box == nil {
		return ""
	}
	n := s.notices.of(c.who.ID)
	n.mu.Lock()
	defer n.mu.Unlock()
	now := s.now()
	if now.Sub(n.looked) < noticeEvery {
		return ""
	}
	n.looked = now
	rows, err := c.box.Inbox(ctx, *c.who, mailbox.InboxQuery{Unread: true, Urgent: true, Since: now.Add(-noticeSpan), Page: mailbox.Page{N: noticeMost}})
	if err != nil {
		return "" // the answer stands without it
	}
	told := map[string]bool{}
	var fresh []mailbox.InboxRow
	for _, r := range rows {
		if !n.told[r.ID] {
			fresh = append(fresh, r)
		}
		told[r.ID] = true
	}
	n.told = told
	switch len(fresh) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("1 unread urgent message, from %s: read_message %s", fresh[0].From, fresh[0].ID)
	}
	return fmt.Sprintf("%d unread urgent messages, the newest from %s: fetch_inbox urgent_only", len(fresh), fresh[0].From)
}

func (n *notices) of(agent string) *noticed {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.agents == nil {
		n.agents = map[string]*noticed{}
	}
	if n.agents[agent] == nil {
		n.agents[agent] = &noticed{}
	}
	return n.agents[agent]
}

func (s *Server) now() time.Time { return s.opt.Mailbox.Now() }
