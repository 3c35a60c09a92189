package gitstore

import (
	"context"
	"fmt"
	"strings"
)

// Trust says which logs are believed that a remote shows. The zero value is trust on first
// use: a log must be signed with the key that it had when it was seen first.
type Trust struct {
	Off    bool     // all are
	Listed *Signers // besides, only those whose key stands in this list
}

// trust returns what the caller of Open wants believed.
func (s *Store) trust(ctx context.Context) (Trust, error) {
	if s.opt.Trust == nil {
		return Trust{}, nil
	}
	return s.opt.Trust(ctx)
}

// distrust says why a log is not believed that leads to the tip t, "" if it is. known is the
// log as it was accepted, nil if it is new. Its key is the one in what was accepted first:
// no later header changes it. The own log needs no list.
func (s *Store) distrust(trust Trust, replica string, t, known *tip, own bool) (string, error) {
	if trust.Off {
		return "", nil
	}
	const who = "look who can push to that remote"
	key := t.Header.Key
	switch {
	case known == nil:
	case known.Header.Key == "" && key != "" && t.Header.Base.Epoch <= known.Header.Base.Epoch:
		return "its header has a key now and had none when it was first seen, which only a truncation by its owner can give it; " + who, nil
	case known.Header.Key != "" && key != known.Header.Key:
		return "its header has another key than when it was first seen, and a clone never changes its key; the next sync of its owner puts the remote right, then " + who, nil
	}
	if key != "" {
		data, err := s.objects.one(t.OID, "commit")
		if err != nil {
			return "", err
		}
		why := ""
		switch signer := signerOf(data); {
		case signer == key:
		case own:
			why = "somebody else wrote to it there: its newest commit is not signed by this clone, whose own log takes its place"
		case signer != "":
			why = "its newest commit is signed with another key than that of its clone"
		default:
			why = "its newest commit has no signature of its clone"
		}
		if why != "" && !own {
			why += "; the next sync of its owner puts the remote right"
		}
		if why != "" {
			return why + "; " + who, nil
		}
	}
	if trust.Listed != nil && !own {
		return trust.Listed.refuses(replica, key, s.opt.Now()), nil
	}
	return "", nil
}

// believed returns up to where a log, as it was accepted, may be followed that leads to a commit
// which is not believed, "" if nowhere: what somebody puts on top of it, on a remote, does
// not hide what its owner wrote before.
func (s *Store) believed(trust Trust, replica string, known *tip, there OID, own bool) (OID, error) {
	if known.Header.Key == "" {
		return "", nil
	}
	at, err := s.lastSigned(known.OID, there, known.Header.Key)
	if err != nil || at == "" {
		return "", err
	}
	t, err := s.load(at)
	if err != nil || t.Header.Replica != replica || t.Header.Format > FormatVersion {
		return "", err
	}
	if why, err := s.distrust(trust, replica, t, known, own); err != nil || why != "" {
		return "", err
	}
	return at, nil
}

// SignerLine is the line that lets a replica's key into a file of allowed signers, "" if its
// log has none.
func (sn *Snapshot) SignerLine(replica string) string {
	return signerLine(replica, sn.Header(replica).Key)
}

func signerLine(replica, key string) string {
	if _, ok := parseKey(key); !ok {
		return ""
	}
	return fmt.Sprintf("%s namespaces=%q %s", replica, sigNamespace, key)
}

// Distrusted says of each log in this clone why it would not be accepted today, and of the own
// one what is wrong with its key; logs that are in order are not in it. What this clone has
// not handed on yet need not be signed.
func (sn *Snapshot) Distrusted(ctx context.Context, trust Trust) (list []Refused, err error) {
	s := sn.store
	for _, replica := range sn.Replicas() {
		t := sn.logs[replica]
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if replica != sn.own {
			why, err := s.distrust(trust, replica, t, t, false)
			if err != nil {
				why = err.Error()
			}
			if why != "" {
				why, _, _ = strings.Cut(why, ";")
				list = append(list, Refused{Replica: replica, Why: why})
			}
			continue
		}
		if t.Header.Key == "" {
			continue
		}
		data, err := s.objects.one(t.OID, "commit")
		if err == nil {
			if _, sig := splitCommit(data); sig != "" && signerOf(data) != t.Header.Key {
				list = append(list, Refused{Replica: replica, Why: "its newest commit has a signature that is not this clone's"})
			}
			_, err = s.ownKey(t.Header.Key)
		}
		if err != nil {
			list = append(list, Refused{Replica: replica, Why: err.Error()})
		}
	}
	return list, nil
}
