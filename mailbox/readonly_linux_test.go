package mailbox

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/git-agentmail/git-agentmail/mail"
)

// asUser calls fn without root's right to write where no mode allows it. It must make
// its files itself: what it starts, or hands to others, has all rights again.
func asUser(t *testing.T, fn func()) {
	t.Helper()
	done := make(chan syscall.Errno)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with us
		head := struct {
			version uint32
			pid     int32
		}{0x20080522, 0}
		var set [2]struct{ effective, permitted, inheritable uint32 }
		_, _, errno := syscall.RawSyscall(syscall.SYS_CAPGET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&set[0])), 0)
		if errno == 0 {
			set[0].effective &^= 1<<1 | 1<<2 // CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
			_, _, errno = syscall.RawSyscall(syscall.SYS_CAPSET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&set[0])), 0)
		}
		if errno == 0 {
			fn()
		}
		done <- errno
	}()
	if errno := <-done; errno != 0 {
		t.Skipf("rights cannot be dropped here: %v", errno)
	}
}

// TestWaitReadOnly: where no place can be noted each wait shows what is unread, and says
// that the next will.
func TestWaitReadOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	dir := filepath.Join(w.dir, ".git", "agentmail")
	mode := func(m os.FileMode) {
		t.Helper()
		if err := os.Chmod(dir, m); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { os.Chmod(dir, 0o777) })
	look := func(what string, want ...string) {
		t.Helper()
		mode(0o555)
		asUser(t, func() {
			got, notes := w.looks(green)
			if !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", what, got, want)
			}
			if len(notes) != 1 || !strings.Contains(notes[0], "cannot be written") || !strings.Contains(notes[0], "shown again by the next wait until it is read") {
				t.Errorf("%s: noted %q", what, notes)
			}
		})
		mode(0o777)
	}
	look("nothing came")
	first := w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "between"})
	look("what came between", "between")
	look("once more", "between")
	w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "later"})
	look("and more", "between", "later")
	if _, err := w.box.Read(w.ctx, green, []string{first}); err != nil {
		t.Fatal(err)
	}
	look("one is read", "later")
	// Where a place can be noted again, it is.
	w.expect("writable", green)
	w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "last"})
	w.expect("writable, the next", green, "last")
}

// TestWatchReadOnly: without a place it goes on from now, with one from there; the note
// says which.
func TestWatchReadOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	dir := filepath.Join(w.dir, ".git", "agentmail")
	look := func(what, note string, want ...string) {
		t.Helper()
		w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: what})
		ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
		defer cancel()
		if len(want) == 0 {
			cancel()
		}
		var got, notes []string
		for _, name := range []string{dir, filepath.Join(dir, "cursors"), filepath.Join(dir, "cursors", "watch-"+green.ID)} {
			os.Chmod(name, 0o555)
			defer os.Chmod(name, 0o777)
		}
		asUser(t, func() {
			box, err := Open(w.ctx, Options{Dir: w.dir, Environ: w.env, Now: func() time.Time { return w.at }, Report: func(s string) { notes = append(notes, s) }})
			if err != nil {
				t.Error(err)
				return
			}
			defer box.Close()
			if err := box.Watch(ctx, green, func(e Event) error {
				got = append(got, e.Summary)
				if len(got) == len(want) {
					cancel()
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
		if !slices.Equal(got, want) || len(notes) != 1 || !strings.Contains(notes[0], note) {
			t.Errorf("%s: %q, noted %q", what, got, notes)
		}
	}
	look("one", "it goes on from now, and so will the next watch")
	w.beginWatch(green)
	look("two", "the next watch goes on from the last place that was noted", "to GreenCastle: two")
	look("three", "the next watch goes on from the last place that was noted", "to GreenCastle: two", "to GreenCastle: three")
}

// TestReadMessageUnmarked: where nothing can be written, here because somebody else has the
// lock, a message can still be read.
func TestReadMessageUnmarked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	id := w.send(blue, "GreenCastle")
	var notes []string
	box, err := Open(w.ctx, Options{Dir: w.dir, Environ: w.env, LockWait: 20 * time.Millisecond, Report: func(s string) { notes = append(notes, s) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(box.Close)
	lock, err := os.Open(filepath.Join(w.dir, ".git", "agentmail", "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	m, err := box.ReadMessage(w.ctx, green, id, true, false)
	if err != nil || m.BodyMD == nil || *m.BodyMD != "text" || !m.Receipts[0].ReadTS.Time().IsZero() || len(notes) != 1 || !strings.Contains(notes[0], "stays unread") {
		t.Errorf("%+v, %v, %q", m, err, notes)
	}
	_, err = box.ReadMessage(w.ctx, green, id, true, true)
	wantCode(t, err, mail.Busy)
}
