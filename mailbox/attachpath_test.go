package mailbox

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

// put writes a file below the work tree, or elsewhere if the name is absolute.
func (w *world) put(name, data string) string {
	w.t.Helper()
	if !filepath.IsAbs(name) {
		name = filepath.Join(w.dir, name)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(data), 0o666); err != nil {
		w.t.Fatal(err)
	}
	return name
}

func (w *world) link(to, name string) {
	w.t.Helper()
	if err := os.Symlink(to, filepath.Join(w.dir, name)); err != nil {
		w.t.Skip(err)
	}
}

// TestAttachPaths: what may be sent by its path is in the work tree, whatever the path
// looks like, and of what is not nothing is told.
func TestAttachPaths(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	secret := w.put(filepath.Join(t.TempDir(), "secret.txt"), "secret")
	w.put("notes/ünï 文.md", "text")
	w.put("big.bin", strings.Repeat("x", mail.MaxAttachment+1))
	w.put("full.bin", strings.Repeat("x", mail.MaxAttachment))
	w.link("notes", "inside")
	w.link(secret, "out.txt")
	w.link(filepath.Dir(secret), "outdir")
	w.link(".git", "g")
	w.link(filepath.Join(filepath.Dir(secret), "nowhere"), "dangling")
	w.link("loop", "loop")
	base := filepath.Base(filepath.Dir(secret))
	up := "../../../../../../../../../../.." + secret

	r, err := w.box.Send(w.ctx, blue, Draft{To: []string{"BlueLake"}, Subject: "s", Paths: []string{
		"notes/ünï 文.md", "inside/ünï 文.md", filepath.Join(w.dir, "README.md"), "./notes/../README.md", "full.bin"}})
	if err != nil || len(r.Attachments) != 5 || r.Attachments[0].Name != "ünï 文.md" || r.Attachments[2].Size != 6 {
		t.Fatalf("%+v, %v", r, err)
	}
	data, err := w.box.Attachment(w.ctx, blue, r.Deliveries[0].Payload.ID, "README.md")
	if err != nil || string(data) != "hello\n" {
		t.Errorf("%q, %v", data, err)
	}
	before := len(w.inbox(blue))
	bad := []struct {
		path string
		code mail.Code
		want string
	}{
		{secret, mail.Invalid, "outside the work tree"},
		{filepath.Join(filepath.Dir(secret), "absent"), mail.Invalid, "outside the work tree"},
		{up, mail.Invalid, "outside the work tree"},
		{"../" + base, mail.Invalid, "outside the work tree"},
		{"..", mail.Invalid, "outside the work tree"},
		{"notes/../../x", mail.Invalid, "outside the work tree"},
		{"out.txt", mail.Invalid, "outside the work tree"},
		{"outdir/secret.txt", mail.Invalid, "outside the work tree"},
		{"", mail.Invalid, "outside the work tree"},
		{".git/config", mail.Invalid, "git's own"},
		{"g/config", mail.Invalid, "git's own"},
		{filepath.Join(w.dir, ".git", "HEAD"), mail.Invalid, "git's own"},
		{"notes", mail.Invalid, "not a file"},
		{".", mail.Invalid, "not a file"},
		{"big.bin", mail.Invalid, "larger than"},
		{"absent.txt", mail.NotFound, "not found"},
		{"outdir/absent.txt", mail.Invalid, "outside the work tree"},
		{"dangling", mail.Invalid, "outside the work tree"},
		{"loop", mail.Invalid, "outside the work tree"},
		{"a\x00b", mail.Invalid, "cannot be read"},
	}
	for _, tc := range bad {
		_, err := w.box.Send(w.ctx, blue, Draft{To: []string{"BlueLake"}, Subject: "s", Body: "b", Paths: []string{"README.md", tc.path}})
		if e := wantCode(t, err, tc.code); !strings.Contains(e.Message, tc.want) || e.Details["attachment"] != tc.path {
			t.Errorf("%q: %q, %v", tc.path, e.Message, e.Details)
		}
	}
	// The same file a thousand times is bounded as well.
	_, err = w.box.Send(w.ctx, blue, Draft{To: []string{"BlueLake"}, Subject: "s", Paths: slices.Repeat([]string{"full.bin"}, 1000)})
	if e := wantCode(t, err, mail.Invalid); !strings.Contains(e.Message, "together") {
		t.Error(e.Message)
	}
	if got := len(w.inbox(blue)); got != before {
		t.Errorf("%d messages were sent all the same", got-before)
	}

	// The switch of the other program allows any file, and no size.
	free := w.with("ALLOW_ABSOLUTE_ATTACHMENT_PATHS=True")
	r, err = free.Send(w.ctx, blue, Draft{To: []string{"BlueLake"}, Subject: "s", Paths: []string{secret, "out.txt", "README.md"}})
	if err != nil || len(r.Attachments) != 3 || r.Attachments[0].Size != 6 || r.Attachments[1].Name != "out.txt" {
		t.Errorf("%+v, %v", r, err)
	}
	for _, p := range []string{"big.bin", "notes", "/dev/null"} {
		_, err := free.Send(w.ctx, blue, Draft{To: []string{"BlueLake"}, Subject: "s", Paths: []string{p}})
		wantCode(t, err, mail.Invalid)
	}
	_, err = w.with("ALLOW_ABSOLUTE_ATTACHMENT_PATHS=0").Send(w.ctx, blue, Draft{To: []string{"BlueLake"}, Subject: "s", Paths: []string{secret}})
	wantCode(t, err, mail.Invalid)
}

