package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/internal/seed"
	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/git-agentmail/git-agentmail/mailbox"
)

// reading is what it costs to look.
var reading = []row{
	{"reading 100,000 messages for a rebuild / `git ls-tree -r | git cat-file --batch`, CPU", "≤ 1.3×", readAll},
	{"catching up 50 of 100,000 messages / `git diff-tree -r`", "≤ 2×", catchUp},
	{"command-line start / a Go program that does nothing, CPU", "≤ 3.2×", startUp},
	{"`git agentmail reindex` of 100,000 messages, CPU", "≤ 12 s; the index ≤ 1.0× the bodies", reindex},
	{"`git agentmail inbox` with 100,000 messages, CPU", "≤ 12 ms and ≤ 3× the start", inbox},
	{"`git agentmail search` with 100,000 messages, a word of every second one, CPU", "", searchProcess},
	{"search for any word in 100,000 messages, bodies read for snippets, by the clock", "99 of 100 ≤ 10 ms", searchWords},
	{"the same, the best first", "", rankWords},
	{"from a message sent to its recipient's `git agentmail wait` returned", "≤ 100 ms", wakeUp},
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

// reindex builds the index a few times; it is the first row that needs one.
func reindex(b *bench) (result, error) {
	p, err := b.mailbox(b.messages())
	if err != nil {
		return result{}, err
	}
	got, err := b.turns(pick(b, 2, 1), func() (sample, error) { return timed(b.cmd(p.dir, b.program, "reindex")) })
	if err != nil {
		return result{}, err
	}
	st, err := os.Stat(filepath.Join(p.dir, ".git", "agentmail-cache", "index.sqlite"))
	if err != nil {
		return result{}, err
	}
	bodies, err := b.bodies(p)
	if err != nil {
		return result{}, err
	}
	size := float64(st.Size()) / float64(bodies)
	limit := 12 * float64(b.messages()) / 100_000
	return judge(fmt.Sprintf("%s, by the clock %s; %.2f× (%d MB / %d MB)", ms(got[0].cpu()), ms(got[0].wall()), size, st.Size()>>20, bodies>>20),
		[2]float64{got[0].cpu().Seconds(), limit}, [2]float64{size, 1}), nil
}

// bodies returns how many bytes the messages have.
func (b *bench) bodies(p *place) (n int64, err error) {
	s, err := b.store(p.dir)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	sn, err := s.Snapshot(b.ctx)
	if err != nil {
		return 0, err
	}
	files, err := sn.List(b.ctx, "mail/", nil)
	if err != nil {
		return 0, err
	}
	return n, sn.Read(b.ctx, files, func(f gitstore.File) error {
		r, err := mail.Decode(f.Path, f.Data)
		if m, ok := r.(*mail.Message); ok {
			n += int64(len(m.Body))
		}
		return err
	})
}

func inbox(b *bench) (result, error) {
	p, err := b.mailbox(b.messages())
	if err != nil {
		return result{}, err
	}
	got, err := b.turns(pick(b, 60, 20),
		func() (sample, error) {
			return timed(b.cmd(p.dir, b.program, "inbox", "-n", "20", "--as", p.agents[0]))
		},
		func() (sample, error) { return timed(b.cmd(b.tmp, b.program, "help")) })
	if err != nil {
		return result{}, err
	}
	return judge(fmt.Sprintf("%s; by the clock %s", compare(got[0].cpu(), got[1].cpu()), ms(got[0].wall())),
		[2]float64{float64(got[0].cpu()) / float64(time.Millisecond), 12}, [2]float64{ratio(got[0].cpu(), got[1].cpu()), 3}), nil
}

func searchProcess(b *bench) (result, error) { return b.once("search", "the", "-n", "20") }

func searchWords(b *bench) (result, error) { return b.searches(false) }
func rankWords(b *bench) (result, error)   { return b.searches(true) }

// searches looks for words of the mail itself, the common ones as often as they occur.
func (b *bench) searches(rank bool) (result, error) {
	p, err := b.mailbox(b.messages())
	if err != nil {
		return result{}, err
	}
	box, err := b.open(p.dir)
	if err != nil {
		return result{}, err
	}
	defer box.Close()
	me, err := box.As(b.ctx, p.agents[0])
	if err != nil {
		return result{}, err
	}
	rows, err := box.Inbox(b.ctx, me, mailbox.InboxQuery{Bodies: true, Page: mailbox.Page{N: 200}})
	if err != nil {
		return result{}, err
	}
	var words []string
	for _, r := range rows {
		words = append(words, strings.Fields(*r.BodyMD)...)
	}
	step := max(1, len(words)/pick(b, 400, 100))
	var took []time.Duration
	for i := 0; i < len(words); i += step {
		begin := time.Now()
		if _, err := box.Search(b.ctx, me, mailbox.SearchQuery{Query: words[i], Rank: rank}); err != nil {
			return result{}, err
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	late := took[len(took)*99/100]
	text := fmt.Sprintf("%s of %d, the median %s, the slowest %s", ms(late), len(took), ms(took[len(took)/2]), ms(took[len(took)-1]))
	if rank {
		return tell("%s", text), nil
	}
	return judge(text, [2]float64{float64(late) / float64(time.Millisecond), 10}), nil
}

// wakeUp measures from the end of a send to the end of a wait that was there before.
func wakeUp(b *bench) (result, error) {
	p, box, _, err := b.sender("wait", seed.Options{Agents: 4})
	if err != nil {
		return result{}, err
	}
	box.Close()
	var took []time.Duration
	for range pick(b, 20, 5) {
		cmd := b.cmd(p.dir, b.program, "wait", "--as", p.agents[1], "--timeout", "10s")
		if err := cmd.Start(); err != nil {
			return result{}, err
		}
		time.Sleep(300 * time.Millisecond) // it says nothing when it begins to wait
		if _, err := timed(b.sendCommand(p)); err != nil {
			return result{}, err
		}
		begin := time.Now()
		if err := cmd.Wait(); err != nil {
			return result{}, fmt.Errorf("wait: %w", err)
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	worst := took[len(took)-1]
	return judge(fmt.Sprintf("median %s, the slowest of %d %s", ms(took[len(took)/2]), len(took), ms(worst)), [2]float64{float64(worst) / float64(time.Millisecond), 100}), nil
}

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
