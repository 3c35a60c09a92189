package gitstore

import (
	"cmp"
	"context"
	"crypto/sha1"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// A hub lists all its refs to everybody who pushes, and a clone that was thrown away leaves
// one for ever. So the logs of idle clones are put into an archive, a ref at the hub alone: a
// commit whose parents are the ends of those logs, and in its tree a file that says whose they
// are. For readers that is as if the hub had each of those logs still, and here every log
// keeps a ref of its own. Whose clone comes back pushes its log as ever.
const (
	archivePrefix      = refRoot + "archive/"
	archiveHeadsPrefix = headsPrefix + "archive-"
	archiveFile        = "archive.json"
	archiveFormat      = 1
)

const (
	minRetire      = 16  // logs; fewer are no burden
	maxRetire      = 256 // at once, for each is named twice on a command line
	maxArchives    = 8   // more are made one
	idleAfter      = 14 * 24 * time.Hour
	idleEphemeral  = 24 * time.Hour // of a clone that was to be thrown away
	retireGap      = time.Hour      // between two looks, in exchanges that brought something
	retireGapQuiet = 24 * time.Hour // and in others
)

// archiveOf returns the id of an archive, "" if ref is none.
func archiveOf(ref string) string {
	id, ok := strings.CutPrefix(ref, archivePrefix)
	if !ok {
		id, ok = strings.CutPrefix(ref, archiveHeadsPrefix)
	}
	if !ok || !isReplica(id) {
		return ""
	}
	return id
}

// archive is what its file says.
type archive struct {
	Format int            `json:"format"`
	Logs   map[string]OID `json:"logs"` // their ends, by replica
}

// archiveCache holds what the archives in images say, by their commits: else every look at an
// image would start git.
const archiveCache = "archives"

// archived returns the logs in an archive, nil if this version cannot read it.
func (s *Store) archived(oid OID) (map[string]OID, error) {
	s.archiveLock.Lock()
	defer s.archiveLock.Unlock()
	if s.archives == nil {
		s.archives = map[OID]map[string]OID{}
		if data, err := os.ReadFile(s.repo.CachePath(archiveCache)); err != nil || json.Unmarshal(data, &s.archives) != nil {
			s.archives = map[OID]map[string]OID{}
		}
	}
	if logs, ok := s.archives[oid]; ok {
		return logs, nil
	}
	logs, err := s.readArchive(oid)
	if KindOf(err) == Damaged {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(s.archives) > 8*maxArchives { // most of them were made one long ago
		clear(s.archives)
	}
	s.archives[oid] = logs
	if data, err := json.Marshal(s.archives); err == nil {
		s.WriteCache(archiveCache, append(data, '\n'))
	}
	return logs, nil
}

func (s *Store) readArchive(oid OID) (map[string]OID, error) {
	data, err := s.objects.one(oid, "commit")
	if err != nil {
		return nil, err
	}
	c := parseCommit(data)
	list, err := s.tree(c.tree)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(list, func(e treeEntry) bool { return e.name == archiveFile })
	if i < 0 {
		return nil, nil
	}
	if data, err = s.objects.one(list[i].oid, "blob"); err != nil {
		return nil, err
	}
	var a archive
	if json.Unmarshal(data, &a) != nil || a.Format != archiveFormat || a.Logs == nil {
		return nil, nil
	}
	// What is not a parent need not be here, nor at the hub.
	maps.DeleteFunc(a.Logs, func(replica string, tip OID) bool { return !isReplica(replica) || !slices.Contains(c.parents, tip) })
	return a.Logs, nil
}

// archivesIn returns the archives among the refs of a hub, and those that cannot be read.
func (s *Store) archivesIn(refs map[string]OID) (read map[string]map[string]OID, unread []string, err error) {
	read = map[string]map[string]OID{}
	for ref, oid := range refs {
		if archiveOf(ref) == "" {
			continue
		}
		logs, err := s.archived(oid)
		if err != nil {
			return nil, nil, err
		}
		if logs == nil {
			unread = append(unread, ref)
		} else {
			read[ref] = logs
		}
	}
	slices.Sort(unread)
	return read, unread, nil
}

// makeArchive writes the commit of an archive, which nothing needs before it was pushed, and
// returns it with a ref beside the place of this clone's own log, that is none of those taken.
// Two clones that do it at once make the same.
func (s *Store) makeArchive(ctx context.Context, logs map[string]OID, place string, taken map[string]OID) (pushSpec, error) {
	data, err := json.Marshal(archive{archiveFormat, logs})
	if err != nil {
		return pushSpec{}, err
	}
	data = append(data, '\n')
	var spec pushSpec
	message := fmt.Sprintf("keep %d logs of clones that were idle\n", len(logs))
	prefix := archivePrefix
	if strings.HasPrefix(place, branchPrefix) {
		prefix = archiveHeadsPrefix
		message += "\nCI: [skip ci]\n"
	}
	for sum := sha1.Sum(data); spec.to == "" || taken[spec.to] != ""; sum = sha1.Sum(sum[:]) {
		spec.to = prefix + NewID(func(b []byte) { copy(b, sum[:]) })
	}
	n := &newObjects{}
	tree := n.add(plumbing.TreeObject, encodeTree([]treeEntry{{name: archiveFile, oid: n.add(plumbing.BlobObject, data), mode: modeBlob}}))
	name, email := s.ident(ctx)
	var b strings.Builder
	fmt.Fprintf(&b, "tree %s\n", tree)
	for _, tip := range slices.Compact(slices.Sorted(maps.Values(logs))) {
		fmt.Fprintf(&b, "parent %s\n", tip)
	}
	fmt.Fprintf(&b, "author %s <%s> %d +0000\ncommitter %s <%s> %d +0000\n\n%s", name, email, committerDate, name, email, committerDate, message)
	spec.oid = n.add(plumbing.CommitObject, []byte(b.String()))
	s.writing.Lock()
	defer s.writing.Unlock()
	l, err := s.acquire(ctx, s.opt.LockWait, true)
	if err != nil {
		return pushSpec{}, err
	}
	defer l.release()
	_, err = s.writePack(n)
	return spec, err
}

// idle returns those of some logs whose clones have written nothing for long.
func (s *Store) idle(sn *Snapshot, replicas []string) (map[string]OID, error) {
	logs := map[string]OID{}
	var oids []OID
	for _, replica := range replicas {
		oids = append(oids, sn.logs[replica].OID)
	}
	now := s.opt.Now()
	err := s.objects.each(oids, func(i int, ob object) error {
		t := sn.logs[replicas[i]]
		limit := idleAfter
		if t.Header.Ephemeral {
			limit = idleEphemeral
		}
		if at, ok := writtenAt(ob.data); ok && now.Sub(at) >= limit {
			logs[replicas[i]] = t.OID
		}
		return nil
	})
	return logs, err
}

// writtenAt returns when a commit of a log was written: its author's date or the clock of its
// newest event, whichever is later, for a wrong clock must not make a clone look dead.
func writtenAt(data []byte) (at time.Time, ok bool) {
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) == 0 {
			break // the end of the head
		}
		if f[0] == "author" && len(f) > 3 {
			sec, err := strconv.ParseInt(f[len(f)-2], 10, 64)
			at, ok = time.Unix(sec, 0), err == nil
		}
	}
	ms, _, _ := strings.Cut(parseCommit(data).trailers()["Agentmail-Clock"], ".")
	if n, err := strconv.ParseInt(ms, 10, 64); err == nil && time.UnixMilli(n).After(at) {
		at = time.UnixMilli(n)
	}
	return at, ok
}

