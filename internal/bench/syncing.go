package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/git-agentmail/git-agentmail/mailbox"
)

// syncing is measured apart, by `make bench-sync`: it is about many clones of one hub, and
// the figures are those of a busy machine.
var syncing = []row{
	{"4 clones, a message and a sync at a time each: pushes per message", "≤ 1.00; 0 refused; 0 not everywhere; 0 merge commits", together(4, 20)},
	{"16 clones", "the same", together(16, 10)},
	{"64 clones", "the same", together(64, 4)},
	{"16 clones that ask every 2 s, from the send until it is everywhere", "half of them ≤ 2 s, 95 of 100 ≤ 3 s", everywhere},
	{"pushes of a clone that is written to all the time, in a minute, by default", "≤ 6", paced},
	{"`git agentmail sync -q` with nothing new", "≤ 20 ms; 1 git process", nothingNew},
	{"bytes on the hub for a message of 500 bytes, 1,000 messages a day", "≤ 1.1 KB after gc, ≤ 3 KB before", hubBytes},
	{"the user's `git clone` of the hub, refs and objects of ours", "0", ordinaryClone},
	{"a hub that lost all our refs, after one sync of each clone", "all there", wiped},
	{"4 clones of a hub that refuses refs/agentmail/*", "found at the first push, told once; all mail everywhere", refusing},
	{"logs torn, relayed, truncated and copied at random: teams in which mail is lost, or comes back", "0 of 3,000", partitions},
	{"the same, clocks a day or ten years off: teams whose clones see different things, or where what was seen wins", "0 of 3,000", partitions},
}

// team is a hub and clones of it, in each of which an agent is registered.
type team struct {
	hub    string
	dirs   []string
	boxes  []*mailbox.Box
	agents []mailbox.Actor
	told   []string // in exchanges
}

