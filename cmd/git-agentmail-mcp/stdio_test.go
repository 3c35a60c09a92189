//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain makes this test binary the program when it is told so.
func TestMain(m *testing.M) {
	if os.Getenv("AGENTMAIL_TEST_PROGRAM") != "" {
		main()
	}
	os.Exit(m.Run())
}

// repository makes a repository with one commit and returns the environment of programs in it.
func repository(t *testing.T) (dir string, env []string) {
	t.Helper()
	home := t.TempDir()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "XDG_STATE_HOME=" + filepath.Join(home, "state"), "XDG_DATA_HOME=" + filepath.Join(home, "data"),
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "LC_ALL=C.UTF-8", "TMPDIR=" + os.TempDir(), "AGENTMAIL_TEST_PROGRAM=1",
		"GORACE=atexit_sleep_ms=0", // else each process, where the race detector is on, would sleep for a second at its end
		"GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.org", "GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@example.org",
	}
	for _, args := range [][]string{{"init", "--quiet"}, {"commit", "--quiet", "--allow-empty", "--message=first"}} {
		cmd := exec.Command("git", args...)
		cmd.Dir, cmd.Env = dir, env
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	return dir, env
}

// program returns the command that runs this program in dir.
func program(t *testing.T, dir string, env []string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Dir, cmd.Env = dir, env
	return cmd
}

// spoken is what a server said: one message for each line of its output.
type spoken struct {
	ID     any `json:"id"`
	Result struct {
		IsError bool `json:"isError"`
		Content []struct{ Text string }
	} `json:"result"`
	Error *struct {
		Code    int
		Message string
	} `json:"error"`
}

func (m spoken) ok() bool { return m.Error == nil && !m.Result.IsError }

func parse(t *testing.T, line []byte) spoken {
	t.Helper()
	var m struct {
		JSONRPC string
		spoken
	}
	if err := json.Unmarshal(line, &m); err != nil || m.JSONRPC != "2.0" {
		t.Fatalf("not a message: %v in %.200q", err, line)
	}
	return m.spoken
}

// listen runs the program with the given input to its end and returns what it said by id.
func listen(t *testing.T, dir string, env []string, in io.Reader) map[string]spoken {
	t.Helper()
	cmd := program(t, dir, env, "mcp")
	cmd.Stdin = in
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := run(t, cmd); err != nil {
		t.Fatalf("%v\n%s", err, &errs)
	}
	said := map[string]spoken{}
	for line := range bytes.Lines(out.Bytes()) {
		m := parse(t, line)
		said[fmt.Sprint(m.ID)] = m
	}
	return said
}

// run runs cmd to its end, which must come by itself.
func run(t *testing.T, cmd *exec.Cmd) error {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return end(t, cmd)
}

func end(t *testing.T, cmd *exec.Cmd) error {
	t.Helper()
	timer := time.AfterFunc(time.Minute, func() {
		t.Error("the program does not end")
		cmd.Process.Kill()
	})
	defer timer.Stop()
	return cmd.Wait()
}

const hello = `{"jsonrpc":"2.0","id":"hello","method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}` +
	"\n" + `{"jsonrpc":"2.0","method":"notifications/initialized"}` + "\n"

func request(id any, tool string, args map[string]any) string {
	data, _ := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": map[string]any{"name": tool, "arguments": args}})
	return string(data) + "\n"
}

// registered are the two agents of these tests.
func registered(t *testing.T, dir string, env []string) {
	t.Helper()
	var in strings.Builder
	in.WriteString(hello)
	for i, name := range []string{"BlueLake", "GreenCastle"} {
		in.WriteString(request(i, "register_agent", map[string]any{"name": name, "program": "p", "model": "m"}))
	}
	for id, m := range listen(t, dir, env, strings.NewReader(in.String())) {
		if !m.ok() {
			t.Fatalf("%v: %+v", id, m)
		}
	}
}

func send(id any, subject string) string {
	return request(id, "send_message", map[string]any{"sender_name": "BlueLake", "to": "GreenCastle", "subject": subject, "body_md": "b"})
}

