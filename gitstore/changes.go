package gitstore

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// emptyTree is the tree without entries; git knows it without storing it.
const emptyTree OID = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"

// Changed is one path that a commit, or the index, changes. Renames are a
// deletion and an addition. Path is in exact bytes, whatever they are.
type Changed struct {
	Path   string
	Status string // A, M, D or T; of a merge one letter for each parent
}

// Deleted reports whether the path is gone afterwards.
func (c Changed) Deleted() bool { return strings.Trim(c.Status, "D") == "" }

// diffFlags: no renames (ten times slower, and both sides appear anyway), no
// filter (it would hide deletions), every submodule, exact names.
var diffFlags = []string{"--no-renames", "--ignore-submodules=none", "--name-status", "-z"}

// Staged returns what the commit that git is about to make changes, from the
// index that git made for it (the environment says which). In a merge only
// paths that differ from all parents count: the rest is carried, not made here.
// merging adds parents that git has not written down yet.
func (r *Repo) Staged(ctx context.Context, merging []OID) ([]Changed, error) {
	if len(merging) == 0 && !r.Merging() {
		if list, ok := r.stagedFiles(); ok {
			return list, nil
		}
	}
	return r.askStaged(ctx, merging)
}

// askStaged asks git, in a merge too.
func (r *Repo) askStaged(ctx context.Context, merging []OID) ([]Changed, error) {
	list, err := r.diffIndex(ctx, "HEAD")
	var ge *gitError
	if errors.As(err, &ge) && !r.HasHead(ctx) {
		list, err = r.diffIndex(ctx, emptyTree)
	}
	if err != nil {
		return nil, err
	}
	if data, err := os.ReadFile(filepath.Join(r.GitDir, "MERGE_HEAD")); err == nil {
		merging = append(merging, strings.Fields(string(data))...)
	}
	for _, parent := range merging {
		other, err := r.diffIndex(ctx, parent)
		if err != nil {
			return nil, err
		}
		differs := make(map[string]bool, len(other))
		for _, c := range other {
			differs[c.Path] = true
		}
		kept := list[:0]
		for _, c := range list {
			if differs[c.Path] {
				kept = append(kept, c)
			}
		}
		list = kept
	}
	return list, nil
}

// Merging reports whether a merge is in progress in this worktree.
func (r *Repo) Merging() bool {
	_, err := os.Stat(filepath.Join(r.GitDir, "MERGE_HEAD"))
	return err == nil
}

// HasHead reports whether HEAD names a commit; before the first one it does not.
// One that is missing or broken is there all the same: who takes that for "no
// commit yet" answers with nonsense instead of an error.
func (r *Repo) HasHead(ctx context.Context) bool {
	if _, err := r.ask(ctx, nil, "rev-parse", "--quiet", "--verify", "HEAD"); err == nil {
		return true
	}
	out, err := r.ask(ctx, nil, "symbolic-ref", "--quiet", "HEAD")
	if err != nil {
		return true // neither a branch nor a commit
	}
	_, err = os.Stat(filepath.Join(r.CommonDir, filepath.FromSlash(strings.TrimSpace(string(out)))))
	return err == nil
}

func (r *Repo) diffIndex(ctx context.Context, tree string) ([]Changed, error) {
	args := append([]string{"diff-index", "--cached", "--ita-invisible-in-index"}, diffFlags...)
	out, err := r.ask(ctx, nil, append(args, tree, "--")...)
	if err != nil {
		return nil, gitFailure("ask git what is staged", err)
	}
	commits, err := parseNameStatus(out)
	if err != nil || len(commits) == 0 {
		return nil, err
	}
	return commits[0].Changed, nil
}

func gitFailure(doing string, err error) error {
	var e *Error
	if errors.As(err, &e) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return errf(GitFailed, "%s: %w", doing, err)
}

