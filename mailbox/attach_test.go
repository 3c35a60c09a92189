package mailbox

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"golang.org/x/image/webp"
)

// drawn is a real PNG, which WebP packs better.
func drawn(t *testing.T, w, h int) []byte {
	t.Helper()
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	r := rand.New(rand.NewSource(1))
	for y := range h {
		for x := range w {
			shade := uint8(255)
			if x < w/2 && r.Intn(3) == 0 {
				shade = uint8(r.Intn(200))
			}
			m.SetNRGBA(x, y, color.NRGBA{shade, 255, shade, 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// sent delivers files and returns what a reader is shown of them: name, type and pixels.
func (w *world) sent(who Actor, files ...AttachFile) (id string, list []string) {
	w.t.Helper()
	id = w.deliver(who, Draft{To: []string{who.Name}, Subject: "x", Attach: files})
	m, err := w.box.Show(w.ctx, who, id)
	if err != nil {
		w.t.Fatal(err)
	}
	// A list of messages shows the same, from the index.
	rows := w.inbox(who)
	if !slices.Equal(rows[0].Attachments, m.Attachments) {
		w.t.Errorf("the inbox has %+v, the message %+v", rows[0].Attachments, m.Attachments)
	}
	for i, a := range m.Attachments {
		list = append(list, fmt.Sprintf("%s %s %dx%d", a.Name, a.Type, a.Width, a.Height))
		got, err := w.box.Attachment(w.ctx, who, id, a.Name)
		if err != nil || int64(len(got)) != a.Size {
			w.t.Errorf("%s: %d bytes, %v", a.Name, len(got), err)
		}
		if i < len(files) && a.Name == files[i].Name && !bytes.Equal(got, files[i].Data) {
			w.t.Errorf("%s is not stored as it was given", a.Name)
		}
	}
	return id, list
}

// blobs are the attachments in the log.
func (w *world) blobs() []string {
	w.t.Helper()
	tip := strings.Fields(w.in("for-each-ref", "--format=%(objectname)", "refs/agentmail/log"))[0]
	return strings.Fields(w.in("ls-tree", "-r", "--name-only", tip, "attachments/"))
}

// TestPixels: dimensions are recorded of what is an image, whatever its name is, and
// nothing else changes.
func TestPixels(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	who := w.agent("BlueLake")
	pic := drawn(t, 40, 30)
	_, got := w.sent(who, AttachFile{"a.png", pic}, AttachFile{"shot", pic}, AttachFile{"half.png", pic[:20]}, AttachFile{"b.png", []byte("text")}, AttachFile{"c.txt", []byte("text")})
	want := []string{"a.png image/png 40x30", "shot image/png 40x30", "half.png image/png 0x0", "b.png image/png 0x0", "c.txt text/plain 0x0"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	for _, unknown := range []string{"keep", "yes", ""} {
		w.set("agentmail.images", unknown)
		if _, got := w.sent(who, AttachFile{"a.png", pic}); len(got) != 1 {
			t.Errorf("images=%q: %q", unknown, got)
		}
	}
	if _, err := w.box.Verify(w.ctx, nil); err != nil {
		t.Error(err)
	}
}

func TestImagesAsWebP(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	who := w.agent("BlueLake")
	w.set("agentmail.images", "WebP")
	pic := drawn(t, 90, 60)

	// The copy stands behind the original, and is the same image.
	id, got := w.sent(who, AttachFile{"shot.png", pic})
	if want := []string{"shot.png image/png 90x60", "shot.png.webp image/webp 90x60"}; !slices.Equal(got, want) {
		t.Fatalf("%q", got)
	}
	data, err := w.box.Attachment(w.ctx, who, id, "shot.png.webp")
	if err != nil || len(data) >= len(pic) {
		t.Fatalf("%d bytes of %d, %v", len(data), len(pic), err)
	}
	copied, err := webp.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	given, err := png.Decode(bytes.NewReader(pic))
	if err != nil {
		t.Fatal(err)
	}
	for y := range 60 {
		for x := range 90 {
			if a, b := color.NRGBAModel.Convert(given.At(x, y)), color.NRGBAModel.Convert(copied.At(x, y)); a != b {
				t.Fatalf("at %d,%d the copy is %v, not %v", x, y, b, a)
			}
		}
	}

	// One blob each for image and copy, however often and under whatever name it is sent.
	_, got = w.sent(who, AttachFile{"shot.png", pic}, AttachFile{"other.png", pic})
	if len(got) != 4 || got[3] != "other.png.webp image/webp 90x60" {
		t.Errorf("%q", got)
	}
	if list := w.blobs(); len(list) != 2 {
		t.Errorf("stored %q", list)
	}

	// What was given is never hidden by a copy, and what is no image for it has none.
	long := strings.Repeat("n", maxFileName-4) + ".png"
	bomb := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR\x00\x00\xff\xff\x00\x00\xff\xff\x08\x06\x00\x00\x00\xb6\x05\xd9\x50")
	_, got = w.sent(who, AttachFile{"a.png", pic}, AttachFile{"a.png.webp", []byte("mine")}, AttachFile{long, pic},
		AttachFile{"corrupt.png", pic[:len(pic)/2]}, AttachFile{"bomb.png", bomb}, AttachFile{"t.txt", []byte("text")}, AttachFile{"a.png", pic})
	want := []string{"a.png image/png 90x60", "a.png.webp image/webp 0x0", long + " image/png 90x60",
		"corrupt.png image/png 90x60", "bomb.png image/png 65535x65535", "t.txt text/plain 0x0", "a.png image/png 90x60"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if _, err := w.box.Verify(w.ctx, nil); err != nil {
		t.Error(err)
	}

	// A retry is the same request, whatever was made of it.
	d := Draft{To: []string{"BlueLake"}, Subject: "x", Attach: []AttachFile{{"shot.png", pic}}, IdempotencyKey: "k"}
	first := w.deliver(who, d)
	w.set("agentmail.images", "keep")
	if again := w.deliver(who, d); again != first {
		t.Errorf("the retry made %s, not %s", again, first)
	}
}
