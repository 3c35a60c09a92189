package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/internal/seed"
	"github.com/git-agentmail/git-agentmail/mailbox"
)

// writing is what one message costs.
var writing = []row{
	{"files per single-message commit", "3 (pack, index, keep)", filesPerCommit},
	{"fsyncs per durable commit", "5", fsyncs},
	{"git processes per `git agentmail send`", "", processes},
	{"durable commit / durable create of one file", "≤ 8×", commitAgainstFile},
	{"10 messages in one commit, per message / one message in one commit", "≤ 0.35×", tenInOne},
	{"durable commit with 100,000 messages / with none, as a library call", "≤ 1.5×", sendLibrary},
	{"`git agentmail send` with 100,000 messages / with none, whole process", "≤ 1.5×", sendProcess},
	{"first message to a stranger with 100,000 messages / with none, whole process", "", firstSend},
	{"slowest of the sends with 100,000 messages, packs merged on the way", "", slowest},
}

// filesPerCommit counts what each of five sends adds to the object database.
func filesPerCommit(b *bench) (result, error) {
	p, box, send, err := b.sender("files", seed.Options{Agents: 4})
	if err != nil {
		return result{}, err
	}
	defer box.Close()
	var got []string
	before, err := objectFiles(p.dir)
	for range 5 {
		if err == nil {
			err = send()
		}
		if err != nil {
			return result{}, err
		}
		var after int
		if after, err = objectFiles(p.dir); err == nil {
			got = append(got, fmt.Sprint(after-before))
			before = after
		}
	}
	r := result{passed, "3"}
	if text := strings.Join(got, ", "); text != "3, 3, 3, 3, 3" {
		r = result{fell, text + " in five commits"}
	}
	return r, err
}

func objectFiles(dir string) (n int, err error) {
	err = filepath.WalkDir(filepath.Join(dir, ".git", "objects"), func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			n++
		}
		return err
	})
	return n, err
}

// sender makes a small mailbox and returns a function that sends from its first
// agent to its second, who are acquainted already.
func (b *bench) sender(name string, opt seed.Options) (*place, *mailbox.Box, func() error, error) {
	dir, err := b.repo(name)
	if err != nil {
		return nil, nil, nil, err
	}
	p, err := b.fill(dir, opt)
	if err != nil {
		return nil, nil, nil, err
	}
	box, send, err := b.sends(p)
	return p, box, send, err
}

func (b *bench) sends(p *place) (*mailbox.Box, func() error, error) {
	box, err := b.open(p.dir)
	if err != nil {
		return nil, nil, err
	}
	me, err := box.As(b.ctx, p.agents[0])
	if err != nil {
		return nil, nil, err
	}
	send := func() error {
		_, err := box.Send(b.ctx, me, mailbox.Draft{To: []string{p.agents[1]}, Subject: "A message of the benchmark", Body: letter})
		return err
	}
	return box, send, errors.Join(send(), send())
}

// letter is a body of a thousand bytes.
var letter = strings.Repeat("The quick brown fox jumps over the lazy dog, line after line.\n", 16)

// sendCommand is `git agentmail send` from the first agent to the second.
func (b *bench) sendCommand(p *place) *exec.Cmd {
	return b.cmd(p.dir, b.program, "send", "--as", p.agents[0], "--to", p.agents[1], "-s", "A message of the benchmark", "-m", letter)
}

// traced runs a command under strace and returns the lines about the given
// calls, nil where there is no strace. One call may take two lines, the second
// with its result.
func (b *bench) traced(cmd *exec.Cmd, calls string) (lines []string, err error) {
	strace, err := exec.LookPath("strace")
	if err != nil || runtime.GOOS != "linux" {
		return nil, nil
	}
	file := b.dir("strace")
	cmd.Args = append([]string{strace, "-f", "-v", "-s", "4096", "-o", file, "-e", "trace=" + calls, "--", cmd.Path}, cmd.Args[1:]...)
	cmd.Path = strace
	if _, err := timed(cmd); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(file)
	return strings.Split(string(data), "\n"), err
}

const noStrace = "not measured: no strace"

