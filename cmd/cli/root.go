package cli

import (
	"errors"
	"slices"
	"strings"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The groups of verbs in the help.
const (
	groupStart = "start"
	groupMail  = "mail"
	groupFiles = "files"
	groupSee   = "see"
	groupCare  = "care"
)

func newRoot(a *app) *cobra.Command {
	var showVersion bool
	root := &cobra.Command{
		Use:         "git-agentmail",
		Annotations: map[string]string{cobra.CommandDisplayNameAnnotation: "git agentmail"},
		Short:       "mail and file reservations for the coding agents in one git repository",
		Long: `Coding agents and people who work in one git repository write to each other,
reserve files, and are stopped from committing over each other's work. All of
it is stored in that repository, beside your branches; your index, branches
and work tree are never touched.`,
		Example: `  git agentmail init
  git agentmail register BlueLake --program claude-code --model opus
  git agentmail reserve 'src/auth/**' --as BlueLake --ttl 1h
  git agentmail send --as BlueLake --to GreenCastle -s "Hello" -m "I hold src/auth."
  git agentmail status`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args:              cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case showVersion:
				return a.version(cmd.Context())
			case len(args) > 0:
				return a.unknownVerb(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	root.AddGroup(
		&cobra.Group{ID: groupStart, Title: "Start and leave"},
		&cobra.Group{ID: groupMail, Title: "Mail"},
		&cobra.Group{ID: groupFiles, Title: "Files"},
		&cobra.Group{ID: groupSee, Title: "What is going on"},
		&cobra.Group{ID: groupCare, Title: "Care"},
	)
	f := root.PersistentFlags()
	f.Var(wordFlag{&a.as, "NAME"}, "as", "act as this agent")
	f.BoolVar(&a.json, "json", false, "print JSON")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "print only the answer and errors")
	f.BoolVar(&a.noColor, "no-color", false, "print without colour")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "print the causes of an error too")
	f.BoolP("help", "h", false, "show this help")
	root.Flags().BoolVar(&showVersion, "version", false, "print the version")

	root.SetFlagErrorFunc(a.flagError)
	root.SetHelpFunc(func(cmd *cobra.Command, _ []string) { a.print(helpText(cmd)) })
	root.SetUsageFunc(func(cmd *cobra.Command) error { return a.print(helpText(cmd)) })
	root.SetHelpCommand(newHelp(a))

	if _, ok := a.hookEvent(); ok {
		root.AddCommand(newHook(a)) // git waits for it; the other verbs are not needed
		return root
	}
	add := func(group string, verbs ...*cobra.Command) {
		for _, cmd := range verbs {
			cmd.GroupID = group
		}
		root.AddCommand(verbs...)
	}
	add(groupStart, newInit(a), newUninstall(a), newSetup(a), newRegister(a), newDeregister(a), newWindow(a), newMCP(a), newServe(a), newDemo(a))
	add(groupMail, newSend(a), newReply(a), newInbox(a), newOutbox(a), newShow(a), newThread(a), newSearch(a), newSummarize(a),
		newRead(a), newAck(a), newWait(a), newContact(a), newSync(a))
	add(groupFiles, newReserve(a), newRenew(a), newRelease(a), newForceRelease(a), newReservations(a), newPush(a),
		newCheck(a), newGuard(a), newSlot(a))
	add(groupSee, newStatus(a), newAgents(a), newWhois(a), newLog(a), newWatch(a), newProduct(a))
	add(groupCare, newHooks(a), newPurge(a), newTruncate(a), newReindex(a), newVerify(a), newDoctor(a), newVersion(a), newCompletion(a))
	root.AddCommand(newHook(a), newMan(a))
	if a.completing() {
		a.completeNames(root)
	}
	return root
}

// group makes a verb whose work is done by verbs below it.
func group(a *app, cmd *cobra.Command, below ...*cobra.Command) *cobra.Command {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return a.unknownVerb(cmd, args[0])
		}
		return mail.Errorf(mail.Usage, "%s needs one of %s", cmd.Name(), strings.Join(names(cmd), ", ")).Hint("%s -h", cmd.CommandPath())
	}
	cmd.AddCommand(below...)
	return cmd
}

// names returns the verbs below cmd that are meant to be typed.
func names(cmd *cobra.Command) []string {
	var list []string
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			list = append(list, c.Name())
		}
	}
	return list
}

// meant are words that people and programs try, and ours for them.
var meant = map[string]string{
	"lock": "reserve", "claim": "reserve", "unlock": "release", "unclaim": "release", "whoami": "status", "mail": "inbox", "list": "inbox",
	"--body": "--message", "--text": "--message", "--from": "--as", "--agent": "--as", "--name": "--as", "--duration": "--ttl", "--recipients": "--to",
}