// inbox returns the subjects of all mail to GreenCastle.
func inbox(t *testing.T, dir string, env []string) []string {
	t.Helper()
	m := listen(t, dir, env, strings.NewReader(hello+request(1.0, "fetch_inbox", map[string]any{"agent_name": "GreenCastle", "limit": 1000})))["1"]
	var list []struct{ Subject string }
	if !m.ok() || json.Unmarshal([]byte(m.Result.Content[0].Text), &list) != nil {
		t.Fatalf("%+v", m)
	}
	var subjects []string
	for _, m := range list {
		subjects = append(subjects, m.Subject)
	}
	slices.Sort(subjects)
	return subjects
}

// TestNoInput: without input there is nothing to serve.
func TestNoInput(t *testing.T) {
	dir, env := repository(t)
	if said := listen(t, dir, env, nil); len(said) > 0 {
		t.Errorf("said %v", said)
	}
	cmd := program(t, dir, env, "mcp")
	cmd.Args = append([]string{"sh", "-c", `exec "$0" "$@" <&-`, cmd.Path}, cmd.Args[1:]...)
	cmd.Path, _ = exec.LookPath("sh")
	if err := run(t, cmd); err != nil {
		t.Error(err)
	}
}

// TestInputEnds: what was asked before the input ended is answered, all of it, from a file
// too, whose last line has no end.
func TestInputEnds(t *testing.T) {
	dir, env := repository(t)
	registered(t, dir, env)
	const n = 200
	var in strings.Builder
	in.WriteString(hello)
	for i := range n {
		in.WriteString(send(i, fmt.Sprintf("%03d", i)))
	}
	file := filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(file, []byte(strings.TrimSuffix(in.String(), "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	said := listen(t, dir, env, f)
	for i := range n {
		if m, ok := said[fmt.Sprint(i)]; !ok || !m.ok() {
			t.Errorf("%d: %v, %+v", i, ok, m)
		}
	}
	if got := inbox(t, dir, env); len(got) != n {
		t.Errorf("%d messages arrived", len(got))
	}
}

// TestLongLine: a line that never ends costs no memory and is refused by its id.
func TestLongLine(t *testing.T) {
	dir, env := repository(t)
	long := strings.Repeat("x", 1<<20)
	for _, tc := range []struct {
		before, after string
		id            string
	}{
		{`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"a":"`, `"}}`, "7"},
		{`{"method":"tools/call","params":{"a":"`, `"},"jsonrpc":"2.0","id":"last"}`, "last"},
		{``, ``, "<nil>"},
	} {
		cmd := program(t, dir, env, "mcp")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		cmd.Stdout = &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		io.WriteString(in, hello+tc.before)
		for range 200 {
			io.WriteString(in, long)
		}
		io.WriteString(in, tc.after+"\n"+request("next", "health_check", nil))
		in.Close()
		if err := end(t, cmd); err != nil {
			t.Fatal(err)
		}
		said := map[string]spoken{}
		for line := range bytes.Lines(out.Bytes()) {
			m := parse(t, line)
			said[fmt.Sprint(m.ID)] = m
		}
		if m, ok := said[tc.id]; !ok || m.Error == nil || !strings.Contains(m.Error.Message, "4 MB") {
			t.Errorf("%v: %v, %+v", tc.id, ok, m)
		}
		if m, ok := said["next"]; !ok || !m.ok() {
			t.Errorf("after %v: %v, %+v", tc.id, ok, m)
		}
		if use, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok && use.Maxrss > 120<<10 && runtime.GOOS == "linux" {
			t.Errorf("%d kB were used", use.Maxrss)
		}
	}
}

// TestRubbish: whatever is not a message is an error, and the next one is heard.
func TestRubbish(t *testing.T) {
	dir, env := repository(t)
	for _, line := range []string{
		`{`, `x`, `null`, `[]`, `"text"`, `[{"jsonrpc":"2.0","id":1,"method":"ping"}]`, "\x00\xff", `{"jsonrpc":"1.0","id":1,"method":"ping"}`,
		`{"jsonrpc":"2.0","id":1,"method":"no/such"}`, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":7}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":7}}`, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"fetch_inbox","arguments":[]}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call"}`, strings.Repeat("[", 100000),
	} {
		in := hello + line + "\n\r\n  \n" + request("next", "health_check", nil)
		said := listen(t, dir, env, strings.NewReader(in))
		if m := said["next"]; !m.ok() || len(m.Result.Content) == 0 {
			t.Errorf("after %.80q: %+v", line, m)
		}
		failed := 0
		for id, m := range said {
			if id != "next" && id != "hello" && !m.ok() {
				failed++
			}
		}
		if failed != 1 {
			t.Errorf("%.80q: %d errors in %+v", line, failed, said)
		}
	}
}

// TestUnknownTool: the error names what was meant.
func TestUnknownTool(t *testing.T) {
	dir, env := repository(t)
	said := listen(t, dir, env, strings.NewReader(hello+request(1, "fetch_inbx", nil)+request(2, strings.Repeat("x", 5000), nil)))
	if m := said["1"]; m.Error == nil || m.Error.Code != -32602 || !strings.Contains(m.Error.Message, "not found") || !strings.Contains(m.Error.Message, "fetch_inbox") {
		t.Errorf("%+v", m.Error)
	}
	if m := said["2"]; m.Error == nil || len(m.Error.Message) > 500 {
		t.Errorf("%+v", m.Error)
	}
}

// talk is a running server and what it says.
type talk struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	said chan spoken
	errs *bytes.Buffer
}

