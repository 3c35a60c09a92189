package mcp

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// decided are the differences from the contract's answers, by tool and field, with the
// reason. What is in an answer after all is not one.
var decided = map[string]string{
	"send_message error":                                 "instead of deliveries where there are none: an error with us, and nothing was sent",
	"macro_contact_handshake welcome_message.error":      "as of send_message",
	"request_contact notification_error":                 "the message is in the commit of the request: there is none without the other",
	"macro_contact_handshake request.notification_error": "as of request_contact",
	"macro_contact_handshake response_error":             "only where nobody here may approve; mailbox tests it",
	"acquire_build_slot disabled":                        "the fork has no slots, and says so",
}

// spelled are answers that the contract describes in words, in the notation that it has
// for the others; = names another tool with the same.
var spelled = map[string]string{
	"send_message deliveries":                 "array of {project,payload:{id,from,to,cc,bcc,subject,importance,ack_required,created_ts,thread_id,body_md,attachments}}",
	"reply_message (payload fields)":          "",
	"reply_message deliveries":                "array of {project,payload:{id,from,to,cc,bcc,subject,thread_id}}",
	"fetch_inbox (array)":                     "{id,project_id,sender_id,thread_id,topic,subject,importance,ack_required,created_ts,attachments,from,kind}",
	"fetch_topic (array)":                     "{id,subject,importance,created_ts,from,body_md}",
	"fetch_inbox_product (array)":             "{id,project_id,sender_id,thread_id,topic,subject,importance,ack_required,created_ts,attachments,from,kind}",
	"list_contacts (array) python":            "{to,to_project,status,updated_ts,expires_ts}",
	"list_contacts (array)":                   "{to,status,reason,updated_ts,expires_ts}",
	"fetch_summary (array)":                   "{id,summary_text,start_ts,end_ts,source_message_count,source_thread_ids,llm_model,cost_usd,created_ts}",
	"macro_start_session project":             "{id,slug,human_key,created_at}",
	"macro_start_session agent":               "=register_agent",
	"macro_start_session inbox":               "=fetch_inbox",
	"macro_prepare_thread project":            "{id,slug,human_key}",
	"macro_prepare_thread agent":              "=register_agent",
	"macro_prepare_thread inbox":              "=fetch_inbox",
	"macro_contact_handshake request":         "=request_contact",
	"macro_contact_handshake response":        "=respond_contact",
	"macro_contact_handshake welcome_message": "=send_message",
	"create_file_reservation granted":         "array of {id,path_pattern,exclusive,reason,expires_ts}",
	"create_file_reservation conflicts":       "array of {path,holders:[{agent,path_pattern,exclusive,expires_ts}]}",
	"acquire_build_slot conflicts":            "array of {slot,agent,branch,exclusive,acquired_ts,expires_ts}",
	"acquire_build_slot disabled":             "",
	"search_messages_product result":          "array of {id,subject,importance,ack_required,created_ts,thread_id,from,project_id}",
	"summarize_thread_product summary":        "{participants,key_points,action_items,total_messages,open_actions,done_actions,mentions}",
	"summarize_thread_product examples":       "array of {id,subject,from,created_ts}",
	"search_mailbox result":                   "array of {id,subject,from,to,cc,bcc,relevance_score,subject_snippet,body_snippet,in_global_inbox,body_md}",
	"call_extended_tool result":               "",
	"send_message error":                      "",
}

// contractTool is one tool of testdata/mcp/tools.json.
type contractTool struct {
	Name        string
	Cluster     string
	Description string
	Params      []contractParam
	Returns     map[string]string
}

type contractParam struct {
	Name     string
	Type     string
	Required bool
	Default  any
}

func contract(t *testing.T) []contractTool {
	t.Helper()
	data, err := os.ReadFile("../testdata/mcp/tools.json")
	if err != nil {
		t.Fatal(err)
	}
	var c struct{ Tools []contractTool }
	if err := json.Unmarshal(data, &c); err != nil || len(c.Tools) < 48 {
		t.Fatalf("%d tools, %v", len(c.Tools), err)
	}
	return c.Tools
}

func byName() map[string]*tool {
	m := map[string]*tool{}
	for _, t := range allTools() {
		m[t.name] = t
	}
	return m
}

