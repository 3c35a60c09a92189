package mcp

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// result is what a search answers, in the text as in the structured content.
type result struct{ Result []dict }

func TestSearchMessages(t *testing.T) {
	dir, blue, green := neighbours(t)
	blue.send(dict{"subject": "other", "body_md": "much text about anything else, and once of the deploy"})
	id, _ := blue.send(dict{"subject": "Deploy Łódź", "body_md": "deploy verifyToken of POL-358", "ack_required": true, "thread_id": "T-1", "importance": "high"})
	var r result
	green.call("search_messages", dict{"query": "deploy", "limit": nil, "project_key": dir, "format": nil}, &r)
	if len(r.Result) != 2 || r.Result[0]["id"] != id || r.Result[0]["ack_required"] != 1.0 || r.Result[1]["ack_required"] != 0.0 || r.Result[0]["thread_id"] != "T-1" ||
		r.Result[1]["thread_id"] != nil || r.Result[0]["from"] != "BlueLake" || r.Result[0]["importance"] != "high" || r.Result[0]["subject"] != "Deploy Łódź" {
		t.Fatalf("%v", r)
	}
	has(t, "a hit", r.Result[0], "id subject importance ack_required created_ts thread_id from")
	// The same stands in the text and in the structured content.
	answer := green.request("tools/call", map[string]any{"name": "search_messages", "arguments": dict{"query": "lodz"}})
	var res toolResult
	if err := json.Unmarshal(answer.Result, &res); err != nil || !strings.HasPrefix(res.Content[0].Text, `{"result":[{`) || string(res.Structured) != res.Content[0].Text {
		t.Errorf("%s, %v", answer.Result, err)
	}
	for query, n := range map[string]int{"POL-358": 1, "verify_token": 1, "dep*": 2, `"deploy verifyToken"`: 1, "deploy NOT other": 1, "subject:deploy": 1, "łódź OR anything": 2, "": 0, "*": 0, "**": 0, "...": 0, "?": 0, "AND": 0, " NOT ": 0,
		`"deploy`: 2, "deploy AND": 2, "((deploy": 2, "*deploy": 2, "deploy *": 2, "nothing": 0, "x'; DROP TABLE message": 0} {
		var r result
		green.call("search_messages", dict{"query": query}, &r)
		if r.Result == nil || len(r.Result) != n {
			t.Errorf("%q finds %d, want %d", query, len(r.Result), n)
		}
	}
	var one result
	green.call("search_messages", dict{"query": "deploy", "limit": 1}, &one)
	if len(one.Result) != 1 || one.Result[0]["id"] != id {
		t.Errorf("%v", one)
	}
	green.wrong([]wrong{
		{"search_messages", dict{"query": "x", "limit": 0}, "INVALID_LIMIT", "limit"},
		{"search_messages", dict{}, "MISSING_FIELD", "query"},
		{"search_messages", dict{"query": 1}, "TYPE_ERROR", "query"},
		{"search_messages", dict{"query": "x", "project_key": "no-such-project"}, "NOT_FOUND", "not found"},
	})
}

