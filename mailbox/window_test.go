package mailbox

import (
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

const (
	firstWindow  = "0d7c1a52-9f1e-4c56-8b1d-0123456789ab"
	secondWindow = "1d7c1a52-9f1e-4c56-8b1d-0123456789ab"
)

// TestWindows: explicit name, then that of the window, then a generated one.
func TestWindows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	register := func(r RegisterRequest) Agent {
		t.Helper()
		r.Program, r.Model = "p", "m"
		a, err := w.box.Register(w.ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if list, err := w.box.Windows(w.ctx); err != nil || list.Count != 0 || list.Identities == nil {
		t.Errorf("%+v, %v", list, err)
	}
	blue := register(RegisterRequest{Name: "BlueLake", Window: firstWindow})
	if blue.WindowID != firstWindow || blue.WindowName != "BlueLake" {
		t.Errorf("%+v", blue)
	}
	if a := register(RegisterRequest{Window: " 0D7C1A529F1E4C568B1D0123456789AB "}); a.ID != blue.ID || a.WindowID != firstWindow || a.RequestedName != "" {
		t.Errorf("without a name in a known window: %+v", a)
	}
	if a := register(RegisterRequest{Name: "GreenCastle", Window: firstWindow}); a.Name != "GreenCastle" || a.WindowName != "BlueLake" {
		t.Errorf("with a name in a known window: %+v", a)
	}
	for _, none := range []string{"", "x", firstWindow + "0", "0d7c1a52-9f1e-4c56-8b1d-0123456789az", "0d7c1a5-29f1e-4c56-8b1d-0123456789ab"} {
		if a := register(RegisterRequest{Window: none}); a.ID == blue.ID || a.WindowID != "" || a.WindowName != "" {
			t.Errorf("in the window %q: %+v", none, a)
		}
	}
	other := register(RegisterRequest{Window: secondWindow})
	if again := register(RegisterRequest{Window: secondWindow}); other.ID == blue.ID || again.ID != other.ID || again.WindowName != other.Name {
		t.Errorf("a window without a name: %+v, then %+v", other, again)
	}
	// A new identity is no business of the window.
	if a := register(RegisterRequest{Window: firstWindow, New: true}); a.ID == blue.ID || a.WindowID != "" {
		t.Errorf("%+v", a)
	}

	w.pass(20 * 24 * time.Hour)
	register(RegisterRequest{Window: secondWindow})
	list, err := w.box.Windows(w.ctx)
	if err != nil || list.Count != 2 || list.Identities[0].UUID != secondWindow || list.Identities[1].DisplayName != "BlueLake" || list.Identities[1].AgeDays != 20 ||
		list.Identities[1].ExpiresTS.Time().Sub(list.Identities[1].LastActiveTS.Time()) != 30*24*time.Hour {
		t.Errorf("%+v, %v", list, err)
	}
	w.pass(11 * 24 * time.Hour)
	if list, err := w.box.Windows(w.ctx); err != nil || list.Count != 1 || list.Identities[0].UUID != secondWindow {
		t.Errorf("31 days after its last use: %+v, %v", list, err)
	}
	short := w.with("MCP_AGENT_MAIL_WINDOW_TTL_DAYS=5")
	defer short.Close()
	if list, err := short.Windows(w.ctx); err != nil || list.Count != 0 {
		t.Errorf("with five days: %+v, %v", list, err)
	}
	if a := register(RegisterRequest{Window: firstWindow}); a.ID == blue.ID {
		t.Errorf("in a window that has expired: %+v", a)
	}
}

func TestRenameAndExpireWindow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.box.RenameWindow(w.ctx, firstWindow, "RedFox")
	mustCode(t, err, mail.NotFound, "WINDOW_NOT_FOUND")
	if w.box.SetUp() {
		t.Error("a question made a mailbox")
	}
	blue, err := w.box.Register(w.ctx, RegisterRequest{Name: "BlueLake", Program: "p", Model: "m", Window: firstWindow})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.box.RenameWindow(w.ctx, "x", "RedFox")
	mustCode(t, err, mail.Invalid, "INVALID_WINDOW_UUID")
	for _, bad := range []string{"", "1", "gpt-5", "HumanOverseer"} {
		_, err = w.box.RenameWindow(w.ctx, firstWindow, bad)
		mustCode(t, err, mail.Invalid, "INVALID_DISPLAY_NAME")
	}
	_, err = w.box.ExpireWindow(w.ctx, secondWindow)
	mustCode(t, err, mail.NotFound, "WINDOW_NOT_FOUND")
	r, err := w.box.RenameWindow(w.ctx, firstWindow, "Red Fox")
	if err != nil || r.DisplayName != "RedFox" || r.OldDisplayName != "BlueLake" || r.UUID != firstWindow || r.ID == "" {
		t.Errorf("%+v, %v", r, err)
	}
	red, err := w.box.Register(w.ctx, RegisterRequest{Program: "p", Model: "m", Window: firstWindow})
	if err != nil || red.Name != "RedFox" || red.ID == blue.ID {
		t.Errorf("%+v, %v", red, err)
	}
	e, err := w.box.ExpireWindow(w.ctx, firstWindow)
	if err != nil || !e.Expired || e.DisplayName != "RedFox" || e.UUID != firstWindow || !e.ExpiredAt.Time().Equal(w.at) {
		t.Errorf("%+v, %v", e, err)
	}
	_, err = w.box.ExpireWindow(w.ctx, firstWindow)
	mustCode(t, err, mail.NotFound, "WINDOW_NOT_FOUND")
	if a, err := w.box.Register(w.ctx, RegisterRequest{Program: "p", Model: "m", Window: firstWindow}); err != nil || a.ID == red.ID {
		t.Errorf("%+v, %v", a, err)
	}
}

// TestWindowNameGone: another clone has registered the window's name first.
func TestWindowNameGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := w.box.Register(w.ctx, RegisterRequest{Name: "BlueLake", Program: "p", Model: "m", Window: firstWindow}); err != nil {
		t.Fatal(err)
	}
	c := w.clone()
	c.agent("RedFox")
	w.fetch(c)
	if _, err := w.box.RenameWindow(w.ctx, firstWindow, "RedFox"); err != nil {
		t.Fatal(err)
	}
	a, err := w.box.Register(w.ctx, RegisterRequest{Program: "p", Model: "m", Window: firstWindow})
	if err != nil || a.Name == "RedFox" || a.WindowName != a.Name {
		t.Errorf("%+v, %v", a, err)
	}
}
