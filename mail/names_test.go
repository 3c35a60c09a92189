package mail

import (
	"slices"
	"strings"
	"testing"
)

func TestWordLists(t *testing.T) {
	for _, list := range [][]string{strings.Fields(adjectives), strings.Fields(nouns)} {
		if len(list) != 64 {
			t.Errorf("%d words, want 64", len(list))
		}
		if c := slices.Compact(slices.Sorted(slices.Values(list))); len(c) != len(list) {
			t.Errorf("a word stands twice")
		}
	}
	for _, a := range strings.Fields(adjectives) {
		for _, n := range strings.Fields(nouns) {
			if !ValidName(a + n) {
				m, _ := NameMistake(a + n)
				t.Fatalf("generated name %q is not valid: %v", a+n, m)
			}
		}
	}
}

func TestNameMistakes(t *testing.T) {
	for _, tt := range []struct{ name, want string }{
		{"BlueLake", ""}, {"GreenCastle", ""}, {"blueLake2", ""}, {"X1", ""},
		{"claude", "PROGRAM_NAME_AS_AGENT"}, {"claude-code", "PROGRAM_NAME_AS_AGENT"}, {"Codex", "PROGRAM_NAME_AS_AGENT"},
		{"gpt-5", "MODEL_NAME_AS_AGENT"}, {"opus", "MODEL_NAME_AS_AGENT"}, {"claude-opus-4", "MODEL_NAME_AS_AGENT"}, {"o3", "MODEL_NAME_AS_AGENT"},
		{"bob@example.com", "EMAIL_AS_AGENT"},
		{"all", "BROADCAST_ATTEMPT"}, {"*", "BROADCAST_ATTEMPT"}, {"@everyone", "BROADCAST_ATTEMPT"},
		{"BackendAgent", "DESCRIPTIVE_NAME"}, {"TestHelper", "DESCRIPTIVE_NAME"}, {"DBWorker", "DESCRIPTIVE_NAME"},
		{"bobb", "UNIX_USERNAME_AS_AGENT"},
	} {
		if m, _ := NameMistake(tt.name); m.Type != tt.want {
			t.Errorf("NameMistake(%q) = %q, want %q", tt.name, m.Type, tt.want)
		}
	}
	for _, bad := range []string{"", "A", "1A", "Blue Lake", HumanOverseer, "humanoverseer", "Blue~7q"} {
		if ValidName(bad) {
			t.Errorf("ValidName(%q)", bad)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"BlueLake", "GreenCastle", "BlueFake", "RedFox"}
	if got := Nearest("BlueLaek", names); len(got) == 0 || got[0] != "BlueLake" {
		t.Errorf("Nearest(BlueLaek) = %v", got)
	}
	if got := Nearest("zzzz", names); len(got) != 0 {
		t.Errorf("Nearest(zzzz) = %v", got)
	}
}