// typo returns the word that was most likely meant, or "": a guess further away
// would be run by those who do not read it.
func typo(word string, words []string) string {
	near := mail.Nearest(word, words)
	if len(near) == 0 {
		return ""
	}
	letters := func(s string) string { return string(slices.Sorted(slices.Values([]rune(s)))) }
	far := mail.Distance(word, near[0])
	if far > min(2, (len(strings.TrimLeft(word, "-"))+1)/3) && !(far == 2 && letters(word) == letters(near[0])) { // sned
		return ""
	}
	return near[0]
}

// unknownVerb names the nearest verb, in the command that was meant.
func (a *app) unknownVerb(cmd *cobra.Command, verb string) error {
	e := mail.Errorf(mail.Usage, "no verb %q", verb)
	if cmd.HasParent() {
		e = mail.Errorf(mail.Usage, "%s has no verb %q", cmd.Name(), verb)
	}
	if meant := meant[verb]; meant != "" && !cmd.HasParent() {
		return e.Hint("git agentmail %s -h", meant)
	}
	if near := typo(verb, names(cmd)); near != "" {
		return e.Hint("%s", a.instead(verb, near, cmd))
	}
	return e.Hint("%s -h", cmd.CommandPath())
}

// flagError explains a mistake in the flags. A value that a flag refused is
// explained by the flag.
func (a *app) flagError(cmd *cobra.Command, err error) error {
	a.json = a.json || a.asksJSON()
	var own *mail.Error
	if errors.As(err, &own) {
		return mail.Errorf(own.Code, "--%s: %s", flagName(err), own.Message).Typed(own.Type).Hint("%s -h", cmd.CommandPath())
	}
	if !cmd.HasParent() {
		// The parser stumbles over the flags of a verb that it does not know.
		if verb := verbs(a.args); len(verb) > 0 && !slices.Contains(names(cmd), verb[0]) {
			return a.unknownVerb(cmd, verb[0])
		}
	}
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return mail.Errorf(mail.Usage, "%s", err.Error()).Hint("%s -h", cmd.CommandPath())
	}
	name := "--" + unknown.GetSpecifiedName()
	if unknown.GetSpecifiedShortnames() != "" {
		name = "-" + unknown.GetSpecifiedName()
	}
	e := mail.Errorf(mail.Usage, "%s has no flag %q", cmd.Name(), name)
	if !cmd.HasParent() {
		e = mail.Errorf(mail.Usage, "no flag %q", name)
	}
	var known []string
	visible := func(f *pflag.Flag) {
		if !f.Hidden {
			known = append(known, "--"+f.Name)
		}
	}
	cmd.LocalFlags().VisitAll(visible)
	cmd.InheritedFlags().VisitAll(visible)
	if meant := meant[name]; meant != "" && slices.Contains(known, meant) {
		return e.Hint("%s", a.instead(name, meant, cmd))
	}
	if near := typo(name, known); strings.HasPrefix(name, "--") && near != "" {
		return e.Hint("%s", a.instead(name, near, cmd))
	}
	return e.Hint("%s -h", cmd.CommandPath())
}

func flagName(err error) string {
	var bad *pflag.InvalidValueError
	if errors.As(err, &bad) {
		return bad.GetFlag().Name
	}
	return "?"
}

// instead returns the command line with one word put right, or, if that would
// be too long to read, the help of cmd.
func (a *app) instead(wrong, right string, cmd *cobra.Command) string {
	words, done := []string{"git agentmail"}, false
	for _, arg := range a.args {
		switch {
		case done:
		case arg == wrong:
			arg, done = right, true
		case strings.HasPrefix(arg, wrong+"="):
			arg, done = right+arg[len(wrong):], true
		}
		words = append(words, shellQuote(arg))
	}
	line := strings.Join(words, " ")
	if !done || len(line) > 200 || strings.ContainsAny(line, "\n\r") {
		return cmd.CommandPath() + " -h"
	}
	return line
}

// verbs returns the arguments that are not flags of all verbs, as far as can
// be told without parsing.
func verbs(args []string) []string {
	var list []string
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; {
		case arg == "--":
			return append(list, args[i+1:]...)
		case arg == "--as":
			i++
		case !strings.HasPrefix(arg, "-"):
			list = append(list, arg)
		}
	}
	return list
}

// hookEvent returns the event if the command line is a hook's.
func (a *app) hookEvent() (event string, ok bool) {
	v := verbs(a.args)
	if len(v) == 0 || v[0] != "hook" {
		return "", false
	}
	if len(v) > 1 {
		event = v[1]
	}
	return event, true
}

// shellQuote makes one word of s for a POSIX shell, readable where possible.
func shellQuote(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./,:=@%+", r)
	}
	switch {
	case s != "" && strings.TrimFunc(s, plain) == "":
		return s
	case !strings.ContainsAny(s, "\"$`\\!*") && s != "":
		return `"` + s + `"`
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
