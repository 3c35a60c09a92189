package mcp

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// fixturesSetting makes the server have what the protocol's conformance suite asks every
// server for by name, beside the mailbox. `make conformance` sets it, and nobody else.
const fixturesSetting = "AGENTMAIL_CONFORMANCE_FIXTURES"

// withFixtures are the capabilities that only the fixtures need.
func withFixtures(getenv func(string) string) []server.ServerOption {
	if getenv(fixturesSetting) != "1" {
		return nil
	}
	return []server.ServerOption{server.WithLogging(), server.WithToolCapabilities(true), server.WithPromptCapabilities(true)}
}

// fixtures registers what the suite looks for.
func (s *Server) fixtures() {
	if s.opt.Getenv(fixturesSetting) != "1" {
		return
	}
	s.fixedResults()
	s.askingTools()
	s.mcp.AddResource(mcp.NewResource("test://static-text", "static-text", mcp.WithResourceDescription("a text"), mcp.WithMIMEType("text/plain")),
		func(context.Context, mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
			return []mcp.ResourceContents{mcp.TextResourceContents{URI: "test://static-text", MIMEType: "text/plain", Text: "This is the content of the static text resource."}}, nil
		})
	s.mcp.AddResource(mcp.NewResource("test://static-binary", "static-binary", mcp.WithResourceDescription("an image"), mcp.WithMIMEType("image/png")),
		func(context.Context, mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
			return []mcp.ResourceContents{mcp.BlobResourceContents{URI: "test://static-binary", MIMEType: "image/png", Blob: onePixel()}}, nil
		})
	s.mcp.AddResourceTemplate(mcp.NewResourceTemplate("test://template/{id}/data", "template", mcp.WithTemplateDescription("something by its id"), mcp.WithTemplateMIMEType("application/json")),
		func(_ context.Context, r mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
			id := strings.TrimSuffix(strings.TrimPrefix(r.Params.URI, "test://template/"), "/data")
			text, err := json.Marshal(map[string]any{"id": id, "templateTest": true, "data": "Data for ID: " + id})
			return []mcp.ResourceContents{mcp.TextResourceContents{URI: r.Params.URI, MIMEType: "application/json", Text: string(text)}}, err
		})
	s.fixedPrompts()
}

// fixture registers a tool without parameters but those named, which are texts.
func (s *Server) fixture(name string, run server.ToolHandlerFunc, params ...string) {
	opts := []mcp.ToolOption{mcp.WithDescription("Answer the conformance suite")}
	for _, p := range params {
		opts = append(opts, mcp.WithString(p, mcp.Required()))
	}
	s.listed[name] = true
	s.mcp.AddTool(mcp.NewTool(name, opts...), run)
}

