package gitstore

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Where a log lies on a hub is its owner's choice, for hosts and sandboxes differ in what
// they take: refs of our own, branches of our own, or only branches whose names begin as they
// say. Readers look in all three.
const (
	branchPrefix = "refs/heads/"
	headsPrefix  = branchPrefix + "agentmail/"

	// A branch with a prefix that the owner was given is told by how it ends, and so found by
	// readers who know nothing of the prefix: a refspec has one star, and what stands before
	// the star may be anything. The user's branches do not end like this.
	branchSuffix = "--agentmail"
)

// replicaOf returns whose log a ref of a hub is by its name, "" if it is none. Whose it is
// indeed says its header.
func replicaOf(ref string) string {
	name, ok := strings.CutPrefix(ref, logPrefix)
	if !ok {
		name, ok = strings.CutPrefix(ref, headsPrefix)
	}
	if branch, long := strings.CutSuffix(ref, branchSuffix); long && strings.HasPrefix(branch, branchPrefix) {
		name, ok = branch[max(len(branchPrefix), len(branch)-10):], true
	}
	if !ok || !isReplica(name) {
		return ""
	}
	return name
}

// RefPrefix returns what the names of the branches that this clone may push begin with, "" if
// nobody has said that there is such a limit: the environment, or agentmail.refPrefix in the
// repository's own configuration. Others read that without knowing it.
func (s *Store) RefPrefix(ctx context.Context) (string, error) {
	prefix, set := s.opt.RefPrefix, s.opt.RefPrefix != ""
	var err error
	if !set {
		if prefix, set, err = s.repo.Local(ctx, "agentmail.refprefix"); err != nil || !set {
			return "", err
		}
	}
	if why := badPrefix(prefix); why != "" {
		e := errf(Invalid, "no branch can have the prefix %q, which agentmail.refPrefix or AGENTMAIL_REF says: %s", prefix, why)
		if s.opt.RefPrefix != "" {
			return "", e.hint("export AGENTMAIL_REF=claude/session-42-")
		}
		return "", e.hint("git config agentmail.refPrefix claude/session-42-")
	}
	return prefix, nil
}

