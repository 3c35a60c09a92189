//go:build unix

package gitstore

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/internal/hub"
)

// forger writes to other clones' logs on a hub, with nothing but git.
type forger struct {
	t   *testing.T
	env []string
	dir string
}

func (f forger) git(stdin string, args ...string) string {
	f.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Stdin = f.dir, strings.NewReader(stdin)
	cmd.Env = append(f.env, "GIT_AUTHOR_NAME=F", "GIT_AUTHOR_EMAIL=f@x", "GIT_COMMITTER_NAME=F", "GIT_COMMITTER_EMAIL=f@x")
	out, err := cmd.CombinedOutput()
	if err != nil {
		f.t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit makes a commit on a parent, "" for none, that adds a file, with another header if
// head is not nil, and signed if key is not.
func (f forger) commit(parent OID, file string, head *Header, key ed25519.PrivateKey) OID {
	f.t.Helper()
	list := []string{"100644 blob " + f.git(file, "hash-object", "-w", "--stdin") + "\t" + file}
	args := []string{"commit-tree", "-m", "forged"}
	if parent != "" {
		args = append(args, "-p", parent)
		for line := range strings.Lines(f.git("", "ls-tree", parent)) {
			if line = strings.TrimSpace(line); head == nil || !strings.HasSuffix(line, headerFile) {
				list = append(list, line)
			}
		}
	}
	if head != nil {
		data, err := json.Marshal(head)
		if err != nil {
			f.t.Fatal(err)
		}
		list = append(list, "100644 blob "+f.git(string(data), "hash-object", "-w", "--stdin")+"\t"+headerFile)
	}
	oid := f.git("", append(args, f.git(strings.Join(list, "\n")+"\n", "mktree"))...)
	if key != nil {
		oid = f.git(string(signCommit([]byte(f.git("", "cat-file", "commit", oid)+"\n"), key)), "hash-object", "-t", "commit", "-w", "--stdin")
	}
	return oid
}

// keyOf returns the private key of a clone's log.
func keyOf(t *testing.T, s *Store) ed25519.PrivateKey {
	t.Helper()
	sn, err := s.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	key, err := s.ownKey(sn.Header(sn.own).Key)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// trustOff is Options.Trust of who checks no signatures.
func trustOff(context.Context) (Trust, error) { return Trust{Off: true}, nil }

// TestForgedLogs: whatever somebody makes of a log on the hub without its key is refused, by
// those who knew the log, and its owner's next sync puts it right.
func TestForgedLogs(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	mine := testKey(7)
	for name, c := range map[string]struct {
		forge func(f forger, old []OID, h Header) OID // old is what the hub had of the log, newest last
		why   string
		shown bool // to who sees the log for the first time it looks right
	}{
		"appended": {func(f forger, old []OID, _ Header) OID { return f.commit(old[1], "forged", nil, nil) }, "has no signature", false},
		"signed with another key": {func(f forger, old []OID, _ Header) OID {
			return f.commit(old[1], "forged", nil, mine)
		}, "signed with another key", false},
		"another key in the header": {func(f forger, old []OID, h Header) OID {
			h.Key = publicOf(mine)
			return f.commit(old[1], "forged", &h, mine)
		}, "another key than when it was first seen", true},
		"another key in the header, and not signed": {func(f forger, old []OID, h Header) OID {
			h.Key = publicOf(mine)
			return f.commit(old[1], "forged", &h, nil)
		}, "another key than when it was first seen", false},
		"another key and a greater epoch": {func(f forger, old []OID, h Header) OID {
			h.Key, h.Base.Epoch = publicOf(mine), h.Base.Epoch+1
			return f.commit(old[1], "forged", &h, mine)
		}, "another key than when it was first seen", true},
		"no key in the header": {func(f forger, old []OID, h Header) OID {
			h.Key = ""
			return f.commit(old[1], "forged", &h, nil)
		}, "another key than when it was first seen", true},
		"no key that could be one": {func(f forger, old []OID, h Header) OID {
			h.Key = "ssh-rsa AAAA"
			return f.commit(old[1], "forged", &h, nil)
		}, "another key than when it was first seen", false},
		"its signature stripped": {func(f forger, old []OID, _ Header) OID {
			data, _ := splitCommit([]byte(f.git("", "cat-file", "commit", old[1]) + "\n"))
			return f.git(string(data), "hash-object", "-t", "commit", "-w", "--stdin")
		}, "does not hold what it held before", false},
		"its signature on something else": {func(f forger, old []OID, _ Header) OID {
			_, sig := splitCommit([]byte(f.git("", "cat-file", "commit", old[1]) + "\n"))
			data := f.git("", "cat-file", "commit", f.commit(old[1], "forged", nil, nil)) + "\n"
			head, rest, _ := strings.Cut(data, "\n\n")
			data = head + "\n" + sigHeader + strings.ReplaceAll(strings.TrimSuffix(sig, "\n"), "\n", "\n ") + "\n\n" + rest
			return f.git(data, "hash-object", "-t", "commit", "-w", "--stdin")
		}, "has no signature", false},
		"an old tip again": {func(_ forger, old []OID, _ Header) OID { return old[0] }, "", true},
		"an old tip with more on it": {func(f forger, old []OID, _ Header) OID {
			return f.commit(old[0], "forged", nil, nil)
		}, "does not hold what it held before", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := hub.New(t)
			f := forger{t, env, h.Dir}
			a, b := open(t, env, newRepo(t, env), Options{}), open(t, env, newRepo(t, env), Options{})
			var old []OID
			for i := range 2 {
				put(t, a, fmt.Sprint("m/", i), "x")
				exchange(t, a, h.URL)
				exchange(t, b, h.URL)
				_, oid, _ := tipOf(t, a)
				old = append(old, oid)
			}
			own, _, _ := tipOf(t, a)
			sn, err := a.Snapshot(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			was := version(t, b)
			oid := c.forge(f, old, sn.Header(own))
			git(t, env, h.Dir, "update-ref", logRef(own), oid)
			for range 2 { // no less the second time
				r := exchange(t, b, h.URL)
				if len(r.Fetched) > 0 || version(t, b) != was {
					t.Errorf("it was believed: %+v", r)
				}
				if c.why == "" && len(r.Refused) > 0 || c.why != "" && (len(r.Refused) != 1 || r.Refused[0].Replica != own || !strings.Contains(r.Refused[0].Why, c.why)) {
					t.Errorf("refused: %+v, want %q", r.Refused, c.why)
				}
				list, err := b.Remotes(context.Background())
				if err != nil || len(list) != 1 || len(list[0].Refused) != len(r.Refused) {
					t.Errorf("%+v, %v", list, err)
				}
			}
			if r := exchange(t, open(t, env, newRepo(t, env), Options{}), h.URL); len(r.Refused) > 0 == c.shown {
				t.Errorf("a new clone: %+v", r)
			}
			// Its owner is not taken in either, and puts it right.
			mine := version(t, a)
			if r := exchange(t, a, h.URL); r.Forked != "" || len(r.Fetched) > 0 || version(t, a) != mine || (len(r.Refused) > 0) != (c.why != "") {
				t.Errorf("its owner: %+v", r)
			}
			if there := h.Refs()[logRef(own)]; there != old[1] {
				t.Errorf("the hub has %s, want %s", there, old[1])
			}
			put(t, a, "m/9", "x")
			if r := exchange(t, a, h.URL); len(r.Refused) > 0 || r.Pushed != 1 {
				t.Errorf("its owner afterwards: %+v", r)
			}
			if r := exchange(t, b, h.URL); len(r.Refused) > 0 || version(t, b) != version(t, a) {
				t.Errorf("afterwards: %+v", r)
			}
			sound(t, env, b.repo.Dir)
		})
	}
}

// TestForgedAbove: what its owner signed is not hidden by what somebody put on top of it:
// neither to others nor to the owner, who was put back from a backup.
func TestForgedAbove(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	h := hub.New(t)
	f := forger{t, env, h.Dir}
	one := newRepo(t, env)
	a, b := open(t, env, one, Options{}), open(t, env, newRepo(t, env), Options{})
	put(t, a, "m/1", "x")
	exchange(t, a, h.URL)
	exchange(t, b, h.URL)
	backup := t.TempDir() + "/backup"
	command(t, "cp", "-a", one, backup)
	put(t, a, "m/2", "x")
	exchange(t, a, h.URL)
	own, oid, _ := tipOf(t, a)
	git(t, env, h.Dir, "update-ref", logRef(own), f.commit(f.commit(oid, "f1", nil, nil), "f2", nil, testKey(3)))
	a2 := open(t, env, backup, Options{})
	for i, s := range []*Store{b, a2} {
		r := exchange(t, s, h.URL)
		if len(r.Refused) != 1 || len(r.Fetched) != 1 || r.Forked != "" || version(t, s) != version(t, a) {
			t.Errorf("%d: %+v", i, r)
		}
	}
	if there := h.Refs()[logRef(own)]; there != oid {
		t.Errorf("the hub has %s, want %s", there, oid)
	}
	if r := exchange(t, b, h.URL); len(r.Refused) > 0 {
		t.Errorf("%+v", r)
	}
}

// TestForgedBeside: a forged log at a place that is looked at first does not hide the true one
// that its owner, who may push only branches of a prefix, keeps elsewhere.
func TestForgedBeside(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	mine := testKey(7)
	for name, forge := range map[string]func(f forger, old OID, h Header) OID{
		"anew":                  func(f forger, _ OID, h Header) OID { return f.commit("", "forged", &h, nil) },
		"anew with another key": func(f forger, _ OID, h Header) OID { return f.commit("", "forged", &h, mine) },
		"anew with another key in the header": func(f forger, _ OID, h Header) OID {
			h.Key = publicOf(mine)
			return f.commit("", "forged", &h, mine)
		},
		"on top of what there was":              func(f forger, old OID, _ Header) OID { return f.commit(old, "forged", nil, nil) },
		"on top of what there was, another key": func(f forger, old OID, _ Header) OID { return f.commit(old, "forged", nil, mine) },
		"of another epoch": func(f forger, old OID, h Header) OID {
			h.Base.Epoch += 3
			return f.commit(old, "forged", &h, mine)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := hub.New(t)
			f := forger{t, env, h.Dir}
			a, b := open(t, env, newRepo(t, env), Options{RefPrefix: "s-"}), open(t, env, newRepo(t, env), Options{})
			put(t, a, "m/0", "x")
			exchange(t, a, h.URL)
			exchange(t, b, h.URL)
			own, old, _ := tipOf(t, a)
			sn, err := a.Snapshot(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			git(t, env, h.Dir, "update-ref", logRef(own), forge(f, old, sn.Header(own)))
			for i := range 3 {
				if i == 1 { // and what is true, but old, between the two
					git(t, env, h.Dir, "update-ref", headsPrefix+own, old)
				}
				put(t, a, fmt.Sprint("m/", 1+i), "x")
				if r := exchange(t, a, h.URL); r.Pushed != 1 || r.Forked != "" {
					t.Errorf("its owner: %+v", r)
				}
				if list, err := a.Remotes(context.Background()); err != nil || list[0].Ahead != 0 || !strings.HasPrefix(list[0].Place, "refs/heads/s-") {
					t.Errorf("its owner: %+v, %v", list, err)
				}
				r := exchange(t, b, h.URL)
				if len(r.Fetched) != 1 || version(t, b) != version(t, a) {
					t.Errorf("round %d: %+v", i, r)
				}
				if len(r.Refused) != 1 || !strings.Contains(r.Refused[0].Why, logRef(own)) {
					t.Errorf("round %d: refused %+v", i, r.Refused)
				}
			}
			if r := exchange(t, b, h.URL); len(r.Fetched) > 0 || len(r.Refused) != 1 {
				t.Errorf("with nothing new: %+v", r)
			}
			sound(t, env, b.repo.Dir)
		})
	}
}

// TestOlderBeside: nor does one of an earlier epoch, which is nobody's fault.
func TestOlderBeside(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	h := hub.New(t)
	a, b := open(t, env, newRepo(t, env), Options{RefPrefix: "s-"}), open(t, env, newRepo(t, env), Options{})
	put(t, a, "m/0", "x")
	put(t, a, "m/1", "x")
	exchange(t, a, h.URL)
	cut(t, a, time.Now(), "m/0")
	exchange(t, a, h.URL)
	exchange(t, b, h.URL)
	own, _, _ := tipOf(t, a)
	sn, err := a.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	head := sn.Header(own)
	head.Base.Epoch, head.Created = 0, "2020-01-01T00:00:00Z"
	git(t, env, h.Dir, "update-ref", logRef(own), forger{t, env, h.Dir}.commit("", "forged", &head, nil))
	for i := range 2 {
		put(t, a, fmt.Sprint("m/", 5+i), "x")
		exchange(t, a, h.URL)
		if r := exchange(t, b, h.URL); version(t, b) != version(t, a) {
			t.Errorf("round %d: %+v", i, r)
		}
	}
}

// TestForgedOff: where nothing is verified everything that goes on is believed.
func TestForgedOff(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	h := hub.New(t)
	a := open(t, env, newRepo(t, env), Options{})
	b := open(t, env, newRepo(t, env), Options{Trust: trustOff})
	put(t, a, "m/1", "x")
	exchange(t, a, h.URL)
	exchange(t, b, h.URL)
	own, oid, _ := tipOf(t, a)
	git(t, env, h.Dir, "update-ref", logRef(own), forger{t, env, h.Dir}.commit(oid, "f1", nil, nil))
	if r := exchange(t, b, h.URL); len(r.Refused) > 0 || len(r.Fetched) != 1 {
		t.Errorf("%+v", r)
	}
}

// keyless makes a clone whose log began before there were keys.
func keyless(t *testing.T, env []string, id string) (s *Store, dir string) {
	t.Helper()
	dir = newRepo(t, env)
	s = open(t, env, dir, Options{})
	if err := s.repo.sharing().mkdir(s.repo.dir("tmp")); err != nil {
		t.Fatal(err)
	}
	oid := forger{t, env, dir}.commit("", "first", &Header{Format: FormatVersion, Replica: id, Created: "2026-11-21T05:00:00Z"}, nil)
	git(t, env, dir, "update-ref", logRef(id), oid)
	if err := s.saveReplica(id); err != nil {
		t.Fatal(err)
	}
	return s, dir
}

// TestKeyless: a log without a key goes on as it did, and gains one only by being written
// anew.
func TestKeyless(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	h := hub.New(t)
	const id = "q3k9xd2m7a"
	a, dir := keyless(t, env, id)
	b := open(t, env, newRepo(t, env), Options{})
	put(t, a, "m/1", "x")
	if r := exchange(t, a, h.URL); r.Pushed != 2 || there(a, keyFile) {
		t.Errorf("%+v", r)
	}
	if n := git(t, env, dir, "rev-list", "--count", logRef(id)); n != "2" {
		t.Errorf("the log has %s commits", n)
	}
	if r := exchange(t, b, h.URL); len(r.Refused) > 0 || len(r.Fetched) != 1 {
		t.Errorf("%+v", r)
	}
	sn, err := a.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if list, err := sn.Distrusted(context.Background(), Trust{}); err != nil || len(list) > 0 || sn.SignerLine(id) != "" {
		t.Errorf("%v, %v", list, err)
	}
	head := sn.Header(id)
	head.Key = publicOf(testKey(1))
	git(t, env, h.Dir, "update-ref", logRef(id), forger{t, env, h.Dir}.commit(sn.logs[id].OID, "f", &head, testKey(1)))
	for i, s := range []*Store{b, a} {
		if r := exchange(t, s, h.URL); len(r.Refused) != 1 || !strings.Contains(r.Refused[0].Why, "had none when it was first seen") {
			t.Errorf("%d: %+v", i, r)
		}
	}
	if r := exchange(t, b, h.URL); len(r.Refused) > 0 {
		t.Errorf("%+v", r)
	}
	// Written anew, it takes a key along.
	now, err := a.keyed(sn.Header(id))
	if err != nil || now.Key == "" {
		t.Fatalf("%+v, %v", now, err)
	}
	if again, err := a.keyed(now); err != nil || again != now {
		t.Errorf("%+v, %v", again, err)
	}
	if key, err := a.ownKey(now.Key); err != nil || publicOf(key) != now.Key {
		t.Error(err)
	}
	known := sn.logs[id]
	now.Base.Epoch++
	anew := &tip{OID: forger{t, env, dir}.commit("", "first", &now, keyOfFile(t, a, now.Key)), Header: now}
	if why, err := b.distrust(Trust{}, id, anew, known, false); err == nil && why == "" {
		t.Error("b has not got it")
	}
	if why, err := a.distrust(Trust{}, id, anew, known, false); err != nil || why != "" {
		t.Errorf("%q, %v", why, err)
	}
}

func keyOfFile(t *testing.T, s *Store, public string) ed25519.PrivateKey {
	t.Helper()
	key, err := s.ownKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestListed: only logs with a key in the list are believed, new ones and those that were
// there before it.
func TestListed(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	h := hub.New(t)
	a := open(t, env, newRepo(t, env), Options{})
	c, _ := keyless(t, env, "0000000001")
	list := ""
	b := open(t, env, newRepo(t, env), Options{Trust: func(context.Context) (Trust, error) {
		return Trust{Listed: ParseSigners("the list", []byte(list))}, nil
	}})
	put(t, b, "b/1", "x") // its own log needs no list
	put(t, a, "m/1", "x")
	exchange(t, a, h.URL)
	exchange(t, c, h.URL)
	key := publicOf(keyOf(t, a))
	own, _, _ := tipOf(t, a)
	step := func(lines string, fetched int, why ...string) {
		t.Helper()
		list = lines
		put(t, a, fmt.Sprint("m/", len(lines)), "x")
		exchange(t, a, h.URL)
		r := exchange(t, b, h.URL)
		if len(r.Fetched) != fetched || len(r.Refused) != len(why) {
			t.Errorf("with %q: %+v", lines, r)
			return
		}
		for i, w := range why {
			if !strings.Contains(r.Refused[i].Why, w) {
				t.Errorf("with %q: %q, want %q", lines, r.Refused[i].Why, w)
			}
		}
	}
	step("", 0, "it has no key", `add: `+own+` namespaces="git" `+key)
	step("other "+key, 0, "it has no key", "not in the list")
	step(own+" cert-authority "+key, 0, "it has no key", "certificates are not supported")
	step(own+" "+key, 1, "it has no key")
	step("* "+publicOf(testKey(1)), 0, "it has no key", "not in the list")
	sn, err := b.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if bad, err := sn.Distrusted(context.Background(), Trust{Listed: ParseSigners("f", []byte("* "+publicOf(testKey(1))))}); err != nil || len(bad) != 1 || bad[0].Replica != own {
		t.Errorf("%v, %v", bad, err)
	}
	step(strings.Repeat("x", 100)+" "+key+"\n# all\n* "+key, 1, "it has no key")
}

// TestSigners holds our reading of a list against what ssh-keygen finds in it.
func TestSigners(t *testing.T) {
	t.Parallel()
	const id = "q3k9xd2m7a"
	key := testKey(1)
	k := publicOf(key)
	now := time.Date(2026, 11, 21, 5, 0, 0, 0, time.Local)
	cases := map[string]bool{
		id + " " + k:                             true,
		id + " " + k + " a comment":              true,
		"\t" + id + "\t\t" + k:                   true,
		`"` + id + `" ` + k:                      true,
		"* " + k:                                 true,
		"q3k9*,nobody " + k:                      true,
		"q3k9xd2m7? " + k:                        true,
		"q3k9xd2m7[a] " + k:                      false,
		"nobody " + k:                            false,
		"*,!q3k9xd2m7a " + k:                     false,
		"!nobody,* " + k:                         true,
		"!nobody " + k:                           false,
		id + ` namespaces="git" ` + k:            true,
		id + ` NameSpaces="file,g*" ` + k:        true,
		id + ` namespaces="file" ` + k:           false,
		id + ` valid-after="20261121" ` + k:      true,
		id + ` valid-after="20261122" ` + k:      false,
		id + ` valid-before="20261121" ` + k:     false,
		id + ` valid-before="202611210501" ` + k: true,
		id + ` valid-after="20200101",valid-before="20270101120000",namespaces="git" ` + k: true,
		id + ` valid-after="20261120Z",valid-before="20261122000000Z" ` + k:                true,
		id + ` cert-authority ` + k:         false,
		id + ` unknown ` + k:                false,
		id + ` namespaces=git ` + k:         false,
		id + ` valid-after="soon" ` + k:     false,
		id + " ssh-ed25519 AAAA":            false,
		id + " " + publicOf(testKey(2)):     false,
		"# " + id + " " + k:                 false,
		id:                                  false,
		"":                                  false,
		id + " ssh-rsa AAAA\n* " + k:        true,
		"nobody " + k + "\n" + id + " " + k: true,
		id + ` valid-before="20200101" ` + k + "\n" + id + " " + k: true,
	}
	keygen, err := exec.LookPath("ssh-keygen")
	dir := t.TempDir()
	writeFile(t, dir+"/sig", encodeSignature(key.Public().(ed25519.PublicKey), ed25519.Sign(key, toSign([]byte("text")))))
	// ssh-keygen takes a year before 1970 for none, and keys that are damaged for none.
	for text, want := range cases {
		if got := ParseSigners("f", []byte(text)).refuses(id, k, now); (got == "") != want {
			t.Errorf("%q: %q, want it allowed: %v", text, got, want)
		}
		if err != nil {
			continue
		}
		writeFile(t, dir+"/list", text+"\n")
		cmd := exec.Command(keygen, "-Y", "verify", "-f", dir+"/list", "-I", id, "-n", sigNamespace, "-s", dir+"/sig", "-Overify-time="+now.Format("20060102150405"))
		cmd.Stdin = strings.NewReader("text")
		if out, err := cmd.CombinedOutput(); (err == nil) != want {
			t.Errorf("%q: ssh-keygen says %s", text, out)
		}
	}
	if err != nil {
		t.Log("ssh-keygen is not installed: our reading was not held against its own")
	}
}
