package mailbox

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

// Signals are files by which programs that watch a directory learn of new mail. They are
// a convenience of one machine and no part of the record: a file that cannot be written
// is passed over.
type Signals struct {
	Dir      string        // "" for none
	Metadata bool          // say who wrote what, not only that somebody did
	Debounce time.Duration // a file younger than this is left as it is
}

// signal is what a file holds.
type signal struct {
	Timestamp string         `json:"timestamp"`
	Project   string         `json:"project"`
	Agent     string         `json:"agent"`
	Message   *signalMessage `json:"message,omitempty"`
}

type signalMessage struct {
	ID         string `json:"id"`
	From       string `json:"from"`
	Subject    string `json:"subject"`
	Importance string `json:"importance"`
}

func (b *Box) signalFile(agent string) string {
	return filepath.Join(b.opt.Signals.Dir, "projects", b.Project().Slug, "agents", agent+".signal")
}

// signal leaves a file for each recipient that the message names openly.
func (b *Box) signal(m Message) {
	s := b.opt.Signals
	if s.Dir == "" {
		return
	}
	for _, name := range slices.Concat(m.To, m.CC) {
		file := b.signalFile(name)
		if st, err := os.Stat(file); err == nil && b.now().Sub(st.ModTime()) < s.Debounce {
			continue
		}
		out := signal{Timestamp: b.now().UTC().Format(tsLayout), Project: b.Project().Slug, Agent: name}
		if s.Metadata {
			out.Message = &signalMessage{m.ID, m.From, m.Subject, m.Importance}
		}
		data, err := json.Marshal(out)
		if err != nil || os.MkdirAll(filepath.Dir(file), 0o700) != nil {
			continue
		}
		temp := file + "." + mail.NewID(b.opt.Rand)
		if os.WriteFile(temp, append(data, '\n'), 0o600) != nil || os.Rename(temp, file) != nil {
			os.Remove(temp)
		}
	}
}

// Unsignal takes the actor's file away, for who has looked into the inbox.
func (b *Box) Unsignal(who Actor) {
	if b.opt.Signals.Dir != "" && who.Kind == IsAgent {
		os.Remove(b.signalFile(who.Name))
	}
}
