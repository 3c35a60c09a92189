package gitstore

import (
	"context"
	"strings"
	"testing"
)

// TestReadAfterPanic: who panics while it reads, as a tool of a server may, leaves nobody the
// answers that were for it.
func TestReadAfterPanic(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	s := open(t, env, newRepo(t, env), Options{})
	for _, name := range []string{"f/a", "f/b", "f/c"} {
		put(t, s, name, strings.Repeat(name, 2000))
	}
	s.Close()
	sn, err := s.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	files, err := sn.List(context.Background(), "f/", nil)
	if err != nil || len(files) != 3 {
		t.Fatal(files, err)
	}
	func() {
		defer func() { recover() }()
		sn.Read(context.Background(), files, func(File) error { panic("a bug") })
	}()
	for _, f := range files {
		if err := sn.Read(context.Background(), []File{f}, func(f File) error {
			if string(f.Data) != strings.Repeat(f.Path, 2000) {
				t.Errorf("%s holds %.20q", f.Path, f.Data)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
}
