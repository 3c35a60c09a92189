package gitstore

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
)

// TestState: several processes count in one file, and none of their changes is lost.
func TestState(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	dir := newRepo(t, env)
	first := open(t, env, dir, Options{})
	if data, err := first.State("n"); data != nil || err != nil {
		t.Errorf("before anything: %q, %v", data, err)
	}
	if ok, err := first.Exists(); ok || err != nil {
		t.Errorf("a look made a mailbox: %v, %v", ok, err)
	}
	var all sync.WaitGroup
	for range 8 {
		s := open(t, env, dir, Options{})
		all.Go(func() {
			for range 10 {
				if err := s.ChangeState(t.Context(), "n", func(old []byte) ([]byte, error) {
					n, _ := strconv.Atoi(string(old))
					return strconv.AppendInt(nil, int64(n+1), 10), nil
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if data, err := first.State("n"); string(data) != "80" || err != nil {
		t.Errorf("counted %q, %v", data, err)
	}
	refused := fmt.Errorf("no")
	if err := first.ChangeState(t.Context(), "n", func([]byte) ([]byte, error) { return nil, refused }); err != refused {
		t.Errorf("got %v", err)
	}
	if data, _ := first.State("n"); string(data) != "80" {
		t.Errorf("a change that failed left %q", data)
	}
}
