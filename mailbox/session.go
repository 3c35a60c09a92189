package mailbox

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/git-agentmail/git-agentmail/mail"
)

// Process is one process of this machine, named so that it cannot be mistaken
// for a later one with the same number.
type Process struct {
	PID       int    `json:"pid"`
	Start     string `json:"start"`     // when it started, in the kernel's own terms
	Name      string `json:"name"`      // of the program, as one of agentClients where it is one
	Boot      string `json:"boot"`      // which run of the kernel
	Namespace string `json:"namespace"` // which set of process numbers
}

// agentClients are the command-line programs of coding agents that run one
// session in one process. Editors, shells, multiplexers and servers are not
// among them: what they start may belong to anybody.
var agentClients = map[string]bool{
	"claude": true, "codex": true, "gemini": true, "copilot": true, "opencode": true, "cline": true, "aider": true, "goose": true, "amp": true,
}

// Session is what an MCP server on stdio records of the coding agent that
// started it, so that a later `git commit` by that agent is known as its own.
type Session struct {
	V        int      `json:"v"`
	Key      string   `json:"key,omitempty"` // session key that the client also gives its hooks
	Ready    bool     `json:"ready"`         // it has seen initialize
	Worktree string   `json:"worktree"`      // git directory of the worktree it serves
	Client   Process  `json:"client"`
	Agents   []string `json:"agents"` // ids of all agents that were used; two make it plural for good
}

const sessionsDir = "sessions"

// OpenSession keeps a session record for as long as this process lives. The
// returned function replaces its contents; it is called whenever an agent is
// registered or used.
func (b *Box) OpenSession(first Session) (save func(Session), close func(), err error) {
	name := filepath.Join(sessionsDir, mail.NewID(b.opt.Rand))
	release, err := b.store.Hold(name + ".lock")
	if err != nil {
		return nil, nil, asMail(err)
	}
	save = func(s Session) {
		s.V, s.Worktree = 1, b.repo.GitDir
		if data, err := json.Marshal(s); err == nil {
			b.store.WriteCache(name+".json", append(data, '\n'))
		}
	}
	save(first)
	return save, func() {
		os.Remove(b.repo.CachePath(name + ".json"))
		release()
		os.Remove(b.repo.CachePath(name + ".lock"))
	}, nil
}

// session finds the agent whose session this process belongs to: by the exact
// key, else by its ancestors. why is set when there was a trace of a session but
// the rules do not allow a conclusion: a wrong name is worse than none. here is
// the worktree's own agent, which must not disagree.
func (b *Box) session(key string, ancestors func() []Process, here string) (agent, why string) {
	records := b.sessions()
	if len(records) == 0 {
		return "", ""
	}
	byKey := map[string]bool{}
	for _, r := range records {
		if key != "" && r.Key == key && r.held {
			for _, a := range r.Agents {
				byKey[a] = true
			}
		}
	}
	byAncestry := map[string]bool{}
	if ancestors != nil {
		for _, p := range ancestors() {
			matched, sound := false, true
			for _, r := range records {
				if r.Client.PID != p.PID || r.Client.Start != p.Start || r.Client.Boot != p.Boot || r.Client.Namespace != p.Namespace {
					continue
				}
				matched = true
				sound = sound && r.Ready && r.held && r.Worktree == b.repo.GitDir && agentClients[p.Name] && p.PID != 1
				for _, a := range r.Agents {
					byAncestry[a] = true
				}
			}
			if matched && !sound {
				return "", "its session record cannot be relied on"
			}
			if matched {
				break
			}
		}
	}
	all := map[string]bool{}
	for _, set := range []map[string]bool{byKey, byAncestry} {
		if len(set) > 1 {
			return "", "its session has used several agents"
		}
		for a := range set {
			all[a] = true
		}
	}
	if len(all) > 1 {
		return "", "session key and process ancestry name different agents"
	}
	for a := range all {
		agent = a
	}
	if agent != "" && here != "" && agent != here {
		return "", "its session and this worktree name different agents"
	}
	return agent, ""
}

type sessionRecord struct {
	Session
	held bool // its server is alive
}

func (b *Box) sessions() []sessionRecord {
	entries, err := os.ReadDir(b.repo.CachePath(sessionsDir))
	if err != nil {
		return nil
	}
	var list []sessionRecord
	for _, e := range entries {
		base, ok := strings.CutSuffix(e.Name(), ".json")
		if !ok {
			continue
		}
		var r sessionRecord
		data, err := os.ReadFile(b.repo.CachePath(sessionsDir, e.Name()))
		if err == nil && json.Unmarshal(data, &r.Session) == nil && r.V == 1 {
			r.held = b.repo.Held(filepath.Join(sessionsDir, base+".lock"))
			list = append(list, r)
		}
	}
	return list
}
