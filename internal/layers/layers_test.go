// Package layers holds the architecture as a test: who may import whom. It
// parses the source files, for `go list` answers from a cache that hides a
// violation. doc/ARCHITECTURE.md draws the same picture.
package layers

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/git-agentmail/git-agentmail/"

// ours lists, for each package, the packages of this module it may import.
var ours = map[string][]string{
	"mail":                  {},
	"mail/digest":           {"mail"},
	"gitstore":              {},
	"guard":                 {"mail"},
	"hooks/githook":         {"mail"},
	"hooks/agenthook":       {"mail"},
	"hooks/clientconfig":    {"mail"},
	"index":                 {"mail"},
	"picture":               {},
	"mailbox":               {"gitstore", "index", "guard", "hooks/githook", "picture", "mail"},
	"mcp":                   {"mailbox", "mail"},
	"web":                   {"mailbox", "mail"},
	"cmd/cli":               {"mailbox", "mail", "hooks/agenthook", "hooks/clientconfig"},
	"cmd/git-agentmail":     {"cmd/cli"},
	"cmd/git-agentmail-mcp": {"cmd/cli", "mail/digest", "internal/refine", "mcp", "web", "mailbox"},
	"internal/refine":       {"mail", "mail/digest"},
	"internal/layers":       {},
	"internal/hub":          {}, // tests only: nobody lists it
	"internal/mutants":      {},
	"internal/seed":         {"gitstore", "mail"},
	"internal/seedmail":     {"internal/seed"},
	"internal/bench":        {"internal/seed", "gitstore", "mailbox", "mail"},
}

// only lists, for each outside package that has one place, where that is and why.
var only = []struct {
	path  string
	where []string
	why   string
}{
	{"github.com/go-git/", []string{"gitstore"}, "one place knows git's objects"},
	{"os/exec", []string{"gitstore", "cmd/cli", "internal/bench", "internal/hub", "internal/mutants"}, "git is run in one place, with one environment; the command line asks it for the editor and plays the demo; the hub is a host of its own"},
	{"github.com/fsnotify/fsnotify", []string{"gitstore"}, "only it knows where refs lie"},
	{"github.com/gofrs/flock", []string{"gitstore", "index"}, "one lock for writers, one for the indexer"},
	{"github.com/ncruces/go-sqlite3", []string{"index"}, "sending, reserving and the guard never open a database"},
	{"github.com/HugoSmits86/nativewebp", []string{"picture"}, "whatever an encoder makes is looked at before it is stored"},
	{"golang.org/x/image", []string{"picture"}, "an image is decoded where its size was bounded before"},
	{"github.com/gobwas/glob", []string{"guard"}, "pattern semantics are fixed once"},
	{"github.com/tailscale/hujson", []string{"hooks/clientconfig"}, "configuration of others is edited as text, in one place"},
	{"github.com/BurntSushi/toml", []string{"hooks/clientconfig"}, "the same"},
	{"github.com/mark3labs/mcp-go", []string{"mcp", "cmd/git-agentmail-mcp"}, "a young interface, and 5 ms of start-up in every process that links it"},
	{"github.com/spf13/cobra", []string{"cmd/cli"}, "verbs are commands in one place"},
	{"github.com/yuin/goldmark", []string{"web", "mail/digest"}, "bodies are stored, not rendered; half a millisecond of start-up in every process that links it"},
	{"net/http", []string{"internal/refine", "mcp", "web", "cmd/git-agentmail-mcp", "internal/bench", "internal/hub"}, "start-up in every process that links it, and no hook speaks to a server"},
}

// pure packages read no clock, environment or randomness and, of the file
// system, nothing.
var pure = map[string][]string{
	"guard":           {"os", "os/exec", "net", "net/http", "crypto/rand", "math/rand", "math/rand/v2", "io/ioutil", "path/filepath", "syscall"},
	"hooks/agenthook": {"os", "os/exec", "net", "net/http", "crypto/rand", "math/rand", "math/rand/v2", "path/filepath", "syscall"},
	"picture":         {"os", "os/exec", "net", "net/http", "crypto/rand", "math/rand", "math/rand/v2", "io/ioutil", "path/filepath", "syscall"},
	"mail":            {"os", "os/exec", "net", "net/http", "crypto/rand", "math/rand", "math/rand/v2", "io/ioutil", "path/filepath", "syscall"},
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(filepath.Dir(dir))
}

