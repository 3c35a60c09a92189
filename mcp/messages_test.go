package mcp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// neighbours are two agents in one repository, each with a server of its own.
func neighbours(t *testing.T) (dir string, blue, green *client) {
	t.Helper()
	env := environ(t)
	dir = repository(t, env)
	blue, green = connect(t, options(t, dir, env, Full)), connect(t, options(t, dir, env, Full))
	blue.call("register_agent", map[string]any{"name": "BlueLake", "program": "claude-code", "model": "opus"}, nil)
	green.call("register_agent", map[string]any{"name": "GreenCastle", "program": "codex", "model": "gpt-5"}, nil)
	return dir, blue, green
}

// dict is the arguments of a call, or an answer whose keys count as much as its values.
type dict = map[string]any

// has fails if an answer lacks one of the keys.
func has(t *testing.T, what string, o dict, keys string) {
	t.Helper()
	for _, k := range strings.Fields(keys) {
		if _, ok := o[k]; !ok {
			t.Errorf("%s has no %s: it has %s", what, k, slices.Sorted(maps.Keys(o)))
		}
	}
}

// send sends and returns the id and the answer.
func (c *client) send(args dict) (string, dict) {
	c.t.Helper()
	full := dict{"to": "GreenCastle", "subject": "s", "body_md": "b"}
	maps.Copy(full, args)
	var r dict
	c.call("send_message", full, &r)
	return r["deliveries"].([]any)[0].(dict)["payload"].(dict)["id"].(string), r
}

const payloadKeys = "id project_id sender_id from to cc bcc thread_id reply_to subject importance ack_required topic created_ts attachments body_md"

// wrong is a call that must fail.
type wrong struct {
	tool string
	args dict
	typ  string
	text string // in the message
}

func (c *client) wrong(list []wrong) {
	c.t.Helper()
	for _, w := range list {
		if e := c.fails(w.tool, w.args); e.Type != w.typ || !strings.Contains(e.Message, w.text) || e.Data["code"] == nil {
			c.t.Errorf("%s %v: %+v, want %s with %q", w.tool, w.args, e, w.typ, w.text)
		}
	}
}

