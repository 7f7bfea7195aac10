# The commands of the project. CI calls `make ci`.
GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# The AWS SDK for Go reads AWS_CA_BUNDLE before anything else and fails on loopback endpoints without TLS.
unexport AWS_CA_BUNDLE
export CGO_ENABLED = 0
FUZZTIME ?= 30s
KILLS ?= 50
LEAKS ?= 10000
ROUNDS ?= 1000
LOADED ?= 10000000

.PHONY: all build dist install test vet fmt bench linear crash leaks fuzz generate audit ci clean

all: build

BIN ?= bin/croft
FIRST = internal/engine/sandbox/firstprogram/croft-first
# How a croft is built for $(1), an architecture of Linux's, or the machine's own: with the first process of its sandboxes in it.
define build-first
	@# By another name first: several builds may run at once.
	GOOS=linux GOARCH=$(1) $(GO) build -trimpath -ldflags "-s -w" -o $(FIRST)-$(1).$$PPID ./cmd/croft-first
	@mv $(FIRST)-$(1).$$PPID $(FIRST)-$(1)
endef
RELEASE = -tags first -trimpath -ldflags "-s -w -X main.version=$(VERSION)"

build: ## bin/croft, one static binary
	$(call build-first,$(shell $(GO) env GOARCH))
	$(GO) build $(RELEASE) -o $(BIN) ./cmd/croft

PLATFORMS = linux/amd64 linux/arm64 darwin/arm64

dist: ## bin/dist: one static binary for each platform, and their checksums
	@rm -rf bin/dist && mkdir -p bin/dist
	$(call build-first,amd64)
	$(call build-first,arm64)
	@set -e; for p in $(PLATFORMS); do \
		out=bin/dist/croft-$(VERSION)-$${p%/*}-$${p#*/}; echo "$$out"; \
		GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) build $(RELEASE) -o $$out ./cmd/croft; \
	done
	@cd bin/dist && if command -v sha256sum >/dev/null; then sha256sum croft-*; else shasum -a 256 croft-*; fi >SHA256SUMS

install: build ## into $(GOBIN) or $HOME/go/bin
	mkdir -p $${GOBIN:-$$HOME/go/bin} && install bin/croft $${GOBIN:-$$HOME/go/bin}/croft

vet:
	$(GO) vet ./...
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo 'gofmt would change these'; exit 1; }
	GOOS=darwin GOARCH=arm64 $(GO) vet ./cmd/croft ./internal/engine/... ./internal/doctor ./internal/watch

test: build vet dist ## every test
	@# The engine's tests go first and alone: a fork bomb in a function without control groups takes what the machine has.
	@status=0; \
	$(GO) test -count=1 -timeout 20m ./internal/engine || status=1; \
	CROFT_KILLS=$(KILLS) $(GO) test -count=1 -p 2 -timeout 20m $$($(GO) list ./... | grep -v '/internal/engine$$') || status=1; \
	exit $$status

ci: test ## what CI runs

bench: build ## figures against a floor measured in the same run; use a quiet machine
	$(GO) build -o bin/bench ./test/bench
	bin/bench -croft bin/croft -loaded $(LOADED)
	GOMAXPROCS=1 $(GO) test -run '^$$' -bench Exchange -benchmem ./tools/apigen
	$(GO) test -run '^$$' -bench Send -benchmem ./internal/kv/pgkv

crash: build ## kills under load; KILLS=n
	CROFT_KILLS=$(KILLS) $(GO) test -count=1 -v -timeout 30m ./test/crash/...

linear: ## ROUNDS histories of each kind of concurrent clients, judged by a model checker
	CROFT_LINEAR=$(ROUNDS) $(GO) test -count=1 -v -timeout 60m ./test/linear

leaks: ## LEAKS cold starts and ends of every kind, and nothing may be left of them
	CROFT_LEAKS=$(LEAKS) $(GO) test -count=1 -v -timeout 60m -run TestLeaks ./internal/engine

fuzz: ## every fuzzer for FUZZTIME
	./tools/fuzz.sh $(FUZZTIME)

generate: ## internal/awsapi from the AWS service models, docs/services from the services and their notes
	$(GO) run ./tools/apigen
	$(GO) run ./tools/servicepages

audit: ## tries every optional parameter of every operation, writes down what each does, and brings the pages up to date
	CROFT_UPDATE=1 $(GO) test -count=1 -run TestMembers ./test/operations
	$(GO) run ./tools/servicepages

clean:
	rm -rf bin
