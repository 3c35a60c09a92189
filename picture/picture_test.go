package picture

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math/rand"
	"runtime"
	"testing"

	"golang.org/x/image/webp"
)

// screen is what agents attach: large plain areas, and something like text.
func screen(w, h int) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	r := rand.New(rand.NewSource(1))
	for i := range m.Pix {
		m.Pix[i] = 0xff
	}
	for y := range h / 2 {
		for x := range w / 2 {
			if r.Intn(3) == 0 {
				m.SetNRGBA(x, y, color.NRGBA{uint8(r.Intn(200)), 30, 60, 255})
			}
		}
	}
	return m
}

// noise has every colour and every degree of transparency.
func noise(w, h int) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	rand.New(rand.NewSource(2)).Read(m.Pix)
	return m
}

// colours is an image with a palette of n, translucent if alpha is set.
func colours(w, h, n int, alpha bool) *image.Paletted {
	r := rand.New(rand.NewSource(3))
	p := make(color.Palette, n)
	for i := range p {
		c := color.NRGBA{uint8(r.Intn(256)), uint8(r.Intn(256)), uint8(r.Intn(256)), 255}
		if alpha {
			c.A = uint8(r.Intn(256))
		}
		p[i] = c
	}
	m := image.NewPaletted(image.Rect(0, 0, w, h), p)
	for i := range m.Pix {
		m.Pix[i] = uint8(r.Intn(n))
	}
	return m
}

// stripes has few colours and a pattern.
func stripes(w, h int) *image.Paletted {
	m := colours(w, h, 5, false)
	for i := range m.Pix {
		m.Pix[i] = uint8(i / 7 % 5)
	}
	return m
}

