package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/git-agentmail/git-agentmail/gitstore"
	"github.com/git-agentmail/git-agentmail/mail"
)

// engines compares SQLite in Go, which the index is made with, with SQLite in C, by the
// same queries on the same file: bench/reference, built twice. Where there is no C compiler
// the rows say so. notmuch searches the same mail where it is installed.
var engines = []row{
	{"open the index and read an inbox, Go / C, a process each, CPU", "≤ 1.15×; ≤ 2.5 ms over the start", coldInbox},
	{"open the index and find a rare word, Go / C, a process each, CPU", "≤ 1.3×", coldFind},
	{"add a message to the index, Go / C, a process each, CPU", "≤ 1.25×", coldInsert},
	{"fill an index with 100,000 messages, Go / C, CPU", "≤ 1.6×", bulk},
	{"inbox, thread, in an open index, Go / C", "≤ 2×", warmLists},
	{"the newest with a rare, a middling, a common word, in an open index, Go / C", "≤ 2.5×", warmRecent},
	{"the best with a rare, a middling, a common word, in an open index, Go / C", "≤ 3×", warmRanked},
	{"the best of the newest 500 with a common word / of all", "≤ 0.15×", warmGated},
	{"the same 10,000 messages in notmuch: an inbox, a search, making the index, CPU", "≤ 1×, ≤ 1×, ≤ 0.2×", beside},
}

// reference is what the rows share.
type reference struct {
	inGo, inC string // the two programs
	index     string
	agent     string
	rare      string
	middling  string
	common    string
	rows      string                      // all messages, one a line
	warm      map[string][2]time.Duration // by query: in Go, in C
}

// told apart from an error: the figures of all other rows are good without a C compiler.
const noCompiler = "not measured: bench/reference did not build with cgo"

// compared runs fn with what is to be compared.
func (b *bench) compared(fn func(*reference) (result, error)) (result, error) {
	ref, err := b.reference()
	if err != nil {
		return result{}, err
	}
	if ref.inC == "" {
		return tell(noCompiler), nil
	}
	return fn(ref)
}

func (b *bench) reference() (_ *reference, err error) {
	if b.ref == nil {
		b.ref, err = b.makeReference()
	}
	return b.ref, err
}

func (b *bench) makeReference() (*reference, error) {
	ref := &reference{inGo: filepath.Join(b.tmp, "bin", "reference-go"), inC: filepath.Join(b.tmp, "bin", "reference-c")}
	for program, cgo := range map[string]string{ref.inGo: "0", ref.inC: "1"} {
		cmd := exec.CommandContext(b.ctx, "go", "build", "-tags", "sqlite_fts5", "-trimpath", "-ldflags", "-s -w", "-o", program, "./reference")
		cmd.Dir, cmd.Env = "bench", append(os.Environ(), "CGO_ENABLED="+cgo)
		if out, err := cmd.CombinedOutput(); err != nil {
			if cgo == "1" {
				ref.inC = ""
				continue
			}
			return nil, fmt.Errorf("go build bench/reference: %w\n%s", err, out)
		}
	}
	p, err := b.mailbox(b.messages())
	if err != nil {
		return nil, err
	}
	if _, err := timed(b.cmd(p.dir, b.program, "reindex")); err != nil {
		return nil, err
	}
	ref.index = filepath.Join(p.dir, ".git", "agentmail-cache", "index.sqlite")
	_, out, err := output(b.cmd(p.dir, b.program, "whois", p.agents[0], "--json"))
	if err != nil {
		return nil, err
	}
	var who struct{ ID string }
	if err := json.Unmarshal([]byte(out), &who); err != nil {
		return nil, err
	}
	ref.agent = who.ID
	ref.rows = filepath.Join(b.tmp, "rows")
	list, err := b.letters(p)
	if err != nil {
		return nil, err
	}
	var rows bytes.Buffer
	stands := map[string]int{} // in how many messages a word does
	for i, m := range list {
		body, err := json.Marshal(m.Body)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&rows, "%d\t%d\t%s\t%s\n", i+1, m.HLC.MS, strings.ReplaceAll(m.Subject, "\t", " "), body)
		seen := map[string]bool{}
		for w := range strings.FieldsSeq(m.Body) {
			if strings.Trim(w, "abcdefghijklmnopqrstuvwxyz") == "" && !seen[w] {
				seen[w] = true
				stands[w]++
			}
		}
	}
	near := func(share float64) (best string) {
		want := int(share * float64(len(list)))
		far := func(w string) int { return max(stands[w]-want, want-stands[w]) }
		for w := range stands {
			if best == "" || far(w) < far(best) || far(w) == far(best) && w < best {
				best = w
			}
		}
		return best
	}
	ref.rare, ref.middling, ref.common = near(0.0003), near(0.01), near(0.5)
	return ref, os.WriteFile(ref.rows, rows.Bytes(), 0o666)
}