func fsyncs(b *bench) (result, error) {
	p, box, _, err := b.sender("trace", seed.Options{Agents: 4})
	if err != nil {
		return result{}, err
	}
	box.Close()
	lines, err := b.traced(b.sendCommand(p), "fsync,fdatasync,sync_file_range,syncfs,sync")
	if err != nil || lines == nil {
		return result{told, noStrace}, err
	}
	n := 0
	for _, line := range lines {
		if strings.Contains(line, "sync") && strings.HasSuffix(line, "= 0") {
			n++
		}
	}
	if n != 5 {
		return result{fell, fmt.Sprint(n)}, nil
	}
	return result{passed, "5"}, nil
}

func processes(b *bench) (result, error) {
	p, box, _, err := b.sender("processes", seed.Options{Agents: 4})
	if err != nil {
		return result{}, err
	}
	box.Close()
	calls, err := b.gitCalls(b.sendCommand(p))
	if err != nil || calls == nil {
		return result{told, noStrace}, err
	}
	var verbs []string
	for _, args := range calls {
		verbs = append(verbs, gitVerb(args))
	}
	return tell("%d (%s)", len(verbs), strings.Join(verbs, ", ")), nil
}

// gitCalls returns the command lines of the git processes that a command
// starts.
func (b *bench) gitCalls(cmd *exec.Cmd) (calls [][]string, err error) {
	lines, err := b.traced(cmd, "execve")
	for _, line := range lines {
		_, list, _ := strings.Cut(line, "execve(")
		_, list, _ = strings.Cut(list, ", [")
		list, _, _ = strings.Cut(list, "], [")
		var args []string
		for quoted := range strings.SplitSeq(list, ", ") {
			if word, err := strconv.Unquote(quoted); err == nil {
				args = append(args, word)
			}
		}
		if len(args) > 0 && args[0] == "git" && !strings.Contains(line, "= -1") {
			calls = append(calls, args)
		}
	}
	return calls, err
}

// gitVerb returns what git is asked for, after its settings.
func gitVerb(args []string) string {
	for i := 1; i < len(args); i++ {
		if args[i] != "-c" {
			return args[i]
		}
		i++
	}
	return "git"
}

// commitAgainstFile compares a commit of one message with what a file system
// asks for one file that must not be lost: write, fsync, rename, fsync of the
// directory.
func commitAgainstFile(b *bench) (result, error) {
	dir, err := b.repo("commit")
	if err != nil {
		return result{}, err
	}
	s, err := b.store(dir)
	if err != nil {
		return result{}, err
	}
	defer s.Close()
	n := 0
	got, err := b.turns(pick(b, 80, 20),
		func() (sample, error) { n++; return timeOf(func() error { return b.commit(s, n, 1) }) },
		func() (sample, error) { n++; return timeOf(func() error { return durable(b.tmp, n) }) },
		func() (sample, error) { n++; return timeOf(func() error { return b.floor(dir, n) }) })
	if err != nil {
		return result{}, err
	}
	commit, file, floor := got[0].wall(), got[1].wall(), got[2].wall()
	text := fmt.Sprintf("%s; two such files and `git update-ref` %.1f×", compare(commit, file), ratio(floor, file))
	return judge(text, [2]float64{ratio(commit, file), 8}), nil
}

// floor is what no commit can do without: a pack and its index that last, and a
// ref moved by git that lasts.
func (b *bench) floor(dir string, n int) error {
	if err := errors.Join(durable(b.tmp, n), durable(b.tmp, n+1_000_000)); err != nil {
		return err
	}
	return b.gits(dir, "-c core.fsync=reference -c core.fsyncMethod=fsync update-ref refs/floor/x HEAD")
}

