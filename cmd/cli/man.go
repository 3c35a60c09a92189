package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newMan writes man pages for `make install`: git takes `git agentmail --help`
// for itself and looks for one. The few macros needed are written here, because
// the usual generator would bring a Markdown parser into every start.
func newMan(a *app) *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "write man pages",
		Hidden: true,
		Args:   oneArg("a directory"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o777); err != nil {
				return mail.Errorf(mail.Denied, "cannot make %q: %w", args[0], err)
			}
			return writeMan(a, cmd.Root(), args[0])
		},
	}
}

func writeMan(a *app, cmd *cobra.Command, dir string) error {
	name := filepath.Join(dir, manName(cmd)+".1")
	if err := os.WriteFile(name, []byte(manPage(cmd)), 0o666); err != nil {
		return mail.Errorf(mail.Denied, "cannot write %q: %w", name, err)
	}
	if err := a.print(name + "\n"); err != nil {
		return err
	}
	for _, c := range cmd.Commands() {
		if !c.IsAvailableCommand() {
			continue
		}
		if err := writeMan(a, c, dir); err != nil {
			return err
		}
	}
	return nil
}

func manName(cmd *cobra.Command) string {
	return strings.ReplaceAll(cmd.CommandPath(), " ", "-")
}

func manPage(cmd *cobra.Command) string {
	var w strings.Builder
	fmt.Fprintf(&w, ".TH %s 1\n.SH NAME\n%s \\- %s\n", roff(strings.ToUpper(manName(cmd))), roff(manName(cmd)), roff(cmd.Short))
	fmt.Fprintf(&w, ".SH SYNOPSIS\n%s\n", roff(usageLine(cmd)))
	if cmd.Long != "" {
		fmt.Fprint(&w, ".SH DESCRIPTION\n")
		manText(&w, cmd.Long)
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprint(&w, ".SH VERBS\n")
		for _, c := range cmd.Commands() {
			if c.IsAvailableCommand() {
				fmt.Fprintf(&w, ".TP\n.B %s\n%s; see\n.BR %s (1).\n", roff(c.Name()), roff(c.Short), roff(manName(c)))
			}
		}
	}
	manFlags(&w, "OPTIONS", cmd.LocalNonPersistentFlags())
	manFlags(&w, "OPTIONS OF ALL VERBS", cmd.Root().PersistentFlags())
	if cmd.Example != "" {
		fmt.Fprintf(&w, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(strings.TrimRight(cmd.Example, "\n")))
	}
	if !cmd.HasParent() {
		for _, t := range topics() {
			fmt.Fprintf(&w, ".SH %s\n.nf\n%s\n.fi\n", strings.ToUpper(roff(t.name+": "+t.short)), roff(strings.TrimSpace(t.text())))
		}
		return w.String()
	}
	fmt.Fprint(&w, ".SH SEE ALSO\n.BR git\\-agentmail (1)\n")
	return w.String()
}

// manText keeps paragraphs; what is indented is kept as it is.
func manText(w *strings.Builder, text string) {
	for i, p := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if i > 0 {
			w.WriteString(".PP\n")
		}
		if strings.HasPrefix(p, "  ") {
			fmt.Fprintf(w, ".nf\n%s\n.fi\n", roff(p))
		} else {
			w.WriteString(roff(p) + "\n")
		}
	}
}

func manFlags(w *strings.Builder, title string, flags *pflag.FlagSet) {
	first := true
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		if first {
			fmt.Fprintf(w, ".SH %s\n", title)
			first = false
		}
		fmt.Fprintf(w, ".TP\n.B %s\n%s\n", roff(strings.TrimSpace(flagUsage(f))), roff(f.Usage))
	})
}

// roff escapes text: what begins a line must not be taken for a request.
func roff(s string) string {
	s = strings.ReplaceAll(s, `\`, `\e`)
	s = strings.ReplaceAll(s, "-", `\-`)
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
