package githook

import (
	"os"
	"path/filepath"
	"strings"
)

func planUninstall(site Site, layouts []layout) ([]edit, error) {
	dirs := []string{site.HooksDir}
	if real(site.HooksDir) != real(site.own()) {
		dirs = append(dirs, site.own())
	}
	// husky is taken out by unsetting core.hooksPath; its directory, with our
	// blocks, stays and is used again when husky is.
	if dir := filepath.Join(site.TopLevel, ".husky", "_"); site.TopLevel != "" &&
		managerOfDir(dir) == "husky" && real(site.HooksDir) != real(dir) {
		dirs = append(dirs, dir)
	}
	var edits []edit
	for _, dir := range dirs {
		if !filepath.IsAbs(dir) {
			continue
		}
		more, err := planDir(site, dir, layouts)
		if err != nil {
			return nil, err
		}
		edits = append(edits, more...)
	}
	return edits, nil
}

// planDir decides about one hooks directory.
func planDir(site Site, dir string, layouts []layout) ([]edit, error) {
	mine := site.owner(dir) == ours
	var edits []edit
	var made bool // by us
	for _, event := range EveryEvent() {
		file := filepath.Join(dir, event)
		for _, name := range append([]string{file}, displaced(file)...) {
			h, err := readHook(name, layouts)
			if err != nil && mine {
				return nil, err
			}
			if e, ok := planRemoval(event, h, mine); ok {
				edits = append(edits, e)
			}
			for _, b := range h.blocks {
				made = made || b.mkdir
			}
		}
	}
	if !mine {
		return edits, nil
	}

	entries, _ := os.ReadDir(dir)
	kept := len(entries)
	for _, e := range edits {
		if e.Action == Delete {
			kept--
		}
	}
	for _, entry := range entries {
		name := filepath.Join(dir, entry.Name())
		for _, event := range EveryEvent() {
			if strings.HasPrefix(name, temporary(filepath.Join(dir, event))) {
				edits = append(edits, edit{Change: Change{Event: event, File: name, Action: Delete, Note: "left by an interrupted install"}})
				kept--
			}
		}
	}
	if made && kept == 0 {
		edits = append(edits, edit{Change: Change{File: dir, Action: Delete, Note: "was made by git-agentmail"}})
	}
	return edits, nil
}

// planRemoval decides about one file; ok is false if nothing in it is ours.
func planRemoval(event string, h hook, mine bool) (e edit, ok bool) {
	e = edit{Change: Change{Event: event, File: h.file}, old: h}
	editor := "take our lines out by hand: $(git var GIT_EDITOR) " + shQuote(h.file)
	switch {
	case h.damaged != "":
		e.Action, e.Note, e.Hint = Refuse, h.damaged, editor
	case len(h.blocks) == 0:
		if !calls(h.data, event) {
			return e, false
		}
		e.Action, e.Note, e.Hint = Refuse, "calls the guard by a line of your own", editor
	case !mine:
		e.Action, e.Note, e.Hint = Refuse, "has our block, but is not in a place that git-agentmail writes to", editor
	case !h.mode.IsRegular():
		e.Action, e.Note, e.Hint = Refuse, "has our block, but is a symbolic link", editor
	case h.blocks[0].fresh && bare(h.rest):
		e.Action = Delete
	default:
		e.Action, e.data = Remove, h.rest
		if b := h.blocks[0]; b.fresh {
			e.Note = "was made by git-agentmail; what was added to it since stays"
		} else if b.orig != sum(h.rest) {
			e.Note = "was edited since the install; only our block goes"
		}
	}
	return e, true
}

// bare reports whether a file that we made holds nothing but its #! line.
func bare(rest []byte) bool {
	text := strings.TrimSpace(string(rest))
	return text == "" || text == strings.TrimSpace(shebang)
}
