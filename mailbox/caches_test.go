package mailbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math/rand"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/guard"
	"github.com/git-agentmail/git-agentmail/mail"
)

// folded is what a Box answers from, as text: the directory, and the leases that
// may be live.
func folded(t testing.TB, b *Box, now time.Time) string {
	t.Helper()
	sn, err := b.snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// First, before the reservations are remembered, what commits see of them.
	var near []string
	for _, path := range []string{"a/b", "a/x", "b.go", "c", "none"} {
		held, _, err := b.holds(t.Context(), sn)
		if err != nil {
			t.Fatal(err)
		}
		entries := []guard.Entry{{Path: path}}
		list, err := held.near(t.Context(), entries, false)
		if err != nil {
			t.Fatal(err)
		}
		blocks, err := guard.Check(entries, list, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, bl := range blocks {
			near = append(near, path+" "+bl.By.ID)
		}
	}
	d, err := b.directory(t.Context(), sn)
	if err != nil {
		t.Fatal(err)
	}
	ls, err := b.leases(t.Context(), sn)
	if err != nil {
		t.Fatal(err)
	}
	ls = cloneLeases(ls)
	prune(ls, now) // a cache may still hold what has ended since
	text, err := json.Marshal([]any{d, ls, near})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestCachesAreTheFold: after any verbs, by any of several mailboxes in two
// worktrees, and whatever comes in from another clone, each mailbox answers from
// its caches as one that has none.
func TestCachesAreTheFold(t *testing.T) {
	t.Parallel()
	seeds := int64(3) // of 25 steps, after each of which all is compared
	if soak() {
		seeds = 60
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewSource(seed))
			w := newWorld(t)
			side, _ := w.worktree("side")
			boxes := []*Box{w.box, side, w.open(w.dir)}
			actors := []Actor{w.agent("BlueLake"), w.agent("GreenCastle"), w.agent("RedFox")}
			c := w.clone()
			far := c.agent("FarOwl")
			any := func(list []string) string { return list[rnd.Intn(len(list))] }
			for range 25 {
				w.pass(time.Duration(rnd.Intn(40)) * time.Minute)
				c.at = w.at.Add(time.Duration(rnd.Intn(20)-10) * time.Minute)
				b := boxes[rnd.Intn(len(boxes))]
				me := actors[rnd.Intn(len(actors))]
				other := any([]string{"BlueLake", "GreenCastle", "RedFox"})
				pattern := any([]string{"a/**", "a/b", "c", "**/*.go", "tool://x"})
				switch rnd.Intn(12) {
				case 0, 1, 2:
					b.Reserve(w.ctx, me, ReserveRequest{Patterns: []string{pattern}, TTL: time.Duration(1+rnd.Intn(90)) * time.Minute, Shared: rnd.Intn(2) == 0})
				case 3:
					b.Renew(w.ctx, me, LeaseFilter{}, time.Hour)
				case 4:
					b.Release(w.ctx, me, LeaseFilter{Patterns: []string{pattern}})
				case 5:
					list := w.live(me, ReservationQuery{All: true})
					if len(list) > 0 {
						b.ForceRelease(w.ctx, me, list[rnd.Intn(len(list))].ID, "", true)
					}
				case 6:
					b.Send(w.ctx, me, Draft{To: []string{other}, Subject: "x"})
				case 7:
					b.RequestContact(w.ctx, me, other, "", 0)
				case 8:
					b.RespondContact(w.ctx, me, other, rnd.Intn(2) == 0, 0)
				case 9:
					b.Register(w.ctx, RegisterRequest{Name: any([]string{other, "NewHeron" + fmt.Sprint(rnd.Intn(3))}), Program: fmt.Sprint(rnd.Intn(9)), Model: "m"})
				case 10:
					c.box.Reserve(c.ctx, far, ReserveRequest{Patterns: []string{pattern}, Partial: true})
					w.fetch(c)
				case 11:
					c.fetch(w)
					c.box.ForceRelease(c.ctx, c.person(), any(append(leaseIDs(w), "zzzz")), "", true)
					w.fetch(c)
				}
				// One without any cache, in memory or in a file.
				cache := filepath.Join(w.dir, ".git/agentmail-cache")
				saved := map[string][]byte{}
				for _, name := range []string{agentsCache, leasesCache, briefCache} {
					if data, err := os.ReadFile(filepath.Join(cache, name)); err == nil {
						saved[name] = data
					}
				}
				if err := os.RemoveAll(cache); err != nil {
					t.Fatal(err)
				}
				want := folded(t, w.open(w.dir), w.at)
				for name, data := range saved { // as they were
					if err := os.WriteFile(filepath.Join(cache, name), data, 0o666); err != nil {
						t.Fatal(err)
					}
				}
				for i, b := range append(slices.Clone(boxes), w.open(w.dir)) {
					if got := folded(t, b, w.at); got != want {
						t.Fatalf("mailbox %d answers from\n%s\nnot\n%s", i, got, want)
					}
				}
			}
			w.git("-C", w.dir, "config", "agentmail.trust", "off") // what plain git fetched nobody signed
			if _, err := w.open(w.dir).Verify(w.ctx, nil); err != nil {
				t.Error(err)
			}
		})
	}
}