func TestSendMessage(t *testing.T) {
	dir, blue, green := neighbours(t)
	_, r := blue.send(dict{"subject": "Grüße, 世界 <b>", "body_md": "line\n\n\u2028 & <tag> 🚀", "cc": []string{"BlueLake"}, "bcc": "greencastle",
		"importance": "Urgent", "ack_required": true, "thread_id": "FEAT-1", "topic": "ci", "convert_images": nil, "attachment_paths": nil,
		"auto_contact_if_blocked": nil, "sender_token": nil, "format": nil, "project_key": dir, "sender_name": "BlueLake"})
	has(t, "send_message", r, "deliveries count verified_sender attachments")
	d := r["deliveries"].([]any)[0].(dict)
	p := d["payload"].(dict)
	has(t, "a payload", p, payloadKeys)
	if r["count"] != 1.0 || r["verified_sender"] != false || len(r["attachments"].([]any)) != 0 || d["project"] != dir ||
		p["subject"] != "Grüße, 世界 <b>" || p["body_md"] != "line\n\n\u2028 & <tag> 🚀" || p["importance"] != "urgent" || p["ack_required"] != true ||
		p["thread_id"] != "FEAT-1" || p["topic"] != "ci" || fmt.Sprint(p["to"], p["cc"], p["bcc"]) != "[GreenCastle] [BlueLake] []" {
		t.Errorf("%v", r)
	}
	// What is not asked for is not there; a blank thread is none.
	_, r = blue.send(dict{"thread_id": "", "importance": nil, "ack_required": nil})
	p = r["deliveries"].([]any)[0].(dict)["payload"].(dict)
	if p["thread_id"] != nil || p["importance"] != "normal" || p["ack_required"] != false || p["topic"] != nil || p["reply_to"] != nil {
		t.Errorf("%v", p)
	}
	// Nothing of a blind copy reaches others.
	var red dict
	blue.call("register_agent", dict{"name": "RedHill", "program": "p", "model": "m"}, &red)
	id, r := blue.send(dict{"sender_name": "BlueLake", "bcc": []string{"RedHill"}})
	p = r["deliveries"].([]any)[0].(dict)["payload"].(dict)
	if fmt.Sprint(p["bcc"]) != "[RedHill]" {
		t.Errorf("the sender sees %v", p["bcc"])
	}
	for _, who := range []string{"GreenCastle", "RedHill"} {
		text, _ := green.try("read_message", dict{"agent_name": who, "message_id": id, "mark_read": false})
		var m struct {
			BCC      []string
			Receipts []struct{ Agent string }
		}
		if err := json.Unmarshal([]byte(text), &m); err != nil || len(m.BCC) != 0 || who == "GreenCastle" && len(m.Receipts) != 1 {
			t.Errorf("%s sees %s, %v", who, text, err)
		}
	}
	// A broadcast reaches whoever else is active.
	r = nil
	blue.call("send_message", dict{"sender_name": "BlueLake", "to": []string{}, "broadcast": true, "subject": "all", "body_md": "b"}, &r)
	if to := fmt.Sprint(r["deliveries"].([]any)[0].(dict)["payload"].(dict)["to"]); to != "[GreenCastle RedHill]" {
		t.Errorf("a broadcast to %s", to)
	}

	blue.wrong([]wrong{
		{"send_message", dict{"to": []string{}, "subject": "s", "body_md": "b", "sender_name": "BlueLake"}, "INVALID_ARGUMENT", "no recipient"},
		{"send_message", dict{"to": "GreenCastle", "subject": "s", "body_md": "b", "sender_name": "BlueLake", "broadcast": true}, "INVALID_ARGUMENT", "broadcast"},
		{"send_message", dict{"to": "GrenCastle", "subject": "s", "body_md": "b", "sender_name": "BlueLake"}, "RECIPIENT_NOT_FOUND", "not found"},
		{"send_message", dict{"to": "all", "subject": "s", "body_md": "b", "sender_name": "BlueLake"}, "BROADCAST_ATTEMPT", "not found"},
		{"send_message", dict{"to": "claude-code", "subject": "s", "body_md": "b", "sender_name": "BlueLake"}, "PROGRAM_NAME_AS_AGENT", "not found"},
		{"send_message", dict{"to": "<AGENT>", "subject": "s", "body_md": "b", "sender_name": "BlueLake"}, "CONFIGURATION_ERROR", "placeholder"},
		{"send_message", dict{"to": "GreenCastle", "subject": "s", "body_md": "b", "sender_name": "Nobody"}, "NOT_FOUND", "not found"},
		{"send_message", dict{"to": "GreenCastle", "subject": "s", "body_md": "b", "sender_name": "BlueLake", "thread_id": "a b"}, "INVALID_THREAD_ID", "a b"},
		{"send_message", dict{"to": "GreenCastle", "subject": "s", "body_md": "b", "sender_name": "BlueLake", "topic": "a b"}, "INVALID_TOPIC", "a b"},
		{"send_message", dict{"to": "GreenCastle", "subject": "s", "body_md": "b", "sender_name": "BlueLake", "importance": "huge"}, "INVALID_ARGUMENT", "huge"},
		{"send_message", dict{"to": "GreenCastle", "subject": "s", "body_md": "b", "sender_name": "BlueLake", "sender_token": "no"}, "INVALID_ARGUMENT", "token"},
		{"send_message", dict{"to": "GreenCastle", "subject": " ", "body_md": "", "sender_name": "BlueLake"}, "INVALID_ARGUMENT", "empty"},
		{"send_message", dict{"to": "GreenCastle", "body_md": "b", "sender_name": "BlueLake"}, "MISSING_FIELD", "subject"},
		{"send_message", dict{"to": nil, "subject": "s", "body_md": "b", "sender_name": "BlueLake"}, "MISSING_FIELD", "to"},
		{"send_message", dict{"to": "GreenCastle", "subject": "s", "body_md": 7, "sender_name": "BlueLake"}, "TYPE_ERROR", "body_md"},
		{"send_message", dict{"to": "GreenCastle", "subject": "s", "body_md": "b"}, "UNHANDLED_EXCEPTION", "which agent"}, // it has used two names
	})
	e := blue.fails("send_message", dict{"to": []string{"GrenCastle", "Nobody", "project:other#Blue"}, "subject": "s", "body_md": "b", "sender_name": "BlueLake"})
	has(t, "RECIPIENT_NOT_FOUND", e.Data, "unknown_local unknown_external hint suggested_tool_calls suggestions")
	if fmt.Sprint(e.Data["unknown_local"], e.Data["unknown_external"]) != "[GrenCastle Nobody] map[other:[Blue]]" {
		t.Errorf("%v", e.Data)
	}
	blue.call("send_message", dict{"sender_name": "BlueLake", "to": []string{"GreenCastle"}, "subject": strings.Repeat("ü", 300), "body_md": ""}, &r)
	if warnings, _ := r["warnings"].([]any); len(warnings) != 1 {
		t.Errorf("%v", r["warnings"])
	}
}