func start(t *testing.T, dir string, env []string) *talk {
	t.Helper()
	k := &talk{cmd: program(t, dir, env, "mcp"), said: make(chan spoken, 1000), errs: &bytes.Buffer{}}
	k.cmd.Stderr = k.errs
	out, err := k.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if k.in, err = k.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := k.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(k.said)
		r := bufio.NewReader(out)
		for {
			line, err := r.ReadBytes('\n')
			if err != nil {
				return
			}
			k.said <- parse(t, line)
		}
	}()
	return k
}

// TestTold: the program that is told to end finishes what it does, and what it has
// answered is kept.
func TestTold(t *testing.T) {
	dir, env := repository(t)
	registered(t, dir, env)
	k := start(t, dir, env)
	io.WriteString(k.in, hello)
	go func() {
		for i := range 150 {
			io.WriteString(k.in, send(i, fmt.Sprintf("%03d", i)))
		}
	}()
	for range 5 {
		<-k.said
	}
	k.cmd.Process.Signal(syscall.SIGTERM)
	var answered []string
	for m := range k.said {
		if id, ok := m.ID.(float64); ok {
			if !m.ok() {
				t.Errorf("%v: %+v", id, m)
			}
			answered = append(answered, fmt.Sprintf("%03.0f", id))
		}
	}
	if err := end(t, k.cmd); err != nil {
		t.Errorf("%v\n%s", err, k.errs)
	}
	arrived := inbox(t, dir, env)
	for _, s := range answered {
		if !slices.Contains(arrived, s) {
			t.Errorf("%s was answered and is lost", s)
		}
	}
	if len(answered) == 0 || len(arrived) > len(answered)+5 {
		t.Errorf("%d were answered, %d arrived", len(answered), len(arrived))
	}
}

// TestCancelled: calls that are taken back are answered, and the others do not suffer.
func TestCancelled(t *testing.T) {
	dir, env := repository(t)
	registered(t, dir, env)
	var in strings.Builder
	in.WriteString(hello)
	const n = 100
	for i := range n {
		in.WriteString(send(i, fmt.Sprintf("%03d", i)))
		if i%2 == 1 {
			fmt.Fprintf(&in, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%d}}`+"\n", i)
		}
	}
	said := listen(t, dir, env, strings.NewReader(in.String()))
	arrived := inbox(t, dir, env)
	for i := range n {
		m, ok := said[fmt.Sprint(i)]
		if !ok || i%2 == 0 && !m.ok() {
			t.Errorf("%d: %v, %+v", i, ok, m)
		}
		if m.ok() && !slices.Contains(arrived, fmt.Sprintf("%03d", i)) {
			t.Errorf("%d is lost", i)
		}
	}
}

// TestClientGone: a client that dies leaves what it asked for done.
func TestClientGone(t *testing.T) {
	dir, env := repository(t)
	registered(t, dir, env)
	cmd := program(t, dir, env, "mcp")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	io.WriteString(in, hello)
	for i := range 20 {
		io.WriteString(in, send(i, fmt.Sprintf("%03d", i)))
	}
	out.Close()
	in.Close()
	if err := end(t, cmd); err != nil {
		t.Error(err)
	}
	if got := inbox(t, dir, env); len(got) != 20 {
		t.Errorf("%d of 20 arrived", len(got))
	}
}