// team makes one. update is the hub's hook of that name, if it has one.
func (b *bench) team(n int, update ...string) (*team, error) {
	origin, err := b.repo("origin")
	if err != nil {
		return nil, err
	}
	t := &team{hub: b.dir("hub")}
	if err := b.gits(".", "clone -q --bare "+origin+" "+t.hub); err != nil {
		return nil, err
	}
	for _, script := range update {
		name := filepath.Join(t.hub, "hooks", "update")
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			return nil, err
		}
		if err := os.WriteFile(name, []byte(script), 0o777); err != nil {
			return nil, err
		}
	}
	for i := range n {
		dir := b.dir("clone")
		if err := b.gits(".", "clone -q "+t.hub+" "+dir); err != nil {
			return nil, err
		}
		box, err := b.open(dir)
		if err != nil {
			return nil, err
		}
		a, err := box.Register(b.ctx, mailbox.RegisterRequest{Name: fmt.Sprintf("Agent%d", i), Program: "bench", Model: "bench"})
		if err != nil {
			return nil, err
		}
		t.dirs, t.boxes = append(t.dirs, dir), append(t.boxes, box)
		t.agents = append(t.agents, mailbox.Actor{Kind: mailbox.IsAgent, ID: a.ID, Name: a.Name})
	}
	for range 2 {
		if err := t.sync(b.ctx); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (t *team) sync(ctx context.Context) error {
	for _, box := range t.boxes {
		list, err := box.Sync(ctx, "origin")
		if err != nil {
			return err
		}
		for _, r := range list {
			t.told = append(t.told, r.Notices...)
		}
	}
	return nil
}

func (t *team) close() {
	for _, box := range t.boxes {
		box.Close()
	}
}

func (t *team) send(ctx context.Context, i, n int) error {
	_, err := t.boxes[i].Send(ctx, t.agents[i], mailbox.Draft{To: []string{t.agents[(i+1)%len(t.agents)].Name}, Subject: fmt.Sprintf("Part %d of %d", n, i), Body: letter[:min(500, len(letter))]})
	return err
}

// counts returns how many messages each clone knows of.
func (t *team) counts(ctx context.Context) (list []int, err error) {
	for i, box := range t.boxes {
		s, err := box.Status(ctx, t.agents[i])
		if err != nil {
			return nil, err
		}
		list = append(list, s.Messages)
	}
	return list, nil
}

func together(n, each int) func(*bench) (result, error) {
	return func(b *bench) (result, error) {
		t, err := b.team(n)
		if err != nil {
			return result{}, err
		}
		defer t.close()
		each = pick(b, each, 2)
		var mu sync.Mutex
		var all sync.WaitGroup
		var first error
		pushes, refused := 0, 0
		begin := time.Now()
		for i := range t.boxes {
			all.Go(func() {
				for k := range each {
					err := t.send(b.ctx, i, k)
					var list []mailbox.SyncResult
					if err == nil {
						list, err = t.boxes[i].Sync(b.ctx, "origin")
					}
					mu.Lock()
					for _, r := range list {
						if r.Pushed > 0 {
							pushes++
						}
						if r.Error != nil {
							refused++
							err = nil
						}
					}
					if err != nil && first == nil {
						first = err
					}
					mu.Unlock()
				}
			})
		}
		all.Wait()
		span := time.Since(begin)
		if first != nil {
			return result{}, first
		}
		if err := t.sync(b.ctx); err != nil {
			return result{}, err
		}
		counts, err := t.counts(b.ctx)
		if err != nil {
			return result{}, err
		}
		sent, missing := n*each, 0
		for _, c := range counts {
			missing += sent - c
		}
		merges, err := b.git(t.hub, "rev-list", "--count", "--merges", "--glob=refs/agentmail/log/*")
		if err != nil {
			return result{}, err
		}
		per := float64(pushes) / float64(sent)
		text := fmt.Sprintf("%.2f; %d refused; %d of %d not everywhere; %s merge commits; %d messages in %s", per, refused, missing, sent, merges, sent, ms(span))
		return judge(text, [2]float64{per, 1}, [2]float64{float64(refused + missing), 0}, [2]float64{float64(len(strings.Trim(merges, "0"))), 0}), nil
	}
}

func everywhere(b *bench) (result, error) {
	const poll = 2 * time.Second
	t, err := b.team(pick(b, 16, 4))
	if err != nil {
		return result{}, err
	}
	defer t.close()
	ctx, stop := context.WithCancel(b.ctx)
	var loops sync.WaitGroup
	defer loops.Wait()
	defer stop()
	var mu sync.Mutex
	got := 0
	for _, box := range t.boxes {
		loops.Go(func() {
			box.KeepSynced(ctx, "origin", poll, func(r mailbox.SyncResult) {
				mu.Lock()
				got += r.Messages
				mu.Unlock()
			})
		})
	}
	time.Sleep(2 * poll)
	var took series
	for k := range pick(b, 12, 3) {
		mu.Lock()
		got = 0
		mu.Unlock()
		begin := time.Now()
		if err := t.send(b.ctx, k%len(t.boxes), k); err != nil {
			return result{}, err
		}
		for limit := begin.Add(30 * time.Second); time.Now().Before(limit); time.Sleep(20 * time.Millisecond) {
			mu.Lock()
			all := got == len(t.boxes)-1
			mu.Unlock()
			if all {
				break
			}
		}
		took = append(took, sample{wall: time.Since(begin)})
		time.Sleep(time.Duration(k) * 170 * time.Millisecond) // at other moments of their pauses
	}
	late := took.quantile(0.95, func(s sample) time.Duration { return s.wall })
	return judge(fmt.Sprintf("the median %s, 95 of 100 %s", ms(took.wall()), ms(late)),
		[2]float64{float64(took.wall()), float64(poll)}, [2]float64{float64(late), float64(poll + time.Second)}), nil
}

func paced(b *bench) (result, error) {
	t, err := b.team(1)
	if err != nil {
		return result{}, err
	}
	defer t.close()
	span := pick(b, time.Minute, 15*time.Second)
	ctx, stop := context.WithTimeout(b.ctx, span)
	defer stop()
	pushes := 0
	done := make(chan struct{})
	go func() {
		defer close(done)
		t.boxes[0].KeepSynced(ctx, "origin", 0, func(r mailbox.SyncResult) {
			if r.Pushed > 0 {
				pushes++
			}
		})
	}()
	n := 0
	for ; ctx.Err() == nil; n++ {
		t.boxes[0].Send(b.ctx, t.agents[0], mailbox.Draft{To: []string{t.agents[0].Name}, Subject: fmt.Sprint(n), Body: "x"})
		time.Sleep(50 * time.Millisecond)
	}
	<-done
	return judge(fmt.Sprintf("%d in %s, for %d messages", pushes, ms(span), n), [2]float64{float64(pushes), max(2, 6*span.Minutes())}), nil
}

func nothingNew(b *bench) (result, error) {
	t, err := b.team(3)
	if err != nil {
		return result{}, err
	}
	defer t.close()
	got, err := b.turns(pick(b, 30, 5),
		func() (sample, error) { return timed(b.cmd(t.dirs[0], b.program, "sync", "-q", "origin")) },
		func() (sample, error) {
			return timed(b.cmd(t.dirs[0], "git", "fetch", "-q", "--no-write-fetch-head", "--no-tags", "--refmap=", "origin", "+refs/agentmail/log/*:refs/agentmail/hub/0/log/*"))
		})
	if err != nil {
		return result{}, err
	}
	trace := filepath.Join(b.tmp, "trace-sync")
	cmd := b.cmd(t.dirs[0], b.program, "sync", "-q", "origin")
	cmd.Env = append(slices.Clone(cmd.Env), "GIT_TRACE2_EVENT="+trace)
	if _, err := timed(cmd); err != nil {
		return result{}, err
	}
	data, err := os.ReadFile(trace)
	if err != nil {
		return result{}, err
	}
	ours := 0 // those that no git started
	for line := range strings.Lines(string(data)) {
		if strings.Contains(line, `"event":"start"`) && !strings.Contains(between(line, `"sid":"`, `"`), "/") {
			ours++
		}
	}
	text := fmt.Sprintf("%s, of which one fetch by git is %s; %d git processes", ms(got[0].wall()), ms(got[1].wall()), ours)
	return judge(text, [2]float64{float64(got[0].wall()), float64(20 * time.Millisecond)}, [2]float64{float64(ours), 1}), nil
}

// between cuts out what stands between two texts.
func between(s, from, to string) string {
	_, s, _ = strings.Cut(s, from)
	s, _, _ = strings.Cut(s, to)
	return s
}

// hubBytes lets an agent write at the rate that the demand is about: each message rewrites the
// directory of its hour, so more in an hour cost more.
func hubBytes(b *bench) (result, error) {
	const pause = 24 * time.Hour / 1000
	t, err := b.team(2)
	if err != nil {
		return result{}, err
	}
	defer t.close()
	t.boxes[0].Close()
	now := time.Now()
	t.boxes[0], err = mailbox.Open(b.ctx, mailbox.Options{Dir: t.dirs[0], Environ: b.env, Now: func() time.Time { return now }})
	if err != nil {
		return result{}, err
	}
	if err := b.gits(t.hub, "config receive.autogc false"); err != nil { // or some of it would be packed by then
		return result{}, err
	}
	was, err := size(t.hub)
	if err != nil {
		return result{}, err
	}
	n := pick(b, 5000, 500)
	for k := range n {
		now = now.Add(pause)
		if err := t.send(b.ctx, 0, k); err != nil {
			return result{}, err
		}
		if k%10 == 9 {
			if _, err := t.boxes[0].Sync(b.ctx, "origin"); err != nil {
				return result{}, err
			}
		}
	}
	before, err := size(t.hub)
	if err == nil {
		err = b.gits(t.hub, "gc -q --prune=now")
	}
	if err != nil {
		return result{}, err
	}
	after, err := size(t.hub)
	if err != nil {
		return result{}, err
	}
	each := func(x int64) float64 { return float64(x-was) / float64(n) / 1024 }
	return judge(fmt.Sprintf("%.2f KB after gc, %.2f KB before, of %d messages, %.0f in an hour, in pushes of ten", each(after), each(before), n, float64(time.Hour)/float64(pause)),
		[2]float64{each(after), 1.1}, [2]float64{each(before), 3}), nil
}

// size is how many bytes a directory holds.
func size(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			var st fs.FileInfo
			if st, err = e.Info(); err == nil {
				n += st.Size()
			}
		}
		return err
	})
	return n, err
}

