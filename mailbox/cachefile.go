package mailbox

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"iter"
	"os"
	"time"
	"unsafe"

	"github.com/git-agentmail/git-agentmail/mail"
)

// A cache file is one line, then rows of fields:
//
//	git-agentmail cache 5 <crc32 of all that follows, in hex> <stamp>
//
// The first number says when it was written, in milliseconds. A row is bytes behind
// their number, a field a varint or again bytes behind their number, which is a varint. It is not JSON
// because a hook reads a thousand reservations with every commit, and that took
// longer than everything else it does. The checksum is there because a flipped
// bit in a pattern would open what is reserved.
//
// Raise the version with every change of the fields.
const cacheMagic = "git-agentmail cache 5 "

// fields are read from, or written to, the places that are pointed to. What a
// row consists of is said once, for both.
type fields interface {
	text(*string)
	number(*int64)
	flag(*bool)
	failed() bool // there was too little to read
}

// writeRows replaces a cache file. Failing to is no error for anybody.
func writeRows[T any](b *Box, name, stamp string, at time.Time, list []*T, fields func(fields, *T)) {
	var w, row packer
	written := at.UnixMilli()
	w.number(&written)
	for _, v := range list {
		row = row[:0]
		fields(&row, v)
		text := string(row)
		w.text(&text)
	}
	body := append([]byte(stamp+"\n"), w...)
	b.store.WriteCache(name, fmt.Appendf(nil, "%s%08x %s", cacheMagic, crc32.ChecksumIEEE(body), body))
}

// rows are those of a cache file, decoded one at a time.
type rows[T any] struct {
	packed string
	n      int
	fields func(fields, *T)
	at     time.Time // when the file was written
}

// readRows reads a cache file if it is whole and was written for stamp.
func readRows[T any](b *Box, name, stamp string, fields func(fields, *T)) (rs rows[T], ok bool) {
	data, err := os.ReadFile(b.repo.CachePath(name))
	if err != nil {
		return rs, false
	}
	sum, body, ok := bytes.Cut(bytes.TrimPrefix(data, []byte(cacheMagic)), []byte(" "))
	if !ok || string(sum) != fmt.Sprintf("%08x", crc32.ChecksumIEEE(body)) {
		return rs, false
	}
	body, ok = bytes.CutPrefix(body, []byte(stamp+"\n"))
	if !ok {
		return rs, false
	}
	// The texts of all rows stay where they are: nobody writes to body any more.
	r := unpacker{rest: unsafe.String(unsafe.SliceData(body), len(body))}
	var written int64
	r.number(&written)
	rs = rows[T]{packed: r.rest, fields: fields, at: time.UnixMilli(written)}
	for row := ""; r.rest != "" && !r.bad; rs.n++ {
		r.text(&row)
	}
	return rs, !r.bad
}

// all yields the rows in the order in which they were written. Each is gone with the
// next one; whoever keeps it copies it.
func (rs rows[T]) all(yield func(*T) bool) { rs.those(nil)(yield) }

// those yields only the rows whose first field, a text, want says yes to; nil is all.
func (rs rows[T]) those(want func(first string) bool) iter.Seq[*T] {
	return func(yield func(*T) bool) {
		var v T
		var row, first string
		var r unpacker
		for list := (unpacker{rest: rs.packed}); list.rest != ""; {
			list.text(&row)
			if want != nil {
				r = unpacker{rest: row}
				if r.text(&first); !r.bad && !want(first) {
					continue
				}
			}
			v, r = *new(T), unpacker{rest: row}
			rs.fields(&r, &v)
			if r.bad || r.rest != "" {
				// The checksum was right, so the file was written like that: by a version of
				// this program that has other fields under the same magic.
				panic("mailbox: a row of a cache has other fields than this version knows")
			}
			if !yield(&v) {
				return
			}
		}
	}
}

type packer []byte

func (w *packer) text(s *string) {
	*w = append(binary.AppendUvarint(*w, uint64(len(*s))), *s...)
}

func (w *packer) number(n *int64) { *w = binary.AppendVarint(*w, *n) }

func (w *packer) flag(f *bool) {
	var n int64
	if *f {
		n = 1
	}
	w.number(&n)
}

func (*packer) failed() bool { return false }

// unpacker reads what packer wrote; its texts share the memory of the file.
type unpacker struct {
	rest string
	bad  bool
}

func (r *unpacker) text(s *string) {
	n := r.uvarint()
	if n > uint64(len(r.rest)) {
		r.bad, n = true, 0
	}
	*s, r.rest = r.rest[:n], r.rest[n:]
}

func (r *unpacker) number(n *int64) {
	v := r.uvarint()
	*n = int64(v>>1) ^ -int64(v&1) // as AppendVarint folds signs
}

func (r *unpacker) flag(f *bool) {
	var n int64
	r.number(&n)
	*f = n == 1
}

func (r *unpacker) failed() bool { return r.bad }

func (r *unpacker) uvarint() (v uint64) {
	for i := range min(len(r.rest), binary.MaxVarintLen64) {
		c := r.rest[i]
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			r.rest = r.rest[i+1:]
			return v
		}
	}
	r.bad, r.rest = true, ""
	return 0
}

func markFields(f fields, m *mail.Mark) {
	f.number(&m.Stamp.MS)
	f.number(&m.Stamp.N)
	f.text(&m.Replica)
}

func agentFields(f fields, a *mail.Agent) {
	f.text(&a.ID)
	markFields(f, &a.First)
	f.number((*int64)(&a.Since))
	for _, p := range []*mail.Field{&a.Name, &a.Home, &a.Program, &a.Model, &a.Task, &a.Attachments, &a.ContactPolicy, &a.Person} {
		f.text(&p.Value)
		markFields(f, &p.Mark)
	}
	f.flag(&a.Deleted)
}

// leaseFields begins with the pattern: for most reservations a commit looks no further.
func leaseFields(f fields, l *mail.LeaseState) {
	f.text(&l.Pattern)
	f.text(&l.ID)
	f.text(&l.Holder)
	f.text(&l.Kind)
	f.flag(&l.Exclusive)
	f.text(&l.Reason)
	f.number(&l.TTL)
	f.number((*int64)(&l.Since))
	f.text(&l.Branch)
	f.text(&l.Worktree)
	f.text(&l.Replica)
	markFields(f, &l.Mark)
	n := int64(len(l.Renewals))
	f.number(&n)
	for i := 0; int64(i) < n && !f.failed(); i++ {
		if i == len(l.Renewals) { // being read
			l.Renewals = append(l.Renewals, mail.Renewal{})
		}
		f.number((*int64)(&l.Renewals[i].At))
		f.number((*int64)(&l.Renewals[i].End))
	}
	f.text(&l.Ended)
	f.number((*int64)(&l.EndedAt))
	f.text(&l.EndedBy)
	f.flag(&l.Strong)
}

func briefFields(f fields, h *brief) {
	f.text(&h.pattern)
	f.number((*int64)(&h.until))
}
