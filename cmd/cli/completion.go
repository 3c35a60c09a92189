package cli

import (
	"bytes"
	"strings"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/git-agentmail/git-agentmail/mailbox"
	"github.com/spf13/cobra"
)

func newCompletion(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash | zsh | fish",
		Short: "print completions for a shell",
		Long: `Prints the completions for a shell, for git-agentmail and for what follows
"git agentmail". Put them where the shell looks for them:

  bash  ~/.local/share/bash-completion/completions/git-agentmail
  zsh   _git-agentmail in a directory of $fpath
  fish  ~/.config/fish/conf.d/git-agentmail.fish`,
		Example:   `  source <(git agentmail completion bash)`,
		Args:      oneArg("one of bash, zsh, fish"),
		ValidArgs: []cobra.Completion{"bash", "zsh", "fish"},
		RunE: func(cmd *cobra.Command, args []string) error {
			script, err := completionScript(cmd.Root(), args[0])
			if err != nil {
				return err
			}
			return a.print(script)
		},
	}
}

func completionScript(root *cobra.Command, shell string) (string, error) {
	var w bytes.Buffer
	var err error
	switch shell {
	case "bash":
		err = root.GenBashCompletionV2(&w, true)
		w.WriteString(bashAfterGit)
	case "zsh":
		// git's completion calls the function with $words[1] "agentmail", and
		// shows the second line of the file.
		err = root.GenZshCompletion(&w)
		s := strings.Replace(w.String(), `requestComp="${words[1]} `, `requestComp="git-agentmail `, 1)
		head, rest, _ := strings.Cut(s, "\n")
		w.Reset()
		w.WriteString(head + "\n#description " + root.Short + "\n" + rest)
	case "fish":
		err = root.GenFishCompletion(&w, true)
		w.WriteString(fishAfterGit)
	default:
		return "", mail.Errorf(mail.Invalid, "no completions for %q, only for bash, zsh and fish", shell).Hint("git agentmail completion bash")
	}
	if err != nil {
		return "", mail.Errorf(mail.Internal, "the completions could not be made: %w", err)
	}
	return w.String(), nil
}

// bashAfterGit is called by git's completion for the words after "git", some of
// which may be flags of git itself.
const bashAfterGit = `
_git_agentmail()
{
    local i=1
    while (( i < cword )) && [[ ${words[i]} != agentmail ]]; do
        (( i++ ))
    done
    local -a after=("${words[@]:i+1:cword-i}")
    local -a words=(git-agentmail "${after[@]}")
    local cword=${#after[@]} out directive
    __git-agentmail_get_completion_results
    __git-agentmail_process_completion_results
}
`

// fishAfterGit is for versions of fish whose completion of git does not ask the
// one of git-agentmail by itself. It must be read before somebody completes
// "git", hence conf.d.
const fishAfterGit = `
function __git_agentmail_after_git
    set -l words (string escape -- (commandline -opc))
    set -l i (contains -i -- agentmail $words); or return
    set -e words[1..$i]
    complete -C "git-agentmail $words "(commandline -ct)
end
complete -c git -f -n '__fish_git_using_command agentmail' -a '(__git_agentmail_after_git)'
complete -c git -f -n __fish_git_needs_command -a agentmail -d 'Mail between coding agents'
`

// completing reports whether the shell asks for completions.
func (a *app) completing() bool {
	return len(a.args) > 0 && (a.args[0] == cobra.ShellCompRequestCmd || a.args[0] == cobra.ShellCompNoDescRequestCmd)
}

// completeNames lets the shell complete the names of agents, where verbs take
// them. It is left out of ordinary runs, which have no use for it.
func (a *app) completeNames(root *cobra.Command) {
	agents := func(cmd *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		b, err := a.open(cmd.Context())
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer b.Close()
		rows, err := b.Agents(cmd.Context(), mailbox.Page{})
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		before := typed[:strings.LastIndexByte(typed, ',')+1]
		var list []cobra.Completion
		for _, r := range rows {
			if strings.HasPrefix(before+r.Name, typed) {
				list = append(list, cobra.CompletionWithDesc(before+r.Name, short(r.Program, 40)))
			}
		}
		return list, cobra.ShellCompDirectiveNoFileComp
	}
	levels := cobra.FixedCompletions([]cobra.Completion{"low", "normal", "high", "urgent"}, cobra.ShellCompDirectiveNoFileComp)
	root.RegisterFlagCompletionFunc("as", agents)
	for _, cmd := range root.Commands() {
		for _, flag := range []string{"to", "cc", "bcc", "agent"} {
			if cmd.Flags().Lookup(flag) != nil {
				cmd.RegisterFlagCompletionFunc(flag, agents)
			}
		}
		if cmd.Flags().Lookup("importance") != nil {
			cmd.RegisterFlagCompletionFunc("importance", levels)
		}
		switch cmd.Name() {
		case "whois", "deregister":
			cmd.ValidArgsFunction = agents
		}
	}
}
