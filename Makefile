# make demo and make test need only Go and git. make ci is what .ci/run calls.

GO      ?= go
PREFIX  ?= /usr/local
BIN     := bin
PACKAGE := github.com/git-agentmail/git-agentmail
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X $(PACKAGE)/cmd/cli.Version=$(VERSION)
export CGO_ENABLED ?= 0

.PHONY: all build demo test ci race lint fuzz fuzz-more cross coexist clients conformance spin bench bench-sync mutants soak install uninstall clean

all: build

build:
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/...

# The main job on real input: this repository is cloned into a scratch
# directory, and two agents in two worktrees play the session of the README.
demo: build
	$(BIN)/git-agentmail demo --from .

test:
	$(GO) test ./...

# Everything a change must pass.
ci: build lint race fuzz cross coexist

lint:
	@out=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$out" || { echo "gofmt differs: $$out"; exit 1; }
	$(GO) vet ./...
	cd bench && CGO_ENABLED=0 $(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) mod verify
	$(GO) mod tidy -diff

# The race detector needs a C compiler; where there is none the tests run
# without it, and say so. It makes a test three times as long, so some go without: those of mail and guard,
# which start no goroutine, those of cmd/cli, which start thousands of processes, and
# single ones of gitstore and mailbox that are like either.
UNRACED := ^Test((Guard|Index)Property|Partitions|ManyProcesses|Archive|Sharing|SyncLadder|SyncFaults)$$
race:
	@if $(GO) env CC | xargs -I{} sh -c 'command -v {}' >/dev/null 2>&1; then \
		CGO_ENABLED=1 $(GO) test -race -timeout 20m -skip '$(UNRACED)' $$($(GO) list ./... | grep -v -e /cmd/cli -e '/mail$$' -e '/guard$$') && \
		$(GO) test -timeout 20m ./cmd/cli ./mail ./guard && $(GO) test -timeout 20m ./gitstore ./mailbox -run '$(UNRACED)'; \
	else echo "no C compiler: tests run without the race detector"; $(GO) test -timeout 20m ./...; fi

FUZZTIME ?= 3s
fuzz:
	$(GO) test ./mail -run '^$$' -fuzz '^FuzzDecode$$' -fuzztime $(FUZZTIME)
	$(GO) test ./mail -run '^$$' -fuzz '^FuzzFold$$' -fuzzminimizetime 100x -fuzztime $(FUZZTIME)
	$(GO) test ./mail -run '^$$' -fuzz '^FuzzTable$$' -fuzzminimizetime 100x -fuzztime $(FUZZTIME)
	$(GO) test ./guard -run '^$$' -fuzz '^FuzzCompile$$' -fuzztime $(FUZZTIME)
	$(GO) test ./guard -run '^$$' -fuzz '^FuzzMatch$$' -fuzztime $(FUZZTIME)
	$(GO) test ./guard -run '^$$' -fuzz '^FuzzOverlap$$' -fuzztime $(FUZZTIME)
	$(GO) test ./gitstore -run '^$$' -fuzz '^FuzzSignature$$' -fuzztime $(FUZZTIME)
	$(GO) test ./hooks/agenthook -run '^$$' -fuzz '^FuzzParse$$' -fuzztime $(FUZZTIME)
	$(GO) test ./picture -run '^$$' -fuzz '^FuzzWebP$$' -fuzztime $(FUZZTIME)
	$(GO) test ./picture -run '^$$' -fuzz '^FuzzEncode$$' -fuzztime $(FUZZTIME)

# Optimising would take half of the time and find nothing. The two largest packages
# do not compile in parallel, so two targets do. What runs here was built already.
CROSS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64
cross:
	@printf '%s\n' $(filter-out $(shell $(GO) env GOOS)/$(shell $(GO) env GOARCH),$(CROSS)) | xargs -P 2 -I{} sh -c 'echo "build {}"; t={}; \
		GOOS=$${t%/*} GOARCH=$${t#*/} $(GO) build -gcflags="all=-N -l" ./... || exit 255'

# The real hook managers beside us. husky and lefthook are installed below bin;
# git-lfs, pre-commit and node come from the system. What is missing is skipped.
LEFTHOOK := github.com/evilmartians/lefthook@v1.13.6
HUSKY    := husky@9.1.7
COEXIST  := $(CURDIR)/$(BIN)/coexist
coexist:
	@mkdir -p '$(COEXIST)/bin'
	@test -x '$(COEXIST)/bin/lefthook' || GOBIN='$(COEXIST)/bin' $(GO) install $(LEFTHOOK) || echo "not installed: $(LEFTHOOK)"
	@test -d '$(COEXIST)/node_modules/husky' || npm install --silent --no-audit --no-fund --ignore-scripts --prefix '$(COEXIST)' $(HUSKY) || echo "not installed: $(HUSKY)"
	AGENTMAIL_COEXIST='$(COEXIST)' $(GO) test ./hooks/githook -run Coexist -count=1 -v