func leaseIDs(w *world) []string {
	var ids []string
	for _, r := range w.live(w.person(), ReservationQuery{All: true}) {
		ids = append(ids, r.ID)
	}
	return ids
}

// TestCachesOfRubbish: a cache that is damaged, old or somebody's joke changes no
// answer.
func TestCachesOfRubbish(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	w.hold(blue, "src/**")
	names := []string{agentsCache, leasesCache, briefCache}
	cache := filepath.Join(w.dir, ".git/agentmail-cache")
	whole := map[string][]byte{}
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(cache, name))
		if err != nil {
			t.Fatal(err)
		}
		whole[name] = data
	}
	for what, change := range map[string]func([]byte) []byte{
		"empty":           func([]byte) []byte { return nil },
		"cut short":       func(b []byte) []byte { return b[:len(b)/2] },
		"cut by one byte": func(b []byte) []byte { return b[:len(b)-1] },
		"longer":          func(b []byte) []byte { return append(b, 0) },
		"another pattern": func(b []byte) []byte { return bytes.Replace(b, []byte("src/**"), []byte("sxc/**"), 1) },
		"another version": func(b []byte) []byte { return bytes.Replace(b, []byte("cache 4"), []byte("cache 3"), 1) },
		"another stamp": func(b []byte) []byte {
			_, body, _ := strings.Cut(strings.TrimPrefix(string(b), cacheMagic), " ")
			body = strings.Replace(strings.Replace(body, "own=", "own=x", 1), "src/**", "sxc/**", 1)
			return fmt.Appendf(nil, "%s%08x %s", cacheMagic, crc32.ChecksumIEEE([]byte(body)), body)
		},
		"rows that are not there": func(b []byte) []byte {
			_, body, _ := strings.Cut(strings.TrimPrefix(string(b), cacheMagic), " ")
			stamp, _, _ := strings.Cut(body, "\n")
			body = stamp + "\n\x00\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00"
			return fmt.Appendf(nil, "%s%08x %s", cacheMagic, crc32.ChecksumIEEE([]byte(body)), body)
		},
		"a directory": nil,
	} {
		if err := os.MkdirAll(cache, 0o777); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			file := filepath.Join(cache, name)
			os.RemoveAll(file)
			if change == nil {
				if err := os.MkdirAll(filepath.Join(file, "x"), 0o777); err != nil {
					t.Fatal(err)
				}
			} else if err := os.WriteFile(file, change(slices.Clone(whole[name])), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		box := w.open(w.dir)
		if _, err := box.CheckPaths(w.ctx, green, []string{"src/x"}); mail.CodeOf(err) != mail.Conflict {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := box.Send(w.ctx, green, Draft{To: []string{"BlueLake"}, Subject: "x"}); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		os.RemoveAll(cache)
	}
	// A cache that cannot be written is no error for anybody.
	if err := os.WriteFile(cache, []byte("in the way"), 0o666); err != nil {
		t.Fatal(err)
	}
	w.box = w.open(w.dir)
	w.send(blue, "GreenCastle")
	w.hold(blue, "doc/**")
	if _, err := w.box.CheckPaths(w.ctx, green, []string{"doc/x"}); mail.CodeOf(err) != mail.Conflict {
		t.Error(err)
	}
}

// TestCacheOfAClockAhead: a process whose clock is hours ahead takes reservations for
// ended and leaves them out of its cache. Nobody with the right time believes it.
func TestCacheOfAClockAhead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	w.hold(blue, "src/**")
	right := w.at
	held := func(b *Box) bool {
		_, err := b.CheckPaths(w.ctx, green, []string{"src/x"})
		return mail.CodeOf(err) == mail.Conflict
	}
	old := w.open(w.dir) // one that goes on, and remembers
	w.at = right.Add(5 * time.Hour)
	for _, b := range []*Box{old, w.open(w.dir)} {
		os.RemoveAll(filepath.Join(w.dir, ".git/agentmail-cache"))
		if held(b) {
			t.Fatal("the clock is not ahead")
		}
	}
	// It also writes: what it carries over is what it left out.
	if _, err := w.box.Reserve(w.ctx, blue, ReserveRequest{Patterns: []string{"doc/**"}}); err != nil {
		t.Fatal(err)
	}
	w.at = right
	for i, b := range []*Box{old, w.box, w.open(w.dir)} {
		if !held(b) {
			t.Errorf("mailbox %d takes it for free", i)
		}
	}
}