func TestAttachmentPaths(t *testing.T) {
	dir, blue, green := neighbours(t)
	if err := os.WriteFile(filepath.Join(dir, "ünï.log"), []byte("text"), 0o666); err != nil {
		t.Fatal(err)
	}
	_, r := blue.send(dict{"attachment_paths": "ünï.log", "convert_images": true, "body_md": ""})
	list := r["attachments"].([]any)
	if len(list) != 1 {
		t.Fatalf("%v", r)
	}
	has(t, "an attachment", list[0].(dict), "name type size sha256 path")
	var inbox []dict
	green.call("fetch_inbox", nil, &inbox)
	if got := inbox[0]["attachments"].([]any); len(got) != 1 || got[0].(dict)["name"] != "ünï.log" {
		t.Errorf("%v", inbox)
	}
	shot := image.NewGray(image.Rect(0, 0, 300, 200))
	for i := range shot.Pix {
		shot.Pix[i] = uint8(i * i >> 7)
	}
	var data bytes.Buffer
	if err := png.Encode(&data, shot); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "shot.png"), data.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	for n, convert := range map[int][]any{1: {nil, false}, 2: {true}} {
		for _, v := range convert {
			if _, r := blue.send(dict{"attachment_paths": []string{"shot.png"}, "convert_images": v}); len(r["attachments"].([]any)) != n {
				t.Errorf("convert_images %v: %v", v, r["attachments"])
			}
		}
	}
	for _, path := range []string{"../x", "/etc/hosts", filepath.Join(dir, "..", "x"), ".git/config", ""} {
		blue.wrong([]wrong{{"send_message", dict{"to": "GreenCastle", "subject": "s", "body_md": "b", "attachment_paths": []string{path}}, "INVALID_ARGUMENT", "attachment"}})
	}
	blue.wrong([]wrong{{"send_message", dict{"to": "GreenCastle", "subject": "s", "body_md": "b", "attachment_paths": []string{"absent"}}, "NOT_FOUND", "not found"}})
}

// TestReplyTo: what send_message takes along goes along with a reply too, or is refused.
func TestReplyTo(t *testing.T) {
	dir, blue, green := neighbours(t)
	if err := os.WriteFile(filepath.Join(dir, "a.log"), []byte("text"), 0o666); err != nil {
		t.Fatal(err)
	}
	id, _ := blue.send(dict{})
	var r dict
	green.call("send_message", dict{"reply_to": id, "body_md": "b", "attachment_paths": []string{"a.log"}}, &r)
	if list := r["attachments"].([]any); len(list) != 1 || list[0].(dict)["name"] != "a.log" {
		t.Errorf("%v", r)
	}
	green.wrong([]wrong{
		{"send_message", dict{"reply_to": id, "body_md": "b", "attachment_paths": []string{"absent"}}, "NOT_FOUND", "not found"},
		{"send_message", dict{"reply_to": id, "body_md": "b", "sender_token": "wrong"}, "INVALID_ARGUMENT", "token"},
		{"send_message", dict{"reply_to": id, "body_md": "b", "broadcast": true}, "INVALID_ARGUMENT", "broadcast"},
	})
	var inbox []any
	blue.call("fetch_inbox", nil, &inbox)
	if len(inbox) != 1 {
		t.Errorf("what was refused was sent: %v", inbox)
	}
}

