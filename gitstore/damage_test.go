//go:build unix

package gitstore

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// victim is a repository with two logs that is about to be damaged.
type victim struct {
	t            *testing.T
	env          []string
	dir          string
	own, foreign string   // replicas
	tip, other   OID      // their tips
	packs        []string // the own log's packs, oldest first, without extension
	files        map[string]string
}

// newVictim makes the repository that the tests of this file copy.
func newVictim(t *testing.T) *victim {
	v := &victim{t: t, env: testEnv(t), dir: newRepo(t, testEnv(t)), files: map[string]string{}}
	other := filepath.Join(t.TempDir(), "other")
	git(t, v.env, "", "clone", "-q", v.dir, other)
	so := open(t, v.env, other, Options{})
	put(t, so, "a/foreign", "f")
	v.files["a/foreign"] = "f"
	git(t, v.env, v.dir, "fetch", "-q", other, "refs/agentmail/*:refs/agentmail/*")
	s := open(t, v.env, v.dir, Options{})
	for i := range 3 {
		had := map[string]bool{}
		before, _ := s.ourPacks(context.Background(), false)
		for _, p := range before {
			had[p.base] = true
		}
		path := fmt.Sprintf("a/%d", i)
		put(t, s, path, path)
		v.files[path] = path
		after, _ := s.ourPacks(context.Background(), false)
		for _, p := range after {
			if !had[p.base] {
				v.packs = append(v.packs, filepath.Base(p.base))
			}
		}
	}
	sn, err := s.Snapshot(context.Background())
	if err != nil || len(v.packs) != 3 || len(sn.logs) != 2 {
		t.Fatalf("cannot set up: %v, packs %q, logs %v", err, v.packs, sn.Replicas())
	}
	v.own = sn.Own()
	for _, r := range sn.Replicas() {
		if r != v.own {
			v.foreign = r
		}
	}
	v.tip, v.other = sn.logs[v.own].OID, sn.logs[v.foreign].OID
	s.Close()
	so.Close()
	return v
}

// copy returns the same in another place.
func (v *victim) copy(t *testing.T) *victim {
	c := *v
	c.t, c.dir = t, filepath.Join(t.TempDir(), "r")
	command(t, "cp", "-a", v.dir, c.dir)
	return &c
}

func (v *victim) path(elem string) string {
	return filepath.Join(v.dir, ".git", filepath.FromSlash(elem))
}

func (v *victim) write(elem, data string) {
	os.Remove(v.path(elem)) // packs are read-only
	writeFile(v.t, v.path(elem), data)
}

func (v *victim) remove(elems ...string) {
	for _, e := range elems {
		if err := os.RemoveAll(v.path(e)); err != nil {
			v.t.Fatal(err)
		}
	}
}

func (v *victim) cut(elem string) {
	data, err := os.ReadFile(v.path(elem))
	if err != nil {
		v.t.Fatal(err)
	}
	v.write(elem, string(data[:len(data)/2]))
}

func (v *victim) spoil(elem string) {
	data, err := os.ReadFile(v.path(elem))
	if err != nil {
		v.t.Fatal(err)
	}
	v.write(elem, string(bytes.Repeat([]byte{0xa5}, len(data))))
}

func (v *victim) pack(i int, ext string) string { return "objects/pack/" + v.packs[i] + ext }

const anyKind Kind = "any"