func TestSearchMailbox(t *testing.T) {
	dir, blue, green := neighbours(t)
	blue.send(dict{"subject": "other", "body_md": "much text about anything else, and once of the deploy"})
	id, _ := blue.send(dict{"subject": "Deploy 数据库", "body_md": "deploy <it>", "bcc": []string{"BlueLake"}})
	search := func(c *client, args dict) []dict {
		t.Helper()
		var r result
		full := dict{"query": "deploy"}
		maps.Copy(full, args)
		c.call("search_mailbox", full, &r)
		if r.Result == nil {
			t.Errorf("%v: the result is null", args)
		}
		for _, hit := range r.Result {
			has(t, "a hit", hit, "id from to cc bcc subject relevance_score subject_snippet body_snippet in_global_inbox thread_id importance ack_required created_ts")
		}
		return r.Result
	}
	hits := search(blue, dict{"requesting_agent": nil, "agent_filter": nil, "limit": nil, "include_bodies": nil, "project_key": dir})
	if len(hits) != 2 || hits[0]["id"] != id || hits[0]["relevance_score"] != 1.0 || hits[1]["relevance_score"].(float64) >= 1 || hits[0]["subject_snippet"] != "<mark>Deploy</mark> 数据库" ||
		hits[0]["body_snippet"] != "<mark>deploy</mark> <it>" || hits[0]["body_md"] != "deploy <it>" || hits[0]["in_global_inbox"] != false || fmt.Sprint(hits[0]["bcc"]) != "[BlueLake]" {
		t.Errorf("%v", hits)
	}
	hits = search(green, dict{"include_bodies": false, "limit": 1})
	if _, ok := hits[0]["body_md"]; ok || len(hits) != 1 || fmt.Sprint(hits[0]["bcc"]) != "[]" {
		t.Errorf("%v", hits)
	}
	if hits := search(green, dict{"requesting_agent": "GreenCastle", "agent_filter": "greencastle"}); len(hits) != 2 {
		t.Errorf("%v", hits)
	}
	for _, query := range []string{"", "*", `"`, "(", "NOT", "AND OR"} {
		if hits := search(green, dict{"query": query}); len(hits) != 0 {
			t.Errorf("%q finds %v", query, hits)
		}
	}
	green.wrong([]wrong{
		{"search_mailbox", dict{"query": "x", "agent_filter": "Nobody"}, "agent_filter_not_found", "not found"},
		{"search_mailbox", dict{"query": "x", "requesting_agent": "Nobody"}, "NOT_FOUND", "not found"},
		{"search_mailbox", dict{"query": "x", "limit": -1}, "INVALID_LIMIT", "limit"},
		{"search_mailbox", dict{"limit": 1}, "MISSING_FIELD", "query"},
	})
}

const summaryKeys = "participants key_points action_items total_messages open_actions done_actions mentions"

