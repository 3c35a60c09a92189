package gitstore

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"os/exec"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

// OID is an object name: 40 hexadecimal digits.
type OID = string

const zeroOID OID = "0000000000000000000000000000000000000000"

// objects reads git objects through `git cat-file` children, which are started when they are
// first needed: one, or as many as a server's callers need at once. We do not open the
// user's object database ourselves: go-git reads every pack index whole (240 ms and 110 MB
// in a repository of a million objects), git maps it.
type objects struct {
	repo *Repo

	mu     sync.Mutex
	recent recent // what needs no git
	seen   recent // what was read since Recall; nil before it
	idle   []*child
	used   int        // children that somebody has
	free   *sync.Cond // for when one comes back
	closed int        // how often
}

// child is a git that reads objects for one caller at a time.
type child struct {
	repo   *Repo
	closed int // of its objects, when it was made
	cmd    *exec.Cmd
	in     *bufio.Writer
	stdin  io.Closer
	out    *bufio.Reader
	stderr *bytes.Buffer
}

// maxChildren is how many there are at most: who reads a list, who writes, and one more.
const maxChildren = 3

// take hands out a child, which need not have been started, and put takes it back.
func (o *objects) take() *child {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.used == maxChildren {
		o.waits().Wait()
	}
	o.used++
	if n := len(o.idle); n > 0 {
		c := o.idle[n-1]
		o.idle = o.idle[:n-1]
		return c
	}
	return &child{repo: o.repo, closed: o.closed}
}

func (o *objects) put(c *child) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.used--
	o.waits().Signal()
	if c.closed == o.closed {
		o.idle = append(o.idle, c)
	} else {
		c.stop()
	}
}

func (o *objects) waits() *sync.Cond {
	if o.free == nil {
		o.free = sync.NewCond(&o.mu)
	}
	return o.free
}

type object struct {
	oid  OID
	kind string // commit, tree, blob
	data []byte
}

func (c *child) start() error {
	if c.cmd != nil {
		return nil
	}
	cmd := exec.Command("git", append(ownConfig[:len(ownConfig):len(ownConfig)], "cat-file", "--batch-command", "--buffer")...)
	cmd.Dir, cmd.Env = c.repo.CommonDir, c.repo.env
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return errf(GitFailed, "start git cat-file: %w", err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return errf(GitFailed, "start git cat-file: %w", err)
	}
	c.stderr = &bytes.Buffer{}
	cmd.Stderr = c.stderr
	if err := cmd.Start(); err != nil {
		return startError("cat-file", err)
	}
	c.cmd, c.stdin, c.in, c.out = cmd, stdin, bufio.NewWriter(stdin), bufio.NewReaderSize(stdout, 64<<10)
	return nil
}

// prepare starts the child before it is needed.
func (o *objects) prepare() {
	c := o.take()
	c.start() // should it fail, whoever needs it will be told
	o.put(c)
}

// A writer asks for some trees and records besides those of the last commit, such as the
// contact links of who sends; more, or larger, are not kept for the next one.
const (
	seenObjects = 32
	seenBytes   = 4 << 10
)

// attend begins to keep what is read.
func (o *objects) attend() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = recent{}
}

func (o *objects) remembers() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.recent) > 0
}

// remembered is a copy of what needs no git and of what was read.
func (o *objects) remembered() recent {
	o.mu.Lock()
	defer o.mu.Unlock()
	known := recent{}
	maps.Copy(known, o.recent)
	maps.Copy(known, o.seen)
	return known
}

func (o *objects) setRecent(r recent) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.recent = r
}

// close ends the children, and forgets what needs none. The next read starts another.
func (o *objects) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.recent, o.seen = nil, nil
	for _, c := range o.idle {
		c.stop()
	}
	o.idle = nil
	o.closed++
}

func (c *child) stop() error {
	if c.cmd == nil {
		return nil
	}
	c.stdin.Close()
	c.cmd.Process.Kill()
	err := c.cmd.Wait()
	c.cmd = nil
	return err
}

// errDied means that git ended without a word, because something killed it.
var errDied = errors.New("gitstore: git cat-file was killed")

