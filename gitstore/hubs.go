package gitstore

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Hub is what this clone knows of a remote that it exchanges logs with.
type Hub struct {
	Name     string    // of the remote, or its URL
	Branches bool      // see SyncResult
	Place    string    // the ref that is this clone's log there, "" if it has none
	NotTaken []string  // places where it did not take the own log at the last exchange
	Last     time.Time // of the last exchange that went through
	Failed   string    // what stopped the last one, "" if nothing
	Ahead    int       // commits of the own log that it has not got
	Archived int       // logs that it has in archives
	Refused  []Refused // logs that it has and that were not believed the last time
}

// hubFile is the file of a hub, apart from the time of the last exchange, which is its own.
type hubFile struct {
	Name      string    `json:"remote"`
	Branches  bool      `json:"branches,omitempty"`
	NoOptions bool      `json:"no_options,omitempty"` // it takes no options with a push
	NotTaken  []string  `json:"not_taken,omitempty"`  // places where it did not take the own log
	Failed    string    `json:"failed,omitempty"`
	Had       []string  `json:"had,omitempty"`     // refs of logs that were seen there
	Refused   []Refused `json:"refused,omitempty"` // logs there that were not believed
	Looked    int64     `json:"looked,omitempty"`  // when idle clones were last looked for, in seconds since 1970
}

// hubID is how a hub is called in refs and file names, which a URL could not be.
func hubID(name string) string {
	sum := sha1.Sum([]byte(name))
	return hex.EncodeToString(sum[:4])
}

// Hubs returns the names of the remotes that this clone exchanges logs with. It starts no git.
func (s *Store) Hubs() ([]string, error) {
	entries, err := os.ReadDir(s.repo.dir(remotesDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, errf(ReadOnly, "read %q: %w", s.repo.dir(remotesDir), err)
	}
	var names []string
	for _, e := range entries {
		var f hubFile
		if readJSON(s.repo.dir(remotesDir, e.Name()), &f) == nil && hubID(f.Name) == e.Name() { // or it is not ours
			names = append(names, f.Name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Remotes returns what this clone knows of its hubs, without asking them.
func (s *Store) Remotes(ctx context.Context) ([]Hub, error) {
	names, err := s.Hubs()
	if err != nil || len(names) == 0 {
		return nil, err
	}
	sn, err := s.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	prefix, _ := s.RefPrefix(ctx) // a wrong one is for sync to say
	var list []Hub
	for _, name := range names {
		var f hubFile
		file, _ := s.RemoteFile(name)
		st, err := os.Stat(file)
		if err != nil || readJSON(file, &f) != nil {
			continue // removed meanwhile
		}
		h := Hub{Name: f.Name, Branches: f.Branches, NotTaken: f.NotTaken, Refused: f.Refused, Failed: f.Failed, Last: st.ModTime()}
		image, err := s.image(f.Name)
		if err != nil {
			return nil, err
		}
		for _, i := range image {
			if i.archived {
				h.Archived++
			}
		}
		there := image[sn.own]
		t := sn.logs[sn.own]
		if refs, err := s.imageRefs(f.Name); err == nil && prefix != "" {
			if own := places(&f, prefix, sn.own, there)[0]; refs[own] != "" && !(t != nil && there.archived && there.oid == t.OID) {
				there = imageRef{ref: own, oid: refs[own]}
			}
		}
		h.Place = there.ref
		if t != nil {
			if h.Ahead, err = s.count(ctx, there.oid, t.OID); err != nil {
				return nil, err
			}
		}
		list = append(list, h)
	}
	return list, nil
}

// count returns how many commits lead from one, "" for none, to another, without those that
// only sign the others.
func (s *Store) count(ctx context.Context, from, to OID) (n int, err error) {
	at := to
	for range stepsBack { // most often it is a few
		if at == from {
			return n, nil
		}
		data, err := s.objects.one(at, "commit")
		if err != nil {
			break // git knows better what is wrong
		}
		c := parseCommit(data)
		if len(c.parents) != 1 {
			break
		}
		if !strings.HasPrefix(c.message, signWord) {
			n++
		}
		at = c.parents[0]
	}
	n = 0
	args := []string{"rev-list", "--count", "--basic-regexp", "--invert-grep", "--grep=^" + signWord, to}
	if from != "" {
		args = append(args, "^"+from)
	}
	out, err := s.repo.own(ctx, nil, args...)
	if err == nil {
		_, err = fmt.Sscan(string(out), &n)
	}
	if err != nil {
		return 0, gitFailure("count commits", err)
	}
	return n, nil
}

// RemoteFile returns the file that AddRemote makes for a remote, and whether it is there.
func (s *Store) RemoteFile(name string) (file string, known bool) {
	file = s.repo.dir(remotesDir, hubID(name))
	_, err := os.Stat(file)
	return file, err == nil
}

// AddRemote makes a remote one that logs are exchanged with. It asks it nothing.
func (s *Store) AddRemote(name string) error {
	if _, known := s.RemoteFile(name); known {
		return nil
	}
	return s.saveHub(hubFile{Name: name}, time.Time{})
}

// saveHub writes the file of a hub, if it says something else than before, and when the last
// exchange was: the time of the file, so that one with nothing new writes nothing.
func (s *Store) saveHub(f hubFile, at time.Time) error {
	name := s.repo.dir(remotesDir, hubID(f.Name))
	var was hubFile
	if readJSON(name, &was) != nil || !reflect.DeepEqual(was, f) {
		data, err := json.Marshal(f)
		if err == nil {
			err = s.repo.sharing().write(s.repo.dir(remotesDir), name, append(data, '\n'), true)
		}
		if err != nil {
			return s.repo.writeError("write down what is known of a remote", err)
		}
	}
	if at.IsZero() {
		at = time.Unix(0, 0)
	}
	return os.Chtimes(name, at, at)
}

// saw adds an image to the refs that a hub had, and returns how many those are. Of a log in an
// archive it is the ref that the log would have.
func (f *hubFile) saw(image map[string]imageRef) int {
	had := make(map[string]bool, len(f.Had))
	for _, ref := range f.Had {
		had[ref] = true
	}
	for replica, i := range image {
		if i.ref == "" {
			i.ref = logRef(replica)
			if f.Branches {
				i.ref = headsPrefix + replica
			}
			if had[logRef(replica)] || had[headsPrefix+replica] {
				continue
			}
		}
		if !had[i.ref] {
			f.Had = append(f.Had, i.ref)
		}
	}
	slices.Sort(f.Had)
	return len(f.Had)
}

// Forget ends the exchange with a remote. Nothing that came from it goes.
func (s *Store) Forget(ctx context.Context, remote string) error {
	l, err := s.acquireFile(ctx, syncLock, max(s.opt.LockWait, syncWait), true)
	if err != nil {
		return err
	}
	defer l.release()
	root := hubPrefix + hubID(remote) + "/"
	image, err := s.repo.refsBelow(root, func(name string) bool { return !strings.HasSuffix(name, ".lock") })
	if err != nil {
		return err
	}
	var drop strings.Builder
	for name := range image {
		fmt.Fprintf(&drop, "delete %s\n", root+name)
	}
	if _, err := s.repo.own(ctx, []byte(drop.String()), "update-ref", "--stdin"); err != nil {
		return gitFailure("forget the remote", err)
	}
	if file, known := s.RemoteFile(remote); known {
		return os.Remove(file)
	}
	return nil
}
