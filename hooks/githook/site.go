package githook

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"

	"github.com/git-agentmail/git-agentmail/mail"
)

// Site is where git would look for hooks, as asked of git from one worktree.
type Site struct {
	HooksDir  string // absolute: what `git rev-parse --git-path hooks` gives from this worktree
	HooksPath string // value of core.hooksPath, empty if unset
	Scope     string // scope of core.hooksPath: local, worktree, global, system, command; empty if unset
	Origin    string // file the value comes from, for messages
	CommonDir string // absolute common git directory
	TopLevel  string // work tree root; empty in a bare repository
	Bare      bool
	Strict    bool // also veto what git commits without asking pre-commit

	// Config holds the commands of our hooks in git's configuration by event, and
	// RunsConfig says whether the git in use runs such hooks. See [ConfigHook].
	Config     map[string]string
	RunsConfig bool
}

// place is a hooks directory and what may be done in it.
type place struct {
	dir     string
	missing bool   // the directory is not there yet
	tracked bool   // git may track what lies here: no hook may be changed, for why
	why     string // see tracked
	note    string // a caveat for every hook written here
}

// place decides about the directory that git uses now. The rules, first that
// applies:
//
//  1. core.hooksPath of global or system scope serves every repository of the
//     user or the machine; of command scope it is gone with the command.
//  2. Inside the common git directory all is this repository's own.
//  3. Inside the work tree only a directory that ignores itself (a .gitignore
//     with the line *, as husky makes it) may be written to. What git may track
//     is the user's to change and to commit.
//  4. Any other directory may serve other repositories.
//
// Links are followed first: .git/hooks is often one into the work tree.
func (s Site) place() (place, error) {
	p := place{dir: s.HooksDir}
	dir := strings.TrimPrefix(s.Origin, "file:")
	switch {
	case s.Scope == "global" || s.Scope == "system":
		return p, mail.Errorf(mail.Denied, "core.hooksPath is %q in the %s configuration (%q): hooks there would run in every repository; nothing was written",
			s.HooksPath, s.Scope, dir).
			Hint("use this repository's own hooks, and none from there: git config --local core.hooksPath %s", shQuote(s.own()))
	case s.Scope == "command":
		return p, mail.Errorf(mail.Denied, "core.hooksPath is %q for this command only; nothing was written", s.HooksPath).
			Hint("env -u GIT_CONFIG_PARAMETERS -u GIT_CONFIG_COUNT git agentmail hooks install")
	case !filepath.IsAbs(s.HooksDir):
		return p, mail.Errorf(mail.Denied, "core.hooksPath is %q, which is no directory; nothing was written", s.HooksPath).Hint("%s", s.unset())
	}

	switch s.owner(s.HooksDir) {
	case outside:
		if s.Scope == "" {
			return p, mail.Errorf(mail.Denied, "%q leads to %q, outside this repository; nothing was written", s.HooksDir, real(s.HooksDir)).
				Hint("ls -ld %s", shQuote(s.HooksDir))
		}
		return p, mail.Errorf(mail.Denied, "core.hooksPath is %q (%s, in %q), outside this repository; nothing was written", s.HooksPath, s.Scope, dir).
			Hint("use this repository's own hooks, and none from there: %s", s.unset())
	case workTree:
		p.tracked = true
		p.why = "is in the work tree, where git-agentmail changes no file"
		return p, nil
	}
	if s.Scope == "worktree" {
		p.note = "core.hooksPath is set for this worktree only; others have other hooks"
	}

	info, err := os.Stat(s.HooksDir)
	switch {
	case err == nil && !info.IsDir():
		return p, mail.Errorf(mail.Denied, "%q is not a directory; nothing was written", s.HooksDir).Hint("ls -ld %s", shQuote(s.HooksDir))
	case err != nil && !os.IsNotExist(err):
		return p, fileError("read", s.HooksDir, err)
	case err != nil:
		if _, err := os.Lstat(s.HooksDir); err == nil {
			return p, mail.Errorf(mail.Denied, "%q is a link that leads nowhere; nothing was written", s.HooksDir).Hint("ls -ld %s", shQuote(s.HooksDir))
		}
		p.missing = true
		if _, err := os.Stat(filepath.Dir(s.HooksDir)); err != nil {
			return p, mail.Errorf(mail.Denied, "the hooks directory %q does not exist; nothing was written", s.HooksDir).
				Hint("mkdir -p %s", shQuote(s.HooksDir))
		}
	}
	return p, nil
}

// own is the directory that git uses when core.hooksPath is not set.
func (s Site) own() string { return filepath.Join(s.CommonDir, "hooks") }

func (s Site) unset() string {
	if s.Scope == "worktree" {
		return "git config --worktree --unset core.hooksPath"
	}
	return "git config --local --unset core.hooksPath"
}

// owner says whose a directory is.
type owner int

const (
	outside  owner = iota // may serve other repositories
	ours                  // in the common git directory, or ignored by git
	workTree              // git may track what lies there
)

func (s Site) owner(dir string) owner {
	dir = real(dir)
	if within(dir, real(s.CommonDir)) {
		return ours
	}
	roots := []string{s.TopLevel}
	if filepath.Base(s.CommonDir) == ".git" {
		// From a linked worktree core.hooksPath may well lead to the main one.
		roots = append(roots, filepath.Dir(s.CommonDir))
	}
	for _, root := range roots {
		if root != "" && within(dir, real(root)) {
			if ignoresItself(dir) {
				return ours
			}
			return workTree
		}
	}
	return outside
}

// ignoresItself reports whether git tracks nothing in dir because of the
// .gitignore in it.
func ignoresItself(dir string) bool {
	data, err := os.ReadFile(filepath.Join(dir, ".gitignore"))
	if err != nil {
		return false
	}
	all := false
	for line := range bytes.Lines(data) {
		line = bytes.TrimSpace(line)
		if bytes.HasPrefix(line, []byte("!")) {
			return false
		}
		all = all || string(line) == "*"
	}
	return all
}

// within reports whether path lies below dir.
func within(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel) && rel != "."
}

// real follows the links in a path, of which the last parts may not exist.
func real(path string) string {
	if p, err := filepath.EvalSymlinks(path); err == nil {
		return p
	}
	parent := filepath.Dir(path)
	if parent == path {
		return path
	}
	return filepath.Join(real(parent), filepath.Base(path))
}
