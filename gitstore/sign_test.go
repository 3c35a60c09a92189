//go:build unix

package gitstore

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// testKey makes a key that is always the same for the same number.
func testKey(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

func publicOf(key ed25519.PrivateKey) string { return formatKey(key.Public().(ed25519.PublicKey)) }

// tipOf returns the newest commit of a clone's own log, and that as an object.
func tipOf(t *testing.T, s *Store) (own string, oid OID, data []byte) {
	t.Helper()
	sn, err := s.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	oid = sn.logs[sn.own].OID
	if data, err = s.objects.one(oid, "commit"); err != nil {
		t.Fatal(err)
	}
	return sn.own, oid, data
}

// TestSignsOnce: of what is pushed only the newest commit is signed, by one more that changes
// nothing; with nothing new there is neither commit nor push, and what reads the log
// takes no notice of it.
func TestSignsOnce(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	hub := hubOf(t, env)
	dir := newRepo(t, env)
	s := open(t, env, dir, Options{})
	git(t, env, dir, "config", "grep.patternType", "fixed") // which rev-list and log heed
	fill(t, s, 0, 3)
	own, was, _ := tipOf(t, s)
	ref := logRef(own)
	sn, err := s.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if r := exchange(t, s, hub); r.Pushed != 3 {
		t.Errorf("%+v", r)
	}
	for i, batch := range []int{3, 2, 1} {
		_, tip, data := tipOf(t, s)
		c := parseCommit(data)
		if there := git(t, env, hub, "rev-parse", ref); there != tip {
			t.Errorf("the hub has %s, this clone %s", there, tip)
		}
		if n := git(t, env, dir, "rev-list", "--count", was+".."+ref); n != "1" {
			t.Errorf("batch %d: %s commits were added, want 1", i, n)
		}
		what := fmt.Sprintf("sync: sign %d commits\n", batch)
		if batch == 1 {
			what = "sync: sign 1 commit\n"
		}
		if len(c.parents) != 1 || c.parents[0] != was || !strings.HasPrefix(c.message, what) || c.trailers()["Agentmail-Seq"] != "1" {
			t.Errorf("batch %d: the signature is\n%s", i, data)
		}
		if git(t, env, dir, "rev-parse", ref+"^{tree}") != git(t, env, dir, "rev-parse", was+"^{tree}") {
			t.Errorf("batch %d: it changes files", i)
		}
		if signerOf(data) != sn.Header(own).Key {
			t.Errorf("batch %d: it is signed by %q", i, signerOf(data))
		}
		before, there := allRefs(t, env, dir), allRefs(t, env, hub)
		if r := exchange(t, s, hub); r.Pushed > 0 || allRefs(t, env, dir) != before || allRefs(t, env, hub) != there {
			t.Errorf("batch %d: with nothing new it did %+v", i, r)
		}
		if list, err := s.Remotes(context.Background()); err != nil || list[0].Ahead != 0 {
			t.Errorf("batch %d: %+v, %v", i, list, err)
		}
		// What asks for news since before the signature is told of none.
		now, err := s.Snapshot(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		since := Version(own + "=" + was)
		if n, err := now.Since(context.Background(), since); err != nil || len(n.Files)+len(n.Lost) > 0 || n.Next != now.Version() {
			t.Errorf("batch %d: %+v, %v", i, n, err)
		}
		if ok, err := now.WalkSince(context.Background(), since, func(f File) error { return fmt.Errorf("it has %q", f.Path) }); !ok || err != nil {
			t.Errorf("batch %d: %v, %v", i, ok, err)
		}
		for j := range batch - 1 {
			put(t, s, fmt.Sprintf("more/%d/%d", i, j), "x")
		}
		if _, was, _ = tipOf(t, s); batch > 1 {
			if list, err := s.Remotes(context.Background()); err != nil || list[0].Ahead != batch-1 {
				t.Errorf("batch %d: %+v, %v", i, list, err)
			}
			if r := exchange(t, s, hub); r.Pushed != batch-1 {
				t.Errorf("batch %d: %+v", i, r)
			}
		}
	}
	if list, err := s.repo.LogBy(context.Background(), "Agentmail-Seq", "2", 9); err != nil || len(list) > 0 {
		t.Errorf("%v, %v", list, err)
	}
	files := 0
	if err := s.repo.Additions(context.Background(), 6, func(a Addition) bool { files++; return true }); err != nil || files != 7 {
		t.Errorf("the six newest commits added %d files, %v", files, err) // six, and the header
	}
	if dates := git(t, env, dir, "log", "--format=%ct", ref); strings.ReplaceAll(dates, "946684800", "") != strings.Repeat("\n", strings.Count(dates, "\n")) {
		t.Errorf("committer dates: %s", dates)
	}
	sound(t, env, dir)
}

// TestGitVerifies: git and ssh-keygen take our keys and signatures for theirs, and we theirs.
func TestGitVerifies(t *testing.T) {
	t.Parallel()
	keygen, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Skip("ssh-keygen is not installed: that it takes our keys and signatures was not checked")
	}
	env := testEnv(t)
	dir := newRepo(t, env)
	s := open(t, env, dir, Options{})
	fill(t, s, 0, 2)
	exchange(t, s, hubOf(t, env))
	sn, err := s.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	signers := filepath.Join(t.TempDir(), "signers")
	writeFile(t, signers, sn.SignerLine(sn.own)+"\n")
	verify := func(file string) string {
		cmd := exec.Command("git", "-c", "gpg.format=ssh", "-c", "gpg.ssh.allowedSignersFile="+file, "verify-commit", "-v", logRef(sn.own))
		cmd.Dir, cmd.Env = dir, env
		out, err := cmd.CombinedOutput()
		return fmt.Sprintf("%s%v", out, err)
	}
	if said := verify(signers); !strings.Contains(said, `Good "git" signature for `+sn.own) || !strings.HasSuffix(said, "<nil>") {
		t.Error(said)
	}
	writeFile(t, signers, signerLine(sn.own, publicOf(testKey(1))))
	if said := verify(signers); strings.HasSuffix(said, "<nil>") {
		t.Error(said)
	}
	ours := filepath.Join(dir, ".git", "agentmail", keyFile)
	out, err := exec.Command(keygen, "-y", "-P", "", "-f", ours).CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), sn.Header(sn.own).Key) {
		t.Errorf("ssh-keygen reads our key as %s, %v", out, err)
	}
	theirs := filepath.Join(t.TempDir(), "k")
	command(t, keygen, "-q", "-t", "ed25519", "-N", "", "-C", "a comment", "-f", theirs)
	data, _ := os.ReadFile(theirs)
	public, _ := os.ReadFile(theirs + ".pub")
	key, ok := parsePrivate(data)
	if !ok || !strings.HasPrefix(string(public), publicOf(key)+" ") {
		t.Errorf("a key of ssh-keygen's is not read: %s", public)
	}
	text := filepath.Join(t.TempDir(), "text")
	writeFile(t, text, "a text")
	command(t, keygen, "-q", "-Y", "sign", "-n", sigNamespace, "-f", theirs, text)
	sig, _ := os.ReadFile(text + ".sig")
	if by, raw, ok := decodeSignature(string(sig)); !ok || !ed25519.Verify(by, toSign([]byte("a text")), raw) || formatKey(by) != publicOf(key) {
		t.Errorf("a signature of ssh-keygen's is not read: %s", sig)
	}
	command(t, keygen, "-q", "-t", "ed25519", "-N", "secret", "-f", theirs+"2")
	if data, _ = os.ReadFile(theirs + "2"); len(data) == 0 {
		t.Error("no key")
	} else if _, ok := parsePrivate(data); ok {
		t.Error("a key is read without its passphrase")
	}
}

