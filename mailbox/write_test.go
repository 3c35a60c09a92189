package mailbox

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/mail"
)

// TestPanicIsTheCallers: a fault in one transaction reaches who asked for it, and
// nobody else.
func TestPanicIsTheCallers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	broken := true
	box, err := Open(w.ctx, Options{Dir: w.dir, Environ: w.env, Now: func() time.Time { return w.at }, Rand: func(b []byte) {
		if broken {
			panic("no randomness")
		}
		for i := range b {
			b[i] = byte(w.at.UnixNano() >> i)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	func() {
		defer func() {
			if p := recover(); p != "no randomness" {
				t.Errorf("recovered %v", p)
			}
		}()
		_, err := box.Send(w.ctx, blue, Draft{To: []string{"BlueLake"}, Subject: "x"})
		t.Errorf("it is an error: %v", err)
	}()
	broken = false
	if _, err := box.Send(w.ctx, blue, Draft{To: []string{"BlueLake"}, Subject: "y"}); err != nil {
		t.Error(err)
	}
	if in := w.inbox(blue); len(in) != 1 || in[0].Subject != "y" {
		t.Errorf("%v", subjects(in))
	}
}

// TestClockGoesBack: stamps and numbers of a clone only grow, whatever its clock
// does; what comes from a clone whose clock is far ahead does not drag it along,
// but is overwritten by whoever saw it.
func TestClockGoesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	w.send(blue, "BlueLake")
	w.pass(-48 * time.Hour)
	w.send(blue, "BlueLake")
	c := w.clone()
	c.at = w.at.Add(10 * 365 * 24 * time.Hour)
	if _, err := c.box.Register(c.ctx, RegisterRequest{Name: "BlueLake", Program: "far", Model: "m", Adopt: true}); err != nil {
		t.Fatal(err)
	}
	w.fetch(c)
	w.agent("GreenCastle")
	sn, err := w.box.snapshot(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	text, err := sn.Trailer(sn.Own(), trailerClock)
	if err != nil {
		t.Fatal(err)
	}
	if ahead := mail.ParseStamp(text).MS - w.at.UnixMilli(); ahead > (49 * time.Hour).Milliseconds() {
		t.Errorf("dragged along by %d ms", ahead)
	}
	if _, err := w.box.Register(w.ctx, RegisterRequest{Name: "BlueLake", Program: "near", Model: "m", Adopt: true}); err != nil {
		t.Fatal(err)
	}
	c.fetch(w)
	for _, b := range []*Box{w.box, c.box} {
		if who, err := b.Whois(w.ctx, "BlueLake", 0); err != nil || who.Program != "near" {
			t.Errorf("%+v, %v", who, err)
		}
	}
	var last mail.Stamp
	var seq int64
	sn, err = w.box.snapshot(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	st := map[int64]mail.Stamp{}
	if err := w.box.walk(w.ctx, sn, "", notFiles, func(replica string, r mail.Record) {
		if replica == sn.Own() {
			st[r.Head().Seq] = r.Head().HLC
		}
	}); err != nil {
		t.Fatal(err)
	}
	for seq = 1; st[seq] != (mail.Stamp{}); seq++ {
		if st[seq].Compare(last) <= 0 {
			t.Errorf("seq %d has the stamp %s after %s", seq, st[seq], last)
		}
		last = st[seq]
	}
	if int(seq) != len(st)+1 {
		t.Errorf("numbers are missing: %v", st)
	}
}

// TestLockTaken: who cannot have the lock in time, or is interrupted while
// waiting, is told that nothing was written; reading goes on meanwhile.
func TestLockTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	release, locked := make(chan bool), make(chan bool)
	go w.open(w.dir).store.Update(w.ctx, func(*gitstore.Tx) (gitstore.CommitInfo, error) {
		close(locked)
		<-release
		return gitstore.CommitInfo{}, nil
	})
	<-locked
	defer close(release)
	box, err := Open(w.ctx, Options{Dir: w.dir, Environ: w.env, LockWait: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	d := Draft{To: []string{"BlueLake"}, Subject: "x"}
	_, err = box.Send(w.ctx, blue, d)
	if e := mustCode(t, err, mail.Busy, "RESOURCE_BUSY"); !e.Retry || !strings.Contains(e.Message, "nothing was written") {
		t.Errorf("%+v", e)
	}
	ctx, cancel := context.WithTimeout(w.ctx, 50*time.Millisecond)
	defer cancel()
	_, err = w.box.Send(ctx, blue, d)
	if e := wantCode(t, err, mail.Cancelled); !e.Retry || !strings.Contains(e.Message, "nothing was written") {
		t.Errorf("%+v", e)
	}
	if in := w.inbox(blue); len(in) != 0 {
		t.Errorf("%v", subjects(in))
	}
	// What changes nothing needs no turn.
	if r, err := box.CheckPaths(w.ctx, blue, []string{"x"}); err != nil || len(r.Blocked) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestReadOnly: where the git directory cannot be written reading works, and a
// write says in under a second what to do.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root may write anything")
	}
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	id := w.send(blue, "GreenCastle")
	w.hold(blue, "src/**")
	var dirs []string
	err := filepath.WalkDir(filepath.Join(w.dir, ".git"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		os.Chmod(d, 0o555)
		t.Cleanup(func() { os.Chmod(d, 0o777) })
	}
	box := w.open(w.dir)
	began := time.Now()
	for verb, err := range map[string]error{
		"send":     second(box.Send(w.ctx, blue, Draft{To: []string{"GreenCastle"}, Subject: "x"})),
		"reserve":  second(box.Reserve(w.ctx, green, ReserveRequest{Patterns: []string{"doc/**"}})),
		"ack":      second(box.Ack(w.ctx, green, []string{id})),
		"register": second(box.Register(w.ctx, RegisterRequest{Name: "RedFox", Program: "p", Model: "m"})),
		"init":     second(box.Init(w.ctx, InitRequest{NoHooks: true})),
	} {
		e := mail.AsError(err)
		if e.Code != mail.Denied || e.Type != "PERMISSION_ERROR" || len(e.Hints) == 0 {
			t.Errorf("%s: %+v", verb, e)
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("five refusals took %s", took)
	}
	if in, err := box.Inbox(w.ctx, green, InboxQuery{}); err != nil || len(in) != 1 {
		t.Errorf("inbox: %+v, %v", in, err)
	}
	if _, err := box.CheckPaths(w.ctx, green, []string{"src/x"}); mail.CodeOf(err) != mail.Conflict {
		t.Errorf("check: %v", err)
	}
	if v, err := box.Verify(w.ctx, nil); err != nil {
		t.Errorf("verify: %+v, %v", v, err)
	}
}

func second[T any](_ T, err error) error { return err }
