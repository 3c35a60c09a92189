// Package picture says what an attached image is, and makes a lighter copy of one. It
// trusts no image: what it costs is bounded before anything is decoded.
package picture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"sync"

	"github.com/HugoSmits86/nativewebp"
	"golang.org/x/image/webp"
)

// Info is what the header of an image says.
type Info struct {
	Type          string // media type, such as image/png
	Width, Height int    // pixels, from 1
}

const (
	typePNG  = "image/png"
	typeGIF  = "image/gif"
	typeJPEG = "image/jpeg"

	// TypeWebP is the media type of what [WebP] makes.
	TypeWebP = "image/webp"
)

// Look reads the header of a PNG, JPEG, GIF or WebP; ok is false for anything else, and
// where the header is damaged. It looks at the bytes, whatever the file is called, and
// costs no memory that grows with what the header claims.
func Look(data []byte) (info Info, ok bool) {
	if info, _, ok = look(data); !ok {
		return Info{}, false
	}
	return info, true
}

func look(data []byte) (Info, image.Config, bool) {
	begins := func(magic string) bool { return bytes.HasPrefix(data, []byte(magic)) }
	media, read := "", func(io.Reader) (image.Config, error) { return image.Config{}, image.ErrFormat }
	switch {
	case begins("\x89PNG\r\n\x1a\n"):
		media, read = typePNG, png.DecodeConfig
	case begins("\xff\xd8\xff"):
		media, read = typeJPEG, jpeg.DecodeConfig
	case begins("GIF87a"), begins("GIF89a"):
		media, read = typeGIF, gif.DecodeConfig
	case begins("RIFF") && len(data) >= 12 && string(data[8:12]) == "WEBP":
		media, read = TypeWebP, webp.DecodeConfig
	}
	c, err := read(bytes.NewReader(data))
	return Info{media, c.Width, c.Height}, c, err == nil && c.Width > 0 && c.Height > 0
}

// maxPixels is how many an image may have to be copied: those of a 4K screen. Each takes
// some 70 bytes and half a microsecond.
const maxPixels = 1 << 23

// maxSide is the longest side that WebP knows.
const maxSide = 1 << 14

// working is held while an image is decoded, so that the memory for one is enough for
// however many letters a process sends at once.
var working sync.Mutex

// WebP returns a copy of a PNG or GIF as WebP, which shows every pixel as it was. ok is
// false where there is none worth having: it would not be smaller, or not the same (an
// animation, sixteen bits a colour, an image that Exif turns), the image is damaged or has
// more than 8 Mi pixels. A JPEG is not tried: kept without loss, what it threw away comes
// back as several times its size. Metadata and colour profiles are not copied.
func WebP(data []byte) (copied []byte, ok bool) {
	info, config, ok := look(data)
	if !ok || info.Type != typePNG && info.Type != typeGIF || info.Width > maxPixels/info.Height || max(info.Width, info.Height) > maxSide ||
		config.ColorModel == color.NRGBA64Model || config.ColorModel == color.RGBA64Model || config.ColorModel == color.Gray16Model {
		return nil, false
	}
	working.Lock()
	defer working.Unlock()
	m, err := decodeStill(info, data)
	if err != nil || m.Bounds() != image.Rect(0, 0, info.Width, info.Height) {
		return nil, false
	}
	if copied, err = encode(m); err != nil || len(copied) >= len(data) {
		return nil, false
	}
	return copied, true
}

var errMoves = errors.New("picture: more than one still image")

// decodeStill decodes a PNG or GIF that is one image and shown as it is stored.
func decodeStill(info Info, data []byte) (image.Image, error) {
	r := bytes.NewReader(data)
	if info.Type == typePNG {
		if hasChunk(data, "acTL", "eXIf") {
			return nil, errMoves
		}
		return png.Decode(r)
	}
	m, err := gif.Decode(r) // reads the first image and not a byte more
	if err != nil {
		return nil, err
	}
	if next, err := r.ReadByte(); err == nil && next != gifTrailer {
		return nil, errMoves
	}
	return m, nil
}

const gifTrailer = 0x3b

// hasChunk reports whether a PNG has a chunk of one of these types.
func hasChunk(data []byte, types ...string) bool {
	const head, around = 8, 12 // the signature; length, type and checksum
	for rest := data[head:]; len(rest) >= around; {
		for _, t := range types {
			if string(rest[4:8]) == t {
				return true
			}
		}
		n := around + uint64(binary.BigEndian.Uint32(rest))
		if n > uint64(len(rest)) {
			break
		}
		rest = rest[n:]
	}
	return false
}

// encode makes a WebP of m and looks whether it is m: a fault of the encoder must not
// become somebody's picture, nor keep a letter from being sent.
func encode(m image.Image) (data []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			data, err = nil, fmt.Errorf("picture: %v", p)
		}
	}()
	m = plain(m)
	var b bytes.Buffer
	if err := nativewebp.Encode(&b, m, nil); err != nil {
		return nil, err
	}
	again, err := webp.Decode(bytes.NewReader(b.Bytes()))
	if err != nil {
		return nil, err
	}
	if !same(m, again) {
		return nil, errors.New("picture: the copy is another image")
	}
	return b.Bytes(), nil
}

// plain replaces a palette with translucent colours, which the encoder would round.
func plain(m image.Image) image.Image {
	p, ok := m.(*image.Paletted)
	if !ok || p.Opaque() {
		return m
	}
	out := image.NewNRGBA(p.Rect)
	for i, index := range p.Pix {
		c := color.NRGBAModel.Convert(p.Palette[index]).(color.NRGBA)
		copy(out.Pix[4*i:], []byte{c.R, c.G, c.B, c.A})
	}
	return out
}

// same reports whether two images look the same; the colour of what is transparent does
// not show.
func same(a, b image.Image) bool {
	x, ok := a.(image.RGBA64Image)
	y, ok2 := b.(image.RGBA64Image)
	if !ok || !ok2 || a.Bounds() != b.Bounds() {
		return false
	}
	r := a.Bounds()
	for j := r.Min.Y; j < r.Max.Y; j++ {
		for i := r.Min.X; i < r.Max.X; i++ {
			if x.RGBA64At(i, j) != y.RGBA64At(i, j) {
				return false
			}
		}
	}
	return true
}
