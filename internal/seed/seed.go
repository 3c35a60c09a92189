// Package seed fills a repository with a realistic mailbox for tests and
// benchmarks: agents in teams, threads with replies, receipts, reservations,
// contact links. The same options give the same files, byte for byte.
//
// It writes through gitstore with many records to a commit, so that a hundred
// thousand messages take seconds; what it writes is what mailbox would have
// written, as [Seed] says.
package seed

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/mail"
)

// Options say what a mailbox to make. The zero value of each field stands for
// what is said there.
type Options struct {
	Messages int // 0: none, only agents
	Agents   int // 0: 200
	Threads  int // 0: 5,000; never more than one for four messages
	// Span is the time that the mail covers up to End. 0: as long as makes forty
	// messages an hour.
	Span time.Duration
	End  time.Time // zero: a fixed moment, 2026-06-30 18:00 UTC
	// Live is the number of exclusive reservations, beside those of the story,
	// that hold for eight hours from Now.
	Live int
	Now  time.Time // zero: End
	Seed uint64    // 0: 42

	PerCommit int      // records in one commit; 0: 2,000
	Environ   []string // nil: the process's own
}

// Result says what was made.
type Result struct {
	Messages, Records, Commits int
	Agents                     []string // names, in order of registration
	Reachable                  []string // those of them that take mail from anybody
	Start, End                 time.Time
	Version                    gitstore.Version
}

func (o *Options) fill() {
	if o.Agents == 0 {
		o.Agents = 200
	}
	if o.Threads == 0 {
		o.Threads = 5000
	}
	o.Threads = min(o.Threads, (o.Messages+3)/4)
	if o.Span == 0 {
		o.Span = max(time.Hour, time.Duration(o.Messages)*time.Hour/40)
	}
	if o.End.IsZero() {
		o.End = time.Date(2026, 6, 30, 18, 0, 0, 0, time.UTC)
	}
	if o.Now.IsZero() {
		o.Now = o.End
	}
	if o.Seed == 0 {
		o.Seed = 42
	}
	if o.PerCommit == 0 {
		o.PerCommit = 2000
	}
	if o.Environ == nil {
		o.Environ = os.Environ()
	}
}

// Seed fills the repository at dir, which must hold no mail yet. It keeps the
// rules that mailbox keeps: only recipients read and acknowledge, a first
// message makes a contact link, no two agents hold the same files exclusively,
// and the trailers of the commits let a later writer count on.
func Seed(ctx context.Context, dir string, opt Options) (Result, error) {
	opt.fill()
	if opt.Agents < 2 {
		return Result{}, errors.New("a mailbox needs two agents at least")
	}
	repo, err := gitstore.Find(ctx, dir, opt.Environ)
	if err != nil {
		return Result{}, fmt.Errorf("open the repository to seed: %w", err)
	}
	s := &seeder{ctx: ctx, opt: opt, random: source(opt.Seed, 1)}
	s.store = gitstore.Open(repo, gitstore.Options{
		Now:  func() time.Time { return s.at },
		Rand: s.random,
		Who:  "seedmail",
	})
	defer s.store.Close()
	sn, err := s.store.Snapshot(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("look for mail: %w", err)
	}
	if sn.Own() != "" || len(sn.Replicas()) > 0 {
		return Result{}, fmt.Errorf("the repository at %q holds mail already", dir)
	}
	w := newWorld(opt, s.add)
	s.at = w.now
	if err := s.register(w); err != nil {
		return Result{}, err
	}
	s.work, s.done = make(chan batch, 1), make(chan error)
	go s.commit()
	w.run()
	s.flush()
	close(s.work)
	err = <-s.done
	s.result.Start, s.result.End = opt.End.Add(-opt.Span), opt.End
	s.result.Messages = opt.Messages
	for _, a := range w.agents {
		s.result.Agents = append(s.result.Agents, a.name)
		if a.policy != mail.PolicyBlockAll {
			s.result.Reachable = append(s.result.Reachable, a.name)
		}
	}
	return s.result, err
}

// source returns one of several independent streams of random bytes.
func source(seed uint64, stream byte) func([]byte) {
	var key [32]byte
	for i := range 8 {
		key[i] = byte(seed >> (8 * i))
	}
	key[8] = stream
	c := rand.NewChaCha8(key)
	return func(b []byte) { c.Read(b) }
}