// each reads the objects in order and calls fn with each; fn must not read from
// the store itself. Requests are written ahead of the answers, so a hundred
// thousand objects cost one round trip. An object that is missing or broken is
// an error of kind Damaged.
func (o *objects) each(oids []OID, fn func(i int, ob object) error) error {
	o.mu.Lock()
	known := o.recent // which is replaced, never changed
	o.mu.Unlock()
	if !slices.ContainsFunc(oids, func(oid OID) bool { return known[oid].oid == "" }) {
		for i, oid := range oids {
			if err := fn(i, known[oid]); err != nil {
				return err
			}
		}
		return nil
	}
	c := o.take()
	defer o.put(c)
	done := 0
	for tries := 1; done < len(oids); tries++ {
		n, err := c.some(oids[done:], func(i int, ob object) error {
			o.saw(ob)
			return fn(done+i, ob)
		})
		done += n
		if errors.Is(err, errDied) && tries <= 2 {
			continue // in a process that lives for days this happens
		}
		// Packs are merged, by us and by the user's gc. git looks for the new one once, and
		// on a busy machine that may be gone as well by then; a git that begins anew sees
		// what is there. Only what it does not find either is missing.
		if KindOf(err) == Damaged && tries <= 2 {
			c.stop()
			continue
		}
		if errors.Is(err, errDied) {
			return errf(GitFailed, "read object %s: git cat-file is killed again and again", oids[done])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// saw keeps what was read, while that is asked for.
func (o *objects) saw(ob object) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.seen != nil && len(o.seen) < seenObjects && len(ob.data) < seenBytes {
		o.seen[ob.oid] = ob
	}
}

// fitPipe is how many requests fit into a pipe of any system, so that writing
// them cannot wait for git, which may wait for us to read.
const fitPipe = 4096 / len("contents 0123456789012345678901234567890123456789\n")

// some is one attempt of each: it reads with one child, and returns how many
// objects fn was called with.
func (c *child) some(oids []OID, fn func(i int, ob object) error) (int, error) {
	if err := c.start(); err != nil {
		return 0, err
	}
	sent := make(chan error, 1)
	in := c.in
	send := func() {
		for _, oid := range oids {
			in.WriteString("contents ")
			in.WriteString(oid)
			in.WriteByte('\n')
		}
		in.WriteString("flush\n")
		sent <- in.Flush()
	}
	if len(oids) <= fitPipe {
		send()
	} else {
		go send()
	}
	n, err := c.receive(oids, fn)
	if err != nil {
		// The stream is out of step: end the child, which also frees the writer.
		c.stop()
		<-sent
		return n, err
	}
	return n, <-sent
}

func (c *child) receive(oids []OID, fn func(int, object) error) (int, error) {
	for i, oid := range oids {
		head, err := c.out.ReadString('\n')
		if err != nil {
			return i, c.died(oid, err)
		}
		f := strings.Fields(head)
		if len(f) == 2 && f[1] == "missing" {
			return i, errf(Damaged, "object %s is missing from the repository", oid)
		}
		if len(f) != 3 {
			return i, errf(Damaged, "object %s cannot be read: %s", oid, strings.TrimSpace(head))
		}
		size, err := strconv.Atoi(f[2])
		if err != nil {
			return i, errf(Damaged, "object %s cannot be read: %s", oid, strings.TrimSpace(head))
		}
		if f[0] != oid { // the answer to somebody whose function panicked, and was caught
			return i, errDied
		}
		data := make([]byte, size+1) // the contents are followed by a newline
		if _, err := io.ReadFull(c.out, data); err != nil {
			return i, c.died(oid, err)
		}
		if err := fn(i, object{f[0], f[1], data[:size]}); err != nil {
			return i, err
		}
	}
	return len(oids), nil
}

// died explains why cat-file ended. git stops at an object it cannot unpack.
func (c *child) died(oid OID, err error) error {
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return errf(GitFailed, "read object %s: %w", oid, err)
	}
	c.stdin.Close()
	c.cmd.Wait()
	msg := strings.TrimSpace(c.stderr.String())
	c.cmd = nil
	if msg == "" {
		return errDied
	}
	if line, _, more := strings.Cut(msg, "\n"); more {
		msg = line
	}
	if strings.Contains(msg, "batch-command") {
		return errf(Unsupported, "this git is too old, %s or newer is needed", MinGit)
	}
	return errf(Damaged, "object %s cannot be read: %s", oid, strings.TrimPrefix(strings.TrimPrefix(msg, "error: "), "fatal: "))
}

// any reads one object of whatever kind.
func (o *objects) any(oid OID) (ob object, err error) {
	err = o.each([]OID{oid}, func(_ int, got object) error {
		ob = got
		return nil
	})
	return ob, err
}

func (o *objects) one(oid OID, kind string) ([]byte, error) {
	ob, err := o.any(oid)
	if err == nil && ob.kind != kind {
		err = errf(Damaged, "object %s is a %s, a %s was expected", oid, ob.kind, kind)
	}
	return ob.data, err
}

// treeEntry is one line of a tree object.
type treeEntry struct {
	name string
	oid  OID
	dir  bool
	mode string
}

const (
	modeTree = "40000"
	modeBlob = "100644"
)

func parseTree(oid OID, data []byte) ([]treeEntry, error) {
	var list []treeEntry
	for len(data) > 0 {
		sp := bytes.IndexByte(data, ' ')
		nul := bytes.IndexByte(data, 0)
		if sp < 0 || nul < sp || len(data) < nul+21 {
			return nil, errf(Damaged, "tree %s is broken", oid)
		}
		mode := string(data[:sp])
		list = append(list, treeEntry{
			name: string(data[sp+1 : nul]),
			oid:  hex.EncodeToString(data[nul+1 : nul+21]),
			dir:  mode == modeTree,
			mode: mode,
		})
		data = data[nul+21:]
	}
	return list, nil
}

// key is what git orders the entries of a tree by: the name, of a directory as if it
// ended in a slash.
func (e treeEntry) key() string {
	if e.dir {
		return e.name + "/"
	}
	return e.name
}

// encodeTree writes entries in git's order.
func encodeTree(list []treeEntry) []byte {
	sort.Slice(list, func(i, j int) bool { return list[i].key() < list[j].key() })
	var b bytes.Buffer
	for _, e := range list {
		b.WriteString(e.mode)
		b.WriteByte(' ')
		b.WriteString(e.name)
		b.WriteByte(0)
		oid, _ := hex.DecodeString(e.oid) // it was made by EncodeToString
		b.Write(oid)
	}
	return b.Bytes()
}

// commit is what the store reads of a commit object.
type commit struct {
	tree    OID
	parents []OID
	author  string // with the time
	message string
}

func parseCommit(data []byte) commit {
	var c commit
	head, msg, _ := strings.Cut(string(data), "\n\n")
	for line := range strings.SplitSeq(head, "\n") {
		switch name, value, _ := strings.Cut(line, " "); name {
		case "tree":
			c.tree = value
		case "parent":
			c.parents = append(c.parents, value)
		case "author":
			c.author = value
		}
	}
	c.message = msg
	return c
}

// authored returns when a commit was written, by the clock of its writer.
func (c commit) authored() time.Time {
	f := strings.Fields(c.author)
	if len(f) < 2 {
		return time.Unix(0, 0)
	}
	sec, _ := strconv.ParseInt(f[len(f)-2], 10, 64)
	return time.Unix(sec, 0)
}

// trailers returns the `Key: value` lines of a message's last paragraph; of a
// key that stands there several times the last one counts.
func (c commit) trailers() map[string]string {
	m := map[string]string{}
	paras := strings.Split(strings.TrimRight(c.message, "\n"), "\n\n")
	if len(paras) < 2 {
		return m
	}
	for line := range strings.SplitSeq(paras[len(paras)-1], "\n") {
		if k, v, ok := strings.Cut(line, ": "); ok && !strings.ContainsAny(k, " \t") {
			m[k] = v
		}
	}
	return m
}
