package cli_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io/fs"
	"log"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/git-agentmail/git-agentmail/cmd/cli"
	"github.com/git-agentmail/git-agentmail/hooks/githook"
	"github.com/git-agentmail/git-agentmail/internal/refine"
	"github.com/git-agentmail/git-agentmail/mail/digest"
	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/git-agentmail/git-agentmail/mcp"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes this test binary either of the two programs when it is called by its
// name, and puts them on the PATH of the scripts, where git and its hooks find them.
func TestMain(m *testing.M) {
	run := func(d mailbox.Digest, serve func(context.Context, cli.IO, cli.Served) error) {
		std := cli.Process()
		std.Ancestors = nil // whoever runs the tests is not acting in them
		std.Digest, std.Serve = d, serve
		os.Exit(cli.Main(os.Args[1:], std))
	}
	testscript.Main(m, map[string]func(){
		"git-agentmail": func() { run(mailbox.Digest{}, nil) },
		"git-agentmail-mcp": func() {
			run(mailbox.Digest{Summarize: digest.Summarize, Aggregate: digest.Aggregate, Refine: refine.Refine}, serve)
		},
	})
}

func serve(ctx context.Context, std cli.IO, s cli.Served) error {
	srv := mcp.New(mcp.Options{Mailbox: s.Mailbox, Profile: mcp.Profile(s.Profile), Version: s.Version, Binary: s.Binary,
		Getenv: os.Getenv, Log: log.New(std.Err, "agentmail: ", 0)})
	defer srv.Close()
	return srv.Stdio(ctx, std.In, std.Out)
}

const scripts = "../../testdata/script"

func TestScripts(t *testing.T) {
	if list, _ := filepath.Glob(filepath.Join(scripts, "*.txt")); len(list) == 0 {
		t.Fatalf("no scripts in %s", scripts)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 scripts,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setup,
		Condition: func(name string) (bool, error) {
			if name != "confighooks" {
				return false, fmt.Errorf("no condition is called %q", name)
			}
			out, err := exec.Command("git", "version").Output()
			var major, minor int
			fmt.Sscanf(string(out), "git version %d.%d", &major, &minor)
			return major > 2 || major == 2 && minor >= 54, err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"capture":  capture,
			"exits":    exits,
			"gitstate": gitstate,
			"json":     checkJSON,
			"jsonget":  getJSON,
			"append":   appendLine,
			"drawpng":  drawPNG,
		},
	})
}

// setup gives a script a home of its own, with a person called Ann.
func setup(env *testscript.Env) error {
	home := filepath.Join(env.WorkDir, "home")
	if err := os.MkdirAll(home, 0o777); err != nil {
		return err
	}
	config := "[user]\n\tname = Ann\n\temail = ann@example.org\n[init]\n\tdefaultBranch = main\n[advice]\n\tdetachedHead = false\n"
	// On every git the hooks are those in the files; confighooks.txt has the others.
	for _, event := range githook.EveryEvent() {
		config += fmt.Sprintf("[hook %q]\n\tenabled = false\n", githook.ConfigPrefix+event)
	}
	if err := os.WriteFile(filepath.Join(home, ".gitconfig"), []byte(config), 0o666); err != nil {
		return err
	}
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		return err
	}
	for _, kv := range [][2]string{
		{"HOME", home}, {"EXAMPLES", examples}, {"XDG_CONFIG_HOME", filepath.Join(home, ".config")}, {"GIT_CONFIG_NOSYSTEM", "1"},
		{"GIT_CONFIG_GLOBAL", filepath.Join(home, ".gitconfig")}, {"LC_ALL", "C.UTF-8"},
		// A second after every command, when the tests run with -race.
		{"GORACE", "atexit_sleep_ms=0"},
	} {
		env.Setenv(kv[0], kv[1])
	}
	return nil
}

// capture VAR puts the last stdout, trimmed, into a variable.
func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: capture VAR")
	}
	s := strings.TrimSpace(ts.ReadFile("stdout"))
	if s == "" {
		ts.Fatalf("nothing on stdout to capture")
	}
	ts.Setenv(args[0], s)
}

// exits STATUS PROGRAM ARG... runs a program, which must exit with that status.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS PROGRAM ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

// append FILE LINE adds a line to a file.
func appendLine(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: append FILE LINE")
	}
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	ts.Check(err)
	_, err = f.WriteString(args[1] + "\n")
	ts.Check(errors.Join(err, f.Close()))
}

// drawpng FILE WIDTH HEIGHT makes an image that packs well.
func drawPNG(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: drawpng FILE WIDTH HEIGHT")
	}
	w, err := strconv.Atoi(args[1])
	ts.Check(err)
	h, err := strconv.Atoi(args[2])
	ts.Check(err)
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	r := rand.New(rand.NewSource(1))
	for y := range min(h, 200) {
		for x := range min(w, 200) {
			m.SetNRGBA(x, y, color.NRGBA{uint8(r.Intn(100)), 30, 60, 255})
		}
	}
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(errors.Join(png.Encode(f, m), f.Close()))
}

