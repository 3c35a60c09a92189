package mailbox

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

// TestVerify finds each kind of damage, names the file, and finds nothing in a
// mailbox that is whole.
func TestVerify(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 5, 4, 2, 0, time.UTC)
	event := func(kind, rest string) string {
		return "{\n\"v\": 1,\n\"id\": \"zzzzzzzzzz\",\n\"seq\": 1,\n\"hlc\": [1,0],\n\"kind\": \"" + kind + "\",\n\"at\": \"2026-11-21T05:04:02.000Z\",\n\"by\": \"0123456789\"" + rest + "\n}\n"
	}
	letter := func(rest string) string {
		return "---\n{\n\"v\": 1,\n\"id\": \"zzzzzzzzzz\",\n\"seq\": 1,\n\"hlc\": [1,0],\n\"at\": \"2026-11-21T05:04:02.000Z\",\n\"from\": \"0123456789\",\n\"from_name\": \"Z\",\n\"to\": [],\n\"to_names\": [],\n\"subject\": \"\",\n\"importance\": \"low\"" + rest + "\n}\n---\n\nbody"
	}
	for _, tt := range []struct {
		name, path, data string
		says             string // "" where nothing is wrong
		unknown          int
	}{
		{"a letter that is well", "mail/2026-11/21/05/zzzzzzzzzz-message.md", letter(""), "", 0},
		{"an event of tomorrow", "events/2026-11/21/05/zzzzzzzzzz.json", event("poll", ""), "", 1},
		{"no JSON", "leases/2026-11/21/05/zzzzzzzzzz.json", "rubbish", "leases/2026-11/21/05/zzzzzzzzzz.json", 0},
		{"nothing at all", "receipts/2026-11/21/05/zzzzzzzzzz.json", "", "receipts/", 0},
		{"another form of the same", "receipts/2026-11/21/05/zzzzzzzzzz.json", strings.ReplaceAll(event("receipt", ""), "\n", " "), "receipts/", 0},
		{"in a place of another", "receipts/2026-11/21/05/yyyyyyyyyy.json", event("receipt", ""), "receipts/", 0},
		{"in an hour of another", "receipts/2026-11/21/06/zzzzzzzzzz.json", event("receipt", ""), "receipts/", 0},
		{"an attachment that is another", "attachments/ab/" + strings.Repeat("ab", 32) + ".txt", "x", "attachments/", 0},
		{"a letter whose attachment is gone", "mail/2026-11/21/05/zzzzzzzzzz-message.md",
			letter(",\n\"attachments\": [{\"name\":\"a\",\"size\":1,\"sha256\":\"" + strings.Repeat("ab", 32) + "\",\"path\":\"attachments/ab/" + strings.Repeat("ab", 32) + "\",\"type\":\"text/plain\"}]"), "attachment", 0},
		{"a key that is none", "keys/ab/" + strings.Repeat("ab", 32) + ".json", "x", "keys/", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.at = now
			w.send(w.agent("BlueLake"), "BlueLake")
			w.plant(tt.path, tt.data, now)
			v, err := w.open(w.dir).Verify(w.ctx, nil)
			if tt.says == "" {
				if err != nil || len(v.Problems) != 0 || v.Unknown != tt.unknown || v.Logs != 2 {
					t.Errorf("%+v, %v", v, err)
				}
				return
			}
			e := wantCode(t, err, mail.Corrupt)
			if len(v.Problems) != 1 || !strings.Contains(v.Problems[0].What, tt.says) || v.Records == 0 || len(e.Lines) != 1 {
				t.Errorf("%+v, %v", v, err)
			}
			// What is well is answered all the same.
			if in := w.inbox(w.as("BlueLake")); len(in) != 1 {
				t.Errorf("inbox: %v", subjects(in))
			}
		})
	}
}

func TestVerifyCopiesThatDiffer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	id := w.send(blue, "BlueLake")
	path := strings.Fields(w.in("ls-tree", "-r", "--name-only", strings.Fields(w.in("for-each-ref", "--format=%(objectname)", "refs/agentmail/log"))[0], "mail/"))[0]
	text := w.in("show", strings.Fields(w.in("for-each-ref", "--format=%(objectname)", "refs/agentmail/log"))[0]+":"+path)
	w.plant(path, strings.Replace(text, "\n\ntext", "\n\nforged", 1), w.at)
	v, err := w.box.Verify(w.ctx, nil)
	wantCode(t, err, mail.Corrupt)
	if len(v.Problems) != 1 || !strings.Contains(v.Problems[0].What, "differs between the logs") {
		t.Errorf("%+v", v.Problems)
	}
	if m, err := w.box.Show(w.ctx, blue, id); err != nil || *m.BodyMD != "text" {
		t.Errorf("the forged copy is shown: %+v, %v", m, err)
	}
	if in := w.inbox(blue); len(in) != 1 || *in[0].BodyMD != "text" {
		t.Errorf("%+v", in)
	}
}

func TestVerifyObjects(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(base string) error{
		"gone":      func(base string) error { return os.Remove(base + ".pack") },
		"cut short": func(base string) error { os.Chmod(base+".pack", 0o666); return os.Truncate(base+".pack", 30) },
		"a bit": func(base string) error {
			data, err := os.ReadFile(base + ".pack")
			if err != nil {
				return err
			}
			os.Chmod(base+".pack", 0o666)
			data[len(data)/2] ^= 0x10
			return os.WriteFile(base+".pack", data, 0o666)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			blue := w.agent("BlueLake")
			for i := range 3 {
				w.deliver(blue, Draft{To: []string{"BlueLake"}, Subject: fmt.Sprint(i), Body: strings.Repeat("words ", 400)})
			}
			names, err := filepath.Glob(filepath.Join(w.dir, ".git/objects/pack/*.keep"))
			if err != nil || len(names) == 0 {
				t.Fatal("no packs of ours", err)
			}
			for _, n := range names {
				if err := spoil(strings.TrimSuffix(n, ".keep")); err != nil {
					t.Fatal(err)
				}
			}
			box := w.open(w.dir)
			v, err := box.Verify(w.ctx, nil)
			if mail.CodeOf(err) != mail.Corrupt {
				t.Errorf("%+v, %v", v, err)
			}
			if _, err := box.Send(w.ctx, blue, Draft{To: []string{"BlueLake"}, Subject: "x"}); name != "a bit" && mail.CodeOf(err) != mail.Corrupt {
				t.Errorf("send: %v", err)
			}
			if name != "a bit" {
				if _, err := box.Inbox(w.ctx, blue, InboxQuery{}); mail.CodeOf(err) != mail.Corrupt {
					t.Errorf("inbox: %v", err)
				}
			}
		})
	}
}

// TestVerifyProgress: it counts up to the number of files.
func TestVerifyProgress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.send(w.agent("BlueLake"), "BlueLake")
	var seen [][2]int
	if _, err := w.box.Verify(w.ctx, func(done, total int) { seen = append(seen, [2]int{done, total}) }); err != nil {
		t.Fatal(err)
	}
	last := seen[len(seen)-1]
	if last[0] != last[1] || last[1] == 0 || !slices.IsSortedFunc(seen, func(a, b [2]int) int { return a[0] - b[0] }) {
		t.Errorf("%v", seen)
	}
}
