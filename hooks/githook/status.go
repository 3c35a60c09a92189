package githook

import (
	"fmt"
	"path/filepath"
	"strings"
)

// State says whether git would run our part of one hook.
type State string

// The states of a hook.
const (
	Active        State = "active"         // git runs the guard
	Missing       State = "missing"        // there is no such hook
	Foreign       State = "foreign"        // a hook that does not call us
	NotExecutable State = "not executable" // our block is there, but git does not run the file
	Outdated      State = "outdated"       // our block is of another version, or was changed by hand
	Unreachable   State = "unreachable"    // git runs hooks from elsewhere: core.hooksPath
)

// EventStatus is the state of one hook. File is the one that git would run.
type EventStatus struct {
	Event string `json:"event"`
	File  string `json:"file"`
	State State  `json:"state"`
	Note  string `json:"note,omitempty"`
}

// Report is the answer of [Status].
type Report struct {
	Active bool          `json:"active"`          // every hook is
	Cause  string        `json:"cause,omitempty"` // why not, in one line
	Events []EventStatus `json:"events,omitempty"`
}

// Status reports whether git, run in this worktree, would call our hooks. It
// reads a handful of small files and is meant for every command: coding agents
// and hook managers move core.hooksPath and rewrite hooks unasked.
func Status(site Site) Report {
	var r Report
	var bad []EventStatus
	for _, event := range site.Events() {
		s := statusOf(site, event)
		r.Events = append(r.Events, s)
		if s.State != Active {
			bad = append(bad, s)
		}
	}
	r.Active = len(bad) == 0
	if !r.Active {
		r.Cause = cause(site, bad)
	}
	return r
}

func cause(site Site, bad []EventStatus) string {
	for _, s := range bad {
		if s.State == Unreachable {
			return s.Note
		}
	}
	if len(bad) == len(site.Events()) && allMissing(bad) {
		return fmt.Sprintf("no hooks of git-agentmail in %q", site.HooksDir)
	}
	text := fmt.Sprintf("%s %s", bad[0].Event, bad[0].Note)
	switch n := len(bad) - 1; {
	case n == 1:
		text += ", and 1 more hook"
	case n > 1:
		text += fmt.Sprintf(", and %d more hooks", n)
	}
	return text
}

func allMissing(list []EventStatus) bool {
	for _, s := range list {
		if s.State != Missing {
			return false
		}
	}
	return true
}

func statusOf(site Site, event string) EventStatus {
	file := filepath.Join(site.HooksDir, event)
	s := EventStatus{Event: event, File: file}
	if site.InConfig(event) {
		s.State, s.Note = Active, "by hook."+ConfigPrefix+event+" in git's configuration"
		return s
	}
	h, err := readHook(file, shipped)
	if err != nil {
		s.State, s.Note = Missing, "cannot be read"
	} else {
		s.State, s.Note = stateOf(h, event)
		if s.State == Active {
			s.Note = join(s.Note, lfsNote(site, event, h))
		}
	}
	if s.State == Foreign || s.State == Missing {
		if from := otherwise(site, event, h); from != "" {
			s.State, s.Note = Active, "called from "+quoted(from)
		} else if site.elsewhere(event) {
			s.State = Unreachable
			s.Note = fmt.Sprintf("git runs hooks from %q (core.hooksPath is %q, %s, in %q), not from %q",
				site.HooksDir, site.HooksPath, site.Scope, strings.TrimPrefix(site.Origin, "file:"), site.own())
		}
	}
	return s
}

// stateOf looks at the hook alone.
func stateOf(h hook, event string) (State, string) {
	switch {
	case !h.exists:
		return Missing, "is missing"
	case h.damaged != "":
		return Outdated, h.damaged
	case len(h.blocks) == 0 && !h.runs():
		return Foreign, notExecutable
	case len(h.blocks) == 0:
		return Foreign, "does not call the guard"
	case !h.runs():
		return NotExecutable, notExecutable
	}
	b := h.blocks[0]
	switch {
	case b.event != event:
		return Outdated, "has our block for " + quoted(b.event)
	case b.version > Version:
		return Active, "has the block of a newer git-agentmail"
	case b.version < Version:
		return Outdated, "has the block of an older git-agentmail"
	case !b.intact(h.data[b.start:b.stop]):
		return Outdated, "has our block, changed by hand"
	}
	return Active, ""
}

// otherwise returns the file through which a hook without our block calls us.
func otherwise(site Site, event string, h hook) string {
	if !h.runs() {
		return ""
	}
	if managerOfHook(h.data) == "pre-commit" {
		old, err := readHook(legacy(h.file), shipped)
		if state, _ := stateOf(old, event); err == nil && state == Active {
			return old.file
		}
	}
	return calledFrom(site, event, h)
}

// elsewhere reports whether core.hooksPath is why a hook of ours is not run:
// it is in the repository's own directory, or could not be put where git looks.
func (s Site) elsewhere(event string) bool {
	if s.Scope == "" || real(s.HooksDir) == real(s.own()) {
		return false
	}
	if s.Scope == "global" || s.Scope == "system" || s.Scope == "command" || s.owner(s.HooksDir) != ours {
		return true
	}
	h, err := readHook(filepath.Join(s.own(), event), shipped)
	return err == nil && len(h.blocks) > 0
}

func quoted(s string) string { return fmt.Sprintf("%q", s) }