// gather makes one archive of the logs of idle clones among those that a hub has lost, if
// there are many: whoever wiped it may have wiped an archive.
func (s *Store) gather(ctx context.Context, sn *Snapshot, missing []pushSpec, place string) ([]pushSpec, error) {
	if len(missing) < minRetire || strings.HasSuffix(place, branchSuffix) {
		return missing, nil
	}
	var replicas []string
	for _, p := range missing {
		replicas = append(replicas, p.replica)
	}
	logs, err := s.idle(sn, replicas)
	if err != nil || len(logs) < minRetire {
		return missing, err
	}
	spec, err := s.makeArchive(ctx, logs, place, nil)
	if err != nil {
		return missing, err
	}
	rest := slices.DeleteFunc(slices.Clone(missing), func(p pushSpec) bool { return logs[p.replica] != "" })
	return append(rest, spec), nil
}

// retire puts the logs of idle clones at a hub into an archive, and many archives into one, if
// there are enough, or one holds what was truncated: in one push that moves all of it or nothing, and only what is where it was
// seen. Who comes second, or asks a hub that cannot do that, has changed nothing; it is nobody's
// failure.
func (s *Store) retire(ctx context.Context, remote string, hub *hubFile, out *SyncResult) error {
	gap := retireGapQuiet
	if len(out.Fetched)+out.Pushed+len(out.Restored) > 0 {
		gap = retireGap
	}
	now := s.opt.Now()
	if now.Sub(time.Unix(hub.Looked, 0)).Abs() < gap || out.Place == "" || strings.HasSuffix(out.Place, branchSuffix) {
		return nil // or it may push only its own
	}
	refs, err := s.imageRefs(remote)
	if err != nil {
		return err
	}
	archives, _, err := s.archivesIn(refs)
	if err != nil {
		return err
	}
	sn, err := s.Snapshot(ctx)
	if err != nil {
		return err
	}
	places := map[string][]string{} // of each log that is here as it is there
	for ref, oid := range refs {
		replica := replicaOf(ref)
		if t := sn.logs[replica]; t != nil && t.OID == oid && replica != sn.own && mayPush(out.Place, ref) {
			places[replica] = append(places[replica], ref)
		}
	}
	for ref, oid := range refs { // and what its owner left elsewhere
		replica := replicaOf(ref)
		if list := places[replica]; list != nil && !slices.Contains(list, ref) && mayPush(out.Place, ref) && s.follows(oid, sn.logs[replica].OID) {
			places[replica] = append(list, ref)
		}
	}
	maps.DeleteFunc(archives, func(ref string, _ map[string]OID) bool { return !mayPush(out.Place, ref) })
	together, err := s.outdated(refs, archives)
	if err != nil {
		return err
	}
	if together = together || len(archives) > maxArchives; len(places) < minRetire && !together {
		return nil
	}
	if !together {
		archives = nil
	}
	hub.Looked = now.Unix()
	logs, err := s.idle(sn, slices.Sorted(maps.Keys(places)))
	if err != nil {
		return err
	}
	for _, replica := range slices.Sorted(maps.Keys(logs))[min(maxRetire, len(logs)):] {
		delete(logs, replica)
	}
	if len(logs) < minRetire {
		clear(logs)
	}
	if done, err := s.pushArchive(ctx, remote, out.Place, refs, places, logs, archives); done || err != nil {
		if done {
			out.Retired = len(logs)
		}
		return err
	}
	// Branches of others may be protected; what is of our own kind is not.
	maps.DeleteFunc(places, func(_ string, list []string) bool {
		return slices.ContainsFunc(list, func(ref string) bool { return rank(ref) != rank(out.Place) })
	})
	some := maps.Clone(logs)
	maps.DeleteFunc(some, func(replica string, _ OID) bool { return places[replica] == nil })
	if minRetire <= len(some) && len(some) < len(logs) {
		done, err := s.pushArchive(ctx, remote, out.Place, refs, places, some, archives)
		if done {
			out.Retired = len(some)
		}
		return err
	}
	return nil
}

