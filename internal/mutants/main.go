// Mutants breaks the rules by which clones come to agree, one after another, and demands that
// the property tests notice each:
//
//	go run ./internal/mutants [NAME ...]
//
// A rule is a piece of source that must stand in its file exactly once, so that a list which
// time has passed by is told. The tree stays as it is: the compiler is given the broken file in
// place of the other.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A mutant is one rule, broken.
type mutant struct {
	name     string // what is wrong with it
	file     string
	old, new string
	pkg, run string // the tests that must fail
}

const (
	folds = "./mail"     // thousands of runs, on the fold
	boxes = "./mailbox"  // a dozen, through git
	logs  = "./gitstore" // cases, through git
)

var mutants = []mutant{
	{"a stamp need not beat what it replaces", "mail/stamp.go",
		"if s.Compare(c.last) > 0 {", "if false {", folds, "TestPartitions"},
	{"any clock ahead is adopted", "mail/stamp.go",
		"s.MS <= now.Add(MaxSkew).UnixMilli() && ", "", folds, "TestPartitions"},
	{"equal stamps are not told apart by replica", "mail/stamp.go",
		"return cmp.Or(m.Stamp.Compare(o.Stamp), strings.Compare(m.Replica, o.Replica))", "return m.Stamp.Compare(o.Stamp)", folds, "TestPartitions"},
	{"a renewal brings an ended reservation back", "mail/leases.go",
		"s.renew(Renewal{e.At,", "s.Ended = \"\"\n\t\t\ts.renew(Renewal{e.At,", folds, "TestPartitions"},
	{"the last renewal that came counts", "mail/leases.go",
		"s.Renewals = slices.Insert(s.Renewals, i, n)", "s.Renewals = slices.Insert([]Renewal{}, i-i, n)", folds, "TestPartitions"},
	{"the last receipt that came counts", "mail/state.go",
		"if d.Read == 0 || at < d.Read {", "if true {", folds, "TestPartitions"},
	{"who acknowledges has not read", "mail/state.go",
		"d.read(at) // ack implies read", "", folds, "TestPartitions"},
	{"a redaction told twice is none", "mail/state.go",
		"s.Redacted[id] = true", "s.Redacted[id] = !s.Redacted[id]", folds, "TestPartitions"},
	{"an approval wins against a denial of the same moment", "mail/directory.go",
		"LinkApproved: 0, LinkPending: 1, LinkBlocked: 2", "LinkApproved: 2, LinkPending: 1, LinkBlocked: 0", folds, "TestPartitions"},
	{"a deleted agent comes back", "mail/directory.go",
		"a.Deleted = a.Deleted || r.Deleted", "a.Deleted = r.Deleted", folds, "TestPartitions"},
	{"the last slot event that came counts", "mail/slots.go",
		"old == nil || order(&old.SlotEvent, e) < 0", "old == nil || true", folds, "TestPartitions"},
	{"records are not numbered through a log", "mailbox/write.go",
		"w.seq, _ = strconv.ParseInt(tx.Trailer(trailerSeq), 10, 64)", "w.seq = 0", boxes, "TestPartitions"},
	{"numbers are left out", "mailbox/write.go",
		"w.seq++", "w.seq += 2", boxes, "TestPartitions"},
	{"what is replaced may be ahead", "mailbox/write.go",
		"w.clock.Overwrite(m.Stamp)", "_ = m", boxes, "TestSyncLaterSeen"},
	{"a foreign clock is taken over whole", "mailbox/write.go",
		"w.clock.Adopt(mail.ParseStamp(text), w.now)", "w.clock.Overwrite(mail.ParseStamp(text))", boxes, "TestPartitions"},
	{"a log that does not lead on is accepted", "gitstore/accept.go",
		"case forward:", "case forward || replica != sn.own:", logs, "TestTruncateStale"},
	{"a log that was set back is an attack", "gitstore/accept.go",
		"} else if behind {", "} else if behind && false {", boxes, "TestPartitions"},
	{"what a log lacks need not be elsewhere", "gitstore/fork.go",
		"lostHeld, err := sn.heldElsewhere(ctx, replica, lost)", "lostHeld, err := true, error(nil)", logs, "TestSyncCopied|TestSyncRewritten"},
	{"of two logs nobody wants, the last that came counts", "gitstore/fork.go",
		"lostHeld && (!newsHeld || later)", "lostHeld && (later || true)", logs, "TestSyncCopied|TestSyncRewritten"},
	{"a copied clone leaves behind what it wrote", "gitstore/epochs.go",
		"files, err := sn.added(ctx, sn.own, base, false)", "files, err := sn.added(ctx, sn.own, own.OID, false)", logs, "TestSyncCopied|TestSyncRewritten"},
	{"an earlier epoch is accepted", "gitstore/truncate.go",
		"b.Epoch <= a.Epoch || b.Upto", "b.Upto", logs, "TestTruncateStale"},
	{"a truncation may lack the newest records", "gitstore/truncate.go",
		"return seqOf(is) >= seqOf(was), err", "return seqOf(is) >= 0*seqOf(was), err", logs, "TestTruncateStale"},
	{"a live grant is in nobody's way", "mail/table.go",
		"case g.Live(s.Now):", "case g.Live(s.Now) && false:", folds, "TestTable"},
	{"a token that is known to have been given is given again", "mail/table.go",
		"next.Token, changed = s.Floor, true", "changed = true", folds, "TestTable"},
	{"a log without a signature is believed", "gitstore/trust.go",
		"case signer == key:", "case signer == key || signer == \"\":", logs, "TestForged"},
	{"another key is believed later", "gitstore/trust.go",
		"case known.Header.Key != \"\" && key != known.Header.Key:", "case false:", logs, "TestForged"},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	survived, err := run(ctx, os.Args[1:])
	if err == nil && survived > 0 {
		err = fmt.Errorf("%d broken rules went unnoticed", survived)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, names []string) (survived int, err error) {
	sources := make([][]byte, len(mutants))
	for i, m := range mutants { // all, before the first takes its time
		data, err := os.ReadFile(filepath.FromSlash(m.file))
		if err != nil {
			return 0, err
		}
		if n := bytes.Count(data, []byte(m.old)); n != 1 {
			return 0, fmt.Errorf("%q: %s has %q %d times, not once: the list is out of date", m.name, m.file, m.old, n)
		}
		sources[i] = bytes.Replace(data, []byte(m.old), []byte(m.new), 1)
	}
	dir, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	fmt.Print("| Broken rule | Tests | Noticed by |\n|---|---|---|\n")
	for i, m := range mutants {
		if len(names) > 0 && !slices.Contains(names, m.name) {
			continue
		}
		by, err := m.try(ctx, dir, sources[i])
		if err != nil {
			return survived, fmt.Errorf("%q: %w", m.name, err)
		}
		if by == "" {
			survived++
			by = "**nobody**"
		}
		fmt.Printf("| %s | `%s` %s | %s |\n", m.name, strings.TrimPrefix(m.pkg, "./"), strings.ReplaceAll(m.run, "|", ", "), by)
	}
	return survived, nil
}

var (
	broken = regexp.MustCompile(`\[(build|setup) failed\]`)
	seed   = regexp.MustCompile(`it was (seed \d+)|--- FAIL: \S+/seed(\d+) `)
	failed = regexp.MustCompile(`--- FAIL: (\S+)`)
)

// try runs the tests with a broken file, and returns what noticed it.
func (m mutant) try(ctx context.Context, dir string, source []byte) (by string, err error) {
	file, err := filepath.Abs(filepath.FromSlash(m.file))
	if err != nil {
		return "", err
	}
	instead, overlay := filepath.Join(dir, "file.go"), filepath.Join(dir, "overlay.json")
	list, err := json.Marshal(map[string]map[string]string{"Replace": {file: instead}})
	if err == nil {
		err = os.WriteFile(instead, source, 0o600)
	}
	if err == nil {
		err = os.WriteFile(overlay, list, 0o600)
	}
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "go", "test", "-overlay", overlay, "-count=1", "-failfast", "-run", "^("+m.run+")", m.pkg).CombinedOutput()
	if err == nil {
		return "", nil
	}
	var exit *exec.ExitError
	if f := failed.FindSubmatch(out); errors.As(err, &exit) && f != nil && !broken.Match(out) {
		if s := seed.FindSubmatch(out); s != nil {
			return strings.TrimSpace(string(s[1])) + map[bool]string{true: "seed "}[len(s[2]) > 0] + string(s[2]), nil
		}
		return string(f[1]), nil
	}
	return "", fmt.Errorf("%w\n%s", err, out)
}