func TestContactRules(t *testing.T) {
	dir, _, green := neighbours(t)
	env := environ(t)
	git(t, dir, env, "config", "agentmail.contacts", "strict")
	blue := connect(t, options(t, dir, env, Full))
	args := dict{"sender_name": "BlueLake", "to": "GreenCastle", "subject": "s", "body_md": "b", "auto_contact_if_blocked": false}
	e := blue.fails("send_message", args)
	has(t, "CONTACT_REQUIRED", e.Data, "recipients_blocked remedies auto_contact_attempted suggested_tool_calls")
	if e.Type != "CONTACT_REQUIRED" {
		t.Errorf("%+v", e)
	}
	args["auto_contact_if_blocked"] = true
	blue.call("send_message", args, nil)
	var inbox []dict
	green.call("fetch_inbox", nil, &inbox)
	if len(inbox) != 1 {
		t.Errorf("%v", inbox)
	}
}

func TestReplyMessage(t *testing.T) {
	_, blue, green := neighbours(t)
	id, _ := blue.send(dict{"subject": "plan", "importance": "high", "ack_required": true, "topic": "build"})
	var r dict
	green.call("reply_message", dict{"message_id": id[:5], "body_md": "yes", "to": nil, "cc": nil, "bcc": nil, "subject_prefix": nil, "project_key": nil, "sender_name": nil, "format": nil}, &r)
	has(t, "reply_message", r, payloadKeys+" deliveries count verified_sender")
	if r["thread_id"] != id || r["reply_to"] != id || r["subject"] != "Re: plan" || r["importance"] != "high" || r["ack_required"] != true || r["topic"] != "build" ||
		fmt.Sprint(r["to"]) != "[BlueLake]" || r["count"] != 1.0 || r["from"] != "GreenCastle" || r["body_md"] != "yes" {
		t.Errorf("%v", r)
	}
	second := r["id"].(string)
	r = nil
	blue.call("reply_message", dict{"message_id": second, "body_md": "ok", "subject_prefix": "RE:", "to": []string{"GreenCastle"}, "bcc": []string{"BlueLake"}}, &r)
	if r["subject"] != "Re: plan" || r["thread_id"] != id || fmt.Sprint(r["bcc"]) != "[BlueLake]" {
		t.Errorf("%v", r)
	}
	green.wrong([]wrong{
		{"reply_message", dict{"message_id": "zzzzzzzzzz", "body_md": "b"}, "NOT_FOUND", "not found"},
		{"reply_message", dict{"message_id": 1234567, "body_md": "b"}, "NOT_FOUND", "not found"},
		{"reply_message", dict{"message_id": id, "body_md": "b", "sender_name": "Nobody"}, "NOT_FOUND", "not found"},
		{"reply_message", dict{"message_id": id, "body_md": "b", "to": "Nobody"}, "RECIPIENT_NOT_FOUND", "not found"},
		{"reply_message", dict{"message_id": id, "body_md": "b", "cc": "<AGENT>"}, "CONFIGURATION_ERROR", "placeholder"},
		{"reply_message", dict{"message_id": id, "body_md": ""}, "INVALID_ARGUMENT", "empty"},
		{"reply_message", dict{"body_md": "b"}, "MISSING_FIELD", "message_id"},
		{"reply_message", dict{"message_id": 1.5, "body_md": "b"}, "TYPE_ERROR", "message_id"},
		{"reply_message", dict{"message_id": "!", "body_md": "b"}, "INVALID_ARGUMENT", "id"},
	})
}