func (s *Server) fixedResults() {
	always := func(name string, content ...mcp.Content) {
		s.fixture(name, func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return &mcp.CallToolResult{Content: content}, nil
		})
	}
	resource := func(uri, mime, text string) mcp.Content {
		return mcp.NewEmbeddedResource(mcp.TextResourceContents{URI: uri, MIMEType: mime, Text: text})
	}
	always("test_simple_text", mcp.NewTextContent("This is a simple text response for testing."))
	always("test_image_content", mcp.NewImageContent(onePixel(), "image/png"))
	always("test_audio_content", mcp.NewAudioContent(silence(), "audio/wav"))
	always("test_embedded_resource", resource("test://embedded-resource", "text/plain", "This is an embedded resource content."))
	always("test_multiple_content_types", mcp.NewTextContent("Multiple content types test:"), mcp.NewImageContent(onePixel(), "image/png"),
		resource("test://mixed-content-resource", "application/json", `{"test":"data","value":123}`))
	s.fixture("test_error_handling", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultError("This tool intentionally returns an error for testing"), nil
	})

	log := func(ctx context.Context, text string) {
		if c, ok := server.ClientSessionFromContext(ctx).(server.SessionWithLogging); ok {
			least := c.GetLogLevel()
			if info := server.RequestProtocolInfoFromContext(ctx); info != nil && info.Modern {
				least = info.LogLevel
			}
			if least != "" && mcp.LoggingLevelInfo.ShouldSendTo(least) {
				s.notify(ctx, "notifications/message", map[string]any{"level": mcp.LoggingLevelInfo, "data": text})
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.fixture("test_tool_with_logging", func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		log(ctx, "Tool execution started")
		log(ctx, "Tool processing data")
		log(ctx, "Tool execution completed")
		return mcp.NewToolResultText("done"), nil
	})
	s.fixture("test_logging_tool", func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		log(ctx, "a line")
		return mcp.NewToolResultText("done"), nil
	})
	s.fixture("test_tool_with_progress", func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		for _, done := range []float64{0, 50, 100} {
			if r.Params.Meta != nil && r.Params.Meta.ProgressToken != nil {
				s.notify(ctx, "notifications/progress",
					map[string]any{"progressToken": r.Params.Meta.ProgressToken, "progress": done, "total": 100.0})
			}
			if done < 100 {
				time.Sleep(50 * time.Millisecond)
			}
		}
		return mcp.NewToolResultText("done"), nil
	})
	s.fixture("test_trigger_tool_change", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		s.fixture("test_changed", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return mcp.NewToolResultText("done"), nil
		})
		s.mcp.DeleteTools("test_changed")
		return mcp.NewToolResultText("done"), nil
	})
	s.fixture("test_trigger_prompt_change", func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		s.mcp.AddPrompt(mcp.NewPrompt("test_changed"), func(context.Context, mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			return &mcp.GetPromptResult{}, nil
		})
		s.mcp.DeletePrompts("test_changed")
		return mcp.NewToolResultText("done"), nil
	})
}

// form asks for one field.
func form(message, field, kind string) mcp.ElicitationParams {
	return mcp.ElicitationParams{Mode: mcp.ElicitationModeForm, Message: message, RequestedSchema: map[string]any{
		"type": "object", "properties": map[string]any{field: map[string]any{"type": kind}}, "required": []string{field},
	}}
}

func sample(text string, tokens int) mcp.CreateMessageParams {
	return mcp.CreateMessageParams{MaxTokens: tokens, Messages: []mcp.SamplingMessage{{Role: mcp.RoleUser, Content: mcp.NewTextContent(text)}}}
}

