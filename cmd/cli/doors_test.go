package cli_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/git-agentmail/git-agentmail/mail"
)

// turn is one thing that is done through both doors. $name stands for a value that an
// earlier turn kept.
type turn struct {
	line string         // for the command line; words are split at blanks, _ is a blank in a word
	tool string         // the same over MCP
	args map[string]any // with the actor that --as names
	typ  string         // the contract's name of the error, "" if it must succeed
	keep string         // "name path" of a value in the answer

	// What differs, with the reason: the only way to be different.
	conflict string // the command line fails, with the answer that MCP gives
}

const allOrNone = "a script must learn from the exit status that it has nothing; a model reads the answer"

var turns = []turn{
	{line: "register BlueLake --program claude-code --model opus --task auth", tool: "register_agent",
		args: map[string]any{"name": "BlueLake", "program": "claude-code", "model": "opus", "task_description": "auth"}},
	{line: "register GreenCastle --program codex --model gpt-5", tool: "register_agent",
		args: map[string]any{"name": "GreenCastle", "program": "codex", "model": "gpt-5"}},
	{line: "register bluelake --program claude-code --model sonnet", tool: "register_agent",
		args: map[string]any{"name": "bluelake", "program": "claude-code", "model": "sonnet"}},
	{line: "register X1 --program _ --model m", tool: "register_agent", typ: "EMPTY_PROGRAM",
		args: map[string]any{"name": "X1", "program": " ", "model": "m"}},
	{line: "register <AGENT> --program p --model m", tool: "register_agent", typ: "CONFIGURATION_ERROR",
		args: map[string]any{"name": "<AGENT>", "program": "p", "model": "m"}},
	{line: "send --as BlueLake --to GreenCastle -s Plan -m I_hold_src. --thread FEAT-1 --ack --importance high --topic plan", tool: "send_message",
		args: map[string]any{"sender_name": "BlueLake", "to": []string{"GreenCastle"}, "subject": "Plan", "body_md": "I hold src.", "thread_id": "FEAT-1", "ack_required": true, "importance": "high", "topic": "plan"},
		keep: "plan deliveries.0.payload.id"},
	{line: "send --as greencastle --broadcast -s All -m done", tool: "send_message",
		args: map[string]any{"sender_name": "greencastle", "to": []string{}, "broadcast": true, "subject": "All", "body_md": "done"}},
	{line: "send --as BlueLake --to GreenCaslte,BlueLaek -s x -m x", tool: "send_message", typ: "RECIPIENT_NOT_FOUND",
		args: map[string]any{"sender_name": "BlueLake", "to": []string{"GreenCaslte", "BlueLaek"}, "subject": "x", "body_md": "x"}},
	{line: "send --as BlueLake --to everyone -s x -m x", tool: "send_message", typ: "BROADCAST_ATTEMPT",
		args: map[string]any{"sender_name": "BlueLake", "to": "everyone", "subject": "x", "body_md": "x"}},
	{line: "send --as BlueLake --to GreenCastle -s x -m x --thread no_thread", tool: "send_message", typ: "INVALID_THREAD_ID",
		args: map[string]any{"sender_name": "BlueLake", "to": "GreenCastle", "subject": "x", "body_md": "x", "thread_id": "no thread"}},
	{line: "send --as BlueLake --to GreenCastle -s x -m x --topic no_topic", tool: "send_message", typ: "INVALID_TOPIC",
		args: map[string]any{"sender_name": "BlueLake", "to": "GreenCastle", "subject": "x", "body_md": "x", "topic": "no topic"}},
	{line: "send --as NobodyHere --to GreenCastle -s x -m x", tool: "send_message", typ: "NOT_FOUND",
		args: map[string]any{"sender_name": "NobodyHere", "to": "GreenCastle", "subject": "x", "body_md": "x"}},
	{line: "send --as claude --to GreenCastle -s x -m x", tool: "send_message", typ: "PROGRAM_NAME_AS_AGENT",
		args: map[string]any{"sender_name": "claude", "to": "GreenCastle", "subject": "x", "body_md": "x"}},
	{line: "inbox --as GreenCastle", tool: "fetch_inbox", args: map[string]any{"agent_name": "GreenCastle"}},
	{line: "inbox --as GreenCastle --urgent --bodies -n 1 --topic PLAN", tool: "fetch_inbox",
		args: map[string]any{"agent_name": "GreenCastle", "urgent_only": true, "include_bodies": true, "limit": 1, "topic": "PLAN"}},
	{line: "inbox --as BlueLaek", tool: "fetch_inbox", typ: "NOT_FOUND", args: map[string]any{"agent_name": "BlueLaek"}},
	{line: "reply $plan --as GreenCastle -m fine", tool: "reply_message", args: map[string]any{"message_id": "$plan", "sender_name": "GreenCastle", "body_md": "fine"}},
	{line: "reply zzzz --as GreenCastle -m fine", tool: "reply_message", typ: "NOT_FOUND", args: map[string]any{"message_id": "zzzz", "sender_name": "GreenCastle", "body_md": "fine"}},
	{line: "read $plan --as GreenCastle", tool: "mark_message_read", args: map[string]any{"message_id": "$plan", "agent_name": "GreenCastle"}},
	{line: "read $plan --as BlueLake", tool: "mark_message_read", typ: "NOT_FOUND", args: map[string]any{"message_id": "$plan", "agent_name": "BlueLake"}},
	{line: "ack $plan --as GreenCastle", tool: "acknowledge_message", args: map[string]any{"message_id": "$plan", "agent_name": "GreenCastle"}},
	{line: "whois GreenCastle", tool: "whois", args: map[string]any{"agent_name": "GreenCastle"}},
	{line: "whois GreenCaslte", tool: "whois", typ: "NOT_FOUND", args: map[string]any{"agent_name": "GreenCaslte"}},
	{line: "contact request GreenCastle --as BlueLake --reason please", tool: "request_contact", args: map[string]any{"from_agent": "BlueLake", "to_agent": "GreenCastle", "reason": "please"}},
	{line: "contact request BlueLake --as BlueLake", tool: "request_contact", typ: "INVALID_ARGUMENT", args: map[string]any{"from_agent": "BlueLake", "to_agent": "BlueLake"}},
	{line: "contact respond BlueLake --accept --as GreenCastle", tool: "respond_contact", args: map[string]any{"from_agent": "BlueLake", "to_agent": "GreenCastle", "accept": true}},
	{line: "contact list --as BlueLake", tool: "list_contacts", args: map[string]any{"agent_name": "BlueLake"}},
	{line: "contact policy open --as BlueLake", tool: "set_contact_policy", args: map[string]any{"agent_name": "BlueLake", "policy": "open"}},
	{line: "reserve src/** --as BlueLake --reason refactor --ttl 2h", tool: "file_reservation_paths",
		args: map[string]any{"agent_name": "BlueLake", "paths": []string{"src/**"}, "reason": "refactor", "ttl_seconds": 7200}, keep: "src granted.0.id"},
	{line: "reserve src/a.go --as GreenCastle", tool: "file_reservation_paths", conflict: allOrNone,
		args: map[string]any{"agent_name": "GreenCastle", "paths": []string{"src/a.go"}}},
	{line: "reserve src/a.go doc/** --as GreenCastle --partial --shared", tool: "file_reservation_paths",
		args: map[string]any{"agent_name": "GreenCastle", "paths": []string{"src/a.go", "doc/**"}, "exclusive": false}},
	{line: "reserve lib/** --as GreenCastle --ttl 30s", tool: "file_reservation_paths", args: map[string]any{"agent_name": "GreenCastle", "paths": "lib/**", "ttl_seconds": 30}},
	{line: "reserve ../x --as GreenCastle", tool: "file_reservation_paths", typ: "INVALID_ARGUMENT", args: map[string]any{"agent_name": "GreenCastle", "paths": []string{"../x"}}},
	{line: "reserve x --as GreenCastle --ttl 31d", tool: "file_reservation_paths", typ: "INVALID_ARGUMENT", args: map[string]any{"agent_name": "GreenCastle", "paths": []string{"x"}, "ttl_seconds": 31 * 86400}},
	{line: "reserve x --as NobodyHere", tool: "file_reservation_paths", typ: "NOT_FOUND", args: map[string]any{"agent_name": "NobodyHere", "paths": []string{"x"}}},
	{line: "renew src/** --as BlueLake --ttl 1h", tool: "renew_file_reservations", args: map[string]any{"agent_name": "BlueLake", "paths": []string{"src/**"}, "extend_seconds": 3600}},
	{line: "force-release $src --as GreenCastle", tool: "force_release_file_reservation", typ: "RESERVATION_ACTIVE", args: map[string]any{"agent_name": "GreenCastle", "file_reservation_id": "$src"}},
	{line: "force-release zzzz --as GreenCastle", tool: "force_release_file_reservation", typ: "NOT_FOUND", args: map[string]any{"agent_name": "GreenCastle", "file_reservation_id": "zzzz"}},
	{line: "force-release $src --as BlueLake", tool: "force_release_file_reservation", args: map[string]any{"agent_name": "BlueLake", "file_reservation_id": "$src"}},
	{line: "force-release $src --as GreenCastle", tool: "force_release_file_reservation", args: map[string]any{"agent_name": "GreenCastle", "file_reservation_id": "$src"}},
	{line: "release doc/** --as GreenCastle", tool: "release_file_reservations", args: map[string]any{"agent_name": "GreenCastle", "paths": []string{"doc/**"}}},
	{line: "release --all --as GreenCastle", tool: "release_file_reservations", args: map[string]any{"agent_name": "GreenCastle"}},
	{line: "renew --all --as GreenCastle", tool: "renew_file_reservations", args: map[string]any{"agent_name": "GreenCastle"}},
}

