package mailbox

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/git-agentmail/git-agentmail/mail"
)

// What may be opened is decided on paths without symbolic links, below roots without any.

// resolve returns a path as it is without symbolic links, as far as it exists. sure is
// false where a link leads to nothing.
func resolve(path string) (place string, sure bool) {
	if !filepath.IsAbs(path) {
		if isAbsolute(path) {
			return path, true // another platform's
		}
		abs, err := filepath.Abs(path)
		if err != nil {
			return path, false
		}
		path = abs
	}
	path = filepath.Clean(path)
	for at, rest := path, ""; ; {
		if real, err := filepath.EvalSymlinks(at); err == nil {
			return filepath.Join(real, rest), true
		}
		if st, err := os.Lstat(at); err == nil && st.Mode()&os.ModeSymlink != 0 {
			return path, false
		}
		up := filepath.Dir(at)
		if up == at {
			return path, true
		}
		at, rest = up, filepath.Join(filepath.Base(at), rest)
	}
}

// nearestDir returns the place, or the nearest directory above it that is there.
func nearestDir(place string) string {
	for {
		if st, err := os.Stat(place); err == nil && st.IsDir() {
			return place
		}
		up := filepath.Dir(place)
		if up == place {
			return place
		}
		place = up
	}
}

func (p *Projects) allowed(place string) bool {
	return len(p.roots) == 0 || slices.ContainsFunc(p.roots, func(root string) bool { return within(root, place) })
}

func within(root, place string) bool {
	rel, err := filepath.Rel(root, place)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)) && !filepath.IsAbs(rel)
}

// outsideRoots is one error for all places, so that nobody learns from it what is there.
func outsideRoots(path string) error {
	return mail.Errorf(mail.Denied, "%q is outside the directories that are served here", clip(path, 200))
}