// TestSignatureOf: only what was signed is.
func TestSignatureOf(t *testing.T) {
	plain := []byte("tree " + emptyTree + "\nauthor A <a@x> 1 +0000\ncommitter C <c@x> 2 +0000\n\nsubject\n\ntext\n")
	key := testKey(1)
	data := signCommit(plain, key)
	if signerOf(data) != publicOf(key) || signerOf(plain) != "" {
		t.Fatalf("it is signed by %q", signerOf(data))
	}
	if back, sig := splitCommit(data); !bytes.Equal(back, plain) || sig == "" {
		t.Errorf("without its signature it is %q", back)
	}
	if c := parseCommit(data); c.tree != emptyTree || len(c.parents) > 0 || c.message != "subject\n\ntext\n" {
		t.Errorf("%+v", c)
	}
	for i := range data {
		bad := bytes.Clone(data)
		bad[i] ^= 1
		if signerOf(bad) == publicOf(key) {
			t.Errorf("with another byte at %d it is signed still: %q", i, bad)
		}
	}
	_, sig := splitCommit(data)
	twice := append([]byte(sigHeader+strings.ReplaceAll(strings.TrimSuffix(sig, "\n"), "\n", "\n ")+"\n"), data...)
	if signerOf(twice) != "" {
		t.Error("with two signatures it is signed")
	}
	if signerOf(nil) != "" || signerOf([]byte("\n\n")) != "" {
		t.Error("nothing is signed")
	}
}

