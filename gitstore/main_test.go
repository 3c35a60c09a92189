package gitstore

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

// The test binary starts itself again as a process that uses the store: set in
// its environment, childMode says as what and childArgs says where.
const (
	childMode = "GITSTORE_TEST_CHILD"
	childArgs = "GITSTORE_TEST_ARGS"
)

func TestMain(m *testing.M) {
	if mode := os.Getenv(childMode); mode != "" {
		os.Exit(runChild(mode))
	}
	code := m.Run()
	os.RemoveAll(childDir)
	if seeds.root != "" {
		os.RemoveAll(seeds.root)
	}
	os.Exit(code)
}

// raced is set where the race detector is on. Hundreds of children with it would
// take minutes and find nothing: each has one goroutine. So they are built
// without.
var (
	raced    bool
	childDir string // where they are then
)

// childExe returns the program to start as a child.
var childExe = sync.OnceValues(func() (string, error) {
	if raced {
		var err error
		if childDir, err = os.MkdirTemp("", "gitstore-child-"); err != nil {
			return "", err
		}
		exe := filepath.Join(childDir, "child")
		if exec.Command("go", "test", "-c", "-o", exe, ".").Run() == nil {
			return exe, nil
		}
	}
	return os.Executable()
})

// soak multiplies the long tests: `make soak`.
func soak() bool { return os.Getenv("AGENTMAIL_SOAK") != "" }

// childConfig is what a child is told.
type childConfig struct {
	Dir    string
	Prefix string        // of the files it writes
	Count  int           // of transactions, 0 for no end
	Wait   time.Duration // for the lock, 0 for the default
}

// runChild is main in a child. Each mode acknowledges on standard output.
func runChild(mode string) int {
	var c childConfig
	if err := json.Unmarshal([]byte(os.Getenv(childArgs)), &c); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	os.Unsetenv(childMode)
	os.Unsetenv(childArgs)
	err := error(nil)
	switch mode {
	case "write":
		err = childWrite(c, func() bool { return true })
	case "steps": // one write for each line on standard input
		in := bufio.NewScanner(os.Stdin)
		err = childWrite(c, in.Scan)
	case "truncate":
		err = childTruncate(c)
	case "read":
		err = childRead(c)
	case "descriptors":
		err = childDescriptors(c)
	case "list":
		err = childList(c)
	case "plain":
		err = childPlain(c)
	case "staged":
		err = childStaged()
	case "cursor":
		err = childCursor(c)
	case "notify-poll":
		err = childNotify(c, time.Hour, pollEvery)
	case "notify-blind":
		err = childNotifyBlind(c)
	case "notify-stop":
		err = childNotifyStop(c)
	default:
		err = fmt.Errorf("no mode %q", mode)
	}
	if err != nil {
		fmt.Printf("kind=%s error=%s\n", KindOf(err), strings.ReplaceAll(err.Error(), "\n", " "))
		return 1
	}
	return 0
}

func childOpen(c childConfig) (*Store, error) {
	repo, err := Find(context.Background(), c.Dir, os.Environ())
	if err != nil {
		return nil, err
	}
	return Open(repo, Options{Who: c.Prefix, LockWait: c.Wait}), nil
}

// childTruncate takes what begins with the prefix out of the log.
func childTruncate(c childConfig) error {
	s, err := childOpen(c)
	if err != nil {
		return err
	}
	defer s.Close()
	_, _, _, err = s.Truncate(context.Background(), func(sn *Snapshot) (Cut, error) {
		files, err := sn.ListLog(context.Background(), sn.Own(), c.Prefix, nil)
		cut := Cut{Subject: "truncate"}
		for _, f := range files {
			cut.Drop = append(cut.Drop, f.Path)
		}
		return cut, err
	})
	return err
}

// childWrite writes transactions of two files each and acknowledges each.
func childWrite(c childConfig, next func() bool) error {
	s, err := childOpen(c)
	if err != nil {
		return err
	}
	defer s.Close()
	for i := 0; (c.Count == 0 || i < c.Count) && next(); i++ {
		name := fmt.Sprintf("pairs/%s/%d", c.Prefix, i)
		if _, err := s.Update(context.Background(), func(tx *Tx) (CommitInfo, error) {
			if err := tx.Create(name+".a", []byte(name)); err != nil {
				return CommitInfo{}, err
			}
			return CommitInfo{Subject: name, Author: c.Prefix}, tx.Create(name+".b", []byte(name))
		}); err != nil {
			return err
		}
		os.Stdout.WriteString(name + "\n")
	}
	return nil
}

