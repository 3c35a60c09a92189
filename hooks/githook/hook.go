package githook

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
)

// hook is a hook file as it was read.
type hook struct {
	file   string
	exists bool
	mode   fs.FileMode // of file itself, not of what a link points to
	data   []byte      // nil for what is not, or does not lead to, a file of sensible size

	blocks  []block
	damaged string // why the blocks cannot be told, or empty
	rest    []byte // data without the blocks
	pos     int    // where the first block stood in rest
}

// maxHook keeps a call that happens at every command from reading something
// huge; nobody writes a script of this size.
const maxHook = 1 << 20

func readHook(file string, layouts []layout) (hook, error) {
	h := hook{file: file}
	info, err := os.Lstat(file)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return h, nil // not a directory: core.hooksPath is often /dev/null
	}
	if err != nil {
		return h, fileError("read", file, err)
	}
	h.exists, h.mode = true, info.Mode()
	target := info
	if h.mode&fs.ModeSymlink != 0 {
		if target, err = os.Stat(file); err != nil {
			return h, nil // a link that leads nowhere is no error, git ignores it
		}
	}
	if !target.Mode().IsRegular() || target.Size() > maxHook {
		return h, nil
	}
	if h.data, err = os.ReadFile(file); err != nil {
		return h, fileError("read", file, err)
	}
	h.blocks, h.damaged = find(h.data, layouts)
	if h.damaged == "" {
		h.rest, h.pos = cut(h.data, h.blocks)
	}
	return h, nil
}

// runs reports whether git would run the file. Windows has no such bit.
func (h hook) runs() bool {
	if !h.exists {
		return false
	}
	mode := h.mode
	if mode&fs.ModeSymlink != 0 {
		info, err := os.Stat(h.file)
		if err != nil {
			return false
		}
		mode = info.Mode()
	}
	return mode.IsRegular() && (mode&0o111 != 0 || runtime.GOOS == "windows")
}

const notExecutable = "is not executable, so git does not run it"

// insertion returns where in rest a block belongs, or why none may be put
// there. When in doubt the hook is the user's and stays as it is.
func (h hook) insertion() (pos int, why string) {
	switch {
	case h.mode&fs.ModeSymlink != 0:
		return 0, "is a symbolic link"
	case !h.mode.IsRegular():
		return 0, "is not a file"
	case h.data == nil:
		return 0, "is larger than 1 MiB"
	case !h.runs():
		return 0, notExecutable
	case bytes.IndexByte(h.rest, 0) >= 0:
		return 0, "is a binary file"
	}
	first, _, more := bytes.Cut(h.rest, []byte("\n"))
	switch {
	case bytes.HasSuffix(first, []byte("\r")):
		return 0, "has Windows line ends (CRLF), with which it does not run everywhere"
	case bytes.HasPrefix(first, []byte("\xef\xbb\xbf")):
		return 0, "begins with a byte order mark"
	case restarts().Match(h.rest):
		return 0, "hands itself to another program"
	case !bytes.HasPrefix(first, []byte("#!")):
		// git runs a script without a #! line by sh, so its top is the place.
		return 0, ""
	}
	if why := notShell(string(first[2:])); why != "" {
		return 0, why
	}
	if !more {
		return len(first), ""
	}
	return len(first) + 1, ""
}

// lazy compiles a pattern when it is first used: this package is linked into
// every hook, and most look at none.
func lazy(pattern string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
}

// restarts finds scripts of two languages, such as `exec tclsh "$0" "$@"`: the
// other program reads the whole file and would stumble over our block.
var restarts = lazy(`(?m)^[^#\n]*\bexec["']?(\s+[^\s$()` + "`" + `]+)+\s+"?\$0"?(\s|$)`)

var (
	// The shells that the block was tried with. Not yash: it loses text that
	// is not valid in the locale, and with it the list of refs of a push.
	shells = map[string]bool{
		"sh": true, "bash": true, "dash": true, "ash": true, "ksh": true,
		"ksh93": true, "mksh": true, "zsh": true, "posh": true,
	}
	// Among the options left out are -c, -n, -r, -s and -t, with which the
	// script, or a block in it, does not run as written.
	shellOption  = lazy(`^-[abefhkluvxBCEHPT]*o?$|^--$`)
	shellSetting = lazy(`^(allexport|errexit|noglob|nounset|pipefail|posix|verbose|xtrace)$`)
)

// notShell says what is wrong with the text after #!, or nothing if it names a
// shell that our block can be given to.
func notShell(line string) string {
	f := strings.Fields(line)
	if len(f) > 1 && program(f[0]) == "env" {
		f = f[1:]
		if f[0] == "-S" {
			f = f[1:]
		}
	}
	if len(f) > 1 && program(f[0]) == "busybox" {
		f = f[1:]
	}
	if len(f) == 0 || !shells[program(f[0])] {
		return "is run by " + quoted(strings.TrimSpace(line)) + ", not by a shell"
	}
	for i := 1; i < len(f); i++ {
		ok := shellOption().MatchString(f[i])
		if ok && strings.HasSuffix(f[i], "o") {
			i++
			ok = i < len(f) && shellSetting().MatchString(f[i])
		}
		if !ok {
			return "is run by " + quoted(strings.TrimSpace(line)) + ", with an option that the guard may not work under"
		}
	}
	return ""
}

// program is the name of an interpreter without its directory.
func program(name string) string {
	return strings.TrimSuffix(path.Base(strings.ReplaceAll(name, `\`, "/")), ".exe")
}
