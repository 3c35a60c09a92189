package gitstore

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"io/fs"
	"strings"
)

func cryptoRand(b []byte) { rand.Read(b) }

// replicaFile is agentmail/replica.json: who this clone is. It is made at the
// first durable write, never by a read, a hook or the guard. All linked
// worktrees share it.
type replicaFile struct {
	V       int    `json:"v"`
	Replica string `json:"replica"`
	Created string `json:"created"`
}

func isReplica(s string) bool { return len(s) == 10 && strings.Trim(s, crockford) == "" }

// replica returns this clone's id, or "" before its first write.
func (r *Repo) replica() (string, error) {
	var f replicaFile
	err := readJSON(r.dir("replica.json"), &f)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case errors.Is(err, fs.ErrPermission):
		return "", errf(ReadOnly, "read %q: %w", r.dir("replica.json"), err)
	case err != nil || !isReplica(f.Replica):
		return "", errf(Damaged, "%q does not say who this clone is; delete it and this clone takes a new identity, no mail is lost", r.dir("replica.json")).
			hint("rm %s", r.dir("replica.json"))
	}
	return f.Replica, nil
}

func (s *Store) saveReplica(id string) error {
	data, err := json.Marshal(replicaFile{1, id, s.opt.Now().UTC().Format("2006-01-02T15:04:05Z")})
	if err != nil {
		return err
	}
	return s.repo.sharing().write(s.repo.dir("tmp"), s.repo.dir("replica.json"), append(data, '\n'), true)
}

const crockford = "0123456789abcdefghjkmnpqrstvwxyz"

// NewID returns 10 characters of lower-case Crockford base32: 50 random bits.
func NewID(random func([]byte)) string {
	var b [10]byte
	random(b[:])
	for i := range b {
		b[i] = crockford[b[i]&31]
	}
	return string(b[:])
}