// askingTools are those that need something of the client before they answer.
func (s *Server) askingTools() {
	s.fixture("test_sampling", func(_ context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		if answer := server.SamplingResponse(r.Params.InputResponses, "answer"); answer != nil {
			return mcp.NewToolResultText("LLM response: " + mcp.GetTextFromContent(answer.Content)), nil
		}
		return server.NewInputRequestBuilder("").Sample("answer", sample(r.GetString("prompt", ""), 100)).ToolResult(), nil
	}, "prompt")
	elicit := func(name string, schema func() map[string]any, required []string, params ...string) {
		s.fixture(name, func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			res, err := s.mcp.RequestElicitation(ctx, mcp.ElicitationRequest{Params: mcp.ElicitationParams{Mode: mcp.ElicitationModeForm,
				Message: r.GetString("message", "Please answer"), RequestedSchema: map[string]any{"type": "object", "properties": schema(), "required": required}}})
			if err != nil {
				return mcp.NewToolResultError(err.Error()), nil
			}
			content, _ := json.Marshal(res.Content)
			return mcp.NewToolResultText(fmt.Sprintf("Elicitation completed: action=%s, content=%s", res.Action, content)), nil
		}, params...)
	}
	type object = map[string]any
	elicit("test_elicitation", func() object {
		return object{"username": object{"type": "string", "description": "User's response"}, "email": object{"type": "string", "description": "User's email address"}}
	}, []string{"username", "email"}, "message")
	elicit("test_elicitation_sep1034_defaults", func() object {
		return object{
			"name": object{"type": "string", "default": "John Doe"}, "age": object{"type": "integer", "default": 30},
			"score":  object{"type": "number", "default": 95.5},
			"status": object{"type": "string", "enum": []string{"active", "inactive", "pending"}, "default": "active"}, "verified": object{"type": "boolean", "default": true},
		}
	}, []string{})
	elicit("test_elicitation_sep1330_enums", func() object {
		titled := func(names ...string) (list []object) {
			for i, name := range names {
				list = append(list, object{"const": fmt.Sprint("value", i+1), "title": name})
			}
			return list
		}
		options := []string{"option1", "option2", "option3"}
		return object{
			"untitledSingle": object{"type": "string", "enum": options},
			"titledSingle":   object{"type": "string", "oneOf": titled("First Option", "Second Option", "Third Option")},
			"legacyEnum":     object{"type": "string", "enum": []string{"opt1", "opt2", "opt3"}, "enumNames": []string{"Option One", "Option Two", "Option Three"}},
			"untitledMulti":  object{"type": "array", "items": object{"type": "string", "enum": options}},
			"titledMulti":    object{"type": "array", "items": object{"anyOf": titled("First Choice", "Second Choice", "Third Choice")}},
		}
	}, []string{})

	name := form("What is your name?", "name", "string")
	asked := func(tool string, run func(context.Context, mcp.CallToolParams) (*mcp.CallToolResult, error)) {
		s.fixture(tool, func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return run(ctx, r.Params)
		})
	}
	field := func(p mcp.CallToolParams, id, field string) (string, bool) {
		answer := server.ElicitationResponse(p.InputResponses, id)
		if answer == nil {
			return "", false
		}
		content, _ := answer.Content.(map[string]any)
		v, ok := content[field]
		return fmt.Sprint(v), ok
	}
	for _, tool := range []string{"test_input_required_result_elicitation", "test_streaming_elicitation"} {
		asked(tool, func(_ context.Context, p mcp.CallToolParams) (*mcp.CallToolResult, error) {
			if who, ok := field(p, "user_name", "name"); ok {
				return mcp.NewToolResultText("Hello, " + who + "!"), nil
			}
			return server.NewInputRequestBuilder("").Elicit("user_name", name).ToolResult(), nil
		})
	}
	asked("test_input_required_result_sampling", func(_ context.Context, p mcp.CallToolParams) (*mcp.CallToolResult, error) {
		if answer := server.SamplingResponse(p.InputResponses, "capital_question"); answer != nil {
			return mcp.NewToolResultText(mcp.GetTextFromContent(answer.Content)), nil
		}
		return server.NewInputRequestBuilder("").Sample("capital_question", sample("What is the capital of France?", 100)).ToolResult(), nil
	})
	asked("test_input_required_result_list_roots", func(_ context.Context, p mcp.CallToolParams) (*mcp.CallToolResult, error) {
		if answer := server.RootsResponse(p.InputResponses, "client_roots"); answer != nil {
			text, err := json.Marshal(answer.Roots)
			return mcp.NewToolResultText(string(text)), err
		}
		return server.NewInputRequestBuilder("").Roots("client_roots").ToolResult(), nil
	})
	confirm := form("Please confirm", "ok", "boolean")
	for tool, done := range map[string]string{"test_input_required_result_request_state": "state-ok", "test_input_required_result_tampered_state": "done"} {
		asked(tool, func(_ context.Context, p mcp.CallToolParams) (*mcp.CallToolResult, error) {
			if p.RequestState == "" {
				return server.NewInputRequestBuilder(sealed("confirm")).Elicit("confirm", confirm).ToolResult(), nil
			}
			if p.RequestState != sealed("confirm") {
				return nil, errTampered
			}
			return mcp.NewToolResultText(done), nil
		})
	}
	asked("test_input_required_result_multiple_inputs", func(_ context.Context, p mcp.CallToolParams) (*mcp.CallToolResult, error) {
		if who, ok := field(p, "user_name", "name"); ok && server.SamplingResponse(p.InputResponses, "greeting") != nil && server.RootsResponse(p.InputResponses, "client_roots") != nil {
			return mcp.NewToolResultText("Hello, " + who + "!"), nil
		}
		return server.NewInputRequestBuilder(sealed("all")).Elicit("user_name", name).Sample("greeting", sample("Generate a greeting", 50)).
			Roots("client_roots").ToolResult(), nil
	})
	asked("test_input_required_result_multi_round", func(_ context.Context, p mcp.CallToolParams) (*mcp.CallToolResult, error) {
		switch p.RequestState {
		case sealed("two"):
			return mcp.NewToolResultText("done"), nil
		case sealed("one"):
			return server.NewInputRequestBuilder(sealed("two")).Elicit("step2", form("Step 2: What is your favorite color?", "color", "string")).ToolResult(), nil
		}
		return server.NewInputRequestBuilder(sealed("one")).Elicit("step1", form("Step 1: What is your name?", "name", "string")).ToolResult(), nil
	})
	asked("test_input_required_result_capabilities", func(ctx context.Context, _ mcp.CallToolParams) (*mcp.CallToolResult, error) {
		b := server.NewInputRequestBuilder("")
		if info := server.RequestProtocolInfoFromContext(ctx); info != nil && info.ClientCapabilities != nil {
			if info.ClientCapabilities.Sampling != nil {
				b.Sample("greeting", sample("Generate a greeting", 50))
			}
			if info.ClientCapabilities.Elicitation != nil {
				b.Elicit("user_name", name)
			}
		}
		return b.ToolResult(), nil
	})
}