// TestDamage breaks one thing after another. What can be put right is; what
// cannot is an error that names it. A new history never begins over an old one.
func TestDamage(t *testing.T) {
	const fine, none = Kind(""), "0123456789012345678901234567890123456789"
	ref := func(v *victim) string { return logRef(v.own) }
	base := newVictim(t)
	for _, c := range []struct {
		name        string
		do          func(v *victim)
		read, write Kind
		says        func(v *victim) string // in the errors
	}{
		{"tips empty", func(v *victim) { v.write("agentmail/tips", "") }, fine, fine, nil},
		{"tips cut", func(v *victim) { v.cut("agentmail/tips") }, fine, fine, nil},
		{"tips zero, as after a power cut", func(v *victim) { v.write("agentmail/tips", string(make([]byte, 300))) }, fine, fine, nil},
		{"tips random", func(v *victim) { v.spoil("agentmail/tips") }, fine, fine, nil},
		{"tips missing", func(v *victim) { v.remove("agentmail/tips") }, fine, fine, nil},
		{"tips null", func(v *victim) { v.write("agentmail/tips", "null") }, fine, fine, nil},
		{"tips without trees", func(v *victim) {
			v.write("agentmail/tips", fmt.Sprintf("%s\nlog %s %s 1 false 0 0 \"\"\n%s\n", tipsMagic, v.own, v.tip, tipsEnd))
		}, fine, fine, nil},
		{"tips of a missing object", func(v *victim) {
			v.write("agentmail/tips", fmt.Sprintf("%s\nlog %s %s 1 false 0 0 \"\"\n%s \"agentmail.json\"\n%s\n", tipsMagic, v.own, none, none, tipsEnd))
		}, fine, fine, nil},
		{"tips is a directory", func(v *victim) { v.remove("agentmail/tips"); os.Mkdir(v.path("agentmail/tips"), 0o777) }, fine, fine, nil},
		{"replica empty", func(v *victim) { v.write("agentmail/replica", "") }, Damaged, Damaged, func(*victim) string { return "agentmail/replica" }},
		{"replica random", func(v *victim) { v.spoil("agentmail/replica") }, Damaged, Damaged, func(*victim) string { return "agentmail/replica" }},
		{"replica of bad form", func(v *victim) { v.write("agentmail/replica", replicaMagic+"../../HEAD 2026-11-21T05:00:00Z\n") }, Damaged, Damaged, func(*victim) string { return "agentmail/replica" }},
		{"replica of another version", func(v *victim) {
			v.write("agentmail/replica", "git-agentmail replica 9 "+v.own+" 2026-11-21T05:00:00Z\n")
		}, Damaged, Damaged, func(*victim) string { return "agentmail/replica" }},
		{"replica missing", func(v *victim) { v.remove("agentmail/replica") }, fine, fine, nil},
		{"lock random", func(v *victim) { v.spoil("agentmail/lock") }, fine, fine, nil},
		{"lock missing", func(v *victim) { v.remove("agentmail/lock") }, fine, fine, nil},
		{"lock is a directory", func(v *victim) { v.remove("agentmail/lock"); os.Mkdir(v.path("agentmail/lock"), 0o777) }, fine, GitFailed, func(*victim) string { return "agentmail/lock" }},
		{"note random", func(v *victim) { v.write("agentmail/moving", "\xff\x00 \n x y z") }, fine, fine, nil},
		{"note is a directory", func(v *victim) { v.remove("agentmail/moving"); os.Mkdir(v.path("agentmail/moving"), 0o777) }, fine, fine, nil},
		{"directory deleted", func(v *victim) { v.remove("agentmail") }, fine, fine, nil},
		{"directory is a file", func(v *victim) { v.remove("agentmail"); v.write("agentmail", "x") }, anyKind, anyKind, func(*victim) string { return "agentmail" }},
		{"tmp is a file", func(v *victim) { v.remove("agentmail/tmp"); v.write("agentmail/tmp", "x") }, fine, GitFailed, func(*victim) string { return "agentmail/tmp" }},
		{"rubbish in tmp", func(v *victim) { v.write("agentmail/tmp/pack-1/x", "x"); v.write("agentmail/tmp/.tmp-1", "x") }, fine, fine, nil},

		{"ref empty", func(v *victim) { v.write(ref(v), "") }, Damaged, Damaged, ref},
		{"ref random", func(v *victim) { v.write(ref(v), "\xa5\xa5") }, Damaged, Damaged, ref},
		{"ref cut", func(v *victim) { v.cut(ref(v)) }, Damaged, Damaged, ref},
		{"ref symbolic", func(v *victim) { v.write(ref(v), "ref: refs/heads/main\n") }, Damaged, Damaged, ref},
		{"ref to nothing", func(v *victim) { v.write(ref(v), none+"\n") }, Damaged, Damaged, ref},
		{"ref to nothing, no memory", func(v *victim) { v.write(ref(v), none+"\n"); v.remove("agentmail/tips") }, Damaged, Damaged, ref},
		{"ref to a tree", func(v *victim) { v.write(ref(v), emptyTree+"\n"); v.remove("agentmail/tips") }, Damaged, Damaged, ref},
		{"ref to a branch of the user's, no memory", func(v *victim) {
			v.write(ref(v), git(v.t, v.env, v.dir, "rev-parse", "HEAD")+"\n")
			v.remove("agentmail/tips")
		}, Damaged, Damaged, ref},
		{"ref to a branch of the user's", func(v *victim) { v.write(ref(v), git(v.t, v.env, v.dir, "rev-parse", "HEAD")+"\n") }, fine, fine, nil},
		{"foreign ref to nothing", func(v *victim) { v.write(logRef(v.foreign), none+"\n") }, Damaged, Damaged, func(v *victim) string { return logRef(v.foreign) }},
		{"ref deleted", func(v *victim) { v.remove(ref(v)) }, fine, fine, nil},
		{"foreign ref deleted", func(v *victim) { v.remove(logRef(v.foreign)) }, fine, fine, nil},
		{"refs deleted", func(v *victim) { v.remove("refs/agentmail", "logs/refs/agentmail") }, fine, fine, nil},
		{"ref set back", func(v *victim) { git(v.t, v.env, v.dir, "update-ref", ref(v), v.tip+"~2") }, fine, fine, nil},
		{"rubbish among the refs", func(v *victim) {
			v.write("refs/agentmail/log/.agentmail-1", "x")
			v.write("refs/agentmail/log/"+v.own+".lock~", "x")
			v.write("refs/agentmail/log/sub/dir", v.tip+"\n")
			v.write("refs/agentmail/log/readme", v.tip+"\n")
		}, fine, fine, nil},
		{"a directory for a ref", func(v *victim) { os.MkdirAll(v.path("refs/agentmail/log/0000000000"), 0o777) }, fine, fine, nil},
		{"rubbish in packed-refs", func(v *victim) {
			v.write("packed-refs", "# pack-refs with: peeled fully-peeled sorted \n"+v.tip+" refs/agentmail/log/readme\n^"+v.tip+"\n")
		}, fine, fine, nil},

		{"newest pack cut", func(v *victim) { v.cut(v.pack(2, ".pack")) }, Damaged, Damaged, nil},
		{"newest pack random", func(v *victim) { v.spoil(v.pack(2, ".pack")) }, Damaged, Damaged, nil},
		{"newest pack missing", func(v *victim) { v.remove(v.pack(2, ".pack")) }, Damaged, Damaged, nil},
		{"newest index cut", func(v *victim) { v.cut(v.pack(2, ".idx")) }, Damaged, Damaged, nil},
		{"newest index random", func(v *victim) { v.spoil(v.pack(2, ".idx")) }, Damaged, Damaged, nil},
		{"newest index missing", func(v *victim) { v.remove(v.pack(2, ".idx")) }, Damaged, Damaged, nil},
		{"newest pack gone", func(v *victim) { v.remove(v.pack(2, ".idx"), v.pack(2, ".pack"), v.pack(2, ".keep")) }, Damaged, Damaged, nil},
		{"newest pack gone, no memory", func(v *victim) {
			v.remove(v.pack(2, ".idx"), v.pack(2, ".pack"), v.pack(2, ".keep"), "agentmail/tips")
		}, Damaged, Damaged, ref},
		{"newest pack and ref gone", func(v *victim) {
			v.remove(v.pack(2, ".idx"), v.pack(2, ".pack"), v.pack(2, ".keep"), ref(v))
		}, Damaged, Damaged, nil},
		{"oldest pack gone", func(v *victim) { v.remove(v.pack(0, ".idx"), v.pack(0, ".pack"), v.pack(0, ".keep")) }, Damaged, fine, nil},
		{"notes missing", func(v *victim) { v.remove(v.pack(0, ".keep"), v.pack(1, ".keep"), v.pack(2, ".keep")) }, fine, fine, nil},
		{"notes empty", func(v *victim) { v.write(v.pack(0, ".keep"), ""); v.write(v.pack(2, ".keep"), "") }, fine, fine, nil},
		{"note without a pack", func(v *victim) { v.write("objects/pack/pack-"+none+".keep", keepNote+"\n") }, fine, fine, nil},
		{"pack without an index", func(v *victim) {
			v.write("objects/pack/pack-"+none+".keep", keepNote+"\n")
			v.write("objects/pack/pack-"+none+".pack", "x")
		}, fine, fine, nil},

		{"refs and tips gone", func(v *victim) { v.remove("refs/agentmail/log/"+v.own, "agentmail/tips") }, fine, fine, nil},
		{"refs, tips and logs gone after user's gc", func(v *victim) {
			v.remove("refs/agentmail/log/"+v.own, "logs/refs/agentmail", "agentmail/tips")
			git(v.t, v.env, v.dir, "gc", "-q", "--prune=now")
		}, fine, fine, nil},
		{"newer format", func(v *victim) { v.header(`{"format":2}`) }, Newer, Newer, nil},
		{"header random", func(v *victim) { v.header("\xff") }, Damaged, Damaged, ref},
		{"header missing", func(v *victim) { v.header("") }, Damaged, Damaged, ref},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := base.copy(t)
			c.do(v)
			s := open(t, v.env, v.dir, Options{LockWait: time.Second})
			check := func(what string, err error, want Kind) {
				t.Helper()
				if want != anyKind && KindOf(err) != want || (err == nil) != (want == fine) {
					t.Errorf("%s: %v (%s), want %q", what, err, KindOf(err), want)
				}
				if err == nil {
					return
				}
				if c.says != nil && !strings.Contains(err.Error(), c.says(v)) {
					t.Errorf("%s: %q does not name %q", what, err, c.says(v))
				} else if c.says == nil && want == Damaged && !strings.Contains(err.Error(), "object ") {
					t.Errorf("%s: %q names no object", what, err)
				}
			}
			got := map[string]string{}
			sn, err := s.Snapshot(context.Background())
			if err == nil {
				err = sn.Walk(context.Background(), "a/", func(f File) error {
					got[f.Path] = string(f.Data)
					return nil
				})
			}
			check("read", err, c.read)
			if err == nil && !maps.Equal(got, v.files) {
				t.Errorf("read %q, want %q", got, v.files)
			}
			_, err = s.Update(context.Background(), func(tx *Tx) (CommitInfo, error) {
				return CommitInfo{Subject: "s", Author: "A"}, tx.Create("b/new", []byte("n"))
			})
			check("write", err, c.write)
			v.keptHistory(err == nil)
			if c.read == fine && c.write == fine {
				if got := contents(t, v.env, v.dir); len(got) != len(v.files)+1 || got["b/new"] != "n" {
					t.Errorf("read %q after the write", got)
				}
			}
		})
	}
}