func ordinaryClone(b *bench) (result, error) {
	t, err := b.team(4)
	if err != nil {
		return result{}, err
	}
	defer t.close()
	dir := b.dir("ordinary")
	if err := b.gits(".", "clone -q --no-local "+t.hub+" "+dir); err != nil {
		return result{}, err
	}
	refs, err := b.git(dir, "for-each-ref", "--format=%(refname)")
	if err != nil {
		return result{}, err
	}
	objects, err := b.git(dir, "rev-list", "--objects", "--all")
	if err != nil {
		return result{}, err
	}
	there, err := b.git(dir, "cat-file", "--batch-all-objects", "--batch-check=%(objectname)")
	if err != nil {
		return result{}, err
	}
	foreign := len(strings.Fields(there)) - strings.Count(objects+"\n", "\n")
	ours := strings.Count(refs, "agentmail")
	return judge(fmt.Sprintf("%d refs, %d objects", ours, foreign), [2]float64{float64(ours + foreign), 0}), nil
}

func wiped(b *bench) (result, error) {
	t, err := b.team(4)
	if err != nil {
		return result{}, err
	}
	defer t.close()
	dir := b.dir("ordinary")
	if err := b.gits(".", "clone -q --mirror "+t.hub+" "+dir); err != nil {
		return result{}, err
	}
	const list = "for-each-ref --format=%(refname)=%(objectname) refs/agentmail"
	was, err := b.git(t.hub, strings.Fields(list)...)
	if err != nil {
		return result{}, err
	}
	for ref := range strings.FieldsSeq(was) {
		name, _, _ := strings.Cut(ref, "=")
		if err := b.gits(t.hub, "update-ref -d "+name); err != nil {
			return result{}, err
		}
	}
	if err := t.sync(b.ctx); err != nil {
		return result{}, err
	}
	now, err := b.git(t.hub, strings.Fields(list)...)
	if err != nil {
		return result{}, err
	}
	missing := 0
	for ref := range strings.FieldsSeq(was) {
		if !strings.Contains(now, ref) {
			missing++
		}
	}
	return judge(fmt.Sprintf("%d of %d missing", missing, len(strings.Fields(was))), [2]float64{float64(missing), 0}), nil
}

