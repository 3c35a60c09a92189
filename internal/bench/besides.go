package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/internal/seed"
)

// besides is what mail in a repository costs the user's own git.
var besides = []row{
	{"user's `git fetch`, nothing new upstream, with 10,000 messages / without, CPU", "≤ 1.1×", func(b *bench) (result, error) { return b.users(false, "fetch", "-q") }},
	{"user's `git fetch`, new commits upstream, with 10,000 messages / without, CPU", "≤ 1.1×", func(b *bench) (result, error) { return b.users(true, "fetch", "-q") }},
	{"user's `git status`, with 10,000 messages / without, CPU", "≤ 1.1×", func(b *bench) (result, error) { return b.users(false, "status", "--short") }},
	{"user's `git log -1`, with 10,000 messages / without, CPU", "≤ 1.1×", func(b *bench) (result, error) { return b.users(false, "log", "-1", "--oneline") }},
	{"making a mailbox of 100,000 messages with `go run ./internal/seedmail`", "", seeding},
}

// neighbour is an upstream with two clones, one of which has mail.
type neighbour struct{ up, with, without string }

// neighbours makes them once. The mail is 10,000 commits of one message each,
// as that many sends leave behind.
func (b *bench) neighbours() (neighbour, error) {
	if p := b.seeded["up"]; p != nil {
		return neighbour{p.dir, p.dir + "-with", p.dir + "-without"}, nil
	}
	up, err := b.repo("up")
	if err != nil {
		return neighbour{}, err
	}
	n := neighbour{up, up + "-with", up + "-without"}
	for i := range 200 {
		if err := put(up, fmt.Sprintf("src/part%d/more.go", i%10), fmt.Sprintf("package part\n\n// %d\n", i)); err != nil {
			return n, err
		}
		if err := b.gits(up, "add -A", fmt.Sprintf("commit -q -m c%d", i)); err != nil {
			return n, err
		}
	}
	if err := b.gits(up, "gc -q", "clone -q . "+n.with, "clone -q . "+n.without); err != nil {
		return n, err
	}
	for _, dir := range []string{n.with, n.without} {
		if err := b.settle(dir); err != nil {
			return n, err
		}
	}
	if err := b.chain(n.with, pick(b, 10_000, 2_000)); err != nil {
		return n, err
	}
	b.seeded["up"] = &place{dir: up}
	return n, nil
}

// chain copies a seeded mailbox of n messages into dir message by message, each
// in a commit as a send makes it, then sends some more for real.
func (b *bench) chain(dir string, n int) error {
	scratch, err := b.repo("chain")
	if err != nil {
		return err
	}
	p, err := b.fill(scratch, seed.Options{Messages: n, Agents: 50})
	if err != nil {
		return err
	}
	s, err := b.store(scratch)
	if err != nil {
		return err
	}
	defer s.Close()
	sn, err := s.Snapshot(b.ctx)
	if err != nil {
		return err
	}
	cmd := b.cmd(dir, "git", "fast-import", "--quiet", "--done")
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	w := bufio.NewWriterSize(in, 1<<20)
	now := time.Now().Unix()
	i := 0
	err = sn.Walk(b.ctx, "", func(f gitstore.File) error {
		i++
		message := fmt.Sprintf("mail: A -> B | A message\n\nAgent: A\nAgentmail-Seq: %d\nAgentmail-Clock: %d.0\n", i, now*1000)
		fmt.Fprintf(w, "commit refs/agentmail/log/%s\nauthor A <a@example.com> %d +0000\ncommitter A <a@example.com> 946684800 +0000\ndata %d\n%s\nM 100644 inline %s\ndata %d\n%s\n",
			f.Replica, now, len(message), message, f.Path, len(f.Data), f.Data)
		return nil
	})
	fmt.Fprint(w, "done\n")
	if err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		return err
	}
	// The same clone goes on writing, with packs of its own.
	id := filepath.Join(".git", "agentmail", "replica")
	data, err := os.ReadFile(filepath.Join(scratch, id))
	if err == nil {
		err = put(dir, id, string(data))
	}
	if err != nil {
		return err
	}
	box, send, err := b.sends(&place{dir, p.agents})
	if err != nil {
		return err
	}
	defer box.Close()
	// As many packs as there are on average between two merges.
	for range 100 {
		keeps, err := filepath.Glob(filepath.Join(dir, ".git", "objects", "pack", "*.keep"))
		if err != nil || len(keeps) == gitstore.MaxPacks*2/3 {
			return err
		}
		if err := send(); err != nil {
			return err
		}
	}
	return fmt.Errorf("no number of sends leaves %d packs", gitstore.MaxPacks*2/3)
}

// settle makes the files of a fresh clone look older than its index. git reads
// again, each time, the files that are as new as the index.
func (b *bench) settle(dir string) error {
	out, err := b.git(dir, "ls-files")
	if err != nil {
		return err
	}
	old := time.Now().Add(-time.Hour)
	for path := range strings.FieldsSeq(out) {
		if err := os.Chtimes(filepath.Join(dir, path), old, old); err != nil {
			return err
		}
	}
	return b.gits(dir, "update-index -q --refresh")
}

// users compares a git command of the user's in the two clones.
func (b *bench) users(news bool, args ...string) (result, error) {
	n, err := b.neighbours()
	if err != nil {
		return result{}, err
	}
	i := 0
	prepare := func() error {
		if !news {
			return nil
		}
		i++
		if err := put(n.up, "news.txt", fmt.Sprint(time.Now(), i)); err != nil {
			return err
		}
		return b.gits(n.up, "add -A", "commit -q -m news")
	}
	in := func(dir string) func() (sample, error) {
		return func() (sample, error) { return timed(b.cmd(dir, "git", args...)) }
	}
	got, err := b.turns(pick(b, 80, 30),
		func() (sample, error) { return sample{}, prepare() },
		in(n.with), in(n.without))
	if err != nil {
		return result{}, err
	}
	with, without := got[1], got[2]
	text := fmt.Sprintf("%s; by the clock %s", compare(with.cpu(), without.cpu()), compare(with.wall(), without.wall()))
	return judge(text, [2]float64{ratio(with.cpu(), without.cpu()), 1.1}), nil
}

func seeding(b *bench) (result, error) {
	dir, err := b.repo("seeding")
	if err != nil {
		return result{}, err
	}
	n := pick(b, 100_000, 2_000)
	s, err := timeOf(func() error {
		_, err := seed.Seed(b.ctx, dir, seed.Options{Messages: n, Environ: b.env})
		return err
	})
	if err != nil {
		return result{}, err
	}
	return tell("%s for %d messages", ms(s.wall), n), nil
}
