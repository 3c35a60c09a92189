// Package mailbox says what an agent can do: one method of [Box] per verb. It is
// the only place with rules that need both the store and the clock; the doors
// (command line, MCP, web) parse, call one method, and print.
//
// Every error that leaves this package is, or wraps, a *mail.Error.
package mailbox

import (
	"context"
	"crypto/rand"
	"crypto/sha1"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/mail"
)

// Options are what a Box takes from outside. The zero value works.
type Options struct {
	Dir      string                // where to look for the repository; "" is the working directory
	Environ  []string              // nil is the process's own
	Now      func() time.Time      // nil is time.Now
	Rand     func([]byte)          // fills with random bytes; nil is crypto/rand
	Report   func(string)          // receives one-line notes about something put right or passed over
	LockWait time.Duration         // how long a write waits for its turn; 0 is ten seconds, in a hook two
	Progress func(done, total int) // told while an index is built that takes long; nil is nobody
	InHook   bool                  // git started this process as a hook of a commit, merge or push
	Digest   Digest                // makes summaries; without it there are none
	Signals  Signals               // files that tell of new mail
	Lives    bool                  // the process is a server: what can be done after an answer is
	Roots    []string              // directories outside of which Projects opens nothing; none is everything
}

// hookWait is how long a hook's record waits for its turn: the user waits for git
// meanwhile, and the commit is made or refused without it.
const hookWait = 2 * time.Second

// Box is the mailbox of one repository.
type Box struct {
	repo  *gitstore.Repo
	store *gitstore.Store
	opt   Options
	key   string // of a repository that Projects made: the path that it is for

	mu   sync.Mutex
	live live // what was folded last, by stamp

	indexes indexes

	end     context.CancelFunc // of what a server does beside
	running sync.WaitGroup
}

// Open finds the repository that opt.Dir belongs to. It makes and changes
// nothing.
func Open(ctx context.Context, opt Options) (*Box, error) {
	opt.fill()
	if opt.Dir == "" {
		dir, err := os.Getwd()
		if err != nil {
			return nil, mail.Errorf(mail.NoRepo, "the working directory is gone: %w", err)
		}
		opt.Dir = dir
	}
	find := gitstore.Find
	if opt.InHook {
		find = gitstore.FromHook
	}
	repo, err := find(ctx, opt.Dir, opt.Environ)
	if err != nil {
		return nil, asMail(err)
	}
	return newBox(ctx, repo, opt), nil
}

// fill puts the defaults in.
func (opt *Options) fill() {
	if opt.Environ == nil {
		opt.Environ = os.Environ()
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	if opt.Rand == nil {
		opt.Rand = func(b []byte) { rand.Read(b) }
	}
	if opt.Report == nil {
		opt.Report = func(string) {}
	}
	if opt.InHook && opt.LockWait == 0 {
		opt.LockWait = hookWait
	}
}

func newBox(ctx context.Context, repo *gitstore.Repo, opt Options) *Box {
	b := &Box{repo: repo, opt: opt}
	b.indexes.turn = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))
	if repo.Bare {
		b.key, _, _ = repo.Local(ctx, madeFor)
	}
	b.store = gitstore.Open(repo, gitstore.Options{
		Lives: opt.Lives,
		Now:   opt.Now, Rand: opt.Rand, LockWait: opt.LockWait, Report: opt.Report,
		Who:         "git-agentmail",
		Ephemeral:   b.getenv("CI") == "true",
		RefPrefix:   b.getenv("AGENTMAIL_REF"),
		AfterCommit: b.afterCommit,
		Trust: func(ctx context.Context) (gitstore.Trust, error) {
			_, t, err := b.trust(ctx)
			return t, err
		},
	})
	var beside context.Context
	if beside, b.end = context.WithCancel(context.WithoutCancel(ctx)); opt.Lives {
		b.running.Go(func() { b.background(beside) })
	}
	return b
}