// childRead takes snapshots until standard input ends. Of each transaction it
// must see both files or none, and what it saw once it must see for ever.
func childRead(c childConfig) error {
	s, err := childOpen(c)
	if err != nil {
		return err
	}
	defer s.Close()
	end := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin)
		close(end)
	}()
	seen := 0
	for n := 0; ; n++ {
		sn, err := s.Snapshot(context.Background())
		if err != nil {
			return err
		}
		half := map[string]bool{}
		files := 0
		if err := sn.Walk(context.Background(), "pairs/", func(f File) error {
			name, _ := strings.CutSuffix(strings.TrimSuffix(f.Path, ".a"), ".b")
			half[name] = !half[name]
			files++
			if string(f.Data) != name {
				return fmt.Errorf("%s holds %q", f.Path, f.Data)
			}
			return nil
		}); err != nil {
			return err
		}
		for name, h := range half {
			if h {
				return fmt.Errorf("half of the transaction %s is seen", name)
			}
		}
		if files < seen {
			return fmt.Errorf("%d files were seen, now %d", seen, files)
		}
		seen = files
		select {
		case <-end:
			fmt.Printf("%d snapshots\n", n+1)
			return nil
		case <-time.After(pace / 4):
		}
	}
}

// childDescriptors prints how many more files are open after the writes, with a
// look at each, than after the first.
func childDescriptors(c childConfig) error {
	s, err := childOpen(c)
	if err != nil {
		return err
	}
	defer s.Close()
	first := 0
	for i := range c.Count {
		if _, err := s.Update(context.Background(), func(tx *Tx) (CommitInfo, error) {
			return CommitInfo{Subject: "s"}, tx.Create(fmt.Sprintf("%s/%d", c.Prefix, i), nil)
		}); err != nil {
			return err
		}
		sn, err := s.Snapshot(context.Background())
		if err != nil {
			return err
		}
		if err := sn.Walk(context.Background(), "", func(File) error { return nil }); err != nil {
			return err
		}
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			return err
		}
		if i == 0 {
			first = len(open)
		} else if i == c.Count-1 {
			fmt.Println(len(open)-first, "more")
		}
	}
	return nil
}

// childList prints the names of all files but headers.
func childList(c childConfig) error {
	s, err := childOpen(c)
	if err != nil {
		return err
	}
	defer s.Close()
	sn, err := s.Snapshot(context.Background())
	if err != nil {
		return err
	}
	return sn.Walk(context.Background(), "", func(f File) error {
		if f.Path != headerFile {
			fmt.Println(f.Path)
		}
		return nil
	})
}

// childPlain adds files to the one log with nothing but git, as a person could.
func childPlain(c childConfig) error {
	run := func(stdin string, args ...string) (string, error) {
		cmd := exec.Command("git", args...)
		cmd.Dir, cmd.Stdin = c.Dir, strings.NewReader(stdin)
		cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=P", "GIT_AUTHOR_EMAIL=p@x", "GIT_COMMITTER_NAME=P", "GIT_COMMITTER_EMAIL=p@x")
		out, err := cmd.Output()
		var ee *exec.ExitError
		if errors.As(err, &ee) {
			err = fmt.Errorf("git %q: %w: %s", args, err, ee.Stderr)
		}
		return strings.TrimSpace(string(out)), err
	}
	for i := 0; i < c.Count; i++ {
		name := fmt.Sprintf("plain-%s-%d", c.Prefix, i)
		blob, err := run(name, "hash-object", "-w", "--stdin")
		if err != nil {
			return err
		}
		for {
			line, err := run("", "for-each-ref", "--format=%(objectname) %(refname)", logPrefix)
			if err != nil {
				return err
			}
			old, ref, _ := strings.Cut(line, " ")
			list, err := run("", "ls-tree", old)
			if err != nil {
				return err
			}
			tree, err := run(list+"\n100644 blob "+blob+"\t"+name+"\n", "mktree")
			if err != nil {
				continue // mktree alone does not look for packs again when one it knew was merged
			}
			oid, err := run("", "commit-tree", "-p", old, "-m", name, tree)
			if err != nil {
				return err
			}
			if _, err := run("", "update-ref", ref, oid, old); err == nil {
				break
			}
		}
		os.Stdout.WriteString(name + "\n")
	}
	return nil
}

// childNotify prints a line for each piece of news, until standard input ends.
func childNotify(c childConfig, slow, poll time.Duration) error {
	s, err := childOpen(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	news := s.notify(ctx, slow, poll)
	go func() {
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
		}
		cancel()
	}()
	fmt.Println("ready")
	for range news {
		fmt.Println("news")
	}
	return nil
}

// childNotifyBlind does it where the kernel gives nobody a watcher.
func childNotifyBlind(c childConfig) error {
	if w, err := fsnotify.NewWatcher(); err == nil {
		w.Close()
		return errors.New("there is a watcher all the same")
	}
	return childNotify(c, time.Hour, pollEvery)
}