// header puts a commit on the own log whose header is text, "" for none.
func (v *victim) header(text string) {
	list := strings.Split(git(v.t, v.env, v.dir, "ls-tree", v.tip), "\n")
	for i, l := range list {
		if strings.HasSuffix(l, "\t"+headerFile) {
			list = append(list[:i], list[i+1:]...)
			break
		}
	}
	if text != "" {
		list = append(list, "100644 blob "+v.pipe(text, "hash-object", "-w", "--stdin")+"\t"+headerFile)
	}
	tree := v.pipe(strings.Join(list, "\n")+"\n", "mktree")
	oid := git(v.t, v.env, v.dir, "-c", "user.name=U", "-c", "user.email=u@x", "commit-tree", "-p", v.tip, "-m", "x", tree)
	git(v.t, v.env, v.dir, "update-ref", logRef(v.own), oid)
}

func (v *victim) pipe(stdin string, args ...string) string {
	v.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Env, cmd.Stdin = v.dir, v.env, strings.NewReader(stdin)
	out, err := cmd.Output()
	if err != nil {
		v.t.Fatalf("git %q: %v", args, err)
	}
	return strings.TrimSpace(string(out))
}

// keptHistory checks that no log has begun anew: after a write the own ref, if
// it is there, comes after the old tip.
func (v *victim) keptHistory(wrote bool) {
	v.t.Helper()
	data, err := os.ReadFile(v.path(logRef(v.own)))
	now := strings.TrimSpace(string(data))
	if err != nil || !wrote {
		return
	}
	cmd := exec.Command("git", "rev-list", now)
	cmd.Dir, cmd.Env = v.dir, v.env
	out, _ := cmd.Output() // of a damaged log the newest commits come before the fault
	if !strings.Contains(string(out), v.tip) {
		v.t.Errorf("the log of %s is at %s, which does not come after %s", v.own, now, v.tip)
	}
}
