package main

import (
	"bufio"
	"fmt"
	"os/exec"
	"time"

	"github.com/git-agentmail/git-agentmail/internal/seed"
)

// guarding is what the guard adds to the user's own commands.
var guarding = []row{
	{"`git commit` with the hooks and 100 reservations, added CPU", "≤ 10 ms (goal 5 ms)", func(b *bench) (result, error) { return b.hooks(100, 10) }},
	{"`git commit` with the hooks and 1,000 reservations, added CPU", "≤ 10 ms", func(b *bench) (result, error) { return b.hooks(1000, 10) }},
	{"`git commit` that touches a reservation of one's own, which is recorded, added CPU", "", recorded},
	{"guard in a repository of 1,000,000 objects, `leases.json` fresh: whole process / Go hello, CPU", "≤ 3×", largeGuard},
	{"the same guard / in a repository of 30 objects", "", sizeOfGuard},
}

// committer makes a repository and returns its ordinary commit.
func (b *bench) committer(name string, live int) (*place, func() (sample, error), error) {
	dir, err := b.repo(name)
	if err != nil {
		return nil, nil, err
	}
	p := &place{dir: dir}
	if live > 0 {
		if err := b.gits(dir, "agentmail init"); err != nil {
			return nil, nil, err
		}
		if p, err = b.fill(dir, seed.Options{Messages: 200, Agents: 50, Live: live}); err != nil {
			return nil, nil, err
		}
	}
	n := 0
	return p, func() (sample, error) {
		n++
		if err := put(dir, "src/part3/main.go", fmt.Sprintf("package part\n\n// change %d\n", n)); err != nil {
			return sample{}, err
		}
		if err := b.gits(dir, "add src"); err != nil {
			return sample{}, err
		}
		return timed(b.cmd(dir, "git", "commit", "-q", "-m", "change"))
	}, nil
}

func (b *bench) hooks(live int, limit float64) (result, error) {
	_, with, err := b.committer("hooks", live)
	if err != nil {
		return result{}, err
	}
	_, without, err := b.committer("plain", 0)
	if err != nil {
		return result{}, err
	}
	got, err := b.turns(pick(b, 60, 20), with, without)
	if err != nil {
		return result{}, err
	}
	added := got[0].cpu() - got[1].cpu()
	text := fmt.Sprintf("+%s (%s, without %s); by the clock +%s", ms(added), ms(got[0].cpu()), ms(got[1].cpu()), ms(got[0].wall()-got[1].wall()))
	return judge(text, [2]float64{float64(added) / float64(time.Millisecond), limit}), nil
}

func recorded(b *bench) (result, error) {
	p, with, err := b.committer("recorded", 100)
	if err != nil {
		return result{}, err
	}
	if _, err := timed(b.cmd(p.dir, b.program, "reserve", "src/part3/**", "--as", p.agents[0])); err != nil {
		return result{}, err
	}
	_, without, err := b.committer("plain", 0)
	if err != nil {
		return result{}, err
	}
	b.env = append(b.env, "AGENTMAIL_AGENT="+p.agents[0])
	defer func() { b.env = b.env[:len(b.env)-1] }()
	got, err := b.turns(pick(b, 40, 15), with, without)
	if err != nil {
		return result{}, err
	}
	return tell("+%s (%s, without %s); by the clock +%s", ms(got[0].cpu()-got[1].cpu()), ms(got[0].cpu()), ms(got[1].cpu()), ms(got[0].wall()-got[1].wall())), nil
}

// large returns a repository with a million objects, of which ten files are
// checked out, with a hundred reservations and one file staged.
func (b *bench) large() (*place, error) {
	if p := b.seeded["large"]; p != nil {
		return p, nil
	}
	p, _, err := b.committer("large", 100)
	if err != nil {
		return nil, err
	}
	if err := b.flood(p.dir, pick(b, 1_000_000, 100_000)); err != nil {
		return nil, err
	}
	if err := b.stage(p.dir); err != nil {
		return nil, err
	}
	b.seeded["large"] = p
	return p, nil
}

func (b *bench) stage(dir string) error {
	if err := put(dir, "src/part3/main.go", "package part\n\n// staged\n"); err != nil {
		return err
	}
	return b.gits(dir, "add src", "agentmail reservations")
}

// flood adds n blobs on a branch of their own.
func (b *bench) flood(dir string, n int) error {
	cmd := b.cmd(dir, "git", "fast-import", "--quiet", "--done")
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	w := bufio.NewWriterSize(in, 1<<20)
	fmt.Fprint(w, "commit refs/heads/large\ncommitter Bench <bench@example.com> 1700000000 +0000\ndata 5\nlarge\n")
	for i := range n {
		data := fmt.Sprintf("blob %d", i)
		fmt.Fprintf(w, "M 100644 inline %d/%d/%d\ndata %d\n%s\n", i/10_000, i/100%100, i%100, len(data), data)
	}
	fmt.Fprint(w, "done\n")
	if err := w.Flush(); err != nil {
		return err
	}
	in.Close()
	return cmd.Wait()
}

func (b *bench) guard(dir string) *exec.Cmd { return b.cmd(dir, b.program, "hook", "pre-commit") }

func largeGuard(b *bench) (result, error) {
	p, err := b.large()
	if err != nil {
		return result{}, err
	}
	git := func(args ...string) func() (sample, error) {
		return func() (sample, error) { return timed(b.cmd(p.dir, "git", args...)) }
	}
	got, err := b.turns(pick(b, 60, 20),
		func() (sample, error) { return timed(b.guard(p.dir)) },
		func() (sample, error) { return timed(b.cmd(p.dir, b.hello)) },
		git("rev-parse", "--git-dir"),
		git("diff-index", "--cached", "--name-status", "-z", "HEAD", "--"))
	if err != nil {
		return result{}, err
	}
	whole, hello := got[0].cpu(), got[1].cpu()
	text := fmt.Sprintf("%s; for comparison `git rev-parse` alone %s, `git diff-index` alone %s", compare(whole, hello), ms(got[2].cpu()), ms(got[3].cpu()))
	return judge(text, [2]float64{ratio(whole, hello), 3}), nil
}

func sizeOfGuard(b *bench) (result, error) {
	large, err := b.large()
	if err != nil {
		return result{}, err
	}
	small, _, err := b.committer("small", 100)
	if err == nil {
		err = b.stage(small.dir)
	}
	if err != nil {
		return result{}, err
	}
	got, err := b.turns(pick(b, 40, 15),
		func() (sample, error) { return timed(b.guard(large.dir)) },
		func() (sample, error) { return timed(b.guard(small.dir)) })
	if err != nil {
		return result{}, err
	}
	return tell("%s", compare(got[0].cpu(), got[1].cpu())), nil
}