// Close ends what the Box runs in the background.
func (b *Box) Close() {
	b.end()
	b.running.Wait()
	b.indexes.end()
	b.store.Close()
}

func (b *Box) getenv(name string) string { return b.opt.getenv(name) }

func (opt *Options) getenv(name string) string {
	for i := len(opt.Environ) - 1; i >= 0; i-- {
		if k, v, ok := strings.Cut(opt.Environ[i], "="); ok && k == name {
			return v
		}
	}
	return ""
}

func (b *Box) now() time.Time { return b.opt.Now() }

// asMail gives a store error the code and hint that a person or agent sees.
func asMail(err error) error {
	if err == nil {
		return nil
	}
	var me *mail.Error
	if errors.As(err, &me) {
		return err
	}
	var se *gitstore.Error
	if !errors.As(err, &se) {
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return mail.Errorf(mail.Cancelled, "interrupted; nothing was written: %w", err)
		}
		return mail.Errorf(mail.Internal, "%w", err)
	}
	code := map[gitstore.Kind]mail.Code{
		gitstore.NotRepository: mail.NoRepo,
		gitstore.Unsupported:   mail.NoRepo,
		gitstore.ReadOnly:      mail.Denied,
		gitstore.Locked:        mail.Busy,
		gitstore.Damaged:       mail.Corrupt,
		gitstore.Newer:         mail.Format,
		gitstore.Duplicate:     mail.Exists,
		gitstore.Invalid:       mail.Invalid,
	}[se.Kind]
	if code == "" {
		code = mail.Internal
	}
	out := mail.Errorf(code, "%s", se.Msg)
	out.Err = err
	if se.Hint != "" {
		out.Hint("%s", se.Hint)
	}
	switch se.Kind {
	case gitstore.ReadOnly:
		// Sandboxes of coding agents mount .git read-only; a server outside can write.
		out.Hint("run it outside the sandbox, or let the sandbox write to the git directory: ls -ld \"$(git rev-parse --git-common-dir)\"")
		out.Type = "PERMISSION_ERROR"
	case gitstore.Damaged:
		out.Hint("git agentmail verify")
	case gitstore.Newer:
		out.Hint("go install github.com/git-agentmail/git-agentmail/cmd/...@latest")
	case gitstore.Locked:
		out.Hint("git agentmail doctor")
	}
	return out
}

// Project returns what names this mailbox.
func (b *Box) Project() Project {
	key := b.repo.CommonDir
	switch {
	case b.key != "":
		key = b.key
	case filepath.Base(key) == ".git":
		key = filepath.Dir(key)
	}
	sum := sha1.Sum([]byte(b.repo.CommonDir))
	return Project{ID: fmt.Sprintf("%x", sum[:10]), Slug: slug(key), HumanKey: key}
}

// Worktree returns the git directory of the worktree that the mailbox was opened in.
func (b *Box) Worktree() string { return b.repo.GitDir }

// slug turns a path into the contract's short name for a project.
func slug(s string) string {
	var w strings.Builder
	for _, r := range strings.ToLower(s) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			w.WriteRune(r)
		} else if w.Len() > 0 && !strings.HasSuffix(w.String(), "-") {
			w.WriteByte('-')
		}
	}
	if s := strings.Trim(w.String(), "-"); s != "" {
		return s
	}
	return "project"
}

// setting returns a value of the section agentmail in the repository's own
// configuration.
func (b *Box) setting(ctx context.Context, name string) (string, error) {
	v, _, err := b.repo.Local(ctx, "agentmail."+strings.ToLower(name))
	return strings.ToLower(strings.TrimSpace(v)), asMail(err)
}

// snapshot pins the present contents.
func (b *Box) snapshot(ctx context.Context) (*gitstore.Snapshot, error) {
	sn, err := b.store.Snapshot(ctx)
	return sn, asMail(err)
}

// SetUp reports whether this repository was set up for, or received, mail.
func (b *Box) SetUp() bool {
	ours, err := b.store.Exists()
	return ours || err != nil
}