// TestContractParameters: every tool of the contract is here, with every parameter, its
// kind and its default, and asks for nothing that the contract does not ask for.
func TestContractParameters(t *testing.T) {
	t.Parallel()
	ours := byName()
	for _, want := range contract(t) {
		got := ours[want.Name]
		if got == nil {
			t.Errorf("%s is missing", want.Name)
			continue
		}
		if got.cluster != want.Cluster {
			t.Errorf("%s is of the cluster %s, not %s", want.Name, want.Cluster, got.cluster)
		}
		if strings.EqualFold(got.about, strings.TrimSuffix(want.Description, ".")) {
			t.Errorf("%s: the words of the contract", want.Name)
		}
		for _, p := range want.Params {
			q := got.param(p.Name)
			if q == nil {
				t.Errorf("%s: the parameter %s is missing", want.Name, p.Name)
				continue
			}
			if kinds := kindsOf(p.Name, p.Type); !slices.Contains(kinds, q.kind) {
				t.Errorf("%s: %s is %s", want.Name, p.Name, q.wants())
			}
			if data, _ := json.Marshal(q.def); !sameJSON(t, data, p.Default) {
				t.Errorf("%s: %s is %s by default, not %v", want.Name, p.Name, data, p.Default)
			}
			if q.required && !p.Required {
				t.Errorf("%s: %s is required", want.Name, p.Name)
			}
		}
		for _, q := range got.params {
			known := slices.ContainsFunc(want.Params, func(p contractParam) bool { return p.Name == q.name })
			if q.required && !known {
				t.Errorf("%s: %s, which the contract does not know, is required", want.Name, q.name)
			}
		}
	}
}

// kindsOf returns what a type of the contract may be here. Its numbers of rows are texts.
func kindsOf(name, typ string) []kind {
	isID := strings.HasSuffix(name, "_id") || strings.HasSuffix(name, "_ids")
	switch typ = strings.TrimSuffix(typ, "|null"); {
	case typ == "integer" && isID:
		return []kind{id}
	case typ == "integer[]" && isID:
		return []kind{ids}
	}
	return map[string][]kind{"string": {text, id}, "string[]": {texts, ids}, "integer": {integer}, "number": {number}, "boolean": {boolean}, "object": {object}}[typ]
}

func sameJSON(t *testing.T, data []byte, want any) bool {
	t.Helper()
	var got any
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	return reflect.DeepEqual(got, want)
}

// TestToolsAsListed: what tools/list shows of every tool, in every profile, is what
// clients can do with.
func TestToolsAsListed(t *testing.T) {
	t.Parallel()
	nouns := []string{"The", "A", "An", "This", "Your", "All", "One", "Tool", "Agent", "Message"}
	for _, tool := range allTools() {
		first := strings.TrimRight(strings.Fields(tool.about + " ")[0], ",:;")
		r, _ := utf8.DecodeRuneInString(first)
		if n := utf8.RuneCountInString(tool.about); n > 120 || !unicode.IsUpper(r) || strings.HasSuffix(tool.about, ".") || slices.Contains(nouns, first) || strings.HasSuffix(first, "s") || strings.HasSuffix(first, "ing") {
			t.Errorf("%s: %q begins with no verb, or is too long", tool.name, tool.about)
		}
		for _, p := range Profiles {
			data, err := json.Marshal(tool.describe(p))
			if err != nil {
				t.Fatal(err)
			}
			var d struct {
				Name        string
				InputSchema map[string]any
				Annotations map[string]any
			}
			if err := json.Unmarshal(data, &d); err != nil {
				t.Fatal(err)
			}
			a := d.Annotations
			for _, hint := range []string{"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"} {
				if _, ok := a[hint].(bool); !ok {
					t.Errorf("%s: %s is not set", tool.name, hint)
				}
			}
			if a["readOnlyHint"] == true && a["destructiveHint"] == true {
				t.Errorf("%s only reads, and destroys", tool.name)
			}
			plainSchema(t, tool.name, d.InputSchema)
		}
	}
}

// plainSchema allows in a schema only what every client understands.
func plainSchema(t *testing.T, path string, s map[string]any) {
	t.Helper()
	for key := range s {
		if !slices.Contains([]string{"type", "properties", "required", "items", "description", "default", "enum"}, key) {
			t.Errorf("%s: a schema with %s", path, key)
		}
	}
	if typ, ok := s["type"].(string); !ok || typ == "null" {
		t.Errorf("%s: of type %v", path, s["type"])
	}
	if v, ok := s["default"]; ok && v == nil {
		t.Errorf("%s: null by default", path)
	}
	if items, ok := s["items"].(map[string]any); ok {
		plainSchema(t, path+"[]", items)
	} else if s["type"] == "array" {
		t.Errorf("%s: a list of nothing", path)
	}
	properties, _ := s["properties"].(map[string]any)
	for name, p := range properties {
		plainSchema(t, path+"."+name, p.(map[string]any))
	}
	required, _ := s["required"].([]any)
	for _, name := range required {
		if properties[name.(string)] == nil {
			t.Errorf("%s: %v is required and not there", path, name)
		}
	}
}

