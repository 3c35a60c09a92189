package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// letters starts some senders, of each many messages to one agent, and returns a
// function that says whether they are through, and the ids once they are.
func (y *yard) letters(to string, senders, each int) (through func() bool, ids func() []string) {
	var mu sync.Mutex
	var sent []string
	var wg sync.WaitGroup
	var left atomic.Int32
	left.Store(int32(senders))
	for i := range senders {
		wg.Go(func() {
			defer left.Add(-1)
			for n := range each {
				out, errs, err := y.ask("send", "--as", y.agents[i], "--to", to, "-s", fmt.Sprintf("letter %d of %d", n, i), "-m", "text")
				if err != nil {
					y.t.Errorf("send: %v: %s", err, errs)
				}
				mu.Lock()
				sent = append(sent, strings.TrimSpace(out))
				mu.Unlock()
			}
		})
	}
	return func() bool { return left.Load() == 0 }, func() []string {
		wg.Wait()
		return sent
	}
}

// shown counts the messages in lines of JSON: lists as wait prints them, or events as
// watch does.
func shown(t *testing.T, out string, into map[string]int) (n int) {
	t.Helper()
	for line := range strings.Lines(out) {
		var rows []struct{ ID string }
		var event struct{ Message string }
		if json.Unmarshal([]byte(line), &rows) != nil {
			if err := json.Unmarshal([]byte(line), &event); err != nil {
				t.Errorf("%v: %q", err, line)
			}
			rows = append(rows, struct{ ID string }{event.Message})
		}
		for _, r := range rows {
			into[r.ID]++
			n++
		}
	}
	return n
}

// TestWaitOnce: four send while one waits again and again, each time in a new process.
// It is shown every message, and none twice.
func TestWaitOnce(t *testing.T) {
	each := 12 // of four: tens of waits, most of which come while somebody sends
	if soak() {
		each = 200
	}
	y := newYard(t, 20)
	me := y.agents[5]
	y.must("wait", "--as", me, "--timeout", "0") // from here on
	through, ids := y.letters(me, 4, each)
	got, waits := map[string]int{}, 0
	for {
		last := through() // before the look
		limit := "2s"
		if last {
			limit = "0"
		}
		if shown(t, y.must("wait", "--as", me, "--timeout", limit, "--json"), got) == 0 && last {
			break
		}
		waits++
	}
	for _, id := range ids() {
		if got[id] != 1 {
			t.Errorf("message %q was shown %d times", id, got[id])
		}
		delete(got, id)
	}
	if len(got) > 0 {
		t.Errorf("nobody sent %v", got)
	}
	t.Logf("%d waits", waits)
}

// TestWaitKilled kills whoever waits or watches at random moments. It is shown every
// message, and no more of them twice than it was killed.
func TestWaitKilled(t *testing.T) {
	each := 15 // of two, meanwhile it is killed several times
	if soak() {
		each = 200
	}
	for _, verb := range []string{"wait", "watch"} {
		t.Run(verb, func(t *testing.T) {
			y := newYard(t, 20)
			y.t = t
			me := y.agents[5]
			// The first one says where to begin.
			first := y.cmd("git-agentmail", verb, "--as", me)
			if err := first.Start(); err != nil {
				t.Fatal(err)
			}
			cursor := func() bool {
				files, err := y.cmd("sh", "-c", "ls .git/agentmail/cursors").Output()
				return err == nil && strings.Contains(string(files), verb+"-")
			}
			for end := time.Now().Add(30 * time.Second); !cursor(); time.Sleep(10 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal("it does not begin")
				}
			}
			first.Process.Kill()
			first.Wait()

			through, ids := y.letters(me, 2, each)
			got, kills, most := map[string]int{}, 0, 0
			round := func(limit time.Duration) {
				cmd := y.cmd("git-agentmail", verb, "--as", me, "--json")
				var out bytes.Buffer
				cmd.Stdout = &out
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(limit)
				cmd.Process.Kill()
				if cmd.Wait() != nil {
					kills++
				}
				most = max(most, shown(t, out.String(), got))
			}
			for !through() {
				round(time.Duration(rand.Int63n(int64(150 * time.Millisecond))))
			}
			all := ids()
			complete := func() bool {
				for _, id := range all {
					if got[id] == 0 {
						return false
					}
				}
				return true
			}
			for end := time.Now().Add(30 * time.Second); !complete() && time.Now().Before(end); {
				round(500 * time.Millisecond)
			}
			again := 0
			for _, id := range all {
				if got[id] == 0 {
					t.Errorf("message %q was never shown", id)
				}
				again += max(0, got[id]-1)
			}
			// A watch notes each event by itself, a wait all that it has shown.
			if verb == "watch" && again > kills {
				t.Errorf("%d were shown again by %d that were killed", again, kills)
			}
			t.Logf("%d killed, %d of %d messages shown again, at most %d at once", kills, again, len(all), most)
		})
	}
}
