package main

import (
	"fmt"
	"os"

	"github.com/git-agentmail/git-agentmail/gitstore"
)

// reading is what it costs to look.
var reading = []row{
	{"reading 100,000 messages for a rebuild / `git ls-tree -r | git cat-file --batch`, CPU", "≤ 1.3×", readAll},
	{"catching up 50 of 100,000 messages / `git diff-tree -r`", "≤ 2×", catchUp},
	{"command-line start / a Go program that does nothing, CPU", "≤ 3.2×", startUp},
	{"`git agentmail inbox` with 100,000 messages", "", inbox},
	{"`git agentmail verify` with 100,000 messages", "", verify},
}

// readAll compares with git's own way to the same bytes, read by somebody: what
// is thrown away unread is cheaper, and of no use.
func readAll(b *bench) (result, error) {
	p, err := b.mailbox(b.messages())
	if err != nil {
		return result{}, err
	}
	ref, err := b.log(p.dir)
	if err != nil {
		return result{}, err
	}
	plain := "git ls-tree -r --object-only " + ref + " | git cat-file --batch"
	shell := func(script string) func() (sample, error) {
		return func() (sample, error) { return timed(b.cmd(p.dir, "sh", "-c", script)) }
	}
	got, err := b.turns(pick(b, 4, 2),
		func() (sample, error) { return timed(b.child(p.dir, "read")) },
		shell(plain+" | cat >"+os.DevNull), shell(plain+" >"+os.DevNull))
	if err != nil {
		return result{}, err
	}
	text := fmt.Sprintf("%s; by the clock %s; against the same thrown away unread %.2f×", compare(got[0].cpu(), got[1].cpu()),
		compare(got[0].wall(), got[1].wall()), ratio(got[0].cpu(), got[2].cpu()))
	return judge(text, [2]float64{ratio(got[0].cpu(), got[1].cpu()), 1.3}), nil
}

// catchUp reads what fifty sends added, as an index does that was left behind.
func catchUp(b *bench) (result, error) {
	p, err := b.mailbox(b.messages())
	if err != nil {
		return result{}, err
	}
	base, oldTip, err := b.version(p)
	if err != nil {
		return result{}, err
	}
	box, send, err := b.sends(p)
	if err != nil {
		return result{}, err
	}
	defer box.Close()
	for range 48 { // and the two that sends has made
		if err := send(); err != nil {
			return result{}, err
		}
	}
	_, newTip, err := b.version(p)
	if err != nil {
		return result{}, err
	}
	s, err := b.store(p.dir)
	if err != nil {
		return result{}, err
	}
	got, err := b.turns(pick(b, 30, 10),
		func() (sample, error) {
			s.Close() // as a process that comes back to it: git is started again
			return timeOf(func() error {
				sn, err := s.Snapshot(b.ctx)
				if err != nil {
					return err
				}
				n := 0
				ok, err := sn.WalkSince(b.ctx, base, func(gitstore.File) error { n++; return nil })
				if err == nil && (!ok || n != 50) {
					err = fmt.Errorf("%d files came after the base, want 50", n)
				}
				return err
			})
		},
		func() (sample, error) { return timed(b.cmd(p.dir, "git", "diff-tree", "-r", oldTip, newTip)) })
	s.Close()
	if err != nil {
		return result{}, err
	}
	return judge(compare(got[0].wall(), got[1].wall()), [2]float64{ratio(got[0].wall(), got[1].wall()), 2}), nil
}

func (b *bench) version(p *place) (gitstore.Version, string, error) {
	s, err := b.store(p.dir)
	if err != nil {
		return "", "", err
	}
	defer s.Close()
	sn, err := s.Snapshot(b.ctx)
	if err != nil {
		return "", "", err
	}
	ref, err := b.log(p.dir)
	if err != nil {
		return "", "", err
	}
	oid, err := b.git(p.dir, "rev-parse", ref)
	return sn.Version(), oid, err
}

func startUp(b *bench) (result, error) {
	got, err := b.turns(pick(b, 100, 30),
		func() (sample, error) { return timed(b.cmd(b.tmp, b.program, "help")) },
		func() (sample, error) { return timed(b.cmd(b.tmp, b.hello)) })
	if err != nil {
		return result{}, err
	}
	text := fmt.Sprintf("%s; by the clock %s", compare(got[0].cpu(), got[1].cpu()), compare(got[0].wall(), got[1].wall()))
	return judge(text, [2]float64{ratio(got[0].cpu(), got[1].cpu()), 3.2}), nil
}

func inbox(b *bench) (result, error)  { return b.once("inbox", "-n", "20") }
func verify(b *bench) (result, error) { return b.once("verify") }

// once tells what one command costs in the large mailbox.
func (b *bench) once(args ...string) (result, error) {
	p, err := b.mailbox(b.messages())
	if err != nil {
		return result{}, err
	}
	s, err := timed(b.cmd(p.dir, b.program, append(args, "--as", p.agents[0])...))
	if err != nil {
		return result{}, err
	}
	return tell("%s, CPU %s", ms(s.wall), ms(s.cpu)), nil
}