// json [stderr] PATH WANT looks at a value in the JSON on stdout. WANT is the
// value as JSON or a bare string, len:N for a length, or * for anything but null.
func checkJSON(ts *testscript.TestScript, neg bool, args []string) {
	args, stream := jsonStream(args)
	if len(args) != 2 {
		ts.Fatalf("usage: [!] json [stderr] PATH WANT")
	}
	v := lookUp(ts, ts.ReadFile(stream), args[0])
	data, err := json.Marshal(v)
	ts.Check(err)
	got, want := string(data), args[1]
	ok := false
	switch s, isString := v.(string); {
	case want == "*":
		ok = v != nil
	case strings.HasPrefix(want, "len:"):
		got = "len:" + strconv.Itoa(length(v))
		ok = got == want
	case isString:
		ok = s == want || got == want
	default:
		ok = got == want
	}
	if ok == neg {
		ts.Fatalf("%s: got %s, want (unless negated) %s", args[0], got, want)
	}
}

func jsonStream(args []string) ([]string, string) {
	if len(args) > 0 && args[0] == "stderr" {
		return args[1:], "stderr"
	}
	return args, "stdout"
}

func length(v any) int {
	switch v := v.(type) {
	case []any:
		return len(v)
	case map[string]any:
		return len(v)
	}
	return -1
}

// jsonget VAR PATH puts a string from the JSON on stdout into a variable.
func getJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: jsonget VAR PATH")
	}
	v := lookUp(ts, ts.ReadFile("stdout"), args[1])
	s, ok := v.(string)
	if !ok {
		s = fmt.Sprint(v)
	}
	ts.Setenv(args[0], s)
}

// lookUp follows a path such as deliveries.0.payload.id; . is the whole.
func lookUp(ts *testscript.TestScript, text, path string) any {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		ts.Fatalf("%v in %q", err, text)
	}
	if strings.Count(text, "\n") != 1 {
		ts.Fatalf("JSON is not on one line: %q", text)
	}
	for _, key := range strings.Split(path, ".") {
		if key == "" {
			continue
		}
		switch x := v.(type) {
		case map[string]any:
			y, ok := x[key]
			if !ok {
				ts.Fatalf("no %q of %q in %s", key, path, text)
			}
			v = y
		case []any:
			i, err := strconv.Atoi(key)
			if err != nil || i >= len(x) {
				ts.Fatalf("no %q of %q in %s", key, path, text)
			}
			v = x[i]
		default:
			ts.Fatalf("no %q of %q in %s", key, path, text)
		}
	}
	return v
}

// gitstate save|cmp [-all] DIR... remembers every file below some directories,
// with mode and contents, and compares. Ours are left out, unless -all: then
// nothing of ours may have been left.
func gitstate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: gitstate save|cmp [-all] DIR...")
	}
	verb, dirs := args[0], args[1:]
	all := dirs[0] == "-all"
	if all {
		dirs = dirs[1:]
	}
	now := map[string]string{}
	for _, dir := range dirs {
		readState(ts, ts.MkAbs(dir), all, now)
	}
	name := strings.NewReplacer("/", "_", "\\", "_", ":", "_").Replace(strings.Join(args[1:], "+"))
	file := filepath.Join(ts.Getenv("WORK"), ".gitstate"+name)
	if verb == "save" {
		data, err := json.Marshal(now)
		ts.Check(err)
		ts.Check(os.WriteFile(file, data, 0o666))
		return
	}
	data, err := os.ReadFile(file)
	ts.Check(err)
	before := map[string]string{}
	ts.Check(json.Unmarshal(data, &before))
	var diff []string
	for name, was := range before {
		switch is, ok := now[name]; {
		case !ok:
			diff = append(diff, "gone:    "+name)
		case is != was:
			diff = append(diff, fmt.Sprintf("changed: %s (%s, was %s)", name, is, was))
		}
	}
	for name := range now {
		if _, ok := before[name]; !ok {
			diff = append(diff, "new:     "+name)
		}
	}
	if len(diff) > 0 {
		slices.Sort(diff)
		ts.Fatalf("not as it was:\n%s", strings.Join(diff, "\n"))
	}
}

func readState(ts *testscript.TestScript, dir string, all bool, into map[string]string) {
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !all && oursInGit(path) {
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		state := info.Mode().String()
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			state += fmt.Sprintf(" %x", sha256.Sum256(data))
		}
		into[path] = state
		return nil
	})
	ts.Check(err)
}

// oursInGit says what may change at any time in a git directory of a repository
// with mail: our own files, and the store of objects.
func oursInGit(path string) bool {
	slash := filepath.ToSlash(path)
	for _, s := range []string{"/agentmail", "/agentmail-cache", "/agentmail-agent", "/refs/agentmail", "/logs/refs/agentmail", "/.git/objects"} {
		if strings.HasSuffix(slash, s) {
			return true
		}
	}
	return false
}