func asPNG(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	// Stored, not compressed, so that the copy is smaller whatever is in it.
	if err := (&png.Encoder{CompressionLevel: png.NoCompression}).Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func asGIF(t testing.TB, frames ...*image.Paletted) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, &gif.GIF{Image: frames, Delay: make([]int, len(frames))}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func asJPEG(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// chunk is one of a PNG's.
func chunk(typ string, data []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	b = append(append(b, typ...), data...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

// withChunk puts a chunk behind the first of a PNG, or at its end.
func withChunk(data []byte, typ string, last bool) []byte {
	at := 8 + 25
	if last {
		at = len(data) - 12
	}
	return append(append(append([]byte{}, data[:at]...), chunk(typ, make([]byte, 8))...), data[at:]...)
}

// claiming is the header of a PNG of any size, and no picture.
func claiming(w, h uint32) []byte {
	head := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, w), h)
	return append([]byte("\x89PNG\r\n\x1a\n"), append(chunk("IHDR", append(head, 8, 6, 0, 0, 0)), chunk("IDAT", []byte("x"))...)...)
}

func TestLook(t *testing.T) {
	t.Parallel()
	web, err := encode(screen(40, 20))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		data []byte
		want Info
	}{
		{"png", asPNG(t, screen(40, 20)), Info{"image/png", 40, 20}},
		{"png with a palette", asPNG(t, colours(3, 5, 7, true)), Info{"image/png", 3, 5}},
		{"jpeg", asJPEG(t, screen(33, 17)), Info{"image/jpeg", 33, 17}},
		{"gif", asGIF(t, colours(9, 8, 7, false)), Info{"image/gif", 9, 8}},
		{"gif that moves", asGIF(t, colours(9, 8, 7, false), colours(9, 8, 7, false)), Info{"image/gif", 9, 8}},
		{"webp", web, Info{"image/webp", 40, 20}},
		{"png of a gigapixel", claiming(1<<20, 1<<20), Info{"image/png", 1 << 20, 1 << 20}},
		{"png without pixels", claiming(0, 5), Info{}},
		{"png that ends early", asPNG(t, screen(40, 20))[:20], Info{}},
		{"signature alone", []byte("\x89PNG\r\n\x1a\n"), Info{}},
		{"gif that ends early", []byte("GIF89a\x01"), Info{}},
		{"jpeg that ends early", []byte("\xff\xd8\xff\xe0"), Info{}},
		{"webp that ends early", []byte("RIFF\x00\x00\x00\x00WEBPVP8"), Info{}},
		{"wave", []byte("RIFF\x00\x00\x00\x00WAVEfmt "), Info{}},
		{"text", []byte("GIF or not"), Info{}},
		{"nothing", nil, Info{}},
	} {
		got, ok := Look(tt.data)
		if got != tt.want || ok != (tt.want != Info{}) {
			t.Errorf("%s: %+v, %v", tt.name, got, ok)
		}
	}
}

func TestWebP(t *testing.T) {
	t.Parallel()
	grey := image.NewGray(image.Rect(0, 0, 60, 40))
	rand.New(rand.NewSource(4)).Read(grey.Pix[:len(grey.Pix)/2])
	for _, tt := range []struct {
		name string
		data []byte
	}{
		{"screen", asPNG(t, screen(301, 97))},
		{"noise", asPNG(t, noise(64, 64))},
		{"grey", asPNG(t, grey)},
		{"a pixel", asPNG(t, screen(1, 1))},
		{"two colours", asPNG(t, colours(61, 33, 2, false))},
		{"four colours", asPNG(t, colours(61, 33, 4, false))},
		{"16 colours", asPNG(t, colours(61, 33, 16, false))},
		{"256 colours", asPNG(t, colours(61, 33, 256, false))},
		{"translucent colours", asPNG(t, colours(61, 33, 256, true))},
		{"a column", asPNG(t, screen(1, 500))},
		{"gif", asGIF(t, stripes(100, 100))},
	} {
		want, _, err := image.Decode(bytes.NewReader(tt.data))
		if err != nil {
			t.Fatal(err)
		}
		copied, ok := WebP(tt.data)
		if !ok {
			// Noise is not smaller, whoever encodes it; then it is the encoder that is tested.
			if copied, err = encode(want); err != nil || tt.name == "screen" || tt.name == "gif" {
				t.Errorf("%s: no copy, %v", tt.name, err)
				continue
			}
		}
		got, err := webp.Decode(bytes.NewReader(copied))
		if err != nil || !same(want, got) {
			t.Errorf("%s: decodes to another image, %v", tt.name, err)
		}
		if again, _ := WebP(tt.data); ok && !bytes.Equal(again, copied) {
			t.Errorf("%s: two copies differ, which would be stored twice", tt.name)
		}
	}
}

func TestNoWebP(t *testing.T) {
	t.Parallel()
	still := asPNG(t, screen(100, 100))
	if _, ok := WebP(still); !ok {
		t.Fatal("no copy of what the others are made of")
	}
	if _, ok := WebP(withChunk(still, "tEXt", false)); !ok {
		t.Error("no copy of an image with a text")
	}
	web, err := encode(screen(100, 100))
	if err != nil {
		t.Fatal(err)
	}
	deep := image.NewNRGBA64(image.Rect(0, 0, 100, 100))
	deepGrey := image.NewGray16(image.Rect(0, 0, 100, 100))
	frame := stripes(100, 100)
	corner := asGIF(t, frame)
	if _, ok := WebP(corner); !ok {
		t.Fatal("no copy of a still GIF")
	}
	corner[6], corner[8] = 120, 120 // the screen is larger than the image on it
	for _, tt := range []struct {
		name string
		data []byte
	}{
		{"jpeg", asJPEG(t, screen(100, 100))},
		{"webp", web},
		{"sixteen bits", asPNG(t, deep)},
		{"sixteen bits of grey", asPNG(t, deepGrey)},
		{"png that moves", withChunk(still, "acTL", false)},
		{"turned by Exif", withChunk(still, "eXIf", false)},
		{"turned by Exif at the end", withChunk(still, "eXIf", true)},
		{"gif that moves", asGIF(t, frame, frame)},
		{"gif on a larger screen", corner},
		{"too many pixels", asPNG(t, image.NewGray(image.Rect(0, 0, 4096, 2049)))},
		{"a gigapixel", claiming(1<<15, 1<<15)},
		{"wider than a WebP can be", asPNG(t, image.NewGray(image.Rect(0, 0, 1<<14+1, 1)))},
		{"half", still[:len(still)/2]},
		{"damaged", append(bytes.Clone(still[:len(still)/2]), make([]byte, len(still)/2)...)},
		{"text", []byte("hello")},
		{"nothing", nil},
	} {
		if copied, ok := WebP(tt.data); ok {
			t.Errorf("%s: a copy of %d bytes", tt.name, len(copied))
		}
	}
	// A copy that is not smaller is none: a slope is what PNG is best at.
	slope := image.NewNRGBA(image.Rect(0, 0, 300, 200))
	for i := range slope.Pix {
		slope.Pix[i] = []uint8{uint8(i / 4 % 300), uint8(i / 1200), uint8(i / 4 % 300 * (i / 1200) / 50), 255}[i%4]
	}
	var packed bytes.Buffer
	if err := png.Encode(&packed, slope); err != nil {
		t.Fatal(err)
	}
	if larger, err := encode(slope); err != nil || len(larger) < packed.Len() {
		t.Fatalf("%d bytes for %d, %v", len(larger), packed.Len(), err)
	}
	if copied, ok := WebP(packed.Bytes()); ok || copied != nil {
		t.Errorf("a copy of %d bytes for %d", len(copied), packed.Len())
	}
}

// TestBomb: a header that claims a gigapixel costs nothing.
func TestBomb(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, data := range [][]byte{
		claiming(1<<15, 1<<15), claiming(1<<31-1, 1), claiming(1<<16, 1<<16),
		append([]byte("GIF89a\xff\xff\xff\xff\x00\x00\x00,\x00\x00\x00\x00\xff\xff\xff\xff\x00\x08"), make([]byte, 100)...),
		append([]byte("RIFF\x20\x00\x00\x00WEBPVP8L\x0a\x00\x00\x00\x2f\xff\xff\xff\x0f"), make([]byte, 100)...),
	} {
		if info, ok := Look(data); !ok || info.Width < 1<<14 {
			t.Errorf("%q: %+v, %v", data[:16], info, ok)
		}
		if _, ok := WebP(data); ok {
			t.Errorf("%q: a copy", data[:16])
		}
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 4<<20 {
		t.Errorf("%d bytes were allocated", n)
	}
}

// TestEncoderIsChecked: what the encoder cannot do is an error, not a panic and not
// another picture.
func TestEncoderIsChecked(t *testing.T) {
	t.Parallel()
	broken := image.NewPaletted(image.Rect(0, 0, 2, 2), color.Palette{color.Black})
	broken.Pix[3] = 9 // a colour that is not there
	for name, m := range map[string]image.Image{"no such colour": broken, "empty": image.NewGray(image.Rect(0, 0, 0, 0))} {
		if data, err := encode(m); err == nil {
			t.Errorf("%s: %d bytes", name, len(data))
		}
	}
	if same(screen(3, 3), noise(3, 3)) || same(screen(3, 3), screen(3, 4)) || !same(screen(3, 3), screen(3, 3)) {
		t.Error("same does not compare")
	}
}

// FuzzWebP: no file makes a panic, and whatever is a copy is smaller and an image of the
// same size.
func FuzzWebP(f *testing.F) {
	f.Add(asPNG(f, screen(20, 20)))
	f.Add(asPNG(f, colours(20, 20, 5, true)))
	f.Add(asGIF(f, colours(20, 20, 5, false)))
	f.Add(asGIF(f, colours(5, 5, 5, false), colours(5, 5, 5, false)))
	f.Add(asJPEG(f, screen(20, 20)))
	f.Add(claiming(1<<15, 1<<15))
	f.Fuzz(func(t *testing.T, data []byte) {
		info, ok := Look(data)
		if ok != (info.Width > 0 && info.Height > 0) {
			t.Fatalf("%+v, %v", info, ok)
		}
		copied, made := WebP(data)
		if !made {
			return
		}
		got, known := Look(copied)
		if !ok || !known || got != (Info{TypeWebP, info.Width, info.Height}) || len(copied) >= len(data) {
			t.Errorf("%+v of %d bytes became %+v of %d", info, len(data), got, len(copied))
		}
	})
}

// FuzzEncode: the encoder gives back every image, by itself.
func FuzzEncode(f *testing.F) {
	f.Add(uint8(3), uint8(0), []byte("some pixels, of which there are not many"))
	f.Add(uint8(1), uint8(2), bytes.Repeat([]byte{0, 255}, 300))
	f.Add(uint8(200), uint8(255), noise(20, 20).Pix)
	f.Fuzz(func(t *testing.T, w, palette uint8, pix []byte) {
		if w == 0 || len(pix) > 1<<16 {
			return
		}
		var m image.Image
		if palette > 0 {
			p := colours(int(w), len(pix)/int(w)+1, int(palette), palette%2 == 1)
			for i, c := range pix {
				p.Pix[i] = c % palette
			}
			m = p
		} else {
			p := image.NewNRGBA(image.Rect(0, 0, int(w), len(pix)/4/int(w)+1))
			copy(p.Pix, pix)
			m = p
		}
		if _, err := encode(m); err != nil {
			t.Fatal(err)
		}
	})
}