// Commit is one commit and what it changes. Of a merge that is what differs
// from all parents.
type Commit struct {
	OID     OID
	Time    time.Time // committer's; zero where it was not asked for
	Changed []Changed
}

// parseNameStatus reads `--name-status -z`: a commit's name stands before its
// paths, and before the first where there is none of them.
func parseNameStatus(out []byte) ([]Commit, error) {
	var list []Commit
	f := bytes.Split(bytes.TrimSuffix(out, []byte{0}), []byte{0})
	for i := 0; i < len(f); i++ {
		word := string(f[i])
		switch {
		case word == "" && len(f) == 1:
		case isOID(word):
			list = append(list, Commit{OID: word})
		case strings.Trim(word, "AMDTUX") == "" && word != "" && i+1 < len(f):
			if len(list) == 0 {
				list = append(list, Commit{})
			}
			c := &list[len(list)-1]
			i++
			c.Changed = append(c.Changed, Changed{Path: string(f[i]), Status: word})
		default:
			return nil, errf(GitFailed, "cannot read git's list of changes at %q", word)
		}
	}
	return list, nil
}

// HeadCommit returns the newest commit of this worktree and what it changes.
func (r *Repo) HeadCommit(ctx context.Context) (Commit, error) {
	if c, ok := r.headFiles(); ok {
		return c, nil
	}
	return r.askHead(ctx)
}

// askHead asks git, of any commit.
func (r *Repo) askHead(ctx context.Context) (Commit, error) {
	args := append([]string{"diff-tree", "-r", "-c", "--root", "--no-ext-diff", "--always"}, diffFlags...)
	out, err := r.ask(ctx, nil, append(args, "HEAD", "--")...)
	if err != nil {
		return Commit{}, gitFailure("ask git about HEAD", err)
	}
	list, err := parseNameStatus(out)
	if err != nil || len(list) == 0 {
		return Commit{}, err
	}
	return list[0], nil
}

// RefUpdate is one line of a push.
type RefUpdate struct {
	LocalRef, RemoteRef string
	Local, Remote       OID // zeros: deleted, or new there
}

// ParseRefUpdates reads what git gives a pre-push hook.
func ParseRefUpdates(stdin []byte) ([]RefUpdate, error) {
	var list []RefUpdate
	for line := range strings.SplitSeq(string(stdin), "\n") {
		if line == "" {
			continue
		}
		// The local side is what the user wrote, such as main@{1 day ago}.
		f := strings.Split(line, " ")
		n := len(f)
		if n < 4 || !isOID(f[n-3]) || !isOID(f[n-1]) {
			return nil, errf(GitFailed, "cannot read the line %q of a push", line)
		}
		list = append(list, RefUpdate{LocalRef: strings.Join(f[:n-3], " "), Local: f[n-3], RemoteRef: f[n-2], Remote: f[n-1]})
	}
	return list, nil
}

// Pushed returns the commits that a push would add to the remote, with what
// each changes, but for those that change nothing: all that is reachable from
// the pushed tips and from nothing the remote is known to have. Two git
// processes, whatever the number of refs.
func (r *Repo) Pushed(ctx context.Context, remote, url string, updates []RefUpdate) ([]Commit, error) {
	known := "--remotes=" + remote
	if remote == url || remote == "" {
		known = "--remotes" // pushed by URL: no tracking refs of its own
	}
	list := func(unknown string) ([]byte, error) {
		var in strings.Builder
		for _, u := range updates {
			if u.Local == zeroOID {
				continue // a deletion brings nothing
			}
			in.WriteString(u.Local + "\n")
			if u.Remote != zeroOID && !strings.Contains(unknown, u.Remote) {
				in.WriteString("^" + u.Remote + "\n")
			}
		}
		if in.Len() == 0 {
			return nil, nil
		}
		return r.ask(ctx, []byte(in.String()), "rev-list", "--timestamp", "--stdin", "--not", known)
	}
	out, err := list("")
	if err != nil {
		// A force push may replace what is unknown here. (With --ignore-missing
		// a pushed commit that is missing would be passed over in silence.)
		var remotes strings.Builder
		for _, u := range updates {
			remotes.WriteString(u.Remote + "\n")
		}
		var there []byte
		if there, err = r.ask(ctx, []byte(remotes.String()), "cat-file", "--batch-check"); err == nil {
			var unknown strings.Builder
			for line := range strings.SplitSeq(string(there), "\n") {
				if oid, missing := strings.CutSuffix(line, " missing"); missing {
					unknown.WriteString(oid + " ")
				}
			}
			out, err = list(unknown.String())
		}
	}
	if err != nil {
		return nil, gitFailure("ask git which commits the push adds", err)
	}
	return r.commits(ctx, out)
}

