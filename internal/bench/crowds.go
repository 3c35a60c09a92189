package main

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/git-agentmail/git-agentmail/internal/seed"
)

// crowds is what happens when many write at once, and when the user's git works
// beside them.
var crowds = []row{
	{"30 processes × 5 sends: per message / bare process start", "≤ 2.5×; 0 lost; fsck clean", func(b *bench) (result, error) { return b.crowd(30, 5, 3, 2.5) }},
	{"50 processes × 20 sends: per message / bare process start", "≤ 5×; 0 lost; fsck clean", func(b *bench) (result, error) { return b.crowd(50, pick(b, 20, 4), 1, 5) }},
	{"the same 30 × 5, all sends of one writer in one process", "", crowdInside},
	{"500 messages under a `git gc --prune=now` loop", "0 lost, 0 failed", underGC},
	{"user's `git fetch` and `git for-each-ref` during writes", "0 failures", besideWriters},
	{"writers killed at random moments", "0 acknowledged writes lost", func(*bench) (result, error) {
		return tell("a test: `go test ./gitstore -run 'Kill|PowerCut'`"), nil
	}},
}

// atOnce lets n writers call fn m times each.
func atOnce(n, m int, fn func(writer, i int) error) (time.Duration, error) {
	var group sync.WaitGroup
	errs := make(chan error, n)
	begin := time.Now()
	for writer := range n {
		group.Go(func() {
			for i := range m {
				if err := fn(writer, i); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	group.Wait()
	took := time.Since(begin)
	close(errs)
	return took, <-errs
}

// crowd lets n writers send m messages each, every one by a `git agentmail send`
// of its own, and compares the time a message with that of one start of the same
// program that does nothing else. As many of those at once, on as many cores, are
// told beside it: no writer that starts a git process could come near them.
func (b *bench) crowd(n, m, rounds int, limit float64) (result, error) {
	p, box, _, err := b.sender("crowd", seed.Options{Agents: 60})
	if err != nil {
		return result{}, err
	}
	box.Close()
	var ids sync.Map
	before, err := b.count(p.dir)
	if err != nil {
		return result{}, err
	}
	var sending, bare, hello time.Duration
	for range rounds {
		for _, part := range []struct {
			sum *time.Duration
			fn  func(int, int) error
		}{
			{&sending, func(w, _ int) error {
				cmd := b.cmd(p.dir, b.program, "send", "--as", p.agents[w%50], "--to", p.agents[(w+1)%50], "-s", "crowd", "-m", letter)
				_, out, err := output(cmd)
				ids.Store(strings.TrimSpace(out), true)
				return err
			}},
			{&bare, func(int, int) error { _, err := timed(b.cmd(p.dir, b.program, "help")); return err }},
			{&hello, func(int, int) error { _, err := timed(b.cmd(p.dir, b.hello)); return err }},
		} {
			took, err := atOnce(n, m, part.fn)
			if err != nil {
				return result{}, err
			}
			*part.sum += took
		}
	}
	lost, fsck, err := b.missing(p, &ids, before, rounds*n*m)
	if err != nil {
		return result{}, err
	}
	alone, err := b.turns(20, func() (sample, error) { return timed(b.cmd(p.dir, b.program, "help")) })
	if err != nil {
		return result{}, err
	}
	total := time.Duration(rounds * n * m)
	one := alone[0].wall()
	text := fmt.Sprintf("%s; as many starts at once %.1f×, a Go program that does nothing %.1f×; %d of %d lost; fsck %s",
		compare(sending/total, one), ratio(sending, bare), ratio(sending, hello), lost, rounds*n*m, fsck)
	return judge(text, [2]float64{ratio(sending/total, one), limit}, [2]float64{float64(lost), 0}, [2]float64{float64(len(fsck)), float64(len("clean"))}), nil
}

// missing counts the acknowledged messages that are not in the log.
func (b *bench) missing(p *place, ids *sync.Map, before, sent int) (lost int, fsck string, err error) {
	ref, err := b.log(p.dir)
	if err != nil {
		return 0, "", err
	}
	out, err := b.git(p.dir, "ls-tree", "-r", "--name-only", ref, "mail/")
	if err != nil {
		return 0, "", err
	}
	there, n := map[string]bool{}, 0
	for path := range strings.FieldsSeq(out) {
		n++
		name := path[strings.LastIndexByte(path, '/')+1:]
		id, _, _ := strings.Cut(name, "-")
		there[id] = true
	}
	told := 0
	ids.Range(func(id, _ any) bool {
		told++
		if !there[id.(string)] {
			lost++
		}
		return true
	})
	if told != sent || n-before != sent {
		lost = max(lost, sent-(n-before), sent-told)
	}
	if _, err := b.git(p.dir, "fsck", "--strict", "--no-dangling"); err != nil {
		return lost, "complains: " + err.Error(), nil
	}
	return lost, "clean", nil
}

// crowdInside keeps each writer in one process, as a server is.
func crowdInside(b *bench) (result, error) {
	p, box, _, err := b.sender("inside", seed.Options{Agents: 60})
	if err != nil {
		return result{}, err
	}
	box.Close()
	before, err := b.count(p.dir)
	if err != nil {
		return result{}, err
	}
	var sending, bare time.Duration
	const rounds, n, m = 3, 30, 5
	for range rounds {
		took, err := atOnce(n, 1, func(w, _ int) error {
			_, err := timed(b.child(p.dir, "send", p.agents[w], p.agents[w+1], fmt.Sprint(m)))
			return err
		})
		if err != nil {
			return result{}, err
		}
		sending += took
		if took, err = atOnce(n, m, func(int, int) error { _, err := timed(b.cmd(p.dir, b.hello)); return err }); err != nil {
			return result{}, err
		}
		bare += took
	}
	after, err := b.count(p.dir)
	if err != nil {
		return result{}, err
	}
	return tell("%s a Go program that does nothing; %d of %d lost", compare(sending/(rounds*n*m), bare/(rounds*n*m)), rounds*n*m-(after-before), rounds*n*m), nil
}

// loop runs the commands in turn until stop is closed, and counts.
func (b *bench) loop(dir string, stop <-chan struct{}, commands ...string) (passes, failures int, first error) {
	for {
		for _, c := range commands {
			select {
			case <-stop:
				return passes, failures, first
			default:
			}
			if _, err := b.git(dir, strings.Fields(c)...); err != nil && b.ctx.Err() == nil {
				if failures++; first == nil {
					first = err
				}
			}
		}
		passes++
	}
}

// underGC sends while git collects garbage without mercy.
func underGC(b *bench) (result, error) {
	p, box, _, err := b.sender("gc", seed.Options{Agents: 12})
	if err != nil {
		return result{}, err
	}
	box.Close()
	before, err := b.count(p.dir)
	if err != nil {
		return result{}, err
	}
	stop, done := make(chan struct{}), make(chan string, 1)
	passes := 0
	go func() {
		n, failures, first := b.loop(p.dir, stop, "gc -q --prune=now", "pack-refs --all")
		passes = n
		if failures > 0 {
			done <- fmt.Sprintf("; gc itself failed %d times: %v", failures, first)
		} else {
			done <- ""
		}
	}()
	var ids sync.Map
	var failed atomic.Int32
	each := pick(b, 100, 20)
	_, err = atOnce(5, each, func(w, _ int) error {
		cmd := b.cmd(p.dir, b.program, "send", "--as", p.agents[w], "--to", p.agents[w+1], "-s", "gc", "-m", letter)
		_, out, err := output(cmd)
		if failing(err) {
			failed.Add(1)
			return nil
		}
		ids.Store(strings.TrimSpace(out), true)
		return err
	})
	close(stop)
	note := <-done
	if err != nil {
		return result{}, err
	}
	sent := 5*each - int(failed.Load())
	lost, fsck, err := b.missing(p, &ids, before, sent)
	if err != nil {
		return result{}, err
	}
	text := fmt.Sprintf("%d lost, %d failed of %d in %d passes; fsck %s%s", lost, failed.Load(), 5*each, passes, fsck, note)
	return judge(text, [2]float64{float64(lost) + float64(failed.Load()), 0}, [2]float64{float64(len(fsck) + len(note)), float64(len("clean"))}), nil
}

// besideWriters runs the user's own git while others send.
func besideWriters(b *bench) (result, error) {
	up, err := b.repo("upstream")
	if err != nil {
		return result{}, err
	}
	dir := b.dir("beside")
	if err := b.gits(".", "clone -q "+up+" "+dir); err != nil {
		return result{}, err
	}
	p, err := b.fill(dir, seed.Options{Agents: 12})
	if err != nil {
		return result{}, err
	}
	stop := make(chan struct{})
	type outcome struct {
		n, failures int
		first       error
	}
	results := make(chan outcome, 2)
	go func() {
		n, failures, first := b.loop(dir, stop, "fetch -q", "for-each-ref")
		results <- outcome{2 * n, failures, first}
	}()
	go func() { // something to fetch
		n, failures, first := b.loop(up, stop, "commit -q --allow-empty -m more")
		results <- outcome{0 * n, failures, first}
	}()
	_, err = atOnce(4, pick(b, 60, 12), func(w, _ int) error {
		_, err := timed(b.cmd(dir, b.program, "send", "--as", p.agents[w], "--to", p.agents[w+1], "-s", "beside", "-m", letter))
		return err
	})
	close(stop)
	x, y := <-results, <-results
	if err != nil {
		return result{}, err
	}
	text := fmt.Sprintf("%d of %d", x.failures+y.failures, x.n+y.n)
	if first := x.first; first != nil {
		text += ": " + first.Error()
	}
	return judge(text, [2]float64{float64(x.failures + y.failures), 0}), nil
}