// seeder gathers records and commits them by the thousand. The story is told on
// one side of a channel and stored on the other.
type seeder struct {
	ctx    context.Context
	opt    Options
	store  *gitstore.Store
	random func([]byte)
	at     time.Time // what the store takes for now
	result Result

	next    batch
	started map[string]bool // names in next.by
	work    chan batch
	done    chan error
}

// batch is what goes into one commit.
type batch struct {
	files []file
	by    []string // names of those who wrote it, in order
	last  mail.Header
	err   error
}

type file struct {
	path string
	data []byte
}

// add takes a record, and plain files that belong to it, and hands a batch over
// when there are enough.
func (s *seeder) add(name string, r mail.Record, plain ...file) {
	data, err := mail.Encode(r)
	if err != nil {
		s.next.err = errors.Join(s.next.err, fmt.Errorf("encode %s: %w", r.Path(), err))
	}
	s.next.files = append(append(s.next.files, plain...), file{r.Path(), data})
	s.next.last = *r.Head()
	s.result.Records++
	if !s.started[name] {
		if s.started == nil {
			s.started = map[string]bool{}
		}
		s.started[name] = true
		s.next.by = append(s.next.by, name)
	}
	if len(s.next.files) >= s.opt.PerCommit {
		s.flush()
	}
}

func (s *seeder) flush() {
	if len(s.next.files) > 0 {
		s.work <- s.next
	}
	s.next, s.started = batch{}, nil
}

// commit stores batch after batch. After an error it only takes them.
func (s *seeder) commit() {
	var failed error
	for b := range s.work {
		if failed = errors.Join(failed, b.err); failed == nil {
			failed = s.put(b)
		}
	}
	s.done <- failed
}

// put commits a batch as a group commit of all its writers would.
func (s *seeder) put(b batch) error {
	s.at = b.last.At.Time()
	v, err := s.store.Update(s.ctx, func(tx *gitstore.Tx) (gitstore.CommitInfo, error) {
		for _, f := range b.files {
			if err := tx.Create(f.path, f.data); err != nil {
				return gitstore.CommitInfo{}, err
			}
		}
		return b.info(), nil
	})
	return s.committed(v, err)
}

func (b *batch) info() gitstore.CommitInfo {
	in := gitstore.CommitInfo{Subject: fmt.Sprintf("mail: %d events", len(b.files)), Author: b.by[0]}
	for _, name := range b.by {
		in.Trailers = append(in.Trailers, [2]string{"Agent", name})
	}
	in.Trailers = append(in.Trailers,
		[2]string{"Agentmail-Seq", strconv.FormatInt(b.last.Seq, 10)},
		[2]string{"Agentmail-Clock", b.last.HLC.String()})
	return in
}

func (s *seeder) committed(v gitstore.Version, err error) error {
	if err != nil {
		return fmt.Errorf("write mail: %w", err)
	}
	s.result.Version = v
	s.result.Commits++
	return nil
}

// register commits the agents. Their home is this clone, which gets its name in
// the same transaction; so they are encoded in there.
func (s *seeder) register(w *world) error {
	var b batch
	v, err := s.store.Update(s.ctx, func(tx *gitstore.Tx) (gitstore.CommitInfo, error) {
		b = batch{}
		clock := mail.Clock{}
		for i, a := range w.agents {
			c := a.registration(tx.Replica())
			c.Header.Seq, c.Header.HLC = int64(i+1), clock.Next(c.At.Time())
			data, err := mail.Encode(c)
			if err != nil {
				return gitstore.CommitInfo{}, err
			}
			if err := tx.Create(c.Path(), data); err != nil {
				return gitstore.CommitInfo{}, err
			}
			b.files, b.by, b.last = append(b.files, file{c.Path(), data}), append(b.by, a.name), c.Header
		}
		return b.info(), nil
	})
	s.result.Records = len(w.agents)
	w.seq, w.clock = b.last.Seq, mail.NewClock(b.last.HLC)
	return s.committed(v, err)
}

// names returns the names of agents.
func names(list []*agent) []string {
	out := make([]string, 0, len(list))
	for _, a := range list {
		out = append(out, a.name)
	}
	return out
}

func ids(list []*agent) []string {
	out := make([]string, 0, len(list))
	for _, a := range list {
		out = append(out, a.id)
	}
	return out
}

// without returns list with the agents of drop left out.
func without(list []*agent, drop ...*agent) []*agent {
	return slices.DeleteFunc(slices.Clone(list), func(a *agent) bool { return slices.Contains(drop, a) })
}
