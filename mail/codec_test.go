package mail

import (
	"bytes"
	"strings"
	"testing"
)

func head() Header {
	return Header{V: 1, ID: "abcdefghjk", Seq: 7, HLC: Stamp{1795237442123, 2}, At: 1795237442123, By: "0123456789"}
}

func ptr[T any](v T) *T { return &v }

// samples holds one record of each kind.
func samples() []Record {
	lease := Lease{ID: "1111111111", Holder: "0123456789", Pattern: "src/auth/**", Kind: "tree", Exclusive: true, Reason: "a <b> & \"c\"", TTL: 3600, Since: 1795237442123, Branch: "main"}
	touched := []Touched{{"src/auth/token.go", "1111111111", "0123456789"}}
	return []Record{
		&Message{Header: head(), FromName: "BlueLake", To: []string{"2222222222"}, ToNames: []string{"GreenCastle"}, BCC: []string{"3333333333"},
			Thread: "FEAT-123", Subject: "Starting auth refactor ✓", Importance: Normal, AckRequired: true,
			Attachments: []Attachment{
				{"a.png", 3, strings.Repeat("ab", 32), AttachmentPath(strings.Repeat("ab", 32), "a.png"), "image/png", 0, 0},
				{"b.png", 3, strings.Repeat("ab", 32), AttachmentPath(strings.Repeat("ab", 32), "b.png"), "image/png", 640, 480},
			},
			Body: "I hold it.\r\n\n---\n\nnot a head\n"},
		&Message{Header: head(), FromName: "BlueLake", To: []string{}, ToNames: []string{}, Subject: "", Importance: Low},
		&AgentChange{Header: head(), Agent: "0123456789", Name: ptr("BlueLake"), Program: ptr(""), Home: ptr("rrrrrrrrrr")},
		&Receipt{Header: head(), Read: []string{"2222222222"}, Ack: []string{"3333333333", "4444444444"}},
		&LeaseEvent{Header: head(), Op: LeaseNew, Leases: []Lease{lease}},
		&Contact{Header: head(), From: "0123456789", To: "2222222222", Status: LinkApproved, Expires: ptr(Time(5)), Reason: "\u2028 and \x01"},
		&CommitSeen{Header: head(), OID: strings.Repeat("a", 40), Outcome: CommitSlipped, Touched: touched},
		&Bypass{Header: head(), Event: "pre-commit", Reason: "hot fix", Touched: touched},
		&SlotEvent{Header: head(), Op: SlotHold, Slot: "build", Agent: "BlueLake", Branch: "main", Exclusive: true, Since: 1795237442123, TTL: 3600},
		&SlotEvent{Header: head(), Op: SlotRelease, Slot: "e2e \u00fc", Agent: "not registered"},
		&ProductLink{Header: head(), Product: "0123abcd", Name: "The \"shop\""},
		&AgentChange{Header: head(), Agent: "0123456789", Deleted: true},
		&Redaction{Header: head(), Messages: []string{"2222222222", "3333333333"}, Reason: "a secret"},
	}
}

func TestEncodeDecode(t *testing.T) {
	for _, r := range samples() {
		data, err := Encode(r)
		if err != nil {
			t.Fatalf("%T: %v", r, err)
		}
		got, err := Decode(r.Path(), data)
		if err != nil {
			t.Fatalf("%T: %v\n%s", r, err, data)
		}
		again, err := Encode(got)
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("%T: encoded again as\n%s\nnot\n%s", r, again, data)
		}
	}
}

func TestDecodeKeepsUnknownKeys(t *testing.T) {
	for _, r := range samples() {
		data, err := Encode(r)
		if err != nil {
			t.Fatal(err)
		}
		more := bytes.Replace(data, []byte("\n}\n"), []byte(",\n\"zz_new\": {\"a\":[1,2]}\n}\n"), 1)
		got, err := Decode(r.Path(), more)
		if err != nil {
			t.Fatalf("%T: %v\n%s", r, err, more)
		}
		if again, err := Encode(got); err != nil || !bytes.Equal(again, more) {
			t.Errorf("%T: the unknown key was lost:\n%s", r, again)
		}
	}
}

