package cli

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/spf13/cobra"
)

func newHelp(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "help [VERB | TOPIC]",
		Short:   "explain a verb or a topic",
		Long:    "Explains a verb, or one of the topics " + strings.Join(topicNames(), ", ") + ".",
		Example: "  git agentmail help send\n  git agentmail help patterns",
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return append(names(cmd.Root()), topicNames()...), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			if len(args) == 0 {
				return a.print(helpText(root))
			}
			if len(args) == 1 {
				for _, t := range topics() {
					if t.name == args[0] {
						return a.print(t.name + ": " + t.short + "\n\n" + strings.TrimSpace(t.text()) + "\n")
					}
				}
			}
			found, rest, err := root.Find(args)
			if err == nil && found != root && len(rest) == 0 {
				return a.print(helpText(found))
			}
			e := mail.Errorf(mail.NotFound, "no help on %q", strings.Join(args, " "))
			known := append(names(root), topicNames()...)
			if near := mail.Nearest(args[0], known); len(near) > 0 {
				return e.Hint("git agentmail help %s", near[0])
			}
			return e.Hint("git agentmail help")
		},
	}
}

// topic is a help page that is not about one verb.
type topic struct {
	name, short string
	text        func() string
}

func topics() []topic {
	return []topic{
		{"exit-codes", "what the exit status says", exitCodes},
		{"patterns", "how files are named when they are reserved", func() string { return patternsHelp }},
		{"identity", "who is acting", func() string { return identityHelp }},
		{"format", "what is stored where", func() string { return formatHelp }},
	}
}

func topicNames() []string {
	var list []string
	for _, t := range topics() {
		list = append(list, t.name)
	}
	return list
}

// meaning says of every code what it means to the caller, and whether the same
// call may succeed later.
func meaning(c mail.Code) string {
	switch c {
	case mail.Internal:
		return "a fault in git-agentmail, or half of it is missing"
	case mail.Usage:
		return "wrong command line"
	case mail.Invalid:
		return "impossible value"
	case mail.Conflict:
		return "reserved by somebody else"
	case mail.NotFound:
		return "no such agent, message, thread or reservation"
	case mail.Busy:
		return "another writer held the lock too long; nothing was written, try again"
	case mail.Remote:
		return "fetch or push refused or unreachable; what is here is complete, try again"
	case mail.Corrupt:
		return "a stored record does not decode; see git agentmail verify"
	case mail.Unchecked:
		return "the guard could not decide; that is neither yes nor no"
	case mail.Exists:
		return "the id or name is taken"
	case mail.NoRepo:
		return "not inside a git repository, or one that cannot be read"
	case mail.NoAgent:
		return "nobody said who is acting; see git agentmail help identity"
	case mail.Format:
		return "written by a newer version"
	case mail.Denied:
		return "the policy, the role or the file system refuses"
	case mail.Cancelled:
		return "interrupted; the message says whether the write had happened"
	}
	return ""
}

func exitCodes() string {
	codes := mail.Codes()
	order := slices.SortedFunc(maps.Keys(codes), func(x, y mail.Code) int {
		return cmp.Or(cmp.Compare(codes[x], codes[y]), strings.Compare(string(x), string(y)))
	})
	var w strings.Builder
	w.WriteString(`Every error has a code, which stands in brackets at the end of its first line
and as "code" in the JSON that --json prints on stderr.

exit  code       means
0     -          done, nothing to do, or nothing found
`)
	for _, c := range order {
		fmt.Fprintf(&w, "%-5d %-10s %s\n", codes[c], c, meaning(c))
	}
	w.WriteString(`
"Nothing found" is no error: an empty list has the exit status 0. In a git hook
any status but 0 stops git, which then has a status of its own.
`)
	return w.String()
}

