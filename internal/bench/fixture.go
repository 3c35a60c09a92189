package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/internal/seed"
	"github.com/git-agentmail/git-agentmail/mailbox"
)

// bench is one run: the programs that were built and the repositories that were
// made for it.
type bench struct {
	ctx   context.Context
	quick bool
	tmp   string
	env   []string // in which no setting of the machine counts
	start time.Time

	program string // git-agentmail
	hello   string // a Go program that does nothing
	small   string // an MCP server with one tool; see buildServers
	self    string // this program

	gitVersion string
	seeded     map[string]*place
	ref        *reference // see compared
	teams      *result    // see partitions
}

// place is a repository with agents.
type place struct {
	dir    string
	agents []string // those who take mail
}

// newBench builds the programs.
func newBench(ctx context.Context, quick bool) (*bench, error) {
	if _, err := os.Stat("cmd/git-agentmail"); err != nil {
		return nil, fmt.Errorf("run this from the root of the module: %w", err)
	}
	tmp, err := os.MkdirTemp("", "agentmail-bench-")
	if err != nil {
		return nil, err
	}
	b := &bench{ctx: ctx, quick: quick, tmp: tmp, start: time.Now(), seeded: map[string]*place{}}
	if err := b.build(); err != nil {
		os.RemoveAll(tmp)
		return nil, err
	}
	return b, nil
}

func (b *bench) build() error {
	bin := filepath.Join(b.tmp, "bin")
	hello := filepath.Join(b.tmp, "hello")
	for _, dir := range []string{bin, hello, filepath.Join(b.tmp, "home")} {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return err
		}
	}
	var err error
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(hello, "main.go"), []byte("package main\n\nfunc main() {}\n"), 0o666); err != nil {
		return err
	}
	b.program, b.hello = filepath.Join(bin, "git-agentmail"), filepath.Join(bin, "hello")
	if err := errors.Join(b.goBuild(b.program, "./cmd/git-agentmail"), b.goBuild(b.hello, filepath.Join(hello, "main.go"))); err != nil {
		return err
	}
	config := filepath.Join(b.tmp, "gitconfig")
	text := "[user]\n\tname = Bench\n\temail = bench@example.com\n[init]\n\tdefaultBranch = main\n[advice]\n\tdetachedHead = false\n"
	if err := os.WriteFile(config, []byte(text), 0o666); err != nil {
		return err
	}
	b.env = []string{"HOME=" + filepath.Join(b.tmp, "home"), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + config,
		"PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH"), "LC_ALL=C", "TZ=UTC"}
	if v, ok := os.LookupEnv("TMPDIR"); ok {
		b.env = append(b.env, "TMPDIR="+v)
	}
	out, err := b.git(".", "version")
	if f := strings.Fields(out); err == nil && len(f) > 2 {
		b.gitVersion = f[2]
	}
	return err
}

// goBuild builds as make install does: with cgo a program is linked to libc and starts later.
func (b *bench) goBuild(program, source string) error {
	cmd := exec.CommandContext(b.ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", source, err, out)
	}
	return nil
}

// pick chooses between a number for a full and one for a quick run.
func pick[T any](b *bench, full, quick T) T {
	if b.quick {
		return quick
	}
	return full
}

// messages is how many messages the large mailbox has.
func (b *bench) messages() int { return pick(b, 100_000, 10_000) }

func (b *bench) cmd(dir, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(b.ctx, name, args...)
	cmd.Dir, cmd.Env = dir, b.env
	return cmd
}

// git runs git and returns what it printed.
func (b *bench) git(dir string, args ...string) (string, error) {
	_, out, err := output(b.cmd(dir, "git", args...))
	return strings.TrimSpace(out), err
}

// gits runs several git commands, each written as words with blanks between.
func (b *bench) gits(dir string, commands ...string) error {
	for _, c := range commands {
		if _, err := b.git(dir, strings.Fields(c)...); err != nil {
			return err
		}
	}
	return nil
}

// dir returns a new path in the run's directory.
func (b *bench) dir(name string) string {
	for i := 0; ; i++ {
		path := filepath.Join(b.tmp, fmt.Sprintf("%s-%d", name, i))
		if _, err := os.Lstat(path); err != nil {
			return path
		}
	}
}

// repo makes a repository with one commit of ten files.
func (b *bench) repo(name string) (string, error) {
	dir := b.dir(name)
	if err := b.gits(".", "init -q "+dir); err != nil {
		return "", err
	}
	for i := range 10 {
		if err := put(dir, fmt.Sprintf("src/part%d/main.go", i), "package part\n"); err != nil {
			return "", err
		}
	}
	return dir, b.gits(dir, "add -A", "commit -q -m one")
}

func put(dir, path, data string) error {
	name := filepath.Join(dir, filepath.FromSlash(path))
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(data), 0o666)
}

// fill seeds the repository with mail that ends now, and lets one program look
// at it so that caches are warm.
func (b *bench) fill(dir string, opt seed.Options) (*place, error) {
	opt.Environ, opt.End = b.env, time.Now()
	r, err := seed.Seed(b.ctx, dir, opt)
	if err != nil {
		return nil, err
	}
	_, err = timed(b.cmd(dir, b.program, "reservations", "--json"))
	return &place{dir, r.Reachable}, err
}

// mailbox returns the repository with n messages and a hundred reservations; it
// is made once.
func (b *bench) mailbox(n int) (*place, error) {
	key := fmt.Sprint(n)
	if p := b.seeded[key]; p != nil {
		return p, nil
	}
	dir, err := b.repo("mail" + key)
	if err != nil {
		return nil, err
	}
	p, err := b.fill(dir, seed.Options{Messages: n, Live: 100})
	if err != nil {
		return nil, err
	}
	b.seeded[key] = p
	return p, nil
}

// open opens the mailbox in this process.
func (b *bench) open(dir string) (*mailbox.Box, error) {
	return mailbox.Open(b.ctx, mailbox.Options{Dir: dir, Environ: b.env})
}

// store opens what is below the mailbox.
func (b *bench) store(dir string) (*gitstore.Store, error) {
	repo, err := gitstore.Find(b.ctx, dir, b.env)
	if err != nil {
		return nil, err
	}
	return gitstore.Open(repo, gitstore.Options{}), nil
}

// log returns the name of the one log in the repository.
func (b *bench) log(dir string) (string, error) {
	return b.git(dir, "for-each-ref", "--format=%(refname)", "refs/agentmail/log")
}

// count returns how many messages are in the log.
func (b *bench) count(dir string) (int, error) {
	ref, err := b.log(dir)
	if err != nil {
		return 0, err
	}
	out, err := b.git(dir, "ls-tree", "-r", "--name-only", ref, "mail/")
	return len(strings.Fields(out)), err
}