func TestSummarizeThread(t *testing.T) {
	dir, blue, green := neighbours(t)
	id, _ := blue.send(dict{"subject": "first", "body_md": "- point ä\n- [ ] do it\n\n@GreenCastle see `src/a.go`", "thread_id": "T-1"})
	blue.send(dict{"body_md": "- [x] did it", "thread_id": "T-1"})
	blue.send(dict{"body_md": "- point c", "thread_id": "T-2"})
	var s dict
	green.call("summarize_thread", dict{"thread_id": "T-1", "include_examples": nil, "llm_mode": nil, "llm_model": nil, "per_thread_limit": nil, "project_key": dir, "format": nil}, &s)
	sum := s["summary"].(dict)
	has(t, "a summary", sum, summaryKeys+" code_references")
	if _, ok := s["examples"]; ok || s["thread_id"] != "T-1" || s["refined"] != nil || s["refine_error"] != nil || sum["total_messages"] != 2.0 || sum["open_actions"] != 1.0 || sum["done_actions"] != 1.0 ||
		fmt.Sprint(sum["participants"], sum["key_points"], sum["code_references"]) != "[BlueLake] [point ä] [src/a.go]" || fmt.Sprint(sum["mentions"]) != "[map[count:1 name:GreenCastle]]" {
		t.Errorf("%v", s)
	}
	// A conversation without a name goes by the id of its first message, of which a
	// beginning is enough.
	other, _ := blue.send(dict{"body_md": "- alone"})
	s = nil
	green.call("summarize_thread", dict{"thread_id": " " + other[:5] + " ", "include_examples": true}, &s)
	if e := s["examples"].([]any); s["thread_id"] != other || len(e) != 1 {
		t.Errorf("%v", s)
	} else {
		has(t, "an example", e[0].(dict), "id subject from created_ts")
	}
	s = nil
	green.call("summarize_thread", dict{"thread_id": "T-1", "include_examples": true, "per_thread_limit": 1}, &s)
	if e := s["examples"].([]any); len(e) != 2 || e[0].(dict)["id"] != id || s["messages_read"] != 1.0 {
		t.Errorf("%v", s)
	}
	// Several.
	for _, call := range []struct {
		tool string
		args dict
	}{{"summarize_thread", dict{"thread_id": "T-1, T-2,,T-1"}}, {"summarize_threads", dict{"thread_ids": []string{"T-1", "T-2"}, "llm_mode": nil, "llm_model": nil, "per_thread_limit": nil, "project_key": dir}}} {
		var many dict
		green.call(call.tool, call.args, &many)
		list, all := many["threads"].([]any), many["aggregate"].(dict)
		has(t, "an aggregate", all, "top_mentions action_items key_points")
		if len(list) != 2 || list[0].(dict)["thread_id"] != "T-1" || fmt.Sprint(all["key_points"]) != "[point ä point c]" {
			t.Errorf("%v: %v", call, many)
			continue
		}
		has(t, "one of several", list[1].(dict)["summary"].(dict), summaryKeys)
	}
	for tool, args := range map[string]dict{"summarize_thread": {"thread_id": ""}, "summarize_threads": {"thread_ids": []string{}}} {
		if text, failed := green.try(tool, args); failed || text != `{"threads":[],"aggregate":{"top_mentions":[],"action_items":[],"key_points":[]}}` {
			t.Errorf("%s of nothing: %s", tool, text)
		}
	}
	if text, failed := green.try("summarize_thread", dict{"thread_id": " , "}); failed || !strings.HasPrefix(text, `{"threads":[],`) {
		t.Errorf("of blanks: %s", text)
	}
	green.wrong([]wrong{
		{"summarize_thread", dict{"thread_id": "T-9"}, "NOT_FOUND", "not found"},
		{"summarize_thread", dict{"thread_id": "T-1,T-9"}, "NOT_FOUND", "not found"},
		{"summarize_thread", dict{"thread_id": "T-1", "per_thread_limit": 0}, "INVALID_LIMIT", "limit"},
		{"summarize_thread", dict{}, "MISSING_FIELD", "thread_id"},
		{"summarize_threads", dict{"thread_ids": []string{"T-9"}}, "NOT_FOUND", "not found"},
		{"summarize_threads", dict{"thread_ids": []string{"T-1"}, "per_thread_limit": -1}, "INVALID_LIMIT", "limit"},
		{"summarize_threads", dict{}, "MISSING_FIELD", "thread_ids"},
	})
}

