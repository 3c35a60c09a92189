package mail

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// quickSamples are messages and receipts with every key, and with as few as may be.
func quickSamples() []Record {
	three := []string{"2222222222", "3333333333", "4444444444"}
	return []Record{
		&Message{Header: head(), FromName: "BlueLake", To: three, ToNames: []string{"A", "", "Grün ✓"}, CC: three[:1], CCNames: []string{"C"}, BCC: three[1:],
			Thread: "FEAT-123", ReplyTo: "5555555555", Subject: "Re: half of it", Importance: Urgent, AckRequired: true, Topic: "t",
			IdempotencyKey: "k", Body: "Text\n}\n---\n\nmore ✓\n"},
		&Message{Header: head(), To: []string{}, ToNames: []string{}, Subject: "", Importance: Low},
		&Receipt{Header: head(), Read: three, Ack: three[:1]},
		&Receipt{Header: head()},
	}
}

// TestQuick: what is plain is decoded the quick way, to the same record.
func TestQuick(t *testing.T) {
	for _, r := range quickSamples() {
		data, err := Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := quick(r.Path(), data)
		if want, err := decodeAny(r.Path(), data); !ok || err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("decoded the quick way: %v, as %#v, not %#v, %v\n%s", ok, got, want, err, data)
		}
	}
}

// TestQuickRefuses: what differs in any byte is taken only if the general decoder takes it
// too, and for the same.
func TestQuickRefuses(t *testing.T) {
	pieces := []string{"", "\"", "\\", "\n", " ", ",", "0", "9", "-", "[", "]", "{", "}", "a", "Z", "\x00", "\x1f", "\x7f", "\xff", "ü", "\u2028", "\ufffd", "\\u00fc", "null", "[]", `""`}
	same := func(path string, data []byte) (taken bool) {
		t.Helper()
		got, ok := quick(path, data)
		if want, err := decodeAny(path, data); ok && (err != nil || !reflect.DeepEqual(got, want)) {
			t.Fatalf("at %s decoded the quick way as %#v, else %#v, %v\n%s", path, got, want, err, data)
		}
		return ok
	}
	taken := 0
	for _, r := range quickSamples() {
		good, err := Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		for i := range good {
			for _, piece := range pieces {
				for n := range 2 { // put in, or put in the place of a byte
					if same(r.Path(), slices.Concat(good[:i], []byte(piece), good[i+n:])) {
						taken++
					}
				}
			}
		}
		for _, change := range [][2]string{{"05", "06"}, {"-11/", "-12/"}, {"2026", "1969"}, {"abcdefghjk", "abcdefghjm"}, {".md", ".json"}, {".json", ""}, {"mail/", "receipts/"}, {"half", "whole"}} {
			same(strings.Replace(r.Path(), change[0], change[1], 1), good)
		}
		for _, at := range []string{"2026-02-31T05:04:02.123Z", "2024-02-29T05:04:02.123Z", "2026-11-21T24:00:00.000Z", "2026-11-21T05:60:00.000Z", "2026-13-01T05:00:00.000Z",
			"1969-12-31T23:59:59.999Z", "0000-11-21T05:04:02.123Z", "2026-11-00T05:04:02.123Z", "9999-12-31T23:59:59.999Z", "2026-11-21t05:04:02.123Z"} {
			data := bytes.Replace(good, []byte("2026-11-21T05:04:02.123Z"), []byte(at), 1)
			if len(at) != len(timeLayout) || bytes.Equal(data, good) {
				t.Fatalf("the case %s is no other", at)
			}
			dir, rest, _ := strings.Cut(r.Path(), "/")
			same(dir+"/"+at[:7]+"/"+at[8:10]+"/"+at[11:13]+"/"+rest[len("2006-01/02/15/"):], data)
		}
	}
	if taken < 100 {
		t.Errorf("of all changes %d were taken: it compares nothing", taken)
	}
}

func BenchmarkDecode(b *testing.B) {
	r := quickSamples()[0]
	data, err := Encode(r)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := Decode(r.Path(), data); err != nil {
			b.Fatal(err)
		}
	}
}
