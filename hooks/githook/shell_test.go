package githook

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestBlockInShells runs the pre-push block, the most delicate one, in every
// shell of this machine under the options that a #! line may set.
func TestBlockInShells(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "it's")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "git-agentmail")
	if err := os.WriteFile(binary, []byte(recorder), 0o755); err != nil {
		t.Fatal(err)
	}
	// After the block: status, arguments, directory, left-over variables, input.
	const user = `echo "$? $# [$1] [$2] $(pwd)"
set | grep '^_gam' || :
cat
`
	script := filepath.Join(dir, "hook")
	block := block{event: "pre-push", orig: "00"}.render(binary)
	if err := os.WriteFile(script, concat([]byte(shebang), block, []byte(user)), 0o755); err != nil {
		t.Fatal(err)
	}
	inputs := map[string]string{
		"nothing":    "",
		"one line":   "a b c d\n",
		"lines":      "a $x `y` $(z) \\n\nb \\\nc 'd' \"e\" * ~\n_GAM_EOF_\n",
		"other bits": "\xff\xfe caf\xe9\n\t x \n",
		"many":       strings.Repeat("refs/heads/a 0123456789 refs/heads/b 0123456789\n", 5000),
	}
	locale := []string{"C", "C.UTF-8"}
	shells := [][]string{{"sh"}, {"dash"}, {"bash"}, {"bash", "--posix"}, {"busybox", "ash"}, {"zsh"}, {"mksh"}, {"ksh93"}, {"ksh"}, {"posh"}}
	for n, shell := range shells {
		path, err := exec.LookPath(shell[0])
		if err != nil {
			t.Logf("%s is not installed: the block was not tried in it", shell[0])
			continue
		}
		for i, options := range []string{"", "-e", "-eu", "-euf", "-C"} {
			for name, in := range inputs {
				if name == "many" && options != "-eu" {
					continue
				}
				args := append([]string{}, shell[1:]...)
				if options != "" {
					args = append(args, options)
				}
				cmd := exec.Command(path, append(args, script, "a b", "*")...)
				cmd.Dir = dir
				// The guard is on the PATH, or it is where it was at the installation.
				search := "/usr/bin:/bin"
				if (n+i)%2 == 0 {
					search = dir + ":" + search
				}
				cmd.Env = append(os.Environ(), "LC_ALL="+locale[i%2], "PATH="+search)
				cmd.Stdin = strings.NewReader(in)
				var out bytes.Buffer
				cmd.Stdout, cmd.Stderr = &out, &out
				err := cmd.Run()
				want := "0 2 [a b] [*] " + dir + "\n" + in
				if err != nil || out.String() != want {
					t.Errorf("%q %s, %s: %v\n got %.300q\nwant %.300q", shell, options, name, err, out.String(), want)
				}
				if got, _ := os.ReadFile(filepath.Join(dir, "stdin.pre-push")); string(got) != in {
					t.Errorf("%q %s, %s: the guard read %.300q", shell, options, name, got)
				}
			}
		}
	}
	want := "guard [hook] [pre-push] [a b] [*]\n"
	log, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil || strings.ReplaceAll(string(log), want, "") != "" {
		t.Errorf("the guard was called as %.300q (%v), want %q", log, err, want)
	}
}

// TestBlockStatus checks what each block does with the status of the guard.
func TestBlockStatus(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "git-agentmail")
	t.Setenv("PATH", "/usr/bin:/bin")
	for _, event := range (Site{}).Events() {
		for _, tt := range []struct{ guard, check, after string }{
			{"exit 0", "0 user", "0 user"},
			{"exit 3", "3 ", "0 user"},
			{"exit 8", "8 ", "0 user"},
			{"exit 127", "0 agentmail: guard not run: git-agentmail not found\nuser", "0 user"},
			{"exit 2", "0 agentmail: guard not run: it ended with status 2\nuser", "0 user"},
			{"kill -9 $$", "0 agentmail: guard not run: it ended with status 137\nuser", "0 user"},
			{"kill -1 $$", "0 agentmail: guard not run: it ended with status 129\nuser", "0 user"},
		} {
			want := tt.check
			switch {
			case strings.HasPrefix(event, "post-"):
				want = tt.after
			case event == "pre-push" && strings.Contains(want, "status "): // what leaves the house does not
				want = regexp.MustCompile(`(?s).*status (\d+).*`).ReplaceAllString(want, "$1 ")
			}
			for _, options := range []string{"-", "-eu"} {
				if err := os.WriteFile(binary, []byte("#!/bin/sh\n"+tt.guard+"\n"), 0o755); err != nil {
					t.Fatal(err)
				}
				script := filepath.Join(dir, event)
				text := concat([]byte(shebang), block{event: event}.render(binary), []byte("echo user\n"))
				if err := os.WriteFile(script, text, 0o755); err != nil {
					t.Fatal(err)
				}
				// The shell may have a word of its own about a killed program.
				out, _ := exec.Command("sh", "-c", `r=$(sh "$1" "$2" 2>&1 </dev/null); echo "$? $r"`, "sh", options, script).Output()
				got := strings.TrimSuffix(strings.NewReplacer("Killed\n", "", "Hangup\n", "").Replace(string(out)), "\n")
				if got != want {
					t.Errorf("%s, %s, guard %q: got %q, want %q", event, options, tt.guard, got, want)
				}
			}
		}
	}
}
