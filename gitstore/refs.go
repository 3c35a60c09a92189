package gitstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strconv"
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

// logTips reads the refs of all logs.
func (r *Repo) logTips() (map[string]OID, error) { return r.refsIn(logPrefix, isReplica) }

// refsIn reads the refs in a directory, by the names that want is true for, from the files
// themselves: a process per question would cost more than everything else the guard does.
// Loose refs first, then packed ones: git packs a ref before it removes the loose file, so
// in this order a ref is never missed. (A reftable repository is refused by Find.)
func (r *Repo) refsIn(prefix string, want func(name string) bool) (map[string]OID, error) {
	tips := map[string]OID{}
	dir := filepath.Join(r.CommonDir, filepath.FromSlash(prefix))
	entries, err := os.ReadDir(dir)
	if errors.Is(err, syscall.ENOTDIR) {
		return nil, errf(Damaged, "a ref is where the directory %s belongs: %w", prefix, err)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errf(ReadOnly, "read the refs below %s: %w", prefix, err)
	}
	for _, e := range entries {
		if !want(e.Name()) || e.IsDir() {
			continue // a lock, or nothing of ours
		}
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue // packed or deleted since
		}
		if err != nil {
			return nil, errf(ReadOnly, "read the ref %s: %w", prefix+e.Name(), err)
		}
		oid := strings.TrimSpace(string(data))
		if !isOID(oid) {
			return nil, errf(Damaged, "the ref %s does not hold an object name", prefix+e.Name())
		}
		tips[e.Name()] = oid
	}
	packed, err := os.ReadFile(filepath.Join(r.CommonDir, "packed-refs"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errf(ReadOnly, "read packed-refs: %w", err)
	}
	needle := []byte(" " + prefix)
	for {
		i := bytes.Index(packed, needle)
		if i < 0 {
			return tips, nil
		}
		name, rest, _ := bytes.Cut(packed[i+len(needle):], []byte("\n"))
		if start := bytes.LastIndexByte(packed[:i], '\n') + 1; isOID(string(packed[start:i])) {
			if _, loose := tips[string(name)]; !loose && want(string(name)) {
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
	OID    OID
	Tree   map[string]OID // the top directories and files of the log, by name
	Header Header
}

// tipsFile names the file of the tips. A ref of ours that a stray `fetch --prune`
// or `push --mirror` removed or set back is put right from it before anything
// is answered. It is not synced to disk with every commit: a stale one costs a
// look, and one that cannot be read means only that nothing is remembered.
//
// It is lines and not JSON, as is replicaFile: a hook reads both with every commit,
// and to decode JSON once takes a new process longer than all its questions of the
// file system. For each log it has a line, and below it one for each name in its tree:
//
//	log <replica> <tip> <format> <ephemeral> <epoch> <upto> <created> [<key>]
//	<oid> <name>
//
// Times, keys and names are quoted as in Go. The last line says that it is whole.
const (
	tipsFile  = "tips"
	tipsMagic = "git-agentmail tips 1"
	tipsEnd   = "end"
)

// readTips returns what is remembered. Not to be allowed to read it is an error: who
// took that for "nothing" would not see that a ref was set back.
func (r *Repo) readTips() (map[string]*tip, error) {
	data, err := os.ReadFile(r.dir(tipsFile))
	if errors.Is(err, fs.ErrPermission) {
		return nil, errf(ReadOnly, "read %q: %w", r.dir(tipsFile), err)
	}
	if tips, ok := parseTips(string(data)); ok && err == nil {
		return tips, nil
	}
	return map[string]*tip{}, nil
}

func formatTips(logs map[string]*tip) []byte {
	b := []byte(tipsMagic + "\n")
	for replica, t := range logs {
		h := t.Header
		b = fmt.Appendf(b, "log %s %s %d %t %d %d %q", replica, t.OID, h.Format, h.Ephemeral, h.Base.Epoch, h.Base.Upto, h.Created)
		if h.Key != "" {
			b = fmt.Appendf(b, " %q", h.Key)
		}
		b = append(b, '\n')
		for name, oid := range t.Tree {
			b = fmt.Appendf(b, "%s %q\n", oid, name)
		}
	}
	return append(b, tipsEnd+"\n"...)
}

// parseTips reads what formatTips wrote. A log of which too little is said is left out.
func parseTips(s string) (map[string]*tip, bool) {
	tips := map[string]*tip{}
	var t *tip
	first, s, _ := strings.Cut(s, "\n")
	if first != tipsMagic {
		return nil, false
	}
	for line := ""; s != ""; {
		line, s, _ = strings.Cut(s, "\n")
		if line == tipsEnd {
			maps.DeleteFunc(tips, func(_ string, t *tip) bool { return !isOID(t.OID) || !isOID(t.Tree[headerFile]) })
			return tips, s == ""
		}
		word, rest, _ := strings.Cut(line, " ")
		if word != "log" {
			name, err := strconv.Unquote(rest)
			if err != nil || t == nil || !isOID(word) {
				return nil, false
			}
			t.Tree[name] = word
			continue
		}
		w := strings.SplitN(rest, " ", 7)
		if len(w) < 7 {
			return nil, false
		}
		created, err := strconv.QuotedPrefix(w[6])
		key, keyed := strings.CutPrefix(w[6][len(created):], " ")
		var errs [6]error
		t = &tip{OID: w[1], Tree: map[string]OID{}, Header: Header{Replica: w[0]}}
		t.Header.Format, errs[0] = strconv.Atoi(w[2])
		t.Header.Ephemeral, errs[1] = strconv.ParseBool(w[3])
		t.Header.Base.Epoch, errs[2] = strconv.Atoi(w[4])
		t.Header.Base.Upto, errs[3] = strconv.ParseInt(w[5], 10, 64)
		t.Header.Created, errs[4] = strconv.Unquote(created)
		if keyed {
			t.Header.Key, errs[5] = strconv.Unquote(key)
		}
		if err != nil || errors.Join(errs[:]...) != nil || !keyed && created != w[6] {
			return nil, false
		}
		tips[w[0]] = t
	}
	return nil, false
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