func TestFetchInbox(t *testing.T) {
	_, blue, green := neighbours(t)
	var sent []string
	for i := range 5 {
		id, _ := blue.send(dict{"subject": fmt.Sprint("n", i), "body_md": "text", "topic": []any{nil, "ci"}[i%2], "importance": []string{"low", "high", "urgent", "normal", "normal"}[i]})
		sent = append(sent, id)
		time.Sleep(2 * time.Millisecond) // since_ts counts milliseconds
	}
	fetch := func(args dict) (got []string, rows []dict) {
		t.Helper()
		green.call("fetch_inbox", args, &rows)
		for _, r := range rows {
			got = append(got, r["id"].(string))
			has(t, "an inbox row", r, "id project_id sender_id thread_id topic subject importance ack_required created_ts attachments from kind read_ts ack_ts")
			if _, ok := r["body_md"]; ok != (args["include_bodies"] == true) {
				t.Errorf("%v: %v", args, r)
			}
		}
		return got, rows
	}
	newest := slices.Clone(sent)
	slices.Reverse(newest)
	all, rows := fetch(dict{"limit": nil, "urgent_only": nil, "include_bodies": nil, "since_ts": nil, "topic": nil, "project_key": nil, "agent_name": nil, "format": nil})
	if !slices.Equal(all, newest) || rows[0]["kind"] != "to" || rows[0]["from"] != "BlueLake" {
		t.Fatalf("%v, sent %v", rows, sent)
	}
	at, err := time.Parse(time.RFC3339, rows[2]["created_ts"].(string))
	if err != nil {
		t.Fatal(err)
	}
	const ms = "2006-01-02T15:04:05.000"
	east := time.FixedZone("", 3600)
	for name, tc := range map[string]struct {
		args dict
		n    int // how many of the newest
	}{
		"as it was given": {dict{"since_ts": rows[2]["created_ts"]}, 2},
		"Z":               {dict{"since_ts": at.UTC().Format(ms) + "Z"}, 2},
		"no offset":       {dict{"since_ts": at.UTC().Format(ms)}, 2},
		"an offset":       {dict{"since_ts": at.In(east).Format(ms + "-07:00")}, 2},
		"a blank":         {dict{"since_ts": " " + at.UTC().Format("2006-01-02 15:04:05.000") + " "}, 2},
		"microseconds":    {dict{"since_ts": at.UTC().Format(ms) + "999Z"}, 2},
		"a date":          {dict{"since_ts": at.UTC().AddDate(0, 0, -1).Format(time.DateOnly)}, 5},
		"the future":      {dict{"since_ts": "2999-01-01"}, 0},
		"empty":           {dict{"since_ts": ""}, 5},
		"limit":           {dict{"limit": 3}, 3},
		"capped":          {dict{"limit": 1000000}, 5},
	} {
		if got, _ := fetch(tc.args); !slices.Equal(got, newest[:tc.n]) && len(got)+tc.n > 0 {
			t.Errorf("%s: %d, want %d", name, len(got), tc.n)
		}
	}
	if got, _ := fetch(dict{"urgent_only": true}); !slices.Equal(got, []string{sent[2], sent[1]}) {
		t.Errorf("urgent: %v", got)
	}
	if got, rows := fetch(dict{"topic": "CI", "include_bodies": true}); !slices.Equal(got, []string{sent[3], sent[1]}) || rows[0]["body_md"] != "text" {
		t.Errorf("topic: %v", rows)
	}
	if _, again := fetch(dict{}); again[0]["read_ts"] != nil {
		t.Error("a list marks as read")
	}
	green.wrong([]wrong{
		{"fetch_inbox", dict{"limit": 0}, "INVALID_LIMIT", "limit 0"},
		{"fetch_inbox", dict{"limit": -3}, "INVALID_LIMIT", "limit -3"},
		{"fetch_inbox", dict{"limit": 1.5}, "TYPE_ERROR", "limit"},
		{"fetch_inbox", dict{"since_ts": "yesterday"}, "INVALID_TIMESTAMP", "yesterday"},
		{"fetch_inbox", dict{"since_ts": "2026-13-01"}, "INVALID_TIMESTAMP", "2026-13-01"},
		{"fetch_inbox", dict{"agent_name": "BlueLak"}, "NOT_FOUND", "not found"},
		{"fetch_inbox", dict{"agent_name": "YOUR_AGENT_NAME"}, "CONFIGURATION_ERROR", "placeholder"},
		{"fetch_inbox", dict{"agent": "BlueLake"}, "TYPE_ERROR", "agent"},
	})
	if e := green.fails("fetch_inbox", dict{"agent_name": "BlueLak"}); e.Data["suggestions"] == nil || e.Data["available_agents"] == nil {
		t.Errorf("%+v", e)
	}
}

