//go:build unix

// Package hub is a git host for tests of synchronisation: a bare repository that real git
// serves on loopback, and between it and its clients a network that fails as the test
// wants. Only tests import it.
package hub

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Hub is a running host of one repository.
type Hub struct {
	Dir     string // the bare repository
	URL     string // of the repository over HTTP
	FileURL string // of the same without the network

	t       testing.TB
	backend string   // path of git-http-backend
	env     []string // of all that runs at the host
	log     *os.File // what that writes to stderr
	addr    string

	mu      sync.Mutex // guards the rest
	server  *http.Server
	network Network
	counts  Counts
	running map[*exec.Cmd]bool
	ended   bool
	wait    sync.WaitGroup // for the running
}

// Network is what lies between URL and the hub. The zero value is a good one.
type Network struct {
	// A connection ends after so many bytes in that direction, counted from its
	// beginning; exactly these arrive. Zero is no end.
	FromClient, ToClient int64
	Once                 bool // only one connection is cut; the next is whole

	Delay   time.Duration // before the hub looks at a request
	Down    bool          // connections are refused, and those that are open end
	Answers []Answer      // the first that is for a request is given
}

// Answer is what some requests get in place of what they ask for.
type Answer struct {
	To     func(Request) bool // nil is every request
	Times  int                // how many get it; zero is all
	Late   bool               // the hub first does what it is asked, as behind a gateway that lost patience
	Status int
	Header map[string]string // such as Retry-After
	Body   string
}

// Request is what an Answer is chosen by.
type Request struct {
	Method, Path string
	Service      string   // git-upload-pack or git-receive-pack, the listing of refs before it too
	Refs         []string // what a push wants to move: only the last request of a push has them
}

// Garbage is a body for an answer with status 200.
const Garbage = "\x00\xff00zz garbage\n"

// Counts says what came to the hub. Requests and pushes count on arrival, whatever becomes
// of them.
type Counts struct {
	Requests   int
	Pushes     int   // requests that want to move refs
	Answered   int   // requests that got an Answer
	Cuts       int   // connections that were cut
	FromClient int64 // bytes, headers and all
	ToClient   int64
}

// New starts a hub that ends with the test.
func New(t testing.TB) *Hub {
	t.Helper()
	base := t.TempDir()
	h := &Hub{t: t, Dir: filepath.Join(base, "hub.git"), running: map[*exec.Cmd]bool{}, addr: "127.0.0.1:0"}
	h.FileURL = "file://" + h.Dir
	h.env = []string{"HOME=" + base, "PATH=" + os.Getenv("PATH"), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull}
	h.backend = filepath.Join(h.git(base, "--exec-path"), "git-http-backend")
	h.git(base, "init", "-q", "--bare", "-b", "main", h.Dir)
	h.Git("config", "http.receivepack", "true")
	h.Git("config", "receive.autogc", "false") // nothing of the host runs on behind a test
	var err error
	if h.log, err = os.Create(filepath.Join(base, "log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.end)
	h.Set(Network{})
	h.URL = "http://" + h.addr + "/hub.git"
	return h
}

// end leaves no process behind.
func (h *Hub) end() {
	h.Set(Network{Down: true})
	h.mu.Lock()
	h.ended = true
	h.mu.Unlock()
	h.KillServer()
	h.wait.Wait()
	h.log.Close()
	if said, err := os.ReadFile(h.log.Name()); err == nil && h.t.Failed() {
		h.t.Logf("the hub's stderr:\n%s", said)
	}
}

// Set changes the network at once, for open connections too. A fault that is not in n ends.
func (h *Hub) Set(n Network) {
	h.t.Helper()
	n.Answers = slices.Clone(n.Answers)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.network = n
	if n.Down && h.server != nil {
		h.server.Close()
		h.server = nil
	}
	if !n.Down && h.server == nil {
		h.listen()
	}
}

// Counts returns what has come so far.
func (h *Hub) Counts() Counts {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.counts
}

// Git runs git in the hub's repository, past every fault, and returns what it prints.
func (h *Hub) Git(args ...string) string {
	h.t.Helper()
	return h.git(h.Dir, args...)
}

func (h *Hub) git(dir string, args ...string) string {
	h.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env = dir, h.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		h.t.Fatalf("hub: git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// Refs returns the object of every ref at the hub by name, hidden ones too.
func (h *Hub) Refs() map[string]string {
	h.t.Helper()
	refs := map[string]string{}
	for line := range strings.Lines(h.Git("for-each-ref", "--format=%(refname) %(objectname)")) {
		name, oid, _ := strings.Cut(strings.TrimSpace(line), " ")
		refs[name] = oid
	}
	return refs
}

// Accept makes the hub refuse pushed refs that begin with none of the prefixes, each for
// itself, over file too; Accept("") takes all again. Some hosts hide such refs besides, and
// refuse them sooner: Git("config", "transfer.hideRefs", "refs/private").
func (h *Hub) Accept(prefixes ...string) {
	h.t.Helper()
	script := ""
	for _, p := range prefixes {
		script += fmt.Sprintf("case \"$1\" in '%s'*) exit 0;; esac\n", p)
	}
	h.Hook("update", script+"echo \"the hub does not take $1\" >&2\nexit 1\n")
}

// Moment is one in the course of a push at the hub.
type Moment string

// The moments at which the server half may die. Without an atomic push every ref is
// moved for itself, and of several the first is meant.
const (
	BeforeRefs Moment = "pre-receive"                     // all objects have come, no ref has moved
	RefsLocked Moment = "reference-transaction prepared"  // about to move; locks stay behind
	RefsMoved  Moment = "reference-transaction committed" // moved, and the client has not been told
)

// KillAt kills -9 the server half of the next push that comes to m, over file too.
func (h *Hub) KillAt(m Moment) {
	h.t.Helper()
	// Over HTTP the process group is that of the server half, otherwise the client's.
	const script = "[ \"$1\" = '%s' ] || exit 0\nrm -f \"$0\"\n[ -z \"$HUB_GROUP\" ] || kill -9 0\nkill -9 $PPID\n"
	name, state, _ := strings.Cut(string(m), " ")
	h.Hook(name, fmt.Sprintf(script, state))
}

// Hook sets a hook of the hub's, in shell. It replaces it in one step, for a push may be
// running; KillAt and Accept set theirs.
func (h *Hub) Hook(name, script string) {
	h.t.Helper()
	path := filepath.Join(h.Dir, "hooks", name)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path+".new", []byte("#!/bin/sh\n"+script), 0o755)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// KillServer kills -9 all that git runs at the hub for clients over HTTP, and says for how
// many requests it ran.
func (h *Hub) KillServer() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	for cmd := range h.running {
		kill(cmd)
	}
	return len(h.running)
}
