package mailbox

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/git-agentmail/git-agentmail/mail"
)

// maxAttached is how much the files of one message may have together where it is us who
// read them, in bytes: a list may name the same one a thousand times.
const maxAttached = 8 * mail.MaxAttachment

// readFiles reads what is to be sent along. A path is relative to the root of the work
// tree, or absolute. What it leads to, links followed, must be a file in there, and none
// of git's own: who calls a server is not always somebody who can read what the server
// can. ALLOW_ABSOLUTE_ATTACHMENT_PATHS in the server's environment allows any file.
func (b *Box) readFiles(paths []string) ([]AttachFile, error) {
	var list []AttachFile
	left := int64(maxAttached)
	for _, p := range paths {
		data, err := b.readFile(p)
		if err != nil {
			return nil, err
		}
		if left -= int64(len(data)); left < 0 {
			return nil, mail.Errorf(mail.Invalid, "the attachments are larger than %d bytes together; nothing was sent", maxAttached)
		}
		list = append(list, AttachFile{filepath.Base(p), data})
	}
	return list, nil
}

func (b *Box) readFile(given string) ([]byte, error) {
	top := b.repo.TopLevel
	if top != "" { // or it would be where the server runs
		top = evalSymlinks(top)
	}
	name, err := given, error(nil)
	stat, open := os.Stat, os.Open
	if truthy(b.getenv("ALLOW_ABSOLUTE_ATTACHMENT_PATHS")) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(top, name)
		}
	} else {
		if name, err = b.ownFile(top, given); err != nil {
			return nil, err
		}
		root, err := os.OpenRoot(top) // should a link be put in the way now
		if err != nil {
			return nil, unreadable(given, err)
		}
		defer root.Close()
		stat, open = root.Stat, root.Open
	}
	info, err := stat(name)
	switch {
	case err != nil:
		return nil, unreadable(given, err)
	case !info.Mode().IsRegular(): // to open a pipe would wait for who writes into it
		return nil, mail.Errorf(mail.Invalid, "attachment %q is not a file; nothing was sent", given).With("attachment", given)
	case info.Size() > mail.MaxAttachment:
		return nil, mail.Errorf(mail.Invalid, "attachment %q of %d bytes is larger than %d; nothing was sent", given, info.Size(), mail.MaxAttachment).With("attachment", given)
	}
	f, err := open(name)
	if err != nil {
		return nil, unreadable(given, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, mail.MaxAttachment+1))
	if err != nil {
		return nil, unreadable(given, err)
	}
	return data, nil
}

// ownFile returns where in the work tree a file is that may be sent. Of one that is not
// in there it does not tell whether it exists.
func (b *Box) ownFile(top, given string) (string, error) {
	if top == "" {
		return "", mail.Errorf(mail.Invalid, "attachment %q: a bare repository has no work tree to take files from; nothing was sent", given).With("attachment", given)
	}
	outside := mail.Errorf(mail.Invalid, "attachment %q is outside the work tree; nothing was sent", given).With("attachment", given).
		Hint("copy it to %s, or start the server with ALLOW_ABSOLUTE_ATTACHMENT_PATHS=true", top)
	rel := given
	if filepath.IsAbs(given) {
		r, err := filepath.Rel(top, resolved(given))
		if err != nil {
			return "", outside
		}
		rel = r
	}
	if !filepath.IsLocal(rel) {
		return "", outside
	}
	file, err := filepath.EvalSymlinks(filepath.Join(top, rel))
	if err != nil {
		// Through a link one could ask what is outside; one to nothing may lead anywhere.
		if place, sure := resolve(filepath.Join(top, rel)); !sure || !within(top, place) {
			return "", outside
		}
		return "", unreadable(given, err)
	}
	if rel, err = filepath.Rel(top, file); err != nil || !filepath.IsLocal(rel) {
		return "", outside
	}
	inGit := slices.ContainsFunc(strings.Split(filepath.ToSlash(rel), "/"), func(name string) bool { return strings.EqualFold(name, ".git") })
	for _, dir := range []string{b.repo.GitDir, b.repo.CommonDir} {
		r, err := filepath.Rel(evalSymlinks(dir), file)
		inGit = inGit || err == nil && filepath.IsLocal(r)
	}
	if inGit {
		return "", mail.Errorf(mail.Invalid, "attachment %q is one of git's own files; nothing was sent", given).With("attachment", given)
	}
	return rel, nil
}

func unreadable(given string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return mail.Errorf(mail.NotFound, "attachment %q not found; nothing was sent", given).With("attachment", given)
	}
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return mail.Errorf(mail.Invalid, "attachment %q cannot be read: %w", given, err).With("attachment", given)
}

// truthy is how the other program's variables say yes.
func truthy(v string) bool {
	switch strings.ToLower(strings.TrimSpace(v)) {
	case "1", "true", "t", "yes", "y":
		return true
	}
	return false
}
