package mcp

import (
	"cmp"
	"path/filepath"
	"strconv"
	"time"

	"github.com/git-agentmail/git-agentmail/mailbox"
)

// signals reads the contract's settings for files that tell of new mail.
func signals(getenv func(string) string) mailbox.Signals {
	if !truthy(getenv("NOTIFICATIONS_ENABLED")) {
		return mailbox.Signals{}
	}
	debounce, err := strconv.Atoi(cmp.Or(getenv("NOTIFICATIONS_DEBOUNCE_MS"), "100"))
	if err != nil || debounce < 0 {
		debounce = 100
	}
	return mailbox.Signals{
		Dir:      cmp.Or(getenv("NOTIFICATIONS_SIGNALS_DIR"), filepath.Join(getenv("HOME"), ".mcp_agent_mail", "signals")),
		Metadata: truthy(cmp.Or(getenv("NOTIFICATIONS_INCLUDE_METADATA"), "true")),
		Debounce: time.Duration(debounce) * time.Millisecond,
	}
}
