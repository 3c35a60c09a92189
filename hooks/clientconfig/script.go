package clientconfig

import (
	"bytes"
)

// script is a file that is ours as a whole.
type script struct {
	about string
	text  string
	ours  func(data []byte) bool // is one that stands there ours, of any version?
}

func (s script) what() string { return s.about }

func (s script) add(data []byte, there bool) ([]byte, error) {
	if there && !s.ours(data) {
		return nil, taken{positioned{1, 1, "the file is there already, and is not ours"}}
	}
	return []byte(s.text), nil
}

func (s script) remove(data []byte) ([]byte, bool, error) {
	if s.ours(data) {
		return nil, true, nil
	}
	return data, false, nil
}

// written reports whether a file says that setup wrote it.
func written(data []byte) bool {
	head := data[:min(len(data), 300)]
	return bytes.Contains(head, []byte("git-agentmail")) && bytes.Contains(head, []byte("Written by `git agentmail setup`"))
}
