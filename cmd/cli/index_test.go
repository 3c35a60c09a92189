package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/internal/seed"
)

// yard is a repository with mail in it, used by real processes.
type yard struct {
	t      *testing.T
	dir    string
	env    []string
	agents []string

	program string // what is run; this test takes more than twice as long to start
}

func newYard(t *testing.T, messages int) *yard {
	home := t.TempDir()
	config := filepath.Join(home, ".gitconfig")
	if err := os.WriteFile(config, []byte("[user]\n\tname = Ann\n\temail = ann@example.org\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	y := &yard{t: t, dir: filepath.Join(home, "repo"), program: "git-agentmail"}
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "GIT_") && !strings.HasPrefix(kv, "AGENT") {
			y.env = append(y.env, kv)
		}
	}
	y.env = append(y.env, "HOME="+home, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+config)
	if out, err := y.cmd("git", "init", "-q", y.dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	r, err := seed.Seed(context.Background(), y.dir, seed.Options{Messages: messages, Agents: 6, Environ: y.env})
	if err != nil {
		t.Fatal(err)
	}
	y.agents = r.Reachable
	return y
}

func (y *yard) cmd(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Env = y.env
	if _, err := os.Stat(y.dir); err == nil {
		cmd.Dir = y.dir
	}
	return cmd
}

// ask runs git agentmail and returns what it answers and what it says beside.
func (y *yard) ask(args ...string) (stdout, stderr string, err error) {
	cmd := y.cmd(y.program, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.String(), errs.String(), err
}

func (y *yard) must(args ...string) string {
	y.t.Helper()
	out, errs, err := y.ask(args...)
	if err != nil {
		y.t.Fatalf("%v: %v: %s", args, err, errs)
	}
	return out
}

// everything is a sheet of answers that come out of the index.
func (y *yard) everything() string {
	y.t.Helper()
	var w strings.Builder
	for _, a := range y.agents[:3] {
		w.WriteString(y.must("inbox", "--as", a, "--json", "-n", "200") + y.must("outbox", "--as", a, "--json"))
	}
	return w.String() + y.must("log", "--json", "-n", "300") + y.must("search", "re", "--json", "-n", "50") + y.must("agents", "--json")
}

func soak() bool { return os.Getenv("AGENTMAIL_SOAK") != "" }

// TestIndexKilled: the maker of the index is killed at random, with nothing left behind
// that makes an answer wrong.
func TestIndexKilled(t *testing.T) {
	y := newYard(t, 400)
	want := y.everything()
	cache := filepath.Join(y.dir, ".git", "agentmail-cache")
	begin := time.Now()
	if err := os.RemoveAll(cache); err != nil {
		t.Fatal(err)
	}
	y.must("inbox", "--as", y.agents[0])
	long := time.Since(begin)
	rounds, killed := 6, 0 // two of a new index, four of one that grows
	if soak() {
		rounds = 100
	}
	for i := range rounds {
		if i%3 == 0 { // else what the last one left
			if err := os.RemoveAll(cache); err != nil {
				t.Fatal(err)
			}
		} else {
			y.must("send", "--as", y.agents[0], "--to", y.agents[1], "-s", fmt.Sprint("round ", i), "-m", "text")
			want = ""
		}
		cmd := y.cmd("git-agentmail", "inbox", "--as", y.agents[0])
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rand.Int63n(int64(long))))
		cmd.Process.Kill()
		if cmd.Wait() != nil {
			killed++
		}
		got := y.everything()
		if want != "" && got != want {
			t.Fatalf("round %d: other answers than before", i)
		}
		if err := os.RemoveAll(cache); err != nil {
			t.Fatal(err)
		}
		if want = y.everything(); got != want {
			t.Fatalf("round %d: an index built anew gives other answers", i)
		}
	}
	if killed == 0 {
		t.Error("none was killed in time")
	}
	if left, _ := filepath.Glob(filepath.Join(cache, "index-new-*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestIndexCrowd: many read while some write. Nobody gets an error or waits for long,
// and everybody sees what was written before they asked.
func TestIndexCrowd(t *testing.T) {
	readers, writers, span, most := 8, 3, 2*time.Second, 10*time.Second // each of them comes several times
	if soak() {
		readers, writers, span, most = 30, 10, time.Minute, time.Second // of two cores, which they fill
	}
	y := newYard(t, 200)
	if soak() {
		y.program = filepath.Join(t.TempDir(), "git-agentmail")
		cmd := exec.Command("go", "build", "-o", y.program, "../git-agentmail")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, out)
		}
	}
	end := time.Now().Add(span)
	var wg sync.WaitGroup
	var mu sync.Mutex
	reads, sent, took := 0, 0, map[string][]time.Duration{}
	run := func(args ...string) string {
		begin := time.Now()
		out, errs, err := y.ask(args...)
		mu.Lock()
		defer mu.Unlock()
		took[args[0]] = append(took[args[0]], time.Since(begin))
		if err != nil || errs != "" {
			t.Errorf("%v: %v: %s", args, err, errs)
		}
		return out
	}
	for i := range writers {
		wg.Go(func() {
			for n := 0; time.Now().Before(end); n++ {
				id := strings.TrimSpace(run("send", "-q", "--as", y.agents[i%len(y.agents)], "--to", y.agents[0], "-s", fmt.Sprintf("crowd %d %d", i, n), "-m", "text"))
				if out := run("outbox", "-q", "--as", y.agents[i%len(y.agents)], "-n", "1000", "--json"); !strings.Contains(out, id) {
					t.Errorf("a sender does not see its message %s", id)
				}
				mu.Lock()
				sent++
				mu.Unlock()
			}
		})
	}
	for i := range readers {
		wg.Go(func() {
			for n := 0; time.Now().Before(end); n++ {
				run([][]string{{"inbox", "-q", "--as", y.agents[0], "--unread"}, {"search", "-q", "crowd"}, {"log", "-q"}, {"agents", "-q"}}[(i+n)%4]...)
				mu.Lock()
				reads++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if out := y.must("search", "crowd", "--json", "-n", "1000"); strings.Count(out, `"id"`) != min(sent, 1000) {
		t.Errorf("%d found of %d", strings.Count(out, `"id"`), sent)
	}
	t.Logf("%d reads, %d messages", reads, sent)
	for verb, list := range took {
		slices.Sort(list)
		slowest := list[len(list)-1]
		t.Logf("%-7s the median %s, 99 of 100 %s, the slowest %s", verb, list[len(list)/2].Round(time.Millisecond), list[len(list)*99/100].Round(time.Millisecond), slowest.Round(time.Millisecond))
		if slowest > most {
			t.Errorf("%s took %s", verb, slowest)
		}
	}
}

// TestIndexElsewhere: where the file cannot be written, or there is no room, the answers
// are the same.
func TestIndexElsewhere(t *testing.T) {
	y := newYard(t, 100)
	want := y.everything()
	cache := filepath.Join(y.dir, ".git", "agentmail-cache")
	file := filepath.Join(cache, "index.sqlite")
	for what, harm := range map[string]func(){
		"no bytes":          func() { os.WriteFile(file, nil, 0o666) },
		"another version":   func() { os.WriteFile(file, bytes.Repeat([]byte("SQLite format 3\x00"), 1000), 0o666) },
		"a directory":       func() { os.Remove(file); os.MkdirAll(filepath.Join(file, "x"), 0o777) },
		"an old log beside": func() { os.WriteFile(file+"-wal", bytes.Repeat([]byte("x"), 5000), 0o666) },
		"half of it": func() {
			if st, err := os.Stat(file); err == nil {
				os.Truncate(file, st.Size()/2)
			}
		},
		"nothing may be made": func() { os.RemoveAll(cache); os.WriteFile(cache, nil, 0o666) },
	} {
		harm()
		if got := y.everything(); got != want {
			t.Errorf("%s: other answers", what)
		}
		if err := os.RemoveAll(cache); err != nil {
			t.Fatal(err)
		}
		y.must("inbox", "--as", y.agents[0])
	}
	// A file system that is full: no file may grow beyond a few blocks.
	os.RemoveAll(cache)
	cmd := y.cmd("sh", "-c", `ulimit -f 100; trap "" XFSZ; git-agentmail inbox --json -n 200 --as "$1"`, "sh", y.agents[0])
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil || !strings.HasPrefix(want, string(out)) {
		t.Errorf("no room: %v: %s", err, errs.String())
	}
}

// TestIndexDamaged: a file that opens well and turns out to be damaged is replaced, not
// only passed by.
func TestIndexDamaged(t *testing.T) {
	y := newYard(t, 300)
	want := y.everything()
	file := filepath.Join(y.dir, ".git", "agentmail-cache", "index.sqlite")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := 8192; i < len(data); i++ { // all but the schema
		data[i] = 0xa5
	}
	if err := os.WriteFile(file, data, 0o666); err != nil {
		t.Fatal(err)
	}
	if got := y.everything(); got != want {
		t.Error("other answers")
	}
	if now, err := os.ReadFile(file); err != nil || bytes.Contains(now, bytes.Repeat([]byte{0xa5}, 4096)) {
		t.Errorf("the damage is still there: %v", err)
	}
}
