package agenthook

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What the fixtures deny and inject.
const (
	reason = "src/db/pool.go is reserved by BlueLake until 14:20 UTC (in 35 min): \"pool <rewrite>\" & more\nask: git agentmail send --to BlueLake -s \"src/db/pool.go\""
	notice = "1 urgent message from RedHill: git agentmail inbox --urgent"
)

// fixture is one payload, what it means, and the answers to it, in
// testdata/agenthook/CLIENT-KIND-CASE.json; CLIENT is unknown where the payload
// does not tell.
type fixture struct {
	name string

	About     string          `json:"about"`
	Client    string          `json:"client"`
	Event     string          `json:"event"`
	Stdin     json.RawMessage `json:"stdin"`
	StdinText *string         `json:"stdin_text"` // instead of Stdin, for what is not JSON
	Error     string          `json:"error"`      // how the error begins; "" for none
	Call      struct {
		Client  string   `json:"client"`
		Kind    Kind     `json:"kind"`
		Session string   `json:"session"`
		Dir     string   `json:"dir"`
		Tool    string   `json:"tool"`
		Paths   []string `json:"paths"`
		Shell   bool     `json:"shell"`
	} `json:"call"`
	Allow  fixtureAnswer `json:"allow"`
	Deny   fixtureAnswer `json:"deny"`
	Inject fixtureAnswer `json:"inject"`
}

type fixtureAnswer struct {
	Stdout string `json:"stdout"`
	Stderr string `json:"stderr"`
	Exit   int    `json:"exit"`
}

func (f fixture) stdin() []byte {
	if f.StdinText != nil {
		return []byte(*f.StdinText)
	}
	return f.Stdin
}

func fixtures(t testing.TB) []fixture {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "testdata", "agenthook", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no fixtures in testdata/agenthook")
	}
	var out []fixture
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		f := fixture{name: strings.TrimSuffix(filepath.Base(file), ".json")}
		dec := json.NewDecoder(strings.NewReader(string(data)))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&f); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		out = append(out, f)
	}
	return out
}

func TestFixtures(t *testing.T) {
	for _, f := range fixtures(t) {
		t.Run(f.name, func(t *testing.T) {
			got, err := Parse(f.Client, f.Event, f.stdin())
			switch {
			case err == nil && f.Error != "":
				t.Errorf("no error, want %q", f.Error)
			case err != nil && (f.Error == "" || !strings.HasPrefix(err.Error(), f.Error)):
				t.Errorf("error %q, want %q", err, f.Error)
			case err != nil && strings.ContainsAny(err.Error(), "\n\x1b"):
				t.Errorf("error %q is not one plain line", err)
			}
			for _, x := range []struct {
				field     string
				got, want any
			}{
				{"Client", got.Client, f.Call.Client},
				{"Kind", got.Kind, f.Call.Kind},
				{"Session", got.Session, f.Call.Session},
				{"Dir", got.Dir, f.Call.Dir},
				{"Tool", got.Tool, f.Call.Tool},
				{"Shell", got.Shell, f.Call.Shell},
			} {
				if x.got != x.want {
					t.Errorf("%s is %q, want %q", x.field, x.got, x.want)
				}
			}
			if !slices.Equal(got.Paths, f.Call.Paths) {
				t.Errorf("Paths are %q, want %q", got.Paths, f.Call.Paths)
			}
			check(t, "Allow", got.Allow(), f.Allow)
			check(t, "Deny", got.Deny(reason), f.Deny)
			check(t, "Inject", got.Inject(notice), f.Inject)
		})
	}
}

func check(t *testing.T, what string, got Answer, want fixtureAnswer) {
	t.Helper()
	if string(got.Stdout) != want.Stdout || string(got.Stderr) != want.Stderr || got.Exit != want.Exit {
		t.Errorf("%s:\n got %q, %q, exit %d\nwant %q, %q, exit %d", what,
			got.Stdout, got.Stderr, got.Exit, want.Stdout, want.Stderr, want.Exit)
	}
}

// TestFixturesCover keeps a client, an event or a kind of answer from losing
// its last fixture.
func TestFixturesCover(t *testing.T) {
	have := map[string]bool{}
	for _, f := range fixtures(t) {
		client := f.Call.Client
		if client == "" {
			client = "unknown"
		}
		prefix := client + "-" + string(f.Call.Kind) + "-"
		if !strings.HasPrefix(f.name, prefix) {
			t.Errorf("%s.json should be called %s...", f.name, prefix)
		}
		if f.About == "" {
			t.Errorf("%s.json says nothing about itself", f.name)
		}
		have[prefix] = true
		if f.Client == "auto" && f.Error == "" {
			have["auto "+client] = true
		}
	}
	for _, client := range Clients() {
		for _, kind := range []Kind{PreEdit, SessionStart, PostTool} {
			// Windsurf has no hook for the start of a session.
			if !have[client+"-"+string(kind)+"-"] && (client != "windsurf" || kind != SessionStart) {
				t.Errorf("no fixture for %s, %s", client, kind)
			}
		}
		if !have["auto "+client] {
			t.Errorf("no fixture in which %s is found out", client)
		}
	}
}

// TestNamedAgrees reads the payloads of each client with its name given: that
// must mean the same as finding it out.
func TestNamedAgrees(t *testing.T) {
	for _, f := range fixtures(t) {
		if f.Client != "auto" || f.Call.Client == "" || f.Error != "" {
			continue
		}
		auto, err := Parse("auto", f.Event, f.stdin())
		if err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		named, err := Parse(f.Call.Client, f.Event, f.stdin())
		if err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		if a, n := auto.Deny(reason), named.Deny(reason); string(a.Stdout) != string(n.Stdout) || !slices.Equal(auto.Paths, named.Paths) {
			t.Errorf("%s:\nauto  %+v %s\nnamed %+v %s", f.name, auto, a.Stdout, named, n.Stdout)
		}
	}
}