// outdated reports whether an archive holds a log that was truncated since: what is gone from
// that is to go from there as well.
func (s *Store) outdated(refs map[string]OID, archives map[string]map[string]OID) (bool, error) {
	image, err := s.imageOf(refs)
	if err != nil {
		return false, err
	}
	for _, logs := range archives {
		for replica, oid := range logs {
			if now := image[replica].oid; now != oid {
				if t, err := s.load(now); err == nil && s.earlier(oid, t) && s.follows(oid, now) {
					return true, nil
				}
			}
		}
	}
	return false, nil
}

// pushArchive makes an archive of logs, and of archives that are to be one. It reports whether
// the hub has it now.
func (s *Store) pushArchive(ctx context.Context, remote, place string, refs map[string]OID, places map[string][]string, logs map[string]OID, archives map[string]map[string]OID) (bool, error) {
	all := map[string]OID{}
	var drops []dropSpec
	maps.Copy(all, logs)
	for replica := range logs {
		for _, ref := range places[replica] {
			drops = append(drops, dropSpec{ref, refs[ref]})
		}
	}
	for _, ref := range slices.Sorted(maps.Keys(archives)) {
		if s.fold(all, archives[ref], refs, logs) {
			drops = append(drops, dropSpec{ref, refs[ref]})
		}
	}
	if len(drops) == 0 || len(all) == 0 || len(drops) == 1 && maps.Equal(all, archives[drops[0].ref]) {
		return false, nil
	}
	spec, err := s.makeArchive(ctx, all, place, refs)
	if err != nil {
		return false, err
	}
	if s.repo.replace(ctx, remote, spec, drops) != nil {
		return false, ctx.Err()
	}
	root := hubPrefix + hubID(remote) + "/"
	now := fmt.Sprintf("create %s %s\n", root+imageName(spec.to), spec.oid)
	for _, d := range drops {
		now += fmt.Sprintf("delete %s %s\n", root+imageName(d.ref), d.old)
	}
	if _, err := s.repo.own(ctx, []byte(now), "update-ref", "--stdin"); err != nil {
		return true, gitFailure("write down what the remote has", err)
	}
	return true, nil
}

// fold adds to all what an archive holds, but for logs that came back and lie at the hub by
// themselves. It adds nothing and reports false if two archives say what cannot both be kept.
func (s *Store) fold(all, archived, refs map[string]OID, retiring map[string]OID) bool {
	add := map[string]OID{}
	for replica, tip := range archived {
		back := false
		for ref, oid := range refs {
			back = back || replicaOf(ref) == replica && retiring[replica] == "" && (oid == tip || s.follows(tip, oid))
		}
		was := all[replica]
		switch {
		case back || was == tip || was != "" && s.follows(tip, was):
		case was == "" || s.follows(was, tip):
			add[replica] = tip
		default:
			return false
		}
	}
	maps.Copy(all, add)
	return true
}

// unreadArchives says which archives of a hub are of no use to this version.
func (s *Store) unreadArchives(refs map[string]OID, out *SyncResult) error {
	_, unread, err := s.archivesIn(refs)
	for _, ref := range unread {
		out.Refused = append(out.Refused, Refused{archiveOf(ref), "the ref " + ref + " is no archive that this version can read"})
	}
	return err
}

// byRank orders the places of a log: its own ref, branches, archives.
func byRank(a, b imageRef) int {
	return cmp.Or(cmp.Compare(rank(a.ref), rank(b.ref)), cmp.Compare(a.ref, b.ref), cmp.Compare(a.oid, b.oid))
}
