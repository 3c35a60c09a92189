package seed

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/guard"
	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/git-agentmail/git-agentmail/mailbox"
)

// testEnv is an environment in which no setting of the machine counts.
func testEnv(t testing.TB) []string {
	t.Helper()
	env := []string{"HOME=" + t.TempDir(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull}
	for _, name := range []string{"PATH", "TMPDIR"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

func git(t testing.TB, env []string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// seeded fills a new repository.
func seeded(t testing.TB, opt Options) (dir string, r Result) {
	t.Helper()
	if opt.Environ == nil {
		opt.Environ = testEnv(t)
	}
	dir = filepath.Join(t.TempDir(), "r")
	git(t, opt.Environ, "init", "-q", dir)
	r, err := Seed(context.Background(), dir, opt)
	if err != nil {
		t.Fatalf("seed %+v: %v", opt, err)
	}
	return dir, r
}

func TestSameSeedSameCommits(t *testing.T) {
	opt := Options{Messages: 300, Agents: 20, PerCommit: 100, Environ: testEnv(t)}
	_, a := seeded(t, opt)
	_, b := seeded(t, opt)
	if a.Version != b.Version || a.Version == "" || a.Commits < 4 {
		t.Errorf("two runs with %+v: got %q and %q in %d commits, want the same tips", opt, a.Version, b.Version, a.Commits)
	}
	opt.Seed = 7
	if _, c := seeded(t, opt); c.Version == a.Version {
		t.Errorf("another seed gives the same mail")
	}
}

func TestIsAMailbox(t *testing.T) {
	ctx, env := context.Background(), testEnv(t)
	now := time.Now()
	dir, r := seeded(t, Options{Messages: 300, Agents: 30, Live: 25, End: now, Environ: env})
	box, err := mailbox.Open(ctx, mailbox.Options{Dir: dir, Environ: env, Now: func() time.Time { return now.Add(time.Minute) },
		Report: func(s string) { t.Errorf("note: %s", s) }})
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	v, err := box.Verify(ctx, nil)
	if err != nil || v.Records != r.Records || v.Unknown != 0 {
		t.Fatalf("verify: %+v, %v; want %d records", v, err, r.Records)
	}
	git(t, env, "-C", dir, "fsck", "--strict")

	agents, err := box.Agents(ctx, mailbox.Page{})
	if err != nil || len(agents) != 30 {
		t.Fatalf("agents: %d, %v; want 30", len(agents), err)
	}
	live, err := box.Reservations(ctx, mailbox.Actor{Kind: mailbox.IsPerson}, mailbox.ReservationQuery{Page: mailbox.Page{N: mailbox.MaxLimit}})
	if err != nil || len(live) < 25 {
		t.Errorf("reservations: %d live, %v; want 25 at least", len(live), err)
	}
	me, err := box.As(ctx, r.Agents[0])
	if err != nil {
		t.Fatal(err)
	}
	if in, err := box.Inbox(ctx, me, mailbox.InboxQuery{}); err != nil || len(in) == 0 {
		t.Errorf("inbox of %s: %d messages, %v", r.Agents[0], len(in), err)
	}
	sent, err := box.Send(ctx, me, mailbox.Draft{To: []string{r.Agents[1]}, Subject: "after"})
	if err != nil {
		t.Fatalf("send afterwards: %v", err)
	}
	out, err := box.Outbox(ctx, me, mailbox.Page{}, false)
	if err != nil || out[0].ID != sent.Deliveries[0].Payload.ID {
		t.Errorf("the message sent afterwards is not the newest: %v", err)
	}
}

// TestKeepsTheRules folds what was written and looks for what mailbox would not
// have done.
func TestKeepsTheRules(t *testing.T) {
	ctx, env := context.Background(), testEnv(t)
	dir, r := seeded(t, Options{Messages: 1600, Agents: 40, Live: 40, Environ: env})
	repo, err := gitstore.Find(ctx, dir, env)
	if err != nil {
		t.Fatal(err)
	}
	store := gitstore.Open(repo, gitstore.Options{})
	defer store.Close()
	sn, err := store.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	st := mail.NewState()
	seqs, kinds := map[int64]bool{}, map[string]int{}
	var receipts []*mail.Receipt
	err = sn.Walk(ctx, "", func(f gitstore.File) error {
		if f.Path == "agentmail.json" || strings.HasPrefix(f.Path, "attachments/") {
			return nil
		}
		rec, err := mail.Decode(f.Path, f.Data)
		if err != nil {
			return err
		}
		if seq := rec.Head().Seq; seqs[seq] {
			t.Errorf("%s: the number %d is used twice", f.Path, seq)
		} else {
			seqs[seq] = true
		}
		if l, ok := rec.(*mail.LeaseEvent); ok {
			kinds[l.Op]++
			for _, l := range l.Leases {
				if p, err := guard.Compile(l.Pattern); err != nil || p.String() != l.Pattern {
					t.Errorf("pattern %q: got %q, %v; want it in canonical form", l.Pattern, p.String(), err)
				}
			}
		}
		if re, ok := rec.(*mail.Receipt); ok {
			receipts = append(receipts, re)
		}
		kinds[strings.SplitN(f.Path, "/", 2)[0]]++
		st.Apply(f.Replica, rec)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(seqs) != r.Records || !seqs[int64(r.Records)] {
		t.Errorf("%d numbers for %d records", len(seqs), r.Records)
	}
	for _, kind := range []string{"mail", "receipts", "leases", "events", "contacts", "agents", "new", "renew", "release", "force"} {
		if kinds[kind] == 0 {
			t.Errorf("nothing of kind %s among %v", kind, kinds)
		}
	}
	replies, threads := 0, map[string]bool{}
	for _, m := range st.Messages() {
		threads[m.ThreadKey()] = true
		if m.ReplyTo == "" {
			continue
		}
		replies++
		if orig := st.Message(m.ReplyTo); orig == nil || orig.ThreadKey() != m.Thread || orig.At > m.At {
			t.Errorf("message %s answers %q, which is not an earlier one of its thread", m.ID, m.ReplyTo)
		}
	}
	if replies < 600 || len(threads) != 400 {
		t.Errorf("%d replies and %d threads, want more than 600 and 400", replies, len(threads))
	}
	for _, re := range receipts {
		for _, id := range append(re.Read, re.Ack...) {
			if m := st.Message(id); m == nil || m.RecipientKind(re.By) == "" {
				t.Errorf("receipt %s: %s is no recipient of %s", re.ID, re.By, id)
			}
		}
	}
	noClash(t, st, r.End, sn.Own())
}

// noClash checks that the reservations live at now could have been had.
func noClash(t *testing.T, st *mail.State, now time.Time, own string) {
	t.Helper()
	var live []*mail.LeaseState
	for _, l := range st.Leases.ByAge() {
		if l.Exclusive && l.Live(now, own) {
			live = append(live, l)
		}
	}
	if len(live) < 40 {
		t.Errorf("%d exclusive reservations are live at %s, want 40 at least", len(live), now)
	}
	for i, a := range live {
		for _, b := range live[:i] {
			p, _ := guard.Compile(a.Pattern)
			q, _ := guard.Compile(b.Pattern)
			if guard.Clash(p, guard.Kind(a.Kind), q, guard.Kind(b.Kind)).Conflict() && a.Holder != b.Holder {
				t.Errorf("%q of %s and %q of %s overlap", a.Pattern, a.Holder, b.Pattern, b.Holder)
			}
		}
	}
}

func TestRefusesAMailbox(t *testing.T) {
	env := testEnv(t)
	dir, _ := seeded(t, Options{Messages: 4, Agents: 2, Environ: env})
	if _, err := Seed(context.Background(), dir, Options{Environ: env}); err == nil {
		t.Error("a repository with mail was seeded again")
	}
	if _, err := Seed(context.Background(), t.TempDir(), Options{Environ: env}); err == nil {
		t.Error("a directory that is no repository was seeded")
	}
}

func TestText(t *testing.T) {
	w := newWorld(Options{Agents: 2, Seed: 42}, nil)
	const n = 1500
	size, lines, cjk := 0, 0, 0
	for range n {
		b := w.t.body()
		size += len(b)
		for line := range strings.SplitSeq(b, "\n") {
			if line == "" {
				continue
			}
			lines++
			if line[0] >= 0xe0 {
				cjk++
			}
		}
	}
	if mean := size / n; mean < 980 || mean > 1070 {
		t.Errorf("the mean body has %d bytes, want about %d", mean, meanBody)
	}
	if share := 100 * cjk / lines; share < 2 || share > 6 {
		t.Errorf("%d %% of the lines are Chinese, Japanese or Korean, want about 4", share)
	}
}
