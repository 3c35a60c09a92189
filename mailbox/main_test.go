package mailbox

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/mail"
)

// The test binary is also what git runs as a hook, so that tests see the index
// and environment that real git commands make. (What a hook prints, and with
// which status it ends, is the command line's business.)
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "hook" {
		os.Exit(runHook(os.Args[2], os.Args[3:]))
	}
	if len(os.Args) > 1 && os.Args[1] == "session" {
		os.Exit(runSession())
	}
	status := m.Run()
	if seed.dir != "" {
		os.RemoveAll(seed.dir)
	}
	os.Exit(status)
}

// soak multiplies the long tests: `make soak`.
func soak() bool { return os.Getenv("AGENTMAIL_SOAK") != "" }

// told is what a hook says of its verdict, one line of JSON.
type told struct {
	Event   string
	Stop    bool
	Code    mail.Code
	Message string
	Lines   []string
	Hints   []string
	Blocked []string
	Checked int
	Mode    string
	Notes   []string
}

func tell(event string, v Verdict) told {
	out := told{Event: event, Stop: v.Stop, Checked: v.Checked, Mode: v.Mode, Notes: v.Notes}
	if v.Err != nil {
		out.Code, out.Message, out.Lines, out.Hints = v.Err.Code, v.Err.Message, v.Err.Lines, v.Err.Hints
	}
	for _, b := range v.Blocked {
		out.Blocked = append(out.Blocked, b.Path)
	}
	return out
}

func runHook(event string, args []string) int {
	ctx := context.Background()
	opt := Options{Dir: "", InHook: true}
	if ms, err := strconv.ParseInt(os.Getenv("TEST_NOW"), 10, 64); err == nil {
		opt.Now = func() time.Time { return time.UnixMilli(ms) }
	}
	b, err := Open(ctx, opt)
	if err != nil {
		fmt.Fprintln(os.Stderr, "hook:", err)
		return 99
	}
	defer b.Close()
	var stdin []byte
	if event == PrePush {
		stdin, _ = io.ReadAll(os.Stdin)
	}
	v := b.Hook(ctx, HookRequest{Event: event, Args: args, Stdin: stdin}, func(ctx context.Context) (Actor, error) { return b.Who(ctx, Caller{}) })
	line, err := json.Marshal(tell(event, v))
	if err != nil {
		fmt.Fprintln(os.Stderr, "hook:", err)
		return 99
	}
	fmt.Fprintf(os.Stderr, "told: %s\n", line)
	if v.Stop {
		return 1
	}
	return 0
}

// hooked puts this binary in as all the hooks of the repository.
func (w *world) hooked() *world {
	w.t.Helper()
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	dir := strings.TrimSpace(w.git("-C", w.dir, "rev-parse", "--path-format=absolute", "--git-path", "hooks"))
	if err := os.MkdirAll(dir, 0o777); err != nil {
		w.t.Fatal(err)
	}
	for _, e := range []string{PreCommit, PreMergeCommit, PostCommit, PostMerge, PrePush} {
		if err := os.WriteFile(filepath.Join(dir, e), []byte("#!/bin/sh\nexec '"+self+"' hook "+e+" \"$@\"\n"), 0o777); err != nil {
			w.t.Fatal(err)
		}
	}
	return w
}

// does runs a git command in dir as an agent ("" for nobody named) and returns
// whether it succeeded and what the hooks told.
func (w *world) does(agent, dir string, args ...string) (bool, []told) {
	w.t.Helper()
	env := []string{"TEST_NOW=" + strconv.FormatInt(w.at.UnixMilli(), 10), "GIT_EDITOR=true"}
	for len(args) > 0 && strings.Contains(args[0], "=") && !strings.HasPrefix(args[0], "-") {
		env, args = append(env, args[0]), args[1:]
	}
	if agent != "" {
		env = append(env, "AGENTMAIL_AGENT="+agent)
	}
	status, out := w.try(dir, env, append([]string{"-c", "user.name=U", "-c", "user.email=u@example.com"}, args...)...)
	var all []told
	for line := range strings.SplitSeq(out, "\n") {
		if rest, ok := strings.CutPrefix(strings.TrimPrefix(line, "remote: "), "told: "); ok {
			var v told
			if err := json.Unmarshal([]byte(rest), &v); err != nil {
				w.t.Fatal(err)
			}
			all = append(all, v)
		}
	}
	if status != 0 && !slices.ContainsFunc(all, func(v told) bool { return v.Stop }) {
		w.t.Fatalf("git %q failed, and no hook stopped it:\n%s", args, out)
	}
	return status == 0, all
}

// seen returns the records of commits and bypasses, as outcome and paths.
func (w *world) seen() (commits, bypasses []string) {
	w.t.Helper()
	sn, err := w.box.snapshot(w.ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	st, err := w.box.fold(w.ctx, sn)
	if err != nil {
		w.t.Fatal(err)
	}
	for oid, list := range st.Commits {
		for _, c := range list {
			if !gitstoreOID(oid) {
				w.t.Errorf("commit %q is no object name", oid)
			}
			commits = append(commits, c.Outcome+" "+st.Address(c.By)+" "+strings.Join(touchedPaths(c.Touched), ","))
		}
	}
	for _, b := range st.Bypasses {
		bypasses = append(bypasses, b.Event+" "+st.Address(b.By)+" "+b.Reason+" "+strings.Join(touchedPaths(b.Touched), ","))
	}
	slices.Sort(commits)
	return commits, bypasses
}

func gitstoreOID(s gitstore.OID) bool {
	return len(s) == 40 && strings.Trim(string(s), "0123456789abcdef") == ""
}

// runSession is another process that keeps a session record, as an MCP server
// does, until its input ends.
func runSession() int {
	b, err := Open(context.Background(), Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer b.Close()
	in := json.NewDecoder(os.Stdin)
	var s Session
	if err := in.Decode(&s); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	save, stop, err := b.OpenSession(s)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for {
		fmt.Println("kept")
		if err := in.Decode(&s); err != nil {
			break
		}
		save(s)
	}
	stop()
	return 0
}
