package mailbox

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

// TestSignatureIsNoNews: the commit with which an exchange signs the log wakes nobody, is
// listed nowhere, and nobody gets for it what they were shown before.
func TestSignatureIsNoNews(t *testing.T) {
	t.Parallel()
	hub := hubFor(t)
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	wait := func(limit time.Duration) (n int) {
		t.Helper()
		if err := w.open(w.dir).Wait(w.ctx, green, limit, func(rows []InboxRow) error { n = len(rows); return nil }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	wait(0) // begins now
	ctx, cancel := context.WithCancel(w.ctx)
	var mu sync.Mutex
	var seen, watched []string
	watcher := w.open(w.dir)
	follow, err := watcher.Changes(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		follow(func(list []Event) {
			mu.Lock()
			defer mu.Unlock()
			for _, e := range list {
				seen = append(seen, e.Kind)
			}
		})
	})
	all.Go(func() {
		if err := w.open(w.dir).Watch(ctx, green, func(e Event) error {
			mu.Lock()
			defer mu.Unlock()
			watched = append(watched, e.Kind)
			return nil
		}); err != nil {
			t.Error(err)
		}
	})
	time.Sleep(200 * time.Millisecond) // the watch of an agent begins from then on
	lists := func() (n int) {
		list, err := w.open(w.dir).Log(w.ctx, w.person(), LogQuery{})
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	for i := range 2 {
		w.send(blue, "GreenCastle")
		was := lists()
		before := w.git("-C", w.dir, "for-each-ref", "refs/agentmail/log")
		if r := w.sync(hub); r.Pushed == 0 {
			t.Fatalf("%+v", r)
		}
		if w.git("-C", w.dir, "for-each-ref", "refs/agentmail/log") == before {
			t.Fatal("nothing was signed")
		}
		if n := wait(0); n != 1 {
			t.Errorf("%d: wait shows %d messages, want 1", i, n)
		}
		w.sync(hub)
		if n := wait(300 * time.Millisecond); n != 0 {
			t.Errorf("%d: wait shows %d messages again", i, n)
		}
		if now := lists(); now != was {
			t.Errorf("%d: the log has %d entries, had %d", i, now, was)
		}
	}
	cancel()
	all.Wait()
	if got := strings.Join(seen, " "); got != "contact message message" {
		t.Errorf("changes: %s", got)
	}
	if got := strings.Join(watched, " "); got != "message message" && got != "message" {
		t.Errorf("watch: %s", got)
	}
}

// TestTrustSetting: the setting is the repository's own, the list is found where git's
// configuration has it, and neither is guessed.
func TestTrustSetting(t *testing.T) {
	t.Parallel()
	hub := hubFor(t)
	home := t.TempDir()
	one := newWorld(t)
	one.agent("BlueLake")
	one.sync(hub)
	sn, err := one.box.snapshot(one.ctx)
	if err != nil {
		t.Fatal(err)
	}
	line := sn.SignerLine(sn.Own()) + "\n"
	for _, dir := range []string{home, filepath.Join(home, "sub")} {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "signers"), []byte(line), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		config  []string // key and value
		env     []string
		mode    string
		refused int
		code    mail.Code
	}{
		"nothing":          {nil, nil, TrustFirst, 0, ""},
		"tofu":             {[]string{"agentmail.trust", " ToFu "}, nil, TrustFirst, 0, ""},
		"off":              {[]string{"agentmail.trust", "off"}, nil, TrustOff, 0, ""},
		"wrong":            {[]string{"agentmail.trust", "yes"}, nil, "", 0, mail.Invalid},
		"no list":          {[]string{"agentmail.trust", "listed"}, nil, "", 0, mail.Invalid},
		"list away":        {[]string{"agentmail.trust", "listed", "agentmail.allowedSigners", "/no/such"}, nil, "", 0, mail.Invalid},
		"list":             {[]string{"agentmail.trust", "listed", "agentmail.allowedSigners", filepath.Join(home, "signers")}, nil, TrustListed, 0, ""},
		"list at home":     {[]string{"agentmail.trust", "listed", "agentmail.allowedSigners", "~/sub/signers"}, nil, TrustListed, 0, ""},
		"list in the tree": {[]string{"agentmail.trust", "listed", "agentmail.allowedSigners", "theirs"}, nil, TrustListed, 1, ""},
		"git's list":       {[]string{"agentmail.trust", "listed", "gpg.ssh.allowedSignersFile", filepath.Join(home, "signers")}, nil, TrustListed, 0, ""},
		"ours before git's": {[]string{"agentmail.trust", "listed", "gpg.ssh.allowedSignersFile", filepath.Join(home, "signers"),
			"agentmail.allowedSigners", "theirs"}, nil, TrustListed, 1, ""},
		"global off": {nil, []string{"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=agentmail.trust", "GIT_CONFIG_VALUE_0=off"}, TrustFirst, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.write("theirs", "# nobody\n")
			for i := 0; i < len(c.config); i += 2 {
				w.git("-C", w.dir, "config", c.config[i], c.config[i+1])
			}
			w.env = append(append(w.env, c.env...), "HOME="+home)
			w.box = w.open(w.dir)
			list, err := w.box.Sync(w.ctx, hub)
			if mail.CodeOf(err) != c.code {
				t.Fatalf("%+v, %v", list, err)
			}
			if c.code != "" {
				if len(mail.AsError(err).Hints) == 0 {
					t.Errorf("no hint: %v", err)
				}
				if s, serr := w.box.Status(w.ctx, w.person()); serr != nil || s.Trust.Error == "" || len(s.Remotes) > 0 {
					t.Errorf("%+v, %v", s.Trust, serr)
				}
				return
			}
			if len(list[0].Refused) != c.refused || list[0].Fetched != 1-c.refused {
				t.Errorf("%+v", list[0])
			}
			s, err := w.box.Status(w.ctx, w.person())
			if err != nil || s.Trust.Mode != c.mode || s.Trust.Error != "" || len(s.Remotes) != 1 || len(s.Remotes[0].Refused) != c.refused {
				t.Errorf("%+v, %+v, %v", s.Trust, s.Remotes, err)
			}
		})
	}
}