// badPrefix says why the name of a branch cannot begin with s, by the rules of
// git-check-ref-format(1); "" if it can.
func badPrefix(s string) string {
	switch {
	case s == "":
		return "it is empty"
	case len(s) > 150:
		return "it is too long"
	case s[0] == '-':
		return "it begins with a dash"
	case strings.HasPrefix(s, "refs/"):
		return "refs/heads/ is put before it"
	}
	for _, part := range []string{"..", "@{", "//"} {
		if strings.Contains(s, part) {
			return "it holds " + part
		}
	}
	if i := strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`~^:?*[\`, r) }); i >= 0 {
		return "it holds a character that git allows in no ref"
	}
	parts := strings.Split(s, "/")
	for i, part := range parts {
		if part == "" && i == 0 || strings.HasPrefix(part, ".") || i < len(parts)-1 && strings.HasSuffix(part, ".lock") {
			return "a part of it begins with a dot or ends in .lock, or it begins with a slash"
		}
	}
	return ""
}

// places returns where this clone's log may go on a hub, best first: where it lies, else
// where the user says, else down the ladder.
func places(hub *hubFile, prefix, own string, there imageRef) []string {
	switch {
	case prefix != "":
		return []string{branchPrefix + prefix + own + branchSuffix}
	case there.ref != "":
		return []string{there.ref}
	case hub.Branches:
		return []string{headsPrefix + own}
	}
	return []string{logRef(own), headsPrefix + own}
}

// notTaken says that a hub takes a log nowhere, and what the user can set.
func notTaken(places []string, err error) error {
	e := &Error{}
	if !errors.As(err, &e) || len(places) == 0 {
		return err
	}
	out := *e
	out.Msg += "; it took this clone's log nowhere: not as " + strings.Join(places, ", nor as ")
	return out.hint("git config agentmail.refPrefix PREFIX  # where branches may be pushed whose names begin so; else: git agentmail sync --bundle FILE")
}

// mayPush reports whether who keeps its log at place can be expected to be allowed to push
// ref too. One ref too many in a push may have a sandbox refuse all of it.
func mayPush(place, ref string) bool {
	if !strings.HasPrefix(place, branchPrefix) {
		return true
	}
	branch, long := strings.CutSuffix(place, branchSuffix)
	if !long {
		return strings.HasPrefix(ref, branchPrefix)
	}
	return strings.HasPrefix(ref, branch[:len(branch)-10])
}

// wideEvery is how often a process that stays looks among all branches of a hub. Their list
// is long in a large repository, and comes whole each time.
const wideEvery = 5 * time.Minute

// fetchSpecs returns what is fetched from a hub: known are the refs of its image.
func (s *Store) fetchSpecs(remote string, known map[string]OID, wide bool) []string {
	root := hubPrefix + hubID(remote) + "/"
	specs := []string{"+" + logPrefix + "*:" + root + "log/*", "+" + archivePrefix + "*:" + root + "archive/*", "+" + headsPrefix + "*:" + root + "heads/*", tableSpec(root)}
	dirs := map[string]bool{}
	for ref := range known {
		if name, ok := strings.CutPrefix(ref, branchPrefix); ok && strings.HasSuffix(ref, branchSuffix) {
			dirs[name[:strings.LastIndexByte(name, '/')+1]] = true
		}
	}
	if wide || dirs[""] {
		dirs = map[string]bool{"": true}
	}
	for dir := range dirs {
		specs = append(specs, "+"+branchPrefix+dir+"*"+branchSuffix+":"+root+"branches/"+dir+"*"+branchSuffix)
	}
	slices.Sort(specs)
	return specs
}

// looksWide reports whether it is time to look among all branches of a hub. A new process
// always does.
func (s *Store) looksWide(remote string) bool {
	at, ok := s.wide.Load(remote)
	return !ok || s.opt.Now().Sub(at.(time.Time)).Abs() >= wideEvery
}

// imageDirs are the directories of an image, with what their refs are called on the hub.
var imageDirs = []struct{ dir, there string }{
	{"log/", logPrefix},
	{"archive/", archivePrefix},
	{"heads/", headsPrefix},
	{"branches/", branchPrefix},
}

// imageName returns the name, in an image, of a ref of a hub.
func imageName(ref string) string {
	for _, d := range imageDirs {
		if name, ok := strings.CutPrefix(ref, d.there); ok && (d.dir == "branches/") == strings.HasSuffix(ref, branchSuffix) {
			return d.dir + name
		}
	}
	return ""
}

// hubRef is the inverse of imageName, "" for what is no image of a log or an archive.
func hubRef(name string) string {
	for _, d := range imageDirs {
		if rest, ok := strings.CutPrefix(name, d.dir); ok && imageName(d.there+rest) == name && (replicaOf(d.there+rest) != "" || archiveOf(d.there+rest) != "") {
			return d.there + rest
		}
	}
	return ""
}

// imageRefs returns the refs of ours that a hub had at the last fetch, by their names there.
func (s *Store) imageRefs(remote string) (map[string]OID, error) {
	names, err := s.repo.refsBelow(hubPrefix+hubID(remote)+"/", func(name string) bool { return hubRef(name) != "" })
	refs := map[string]OID{}
	for name, oid := range names {
		refs[hubRef(name)] = oid
	}
	return refs, err
}

// imageRef is a log as a hub had it at the last fetch.
type imageRef struct {
	ref      string // there, "" if it is only in an archive
	oid      OID
	archived bool       // the hub has oid in an archive, and ref, if there is one, does not lead to it
	others   []imageRef // what else passes for that log, and does not lead to oid
}

// place names where it lies, for people.
func (r imageRef) place() string {
	if r.archived {
		return "an archive"
	}
	return r.ref
}

// image returns the logs that a hub had at the last fetch. Of a log that lies in two places,
// because its owner moved it, the one counts that follows the other.
func (s *Store) image(remote string) (map[string]imageRef, error) {
	refs, err := s.imageRefs(remote)
	if err != nil {
		return nil, err
	}
	return s.imageOf(refs)
}

// imageOf returns the logs among the refs of a hub.
func (s *Store) imageOf(refs map[string]OID) (map[string]imageRef, error) {
	found := map[string][]imageRef{}
	for ref, oid := range refs {
		if replica := replicaOf(ref); replica != "" {
			found[replica] = append(found[replica], imageRef{ref: ref, oid: oid})
		}
	}
	archives, _, err := s.archivesIn(refs)
	if err != nil {
		return nil, err
	}
	for _, contents := range archives {
		for replica, oid := range contents {
			found[replica] = append(found[replica], imageRef{oid: oid, archived: true})
		}
	}
	logs := map[string]imageRef{}
	for replica, list := range found {
		slices.SortFunc(list, byRank)
		best := list[0]
		for _, other := range list[1:] {
			switch {
			case other.oid == best.oid:
			case s.follows(best.oid, other.oid), !s.follows(other.oid, best.oid) && !s.isLogOf(replica, best.oid): // what is no log hides none
				best = other
			}
		}
		for _, other := range list {
			if other.oid != best.oid && !s.follows(other.oid, best.oid) {
				best.others = append(best.others, other)
			}
		}
		best.ref = cmp.Or(best.ref, list[0].ref)
		logs[replica] = best
	}
	return logs, nil
}

// isLogOf reports whether a commit is of the log of a replica, by its header.
func (s *Store) isLogOf(replica string, oid OID) bool {
	t, err := s.load(oid)
	return err == nil && t.Header.Replica == replica
}

// rank orders the places of a log.
func rank(ref string) int {
	if ref == "" {
		return len(imageDirs)
	}
	return slices.IndexFunc(imageDirs, func(d struct{ dir, there string }) bool {
		return strings.HasPrefix(imageName(ref), d.dir)
	})
}

// orderCache holds, a line each, commits of images of which the second follows the first (+)
// or does not (-): a log that lies in two places would have every look at it start git.
const orderCache = "order"

// follows reports whether a log in an image goes on from another, or is what its owner made of
// that by a truncation: what lies at a place that it left, or in an archive, may be of
// an earlier epoch for ever.
func (s *Store) follows(from, to OID) bool {
	data, _ := os.ReadFile(s.repo.CachePath(orderCache))
	line := from + " " + to + " "
	if i := strings.Index("\n"+string(data), "\n"+line); i >= 0 && len(data) > i+len(line) {
		return data[i+len(line)] == '+'
	}
	forward, err := s.leadsOn(context.Background(), from, to)
	if err == nil && !forward {
		forward, err = s.cutFrom(from, to)
	}
	if err != nil {
		return false
	}
	if len(data) > 64<<10 {
		data = nil
	}
	s.WriteCache(orderCache, []byte(string(data)+line+map[bool]string{true: "+\n", false: "-\n"}[forward]))
	return forward
}

// cutFrom reports whether a log is another one after a truncation, signed with the same key:
// whoever can push anywhere on a hub must not hide a log behind another of a later epoch.
func (s *Store) cutFrom(from, to OID) (bool, error) {
	a, err := s.load(from)
	if err != nil {
		return false, err
	}
	b, err := s.load(to)
	if err != nil || a.Header.Created != b.Header.Created {
		return false, err
	}
	if a.Header.Key != "" {
		if data, err := s.objects.one(to, "commit"); err != nil || signerOf(data) != a.Header.Key {
			return false, err
		}
	}
	return s.truncated(a, b)
}

// refsBelow reads the refs in a directory and all below it, by the names there that want is
// true for; see refsIn.
func (r *Repo) refsBelow(prefix string, want func(name string) bool) (map[string]OID, error) {
	root := filepath.Join(r.CommonDir, filepath.FromSlash(prefix))
	loose := map[string]OID{}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		name := strings.TrimPrefix(filepath.ToSlash(strings.TrimPrefix(path, root)), "/")
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // deleted since
		case errors.Is(err, syscall.ENOTDIR) || err == nil && !e.IsDir() && name == "":
			return errf(Damaged, "a ref is where the directory %s belongs", prefix)
		case err != nil:
			return errf(ReadOnly, "read the refs below %s: %w", prefix, err)
		case e.IsDir() || !want(name):
			return nil
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return errf(ReadOnly, "read the ref %s: %w", prefix+name, err)
		}
		if loose[name] = strings.TrimSpace(string(data)); !isOID(loose[name]) {
			return errf(Damaged, "the ref %s does not hold an object name", prefix+name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	refs, err := r.refsIn(prefix, want) // the packed ones too
	for name, oid := range loose {
		if refs != nil {
			refs[name] = oid
		}
	}
	return refs, err
}

// pushTo pushes to a hub. Where branches move, hosts that take options are asked not to start
// what they start for branches of code; one that takes none refuses the whole, and is not
// asked again.
func (s *Store) pushTo(ctx context.Context, remote string, hub *hubFile, specs []pushSpec) (done, refused []pushSpec, err error) {
	if hub.NoOptions || !slices.ContainsFunc(specs, func(p pushSpec) bool { return strings.HasPrefix(p.to, branchPrefix) }) {
		return s.repo.push(ctx, remote, specs)
	}
	done, refused, err = s.repo.push(ctx, remote, specs, "--push-option=ci.skip")
	if len(done) > 0 || err == nil || ctx.Err() != nil {
		return done, refused, err
	}
	if done, refused, err = s.repo.push(ctx, remote, specs); len(done) > 0 {
		hub.NoOptions = true
	}
	return done, refused, err
}

const ciTrailer = "CI"

// skipCI marks a commit for the hosts that start something for each push to a branch, if this
// clone's log is known to be a branch somewhere. Those made before the first push are not
// marked; but what hosts start is mostly what a file in the commit says, and there is none.
func (s *Store) skipCI(ctx context.Context, infos ...CommitInfo) []CommitInfo {
	prefix, _ := s.RefPrefix(ctx)
	branches := prefix != ""
	entries, _ := os.ReadDir(s.repo.dir(remotesDir))
	for _, e := range entries {
		data, _ := os.ReadFile(s.repo.dir(remotesDir, e.Name()))
		branches = branches || strings.Contains(string(data), `"branches":true`)
	}
	if last := len(infos) - 1; branches && last >= 0 {
		infos[last].Trailers = append(slices.Clip(infos[last].Trailers), [2]string{ciTrailer, "[skip ci]"})
	}
	return infos
}
