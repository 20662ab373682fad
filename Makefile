# Thin aliases. What they do stands in .ci/.
.PHONY: test test-full lint bench torture

# Installs what the tests need (Chromium, PostgreSQL, npm packages) and runs them all, with the race detector.
test:
	.ci/setup
	. .ci/flags && go test ./...

# As test, at servers that take minutes to build the first time (HashiCorp Vault, Ory Hydra), and a copy of 100,000 grants to PostgreSQL and back.
test-full: test
	.ci/servers
	. .ci/flags && go test -tags full -run "Bao|Real|Hydra" ./internal/kms ./internal/openbao ./internal/e2e
	go test -count=1 -v -run '^TestCopyOfManyGrants$$' ./internal/store -args -copy-grants=100000

lint:
	.ci/lint

# What a cached token costs, beside a bare net/http server: docs/performance.md.
bench:
	go test -run '^$$' -bench . -timeout 30m ./internal/bench

# Replicas on one PostgreSQL while processes, network, database and vendors fail: docs/torture.md.
DURATION ?= 120s
REPLICAS ?= 3
torture:
	go test -count=1 -v -timeout 2h -run '^TestTorture$$' ./internal/torture -args -duration=$(DURATION) -replicas=$(REPLICAS) -grants=300
