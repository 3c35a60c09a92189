// Package githook puts git-agentmail's hooks into a repository and takes them
// out again, byte for byte.
//
// # The block
//
// What is ours in a hook is one block between two marker lines, directly after
// the #! line, so that no exec or exit of the user's can stand before it. A
// hook that exists keeps its bytes, its mode and its place; it is never renamed
// or wrapped. The first marker carries the event, the version of the block,
// whether the file was made by us (fresh) or was there before (insert), and the
// SHA-256 of the file without the block:
//
//	# >>> git-agentmail guard >>> pre-commit v2 insert orig=9f86d0...
//	...
//	# <<< git-agentmail guard <<<
//
// so nothing needs to be remembered elsewhere to undo an install, also when
// some of the files were edited or deleted since.
//
// # What is never written
//
// A directory that serves other repositories (core.hooksPath of global or
// system scope, or any directory outside this repository), a file that git may
// track, a symbolic link, a hook that is not a shell script or that git does
// not run. [Plan] says why and what to do instead.
//
// # Compatibility
//
// The markers of every version that was ever released are listed in block.go
// and stay recognised. A block of a newer version is left alone by [Install]
// and taken out by [Uninstall].
//
// The package runs no git and knows nothing of mail; the caller fills [Site].
package githook

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/git-agentmail/git-agentmail/mail"
)

// Events returns the git hooks that we use at the site, in the order in which they
// are written and reported. Nobody commits in a bare repository; what is pushed to
// it is judged there.
func (s Site) Events() []string {
	if s.Bare {
		return []string{"pre-receive"}
	}
	list := []string{"pre-commit", "pre-merge-commit", "pre-push", "post-commit", "post-merge"}
	if s.Strict {
		list = append(list, "prepare-commit-msg")
	}
	return list
}

// EveryEvent returns the hooks that may be ours, for the site may have been another
// one, or stricter, when they were put in.
func EveryEvent() []string {
	return append(Site{Strict: true}.Events(), Site{Bare: true}.Events()...)
}

// Action says what is done to one file.
type Action string

// The actions of [Install], and then those of [Uninstall].
const (
	Create  Action = "create"  // no hook there: a new file
	Insert  Action = "insert"  // our block goes into the user's hook
	Replace Action = "replace" // our block is there but not as it should be
	Keep    Action = "keep"    // nothing to do
	Refuse  Action = "refuse"  // left untouched; Note says why, Hint what to do

	Remove Action = "remove" // our block goes, the rest of the file stays
	Delete Action = "delete" // file or directory was made by us and goes
)

// Change is what happens, or would happen, to one file.
type Change struct {
	Event  string `json:"event,omitempty"` // empty for a directory
	File   string `json:"file"`
	Action Action `json:"action"`
	Note   string `json:"note,omitempty"` // what the reader should know, one line
	Hint   string `json:"hint,omitempty"` // what the reader can do, one line
}

// Options are the choices of [Install].
type Options struct {
	// Binary is the absolute path of git-agentmail. A hook takes the one on
	// PATH and falls back to this one, for programs that start git with a
	// shorter PATH than the user's shell has.
	Binary string

	// Mode returns the mode of a new hook that was made with mode m, by the umask;
	// nil leaves it at that.
	Mode func(m os.FileMode) os.FileMode
}

// Plan returns what [Install] would do, one [Change] per event, and writes
// nothing. An error is about the whole site; a single hook that cannot be used
// is a Change with the action [Refuse].
func Plan(site Site, opts Options) ([]Change, error) {
	edits, err := plan(site, opts, shipped)
	if err != nil {
		return nil, err
	}
	return changes(edits), nil
}

// Install does what [Plan] says. Each file is replaced as a whole, so a reader
// sees the old hook or the new one. After an error the changes that were made
// before it are returned; calling again completes the work. Installing twice
// changes nothing.
func Install(site Site, opts Options) ([]Change, error) {
	edits, err := plan(site, opts, shipped)
	if err != nil {
		return nil, err
	}
	return apply(edits)
}

// PlanUninstall returns what [Uninstall] would do and writes nothing.
func PlanUninstall(site Site) ([]Change, error) {
	edits, err := planUninstall(site, shipped)
	if err != nil {
		return nil, err
	}
	return changes(edits), nil
}