func durable(dir string, n int) error {
	name := filepath.Join(dir, fmt.Sprintf("durable-%d", n))
	f, err := os.OpenFile(name+".tmp", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	_, err = f.WriteString(letter)
	if err := errors.Join(err, f.Sync(), f.Close(), os.Rename(name+".tmp", name)); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// commit writes k files into the hour directory of now.
func (b *bench) commit(s *gitstore.Store, n, k int) error {
	_, err := s.Update(b.ctx, func(tx *gitstore.Tx) (gitstore.CommitInfo, error) {
		for i := range k {
			if err := tx.Create(fmt.Sprintf("mail/%s/%d-%d.md", time.Now().UTC().Format("2006-01/02/15"), n, i), []byte(letter)); err != nil {
				return gitstore.CommitInfo{}, err
			}
		}
		return gitstore.CommitInfo{Subject: "bench", Author: "Bench", Trailers: [][2]string{{"Agent", "Bench"}, {"Agentmail-Seq", fmt.Sprint(n)}}}, nil
	})
	return err
}

func tenInOne(b *bench) (result, error) {
	dir, err := b.repo("ten")
	if err != nil {
		return result{}, err
	}
	s, err := b.store(dir)
	if err != nil {
		return result{}, err
	}
	defer s.Close()
	n := 0
	got, err := b.turns(pick(b, 80, 20),
		func() (sample, error) { n++; return timeOf(func() error { return b.commit(s, n, 10) }) },
		func() (sample, error) { n++; return timeOf(func() error { return b.commit(s, n, 1) }) })
	if err != nil {
		return result{}, err
	}
	ten, one := got[0].wall()/10, got[1].wall()
	return judge(compare(ten, one), [2]float64{ratio(ten, one), 0.35}), nil
}

// both returns the large mailbox and the empty one.
func (b *bench) both() (large, empty *place, err error) {
	large, err = b.mailbox(b.messages())
	if err == nil {
		empty, err = b.mailbox(0)
	}
	return large, empty, err
}

func sendLibrary(b *bench) (result, error) {
	large, empty, err := b.both()
	if err != nil {
		return result{}, err
	}
	var things []func() (sample, error)
	for _, p := range []*place{large, empty} {
		box, send, err := b.sends(p)
		if err != nil {
			return result{}, err
		}
		defer box.Close()
		things = append(things, func() (sample, error) { return timeOf(send) })
	}
	got, err := b.turns(pick(b, 80, 20), things...)
	if err != nil {
		return result{}, err
	}
	return judge(compare(got[0].wall(), got[1].wall()), [2]float64{ratio(got[0].wall(), got[1].wall()), 1.5}), nil
}

func sendProcess(b *bench) (result, error) {
	large, empty, err := b.both()
	if err != nil {
		return result{}, err
	}
	got, err := b.turns(pick(b, 60, 15),
		func() (sample, error) { return timed(b.sendCommand(large)) },
		func() (sample, error) { return timed(b.sendCommand(empty)) })
	if err != nil {
		return result{}, err
	}
	text := fmt.Sprintf("%s; CPU %s", compare(got[0].wall(), got[1].wall()), compare(got[0].cpu(), got[1].cpu()))
	return judge(text, [2]float64{ratio(got[0].wall(), got[1].wall()), 1.5}), nil
}

// firstSend writes to somebody new each time, so that contact rules are asked.
func firstSend(b *bench) (result, error) {
	large, empty, err := b.both()
	if err != nil {
		return result{}, err
	}
	to := func(p *place) func() (sample, error) {
		n := 20
		return func() (sample, error) {
			n++
			cmd := b.sendCommand(p)
			cmd.Args[5] = p.agents[n]
			return timed(cmd)
		}
	}
	got, err := b.turns(pick(b, 20, 6), to(large), to(empty))
	if err != nil {
		return result{}, err
	}
	return tell("%s", compare(got[0].wall(), got[1].wall())), nil
}

// slowest sends often enough for our packs to be merged several times.
func slowest(b *bench) (result, error) {
	p, err := b.mailbox(b.messages())
	if err != nil {
		return result{}, err
	}
	box, send, err := b.sends(p)
	if err != nil {
		return result{}, err
	}
	defer box.Close()
	rounds := pick(b, 200, 50)
	got, err := b.turns(rounds, func() (sample, error) { return timeOf(send) })
	if err != nil {
		return result{}, err
	}
	at := func(q float64) string {
		return ms(got[0].quantile(q, func(x sample) time.Duration { return x.wall }))
	}
	return tell("median %s, 90th of a hundred %s, slowest of %d %s", at(0.5), at(0.9), rounds, at(1)), nil
}