// ParseReceived reads what git gives a pre-receive hook on a host. Both sides of a
// RefUpdate are the host's ref.
func ParseReceived(stdin []byte) ([]RefUpdate, error) {
	var list []RefUpdate
	for line := range strings.SplitSeq(string(stdin), "\n") {
		if line == "" {
			continue
		}
		f := strings.SplitN(line, " ", 3)
		if len(f) < 3 || !isOID(f[0]) || !isOID(f[1]) {
			return nil, errf(GitFailed, "cannot read the line %q of a push", line)
		}
		list = append(list, RefUpdate{LocalRef: f[2], Local: f[1], RemoteRef: f[2], Remote: f[0]})
	}
	return list, nil
}

// Received is Pushed on the side of the host, which has the new commits in
// quarantine: all that no ref of its own reaches.
func (r *Repo) Received(ctx context.Context, updates []RefUpdate) ([]Commit, error) {
	var in strings.Builder
	for _, u := range updates {
		if u.Local != zeroOID {
			in.WriteString(u.Local + "\n")
		}
	}
	if in.Len() == 0 {
		return nil, nil
	}
	out, err := r.ask(ctx, []byte(in.String()), "rev-list", "--timestamp", "--stdin", "--not", "--all")
	if err != nil {
		return nil, gitFailure("ask git which commits the push brings", err)
	}
	return r.commits(ctx, out)
}

// Between returns the commits that b has and a has not, with what each changes,
// but for those that change nothing.
func (r *Repo) Between(ctx context.Context, a, b string) ([]Commit, error) {
	out, err := r.ask(ctx, nil, "rev-list", "--timestamp", b, "^"+a, "--")
	if err != nil {
		return nil, gitFailure("ask git for the commits from "+a+" to "+b, err)
	}
	return r.commits(ctx, out)
}

// Range returns what changes from the merge base of a and b to b.
func (r *Repo) Range(ctx context.Context, a, b string) ([]Changed, error) {
	base, err := r.ask(ctx, nil, "merge-base", a, b)
	if err != nil {
		return nil, gitFailure("find where "+a+" and "+b+" part", err)
	}
	args := append([]string{"diff-tree", "-r", "--no-ext-diff"}, diffFlags...)
	out, err := r.ask(ctx, nil, append(args, strings.TrimSpace(string(base)), b, "--")...)
	if err != nil {
		return nil, gitFailure("ask git what changed", err)
	}
	commits, err := parseNameStatus(out)
	if err != nil || len(commits) == 0 {
		return nil, err
	}
	return commits[0].Changed, nil
}

// commits takes the output of `rev-list --timestamp`.
func (r *Repo) commits(ctx context.Context, list []byte) ([]Commit, error) {
	times := map[OID]time.Time{}
	var in bytes.Buffer
	for line := range strings.SplitSeq(string(list), "\n") {
		sec, oid, ok := strings.Cut(line, " ")
		if n, err := strconv.ParseInt(sec, 10, 64); ok && err == nil {
			times[oid] = time.Unix(n, 0)
			in.WriteString(oid + "\n")
		}
	}
	if in.Len() == 0 {
		return nil, nil
	}
	args := append([]string{"diff-tree", "--stdin", "-r", "-c", "--root", "--no-ext-diff"}, diffFlags...)
	out, err := r.ask(ctx, in.Bytes(), args...)
	if err != nil {
		return nil, gitFailure("ask git what the commits change", err)
	}
	commits, err := parseNameStatus(out)
	for i := range commits {
		commits[i].Time = times[commits[i].OID]
	}
	return commits, err
}