// Uninstall takes our blocks out of the directory that git uses now and, should
// core.hooksPath have moved since, out of the repository's own hooks directory
// and of husky's.
// Hooks in which nothing calls us are not mentioned. A file goes only if we made
// it and nothing was added; a directory that we made goes if it is empty then.
// Blocks in the ignored hook directories of other worktrees stay: they ask for
// the binary first and do nothing without it.
func Uninstall(site Site) ([]Change, error) {
	edits, err := planUninstall(site, shipped)
	if err != nil {
		return nil, err
	}
	return apply(edits)
}

func plan(site Site, opts Options, layouts []layout) ([]edit, error) {
	if !filepath.IsAbs(opts.Binary) || strings.ContainsAny(opts.Binary, "\n\r\x00") {
		return nil, mail.Errorf(mail.Internal, "cannot put %q into a hook: not an absolute path on one line", opts.Binary)
	}
	p, err := site.place()
	if err != nil {
		return nil, err
	}
	var edits []edit
	for _, event := range site.Events() {
		e, err := planEvent(site, p, event, filepath.ToSlash(opts.Binary), layouts)
		if err != nil {
			return nil, err
		}
		e.newMode = opts.Mode
		edits = append(edits, e)
	}
	return edits, nil
}

// planEvent decides about one hook.
func planEvent(site Site, p place, event, binary string, layouts []layout) (edit, error) {
	h, err := readHook(filepath.Join(p.dir, event), layouts)
	e := edit{Change: Change{Event: event, File: h.file}, old: h}
	if err != nil {
		return e, err
	}
	caller := ""
	if h.runs() && len(h.blocks) == 0 {
		caller = calledFrom(site, event, h)
	}
	refuse := func(note, hint string) (edit, error) {
		e.Action, e.Note, e.Hint = Refuse, note, hint
		if readsStdin(event) && h.exists {
			e.Note += "; a call by hand reads the hook's standard input to its end"
		}
		return e, nil
	}
	switch {
	case caller != "":
		return e.keep("the guard is called, by hand, from " + quoted(caller)), nil
	case p.tracked && h.runs() && len(h.blocks) > 0:
		return e.keep("has our block, but " + p.why), nil
	case p.tracked:
		return refuse(p.why, byHand(event, h.exists))
	case !h.exists:
		e.Action, e.Note = Create, join(p.note, managerNote(site, event, nil), lfsNote(site, event, h))
		e.mkdir = p.missing
		e.data = concat([]byte(shebang), block{
			event: event, fresh: true, mkdir: p.missing, orig: sum([]byte(shebang)),
		}.render(binary))
		return e, nil
	case h.damaged != "":
		return refuse(h.damaged, "take our lines out by hand: $(git var GIT_EDITOR) "+shQuote(h.file))
	}

	pos, why := h.insertion()
	if why == notExecutable {
		return refuse(why, "chmod +x "+shQuote(h.file))
	}
	if why != "" {
		return refuse(why, byHand(event, true))
	}
	b := block{event: event, orig: sum(h.rest)}
	e.Action = Insert
	if len(h.blocks) > 0 {
		first := h.blocks[0]
		if first.version > Version {
			return e.keep("has the block of a newer git-agentmail"), nil
		}
		// Where the user moved the block to is where it stays.
		pos, b.fresh, b.mkdir, b.orig = h.pos, first.fresh, first.mkdir, first.orig
		e.Action = Replace
	}
	e.data = insert(h.rest, pos, b.render(binary))
	if string(e.data) == string(h.data) {
		return e.keep(""), nil
	}
	e.Note = join(p.note, managerNote(site, event, h.data))
	return e, nil
}

// byHand is the instruction for a hook that we do not write.
func byHand(event string, exists bool) string {
	end := "|| exit $?"
	if strings.HasPrefix(event, "post-") {
		end = "|| :"
	}
	line := "git-agentmail hook " + event + ` "$@" ` + end
	if exists {
		return "add to it by hand: " + line
	}
	return "make it by hand, executable, with: " + line
}

func join(notes ...string) string {
	return strings.Join(slices.DeleteFunc(notes, func(n string) bool { return n == "" }), "; ")
}