// letters returns all messages in the order of the log.
func (b *bench) letters(p *place) (list []*mail.Message, err error) {
	s, err := b.store(p.dir)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	sn, err := s.Snapshot(b.ctx)
	if err != nil {
		return nil, err
	}
	files, err := sn.List(b.ctx, "mail/", nil)
	if err != nil {
		return nil, err
	}
	err = sn.Read(b.ctx, files, func(f gitstore.File) error {
		r, err := mail.Decode(f.Path, f.Data)
		if m, ok := r.(*mail.Message); ok {
			list = append(list, m)
		}
		return err
	})
	sort.Slice(list, func(i, j int) bool { return mail.Less(list[i], list[j]) })
	return list, err
}

// engines measures one thing done by both programs, and by the one in Go doing nothing.
func (b *bench) engines(ref *reference, rounds int, prepare func() (file string, err error), args ...string) (inGo, inC, start time.Duration, err error) {
	with := func(program string) func() (sample, error) {
		return func() (sample, error) {
			file, err := prepare()
			if err != nil {
				return sample{}, err
			}
			return timed(b.cmd(b.tmp, program, append([]string{args[0], file}, args[1:]...)...))
		}
	}
	got, err := b.turns(rounds, with(ref.inGo), with(ref.inC), func() (sample, error) { return timed(b.cmd(b.tmp, ref.inGo, "nothing")) })
	if err != nil {
		return 0, 0, 0, err
	}
	return got[0].cpu(), got[1].cpu(), got[2].cpu(), nil
}

func coldInbox(b *bench) (result, error) {
	return b.compared(func(ref *reference) (result, error) {
		x, y, start, err := b.engines(ref, pick(b, 60, 20), func() (string, error) { return ref.index, nil }, "inbox", ref.agent)
		return judge(fmt.Sprintf("%s; %s over the start", compare(x, y), ms(x-start)),
			[2]float64{ratio(x, y), 1.15}, [2]float64{float64(x - start), float64(2500 * time.Microsecond)}), err
	})
}

func coldFind(b *bench) (result, error) {
	return b.compared(func(ref *reference) (result, error) {
		x, y, _, err := b.engines(ref, pick(b, 60, 20), func() (string, error) { return ref.index, nil }, "find", ref.rare)
		return judge(compare(x, y), [2]float64{ratio(x, y), 1.3}), err
	})
}

func coldInsert(b *bench) (result, error) {
	return b.compared(func(ref *reference) (result, error) {
		file := filepath.Join(b.tmp, "insert.sqlite")
		data, err := os.ReadFile(ref.index)
		if err == nil {
			err = os.WriteFile(file, data, 0o666)
		}
		if err != nil {
			return result{}, err
		}
		x, y, _, err := b.engines(ref, pick(b, 60, 20), func() (string, error) { return file, nil }, "insert")
		return judge(compare(x, y), [2]float64{ratio(x, y), 1.25}), err
	})
}

func bulk(b *bench) (result, error) {
	return b.compared(func(ref *reference) (result, error) {
		file := filepath.Join(b.tmp, "bulk.sqlite")
		build := func(program string) func() (sample, error) {
			return func() (sample, error) {
				os.Remove(file)
				in, err := os.Open(ref.rows)
				if err != nil {
					return sample{}, err
				}
				defer in.Close()
				cmd := b.cmd(b.tmp, program, "build", file)
				cmd.Stdin = in
				return timed(cmd)
			}
		}
		got, err := b.turns(pick(b, 2, 1), build(ref.inGo), build(ref.inC))
		if err != nil {
			return result{}, err
		}
		return judge(compare(got[0].cpu(), got[1].cpu()), [2]float64{ratio(got[0].cpu(), got[1].cpu()), 1.6}), nil
	})
}

// warmed judges queries in an open index: the medians of each engine, in turns.
func (b *bench) warmed(limit float64, queries ...string) (result, error) {
	return b.compared(func(ref *reference) (result, error) {
		if ref.warm == nil {
			if err := b.measureWarm(ref); err != nil {
				return result{}, err
			}
		}
		var text []string
		var figures [][2]float64
		for _, q := range queries {
			t := ref.warm[q]
			text = append(text, compare(t[0], t[1]))
			figures = append(figures, [2]float64{ratio(t[0], t[1]), limit})
		}
		return judge(strings.Join(text, ", "), figures...), nil
	})
}