# The protocol's own suite and the inspector against our server. They are installed below
# bin, with a node that is new enough for them.
SUITE       := @modelcontextprotocol/conformance@0.2.0-alpha.12 @modelcontextprotocol/inspector@2.12.0
CONFORMANCE := $(CURDIR)/$(BIN)/conformance
conformance:
	@mkdir -p '$(CONFORMANCE)'
	@test -x '$(CONFORMANCE)/node_modules/node/bin/node' || npm install --silent --no-audit --no-fund --prefix '$(CONFORMANCE)' node@22
	@test -e '$(CONFORMANCE)/node_modules/.bin/mcp-inspector' || npm install --silent --no-audit --no-fund --ignore-scripts --prefix '$(CONFORMANCE)' $(SUITE)
	AGENTMAIL_CONFORMANCE='$(CONFORMANCE)' $(GO) test ./cmd/git-agentmail-mcp -run 'TestConformance|TestInspector' -count=1 -v

# The real coding agents, from npm, against a scripted model on loopback: each is set up by
# setup, finds the server, sends, reads, and is denied an edit. Their install scripts are
# not run: what they would unpack is used where it lies. What cannot be had is skipped.
CLIENTS := @anthropic-ai/claude-code@2.1.332 @openai/codex@0.171.0 @google/gemini-cli@0.61.0 \
	opencode-ai@1.18.33 @github/copilot@1.0.102 cline@3.0.65
AGENTS  := $(CURDIR)/$(BIN)/clients
clients:
	@mkdir -p '$(AGENTS)'
	@for p in $(CLIENTS); do \
		grep -qxF "$$p" '$(AGENTS)/installed' 2>/dev/null && continue; \
		npm install --silent --no-audit --no-fund --ignore-scripts --prefix '$(AGENTS)' "$$p" && echo "$$p" >>'$(AGENTS)/installed' || echo "not installed: $$p"; \
	done
	AGENTMAIL_CLIENTS='$(AGENTS)' $(GO) test ./internal/clients -count=1 -v -timeout 30m

# The model of strong reservations, through the model checker spin; not part of ci, for it
# takes minutes and tests no code.
spin:
	@doc/model/run.sh

# Figures against their demands, written to doc/BENCHMARKS.md.
bench:
	$(GO) run ./internal/bench -out doc/BENCHMARKS.md

# The same of clones that exchange mail through a hub; it prints only.
bench-sync:
	$(GO) run ./internal/bench -sync

# The rules by which clones come to agree, broken one after another: the property tests must
# notice each. What it prints is in doc/TESTING.md.
mutants:
	$(GO) run ./internal/mutants

# Apart, for it builds SQLite and goldmark once more, to look into them.
fuzz-more:
	$(GO) test ./mail/digest -run '^$$' -fuzz '^FuzzSummarize$$' -fuzzminimizetime 50x -fuzztime $(FUZZTIME)
	$(GO) test ./index -run '^$$' -fuzz '^FuzzQuery$$' -fuzzminimizetime 100x -fuzztime $(FUZZTIME)
	$(GO) test ./index -run '^$$' -fuzz '^FuzzWords$$' -fuzzminimizetime 100x -fuzztime $(FUZZTIME)

# The long way: fuzzing for minutes, kill -9 by the thousand.
soak:
	$(MAKE) fuzz fuzz-more FUZZTIME=5m
	AGENTMAIL_SOAK=1 $(GO) test -count=1 -timeout 2h ./gitstore ./mail ./guard ./mailbox ./index ./cmd/cli

install: build
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1 \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions \
		$(DESTDIR)$(PREFIX)/share/fish/vendor_conf.d
	install -m 755 $(BIN)/git-agentmail $(BIN)/git-agentmail-mcp $(DESTDIR)$(PREFIX)/bin/
	$(BIN)/git-agentmail man $(DESTDIR)$(PREFIX)/share/man/man1
	$(BIN)/git-agentmail completion bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/git-agentmail
	$(BIN)/git-agentmail completion zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_git-agentmail
	$(BIN)/git-agentmail completion fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_conf.d/git-agentmail.fish

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/git-agentmail $(DESTDIR)$(PREFIX)/bin/git-agentmail-mcp $(DESTDIR)$(PREFIX)/share/man/man1/git-agentmail*.1 \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/git-agentmail \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_git-agentmail \
		$(DESTDIR)$(PREFIX)/share/fish/vendor_conf.d/git-agentmail.fish

clean:
	rm -rf $(BIN)