// scene is a mailbox with something in it.
type scene struct {
	dir     string
	message string // BlueLake's to GreenCastle, in FEAT-1
	lease   string // BlueLake's, of src/**
	product string
	late    time.Duration // how far the clock is ahead
}

// args are arguments; those that every call has are put in.
type args = map[string]any

const windowID = "7b1e3c52-0c5f-4d38-9d5e-6a0f2b9c4d11"

// example is a call of a tool.
type example struct {
	tool string
	args func(s *scene) args
}

// answers is a call of each tool, in an order in which each has something to show. A
// call gives all that the contract requires, as prompts in the wild do.
var answers = []example{
	{"health_check", func(*scene) args { return args{} }},
	{"ensure_project", func(s *scene) args { return args{"human_key": s.dir} }},
	{"register_agent", func(*scene) args {
		return args{"name": "BlueLake", "program": "claude-code", "model": "opus", "task_description": "auth"}
	}},
	{"whois", func(*scene) args { return args{"agent_name": "BlueLake"} }},
	{"create_agent_identity", func(*scene) args { return args{"program": "codex", "model": "gpt-5", "name_hint": "RedFox"} }},
	{"list_window_identities", func(*scene) args { return args{} }},
	{"rename_window", func(*scene) args { return args{"window_uuid": windowID, "new_display_name": "QuietRiver"} }},
	{"expire_window", func(*scene) args { return args{"window_uuid": windowID} }},
	{"send_message", func(*scene) args {
		return args{"sender_name": "BlueLake", "to": []string{"GreenCastle"}, "subject": "Plan", "body_md": "- [ ] write `a/b.go` @GreenCastle", "thread_id": "FEAT-1", "topic": "plan"}
	}},
	{"reply_message", func(s *scene) args {
		return args{"message_id": s.message, "sender_name": "GreenCastle", "body_md": "- done"}
	}},
	{"request_contact", func(*scene) args { return args{"from_agent": "BlueLake", "to_agent": "GreenCastle"} }},
	{"respond_contact", func(*scene) args {
		return args{"to_agent": "GreenCastle", "from_agent": "BlueLake", "accept": true}
	}},
	{"list_contacts", func(*scene) args { return args{"agent_name": "BlueLake"} }},
	{"set_contact_policy", func(*scene) args { return args{"agent_name": "BlueLake", "policy": "open"} }},
	{"fetch_inbox", func(*scene) args { return args{"agent_name": "GreenCastle"} }},
	{"fetch_topic", func(*scene) args { return args{"topic_name": "plan"} }},
	{"mark_message_read", func(s *scene) args { return args{"agent_name": "GreenCastle", "message_id": s.message} }},
	{"acknowledge_message", func(s *scene) args { return args{"agent_name": "GreenCastle", "message_id": s.message} }},
	{"macro_start_session", func(s *scene) args {
		return args{"human_key": s.dir, "program": "codex", "model": "gpt-5", "agent_name": "GreenCastle", "file_reservation_paths": []string{"doc/**"}}
	}},
	{"macro_prepare_thread", func(*scene) args {
		return args{"thread_id": "FEAT-1", "program": "codex", "model": "gpt-5", "agent_name": "GreenCastle"}
	}},
	{"macro_file_reservation_cycle", func(*scene) args {
		return args{"agent_name": "GreenCastle", "paths": []string{"lib/**"}, "auto_release": true}
	}},
	{"macro_contact_handshake", func(*scene) args {
		return args{"requester": "GreenCastle", "target": "BlueLake", "auto_accept": true, "welcome_subject": "Hello", "welcome_body": "I hold doc."}
	}},
	{"macro_contact_handshake", func(*scene) args {
		return args{"requester": "GreenCastle", "target": "BlueLake", "welcome_subject": "Hello", "welcome_body": "I hold doc.", "thread_id": "no thread"}
	}},
	{"search_messages", func(*scene) args { return args{"query": "plan"} }},
	{"search_mailbox", func(*scene) args { return args{"query": "plan"} }},
	{"summarize_thread", func(*scene) args { return args{"thread_id": "FEAT-1", "include_examples": true} }},
	{"summarize_thread", func(*scene) args { return args{"thread_id": "FEAT-1,FEAT-1"} }},
	{"summarize_threads", func(*scene) args { return args{"thread_ids": []string{"FEAT-1"}} }},
	{"summarize_recent", func(*scene) args { return args{} }},
	{"fetch_summary", func(*scene) args { return args{} }},
	{"file_reservation_paths", func(*scene) args {
		return args{"agent_name": "GreenCastle", "paths": []string{"src/a.go", "test/**"}}
	}},
	{"create_file_reservation", func(*scene) args { return args{"agent_name": "GreenCastle", "path_pattern": "bench/**"} }},
	{"create_file_reservation", func(*scene) args { return args{"agent_name": "GreenCastle", "path_pattern": "src/a.go"} }},
	{"renew_file_reservations", func(*scene) args { return args{"agent_name": "GreenCastle"} }},
	{"release_file_reservations", func(*scene) args { return args{"agent_name": "GreenCastle"} }},
	{"acquire_build_slot", func(*scene) args { return args{"agent_name": "BlueLake", "slot": "frontend"} }},
	{"renew_build_slot", func(*scene) args { return args{"agent_name": "BlueLake", "slot": "frontend"} }},
	{"acquire_build_slot", func(*scene) args { return args{"agent_name": "GreenCastle", "slot": "frontend"} }},
	{"release_build_slot", func(*scene) args { return args{"agent_name": "BlueLake", "slot": "frontend"} }},
	{"ensure_product", func(s *scene) args { return args{"name": s.product} }},
	{"products_link", func(s *scene) args { return args{"product_key": s.product} }},
	{"search_messages_product", func(s *scene) args { return args{"product_key": s.product, "query": "plan"} }},
	{"fetch_inbox_product", func(s *scene) args { return args{"product_key": s.product, "agent_name": "GreenCastle"} }},
	{"summarize_thread_product", func(s *scene) args {
		return args{"product_key": s.product, "thread_id": "FEAT-1", "include_examples": true}
	}},
	{"list_extended_tools", func(*scene) args { return args{} }},
	{"call_extended_tool", func(s *scene) args {
		return args{"tool_name": "macro_file_reservation_cycle", "arguments": args{"project_key": s.dir, "agent_name": "GreenCastle", "paths": []string{"x"}}}
	}},
	{"install_precommit_guard", func(s *scene) args { return args{"code_repo_path": s.dir} }},
	{"uninstall_precommit_guard", func(s *scene) args { return args{"code_repo_path": s.dir} }},
	{"purge_old_messages", func(*scene) args { return args{} }},
	{"force_release_file_reservation", func(s *scene) args {
		s.late = 40 * time.Minute
		return args{"agent_name": "GreenCastle", "file_reservation_id": s.lease}
	}},
	{"force_release_file_reservation", func(s *scene) args { return args{"agent_name": "GreenCastle", "file_reservation_id": s.lease} }},
	{"deregister_agent", func(*scene) args { return args{"agent_name": "BlueLake"} }},
	{"delete_agent", func(*scene) args { return args{"name": "BlueLake"} }},
}

