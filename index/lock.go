package index

import (
	"context"
	"math/rand/v2"
	"strconv"

	"github.com/gofrs/flock"
)

// Lock waits for the right to change the index whose lock file this is. The file is
// never deleted while others may wait for it. Its holder is quick, but for a rebuild.
func Lock(ctx context.Context, file string) (release func(), err error) {
	fl := flock.New(file, flock.SetPermissions(0o666))
	if ok, err := fl.TryLock(); ok {
		return func() { fl.Unlock() }, nil
	} else if err != nil {
		return nil, err
	}
	// The kernel lets those who wait go on in turn and wakes no other; many who would look
	// again and again would keep the one from running that they wait for.
	got := make(chan error, 1)
	go func() { got <- fl.Lock() }()
	select {
	case err = <-got:
	case <-ctx.Done():
		go func() { // it comes when nobody waits for it any more
			if <-got == nil {
				fl.Unlock()
			}
		}()
		err = ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	return func() { fl.Unlock() }, nil
}

// Turn waits until fewer than n others, in all processes, hold a turn at the same base of file
// names. Who came first goes first. Where no file can be locked everybody has a turn.
func Turn(ctx context.Context, base string, n int) (release func(), err error) {
	next, err := Lock(ctx, base) // of whoever is next
	if err == nil {
		defer next()
		err = ctx.Err()
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return func() {}, nil
	}
	name := func(i int) string { return base + strconv.Itoa(i) }
	for i := range n {
		fl := flock.New(name(i), flock.SetPermissions(0o666))
		if ok, err := fl.TryLock(); ok || err != nil {
			return func() { fl.Unlock() }, nil
		}
	}
	return Lock(ctx, name(rand.IntN(n)))
}
