package gitstore

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// SyncBundle exchanges logs through a file that people carry: it takes in what the bundle
// holds, if the file is there, and writes it anew with all that this clone has.
func (s *Store) SyncBundle(ctx context.Context, file string) (SyncResult, error) {
	out := SyncResult{Remote: file}
	l, err := s.acquireFile(ctx, syncLock, max(s.opt.LockWait, syncWait), true)
	if err != nil {
		return out, err
	}
	defer l.release()
	if st, err := os.Stat(file); err == nil {
		if !st.Mode().IsRegular() {
			return out, errf(Unreachable, "could not read the bundle %q: it is no file", file)
		}
		if err := s.onlyLogs(ctx, file); err != nil {
			return out, err
		}
		root := hubPrefix + hubID(file) + "/"
		packs, err := s.plainPacks()
		if err != nil {
			return out, err
		}
		if _, err := s.repo.own(ctx, nil, append(fetchFlags[:len(fetchFlags):len(fetchFlags)], "--", file, "+"+logPrefix+"*:"+root+"log/*")...); err != nil {
			return out, unreachable("read the bundle", file, err)
		}
		refs, err := s.imageRefs(file)
		if err == nil {
			err = s.adopt(ctx, packs, slices.Collect(maps.Values(refs)))
		}
		var image map[string]imageRef
		if err == nil {
			image, err = s.image(file)
		}
		if err == nil {
			err = s.accept(ctx, image, &out)
		}
		var drop strings.Builder // nobody asks what a file holds
		for replica := range image {
			drop.WriteString("delete " + root + "log/" + replica + "\n")
		}
		if _, derr := s.repo.own(ctx, []byte(drop.String()), "update-ref", "--stdin"); err == nil && derr != nil {
			err = gitFailure("forget what the bundle held", derr)
		}
		s.shedBehind(ctx)
		if err != nil {
			return out, err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return out, errf(ReadOnly, "read the bundle %q: %w", file, err)
	}
	sn, err := s.Snapshot(ctx)
	if err != nil {
		return out, err
	}
	if len(sn.logs) == 0 {
		return out, nil
	}
	if t := sn.logs[sn.own]; t != nil {
		if sn.logs[sn.own], err = s.signed(ctx, t); err != nil {
			return out, err
		}
	}
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return out, unreachable("write the bundle", file, err)
	}
	f.Close()
	temp := f.Name()
	args := []string{"bundle", "create", "--quiet", temp}
	for _, replica := range sn.Replicas() {
		args = append(args, logRef(replica))
	}
	_, err = s.repo.own(ctx, nil, args...)
	if err == nil { // git has made it with the rights that the user's files have
		err = os.Rename(temp, file)
	}
	if err != nil {
		os.Remove(temp)
		return out, unreachable("write the bundle", file, err)
	}
	if t := sn.logs[sn.own]; t != nil {
		out.Pushed, err = s.count(ctx, "", t.OID)
	}
	return out, err
}

// onlyLogs refuses a bundle that holds anything but logs, for it will be written over.
func (s *Store) onlyLogs(ctx context.Context, file string) error {
	out, err := s.repo.own(ctx, nil, "bundle", "list-heads", file)
	if err != nil {
		return unreachable("read the bundle", file, err)
	}
	for line := range strings.Lines(string(out)) {
		if _, ref, _ := strings.Cut(strings.TrimSpace(line), " "); !strings.HasPrefix(ref, logPrefix) {
			return errf(Unreachable, "the bundle %q holds %s, which is no mail, and was left alone", file, ref)
		}
	}
	return nil
}