// imports returns what the non-test files of each package import.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	top := root(t)
	got := map[string][]string{}
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if n := d.Name(); path != top && (strings.HasPrefix(n, ".") || n == "testdata" || n == "bin") {
				return filepath.SkipDir
			}
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil && path != top {
				return filepath.SkipDir // a module of its own
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, filepath.Dir(path))
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(rel)
		if _, ok := got[pkg]; !ok {
			got[pkg] = nil
		}
		for _, spec := range f.Imports {
			p, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			got[pkg] = append(got[pkg], p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) < 6 {
		t.Fatalf("only %d packages found below %s", len(got), top)
	}
	return got
}

func TestLayers(t *testing.T) {
	for pkg, list := range imports(t) {
		allowed, known := ours[pkg]
		if !known {
			t.Errorf("the package %s is new: give it a place in doc/ARCHITECTURE.md and in this test", pkg)
			continue
		}
		for _, p := range list {
			if rest, is := strings.CutPrefix(p, module); is && !slices.Contains(allowed, rest) {
				t.Errorf("%s imports %s; of ours it may import only %v", pkg, rest, allowed)
			}
			for _, o := range only {
				if (p == o.path || strings.HasPrefix(p, strings.TrimSuffix(o.path, "/")+"/")) && !slices.Contains(o.where, pkg) {
					t.Errorf("%s imports %s, which belongs in %v: %s", pkg, p, o.where, o.why)
				}
			}
			if slices.Contains(pure[pkg], p) {
				t.Errorf("%s imports %s, but it is pure: what it needs is given to it", pkg, p)
			}
		}
	}
}

func TestNoCatchAllPackages(t *testing.T) {
	for pkg := range imports(t) {
		switch filepath.Base(pkg) {
		case "util", "utils", "common", "tools", "helpers", "types", "models", "misc":
			t.Errorf("the package %s says nothing of what is in it", pkg)
		}
	}
}

// TestClockAndEnvironmentComeIn keeps time, randomness and the environment out
// of the packages with rules: the mains, cmd/cli and mailbox.Options give them.
func TestClockAndEnvironmentComeIn(t *testing.T) {
	top := root(t)
	allowed := map[string][]string{
		"mailbox/box.go":             {"time.Now", "os.Environ"}, // defaults of Options
		"gitstore/store.go":          {"time.Now"},               // defaults of Options
		"gitstore/update.go":         {"time.Now"},               // how long to wait for a lock, which no test fakes
		"gitstore/move.go":           {"time.Now"},               // the same for git's own lock
		"gitstore/site.go":           {"os.Environ"},             // asking git for its version
		"mcp/http.go":                {"time.Now"},               // deadlines of connections, and how long a request took
		"mailbox/ancestors_linux.go": {},
	}
	for _, pkg := range []string{"mail", "gitstore", "guard", "mailbox", "hooks/githook", "hooks/agenthook", "hooks/clientconfig", "index", "picture", "mcp", "web"} {
		files, err := filepath.Glob(filepath.Join(top, filepath.FromSlash(pkg), "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			rel := pkg + "/" + filepath.Base(name)
			for _, call := range []string{"time.Now", "os.Getenv", "os.LookupEnv", "os.Environ"} {
				if strings.Contains(string(data), call+"(") || strings.Contains(string(data), call+"\n") {
					if !slices.Contains(allowed[rel], call) {
						t.Errorf("%s calls %s", rel, call)
					}
				}
			}
		}
	}
}

// TestFirstProgramIsLean: git starts git-agentmail twice with every commit, and what
// takes long to initialise belongs into the second program, which must have it.
func TestFirstProgramIsLean(t *testing.T) {
	imports(t) // reads the sources, so that no answer out of the cache of tests hides a change
	for _, tt := range []struct {
		program string
		linked  bool
	}{{"cmd/git-agentmail", false}, {"cmd/git-agentmail-mcp", true}} {
		cmd := exec.Command("go", "list", "-deps", "./"+tt.program)
		cmd.Dir = root(t)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("go list: %v\n%s", err, out)
		}
		deps := strings.Fields(string(out))
		if len(deps) < 50 || !slices.Contains(deps, module+"mailbox") {
			t.Fatalf("go list answers %d packages:\n%s", len(deps), out)
		}
		for _, heavy := range []string{"github.com/yuin/goldmark/parser", "net/http", module + "mail/digest", module + "internal/refine"} {
			if slices.Contains(deps, heavy) != tt.linked {
				t.Errorf("%s links %s: %v, want %v", tt.program, heavy, !tt.linked, tt.linked)
			}
		}
		for _, p := range deps {
			if !tt.linked && (strings.Contains(p, "goldmark") || strings.HasPrefix(p, "net/http") || strings.Contains(p, "mcp-go")) {
				t.Errorf("%s links %s", tt.program, p)
			}
		}
	}
}
