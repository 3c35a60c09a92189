package gitstore

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// The namespace is frozen: only refs/agentmail/<word>/… exist, for a ref x
// forbids x/y for ever.
const (
	refRoot   = "refs/agentmail/"
	logPrefix = refRoot + "log/"
)

func logRef(replica string) string { return logPrefix + replica }

// logTips reads the refs of all logs from the files themselves: a process per
// question would cost more than everything else the guard does. Loose refs
// first, then packed ones: git packs a ref before it removes the loose file, so
// in this order a ref is never missed. (A reftable repository is refused by
// Find.)
func (r *Repo) logTips() (map[string]OID, error) {
	tips := map[string]OID{}
	dir := filepath.Join(r.CommonDir, filepath.FromSlash(logPrefix))
	entries, err := os.ReadDir(dir)
	if errors.Is(err, syscall.ENOTDIR) {
		return nil, errf(Damaged, "a ref is where the directory %s belongs: %w", logPrefix, err)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errf(ReadOnly, "read the refs below %s: %w", logPrefix, err)
	}
	for _, e := range entries {
		if !isReplica(e.Name()) || e.IsDir() {
			continue // a lock, or nothing of ours
		}
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // packed or deleted since
		}
		if err != nil {
			return nil, errf(ReadOnly, "read the ref %s: %w", logRef(e.Name()), err)
		}
		oid := strings.TrimSpace(string(data))
		if !isOID(oid) {
			return nil, errf(Damaged, "the ref %s does not hold an object name", logRef(e.Name()))
		}
		tips[e.Name()] = oid
	}
	packed, err := os.ReadFile(filepath.Join(r.CommonDir, "packed-refs"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errf(ReadOnly, "read packed-refs: %w", err)
	}
	needle := []byte(" " + logPrefix)
	for {
		i := bytes.Index(packed, needle)
		if i < 0 {
			return tips, nil
		}
		name, rest, _ := bytes.Cut(packed[i+len(needle):], []byte("\n"))
		if start := bytes.LastIndexByte(packed[:i], '\n') + 1; isOID(string(packed[start:i])) {
			if _, loose := tips[string(name)]; !loose && isReplica(string(name)) {
				tips[string(name)] = string(packed[start:i])
			}
		}
		packed = rest
	}
}

func isOID(s string) bool {
	return len(s) == 40 && strings.Trim(s, "0123456789abcdef") == ""
}

// A tip is what this clone last accepted as the end of one log, with what is
// needed to answer from caches without starting git.
type tip struct {
	OID    OID            `json:"tip"`
	Tree   map[string]OID `json:"tree"` // the top directories and files of the log, by name
	Header Header         `json:"header"`
}

// tipsFile is agentmail/tips.json. A ref of ours that a stray `fetch --prune`
// or `push --mirror` removed or set back is put right from it before anything
// is answered. It is not synced to disk with every commit: a stale one costs a
// look, and one that cannot be read means only that nothing is remembered.
type tipsFile struct {
	V    int             `json:"v"`
	Logs map[string]*tip `json:"logs"`
}

func (r *Repo) readTips() map[string]*tip {
	var f tipsFile
	if err := readJSON(r.dir("tips.json"), &f); err != nil || f.V != 1 || f.Logs == nil {
		return map[string]*tip{}
	}
	for replica, t := range f.Logs {
		if t == nil || !isOID(t.OID) || !isOID(t.Tree[headerFile]) {
			delete(f.Logs, replica)
		}
	}
	return f.Logs
}

// isAncestor reports whether a is b or an ancestor of it. Both must exist.
func (r *Repo) isAncestor(ctx context.Context, a, b OID) (bool, error) {
	_, err := r.own(ctx, nil, "merge-base", "--is-ancestor", a, b)
	var ge *gitError
	switch {
	case err == nil:
		return true, nil
	case errors.As(err, &ge) && ge.status == 1:
		return false, nil
	}
	return false, err
}
