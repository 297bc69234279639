# Tools that are run from their modules; the versions are part of the build.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
FUZZTIME    ?= 30s
SEEDS       ?= 3

.PHONY: help run test test-manifests test-faults test-schema test-pgbouncer bench bench-tenants bench-removal e2e check fuzz build

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "%-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## all functions on one port, with a PostgreSQL and a Kafka broker of their own (PORT, DATA_DIR, DATABASE_URL, KAFKA_BROKERS)
	@go build -o bin/dev ./functions/dev && exec bin/dev

test: check test-manifests ## what CI runs first; brings its own PostgreSQL and Apache Kafka (KAFKA=embedded: without Java; TEST_DATABASE_URL, KAFKA_BROKERS: others)
	go test -race -shuffle=on -count=1 -timeout 40m ./...

test-manifests: ## whether a cluster would take what knative/ brings, without one: rendered, decoded strictly, held to our rules
	cd tests/manifests && go vet ./... && go test -race -shuffle=on -count=1 ./...

test-faults: ## random faults for a minute each: SEEDS fresh seeds, which it prints, or again the one that SEED names
	go test -race -shuffle=on -count=1 -timeout 4h -v -run TestRandom ./tests/faults -args -for=60s $(if $(SEED),-seed=$(SEED),-seeds=$(SEEDS))

test-schema: ## whether the API answers as its OpenAPI document says: schemathesis (Python, of bin/) against functions/dev (SEED)
	tests/schema/run.sh

test-pgbouncer: ## the core through a PgBouncer in transaction mode, which has to be installed
	go vet -tags pgbouncer ./tests/contract ./tests/pgbouncer ./functions/preflight/preflight ./functions/interop/interop
	go test -race -shuffle=on -count=1 -tags pgbouncer -run PgBouncer ./tests/contract ./tests/pgbouncer ./functions/preflight/preflight ./functions/interop/interop

bench: ## how fast the functions are, each figure beside its limit: a table, also in bin/bench.md, and bin/bench.json; some 14 minutes, on a machine with nothing else to do
	@mkdir -p bin
	BENCH=full OUT=$(CURDIR)/bin go test -v -count=1 -timeout 1h -run TestBench ./tests/bench

bench-tenants: ## what ten thousand tenants cost: a database grown to TENANTS ("100 1000 10000"), ROUNDS (50) of everything at each size; some 15 minutes, 12 GB
	TENANTS="$(or $(TENANTS),100 1000 10000)" ROUNDS=$(or $(ROUNDS),50) go test -v -count=1 -timeout 2h -run TestTenants ./tests/tenants

bench-removal: ## the removal of a provider with ROWS rows (ten million), as a multiple of a bare DELETE of the same
	ROWS=$(or $(ROWS),10000000) go test -run '^$$' -bench Removal -benchtime 1x -timeout 4h ./functions/provisioner/provision

e2e: ## the flow in a cluster, and what it takes: the one that KUBECONFIG names (tests/e2e/run.sh says what else), or one node that CLUSTER brings up; ROUNDS instead of 20 for each figure
	tests/e2e/run.sh $(if $(ROUNDS),-rounds=$(ROUNDS))

check: ## format, vet, staticcheck, known vulnerabilities
	@test -z "$$(gofmt -l . | tee /dev/stderr)"
	go vet ./...
	go vet -tags e2e ./tests/e2e
	go run $(STATICCHECK) -tags e2e ./...
	cd tests/manifests && go run $(STATICCHECK) ./...
	@GOBIN=$(CURDIR)/bin go install $(GOVULNCHECK)
	@bin/govulncheck ./... || { test $$? -ne 3 && echo 'no vulnerabilities looked up: their database is out of reach'; } # 3 is a find

fuzz: ## every fuzz test for FUZZTIME
	@go list -f '{{.Dir}}' ./... | while read -r dir; do \
		for f in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' "$$dir"/*_test.go 2>/dev/null | cut -d' ' -f2); do \
			(cd "$$dir" && go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) .) || exit 1; \
		done; \
	done

build: ## every function and command into bin/, or the folder BIN
	CGO_ENABLED=0 go build -trimpath -tags=grpcnotrace -ldflags='-s -w' -o $(or $(BIN),bin)/ ./functions/... ./migrations/migrate $(ALSO)
