//go:build unix

package gitstore

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFromHookIsFind runs as a hook in every kind of repository: what is read
// without git must be what git says.
func TestFromHookIsFind(t *testing.T) {
	fast := 0
	eachKind(t, func(t *testing.T, env []string, root string, k kind) {
		for _, dir := range []string{k.write, k.read} {
			top, err := askWhere(context.Background(), dir, env)
			if err != nil {
				t.Fatal(err)
			}
			if top.TopLevel == "" {
				continue // hooks that we install need a work tree
			}
			for _, env := range [][]string{env, append(env[:len(env):len(env)], "GIT_DIR="+top.GitDir), k.env} {
				got, ok := fromHook(top.TopLevel, env)
				if !ok || env == nil {
					continue
				}
				fast++
				want, err := askWhere(context.Background(), top.TopLevel, env)
				if err != nil {
					t.Fatal(err)
				}
				if got.GitDir != want.GitDir || got.CommonDir != want.CommonDir || got.Objects != want.Objects ||
					got.TopLevel != want.TopLevel || got.Bare != want.Bare || strings.Join(got.env, "\n") != strings.Join(want.env, "\n") {
					t.Errorf("read by hand %+v, by git %+v", got, want)
				}
			}
		}
	})
	if fast < 20 {
		t.Errorf("only %d repositories were read without git", fast)
	}
}

// TestLocalConfig compares what is read by hand with what git reads, for files
// that people and tools write.
func TestLocalConfig(t *testing.T) {
	t.Parallel()
	const base = "[core]\n\trepositoryformatversion = 0\n"
	for _, c := range []struct {
		name, text string
		plain      bool
	}{
		{"as git writes it", base + "[agentmail]\n\tguard = warn\n[remote \"o\"]\n\turl = /x\n[agentmail]\n\tguard = off\n", true},
		{"no value", base + "[agentmail]\n\tguard\n", true},
		{"empty value", base + "[agentmail]\n\tguard =\n", true},
		{"case", base + "[AgentMail]\n\tGuard = Warn\n", true},
		{"CRLF", strings.ReplaceAll(base+"[agentmail]\n\tguard = warn\n", "\n", "\r\n"), true},
		{"comment", base + "# [agentmail]\n; x\n[agentmail]\nguard=warn\n", true},
		{"comment behind", base + "[agentmail]\n\tguard = warn ; x\n", false},
		{"comment behind a section", base + "[agentmail] # x\n\tguard = warn\n", false},
		{"section and key in one line", base + "[agentmail] guard = warn\n", false},
		{"a bracket at the end of that", base + "[agentmail] guard = off ; see [1]\n", false},
		{"quotes", base + "[agentmail]\n\tguard = \"warn\"\n", false},
		{"continued", base + "[agentmail]\n\tguard = wa\\\nrn\n", false},
		{"tab inside", base + "[agentmail]\n\tguard = a\tb\n", false},
		{"old subsection", base + "[agentmail.x]\n\tguard = warn\n", true},
		{"subsection", base + "[agentmail \"x]\"]\n\tguard = warn\n", true},
		{"byte order mark", "\ufeff[agentmail]\n\tguard = warn\n" + base, false},
		{"form feed", base + "[agentmail]\n\tguard = \fwarn\f\n", true},
		{"no-break space", base + "[agentmail]\n\tguard = \u00a0warn\u00a0\n", true},
		{"included", base + "[agentmail]\n\tguard = block\n[include]\n\tpath = more\n", true},
		{"included, quoted", base + "[agentmail]\n\tguard = \"block\"\n[include]\n\tpath = more\n", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			env := testEnv(t)
			dir := newRepo(t, env)
			writeFile(t, filepath.Join(dir, ".git", "more"), "[agentmail]\n\tguard = off\n")
			if err := os.WriteFile(filepath.Join(dir, ".git", "config"), []byte(c.text), 0o666); err != nil {
				t.Fatal(err)
			}
			repo, err := Find(context.Background(), dir, env)
			if err != nil {
				t.Fatal(err)
			}
			values, plain := repo.localConfig()
			if plain != c.plain {
				t.Errorf("read by hand: %v, want %v (%q)", plain, c.plain, values)
			}
			want := map[string]string{}
			for f := range strings.SplitSeq(git(t, env, dir, "config", "--local", "--no-includes", "-z", "--list"), "\x00") {
				key, value, _ := strings.Cut(f, "\n")
				want[key] = value
			}
			for _, key := range []string{"agentmail.guard", "core.repositoryformatversion", "agentmail.none"} {
				got, ok, err := repo.Local(context.Background(), key)
				if w, wok := want[key]; err != nil || got != w || ok != wok {
					t.Errorf("%s = %q, %v, %v; git says %q, %v", key, got, ok, err, w, wok)
				}
			}
		})
	}
}
