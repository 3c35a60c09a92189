package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/git-agentmail/git-agentmail/mail"
)

// play is the session. A step that does not do what it should ends it with an
// error, so the demo is also a test.
func (d *stage) play() error {
	d.tell("A scratch repository in %s", d.dir)
	d.repository()
	if d.err == nil {
		d.session()
	}
	if d.err == nil {
		d.tell("\nThat was all of it. To begin in a repository of yours: git agentmail init")
	}
	return d.err
}

// repository makes repo, and a worktree for each agent.
func (d *stage) repository() {
	if d.from != "" {
		d.act("a clone of %s", d.from)
		d.run("", "git", "clone", "--quiet", "--no-hardlinks", "--", d.from, "repo")
		d.pickFile()
	} else {
		d.act("a repository with one file")
		d.run("", "git", "init", "--quiet", "repo")
		d.append("repo", "package auth")
		d.run("repo", "git", "add", "-A")
		d.run("repo", "git", "commit", "--quiet", "-m", "auth: begin")
	}
	d.act("a worktree for each agent")
	for _, agent := range []string{first, second} {
		d.run("repo", "git", "worktree", "add", "-q", "-b", strings.ToLower(agent), "../"+agent)
	}
}

func (d *stage) session() {
	d.act("set the repository up: once, for all of its worktrees")
	d.mail("repo", "init").contains("pre-commit")

	d.act("two agents say who they are")
	d.mail(first, "register", first, "--program", "claude-code", "--model", "opus").contains(first)
	d.mail(second, "register", second, "--program", "codex", "--model", "gpt-5").contains(second)

	d.act("%s reserves what it works on, and says so", first)
	d.mail(first, "reserve", d.pattern, "--as", first, "--ttl", "1h", "--reason", "token refactor").contains(d.pattern)
	id := d.mail(first, "send", "--as", first, "--to", second, "-s", "Starting auth refactor",
		"--thread", "FEAT-123", "--ack", "-m", "I hold "+d.pattern+" for the next hour.").lastLine()

	d.act("%s finds the message in its inbox, from another worktree", second)
	d.mail(second, "inbox", "--as", second).contains(id, first, "unread")

	d.act("%s changes a reserved file all the same; its commit is refused", second)
	d.append(second, "// by "+second)
	d.run(second, "git", "add", "-A")
	d.commit(second, true).contains(first, d.pattern, d.file, "[conflict]")

	d.act("%s commits to the same file: it holds it", first)
	d.append(first, "// by "+first)
	d.run(first, "git", "add", "-A")
	d.commit(first, false)

	d.act("%s acknowledges the message and waits", second)
	d.mail(second, "ack", id, "--as", second).contains("acknowledged")

	d.act("%s is done and gives the files back", first)
	d.mail(first, "release", "--all", "--as", first).contains(d.pattern)

	d.act("now %s can commit", second)
	d.commit(second, false)

	d.act("a person looks at all of it")
	d.mail("repo", "status").contains(first, second)

	d.act("it is all in the repository, for plain git to read")
	d.run("repo", "git", "log", "--format=%s", "--glob=refs/agentmail/log/*").contains("Starting auth refactor")
}

func (d *stage) mail(in string, args ...string) *outcome {
	return d.do(in, "", false, append([]string{"git", "agentmail"}, args...))
}

func (d *stage) run(in string, args ...string) *outcome { return d.do(in, "", false, args) }

func (d *stage) commit(agent string, refused bool) *outcome {
	return d.do(agent, "AGENTMAIL_AGENT="+agent, refused, []string{"git", "commit", "-m", "wip"})
}

// act says what comes next.
func (d *stage) act(format string, args ...any) { d.tell("\n# "+format, args...) }

func (d *stage) tell(format string, args ...any) {
	if d.err == nil {
		d.err = d.a.print(fmt.Sprintf(format, args...) + "\n")
	}
}

// append adds a line to the file that the session is about.
func (d *stage) append(in, line string) {
	d.tell("%s$ echo %s >> %s", in, shellQuote(line), shellQuote(d.file))
	if d.err != nil {
		return
	}
	name := filepath.Join(d.dir, in, filepath.FromSlash(d.file))
	err := os.MkdirAll(filepath.Dir(name), 0o777)
	if err == nil {
		var f *os.File
		if f, err = os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666); err == nil {
			_, err = io.WriteString(f, line+"\n")
			err = errors.Join(err, f.Close())
		}
	}
	if err != nil {
		d.err = mail.Errorf(mail.Internal, "the demo could not change %q: %w", d.file, err)
	}
}

// pickFile looks in the clone for something to work on: the first tracked file
// in a directory, a program rather than a text.
func (d *stage) pickFile() {
	if d.err != nil {
		return
	}
	out, err := d.command("repo", "git", "-c", "core.quotePath=false", "ls-files").Output()
	if err != nil {
		d.err = because(err, mail.Errorf(mail.Internal, "the demo could not list the files of %q", d.from))
		return
	}
	best := ""
	for name := range strings.Lines(string(out)) {
		name = strings.TrimSpace(name)
		info, err := os.Lstat(filepath.Join(d.dir, "repo", filepath.FromSlash(name)))
		// A name with special characters would make the patterns hard to read.
		if err != nil || !info.Mode().IsRegular() || !strings.Contains(name, "/") || strings.HasPrefix(name, ".") ||
			strings.ContainsAny(name, "\"'*?[]{}\\ ") {
			continue
		}
		if best == "" || path.Ext(name) == ".go" {
			best = name
		}
		if path.Ext(name) == ".go" {
			break
		}
	}
	if best == "" {
		d.err = mail.Errorf(mail.Invalid, "%q has no file in a directory to work on", d.from).Hint("git agentmail demo")
		return
	}
	d.file, d.pattern = best, path.Dir(best)+"/**"
}