// FuzzSignature: whatever a signature is read from has no other form, and no commit is taken
// apart into more than it was.
func FuzzSignature(f *testing.F) {
	key := testKey(1)
	plain := []byte("tree " + emptyTree + "\nauthor A <a@x> 1 +0000\ncommitter C <c@x> 2 +0000\n\nsubject\n")
	data := signCommit(plain, key)
	_, sig := splitCommit(data)
	for _, seed := range []string{"", sig, string(data), string(formatPrivate(key, "c")), publicOf(key), armor(sigArmor, []byte(sigMagic+"\x00\x00\x00\x01\xff\xff\xff\xff")),
		strings.Replace(sig, "\n", "\r\n", 1), armor(sigArmor, nil), armor(privateArmor, []byte(privateMagic))} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		text := string(in)
		if by, raw, ok := decodeSignature(text); ok && encodeSignature(by, raw) != text {
			t.Errorf("%q is one signature in two forms", text)
		}
		if by, ok := parseKey(text); ok && formatKey(by) != text {
			t.Errorf("%q is one key in two forms", text)
		}
		if k, ok := parsePrivate(in); ok && len(k) != ed25519.PrivateKeySize {
			t.Errorf("%q is half a key", text)
		}
		signed, sig := splitCommit(in)
		if len(signed)+len(sig) > len(in)+4 {
			t.Errorf("of %q it makes %q and %q", in, signed, sig)
		}
		if by := signerOf(in); by != "" && !bytes.Equal(in, data) && by == publicOf(key) {
			t.Errorf("nobody signed %q", in)
		}
		ParseSigners("f", in)
	})
}

// TestSameSignature: two copies of a clone sign what both have in the same way: they go on as
// one, and a clone that was put back from a backup as itself.
func TestSameSignature(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	hubs := []string{hubOf(t, env), hubOf(t, env)}
	one := newRepo(t, env)
	a := open(t, env, one, Options{})
	fill(t, a, 0, 2)
	two := filepath.Join(t.TempDir(), "copy")
	command(t, "cp", "-a", one, two)
	b := open(t, env, two, Options{})
	exchange(t, a, hubs[0])
	exchange(t, b, hubs[1])
	if x, y := version(t, a), version(t, b); x != y {
		t.Errorf("they hold %s and %s", x, y)
	}
	if r := exchange(t, b, hubs[0]); r.Forked != "" || r.Pushed > 0 {
		t.Errorf("%+v", r)
	}
}

// TestNewKey: a clone that takes a new identity takes a new key, and finds it whenever it is
// killed meanwhile.
func TestNewKey(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	hub := hubOf(t, env)
	a, b, two := copied(t, env, hub)
	was, err := os.ReadFile(b.repo.dir(keyFile))
	if err != nil {
		t.Fatal(err)
	}
	if r := exchange(t, b, hub); r.Forked == "" {
		t.Fatalf("%+v", r)
	}
	now, err := os.ReadFile(b.repo.dir(keyFile))
	if err != nil || bytes.Equal(was, now) {
		t.Errorf("the key is the one it was, %v", err)
	}
	sn, err := b.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	ns, err := a.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if k := sn.Header(sn.own).Key; k == "" || k == ns.Header(ns.own).Key || sn.Header(ns.own).Key != ns.Header(ns.own).Key {
		t.Errorf("the keys are %q and %q", k, ns.Header(ns.own).Key)
	}
	// Killed before the key took its place.
	if err := os.Rename(b.repo.dir(keyFile), b.repo.dir(keyNext)); err != nil {
		t.Fatal(err)
	}
	writeFile(t, b.repo.dir(keyFile), string(was))
	put(t, b, "by/b2", "1")
	if r := exchange(t, b, hub); r.Pushed != 1 || there(b, keyNext) {
		t.Errorf("%+v", r)
	}
	if r := exchange(t, a, hub); len(r.Refused) > 0 || version(t, a) != version(t, b) {
		t.Errorf("%+v", r)
	}
	sound(t, env, two)
}

