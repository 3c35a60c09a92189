package gitstore

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"strings"
)

func cryptoRand(b []byte) { rand.Read(b) }

// replicaFile names the file that says who this clone is: "git-agentmail replica 1",
// the id and when it was taken, in one line. It is made at the first durable write, never
// by a read, a hook or the guard. All linked worktrees share it.
const (
	replicaFile  = "replica"
	replicaMagic = "git-agentmail replica 1 "
)

func isReplica(s string) bool { return len(s) == 10 && strings.Trim(s, crockford) == "" }

// replica returns this clone's id, or "" before its first write.
func (r *Repo) replica() (string, error) {
	name := r.dir(replicaFile)
	data, err := os.ReadFile(name)
	rest, ok := strings.CutPrefix(string(data), replicaMagic)
	id, _, whole := strings.Cut(rest, " ")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case errors.Is(err, fs.ErrPermission):
		return "", errf(ReadOnly, "read %q: %w", name, err)
	case err != nil || !ok || !whole || !isReplica(id):
		return "", errf(Damaged, "%q does not say who this clone is; delete it and this clone takes a new identity, no mail is lost", name).
			hint("rm %s", name)
	}
	return id, nil
}

func (s *Store) saveReplica(id string) error {
	line := replicaMagic + id + " " + s.opt.Now().UTC().Format("2006-01-02T15:04:05Z") + "\n"
	return s.repo.sharing().write(s.repo.dir("tmp"), s.repo.dir(replicaFile), []byte(line), true)
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