func TestSummarizeRecent(t *testing.T) {
	dir, blue, green := neighbours(t)
	var none, first, again dict
	const keys = "id summary_text start_ts end_ts source_message_count source_thread_ids llm_model cost_usd created_ts"
	green.call("summarize_recent", dict{"since_hours": nil, "llm_mode": nil, "llm_model": nil, "max_messages": nil, "project_key": dir, "format": nil}, &none)
	has(t, "of nothing", none, keys+" cached")
	if none["id"] != nil || none["cached"] != false || none["source_message_count"] != 0.0 {
		t.Errorf("%v", none)
	}
	if text, _ := green.try("fetch_summary", dict{"since_hours": nil, "limit": nil, "project_key": nil, "format": nil}); text != "[]" {
		t.Errorf("nothing was stored: %s", text)
	}
	blue.send(dict{"body_md": "- point ü", "thread_id": "T-1"})
	green.call("summarize_recent", dict{"since_hours": 0.5}, &first)
	green.call("summarize_recent", dict{"since_hours": 0.5}, &again)
	var sum dict
	if err := json.Unmarshal([]byte(first["summary_text"].(string)), &sum); err != nil {
		t.Fatal(err)
	}
	has(t, "the text", sum, summaryKeys)
	if first["id"] == nil || first["cached"] != false || again["cached"] != true || again["id"] != first["id"] || fmt.Sprint(sum["key_points"]) != "[point ü]" ||
		first["source_message_count"] != 1.0 || fmt.Sprint(first["source_thread_ids"]) != "[T-1]" || first["llm_model"] != nil {
		t.Errorf("%v, again %v", first, again)
	}
	var list []dict
	blue.call("fetch_summary", nil, &list)
	delete(first, "cached")
	if len(list) != 1 || fmt.Sprint(list[0]) != fmt.Sprint(first) {
		t.Errorf("listed %v, made %v", list, first)
	}
	files, err := os.ReadDir(filepath.Join(dir, ".git", "agentmail-cache", "summaries"))
	if err != nil || len(files) != 1 {
		t.Errorf("%v, %v", files, err)
	}
	green.wrong([]wrong{
		{"summarize_recent", dict{"since_hours": 0}, "INVALID_ARGUMENT", "since_hours"},
		{"summarize_recent", dict{"since_hours": "1"}, "TYPE_ERROR", "since_hours"},
		{"summarize_recent", dict{"max_messages": 0}, "INVALID_LIMIT", "max_messages"},
		{"fetch_summary", dict{"since_hours": -1}, "INVALID_ARGUMENT", "since_hours"},
		{"fetch_summary", dict{"limit": 0}, "INVALID_LIMIT", "limit"},
	})
}

// TestLanguageModel: it is asked if one is configured and wanted, and of what goes wrong
// with it nothing is told but to who asks for it.
func TestLanguageModel(t *testing.T) {
	var asked atomic.Int32
	var broken atomic.Bool
	model := make(chan string, 10)
	llm := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		var q struct{ Model string }
		json.NewDecoder(r.Body).Decode(&q)
		model <- q.Model
		if broken.Load() {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		json.NewEncoder(w).Encode(dict{"choices": []dict{{"message": dict{"role": "assistant", "content": `{"key_points":["worded"],"action_items":[]}`}}}})
	}))
	defer llm.Close()
	env := environ(t)
	dir := repository(t, env)
	c := connect(t, options(t, dir, slices.Concat(env, []string{"AGENTMAIL_LLM_URL=" + llm.URL, "AGENTMAIL_LLM_MODEL=small"}), Full))
	c.call("register_agent", dict{"name": "GreenCastle", "program": "p", "model": "m"}, nil)
	c.send(dict{"body_md": "- point", "thread_id": "T-1"})
	points := func(args dict) (string, dict) {
		t.Helper()
		var s dict
		full := dict{"thread_id": "T-1"}
		maps.Copy(full, args)
		c.call("summarize_thread", full, &s)
		return fmt.Sprint(s["summary"].(dict)["key_points"]), s
	}
	if got, s := points(dict{"llm_mode": false}); got != "[point]" || s["refined"] != nil || asked.Load() != 0 {
		t.Errorf("not wanted: %v after %d requests", s, asked.Load())
	}
	if got, s := points(nil); got != "[worded]" || s["refined"] != true || <-model != "small" {
		t.Errorf("%v", s)
	}
	if got, s := points(dict{"llm_model": "large"}); got != "[worded]" || <-model != "large" {
		t.Errorf("%v", s)
	}
	var recent dict
	c.call("summarize_recent", dict{"llm_model": "large"}, &recent)
	if recent["llm_model"] != "large" || !strings.Contains(recent["summary_text"].(string), "worded") {
		t.Errorf("%v", recent)
	}
	broken.Store(true)
	if got, s := points(nil); got != "[point]" || s["refined"] != nil || s["refine_error"] != nil {
		t.Errorf("broken: %v", s)
	}
	if got, s := points(dict{"llm_mode": true}); got != "[point]" || s["refined"] != false || s["refine_error"] != "127.0.0.1 answers with status 500" {
		t.Errorf("broken, and asked for: %v", s)
	}
}