func TestDecodeUnknownKindAndVersion(t *testing.T) {
	for _, tt := range []struct{ name, data string }{
		{"kind", `{"v":1,"id":"abcdefghjk","seq":1,"hlc":[1,0],"kind":"poll","at":"2026-11-21T05:04:02.123Z","by":"0123456789"}`},
		{"version", `{"v":2,"id":"abcdefghjk","kind":"lease","whatever":true}`},
	} {
		r, err := Decode("events/2026-11/21/05/abcdefghjk.json", []byte(tt.data))
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if _, ok := r.(*Unknown); !ok {
			t.Errorf("%s: decoded to %T", tt.name, r)
		}
		if again, _ := Encode(r); string(again) != tt.data {
			t.Errorf("%s: encoded again as %s", tt.name, again)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	good, err := Encode(samples()[4])
	if err != nil {
		t.Fatal(err)
	}
	path := samples()[4].Path()
	for _, tt := range []struct {
		name, path, data string
	}{
		{"empty", path, ""},
		{"not JSON", path, "hello"},
		{"array", path, "[]"},
		{"compact", path, strings.ReplaceAll(string(good), "\n", "")},
		{"trailing", path, string(good) + " "},
		{"two objects", path, string(good) + string(good)},
		{"wrong place", "leases/2026-11/21/05/zzzzzzzzzz.json", string(good)},
		{"v 0", path, strings.Replace(string(good), `"v": 1`, `"v": 0`, 1)},
		{"bad op", path, strings.Replace(string(good), `"op": "new"`, `"op": "steal"`, 1)},
		{"bad id", path, strings.Replace(string(good), `"1111111111"`, `"ILOU"`, 1)},
		{"long ttl", path, strings.Replace(string(good), `"ttl":3600`, `"ttl":99999999`, 1)},
		{"duplicate key", path, strings.Replace(string(good), `"op": "new"`, "\"op\": \"new\",\n\"op\": \"new\"", 1)},
		{"keys out of order", path, strings.Replace(strings.Replace(string(good), "\"seq\": 7,\n", "", 1), "\"op\":", "\"seq\": 7,\n\"op\":", 1)},
		{"time without decimals", path, strings.Replace(string(good), ".123Z", "Z", 1)},
		{"escaped slash", path, strings.Replace(string(good), "src/auth", `src\/auth`, 1)},
	} {
		if tt.data == string(good) && tt.path == path {
			t.Fatalf("%s: the case is not different", tt.name)
		}
		if r, err := Decode(tt.path, []byte(tt.data)); CodeOf(err) != Corrupt {
			t.Errorf("%s: got %#v, %v, want corrupt", tt.name, r, err)
		}
	}
}

// TestPixels: an attachment from before they were recorded stays as it is, and they stand
// both or not at all.
func TestPixels(t *testing.T) {
	m := samples()[0]
	good, err := Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	old := strings.Replace(string(good), `,"width":640,"height":480`, "", 1)
	if old == string(good) || strings.Contains(old, "width") {
		t.Fatalf("encoded as\n%s", good)
	}
	if r, err := Decode(m.Path(), []byte(old)); err != nil || r.(*Message).Attachments[1].Width != 0 {
		t.Errorf("%v\n%s", err, old)
	}
	for _, pixels := range []string{`,"width":640`, `,"height":480`, `,"width":0,"height":0`, `,"width":-1,"height":-1`, `,"height":480,"width":640`, `,"width":640.5,"height":480`} {
		if r, err := Decode(m.Path(), []byte(strings.Replace(string(good), `,"width":640,"height":480`, pixels, 1))); CodeOf(err) != Corrupt {
			t.Errorf("%s: got %#v, %v, want corrupt", pixels, r, err)
		}
	}
}

// FuzzDecode: whatever is accepted re-encodes to itself.
func FuzzDecode(f *testing.F) {
	for _, r := range samples() {
		data, err := Encode(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(r.Path(), data)
	}
	f.Fuzz(func(t *testing.T, path string, data []byte) {
		r, err := Decode(path, data)
		if err != nil {
			if CodeOf(err) != Corrupt {
				t.Fatalf("code %s", CodeOf(err))
			}
			return
		}
		again, err := Encode(r)
		if err != nil {
			t.Fatalf("decoded but does not encode: %v", err)
		}
		if !bytes.Equal(again, data) {
			t.Fatalf("encoded again as\n%s\nnot\n%s", again, data)
		}
	})
}
