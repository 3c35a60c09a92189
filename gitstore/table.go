package gitstore

import (
	"cmp"
	"context"
	"encoding/hex"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// A hub may keep a table: a few small files that every clone changes. There is one version
// of it after the other, each a commit on the one before, and the hub's ref moves only from
// the version that a change was made from. So of two changes made at once one is
// refused, and whoever is refused looks at the table again. This package does not know
// what the files say. A log needs nothing of the kind, for only its owner writes it.
const (
	tableRef    = refRoot + "locks"
	tableBranch = headsPrefix + "locks" // where a hub takes nothing but branches

	// In the image of a hub: its table at the last fetch, and the version that counts for this
	// clone, which stays when the hub's is gone.
	tableSeen  = "locks"
	tableKnown = "table"
	// And the one that was last on its way with a push of branches.
	tablePushed = "push"

	// What is larger was not made by us. That is ten thousand entries and more.
	tableFiles = 20_000
	tableBytes = 16 << 20
)

// tableSpec is the refspec that fetches the table into an image. One without a star would
// make the fetch fail where there is no table.
func tableSpec(root string) string { return "+" + refRoot + "lock*:" + root + "lock*" }

// isTable reports whether it is a hub's table that is pushed.
func (p pushSpec) isTable() bool { return p.to == tableRef || p.to == tableBranch }

// Table is the newest version of a hub's table.
type Table struct {
	Changed bool // since this clone last saw it

	store *Store
	ref   string // at the hub
	at    OID    // what the hub has, "" if nothing
	tip   OID    // the version that counts: at, or a later one that the hub has lost
	was   OID    // the version that counted before, if tip does not go on from it
	tried OID    // the version that a push of the user's own refs was to bring
}

// TableChange is what becomes of a table.
type TableChange struct {
	Files   map[string][]byte // all of them
	Subject string            // one line for people
	Alone   bool              // the versions before are let go
}

// Revise is asked what becomes of a hub's table, after the logs have come and before the own
// one goes. It gets the newest version; nil leaves that as it is. It may be asked again. An
// error is one with the table: the logs go all the same.
type Revise func(context.Context, *Table) (*TableChange, error)

// Ref is where it stands at the hub.
func (t *Table) Ref() string { return t.ref }

// Files returns what the table holds, nothing if there is none.
func (t *Table) Files(ctx context.Context) (map[string][]byte, error) {
	return t.store.tableAt(ctx, t.tip)
}

// Before returns what the table held that counted before, nil if this one goes on from it:
// somebody set it back or wrote it anew.
func (t *Table) Before(ctx context.Context) (map[string][]byte, error) {
	if t.was == "" {
		return nil, nil
	}
	return t.store.tableAt(ctx, t.was)
}

func (s *Store) tableAt(ctx context.Context, oid OID) (map[string][]byte, error) {
	files := map[string][]byte{}
	if oid == "" {
		return files, nil
	}
	none := errf(Damaged, "the table %s is none that this program makes", oid)
	data, err := s.objects.one(oid, "commit")
	if KindOf(err) == Damaged {
		return nil, none
	} else if err != nil {
		return nil, err
	}
	var names []string
	var oids []OID
	top := parseCommit(data).tree
	list, err := s.tree(top)
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		below := []treeEntry{{oid: e.oid}}
		if e.dir {
			if below, err = s.tree(e.oid); err != nil {
				return nil, err
			}
		}
		for _, f := range below {
			names, oids = append(names, strings.TrimSuffix(e.name+"/"+f.name, "/")), append(oids, f.oid)
			if f.dir || len(oids) > tableFiles {
				return nil, none
			}
		}
	}
	if len(oids) == 0 { // ours has one file at least, and who reads nothing takes all for free
		return nil, none
	}
	size := 0
	return files, s.objects.each(oids, func(i int, ob object) error {
		if size += len(ob.data); ob.kind != "blob" || size > tableBytes {
			return none
		}
		files[names[i]] = ob.data
		return nil
	})
}

// LastTable returns the table of a remote as it was at the last exchange.
func (s *Store) LastTable(ctx context.Context, remote string) (map[string][]byte, error) {
	refs, err := s.repo.refsIn(hubPrefix+hubID(remote)+"/", func(name string) bool { return name == tableKnown })
	if err != nil {
		return nil, err
	}
	return s.tableAt(ctx, refs[tableKnown])
}

// table returns a hub's table after a fetch.
func (s *Store) table(ctx context.Context, remote string, branches bool) (*Table, error) {
	root := hubPrefix + hubID(remote) + "/"
	refs, err := s.repo.refsIn(root, func(name string) bool { return name == tableSeen || name == tableKnown })
	if err != nil {
		return nil, err
	}
	heads, err := s.repo.refsIn(root+"heads/", func(name string) bool { return name == tableSeen })
	if err != nil {
		return nil, err
	}
	t := &Table{store: s, ref: tableRef, at: refs[tableSeen]}
	if branch := heads[tableSeen]; branch != "" && t.at != "" {
		return nil, errf(Damaged, "%q has two tables of strong reservations, %s and %s, so nobody knows which counts", remote, tableRef, tableBranch).
			hint("git push %s :%s", remote, tableBranch)
	} else if branch != "" || t.at == "" && branches {
		t.ref, t.at = tableBranch, branch
	}
	known := refs[tableKnown]
	if t.tip = t.at; t.at == known {
		return t, nil
	}
	if t.at == "" {
		t.tip = known // something removed it
		return t, nil
	}
	t.Changed = true
	if _, err := s.objects.one(t.at, "commit"); KindOf(err) == Damaged {
		t.was = known // which Files finds fault with
		return t, nil
	}
	if known != "" {
		if set, err := s.leadsOn(ctx, t.at, known); err != nil {
			return nil, gitFailure("compare the table with the one of the last exchange", err)
		} else if set {
			t.tip, t.Changed = known, false
			return t, nil
		}
		if on, err := s.leadsOn(ctx, known, t.at); err != nil {
			return nil, gitFailure("compare the table with the one of the last exchange", err)
		} else if !on {
			t.was = known
		}
	}
	return t, nil
}

