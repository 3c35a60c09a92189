package index

import (
	"context"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestTurn: no more than so many at once, and nobody is left out.
func TestTurn(t *testing.T) {
	base := filepath.Join(t.TempDir(), "turn")
	var now, most, done atomic.Int32
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			release, err := Turn(context.Background(), base, 3)
			if err != nil {
				t.Error(err)
				return
			}
			n := now.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			time.Sleep(2 * time.Millisecond)
			now.Add(-1)
			release()
			done.Add(1)
		})
	}
	wg.Wait()
	if most.Load() != 3 || done.Load() != 40 {
		t.Errorf("%d at once, %d in all; want 3 and 40", most.Load(), done.Load())
	}
}

// TestTurnEnded: whose time is over gets an error, not a turn that is none, and holds nothing.
func TestTurnEnded(t *testing.T) {
	base := filepath.Join(t.TempDir(), "turn")
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if release, err := Turn(ended, base, 1); err == nil || release != nil {
		t.Errorf("a turn after the end: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	release, err := Turn(ctx, base, 1)
	if err != nil {
		t.Fatal(err)
	}
	release()
}

// TestTurnGivenUp: who gives up waiting leaves its place to the next.
func TestTurnGivenUp(t *testing.T) {
	base := filepath.Join(t.TempDir(), "turn")
	release, err := Turn(context.Background(), base, 1)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // one waits for the turn, the other for its place in the queue
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
		if _, err := Turn(ctx, base, 1); err != context.DeadlineExceeded {
			t.Errorf("no turn: %v", err)
		}
		cancel()
	}
	release()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if release, err = Turn(ctx, base, 1); err != nil {
		t.Fatal(err)
	}
	release()
	if _, err := Turn(ctx, filepath.Join(base, "not", "there"), 1); err != nil {
		t.Errorf("where nothing can be locked: %v", err)
	}
}