// outcome is what came out of a door.
type outcome struct {
	Failed  bool
	Answer  any
	Code    string
	Message string
	Hints   any
	Retry   any
	Details map[string]any
}

// TestDoors: the command line and MCP give the same answers and the same errors to the
// same script, each in a repository of its own.
func TestDoors(t *testing.T) {
	t.Parallel()
	line, tools := newDoor(t), newDoor(t)
	tools.serve()
	for _, turn := range turns {
		typed, status := line.run(turn)
		called, typ := tools.call(turn)
		if turn.conflict != "" {
			if !typed.Failed || typed.Code != string(mail.Conflict) || called.Failed {
				t.Errorf("%s: %+v and %+v are not what is decided: %s", turn.line, typed, called, turn.conflict)
			}
			typed = outcome{Answer: typed.Answer}
		} else if typed.Failed && typed.Answer != nil {
			t.Errorf("%s: an answer beside the error: %v", turn.line, typed.Answer)
		}
		if called.Failed != (turn.typ != "") || typ != turn.typ {
			t.Errorf("%s: the type is %q: %+v", turn.line, typ, called)
		}
		if typed.Failed && status != mail.Code(typed.Code).Exit() {
			t.Errorf("%s: status %d with the code %s", turn.line, status, typed.Code)
		}
		if a, b := line.masked(typed), tools.masked(called); !reflect.DeepEqual(a, b) {
			t.Errorf("%s differs:\n%s\n%s", turn.line, show(a), show(b))
		}
	}
}

