//go:build linux

package cli_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// inNamespaces says to a test that it is in a network namespace of its own, and may make more.
const inNamespaces = "AGENTMAIL_NAMESPACES"

// TestMailCrowdNamespaces: the crowd once more, each clone a host in a network namespace, whose
// cable is pulled. The test runs itself in one where it may do that without being root.
func TestMailCrowdNamespaces(t *testing.T) {
	if !soak() {
		t.Skip("only with AGENTMAIL_SOAK")
	}
	if out, err := exec.Command("unshare", "-Urn", "ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Skipf("no network namespaces here: %v: %s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("unshare", "-Urn", self, "-test.run=^TestMailCrowd$/^16$", "-test.v", "-test.timeout=20m")
	cmd.Env = append(os.Environ(), inNamespaces+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "cables pulled") {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

// host puts what runs in a clone into a network of its own, with a cable to that of the test.
func (c *crowdClone) host(i int) (address string) {
	c.t.Helper()
	ip := func(args ...string) {
		c.t.Helper()
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			c.t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	ip("ip", "link", "set", "lo", "up")
	// A namespace lives as long as somebody is in it, who says so when he is.
	holder := exec.Command("unshare", "-n", "sh", "-c", "echo; exec sleep 3600")
	holder.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := holder.StdoutPipe()
	if err == nil {
		err = holder.Start()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		holder.Process.Kill()
		holder.Wait()
	})
	if _, err := out.Read(make([]byte, 1)); err != nil {
		c.t.Fatal(err)
	}
	pid, cable := fmt.Sprint(holder.Process.Pid), fmt.Sprint("cable", i)
	net := fmt.Sprintf("10.77.%d.", i)
	c.enter = []string{"nsenter", "-t", pid, "-n"}
	ip("ip", "link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", pid)
	ip("ip", "addr", "add", net+"1/30", "dev", cable)
	ip("ip", "link", "set", cable, "up")
	ip(append(c.enter, "ip", "addr", "add", net+"2/30", "dev", "eth0")...)
	ip(append(c.enter, "ip", "link", "set", "eth0", "up")...)
	ip(append(c.enter, "ip", "link", "set", "lo", "up")...)
	c.cable = func(up bool) {
		state := "up"
		if !up {
			state = "down"
			c.tally("cables pulled")
		}
		ip("ip", "link", "set", cable, state)
	}
	return net + "1:0"
}
