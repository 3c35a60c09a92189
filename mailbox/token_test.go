package mailbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/git-agentmail/git-agentmail/mail"
)

// TestTokens: the newest counts, for its agent alone, in its clone alone, and it is kept
// nowhere.
func TestTokens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	register := func(name string) Agent {
		t.Helper()
		a, err := w.box.Register(w.ctx, RegisterRequest{Name: name, Program: "p", Model: "m"})
		if err != nil || len(a.RegistrationToken) < 32 {
			t.Fatalf("%+v, %v", a, err)
		}
		return a
	}
	blue, green := register("BlueLake"), register("GreenCastle")
	if err := w.box.CheckToken(w.as("BlueLake"), blue.RegistrationToken); err != nil {
		t.Error(err)
	}
	for _, wrong := range []string{"", "x", green.RegistrationToken, blue.RegistrationToken + "x"} {
		mustCode(t, w.box.CheckToken(w.as("BlueLake"), wrong), mail.Denied, "INVALID_ARGUMENT")
	}
	again := register("BlueLake")
	if err := w.box.CheckToken(w.as("BlueLake"), again.RegistrationToken); err != nil {
		t.Error(err)
	}
	wantCode(t, w.box.CheckToken(w.as("BlueLake"), blue.RegistrationToken), mail.Denied)
	if err := w.box.CheckToken(w.as("GreenCastle"), green.RegistrationToken); err != nil {
		t.Error(err)
	}
	for _, token := range []string{blue.RegistrationToken, again.RegistrationToken, green.RegistrationToken} {
		err := filepath.WalkDir(filepath.Join(w.dir, ".git"), func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			if data, err := os.ReadFile(path); err != nil || strings.Contains(string(data), token) {
				t.Errorf("%s holds a token, or cannot be read: %v", path, err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		if out := w.in("log", "--all", "--patch", "--glob=refs/agentmail/*"); strings.Contains(out, token) {
			t.Error("a log holds a token")
		}
	}
	wantCode(t, w.clone().box.CheckToken(w.as("BlueLake"), again.RegistrationToken), mail.Denied)
	// A damaged file ends all tokens and stops nobody.
	if err := os.WriteFile(filepath.Join(w.dir, ".git", "agentmail", tokensFile), []byte("null"), 0o666); err != nil {
		t.Fatal(err)
	}
	wantCode(t, w.box.CheckToken(w.as("BlueLake"), again.RegistrationToken), mail.Denied)
	register("BlueLake")
}

func TestDeregister(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	a, err := w.box.Register(w.ctx, RegisterRequest{Name: "BlueLake", Program: "p", Model: "m", Task: "parser"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.box.Deregister(w.ctx, green, "BlueLake", "wrong")
	mustCode(t, err, mail.Denied, "INVALID_ARGUMENT")
	_, err = w.box.Deregister(w.ctx, green, "Nobody1", "")
	wantCode(t, err, mail.NotFound)
	for _, token := range []string{a.RegistrationToken, ""} { // twice is once
		r, err := w.box.Deregister(w.ctx, green, "bluelake", token)
		if err != nil || r != (Deregistered{"deregistered", "BlueLake", w.box.Project().HumanKey}) {
			t.Fatalf("%+v, %v", r, err)
		}
	}
	who, err := w.box.Whois(w.ctx, "BlueLake", 0)
	if err != nil || who.ContactPolicy != mail.PolicyBlockAll || who.TaskDescription != deregistered+"parser" {
		t.Errorf("%+v, %v", who, err)
	}
	_, err = w.box.Send(w.ctx, green, Draft{To: []string{"BlueLake"}, Subject: "x"})
	mustCode(t, err, mail.Denied, "CONTACT_BLOCKED")
	// The event says who asked.
	log, err := w.box.Log(w.ctx, green, LogQuery{})
	if err != nil || log[0].Agent != "GreenCastle" || log[0].Summary != "deregisters BlueLake" {
		t.Errorf("%+v, %v", log, err)
	}
	// It comes back by registering.
	if _, err := w.box.Register(w.ctx, RegisterRequest{Name: "BlueLake", Program: "p", Model: "m"}); err != nil {
		t.Fatal(err)
	}
	who, err = w.box.Whois(w.ctx, "BlueLake", 0)
	if err != nil || who.ContactPolicy != mail.PolicyAuto || who.TaskDescription != "parser" {
		t.Errorf("back: %+v, %v", who, err)
	}
	w.send(green, "BlueLake")
	// Nobody ends a person, nor an agent of another clone, unless a person does.
	w.send(w.person(), "BlueLake")
	_, err = w.box.Deregister(w.ctx, blue, mail.HumanOverseer, "")
	wantCode(t, err, mail.Denied)
	c := w.clone()
	red := c.agent("RedFox")
	_, err = c.box.Deregister(c.ctx, red, "BlueLake", "")
	wantCode(t, err, mail.Denied)
	if _, err := c.box.Deregister(c.ctx, c.person(), "BlueLake", ""); err != nil {
		t.Error(err)
	}
}
