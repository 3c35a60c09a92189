package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// usageLine is how a verb is called.
func usageLine(cmd *cobra.Command) string {
	line := cmd.CommandPath()
	if !cmd.HasParent() {
		return line + " VERB [flags]"
	}
	if _, rest, ok := strings.Cut(cmd.Use, " "); ok {
		line += " " + rest
	}
	if cmd.HasAvailableSubCommands() {
		line += " " + strings.Join(names(cmd), " | ")
	}
	if cmd.HasAvailableLocalFlags() && !strings.Contains(line, "[flags]") {
		line += " [flags]"
	}
	return line
}

// helpText is the whole help of a verb.
func helpText(cmd *cobra.Command) string {
	var w strings.Builder
	fmt.Fprintf(&w, "%s: %s\n\nusage: %s\n", cmd.CommandPath(), cmd.Short, usageLine(cmd))
	if cmd.Long != "" {
		fmt.Fprintf(&w, "\n%s\n", strings.TrimSpace(cmd.Long))
	}
	for _, g := range cmd.Groups() {
		fmt.Fprintf(&w, "\n%s\n", g.Title)
		writeVerbs(&w, cmd, g.ID)
	}
	if len(cmd.Groups()) == 0 && cmd.HasAvailableSubCommands() {
		fmt.Fprint(&w, "\nVerbs\n")
		writeVerbs(&w, cmd, "")
	}
	writeFlags(&w, "Flags", cmd.LocalNonPersistentFlags())
	if cmd.HasParent() {
		writeFlags(&w, "Flags of all verbs", cmd.Root().PersistentFlags())
	} else {
		writeFlags(&w, "Flags of all verbs", cmd.PersistentFlags())
	}
	if cmd.Example != "" {
		fmt.Fprintf(&w, "\nExamples\n%s\n", cmd.Example)
	}
	if !cmd.HasParent() {
		fmt.Fprintf(&w, "\nMore: git agentmail help VERB, or one of the topics %s.\n", strings.Join(topicNames(), ", "))
	}
	return w.String()
}

func writeVerbs(w *strings.Builder, cmd *cobra.Command, group string) {
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() && c.GroupID == group {
			fmt.Fprintf(w, "  %-14s %s\n", c.Name(), c.Short)
		}
	}
}

func writeFlags(w *strings.Builder, title string, flags *pflag.FlagSet) {
	var rows [][2]string
	wide := 0
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		name := flagUsage(f)
		wide = max(wide, len(name))
		rows = append(rows, [2]string{name, f.Usage})
	})
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", title)
	for _, r := range rows {
		fmt.Fprintf(w, "  %-*s  %s\n", wide, r[0], r[1])
	}
}

// flagUsage is a flag as it is typed: "-n, --limit N".
func flagUsage(f *pflag.Flag) string {
	s := "    "
	if f.Shorthand != "" {
		s = "-" + f.Shorthand + ", "
	}
	s += "--" + f.Name
	if kind := f.Value.Type(); kind != "bool" {
		s += " " + kind
	}
	return s
}
