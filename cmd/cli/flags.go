package cli

import (
	"strconv"
	"strings"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

// namesFlag collects names, separated by commas or given by several flags.
type namesFlag []string

func (f *namesFlag) String() string { return strings.Join(*f, ",") }
func (f *namesFlag) Type() string   { return "NAME[,NAME]" }

func (f *namesFlag) Set(s string) error {
	for name := range strings.SplitSeq(s, ",") {
		if name = strings.TrimSpace(name); name != "" {
			*f = append(*f, name)
		}
	}
	return nil
}

// pathsFlag collects the values of a flag that may be given several times.
type pathsFlag struct {
	list *[]string
	kind string
}

func (f pathsFlag) String() string { return "" }
func (f pathsFlag) Type() string   { return f.kind }

func (f pathsFlag) Set(s string) error {
	*f.list = append(*f.list, s)
	return nil
}

// wordFlag is a string with a name of its own in the help.
type wordFlag struct {
	s    *string
	kind string
}

func (f wordFlag) String() string { return *f.s }
func (f wordFlag) Type() string   { return f.kind }

func (f wordFlag) Set(s string) error {
	*f.s = s
	return nil
}

// countFlag is a number from 1.
type countFlag struct{ n *int }

func (f countFlag) Type() string { return "N" }

func (f countFlag) String() string {
	if *f.n == 0 {
		return ""
	}
	return strconv.Itoa(*f.n)
}

func (f countFlag) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return mail.Errorf(mail.Invalid, "%q is not a number from 1", s).Typed("INVALID_LIMIT")
	}
	*f.n = n
	return nil
}

// pageFlags adds the flags of every list.
func pageFlags(cmd *cobra.Command, p *mailbox.Page) {
	addPageFlags(cmd, p, "ID", "show at most this many (default "+strconv.Itoa(mailbox.DefaultLimit)+")")
}

// longPageFlags adds them to a list that is mostly wanted whole. kind is what names a
// place in it.
func longPageFlags(cmd *cobra.Command, p *mailbox.Page, kind string) {
	addPageFlags(cmd, p, kind, "show at most this many, the newest (default "+strconv.Itoa(mailbox.MaxLimit)+")")
}

func addPageFlags(cmd *cobra.Command, p *mailbox.Page, kind, limit string) {
	f := cmd.Flags()
	f.VarP(countFlag{&p.N}, "limit", "n", limit)
	f.Var(wordFlag{&p.Before, kind}, "before", "go on after this one, towards older ones")
}

// noArgs, someArgs and so on return the error that a wrong number of arguments
// is. what names one argument: "the id of a message".
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return mail.Errorf(mail.Usage, "%s takes no argument, not even %q", cmd.Name(), args[0]).Hint("%s -h", cmd.CommandPath())
	}
	return nil
}

func someArgs(what string) cobra.PositionalArgs { return argsBetween(1, 1<<30, what) }

func oneArg(what string) cobra.PositionalArgs { return argsBetween(1, 1, what) }

func argsBetween(lo, hi int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < lo:
			return mail.Errorf(mail.Usage, "%s needs %s", cmd.Name(), what).Hint("%s -h", cmd.CommandPath())
		case len(args) > hi:
			return mail.Errorf(mail.Usage, "%s takes %s, not also %q", cmd.Name(), what, args[hi]).Hint("%s -h", cmd.CommandPath())
		}
		return nil
	}
}
