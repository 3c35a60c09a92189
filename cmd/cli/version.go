package cli

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// Version is set when a release is built, by -ldflags "-X".
var Version string

func newVersion(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "print the version, and that of git",
		Example: `  git agentmail version --json`,
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.version(cmd.Context()) },
	}
}

func (a *app) version(ctx context.Context) error {
	v := struct {
		Version string `json:"version"`
		Git     string `json:"git"`
		Go      string `json:"go"`
		System  string `json:"system"`
		MCP     string `json:"mcp,omitempty"` // the version of the second program
	}{Version: ownVersion(), Git: "not found", Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH}
	cmd := exec.CommandContext(ctx, "git", "version")
	cmd.Env = a.std.Env
	if out, err := cmd.Output(); err == nil {
		v.Git = strings.TrimPrefix(strings.TrimSpace(string(out)), "git version ")
	}
	if v.MCP = a.secondVersion(ctx); v.MCP != "" && v.MCP != v.Version {
		a.notef("%s is of another version, %s; this installs both: %s", mcpProgram, v.MCP, installBoth)
	}
	return a.answer(v, func(w *strings.Builder) {
		fmt.Fprintf(w, "git-agentmail %s\ngit %s\n%s %s\n", v.Version, escape(v.Git), v.Go, v.System)
	})
}

func ownVersion() string {
	if Version != "" {
		return Version
	}
	return builtFrom()
}

// builtFrom names the version that the go command built.
func builtFrom() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	rev, changed := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			rev = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			changed = "+changes"
		}
	}
	if rev == "" {
		return "devel"
	}
	return "devel-" + rev + changed
}