func show(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// door is one way to the mailbox of one repository.
type door struct {
	t    *testing.T
	dir  string
	env  []string
	kept map[string]string
	ids  map[string]string // each id, and what stands for it

	in  io.Writer
	out *bufio.Reader
	n   int
}

func newDoor(t *testing.T) *door {
	t.Helper()
	y := newYard(t, 0)
	dir, err := filepath.EvalSymlinks(y.dir)
	if err != nil {
		t.Fatal(err)
	}
	return &door{t: t, dir: dir, env: y.env, kept: map[string]string{}, ids: map[string]string{}}
}

// run plays a turn on the command line.
func (d *door) run(turn turn) (outcome, int) {
	d.t.Helper()
	var words []string
	for _, w := range strings.Fields(turn.line) {
		words = append(words, d.fill(strings.ReplaceAll(w, "_", " ")))
	}
	cmd := exec.Command("git-agentmail", append(words, "--json")...)
	var out, stderr bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = d.dir, d.env, &out, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		d.t.Fatal(err)
	}
	o := outcome{Failed: err != nil}
	if out.Len() > 0 {
		d.decode(out.Bytes(), &o.Answer)
	}
	if o.Failed {
		var e struct {
			Error struct {
				Code, Message string
				Hints         any
				Retry         any
				Details       map[string]any
			}
		}
		d.decode(stderr.Bytes(), &e)
		o.Code, o.Message, o.Hints, o.Retry, o.Details = e.Error.Code, e.Error.Message, e.Error.Hints, e.Error.Retry, e.Error.Details
		delete(o.Details, "hint") // the first hint once more
	}
	d.keep(turn, o)
	return o, cmd.ProcessState.ExitCode()
}

func (d *door) decode(data []byte, v any) {
	d.t.Helper()
	if err := json.Unmarshal(data, v); err != nil {
		d.t.Fatalf("%v in %s", err, data)
	}
}

// serve starts the server as a coding agent does.
func (d *door) serve() {
	d.t.Helper()
	cmd := exec.Command("git-agentmail", "mcp", "--tools", "full")
	in, err := cmd.StdinPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	cmd.Dir, cmd.Env, cmd.Stderr = d.dir, d.env, os.Stderr
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			d.t.Error(err)
		}
	})
	d.in, d.out = in, bufio.NewReader(out)
	d.request("initialize", map[string]any{"protocolVersion": "2025-06-18", "capabilities": map[string]any{}, "clientInfo": map[string]any{"name": "doors", "version": "1"}})
}

