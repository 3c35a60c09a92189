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
	w.run()
	s.flush()
	s.result.Start, s.result.End = opt.End.Add(-opt.Span), opt.End
	s.result.Messages = opt.Messages
	for _, a := range w.agents {
		s.result.Agents = append(s.result.Agents, a.name)
		if a.policy != mail.PolicyBlockAll {
			s.result.Reachable = append(s.result.Reachable, a.name)
		}
	}
	return s.result, s.err
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

// seeder gathers records and commits them by the thousand.
type seeder struct {
	ctx    context.Context
	opt    Options
	store  *gitstore.Store
	random func([]byte)

	at     time.Time // what the store takes for now
	batch  []file
	by     []string // names of those who wrote the batch, in order
	counts map[string]int
	last   mail.Header
	result Result
	err    error
}

type file struct {
	path string
	data []byte
}

// add takes a record, or a plain file where r is nil, and commits when there
// are enough. After an error it does nothing more.
func (s *seeder) add(name string, r mail.Record, plain ...file) {
	if s.err != nil {
		return
	}
	s.batch = append(s.batch, plain...)
	data, err := mail.Encode(r)
	if err != nil {
		s.err = fmt.Errorf("encode %s: %w", r.Path(), err)
		return
	}
	s.batch = append(s.batch, file{r.Path(), data})
	s.last = *r.Head()
	s.result.Records++
	if s.counts == nil {
		s.counts = map[string]int{}
	}
	if s.counts[name]++; s.counts[name] == 1 {
		s.by = append(s.by, name)
	}
	if len(s.batch) >= s.opt.PerCommit {
		s.flush()
	}
}

// flush commits the batch as a group commit of all its writers would.
func (s *seeder) flush() {
	if s.err != nil || len(s.batch) == 0 {
		return
	}
	s.at = s.last.At.Time()
	batch := s.batch
	v, err := s.store.Update(s.ctx, func(tx *gitstore.Tx) (gitstore.CommitInfo, error) {
		for _, f := range batch {
			if err := tx.Create(f.path, f.data); err != nil {
				return gitstore.CommitInfo{}, err
			}
		}
		return s.info(len(batch)), nil
	})
	s.committed(v, err)
}

func (s *seeder) info(n int) gitstore.CommitInfo {
	in := gitstore.CommitInfo{Subject: fmt.Sprintf("mail: %d events", n), Author: s.by[0]}
	for _, name := range s.by {
		in.Trailers = append(in.Trailers, [2]string{"Agent", name})
	}
	in.Trailers = append(in.Trailers,
		[2]string{"Agentmail-Seq", strconv.FormatInt(s.last.Seq, 10)},
		[2]string{"Agentmail-Clock", s.last.HLC.String()})
	return in
}

func (s *seeder) committed(v gitstore.Version, err error) {
	if err != nil {
		s.err = fmt.Errorf("write mail: %w", err)
		return
	}
	s.batch, s.by, s.counts = nil, nil, nil
	s.result.Version = v
	s.result.Commits++
}

// register commits the agents. Their home is this clone, which gets its name in
// the same transaction; so they are encoded in there.
func (s *seeder) register(w *world) error {
	v, err := s.store.Update(s.ctx, func(tx *gitstore.Tx) (gitstore.CommitInfo, error) {
		s.result.Records, s.by = 0, nil
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
			s.last = c.Header
			s.by = append(s.by, a.name)
		}
		s.result.Records = len(w.agents)
		return s.info(len(w.agents)), nil
	})
	s.committed(v, err)
	w.seq, w.clock = s.last.Seq, mail.NewClock(s.last.HLC)
	return s.err
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
