package gitstore

import (
	"os"
	"runtime"
	"syscall"
	"testing"
)

// TestTipsForbidden: who may not read the tips must not take them for none, or a ref that
// was set back would be believed.
func TestTipsForbidden(t *testing.T) {
	env := testEnv(t)
	s := open(t, env, newRepo(t, env), Options{})
	put(t, s, "m/1", "x")
	if err := os.Chmod(s.repo.dir(tipsFile), 0); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 { // this thread alone gives up root's right to every file
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := syscall.Setfsuid(nobody); err != nil {
			t.Fatal(err)
		}
		defer syscall.Setfsuid(0)
	}
	if tips, err := s.repo.readTips(); KindOf(err) != ReadOnly {
		t.Errorf("%v, %v", tips, err)
	}
}
