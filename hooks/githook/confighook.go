package githook

import "strings"

// ConfigSince is the first version of git that runs hooks which its configuration
// names. Older ones pass over them in silence.
const ConfigSince = "2.54"

// ConfigPrefix is what the names of our hooks in the configuration begin with. A
// name that is an event itself is an error to git.
const ConfigPrefix = "agentmail-"

// FileRun is set in the environment of the guard by the block in a hook file, so that
// it can leave the work to a hook of the configuration, should git run that as well.
const FileRun = "AGENTMAIL_HOOK=file"

// ConfigHook is a hook as git's configuration has it: hook.<Name>.event and .command.
// Nothing that moves core.hooksPath or writes the files in it anew touches it.
type ConfigHook struct{ Name, Event, Command string }

// ConfigHooks returns our hooks for the site. binary is as in [Options]. A host's git
// may be any, so a bare repository has none.
func ConfigHooks(site Site, binary string) []ConfigHook {
	if site.Bare {
		return nil
	}
	var list []ConfigHook
	for _, event := range site.Events() {
		list = append(list, ConfigHook{ConfigPrefix + event, event, configCommand(event, binary)})
	}
	return list
}

// configCommand is one line of sh that does what the block of the event does. git
// gives it the hook's arguments by putting "$@" behind it.
func configCommand(event, binary string) string {
	end := `case $r in 126 | 127) echo "agentmail: guard not run: git-agentmail not found" >&2; r=0 ;; esac; return $r`
	missing := `echo "agentmail: guard not run: git-agentmail not found" >&2; return 0`
	switch {
	case strings.HasPrefix(event, "post-"):
		end, missing = `return 0`, `return 0`
	case !readsStdin(event):
		end = strings.Replace(end, " esac", ` 2 | 129 | 1[3-9]? | 2??) echo "agentmail: guard not run: it ended with status $r" >&2; r=0 ;; esac`, 1)
	}
	return `_gam() { b=` + shQuote(binary) + `; if command -v git-agentmail >/dev/null 2>&1; then b=git-agentmail; elif ! [ -x "$b" ]; then ` +
		missing + `; fi; "$b" hook ` + event + ` "$@"; r=$?; ` + end + `; }; _gam`
}

// InConfig reports whether git runs our hook for event out of its configuration.
func (s Site) InConfig(event string) bool {
	return s.RunsConfig && strings.Contains(s.Config[event], " hook "+event+" ")
}