func (b *bench) measureWarm(ref *reference) error {
	all := map[string][2]series{}
	for range pick(b, 5, 2) {
		for i, program := range []string{ref.inGo, ref.inC} {
			_, out, err := output(b.cmd(b.tmp, program, "warm", ref.index, ref.agent, ref.rare, ref.middling, ref.common))
			if err != nil {
				return err
			}
			for line := range strings.Lines(out) {
				name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
				ns, err := strconv.ParseInt(value, 10, 64)
				if err != nil {
					return err
				}
				s := all[name]
				s[i] = append(s[i], sample{wall: time.Duration(ns)})
				all[name] = s
			}
		}
	}
	ref.warm = map[string][2]time.Duration{}
	for name, s := range all {
		ref.warm[name] = [2]time.Duration{s[0].wall(), s[1].wall()}
	}
	return nil
}

func warmLists(b *bench) (result, error) { return b.warmed(2, "inbox", "thread") }

func warmRecent(b *bench) (result, error) {
	return b.warmed(2.5, "recent-rare", "recent-middle", "recent-common")
}

func warmRanked(b *bench) (result, error) {
	return b.warmed(3, "ranked-rare", "ranked-middle", "ranked-common")
}

func warmGated(b *bench) (result, error) {
	return b.compared(func(ref *reference) (result, error) {
		if ref.warm == nil {
			if err := b.measureWarm(ref); err != nil {
				return result{}, err
			}
		}
		x, y := ref.warm["gated-common"][0], ref.warm["ranked-common"][0]
		return judge(compare(x, y), [2]float64{ratio(x, y), 0.15}), nil
	})
}

// beside gives the mail to notmuch as files, as it wants it.
func beside(b *bench) (result, error) {
	if _, err := exec.LookPath("notmuch"); err != nil {
		return tell("not measured: notmuch is not installed"), nil
	}
	p, err := b.mailbox(10_000)
	if err != nil {
		return result{}, err
	}
	list, err := b.letters(p)
	if err != nil {
		return result{}, err
	}
	dir := filepath.Join(b.tmp, "notmuch")
	cur := filepath.Join(dir, "mail", "cur")
	for _, d := range []string{cur, filepath.Join(dir, "mail", "new"), filepath.Join(dir, "mail", "tmp")} {
		if err := os.MkdirAll(d, 0o777); err != nil {
			return result{}, err
		}
	}
	for _, m := range list {
		text := fmt.Sprintf("From: %s <%s@example.com>\nTo: %s@example.com\nSubject: %s\nDate: %s\nMessage-ID: <%s@example.com>\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n%s\n",
			m.By, m.By, strings.Join(m.Recipients(), "@example.com, "), m.Subject, m.At.Time().Format(time.RFC1123Z), m.ID, m.Body)
		if err := os.WriteFile(filepath.Join(cur, m.ID+":2,"), []byte(text), 0o666); err != nil {
			return result{}, err
		}
	}
	config := filepath.Join(dir, "config")
	if err := os.WriteFile(config, []byte("[database]\npath="+dir+"\n[user]\nname=Bench\nprimary_email=bench@example.com\n[new]\ntags=inbox\n"), 0o666); err != nil {
		return result{}, err
	}
	notmuch := func(args ...string) func() (sample, error) {
		return func() (sample, error) {
			return timed(b.cmd(dir, "notmuch", append([]string{"--config=" + config}, args...)...))
		}
	}
	ours := func(args ...string) func() (sample, error) {
		return func() (sample, error) { return timed(b.cmd(p.dir, b.program, append(args, "--as", p.agents[0])...)) }
	}
	made, err := notmuch("new")()
	if err != nil {
		return result{}, err
	}
	mine, err := ours("reindex")()
	if err != nil {
		return result{}, err
	}
	ref, err := b.reference()
	if err != nil {
		return result{}, err
	}
	index := filepath.Join(p.dir, ".git", "agentmail-cache", "index.sqlite")
	got, err := b.turns(pick(b, 40, 10), ours("inbox", "-n", "20"), notmuch("search", "--limit=20", "tag:inbox"),
		func() (sample, error) { return timed(b.cmd(dir, ref.inGo, "find", index, ref.middling)) }, notmuch("search", "--limit=20", ref.middling),
		ours("search", ref.middling, "-n", "20"))
	if err != nil {
		return result{}, err
	}
	return judge(fmt.Sprintf("%s; %s, with the lines that git has to be asked for %s; %s", compare(got[0].cpu(), got[1].cpu()),
		compare(got[2].cpu(), got[3].cpu()), ms(got[4].cpu()), compare(mine.cpu, made.cpu)),
		[2]float64{ratio(got[0].cpu(), got[1].cpu()), 1}, [2]float64{ratio(got[2].cpu(), got[3].cpu()), 1}, [2]float64{ratio(mine.cpu, made.cpu), 0.2}), nil
}