// revise asks what becomes of the table, and returns the push that does it, or nil.
func (s *Store) revise(ctx context.Context, t *Table, ask Revise) (*pushSpec, error) {
	change, err := ask(ctx, t)
	if err != nil {
		return nil, err
	}
	next := t.tip
	if change != nil {
		if next, err = s.writeTable(ctx, t, *change); err != nil {
			return nil, err
		}
	}
	if next == t.at {
		return nil, nil
	}
	return &pushSpec{to: t.ref, oid: next, old: t.at}, nil
}

// writeTable puts a new version into the object database. No two are ever the same commit,
// for a hub says yes to both who push the commit that its ref is at already.
func (s *Store) writeTable(ctx context.Context, t *Table, c TableChange) (OID, error) {
	parent := t.tip
	if parent == "" || c.Alone {
		parent = zeroOID
	}
	n := &newObjects{}
	files := map[string]OID{}
	for _, name := range slices.Sorted(maps.Keys(c.Files)) {
		files[name] = n.add(plumbing.BlobObject, c.Files[name])
	}
	_, tree, err := s.addToTree(n, "", "", files)
	if err != nil {
		return "", err
	}
	var nonce [12]byte
	s.opt.Rand(nonce[:])
	info := CommitInfo{Subject: c.Subject, Author: "git-agentmail", Trailers: [][2]string{{"Nonce", hex.EncodeToString(nonce[:])}}}
	oid := n.add(plumbing.CommitObject, s.encodeCommit(ctx, tree, parent, []CommitInfo{info}))
	return oid, s.tidily(ctx, func() error {
		_, err := s.writePack(n)
		return err
	})
}

// sawTable writes down which version counts now, and, if it was moved, which the hub has.
func (s *Store) sawTable(ctx context.Context, remote string, t *Table, moved bool) error {
	orders, err := s.tableOrders(remote, t, moved)
	if err != nil || orders == "" {
		return err
	}
	if _, err := s.repo.own(ctx, []byte(orders), "update-ref", "--stdin"); err != nil {
		return gitFailure("write down the table of the remote", err)
	}
	return nil
}

func (s *Store) tableOrders(remote string, t *Table, moved bool) (orders string, err error) {
	root := hubPrefix + hubID(remote) + "/"
	refs, err := s.repo.refsIn(root, func(name string) bool { return name == tableKnown })
	if err != nil {
		return "", err
	}
	if t.tip != refs[tableKnown] {
		orders = "update " + root + tableKnown + " " + t.tip + "\n"
	}
	if moved {
		seen := tableSeen
		if t.ref == tableBranch {
			seen = "heads/" + tableSeen
		}
		orders += "update " + root + seen + " " + t.at + "\n"
	}
	return orders, nil
}

// Brought reports whether a push of the user's own refs, after whose end nobody knew what it had
// done, moved the table before.
func (t *Table) Brought(ctx context.Context, before *Table) (bool, error) {
	if before.tried == "" || t.tip == "" || t.tip == before.tried {
		return before.tried != "" && t.tip == before.tried, nil
	}
	on, err := t.store.leadsOn(ctx, before.tried, t.tip)
	if err != nil {
		return false, gitFailure("look for the push in the table", err)
	}
	return on, nil
}

// TableRefused is the error that a hub does not take a new version of its table, although
// nobody else changes it.
func (s *Store) TableRefused(ctx context.Context, remote string) error {
	if lock := s.TableLock(ctx, remote); lock != "" {
		return errf(Unreachable, "%q does not let %s move: a git that was killed there has left the lock %s", remote, tableRef, lock).
			hint("rm %s  # if no git is running there", lock)
	}
	return errf(Unreachable, "%q does not let %s move, although nobody else moves it", remote, tableRef)
}

// TableLock returns the path of a lock on the table of a remote on this machine, "" if there is none.
func (s *Store) TableLock(ctx context.Context, remote string) string {
	dir := strings.TrimPrefix(s.repo.pushURL(ctx, remote), "file://")
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(cmp.Or(s.repo.TopLevel, s.repo.CommonDir), dir)
	}
	for _, sub := range []string{"", ".git"} {
		for _, ref := range []string{tableRef, tableBranch} {
			lock := filepath.Join(dir, sub, filepath.FromSlash(ref)) + ".lock"
			if _, err := os.Stat(lock); err == nil {
				return lock
			}
		}
	}
	return ""
}