// TestContractAnswers: every field that the contract's answers have is in ours.
func TestContractAnswers(t *testing.T) {
	t.Parallel()
	env := append(environ(t), "MCP_AGENT_MAIL_WINDOW_ID="+windowID)
	s := &scene{dir: repository(t, env), product: "the-product"}
	opt := options(t, s.dir, env, Core)
	opt.Mailbox.Now = func() time.Time { return time.Now().Add(s.late) }
	opt.Binary = "/bin/true"
	c := connect(t, opt)
	for _, name := range []string{"BlueLake", "GreenCastle"} {
		c.call("register_agent", args{"name": name, "program": "p", "model": "m"}, nil)
	}
	var sent struct {
		Deliveries []struct{ Payload struct{ ID string } }
	}
	c.call("send_message", args{"sender_name": "BlueLake", "to": "GreenCastle", "subject": "Plan", "body_md": "- a point", "thread_id": "FEAT-1", "topic": "plan"}, &sent)
	var r reserved
	c.call("file_reservation_paths", args{"agent_name": "BlueLake", "paths": "src/**", "ttl_seconds": 7200}, &r)
	s.message, s.lease = sent.Deliveries[0].Payload.ID, r.Granted[0].ID

	want := map[string]contractTool{}
	for _, tool := range contract(t) {
		want[tool.Name] = tool
		if !slices.ContainsFunc(answers, func(e example) bool { return e.tool == tool.Name }) {
			t.Errorf("%s is not called", tool.Name)
		}
	}
	looked := map[string]error{} // why a field was in no answer of its tool; nil if it was in one
	for _, a := range answers {
		given := a.args(s)
		for _, p := range want[a.tool].Params {
			if p.Name == "project_key" {
				given["project_key"] = s.dir
			}
			if _, ok := given[p.Name]; p.Required && !ok {
				t.Errorf("%s: called without %s", a.tool, p.Name)
			}
		}
		text, failed := c.try(a.tool, given)
		if failed {
			t.Errorf("%s: %s", a.tool, text)
			continue
		}
		var answer any
		if err := json.Unmarshal([]byte(text), &answer); err != nil {
			t.Fatal(err)
		}
		for _, key := range slices.Sorted(maps.Keys(want[a.tool].Returns)) {
			for _, f := range fields(want, a.tool, key, want[a.tool].Returns[key]) {
				name := a.tool + " " + f.path
				if before, again := looked[name]; again && before == nil {
					continue
				}
				if looked[name] = f.in(answer); looked[name] != nil {
					looked[name] = fmt.Errorf("%w in %s", looked[name], text)
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(looked)) {
		reason, differs := decided[name]
		switch err := looked[name]; {
		case err == nil && differs:
			t.Errorf("%s is there, and was not to be: %s", name, reason)
		case err != nil && !differs:
			t.Errorf("%s: %v", name, err)
		}
	}
	for name := range decided {
		if _, ok := looked[name]; !ok {
			t.Errorf("%s is a difference from nothing", name)
		}
	}
}

// field is one value that an answer has: where, and what the contract says it is.
type field struct{ path, is string }

// fields returns the fields that the contract's description of one key stands for.
func fields(all map[string]contractTool, tool, key, is string) []field {
	if s, ok := spelled[tool+" "+key]; ok {
		is = s
	}
	at, list := key, ""
	if strings.HasPrefix(key, "(") {
		if !strings.HasPrefix(key, "(array)") {
			return nil
		}
		at, list = "*", "array of "
	}
	if other, ok := strings.CutPrefix(is, "="); ok {
		fs := []field{{at, ""}}
		for _, k := range slices.Sorted(maps.Keys(all[other].Returns)) {
			for _, f := range fields(all, other, k, all[other].Returns[k]) {
				fs = append(fs, field{at + "." + f.path, f.is})
			}
		}
		return fs
	}
	if at == "*" {
		return parse("", list+is)
	}
	return parse(at, is)
}

var entryName = regexp.MustCompile(`^[a-z_]+`)

// parse reads the contract's notation: {a,b[],c:[{d,e}],f(note)[,optional]}, with
// "array" or [ before the brace of a list.
func parse(at, is string) []field {
	var fs []field
	if at != "" {
		fs = append(fs, field{at, is})
	}
	before, inner, ok := strings.Cut(is, "{")
	if !ok {
		return fs
	}
	if strings.Contains(before, "array") || strings.HasSuffix(before, "[") {
		at = strings.TrimPrefix(at+".*", ".")
	}
	depth, from := 0, 0
	for i := 0; i <= len(inner); i++ {
		if i == len(inner) || depth == 0 && (inner[i] == ',' || inner[i] == '}') {
			entry := strings.TrimSpace(inner[from:i])
			if name := entryName.FindString(entry); name != "" {
				rest := strings.TrimPrefix(entry[len(name):], ":")
				fs = append(fs, parse(strings.TrimPrefix(at+"."+name, "."), rest)...)
			}
			from = i + 1
			if i == len(inner) || inner[i] == '}' {
				break
			}
			continue
		}
		switch inner[i] {
		case '{', '[', '(':
			depth++
		case '}', ']', ')':
			depth--
		}
	}
	return fs
}

// in looks the field up in an answer. * is the first of a list.
func (f field) in(answer any) error {
	at := answer
	for step := range strings.SplitSeq(f.path, ".") {
		switch v := at.(type) {
		case []any:
			if step != "*" || len(v) == 0 {
				return fmt.Errorf("is a list of %d", len(v))
			}
			at = v[0]
		case map[string]any:
			var ok bool
			if at, ok = v[step]; !ok {
				return errors.New("is not there")
			}
		default:
			return fmt.Errorf("has above it %v", v)
		}
	}
	return f.typed(at)
}

var firstWord = regexp.MustCompile(`^[A-Za-z0-9'_-]+`)

// typed holds a value against the first word of what the contract says it is.
func (f field) typed(v any) error {
	word := firstWord.FindString(strings.TrimSpace(f.is))
	if v == nil && strings.Contains(f.is, "null") || word == "" {
		return nil
	}
	last := f.path[strings.LastIndexByte(f.path, '.')+1:]
	ok := true
	switch {
	case last == "id" || strings.HasSuffix(last, "_id") || last == "reply_to":
		_, ok = v.(string)
	case word == "integer":
		var n float64
		n, ok = v.(float64)
		ok = ok && n == math.Trunc(n)
	case word == "boolean" || word == "true":
		_, ok = v.(bool)
	case word == "ISO" || word == "ISO-8601":
		s, _ := v.(string)
		_, err := time.Parse(time.RFC3339, s)
		ok = err == nil && strings.HasSuffix(s, "+00:00")
	case word == "array":
		_, ok = v.([]any)
	case word == "object":
		_, ok = v.(map[string]any)
	case word == "string" || word == "human_key":
		_, ok = v.(string)
	case strings.HasPrefix(word, "'"):
		ok = strings.Contains(f.is, fmt.Sprintf("'%v'", v))
	}
	if !ok {
		return fmt.Errorf("is %v, not %s", v, word)
	}
	return nil
}

// never are codes of the contract that nothing here gives, with the reason.
var never = map[string]string{
	"FILE_RESERVATION_CONFLICT": "a send is not refused because of reservations, and to reserve what others hold is no error",
	"ARCHIVE_LOCK_TIMEOUT":      "a writer that waits too long is busy: RESOURCE_BUSY",
	"FEATURE_DISABLED":          "nothing is switched off",
	"INVALID_AGENT_NAME":        "only with AGENT_NAME_ENFORCEMENT_MODE=strict; mailbox tests it",
}

// mistake is a call that must fail.
type mistake struct {
	tool string
	args args
	typ  string
	says string   // in the message
	data []string // keys of the error's data, beside code and hint
}

var mistakes = []mistake{
	{"register_agent", args{"program": "", "model": "m"}, "EMPTY_PROGRAM", "program", nil},
	{"register_agent", args{"program": "p", "model": " "}, "EMPTY_MODEL", "model", nil},
	{"register_agent", args{"program": "p", "model": "m", "name": "YOUR_AGENT_NAME"}, "CONFIGURATION_ERROR", "YOUR_AGENT", []string{"detected_placeholder", "fix_hint"}},
	{"whois", args{"agent_name": "BlueLaek"}, "NOT_FOUND", "not found", []string{"suggestions", "available_agents"}},
	{"fetch_inbox", args{"agent_name": "BlueLaek"}, "NOT_FOUND", "not found", []string{"suggestions", "available_agents"}},
	{"fetch_inbox", args{"agent_name": "NobodyHere"}, "NOT_FOUND", "not found", []string{"available_agents"}},
	{"fetch_inbox", args{"agent_name": "<AGENT>"}, "CONFIGURATION_ERROR", "placeholder", []string{"detected_placeholder", "fix_hint"}},
	{"fetch_inbox", args{"agent_name": "BlueLake", "limit": -1}, "INVALID_LIMIT", "below 1", nil},
	{"fetch_inbox", args{"agent_name": "BlueLake", "since_ts": "yesterday"}, "INVALID_TIMESTAMP", "yesterday", nil},
	{"fetch_inbox", args{"agent_name": "HumanOverseer"}, "CAPABILITY_DENIED", "person", nil},
	{"send_message", args{"to": "NobodyHere"}, "RECIPIENT_NOT_FOUND", "not found", []string{"unknown_local", "unknown_external", "suggested_tool_calls"}},
	{"send_message", args{"to": "claude-code"}, "PROGRAM_NAME_AS_AGENT", "not found", nil},
	{"send_message", args{"to": "gpt-5"}, "MODEL_NAME_AS_AGENT", "not found", nil},
	{"send_message", args{"to": "ann@example.org"}, "EMAIL_AS_AGENT", "not found", nil},
	{"send_message", args{"to": "all"}, "BROADCAST_ATTEMPT", "not found", nil},
	{"send_message", args{"to": "ReviewBot"}, "DESCRIPTIVE_NAME", "not found", nil},
	{"send_message", args{"to": "jdoe"}, "UNIX_USERNAME_AS_AGENT", "not found", nil},
	{"send_message", args{"to": "GreenCastle", "thread_id": "no thread"}, "INVALID_THREAD_ID", "no thread", nil},
	{"send_message", args{"to": "GreenCastle", "topic": "no topic"}, "INVALID_TOPIC", "no topic", nil},
	{"send_message", args{"to": "GreenCastle", "importance": "huge"}, "INVALID_ARGUMENT", "huge", nil},
	{"send_message", args{"to": "GreenCastle", "broadcast": true}, "INVALID_ARGUMENT", "broadcast", nil},
	{"send_message", args{"to": "QuietRiver"}, "CONTACT_BLOCKED", "QuietRiver", []string{"recipients_blocked"}},
	{"send_message", args{"to": "GreenCastle"}, "CONTACT_REQUIRED", "GreenCastle", []string{"recipients_blocked", "remedies", "auto_contact_attempted", "suggested_tool_calls"}},
	{"reply_message", args{"message_id": "zzzzzzzzzz", "sender_name": "BlueLake", "body_md": "x"}, "NOT_FOUND", "not found", nil},
	{"mark_message_read", args{"agent_name": "BlueLake", "message_id": "zzzzzzzzzz"}, "NOT_FOUND", "not found", nil},
	{"acknowledge_message", args{"agent_name": "BlueLake", "message_id": "zzzzzzzzzz"}, "NOT_FOUND", "not found", nil},
	{"request_contact", args{"from_agent": "BlueLake", "to_agent": "BlueLake"}, "INVALID_ARGUMENT", "itself", nil},
	{"file_reservation_paths", args{"agent_name": "BlueLake", "paths": []string{}}, "EMPTY_PATHS", "paths list cannot be empty", nil},
	{"force_release_file_reservation", args{"agent_name": "BlueLake", "file_reservation_id": "zzzzzzzzzz"}, "NOT_FOUND", "not found", nil},
	{"force_release_file_reservation", args{"agent_name": "BlueLake", "file_reservation_id": "GreenCastle's"}, "RESERVATION_ACTIVE", "in use", []string{"stale_reasons"}},
	{"rename_window", args{"window_uuid": "x", "new_display_name": "QuietRiver"}, "INVALID_WINDOW_UUID", "x", nil},
	{"rename_window", args{"window_uuid": windowID, "new_display_name": ""}, "INVALID_DISPLAY_NAME", "", nil},
	{"expire_window", args{"window_uuid": "00000000-0c5f-4d38-9d5e-6a0f2b9c4d11"}, "WINDOW_NOT_FOUND", "not found", nil},
	{"ensure_project", args{"human_key": "src"}, "INVALID_ARGUMENT", "absolute directory path", nil},
	{"ensure_project", args{"human_key": "/YOUR_PROJECT"}, "CONFIGURATION_ERROR", "YOUR_PROJECT", []string{"detected_placeholder", "fix_hint"}},
	{"macro_prepare_thread", args{"thread_id": "no thread", "program": "p", "model": "m"}, "INVALID_THREAD_ID", "no thread", nil},
	{"macro_contact_handshake", args{"target": "GreenCastle"}, "INVALID_ARGUMENT", "who asks", nil},
}

// TestContractErrors: every code of the contract is given for its mistake, with the words
// and data that hosts look for.
func TestContractErrors(t *testing.T) {
	t.Parallel()
	env := environ(t)
	dir := repository(t, env)
	git(t, dir, env, "config", "agentmail.contacts", "strict")
	c := connect(t, options(t, dir, env, Full))
	for _, name := range []string{"BlueLake", "GreenCastle", "QuietRiver"} {
		c.call("register_agent", args{"name": name, "program": "p", "model": "m"}, nil)
	}
	var r reserved
	c.call("file_reservation_paths", args{"agent_name": "GreenCastle", "paths": "src/**"}, &r)
	c.call("set_contact_policy", args{"agent_name": "QuietRiver", "policy": "block_all"}, nil)
	given := map[string]bool{}
	for _, m := range mistakes {
		a := maps.Clone(m.args)
		if byName()[m.tool].param("project_key") != nil {
			a["project_key"] = dir
		}
		if m.tool == "send_message" {
			a["sender_name"], a["subject"], a["body_md"] = "BlueLake", "s", "b"
		}
		if a["file_reservation_id"] == "GreenCastle's" {
			a["file_reservation_id"] = r.Granted[0].ID
		}
		e := c.fails(m.tool, a)
		if e.Type != m.typ || !strings.Contains(e.Message, m.says) || !e.Recoverable || e.Data["code"] == nil || e.Data["retry"] != false {
			t.Errorf("%s %v: %+v", m.tool, m.args, e)
		}
		for _, key := range m.data {
			if e.Data[key] == nil {
				t.Errorf("%s %v: no %s in %v", m.tool, m.args, key, e.Data)
			}
		}
		given[e.Type] = true
	}
	data, err := os.ReadFile("../testdata/mcp/tools.json")
	if err != nil {
		t.Fatal(err)
	}
	var codes struct {
		List []string `json:"error_codes"`
	}
	if err := json.Unmarshal(data, &codes); err != nil || len(codes.List) < 28 {
		t.Fatal(err, codes)
	}
	for _, code := range codes.List {
		if _, differs := never[code]; differs == given[code] {
			t.Errorf("%s is given: %v, and listed as never given: %v", code, given[code], differs)
		}
	}
}

// TestFields: the notation of the contract is read as it is meant.
func TestFields(t *testing.T) {
	t.Parallel()
	for is, want := range map[string]string{
		"string|null":                            "k",
		"{a,b[],c}":                              "k k.a k.b k.c",
		"array of {a, b(x,y), ...}; [] when {c}": "k k.*.a k.*.b",
		"{a[],m:[{n,c}][,opt[]]}":                "k k.a k.m k.m.*.n k.m.*.c",
		"array of {p,hs:[{g,e}]}":                "k k.*.p k.*.hs k.*.hs.*.g k.*.hs.*.e",
		"array of {p: human_key, q:{r}}":         "k k.*.p k.*.q k.*.q.r",
	} {
		var got []string
		for _, f := range parse("k", is) {
			got = append(got, f.path)
		}
		if uniq := slices.Compact(got); !slices.Equal(without(uniq, "k.*"), strings.Fields(want)) {
			t.Errorf("%s: %q", is, uniq)
		}
	}
}

func without(list []string, s string) []string {
	return slices.DeleteFunc(list, func(v string) bool { return v == s })
}

// TestShippedHooks: shell scripts of 0.3.0 look for these words in the answer as it comes.
func TestShippedHooks(t *testing.T) {
	t.Parallel()
	_, blue, green := two(t)
	for _, quiet := range []string{`"isError":true`, `"subject"`, `"importance":"urgent"`} {
		if line := green.raw("fetch_inbox", nil); strings.Contains(line, quiet) {
			t.Errorf("an empty inbox says %s: %s", quiet, line)
		}
	}
	blue.call("send_message", args{"to": "GreenCastle", "subject": `x","isError":true,"importance":"urgent`, "body_md": `"isError":true "importance":"urgent"`}, nil)
	line := green.raw("fetch_inbox", args{"include_bodies": true})
	if !strings.Contains(line, `"subject"`) || strings.Contains(line, `"isError":true`) || strings.Contains(line, `"importance":"urgent"`) {
		t.Errorf("what a letter says is taken for more: %s", line)
	}
	blue.call("send_message", args{"to": "GreenCastle", "subject": "Stop", "body_md": "now", "importance": "urgent"}, nil)
	if line := green.raw("fetch_inbox", nil); !strings.Contains(line, `"importance":"urgent"`) || strings.Count(line, "\n") != 1 {
		t.Errorf("got %s", line)
	}
	for _, wrong := range []args{{"agent_name": "NobodyHere"}, {"limit": "many"}, {"no_such": 1}} {
		if line := green.raw("fetch_inbox", wrong); !strings.Contains(line, `"isError":true`) {
			t.Errorf("%v: got %s", wrong, line)
		}
	}
}

// raw calls a tool and returns the line of the answer.
func (c *client) raw(name string, a args) string {
	c.t.Helper()
	c.id++
	c.write(map[string]any{"jsonrpc": "2.0", "id": c.id, "method": "tools/call", "params": map[string]any{"name": name, "arguments": a}})
	for {
		line, err := c.out.ReadString('\n')
		if err != nil {
			c.t.Fatal(err)
		}
		if strings.Contains(line, fmt.Sprintf(`"id":%d,`, c.id)) || strings.Contains(line, fmt.Sprintf(`"id":%d}`, c.id)) {
			return line
		}
	}
}