func (d *door) request(method string, params any) json.RawMessage {
	d.t.Helper()
	d.n++
	data, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": d.n, "method": method, "params": params})
	if err != nil {
		d.t.Fatal(err)
	}
	if _, err := d.in.Write(append(data, '\n')); err != nil {
		d.t.Fatal(err)
	}
	for {
		line, err := d.out.ReadBytes('\n')
		if err != nil {
			d.t.Fatalf("%s: %v", method, err)
		}
		var r struct {
			ID     int
			Result json.RawMessage
			Error  any
		}
		if d.decode(line, &r); r.ID == d.n {
			if r.Error != nil {
				d.t.Fatalf("%s: %s", method, line)
			}
			return r.Result
		}
	}
}

// call plays a turn over MCP.
func (d *door) call(turn turn) (o outcome, typ string) {
	d.t.Helper()
	args := maps.Clone(turn.args)
	for k, v := range args {
		if s, ok := v.(string); ok {
			args[k] = d.fill(s)
		}
	}
	args["project_key"] = d.dir
	var r struct {
		Content []struct{ Text string }
		IsError bool
	}
	d.decode(d.request("tools/call", map[string]any{"name": turn.tool, "arguments": args}), &r)
	text := []byte(r.Content[0].Text)
	if o.Failed = r.IsError; !o.Failed {
		d.decode(text, &o.Answer)
		if answer, ok := o.Answer.(map[string]any); ok {
			delete(answer, "notice") // of urgent mail: those on the command line have a hook for that
		}
		d.keep(turn, o)
		return o, ""
	}
	var e struct {
		Error struct {
			Type, Message string
			Data          map[string]any
		}
	}
	d.decode(text, &e)
	data := e.Error.Data
	o.Code, _ = data["code"].(string)
	o.Message, o.Hints, o.Retry, o.Details = e.Error.Message, data["hints"], data["retry"], data
	for _, key := range []string{"code", "hints", "retry", "hint", "lines"} {
		delete(data, key)
	}
	return o, e.Error.Type
}

func (d *door) fill(s string) string {
	if name, ok := strings.CutPrefix(s, "$"); ok {
		return d.kept[name]
	}
	return s
}

func (d *door) keep(turn turn, o outcome) {
	name, path, ok := strings.Cut(turn.keep, " ")
	if !ok || o.Failed {
		return
	}
	v := o.Answer
	for step := range strings.SplitSeq(path, ".") {
		if list, ok := v.([]any); ok {
			v = list[0]
		} else {
			v = v.(map[string]any)[step]
		}
	}
	d.kept[name] = v.(string)
}

var (
	someID  = regexp.MustCompile(`\b([0-9a-z]{10}|[0-9a-f]{20})\b`)
	moments = regexp.MustCompile(`(\d{4}-\d\d-\d\d )?\d\d:\d\d UTC \([^)]*\)`)
	commits = regexp.MustCompile(`\b[0-9a-f]{40}\b`)
)

// masked puts the same words in for what differs from one mailbox to the next.
func (d *door) masked(o outcome) outcome {
	d.find(o.Answer)
	o.Answer, o.Hints = d.mask(o.Answer), d.mask(o.Hints)
	o.Message = d.mask(o.Message).(string)
	if len(o.Details) == 0 {
		o.Details = nil
	} else {
		o.Details = d.mask(o.Details).(map[string]any)
	}
	return o
}

// find learns the ids of an answer, in the order of its keys.
func (d *door) find(v any) {
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			d.find(x)
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			s, ok := v[k].(string)
			if ok && (k == "id" || strings.HasSuffix(k, "_id") || k == "reply_to") && someID.MatchString(s) && d.ids[s] == "" {
				d.ids[s] = fmt.Sprintf("ID%d", len(d.ids)+1)
			}
			d.find(v[k])
		}
	}
}

func (d *door) mask(v any) any {
	switch v := v.(type) {
	case string:
		if _, err := time.Parse(time.RFC3339, v); err == nil {
			return "TIME"
		}
		v = strings.ReplaceAll(v, d.dir, "DIR")
		v = moments.ReplaceAllString(v, "WHEN")
		v = commits.ReplaceAllString(v, "COMMIT")
		return someID.ReplaceAllStringFunc(v, func(s string) string {
			if id := d.ids[s]; id != "" {
				return id
			}
			return s
		})
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = d.mask(x)
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			if out[k] = d.mask(x); k == "registration_token" {
				out[k] = "TOKEN"
			}
		}
		return out
	}
	return v
}