// TestCacheHoldsEveryField fills every field of what the caches keep, also those
// that may come: one that a row leaves out would be lost, in the caches alone.
func TestCacheHoldsEveryField(t *testing.T) {
	t.Parallel()
	n := 0
	var fill func(v reflect.Value)
	fill = func(v reflect.Value) {
		n++
		switch v.Kind() {
		case reflect.String:
			v.SetString(fmt.Sprintf("text %d\n\x00é", n))
		case reflect.Int64:
			v.SetInt(int64(n) * []int64{1, -1, 1 << 40}[n%3])
		case reflect.Bool:
			v.SetBool(true)
		case reflect.Struct:
			for i := range v.NumField() {
				fill(v.Field(i))
			}
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), 3, 3))
			for i := range 3 {
				fill(v.Index(i))
			}
		default:
			t.Fatalf("no row can hold a %s", v.Type())
		}
	}
	trip := func(v any, write, read func(fields), got any) {
		t.Helper()
		var w packer
		write(&w)
		r := unpacker{rest: string(w)}
		read(&r)
		if r.failed() || r.rest != "" || !reflect.DeepEqual(v, got) {
			t.Errorf("%+v\ncame back as\n%+v (failed: %v, left: %q)", v, got, r.failed(), r.rest)
		}
		for cut := range len(w) { // too little is noticed, wherever it ends
			r := unpacker{rest: string(w[:cut])}
			if read(&r); !r.failed() {
				t.Errorf("%T: %d of %d bytes were enough", v, cut, len(w))
			}
		}
	}
	var a, a2 mail.Agent
	fill(reflect.ValueOf(&a).Elem())
	trip(&a, func(f fields) { agentFields(f, &a) }, func(f fields) { a2 = mail.Agent{}; agentFields(f, &a2) }, &a2)
	var l, l2 mail.LeaseState
	fill(reflect.ValueOf(&l).Elem())
	trip(&l, func(f fields) { leaseFields(f, &l) }, func(f fields) { l2 = mail.LeaseState{}; leaseFields(f, &l2) }, &l2)
}

// TestManyWriters: several mailboxes, each used by several goroutines, lose
// nothing of what they acknowledged; of one pattern only one of them is granted.
func TestManyWriters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const n = 6
	actors := make([]Actor, n)
	for i := range actors {
		actors[i] = w.agent(fmt.Sprintf("Writer%dFox", i))
	}
	side, _ := w.worktree("side")
	boxes := []*Box{w.box, side, w.open(w.dir)}
	var mu sync.Mutex
	sent, granted := map[string]bool{}, map[string][]string{}
	var wg sync.WaitGroup
	for i, me := range actors {
		wg.Go(func() {
			b := boxes[i%len(boxes)]
			for j := range 4 {
				r, err := b.Send(w.ctx, me, Draft{To: []string{actors[(i+1)%n].Name}, Subject: "x"})
				if err != nil {
					t.Error(err)
					return
				}
				pattern := fmt.Sprintf("p%d/**", j)
				got, err := b.Reserve(w.ctx, me, ReserveRequest{Patterns: []string{pattern}})
				if err != nil && mail.CodeOf(err) != mail.Conflict {
					t.Error(err)
				}
				mu.Lock()
				sent[r.Deliveries[0].Payload.ID] = true
				if len(got.Granted) == 1 {
					granted[pattern] = append(granted[pattern], me.Name)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	seen := 0
	for _, me := range actors {
		for _, r := range w.inbox(me) {
			if sent[r.ID] {
				seen++
			}
		}
	}
	if seen != len(sent) || len(sent) != 4*n {
		t.Errorf("%d of %d letters arrived", seen, len(sent))
	}
	for pattern, who := range granted {
		if len(who) != 1 {
			t.Errorf("%s was granted to %v", pattern, who)
		}
	}
	if len(granted) != 4 {
		t.Errorf("granted %v", granted)
	}
	// Every record has a number and a stamp of its own.
	sn, err := w.box.snapshot(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	seqs := map[int64]string{}
	stamps := map[mail.Stamp]string{}
	if err := w.box.walk(w.ctx, sn, "", notFiles, func(_ string, r mail.Record) {
		h := r.Head()
		if other, twice := seqs[h.Seq]; twice {
			t.Errorf("seq %d: %s and %s", h.Seq, other, h.ID)
		}
		if other, twice := stamps[h.HLC]; twice {
			t.Errorf("stamp %s: %s and %s", h.HLC, other, h.ID)
		}
		seqs[h.Seq], stamps[h.HLC] = h.ID, h.ID
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.box.Verify(w.ctx, nil); err != nil {
		t.Error(err)
	}
	w.in("fsck", "--strict")
}
