package mailbox

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Ancestors returns this process and its ancestors, nearest first, without
// process 1.
func Ancestors() []Process {
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	ns, _ := os.Readlink("/proc/self/ns/pid")
	var list []Process
	for pid := os.Getpid(); pid > 1 && len(list) < 64; {
		p, parent, ok := process(pid)
		if !ok {
			break
		}
		p.Boot, p.Namespace = strings.TrimSpace(string(boot)), ns
		list = append(list, p)
		pid = parent
	}
	return list
}

func process(pid int) (p Process, parent int, ok bool) {
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return p, 0, false
	}
	// pid (name) state ppid ...: the name may itself hold blanks and brackets.
	open, close := strings.IndexByte(string(stat), '('), strings.LastIndexByte(string(stat), ')')
	if open < 0 || close < open {
		return p, 0, false
	}
	f := strings.Fields(string(stat[close+1:]))
	if len(f) < 20 {
		return p, 0, false
	}
	parent, _ = strconv.Atoi(f[1])
	name := string(stat[open+1 : close])
	if interpreters[name] {
		args, _ := os.ReadFile(dir + "/cmdline")
		name = scriptName(name, strings.Split(string(args), "\x00"))
	}
	return Process{PID: pid, Start: f[19], Name: name}, parent, true
}

// interpreters are programs that say nothing of what they run.
var interpreters = map[string]bool{"node": true, "bun": true, "deno": true, "python": true, "python3": true, "MainThread": true}

// scriptName names what an interpreter runs.
func scriptName(comm string, args []string) string {
	for _, a := range args[min(1, len(args)):] {
		if strings.HasPrefix(a, "-") || a == "" {
			continue
		}
		for name, mark := range map[string]string{"claude": "claude-code", "codex": "@openai/codex", "gemini": "gemini-cli", "copilot": "@github/copilot", "opencode": "opencode-ai", "cline": "/cline/"} {
			if strings.Contains(a, mark) {
				return name
			}
		}
		base := filepath.Base(a)
		return strings.TrimSuffix(base, filepath.Ext(base))
	}
	return comm
}
