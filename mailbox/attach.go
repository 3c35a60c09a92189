package mailbox

import (
	"context"
	"crypto/sha256"
	"fmt"
	"mime"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/git-agentmail/git-agentmail/mail"
	"github.com/git-agentmail/git-agentmail/picture"
)

// file is an attachment and what is in it.
type file struct {
	mail.Attachment
	data []byte
}

// prepare makes attachments of files, in their order, before anybody has to wait for it.
// Where webP is true, or nil and agentmail.images is webp, an image is followed by a copy
// of it as WebP, if there is one worth having, under its name with .webp behind it. The
// image itself stays as it was given.
func (b *Box) prepare(ctx context.Context, given []AttachFile, webP *bool) ([]file, error) {
	var files []file
	names, images := map[string]bool{}, false
	for _, g := range given {
		if len(g.Data) > mail.MaxAttachment {
			return nil, mail.Errorf(mail.Invalid, "attachment %q of %d bytes is larger than %d; nothing was sent", g.Name, len(g.Data), mail.MaxAttachment)
		}
		name := path.Base(strings.ReplaceAll(g.Name, `\`, "/"))
		if name == "." || name == "/" || name == ".." || len(name) > maxFileName || !utf8.ValidString(name) {
			return nil, mail.Errorf(mail.Invalid, "attachment %q has no usable name; nothing was sent", g.Name)
		}
		f := newFile(name, g.Data)
		files, names[name], images = append(files, f), true, images || f.Width > 0
	}
	if !images {
		return files, nil
	}
	if webP == nil {
		want, err := b.setting(ctx, "images")
		if err != nil {
			return nil, err
		}
		webP = new(bool)
		*webP = want == "webp"
	}
	if !*webP {
		return files, nil
	}
	var all []file
	copies := map[string][]byte{} // by the hash of the image; nil where there is none
	for _, f := range files {
		all = append(all, f)
		// A file that is called so was given: it is not to be hidden.
		name := f.Name + ".webp"
		if f.Width == 0 || names[name] || len(name) > maxFileName {
			continue
		}
		data, tried := copies[f.SHA256]
		if !tried {
			if err := ctx.Err(); err != nil {
				return nil, asMail(err)
			}
			data, _ = picture.WebP(f.data)
			copies[f.SHA256] = data
		}
		if data != nil {
			all, names[name] = append(all, newFile(name, data)), true
		}
	}
	return all, nil
}

// maxFileName is the greatest length of an attachment's name, in bytes: that of most file
// systems.
const maxFileName = 255

func newFile(name string, data []byte) file {
	sum := fmt.Sprintf("%x", sha256.Sum256(data))
	image, _ := picture.Look(data)
	return file{mail.Attachment{Name: name, Size: int64(len(data)), SHA256: sum, Path: mail.AttachmentPath(sum, name),
		Type: mediaType(name, image.Type, data), Width: image.Width, Height: image.Height}, data}
}

// attach stores files by their content: one that is there already is not
// written again.
func (w *writer) attach(m *mail.Message, files []file) error {
	for _, f := range files {
		_, there, err := w.file(f.Path)
		if err != nil {
			return err
		}
		if !there {
			if err := w.tx.Create(f.Path, f.data); err != nil {
				return asMail(err)
			}
		}
		m.Attachments = append(m.Attachments, f.Attachment)
	}
	return nil
}

// mediaType goes by the name, then by what image it is, then by whether it is text.
// (net/http would guess more, and cost every hook a millisecond.)
func mediaType(name, image string, data []byte) string {
	t, _, _ := strings.Cut(mime.TypeByExtension(strings.ToLower(path.Ext(name))), ";")
	switch {
	case t != "":
		return t
	case image != "":
		return image
	case utf8.Valid(data):
		return "text/plain"
	}
	return "application/octet-stream"
}
