package gitstore

import (
	"context"
	"os"
	"path/filepath"
	"strings"
)

// FromHook is Find for a process that git itself started as a hook of a commit,
// merge or push. There git has found the repository and checked that it may be
// used, runs us at the root of the work tree, and says in the environment where
// the git directory is if that is not .git; so the parts can be read from where
// gitrepository-layout(5) puts them, which saves every commit a process. What is
// out of the ordinary is left to Find.
func FromHook(ctx context.Context, dir string, environ []string) (*Repo, error) {
	if r, ok := fromHook(dir, environ); ok {
		return r, nil
	}
	return Find(ctx, dir, environ)
}

func fromHook(dir string, environ []string) (*Repo, bool) {
	env := map[string]string{}
	for _, kv := range environ {
		if k, v, ok := strings.Cut(kv, "="); ok {
			env[k] = v
		}
	}
	for _, name := range []string{"GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE", "GIT_QUARANTINE_PATH"} {
		if env[name] != "" {
			return nil, false
		}
	}
	r := &Repo{Dir: dir, TopLevel: dir, GitDir: env["GIT_DIR"], given: environ}
	if r.GitDir == "" {
		r.GitDir = ".git"
	}
	if !filepath.IsAbs(r.GitDir) {
		r.GitDir = filepath.Join(dir, r.GitDir)
	}
	if st, err := os.Stat(r.GitDir); err != nil || !st.IsDir() {
		return nil, false // a file that points elsewhere, or a link to one
	}
	if real, err := filepath.EvalSymlinks(r.GitDir); err != nil || real != r.GitDir {
		return nil, false
	}
	r.CommonDir = r.GitDir
	if data, err := os.ReadFile(filepath.Join(r.GitDir, "commondir")); err == nil {
		r.CommonDir = strings.TrimSuffix(string(data), "\n")
		if r.CommonDir == "" {
			return nil, false
		}
		if !filepath.IsAbs(r.CommonDir) {
			r.CommonDir = filepath.Join(r.GitDir, r.CommonDir)
		}
	}
	r.Objects = filepath.Join(r.CommonDir, "objects")
	if st, err := os.Stat(r.Objects); err != nil || !st.IsDir() {
		return nil, false
	}
	local, ok := r.localConfig()
	if _, elsewhere := local["core.worktree"]; !ok || elsewhere {
		return nil, false
	}
	if bare, set := local["core.bare"]; set && bare != "false" { // there are many words for true
		return nil, false
	}
	for key := range local {
		if strings.HasPrefix(key, "extensions.") && key != "extensions.worktreeconfig" {
			return nil, false
		}
	}
	r.localOnce.Do(func() { r.local = local })
	r.env = ownEnv(environ, r.CommonDir)
	return r, true
}

// localConfig reads the repository's own configuration file, without what it
// includes, as `git config --local` does: keys in lower case, the last value of
// each, subsections left out. It knows only the plain form that git itself
// writes; ok is false for anything that needs more (quotes, escapes, comments
// behind a value, continued lines), and then git is asked. A library that reads
// all of it would cost every hook a third of a millisecond in initialisation.
func (r *Repo) localConfig() (values map[string]string, ok bool) {
	data, err := os.ReadFile(filepath.Join(r.CommonDir, "config"))
	if err != nil {
		return nil, false
	}
	if strings.HasPrefix(string(data), "\ufeff") {
		return nil, false
	}
	const space = " \t\r" // what git takes for it; Unicode has more
	values = map[string]string{}
	const sectionName = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-."
	section := ""
	for line := range strings.SplitSeq(string(data), "\n") {
		line = strings.Trim(line, space)
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case strings.HasSuffix(line, "\\"):
			return nil, false
		case line[0] == '[':
			name, plain := strings.CutSuffix(line[1:], "]")
			name, sub, quoted := strings.Cut(name, ` "`)
			if quoted {
				sub, quoted = strings.CutSuffix(sub, `"`)
				plain = plain && quoted && !strings.ContainsAny(sub, `"\`)
			}
			if !plain || name == "" || strings.Trim(name, sectionName) != "" {
				return nil, false
			}
			if section = strings.ToLower(name); quoted || strings.Contains(section, ".") {
				section = "." // a subsection
			}
		default:
			key, value, _ := strings.Cut(line, "=")
			key, value = strings.ToLower(strings.Trim(key, space)), strings.Trim(value, space)
			if section == "" || strings.ContainsAny(value, "\"\\#;\t\r") || key == "" || strings.Trim(key, sectionName) != "" || strings.Contains(key, ".") ||
				!('a' <= key[0] && key[0] <= 'z') {
				return nil, false
			}
			if section != "." {
				values[section+"."+key] = value
			}
		}
	}
	return values, true
}