var (
	errTampered = errors.New("the state is not what was handed out")
	sealKey     = rand.Text()
)

// sealed is a state that the client cannot make by itself.
func sealed(state string) string {
	mac := hmac.New(sha256.New, []byte(sealKey))
	mac.Write([]byte(state))
	return state + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func (s *Server) fixedPrompts() {
	user := func(content mcp.Content) mcp.PromptMessage { return mcp.NewPromptMessage(mcp.RoleUser, content) }
	add := func(name string, say func(args map[string]string) []mcp.PromptMessage, args ...string) {
		opts := []mcp.PromptOption{mcp.WithPromptDescription("Answer the conformance suite")}
		for _, a := range args {
			opts = append(opts, mcp.WithArgument(a, mcp.RequiredArgument()))
		}
		s.mcp.AddPrompt(mcp.NewPrompt(name, opts...), func(_ context.Context, r mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			return &mcp.GetPromptResult{Messages: say(r.Params.Arguments)}, nil
		})
	}
	add("test_simple_prompt", func(map[string]string) []mcp.PromptMessage {
		return []mcp.PromptMessage{user(mcp.NewTextContent("This is a simple prompt for testing."))}
	})
	add("test_prompt_with_arguments", func(args map[string]string) []mcp.PromptMessage {
		return []mcp.PromptMessage{user(mcp.NewTextContent(fmt.Sprintf("Prompt with arguments: arg1='%s', arg2='%s'", args["arg1"], args["arg2"])))}
	}, "arg1", "arg2")
	add("test_prompt_with_embedded_resource", func(args map[string]string) []mcp.PromptMessage {
		return []mcp.PromptMessage{
			user(mcp.NewEmbeddedResource(mcp.TextResourceContents{URI: args["resourceUri"], MIMEType: "text/plain", Text: "Embedded resource content for testing."})),
			user(mcp.NewTextContent("Please process the embedded resource above.")),
		}
	}, "resourceUri")
	add("test_prompt_with_image", func(map[string]string) []mcp.PromptMessage {
		return []mcp.PromptMessage{user(mcp.NewImageContent(onePixel(), "image/png")), user(mcp.NewTextContent("Please analyze the image above."))}
	})
	s.mcp.AddPrompt(mcp.NewPrompt("test_input_required_result_prompt", mcp.WithPromptDescription("Answer the conformance suite")),
		func(_ context.Context, r mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			if server.ElicitationResponse(r.Params.InputResponses, "user_context") == nil {
				return server.NewInputRequestBuilder("").Elicit("user_context", form("What context should the prompt use?", "context", "string")).PromptResult(), nil
			}
			return &mcp.GetPromptResult{Messages: []mcp.PromptMessage{user(mcp.NewTextContent("done"))}}, nil
		})
}

// onePixel is a red image.
func onePixel() string {
	img := image.NewRGBA(image.Rect(0, 0, 1, 1))
	img.Set(0, 0, color.RGBA{R: 255, A: 255})
	var w bytes.Buffer
	png.Encode(&w, img)
	return base64.StdEncoding.EncodeToString(w.Bytes())
}

// silence is a sound of no length.
func silence() string {
	return base64.StdEncoding.EncodeToString([]byte("RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00\x02\x00\x10\x00data\x00\x00\x00\x00"))
}
