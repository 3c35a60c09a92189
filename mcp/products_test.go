package mcp

import "testing"

func TestProducts(t *testing.T) {
	env := environ(t)
	front, back := repository(t, env), repository(t, env)
	c := connect(t, options(t, front, env, Full))
	var product struct {
		ID, Name   string
		ProductUID string `json:"product_uid"`
		CreatedAt  string `json:"created_at"`
	}
	c.call("ensure_product", map[string]any{"name": "shop", "product_key": nil}, &product)
	if product.ID == "" || product.ID != product.ProductUID || product.Name != "shop" || product.CreatedAt == "" {
		t.Errorf("got %+v", product)
	}
	for _, dir := range []string{front, back} {
		for _, name := range []string{"GreenCastle", "BlueLake"} {
			c.call("register_agent", map[string]any{"project_key": dir, "name": name, "program": "p", "model": "m"}, nil)
		}
		var linked struct {
			Product struct{ ID, Name string }
			Project struct {
				Slug     string
				HumanKey string `json:"human_key"`
			}
			Linked bool
		}
		c.call("products_link", map[string]any{"product_key": "shop", "project_key": dir}, &linked)
		if !linked.Linked || linked.Project.HumanKey != dir || linked.Product.Name != "shop" {
			t.Errorf("got %+v", linked)
		}
		c.call("send_message", map[string]any{"project_key": dir, "sender_name": "GreenCastle", "to": "BlueLake", "subject": "Release", "body_md": "- ship it in " + dir, "thread_id": "REL-1", "ack_required": true}, nil)
	}
	var found struct {
		Result []struct {
			ID, Subject, Project string
			ProjectID            string `json:"project_id"`
			AckRequired          int    `json:"ack_required"`
		}
	}
	c.call("search_messages_product", map[string]any{"product_key": product.ProductUID, "query": "release"}, &found)
	if len(found.Result) != 2 || found.Result[0].Project != back || found.Result[0].ProjectID == "" || found.Result[0].AckRequired != 1 {
		t.Errorf("got %+v", found)
	}
	var inbox []struct {
		Subject, From, Project string
		Body                   *string `json:"body_md"`
	}
	c.call("fetch_inbox_product", map[string]any{"product_key": "shop", "agent_name": "BlueLake", "include_bodies": true}, &inbox)
	if len(inbox) != 2 || inbox[0].Project != back || inbox[1].Project != front || inbox[0].Body == nil {
		t.Errorf("got %+v", inbox)
	}
	inbox = nil
	c.call("fetch_inbox_product", map[string]any{"product_key": "shop", "agent_name": "Nobody"}, &inbox)
	if len(inbox) != 0 {
		t.Errorf("got %+v", inbox)
	}
	var summary struct {
		ThreadID string `json:"thread_id"`
		Summary  struct {
			TotalMessages int      `json:"total_messages"`
			KeyPoints     []string `json:"key_points"`
		}
		Examples []struct{ ID, From string }
	}
	c.call("summarize_thread_product", map[string]any{"product_key": "shop", "thread_id": "REL-1", "include_examples": true}, &summary)
	if summary.ThreadID != "REL-1" || summary.Summary.TotalMessages != 2 || len(summary.Summary.KeyPoints) != 2 || len(summary.Examples) != 2 {
		t.Errorf("got %+v", summary)
	}
	for _, tc := range []struct {
		tool, typ string
		args      map[string]any
	}{
		{"ensure_product", "INVALID_ARGUMENT", map[string]any{}},
		{"products_link", "NOT_FOUND", map[string]any{"product_key": "nothing"}},
		{"products_link", "NOT_FOUND", map[string]any{"product_key": "shop", "project_key": "nowhere"}},
		{"search_messages_product", "INVALID_LIMIT", map[string]any{"product_key": "shop", "query": "x", "limit": 0}},
		{"search_messages_product", "NOT_FOUND", map[string]any{"product_key": "nothing", "query": "x"}},
		{"fetch_inbox_product", "INVALID_TIMESTAMP", map[string]any{"product_key": "shop", "agent_name": "BlueLake", "since_ts": "soon"}},
		{"summarize_thread_product", "NOT_FOUND", map[string]any{"product_key": "shop", "thread_id": "REL-2"}},
		{"summarize_thread_product", "INVALID_THREAD_ID", map[string]any{"product_key": "shop", "thread_id": "a b"}},
	} {
		if e := c.fails(tc.tool, tc.args); e.Type != tc.typ {
			t.Errorf("%+v: got %+v", tc, e)
		}
	}
}
