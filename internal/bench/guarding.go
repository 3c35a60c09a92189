package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/internal/seed"
)

// The hooks may add ten milliseconds of CPU to a commit. Milliseconds do not hold from
// machine to machine, so beside them stands what two hooks cost that do nothing: a shell,
// a Go program that ends at once, and the git that reads the changes.
const hookDemand = "≤ 10 ms"

const hookLimit = 10 * time.Millisecond

// guarding is what the guard adds to the user's own commands.
var guarding = []row{
	{"`git commit` with the hooks and 100 reservations, added CPU", hookDemand, func(b *bench) (result, error) { return b.hooks(100) }},
	{"`git commit` with the hooks and 1,000 reservations, added CPU", hookDemand, func(b *bench) (result, error) { return b.hooks(1000) }},
	{"`git commit` with the hooks, 100 reservations and 100,000 messages, added CPU", hookDemand, hooksLarge},
	{"`git commit` that touches a reservation of one's own, which is recorded, added CPU", "", recorded},
	{"guard in a repository of 1,000,000 objects, the cache of reservations fresh: its own process / Go hello, CPU", "≤ 3×", largeGuard},
	{"the same with the git processes it starts / in a repository of 30 objects", "", sizeOfGuard},
}

// committer makes a repository, with the hooks and live reservations if there
// are to be any, and returns its ordinary commit.
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
	return p, b.commits(dir), nil
}

// commits returns a function that commits a change of one file.
func (b *bench) commits(dir string) func() (sample, error) {
	n := 0
	return func() (sample, error) {
		n++
		if err := put(dir, "src/part3/main.go", fmt.Sprintf("package part\n\n// change %d\n", n)); err != nil {
			return sample{}, err
		}
		if err := b.gits(dir, "add src"); err != nil {
			return sample{}, err
		}
		return timed(b.cmd(dir, "git", "commit", "-q", "-m", "change"))
	}
}

// added measures what the first way to commit costs more than in a repository
// without us, and beside it what hooks cost that do nothing: a shell, a Go program
// that ends at once, and the git that reads the changes.
func (b *bench) added(with func() (sample, error)) (added time.Duration, text string, err error) {
	_, without, err := b.committer("plain", 0)
	if err != nil {
		return 0, "", err
	}
	p, idle, err := b.committer("idle", 0)
	if err != nil {
		return 0, "", err
	}
	for event, ask := range map[string]string{
		"pre-commit":  "git diff-index --cached --no-renames --ita-invisible-in-index --ignore-submodules=none --name-status -z HEAD",
		"post-commit": "git diff-tree -r -c --root --no-renames --ignore-submodules=none --name-status -z HEAD",
	} {
		hook := filepath.Join(p.dir, ".git", "hooks", event)
		if err := os.MkdirAll(filepath.Dir(hook), 0o777); err != nil {
			return 0, "", err
		}
		if err := os.WriteFile(hook, fmt.Appendf(nil, "#!/bin/sh\n'%s'\n%s >/dev/null\n", b.hello, ask), 0o777); err != nil {
			return 0, "", err
		}
	}
	got, err := b.turns(pick(b, 60, 20), with, without, idle)
	if err != nil {
		return 0, "", err
	}
	plain := got[1].cpu()
	floor := got[2].cpu() - plain
	added = got[0].cpu() - plain
	return added, fmt.Sprintf("+%s, hooks that do nothing +%s (%.2f×), to %s; by the clock +%s", ms(added), ms(floor), ratio(added, floor), ms(plain), ms(got[0].wall()-got[1].wall())), nil
}

func (b *bench) hooks(live int) (result, error) {
	_, with, err := b.committer("hooks", live)
	if err != nil {
		return result{}, err
	}
	added, text, err := b.added(with)
	return judge(text, [2]float64{float64(added), float64(hookLimit)}), err
}

func hooksLarge(b *bench) (result, error) {
	p, err := b.mailbox(b.messages())
	if err == nil {
		err = b.gits(p.dir, "agentmail init", "agentmail reservations")
	}
	if err != nil {
		return result{}, err
	}
	added, text, err := b.added(b.commits(p.dir))
	return judge(text, [2]float64{float64(added), float64(hookLimit)}), err
}

func recorded(b *bench) (result, error) {
	p, with, err := b.committer("recorded", 100)
	if err != nil {
		return result{}, err
	}
	if _, err := timed(b.cmd(p.dir, b.program, "reserve", "src/part3/**", "--as", p.agents[0])); err != nil {
		return result{}, err
	}
	b.env = append(b.env, "AGENTMAIL_AGENT="+p.agents[0])
	defer func() { b.env = b.env[:len(b.env)-1] }()
	_, text, err := b.added(with)
	return tell("%s", text), err
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

// largeGuard measures the hook's process. The git processes that it starts are
// measured alone and taken off.
func largeGuard(b *bench) (result, error) {
	p, err := b.large()
	if err != nil {
		return result{}, err
	}
	things := []func() (sample, error){
		func() (sample, error) { return timed(b.guard(p.dir)) },
		func() (sample, error) { return timed(b.cmd(p.dir, b.hello)) },
	}
	calls, err := b.gitCalls(b.guard(p.dir))
	if err != nil {
		return result{}, err
	}
	var verbs []string
	for _, args := range calls {
		verbs = append(verbs, gitVerb(args))
		things = append(things, func() (sample, error) { return timed(b.cmd(p.dir, args[0], args[1:]...)) })
	}
	got, err := b.turns(pick(b, 60, 20), things...)
	if err != nil {
		return result{}, err
	}
	whole, hello := got[0].cpu(), got[1].cpu()
	own := whole
	for _, s := range got[2:] {
		own -= s.cpu()
	}
	text := compare(own, hello) + "; it starts no git"
	if len(verbs) > 0 {
		text = fmt.Sprintf("%s; with its git processes (%s) %s", compare(own, hello), strings.Join(verbs, ", "), compare(whole, hello))
	}
	return judge(text, [2]float64{ratio(own, hello), 3}), nil
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