// childNotifyStop prints what is left of as many as have waited and stopped.
func childNotifyStop(c childConfig) error {
	s, err := childOpen(c)
	if err != nil {
		return err
	}
	count := func() (files, routines int) {
		open, _ := os.ReadDir("/dev/fd")
		return len(open), runtime.NumGoroutine()
	}
	var files, routines int
	for i := range c.Count {
		ctx, cancel := context.WithCancel(context.Background())
		news := s.Notify(ctx)
		cancel()
		for range news {
		}
		if i == 0 {
			files, routines = count()
		}
	}
	var f, r int
	for range 100 { // a goroutine ends a moment after it has said so
		if f, r = count(); f <= files && r <= routines {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	fmt.Printf("%d files, %d goroutines more\n", max(0, f-files), max(0, r-routines))
	return nil
}

// childStaged is a hook, and tells what is staged in three lines: whether it could be
// read, what was read, and what git says.
func childStaged() error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	repo, err := FromHook(context.Background(), dir, os.Environ())
	if err != nil {
		return err
	}
	read, ok := repo.stagedFiles()
	asked, err := repo.askStaged(context.Background(), nil)
	if err == nil {
		fmt.Printf("%v\n%q\n%q\n", ok, read, asked)
	}
	return err
}

// childCursor saves a cursor at what is there.
func childCursor(c childConfig) error {
	s, err := childOpen(c)
	if err != nil {
		return err
	}
	defer s.Close()
	sn, err := s.Snapshot(context.Background())
	if err != nil {
		return err
	}
	return s.SaveCursor(c.Prefix, sn.Version())
}

// proc is a child at work.
type proc struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines chan struct{} // one for each line, as far as there is room

	mu   sync.Mutex
	out  []string
	done chan struct{}
	err  error
}

// spawn starts the test binary as a child. prepare, which may be nil, changes
// the command before it starts.
func spawn(t testing.TB, env []string, mode string, c childConfig, prepare func(*exec.Cmd)) *proc {
	t.Helper()
	exe, err := childExe()
	if err != nil {
		t.Fatal(err)
	}
	args, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Dir = c.Dir
	cmd.Env = append(env[:len(env):len(env)], childMode+"="+mode, childArgs+"="+string(args))
	cmd.Stderr = os.Stderr
	if prepare != nil {
		prepare(cmd)
	}
	p := &proc{cmd: cmd, lines: make(chan struct{}, 1<<16), done: make(chan struct{})}
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		sc := bufio.NewScanner(stdout)
		sc.Buffer(nil, 1<<20)
		for sc.Scan() {
			p.mu.Lock()
			p.out = append(p.out, sc.Text())
			p.mu.Unlock()
			select {
			case p.lines <- struct{}{}:
			default:
			}
		}
		p.err = cmd.Wait()
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-p.done
	})
	return p
}

// output returns the lines printed so far.
func (p *proc) output() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string{}, p.out...)
}

// wait returns all lines once the child has ended; a bad end fails the test.
func (p *proc) wait(t testing.TB, limit time.Duration) []string {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(limit):
		t.Fatalf("the child did not end in %s; it printed %q", limit, p.output())
	}
	if p.err != nil {
		t.Errorf("the child failed: %v; it printed %q", p.err, p.output())
	}
	return p.output()
}

// await waits until the child has printed a line, or ended.
func (p *proc) await(t testing.TB) {
	t.Helper()
	select {
	case <-p.lines:
	case <-p.done:
	case <-time.After(30 * time.Second):
		t.Fatal("the child printed nothing for 30 s")
	}
}

// sound checks what must hold of every repository after every test: git finds
// nothing to complain of, and there is no rubbish in the object database.
func sound(t testing.TB, env []string, dir string) {
	t.Helper()
	if out := git(t, env, dir, "fsck", "--strict", "--no-dangling"); strings.Contains(out, "error") || strings.Contains(out, "warning") || strings.Contains(out, "missing") {
		t.Errorf("fsck: %s", out)
	}
	// Newer gits count other things of a repository with linked worktrees as well.
	if out := git(t, env, dir, "count-objects", "-v"); !strings.Contains(out, "\ngarbage: 0") && !strings.Contains(out, "/worktrees/") {
		t.Errorf("count-objects: %s", out)
	}
}

// holds checks that every acknowledged file is in the store of dir: paths are
// of plain files or, below pairs/, of transactions of two.
func holds(t testing.TB, env []string, dir string, acked []string) {
	t.Helper()
	got := contents(t, env, dir)
	for _, name := range acked {
		if !strings.HasPrefix(name, "pairs/") {
			if _, ok := got[name]; !ok {
				t.Errorf("%s was acknowledged and is not there", name)
			}
		} else if got[name+".a"] != name || got[name+".b"] != name {
			t.Errorf("%s was acknowledged and is not there whole: %q, %q", name, got[name+".a"], got[name+".b"])
		}
	}
}

func command(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}