// TestAttachPathsElsewhere: a linked worktree has files of its own, and a bare repository
// none.
func TestAttachPathsElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	box, dir := w.worktree("linked")
	if err := os.WriteFile(filepath.Join(dir, "own.txt"), []byte("own"), 0o666); err != nil {
		t.Fatal(err)
	}
	d := Draft{To: []string{"BlueLake"}, Subject: "s", Paths: []string{"own.txt"}}
	if r, err := box.Send(w.ctx, blue, d); err != nil || len(r.Attachments) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	_, err := w.box.Send(w.ctx, blue, d)
	wantCode(t, err, mail.NotFound)
	d.Paths = []string{".git"} // a file here
	_, err = box.Send(w.ctx, blue, d)
	if e := wantCode(t, err, mail.Invalid); !strings.Contains(e.Message, "git's own") {
		t.Error(e.Message)
	}
	// Git's own files are so wherever they lie.
	apart := filepath.Join(w.t.TempDir(), "apart")
	w.git("init", "-q", "--separate-git-dir="+filepath.Join(apart, "meta"), apart)
	b := w.open(apart)
	a, err := b.Register(w.ctx, RegisterRequest{Name: "RedHill", Program: "p", Model: "m"})
	if err != nil {
		t.Fatal(err)
	}
	d.To, d.Paths = []string{a.Name}, []string{"meta/config"}
	_, err = b.Send(w.ctx, Actor{Kind: IsAgent, ID: a.ID, Name: a.Name}, d)
	if e := wantCode(t, err, mail.Invalid); !strings.Contains(e.Message, "git's own") {
		t.Error(e.Message)
	}
	// The work tree has a name that leads to it by a link, too.
	w.put("src/x.txt", "x")
	other := filepath.Join(t.TempDir(), "other")
	if err := os.Symlink(w.dir, other); err != nil {
		t.Skip(err)
	}
	d.To, d.Paths = []string{"BlueLake"}, []string{filepath.Join(other, "src", "x.txt")}
	if r, err := w.box.Send(w.ctx, blue, d); err != nil || len(r.Attachments) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	bare := filepath.Join(t.TempDir(), "bare.git")
	w.git("init", "-q", "--bare", bare)
	b = w.open(bare)
	a, err = b.Register(w.ctx, RegisterRequest{Name: "GreenCastle", Program: "p", Model: "m"})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"HEAD", filepath.Join(bare, "HEAD")} {
		_, err = b.Send(w.ctx, Actor{Kind: IsAgent, ID: a.ID, Name: a.Name}, Draft{To: []string{a.Name}, Subject: "s", Paths: []string{p}})
		if e := wantCode(t, err, mail.Invalid); !strings.Contains(e.Message, "bare") {
			t.Error(e.Message)
		}
	}
}

// TestConvertImages: who sends may want copies where the repository does not, and the
// other way round.
func TestConvertImages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	w.put("shot.png", string(drawn(t, 90, 60)))
	yes, no := true, false
	for _, tc := range []struct {
		setting string
		want    *bool
		n       int
	}{{"keep", nil, 1}, {"keep", &yes, 2}, {"keep", &no, 1}, {"webp", nil, 2}, {"webp", &no, 1}, {"webp", &yes, 2}} {
		w.set("agentmail.images", tc.setting)
		r, err := w.box.Send(w.ctx, blue, Draft{To: []string{"BlueLake"}, Subject: "s", Paths: []string{"shot.png"}, WebP: tc.want})
		if err != nil || len(r.Attachments) != tc.n {
			t.Errorf("%s, %v: %+v, %v", tc.setting, tc.want, r.Attachments, err)
		}
	}
}

// TestSenderToken: a token that is given is looked at before anything is sent.
func TestSenderToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	blue := w.agent("BlueLake")
	_, err := w.box.Send(w.ctx, blue, Draft{To: []string{"BlueLake"}, Subject: "s", SenderToken: "wrong"})
	mustCode(t, err, mail.Denied, "INVALID_ARGUMENT")
	if len(w.inbox(blue)) != 0 {
		t.Error("it was sent")
	}
	if r, err := w.box.Send(w.ctx, blue, Draft{To: []string{"BlueLake"}, Subject: "s"}); err != nil || r.VerifiedSender {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestHandshakeWanted: where first contact is not enough, asking for it is.
func TestHandshakeWanted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.set("agentmail.contacts", "strict")
	blue, green := w.agent("BlueLake"), w.agent("GreenCastle")
	_, err := w.box.Send(w.ctx, blue, Draft{To: []string{"GreenCastle"}, Subject: "s", Body: "b"})
	mustCode(t, err, mail.Denied, "CONTACT_REQUIRED")
	w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "s", Body: "b", Handshake: true})
	w.pass(48 * time.Hour)
	w.deliver(blue, Draft{To: []string{"GreenCastle"}, Subject: "again", Body: "b"})
	// It opens no door that was shut.
	if _, err := w.box.SetContactPolicy(w.ctx, green, mail.PolicyBlockAll); err != nil {
		t.Fatal(err)
	}
	_, err = w.box.Send(w.ctx, blue, Draft{To: []string{"GreenCastle"}, Subject: "s", Body: "b", Handshake: true})
	mustCode(t, err, mail.Denied, "CONTACT_BLOCKED")
}