func TestFetchTopic(t *testing.T) {
	dir, blue, green := neighbours(t)
	var sent []string
	for range 3 {
		id, _ := blue.send(dict{"to": "BlueLake", "topic": "Ci", "body_md": "text"})
		sent = append(sent, id)
	}
	blue.send(dict{"topic": "other"})
	var list []dict
	green.call("fetch_topic", dict{"topic_name": "cI", "project_key": dir, "limit": nil, "include_bodies": nil, "since_ts": nil, "format": nil}, &list)
	if len(list) != 3 || list[0]["id"] != sent[2] || list[2]["id"] != sent[0] || list[0]["body_md"] != "text" {
		t.Fatalf("%v", list)
	}
	has(t, "a message on a topic", list[0], payloadKeys)
	for limit, n := range map[int]int{-1: 1, 0: 1, 2: 2, 5000: 3} { // it is clamped
		var list []dict
		green.call("fetch_topic", dict{"topic_name": "ci", "limit": limit, "include_bodies": false}, &list)
		if _, ok := list[0]["body_md"]; ok || len(list) != n {
			t.Errorf("limit %d: %v", limit, list)
		}
	}
	if text, failed := green.try("fetch_topic", dict{"topic_name": "ci", "since_ts": "2999-01-01T00:00:00Z"}); failed || text != "[]" {
		t.Errorf("%s", text)
	}
	green.wrong([]wrong{
		{"fetch_topic", dict{"topic_name": "a b"}, "INVALID_TOPIC", "a b"},
		{"fetch_topic", dict{"topic_name": ""}, "INVALID_TOPIC", ""},
		{"fetch_topic", dict{"topic_name": "ci", "since_ts": "x"}, "INVALID_TIMESTAMP", "x"},
		{"fetch_topic", dict{}, "MISSING_FIELD", "topic_name"},
	})
}

func TestReceipts(t *testing.T) {
	_, blue, green := neighbours(t)
	id, _ := blue.send(nil)
	var read, ack, again dict
	green.call("mark_message_read", dict{"message_id": id[:4], "agent_name": nil, "project_key": nil, "format": nil}, &read)
	has(t, "mark_message_read", read, "message_id read read_at")
	green.call("acknowledge_message", dict{"message_id": strings.ToUpper(id)}, &ack)
	has(t, "acknowledge_message", ack, "message_id acknowledged acknowledged_at read_at")
	if read["message_id"] != id || read["read"] != true || read["read_at"] == nil || ack["message_id"] != id || ack["acknowledged"] != true || ack["read_at"] != read["read_at"] || ack["acknowledged_at"] == nil {
		t.Errorf("%v, %v", read, ack)
	}
	green.call("acknowledge_message", dict{"message_id": id}, &again)
	if fmt.Sprint(again) != fmt.Sprint(ack) {
		t.Errorf("%v, then %v", ack, again)
	}
	other, _ := blue.send(nil)
	var m dict
	green.call("read_message", dict{"message_id": other, "mark_read": nil, "acknowledge": nil}, &m)
	has(t, "read_message", m, payloadKeys+" receipts")
	if r := m["receipts"].([]any)[0].(dict); m["body_md"] != "b" || r["agent"] != "GreenCastle" || r["read_ts"] == nil || r["ack_ts"] != nil {
		t.Errorf("%v", m)
	}
	green.call("read_message", dict{"message_id": other, "mark_read": false, "acknowledge": true}, &m)
	if r := m["receipts"].([]any)[0].(dict); r["ack_ts"] == nil {
		t.Errorf("%v", m)
	}
	blue.call("read_message", dict{"message_id": other}, &m) // the sender sees it, too
	for _, tool := range []string{"mark_message_read", "acknowledge_message"} {
		blue.wrong([]wrong{
			{tool, dict{"message_id": id}, "NOT_FOUND", "not found"}, // it was not sent to it
			{tool, dict{"message_id": "zzzzzzzzzz"}, "NOT_FOUND", "not found"},
			{tool, dict{"message_id": 99999}, "NOT_FOUND", "not found"},
			{tool, dict{"message_id": id, "agent_name": "Nobody"}, "NOT_FOUND", "not found"},
			{tool, dict{}, "MISSING_FIELD", "message_id"},
		})
	}
	blue.wrong([]wrong{
		{"read_message", dict{"message_id": "zzzzzzzzzz"}, "NOT_FOUND", "not found"},
		{"read_message", dict{"message_id": other, "acknowledge": true}, "NOT_FOUND", "not found"},
		{"read_message", dict{"message_id": other, "agent_name": "Nobody"}, "NOT_FOUND", "not found"},
	})
}