// Tracked returns the names of all files in the index, none in a bare repository. Nobody
// may change the list: it is kept for as long as the index is the same file, which git
// replaces whenever it writes it.
func (r *Repo) Tracked(ctx context.Context) ([]string, error) {
	if r.TopLevel == "" {
		return nil, nil
	}
	r.trackedLock.Lock()
	defer r.trackedLock.Unlock()
	now, err := os.Stat(filepath.Join(r.GitDir, "index"))
	if err == nil && r.trackedIn != nil && os.SameFile(now, r.trackedIn) && now.ModTime().Equal(r.trackedIn.ModTime()) && now.Size() == r.trackedIn.Size() {
		return r.tracked, nil
	}
	list, lerr := r.lsFiles(ctx)
	if lerr != nil {
		return nil, lerr
	}
	if r.trackedIn, r.tracked = nil, nil; err == nil && !slices.ContainsFunc(r.given, func(kv string) bool { return strings.HasPrefix(kv, "GIT_INDEX_FILE=") }) {
		r.trackedIn, r.tracked = now, list
	}
	return list, nil
}

func (r *Repo) lsFiles(ctx context.Context) ([]string, error) {
	// ls-files lists what is below the directory it runs in.
	out, err := r.askIn(ctx, r.TopLevel, nil, "ls-files", "-z", "--full-name")
	if err != nil {
		return nil, gitFailure("list the tracked files", err)
	}
	return splitNul(out), nil
}

