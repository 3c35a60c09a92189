package index

import (
	"context"
	"time"

	"github.com/gofrs/flock"
)

// Lock waits for the right to change the index whose lock file this is. The file is
// never deleted while others may wait for it. Its holder is quick, but for a rebuild.
func Lock(ctx context.Context, file string) (release func(), err error) {
	fl := flock.New(file, flock.SetPermissions(0o666))
	if _, err := fl.TryLockContext(ctx, 5*time.Millisecond); err != nil {
		return nil, err
	}
	return func() { fl.Unlock() }, nil
}