// refusing is a host that takes branches only.
func refusing(b *bench) (result, error) {
	const n, each = 4, 3
	t, err := b.team(n, "#!/bin/sh\ncase \"$1\" in refs/agentmail/*) exit 1;; esac\n")
	if err != nil {
		return result{}, err
	}
	defer t.close()
	first := len(t.told)
	for k := range each {
		for i := range t.boxes {
			if err := t.send(b.ctx, i, k); err != nil {
				return result{}, err
			}
		}
		for range 2 {
			if err := t.sync(b.ctx); err != nil {
				return result{}, err
			}
		}
	}
	counts, err := t.counts(b.ctx)
	if err != nil {
		return result{}, err
	}
	missing := 0
	for _, c := range counts {
		missing += n*each - c
	}
	list, err := b.git(t.hub, "for-each-ref", "--format=%(refname)", "refs/heads/agentmail")
	if err != nil {
		return result{}, err
	}
	branches := len(strings.Fields(list))
	fell := 0
	for _, s := range t.told {
		if strings.Contains(s, "takes no refs but branches") {
			fell++
		}
	}
	return judge(fmt.Sprintf("%d logs are branches; told %d times in %d clones, %d of them at the first push; %d of %d messages not everywhere", branches, fell, n, first, missing, n*each),
		[2]float64{float64(missing), 0}, [2]float64{n, float64(branches)}, [2]float64{n, float64(fell)}, [2]float64{n, float64(first)}, [2]float64{float64(len(t.told)), n}), nil
}

// partitions runs the property test of package mail, once for the rows that are about it: a team
// in which anything is wrong ends it.
func partitions(b *bench) (result, error) {
	if b.teams != nil {
		return *b.teams, nil
	}
	n := pick(b, 3000, 300)
	cmd := exec.CommandContext(b.ctx, "go", "test", "./mail", "-run", "^TestPartitions$", "-count=1", "-v")
	cmd.Env = append(os.Environ(), fmt.Sprint("AGENTMAIL_SEEDS=", n))
	out, err := cmd.CombinedOutput()
	runs, failures := 0, 0
	if _, after, ok := strings.Cut(string(out), "teams that agree: "); ok {
		fmt.Sscan(after, &runs)
	}
	if _, after, ok := strings.Cut(string(out), "it was seed "); ok {
		fmt.Sscan(after, &runs)
		runs, failures = runs+1, 1
	}
	if runs == 0 || err == nil != (failures == 0) {
		return result{}, fmt.Errorf("go test ./mail -run TestPartitions: %v\n%s", err, out)
	}
	r := judge(fmt.Sprintf("%d of %d teams", failures, runs), [2]float64{float64(failures), 0}, [2]float64{float64(n), float64(runs)})
	b.teams = &r
	return r, nil
}