func splitNul(out []byte) []string {
	if len(out) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

// Branch returns the short name of the branch of this worktree, "" if HEAD is
// detached.
func (r *Repo) Branch(ctx context.Context) string {
	if data, err := os.ReadFile(filepath.Join(r.GitDir, "HEAD")); err == nil {
		if branch, ok := strings.CutPrefix(strings.TrimSuffix(string(data), "\n"), "ref: refs/heads/"); ok && !strings.ContainsAny(branch, " \t\r\n") {
			return branch
		}
	}
	out, err := r.ask(ctx, nil, "symbolic-ref", "--quiet", "--short", "HEAD")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// WorktreeName names this linked worktree as git does, "" for the main one.
func (r *Repo) WorktreeName() string {
	if r.GitDir == r.CommonDir {
		return ""
	}
	if filepath.Dir(r.GitDir) == filepath.Join(r.CommonDir, "worktrees") {
		return filepath.Base(r.GitDir)
	}
	return ""
}

// Worktree is one work tree of the repository.
type Worktree struct {
	Path   string
	GitDir string
	Branch string
	Bare   bool
}

// Worktrees lists all work trees, the main one first.
func (r *Repo) Worktrees(ctx context.Context) ([]Worktree, error) {
	out, err := r.own(ctx, nil, "worktree", "list", "--porcelain", "-z")
	if err != nil {
		return nil, gitFailure("list the worktrees", err)
	}
	var list []Worktree
	for _, f := range splitNul(out) {
		key, value, _ := strings.Cut(f, " ")
		if key == "worktree" {
			list = append(list, Worktree{Path: clean(value)})
		}
		if len(list) == 0 {
			continue
		}
		w := &list[len(list)-1]
		switch key {
		case "branch":
			w.Branch = strings.TrimPrefix(value, "refs/heads/")
		case "bare":
			w.Bare = true
		}
	}
	names, _ := os.ReadDir(filepath.Join(r.CommonDir, "worktrees"))
	for i := range list {
		list[i].GitDir = r.CommonDir
		for _, n := range names {
			dir := filepath.Join(r.CommonDir, "worktrees", n.Name())
			data, err := os.ReadFile(filepath.Join(dir, "gitdir"))
			if err == nil && i > 0 && filepath.Dir(clean(strings.TrimSpace(string(data)))) == list[i].Path {
				list[i].GitDir = dir
			}
		}
	}
	return list, nil
}

// LastCommit returns the time of the newest commit on any branch that changed
// one of paths; zero if there is none.
func (r *Repo) LastCommit(ctx context.Context, paths []string) (time.Time, error) {
	last := func(revs ...string) ([]byte, error) {
		args := append(append([]string{"log", "-1", "--format=%ct"}, revs...), "--")
		for _, p := range paths {
			args = append(args, ":(top,literal)"+p)
		}
		return r.ask(ctx, nil, args...)
	}
	out, err := last("--branches", "HEAD")
	if err != nil && !r.HasHead(ctx) {
		out, err = last("--branches")
	}
	if err != nil {
		return time.Time{}, gitFailure("ask git for the last commit", err)
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	if err != nil {
		return time.Time{}, nil
	}
	return time.Unix(n, 0), nil
}

// LogEntry is one commit of the logs, for `whois`.
type LogEntry struct {
	OID     OID
	Subject string
	Time    time.Time
}

// LogBy returns the newest n commits of the logs whose trailer key has value.
func (r *Repo) LogBy(ctx context.Context, key, value string, n int) ([]LogEntry, error) {
	out, err := r.own(ctx, nil, "log", "--glob="+logPrefix+"*", "-z", "--author-date-order",
		"--grep=^"+key+": "+regexp.QuoteMeta(value)+"$", "--extended-regexp", "-n", strconv.Itoa(n), "--format=%H%x01%at%x01%s")
	if err != nil {
		return nil, gitFailure("read the logs' history", err)
	}
	var list []LogEntry
	for _, line := range splitNul(out) {
		f := strings.SplitN(line, "\x01", 3)
		if len(f) != 3 {
			continue
		}
		sec, _ := strconv.ParseInt(f[1], 10, 64)
		list = append(list, LogEntry{f[0], f[2], time.Unix(sec, 0)})
	}
	return list, nil
}

// Addition is a file that a commit of the logs added.
type Addition struct {
	LogEntry
	Path  string
	Lines int // -1 of what is no text
}

// Additions calls fn with what the newest commits of the logs added, at most most of them,
// until it returns false.
func (r *Repo) Additions(ctx context.Context, most int, fn func(Addition) bool) error {
	out, err := r.own(ctx, nil, "log", "--glob="+logPrefix+"*", "-z", "--author-date-order", "-n", strconv.Itoa(most),
		"--basic-regexp", "--invert-grep", "--grep=^"+signWord, "--numstat", "--no-renames", "--format=%x01%H%x01%at%x01%s")
	if err != nil {
		return gitFailure("read the logs' history", err)
	}
	var at LogEntry
	for _, line := range splitNul(out) {
		line = strings.TrimLeft(line, "\n")
		if head, ok := strings.CutPrefix(line, "\x01"); ok {
			f := strings.SplitN(head, "\x01", 3)
			if len(f) != 3 {
				return errf(GitFailed, "read the logs' history: %q is not a commit", line)
			}
			sec, _ := strconv.ParseInt(f[1], 10, 64)
			at = LogEntry{f[0], f[2], time.Unix(sec, 0)}
			continue
		}
		f := strings.SplitN(line, "\t", 3)
		if len(f) != 3 {
			continue
		}
		n, err := strconv.Atoi(f[0])
		if err != nil {
			n = -1
		}
		if !fn(Addition{at, f[2], n}) {
			return nil
		}
	}
	return nil
}
