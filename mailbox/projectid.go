package mailbox

import (
	"cmp"
	"context"
	"crypto/sha1"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The files by which a repository can say which project it is.
const (
	uidFile       = ".agent-mail-project-id"
	discoveryFile = ".agent-mail.yaml"
)

// Identity says where the project is and what it is called, as seen from the work tree that
// the mailbox was opened in.
func (b *Box) Identity(ctx context.Context) (Identity, error) {
	p := b.Project()
	id := Identity{
		Slug: p.Slug, HumanKey: p.HumanKey, IdentityModeUsed: "git-common-dir", CanonicalPath: p.HumanKey,
		RepoRoot: optional(b.repo.TopLevel), GitCommonDir: b.repo.CommonDir, Branch: optional(b.repo.Branch(ctx)),
		WorktreeName: optional(b.repo.WorktreeName()), CoreIgnoreCase: b.ignoreCase(ctx),
	}
	url, _ := b.repo.Get(ctx, "remote.origin.url")
	id.NormalizedRemote = optional(normalRemote(url.Value))
	if err := ctx.Err(); err != nil {
		return Identity{}, asMail(err)
	}
	id.Discovery = b.discovery()
	id.ProjectUID = b.projectUID(id)
	return id, nil
}

// projectUID is the same in every clone if the repository, or its remote, says so.
func (b *Box) projectUID(id Identity) string {
	for _, uid := range []string{b.readTree(uidFile), id.Discovery["project_uid"], readSmall(filepath.Join(b.repo.CommonDir, "agent-mail", "project-id"))} {
		if uid = oneLine(uid); uid != "" && len(uid) <= 128 && utf8.ValidString(uid) && !strings.ContainsFunc(uid, unicode.IsControl) {
			return uid
		}
	}
	from := b.repo.CommonDir
	if id.NormalizedRemote != nil {
		from = *id.NormalizedRemote + "@" + b.defaultBranch()
	}
	return fmt.Sprintf("%x", sha1.Sum([]byte(from)))[:20]
}

// defaultBranch is that of the remote origin, as the clone remembers it.
func (b *Box) defaultBranch() string {
	data := readSmall(filepath.Join(b.repo.CommonDir, "refs", "remotes", "origin", "HEAD"))
	name, _ := strings.CutPrefix(strings.TrimSpace(data), "ref: refs/remotes/origin/")
	return cmp.Or(name, "main")
}

// discovery reads the plain lines "key: value" of .agent-mail.yaml: project_uid and
// product_uid are all that is known to stand there.
func (b *Box) discovery() map[string]string {
	data := b.readTree(discoveryFile)
	if data == "" {
		return nil
	}
	found := map[string]string{}
	for line := range strings.Lines(strings.ToValidUTF8(data, "?")) {
		key, value, ok := strings.Cut(line, ":")
		if !ok || key == "" || strings.ContainsAny(key[:1], " \t#-") {
			continue
		}
		value, _, _ = strings.Cut(value, " #")
		if value = strings.Trim(strings.TrimSpace(value), `"'`); value != "" {
			found[strings.TrimSpace(key)] = value
		}
	}
	return found
}

// maxSmall is how much is read of a file that is a few lines long.
const maxSmall = 64 << 10

// readTree reads a file at the top of the work tree. What it says is told to whoever asks,
// so a link out of the tree is not followed.
func (b *Box) readTree(name string) string {
	if b.repo.TopLevel == "" {
		return ""
	}
	root, err := os.OpenRoot(b.repo.TopLevel)
	if err != nil {
		return ""
	}
	defer root.Close()
	return beginning(name, root.Stat, root.Open)
}

func readSmall(name string) string { return beginning(name, os.Stat, os.Open) }

// beginning reads the beginning of a regular file, "" if there is none to be read.
func beginning(name string, stat func(string) (os.FileInfo, error), open func(string) (*os.File, error)) string {
	if st, err := stat(name); err != nil || !st.Mode().IsRegular() {
		return ""
	}
	f, err := open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSmall))
	if err != nil {
		return ""
	}
	return string(data)
}

// normalRemote brings the ways of writing one remote to host/path, without user, password,
// port and .git. It is "" for what is no address of another host.
func normalRemote(url string) string {
	host, path, ok := "", "", false
	if scheme, rest, is := strings.Cut(url, "://"); is {
		host, path, ok = strings.Cut(rest, "/")
		ok = ok && !strings.EqualFold(scheme, "file")
	} else {
		host, path, ok = strings.Cut(url, ":")
		ok = ok && !strings.ContainsAny(host, `/\`) && len(host) > 1 // C:\repo
	}
	if i := strings.LastIndexByte(host, '@'); i >= 0 {
		host = host[i+1:]
	}
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	path = strings.Trim(strings.TrimSuffix(strings.TrimRight(path, "/"), ".git"), "/")
	if !ok || host == "" || path == "" {
		return ""
	}
	return strings.ToLower(host) + "/" + path
}