const patternsHelp = `
A pattern is relative to the root of the repository, in every directory, with /
between its parts. A leading / or ./ changes nothing.

  src              the file src, or the directory and everything in it
  src/             everything in the directory src
  src/**           the same
  src/*            what lies directly in src
  *.go             Go files in the root only; **/*.go is all of them
  **/src           a file or directory src at any depth
  src/{a,b}.go     src/a.go and src/b.go
  file?.txt        one character; [a-c] is one of a class, [!a-c] one of the others
  app/[id]/**      also the directory that is really named [id]
  \*.go            the file that is really named *.go
  .                the whole repository

*, ? and [...] never cross a /; ** does, as a whole part of the path. A leading
dot is nothing special. Case counts, unless core.ignorecase says otherwise.

  pattern          covers                       does not cover
  src/**           src/a.go  src/x/b.go         xsrc/a.go
  README.md        README.md                    docs/README.md
  src/*            src/a.go                     src/x/b.go
  packages/*/src   packages/a/src/x.ts          packages/a/b/src
  **/*.go          main.go  a/b/main.go         main.c
  {src,docs}       src/x  docs/y                test/z

Errors: an empty pattern, .., a drive such as C:/, a leading ! or :, blanks at
either end, a \ before a letter (write / between directories), an open bracket
or brace.

Two reservations collide if some path is covered by both and one of them is
exclusive. Quote patterns, so that the shell leaves them alone.
`

const identityHelp = `
Who is acting, the first that applies:

  1. --as NAME
  2. $AGENTMAIL_AGENT
  3. $AGENT_NAME, if an agent of that name was registered by this clone
  4. the session of a coding agent that this command belongs to
  5. this worktree's own agent, set by "git agentmail register --here"
  6. an unidentified agent, if a coding agent's program is at work: it can look
     at what is everybody's, has no mail of its own, cannot write, and is held
     by the guard
  7. else a person

A person needs no name: mail from a person comes from HumanOverseer, shown with
git's user.name. No command asks for a name that it does not need.

A name is used without regard to case. To act, it must be one that this clone
registered; "git agentmail register --adopt NAME" takes over an agent of another
clone. Where two clones registered the same name, the second shows as
BlueLake~7q, which can be written wherever a name can.

"git agentmail status" says who you are and what told so.
`

const formatHelp = `
Everything is in the git directory of the repository that you are in, one
mailbox for all its worktrees. In your work tree is only what "git agentmail
setup" writes for coding agents, if you ask for it.

  refs/agentmail/log/*     the mail: files in commits, one log for each clone
  agentmail/               who this clone is, its key, the lock, what init wrote
  agentmail-cache/         can be deleted at any time
  agentmail-agent          the agent of this worktree
  agentmail-setup          which directories setup has made
  hooks/                   a marked block in pre-commit, pre-merge-commit,
                           pre-push, post-commit and post-merge; in a bare
                           repository, which is pushed to, in pre-receive

A message is a Markdown file with a head of JSON, everything else is a JSON file.
A file, once stored, never changes; what it means now (read, acknowledged, held)
follows from all of them together. Plain git can read it:

  git log --glob='refs/agentmail/log/*'
  git show 'refs/agentmail/log/REPLICA:PATH'

Settings, in the repository's own git configuration:

  agentmail.guard            block (default), warn or off
  agentmail.people           warn (default) or block: what a person may do
  agentmail.strict           true: stop what git commits without asking
                             pre-commit as well (then: git agentmail hooks install)
  agentmail.otherWorktrees   block (default) or warn
  agentmail.reservations     exclusive (default) or advisory
  agentmail.contacts         handshake (default), strict or off
  agentmail.images           keep (default), or webp: send a smaller copy of PNG
                             and GIF along, as lossless WebP
  agentmail.autoReserve      true: an agent's first edit reserves the file
  agentmail.refPrefix        what the names of branches begin with, where a remote
                             lets this clone push no others; $AGENTMAIL_REF
                             comes before it
  agentmail.trust            tofu (default): a log of another clone is believed if
                             it is signed with the key that it had when it was seen
                             first; listed: only if that key is in a list as well;
                             off: always
  agentmail.allowedSigners   the list, see ssh-keygen(1); without it git's own,
                             gpg.ssh.allowedSignersFile. "git agentmail doctor"
                             shows the line of this clone
  agentmail.retention        never (default), or 90d: sync removes what this clone
                             wrote that is older, as truncate does

Nothing is pushed anywhere, and no index, branch or file of yours is touched.
`