// TestKeyGone: without its key a clone fetches and writes, says what is wrong and pushes
// nothing; as another clone it goes on.
func TestKeyGone(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	hub := hubOf(t, env)
	s := open(t, env, newRepo(t, env), Options{})
	fill(t, s, 0, 1)
	exchange(t, s, hub)
	before := allRefs(t, env, hub)
	for _, text := range []string{"", "no key\n", string(formatPrivate(testKey(1), ""))} {
		if os.Remove(s.repo.dir(keyFile)); text != "" {
			writeFile(t, s.repo.dir(keyFile), text)
		}
		put(t, s, fmt.Sprint("x/", len(text)), "1")
		_, err := s.Sync(context.Background(), hub)
		var e *Error
		if KindOf(err) != Damaged || !errors.As(err, &e) || !strings.HasPrefix(e.Hint, "rm ") {
			t.Errorf("%v", err)
		}
		sn, _ := s.Snapshot(context.Background())
		if list, err := sn.Distrusted(context.Background(), Trust{}); err != nil || len(list) != 1 || !strings.Contains(list[0].Why, "not the key") {
			t.Errorf("%v, %v", list, err)
		}
	}
	if allRefs(t, env, hub) != before {
		t.Error("something was pushed")
	}
	os.Remove(s.repo.dir(replicaFile))
	put(t, s, "y", "1")
	if r := exchange(t, s, hub); r.Pushed != 1 {
		t.Errorf("%+v", r)
	}
}

// TestSignsItself: what goes out at once is signed when it is written, and gets no commit on top;
// what comes after it is signed as ever, and without the key it is written all the same.
func TestSignsItself(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	hub := hubOf(t, env)
	dir := newRepo(t, env)
	s := open(t, env, dir, Options{})
	write := func(path string) (OID, string) {
		t.Helper()
		if _, err := s.Update(context.Background(), func(tx *Tx) (CommitInfo, error) {
			return CommitInfo{Subject: path, Author: "a", Signed: true}, tx.Create(path, []byte("x"))
		}); err != nil {
			t.Fatal(err)
		}
		_, oid, data := tipOf(t, s)
		return oid, signerOf(data)
	}
	put(t, s, "first", "1")
	exchange(t, s, hub)
	own, _, _ := tipOf(t, s)
	sn, err := s.Snapshot(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	oid, signer := write("at/once")
	if signer != sn.Header(own).Key {
		t.Fatalf("it is signed by %q", signer)
	}
	if r := exchange(t, s, hub); r.Pushed != 1 {
		t.Errorf("%+v", r)
	}
	if there := git(t, env, hub, "rev-parse", logRef(own)); there != oid {
		t.Errorf("the hub has %s, not the commit that signs itself", there)
	}
	put(t, s, "later", "1")
	if r := exchange(t, s, hub); r.Pushed != 1 {
		t.Errorf("%+v", r)
	}
	if _, tip, data := tipOf(t, s); !strings.HasPrefix(parseCommit(data).message, signWord+"1 commit\n") {
		t.Errorf("%s is no signature:\n%s", tip, data)
	}
	other := newRepo(t, env)
	o := open(t, env, other, Options{})
	if r := exchange(t, o, hub); len(r.Refused) > 0 || len(r.Fetched) != 1 {
		t.Errorf("%+v", r)
	}
	os.Remove(s.repo.dir(keyFile))
	if _, signer := write("without/key"); signer != "" {
		t.Errorf("it is signed by %q", signer)
	}
	sound(t, env, dir)
}

// TestSignBeside: others write and plain git adds to the log while it is signed and pushed.
func TestSignBeside(t *testing.T) {
	t.Parallel()
	env := testEnv(t)
	hub := hubOf(t, env)
	dir := newRepo(t, env)
	s := open(t, env, dir, Options{})
	put(t, s, "first", "1")
	p := spawn(t, env, "write", childConfig{Dir: dir, Prefix: "w", Count: 12}, nil)
	q := spawn(t, env, "plain", childConfig{Dir: dir, Prefix: "p", Count: 6}, nil)
	for done := 0; done < 2; {
		exchange(t, s, hub)
		done = 0
		for _, c := range []*proc{p, q} {
			select {
			case <-c.done:
				done++
			default:
			}
		}
	}
	acked := append(p.output(), q.output()...)
	exchange(t, s, hub)
	other := newRepo(t, env)
	if r := exchange(t, open(t, env, other, Options{}), hub); len(r.Refused) > 0 || len(r.Fetched) != 1 {
		t.Errorf("%+v", r)
	}
	holds(t, env, other, acked)
	sound(t, env, dir)
}
