//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// outside returns where `make conformance` has put the programs of others, and its node.
func outside(t *testing.T, script string) (node, path string) {
	t.Helper()
	dir := os.Getenv("AGENTMAIL_CONFORMANCE")
	if dir == "" {
		t.Skip("only in make conformance")
	}
	node, path = filepath.Join(dir, "node_modules", "node", "bin", "node"), filepath.Join(dir, "node_modules", script)
	for _, file := range []string{node, path} {
		if _, err := os.Stat(file); err != nil {
			t.Skipf("not installed: %v", err)
		}
	}
	return node, path
}

var summary = regexp.MustCompile(`(?s)=== SUMMARY ===.*`)

// TestConformance: the protocol's own suite, for both ways of speaking it, finds nothing
// but what the library cannot do.
func TestConformance(t *testing.T) {
	node, suite := outside(t, "@modelcontextprotocol/conformance/dist/index.js")
	baseline, err := filepath.Abs("../../testdata/mcp/conformance.yml")
	if err != nil {
		t.Fatal(err)
	}
	dir, env := repository(t)
	s := serveIn(t, dir, append(env, "AGENTMAIL_CONFORMANCE_FIXTURES=1"), "--tools", "full")
	for _, args := range [][]string{{"--requirements", "2025-11-25"}, {"--requirements", "2026-07-28", "--expected-failures", baseline}} {
		cmd := exec.Command(node, append([]string{suite, "server", "--url", s.url + "/mcp", "-o", filepath.Join(t.TempDir(), "results")}, args...)...)
		out, err := cmd.CombinedOutput()
		if found := summary.Find(out); err == nil && found != nil {
			t.Logf("%s\n%s", args[1], found)
			continue
		}
		t.Errorf("%s: %v\n%s", args[1], err, out)
	}
}

// TestInspector: another program that knows the protocol understands what is listed.
func TestInspector(t *testing.T) {
	node, inspector := outside(t, ".bin/mcp-inspector")
	dir, env := repository(t)
	s := serveIn(t, dir, env, "--tools", "full")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range [][]string{{s.url + "/mcp", "--transport", "http"}, {exe, "mcp", "-e", "AGENTMAIL_TEST_PROGRAM=1"}} {
		for _, method := range []string{"tools/list", "resources/list", "resources/templates/list", "prompts/list"} {
			args := append(append([]string{inspector, "--cli"}, target...), "--method", method)
			if method == "tools/list" {
				args = append(args, "--strict") // it looks into schemas
			}
			cmd := exec.Command(node, args...)
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s %s: %v\n%s", target[0], method, err, out)
			}
		}
	}
}
