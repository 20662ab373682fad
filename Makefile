# Thin aliases. What they do stands in .ci/.
.PHONY: test test-full lint bench torture

# Installs what the tests need (Chromium, PostgreSQL, npm packages) and runs them all, with the race detector.
test:
	.ci/setup
	. .ci/flags && go test ./...

# As test, the key management services against a real HashiCorp Vault, whose first build takes minutes, and a copy of 100,000 grants to PostgreSQL and back.
test-full: test
	. .ci/flags && go test -tags full -run "Bao|Real" ./internal/kms ./internal/openbao
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
